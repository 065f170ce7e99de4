"""What did the project configure?

The only reader of ``settings.WECHAT_OPEN``. Everything is read late, at each use, with its default beside its name,
so ``override_settings`` simply works. What is wrong with a value is said by ``checks`` at start-up, and by a
ConfigurationError here when somebody goes on all the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from django.conf import settings as django_settings

from .exceptions import ConfigurationError
from .sentence import Sentence as _
from .sentence import pgettext

NAME = "WECHAT_OPEN"
DEFAULT_ALIAS = "default"

WECHAT_API = "https://api.weixin.qq.com"
WECHAT_AUTHORIZE = "https://mp.weixin.qq.com"
WECHAT_OPEN_HOST = "https://open.weixin.qq.com"

DEFAULTS: dict[str, Any] = {
    "COMPONENTS": {},
    "CACHE": "default",
    "ENCRYPTION_KEYS": [],
    "API_BASE_URL": WECHAT_API,
    "AUTHORIZE_BASE_URL": WECHAT_AUTHORIZE,
    "OPEN_BASE_URL": WECHAT_OPEN_HOST,
    "SITE_URL": "",
    "AFTER_AUTHORIZE": "",
    "TIMEOUT": (3.05, 10),
    "TOKEN_WAIT": 10,
    "RENEWAL_THREADS": 16,
    "RENEWALS_PER_SECOND": 60,
    "LINK_LIFE": 24 * 60 * 60,
    "JOURNAL_LIFE": 365 * 24 * 60 * 60,
    "PUSH_WINDOW": 10 * 60,
    "REPLY_WITHIN": 4,
    "BRAKE_ACCOUNTS": 20,
    "BRAKE_SHARE": 0.05,
    "COMPONENT_TOKEN_PARAMETER": "component_access_token",
    "OPTION_API": "current",
    "HEALTH_TOKEN": "",
    "SHOW_AVATARS": False,
    "TENANT_KEY": "",
}
"""Every setting and its default; README's table is tested against it."""

COMPONENT_KEYS = ("APPID", "APPSECRET", "TOKEN", "ENCODING_AES_KEY")


class Conf:
    """The dict ``WECHAT_OPEN`` with its defaults. One property per setting; units are in the descriptions."""

    @property
    def given(self) -> Mapping[str, Any]:
        """What the project wrote, untouched."""
        return _mapping(NAME, getattr(django_settings, NAME, {}))

    def _get(self, name: str) -> Any:
        return self.given.get(name, DEFAULTS[name])

    @property
    def components(self) -> Mapping[str, Mapping[str, Any]]:
        """Alias -> credentials of one third-party platform."""
        return _mapping(f'{NAME}["COMPONENTS"]', self._get("COMPONENTS"))

    def component(self, alias: str) -> Mapping[str, Any]:
        """The credentials of one platform; ConfigurationError names the alias or the key that is missing."""
        try:
            credentials = self.components[alias]
        except KeyError:
            raise ConfigurationError(
                _(
                    "%(setting)s has no platform %(alias)r (configured: %(known)s). Add it with APPID, APPSECRET, "
                    "TOKEN and ENCODING_AES_KEY from the platform's console.",
                    setting=f'{NAME}["COMPONENTS"]',
                    alias=alias,
                    known=", ".join(sorted(self.components)) or pgettext("wechat_open", "none"),
                )
            ) from None
        credentials = _mapping(f'{NAME}["COMPONENTS"][{alias!r}]', credentials)
        for key in COMPONENT_KEYS:
            if not credentials.get(key):
                setting = f'{NAME}["COMPONENTS"][{alias!r}]["{key}"]'
                raise ConfigurationError(_("%(setting)s is missing: copy it from the console.", setting=setting))
        return credentials

    @property
    def cache(self) -> str:
        """Alias in CACHES. The cache only saves queries: losing it costs no call to WeChat."""
        return str(self._get("CACHE"))

    @property
    def encryption_keys(self) -> tuple[str, ...]:
        """Key ring at rest, newest first, each 32 bytes in URL-safe base64. Empty: derived from SECRET_KEY."""
        keys = self._get("ENCRYPTION_KEYS")
        if not isinstance(keys, (list, tuple)):
            raise ConfigurationError(
                _(
                    "%(setting)s must be a list of keys, the newest first, each 32 random bytes in URL-safe base64.",
                    setting=f'{NAME}["ENCRYPTION_KEYS"]',
                )
            )
        return tuple(keys)

    @property
    def api_base_url(self) -> str:
        return str(self._get("API_BASE_URL")).rstrip("/")

    @property
    def authorize_base_url(self) -> str:
        """Where the authorization page for a PC lives."""
        return str(self._get("AUTHORIZE_BASE_URL")).rstrip("/")

    @property
    def open_base_url(self) -> str:
        """Where the authorization page for a phone lives."""
        return str(self._get("OPEN_BASE_URL")).rstrip("/")

    @property
    def site_url(self) -> str:
        """Scheme and host that are registered as 授权发起页域名; empty: the host of the request."""
        return str(self._get("SITE_URL")).rstrip("/")

    @property
    def after_authorize(self) -> str:
        """URL name or path that an owner sees after authorizing; empty: our own page."""
        return str(self._get("AFTER_AUTHORIZE"))

    @property
    def timeout(self) -> tuple[float, float]:
        """Seconds to connect, and seconds for the whole answer."""
        connect, answer = self._get("TIMEOUT")
        return float(connect), float(answer)

    @property
    def token_wait(self) -> timedelta:
        """How long a caller waits for the one who is renewing the token it needs (given in seconds)."""
        return timedelta(seconds=self._get("TOKEN_WAIT"))

    @property
    def renewal_threads(self) -> int:
        return int(self._get("RENEWAL_THREADS"))

    @property
    def renewals_per_second(self) -> float:
        """Upper bound of refresh calls a second, for one platform."""
        return float(self._get("RENEWALS_PER_SECOND"))

    @property
    def link_life(self) -> timedelta:
        """How long an authorization link can be opened (given in seconds)."""
        return timedelta(seconds=self._get("LINK_LIFE"))

    @property
    def journal_life(self) -> timedelta:
        """How long the audit trail goes back (given in seconds)."""
        return timedelta(seconds=self._get("JOURNAL_LIFE"))

    @property
    def push_window(self) -> timedelta:
        """How far a push's query timestamp may be from our clock (given in seconds). A filter, not the protection."""
        return timedelta(seconds=self._get("PUSH_WINDOW"))

    @property
    def reply_within(self) -> timedelta:
        """When a handler is cut off; WeChat waits 5 seconds (given in seconds). Zero: never, and in its own thread."""
        return timedelta(seconds=self._get("REPLY_WITHIN"))

    @property
    def brake_accounts(self) -> int:
        """From how many accounts turning bad at once the brake holds their state."""
        return int(self._get("BRAKE_ACCOUNTS"))

    @property
    def brake_share(self) -> float:
        """And from which share of all authorized accounts (0 to 1)."""
        return float(self._get("BRAKE_SHARE"))

    @property
    def component_token_parameter(self) -> str:
        """The query name of the component access token on ``api_*`` calls (protocol 0.2 and 12)."""
        return str(self._get("COMPONENT_TOKEN_PARAMETER"))

    @property
    def option_api(self) -> str:
        """``current`` or ``legacy`` addresses of the authorizer options (protocol 4.5 and 12)."""
        return str(self._get("OPTION_API"))

    @property
    def health_token(self) -> str:
        """Bearer token that monitors send to ``health/``; empty: staff only."""
        return str(self._get("HEALTH_TOKEN"))

    @property
    def show_avatars(self) -> bool:
        """Whether the admin lets browsers fetch avatars from WeChat's image host; initials otherwise."""
        return bool(self._get("SHOW_AVATARS"))

    @property
    def tenant_key(self) -> str:
        """Which value of a link's payload names the tenant in lists, searches and exports; empty: the whole payload."""
        return str(self._get("TENANT_KEY"))


def _mapping(name: str, value: Any) -> Mapping[str, Any]:
    """What stands there; an error says its type only, for there may be secrets in it."""
    if not isinstance(value, (dict, Mapping)):  # a dict is told apart quicker than any Mapping
        raise ConfigurationError(_("%(name)s must be a dict, not %(type)s.", name=name, type=type(value).__name__))
    return value


conf = Conf()

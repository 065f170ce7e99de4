"""The settings of the project; the only reader of ``settings.WECHAT_OPEN``.

Every setting is read late, at each use, with its default beside its name, so ``override_settings`` works. The system
checks report wrong values at start-up; a wrong value that is used all the same raises ConfigurationError here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, TypeVar
from urllib.parse import SplitResult, urlsplit

from django.conf import settings as django_settings
from django.utils.functional import Promise

from .exceptions import ConfigurationError
from .secret import hide_variables, is_plain_name, shown_name
from .text import TranslatableText as _
from .text import pgettext

NAME = "WECHAT_OPEN"
DEFAULT_ALIAS = "default"

WECHAT_API = "https://api.weixin.qq.com"
WECHAT_AUTHORIZE = "https://mp.weixin.qq.com"
WECHAT_OPEN_HOST = "https://open.weixin.qq.com"
WECHAT_HOSTS = ".weixin.qq.com"

LOOPBACK = ("127.0.0.1", "::1", "localhost")

BRAND_KEYS = ("NAME", "LOGO")

WORKERS = ("celery", "run")
"""What can do the background work: Celery, or ``manage.py wechat_open run``."""

DEFAULTS: dict[str, Any] = {
    "COMPONENTS": {},
    "CACHE": "default",
    "ENCRYPTION_KEYS": [],
    "SECRET_KEY_DECRYPTS": True,
    "API_BASE_URL": WECHAT_API,
    "AUTHORIZE_BASE_URL": WECHAT_AUTHORIZE,
    "OPEN_BASE_URL": WECHAT_OPEN_HOST,
    "API_HOSTS": [],
    "SITE_URL": "",
    "AFTER_AUTHORIZE": "",
    "TIMEOUT": (3.05, 10),
    "TOKEN_WAIT": 10,
    "RENEWAL_THREADS": 16,
    "RENEWALS_PER_SECOND": 60,
    "LINK_LIFE": 24 * 60 * 60,
    "AUDIT_LIFE": 365 * 24 * 60 * 60,
    "PUSH_WINDOW": 10 * 60,
    "REPLY_WITHIN": 4,
    "BRAKE_ACCOUNTS": 20,
    "BRAKE_SHARE": 0.05,
    "COMPONENT_TOKEN_PARAMETER": "component_access_token",
    "OPTION_API": "current",
    "HEALTH_TOKEN": "",
    "SHOW_AVATARS": False,
    "TENANT_KEY": "",
    "WORKER": "celery",
    "BRAND": {},
}
"""Every setting and its default; README's table is tested against it."""

COMPONENT_KEYS = ("APPID", "APPSECRET", "TOKEN", "ENCODING_AES_KEY")

_T = TypeVar("_T")
# Only characters that every URL parser reads the same way: no user, no backslash, no query, no fragment.
_ADDRESS = re.compile(r"(?i)https?://([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?(/[A-Za-z0-9._~%/+-]*)?")


class Conf:
    """The dict ``WECHAT_OPEN`` with its defaults. One property per setting; units are in the descriptions."""

    @property
    @hide_variables
    def given(self) -> Mapping[str, Any]:
        """The dict as the project wrote it."""
        return _mapping(NAME, getattr(django_settings, NAME, {}))

    def _get(self, name: str) -> Any:
        # A plain dict needs no check, and this is read several times for each push. No variable holds it: error pages
        # show those of a frame.
        if type(getattr(django_settings, NAME, None)) is dict:
            return getattr(django_settings, NAME).get(name, DEFAULTS[name])
        return self.given.get(name, DEFAULTS[name])

    @hide_variables
    def _read(self, name: str, convert: Callable[[Any], _T]) -> _T:
        """The converted value. The error for one that cannot be converted hides it: it may be a misplaced secret."""
        value = self._get(name)
        try:
            return convert(value)
        except (TypeError, ValueError, OverflowError):
            raise ConfigurationError(
                _(
                    "%(setting)s cannot be used as it is (%(type)s); the default is %(default)s.",
                    setting=f'{NAME}["{name}"]',
                    type=type(value).__name__,
                    default=repr(DEFAULTS[name]),
                )
            ) from None

    @property
    @hide_variables
    def components(self) -> Mapping[str, Mapping[str, Any]]:
        """Alias -> credentials of one third-party platform.

        A platform whose alias is not a plain name is left out, and a check reports it: aliases are shown everywhere.
        """
        written = _mapping(f'{NAME}["COMPONENTS"]', self._get("COMPONENTS"))
        return written if all(map(_is_name, written)) else {name: written[name] for name in filter(_is_name, written)}

    @property
    @hide_variables
    def appids(self) -> Mapping[str, str]:
        """Alias -> appid; empty where there is none that is a plain name."""
        found = {}
        for alias, credentials in self.components.items():
            appid = dict(credentials).get("APPID") if _is_dict(credentials) else None
            found[alias] = str(appid) if _is_name(appid) else ""
        return found

    @hide_variables
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
            setting = f'{NAME}["COMPONENTS"][{alias!r}]["{key}"]'
            if not credentials.get(key):
                raise ConfigurationError(_("%(setting)s is missing: copy it from the console.", setting=setting))
            if not isinstance(credentials[key], str):
                raise ConfigurationError(_("%(setting)s must be text: copy it from the console.", setting=setting))
        if not is_plain_name(credentials["APPID"]):
            raise ConfigurationError(
                _(
                    "%(setting)s is not an appid, and is not shown because it could be a secret: copy the one that "
                    "begins with wx from the console.",
                    setting=f'{NAME}["COMPONENTS"][{alias!r}]["APPID"]',
                )
            )
        return credentials

    @property
    def cache(self) -> str:
        """Alias in CACHES. The cache only saves queries: losing it costs no call to WeChat."""
        return self._read("CACHE", _text)

    @property
    @hide_variables
    def encryption_keys(self) -> tuple[str, ...]:
        """Key ring at rest, newest first, each 32 bytes in URL-safe base64. Empty: derived from SECRET_KEY."""
        keys = self._get("ENCRYPTION_KEYS")
        if not isinstance(keys, (list, tuple)) or not all(isinstance(key, str) for key in keys):
            raise ConfigurationError(
                _(
                    "%(setting)s must be a list of keys, the newest first, each 32 random bytes in URL-safe base64.",
                    setting=f'{NAME}["ENCRYPTION_KEYS"]',
                )
            )
        return tuple(keys)

    @property
    def secret_key_decrypts(self) -> bool:
        """Whether keys derived from SECRET_KEY still decrypt beside ENCRYPTION_KEYS."""
        return self._read("SECRET_KEY_DECRYPTS", _switch)

    @property
    def api_base_url(self) -> str:
        return self._base_url("API_BASE_URL")

    @property
    def authorize_base_url(self) -> str:
        """Host of the authorization page for a PC."""
        return self._base_url("AUTHORIZE_BASE_URL")

    @property
    def open_base_url(self) -> str:
        """Host of the authorization page for a phone."""
        return self._base_url("OPEN_BASE_URL")

    @property
    def api_hosts(self) -> tuple[str, ...]:
        """Hosts other than WeChat's that may be called while DEBUG is off, in lower case."""
        return self._read("API_HOSTS", _hosts)

    @hide_variables
    def _base_url(self, name: str) -> str:
        """A base URL that may be called: its server receives every secret of the platform.

        While DEBUG is off that is a host of WeChat over https, or one of API_HOSTS over https or on the loopback.
        """
        written = self._get(name)
        url = split_address(written)
        if url is None:
            raise ConfigurationError(
                _(
                    "%(setting)s must be an address such as %(example)s, without user, query or fragment.",
                    setting=f'{NAME}["{name}"]',
                    example=DEFAULTS[name],
                )
            )
        if reason := self.why_not(url):
            setting = f'{NAME}["{name}"]'
            raise ConfigurationError(_("%(setting)s cannot be used: %(reason)s", setting=setting, reason=reason))
        return str(written).rstrip("/")

    @property
    def meets_simulator(self) -> bool:
        """Whether the settings allow a simulator on this host in place of WeChat: such a site protects nothing."""
        try:
            return any(host in LOOPBACK for host in self.api_hosts)
        except ConfigurationError:
            return False

    def why_not(self, url: SplitResult) -> str:
        """Why no secret may be sent to this address; empty if it may."""
        host = url.hostname or ""
        if django_settings.DEBUG:
            return ""
        if not is_wechats(host) and host not in self.api_hosts:
            return _(
                "%(host)s is not WeChat's, and nothing is sent there while DEBUG is off. For a proxy or a simulator of "
                "your own, add the host to %(hosts)s.",
                host=shown_name(host) if not _is_ip(host) else host,
                hosts=f'{NAME}["API_HOSTS"]',
            )
        if url.scheme != "https" and host not in LOOPBACK:
            return _("it must begin with https:// while DEBUG is off: secrets would travel in clear.")
        return ""

    @property
    def site_url(self) -> str:
        """Scheme and host that are registered as 授权发起页域名; empty: the host of the request."""
        return self._read("SITE_URL", _site).rstrip("/")

    @property
    def after_authorize(self) -> str:
        """URL name or path that an owner sees after authorizing; empty: our own page."""
        return self._read("AFTER_AUTHORIZE", _text)

    @property
    def timeout(self) -> tuple[float, float]:
        """Seconds to connect, and seconds for the whole answer."""
        return self._read("TIMEOUT", _pair)

    @property
    def token_wait(self) -> timedelta:
        """How long a caller waits for another one that is renewing the same token (given in seconds)."""
        return self._read("TOKEN_WAIT", _seconds)

    @property
    def renewal_threads(self) -> int:
        return self._read("RENEWAL_THREADS", int)

    @property
    def renewals_per_second(self) -> float:
        """Upper bound of refresh calls a second, for one platform."""
        return self._read("RENEWALS_PER_SECOND", float)

    @property
    def link_life(self) -> timedelta:
        """How long an authorization link can be opened (given in seconds)."""
        return self._read("LINK_LIFE", _seconds)

    @property
    def audit_life(self) -> timedelta:
        """How long audit entries are kept (given in seconds)."""
        return self._read("AUDIT_LIFE", _seconds)

    @property
    def push_window(self) -> timedelta:
        """How far a push's query timestamp may be from our clock (given in seconds). A filter, not the protection."""
        return self._read("PUSH_WINDOW", _seconds)

    @property
    def reply_within(self) -> timedelta:
        """Deadline of handlers; WeChat waits 5 seconds (given in seconds). Zero: none, and no thread of their own."""
        return self._read("REPLY_WITHIN", _seconds)

    @property
    def brake_accounts(self) -> int:
        """How many accounts must fail at once for the brake to freeze their states."""
        return self._read("BRAKE_ACCOUNTS", int)

    @property
    def brake_share(self) -> float:
        """The share of all authorized accounts that must fail at once, too (0 to 1)."""
        return self._read("BRAKE_SHARE", float)

    @property
    def component_token_parameter(self) -> str:
        """The query name of the component access token on ``api_*`` calls (docs/protocol.rst, "The HTTP API")."""
        return self._read("COMPONENT_TOKEN_PARAMETER", _word)

    @property
    def option_api(self) -> str:
        """``current`` or ``legacy`` addresses of the authorizer options (docs/protocol.rst, "Options")."""
        return self._read("OPTION_API", _word)

    @property
    def health_token(self) -> str:
        """Bearer token that monitors send to ``health/``; empty: staff only."""
        return self._read("HEALTH_TOKEN", _text)

    @property
    def worker(self) -> str:
        """What does the background work: ``celery``, or ``run`` for ``manage.py wechat_open run``."""
        return "run" if self._get("WORKER") == "run" else "celery"

    @property
    def has_celery(self) -> bool:
        return self.worker == "celery"

    @property
    def brand(self) -> tuple[str, str]:
        """Name and logo on the public pages; each is empty if it is missing or not a text."""
        given = self._get("BRAND")
        found = given if isinstance(given, Mapping) else {}
        name, logo = (found.get(key, "") for key in BRAND_KEYS)
        return (str(name) if isinstance(name, (str, Promise)) else "", logo if isinstance(logo, str) else "")

    @property
    def show_avatars(self) -> bool:
        """Whether the admin lets browsers fetch avatars from WeChat's image host; initials otherwise."""
        return bool(self._get("SHOW_AVATARS"))

    @property
    def tenant_key(self) -> str:
        """The key of the tenant in a link's payload, for lists, searches and exports; empty: the whole payload."""
        return str(self._get("TENANT_KEY"))


def split_address(written: object) -> SplitResult | None:
    """An address of scheme, host, port and path, and nothing else; None for any other."""
    if not isinstance(written, str) or not _ADDRESS.fullmatch(written):
        return None
    try:
        parts = urlsplit(written)
        well_formed = parts.hostname and parts.port != 0
    except ValueError:
        return None
    return parts if well_formed else None


def is_wechats(host: str) -> bool:
    return host.endswith(WECHAT_HOSTS)


def _is_name(name: object) -> bool:
    return isinstance(name, str) and is_plain_name(name)


def _is_dict(value: object) -> bool:
    return isinstance(value, (dict, Mapping))


def _is_ip(host: str) -> bool:
    return bool(re.fullmatch(r"[0-9.]{1,15}|[0-9a-f:.]*:[0-9a-f:.]*", host))


def _hosts(written: Any) -> tuple[str, ...]:
    if not isinstance(written, (list, tuple)) or not all(isinstance(host, str) for host in written):
        raise TypeError
    return tuple(host.lower() for host in written)


def _switch(written: Any) -> bool:
    if not isinstance(written, bool):
        raise TypeError
    return written


def _text(written: Any) -> str:
    if not isinstance(written, str):
        raise TypeError
    return written


def _site(written: Any) -> str:
    """An address. Another text is accepted too and shown on pages and in reports, unless it could be a secret."""
    if _text(written) and not split_address(written) and not is_plain_name(written):
        raise ValueError
    return str(written)


def _word(written: Any) -> str:
    if not is_plain_name(_text(written)):
        raise ValueError
    return str(written)


def _pair(written: Any) -> tuple[float, float]:
    connect, answer = written
    return float(connect), float(answer)


def _seconds(written: Any) -> timedelta:
    return timedelta(seconds=written)


def _mapping(name: str, value: Any) -> Mapping[str, Any]:
    """The value, if it is a mapping. The error names its type only, because it may contain secrets."""
    if not isinstance(value, (dict, Mapping)):  # checking for dict first is faster
        raise ConfigurationError(_("%(name)s must be a dict, not %(type)s.", name=name, type=type(value).__name__))
    return value


conf = Conf()

"""The simulator's settings.

They are what a platform's owner enters in the open platform's console (credentials, keys, URLs, domain), and switches
for how strict the simulator is. Each is a plain attribute and may be changed while the simulator runs.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, get_args

from ...exceptions import ConfigurationError
from ...protocol.crypto import KeyPair
from ..http.origin import host_of, is_loopback, is_web

Rotation = Literal["strict", "grace", "stable"]
"""What a refresh does to the refresh token: replaced at once, replaced with five minutes of overlap, or kept."""

ROTATIONS: tuple[Rotation, ...] = get_args(Rotation)

DEMO_APPID = "wx9d3f0c6a51e84b27"
DEMO_APPSECRET = "6b1f0d9c27a84e53b0c7d2e91f4a8635"
DEMO_TOKEN = "demoTokenQ7vR2xKp9LmT4sWz8NcY"
DEMO_ENCODING_AES_KEY = "sIMu1at0rDem0K3yXb7Qw2Er5Ty8Ui1Op4As6Df9GhJ"

# WeChat publishes no quotas. Paths that are not in TOKEN_PATHS have the default.
TOKEN_QUOTA = 2000
DEFAULT_QUOTA = 100_000
TOKEN_PATHS = frozenset({"/cgi-bin/component/api_component_token", "/cgi-bin/component/api_authorizer_token"})


@dataclass
class Settings:
    """Durations are seconds, as they are on the wire."""

    appid: str = DEMO_APPID
    appsecret: str = field(default=DEMO_APPSECRET, repr=False)
    token: str = field(default=DEMO_TOKEN, repr=False)
    encoding_aes_key: str = field(default=DEMO_ENCODING_AES_KEY, repr=False)

    platform_name: str = ""
    """名称 in the console, displayed on the authorization page; when empty, a name for demonstrations."""
    callback: str = ""
    """Where the site mounted ``wechat_open.urls``; ``events/`` and ``messages/<appid>/`` are appended."""
    events_url: str = ""
    """授权事件接收URL, where it is not below ``callback``."""
    messages_url: str = ""
    """消息与事件接收URL, where it is not below ``callback``; may contain ``$APPID$``."""
    domain: str = ""
    """授权发起页域名, a host; default: the callback's."""

    remote_callbacks: bool = False
    """Whether pushes may leave this machine. Neither a web page nor a typing error may direct them to other hosts."""

    rotation: Rotation = "strict"
    token_life: int = 7200
    ticket_interval: int = 600
    ticket_life: int = 12 * 3600
    pre_auth_code_life: int = 600
    authorization_code_life: int = 3600

    rotation_grace: int = 300
    """How long a replaced refresh token works in the mode ``grace``."""
    access_token_overlap: int = 0
    """How long a replaced access token still works. WeChat documents none for a component, so 0 by default."""
    empty_refresh_in_info: bool = False
    """api_get_authorizer_info omits ``authorizer_refresh_token``, as has been observed at WeChat."""
    empty_refresh_in_list: bool = False
    """api_get_authorizer_list returns empty refresh tokens, as has been observed at WeChat."""
    phone_needs_referer: bool = True
    """Whether the page for phones checks the Referer too. This is undocumented; the stricter choice is the default."""
    pushing: bool = True
    """Whether tickets are pushed; api_start_push_ticket turns it on."""
    quotas: dict[str, int] = field(default_factory=dict)
    """Calls a day and account, by path; overrides the defaults."""

    def __post_init__(self) -> None:
        self.check()

    def check(self) -> None:
        """Raise ConfigurationError for what WeChat's console would refuse as well."""
        self.pair()
        if self.rotation not in ROTATIONS:
            raise ConfigurationError(f"rotation must be one of {', '.join(ROTATIONS)}, not {self.rotation!r}.")
        for name in ("token_life", "ticket_interval", "ticket_life", "pre_auth_code_life", "authorization_code_life"):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise ConfigurationError(f"{name} must be a whole number of seconds, at least 1, not {value!r}.")
        for name in ("callback", "events_url", "messages_url"):
            url = getattr(self, name)
            if url and not is_web(url):
                raise ConfigurationError(f"{name} must be an http:// or https:// address, not {url!r}.")

    def why_not(self, url: str) -> str:
        """Why pushes to this address are refused; empty when they are allowed."""
        if self.remote_callbacks or not is_web(url) or is_loopback(host_of(url)):
            return ""
        return "Pushes stay on this machine (localhost, 127.0.0.1); start the simulator with --remote-callbacks."

    def pair(self) -> KeyPair:
        return KeyPair.from_console(self.token, self.encoding_aes_key)

    def url_of_events(self) -> str:
        return self.events_url or (_with_slash(self.callback) + "events/" if self.callback else "")

    def url_of_messages(self, appid: str) -> str:
        template = self.messages_url or (_with_slash(self.callback) + "messages/$APPID$/" if self.callback else "")
        return template.replace("$APPID$", appid)

    def registered_host(self) -> str:
        """The host that the authorization page accepts; empty when no setting names one."""
        return host_of(self.domain if "//" in self.domain else "//" + self.domain) or host_of(self.url_of_events())

    def quota(self, path: str) -> int:
        """Calls a day. A shorter token life raises the quotas of the token APIs, since renewals are more frequent."""
        if path in self.quotas:
            return self.quotas[path]
        return TOKEN_QUOTA * max(1, 7200 // self.token_life) if path in TOKEN_PATHS else DEFAULT_QUOTA


def _with_slash(url: str) -> str:
    return url if url.endswith("/") else url + "/"

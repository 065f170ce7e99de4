"""How is this WeChat set up?

What a platform's owner types into the open platform's console (credentials, keys, URLs, domain), and the switches that
decide how hard the simulator plays. Everything is a plain attribute and may be changed while it runs.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from typing import Literal, get_args
from urllib.parse import urlsplit

from ..exceptions import ConfigurationError
from ..protocol.crypto import KeyPair

Rotation = Literal["strict", "grace", "stable"]
"""What a refresh does to the refresh token: replaced at once, replaced with five minutes of overlap, or kept."""

ROTATIONS: tuple[Rotation, ...] = get_args(Rotation)

DEMO_APPID = "wx9d3f0c6a51e84b27"
DEMO_APPSECRET = "6b1f0d9c27a84e53b0c7d2e91f4a8635"
DEMO_TOKEN = "demoTokenQ7vR2xKp9LmT4sWz8NcY"
DEMO_ENCODING_AES_KEY = "sIMu1at0rDem0K3yXb7Qw2Er5Ty8Ui1Op4As6Df9GhJ"

# The most often called paths; what is not named here has DEFAULT_QUOTA. WeChat publishes no numbers (protocol 3.1).
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
    """名称 in the console: what owners read on the authorization page; empty: a name for demonstrations."""
    callback: str = ""
    """Where the site mounted ``wechat_open.urls``; ``events/`` and ``messages/<appid>/`` are appended."""
    events_url: str = ""
    """授权事件接收URL, when it is not below ``callback``."""
    messages_url: str = ""
    """消息与事件接收URL, when it is not below ``callback``; may hold ``$APPID$``."""
    domain: str = ""
    """授权发起页域名, a host; default: the callback's."""

    remote_callbacks: bool = False
    """Whether pushes may leave this machine. A page of the web, or a typing error, must not have us speak to others."""

    rotation: Rotation = "strict"
    token_life: int = 7200
    ticket_interval: int = 600
    ticket_life: int = 12 * 3600
    pre_auth_code_life: int = 600
    authorization_code_life: int = 3600

    rotation_grace: int = 300
    """How long a replaced refresh token works in the mode ``grace``."""
    access_token_overlap: int = 0
    """How long a replaced access token goes on working. WeChat promises nothing to a component, so: not at all."""
    empty_refresh_in_info: bool = False
    """api_get_authorizer_info leaves ``authorizer_refresh_token`` out, as WeChat's has been seen to do."""
    empty_refresh_in_list: bool = False
    """api_get_authorizer_list answers empty refresh tokens, as WeChat's has been seen to do."""
    phone_needs_referer: bool = True
    """Whether the phone's page checks the Referer too; undocumented, so the harder way."""
    pushing: bool = True
    """Whether tickets are pushed; api_start_push_ticket turns it on."""
    quotas: dict[str, int] = field(default_factory=dict)
    """Calls a day and account, by path; overrides the defaults."""

    def __post_init__(self) -> None:
        self.check()

    def check(self) -> None:
        """Raise ConfigurationError for what WeChat's console would not accept either."""
        self.pair()
        if self.rotation not in ROTATIONS:
            raise ConfigurationError(f"rotation must be one of {', '.join(ROTATIONS)}, not {self.rotation!r}.")
        for name in ("token_life", "ticket_interval", "ticket_life", "pre_auth_code_life", "authorization_code_life"):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise ConfigurationError(f"{name} must be a whole number of seconds, at least 1, not {value!r}.")
        for name in ("callback", "events_url", "messages_url"):
            url = getattr(self, name)
            if url and urlsplit(url).scheme not in ("http", "https"):
                raise ConfigurationError(f"{name} must be an http:// or https:// address, not {url!r}.")

    def why_not(self, url: str) -> str:
        """Why nothing is pushed to this address; empty when it is on this machine, or may be elsewhere."""
        if self.remote_callbacks or urlsplit(url).scheme not in ("http", "https") or is_loopback(host_of(url)):
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
        """The host that the authorization page accepts; empty when nothing says which."""
        return host_of(self.domain if "//" in self.domain else "//" + self.domain) or host_of(self.url_of_events())

    def quota(self, path: str) -> int:
        """Calls a day. The ceilings of the token APIs rise as the tokens' life is shortened: so does honest use."""
        if path in self.quotas:
            return self.quotas[path]
        return TOKEN_QUOTA * max(1, 7200 // self.token_life) if path in TOKEN_PATHS else DEFAULT_QUOTA


def host_of(url: str) -> str:
    """The host of an address, without port, in lower case; empty for what is no address."""
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def is_loopback(host: str) -> bool:
    """Whether a host is this machine, by a name that no DNS server can point elsewhere."""
    host = host.lower().rstrip(".")
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _with_slash(url: str) -> str:
    return url if url.endswith("/") else url + "/"

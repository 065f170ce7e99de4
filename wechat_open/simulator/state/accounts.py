"""Accounts as values: the profile, the grant to the platform, the tokens of that grant, and the followers.

The rules that change them are in ``engine``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from .menu import DEFAULT_MENU, MenuButton

Kind = Literal["official", "mini"]

DEMO_OFFICIAL = "wx4c9e2f70d81b35a6"
DEMO_MINI = "wxb7206d5fa93e1c48"

# Permission sets that accounts of a kind usually have and that a platform usually asks for.
USUAL_PERMISSIONS: dict[Kind, tuple[int, ...]] = {
    "official": (1, 2, 3, 4, 6, 7, 8, 11, 15, 16, 24, 27, 33, 89),
    "mini": (17, 18, 19, 25, 30, 31, 40, 45, 88, 142),
}

MESSAGE_PERMISSION: dict[Kind, int] = {"official": 1, "mini": 19}

_DOMAINS = ("Request", "WsRequest", "Upload", "Download", "UDP", "TCP")

OPTIONS = {"location_report": ("0", "1", "2"), "voice_recognize": ("0", "1"), "customer_service": ("0", "1")}


@dataclass
class Token:
    """An access token, of an account or of the component itself."""

    text: str = field(repr=False)
    owner: str
    expires_at: float
    refresh_token: str = field(default="", repr=False)
    """The refresh token issued with it; empty for the component's."""
    dies_at: float | None = None
    """Set when a newer token has replaced it."""


@dataclass
class Grant:
    """An owner's authorization of the platform, until it is cancelled or given again."""

    permissions: tuple[int, ...]
    auth_time: int
    refresh_token: str = field(repr=False)
    replaced: list[tuple[str, float]] = field(default_factory=list, repr=False)
    """Earlier refresh tokens with the times until which they work, in the rotation mode ``grace``."""
    access: Token | None = None


@dataclass
class Follower:
    """A follower of an account, and the limits on customer-service messages."""

    acted_at: float
    follows: bool = True
    """False after unsubscribing."""
    sent: int = 0
    """Customer-service messages since the last action."""
    messages: list[dict[str, Any]] = field(default_factory=list)


@dataclass
class Account:
    appid: str
    kind: Kind
    nick_name: str
    user_name: str
    principal_name: str
    permissions: tuple[int, ...]
    """The sets that the owner can grant."""
    lacks: frozenset[int] = frozenset()
    """Sets that can be granted although the account does not own their APIs; WeChat answers such calls with 48001."""
    grant: Grant | None = None
    options: dict[str, str] = field(default_factory=lambda: dict.fromkeys(OPTIONS, "0"))
    menu: tuple[MenuButton, ...] = ()
    """The buttons below the conversation. A mini program has none."""

    refreshes: int = 0
    """Calls of api_authorizer_token for this account."""
    in_flight: int = 0
    overlaps: int = 0
    """How many of them began while another was running."""
    max_concurrent_refreshes: int = 0

    def info(self) -> dict[str, Any]:
        """``authorizer_info`` of api_get_authorizer_info (docs/protocol.rst, "Profile")."""
        mini = self.kind == "mini"
        info: dict[str, Any] = {
            "nick_name": self.nick_name,
            "service_type_info": {"id": 0 if mini else 2},
            "verify_type_info": {"id": 0},
            "user_name": self.user_name,
            "signature": f"{self.nick_name}，在模拟的微信里",
            "alias": "",
            "qrcode_url": "",
            "business_info": {"open_pay": 0, "open_shake": 0, "open_scan": 0, "open_card": 0, "open_store": 0},
            "idc": 1,
            "principal_name": self.principal_name,
            "account_status": 1,
        }
        if mini:
            info |= {
                "MiniProgramInfo": {
                    "network": {f"{use}Domain": [] for use in _DOMAINS},
                    "categories": [{"first": "商业服务", "second": "线下超市/便利店"}],
                    "visit_status": 0,
                },
                "register_type": 0,
                "basic_config": {"is_phone_configured": True, "is_email_configured": True},
            }
        return info


def new_account(
    nick_name: str,
    kind: Kind,
    *,
    appid: str = "",
    user_name: str = "",
    permissions: tuple[int, ...] | None = None,
    principal_name: str = "",
    lacks: frozenset[int] = frozenset(),
) -> Account:
    """A new account without a grant. What is not given is derived from the rest, and so repeatable."""
    appid = appid or "wx" + _digest("appid", kind, nick_name)[:16]
    return Account(
        appid=appid,
        kind=kind,
        nick_name=nick_name,
        user_name=user_name or "gh_" + _digest("user_name", appid)[:12],
        principal_name=principal_name or f"{nick_name}（个体工商户）",
        permissions=USUAL_PERMISSIONS[kind] if permissions is None else permissions,
        lacks=lacks,
        menu=DEFAULT_MENU if kind == "official" else (),
    )


def demo_accounts() -> Iterator[Account]:
    principal = "杭州山茶文化有限公司"
    yield new_account("山茶书店", "official", appid=DEMO_OFFICIAL, principal_name=principal)
    yield new_account("山茶小铺", "mini", appid=DEMO_MINI, principal_name=principal)


def func_info(permissions: tuple[int, ...]) -> list[dict[str, Any]]:
    return [{"funcscope_category": {"id": id}} for id in permissions]


def demo_openid(appid: str, number: int) -> str:
    """A follower's openid for one account, with 28 characters as WeChat's have."""
    return "o" + _digest("openid", appid, str(number))[:27]


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()

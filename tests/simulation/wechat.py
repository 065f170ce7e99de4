"""A WeChat of one platform, as far as custody depends on it, in virtual time.

It is independent of the simulator that the package ships: smaller, and with the harder choice wherever WeChat's
documentation leaves one open. Requests are handled at a moment of their own, whether their sender lives or not.

``Rotation`` is what a refresh does to the refresh token: it dies (``STRICT``), it works for five minutes more
(``GRACE``), or it stays the same (``STABLE``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from wechat_open.client import component as paths

GRACE_SECONDS = 300.0
CODE_LIFE = 3600.0
TICKET_LIFE = 12 * 3600.0


class Rotation(Enum):
    STRICT = "strict"
    GRACE = "grace"
    STABLE = "stable"


class Refused(Exception):
    def __init__(self, errcode: int) -> None:
        super().__init__(errcode)
        self.errcode = errcode


@dataclass
class Grant:
    """What an owner has granted, as WeChat has it."""

    auth_time: int
    number: int
    refresh_token: str
    old_refresh_tokens: dict[str, float] = field(default_factory=dict)
    """Those that still work, and until when."""
    access_tokens: dict[str, float] = field(default_factory=dict)


@dataclass
class Account:
    appid: str
    grant: Grant | None = None
    in_flight: list[Any] = field(default_factory=list)
    """The sender of each request to refresh that WeChat has received and not answered."""
    overlaps: int = 0
    refreshes: int = 0
    calls: int = 0
    refuses: int = 0
    """An errcode that every call about this account gets, while there is one."""


class WeChat:
    """``now`` is WeChat's time, in seconds."""

    def __init__(self, appid: str, rotation: Rotation, token_life: int, now: Callable[[], float]) -> None:
        self.appid = appid
        self.rotation = rotation
        self.token_life = token_life
        self.now = now
        self.accounts: dict[str, Account] = {}
        self.codes: dict[str, tuple[str, int, float]] = {}
        """Authorization codes: the account, the number of its grant, until when it is good."""
        self.component_tokens: dict[str, float] = {}
        self.tickets: dict[str, float] = {}
        self.component_refreshes: list[float] = []
        self.refuses: int = 0
        """An errcode that every call gets, while there is one."""
        self.lists_late = False
        """Whether the list of accounts is that of the last ``make_list``: WeChat promises no up-to-date one."""
        self._listed: list[tuple[str, str, int]] = []
        self._number = 0

    # -- what owners and WeChat itself do ------------------------------------------------------------------------------

    def account(self, appid: str) -> Account:
        if appid not in self.accounts:
            self.accounts[appid] = Account(appid)
        return self.accounts[appid]

    def new_ticket(self) -> str:
        ticket = self._unique("ticket")
        self.tickets[ticket] = self.now() + TICKET_LIFE
        return ticket

    def authorize(self, appid: str) -> tuple[str, int]:
        """The owner grants, or grants again: the code, and WeChat's time of the grant."""
        number = self._next()
        grant = Grant(int(self.now()), number, f"refresh-{appid}-{number}")
        self.account(appid).grant = grant
        code = f"code-{number}"
        self.codes[code] = (appid, number, self.now() + CODE_LIFE)
        return code, grant.auth_time

    def make_list(self) -> None:
        """The list of accounts, as they are now."""
        self._listed = [
            (account.appid, account.grant.refresh_token, account.grant.auth_time)
            for account in self.accounts.values()
            if account.grant is not None
        ]

    def unauthorize(self, appid: str) -> int:
        self.account(appid).grant = None
        return int(self.now())

    # -- calls ---------------------------------------------------------------------------------------------------------

    def handle(self, path: str, body: dict[str, Any], token: str) -> dict[str, Any]:
        """The answer to a call. Raises Refused."""
        if self.refuses:
            raise Refused(self.refuses)
        if path == paths.COMPONENT_TOKEN:
            return self._component_token(body)
        if path == paths.START_PUSH_TICKET:
            return {"errcode": 0, "errmsg": "ok"}
        if self.component_tokens.get(token, 0.0) <= self.now():
            raise Refused(42001 if token in self.component_tokens else 40001)
        account = self.account(str(body.get("authorizer_appid") or "")) if "authorizer_appid" in body else None
        if account is not None:
            account.calls += 1
            if account.refuses:
                raise Refused(account.refuses)
        handlers = {
            paths.QUERY_AUTH: lambda: self._query_auth(body),
            paths.AUTHORIZER_TOKEN: lambda: self._refresh(account, body),
            paths.GET_AUTHORIZER_INFO: lambda: self._info(account),
            paths.GET_AUTHORIZER_LIST: lambda: self._list(body),
            paths.CREATE_PREAUTHCODE: lambda: {"pre_auth_code": self._unique("pre"), "expires_in": 1800},
        }
        return handlers[path]()

    def accepts(self, appid: str, token: str) -> bool:
        """Whether a call in the account's name with this access token would work."""
        grant = self.account(appid).grant
        return grant is not None and grant.access_tokens.get(token, 0.0) > self.now()

    def refreshable(self, appid: str, refresh_token: str) -> bool:
        """Whether this refresh token works now."""
        grant = self.account(appid).grant
        if grant is None:
            return False
        return refresh_token == grant.refresh_token or grant.old_refresh_tokens.get(refresh_token, 0.0) > self.now()

    def _component_token(self, body: dict[str, Any]) -> dict[str, Any]:
        if self.tickets.get(body["component_verify_ticket"], 0.0) <= self.now():
            raise Refused(61006)
        self.component_refreshes.append(self.now())
        token = self._unique("component")
        self.component_tokens = {token: self.now() + self.token_life}  # the old one dies at once
        return {"component_access_token": token, "expires_in": self.token_life}

    def _query_auth(self, body: dict[str, Any]) -> dict[str, Any]:
        appid, number, until = self.codes.pop(body["authorization_code"], ("", 0, 0.0))
        grant = self.accounts[appid].grant if appid else None
        if until <= self.now():
            raise Refused(61010)
        if grant is None or grant.number != number:
            raise Refused(61003 if grant is None else 61010)
        token = self._access_token(grant)
        return {
            "authorization_info": {
                "authorizer_appid": appid,
                "authorizer_access_token": token,
                "expires_in": self.token_life,
                "authorizer_refresh_token": grant.refresh_token,
                "func_info": [],
            }
        }

    def _refresh(self, account: Account | None, body: dict[str, Any]) -> dict[str, Any]:
        assert account is not None
        grant = account.grant
        if grant is None:
            raise Refused(61003)
        used = body["authorizer_refresh_token"]
        if not self.refreshable(account.appid, used):
            raise Refused(61023)
        account.refreshes += 1
        if self.rotation is not Rotation.STABLE:
            if self.rotation is Rotation.GRACE:
                grant.old_refresh_tokens[grant.refresh_token] = self.now() + GRACE_SECONDS
            grant.refresh_token = f"refresh-{account.appid}-{self._next()}"
        return {
            "authorizer_access_token": self._access_token(grant),
            "expires_in": self.token_life,
            "authorizer_refresh_token": grant.refresh_token,
        }

    def _info(self, account: Account | None) -> dict[str, Any]:
        assert account is not None
        if account.grant is None:
            raise Refused(61003)
        return {
            "authorizer_info": {"nick_name": account.appid, "user_name": f"gh_{account.appid}"},
            "authorization_info": {
                "authorizer_appid": account.appid,
                "authorizer_refresh_token": account.grant.refresh_token,
                "func_info": [],
            },
        }

    def _list(self, body: dict[str, Any]) -> dict[str, Any]:
        if not self.lists_late:
            self.make_list()
        offset, count = body["offset"], body["count"]
        names = ("authorizer_appid", "refresh_token", "auth_time")
        page = [dict(zip(names, entry, strict=True)) for entry in self._listed[offset : offset + count]]
        return {"total_count": len(self._listed), "list": page}

    def _access_token(self, grant: Grant) -> str:
        token = self._unique("access")
        grant.access_tokens = {token: self.now() + self.token_life}  # the old one dies at once
        return token

    def _unique(self, kind: str) -> str:
        return f"{kind}-{self._next()}"

    def _next(self) -> int:
        self._number += 1
        return self._number

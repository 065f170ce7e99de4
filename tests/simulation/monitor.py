"""What must hold at every step of a simulated run.

The monitor sees every row that is written and every change at WeChat. A violation is printed with the number of its
invariant.

* I1: an account that WeChat deems authorized has a refresh token that works, or gets one: within ``REPAIRED_WITHIN``
  when its answer was lost, and within the hour of the comparison when its push was. Outages do not count.
* I2: at most one refresh of an account is in flight at WeChat.
* I3: what WeChat has granted last is what is stored; a token that works is never replaced by one that does not.
* I4: a push that was answered ``success`` is in the inbox.
* I5: receivers of the site hear of each such push, at least once.
* I6: a stored refresh token is never replaced by nothing.
* I7: no reader is served a token long after it was replaced.
* I8: no account whose refresh token works is taken for unauthorized, whatever WeChat answers.
* I11: refusals renew the component token at most once a minute.
* I12: fences and grant epochs never decrease.
* I13: an account whose grant is known has a token for its readers, but for ``REPAIRED_WITHIN``.
* I14 to I16: whose account it is; see ``tenants``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache
from typing import Any

from django.db import models

from wechat_open.exceptions import EncryptionError
from wechat_open.models import Authorizer, Component
from wechat_open.tokens.policy import FORCED_APART

from .tenants import Tenants
from .wechat import WeChat

REPAIRED_WITHIN = 600.0
COMPARED_WITHIN = 4500.0
"""Seconds in which all outages are over."""
SERVED_FOR = 300.0
"""Seconds: a token that was replaced may be answered from a cache that long."""


@dataclass
class Damage:
    """Since when an account has no refresh token that works, and whether its grant is known here."""

    since: float
    known: bool


@dataclass
class Monitor:
    """Calls ``broken`` with the words of each violation."""

    wechat: WeChat
    tenants: Tenants
    now: Callable[[], float]
    broken: Callable[[str], None]
    usable: Callable[[str, float, float], float]
    """How many seconds between two moments nothing was down that an account needs."""
    rows: dict[str, dict[str, Any]] = field(default_factory=dict)
    damages: dict[str, Damage] = field(default_factory=dict)
    repaired_after: list[float] = field(default_factory=list)
    replaced: dict[str, float] = field(default_factory=dict)
    """Access tokens that were replaced in their rows, and when."""
    known_grants: dict[str, int] = field(default_factory=dict)
    unread: dict[tuple[str, int], float] = field(default_factory=dict)
    """Accounts, with the numbers of their grants, whose readers got no token, and since when."""
    _revealed: dict[tuple[str, str, str], str] = field(default_factory=dict)

    # -- what happened -------------------------------------------------------------------------------------------------

    def written(self, model: type[models.Model], before: dict[str, Any] | None, row: dict[str, Any]) -> None:
        """A row was inserted or changed."""
        if model is Component and before is not None:
            self._component(before, row)
        elif model is Authorizer:
            self.rows[row["appid"]] = row
            self.tenants.written(before, row, list(self.rows.values()))
            if before is not None:
                self._account(before, row)
            self.look(row["appid"])

    def look(self, appid: str) -> None:
        """Whether the account's refresh token works; called whenever either side has changed."""
        works = self._works(appid)
        damage = self.damages.get(appid)
        if works:
            grant = self.wechat.account(appid).grant
            if grant is not None:
                self.known_grants[appid] = grant.number
            if damage is not None:
                self._repaired(appid, damage)
        elif damage is None:
            grant = self.wechat.account(appid).grant
            known = grant is not None and self.known_grants.get(appid) == grant.number
            self.damages[appid] = Damage(self.now(), known)

    def served(self, appid: str, token: str) -> None:
        """A reader was given this access token."""
        replaced_at = self.replaced.get(token)
        if replaced_at is not None and self.now() - replaced_at > SERVED_FOR:
            self.broken(f"I7: {appid} was served a token that was replaced {self.now() - replaced_at:.0f} s ago")

    def read(self, appid: str, works: bool) -> None:
        """A reader got a token that works, or none."""
        grant = self.wechat.account(appid).grant
        if grant is None:
            return
        if works or self.known_grants.get(appid) != grant.number:
            self.unread.pop((appid, grant.number), None)
            return
        seconds = self.usable(appid, self.unread.setdefault((appid, grant.number), self.now()), self.now())
        if seconds > REPAIRED_WITHIN:
            self.broken(f"I13: readers of {appid} have had no token for {seconds:.0f} s")

    def poisoned(self, appid: str) -> None:
        """A value of this account's row was damaged from outside: nothing looks for that before its next renewal."""
        if not self._works(appid):
            self.damages[appid] = Damage(self.now(), known=False)

    def stored(self, appid: str, name: str) -> str:
        """A token as the account's row has it; nothing without one."""
        row = self.rows.get(appid)
        return self._reveal(row, name) if row is not None else ""

    # -- what must hold ------------------------------------------------------------------------------------------------

    def _component(self, before: dict[str, Any], row: dict[str, Any]) -> None:
        if row["fence"] < before["fence"]:
            self.broken("I12: the fence of the component decreases")
        apart: timedelta | None = None
        if before["forced_at"] is not None and row["forced_at"] != before["forced_at"]:
            apart = row["forced_at"] - before["forced_at"]
        if apart is not None and apart < FORCED_APART:
            self.broken(f"I11: the component token was forced twice within {apart}")

    def _account(self, before: dict[str, Any], row: dict[str, Any]) -> None:
        appid = row["appid"]
        for name in ("fence", "grant_epoch"):
            if row[name] < before[name]:
                self.broken(f"I12: {name} of {appid} decreases")
        if before["access_token"] and row["access_token"] != before["access_token"]:
            self.replaced.setdefault(self._reveal(before, "access_token"), self.now())
        authorized = row["state"] == Authorizer.State.AUTHORIZED
        if before["refresh_token"] and not row["refresh_token"] and authorized:
            self.broken(f"I6: the refresh token of {appid} is replaced by nothing")
        if self.wechat.account(appid).grant is None or not self._token_works(before):
            return
        if before["state"] == Authorizer.State.AUTHORIZED and not authorized:
            self.broken(f"I8: {appid} becomes {row['state']}, and its refresh token works")
        if not self._token_works(row):
            self.broken(f"I3: the refresh token of {appid} works, and is replaced by one that does not")

    def _works(self, appid: str) -> bool:
        """Nothing is missing, also when there is nothing to have."""
        if self.wechat.account(appid).grant is None:
            return True
        row = self.rows.get(appid)
        return row is not None and row["state"] == Authorizer.State.AUTHORIZED and self._token_works(row)

    def _token_works(self, row: dict[str, Any]) -> bool:
        return self.wechat.refreshable(row["appid"], self._reveal(row, "refresh_token"))

    def _repaired(self, appid: str, damage: Damage) -> None:
        del self.damages[appid]
        self.check_damage(appid, damage)
        if damage.known:
            self.repaired_after.append(self.now() - damage.since)

    def check_damage(self, appid: str, damage: Damage) -> None:
        if self.wechat.account(appid).grant is None:
            return
        seconds = self.usable(appid, damage.since, self.now())
        if seconds > (REPAIRED_WITHIN if damage.known else COMPARED_WITHIN):
            self.broken(f"I1: {appid} had no refresh token that works for {seconds:.0f} s")

    def _reveal(self, row: dict[str, Any], name: str) -> str:
        """The secret in clear; nothing for one that was damaged."""
        key = row["appid"], name, row[name]
        if key not in self._revealed:
            account = _account(row["appid"])
            setattr(account, name, row[name])
            try:
                self._revealed[key] = account.reveal(name).reveal()
            except EncryptionError:
                self._revealed[key] = ""
        return self._revealed[key]


@cache
def _account(appid: str) -> Authorizer:
    """A row that decrypts what is stored of this account."""
    account = Authorizer(appid=appid)
    account.component = Component(appid=COMPONENT_APPID)
    return account


COMPONENT_APPID = "wxcomponent"

"""Whose accounts are whose: what owners did, what the site learned, and what must hold of it.

An account belongs to the tenant whose link its owner has used last. Three invariants (``monitor`` has the others):

* I14: an account never goes back to the link of an earlier grant, and a link never connects two accounts.
* I15: a code that a thief has found brings its account to no other link, once WeChat or the owner has named the right
  one.
* I16: in the end an account belongs to the link of its newest grant, if that has become known, and receivers of the
  site have heard so last.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Confirmed:
    """A grant as its owner gave it. WeChat numbers grants in their order."""

    appid: str
    number: int
    code: str
    granted_at: int
    """WeChat's time, in whole seconds: that is all that it tells."""
    link: int | None
    """None for a grant that was given on WeChat's own page."""


@dataclass(frozen=True)
class Theft:
    """A thief has presented a found code at a page of a link of his own."""

    code: str
    known_before: bool
    """Whether the site knew where the code belongs."""


@dataclass
class Tenants:
    """Calls ``broken`` with the words of each violation."""

    broken: Callable[[str], None]
    confirmed: dict[str, list[Confirmed]] = field(default_factory=dict)
    thefts: dict[int, Theft] = field(default_factory=dict)
    """By the link of the thief."""
    pushed: set[str] = field(default_factory=set)
    """Codes whose push is done."""
    returned: set[str] = field(default_factory=set)
    """Codes with which their owner's browser came back."""
    announced: dict[str, int | None] = field(default_factory=dict)
    """The link of each account, as a receiver of the site has heard last."""
    _bound: dict[str, int] = field(default_factory=dict)
    """The number of the newest grant to whose link each account has come."""

    # -- what happened -------------------------------------------------------------------------------------------------

    def confirm(self, grant: Confirmed) -> None:
        self.confirmed.setdefault(grant.appid, []).append(grant)

    def steal(self, code: str, link: int) -> None:
        self.thefts[link] = Theft(code, known_before=code in self.pushed or code in self.returned)

    def written(self, before: dict[str, Any] | None, row: dict[str, Any], others: list[dict[str, Any]]) -> None:
        """An account's row was inserted or changed."""
        appid, link = row["appid"], row["granted_through_id"]
        if link is None or (before is not None and before["granted_through_id"] == link):
            return
        if any(other["granted_through_id"] == link and other["appid"] != appid for other in others):
            self.broken(f"I14: link {link} connects two accounts")
        number = max((grant.number for grant in self.confirmed.get(appid, []) if grant.link == link), default=None)
        if number is None:
            self._strange(appid, link)
        elif number < self._bound.get(appid, 0):
            self.broken(f"I14: {appid} goes back to the link of an earlier grant")
        else:
            self._bound[appid] = number

    def _strange(self, appid: str, link: int) -> None:
        theft = self.thefts.get(link)
        if theft is None or theft.known_before or theft.code in self.pushed:
            self.broken(f"I15: {appid} comes to link {link}, which its owner has not used")

    # -- in the end ----------------------------------------------------------------------------------------------------

    def check_at_rest(self, row: dict[str, Any]) -> None:
        """Of an account that is authorized, here and at WeChat."""
        appid, link = row["appid"], row["granted_through_id"]
        if self.announced.get(appid) != link:
            self.broken(f"I16: receivers have heard last that {appid} came through {self.announced.get(appid)}")
        newest = self.confirmed[appid][-1]
        right = {grant.link for grant in self.confirmed[appid] if grant.granted_at == newest.granted_at}
        if newest.code in self.pushed:
            if link not in right and not (link is None and self._contested(newest)):
                self.broken(f"I16: {appid} belongs to link {link}, and its owner has used {newest.link}")
        elif newest.code in self.returned and link is not None and link not in right:
            self.broken(f"I16: {appid} belongs to link {link}, and its owner came back through {newest.link}")

    def _contested(self, grant: Confirmed) -> bool:
        """Whether another account came through the same link."""
        return any(
            other.link == grant.link
            for appid, grants in self.confirmed.items()
            if appid != grant.appid
            for other in grants
        )

"""What does the database know about a platform right now?

At most five queries, each answered by an index. A few thousand accounts are walked through; more are not.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any

from django.db.models import Count, Min, OuterRef, Q, QuerySet, Subquery, Sum

from .. import census, clock
from ..component import Platform
from ..models import Authorizer, Component, HourlyCount, JournalEntry, Push, VerifyTicket
from .thresholds import COUNTED, INBOX_WAITING, LATE, LATELY, OVERDUE


@dataclass(frozen=True)
class Facts:
    """All that the checks judge. ``now`` is the database's time, by which everything else was written."""

    row: Component
    now: datetime
    host_ahead: float
    """Seconds by which the clock of this host is ahead of the database's."""
    ticket_at: datetime | None
    forced: int
    newly_lost: int
    refused: int
    overdue: int
    overdue_since: datetime | None
    expired: int
    waiting: int
    waiting_since: datetime | None
    failing: int
    """How many of those that wait have failed before."""
    states: dict[str, int]

    @property
    def authorized(self) -> int:
        return self.states[Authorizer.State.AUTHORIZED]

    @property
    def lost(self) -> int:
        """Accounts that need their owner."""
        return self.states[Authorizer.State.NEEDS_REAUTHORIZATION]

    def age(self, at: datetime | None) -> float | None:
        """Seconds since then; never less than none, whatever happened to the clock."""
        return None if at is None else max(0.0, (self.now - at).total_seconds())

    def age_here(self, at: datetime | None) -> float:
        """The same; what has never happened is as old as the platform is here."""
        return self.age(at or self.row.created_at) or 0.0

    @property
    def token_left(self) -> float:
        """Seconds that the component token has."""
        expires_at = self.row.access_token_expires_at
        if not self.row.access_token or expires_at is None:
            return 0.0
        return max(0.0, (expires_at - self.now).total_seconds())

    @property
    def token_life(self) -> timedelta:
        """How long WeChat said that the component token lives."""
        obtained_at, expires_at = self.row.access_token_obtained_at, self.row.access_token_expires_at
        return expires_at - obtained_at if obtained_at and expires_at else timedelta()

    @property
    def paused(self) -> bool:
        return self.row.paused_until is not None and self.row.paused_until > self.now


def read(platform: Platform) -> Facts:
    """Ask the database. Its errors are raised."""
    row = _row(platform)
    host_ahead = (datetime.now(timezone.utc) - row.read_at).total_seconds()
    counted = census.kept(row)
    accounts = _few(row) if counted is None else _many(row, counted)
    waiting = Push.objects.filter(
        state__in=[Push.State.RECEIVED, Push.State.FAILED], received_at__lt=clock.now() - INBOX_WAITING, component=row
    ).aggregate(count=Count("pk"), since=Min("received_at"), failing=Count("pk", filter=Q(state=Push.State.FAILED)))
    return Facts(
        row=row,
        now=row.read_at,
        host_ahead=host_ahead,
        ticket_at=row.ticket_at,
        waiting=waiting["count"],
        waiting_since=waiting["since"],
        failing=waiting["failing"],
        **accounts,
        **_lately(row, accounts["states"]),
    )


def _row(platform: Platform) -> Any:
    """The platform's row, made when it is not there, with the time and the newest ticket."""
    tickets = VerifyTicket.objects.filter(component=OuterRef("pk")).order_by("-created_at", "-pk")
    rows: QuerySet[Any] = Component.objects.annotate(
        read_at=clock.read(), ticket_at=Subquery(tickets.values("received_at")[:1])
    )
    return rows.filter(appid=platform.appid).first() or rows.get(pk=platform.row.pk)


def _few(row: Component) -> dict[str, Any]:
    """All about the accounts at once, where they are few enough to be walked through."""
    facts: dict[str, Any] = {"states": dict.fromkeys(Authorizer.State.values, 0)}
    facts |= {"refused": 0, "overdue": 0, "overdue_since": None, "expired": 0}
    groups = (
        Authorizer.objects.filter(component=row)
        .order_by()
        .values("state")
        .annotate(
            number=Count("pk"),
            refused=Count("refused_since"),
            overdue=Count("pk", filter=Q(next_action_at__lt=clock.now() - OVERDUE)),
            earliest=Min("next_action_at"),
            expired=Count("pk", filter=Q(access_token_expires_at__lt=clock.now() - LATE)),
        )
    )
    for group in groups:
        facts["states"][group["state"]] = group["number"]
        if group["state"] == Authorizer.State.AUTHORIZED:
            facts |= {name: group[name] for name in ("refused", "overdue", "expired")}
            facts["overdue_since"] = group["earliest"] if group["overdue"] else None
    return facts


def _many(row: Component, counted: census.Census) -> dict[str, Any]:
    """As they were counted; what is wrong with them is read from the beginning of an index."""
    authorized = Authorizer.objects.filter(component=row, state=Authorizer.State.AUTHORIZED)
    overdue = _first(authorized.filter(next_action_at__lt=clock.now() - OVERDUE), "next_action_at")
    expired = _first(authorized.filter(access_token_expires_at__lt=clock.now() - LATE), "access_token_expires_at")
    return {
        "states": counted.states,
        "refused": counted.refused,
        "overdue": overdue["count"],
        "overdue_since": overdue["since"],
        "expired": expired["count"],
    }


def _first(accounts: QuerySet[Authorizer], column: str) -> dict[str, Any]:
    """How many, as far as they are counted, and the earliest."""
    earliest = accounts.order_by(column).values(column)[:COUNTED]
    found: dict[str, Any] = earliest.aggregate(count=Count("*"), since=Min(column))
    return found


def _lately(row: Component, states: dict[str, int]) -> dict[str, Any]:
    """What happened in the last hour: asked only where something has."""
    facts = {"forced": 0, "newly_lost": 0}
    asked = {}
    if row.forced_at is not None:
        hour = datetime.now(timezone.utc).replace(minute=0, second=0, microsecond=0)
        forced = HourlyCount.objects.filter(
            component=OuterRef("pk"), what=HourlyCount.What.FORCED, hour__in=[hour - timedelta(hours=1), hour]
        )
        asked["forced"] = _one(forced, Sum("count"))
    if states[Authorizer.State.NEEDS_REAUTHORIZATION]:
        lost = JournalEntry.objects.filter(
            component=OuterRef("pk"), kind=JournalEntry.Kind.NEEDS_REAUTHORIZATION, at__gt=clock.now() - LATELY
        )
        asked["newly_lost"] = _one(lost, Count("pk"))
    if asked:
        answers = Component.objects.annotate(**asked).values(*asked).get(pk=row.pk)
        facts |= {name: number or 0 for name, number in answers.items()}
    return facts


def _one(rows: QuerySet[Any], number: Any) -> Subquery:
    """A number about the rows of this component."""
    return Subquery(rows.order_by().values("component").annotate(number=number).values("number"))

"""What the database holds about a platform right now.

One query, answered by indexes alone; then what is wrong is counted. A few thousand accounts are read row by row; more
are not.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from functools import lru_cache
from typing import Any

from django.db.models import Count, Expression, ExpressionWrapper, Min, OuterRef, Q, QuerySet, Subquery, Sum

from ..db import clock
from ..db.times import UTCDateTimeField
from ..models import AuditEntry, Authorizer, Component, HourlyCount, Push, VerifyTicket
from ..platforms import Platform
from . import statistics
from .statistics import LATE, OVERDUE

FAILED_AGAIN = 2
"""A renewal that failed once is repeated within seconds. So many in a row count as failing."""

FAILING_RED_SHARE = 0.2
"""So many failing accounts are red; where there are more, they are not counted to the end."""

FAILING_READ = 2000
"""So many failing accounts are read to learn by which errcodes they fail."""

NAMED = 3
"""So many accounts, or errcodes, are named in a message."""

ABANDONED_FOR = timedelta(days=30)
"""For so long a push that was given up is reported, unless it is processed again."""

INBOX_WAITING = timedelta(minutes=1)

LATELY = timedelta(hours=1)
"""For accounts that newly need their owner or were newly restricted, and for a brake that was on."""

MISUSED_FOR = timedelta(days=1)
"""For how long a misused authorization code is reported."""

COUNTED = 10_000
"""Overdue and expired accounts are counted up to here: one percent of a million is red already."""


@dataclass(frozen=True, kw_only=True)
class Facts:
    """All that the checks judge. ``now`` is the database's time, by which everything else was written.

    A default stands for what was not counted, because there is none.
    """

    platform: Platform
    row: Component
    now: datetime
    host_ahead: float
    """Seconds by which the clock of this host is ahead of the database's."""
    ticket_at: datetime | None
    forced: int
    handlers_busy: int
    """Messages that were refused because an account's handlers were busy."""
    deferred_refused: int
    """Tasks that named a function which the site did not register."""
    newly_lost: int
    misused_codes: int
    refused: int = 0
    overdue: int = 0
    overdue_since: datetime | None = None
    """Since when the first of them has been due, whether or not it was tried."""
    untried_since: datetime | None = None
    """Since when the first of them that no worker has tried has been due."""
    expired: int = 0
    failing: int = 0
    """Accounts whose last renewals failed; where they are many, counted to a little above the share that is red."""
    failing_codes: tuple[tuple[int | None, int], ...] = ()
    """By which errcodes they fail, the most frequent first. None: WeChat gave no usable answer."""
    restricted: int = 0
    newly_restricted: int = 0
    restricted_accounts: tuple[tuple[str, int | None], ...] = ()
    """The last of them, with the errcode of each."""
    waiting: int = 0
    waiting_since: datetime | None = None
    waiting_failed: int = 0
    """How many of those that wait have failed before."""
    abandoned: int = 0
    """Pushes that were given up."""
    states: dict[str, int]

    @property
    def authorized(self) -> int:
        return self.states[Authorizer.State.AUTHORIZED]

    @property
    def lost(self) -> int:
        """Accounts that need their owner to authorize again."""
        return self.states[Authorizer.State.NEEDS_REAUTHORIZATION]

    def age(self, at: datetime | None) -> float | None:
        """Seconds since then; never negative, even when a clock was set back."""
        return None if at is None else max(0.0, (self.now - at).total_seconds())

    def age_here(self, at: datetime | None) -> float:
        """The same; for what has never happened, the age of the platform's row."""
        return self.age(at or self.row.created_at) or 0.0

    @property
    def token_left(self) -> float:
        """Seconds until the component token expires."""
        expires_at = self.row.access_token_expires_at
        if not self.row.access_token or expires_at is None:
            return 0.0
        return max(0.0, (expires_at - self.now).total_seconds())

    @property
    def token_life(self) -> timedelta:
        """The life of the component token, as WeChat gave it."""
        obtained_at, expires_at = self.row.access_token_obtained_at, self.row.access_token_expires_at
        return expires_at - obtained_at if obtained_at and expires_at else timedelta()

    @property
    def paused(self) -> bool:
        return self.row.paused_since is not None


def read(platform: Platform) -> Facts:
    """Read the database. Its errors are raised."""
    row = _row(platform)
    host_ahead = (datetime.now(timezone.utc) - row.read_at).total_seconds()
    counted = statistics.stored(row)
    accounts = _few(row) if counted is None else _many(row, counted)
    if failing := accounts.get("failing", 0):
        accounts["failing_codes"] = _failing_codes(row, failing)
    if accounts.get("restricted", 0):
        accounts["restricted_accounts"] = _restricted_accounts(row)
    return Facts(
        platform=platform,
        row=row,
        now=row.read_at,
        host_ahead=host_ahead,
        ticket_at=row.ticket_at,
        forced=row.forced or 0,
        handlers_busy=row.handlers_busy or 0,
        deferred_refused=row.deferred_refused or 0,
        newly_lost=row.newly_lost or 0,
        misused_codes=row.misused_codes or 0,
        **accounts,
        **_waiting(row),
    )


def _row(platform: Platform) -> Any:
    """The platform's row, created when it is missing, with what indexes answer in the same query."""
    rows = _rows(clock.now())
    return rows.filter(appid=platform.appid).first() or rows.get(pk=platform.row.pk)


@lru_cache(maxsize=2)
def _rows(now: Expression) -> QuerySet[Any]:
    """Platforms, each with the time, and with what is at the beginning of an index.

    It is one query, and is put together once in a process: that takes longer than all of the answers.
    """
    authorized = Authorizer.objects.filter(component=OuterRef("pk"), state=Authorizer.State.AUTHORIZED)
    pushes = Push.objects.filter(component=OuterRef("pk"))
    lost = AuditEntry.objects.filter(
        component=OuterRef("pk"), kind=AuditEntry.Kind.NEEDS_REAUTHORIZATION, at__gt=now - LATELY
    )
    misused = AuditEntry.objects.filter(
        component=OuterRef("pk"), kind=AuditEntry.Kind.CODE_MISUSED, at__gt=now - MISUSED_FOR
    )
    counted = HourlyCount.objects.filter(  # in this hour and the one before
        component=OuterRef("pk"), hour__gt=clock.DatabaseTime() - timedelta(hours=2)
    )
    return Component.objects.order_by("pk").annotate(
        read_at=ExpressionWrapper(now, output_field=UTCDateTimeField()),
        ticket_at=_first(
            VerifyTicket.objects.filter(component=OuterRef("pk")), "-received_at", "-pk", of="received_at"
        ),
        due_at=_first(authorized.filter(next_action_at__isnull=False), "next_action_at"),
        late_since=_first(authorized.filter(due_since__isnull=False), "due_since"),
        expires_at=_first(authorized.filter(access_token_expires_at__isnull=False), "access_token_expires_at"),
        most_failures=_first(authorized.filter(failures__gte=FAILED_AGAIN), "-failures", of="failures"),
        restricted_at=_first(
            authorized.filter(restricted_since__isnull=False), "-restricted_since", of="restricted_since"
        ),
        abandoned_at=_first(pushes.filter(state=Push.State.ABANDONED), "-received_at", of="received_at"),
        received_at=_first(pushes.filter(state=Push.State.RECEIVED), "received_at"),
        failed_at=_first(pushes.filter(state=Push.State.FAILED), "received_at"),
        newly_lost=_number(lost, Count("pk")),
        misused_codes=_number(misused, Count("pk")),
        forced=_number(counted.filter(counter=HourlyCount.Counter.FORCED), Sum("count")),
        handlers_busy=_number(counted.filter(counter=HourlyCount.Counter.HANDLERS_BUSY), Sum("count")),
        deferred_refused=_number(counted.filter(counter=HourlyCount.Counter.DEFERRED_REFUSED), Sum("count")),
    )


class _Prepared(Subquery):
    """A subquery whose SQL is made once: it does not change, because the outer query selects the platform."""

    def __init__(self, queryset: QuerySet[Any]) -> None:
        super().__init__(queryset)
        self.made: dict[str, Any] = {}

    def as_sql(self, compiler: Any, connection: Any, *args: Any, **kwargs: Any) -> Any:
        if connection.alias not in self.made:
            self.made[connection.alias] = super().as_sql(compiler, connection, *args, **kwargs)
        return self.made[connection.alias]


def _first(rows: QuerySet[Any], *order: str, of: str = "") -> Subquery:
    """A column of the first row in this order."""
    return _Prepared(rows.order_by(*order).values(of or order[0])[:1])


def _number(rows: QuerySet[Any], number: Any) -> Subquery:
    """A number about the rows of this component."""
    return _Prepared(rows.order_by().values("component").annotate(number=number).values("number"))


def _few(row: Component) -> dict[str, Any]:
    """All numbers of the accounts in one query, where they are few enough to be read."""
    facts: dict[str, Any] = {"states": dict.fromkeys(Authorizer.State.values, 0)}
    late = clock.now() - OVERDUE
    groups = (
        Authorizer.objects.filter(component=row)
        .order_by()
        .values("state")
        .annotate(
            number=Count("pk"),
            refused=Count("refused_since"),
            overdue=Count("pk", filter=Q(next_action_at__lt=late) | Q(due_since__lt=late)),
            untried_since=Min("next_action_at", filter=Q(next_action_at__lt=late)),
            first_due=Min("due_since", filter=Q(due_since__lt=late)),
            expired=Count("pk", filter=Q(access_token_expires_at__lt=clock.now() - LATE) & _NOT_RESTRICTED),
            failing=Count("pk", filter=Q(failures__gte=FAILED_AGAIN) & _NOT_RESTRICTED),
            restricted=Count("restricted_since"),
            newly_restricted=Count("pk", filter=Q(restricted_since__gt=clock.now() - LATELY)),
        )
    )
    for group in groups:
        facts["states"][group["state"]] = group["number"]
        if group["state"] == Authorizer.State.AUTHORIZED:
            names = ("refused", "overdue", "untried_since", "expired", "failing", "restricted", "newly_restricted")
            known: dict[str, Any] = {**group}
            facts |= {name: known[name] for name in names}
            dues = [at for at in (group["untried_since"], group["first_due"]) if at]
            facts["overdue_since"] = min(dues, default=None)
    return facts


def _many(row: Any, counted: statistics.AccountStatistics) -> dict[str, Any]:
    """The stored statistics; what is wrong is counted from the beginning of an index, if there is any."""
    authorized = Authorizer.objects.filter(component=row, state=Authorizer.State.AUTHORIZED)
    facts: dict[str, Any] = {"states": counted.states, "refused": counted.refused}
    late = row.read_at - OVERDUE
    if row.due_at and row.due_at < late:
        untried = authorized.filter(next_action_at__lt=late).order_by("next_action_at")
        facts |= {"overdue": untried[:COUNTED].count(), "overdue_since": row.due_at, "untried_since": row.due_at}
    if row.late_since and row.late_since < late:
        tried = authorized.filter(due_since__lt=late, next_action_at__gte=late).order_by("due_since")
        facts["overdue"] = facts.get("overdue", 0) + tried[:COUNTED].count()
        facts["overdue_since"] = min(row.late_since, facts.get("overdue_since", row.late_since))
    if row.expires_at and row.expires_at < row.read_at - LATE:
        gone = authorized.filter(_NOT_RESTRICTED, access_token_expires_at__lt=row.read_at - LATE)
        facts["expired"] = gone.order_by("access_token_expires_at")[:COUNTED].count()
    if row.most_failures:
        most = int(FAILING_RED_SHARE * counted.states[Authorizer.State.AUTHORIZED]) + 1
        failing = authorized.filter(_NOT_RESTRICTED, failures__gte=FAILED_AGAIN)
        facts["failing"] = failing.order_by("failures")[: max(most, COUNTED)].count()
    if row.restricted_at:
        restricted = authorized.filter(restricted_since__isnull=False)
        facts["restricted"] = restricted.order_by("restricted_since")[:COUNTED].count()
        newly = restricted.filter(restricted_since__gt=row.read_at - LATELY).order_by("restricted_since")
        facts["newly_restricted"] = newly[:COUNTED].count()
    return facts


_NOT_RESTRICTED = Q(restricted_since__isnull=True)
"""What WeChat has frozen or closed has a finding of its own."""


def _failing_codes(row: Any, failing: int) -> tuple[tuple[int | None, int], ...]:
    """By which errcodes accounts fail. Of many, some thousand are read, and the numbers are those of all."""
    rows = Authorizer.objects.filter(
        _NOT_RESTRICTED, component=row, state=Authorizer.State.AUTHORIZED, failures__gte=FAILED_AGAIN
    )
    read = list(rows.order_by("failures").values_list("last_errcode", flat=True)[:FAILING_READ])
    scale = failing / max(len(read), 1)
    return tuple((code, round(number * scale)) for code, number in Counter(read).most_common())


def _restricted_accounts(row: Any) -> tuple[tuple[str, int | None], ...]:
    rows = Authorizer.objects.filter(
        component=row, state=Authorizer.State.AUTHORIZED, restricted_since__isnull=False
    ).order_by("-restricted_since")
    return tuple(rows.values_list("appid", "last_errcode")[:NAMED])


def _waiting(row: Any) -> dict[str, Any]:
    """The pushes that wait too long; they are counted if there is any."""
    facts: dict[str, Any] = {}
    if row.abandoned_at and row.abandoned_at > row.read_at - ABANDONED_FOR:
        pushes = Push.objects.filter(state=Push.State.ABANDONED, received_at__gt=row.read_at - ABANDONED_FOR)
        facts["abandoned"] = pushes.filter(component=row).order_by("-received_at")[:COUNTED].count()
    oldest = min((at for at in (row.received_at, row.failed_at) if at), default=None)
    if oldest is None or oldest >= row.read_at - INBOX_WAITING:
        return facts
    waiting = Push.objects.filter(
        state__in=[Push.State.RECEIVED, Push.State.FAILED], received_at__lt=row.read_at - INBOX_WAITING, component=row
    )
    numbers = waiting.aggregate(waiting=Count("pk"), waiting_failed=Count("pk", filter=Q(state=Push.State.FAILED)))
    return {**numbers, "waiting_since": oldest, **facts}

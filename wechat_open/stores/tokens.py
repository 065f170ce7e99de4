"""How tokens lie in the database: reads, leases and compare-and-set, for the component and for accounts.

Each public method is one short exchange with the database, and a place where a process may be killed. Leases are taken
and outcomes written on condition of ``fence`` (and ``grant_epoch``), so a late writer changes nothing. No method holds
a lock or a transaction when it returns.
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Generic, TypeVar

from django.db import DataError, IntegrityError, InternalError, connections, router, transaction
from django.db import Error as AnyDatabaseError
from django.db.models import Case, F, Model, Q, QuerySet, When
from django.db.models.functions import Coalesce

from ..client.component import NewToken
from ..db import clock
from ..db.leases import Lease
from ..exceptions import APIError, EncryptionError, WeChatOpenError
from ..models import Authorizer, Component, TokenHolder
from ..ports import TIMING, Timing
from ..secret import Secret
from ..text import TranslatableText as _

logger = logging.getLogger(__name__)

COMMIT_FOR = 15.0
"""Seconds for which a write is repeated while the database fails: after a rotation it has the only good token."""

ABOUT_A_ROW = (DataError, IntegrityError, InternalError)
"""The database's errors that are about the values of a row: writing them again changes nothing."""

UNREADABLE = (*ABOUT_A_ROW, ValueError, TypeError, OverflowError)
"""What drivers and Django raise for a stored value that is not what its column is for."""

_R = TypeVar("_R", bound=TokenHolder)
_T = TypeVar("_T")


class UnusableRow(WeChatOpenError):
    """A row cannot be read, or the database does not take what is written to it. No other row is concerned.

    The error's own message may show values of the row, so only its class is named.
    """

    def __init__(self, appid: str, error: Exception) -> None:
        super().__init__(
            _(
                "The database's row of %(appid)s cannot be used (%(error)s).",
                appid=appid,
                error=type(error).__name__,
            )
        )


TOKEN_LEASE = Lease("leased_until", timedelta(minutes=1))
"""How long a token is leased for its renewal. A worker that was killed is replaced after that.

Every call that renews a token is made under it, and it outlasts the call. So a new grant, or a cancellation, changes
the row and leaves the lease: the next renewal begins when the call that may be in flight has ended.
"""

AFTER_LEASE = timedelta(seconds=1)


@dataclass(frozen=True)
class StoredToken:
    """A token as it was read, with the database's time of reading."""

    pk: int
    state: str
    access_token: Secret
    obtained_at: datetime | None
    expires_at: datetime | None
    next_action_at: datetime | None
    leased_until: datetime | None
    failures: int
    fence: int
    last_error: str
    read_at: datetime

    @property
    def valid(self) -> bool:
        return bool(self.access_token) and self.expires_at is not None and self.expires_at > self.read_at

    @property
    def leased(self) -> bool:
        return self.leased_until is not None and self.leased_until > self.read_at

    @property
    def rests(self) -> bool:
        """Whether a renewal has failed and is not to be repeated yet.

        While a worker renews, the row is due when the lease ends; after a call without an answer, it is due later.
        """
        if not self.failures or self.next_action_at is None or self.next_action_at <= self.read_at:
            return False
        return not self.leased or (self.leased_until is not None and self.next_action_at > self.leased_until)

    @property
    def rests_for(self) -> timedelta:
        """How long until a failed renewal is repeated."""
        return max(timedelta(), self.next_action_at - self.read_at) if self.next_action_at else timedelta()


@dataclass(frozen=True)
class TokenLease:
    """The lease on one token for its renewal, and what the renewal needs."""

    pk: int
    appid: str
    fence: int
    failures: int
    taken_at: datetime
    taken_monotonic: float
    until: datetime
    """The database's time at which it ends. No other lease on the row ends at the same time."""
    ends_monotonic: float = 0.0
    """This process's time before which it has not ended: counted from before the statement that took it."""
    grant_epoch: int = 0
    refresh_token: Secret = field(default_factory=Secret)
    previous_refresh_token: Secret = field(default_factory=Secret)
    needs_reconcile: bool = False
    refused_since: datetime | None = None
    restricted_since: datetime | None = None
    missing_since: datetime | None = None
    renewals: tuple[str, ...] = ()
    last_errcode: int | None = None
    """What WeChat has answered to the last attempt, if that failed."""
    cancelled: bool = False
    """An unauthorized push came in the very second of the grant: WeChat has to say which was last."""
    damage: WeChatOpenError | None = None
    """Why the row's own refresh token cannot be used, though it may be good: WeChat's records have it too."""

    def time_at(self, monotonic: float) -> datetime:
        """The database's time at a later moment of this process, or a little earlier, if the database was slow."""
        return self.taken_at + timedelta(seconds=monotonic - self.taken_monotonic)

    def after_refusal(self, error: WeChatOpenError) -> TokenLease:
        """The lease with the failures that count for when a refused renewal is repeated.

        Calls without an answer, and answers with another errcode, are no refusals of this kind: all together they count
        as one.
        """
        if not isinstance(error, APIError) or error.errcode == self.last_errcode:
            return self
        return replace(self, failures=min(self.failures, 1))


class TokenStore(ABC, Generic[_R]):
    """What components and authorizers have in common."""

    model: type[_R]

    def __init__(self, component: Component, timing: Timing = TIMING) -> None:
        self.component = component
        self.timing = timing
        self._unwritable: set[int] = set()

    # -- reading -----------------------------------------------------------------------------------------------------

    @abstractmethod
    def rows(self) -> QuerySet[_R]:
        """The rows of this store."""

    def _renewable(self) -> QuerySet[_R]:
        """The rows whose tokens are renewed when they are due."""
        return self.rows()

    def _get(self, **lookup: Any) -> _R:
        return self.rows().annotate(read_at=clock.read()).get(**lookup)

    def _stored(self, row: _R) -> StoredToken:
        """The values of a row that was read with ``read_at``."""
        return StoredToken(
            pk=row.pk,
            state=self._state(row),
            access_token=self._access_token(row),
            obtained_at=row.access_token_obtained_at,
            expires_at=row.access_token_expires_at,
            next_action_at=row.next_action_at,
            leased_until=row.leased_until,
            failures=row.failures,
            fence=row.fence,
            last_error=row.last_error,
            read_at=row.read_at,  # type: ignore[attr-defined]  # an annotation
        )

    def _access_token(self, row: _R) -> Secret:
        """Empty when it cannot be decrypted: then there is none to use, and it is renewed."""
        try:
            return row.reveal("access_token")
        except EncryptionError as error:
            logger.error("An access token cannot be used, and is renewed. %s", error)
            return Secret()

    def _state(self, row: _R) -> str:
        return Authorizer.State.AUTHORIZED

    # -- leases ------------------------------------------------------------------------------------------------------

    def take(self, stored: StoredToken) -> TokenLease | None:
        """Take the lease on this token; None when the row changed or another worker has it."""
        return self._take(self.rows(), stored.pk, stored.fence)

    def take_due(self, limit: int) -> list[TokenLease]:
        """Take the leases on up to ``limit`` tokens that are due, the most overdue first.

        A row that cannot be read is leased like any other, and its lease says why (``damage``). A row that cannot be
        written is left out, also of what this store takes later.
        """
        while True:
            free = self._renewable().filter(TOKEN_LEASE.free(), next_action_at__lte=clock.now())
            due = free.exclude(pk__in=self._unwritable).order_by("next_action_at")
            known = len(self._unwritable)
            ends_monotonic = self._end_of_lease()
            leases = self._opened(self._lease(due, limit))
            if leases or len(self._unwritable) == known:
                return [replace(lease, ends_monotonic=ends_monotonic) for lease in leases]

    def _lease(self, due: QuerySet[_R], limit: int) -> dict[int, int]:
        """Take the leases on rows that are free: their keys, in order, each with its fence."""
        database = connections[router.db_for_write(self.model)]
        if not database.features.has_select_for_update_skip_locked:
            return self._lease_singly(due, limit)
        try:
            with transaction.atomic(using=database.alias):
                seen = due.select_for_update(skip_locked=True).values_list("pk", "fence")[:limit]
                fences = {pk: fence + 1 for pk, fence in seen}
                TOKEN_LEASE.take(self.rows().filter(pk__in=fences), **self._due_after_lease())
        except ABOUT_A_ROW:
            return self._lease_singly(due, limit)
        return fences

    def _lease_singly(self, due: QuerySet[_R], limit: int) -> dict[int, int]:
        """The same in a statement for each row: one that the database refuses keeps no other from being renewed."""
        fences = {}
        for pk, fence in list(due.values_list("pk", "fence")[:limit]):
            try:
                with transaction.atomic(using=router.db_for_write(self.model)):
                    row = self._renewable().filter(pk=pk, fence=fence)
                    taken = TOKEN_LEASE.take(row, **self._due_after_lease())
            except ABOUT_A_ROW as error:
                logger.error("Row %d of %s cannot be leased: %s", pk, self.model.__name__, type(error).__name__)
                self._unwritable.add(pk)
                continue
            if taken:
                fences[pk] = fence + 1
        return fences

    def _opened(self, fences: dict[int, int]) -> list[TokenLease]:
        """The leases on rows that were just taken; rows that another worker has taken since are left out."""
        try:
            rows: dict[int, Any] = self.rows().annotate(read_at=clock.read()).in_bulk(fences)
        except UNREADABLE:
            leases = (self._open(pk, fence) for pk, fence in fences.items())
            return [lease for lease in leases if lease]
        return [self._leased(rows[pk]) for pk, fence in fences.items() if pk in rows and rows[pk].fence == fence]

    def _open(self, pk: int, fence: int) -> TokenLease | None:
        """The lease on one row that was just taken. Of a row that cannot be read, it has what a renewal cannot lack."""
        mine = self.rows().filter(pk=pk, fence=fence).annotate(read_at=clock.read())
        try:
            row = mine.first()
            return self._leased(row) if row else None
        except UNREADABLE as error:
            bare = mine.select_related(None).only(*self._bare).first()
            if bare is None:
                return None
            lease = TokenStore._leased(self, bare)
            damage = UnusableRow(lease.appid, error)
            logger.error("%s", damage)
            return replace(lease, damage=damage)

    def extend(self, lease: TokenLease) -> TokenLease | None:
        """The lease for its whole length from now; None when it is lost."""
        ends_monotonic = self._end_of_lease()
        if not TOKEN_LEASE.extend(self._mine(lease), **self._due_after_lease()):
            return None
        read = self._mine(lease).annotate(read_at=clock.read()).values_list("read_at", TOKEN_LEASE.until).first()
        if read is None:
            return None
        return replace(
            lease,
            taken_at=read[0],
            taken_monotonic=self.timing.monotonic(),
            until=read[1],
            ends_monotonic=ends_monotonic,
        )

    def end(self, lease: TokenLease) -> None:
        """End a lease that a new grant, or a cancellation, has outlived: the call that was made under it is over."""
        self.rows().filter(pk=lease.pk, leased_until=lease.until).update(leased_until=None)

    def _take(self, rows: QuerySet[_R], pk: int, fence: int) -> TokenLease | None:
        ends_monotonic = self._end_of_lease()
        if not TOKEN_LEASE.take(rows.filter(pk=pk, fence=fence), **self._due_after_lease()):
            return None
        lease = self._open(pk, fence + 1)
        return replace(lease, ends_monotonic=ends_monotonic) if lease else None

    def _end_of_lease(self) -> float:
        """When a lease ends, for this process. Read before the statement: a slow one makes the rest of it shorter."""
        return self.timing.monotonic() + TOKEN_LEASE.length.total_seconds()

    def _due_after_lease(self) -> dict[str, Any]:
        """The row of a worker that was killed is due again when its lease ends.

        ``due_since`` first: MariaDB assigns from left to right, and would take the new ``next_action_at``.
        """
        return {
            "due_since": Coalesce(F("due_since"), F("next_action_at")),
            "next_action_at": clock.now() + TOKEN_LEASE.length,
        }

    _bare: tuple[str, ...] = ("appid", "fence", "failures", "leased_until")
    """The columns of the shortest lease; the others may hold what cannot be read."""

    def _leased(self, row: _R) -> TokenLease:
        return TokenLease(
            pk=row.pk,
            appid=row.appid,  # type: ignore[attr-defined]  # both models have one
            fence=row.fence,
            failures=row.failures,
            grant_epoch=getattr(row, "grant_epoch", 0),
            taken_at=row.read_at,  # type: ignore[attr-defined]
            taken_monotonic=self.timing.monotonic(),
            until=row.leased_until,  # type: ignore[arg-type]  # it was taken
        )

    def _mine(self, lease: TokenLease) -> QuerySet[_R]:
        # With its appid: in a database that was emptied meanwhile, another row may have its key and fence.
        return self.rows().filter(pk=lease.pk, appid=lease.appid, fence=lease.fence)

    # -- writing -----------------------------------------------------------------------------------------------------

    def commit(
        self, lease: TokenLease, access: NewToken, obtained_at: datetime, due_at: datetime, **others: Any
    ) -> bool:
        """Write a renewed token in one statement; False when the lease was lost meanwhile.

        While the database fails, the write is repeated for some time. Whether an ambiguous commit succeeded is then
        read from the row.
        """
        row = self._unsaved(lease)
        changes = {
            "access_token": row.encrypt("access_token", access.token.reveal()),
            "access_token_obtained_at": obtained_at,
            "access_token_expires_at": obtained_at + access.expires_in,
            "next_action_at": due_at,
            "due_since": None,
            "failures": 0,
            "last_errcode": None,
            "last_error": "",
            "last_rid": "",
            **{name: self._column(row, name, value) for name, value in others.items()},
        }

        def write(again: bool) -> bool:
            if self._release(lease, **changes):
                return True
            stored = self.rows().filter(pk=lease.pk, appid=lease.appid).first() if again else None
            return stored is not None and self._access_token(stored) == access.token

        return repeat_while_database_fails(write, self.model, self.timing)

    def fail(self, lease: TokenLease, error: WeChatOpenError, retry_in: timedelta, **others: Any) -> bool:
        """Write down a failed renewal and when to repeat it."""
        return self._release(lease, next_action_at=clock.now() + retry_in, **self._failure(lease, error), **others)

    def fail_in_flight(
        self, lease: TokenLease, error: WeChatOpenError, retry_in: timedelta, in_flight: timedelta
    ) -> bool:
        """Write down a renewal that got no answer: WeChat may be working on it for another ``in_flight``.

        The lease runs until then, so that no other call begins before this one could have ended. The row is due after
        that, which tells readers that no worker is renewing.
        """
        return TOKEN_LEASE.release(
            self._mine(lease),
            leased_until=clock.now() + in_flight,
            next_action_at=clock.now() + max(retry_in, in_flight + AFTER_LEASE),
            **self._failure(lease, error),
        )

    def _failure(self, lease: TokenLease, error: WeChatOpenError) -> dict[str, Any]:
        return {"failures": lease.failures + 1, "last_failed_at": clock.now(), **described(error)}

    def release(self, lease: TokenLease, retry_in: timedelta) -> bool:
        """Give a lease back without a verdict on the token."""
        return self._release(lease, next_action_at=clock.now() + retry_in)

    def give_back(self, lease: TokenLease) -> bool:
        """End a lease that was not taken for a renewal: the token is due when it was before."""
        return self._release(lease, next_action_at=F("due_since"), due_since=None)

    def _release(self, lease: TokenLease, **changes: Any) -> bool:
        """Write the outcome of a renewal whose calls are over, and end its lease.

        False when the grant changed meanwhile: then the outcome is void, and only the lease ends.
        """
        if TOKEN_LEASE.release(self._mine(lease), **changes):
            return True
        self.end(lease)
        return False

    def expire(self, stored: StoredToken) -> bool:
        """End a token that WeChat refused, if it is still the one that was read."""
        current = self.rows().filter(pk=stored.pk, fence=stored.fence)
        return bool(current.update(access_token_expires_at=clock.now(), next_action_at=self._due_now()))

    def _due_now(self) -> Any:
        """Now, or when the lease ends: a worker has it, or WeChat may still be working on a call that failed."""
        in_flight = Q(leased_until__gt=clock.now(), failures__gt=0, next_action_at__gt=F("leased_until"))
        return Case(
            When(in_flight, then=F("leased_until") + AFTER_LEASE),
            When(leased_until__gt=clock.now(), then=F("leased_until")),
            default=clock.now(),
        )

    @abstractmethod
    def _unsaved(self, lease: TokenLease) -> _R:
        """A row that encrypts for the leased one: after a refresh nothing more is read."""

    @staticmethod
    def _column(row: _R, name: str, value: Any) -> Any:
        return row.encrypt(name, value.reveal()) if isinstance(value, Secret) else value


def repeat_while_database_fails(write: Callable[[bool], _T], model: type[Model], timing: Timing) -> _T:
    """Write what WeChat gives once, and repeat that for some time while the database fails.

    ``write`` gets whether it was called before, and then may have succeeded without an answer.
    """
    ends_at = timing.monotonic() + COMMIT_FOR
    again = False
    while True:
        try:
            return write(again)
        except ABOUT_A_ROW:
            raise
        except AnyDatabaseError:
            database = connections[router.db_for_write(model)]
            if timing.monotonic() > ends_at or database.in_atomic_block:
                raise
            logger.warning("The database failed while tokens were being stored; trying again.")
            again = True
            database.close()
            timing.sleep(0.5)


def described(error: WeChatOpenError) -> dict[str, Any]:
    """The columns that hold an error."""
    if isinstance(error, APIError):
        return {"last_errcode": error.errcode, "last_error": error.text, "last_rid": error.rid[:64]}
    return {"last_errcode": None, "last_error": error.text, "last_rid": ""}

"""How do tokens lie in the database?

The store port of custody: each public method is one short exchange with the database and a place where a process may
die. Claims and writes are compare-and-set on ``fence`` (and ``grant_epoch``), so a late writer changes nothing. No
method holds a lock or a transaction when it returns.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Generic, TypeVar

from django.db import Error as DatabaseTrouble
from django.db import connections, router, transaction
from django.db.models import Case, F, Q, QuerySet, When
from django.db.models.functions import Coalesce

from .. import clock
from ..endpoints import NewToken
from ..exceptions import APIError, UnknownAuthorizer, WeChatOpenError
from ..models import Authorizer, Component, TokenHolder, to_announce
from ..secret import Secret
from .policy import LEASE, due_at
from .world import WORLD, World

logger = logging.getLogger(__name__)

COMMIT_FOR = 15.0
"""Seconds for which a write is repeated while the database fails: in strict rotation it is the only good token."""

_H = TypeVar("_H", bound=TokenHolder)


@dataclass(frozen=True)
class Holding:
    """A token as it was read, with the database's time of reading."""

    pk: int
    state: str
    access_token: Secret
    obtained_at: datetime | None
    expires_at: datetime | None
    next_action_at: datetime | None
    claimed_until: datetime | None
    failures: int
    fence: int
    last_error: str
    read_at: datetime

    @property
    def valid(self) -> bool:
        return bool(self.access_token) and self.expires_at is not None and self.expires_at > self.read_at

    @property
    def claimed(self) -> bool:
        return self.claimed_until is not None and self.claimed_until > self.read_at


@dataclass(frozen=True)
class Claim:
    """The right to renew one token until the lease ends, and what is needed for it."""

    pk: int
    appid: str
    fence: int
    failures: int
    claimed_at: datetime
    claimed_monotonic: float
    grant_epoch: int = 0
    refresh_token: Secret = field(default_factory=Secret)
    previous_refresh_token: Secret = field(default_factory=Secret)
    needs_reconcile: bool = False
    refused_since: datetime | None = None
    restricted_since: datetime | None = None
    missing_since: datetime | None = None
    renewals: tuple[str, ...] = ()
    cancelled: bool = False
    """An unauthorized push came in the very second of the grant: WeChat has to say which was last."""

    def time_at(self, monotonic: float) -> datetime:
        """The database's time at a later moment of this process."""
        return self.claimed_at + timedelta(seconds=monotonic - self.claimed_monotonic)


class TokenStore(Generic[_H]):
    """What components and authorizers have in common."""

    model: type[_H]

    def __init__(self, world: World = WORLD) -> None:
        self.world = world

    # -- reading -----------------------------------------------------------------------------------------------------

    def rows(self) -> QuerySet[_H]:
        """The rows of this store."""
        raise NotImplementedError

    def holding(self, row: _H) -> Holding:
        """The values of a row that was read with ``read_at``."""
        return Holding(
            pk=row.pk,
            state=self._state(row),
            access_token=row.reveal("access_token"),
            obtained_at=row.access_token_obtained_at,
            expires_at=row.access_token_expires_at,
            next_action_at=row.next_action_at,
            claimed_until=row.claimed_until,
            failures=row.failures,
            fence=row.fence,
            last_error=row.last_error,
            read_at=row.read_at,  # type: ignore[attr-defined]  # an annotation
        )

    def _state(self, row: _H) -> str:
        return Authorizer.State.AUTHORIZED

    def _get(self, **lookup: Any) -> _H:
        return self.rows().annotate(read_at=clock.read()).get(**lookup)

    # -- claiming ----------------------------------------------------------------------------------------------------

    def claim(self, holding: Holding) -> Claim | None:
        """Claim this one token for renewal in line; None when it changed or somebody else is at it."""
        return self._claim(self.rows().filter(self._free()), holding.pk, holding.fence)

    def claim_due(self, limit: int) -> list[Claim]:
        """Claim up to ``limit`` rows whose time has come, the most overdue first."""
        due = self._due().filter(self._free(), next_action_at__lte=clock.now()).order_by("next_action_at")
        database = connections[router.db_for_write(self.model)]
        if not database.features.has_select_for_update_skip_locked:
            seen = list(due.values_list("pk", "fence")[:limit])
            claims = (self._claim(self._due(), pk, fence) for pk, fence in seen)
            return [claim for claim in claims if claim]
        with transaction.atomic(using=database.alias):
            keys = list(due.select_for_update(skip_locked=True).values_list("pk", flat=True)[:limit])
            self.rows().filter(pk__in=keys).update(**self._lease(), fence=F("fence") + 1)
            rows: dict[int, Any] = self.rows().annotate(read_at=clock.read()).in_bulk(keys)
        return [self._claimed(rows[pk]) for pk in keys]

    def _due(self) -> QuerySet[_H]:
        """The rows that background workers look after."""
        return self.rows()

    def _free(self) -> Q:
        return Q(claimed_until__isnull=True) | Q(claimed_until__lte=clock.now())

    def _blank(self, claim: Claim) -> _H:
        """An unsaved row that can seal for the claimed one: after a refresh nothing more is read."""
        raise NotImplementedError

    def _claim(self, rows: QuerySet[_H], pk: int, fence: int) -> Claim | None:
        if not rows.filter(pk=pk, fence=fence).update(**self._lease(), fence=fence + 1):
            return None
        row = self._get(pk=pk)
        return self._claimed(row) if row.fence == fence + 1 else None  # somebody has written in between

    def _lease(self) -> dict[str, Any]:
        """``due_since`` first: MariaDB assigns from left to right, and would take the new ``next_action_at``."""
        return {
            "due_since": Coalesce(F("due_since"), F("next_action_at")),
            "claimed_until": clock.now() + LEASE,
            "next_action_at": clock.now() + LEASE,
        }

    def _claimed(self, row: _H) -> Claim:
        return Claim(
            pk=row.pk,
            appid=row.appid,  # type: ignore[attr-defined]  # both kinds of holder have one
            fence=row.fence,
            failures=row.failures,
            claimed_at=row.read_at,  # type: ignore[attr-defined]
            claimed_monotonic=self.world.monotonic(),
        )

    def extend(self, claim: Claim) -> Claim | None:
        """A fresh lease for a claim that is still ours; None when it is not."""
        if not self._mine(claim).update(**self._lease()):
            return None
        read_at = self.rows().annotate(read_at=clock.read()).values_list("read_at", flat=True).get(pk=claim.pk)
        return replace(claim, claimed_at=read_at, claimed_monotonic=self.world.monotonic())

    # -- writing -----------------------------------------------------------------------------------------------------

    def _mine(self, claim: Claim) -> QuerySet[_H]:
        return self.rows().filter(pk=claim.pk, fence=claim.fence)

    def commit(self, claim: Claim, access: NewToken, obtained_at: datetime, luck: float, **others: Any) -> bool:
        """Write a renewed token in one statement; False when the claim was lost meanwhile.

        The database may fail in between: repeated for a while, and an ambiguous commit is settled by reading again.
        """
        row = self._blank(claim)
        changes = {
            "access_token": row.seal("access_token", access.token.reveal()),
            "access_token_obtained_at": obtained_at,
            "access_token_expires_at": obtained_at + access.expires_in,
            "next_action_at": due_at(obtained_at, access.expires_in, luck),
            "due_since": None,
            "failures": 0,
            "last_errcode": None,
            "last_error": "",
            "last_rid": "",
            **{name: self._sealed(row, name, value) for name, value in others.items()},
        }
        ends_at = self.world.monotonic() + COMMIT_FOR
        ambiguous = False
        while True:
            try:
                if self._settle(claim, **changes):
                    return True
                return ambiguous and self._get(pk=claim.pk).reveal("access_token") == access.token
            except DatabaseTrouble:
                database = connections[router.db_for_write(self.model)]
                if self.world.monotonic() > ends_at or database.in_atomic_block:
                    raise
                logger.warning("The database failed while a renewed token was being stored; trying again.")
                ambiguous = True
                database.close()
                self.world.sleep(0.5)

    def fail(self, claim: Claim, error: WeChatOpenError, retry_in: timedelta, **others: Any) -> bool:
        """Note a failed renewal and when to repeat it."""
        return self._settle(
            claim,
            next_action_at=clock.now() + retry_in,
            failures=F("failures") + 1,
            last_failed_at=clock.now(),
            **described(error),
            **others,
        )

    def release(self, claim: Claim, retry_in: timedelta, **others: Any) -> bool:
        """Give a claim back without a verdict."""
        return self._settle(claim, next_action_at=clock.now() + retry_in, **others)

    def _settle(self, claim: Claim, **changes: Any) -> bool:
        """End a claim. ``fence`` moves on, so nothing that was read during the claim can still win."""
        return bool(self._mine(claim).update(claimed_until=None, fence=claim.fence + 1, **changes))

    def expire(self, holding: Holding) -> bool:
        """End a token that WeChat refused, if it is still the one that was read."""
        current = self.rows().filter(pk=holding.pk, fence=holding.fence)
        return bool(current.update(access_token_expires_at=clock.now(), next_action_at=self._due_now()))

    def _due_now(self) -> Any:
        """Now, unless somebody is at it: then the lease stands."""
        return Case(
            When(claimed_until__gt=clock.now(), then=F("claimed_until")),
            default=clock.now(),
        )

    @staticmethod
    def _sealed(row: _H, name: str, value: Any) -> Any:
        return row.seal(name, value.reveal()) if isinstance(value, Secret) else value


class ComponentStore(TokenStore[Component]):
    """The component access token of one platform."""

    model = Component

    def __init__(self, row: Component, world: World = WORLD) -> None:
        super().__init__(world)
        self.row = row

    def rows(self) -> QuerySet[Component]:
        return Component.objects.filter(pk=self.row.pk)

    def read(self) -> Holding:
        return self.holding(self._get())

    def _blank(self, claim: Claim) -> Component:
        return self.row

    def tickets(self) -> list[Secret]:
        """The two newest tickets, newest first (protocol 2.1: several live at a time)."""
        tickets = list(self.row.tickets.best_first()[:2])
        for ticket in tickets:
            ticket.component = self.row
        return [ticket.reveal("ticket") for ticket in tickets]

    def force(self, holding: Holding, apart: timedelta) -> bool:
        """End a refused component token, unless one was forced to end a moment ago."""
        rested = Q(forced_at__isnull=True) | Q(forced_at__lte=clock.now() - apart)
        current = self.rows().filter(rested, pk=holding.pk, fence=holding.fence)
        return bool(
            current.update(access_token_expires_at=clock.now(), next_action_at=self._due_now(), forced_at=clock.now())
        )

    def pause(self, error: WeChatOpenError, pause: timedelta) -> None:
        """The platform itself is at fault: no renewals for anybody until then."""
        self.rows().update(paused_until=clock.now() + pause, last_failed_at=clock.now(), **described(error))

    def note_brake(self) -> None:
        """So many accounts turned bad at once that none was changed: a person has to look."""
        self.rows().update(braked_at=clock.now())

    def paused_for(self) -> timedelta:
        """How long renewals still rest; zero when they do not."""
        row = self._get()
        if row.paused_until is None:
            return timedelta()
        remaining: timedelta = row.paused_until - row.read_at  # type: ignore[attr-defined]  # an annotation
        return max(timedelta(), remaining)


class AuthorizerStore(TokenStore[Authorizer]):
    """The tokens of one platform's accounts."""

    model = Authorizer

    def __init__(self, component: Component, world: World = WORLD) -> None:
        super().__init__(world)
        self.component = component

    def rows(self) -> QuerySet[Authorizer]:
        return Authorizer.objects.filter(component=self.component).select_related("component")

    def _due(self) -> QuerySet[Authorizer]:
        return Authorizer.objects.filter(component=self.component, state=Authorizer.State.AUTHORIZED)

    def read(self, appid: str) -> Holding:
        """Raises UnknownAuthorizer."""
        try:
            return self.holding(self._get(appid=appid))
        except Authorizer.DoesNotExist:
            raise UnknownAuthorizer(appid, self.component.appid) from None

    def _blank(self, claim: Claim) -> Authorizer:
        return Authorizer(component=self.component, appid=claim.appid)

    def _state(self, row: Authorizer) -> str:
        return row.state

    def _claimed(self, row: Authorizer) -> Claim:
        return replace(
            super()._claimed(row),
            grant_epoch=row.grant_epoch,
            refresh_token=row.reveal("refresh_token"),
            previous_refresh_token=row.reveal("previous_refresh_token"),
            needs_reconcile=row.needs_reconcile,
            refused_since=row.refused_since,
            restricted_since=row.restricted_since,
            missing_since=row.missing_since,
            renewals=tuple(row.renewals),
            cancelled=bool(
                row.unauthorized_at and row.grant_changed_at and row.unauthorized_at >= row.grant_changed_at
            ),
        )

    def _mine(self, claim: Claim) -> QuerySet[Authorizer]:
        return super()._mine(claim).filter(grant_epoch=claim.grant_epoch)

    def refuse(self, claim: Claim, error: WeChatOpenError, retry_in: timedelta) -> bool:
        """WeChat refused every token: remember since when. The renewal is not late, it is refused."""
        return self.fail(
            claim,
            error,
            retry_in,
            refused_since=Coalesce(F("refused_since"), clock.now()),
            restricted_since=None,
            due_since=None,
            needs_reconcile=False,
        )

    def restrict(self, claim: Claim, error: WeChatOpenError, retry_in: timedelta) -> bool:
        """WeChat has frozen or closed the account, or banned its API: remember since when, and look rarely."""
        return self.fail(
            claim,
            error,
            retry_in,
            restricted_since=Coalesce(F("restricted_since"), clock.now()),
            due_since=None,
            needs_reconcile=False,
        )

    def mark_for_reconciliation(self, pk: int) -> None:
        """Somebody lost a race with a good token in hand: WeChat will be asked."""
        self.rows().filter(pk=pk).update(needs_reconcile=True, next_action_at=self._due_now())

    def change_state(self, claim: Claim, state: str, error: WeChatOpenError) -> bool:
        """The end of the ladder. A signal follows (``needs_announcing``)."""
        tokens = (
            withdrawn(clock.now())
            if state == Authorizer.State.UNAUTHORIZED
            else {"next_action_at": None, "due_since": None}
        )
        return self._settle(
            claim,
            state=state,
            grant_epoch=claim.grant_epoch + 1,
            needs_reconcile=False,
            **to_announce(),
            last_failed_at=clock.now(),
            **described(error),
            **tokens,
        )

    def many_restricted(self, claim: Claim, accounts: int, share: float, around: timedelta) -> bool:
        """Were so many accounts restricted around the same time that the platform, or WeChat, must be the cause?

        Besides the brake's numbers: half of all, where they are more than two.
        """
        authorized = self._due()
        since = claim.restricted_since or claim.claimed_at
        turned = authorized.filter(restricted_since__range=(since - around, since + around)).count()
        if claim.restricted_since is None:
            turned += 1  # this one
        total = authorized.count()
        return (turned >= accounts and turned >= share * total) or (turned > 2 and 2 * turned >= total)

    def braked(self, claim: Claim, accounts: int, share: float, around: timedelta) -> bool:
        """Did so many accounts turn bad around the same time that WeChat, and not they, must be the cause?"""
        authorized = self._due()
        since = claim.refused_since or claim.claimed_at
        turned = authorized.filter(refused_since__range=(since - around, since + around)).count()
        return turned >= accounts and turned >= share * authorized.count()


def withdrawn(at: Any) -> dict[str, Any]:
    """The columns of an account whose owner took the grant back: no tokens remain."""
    return {
        "access_token": "",
        "access_token_expires_at": None,
        "access_token_obtained_at": None,
        "refresh_token": "",
        "previous_refresh_token": "",
        "unauthorized_at": at,
        "refused_since": None,
        "restricted_since": None,
        "missing_since": None,
        "next_action_at": None,
        "due_since": None,
    }


def described(error: WeChatOpenError) -> dict[str, Any]:
    """The columns that tell what went wrong."""
    if isinstance(error, APIError):
        return {"last_errcode": error.errcode, "last_error": error.said, "last_rid": error.rid[:64]}
    return {"last_errcode": None, "last_error": error.said, "last_rid": ""}

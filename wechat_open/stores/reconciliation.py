"""The comparison of one platform's accounts with WeChat's list: its lease, its progress, and what it changes.

Every change of an account is a compare-and-set on ``fence`` and ``grant_epoch``, as they were when its row was read.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Q, QuerySet

from ..client.component import Listed
from ..db import clock
from ..db.leases import Lease
from ..models import Authorizer, ComparedPage, Component, to_announce
from ..secret import Secret
from .authorizers import decrypted, same_grant, withdrawn
from .component import row_deleted

RECONCILE_LEASE = Lease("reconcile_due_at", timedelta(minutes=10), fenced=False)
"""A running reconciliation keeps the next one from being due. Extended with each page."""


class ReconciliationStore:
    """What the comparison reads and writes for one platform."""

    def __init__(self, component: Component) -> None:
        self.component = component

    # -- when ----------------------------------------------------------------------------------------------------------

    def now(self) -> datetime:
        """The database's time. Raises TokenUnavailable when the platform's row was deleted meanwhile."""
        now: datetime | None = self._row().annotate(read_at=clock.read()).values_list("read_at", flat=True).first()
        if now is None:
            raise row_deleted(self.component)
        return now

    def take(self) -> bool:
        """Begin, if it is due and no other worker is at it."""
        return bool(RECONCILE_LEASE.take(self._row()))

    def request(self) -> bool:
        """Make it due; False when one is running, or is due within minutes anyway."""
        waiting = self._row().filter(reconcile_due_at__gt=clock.now() + RECONCILE_LEASE.length)
        return bool(waiting.update(reconcile_due_at=clock.now()))

    def extend(self) -> None:
        RECONCILE_LEASE.extend(self._row())

    def pause(self) -> None:
        """Stop because the time is over; the next worker continues at once."""
        RECONCILE_LEASE.release(self._row(), reconcile_due_at=clock.now())

    def finish(self, repairs: int, due_in: timedelta) -> None:
        """Record that the whole list was compared, and how many accounts differed."""
        outcome = {"reconciled_at": clock.now(), "reconcile_repairs": repairs}
        RECONCILE_LEASE.release(self._row(), reconcile_due_at=clock.now() + due_in, **outcome)

    # -- how far -------------------------------------------------------------------------------------------------------

    def pages(self, within: timedelta) -> list[ComparedPage]:
        """The recorded pages of a comparison that was begun within this time and did not end, in their order."""
        return list(self._pages().filter(started_at__gt=clock.now() - within).order_by("offset"))

    def record_page(self, page: ComparedPage) -> None:
        """Of a page that two processes have compared, the first record stands."""
        ComparedPage.objects.bulk_create([page], ignore_conflicts=True)

    def forget_pages(self) -> None:
        self._pages().delete()

    # -- what is listed ------------------------------------------------------------------------------------------------

    def rows(self, appids: Collection[str]) -> dict[str, Authorizer]:
        """These accounts by appid, each with the database's time of reading (``read_at``)."""
        rows = Authorizer.objects.filter(component=self.component, appid__in=appids).annotate(read_at=clock.read())
        return {row.appid: self._with_component(row) for row in rows}

    def mark_listed(self, appids: Collection[str]) -> int:
        """Record that these accounts are on the list, so they are not missing; how many were."""
        rows = Authorizer.objects.filter(component=self.component, appid__in=appids, missing_since__isnull=False)
        return rows.update(missing_since=None)

    def create(self, entries: Iterable[Listed]) -> None:
        """Store accounts whose push never arrived, or whose rows were lost; those that exist meanwhile are left."""
        Authorizer.objects.bulk_create([self._created(entry) for entry in entries], ignore_conflicts=True)

    def date(self, row: Authorizer, granted_at: datetime) -> bool:
        """Store WeChat's time of a grant that is known under a provisional one."""
        return bool(same_grant(row).update(grant_changed_at=granted_at))

    def add_fallback(self, row: Authorizer, token: Secret) -> bool:
        """Have another refresh token tried after the stored one, at once. The one before that is given up for it."""
        return self._write(
            row,
            previous_refresh_token=row.encrypt("previous_refresh_token", token.reveal()),
            next_action_at=clock.now(),
            due_since=None,
            failures=0,
        )

    def record_try(self, row: Authorizer) -> None:
        """Record that WeChat is asked again about an account that needs its owner: the next time counts from now."""
        lost = Authorizer.objects.filter(pk=row.pk, state=Authorizer.State.NEEDS_REAUTHORIZATION)
        lost.update(last_failed_at=clock.now())

    def take_grant(self, row: Authorizer, entry: Listed, *, in_use: bool = False) -> bool:
        """Store a newer grant. ``in_use``: the stored refresh token is of this grant; the listed one is tried next.

        A stored token that cannot be decrypted is replaced all the same.
        """
        changes: dict[str, Any] = {}
        if entry.refresh_token:
            stored = decrypted(row, "refresh_token")[0]
            current, previous = (stored, entry.refresh_token) if in_use and stored else (entry.refresh_token, stored)
            if current != previous:
                changes["refresh_token"] = row.encrypt("refresh_token", current.reveal())
                changes["previous_refresh_token"] = row.encrypt("previous_refresh_token", previous.reveal())
        return self._write(
            row,
            **_granted(row, entry),
            **changes,
            needs_reconcile=False,
            refused_since=None,
            restricted_since=None,
            failures=0,
            access_token_expires_at=clock.now(),  # a re-authorization kills it
        )

    def restore(self, row: Authorizer, entry: Listed) -> bool:
        """Take back an account that has ended here. A listed token replaces the stored one, if there is any.

        When its end was a mistake, and this is no newer grant, it stays with its tenant.
        """
        changes = _granted(row, entry)
        if entry.refresh_token:
            changes["refresh_token"] = row.encrypt("refresh_token", entry.refresh_token.reveal())
        if row.grant_changed_at is not None and entry.authorized_at <= row.grant_changed_at:
            del changes["granted_through"]
        return self._write(row, **changes)

    # -- what is missing -----------------------------------------------------------------------------------------------

    def authorized_before(self, at: datetime) -> list[tuple[int, str]]:
        """Key and appid of the accounts that are authorized, and were so before."""
        granted = Q(grant_changed_at__isnull=True) | Q(grant_changed_at__lt=at)
        return list(self._authorized().filter(granted).values_list("pk", "appid"))

    def count_authorized(self) -> int:
        return self._authorized().count()

    def mark_missing(self, keys: Collection[int]) -> int:
        """Record that these authorized accounts are not on the list, and since when; how many are new."""
        return Authorizer.objects.filter(pk__in=keys, missing_since__isnull=True).update(missing_since=clock.now())

    def missing_for(self, span: timedelta) -> list[Authorizer]:
        """The authorized accounts that have been missing for so long."""
        rows = self._authorized().filter(missing_since__lte=clock.now() - span).annotate(read_at=clock.read())
        return [self._with_component(row) for row in rows]

    def withdraw(self, row: Authorizer) -> bool:
        """End the grant of an account that WeChat neither lists nor has a record of."""
        return self._write(
            row,
            **withdrawn(clock.now()),
            state=Authorizer.State.UNAUTHORIZED,
            grant_epoch=row.grant_epoch + 1,
            **to_announce(),
        )

    # ------------------------------------------------------------------------------------------------------------------

    def _row(self) -> QuerySet[Component]:
        return Component.objects.filter(pk=self.component.pk)

    def _pages(self) -> QuerySet[ComparedPage]:
        return ComparedPage.objects.filter(component=self.component)

    def _authorized(self) -> QuerySet[Authorizer]:
        return Authorizer.objects.filter(component=self.component, state=Authorizer.State.AUTHORIZED)

    def _with_component(self, row: Authorizer) -> Authorizer:
        row.component = self.component
        return row

    def _created(self, entry: Listed) -> Authorizer:
        row = Authorizer(component=self.component, appid=entry.appid)
        row.refresh_token = row.encrypt("refresh_token", entry.refresh_token.reveal())
        row.grant_changed_at = row.authorized_at = entry.authorized_at
        row.next_action_at = clock.now()  # not since the grant: it was unknown until now
        row.grant_epoch = 1
        row.needs_announcing, row.announcement = True, 1
        return row

    def _write(self, row: Authorizer, **changes: Any) -> bool:
        return bool(same_grant(row).update(fence=row.fence + 1, **changes))


def _granted(row: Authorizer, entry: Listed) -> dict[str, Any]:
    """The columns of an account whose grant was missed."""
    return {
        "state": Authorizer.State.AUTHORIZED,
        "grant_changed_at": max(entry.authorized_at, row.grant_changed_at or entry.authorized_at),
        "authorized_at": entry.authorized_at,
        "grant_epoch": row.grant_epoch + 1,
        "granted_through": None,
        "next_action_at": clock.now(),
        "due_since": None,
        "profile_synced_at": None,
        "profile_due_at": None,
        **to_announce(),
    }

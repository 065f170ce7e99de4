"""The profiles and permission sets of one platform's accounts, and when each is read next."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.db.models import F, QuerySet

from ..db import clock
from ..db.leases import Lease
from ..db.managers import database_of
from ..models import Authorizer, Component, to_announce

PROFILE_LEASE = Lease("profile_due_at", timedelta(minutes=1), fenced=False)
"""How long one worker that reads a profile keeps others from reading it too."""


class ProfileStore:
    """Accounts come with their platform."""

    def __init__(self, component: Component) -> None:
        self.component = component

    def rows(self) -> QuerySet[Authorizer]:
        return Authorizer.objects.filter(component=self.component).select_related("component")

    def read(self, pk: int) -> Authorizer:
        return self.rows().get(pk=pk)

    def waiting(self, limit: int) -> list[Authorizer]:
        """Accounts whose profiles could not be read with the grant. Those that failed come last."""
        waiting = self.rows().filter(
            PROFILE_LEASE.free(), profile_synced_at__isnull=True, state=Authorizer.State.AUTHORIZED
        )
        return list(waiting.order_by(F("profile_due_at").asc(nulls_first=True), "pk")[:limit])

    def take(self, pk: int) -> bool:
        """Take the turn to read this profile; False while it rests after a failure, or another worker reads it."""
        return bool(PROFILE_LEASE.take(self.rows().filter(pk=pk)))

    def write(self, account: Authorizer, columns: Mapping[str, Any], *, announce: bool) -> None:
        """WeChat has answered; with ``announce``, a signal about the permission sets follows.

        Nothing is written over a grant that came meanwhile: the answer may be about the one before.
        """
        self.rows().filter(pk=account.pk, grant_epoch=account.grant_epoch).update(
            **columns,
            **(to_announce() if announce else {}),
            profile_synced_at=clock.now(),
            profile_failures=0,
            profile_due_at=None,
        )

    def postpone(self, pk: int, first: timedelta, longest: timedelta) -> None:
        """Record a failed read: the next is due at once; after a second failure after ``first``, then ever later."""
        row = self.rows().filter(pk=pk)
        with transaction.atomic(using=database_of(Authorizer)):
            row.update(profile_failures=F("profile_failures") + 1)
            failures = row.values_list("profile_failures", flat=True).first() or 1
            wait = min(longest, first * 2 ** min(failures - 2, 12)) if failures > 1 else timedelta()
            row.update(profile_due_at=clock.now() + wait)

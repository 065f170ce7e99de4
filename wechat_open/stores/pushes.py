"""The inbox of one platform: its pushes, and the lease on processing each."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import IntegrityError, router, transaction
from django.db.models import F, QuerySet

from ..db import clock
from ..db.leases import Lease, unchanged
from ..models import Component, Push
from ..rounds import Deadline, delete
from .component import row_deleted

PUSH_LEASE = Lease("next_attempt_at", timedelta(minutes=1))
"""How long a push is leased for its processing. A worker that was killed is replaced after that."""

WAITING = (Push.State.RECEIVED, Push.State.FAILED)


class PushStore:
    """The pushes of one platform. A row comes with its platform, for which its payload is encrypted."""

    def __init__(self, component: Component) -> None:
        self.component = component

    def rows(self) -> QuerySet[Push]:
        return Push.objects.filter(component=self.component).select_related("component")

    # -- receiving -----------------------------------------------------------------------------------------------------

    def now(self) -> datetime:
        """The database's time, by which pushes are dated and judged."""
        read = Component.objects.filter(pk=self.component.pk).annotate(read_at=clock.read())
        now: datetime | None = read.values_list("read_at", flat=True).first()
        if now is None:
            raise row_deleted(self.component)
        return now

    def record(self, push: Push) -> bool:
        """Insert a push with the time of its receipt; False when it came before.

        One that waits for its processing is due at once.
        """
        push.received_at = clock.now()
        push.next_attempt_at = clock.now() if push.state in WAITING else None
        try:
            with transaction.atomic(using=router.db_for_write(Push)):
                push.save(force_insert=True)
        except IntegrityError:
            return False
        return True

    def pushed(self) -> None:
        """Record that WeChat has pushed, now."""
        Component.objects.filter(pk=self.component.pk).update(last_push_at=clock.now())

    # -- processing ----------------------------------------------------------------------------------------------------

    def due(self, limit: int) -> list[int]:
        """The keys of pushes that the broker lost, or that are to be repeated; the most overdue first."""
        return _due(self.rows(), limit)

    def take(self, pk: int) -> Push | None:
        """Take the lease on processing a push; None while a worker has it, or when it is not waiting."""
        return PUSH_LEASE.take_one(self.rows().filter(state__in=WAITING), pk, attempts=F("attempts") + 1)

    def extend(self, push: Push) -> bool:
        """Keep the lease for its whole length from now; False when it is lost."""
        return PUSH_LEASE.extend(unchanged(push))

    def done(self, push: Push) -> bool:
        """Its actions and signals are done; False when the lease was lost."""
        return PUSH_LEASE.release(unchanged(push), state=Push.State.DONE, processed_at=clock.now(), error="")

    def fail(self, push: Push, error: str, retry_in: timedelta) -> bool:
        """Repeat it later; False when the lease was lost."""
        retry_at = clock.now() + retry_in
        return PUSH_LEASE.release(unchanged(push), state=Push.State.FAILED, error=error, next_attempt_at=retry_at)

    def abandon(self, push: Push, error: str) -> bool:
        """Leave it to an operator; False when the lease was lost."""
        return PUSH_LEASE.release(unchanged(push), state=Push.State.ABANDONED, error=error)

    def restart(self, pk: int) -> None:
        """Let it be processed again from the beginning, whichever worker has the lease on it."""
        again = {"state": Push.State.RECEIVED, "next_attempt_at": clock.now(), "attempts": 0}
        PUSH_LEASE.release(self.rows().filter(pk=pk), **again)

    # -- of all platforms ----------------------------------------------------------------------------------------------

    @staticmethod
    def component_of(pk: int) -> Component | None:
        """The platform that this push is for."""
        push = Push.objects.select_related("component").only("component").filter(pk=pk).first()
        return push.component if push else None

    @staticmethod
    def due_of_all(limit: int) -> list[int]:
        """The same as ``due`` for all platforms, also those that have left the settings."""
        return _due(Push.objects.all(), limit)

    @staticmethod
    def prune(keep: timedelta, deadline: Deadline) -> int:
        """Delete the pushes of every platform that were processed longer ago; how many rows."""
        return delete(Push.objects.filter(state=Push.State.DONE, processed_at__lt=clock.now() - keep), deadline)


def _due(rows: QuerySet[Push], limit: int) -> list[int]:
    due = rows.filter(state__in=WAITING, next_attempt_at__lte=clock.now())
    return list(due.order_by("next_attempt_at").values_list("pk", flat=True)[:limit])

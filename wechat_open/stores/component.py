"""The component token of one platform, and what concerns all of its renewals."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Case, F, QuerySet, When
from django.db.models.functions import Coalesce

from ..db import clock
from ..db.leases import Lease, elapsed
from ..exceptions import TokenUnavailable, WeChatOpenError
from ..models import Component
from ..text import TranslatableText as _
from .tokens import StoredToken, TokenLease, TokenStore, described

RENEWALS_LEASE = Lease("renewals_leased_until", timedelta(seconds=10), fence="renewals_fence")
"""How long another worker waits for one that renews a platform's tokens without a sign of life."""


@dataclass(frozen=True)
class FailedInARow:
    """What has failed since an account of the platform was renewed. ``probe_in`` is zero when one may be tried."""

    since: datetime
    paused_since: datetime | None
    probes: int
    probe_in: timedelta

    @property
    def paused(self) -> bool:
        return self.paused_since is not None


class ComponentStore(TokenStore[Component]):
    """The component access token of one platform."""

    model = Component

    def rows(self) -> QuerySet[Component]:
        return Component.objects.filter(pk=self.component.pk)

    def read(self) -> StoredToken:
        """Raises TokenUnavailable when the row was deleted meanwhile."""
        try:
            return self._stored(self._get())
        except Component.DoesNotExist:
            raise row_deleted(self.component) from None

    def _unsaved(self, lease: TokenLease) -> Component:
        return self.component

    def force(self, stored: StoredToken, apart: timedelta) -> bool:
        """End a refused component token, unless one was ended so less than ``apart`` ago."""
        current = self.rows().filter(elapsed("forced_at", apart), pk=stored.pk, fence=stored.fence)
        return bool(
            current.update(access_token_expires_at=clock.now(), next_action_at=self._due_now(), forced_at=clock.now())
        )

    # -- accounts that fail in a row, and pauses -----------------------------------------------------------------------

    def count_failed(self, reason: str) -> int:
        """An account that worked has failed for ``reason``; how many have so since one was renewed.

        ``failed_reason`` last: MariaDB assigns from left to right, and would compare with the new one.
        """
        self.rows().update(
            failed_accounts=Case(When(failed_reason=reason, then=F("failed_accounts") + 1), default=1),
            failed_since=Coalesce(F("failed_since"), clock.now()),
            failed_reason=reason,
        )
        return self.rows().values_list("failed_accounts", flat=True).first() or 0

    def failed_in_a_row(self) -> FailedInARow | None:
        """What has failed since an account was renewed; None when nothing has."""
        row: Any = self.rows().filter(failed_since__isnull=False).annotate(read_at=clock.read()).first()
        if row is None:
            return None
        waits = row.paused_until - row.read_at if row.paused_until else timedelta()
        return FailedInARow(row.failed_since, row.paused_since, row.probes, max(timedelta(), waits))

    def pause(self, error: WeChatOpenError, probe_in: timedelta, *, unless_paused: bool = False) -> None:
        """Pause renewals of all accounts, except that one account is tried after ``probe_in``.

        With ``unless_paused``, a pause that has begun stays as it is.
        """
        rows = self.rows().filter(paused_since__isnull=True) if unless_paused else self.rows()
        rows.update(
            failed_since=Coalesce(F("failed_since"), clock.now()),
            paused_since=Coalesce(F("paused_since"), clock.now()),
            paused_until=clock.now() + probe_in,
            probes=F("probes") + 1,
            last_failed_at=clock.now(),
            **described(error),
        )

    def take_probe(self, within: timedelta) -> bool:
        """Take the right to try one account while renewals are paused; the next after ``within``, whatever comes."""
        due = self.rows().filter(paused_since__isnull=False, paused_until__lte=clock.now())
        return bool(due.update(paused_until=clock.now() + within))

    def probe_now(self) -> None:
        """There is reason to think that renewals succeed again."""
        self.rows().filter(paused_since__isnull=False).update(paused_until=clock.now())

    def resume(self) -> None:
        """An account was renewed: renewals are not paused, and counting starts from zero."""
        self.rows().update(
            failed_accounts=0, failed_reason="", failed_since=None, paused_since=None, paused_until=None, probes=0
        )

    def record_unreached(self, text: str) -> None:
        """A process gets no answer from WeChat; ``text`` says on which host, and why."""
        self.rows().update(unreached_at=clock.now(), unreached=text)

    def record_check(self) -> None:
        """A worker looks after renewals, though it leaves them to others at this moment."""
        self.rows().update(heartbeat_at=clock.now())

    def record_brake(self) -> None:
        """Record that too many accounts failed at once, so the state of none was changed: an operator has to look."""
        self.rows().update(braked_at=clock.now())

    def take_renewals(self) -> int | None:
        """Take the lease on renewing this platform's tokens; its fence, or None while another worker has it."""
        row = RENEWALS_LEASE.take_one(self.rows(), self.component.pk, heartbeat_at=clock.now())
        return row.renewals_fence if row else None

    def extend_renewals(self, fence: int) -> bool:
        """Extend the lease with this fence; False when another worker has taken it meanwhile."""
        return RENEWALS_LEASE.extend(self.rows().filter(renewals_fence=fence), heartbeat_at=clock.now())

    def release_renewals(self, fence: int) -> bool:
        """End the lease with this fence; False when another worker has taken it meanwhile: then that one's runs on."""
        return RENEWALS_LEASE.release(self.rows().filter(renewals_fence=fence))


def row_deleted(component: Component) -> TokenUnavailable:
    """The row of a platform was deleted while something was done with it. The next use makes another."""
    return TokenUnavailable(
        _("The row of platform %(appid)s was deleted at this moment: try again.", appid=component.appid)
    )

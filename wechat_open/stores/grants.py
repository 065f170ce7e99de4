"""How the grants of one platform's accounts are written.

Every change is a compare-and-set on ``fence`` and ``grant_epoch``, as they were when the row was read. It leaves the
lease: a worker may have a call in flight with the old token, and the next one begins when that has ended.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import F

from ..client.component import Grant
from ..db import clock
from ..db.managers import database_of
from ..models import AuthorizationLink, Authorizer, Component, func_key, to_announce, update_row
from .authorizers import decrypted, same_grant, withdrawn


class GrantStore:
    """Accounts come with their platform and with the database's time of reading (``read_at``)."""

    def __init__(self, component: Component) -> None:
        self.component = component

    def read(self, appid: str) -> Authorizer | None:
        rows = Authorizer.objects.annotate(read_at=clock.read()).select_related("component")
        return rows.filter(component=self.component, appid=appid).first()

    def create(self, appid: str) -> None:
        """Create a row without tokens, unless another process has created it."""
        row = Authorizer(component=self.component, appid=appid, state=Authorizer.State.UNAUTHORIZED)
        Authorizer.objects.bulk_create([row], ignore_conflicts=True)

    def keep(
        self,
        row: Authorizer,
        grant: Grant,
        granted_at: datetime | None,
        link: AuthorizationLink | None,
        *,
        obtained_at: datetime,
        doubtful: bool,
        due_at: datetime | None,
        together: Callable[[Authorizer, int], object] | None = None,
    ) -> bool:
        """Store a grant. ``doubtful`` has the next renewal ask WeChat which one is current.

        Its tokens count from ``obtained_at``, also a refresh token that comes alone, and are renewed at ``due_at``,
        None for at once. Tokens that are absent from the grant never overwrite stored ones. ``together`` is called in
        the same transaction with the account and the grant's epoch; what it raises undoes the grant.
        """
        read_at: datetime = row.read_at  # type: ignore[attr-defined]  # an annotation
        changes: dict[str, Any] = {
            "state": Authorizer.State.AUTHORIZED,
            "grant_epoch": row.grant_epoch + 1,
            "failures": 0,
            "last_errcode": None,
            "last_error": "",
            "last_rid": "",
            "refused_since": None,
            "restricted_since": None,
            "missing_since": None,
            "due_since": None,
            "needs_reconcile": doubtful,
            "profile_synced_at": None,
            "profile_due_at": None,
            "granted_through": link,
            "next_action_at": due_at or read_at,
            **to_announce(),
        }
        if grant.lists_sets:
            changes |= {"func_info": list(grant.func_info), "func_key": func_key(grant.func_info)}
        if granted_at is not None:
            changes |= {"grant_changed_at": granted_at, "authorized_at": granted_at}
        elif not row.authorized_at:
            changes["authorized_at"] = read_at
        current, fresh = decrypted(row, "refresh_token")[0], grant.refresh_token
        if fresh and fresh != current:
            changes["refresh_token"] = row.encrypt("refresh_token", fresh.reveal())
            changes["previous_refresh_token"] = row.encrypt("previous_refresh_token", current.reveal())
        if grant.access is not None:
            changes |= {
                "access_token": row.encrypt("access_token", grant.access.token.reveal()),
                "access_token_obtained_at": obtained_at,
                "access_token_expires_at": obtained_at + grant.access.expires_in,
            }
        else:  # a re-authorization kills the old access token at once; a newer one is renewed
            changes["access_token_expires_at"] = read_at
            if fresh:
                changes["access_token_obtained_at"] = obtained_at
        if together is None:
            return self._write(row, **changes)
        with transaction.atomic(using=database_of(Authorizer)):
            stored = self._write(row, **changes)
            if stored:
                together(row, row.grant_epoch + 1)
        return stored

    def date(self, pk: int, epoch: int, granted_at: datetime) -> None:
        """Order the grant of this epoch by WeChat's time of it.

        An unauthorized push may have been judged too old against the provisional time: then WeChat is asked.
        """
        row = Authorizer.objects.filter(pk=pk, component=self.component, grant_epoch=epoch)
        with transaction.atomic(using=database_of(Authorizer)):
            row.update(grant_changed_at=granted_at, authorized_at=granted_at)
            row.filter(unauthorized_at__gte=granted_at).update(
                needs_reconcile=True, next_action_at=clock.now(), fence=F("fence") + 1
            )

    def withdraw(self, row: Authorizer, at: datetime) -> bool:
        """End the grant, which the owner took back at WeChat's time ``at``."""
        return self._write(
            row,
            **withdrawn(at),
            state=Authorizer.State.UNAUTHORIZED,
            grant_changed_at=at,
            grant_epoch=row.grant_epoch + 1,
            needs_reconcile=False,
            **to_announce(),
        )

    def doubt(self, row: Authorizer, cancelled_at: datetime) -> bool:
        """Let the next renewal, now, ask WeChat whether the grant or its cancellation was last: that is not known."""
        return self._write(row, needs_reconcile=True, next_action_at=clock.now(), unauthorized_at=cancelled_at)

    def record_cancellation(self, row: Authorizer, at: datetime) -> None:
        """Record a cancellation that is older than the grant, as far as is known."""
        update_row(row, unauthorized_at=at)

    def _write(self, row: Authorizer, **changes: Any) -> bool:
        return bool(same_grant(row).update(fence=row.fence + 1, **changes))

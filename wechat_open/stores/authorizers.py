"""The tokens and the grants of one platform's accounts."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Case, F, Q, QuerySet, When
from django.db.models.functions import Coalesce

from ..db import clock
from ..db.leases import unchanged
from ..exceptions import EncryptionError, UnknownAuthorizer, WeChatOpenError
from ..models import Authorizer, to_announce
from ..rounds import AT_ONCE, NO_DEADLINE, Deadline
from ..secret import Secret
from .tokens import TOKEN_LEASE, StoredToken, TokenLease, TokenStore, described

logger = logging.getLogger(__name__)


class AuthorizerStore(TokenStore[Authorizer]):
    """The tokens of one platform's accounts."""

    model = Authorizer

    def rows(self) -> QuerySet[Authorizer]:
        return Authorizer.objects.filter(component=self.component).select_related("component")

    def _renewable(self) -> QuerySet[Authorizer]:
        return self.rows().filter(state=Authorizer.State.AUTHORIZED)

    def _due_after_lease(self) -> dict[str, Any]:
        """An account whose grant is lost here is leased to ask WeChat again, and never due."""
        due = super()._due_after_lease()
        return {name: Case(When(state=Authorizer.State.AUTHORIZED, then=value)) for name, value in due.items()}

    def read(self, appid: str) -> StoredToken:
        """Raises UnknownAuthorizer."""
        try:
            return self._stored(self._get(appid=appid))
        except Authorizer.DoesNotExist:
            raise UnknownAuthorizer(appid, self.component.appid) from None

    def _unsaved(self, lease: TokenLease) -> Authorizer:
        return Authorizer(component=self.component, appid=lease.appid)

    def _state(self, row: Authorizer) -> str:
        return row.state

    _bare = (*TokenStore._bare, "grant_epoch")

    def _leased(self, row: Authorizer) -> TokenLease:
        refresh_token, damage = decrypted(row, "refresh_token")
        return replace(
            super()._leased(row),
            refresh_token=refresh_token,
            previous_refresh_token=decrypted(row, "previous_refresh_token")[0],
            damage=damage,
            needs_reconcile=row.needs_reconcile,
            refused_since=row.refused_since,
            restricted_since=row.restricted_since,
            missing_since=row.missing_since,
            renewals=tuple(row.renewals),
            last_errcode=row.last_errcode,
            cancelled=bool(
                row.unauthorized_at and row.grant_changed_at and row.unauthorized_at >= row.grant_changed_at
            ),
        )

    def _mine(self, lease: TokenLease) -> QuerySet[Authorizer]:
        return super()._mine(lease).filter(grant_epoch=lease.grant_epoch)

    def refuse(self, lease: TokenLease, error: WeChatOpenError, retry_in: timedelta) -> bool:
        """Record that WeChat refused every token, and since when. The renewal is not late, it is refused."""
        return self.fail(
            lease,
            error,
            retry_in,
            refused_since=Coalesce(F("refused_since"), clock.now()),
            restricted_since=None,
            due_since=None,
            needs_reconcile=False,
        )

    def restrict(self, lease: TokenLease, error: WeChatOpenError, retry_in: timedelta) -> bool:
        """Record that WeChat has frozen or closed the account, or banned its API, and since when."""
        return self.fail(
            lease,
            error,
            retry_in,
            restricted_since=Coalesce(F("restricted_since"), clock.now()),
            due_since=None,
            needs_reconcile=False,
        )

    def mark_for_reconciliation(self, pk: int) -> None:
        """Let the next renewal ask WeChat first: a worker lost its lease with a good token in hand."""
        self._renewable().filter(pk=pk).update(needs_reconcile=True, next_action_at=self._due_now())

    def change_state(self, lease: TokenLease, state: str, error: WeChatOpenError) -> bool:
        """Store the state of an account of which no token works. A signal follows (``needs_announcing``)."""
        tokens = (
            withdrawn(clock.now())
            if state == Authorizer.State.UNAUTHORIZED
            else {"next_action_at": None, "due_since": None}
        )
        return self._release(
            lease,
            state=state,
            grant_epoch=lease.grant_epoch + 1,
            needs_reconcile=False,
            **to_announce(),
            last_failed_at=clock.now(),
            **described(error),
            **tokens,
        )

    def many_restricted(self, lease: TokenLease, accounts: int, share: float, around: timedelta) -> bool:
        """Whether so many accounts were restricted around the same time that the platform, or WeChat, is the cause.

        The limits are those of the brake, or half of all accounts where that is more than two.
        """
        authorized = self._renewable()
        since = lease.restricted_since or lease.taken_at
        turned = authorized.filter(restricted_since__range=(since - around, since + around)).count()
        if lease.restricted_since is None:
            turned += 1  # this one
        total = authorized.count()
        return (turned >= accounts and turned >= share * total) or (turned > 2 and 2 * turned >= total)

    # -- pauses of all renewals ----------------------------------------------------------------------------------------

    def working(self, at_most: int) -> int:
        """How many accounts have not failed, counted up to ``at_most``."""
        return self._renewable().filter(failures=0)[:at_most].count()

    def take_probe(self) -> TokenLease | None:
        """The lease on the account that is tried while renewals are paused, due or not; None when there is none.

        One that has not failed comes first: it was not tried yet, and it is no account that fails by itself.
        """
        free = self._renewable().filter(TOKEN_LEASE.free(), next_action_at__isnull=False).order_by("next_action_at")
        for rows in (free.filter(failures=0), free):
            for pk, fence in rows.values_list("pk", "fence")[:1]:
                return self._take(self._renewable(), pk, fence)
        return None

    def renewable(self) -> bool:
        """Whether there is any account whose tokens are renewed."""
        return self._renewable().filter(next_action_at__isnull=False).exists()

    def failed_since(self, since: datetime) -> list[int]:
        """The keys of accounts that have failed since then, and are not due yet."""
        failed = self._renewable().filter(failures__gt=0, last_failed_at__gte=since, next_action_at__gt=clock.now())
        return list(failed.order_by("pk").values_list("pk", flat=True))

    def retry(self, keys: list[int], retry_in: timedelta) -> None:
        """Try these accounts again after ``retry_in``, where that is sooner than planned."""
        at = clock.now() + retry_in
        self._renewable().filter(TOKEN_LEASE.free(), pk__in=keys, next_action_at__gt=at).update(next_action_at=at)

    def refused_together(self, lease: TokenLease, around: timedelta) -> tuple[int, int]:
        """How many accounts were refused at about the same time, this one among them, and how many there are."""
        authorized = self._renewable()
        since = lease.refused_since or lease.taken_at
        refused = authorized.filter(refused_since__range=(since - around, since + around)).count()
        return refused + (lease.refused_since is None), authorized.count()

    def others_renewed(self, lease: TokenLease) -> bool:
        """Whether another account has been renewed since this one was refused: WeChat answers for the platform."""
        since = lease.refused_since or lease.taken_at
        return self._renewable().exclude(pk=lease.pk).filter(access_token_obtained_at__gte=since).exists()

    @staticmethod
    def forget_tokens(kept: timedelta, deadline: Deadline = NO_DEADLINE) -> int:
        """Delete the refresh tokens of accounts, of every platform, that ended so long ago; of how many."""
        ended = Authorizer.objects.filter(
            Q(unauthorized_at__isnull=True) | Q(unauthorized_at__lt=clock.now() - kept),
            ~Q(refresh_token="") | ~Q(previous_refresh_token=""),
            state=Authorizer.State.UNAUTHORIZED,
        )
        forgotten = 0
        while not deadline.passed and (keys := list(ended.order_by().values_list("pk", flat=True)[:AT_ONCE])):
            forgotten += ended.filter(pk__in=keys).update(refresh_token="", previous_refresh_token="")
        return forgotten

    def ended_since(self, appid: str, since: datetime) -> bool:
        """Whether a grant of WeChat's time ``since`` is known to have ended: in that second, or after it."""
        ended = self.rows().filter(appid=appid, state=Authorizer.State.UNAUTHORIZED)
        return ended.filter(Q(grant_changed_at__gte=since) | Q(unauthorized_at__gte=since)).exists()


def decrypted(row: Authorizer, column: str) -> tuple[Secret, EncryptionError | None]:
    """The refresh token in this column, or an empty one and why it cannot be decrypted.

    Such a token is not the end of an account: WeChat's records have it, and a new grant brings another.
    """
    try:
        return row.reveal(column), None
    except EncryptionError as error:
        logger.error("A refresh token cannot be used. %s", error)
        return Secret(), error


def same_grant(row: Authorizer) -> QuerySet[Authorizer]:
    """This account's row, unless its lease, its tokens or its grant changed since it was read."""
    return unchanged(row).filter(grant_epoch=row.grant_epoch)


def withdrawn(at: Any) -> dict[str, Any]:
    """The columns of an account whose owner took the grant back.

    No call can be made for it. Its refresh tokens remain for some days, in case that turns out to be wrong.
    """
    return {
        "access_token": "",
        "access_token_expires_at": None,
        "access_token_obtained_at": None,
        "unauthorized_at": at,
        "refused_since": None,
        "restricted_since": None,
        "missing_since": None,
        "next_action_at": None,
        "due_since": None,
    }

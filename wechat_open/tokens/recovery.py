"""Where a renewal finds a refresh token that WeChat takes, and what it means when there is none."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import timedelta
from typing import TypeVar

from ..client.calls import Call
from ..client.component import AUTHORIZER_TOKEN, Refreshed, authorizer_info, authorizer_list, authorizer_token
from ..exceptions import (
    AuthorizerUnauthorized,
    NotAuthorized,
    ReauthorizationNeeded,
    RefreshTokenRefused,
    Unreachable,
    WeChatOpenError,
)
from ..models import Authorizer
from ..secret import Secret
from ..stores.authorizers import AuthorizerStore
from ..stores.tokens import TokenLease
from ..text import TranslatableText as _
from . import policy
from .component import ComponentKeeper
from .keeper import Keeper, LeaseLost, is_in_flight
from .policy import Brake

logger = logging.getLogger(__name__)

_T = TypeVar("_T")

AN_HOUR = timedelta(hours=1)

RENEWALS_KEPT = 12
"""How many times of renewals an account's row keeps: about a day of them."""


class LeasedCalls:
    """Calls as the component about one account, each under a lease that outlasts it.

    ``in_flight`` says that a refresh was sent and not answered: WeChat may still be working on it, and until the lease
    ends there must be no other.
    """

    def __init__(self, keeper: Keeper[AuthorizerStore], lease: TokenLease) -> None:
        self.keeper = keeper
        self.store = keeper.store
        self.platform = keeper.platform
        self.appid = lease.appid
        self.lease = lease
        self.asked = 0.0
        self.in_flight = False

    def ask(self, call: Call[_T]) -> _T:
        """Make a call; raises LeaseLost when another worker has the lease."""
        return ComponentKeeper(self.platform).call_with_token(call, before=self._before_call)

    def refresh(self, used: Secret) -> Refreshed:
        """api_authorizer_token. It is in flight until its end is known: a time limit of the site's may strike in it."""
        self.in_flight = True
        try:
            answer = self.ask(authorizer_token(self.platform, self.appid, used))
        except WeChatOpenError as error:
            if not is_in_flight(error, AUTHORIZER_TOKEN):
                self.in_flight = False
            raise
        self.in_flight = False
        return answer

    def _before_call(self) -> None:
        self.lease = self.keeper.outlasting(self.lease)
        self.asked = self.keeper.timing.monotonic()


class Renewal(LeasedCalls):
    """The renewal of one account's tokens, from the first refresh token that WeChat takes.

    Recovery order: what is stored, the account's record at WeChat, WeChat's list of accounts. Each is read only when
    WeChat has refused all tokens before it. ``denied`` is WeChat's refusal to give the account's record (61003),
    ``unlisted`` says that its whole list lacks the account: both together mean that the grant is gone.
    """

    def __init__(self, keeper: Keeper[AuthorizerStore], lease: TokenLease, *, past_brake: bool = False) -> None:
        super().__init__(keeper, lease)
        self.past_brake = past_brake
        self.denied: NotAuthorized | None = None
        self.unlisted = False
        self.unreadable: Unreachable | None = None
        self._tried: set[Secret] = set()

    def run(self) -> Secret:
        """The new access token, stored. Raises WeChat's error when it takes none of the refresh tokens."""
        refused: WeChatOpenError | None = None
        for candidate in self.candidates():
            try:
                return self._try(candidate)
            except (RefreshTokenRefused, NotAuthorized) as error:
                refused = error
        raise self._give_up(refused or self.denied)

    def candidates(self) -> Iterator[Secret]:
        sources = [self._stored, self._on_record, self._listed]
        if self.lease.needs_reconcile:  # there is reason to doubt what is stored
            sources = [self._on_record, self._stored, self._listed]
        for source in sources:
            for token in source():
                if token and token not in self._tried:
                    self._tried.add(token)
                    yield token

    def _stored(self) -> Iterator[Secret]:
        yield self.lease.refresh_token
        yield self.lease.previous_refresh_token

    def _on_record(self) -> Iterator[Secret]:
        try:
            yield self.ask(authorizer_info(self.platform, self.appid)).refresh_token
        except NotAuthorized as error:
            self.denied = error
        except Unreachable as error:  # this account's record alone may be unreadable: the list has its token too
            self.unreadable = error

    def _listed(self) -> Iterator[Secret]:
        """The first page only: on a large platform the hourly reconciliation reads the rest, once for all accounts."""
        page = self.ask(authorizer_list(self.platform))
        listed = [entry for entry in page.authorizers if entry.appid == self.appid]
        if listed:
            yield listed[0].refresh_token
        elif self.appid in page.skipped:
            self.unlisted = False
        elif page.total_count <= page.received:
            self.unlisted = True
        else:
            self.unlisted = self.lease.missing_since is not None or self.lease.cancelled

    def _try(self, used: Secret) -> Secret:
        """Refresh with this token, and store the pair before it is used."""
        answer = self.refresh(used)
        asked = self.asked
        rotated = bool(answer.refresh_token) and answer.refresh_token != used
        saved = self.keeper.save(
            self.lease,
            answer.access,
            asked,
            refresh_token=answer.refresh_token if rotated else used,
            previous_refresh_token=used if rotated else Secret(),  # until the new one has worked once
            refused_since=None,
            restricted_since=None,
            missing_since=None,
            needs_reconcile=False,
            renewals=[self.lease.time_at(asked).isoformat(timespec="seconds"), *self.lease.renewals][:RENEWALS_KEPT],
        )
        if not saved:
            self.store.mark_for_reconciliation(self.lease.pk)
            raise LeaseLost(f"The grant of account {self.appid} changed while its token was being renewed.")
        return answer.access.token

    def _give_up(self, refused: WeChatOpenError | None) -> WeChatOpenError:
        """Store that WeChat takes no token; the error to raise. The state changes only by time and WeChat's records."""
        unread = self.lease.damage or self.unreadable
        if refused is None and unread is not None:
            self.store.fail(self.lease, unread, self.keeper.retry_refused_in(self.lease))
            return unread
        if refused is None:
            refused = policy.NoTokenGiven(
                _("WeChat has given no token for account %(appid)s: it may own no API.", appid=self.appid), AN_HOUR
            )
        # The record that could not be read may have the token that works.
        state = None if self.unreadable else self._verdict()
        if state is None or self._is_held(state):
            lease = self.lease.after_refusal(refused)
            if self.unreadable:
                retry_in = policy.retry_in(lease.failures, self.keeper.timing.jitter())
            else:
                retry_in = self.keeper.retry_refused_in(lease)
            self.store.refuse(lease, refused, retry_in)
            return refused
        self.store.change_state(self.lease, state, refused)
        self.keeper.environment.cache.forget(self.keeper.name)
        if self.lease.cancelled and state == Authorizer.State.UNAUTHORIZED:
            logger.info("Account %s is now %s: WeChat confirms the cancellation.", self.appid, state.value)
        else:
            logger.error("Account %s is now %s: %s", self.appid, state.value, refused)
        unauthorized = state == Authorizer.State.UNAUTHORIZED
        return AuthorizerUnauthorized(self.appid) if unauthorized else ReauthorizationNeeded(self.appid)

    def _verdict(self) -> Authorizer.State | None:
        gone = self.denied is not None and self.unlisted
        refused_for = self._refused_for()
        if gone and (self.lease.cancelled or refused_for >= policy.GONE_FOR):
            return Authorizer.State.UNAUTHORIZED
        if self.lease.damage is not None:  # the stored token was not refused: it could not be tried
            return None
        return Authorizer.State.NEEDS_REAUTHORIZATION if refused_for >= policy.REFUSED_FOR else None

    def _refused_for(self) -> timedelta:
        now = self.lease.time_at(self.keeper.timing.monotonic())
        return now - self.lease.refused_since if self.lease.refused_since else timedelta()

    def _is_held(self, state: Authorizer.State) -> bool:
        """Whether this state is not believed yet, because WeChat or the platform may be the cause."""
        if self.past_brake:
            return False
        refused, total = self.store.refused_together(self.lease, policy.TOGETHER)
        brake = policy.brake(refused, total, self.keeper.environment.limits)
        if brake is Brake.ON:
            logger.error(
                "%d of %d accounts of platform %r failed at once: the brake is on, and none is marked as lost.",
                refused,
                total,
                self.platform.alias,
            )
            self.keeper.environment.component_store(self.platform.row).record_brake()
            return True
        if state != Authorizer.State.UNAUTHORIZED or self.lease.cancelled or self._refused_for() >= policy.REFUSED_FOR:
            return False
        return brake is Brake.SLOW or not self.store.others_renewed(self.lease)

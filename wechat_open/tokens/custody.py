"""How is one token kept?

Read, renew ahead of its end, and heal when WeChat says that it is dead: one algorithm (``Keeper``) for the component
token and for the tokens of accounts. They differ in how a claimed token is renewed: from a verify ticket, or from a
refresh token with WeChat's own records as the ladder under it.

Everything that touches the world is a method of ``store`` or ``wechat``, or one of the functions in ``World``, so the
same code can run under a scheduler that interleaves workers and stops them between any two steps. There is no clean-up
code to run when one is stopped: a claim simply ends.
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import cached_property
from typing import TypeVar

from django.db import Error as DatabaseTrouble

from .. import journal
from ..component import Platform
from ..conf import conf
from ..endpoints import LIST_PAGE, Endpoints, NewToken, Refreshed
from ..exceptions import (
    AuthorizerUnauthorized,
    NotAuthorized,
    ReauthorizationNeeded,
    RefreshTokenRefused,
    TicketMissing,
    TicketRefused,
    TokenRefused,
    TokenUnavailable,
    Unreachable,
    WeChatOpenError,
)
from ..journal import Kind, What
from ..models import Authorizer
from ..secret import Secret
from ..sentence import Sentence as _
from ..sentence import pgettext
from . import cache, policy
from .policy import Blame
from .store import AuthorizerStore, Claim, ComponentStore, Holding
from .world import WORLD, World, outside_transactions

logger = logging.getLogger(__name__)

_T = TypeVar("_T")


POLL = 0.05
"""Seconds between looks of a caller who waits for somebody else's renewal; doubles up to ``POLL_AT_MOST``."""
POLL_AT_MOST = 0.5

HALF_A_SECOND = timedelta(seconds=0.5)
"""WeChat's ``Date`` has no fractions: on average it is half a second more."""

AN_HOUR = timedelta(hours=1)

RENEWALS_KEPT = 12
"""How many renewals an account's row remembers: about a day of them."""


class ClaimLost(WeChatOpenError):
    """Somebody else has claimed the token meanwhile; what they store stands."""


class Keeper(ABC):
    """Keeps one token. Built for one use; all state is in the store."""

    def __init__(self, platform: Platform, world: World = WORLD) -> None:
        self.platform = platform
        self.wechat: Endpoints = platform.endpoints
        self.world = world

    # -- what the two kinds of token do differently -------------------------------------------------------------------

    @cached_property
    @abstractmethod
    def store(self) -> ComponentStore | AuthorizerStore:
        """Where the token lies. Made when needed: a cached token is handed out without the database."""

    @property
    @abstractmethod
    def name(self) -> str:
        """The cache's name for the token; two platforms that hold one account never share it."""

    @property
    @abstractmethod
    def subject(self) -> str:
        """Whose token it is, for messages."""

    @abstractmethod
    def read(self) -> Holding:
        """What the store holds now. Raises when nobody may use it (unknown, unauthorized)."""

    @abstractmethod
    def renew(self, claim: Claim) -> Secret:
        """Get a new token from WeChat and store it; a failure is stored as well, and raised."""

    @abstractmethod
    def expire(self, holding: Holding) -> bool:
        """End a token that WeChat refused; False when it must stand for now."""

    # -- what they share ----------------------------------------------------------------------------------------------

    def token(self) -> Secret:
        """A token that WeChat should accept. The old one while somebody renews it; waiting only when there is none."""
        known = cache.read(self.name)
        return self._token() if known is None else known

    def _token(self) -> Secret:
        try:
            holding = self.read()
        except DatabaseTrouble:
            last = cache.read_last(self.name)
            if last is None:
                raise
            return last
        if holding.valid and not self._urgent(holding):
            self._remember(holding)
            return holding.access_token
        return outside_transactions(lambda: self._renew_in_line(holding))

    def lend(self, call: Callable[[Secret], _T]) -> _T:
        """Make a call with the token; when WeChat refuses the token, which means that it did nothing, once more."""
        token = self.token()
        try:
            return call(token)
        except TokenRefused:
            if not self.invalidate(token):
                logger.error(
                    "WeChat refused a token of %s that was renewed a moment ago: does another system renew it too?",
                    self.subject,
                )
                raise
        # Past the cache: somebody who had read the refused token before it was ended may have put it back there.
        return call(outside_transactions(self._token))

    def invalidate(self, used: Secret) -> bool:
        """WeChat refused ``used``. True when there is, or will be, another one; a newer token is left alone."""
        return outside_transactions(lambda: self._invalidate(used))

    def _invalidate(self, used: Secret) -> bool:
        cache.forget(self.name)
        for _attempt in range(2):  # whoever claims between reading and ending makes the first round fail
            holding = self.read()
            if holding.access_token != used or not holding.valid or self.expire(holding):
                return True
        return False

    def renew_now(self) -> Secret:
        """Renew whether due or not, unless somebody is at it: then wait for theirs."""
        return outside_transactions(self._renew_now)

    def _renew_now(self) -> Secret:
        holding = self.read()
        claim = None if holding.claimed else self.store.claim(holding)
        return self.renew(claim) if claim else self._wait(holding)

    def _urgent(self, holding: Holding) -> bool:
        assert holding.expires_at is not None
        return holding.read_at >= policy.urgent_at(holding.obtained_at, holding.expires_at)

    def _renew_in_line(self, holding: Holding) -> Secret:
        """One caller renews; the others go on with a token that still works, or wait for the new one."""
        if self._resting(holding):
            return self._use_or_refuse(holding)
        claim = None if holding.claimed else self.store.claim(holding)
        if claim is None:
            return holding.access_token if holding.valid else self._wait(holding)
        try:
            return self.renew(claim)
        except ClaimLost:
            return self._wait(holding)
        except (WeChatOpenError, DatabaseTrouble):
            if not holding.valid:
                raise
            logger.warning("Renewing the token of %s failed; it still works for a moment.", self.subject)
            return holding.access_token

    def _resting(self, holding: Holding) -> bool:
        """After a failure the next attempt has its time; callers do not hammer."""
        return bool(
            holding.failures
            and not holding.claimed
            and holding.next_action_at is not None
            and holding.next_action_at > holding.read_at
        )

    def _use_or_refuse(self, holding: Holding) -> Secret:
        if holding.valid:
            return holding.access_token
        assert holding.next_action_at is not None
        raise TokenUnavailable(
            _(
                "No usable token for %(subject)s. The last renewal failed: %(error)s",
                subject=self.subject,
                error=holding.last_error,
            ),
            retry_after=holding.next_action_at - holding.read_at,
        )

    def _wait(self, before: Holding) -> Secret:
        """Somebody else is renewing: look again, ever more rarely, for a bounded time."""
        ends_at = self.world.monotonic() + conf.token_wait.total_seconds()
        pause = POLL
        while self.world.monotonic() < ends_at:
            self.world.sleep(pause * (0.5 + self.world.luck() / 2))
            pause = min(pause * 2, POLL_AT_MOST)
            holding = self.read()
            if holding.valid and holding.obtained_at != before.obtained_at:
                self._remember(holding)
                return holding.access_token
            if self._resting(holding):
                return self._use_or_refuse(holding)
            if not holding.claimed:
                claim = self.store.claim(holding)
                if claim is not None:
                    return self.renew(claim)
        raise TokenUnavailable(
            _("The token of %(subject)s is being renewed, and that takes unusually long.", subject=self.subject)
        )

    def _remember(self, holding: Holding) -> None:
        assert holding.expires_at is not None
        short, last = policy.cached_for(holding.obtained_at, holding.expires_at, holding.read_at)
        cache.write(self.name, holding.access_token, short, last)

    def _hold(self, claim: Claim) -> Claim:
        """Make sure that the next call to WeChat ends before the lease does."""
        left = policy.LEASE.total_seconds() - (self.world.monotonic() - claim.claimed_monotonic)
        if left > self.wechat.client.longest_call.total_seconds():
            return claim
        extended = self.store.extend(claim)
        if extended is None:
            raise ClaimLost(f"Somebody else is renewing the token of {self.subject}.")
        return extended

    def _retry_in(self, claim: Claim, at_most: timedelta = policy.LAST_RETRY) -> timedelta:
        return policy.retry_in(claim.failures, self.world.luck(), at_most=at_most)

    def _keep(self, claim: Claim, access: NewToken, asked: float, **others: object) -> bool:
        """Store a renewed token, counted from before WeChat was asked; then let the cache know."""
        obtained_at = claim.time_at(asked)
        stored = self.store.commit(claim, access, obtained_at, self.world.luck(), **others)
        if stored:
            expires_at = obtained_at + access.expires_in
            short, last = policy.cached_for(obtained_at, expires_at, claim.time_at(self.world.monotonic()))
            cache.write(self.name, access.token, short, last)
        return stored


class ComponentKeeper(Keeper):
    """The component access token, renewed from the newest ticket that WeChat accepts (protocol 3.1)."""

    @cached_property
    def store(self) -> ComponentStore:
        return ComponentStore(self.platform.row, self.world)

    @property
    def name(self) -> str:
        return self.platform.appid

    @property
    def subject(self) -> str:
        return pgettext("wechat_open", "platform %(alias)r", alias=self.platform.alias)

    def read(self) -> Holding:
        return self.store.read()

    def expire(self, holding: Holding) -> bool:
        forced = self.store.force(holding, policy.FORCED_APART)
        if forced:
            journal.count(What.FORCED, self.platform.row)
        return forced

    def _use_or_refuse(self, holding: Holding) -> Secret:
        if not holding.valid and not self.store.tickets():
            raise self._no_ticket()
        return super()._use_or_refuse(holding)

    def renew(self, claim: Claim) -> Secret:
        try:
            return self._renew(claim)
        except ClaimLost:
            raise
        except WeChatOpenError as error:
            self.store.fail(claim, error, self._retry_in(claim))
            raise

    def _renew(self, claim: Claim) -> Secret:
        refused: TicketRefused | None = None
        for ticket in self.store.tickets():
            claim = self._hold(claim)
            asked = self.world.monotonic()
            try:
                access = self.wechat.component_token(ticket)
            except TicketRefused as error:
                refused = error
                continue
            if self._keep(claim, access, asked, **self._clocks(claim, access, asked)):
                return access.token
            raise ClaimLost(f"Somebody else has renewed the token of {self.subject}.")
        raise refused or self._no_ticket()

    def _clocks(self, claim: Claim, access: NewToken, asked: float) -> dict[str, float]:
        """How far WeChat's clock is ahead of the database's: the answer was written halfway between call and return."""
        if access.answered_at is None:
            return {}
        halfway = claim.time_at((asked + self.world.monotonic()) / 2)
        return {"skew_seconds": (access.answered_at + HALF_A_SECOND - halfway).total_seconds()}

    def _no_ticket(self) -> TicketMissing:
        return TicketMissing(
            _(
                "WeChat has pushed no verify ticket for %(subject)s yet. It comes every ten minutes to "
                "the authorization event URL (授权事件接收URL): check that address in the console, or start "
                "pushing with `%(command)s`.",
                subject=self.subject,
                command=self.platform.command("push-ticket"),
            ),
            retry_after=timedelta(minutes=1),
        )


def as_component(platform: Platform, call: Callable[[Secret], _T], world: World = WORLD) -> _T:
    """Make a call that needs the component token."""
    return ComponentKeeper(platform, world).lend(call)


class AuthorizerKeeper(Keeper):
    """One account's tokens, renewed from its refresh token, or from what WeChat itself has on record."""

    def __init__(self, platform: Platform, appid: str, world: World = WORLD) -> None:
        super().__init__(platform, world)
        self.appid = appid

    @cached_property
    def store(self) -> AuthorizerStore:
        return AuthorizerStore(self.platform.row, self.world)

    @property
    def name(self) -> str:
        return f"{self.platform.appid}:{self.appid}"

    @property
    def subject(self) -> str:
        return pgettext("wechat_open", "account %(appid)s", appid=self.appid)

    def read(self) -> Holding:
        holding = self.store.read(self.appid)
        if holding.state == Authorizer.State.UNAUTHORIZED:
            raise AuthorizerUnauthorized(self.appid)
        if holding.state == Authorizer.State.NEEDS_REAUTHORIZATION:
            raise ReauthorizationNeeded(self.appid)
        return holding

    def expire(self, holding: Holding) -> bool:
        return self.store.expire(holding)

    def _renew_in_line(self, holding: Holding) -> Secret:
        paused_for = ComponentStore(self.platform.row).paused_for()
        if paused_for and not holding.valid:
            raise TokenUnavailable(
                _(
                    "No usable token for %(subject)s: renewals of platform %(alias)r are paused.",
                    subject=self.subject,
                    alias=self.platform.alias,
                ),
                retry_after=paused_for,
            )
        return super()._renew_in_line(holding)

    def renew(self, claim: Claim) -> Secret:
        renewal = Renewal(self, claim)
        try:
            token = renewal.run()
        except ClaimLost:
            raise
        except WeChatOpenError as error:
            self._fail(renewal.claim, error)
            self._tell(claim, error)
            raise
        self._tell(claim)
        return token

    def _fail(self, claim: Claim, error: WeChatOpenError) -> None:
        """Note the failure where it belongs; the ladder has noted those that are the account's own."""
        retry_in = self._retry_in(claim)
        if policy.blame(error) is Blame.PLATFORM:
            self.store.release(claim, retry_in)
            if not isinstance(error, TokenUnavailable):
                ComponentStore(self.platform.row).pause(error, policy.pause_for(error, self.world.luck()))
        elif policy.blame(error) is Blame.RESTRICTED:
            self.store.restrict(claim, error, self._look_in(claim))
        elif policy.blame(error) is Blame.WEATHER:
            self.store.fail(claim, error, retry_in)

    def _look_in(self, claim: Claim) -> timedelta:
        now = claim.time_at(self.world.monotonic())
        restricted_for = now - claim.restricted_since if claim.restricted_since else timedelta()
        many = self.store.many_restricted(claim, conf.brake_accounts, conf.brake_share, policy.GONE_FOR)
        if many:
            logger.error("WeChat restricts many accounts of platform %r at once.", self.platform.alias)
        return policy.restricted_retry_in(restricted_for, claim.failures, self.world.luck(), many=many)

    def _tell(self, claim: Claim, error: WeChatOpenError | None = None) -> None:
        """For the operator: every renewal is counted, and the first failure of several and their end are told."""
        component = self.platform.row
        journal.count(What.FAILED if error else What.RENEWED, component)
        if error is not None and policy.blame(error) is Blame.RESTRICTED:
            if claim.restricted_since is None:
                journal.note(Kind.RESTRICTED, component, appid=self.appid, error=error)
        elif error is not None and not claim.failures and policy.blame(error) is not Blame.PLATFORM:
            journal.note(Kind.RENEWAL_FAILED, component, appid=self.appid, error=error)
        elif error is None and claim.failures:
            journal.note(Kind.RECOVERED, component, appid=self.appid)


def as_authorizer(platform: Platform, appid: str, call: Callable[[Secret], _T], world: World = WORLD) -> _T:
    """Make a call that needs an account's token."""
    return AuthorizerKeeper(platform, appid, world).lend(call)


class Renewal:
    """One walk down the ladder of refresh tokens, from the likeliest to what WeChat itself has on record.

    Nothing is asked before it is needed. ``denied`` is WeChat's refusal to tell about the account (61003), ``unlisted``
    says that its whole list lacks the account: both together mean that the grant is gone.
    """

    def __init__(self, keeper: AuthorizerKeeper, claim: Claim) -> None:
        self.keeper = keeper
        self.store = keeper.store
        self.wechat = keeper.wechat
        self.appid = keeper.appid
        self.claim = claim
        self.denied: NotAuthorized | None = None
        self.unlisted = False
        self.unreadable: Unreachable | None = None
        self._tried: set[Secret] = set()

    def run(self) -> Secret:
        """The new access token, stored. Raises what WeChat said when it takes none of the tokens."""
        refused: WeChatOpenError | None = None
        for candidate in self.candidates():
            try:
                return self._try(candidate)
            except (RefreshTokenRefused, NotAuthorized) as error:
                refused = error
        raise self._give_up(refused or self.denied)

    def candidates(self) -> Iterator[Secret]:
        rungs = [self._stored, self._info, self._list]
        if self.claim.needs_reconcile:  # there is reason to doubt what is stored
            rungs = [self._info, self._stored, self._list]
        for rung in rungs:
            for token in rung():
                if token and token not in self._tried:
                    self._tried.add(token)
                    yield token

    def _stored(self) -> Iterator[Secret]:
        yield self.claim.refresh_token
        yield self.claim.previous_refresh_token

    def _info(self) -> Iterator[Secret]:
        try:
            yield self._ask(lambda token: self.wechat.authorizer_info(token, self.appid)).refresh_token
        except NotAuthorized as error:
            self.denied = error
        except Unreachable as error:  # this account's record alone may be unreadable: the list has its token too
            self.unreadable = error

    def _list(self) -> Iterator[Secret]:
        """The first page only: on a large platform the hourly sweep reads the rest, once for everybody."""
        page = self._ask(lambda token: self.wechat.authorizer_list(token, 0, LIST_PAGE))
        listed = [entry for entry in page.authorizers if entry.appid == self.appid]
        if listed:
            yield listed[0].refresh_token
        elif self.appid in page.skipped:
            self.unlisted = False
        elif page.total_count <= page.received:
            self.unlisted = True
        else:
            self.unlisted = self.claim.missing_since is not None

    def _try(self, used: Secret) -> Secret:
        """Refresh with this token and keep the pair, before anybody uses it."""
        asked = 0.0

        def refresh(token: Secret) -> Refreshed:
            nonlocal asked
            asked = self.keeper.world.monotonic()
            return self.wechat.authorizer_token(token, self.appid, used)

        answer = self._ask(refresh)
        rotated = bool(answer.refresh_token) and answer.refresh_token != used
        stored = self.keeper._keep(
            self.claim,
            answer.access,
            asked,
            refresh_token=answer.refresh_token if rotated else used,
            previous_refresh_token=used if rotated else Secret(),  # until the new one has worked once
            refused_since=None,
            restricted_since=None,
            missing_since=None,
            needs_reconcile=False,
            renewals=[self.claim.time_at(asked).isoformat(timespec="seconds"), *self.claim.renewals][:RENEWALS_KEPT],
        )
        if not stored:
            self.store.mark_for_reconciliation(self.claim.pk)
            raise ClaimLost(f"The grant of account {self.appid} changed while its token was being renewed.")
        return answer.access.token

    def _ask(self, call: Callable[[Secret], _T]) -> _T:
        """Call as the component; the lease is looked after right before WeChat is asked."""

        def held(token: Secret) -> _T:
            self.claim = self.keeper._hold(self.claim)
            return call(token)

        return as_component(self.keeper.platform, held, self.keeper.world)

    def _give_up(self, refused: WeChatOpenError | None) -> WeChatOpenError:
        """WeChat takes nothing. Only time and WeChat's own word make that a change of state; returns what to raise."""
        if refused is None and self.unreadable is not None:
            self.store.fail(self.claim, self.unreadable, self.keeper._retry_in(self.claim, policy.REFUSED_RETRY))
            return self.unreadable
        at_most = policy.REFUSED_RETRY
        if refused is None:
            refused = policy.NoTokenGiven(
                _("WeChat has given no token for account %(appid)s: it may own no API.", appid=self.appid), AN_HOUR
            )
            at_most = AN_HOUR
        # A record of WeChat's that could not be read may have the token that works.
        state = None if self.unreadable else self._verdict()
        if state is not None and self._braked():
            logger.error(
                "Too many accounts of platform %r failed at once: the brake is on, and none is marked as lost.",
                self.keeper.platform.alias,
            )
            ComponentStore(self.keeper.platform.row).note_brake()
            state = None
        if state is None:
            self.store.refuse(self.claim, refused, self.keeper._retry_in(self.claim, at_most))
            return refused
        self.store.change_state(self.claim, state, refused)
        cache.forget(self.keeper.name)
        logger.error("Account %s is now %s: %s", self.appid, state.value, refused)
        unauthorized = state == Authorizer.State.UNAUTHORIZED
        return AuthorizerUnauthorized(self.appid) if unauthorized else ReauthorizationNeeded(self.appid)

    def _verdict(self) -> Authorizer.State | None:
        now = self.claim.time_at(self.keeper.world.monotonic())
        refused_for = now - self.claim.refused_since if self.claim.refused_since else timedelta()
        gone = self.denied is not None and self.unlisted
        if gone and (self.claim.cancelled or refused_for >= policy.GONE_FOR):
            return Authorizer.State.UNAUTHORIZED
        return Authorizer.State.NEEDS_REAUTHORIZATION if refused_for >= policy.REFUSED_FOR else None

    def _braked(self) -> bool:
        return self.store.braked(self.claim, conf.brake_accounts, conf.brake_share, policy.GONE_FOR)

"""How one token is read, and renewed by one worker at a time.

One algorithm for the component token and for the tokens of accounts. They differ in how a leased token is renewed: see
``component`` and ``authorizers``.

Whatever reaches outside the process is a method of the store or of another port of ``environment``. There is no
clean-up code for a worker that is killed: its lease ends by itself.
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import cached_property
from itertools import chain
from typing import Any, Generic, TypeVar

from django.db import Error as AnyDatabaseError

from ..client.calls import Call
from ..client.component import NewToken
from ..exceptions import (
    AuthorizerUnavailable,
    TokenRefused,
    TokenUnavailable,
    UnknownAuthorizer,
    Unreachable,
    WeChatOpenError,
)
from ..platforms import Platform
from ..secret import Secret
from ..stores.tokens import StoredToken, TokenLease, TokenStore, UnusableRow
from ..text import TranslatableText as _
from . import policy

logger = logging.getLogger(__name__)

_S = TypeVar("_S", bound=TokenStore[Any])
_T = TypeVar("_T")


POLL = 0.05
"""Seconds between reads of a caller that waits for another one's renewal; doubles up to ``POLL_AT_MOST``."""
POLL_AT_MOST = 0.5

STANDSTILL = timedelta(seconds=10)
"""For so long a process may stand still between looking at its lease and sending, whatever is left of the lease."""


class LeaseLost(WeChatOpenError):
    """Another worker has taken the lease meanwhile; what it stores stands."""


class Keeper(ABC, Generic[_S]):
    """Keeps one token. Built for one use; all state is in the store."""

    def __init__(self, platform: Platform) -> None:
        self.platform = platform
        self.environment = platform.environment
        self.timing = platform.environment.timing
        self.wechat = platform.client

    # -- what differs between the two kinds of token ------------------------------------------------------------------

    @cached_property
    @abstractmethod
    def store(self) -> _S:
        """Where the token lies. Made when needed: a cached token is returned without the database."""

    @property
    @abstractmethod
    def name(self) -> str:
        """The cache's name for the token; two platforms that hold one account never share it."""

    @property
    @abstractmethod
    def subject(self) -> str:
        """Whose token it is, for messages."""

    @abstractmethod
    def read(self) -> StoredToken:
        """The token as it is stored now. Raises when it must not be used (unknown or unauthorized account)."""

    @abstractmethod
    def renew(self, lease: TokenLease) -> Secret:
        """Get a new token from WeChat and store it; a failure is stored as well, and raised."""

    @abstractmethod
    def expire(self, stored: StoredToken) -> bool:
        """End a token that WeChat refused; False when it stays valid for now."""

    # -- what they share ----------------------------------------------------------------------------------------------

    def token(self) -> Secret:
        """A token that WeChat should accept: during a renewal the old one, unless that has ended."""
        cached = self.environment.cache.read(self.name)
        return self._token() if cached is None else cached

    def _token(self) -> Secret:
        asked = self.timing.monotonic()
        try:
            stored = self.read()
        except AnyDatabaseError:
            last = self.environment.cache.read_last(self.name)
            if last is None:
                raise
            return last
        except AuthorizerUnavailable:
            self.environment.cache.forget(self.name)
            raise
        if stored.valid and not self._urgent(stored):
            self._write_to_cache(stored, asked)
            return stored.access_token
        try:
            return self.environment.outside_atomic(lambda: self._renew_inline(stored))
        except (WeChatOpenError, AnyDatabaseError):
            if not stored.valid:
                raise
            logger.warning("Renewing the token of %s failed; it still works for a moment.", self.subject)
            return stored.access_token

    def call_with_token(self, call: Call[_T], before: Callable[[], object] = lambda: None) -> _T:
        """Make a call with the token. When WeChat refuses the token, it did nothing: the call is made once more.

        ``before`` runs right before each request.
        """
        token = self.token()
        try:
            before()
            return self._run(call, token)
        except TokenRefused:
            if not self.invalidate(token):
                logger.error(
                    "WeChat refused a token of %s that was renewed a moment ago: does another system renew it too?",
                    self.subject,
                )
                raise
        # Past the cache: a reader that had read the refused token before it was ended may have put it back there.
        token = self.environment.outside_atomic(self._token)
        before()
        return self._run(call, token)

    def _run(self, call: Call[_T], token: Secret | None = None) -> _T:
        return self.wechat.run(call, token)

    def invalidate(self, used: Secret) -> bool:
        """WeChat refused ``used``. True when there is, or will be, another one; a newer token is left alone."""
        return self.environment.outside_atomic(lambda: self._invalidate(used))

    def _invalidate(self, used: Secret) -> bool:
        self.environment.cache.forget(self.name)
        for _attempt in range(2):  # a lease that is taken between reading and ending makes the first round fail
            stored = self.read()
            if stored.access_token != used or not stored.valid or self.expire(stored):
                return True
        return False

    def renew_now(self) -> Secret:
        """Renew whether due or not. While another worker renews, wait for its token."""
        return self.environment.outside_atomic(self._renew_now)

    def _renew_now(self) -> Secret:
        stored = self.read()
        lease = None if stored.leased else self.store.take(stored)
        if lease is not None:
            return self.renew(lease)
        token = self._wait(stored)
        if token == stored.access_token:  # WeChat may still be working on the last renewal
            raise self._not_renewed(self.read())
        return token

    def run_apart(self, call: Call[_T]) -> _T:
        """Make a site's own call that renews this token, and store nothing of it.

        It is made under the lease, so that no renewal is in flight meanwhile. Raises TokenUnavailable when one takes
        unusually long.
        """
        return self.environment.outside_atomic(lambda: self._run_apart(call))

    def _run_apart(self, call: Call[_T]) -> _T:
        try:
            lease = self._take_when_free()
        except UnknownAuthorizer:  # its tokens are not kept here
            return self._send(call, lambda: None)
        try:
            answer = self._send(call, lambda: self.outlasting(lease))
        except WeChatOpenError as error:
            if not is_in_flight(error, call.name):
                self.store.give_back(lease)
            raise
        self.store.give_back(lease)
        return answer

    def _take_when_free(self) -> TokenLease:
        for _poll in chain([None], self._polls()):
            stored = self._read_any()
            lease = None if stored.leased else self.store.take(stored)
            if lease is not None:
                return lease
        raise self._slow()

    @abstractmethod
    def _read_any(self) -> StoredToken:
        """The token as it is stored now, whether or not it may be used."""

    @abstractmethod
    def _send(self, call: Call[_T], before: Callable[[], object]) -> _T:
        """Make a call that renews this token; ``before`` runs right before each request."""

    def _urgent(self, stored: StoredToken) -> bool:
        assert stored.expires_at is not None
        return stored.read_at >= policy.urgent_at(stored.obtained_at, stored.expires_at)

    def _renew_inline(self, stored: StoredToken) -> Secret:
        """One caller renews; the others use a token that still works, or wait for the new one."""
        if stored.rests:
            return self._use_or_raise(stored)
        lease = None if stored.leased or self._sits_out else self.store.take(stored)
        if lease is None:
            return stored.access_token if stored.valid else self._wait(stored)
        try:
            return self.renew(lease)
        except LeaseLost:
            return self._wait(stored)

    def _use_or_raise(self, stored: StoredToken) -> Secret:
        if stored.valid:
            return stored.access_token
        raise self._unavailable(stored)

    @property
    def _sits_out(self) -> bool:
        """Whether this process gets no answer from WeChat: then renewing is left to others."""
        return self.environment.reachability.sits_out

    def _use_or_raise_unreached(self, stored: StoredToken) -> Secret:
        if stored.valid:
            return stored.access_token
        raise TokenUnavailable(
            _("No usable token for %(subject)s, and this host gets no answer from WeChat.", subject=self.subject),
            retry_after=self.environment.reachability.left,
        )

    def _unavailable(self, stored: StoredToken) -> TokenUnavailable:
        return TokenUnavailable(
            _(
                "No usable token for %(subject)s. The last renewal failed: %(error)s",
                subject=self.subject,
                error=stored.last_error,
            ),
            retry_after=stored.rests_for,
        )

    def _not_renewed(self, stored: StoredToken) -> TokenUnavailable:
        return TokenUnavailable(
            _(
                "The token of %(subject)s cannot be renewed yet. The last renewal failed: %(error)s",
                subject=self.subject,
                error=stored.last_error,
            ),
            retry_after=stored.rests_for,
        )

    def _wait(self, before: StoredToken) -> Secret:
        """Another worker is renewing: read again, ever more rarely, for a bounded time."""
        for _poll in self._polls():
            asked = self.timing.monotonic()
            stored = self.read()
            if stored.valid and stored.obtained_at != before.obtained_at:
                self._write_to_cache(stored, asked)
                return stored.access_token
            if stored.rests:
                return self._use_or_raise(stored)
            if not stored.leased:
                if self._sits_out:
                    return self._use_or_raise_unreached(stored)
                lease = self.store.take(stored)
                if lease is not None:
                    return self.renew(lease)
        raise self._slow()

    def _polls(self) -> Iterator[None]:
        """Moments to read again, ever more rarely, for a bounded time."""
        ends_at = self.timing.monotonic() + self.environment.limits.token_wait.total_seconds()
        pause = POLL
        while self.timing.monotonic() < ends_at:
            self.timing.sleep(pause * (0.5 + self.timing.jitter() / 2))
            pause = min(pause * 2, POLL_AT_MOST)
            yield

    def _slow(self) -> TokenUnavailable:
        return TokenUnavailable(
            _("The token of %(subject)s is being renewed, and that takes unusually long.", subject=self.subject)
        )

    def _write_to_cache(self, stored: StoredToken, asked: float) -> None:
        """Cache a token that the database was asked for at that moment: what it took to answer is part of its life."""
        assert stored.expires_at is not None
        now = stored.read_at + timedelta(seconds=self.timing.monotonic() - asked)
        short, last = policy.cached_for(stored.obtained_at, stored.expires_at, now)
        self.environment.cache.write(self.name, stored.access_token, short, last)

    def outlasting(self, lease: TokenLease) -> TokenLease:
        """The lease, extended unless a call that begins soon is sure to end before it does. Raises LeaseLost."""
        if self._outlasts(lease, STANDSTILL):
            return lease
        extended = self.store.extend(lease)
        if extended is None:
            self.store.end(lease)
            raise LeaseLost(f"Another worker is renewing the token of {self.subject}.")
        if not self._outlasts(extended):
            raise LeaseLost(f"The database was too slow to extend the lease on the token of {self.subject}.")
        return extended

    def _outlasts(self, lease: TokenLease, standstill: timedelta = timedelta()) -> bool:
        needed = self.wechat.longest_call + standstill
        return lease.ends_monotonic - self.timing.monotonic() > needed.total_seconds()

    def _fail_in_flight(self, lease: TokenLease, error: WeChatOpenError) -> None:
        """A call that was sent got no answer, and WeChat may still be working on it.

        Nothing tells when it was sent: between any look at a clock and the request the process may have stood still. So
        the longest time that a call may take counts from now. Where no call gets an answer, it is this process that has
        to wait, and not the token.
        """
        retry_in = timedelta() if self.environment.reachability.doubtful else self._retry_in(lease)
        self.store.fail_in_flight(lease, error, retry_in, self.wechat.longest_call)

    def _retry_in(self, lease: TokenLease) -> timedelta:
        return policy.retry_in(lease.failures, self.timing.jitter())

    def retry_refused_in(self, lease: TokenLease) -> timedelta:
        return policy.refused_retry_in(lease.failures, self.timing.jitter())

    def _fail_alone(self, lease: TokenLease, error: Exception, *, in_flight: bool) -> None:
        """Store what is no answer of WeChat's, such as a value that the database does not take, as this row's failure.

        Otherwise the row would be the most overdue one for ever, and be taken before all others. A time limit of the
        site's may strike while a call is in flight.
        """
        failure = UnusableRow(lease.appid, error)
        try:
            if in_flight:
                self._fail_in_flight(lease, failure)
            else:
                self.store.fail(lease, failure, self.retry_refused_in(lease))
        except AnyDatabaseError:
            logger.exception("The failure to renew the token of %s could not be stored.", self.subject)

    def save(self, lease: TokenLease, access: NewToken, asked: float, **others: object) -> bool:
        """Store a renewed token, and then cache it; False when the lease is lost. Its life counts from the request."""
        obtained_at = lease.time_at(asked)
        expires_at = obtained_at + access.expires_in
        due_at = policy.due_at(obtained_at, access.expires_in, self.timing.jitter())
        if not self.store.commit(lease, access, obtained_at, due_at, **others):
            return False
        short, last = policy.cached_for(obtained_at, expires_at, lease.time_at(self.timing.monotonic()))
        self.environment.cache.write(self.name, access.token, short, last)
        return True


def is_in_flight(error: WeChatOpenError, path: str) -> bool:
    """Whether WeChat may still be working on the call that failed so. The error may be of another call before it."""
    return isinstance(error, Unreachable) and error.in_flight and error.path == path

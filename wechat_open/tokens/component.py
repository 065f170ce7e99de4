"""The component token: renewed from a verify ticket, and what stops the whole platform."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import cached_property
from typing import TypeVar

from django.db import Error as AnyDatabaseError

from ..audit import Counter
from ..client.calls import Call
from ..client.component import COMPONENT_TOKEN, NewToken, component_token
from ..exceptions import APIError, EncryptionError, TicketMissing, TicketRefused, Unreachable, WeChatOpenError
from ..platforms import Platform
from ..secret import Secret
from ..stores.component import ComponentStore
from ..stores.tickets import TicketStore
from ..stores.tokens import StoredToken, TokenLease
from ..text import TranslatableText as _
from ..text import pgettext
from . import policy
from .keeper import Keeper, LeaseLost, is_in_flight
from .policy import Fault

logger = logging.getLogger(__name__)

_T = TypeVar("_T")

RETRIED_AT_ONCE = 50
"""So many accounts are due at the same random moment after a pause."""

HALF_A_SECOND = timedelta(seconds=0.5)
"""WeChat's ``Date`` has no fractions: on average the time is half a second later."""


class ComponentKeeper(Keeper[ComponentStore]):
    """The component access token, renewed from the first ticket that WeChat accepts."""

    in_flight = False
    """Whether a call was sent that got no answer: WeChat may still be working on it."""

    @cached_property
    def store(self) -> ComponentStore:
        return self.environment.component_store(self.platform.row)

    @property
    def tickets(self) -> TicketStore:
        return self.environment.ticket_store(self.platform.row)

    @property
    def name(self) -> str:
        return self.platform.appid

    @property
    def subject(self) -> str:
        return pgettext("wechat_open", "platform %(alias)r", alias=self.platform.alias)

    def read(self) -> StoredToken:
        return self.store.read()

    _read_any = read

    def _send(self, call: Call[_T], before: Callable[[], object]) -> _T:
        before()
        return self._run(call)

    def _run(self, call: Call[_T], token: Secret | None = None) -> _T:
        """Make a call, and notice whether this process gets answers from WeChat.

        Those of a site's own calls in an account's name prove nothing: one of their APIs may be slow.
        """
        reachability = self.environment.reachability
        try:
            answer = self.wechat.run(call, token)
        except APIError:
            reachability.answered()
            raise
        except Unreachable as error:
            if error.answered:
                reachability.answered()
            elif reachability.unanswered():
                self._record_unreached(error)
            raise
        reachability.answered()
        return answer

    def _record_unreached(self, error: Unreachable) -> None:
        """Store it for operators: nothing else shows it as long as another host renews."""
        text = _("Host %(host)s gets no answer from WeChat. %(error)s", host=socket.gethostname(), error=error.text)
        logger.warning("This process leaves renewals to others for a while. %s", text)
        try:
            self.environment.outside_atomic(lambda: self.store.record_unreached(text))
        except AnyDatabaseError:
            logger.exception("The failure to reach WeChat for platform %r could not be stored.", self.platform.alias)

    def expire(self, stored: StoredToken) -> bool:
        forced = self.store.force(stored, policy.FORCED_APART)
        if forced:
            self.environment.audit.increment(Counter.FORCED, self.store.component)
        return forced

    def _use_or_raise(self, stored: StoredToken) -> Secret:
        if not stored.valid and not self._tickets():
            raise self._no_ticket()
        return super()._use_or_raise(stored)

    def renew(self, lease: TokenLease) -> Secret:
        try:
            return self._renew(lease)
        except LeaseLost:
            raise
        except WeChatOpenError as error:
            if self.in_flight:
                self._fail_in_flight(lease, error)
            elif policy.fault_of(error) is Fault.HOST:
                self.store.give_back(lease)
            else:
                self.store.fail(lease, error, policy.probe_in(lease.failures, self.timing.jitter()))
            if policy.stops_the_platform(error) and not self.read().valid:
                self.pause(error)
            raise
        except Exception as error:
            self._fail_alone(lease, error, in_flight=self.in_flight)
            raise

    def pause(self, error: WeChatOpenError, *, unless_paused: bool = False) -> None:
        """Pause the renewals of all accounts, or try the next one later, because of this failure.

        With ``unless_paused``, a pause that another thread, or worker, has begun meanwhile stays as it is.
        """
        failed = self.store.failed_in_a_row()
        self.store.pause(
            error, policy.probe_in(failed.probes if failed else 0, self.timing.jitter()), unless_paused=unless_paused
        )
        if failed is None or not failed.paused:
            logger.error("All renewals of platform %r are paused: %s", self.platform.alias, error)

    def _renew(self, lease: TokenLease) -> Secret:
        refused: TicketRefused | None = None
        for ticket in self._tickets():
            lease = self.outlasting(lease)
            asked, self.in_flight = self.timing.monotonic(), True
            try:
                access = self._run(component_token(self.platform, ticket))
            except WeChatOpenError as error:
                if not is_in_flight(error, COMPONENT_TOKEN):
                    self.in_flight = False
                if not isinstance(error, TicketRefused):
                    raise
                refused = error
                continue
            self.in_flight = False
            before = self.store.read() if lease.failures else None
            if self.save(lease, access, asked, **self._skew(lease, access, asked)):
                if before is not None:
                    self._recovered(before)
                return access.token
            raise LeaseLost(f"Another worker has renewed the token of {self.subject}.")
        raise refused or self._no_ticket()

    def _recovered(self, before: StoredToken) -> None:
        """The platform's own token could not be renewed, and was: what accounts have failed with since may be over."""
        self.store.probe_now()
        if before.obtained_at is not None:
            self.retry_failed(before.obtained_at)

    def retry_failed(self, since: datetime) -> int:
        """Make the accounts due soon that have failed since then; how many they are."""
        accounts = self.environment.authorizer_store(self.platform.row)
        keys = accounts.failed_since(since)
        for start in range(0, len(keys), RETRIED_AT_ONCE):
            accounts.retry(keys[start : start + RETRIED_AT_ONCE], policy.AFTER_PAUSE * self.timing.jitter())
        return len(keys)

    def _skew(self, lease: TokenLease, access: NewToken, asked: float) -> dict[str, float]:
        """How far WeChat's clock is ahead of the database's, as if it had answered halfway between call and return."""
        if access.answered_at is None:
            return {}
        halfway = lease.time_at((asked + self.timing.monotonic()) / 2)
        return {"skew_seconds": (access.answered_at + HALF_A_SECOND - halfway).total_seconds()}

    def _tickets(self) -> list[Secret]:
        try:
            return self.tickets.best()
        except EncryptionError as error:
            raise TicketMissing(error.text, retry_after=timedelta(minutes=1)) from error

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


def as_component(platform: Platform, call: Call[_T]) -> _T:
    """Make a call that takes the component token. What stops the whole platform pauses its renewals."""
    keeper = ComponentKeeper(platform)
    try:
        return keeper.call_with_token(call)
    except APIError as error:
        if error.path == call.name and policy.stops_the_platform(error):
            keeper.pause(error)
        raise

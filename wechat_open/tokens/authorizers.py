"""The tokens of one account: whether they may be used, and what a renewal that failed means for it and for others."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import timedelta
from functools import cached_property
from itertools import chain
from typing import TypeVar

from django.db import Error as AnyDatabaseError

from ..audit import Counter, Kind
from ..client.calls import Call, TokenKind
from ..exceptions import (
    AuthorizerUnauthorized,
    AuthorizerUnavailable,
    ReauthorizationNeeded,
    TokenUnavailable,
    WeChatOpenError,
)
from ..models import Authorizer
from ..platforms import Platform
from ..secret import Secret
from ..stores.authorizers import AuthorizerStore
from ..stores.component import ComponentStore
from ..stores.tokens import TOKEN_LEASE, StoredToken, TokenLease
from ..text import TranslatableText as _
from ..text import pgettext
from . import policy
from .component import ComponentKeeper
from .keeper import Keeper, LeaseLost
from .policy import Fault
from .recovery import Renewal

logger = logging.getLogger(__name__)

_T = TypeVar("_T")


class AuthorizerKeeper(Keeper[AuthorizerStore]):
    """One account's tokens, renewed from its refresh token, or from what WeChat itself has on record."""

    def __init__(self, platform: Platform, appid: str, *, past_brake: bool = False) -> None:
        super().__init__(platform)
        self.appid = appid
        self.past_brake = past_brake
        """An operator looks at this one account: its state may change, however many others fail."""

    @cached_property
    def store(self) -> AuthorizerStore:
        return self.environment.authorizer_store(self.platform.row)

    @property
    def component_store(self) -> ComponentStore:
        return self.environment.component_store(self.platform.row)

    @property
    def name(self) -> str:
        return f"{self.platform.appid}:{self.appid}"

    @property
    def subject(self) -> str:
        return pgettext("wechat_open", "account %(appid)s", appid=self.appid)

    def _read_any(self) -> StoredToken:
        return self.store.read(self.appid)

    def _send(self, call: Call[_T], before: Callable[[], object]) -> _T:
        if call.token is TokenKind.COMPONENT:
            return ComponentKeeper(self.platform).call_with_token(call, before)
        before()
        return self.wechat.run(call)

    def read(self) -> StoredToken:
        stored = self._read_any()
        if stored.state == Authorizer.State.UNAUTHORIZED:
            raise AuthorizerUnauthorized(self.appid)
        if stored.state == Authorizer.State.NEEDS_REAUTHORIZATION:
            raise ReauthorizationNeeded(self.appid)
        return stored

    def expire(self, stored: StoredToken) -> bool:
        return self.store.expire(stored)

    def _renew_inline(self, stored: StoredToken) -> Secret:
        failed = self.component_store.failed_in_a_row()
        if failed and failed.paused and (stored.rests or self._sits_out or not self._may_probe()):
            if stored.valid:
                return stored.access_token
            raise TokenUnavailable(
                _(
                    "No usable token for %(subject)s: renewals of platform %(alias)r are paused.",
                    subject=self.subject,
                    alias=self.platform.alias,
                ),
                retry_after=max(failed.probe_in, policy.SHORTEST_RETRY),
            )
        return super()._renew_inline(stored)

    def _may_probe(self) -> bool:
        return self.component_store.take_probe(TOKEN_LEASE.length)

    def renew(self, lease: TokenLease) -> Secret:
        renewal = Renewal(self, lease, past_brake=self.past_brake)
        try:
            token = renewal.run()
        except LeaseLost:
            raise
        except WeChatOpenError as error:
            self._fail(renewal, error)
            if policy.fault_of(error) is not Fault.HOST or renewal.in_flight:
                self._record(lease, error)
            raise
        except Exception as error:
            self._fail_alone(renewal.lease, error, in_flight=renewal.in_flight)
            raise
        self._record(lease)
        try:
            self._resume()
        except AnyDatabaseError:
            logger.exception("Renewals of platform %r could not be resumed.", self.platform.alias)
        return token

    def take_lost(self) -> TokenLease | None:
        """The lease on an account whose grant is lost here; None when it is authorized again meanwhile.

        While another worker asks WeChat about the account, wait for what comes of it. Raises TokenUnavailable when
        that takes too long.
        """
        for _poll in chain([None], self._polls()):
            stored = self.store.read(self.appid)
            if stored.state == Authorizer.State.AUTHORIZED:
                return None
            lease = None if stored.leased else self.store.take(stored)
            if lease is not None:
                return lease
        raise self._slow()

    def _fail(self, renewal: Renewal, error: WeChatOpenError) -> None:
        """Store the failure where it belongs. ``Renewal`` has stored those of the recovery order, and of the row."""
        lease = renewal.lease
        fault = policy.fault_of(error)
        if renewal.in_flight:
            self._fail_in_flight(lease, error)
        elif fault is Fault.HOST:
            self.store.give_back(lease)
        elif fault is Fault.PLATFORM:
            self.store.release(lease, self._retry_in(lease))
        elif fault is Fault.RESTRICTED:
            refused = lease.after_refusal(error)
            self.store.restrict(refused, error, self._retry_restricted_in(refused))
        elif fault is Fault.UNCLEAR:
            refused = lease.after_refusal(error)
            self.store.fail(refused, error, self.retry_refused_in(refused))
        elif fault is Fault.TRANSIENT:
            self.store.fail(lease, error, self._retry_in(lease))
        if fault is Fault.HOST:
            self.component_store.probe_now()  # if this was the account that was tried, another host tries one
        elif fault not in (Fault.ROW, Fault.PLATFORM) and not isinstance(error, AuthorizerUnavailable):
            self._suspect_platform(lease, error, fault)

    def _suspect_platform(self, lease: TokenLease, error: WeChatOpenError, fault: Fault) -> None:
        """Pause all renewals when different accounts agree: then none of them is the cause.

        Only an account that worked before counts: one that fails by itself fails again and again. And only a renewal
        that began in a pause postpones the next try: those of other threads were on their way when it began.
        """
        components = self.component_store
        failed = components.failed_in_a_row()
        if failed is not None and failed.paused_since is not None:
            if lease.taken_at >= failed.paused_since:
                ComponentKeeper(self.platform).pause(error)
            return
        if lease.failures:
            return
        accounts = components.count_failed(policy.reason_of(error))
        if policy.accounts_agree(fault, accounts, self.store.working(policy.ACCOUNTS_AT_MOST**2)):
            ComponentKeeper(self.platform).pause(error, unless_paused=True)

    def _resume(self) -> None:
        """An account was renewed, so WeChat takes renewals: end the pause, and let those that failed in it be due.

        They are made due first: if this process is killed, the next account that is tried does the rest.
        """
        failed = self.component_store.failed_in_a_row()
        if failed is None:
            return
        if failed.paused:
            failures = ComponentKeeper(self.platform).retry_failed(failed.since - TOKEN_LEASE.length)
            logger.warning("Renewals of platform %r go on; %d accounts failed.", self.platform.alias, failures)
        self.component_store.resume()

    def _retry_restricted_in(self, lease: TokenLease) -> timedelta:
        now = lease.time_at(self.timing.monotonic())
        restricted_for = now - lease.restricted_since if lease.restricted_since else timedelta()
        limits = self.environment.limits
        many = self.store.many_restricted(lease, limits.brake_accounts, limits.brake_share, policy.GONE_FOR)
        if many:
            logger.error("WeChat restricts many accounts of platform %r at once.", self.platform.alias)
        return policy.restricted_retry_in(restricted_for, lease.failures, self.timing.jitter(), many=many)

    def _record(self, lease: TokenLease, error: WeChatOpenError | None = None) -> None:
        """Count the renewal. The audit trail gets the first failure in a row, and the success that ends the row."""
        audit, component = self.environment.audit, self.store.component
        audit.increment(Counter.FAILED if error else Counter.RENEWED, component)
        if error is None:
            if lease.failures:
                audit.record(Kind.RECOVERED, component, appid=self.appid)
            return
        fault = policy.fault_of(error)
        if fault is Fault.RESTRICTED:
            if lease.restricted_since is None:
                audit.record(Kind.RESTRICTED, component, appid=self.appid, error=error)
        elif fault is not Fault.PLATFORM and not lease.failures:
            audit.record(Kind.RENEWAL_FAILED, component, appid=self.appid, error=error)


def as_authorizer(platform: Platform, appid: str, call: Call[_T]) -> _T:
    """Make a call that takes an account's token."""
    return AuthorizerKeeper(platform, appid).call_with_token(call)

"""Renewing what is due.

Beat, a ticket push or ``manage.py wechat_open run`` starts a run. The worker that gets the platform's lease takes due
rows in batches, the most overdue first, and renews them on a few threads under a rate limit. A start that is lost or
doubled changes nothing: rows stay due until they are renewed, and the lease of a worker that was killed ends by itself.
A row that cannot be decrypted, read or written fails and backs off by itself; all others are renewed.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta

from django.db import connections, router

from ..exceptions import AuthorizerUnauthorized, TicketMissing, WeChatOpenError
from ..models import Authorizer
from ..platforms import Platform
from ..ports import TIMING, Timing
from ..rounds import Deadline
from ..stores.tokens import TOKEN_LEASE, TokenLease
from . import policy
from .authorizers import AuthorizerKeeper
from .component import ComponentKeeper
from .keeper import LeaseLost
from .policy import Fault

logger = logging.getLogger(__name__)

BATCH = 50


@dataclass
class RenewalReport:
    """What one run did.

    ``stopped`` when renewals are paused (then ``paused`` too), when this process gets no answer from WeChat (then
    ``unreached``), or when there is no component token.
    """

    renewed: int = 0
    failed: int = 0
    stopped: bool = False
    paused: bool = field(default=False, compare=False)
    unreached: bool = field(default=False, compare=False)


def run_due(platform: Platform, *, seconds: float = 25.0, stopped: Callable[[], bool] = lambda: False) -> RenewalReport:
    """Renew everything that is due, for at most ``seconds``; nothing while another worker does.

    What is not begun by then, or before the process is to stop, is left to the next run.
    """
    deadline = Deadline.after(seconds, platform.environment.timing.monotonic, stopped)
    run = _Run(platform, deadline)
    if not run.reaches_wechat():
        run.report.stopped = run.report.unreached = True
        return run.report
    store = run.components
    fence = store.take_renewals()
    if fence is None:
        return run.report
    try:
        if not run.has_component_token():
            run.report.stopped = True
            return run.report
        if not run.may_renew():
            run.report.stopped = run.report.paused = True
            return run.report
        while not deadline.passed and not run.report.stopped:
            leases = run.store.take_due(BATCH)
            if not leases:
                break
            run.renew_all(leases)
            if not store.extend_renewals(fence):
                logger.info("Another worker renews the tokens of platform %r now.", platform.alias)
                break
        return run.report
    finally:
        store.release_renewals(fence)


class _Run:
    """One run. Its threads share the limiter and the report."""

    def __init__(self, platform: Platform, deadline: Deadline) -> None:
        self.platform = platform
        self.deadline = deadline
        self.environment = platform.environment
        self.store = platform.environment.authorizer_store(platform.row)
        self.components = platform.environment.component_store(platform.row)
        self.limiter = Limiter(self.environment.limits.renewals_per_second, self.environment.timing)
        self.report = RenewalReport()

    def reaches_wechat(self) -> bool:
        """False while this process sits out: then one account is tried now and then, and any answer ends it.

        That is done beside the worker that renews, which is not kept waiting for an answer that may not come.
        """
        reachability = self.environment.reachability
        if not reachability.doubtful:
            return True
        self.components.record_check()
        if not reachability.sits_out and (lease := self.store.take_probe()) is not None:
            self._renew(lease)
        return not reachability.sits_out

    def has_component_token(self) -> bool:
        """Renew the component token if it is due. False when there is none to work with."""
        keeper = ComponentKeeper(self.platform)
        try:
            for lease in keeper.store.take_due(1):
                keeper.renew(lease)
            keeper.token()
        except TicketMissing as error:
            logger.info("%s", error)
            return keeper.read().valid
        except WeChatOpenError as error:
            logger.warning("The component token of platform %r was not renewed: %s", self.platform.alias, error)
            return keeper.read().valid
        except Exception:
            logger.exception("Renewing the component token of platform %r failed unexpectedly.", self.platform.alias)
            return keeper.read().valid
        return True

    def may_renew(self) -> bool:
        """False while renewals are paused: then one account is tried now and then, and its success ends the pause."""
        failed = self.components.failed_in_a_row()
        if failed is None or not failed.paused:
            return True
        if not self.components.take_probe(TOKEN_LEASE.length):
            return False
        lease = self.store.take_probe()
        if lease is not None:
            self._renew(lease)
        elif not self.store.renewable():  # there is no account for which to pause
            self.components.resume()
        return not self._paused()

    def _paused(self) -> bool:
        failed = self.components.failed_in_a_row()
        return failed is not None and failed.paused

    def renew_all(self, leases: list[TokenLease]) -> None:
        """Renew a batch on a few threads."""
        work: queue.SimpleQueue[TokenLease] = queue.SimpleQueue()
        for lease in leases:
            work.put(lease)
        threads = min(self.environment.limits.renewal_threads, len(leases))
        if threads == 1 or connections[router.db_for_write(Authorizer)].in_atomic_block:
            self._renew_until_empty(work)
        else:
            self.environment.side_by_side(lambda: self._renew_until_empty(work), threads)

    def _renew_until_empty(self, work: queue.SimpleQueue[TokenLease]) -> None:
        while True:
            try:
                lease = work.get_nowait()
            except queue.Empty:
                return
            self._renew(lease)

    def _renew(self, lease: TokenLease) -> None:
        """Renew one account. A failure of any kind ends neither the thread nor the renewal of the others."""
        try:
            self._try(lease)
        except Exception:
            logger.exception("Renewing the token of account %s failed unexpectedly.", lease.appid)
            self.report.failed += 1

    def _try(self, lease: TokenLease) -> None:
        keeper = AuthorizerKeeper(self.platform, lease.appid)
        if self.report.unreached:  # another host can take the rest at once
            keeper.store.give_back(lease)
            return
        if self.report.stopped:  # no account is the cause: give the rest back untried
            keeper.store.release(lease, policy.retry_in(0, self.environment.timing.jitter()))
            return
        if self.deadline.passed:  # untried, and as due as it was
            keeper.store.release(lease, timedelta())
            return
        self.limiter.wait()
        try:
            keeper.renew(lease)
        except LeaseLost as error:
            logger.info("%s", error)
        except WeChatOpenError as error:
            if lease.cancelled and isinstance(error, AuthorizerUnauthorized):
                logger.info("The token of account %s is not needed any more: %s", lease.appid, error)
                return
            logger.warning("The token of account %s was not renewed: %s", lease.appid, error)
            self.report.failed += 1
            if self.environment.reachability.sits_out:
                self.report.unreached = self.report.stopped = True
            elif policy.fault_of(error) is Fault.PLATFORM or self._paused():
                self.report.stopped = True
        else:
            self.report.renewed += 1


class Limiter:
    """Spaces calls evenly, also those of several threads."""

    def __init__(self, per_second: float, timing: Timing = TIMING) -> None:
        self._gap = 1 / per_second
        self._timing = timing
        self._next = timing.monotonic()
        self._lock = threading.Lock()

    def wait(self) -> None:
        with self._lock:
            now = self._timing.monotonic()
            pause = max(0.0, self._next - now)
            self._next = max(now, self._next) + self._gap
        if pause:
            self._timing.sleep(pause)

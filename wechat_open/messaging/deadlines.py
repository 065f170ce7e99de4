"""Handlers run with a deadline, and each account has its share of the threads.

WeChat waits five seconds, and no thread can be stopped from outside. So a handler runs in a thread of its own, and the
request's thread waits for it until the deadline: then the answer goes out without it, and ``late`` gets what becomes of
the work. Threads are reused, and each closes the database connections that it opened. They are daemons, unlike those of
``concurrent.futures``: a handler that hangs for ever does not keep a process from ending.

Inside a transaction a job runs in the caller's thread, without a deadline: no other thread could see the transaction's
data. Only in tests is a request in one, because the callbacks are exempt from ATOMIC_REQUESTS.
"""

from __future__ import annotations

import contextvars
import logging
import os
import queue
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.utils import translation

from ..exceptions import WeChatOpenError

logger = logging.getLogger(__name__)

T = TypeVar("T")

MAX_THREADS = 64
"""Handlers that may be running in one process; each that hangs for ever takes one away."""

SHARE = 4
"""One account has at most this part of the threads that the other accounts leave: a quarter. So an account whose
handlers hang uses up its own share, and the next one still finds most of the rest."""


class TooSlow(WeChatOpenError):
    """The deadline has passed, and the work goes on."""


class TooMany(WeChatOpenError):
    """The work was not begun: too many handlers of this process, or of the account, are still running."""


def _held() -> threading.Lock:
    lock = threading.Lock()
    lock.acquire()
    return lock


@dataclass
class _Job(Generic[T]):
    """Some work, and its result."""

    work: Callable[[], T]
    late: Callable[[T | None, BaseException | None], None] | None = None
    account: str = ""
    """From whose share the thread is."""
    context: contextvars.Context = field(default_factory=contextvars.copy_context)
    """The context variables of the request."""
    language: str | None = field(default_factory=translation.get_language)
    """Django binds it to the request's thread."""
    result: T | None = None
    error: BaseException | None = None
    done: threading.Lock = field(default_factory=_held)
    """Held until the work is done."""
    decided: threading.Lock = field(default_factory=threading.Lock)
    """The first to take it decides: the worker, that the work was in time; the waiting thread, that it was not."""


class _Worker:
    """A thread that does one job after another."""

    def __init__(self) -> None:
        self.jobs: queue.SimpleQueue[_Job[Any]] = queue.SimpleQueue()
        self._connections: Sequence[BaseDatabaseWrapper] = ()
        """Those of this thread; most handlers use none."""
        threading.Thread(target=self._work, name="wechat-handler", daemon=True).start()

    def _work(self) -> None:
        while True:
            job = self.jobs.get()
            _log_errors(self._close_old_connections)
            job.context.run(_perform, job)
            _log_errors(self._find_connections)
            _log_errors(self._close_old_connections)
            done, account = job.done, job.account
            del job  # or its message would be kept until the next one comes
            with _lock:
                _idle.append(self)
                _busy[account] -= 1
                if not _busy[account]:
                    del _busy[account]
            # Last of all: two threads that want to run at the same moment cost each other more than the work does.
            done.release()

    def _close_old_connections(self) -> None:
        for connection in self._connections:
            connection.close_if_unusable_or_obsolete()

    def _find_connections(self) -> None:
        self._connections = connections.all(initialized_only=True)


_lock = threading.Lock()
_idle: list[_Worker] = []
_threads = 0
_busy: Counter[str] = Counter()
"""How many threads work for each account."""


def _forget_threads() -> None:
    """A forked process has none of its parent's threads."""
    global _lock, _threads
    _lock = threading.Lock()
    _idle.clear()
    _busy.clear()
    _threads = 0


if hasattr(os, "register_at_fork"):  # Windows has no fork
    os.register_at_fork(after_in_child=_forget_threads)


def within(
    seconds: float,
    work: Callable[[], T],
    late: Callable[[T | None, BaseException | None], None] | None = None,
    *,
    account: str = "",
) -> T:
    """What ``work`` returns or raises before its deadline; TooSlow otherwise, TooMany when it was not even begun.

    ``late`` gets the result or the error of work that went on after TooSlow. With 0 seconds there is no deadline.
    ``account`` names the share that the thread is taken from.
    """
    if not seconds or in_transaction():
        return work()
    job = _Job(work, late, account)
    _start(job)
    if not job.done.acquire(timeout=seconds) and job.decided.acquire(blocking=False):
        raise TooSlow(f"It took longer than {seconds:.2g} seconds.")
    if job.error is not None:
        raise job.error
    return job.result  # type: ignore[return-value]  # without an error there is one


def start(work: Callable[[], object], *, account: str = "") -> None:
    """Do it in another thread, without waiting; in this one when all are busy, or in a transaction."""
    if in_transaction():
        return _log_errors(work)
    try:
        _start(_Job(lambda: _log_errors(work), account=account))
    except TooMany:
        _log_errors(work)


def in_transaction() -> bool:
    return any(connection.in_atomic_block for connection in connections.all(initialized_only=True))


def _start(job: _Job[Any]) -> None:
    global _threads
    with _lock:
        mine = _busy[job.account]
        if mine >= max(1, (MAX_THREADS - _busy.total() + mine) // SHARE) and job.account:
            raise TooMany(f"{mine} handlers of account {job.account} are still running in this process.")
        if not _idle:
            if _threads >= MAX_THREADS:
                raise TooMany(f"{_threads} handlers of this process are still running.")
            _threads += 1
            _idle.append(_Worker())
        worker = _idle.pop()
        _busy[job.account] += 1
    worker.jobs.put(job)


def _perform(job: _Job[Any]) -> None:
    try:
        if job.language is None:
            translation.deactivate_all()
        else:
            translation.activate(job.language)
        job.result = job.work()
    except BaseException as error:  # noqa: BLE001 - the thread that waits for the job raises it
        job.error = error
    late = job.late
    if not job.decided.acquire(blocking=False) and late is not None:
        _log_errors(lambda: late(job.result, job.error))


def _log_errors(work: Callable[[], object]) -> None:
    try:
        work()
    except Exception:
        logger.exception("The work that follows an answer failed.")

"""Keeping calls to WeChat, and what they bring, out of the site's transactions.

No transaction is held across a call to WeChat, and a token that WeChat has rotated must not be lost because a view of
the site rolled back. So what is called in a transaction works on a second connection, and commits there. The caller
waits for it, and may itself hold a row that it needs: that ends with an error after some seconds, never in a deadlock.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any, TypeVar

from django.db import Error, OperationalError, connections, transaction

from ..conf import conf
from ..exceptions import TokenUnavailable
from ..text import TranslatableText as _
from .locks import LockTimedOut, is_lock_conflict, lock_timeout

LOCK_TIMEOUT = timedelta(seconds=2)
"""For how long the second connection waits for a lock: the caller releases none before it has its answer."""

_T = TypeVar("_T")
_View = TypeVar("_View", bound=Callable[..., Any])


def non_atomic_requests(view: _View) -> _View:
    """Django's decorator of this name, for every database: ATOMIC_REQUESTS does not wrap the view."""
    for alias in connections:
        view = transaction.non_atomic_requests(using=alias)(view)
    return view


def outside_atomic(work: Callable[[], _T], *, using: str) -> _T:
    """Run ``work`` so that its writes are committed one by one, even if the caller is in a transaction.

    Inside a transaction it runs in a thread, that is on a connection of its own. TokenUnavailable names the cause when
    there is no other connection, or when a row stays locked. Two cases are left alone: a test that wraps itself in a
    transaction (``TestCase``), whose rows no other connection sees, and SQLite, where the caller already is the only
    writer. There a roll-back loses a rotated token, and the recovery order of ``tokens.recovery`` brings it back.
    """
    try:
        return _on_second_connection(work, using) if _in_transaction(using) else work()
    except LockTimedOut as error:
        raise TokenUnavailable(
            _(
                "A row that this needs stayed locked for %(seconds)d seconds, most likely by the caller's own "
                "transaction, which has changed it, locked it or refers to it: call WeChat before or after that "
                "transaction.",
                seconds=int(LOCK_TIMEOUT.total_seconds()),
            )
        ) from error
    except OperationalError as error:
        if not is_lock_conflict(error):
            raise
        raise TokenUnavailable(_("Another transaction holds a row that this needs: try again in a moment.")) from error


def _in_transaction(using: str) -> bool:
    """Whether what is written now is committed only by the caller."""
    database = connections[using]
    in_test = any(getattr(block, "_from_testcase", False) for block in database.atomic_blocks)
    if database.vendor == "sqlite" or in_test:
        return False
    return database.in_atomic_block or not database.get_autocommit()


def _on_second_connection(work: Callable[[], _T], using: str) -> _T:
    """Run ``work`` in a thread, which gives its connection back before this returns.

    A pool may have no connection to give: it waits for the transactions of callers who wait for it. The caller gives up
    in time, and the thread then gives the connection back unused when it gets one after all.
    """
    connected = threading.Event()
    start = threading.Lock()  # acquired once: by the thread that begins, or by the caller that has given up

    def run() -> _T:
        try:
            try:
                database = connections[using]
                database.ensure_connection()
                database.set_autocommit(True)
            except Error as error:
                raise _no_second_connection() from error
            finally:
                connected.set()
            if not start.acquire(blocking=False):
                raise _no_second_connection()
            with lock_timeout(database, LOCK_TIMEOUT):
                return work()
        finally:
            connections.close_all()

    thread = ThreadPoolExecutor(1, thread_name_prefix="wechat_open")
    result = thread.submit(run)
    thread.shutdown(wait=False)
    if not connected.wait(conf.token_wait.total_seconds() / 2) and start.acquire(blocking=False):
        raise _no_second_connection()
    return result.result()


def _no_second_connection() -> TokenUnavailable:
    return TokenUnavailable(
        _(
            "The caller is in a transaction, and no second connection to the database was to be had: call WeChat "
            "before or after that transaction, or allow more connections (the pool in DATABASES, the server's limit)."
        )
    )

"""How long one connection waits for the locks of others.

PostgreSQL learns it at the start of each transaction (``SET LOCAL``), and a single statement becomes a transaction for
that. Behind pgbouncer each transaction may have another session: what is set for a session would be lost, and be found
by a stranger. MySQL and MariaDB know a session's variable only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from datetime import timedelta
from typing import Any

from django.db import OperationalError, transaction

_LOST_AFTER = """
    SELECT CASE WHEN host(inet_client_addr()) NOT IN ('127.0.0.1', '::1') THEN
        current_setting('tcp_keepalives_idle')::int
        + current_setting('tcp_keepalives_interval')::int * current_setting('tcp_keepalives_count')::int
    END
"""

CONFLICTS = frozenset({"55P03", "40P01", 1205, 1213})
"""PostgreSQL's and MySQL's codes: the wait for a lock took too long; it would have ended in a deadlock."""

_IDLE = 0
"""libpq's status of a connection that is in no transaction."""


class LockTimedOut(OperationalError):
    """A lock was not to be had on a connection whose waits are bounded."""


def is_lock_conflict(error: OperationalError) -> bool:
    """Whether another transaction has a lock, as opposed to a database that fails."""
    cause: Any = error.__cause__
    code = getattr(cause, "sqlstate", None) or getattr(cause, "pgcode", None)  # psycopg 3, psycopg 2
    return bool(CONFLICTS.intersection({code, *error.args[:1]}))


@contextmanager
def lock_timeout(database: Any, timeout: timedelta) -> Iterator[None]:
    """Bound each wait for a lock on this connection. After that, and in a deadlock, LockTimedOut is raised."""
    bound: Any = _BOUNDS[database.vendor](timeout) if database.vendor in _BOUNDS else nullcontext

    def run(execute: Callable[..., Any], *statement: Any) -> Any:
        try:
            with bound(database):
                return execute(*statement)
        except OperationalError as error:
            if is_lock_conflict(error):
                raise LockTimedOut(*error.args) from error
            raise

    with database.execute_wrapper(run):
        yield


def lost_host_noticed_after(database: Any) -> timedelta | None:
    """How long PostgreSQL keeps the transaction, and the locks, of a client's host that has vanished.

    None on the loopback, where none can, and for another server. Raises Django's database errors.
    """
    if database.vendor != "postgresql":
        return None
    with database.cursor() as cursor:
        cursor.execute(_LOST_AFTER)
        (seconds,) = cursor.fetchone()
    return None if seconds is None else timedelta(seconds=seconds)


class _OnPostgreSQL:
    """The timeout of each transaction. It is set before any savepoint, so no roll-back to one undoes it."""

    def __init__(self, timeout: timedelta) -> None:
        self.sql = f"SET LOCAL lock_timeout = {int(timeout.total_seconds() * 1000)}"

    @contextmanager
    def __call__(self, database: Any) -> Iterator[None]:
        if not database.in_atomic_block:
            with transaction.atomic(using=database.alias):
                _execute(database, self.sql)
                yield
            return
        if database.connection.info.transaction_status == _IDLE:  # the first statement of this transaction
            _execute(database, self.sql)
        yield


class _OnMySQL:
    """The timeout of each session, in whole seconds. The connection is another one after a failure."""

    def __init__(self, timeout: timedelta) -> None:
        self.sql = f"SET SESSION innodb_lock_wait_timeout = {max(1, int(timeout.total_seconds()))}"
        self.session: Any = None

    @contextmanager
    def __call__(self, database: Any) -> Iterator[None]:
        if self.session is not database.connection:
            _execute(database, self.sql)
            self.session = database.connection
        yield


_BOUNDS = {"postgresql": _OnPostgreSQL, "mysql": _OnMySQL}


def _execute(database: Any, sql: str) -> None:
    """Execute a statement past the wrappers of ``database``, of which the caller is one."""
    with database.wrap_database_errors, database.connection.cursor() as cursor:
        cursor.execute(sql)

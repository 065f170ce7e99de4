"""Waking a worker through Celery, best effort.

The message carries no state. What is to be done lies in the database and is looked up regularly, so a message that is
lost, doubled or late changes nothing. Sending therefore never fails and costs a second at most, whatever the broker
does: refuse, drop packets, accept a connection and never answer, fall silent on one that is open, or block publishers
because its disk is full. After that it is not tried again for some seconds.

No thread can be stopped while it waits for a server, a name server or a lock of a driver. So a few threads publish,
each over a connection of its own, and the caller waits for them for a bounded time. Their connections have timeouts
too, where the transport knows any: otherwise a thread that met a silent broker would be lost for good.
"""

from __future__ import annotations

import contextvars
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from celery import Celery, current_app
from django.db import connections
from kombu import Connection

from .conf import conf

logger = logging.getLogger(__name__)

EXPIRES = 60
RETRY_AFTER = 10.0
"""Seconds without another try after the broker has failed."""

ANSWER_WITHIN = 0.9
"""Seconds that a caller waits. WeChat waits five for the whole answer of a callback."""

SOCKET_TIMEOUT = 2.0
"""Seconds after which a connection that does not answer ends, with the thread that no caller waits for any more."""

MAX_THREADS = 4
"""The threads of one process that publish. All are busy only while the broker is slow, or hangs."""


def send_task(
    task: str, *args: Any, expires: float = EXPIRES, task_id: str | None = None, ends_at: float | None = None
) -> bool:
    """Send the task by its name; False when the broker did not take it before ``ends_at``, in this process's time.

    ``expires`` is in seconds. A broker that hangs may still take a task later that was given up: what must not be done
    twice has a ``task_id`` that its worker checks.
    """
    app = _app()
    if not _has_workers():
        return False
    if app.conf.task_always_eager:
        return _log_failure(lambda: _publish(app, None, task, args, expires, task_id))
    if not _failures.may_try():
        return False
    job = _Job(app, task, args, expires, task_id)
    ends_at = time.monotonic() + ANSWER_WITHIN if ends_at is None else ends_at
    _threads.submit(job)
    return _log_failure(lambda: _threads.wait(job, ends_at - time.monotonic()))


def connector(seconds: float) -> Callable[[], None] | None:
    """A function that makes a new connection to the broker, or raises. It may run in any thread.

    None for a site that has no workers, or whose tasks run in the calling process.
    """
    if not _has_workers() or current_app.conf.task_always_eager:
        return None
    app = _app()

    def connect() -> None:
        connection = _new_connection(app, seconds)
        try:
            _connect(connection)
        finally:
            connection.release()

    return connect


def _has_workers() -> bool:
    """Whether Celery does the work, not ``wechat_open run``. "default" is Celery's own app, in a site without one."""
    return conf.has_celery and current_app.main != "default"


def _app() -> Celery:
    """The app itself: another thread may have another current one."""
    app: Celery = current_app._get_current_object()  # type: ignore[attr-defined]  # a proxy, which types do not show
    return app


def _log_failure(work: Callable[[], object]) -> bool:
    try:
        work()
    except Exception as error:  # noqa: BLE001  # transports raise what their drivers raise: no common root exists
        _failures.record()
        logger.warning(
            "The broker could not be reached (%s): its task is done without it, now or by the next scheduled run.",
            type(error).__name__,
        )
        return False
    _failures.forget()
    return True


class _Failures:
    """When the broker failed last. After a while one caller tries again, and the others go on without it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._failed_at: float | None = None

    def may_try(self) -> bool:
        with self._lock:
            if self._failed_at is None:
                return True
            now = time.monotonic()
            if now - self._failed_at < RETRY_AFTER:
                return False
            self._failed_at = now
            return True

    def record(self) -> None:
        with self._lock:
            self._failed_at = time.monotonic()

    def forget(self) -> None:
        with self._lock:
            self._failed_at = None


# -- threads -----------------------------------------------------------------------------------------------------------


@dataclass(eq=False)
class _Job:
    """A task to send, and what came of it."""

    app: Celery
    task: str
    args: tuple[Any, ...]
    expires: float
    task_id: str | None
    context: contextvars.Context = field(default_factory=contextvars.copy_context)
    """The context variables of the caller: tracing adds its headers when a task is published."""
    sent: Future[None] = field(default_factory=Future)
    given_up: bool = False
    """Whether the caller has stopped waiting. A task that was not begun by then is not published."""


class _Threads:
    """Threads that publish. They are daemons: one that hangs does not keep a process from ending."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._jobs: deque[_Job] = deque()
        self._count = 0
        self._idle = 0

    def submit(self, job: _Job) -> None:
        with self._changed:
            self._jobs.append(job)
            if len(self._jobs) > self._idle and self._count < MAX_THREADS:
                self._count += 1
                threading.Thread(target=self._work, name="wechat_open-broker", daemon=True).start()
            else:
                self._changed.notify()

    def wait(self, job: _Job, seconds: float) -> None:
        """Wait until it is published, or raise what was raised; TimeoutError after ``seconds``."""
        try:
            job.sent.result(max(0.0, seconds))
        finally:
            with self._changed:
                job.given_up = True
                if job in self._jobs:
                    self._jobs.remove(job)

    def _work(self) -> None:
        publisher = _Publisher()
        while True:
            job = self._next()
            try:
                job.context.run(publisher.publish, job)
            except BaseException as error:  # noqa: BLE001 - the thread that waits raises it
                job.sent.set_exception(error)
            else:
                job.sent.set_result(None)
            del job  # or its arguments would be kept until the next one comes
            connections.close_all()  # receivers of Celery's signals may have used some

    def _next(self) -> _Job:
        with self._changed:
            while not self._jobs:
                self._idle += 1
                self._changed.wait()
                self._idle -= 1
            return self._jobs.popleft()


class _Blocked(Exception):
    """RabbitMQ takes no messages, because its disk or its memory is full."""


class _Publisher:
    """A connection to the broker, kept for the next task of the same app."""

    def __init__(self) -> None:
        self._app: Celery | None = None
        self._connection: Connection | None = None
        self._blocked = threading.Event()

    def publish(self, job: _Job) -> None:
        if self._app is not job.app:
            self._drop()
        kept = self._connection is not None
        try:
            self._publish(job)
        except _Blocked:
            raise  # the connection stays: what lies in its buffers is taken later
        except Exception:
            self._drop()
            if not kept or job.given_up:
                raise
            self._publish(job)  # the broker had closed the connection meanwhile

    def _publish(self, job: _Job) -> None:
        if self._connection is None:
            self._blocked.clear()
            self._app, self._connection = job.app, _new_connection(job.app, ANSWER_WITHIN, self._blocked)
        _connect(self._connection)
        _read_notices(self._connection)
        if self._blocked.is_set():
            raise _Blocked
        if not job.given_up:
            producer = job.app.amqp.Producer(self._connection)
            _publish(job.app, producer, job.task, job.args, job.expires, job.task_id)

    def _drop(self) -> None:
        """End the connection, and with it what may still lie in its buffers."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        try:
            if _is_amqp(connection):
                connection.collect()  # releasing it would wait for RabbitMQ's answer
            else:
                connection.release()
        except Exception as error:  # noqa: BLE001  # transports raise what their drivers raise
            logger.debug("A connection to the broker could not be closed (%s).", type(error).__name__)


def _publish(app: Celery, producer: Any, task: str, args: tuple[Any, ...], expires: float, task_id: str | None) -> None:
    message = app.signature(task, args=args)
    message.apply_async(producer=producer, retry=False, expires=expires, task_id=task_id, ignore_result=True)


_failures = _Failures()
_threads = _Threads()


def forget() -> None:
    """Try again at once, whatever was found a moment ago; for tests."""
    _failures.forget()


def _start_over() -> None:
    """A forked process has none of its parent's threads, and must not use its connections."""
    global _failures, _threads
    _failures, _threads = _Failures(), _Threads()


if hasattr(os, "register_at_fork"):  # Windows has no fork
    os.register_at_fork(after_in_child=_start_over)


# -- connections -------------------------------------------------------------------------------------------------------


def _new_connection(app: Celery, seconds: float, blocked: threading.Event | None = None) -> Connection:
    """A connection of our own, not yet open: those of the app's pool wait as long as the site says, or for ever.

    Each transport reads its own of these options. RabbitMQ sets ``blocked`` while it has no memory or disk left.
    """
    options: dict[str, Any] = {
        "socket_connect_timeout": seconds,  # Redis
        "socket_timeout": SOCKET_TIMEOUT,
        "read_timeout": SOCKET_TIMEOUT,  # AMQP
        "write_timeout": SOCKET_TIMEOUT,
    }
    if blocked is not None:
        options |= {"on_blocked": lambda reason: blocked.set(), "on_unblocked": blocked.clear}
    connection: Connection = app.connection_for_write(connect_timeout=seconds, transport_options=options)
    return connection


def _connect(connection: Connection) -> None:
    """Try each host of the broker once; by itself, publishing would try for many seconds, ``retry=False`` or not."""
    connection.ensure_connection(max_retries=len(connection.alt), interval_start=0)
    if _is_amqp(connection):
        # Its read_timeout only makes it read again, and so for ever.
        connection.connection.transport.sock.settimeout(SOCKET_TIMEOUT)


def _read_notices(connection: Connection) -> None:
    """See whether RabbitMQ has blocked, unblocked or closed this connection since the last task."""
    if _is_amqp(connection):
        with suppress(TimeoutError):
            while True:
                connection.drain_events(timeout=0)


def _is_amqp(connection: Connection) -> bool:
    return bool(connection.transport.driver_name == "py-amqp")

"""How is a worker woken?

A Celery message that carries no state: losing it, doubling it or delaying it changes nothing, because what is to be
done lies in the database and is looked for regularly. So ringing never fails and never blocks for long; when the
broker is down it is left alone for some seconds.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

from celery import current_app
from kombu import Connection

from .conf import conf

logger = logging.getLogger(__name__)

EXPIRES = 60
LEAVE_ALONE = 10.0
"""Seconds without another try after the broker has failed."""

_failed_at = float("-inf")


def ring(task: str, *args: Any, expires: float = EXPIRES) -> bool:
    """Send the task by its name; False when the broker could not be reached. ``expires`` is in seconds."""
    global _failed_at
    if not _has_workers() or time.monotonic() - _failed_at < LEAVE_ALONE:
        return False
    try:
        with current_app.producer_or_acquire() as producer:
            if not current_app.conf.task_always_eager:
                _connect(producer.connection)
            message = current_app.signature(task, args=args)
            message.apply_async(producer=producer, retry=False, expires=expires, ignore_result=True)
    except Exception as error:  # noqa: BLE001  # transports raise what their drivers raise: no common root exists
        _failed_at = time.monotonic()
        logger.warning(
            "The broker could not be reached (%s): its task is done without it, now or by the next scheduled run.",
            type(error).__name__,
        )
        return False
    return True


def connector(seconds: float) -> Callable[[], None] | None:
    """What connects to the broker anew, or raises; in any thread, while ``ring`` uses the connections of a pool.

    None for a site that has no workers, or whose tasks run where they are rung.
    """
    if not _has_workers() or current_app.conf.task_always_eager:
        return None
    connection = current_app.connection_for_write(connect_timeout=seconds)

    def connect() -> None:
        with connection:
            _connect(connection)

    return connect


def _has_workers() -> bool:
    """Not where ``wechat_open run`` works. "default" is what Celery makes up for a site without an app of its own."""
    return conf.has_celery and current_app.main != "default"


def _connect(connection: Connection) -> None:
    """Try each host of the broker once; by itself, publishing would try for many seconds, ``retry=False`` or not."""
    connection.ensure_connection(max_retries=len(connection.alt), interval_start=0)

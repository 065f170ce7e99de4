"""Reports of messages that were refused because their account's handlers use all of its threads.

Each refused message is counted for the health report. The log and ``handler_failed`` name the account at intervals: a
handler that hangs makes every message of its account fail, and a line for each would hide the rest of the log.
"""

from __future__ import annotations

import logging
import threading
import time

from .. import audit, platforms, signals
from ..exceptions import WeChatOpenError
from .messages import Message

logger = logging.getLogger(__name__)

EVERY = 10.0
"""Seconds between two reports about one account, in each process."""

MAX_REMEMBERED = 1_000

_lock = threading.Lock()
_seen: dict[tuple[str, str], tuple[float, int]] = {}
"""By account: when it was reported last, and how many messages were refused since."""


def report(message: Message, error: WeChatOpenError) -> None:
    """Count the refused message, and report its account unless that was done within ``EVERY``."""
    refused = _due(message.component, message.appid)
    if not refused:
        return
    logger.error(
        "%d messages for account %s of platform %r were refused, because handlers were busy: %s Look for a handler "
        "that waits without a timeout.",
        refused,
        message.appid,
        message.component,
        error,
    )
    audit.increment(audit.Counter.HANDLERS_BUSY, platforms.get(message.component).row, refused)
    signals.announce(signals.handler_failed, type(message), message=message, handler="", error=error)


def _due(component: str, appid: str) -> int:
    """How many messages of the account are to be reported now."""
    now = time.monotonic()
    with _lock:
        at, waiting = _seen.get((component, appid), (float("-inf"), 0))
        if now - at < EVERY:
            _seen[component, appid] = at, waiting + 1
            return 0
        if len(_seen) >= MAX_REMEMBERED:
            _seen.clear()
        _seen[component, appid] = now, 0
        return waiting + 1


def forget() -> None:
    """Forget earlier reports, for tests."""
    with _lock:
        _seen.clear()

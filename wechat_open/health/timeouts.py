"""A server that may hang is called in a thread of its own, which is waited for briefly.

A call that hangs is left to itself and not repeated: until it comes back, the server counts as silent. A result holds
for some seconds, so that a monitor that looks often costs nothing.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass

from django.db import connections

ANSWER_WITHIN = 1.0
"""Seconds that cache and broker have to answer."""

REMEMBERED = 5.0
"""Seconds for which their answer holds."""

SILENCE = "timeout"


@dataclass
class _Call:
    """``failure`` is empty when the server has answered, None while it has not."""

    failure: str | None = None
    answered_at: float = 0.0
    thread: threading.Thread | None = None


_calls: dict[Hashable, _Call] = {}
_lock = threading.Lock()


def failure(name: Hashable, function: Callable[[], object]) -> str:
    """Empty when ``function`` returned, else what it raised (its class only: the text may hold an address)."""
    with _lock:
        call = _calls.get(name)
        if call is None or _is_stale(call):
            call = _calls[name] = _Call()
            call.thread = threading.Thread(target=_run, args=(call, function), name="wechat_open", daemon=True)
            call.thread.start()
    assert call.thread is not None
    call.thread.join(ANSWER_WITHIN if call.failure is None else 0)
    return SILENCE if call.failure is None else call.failure


def forget() -> None:
    """Call again, whatever was found a moment ago."""
    with _lock:
        _calls.clear()


def _is_stale(call: _Call) -> bool:
    return call.failure is not None and time.monotonic() - call.answered_at > REMEMBERED


def _run(call: _Call, function: Callable[[], object]) -> None:
    try:
        function()
    except Exception as error:  # noqa: BLE001  # backends and transports raise what their drivers raise
        failed = type(error).__name__
    else:
        failed = ""
    finally:
        connections.close_all()  # a cache may live in the database
    call.answered_at = time.monotonic()
    call.failure = failed

"""Does another server answer, and how is that asked without waiting for it?

In a thread of its own, which is waited for briefly. One that hangs is left to itself, and nobody else is sent after
it: until it is back, the server does not answer. An answer holds for some seconds, so that a monitor that looks often
costs nothing.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass

from django.db import connections

from .thresholds import ANSWER_WITHIN, REMEMBERED

SILENCE = "timeout"


@dataclass
class _Question:
    """``trouble`` is empty when the server has answered, None while it has not."""

    trouble: str | None = None
    answered_at: float = 0.0
    thread: threading.Thread | None = None


_questions: dict[Hashable, _Question] = {}
_lock = threading.Lock()


def trouble(name: Hashable, ask: Callable[[], object]) -> str:
    """Empty when ``ask`` came back, else what it raised (its class only: the text may hold an address)."""
    with _lock:
        question = _questions.get(name)
        if question is None or _stale(question):
            question = _questions[name] = _Question()
            question.thread = threading.Thread(target=_put, args=(question, ask), name="wechat_open", daemon=True)
            question.thread.start()
    assert question.thread is not None
    question.thread.join(ANSWER_WITHIN if question.trouble is None else 0)
    return SILENCE if question.trouble is None else question.trouble


def forget() -> None:
    """Ask anew."""
    with _lock:
        _questions.clear()


def _stale(question: _Question) -> bool:
    return question.trouble is not None and time.monotonic() - question.answered_at > REMEMBERED


def _put(question: _Question, ask: Callable[[], object]) -> None:
    try:
        ask()
    except Exception as error:  # noqa: BLE001  # backends and transports raise what their drivers raise
        found = type(error).__name__
    else:
        found = ""
    finally:
        connections.close_all()  # a cache may live in the database
    question.answered_at = time.monotonic()
    question.trouble = found

"""Tokens in the memory of this process, for when neither the database nor the cache answers.

What the process has read or written is kept until the token's true end. Each process has its own and hears of no other,
so this is the last resort: a token in it may have been replaced, and WeChat says so.
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from datetime import timedelta

from ..ports import TIMING, Timing
from ..secret import Secret

MOST = 4096
"""Tokens that one process remembers; beyond that, those not used for the longest time are forgotten."""


class TokenMemory:
    """Tokens of one process. Their ends are counted by its own monotonic clock."""

    def __init__(self, timing: Timing = TIMING, most: int = MOST) -> None:
        self._timing = timing
        self._most = most
        self.clear()

    def __repr__(self) -> str:
        return f"<TokenMemory: {len(self._entries)} tokens>"

    def read(self, name: str) -> Secret | None:
        """The token, until its end."""
        with self._lock:
            token, ends_at = self._entries.get(name, (None, 0.0))
            if token is None:
                return None
            if self._timing.monotonic() >= ends_at:
                del self._entries[name]
                return None
            self._entries.move_to_end(name)
            return token

    def write(self, name: str, token: Secret, life: timedelta) -> None:
        """Remember a token that lives for at least so long from now."""
        ends_at = self._timing.monotonic() + life.total_seconds()
        with self._lock:
            known, known_end = self._entries.get(name, (None, 0.0))
            self._entries[name] = token, max(ends_at, known_end) if known == token else ends_at
            self._entries.move_to_end(name)
            if len(self._entries) > self._most:
                self._entries.popitem(last=False)

    def forget(self, name: str) -> None:
        with self._lock:
            self._entries.pop(name, None)

    def clear(self) -> None:
        """Forget everything. A forked process begins so: another thread of its parent may have had the lock."""
        self._lock = threading.Lock()
        self._entries: OrderedDict[str, tuple[Secret, float]] = OrderedDict()


MEMORY = TokenMemory()

if hasattr(os, "register_at_fork"):  # Windows has no fork
    os.register_at_fork(after_in_child=MEMORY.clear)

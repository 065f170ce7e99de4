"""Whether this process gets answers from WeChat: a host may lose its way there while all others go on.

A process that got none, several times in a row, sits out: it leaves the work to others, and tries again after a while.
The first answer ends that.
"""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Callable
from datetime import timedelta

IN_A_ROW = 3
"""So many calls without an answer, and none with one in between, are no accident of one call."""

FIRST, LAST = 5.0, 60.0
"""Seconds for which a process sits out, at first and at most."""

_RANDOM = random.SystemRandom()


class Reachability:
    """What one process knows of its way to WeChat."""

    def __init__(
        self,
        monotonic: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = _RANDOM.random,
    ) -> None:
        self._monotonic = monotonic
        self._jitter = jitter
        self.forget()

    def forget(self) -> None:
        """Begin as a new process does. A forked one has to: another thread of its parent may have had the lock."""
        self._lock = threading.Lock()
        self._unanswered = 0
        self._times = 0
        self._until = 0.0

    @property
    def doubtful(self) -> bool:
        """Whether the last calls got no answer, so that the next one is a trial."""
        return self._unanswered >= IN_A_ROW

    @property
    def sits_out(self) -> bool:
        """Whether this process leaves the work to others."""
        return self.doubtful and self._monotonic() < self._until

    @property
    def left(self) -> timedelta:
        """How long it still sits out."""
        return timedelta(seconds=max(0.0, self._until - self._monotonic()) if self.doubtful else 0.0)

    def answered(self) -> None:
        """A call was answered, well or not."""
        with self._lock:
            self._unanswered = self._times = 0
            self._until = 0.0

    def unanswered(self) -> bool:
        """A call got no answer. True when the process sits out from now on, for longer than the last time."""
        with self._lock:
            now = self._monotonic()
            self._unanswered += 1
            if not self.doubtful or now < self._until:
                return False
            longest = min(LAST, FIRST * 2 ** min(self._times, 16))
            self._times += 1
            self._until = now + longest * (5 + self._jitter()) / 6
            return True


REACHABILITY = Reachability()

if hasattr(os, "register_at_fork"):  # Windows has no fork
    os.register_at_fork(after_in_child=REACHABILITY.forget)

"""The simulator's clock: the host's time plus what a tester has added.

It only goes forward, so that expiry times stay in the order in which they were issued.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


class Clock:
    def __init__(self, source: Callable[[], float] = time.time) -> None:
        self._source = source
        self._ahead = 0.0
        self._lock = threading.Lock()

    def now(self) -> float:
        return self._source() + self._ahead

    def advance(self, seconds: float) -> float:
        """Move ahead and return the new time."""
        if seconds < 0:
            raise ValueError("The clock only goes forward.")
        with self._lock:
            self._ahead += seconds
        return self.now()

    @property
    def ahead(self) -> float:
        """Seconds between this clock and the host's."""
        return self._ahead

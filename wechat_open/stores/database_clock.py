"""The database's time, without a query for each message.

It is read now and then. In between, this process adds what its monotonic clock counts, which neither an administrator
nor an NTP daemon sets. So a host whose clock is wrong judges pushes as all others do. Only a process that has not
reached the database yet goes by the host's clock.
"""

from __future__ import annotations

import logging
import os
import threading
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

from ..db import clock
from ..db.managers import DATABASE_ERRORS
from ..models import Component
from ..ports import TIMING, Timing

logger = logging.getLogger(__name__)

READ_EVERY = 600.0
"""Seconds. Clocks that run freely drift apart by less than a tenth of a second in that time."""

RETRY_AFTER = 60.0
"""Seconds without another try after the database has failed."""

JUMP = 5.0
"""Seconds by which the host's clock and its monotonic one may disagree: a machine that was suspended has to read again,
because the latter did not count."""


@dataclass(frozen=True)
class _Reading:
    """What three clocks said at one moment."""

    at: datetime
    monotonic: float
    wall: float


class DatabaseClock:
    """The database's time as this process knows it."""

    def __init__(self, timing: Timing = TIMING) -> None:
        self._timing = timing
        self._reading: _Reading | None = None
        self._failed_at: float | None = None
        self._lock = threading.Lock()

    def now(self) -> datetime:
        """The database's time, read again when that is due. Makes a query every ten minutes."""
        # One thread reads; only while nothing is known do the others wait for it.
        if self._is_outdated() and self._lock.acquire(blocking=self._reading is None):
            try:
                if self._is_outdated():
                    self._read()
            finally:
                self._lock.release()
        return self.estimate()

    def estimate(self) -> datetime:
        """The same without any query."""
        reading = self._reading
        if reading is None:
            return datetime.fromtimestamp(self._timing.wall(), timezone.utc)
        return reading.at + timedelta(seconds=self._timing.monotonic() - reading.monotonic)

    def forget(self) -> None:
        """Read again at the next use: for tests, and for a forked process, which a lock of its parent would block."""
        self._reading = self._failed_at = None
        self._lock = threading.Lock()

    def _is_outdated(self) -> bool:
        now = self._timing.monotonic()
        if self._failed_at is not None and now - self._failed_at < RETRY_AFTER:
            return False
        if self._reading is None:
            return True
        passed = now - self._reading.monotonic
        return passed > READ_EVERY or abs(self._timing.wall() - self._reading.wall - passed) > JUMP

    def _read(self) -> None:
        """In the middle of the query, as if it took equally long both ways."""
        asked = self._timing.monotonic()
        try:
            at = Component.objects.annotate(read_at=clock.read()).values_list("read_at", flat=True).first()
        except DATABASE_ERRORS as error:
            logger.warning("The database's time could not be read (%s).", type(error).__name__)
            at = None
        answered = self._timing.monotonic()
        if at is None:
            self._failed_at = answered
            return
        self._failed_at = None
        self._reading = _Reading(at, (asked + answered) / 2, self._timing.wall())


DATABASE_CLOCK = DatabaseClock()

if hasattr(os, "register_at_fork"):  # Windows has no fork
    os.register_at_fork(after_in_child=DATABASE_CLOCK.forget)

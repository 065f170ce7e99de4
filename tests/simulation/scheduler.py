"""Many workers in one thread, in virtual time: which one goes on is drawn from a seed.

Workers are greenlets. They give control away only in ``Scheduler.pause``, which the ports of a simulated process call
before each thing that they do; what comes next is the event with the earliest time. The same seed gives the same run,
step by step.

A process that is killed is never resumed, so no ``finally`` and no ``except`` of its code runs; what it had not done
yet is never done.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from itertools import count
from typing import Any

from greenlet import getcurrent, greenlet


class Scheduler:
    """``now`` is in seconds since the start of the run."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.now = 0.0
        self.steps = 0
        self.running: Process | None = None
        """The process of the worker that has control."""
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = count()
        self._hub: Any = None
        self._until = 0.0
        self._dead: list[Any] = []
        """Greenlets of killed processes: dropping one would raise GreenletExit in it, and run its ``finally``."""

    def after(self, seconds: float, event: Callable[[], None]) -> None:
        """Have ``event`` happen in so many seconds. Of two at the same moment the older is first."""
        heapq.heappush(self._events, (self.now + seconds, next(self._numbers), event))

    def run(self, until: float) -> None:
        """Let everything happen up to that time. An error of a worker or of a check ends the run."""
        self._hub, self._until = getcurrent(), until
        while self._events and self._events[0][0] <= until:
            self.now, _number, event = heapq.heappop(self._events)
            self.steps += 1
            event()
        self.now = until

    def pause(self, process: Process, seconds: float) -> None:
        """Let others go on; the calling worker is resumed in so many seconds, unless its process is killed."""
        at = self.now + seconds
        if process.alive and at <= self._until and (not self._events or self._events[0][0] > at):
            self.now = at  # it would be resumed at once
            self.steps += 1
            return
        worker = getcurrent()
        self.after(seconds, lambda: self._resume(process, worker))
        self._hub.switch()

    def stop_here(self) -> None:
        """End the calling worker: its process has been killed."""
        self._dead.append(getcurrent())
        self._hub.switch()

    def start(self, process: Process, work: Callable[[], object], seconds: float = 0.0) -> None:
        """Start a worker in this process."""
        worker = greenlet(work, parent=getcurrent() if self._hub is None else self._hub)
        self.after(seconds, lambda: self._resume(process, worker))

    def _resume(self, process: Process, worker: Any) -> None:
        if process.alive:
            self.running = process
            worker.switch()
            self.running = None
        else:
            self._dead.append(worker)


class Process:
    """A simulated process: alive until it is killed."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.alive = True

    def __repr__(self) -> str:
        return f"<{self.name}{'' if self.alive else ', killed'}>"

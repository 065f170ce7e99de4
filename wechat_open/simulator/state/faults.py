"""Faults that a tester sets for a path; each applies to the next ``times`` calls and is then removed.

* ``errcode``: WeChat's error; the call is not performed
* ``status``: an HTTP status with an HTML page; the call is not performed
* ``garbage``: an answer that is not JSON (``true``, or the text itself); the call is not performed
* ``delay``: the call is performed, its answer is this many seconds late
* ``hang``: no answer for this many seconds (``true``: an hour), then a closed connection; the call is not performed
* ``lost``: the call **is performed**, and the connection is closed without an answer

With ``after``, ``errcode``, ``status``, ``garbage`` and ``hang`` happen after the call was performed.
"""

from __future__ import annotations

import itertools
import threading
from dataclasses import dataclass
from typing import Any, Literal, get_args

FaultKind = Literal["errcode", "status", "delay", "hang", "lost", "garbage"]
KINDS: tuple[FaultKind, ...] = get_args(FaultKind)

GARBAGE = '<html><head><title>502</title></head><body>{"errcode":'
FOREVER = 3600.0


@dataclass
class Fault:
    id: int
    path: str
    kind: FaultKind
    value: Any
    times: int = 1
    appid: str = ""
    """Only calls about this account; empty for all."""
    after: bool = False

    def as_json(self) -> dict[str, Any]:
        about = {"appid": self.appid} if self.appid else {}
        return {"id": self.id, "path": self.path, self.kind: self.value, "times": self.times, **about} | (
            {"after": True} if self.after else {}
        )

    def fits(self, path: str, appid: str) -> bool:
        return (path == self.path or path.rsplit("/", 1)[-1] == self.path) and self.appid in ("", appid)


class Faults:
    """The active faults, in the order in which they were set."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self._ids = itertools.count(1)
        self._lock = threading.Lock()
        self._cleared = threading.Event()
        self.longest_wait: float | None = None
        """The longest time that a call is delayed, in seconds; None is no limit."""

    def add(
        self, path: str, kind: FaultKind, value: Any, *, times: int = 1, appid: str = "", after: bool = False
    ) -> Fault:
        fault = Fault(next(self._ids), path, kind, value, times, appid, after or kind == "lost")
        with self._lock:
            self._faults.append(fault)
        return fault

    def take(self, path: str, appid: str = "") -> Fault | None:
        """The first fault that fits; its remaining number of calls is reduced."""
        with self._lock:
            fault = next((fault for fault in self._faults if fault.fits(path, appid)), None)
            if fault is not None:
                fault.times -= 1
                if not fault.times:
                    self._faults.remove(fault)
            return fault

    def active(self) -> list[dict[str, Any]]:
        with self._lock:
            return [fault.as_json() for fault in self._faults]

    def clear(self) -> None:
        """Remove all faults, and end the delays under way."""
        with self._lock:
            self._faults.clear()
            self._cleared.set()
            self._cleared = threading.Event()

    def wait(self, seconds: float) -> None:
        """Wait for real seconds, or until the faults are cleared."""
        self._cleared.wait(seconds if self.longest_wait is None else min(seconds, self.longest_wait))

"""Visits of the authorization page: each page that was displayed, with the parameters that it was opened with."""

from __future__ import annotations

import secrets
import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass

from .clock import Clock

MAX_VISITS = 1000
VISIT_LIFE = 1800


@dataclass(frozen=True)
class Visit:
    """A page displayed to a visitor who passed the Referer rule. Its form can be submitted once."""

    path: str
    parameters: Mapping[str, str]
    expires_at: float


class Visits:
    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._visits: OrderedDict[str, Visit] = OrderedDict()
        self._lock = threading.Lock()

    def add(self, path: str, parameters: Mapping[str, str]) -> str:
        """Keep a visit; the returned nonce identifies it."""
        nonce = secrets.token_urlsafe(24)
        with self._lock:
            self._visits[nonce] = Visit(path, parameters, self._clock.now() + VISIT_LIFE)
            while len(self._visits) > MAX_VISITS:
                self._visits.popitem(last=False)
        return nonce

    def get(self, nonce: str) -> Visit | None:
        visit = self._visits.get(nonce)
        return visit if visit and visit.expires_at > self._clock.now() else None

    def take(self, nonce: str) -> Visit | None:
        """The visit, which is then removed."""
        with self._lock:
            visit = self.get(nonce)
            self._visits.pop(nonce, None)
            return visit

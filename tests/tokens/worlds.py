"""How does a test hold time and luck in its hands?"""

from __future__ import annotations

from collections.abc import Callable

from wechat_open.tokens.world import World


class Hours:
    """Time that passes only in sleep; every sleep is remembered, and ``meanwhile`` happens in it."""

    def __init__(self, meanwhile: Callable[[], object] = lambda: None) -> None:
        self.now = 1000.0
        self.slept: list[float] = []
        self.meanwhile = meanwhile
        self.world = World(lambda: self.now, self.sleep, lambda: 0.5)

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.slept.append(seconds)
        self.meanwhile()

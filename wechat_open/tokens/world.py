"""What does custody take from the world besides the database and WeChat?

Time that passes, sleep, and luck; a test or a simulation passes its own. And one rule: custody never shares a
transaction of the site. A refresh token that WeChat has rotated must not be lost because a view rolled back.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from django.db import connections, router

from ..models import Authorizer

_T = TypeVar("_T")


@dataclass(frozen=True)
class World:
    """``luck`` is uniform from 0 to 1; the state of ``random`` is the site's, which may have seeded it."""

    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    luck: Callable[[], float] = random.SystemRandom().random


WORLD = World()


def outside_transactions(work: Callable[[], _T]) -> _T:
    """Run ``work`` so that its writes are committed one by one, whatever transaction the caller is in.

    Inside a transaction it runs in a thread, that is on a connection of its own. Two cases are left alone: a test that
    wraps itself in a transaction (``TestCase``), whose rows nobody else could see, and SQLite, whose only writer the
    caller already is. There a roll-back loses a rotated token, and the ladder brings it back.
    """
    database = connections[router.db_for_write(Authorizer)]
    in_test = any(getattr(block, "_from_testcase", False) for block in database.atomic_blocks)
    if not database.in_atomic_block or in_test or database.vendor == "sqlite":
        return work()
    with ThreadPoolExecutor(1, thread_name_prefix="wechat_open") as elsewhere:
        return elsewhere.submit(_then_disconnect, work).result()


def _then_disconnect(work: Callable[[], _T]) -> _T:
    try:
        return work()
    finally:
        connections.close_all()

"""What a platform's work takes from outside, as small interfaces.

With the stores they are its ``environment.Environment``. A simulation replaces every one of them, and runs the code
under a scheduler that interleaves workers and kills them between any two steps.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol, TypeVar

from .audit import Counter, Kind
from .client.calls import Call
from .exceptions import WeChatOpenError
from .models import Authorizer, Component
from .secret import Secret

_T = TypeVar("_T")


class WeChat(Protocol):
    """Makes calls. No call takes longer than ``longest_call``: a lease must last until its end."""

    @property
    def longest_call(self) -> timedelta: ...

    def run(self, call: Call[_T], token: Secret | None = None) -> _T: ...


class Cache(Protocol):
    """Keeps tokens for a while (``stores.token_cache``). It may forget everything at any time, and never fails.

    ``read_last`` is asked while the database is down. What this process has read or written, it then has in its memory.
    """

    def read(self, name: str) -> Secret | None: ...
    def read_last(self, name: str) -> Secret | None: ...
    def write(self, name: str, token: Secret, short: timedelta, last: timedelta) -> None: ...
    def forget(self, name: str) -> None: ...


class Memory(Protocol):
    """Keeps tokens in one process (``stores.token_memory``). It is no other process's, and ends with its own."""

    def read(self, name: str) -> Secret | None: ...
    def write(self, name: str, token: Secret, life: timedelta) -> None: ...
    def forget(self, name: str) -> None: ...


class Audit(Protocol):
    """Keeps what an operator may want to look up (``wechat_open.audit``)."""

    def increment(self, counter: Counter, component: Component) -> None: ...
    def record(
        self,
        kind: Kind,
        component: Component,
        *,
        account: Authorizer | None = None,
        appid: str = "",
        user: Any = None,
        actor: str = "",
        error: WeChatOpenError | None = None,
        detail: str = "",
    ) -> None: ...


class DatabaseClock(Protocol):
    """The database's time as this process knows it, mostly without a query (``stores.database_clock``)."""

    def now(self) -> datetime: ...


class Limits(Protocol):
    """The settings that custody reads (``wechat_open.conf``)."""

    @property
    def token_wait(self) -> timedelta: ...
    @property
    def renewal_threads(self) -> int: ...
    @property
    def renewals_per_second(self) -> float: ...
    @property
    def brake_accounts(self) -> int: ...
    @property
    def brake_share(self) -> float: ...


@dataclass(frozen=True)
class Timing:
    """Time that passes in this process, sleep, and jitter, which is uniform from 0 to 1.

    Last, the host's clock, which decides nothing (``stores.database_clock``). The jitter has a generator of its own:
    the state of ``random`` belongs to the site, which may have seeded it.
    """

    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    jitter: Callable[[], float] = random.SystemRandom().random
    wall: Callable[[], float] = time.time


TIMING = Timing()

"""How is the site's cache asked, when it may be down?

A cache that fails is left alone for some seconds: it costs speed, never service. Whoever asks says what holds without
an answer.

``add`` and ``put`` are for what every message asks. With django-redis and one server they speak to Redis over the
connections of its pool, under the same keys and in the same form as the cache does: ``add`` has less to do, and ``put``
does not wait for Redis's answer, which is read at the next occasion.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from typing import Any, TypeVar

from django.core.cache import BaseCache, caches
from django_redis.client import DefaultClient

from .conf import conf
from .secret import shown_name

logger = logging.getLogger(__name__)

LEAVE_ALONE = 5.0
"""Seconds without another try after the cache has failed."""

_T = TypeVar("_T")
_D = TypeVar("_D")
_failed_at: dict[str, float] = {}


def ask(question: Callable[[BaseCache], _T], otherwise: _D) -> _T | _D:
    """What the cache says, or ``otherwise`` while it is down."""
    alias = conf.cache
    failed_at = _failed_at.get(alias)
    if failed_at is not None and time.monotonic() - failed_at < LEAVE_ALONE:
        return otherwise
    try:
        return question(caches[alias])
    except Exception as error:  # noqa: BLE001  # backends raise what their drivers raise: no common root exists
        _failed_at[alias] = time.monotonic()
        logger.warning("Cache %r failed (%s); going on without it.", shown_name(alias), type(error).__name__)
        return otherwise


def add(key: str, value: bytes, seconds: float) -> bool | None:
    """Whether there was nothing under this key, and now is; None when the cache does not know."""
    return ask(lambda cache: _add(cache, key, value, seconds), None)


def put(key: str, value: bytes, seconds: float) -> None:
    """Store it, as far as the cache is up. Who asks in this very moment may still find what was there before."""
    ask(lambda cache: _put(cache, key, value, seconds), None)


def _add(cache: BaseCache, key: str, value: bytes, seconds: float) -> bool | None:
    client = _redis(cache)
    if client is None:
        return cache.add(key, value, seconds)
    with _line(client) as line:
        line.send(*_set(client, key, value, seconds), "NX")
        return line.read() is not None


def _put(cache: BaseCache, key: str, value: bytes, seconds: float) -> None:
    client = _redis(cache)
    if client is None:
        cache.set(key, value, seconds)
    else:
        with _line(client) as line:
            line.send(*_set(client, key, value, seconds))


def _redis(cache: BaseCache) -> Any:
    """django-redis's way to a single server; None for any other cache."""
    client = getattr(cache, "client", None)
    return client if type(client) is DefaultClient else None


def _set(client: Any, key: str, value: bytes, seconds: float) -> tuple[Any, ...]:
    return "SET", str(client.make_key(key)), client.encode(value), "PX", int(seconds * 1000)


class _Line:
    """A connection from redis-py's pool, kept for the next message."""

    def __init__(self, pool: Any) -> None:
        self.pool = pool
        self._connection = pool.get_connection()
        self._unread = False

    def __enter__(self) -> _Line:
        """Ready for a command. What became of the one before is of no account: if Redis is not well, this one fails."""
        try:
            if self._unread:
                self.read()
            gone = self._connection.can_read()  # there is nothing to read, but that Redis has hung up
        except Exception:  # noqa: BLE001  # drivers have many ways to say so
            gone = True
        if gone:
            self._connection.disconnect()  # and the next command connects
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            _lines.append(self)
        else:
            self.hang_up()

    def send(self, *command: Any) -> None:
        self._connection.send_command(*command)
        self._unread = True

    def read(self) -> Any:
        self._unread = False
        return self._connection.read_response()

    def hang_up(self) -> None:
        self._connection.disconnect()
        self.pool.release(self._connection)


_lines: list[_Line] = []
"""Those that nobody is using; there are never more than threads that asked at one moment."""

if hasattr(os, "register_at_fork"):  # Windows has no fork
    os.register_at_fork(after_in_child=_lines.clear)  # they are the parent's


def _line(client: Any) -> _Line:
    pool = client.get_client(write=True).connection_pool
    try:
        line = _lines.pop()
    except IndexError:
        return _Line(pool)
    if line.pool is pool:
        return line
    line.hang_up()  # the settings have changed
    return _line(client)

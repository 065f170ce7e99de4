"""The site's cache, which may be down.

A cache that fails is not tried again for some seconds: it costs speed, never service. Each call says what to return
without an answer.

Every message needs ``add`` and ``put``. With django-redis and one server they send their commands over connections of
their own, under the same keys and in the same form as the cache does: ``add`` has less to do, and ``put`` does not wait
for Redis's reply, which is read before the next command. A server that accepts connections and never answers costs a
message a second at most, also where the site's OPTIONS set no timeouts.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from typing import Any, TypeVar

from django.core.cache import BaseCache, caches
from django_redis.client import DefaultClient
from redis.connection import Connection

from .conf import conf
from .secret import shown_name

logger = logging.getLogger(__name__)

RETRY_AFTER = 5.0
"""Seconds without another try after the cache has failed."""

ANSWER_WITHIN = 0.5
"""Seconds that ``add`` and ``put`` wait for Redis, and for a connection. The site's SOCKET_TIMEOUT may be shorter."""

_T = TypeVar("_T")
_D = TypeVar("_D")
_failed_at: dict[str, float] = {}


def attempt(operation: Callable[[BaseCache], _T], default: _D) -> _T | _D:
    """The result of ``operation`` on the cache, or ``default`` while the cache is down."""
    alias = conf.cache
    failed_at = _failed_at.get(alias)
    if failed_at is not None and time.monotonic() - failed_at < RETRY_AFTER:
        return default
    try:
        return operation(caches[alias])
    except Exception as error:  # noqa: BLE001  # backends raise what their drivers raise: no common root exists
        _failed_at[alias] = time.monotonic()
        logger.warning("Cache %r failed (%s); going on without it.", shown_name(alias), type(error).__name__)
        return default


def add(key: str, value: bytes, seconds: float) -> bool | None:
    """True when the key was free and is set now, False when it was set before, None while the cache is down."""
    return attempt(lambda cache: _add(cache, key, value, seconds), None)


def put(key: str, value: bytes, seconds: float) -> None:
    """Set the key, unless the cache is down. A read at the same moment may still return the value before."""
    attempt(lambda cache: _put(cache, key, value, seconds), None)


def _add(cache: BaseCache, key: str, value: bytes, seconds: float) -> bool | None:
    client = _redis(cache)
    if client is None:
        return cache.add(key, value, seconds)
    with _connection(client) as connection:
        connection.send(*_set(client, key, value, seconds), "NX")
        return connection.read() is not None


def _put(cache: BaseCache, key: str, value: bytes, seconds: float) -> None:
    client = _redis(cache)
    if client is None:
        cache.set(key, value, seconds)
    else:
        with _connection(client) as connection:
            connection.send(*_set(client, key, value, seconds))


def _redis(cache: BaseCache) -> Any:
    """django-redis's client of a single server; None for any other cache."""
    client = getattr(cache, "client", None)
    return client if type(client) is DefaultClient else None


def _set(client: Any, key: str, value: bytes, seconds: float) -> tuple[Any, ...]:
    return "SET", str(client.make_key(key)), client.encode(value), "PX", int(seconds * 1000)


class _Connection:
    """A connection like those of redis-py's pool, but with timeouts, kept for the next message."""

    def __init__(self, pool: Any) -> None:
        self.pool = pool
        self._connection = pool.connection_class(**_bounded(pool))
        self._unread = False

    def __enter__(self) -> _Connection:
        """Prepare for a command. The reply to the one before is dropped: if Redis is down, the next command fails."""
        try:
            if self._unread:
                self.read()
            closed = self._connection.can_read()  # no reply is expected, so what can be read is the end
        except Exception:  # noqa: BLE001  # drivers raise many kinds of error here
            closed = True
        if closed:
            self._connection.disconnect()  # and the next command connects
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            _idle.append(self)
        else:
            self.close()

    def send(self, *command: Any) -> None:
        self._connection.send_command(*command)
        self._unread = True

    def read(self) -> Any:
        self._unread = False
        return self._connection.read_response()

    def close(self) -> None:
        self._connection.disconnect()


def _bounded(pool: Any) -> dict[str, Any]:
    """What the pool's connections are made with, but timeouts of ``ANSWER_WITHIN`` at most."""
    names = ["socket_timeout"]
    if issubclass(pool.connection_class, Connection):  # one to a socket's file has no other
        names.append("socket_connect_timeout")
    made_with = dict(pool.connection_kwargs)
    for name in names:
        made_with[name] = min(made_with.get(name) or ANSWER_WITHIN, ANSWER_WITHIN)
    return made_with


_idle: list[_Connection] = []
"""The connections that no thread is using; never more than threads that used one at the same moment."""

if hasattr(os, "register_at_fork"):  # Windows has no fork
    os.register_at_fork(after_in_child=_idle.clear)  # they are the parent's


def _connection(client: Any) -> _Connection:
    pool = client.get_client(write=True).connection_pool
    try:
        connection = _idle.pop()
    except IndexError:
        return _Connection(pool)
    if connection.pool is pool:
        return connection
    connection.close()  # the settings have changed
    return _connection(client)

"""The short way to Redis gives the same results as the cache."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.core.cache import caches
from django_redis import get_redis_connection

from tests.redis_stand_in import StandIn, cache_at, refuse
from wechat_open import cache


@pytest.fixture(autouse=True)
def _own_connections(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(cache, "_idle", [])
    monkeypatch.setattr(cache, "_failed_at", {})
    yield
    for connection in cache._idle:
        connection.close()


@pytest.fixture
def redis(settings: Any) -> Iterator[StandIn]:
    server = StandIn()
    settings.CACHES = {"default": cache_at(server.url, SOCKET_TIMEOUT=5)}
    yield server
    caches["default"].close()
    get_redis_connection("default").connection_pool.disconnect()
    server.stop()


def add(key: str = "key") -> bool | None:
    return cache.add(key, b"...", 60)


def put(value: bytes = b"answer") -> None:
    cache.put("key", value, 60)


def until(condition: Callable[[], object]) -> None:
    """Redis has received it soon."""
    ends_at = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < ends_at, "it never came to that"
        time.sleep(0.01)


def test_add__is_one_command_for_the_first(redis: StandIn) -> None:
    assert [add(), add()] == [True, False]
    assert [command[0] for command in redis.commands] == [b"SET", b"SET"]
    assert redis.commands[0][3:] == [b"PX", b"60000", b"NX"]


def test_stored_value__is_what_the_cache_reads(redis: StandIn) -> None:
    add()
    assert caches["default"].get("key") == b"..."
    put()
    until(lambda: caches["default"].get("key") == b"answer")


def test_value_that_the_cache_has_stored__is_seen(redis: StandIn) -> None:
    caches["default"].set("key", b"answer", 60)

    assert add() is False


def test_prefix_of_the_cache__is_used(redis: StandIn, settings: Any) -> None:
    settings.CACHES = {"default": {**cache_at(redis.url), "KEY_PREFIX": "shop", "VERSION": 7}}
    add()

    assert redis.commands[0][1] == b"shop:7:key"


def test_put__does_not_wait(redis: StandIn) -> None:
    answered = threading.Event()
    redis.answer = lambda command: b"+OK\r\n" if answered.wait(10) else b""
    put()
    answered.set()

    assert add("next") is True


def test_connection__is_kept(redis: StandIn) -> None:
    for _ in range(3):
        add()
        put()

    assert redis.greeted == 1


def test_threads__have_a_connection_each(redis: StandIn) -> None:
    together = threading.Barrier(2)
    redis.answer = lambda command: b"+OK\r\n" if together.wait(10) >= 0 else b""
    results: list[bool | None] = []
    threads = [threading.Thread(target=lambda: results.append(add())) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert (results, redis.greeted) == ([True, True], 2)


@pytest.mark.parametrize("before", [add, put])
def test_connection_that_redis_closed__is_opened_again(redis: StandIn, before: Any) -> None:
    before()
    redis.hang_up()

    assert add("next") is True
    assert redis.greeted == 2


def test_connections_that_the_pool_closed__are_opened_again(redis: StandIn) -> None:
    """django-redis does so at the end of a request, where a setting says so."""
    put()
    get_redis_connection("default").connection_pool.disconnect()

    assert add("next") is True


def test_other_settings__are_another_redis(redis: StandIn, settings: Any) -> None:
    put()
    another = StandIn()
    settings.CACHES = {"default": cache_at(another.url)}

    assert add() is True
    until(lambda: (len(redis.commands), len(another.commands)) == (1, 1))
    get_redis_connection("default").connection_pool.disconnect()
    another.stop()


@pytest.mark.fault("F19")
def test_redis_that_refuses__is_not_tried_again_and_the_connection_is_given_back(redis: StandIn) -> None:
    redis.answer = refuse

    assert add() is None
    assert add() is None
    assert len(redis.commands) == 1
    assert cache._idle == []


def test_refusal_that_was_not_waited_for__fails_the_next_command(redis: StandIn) -> None:
    redis.answer = refuse
    put()

    assert add() is None
    assert len(redis.commands) == 2


def test_redis_that_is_gone__is_a_cache_that_is_down(redis: StandIn) -> None:
    redis.stop()

    assert add() is None
    put()


@pytest.mark.parametrize("options", [{}, {"SOCKET_TIMEOUT": 60, "SOCKET_CONNECT_TIMEOUT": 60}], ids=["none", "long"])
@pytest.mark.parametrize("open_before", [True, False])
@pytest.mark.fault("F17")
def test_redis_that_never_answers__costs_a_second_once(settings: Any, options: Any, open_before: bool) -> None:
    server = StandIn()
    settings.CACHES = {"default": cache_at(server.url, **options)}
    if open_before:
        assert add() is True
    server.silent = True

    began = time.monotonic()
    assert add("first") is None
    assert time.monotonic() - began < 1.5
    began = time.monotonic()
    assert add("second") is None
    put()
    assert time.monotonic() - began < 0.1
    server.stop()


FORKING = """
import os, sys
import django
django.setup()
from django.conf import settings
from tests.redis_stand_in import StandIn, cache_at
from wechat_open import cache

redis = StandIn()
settings.CACHES["default"] = cache_at(redis.url)
cache.put("key", b"answer", 60)
assert len(cache._idle) == 1
child = os.fork()
if not child:
    os._exit(0 if cache.add("key", b"...", 60) is False and redis.greeted == 1 else 1)
failed = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
sys.exit(failed or cache.add("key", b"...", 60) is not False or redis.greeted != 2)
"""


def test_forked_process__has_connections_of_its_own() -> None:
    """Two processes on one connection would read each other's replies."""
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "tests.settings",
        "PYTHONPATH": os.pathsep.join(sys.path),
        "PYTHONWARNINGS": "ignore",  # newer Pythons warn of a fork beside threads
    }
    subprocess.run([sys.executable, "-c", FORKING], env=environment, timeout=30, check=True)

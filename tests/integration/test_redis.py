"""A real Redis that dies, forgets, is slow, silent, stale or full: tokens are right and callbacks are answered."""

from __future__ import annotations

import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import redis
from django.core.cache import cache, caches
from django.test import Client
from django_redis import get_redis_connection

from tests import pushes
from tests.proxy import Proxy
from tests.redis_stand_in import cache_at
from tests.stage import OFFICIAL
from wechat_open import api, tokens
from wechat_open import cache as shared_cache
from wechat_open.models import Authorizer
from wechat_open.platforms import Platform
from wechat_open.simulator import Simulator

REFRESH = "/cgi-bin/component/api_authorizer_token"
USERS = "/cgi-bin/user/get"
DEADLINE = 5.0
"""Seconds in which WeChat wants an answer."""

pytestmark = [pytest.mark.services, pytest.mark.slow]


class Server:
    """A redis-server of this test's own."""

    def __init__(self, folder: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port: int = free.getsockname()[1]
        self._folder = folder
        self.client = redis.Redis(port=self.port)
        self.start()

    def start(self) -> None:
        command = ["redis-server", "--bind", "127.0.0.1", "--port", str(self.port), "--save", ""]
        self.process = subprocess.Popen([*command, "--dir", str(self._folder)], stdout=subprocess.DEVNULL)
        until(self._answers)

    def _answers(self) -> bool:
        try:
            return bool(self.client.ping())
        except redis.ConnectionError:
            return False

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[], Server]]:
    with ExitStack() as ends:

        def one() -> Server:
            server = Server(tmp_path)
            ends.callback(server.kill)
            return server

        yield one


@pytest.fixture
def server(start: Callable[[], Server]) -> Server:
    return start()


@pytest.fixture
def proxy(server: Server, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """Between the site and the server, which is the site's cache, with the timeouts that the README names."""
    proxy = Proxy("127.0.0.1", server.port)
    options = {"SOCKET_CONNECT_TIMEOUT": 1, "SOCKET_TIMEOUT": 1}
    settings.CACHES = {"default": cache_at(f"redis://127.0.0.1:{proxy.port}/0", **options)}
    monkeypatch.setattr(shared_cache, "RETRY_AFTER", 0.5)
    yield proxy
    caches["default"].close()
    get_redis_connection("default").connection_pool.disconnect()
    proxy.close()
    settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}


def until(condition: Callable[[], object], seconds: float = 10) -> None:
    ends_at = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < ends_at, "It never came to that."
        time.sleep(0.05)


def token(wechat: Simulator, platform: Platform) -> str:
    text = tokens.authorizer_token(platform, OFFICIAL).reveal()
    assert wechat.engine.owner_of(text) == OFFICIAL
    return text


def is_cached(server: Server) -> bool:
    return any(OFFICIAL in key.decode() and key.endswith(b":short") for key in server.client.scan_iter("*"))


def assert_a_push_is_answered(wechat: Simulator) -> None:
    ticket = {name: str(value) for name, value in wechat.engine.new_ticket().fields.items()}
    began = time.monotonic()
    assert pushes.post(Client(), pushes.EVENTS, pushes.push_request(ticket)).content == b"success"
    assert time.monotonic() - began < DEADLINE


def assert_it_works_without(wechat: Simulator, platform: Platform, account: Authorizer) -> None:
    """Reading, calling, renewing and receiving."""
    token(wechat, platform)
    assert "total" in api.authorizer(OFFICIAL).get(USERS)
    before = wechat.engine.calls[REFRESH]
    tokens.refresh_now(account)
    token(wechat, platform)
    assert "total" in api.authorizer(OFFICIAL).get(USERS)
    assert_a_push_is_answered(wechat)
    assert wechat.engine.calls[REFRESH] == before + 1


@pytest.mark.fault("F14")
def test_redis_that_is_down_for_a_quarter_of_an_hour__costs_no_token_and_is_used_again(
    wechat: Simulator,
    platform: Platform,
    account: Authorizer,
    proxy: Proxy,
    server: Server,
    later: Callable[[timedelta], None],
) -> None:
    token(wechat, platform)
    assert is_cached(server)
    server.kill()

    assert_it_works_without(wechat, platform, account)
    later(timedelta(minutes=15))
    wechat.clock.advance(15 * 60)
    assert_it_works_without(wechat, platform, account)

    server.start()
    until(lambda: token(wechat, platform) and is_cached(server))


@pytest.mark.fault("F15")
def test_redis_that_loses_everything__costs_no_call(
    wechat: Simulator, platform: Platform, account: Authorizer, proxy: Proxy, server: Server
) -> None:
    before = token(wechat, platform)
    calls = sum(wechat.engine.calls.values())
    server.client.flushall()

    assert token(wechat, platform) == before
    assert is_cached(server)
    assert sum(wechat.engine.calls.values()) == calls


@pytest.mark.fault("F16")
def test_redis_that_takes_half_a_second__is_waited_for_within_wechats_deadline(
    wechat: Simulator, platform: Platform, account: Authorizer, proxy: Proxy, server: Server
) -> None:
    before = token(wechat, platform)
    proxy.delay = 0.5

    began = time.monotonic()
    assert token(wechat, platform) == before
    assert time.monotonic() - began < DEADLINE
    assert_a_push_is_answered(wechat)
    assert_it_works_without(wechat, platform, account)


@pytest.mark.fault("F17")
def test_redis_that_never_answers__costs_its_timeout_and_is_used_again(
    wechat: Simulator,
    platform: Platform,
    account: Authorizer,
    proxy: Proxy,
    server: Server,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shared_cache, "RETRY_AFTER", 3.0)
    before = token(wechat, platform)
    server.signal(signal.SIGSTOP)

    began = time.monotonic()
    assert token(wechat, platform) == before
    first = time.monotonic() - began
    began = time.monotonic()
    assert token(wechat, platform) == before
    assert (first < 3, time.monotonic() - began < 0.5) == (True, True)
    assert_it_works_without(wechat, platform, account)

    server.signal(signal.SIGCONT)
    server.client.flushall()
    until(lambda: token(wechat, platform) and is_cached(server))


@pytest.mark.fault("F18")
def test_failover_to_a_replica_with_older_tokens__renews_nothing(
    wechat: Simulator,
    platform: Platform,
    account: Authorizer,
    proxy: Proxy,
    server: Server,
    start: Callable[[], Server],
) -> None:
    replica = start()
    replica.client.replicaof("127.0.0.1", str(server.port))
    old = token(wechat, platform)
    until(lambda: is_cached(replica))
    replica.client.replicaof("NO", "ONE")
    tokens.refresh_now(account)
    new = token(wechat, platform)
    assert new != old
    wechat.clock.advance(600)  # WeChat takes the older one for some minutes
    calls, renewed = wechat.engine.calls[USERS], wechat.engine.calls[REFRESH]

    proxy.lead_to(replica.port)
    server.kill()
    until(lambda: cache.get("nothing") is None)

    assert "total" in api.authorizer(OFFICIAL).get(USERS)
    assert token(wechat, platform) == new
    assert wechat.engine.calls[USERS] - calls == 2
    assert wechat.engine.calls[REFRESH] == renewed


@pytest.mark.fault("F19")
def test_redis_that_is_full__is_gone_on_without(
    wechat: Simulator, platform: Platform, account: Authorizer, proxy: Proxy, server: Server
) -> None:
    token(wechat, platform)
    server.client.config_set("maxmemory-policy", "noeviction")
    server.client.config_set("maxmemory", 1)
    with pytest.raises(redis.exceptions.OutOfMemoryError):
        server.client.set("anything", "more")

    tokens.refresh_now(account)
    assert "total" in api.authorizer(OFFICIAL).get(USERS)
    assert_it_works_without(wechat, platform, account)

    server.client.config_set("maxmemory", 0)
    until(lambda: token(wechat, platform) and is_cached(server))

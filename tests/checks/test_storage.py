"""Places where tokens are not safe are found in production, and accepted in development."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.core.checks import ERROR, run_checks
from django.db import connection, connections

from tests.checks.mistakes import SOUND, ids, messages, redis_cache
from wechat_open.db.locks import lost_host_noticed_after


def test_local_cache__is_fine_while_debugging(site: Any) -> None:
    site.DEBUG = True
    site.WECHAT_OPEN = {**SOUND, "CACHE": "local"}
    assert ids() == []


@pytest.mark.parametrize(
    "cache",
    [
        redis_cache(OPTIONS={"SOCKET_CONNECT_TIMEOUT": 1, "SOCKET_TIMEOUT": 1}),
        redis_cache(OPTIONS={"CONNECTION_POOL_KWARGS": {"socket_timeout": 0.5}}),
        redis_cache(LOCATION="redis://127.0.0.1:6379/1?socket_timeout=1"),
        redis_cache("django.core.cache.backends.redis.RedisCache", OPTIONS={"socket_timeout": 1}),
    ],
)
def test_redis_with_a_timeout__is_fine(site: Any, cache: dict[str, Any]) -> None:
    for name, value in cache.items():
        setattr(site, name, value)
    assert ids() == []


def test_redis_without_a_timeout__is_fine_while_debugging(site: Any) -> None:
    site.DEBUG = True
    for name, value in redis_cache().items():
        setattr(site, name, value)
    assert ids() == []


def test_redis_without_a_timeout__gets_a_hint_with_its_own_option(site: Any) -> None:
    for backend, option in [("django_redis.cache", "SOCKET_TIMEOUT"), ("django.core.cache.backends.redis", "socket_")]:
        for name, value in redis_cache(f"{backend}.RedisCache").items():
            setattr(site, name, value)
        [message] = [message for message in messages() if message.id == "wechat_open.W080"]
        assert option in message.hint


def test_derived_encryption_key__is_a_matter_of_deployment(site: Any) -> None:
    site.WECHAT_OPEN = {**SOUND, "ENCRYPTION_KEYS": []}
    assert not [message for message in messages(deploy=False) if message.id == "wechat_open.W004"]


def test_sqlite_in_production__is_remarked(site: Any) -> None:
    expected = ["wechat_open.I001"] if connection.vendor == "sqlite" else []
    assert [message.id for message in messages()] == expected
    site.DEBUG = True
    assert messages() == []


def test_autocommit_that_is_off__is_refused(site: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(connections.settings, "default", {**connections.settings["default"], "AUTOCOMMIT": False})
    assert "E077" in ids()


READ_ONLY = {
    "sqlite": "PRAGMA query_only = ON",
    "postgresql": "SET default_transaction_read_only = on",
    "mysql": "SET SESSION TRANSACTION READ ONLY",
}


@pytest.fixture
def standby(transactional_db: None) -> Iterator[None]:
    """A server that answers, and takes no changes."""
    with connection.cursor() as cursor:
        cursor.execute(READ_ONLY[connection.vendor])
    yield
    connection.close()


def on_database() -> list[str | None]:
    """What `check --database default` finds of ours and calls an error."""
    found = [message for message in run_checks(databases=["default"]) if message.level >= ERROR]
    return [message.id for message in found if str(message.id).startswith("wechat_open.")]


def test_database_on_this_host__loses_no_client(transactional_db: None) -> None:
    """Whatever it is: what a PostgreSQL says that is asked from afar, tests/integration/test_lost_host.py sees."""
    assert lost_host_noticed_after(connection) is None


def test_standby_server__is_refused_where_the_database_is_asked(site: Any, standby: None) -> None:
    assert on_database() == ["wechat_open.E078"]
    assert "E078" not in ids()


def test_primary_server__is_sound(site: Any, transactional_db: None) -> None:
    assert on_database() == []

"""A process remembers the tokens that went through it, until they end."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import timedelta
from typing import Any

import pytest
from django.core.cache import cache as django_cache

from tests.environments import FakeTime
from wechat_open.secret import Secret
from wechat_open.stores.token_cache import TokenCache
from wechat_open.stores.token_memory import TokenMemory

NAME = "wx1111111111111111:wx2"
TOKEN, NEWER = Secret("canary-access-token"), Secret("canary-newer-token")
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


@pytest.fixture
def fake_time() -> FakeTime:
    return FakeTime()


@pytest.fixture
def memory(fake_time: FakeTime) -> TokenMemory:
    return TokenMemory(fake_time.timing, most=3)


class TestMemory:
    def test_token__is_remembered_until_its_end(self, memory: TokenMemory, fake_time: FakeTime) -> None:
        memory.write(NAME, TOKEN, HOUR)
        fake_time.now += HOUR.total_seconds() - 1
        assert memory.read(NAME) == TOKEN

        fake_time.now += 1
        assert memory.read(NAME) is None
        fake_time.now -= 10
        assert memory.read(NAME) is None

    def test_another_name__is_another_token(self, memory: TokenMemory) -> None:
        memory.write(NAME, TOKEN, HOUR)

        assert memory.read(NAME + "x") is None

    def test_newer_token__replaces_the_old_one_and_its_end(self, memory: TokenMemory, fake_time: FakeTime) -> None:
        memory.write(NAME, TOKEN, HOUR)
        memory.write(NAME, NEWER, MINUTE)
        assert memory.read(NAME) == NEWER

        fake_time.now += MINUTE.total_seconds()
        assert memory.read(NAME) is None

    def test_token_that_is_read_with_less_life__keeps_its_end(self, memory: TokenMemory, fake_time: FakeTime) -> None:
        memory.write(NAME, TOKEN, HOUR)
        memory.write(NAME, TOKEN, MINUTE)
        fake_time.now += HOUR.total_seconds() - 1

        assert memory.read(NAME) == TOKEN

    def test_forgotten_token__is_gone(self, memory: TokenMemory) -> None:
        memory.write(NAME, TOKEN, HOUR)
        memory.forget(NAME)
        memory.forget(NAME)

        assert memory.read(NAME) is None

    def test_too_many__the_ones_that_were_not_used_are_forgotten(self, memory: TokenMemory) -> None:
        for name in "abc":
            memory.write(name, TOKEN, HOUR)
        memory.read("a")
        memory.write("d", TOKEN, HOUR)
        memory.write("c", TOKEN, HOUR)
        memory.write("e", TOKEN, HOUR)

        assert [name for name in "abcde" if memory.read(name)] == ["c", "d", "e"]

    def test_memory__shows_no_token(self, memory: TokenMemory) -> None:
        memory.write(NAME, TOKEN, HOUR)

        assert repr(memory) == "<TokenMemory: 1 tokens>"
        assert "canary" not in f"{vars(memory)}"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_forked_process__begins_with_an_empty_memory_and_a_free_lock() -> None:
    program = """
import os, sys, django
django.setup()
from datetime import timedelta
from wechat_open.secret import Secret
from wechat_open.stores.token_memory import MEMORY
MEMORY.write("a", Secret("token"), timedelta(hours=1))
with MEMORY._lock:
    child = os.fork()
    if not child:
        found = MEMORY.read("a")
        MEMORY.write("a", Secret("another"), timedelta(hours=1))
        os._exit(3 if found is None and MEMORY.read("a") else 4)
status = os.waitpid(child, 0)[1]
assert MEMORY.read("a") == Secret("token")
sys.exit(os.waitstatus_to_exitcode(status))
"""
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings", "PYTHONPATH": os.pathsep.join(sys.path)}
    assert subprocess.run([sys.executable, "-c", program], env=environment, timeout=60, check=False).returncode == 3


class TestBesideTheCache:
    """Two processes that share a cache."""

    @pytest.fixture
    def processes(self, fake_time: FakeTime) -> tuple[TokenCache, TokenCache]:
        return TokenCache(TokenMemory(fake_time.timing)), TokenCache(TokenMemory(fake_time.timing))

    def test_token_that_another_process_has_cached__is_remembered_when_it_is_read(
        self, processes: tuple[TokenCache, TokenCache], fake_time: FakeTime
    ) -> None:
        writer, reader = processes
        writer.write(NAME, TOKEN, 5 * MINUTE, 2 * HOUR)
        assert reader.read(NAME) == TOKEN
        django_cache.clear()

        assert reader.read(NAME) is None
        assert reader.read_last(NAME) == TOKEN
        fake_time.now += (2 * HOUR - 5 * MINUTE).total_seconds()  # at the latest: the short entry may have been so old
        assert reader.read_last(NAME) is None
        assert writer.read_last(NAME) == TOKEN

    def test_token_that_was_never_read__is_not_known(self, processes: tuple[TokenCache, TokenCache]) -> None:
        writer, reader = processes
        writer.write(NAME, TOKEN, MINUTE, HOUR)
        django_cache.clear()

        assert reader.read_last(NAME) is None

    def test_cache__is_asked_before_the_memory(self, processes: tuple[TokenCache, TokenCache]) -> None:
        writer, reader = processes
        reader.write(NAME, TOKEN, MINUTE, HOUR)
        writer.write(NAME, NEWER, MINUTE, HOUR)

        assert reader.read_last(NAME) == NEWER

    def test_forgotten_token__is_in_neither(self, processes: tuple[TokenCache, TokenCache]) -> None:
        process = processes[0]
        process.write(NAME, TOKEN, MINUTE, HOUR)
        process.forget(NAME)

        assert process.read(NAME) is process.read_last(NAME) is None

    @pytest.mark.parametrize("entry", ["canary-access-token", ":canary", "x:canary", "60:", "-1:canary"])
    def test_entry_of_another_form__counts_as_missing(
        self, processes: tuple[TokenCache, TokenCache], entry: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def decrypted(*_: Any) -> Secret:
            return Secret(entry)

        django_cache.set(f"wechat_open:{NAME}:short", "v1.anything")
        monkeypatch.setattr("wechat_open.stores.token_cache.decrypt", decrypted)

        assert processes[0].read(NAME) is None

"""The cache of one host behaves as a Django cache, for all processes of the host."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import random
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import lmdb
import pytest
from asgiref.sync import async_to_sync
from django.core.cache import CacheKeyWarning, caches
from django.core.exceptions import ImproperlyConfigured

from tests.contrib.host_cache_process import KEYS, NAMES, is_whole
from wechat_open import cache as shared_cache
from wechat_open.contrib import host_cache
from wechat_open.contrib.host_cache import HostCache

SIZE = 4 * 2**20


@pytest.fixture
def location(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def cache(location: Path) -> HostCache:
    return make(location)


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    """A test's file goes with its folder."""
    yield
    host_cache.forget()


def make(location: Path, **params: Any) -> HostCache:
    return HostCache(str(location), {"OPTIONS": {"SIZE": SIZE}, **params})


def file_of(location: Path) -> Path:
    [file] = location.glob("*/data.mdb")
    return file


def entries(cache: HostCache) -> int:
    count: int = host_cache._files[cache._folder].env.stat()["entries"]
    return count


# As Django knows it


@pytest.mark.parametrize(
    "value", [b"", b"\x00\xff" * 700, "", "请问", 0, 1.5, None, True, {"a": [1]}, bytearray(b"ab")]
)
def test_value__comes_back_as_it_was(cache: HostCache, value: Any) -> None:
    cache.set("key", value)

    assert cache.get("key", "nothing") == value
    assert type(cache.get("key")) is type(value)
    assert "key" in cache


def test_nothing__is_the_default(cache: HostCache) -> None:
    assert cache.get("key") is None
    assert cache.get("key", "default") == "default"
    assert "key" not in cache


def test_add__is_for_the_first(cache: HostCache) -> None:
    assert cache.add("key", None) is True
    assert cache.add("key", "two") is False
    assert cache.get("key", "nothing") is None


def test_delete__says_whether_there_was_something(cache: HostCache) -> None:
    cache.set("key", 1)
    cache.set("dead", 1, 0.01)
    time.sleep(0.02)

    assert [cache.delete(key) for key in ("key", "key", "dead")] == [True, False, False]
    assert cache.add("key", 2) is True


def test_time_that_is_over__ends_it(cache: HostCache) -> None:
    cache.set("key", 1, 0.05)
    cache.add("other", 1, 0.05)
    assert cache.get_many(["key", "other"]) == {"key": 1, "other": 1}
    time.sleep(0.06)

    assert cache.get("key") is None
    assert "key" not in cache
    assert cache.get_many(["key", "other"]) == {}
    assert cache.touch("key") is False
    assert cache.add("key", 2) is True
    with pytest.raises(ValueError, match="not found"):
        cache.incr("other")


@pytest.mark.parametrize("timeout", [0, -1])
def test_no_time__keeps_nothing(cache: HostCache, timeout: int) -> None:
    cache.set("key", 1)
    cache.set("key", 2, timeout)
    assert cache.add("other", 1, timeout) is True
    assert cache.set_many({"third": 1}, timeout) == []

    assert cache.get_many(["key", "other", "third"]) == {}
    assert entries(cache) == 0


def test_time__is_the_caches_unless_said(location: Path) -> None:
    short = make(location, TIMEOUT=0.01)  # which Django makes a whole number of
    short.set("key", 1)
    assert short.get("key") is None

    endless = make(location, TIMEOUT=None)
    endless.set("key", 1)
    endless.set("other", 1, None)
    assert endless.get_many(["key", "other"]) == {"key": 1, "other": 1}


def test_touch__gives_it_another_time(cache: HostCache) -> None:
    cache.set("key", {"a": 1}, 0.05)
    cache.set("other", b"1", None)
    assert cache.touch("key", 60) is True
    assert cache.touch("other", 0.05) is True
    assert cache.touch("nothing") is False
    time.sleep(0.06)

    assert cache.get_many(["key", "other"]) == {"key": {"a": 1}}
    assert cache.touch("key", 0) is True
    assert cache.get("key") is None


def test_counting__keeps_the_time(cache: HostCache) -> None:
    cache.set("key", 1, 0.1)

    assert [cache.incr("key"), cache.incr("key", 5), cache.decr("key")] == [2, 7, 6]
    assert cache.get("key") == 6
    time.sleep(0.11)
    assert cache.get("key") is None


def test_counting_what_is_no_number__changes_nothing(cache: HostCache) -> None:
    cache.set("key", "one")
    with pytest.raises(TypeError):
        cache.incr("key")
    with pytest.raises(ValueError, match="'other' not found"):
        cache.incr("other")
    assert cache.get("key") == "one"


def test_many_at_once(cache: HostCache) -> None:
    assert cache.set_many({"a": 1, "b": b"2", "c": None}) == []
    assert cache.get_many(["a", "b", "c", "d"]) == {"a": 1, "b": b"2", "c": None}
    cache.delete_many(["a", "b", "d"])
    assert cache.get_many(["a", "b", "c"]) == {"c": None}
    cache.clear()
    assert entries(cache) == 0


def test_versions_and_prefixes__are_worlds_of_their_own(location: Path) -> None:
    one, other = make(location), make(location, KEY_PREFIX="other")
    one.set("key", 1)
    one.set("key", 2, version=2)
    other.set("key", 3)

    assert [one.get("key"), one.get("key", version=2), other.get("key")] == [1, 2, 3]
    assert one.incr_version("key", 4) == 5
    assert [one.get("key"), one.get("key", version=5), other.get("key")] == [None, 1, 3]


def test_get_or_set__asks_once(cache: HostCache) -> None:
    assert cache.get_or_set("key", lambda: "made") == "made"
    assert cache.get_or_set("key", "again") == "made"


@pytest.mark.parametrize("key", ["with space", "k" * 251, "line\nend"])
def test_key_that_another_cache_would_refuse__is_warned_of_and_works(cache: HostCache, key: str) -> None:
    with pytest.warns(CacheKeyWarning):
        cache.set(key, 1)
    with pytest.warns(CacheKeyWarning):
        assert cache.get(key) == 1
    with pytest.warns(CacheKeyWarning):
        assert cache.get(key + "x") is None


def test_key_in_any_language__is_no_reason_for_a_warning(cache: HostCache) -> None:
    cache.set("客服", 1)
    assert cache.get("客服") == 1


def test_value_that_cannot_be_stored__leaves_what_was_there(cache: HostCache) -> None:
    cache.set("key", "before")
    with pytest.raises((AttributeError, TypeError, Exception), match=r"pickle|lambda"):
        cache.set("key", lambda: 1)
    assert cache.get("key") == "before"


def test_asynchronous_site__has_it_too(cache: HostCache) -> None:
    async def use() -> list[Any]:
        await cache.aset("key", 1)
        return [await cache.aadd("key", 2), await cache.aincr("key"), await cache.aget("key")]

    assert async_to_sync(use)() == [False, 2, 2]


def test_threads__race_for_it_too(cache: HostCache) -> None:
    won: list[int] = []

    def race() -> None:
        won.extend(number for number in range(200) if cache.add(f"key-{number}", 1))

    threads = [threading.Thread(target=race) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(won) == list(range(200))


def test_settings__name_it(settings: Any, location: Path) -> None:
    settings.CACHES = {
        "default": {"BACKEND": "wechat_open.contrib.host_cache.HostCache", "LOCATION": str(location)},
        "same": {"BACKEND": "wechat_open.contrib.host_cache.HostCache", "LOCATION": f"{location}/"},
    }
    caches["default"].set("key", 1)
    assert caches["same"].get("key") == 1
    assert file_of(location).stat().st_size == host_cache.SIZE


@pytest.mark.parametrize(
    ("location", "size"), [("", SIZE), ("cache", SIZE), ("/nowhere", 1000), ("/nowhere", "64"), ("/nowhere", None)]
)
def test_cache_that_cannot_be__is_refused(location: str, size: Any) -> None:
    with pytest.raises(ImproperlyConfigured):
        HostCache(location, {"OPTIONS": {"SIZE": size}})


# No larger than it may be


def test_memory_that_is_full__drops_what_would_have_expired_first(cache: HostCache, location: Path) -> None:
    cache.set_many({f"lasting-{number}": b"x" * 300 for number in range(100)}, 10 * 60 * 60)
    for number in range(15_000):
        cache.set(f"key-{number}", b"x" * 900, 60 + number / 1000)

    assert file_of(location).stat().st_size == SIZE
    newest = cache.get_many([f"key-{number}" for number in range(14_500, 15_000)])
    assert len(newest) > 490
    assert len(cache.get_many([f"lasting-{number}" for number in range(100)])) > 95
    assert len(cache.get_many([f"key-{number}" for number in range(5000)])) < 50


def test_memory_that_is_full__takes_values_of_any_size(cache: HostCache) -> None:
    dice = random.Random(7)
    for number in range(3000):
        size = dice.choice((0, 10, 500, 3000, 50_000, 200_000))
        cache.set(f"key-{number}", b"x" * size)
        kept = cache.get(f"key-{number}")
        assert kept == b"x" * size or (kept is None and size > 3000)
    assert entries(cache) > 10


def test_what_has_expired__makes_room(cache: HostCache) -> None:
    for number in range(3000):
        cache.set(f"dead-{number}", b"x", 0.001)
    for number in range(3000):
        cache.set(f"key-{number}", b"x", 60)

    assert len(cache.get_many([f"key-{number}" for number in range(3000)])) == 3000
    assert entries(cache) < 4500


def test_value_that_is_too_large__is_not_kept_and_no_older_one_instead(cache: HostCache) -> None:
    cache.set("key", b"small")
    cache.set("key", b"x" * (SIZE // 10))
    assert cache.get("key") is None
    assert cache.add("other", b"x" * SIZE) is True
    assert cache.get("other") is None


# Several processes

Start = Callable[[str], subprocess.Popen[str]]


@pytest.fixture
def start(location: Path) -> Iterator[Start]:
    """Another process that does it."""
    started: list[subprocess.Popen[str]] = []

    def begin(job: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.contrib.host_cache_process", job, str(location)],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield begin
    for process in started:
        process.kill()
        process.communicate()


def said(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def let_go(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("go\n")
    process.stdin.flush()


def results(processes: list[subprocess.Popen[str]]) -> list[Any]:
    """What came of it, after all began at one moment."""
    assert [said(process) for process in processes] == ["ready"] * len(processes)
    for process in processes:
        let_go(process)
    return [json.loads(said(process)) for process in processes]


def test_processes_that_add_the_same__succeed_once(start: Start) -> None:
    won = results([start("add_all") for _ in range(4)])

    assert sorted(number for numbers in won for number in numbers) == list(range(KEYS))


def test_processes_that_count__lose_nothing(start: Start, cache: HostCache) -> None:
    cache.set("counter", 0)
    results([start("count_up") for _ in range(3)])

    assert cache.get("counter") == 3 * KEYS


def test_processes_that_are_killed_while_they_write__leave_it_whole_and_free(start: Start, cache: HostCache) -> None:
    for number in range(4):
        writers = [start("write_for_ever") for _ in range(2)]
        assert [said(writer) for writer in writers] == ["ready"] * 2
        time.sleep(0.05 + number / 50)
        for writer in writers:
            writer.send_signal(signal.SIGKILL)
        for writer in writers:
            writer.wait(10)

        started_at = time.monotonic()
        assert cache.add(f"after-{number}", 1) is True
        assert time.monotonic() - started_at < 1
        values = cache.get_many([f"name-{name}" for name in range(NAMES)])
        assert all(is_whole(value) for value in values.values())
    assert cache.get_many([f"after-{number}" for number in range(4)]) == {f"after-{number}": 1 for number in range(4)}


def test_reader_that_was_killed__does_not_hold_the_memory(start: Start, cache: HostCache) -> None:
    reader = start("read_for_ever")
    assert said(reader).startswith("read")
    reader.kill()
    reader.wait(10)

    for number in range(15_000):
        cache.set(f"key-{number}", b"x" * 900)
    assert cache.get("key-14999") == b"x" * 900


def test_reader_that_stands_still__makes_it_a_cache_that_is_down_until_it_ends(
    start: Start, location: Path, settings: Any
) -> None:
    settings.CACHES = {
        "default": {
            "BACKEND": "wechat_open.contrib.host_cache.HostCache",
            "LOCATION": str(location),
            "OPTIONS": {"SIZE": SIZE},
        }
    }
    reader = start("read_for_ever")
    assert said(reader).startswith("read")

    results = [shared_cache.add(f"key-{number}", b"x" * 900, 60) for number in range(15_000)]
    assert results[:100] == [True] * 100
    assert results[-1] is None

    reader.kill()
    reader.wait(10)
    shared_cache._failed_at.clear()
    assert shared_cache.add("key", b"x", 60) is True


def test_forks__share_it_without_harm(start: Start) -> None:
    seen = json.loads(said(start("fork_in_the_midst_of_it")))

    assert seen == {"ended": [0] * 30, "first": [0], "kept": 0, "after": "all"}


# The file


def test_file__is_its_owners_alone(cache: HostCache, location: Path) -> None:
    cache.set("key", 1)

    modes = [stat.S_IMODE(path.stat().st_mode) for path in (location, *location.glob("*"), *location.glob("*/*"))]
    assert modes == [0o700, 0o700, 0o600, 0o600]


def test_folder_that_others_may_write_to__is_not_used(cache: HostCache, location: Path) -> None:
    location.mkdir()
    location.chmod(0o770)
    with pytest.raises(PermissionError, match="must belong to the user of this process"):
        cache.get("key")


def test_folder_of_another_user__is_not_used(cache: HostCache, location: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    location.mkdir()
    monkeypatch.setattr(os, "geteuid", lambda: location.stat().st_uid + 1)
    with pytest.raises(PermissionError, match="must belong to the user of this process"):
        cache.get("key")


def test_file_that_was_removed__is_created_again(
    start: Start, cache: HostCache, location: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host_cache, "RECHECK_AFTER", 0.1)
    cache.set("key", "old")
    other = start("get_and_stay")
    said(other)
    let_go(other)
    assert json.loads(said(other)) == "old"

    file_of(location).unlink()
    time.sleep(0.15)
    assert cache.get("key") is None
    cache.set("key", "new")
    let_go(other)
    assert json.loads(said(other)) == "new"


def test_lock_that_was_removed__takes_the_file_with_it(
    start: Start, cache: HostCache, location: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A new lock would not keep away those who hold the old one."""
    monkeypatch.setattr(host_cache, "RECHECK_AFTER", 0.1)
    cache.set("key", "old")
    other = start("get_and_stay")
    said(other)
    (file_of(location).parent / "lock.mdb").unlink()
    time.sleep(0.15)

    let_go(other)
    assert json.loads(said(other)) is None
    cache.set("key", "new")
    let_go(other)
    assert json.loads(said(other)) == "new"


def test_file_of_another_boot__is_never_read(cache: HostCache, location: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache.set("key", "before the crash")
    before = file_of(location)
    boot = location.parent / "boot_id"
    boot.write_text("another\n")
    monkeypatch.setattr(host_cache, "_BOOT", boot)
    monkeypatch.setattr(host_cache, "RECHECK_AFTER", 0.0)

    assert cache.get("key") is None
    assert file_of(location).parent.name.endswith("boot-another")
    assert not before.exists()


def test_file_of_another_release__is_left_to_it(
    cache: HostCache, location: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While a site is deployed, both are at work."""
    cache.set("key", "old release")
    monkeypatch.setattr(host_cache, "LAYOUT", 2)
    monkeypatch.setattr(host_cache, "RECHECK_AFTER", 0.0)

    assert cache.get("key") is None
    monkeypatch.setattr(host_cache, "LAYOUT", 1)
    assert cache.get("key") == "old release"


def test_file_that_was_not_finished__is_created_again(cache: HostCache, location: Path) -> None:
    unfinished = Path(f"{host_cache._path(str(location))}-unfinished")
    unfinished.mkdir(parents=True)
    location.chmod(0o700)
    (unfinished / "data.mdb").write_bytes(b"half")

    cache.set("key", 1)
    assert cache.get("key") == 1
    assert not unfinished.exists()


def test_system_without_boots__has_one_file(cache: HostCache, location: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_cache, "_BOOT", location / "nothing")
    cache.set("key", 1)
    assert file_of(location).parent.name == "layout-1-boot-any"


def test_size__is_the_one_it_was_made_with(cache: HostCache, location: Path) -> None:
    cache.set("key", 1)
    host_cache.forget()

    larger = HostCache(str(location), {"OPTIONS": {"SIZE": 4 * SIZE}})
    assert larger.get("key") == 1
    assert file_of(location).stat().st_size == SIZE


def test_disk_without_room__is_found_before_anything_is_written(
    cache: HostCache, location: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_room(*_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "posix_fallocate", no_room)
        with pytest.raises(OSError, match="No space left"):
            cache.get("key")
        assert list(location.glob("*")) == []
    cache.set("key", 1)
    assert cache.get("key") == 1


def test_making_that_does_not_end__is_not_waited_for(
    cache: HostCache, location: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host_cache, "LOCK_TIMEOUT", 0.05)
    location.mkdir(mode=0o700)
    other = os.open(location, os.O_RDONLY)
    try:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(BlockingIOError):
            cache.get("key")
    finally:
        os.close(other)
    assert cache.get("key") is None


@pytest.mark.parametrize("spoil", ["rubbish", "nothing-there", "no-folder"])
def test_location_that_is_of_no_use__is_a_cache_that_is_down(spoil: str, location: Path, settings: Any) -> None:
    settings.CACHES = {"default": {"BACKEND": "wechat_open.contrib.host_cache.HostCache", "LOCATION": str(location)}}
    if spoil == "rubbish":
        folder = host_cache._path(str(location))
        folder.mkdir(parents=True)
        location.chmod(0o700)
        (folder / "data.mdb").write_bytes(random.randbytes(SIZE))
        (folder / "lock.mdb").write_bytes(b"")
        with pytest.raises(lmdb.Error):
            caches["default"].get("key")
    elif spoil == "nothing-there":
        settings.CACHES["default"]["LOCATION"] = "/proc/nowhere"
    else:
        location.write_text("a file")

    assert shared_cache.add("key", b"x", 60) is None
    assert shared_cache.attempt(lambda cache: cache.get("key"), "otherwise") == "otherwise"

"""How do the processes of one host share a cache without asking a server?

A backend for CACHES. Its memory is a file that all of them have mapped; LMDB keeps it in order. An answer takes a few
microseconds, while a question to Redis costs a message the time in which it could have been handled. Several hosts need
Redis: each would have a memory of its own here. Linux only, where a process that is killed in the middle of a change
leaves nothing locked.

::

    CACHES = {
        "host": {
            "BACKEND": "wechat_open.host_cache.HostCache",
            "LOCATION": "/dev/shm/my-site",  # a directory of our own
            "OPTIONS": {"SIZE": 256 * 2**20},  # bytes; taken at once, never more
        }
    }

Rules of the file:

* It belongs to one user, whose processes see each other's ids; whoever could write it could run code in the site.
* It is of one boot of the machine, because it is never synced: after a crash it would be rubbish, and LMDB believes it.
* Its space is allocated before anybody maps it. Otherwise a full disk would kill the process that writes.
* A process opens it once and not across a fork, and looks now and then whether it is still the one in the directory.
* One that is full drops what would have expired first. Each change removes what it sees to have expired near by; the
  keys are digests, so near by is anywhere.
"""

from __future__ import annotations

import math
import os
import pickle
import re
import shutil
import stat
import struct
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from hashlib import blake2b
from mmap import PAGESIZE
from pathlib import Path
from typing import Any, TypeVar

import lmdb

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

from django.core.cache.backends.base import DEFAULT_TIMEOUT, BaseCache
from django.core.exceptions import ImproperlyConfigured

SIZE = 32 * 2**20
"""Bytes, if SIZE says nothing: a container often has no more than 64 MB of shared memory."""

SMALLEST = 2**20

FULL = 0.75
"""The share of pages that may hold values. A change is written beside what it replaces, and needs room for that."""

LARGEST = 1 / 16
"""A value that would take more than this share of the memory is never kept."""

TIDIED = 8
"""One change of so many looks for values that have expired."""

LOOKED_AT = 16
"""At how many: two for each change, so that few dead ones remain."""

READERS = 1024
"""Threads of all processes that may read at one moment."""

LOOK_AGAIN = 1.0
"""Seconds after which a process looks again whether its file is still in the directory."""

PATIENCE = 2.0
"""Seconds to wait while another process makes the file."""

LAYOUT = 1
"""Of a value: changes with any change of it, so that two releases never read each other's."""

_PLAIN = re.compile(r"[!-~]{1,250}")
"""A key that any cache would take."""

_BOOT = Path("/proc/sys/kernel/random/boot_id")

_HEAD = struct.Struct("<dB")
"""When it expires, by the clock; and whether the rest is bytes as they are, or a pickle."""
_AS_IT_IS, _PICKLED = 0, 1

_T = TypeVar("_T")


class HostCache(BaseCache):
    """A cache in a file that all processes of this host share."""

    def __init__(self, location: str, params: dict[str, Any]) -> None:
        super().__init__(params)
        if fcntl is None:
            raise ImproperlyConfigured("HostCache needs Linux or another Unix; on Windows, name a Redis in CACHES.")
        options = params.get("OPTIONS") or {}
        size = options.get("SIZE", SIZE)
        if not location or not Path(location).is_absolute():
            raise ImproperlyConfigured("The LOCATION of a HostCache must be the path of a directory of its own.")
        if not isinstance(size, int) or size < SMALLEST:
            raise ImproperlyConfigured(f"The SIZE of a HostCache must be a number of bytes, at least {SMALLEST}.")
        self._folder = os.path.realpath(location)
        self._size = size // PAGESIZE * PAGESIZE

    def add(self, key: Any, value: Any, timeout: float | None = DEFAULT_TIMEOUT, version: int | None = None) -> bool:
        at, record = self._at(key, version), self._record(value, timeout)
        return self._change(lambda change: change.add(at, record))

    def get(self, key: Any, default: Any | None = None, version: int | None = None) -> Any:
        at = self._at(key, version)
        record = self._read(lambda txn: txn.get(at))
        return default if record is None or _has_expired(record) else _value(record)

    def set(self, key: Any, value: Any, timeout: float | None = DEFAULT_TIMEOUT, version: int | None = None) -> None:
        at, record = self._at(key, version), self._record(value, timeout)
        self._change(lambda change: change.keep(at, record))

    def touch(self, key: Any, timeout: float | None = DEFAULT_TIMEOUT, version: int | None = None) -> bool:
        at, expires_at = self._at(key, version), self._expiry(timeout)

        def deed(change: _Change) -> bool:
            record = change.get(at)
            if record is None:
                return False
            change.keep(at, _HEAD.pack(expires_at, _kind_of(record)) + record[_HEAD.size :])
            return True

        return self._change(deed)

    def delete(self, key: Any, version: int | None = None) -> bool:
        at = self._at(key, version)

        def deed(change: _Change) -> bool:
            lived = change.get(at) is not None
            change.remove(at)
            return lived

        return self._change(deed)

    def has_key(self, key: Any, version: int | None = None) -> bool:
        at = self._at(key, version)
        record = self._read(lambda txn: txn.get(at))
        return record is not None and not _has_expired(record)

    def incr(self, key: Any, delta: int = 1, version: int | None = None) -> int:
        at = self._at(key, version)

        def deed(change: _Change) -> int:
            record = change.get(at)
            if record is None:
                raise ValueError(f"Key {key!r} not found")
            changed: int = _value(record) + delta
            change.keep(at, _pack(changed, _expiry_of(record)))
            return changed

        return self._change(deed)

    def get_many(self, keys: Iterable[Any], version: int | None = None) -> dict[Any, Any]:
        wanted = {key: self._at(key, version) for key in keys}
        records = self._read(lambda txn: {key: txn.get(at) for key, at in wanted.items()})
        return {key: _value(record) for key, record in records.items() if record and not _has_expired(record)}

    def set_many(
        self, data: dict[Any, Any], timeout: float | None = DEFAULT_TIMEOUT, version: int | None = None
    ) -> list[Any]:
        records = [(self._at(key, version), self._record(value, timeout)) for key, value in data.items()]

        def deed(change: _Change) -> None:
            for at, record in records:
                change.keep(at, record)

        self._change(deed)
        return []

    def delete_many(self, keys: Iterable[Any], version: int | None = None) -> None:
        places = [self._at(key, version) for key in keys]

        def deed(change: _Change) -> None:
            for at in places:
                change.remove(at)

        self._change(deed)

    def clear(self) -> None:
        self._change(_Change.remove_all)

    def validate_key(self, key: Any) -> None:
        """As Django does it, unless a look shows that there is nothing to warn of."""
        if not _PLAIN.fullmatch(key):
            super().validate_key(key)

    def _at(self, key: Any, version: int | None) -> bytes:
        """Where it is kept: LMDB's keys are short, and a digest lies anywhere among the others."""
        return blake2b(self.make_and_validate_key(key, version).encode(), digest_size=16).digest()

    def _record(self, value: Any, timeout: float | None) -> bytes:
        return _pack(value, self._expiry(timeout))

    def _expiry(self, timeout: float | None) -> float:
        expires_at = self.get_backend_timeout(timeout)
        return math.inf if expires_at is None else expires_at

    def _read(self, question: Callable[[lmdb.Transaction[bytes]], _T]) -> _T:
        with _lock:
            return _asked(_opened(self._folder, self._size), question)

    def _change(self, deed: Callable[[_Change], _T]) -> _T:
        """All of the deed or nothing of it, and no other process in between."""
        with _lock:
            file = _opened(self._folder, self._size)
            largest = int(file.size * LARGEST)
            try:
                return _changed(file, deed, largest)
            except lmdb.MapFullError:
                # What readers see is not overwritten, and one that was killed seems to be reading for ever.
                file.env.reader_check()
            try:
                return _changed(file, deed, largest)
            except lmdb.MapFullError:
                # There are pages, but there may be no row of them, which a value of many pages needs.
                return _changed(file, deed, file.page)


# Their transactions are gone when they return, and so before a process can fork.


def _asked(file: _File, question: Callable[[lmdb.Transaction[bytes]], _T]) -> _T:
    with file.env.begin() as txn:
        return question(txn)


def _changed(file: _File, deed: Callable[[_Change], _T], largest: int) -> _T:
    with file.env.begin(write=True) as txn:
        return deed(_Change(txn, file, largest))


# A value


def _pack(value: Any, expires_at: float) -> bytes:
    if type(value) is bytes:
        return _HEAD.pack(expires_at, _AS_IT_IS) + value
    return _HEAD.pack(expires_at, _PICKLED) + pickle.dumps(value, pickle.HIGHEST_PROTOCOL)


def _value(record: bytes) -> Any:
    content = record[_HEAD.size :]
    return content if _kind_of(record) == _AS_IT_IS else pickle.loads(content)  # noqa: S301  # nobody else writes it


def _kind_of(record: bytes) -> int:
    return record[_HEAD.size - 1]


def _expiry_of(record: bytes) -> float:
    expires_at: float = _HEAD.unpack_from(record)[0]
    return expires_at


def _has_expired(record: bytes) -> bool:
    return _expiry_of(record) <= time.time()


class _Change:
    """A change in the making, which no other process sees yet."""

    def __init__(self, txn: lmdb.Transaction[bytes], file: _File, largest: int) -> None:
        self._txn = txn
        self._file = file
        self._largest = largest
        """Bytes; a value that has more is not kept."""

    def get(self, at: bytes) -> bytes | None:
        """What is there and has not expired."""
        record = self._txn.get(at)
        return None if record is None or _has_expired(record) else record

    def remove(self, at: bytes) -> None:
        self._txn.delete(at)

    def remove_all(self) -> None:
        self._txn.drop(self._file.everything, delete=False)

    def add(self, at: bytes, record: bytes) -> bool:
        if self.get(at) is not None:
            return False
        self.keep(at, record)
        return True

    def keep(self, at: bytes, record: bytes) -> None:
        if _has_expired(record) or len(record) > self._largest:
            return self.remove(at)
        self._txn.put(at, record)
        # Not each time, which would cost more than the change. Digests are as good as dice.
        if at[-1] % TIDIED == 0 or len(record) > self._file.page:
            self._tidy(at, record)
        return None

    def _tidy(self, kept: bytes, record: bytes) -> None:
        with self._txn.cursor() as cursor:
            cursor.set_key(kept)
            if not self._is_full():
                _remove_expired(cursor, kept)
                return
            # Twice what came, or it would grow further: a page is given back when most of it is empty.
            wanted = 2 * max(len(record), TIDIED * self._file.page // 4)
            while wanted > 0:
                gone, others = _remove_expired(cursor, kept)
                for _, at, length in sorted(others)[: LOOKED_AT // 8]:
                    self.remove(at)
                    gone += length
                if not gone:  # it has been round
                    return
                wanted -= gone

    def _is_full(self) -> bool:
        used = self._txn.stat()
        pages = used["branch_pages"] + used["leaf_pages"] + used["overflow_pages"]
        return pages * self._file.page > self._file.size * FULL


def _remove_expired(cursor: lmdb.Cursor[bytes], kept: bytes) -> tuple[int, list[tuple[float, bytes, int]]]:
    """Look at the next few, up to the one that was just kept: the length of what was removed, and the others."""
    now = time.time()
    gone = 0
    others: list[tuple[float, bytes, int]] = []
    _ = cursor.next() or cursor.first()
    for _ in range(LOOKED_AT):
        at, record = cursor.item()
        if at == kept:
            break
        expires_at = _expiry_of(record)
        if expires_at > now:
            others.append((expires_at, at, len(record)))
            _ = cursor.next() or cursor.first()
        else:
            gone += len(record)
            cursor.delete()  # and it is at the next one, or behind the last
            _ = cursor.key() or cursor.first()
    return gone, others


# The file


@dataclass(frozen=True)
class _File:
    """What this process has opened, and which files those are."""

    env: lmdb.Environment
    identity: tuple[tuple[int, int], ...]
    everything: Any
    """LMDB's name for all that is in it."""
    size: int
    page: int


_lock = threading.Lock()
"""Held by whoever reads or changes, so that nobody forks or opens meanwhile."""

_files: dict[str, _File] = {}
_looked_at: dict[str, float] = {}


def forget() -> None:
    """Have nothing open, for tests."""
    with _lock:
        _close_all()


def _close_all() -> None:
    for file in _files.values():
        file.env.close()
    _files.clear()


def _in_child() -> None:
    """A forked process has no part in its parent's transactions, and opens the file anew."""
    try:
        _close_all()
    finally:
        _lock.release()


if hasattr(os, "register_at_fork"):  # Windows has no fork
    os.register_at_fork(before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_in_child)


def _opened(folder: str, size: int) -> _File:
    """The file, which is opened at first and whenever somebody has removed it."""
    now = time.monotonic()
    file = _files.get(folder)
    if file is not None and now - _looked_at[folder] < LOOK_AGAIN:
        return file
    path = _path(folder)
    if file is not None and file.identity != _identity(path):
        del _files[folder]
        file.env.close()
        file = None
    if file is None:
        file = _files[folder] = _open(folder, path, size)
    _looked_at[folder] = now
    return file


def _path(folder: str) -> Path:
    try:
        boot = _BOOT.read_text().strip()
    except OSError:
        boot = "any"
    return Path(folder, f"layout-{LAYOUT}-boot-{boot}")


def _identity(path: Path) -> tuple[tuple[int, int], ...]:
    """Which files those are; nothing if one is missing."""
    try:
        found = [(path / name).stat() for name in ("data.mdb", "lock.mdb")]
    except FileNotFoundError:
        return ()
    return tuple((one.st_dev, one.st_ino) for one in found)


def _open(folder: str, path: Path, size: int) -> _File:
    Path(folder).mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _require_ours(folder, os.fstat(descriptor))
        _wait_for(descriptor)
        if not _identity(path):
            _make(folder, path, size)
        size = (path / "data.mdb").stat().st_size  # whatever it was made with
        env = _map(path, size)
        return _File(env, _identity(path), env.open_db(), size, env.stat()["psize"])
    finally:
        os.close(descriptor)


def _require_ours(folder: str, found: os.stat_result) -> None:
    if found.st_uid != os.geteuid() or found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise PermissionError(f"{folder} must belong to the user of this process, and nobody else may write to it.")


def _wait_for(descriptor: int) -> None:
    """One process at a time opens or makes the file; the lock goes with the descriptor, or with the process."""
    ends_at = time.monotonic() + PATIENCE
    while True:
        try:
            return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > ends_at:
                raise
            time.sleep(0.01)


def _make(folder: str, path: Path, size: int) -> None:
    """A new one, whole before it has its name."""
    boot = path.name.partition("-boot-")[2]
    for left in Path(folder).glob("layout-*"):
        # Of another boot, unfinished, or without its lock. Another release of ours may be at work beside this one.
        if left == path or left.name.partition("-boot-")[2] != boot:
            shutil.rmtree(left)
    unfinished = path.with_name(f"{path.name}-unfinished")
    _map(unfinished, size).close()
    data = os.open(unfinished / "data.mdb", os.O_RDWR | os.O_CLOEXEC)
    try:
        os.posix_fallocate(data, 0, size)
    except OSError:
        with suppress(OSError):
            shutil.rmtree(unfinished)
        raise
    finally:
        os.close(data)
    unfinished.rename(path)


def _map(path: Path, size: int) -> lmdb.Environment:
    path.mkdir(mode=0o700, exist_ok=True)
    return lmdb.open(
        str(path),
        map_size=size,
        max_readers=READERS,
        mode=0o600,
        # The kernel has what was written, and a file of another boot is never read.
        sync=False,
        metasync=False,
        writemap=True,
        map_async=True,
        readahead=False,
    )

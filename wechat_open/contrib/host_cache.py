"""A cache backend that the processes of one host share without a server.

Its storage is a file that every process maps into memory; LMDB manages it. A lookup takes a few microseconds, less than
a round trip to Redis. Several hosts need Redis, because this cache is separate on each host. Linux only, where a
process that is killed in the middle of a change leaves no lock behind.

::

    CACHES = {
        "host": {
            "BACKEND": "wechat_open.contrib.host_cache.HostCache",
            "LOCATION": "/dev/shm/my-site",  # a directory of its own
            "OPTIONS": {"SIZE": 256 * 2**20},  # bytes; allocated at once, never more
        }
    }

Rules of the file:

* It belongs to one user, whose processes see each other's ids: write access to it is the right to run code in the site.
* It is of one boot of the machine, because it is never synced: after a crash its content is undefined.
* Its space is allocated before it is mapped. Otherwise a full disk would kill the process that writes.
* A process opens it once and not across a fork, and checks now and then that it is still the file in the directory.
* A full one drops the values that would expire first. Each change removes expired values among the next few keys; keys
  are digests, so these are a random sample.
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

__all__ = ["HostCache"]

SIZE = 32 * 2**20
"""Default size in bytes: a container often has no more than 64 MB of shared memory."""

SMALLEST = 2**20

FULL = 0.75
"""The share of pages that may hold values. A change is written beside the page that it replaces, which needs space."""

LARGEST = 1 / 16
"""A value that would take more than this share of the file is never stored."""

TIDY_EVERY = 8
"""One change of so many removes expired values."""

EXAMINED = 16
"""How many values it examines: two for each change, so that few expired ones remain."""

READERS = 1024
"""Threads of all processes that may read at the same time."""

RECHECK_AFTER = 1.0
"""Seconds after which a process checks again that its file is still in the directory."""

LOCK_TIMEOUT = 2.0
"""Seconds to wait while another process creates the file."""

LAYOUT = 1
"""Version of the layout of values: two releases with different layouts never read each other's values."""

_PLAIN = re.compile(r"[!-~]{1,250}")
"""A key that every cache accepts."""

_BOOT = Path("/proc/sys/kernel/random/boot_id")

_HEAD = struct.Struct("<dB")
"""Time of expiry, and whether the rest is raw bytes or a pickle."""
_RAW, _PICKLED = 0, 1

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

        def update(change: _Change) -> bool:
            record = change.get(at)
            if record is None:
                return False
            change.keep(at, _HEAD.pack(expires_at, _kind_of(record)) + record[_HEAD.size :])
            return True

        return self._change(update)

    def delete(self, key: Any, version: int | None = None) -> bool:
        at = self._at(key, version)

        def update(change: _Change) -> bool:
            lived = change.get(at) is not None
            change.remove(at)
            return lived

        return self._change(update)

    def has_key(self, key: Any, version: int | None = None) -> bool:
        at = self._at(key, version)
        record = self._read(lambda txn: txn.get(at))
        return record is not None and not _has_expired(record)

    def incr(self, key: Any, delta: int = 1, version: int | None = None) -> int:
        at = self._at(key, version)

        def update(change: _Change) -> int:
            record = change.get(at)
            if record is None:
                raise ValueError(f"Key {key!r} not found")
            changed: int = _value(record) + delta
            change.keep(at, _pack(changed, _expiry_of(record)))
            return changed

        return self._change(update)

    def get_many(self, keys: Iterable[Any], version: int | None = None) -> dict[Any, Any]:
        wanted = {key: self._at(key, version) for key in keys}
        records = self._read(lambda txn: {key: txn.get(at) for key, at in wanted.items()})
        return {key: _value(record) for key, record in records.items() if record and not _has_expired(record)}

    def set_many(
        self, data: dict[Any, Any], timeout: float | None = DEFAULT_TIMEOUT, version: int | None = None
    ) -> list[Any]:
        records = [(self._at(key, version), self._record(value, timeout)) for key, value in data.items()]

        def update(change: _Change) -> None:
            for at, record in records:
                change.keep(at, record)

        self._change(update)
        return []

    def delete_many(self, keys: Iterable[Any], version: int | None = None) -> None:
        places = [self._at(key, version) for key in keys]

        def update(change: _Change) -> None:
            for at in places:
                change.remove(at)

        self._change(update)

    def clear(self) -> None:
        self._change(_Change.remove_all)

    def validate_key(self, key: Any) -> None:
        """Django's validation, skipped for keys that need no warning."""
        if not _PLAIN.fullmatch(key):
            super().validate_key(key)

    def _at(self, key: Any, version: int | None) -> bytes:
        """The key in LMDB: LMDB's keys are short, and digests are spread evenly."""
        return blake2b(self.make_and_validate_key(key, version).encode(), digest_size=16).digest()

    def _record(self, value: Any, timeout: float | None) -> bytes:
        return _pack(value, self._expiry(timeout))

    def _expiry(self, timeout: float | None) -> float:
        expires_at = self.get_backend_timeout(timeout)
        return math.inf if expires_at is None else expires_at

    def _read(self, query: Callable[[lmdb.Transaction[bytes]], _T]) -> _T:
        with _lock:
            return _queried(_opened(self._folder, self._size), query)

    def _change(self, update: Callable[[_Change], _T]) -> _T:
        """Apply the whole update or nothing of it, isolated from other processes."""
        with _lock:
            file = _opened(self._folder, self._size)
            largest = int(file.size * LARGEST)
            try:
                return _changed(file, update, largest)
            except lmdb.MapFullError:
                # Pages that readers use are not overwritten, and a killed reader seems to read for ever.
                file.env.reader_check()
            try:
                return _changed(file, update, largest)
            except lmdb.MapFullError:
                # Pages are free, but perhaps not enough consecutive ones for a value of many pages.
                return _changed(file, update, file.page)


# Transactions end before these return, and so before a process can fork.


def _queried(file: _File, query: Callable[[lmdb.Transaction[bytes]], _T]) -> _T:
    with file.env.begin() as txn:
        return query(txn)


def _changed(file: _File, update: Callable[[_Change], _T], largest: int) -> _T:
    with file.env.begin(write=True) as txn:
        return update(_Change(txn, file, largest))


# A value


def _pack(value: Any, expires_at: float) -> bytes:
    if type(value) is bytes:
        return _HEAD.pack(expires_at, _RAW) + value
    return _HEAD.pack(expires_at, _PICKLED) + pickle.dumps(value, pickle.HIGHEST_PROTOCOL)


def _value(record: bytes) -> Any:
    content = record[_HEAD.size :]
    return content if _kind_of(record) == _RAW else pickle.loads(content)  # noqa: S301  # only this user can write it


def _kind_of(record: bytes) -> int:
    return record[_HEAD.size - 1]


def _expiry_of(record: bytes) -> float:
    expires_at: float = _HEAD.unpack_from(record)[0]
    return expires_at


def _has_expired(record: bytes) -> bool:
    return _expiry_of(record) <= time.time()


class _Change:
    """An uncommitted change, which other processes do not see."""

    def __init__(self, txn: lmdb.Transaction[bytes], file: _File, largest: int) -> None:
        self._txn = txn
        self._file = file
        self._largest = largest
        """Bytes; a larger value is not stored."""

    def get(self, at: bytes) -> bytes | None:
        """The stored value, unless it has expired."""
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
        # Not each time, which would cost more than the change. Digests are random.
        if at[-1] % TIDY_EVERY == 0 or len(record) > self._file.page:
            self._tidy(at, record)
        return None

    def _tidy(self, kept: bytes, record: bytes) -> None:
        with self._txn.cursor() as cursor:
            cursor.set_key(kept)
            if not self._is_full():
                _remove_expired(cursor, kept)
                return
            # Twice the size of the new value, or the file would grow: LMDB frees a page only when most of it is empty.
            wanted = 2 * max(len(record), TIDY_EVERY * self._file.page // 4)
            while wanted > 0:
                gone, others = _remove_expired(cursor, kept)
                for _, at, length in sorted(others)[: EXAMINED // 8]:
                    self.remove(at)
                    gone += length
                if not gone:  # all were examined
                    return
                wanted -= gone

    def _is_full(self) -> bool:
        used = self._txn.stat()
        pages = used["branch_pages"] + used["leaf_pages"] + used["overflow_pages"]
        return pages * self._file.page > self._file.size * FULL


def _remove_expired(cursor: lmdb.Cursor[bytes], kept: bytes) -> tuple[int, list[tuple[float, bytes, int]]]:
    """Examine the next few, up to the one just stored: the length of what was removed, and the others."""
    now = time.time()
    gone = 0
    others: list[tuple[float, bytes, int]] = []
    _ = cursor.next() or cursor.first()
    for _ in range(EXAMINED):
        at, record = cursor.item()
        if at == kept:
            break
        expires_at = _expiry_of(record)
        if expires_at > now:
            others.append((expires_at, at, len(record)))
            _ = cursor.next() or cursor.first()
        else:
            gone += len(record)
            cursor.delete()  # the cursor is now at the next one, or behind the last
            _ = cursor.key() or cursor.first()
    return gone, others


# The file


@dataclass(frozen=True)
class _File:
    """The opened file and its identity."""

    env: lmdb.Environment
    identity: tuple[tuple[int, int], ...]
    everything: Any
    """LMDB's handle of the database in it."""
    size: int
    page: int


_lock = threading.Lock()
"""Held during each read and change, so that no thread forks or opens the file meanwhile."""

_files: dict[str, _File] = {}
_checked_at: dict[str, float] = {}


def forget() -> None:
    """Close all files, for tests."""
    with _lock:
        _close_all()


def _close_all() -> None:
    for file in _files.values():
        file.env.close()
    _files.clear()


def _in_child() -> None:
    """A forked process must not use its parent's transactions; it opens the file itself."""
    try:
        _close_all()
    finally:
        _lock.release()


if hasattr(os, "register_at_fork"):  # Windows has no fork
    os.register_at_fork(before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_in_child)


def _opened(folder: str, size: int) -> _File:
    """The file, which is opened at first use and again after it was removed."""
    now = time.monotonic()
    file = _files.get(folder)
    if file is not None and now - _checked_at[folder] < RECHECK_AFTER:
        return file
    path = _path(folder)
    if file is not None and file.identity != _identity(path):
        del _files[folder]
        file.env.close()
        file = None
    if file is None:
        file = _files[folder] = _open(folder, path, size)
    _checked_at[folder] = now
    return file


def _path(folder: str) -> Path:
    try:
        boot = _BOOT.read_text().strip()
    except OSError:
        boot = "any"
    return Path(folder, f"layout-{LAYOUT}-boot-{boot}")


def _identity(path: Path) -> tuple[tuple[int, int], ...]:
    """Device and inode of the files; empty if one is missing."""
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
        size = (path / "data.mdb").stat().st_size  # that of its creation
        env = _map(path, size)
        return _File(env, _identity(path), env.open_db(), size, env.stat()["psize"])
    finally:
        os.close(descriptor)


def _require_ours(folder: str, found: os.stat_result) -> None:
    if found.st_uid != os.geteuid() or found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise PermissionError(f"{folder} must belong to the user of this process and be writable by no other.")


def _wait_for(descriptor: int) -> None:
    """One process at a time opens or creates the file; the lock ends with the descriptor, or with the process."""
    ends_at = time.monotonic() + LOCK_TIMEOUT
    while True:
        try:
            return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > ends_at:
                raise
            time.sleep(0.01)


def _make(folder: str, path: Path, size: int) -> None:
    """Create the file under a temporary name, and rename it when it is complete."""
    boot = path.name.partition("-boot-")[2]
    for left in Path(folder).glob("layout-*"):
        # Of another boot, unfinished, or without its lock. The file of another release may be in use.
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
        # The kernel has the written pages, and a file of another boot is never read.
        sync=False,
        metasync=False,
        writemap=True,
        map_async=True,
        readahead=False,
    )

"""Each message is handled once, and its repeats get the same answer.

WeChat repeats what was not answered in time, also while the first request is still being handled. A message is
identified by its sender, its time and its MsgId, an event by all of its fields, within one account of one platform. The
first request takes the message, in one atomic step; later ones wait for its answer.

Answers are kept in the memory of the process and in the site's cache, which all processes share. While the cache is
down, a repeat is noticed by the process that handled the message; another process would handle it a second time. An
answer is kept with its receiver and never sent to another one: in the cache it has a tag that only this site can make.
"""

from __future__ import annotations

import hmac
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass
from hashlib import blake2b
from itertools import islice

from .. import cache
from ..conf import conf
from ..db.encryption import tag
from ..exceptions import WeChatOpenError
from ..text import TranslatableText as _
from .messages import Message

RUNNING = b"..."
"""Stands in the cache for an answer that is being made."""

TIME_OF_WECHAT = 5.0
"""Seconds that WeChat waits for an answer."""

MARGIN = 2.0
"""Seconds for which a message stays taken after its deadline. After that its process must have died, and a repeat is
handled."""

MAX_REMEMBERED = 10_000
MAX_BYTES = 16 * 1024 * 1024
"""Of answers that this process keeps. Followers decide how many there are; the shared cache has older ones."""

TAG = 16
POLL, POLL_AT_MOST = 0.005, 0.1


class StillRunning(WeChatOpenError):
    """The first request was not answered within its deadline. WeChat is to send the message again."""


@dataclass
class _Entry:
    """A message that this process took: its sender, and its answer, once there is one."""

    openid: str
    forgotten_at: float
    running: bool = True
    answer: bytes | None = None


_entries: OrderedDict[str, _Entry] = OrderedDict()
_changed = threading.Condition(threading.Lock())
"""Notified whenever an entry is no longer running."""

_bytes = 0
"""Of the answers in ``_entries``."""


class Turn:
    """The right to answer one message, as a context in which no repeat of it is answered.

    Entering takes the message, or waits up to ``seconds`` for the answer of the thread or process that has it; then it
    raises StillRunning. ``answer`` is that earlier answer; when it is None, the caller sets it. Leaving keeps it for
    repeats; an error frees the message again.
    """

    def __init__(self, message: Message, platform_appid: str, seconds: float) -> None:
        self.answer: bytes | None = None
        self._key = _key(message, platform_appid)
        self._openid = message.openid
        self._ends_at = time.monotonic() + seconds
        self._kept = _kept()
        self._mine = True

    def __enter__(self) -> Turn:
        self._entry, self._mine = _take_here(self._key, self._openid, self._kept)
        if not self._mine:
            self.answer = _wait_here(self._entry, self._openid, self._ends_at)
            return self
        try:
            if not _take_there(self._key):
                self.answer = _wait_there(self._key, self._openid, self._ends_at)
        except BaseException:
            _give_back(self._key, self._entry)
            raise
        if self.answer is not None:
            _keep(self._key, self._entry, self.answer)
            self._mine = False
        return self

    def __exit__(self, failed: type[BaseException] | None, *_: object) -> None:
        if not self._mine:
            return
        if failed is not None or self.answer is None:
            cache.attempt(lambda cache: cache.delete(self._key), None)
            _give_back(self._key, self._entry)
            return
        _keep(self._key, self._entry, self.answer)
        cache.put(self._key, tag(self.answer, _context(self._key, self._openid)) + self.answer, self._kept)


def forget() -> None:
    """Empty this process's memory, for tests; the shared cache keeps its answers."""
    global _bytes
    with _changed:
        _entries.clear()
        _bytes = 0


def _key(message: Message, platform_appid: str) -> str:
    identity = blake2b(message.identity.encode(errors="surrogatepass"), digest_size=16).hexdigest()
    return f"wechat_open:message:{platform_appid}:{message.appid}:{identity}"


def _context(key: str, openid: str) -> bytes:
    """The receiver of an answer, and the message."""
    return f"{key} {openid}".encode()


def _kept() -> float:
    """A push passes the time window that long, so a captured one can be sent again that long."""
    return 2 * conf.push_window.total_seconds() + 60


def _take_here(key: str, openid: str, kept: float) -> tuple[_Entry, bool]:
    """The entry of the message, and whether the caller is to answer it."""
    now = time.monotonic()
    with _changed:
        entry = _entries.get(key)
        if entry is not None:
            if entry.forgotten_at > now:
                return entry, False
            _drop(key)
        entry = _entries[key] = _Entry(openid, now + kept)
        _make_room(now)
        return entry, True


def _keep(key: str, entry: _Entry, answer: bytes) -> None:
    """Keep the answer for repeats of the message."""
    global _bytes
    with _changed:
        entry.answer = answer
        entry.running = False
        if _entries.get(key) is entry:
            _bytes += len(answer)
            _make_room(time.monotonic())
        _changed.notify_all()


def _make_room(now: float) -> None:
    """Drop what has expired, and the oldest beyond the bounds; but nothing that is still being answered."""
    for key, entry in list(islice(_entries.items(), 4)):
        if entry.forgotten_at > now:
            break
        _drop(key)
    while len(_entries) > MAX_REMEMBERED or _bytes > MAX_BYTES:
        oldest = next((key for key, entry in _entries.items() if not entry.running), None)
        if oldest is None:
            return
        _drop(oldest)


def _drop(key: str) -> None:
    global _bytes
    _bytes -= len(_entries.pop(key).answer or b"")


def _wait_here(entry: _Entry, openid: str, ends_at: float) -> bytes:
    with _changed:
        _changed.wait_for(lambda: not entry.running, max(0.0, ends_at - time.monotonic()))
    if entry.answer is None or entry.openid != openid:
        raise StillRunning(_("The same message is still being handled."))
    return entry.answer


def _take_there(key: str) -> bool:
    """Whether no other process has it, as far as the cache says."""
    # A handler without a deadline may take any time; WeChat repeats for three times its own deadline.
    lease = (conf.reply_within.total_seconds() or 3 * TIME_OF_WECHAT) + MARGIN
    # django-redis returns None for "not known" when it is set to ignore exceptions.
    return cache.add(key, RUNNING, lease) is not False


def _wait_there(key: str, openid: str, ends_at: float) -> bytes | None:
    """Another process's answer; None when that process has given the message back, and this one has taken it."""
    pause = POLL
    while time.monotonic() < ends_at:
        known = cache.attempt(lambda cache: cache.get(key), None)
        if isinstance(known, bytes) and hmac.compare_digest(known[:TAG], tag(known[TAG:], _context(key, openid))):
            return known[TAG:]
        if known is None and _take_there(key):
            return None
        time.sleep(pause)
        pause = min(pause * 2, POLL_AT_MOST)
    raise StillRunning(_("The same message is still being handled by another process."))


def _give_back(key: str, entry: _Entry) -> None:
    with _changed:
        if _entries.get(key) is entry:
            del _entries[key]
        entry.running = False
        _changed.notify_all()

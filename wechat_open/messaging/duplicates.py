"""How is a message answered once, however often it comes?

WeChat repeats what was not answered in time, also while the first is still at work. A message is known by its sender,
its time and its MsgId, an event by all of its fields, within one account of one platform. Whoever comes first takes the
message, in one atomic step; whoever comes later waits for the first one's answer and gives the same.

Two memories: the process's own, and the site's cache, which all processes share. While the cache is down, a repeat is
noticed by the process that saw the first one; another process would handle it a second time. An answer is kept with
its receiver, and never leaves for another one: in the cache it has a tag that only this site can make.
"""

from __future__ import annotations

import hmac
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b
from itertools import islice

from .. import shared_cache
from ..conf import conf
from ..exceptions import WeChatOpenError
from ..sealing import tag
from ..sentence import Sentence as _
from .messages import Message

RUNNING = b"..."
"""Stands in the cache for an answer that is being made."""

TIME_OF_WECHAT = 5.0
"""Seconds that WeChat waits for an answer."""

MARGIN = 2.0
"""Seconds for which a message stays taken after its time is over. Then its first taker has died, and a repeat is its
second chance."""

MAX_REMEMBERED = 10_000
MAX_BYTES = 16 * 1024 * 1024
"""Of answers that this process keeps. Followers choose how many there are; the shared cache has older ones."""

TAG = 16
POLL, POLL_AT_MOST = 0.005, 0.1


class StillRunning(WeChatOpenError):
    """The first one has not answered in its time. WeChat had better ask again."""


@dataclass
class _Entry:
    """A message that this process took: whose it is, and its answer, once there is one."""

    openid: str
    forgotten_at: float
    running: bool = True
    answer: bytes | None = None


_entries: OrderedDict[str, _Entry] = OrderedDict()
_changed = threading.Condition(threading.Lock())
"""Notified whenever an entry is no longer running."""

_bytes = 0
"""Of the answers in ``_entries``."""


def once(message: Message, platform_appid: str, seconds: float, answer: Callable[[], bytes]) -> bytes:
    """The answer to the message, made by ``answer`` unless it was made before.

    ``seconds`` bounds the waiting for another taker's; then StillRunning. What ``answer`` raises is raised, and the
    message is free again.
    """
    key = _key(message, platform_appid)
    ends_at = time.monotonic() + seconds
    kept = _kept()
    entry, ours = _take_here(key, message.openid, kept)
    if not ours:
        return _wait_here(entry, message.openid, ends_at)
    try:
        made = None if _take_there(key) else _wait_there(key, message.openid, ends_at)
        if made is None:
            made = _make(key, message.openid, answer, kept)
    except BaseException:
        _give_back(key, entry)
        raise
    _keep(key, entry, made)
    return made


def _make(key: str, openid: str, answer: Callable[[], bytes], kept: float) -> bytes:
    """The answer, passed on to the other processes. The message is free again when there is none."""
    try:
        made = answer()
    except BaseException:
        shared_cache.ask(lambda cache: cache.delete(key), None)
        raise
    shared_cache.put(key, tag(made, _context(key, openid)) + made, kept)
    return made


def forget() -> None:
    """Have seen nothing, for tests. What the shared cache knows is its own affair."""
    global _bytes
    with _changed:
        _entries.clear()
        _bytes = 0


def _key(message: Message, platform_appid: str) -> str:
    identity = blake2b(message.identity.encode(errors="surrogatepass"), digest_size=16).hexdigest()
    return f"wechat_open:message:{platform_appid}:{message.appid}:{identity}"


def _context(key: str, openid: str) -> bytes:
    """For whom an answer is, and to what."""
    return f"{key} {openid}".encode()


def _kept() -> float:
    """A push passes the time window that long, so a captured one may be sent again that long."""
    return 2 * conf.push_window.total_seconds() + 60


def _take_here(key: str, openid: str, kept: float) -> tuple[_Entry, bool]:
    """The entry of the message, and whether it is ours to answer."""
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
    """The answer, for the repeats of the message."""
    global _bytes
    with _changed:
        entry.answer = answer
        entry.running = False
        if _entries.get(key) is entry:
            _bytes += len(answer)
            _make_room(time.monotonic())
        _changed.notify_all()


def _make_room(now: float) -> None:
    """Forget what has expired, and the oldest beyond the bounds; but nothing that is still being answered."""
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
    """Whether no other process has it; as far as the cache can tell."""
    # A handler that is never cut off may be at it as long as it likes; WeChat repeats for three times its patience.
    lease = (conf.reply_within.total_seconds() or 3 * TIME_OF_WECHAT) + MARGIN
    # None is what django-redis says for "I do not know" when it is told to ignore exceptions.
    return shared_cache.add(key, RUNNING, lease) is not False


def _wait_there(key: str, openid: str, ends_at: float) -> bytes | None:
    """Another process's answer; None when that process has given the message back, and it is ours now."""
    pause = POLL
    while time.monotonic() < ends_at:
        known = shared_cache.ask(lambda cache: cache.get(key), None)
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

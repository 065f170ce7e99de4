"""How is a message answered once, however often it comes?

WeChat repeats what was not answered in time, also while the first is still at work: messages are known by MsgId, events
by sender, time and name (protocol 6.2), within one account of one platform. Whoever comes first takes the message, in
one atomic step; whoever comes later waits for the first one's answer and gives the same.

Two memories: the process's own, and the site's cache, which all processes share. While the cache is down, a repeat is
noticed by the process that saw the first one; another process would handle it a second time.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from .. import shared_cache
from ..conf import conf
from ..exceptions import WeChatOpenError
from ..protocol.messages import EventMessage, Message
from ..sentence import Sentence as _

RUNNING = b"..."
"""Stands in the cache for an answer that is being made."""

TIME_OF_WECHAT = 5.0
"""Seconds that WeChat waits for an answer."""

MARGIN = 2.0
"""Seconds for which a message stays taken after its time is over. Then its first taker has died, and a repeat is its
second chance."""

MAX_REMEMBERED = 10_000
POLL, POLL_AT_MOST = 0.005, 0.1


class StillRunning(WeChatOpenError):
    """The first one has not answered in its time. WeChat had better ask again."""


@dataclass
class _Entry:
    """A message that this process took: its answer, once there is one."""

    forgotten_at: float
    running: bool = True
    answer: bytes | None = None


_entries: OrderedDict[str, _Entry] = OrderedDict()
_changed = threading.Condition(threading.Lock())
"""Told whenever an entry is no longer running."""


def once(message: Message, platform_appid: str, seconds: float, answer: Callable[[], bytes]) -> bytes:
    """The answer to the message, made by ``answer`` unless it was made before.

    ``seconds`` bounds the waiting for somebody else's; then StillRunning. What ``answer`` raises is raised, and the
    message is free again.
    """
    key = _key(message, platform_appid)
    ends_at = time.monotonic() + seconds
    kept = _kept()
    entry, ours = _take_here(key, kept)
    if not ours:
        return _wait_here(entry, ends_at)
    try:
        made = None if _take_there(key) else _wait_there(key, ends_at)
        if made is None:
            made = _make(key, answer, kept)
    except BaseException:
        _give_back(key, entry)
        raise
    entry.answer = made
    _end(entry)
    return made


def _make(key: str, answer: Callable[[], bytes], kept: float) -> bytes:
    """The answer, told to the other processes. The message is free again when there is none."""
    try:
        made = answer()
    except BaseException:
        shared_cache.ask(lambda cache: cache.delete(key), None)
        raise
    shared_cache.put(key, made, kept)
    return made


def forget() -> None:
    """Have seen nothing, for tests. What the shared cache knows is its own affair."""
    with _changed:
        _entries.clear()


def _key(message: Message, platform_appid: str) -> str:
    what = message.msg_id
    if isinstance(message, EventMessage) or not what:
        event = message.event if isinstance(message, EventMessage) else message.kind
        what = f"{message.openid}:{message.created}:{event}"
    return f"wechat_open:message:{platform_appid}:{message.appid}:{what}"


def _kept() -> float:
    """A push passes the time window that long, so a captured one may be sent again that long."""
    return 2 * conf.push_window.total_seconds() + 60


def _take_here(key: str, kept: float) -> tuple[_Entry, bool]:
    """The entry of the message, and whether it is ours to answer."""
    now = time.monotonic()
    with _changed:
        entry = _entries.get(key)
        if entry is not None and entry.forgotten_at > now:
            return entry, False
        entry = _entries[key] = _Entry(now + kept)
        _entries.move_to_end(key)
        if len(_entries) > MAX_REMEMBERED:
            _entries.popitem(last=False)
        return entry, True


def _wait_here(entry: _Entry, ends_at: float) -> bytes:
    with _changed:
        _changed.wait_for(lambda: not entry.running, max(0.0, ends_at - time.monotonic()))
    if entry.answer is None:
        raise StillRunning(_("The same message is still being handled."))
    return entry.answer


def _take_there(key: str) -> bool:
    """Whether no other process has it; as far as the cache can tell."""
    # A handler that is never cut off may be at it as long as it likes; WeChat repeats for three times its patience.
    lease = (conf.reply_within.total_seconds() or 3 * TIME_OF_WECHAT) + MARGIN
    # None is what django-redis says for "I do not know" when it is told to ignore exceptions.
    return shared_cache.add(key, RUNNING, lease) is not False


def _wait_there(key: str, ends_at: float) -> bytes | None:
    """Another process's answer; None when that process has given the message back, and it is ours now."""
    pause = POLL
    while time.monotonic() < ends_at:
        known = shared_cache.ask(lambda cache: cache.get(key), None)
        if isinstance(known, bytes) and known != RUNNING:
            return known
        if known is None and _take_there(key):
            return None
        time.sleep(pause)
        pause = min(pause * 2, POLL_AT_MOST)
    raise StillRunning(_("The same message is still being handled by another process."))


def _give_back(key: str, entry: _Entry) -> None:
    with _changed:
        if _entries.get(key) is entry:
            del _entries[key]
    _end(entry)


def _end(entry: _Entry) -> None:
    with _changed:
        entry.running = False
        _changed.notify_all()

"""A message is handled once, however often and in whichever process it comes.

Another process of the site is this one after it has forgotten what it saw: then only the cache knows.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.cache.backends.locmem import LocMemCache

from tests import failing_cache
from tests.failing_cache import Failing
from tests.messaging.followers import event, message
from wechat_open import cache
from wechat_open.contrib import host_cache
from wechat_open.messaging import Message, StillRunning, deduplication

PLATFORM = "wx1111111111111111"
Wait = Callable[[float], None]


class Handling:
    """What the first one does with a message, step by step: it begins, and is let go on or not."""

    def __init__(self) -> None:
        self.count = 0
        self.begun = threading.Event()
        self.go_on = threading.Event()
        self.error: BaseException | None = None
        self.answers: list[bytes | BaseException] = []
        self.thread = threading.Thread(target=self._handle)

    def answer(self) -> bytes:
        self.count += 1
        self.begun.set()
        assert self.go_on.wait(10)
        if self.error is not None:
            raise self.error
        return b"the first answer"

    def _handle(self) -> None:
        try:
            self.answers.append(once(self.answer))
        except ValueError as error:
            self.answers.append(error)

    def start(self) -> None:
        self.thread.start()
        assert self.begun.wait(10)

    def end(self) -> None:
        self.go_on.set()
        self.thread.join()


@pytest.fixture(autouse=True, params=["the site's cache", "HostCache"])
def _cache(request: pytest.FixtureRequest, settings: Any, tmp_path: Path) -> Iterator[None]:
    if request.param == "HostCache":
        settings.CACHES = {
            "default": {"BACKEND": "wechat_open.contrib.host_cache.HostCache", "LOCATION": str(tmp_path / "cache")}
        }
    yield
    host_cache.forget()


@pytest.fixture
def first() -> Iterator[Handling]:
    handling = Handling()
    yield handling
    handling.end()


@pytest.fixture
def short_lease(settings: Any, monkeypatch: pytest.MonkeyPatch) -> float:
    """Seconds after which a message is free again when its process has died."""
    settings.WECHAT_OPEN = settings.WECHAT_OPEN | {"REPLY_WITHIN": 0.2}
    monkeypatch.setattr(deduplication, "MARGIN", 0.2)
    return 0.4


def once(
    answer: Callable[[], bytes], received: Message | None = None, platform: str = PLATFORM, *, within: float = 5
) -> bytes:
    """The answer to the message, made by ``answer`` unless it was made before."""
    with deduplication.Turn(received or message(), platform, within) as turn:
        if turn.answer is None:
            turn.answer = answer()
    return turn.answer


def another_process() -> None:
    deduplication.forget()


def not_again() -> bytes:
    raise AssertionError("it was handled a second time")


# One after the other


def test_repeat__has_the_same_answer_and_is_not_handled() -> None:
    assert once(lambda: b"hello") == b"hello"
    assert once(not_again) == once(not_again) == b"hello"


def test_repeat_to_another_process__too() -> None:
    once(lambda: b"hello")
    another_process()
    assert once(not_again) == b"hello"
    assert once(not_again) == b"hello"


@pytest.mark.parametrize("body", [b"", b"success", b"\x00\xff" * 1000])
def test_answer_of_any_kind__is_remembered(body: bytes) -> None:
    once(lambda: body)
    assert once(not_again) == body


@pytest.mark.parametrize("body", [b"", b"success", b"\x00\xff" * 1000])
def test_answer_of_any_kind__is_known_to_another_process(body: bytes) -> None:
    once(lambda: body)
    another_process()
    assert once(not_again) == body


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_message_that_was_not_answered__is_free_again(error: type[BaseException]) -> None:
    def fail() -> bytes:
        raise error

    with pytest.raises(error):
        once(fail)
    assert once(lambda: b"hello") == b"hello"


def test_message_that_was_not_answered__is_free_for_another_process() -> None:
    with pytest.raises(ZeroDivisionError):
        once(lambda: bytes(1 // 0))
    another_process()
    assert once(lambda: b"hello") == b"hello"


def test_push_from_last_week__is_forgotten(wait: Wait, settings: Any) -> None:
    """It no longer passes the time window."""
    once(lambda: b"hello")
    wait(2 * 600)
    assert once(not_again) == b"hello"

    wait(60)
    cache.attempt(lambda cache: cache.clear(), None)
    assert once(lambda: b"again") == b"again"


def test_memory__does_not_grow_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deduplication, "MAX_REMEMBERED", 2)
    for number in range(5):
        once(lambda: b"hello", message(MsgId=str(number + 1)))

    assert len(deduplication._entries) == 2
    assert once(not_again, message(MsgId="1")) == b"hello"  # the cache has it still


# What is the same message


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (message(MsgId="1"), message(MsgId="2")),
        (message(), message(appid="wxother")),
        (message(**event("CLICK")), message(**event("VIEW"))),
        (message(**event("CLICK")), message(**event("CLICK", FromUserName="o-bert"))),
        (message(**event("CLICK")), message(**event("CLICK", CreateTime="1715943330"))),
        (message(**event("CLICK")), message(appid="wxother", **event("CLICK"))),
        (message(MsgId=None), message(MsgId=None, MsgType="image")),
        (message(), message(FromUserName="o-bert")),
        (message(), message(FromUserName="O-ANNA")),
        (message(), message(CreateTime="1715943330")),
        (message(CreateTime=None, createtime="1715943329"), message(CreateTime=None, createtime="1715943330")),
        (message(**event("CLICK", EventKey="A")), message(**event("CLICK", EventKey="B"))),
        (message(**event("TEMPLATESENDJOBFINISH", MsgID="1")), message(**event("TEMPLATESENDJOBFINISH", MsgID="2"))),
        (message(**event("wxa_media_check", trace_id="1")), message(**event("wxa_media_check", trace_id="2"))),
        (message(MsgId=None), message(MsgId=None, Content="other")),
        (message(MsgId="0"), message(MsgId="0", Content="other")),
        (message(MsgId=None), message(MsgId=None, CreateTime="1715943330")),
    ],
)
def test_another_message__is_another(one: Message, other: Message) -> None:
    once(lambda: b"one", one)

    assert once(lambda: b"other", other) == b"other"
    assert once(not_again, one) == b"one"
    another_process()
    assert once(not_again, other) == b"other"


@pytest.mark.parametrize(
    ("one", "repeat"),
    [
        (message(), message(Content="the MsgId counts")),
        (message(**event("CLICK", EventKey="A")), message(**event("CLICK", EventKey="A"))),
        (message(MsgId=None), message(MsgId=None)),
    ],
)
def test_repeat__is_known(one: Message, repeat: Message) -> None:
    once(lambda: b"one", one)

    assert once(not_again, repeat) == b"one"


def test_same_account_of_another_platform__is_another() -> None:
    once(lambda: b"one")

    assert once(lambda: b"other", platform="wx2222222222222222") == b"other"


# At the same moment


def test_repeat_in_flight__waits_and_has_the_same_answer(first: Handling) -> None:
    first.start()
    threading.Timer(0.2, first.go_on.set).start()

    assert once(not_again) == b"the first answer"
    first.end()
    assert first.answers == [b"the first answer"]


def test_repeat_in_flight_to_another_process__waits_too(first: Handling) -> None:
    first.start()
    another_process()
    threading.Timer(0.2, first.go_on.set).start()

    assert once(not_again) == b"the first answer"


def test_concurrent_repeats__get_one_answer_and_are_handled_once(first: Handling) -> None:
    first.start()
    answers: list[bytes] = []
    crowd = [threading.Thread(target=lambda: answers.append(once(not_again))) for _ in range(16)]
    for thread in crowd:
        thread.start()
    first.go_on.set()
    for thread in crowd:
        thread.join()

    assert answers == [b"the first answer"] * 16
    assert first.count == 1


def test_repeat_in_flight__does_not_wait_for_ever(first: Handling) -> None:
    first.start()

    started = time.monotonic()
    with pytest.raises(StillRunning, match="still being handled"):
        once(not_again, within=0.1)
    another_process()
    with pytest.raises(StillRunning, match="another process"):
        once(not_again, within=0.1)
    assert 0.2 <= time.monotonic() - started < 2


def test_repeat_that_waited_in_vain__leaves_the_message_to_the_next(first: Handling) -> None:
    first.start()
    another_process()
    with pytest.raises(StillRunning):
        once(not_again, within=0.1)
    first.end()

    assert once(not_again) == b"the first answer"


def test_first_that_fails__leaves_those_who_waited_to_wechats_next_try(first: Handling) -> None:
    first.error = ValueError()
    first.start()
    threading.Timer(0.2, first.go_on.set).start()
    with pytest.raises(StillRunning):
        once(not_again)
    first.end()

    assert once(lambda: b"second") == b"second"


def test_first_that_fails_elsewhere__leaves_it_to_the_one_that_waits(first: Handling) -> None:
    first.error = ValueError()
    first.start()
    another_process()
    threading.Timer(0.2, first.go_on.set).start()

    assert once(lambda: b"second") == b"second"
    another_process()
    assert once(not_again) == b"second"


def test_first_that_dies__has_a_second_chance_when_its_time_is_over(first: Handling, short_lease: float) -> None:
    first.start()
    another_process()

    with pytest.raises(StillRunning):
        once(not_again, within=0.1)
    time.sleep(short_lease)
    assert once(lambda: b"second") == b"second"


def test_first_that_dies__is_followed_by_the_repeat_that_waits(first: Handling, short_lease: float) -> None:
    first.start()
    another_process()

    started = time.monotonic()
    assert once(lambda: b"second") == b"second"
    assert time.monotonic() - started < 3


def test_site_that_never_cuts_off__leases_for_wechats_own_time(first: Handling, settings: Any) -> None:
    settings.WECHAT_OPEN = settings.WECHAT_OPEN | {"REPLY_WITHIN": 0}
    first.start()
    another_process()

    with pytest.raises(StillRunning):
        once(not_again, within=0.2)


# When the cache is not well


@pytest.fixture
def failing(settings: Any, monkeypatch: pytest.MonkeyPatch) -> type[Failing]:
    """Down from the beginning."""
    settings.CACHES = failing_cache.CACHES
    cache.attempt(lambda cache: cache.clear(), None)
    monkeypatch.setattr(Failing, "down", True)
    return Failing


def test_without_the_cache__this_process_recognises_repeats(failing: type[Failing]) -> None:
    assert once(lambda: b"hello") == b"hello"
    assert once(not_again) == b"hello"


def test_without_the_cache__another_process_does_not(failing: type[Failing]) -> None:
    once(lambda: b"hello")
    another_process()
    assert once(lambda: b"again") == b"again"


def test_without_the_cache__a_repeat_in_flight_waits(failing: type[Failing], first: Handling) -> None:
    first.start()
    threading.Timer(0.2, first.go_on.set).start()
    assert once(not_again) == b"the first answer"


def test_without_the_cache__what_was_not_answered_is_free_again(failing: type[Failing]) -> None:
    with pytest.raises(ZeroDivisionError):
        once(lambda: bytes(1 // 0))
    assert once(lambda: b"hello") == b"hello"


def test_cache_that_comes_back__is_used_again(failing: type[Failing], wait: Wait) -> None:
    once(lambda: b"hello")
    failing.down = False
    wait(cache.RETRY_AFTER)

    once(lambda: b"other", message(MsgId="2"))
    another_process()
    assert once(not_again, message(MsgId="2")) == b"other"


def test_cache_that_goes__costs_the_answer_nothing(failing: type[Failing]) -> None:
    failing.down = False

    def answer() -> bytes:
        failing.down = True
        return b"hello"

    assert once(answer) == once(not_again) == b"hello"


def test_cache_that_fails_while_a_repeat_waits__costs_no_answer(failing: type[Failing], first: Handling) -> None:
    """Perhaps twice; but a follower who hears nothing would be worse."""
    failing.down = False
    first.start()
    another_process()
    threading.Timer(0.2, lambda: setattr(failing, "down", True)).start()

    assert once(lambda: b"second") == b"second"


class Quiet(LocMemCache):
    """As django-redis with IGNORE_EXCEPTIONS: nothing is raised, nothing is known."""

    def add(self, *args: Any, **options: Any) -> Any:
        return None

    def get(self, *args: Any, **options: Any) -> Any:
        return None

    def set(self, *args: Any, **options: Any) -> None:
        return None

    def delete(self, *args: Any, **options: Any) -> Any:
        return None


def test_cache_that_hides_its_failures__is_no_reason_to_wait(settings: Any) -> None:
    settings.CACHES = {"default": {"BACKEND": f"{__name__}.Quiet", "LOCATION": "quiet"}}

    started = time.monotonic()
    assert once(lambda: b"hello") == once(not_again) == b"hello"
    assert time.monotonic() - started < 1


@pytest.mark.parametrize("rubbish", ["text", b"", b"...", b"another answer", None, [b"hello"]])
def test_rubbish_in_the_cache__is_no_answer(rubbish: Any) -> None:
    """Only what this site made for this message is sent, whatever else can write to the cache."""
    once(lambda: b"hello")
    another_process()
    cache.attempt(lambda cache: cache.set(deduplication._key(message(), PLATFORM), rubbish, 60), None)

    with pytest.raises(StillRunning):
        once(not_again, within=0.1)


def test_answer_that_was_moved_in_the_cache__is_none_for_another_follower() -> None:
    bert = message(FromUserName="o-bert")
    once(lambda: b"balance of anna")
    once(lambda: b"balance of bert", bert)
    another_process()

    def move(cache: Any) -> None:
        cache.set(deduplication._key(bert, PLATFORM), cache.get(deduplication._key(message(), PLATFORM)), 60)

    cache.attempt(move, None)

    with pytest.raises(StillRunning):
        once(not_again, bert, within=0.1)
    assert once(not_again) == b"balance of anna"


def test_answer_of_another_follower_in_this_process__is_never_given(monkeypatch: pytest.MonkeyPatch) -> None:
    """Even if two messages had one key."""
    monkeypatch.setattr(deduplication, "_key", lambda message, platform: "one key for all")
    once(lambda: b"balance of anna")

    with pytest.raises(StillRunning):
        once(not_again, message(FromUserName="o-bert"), within=0.1)


def test_answers_that_are_large__are_forgotten_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deduplication, "MAX_BYTES", 1000)
    for number in range(50):
        once(lambda: b"x" * 300, message(MsgId=str(number + 1)))

    assert len(deduplication._entries) == 3
    assert deduplication._bytes == 900
    deduplication.forget()
    assert deduplication._bytes == 0


def test_message_that_is_being_answered__is_not_forgotten(first: Handling, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deduplication, "MAX_REMEMBERED", 1)
    first.start()
    for number in range(5):
        once(lambda: b"hello", message(MsgId=str(number + 1)))
    threading.Timer(0.2, first.go_on.set).start()

    assert once(not_again) == b"the first answer"


def test_expired_answers__are_forgotten_by_and_by(wait: Wait) -> None:
    for number in range(5):
        once(lambda: b"hello", message(MsgId=str(number + 1)))
    wait(3600)
    for number in range(5):
        once(lambda: b"hello", message(MsgId=str(number + 100)))

    assert len(deduplication._entries) == 5

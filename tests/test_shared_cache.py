"""Does a cache that is down cost speed only?"""

from __future__ import annotations

import logging
import time
from typing import Any

import pytest
from django.core.cache import caches

from wechat_open import shared_cache
from wechat_open.shared_cache import LEAVE_ALONE, ask

OTHERWISE = "otherwise"


def fails(cache: Any) -> None:
    raise RuntimeError("canary-password@cache: connection refused")


def test_answer__is_the_caches(settings: Any) -> None:
    caches["default"].set("key", "value")

    assert ask(lambda cache: cache.get("key"), OTHERWISE) == "value"


def test_nothing__is_an_answer_too() -> None:
    assert ask(lambda cache: cache.get("no-such-key"), OTHERWISE) is None


def test_cache_that_fails__is_said_once_and_left_alone(caplog: pytest.LogCaptureFixture) -> None:
    asked: list[Any] = []

    assert ask(fails, OTHERWISE) == OTHERWISE
    for _ in range(3):
        assert ask(asked.append, OTHERWISE) == OTHERWISE

    assert asked == []
    [record] = caplog.records
    assert record.levelno == logging.WARNING
    assert record.getMessage() == "Cache 'default' failed (RuntimeError); going on without it."


def test_after_a_while__it_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    really = time.monotonic
    ask(fails, OTHERWISE)
    monkeypatch.setattr(time, "monotonic", lambda: really() + LEAVE_ALONE)

    assert ask(lambda cache: "back", OTHERWISE) == "back"


def test_other_cache__is_none_of_its_business(settings: Any) -> None:
    settings.CACHES = {
        name: {"BACKEND": "django.core.cache.backends.locmem.LocMemCache", "LOCATION": name}
        for name in ("default", "messages")
    }
    ask(fails, OTHERWISE)
    settings.WECHAT_OPEN = settings.WECHAT_OPEN | {"CACHE": "messages"}

    assert ask(lambda cache: cache is caches["messages"], OTHERWISE) is True


def test_cache_that_nobody_configured__is_one_that_is_down(settings: Any) -> None:
    settings.WECHAT_OPEN = settings.WECHAT_OPEN | {"CACHE": "no-such-cache"}

    assert ask(lambda cache: cache.get("key"), OTHERWISE) == OTHERWISE


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_end_of_the_process__is_no_failure_of_the_cache(error: type[BaseException]) -> None:
    def stop(cache: Any) -> None:
        raise error

    with pytest.raises(error):
        ask(stop, OTHERWISE)
    assert ask(lambda cache: "well", OTHERWISE) == "well"


# What every message asks


def test_add__is_for_the_first() -> None:
    assert shared_cache.add("key", b"one", 60) is True
    assert shared_cache.add("key", b"two", 60) is False
    assert caches["default"].get("key") == b"one"


def test_put__is_there_a_moment_later() -> None:
    shared_cache.add("key", b"...", 60)
    shared_cache.put("key", b"answer", 60)

    time.sleep(0.05)
    assert caches["default"].get("key") == b"answer"
    assert shared_cache.add("key", b"again", 60) is False


def test_what_was_stored__goes_when_its_time_is_over() -> None:
    shared_cache.add("added", b"one", 0.1)
    shared_cache.put("put", b"one", 0.1)
    time.sleep(0.2)

    assert caches["default"].get_many(["added", "put"]) == {}
    assert shared_cache.add("added", b"two", 60) is True


def test_cache_that_is_down__does_not_know() -> None:
    ask(fails, OTHERWISE)

    assert shared_cache.add("key", b"one", 60) is None
    shared_cache.put("key", b"one", 60)
    assert caches["default"].get("key") is None

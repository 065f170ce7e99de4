"""A cache that is down costs speed only."""

from __future__ import annotations

import logging
import time
from typing import Any

import pytest
from django.core.cache import caches

from wechat_open import cache
from wechat_open.cache import RETRY_AFTER, attempt

DEFAULT = "default"


def fails(cache: Any) -> None:
    raise RuntimeError("canary-password@cache: connection refused")


def test_result__is_that_of_the_cache(settings: Any) -> None:
    caches["default"].set("key", "value")

    assert attempt(lambda cache: cache.get("key"), DEFAULT) == "value"


def test_none__is_a_result_too() -> None:
    assert attempt(lambda cache: cache.get("no-such-key"), DEFAULT) is None


def test_cache_that_fails__is_logged_once_and_not_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    tried: list[Any] = []

    assert attempt(fails, DEFAULT) == DEFAULT
    for _ in range(3):
        assert attempt(tried.append, DEFAULT) == DEFAULT

    assert tried == []
    [record] = caplog.records
    assert record.levelno == logging.WARNING
    assert record.getMessage() == "Cache 'default' failed (RuntimeError); going on without it."


def test_after_a_while__it_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monotonic = time.monotonic
    attempt(fails, DEFAULT)
    monkeypatch.setattr(time, "monotonic", lambda: monotonic() + RETRY_AFTER)

    assert attempt(lambda cache: "back", DEFAULT) == "back"


def test_failure__does_not_affect_another_cache(settings: Any) -> None:
    settings.CACHES = {
        name: {"BACKEND": "django.core.cache.backends.locmem.LocMemCache", "LOCATION": name}
        for name in ("default", "messages")
    }
    attempt(fails, DEFAULT)
    settings.WECHAT_OPEN = settings.WECHAT_OPEN | {"CACHE": "messages"}

    assert attempt(lambda cache: cache is caches["messages"], DEFAULT) is True


def test_cache_that_is_not_configured__is_one_that_is_down(settings: Any) -> None:
    settings.WECHAT_OPEN = settings.WECHAT_OPEN | {"CACHE": "no-such-cache"}

    assert attempt(lambda cache: cache.get("key"), DEFAULT) == DEFAULT


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_end_of_the_process__is_no_failure_of_the_cache(error: type[BaseException]) -> None:
    def stop(cache: Any) -> None:
        raise error

    with pytest.raises(error):
        attempt(stop, DEFAULT)
    assert attempt(lambda cache: "well", DEFAULT) == "well"


# What every message needs


def test_add__succeeds_once() -> None:
    assert cache.add("key", b"one", 60) is True
    assert cache.add("key", b"two", 60) is False
    assert caches["default"].get("key") == b"one"


def test_put__sets_the_key_soon() -> None:
    cache.add("key", b"...", 60)
    cache.put("key", b"answer", 60)

    time.sleep(0.05)
    assert caches["default"].get("key") == b"answer"
    assert cache.add("key", b"again", 60) is False


def test_value__expires() -> None:
    cache.add("added", b"one", 0.1)
    cache.put("put", b"one", 0.1)
    time.sleep(0.2)

    assert caches["default"].get_many(["added", "put"]) == {}
    assert cache.add("added", b"two", 60) is True


def test_cache_that_is_down__answers_none() -> None:
    attempt(fails, DEFAULT)

    assert cache.add("key", b"one", 60) is None
    cache.put("key", b"one", 60)
    assert caches["default"].get("key") is None

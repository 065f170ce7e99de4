"""The cache saves a query, and does no harm when it fails or returns something else."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.core.cache import cache as django_cache

from tests import failing_cache
from tests.failing_cache import Failing
from tests.stage import OFFICIAL
from wechat_open import cache as shared_cache
from wechat_open import tokens
from wechat_open.models import Authorizer
from wechat_open.platforms import Platform
from wechat_open.secret import Secret
from wechat_open.stores.token_cache import TOKEN_CACHE as cache

NAME = "wx1111111111111111:wx2"
TOKEN = Secret("canary-access-token")
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


@pytest.fixture(autouse=True)
def _working(monkeypatch: pytest.MonkeyPatch) -> None:
    """No failure of another test is remembered."""
    monkeypatch.setattr(shared_cache, "_failed_at", {})


@pytest.fixture
def failing(settings: Any, monkeypatch: pytest.MonkeyPatch) -> type[Failing]:
    settings.CACHES = failing_cache.CACHES
    monkeypatch.setattr(Failing, "down", True)
    monkeypatch.setattr(Failing, "asked", 0)
    django_cache.clear()
    return Failing


class TestEntries:
    def test_token__is_read_back(self) -> None:
        cache.write(NAME, TOKEN, MINUTE, HOUR)

        assert cache.read(NAME) == cache.read_last(NAME) == TOKEN

    def test_missing_entry__is_none(self) -> None:
        assert cache.read(NAME) is cache.read_last(NAME) is None

    @pytest.mark.parametrize("entry", [b"v1.x.y", 5, ["v1"], "v1.deadbeef.AAAA", "v1..", "token"])
    def test_entry_that_is_no_token__is_none(self, entry: object) -> None:
        for kind in ("short", "last"):
            django_cache.set(f"wechat_open:{NAME}:{kind}", entry)

        assert cache.read(NAME) is cache.read_last(NAME) is None

    def test_another_name__is_another_token(self) -> None:
        cache.write(NAME, TOKEN, MINUTE, HOUR)

        assert cache.read(NAME + "x") is None

    def test_short_entry__ends_first(self) -> None:
        cache.write(NAME, TOKEN, timedelta(seconds=0.05), HOUR)
        time.sleep(0.06)

        assert cache.read(NAME) is None
        assert cache.read_last(NAME) == TOKEN

    @pytest.mark.parametrize("nothing", [timedelta(), -MINUTE])
    def test_no_life_left__is_not_written(self, nothing: timedelta) -> None:
        cache.write(NAME, TOKEN, nothing, HOUR)
        assert (cache.read(NAME), cache.read_last(NAME)) == (None, TOKEN)

        cache.write(NAME + "x", TOKEN, nothing, nothing)
        assert cache.read_last(NAME + "x") is None

    def test_forgotten__is_gone_from_both(self) -> None:
        cache.write(NAME, TOKEN, MINUTE, HOUR)
        cache.forget(NAME)

        assert cache.read(NAME) is cache.read_last(NAME) is None


class TestSecrecy:
    def test_entries__are_encrypted(self) -> None:
        cache.write(NAME, TOKEN, MINUTE, HOUR)

        stored = [django_cache.get(f"wechat_open:{NAME}:{kind}") for kind in ("short", "last")]
        assert all(entry.startswith("v1.") and "canary" not in entry for entry in stored)

    def test_entry_moved_to_another_account__is_not_decrypted(self) -> None:
        cache.write(NAME, TOKEN, MINUTE, HOUR)
        django_cache.set("wechat_open:other:short", django_cache.get(f"wechat_open:{NAME}:short"))

        assert cache.read("other") is None

    def test_entry_under_a_removed_key__counts_as_missing(self, settings: Any) -> None:
        cache.write(NAME, TOKEN, MINUTE, HOUR)
        settings.SECRET_KEY = "another"

        assert cache.read(NAME) is None

    @pytest.mark.parametrize("rubbish", ["clear text", "v1.", "v1.00000000.AAAA"])
    def test_invalid_entry__counts_as_missing(self, rubbish: str) -> None:
        django_cache.set(f"wechat_open:{NAME}:short", rubbish)

        assert cache.read(NAME) is None


class TestFailingCache:
    def test_reading_and_writing__continue_without_it(self, failing: type[Failing]) -> None:
        cache.write(NAME, TOKEN, MINUTE, HOUR)
        cache.forget(NAME)

        assert cache.read(NAME) is cache.read_last(NAME) is None

    def test_failure__is_logged_once(self, failing: type[Failing], caplog: pytest.LogCaptureFixture) -> None:
        for _ in range(10):
            cache.read(NAME)

        assert failing.asked == 1
        assert [record.levelname for record in caplog.records] == ["WARNING"]
        assert "RuntimeError" in caplog.text
        assert "canary" not in caplog.text

    def test_it_is_used_again_after_a_while(self, failing: type[Failing], monkeypatch: pytest.MonkeyPatch) -> None:
        cache.read(NAME)
        monkeypatch.setattr(shared_cache, "RETRY_AFTER", 0.0)
        monkeypatch.setattr(failing, "down", False)
        cache.write(NAME, TOKEN, MINUTE, HOUR)

        assert cache.read(NAME) == TOKEN

    def test_unknown_alias__is_a_cache_that_fails(self, settings: Any) -> None:
        settings.WECHAT_OPEN = {**settings.WECHAT_OPEN, "CACHE": "no-such-cache"}

        assert cache.read(NAME) is None

    def test_another_cache__may_keep_the_tokens(self, settings: Any) -> None:
        settings.CACHES = {
            "default": {"BACKEND": f"{__name__}.Failing"},
            "tokens": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache", "LOCATION": "tokens"},
        }
        settings.WECHAT_OPEN = {**settings.WECHAT_OPEN, "CACHE": "tokens"}
        Failing.asked = 0
        cache.write(NAME, TOKEN, MINUTE, HOUR)

        assert cache.read(NAME) == TOKEN
        assert Failing.asked == 0

    def test_tokens__are_returned_all_the_same(
        self, platform: Platform, account: Authorizer, failing: type[Failing], later: Callable[[timedelta], None]
    ) -> None:
        first = tokens.authorizer_token(platform, OFFICIAL)

        assert tokens.authorizer_token(platform, OFFICIAL) == first

"""While neither the database nor the cache answers, the tokens that a process has used go on working until they end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from django.core.cache import cache
from django.db import OperationalError, connection

from tests import failing_cache
from tests.environments import FakeTime, in_environment
from tests.failing_cache import Failing
from tests.stage import OFFICIAL
from wechat_open import api, tokens
from wechat_open.environment import Environment
from wechat_open.exceptions import AuthorizerUnauthorized, ReauthorizationNeeded
from wechat_open.models import Authorizer
from wechat_open.platforms import Platform
from wechat_open.simulator import Simulator
from wechat_open.stores.token_cache import TokenCache
from wechat_open.stores.token_memory import MEMORY, TokenMemory
from wechat_open.tokens import AuthorizerKeeper, ComponentKeeper

USERS = "/cgi-bin/user/get"
Outage = Callable[[], Any]
Later = Callable[[timedelta], None]


@pytest.fixture
def outage(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Outage:
    """Neither database nor cache."""
    settings.CACHES = failing_cache.CACHES
    monkeypatch.setattr(Failing, "down", False)
    cache.clear()

    def dead(*_: object) -> None:
        raise OperationalError("server closed the connection")

    @contextmanager
    def begin() -> Iterator[None]:
        with monkeypatch.context() as meanwhile, connection.execute_wrapper(dead):
            meanwhile.setattr(Failing, "down", True)
            yield

    return begin


@pytest.mark.fault("F40")
def test_calls__go_on_with_the_tokens_that_were_used(account: Authorizer, outage: Outage) -> None:
    api.authorizer(OFFICIAL).get(USERS)
    api.component().create_preauthcode()

    with outage():
        for _ in range(3):
            assert "total" in api.authorizer(OFFICIAL).get(USERS)
            assert api.component().create_preauthcode().code


def test_account_that_was_not_used__is_an_error_of_the_database(account: Authorizer, outage: Outage) -> None:
    MEMORY.clear()

    with outage(), pytest.raises(OperationalError):
        api.authorizer(OFFICIAL).get(USERS)


def test_renewed_token__is_the_one_that_is_remembered(
    wechat: Simulator, platform: Platform, account: Authorizer, outage: Outage
) -> None:
    tokens.authorizer_token(platform, OFFICIAL)
    tokens.refresh_now(account)

    with outage():
        assert wechat.engine.owner_of(tokens.authorizer_token(platform, OFFICIAL).reveal()) == OFFICIAL
        assert "total" in api.authorizer(OFFICIAL).get(USERS)


@pytest.mark.fault("F40")
def test_token__is_used_until_its_end_and_no_longer(platform: Platform, account: Authorizer, outage: Outage) -> None:
    fake_time = FakeTime()
    memory = TokenCache(TokenMemory(fake_time.timing))
    process = in_environment(platform, Environment(fake_time.timing, cache=memory))
    keepers = [ComponentKeeper(process), AuthorizerKeeper(process, OFFICIAL)]
    for keeper in keepers:
        keeper.token()

    with outage():
        fake_time.now += timedelta(hours=1, minutes=59).total_seconds()
        for keeper in keepers:
            assert keeper.token()
        fake_time.now += timedelta(minutes=1).total_seconds()
        for keeper in keepers:
            with pytest.raises(OperationalError):
                keeper.token()


def test_time_that_the_database_took__is_part_of_the_life(
    platform: Platform, account: Authorizer, outage: Outage
) -> None:
    fake_time = FakeTime()
    memory = TokenCache(TokenMemory(fake_time.timing))
    keeper = AuthorizerKeeper(in_environment(platform, Environment(fake_time.timing, cache=memory)), OFFICIAL)

    def slow(execute: Any, *args: Any) -> Any:
        result = execute(*args)
        fake_time.now += 600
        return result

    with connection.execute_wrapper(slow):
        keeper.token()
    with outage():
        fake_time.now += timedelta(hours=2).total_seconds() - 600
        with pytest.raises(OperationalError):
            keeper.token()


def test_token_that_wechat_refuses__is_forgotten(
    wechat: Simulator, platform: Platform, account: Authorizer, outage: Outage
) -> None:
    api.authorizer(OFFICIAL).get(USERS)
    wechat.engine.kill_access_token(OFFICIAL)

    with outage():
        with pytest.raises(OperationalError):  # there is nothing to renew it with
            api.authorizer(OFFICIAL).get(USERS)
        asked = wechat.engine.calls[USERS]
        with pytest.raises(OperationalError):
            api.authorizer(OFFICIAL).get(USERS)
        assert wechat.engine.calls[USERS] == asked
    assert "total" in api.authorizer(OFFICIAL).get(USERS)


@pytest.mark.parametrize(
    ("state", "error"),
    [
        (Authorizer.State.UNAUTHORIZED, AuthorizerUnauthorized),
        (Authorizer.State.NEEDS_REAUTHORIZATION, ReauthorizationNeeded),
    ],
)
def test_account_that_another_process_has_marked__is_forgotten_when_it_is_read(
    platform: Platform, account: Authorizer, outage: Outage, state: str, error: type[Exception]
) -> None:
    tokens.authorizer_token(platform, OFFICIAL)
    Authorizer.objects.update(state=state)
    cache.clear()
    with pytest.raises(error):
        tokens.authorizer_token(platform, OFFICIAL)

    with outage(), pytest.raises(OperationalError):
        tokens.authorizer_token(platform, OFFICIAL)


def test_cancellation_that_this_process_hears_of__is_forgotten(
    platform: Platform, account: Authorizer, outage: Outage
) -> None:
    tokens.authorizer_token(platform, OFFICIAL)
    assert account.grant_changed_at is not None
    tokens.grants.withdraw(platform, OFFICIAL, account.grant_changed_at + timedelta(seconds=1))

    with outage(), pytest.raises(OperationalError):
        tokens.authorizer_token(platform, OFFICIAL)


def test_database_that_answers__is_believed_before_the_memory(
    platform: Platform, account: Authorizer, later: Later
) -> None:
    old = tokens.authorizer_token(platform, OFFICIAL)
    tokens.refresh_now(account)
    MEMORY.write(f"{platform.appid}:{OFFICIAL}", old, timedelta(hours=1))
    cache.clear()

    assert tokens.authorizer_token(platform, OFFICIAL) != old

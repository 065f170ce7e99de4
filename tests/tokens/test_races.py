"""Races between workers that were once lost.

``integration/test_concurrency.py`` found them with real processes; here each is reproduced step by step.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from tests.stage import OFFICIAL
from wechat_open.client.answers import Answer
from wechat_open.client.calls import Call, TokenKind
from wechat_open.client.transport import Client
from wechat_open.models import Authorizer
from wechat_open.platforms import Platform
from wechat_open.secret import Secret
from wechat_open.simulator import Simulator
from wechat_open.stores.token_cache import TOKEN_CACHE as cache
from wechat_open.tokens import AuthorizerKeeper, ComponentKeeper
from wechat_open.tokens.keeper import Keeper

HOUR = timedelta(hours=1)


@pytest.fixture(params=[ComponentKeeper, AuthorizerKeeper])
def keeper(request: pytest.FixtureRequest, platform: Platform, account: Authorizer) -> Keeper:
    kind: type[ComponentKeeper] | type[AuthorizerKeeper] = request.param
    return kind(platform) if kind is ComponentKeeper else kind(platform, OFFICIAL)  # type: ignore[call-arg]


def kill(wechat: Simulator) -> None:
    wechat.engine.kill_component_token()
    wechat.engine.kill_access_token(OFFICIAL)


def test_two_callers_with_one_refused_token__both_try_again(keeper: Keeper) -> None:
    used = keeper.token()

    assert keeper.invalidate(used)
    assert keeper.invalidate(used)


def test_refused_token_that_is_leased_meanwhile__is_ended_all_the_same(keeper: Keeper) -> None:
    used = keeper.token()
    before = keeper.read()
    lease = keeper.store.take(before)

    assert lease is not None
    assert not keeper.expire(before)
    assert keeper.invalidate(used)
    assert not keeper.read().valid


def test_refused_token_that_a_slow_reader_caches_again__is_not_sent_twice(wechat: Simulator, keeper: Keeper) -> None:
    used = keeper.token()
    kill(wechat)
    invalidate = keeper.invalidate

    def and_then_a_slow_reader(token: Secret) -> bool:
        ended = invalidate(token)
        cache.write(keeper.name, token, HOUR, HOUR)
        return ended

    keeper.invalidate = and_then_a_slow_reader  # type: ignore[method-assign]
    sent: list[Secret | None] = []

    class Recording(Client):
        def run(self, call: Call[Any], token: Secret | None = None) -> Any:
            if call is look:
                sent.append(token)
            return super().run(call, token)

    keeper.wechat = Recording(wechat.url, (1, 5))
    look = Call("GET", "/cgi-bin/getcallbackip", TokenKind.COMPONENT, Answer.json, token_parameter="access_token")

    assert keeper.call_with_token(look)["ip_list"]
    assert sent[0] == used
    assert len(set(sent)) == len(sent) == 2

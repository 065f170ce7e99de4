"""Do the races stay won that a crowd has once lost?

``integration/test_concurrency.py`` found them with real processes; here each is played step by step.
"""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.stage import OFFICIAL
from wechat_open.component import Platform
from wechat_open.exceptions import TokenRefused
from wechat_open.models import Authorizer
from wechat_open.secret import Secret
from wechat_open.simulator import Simulator
from wechat_open.tokens import AuthorizerKeeper, ComponentKeeper, cache
from wechat_open.tokens.custody import Keeper

HOUR = timedelta(hours=1)


@pytest.fixture(params=[ComponentKeeper, AuthorizerKeeper])
def keeper(request: pytest.FixtureRequest, platform: Platform, account: Authorizer) -> Keeper:
    kind: type[ComponentKeeper] | type[AuthorizerKeeper] = request.param
    return kind(platform) if kind is ComponentKeeper else kind(platform, OFFICIAL)  # type: ignore[call-arg]


def kill(wechat: Simulator) -> None:
    wechat.engine.kill_component_token()
    wechat.engine.kill_access_token(OFFICIAL)


def test_two_callers_with_one_refused_token__are_both_told_to_try_again(keeper: Keeper) -> None:
    used = keeper.token()

    assert keeper.invalidate(used)
    assert keeper.invalidate(used)


def test_refused_token_whose_renewal_is_claimed_meanwhile__is_ended_all_the_same(keeper: Keeper) -> None:
    used = keeper.token()
    before = keeper.read()
    claim = keeper.store.claim(before)

    assert claim is not None
    assert not keeper.expire(before)
    assert keeper.invalidate(used)
    assert not keeper.read().valid


def test_refused_token_that_a_slow_reader_caches_again__is_not_lent_twice(wechat: Simulator, keeper: Keeper) -> None:
    used = keeper.token()
    kill(wechat)
    invalidate = keeper.invalidate

    def and_then_a_slow_reader(token: Secret) -> bool:
        ended = invalidate(token)
        cache.write(keeper.name, token, HOUR, HOUR)
        return ended

    keeper.invalidate = and_then_a_slow_reader  # type: ignore[method-assign]
    lent: list[Secret] = []

    def call(token: Secret) -> str:
        lent.append(token)
        if token == used:
            raise TokenRefused(40001)
        return wechat.engine.owner_of(token.reveal())

    assert keeper.lend(call)
    assert len(set(lent)) == len(lent) == 2

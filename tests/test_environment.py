"""Custody takes everything from its environment, and leaves the site's random numbers alone."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, TypeVar

import pytest

from tests.environments import FakeTime, in_environment
from tests.stage import OFFICIAL
from wechat_open import ports
from wechat_open.client.calls import Call
from wechat_open.client.component import NewToken, Refreshed
from wechat_open.environment import Environment
from wechat_open.exceptions import SystemBusy
from wechat_open.models import Authorizer
from wechat_open.platforms import Platform
from wechat_open.ports import TIMING
from wechat_open.secret import Secret
from wechat_open.tokens import AuthorizerKeeper

_T = TypeVar("_T")


@dataclass
class Stand:
    """A WeChat, a cache and an audit trail in memory."""

    answer: Callable[[Call[Any]], Any]
    longest_call: timedelta = timedelta(seconds=23)
    tokens: dict[str, Secret] = field(default_factory=dict)
    recorded: list[str] = field(default_factory=list)

    def run(self, call: Call[_T], token: Secret | None = None) -> _T:
        result: _T = self.answer(call)
        return result

    def read(self, name: str) -> Secret | None:
        return self.tokens.get(name)

    read_last = read

    def write(self, name: str, token: Secret, short: timedelta, last: timedelta) -> None:
        self.tokens[name] = token

    def forget(self, name: str) -> None:
        self.tokens.pop(name, None)

    def increment(self, counter: Any, component: Any) -> None:
        self.recorded.append(counter.value)

    def record(self, kind: Any, component: Any, **about: Any) -> None:
        self.recorded.append(kind.value)


@dataclass(frozen=True)
class StandIns(Environment):
    stand: Stand | None = None

    def wechat(self) -> ports.WeChat:
        assert self.stand is not None
        return self.stand

    def outside_atomic(self, work: Callable[[], _T]) -> _T:
        return work()


@pytest.fixture
def renew(platform: Platform, account: Authorizer, monkeypatch: pytest.MonkeyPatch) -> Callable[[Stand], Secret]:
    """Renew the account's token with the ports of this stand, and none of the site's."""

    def renew(stand: Stand) -> Secret:
        stand.tokens[platform.appid] = Secret("a component token")
        environment = StandIns(FakeTime().timing, cache=stand, audit=stand, stand=stand)
        return AuthorizerKeeper(in_environment(platform, environment), OFFICIAL).renew_now()

    for module in ("wechat_open.stores.token_cache.attempt", "wechat_open.client.transport.Client.run"):
        monkeypatch.setattr(module, None)
    for function in ("increment", "record"):
        monkeypatch.setattr(f"wechat_open.audit.{function}", None)
    return renew


def test_renewal__uses_the_ports_of_its_environment(renew: Callable[[Stand], Secret]) -> None:
    pair = Refreshed(NewToken(Secret("an access token"), timedelta(hours=2)), Secret("a refresh token"))
    stand = Stand(lambda call: pair)

    assert renew(stand) == Secret("an access token")
    assert stand.tokens[f"{Authorizer.objects.get().component.appid}:{OFFICIAL}"] == Secret("an access token")
    assert stand.recorded == ["renewed"]
    assert Authorizer.objects.get().reveal("refresh_token") == Secret("a refresh token")


def test_failed_renewal__uses_them_too(renew: Callable[[Stand], Secret]) -> None:
    def answer(call: Call[Any]) -> Any:
        raise SystemBusy(-1)

    stand = Stand(answer)
    with pytest.raises(SystemBusy):
        renew(stand)

    assert stand.recorded == ["failed", "renewal_failed"]
    assert Authorizer.objects.get().failures == 1


def test_jitter__is_from_0_to_1() -> None:
    assert all(0 <= TIMING.jitter() <= 1 for _ in range(100))


def test_grant_and_renewal__leave_the_state_of_random(platform: Platform, grant: Any) -> None:
    """A site may have seeded it. Threads that go on after their test would spoil Hypothesis's, which watches it."""
    before = random.getstate()
    grant()
    AuthorizerKeeper(platform, OFFICIAL).renew_now()

    assert random.getstate() == before

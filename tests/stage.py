"""A platform with a simulated WeChat, as fixtures.

``wechat`` is the simulator over real HTTP, ``platform`` the platform that is configured for it, ``grant`` lets an owner
authorize an account and stores what comes back. The database's clock is moved with ``later``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db.models import Expression, ExpressionWrapper

from wechat_open import inbox, platforms
from wechat_open.db import clock
from wechat_open.db.clock import DatabaseTime
from wechat_open.db.times import UTCDateTimeField
from wechat_open.models import Authorizer
from wechat_open.platforms import Platform
from wechat_open.protocol import xml
from wechat_open.protocol.envelope import DecryptedPush, Stamp, read_plain
from wechat_open.simulator import Simulator
from wechat_open.simulator.state.engine import Push
from wechat_open.stores.pushes import PushStore

OFFICIAL = "wx0a1b2c3d4e5f6071"


@pytest.fixture
def wechat(settings: Any) -> Iterator[Simulator]:
    """A WeChat in this process, in strict rotation; the settings of the site point to it."""
    with Simulator(ticket_pusher=False) as simulator:
        settings.WECHAT_OPEN = simulator.settings() | {"RENEWAL_THREADS": 1, "TIMEOUT": (1, 2), "TOKEN_WAIT": 5}
        simulator.engine.add_account("Corner Shop", "official", appid=OFFICIAL)
        yield simulator


@pytest.fixture
def platform(wechat: Simulator, db: None) -> Platform:
    """The configured platform, with a verify ticket."""
    platform = platforms.get()
    deliver(platform, wechat.engine.new_ticket())
    return platform


@pytest.fixture
def grant(wechat: Simulator, platform: Platform) -> Callable[..., Authorizer]:
    """Let an owner authorize an account; the pushed grant is processed."""

    def authorize(appid: str = OFFICIAL, **how: Any) -> Authorizer:
        authorization = wechat.engine.authorize(appid, **how)
        assert authorization.push is not None
        process(platform, authorization.push)
        return Authorizer.objects.select_related("component").get(appid=appid)

    return authorize


@pytest.fixture
def account(grant: Callable[..., Authorizer]) -> Authorizer:
    """An account that has authorized the platform."""
    return grant()


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Callable[[timedelta], None]:
    """Move the database's clock."""
    ahead = timedelta()

    def now() -> Expression:
        return ExpressionWrapper(DatabaseTime() + ahead, output_field=UTCDateTimeField()) if ahead else DatabaseTime()

    def move(by: timedelta) -> None:
        nonlocal ahead
        ahead += by

    monkeypatch.setattr(clock, "now", now)
    return move


def opened(push: Push) -> DecryptedPush:
    """A push as the callback has it after opening the envelope."""
    plain = xml.write(push.fields)
    pair = platforms.get().pairs[0]
    return DecryptedPush(read_plain(plain), plain, pair, "xml", Stamp(str(int(time.time())), "nonce", "0" * 40))


def deliver(platform: Platform, push: Push) -> Any:
    """What the events view does with a push that WeChat sends now, by the database's clock; the row to process."""
    sent_at = str(int(PushStore(platform.row).now().timestamp()))
    decrypted = opened(push)
    return inbox.receive(platform, decrypted._replace(stamp=decrypted.stamp._replace(timestamp=sent_at))).push


def process(platform: Platform, push: Push) -> bool:
    """What the events view and a worker do."""
    row = deliver(platform, push)
    return row is not None and inbox.process(row.pk)

"""The pytest fixtures.

pytest loads this file in every project where the package is installed, Django or not, so only pytest is imported before
a fixture is used.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from ..models import Authorizer
    from ..simulator import Simulator
    from ..simulator.state.accounts import Kind
    from .follower import Follower
    from .live import Live

__all__ = [
    "make_wechat_account",
    "make_wechat_follower",
    "wechat_account",
    "wechat_follower",
    "wechat_live",
    "wechat_platform",
    "wechat_simulator",
]


@pytest.fixture(autouse=True)
def _forget_wechat_accounts() -> None:
    """Forget what the process remembers of an earlier test: accounts, messages, and that WeChat did not answer."""
    messaging = sys.modules.get("wechat_open.messaging")
    if messaging is not None:
        messaging.forget()
    reachability = sys.modules.get("wechat_open.client.reachability")
    if reachability is not None:
        reachability.REACHABILITY.forget()


@pytest.fixture
def wechat_platform(settings: Any) -> str:
    """The alias of the platform, the first in the settings. Override the fixture to name another one."""
    from .accounts import first_platform

    return first_platform()


@pytest.fixture
def wechat_simulator(wechat_platform: str, settings: Any) -> Iterator[Simulator]:
    """The simulator that plays WeChat, on a port. The settings point to it during the test."""
    from .accounts import wechat_of

    with wechat_of(wechat_platform) as simulator:
        names = ("API_BASE_URL", "AUTHORIZE_BASE_URL", "OPEN_BASE_URL", "API_HOSTS")
        here = {name: simulator.settings()[name] for name in names}
        settings.WECHAT_OPEN = {**settings.WECHAT_OPEN, **here}
        yield simulator


@pytest.fixture
def make_wechat_account(
    wechat_simulator: Simulator, wechat_platform: str, settings: Any, db: None
) -> Callable[..., Authorizer]:
    """Makes accounts that have authorized the platform. ``kind`` is ``"official"`` or ``"mini"``; ``columns`` replace
    values of the row."""
    from .. import platforms
    from .accounts import authorize, give_ticket

    platform = platforms.get(wechat_platform)
    give_ticket(platform, wechat_simulator)

    def make(kind: Kind = "official", *, appid: str = "", nick_name: str = "", **columns: Any) -> Authorizer:
        return authorize(platform, wechat_simulator, kind=kind, appid=appid, nick_name=nick_name, **columns)

    return make


@pytest.fixture
def wechat_account(make_wechat_account: Callable[..., Authorizer]) -> Authorizer:
    """An official account that has authorized the platform: a row of ``Authorizer``, with tokens that work."""
    return make_wechat_account()


@pytest.fixture
def make_wechat_follower(request: pytest.FixtureRequest, wechat_simulator: Simulator) -> Callable[..., Follower]:
    """Makes followers, of ``wechat_account`` unless another account is given."""
    from .. import platforms
    from .follower import Direct, Follower

    def make(account: Authorizer | None = None, openid: str = "") -> Follower:
        account = account or request.getfixturevalue("wechat_account")
        return Follower(account, wechat_simulator, Direct(platforms.for_component(account.component)), openid)

    return make


@pytest.fixture
def wechat_follower(make_wechat_follower: Callable[..., Follower]) -> Follower:
    """A follower of ``wechat_account``. ``writes``, ``sends``, ``does`` and ``repeats`` return the answers."""
    return make_wechat_follower()


@pytest.fixture
def wechat_live(
    wechat_simulator: Simulator,
    wechat_platform: str,
    settings: Any,
    live_server: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> Live:
    """The site on ``live_server``, which has a ticket, and the simulator that pushes to it."""
    from .. import broker, platforms
    from .live import Live, share_connections

    share_connections(live_server.thread)
    # No task is sent, whatever broker the settings name: ``Live.work`` does the work in this process.
    monkeypatch.setattr(broker, "send_task", lambda *args, **options: False)
    settings.WECHAT_OPEN = {**settings.WECHAT_OPEN, "SITE_URL": live_server.url}
    live = Live(live_server.url, platforms.get(wechat_platform), wechat_simulator)
    live.push_ticket()
    return live

"""Which fixtures do a site's tests get?

pytest loads this file in every project where the package is installed, Django or not; so nothing but pytest is imported
before a fixture is asked for.

``wechat_follower``
    Follows ``wechat_account``. ``writes``, ``sends``, ``does`` and ``repeats`` give what she gets.
``make_wechat_follower(account=None, openid="")``
    Another one, or one of another account.
``wechat_account``
    An official account that has authorized the platform: a row of ``Authorizer``, with tokens that work.
``make_wechat_account(kind="official", *, appid="", nick_name="", **columns)``
    Another one; ``kind`` is ``"official"`` or ``"mini"``.
``wechat_simulator``
    The WeChat behind all of this, on a port. The settings point to it for the length of the test.
``wechat_live``
    The same over HTTP, with the site on ``live_server``: ``authorize()``, ``follower(account)``, ``simulator``.
``wechat_platform``
    The alias of the platform, the first in the settings. Override the fixture to name another one.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from ..models import Authorizer
    from ..simulator import Simulator
    from ..simulator.accounts import Kind
    from .follower import Follower
    from .live import Live


@pytest.fixture(autouse=True)
def _wechat_remembers_nothing() -> None:
    """Accounts and messages that the process remembers are those of an earlier test's database."""
    messaging = sys.modules.get("wechat_open.messaging")
    if messaging is not None:
        messaging.forget()


@pytest.fixture
def wechat_platform(settings: Any) -> str:
    """The alias of the platform that accounts authorize."""
    from .accounts import first_platform

    return first_platform()


@pytest.fixture
def wechat_simulator(wechat_platform: str, settings: Any) -> Iterator[Simulator]:
    """A WeChat on a port, which the settings name instead of the real one."""
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
    """Accounts that have authorized the platform."""
    from ..component import platform
    from .accounts import authorize, give_ticket

    owner = platform(wechat_platform)
    give_ticket(owner, wechat_simulator)

    def make(kind: Kind = "official", *, appid: str = "", nick_name: str = "", **columns: Any) -> Authorizer:
        return authorize(owner, wechat_simulator, kind=kind, appid=appid, nick_name=nick_name, **columns)

    return make


@pytest.fixture
def wechat_account(make_wechat_account: Callable[..., Authorizer]) -> Authorizer:
    """An official account that has authorized the platform."""
    return make_wechat_account()


@pytest.fixture
def make_wechat_follower(request: pytest.FixtureRequest, wechat_simulator: Simulator) -> Callable[..., Follower]:
    """People who write to accounts."""
    from ..component import platform_of
    from .follower import Direct, Follower

    def make(account: Authorizer | None = None, openid: str = "") -> Follower:
        account = account or request.getfixturevalue("wechat_account")
        return Follower(account, wechat_simulator, Direct(platform_of(account.component)), openid)

    return make


@pytest.fixture
def wechat_follower(make_wechat_follower: Callable[..., Follower]) -> Follower:
    """A person who follows ``wechat_account``."""
    return make_wechat_follower()


@pytest.fixture
def wechat_live(
    wechat_simulator: Simulator,
    wechat_platform: str,
    settings: Any,
    live_server: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> Live:
    """The site on ``live_server``, which has a ticket, and the WeChat that pushes to it."""
    from .. import doorbell
    from ..component import platform
    from .live import Live, share_connections

    share_connections(live_server.thread)
    # No worker is woken, whatever broker the settings name: this process does what is to be done.
    monkeypatch.setattr(doorbell, "ring", lambda *args, **options: False)
    settings.WECHAT_OPEN = {**settings.WECHAT_OPEN, "SITE_URL": live_server.url}
    live = Live(live_server.url, platform(wechat_platform), wechat_simulator)
    live.push_ticket()
    return live

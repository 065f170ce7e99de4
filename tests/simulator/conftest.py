"""Fixtures: an engine with its settings and clock, a callback, a running simulator and its API."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests

from tests.simulator.callback import Callback
from wechat_open.simulator import Clock, Engine, Settings, Simulator

Api = Callable[..., dict[str, Any]]


@pytest.fixture
def settings() -> Settings:
    return Settings()


@pytest.fixture
def clock() -> Clock:
    return Clock(lambda: 1_700_000_000.0)


@pytest.fixture
def engine(settings: Settings, clock: Clock) -> Engine:
    return Engine(settings, clock=clock)


@pytest.fixture
def callback() -> Iterator[Callback]:
    server = Callback()
    yield server
    server.stop()


@pytest.fixture
def wechat(callback: Callback) -> Iterator[Simulator]:
    """A running simulator without automatic tickets."""
    with Simulator(callback.url, ticket_pusher=False) as simulator:
        simulator.pusher.pause = 0.01
        yield simulator


@pytest.fixture
def api(wechat: Simulator) -> Api:
    """Calls over HTTP; the component's token and appid are the defaults."""

    def post(path: str, body: dict[str, Any] | None = None, *, token: str | None = None) -> dict[str, Any]:
        wechat.engine.new_ticket()
        if token is None:
            current = wechat.engine.component_token or wechat.engine.issue_component_token(wechat.engine.ticket)
            token = current.text
        response = requests.post(
            f"{wechat.url}{path}?component_access_token={token}",
            json={"component_appid": wechat.engine.settings.appid, **(body or {})},
            timeout=5,
        )
        assert response.status_code == 200
        return dict(response.json())

    return post

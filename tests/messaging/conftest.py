"""Fixtures for tests of messages."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from celery import current_app

from tests.messaging.followers import ANNA, SHOP
from tests.stage import OFFICIAL
from wechat_open import broker, signals
from wechat_open.models import Authorizer
from wechat_open.platforms import Platform
from wechat_open.simulator import Simulator


@pytest.fixture(autouse=True)
def _working() -> None:
    """No failure of another test's broker is remembered."""
    broker.forget()


@pytest.fixture
def shop(platform: Platform) -> Authorizer:
    """An account whose messages are answered."""
    return Authorizer.objects.create(component=platform.row, appid=OFFICIAL, user_name=SHOP)


@pytest.fixture
def anna(wechat: Simulator, account: Authorizer) -> Callable[[], list[dict[str, Any]]]:
    """The customer-service messages to a follower who has just written to an account with tokens."""
    Authorizer.objects.filter(pk=account.pk).update(user_name=SHOP)
    wechat.engine.message(OFFICIAL, ANNA, {"MsgType": "text", "Content": "hi"})
    return lambda: wechat.engine.sent_to(OFFICIAL, ANNA)


@pytest.fixture
def failures() -> Iterator[list[tuple[str, BaseException]]]:
    """What ``handler_failed`` reports: the handler, and the error."""
    heard: list[tuple[str, BaseException]] = []

    def hear(handler: str, error: BaseException, **_: Any) -> None:
        heard.append((handler, error))

    signals.handler_failed.connect(hear)
    yield heard
    signals.handler_failed.disconnect(hear)


@pytest.fixture
def wait(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Let this process's clock go on."""
    really, ahead = time.monotonic, 0.0

    def move(seconds: float) -> None:
        nonlocal ahead
        ahead += seconds

    monkeypatch.setattr(time, "monotonic", lambda: really() + ahead)
    return move


@pytest.fixture
def no_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    """A site without an app of Celery's, and so without workers."""
    monkeypatch.setattr(current_app, "main", "default")


@pytest.fixture
def sent_tasks() -> Iterator[Callable[[], list[tuple[str, list[Any], dict[str, Any]]]]]:
    """The messages that went to Celery's broker: task, arguments, headers."""
    current_app.control.purge()

    def read() -> list[tuple[str, list[Any], dict[str, Any]]]:
        heard = []
        with current_app.connection_for_read() as connection, connection.SimpleQueue("celery") as queue:
            while queue.qsize():
                sent = queue.get_nowait()
                sent.ack()
                heard.append((sent.headers["task"], sent.payload[0], sent.headers))
        return heard

    yield read
    current_app.control.purge()

"""Is a worker woken, and nobody hurt when that fails?"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from celery import Celery

from tests.celery_app import app
from wechat_open import doorbell

TASK = "wechat_open.tasks.process_push"


@pytest.fixture(autouse=True)
def _fresh_broker(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No failure of another test is remembered, and its messages are gone."""
    monkeypatch.setattr(doorbell, "_failed_at", float("-inf"))
    app.control.purge()
    yield
    app.control.purge()


@pytest.fixture
def dead_broker() -> Iterator[Celery]:
    """A broker at an address where nobody listens."""
    dead = Celery("dead", broker="amqp://guest:canary-password@127.0.0.1:1//")
    dead.set_current()
    yield dead
    app.set_current()


def heard() -> list[Any]:
    """The messages in the queue."""
    messages = []
    with app.connection_for_read() as connection, connection.SimpleQueue("celery") as queue:
        while queue.qsize():
            message = queue.get(timeout=1)
            message.ack()
            messages.append(message)
    return messages


def test_ring__sends_the_task_by_name() -> None:
    assert doorbell.ring(TASK, 7)

    (message,) = heard()
    assert message.headers["task"] == TASK
    assert message.payload[0] == [7]


def test_site_that_runs_the_command__sends_no_task(settings: Any) -> None:
    settings.WECHAT_OPEN = {**settings.WECHAT_OPEN, "WORKER": "run"}
    assert not doorbell.ring(TASK, 7)
    assert doorbell.connector(1) is None
    assert heard() == []


def test_message__expires_before_rings_pile_up() -> None:
    doorbell.ring(TASK, 7)

    headers = heard()[0].headers
    assert headers["expires"] is not None
    assert headers["ignore_result"] is True


def test_dead_broker__is_told_and_not_raised(dead_broker: Celery, caplog: pytest.LogCaptureFixture) -> None:
    started = time.monotonic()

    assert not doorbell.ring(TASK, 7)
    assert time.monotonic() - started < 1
    assert "OperationalError" in caplog.text
    assert "canary" not in caplog.text


def test_broker_with_a_second_host__is_reached_there() -> None:
    two_hosts = Celery("two", broker="amqp://guest@127.0.0.1:1//;memory://")
    two_hosts.set_current()
    try:
        assert doorbell.ring(TASK, 7)
    finally:
        app.set_current()


def test_eager_tasks__need_no_broker(dead_broker: Celery) -> None:
    done = []
    dead_broker.conf.task_always_eager = True

    @dead_broker.task(name="eager")
    def eager(number: int) -> None:
        done.append(number)

    assert doorbell.ring("eager", 7)
    assert done == [7]


def test_dead_broker__is_left_alone_for_a_while(dead_broker: Celery) -> None:
    doorbell.ring(TASK, 7)
    app.set_current()  # it is back, and nobody looks yet

    assert not doorbell.ring(TASK, 7)
    assert heard() == []


def test_broker_that_is_back__is_rung_again(dead_broker: Celery, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doorbell, "LEAVE_ALONE", 0.0)
    doorbell.ring(TASK, 7)
    app.set_current()

    assert doorbell.ring(TASK, 7)
    assert len(heard()) == 1


def test_what_cannot_be_sent__is_told_and_not_raised() -> None:
    assert not doorbell.ring(TASK, object())

"""Missing workers are found: no beat, no worker, or a handler that waits in vain."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from celery import current_app
from celery.schedules import crontab

from tests.checks.mistakes import RENEW, WISHES, beat_every, ids, the
from wechat_open.messaging import on_event, on_message
from wechat_open.schedule import BEAT_SCHEDULE


@pytest.mark.parametrize("schedule", [{}, None, {"other": {"task": "shop.tasks.bill", "schedule": 60}}])
def test_beat_without_our_tasks__is_found(site: Any, schedule: Any) -> None:
    site.CELERY_BEAT_SCHEDULE = schedule
    assert ids() == ["W011"]


def test_site_that_runs_the_command__needs_no_beat(site: Any) -> None:
    site.CELERY_BEAT_SCHEDULE = beat_every(600)
    site.WECHAT_OPEN = {**site.WECHAT_OPEN, "WORKER": "run"}
    assert ids() == []


def test_hint_for_a_site_without_beat__names_the_setting(site: Any) -> None:
    site.CELERY_BEAT_SCHEDULE = {}
    assert 'WECHAT_OPEN["WORKER"] = "run"' in the("W011").hint


def test_beat_without_one_of_our_tasks__names_it(site: Any) -> None:
    site.CELERY_BEAT_SCHEDULE = {name: entry for name, entry in BEAT_SCHEDULE.items() if entry["task"] != RENEW}
    assert f"does not start {RENEW}:" in the("W011").msg


@pytest.mark.parametrize("every", [600, 600.0, timedelta(hours=1)])
def test_beat_that_is_too_slow__is_found(site: Any, every: Any) -> None:
    site.CELERY_BEAT_SCHEDULE = beat_every(every)
    assert ids() == ["W012"]


@pytest.mark.parametrize("every", [10, timedelta(minutes=1), crontab()])
def test_beat_that_is_fast__is_fine(site: Any, every: Any) -> None:
    site.CELERY_BEAT_SCHEDULE = beat_every(every)
    assert ids() == []


def test_eager_tasks__are_found_in_production(site: Any) -> None:
    site.CELERY_TASK_ALWAYS_EAGER = True
    assert ids() == ["W013"]
    site.DEBUG = True
    assert ids() == []


AFAR = {
    "CELERY_BROKER_URL": "amqp://shop:secret@rabbitmq.example.com:5672//",
    "CELERY_BROKER_CONNECTION_MAX_RETRIES": None,
    "CELERY_BROKER_CHANNEL_ERROR_RETRY": True,
}
"""A broker on another host, and what workers need to outlast a network that fails."""


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"CELERY_BROKER_URL": "redis://cache.example.com", "CELERY_BROKER_CHANNEL_ERROR_RETRY": False},
        {"CELERY_WORKER_ENABLE_REMOTE_CONTROL": False, "CELERY_BROKER_CHANNEL_ERROR_RETRY": False},
        {"CELERY_BROKER_URL": "amqp://127.0.0.1", "CELERY_BROKER_CHANNEL_ERROR_RETRY": False},
        {"CELERY_BROKER_URL": "amqp://[::1", "CELERY_BROKER_CHANNEL_ERROR_RETRY": False},
        {"CELERY_BROKER_URL": None, "CELERY_BROKER_CHANNEL_ERROR_RETRY": False},
        {"DEBUG": True, "CELERY_BROKER_CHANNEL_ERROR_RETRY": False},
    ],
)
def test_workers_that_outlast_their_network__are_fine(site: Any, changes: dict[str, Any]) -> None:
    for name, wanted in {**AFAR, **changes}.items():
        setattr(site, name, wanted)
    assert "W081" not in ids()


@pytest.mark.parametrize(
    ("changes", "missing"),
    [
        ({"CELERY_BROKER_CHANNEL_ERROR_RETRY": False}, "CELERY_BROKER_CHANNEL_ERROR_RETRY = True"),
        ({"CELERY_BROKER_CONNECTION_MAX_RETRIES": 100}, "CELERY_BROKER_CONNECTION_MAX_RETRIES = None"),
        (
            {"CELERY_BROKER_URL": ["amqp://localhost", "amqp://b.example.com"], "CELERY_BROKER_CHANNEL_ERROR_RETRY": 0},
            "CELERY_BROKER_CHANNEL_ERROR_RETRY = True",
        ),
    ],
)
def test_workers_that_their_network_can_end__are_found(site: Any, changes: dict[str, Any], missing: str) -> None:
    for name, given in {**AFAR, **changes}.items():
        setattr(site, name, given)
    assert ids() == ["W081"]
    assert f"Set {missing}" in str(the("W081").hint)
    assert "secret" not in the("W081").msg + str(the("W081").hint)


@pytest.mark.parametrize("accepted", [["pickle"], ["json", "application/x-python-serialize"]])
def test_workers_that_accept_pickles__are_found(site: Any, monkeypatch: pytest.MonkeyPatch, accepted: Any) -> None:
    monkeypatch.setitem(current_app.conf, "accept_content", accepted)
    assert ids() == ["W054"]


@pytest.mark.parametrize(("wish", "shown", "hint"), WISHES)
def test_handler_for_an_unknown_message__is_found(site: Any, wish: Any, shown: str, hint: str) -> None:
    @wish
    def handler(message: Any) -> None: ...

    assert ids() == ["W014"]
    assert f".handler is registered for {shown}, which" in the("W014").msg
    assert str(the("W014").hint).startswith(hint)


@pytest.mark.parametrize("wish", [on_message, on_event(), on_message("TEXT", "link"), on_event("CLICK", "location")])
def test_handler_for_what_comes__is_fine(site: Any, wish: Any) -> None:
    wish(lambda message: None)
    assert ids() == []

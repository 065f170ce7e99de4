"""Is work found that nobody does: no beat, no worker, or a handler that waits in vain?"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from celery import current_app
from celery.schedules import crontab

from tests.checks.mistakes import RENEW, WISHES, ids, ring, the
from wechat_open.messaging import on_event, on_message
from wechat_open.schedule import BEAT_SCHEDULE


@pytest.mark.parametrize("schedule", [{}, None, {"other": {"task": "shop.tasks.bill", "schedule": 60}}])
def test_beat_without_our_tasks__is_found(site: Any, schedule: Any) -> None:
    site.CELERY_BEAT_SCHEDULE = schedule
    assert ids() == ["W011"]


def test_site_that_runs_the_command__needs_no_beat(site: Any) -> None:
    site.CELERY_BEAT_SCHEDULE = ring(600)
    site.WECHAT_OPEN = {**site.WECHAT_OPEN, "WORKER": "run"}
    assert ids() == []


def test_hint_for_a_site_without_beat__names_the_setting(site: Any) -> None:
    site.CELERY_BEAT_SCHEDULE = {}
    assert 'WECHAT_OPEN["WORKER"] = "run"' in the("W011").hint


def test_beat_without_one_of_our_tasks__names_it(site: Any) -> None:
    site.CELERY_BEAT_SCHEDULE = {name: entry for name, entry in BEAT_SCHEDULE.items() if entry["task"] != RENEW}
    assert f"does not start {RENEW}:" in the("W011").msg


@pytest.mark.parametrize("every", [600, 600.0, timedelta(hours=1)])
def test_beat_that_rings_too_rarely__is_found(site: Any, every: Any) -> None:
    site.CELERY_BEAT_SCHEDULE = ring(every)
    assert ids() == ["W012"]


@pytest.mark.parametrize("every", [10, timedelta(minutes=1), crontab()])
def test_beat_that_rings_often__is_fine(site: Any, every: Any) -> None:
    site.CELERY_BEAT_SCHEDULE = ring(every)
    assert ids() == []


def test_eager_tasks__are_found_in_production(site: Any) -> None:
    site.CELERY_TASK_ALWAYS_EAGER = True
    assert ids() == ["W013"]
    site.DEBUG = True
    assert ids() == []


@pytest.mark.parametrize("accepted", [["pickle"], ["json", "application/x-python-serialize"]])
def test_workers_that_accept_pickles__are_found(site: Any, monkeypatch: pytest.MonkeyPatch, accepted: Any) -> None:
    monkeypatch.setitem(current_app.conf, "accept_content", accepted)
    assert ids() == ["W054"]


@pytest.mark.parametrize(("wish", "told", "hint"), WISHES)
def test_handler_for_what_nobody_knows__is_found(site: Any, wish: Any, told: str, hint: str) -> None:
    @wish
    def handler(message: Any) -> None: ...

    assert ids() == ["W014"]
    assert f".handler waits for {told}, which" in the("W014").msg
    assert str(the("W014").hint).startswith(hint)


@pytest.mark.parametrize("wish", [on_message, on_event(), on_message("TEXT", "link"), on_event("CLICK", "location")])
def test_handler_for_what_comes__is_fine(site: Any, wish: Any) -> None:
    wish(lambda message: None)
    assert ids() == []

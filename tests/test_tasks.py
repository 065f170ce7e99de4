"""Does each ring of beat reach the layer below, for every platform?"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from celery import current_app
from celery.contrib.testing.worker import start_worker

from tests.celery_app import app
from tests.stage import OFFICIAL, deliver
from wechat_open import doorbell, inbox, tasks
from wechat_open.component import Platform
from wechat_open.models import Authorizer, Push
from wechat_open.schedule import BEAT_SCHEDULE
from wechat_open.simulator import Simulator

Later = Callable[[timedelta], None]
REFRESH = "/cgi-bin/component/api_authorizer_token"
LIST = "/cgi-bin/component/api_get_authorizer_list"
START = "/cgi-bin/component/api_start_push_ticket"


@pytest.fixture
def two_platforms(wechat: Simulator, platform: Platform, settings: Any) -> None:
    """A second platform that WeChat does not know, named before the good one."""
    stranger = {**settings.WECHAT_OPEN["COMPONENTS"]["default"], "APPID": "wxstranger", "APPSECRET": "wrong"}
    settings.WECHAT_OPEN = {
        **settings.WECHAT_OPEN,
        "COMPONENTS": {"stranger": stranger, **settings.WECHAT_OPEN["COMPONENTS"]},
    }


class TestBodies:
    def test_renew_due_tokens__renews(self, wechat: Simulator, account: Authorizer) -> None:
        Authorizer.objects.update(next_action_at=account.access_token_obtained_at)
        tasks.renew_due_tokens()

        assert wechat.engine.calls[REFRESH] == 1

    def test_one_platforms_trouble__is_no_others(
        self,
        wechat: Simulator,
        account: Authorizer,
        two_platforms: None,
        caplog: pytest.LogCaptureFixture,
        later: Later,
    ) -> None:
        Authorizer.objects.update(next_action_at=account.access_token_obtained_at)
        later(timedelta(hours=1))
        tasks.renew_due_tokens()
        tasks.watch_tickets()

        assert wechat.engine.calls[REFRESH] == 1
        assert wechat.engine.calls[START] == 2
        assert "stranger" in caplog.text

    def test_process_push__processes_the_one(self, wechat: Simulator, platform: Platform) -> None:
        push = deliver(platform, wechat.engine.authorize(OFFICIAL).push)  # type: ignore[arg-type]
        tasks.process_push(push.pk)

        assert Authorizer.objects.get().state == Authorizer.State.AUTHORIZED

    def test_process_inbox__finds_what_the_broker_lost(self, wechat: Simulator, platform: Platform) -> None:
        deliver(platform, wechat.engine.authorize(OFFICIAL).push)  # type: ignore[arg-type]
        tasks.process_inbox()

        assert Push.objects.get().state == Push.State.DONE

    def test_watch_tickets__asks_wechat_when_they_stay_away(
        self, wechat: Simulator, platform: Platform, later: Later
    ) -> None:
        tasks.watch_tickets()
        assert wechat.engine.calls[START] == 0

        later(timedelta(minutes=31))
        tasks.watch_tickets()
        assert wechat.engine.calls[START] == 1

    def test_sync_profiles__reads_what_is_missing(self, wechat: Simulator, account: Authorizer) -> None:
        Authorizer.objects.update(nick_name="", profile_synced_at=None)
        tasks.sync_profiles()

        account.refresh_from_db()
        assert account.nick_name == "Corner Shop"

    def test_announce__sends_what_is_owed(self, account: Authorizer) -> None:
        Authorizer.objects.update(needs_announcing=True)
        tasks.announce()

        account.refresh_from_db()
        assert not account.needs_announcing

    def test_sweep__reads_wechats_list_once_an_hour(self, wechat: Simulator, account: Authorizer, later: Later) -> None:
        tasks.sweep()
        tasks.sweep()
        assert wechat.engine.calls[LIST] == 1

        later(timedelta(minutes=61))
        tasks.sweep()
        assert wechat.engine.calls[LIST] == 2

    def test_prune__deletes_what_served_its_time(self, account: Authorizer, later: Later) -> None:
        later(timedelta(days=400))
        tasks.prune()

        assert not Push.objects.exists()


class TestSchedule:
    def test_every_ring__reaches_a_task(self) -> None:
        for name, entry in BEAT_SCHEDULE.items():
            assert entry["task"] in current_app.tasks
            assert name.removeprefix("wechat_open.") == entry["task"].rpartition(".")[2]

    def test_every_task__is_rung_or_is_called_for_one_push_or_message(self) -> None:
        known = {name for name in current_app.tasks if name.startswith("wechat_open.")}

        called = {f"wechat_open.tasks.{name}" for name in ("process_push", "run_bulk_job", "answer_later")}
        assert known == {entry["task"] for entry in BEAT_SCHEDULE.values()} | called

    def test_rings__do_not_pile_up_and_keep_no_result(self) -> None:
        for entry in BEAT_SCHEDULE.values():
            assert 10 <= entry["options"]["expires"] <= max(10, entry["schedule"])
            assert entry["options"]["ignore_result"]
            assert current_app.tasks[entry["task"]].ignore_result


def test_worker__does_what_the_doorbell_asks(
    transactional_db: None, wechat: Simulator, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doorbell, "_failed_at", float("-inf"))
    app.control.purge()
    push = deliver(platform, wechat.engine.authorize(OFFICIAL).push)  # type: ignore[arg-type]

    with start_worker(app, perform_ping_check=False, pool="solo"):
        assert doorbell.ring("wechat_open.tasks.process_push", push.pk)
        ends_at = time.monotonic() + 10
        while not Authorizer.objects.exclude(access_token="").exists() and time.monotonic() < ends_at:
            time.sleep(0.05)

    push.refresh_from_db()
    assert push.state == Push.State.DONE
    assert not inbox.process(push.pk)


def test_platform_with_a_bad_setting__does_not_starve_the_others(
    wechat: Simulator, account: Authorizer, settings: Any, later: Later
) -> None:
    broken = {**settings.WECHAT_OPEN["COMPONENTS"]["default"], "ENCODING_AES_KEY": "too short"}
    components = {"broken": broken, **settings.WECHAT_OPEN["COMPONENTS"]}
    settings.WECHAT_OPEN = {**settings.WECHAT_OPEN, "COMPONENTS": components}
    later(timedelta(minutes=100))

    tasks.renew_due_tokens()

    assert wechat.engine.calls["/cgi-bin/component/api_authorizer_token"] == 1

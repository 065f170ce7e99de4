"""Celery's tasks: each calls the layer below, the periodic ones for every platform."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from celery import current_app
from celery.contrib.testing.worker import start_worker

from tests.celery_app import app
from tests.stage import OFFICIAL, deliver
from wechat_open import authorization, broker, inbox, tasks
from wechat_open.authorization import codes
from wechat_open.client.reachability import IN_A_ROW, REACHABILITY
from wechat_open.models import Authorizer, Component, Push
from wechat_open.platforms import Platform
from wechat_open.schedule import BEAT_SCHEDULE, PERIODS
from wechat_open.secret import Secret
from wechat_open.simulator import Simulator
from wechat_open.tokens import component_token

Later = Callable[[timedelta], None]
REFRESH = "/cgi-bin/component/api_authorizer_token"
LIST = "/cgi-bin/component/api_get_authorizer_list"
START = "/cgi-bin/component/api_start_push_ticket"


@pytest.fixture(autouse=True)
def _broker_is_tried() -> None:
    broker.forget()


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

    def test_failing_platform__does_not_stop_the_others(
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

    def test_finish_exchanges__exchanges_what_a_killed_worker_left(self, wechat: Simulator, platform: Platform) -> None:
        link = authorization.begin()
        page = authorization.offer(link, browser="browser", base_url="https://site.example")
        asked = dict(parse_qsl(urlsplit(page.pc_url).query))
        code = wechat.engine.authorize(OFFICIAL, pre_auth_code=asked["pre_auth_code"]).code
        codes.bind_to_view(platform, Secret(code), page.attempt)
        tasks.finish_exchanges()

        assert Authorizer.objects.get().granted_through == link

    def test_sync_profiles__reads_what_is_missing(self, wechat: Simulator, account: Authorizer) -> None:
        Authorizer.objects.update(nick_name="", profile_synced_at=None)
        tasks.sync_profiles()

        account.refresh_from_db()
        assert account.nick_name == "Corner Shop"

    def test_announce__sends_signals_that_are_due(self, account: Authorizer) -> None:
        Authorizer.objects.update(needs_announcing=True)
        tasks.announce()

        account.refresh_from_db()
        assert not account.needs_announcing

    def test_reconcile__reads_wechats_list_once_an_hour(
        self, wechat: Simulator, account: Authorizer, later: Later
    ) -> None:
        tasks.reconcile()
        tasks.reconcile()
        assert wechat.engine.calls[LIST] == 1

        later(timedelta(minutes=61))
        tasks.reconcile()
        assert wechat.engine.calls[LIST] == 2

    def test_prune__deletes_old_rows(self, account: Authorizer, later: Later) -> None:
        later(timedelta(days=400))
        tasks.prune()

        assert not Push.objects.exists()


def lose_wechat() -> None:
    for _ in range(IN_A_ROW):
        REACHABILITY.unanswered()


class TestHandingOn:
    """A task that comes to a process without answers from WeChat is sent again, a few times."""

    @pytest.fixture
    def sent(self, monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
        """What the broker gets."""
        sent: list[tuple[Any, ...]] = []

        def publish(app: Any, producer: Any, task: str, arguments: tuple[Any, ...], *rest: Any) -> None:
            sent.append((task, *arguments))

        monkeypatch.setattr(broker, "_publish", publish)
        return sent

    @pytest.mark.parametrize("name", ["renew_due_tokens", "process_inbox"])
    def test_round__is_sent_again_and_done_in_the_end(
        self, wechat: Simulator, account: Authorizer, sent: list[tuple[Any, ...]], name: str
    ) -> None:
        lose_wechat()
        Component.objects.update(heartbeat_at=None)
        Push.objects.update(state=Push.State.RECEIVED, next_attempt_at=account.access_token_obtained_at)
        task, times = getattr(tasks, name), tasks.HANDED_ON_AT_MOST
        for handed_on in range(times):
            task(handed_on)
        assert sent == [(f"wechat_open.tasks.{name}", number) for number in range(1, times + 1)]
        assert not Push.objects.filter(state=Push.State.DONE).exists()
        assert Component.objects.get().heartbeat_at is None

        task(times)
        assert len(sent) == times
        assert Push.objects.filter(state=Push.State.DONE).exists() or Component.objects.get().heartbeat_at

    def test_push__is_sent_again_with_its_key(
        self, wechat: Simulator, platform: Platform, sent: list[tuple[Any, ...]]
    ) -> None:
        component_token(platform)
        lose_wechat()
        push = deliver(platform, wechat.engine.authorize(OFFICIAL).push)  # type: ignore[arg-type]
        tasks.process_push(push.pk)
        assert sent == [("wechat_open.tasks.process_push", push.pk, 1)]

        tasks.process_push(push.pk, tasks.HANDED_ON_AT_MOST)
        push.refresh_from_db()
        assert push.state == Push.State.DONE

    def test_broker_that_does_not_take_it__leaves_it_to_this_process(
        self, wechat: Simulator, account: Authorizer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(*arguments: Any) -> None:
            raise ConnectionError

        lose_wechat()
        monkeypatch.setattr(broker, "_publish", fail)
        tasks.reconcile()

        assert wechat.engine.calls[LIST] == 1

    def test_process_that_gets_answers__sends_nothing(
        self, wechat: Simulator, account: Authorizer, sent: list[tuple[Any, ...]]
    ) -> None:
        tasks.reconcile()

        assert wechat.engine.calls[LIST] == 1
        assert not sent


class TestSchedule:
    def test_every_interval__is_of_a_periodic_job_and_the_reverse(self) -> None:
        assert set(PERIODS) == set(tasks.PERIODIC_JOBS)

    def test_every_entry__names_a_task(self) -> None:
        for name, entry in BEAT_SCHEDULE.items():
            assert entry["task"] in current_app.tasks
            assert name.removeprefix("wechat_open.") == entry["task"].rpartition(".")[2]

    def test_every_task__is_periodic_or_is_sent_for_one_row_or_message(self) -> None:
        known = {name for name in current_app.tasks if name.startswith("wechat_open.")}

        called = {f"wechat_open.tasks.{name}" for name in ("process_push", "run_bulk_job", "answer_later")}
        assert known == {entry["task"] for entry in BEAT_SCHEDULE.values()} | called

    def test_entries__do_not_pile_up_and_keep_no_result(self) -> None:
        for entry in BEAT_SCHEDULE.values():
            assert 10 <= entry["options"]["expires"] <= max(10, entry["schedule"])
            assert entry["options"]["ignore_result"]
            assert current_app.tasks[entry["task"]].ignore_result


def test_worker__does_the_task_that_is_sent(
    transactional_db: None, wechat: Simulator, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker.forget()
    app.control.purge()
    push = deliver(platform, wechat.engine.authorize(OFFICIAL).push)  # type: ignore[arg-type]

    with start_worker(app, perform_ping_check=False, pool="solo"):
        assert broker.send_task("wechat_open.tasks.process_push", push.pk)
        ends_at = time.monotonic() + 10
        while not Authorizer.objects.exclude(access_token="").exists() and time.monotonic() < ends_at:
            time.sleep(0.05)

    push.refresh_from_db()
    assert push.state == Push.State.DONE
    assert not inbox.process(push.pk)


def test_platform_with_a_bad_setting__does_not_stop_the_others(
    wechat: Simulator, account: Authorizer, settings: Any, later: Later
) -> None:
    broken = {**settings.WECHAT_OPEN["COMPONENTS"]["default"], "ENCODING_AES_KEY": "too short"}
    components = {"broken": broken, **settings.WECHAT_OPEN["COMPONENTS"]}
    settings.WECHAT_OPEN = {**settings.WECHAT_OPEN, "COMPONENTS": components}
    later(timedelta(minutes=100))

    tasks.renew_due_tokens()

    assert wechat.engine.calls["/cgi-bin/component/api_authorizer_token"] == 1

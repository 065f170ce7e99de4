"""What a process that lives for long does when rows were deleted and made again under it, or settings have changed."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from django.apps import apps
from django.core.cache import cache
from django.db import IntegrityError, connection
from django.test import Client
from django.utils import timezone

from tests.environments import FakeTime, in_environment
from tests.stage import OFFICIAL, deliver
from wechat_open import api, platforms, tasks, tokens
from wechat_open.api import AuthorizerAPI, ComponentAPI
from wechat_open.api.runner import REMEMBERED
from wechat_open.db.leases import unchanged
from wechat_open.exceptions import Unreachable, WeChatOpenError
from wechat_open.management.runner import Loop, all_jobs
from wechat_open.models import Authorizer, Component, Push
from wechat_open.platforms import Platform
from wechat_open.schedule import PERIODS
from wechat_open.simulator import Simulator
from wechat_open.simulator.state.engine import Push as FromWeChat
from wechat_open.stores.authorizers import AuthorizerStore
from wechat_open.stores.pushes import PushStore
from wechat_open.tokens import policy

FOLLOWERS = "/cgi-bin/user/get"


def delete_everything() -> None:
    for model in (Push, Authorizer, Component):
        model.objects.all().delete()
    cache.clear()


@pytest.fixture
def another_world(wechat: Simulator, account: Authorizer) -> Callable[[], None]:
    """Deletes every row; then a ticket comes, and the platform's row has another key."""

    def change() -> None:
        before = Component.objects.get().pk
        delete_everything()
        Component(pk=before, appid="wxstranger").save()
        deliver(platforms.get(), wechat.engine.new_ticket())
        Component.objects.filter(appid="wxstranger").delete()
        assert Component.objects.get().pk != before

    return change


def whole(wechat: Simulator) -> bool:
    """Whether the account is here again, with tokens."""
    row = Authorizer.objects.filter(appid=OFFICIAL).first()
    grant = wechat.engine.accounts[OFFICIAL].grant
    return bool(row and grant and row.access_token and row.reveal("refresh_token").reveal() == grant.refresh_token)


class TestRun:
    def test_next_round__works_with_the_new_row(
        self, wechat: Simulator, another_world: Callable[[], None], caplog: pytest.LogCaptureFixture
    ) -> None:
        said: list[str] = []
        loop = Loop(all_jobs(["default"]), say=said.append, complain=pytest.fail)
        assert loop.once()
        another_world()
        caplog.clear()

        assert loop.once()
        assert loop.once()

        assert whole(wechat)
        row = Component.objects.get()
        assert row.heartbeat_at and row.beat_at and row.reconciled_at and row.access_token
        assert "unexpectedly" not in caplog.text

    @pytest.mark.fault("F26")
    def test_emptied_database__is_no_error_that_lasts(
        self, wechat: Simulator, account: Authorizer, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Until the next ticket comes there is nothing to work with, and the loop says so."""
        said: list[str] = []
        loop = Loop(all_jobs(["default"]), say=said.append, complain=said.append)
        loop.once()
        delete_everything()
        loop.once()
        deliver(platforms.get(), wechat.engine.new_ticket())

        assert loop.once() and loop.once()
        assert whole(wechat)
        assert "unexpectedly" not in caplog.text

    def test_changed_settings__hold_in_the_next_round(
        self, wechat: Simulator, account: Authorizer, settings: Any
    ) -> None:
        complaints: list[str] = []
        jobs = [job for job in all_jobs(["default"]) if job.name == "announce"]
        loop = Loop(jobs, say=len, complain=complaints.append)
        right = settings.WECHAT_OPEN
        wrong = {**right["COMPONENTS"]["default"], "ENCODING_AES_KEY": "too short"}
        settings.WECHAT_OPEN = {**right, "COMPONENTS": {"default": wrong}}
        assert not loop.once()
        settings.WECHAT_OPEN = right
        assert loop.once()
        assert len(complaints) == 1 and "ENCODING_AES_KEY" in complaints[0]


class TestWorkers:
    @pytest.mark.parametrize("name", list(PERIODS))
    def test_each_task__works_with_the_new_row(
        self, another_world: Callable[[], None], name: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        getattr(tasks, name)()
        another_world()
        caplog.clear()

        getattr(tasks, name)()

        assert not [record for record in caplog.records if record.exc_info]
        assert "failed" not in caplog.text

    def test_all_tasks__make_the_platform_whole_again(
        self, wechat: Simulator, another_world: Callable[[], None]
    ) -> None:
        another_world()
        for _round in range(2):
            for name in PERIODS:
                getattr(tasks, name)()
        assert whole(wechat)


class TestSiteCode:
    """It may keep what ``api.authorizer`` and ``api.component`` returned, in a module say."""

    def test_kept_calls__work_with_the_new_row(
        self, wechat: Simulator, platform: Platform, account: Authorizer, another_world: Callable[[], None]
    ) -> None:
        clock = FakeTime()
        kept = in_environment(platform, clock.environment)
        calls, component_calls = AuthorizerAPI(kept, OFFICIAL), ComponentAPI(kept)
        calls.get(FOLLOWERS)
        another_world()
        clock.sleep(REMEMBERED)
        tasks.reconcile()

        calls.get(FOLLOWERS)
        assert component_calls.create_preauthcode()
        assert calls.platform.environment is clock.environment

    def test_kept_calls__follow_the_settings(self, platform: Platform, settings: Any) -> None:
        clock = FakeTime()
        calls = ComponentAPI(in_environment(platform, clock.environment))
        changed = {**settings.WECHAT_OPEN["COMPONENTS"]["default"], "APPSECRET": "another one"}
        settings.WECHAT_OPEN = {**settings.WECHAT_OPEN, "COMPONENTS": {"default": changed}}

        assert calls.platform.appsecret == platform.appsecret
        clock.sleep(REMEMBERED)
        assert calls.platform.appsecret.reveal() == "another one"

    def test_account_that_was_made_again__is_called_for(
        self, wechat: Simulator, platform: Platform, account: Authorizer
    ) -> None:
        calls = AuthorizerAPI(platform, OFFICIAL)
        calls.get(FOLLOWERS)
        Authorizer.objects.all().delete()
        Authorizer.objects.create(component=platform.row, appid="wxother")
        cache.clear()
        Component.objects.update(reconcile_due_at=None)
        tasks.reconcile()
        tasks.renew_due_tokens()

        calls.get(FOLLOWERS)
        assert Authorizer.objects.get(appid=OFFICIAL).pk != account.pk


class TestCallbacks:
    def test_push__is_stored_for_the_new_row(
        self, wechat: Simulator, client: Client, another_world: Callable[[], None]
    ) -> None:
        another_world()
        wechat.engine.authorize(OFFICIAL)
        tasks.process_inbox()
        tasks.reconcile()

        assert Authorizer.objects.get().component == Component.objects.get()


class DeleteBefore:
    """Deletes every row before the statement of this number."""

    def __init__(self, number: int) -> None:
        self.left = number

    def __call__(self, execute: Any, *statement: Any) -> Any:
        self.left -= 1
        if not self.left:
            delete_everything()
        return execute(*statement)


WORK: dict[str, Callable[[], object]] = {
    "a call for an account": lambda: api.authorizer(OFFICIAL).get(FOLLOWERS),
    "a call for the platform": lambda: api.component().create_preauthcode(),
    "renewals": lambda: tokens.run_due(platforms.get()),
    "one renewal": lambda: tokens.AuthorizerKeeper(platforms.get(), OFFICIAL).renew_now(),
    "the comparison": lambda: tokens.reconcile(platforms.get()),
    "a push": lambda: deliver(platforms.get(), FromWeChat({"CreateTime": 1700000000, "InfoType": "wxa_news"})),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", WORK)
def test_rows_that_are_deleted_between_two_statements__end_in_an_error_of_ours(
    wechat: Simulator, platform: Platform, account: Authorizer, name: str
) -> None:
    for number in range(1, 100):
        deliver(platforms.get(), wechat.engine.new_ticket())
        tokens.reconcile(platforms.get())
        Authorizer.objects.update(next_action_at=account.access_token_obtained_at)
        cache.clear()
        delete = DeleteBefore(number)
        with connection.execute_wrapper(delete), suppress(WeChatOpenError, IntegrityError):
            WORK[name]()
        for model in apps.get_app_config("wechat_open").get_models():
            model.objects.all().delete()  # SQLite would find rows of the deleted ones at the end of the transaction
        if delete.left > 0:
            return
    pytest.fail("It has more statements than were tried.")


class TestKeysThatAreGivenAgain:
    """A database that was emptied counts from one again: a late writer must not take another row for its own."""

    def test_late_renewal__does_not_write_to_another_account(self, platform: Platform, account: Authorizer) -> None:
        store = AuthorizerStore(platform.row)
        lease = store.take(store.read(OFFICIAL))
        assert lease is not None
        columns = {"fence": lease.fence, "grant_epoch": lease.grant_epoch}
        Authorizer.objects.all().delete()
        other = Authorizer.objects.create(pk=lease.pk, component=platform.row, appid="wxother", **columns)

        assert not store.release(lease, policy.LAST_RETRY)
        assert not store.fail(lease, Unreachable("/cgi-bin/x", "no answer"), policy.LAST_RETRY)
        other.refresh_from_db()
        assert (other.failures, other.fence) == (0, lease.fence)

    def test_late_worker__does_not_end_another_push(self, platform: Platform) -> None:
        now = timezone.now()
        times = {"created_at": now, "received_at": now, "next_attempt_at": now}
        mine = Push.objects.create(component=platform.row, digest="mine", **times)
        store = PushStore(platform.row)
        taken = store.take(mine.pk)
        assert taken is not None and unchanged(taken).exists()
        Push.objects.all().delete()
        Push.objects.create(pk=mine.pk, component=platform.row, digest="another", fence=taken.fence, **times)

        assert not store.done(taken)
        assert Push.objects.get().state == Push.State.RECEIVED

"""Rounds of background jobs: they end by themselves, and one item that fails keeps no other from its turn."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import OperationalError
from django.utils import timezone

from tests.environments import FakeTime
from tests.stage import deliver
from wechat_open import audit, authorization, health, inbox, rounds, signals, tasks, tokens
from wechat_open.exceptions import EncryptionError, Unreachable
from wechat_open.health import alerts
from wechat_open.models import Alert, AuditEntry, Authorizer, BulkJob, Push
from wechat_open.operations import jobs
from wechat_open.operations.accounts import Refresh
from wechat_open.platforms import Platform
from wechat_open.rounds import NO_DEADLINE, Deadline, delete, each
from wechat_open.simulator import Simulator

Grant = Callable[..., Authorizer]


class TestDeadline:
    def test_passes__when_its_time_is_over(self) -> None:
        clock = FakeTime()
        deadline = Deadline.after(8, clock.timing.monotonic)
        clock.sleep(7)
        assert (deadline.left, deadline.passed) == (1, False)
        clock.sleep(1)
        assert (deadline.left, deadline.passed) == (0, True)

    def test_passes__when_the_process_is_to_stop(self) -> None:
        stopped: list[bool] = []
        deadline = Deadline.after(8, stopped=lambda: bool(stopped))
        assert not deadline.passed
        stopped.append(True)
        assert (deadline.left, deadline.passed) == (0, True)

    def test_share__begins_now_and_is_a_part_of_the_whole(self) -> None:
        clock = FakeTime()
        deadline = Deadline.after(8, clock.timing.monotonic)
        clock.sleep(8)
        assert deadline.share(4).left == 2

    def test_none__never_passes(self) -> None:
        assert not NO_DEADLINE.passed
        assert not NO_DEADLINE.share(3).passed


class TestEach:
    def test_failing_item__is_logged_and_the_others_are_done(self, caplog: pytest.LogCaptureFixture) -> None:
        failures = {
            2: AttributeError("a site's bug"),
            3: Unreachable("/cgi-bin/x", "no answer"),
            4: EncryptionError(""),
        }

        def work(item: int) -> bool:
            if item in failures:
                raise failures[item]
            return True

        assert each(range(6), work, what="Item %s failed") == 3
        assert [record.getMessage()[:13] for record in caplog.records] == [
            "Item 2 failed",
            "Item 3 failed",
            "Item 4 failed",
        ]
        assert caplog.records[0].exc_info is not None

    def test_lost_database__ends_the_round(self) -> None:
        done = []

        def work(item: int) -> int:
            done.append(item)
            raise OperationalError("the server closed the connection")

        with pytest.raises(OperationalError):
            each(range(6), work, what="Item %s failed")
        assert done == [0]

    def test_row_that_was_deleted_meanwhile__is_left_out(self, caplog: pytest.LogCaptureFixture) -> None:
        def work(item: int) -> int:
            if item == 1:
                raise Authorizer.DoesNotExist
            return item

        assert each(range(3), work, what="Item %s failed") == 2
        assert not [record for record in caplog.records if record.levelno > logging.INFO]

    def test_time_that_is_over__ends_it_after_one_item_at_least(self) -> None:
        clock = FakeTime()
        done = []

        def work(item: int) -> bool:
            clock.sleep(5)
            done.append(item)
            return True

        assert each(range(6), work, Deadline.after(8, clock.timing.monotonic), what="%s") == 2
        assert each(range(6), work, Deadline.after(0, clock.timing.monotonic), what="%s") == 1
        assert each(range(6), work, Deadline(stopped=lambda: True), what="%s") == 0


class TestJobs:
    """What each job does until its deadline."""

    @pytest.fixture
    def shops(self, wechat: Simulator, grant: Grant) -> list[Authorizer]:
        names = [f"wx{number:016x}" for number in range(4)]
        for name in names:
            wechat.engine.add_account(f"Shop {name}", "official", appid=name)
        return [grant(name) for name in names]

    def over_after(self, items: int) -> tuple[Deadline, Callable[..., None]]:
        """A deadline that passes with so many calls of the function."""
        clock = FakeTime()
        return Deadline.after(items, clock.timing.monotonic), lambda *_what, **_how: clock.sleep(1)

    def test_inbox__leaves_the_rest_to_the_next_round(self, wechat: Simulator, platform: Platform) -> None:
        for number in range(4):
            name = f"wx{number:016x}"
            wechat.engine.add_account(f"Shop {name}", "official", appid=name)
            deliver(platform, wechat.engine.authorize(name).push)  # type: ignore[arg-type]
        deadline, pass_time = self.over_after(2)
        signals.push_received.connect(pass_time)
        try:
            assert inbox.process_due(deadline=deadline) == 2
            assert inbox.process_due() == 2
        finally:
            signals.push_received.disconnect(pass_time)

    def test_announcements__leave_the_rest_to_the_next_round(self, platform: Platform, shops: list[Authorizer]) -> None:
        Authorizer.objects.update(needs_announcing=True, announced_epoch=0)
        deadline, pass_time = self.over_after(3)
        signals.authorizer_authorized.connect(pass_time)
        try:
            assert authorization.announce_all(platform, deadline=deadline) == 3
            assert authorization.announce_all(platform) == 1
        finally:
            signals.authorizer_authorized.disconnect(pass_time)

    def test_profiles__leave_the_rest_to_the_next_round(
        self, wechat: Simulator, platform: Platform, shops: list[Authorizer]
    ) -> None:
        Authorizer.objects.update(profile_synced_at=None, announced_func_info=[1])
        deadline, pass_time = self.over_after(1)
        signals.authorizer_updated.connect(pass_time)
        try:
            assert authorization.sync_missing_profiles(platform, deadline=deadline) == 1
            assert authorization.sync_missing_profiles(platform) == 3
        finally:
            signals.authorizer_updated.disconnect(pass_time)

    def test_renewals__give_back_what_they_have_not_begun(
        self, wechat: Simulator, platform: Platform, shops: list[Authorizer]
    ) -> None:
        due_at = shops[0].access_token_obtained_at
        Authorizer.objects.update(next_action_at=due_at)

        def stopped() -> bool:
            return wechat.engine.calls["/cgi-bin/component/api_authorizer_token"] >= 2

        assert tokens.run_due(platform, stopped=stopped).renewed == 2
        left = Authorizer.objects.filter(next_action_at__lte=timezone.now())
        assert left.filter(leased_until=None).count() == 2
        assert tokens.run_due(platform).renewed == 2

    def test_bulk_actions__continue_when_one_of_them_fails(
        self, platform: Platform, shops: list[Authorizer], monkeypatch: pytest.MonkeyPatch, caplog: Any
    ) -> None:
        broken, good = (jobs.start(Refresh(), [row.pk for row in shops], user=None, wake=False) for _ in range(2))
        BulkJob.objects.filter(pk=broken.pk).update(targets=["no key"] * 4)

        assert jobs.run_open() >= 4
        assert BulkJob.objects.get(pk=good.pk).done == 4

    def test_alerts__of_one_platform_are_sent_when_another_one_cannot_be_examined(
        self, platform: Platform, settings: Any, later: Any, monkeypatch: pytest.MonkeyPatch, caplog: Any
    ) -> None:
        later(timedelta(hours=3))
        examine = health.examine

        def examine_some(platform: Platform, **how: Any) -> Any:
            """A check has a bug: there is none to wait for."""
            return examine(platform, **how) if platform.alias != "broken" else 1 / 0

        monkeypatch.setattr(health, "examine", examine_some)
        broken = {**settings.WECHAT_OPEN["COMPONENTS"]["default"], "APPID": "wxbroken"}
        components = {"broken": broken, **settings.WECHAT_OPEN["COMPONENTS"]}
        settings.WECHAT_OPEN = {**settings.WECHAT_OPEN, "COMPONENTS": components}

        alerts.watch()

        assert Alert.objects.filter(alias="default").exists()
        assert "Platform 'broken' could not be examined" in caplog.text

    def test_prune__deletes_what_can_be_deleted_when_one_kind_fails(
        self, platform: Platform, monkeypatch: pytest.MonkeyPatch, later: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        audit.record(audit.Kind.TICKETS_REQUESTED, platform.row)

        def fail(deadline: Deadline) -> int:
            raise UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte")

        monkeypatch.setattr(inbox, "prune", fail)
        later(timedelta(days=400))
        tasks.prune()

        assert not AuditEntry.objects.exists()
        assert "Old pushes could not be deleted" in caplog.text


class TestDelete:
    @pytest.fixture(autouse=True)
    def _five_pushes(self, platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
        now = timezone.now()
        Push.objects.bulk_create(
            Push(component=platform.row, digest=f"d{number}", created_at=now, received_at=now) for number in range(5)
        )
        monkeypatch.setattr(rounds, "AT_ONCE", 2)

    def test_rows__are_deleted_in_batches(self, django_assert_num_queries: Any) -> None:
        assert delete(Push.objects.all()) == 5
        assert not Push.objects.exists()

    def test_time_that_is_over__leaves_the_rest(self) -> None:
        deadline = Deadline.after(1.5, iter(range(100)).__next__)
        assert delete(Push.objects.all(), deadline) == 2
        assert Push.objects.count() == 3


class TestCelery:
    def test_platforms__share_the_time_of_a_task(
        self, wechat: Simulator, platform: Platform, settings: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        second = {**settings.WECHAT_OPEN["COMPONENTS"]["default"], "APPID": "wxsecond"}
        components = {**settings.WECHAT_OPEN["COMPONENTS"], "second": second}
        settings.WECHAT_OPEN = {**settings.WECHAT_OPEN, "COMPONENTS": components}
        left = []

        def work(platform: Platform, *, deadline: Deadline) -> int:
            left.append(round(deadline.left))
            raise AttributeError("a site's bug")

        monkeypatch.setattr(authorization, "announce_all", work)
        tasks.announce()

        assert left == [4, 4]

    def test_every_task_but_one__is_ended_when_it_hangs(self) -> None:
        """A handler that answers later carries its message with it: nothing would do that again."""
        ours = {name: task for name, task in tasks.process_push.app.tasks.items() if name.startswith("wechat_open.")}
        without = [name for name, task in ours.items() if not (task.soft_time_limit and task.time_limit)]

        assert without == ["wechat_open.tasks.answer_later"]
        assert all(task.soft_time_limit < task.time_limit for name, task in ours.items() if name not in without)

"""Whatever is due is renewed, by one worker at a time, and slowly enough."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from django.core.cache import cache
from django.db import DataError, InternalError, OperationalError, connection
from django.db.models import F

from tests import poison
from tests.environments import FakeTime, in_environment
from tests.stage import deliver
from wechat_open import tokens
from wechat_open.db import clock
from wechat_open.environment import Environment
from wechat_open.models import Authorizer, Component
from wechat_open.platforms import Platform
from wechat_open.simulator import Simulator
from wechat_open.stores.component import RENEWALS_LEASE
from wechat_open.tokens import renewals
from wechat_open.tokens.renewals import Limiter, RenewalReport, run_due
from wechat_open.tokens.tickets import ticket_arrived

Later = Callable[[timedelta], None]
REFRESH = "/cgi-bin/component/api_authorizer_token"
COMPONENT_TOKEN = "/cgi-bin/component/api_component_token"
LONG_AGO = datetime(2020, 1, 1, tzinfo=timezone.utc)


@pytest.fixture
def shops(wechat: Simulator, platform: Platform, grant: Callable[..., Authorizer]) -> list[str]:
    """Five accounts, all due, the first one longest."""
    appids = [f"wxshop{number}" for number in range(5)]
    for number, appid in enumerate(appids):
        wechat.engine.add_account(f"Shop {number}", "official", appid=appid)
        grant(appid)
        Authorizer.objects.filter(appid=appid).update(next_action_at=LONG_AGO + timedelta(hours=number))
    return appids


def refreshed() -> set[str]:
    """The accounts that are no longer due."""
    return set(Authorizer.objects.filter(next_action_at__gt=clock.now()).values_list("appid", flat=True))


class TestRunning:
    def test_everything_due__is_renewed(self, wechat: Simulator, platform: Platform, shops: list[str]) -> None:
        assert run_due(platform) == RenewalReport(renewed=5)
        assert refreshed() == set(shops)
        assert wechat.engine.calls[REFRESH] == 5

    def test_second_run__renews_nothing(self, wechat: Simulator, platform: Platform, shops: list[str]) -> None:
        run_due(platform)

        assert run_due(platform) == RenewalReport()
        assert wechat.engine.calls[REFRESH] == 5

    def test_more_than_a_batch__is_renewed_in_several(
        self, platform: Platform, shops: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(renewals, "BATCH", 2)

        assert run_due(platform) == RenewalReport(renewed=5)

    def test_when_time_is_up__the_remaining_rows_stay_due(
        self, platform: Platform, shops: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(renewals, "BATCH", 2)
        fake_time = FakeTime()

        # The second call of a batch waits 1/60 s for its turn, and then the time is up.
        assert run_due(in_environment(platform, fake_time.environment), seconds=0.01) == RenewalReport(renewed=2)
        assert refreshed() == {"wxshop0", "wxshop1"}
        assert not Authorizer.objects.filter(leased_until__isnull=False).exists()

    def test_several_threads__renew_each_account_once(
        self, transactional_db: None, wechat: Simulator, platform: Platform, shops: list[str], settings: Any
    ) -> None:
        settings.WECHAT_OPEN = {**settings.WECHAT_OPEN, "RENEWAL_THREADS": 3}

        assert run_due(platform) == RenewalReport(renewed=5)
        assert refreshed() == set(shops)
        assert wechat.engine.calls[REFRESH] == 5

    def test_nothing_due__costs_no_call(self, wechat: Simulator, platform: Platform) -> None:
        tokens.component_token(platform)
        calls = sum(wechat.engine.calls.values())

        assert run_due(platform) == RenewalReport()
        assert sum(wechat.engine.calls.values()) == calls


class TestRenewalsLease:
    def test_taken_lease__lets_no_other_worker_renew(
        self, wechat: Simulator, platform: Platform, shops: list[str]
    ) -> None:
        Component.objects.update(renewals_leased_until=clock.now() + timedelta(seconds=30))

        assert run_due(platform) == RenewalReport()
        assert wechat.engine.calls[REFRESH] == 0

    def test_lease__is_released(self, platform: Platform, shops: list[str]) -> None:
        run_due(platform)

        platform.row.refresh_from_db()
        assert platform.row.renewals_leased_until is None
        assert platform.row.heartbeat_at is not None

    def test_lease__is_released_after_a_crash(
        self, platform: Platform, shops: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        fake_time = FakeTime()

        def crash() -> float:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            run_due(
                in_environment(platform, replace(fake_time.environment, timing=replace(fake_time.timing, jitter=crash)))
            )
        platform.row.refresh_from_db()
        assert platform.row.renewals_leased_until is None

    def test_lease_of_a_killed_worker__ends_by_itself(self, platform: Platform, shops: list[str], later: Later) -> None:
        Component.objects.update(renewals_leased_until=clock.now() + RENEWALS_LEASE.length)
        later(RENEWALS_LEASE.length + timedelta(seconds=1))

        assert run_due(platform).renewed == 5

    def test_worker_that_was_paused_longer_than_its_lease__leaves_the_lease_of_the_next(
        self, platform: Platform, later: Later
    ) -> None:
        store = platform.environment.component_store(platform.row)
        paused = store.take_renewals()
        later(RENEWALS_LEASE.length + timedelta(seconds=1))
        second = store.take_renewals()
        assert paused is not None and second is not None
        before = Component.objects.values().get()

        assert not store.extend_renewals(paused)
        assert not store.release_renewals(paused)
        assert Component.objects.values().get() == before
        assert store.extend_renewals(second) and store.release_renewals(second)

    def test_run_that_was_paused_too_long__stops_after_its_batch(
        self, platform: Platform, shops: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(renewals, "BATCH", 2)
        until = clock.now() + timedelta(seconds=30)

        def pause() -> None:  # and another worker takes the lease
            Component.objects.update(renewals_leased_until=until, renewals_fence=F("renewals_fence") + 1)

        assert run_due(in_environment(platform, FakeTime(pause).environment)) == RenewalReport(renewed=2)
        assert Component.objects.filter(renewals_leased_until__gt=clock.now()).exists()

    def test_lease_on_another_platform__does_not_matter(self, platform: Platform, shops: list[str]) -> None:
        Component.objects.create(appid="wxother", renewals_leased_until=clock.now() + timedelta(hours=1))

        assert run_due(platform).renewed == 5


class TestFaults:
    def test_refusals_that_agree__release_the_remaining_leases_untried(
        self, wechat: Simulator, platform: Platform, shops: list[str]
    ) -> None:
        wechat.faults.add(REFRESH, "errcode", 61004, times=100)

        assert run_due(platform) == RenewalReport(failed=2, stopped=True)
        assert wechat.engine.calls[REFRESH] == 2
        assert set(Authorizer.objects.values_list("state", "leased_until")) == {("authorized", None)}
        assert Authorizer.objects.filter(failures=0).count() == 3
        assert refreshed() == set(shops)  # all back off for some seconds

    def test_paused_platform__is_not_renewed(self, wechat: Simulator, platform: Platform, shops: list[str]) -> None:
        Component.objects.update(
            failed_since=clock.now(), paused_since=clock.now(), paused_until=clock.now() + timedelta(minutes=1)
        )

        assert run_due(platform) == RenewalReport(stopped=True)
        assert wechat.engine.calls[REFRESH] == 0

    def test_failure_of_one_account__does_not_affect_others(
        self, wechat: Simulator, platform: Platform, shops: list[str], caplog: pytest.LogCaptureFixture
    ) -> None:
        wechat.faults.add(REFRESH, "errcode", -1, appid="wxshop2")

        assert run_due(platform) == RenewalReport(renewed=4, failed=1)
        assert "wxshop2 was not renewed" in caplog.text

    def test_unexpected_failure__is_logged_and_the_others_continue(
        self, platform: Platform, shops: list[str], caplog: pytest.LogCaptureFixture
    ) -> None:
        jitter = iter([1 / 2])

        def runs_out() -> float:
            return next(jitter)

        assert run_due(
            in_environment(platform, Environment(timing=replace(FakeTime().timing, jitter=runs_out)))
        ) == RenewalReport(renewed=1, failed=4)
        assert "failed unexpectedly" in caplog.text
        assert "StopIteration" in caplog.text

    def test_database_that_fails_after_a_refusal__keeps_no_other_from_its_turn(
        self, wechat: Simulator, platform: Platform, shops: list[str], caplog: pytest.LogCaptureFixture
    ) -> None:
        """The account's failure is stored; whether renewals are paused cannot be read."""
        wechat.faults.add(REFRESH, "errcode", -1, appid="wxshop2")
        asked = 0

        def fail_once(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
            nonlocal asked
            if "failed_since" in sql and " IS NOT NULL" in sql:
                asked += Authorizer.objects.filter(appid="wxshop2", failures=1).exists()
                if asked == 2:  # first it is asked to count the failure
                    asked += 1
                    raise OperationalError("deadlock detected")
            return execute(sql, params, many, context)

        with connection.execute_wrapper(fail_once):
            report = run_due(platform)

        assert report.renewed == 4
        assert asked >= 3
        assert "Renewing the token of account wxshop2 failed unexpectedly" in caplog.text

    def test_account_that_another_worker_took_meanwhile__is_left_to_it(
        self, wechat: Simulator, platform: Platform, shops: list[str], caplog: pytest.LogCaptureFixture
    ) -> None:
        def meanwhile() -> None:
            fake_time.now += 55  # the lease is nearly over, so it has to be extended
            Authorizer.objects.filter(appid="wxshop1").update(fence=F("fence") + 1)
            fake_time.meanwhile = lambda: None

        fake_time = FakeTime(meanwhile)
        caplog.set_level("INFO")

        assert run_due(in_environment(platform, fake_time.environment), seconds=100) == RenewalReport(renewed=4)
        assert "Another worker is renewing the token of account wxshop1" in caplog.text


class RefusedRow:
    """The database refuses every UPDATE of this row, or those of one column."""

    def __init__(self, row: Authorizer, column: str = "") -> None:
        self.named = re.compile(rf"\WWHERE .*authorizer\W+id\W+(= |IN \([^)]*\b){row.pk}\b")
        self.column = column

    def __call__(self, execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if sql.startswith("UPDATE") and self.column in sql and self.named.search(sql % tuple(params)):
            raise DataError("integer out of range")
        return execute(sql, params, many, context)


class DamagedPage:
    """The database has lost a value of this row, and refuses every answer that it would be in."""

    def __init__(self, row: Authorizer, column: str) -> None:
        self.named = re.compile(rf"\WWHERE .*authorizer\W+id\W+(= |IN \([^)]*\b){row.pk}\b")
        self.column = column

    def __call__(self, execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if sql.startswith("SELECT") and self.column in sql and self.named.search(sql % tuple(params)):
            raise InternalError("missing chunk number 0 for toast value")
        return execute(sql, params, many, context)


class TestBadRows:
    """A row that cannot be decrypted, read or written harms itself alone."""

    @pytest.fixture
    def bad(self, shops: list[str]) -> Authorizer:
        """The most overdue one."""
        return Authorizer.objects.select_related("component").get(appid="wxshop0")

    @pytest.mark.parametrize("key", ["v1.deadbeef.AAAA", "v1.", "v1.deadbeef.\u4e2d"])
    def test_refresh_token_that_cannot_be_decrypted__comes_from_wechats_record(
        self, platform: Platform, bad: Authorizer, caplog: pytest.LogCaptureFixture, key: str
    ) -> None:
        Authorizer.objects.filter(pk=bad.pk).update(refresh_token=key)

        assert run_due(platform) == RenewalReport(renewed=5)
        bad.refresh_from_db()
        assert bad.reveal("refresh_token")
        assert "A refresh token cannot be used" in caplog.text

    def test_refresh_token_that_cannot_be_decrypted__comes_from_wechats_list(
        self, wechat: Simulator, platform: Platform, bad: Authorizer
    ) -> None:
        wechat.faults.add("api_get_authorizer_info", "garbage", "{}", times=100)
        Authorizer.objects.filter(pk=bad.pk).update(refresh_token="v1.deadbeef.AAAA")

        assert run_due(platform) == RenewalReport(renewed=5)

    def test_refresh_token_before__does_not_matter(self, platform: Platform, bad: Authorizer) -> None:
        Authorizer.objects.filter(pk=bad.pk).update(previous_refresh_token="v1.deadbeef.AAAA")

        assert run_due(platform) == RenewalReport(renewed=5)

    def test_row_without_any_usable_token__fails_and_backs_off_by_itself(
        self, wechat: Simulator, platform: Platform, bad: Authorizer, later: Later
    ) -> None:
        wechat.engine.settings.empty_refresh_in_info = wechat.engine.settings.empty_refresh_in_list = True
        Authorizer.objects.filter(pk=bad.pk).update(refresh_token="v1.deadbeef.AAAA")

        assert run_due(platform) == RenewalReport(renewed=4, failed=1)
        bad.refresh_from_db()
        assert (bad.failures, bad.leased_until) == (1, None)
        assert "deadbeef" in bad.last_error
        assert refreshed() == {f"wxshop{number}" for number in range(5)}

    def test_row_without_any_usable_token__is_not_lost_after_days(
        self, wechat: Simulator, platform: Platform, bad: Authorizer, later: Later
    ) -> None:
        """The owner need not authorize again: the key may come back."""
        wechat.engine.settings.empty_refresh_in_info = wechat.engine.settings.empty_refresh_in_list = True
        kept, unreadable = bad.refresh_token, "v1.deadbeef.AAAA"
        old = bad.encrypt("previous_refresh_token", "refreshtoken@@@old")
        Authorizer.objects.filter(pk=bad.pk).update(refresh_token=unreadable, previous_refresh_token=old)
        for hours in (1, 3, 23, 30):
            later(timedelta(hours=hours))
            run_due(platform)
        bad.refresh_from_db()
        assert (bad.state, bad.refresh_token) == (Authorizer.State.AUTHORIZED, unreadable)

        Authorizer.objects.filter(pk=bad.pk).update(refresh_token=kept, next_action_at=LONG_AGO)
        assert run_due(platform).renewed == 1

    @pytest.mark.parametrize("renewals", [5, {"a": 1}, "x", [1, None, "2020-01-01T00:00:00+00:00"]])
    def test_column_of_another_shape__is_replaced(self, platform: Platform, bad: Authorizer, renewals: Any) -> None:
        Authorizer.objects.filter(pk=bad.pk).update(renewals=renewals)

        assert run_due(platform) == RenewalReport(renewed=5)
        bad.refresh_from_db()
        assert [type(at) for at in bad.renewals] == [str] * (2 if isinstance(renewals, list) else 1)

    def test_row_that_cannot_be_read__is_renewed_from_wechats_record(
        self, platform: Platform, bad: Authorizer, caplog: pytest.LogCaptureFixture
    ) -> None:
        with connection.execute_wrapper(DamagedPage(bad, "refused_since")):
            assert run_due(platform) == RenewalReport(renewed=5)
        bad.refresh_from_db()
        assert bad.access_token
        assert "row of wxshop0 cannot be used" in caplog.text

    def test_time_that_python_has_no_value_for__is_replaced(self, platform: Platform, bad: Authorizer) -> None:
        if connection.vendor not in poison.NOT_IN_PYTHON:
            pytest.skip(f"{connection.vendor} stores only what can be read.")
        poison.write(bad, "refused_since", poison.NOT_IN_PYTHON[connection.vendor])

        assert run_due(platform) == RenewalReport(renewed=5)
        bad.refresh_from_db()
        assert bad.refused_since is None

    def test_row_that_cannot_be_leased__leaves_the_others(
        self, platform: Platform, bad: Authorizer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setattr(renewals, "BATCH", 1)  # it is the whole of the first batch

        with connection.execute_wrapper(RefusedRow(bad)):
            assert run_due(platform) == RenewalReport(renewed=4)
        assert refreshed() == {f"wxshop{number}" for number in range(1, 5)}
        assert "cannot be leased: DataError" in caplog.text

    def test_row_that_does_not_take_its_tokens__fails_and_backs_off_by_itself(
        self, transactional_db: None, platform: Platform, bad: Authorizer
    ) -> None:
        fake_time = FakeTime()

        with connection.execute_wrapper(RefusedRow(bad, "access_token_obtained_at")):
            assert run_due(in_environment(platform, fake_time.environment)) == RenewalReport(renewed=4, failed=1)
        bad.refresh_from_db()
        assert (bad.failures, bad.leased_until) == (1, None)
        assert "DataError" in bad.last_error
        assert bad.next_action_at > LONG_AGO + timedelta(days=1)
        assert sum(fake_time.slept) < 1  # the same values are not written again

    def test_row_that_takes_nothing__leaves_the_others(
        self, transactional_db: None, platform: Platform, bad: Authorizer, caplog: pytest.LogCaptureFixture
    ) -> None:
        with connection.execute_wrapper(RefusedRow(bad, "last_error")):
            assert run_due(platform) == RenewalReport(renewed=4, failed=1)
        assert "could not be stored" in caplog.text


class TestComponentTokenFirst:
    def test_due_component_token__is_renewed_before_the_accounts(
        self, wechat: Simulator, platform: Platform, shops: list[str]
    ) -> None:
        before = tokens.component_token(platform)
        Component.objects.update(next_action_at=LONG_AGO)

        assert run_due(platform).renewed == 5
        assert tokens.component_token(platform) != before

    def test_no_ticket_yet__stops(self, platform: Platform, shops: list[str]) -> None:
        platform.row.tickets.all().delete()
        Component.objects.update(next_action_at=LONG_AGO, access_token="")

        assert run_due(platform) == RenewalReport(stopped=True)

    def test_no_ticket_but_a_token_that_still_works__continues(self, platform: Platform, shops: list[str]) -> None:
        platform.row.tickets.all().delete()
        Component.objects.update(next_action_at=LONG_AGO)

        assert run_due(platform) == RenewalReport(renewed=5)

    def test_component_token_that_cannot_be_renewed_but_still_works__continues(
        self, wechat: Simulator, platform: Platform, shops: list[str], caplog: pytest.LogCaptureFixture
    ) -> None:
        Component.objects.update(next_action_at=LONG_AGO)
        wechat.faults.add(COMPONENT_TOKEN, "status", 502, times=100)

        assert run_due(platform) == RenewalReport(renewed=5)
        assert "platform 'default' was not renewed" in caplog.text

    def test_component_token_that_has_ended_and_cannot_be_renewed__stops(
        self, wechat: Simulator, platform: Platform, shops: list[str], later: Later
    ) -> None:
        later(timedelta(hours=3))
        wechat.faults.add(COMPONENT_TOKEN, "status", 502, times=100)

        assert run_due(platform) == RenewalReport(stopped=True)
        assert wechat.engine.calls[REFRESH] == 0

    def test_component_row_that_does_not_take_its_token__backs_off_and_accounts_continue(
        self, transactional_db: None, wechat: Simulator, platform: Platform, shops: list[str]
    ) -> None:
        def refuse(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
            if sql.startswith("UPDATE") and "wechat_open_component" in sql and "access_token_obtained_at" in sql:
                raise DataError("integer out of range")
            return execute(sql, params, many, context)

        Component.objects.update(next_action_at=LONG_AGO)
        asked = wechat.engine.calls[COMPONENT_TOKEN]
        with connection.execute_wrapper(refuse):
            for _ in range(3):
                run_due(platform)

        assert wechat.engine.calls[COMPONENT_TOKEN] == asked + 2  # the first answer ended the token before
        platform.row.refresh_from_db()
        assert platform.row.failures == 2

    def test_new_ticket__ends_the_back_off_after_a_failure(
        self, wechat: Simulator, platform: Platform, shops: list[str]
    ) -> None:
        rest = clock.now() + timedelta(minutes=5)
        Component.objects.update(access_token="", failures=3, next_action_at=rest)
        cache.clear()
        assert run_due(platform) == RenewalReport(stopped=True)

        deliver(platform, wechat.engine.new_ticket())
        ticket_arrived(platform)
        assert run_due(platform) == RenewalReport(renewed=5)

    def test_new_ticket__does_not_make_a_valid_token_due(self, platform: Platform, shops: list[str]) -> None:
        platform.row.refresh_from_db()
        due_at = platform.row.next_action_at
        ticket_arrived(platform)

        platform.row.refresh_from_db()
        assert platform.row.next_action_at == due_at


class TestLimiter:
    def test_calls__are_spaced_evenly(self) -> None:
        fake_time = FakeTime()
        limiter = Limiter(4, fake_time.timing)
        for _ in range(4):
            limiter.wait()

        assert fake_time.slept == [0.25] * 3

    def test_unused_time__is_not_made_up_for(self) -> None:
        fake_time = FakeTime()
        limiter = Limiter(4, fake_time.timing)
        fake_time.now += 60
        limiter.wait()
        limiter.wait()

        assert fake_time.slept == [0.25]

    def test_slow_calls__do_not_wait(self) -> None:
        fake_time = FakeTime()
        limiter = Limiter(4, fake_time.timing)
        for _ in range(4):
            limiter.wait()
            fake_time.now += 1

        assert fake_time.slept == []

    def test_setting__bounds_the_calls_of_a_run(self, platform: Platform, shops: list[str], settings: Any) -> None:
        settings.WECHAT_OPEN = {**settings.WECHAT_OPEN, "RENEWALS_PER_SECOND": 2}
        fake_time = FakeTime()
        run_due(in_environment(platform, fake_time.environment))

        assert fake_time.slept == [0.5] * 4

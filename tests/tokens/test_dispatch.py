"""Is whatever is due renewed, by one dispatcher at a time, and slowly enough?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from django.core.cache import cache
from django.db.models import F

from tests.stage import deliver
from tests.tokens.worlds import Hours
from wechat_open import clock, tokens
from wechat_open.component import Platform
from wechat_open.exceptions import APIError
from wechat_open.models import Authorizer, Component
from wechat_open.simulator import Simulator
from wechat_open.tokens import dispatch
from wechat_open.tokens.dispatch import Limiter, Tally, ensure_tickets, run_due, ticket_arrived

Later = Callable[[timedelta], None]
REFRESH = "/cgi-bin/component/api_authorizer_token"
COMPONENT_TOKEN = "/cgi-bin/component/api_component_token"
START = "/cgi-bin/component/api_start_push_ticket"
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
        assert run_due(platform) == Tally(renewed=5)
        assert refreshed() == set(shops)
        assert wechat.engine.calls[REFRESH] == 5

    def test_second_run__finds_nothing_to_do(self, wechat: Simulator, platform: Platform, shops: list[str]) -> None:
        run_due(platform)

        assert run_due(platform) == Tally()
        assert wechat.engine.calls[REFRESH] == 5

    def test_more_than_a_batch__is_renewed_in_several(
        self, platform: Platform, shops: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(dispatch, "BATCH", 2)

        assert run_due(platform) == Tally(renewed=5)

    def test_when_time_is_up__the_rest_stays_due(
        self, platform: Platform, shops: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(dispatch, "BATCH", 2)
        hours = Hours()

        # The second call of a batch waits 1/60 s for its turn, and then the time is up.
        assert run_due(platform, seconds=0.01, world=hours.world) == Tally(renewed=2)
        assert refreshed() == {"wxshop0", "wxshop1"}
        assert not Authorizer.objects.filter(claimed_until__isnull=False).exists()

    def test_several_threads__renew_each_account_once(
        self, transactional_db: None, wechat: Simulator, platform: Platform, shops: list[str], settings: Any
    ) -> None:
        settings.WECHAT_OPEN = {**settings.WECHAT_OPEN, "RENEWAL_THREADS": 3}

        assert run_due(platform) == Tally(renewed=5)
        assert refreshed() == set(shops)
        assert wechat.engine.calls[REFRESH] == 5

    def test_nothing_due__costs_no_call(self, wechat: Simulator, platform: Platform) -> None:
        tokens.component_token(platform)
        calls = sum(wechat.engine.calls.values())

        assert run_due(platform) == Tally()
        assert sum(wechat.engine.calls.values()) == calls


class TestSlot:
    def test_taken_slot__sends_everybody_else_away(
        self, wechat: Simulator, platform: Platform, shops: list[str]
    ) -> None:
        Component.objects.update(dispatching_until=clock.now() + timedelta(seconds=30))

        assert run_due(platform) == Tally()
        assert wechat.engine.calls[REFRESH] == 0

    def test_slot__is_given_back(self, platform: Platform, shops: list[str]) -> None:
        run_due(platform)

        platform.row.refresh_from_db()
        assert platform.row.dispatching_until is None
        assert platform.row.heartbeat_at is not None

    def test_slot__is_given_back_after_a_crash(
        self, platform: Platform, shops: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        hours = Hours()

        def crash() -> float:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            run_due(platform, world=replace(hours.world, luck=crash))
        platform.row.refresh_from_db()
        assert platform.row.dispatching_until is None

    def test_dead_dispatchers_slot__is_free_after_a_while(
        self, platform: Platform, shops: list[str], later: Later
    ) -> None:
        Component.objects.update(dispatching_until=clock.now() + dispatch.SLOT)
        later(dispatch.SLOT + timedelta(seconds=1))

        assert run_due(platform).renewed == 5

    def test_another_platforms_slot__does_not_matter(self, platform: Platform, shops: list[str]) -> None:
        Component.objects.create(appid="wxother", dispatching_until=clock.now() + timedelta(hours=1))

        assert run_due(platform).renewed == 5


class TestTrouble:
    def test_platform_fault__gives_the_rest_back_untried(
        self, wechat: Simulator, platform: Platform, shops: list[str]
    ) -> None:
        wechat.faults.add(REFRESH, "errcode", 61004, times=100)

        assert run_due(platform) == Tally(failed=1, stopped=True)
        assert wechat.engine.calls[REFRESH] == 1
        assert set(Authorizer.objects.values_list("state", "failures", "claimed_until")) == {("authorized", 0, None)}
        assert refreshed() == set(shops)  # all rest for some seconds

    def test_paused_platform__is_left_alone(self, wechat: Simulator, platform: Platform, shops: list[str]) -> None:
        Component.objects.update(paused_until=clock.now() + timedelta(minutes=1))

        assert run_due(platform) == Tally(stopped=True)
        assert wechat.engine.calls[REFRESH] == 0

    def test_one_accounts_trouble__is_no_others(
        self, wechat: Simulator, platform: Platform, shops: list[str], caplog: pytest.LogCaptureFixture
    ) -> None:
        wechat.faults.add(REFRESH, "errcode", -1, appid="wxshop2")

        assert run_due(platform) == Tally(renewed=4, failed=1)
        assert "wxshop2 was not renewed" in caplog.text

    def test_unexpected_failure__is_logged_and_the_others_go_on(
        self, platform: Platform, shops: list[str], caplog: pytest.LogCaptureFixture
    ) -> None:
        luck = iter([1 / 2])

        def runs_out() -> float:
            return next(luck)

        assert run_due(platform, world=replace(Hours().world, luck=runs_out)) == Tally(renewed=1, failed=4)
        assert "failed unexpectedly" in caplog.text
        assert "StopIteration" in caplog.text

    def test_account_that_somebody_else_took_meanwhile__is_theirs(
        self, wechat: Simulator, platform: Platform, shops: list[str], caplog: pytest.LogCaptureFixture
    ) -> None:
        def meanwhile() -> None:
            hours.now += 55  # the lease is nearly over, so it has to be extended
            Authorizer.objects.filter(appid="wxshop1").update(fence=F("fence") + 1)
            hours.meanwhile = lambda: None

        hours = Hours(meanwhile)
        caplog.set_level("INFO")

        assert run_due(platform, world=hours.world) == Tally(renewed=4)
        assert "Somebody else is renewing the token of account wxshop1" in caplog.text


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

        assert run_due(platform) == Tally(stopped=True)

    def test_no_ticket_but_a_token_that_still_works__goes_on(self, platform: Platform, shops: list[str]) -> None:
        platform.row.tickets.all().delete()
        Component.objects.update(next_action_at=LONG_AGO)

        assert run_due(platform) == Tally(renewed=5)

    def test_component_token_that_cannot_be_renewed_but_still_works__goes_on(
        self, wechat: Simulator, platform: Platform, shops: list[str], caplog: pytest.LogCaptureFixture
    ) -> None:
        Component.objects.update(next_action_at=LONG_AGO)
        wechat.faults.add(COMPONENT_TOKEN, "status", 502, times=100)

        assert run_due(platform) == Tally(renewed=5)
        assert "platform 'default' was not renewed" in caplog.text

    def test_component_token_that_has_ended_and_cannot_be_renewed__stops(
        self, wechat: Simulator, platform: Platform, shops: list[str], later: Later
    ) -> None:
        later(timedelta(hours=3))
        wechat.faults.add(COMPONENT_TOKEN, "status", 502, times=100)

        assert run_due(platform) == Tally(stopped=True)
        assert wechat.engine.calls[REFRESH] == 0

    def test_new_ticket__ends_the_rest_after_a_failure(
        self, wechat: Simulator, platform: Platform, shops: list[str]
    ) -> None:
        rest = clock.now() + timedelta(minutes=5)
        Component.objects.update(access_token="", failures=3, next_action_at=rest)
        cache.clear()
        assert run_due(platform) == Tally(stopped=True)

        deliver(platform, wechat.engine.new_ticket())
        ticket_arrived(platform.row)
        assert run_due(platform) == Tally(renewed=5)

    def test_new_ticket__does_not_hurry_a_good_platform(self, platform: Platform, shops: list[str]) -> None:
        platform.row.refresh_from_db()
        due_at = platform.row.next_action_at
        ticket_arrived(platform.row)

        platform.row.refresh_from_db()
        assert platform.row.next_action_at == due_at


class TestLimiter:
    def test_calls__are_spaced_evenly(self) -> None:
        hours = Hours()
        limiter = Limiter(4, hours.world)
        for _ in range(4):
            limiter.wait()

        assert hours.slept == [0.25] * 3

    def test_time_that_was_not_used__is_not_made_up_for(self) -> None:
        hours = Hours()
        limiter = Limiter(4, hours.world)
        hours.now += 60
        limiter.wait()
        limiter.wait()

        assert hours.slept == [0.25]

    def test_slow_calls__do_not_wait(self) -> None:
        hours = Hours()
        limiter = Limiter(4, hours.world)
        for _ in range(4):
            limiter.wait()
            hours.now += 1

        assert hours.slept == []

    def test_setting__bounds_the_calls_of_a_run(self, platform: Platform, shops: list[str], settings: Any) -> None:
        settings.WECHAT_OPEN = {**settings.WECHAT_OPEN, "RENEWALS_PER_SECOND": 2}
        hours = Hours()
        run_due(platform, world=hours.world)

        assert hours.slept == [0.5] * 4


class TestTickets:
    def test_fresh_ticket__needs_nothing(self, wechat: Simulator, platform: Platform, later: Later) -> None:
        later(timedelta(minutes=29))

        assert not ensure_tickets(platform)
        assert wechat.engine.calls[START] == 0

    def test_late_ticket__is_asked_for_every_ten_minutes(
        self, wechat: Simulator, platform: Platform, later: Later, caplog: pytest.LogCaptureFixture
    ) -> None:
        later(timedelta(minutes=31))
        assert ensure_tickets(platform)
        assert "WeChat to push, which says" in caplog.text

        later(timedelta(minutes=9))
        assert not ensure_tickets(platform)
        later(timedelta(minutes=1, seconds=1))
        assert ensure_tickets(platform)
        assert wechat.engine.calls[START] == 2

    def test_no_ticket_at_all__is_asked_for_at_once(self, wechat: Simulator, platform: Platform) -> None:
        platform.row.tickets.all().delete()

        assert ensure_tickets(platform)

    def test_refusal__is_raised_and_not_repeated_at_once(
        self, wechat: Simulator, platform: Platform, later: Later
    ) -> None:
        later(timedelta(minutes=31))
        wechat.faults.add(START, "errcode", 40013)
        with pytest.raises(APIError, match="40013"):
            ensure_tickets(platform)

        assert not ensure_tickets(platform)

"""One account's refusal is its own; different accounts that agree pause all renewals, and one success ends that."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from django.core.cache import cache
from django.db import OperationalError, connection

from tests.stage import OFFICIAL
from wechat_open import api, tokens
from wechat_open.client.component import COMPONENT_TOKEN, GET_AUTHORIZER_LIST, START_PUSH_TICKET
from wechat_open.db import clock
from wechat_open.exceptions import PlatformFault, QuotaExceeded, TokenUnavailable, Unreachable, WeChatOpenError
from wechat_open.models import Authorizer, Component
from wechat_open.platforms import Platform
from wechat_open.simulator import Simulator
from wechat_open.stores.authorizers import AuthorizerStore
from wechat_open.stores.component import ComponentStore
from wechat_open.tokens import policy
from wechat_open.tokens.authorizers import AuthorizerKeeper
from wechat_open.tokens.renewals import RenewalReport, run_due

Grant = Callable[..., Authorizer]
Later = Callable[[timedelta], None]
REFRESH = "/cgi-bin/component/api_authorizer_token"
INFO = "/cgi-bin/component/api_get_authorizer_info"
USERS = "/cgi-bin/user/get"
LONG_AGO = datetime(2020, 1, 1, tzinfo=timezone.utc)
BLAMED_ON_THE_PLATFORM = [45009, 40001, 40014, 42001, 61011, 61004, 61005, 61006, 61028, 40125, 40164]


@pytest.fixture
def add(wechat: Simulator, grant: Grant) -> Callable[[int], list[str]]:
    """Accounts, all due, the first longest."""

    def granted(number: int) -> list[str]:
        appids = [f"wx{place:016d}" for place in range(number)]
        for place, appid in enumerate(appids):
            wechat.engine.add_account(f"Shop {appid}", "official", appid=appid)
            grant(appid)
            Authorizer.objects.filter(appid=appid).update(next_action_at=LONG_AGO + timedelta(seconds=place))
        return appids

    return granted


def paused() -> bool:
    return Component.objects.get().paused_since is not None


def failing() -> set[str]:
    return set(Authorizer.objects.filter(failures__gt=0).values_list("appid", flat=True))


def due_now(*appids: str) -> None:
    Authorizer.objects.filter(appid__in=appids).update(next_action_at=LONG_AGO)


@pytest.mark.parametrize("errcode", [61004, 61023, 48004])
@pytest.mark.parametrize(("before", "counted", "minutes"), [(None, 2, 3), (45009, 2, 3), ("the same", 9, 30)])
def test_refusal_after_failures_of_another_kind__is_repeated_within_minutes(
    wechat: Simulator,
    platform: Platform,
    account: Authorizer,
    errcode: int,
    before: Any,
    counted: int,
    minutes: int,
) -> None:
    """Calls that WeChat has not answered in an outage, or has answered otherwise, are no refusals of this kind."""
    failed_with = errcode if before == "the same" else before
    Authorizer.objects.update(failures=8, last_errcode=failed_with, next_action_at=LONG_AGO)
    wechat.faults.add(REFRESH, "errcode", errcode, times=9)

    run_due(platform)

    account.refresh_from_db()
    assert (account.failures, account.last_errcode) == (counted, errcode)
    assert account.next_action_at is not None
    assert account.last_failed_at is not None
    assert account.next_action_at - account.last_failed_at <= timedelta(minutes=minutes)
    assert account.next_action_at - account.last_failed_at > timedelta(minutes=minutes) * 0.8


def test_refusal_while_the_record_gives_no_answer__is_repeated_as_after_no_answer(
    wechat: Simulator, platform: Platform, account: Authorizer
) -> None:
    """The record may have the token that works."""
    Authorizer.objects.update(failures=2, last_errcode=61023, next_action_at=LONG_AGO)
    wechat.faults.add(REFRESH, "errcode", 61023, times=9)
    wechat.faults.add(INFO, "status", 502)

    run_due(platform)

    account.refresh_from_db()
    assert (account.failures, account.last_errcode) == (3, 61023)
    assert account.next_action_at is not None
    assert account.last_failed_at is not None
    assert account.next_action_at - account.last_failed_at <= timedelta(seconds=20)


class TestOneAccount:
    @pytest.mark.parametrize("errcode", [*BLAMED_ON_THE_PLATFORM, 48001, 45011, -1])
    @pytest.mark.parametrize("path", [REFRESH, INFO])
    @pytest.mark.fault("F31")
    @pytest.mark.slow
    def test_its_refusal__is_its_own(
        self, wechat: Simulator, platform: Platform, add: Callable[[int], list[str]], path: str, errcode: int
    ) -> None:
        bad, *others = add(5)
        wechat.faults.add(path, "errcode", errcode, times=10**6, appid=bad)
        wechat.engine.replace_refresh_token(bad)  # so that its record is asked for

        assert run_due(platform) == RenewalReport(renewed=4, failed=1)
        row = Authorizer.objects.get(appid=bad)
        assert (row.state, row.failures, row.last_errcode) == (Authorizer.State.AUTHORIZED, 1, errcode)
        assert row.next_action_at and row.next_action_at > LONG_AGO + timedelta(days=1)
        assert not paused()
        cache.clear()
        for appid in others:
            assert api.authorizer(appid).get(USERS)

    @pytest.mark.parametrize(("errcode", "calls"), [(45009, 5), (61011, 5), (48001, 5), (40001, 10)])
    @pytest.mark.slow
    def test_an_hour_of_its_refusals__costs_five_attempts(
        self,
        wechat: Simulator,
        platform: Platform,
        add: Callable[[int], list[str]],
        later: Later,
        errcode: int,
        calls: int,
    ) -> None:
        bad, *others = add(5)
        wechat.faults.add(REFRESH, "errcode", errcode, times=10**6, appid=bad)
        for _ in range(60):
            due_now(others[0])
            run_due(platform)
            assert not paused()
            later(timedelta(minutes=1))

        assert failing() == {bad}
        assert wechat.engine.calls[REFRESH] - 60 - 3 <= calls

    def test_accounts_that_fail_by_themselves__pause_nothing_when_they_are_tried_again(
        self, wechat: Simulator, platform: Platform, add: Callable[[int], list[str]], later: Later
    ) -> None:
        appids = add(8)
        for bad in appids[::2]:
            wechat.faults.add(REFRESH, "errcode", 45009, times=10**6, appid=bad)
        run_due(platform)
        assert failing() == set(appids[::2])
        assert not paused()

        for _ in range(20):
            later(timedelta(minutes=5))
            run_due(platform)
            assert not paused()

    def test_other_reasons__do_not_agree(
        self, wechat: Simulator, platform: Platform, add: Callable[[int], list[str]]
    ) -> None:
        first, second, *_others = add(8)
        wechat.faults.add(REFRESH, "errcode", 45009, times=10**6, appid=first)
        wechat.faults.add(REFRESH, "errcode", 61004, times=10**6, appid=second)

        assert run_due(platform) == RenewalReport(renewed=6, failed=2)
        assert failing() == {first, second}

    def test_success_between__ends_the_row(
        self, wechat: Simulator, platform: Platform, add: Callable[[int], list[str]]
    ) -> None:
        appids = add(6)
        for bad in (appids[0], appids[3]):
            wechat.faults.add(REFRESH, "errcode", 45009, times=10**6, appid=bad)

        for appid in appids:
            Authorizer.objects.exclude(appid=appid).update(next_action_at=clock.now() + timedelta(hours=1))
            due_now(appid)
            run_due(platform)
        assert not paused()
        assert failing() == {appids[0], appids[3]}


class TestEveryAccount:
    """An incident at WeChat, for an hour."""

    @pytest.mark.parametrize(
        ("number", "kind", "value"),
        [
            (12, "errcode", 45009),
            (12, "errcode", 61004),
            (12, "errcode", 48001),
            (12, "status", 502),
            (40, "errcode", 45009),
            (40, "errcode", 61003),
            (40, "errcode", -1),
        ],
    )
    @pytest.mark.fault("F28", "F30", "F31", "F32")
    @pytest.mark.slow
    def test_an_hour_of_refusals__costs_five_calls_and_all_are_renewed_within_two_minutes(
        self,
        wechat: Simulator,
        platform: Platform,
        add: Callable[[int], list[str]],
        later: Later,
        number: int,
        kind: str,
        value: int,
    ) -> None:
        appids = add(number)
        for path in (REFRESH, INFO) if value == 61003 else (REFRESH,):
            wechat.faults.add(path, kind, value, times=10**6)  # type: ignore[arg-type]
        before = wechat.engine.calls[REFRESH] + wechat.engine.calls[INFO]
        for _ in range(720):
            run_due(platform)
            later(timedelta(seconds=5))

        assert paused()
        assert wechat.engine.calls[REFRESH] + wechat.engine.calls[INFO] - before <= 5 * number
        assert max(Authorizer.objects.values_list("failures", flat=True)) <= 5
        assert set(Authorizer.objects.values_list("state", flat=True)) == {Authorizer.State.AUTHORIZED}

        wechat.faults.clear()
        for _ in range(60):
            run_due(platform)
            later(timedelta(seconds=2))
        assert not paused()
        assert failing() == set()
        assert Authorizer.objects.filter(access_token_obtained_at__gt=clock.now() - timedelta(minutes=3)).count() == (
            len(appids)
        )

    def test_calls_that_were_on_their_way_when_it_began__do_not_postpone_the_next_try(
        self, wechat: Simulator, platform: Platform, add: Callable[[int], list[str]]
    ) -> None:
        """Those of other threads. On a host that cannot reach WeChat they fail one after the other, and another host,
        which can, would wait for a minute and a half to find that out.
        """
        add(12)
        wechat.faults.add(REFRESH, "status", 502, times=10**6)
        for lease in AuthorizerStore(platform.row).take_due(12):
            with pytest.raises(WeChatOpenError):
                AuthorizerKeeper(platform, lease.appid).renew(lease)

        assert paused()
        failed = ComponentStore(platform.row).failed_in_a_row()
        assert failed is not None
        assert failed.probe_in <= policy.FIRST_PROBE

    def test_threads_that_fail_at_one_moment__begin_one_pause(self, platform: Platform) -> None:
        """Each has found renewals going on, and different accounts agreeing."""
        store = ComponentStore(platform.row)
        for _ in range(8):
            store.pause(Unreachable(REFRESH, "ConnectTimeout"), policy.FIRST_PROBE, unless_paused=True)

        failed = store.failed_in_a_row()
        assert failed is not None
        assert (failed.paused, failed.probes) == (True, 1)

    @pytest.mark.slow
    @pytest.mark.parametrize("number", [1, 2, 3])
    def test_small_site__costs_a_call_a_minute_and_is_whole_within_two_minutes(
        self, wechat: Simulator, platform: Platform, add: Callable[[int], list[str]], later: Later, number: int
    ) -> None:
        add(number)
        wechat.faults.add(REFRESH, "errcode", 61004, times=10**6)
        for _ in range(720):
            run_due(platform)
            later(timedelta(seconds=5))
        assert paused()
        assert wechat.engine.calls[REFRESH] <= 60

        wechat.faults.clear()
        for _ in range(60):
            run_due(platform)
            later(timedelta(seconds=2))
        assert failing() == set()
        assert not paused()

    def test_account_that_is_tried__is_another_each_time(
        self, wechat: Simulator, platform: Platform, add: Callable[[int], list[str]], later: Later
    ) -> None:
        add(5)
        wechat.faults.add(REFRESH, "errcode", 61004, times=10**6)
        for expected in range(2, 6):
            run_due(platform)
            assert len(failing()) == expected
            later(timedelta(seconds=91))

    def test_worker_that_was_killed_while_it_tried__is_replaced(
        self, wechat: Simulator, platform: Platform, add: Callable[[int], list[str]], later: Later
    ) -> None:
        add(5)
        wechat.faults.add(REFRESH, "errcode", 61004, times=2)
        run_due(platform)
        later(timedelta(seconds=91))
        assert ComponentStore(platform.row).take_probe(timedelta(minutes=1))

        assert run_due(platform) == RenewalReport(stopped=True)
        later(timedelta(seconds=61))
        assert run_due(platform).renewed

    def test_success_by_hand__ends_the_pause(
        self, wechat: Simulator, platform: Platform, add: Callable[[int], list[str]]
    ) -> None:
        add(5)
        wechat.faults.add(REFRESH, "errcode", 61004, times=2)
        run_due(platform)
        assert paused()

        tokens.refresh_now(Authorizer.objects.select_related("component").filter(failures=1)[0])
        assert not paused()

    def test_platform_whose_accounts_have_left__is_not_paused_for_ever(
        self, wechat: Simulator, platform: Platform, add: Callable[[int], list[str]], later: Later
    ) -> None:
        add(1)
        wechat.faults.add(REFRESH, "errcode", 61004, times=1)
        run_due(platform)
        assert paused()
        Authorizer.objects.all().delete()
        later(timedelta(seconds=91))

        assert run_due(platform) == RenewalReport()
        assert not paused()

    def test_pause_that_cannot_be_ended__fails_no_renewal(
        self,
        transactional_db: None,
        wechat: Simulator,
        platform: Platform,
        add: Callable[[int], list[str]],
        later: Later,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        def fail(execute: object, sql: str, params: object, many: bool, context: object) -> object:
            if sql.startswith("UPDATE") and "failed_reason" in sql:
                raise OperationalError("server closed the connection")
            return execute(sql, params, many, context)  # type: ignore[operator]

        add(1)
        wechat.faults.add(REFRESH, "errcode", 61004, times=1)
        run_due(platform)
        later(timedelta(seconds=91))
        with connection.execute_wrapper(fail):
            assert run_due(platform).renewed == 1

        assert "could not be resumed" in caplog.text
        assert failing() == set()


class TestCallers:
    """What a call does whose token has ended, or is about to."""

    @pytest.fixture
    def refused(self, wechat: Simulator, platform: Platform, account: Authorizer) -> Authorizer:
        """The only account, which was just refused."""
        wechat.faults.add(REFRESH, "errcode", 61004, times=1)
        due_now(OFFICIAL)
        run_due(platform)
        cache.clear()
        assert paused()
        return account

    def test_valid_token__is_used_without_a_call(
        self, wechat: Simulator, platform: Platform, refused: Authorizer
    ) -> None:
        Authorizer.objects.update(access_token_expires_at=clock.now() + timedelta(seconds=10))

        assert tokens.authorizer_token(platform, OFFICIAL)
        assert wechat.engine.calls[REFRESH] == 1

    def test_token_that_has_ended__is_unavailable_until_the_next_attempt(
        self, wechat: Simulator, platform: Platform, refused: Authorizer
    ) -> None:
        Authorizer.objects.update(access_token_expires_at=clock.now())

        with pytest.raises(TokenUnavailable, match="paused") as error:
            tokens.authorizer_token(platform, OFFICIAL)
        assert timedelta() < error.value.retry_after <= timedelta(seconds=5)
        assert wechat.engine.calls[REFRESH] == 1

    def test_next_attempt__may_be_a_callers(
        self, wechat: Simulator, platform: Platform, refused: Authorizer, later: Later
    ) -> None:
        later(timedelta(hours=3))

        assert tokens.authorizer_token(platform, OFFICIAL)
        assert not paused()

    def test_attempt_of_another_worker__is_waited_for(
        self, wechat: Simulator, platform: Platform, refused: Authorizer, later: Later
    ) -> None:
        later(timedelta(hours=3))
        tokens.component_token(platform)
        ComponentStore(platform.row).take_probe(timedelta(minutes=1))

        with pytest.raises(TokenUnavailable, match="paused"):
            tokens.authorizer_token(platform, OFFICIAL)
        assert wechat.engine.calls[REFRESH] == 1


class TestPlatformsOwnCalls:
    @pytest.mark.slow
    @pytest.mark.fault("F31")
    def test_component_token_that_is_refused__pauses_and_blames_no_account(
        self, wechat: Simulator, platform: Platform, account: Authorizer, later: Later
    ) -> None:
        later(timedelta(hours=3))
        wechat.faults.add(COMPONENT_TOKEN, "errcode", 45009, times=10**6)

        assert run_due(platform) == RenewalReport(stopped=True)
        assert paused()
        assert platform.row.__class__.objects.get().last_errcode == 45009
        assert failing() == set()

        for _ in range(120):
            later(timedelta(seconds=30))
            run_due(platform)
        assert wechat.engine.calls[COMPONENT_TOKEN] <= 60
        wechat.faults.clear()
        for _ in range(2):
            later(timedelta(seconds=46))
            run_due(platform)
        assert not paused()
        assert Authorizer.objects.filter(access_token_expires_at__gt=clock.now()).exists()

    def test_component_token_that_still_works__pauses_nothing(
        self, wechat: Simulator, platform: Platform, account: Authorizer
    ) -> None:
        due_now(OFFICIAL)
        Component.objects.update(next_action_at=LONG_AGO)
        wechat.faults.add(COMPONENT_TOKEN, "errcode", 45009, times=10**6)

        assert run_due(platform) == RenewalReport(renewed=1)
        assert not paused()

    def test_component_token_that_is_renewed_after_refusals__has_failed_accounts_tried_again(
        self, wechat: Simulator, platform: Platform, add: Callable[[int], list[str]], later: Later
    ) -> None:
        """One account alone was due while WeChat refused everything: no other could agree that it was not its fault."""
        first, *others = add(9)
        Authorizer.objects.filter(appid__in=others).update(next_action_at=clock.now() + timedelta(hours=1))
        for path in (REFRESH, COMPONENT_TOKEN):
            wechat.faults.add(path, "errcode", 61004, times=10**6)
        Component.objects.update(next_action_at=LONG_AGO)
        run_due(platform)
        Authorizer.objects.filter(appid=first).update(failures=4, next_action_at=clock.now() + timedelta(minutes=29))
        assert failing() == {first}
        assert not paused()

        wechat.faults.clear()
        later(timedelta(seconds=20))
        run_due(platform)
        later(policy.AFTER_PAUSE)
        run_due(platform)
        assert failing() == set()

    def test_component_token_that_ends_meanwhile__blames_no_account(
        self, wechat: Simulator, platform: Platform, add: Callable[[int], list[str]]
    ) -> None:
        add(3)
        wechat.engine.kill_component_token()
        wechat.faults.add(COMPONENT_TOKEN, "status", 502, times=10**6)

        assert run_due(platform) == RenewalReport(failed=1, stopped=True)
        assert failing() == set()

    def test_list__pauses(self, wechat: Simulator, platform: Platform, account: Authorizer) -> None:
        wechat.faults.add(GET_AUTHORIZER_LIST, "errcode", 61011)

        with pytest.raises(PlatformFault):
            tokens.reconcile(platform)
        assert paused()

    def test_quota_of_the_list__pauses_nothing(
        self, wechat: Simulator, platform: Platform, account: Authorizer
    ) -> None:
        wechat.faults.add(GET_AUTHORIZER_LIST, "errcode", 45009)

        with pytest.raises(QuotaExceeded):
            tokens.reconcile(platform)
        assert not paused()

    def test_start_of_pushes__pauses(self, wechat: Simulator, platform: Platform, account: Authorizer) -> None:
        wechat.faults.add(START_PUSH_TICKET, "errcode", 40125)

        with pytest.raises(PlatformFault):
            tokens.start_push(platform)
        assert paused()

    def test_account_that_needs_a_list_that_is_refused__fails_by_itself(
        self, wechat: Simulator, platform: Platform, add: Callable[[int], list[str]], later: Later
    ) -> None:
        """It is not the comparison with the list, and would pause all others again and again."""
        bad, *_others = add(5)
        wechat.engine.settings.empty_refresh_in_info = True
        wechat.engine.replace_refresh_token(bad)
        wechat.faults.add(GET_AUTHORIZER_LIST, "errcode", 61011, times=10**6)
        for _ in range(60):
            run_due(platform)
            later(timedelta(minutes=1))

        assert failing() == {bad}
        assert not paused()
        assert wechat.engine.calls[GET_AUTHORIZER_LIST] <= 5

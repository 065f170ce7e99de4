"""A host that alone gets no answer from WeChat leaves the work to others, and blames no account for it."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone

import pytest
from django.core.cache import cache

from tests.environments import FakeTime, in_environment
from tests.stage import OFFICIAL, deliver
from wechat_open import inbox, tokens
from wechat_open.client.component import COMPONENT_TOKEN
from wechat_open.client.reachability import FIRST, IN_A_ROW, LAST, Reachability
from wechat_open.client.transport import Client
from wechat_open.db import clock
from wechat_open.environment import Environment
from wechat_open.exceptions import TokenUnavailable, Unreachable
from wechat_open.models import AuditEntry, Authorizer, Component, HourlyCount
from wechat_open.platforms import Platform
from wechat_open.ports import WeChat
from wechat_open.simulator import Simulator
from wechat_open.stores.component import ComponentStore
from wechat_open.stores.pushes import PushStore
from wechat_open.tokens.renewals import RenewalReport, run_due

Later = Callable[[timedelta], None]
REFRESH = "/cgi-bin/component/api_authorizer_token"
LONG_AGO = datetime(2020, 1, 1, tzinfo=timezone.utc)
ACCOUNTS = 8
NOWHERE = "http://127.0.0.1:9"
UNREACHED = RenewalReport(failed=IN_A_ROW, stopped=True)
SITS_OUT = RenewalReport(stopped=True)


@dataclass(frozen=True)
class Host(Environment):
    """Where calls go to ``url``, and time passes only when a test lets it."""

    url: str = NOWHERE

    def wechat(self) -> WeChat:
        return Client(self.url, (0.3, 0.3))


@pytest.fixture
def time() -> FakeTime:
    return FakeTime()


@pytest.fixture
def silent() -> Iterator[str]:
    """The address of a server that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


@pytest.fixture
def host(platform: Platform, time: FakeTime) -> Callable[[str], Platform]:
    """The platform on a host of its own, from which calls go to this address."""

    def made(url: str) -> Platform:
        reachability = Reachability(time.timing.monotonic, time.timing.jitter)
        return in_environment(platform, Host(timing=time.timing, reachability=reachability, url=url))

    return made


@pytest.fixture
def lost(host: Callable[[str], Platform]) -> Platform:
    """The platform on a host that cannot connect to WeChat."""
    return host(NOWHERE)


@pytest.fixture
def appids(wechat: Simulator, platform: Platform, grant: Callable[..., Authorizer]) -> list[str]:
    """Accounts, all due, the first longest."""
    appids = [f"wx{place:016d}" for place in range(ACCOUNTS)]
    for place, appid in enumerate(appids):
        wechat.engine.add_account(f"Shop {appid}", "official", appid=appid)
        grant(appid)
        Authorizer.objects.filter(appid=appid).update(next_action_at=LONG_AGO + timedelta(seconds=place))
    AuditEntry.objects.all().delete()
    return appids


def rows() -> list[tuple[object, ...]]:
    """When each account is due, and whether anything stands against it."""
    columns = ("appid", "next_action_at", "due_since", "leased_until", "failures", "last_error", "last_failed_at")
    return list(Authorizer.objects.order_by("appid").values_list(*columns))


def back(platform: Platform, wechat: Simulator) -> Platform:
    """The same process, when its host has found its way again."""
    environment = platform.environment
    assert isinstance(environment, Host)
    return in_environment(platform, replace(environment, url=wechat.url))


class TestRequestsThatAreNotSent:
    @pytest.mark.fault("F41")
    def test_accounts__are_given_back_untried(self, wechat: Simulator, lost: Platform, appids: list[str]) -> None:
        before = rows()

        assert run_due(lost) == UNREACHED
        assert rows() == before
        assert wechat.engine.calls[REFRESH] == 0

    @pytest.mark.fault("F41")
    def test_another_host__renews_all_of_them_at_once(
        self, lost: Platform, platform: Platform, appids: list[str]
    ) -> None:
        run_due(lost)

        assert run_due(platform) == RenewalReport(renewed=ACCOUNTS)

    @pytest.mark.fault("F41")
    def test_they__count_against_nothing(self, lost: Platform, appids: list[str]) -> None:
        run_due(lost)

        row = Component.objects.get()
        assert (row.failed_accounts, row.failed_since, row.paused_since) == (0, None, None)
        assert not AuditEntry.objects.exists()
        assert not HourlyCount.objects.filter(counter=HourlyCount.Counter.FAILED).exists()

    def test_operators__see_on_which_host_and_why(self, lost: Platform, appids: list[str]) -> None:
        run_due(lost)

        row = Component.objects.get()
        assert row.unreached_at is not None
        assert socket.gethostname() in row.unreached
        assert f"{REFRESH}: ConnectionError" in row.unreached

    def test_component_token__is_given_back_untried(
        self, wechat: Simulator, lost: Platform, platform: Platform, account: Authorizer
    ) -> None:
        Component.objects.update(next_action_at=LONG_AGO)
        with pytest.raises(Unreachable):
            tokens.ComponentKeeper(lost).renew_now()

        row = Component.objects.get()
        assert (row.next_action_at, row.leased_until, row.failures, row.last_error) == (LONG_AGO, None, 0, "")
        run_due(platform)
        assert wechat.engine.calls[COMPONENT_TOKEN] == 2

    def test_component_token_that_has_ended__is_not_blamed_on_the_account(
        self, lost: Platform, appids: list[str]
    ) -> None:
        before = rows()
        Component.objects.update(access_token_expires_at=LONG_AGO)
        cache.clear()
        for _ in range(3):
            run_due(lost)

        assert rows() == before
        assert not Component.objects.filter(failures__gt=0).exists()

    def test_comparison__is_due_for_others_at_once(
        self, wechat: Simulator, lost: Platform, platform: Platform, account: Authorizer
    ) -> None:
        with pytest.raises(Unreachable):
            tokens.reconcile_if_due(lost)

        report = tokens.reconcile_if_due(platform)
        assert report is not None
        assert report.complete

    def test_account_that_is_tried_in_a_pause__is_tried_by_another_host(
        self, lost: Platform, platform: Platform, appids: list[str], later: Later
    ) -> None:
        ComponentStore(platform.row).pause(Unreachable(REFRESH, "HTTP 500"), timedelta())
        run_due(lost)

        assert run_due(platform).renewed
        assert not Component.objects.filter(paused_since__isnull=False).exists()

    def test_code__is_exchanged_by_another_host_soon(
        self, wechat: Simulator, lost: Platform, platform: Platform, later: Later
    ) -> None:
        tokens.component_token(platform)
        push = deliver(platform, wechat.engine.authorize(OFFICIAL).push)  # type: ignore[arg-type]
        waits = []
        for _ in range(5):
            assert not inbox.process_for(lost, push.pk)
            now = PushStore(platform.row).now()
            push.refresh_from_db()
            waits.append(round((push.next_attempt_at - now).total_seconds()))
            later(timedelta(seconds=waits[-1] + 1))
        assert waits == [10, 10, 10, 10, 20]

        assert inbox.process_for(platform, push.pk)
        assert Authorizer.objects.get().state == Authorizer.State.AUTHORIZED


class TestSittingOut:
    @pytest.fixture(autouse=True)
    def _lost(self, lost: Platform, appids: list[str]) -> None:
        run_due(lost)

    def test_no_account__is_taken(self, lost: Platform) -> None:
        before = rows()

        assert run_due(lost) == SITS_OUT
        assert rows() == before
        assert not Component.objects.filter(renewals_leased_until__isnull=False).exists()

    def test_worker__is_known_to_be_there(self, lost: Platform) -> None:
        Component.objects.update(heartbeat_at=None)
        run_due(lost)

        assert Component.objects.get().heartbeat_at is not None

    def test_trial__is_one_account_beside_the_worker_that_renews(
        self, lost: Platform, time: FakeTime, wechat: Simulator, platform: Platform
    ) -> None:
        time.now += FIRST
        fence = ComponentStore(platform.row).take_renewals()

        assert run_due(lost) == RenewalReport(failed=1, stopped=True)
        assert run_due(lost) == SITS_OUT
        time.now += LAST
        assert run_due(back(lost, wechat)).renewed == 1
        assert fence is not None
        assert ComponentStore(platform.row).release_renewals(fence)

    def test_trial_that_is_answered__ends_it(self, lost: Platform, time: FakeTime, wechat: Simulator) -> None:
        time.now += FIRST
        wechat.faults.add(REFRESH, "errcode", 45009)

        assert run_due(back(lost, wechat)) == RenewalReport(renewed=ACCOUNTS - 1, failed=1)

    def test_platform_without_accounts__has_its_token_renewed(
        self, lost: Platform, time: FakeTime, wechat: Simulator
    ) -> None:
        Authorizer.objects.all().delete()
        Component.objects.update(next_action_at=LONG_AGO)
        time.now += FIRST

        assert run_due(back(lost, wechat)) == RenewalReport()
        assert wechat.engine.calls[COMPONENT_TOKEN] == 2

    def test_caller__uses_a_valid_token_without_a_call(self, lost: Platform, appids: list[str]) -> None:
        cache.clear()
        Authorizer.objects.update(access_token_expires_at=clock.now() + timedelta(seconds=10))
        before = rows()

        assert tokens.authorizer_token(lost, appids[0])
        assert rows() == before

    def test_caller__takes_no_account_from_a_pause(self, lost: Platform, platform: Platform, appids: list[str]) -> None:
        cache.clear()
        Authorizer.objects.update(access_token_expires_at=LONG_AGO)
        ComponentStore(platform.row).pause(Unreachable(REFRESH, "HTTP 500"), timedelta())
        with pytest.raises(TokenUnavailable, match="paused"):
            tokens.authorizer_token(lost, appids[0])

        assert tokens.authorizer_token(platform, appids[0])

    def test_caller__waits_for_a_host_that_is_renewing(
        self, lost: Platform, platform: Platform, appids: list[str], time: FakeTime
    ) -> None:
        cache.clear()
        Authorizer.objects.update(access_token_expires_at=LONG_AGO)
        keeper = tokens.AuthorizerKeeper(platform, appids[0])
        lease = keeper.store.take(keeper.read())
        assert lease is not None
        time.meanwhile = lambda: keeper.renew(lease) if len(time.slept) == 3 else None

        assert tokens.authorizer_token(lost, appids[0]) == keeper.read().access_token

    def test_caller__is_not_kept_waiting_for_one_that_has_ended(self, lost: Platform, appids: list[str]) -> None:
        cache.clear()
        Authorizer.objects.update(access_token_expires_at=LONG_AGO)
        before = rows()

        with pytest.raises(TokenUnavailable, match="this host gets no answer") as error:
            tokens.authorizer_token(lost, appids[0])
        assert timedelta() < error.value.retry_after <= timedelta(seconds=FIRST)
        assert rows() == before


class TestOnlyHost:
    """The site has no other one: it must be whole soon after the end."""

    @pytest.mark.parametrize("sends", [False, True])
    @pytest.mark.parametrize("minutes", [1, pytest.param(20, marks=pytest.mark.slow)])
    @pytest.mark.fault("F41")
    def test_outage__is_over_within_two_minutes(
        self,
        wechat: Simulator,
        host: Callable[[str], Platform],
        silent: str,
        time: FakeTime,
        appids: list[str],
        later: Later,
        sends: bool,
        minutes: int,
    ) -> None:
        lost = host(silent if sends else NOWHERE)

        def rounds(platform: Platform, seconds: float) -> None:
            ends_at = time.now + seconds
            while time.now < ends_at:
                run_due(platform)
                time.now += 5
                later(timedelta(seconds=5))

        rounds(lost, 60 * minutes)
        assert Authorizer.objects.filter(failures__gt=0).exists() is sends

        rounds(back(lost, wechat), 120)
        assert not Authorizer.objects.filter(next_action_at__lte=clock.now()).exists()
        assert wechat.engine.calls[REFRESH] == ACCOUNTS


class TestAnswersThatDoNotCome:
    """The host can connect, and WeChat may have received what it has sent."""

    @pytest.mark.fault("F41")
    def test_only_a_few_accounts__are_in_flight(
        self, host: Callable[[str], Platform], silent: str, platform: Platform, appids: list[str], later: Later
    ) -> None:
        assert run_due(host(silent)) == UNREACHED
        leased = Authorizer.objects.filter(leased_until__gt=clock.now())
        assert set(leased.values_list("appid", flat=True)) == set(appids[:IN_A_ROW])

        assert run_due(platform) == RenewalReport(renewed=ACCOUNTS - IN_A_ROW)
        later(timedelta(seconds=6))
        assert run_due(platform) == RenewalReport(renewed=IN_A_ROW)

    def test_renewals__are_not_paused(
        self, host: Callable[[str], Platform], silent: str, appids: list[str], time: FakeTime
    ) -> None:
        lost = host(silent)
        for _ in range(ACCOUNTS):
            run_due(lost)
            time.now += LAST

        assert Authorizer.objects.filter(failures__gt=0).count() == ACCOUNTS
        assert not Component.objects.filter(paused_since__isnull=False).exists()


def test_one_answer_that_does_not_come__stops_no_run(wechat: Simulator, platform: Platform, appids: list[str]) -> None:
    wechat.faults.add(REFRESH, "lost", True, appid=appids[0])

    assert run_due(platform) == RenewalReport(renewed=ACCOUNTS - 1, failed=1)


def test_calls_of_the_site__make_no_process_sit_out(
    host: Callable[[str], Platform], silent: str, account: Authorizer
) -> None:
    """One of WeChat's APIs may be slow while all others answer."""
    from wechat_open.client.answers import whole
    from wechat_open.client.calls import Call, TokenKind

    platform = host(silent)
    for _ in range(IN_A_ROW):
        with pytest.raises(Unreachable):
            tokens.as_authorizer(platform, OFFICIAL, Call("GET", "/cgi-bin/user/get", TokenKind.AUTHORIZER, whole))

    assert not platform.environment.reachability.doubtful

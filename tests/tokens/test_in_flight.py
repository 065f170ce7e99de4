"""Never two renewals of one token in flight at WeChat: after a lost answer, a change of the grant, a slow database."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from django.core.cache import cache
from django.db import connection

from tests.environments import FakeTime, in_environment
from tests.stage import OFFICIAL
from wechat_open import api, platforms, tokens
from wechat_open.client.calls import Call
from wechat_open.client.component import Grant, NewToken, authorizer_list
from wechat_open.client.transport import Client
from wechat_open.conf import conf
from wechat_open.db import clock
from wechat_open.environment import Environment
from wechat_open.exceptions import RefreshTokenRefused, TokenRefused, TokenUnavailable, Unreachable
from wechat_open.models import Authorizer, Component
from wechat_open.platforms import Platform
from wechat_open.ports import WeChat
from wechat_open.secret import Secret
from wechat_open.simulator import Simulator
from wechat_open.stores.tokens import TOKEN_LEASE, StoredToken, TokenLease
from wechat_open.tokens import AuthorizerKeeper, ComponentKeeper, grants
from wechat_open.tokens.keeper import LeaseLost
from wechat_open.tokens.recovery import Renewal

COMPONENT_TOKEN = "/cgi-bin/component/api_component_token"
REFRESH = "/cgi-bin/component/api_authorizer_token"
USERS = "/cgi-bin/user/get"
SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
LONGEST_CALL = Client("", (1, 2)).longest_call
Later = Callable[[timedelta], None]


def refreshes(wechat: Simulator) -> int:
    return wechat.engine.calls[REFRESH]


def is_leased(model: type[Authorizer] | type[Component] = Authorizer) -> bool:
    return model.objects.filter(leased_until__gt=clock.now()).exists()  # type: ignore[attr-defined]


class Interrupted(Client):
    """Something happens while WeChat works on a call that renews a token."""

    meanwhile: Callable[[], object]

    def run(self, call: Call[Any], token: Secret | None = None) -> Any:
        if call.path in (REFRESH, COMPONENT_TOKEN):
            self.meanwhile()
        return super().run(call, token)


@dataclass(frozen=True)
class Interrupting(Environment):
    client: Interrupted | None = None

    def wechat(self) -> WeChat:
        assert self.client is not None
        return self.client


@pytest.fixture
def while_refreshing(wechat: Simulator, platform: Platform) -> Callable[[Callable[[], object]], Platform]:
    """The platform, with something that happens during each of its refreshes."""

    def interrupted(meanwhile: Callable[[], object]) -> Platform:
        client = Interrupted(conf.api_base_url, (1, 2))
        client.meanwhile = meanwhile
        return in_environment(platform, Interrupting(client=client))

    return interrupted


class TestLostAnswer:
    @pytest.mark.parametrize(("kind", "value"), [("lost", True), ("status", 502), ("status", 504)])
    @pytest.mark.fault("F27")
    def test_no_answer__keeps_the_lease_until_the_call_has_ended(
        self, wechat: Simulator, platform: Platform, account: Authorizer, later: Later, kind: str, value: Any
    ) -> None:
        wechat.faults.add(REFRESH, kind, value)
        with pytest.raises(Unreachable):
            tokens.refresh_now(account)

        later(LONGEST_CALL - 2 * SECOND)
        assert is_leased()
        Authorizer.objects.update(next_action_at=clock.now() - SECOND)  # whatever makes it due
        assert tokens.run_due(platform).renewed == 0
        assert refreshes(wechat) == 1

        later(3 * SECOND)
        assert not is_leased()
        assert tokens.run_due(platform).renewed == 1

    @pytest.mark.parametrize("model", [Authorizer, Component])
    def test_process_that_stood_still_before_it_sent__keeps_the_lease_as_long(
        self,
        wechat: Simulator,
        platform: Platform,
        account: Authorizer,
        while_refreshing: Any,
        later: Later,
        model: Any,
    ) -> None:
        """When it looked at its clock says nothing about when WeChat began to work."""
        fake_time = FakeTime()

        def stand_still() -> None:
            fake_time.now += 18

        stalling = replace(while_refreshing(stand_still).environment, timing=fake_time.timing)
        stalled = in_environment(platform, stalling)
        keeper: Any = AuthorizerKeeper(stalled, OFFICIAL) if model is Authorizer else ComponentKeeper(stalled)
        tokens.component_token(platform)
        wechat.faults.add(REFRESH if model is Authorizer else COMPONENT_TOKEN, "lost", True)
        with pytest.raises(Unreachable):
            keeper.renew_now()

        later(LONGEST_CALL - 2 * SECOND)
        assert is_leased(model)
        later(3 * SECOND)
        assert not is_leased(model)

    @pytest.mark.parametrize(("kind", "value"), [("errcode", -1), ("status", 500), ("garbage", True)])
    def test_answer__ends_the_lease(self, wechat: Simulator, account: Authorizer, kind: str, value: Any) -> None:
        wechat.faults.add(REFRESH, kind, value)
        with pytest.raises(Exception, match="WeChat"):
            tokens.refresh_now(account)

        assert not is_leased()
        tokens.refresh_now(account)

    def test_request_that_was_not_sent__ends_the_lease(
        self, wechat: Simulator, platform: Platform, account: Authorizer, settings: Any
    ) -> None:
        tokens.component_token(platform)
        settings.WECHAT_OPEN = {**settings.WECHAT_OPEN, "API_BASE_URL": "http://127.0.0.1:9"}
        with pytest.raises(Unreachable):
            tokens.refresh_now(account)

        assert not is_leased()

    def test_other_call_without_an_answer__ends_the_lease(
        self, wechat: Simulator, platform: Platform, account: Authorizer
    ) -> None:
        tokens.component_token(platform)
        Authorizer.objects.update(needs_reconcile=True, refresh_token="")
        wechat.faults.add("api_get_authorizer_info", "lost", True)
        wechat.faults.add("api_get_authorizer_list", "lost", True)
        with pytest.raises(Unreachable):
            tokens.refresh_now(account)

        assert not is_leased()

    def test_operator__gets_the_time_of_the_next_try(self, wechat: Simulator, account: Authorizer) -> None:
        wechat.faults.add(REFRESH, "lost", True)
        with pytest.raises(Unreachable):
            tokens.refresh_now(account)

        with pytest.raises(TokenUnavailable, match="cannot be renewed yet") as refused:
            tokens.refresh_now(account)
        assert timedelta() < refused.value.retry_after <= LONGEST_CALL + 5 * SECOND
        assert refreshes(wechat) == 1

    def test_caller_whose_token_the_lost_answer_has_killed__does_not_wait(
        self, wechat: Simulator, platform: Platform, account: Authorizer
    ) -> None:
        wechat.faults.add(REFRESH, "lost", True)
        with pytest.raises(Unreachable):
            tokens.refresh_now(account)
        cache.clear()
        fake_time = FakeTime()
        keeper = AuthorizerKeeper(in_environment(platform, fake_time.environment), OFFICIAL)

        assert keeper.invalidate(keeper.token())
        with pytest.raises(TokenUnavailable):
            keeper.token()
        assert fake_time.slept == []
        assert refreshes(wechat) == 1

    @pytest.mark.fault("F27")
    def test_slow_answer__is_never_overtaken(
        self, transactional_db: None, wechat: Simulator, account: Authorizer, settings: Any
    ) -> None:
        settings.WECHAT_OPEN = {**settings.WECHAT_OPEN, "TIMEOUT": (0.2, 0.6), "TOKEN_WAIT": 0}
        wechat.faults.add(REFRESH, "delay", 1.0)
        with pytest.raises(Unreachable):
            tokens.refresh_now(account)

        ends_at = time.monotonic() + 20
        while time.monotonic() < ends_at:
            try:
                tokens.refresh_now(account)
            except TokenUnavailable:
                time.sleep(0.1)
            else:
                break
        assert refreshes(wechat) == 3  # the one before, and the one that refuses what the slow one replaced
        assert wechat.engine.accounts[OFFICIAL].overlaps == 0

    def test_component_token__keeps_its_lease_too(self, wechat: Simulator, platform: Platform, later: Later) -> None:
        wechat.faults.add(COMPONENT_TOKEN, "lost", True)
        with pytest.raises(Unreachable):
            tokens.component_token(platform)

        assert is_leased(Component)
        with pytest.raises(TokenUnavailable, match="The last renewal failed"):
            tokens.component_token(platform)
        assert wechat.engine.calls[COMPONENT_TOKEN] == 1

        later(LONGEST_CALL + 5 * SECOND)
        assert tokens.component_token(platform)

    def test_component_token_that_is_refused_with_an_answer__ends_its_lease(
        self, wechat: Simulator, platform: Platform
    ) -> None:
        wechat.faults.add(COMPONENT_TOKEN, "errcode", -1)
        with pytest.raises(Exception, match="-1"):
            tokens.component_token(platform)

        assert not is_leased(Component)


def _granted(platform: Platform, account: Authorizer) -> None:
    grant = Grant(OFFICIAL, NewToken(Secret("new"), timedelta(hours=2)), Secret("refreshtoken@@@new"), (1,), None)
    assert account.grant_changed_at is not None
    grants.keep(platform, grant, granted_at=account.grant_changed_at + SECOND)


def _dated(platform: Platform, account: Authorizer) -> None:
    assert account.grant_changed_at is not None
    Authorizer.objects.update(unauthorized_at=account.grant_changed_at)
    grants.date(account, account.grant_epoch, account.grant_changed_at - SECOND)


def _withdrawn(platform: Platform, account: Authorizer) -> None:
    assert account.grant_changed_at is not None
    assert grants.withdraw(platform, OFFICIAL, account.grant_changed_at + MINUTE)[1]


def _missing(platform: Platform, account: Authorizer) -> None:
    Authorizer.objects.update(missing_since="2026-01-01T00:00Z", grant_changed_at="2026-01-01T00:00Z")
    platforms.get()  # the list is read with the platform of the site
    assert tokens.reconcile(platform).withdrawn == [OFFICIAL]


CHANGES = [_granted, _dated, _withdrawn, _missing]


@pytest.mark.parametrize("change", CHANGES)
class TestChangedGrant:
    @pytest.fixture
    def lease(self, wechat: Simulator, platform: Platform, account: Authorizer, change: Any) -> TokenLease:
        """The lease of a worker whose refresh is in flight while the grant changes."""
        keeper = AuthorizerKeeper(platform, OFFICIAL)
        lease = keeper.store.take(keeper.read())
        assert lease is not None
        if change is _missing:
            wechat.engine.unauthorize(OFFICIAL)
        change(platform, account)
        return lease

    def test_change__leaves_the_lease(self, platform: Platform, lease: TokenLease) -> None:
        store = platform.environment.authorizer_store(platform.row)

        assert store.read(OFFICIAL).leased
        assert store.take(store.read(OFFICIAL)) is None
        assert store.take_due(1) == []

    def test_failure_of_the_call__ends_it_and_changes_nothing_else(self, platform: Platform, lease: TokenLease) -> None:
        store = platform.environment.authorizer_store(platform.row)
        before = Authorizer.objects.values().get()

        assert not store.fail(lease, RefreshTokenRefused(61023), SECOND)
        assert Authorizer.objects.values().get() == {**before, "leased_until": None}

    def test_lost_answer__leaves_it(self, platform: Platform, lease: TokenLease) -> None:
        store = platform.environment.authorizer_store(platform.row)
        before = Authorizer.objects.values().get()

        assert not store.fail_in_flight(lease, Unreachable(REFRESH, "timeout"), SECOND, 5 * SECOND)
        assert Authorizer.objects.values().get() == before

    def test_worker_that_was_killed__is_replaced_when_the_lease_ends(
        self, platform: Platform, lease: TokenLease, later: Later
    ) -> None:
        store = platform.environment.authorizer_store(platform.row)
        later(TOKEN_LEASE.length + SECOND)

        assert store.take(store.read(OFFICIAL))

    def test_lease_of_a_later_worker__is_not_ended(self, platform: Platform, lease: TokenLease, later: Later) -> None:
        store = platform.environment.authorizer_store(platform.row)
        later(TOKEN_LEASE.length + SECOND)
        assert store.take(store.read(OFFICIAL))

        assert not store.release(lease, SECOND)
        assert is_leased()


class TestInterruptedCall:
    """A time limit of Celery's, or of the web server's, strikes while the call is in flight."""

    def test_renewal__keeps_the_lease_until_the_call_has_ended(
        self, platform: Platform, account: Authorizer, while_refreshing: Any, later: Later
    ) -> None:
        with pytest.raises(Interruption):
            AuthorizerKeeper(while_refreshing(interrupt), OFFICIAL).renew_now()

        later(LONGEST_CALL - 2 * SECOND)
        assert is_leased()
        later(3 * SECOND)
        assert not is_leased()

    def test_asking_again__keeps_the_lease(
        self, platform: Platform, account: Authorizer, while_refreshing: Any
    ) -> None:
        Authorizer.objects.update(state=Authorizer.State.NEEDS_REAUTHORIZATION)
        with pytest.raises(Interruption):
            grants.ask_again(while_refreshing(interrupt), account)

        assert is_leased()

    def test_component_token__keeps_the_lease(self, platform: Platform, while_refreshing: Any) -> None:
        Component.objects.update(access_token_expires_at="2026-01-01T00:00Z")
        with pytest.raises(Interruption):
            ComponentKeeper(while_refreshing(interrupt)).renew_now()

        assert is_leased(Component)


class Interruption(Exception):
    """Like Celery's SoftTimeLimitExceeded."""


def interrupt() -> None:
    raise Interruption


class TestLateAnswer:
    def test_grant_during_a_refresh__is_renewed_after_it(
        self, platform: Platform, account: Authorizer, while_refreshing: Any
    ) -> None:
        in_flight: list[bool] = []

        def meanwhile() -> None:
            _granted(platform, account)
            in_flight.append(is_leased())

        keeper = AuthorizerKeeper(while_refreshing(meanwhile), OFFICIAL)
        lease = keeper.store.take(keeper.read())
        assert lease is not None
        with pytest.raises(LeaseLost):
            keeper.renew(lease)

        assert in_flight == [True]
        assert not is_leased()
        row = Authorizer.objects.get()
        assert row.needs_reconcile
        assert row.next_action_at is not None
        assert tokens.run_due(platform).renewed == 1

    def test_cancellation_during_a_refresh__leaves_nothing_due(
        self, platform: Platform, account: Authorizer, while_refreshing: Any
    ) -> None:
        keeper = AuthorizerKeeper(while_refreshing(lambda: _withdrawn(platform, account)), OFFICIAL)
        lease = keeper.store.take(keeper.read())
        assert lease is not None
        with pytest.raises(LeaseLost):
            keeper.renew(lease)

        row = Authorizer.objects.get()
        assert (row.next_action_at, row.leased_until, row.needs_reconcile) == (None, None, False)

    def test_grant_between_two_calls__ends_the_lease(self, platform: Platform, account: Authorizer) -> None:
        keeper = AuthorizerKeeper(platform, OFFICIAL)
        lease = keeper.store.take(keeper.read())
        assert lease is not None
        _granted(platform, account)

        with pytest.raises(LeaseLost):
            keeper.outlasting(Renewal(keeper, _nearly_over(keeper, lease)).lease)
        assert not is_leased()


def _nearly_over(keeper: AuthorizerKeeper, lease: TokenLease) -> TokenLease:
    return replace(lease, ends_monotonic=keeper.timing.monotonic() + 1)


class TestLostAccount:
    @pytest.fixture
    def lost(self, account: Authorizer) -> Authorizer:
        Authorizer.objects.update(state=Authorizer.State.NEEDS_REAUTHORIZATION, next_action_at=None)
        return Authorizer.objects.select_related("component").get()

    def test_second_operator__sends_no_refresh_while_the_first_ones_is_in_flight(
        self, wechat: Simulator, lost: Authorizer, while_refreshing: Any, settings: Any
    ) -> None:
        settings.WECHAT_OPEN = {**settings.WECHAT_OPEN, "TOKEN_WAIT": 0}

        def second() -> None:
            with pytest.raises(TokenUnavailable):
                tokens.reconcile_account(lost)

        assert grants.ask_again(while_refreshing(second), lost)
        assert refreshes(wechat) == 1
        row = Authorizer.objects.get()
        assert (row.state, row.leased_until) == (Authorizer.State.AUTHORIZED, None)
        assert not tokens.reconcile_account(row)

    def test_second_operator__waits_for_what_the_first_one_finds(
        self, wechat: Simulator, platform: Platform, lost: Authorizer
    ) -> None:
        """While the second waits, the first has stored the grant that it found."""
        keeper = AuthorizerKeeper(platform, OFFICIAL)
        assert keeper.store.take(keeper.store.read(OFFICIAL))
        found = FakeTime(lambda: Authorizer.objects.update(state=Authorizer.State.AUTHORIZED, leased_until=None))

        assert not grants.ask_again(in_environment(platform, found.environment), lost)
        assert len(found.slept) == 1
        assert refreshes(wechat) == 0

    def test_grant_during_the_refresh__stands_and_is_checked(
        self, wechat: Simulator, platform: Platform, lost: Authorizer, while_refreshing: Any
    ) -> None:
        assert not grants.ask_again(while_refreshing(lambda: _granted(platform, lost)), lost)

        row = Authorizer.objects.get()
        assert row.reveal("refresh_token") == Secret("refreshtoken@@@new")
        assert row.needs_reconcile and not is_leased()

    def test_no_answer__keeps_the_lease(self, wechat: Simulator, lost: Authorizer, later: Later, settings: Any) -> None:
        settings.WECHAT_OPEN = {**settings.WECHAT_OPEN, "TOKEN_WAIT": 0}
        wechat.faults.add(REFRESH, "lost", True)
        with pytest.raises(Unreachable):
            tokens.reconcile_account(lost)

        with pytest.raises(TokenUnavailable):
            tokens.reconcile_account(lost)
        later(TOKEN_LEASE.length + SECOND)
        assert tokens.reconcile_account(lost)

    @pytest.mark.parametrize("errcode", [-1, 61003])
    def test_refusal__ends_the_lease_and_leaves_nothing_due(
        self, wechat: Simulator, lost: Authorizer, errcode: int
    ) -> None:
        wechat.faults.add("api_get_authorizer_info", "errcode", errcode)
        if errcode == 61003:
            assert not tokens.reconcile_account(lost)
        else:
            with pytest.raises(Exception, match="-1"):
                tokens.reconcile_account(lost)

        row = Authorizer.objects.get()
        assert (row.leased_until, row.next_action_at, row.due_since) == (None, None, None)

    def test_asker_that_was_killed__leaves_nothing_due(
        self, platform: Platform, lost: Authorizer, later: Later
    ) -> None:
        keeper = AuthorizerKeeper(platform, OFFICIAL)
        lease = keeper.take_lost()
        assert lease is not None and keeper.store.extend(lease)
        later(TOKEN_LEASE.length + SECOND)

        assert tokens.run_due(platform).renewed == 0
        assert Authorizer.objects.get().next_action_at is None


class TestClocks:
    def test_lease__counts_from_before_the_statement_that_takes_it(
        self, platform: Platform, account: Authorizer
    ) -> None:
        fake_time, keeper = self._slow(platform, 57)
        stored = keeper.read()
        with connection.execute_wrapper(fake_time.slow):
            lease = keeper.store.take(stored)

        assert lease is not None
        assert lease.ends_monotonic - fake_time.now == TOKEN_LEASE.length.total_seconds() - 57
        assert keeper.outlasting(lease).ends_monotonic > lease.ends_monotonic

    def test_due_leases__count_from_before_the_statement_too(self, platform: Platform, account: Authorizer) -> None:
        Authorizer.objects.update(next_action_at="2026-01-01T00:00Z")
        fake_time, keeper = self._slow(platform, 50)
        with connection.execute_wrapper(fake_time.slow):
            [lease] = keeper.store.take_due(1)

        assert lease.ends_monotonic - fake_time.now == TOKEN_LEASE.length.total_seconds() - 50

    def test_extension_that_takes_too_long__lets_no_call_begin(self, platform: Platform, account: Authorizer) -> None:
        fake_time, keeper = self._slow(platform, 58)
        lease = keeper.store.take(keeper.read())
        assert lease is not None
        fake_time.now += 58

        with connection.execute_wrapper(fake_time.slow), pytest.raises(LeaseLost, match="too slow"):
            keeper.outlasting(lease)
        assert is_leased()

    @pytest.mark.parametrize(("left", "extended"), [(9, True), (11, False)])
    def test_process_may_stand_still_before_it_sends(
        self, platform: Platform, account: Authorizer, left: int, extended: bool
    ) -> None:
        """An extension follows where the lease would end with the call, if that began ten seconds late."""
        fake_time, keeper = self._slow(platform, 0)
        lease = keeper.store.take(keeper.read())
        assert lease is not None
        fake_time.now = lease.ends_monotonic - keeper.wechat.longest_call.total_seconds() - left

        assert (keeper.outlasting(lease) is not lease) is extended

    def test_lease__is_checked_before_the_second_request_too(
        self, wechat: Simulator, platform: Platform, account: Authorizer
    ) -> None:
        """The first was refused for its token, and renewing that took long."""
        checked: list[float] = []
        fake_time = FakeTime()
        keeper = ComponentKeeper(in_environment(platform, fake_time.environment))
        keeper.token()
        wechat.engine.kill_component_token()

        keeper.call_with_token(authorizer_list(platform), before=lambda: checked.append(fake_time.now))
        assert len(checked) == 2

    @staticmethod
    def _slow(platform: Platform, seconds: float) -> tuple[Any, AuthorizerKeeper]:
        """A process whose UPDATE statements take so long."""

        class SlowDatabase(FakeTime):
            def slow(self, execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
                result = execute(sql, params, many, context)
                if sql.startswith("UPDATE"):
                    self.now += seconds
                return result

        fake_time = SlowDatabase()
        return fake_time, AuthorizerKeeper(in_environment(platform, fake_time.environment), OFFICIAL)


@pytest.mark.parametrize(
    ("failures", "leased_for", "due_in", "rests"),
    [
        (0, None, 60, False),
        (1, None, 60, True),
        (1, None, -1, False),
        (1, -1, 60, True),
        (1, 60, 60, False),  # a worker renews
        (1, 20, 21, True),  # a call may be in flight
        (1, 20, None, False),
    ],
)
def test_rests__after_a_failure_and_while_no_worker_renews(
    failures: int, leased_for: int | None, due_in: int | None, rests: bool
) -> None:
    now = datetime(2026, 11, 30, tzinfo=timezone.utc)
    leased_until = None if leased_for is None else now + leased_for * SECOND
    due_at = None if due_in is None else now + due_in * SECOND
    stored = StoredToken(1, "", Secret("a"), None, now, due_at, leased_until, failures, 0, "", now)

    assert stored.rests is rests
    assert stored.rests_for == max(timedelta(), (due_in or 0) * SECOND)


def test_call_with_a_token_that_the_lost_answer_has_killed__is_an_error_at_once(
    wechat: Simulator, account: Authorizer
) -> None:
    wechat.faults.add(REFRESH, "lost", True)
    with pytest.raises(Unreachable):
        tokens.refresh_now(account)

    began = time.monotonic()
    with pytest.raises((TokenUnavailable, TokenRefused)):
        api.authorizer(OFFICIAL).get(USERS)
    assert time.monotonic() - began < conf.token_wait.total_seconds()

"""A token is read, renewed ahead of its end, and replaced when WeChat refuses it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.core.cache import cache
from django.db import OperationalError, connection, transaction

from tests.stage import OFFICIAL, deliver
from wechat_open import api, platforms, tokens
from wechat_open.exceptions import (
    AccountRestricted,
    AuthorizerUnauthorized,
    NotAuthorized,
    PlatformFault,
    QuotaExceeded,
    ReauthorizationNeeded,
    RefreshTokenRefused,
    TicketMissing,
    TokenRefused,
    TokenUnavailable,
    UnknownAuthorizer,
    Unreachable,
)
from wechat_open.health import RED, checks, facts
from wechat_open.models import AuditEntry, Authorizer, Component
from wechat_open.operations.accounts import Reconcile
from wechat_open.platforms import Platform
from wechat_open.simulator import Simulator
from wechat_open.stores.authorizers import AuthorizerStore
from wechat_open.stores.token_memory import MEMORY
from wechat_open.tokens import ComponentKeeper

COMPONENT_TOKEN = "/cgi-bin/component/api_component_token"
REFRESH = "/cgi-bin/component/api_authorizer_token"
USERS = "/cgi-bin/user/get"
Later = Callable[[timedelta], None]
Grant = Callable[..., Authorizer]


@pytest.fixture
def shops(wechat: Simulator, grant: Grant) -> list[Authorizer]:
    """Two more accounts."""
    return connect(wechat, grant, 2)


def connect(wechat: Simulator, grant: Grant, count: int) -> list[Authorizer]:
    """So many other accounts authorize."""
    for number in range(count):
        wechat.engine.add_account(f"Shop {number}", "official", appid=f"wx{number:016d}")
    return [grant(f"wx{number:016d}") for number in range(count)]


def wechat_denies_every_account(wechat: Simulator) -> None:
    """An incident: WeChat knows no account any more."""
    for path in (REFRESH, "api_get_authorizer_info"):
        wechat.faults.add(path, "errcode", 61003, times=10**6)
    wechat.faults.add("api_get_authorizer_list", "garbage", '{"total_count": 0, "list": []}', times=10**6)


def refreshes(wechat: Simulator) -> int:
    return wechat.engine.calls[REFRESH]


def stored_refresh_token(account: Authorizer) -> str:
    account.refresh_from_db()
    return account.reveal("refresh_token").reveal()


def is_alive(wechat: Simulator, account: Authorizer) -> bool:
    account.refresh_from_db()
    return wechat.engine.owner_of(account.reveal("access_token").reveal()) == account.appid


class TestComponentToken:
    def test_first_use__fetches_it_with_the_ticket(self, wechat: Simulator, platform: Platform) -> None:
        token = tokens.component_token(platform)

        assert wechat.engine.owner_of(token.reveal()) == "component"

    def test_second_use__costs_no_call(self, wechat: Simulator, platform: Platform) -> None:
        first = tokens.component_token(platform)

        assert tokens.component_token(platform) == first
        assert wechat.engine.calls[COMPONENT_TOKEN] == 1

    @pytest.mark.fault("F15")
    def test_lost_cache__costs_no_call(self, wechat: Simulator, platform: Platform) -> None:
        first = tokens.component_token(platform)
        cache.clear()

        assert tokens.component_token(platform) == first
        assert wechat.engine.calls[COMPONENT_TOKEN] == 1

    def test_no_ticket__is_an_error_with_the_command_to_run(self, wechat: Simulator, platform: Platform) -> None:
        platform.row.tickets.all().delete()

        with pytest.raises(TicketMissing, match="push-ticket"):
            tokens.component_token(platform)
        assert wechat.engine.calls[COMPONENT_TOKEN] == 0

    def test_no_ticket_of_another_platform__names_it_in_the_command(
        self, db: None, wechat: Simulator, settings: Any
    ) -> None:
        good = settings.WECHAT_OPEN["COMPONENTS"]["default"]
        settings.WECHAT_OPEN = {**settings.WECHAT_OPEN, "COMPONENTS": {"second": {**good, "APPID": "wxsecond"}}}

        with pytest.raises(TicketMissing, match="wechat_open push-ticket --component second`"):
            tokens.component_token(platforms.get("second"))

    def test_ticket_that_comes_at_last__ends_the_back_off(self, wechat: Simulator, platform: Platform) -> None:
        platform.row.tickets.all().delete()
        with pytest.raises(TicketMissing):
            tokens.component_token(platform)
        deliver(platform, wechat.engine.new_ticket())

        assert tokens.component_token(platform)

    def test_refused_ticket__falls_back_to_the_one_before(self, wechat: Simulator, platform: Platform) -> None:
        wechat.faults.add(COMPONENT_TOKEN, "errcode", 61006)
        deliver(platform, wechat.engine.new_ticket())

        assert wechat.engine.owner_of(tokens.component_token(platform).reveal()) == "component"

    def test_wrong_secret__is_the_platforms_fault(
        self, wechat: Simulator, platform: Platform, settings: object
    ) -> None:
        wechat.engine.settings.appsecret = "another-secret"

        with pytest.raises(PlatformFault):
            tokens.component_token(platform)

    def test_failure__makes_callers_back_off(self, wechat: Simulator, platform: Platform) -> None:
        wechat.faults.add(COMPONENT_TOKEN, "errcode", -1, times=10)
        with pytest.raises(Exception, match="-1"):
            tokens.component_token(platform)

        with pytest.raises(TokenUnavailable) as refused:
            tokens.component_token(platform)
        assert refused.value.retry_after > timedelta()
        assert wechat.engine.calls[COMPONENT_TOKEN] == 1

    def test_killed_token__is_replaced_by_the_next_call(self, wechat: Simulator, platform: Platform) -> None:
        api.component().create_preauthcode()
        wechat.engine.kill_component_token()

        assert api.component().create_preauthcode().code

    def test_killed_twice_in_a_minute__is_not_renewed_again(self, wechat: Simulator, platform: Platform) -> None:
        api.component().create_preauthcode()
        wechat.engine.kill_component_token()
        api.component().create_preauthcode()
        wechat.engine.kill_component_token()

        with pytest.raises(TokenRefused):
            api.component().create_preauthcode()
        assert wechat.engine.calls[COMPONENT_TOKEN] == 2

    def test_killed_again_after_a_minute__is_renewed(self, wechat: Simulator, platform: Platform, later: Later) -> None:
        api.component().create_preauthcode()
        wechat.engine.kill_component_token()
        api.component().create_preauthcode()
        wechat.engine.kill_component_token()
        later(timedelta(seconds=61))

        assert api.component().create_preauthcode().code

    def test_late_refusal__does_not_end_the_new_token(self, wechat: Simulator, platform: Platform) -> None:
        old = tokens.component_token(platform)
        fresh = ComponentKeeper(platform).renew_now()

        assert ComponentKeeper(platform).invalidate(old)
        assert tokens.component_token(platform) == fresh

    def test_token_that_cannot_be_decrypted__is_renewed(self, wechat: Simulator, platform: Platform) -> None:
        tokens.component_token(platform)
        cache.clear()
        Component.objects.update(access_token="v1.deadbeef.AAAA")

        assert wechat.engine.owner_of(tokens.component_token(platform).reveal()) == "component"

    def test_ticket_that_cannot_be_decrypted__does_not_hide_the_one_before(
        self, wechat: Simulator, platform: Platform, caplog: pytest.LogCaptureFixture
    ) -> None:
        deliver(platform, wechat.engine.new_ticket())
        newest = platform.row.tickets.first()
        assert newest
        platform.row.tickets.filter(pk=newest.pk).update(ticket="v1.deadbeef.AAAA")

        assert wechat.engine.owner_of(tokens.component_token(platform).reveal()) == "component"
        assert "A verify ticket cannot be used" in caplog.text

    def test_tickets_that_cannot_be_decrypted__are_the_stored_failure(self, platform: Platform) -> None:
        platform.row.tickets.update(ticket="v1.deadbeef.AAAA")

        with pytest.raises(TicketMissing, match="deadbeef"):
            tokens.component_token(platform)
        platform.row.refresh_from_db()
        assert "deadbeef" in platform.row.last_error

    def test_two_platforms__do_not_share(self, wechat: Simulator, platform: Platform) -> None:
        other = Component.objects.create(appid="wxother")
        tokens.component_token(platform)

        other.refresh_from_db()
        assert other.access_token == ""


class TestReading:
    def test_valid_token__is_returned_without_a_call(
        self, wechat: Simulator, platform: Platform, account: Authorizer
    ) -> None:
        token = tokens.authorizer_token(platform, OFFICIAL)

        assert wechat.engine.owner_of(token.reveal()) == OFFICIAL
        assert refreshes(wechat) == 0

    def test_token_that_cannot_be_decrypted__is_renewed(
        self, wechat: Simulator, platform: Platform, account: Authorizer
    ) -> None:
        cache.clear()
        Authorizer.objects.update(access_token="v1.deadbeef.AAAA")

        assert wechat.engine.owner_of(tokens.authorizer_token(platform, OFFICIAL).reveal()) == OFFICIAL
        assert is_alive(wechat, account)

    def test_cached_token__saves_every_query(
        self, platform: Platform, account: Authorizer, django_assert_num_queries: Callable[[int], object]
    ) -> None:
        tokens.authorizer_token(platform, OFFICIAL)

        with django_assert_num_queries(0):
            tokens.authorizer_token(platform, OFFICIAL)

    @pytest.mark.fault("F20")
    def test_cached_token__survives_a_dead_database(
        self, wechat: Simulator, platform: Platform, account: Authorizer
    ) -> None:
        token = tokens.authorizer_token(platform, OFFICIAL)
        cache.delete(f"wechat_open:{platform.appid}:{OFFICIAL}:short")

        def dead(*_: object) -> None:
            raise OperationalError("server closed the connection")

        with connection.execute_wrapper(dead):
            assert tokens.authorizer_token(platforms.get(), OFFICIAL) == token
            MEMORY.clear()
            assert tokens.authorizer_token(platforms.get(), OFFICIAL) == token
            cache.clear()
            with pytest.raises(OperationalError):
                tokens.authorizer_token(platforms.get(), OFFICIAL)

    def test_call_with_a_cached_token__makes_no_query(
        self, account: Authorizer, django_assert_num_queries: Callable[[int], object]
    ) -> None:
        api.authorizer(OFFICIAL).get(USERS)

        with django_assert_num_queries(0):
            api.authorizer(OFFICIAL).get(USERS)

    def test_due_token__is_still_used(
        self, wechat: Simulator, platform: Platform, account: Authorizer, later: Later
    ) -> None:
        later(timedelta(minutes=100))
        cache.clear()

        tokens.authorizer_token(platform, OFFICIAL)
        assert refreshes(wechat) == 0

    def test_nearly_expired_token__is_renewed_by_the_caller(
        self, wechat: Simulator, platform: Platform, account: Authorizer, later: Later
    ) -> None:
        later(timedelta(minutes=116))
        cache.clear()

        token = tokens.authorizer_token(platform, OFFICIAL)
        assert refreshes(wechat) == 1
        assert wechat.engine.owner_of(token.reveal()) == OFFICIAL

    @pytest.mark.fault("F28")
    def test_nearly_expired_token_and_wechat_down__is_still_used(
        self, wechat: Simulator, platform: Platform, account: Authorizer, later: Later
    ) -> None:
        old = tokens.authorizer_token(platform, OFFICIAL)
        later(timedelta(minutes=116))
        cache.clear()
        wechat.faults.add(REFRESH, "status", 502, times=5)

        assert tokens.authorizer_token(platform, OFFICIAL) == old

    def test_expired_token_and_wechat_down__is_an_error_with_retry_after(
        self, wechat: Simulator, platform: Platform, account: Authorizer, later: Later
    ) -> None:
        later(timedelta(minutes=121))
        cache.clear()
        wechat.faults.add(REFRESH, "status", 502, times=5)

        with pytest.raises(Unreachable):
            tokens.authorizer_token(platform, OFFICIAL)
        with pytest.raises(TokenUnavailable) as refused:
            tokens.authorizer_token(platform, OFFICIAL)
        assert "502" in str(refused.value)
        assert refreshes(wechat) == 1

    def test_unknown_account__is_named(self, platform: Platform) -> None:
        with pytest.raises(UnknownAuthorizer, match="wxnobody"):
            tokens.authorizer_token(platform, "wxnobody")

    def test_cancelled_account__is_an_error_of_its_own(self, platform: Platform, account: Authorizer) -> None:
        Authorizer.objects.update(state=Authorizer.State.UNAUTHORIZED)

        with pytest.raises(AuthorizerUnauthorized, match="its owner must authorize again"):
            tokens.authorizer_token(platform, OFFICIAL)

    def test_refused_account__is_an_error_of_its_own(self, platform: Platform, account: Authorizer) -> None:
        Authorizer.objects.update(state=Authorizer.State.NEEDS_REAUTHORIZATION)

        with pytest.raises(ReauthorizationNeeded, match="authorize again"):
            tokens.authorizer_token(platform, OFFICIAL)

    def test_token_of_a_few_seconds__has_windows_of_its_own(
        self, wechat: Simulator, platform: Platform, grant: Grant, later: Later
    ) -> None:
        wechat.engine.settings.token_life = 20
        grant()
        later(timedelta(seconds=17))
        cache.clear()
        tokens.authorizer_token(platform, OFFICIAL)
        assert refreshes(wechat) == 0

        later(timedelta(seconds=1.2))
        cache.clear()
        tokens.authorizer_token(platform, OFFICIAL)
        assert refreshes(wechat) == 1


class TestCalling:
    def test_call__carries_the_accounts_token(self, wechat: Simulator, account: Authorizer) -> None:
        assert api.authorizer(OFFICIAL).get(USERS)["total"] >= 0

    def test_row__works_like_its_appid(self, account: Authorizer) -> None:
        assert "total" in api.authorizer(account).get(USERS)

    def test_killed_token__is_replaced(self, wechat: Simulator, account: Authorizer) -> None:
        wechat.engine.kill_access_token(OFFICIAL)

        assert "total" in api.authorizer(OFFICIAL).get(USERS)
        assert refreshes(wechat) == 1

    def test_token_that_is_always_refused__is_replaced_once(self, wechat: Simulator, account: Authorizer) -> None:
        wechat.faults.add(USERS, "errcode", 40001, times=100)

        with pytest.raises(TokenRefused):
            api.authorizer(OFFICIAL).get(USERS)
        assert wechat.engine.calls[USERS] == 2

    def test_killed_component_token__is_replaced_during_a_refresh(
        self, wechat: Simulator, platform: Platform, account: Authorizer
    ) -> None:
        wechat.engine.kill_component_token()
        wechat.engine.kill_access_token(OFFICIAL)

        assert "total" in api.authorizer(OFFICIAL).get(USERS)

    def test_inside_a_transaction_that_rolls_back__nothing_is_lost(
        self, transactional_db: None, wechat: Simulator, platform: Platform, account: Authorizer
    ) -> None:
        wechat.engine.kill_access_token(OFFICIAL)

        with transaction.atomic():
            api.authorizer(OFFICIAL).get(USERS)
            transaction.set_rollback(True)

        kept = stored_refresh_token(account) == wechat.engine.accounts[OFFICIAL].grant.refresh_token
        assert kept or connection.vendor == "sqlite"  # one writer only: there the recovery order has to help
        tokens.refresh_now(account)
        assert is_alive(wechat, account)


class TestRenewing:
    @pytest.mark.parametrize("rotation", ["strict", "grace", "stable"])
    def test_many_renewals__keep_the_current_pair(
        self, wechat: Simulator, platform: Platform, account: Authorizer, rotation: str
    ) -> None:
        wechat.engine.settings.rotation = rotation

        for _ in range(3):
            tokens.refresh_now(account)

        assert stored_refresh_token(account) == wechat.engine.accounts[OFFICIAL].grant.refresh_token
        assert is_alive(wechat, account)
        assert refreshes(wechat) == 3

    def test_renewal__is_due_again_at_70_to_80_percent(self, account: Authorizer) -> None:
        tokens.refresh_now(account)

        account.refresh_from_db()
        assert account.next_action_at and account.access_token_obtained_at and account.access_token_expires_at
        life = account.access_token_expires_at - account.access_token_obtained_at
        assert 0.7 <= (account.next_action_at - account.access_token_obtained_at) / life <= 0.8
        assert life == timedelta(hours=2)

    def test_replaced_refresh_token__stays_until_the_new_one_has_worked(
        self, wechat: Simulator, account: Authorizer
    ) -> None:
        before = stored_refresh_token(account)
        tokens.refresh_now(account)

        assert account.reveal("previous_refresh_token").reveal() == ""  # read before the refresh
        account.refresh_from_db()
        assert account.reveal("previous_refresh_token").reveal() == before

    def test_unchanged_refresh_token__needs_no_fallback(self, wechat: Simulator, account: Authorizer) -> None:
        wechat.engine.settings.rotation = "stable"
        tokens.refresh_now(account)

        account.refresh_from_db()
        assert account.previous_refresh_token == ""

    @pytest.mark.fault("F36")
    def test_answer_without_refresh_token__keeps_the_old_one(self, wechat: Simulator, account: Authorizer) -> None:
        wechat.engine.settings.rotation = "stable"
        before = stored_refresh_token(account)
        wechat.faults.add(REFRESH, "garbage", '{"authorizer_access_token": "new-access-token", "expires_in": 7200}')

        tokens.refresh_now(account)
        assert stored_refresh_token(account) == before

    @pytest.mark.parametrize(
        "answer",
        [
            '{"authorizer_access_token": "", "expires_in": 7200, "authorizer_refresh_token": "x"}',
            '{"authorizer_access_token": "a", "authorizer_refresh_token": "x"}',
            '{"authorizer_access_token": "a", "expires_in": 0, "authorizer_refresh_token": "x"}',
            '{"authorizer_access_token": "a", "expires_in": "soon", "authorizer_refresh_token": "x"}',
            '{"authorizer_access_token": "a", "expires_in": 7200, "authorizer_refresh_token": {"x": 1}}',
            '{"authorizer_access_token": ["a"], "expires_in": 7200, "authorizer_refresh_token": "x"}',
            '{"errcode": "what", "authorizer_access_token": "a"}',
            "[]",
            "null",
            "",
            "<html>",
        ],
    )
    @pytest.mark.fault("F29")
    def test_malformed_answer__changes_no_stored_token(
        self, wechat: Simulator, account: Authorizer, answer: str
    ) -> None:
        before = (stored_refresh_token(account), account.access_token, account.access_token_expires_at)
        wechat.faults.add(REFRESH, "garbage", answer or " ")

        with pytest.raises(Unreachable):
            tokens.refresh_now(account)
        assert (stored_refresh_token(account), account.access_token, account.access_token_expires_at) == before

    def test_late_answer_after_a_new_grant__does_not_overwrite_it(
        self, wechat: Simulator, platform: Platform, account: Authorizer, grant: Grant
    ) -> None:
        keeper = tokens.AuthorizerKeeper(platform, OFFICIAL)
        lease = keeper.store.take(keeper.read())
        assert lease is not None
        wechat.clock.advance(5)
        grant(permissions=(1, 2))

        with pytest.raises(Exception, match=r"changed while|Another worker|refresh"):
            keeper.renew(lease)

        tokens.run_due(platform)
        assert stored_refresh_token(account) == wechat.engine.accounts[OFFICIAL].grant.refresh_token
        assert is_alive(wechat, account)


class TestRecoveryOrder:
    @pytest.mark.parametrize("rotation", ["strict", "grace", "stable"])
    @pytest.mark.fault("F27")
    def test_answer_lost_after_rotation__is_recovered(
        self, wechat: Simulator, platform: Platform, account: Authorizer, rotation: str, later: Later
    ) -> None:
        wechat.engine.settings.rotation = rotation
        wechat.faults.add(REFRESH, "lost", True)
        with pytest.raises(Unreachable):
            tokens.refresh_now(account)

        later(timedelta(seconds=61))
        tokens.refresh_now(account)
        assert stored_refresh_token(account) == wechat.engine.accounts[OFFICIAL].grant.refresh_token
        assert is_alive(wechat, account)

    @pytest.mark.fault("F36")
    def test_record_without_refresh_token__leaves_the_list(
        self, wechat: Simulator, platform: Platform, account: Authorizer
    ) -> None:
        wechat.engine.settings.empty_refresh_in_info = True
        wechat.engine.replace_refresh_token(OFFICIAL)

        tokens.refresh_now(account)
        assert is_alive(wechat, account)

    @pytest.mark.fault("F36")
    def test_no_token_anywhere__is_refused_and_the_state_kept(
        self, wechat: Simulator, platform: Platform, account: Authorizer
    ) -> None:
        wechat.engine.settings.empty_refresh_in_info = wechat.engine.settings.empty_refresh_in_list = True
        wechat.engine.replace_refresh_token(OFFICIAL)
        before = stored_refresh_token(account)

        with pytest.raises(RefreshTokenRefused):
            tokens.refresh_now(account)

        assert stored_refresh_token(account) == before
        assert account.state == Authorizer.State.AUTHORIZED
        assert account.refused_since is not None

    def test_no_token_anywhere_for_a_day__needs_reauthorization(
        self, wechat: Simulator, platform: Platform, account: Authorizer, later: Later
    ) -> None:
        wechat.engine.settings.empty_refresh_in_info = wechat.engine.settings.empty_refresh_in_list = True
        wechat.engine.replace_refresh_token(OFFICIAL)
        for hours in (3, 23, 2):
            later(timedelta(hours=hours))
            tokens.run_due(platform)

        account.refresh_from_db()
        assert account.state == Authorizer.State.NEEDS_REAUTHORIZATION
        with pytest.raises(ReauthorizationNeeded):
            api.authorizer(OFFICIAL).get(USERS)

    def test_61003_to_a_refresh__changes_no_state_at_once(
        self, wechat: Simulator, platform: Platform, account: Authorizer
    ) -> None:
        wechat.faults.add(REFRESH, "errcode", 61003, times=100)
        wechat.faults.add("api_get_authorizer_info", "errcode", 61003, times=100)

        with pytest.raises(NotAuthorized):
            tokens.refresh_now(account)
        account.refresh_from_db()
        assert account.state == Authorizer.State.AUTHORIZED

    def test_cancelled_without_a_push__is_noticed_within_the_hour(
        self, wechat: Simulator, platform: Platform, account: Authorizer, shops: list[Authorizer], later: Later
    ) -> None:
        wechat.engine.unauthorize(OFFICIAL)
        with pytest.raises(NotAuthorized):
            tokens.refresh_now(account)
        account.refresh_from_db()
        assert account.state == Authorizer.State.AUTHORIZED

        later(timedelta(minutes=61))
        tokens.refresh_now(shops[0])  # WeChat answers for others
        tokens.run_due(platform)
        account.refresh_from_db()
        assert account.state == Authorizer.State.UNAUTHORIZED
        assert account.access_token == ""

    def test_only_account_that_is_gone__must_be_so_for_a_day(
        self, wechat: Simulator, platform: Platform, account: Authorizer, later: Later
    ) -> None:
        """Nothing shows that WeChat would answer otherwise for any account."""
        wechat.engine.unauthorize(OFFICIAL)
        later(timedelta(hours=2))
        for hours in (1, 20):
            tokens.run_due(platform)
            account.refresh_from_db()
            assert account.state == Authorizer.State.AUTHORIZED
            later(timedelta(hours=hours))
        later(timedelta(hours=4))
        tokens.run_due(platform)

        account.refresh_from_db()
        assert account.state == Authorizer.State.UNAUTHORIZED

    def test_grant_without_any_token__needs_reauthorization_after_a_day(
        self, wechat: Simulator, platform: Platform, account: Authorizer, later: Later
    ) -> None:
        wechat.engine.settings.empty_refresh_in_info = wechat.engine.settings.empty_refresh_in_list = True
        Authorizer.objects.update(refresh_token="", previous_refresh_token="")

        with pytest.raises(TokenUnavailable, match="no API"):
            tokens.refresh_now(account)
        account.refresh_from_db()
        assert account.state == Authorizer.State.AUTHORIZED
        for hours in (3, 23):
            later(timedelta(hours=hours))
            assert not tokens.run_due(platform).stopped  # it is no fault of the platform's
        account.refresh_from_db()
        assert account.state == Authorizer.State.NEEDS_REAUTHORIZATION

    def test_record_that_cannot_be_read__leaves_the_list(
        self, wechat: Simulator, platform: Platform, account: Authorizer
    ) -> None:
        wechat.faults.add("api_get_authorizer_info", "garbage", "{}", times=100)
        wechat.engine.replace_refresh_token(OFFICIAL)

        tokens.refresh_now(account)
        assert is_alive(wechat, account)

    def test_record_that_cannot_be_read__changes_no_state(
        self, wechat: Simulator, platform: Platform, account: Authorizer, later: Later
    ) -> None:
        wechat.faults.add("api_get_authorizer_info", "garbage", "{}", times=100)
        wechat.engine.settings.empty_refresh_in_list = True
        wechat.engine.replace_refresh_token(OFFICIAL)
        for hours in (3, 23, 30):
            later(timedelta(hours=hours))
            tokens.run_due(platform)

        account.refresh_from_db()
        assert account.state == Authorizer.State.AUTHORIZED

    def test_changed_password__needs_this_owner_and_pauses_no_other_account(
        self, wechat: Simulator, platform: Platform, account: Authorizer, later: Later
    ) -> None:
        """42007: the account's refresh token has ended, and not the platform's own token."""
        wechat.faults.add(REFRESH, "errcode", 42007, times=10**6)
        later(timedelta(hours=3))
        tokens.run_due(platform)
        platform.row.refresh_from_db()
        assert platform.row.paused_since is None
        for hours in (23, 2):
            later(timedelta(hours=hours))
            tokens.run_due(platform)

        account.refresh_from_db()
        assert account.state == Authorizer.State.NEEDS_REAUTHORIZATION


class TestRestrictions:
    """WeChat has frozen or closed the account: repeating changes nothing."""

    @pytest.mark.parametrize("errcode", [50002, 48004, 40013, 48001, 61016])
    @pytest.mark.slow
    def test_restricted_account__is_marked_once_and_tried_once_a_day(
        self, wechat: Simulator, platform: Platform, account: Authorizer, later: Later, errcode: int
    ) -> None:
        wechat.faults.add(REFRESH, "errcode", errcode, times=10**6)
        for _ in range(24):
            later(timedelta(hours=1))
            tokens.run_due(platform)
        after_a_day = refreshes(wechat)
        for _ in range(48):
            later(timedelta(hours=1))
            tokens.run_due(platform)

        account.refresh_from_db()
        assert account.state == Authorizer.State.AUTHORIZED
        assert account.restricted_since is not None and account.last_errcode == errcode
        assert after_a_day < 10
        assert refreshes(wechat) - after_a_day in (1, 2, 3)
        assert AuditEntry.objects.filter(kind=AuditEntry.Kind.RESTRICTED, appid=OFFICIAL).count() == 1

    def test_end_of_the_restriction__ends_the_mark(
        self, wechat: Simulator, platform: Platform, account: Authorizer, later: Later
    ) -> None:
        wechat.faults.add(REFRESH, "errcode", 50002, times=1)
        with pytest.raises(AccountRestricted):
            tokens.refresh_now(account)

        tokens.refresh_now(account)  # by hand, at once
        account.refresh_from_db()
        assert (account.restricted_since, account.failures, account.due_since) == (None, 0, None)
        assert is_alive(wechat, account)

    def test_many_restricted_at_once__are_tried_again_soon(
        self, wechat: Simulator, platform: Platform, grant: Grant, later: Later
    ) -> None:
        """Then the platform is the cause, and a day would be too long."""
        for number in range(6):
            wechat.engine.add_account(f"Shop {number}", "official", appid=f"wx{number:016d}")
            grant(f"wx{number:016d}")
        wechat.faults.add(REFRESH, "errcode", 40013, times=10**6)
        for _ in range(10):
            later(timedelta(hours=2))
            tokens.run_due(platform)
        wechat.faults.clear()
        for _ in range(3):
            later(timedelta(minutes=1))
            tokens.run_due(platform)

        assert set(Authorizer.objects.values_list("failures", "restricted_since")) == {(0, None)}


class TestDueSince:
    """A retry does not make a renewal due later than it was."""

    def test_due_time__stays_while_renewals_fail(
        self, wechat: Simulator, platform: Platform, account: Authorizer, later: Later
    ) -> None:
        was_due = account.next_action_at
        wechat.faults.add(REFRESH, "errcode", -1, times=10**6)
        later(timedelta(hours=1, minutes=50))
        for _ in range(3):
            tokens.run_due(platform)
            later(timedelta(minutes=10))
        account.refresh_from_db()
        assert account.failures >= 3
        assert account.due_since == was_due
        overdue = checks.accounts.overdue(facts.read(platform))
        assert (overdue.value, overdue.level) == (1, RED)  # it is all that there is

        wechat.faults.clear()
        tokens.run_due(platform)
        account.refresh_from_db()
        assert account.due_since is None

    def test_worker_that_died__leaves_the_due_time(
        self, wechat: Simulator, platform: Platform, account: Authorizer, later: Later
    ) -> None:
        was_due = account.next_action_at
        later(timedelta(hours=1, minutes=50))
        AuthorizerStore(platform.row).take_due(1)

        account.refresh_from_db()
        assert account.due_since == was_due


class TestFaultsThatAreNotTheAccounts:
    @pytest.mark.parametrize("errcode", [61004, 61011, 40125, 45009])
    def test_refusal_of_the_only_account__pauses_renewals_and_changes_no_state(
        self, wechat: Simulator, platform: Platform, account: Authorizer, later: Later, errcode: int
    ) -> None:
        Authorizer.objects.update(next_action_at=account.access_token_obtained_at)
        wechat.faults.add(REFRESH, "errcode", errcode, times=100)

        tally = tokens.run_due(platform)

        account.refresh_from_db()
        platform.row.refresh_from_db()
        assert tally.stopped
        assert (account.state, account.failures) == (Authorizer.State.AUTHORIZED, 1)
        assert platform.row.last_errcode == errcode
        assert platform.row.paused_since is not None

    def test_paused_platform__makes_no_call(
        self, wechat: Simulator, platform: Platform, account: Authorizer, later: Later
    ) -> None:
        wechat.faults.add(REFRESH, "errcode", 45009, times=100)
        later(timedelta(hours=3))
        cache.clear()
        with pytest.raises(QuotaExceeded):
            tokens.authorizer_token(platform, OFFICIAL)

        with pytest.raises(TokenUnavailable, match="paused"):
            tokens.authorizer_token(platform, OFFICIAL)
        assert refreshes(wechat) == 1

    @pytest.mark.parametrize(
        ("kind", "value"), [("errcode", -1), ("status", 502), ("garbage", "<html>"), ("errcode", 999999)]
    )
    @pytest.mark.fault("F28", "F29", "F30")
    def test_transient_fault__is_repeated_with_backoff(
        self, wechat: Simulator, platform: Platform, account: Authorizer, kind: str, value: object
    ) -> None:
        Authorizer.objects.update(next_action_at=account.access_token_obtained_at)
        wechat.faults.add(REFRESH, kind, value)

        tokens.run_due(platform)

        account.refresh_from_db()
        assert (account.state, account.failures) == (Authorizer.State.AUTHORIZED, 1)
        assert account.last_error

    @pytest.mark.parametrize("count", [2, 19])
    @pytest.mark.fault("F32")
    def test_incident_that_refuses_every_account__changes_no_state(
        self, wechat: Simulator, platform: Platform, grant: Grant, later: Later, count: int
    ) -> None:
        connect(wechat, grant, count)
        wechat_denies_every_account(wechat)

        for hours in (3, 1, 1, 30):
            later(timedelta(hours=hours))
            tokens.run_due(platform)

        assert set(Authorizer.objects.values_list("state", flat=True)) == {Authorizer.State.AUTHORIZED}
        wechat.faults.clear()
        later(timedelta(hours=1))
        tokens.run_due(platform)
        assert all(is_alive(wechat, row) for row in Authorizer.objects.select_related("component"))

    def test_two_of_three_accounts__are_an_incident(
        self, wechat: Simulator, platform: Platform, account: Authorizer, shops: list[Authorizer], later: Later
    ) -> None:
        for gone in (account, shops[0]):
            wechat.engine.unauthorize(gone.appid)
        for hours in (3, 1, 1, 30):
            later(timedelta(hours=hours))
            tokens.run_due(platform)

        assert set(Authorizer.objects.values_list("state", flat=True)) == {Authorizer.State.AUTHORIZED}
        assert Component.objects.get().braked_at is not None

    @pytest.mark.fault("F32")
    def test_incident_of_an_hour_on_the_only_account__changes_no_state(
        self, wechat: Simulator, platform: Platform, account: Authorizer, later: Later
    ) -> None:
        wechat_denies_every_account(wechat)
        later(timedelta(hours=2))
        for _ in range(8):
            tokens.run_due(platform)
            later(timedelta(minutes=10))

        account.refresh_from_db()
        assert account.state == Authorizer.State.AUTHORIZED

    def test_account_that_an_operator_looks_at__passes_the_brake(
        self, wechat: Simulator, platform: Platform, account: Authorizer, shops: list[Authorizer], later: Later
    ) -> None:
        wechat_denies_every_account(wechat)
        for hours in (3, 2):
            later(timedelta(hours=hours))
            tokens.run_due(platform)

        for among_many in (True, False):
            with pytest.raises((NotAuthorized, AuthorizerUnauthorized)):
                Reconcile().execute(account, among_many=among_many)
            account.refresh_from_db()
            assert (account.state == Authorizer.State.AUTHORIZED) is among_many
        assert Authorizer.objects.filter(state=Authorizer.State.AUTHORIZED).count() == 2

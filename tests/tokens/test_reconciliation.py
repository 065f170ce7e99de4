"""The reconciliation corrects whatever went unnoticed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from django.db import DataError

from tests.environments import in_environment
from tests.stage import OFFICIAL, deliver, process
from wechat_open import authorization, health, signals, tokens
from wechat_open.client.component import Listed
from wechat_open.environment import Environment
from wechat_open.exceptions import AuthorizerUnauthorized, TicketMissing, TokenUnavailable, Unreachable
from wechat_open.models import Authorizer, ComparedPage, Component, VerifyTicket
from wechat_open.platforms import Platform
from wechat_open.rounds import Deadline
from wechat_open.simulator import Simulator
from wechat_open.stores.reconciliation import ReconciliationStore
from wechat_open.tokens import AuthorizerKeeper

REFRESH = "/cgi-bin/component/api_authorizer_token"
INFO = "/cgi-bin/component/api_get_authorizer_info"
LIST = "/cgi-bin/component/api_get_authorizer_list"
Later = Callable[[timedelta], None]
Grant = Callable[..., Authorizer]


def live_token(wechat: Simulator, appid: str = OFFICIAL) -> str:
    grant = wechat.engine.accounts[appid].grant
    assert grant is not None
    return grant.refresh_token


def is_whole(wechat: Simulator, account: Authorizer) -> bool:
    account.refresh_from_db()
    return account.reveal("refresh_token").reveal() == live_token(wechat, account.appid)


@pytest.fixture
def shops(wechat: Simulator, grant: Grant) -> list[str]:
    """Some more accounts that have authorized the platform."""
    appids = [f"wx{number:016d}" for number in range(4)]
    for appid in appids:
        wechat.engine.add_account(f"Shop {appid}", "official", appid=appid)
        grant(appid)
    return appids


def authorize(wechat: Simulator, count: int) -> None:
    """Many owners authorize, and no push arrives."""
    for number in range(count):
        wechat.engine.add_account(f"Shop {number}", "official", appid=f"wx{number:016d}")
        wechat.engine.authorize(f"wx{number:016d}")


def damage(appid: str) -> None:
    """Its refresh token cannot be decrypted any more."""
    row = Authorizer.objects.get(appid=appid)
    Authorizer.objects.filter(pk=row.pk).update(refresh_token=row.refresh_token.replace("v1.", "v1.dead"))


def test_nothing_to_do__changes_nothing(wechat: Simulator, platform: Platform, account: Authorizer) -> None:
    before = Authorizer.objects.values().get()

    report = tokens.reconcile(platform)

    assert report.complete
    assert (report.seen, report.differences) == (1, 0)
    assert Authorizer.objects.values().get() == before


@pytest.mark.fault("F26")
def test_empty_database__is_rebuilt(wechat: Simulator, platform: Platform, grant: Grant) -> None:
    for number in range(3):
        wechat.engine.add_account(f"Shop {number}", "official", appid=f"wx{number:016d}")
        grant(f"wx{number:016d}")
    Authorizer.objects.all().delete()

    report = authorization.reconcile(platform)
    tokens.run_due(platform)
    authorization.sync_missing_profiles(platform)

    assert len(report.created) == 3
    for account in Authorizer.objects.select_related("component"):
        assert is_whole(wechat, account)
        assert account.nick_name
        assert wechat.engine.owner_of(account.reveal("access_token").reveal()) == account.appid


@pytest.mark.fault("F25")
def test_token_from_yesterdays_backup__is_repaired(wechat: Simulator, platform: Platform, account: Authorizer) -> None:
    yesterday = Authorizer.objects.values("refresh_token", "access_token", "fence").get()
    tokens.refresh_now(account)
    Authorizer.objects.update(**yesterday, access_token_obtained_at=None)

    report = tokens.reconcile(platform)
    tokens.run_due(platform)

    assert report.repaired == [OFFICIAL]
    assert is_whole(wechat, account)


def test_reauthorization_whose_push_was_missed__is_stored(
    wechat: Simulator, platform: Platform, account: Authorizer
) -> None:
    epoch = account.grant_epoch
    wechat.clock.advance(60)
    wechat.engine.authorize(OFFICIAL)  # unchanged permission sets: WeChat pushes nothing
    Authorizer.objects.update(access_token_obtained_at=None)

    tokens.reconcile(platform)
    tokens.run_due(platform)

    assert is_whole(wechat, account)
    assert account.grant_epoch > epoch
    assert account.needs_announcing


def test_account_that_is_unauthorized_here__is_restored_when_wechat_lists_it(
    wechat: Simulator, platform: Platform, account: Authorizer
) -> None:
    Authorizer.objects.update(state=Authorizer.State.UNAUTHORIZED, refresh_token="", access_token="")

    report = tokens.reconcile(platform)
    tokens.run_due(platform)

    assert report.restored == [OFFICIAL]
    assert is_whole(wechat, account)
    assert account.state == Authorizer.State.AUTHORIZED


def test_cancellation_whose_push_was_missed__needs_two_lists(
    wechat: Simulator, platform: Platform, account: Authorizer, shops: list[str], later: Later
) -> None:
    wechat.engine.unauthorize(OFFICIAL)

    assert tokens.reconcile(platform).withdrawn == []
    account.refresh_from_db()
    assert account.state == Authorizer.State.AUTHORIZED

    later(timedelta(hours=1))
    assert tokens.reconcile(platform).withdrawn == [OFFICIAL]
    account.refresh_from_db()
    assert account.state == Authorizer.State.UNAUTHORIZED


def test_account_that_reappears_in_the_list__is_no_longer_missing(
    wechat: Simulator, platform: Platform, account: Authorizer, later: Later
) -> None:
    wechat.faults.add(LIST, "garbage", '{"total_count": 0, "list": []}')
    tokens.reconcile(platform)
    later(timedelta(hours=1))
    tokens.reconcile(platform)

    account.refresh_from_db()
    assert account.missing_since is None
    assert account.state == Authorizer.State.AUTHORIZED


@pytest.mark.fault("F36")
def test_list_without_tokens__overwrites_none(wechat: Simulator, platform: Platform, account: Authorizer) -> None:
    wechat.engine.settings.empty_refresh_in_list = True

    tokens.reconcile(platform)

    assert is_whole(wechat, account)


def test_odd_entry__is_skipped_and_named(
    wechat: Simulator, platform: Platform, account: Authorizer, caplog: pytest.LogCaptureFixture, later: Later
) -> None:
    """Its account is on the list all the same: nothing is concluded about it."""
    new = {"authorizer_appid": "wxnew", "refresh_token": "refreshtoken@@@new", "auth_time": 1700000000}
    odd = {"authorizer_appid": OFFICIAL, "refresh_token": "refreshtoken@@@x", "auth_time": None}
    for _ in range(2):
        wechat.faults.add(LIST, "garbage", json.dumps({"total_count": 3, "list": [None, odd, new]}))
        report = tokens.reconcile(platform)
        later(timedelta(hours=1))

    assert report.complete
    assert report.skipped == ["", OFFICIAL]
    assert "2 entries without a usable" in caplog.text and OFFICIAL in caplog.text
    assert Authorizer.objects.filter(appid="wxnew").exists()
    account.refresh_from_db()
    assert account.missing_since is None


@pytest.mark.parametrize("older_first", [True, False])
def test_account_that_is_listed_twice__is_its_newest_entry(
    wechat: Simulator, platform: Platform, account: Authorizer, older_first: bool
) -> None:
    now = int(datetime.now(timezone.utc).timestamp())
    listed = [
        {"authorizer_appid": appid, "refresh_token": token, "auth_time": at}
        for appid, current in ((OFFICIAL, live_token(wechat)), ("wxnew", "refreshtoken@@@new"))
        for token, at in (("refreshtoken@@@old", 1700000000), (current, now))
    ]
    wechat.faults.add(LIST, "garbage", json.dumps({"total_count": 4, "list": listed if older_first else listed[::-1]}))
    report = tokens.reconcile(platform)

    assert report.created == ["wxnew"]
    assert Authorizer.objects.get(appid="wxnew").reveal("refresh_token").reveal() == "refreshtoken@@@new"
    assert is_whole(wechat, account)


def test_account_that_only_the_list_has__is_due_now(platform: Platform, wechat: Simulator) -> None:
    """And not since its grant, years ago: no renewal has failed."""
    entry = {"authorizer_appid": "wxnew", "refresh_token": "refreshtoken@@@new", "auth_time": 1500000000}
    wechat.faults.add(LIST, "garbage", json.dumps({"total_count": 1, "list": [entry]}))
    tokens.reconcile(platform)

    due_at = Authorizer.objects.get(appid="wxnew").next_action_at
    assert due_at and datetime.now(timezone.utc) - due_at < timedelta(minutes=1)
    assert [found.code for found in health.examine(platform) if found.code == "overdue" and found.value] == []


@pytest.mark.fault("F35")
def test_list_that_is_cut_short__changes_nothing(
    wechat: Simulator, platform: Platform, account: Authorizer, later: Later
) -> None:
    for _ in range(2):
        wechat.faults.add(LIST, "garbage", '{"total_count": 7, "list": []}')
        report = tokens.reconcile(platform)
        later(timedelta(hours=2))

    assert not report.complete
    account.refresh_from_db()
    assert account.missing_since is None


class TestBrake:
    """Many accounts are missing from the list at once: WeChat, or the platform, may be the cause."""

    @pytest.mark.parametrize("count", [2, 3, 21])
    @pytest.mark.fault("F32")
    def test_list_without_any_account__changes_none(
        self, wechat: Simulator, platform: Platform, grant: Grant, later: Later, count: int
    ) -> None:
        for number in range(count):
            wechat.engine.add_account(f"Shop {number}", "official", appid=f"wx{number:016d}")
            grant(f"wx{number:016d}")
        wechat.faults.add(LIST, "garbage", '{"total_count": 0, "list": []}', times=10)
        wechat.faults.add(INFO, "errcode", 61003, times=100)

        for _ in range(3):
            tokens.reconcile(platform)
            later(timedelta(days=1))

        assert not Authorizer.objects.exclude(state=Authorizer.State.AUTHORIZED).exists()
        assert not Authorizer.objects.filter(missing_since=None).exists()  # remembered all the same
        assert Component.objects.get().braked_at is not None

    def test_end_of_the_incident__leaves_no_trace(
        self, wechat: Simulator, platform: Platform, shops: list[str], later: Later
    ) -> None:
        wechat.faults.add(LIST, "garbage", '{"total_count": 0, "list": []}')
        tokens.reconcile(platform)
        later(timedelta(hours=1))
        tokens.reconcile(platform)

        assert not Authorizer.objects.filter(missing_since__isnull=False).exists()

    def test_few_of_many_that_left_in_an_incident__are_withdrawn_after_it(
        self, wechat: Simulator, platform: Platform, account: Authorizer, shops: list[str], later: Later
    ) -> None:
        wechat.engine.unauthorize(shops[0])
        wechat.faults.add(LIST, "garbage", '{"total_count": 0, "list": []}')
        tokens.reconcile(platform)

        later(timedelta(hours=1))
        assert tokens.reconcile(platform).withdrawn == [shops[0]]

    def test_only_account__must_be_missing_for_a_day(
        self, wechat: Simulator, platform: Platform, account: Authorizer, later: Later
    ) -> None:
        """An empty list does not show that WeChat lists anything at all."""
        wechat.engine.unauthorize(OFFICIAL)
        for _ in range(3):
            assert tokens.reconcile(platform).withdrawn == []
            later(timedelta(hours=1))

        later(timedelta(hours=22))
        assert tokens.reconcile(platform).withdrawn == [OFFICIAL]

    def test_withdrawn_account__keeps_its_refresh_token_for_a_week(
        self, wechat: Simulator, platform: Platform, account: Authorizer, shops: list[str], later: Later
    ) -> None:
        """The list and the record were wrong, and later they have no token."""
        wechat.engine.settings.empty_refresh_in_info = wechat.engine.settings.empty_refresh_in_list = True
        others = [{"authorizer_appid": appid, "refresh_token": "", "auth_time": 1} for appid in shops]
        wechat.faults.add(LIST, "garbage", json.dumps({"total_count": 4, "list": others}), times=2)
        wechat.faults.add(INFO, "errcode", 61003, times=1)
        tokens.reconcile(platform)
        later(timedelta(hours=1))
        assert tokens.reconcile(platform).withdrawn == [OFFICIAL]
        with pytest.raises(AuthorizerUnauthorized):
            tokens.authorizer_token(platform, OFFICIAL)

        later(timedelta(days=6))
        assert tokens.prune() == 0
        assert tokens.reconcile(platform).restored == [OFFICIAL]
        tokens.run_due(platform)
        assert is_whole(wechat, account)

    def test_refresh_token__is_deleted_after_a_week(
        self, wechat: Simulator, platform: Platform, account: Authorizer, shops: list[str], later: Later
    ) -> None:
        wechat.clock.advance(1)  # in the second of the grant, WeChat would have to be asked
        process(platform, wechat.engine.unauthorize(OFFICIAL))
        later(timedelta(days=7, minutes=1))

        assert tokens.prune() == 1
        assert tokens.prune() == 0
        account.refresh_from_db()
        assert (account.refresh_token, account.previous_refresh_token) == ("", "")
        assert not Authorizer.objects.filter(appid__in=shops, refresh_token="").exists()


def test_renewal_during_the_reconciliation__is_not_overwritten(
    wechat: Simulator, platform: Platform, account: Authorizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = platform.client.run

    def and_meanwhile_renew(*args: Any) -> Any:
        answer = run(*args)
        tokens.refresh_now(account)
        return answer

    monkeypatch.setattr(platform.client, "run", and_meanwhile_renew)

    assert tokens.reconcile(platform).repaired == []
    assert is_whole(wechat, account)


def test_due_reconciliation__runs_once_an_hour(
    wechat: Simulator, platform: Platform, account: Authorizer, later: Later
) -> None:
    assert tokens.reconcile_if_due(platform) is not None
    assert tokens.reconcile_if_due(platform) is None
    later(timedelta(minutes=61))
    assert tokens.reconcile_if_due(platform) is not None


@pytest.mark.fault("F35")
def test_reconciliation_that_fails__is_repeated_soon(
    wechat: Simulator, platform: Platform, account: Authorizer, later: Later
) -> None:
    wechat.faults.add(LIST, "status", 502)
    with pytest.raises(Unreachable):
        tokens.reconcile_if_due(platform)

    later(timedelta(minutes=11))
    assert tokens.reconcile_if_due(platform) is not None


def test_reconciliation_without_a_component_token__stays_due(
    wechat: Simulator, platform: Platform, later: Later
) -> None:
    later(timedelta(hours=3))
    tokens.forget_tickets(platform)
    with pytest.raises(TokenUnavailable):
        tokens.reconcile_if_due(platform)
    deliver(platform, wechat.engine.new_ticket())

    assert tokens.reconcile_if_due(platform) is not None


def test_many_pages__are_all_read(wechat: Simulator, platform: Platform) -> None:
    authorize(wechat, 1201)

    report = tokens.reconcile(platform)

    assert (report.seen, len(report.created), report.complete) == (1201, 1201, True)
    assert wechat.engine.calls[LIST] == 3
    assert not ComparedPage.objects.exists()


class TestOutdatedList:
    """WeChat may list a refresh token for a while after it was replaced."""

    def test_token_that_was_just_replaced__does_not_come_back(
        self, wechat: Simulator, platform: Platform, account: Authorizer, later: Later
    ) -> None:
        outdated = _listing(wechat)
        tokens.refresh_now(account)
        tokens.refresh_now(account)
        later(timedelta(minutes=5))
        wechat.faults.add(LIST, "garbage", outdated)

        assert tokens.reconcile(platform).repaired == []
        assert is_whole(wechat, account)

    def test_token_before_the_stored_one__does_not_come_back(
        self, wechat: Simulator, platform: Platform, account: Authorizer, later: Later
    ) -> None:
        outdated = _listing(wechat)
        tokens.refresh_now(account)
        later(timedelta(hours=1))
        wechat.faults.add(LIST, "garbage", outdated)

        assert tokens.reconcile(platform).repaired == []
        assert is_whole(wechat, account)

    def test_token_of_an_unknown_age__is_tried_after_the_stored_one(
        self, wechat: Simulator, platform: Platform, account: Authorizer, later: Later
    ) -> None:
        outdated = _listing(wechat)
        for _ in range(3):
            tokens.refresh_now(account)
        wechat.engine.settings.empty_refresh_in_info = wechat.engine.settings.empty_refresh_in_list = True
        for _ in range(3):  # again and again: the stored token is not lost for it
            later(timedelta(hours=1))
            wechat.faults.add(LIST, "garbage", outdated)
            tokens.reconcile(platform)
            assert is_whole(wechat, account)

        tokens.run_due(platform)
        assert is_whole(wechat, account)
        assert account.failures == 0

    def test_older_grant__does_not_replace_a_newer_one(
        self, wechat: Simulator, platform: Platform, account: Authorizer, grant: Grant, later: Later
    ) -> None:
        outdated = _listing(wechat)
        wechat.clock.advance(60)
        grant(permissions=(1,))
        later(timedelta(hours=1))
        wechat.faults.add(LIST, "garbage", outdated)

        tokens.reconcile(platform)
        assert is_whole(wechat, account)


def _listing(wechat: Simulator) -> str:
    """WeChat's answer as it is now."""
    grant = wechat.engine.accounts[OFFICIAL].grant
    assert grant is not None
    entry = {"authorizer_appid": OFFICIAL, "refresh_token": grant.refresh_token, "auth_time": grant.auth_time}
    return json.dumps({"total_count": 1, "list": [entry]})


class TestLostAccount:
    """It needs its owner here, and WeChat lists it."""

    @pytest.fixture
    def lost(self, wechat: Simulator, account: Authorizer, later: Later) -> Authorizer:
        """WeChat has refused its tokens for a day."""
        link = authorization.begin(user=None, payload={"shop": 7})
        Authorizer.objects.filter(pk=account.pk).update(
            state=Authorizer.State.NEEDS_REAUTHORIZATION,
            access_token_expires_at=account.access_token_obtained_at,
            next_action_at=None,
            refused_since=account.access_token_obtained_at,
            last_failed_at=account.access_token_obtained_at,
            granted_through=link.pk,
        )
        later(timedelta(days=1))
        return account

    @pytest.mark.parametrize("empty", ["nowhere", "empty_refresh_in_info", "empty_refresh_in_list"])
    @pytest.mark.parametrize("replaced", [False, True])
    def test_token_that_wechat_takes__restores_it_for_its_tenant(
        self, wechat: Simulator, platform: Platform, lost: Authorizer, empty: str, replaced: bool
    ) -> None:
        """The grant is the same, and so may be the token."""
        setattr(wechat.engine.settings, empty, True)
        if replaced:
            wechat.engine.replace_refresh_token(OFFICIAL)

        assert tokens.reconcile(platform).restored == [OFFICIAL]
        assert is_whole(wechat, lost)
        assert lost.state == Authorizer.State.AUTHORIZED
        assert lost.needs_announcing
        assert lost.granted_through is not None and lost.granted_through.payload == {"shop": 7}
        assert wechat.engine.owner_of(tokens.authorizer_token(platform, OFFICIAL).reveal()) == OFFICIAL

    def test_tokens_that_wechat_refuses__leave_it_lost(
        self, wechat: Simulator, platform: Platform, lost: Authorizer, later: Later
    ) -> None:
        wechat.faults.add(REFRESH, "errcode", 61023, times=10**6)
        for hour in range(3):
            report = tokens.reconcile(platform)
            assert (report.complete, report.restored, report.failed) == (True, [], [])
            assert wechat.engine.calls[INFO] == 2 + hour
            later(timedelta(hours=1))

        lost.refresh_from_db()
        assert (lost.state, lost.next_action_at) == (Authorizer.State.NEEDS_REAUTHORIZATION, None)

    def test_account_that_is_lost_for_days__is_tried_once_a_day(
        self, wechat: Simulator, platform: Platform, lost: Authorizer, later: Later
    ) -> None:
        wechat.faults.add(REFRESH, "errcode", 61023, times=10**6)
        later(timedelta(days=3))
        for _ in range(30):
            tokens.reconcile(platform)
            later(timedelta(hours=1))

        assert wechat.engine.calls[INFO] == 1 + 2

    def test_account_that_another_worker_has__is_left_to_it(
        self, wechat: Simulator, platform: Platform, lost: Authorizer
    ) -> None:
        AuthorizerKeeper(platform, OFFICIAL).take_lost()

        assert tokens.reconcile(platform).restored == []
        assert wechat.engine.calls[REFRESH] == 0


def test_account_that_ended_by_mistake__stays_with_its_tenant(
    wechat: Simulator, platform: Platform, account: Authorizer
) -> None:
    link = authorization.begin(user=None, payload={"shop": 7})
    Authorizer.objects.update(granted_through=link.pk, state=Authorizer.State.UNAUTHORIZED)

    assert tokens.reconcile(platform).restored == [OFFICIAL]
    assert Authorizer.objects.get().granted_through == link


class TestOneAccountThatFails:
    """It harms no other, and is named."""

    def test_row_that_cannot_be_decrypted__gets_the_listed_token_beside_it(
        self, wechat: Simulator, platform: Platform, shops: list[str]
    ) -> None:
        """The damaged value stays: its key may come back."""
        damage(shops[0])
        wechat.engine.replace_refresh_token(shops[1])
        Authorizer.objects.update(access_token_obtained_at=None)

        report = tokens.reconcile(platform)

        assert report.complete
        assert (report.failed, report.repaired) == ([], shops[:2])
        row = Authorizer.objects.select_related("component").get(appid=shops[0])
        assert row.refresh_token.startswith("v1.dead")
        assert row.reveal("previous_refresh_token").reveal() == live_token(wechat, shops[0])
        tokens.run_due(platform)
        assert all(is_whole(wechat, row) for row in Authorizer.objects.select_related("component"))

    def test_row_that_cannot_be_decrypted__gets_the_listed_token_of_a_newer_grant(
        self, wechat: Simulator, platform: Platform, account: Authorizer
    ) -> None:
        """Though the stored token was obtained under that grant: it cannot be read."""
        assert account.grant_changed_at is not None
        Authorizer.objects.update(
            grant_changed_at=account.grant_changed_at - timedelta(minutes=10), refresh_token="v1.deadbeef.AAAA"
        )

        assert tokens.reconcile(platform).repaired == [OFFICIAL]
        assert is_whole(wechat, account)

    def test_entry_that_the_database_refuses__is_left_out(self, wechat: Simulator, platform: Platform) -> None:
        class Refusing(ReconciliationStore):
            def create(self, entries: Iterable[Listed]) -> None:
                entries = list(entries)
                if "wx" + "2".zfill(16) in [entry.appid for entry in entries]:
                    raise DataError("value too long")
                super().create(entries)

        class OfRefusing(Environment):
            def reconciliation_store(self, component: Component) -> ReconciliationStore:
                return Refusing(component)

        authorize(wechat, 4)
        report = tokens.reconcile(in_environment(platform, OfRefusing()))

        assert report.complete
        assert report.failed == ["wx" + "2".zfill(16)]
        assert len(report.created) == Authorizer.objects.count() == 3

    def test_account_about_which_wechat_errs__is_left(
        self, wechat: Simulator, platform: Platform, shops: list[str], caplog: pytest.LogCaptureFixture
    ) -> None:
        Authorizer.objects.filter(appid__in=shops[:2]).update(state=Authorizer.State.UNAUTHORIZED)
        wechat.faults.add(INFO, "errcode", 48004, appid=shops[0])

        report = tokens.reconcile(platform)

        assert report.complete
        assert (report.failed, report.restored) == ([shops[0]], [shops[1]])
        assert f"could not be compared with WeChat's list: {shops[0]}" in caplog.text

    def test_fault_of_the_platform__ends_the_comparison(
        self, wechat: Simulator, platform: Platform, shops: list[str]
    ) -> None:
        Authorizer.objects.update(state=Authorizer.State.UNAUTHORIZED)
        VerifyTicket.objects.all().delete()
        wechat.faults.add(INFO, "errcode", 42001)
        Component.objects.update(forced_at=None)

        with pytest.raises(TicketMissing):
            tokens.reconcile(platform)


class Killed(BaseException):
    """As SIGKILL: nothing of ours catches it."""


def killed_after(pages: int) -> Callable[[int, int], None]:
    def progress(compared: int, total: int) -> None:
        if compared >= pages * 500:
            raise Killed

    return progress


@pytest.mark.slow
class TestKilled:
    """It is continued where it was killed."""

    @pytest.fixture
    def many(self, wechat: Simulator, platform: Platform) -> None:
        authorize(wechat, 1001)

    @pytest.fixture
    def killed(self, platform: Platform, many: None) -> None:
        with pytest.raises(Killed):
            tokens.reconcile(platform, killed_after(1))

    def test_rest_of_the_list__is_read(self, wechat: Simulator, platform: Platform, killed: None) -> None:
        compared: list[tuple[int, int]] = []
        report = tokens.reconcile(platform, lambda *progress: compared.append(progress))

        assert wechat.engine.calls[LIST] == 3
        assert compared == [(1000, 1001), (1001, 1001)]
        assert (report.seen, len(report.created), report.complete) == (1001, 1001, True)
        assert Component.objects.get().reconcile_repairs == 1001
        assert not ComparedPage.objects.exists()

    def test_job__continues_when_the_lease_has_run_out(
        self, wechat: Simulator, platform: Platform, many: None, later: Later
    ) -> None:
        later(timedelta(hours=1))
        with pytest.raises(Killed):
            tokens.reconcile(platform, killed_after(1))
        assert tokens.reconcile_if_due(platform) is None

        later(timedelta(minutes=11))
        assert tokens.reconcile_if_due(platform) is not None
        assert wechat.engine.calls[LIST] == 3

    def test_job_whose_time_is_over__is_continued_by_the_next(
        self, wechat: Simulator, platform: Platform, many: None
    ) -> None:
        reports = [tokens.reconcile_if_due(platform, Deadline.after(0)) for _ in range(4)]

        assert [report and (report.seen, report.complete) for report in reports] == [
            (500, False),
            (1000, False),
            (1001, True),
            None,
        ]
        assert wechat.engine.calls[LIST] == 3

    def test_what_was_missing_before__is_still_missing(
        self, wechat: Simulator, platform: Platform, killed: None, later: Later
    ) -> None:
        tokens.reconcile(platform)
        gone = "wx" + "1000".zfill(16)
        wechat.engine.unauthorize(gone)
        later(timedelta(hours=1))
        tokens.reconcile(platform)
        later(timedelta(hours=1))
        with pytest.raises(Killed):
            tokens.reconcile(platform, killed_after(1))

        assert tokens.reconcile(platform).withdrawn == [gone]

    def test_after_half_an_hour__it_starts_over(
        self, wechat: Simulator, platform: Platform, killed: None, later: Later
    ) -> None:
        later(timedelta(minutes=31))
        tokens.reconcile(platform)

        assert wechat.engine.calls[LIST] == 1 + 3

    def test_list_that_ended_early__is_not_continued(self, wechat: Simulator, platform: Platform, killed: None) -> None:
        wechat.faults.add(LIST, "garbage", '{"total_count": 1001, "list": []}')
        assert not tokens.reconcile(platform).complete

        assert tokens.reconcile(platform).complete
        assert wechat.engine.calls[LIST] == 1 + 1 + 3

    def test_all_changed_accounts__are_announced(self, wechat: Simulator, platform: Platform, killed: None) -> None:
        announced: list[str] = []

        def receiver(authorizer: Authorizer, **_: Any) -> None:
            announced.append(authorizer.appid)

        signals.authorizer_authorized.connect(receiver)
        try:
            authorization.reconcile(platform)
        finally:
            signals.authorizer_authorized.disconnect(receiver)

        assert len(announced) == len(set(announced)) == 1001

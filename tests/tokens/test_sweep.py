"""Does the sweep heal whatever nobody noticed?"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta, timezone

import pytest

from tests.stage import OFFICIAL
from wechat_open import authorization, health, tokens
from wechat_open.component import Platform
from wechat_open.exceptions import Unreachable
from wechat_open.models import Authorizer
from wechat_open.simulator import Simulator

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


def test_nothing_to_do__changes_nothing(wechat: Simulator, platform: Platform, account: Authorizer) -> None:
    before = Authorizer.objects.values().get()

    report = tokens.sweep(platform)

    assert report.complete
    assert (report.seen, report.differences) == (1, 0)
    assert Authorizer.objects.values().get() == before


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


def test_token_from_yesterdays_backup__is_repaired(wechat: Simulator, platform: Platform, account: Authorizer) -> None:
    yesterday = Authorizer.objects.values("refresh_token", "access_token", "fence").get()
    tokens.refresh_now(account)
    Authorizer.objects.update(**yesterday, access_token_obtained_at=None)

    report = tokens.sweep(platform)
    tokens.run_due(platform)

    assert report.repaired == [OFFICIAL]
    assert is_whole(wechat, account)


def test_reauthorization_that_nobody_heard_of__is_taken_over(
    wechat: Simulator, platform: Platform, account: Authorizer
) -> None:
    epoch = account.grant_epoch
    wechat.clock.advance(60)
    wechat.engine.authorize(OFFICIAL)  # unchanged permission sets: WeChat pushes nothing
    Authorizer.objects.update(access_token_obtained_at=None)

    tokens.sweep(platform)
    tokens.run_due(platform)

    assert is_whole(wechat, account)
    assert account.grant_epoch > epoch
    assert account.needs_announcing


def test_account_held_for_gone__is_restored_when_wechat_lists_it(
    wechat: Simulator, platform: Platform, account: Authorizer
) -> None:
    Authorizer.objects.update(state=Authorizer.State.UNAUTHORIZED, refresh_token="", access_token="")

    report = tokens.sweep(platform)
    tokens.run_due(platform)

    assert report.restored == [OFFICIAL]
    assert is_whole(wechat, account)
    assert account.state == Authorizer.State.AUTHORIZED


def test_cancellation_that_nobody_heard_of__needs_two_readings(
    wechat: Simulator, platform: Platform, account: Authorizer, later: Later
) -> None:
    wechat.engine.unauthorize(OFFICIAL)

    assert tokens.sweep(platform).withdrawn == []
    account.refresh_from_db()
    assert account.state == Authorizer.State.AUTHORIZED

    later(timedelta(hours=1))
    assert tokens.sweep(platform).withdrawn == [OFFICIAL]
    account.refresh_from_db()
    assert account.state == Authorizer.State.UNAUTHORIZED


def test_account_that_reappears_in_the_list__is_forgiven(
    wechat: Simulator, platform: Platform, account: Authorizer, later: Later
) -> None:
    wechat.faults.add(LIST, "garbage", '{"total_count": 0, "list": []}')
    tokens.sweep(platform)
    later(timedelta(hours=1))
    tokens.sweep(platform)

    account.refresh_from_db()
    assert account.missing_since is None
    assert account.state == Authorizer.State.AUTHORIZED


def test_list_without_tokens__overwrites_none(wechat: Simulator, platform: Platform, account: Authorizer) -> None:
    wechat.engine.settings.empty_refresh_in_list = True

    tokens.sweep(platform)

    assert is_whole(wechat, account)


def test_odd_entry__is_skipped_and_named(
    wechat: Simulator, platform: Platform, account: Authorizer, caplog: pytest.LogCaptureFixture, later: Later
) -> None:
    """Its account is on the list all the same: nothing is concluded about it."""
    new = {"authorizer_appid": "wxnew", "refresh_token": "refreshtoken@@@new", "auth_time": 1700000000}
    odd = {"authorizer_appid": OFFICIAL, "refresh_token": "refreshtoken@@@x", "auth_time": None}
    for _ in range(2):
        wechat.faults.add(LIST, "garbage", json.dumps({"total_count": 3, "list": [None, odd, new]}))
        report = tokens.sweep(platform)
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
    report = tokens.sweep(platform)

    assert report.created == ["wxnew"]
    assert Authorizer.objects.get(appid="wxnew").reveal("refresh_token").reveal() == "refreshtoken@@@new"
    assert is_whole(wechat, account)


def test_account_that_only_the_list_knew__is_due_now(platform: Platform, wechat: Simulator) -> None:
    """And not since its grant, years ago: nobody has failed to renew it."""
    entry = {"authorizer_appid": "wxnew", "refresh_token": "refreshtoken@@@new", "auth_time": 1500000000}
    wechat.faults.add(LIST, "garbage", json.dumps({"total_count": 1, "list": [entry]}))
    tokens.sweep(platform)

    due_at = Authorizer.objects.get(appid="wxnew").next_action_at
    assert due_at and datetime.now(timezone.utc) - due_at < timedelta(minutes=1)
    assert [found.code for found in health.examine(platform) if found.code == "overdue" and found.value] == []


def test_list_that_is_cut_short__decides_nothing(
    wechat: Simulator, platform: Platform, account: Authorizer, later: Later
) -> None:
    for _ in range(2):
        wechat.faults.add(LIST, "garbage", '{"total_count": 7, "list": []}')
        report = tokens.sweep(platform)
        later(timedelta(hours=2))

    assert not report.complete
    account.refresh_from_db()
    assert account.missing_since is None


def test_list_that_forgets_everybody__is_braked(
    wechat: Simulator, platform: Platform, grant: Grant, later: Later
) -> None:
    for number in range(21):
        wechat.engine.add_account(f"Shop {number}", "official", appid=f"wx{number:016d}")
        grant(f"wx{number:016d}")
    wechat.faults.add(LIST, "garbage", '{"total_count": 0, "list": []}', times=10)
    wechat.faults.add("api_get_authorizer_info", "errcode", 61003, times=100)

    for _ in range(3):
        tokens.sweep(platform)
        later(timedelta(hours=1))

    assert not Authorizer.objects.exclude(state=Authorizer.State.AUTHORIZED).exists()


def test_renewal_during_the_sweep__is_not_overwritten(
    wechat: Simulator, platform: Platform, account: Authorizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = platform.endpoints.authorizer_list

    def and_meanwhile_renew(*args: object) -> object:
        page = listed(*args)
        tokens.refresh_now(account)
        return page

    object.__setattr__(platform.endpoints, "authorizer_list", and_meanwhile_renew)

    assert tokens.sweep(platform).repaired == []
    assert is_whole(wechat, account)


def test_due_sweep__is_taken_once_an_hour(
    wechat: Simulator, platform: Platform, account: Authorizer, later: Later
) -> None:
    assert tokens.sweep_if_due(platform) is not None
    assert tokens.sweep_if_due(platform) is None
    later(timedelta(minutes=61))
    assert tokens.sweep_if_due(platform) is not None


def test_sweep_that_fails__is_repeated_soon(
    wechat: Simulator, platform: Platform, account: Authorizer, later: Later
) -> None:
    wechat.faults.add(LIST, "status", 502)
    with pytest.raises(Unreachable):
        tokens.sweep_if_due(platform)

    later(timedelta(minutes=11))
    assert tokens.sweep_if_due(platform) is not None


def test_many_pages__are_all_read(wechat: Simulator, platform: Platform) -> None:
    for number in range(1201):
        wechat.engine.add_account(f"Shop {number}", "official", appid=f"wx{number:016d}")
        wechat.engine.authorize(f"wx{number:016d}")

    report = tokens.sweep(platform)

    assert (report.seen, len(report.created), report.complete) == (1201, 1201, True)
    assert wechat.engine.calls[LIST] == 3

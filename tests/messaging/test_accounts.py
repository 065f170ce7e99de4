"""The account of a message is found with few queries."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.db.models.lookups import IExact
from django.test.utils import CaptureQueriesContext, register_lookup

from tests.messaging.followers import SHOP, message
from tests.stage import OFFICIAL
from wechat_open.exceptions import InvalidPush
from wechat_open.messaging import accounts
from wechat_open.models import Authorizer
from wechat_open.platforms import Platform
from wechat_open.simulator import Simulator

INFO = "/cgi-bin/component/api_get_authorizer_info"
Wait = Callable[[float], None]


def find(platform: Platform, appid: str = OFFICIAL, original_id: str = SHOP) -> accounts.Account | None:
    return accounts.find(platform, message(appid, ToUserName=original_id), 1.0)


def queries(platform: Platform) -> int:
    with CaptureQueriesContext(connection) as made:
        assert find(platform)
    return len(made)


# Who it is


def test_account__is_known_by_its_original_id(platform: Platform, shop: Authorizer) -> None:
    found = find(platform)

    assert found is not None
    assert (found.original_id, found.mini) == (SHOP, False)


def test_mini_program__is_known_to_be_one(platform: Platform, shop: Authorizer) -> None:
    Authorizer.objects.update(kind=Authorizer.Kind.MINI)
    found = find(platform)

    assert found is not None
    assert found.mini


def test_another_original_id__is_refused_from_memory_too(platform: Platform, shop: Authorizer) -> None:
    for _ in range(2):
        with pytest.raises(InvalidPush, match="account"):
            find(platform, original_id="gh_other")
    assert find(platform)
    with pytest.raises(InvalidPush, match="account"):
        find(platform, original_id="gh_other")


def test_appid_in_other_case__is_another_account(platform: Platform, shop: Authorizer) -> None:
    """Also where the database compares as MySQL does: a repeat under another spelling would be a new message."""
    with register_lookup(Authorizer._meta.get_field("appid"), IExact, lookup_name="exact"):
        assert find(platform)
        with pytest.raises(InvalidPush, match="account"):
            find(platform, OFFICIAL.upper())


def test_account_that_is_unknown__may_come_later(platform: Platform) -> None:
    """Its first message may be quicker than its grant; what is not there is not remembered."""
    assert find(platform) is None
    Authorizer.objects.create(component=platform.row, appid=OFFICIAL, user_name=SHOP)

    assert find(platform)


# What is remembered


def test_burst_of_messages__costs_one_query(platform: Platform, shop: Authorizer) -> None:
    platform.row  # noqa: B018 - it is remembered, too

    assert queries(platform) == 1
    assert queries(platform) == 0


def test_after_some_seconds__it_is_read_again(platform: Platform, shop: Authorizer, wait: Wait) -> None:
    """So that an account that has cancelled, or has become another, is known soon."""
    find(platform)
    Authorizer.objects.update(state=Authorizer.State.UNAUTHORIZED)
    wait(accounts.REMEMBERED - 1)
    assert find(platform)

    wait(1)
    assert find(platform) is None


def test_memory__does_not_grow_for_ever(platform: Platform, shop: Authorizer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accounts, "MAX_REMEMBERED", 2)
    for number in range(5):
        appid = f"wx{number}"
        Authorizer.objects.create(component=platform.row, appid=appid, user_name=f"gh_{number}")
        assert find(platform, appid, f"gh_{number}")
        assert len(accounts._known) <= 2


# When the original id is not known yet


@pytest.fixture
def new(account: Authorizer) -> Authorizer:
    """An account that has just authorized, without its profile."""
    Authorizer.objects.update(user_name="", profile_synced_at=None)
    return account


def test_profile__is_read_now(wechat: Simulator, platform: Platform, new: Authorizer) -> None:
    original_id = wechat.engine.accounts[OFFICIAL].user_name
    before = wechat.engine.calls[INFO]

    for _ in range(3):
        assert find(platform, original_id=original_id)

    assert wechat.engine.calls[INFO] == before + 1
    new.refresh_from_db()
    assert new.user_name == original_id


def test_profile_of_another__is_refused(platform: Platform, new: Authorizer) -> None:
    with pytest.raises(InvalidPush, match="account"):
        find(platform, original_id="gh_other")


def test_message_of_an_account_that_we_know__asks_wechat_for_no_other(
    wechat: Simulator, platform: Platform, new: Authorizer
) -> None:
    """It was replayed to this path."""
    before = wechat.engine.calls[INFO]
    Authorizer.objects.create(component=platform.row, appid="wxother", user_name="gh_other")

    with pytest.raises(InvalidPush, match="account"):
        find(platform, original_id="gh_other")
    assert wechat.engine.calls[INFO] == before


@pytest.mark.parametrize("fault", [("status", 502), ("errcode", -1), ("garbage", '{"authorizer_info": {}}')])
def test_message__is_taken_though_the_profile_cannot_be_read(
    wechat: Simulator, platform: Platform, new: Authorizer, caplog: pytest.LogCaptureFixture, fault: Any
) -> None:
    """ToUserName is WeChat's word, and no other account claims it."""
    wechat.faults.add(INFO, *fault, times=2)

    found = find(platform, original_id="gh_mine")
    assert found and found.original_id == "gh_mine"
    assert "canary" not in caplog.text


def test_profile_that_cannot_be_read__is_not_asked_for_by_every_message(
    wechat: Simulator, platform: Platform, new: Authorizer, later: Callable[[timedelta], None]
) -> None:
    wechat.faults.add(INFO, "garbage", "{}", times=100)
    before = wechat.engine.calls[INFO]
    for _ in range(10):
        accounts.forget()
        assert find(platform, original_id="gh_mine")
    assert wechat.engine.calls[INFO] == before + 2  # at once again, and then after some minutes

    later(timedelta(minutes=6))
    accounts.forget()
    find(platform, original_id="gh_mine")
    assert wechat.engine.calls[INFO] == before + 3


def test_wechat_out_of_reach__is_logged(
    wechat: Simulator, platform: Platform, new: Authorizer, caplog: pytest.LogCaptureFixture
) -> None:
    wechat.faults.add(INFO, "status", 502)
    find(platform)

    assert "could not be read when a message came" in caplog.text


def test_wechat_that_is_slow__is_not_waited_for(
    wechat: Simulator, platform: Platform, new: Authorizer, transactional_db: None
) -> None:
    wechat.faults.add(INFO, "hang", 1)

    began = time.monotonic()
    assert accounts.find(platform, message(), 0.1)
    assert time.monotonic() - began < 0.9


# The row


def test_row__is_read_when_it_is_looked_at(platform: Platform, shop: Authorizer) -> None:
    with CaptureQueriesContext(connection) as made:
        lazy = accounts.lazy_row(platform, OFFICIAL)
        assert len(made) == 0
        assert lazy.component.appid == platform.appid
        assert len(made) == 1
    assert lazy == shop


def test_row_that_is_not_there__raises(platform: Platform) -> None:
    with pytest.raises(Authorizer.DoesNotExist):
        accounts.lazy_row(platform, "wxnobody").appid  # noqa: B018

"""``show`` prints all that is known about one account, and no secret."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import CommandError
from django.utils.translation import override

from tests.management.test_command import Result
from wechat_open import authorization, platforms
from wechat_open.db.times import exact, utc_now
from wechat_open.models import Authorizer, Component, Push

APPID = "wx1111222233334444"


@pytest.fixture(autouse=True)
def _english() -> Iterator[None]:
    with override("en"):
        yield


@pytest.fixture
def shop(grant: Callable[..., Authorizer]) -> Authorizer:
    return grant()


def test_account__is_shown_with_state_times_sets_links_and_pushes(shop: Authorizer) -> None:
    link = authorization.begin(biz_appid=shop.appid, payload={"shop": "private"})
    out = Result("show", shop.appid).out
    assert out.startswith(f"{shop.nick_name} ({shop.appid}) · default\n")
    assert "State: authorized" in out
    assert shop.access_token_expires_at is not None
    assert f"Access token: valid until {exact(shop.access_token_expires_at)} (another " in out
    assert "Refresh token: stored" in out
    assert f"Link #{link.pk} of {exact(link.created_at)}: can be opened" in out
    assert "Nothing to do." in out
    assert f"Permission sets: {shop.func_info[0]} " in out
    assert "private" not in out


def test_failing_account__says_why_and_when_it_is_tried_again(shop: Authorizer) -> None:
    soon = utc_now() + timedelta(minutes=5)
    failed = {"failures": 3, "last_errcode": 61023, "last_rid": "6a-1", "last_failed_at": utc_now()}
    Authorizer.objects.update(**failed, next_action_at=soon)
    Push.objects.create(
        component=shop.component,
        digest="d",
        info_type="authorized",
        authorizer_appid=shop.appid,
        created_at=utc_now(),
        received_at=utc_now(),
        state="failed",
        error="no answer",
    )
    out = Result("show", shop.appid).out
    assert "61023 The refresh token is not the account's current one (rid 6a-1)" in out
    assert "Failures in a row: 3" in out
    assert f"Next renewal: {exact(soon)}" in out
    assert "authorized: failed, will be repeated · no answer" in out


def test_json__is_for_scripts_and_holds_no_secret(shop: Authorizer) -> None:
    data = json.loads(Result("show", shop.appid, "--json").out)
    assert (data["appid"], data["platform"], data["state"]) == (shop.appid, "default", "authorized")
    assert data["access_token"]["stored"] is data["refresh_token"]["stored"] is data["in_order"] is True
    assert data["access_token"]["expires_at"].count("T") == 1
    secrets = [shop.reveal(name).reveal() for name in ("access_token", "refresh_token")]
    secrets += [shop.access_token, shop.refresh_token]
    for text in (json.dumps(data), Result("show", shop.appid).out):
        assert not [secret for secret in secrets if secret in text]


def test_unknown_account__is_refused_with_what_to_do(shop: Authorizer) -> None:
    with pytest.raises(CommandError, match="unknown to platform 'default'"):
        Result("show", APPID, "--component", "default")


@pytest.fixture
def second(settings: Any, shop: Authorizer) -> Component:
    other = {**settings.WECHAT_OPEN["COMPONENTS"]["default"], "APPID": "wx2222222222222222"}
    components = {**settings.WECHAT_OPEN["COMPONENTS"], "second": other}
    settings.WECHAT_OPEN = {**settings.WECHAT_OPEN, "COMPONENTS": components}
    return platforms.get("second").row


def test_account_of_several_platforms__is_shown_when_it_is_said_which(shop: Authorizer, second: Component) -> None:
    with pytest.raises(CommandError, match="No account wx1111222233334444 has authorized any of these platforms"):
        Result("show", APPID)
    Authorizer.objects.create(component=second, appid=shop.appid, nick_name="Branch")
    with pytest.raises(CommandError, match=r"Several platforms have the account .*: default, second. Name one"):
        Result("show", shop.appid)
    assert Result("show", shop.appid, "--component", "second").out.startswith("Branch (")


def test_account__is_shown_in_chinese(shop: Authorizer) -> None:
    with override("zh-hans"):
        out = Result("show", shop.appid).out
    assert "接口调用令牌" in out and "刷新令牌（refresh_token）：" not in out
    assert "State" not in out and "Access" not in out

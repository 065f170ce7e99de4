"""Does a message reach the account that it was sent to, and no other?"""

from __future__ import annotations

from typing import Any

import pytest

from tests.stage import OFFICIAL, opened
from wechat_open import messaging
from wechat_open.component import Platform
from wechat_open.exceptions import InvalidPush
from wechat_open.models import Authorizer, Component
from wechat_open.simulator.engine import Push

TEXT = {"ToUserName": "gh_corner", "FromUserName": "o1", "CreateTime": 1715943329, "MsgType": "text", "Content": "canary"}


@pytest.fixture
def shop(platform: Platform) -> Authorizer:
    return Authorizer.objects.create(component=platform.row, appid=OFFICIAL, user_name="gh_corner")


def receive(platform: Platform, appid: str = OFFICIAL, **changes: Any) -> bytes:
    fields = {name: value for name, value in {**TEXT, **changes}.items() if value is not None}
    return messaging.receive(platform, appid, opened(Push(fields))).body


def test_message__is_answered(platform: Platform, shop: Authorizer) -> None:
    assert receive(platform) == b"success"


def test_event__is_answered(platform: Platform, shop: Authorizer) -> None:
    assert receive(platform, MsgType="event", Event="subscribe") == b"success"


def test_message_for_another_account__is_refused(platform: Platform, shop: Authorizer) -> None:
    with pytest.raises(InvalidPush, match="account"):
        receive(platform, ToUserName="gh_another")


def test_message_replayed_to_another_path__is_refused(platform: Platform, shop: Authorizer) -> None:
    Authorizer.objects.create(component=platform.row, appid="wxother", user_name="gh_other")

    with pytest.raises(InvalidPush):
        receive(platform, "wxother")
    with pytest.raises(InvalidPush):  # also to one that nobody knows
        receive(platform, "wxnobody")


def test_unknown_account__is_answered_and_noted(platform: Platform, caplog: pytest.LogCaptureFixture) -> None:
    assert receive(platform, "wxnobody", ToUserName="gh_nobody") == b"success"
    assert "does not know" in caplog.text
    assert "canary" not in caplog.text


def test_same_account_of_another_platform__does_not_matter(platform: Platform, shop: Authorizer) -> None:
    other = Component.objects.create(appid="wxsecond")
    Authorizer.objects.create(component=other, appid=OFFICIAL, user_name="gh_renamed")

    assert receive(platform) == b"success"


@pytest.mark.parametrize("name", ["ToUserName", "MsgType"])
@pytest.mark.parametrize("value", [None, ""])
def test_no_message__is_refused(platform: Platform, shop: Authorizer, name: str, value: str | None) -> None:
    with pytest.raises(InvalidPush, match="message"):
        receive(platform, **{name: value})

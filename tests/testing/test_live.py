"""Does the whole way work over HTTP, and does it say what is missing?"""

from __future__ import annotations

from typing import Any

import pytest

from wechat_open.exceptions import ConfigurationError
from wechat_open.messaging import answer_later, on_event, on_message
from wechat_open.models import Authorizer, VerifyTicket
from wechat_open.protocol.messages import Message
from wechat_open.simulator import DEMO_MINI, DEMO_OFFICIAL
from wechat_open.testing.live import Live


def later_hello(message: Message) -> str:
    return "later"


def test_account__is_authorized_over_http(wechat_live: Live) -> None:
    account = wechat_live.authorize(DEMO_MINI)

    assert VerifyTicket.objects.count() == 1
    assert (account.state, account.nick_name) == (Authorizer.State.AUTHORIZED, "山茶小铺")


def test_follower__is_answered_over_http(wechat_live: Live) -> None:
    on_message()(lambda message: f"you said {message.content}")
    follower = wechat_live.follower(wechat_live.authorize())

    assert follower.writes("hello").text == "you said hello"
    assert follower.repeats().text == "you said hello"


def test_later_answer__is_waited_for(wechat_live: Live) -> None:
    on_message()(lambda message: answer_later(later_hello))
    answered = wechat_live.follower(wechat_live.authorize()).writes("hello")

    assert answered.wait_for_custom_messages()[0]["text"] == {"content": "later"}


def test_handler_that_fails__fails_the_test(wechat_live: Live) -> None:
    on_event()(lambda message: 1 / 0)
    follower = wechat_live.follower(wechat_live.authorize())

    with pytest.raises(ZeroDivisionError):
        follower.does("subscribe")


def test_push_that_cannot_be_processed__says_why(wechat_live: Live) -> None:
    wechat_live.simulator.control("faults", path="api_query_auth", errcode=61004)

    with pytest.raises(AssertionError, match=r"authorized wx4c9e2f70d81b35a6 could not be processed: .*61004"):
        wechat_live.authorize(DEMO_OFFICIAL)


def test_site_that_refuses_pushes__is_said(wechat_live: Live) -> None:
    wechat_live.simulator.engine.settings.token = "another-token-than-the-sites"

    with pytest.raises(AssertionError, match="verify ticket with 403, not with success"):
        wechat_live.push_ticket()


def test_site_that_refuses_messages__is_said(wechat_live: Live) -> None:
    follower = wechat_live.follower(wechat_live.authorize())
    wechat_live.simulator.engine.settings.token = "another-token-than-the-sites"

    with pytest.raises(AssertionError, match="answered with 403, not with 200"):
        follower.writes("hello")


def test_site_without_our_urls__says_what_to_add(request: pytest.FixtureRequest, settings: Any) -> None:
    settings.ROOT_URLCONF = ()

    with pytest.raises(ConfigurationError, match="to urlpatterns"):
        request.getfixturevalue("wechat_live")

"""An account writes to its followers in WeChat's shape, and a refusal has the class that fits it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
import responses
from django.utils.translation import gettext_lazy, override

from tests.stage import OFFICIAL
from wechat_open import api
from wechat_open.api.messages import CUSTOM_SEND, CUSTOM_TYPING, SUBSCRIBE_BIZSEND, SUBSCRIBE_SEND, TEMPLATE_SEND
from wechat_open.exceptions import APIError, FollowerOutOfReach, FollowerRefused, PermissionMissing, Unreachable
from wechat_open.models import Authorizer
from wechat_open.protocol.replies import Image, TransferToCustomerService
from wechat_open.simulator import Simulator

MINI = "wx0f1e2d3c4b5a6978"
MENU = {"head_content": "满意吗？", "list": [{"id": "1", "content": "满意"}], "tail_content": ""}


@pytest.fixture
def anna(wechat: Simulator) -> str:
    """A follower who has just written."""
    wechat.engine.message(OFFICIAL, "o-anna", {"MsgType": "text", "Content": "hi"})
    return "o-anna"


@pytest.fixture
def mini(wechat: Simulator, grant: Callable[..., Authorizer]) -> Authorizer:
    wechat.engine.add_account("Corner Shop", "mini", appid=MINI)
    return grant(MINI)


@pytest.fixture
def wire(wechat: Simulator, account: Authorizer) -> Iterator[Callable[[], dict[str, Any]]]:
    """The body of the last call; every message is taken, and tokens come from the simulator."""
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        mock.add_passthru(wechat.url + "/cgi-bin/component/")
        for path in (CUSTOM_SEND, CUSTOM_TYPING, TEMPLATE_SEND, SUBSCRIBE_SEND, SUBSCRIBE_BIZSEND):
            mock.post(wechat.url + path, json={"errcode": 0, "errmsg": "ok", "msgid": 200228332})
        yield lambda: dict(json.loads(mock.calls[-1].request.body or b""))


class TestCustomerService:
    @pytest.mark.parametrize(
        ("message", "sent"),
        [
            ("您好", {"msgtype": "text", "text": {"content": "您好"}}),
            (Image("m1"), {"msgtype": "image", "image": {"media_id": "m1"}}),
            ({"msgtype": "msgmenu", "msgmenu": MENU}, {"msgtype": "msgmenu", "msgmenu": MENU}),
        ],
        ids=["text", "reply", "mapping"],
    )
    def test_message__reaches_the_follower(
        self, wechat: Simulator, account: Authorizer, anna: str, message: Any, sent: dict[str, Any]
    ) -> None:
        api.authorizer(account).messages.custom_send(anna, message)

        assert wechat.engine.sent_to(OFFICIAL, anna) == [{"touser": anna, **sent}]

    def test_member_of_staff__is_named(self, wire: Callable[[], Any]) -> None:
        api.authorizer(OFFICIAL).messages.custom_send("o-anna", "您好", kf_account="lin@corner")

        assert wire() == {
            "touser": "o-anna",
            "msgtype": "text",
            "text": {"content": "您好"},
            "customservice": {"kf_account": "lin@corner"},
        }

    def test_mapping__is_for_the_given_openid_and_stays_unchanged(self, wire: Callable[[], Any]) -> None:
        message = {"touser": "o-bert", "msgtype": "text", "text": {"content": "您好"}}
        api.authorizer(OFFICIAL).messages.custom_send("o-anna", message)

        assert wire()["touser"] == "o-anna"
        assert message["touser"] == "o-bert"

    def test_reply_that_is_no_message__is_not_sent(self, wechat: Simulator, account: Authorizer, anna: str) -> None:
        with pytest.raises(TypeError):
            api.authorizer(account).messages.custom_send(anna, TransferToCustomerService())
        assert CUSTOM_SEND not in wechat.engine.calls

    def test_typing__begins_and_ends(self, wire: Callable[[], Any]) -> None:
        api.authorizer(OFFICIAL).messages.custom_typing("o-anna")
        assert wire() == {"touser": "o-anna", "command": "Typing"}

        api.authorizer(OFFICIAL).messages.custom_typing("o-anna", typing=False)
        assert wire() == {"touser": "o-anna", "command": "CancelTyping"}

    def test_typing__is_understood(self, account: Authorizer, anna: str) -> None:
        api.authorizer(account).messages.custom_typing(anna)
        with pytest.raises(FollowerOutOfReach):
            api.authorizer(account).messages.custom_typing("o-stranger")

    def test_after_48_hours__the_follower_is_out_of_reach(
        self, wechat: Simulator, account: Authorizer, anna: str
    ) -> None:
        wechat.engine.settings.ticket_life = 3 * 86400  # only the follower's time is up
        wechat.engine.clock.advance(timedelta(hours=48).total_seconds())

        with pytest.raises(FollowerOutOfReach) as refused:
            api.authorizer(account).messages.custom_send(anna, "您好")
        assert refused.value.errcode == 45015

    def test_after_too_many_messages__the_follower_is_out_of_reach_until_the_next_message(
        self, wechat: Simulator, account: Authorizer, anna: str
    ) -> None:
        for _ in range(20):
            api.authorizer(account).messages.custom_send(anna, "您好")
        with pytest.raises(FollowerOutOfReach) as refused:
            api.authorizer(account).messages.custom_send(anna, "您好")
        assert refused.value.errcode == 45047

        wechat.engine.message(OFFICIAL, anna, {"MsgType": "text", "Content": "hi"})
        api.authorizer(account).messages.custom_send(anna, "您好")


class TestTemplates:
    def test_template_message__has_a_number(self, account: Authorizer, anna: str) -> None:
        assert api.authorizer(account).messages.template_send(anna, "t1", {"thing1": "新书"}) > 0

    def test_template_message__has_only_the_given_fields(self, wire: Callable[[], Any]) -> None:
        api.authorizer(OFFICIAL).messages.template_send("o-anna", "t1", {"thing1": "新书"})

        assert wire() == {"touser": "o-anna", "template_id": "t1", "data": {"thing1": {"value": "新书"}}}

    def test_template_message__has_all_given_fields(self, wire: Callable[[], Any]) -> None:
        page = {"appid": MINI, "pagepath": "pages/book?id=7"}
        msgid = api.authorizer(OFFICIAL).messages.template_send(
            "o-anna", "t1", {}, url="https://shop.example.com/", miniprogram=page, client_msg_id="order-7"
        )

        assert msgid == 200228332
        assert wire() == {
            "touser": "o-anna",
            "template_id": "t1",
            "data": {},
            "url": "https://shop.example.com/",
            "miniprogram": page,
            "client_msg_id": "order-7",
        }

    def test_values__are_sent_as_texts_in_wechats_shape(self, wire: Callable[[], Any]) -> None:
        with override("zh-hans"):
            api.authorizer(OFFICIAL).messages.template_send(
                "o-anna", "t1", {"thing1": gettext_lazy("Yes"), "number2": 3, "time3": {"value": "12:30"}}
            )

        assert wire()["data"] == {"thing1": {"value": "是"}, "number2": {"value": "3"}, "time3": {"value": "12:30"}}

    @pytest.mark.parametrize("answer", [{"errcode": 0}, {"errcode": 0, "msgid": "soon"}, {"msgid": None}])
    def test_answer_without_a_msgid__is_not_a_success(
        self, wechat: Simulator, account: Authorizer, answer: dict[str, Any]
    ) -> None:
        with responses.RequestsMock() as mock:
            mock.add_passthru(wechat.url + "/cgi-bin/component/")
            mock.post(wechat.url + TEMPLATE_SEND, json=answer)

            with pytest.raises(Unreachable, match="msgid"):
                api.authorizer(account).messages.template_send("o-anna", "t1", {})

    def test_subscription_message__of_a_mini_program(self, wire: Callable[[], Any]) -> None:
        api.authorizer(OFFICIAL).messages.subscribe_send("o-anna", "t1", {"thing1": "新书"})
        assert wire() == {"touser": "o-anna", "template_id": "t1", "data": {"thing1": {"value": "新书"}}}

        api.authorizer(OFFICIAL).messages.subscribe_send(
            "o-anna", "t1", {}, page="p", miniprogram_state="trial", lang="en_US"
        )
        assert wire() == {
            "touser": "o-anna",
            "template_id": "t1",
            "data": {},
            "page": "p",
            "miniprogram_state": "trial",
            "lang": "en_US",
        }

    def test_subscription_notice__of_an_official_account(self, wire: Callable[[], Any]) -> None:
        page = {"appid": MINI, "pagepath": "pages/book"}
        api.authorizer(OFFICIAL).messages.subscribe_bizsend("o-anna", "t1", {}, page="https://a/", miniprogram=page)

        assert wire() == {
            "touser": "o-anna",
            "template_id": "t1",
            "data": {},
            "page": "https://a/",
            "miniprogram": page,
        }

    def test_subscriptions__are_for_their_own_kind_of_account(self, account: Authorizer, mini: Authorizer) -> None:
        data = {"thing1": "新书"}
        api.authorizer(mini).messages.subscribe_send("o-anna", "t1", data)
        api.authorizer(account).messages.subscribe_bizsend("o-anna", "t1", data)

        with pytest.raises(PermissionMissing):
            api.authorizer(account).messages.subscribe_send("o-anna", "t1", data)
        with pytest.raises(PermissionMissing):
            api.authorizer(mini).messages.subscribe_bizsend("o-anna", "t1", data)

    def test_permission_that_was_not_granted__is_missing(self, grant: Callable[..., Authorizer]) -> None:
        account = grant(permissions=(1, 7))

        with pytest.raises(PermissionMissing) as refused:
            api.authorizer(account).messages.subscribe_bizsend("o-anna", "t1", {})
        assert refused.value.errcode == 61007

    @pytest.mark.parametrize("errcode", [43004, 43101, 48002])
    def test_refusal_by_the_follower__is_no_fault(self, wechat: Simulator, account: Authorizer, errcode: int) -> None:
        wechat.faults.add(TEMPLATE_SEND, "errcode", errcode)

        with pytest.raises(FollowerRefused) as refused:
            api.authorizer(account).messages.template_send("o-anna", "t1", {})
        assert refused.value.errcode == errcode

    def test_follower_who_left__is_no_fault(self, wechat: Simulator, account: Authorizer, anna: str) -> None:
        wechat.engine.message(OFFICIAL, anna, {"MsgType": "event", "Event": "unsubscribe"})

        with pytest.raises(FollowerRefused):
            api.authorizer(account).messages.template_send(anna, "t1", {})
        with pytest.raises(FollowerOutOfReach):
            api.authorizer(account).messages.custom_send(anna, "您好")

    def test_wrong_value__is_a_plain_error(self, account: Authorizer) -> None:
        with pytest.raises(APIError) as refused:
            api.authorizer(account).messages.template_send("o-anna", "t1", {"thing1": ""})
        assert type(refused.value) is APIError
        assert refused.value.errcode == 47003

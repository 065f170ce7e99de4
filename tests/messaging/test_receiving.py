"""What a follower gets for a message, and which account it is for."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils.translation import gettext_lazy, override

from tests.messaging.followers import ANNA, SHOP, TEXT, answer, event, pushed, receive, shown
from tests.stage import OFFICIAL
from wechat_open import messaging, platforms
from wechat_open.exceptions import InvalidPush, WeChatOpenError
from wechat_open.messaging import (
    PASS,
    EventReply,
    Image,
    Message,
    Reply,
    Text,
    TooMany,
    TooSlow,
    TransferToCustomerService,
    answer_later,
    deadlines,
    deferred,
    on_event,
    on_message,
)
from wechat_open.messaging.messages import Subscribed, TextMessage
from wechat_open.models import Authorizer, Component, HourlyCount
from wechat_open.platforms import Platform
from wechat_open.protocol import xml
from wechat_open.protocol.crypto import KeyPair, decrypt
from wechat_open.simulator import Simulator

Failures = list[tuple[str, BaseException]]
Sent = Callable[[], list[dict[str, Any]]]
CUSTOM_SEND = "/cgi-bin/message/custom/send"
SECOND = "wx2222222222222222"


def custom_message(text: str) -> dict[str, Any]:
    """The customer-service message with this text."""
    return {"touser": ANNA, "msgtype": "text", "text": {"content": text}}


def until(condition: Callable[[], object]) -> None:
    """Another thread is about to do it."""
    ends_at = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < ends_at, "it never came to that"
        time.sleep(0.01)


@deferred
def later(message: Message, question: str = "") -> str:
    """Called by a worker."""
    return f"{question} later"


# What is said


def test_message_without_a_handler__is_success(platform: Platform, shop: Authorizer) -> None:
    assert receive(platform) == receive(platform, **event("subscribe")) == b"success"


def test_text__is_an_encrypted_reply_to_the_follower(platform: Platform, shop: Authorizer) -> None:
    @on_message("text")
    def repeat(message: TextMessage) -> str:
        return f"you said {message.content}"

    before = int(time.time())
    reply = shown(receive(platform), platform.pairs[0], platform.appid)

    assert before <= int(reply.pop("CreateTime")) <= int(time.time())
    assert reply == {
        "ToUserName": ANNA,
        "FromUserName": SHOP,
        "MsgType": "text",
        "Content": "you said canary",
    }


def test_reply__is_encrypted_as_it_is(platform: Platform, shop: Authorizer) -> None:
    on_message(lambda message: Image("m1"))

    assert shown(receive(platform), platform.pairs[0], platform.appid)["Image"] == {"MediaId": "m1"}


def test_reply_to_an_event__is_encrypted_too(platform: Platform, shop: Authorizer) -> None:
    @on_event("subscribe")
    def welcome(message: Subscribed) -> str:
        return f"welcome from {message.scene}"

    body = receive(platform, **event("subscribe", EventKey="qrscene_7"))

    assert shown(body, platform.pairs[0], platform.appid)["Content"] == "welcome from 7"


@pytest.mark.parametrize("nothing", [None, "", gettext_lazy(""), Text(""), " \n", "\x00", PASS])
def test_nothing_to_say__is_success(platform: Platform, shop: Authorizer, failures: Failures, nothing: Any) -> None:
    on_message(lambda message: nothing)

    assert receive(platform) == b"success"
    assert failures == []


def test_text_to_be_translated__is_in_the_language_of_the_handler(platform: Platform, shop: Authorizer) -> None:
    @on_message
    def yes(message: Message) -> Any:
        return gettext_lazy("Yes")

    with override("zh-hans"):
        body = receive(platform)

    assert shown(body, platform.pairs[0], platform.appid)["Content"] == "是"


def test_coroutine__is_awaited(platform: Platform, shop: Authorizer) -> None:
    @on_message
    async def greet(message: TextMessage) -> Text:
        return Text(f"awaited {message.content}")

    assert shown(receive(platform), platform.pairs[0], platform.appid)["Content"] == "awaited canary"


def test_coroutine__has_the_account(platform: Platform, shop: Authorizer) -> None:
    """The row is read when it is first looked at, which a coroutine may not do."""

    @on_message
    async def greet(message: TextMessage) -> str:
        return f"{message.authorizer.nick_name} on {message.authorizer.component.appid}"

    body = receive(platform)

    assert shown(body, platform.pairs[0], platform.appid)["Content"] == f"{shop.nick_name} on {platform.appid}"


def test_previous_pair__is_answered_with_itself(platform: Platform, shop: Authorizer) -> None:
    """WeChat goes on with the old key for a while after a change."""
    on_message(lambda message: "hello")
    old = KeyPair.from_console("old-token", "0" * 43)
    body = messaging.receive(platform, OFFICIAL, pushed()._replace(pair=old)).body

    assert shown(body, old, platform.appid)["Content"] == "hello"


def test_json_message__has_a_json_reply(platform: Platform, shop: Authorizer) -> None:
    on_message(lambda message: "hello")
    body = messaging.receive(platform, OFFICIAL, pushed()._replace(format="json")).body

    assert body.startswith(b"{")
    reply = shown(body, platform.pairs[0], platform.appid)
    assert (reply["ToUserName"], reply["Content"]) == (ANNA, "hello")


def test_reply__repeats_the_nonce_of_the_push(platform: Platform, shop: Authorizer) -> None:
    on_message(lambda message: "hello")

    assert b"<Nonce><![CDATA[nonce]]></Nonce>" in receive(platform)


class Sticker(Reply):
    """A kind of reply that the site has made."""

    kind = "sticker"

    def passive(self) -> dict[str, Any]:
        return {"StickerId": "7"}


class Unfinished(Reply):
    kind = "unfinished"


def test_reply_class_of_the_site__is_encrypted(platform: Platform, shop: Authorizer) -> None:
    on_message(lambda message: Sticker())
    reply = shown(receive(platform), platform.pairs[0], platform.appid)

    assert (reply["MsgType"], reply["StickerId"]) == ("sticker", "7")


def test_kind_of_reply_that_cannot_be_written__is_a_mistake_of_the_site(
    platform: Platform, shop: Authorizer, failures: Failures
) -> None:
    on_message(lambda message: Unfinished())

    assert receive(platform) == b"success"
    [(handler, error)] = failures
    assert handler == f"{__name__}.Unfinished"
    assert isinstance(error, NotImplementedError)


@pytest.mark.parametrize("format", ["xml", "json"])
def test_text_with_characters_that_cannot_be_written__is_sent_without_them(
    platform: Platform, shop: Authorizer, format: Any
) -> None:
    on_message(lambda message: "half a pair \ud83d, and on")
    body = messaging.receive(platform, OFFICIAL, pushed()._replace(format=format)).body

    assert shown(body, platform.pairs[0], platform.appid)["Content"] == "half a pair , and on"


# Who is asked


def test_first_that_fits__answers_whatever_it_says(platform: Platform, shop: Authorizer) -> None:
    asked = []
    on_message("image")(lambda message: asked.append("image"))
    on_message("text")(lambda message: asked.append("first"))
    on_message("text")(lambda message: asked.append("second"))

    assert receive(platform) == b"success"
    assert asked == ["first"]


def test_pass__lets_the_next_one_answer(platform: Platform, shop: Authorizer) -> None:
    on_message(lambda message: PASS)
    on_message(lambda message: "the second")
    on_message(lambda message: "the third")

    assert shown(receive(platform), platform.pairs[0], platform.appid)["Content"] == "the second"


def test_handler__gets_the_message_and_its_account(platform: Platform, shop: Authorizer) -> None:
    got: list[Message] = []
    on_message(got.append)
    receive(platform)

    [message] = got
    assert isinstance(message, TextMessage)
    assert (message.content, message.openid, message.msg_id) == ("canary", ANNA, TEXT["MsgId"])
    assert (message.component, message.appid, message.authorizer) == ("default", OFFICIAL, shop)


def test_row__costs_no_query_until_it_is_looked_at(platform: Platform, shop: Authorizer) -> None:
    receive(platform, MsgId="1")
    on_message("text")(lambda message: None)
    on_message("image")(lambda message: message.authorizer.user_name)

    with CaptureQueriesContext(connection) as queries:
        receive(platform, MsgId="2")
        assert len(queries) == 0
        receive(platform, MsgId="3", MsgType="image")
        assert len(queries) == 1


def test_same_account_of_two_platforms__is_two_accounts(
    wechat: Simulator, platform: Platform, shop: Authorizer, settings: Any
) -> None:
    second = {**settings.WECHAT_OPEN["COMPONENTS"]["default"], "APPID": SECOND}
    settings.WECHAT_OPEN = settings.WECHAT_OPEN | {
        "COMPONENTS": {**settings.WECHAT_OPEN["COMPONENTS"], "second": second}
    }
    theirs = platforms.get("second")
    row = Authorizer.objects.create(component=theirs.row, appid=OFFICIAL, user_name=SHOP)
    on_message(component="default")(lambda message: f"for {message.component}, {message.authorizer.pk}")
    on_message(component="second")(lambda message: f"for {message.component}, {message.authorizer.pk}")

    ours = shown(receive(platform), platform.pairs[0], platform.appid)
    other = shown(receive(theirs), theirs.pairs[0], SECOND)

    assert ours["Content"] == f"for default, {shop.pk}"
    assert other["Content"] == f"for second, {row.pk}"


# When a handler fails


def test_handler_that_raises__is_success_and_reported(
    platform: Platform, shop: Authorizer, failures: Failures, caplog: pytest.LogCaptureFixture
) -> None:
    error = ValueError("a bug")

    @on_message
    def broken(message: Message) -> None:
        raise error

    assert receive(platform) == b"success"
    [(handler, raised)] = failures
    assert handler.endswith("broken")
    assert raised is error
    [record] = caplog.records
    assert record.levelname == "ERROR"
    assert "broken failed for text of account" in record.getMessage()
    assert TEXT["MsgId"] in record.getMessage()
    assert record.exc_info is not None
    assert "canary" not in caplog.text


def test_handler_that_raises__is_called_once(platform: Platform, shop: Authorizer, failures: Failures) -> None:
    """A repeat would fail as well, and the follower would see WeChat's regret."""
    on_message(lambda message: 1 / 0)
    receive(platform)

    assert receive(platform) == b"success"
    assert len(failures) == 1


def test_handler_that_passed__is_not_blamed_for_the_next(
    platform: Platform, shop: Authorizer, failures: Failures
) -> None:
    def good(message: Message) -> Any:
        return PASS

    def bad(message: Message) -> None:
        raise ValueError

    on_message(good)
    on_message(bad)
    receive(platform)

    assert failures[0][0].endswith("bad")


def test_error_of_wechat__is_reported_in_its_words(
    platform: Platform, shop: Authorizer, failures: Failures, caplog: pytest.LogCaptureFixture
) -> None:
    @on_message
    def broken(message: Message) -> None:
        raise WeChatOpenError("errcode 45009")

    assert receive(platform) == b"success"
    [record] = caplog.records
    assert record.getMessage().endswith("errcode 45009")
    assert record.exc_info is None


@pytest.mark.parametrize("result", [7, b"bytes", True, ["hello"], {"msgtype": "text"}, Text])
def test_result_that_is_no_reply__is_a_mistake_of_the_handler(
    platform: Platform, shop: Authorizer, failures: Failures, result: Any
) -> None:
    on_message(lambda message: result)

    assert receive(platform) == b"success"
    assert isinstance(failures[0][1], TypeError)


def test_receiver_that_raises__changes_no_answer(platform: Platform, shop: Authorizer, failures: Failures) -> None:
    def listen(**_: Any) -> None:
        raise ValueError

    messaging.receiving.background.signals.handler_failed.connect(listen)
    on_message(lambda message: 1 / 0)
    try:
        assert receive(platform) == b"success"
    finally:
        messaging.receiving.background.signals.handler_failed.disconnect(listen)


# When a handler takes long


@pytest.fixture
def quick(wechat: Simulator, settings: Any) -> None:
    """A site that cuts off soon."""
    settings.WECHAT_OPEN = settings.WECHAT_OPEN | {"REPLY_WITHIN": 0.2}


@pytest.fixture
def go_on() -> Any:
    """Handlers that wait for it are slow; none is left waiting."""
    event = threading.Event()
    yield event
    event.set()


@pytest.mark.usefixtures("transactional_db", "quick")
class TestSlowHandler:
    def test_success_is_answered_at_the_deadline__and_the_reply_is_sent_later(
        self,
        platform: Platform,
        account: Authorizer,
        anna: Sent,
        failures: Failures,
        go_on: threading.Event,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        @on_message
        def slow(message: TextMessage) -> str:
            go_on.wait(10)
            return f"at last, {message.authorizer.user_name}"

        started = time.monotonic()
        assert receive(platform) == b"success"
        assert 0.2 <= time.monotonic() - started < 2
        [(handler, error)] = failures
        assert handler.endswith("slow")
        assert isinstance(error, TooSlow)
        assert "slow failed for text" in caplog.text
        assert "canary" not in caplog.text
        assert anna() == []

        go_on.set()
        until(anna)
        assert anna() == [custom_message(f"at last, {SHOP}")]

    def test_repeat__gets_the_same_answer_and_calls_no_handler(
        self, platform: Platform, shop: Authorizer, go_on: threading.Event
    ) -> None:
        asked = []

        @on_message
        def slow(message: Message) -> None:
            asked.append(message)
            go_on.wait(10)

        assert receive(platform) == receive(platform) == b"success"
        assert len(asked) == 1

    def test_error_after_the_deadline__is_reported_too(
        self, platform: Platform, shop: Authorizer, failures: Failures, go_on: threading.Event
    ) -> None:
        @on_message
        def slow(message: Message) -> None:
            go_on.wait(10)
            raise ValueError

        receive(platform)
        go_on.set()

        until(lambda: len(failures) == 2)
        assert [type(error) for _, error in failures] == [TooSlow, ValueError]

    def test_nothing_after_its_time__is_nothing(
        self, wechat: Simulator, platform: Platform, shop: Authorizer, failures: Failures, go_on: threading.Event
    ) -> None:
        ended = threading.Event()

        @on_message
        def slow(message: Message) -> None:
            go_on.wait(10)
            ended.set()

        receive(platform)
        go_on.set()

        assert ended.wait(10)
        time.sleep(0.1)
        assert len(failures) == 1
        assert CUSTOM_SEND not in wechat.engine.calls

    def test_reply_that_cannot_be_sent_later__is_reported(
        self, platform: Platform, shop: Authorizer, failures: Failures, go_on: threading.Event
    ) -> None:
        @on_message
        def slow(message: Message) -> TransferToCustomerService:
            go_on.wait(10)
            return TransferToCustomerService()

        receive(platform)
        go_on.set()

        until(lambda: len(failures) == 2)
        assert failures[1][0] == "message/custom/send"
        assert isinstance(failures[1][1], TypeError)

    def test_later_after_its_time__goes_to_a_worker(
        self, platform: Platform, shop: Authorizer, sent_tasks: Callable[[], Any], go_on: threading.Event
    ) -> None:
        @on_message
        def slow(message: Message) -> Any:
            go_on.wait(10)
            return answer_later(later)

        receive(platform)
        assert sent_tasks() == []
        go_on.set()

        heard: list[Any] = []
        until(lambda: heard.extend(sent_tasks()) or heard)
        assert heard[0][1][0] == f"{__name__}.later"

    @pytest.mark.usefixtures("no_broker")
    def test_later_after_its_time__is_done_here_without_a_broker(
        self, platform: Platform, account: Authorizer, anna: Sent, go_on: threading.Event
    ) -> None:
        @on_message
        def slow(message: Message) -> Any:
            go_on.wait(10)
            return answer_later(later, question="when?")

        receive(platform)
        go_on.set()

        until(anna)
        assert anna() == [custom_message("when? later")]

    def test_too_many_that_hang__is_raised_and_the_message_is_free_again(
        self, platform: Platform, shop: Authorizer, go_on: threading.Event, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(deadlines, "MAX_THREADS", 0)
        monkeypatch.setattr(deadlines, "_idle", [])
        on_message(lambda message: "hello")
        with pytest.raises(TooMany):
            receive(platform)

        monkeypatch.undo()
        assert shown(receive(platform), platform.pairs[0], platform.appid)["Content"] == "hello"

    def test_quick_handler__answers_from_its_own_thread(self, platform: Platform, shop: Authorizer) -> None:
        threads = []

        @on_message
        def quick(message: Message) -> Any:
            threads.append(threading.current_thread())
            return gettext_lazy("Yes")

        with override("zh-hans"):
            body = receive(platform)

        assert shown(body, platform.pairs[0], platform.appid)["Content"] == "是"
        assert threads != [threading.current_thread()]

    def test_zero_seconds__never_cut_off(self, platform: Platform, shop: Authorizer, settings: Any) -> None:
        settings.WECHAT_OPEN = settings.WECHAT_OPEN | {"REPLY_WITHIN": 0}
        threads = []

        @on_message
        def slow(message: Message) -> str:
            threads.append(threading.current_thread())
            time.sleep(0.3)
            return "hello"

        assert shown(receive(platform), platform.pairs[0], platform.appid)["Content"] == "hello"
        assert threads == [threading.current_thread()]


# What is said after the answer


def test_answer_later__is_success_and_a_task(
    platform: Platform, shop: Authorizer, sent_tasks: Callable[[], Any]
) -> None:
    on_message(lambda message: answer_later(later, question="when?"))
    said = answer(platform)

    assert (said.body, said.after) == (b"success", None)
    [(task, arguments, _)] = sent_tasks()
    assert task == "wechat_open.tasks.answer_later"
    assert arguments[:3] == [f"{__name__}.later", "default", OFFICIAL]
    assert arguments[3:] == [{name: str(value) for name, value in TEXT.items()}, {"question": "when?"}]


@pytest.mark.usefixtures("no_broker")
def test_answer_later_without_a_broker__is_done_after_the_answer(
    platform: Platform, account: Authorizer, anna: Sent
) -> None:
    on_message(lambda message: answer_later(later, question="when?"))
    said = answer(platform)

    assert said.body == b"success"
    assert anna() == []
    assert said.after is not None
    said.after()
    assert anna() == [custom_message("when? later")]


class TestMiniProgram:
    @pytest.fixture(autouse=True)
    def _mini(self, account: Authorizer) -> None:
        Authorizer.objects.update(kind=Authorizer.Kind.MINI)

    def test_reply__is_sent_after_the_answer(self, platform: Platform, anna: Sent) -> None:
        """A mini program shows no passive reply."""
        on_message(lambda message: "hello")
        said = answer(platform)

        assert said.body == b"success"
        assert anna() == []
        assert said.after is not None
        said.after()
        assert anna() == [custom_message("hello")]

    def test_handing_over_to_people__is_the_answer(self, platform: Platform, anna: Sent) -> None:
        on_message(lambda message: TransferToCustomerService())
        said = answer(platform)

        assert said.after is None
        reply = shown(said.body, platform.pairs[0], platform.appid)
        assert reply["MsgType"] == "transfer_customer_service"

    def test_nothing__is_nothing(self, platform: Platform, anna: Sent) -> None:
        on_message(lambda message: None)
        said = answer(platform)

        assert (said.body, said.after) == (b"success", None)

    def test_reply_that_is_refused__is_reported(
        self, wechat: Simulator, platform: Platform, anna: Sent, failures: Failures
    ) -> None:
        wechat.faults.add(CUSTOM_SEND, "errcode", 45015)
        on_message(lambda message: "hello")
        said = answer(platform)
        assert said.after is not None
        said.after()

        [(handler, error)] = failures
        assert handler == "message/custom/send"
        assert "45015" in str(error)

    def test_repeat__sends_nothing_again(self, platform: Platform, anna: Sent) -> None:
        on_message(lambda message: "hello")
        answer(platform)

        assert answer(platform).after is None


# Once


def test_repeat__is_answered_with_the_same_bytes_and_handled_once(platform: Platform, shop: Authorizer) -> None:
    asked: list[Message] = []

    @on_message
    def greet(message: Message) -> str:
        asked.append(message)
        return "hello"

    first = receive(platform)

    assert first != b"success"
    assert receive(platform) == receive(platform) == first
    assert len(asked) == 1


def test_repeated_event__is_handled_once(platform: Platform, shop: Authorizer) -> None:
    asked: list[Message] = []
    on_event(asked.append)
    for _ in range(3):
        receive(platform, **event("CLICK", EventKey="menu"))
    receive(platform, **event("VIEW", EventKey="menu"))

    assert [message.event for message in asked] == ["CLICK", "VIEW"]  # type: ignore[attr-defined]


# For whom


def test_message_for_another_account__is_refused(platform: Platform, shop: Authorizer) -> None:
    asked: list[Message] = []
    on_message(asked.append)

    with pytest.raises(InvalidPush, match="account"):
        receive(platform, ToUserName="gh_another")
    assert asked == []


def test_message_replayed_to_another_path__is_refused(platform: Platform, shop: Authorizer) -> None:
    Authorizer.objects.create(component=platform.row, appid="wxother", user_name="gh_other")

    with pytest.raises(InvalidPush):
        receive(platform, "wxother")
    with pytest.raises(InvalidPush):  # also to an unknown one
        receive(platform, "wxnobody")


def test_unknown_account__is_answered_and_logged(platform: Platform, caplog: pytest.LogCaptureFixture) -> None:
    asked: list[Message] = []
    on_message(asked.append)

    assert receive(platform, "wxnobody", ToUserName="gh_nobody") == b"success"
    assert "is unknown to platform" in caplog.text
    assert "canary" not in caplog.text
    assert asked == []


def test_account_that_has_cancelled__is_answered_and_logged(
    platform: Platform, shop: Authorizer, caplog: pytest.LogCaptureFixture
) -> None:
    asked: list[Message] = []
    on_message(asked.append)
    Authorizer.objects.update(state=Authorizer.State.UNAUTHORIZED)

    assert receive(platform) == b"success"
    assert "has cancelled" in caplog.text
    assert asked == []


def test_account_that_needs_its_owner__is_answered_still(platform: Platform, shop: Authorizer) -> None:
    """WeChat pushes for it, so it has not cancelled; a passive reply needs no token."""
    Authorizer.objects.update(state=Authorizer.State.NEEDS_REAUTHORIZATION)
    on_message(lambda message: "hello")

    assert shown(receive(platform), platform.pairs[0], platform.appid)["Content"] == "hello"


def test_same_account_of_another_platform__does_not_matter(platform: Platform, shop: Authorizer) -> None:
    other = Component.objects.create(appid="wxsecond")
    Authorizer.objects.create(component=other, appid=OFFICIAL, user_name="gh_renamed")

    assert receive(platform) == b"success"


@pytest.mark.parametrize("name", ["ToUserName", "FromUserName", "MsgType"])
@pytest.mark.parametrize("value", [None, "", "two words"])
def test_message_without_what_it_needs__is_answered_logged_and_counted(
    platform: Platform, shop: Authorizer, caplog: pytest.LogCaptureFixture, name: str, value: str | None
) -> None:
    """WeChat would only send the same again, and tell the follower that the account is out of order."""
    assert receive(platform, **{name: value}) == b"success"

    assert "could not be read" in caplog.text
    assert "canary" not in caplog.text
    assert HourlyCount.objects.get(counter=HourlyCount.Counter.UNREADABLE).count == 1


@pytest.mark.parametrize("time", [None, "", "0", "yesterday", "1715943329000", "9" * 400, "-5"])
def test_time_that_is_none__is_that_of_the_push(platform: Platform, shop: Authorizer, time: str | None) -> None:
    seen: list[Message] = []
    on_message(seen.append)

    push = pushed(CreateTime=time)
    assert messaging.receive(platform, OFFICIAL, push).body == b"success"
    assert messaging.receive(platform, OFFICIAL, push).body == b"success"
    assert [message.created for message in seen] == [int(push.stamp.timestamp)]


def test_event_of_the_platform__is_refused(platform: Platform, shop: Authorizer) -> None:
    with pytest.raises(InvalidPush, match="message"):
        receive(platform, MsgType=None, InfoType="unauthorized")


# Whose answer it is


def test_followers_with_one_msg_id__get_each_their_own_answer(platform: Platform, shop: Authorizer) -> None:
    on_message(lambda message: f"balance of {message.openid}")
    bodies = [receive(platform, FromUserName=openid) for openid in ("o-anna", "o-bert", "O-ANNA", "o-anna")]
    replies = [shown(body, platform.pairs[0], platform.appid) for body in bodies]

    assert [(reply["ToUserName"], reply["Content"]) for reply in replies] == [
        ("o-anna", "balance of o-anna"),
        ("o-bert", "balance of o-bert"),
        ("O-ANNA", "balance of O-ANNA"),
        ("o-anna", "balance of o-anna"),
    ]
    assert bodies[0] == bodies[3]


# An answer of the event's own


@dataclass(frozen=True)
class Delivered(EventReply):
    """A class of fields."""

    ErrCode: int = 0
    ErrMsg: str = "success"


class Raw(Reply):
    kind = "xpay"

    def passive(self) -> dict[str, Any]:
        return {"ErrCode": 0, "ErrMsg": "success"}


OWN = [{"ErrCode": 0, "ErrMsg": "success"}, Delivered(), Raw()]


@pytest.mark.parametrize("own", OWN, ids=["mapping", "class", "reply"])
@pytest.mark.parametrize("kind", list(Authorizer.Kind))
@pytest.mark.parametrize("format", ["xml", "json"])
def test_answer_of_the_events_own__is_written_as_it_is(
    platform: Platform, shop: Authorizer, failures: Failures, wechat: Simulator, own: Any, kind: str, format: Any
) -> None:
    Authorizer.objects.update(kind=kind)
    on_event("xpay_goods_deliver_notify")(lambda message: own)
    push = pushed(**event("xpay_goods_deliver_notify"))._replace(format=format)
    answered = messaging.receive(platform, OFFICIAL, push)

    assert shown(answered.body, platform.pairs[0], platform.appid) == {"ErrCode": "0", "ErrMsg": "success"}
    assert answered.after is None
    assert failures == []
    if format == "xml":
        encrypted = xml.read(answered.body)["Encrypt"]
        plain = decrypt(platform.pairs[0].aes_key, encrypted, platform.appid)
        assert plain == b"<xml><ErrCode>0</ErrCode><ErrMsg><![CDATA[success]]></ErrMsg></xml>"


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"a b": 1},
        {"<a>": 1},
        {"a": object()},
        {"a": float("nan")},
        {1: 2},
        {"a": {"b": [b"x"]}},
        {"a": Delivered},
        {"a": [[1]]},
    ],
    ids=["nothing", "space", "markup", "object", "nan", "number", "bytes", "class", "lists"],
)
def test_answer_that_cannot_be_written__is_a_mistake_of_the_site(
    platform: Platform, shop: Authorizer, failures: Failures, wrong: Any
) -> None:
    on_event(lambda message: wrong)

    assert receive(platform, **event("xpay_goods_deliver_notify")) == b"success"
    [(_, error)] = failures
    assert isinstance(error, TypeError)


@pytest.mark.parametrize("own", OWN[:2], ids=["mapping", "class"])
def test_fields_for_a_message__are_a_mistake_of_the_site(
    platform: Platform, shop: Authorizer, failures: Failures, own: Any
) -> None:
    on_message(lambda message: own)

    assert receive(platform) == b"success"
    [(_, error)] = failures
    assert isinstance(error, TypeError)


def test_fields_of_any_depth__are_written_in_both_formats(platform: Platform, shop: Authorizer) -> None:
    code = IntEnum("code", {"OK": 0})
    given = {"list": [{"a": 1.5}, {"b": True}, {"c": code(0)}], "none": None, "empty": []}
    on_event(lambda message: {"result": given})
    push = pushed(**event("refund_query"))
    bodies = [
        messaging.receive(platform, OFFICIAL, push._replace(format=format, fields={**push.fields, "n": format})).body
        for format in ("xml", "json")
    ]

    as_xml, as_json = (shown(body, platform.pairs[0], platform.appid) for body in bodies)
    read = {"list": [{"a": "1.5"}, {"b": "true"}, {"c": "0"}], "none": ""}
    assert as_xml == {"result": read}
    assert as_json == {"result": {**read, "empty": []}}


# Long texts


@pytest.mark.parametrize("letters", [682, 683, 1500])
@pytest.mark.parametrize("kind", list(Authorizer.Kind)[:2])
def test_long_text__comes_in_parts_that_wechat_shows(
    platform: Platform, account: Authorizer, anna: Sent, failures: Failures, letters: int, kind: str
) -> None:
    Authorizer.objects.update(kind=kind)
    on_message(lambda message: "长" * letters)
    answered = answer(platform)
    passive = "" if answered.body == b"success" else shown(answered.body, platform.pairs[0], platform.appid)["Content"]
    if answered.after is not None:
        answered.after()
    until(lambda: len(passive) + sum(len(sent["text"]["content"]) for sent in anna()) == letters)

    assert all(len(text.encode()) <= 2048 for text in (passive, *(sent["text"]["content"] for sent in anna())))
    assert failures == []


def test_long_text_whose_rest_is_refused__is_reported(
    platform: Platform, account: Authorizer, anna: Sent, failures: Failures, wechat: Simulator
) -> None:
    wechat.faults.add(CUSTOM_SEND, "errcode", 48001)
    on_message(lambda message: "长" * 2000)
    after = answer(platform).after
    assert after is not None
    after()
    until(lambda: failures)

    assert anna() == []
    assert [handler for handler, _ in failures] == ["message/custom/send"]

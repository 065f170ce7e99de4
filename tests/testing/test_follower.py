"""A follower in a test gets what a follower in WeChat would get."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.core.cache import cache
from django.db import connection

from wechat_open import api, broker, messaging
from wechat_open.exceptions import AuthorizerUnauthorized, FollowerOutOfReach, InvalidPush
from wechat_open.messaging import (
    Article,
    Image,
    ImageMessage,
    Music,
    News,
    Reply,
    Text,
    TransferToCustomerService,
    Video,
    Voice,
    answer_later,
    deferred,
    on_event,
    on_message,
)
from wechat_open.messaging.messages import MESSAGES, EventMessage, Message
from wechat_open.models import Authorizer
from wechat_open.protocol.replies import EventFields
from wechat_open.simulator import DEMO_OFFICIAL, Simulator
from wechat_open.testing.follower import Follower

EVERY_REPLY: list[Reply] = [
    Text("<您好> & ]]>"),
    Image("picture"),
    Voice("sound"),
    Video("video"),
    Video("video", "Title", "Description"),
    Music("https://example.com/a.mp3"),
    Music("https://example.com/a.mp3", "Title", "Description", "https://example.com/b.mp3", "thumb"),
    News([Article("One", "First", "https://example.com/1.png", "https://example.com/1")]),
    News([Article("One"), Article("Two")]),
    TransferToCustomerService(),
    TransferToCustomerService("kf@shop"),
]


def said_to(handler_wants: Any = on_message) -> list[Message]:
    """What a handler for everything hears."""
    heard: list[Message] = []
    handler_wants()(lambda message: heard.append(message))
    return heard


@deferred
def later_name(message: Message, ids: list[int]) -> str:
    """At the top of a module, where a worker finds it."""
    return f"{api.authorizer(message.authorizer).appid} {ids}"


@deferred
def later_trouble(message: Message) -> str:
    raise ZeroDivisionError


# What she does


def test_text__is_answered(wechat_follower: Follower) -> None:
    on_message("text")(lambda message: f"you said {message.content}")

    assert wechat_follower.writes("hello").text == "you said hello"


def test_text__has_wechats_own_fields(wechat_follower: Follower) -> None:
    heard = said_to()

    wechat_follower.writes("yes", bizmsgmenuid="101")

    assert (heard[0].content, heard[0].menu_id) == ("yes", "101")  # type: ignore[attr-defined]


@pytest.mark.parametrize("kind", [kind for kind in MESSAGES if kind != "text"])
def test_message_of_every_kind__has_what_its_handler_reads(wechat_follower: Follower, kind: str) -> None:
    heard = said_to()

    wechat_follower.sends(kind)

    assert (type(heard[0]), heard[0].kind) == (MESSAGES[kind], kind)
    assert any(heard[0].fields[name] for name in ("MediaId", "Url", "Label", "PagePath") if name in heard[0].fields)


def test_message__is_of_the_account_and_the_follower(wechat_follower: Follower, wechat_account: Authorizer) -> None:
    heard = said_to()

    wechat_follower.sends("image", MediaId="mine")

    assert (heard[0].openid, heard[0].authorizer.pk) == (wechat_follower.openid, wechat_account.pk)
    assert heard[0].media_id == "mine"  # type: ignore[attr-defined]


def test_event__is_answered(wechat_follower: Follower) -> None:
    on_event("click")(lambda message: message.event_key)

    assert wechat_follower.does("CLICK", "TODAY").text == "TODAY"


def test_event__has_wechats_own_fields(wechat_follower: Follower) -> None:
    heard = said_to(on_event)

    wechat_follower.does("SCAN", "7", Ticket="ticket")

    assert heard[0].ticket == "ticket"  # type: ignore[attr-defined]


def test_repeat__is_answered_alike_and_handled_once(wechat_follower: Follower) -> None:
    heard: list[Message] = []
    on_message()(lambda message: heard.append(message) or f"answer {len(heard)}")

    first, again = wechat_follower.writes("hello"), wechat_follower.repeats()

    assert (first.body, first.text) == (again.body, again.text)
    assert len(heard) == 1


def test_repeat_without_a_push__is_an_error(wechat_follower: Follower) -> None:
    with pytest.raises(ValueError, match="Nothing was sent yet"):
        wechat_follower.repeats()


def test_same_thing_twice__is_no_repeat(wechat_follower: Follower) -> None:
    written, done = said_to(), said_to(on_event)

    for _ in range(2):
        wechat_follower.writes("hello")
        wechat_follower.does("subscribe")

    assert (len(written), len(done)) == (2, 2)


@pytest.mark.parametrize("_", range(2))
def test_same_person_in_another_test__is_no_repeat(make_wechat_follower: Callable[..., Follower], _: int) -> None:
    heard = said_to(on_event)

    make_wechat_follower(openid="o-the-same-in-both").does("subscribe")

    assert len(heard) == 1


# What she gets


@pytest.mark.parametrize("reply", EVERY_REPLY, ids=lambda reply: type(reply).__name__)
def test_reply__comes_as_it_was_given(wechat_follower: Follower, reply: Reply) -> None:
    on_message()(lambda message: reply)

    answered = wechat_follower.writes("hello")

    if isinstance(reply, Music) and not reply.hq_url:  # WeChat wants one; it is the same
        reply = Music(reply.url, hq_url=reply.url)
    assert answered.reply == reply
    assert answered.body.startswith(b"<xml><Encrypt>")
    assert answered.text == (reply.content if isinstance(reply, Text) else "")


def test_no_reply__is_success(wechat_follower: Follower) -> None:
    answered = wechat_follower.writes("hello")

    assert (answered.body, answered.reply, answered.text, answered.custom_messages) == (b"success", None, "", [])


def test_reply_that_wechat_does_not_know__fails_the_test(wechat_follower: Follower) -> None:
    class Hologram(Reply):
        kind = "hologram"

        def passive(self) -> dict[str, Any]:
            return {}

    on_message()(lambda message: Hologram())

    with pytest.raises(AssertionError, match="'hologram'"):
        wechat_follower.writes("hello")


def test_answer_of_the_events_own__is_seen(wechat_follower: Follower) -> None:
    on_event("xpay_goods_deliver_notify")(lambda message: {"ErrCode": 0, "ErrMsg": "success"})
    answered = wechat_follower.does("xpay_goods_deliver_notify")

    assert answered.reply == EventFields({"ErrCode": "0", "ErrMsg": "success"})
    assert answered.text == ""
    assert answered.custom_messages == []


def test_long_text__is_seen_in_its_parts(wechat_follower: Follower) -> None:
    on_message()(lambda message: "长" * 1500)
    answered = wechat_follower.writes("hello")

    texts = [answered.text, *(sent["text"]["content"] for sent in answered.custom_messages)]
    assert [len(text) for text in texts] == [682, 682, 136]


def test_what_a_handler_sends__is_seen(wechat_follower: Follower) -> None:
    def send(message: Message) -> str:
        account = api.authorizer(message.authorizer)
        account.messages.custom_send(message.openid, {"msgtype": "image", "image": {"media_id": "map"}})
        account.messages.custom_send(message.openid, "second")
        return "first"

    on_message()(send)
    answered = wechat_follower.writes("hello")
    on_event()(lambda message: None)

    assert answered.text == "first"
    assert [sent["msgtype"] for sent in answered.custom_messages] == ["image", "text"]
    assert wechat_follower.does("CLICK").custom_messages == []  # those were an answer to something else


def test_message_that_wechat_refused__is_not_seen(wechat_follower: Follower) -> None:
    def send_too_much(message: Message) -> None:
        for number in range(21):
            api.authorizer(message.authorizer).messages.custom_send(message.openid, str(number))

    on_message()(send_too_much)
    wechat_follower.raise_errors = False

    assert len(wechat_follower.writes("hello").custom_messages) == 20


def test_later_answer__comes_from_a_worker_after_the_answer(
    wechat_follower: Follower, wechat_account: Authorizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[str] = []
    monkeypatch.setattr(broker, "send_task", lambda task, *args, **options: sent.append(task))

    def handler(message: Message) -> Any:
        broker.send_task("shop.tasks.count")
        return answer_later(later_name, ids=[1, 2])

    on_message()(handler)
    answered = wechat_follower.writes("hello")

    assert (answered.body, answered.reply) == (b"success", None)
    assert answered.text == f"{wechat_account.appid} [1, 2]"
    assert sent == ["shop.tasks.count"]  # the site's own tasks go their own way


def test_mini_program__answers_by_customer_service(
    make_wechat_account: Callable[..., Authorizer], make_wechat_follower: Callable[..., Follower]
) -> None:
    on_message()(lambda message: "hello")

    answered = make_wechat_follower(make_wechat_account("mini")).writes("hello")

    assert (answered.reply, answered.text) == (None, "hello")


def test_waiting__ends(wechat_follower: Follower) -> None:
    answered = wechat_follower.writes("hello")

    with pytest.raises(AssertionError, match=r"0 customer-service messages came in 0\.03 seconds, not 1"):
        answered.wait_for_custom_messages(within=0.03)


# What goes wrong


def test_handler_that_fails__fails_the_test(wechat_follower: Follower) -> None:
    on_message()(lambda message: 1 / 0)

    with pytest.raises(ZeroDivisionError):
        wechat_follower.writes("hello")


def test_later_answer_that_fails__fails_the_test(wechat_follower: Follower) -> None:
    on_message()(lambda message: answer_later(later_trouble))

    with pytest.raises(ZeroDivisionError):
        wechat_follower.writes("hello")


def test_failure_of_another_follower__is_not_ours(
    wechat_follower: Follower, make_wechat_follower: Callable[..., Follower]
) -> None:
    other = make_wechat_follower()
    other.raise_errors = False
    on_event()(lambda message: 1 / 0)
    on_message()(lambda message: other.does("CLICK").text or "fine")

    assert wechat_follower.writes("hello").text == "fine"


def test_errors_kept_back__leave_what_a_follower_gets(wechat_follower: Follower) -> None:
    on_message()(lambda message: 1 / 0)
    wechat_follower.raise_errors = False

    assert wechat_follower.writes("hello").body == b"success"


def test_person_who_has_left__cannot_be_reached(wechat_follower: Follower) -> None:
    on_event("unsubscribe")(
        lambda message: api.authorizer(message.authorizer).messages.custom_send(message.openid, "wait!")
    )

    with pytest.raises(FollowerOutOfReach):
        wechat_follower.does("unsubscribe")


def test_account_with_another_original_id__is_refused(
    make_wechat_account: Callable[..., Authorizer], make_wechat_follower: Callable[..., Follower]
) -> None:
    follower = make_wechat_follower(make_wechat_account(user_name="gh_another"))

    with pytest.raises(InvalidPush, match="account"):
        follower.writes("hello")


# Where it happens


@pytest.mark.django_db(transaction=True)
def test_without_a_transaction__all_is_done_before_the_test_goes_on(wechat_follower: Follower) -> None:
    def handler(message: Message) -> Any:
        assert connection.in_atomic_block
        return answer_later(later_name, ids=[])

    on_message()(handler)
    started = time.monotonic()

    assert wechat_follower.writes("hello").custom_messages
    assert time.monotonic() - started < 3


def test_process__forgets_accounts_and_messages_before_each_test(wechat_follower: Follower, settings: Any) -> None:
    on_message()(lambda message: message.authorizer.nick_name)
    wechat_follower.writes("hello")
    Authorizer.objects.update(state=Authorizer.State.UNAUTHORIZED)
    assert wechat_follower.writes("hello").reply == Text("测试账号")

    messaging.forget()
    cache.clear()

    assert wechat_follower.writes("hello").reply is None


def test_accounts__have_what_was_asked_for(
    make_wechat_account: Callable[..., Authorizer], wechat_simulator: Simulator
) -> None:
    account = make_wechat_account("mini", appid="wx0a1b2c3d4e5f6071", nick_name="Corner Shop", func_info=[1])

    assert (account.kind, account.appid, account.nick_name, account.func_info) == (
        Authorizer.Kind.MINI,
        "wx0a1b2c3d4e5f6071",
        "Corner Shop",
        [1],
    )
    assert wechat_simulator.engine.account(account.appid).nick_name == "Corner Shop"


def test_account_of_the_simulators__is_authorized_as_it_is(make_wechat_account: Callable[..., Authorizer]) -> None:
    assert make_wechat_account(appid=DEMO_OFFICIAL).nick_name == "山茶书店"


def test_account_of_another_kind_than_the_simulators__is_refused(
    make_wechat_account: Callable[..., Authorizer], wechat_simulator: Simulator
) -> None:
    official = wechat_simulator.engine.add_account("Shop", "official")

    with pytest.raises(ValueError, match="is an official account"):
        make_wechat_account("mini", appid=official.appid)
    make_wechat_account("mini", appid="wx0a1b2c3d4e5f6071")
    with pytest.raises(ValueError, match="is a mini program"):
        make_wechat_account(appid="wx0a1b2c3d4e5f6071")


def test_tokens__work_and_can_be_taken_away(wechat_account: Authorizer, wechat_simulator: Simulator) -> None:
    who = "/cgi-bin/account/getaccountbasicinfo"
    assert api.authorizer(wechat_account).get(who)["nickname"] == wechat_account.nick_name
    assert [listed.appid for listed in api.component().authorizer_list().authorizers] == [wechat_account.appid]

    wechat_simulator.engine.kill_access_token(wechat_account.appid)
    assert api.authorizer(wechat_account).get(who)["nickname"] == wechat_account.nick_name

    Authorizer.objects.update(state=Authorizer.State.UNAUTHORIZED)
    cache.clear()
    with pytest.raises(AuthorizerUnauthorized):
        api.authorizer(wechat_account).get(who)


class TestAnotherPlatform:
    @pytest.fixture
    def wechat_platform(self) -> str:
        return "second"

    def test_fixture_that_is_overridden__names_it(self, wechat_follower: Follower) -> None:
        heard = said_to(on_event)

        wechat_follower.does("subscribe")

        assert isinstance(heard[0], EventMessage)
        assert heard[0].component == "second"
        assert heard[0].authorizer.component.appid == "wx2222222222222222"


@pytest.mark.parametrize(
    ("kind", "field", "beginning"),
    [
        ("image", "MediaId", b"\x89PNG"),
        ("voice", "MediaId", b"#!AMR"),
        ("video", "MediaId", b"\x00\x00\x00\x18ftyp"),
        ("shortvideo", "MediaId", b"\x00\x00\x00\x18ftyp"),
        ("video", "ThumbMediaId", b"\x89PNG"),
        ("miniprogrampage", "ThumbMediaId", b"\x89PNG"),
    ],
)
def test_media_that_a_follower_sends__are_downloaded(
    make_wechat_account: Callable[..., Authorizer],
    make_wechat_follower: Callable[..., Follower],
    kind: str,
    field: str,
    beginning: bytes,
) -> None:
    account = make_wechat_account("mini" if kind == "miniprogrampage" else "official")
    heard = said_to()

    make_wechat_follower(account).sends(kind)

    content = api.authorizer(account).download("/cgi-bin/media/get", media_id=heard[0].fields[field])
    assert content.startswith(beginning)


def test_coroutine__calls_wechat_as_the_documentation_does(wechat_follower: Follower) -> None:
    @on_message("image")
    async def keep(message: ImageMessage) -> str:
        account = api.authorizer(message.authorizer)
        picture = await sync_to_async(account.download)("/cgi-bin/media/get", media_id=message.media_id)
        return f"Thank you for {len(picture)} bytes!"

    assert re.fullmatch(r"Thank you for \d+ bytes!", wechat_follower.sends("image").text)


def test_medium_that_the_test_names__stays(wechat_follower: Follower) -> None:
    heard = said_to()

    wechat_follower.sends("image", MediaId="my-own")

    assert heard[0].fields["MediaId"] == "my-own"

"""How pushes are answered, and in which order they are checked."""

from __future__ import annotations

import io
import json
import logging
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from celery import Celery, current_app
from django.conf import settings as site
from django.core.handlers.asgi import ASGIRequest
from django.db import OperationalError, connection, connections
from django.http import HttpRequest
from django.test import Client, RequestFactory
from django.urls import URLPattern, reverse

from tests import pushes
from tests.messaging.followers import shown
from tests.protocol.vectors import S1
from tests.pushes import ACCOUNT, EVENTS, MESSAGES, ORIGINAL_ID, event, message, post, push_request, ticket
from tests.redis_stand_in import StandIn
from wechat_open import broker, inbox, messaging, platforms, signals, urls
from wechat_open.messaging import Message, answer_later, deferred, on_message
from wechat_open.models import Authorizer, Push, VerifyTicket
from wechat_open.ports import Timing
from wechat_open.protocol import xml
from wechat_open.protocol.crypto import KeyPair
from wechat_open.protocol.envelope import MAX_BODY
from wechat_open.protocol.events import UnknownEvent
from wechat_open.stores.database_clock import DATABASE_CLOCK
from wechat_open.views import callbacks


@pytest.fixture
def account(db: None) -> Authorizer:
    """An account that receives messages."""
    return Authorizer.objects.create(component=platforms.get().row, appid=ACCOUNT, user_name=ORIGINAL_ID)


@pytest.fixture
def sent() -> Iterator[Callable[[], list[tuple[str, list[Any]]]]]:
    """The messages that went to Celery's broker."""
    current_app.control.purge()

    def read() -> list[tuple[str, list[Any]]]:
        tasks = []
        with current_app.connection_for_read() as connection, connection.SimpleQueue("celery") as queue:
            while queue.qsize():
                message = queue.get_nowait()
                message.ack()
                tasks.append((message.headers["task"], message.payload[0]))
        return tasks

    yield read
    current_app.control.purge()


@pytest.fixture
def no_cache(settings: Any) -> None:
    """A cache that raises at every touch."""
    settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.base.BaseCache"}}


# What is accepted


def test_ticket__is_stored_and_workers_are_woken(db: None, client: Client, sent: Callable[[], Any]) -> None:
    response = post(client, EVENTS, push_request(ticket()))

    assert (response.status_code, response.content) == (200, b"success")
    assert response["Content-Type"] == "text/plain"
    assert VerifyTicket.objects.get().reveal("ticket").reveal() == "ticket@@@demo-ticket-1"
    assert sent() == [("wechat_open.tasks.renew_due_tokens", []), ("wechat_open.tasks.watch_health", [])]


def test_event__is_recorded_and_a_worker_is_woken_for_it(db: None, client: Client, sent: Callable[[], Any]) -> None:
    response = post(client, EVENTS, push_request(event()))

    assert (response.status_code, response.content) == (200, b"success")
    assert sent() == [("wechat_open.tasks.process_push", [Push.objects.get().pk])]


def test_repeated_event__is_answered_with_success_and_recorded_once(db: None, client: Client) -> None:
    fields = event()
    post(client, EVENTS, push_request(fields))

    assert post(client, EVENTS, push_request(fields, nonce="another")).content == b"success"
    assert Push.objects.count() == 1


def test_event_of_an_unknown_type__is_kept(db: None, client: Client) -> None:
    assert post(client, EVENTS, push_request(event("notify_of_something_new"))).content == b"success"
    assert Push.objects.get().info_type == "notify_of_something_new"


def test_each_alias__takes_the_pushes_of_its_own_platform(db: None, client: Client) -> None:
    assert post(client, pushes.SECOND_EVENTS, push_request(ticket("second"), "second")).content == b"success"
    assert VerifyTicket.objects.get().component.appid == pushes.appid("second")


def test_message__is_answered(account: Authorizer, client: Client) -> None:
    response = post(client, MESSAGES, push_request(message()))

    assert (response.status_code, response.content, response["Content-Type"]) == (200, b"success", "text/plain")
    assert post(client, f"/wechat/messages/default/{ACCOUNT}/", push_request(message())).content == b"success"


def test_published_vector__is_accepted_as_it_stands(db: None, client: Client, settings: Any) -> None:
    """Its timestamp is years old."""
    credentials = {
        "APPID": S1.receiver_id,
        "APPSECRET": "secret",
        "TOKEN": S1.token,
        "ENCODING_AES_KEY": S1.encoding_aes_key,
    }
    settings.WECHAT_OPEN = {"COMPONENTS": {"default": credentials}}

    assert post(client, EVENTS, pushes.PushRequest(S1.query, S1.body)).content == b"success"
    assert VerifyTicket.objects.get().reveal("ticket").reveal() == "ticket@@@demo-ticket-1"


# What a follower gets


@deferred
def say_more(message: Message) -> None:
    """What a worker would do after the answer."""
    done.append(message.openid)


done: list[str] = []


@pytest.fixture
def after(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was done after an answer. There are no workers."""
    monkeypatch.setattr(current_app, "main", "default")
    done.clear()
    return done


def pushed(request: pushes.PushRequest) -> HttpRequest:
    return RequestFactory().generic("POST", MESSAGES, request.body, "text/xml", QUERY_STRING=request.query)


def test_reply__is_encrypted_xml(account: Authorizer, client: Client) -> None:
    on_message("text")(lambda message: f"you said {message.content}")
    response = post(client, MESSAGES, push_request(message()))

    assert (response.status_code, response["Content-Type"]) == (200, "application/xml")
    assert shown(response.content, pushes.pair(), pushes.appid())["Content"] == "you said hello"


def test_reply_to_json__is_encrypted_json(account: Authorizer, client: Client) -> None:
    on_message(lambda message: "hello")
    request = push_request(json.dumps(message()).encode())
    body = json.dumps({"ToUserName": ORIGINAL_ID, "Encrypt": xml.read(request.body)["Encrypt"]}).encode()
    response = post(client, MESSAGES, request.but(body=body))

    assert (response.status_code, response["Content-Type"]) == (200, "application/json")
    assert shown(response.content, pushes.pair(), pushes.appid())["Content"] == "hello"


def test_reply_under_the_previous_key__is_encrypted_with_it(account: Authorizer, client: Client, settings: Any) -> None:
    old = {"TOKEN": "previous-token", "ENCODING_AES_KEY": "0" * 43}
    credentials = site.WECHAT_OPEN["COMPONENTS"]["default"] | {"PREVIOUS_KEYS": [old]}
    settings.WECHAT_OPEN = {"COMPONENTS": {"default": credentials}}
    on_message(lambda message: "hello")
    pair = KeyPair.from_console(*old.values())
    response = post(client, MESSAGES, push_request(message(), with_pair=pair))

    assert shown(response.content, pair, pushes.appid())["Content"] == "hello"


def test_release_check__gets_an_empty_body(db: None, client: Client) -> None:
    fields = message(ToUserName="gh_3c884a361561", Content="QUERY_AUTH_CODE:queryauthcode@@@c")
    request = pushed(push_request(fields))
    response = callbacks.messages(request, "wx570bc396a51b8ff8")

    assert (response.status_code, response.content, response["Content-Type"]) == (200, b"", "text/plain")


def test_remaining_work__is_done_once_wechat_has_the_answer(account: Authorizer, after: list[str]) -> None:
    on_message(lambda message: answer_later(say_more))
    response = callbacks.messages(pushed(push_request(message())), ACCOUNT)

    assert response.content == b"success"
    assert after == []
    response.close()
    response.close()
    assert after == [message()["FromUserName"]]


def test_server__closes_the_answer(account: Authorizer, client: Client, after: list[str]) -> None:
    on_message(lambda message: answer_later(say_more))
    post(client, MESSAGES, push_request(message()))

    assert len(after) == 1


def test_repeat_while_the_first_is_handled__is_requested_again(
    account: Authorizer, client: Client, settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    settings.WECHAT_OPEN = site.WECHAT_OPEN | {"REPLY_WITHIN": 0.1}
    request = push_request(message(Content="canary"))
    repeats = []

    @on_message
    def slow(message: Message) -> str:
        repeats.append(post(client, MESSAGES, request))
        return "hello"

    first = post(client, MESSAGES, request)

    [repeat] = repeats
    assert (repeat.status_code, repeat.content, repeat["Content-Type"]) == (503, b"unavailable", "text/plain")
    assert "A message of platform 'default' is not answered yet" in caplog.text
    assert "canary" not in caplog.text
    assert first.status_code == 200
    assert post(client, MESSAGES, request).content == first.content


def test_message_beyond_the_threads__is_requested_again(
    transactional_db: None, account: Authorizer, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_message(lambda message: "hello")
    request = push_request(message())
    monkeypatch.setattr(messaging.deadlines, "MAX_THREADS", 0)
    monkeypatch.setattr(messaging.deadlines, "_idle", [])
    response = post(client, MESSAGES, request)
    assert (response.status_code, response.content) == (503, b"unavailable")

    monkeypatch.undo()
    assert post(client, MESSAGES, request).status_code == 200


def test_handler_that_fails__is_answered_with_success(account: Authorizer, client: Client) -> None:
    on_message(lambda message: 1 / 0)
    response = post(client, MESSAGES, push_request(message()))

    assert (response.status_code, response.content, response["Content-Type"]) == (200, b"success", "text/plain")


# In which order


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"])
@pytest.mark.parametrize("path", [EVENTS, MESSAGES])
def test_any_other_method__is_refused_first(client: Client, path: str, method: str) -> None:
    request = push_request(event())
    response = client.generic(method, path, b"x" * (MAX_BODY + 1), QUERY_STRING=request.query)

    assert (response.status_code, response["Allow"]) == (405, "POST")


def test_echostr__is_not_echoed(client: Client) -> None:
    """No verification by GET is documented for a platform's URLs; an echo service helps only others."""
    assert b"4375" not in client.get(EVENTS, {"echostr": "4375"}).content


def test_announced_size__is_refused_before_anything_is_read(client: Client) -> None:
    class Unread(io.BytesIO):
        def read(self, *_: Any) -> bytes:
            raise AssertionError("the body was read")

    extra = {"wsgi.input": Unread(), "CONTENT_LENGTH": str(MAX_BODY + 1)}
    assert post(client, EVENTS, pushes.PushRequest("", b""), **extra).status_code == 413


def test_chunked_body__is_read_no_further_than_the_cap(no_cache: None) -> None:
    stream = io.BytesIO(b"x" * 1_000_000)
    query = push_request(event()).query.encode()
    request = ASGIRequest({"method": "POST", "path": EVENTS, "query_string": query, "headers": []}, stream)

    assert callbacks.events(request).status_code == 413
    assert stream.tell() <= MAX_BODY + 1


@pytest.mark.parametrize("query", ["", "a=b", "timestamp=1&nonce=2&msg_signature=3", "x" * 100_000, "&" * 60_000])
def test_body_behind_a_bad_query__is_not_read(no_cache: None, query: str) -> None:
    stream = io.BytesIO(b"x" * 1000)
    request = ASGIRequest({"method": "POST", "path": EVENTS, "query_string": query.encode(), "headers": []}, stream)

    assert callbacks.events(request).status_code == 403
    assert stream.tell() == 0


@pytest.mark.parametrize("announced", ["abc", "-1", "1e3", "0x10", "１２", "9" * 5000, "12 ", "1_0"])
def test_content_length_that_is_no_number__is_refused(client: Client, announced: str) -> None:
    assert post(client, EVENTS, push_request(ticket()), CONTENT_LENGTH=announced).status_code == 403


def test_connection_that_breaks__is_refused(client: Client) -> None:
    class Broken(io.BytesIO):
        def read(self, *_: Any) -> bytes:
            raise ConnectionResetError

    extra = {"wsgi.input": Broken(), "CONTENT_LENGTH": "100"}
    assert post(client, EVENTS, push_request(event()), **extra).status_code == 403


@pytest.mark.parametrize("path", [EVENTS, MESSAGES])
def test_nothing_is_read_before_the_signature_is_checked(client: Client, no_cache: None, path: str) -> None:
    """No ``db`` fixture: a query would fail this test, and so would the cache."""
    forged = push_request(event(), with_pair=pushes.pair("second"))

    assert post(client, path, forged).status_code == 403


@pytest.mark.parametrize(
    "path", ["/wechat/events/unknown/", f"/wechat/messages/unknown/{ACCOUNT}/", "/wechat/events/a%00b/"]
)
def test_unknown_platform__is_not_found_without_a_query(client: Client, no_cache: None, path: str) -> None:
    assert post(client, path, push_request(event())).status_code == 404


def test_refusals__look_alike(db: None, client: Client, caplog: pytest.LogCaptureFixture) -> None:
    """The reason is in the log, for the operator."""
    caplog.set_level(logging.INFO, "wechat_open")
    good = push_request(event())
    refused = [
        post(client, EVENTS, good.but(query="")),
        post(client, EVENTS, good.but(body=b"<xml></xml>")),
        post(client, EVENTS, good.but(query=good.query[:-1] + ("0" if good.query[-1] != "0" else "1"))),
        post(client, EVENTS, push_request(event(), receiver="wx0000000000000000")),
        post(client, EVENTS, push_request(event(AppId="wx0000000000000000"))),
        post(client, EVENTS, push_request(event(), timestamp="1413192606")),
    ]

    assert len({(answer.status_code, answer.content, str(sorted(answer.items()))) for answer in refused}) == 1
    assert refused[0].status_code == 403
    said = [record.getMessage().rpartition(": ")[2] for record in caplog.records if record.name.startswith("wechat")]
    assert said == ["query", "envelope", "signature", "receiver", "appid", "stale"]


# The window


@pytest.mark.parametrize("offset", [-660, 660, -86400, 10**8])
def test_stale_event__is_refused(db: None, client: Client, offset: int) -> None:
    assert post(client, EVENTS, push_request(event(), timestamp=str(int(time.time()) + offset))).status_code == 403
    assert not Push.objects.exists()


@pytest.mark.parametrize("offset", [-540, 540])
def test_event_within_the_window__is_taken(db: None, client: Client, offset: int) -> None:
    assert post(client, EVENTS, push_request(event(), timestamp=str(int(time.time()) + offset))).content == b"success"


def test_window__is_a_setting(db: None, client: Client, settings: Any) -> None:
    settings.WECHAT_OPEN = site.WECHAT_OPEN | {"PUSH_WINDOW": 100_000}
    assert post(client, EVENTS, push_request(event(), timestamp=str(int(time.time()) - 90_000))).content == b"success"


def test_stale_message__is_refused(account: Authorizer, client: Client) -> None:
    assert post(client, MESSAGES, push_request(message(), timestamp="1413192606")).status_code == 403


@pytest.mark.parametrize("wrong_by", [3600, -3600])
@pytest.mark.parametrize("when", ["from the beginning", "after a message"])
@pytest.mark.fault("F39")
def test_host_whose_clock_is_wrong__takes_new_messages_and_refuses_old_ones(
    account: Authorizer, client: Client, monkeypatch: pytest.MonkeyPatch, wrong_by: int, when: str
) -> None:
    really = time.time
    if when == "after a message":
        assert post(client, MESSAGES, push_request(message())).content == b"success"
    new = push_request(message(MsgId="1"))
    old = push_request(message(MsgId="2"), timestamp=str(int(really()) + wrong_by))
    monkeypatch.setattr(time, "time", lambda: really() + wrong_by)
    monkeypatch.setattr(DATABASE_CLOCK, "_timing", Timing(wall=time.time))

    assert post(client, MESSAGES, new).content == b"success"
    assert post(client, MESSAGES, old).status_code == 403


@pytest.mark.parametrize("pushed", [ticket(), event()], ids=["ticket", "event"])
@pytest.mark.fault("F17")
def test_broker_that_hangs__costs_a_second_and_loses_nothing(db: None, client: Client, pushed: dict[str, str]) -> None:
    redis = StandIn()
    redis.silent = True
    broker.forget()
    Celery("silent", broker=redis.url.partition("?")[0])  # is the current one from now on
    request = push_request(pushed)
    began = time.monotonic()
    response = post(client, EVENTS, request)
    took = time.monotonic() - began
    broker.forget()
    redis.stop()

    assert (response.status_code, response.content) == (200, b"success")
    assert took < 1.3
    assert VerifyTicket.objects.count() + Push.objects.count() == 1


def test_stale_ticket__is_taken(db: None, client: Client) -> None:
    """Or a wrong clock of ours would end the platform within twelve hours."""
    assert post(client, EVENTS, push_request(ticket(), timestamp="1413192606")).content == b"success"


# For whom


def test_message__is_refused_under_the_path_of_another_account(account: Authorizer, client: Client) -> None:
    """The path is not signed; ToUserName is."""
    Authorizer.objects.create(component=account.component, appid="wx0000000000000001", user_name="gh_other")

    assert post(client, "/wechat/messages/wx0000000000000001/", push_request(message())).status_code == 403
    assert post(client, "/wechat/messages/wxunknown/", push_request(message())).status_code == 403


def test_message__is_refused_by_the_events_url_and_the_other_way_round(account: Authorizer, client: Client) -> None:
    assert post(client, EVENTS, push_request(message())).status_code == 403
    assert post(client, MESSAGES, push_request(event())).status_code == 403


def test_push_for_one_platform__is_refused_by_another(db: None, client: Client) -> None:
    assert post(client, pushes.SECOND_EVENTS, push_request(event())).status_code == 403


# What WeChat signed


@pytest.mark.parametrize("character", ["\x00", "\ud800", "\x02", "\uffff"])
def test_text_that_no_database_stores__is_taken_without_it(account: Authorizer, client: Client, character: str) -> None:
    """XML cannot hold such characters, JSON can."""
    tasks: list[Any] = []
    on_message(tasks.append)
    said = json.dumps(message(Content=f"a{character}b")).encode()
    pushed = json.dumps(event("something_new", Extra=f"a{character}b")).encode()

    assert post(client, MESSAGES, push_request(said)).content == b"success"
    assert [taken.content for taken in tasks] == ["ab"]
    assert post(client, EVENTS, push_request(pushed)).content == b"success"
    assert Push.objects.get().state == Push.State.RECEIVED
    assert inbox.process_due() == 1


@pytest.mark.parametrize(
    "plain",
    [
        b"",
        b"no xml at all",
        b"<xml><AppId>",
        b"<!DOCTYPE xml><xml><A>1</A></xml>",
        b"{",
        b"[]",
        b"\xff\xfe\x00",
        b"<a>" * 500,
        b"<xml><AppId>wx1111111111111111</AppId><InfoType>unauthorized</InfoType></xml>",
        b"<xml><CreateTime>1413192605</CreateTime><InfoType>unauthorized</InfoType></xml>",
    ],
    ids=repr,
)
def test_push_that_cannot_be_read__is_answered_with_success(
    account: Authorizer, client: Client, caplog: pytest.LogCaptureFixture, plain: bytes
) -> None:
    """WeChat would send the same again, and lose it. An event is kept as a row to look at, a message never is."""
    assert post(client, EVENTS, push_request(plain)).content == b"success"
    assert post(client, EVENTS, push_request(plain)).content == b"success"
    [push] = Push.objects.all()
    assert push.state == Push.State.ABANDONED
    assert push.error.startswith("It cannot be read")
    assert "kept in the inbox" in caplog.text
    assert inbox.process_due() == 0

    if b"InfoType" not in plain:
        assert post(client, MESSAGES, push_request(plain)).content == b"success"
        assert "could not be read" in caplog.text
    assert Push.objects.count() == 1
    account.refresh_from_db()
    assert account.state == Authorizer.State.AUTHORIZED


def test_unreadable_push_that_is_replayed__stays_as_it_is(db: None, client: Client) -> None:
    post(client, EVENTS, push_request(b"no xml at all"))
    push = Push.objects.get()

    assert not inbox.replay(push)
    push.refresh_from_db()
    assert push.state == Push.State.ABANDONED
    assert push.reveal("payload").reveal() == "no xml at all"


def test_stale_push_that_cannot_be_read__is_refused(db: None, client: Client) -> None:
    assert post(client, EVENTS, push_request(b"no xml at all", timestamp="1413192606")).status_code == 403


def test_push_without_a_type__is_kept_as_unknown(db: None, client: Client) -> None:
    tasks: list[Any] = []
    signals.push_received.connect(lambda event, **_: tasks.append(event), weak=False, dispatch_uid="unknown")
    try:
        push = {name: value for name, value in event("x", Extra="1").items() if name != "InfoType"}
        assert post(client, EVENTS, push_request(push)).content == b"success"
        assert inbox.process_due() == 1
    finally:
        signals.push_received.disconnect(dispatch_uid="unknown")

    assert Push.objects.get().info_type == "unknown"
    assert [(type(event), event.fields["Extra"]) for event in tasks] == [(UnknownEvent, "1")]


@pytest.mark.parametrize(
    "changes",
    [
        {"AppId": None},
        {"CreateTime": None},
        {"CreateTime": "1413192605000"},
        {"AppId": None, "CreateTime": None, "appid": pushes.appid(), "createtime": "now"},
        {"AppId": None, "app_id": pushes.appid()},
    ],
    ids=["no AppId", "no CreateTime", "CreateTime in milliseconds", "small letters", "app_id"],
)
@pytest.mark.parametrize("format", ["xml", "json"])
def test_push_that_leaves_out_what_is_common_to_all__is_processed(
    account: Authorizer, client: Client, changes: dict[str, Any], format: str
) -> None:
    sent = {name: value for name, value in {**event("unauthorized"), **changes}.items() if value is not None}
    sent = {name: pushes.now() if value == "now" else value for name, value in sent.items()}
    plain = json.dumps(sent).encode() if format == "json" else xml.write(sent)

    assert post(client, EVENTS, push_request(plain)).content == b"success"
    push = Push.objects.get()
    assert (push.state, push.authorizer_appid) == (Push.State.RECEIVED, ACCOUNT)
    assert abs(push.created_at.timestamp() - time.time()) < 60
    assert inbox.process_due() == 1


def test_ticket_without_a_time__is_of_the_time_at_which_it_was_pushed(db: None, client: Client) -> None:
    sent = {name: value for name, value in ticket().items() if name != "CreateTime"}

    assert post(client, EVENTS, push_request(sent)).content == b"success"
    assert abs(VerifyTicket.objects.get().created_at.timestamp() - time.time()) < 60


# The address as the console has it


@pytest.mark.parametrize("append_slash", [True, False])
@pytest.mark.parametrize("debug", [True, False])
@pytest.mark.parametrize("first", [[], ["wechat_open.middleware.CallbackMiddleware"]], ids=["", "middleware"])
@pytest.mark.parametrize(
    "path",
    [
        "/wechat/events",
        "/wechat/events/default",
        f"/wechat/messages/{ACCOUNT}",
        f"/wechat/messages/default/{ACCOUNT}",
    ],
)
def test_address_without_its_last_slash__is_taken(
    account: Authorizer, client: Client, settings: Any, path: str, first: list[str], debug: bool, append_slash: bool
) -> None:
    settings.APPEND_SLASH, settings.DEBUG = append_slash, debug
    settings.MIDDLEWARE = [*first, *settings.MIDDLEWARE]
    push = ticket() if "events" in path else message()

    for address in (path, f"{path}/"):
        assert post(client, address, push_request(push)).content == b"success"


def test_address_that_is_shown__has_its_last_slash() -> None:
    assert reverse("wechat_open:events") == EVENTS
    assert reverse("wechat_open:messages", args=["wx1"]) == "/wechat/messages/wx1/"
    assert reverse("wechat_open:events", kwargs={"alias": "second"}) == pushes.SECOND_EVENTS
    named = {"alias": "second", "authorizer_appid": "wx1"}
    assert reverse("wechat_open:messages", kwargs=named) == "/wechat/messages/second/wx1/"


# When we are not well


@pytest.mark.fault("F20")
def test_dead_database__is_never_answered_with_success(
    account: Authorizer, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    def down(*_: Any) -> Any:
        raise OperationalError("no connection")

    with connection.execute_wrapper(down):
        answers = [
            post(client, EVENTS, push_request(ticket())),
            post(client, EVENTS, push_request(event())),
            post(client, MESSAGES, push_request(message())),
        ]

    assert [answer.status_code for answer in answers] == [503, 503, 503]
    assert not any(b"success" in answer.content for answer in answers)
    assert "ticket@@@" not in caplog.text


def test_wrong_setting__is_unavailable_and_logged_by_name(
    client: Client, settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    request = push_request(ticket())
    credentials = site.WECHAT_OPEN["COMPONENTS"]["default"] | {"ENCODING_AES_KEY": "too short"}
    settings.WECHAT_OPEN = {"COMPONENTS": {"default": credentials}}

    assert post(client, EVENTS, request).status_code == 503
    assert "ENCODING_AES_KEY must be exactly 43 characters" in caplog.text


# What the callbacks are exempt from


def test_exactly_the_two_callbacks_are_csrf_exempt() -> None:
    exempt = {pattern.name for pattern in _patterns() if getattr(pattern.callback, "csrf_exempt", False)}
    assert exempt == {"events", "messages"}


def test_callbacks__need_no_csrf_token_and_no_login(account: Authorizer, settings: Any) -> None:
    settings.MIDDLEWARE = [*site.MIDDLEWARE, "django.contrib.auth.middleware.LoginRequiredMiddleware"]
    strict = Client(enforce_csrf_checks=True)

    assert post(strict, EVENTS, push_request(ticket())).content == b"success"
    assert post(strict, MESSAGES, push_request(message())).content == b"success"


def test_success__is_never_answered_inside_a_transaction_of_the_request(
    transactional_db: None, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(connections["default"].settings_dict, "ATOMIC_REQUESTS", True)
    inside = []

    def listen(**_: Any) -> None:
        inside.append(connection.in_atomic_block)

    signals.push_received.connect(listen)
    try:
        assert post(client, EVENTS, push_request(ticket())).content == b"success"
    finally:
        signals.push_received.disconnect(listen)
    assert inside == [False]


def test_every_view__is_outside_the_transactions_of_requests_if_it_calls_wechat() -> None:
    left = {pattern.name for pattern in _patterns() if not hasattr(pattern.callback, "_non_atomic_requests")}
    assert left == {"health"}


def _patterns() -> Iterator[URLPattern]:
    for pattern in urls.urlpatterns:
        assert isinstance(pattern, URLPattern)
        yield pattern

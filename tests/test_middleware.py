"""Callbacks are answered as without the middleware, and other requests are unchanged."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from asgiref.sync import async_to_sync, iscoroutinefunction
from django.contrib.auth.models import User
from django.db import connection, connections
from django.http import HttpRequest, HttpResponse
from django.test import AsyncClient, Client
from django.urls import include, path
from django.utils.decorators import sync_and_async_middleware

from tests.messaging.followers import shown
from tests.pushes import (
    ACCOUNT,
    EVENTS,
    MESSAGES,
    ORIGINAL_ID,
    PushRequest,
    event,
    message,
    pair,
    post,
    push_request,
    ticket,
)
from tests.urls import urlpatterns as site_urls
from wechat_open import messaging, middleware, platforms
from wechat_open.messaging import Message, on_message
from wechat_open.models import Authorizer
from wechat_open.protocol.envelope import MAX_BODY

OURS = "wechat_open.middleware.CallbackMiddleware"
passed: list[str] = []


@sync_and_async_middleware
def rest(get_response: Any) -> Any:
    """Stands for the rest of the list: notes what comes as far as this."""
    if iscoroutinefunction(get_response):

        async def later(request: HttpRequest) -> Any:
            passed.append(request.path)
            return await get_response(request)

        return later

    def now(request: HttpRequest) -> Any:
        passed.append(request.path)
        return get_response(request)

    return now


def other(request: HttpRequest, **kwargs: str) -> HttpResponse:
    return HttpResponse("another view's")


def choose_urls(get_response: Any) -> Any:
    """A site's middleware that gives each host its own addresses, and has to stand before ours."""

    def choose(request: HttpRequest) -> Any:
        if request.headers.get("X-Site") == "other":
            request.urlconf = "tests.urls_elsewhere"
        return get_response(request)

    return choose


urlpatterns = [
    path("deep/down/<path:where>/messages/", other),
    path("deep/wechat/", include("wechat_open.urls")),
    *site_urls,
]


@pytest.fixture(autouse=True)
def _account(db: None) -> None:
    Authorizer.objects.create(component=platforms.get().row, appid=ACCOUNT, user_name=ORIGINAL_ID)


@pytest.fixture(autouse=True)
def _own_addresses() -> Iterator[None]:
    passed.clear()
    yield
    middleware._matches.clear()


@pytest.fixture
def usual(settings: Any) -> list[str]:
    """The list without ours."""
    settings.MIDDLEWARE = [f"{__name__}.rest", *settings.MIDDLEWARE]
    return list(settings.MIDDLEWARE)


@pytest.fixture
def first(settings: Any, usual: list[str]) -> None:
    settings.MIDDLEWARE = [OURS, *usual]


def shape(response: Any) -> tuple[Any, ...]:
    headers = {name: response.headers.get(name) for name in ("Content-Type", "Content-Length", "Allow")}
    return response.status_code, headers, response.content


def forged() -> PushRequest:
    return push_request(message()).but(query="signature=no&timestamp=1&nonce=2&msg_signature=no&encrypt_type=aes")


REQUESTS: dict[str, Callable[[], tuple[str, str, PushRequest]]] = {
    "message": lambda: ("POST", MESSAGES, push_request(message())),
    "message to an alias": lambda: ("POST", f"/wechat/messages/default/{ACCOUNT}/", push_request(message())),
    "message without a handler": lambda: ("POST", MESSAGES, push_request(message(MsgType="image"))),
    "event": lambda: ("POST", EVENTS, push_request(event())),
    "ticket": lambda: ("POST", EVENTS, push_request(ticket())),
    "forged": lambda: ("POST", MESSAGES, forged()),
    "of an unknown platform": lambda: ("POST", "/wechat/events/unknown/", push_request(ticket())),
    "too large": lambda: ("POST", EVENTS, push_request(ticket()).but(body=b"x" * (MAX_BODY + 1))),
    "asked, not posted": lambda: ("GET", EVENTS, push_request(ticket())),
    "no address of ours": lambda: ("POST", "/wechat/messages/", push_request(message())),
    "without the slash": lambda: ("POST", MESSAGES.rstrip("/"), push_request(message())),
}


@pytest.mark.parametrize("kind", REQUESTS)
def test_answer__is_the_same_with_and_without(usual: list[str], settings: Any, client: Client, kind: str) -> None:
    @on_message("text")
    def answer(message: Message) -> str:
        return "hello, too"

    settings.DEBUG = False
    method, address, request = REQUESTS[kind]()

    def send() -> tuple[Any, ...]:
        return shape(client.generic(method, address, request.body, "text/xml", QUERY_STRING=request.query))

    without = send()
    settings.MIDDLEWARE = [OURS, *usual]
    assert send() == without  # a repeated message is answered with the bytes of the first


def test_message__is_handled_and_passes_nothing_else(first: None, client: Client) -> None:
    @on_message("text")
    def answer(message: Message) -> str:
        return "hello, too"

    response = post(client, MESSAGES, push_request(message()))

    assert shown(response.content, pair(), platforms.get().appid)["Content"] == "hello, too"
    assert response.headers["Content-Length"] == str(len(response.content))
    assert response.resolver_match.view_name == "wechat_open:messages"
    assert passed == []


def test_event__passes_nothing_else(first: None, client: Client) -> None:
    assert post(client, EVENTS, push_request(ticket())).content == b"success"
    assert passed == []


@pytest.mark.parametrize(
    ("method", "address"),
    [("GET", EVENTS), ("POST", "/wechat/authorize/"), ("POST", "/wechat/messages/"), ("POST", "/admin/events/")],
)
def test_everything_else__goes_on(first: None, client: Client, method: str, address: str) -> None:
    client.generic(method, address)
    assert passed == [address]


def test_person__has_a_session_as_ever(first: None, client: Client) -> None:
    User.objects.create_superuser("anna", password="secret")
    assert client.post("/admin/login/", {"username": "anna", "password": "secret"}).status_code == 302
    assert client.get("/admin/").status_code == 200


def test_addresses_of_the_site__may_be_any(first: None, client: Client, settings: Any) -> None:
    settings.ROOT_URLCONF = __name__

    assert post(client, MESSAGES.replace("/wechat/", "/deep/wechat/"), push_request(message())).content == b"success"
    assert post(client, MESSAGES, push_request(message())).content == b"success"
    assert passed == []
    assert post(client, "/deep/down/events/messages/", push_request(message())).content == b"another view's"
    assert passed == ["/deep/down/events/messages/"]


def test_addresses_that_an_earlier_middleware_chose__hold(usual: list[str], client: Client, settings: Any) -> None:
    settings.MIDDLEWARE = [f"{__name__}.choose_urls", OURS, *usual]
    request = push_request(message())

    assert post(client, MESSAGES, request).content == b"success"
    with pytest.raises(ModuleNotFoundError, match="urls_elsewhere"):
        client.generic("POST", MESSAGES, request.body, QUERY_STRING=request.query, headers={"X-Site": "other"})


def test_addresses__are_found_once_and_not_remembered_for_ever(
    first: None, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(middleware, "MAX_REMEMBERED", 3)
    for number in range(10):
        path = f"/wechat/messages/wx{number}/"
        Authorizer.objects.create(component=platforms.get().row, appid=f"wx{number}", user_name=f"gh_{number}")
        for _ in range(2):
            assert post(client, path, push_request(message(ToUserName=f"gh_{number}"))).status_code == 200
        assert path in {known for _, known in middleware._matches}
        assert len(middleware._matches) <= 3
    assert passed == []


def test_addresses_of_strangers__are_not_remembered(first: None, client: Client) -> None:
    for number in range(10):
        assert post(client, f"/wechat/messages/wx{number}/", forged()).status_code == 403

    assert not middleware._matches
    assert passed == []


def test_host_that_is_not_ours__is_refused(first: None, client: Client, settings: Any) -> None:
    settings.ALLOWED_HOSTS = ["platform.example.com"]
    settings.DEBUG = False
    request = push_request(message())

    def status(host: str) -> int:
        answer = client.generic("POST", MESSAGES, request.body, QUERY_STRING=request.query, headers={"Host": host})
        return int(answer.status_code)

    assert (status("elsewhere.example.com"), status("platform.example.com")) == (400, 200)


def test_what_fails__is_an_error_of_the_site(first: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(messaging, "receive", fail)
    assert post(Client(raise_request_exception=False), MESSAGES, push_request(message())).status_code == 500
    with pytest.raises(RuntimeError, match="a bug"):
        post(Client(), MESSAGES, push_request(message()))


def test_wechat__has_no_token_of_a_form(first: None) -> None:
    assert post(Client(enforce_csrf_checks=True), EVENTS, push_request(ticket())).content == b"success"


def test_what_is_to_be_done_afterwards__is_done(first: None, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    monkeypatch.setattr(messaging, "receive", lambda *_: messaging.Outcome(after=lambda: done.append("done")))

    assert post(client, MESSAGES, push_request(message())).content == b"success"
    assert done == ["done"]


def ask_later(address: str, request: PushRequest) -> Any:
    async def send() -> Any:
        # Its own way to make a request: a query cannot be given beside the body.
        return await AsyncClient().generic("POST", f"{address}?{request.query}", request.body, "text/xml")

    return async_to_sync(send)()


def test_asynchronous_site__is_served_too(first: None) -> None:
    @on_message("text")
    def answer(message: Message) -> str:
        return "hello, too"

    response = ask_later(MESSAGES, push_request(message()))
    assert shown(response.content, pair(), platforms.get().appid)["Content"] == "hello, too"
    assert passed == []

    assert ask_later("/admin/login/", push_request(message())).status_code == 200
    assert passed == ["/admin/login/"]


def test_asynchronous_site__has_its_errors(first: None, settings: Any) -> None:
    settings.ALLOWED_HOSTS = ["platform.example.com"]
    settings.DEBUG = False
    assert ask_later(MESSAGES, push_request(message())).status_code == 400


@pytest.mark.django_db(transaction=True)
def test_success__is_never_answered_inside_a_transaction_of_the_request(
    first: None, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(connections["default"].settings_dict, "ATOMIC_REQUESTS", True)
    inside = []

    def receive(*_: object) -> messaging.Outcome:
        inside.append(connection.in_atomic_block)
        return messaging.Outcome()

    monkeypatch.setattr(messaging, "receive", receive)
    assert post(client, MESSAGES, push_request(message())).content == b"success"
    assert inside == [False]

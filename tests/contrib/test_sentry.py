"""Sentry's SDK sends no secret, with every integration that it enables by itself."""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

import pytest
import requests
import sentry_sdk
import urllib3
from django.http import HttpRequest, HttpResponse
from django.test import Client
from django.urls import clear_script_prefix, include, path, set_script_prefix
from sentry_sdk.transport import Transport

from tests.integration.test_canary import MARK, disguises
from tests.pushes import push_request
from wechat_open import api, platforms
from wechat_open.contrib import sentry
from wechat_open.exceptions import Unreachable
from wechat_open.models import Authorizer
from wechat_open.simulator import Simulator

SECRET = f"{MARK}0123456789abcdef"
TOKEN = f"97_{MARK}abcdefghijklmnopqrstuvwxyz0123456789"


def stumble(request: HttpRequest) -> HttpResponse:
    """A view of the site that fails after a call, with secrets in its variables."""
    data = {"component_appsecret": SECRET, "authorizer_refresh_token": f"refreshtoken@@@{MARK}"}  # noqa: F841
    address = f"https://api.weixin.qq.com/cgi-bin/user/get?access_token={TOKEN}&next_openid="  # noqa: F841
    body = json.dumps({"component_verify_ticket": f"ticket@@@{MARK}"})  # noqa: F841
    raise ValueError(f"no answer from https://api.weixin.qq.com/x?access_token={TOKEN}")


urlpatterns = [path("stumble/", stumble), path("wechat/", include("wechat_open.urls"))]


class Envelopes(Transport):
    """What would be sent."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[bytes] = []

    def capture_envelope(self, envelope: Any) -> None:
        self.sent.append(envelope.serialize())

    def __str__(self) -> str:
        sentry_sdk.flush()
        return b"\n".join(self.sent).decode()


@pytest.fixture
def start() -> Iterator[Callable[..., Envelopes]]:
    begun: list[Any] = []

    def begin(**hooks: Any) -> Envelopes:
        envelopes = Envelopes()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of an option that newer versions call otherwise
            sentry_sdk.init(
                dsn="https://key@sentry.example.com/1",
                transport=envelopes,
                send_default_pii=True,
                traces_sample_rate=1.0,
                enable_logs=True,
                max_request_body_size="always",
                max_value_length=100_000,
                **hooks,
            )
        begun.append(sentry_sdk.get_client())
        return envelopes

    yield begin
    for client in begun:
        client.close()  # or its thread goes on, and draws random numbers in tests of Hypothesis's
    sentry_sdk.get_global_scope().set_client(None)  # or what it has patched goes on, in tests of other things


@pytest.fixture
def wechat(settings: Any) -> Iterator[Simulator]:
    simulator = Simulator(
        ticket_pusher=False,
        appsecret=SECRET,
        token=f"{MARK}ConsoleToken0123456789",
        encoding_aes_key=f"{MARK}EncodingAesKey".ljust(43, "0"),
    )
    simulator.engine._mint = lambda size: MARK + "x" * size
    with simulator:
        settings.ROOT_URLCONF = __name__
        settings.WECHAT_OPEN = simulator.settings() | {"ENCRYPTION_KEYS": [f"{MARK}EncryptionKey".ljust(43, "A")]}
        yield simulator


def live(wechat: Simulator, client: Client) -> None:
    """Pushes, calls and failures of every kind that Sentry looks at."""
    client.raise_request_exception = False
    push = wechat.engine.new_ticket()
    request = push_request({name: str(value) for name, value in push.fields.items()})
    client.generic("POST", "/wechat/events/", request.body, "text/xml", QUERY_STRING=request.query)
    with sentry_sdk.start_transaction(name="a job"):
        api.component().create_preauthcode()
        appid = wechat.engine.add_account("Corner Shop", "official").appid
        account = Authorizer(component=platforms.get().row, appid=appid)
        account.save()
        url = f"{wechat.url}/cgi-bin/user/get?access_token={TOKEN}"
        requests.get(url, timeout=5)
        requests.post(url, json={"component_appsecret": SECRET}, timeout=5)
        urllib3.PoolManager().request("GET", url)
        logging.getLogger("site").error("asked %s", url)
        logging.getLogger("site").info("asked %s", url, extra={"access_token": TOKEN})
        for failing in (f"http://127.0.0.1:1/x?access_token={TOKEN}", f"http://127.0.0.1:1/?{SECRET}"):
            try:
                requests.get(failing, timeout=1)
            except requests.RequestException as error:
                sentry_sdk.capture_exception(error)
        sentry_sdk.capture_message(f"the ticket is ticket@@@{MARK}")
        wechat.faults.add("/cgi-bin/component/api_create_preauthcode", "status", 502)
        try:
            api.component().create_preauthcode()
        except Unreachable as error:
            sentry_sdk.capture_exception(error)
    client.cookies["wechat_open_browser"] = f"{MARK}browser"
    client.post(f"/stumble/?auth_code=queryauthcode@@@{MARK}&code={MARK}&state={MARK}", {"access_token": TOKEN})
    client.get(f"/wechat/authorized/{MARK}/?auth_code=queryauthcode@@@{MARK}")
    client.get(f"/wechat/authorize/link/{MARK}/")


def found(envelopes: Envelopes) -> list[str]:
    text = str(envelopes)
    places = [text.find(needle) for needle in disguises(MARK) if needle in text]
    return [text[max(0, place - 200) : place + 80] for place in places]


@pytest.mark.django_db
def test_without_hooks__secrets_are_sent(wechat: Simulator, client: Client, start: Callable[..., Envelopes]) -> None:
    """Proves that this test would notice one."""
    envelopes = start()
    live(wechat, client)
    assert f"access_token={TOKEN}" in str(envelopes)


@pytest.mark.django_db
def test_with_hooks__no_secret_is_sent(wechat: Simulator, client: Client, start: Callable[..., Envelopes]) -> None:
    envelopes = start(**sentry.hooks())
    live(wechat, client)
    assert found(envelopes) == []
    text = str(envelopes)
    # What helps to understand is still there.
    for kept in ("/cgi-bin/user/get", "access_token=[Filtered]", "no answer from", "Unreachable", '"spans"', "stumble"):
        assert kept in text


class Failing:
    """A middleware of the site."""

    def __init__(self, get_response: Any) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> Any:
        return self.get_response(request)

    def process_view(self, request: HttpRequest, view: Any, args: Any, kwargs: Any) -> None:
        raise ValueError("the site's middleware")


@pytest.mark.django_db
def test_middleware_that_fails_on_the_page_of_a_link__has_no_key_sent(
    wechat: Simulator, client: Client, start: Callable[..., Envelopes], settings: Any
) -> None:
    """The key is an argument of the view, in the variables of Django's own frames and of the middleware's."""
    envelopes = start(**sentry.hooks(), attach_stacktrace=True)
    settings.MIDDLEWARE = [f"{__name__}.Failing"]
    client.raise_request_exception = False
    key = "Zk9xQ1l3b2pYc3JtN2hWbkE0dUxwRzJlVzVqS1Jz-_8"
    address = f"/wechat/authorize/link/{key}/"
    client.get(address, headers={"Referer": f"https://site.example/login/?next={quote(address, safe='')}"})

    assert "the site's middleware" in str(envelopes)
    assert key not in str(envelopes)


def test_other_events__are_left_as_they_are() -> None:
    event = {
        "message": "Order 7 is paid",
        "extra": {"state": "authorized", "errcode": 40001, "tokens_left": 3, "code": 0, "items": [1, None, True]},
        "request": {"url": "https://shop.example.com/orders/?page=2&sort=code", "query_string": "page=2&sort=code"},
    }
    assert sentry.before_send(event, {}) == event


def test_strange_event__is_sent(settings: Any) -> None:
    settings.WECHAT_OPEN = None
    deep: dict[str, Any] = {}
    inner = deep
    for _level in range(200):
        inner["a"] = inner = {}
    event = {
        "exception": None,
        "request": {"url": "http://["},
        "threads": {"values": [{"stacktrace": None}]},
        "a": deep,
    }
    assert sentry.before_send(event, None)["request"] == {"url": "http://["}


@pytest.mark.parametrize("path", [f"authorized/{MARK}/", f"authorize/link/{MARK}/", "events/", "messages/wx1/"])
def test_request_to_our_views__is_sent_without_body_query_and_cookies(path: str) -> None:
    request = {
        "method": "POST",
        "url": f"https://shop.example.com/wechat/{path}?auth_code={MARK}",
        "query_string": f"msg_signature={MARK}&openid={MARK}",
        "data": f"<xml><Encrypt>{MARK}</Encrypt></xml>",
        "cookies": {"wechat_open_browser": MARK, "sessionid": MARK},
    }
    sent = sentry.before_send({"request": request, "transaction": f"/wechat/{path}"}, {})
    assert MARK not in repr(sent)
    assert sent["request"]["method"] == "POST"


def test_request_to_a_view_below_a_script_name__is_one_to_ours() -> None:
    request = {"url": "https://shop.example.com/shop/wechat/events/", "data": MARK}
    set_script_prefix("/shop/")
    try:
        assert MARK not in repr(sentry.before_send({"request": request}, {}))
    finally:
        clear_script_prefix()


def test_site_with_urls_that_fail__is_reported_without_bodies(settings: Any) -> None:
    """A hook that raises would have Sentry drop the event."""
    settings.ROOT_URLCONF = "no.such.module"
    sent = sentry.before_send({"message": "broken", "request": {"url": "/shop/", "data": MARK}}, {})
    assert sent["message"] == "broken" and MARK not in repr(sent)


def test_variables_of_our_frames__are_not_sent() -> None:
    frames = [
        {"module": "wechat_open.stores.tokens", "vars": {"text": repr(MARK), "number": "7"}},
        {"module": "shop.views", "vars": {"number": "7"}},
        {"module": None, "vars": {"number": "7"}},
    ]
    sent = sentry.before_send({"exception": {"values": [{"stacktrace": {"frames": frames}}]}}, {})
    assert MARK not in repr(sent)
    kept = [frame["vars"] for frame in sent["exception"]["values"][0]["stacktrace"]["frames"]]
    assert kept == [{"text": "[Filtered]", "number": "[Filtered]"}, {"number": "7"}, {"number": "7"}]


def test_streamed_span__is_scrubbed() -> None:
    span = {"name": "GET", "attributes": {"url.full": f"https://api.weixin.qq.com/x?access_token={TOKEN}"}}
    url = "https://api.weixin.qq.com/x?access_token=[Filtered]"
    assert sentry.before_send_span(span, {}) == {"name": "GET", "attributes": {"url.full": url}}

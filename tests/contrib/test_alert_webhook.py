"""An alert is posted in the form that the service accepts, and its address stays secret."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import logging
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests
import responses
from django.core.exceptions import ImproperlyConfigured
from responses import matchers

from tests.contrib.test_alert_mail import FACTS
from wechat_open.contrib import alert_webhook
from wechat_open.models import Alert
from wechat_open.secret import Secret
from wechat_open.signals import alert, announce

OURS = "https://monitor.example.com/hooks/canary-key"
WECOM = "https://qyapi.weixin.qq.com/cgi-bin/webhook/send"
DINGTALK = "https://oapi.dingtalk.com/robot/send"


@pytest.fixture
def connect() -> Iterator[Callable[[str], None]]:
    """As an AppConfig does, until the end of the test."""
    connected = []

    def do(url: str, **how: Any) -> None:
        alert_webhook.connect(url, **how)
        connected.append(url)

    yield do
    for url in connected:
        alert_webhook.disconnect(url)


@pytest.fixture
def web() -> Iterator[responses.RequestsMock]:
    with responses.RequestsMock() as mock:
        yield mock


def send_alert(**changes: Any) -> None:
    announce(alert, Alert, **{**FACTS, **changes})


def sent(web: responses.RequestsMock) -> Any:
    (call,) = web.calls
    return json.loads(call.request.body or "")


def test_any_service__gets_a_json_object(web: responses.RequestsMock, connect: Callable[[str], None]) -> None:
    web.post(OURS, status=204)
    connect(OURS)
    send_alert()

    assert sent(web) == {
        "code": "ticket_age",
        "severity": "critical",
        "platform": "default",
        "first_seen": "2026-11-26T09:30:00+08:00",
        "count": 12,
        "resolved": False,
        "message": "No ticket for 7 hours.",
        "hint": "Look at the console.",
        "value": 25200,
    }


@pytest.mark.parametrize(("url", "query"), [(WECOM, {"key": "canary-key"}), (DINGTALK, {"access_token": "canary-key"})])
def test_robot_of_a_group__gets_a_text(
    web: responses.RequestsMock, connect: Callable[[str], None], url: str, query: dict[str, str]
) -> None:
    web.post(url, json={"errcode": 0, "errmsg": "ok"}, match=[matchers.query_param_matcher(query)])
    (name, value) = next(iter(query.items()))
    connect(f"{url}?{name}={value}")
    send_alert()

    message = sent(web)
    assert message["msgtype"] == "text"
    assert message["text"]["content"].startswith(
        "[wechat_open] critical: ticket_age (default)\n\nNo ticket for 7 hours."
    )


FEISHU = "https://open.feishu.cn/open-apis/bot/v2/hook/canary-key"


@pytest.mark.parametrize("answer", [{"code": 0, "msg": "success"}, {"StatusCode": 0, "StatusMessage": "success"}])
@pytest.mark.parametrize("url", [FEISHU, FEISHU.replace("open.feishu.cn", "open.larksuite.com")])
def test_feishu__gets_a_text_of_its_own_form(
    web: responses.RequestsMock, connect: Callable[..., None], url: str, answer: dict[str, Any]
) -> None:
    web.post(url, json=answer)
    connect(url)
    send_alert()

    message = sent(web)
    assert message["msg_type"] == "text"
    assert message["content"]["text"].startswith("[wechat_open] critical: ticket_age (default)")
    assert "sign" not in message


def test_feishu__gets_a_signature_when_it_wants_one(web: responses.RequestsMock, connect: Callable[..., None]) -> None:
    web.post(FEISHU, json={"code": 0})
    connect(FEISHU, secret="canary-secret")
    send_alert()

    message = sent(web)
    key = f"{message['timestamp']}\ncanary-secret".encode()
    assert message["sign"] == base64.b64encode(hmac.new(key, digestmod=hashlib.sha256).digest()).decode()
    assert abs(int(message["timestamp"]) - time.time()) < 60


def test_feishus_signature__is_the_one_of_its_documentation() -> None:
    """Worked out once with openssl: an empty message under the key "1599360473<line end>demo"."""
    message = alert_webhook._for_feishu(FACTS, Secret("demo"), 1599360473)
    assert message["sign"] == "l1N0gAcBjdwBvGm1xMjOF0XSyaLRpR7tuO5dHfhAYc8="


def test_long_text__is_cut(web: responses.RequestsMock, connect: Callable[[str], None]) -> None:
    web.post(WECOM, json={"errcode": 0})
    connect(WECOM)
    send_alert(context={"message": "长" * 3000})

    assert len(sent(web)["text"]["content"].encode()) < 2048


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ({"json": {"errcode": 93000, "errmsg": "invalid webhook url"}}, "errcode 93000"),
        ({"json": {"code": 19021, "msg": "sign match fail or timestamp is not within one hour"}}, "code 19021"),
        ({"status": 404}, "HTTP 404"),
        ({"status": 302, "headers": {"Location": "https://evil.example.com"}}, "HTTP 302"),
        ({"body": requests.ConnectionError("https://…?key=canary-key refused")}, "ConnectionError"),
    ],
)
def test_failure__is_logged_without_the_address(
    web: responses.RequestsMock,
    connect: Callable[[str], None],
    caplog: pytest.LogCaptureFixture,
    answer: dict[str, Any],
    said: str,
) -> None:
    web.post(WECOM, **answer)
    connect(f"{WECOM}?key=canary-key")
    send_alert()

    assert said in caplog.text
    assert "canary-key" not in caplog.text
    assert len(web.calls) == 1


def test_urllib3__logs_no_key(connect: Callable[[str], None], caplog: pytest.LogCaptureFixture) -> None:
    connect(f"{WECOM}?key=canary-key")
    with caplog.at_level(logging.DEBUG):
        logging.getLogger("urllib3.connectionpool").debug("POST %s", "/cgi-bin/webhook/send?key=canary-key HTTP/1.1")

    assert "POST /cgi-bin/webhook/send?key=***" in caplog.text


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://monitor.example.com/canary-key", "begins with http://"),
        ("monitor.example.com/canary-key", "is not one such as https://"),
        ("file:///etc/canary-key", "is not one such as https://"),
        ("https:///canary-key", "is not one such as https://"),
        ("https://[canary-key", "is not one such as https://"),
    ],
)
def test_wrong_address__is_refused_with_what_to_do_and_without_the_address(url: str, said: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=r"ALERT_WEBHOOK") as raised:
        alert_webhook.connect(url)
    assert said in str(raised.value)
    assert "canary-key" not in str(raised.value)
    assert raised.value.__cause__ is None


@pytest.mark.parametrize("url", ["", None])
def test_no_address__is_off_and_logged_once(url: str | None, caplog: pytest.LogCaptureFixture) -> None:
    before = list(alert.receivers)
    with caplog.at_level(logging.INFO):
        alert_webhook.connect(url)
    (record,) = caplog.records
    assert (record.name, record.levelname) == (alert_webhook.__name__, "INFO")
    assert "posted nowhere" in record.getMessage()
    assert alert.receivers == before


def test_plain_http__is_accepted_on_request(web: responses.RequestsMock, connect: Callable[..., None]) -> None:
    web.post("http://alertmanager.internal:9093/hook", status=200)
    connect("http://alertmanager.internal:9093/hook", plain_http=True)
    send_alert()

    assert sent(web)["code"] == "ticket_age"


def test_plain_http__is_no_other_scheme() -> None:
    with pytest.raises(ImproperlyConfigured):
        alert_webhook.connect("ftp://monitor.example.com", plain_http=True)


def test_http__is_good_enough_while_debugging(
    web: responses.RequestsMock, connect: Callable[[str], None], settings: Any
) -> None:
    settings.DEBUG = True
    web.post("http://127.0.0.1:9000/", status=200)
    connect("http://127.0.0.1:9000/")
    send_alert()

    assert sent(web)["code"] == "ticket_age"


def test_several_addresses__get_each_alert_once(web: responses.RequestsMock, connect: Callable[[str], None]) -> None:
    for url in (WECOM, DINGTALK):
        web.post(url, json={"errcode": 0})
    for url in (WECOM, DINGTALK, WECOM):
        connect(url)
    send_alert()

    assert [call.request.url for call in web.calls] == [WECOM, DINGTALK]


def test_disconnecting_one__leaves_the_other(web: responses.RequestsMock, connect: Callable[[str], None]) -> None:
    web.post(DINGTALK, json={"errcode": 0})
    connect(WECOM)
    connect(DINGTALK)
    alert_webhook.disconnect(WECOM)
    send_alert()

    assert [call.request.url for call in web.calls] == [DINGTALK]


def test_address__is_not_to_be_seen_among_the_receivers(connect: Callable[[str], None]) -> None:
    connect(f"{WECOM}?key=canary-key")
    assert "canary-key" not in str(alert.receivers)

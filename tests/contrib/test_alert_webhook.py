"""Is an alert posted in the form that the other side takes, and its address told to nobody?"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import requests
import responses
from django.core.exceptions import ImproperlyConfigured
from responses import matchers

from tests.contrib.test_alert_mail import TOLD
from wechat_open.contrib import alert_webhook
from wechat_open.models import Alert
from wechat_open.signals import alert, announce

OURS = "https://monitor.example.com/hooks/canary-key"
WECOM = "https://qyapi.weixin.qq.com/cgi-bin/webhook/send"
DINGTALK = "https://oapi.dingtalk.com/robot/send"


@pytest.fixture(autouse=True)
def _disconnected() -> Iterator[None]:
    yield
    alert_webhook.disconnect()


@pytest.fixture
def web() -> Iterator[responses.RequestsMock]:
    with responses.RequestsMock() as mock:
        yield mock


def tell(**changes: Any) -> None:
    announce(alert, Alert, **{**TOLD, **changes})


def sent(web: responses.RequestsMock) -> Any:
    (call,) = web.calls
    return json.loads(call.request.body or "")


def test_any_service__gets_a_json_object(web: responses.RequestsMock) -> None:
    web.post(OURS, status=204)
    alert_webhook.connect(OURS)
    tell()

    assert sent(web) == {
        "code": "ticket_age",
        "severity": "critical",
        "platform": "default",
        "first_seen": "2026-11-26T01:30:00+00:00",
        "count": 12,
        "resolved": False,
        "said": "No ticket for 7 hours.",
        "remedy": "Look at the console.",
        "value": 25200,
    }


@pytest.mark.parametrize(("url", "query"), [(WECOM, {"key": "canary-key"}), (DINGTALK, {"access_token": "canary-key"})])
def test_robot_of_a_group__gets_a_text(web: responses.RequestsMock, url: str, query: dict[str, str]) -> None:
    web.post(url, json={"errcode": 0, "errmsg": "ok"}, match=[matchers.query_param_matcher(query)])
    (name, value) = next(iter(query.items()))
    alert_webhook.connect(f"{url}?{name}={value}")
    tell()

    message = sent(web)
    assert message["msgtype"] == "text"
    assert message["text"]["content"].startswith(
        "[wechat_open] critical: ticket_age (default)\n\nNo ticket for 7 hours."
    )


def test_long_text__is_cut(web: responses.RequestsMock) -> None:
    web.post(WECOM, json={"errcode": 0})
    alert_webhook.connect(WECOM)
    tell(context={"said": "长" * 3000})

    assert len(sent(web)["text"]["content"].encode()) < 2048


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ({"json": {"errcode": 93000, "errmsg": "invalid webhook url"}}, "errcode 93000"),
        ({"status": 404}, "HTTP 404"),
        ({"status": 302, "headers": {"Location": "https://evil.example.com"}}, "HTTP 302"),
        ({"body": requests.ConnectionError("https://…?key=canary-key refused")}, "ConnectionError"),
    ],
)
def test_failure__is_logged_without_the_address(
    web: responses.RequestsMock, caplog: pytest.LogCaptureFixture, answer: dict[str, Any], said: str
) -> None:
    web.post(WECOM, **answer)
    alert_webhook.connect(f"{WECOM}?key=canary-key")
    tell()

    assert said in caplog.text
    assert "canary-key" not in caplog.text
    assert len(web.calls) == 1


def test_urllib3__logs_no_key(caplog: pytest.LogCaptureFixture) -> None:
    alert_webhook.connect(f"{WECOM}?key=canary-key")
    with caplog.at_level(logging.DEBUG):
        logging.getLogger("urllib3.connectionpool").debug("POST %s", "/cgi-bin/webhook/send?key=canary-key HTTP/1.1")

    assert "POST /cgi-bin/webhook/send?key=***" in caplog.text


@pytest.mark.parametrize("url", ["http://monitor.example.com", "monitor.example.com", "file:///etc/passwd", ""])
def test_address__must_be_https(url: str) -> None:
    with pytest.raises(ImproperlyConfigured, match="https"):
        alert_webhook.connect(url)


def test_http__is_good_enough_while_debugging(web: responses.RequestsMock, settings: Any) -> None:
    settings.DEBUG = True
    web.post("http://127.0.0.1:9000/", status=200)
    alert_webhook.connect("http://127.0.0.1:9000/")
    tell()

    assert sent(web)["code"] == "ticket_age"

"""Secrets are removed from every kind of text, and other text is unchanged."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from typing import Any

import pytest

from wechat_open.contrib.scrubbing import FILTERED, LogFilter, scrubbed, scrubbed_text

CANARY = "c0ffeebadcab1e0d"


@pytest.mark.parametrize(
    "text",
    [
        f"https://api.weixin.qq.com/cgi-bin/user/get?access_token={CANARY}",
        f"/cgi-bin/user/get?a=1&component_access_token={CANARY}&b=2",
        f"https://api.weixin.qq.com/sns/jscode2session?js_code={CANARY}&secret={CANARY}",
        f"Max retries exceeded with url: /x?ACCESS_TOKEN={CANARY} (Caused by X)",
        f"https://site.example.com/wechat/authorized/{CANARY}/",
        f"https://site.example.com/wechat/authorize/link/{CANARY}/?lang=en",
        f"/back/?auth_code={CANARY}&expires_in=600",
        f"redirect_uri=https%3A%2F%2Fx%2F%3Fauth_code%3D{CANARY}%26a%3D1",
        f"?msg_signature={CANARY}&timestamp=1&nonce={CANARY}&signature={CANARY}",
        json.dumps({"component_appsecret": CANARY, "a": 1}),
        json.dumps({"outer": json.dumps({"authorizer_refresh_token": CANARY})}),
        json.dumps({"authorization_info": {"authorizer_access_token": CANARY, "expires_in": 7200}}),
        repr({"component_verify_ticket": CANARY}),
        repr({"body": json.dumps({"pre_auth_code": CANARY}).encode()}),
        repr([("access_token", CANARY), ("next_openid", "")]),
        json.dumps({"component_appsecret": CANARY})[:-4],
        f"KeyPair(token='{CANARY}', x=1)",
        f"<xml><ComponentVerifyTicket><![CDATA[{CANARY}]]></ComponentVerifyTicket></xml>",
        f"<xml><AppId>wx1</AppId><Encrypt><![CDATA[{CANARY}",
        f"refreshtoken@@@{CANARY}-x_y",
        f"got ticket@@@{CANARY}, twice",
        f"preauthcode%40%40%40{CANARY}",
        f"97_{CANARY}{CANARY}{CANARY}",
        f"Authorization: Bearer {CANARY}",
        f"https://x/login/?next=%2Fwechat%2Fauthorize%2Flink%2F{CANARY}%2F",
        f"redirect_uri=https%3A%2F%2Fx%2Fwechat%2Fauthorized%2F{CANARY}%2F&auth_type=3",
        f"next=%252Fwechat%252Fauthorize%252Flink%252F{CANARY}%252F",
        json.dumps({"url": f"/wechat/authorize/link/{CANARY}/"}).replace("/", "\\/"),
        f"https://open.feishu.cn/open-apis/bot/v2/hook/{CANARY}",
        f"ResolverMatch(func=x, args=(), kwargs={{'key': 'A-_{CANARY}{CANARY}wxyz5678'}})",
        f"authorize_link(request, key='A-_{CANARY}{CANARY}wxyz5678')",
    ],
)
def test_secret__is_taken_out(text: str) -> None:
    for form in (text, text.encode().decode(), f"before {text} after"):
        assert CANARY not in scrubbed_text(form)
        assert FILTERED in scrubbed_text(form)


@pytest.mark.parametrize(
    "text",
    [
        "WeChat answered 40001 invalid credential to /cgi-bin/user/get [rid 62f8d8d8-0e7aad2e-1b7dd3a8]",
        "errcode=40001, errmsg=invalid credential",
        '{"errcode": 0, "total": 23, "count": 10}',
        "SELECT id, code FROM shop_order WHERE state = 3",
        "https://shop.example.com/orders/?page=2&sort=name",
        "/wechat/authorized/",
        "the token is due at 12:00; a ticket was pushed",
        "def code(token): return token",
        "wx0a1b2c3d4e5f6071 gh_3c884a361561 oVoDH5rTnYJ0oQq7aVv1cCm2mBzE",
        "{'state': 'authorized', 'kind': 'official'}",
        "in test_return__stores_the_grant_and_goes_on_to_a_clean_address",
        "test_account__is_authorized_over_http_of_2s",
    ],
)
def test_other_text__is_left_alone(text: str) -> None:
    assert scrubbed_text(text) == text


@pytest.mark.parametrize("name", ["APPSECRET", "access_token", "Authorizer_Refresh_Token", "ENCODING_AES_KEY", "code"])
@pytest.mark.parametrize("value", [CANARY, CANARY.encode(), [CANARY], {"x": CANARY}])
def test_value_under_a_secret_name__is_taken_out(name: str, value: Any) -> None:
    assert scrubbed({"a": [{name: value}]}) == {"a": [{name: FILTERED}]}


def test_configured_secret__is_known_wherever_it_stands(settings: Any) -> None:
    credentials = settings.WECHAT_OPEN["COMPONENTS"]["default"]
    for key in ("APPSECRET", "TOKEN", "ENCODING_AES_KEY"):
        assert scrubbed_text(f"odd: {credentials[key]}!") == f"odd: {FILTERED}!"
    assert scrubbed_text(credentials["APPID"]) == credentials["APPID"]


@pytest.mark.parametrize("wrong", [None, CANARY, [{"APPSECRET": CANARY}], {"COMPONENTS": {"default": [CANARY]}}])
def test_wrong_settings__are_no_obstacle(settings: Any, wrong: Any) -> None:
    settings.WECHAT_OPEN = wrong
    assert scrubbed_text("a text") == "a text"


def test_log_filter__cleans_the_line() -> None:
    records: list[logging.LogRecord] = []
    handler = logging.Handler()
    handler.emit = records.append  # type: ignore[method-assign]
    handler.addFilter(LogFilter())
    logger = logging.getLogger(f"{__name__}.log_filter")
    logger.disabled, logger.level = False, logging.WARNING  # whatever the logging of another test has left
    logger.addHandler(handler)
    logger.warning("https://127.0.0.1:1 %s", f"GET /x?access_token={CANARY} HTTP/1.1")
    logger.warning("order %d", 7)
    assert CANARY not in records[0].getMessage()
    assert records[1].getMessage() == "order 7"
    assert records[1].args == (7,)


def test_log_filter__cleans_the_traceback_too() -> None:
    lines: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(handler.format(record))  # type: ignore[method-assign]
    handler.addFilter(LogFilter())
    logger = logging.getLogger(f"{__name__}.traceback")
    logger.disabled, logger.level = False, logging.WARNING
    logger.addHandler(handler)
    try:
        raise ConnectionError(f"Max retries exceeded with url: /x?access_token={CANARY}")
    except ConnectionError:
        logger.exception("It failed.", stack_info=True)
    assert CANARY not in lines[0]
    assert "ConnectionError: Max retries exceeded" in lines[0] and "Stack (most recent call last)" in lines[0]


def test_arguments_that_do_not_fit__are_not_raised_at_the_caller() -> None:
    """The handler tells of them, as without the filter."""
    record = logging.LogRecord("shop", logging.WARNING, __file__, 1, "order %d", ("seven",), None)
    assert LogFilter().filter(record) is True


SETTINGS_THAT_FAIL = """
import os, sys, types

class Settings(types.ModuleType):
    def __dir__(self):
        raise KeyError("WECHAT_APPID")

sys.modules["failing_settings"] = Settings("failing_settings")
os.environ["DJANGO_SETTINGS_MODULE"] = "failing_settings"
"""


@pytest.mark.parametrize("settings", ["", SETTINGS_THAT_FAIL], ids=["none", "failing"])
def test_process_without_settings__is_scrubbed_too(settings: str) -> None:
    """A tracker is set up before Django is, and has to tell of settings that fail."""
    code = f"""{settings}
from opentelemetry.sdk.trace.export import ConsoleSpanExporter
from wechat_open.contrib import opentelemetry, scrubbing, sentry

opentelemetry.without_secrets(ConsoleSpanExporter())
print(sentry.before_send({{"message": "access_token=canary", "request": {{"url": "/x", "data": "canary"}}}}, {{}}))
print(scrubbing.LogFilter().filter(__import__("logging").LogRecord("a", 20, "b", 1, "ok", (), None)))
"""
    environment = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
    environment["PYTHONPATH"] = os.pathsep.join(sys.path)
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "canary" not in done.stdout and "[Filtered]" in done.stdout


def test_long_text__takes_no_time() -> None:
    for text in ("a" * 200_000, '"token": ' * 20_000, "token=" * 30_000, "<Encrypt>" * 20_000, "\\" * 100_000):
        assert isinstance(scrubbed_text(text), str)

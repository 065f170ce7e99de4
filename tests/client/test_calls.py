"""A call is a value that hides its secrets, and any transport can send it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import wechat_open
from wechat_open.client.answers import whole
from wechat_open.client.calls import Call, Request, TokenKind, prepare
from wechat_open.client.component import (
    authorizer_info,
    authorizer_list,
    authorizer_token,
    clear_quota,
    component_token,
    create_preauthcode,
    get_option,
    query_auth,
    set_option,
    start_push_ticket,
)
from wechat_open.secret import Secret

from .test_component import PLATFORM

TOKEN = Secret("canary-token")


def request(call: Call[object], token: Secret | None = None) -> Request:
    return prepare(call, "https://api.weixin.qq.com", token, "component_access_token")


def test_repr__shows_nothing_of_what_is_sent() -> None:
    call = Call("POST", "/sns/auth?js_code=canary", TokenKind.USER, whole, params={"a": "canary"}, json={"b": "canary"})

    assert repr(call) == "<Call POST /sns/auth>"


@pytest.mark.parametrize(
    ("kind", "name"), [(TokenKind.COMPONENT, "component_access_token"), (TokenKind.AUTHORIZER, "access_token")]
)
def test_token__has_the_name_of_its_kind(kind: TokenKind, name: str) -> None:
    assert request(Call("GET", "/a", kind, whole), TOKEN)["params"] == {name: "canary-token"}
    assert request(Call("GET", "/a", kind, whole, token_parameter="t"), TOKEN)["params"] == {"t": "canary-token"}


def test_secret_among_the_parameters__is_sent_as_its_text() -> None:
    call = Call("GET", "/sns/auth", TokenKind.USER, whole, params={"access_token": Secret("visitor"), "openid": "o1"})

    assert request(call)["params"] == {"access_token": "visitor", "openid": "o1"}


def test_repeatable__are_the_calls_that_use_nothing_up() -> None:
    calls = [
        start_push_ticket(PLATFORM),
        component_token(PLATFORM, TOKEN),
        create_preauthcode(PLATFORM),
        query_auth(PLATFORM, "code"),
        authorizer_token(PLATFORM, "wx1", TOKEN),
        authorizer_info(PLATFORM, "wx1"),
        authorizer_list(PLATFORM),
        clear_quota(PLATFORM),
        get_option(PLATFORM, "wx1", "voice_recognize"),
        set_option(PLATFORM, "wx1", "voice_recognize", "1"),
    ]
    once = [call.name.rpartition("component/")[2] for call in calls if not call.repeatable]

    assert once == ["api_query_auth", "api_authorizer_token", "clear_quota/v2"]


def test_calls_and_verdict__need_no_http_library() -> None:
    """So that another transport can share them."""
    code = """
import sys
sys.modules["requests"] = sys.modules["urllib3"] = None
import wechat_open.client.component, wechat_open.client.verdict
"""
    root = Path(wechat_open.__file__).parents[1]
    subprocess.run([sys.executable, "-c", code], check=True, cwd=root, timeout=60)

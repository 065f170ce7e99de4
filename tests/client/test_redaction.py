"""Secrets in the query of an address do not reach a log."""

from __future__ import annotations

import pytest

from wechat_open.client.redaction import redact


@pytest.mark.parametrize(
    "name",
    [
        "access_token",
        "component_access_token",
        "authorizer_refresh_token",
        "secret",
        "appsecret",
        "component_appsecret",
        "js_code",
        "code",
        "auth_code",
        "component_verify_ticket",
        "ACCESS_TOKEN",
    ],
)
def test_redact__hides_the_value(name: str) -> None:
    assert redact(f'GET /x?lang=zh&{name}=canary%40-_.~&y=1 "') == f'GET /x?lang=zh&{name}=***&y=1 "'


def test_redact__leaves_the_rest() -> None:
    text = "GET /cgi-bin/user/get?next_openid=o1&lang=zh_CN HTTP/1.1"
    assert redact(text) == text

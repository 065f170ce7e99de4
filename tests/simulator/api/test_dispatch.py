"""What all endpoints share: parameters, tokens, errors. Over real HTTP."""

from __future__ import annotations

from email.utils import parsedate_to_datetime

import pytest
import requests

from tests.simulator.api.calls import COMPONENT, authorized, call, request
from tests.simulator.conftest import Api
from wechat_open.exceptions import APIError
from wechat_open.simulator import DEMO_OFFICIAL, Simulator


def test_answer__looks_like_wechats(wechat: Simulator) -> None:
    wechat.clock.advance(10 * 86400)
    response = requests.get(f"{wechat.url}/cgi-bin/getcallbackip", timeout=5)
    assert response.status_code == 200
    assert response.headers["Content-Type"] == "application/json; encoding=utf-8"
    assert abs(parsedate_to_datetime(response.headers["Date"]).timestamp() - wechat.clock.now()) < 5


def test_unknown_path__is_an_invalid_url(wechat: Simulator) -> None:
    with pytest.raises(APIError, match="40066 invalid url") as refused:
        request(wechat, "POST", "/cgi-bin/nothing", authorized(wechat), json={})
    assert (refused.value.errcode, refused.value.path) == (40066, "/cgi-bin/nothing")
    assert refused.value.rid


@pytest.mark.parametrize(
    ("method", "path", "body", "errcode"),
    [
        ("GET", f"{COMPONENT}/api_create_preauthcode", None, 43002),
        ("POST", "/cgi-bin/getcallbackip", b"{}", 43001),
        ("POST", f"{COMPONENT}/api_create_preauthcode", b"", 44002),
        ("POST", f"{COMPONENT}/api_create_preauthcode", b"{", 47001),
        ("POST", f"{COMPONENT}/api_create_preauthcode", b"[]", 47001),
        ("POST", f"{COMPONENT}/api_create_preauthcode", b"[" * 100_000, 47001),
        ("POST", f"{COMPONENT}/api_create_preauthcode", b"{}", 41018),
        ("GET", "/cgi-bin/getcallbackip", None, 41001),
    ],
)
def test_malformed_call__has_its_errcode(
    wechat: Simulator, method: str, path: str, body: bytes | None, errcode: int
) -> None:
    assert call(wechat, method, path, data=body)["errcode"] == errcode


@pytest.mark.parametrize("name", ["access_token", "component_access_token"])
def test_component_token__travels_under_either_name(wechat: Simulator, api: Api, name: str) -> None:
    api(f"{COMPONENT}/api_create_preauthcode")
    token = wechat.engine.component_token.text
    body = {"component_appid": wechat.engine.settings.appid}
    answer = call(wechat, "POST", f"{COMPONENT}/api_create_preauthcode?{name}={token}", json=body)
    assert answer["pre_auth_code"].startswith("preauthcode@@@")
    assert answer["expires_in"] == 600
    assert "errcode" not in answer


def test_wrong_kind_of_token__is_named(api: Api, wechat: Simulator) -> None:
    account_token = authorized(wechat)
    assert api(f"{COMPONENT}/api_create_preauthcode", token=account_token)["errcode"] == 61014
    assert api("/cgi-bin/message/custom/send")["errcode"] == 61015


def test_escaped_characters__are_refused(wechat: Simulator) -> None:
    token = authorized(wechat)
    wechat.engine.message(DEMO_OFFICIAL, "o1", {"MsgType": "text"})
    path = f"/cgi-bin/message/custom/send?access_token={token}"
    for content, errcode in ((b"\\u4f60", 40033), (b"\\\\u4f60", 0), (b"\\u0007", 0), (b"C:\\\\\\u00e9", 40033)):
        body = b'{"touser":"o1","msgtype":"text","text":{"content":"%s"}}' % content
        assert call(wechat, "POST", path, data=body)["errcode"] == errcode, content

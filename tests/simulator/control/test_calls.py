"""The control API. Its shapes are a contract."""

from __future__ import annotations

from typing import Any

import pytest
import requests

from tests.simulator.callback import Callback
from tests.simulator.conftest import Api
from wechat_open.protocol import xml
from wechat_open.protocol.envelope import encrypt_reply
from wechat_open.simulator import DEMO_MINI, DEMO_OFFICIAL, ControlError, Settings, Simulator


def control(wechat: Simulator, method: str, call: str, **body: Any) -> tuple[int, dict[str, Any]]:
    response = requests.request(method, f"{wechat.url}/_simulator/{call}", json=body or None, timeout=10)
    return response.status_code, response.json()


def test_state__shows_everything(wechat: Simulator, api: Api) -> None:
    wechat.control("push-ticket")
    wechat.control("authorize", appid=DEMO_OFFICIAL)
    api("/cgi-bin/component/api_create_preauthcode")
    wechat.control("faults", path="/x", errcode=1)
    status, state = control(wechat, "GET", "state")
    assert status == 200
    assert state["clock"] == pytest.approx(wechat.clock.now(), abs=5)
    assert state["component"]["ticket"] == wechat.engine.ticket
    assert state["component"]["access_token"] == wechat.engine.component_token.text
    official, mini = state["accounts"]
    assert official["grant"]["refresh_token"] == wechat.engine.account(DEMO_OFFICIAL).grant.refresh_token
    assert (official["authorized"], mini["authorized"], mini["grant"]) == (True, False, None)
    assert state["calls"] == {"/cgi-bin/component/api_create_preauthcode": 1}
    assert state["faults"] == [{"id": 1, "path": "/x", "errcode": 1, "times": 1}]
    assert [push["name"] for push in state["pushes"]] == ["authorized", "component_verify_ticket"]
    assert state["pushes"][0]["status"] == 200


def test_state__of_one_account_or_the_first_few(wechat: Simulator) -> None:
    assert [account["appid"] for account in wechat.control("state", "GET", appid=DEMO_MINI)["accounts"]] == [DEMO_MINI]
    status, state = control(wechat, "GET", "state?limit=1")
    assert (status, len(state["accounts"]), state["accounts_total"]) == (200, 1, 2)
    assert control(wechat, "GET", "state?limit=x")[0] == 400
    assert control(wechat, "GET", "state?appid=wxnobody")[0] == 409


def test_accounts__are_added(wechat: Simulator) -> None:
    status, account = control(wechat, "POST", "accounts", nick_name="Tea", kind="mini", permissions=[19, 17, 19])
    assert status == 200
    assert account["permissions"] == [17, 19]
    assert account["appid"] in wechat.engine.accounts
    assert wechat.control("accounts", nick_name="Tea", kind="official", appid="wx01")["appid"] == "wx01"
    assert control(wechat, "POST", "accounts", nick_name="Tea", kind="mini")[0] == 409


def test_push_ticket__returns_the_callbacks_answer(wechat: Simulator, callback: Callback) -> None:
    callback.answer = lambda received: (403, b"forbidden")
    status, answer = control(wechat, "POST", "push-ticket")
    assert status == 200
    assert answer == {"ticket": wechat.engine.ticket, "status": 403, "body": "forbidden", "tries": 1}


def test_authorize__gives_code_address_and_push(wechat: Simulator, callback: Callback) -> None:
    code, _ = wechat.engine.new_pre_auth_code()
    status, answer = control(
        wechat,
        "POST",
        "authorize",
        appid=DEMO_OFFICIAL,
        pre_auth_code=code,
        redirect_uri="https://site.example/back?state=a%2Fb#part",
        permissions=[1, 2],
    )
    assert status == 200
    quoted = answer["auth_code"].replace("@", "%40")
    assert answer["redirect_to"] == f"https://site.example/back?state=a%2Fb&auth_code={quoted}&expires_in=3600#part"
    assert (answer["expires_in"], answer["status"], answer["body"]) == (3600, 200, "success")
    assert answer["push"] == {"status": 200, "body": "success", "tries": 1}
    assert callback.names == ["authorized"]
    assert wechat.engine.account(DEMO_OFFICIAL).grant.permissions == (1, 2)
    again = control(wechat, "POST", "authorize", appid=DEMO_OFFICIAL, pre_auth_code=code)
    assert again[0] == 409
    assert "pre_auth_code is used" in again[1]["error"]


def test_authorize__without_a_push(wechat: Simulator, callback: Callback) -> None:
    answer = wechat.control("authorize", appid=DEMO_OFFICIAL, push=False)
    assert (answer["redirect_to"], answer["push"], answer["status"]) == (None, None, None)
    assert wechat.control("unauthorize", appid=DEMO_OFFICIAL, push=False)["push"] is None
    assert callback.received == []


def test_unauthorize__is_pushed(wechat: Simulator, callback: Callback) -> None:
    wechat.control("authorize", appid=DEMO_OFFICIAL, push=False)
    answer = wechat.control("unauthorize", appid=DEMO_OFFICIAL)
    assert (answer["status"], answer["body"], callback.names) == (200, "success", ["unauthorized"])
    assert control(wechat, "POST", "unauthorize", appid=DEMO_OFFICIAL)[0] == 409


def encrypted(text: str, *, signed_by: str | None = None) -> bytes:
    settings = Settings(token=signed_by) if signed_by else Settings()
    plain = xml.write({"ToUserName": "o1", "FromUserName": "gh_x", "MsgType": "text", "Content": text})
    return encrypt_reply(plain, settings.pair(), settings.appid, timestamp="1713424427", nonce="n1")


def test_message__is_answered_in_line(wechat: Simulator, callback: Callback) -> None:
    wechat.engine.authorize(DEMO_OFFICIAL)
    callback.answer = lambda received: (200, encrypted("you said " + received.push.fields["Content"]))
    status, answer = control(wechat, "POST", "message", appid=DEMO_OFFICIAL, openid="o1", Content="你好")
    assert (status, answer["status"]) == (200, 200)
    assert answer["reply"]["Content"] == "you said 你好"
    assert "error" not in answer
    received = callback.received[0]
    assert received.path == f"/wechat/messages/{DEMO_OFFICIAL}/"
    assert received.query["openid"] == "o1"
    assert received.push.fields["ToUserName"] == wechat.engine.account(DEMO_OFFICIAL).user_name


def test_message__answered_with_success_and_through_the_api(wechat: Simulator, callback: Callback) -> None:
    wechat.engine.authorize(DEMO_OFFICIAL)
    expected = {"touser": "o1", "msgtype": "text", "text": {"content": "later"}}

    def answer_through_the_api(received: object) -> tuple[int, bytes]:
        wechat.engine.send(DEMO_OFFICIAL, expected)
        return 200, b"success"

    callback.answer = answer_through_the_api
    answer = wechat.control("message", appid=DEMO_OFFICIAL, openid="o1", MsgType="image", MediaId="m1")
    assert (answer["body"], answer["reply"], answer["messages"]) == ("success", None, [expected])


def test_event__needs_a_name(wechat: Simulator, callback: Callback) -> None:
    wechat.engine.authorize(DEMO_MINI)
    assert control(wechat, "POST", "event", appid=DEMO_MINI, openid="o1")[0] == 400
    answer = wechat.control(
        "event", appid=DEMO_MINI, openid="o1", Event="user_enter_tempsession", CreateTime=1700000000
    )
    assert answer["reply"] is None
    fields = callback.received[0].push.fields
    assert (fields["Event"], fields["MsgType"], fields["CreateTime"]) == (
        "user_enter_tempsession",
        "event",
        "1700000000",
    )


@pytest.mark.parametrize(
    ("body", "reason"),
    [(encrypted("hi", signed_by="someone else's"), "signature"), (b"<xml>hello</xml>", "envelope")],
)
def test_reply_that_cannot_be_decrypted__is_explained(
    wechat: Simulator, callback: Callback, body: bytes, reason: str
) -> None:
    wechat.engine.authorize(DEMO_OFFICIAL)
    callback.answer = lambda received: (200, body)
    answer = wechat.control("message", appid=DEMO_OFFICIAL, openid="o1", Content="hi")
    assert answer["reply"] is None
    assert reason in answer["error"]


def test_reply_in_json__is_decrypted(wechat: Simulator, callback: Callback) -> None:
    wechat.engine.authorize(DEMO_OFFICIAL)
    settings = Settings()
    body = encrypt_reply(
        b'{"Content":"hi"}', settings.pair(), settings.appid, timestamp="1713424427", nonce="n", format="json"
    )
    callback.answer = lambda received: (200, body)
    answer = wechat.control("message", appid=DEMO_OFFICIAL, openid="o1", Content="hi")
    assert answer["reply"] == {"Content": "hi"}


def test_mini_program__shows_no_passive_reply(wechat: Simulator, callback: Callback) -> None:
    wechat.engine.authorize(DEMO_MINI)
    callback.answer = lambda received: (200, encrypted("hi"))
    assert "custom/send" in wechat.control("message", appid=DEMO_MINI, openid="o1", Content="hi")["error"]


def test_message_to_an_account_without_a_grant__needs_force(wechat: Simulator, callback: Callback) -> None:
    message = {"appid": DEMO_OFFICIAL, "openid": "o1", "Content": "hi"}
    assert control(wechat, "POST", "message", **message)[0] == 409
    wechat.engine.authorize(DEMO_OFFICIAL, permissions=(2,))
    status, answer = control(wechat, "POST", "message", **message)
    assert status == 409
    assert "permission set 1" in answer["error"]
    assert control(wechat, "POST", "message", force=True, **message)[0] == 200
    assert "force" not in callback.received[0].push.fields


def test_oauth_code__for_a_follower(wechat: Simulator) -> None:
    wechat.engine.authorize(DEMO_OFFICIAL)
    code = wechat.control("oauth-code", appid=DEMO_OFFICIAL, openid="o1", scope="snsapi_userinfo")["code"]
    assert wechat.engine.exchange_oauth_code(DEMO_OFFICIAL, code) == ("o1", "snsapi_userinfo")


def test_clock__is_advanced(wechat: Simulator) -> None:
    before = wechat.clock.now()
    status, answer = control(wechat, "POST", "clock", advance=3600)
    assert status == 200
    assert answer["clock"] == pytest.approx(before + 3600, abs=5)
    assert answer["ahead"] == 3600


def test_tokens__are_killed(wechat: Simulator, api: Api) -> None:
    wechat.engine.query_auth(wechat.engine.authorize(DEMO_OFFICIAL).code)
    api("/cgi-bin/component/api_create_preauthcode")
    refresh_token = wechat.engine.account(DEMO_OFFICIAL).grant.refresh_token
    assert wechat.control("kill-token", component=True) == {"killed": "component"}
    assert wechat.control("kill-token", appid=DEMO_OFFICIAL) == {"killed": DEMO_OFFICIAL}
    wechat.control("kill-token", appid=DEMO_OFFICIAL, refresh=True)
    assert wechat.engine.component_token is None
    grant = wechat.engine.account(DEMO_OFFICIAL).grant
    assert grant.access is None
    assert grant.refresh_token != refresh_token


def test_settings__are_changed_together_or_not_at_all(wechat: Simulator) -> None:
    status, answer = control(wechat, "POST", "settings", token_life=20, rotation="grace", quotas={"/x": 1})
    assert (status, answer["token_life"], answer["rotation"]) == (200, 20, "grace")
    for wrong in ({"token_life": 0}, {"rotation": "never"}, {"callback": "ftp://x"}):
        assert control(wechat, "POST", "settings", empty_refresh_in_list=True, **wrong)[0] == 400
    assert wechat.engine.settings.empty_refresh_in_list is False


@pytest.mark.parametrize(
    ("method", "call", "body", "status", "expected"),
    [
        ("GET", "nothing", {}, 404, "There are: DELETE faults"),
        ("PUT", "state", {}, 405, "There is no PUT 'state'"),
        ("POST", "accounts", {"nick_name": "x", "kind": "shop"}, 400, "'official' or 'mini'"),
        ("POST", "accounts", {"kind": "mini"}, 400, "'nick_name' must be a text"),
        ("POST", "accounts", {"nick_name": "x", "kind": "mini", "permissions": ["1"]}, 400, "list of numbers"),
        ("POST", "authorize", {"appid": "wxnobody"}, 409, "40013"),
        ("POST", "authorize", {"appid": DEMO_MINI, "push": "no"}, 400, "true or false"),
        ("POST", "clock", {"advance": -1}, 400, "not below 0"),
        ("POST", "clock", {"advance": "1"}, 400, "must be a number"),
        ("POST", "faults", {"path": "/x"}, 400, "Exactly one of errcode"),
        ("POST", "faults", {"path": "/x", "errcode": 1, "lost": True}, 400, "Exactly one"),
        ("POST", "faults", {"path": "/x", "errcode": "1"}, 400, "whole number"),
        ("POST", "faults", {"path": "/x", "status": 99}, 400, "between 200 and 599"),
        ("POST", "faults", {"path": "/x", "garbage": 7}, 400, "the text to answer with"),
        ("POST", "faults", {"path": "/x", "delay": "long"}, 400, "'delay' must be a number"),
        ("POST", "faults", {"path": "/x", "lost": True, "times": 0}, 400, "at least 1"),
        ("POST", "faults", {"lost": True}, 400, "'path' must be a text"),
        ("POST", "kill-token", {}, 400, "Either"),
        ("POST", "settings", {"appsecret": "x"}, 400, "cannot be changed"),
        ("POST", "settings", {"token_life": True}, 400, "of type int"),
    ],
)
def test_wrong_request__is_refused_with_what_was_expected(
    wechat: Simulator, method: str, call: str, body: dict[str, Any], status: int, expected: str
) -> None:
    answered, content = control(wechat, method, call, **body)
    assert answered == status
    assert expected in content["error"]


@pytest.mark.parametrize("body", [b"{", b"[]", b"[" * 100_000, b"\xff"])
def test_body_that_is_no_json_object__is_refused(wechat: Simulator, body: bytes) -> None:
    response = requests.post(f"{wechat.url}/_simulator/clock", data=body, timeout=5)
    assert (response.status_code, response.json()["error"]) == (400, "The body must be a JSON object.")


def test_pages_of_other_sites__cannot_use_the_control_api(wechat: Simulator) -> None:
    url = f"{wechat.url}/_simulator/clock"
    foreign = requests.post(url, json={"advance": 1}, headers={"Origin": "https://evil.example"}, timeout=5)
    own = requests.post(url, json={"advance": 1}, headers={"Origin": wechat.url}, timeout=5)
    assert (foreign.status_code, own.status_code) == (403, 200)


def test_faults__are_listed(wechat: Simulator) -> None:
    wechat.control("faults", path="/x", hang=True, appid="wx1", times=3)
    expected = [{"id": 1, "path": "/x", "hang": 3600.0, "times": 3, "appid": "wx1"}]
    assert control(wechat, "GET", "faults") == (200, {"faults": expected})


def test_in_process__mistakes_are_exceptions(wechat: Simulator) -> None:
    with pytest.raises(ControlError, match="'openid'"):
        wechat.control("message", appid=DEMO_OFFICIAL)

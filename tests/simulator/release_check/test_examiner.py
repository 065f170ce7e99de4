"""The release check: a correct site passes, every fault is explained."""

from __future__ import annotations

import re
import socket
import string
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import pytest
import requests

from tests.simulator.answers import passive
from tests.simulator.callback import Callback, Received, Reply
from wechat_open.protocol import xml
from wechat_open.protocol.envelope import encrypt_reply
from wechat_open.simulator import DEMO_OFFICIAL, ControlError, Engine, Settings, Simulator
from wechat_open.simulator.release_check.groups import GROUPS
from wechat_open.simulator.release_check.observation import QUERY_AUTH, SEND
from wechat_open.simulator.release_check.results import (
    ERRCODE_HINTS,
    NAMES,
    STATUS_HINTS,
    VERDICTS,
    errcode_hint,
    status_hint,
)
from wechat_open.simulator.state.accounts import Account

WAIT = 0.7
"""Seconds that a check waits for what does not come."""

GROUP = GROUPS[3]
OFFICIAL, MINI = GROUP.official.appid, GROUP.mini.appid


class Site:
    """A platform that passes. What a test wants to spoil is a method that it replaces."""

    def __init__(self, wechat: Simulator) -> None:
        self.wechat = wechat

    def answer(self, received: Received) -> Reply:
        fields = received.push.fields
        if "InfoType" in fields:
            return self.on_event(received)
        if fields["MsgType"] == "event":
            return self.reply(received, f"{fields['Event']}from_callback")
        if fields["Content"].startswith("QUERY_AUTH_CODE:"):
            return self.on_code(received, fields["Content"].partition(":")[2])
        return self.reply(received, f"{fields['Content']}_callback")

    def on_event(self, received: Received) -> Reply:
        return 200, b"success"

    def reply(self, received: Received, content: str) -> Reply:
        return passive(received, MsgType="text", Content=content)

    def on_code(self, received: Received, code: str) -> Reply:
        """Exchange and send once the answer has gone out."""
        threading.Timer(0.02, self.errand, (received.push.fields["FromUserName"], code)).start()
        return 200, b""

    def errand(self, openid: str, code: str) -> None:
        token = self.exchange(code)
        if token:
            self.send(token, openid, f"{code}_from_api")

    def exchange(self, code: str) -> str:
        engine = self.wechat.engine
        component_token = engine.component_token or engine.issue_component_token(engine.ticket)
        body = {"component_appid": engine.settings.appid, "authorization_code": code}
        answer = self.post(f"{QUERY_AUTH}?component_access_token={component_token.text}", body)
        return str(answer.get("authorization_info", {}).get("authorizer_access_token", ""))

    def send(self, token: str, openid: str, content: str, **fields: Any) -> None:
        body = {"touser": openid, "msgtype": "text", "text": {"content": content}, **fields}
        self.post(f"{SEND}?access_token={token}", body)

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        response = requests.post(self.wechat.url + path, json=body, timeout=5)
        return dict(response.json()) if response.status_code == 200 else {}


@pytest.fixture
def site(wechat: Simulator, callback: Callback) -> Site:
    examiner = wechat.workbench.examiner
    examiner.settle = 0.02
    examiner.tick = 0
    examiner.hold = 0.5
    examiner.api_within = 3.0
    found = Site(wechat)
    callback.answer = lambda received: found.answer(received)
    return found


def check(wechat: Simulator, **body: Any) -> dict[int, dict[str, Any]]:
    return {result["check"]: result for result in wechat.control("release-check", group=3, **body)["checks"]}


def failed(wechat: Simulator, number: int, **body: Any) -> str:
    """The detail of the only check that failed."""
    wechat.workbench.examiner.api_within = WAIT
    results = check(wechat, **body)
    assert [result["check"] for result in results.values() if not result["ok"]] == [number]
    return str(results[number]["detail"])


# A site that does right


def test_good_site__passes_every_group(wechat: Simulator, site: Site) -> None:
    for number in GROUPS:
        answer = wechat.control("release-check", group=number)
        assert answer["ok"], answer
        assert answer["group"] == number


def test_answer__has_each_check_with_its_account(wechat: Simulator, site: Site) -> None:
    answer = wechat.control("release-check", group=3)
    assert [(found["check"], found["account"]) for found in answer["checks"]] == [
        (0, ""),
        (1, OFFICIAL),
        (2, OFFICIAL),
        (3, MINI),
        (4, OFFICIAL),
    ]
    assert all(set(found) == {"check", "name", "account", "ok", "detail", "took"} for found in answer["checks"])
    assert re.fullmatch(
        r'Answered "" in \d\.\d{3} s; the code was exchanged \d\.\d{3} s and sent back \d\.\d{3} s after that\.',
        answer["checks"][2]["detail"],
    )


def test_group__is_picked_at_random(wechat: Simulator, site: Site) -> None:
    assert wechat.control("release-check")["group"] in GROUPS


def test_accounts__authorize_first_and_cancel_last(wechat: Simulator, site: Site, callback: Callback) -> None:
    check(wechat)
    assert callback.names == [
        "component_verify_ticket",
        *["authorized"] * 2,
        *[""] * 3,
        "LOCATION",
        *["unauthorized"] * 2,
    ]
    text = next(received for received in callback.received if received.path == f"/wechat/messages/{OFFICIAL}/")
    assert text.push.fields["ToUserName"] == GROUP.official.user_name
    assert text.query["openid"] == text.push.fields["FromUserName"]


def test_finished_check__restores_the_state(wechat: Simulator, site: Site) -> None:
    before = wechat.state()["accounts"]
    check(wechat)
    check(wechat)
    engine = wechat.engine
    assert wechat.state()["accounts"] == before
    assert engine.listed(0, 10) == (0, [])
    assert OFFICIAL not in str([engine._followers, engine._codes, engine.conversations._lines])
    assert [token.owner for token in engine._tokens.values()] == ["component"]


def test_push_of_a_finished_check__is_about_an_account_that_has_not_authorized(
    wechat: Simulator, site: Site, callback: Callback
) -> None:
    """A worker may come to it later. At WeChat the accounts are still there."""
    check(wechat)
    code = callback.wait_for("authorized").push.fields["AuthorizationCode"]
    token = wechat.engine.component_token.text
    body = {"component_appid": wechat.engine.settings.appid, "authorization_code": code, "authorizer_appid": OFFICIAL}
    assert site.post(f"{QUERY_AUTH}?access_token={token}", body)["errcode"] == 61009
    info = site.post(f"/cgi-bin/component/api_get_authorizer_info?access_token={token}", body)
    assert info["errcode"] == 61003


def test_account__cancels_in_another_second_than_it_authorized(
    wechat: Simulator, site: Site, callback: Callback
) -> None:
    wechat.workbench.examiner.tick = 1.0
    check(wechat)
    first, last = callback.received[1].push.fields, callback.received[-1].push.fields
    assert (first["InfoType"], last["InfoType"]) == ("authorized", "unauthorized")
    assert int(last["CreateTime"]) > int(first["CreateTime"])


def test_followers_of_the_check__are_new_each_time(wechat: Simulator, site: Site, callback: Callback) -> None:
    check(wechat)
    check(wechat)
    ids = [received.push.fields["MsgId"] for received in callback.received if "MsgId" in received.push.fields]
    assert len(set(ids)) == len(ids) == 6
    events = [received.push.fields for received in callback.received if "Event" in received.push.fields]
    assert events[0]["FromUserName"] != events[1]["FromUserName"]


def test_success_instead_of_an_empty_body__passes_and_is_reported(wechat: Simulator, site: Site) -> None:
    def on_code(received: Received, code: str) -> Reply:
        Site.on_code(site, received, code)
        return 200, b"success"

    site.on_code = on_code  # type: ignore[method-assign]
    assert check(wechat)[2]["detail"].startswith('Answered "success" in')


def test_codes_of_the_grant__may_be_exchanged_meanwhile(wechat: Simulator, site: Site) -> None:
    """A worker's exchange ends the token that was given before: it is waited for, and is no wrong code."""
    wechat.workbench.examiner.settle = 3.0

    def on_event(received: Received) -> Reply:
        code = received.push.fields.get("AuthorizationCode")
        if code:
            threading.Timer(0.1, site.exchange, (code,)).start()
        return 200, b"success"

    site.on_event = on_event  # type: ignore[method-assign]
    started = time.monotonic()
    assert all(result["ok"] for result in check(wechat).values())
    assert time.monotonic() - started < 3.0


def test_system_error__may_be_retried(wechat: Simulator, site: Site) -> None:
    wechat.control("faults", path=SEND, errcode=-1000)

    def errand(openid: str, code: str) -> None:
        token = site.exchange(code)
        for _ in range(2):
            site.send(token, openid, f"{code}_from_api")

    site.errand = errand  # type: ignore[method-assign]
    assert all(result["ok"] for result in check(wechat).values())


def test_other_address__wins_over_the_console(wechat: Simulator, site: Site, callback: Callback) -> None:
    urls = {"events_url": f"{callback.url}e", "messages_url": f"{callback.url}m/$APPID$"}
    assert all(result["ok"] for result in check(wechat, **urls).values())
    assert {received.path for received in callback.received} == {
        "/wechat/e",
        f"/wechat/m/{OFFICIAL}",
        f"/wechat/m/{MINI}",
    }
    assert wechat.engine.settings.events_url == ""


# Sites that do one thing wrong


def test_ticket_not_answered_with_success__fails(wechat: Simulator, site: Site) -> None:
    site.on_event = lambda received: (200, b"success\n")  # type: ignore[method-assign]
    assert 'Expected exactly success, got "success\\n"' in failed(wechat, 0)


def test_echo_of_the_ticket__is_not_repeated(wechat: Simulator, site: Site) -> None:
    site.on_event = lambda received: (200, str(received.push.fields).encode())  # type: ignore[method-assign]
    assert "ticket@@@" not in failed(wechat, 0)


def encrypted(
    received: Received, *, appid: str = "", token: str = "", key: str = "", plain: bytes = b"<xml/>"
) -> Reply:
    settings = Settings(
        token=token or Settings().token, encoding_aes_key=key or Settings().encoding_aes_key, appid=appid or "wx1"
    )
    return 200, encrypt_reply(plain, settings.pair(), settings.appid, timestamp=str(int(time.time())), nonce="n")


WRONG_REPLIES: dict[str, tuple[Callable[[Received], Reply], str]] = {
    "content": (
        lambda received: passive(received, MsgType="text", Content="TESTCOMPONENT_MSG_TYPE_TEXT_callback "),
        'Expected Content "TESTCOMPONENT_MSG_TYPE_TEXT_callback", got "TESTCOMPONENT_MSG_TYPE_TEXT_callback "',
    ),
    "type": (lambda received: passive(received, MsgType="image", Image={"MediaId": "m"}), 'got "image"'),
    "people": (
        lambda received: passive(received, MsgType="text", Content="x", ToUserName="gh_x", FromUserName="o_x"),
        'got "gh_x" and "o_x"',
    ),
    "nothing": (lambda received: (200, b"success"), 'got "success", which is no reply'),
    "clear": (
        lambda received: (200, xml.write({"MsgType": "text", "Content": "TESTCOMPONENT_MSG_TYPE_TEXT_callback"})),
        "unencrypted. A platform is always in safe mode",
    ),
    "appid": (lambda received: encrypted(received, appid="wxanother"), f"the platform's, {Settings().appid}"),
    "token": (lambda received: encrypted(received, token="another"), "MsgSignature is wrong"),
    "key": (lambda received: encrypted(received, key="a" * 43), "Check that ENCODING_AES_KEY is the console's"),
    "no XML": (
        lambda received: encrypted(received, appid=Settings().appid, plain=b"TESTCOMPONENT_MSG_TYPE_TEXT_callback"),
        "The reply cannot be read (xml). The envelope",
    ),
    "status": (lambda received: (500, b"oops"), "Expected HTTP 200, got 500. Check the site's log"),
    "refusal": (lambda received: (403, b"refused"), "got 403. Check that TOKEN, ENCODING_AES_KEY and the appid"),
    "CSRF": (lambda received: (403, b"<!DOCTYPE html><html>"), "got 403. An HTML page came with it"),
    "nowhere": (lambda received: (404, b"<html>"), "got 404. Check the address http://127.0.0.1:PORT/wechat/mess"),
    "redirect": (lambda received: (302, b""), "got 302. WeChat follows no redirect"),
    "page": (lambda received: (200, b"\n<html><body>Log in"), "got an HTML page. At http://127.0.0.1:PORT/wechat/mess"),
}


@pytest.mark.parametrize("wrong", WRONG_REPLIES)
def test_wrong_reply__is_explained(wechat: Simulator, site: Site, callback: Callback, wrong: str) -> None:
    spoilt, expected = WRONG_REPLIES[wrong]

    def reply(received: Received, content: str) -> Reply:
        return spoilt(received) if content.startswith("TEST") else Site.reply(site, received, content)

    site.reply = reply  # type: ignore[method-assign]
    port = callback.url.split(":")[2].split("/")[0]
    assert expected.replace("PORT", port) in failed(wechat, 1)


def test_event__has_its_own_expected_text(wechat: Simulator, site: Site) -> None:
    def reply(received: Received, content: str) -> Reply:
        return Site.reply(site, received, content.replace("from_callback", "_callback"))

    site.reply = reply  # type: ignore[method-assign]
    assert 'Expected Content "LOCATIONfrom_callback", got "LOCATION_callback"' in failed(wechat, 4)


def test_late_answer__fails(wechat: Simulator, site: Site) -> None:
    wechat.workbench.examiner.answer_within = WAIT

    def reply(received: Received, content: str) -> Reply:
        time.sleep(1 if content.startswith("TEST") else 0)
        return Site.reply(site, received, content)

    site.reply = reply  # type: ignore[method-assign]
    assert "No answer within 0.7 s. Answer first" in failed(wechat, 1)


def test_unreachable_callback__is_reported(wechat: Simulator, callback: Callback) -> None:
    gone = {"events_url": "http://127.0.0.1:9/e/", "messages_url": "http://127.0.0.1:9/m/"}
    wechat.workbench.examiner.settle = wechat.workbench.examiner.tick = 0
    results = check(wechat, **gone)
    assert [result["ok"] for result in results.values()] == [False] * 5
    assert "http://127.0.0.1:9/e/ could not be reached (ConnectionError)" in results[0]["detail"]


def test_host_that_refuses_connections__cannot_be_reached(wechat: Simulator) -> None:
    """A firewall that drops everything, here a server that accepts nothing and whose queue is full."""
    with socket.socket() as server, ExitStack() as stack:
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        for _ in range(3):
            client = stack.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(server.getsockname())
        examiner = wechat.workbench.examiner
        examiner.answer_within, examiner.settle, examiner.tick = 0.1, 0, 0
        results = check(wechat, events_url=f"http://127.0.0.1:{server.getsockname()[1]}/e/")
    assert "could not be reached (ConnectTimeout)" in results[0]["detail"]


def test_missing_callback__is_reported() -> None:
    with Simulator(ticket_pusher=False) as wechat:
        wechat.workbench.examiner.settle = wechat.workbench.examiner.tick = 0
        assert {result["detail"].partition(".")[0] for result in check(wechat).values()} == {
            "There is no address to push to"
        }


# Sites that do the errand wrong


@pytest.fixture
def spoil(site: Site) -> Callable[..., None]:
    """Only the official account's errand, that of check 2."""

    def replace(errand: Callable[[str, str], object]) -> None:
        first = True

        def only_once(openid: str, code: str) -> None:
            nonlocal first
            was_first, first = first, False
            (errand if was_first else lambda *arguments: Site.errand(site, *arguments))(openid, code)

        site.errand = only_once  # type: ignore[method-assign]

    return replace


Spoil = Callable[[Callable[[str, str], object]], None]


def test_text_instead_of_an_empty_body__fails(wechat: Simulator, site: Site) -> None:
    site.on_code = lambda received, code: Site.reply(site, received, f"{code}_from_api")  # type: ignore[method-assign]
    results = check(wechat)
    assert [number for number, result in results.items() if not result["ok"]] == [2, 3]
    assert "Expected an empty body (or success)" in results[3]["detail"]


def test_unused_code__fails(wechat: Simulator, spoil: Spoil) -> None:
    spoil(lambda openid, code: None)
    assert "api_query_auth was not called within 0.7 s after the answer" in failed(wechat, 2)


def test_code_without_its_prefix__is_another_one(wechat: Simulator, site: Site, spoil: Spoil) -> None:
    spoil(lambda openid, code: site.exchange(code.partition("@@@")[2]))
    assert "with its prefix queryauthcode@@@" in failed(wechat, 2)


def test_platform_without_a_token__is_explained(wechat: Simulator, site: Site, spoil: Spoil) -> None:
    path = "/cgi-bin/component/api_component_token"
    body = {"component_appid": Settings().appid, "component_appsecret": "wrong", "component_verify_ticket": "t"}
    spoil(lambda openid, code: site.post(path, body))
    detail = failed(wechat, 2)
    assert "api_component_token was refused (40125 invalid appsecret" in detail
    assert "Check that APPSECRET is the console's" in detail


def test_ip_outside_the_whitelist__is_explained(wechat: Simulator, site: Site) -> None:
    wechat.control("faults", path=QUERY_AUTH, errcode=61004, appid="")
    detail = failed(wechat, 2)
    assert "api_query_auth did not succeed (61004 access clientip is not registered" in detail
    assert "白名单IP地址列表" in detail


@pytest.mark.parametrize(
    ("fault", "expected"),
    [({"lost": True}, "no answer"), ({"status": 502}, "HTTP 502"), ({"garbage": "[]"}, "HTTP 200")],
)
def test_exchange_without_a_usable_answer__is_reported(
    wechat: Simulator, site: Site, fault: dict[str, Any], expected: str
) -> None:
    wechat.control("faults", path=QUERY_AUTH, **fault)

    def errand(openid: str, code: str) -> None:
        try:
            Site.errand(site, openid, code)
        except (requests.RequestException, ValueError):  # as the fault has it
            return

    site.errand = errand  # type: ignore[method-assign]
    assert f"api_query_auth did not succeed ({expected})" in failed(wechat, 2)


def test_message_that_is_never_sent__fails(wechat: Simulator, site: Site, spoil: Spoil) -> None:
    spoil(lambda openid, code: site.exchange(code))
    assert "message/custom/send was not called within 0.7 s" in failed(wechat, 2)


def test_token_of_the_platform__is_a_wrong_one(wechat: Simulator, site: Site, spoil: Spoil) -> None:
    def errand(openid: str, code: str) -> None:
        site.exchange(code)
        site.send(wechat.engine.component_token.text, openid, f"{code}_from_api")

    spoil(errand)
    assert "It must be the authorizer_access_token that api_query_auth answered with" in failed(wechat, 2)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"touser": "another"}, 'got "another". It is the FromUserName'),
        ({"msgtype": "image", "image": {"media_id": "m"}}, 'Expected msgtype text, got "image"'),
        ({"text": {"content": "from_api"}}, '_from_api", got "from_api"'),
        ({"text": "from_api"}, '_from_api", got ""'),
    ],
)
def test_wrong_message__is_explained(
    wechat: Simulator, site: Site, spoil: Spoil, fields: dict[str, Any], expected: str
) -> None:
    spoil(lambda openid, code: site.send(site.exchange(code), openid, f"{code}_from_api", **fields))
    assert expected in failed(wechat, 2)


def test_message_that_wechat_refuses__fails(wechat: Simulator, site: Site) -> None:
    wechat.control("faults", path=SEND, errcode=-1000, times=1)
    detail = failed(wechat, 2)
    assert "message/custom/send did not succeed (-1000 system error" in detail
    assert "repeat it after a moment" in detail


def test_call_before_the_answer__fails(wechat: Simulator, site: Site) -> None:
    wechat.workbench.examiner.hold = 0.1

    def on_code(received: Received, code: str) -> Reply:
        site.errand(received.push.fields["FromUserName"], code)
        return 200, b""

    site.on_code = on_code  # type: ignore[method-assign]
    results = check(wechat)
    assert [number for number, result in results.items() if not result["ok"]] == [2, 3]
    assert "api_query_auth was called before the push was answered" in results[2]["detail"]


def test_calls_that_exceed_the_timeout__are_named(wechat: Simulator, site: Site) -> None:
    wechat.workbench.examiner.hold = 0.1
    wechat.workbench.examiner.answer_within = WAIT

    def on_code(received: Received, code: str) -> Reply:
        site.exchange(code)
        time.sleep(0.8)
        return 200, b""

    site.on_code = on_code  # type: ignore[method-assign]
    assert "while api_query_auth was called already" in check(wechat)[2]["detail"]


@pytest.mark.parametrize("body", [b"{", b"[]", b"[" * 100_000])
def test_call_that_is_no_json__is_only_refused(wechat: Simulator, site: Site, spoil: Spoil, body: bytes) -> None:
    spoil(lambda openid, code: requests.post(wechat.url + QUERY_AUTH, data=body, timeout=5))
    assert "with another code" in failed(wechat, 2)


# Around it


def test_second_check__is_refused_while_one_runs(wechat: Simulator, site: Site) -> None:
    refused: list[str] = []

    def reply(received: Received, content: str) -> Reply:
        with pytest.raises(ControlError) as error:
            wechat.control("release-check", group=1)
        refused.append(f"{error.value.status} {error.value}")
        return Site.reply(site, received, content)

    site.reply = reply  # type: ignore[method-assign]
    assert all(result["ok"] for result in check(wechat).values())
    assert refused[0] == "409 A release check is under way. Wait for its end."


def test_existing_account__refuses_the_check_and_is_kept(wechat: Simulator, site: Site) -> None:
    wechat.control("accounts", nick_name="Mine", kind="mini", appid=MINI)
    with pytest.raises(ControlError, match=f"There is an account {MINI} already") as error:
        check(wechat)
    assert error.value.status == 409
    assert MINI in wechat.engine.accounts
    assert OFFICIAL not in wechat.engine.accounts


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"group": 6}, "'group' must be one of 1, 2, 3, 4, 5."),
        ({"group": True}, "'group' must be one of"),
        ({"group": [1]}, "'group' must be one of"),
        ({"events_url": "ftp://x/"}, "events_url must be an http:// or https:// address"),
        ({"language": 1}, "'language' must be a text."),
    ],
)
def test_wrong_call__is_refused_with_what_was_expected(wechat: Simulator, body: dict[str, Any], expected: str) -> None:
    with pytest.raises(ControlError, match=re.escape(expected)):
        wechat.control("release-check", **body)
    assert wechat.workbench.examiner._busy.acquire(blocking=False)


def test_chinese__is_available_on_request(wechat: Simulator, site: Site) -> None:
    site.on_event = lambda received: (200, b"ok")  # type: ignore[method-assign]
    result = check(wechat, language="zh")[0]
    assert (result["name"], result["detail"]) == ("推送票据", "应为 success，实为“ok”。不带引号、换行，也不是 JSON。")


def test_removed_account__can_be_added_again(engine: Engine) -> None:
    def account() -> Account:
        return engine.add_account("Tea", "official", appid="wx01", user_name="gh_01")

    assert account().user_name == "gh_01"
    engine.remove_account("wx01")
    assert account().grant is None
    assert engine.account("wx01").nick_name == "Tea"
    assert DEMO_OFFICIAL in engine.accounts


# The words


@pytest.mark.parametrize("table", [VERDICTS, NAMES, STATUS_HINTS, ERRCODE_HINTS], ids=["verdicts", "names", "s", "e"])
def test_both_languages__have_the_same_placeholders(table: dict[Any, dict[str, str]]) -> None:
    def fields(text: str) -> set[str | None]:
        return {name for _, name, _, _ in string.Formatter().parse(text) if name}

    for key, texts in table.items():
        assert set(texts) == {"zh", "en"}, key
        assert fields(texts["zh"]) == fields(texts["en"]), key


@pytest.mark.parametrize(
    ("status", "page", "expected"),
    [
        (301, True, "no redirect"),
        (403, True, "HTML page"),
        (403, False, "TOKEN"),
        (404, True, "the address"),
        (405, False, "accepts no POST"),
        (413, False, "Check the logs"),
        (502, True, "the site's log"),
    ],
)
def test_hint__depends_on_the_status(status: int, page: bool, expected: str) -> None:
    assert expected in status_hint(status, page=page)["en"]


@pytest.mark.parametrize(
    ("errcode", "expected"),
    [(61004, "whitelist"), (61005, "ticket"), (48001, "permission sets"), (47001, "documentation")],
)
def test_hint__depends_on_the_errcode(errcode: int, expected: str) -> None:
    assert expected in errcode_hint(errcode)["en"]

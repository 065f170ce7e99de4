"""Component calls are sent in WeChat's words, and only a whole answer is used."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
import responses
from django.views.debug import ExceptionReporter

from wechat_open.client.component import (
    AUTHORIZER_TOKEN,
    COMPONENT_TOKEN,
    CREATE_PREAUTHCODE,
    GET_AUTHORIZER_INFO,
    GET_AUTHORIZER_LIST,
    PATH,
    QUERY_AUTH,
    START_PUSH_TICKET,
    AuthorizerInfo,
    Grant,
    Listed,
    NewToken,
    PreAuthCode,
    Refreshed,
    authorizer_info,
    authorizer_list,
    authorizer_token,
    component_token,
    create_preauthcode,
    get_option,
    query_auth,
    set_option,
    start_push_ticket,
)
from wechat_open.client.transport import Client
from wechat_open.exceptions import APIError, Unreachable
from wechat_open.secret import Secret

BASE = "https://api.weixin.qq.com"
COMPONENT = "wx1111111111111111"
ACCOUNT = "wxf8b4f85f3a794e77"
TOKEN = Secret("canary-component-token")
TWO_HOURS = timedelta(hours=2)


@dataclass(frozen=True)
class Credentials:
    appid: str
    appsecret: Secret


PLATFORM = Credentials(COMPONENT, Secret("canary-appsecret"))
CLIENT = Client(BASE, (1, 1))

FUNC_INFO = [{"funcscope_category": {"id": 1}}, {"funcscope_category": {"id": 15}}]
PAIR = {
    "authorizer_access_token": "canary-access",
    "expires_in": 7200,
    "authorizer_refresh_token": "refreshtoken@@@canary",
}
GRANT = {"authorization_info": {"authorizer_appid": ACCOUNT, **PAIR, "func_info": FUNC_INFO}}
INFO = {
    "authorizer_info": {"nick_name": "街角小店", "user_name": "gh_1"},
    "authorization_info": {
        "authorizer_appid": ACCOUNT,
        "authorizer_refresh_token": "refreshtoken@@@canary",
        "func_info": FUNC_INFO,
    },
}
ENTRY = {"authorizer_appid": ACCOUNT, "refresh_token": "refreshtoken@@@canary", "auth_time": 1700000000}


@pytest.fixture
def wechat() -> Iterator[responses.RequestsMock]:
    with responses.RequestsMock() as mock:
        yield mock


def sent(wechat: responses.RequestsMock) -> Any:
    """The body of the only request."""
    assert len(wechat.calls) == 1
    return json.loads(wechat.calls[0].request.body or "null")


def query(wechat: responses.RequestsMock) -> dict[str, str]:
    found: dict[str, str] = wechat.calls[0].request.params  # type: ignore[attr-defined]
    return found


class TestRequests:
    def test_start_push_ticket__has_a_name_of_its_own_for_the_secret(self, wechat: responses.RequestsMock) -> None:
        wechat.post(BASE + START_PUSH_TICKET, json={"errcode": 0, "errmsg": "in a normal state"})

        assert CLIENT.run(start_push_ticket(PLATFORM)) == "in a normal state"
        assert sent(wechat) == {"component_appid": COMPONENT, "component_secret": "canary-appsecret"}
        assert query(wechat) == {}

    def test_component_token__takes_secret_and_ticket(self, wechat: responses.RequestsMock) -> None:
        wechat.post(BASE + COMPONENT_TOKEN, json={"component_access_token": "new", "expires_in": 7200})

        assert CLIENT.run(component_token(PLATFORM, Secret("ticket@@@one"))) == NewToken(Secret("new"), TWO_HOURS)
        assert sent(wechat) == {
            "component_appid": COMPONENT,
            "component_appsecret": "canary-appsecret",
            "component_verify_ticket": "ticket@@@one",
        }
        assert query(wechat) == {}

    def test_create_preauthcode__has_the_lifetime_of_the_answer(self, wechat: responses.RequestsMock) -> None:
        wechat.post(BASE + CREATE_PREAUTHCODE, json={"pre_auth_code": "preauthcode@@@one", "expires_in": 1800})

        code = CLIENT.run(create_preauthcode(PLATFORM), TOKEN)
        assert code == PreAuthCode(Secret("preauthcode@@@one"), timedelta(minutes=30))
        assert sent(wechat) == {"component_appid": COMPONENT}
        assert query(wechat) == {"component_access_token": TOKEN.reveal()}

    def test_query_auth__returns_the_grant_with_wechats_time(self, wechat: responses.RequestsMock) -> None:
        wechat.post(BASE + QUERY_AUTH, json=GRANT, headers={"Date": "Sun, 22 Nov 2026 08:00:00 GMT"})

        assert CLIENT.run(query_auth(PLATFORM, Secret("queryauthcode@@@one")), TOKEN) == Grant(
            appid=ACCOUNT,
            access=NewToken(Secret("canary-access"), TWO_HOURS),
            refresh_token=Secret("refreshtoken@@@canary"),
            func_info=(1, 15),
            answered_at=datetime(2026, 11, 22, 8, tzinfo=timezone.utc),
        )
        assert sent(wechat) == {"component_appid": COMPONENT, "authorization_code": "queryauthcode@@@one"}
        assert query(wechat) == {"component_access_token": TOKEN.reveal()}

    @pytest.mark.parametrize("empty", [{}, {"authorizer_access_token": "", "authorizer_refresh_token": ""}])
    def test_query_auth_of_an_account_without_apis__has_no_tokens(
        self, wechat: responses.RequestsMock, empty: dict[str, str]
    ) -> None:
        wechat.post(BASE + QUERY_AUTH, json={"authorization_info": {"authorizer_appid": ACCOUNT, **empty}})

        grant = CLIENT.run(query_auth(PLATFORM, Secret("code")), TOKEN)
        assert (grant.access, grant.refresh_token, grant.func_info) == (None, Secret(), ())

    def test_authorizer_token__returns_the_pair(self, wechat: responses.RequestsMock) -> None:
        wechat.post(BASE + AUTHORIZER_TOKEN, json=PAIR)

        assert CLIENT.run(authorizer_token(PLATFORM, ACCOUNT, Secret("refreshtoken@@@old")), TOKEN) == Refreshed(
            NewToken(Secret("canary-access"), TWO_HOURS), Secret("refreshtoken@@@canary")
        )
        assert sent(wechat) == {
            "component_appid": COMPONENT,
            "authorizer_appid": ACCOUNT,
            "authorizer_refresh_token": "refreshtoken@@@old",
        }
        assert query(wechat) == {"component_access_token": TOKEN.reveal()}

    @pytest.mark.parametrize("empty", [{}, {"authorizer_refresh_token": ""}, {"authorizer_refresh_token": None}])
    def test_authorizer_token_without_a_refresh_token__is_good(
        self, wechat: responses.RequestsMock, empty: dict[str, Any]
    ) -> None:
        wechat.post(BASE + AUTHORIZER_TOKEN, json={"authorizer_access_token": "a", "expires_in": "7200", **empty})

        refreshed = CLIENT.run(authorizer_token(PLATFORM, ACCOUNT, Secret("old")), TOKEN)
        assert refreshed == Refreshed(NewToken(Secret("a"), TWO_HOURS), Secret())

    def test_authorizer_info__returns_profile_and_permissions(self, wechat: responses.RequestsMock) -> None:
        wechat.post(BASE + GET_AUTHORIZER_INFO, json=INFO)

        assert CLIENT.run(authorizer_info(PLATFORM, ACCOUNT), TOKEN) == AuthorizerInfo(
            profile={"nick_name": "街角小店", "user_name": "gh_1"},
            refresh_token=Secret("refreshtoken@@@canary"),
            func_info=(1, 15),
        )
        assert sent(wechat) == {"component_appid": COMPONENT, "authorizer_appid": ACCOUNT}

    def test_authorizer_info_without_a_refresh_token__is_good(self, wechat: responses.RequestsMock) -> None:
        wechat.post(BASE + GET_AUTHORIZER_INFO, json={"authorizer_info": {}, "authorization_info": {}})

        assert CLIENT.run(authorizer_info(PLATFORM, ACCOUNT), TOKEN) == AuthorizerInfo({}, Secret(), ())

    def test_authorizer_list__is_requested_by_500(self, wechat: responses.RequestsMock) -> None:
        bare = {"authorizer_appid": "wxbare", "auth_time": "1700000001"}
        wechat.post(BASE + GET_AUTHORIZER_LIST, json={"total_count": 502, "list": [ENTRY, bare]})

        page = CLIENT.run(authorizer_list(PLATFORM, 500), TOKEN)
        first = datetime.fromtimestamp(1700000000, timezone.utc)
        assert page.total_count == 502
        assert page.authorizers == (
            Listed(ACCOUNT, Secret("refreshtoken@@@canary"), first),
            Listed("wxbare", Secret(), first + timedelta(seconds=1)),
        )
        assert sent(wechat) == {"component_appid": COMPONENT, "offset": 500, "count": 500}

    def test_empty_list__is_a_page(self, wechat: responses.RequestsMock) -> None:
        wechat.post(BASE + GET_AUTHORIZER_LIST, json={"total_count": 0, "list": []})

        assert CLIENT.run(authorizer_list(PLATFORM), TOKEN).authorizers == ()

    def test_token_parameter__is_a_setting(self, wechat: responses.RequestsMock) -> None:
        wechat.post(BASE + CREATE_PREAUTHCODE, json={"pre_auth_code": "c", "expires_in": 600})
        client = Client(BASE, (1, 1), component_parameter="access_token")

        client.run(create_preauthcode(PLATFORM), TOKEN)
        assert query(wechat) == {"access_token": TOKEN.reveal()}


class TestOptions:
    @pytest.mark.parametrize(
        ("option_api", "prefix", "parameter"),
        [("current", "", "access_token"), ("legacy", "api_", "component_access_token")],
    )
    def test_addresses__are_a_setting(
        self, wechat: responses.RequestsMock, option_api: str, prefix: str, parameter: str
    ) -> None:
        body = {"component_appid": COMPONENT, "authorizer_appid": ACCOUNT, "option_name": "voice_recognize"}
        wechat.post(f"{BASE}{PATH}{prefix}get_authorizer_option", json={"option_name": "v", "option_value": "1"})
        wechat.post(f"{BASE}{PATH}{prefix}set_authorizer_option", json={"errcode": 0, "errmsg": "ok"})

        assert CLIENT.run(get_option(PLATFORM, ACCOUNT, "voice_recognize", option_api), TOKEN) == "1"
        CLIENT.run(set_option(PLATFORM, ACCOUNT, "voice_recognize", "0", option_api), TOKEN)

        got, put = (json.loads(call.request.body or "") for call in wechat.calls)
        assert (got, put) == (body, {**body, "option_value": "0"})
        assert all(call.request.params == {parameter: TOKEN.reveal()} for call in wechat.calls)  # type: ignore[attr-defined]

    def test_value_that_is_a_number__is_its_text(self, wechat: responses.RequestsMock) -> None:
        wechat.post(f"{BASE}{PATH}get_authorizer_option", json={"option_name": "voice_recognize", "option_value": 0})

        assert CLIENT.run(get_option(PLATFORM, ACCOUNT, "voice_recognize"), TOKEN) == "0"

    def test_answer_without_a_value__is_unusable(self, wechat: responses.RequestsMock) -> None:
        wechat.post(f"{BASE}{PATH}get_authorizer_option", json={"option_name": "voice_recognize"})

        with pytest.raises(Unreachable, match="option_value"):
            CLIENT.run(get_option(PLATFORM, ACCOUNT, "voice_recognize"), TOKEN)


def without(data: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in data.items() if key != name}


TICKET = Secret("ticket@@@canary")
CODE = Secret("queryauthcode@@@canary")
OLD = Secret("refreshtoken@@@canary-old")
CALLS: dict[str, Callable[[], object]] = {
    START_PUSH_TICKET: lambda: CLIENT.run(start_push_ticket(PLATFORM)),
    COMPONENT_TOKEN: lambda: CLIENT.run(component_token(PLATFORM, TICKET)),
    CREATE_PREAUTHCODE: lambda: CLIENT.run(create_preauthcode(PLATFORM), TOKEN),
    QUERY_AUTH: lambda: CLIENT.run(query_auth(PLATFORM, CODE), TOKEN),
    AUTHORIZER_TOKEN: lambda: CLIENT.run(authorizer_token(PLATFORM, ACCOUNT, OLD), TOKEN),
    GET_AUTHORIZER_INFO: lambda: CLIENT.run(authorizer_info(PLATFORM, ACCOUNT), TOKEN),
    GET_AUTHORIZER_LIST: lambda: CLIENT.run(authorizer_list(PLATFORM), TOKEN),
}


def tokens(name: str) -> list[dict[str, Any]]:
    """A token's answers that lack something."""
    good = {name: "canary-new-token", "expires_in": 7200}
    lives = [None, "soon", "", [], 0, -1, 10**9, 10**30, float("inf"), float("nan"), {"a": 1}]
    return [
        {},
        without(good, name),
        without(good, "expires_in"),
        *({**good, name: bad} for bad in ("", None, 0, 7, ["canary-new-token"], {"canary": "token"})),
        *({**good, "expires_in": bad} for bad in lives),
    ]


MALFORMED: list[tuple[str, Any]] = [
    *((COMPONENT_TOKEN, bad) for bad in tokens("component_access_token")),
    *((CREATE_PREAUTHCODE, bad) for bad in tokens("pre_auth_code")),
    *((AUTHORIZER_TOKEN, bad) for bad in tokens("authorizer_access_token")),
    (AUTHORIZER_TOKEN, {**PAIR, "authorizer_refresh_token": ["canary"]}),
    (AUTHORIZER_TOKEN, {**PAIR, "authorizer_refresh_token": 7}),
    (AUTHORIZER_TOKEN, {**PAIR, "authorizer_appid": "wxanother"}),
    (AUTHORIZER_TOKEN, {**PAIR, "authorizer_appid": 7}),
    (QUERY_AUTH, {}),
    (QUERY_AUTH, {"authorization_info": None}),
    (QUERY_AUTH, {"authorization_info": [GRANT["authorization_info"]]}),
    *(
        (QUERY_AUTH, {"authorization_info": {**GRANT["authorization_info"], **bad}})
        for bad in (
            {"authorizer_appid": ""},
            {"authorizer_appid": None},
            {"authorizer_appid": 7},
            {"authorizer_appid": "wx" * 33},
            {"authorizer_access_token": ["canary"]},
            {"authorizer_refresh_token": {"canary": 1}},
            {"authorizer_refresh_token": 7},
            {"expires_in": None},
            {"expires_in": 0},
            {"expires_in": True},
        )
    ),
    (GET_AUTHORIZER_INFO, {}),
    (GET_AUTHORIZER_INFO, without(INFO, "authorizer_info")),
    (GET_AUTHORIZER_INFO, without(INFO, "authorization_info")),
    (GET_AUTHORIZER_INFO, {**INFO, "authorizer_info": []}),
    (GET_AUTHORIZER_INFO, {**INFO, "authorization_info": "text"}),
    (GET_AUTHORIZER_INFO, {**INFO, "authorization_info": {"authorizer_refresh_token": 7}}),
    (GET_AUTHORIZER_INFO, {**INFO, "authorization_info": {"authorizer_appid": "wxanother"}}),
    (GET_AUTHORIZER_LIST, {}),
    (GET_AUTHORIZER_LIST, {"list": [ENTRY]}),
    (GET_AUTHORIZER_LIST, {"total_count": 1}),
    *(
        (GET_AUTHORIZER_LIST, {"total_count": 1, "list": bad})
        for bad in (
            None,
            "text",
            {"a": ENTRY},
        )
    ),
    *((GET_AUTHORIZER_LIST, {"total_count": total, "list": [ENTRY]}) for total in (None, "many", [], -1, float("inf"))),
]


def error_page(error: BaseException) -> str:
    """What Django's error page, or its mail to the admins, shows of our frames and their variables."""
    trace = error.__traceback__
    while trace and "wechat_open" not in Path(trace.tb_frame.f_code.co_filename).parts:
        trace = trace.tb_next
    assert trace
    return ExceptionReporter(None, type(error), error, trace).get_traceback_html()  # type: ignore[no-any-return]


ODD: list[tuple[Any, str]] = [
    ("text", ""),
    (None, ""),
    ([ENTRY], ""),
    (without(ENTRY, "authorizer_appid"), ""),
    ({**ENTRY, "authorizer_appid": 7}, ""),
    *(({**ENTRY, "authorizer_appid": appid}, "") for appid in ("wx" * 33, "wx1\nERROR", "公众号")),
    (without(ENTRY, "auth_time"), ACCOUNT),
    *(({**ENTRY, "auth_time": at}, ACCOUNT) for at in (None, "yesterday", 10**30, float("nan"), float("inf"), [])),
    ({**ENTRY, "refresh_token": 7}, ACCOUNT),
]
"""Entries of WeChat's list that cannot be used, and the appid that each names."""


class TestMalformedAnswers:
    @pytest.mark.parametrize(("odd", "appid"), ODD)
    def test_odd_entry_of_the_list__costs_no_other(self, wechat: responses.RequestsMock, odd: Any, appid: str) -> None:
        other = {**ENTRY, "authorizer_appid": "wxother"}
        wechat.post(BASE + GET_AUTHORIZER_LIST, body=json.dumps({"total_count": 2, "list": [odd, other]}))

        page = CLIENT.run(authorizer_list(PLATFORM), TOKEN)

        assert [entry.appid for entry in page.authorizers] == ["wxother"]
        assert (page.skipped, page.received) == ((appid,), 2)

    @pytest.mark.parametrize("func_info", [None, "absent", {}, "text", [None], [{"funcscope_category": {"id": "x"}}]])
    def test_func_info_that_says_nothing__is_no_empty_list_of_sets(
        self, wechat: responses.RequestsMock, func_info: Any
    ) -> None:
        authorization = {} if func_info == "absent" else {"func_info": func_info}
        wechat.post(BASE + GET_AUTHORIZER_INFO, json={"authorizer_info": {}, "authorization_info": authorization})
        wechat.post(BASE + GET_AUTHORIZER_INFO, json={"authorizer_info": {}, "authorization_info": {"func_info": []}})

        assert [CLIENT.run(authorizer_info(PLATFORM, ACCOUNT), TOKEN).lists_sets for _ in range(2)] == [False, True]

    @pytest.mark.parametrize(("path", "answer"), MALFORMED)
    def test_half_an_answer__is_none_and_shows_no_secret(
        self, wechat: responses.RequestsMock, path: str, answer: Any
    ) -> None:
        wechat.post(BASE + path, body=json.dumps(answer))

        with pytest.raises(Unreachable) as failed:
            CALLS[path]()
        assert failed.value.path == path
        assert "canary" not in str(failed.value)

    @pytest.mark.parametrize("path", list(CALLS))
    def test_picture_instead_of_json__is_unusable(self, wechat: responses.RequestsMock, path: str) -> None:
        wechat.post(BASE + path, body=b"\xff\xd8\xff\xe0", content_type="image/jpeg")

        with pytest.raises(Unreachable, match="not JSON"):
            CALLS[path]()

    @pytest.mark.parametrize("path", list(CALLS))
    def test_errcode__is_raised_with_its_path(self, wechat: responses.RequestsMock, path: str) -> None:
        wechat.post(BASE + path, json={"errcode": 45009, "errmsg": "reach max api daily quota limit"})

        with pytest.raises(APIError) as refused:
            CALLS[path]()
        assert (refused.value.errcode, refused.value.path) == (45009, path)


class TestErrorPages:
    @pytest.mark.parametrize(
        ("path", "answer"),
        [
            (START_PUSH_TICKET, {"errcode": 40125, "errmsg": "invalid appsecret=canary-appsecret"}),
            (COMPONENT_TOKEN, {"component_access_token": "canary-new-token"}),
            (CREATE_PREAUTHCODE, {"pre_auth_code": "preauthcode@@@canary", "expires_in": 0}),
            (QUERY_AUTH, {"authorization_info": {**PAIR, "authorizer_appid": ""}}),
            (QUERY_AUTH, {"authorization_info": {**PAIR, "authorizer_appid": ACCOUNT, "expires_in": 0}}),
            (AUTHORIZER_TOKEN, {**PAIR, "expires_in": "soon"}),
            (AUTHORIZER_TOKEN, {**PAIR, "authorizer_refresh_token": ["canary"]}),
            (AUTHORIZER_TOKEN, {"errcode": 61023, "errmsg": "refresh_token refreshtoken@@@canary is invalid"}),
            (GET_AUTHORIZER_INFO, without(INFO, "authorizer_info")),
            (GET_AUTHORIZER_LIST, {"total_count": "many", "list": [ENTRY]}),
            (GET_AUTHORIZER_LIST, {"list": [ENTRY]}),
        ],
    )
    def test_error_page__shows_no_secret(self, wechat: responses.RequestsMock, path: str, answer: Any) -> None:
        wechat.post(BASE + path, json=answer)

        with pytest.raises((APIError, Unreachable)) as failed:
            CALLS[path]()
        page = error_page(failed.value)
        assert "transport.py" in page
        assert "canary" not in page

    def test_error_page_of_a_lost_call__shows_no_secret(self, wechat: responses.RequestsMock) -> None:
        wechat.post(BASE + COMPONENT_TOKEN, body=ConnectionError("canary"))

        with pytest.raises(Unreachable) as failed:
            CALLS[COMPONENT_TOKEN]()
        page = error_page(failed.value)
        assert "transport.py" in page
        assert "canary" not in page

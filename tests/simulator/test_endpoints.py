"""Does the API answer as WeChat's does, over real HTTP?"""

from __future__ import annotations

import re
from email.utils import parsedate_to_datetime
from typing import Any

import pytest
import requests

from tests.simulator.callback import Callback
from tests.simulator.conftest import Api
from wechat_open.client import Answer, Client
from wechat_open.exceptions import APIError, PermissionMissing
from wechat_open.secret import Secret
from wechat_open.simulator import DEMO_MINI, DEMO_OFFICIAL, Simulator
from wechat_open.simulator.accounts import demo_openid
from wechat_open.simulator.menu import MenuButton

COMPONENT = "/cgi-bin/component"
RID = re.compile(r" rid: [0-9a-f]{8}-[0-9a-f]{8}-[0-9a-f]{8}$")


def authorized(wechat: Simulator, appid: str = DEMO_OFFICIAL, permissions: tuple[int, ...] | None = None) -> str:
    """The account's access token."""
    return wechat.engine.query_auth(wechat.engine.authorize(appid, permissions=permissions).code)[2].text


def call(wechat: Simulator, method: str, path: str, **kwargs: Any) -> Any:
    return requests.request(method, wechat.url + path, timeout=5, **kwargs).json()


def post(wechat: Simulator, path: str, token: str, body: dict[str, Any]) -> Any:
    content = str(body).replace("'", '"').encode()  # real characters, which json= would escape
    return call(wechat, "POST", f"{path}?access_token={token}", data=content)


def ours(wechat: Simulator, method: str, path: str, token: str, **options: Any) -> Answer:
    """The call as the app makes it."""
    return Client(wechat.url, (1, 5)).call(method, path, token=Secret(token), **options)


# The component


def test_component_token__for_secret_and_ticket(wechat: Simulator) -> None:
    wechat.engine.new_ticket()
    body = {
        "component_appid": wechat.engine.settings.appid,
        "component_appsecret": wechat.engine.settings.appsecret,
        "component_verify_ticket": wechat.engine.ticket,
    }
    answer = call(wechat, "POST", f"{COMPONENT}/api_component_token", json=body)
    assert answer == {"component_access_token": wechat.engine.component_token.text, "expires_in": 7200}


@pytest.mark.parametrize(
    ("change", "errcode"),
    [
        ({"component_appid": ""}, 41018),
        ({"component_appid": "wxother"}, 40013),
        ({"component_appsecret": ""}, 41004),
        ({"component_appsecret": "wrong"}, 40125),
        ({"component_verify_ticket": None}, 61006),
    ],
)
def test_component_token__refused_with_wechats_number(api: Api, wechat: Simulator, change: Any, errcode: int) -> None:
    body = {"component_appsecret": wechat.engine.settings.appsecret, "component_verify_ticket": "ticket@@@x", **change}
    answer = api(f"{COMPONENT}/api_component_token", body, token="")
    assert answer["errcode"] == errcode
    assert RID.search(answer["errmsg"])


def test_start_push_ticket__wants_component_secret_and_pushes(api: Api, wechat: Simulator, callback: Callback) -> None:
    path, secret = f"{COMPONENT}/api_start_push_ticket", wechat.engine.settings.appsecret
    assert api(path, {"component_appsecret": secret})["errcode"] == 41004
    assert api(path, {"component_secret": secret}) == {"errcode": 0, "errmsg": "in a normal state"}
    wechat.engine.settings.pushing = False
    assert api(path, {"component_secret": secret}) == {"errcode": 0, "errmsg": "ok"}
    assert wechat.engine.settings.pushing
    callback.wait_for("component_verify_ticket")


def test_answer__looks_like_wechats(wechat: Simulator) -> None:
    wechat.clock.advance(10 * 86400)
    response = requests.get(f"{wechat.url}/cgi-bin/getcallbackip", timeout=5)
    assert response.status_code == 200
    assert response.headers["Content-Type"] == "application/json; encoding=utf-8"
    assert abs(parsedate_to_datetime(response.headers["Date"]).timestamp() - wechat.clock.now()) < 5


def test_unknown_path__is_an_invalid_url(wechat: Simulator) -> None:
    with pytest.raises(APIError, match="40066 invalid url") as refused:
        ours(wechat, "POST", "/cgi-bin/nothing", authorized(wechat), json={})
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
def test_malformed_call__gets_its_number(
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


# Grants


def test_query_auth__gives_tokens_and_sets(api: Api, wechat: Simulator) -> None:
    code = wechat.engine.authorize(DEMO_MINI, permissions=(19, 17)).code
    answer = api(f"{COMPONENT}/api_query_auth", {"authorization_code": code})["authorization_info"]
    grant = wechat.engine.account(DEMO_MINI).grant
    assert answer == {
        "authorizer_appid": DEMO_MINI,
        "authorizer_access_token": grant.access.text,
        "expires_in": 7200,
        "authorizer_refresh_token": grant.refresh_token,
        "func_info": [{"funcscope_category": {"id": 17}}, {"funcscope_category": {"id": 19}}],
    }
    assert api(f"{COMPONENT}/api_query_auth", {"authorization_code": code})["errcode"] == 61009


def test_refresh__gives_a_new_pair(api: Api, wechat: Simulator) -> None:
    wechat.engine.settings.token_life = 20
    authorized(wechat)
    old = wechat.engine.account(DEMO_OFFICIAL).grant.refresh_token
    body = {"authorizer_appid": DEMO_OFFICIAL, "authorizer_refresh_token": old}
    answer = api(f"{COMPONENT}/api_authorizer_token", body)
    grant = wechat.engine.account(DEMO_OFFICIAL).grant
    assert answer == {
        "authorizer_access_token": grant.access.text,
        "expires_in": 20,
        "authorizer_refresh_token": grant.refresh_token,
    }
    assert api(f"{COMPONENT}/api_authorizer_token", body)["errcode"] == 61023
    assert api(f"{COMPONENT}/api_authorizer_token", {})["errcode"] == 41002
    assert wechat.engine.account(DEMO_OFFICIAL).refreshes == 2


def test_info__tells_a_mini_program_by_its_own_field(api: Api, wechat: Simulator) -> None:
    for appid, mini in ((DEMO_OFFICIAL, False), (DEMO_MINI, True)):
        assert api(f"{COMPONENT}/api_get_authorizer_info", {"authorizer_appid": appid})["errcode"] == 61003
        wechat.engine.authorize(appid)
        answer = api(f"{COMPONENT}/api_get_authorizer_info", {"authorizer_appid": appid})
        assert ("MiniProgramInfo" in answer["authorizer_info"]) is mini
        assert answer["authorizer_info"]["user_name"].startswith("gh_")
        grant = wechat.engine.account(appid).grant
        assert answer["authorization_info"]["authorizer_refresh_token"] == grant.refresh_token
        assert "authorizer_access_token" not in answer["authorization_info"]


def test_list__pages_by_five_hundred_at_most(api: Api, wechat: Simulator) -> None:
    wechat.engine.authorize(DEMO_OFFICIAL)
    wechat.engine.authorize(DEMO_MINI)
    answer = api(f"{COMPONENT}/api_get_authorizer_list", {"offset": 1, "count": 500})
    grant = wechat.engine.account(DEMO_MINI).grant
    entry = {"authorizer_appid": DEMO_MINI, "refresh_token": grant.refresh_token, "auth_time": grant.auth_time}
    assert answer == {"total_count": 2, "list": [entry]}
    assert api(f"{COMPONENT}/api_get_authorizer_list", {"offset": 0, "count": 501})["errcode"] == 40170
    assert api(f"{COMPONENT}/api_get_authorizer_list", {"offset": "0", "count": 1})["errcode"] == 40097
    assert api(f"{COMPONENT}/api_get_authorizer_list", {"offset": True, "count": 1})["errcode"] == 40097


def test_info_and_list__can_keep_the_refresh_token_to_themselves(api: Api, wechat: Simulator) -> None:
    wechat.engine.authorize(DEMO_OFFICIAL)
    wechat.engine.settings.empty_refresh_in_info = wechat.engine.settings.empty_refresh_in_list = True
    info = api(f"{COMPONENT}/api_get_authorizer_info", {"authorizer_appid": DEMO_OFFICIAL})
    assert "authorizer_refresh_token" not in info["authorization_info"]
    assert api(f"{COMPONENT}/api_get_authorizer_list", {"offset": 0, "count": 1})["list"][0]["refresh_token"] == ""


@pytest.mark.parametrize("prefix", ["", "api_"])
def test_options__with_either_token(api: Api, wechat: Simulator, prefix: str) -> None:
    token = authorized(wechat)
    body = {"authorizer_appid": DEMO_OFFICIAL, "option_name": "voice_recognize", "option_value": "1"}
    assert api(f"{COMPONENT}/{prefix}set_authorizer_option", body)["errcode"] == 0
    answer = api(f"{COMPONENT}/{prefix}get_authorizer_option", {"option_name": "voice_recognize"}, token=token)
    assert answer == body
    assert api(f"{COMPONENT}/{prefix}get_authorizer_option", {"option_name": "voice_recognize"})["errcode"] == 41002


# Quota and diagnosis


def test_quota__is_shown_spent_and_cleared(api: Api, wechat: Simulator) -> None:
    settings, path = wechat.engine.settings, f"{COMPONENT}/api_create_preauthcode"
    settings.quotas = {path: 2}
    api(path)
    quota = api("/cgi-bin/openapi/quota/get", {"cgi_path": path})["quota"]
    assert quota == {"daily_limit": 2, "used": 1, "remain": 1}
    api(path)
    assert api(path)["errcode"] == 45009
    clear = api("/cgi-bin/component/clear_quota/v2", {"appsecret": settings.appsecret}, token="")
    assert clear == {"errcode": 0, "errmsg": "ok"}
    assert "pre_auth_code" in api(path)
    assert api("/cgi-bin/component/clear_quota")["errcode"] == 0
    assert api("/cgi-bin/openapi/quota/get", {"cgi_path": "/sns/userinfo"})["errcode"] == 76022
    assert api("/cgi-bin/openapi/quota/get", {"cgi_path": "cgi-bin/user/get"})["errcode"] == 76003


def test_clear_quota__is_for_the_tokens_own_account(api: Api, wechat: Simulator) -> None:
    secret = {"appsecret": wechat.engine.settings.appsecret, "appid": DEMO_OFFICIAL}
    assert api("/cgi-bin/component/clear_quota/v2", secret, token="")["errcode"] == 43007
    token = authorized(wechat)
    assert api("/cgi-bin/component/clear_quota/v2", secret, token="")["errcode"] == 0
    assert api("/cgi-bin/clear_quota", {"appid": DEMO_OFFICIAL}, token=token)["errcode"] == 0
    assert api("/cgi-bin/clear_quota", {"appid": wechat.engine.settings.appid})["errcode"] == 0
    assert api("/cgi-bin/clear_quota", {"appid": DEMO_OFFICIAL})["errcode"] == 40013
    assert api("/cgi-bin/clear_quota")["errcode"] == 41002


def test_rid__tells_about_a_refused_call(api: Api) -> None:
    refused = api(f"{COMPONENT}/api_query_auth", {"authorization_code": "queryauthcode@@@x"})
    rid = refused["errmsg"].rsplit("rid: ", 1)[1]
    request = api("/cgi-bin/openapi/rid/get", {"rid": rid})["request"]
    assert request["request_url"].endswith("/cgi-bin/component/api_query_auth")
    assert api("/cgi-bin/openapi/rid/get", {"rid": "0-0-0"})["errcode"] == 76001


def test_callback_addresses__with_either_token(wechat: Simulator) -> None:
    answer = call(wechat, "GET", f"/cgi-bin/getcallbackip?access_token={authorized(wechat)}")
    assert answer == {"ip_list": ["127.0.0.1"]}


# In an account's name


def test_customer_service_message__reaches_who_has_written(wechat: Simulator) -> None:
    token = authorized(wechat)
    message = {"touser": "o1", "msgtype": "text", "text": {"content": "你好"}}
    assert post(wechat, "/cgi-bin/message/custom/send", token, message)["errcode"] == 45015
    wechat.engine.message(DEMO_OFFICIAL, "o1", {"MsgType": "text"})
    assert post(wechat, "/cgi-bin/message/custom/send", token, message)["errcode"] == 0
    assert wechat.engine.sent_to(DEMO_OFFICIAL, "o1") == [message]
    assert post(wechat, "/cgi-bin/message/custom/send", token, {"touser": "o1"})["errcode"] == 40008


def test_escaped_characters__are_refused(wechat: Simulator) -> None:
    token = authorized(wechat)
    wechat.engine.message(DEMO_OFFICIAL, "o1", {"MsgType": "text"})
    path = f"/cgi-bin/message/custom/send?access_token={token}"
    for content, errcode in ((b"\\u4f60", 40033), (b"\\\\u4f60", 0), (b"\\u0007", 0), (b"C:\\\\\\u00e9", 40033)):
        body = b'{"touser":"o1","msgtype":"text","text":{"content":"%s"}}' % content
        assert call(wechat, "POST", path, data=body)["errcode"] == errcode, content


@pytest.mark.parametrize(("appid", "permission"), [(DEMO_OFFICIAL, 1), (DEMO_MINI, 19)])
def test_customer_service_message__needs_the_kinds_own_set(wechat: Simulator, appid: str, permission: int) -> None:
    others = tuple(set(wechat.engine.account(appid).permissions) - {permission})
    answer = post(wechat, "/cgi-bin/message/custom/send", authorized(wechat, appid, others), {"touser": "o1"})
    assert answer["errcode"] == 61007


ARTICLE = {"title": "新书", "description": "到店", "url": "https://example.com/", "picurl": ""}


@pytest.mark.parametrize(
    ("appid", "kind", "content"),
    [
        (DEMO_OFFICIAL, "image", {"media_id": "m1"}),
        (DEMO_OFFICIAL, "voice", {"media_id": "m1"}),
        (DEMO_OFFICIAL, "video", {"media_id": "m1", "title": "片子"}),
        (DEMO_OFFICIAL, "music", {"musicurl": "https://a/", "hqmusicurl": "https://a/", "thumb_media_id": "m1"}),
        (DEMO_OFFICIAL, "news", {"articles": [ARTICLE]}),
        (DEMO_OFFICIAL, "mpnewsarticle", {"article_id": "a1"}),
        (DEMO_OFFICIAL, "msgmenu", {"head_content": "满意吗？", "list": [{"id": "1", "content": "满意"}]}),
        (DEMO_MINI, "link", {"title": "新书", "description": "到店", "url": "https://a/", "thumb_url": "https://a/"}),
        (DEMO_MINI, "miniprogrampage", {"title": "书架", "pagepath": "pages/shelf", "thumb_media_id": "m1"}),
    ],
)
def test_customer_service_message__of_each_kind(wechat: Simulator, appid: str, kind: str, content: Any) -> None:
    token = authorized(wechat, appid)
    wechat.engine.message(appid, "o1", {"MsgType": "text"})
    message = {"touser": "o1", "msgtype": kind, kind: content}
    assert post(wechat, "/cgi-bin/message/custom/send", token, message)["errcode"] == 0
    assert wechat.engine.sent_to(appid, "o1") == [message]


@pytest.mark.parametrize(
    ("appid", "message", "errcode"),
    [
        (DEMO_OFFICIAL, {}, 40008),
        (DEMO_OFFICIAL, {"msgtype": "poem", "poem": {"content": "山茶"}}, 40008),
        (DEMO_OFFICIAL, {"msgtype": "text", "text": "山茶"}, 40008),
        (DEMO_OFFICIAL, {"msgtype": "link", "link": {}}, 40008),
        (DEMO_MINI, {"msgtype": "voice", "voice": {"media_id": "m1"}}, 40008),
        (DEMO_OFFICIAL, {"msgtype": "text", "text": {}}, 44004),
        (DEMO_OFFICIAL, {"msgtype": "text", "text": {"content": ""}}, 44004),
        (DEMO_OFFICIAL, {"msgtype": "text", "text": {"content": 7}}, 44004),
        (DEMO_OFFICIAL, {"msgtype": "image", "image": {"id": "m1"}}, 41006),
        (DEMO_OFFICIAL, {"msgtype": "news", "news": {"articles": []}}, 44003),
        (DEMO_OFFICIAL, {"msgtype": "news", "news": {"articles": ARTICLE}}, 44003),
        (DEMO_OFFICIAL, {"msgtype": "news", "news": {"articles": ["新书"]}}, 44003),
        (DEMO_OFFICIAL, {"msgtype": "news", "news": {"articles": [ARTICLE, ARTICLE]}}, 45008),
        (DEMO_OFFICIAL, {"msgtype": "text", "text": {"content": "长" * 683}}, 45002),
        (DEMO_OFFICIAL, {"msgtype": "text", "text": {"content": "a" * 2049}}, 45002),
        (DEMO_OFFICIAL, {"msgtype": "msgmenu", "msgmenu": {"list": [{"id": "1"}]}}, 40097),
        (DEMO_MINI, {"msgtype": "link", "link": {"title": "新书"}}, 40097),
        (DEMO_OFFICIAL, {"touser": "", "msgtype": "text", "text": {"content": "山茶"}}, 40003),
    ],
)
def test_customer_service_message__of_a_wrong_shape(
    wechat: Simulator, appid: str, message: dict[str, Any], errcode: int
) -> None:
    token = authorized(wechat, appid)
    wechat.engine.message(appid, "o1", {"MsgType": "text"})
    assert post(wechat, "/cgi-bin/message/custom/send", token, {"touser": "o1", **message})["errcode"] == errcode
    assert wechat.engine.sent_to(appid, "o1") == []


def test_typing__is_shown_where_a_message_could_be_sent(wechat: Simulator) -> None:
    token, path = authorized(wechat), "/cgi-bin/message/custom/typing"
    assert post(wechat, path, token, {"touser": "o1", "command": "Typing"})["errcode"] == 45015
    wechat.engine.message(DEMO_OFFICIAL, "o1", {"MsgType": "text"})
    assert post(wechat, path, token, {"touser": "o1", "command": "Typing"})["errcode"] == 0
    assert post(wechat, path, token, {"touser": "o1", "command": "CancelTyping"})["errcode"] == 0
    assert post(wechat, path, token, {"touser": "o1", "command": "typing"})["errcode"] == 45072
    assert post(wechat, path, token, {"command": "Typing"})["errcode"] == 40003


def test_template_message__is_followed_by_its_outcome(wechat: Simulator, callback: Callback) -> None:
    token, path, openid = authorized(wechat), "/cgi-bin/message/template/send", demo_openid(DEMO_OFFICIAL, 1)
    answer = post(wechat, path, token, {"touser": openid, "template_id": "t1", "data": {"thing1": {"value": "新书"}}})
    assert answer["errcode"] == 0

    received = callback.wait_for("TEMPLATESENDJOBFINISH")
    fields = dict(received.push.fields)
    assert received.path == f"/wechat/messages/{DEMO_OFFICIAL}/"
    assert int(fields.pop("CreateTime"))
    assert fields == {
        "ToUserName": wechat.engine.account(DEMO_OFFICIAL).user_name,
        "FromUserName": openid,
        "MsgType": "event",
        "Event": "TEMPLATESENDJOBFINISH",
        "MsgID": str(answer["msgid"]),
        "Status": "success",
    }
    message = {"touser": openid, "msgtype": "text", "text": {"content": "你好"}}
    assert post(wechat, "/cgi-bin/message/custom/send", token, message)["errcode"] == 45015


def test_template_message__is_for_those_who_follow(wechat: Simulator) -> None:
    token, path = authorized(wechat), "/cgi-bin/message/template/send"
    body = {"touser": "o1", "template_id": "t1", "data": {}}
    assert post(wechat, path, token, body)["errcode"] == 43004
    wechat.engine.message(DEMO_OFFICIAL, "o1", {"MsgType": "event", "Event": "subscribe"})
    assert post(wechat, path, token, body)["errcode"] == 0
    wechat.engine.message(DEMO_OFFICIAL, "o1", {"MsgType": "event", "Event": "unsubscribe"})
    assert post(wechat, path, token, body)["errcode"] == 43004


TEMPLATES = [
    ("/cgi-bin/message/template/send", DEMO_OFFICIAL, 7),
    ("/cgi-bin/message/subscribe/send", DEMO_MINI, 18),
    ("/cgi-bin/message/subscribe/bizsend", DEMO_OFFICIAL, 89),
]


@pytest.mark.parametrize(("path", "appid", "permission"), TEMPLATES)
def test_message_from_a_template__needs_the_kinds_own_set(
    wechat: Simulator, path: str, appid: str, permission: int
) -> None:
    body = {"touser": "o1", "template_id": "t1", "data": {"thing1": {"value": "新书"}, "number2": {"value": 3}}}
    other = DEMO_MINI if appid == DEMO_OFFICIAL else DEMO_OFFICIAL
    wechat.engine.message(appid, "o1", {"MsgType": "text"})
    assert post(wechat, path, authorized(wechat, appid, (permission,)), body)["errcode"] == 0
    assert post(wechat, path, authorized(wechat, appid, (17,)), body)["errcode"] == 61007
    assert post(wechat, path, authorized(wechat, other, (permission,)), body)["errcode"] == 48001


@pytest.mark.parametrize(("path", "appid", "permission"), TEMPLATES)
@pytest.mark.parametrize(
    ("change", "errcode"),
    [
        ({"touser": ""}, 40003),
        ({"template_id": ""}, 40037),
        ({"data": []}, 47003),
        ({"data": {"thing1": "新书"}}, 47003),
        ({"data": {"thing1": {"color": "#000000"}}}, 47003),
        ({"data": {"thing1": {"value": ""}}}, 47003),
        ({"data": {"thing1": {"value": {}}}}, 47003),
        ({"data": {}}, 0),
    ],
)
def test_message_from_a_template__of_a_wrong_shape(
    wechat: Simulator, path: str, appid: str, permission: int, change: dict[str, Any], errcode: int
) -> None:
    token = authorized(wechat, appid, (permission,))
    wechat.engine.message(appid, "o1", {"MsgType": "text"})
    body = {"touser": "o1", "template_id": "t1", "data": {}, **change}
    assert post(wechat, path, token, body)["errcode"] == errcode


def test_follower_who_refuses__is_a_fault_to_plant(wechat: Simulator) -> None:
    path = "/cgi-bin/message/subscribe/send"
    token = authorized(wechat, DEMO_MINI)
    wechat.control("faults", path=path, errcode=43101)
    answer = post(wechat, path, token, {"touser": "o1", "template_id": "t1", "data": {}})
    assert answer["errcode"] == 43101
    assert answer["errmsg"].startswith("user refuse to accept the msg rid: ")


def test_followers__are_listed_from_an_openid_on(wechat: Simulator) -> None:
    token = authorized(wechat)
    wechat.engine.message(DEMO_OFFICIAL, "o3", {"MsgType": "text"})
    everyone = call(wechat, "GET", f"/cgi-bin/user/get?access_token={token}")
    openids = everyone["data"]["openid"]
    assert everyone == {"total": 3, "count": 3, "data": {"openid": openids}, "next_openid": "o3"}
    after = call(wechat, "GET", f"/cgi-bin/user/get?access_token={token}&next_openid={openids[0]}")
    assert after["data"]["openid"] == openids[1:]
    end = call(wechat, "GET", f"/cgi-bin/user/get?access_token={token}&next_openid=o3")
    assert end == {"total": 3, "count": 0, "next_openid": ""}
    assert call(wechat, "GET", f"/cgi-bin/user/get?access_token={token}&next_openid=o9")["count"] == 0


def test_menu__is_stored(wechat: Simulator) -> None:
    token = authorized(wechat)
    shelf = {"name": "书架", "sub_button": [{"type": "click", "name": "新书", "key": "NEW", "sub_button": []}]}
    shop = {"type": "miniprogram", "name": "小铺", "url": "https://a.cn/", "appid": DEMO_MINI, "pagepath": "pages/shop"}
    scan = {"type": "scancode_push", "name": "扫码", "key": "SCAN"}
    answer = ours(wechat, "POST", "/cgi-bin/menu/create", token, json={"button": [shelf, shop, scan]})
    assert answer.data == {"errcode": 0, "errmsg": "ok"}
    assert wechat.engine.account(DEMO_OFFICIAL).menu == (
        MenuButton("书架", sub_buttons=(MenuButton("新书", "CLICK", "NEW"),)),
        MenuButton("小铺", "view_miniprogram", "pages/shop"),
        MenuButton("扫码"),
    )


@pytest.mark.parametrize(("appid", "granted", "errcode"), [(DEMO_OFFICIAL, (1,), 61007), (DEMO_MINI, (17,), 48001)])
def test_menu__needs_its_set(wechat: Simulator, appid: str, granted: tuple[int, ...], errcode: int) -> None:
    before = wechat.engine.account(appid).menu
    body = {"button": [{"type": "click", "name": "新书", "key": "NEW"}]}
    with pytest.raises(PermissionMissing) as refused:
        ours(wechat, "POST", "/cgi-bin/menu/create", authorized(wechat, appid, granted), json=body)
    assert refused.value.errcode == errcode
    assert wechat.engine.account(appid).menu == before


CLICK = {"type": "click", "name": "新书", "key": "NEW"}
VIEW = {"type": "view", "name": "书店", "url": "https://shop.example.com/"}


@pytest.mark.parametrize(
    ("buttons", "errcode"),
    [
        (None, 40016),
        ([], 40016),
        ([CLICK] * 4, 40016),
        (["新书"], 40018),
        ([{**CLICK, "name": ""}], 40018),
        ([{**CLICK, "name": "六个字的名字"}], 40018),
        ([{**CLICK, "type": "sing"}], 40017),
        ([{**CLICK, "key": ""}], 40019),
        ([{**CLICK, "key": "k" * 129}], 40019),
        ([{**VIEW, "url": ""}], 40020),
        ([{**VIEW, "url": "shop.example.com"}], 40020),
        ([{**VIEW, "url": "https://a.cn/" + "x" * 1024}], 40020),
        ([{**VIEW, "type": "miniprogram", "appid": DEMO_MINI}], 40097),
        ([{"type": "media_id", "name": "图片"}], 41006),
    ],
)
def test_menu_of_a_wrong_shape__is_refused_with_wechats_number(wechat: Simulator, buttons: Any, errcode: int) -> None:
    token = authorized(wechat)
    with pytest.raises(APIError) as refused:
        ours(wechat, "POST", "/cgi-bin/menu/create", token, json={"button": buttons})
    assert refused.value.errcode == errcode


@pytest.mark.parametrize(
    ("buttons", "errcode"),
    [
        ([CLICK] * 6, 40023),
        ({"list": [CLICK]}, 40023),
        ([{**CLICK, "name": "字" * 21}], 40025),
        ([{"name": "书架", "sub_button": [CLICK]}], 40024),
        ([{**CLICK, "key": ""}], 40026),
        ([{**VIEW, "url": ""}], 40027),
        ([{**CLICK, "name": "字" * 20}] * 5, 0),
    ],
)
def test_sub_menu__has_numbers_of_its_own(wechat: Simulator, buttons: Any, errcode: int) -> None:
    body = {"button": [{"name": "书架", "sub_button": buttons}]}
    assert post(wechat, "/cgi-bin/menu/create", authorized(wechat), body)["errcode"] == errcode


def test_escaped_menu__is_refused(wechat: Simulator) -> None:
    body = rb'{"button":[{"type":"click","name":"\u65b0\u4e66","key":"NEW"}]}'
    path = f"/cgi-bin/menu/create?access_token={authorized(wechat)}"
    assert call(wechat, "POST", path, data=body)["errcode"] == 40033


PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256))


@pytest.mark.parametrize(("appid", "granted"), [(DEMO_OFFICIAL, (1,)), (DEMO_OFFICIAL, (11,)), (DEMO_MINI, (19,))])
def test_picture_of_a_follower__is_downloaded(wechat: Simulator, appid: str, granted: tuple[int, ...]) -> None:
    media_id = wechat.engine.media.add(appid, PNG)
    answer = ours(
        wechat, "GET", "/cgi-bin/media/get", authorized(wechat, appid, granted), params={"media_id": media_id}
    )
    assert (answer.data, answer.content, answer.content_type) == (None, PNG, "image/png")


def test_picture__has_a_file_name(wechat: Simulator) -> None:
    media_id = wechat.engine.media.add(DEMO_OFFICIAL, PNG)
    query = {"access_token": authorized(wechat), "media_id": media_id}
    response = requests.get(f"{wechat.url}/cgi-bin/media/get", params=query, timeout=5)
    assert response.headers["Content-Disposition"] == f'attachment; filename="{media_id}.png"'


@pytest.mark.parametrize(("media_id", "errcode"), [("...", 40007), ("", 41006)])
def test_picture_that_nobody_sent__is_refused(wechat: Simulator, media_id: str, errcode: int) -> None:
    with pytest.raises(APIError) as refused:
        ours(wechat, "GET", "/cgi-bin/media/get", authorized(wechat), params={"media_id": media_id})
    assert refused.value.errcode == errcode


def test_picture__is_for_the_account_that_it_was_sent_to(wechat: Simulator) -> None:
    media_id = wechat.engine.media.add(DEMO_MINI, PNG)
    with pytest.raises(APIError, match="40007 invalid media_id"):
        ours(wechat, "GET", "/cgi-bin/media/get", authorized(wechat), params={"media_id": media_id})


def test_picture__needs_a_set(wechat: Simulator) -> None:
    media_id = wechat.engine.media.add(DEMO_OFFICIAL, PNG)
    token = authorized(wechat, DEMO_OFFICIAL, (2, 15))
    with pytest.raises(PermissionMissing, match="61007"):
        ours(wechat, "GET", "/cgi-bin/media/get", token, params={"media_id": media_id})


def test_code_templates__are_the_platforms(wechat: Simulator, api: Api) -> None:
    api(f"{COMPONENT}/api_create_preauthcode")
    token, path = wechat.engine.component_token.text, "/wxa/gettemplatelist"
    everything = ours(wechat, "GET", path, token).data["template_list"]
    assert [template["template_type"] for template in everything] == [0, 1]
    assert ours(wechat, "GET", path, token, params={"template_type": 1}).data["template_list"] == everything[1:]
    with pytest.raises(APIError, match="40097"):
        ours(wechat, "GET", path, token, params={"template_type": 7})
    with pytest.raises(APIError, match="61014"):
        ours(wechat, "GET", path, authorized(wechat))
    with pytest.raises(APIError, match="43001"):
        ours(wechat, "POST", path, token, json={})


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_basic_information__in_the_accounts_name(wechat: Simulator, method: str) -> None:
    token = authorized(wechat, DEMO_MINI)
    answer = call(wechat, method, f"/cgi-bin/account/getaccountbasicinfo?access_token={token}")
    assert (answer["appid"], answer["nickname"]) == (DEMO_MINI, "山茶小铺")


def test_js_ticket__by_its_type(wechat: Simulator) -> None:
    path = f"/cgi-bin/ticket/getticket?access_token={authorized(wechat)}"
    assert call(wechat, "GET", path + "&type=jsapi")["expires_in"] == 7200
    assert call(wechat, "GET", path)["errcode"] == 40097


def sns(wechat: Simulator, api: Api, path: str, **query: str) -> Any:
    api(f"{COMPONENT}/api_create_preauthcode")
    token = wechat.engine.component_token.text
    common = {"component_appid": wechat.engine.settings.appid, "grant_type": "authorization_code"}
    return call(wechat, "GET", path, params={**common, "component_access_token": token, **query})


def test_mini_program_login__exchanges_a_code_once(wechat: Simulator, api: Api) -> None:
    path, code = "/sns/component/jscode2session", wechat.engine.new_oauth_code(DEMO_MINI, "o1", "")
    assert sns(wechat, api, path, appid=DEMO_MINI, js_code=code)["errcode"] == 61003
    wechat.engine.authorize(DEMO_MINI)
    assert sns(wechat, api, path, appid=DEMO_MINI, js_code=code)["openid"] == "o1"
    assert sns(wechat, api, path, appid=DEMO_MINI, js_code=code)["errcode"] == 40163
    assert sns(wechat, api, path, appid=DEMO_OFFICIAL, js_code=code)["errcode"] == 48001


def test_web_login__exchanges_a_code_once(wechat: Simulator, api: Api) -> None:
    wechat.engine.authorize(DEMO_OFFICIAL)
    path, code = "/sns/oauth2/component/access_token", wechat.engine.new_oauth_code(DEMO_OFFICIAL, "o1", "snsapi_base")
    answer = sns(wechat, api, path, appid=DEMO_OFFICIAL, code=code)
    assert (answer["openid"], answer["scope"], answer["expires_in"]) == ("o1", "snsapi_base", 7200)


@pytest.mark.parametrize(
    ("change", "errcode"),
    [
        ({"component_appid": ""}, 41018),
        ({"component_appid": "wxother"}, 40013),
        ({"appid": ""}, 41002),
        ({"grant_type": ""}, 40097),
        ({"code": ""}, 41008),
        ({"code": "guessed"}, 40029),
    ],
)
def test_web_login__refused_with_wechats_number(
    wechat: Simulator, api: Api, change: dict[str, str], errcode: int
) -> None:
    wechat.engine.authorize(DEMO_OFFICIAL)
    query = {"appid": DEMO_OFFICIAL, "code": "x", **change}
    assert sns(wechat, api, "/sns/oauth2/component/access_token", **query)["errcode"] == errcode

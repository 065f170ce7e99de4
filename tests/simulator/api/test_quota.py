"""Quotas, request ids and WeChat's addresses. Over real HTTP."""

from __future__ import annotations

from tests.simulator.api.calls import COMPONENT, authorized, call
from tests.simulator.conftest import Api
from wechat_open.simulator import DEMO_OFFICIAL, Simulator


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


def test_rid__describes_a_refused_call(api: Api) -> None:
    refused = api(f"{COMPONENT}/api_query_auth", {"authorization_code": "queryauthcode@@@x"})
    rid = refused["errmsg"].rsplit("rid: ", 1)[1]
    request = api("/cgi-bin/openapi/rid/get", {"rid": rid})["request"]
    assert request["request_url"].endswith("/cgi-bin/component/api_query_auth")
    assert api("/cgi-bin/openapi/rid/get", {"rid": "0-0-0"})["errcode"] == 76001


def test_callback_addresses__with_either_token(wechat: Simulator) -> None:
    answer = call(wechat, "GET", f"/cgi-bin/getcallbackip?access_token={authorized(wechat)}")
    assert answer == {"ip_list": ["127.0.0.1"]}

"""The platform's credentials. Over real HTTP."""

from __future__ import annotations

from typing import Any

import pytest

from tests.simulator.api.calls import COMPONENT, RID, authorized, call
from tests.simulator.callback import Callback
from tests.simulator.conftest import Api
from wechat_open.simulator import DEMO_MINI, DEMO_OFFICIAL, Simulator


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
def test_component_token__is_refused_by_errcode(api: Api, wechat: Simulator, change: Any, errcode: int) -> None:
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

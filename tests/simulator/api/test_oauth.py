"""The login of followers. Over real HTTP."""

from __future__ import annotations

from typing import Any

import pytest

from tests.simulator.api.calls import COMPONENT, call
from tests.simulator.conftest import Api
from wechat_open.simulator import DEMO_MINI, DEMO_OFFICIAL, Simulator


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
def test_web_login__is_refused_with_wechats_errcode(
    wechat: Simulator, api: Api, change: dict[str, str], errcode: int
) -> None:
    wechat.engine.authorize(DEMO_OFFICIAL)
    query = {"appid": DEMO_OFFICIAL, "code": "x", **change}
    assert sns(wechat, api, "/sns/oauth2/component/access_token", **query)["errcode"] == errcode

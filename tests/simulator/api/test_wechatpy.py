"""wechatpy, which shares no code with this project, against the simulator."""

from __future__ import annotations

import warnings

import pytest

from wechat_open.simulator import DEMO_OFFICIAL, Simulator

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from wechatpy.component import WeChatComponent
    from wechatpy.exceptions import WeChatClientException


@pytest.fixture
def component(wechat: Simulator) -> WeChatComponent:
    settings = wechat.engine.settings
    component = WeChatComponent(settings.appid, settings.appsecret, settings.token, settings.encoding_aes_key)
    component.API_BASE_URL = f"{wechat.url}/cgi-bin"
    wechat.engine.new_ticket()
    component.session.set("component_verify_ticket", wechat.engine.ticket)
    return component


def test_whole_grant(wechat: Simulator, component: WeChatComponent) -> None:
    assert component.fetch_access_token()["expires_in"] == 7200
    assert component.create_preauthcode()["pre_auth_code"].startswith("preauthcode@@@")

    code = wechat.control("authorize", appid=DEMO_OFFICIAL)["auth_code"]
    info = component.query_auth(code)["authorization_info"]
    assert info["authorizer_appid"] == DEMO_OFFICIAL

    refreshed = component.refresh_authorizer_token(DEMO_OFFICIAL, info["authorizer_refresh_token"])
    assert refreshed["authorizer_access_token"] != info["authorizer_access_token"]
    assert refreshed["authorizer_refresh_token"] != info["authorizer_refresh_token"]
    with pytest.raises(WeChatClientException, match="61023"):
        component.refresh_authorizer_token(DEMO_OFFICIAL, info["authorizer_refresh_token"])

    assert component.get_authorizer_info(DEMO_OFFICIAL)["authorizer_info"]["nick_name"] == "山茶书店"
    assert component.get_authorizer_list()["total_count"] == 1


def test_dead_component_token__is_replaced(wechat: Simulator, component: WeChatComponent) -> None:
    component.fetch_access_token()
    wechat.control("kill-token", component=True)
    assert "pre_auth_code" in component.create_preauthcode()

"""The authorized accounts. Over real HTTP."""

from __future__ import annotations

from tests.simulator.api.calls import COMPONENT
from tests.simulator.conftest import Api
from wechat_open.simulator import DEMO_MINI, DEMO_OFFICIAL, Simulator


def test_info_of_a_mini_program__has_its_own_field(api: Api, wechat: Simulator) -> None:
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


def test_info_and_list__can_omit_the_refresh_token(api: Api, wechat: Simulator) -> None:
    wechat.engine.authorize(DEMO_OFFICIAL)
    wechat.engine.settings.empty_refresh_in_info = wechat.engine.settings.empty_refresh_in_list = True
    info = api(f"{COMPONENT}/api_get_authorizer_info", {"authorizer_appid": DEMO_OFFICIAL})
    assert "authorizer_refresh_token" not in info["authorization_info"]
    assert api(f"{COMPONENT}/api_get_authorizer_list", {"offset": 0, "count": 1})["list"][0]["refresh_token"] == ""

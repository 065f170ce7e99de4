"""An account: its basic information, options, menu, followers and JS-SDK tickets. Over real HTTP."""

from __future__ import annotations

from typing import Any

import pytest

from tests.simulator.api.calls import COMPONENT, authorized, call, post, request
from tests.simulator.conftest import Api
from wechat_open.exceptions import APIError, PermissionMissing
from wechat_open.simulator import DEMO_MINI, DEMO_OFFICIAL, Simulator
from wechat_open.simulator.state.menu import MenuButton


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_basic_information__in_the_accounts_name(wechat: Simulator, method: str) -> None:
    token = authorized(wechat, DEMO_MINI)
    answer = call(wechat, method, f"/cgi-bin/account/getaccountbasicinfo?access_token={token}")
    assert (answer["appid"], answer["nickname"]) == (DEMO_MINI, "山茶小铺")


@pytest.mark.parametrize("prefix", ["", "api_"])
def test_options__with_either_token(api: Api, wechat: Simulator, prefix: str) -> None:
    token = authorized(wechat)
    body = {"authorizer_appid": DEMO_OFFICIAL, "option_name": "voice_recognize", "option_value": "1"}
    assert api(f"{COMPONENT}/{prefix}set_authorizer_option", body)["errcode"] == 0
    answer = api(f"{COMPONENT}/{prefix}get_authorizer_option", {"option_name": "voice_recognize"}, token=token)
    assert answer == body
    assert api(f"{COMPONENT}/{prefix}get_authorizer_option", {"option_name": "voice_recognize"})["errcode"] == 41002


def test_menu__is_stored(wechat: Simulator) -> None:
    token = authorized(wechat)
    shelf = {"name": "书架", "sub_button": [{"type": "click", "name": "新书", "key": "NEW", "sub_button": []}]}
    shop = {"type": "miniprogram", "name": "小铺", "url": "https://a.cn/", "appid": DEMO_MINI, "pagepath": "pages/shop"}
    scan = {"type": "scancode_push", "name": "扫码", "key": "SCAN"}
    answer = request(wechat, "POST", "/cgi-bin/menu/create", token, json={"button": [shelf, shop, scan]})
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
        request(wechat, "POST", "/cgi-bin/menu/create", authorized(wechat, appid, granted), json=body)
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
def test_menu_of_a_wrong_shape__is_refused_with_wechats_errcode(wechat: Simulator, buttons: Any, errcode: int) -> None:
    token = authorized(wechat)
    with pytest.raises(APIError) as refused:
        request(wechat, "POST", "/cgi-bin/menu/create", token, json={"button": buttons})
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
def test_sub_menu__has_errcodes_of_its_own(wechat: Simulator, buttons: Any, errcode: int) -> None:
    body = {"button": [{"name": "书架", "sub_button": buttons}]}
    assert post(wechat, "/cgi-bin/menu/create", authorized(wechat), body)["errcode"] == errcode


def test_escaped_menu__is_refused(wechat: Simulator) -> None:
    body = rb'{"button":[{"type":"click","name":"\u65b0\u4e66","key":"NEW"}]}'
    path = f"/cgi-bin/menu/create?access_token={authorized(wechat)}"
    assert call(wechat, "POST", path, data=body)["errcode"] == 40033


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


def test_js_ticket__by_its_type(wechat: Simulator) -> None:
    path = f"/cgi-bin/ticket/getticket?access_token={authorized(wechat)}"
    assert call(wechat, "GET", path + "&type=jsapi")["expires_in"] == 7200
    assert call(wechat, "GET", path)["errcode"] == 40097

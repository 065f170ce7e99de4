"""An account: its basic information, options, menu, followers and JS-SDK tickets."""

from __future__ import annotations

from typing import Any

from ..errors import Refused
from ..state.engine import COMPONENT, Engine
from ..state.menu import read_menu
from .registry import OK, Call, endpoint


@endpoint("/cgi-bin/account/getaccountbasicinfo", token="account", method="any")
def get_account_basic_info(engine: Engine, call: Call) -> dict[str, Any]:
    account, _ = engine.granted(call.owner)
    return {
        **OK,
        "appid": account.appid,
        "account_type": 3 if account.kind == "mini" else 2,
        "principal_type": 1,
        "principal_name": account.principal_name,
        "realname_status": 1,
        "nickname": account.nick_name,
        "wx_verify_info": {"qualification_verify": True, "naming_verify": True},
        "signature_info": {"signature": account.info()["signature"], "modify_used_count": 0, "modify_quota": 5},
        "head_image_info": {"head_image_url": "", "modify_used_count": 0, "modify_quota": 5},
    }


@endpoint("/cgi-bin/component/get_authorizer_option", "/cgi-bin/component/api_get_authorizer_option", token="either")
def get_authorizer_option(engine: Engine, call: Call) -> dict[str, Any]:
    appid, name = _option_owner(engine, call), call.text("option_name")
    return {"authorizer_appid": appid, "option_name": name, "option_value": engine.option(appid, name)}


@endpoint("/cgi-bin/component/set_authorizer_option", "/cgi-bin/component/api_set_authorizer_option", token="either")
def set_authorizer_option(engine: Engine, call: Call) -> dict[str, Any]:
    engine.set_option(_option_owner(engine, call), call.text("option_name"), call.text("option_value"))
    return OK


def _option_owner(engine: Engine, call: Call) -> str:
    """The account meant. With the component's token, the body names it: docs/protocol.rst, "Options"."""
    if call.owner != COMPONENT:
        return call.owner
    engine.require_component_appid(call.text("component_appid"))
    return call.required("authorizer_appid")


@endpoint("/cgi-bin/menu/create", token="account", permission={"official": (15,)}, real_characters=True)
def menu_create(engine: Engine, call: Call) -> dict[str, Any]:
    engine.account(call.owner).menu = read_menu(call.body.get("button"))
    return OK


@endpoint("/cgi-bin/user/get", token="account", method="GET", permission={"official": (2,)})
def user_get(engine: Engine, call: Call) -> dict[str, Any]:
    openids = engine.followers(call.owner)
    after = call.query.get("next_openid", "")
    if after:
        openids_after = openids[openids.index(after) + 1 :] if after in openids else []
    else:
        openids_after = openids
    page = openids_after[:10_000]
    content: dict[str, Any] = {"total": len(openids), "count": len(page), "next_openid": page[-1] if page else ""}
    return {**content, "data": {"openid": page}} if page else content


@endpoint("/cgi-bin/ticket/getticket", token="account", method="GET", permission={"official": (4,)})
def get_ticket(engine: Engine, call: Call) -> dict[str, Any]:
    if call.query.get("type") not in ("jsapi", "wx_card"):
        raise Refused(40097)
    return {**OK, "ticket": engine.random_text(48), "expires_in": 7200}

"""The accounts that have authorized the platform."""

from __future__ import annotations

from typing import Any

from ..errors import Refused
from ..state.accounts import Account, func_info
from ..state.engine import Engine
from .registry import Call, endpoint


@endpoint("/cgi-bin/component/api_get_authorizer_info", token="component", component_appid=True)
def get_authorizer_info(engine: Engine, call: Call) -> dict[str, Any]:
    account, grant = engine.granted(call.required("authorizer_appid"))
    authorization = {"authorizer_appid": account.appid, "func_info": func_info(grant.permissions)}
    if not engine.settings.empty_refresh_in_info:
        authorization["authorizer_refresh_token"] = grant.refresh_token
    return {"authorizer_info": account.info(), "authorization_info": authorization}


@endpoint("/cgi-bin/component/api_get_authorizer_list", token="component", component_appid=True)
def get_authorizer_list(engine: Engine, call: Call) -> dict[str, Any]:
    offset, count = call.number("offset"), call.number("count")
    if count > 500:
        raise Refused(40170)
    total, page = engine.listed(offset, count)
    return {"total_count": total, "list": [_listed(engine, account) for account in page]}


def _listed(engine: Engine, account: Account) -> dict[str, Any]:
    grant = account.grant
    return {
        "authorizer_appid": account.appid,
        "refresh_token": "" if grant is None or engine.settings.empty_refresh_in_list else grant.refresh_token,
        "auth_time": grant.auth_time if grant else 0,
    }

"""The platform's credentials: tickets, access tokens and pre-auth codes."""

from __future__ import annotations

from typing import Any

from ..state.accounts import Token, func_info
from ..state.engine import Engine
from .registry import Call, endpoint

REFRESH = "/cgi-bin/component/api_authorizer_token"


@endpoint("/cgi-bin/component/api_start_push_ticket", token="none", component_appid=True)
def start_push_ticket(engine: Engine, call: Call) -> dict[str, Any]:
    # The field is component_secret here, and component_appsecret in api_component_token.
    engine.prove(call.text("component_appid"), call.text("component_secret"))
    was_stopped = engine.start_pushing()
    engine.outbox.append(engine.new_ticket())
    return {"errcode": 0, "errmsg": "ok" if was_stopped else "in a normal state"}


@endpoint("/cgi-bin/component/api_component_token", token="none", component_appid=True)
def component_token(engine: Engine, call: Call) -> dict[str, Any]:
    engine.prove(call.text("component_appid"), call.text("component_appsecret"))
    token = engine.issue_component_token(call.text("component_verify_ticket"))
    return {"component_access_token": token.text, "expires_in": engine.settings.token_life}


@endpoint("/cgi-bin/component/api_create_preauthcode", token="component", component_appid=True)
def create_preauthcode(engine: Engine, call: Call) -> dict[str, Any]:
    code, expires_in = engine.new_pre_auth_code()
    return {"pre_auth_code": code, "expires_in": expires_in}


@endpoint("/cgi-bin/component/api_query_auth", token="component", component_appid=True)
def query_auth(engine: Engine, call: Call) -> dict[str, Any]:
    account, grant, token = engine.query_auth(call.text("authorization_code"))
    info = {"authorizer_appid": account.appid, **_tokens(engine, token)}
    return {"authorization_info": {**info, "func_info": func_info(grant.permissions)}}


@endpoint(REFRESH, token="component", component_appid=True)
def authorizer_token(engine: Engine, call: Call) -> dict[str, Any]:
    return _tokens(engine, engine.refresh(call.required("authorizer_appid"), call.text("authorizer_refresh_token")))


def _tokens(engine: Engine, token: Token) -> dict[str, Any]:
    return {
        "authorizer_access_token": token.text,
        "expires_in": engine.settings.token_life,
        "authorizer_refresh_token": token.refresh_token,
    }

"""The login of followers: OAuth of official accounts and wx.login of mini programs."""

from __future__ import annotations

from typing import Any

from ..errors import Refused
from ..http.messages import PLAIN
from ..state.accounts import Kind
from ..state.engine import Engine
from .registry import Call, endpoint


@endpoint("/sns/component/jscode2session", token="component", method="GET", content_type=PLAIN)
def jscode2session(engine: Engine, call: Call) -> dict[str, Any]:
    openid, _ = _exchange(engine, call, code="js_code", kind="mini")
    return {"session_key": engine.random_text(18), "openid": openid}


@endpoint("/sns/oauth2/component/access_token", token="component", method="GET", content_type=PLAIN)
def oauth_access_token(engine: Engine, call: Call) -> dict[str, Any]:
    openid, scope = _exchange(engine, call, code="code", kind="official")
    return {
        "access_token": engine.random_text(64),
        "expires_in": 7200,
        "refresh_token": engine.random_text(64),
        "openid": openid,
        "scope": scope,
    }


def _exchange(engine: Engine, call: Call, *, code: str, kind: Kind) -> tuple[str, str]:
    if call.query.get("component_appid") != engine.settings.appid:
        raise Refused(40013 if call.query.get("component_appid") else 41018)
    appid = call.query.get("appid", "")
    if not appid:
        raise Refused(41002)
    if engine.account(appid).kind != kind:
        raise Refused(48001)
    if call.query.get("grant_type") != "authorization_code":
        raise Refused(40097)
    if not call.query.get(code):
        raise Refused(41008)
    return engine.exchange_oauth_code(appid, call.query[code])

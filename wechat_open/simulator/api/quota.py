"""Quotas, request ids and WeChat's addresses (openApi 管理)."""

from __future__ import annotations

from typing import Any

from ..errors import Refused
from ..state.engine import COMPONENT, Engine
from .registry import ENDPOINTS, OK, Call, endpoint


@endpoint("/cgi-bin/clear_quota", token="either")
def clear_quota(engine: Engine, call: Call) -> dict[str, Any]:
    appid = call.required("appid")
    if appid != (engine.settings.appid if call.owner == COMPONENT else call.owner):
        raise Refused(40013)
    engine.clear_quota(call.owner)
    return OK


@endpoint("/cgi-bin/component/clear_quota", token="component", component_appid=True)
def clear_component_quota(engine: Engine, call: Call) -> dict[str, Any]:
    engine.clear_quota(COMPONENT)
    return OK


@endpoint("/cgi-bin/component/clear_quota/v2", token="none", component_appid=True)
def clear_quota_v2(engine: Engine, call: Call) -> dict[str, Any]:
    engine.prove(call.text("component_appid"), call.text("appsecret"))
    appid = call.text("appid")
    if appid and engine.account(appid).grant is None:
        raise Refused(43007)
    engine.clear_quota(appid or COMPONENT)
    return OK


@endpoint("/cgi-bin/openapi/quota/get", token="either")
def get_quota(engine: Engine, call: Call) -> dict[str, Any]:
    path = call.text("cgi_path")
    if path.startswith("/sns/"):
        raise Refused(76022)
    if path not in ENDPOINTS:
        raise Refused(76003)
    limit, used = engine.settings.quota(path), engine.used(path, call.owner)
    return {
        **OK,
        "quota": {"daily_limit": limit, "used": used, "remain": max(0, limit - used)},
        "rate_limit": {"call_count": 0, "refresh_second": 60},
        "component_rate_limit": {"call_count": 0, "refresh_second": 60},
    }


@endpoint("/cgi-bin/openapi/rid/get", token="either")
def get_rid(engine: Engine, call: Call) -> dict[str, Any]:
    earlier = engine.recall(call.text("rid"), call.owner)
    # WeChat's answers repeat both bodies, which may contain secrets; they are left empty.
    request = {
        "invoke_time": int(earlier.invoked_at),
        "cost_in_ms": 1,
        "request_url": f"https://api.weixin.qq.com{earlier.path}",
        "request_body": "",
        "response_body": "",
        "client_ip": "127.0.0.1",
    }
    return {**OK, "request": request}


@endpoint("/cgi-bin/getcallbackip", "/cgi-bin/get_api_domain_ip", token="either", method="GET")
def get_callback_ip(engine: Engine, call: Call) -> dict[str, Any]:
    return {"ip_list": ["127.0.0.1"]}

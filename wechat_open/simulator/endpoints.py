"""How does WeChat's API answer, path by path?

One small function for each endpoint; what it needs (method, kind of token, permission set) stands in its decorator.
Paths, field names and rules are those of the protocol fact sheet, never those of the app that is tested with it: a
mistake made on both sides would cancel itself out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from .accounts import Account, Kind, Token, func_info
from .conversation import LONGEST_TEXT
from .engine import COMPONENT, Engine, Push
from .media import media_type
from .menu import read_menu
from .refusal import Refused, new_rid
from .web import JSON, PLAIN, Answer, Request, json_answer

OK: dict[str, Any] = {"errcode": 0, "errmsg": "ok"}

REFRESH = "/cgi-bin/component/api_authorizer_token"

TokenKind = Literal["none", "component", "account", "either"]
MethodKind = Literal["GET", "POST", "any"]

# What a customer-service message must hold, by the kind of account and of message (7.9).
CUSTOM_KINDS: dict[Kind, dict[str, tuple[str, ...]]] = {
    "official": {
        "text": ("content",),
        "image": ("media_id",),
        "voice": ("media_id",),
        "video": ("media_id",),
        "music": ("musicurl", "hqmusicurl", "thumb_media_id"),
        "news": ("articles",),
        "mpnews": ("media_id",),
        "mpnewsarticle": ("article_id",),
        "msgmenu": ("list",),
        "wxcard": ("card_id",),
        "miniprogrampage": ("title", "appid", "pagepath", "thumb_media_id"),
    },
    "mini": {
        "text": ("content",),
        "image": ("media_id",),
        "link": ("title", "description", "url", "thumb_url"),
        "miniprogrampage": ("title", "pagepath", "thumb_media_id"),
    },
}
_ENTRIES = {"articles": ("title",), "list": ("id", "content")}
_MISSING = {"media_id": 41006, "thumb_media_id": 41006, "articles": 44003, "content": 44004}

# The sets that media/get is in; one of them is enough (https://developers.weixin.qq.com/doc/service/api/material/temporary/).
MEDIA = (1, 3, 8, 9, 11, 19, 30, 31, 100)

# What the platform's developers have made: an ordinary template, and a standard one that passed its review.
TEMPLATES: tuple[dict[str, Any], ...] = (
    {
        "create_time": 1700000000,
        "user_version": "1.0.0",
        "user_desc": "书店",
        "template_id": 1,
        "draft_id": 0,
        "source_miniprogram_appid": "wx5d81c3f7a2e94b06",
        "source_miniprogram": "山茶模板",
        "developer": "小满",
        "template_type": 0,
        "category_list": [],
    },
    {
        "create_time": 1700000600,
        "user_version": "1.1.0",
        "user_desc": "书店，标准模板",
        "template_id": 2,
        "draft_id": 0,
        "source_miniprogram_appid": "wx5d81c3f7a2e94b06",
        "source_miniprogram": "山茶模板",
        "developer": "小满",
        "template_type": 1,
        "category_list": [
            {"first_class": "商业服务", "first_id": 1, "second_class": "线下超市/便利店", "second_id": 2}
        ],
        "audit_scene": 1,
        "audit_status": 3,
        "reason": "",
    },
)

# Escapes of printable characters. Some endpoints refuse them (0.2); nobody can send a control character without one.
_ESCAPED = re.compile(rb"(?<!\\)(?:\\\\)*\\u(?!00[01])[0-9a-fA-F]{4}")


@dataclass(frozen=True)
class Call:
    """A request that passed the door: its parameters, and whose token came with it."""

    owner: str
    query: Mapping[str, str] = field(repr=False)
    body: Mapping[str, Any] = field(repr=False)

    def text(self, name: str) -> str:
        """A field of the body; empty when it is missing or no text."""
        value = self.body.get(name)
        return value if isinstance(value, str) else ""

    def number(self, name: str) -> int:
        value = self.body.get(name)
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            raise Refused(40097, f"invalid args, {name} must be a number")
        return value


Function = Callable[[Engine, Call], dict[str, Any] | Answer]


@dataclass(frozen=True)
class Endpoint:
    function: Function
    token: TokenKind
    method: MethodKind = "POST"
    permission: Mapping[Kind, tuple[int, ...]] | None = None
    """The permission sets of which an account of a kind must have granted one; a kind left out does not own the API."""
    component_appid: bool = False
    """Whether the body must name the component."""
    real_characters: bool = False
    """Whether ``\\uXXXX`` escapes are refused."""
    content_type: str = JSON


ENDPOINTS: dict[str, Endpoint] = {}


def endpoint(*paths: str, **needs: Any) -> Callable[[Function], Function]:
    def register(function: Function) -> Function:
        ENDPOINTS.update(dict.fromkeys(paths, Endpoint(function, **needs)))
        return function

    return register


def answer(engine: Engine, request: Request) -> Answer:
    """Perform a call of WeChat's API. Errors are HTTP 200 with an errcode, for a path that WeChat lacks too."""
    rid = new_rid(engine.clock.now())
    known = ENDPOINTS.get(request.path)
    if known is None:
        return refusal(Refused(40066), rid)
    try:
        content = _perform(engine, known, request, rid)
    except Refused as error:
        return refusal(error, rid, content_type=known.content_type)
    return content if isinstance(content, Answer) else json_answer(content, content_type=known.content_type)


def refusal(error: Refused, rid: str, *, content_type: str = JSON) -> Answer:
    content = {"errcode": error.errcode, "errmsg": f"{error.errmsg} rid: {rid}"}
    return json_answer(content, content_type=content_type)


def caller(engine: Engine, request: Request) -> str:
    """The account that a call is about, for counters and faults: named in the body or behind the token, or none."""
    try:
        body = json.loads(request.body or b"{}")
        named = body.get("authorizer_appid") if isinstance(body, dict) else None
        if isinstance(named, str) and named:
            return named
        owner = engine.owner_of(_token(request.query))
    except (ValueError, RecursionError, Refused):
        return ""
    return "" if owner == COMPONENT else owner


def _perform(engine: Engine, known: Endpoint, request: Request, rid: str) -> dict[str, Any] | Answer:
    if known.method != "any" and request.method != known.method:
        raise Refused(43002 if known.method == "POST" else 43001)
    body: dict[str, Any] = {}
    if request.method == "POST" and known.method == "POST":
        body = _body(request.body)
    if known.component_appid:
        engine.require_component_appid(str(body.get("component_appid") or ""))
    owner = ""
    if known.token != "none":
        owner = engine.owner_of(_token(request.query))
        if known.token == "component" and owner != COMPONENT:
            raise Refused(61014)
        if known.token == "account" and owner == COMPONENT:
            raise Refused(61015)
        engine.remember(rid, owner, request.path)
    if known.permission is not None:
        engine.require_permission(owner, known.permission)
    if known.real_characters and _ESCAPED.search(request.body):
        raise Refused(40033)
    call = Call(owner, request.query, body)
    engine.spend(request.path, _payer(request.path, call))
    return known.function(engine, call)


def _payer(path: str, call: Call) -> str:
    """Whose quota a call eats: the account's own for calls in its name, and each account's for its refreshes."""
    return call.text("authorizer_appid") if path == REFRESH else call.owner or COMPONENT


def _token(query: Mapping[str, str]) -> str:
    """Both names are accepted everywhere (0.2)."""
    return query.get("component_access_token") or query.get("access_token") or ""


def _body(raw: bytes) -> dict[str, Any]:
    if not raw.strip():
        raise Refused(44002)
    try:
        body = json.loads(raw.decode("utf-8"))
    except (ValueError, RecursionError):
        raise Refused(47001) from None
    if not isinstance(body, dict):
        raise Refused(47001)
    return body


# The component (2.2, 3.1, 3.2)


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


# Grants (4)


@endpoint("/cgi-bin/component/api_query_auth", token="component", component_appid=True)
def query_auth(engine: Engine, call: Call) -> dict[str, Any]:
    account, grant, token = engine.query_auth(call.text("authorization_code"))
    info = {"authorizer_appid": account.appid, **_tokens(engine, token)}
    return {"authorization_info": {**info, "func_info": func_info(grant.permissions)}}


@endpoint(REFRESH, token="component", component_appid=True)
def authorizer_token(engine: Engine, call: Call) -> dict[str, Any]:
    return _tokens(engine, engine.refresh(_authorizer_appid(call), call.text("authorizer_refresh_token")))


@endpoint("/cgi-bin/component/api_get_authorizer_info", token="component", component_appid=True)
def get_authorizer_info(engine: Engine, call: Call) -> dict[str, Any]:
    account, grant = engine.granted(_authorizer_appid(call))
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


@endpoint("/cgi-bin/component/get_authorizer_option", "/cgi-bin/component/api_get_authorizer_option", token="either")
def get_authorizer_option(engine: Engine, call: Call) -> dict[str, Any]:
    appid, name = _option_owner(engine, call), call.text("option_name")
    return {"authorizer_appid": appid, "option_name": name, "option_value": engine.option(appid, name)}


@endpoint("/cgi-bin/component/set_authorizer_option", "/cgi-bin/component/api_set_authorizer_option", token="either")
def set_authorizer_option(engine: Engine, call: Call) -> dict[str, Any]:
    engine.set_option(_option_owner(engine, call), call.text("option_name"), call.text("option_value"))
    return OK


def _tokens(engine: Engine, token: Token) -> dict[str, Any]:
    return {
        "authorizer_access_token": token.text,
        "expires_in": engine.settings.token_life,
        "authorizer_refresh_token": token.refresh_token,
    }


def _authorizer_appid(call: Call) -> str:
    appid = call.text("authorizer_appid")
    if not appid:
        raise Refused(41002)
    return appid


def _option_owner(engine: Engine, call: Call) -> str:
    """Sources disagree about the token (4.5): with the component's, the body has to say which account is meant."""
    if call.owner != COMPONENT:
        return call.owner
    engine.require_component_appid(call.text("component_appid"))
    return _authorizer_appid(call)


# Quota and diagnosis (7.8)


@endpoint("/cgi-bin/clear_quota", token="either")
def clear_quota(engine: Engine, call: Call) -> dict[str, Any]:
    appid = call.text("appid")
    if not appid:
        raise Refused(41002)
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
    # Real answers repeat the request's bodies; they may hold secrets, and nothing is learned from them here.
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


# Code templates of mini programs (7.7)


@endpoint("/wxa/gettemplatelist", token="component", method="GET")
def get_template_list(engine: Engine, call: Call) -> dict[str, Any]:
    kind = call.query.get("template_type", "")
    if kind not in ("", "0", "1"):
        raise Refused(40097)
    templates = [template for template in TEMPLATES if kind in ("", str(template["template_type"]))]
    return {**OK, "template_list": templates}


# In an account's name (7.2, 7.3, 7.9)


@endpoint(
    "/cgi-bin/message/custom/send", token="account", permission={"official": (1,), "mini": (19,)}, real_characters=True
)
def custom_send(engine: Engine, call: Call) -> dict[str, Any]:
    kind = call.text("msgtype")
    required = CUSTOM_KINDS[engine.account(call.owner).kind].get(kind)
    content = call.body.get(kind)
    if required is None or not isinstance(content, dict):
        raise Refused(40008)
    for name in required:
        if not _filled(name, content.get(name)):
            raise Refused(_MISSING[name]) if name in _MISSING else Refused(40097, f"invalid args, {name} missing")
    # Eight articles once; the documents since 2018 speak of one, and of this number for more.
    if kind == "news" and len(content["articles"]) > 1:
        raise Refused(45008)
    if kind == "text" and len(content["content"].encode(errors="replace")) > LONGEST_TEXT:
        raise Refused(45002)
    engine.send(call.owner, dict(call.body))
    return OK


def _filled(name: str, value: Any) -> bool:
    """Whether a field holds what WeChat wants: a text, or a list of complete entries."""
    if name not in _ENTRIES:
        return isinstance(value, str) and bool(value)
    entries = value if isinstance(value, list) else []
    complete = (
        isinstance(entry, dict) and all(_filled(part, entry.get(part)) for part in _ENTRIES[name]) for entry in entries
    )
    return bool(entries) and all(complete)


@endpoint("/cgi-bin/message/custom/typing", token="account", permission={"official": (1,), "mini": (19,)})
def custom_typing(engine: Engine, call: Call) -> dict[str, Any]:
    if call.text("command") not in ("Typing", "CancelTyping"):
        raise Refused(45072)
    engine.typing(call.owner, call.text("touser"))
    return OK


@endpoint("/cgi-bin/message/template/send", token="account", permission={"official": (7,)}, real_characters=True)
def template_send(engine: Engine, call: Call) -> dict[str, Any]:
    openid = _template_for(call)
    if not engine.follows(call.owner, openid):
        raise Refused(43004)
    msgid = int(engine.clock.now() * 1000)
    user_name = engine.account(call.owner).user_name
    finished = {
        "ToUserName": user_name,
        "FromUserName": openid,
        "CreateTime": int(engine.clock.now()),
        "MsgType": "event",
        "Event": "TEMPLATESENDJOBFINISH",
        "MsgID": msgid,
        "Status": "success",
    }
    # Not engine.message: the follower did nothing, so nobody may write to her because of it.
    engine.outbox.append(Push(finished, appid=call.owner, user_name=user_name, openid=openid))
    return {**OK, "msgid": msgid}


@endpoint("/cgi-bin/message/subscribe/send", token="account", permission={"mini": (18,)}, real_characters=True)
def subscribe_send(engine: Engine, call: Call) -> dict[str, Any]:
    _template_for(call)
    return OK


@endpoint("/cgi-bin/message/subscribe/bizsend", token="account", permission={"official": (89,)}, real_characters=True)
def subscribe_bizsend(engine: Engine, call: Call) -> dict[str, Any]:
    _template_for(call)
    return OK


def _template_for(call: Call) -> str:
    """Who gets a message made from a template; any template is known here, but its data must have WeChat's shape."""
    openid, data = call.text("touser"), call.body.get("data")
    if not openid:
        raise Refused(40003)
    if not call.text("template_id"):
        raise Refused(40037)
    if not isinstance(data, dict):
        raise Refused(47003)
    for name, entry in data.items():
        value = entry.get("value") if isinstance(entry, dict) else None
        if value == "" or isinstance(value, bool) or not isinstance(value, (str, int, float)):
            raise Refused(47003, f"argument invalid! data.{name}.value invalid")
    return openid


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


@endpoint("/cgi-bin/menu/create", token="account", permission={"official": (15,)}, real_characters=True)
def menu_create(engine: Engine, call: Call) -> dict[str, Any]:
    engine.account(call.owner).menu = read_menu(call.body.get("button"))
    return OK


@endpoint("/cgi-bin/media/get", token="account", method="GET", permission={"official": MEDIA, "mini": MEDIA})
def media_get(engine: Engine, call: Call) -> Answer:
    media_id = call.query.get("media_id", "")
    if not media_id:
        raise Refused(41006)
    content = engine.media.get(media_id, appid=call.owner)
    if content is None:
        raise Refused(40007)
    kind = media_type(content)
    name = f"{media_id}.{kind.partition('/')[2]}"
    return Answer(200, content, kind, {"Content-Disposition": f'attachment; filename="{name}"'})


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


@endpoint("/cgi-bin/ticket/getticket", token="account", method="GET", permission={"official": (4,)})
def get_ticket(engine: Engine, call: Call) -> dict[str, Any]:
    if call.query.get("type") not in ("jsapi", "wx_card"):
        raise Refused(40097)
    return {**OK, "ticket": engine.random_text(48), "expires_in": 7200}


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

"""WeChat's API: requests are verified here and then answered by the function registered for their path.

Paths, field names and rules are those of ``docs/protocol.rst``, never from the app that is tested with the simulator: a
mistake on both sides would cancel itself out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from ..errors import Refused, new_rid
from ..http.messages import JSON, Answer, Request, json_answer
from ..state.engine import COMPONENT, Engine
from . import account, authorization, component, media, messages, oauth, quota, templates  # noqa: F401  to register
from .registry import ENDPOINTS, Call, Endpoint

# Escapes of printable characters, which some endpoints refuse. Control characters cannot be sent without an escape.
_ESCAPED = re.compile(rb"(?<!\\)(?:\\\\)*\\u(?!00[01])[0-9a-fA-F]{4}")


def answer(engine: Engine, request: Request) -> Answer:
    """Perform a call of WeChat's API. Errors, of unknown paths too, are HTTP 200 with an errcode."""
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
    """The account of a call, for counters and faults: named in the body, or the token's owner; empty for none."""
    try:
        body = json.loads(request.body or b"{}")
        named = body.get("authorizer_appid") if isinstance(body, dict) else None
        if isinstance(named, str) and named:
            return named
        owner = engine.owner_of(token_of(request.query))
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
        owner = engine.owner_of(token_of(request.query))
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
    # Calls in an account's name count against its own quota, and its refreshes as well.
    refreshed = call.text("authorizer_appid") if request.path == component.REFRESH else ""
    engine.spend(request.path, refreshed or owner or COMPONENT)
    return known.function(engine, call)


def token_of(query: Mapping[str, str]) -> str:
    """The access token; WeChat accepts both names everywhere."""
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

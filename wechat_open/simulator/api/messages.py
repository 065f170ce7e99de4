"""Messages to followers: customer service, templates and subscriptions."""

from __future__ import annotations

from typing import Any

from ..errors import Refused
from ..state.accounts import Kind
from ..state.conversation import LONGEST_TEXT
from ..state.engine import Engine, Push
from .registry import OK, Call, endpoint

# The required fields of customer-service messages, by the kind of account and of message.
CUSTOM_KINDS: dict[Kind, dict[str, tuple[str, ...]]] = {
    "official": {
        "text": ("content",),
        **dict.fromkeys(("image", "voice", "video", "mpnews"), ("media_id",)),
        "music": ("musicurl", "hqmusicurl", "thumb_media_id"),
        "news": ("articles",),
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
    # One article since 2018; before, eight.
    if kind == "news" and len(content["articles"]) > 1:
        raise Refused(45008)
    if kind == "text" and len(content["content"].encode(errors="replace")) > LONGEST_TEXT:
        raise Refused(45002)
    engine.send(call.owner, dict(call.body))
    return OK


def _filled(name: str, value: Any) -> bool:
    """Whether a required field is a text, or a list of complete entries."""
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
    # Not engine.message: this is no action of the follower and opens no time for customer-service messages.
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
    """The receiver of a template's message. Any template id is accepted, but the data must have WeChat's shape."""
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

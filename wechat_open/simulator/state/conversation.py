"""The conversation of a follower and an account, line by line, and the bubbles that a phone displays for its lines.

A line has WeChat's own field names, as a push, a passive reply or a customer-service message carried them; a bubble
unites the three spellings. Values only, no HTML. Messages come from outside, so no field is assumed to have its type.
"""

from __future__ import annotations

import itertools
from collections import OrderedDict, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Way = Literal["push", "reply", "send", "notice"]
"""A push from the follower, a passive reply, message/custom/send, or a notice of WeChat itself."""

Problem = Literal["", "silent", "status", "encryption", "addressed", "type", "long"]
"""Why an answer is unusable: none came, a wrong status, it cannot be decrypted, a wrong receiver or sender, a wrong
type, or a text that is too long to be displayed."""

LONGEST_TEXT = 2048
"""Bytes of a text that WeChat displays."""

LINES = 200
"""How many lines of a conversation are kept."""

MAX_CONVERSATIONS = 1000

# The types of passive replies (docs/protocol.rst, "Kinds of reply").
REPLIES = ("text", "image", "voice", "video", "music", "news", "transfer_customer_service")


@dataclass(frozen=True)
class Line:
    """``fields`` have WeChat's names for that way; a notice has a key of TEXTS instead."""

    number: int
    at: float
    way: Way
    fields: Mapping[str, Any] = field(default_factory=dict, repr=False)
    notice: str = ""
    errcode: int = 0
    """Set for a customer-service message that WeChat refused and the follower does not see."""

    def as_json(self) -> dict[str, Any]:
        line: dict[str, Any] = {"number": self.number, "at": int(self.at), "way": self.way, "fields": dict(self.fields)}
        more: dict[str, str | int] = {"notice": self.notice, "errcode": self.errcode}
        return line | {name: value for name, value in more.items() if value}


class Conversations:
    """A conversation for each follower of an account. Callers hold the engine's lock."""

    def __init__(self) -> None:
        self._lines: OrderedDict[tuple[str, str], deque[Line]] = OrderedDict()
        self._numbers = itertools.count(1)

    def number(self) -> int:
        """The next number, for lines and for deliveries."""
        return next(self._numbers)

    def add(self, appid: str, openid: str, at: float, way: Way, fields: Mapping[str, Any], **more: Any) -> Line:
        line = Line(self.number(), at, way, fields, **more)
        self._lines.setdefault((appid, openid), deque(maxlen=LINES)).append(line)
        self._lines.move_to_end((appid, openid))
        while len(self._lines) > MAX_CONVERSATIONS:
            self._lines.popitem(last=False)
        return line

    def forget(self, appid: str) -> None:
        for key in [key for key in self._lines if key[0] == appid]:
            del self._lines[key]

    def of(self, appid: str, openid: str) -> list[Line]:
        return list(self._lines.get((appid, openid), ()))


def problem_of(
    status: int | None, reply: Mapping[str, Any] | None, *, openid: str, user_name: str, of_event: bool = False
) -> Problem:
    """What is wrong with an answer that could be decrypted, as WeChat judges it."""
    if status is None:
        return "silent"
    if status != 200:
        return "status"
    if reply is None:
        return ""
    if of_event and is_event_reply(reply):
        return ""
    if (reply.get("ToUserName"), reply.get("FromUserName")) != (openid, user_name):
        return "addressed"
    if reply.get("MsgType") == "text" and len(str(reply.get("Content", "")).encode(errors="replace")) > LONGEST_TEXT:
        return "long"
    return "" if reply.get("MsgType") in REPLIES else "type"


def is_event_reply(reply: Mapping[str, Any]) -> bool:
    """Whether an answer to an event has fields of its own, and none of a message's."""
    return bool(reply) and not {"ToUserName", "FromUserName", "MsgType"} & set(reply)


# Bubbles


@dataclass(frozen=True)
class Card:
    title: str
    description: str
    url: str
    picture: str


@dataclass(frozen=True)
class Bubble:
    """``kind`` is the MsgType; the other fields depend on it."""

    kind: str
    text: str = ""
    event: str = ""
    key: str = ""
    """The EventKey of an event."""
    media_id: str = ""
    cards: tuple[Card, ...] = ()
    """The articles of news; the one card of a link, a music, a video or a mini program's page."""
    choices: tuple[tuple[str, str], ...] = ()
    """Ids and texts of a msgmenu."""
    closing: str = ""
    """The text of a msgmenu below its choices."""
    place: tuple[str, str] = ("", "")


def bubble(line: Line) -> Bubble:
    kind = _text(line.fields.get("msgtype") if line.way == "send" else line.fields.get("MsgType"))
    content = _content(line, kind)
    match kind:
        case "text":
            return Bubble(kind, text=_text(content.get("content")))
        case "image":
            picture = Card("", "", "", _text(content.get("picurl")))
            return Bubble(kind, media_id=_text(content.get("mediaid")), cards=(picture,))
        case "voice":
            return Bubble(kind, media_id=_text(content.get("mediaid")), text=_text(content.get("recognition")))
        case "location":
            place = (_text(content.get("locationx")), _text(content.get("locationy")))
            return Bubble(kind, text=_text(content.get("label")), place=place)
        case "event":
            return Bubble(kind, event=_text(content.get("event")), key=_text(content.get("eventkey")))
        case "news":
            return Bubble(kind, cards=tuple(_card(_plain(article)) for article in _articles(content.get("articles"))))
        case "msgmenu":
            entries = [_plain(entry) for entry in _list(content.get("list"))]
            choices = tuple((_text(entry.get("id")), _text(entry.get("content"))) for entry in entries)
            opening, closing = _text(content.get("headcontent")), _text(content.get("tailcontent"))
            return Bubble(kind, text=opening, choices=choices, closing=closing)
        case "video" | "shortvideo" | "music" | "link" | "miniprogrampage":
            return Bubble(kind, media_id=_text(content.get("mediaid")), cards=(_card(content),))
    return Bubble(kind)


def _content(line: Line, kind: str) -> dict[str, Any]:
    """The fields that depend on the type: beside the others, or one level down, depending on the way."""
    if line.way == "send":
        return _plain(line.fields.get(kind))
    return {**_plain(line.fields), **_plain(line.fields.get(kind.title()))}


def _card(content: Mapping[str, Any]) -> Card:
    address = next((content[name] for name in ("url", "musicurl", "hqmusicurl", "pagepath") if content.get(name)), "")
    picture = next((content[name] for name in ("picurl", "thumburl") if content.get(name)), "")
    return Card(_text(content.get("title")), _text(content.get("description")), _text(address), _text(picture))


def _articles(value: Any) -> list[Any]:
    """The articles: a list in JSON; in XML a list, or a single article, below ``item``."""
    if not isinstance(value, Mapping):
        return _list(value)
    item = value.get("item")
    return [item] if isinstance(item, Mapping) else _list(item)


def _plain(value: Any) -> dict[str, Any]:
    """Fields under one spelling: MediaId and media_id become ``mediaid``."""
    if not isinstance(value, Mapping):
        return {}
    return {str(name).lower().replace("_", ""): content for name, content in value.items()}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _text(value: Any) -> str:
    return str(value) if isinstance(value, (str, int, float)) else ""

"""Who said what, and what does a phone show of it?

What a follower and an account have told each other, line by line, with WeChat's own field names: as a push, a passive
reply, or a customer-service message carried them. And how these three spellings become the same bubble. Values only:
no page is known here, and nothing that came from outside is believed to have any shape.
"""

from __future__ import annotations

import itertools
from collections import OrderedDict, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Way = Literal["push", "reply", "send", "notice"]
"""By a push from the follower, a passive reply, message/custom/send; or WeChat itself tells the follower something."""

Problem = Literal["", "silent", "status", "sealed", "addressed", "type", "long"]
"""Why an answer is of no use: none came, a wrong status, it cannot be opened, it is for somebody else, no
reply, or a text that is too long to be shown."""

LONGEST_TEXT = 2048
"""Bytes of a text that a follower is shown."""

LINES = 200
"""How many lines of a conversation are kept."""

MAX_CONVERSATIONS = 1000

# What an account may answer with in the five seconds (protocol 6.2).
REPLIES = ("text", "image", "voice", "video", "music", "news", "transfer_customer_service")


@dataclass(frozen=True)
class Line:
    """``fields`` as WeChat spells them on that way; a notice has a key of TEXTS instead."""

    number: int
    at: float
    way: Way
    fields: Mapping[str, Any] = field(default_factory=dict, repr=False)
    notice: str = ""
    errcode: int = 0
    """Of a customer-service message that WeChat refused: the follower sees nothing of it."""

    def as_json(self) -> dict[str, Any]:
        line: dict[str, Any] = {"number": self.number, "at": int(self.at), "way": self.way, "fields": dict(self.fields)}
        return line | {name: value for name, value in self._more() if value}

    def _more(self) -> Iterable[tuple[str, str | int]]:
        return ("notice", self.notice), ("errcode", self.errcode)


class Conversations:
    """One for each follower of an account. Who uses it holds the engine's lock."""

    def __init__(self) -> None:
        self._lines: OrderedDict[tuple[str, str], deque[Line]] = OrderedDict()
        self._numbers = itertools.count(1)

    def number(self) -> int:
        """Higher than every one before, whatever gets it."""
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
    """What is wrong with an answer that could be opened, as far as WeChat would notice."""
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
    """An answer that an event wants instead of a message: fields of its own, and none of a message's."""
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
    """``kind`` is the MsgType; which of the rest is filled depends on it."""

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
    """What a msgmenu says after them."""
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
    """The part of a message that depends on its type: beside the rest, or one level down, by the way it came."""
    if line.way == "send":
        return _plain(line.fields.get(kind))
    return {**_plain(line.fields), **_plain(line.fields.get(kind.title()))}


def _card(content: Mapping[str, Any]) -> Card:
    address = next((content[name] for name in ("url", "musicurl", "hqmusicurl", "pagepath") if content.get(name)), "")
    picture = next((content[name] for name in ("picurl", "thumburl") if content.get(name)), "")
    return Card(_text(content.get("title")), _text(content.get("description")), _text(address), _text(picture))


def _articles(value: Any) -> list[Any]:
    """A list in JSON; in XML a list, or the only one, below ``item``."""
    if not isinstance(value, Mapping):
        return _list(value)
    item = value.get("item")
    return [item] if isinstance(item, Mapping) else _list(item)


def _plain(value: Any) -> dict[str, Any]:
    """Fields under one spelling for all: MediaId and media_id are ``mediaid``."""
    if not isinstance(value, Mapping):
        return {}
    return {str(name).lower().replace("_", ""): content for name, content in value.items()}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _text(value: Any) -> str:
    return str(value) if isinstance(value, (str, int, float)) else ""

"""Replies to followers' messages and to events: one class for each kind.

A ``Reply`` has two forms: the passive reply to a message (``passive``) and the customer-service message (``custom``).
"""

from __future__ import annotations

import dataclasses
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from . import xml
from .envelope import Format
from .long_texts import MAX_TEXT, split
from .repair import FORBIDDEN
from .xml import Fields

EVENT = "event"
"""The MsgType of all events."""


class Received(Protocol):
    """The message or event that is answered."""

    @property
    def openid(self) -> str: ...

    @property
    def original_id(self) -> str: ...

    @property
    def kind(self) -> str: ...


@dataclass(frozen=True)
class Reply:
    """A reply to a follower. TypeError at once for a field that is not a text."""

    kind: ClassVar[str]

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not isinstance(value, str):
                raise TypeError(f"{name!r} of a reply of kind {self.kind!r} must be a text, not {value!r}.")

    def passive(self) -> Fields:
        """The fields of a passive reply, except the four that each has."""
        raise NotImplementedError

    def parts(self) -> Sequence[Reply]:
        """The same reply in as many messages as WeChat needs for it."""
        return (self,)

    def custom(self) -> dict[str, Any]:
        """The body of message/custom/send, without ``touser``. TypeError for a kind that is a passive reply only."""
        return {"msgtype": self.kind, self.kind: _for_json(self._custom())}

    def _custom(self) -> dict[str, Any]:
        raise TypeError(f"A reply of kind {self.kind!r} cannot be sent as a customer-service message.")


@dataclass(frozen=True)
class Text(Reply):
    """Text; ``<a href="…">`` works in it. A long text is sent in several messages, none of which is blank."""

    content: str
    kind = "text"

    def parts(self) -> Sequence[Text]:
        if len(self.content) * 4 <= MAX_TEXT:  # no character has more bytes
            return (self,)
        return tuple(Text(part) for part in split(self.content) if part.strip()) or (self,)

    def passive(self) -> Fields:
        return {"Content": self.content}

    def _custom(self) -> dict[str, Any]:
        return {"content": self.content}


@dataclass(frozen=True)
class _Medium(Reply):
    """An uploaded file, by the ``media_id`` that WeChat gave it."""

    media_id: str

    def passive(self) -> Fields:
        return {self.kind.capitalize(): {"MediaId": self.media_id}}

    def _custom(self) -> dict[str, Any]:
        return {"media_id": self.media_id}


class Image(_Medium):
    """A picture."""

    kind = "image"


class Voice(_Medium):
    """A sound."""

    kind = "voice"


@dataclass(frozen=True)
class Video(Reply):
    """A video. A customer-service message shows ``thumb_media_id`` before it is played."""

    media_id: str
    title: str = ""
    description: str = ""
    thumb_media_id: str = ""
    kind = "video"

    def passive(self) -> Fields:
        return {"Video": _given(MediaId=self.media_id, Title=self.title, Description=self.description)}

    def _custom(self) -> dict[str, Any]:
        return _given(
            media_id=self.media_id,
            thumb_media_id=self.thumb_media_id,
            title=self.title,
            description=self.description,
        )


@dataclass(frozen=True)
class Music(Reply):
    """A piece of music; ``hq_url`` is used on Wi-Fi."""

    url: str
    title: str = ""
    description: str = ""
    hq_url: str = ""
    thumb_media_id: str = ""
    kind = "music"

    def passive(self) -> Fields:
        music = _given(
            Title=self.title,
            Description=self.description,
            MusicUrl=self.url,
            HQMusicUrl=self.hq_url or self.url,
            ThumbMediaId=self.thumb_media_id,
        )
        return {"Music": music}

    def _custom(self) -> dict[str, Any]:
        return _given(
            title=self.title,
            description=self.description,
            musicurl=self.url,
            hqmusicurl=self.hq_url or self.url,
            thumb_media_id=self.thumb_media_id,
        )


@dataclass(frozen=True)
class Article:
    """A card that opens ``url``."""

    title: str
    description: str = ""
    pic_url: str = ""
    url: str = ""

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not isinstance(value, str):
                raise TypeError(f"{name!r} of an article must be a text, not {value!r}.")


@dataclass(frozen=True)
class News(Reply):
    """A card with a picture and a link. WeChat shows one and may refuse more."""

    articles: Sequence[Article]
    kind = "news"

    def __post_init__(self) -> None:
        if not self.articles or not all(isinstance(one, Article) for one in self.articles):
            raise TypeError("'articles' of a reply of kind 'news' must be a list of Article, and not an empty one.")

    def passive(self) -> Fields:
        items = [
            {"Title": one.title, "Description": one.description, "PicUrl": one.pic_url, "Url": one.url}
            for one in self.articles
        ]
        return {"ArticleCount": len(items), "Articles": {"item": items}}

    def _custom(self) -> dict[str, Any]:
        return {
            "articles": [
                {"title": one.title, "description": one.description, "picurl": one.pic_url, "url": one.url}
                for one in self.articles
            ]
        }


@dataclass(frozen=True)
class TransferToCustomerService(Reply):
    """Hand the conversation to the people at Tencent's customer-service desk, or to one of them."""

    kf_account: str = ""
    kind = "transfer_customer_service"

    def passive(self) -> Fields:
        return {"TransInfo": {"KfAccount": self.kf_account}} if self.kf_account else {}


@dataclass(frozen=True)
class EventReply(Reply):
    """The answer that some events require instead of a message (virtual payment, waybills, refund queries).

    Its fields are written unchanged, in the push's format::

        @dataclass(frozen=True)
        class Delivered(EventReply):
            ErrCode: int = 0
            ErrMsg: str = "success"
    """

    kind = "event"

    def __post_init__(self) -> None:
        fields = self.passive()
        if not fields:
            raise TypeError("The answer to an event must have a field.")
        _require_writable(fields)

    def passive(self) -> Fields:
        return {one.name: getattr(self, one.name) for one in dataclasses.fields(self)}

    def _custom(self) -> dict[str, Any]:
        raise TypeError("The answer to an event cannot be sent as a customer-service message.")


@dataclass(frozen=True)
class EventFields(EventReply):
    """The same, from a mapping."""

    given: Mapping[str, Any]

    def passive(self) -> Fields:
        return dict(self.given)


KINDS = frozenset({"text", "image", "voice", "video", "music", "news", "transfer_customer_service"})
"""The MsgTypes of passive replies."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,63}").fullmatch


def _require_writable(value: Any, depth: int = 1) -> None:
    """Raise TypeError for a value that cannot be a field of an answer."""
    if depth > xml.MAX_DEPTH:
        raise TypeError("The answer to an event is nested too deep.")
    if isinstance(value, Mapping):
        for name, item in value.items():
            if not isinstance(name, str) or not _NAME(name):
                raise TypeError(f"A field of an answer is named like an XML element, not {name!r}.")
            _require_writable(item, depth + 1)
    elif isinstance(value, (list, tuple)):
        for item in value:
            if isinstance(item, (list, tuple)):
                raise TypeError("A list in an answer holds no other list: XML repeats an element, and has no more.")
            _require_writable(item, depth + 1)
    elif not (value is None or isinstance(value, (str, int)) or (isinstance(value, float) and math.isfinite(value))):
        raise TypeError(f"A field of an answer is a text, a number, a mapping or a list of these, not {value!r:.50}.")


def _is_event(message: Received) -> bool:
    return message.kind.lower() == EVENT


def is_event_reply(reply: Reply, message: Received) -> bool:
    """Whether the reply has no message fields: the answer to an event, unless its kind is one of a passive reply."""
    return isinstance(reply, EventReply) or (_is_event(message) and reply.kind not in KINDS)


def write_reply(reply: Reply, message: Received, created: int, format: Format = "xml") -> bytes:
    """The plain text of the answer to ``message``: a passive reply with sender and receiver swapped, or the fields of
    an event's own answer.

    ``created`` is now, in unix seconds. ValueError for a text that WeChat would not show.
    """
    fields = reply.passive()
    if not is_event_reply(reply, message):
        if isinstance(reply, Text) and len(reply.content.encode(errors="ignore")) > MAX_TEXT:
            raise ValueError(f"WeChat shows no text above {MAX_TEXT} bytes; this one is to be sent in parts.")
        fields = {
            "ToUserName": message.openid,
            "FromUserName": message.original_id,
            "CreateTime": created,
            "MsgType": reply.kind,
            **fields,
        }
    elif not _is_event(message):
        raise TypeError(
            f"{type(reply).__name__} is the answer to an event; a message is answered with a reply or a text."
        )
    if format == "json":
        return json.dumps(_for_json(fields), ensure_ascii=False).encode()
    return xml.write_cdata(fields)


def _for_json(value: Any) -> Any:
    """Without the characters that XML cannot hold either: JSON escapes them, and WeChat refuses them (40033, 47002)."""
    if isinstance(value, str):
        return FORBIDDEN.sub("", value)
    if isinstance(value, Mapping):
        return {name: _for_json(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_for_json(item) for item in value]
    return value


def _given(**fields: str) -> dict[str, str]:
    return {name: value for name, value in fields.items() if value}

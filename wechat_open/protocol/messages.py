"""What does a follower send to an account, and what can be said to her? (protocol, section 6)

One class per kind of message, per kind of event and per kind of reply. Each message class is a table: the attribute,
the name on the wire, how it is read. ``parse`` is strict about what every message must have; a kind or an event that
nobody listed is a ``Message`` or an ``EventMessage``, and ``fields`` keeps the whole of it.

A ``Reply`` says how it is written as the answer to a message (``passive``) and as a customer-service message
(``custom``).
"""

from __future__ import annotations

import dataclasses
import json
import math
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar

from ..exceptions import InvalidPush
from . import xml
from .envelope import Format
from .wire import decimal, entry, exact, integer, one, read, several, text, time, wire, word, words
from .xml import Fields

EVENT = "event"
"""The MsgType of all events."""


@dataclass(frozen=True, kw_only=True)
class Message:
    """What all messages and events have. ``openid`` is the follower, ``original_id`` (gh_…) the account.

    ``appid`` (the account's), ``component`` (the platform's alias) and ``authorizer`` (the account's row) are no part
    of the push: whoever received it for an account sets them.
    """

    original_id: str = wire("ToUserName", read=word, required=True)
    openid: str = wire("FromUserName", read=word, required=True)
    created_at: datetime = wire("CreateTime", read=time)
    kind: str = wire("MsgType", read=word, required=True)
    msg_id: str = wire("MsgId", "MsgID", read=word)
    """A 64-bit number as text; empty for most events."""
    appid: str = ""
    component: str = ""
    authorizer: Any = field(default=None, repr=False, compare=False)
    fields: Fields = field(repr=False, hash=False)
    """The complete message in WeChat's own names."""

    @property
    def created(self) -> int:
        """CreateTime as WeChat sent it: unix seconds."""
        return int(self.created_at.timestamp())

    @property
    def identity(self) -> str:
        """What a repeat of the same message has in common with it, and no other message of the account.

        The sender, the time and the MsgId; every field of an event, and of a message without a MsgId.
        """
        if self.msg_id and not isinstance(self, EventMessage):
            return f"{self.openid} {self.fields.get('CreateTime', '')} {self.msg_id}"
        return json.dumps(self.fields, sort_keys=True, ensure_ascii=False)


# Messages (6.1)


@dataclass(frozen=True, kw_only=True)
class TextMessage(Message):
    """text. ``menu_id`` is set when she tapped an answer of a msgmenu."""

    content: str = wire("Content", read=exact)
    menu_id: str = wire("bizmsgmenuid", read=text)


@dataclass(frozen=True, kw_only=True)
class ImageMessage(Message):
    """image"""

    pic_url: str = wire("PicUrl", read=text)
    media_id: str = wire("MediaId", read=text)


@dataclass(frozen=True, kw_only=True)
class VoiceMessage(Message):
    """voice. ``recognition`` is there when the account has speech recognition switched on."""

    media_id: str = wire("MediaId", read=text)
    format: str = wire("Format", read=text)
    recognition: str = wire("Recognition", read=exact)


@dataclass(frozen=True, kw_only=True)
class VideoMessage(Message):
    """video and shortvideo"""

    media_id: str = wire("MediaId", read=text)
    thumb_media_id: str = wire("ThumbMediaId", read=text)


@dataclass(frozen=True, kw_only=True)
class LocationMessage(Message):
    """location"""

    latitude: float | None = wire("Location_X", read=decimal)
    longitude: float | None = wire("Location_Y", read=decimal)
    scale: int | None = wire("Scale", read=integer)
    label: str = wire("Label", read=text)


@dataclass(frozen=True, kw_only=True)
class LinkMessage(Message):
    """link"""

    title: str = wire("Title", read=text)
    description: str = wire("Description", read=text)
    url: str = wire("Url", read=text)


@dataclass(frozen=True, kw_only=True)
class MiniProgramPageMessage(Message):
    """miniprogrampage: a card of a mini program."""

    title: str = wire("Title", read=text)
    page_appid: str = wire("AppId", read=word)
    page_path: str = wire("PagePath", read=text)
    thumb_url: str = wire("ThumbUrl", read=text)
    thumb_media_id: str = wire("ThumbMediaId", read=text)


# Events: followers and the menu


@dataclass(frozen=True, kw_only=True)
class EventMessage(Message):
    """What happened, by WeChat's name for it; letter case is WeChat's."""

    event: str = wire("Event", read=word, required=True)
    event_key: str = wire("EventKey", read=text)


@dataclass(frozen=True, kw_only=True)
class Subscribed(EventMessage):
    """subscribe: she follows the account; with a scene when she scanned a QR code for it."""

    ticket: str = wire("Ticket", read=text)

    @property
    def scene(self) -> str:
        """The scene of the QR code, or empty."""
        return self.event_key.removeprefix("qrscene_")


@dataclass(frozen=True, kw_only=True)
class Unsubscribed(EventMessage):
    """unsubscribe: nothing can be sent to her any more."""


@dataclass(frozen=True, kw_only=True)
class Scanned(EventMessage):
    """SCAN: a follower scanned a QR code with parameters; its scene is ``event_key``."""

    ticket: str = wire("Ticket", read=text)


@dataclass(frozen=True, kw_only=True)
class LocationReported(EventMessage):
    """LOCATION: where she is, as the account's option location_report asks for."""

    latitude: float | None = wire("Latitude", read=decimal)
    longitude: float | None = wire("Longitude", read=decimal)
    precision: float | None = wire("Precision", read=decimal)


@dataclass(frozen=True, kw_only=True)
class MenuClicked(EventMessage):
    """CLICK: a menu button; ``event_key`` is the button's key."""


@dataclass(frozen=True, kw_only=True)
class MenuLinkOpened(EventMessage):
    """VIEW and view_miniprogram: ``event_key`` is the address or the page that was opened."""

    menu_id: str = wire("MenuId", "MenuID", read=text)


@dataclass(frozen=True, kw_only=True)
class Scan:
    """What a menu button scanned: ``kind`` is qrcode or the like."""

    kind: str = wire("ScanType", read=text)
    result: str = wire("ScanResult", read=exact)


@dataclass(frozen=True, kw_only=True)
class MenuScanned(EventMessage):
    """scancode_push and scancode_waitmsg"""

    scan: Scan = wire("ScanCodeInfo", read=one(Scan))


@dataclass(frozen=True, kw_only=True)
class Picture:
    md5: str = wire("PicMd5Sum", read=text)


@dataclass(frozen=True, kw_only=True)
class Pictures:
    count: int | None = wire("Count", read=integer)
    pictures: tuple[Picture, ...] = wire("PicList", read=several(Picture, "item"))


@dataclass(frozen=True, kw_only=True)
class MenuPicturesSent(EventMessage):
    """pic_sysphoto, pic_photo_or_album and pic_weixin; the pictures themselves follow as messages."""

    sent: Pictures = wire("SendPicsInfo", read=one(Pictures))


@dataclass(frozen=True, kw_only=True)
class Place:
    latitude: float | None = wire("Location_X", read=decimal)
    longitude: float | None = wire("Location_Y", read=decimal)
    scale: int | None = wire("Scale", read=integer)
    label: str = wire("Label", read=text)
    name: str = wire("Poiname", read=text)


@dataclass(frozen=True, kw_only=True)
class MenuPlaceChosen(EventMessage):
    """location_select"""

    place: Place = wire("SendLocationInfo", read=one(Place))


# Events: what became of something that was sent


@dataclass(frozen=True, kw_only=True)
class TemplateMessageSent(EventMessage):
    """TEMPLATESENDJOBFINISH: ``status`` is success, or why not; ``msg_id`` is the answer of template/send."""

    status: str = wire("Status", read=text)


@dataclass(frozen=True, kw_only=True)
class MassMessageSent(EventMessage):
    """MASSSENDJOBFINISH"""

    status: str = wire("Status", read=text)
    total_count: int | None = wire("TotalCount", read=integer)
    filter_count: int | None = wire("FilterCount", read=integer)
    sent_count: int | None = wire("SentCount", read=integer)
    error_count: int | None = wire("ErrorCount", read=integer)


@dataclass(frozen=True, kw_only=True)
class Subscription:
    """One template: whether she accepts it, or what became of a message by it."""

    template_id: str = wire("TemplateId", read=text)
    status: str = wire("SubscribeStatusString", "ErrorStatus", read=text)
    error_code: int | None = wire("ErrorCode", read=integer)
    msg_id: str = wire("MsgID", "MsgId", read=text)


@dataclass(frozen=True, kw_only=True)
class SubscriptionsAnswered(EventMessage):
    """subscribe_msg_popup_event: her answer to the question for subscription messages."""

    subscriptions: tuple[Subscription, ...] = wire("SubscribeMsgPopupEvent", "List", read=several(Subscription, "List"))


@dataclass(frozen=True, kw_only=True)
class SubscriptionsChanged(EventMessage):
    """subscribe_msg_change_event: she changed her mind in the settings."""

    subscriptions: tuple[Subscription, ...] = wire(
        "SubscribeMsgChangeEvent", "List", read=several(Subscription, "List")
    )


@dataclass(frozen=True, kw_only=True)
class SubscriptionMessageSent(EventMessage):
    """subscribe_msg_sent_event"""

    subscriptions: tuple[Subscription, ...] = wire("SubscribeMsgSentEvent", "List", read=several(Subscription, "List"))


@dataclass(frozen=True, kw_only=True)
class CardChanged(EventMessage):
    """The events of cards and coupons: user_get_card, user_consume_card and their kin."""

    card_id: str = wire("CardId", read=text)
    code: str = wire("UserCardCode", read=text)


@dataclass(frozen=True, kw_only=True)
class CustomerServiceSession(EventMessage):
    """kf_create_session, kf_close_session and kf_switch_session: a person answers, or no longer does."""

    kf_account: str = wire("KfAccount", "FromKfAccount", read=text)
    to_kf_account: str = wire("ToKfAccount", read=text)


# Events of mini programs


@dataclass(frozen=True, kw_only=True)
class SessionEntered(EventMessage):
    """user_enter_tempsession: she opened the mini program's customer-service chat."""

    session_from: str = wire("SessionFrom", read=text)


@dataclass(frozen=True, kw_only=True)
class ReviewPassed(EventMessage):
    """weapp_audit_success"""

    passed_at: datetime | None = wire("SuccTime", read=time)


@dataclass(frozen=True, kw_only=True)
class ReviewFailed(EventMessage):
    """weapp_audit_fail: ``reason`` holds WeChat's ``<br>``; ``screenshots`` are media ids."""

    failed_at: datetime | None = wire("FailTime", read=time)
    reason: str = wire("Reason", read=text)
    screenshots: tuple[str, ...] = wire("ScreenShot", read=words)


@dataclass(frozen=True, kw_only=True)
class ReviewDelayed(EventMessage):
    """weapp_audit_delay"""

    delayed_at: datetime | None = wire("DelayTime", read=time)
    reason: str = wire("Reason", read=text)


@dataclass(frozen=True, kw_only=True)
class NicknameReviewed(EventMessage):
    """wxa_nickname_audit: ``ret`` 2 refused, 3 passed."""

    ret: int | None = wire("ret", read=integer)
    nickname: str = wire("nickname", read=text)
    reason: str = wire("reason", read=text)


@dataclass(frozen=True, kw_only=True)
class CategoryReviewed(EventMessage):
    """wxa_category_audit: ``ret`` 2 refused, 3 passed."""

    ret: int | None = wire("ret", read=integer)
    first: int | None = wire("first", read=integer)
    second: int | None = wire("second", read=integer)
    reason: str = wire("reason", read=text)


@dataclass(frozen=True, kw_only=True)
class PrivacyApplication:
    api_name: str = wire("api_name", read=text)
    status: int | None = wire("status", read=integer)
    reason: str = wire("reason", read=text)
    audit_id: str = wire("audit_id", read=text)


@dataclass(frozen=True, kw_only=True)
class PrivacyReviewed(EventMessage):
    """wxa_privacy_apply: whether an interface that touches private data may be used."""

    application: PrivacyApplication = wire("result_info", read=one(PrivacyApplication))


@dataclass(frozen=True, kw_only=True)
class DebugPushed(EventMessage):
    """debug_demo, of WeChat's tool for trying pushes."""

    debug_str: str = wire("debug_str", read=exact)


MESSAGES: dict[str, type[Message]] = {
    "text": TextMessage,
    "image": ImageMessage,
    "voice": VoiceMessage,
    "video": VideoMessage,
    "shortvideo": VideoMessage,
    "location": LocationMessage,
    "link": LinkMessage,
    "miniprogrampage": MiniProgramPageMessage,
}
"""The class of each MsgType."""

EVENTS: dict[str, type[EventMessage]] = {
    "subscribe": Subscribed,
    "unsubscribe": Unsubscribed,
    "scan": Scanned,
    "location": LocationReported,
    "click": MenuClicked,
    "view": MenuLinkOpened,
    "view_miniprogram": MenuLinkOpened,
    "scancode_push": MenuScanned,
    "scancode_waitmsg": MenuScanned,
    "pic_sysphoto": MenuPicturesSent,
    "pic_photo_or_album": MenuPicturesSent,
    "pic_weixin": MenuPicturesSent,
    "location_select": MenuPlaceChosen,
    "templatesendjobfinish": TemplateMessageSent,
    "masssendjobfinish": MassMessageSent,
    "subscribe_msg_popup_event": SubscriptionsAnswered,
    "subscribe_msg_change_event": SubscriptionsChanged,
    "subscribe_msg_sent_event": SubscriptionMessageSent,
    "card_pass_check": CardChanged,
    "card_not_pass_check": CardChanged,
    "user_get_card": CardChanged,
    "user_gifting_card": CardChanged,
    "user_del_card": CardChanged,
    "user_consume_card": CardChanged,
    "user_pay_from_pay_cell": CardChanged,
    "user_view_card": CardChanged,
    "user_enter_session_from_card": CardChanged,
    "update_member_card": CardChanged,
    "submit_membercard_user_info": CardChanged,
    "card_sku_remind": CardChanged,
    "card_pay_order": CardChanged,
    "kf_create_session": CustomerServiceSession,
    "kf_close_session": CustomerServiceSession,
    "kf_switch_session": CustomerServiceSession,
    "user_enter_tempsession": SessionEntered,
    "weapp_audit_success": ReviewPassed,
    "weapp_audit_fail": ReviewFailed,
    "weapp_audit_delay": ReviewDelayed,
    "wxa_nickname_audit": NicknameReviewed,
    "wxa_category_audit": CategoryReviewed,
    "wxa_privacy_apply": PrivacyReviewed,
    "debug_demo": DebugPushed,
}
"""The class of each Event, by its name in small letters: WeChat writes some in capitals. The next one goes here."""


def parse(fields: Fields, *, received_at: datetime | None = None, **received: Any) -> Message:
    """The message or event in a decrypted push; ``received`` are appid, component and authorizer, where known.

    ``received_at`` stands in for a CreateTime that is missing or is no time. Raises InvalidPush("message") when it
    lacks what it cannot be without.
    """
    kind = word(entry(fields, "MsgType")).lower()
    cls: type[Message]
    if kind == EVENT:
        cls = EVENTS.get(word(entry(fields, "Event")).lower(), EventMessage)
    else:
        cls = MESSAGES.get(kind, Message)
    made = read(cls, fields, "message", **{**_NOBODY, **received}, fields=fields)
    if made.__dict__["created_at"] is None:
        if received_at is None:
            raise InvalidPush("message")
        made.__dict__["created_at"] = received_at  # frozen only from here on
    return made


_NOBODY: dict[str, Any] = {"appid": "", "component": "", "authorizer": None}


# Replies (6.2)


@dataclass(frozen=True)
class Reply:
    """Something to say to a follower. TypeError for a field that is no text: here, where the mistake was made."""

    kind: ClassVar[str]

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not isinstance(value, str):
                raise TypeError(f"{name!r} of a reply of kind {self.kind!r} must be a text, not {value!r}.")

    def passive(self) -> Fields:
        """The fields of a passive reply, beyond the four that every one has."""
        raise NotImplementedError

    def parts(self) -> Sequence[Reply]:
        """The same in as many messages as WeChat takes it in."""
        return (self,)

    def custom(self) -> dict[str, Any]:
        """The body of message/custom/send, without ``touser``. TypeError for what only a passive reply can say."""
        return {"msgtype": self.kind, self.kind: self._custom()}

    def _custom(self) -> dict[str, Any]:
        raise TypeError(f"A reply of kind {self.kind!r} cannot be sent as a customer-service message.")


@dataclass(frozen=True)
class Text(Reply):
    """Text; ``<a href="…">`` works in it. A long one comes in several messages."""

    content: str
    kind = "text"

    def parts(self) -> Sequence[Text]:
        if len(self.content) * 4 <= MAX_TEXT:  # no character has more bytes
            return (self,)
        return tuple(Text(part) for part in split(self.content))

    def passive(self) -> Fields:
        return {"Content": self.content}

    def _custom(self) -> dict[str, Any]:
        return {"content": self.content}


@dataclass(frozen=True)
class _Medium(Reply):
    """Something that was uploaded; WeChat gave ``media_id`` for it."""

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
    """A card with a picture and a link. WeChat shows one; further ones are its to refuse."""

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
    """An answer that an event of WeChat's wants instead of a message (virtual payment, waybills, refund queries).

    Its fields are written as they are, in the push's format::

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
    """The same, of a mapping."""

    given: Mapping[str, Any]

    def passive(self) -> Fields:
        return dict(self.given)


KINDS = frozenset({"text", "image", "voice", "video", "music", "news", "transfer_customer_service"})
"""The MsgTypes of passive replies."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,63}").fullmatch


def _require_writable(value: Any, depth: int = 1) -> None:
    """TypeError for what is no field of an answer: here, where the mistake was made."""
    if depth > xml.MAX_DEPTH:
        raise TypeError("The answer to an event is nested too deep.")
    if isinstance(value, Mapping):
        for name, item in value.items():
            if not isinstance(name, str) or not _NAME(name):
                raise TypeError(f"A field of an answer is named like an XML element, not {name!r}.")
            _require_writable(item, depth + 1)
    elif isinstance(value, (list, tuple)):
        for item in value:
            _require_writable(item, depth + 1)
    elif not (value is None or isinstance(value, (str, int)) or (isinstance(value, float) and math.isfinite(value))):
        raise TypeError(f"A field of an answer is a text, a number, a mapping or a list of these, not {value!r:.50}.")


def is_event_reply(reply: Reply, message: Message) -> bool:
    """Whether it is written without the fields of a message: to an event, every kind that is no passive reply is."""
    return isinstance(reply, EventReply) or (isinstance(message, EventMessage) and reply.kind not in KINDS)


def write_reply(reply: Reply, message: Message, created: int, format: Format = "xml") -> bytes:
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
    elif not isinstance(message, EventMessage):
        raise TypeError(
            f"{type(reply).__name__} is the answer to an event; a message is answered with a reply or a text."
        )
    if format == "json":
        return json.dumps(fields, ensure_ascii=False).encode(errors="ignore")  # no half pairs, as in XML
    return xml.write_cdata(fields)


# Long texts

MAX_TEXT = 2048
"""Bytes of a text, in a passive reply or a customer-service message. WeChat loses or refuses (45002) a longer one."""

# What is not torn apart if it fits into a message: links, and addresses.
_WHOLE = re.compile(r"<a\s[^>]*>.*?</a>|[a-z][a-z0-9+.-]{1,20}://[!-~]+", re.IGNORECASE | re.DOTALL)
_LINE, _SENTENCE, _WORD = (re.compile(ends) for ends in (r"\n+", r"[。！？；…]+|[.!?;]\s+", r"\s+|[，、：）】》]+"))


def split(text: str, limit: int = MAX_TEXT) -> list[str]:
    """The text in parts of at most so many bytes, which together are the text.

    It is cut behind a line, else behind a sentence, else behind a word, and never within a character; a link or an
    address stays whole where it fits.
    """
    parts = []
    while text:
        end = _fits(text, limit)
        if end < len(text):
            end = _cut(text, end)
        parts.append(text[:end])
        text = text[end:]
    return parts


def _fits(text: str, limit: int) -> int:
    """How many characters, at least one, have no more bytes than that."""
    size = 0
    for number, character in enumerate(text):
        size += 1 if character < "\x80" else 2 if character < "\u0800" else 3 if character <= "\uffff" else 4
        if size > limit:
            return max(1, number)
    return len(text)


def _cut(text: str, end: int) -> int:
    """Where to cut, at or before ``end``: nearer than the half only if nothing else is to be had."""
    spans = [found.span() for found in _WHOLE.finditer(text[: end * 2])]
    for pattern in (_LINE, _SENTENCE, _WORD):
        cuts = [found.end() for found in pattern.finditer(text, 0, end)]
        cut = next((cut for cut in reversed(cuts) if not _within(cut, spans)), 0)
        if cut > end // 2:
            return cut
    whole = next((start for start, stop in spans if start < end < stop), end)
    if 0 < whole < end:
        return whole
    return next((cut for cut in range(end, max(0, end - LONGEST), -1) if not _is_joined(text, cut)), end)


def _within(cut: int, spans: Sequence[tuple[int, int]]) -> bool:
    return any(start < cut < stop for start, stop in spans)


LONGEST = 64
"""Characters that people see as one, at most: an emoji of a family has eleven."""


def _is_joined(text: str, at: int) -> bool:
    """Whether what stands there belongs to what is before: an accent, a variant, a tone of skin, a joined emoji."""
    here, before = text[at], text[at - 1]
    if _is_half_a_flag(here):
        first = at
        while first and _is_half_a_flag(text[first - 1]):
            first -= 1
        return (at - first) % 2 == 1
    return (
        here in "\u200d\ufe0f\ufe0e\u20e3"
        or before == "\u200d"
        or "\U0001f3fb" <= here <= "\U0001f3ff"
        or unicodedata.category(here).startswith("M")
    )


def _is_half_a_flag(character: str) -> bool:
    return "\U0001f1e6" <= character <= "\U0001f1ff"


def _given(**fields: str) -> dict[str, str]:
    return {name: value for name, value in fields.items() if value}

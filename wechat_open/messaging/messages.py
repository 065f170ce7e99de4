"""Followers' messages and events, as a handler gets them: one class for each kind.

Each class is a table: the attribute, the name on the wire, how it is read. ``parse`` is strict about what every message
must have; a kind or an event without a class of its own is a ``Message`` or an ``EventMessage``, and ``fields`` keeps
the whole of it. Replies are in ``protocol.replies``.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from ..exceptions import InvalidPush
from ..models import Authorizer
from ..protocol.replies import EVENT
from ..protocol.wire import decimal, entry, exact, integer, one, read, several, text, time, wire, word, words
from ..protocol.xml import Fields

__all__ = [
    "CardChanged",
    "CategoryReviewed",
    "CustomerServiceSession",
    "DebugPushed",
    "EventMessage",
    "ImageMessage",
    "LinkMessage",
    "LocationMessage",
    "LocationReported",
    "MassMessageSent",
    "MenuClicked",
    "MenuLinkOpened",
    "MenuPicturesSent",
    "MenuPlaceChosen",
    "MenuScanned",
    "Message",
    "MiniProgramPageMessage",
    "NicknameReviewed",
    "Picture",
    "Pictures",
    "Place",
    "PrivacyApplication",
    "PrivacyReviewed",
    "ReviewDelayed",
    "ReviewFailed",
    "ReviewPassed",
    "Scan",
    "Scanned",
    "SessionEntered",
    "Subscribed",
    "Subscription",
    "SubscriptionMessageSent",
    "SubscriptionsAnswered",
    "SubscriptionsChanged",
    "TemplateMessageSent",
    "TextMessage",
    "Unsubscribed",
    "VideoMessage",
    "VoiceMessage",
]


@dataclass(frozen=True, kw_only=True)
class Message:
    """What all messages and events have. ``openid`` is the follower, ``original_id`` (gh_…) the account.

    ``appid`` (the account's), ``component`` (the platform's alias) and ``authorizer`` (the account's row, which is read
    from the database when it is first used) are no part of the push: they are set where it is received.
    """

    original_id: str = wire("ToUserName", read=word, required=True)
    openid: str = wire("FromUserName", read=word, required=True)
    created_at: datetime = wire("CreateTime", read=time)
    kind: str = wire("MsgType", read=word, required=True)
    msg_id: str = wire("MsgId", "MsgID", read=word)
    """A 64-bit number as text; empty for most events."""
    appid: str = ""
    component: str = ""
    authorizer: Authorizer = field(default=None, repr=False, compare=False)  # type: ignore[assignment]  # handlers have it
    fields: Fields = field(repr=False, hash=False)
    """The complete message in WeChat's own names."""

    @property
    def created(self) -> int:
        """CreateTime as WeChat sent it: unix seconds."""
        return int(self.created_at.timestamp())

    @property
    def identity(self) -> str:
        """What a repeat of the same message has in common with it, and no other message of the account.

        The sender, the time and the MsgId; every field of an event, and of a message without a MsgId or with 0 for one.
        """
        if self.msg_id.strip("0") and not isinstance(self, EventMessage):
            return f"{self.openid} {entry(self.fields, 'CreateTime')} {self.msg_id}"
        return json.dumps(self.fields, sort_keys=True, ensure_ascii=False)


# Messages


@dataclass(frozen=True, kw_only=True)
class TextMessage(Message):
    """text. ``menu_id`` is set when the follower tapped an answer of a msgmenu."""

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
    """subscribe: with a scene when the follower scanned a QR code of the account."""

    ticket: str = wire("Ticket", read=text)

    @property
    def scene(self) -> str:
        """The scene of the QR code, or empty."""
        return self.event_key.removeprefix("qrscene_")


@dataclass(frozen=True, kw_only=True)
class Unsubscribed(EventMessage):
    """unsubscribe: nothing can be sent to the follower any more."""


@dataclass(frozen=True, kw_only=True)
class Scanned(EventMessage):
    """SCAN: a follower scanned a QR code with parameters; its scene is ``event_key``."""

    ticket: str = wire("Ticket", read=text)


@dataclass(frozen=True, kw_only=True)
class LocationReported(EventMessage):
    """LOCATION: where the follower is, if the account's option location_report is on."""

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


# Events: what became of a message that was sent


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
    """One template: whether the follower accepts it, or what became of a message by it."""

    template_id: str = wire("TemplateId", read=text)
    status: str = wire("SubscribeStatusString", "ErrorStatus", read=text)
    error_code: int | None = wire("ErrorCode", read=integer)
    msg_id: str = wire("MsgID", "MsgId", read=text)


@dataclass(frozen=True, kw_only=True)
class SubscriptionsAnswered(EventMessage):
    """subscribe_msg_popup_event: the follower's answer to a request for subscription messages."""

    subscriptions: tuple[Subscription, ...] = wire("SubscribeMsgPopupEvent", "List", read=several(Subscription, "List"))


@dataclass(frozen=True, kw_only=True)
class SubscriptionsChanged(EventMessage):
    """subscribe_msg_change_event: the follower changed it in the settings."""

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
    """user_enter_tempsession: the follower opened the mini program's customer-service chat."""

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

    ``received_at`` replaces a CreateTime that is missing or is no time. Raises InvalidPush("message") when it
    lacks what it cannot be without.
    """
    kind = word(entry(fields, "MsgType")).lower()
    cls: type[Message]
    if kind == EVENT:
        cls = EVENTS.get(word(entry(fields, "Event")).lower(), EventMessage)
    else:
        cls = MESSAGES.get(kind, Message)
    made = read(cls, fields, "message", **{**_UNKNOWN, **received}, fields=fields)
    if made.__dict__["created_at"] is None:
        if received_at is None:
            raise InvalidPush("message")
        made.__dict__["created_at"] = received_at  # frozen only from here on
    return made


_UNKNOWN: dict[str, Any] = {"appid": "", "component": "", "authorizer": None}

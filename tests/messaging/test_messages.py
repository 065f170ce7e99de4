"""Each message becomes its class with every field typed; each reply is written as WeChat reads it."""

from __future__ import annotations

import dataclasses
import json
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.protocol import vectors
from wechat_open import messaging
from wechat_open.exceptions import InvalidPush
from wechat_open.messaging import messages
from wechat_open.messaging.messages import (
    EVENTS,
    MESSAGES,
    CardChanged,
    CategoryReviewed,
    CustomerServiceSession,
    DebugPushed,
    EventMessage,
    ImageMessage,
    LinkMessage,
    LocationMessage,
    LocationReported,
    MassMessageSent,
    MenuClicked,
    MenuLinkOpened,
    MenuPicturesSent,
    MenuPlaceChosen,
    MenuScanned,
    Message,
    MiniProgramPageMessage,
    NicknameReviewed,
    Picture,
    Pictures,
    Place,
    PrivacyApplication,
    PrivacyReviewed,
    ReviewDelayed,
    ReviewFailed,
    ReviewPassed,
    Scan,
    Scanned,
    SessionEntered,
    Subscribed,
    Subscription,
    SubscriptionMessageSent,
    SubscriptionsAnswered,
    SubscriptionsChanged,
    TemplateMessageSent,
    TextMessage,
    Unsubscribed,
    VideoMessage,
    VoiceMessage,
    parse,
)
from wechat_open.protocol import xml
from wechat_open.protocol.envelope import decrypt_push, read_plain

SHOP, ANNA = "gh_7f083739789a", "oia2TjuEGTNoeX76QEjQNrcURxG8"
AT = datetime(2016, 7, 20, 7, 21, 38, tzinfo=timezone.utc)
HOUR_LATER = AT + timedelta(hours=1)
COMMON = {"ToUserName": SHOP, "FromUserName": ANNA, "CreateTime": "1468999298"}

Example = tuple[str, type[Message], dict[str, Any]]

MESSAGE_EXAMPLES: dict[str, Example] = {
    "text": (
        "<Content><![CDATA[ this is\n a <test> ]]></Content><MsgId>1234567890123456</MsgId>"
        "<bizmsgmenuid>101</bizmsgmenuid>",
        TextMessage,
        {"content": " this is\n a <test> ", "menu_id": "101"},
    ),
    "image": (
        "<PicUrl><![CDATA[http://mmbiz.qpic.cn/p]]></PicUrl><MediaId><![CDATA[media_1]]></MediaId>"
        "<MsgId>1234567890123456</MsgId>",
        ImageMessage,
        {"pic_url": "http://mmbiz.qpic.cn/p", "media_id": "media_1"},
    ),
    "voice": (
        "<MediaId><![CDATA[media_1]]></MediaId><Format><![CDATA[amr]]></Format>"
        "<Recognition><![CDATA[腾讯微信团队]]></Recognition><MsgId>1234567890123456</MsgId>",
        VoiceMessage,
        {"media_id": "media_1", "format": "amr", "recognition": "腾讯微信团队"},
    ),
    "video": (
        "<MediaId><![CDATA[media_1]]></MediaId><ThumbMediaId><![CDATA[thumb_1]]></ThumbMediaId>"
        "<MsgId>1234567890123456</MsgId>",
        VideoMessage,
        {"media_id": "media_1", "thumb_media_id": "thumb_1"},
    ),
    "shortvideo": (
        "<MediaId><![CDATA[media_1]]></MediaId><ThumbMediaId><![CDATA[thumb_1]]></ThumbMediaId>"
        "<MsgId>1234567890123456</MsgId>",
        VideoMessage,
        {"media_id": "media_1", "thumb_media_id": "thumb_1"},
    ),
    "location": (
        "<Location_X>23.134521</Location_X><Location_Y>-113.358803</Location_Y><Scale>20</Scale>"
        "<Label><![CDATA[位置信息]]></Label><MsgId>1234567890123456</MsgId>",
        LocationMessage,
        {"latitude": 23.134521, "longitude": -113.358803, "scale": 20, "label": "位置信息"},
    ),
    "link": (
        "<Title><![CDATA[公众平台官网链接]]></Title><Description><![CDATA[d]]></Description>"
        "<Url><![CDATA[https://example.com/?a=1&b=2]]></Url><MsgId>1234567890123456</MsgId>",
        LinkMessage,
        {"title": "公众平台官网链接", "description": "d", "url": "https://example.com/?a=1&b=2"},
    ),
    "miniprogrampage": (
        "<MsgId>1234567890123456</MsgId><Title><![CDATA[Title]]></Title><AppId><![CDATA[wx1a2b]]></AppId>"
        "<PagePath><![CDATA[pages/index?id=7]]></PagePath><ThumbUrl><![CDATA[https://t]]></ThumbUrl>"
        "<ThumbMediaId><![CDATA[thumb_1]]></ThumbMediaId>",
        MiniProgramPageMessage,
        {
            "title": "Title",
            "page_appid": "wx1a2b",
            "page_path": "pages/index?id=7",
            "thumb_url": "https://t",
            "thumb_media_id": "thumb_1",
        },
    ),
}

SCANNED: Example = (
    "<EventKey><![CDATA[6]]></EventKey><ScanCodeInfo><ScanType><![CDATA[qrcode]]></ScanType>"
    "<ScanResult><![CDATA[ 1 ]]></ScanResult></ScanCodeInfo>",
    MenuScanned,
    {"event_key": "6", "scan": Scan(kind="qrcode", result=" 1 ")},
)
PICTURES: Example = (
    "<EventKey><![CDATA[6]]></EventKey><SendPicsInfo><Count>2</Count><PicList>"
    "<item><PicMd5Sum><![CDATA[1b5f7c23]]></PicMd5Sum></item><item><PicMd5Sum><![CDATA[5a75aaca]]></PicMd5Sum></item>"
    "</PicList></SendPicsInfo>",
    MenuPicturesSent,
    {"event_key": "6", "sent": Pictures(count=2, pictures=(Picture(md5="1b5f7c23"), Picture(md5="5a75aaca")))},
)
CARD: Example = (
    "<CardId><![CDATA[card_1]]></CardId><UserCardCode><![CDATA[12312312]]></UserCardCode>",
    CardChanged,
    {"card_id": "card_1", "code": "12312312"},
)
SESSION: Example = (
    "<KfAccount><![CDATA[lin@shop]]></KfAccount>",
    CustomerServiceSession,
    {"kf_account": "lin@shop"},
)

EVENT_EXAMPLES: dict[str, Example] = {
    "subscribe": (
        "<EventKey><![CDATA[qrscene_123123]]></EventKey><Ticket><![CDATA[ticket_1]]></Ticket>",
        Subscribed,
        {"event_key": "qrscene_123123", "ticket": "ticket_1"},
    ),
    "unsubscribe": ("<EventKey><![CDATA[]]></EventKey>", Unsubscribed, {}),
    "SCAN": (
        "<EventKey><![CDATA[SCENE_VALUE]]></EventKey><Ticket><![CDATA[ticket_1]]></Ticket>",
        Scanned,
        {"event_key": "SCENE_VALUE", "ticket": "ticket_1"},
    ),
    "LOCATION": (
        "<Latitude>23.137466</Latitude><Longitude>113.352425</Longitude><Precision>119.385040</Precision>",
        LocationReported,
        {"latitude": 23.137466, "longitude": 113.352425, "precision": 119.38504},
    ),
    "CLICK": ("<EventKey><![CDATA[EVENTKEY]]></EventKey>", MenuClicked, {"event_key": "EVENTKEY"}),
    "VIEW": (
        "<EventKey><![CDATA[www.qq.com]]></EventKey><MenuId>419</MenuId>",
        MenuLinkOpened,
        {"event_key": "www.qq.com", "menu_id": "419"},
    ),
    "view_miniprogram": (
        "<EventKey><![CDATA[pages/index/index]]></EventKey><MenuId>MENUID</MenuId>",
        MenuLinkOpened,
        {"event_key": "pages/index/index", "menu_id": "MENUID"},
    ),
    "scancode_push": SCANNED,
    "scancode_waitmsg": SCANNED,
    "pic_sysphoto": PICTURES,
    "pic_photo_or_album": PICTURES,
    "pic_weixin": PICTURES,
    "location_select": (
        "<EventKey><![CDATA[6]]></EventKey><SendLocationInfo><Location_X><![CDATA[23]]></Location_X>"
        "<Location_Y><![CDATA[113]]></Location_Y><Scale><![CDATA[15]]></Scale><Label><![CDATA[ 广州市 ]]></Label>"
        "<Poiname><![CDATA[]]></Poiname></SendLocationInfo>",
        MenuPlaceChosen,
        {"event_key": "6", "place": Place(latitude=23.0, longitude=113.0, scale=15, label="广州市", name="")},
    ),
    "TEMPLATESENDJOBFINISH": (
        "<MsgID>200163836</MsgID><Status><![CDATA[failed:user block]]></Status>",
        TemplateMessageSent,
        {"msg_id": "200163836", "status": "failed:user block"},
    ),
    "MASSSENDJOBFINISH": (
        "<MsgID>1000001625</MsgID><Status><![CDATA[err(30003)]]></Status><TotalCount>4</TotalCount>"
        "<FilterCount>3</FilterCount><SentCount>2</SentCount><ErrorCount>1</ErrorCount>",
        MassMessageSent,
        {
            "msg_id": "1000001625",
            "status": "err(30003)",
            "total_count": 4,
            "filter_count": 3,
            "sent_count": 2,
            "error_count": 1,
        },
    ),
    "subscribe_msg_popup_event": (
        "<SubscribeMsgPopupEvent><List><TemplateId><![CDATA[t1]]></TemplateId>"
        "<SubscribeStatusString><![CDATA[accept]]></SubscribeStatusString><PopupScene>2</PopupScene></List>"
        "<List><TemplateId><![CDATA[t2]]></TemplateId><SubscribeStatusString><![CDATA[reject]]></SubscribeStatusString>"
        "<PopupScene>2</PopupScene></List></SubscribeMsgPopupEvent>",
        SubscriptionsAnswered,
        {
            "subscriptions": (
                Subscription(template_id="t1", status="accept"),
                Subscription(template_id="t2", status="reject"),
            )
        },
    ),
    "subscribe_msg_change_event": (
        "<SubscribeMsgChangeEvent><List><TemplateId><![CDATA[t1]]></TemplateId>"
        "<SubscribeStatusString><![CDATA[reject]]></SubscribeStatusString></List></SubscribeMsgChangeEvent>",
        SubscriptionsChanged,
        {"subscriptions": (Subscription(template_id="t1", status="reject"),)},
    ),
    "subscribe_msg_sent_event": (
        "<SubscribeMsgSentEvent><List><TemplateId><![CDATA[t1]]></TemplateId><MsgID>1700827132819554304</MsgID>"
        "<ErrorCode>43101</ErrorCode><ErrorStatus><![CDATA[refused]]></ErrorStatus></List></SubscribeMsgSentEvent>",
        SubscriptionMessageSent,
        {
            "subscriptions": (
                Subscription(template_id="t1", status="refused", error_code=43101, msg_id="1700827132819554304"),
            )
        },
    ),
    "card_pass_check": CARD,
    "card_not_pass_check": CARD,
    "user_get_card": CARD,
    "user_gifting_card": CARD,
    "user_del_card": CARD,
    "user_consume_card": CARD,
    "user_pay_from_pay_cell": CARD,
    "user_view_card": CARD,
    "user_enter_session_from_card": CARD,
    "update_member_card": CARD,
    "submit_membercard_user_info": CARD,
    "card_sku_remind": CARD,
    "card_pay_order": CARD,
    "kf_create_session": SESSION,
    "kf_close_session": SESSION,
    "kf_switch_session": (
        "<FromKfAccount><![CDATA[lin@shop]]></FromKfAccount><ToKfAccount><![CDATA[wu@shop]]></ToKfAccount>",
        CustomerServiceSession,
        {"kf_account": "lin@shop", "to_kf_account": "wu@shop"},
    ),
    "user_enter_tempsession": (
        "<SessionFrom><![CDATA[sessionFrom]]></SessionFrom>",
        SessionEntered,
        {"session_from": "sessionFrom"},
    ),
    "weapp_audit_success": ("<SuccTime>1469002898</SuccTime>", ReviewPassed, {"passed_at": HOUR_LATER}),
    "weapp_audit_fail": (
        "<FailTime>1469002898</FailTime><Reason><![CDATA[1:账号信息不符合规范:<br>]]></Reason>"
        "<ScreenShot>media_1|media_2</ScreenShot>",
        ReviewFailed,
        {"failed_at": HOUR_LATER, "reason": "1:账号信息不符合规范:<br>", "screenshots": ("media_1", "media_2")},
    ),
    "weapp_audit_delay": (
        "<DelayTime>1469002898</DelayTime><Reason><![CDATA[为了更好的服务小程序]]></Reason>",
        ReviewDelayed,
        {"delayed_at": HOUR_LATER, "reason": "为了更好的服务小程序"},
    ),
    "wxa_nickname_audit": (
        "<ret>3</ret><nickname>昵称</nickname><reason></reason>",
        NicknameReviewed,
        {"ret": 3, "nickname": "昵称"},
    ),
    "wxa_category_audit": (
        "<ret>2</ret><first>1</first><second>2</second><reason>r</reason>",
        CategoryReviewed,
        {"ret": 2, "first": 1, "second": 2, "reason": "r"},
    ),
    "wxa_privacy_apply": (
        "<result_info><api_name>wx.getLocation</api_name><apply_time>1468999298</apply_time><audit_id>99</audit_id>"
        "<reason>r</reason><status>4</status></result_info>",
        PrivacyReviewed,
        {"application": PrivacyApplication(api_name="wx.getLocation", status=4, reason="r", audit_id="99")},
    ),
    "debug_demo": ("<debug_str><![CDATA[hello world]]></debug_str>", DebugPushed, {"debug_str": "hello world"}),
}


def read(kind: str, inner: str = "", **received: Any) -> Message:
    """The message of a push as it stands on the wire."""
    common = "".join(f"<{name}>{value}</{name}>" for name, value in COMMON.items())
    return parse(xml.read(f"<xml>{common}<MsgType><![CDATA[{kind}]]></MsgType>{inner}</xml>".encode()), **received)


def event(name: str, inner: str = "") -> EventMessage:
    found = read("event", f"<Event><![CDATA[{name}]]></Event>{inner}")
    assert isinstance(found, EventMessage)
    return found


# Messages


@pytest.mark.parametrize("kind", MESSAGES)
def test_each_kind__becomes_its_message(kind: str) -> None:
    inner, cls, own = MESSAGE_EXAMPLES[kind]

    message = read(kind, inner, appid="wx1", component="default")

    assert type(message) is cls
    assert message == cls(
        original_id=SHOP,
        openid=ANNA,
        created_at=AT,
        kind=kind,
        msg_id="1234567890123456",
        appid="wx1",
        component="default",
        fields=message.fields,
        **own,
    )


@pytest.mark.parametrize("name", EVENT_EXAMPLES)
def test_each_event__becomes_its_message(name: str) -> None:
    inner, cls, own = EVENT_EXAMPLES[name]

    message = event(name, inner)

    assert type(message) is cls
    assert message == cls(
        original_id=SHOP, openid=ANNA, created_at=AT, kind="event", event=name, fields=message.fields, **own
    )


def test_examples__are_complete() -> None:
    assert set(MESSAGE_EXAMPLES) == set(MESSAGES)
    assert {name.lower() for name in EVENT_EXAMPLES} == set(EVENTS)


def test_published_push__is_decrypted_and_is_its_event() -> None:
    opened = decrypt_push(vectors.V1.query, vectors.V1.body, [vectors.V1.pair], vectors.V1.receiver_id)

    message = parse(opened.fields)

    assert isinstance(message, DebugPushed)
    assert (message.debug_str, message.original_id, message.openid, message.created) == (
        "hello world",
        "gh_97417a04a28d",
        "o9AgO5Kd5ggOC-bXrbNODIiE3bGY",
        1715943329,
    )


@pytest.mark.parametrize(("vector", "content"), [(vectors.V2, "abcdteT"), (vectors.V3, "hello")])
def test_published_texts__are_texts(vector: vectors.Vector, content: str) -> None:
    message = parse(decrypt_push(vector.query, vector.body, [vector.pair], vector.receiver_id).fields)

    assert isinstance(message, TextMessage)
    assert message.content == content


def test_unknown_kind__is_a_message_with_everything() -> None:
    message = read("sticker", "<StickerId>7</StickerId><Nested><A>1</A><A>2</A></Nested>")

    assert type(message) is Message
    assert message.kind == "sticker"
    assert message.fields["StickerId"] == "7"
    assert message.fields["Nested"] == {"A": ["1", "2"]}


def test_unknown_event__is_an_event_with_everything() -> None:
    message = event("something_new", "<EventKey>k</EventKey><New>7</New>")

    assert type(message) is EventMessage
    assert (message.event, message.event_key, message.fields["New"]) == ("something_new", "k", "7")


@pytest.mark.parametrize(("kind", "cls"), [("TEXT", TextMessage), ("Event", EventMessage)])
def test_kind_in_other_letters__is_known_and_kept_as_sent(kind: str, cls: type[Message]) -> None:
    message = read(kind, "<Event>something_new</Event>")

    assert type(message) is cls
    assert message.kind == kind


@pytest.mark.parametrize("name", ["click", "CLICK", "Click"])
def test_event_in_any_letters__is_known_and_kept_as_sent(name: str) -> None:
    message = event(name)

    assert type(message) is MenuClicked
    assert message.event == name


@pytest.mark.parametrize(
    ("event_key", "scene"),
    [("qrscene_7", "7"), ("qrscene_qrscene_7", "qrscene_7"), ("", ""), ("last_trade_no_4", "last_trade_no_4")],
)
def test_scene__is_that_of_the_qr_code(event_key: str, scene: str) -> None:
    message = event("subscribe", f"<EventKey>{event_key}</EventKey>")

    assert isinstance(message, Subscribed)
    assert message.scene == scene


def test_json__is_the_same_message() -> None:
    """A mini program may be set to JSON; numbers are numbers there."""
    pushed = {
        "ToUserName": SHOP,
        "FromUserName": ANNA,
        "CreateTime": 1468999298,
        "MsgType": "text",
        "Content": "你好",
        "MsgId": 1234567890123456,
    }
    message = parse(read_plain(json.dumps(pushed, ensure_ascii=False).encode()))

    assert message == read("text", "<Content>你好</Content><MsgId>1234567890123456</MsgId>")
    assert message.created_at == AT


@pytest.mark.parametrize("listed", [{"TemplateId": "t1"}, [{"TemplateId": "t1"}]])
def test_list_of_one_in_json__may_be_a_list_or_not(listed: Any) -> None:
    pushed = {**COMMON, "MsgType": "event", "Event": "subscribe_msg_popup_event"}
    message = parse(read_plain(json.dumps({**pushed, "SubscribeMsgPopupEvent": {"List": listed}}).encode()))

    assert isinstance(message, SubscriptionsAnswered)
    assert message.subscriptions == (Subscription(template_id="t1"),)


def test_account_of_a_message__is_set_by_its_receiver() -> None:
    row = object()
    message = read("text", appid="wx1", component="second", authorizer=row)

    assert (message.appid, message.component, message.authorizer) == ("wx1", "second", row)
    received = read("text")
    assert (received.appid, received.component, received.authorizer) == ("", "", None)


def test_fields_of_the_wire__do_not_say_whose_it_is() -> None:
    message = read("text", "<appid>wxforged</appid><component>forged</component><authorizer>forged</authorizer>")

    assert (message.appid, message.component, message.authorizer) == ("", "", None)


def test_whole_push_and_row__are_not_shown() -> None:
    shown = repr(read("text", "<Extra>canary</Extra>", authorizer="row"))

    assert "canary" not in shown
    assert "authorizer" not in shown


def test_messages__can_be_members_of_a_set_and_cannot_be_changed() -> None:
    message = read("text")

    assert len({message, read("text")}) == 1
    with pytest.raises(dataclasses.FrozenInstanceError):
        message.openid = "o-other"  # type: ignore[misc]


# What a message cannot be without


@pytest.mark.parametrize("name", ["ToUserName", "FromUserName", "CreateTime", "MsgType", "Event"])
@pytest.mark.parametrize("value", [None, "", " \n", "x" * 65, "two words", "né", ["a", "b"], {"a": "b"}, 7], ids=repr)
def test_event_without_what_it_needs__is_refused(name: str, value: object) -> None:
    fields = {**COMMON, "MsgType": "event", "Event": "CLICK", name: value}
    if value is None:
        del fields[name]

    with pytest.raises(InvalidPush) as caught:
        parse(fields)
    assert caught.value.reason == "message"


@pytest.mark.parametrize("time", ["0", "-1468999298", "1_468_999_298", "１４６８９９９２９８", "9" * 400, "1.5e9"])
def test_time_that_is_none__is_refused(time: str) -> None:
    with pytest.raises(InvalidPush, match="message"):
        parse({**COMMON, "MsgType": "text", "CreateTime": time})


def test_message__needs_no_event() -> None:
    assert parse({**COMMON, "MsgType": "text"}).kind == "text"


@pytest.mark.parametrize("name", [*MESSAGE_EXAMPLES, *EVENT_EXAMPLES])
@pytest.mark.parametrize("value", [None, "", "nonsense", ["1", "2"], {"a": "1"}, "9" * 30], ids=repr)
def test_anything_else__may_be_missing_or_damaged(name: str, value: object) -> None:
    inner, cls, _ = {**MESSAGE_EXAMPLES, **EVENT_EXAMPLES}[name]
    kind = {"MsgType": name} if name in MESSAGES else {"MsgType": "event", "Event": name}
    own = xml.read(f"<xml>{inner or '<x/>'}</xml>".encode())
    damaged = {} if value is None else dict.fromkeys(own, value)

    assert type(parse({**COMMON, **damaged, **kind})) is cls


def test_missing_fields__are_none_or_empty() -> None:
    place = event("location_select")
    assert isinstance(place, MenuPlaceChosen)
    assert place.place == Place(latitude=None, longitude=None, scale=None, label="", name="")

    failed = event("weapp_audit_fail")
    assert isinstance(failed, ReviewFailed)
    assert (failed.failed_at, failed.reason, failed.screenshots) == (None, "", ())


names = sorted({*COMMON, "MsgType", "Event", "Content", "MsgId", "SendPicsInfo", "PicList", "item", "List"})
values = st.recursive(
    st.text(max_size=12) | st.sampled_from([*EVENTS, *MESSAGES, "event", "1468999298", SHOP, "１４６８９９９２９８"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(names), inner, max_size=3),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from(names) | st.text(max_size=5), values), st.booleans())
def test_any_fields__are_a_message_or_refused(fields: dict[str, Any], well_formed: bool) -> None:
    if well_formed:
        fields = {**fields, **COMMON}
    try:
        message = parse(fields, appid="wx1")
    except InvalidPush:
        return
    assert message.fields == fields
    assert message.openid
    assert message.appid == "wx1"


# JSON pushes spell and place fields in other ways


ITEM = {"TemplateId": "t1", "SubscribeStatusString": "accept"}
READ = (Subscription(template_id="t1", status="accept"),)


@pytest.mark.parametrize(
    ("event", "place"),
    [
        ("subscribe_msg_popup_event", "SubscribeMsgPopupEvent"),
        ("subscribe_msg_change_event", "SubscribeMsgChangeEvent"),
        ("subscribe_msg_sent_event", "SubscribeMsgSentEvent"),
    ],
)
@pytest.mark.parametrize(
    "spelt",
    [
        lambda place: {place: {"List": [ITEM]}},
        lambda place: {place: {"List": ITEM}},
        lambda place: {place: {"list": [ITEM]}},
        lambda place: {place: [ITEM]},
        lambda place: {place: ITEM},
        lambda place: {"List": [ITEM]},
        lambda place: {"List": ITEM},
        lambda place: {"list": ITEM},
        lambda place: {place.lower(): {"LIST": [{"template_id": "t1", "subscribestatusstring": "accept"}]}},
    ],
)
def test_subscriptions__are_found_wherever_they_are(event: str, place: str, spelt: Any) -> None:
    message = parse({**COMMON, "MsgType": "event", "Event": event, **spelt(place)})

    assert message.subscriptions == READ  # type: ignore[attr-defined]  # each of the three classes has them


@pytest.mark.parametrize("nothing", [{}, {"List": []}, {"List": {}}, {"List": "x"}, {"List": [{"Other": "1"}, "x"]}])
def test_subscriptions_that_are_none__are_none(nothing: Any) -> None:
    message = parse({**COMMON, "MsgType": "event", "Event": "subscribe_msg_popup_event", **nothing})

    assert message.subscriptions == ()  # type: ignore[attr-defined]  # it is a SubscriptionsAnswered


def test_fields_in_small_letters__are_read() -> None:
    spelt = {name.lower(): value for name, value in {**COMMON, "MsgType": "event", "Event": "CLICK"}.items()}
    message = parse({**spelt, "event_key": "A"})

    assert isinstance(message, MenuClicked)
    assert (message.openid, message.original_id) == (COMMON["FromUserName"], COMMON["ToUserName"])
    assert message.event_key == "A"


def test_every_class__is_exported_where_handlers_import_from() -> None:
    classes = {name for name, value in vars(messages).items() if isinstance(value, type)}
    ours = {name for name in classes if getattr(messages, name).__module__ == messages.__name__}

    assert ours <= set(messaging.__all__)
    assert all(hasattr(messaging, name) for name in messaging.__all__)

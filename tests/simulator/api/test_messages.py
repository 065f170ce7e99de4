"""Messages to followers. Over real HTTP."""

from __future__ import annotations

from typing import Any

import pytest

from tests.simulator.api.calls import authorized, post
from tests.simulator.callback import Callback
from wechat_open.simulator import DEMO_MINI, DEMO_OFFICIAL, Simulator
from wechat_open.simulator.state.accounts import demo_openid


def test_customer_service_message__reaches_a_follower_who_has_written(wechat: Simulator) -> None:
    token = authorized(wechat)
    message = {"touser": "o1", "msgtype": "text", "text": {"content": "你好"}}
    assert post(wechat, "/cgi-bin/message/custom/send", token, message)["errcode"] == 45015
    wechat.engine.message(DEMO_OFFICIAL, "o1", {"MsgType": "text"})
    assert post(wechat, "/cgi-bin/message/custom/send", token, message)["errcode"] == 0
    assert wechat.engine.sent_to(DEMO_OFFICIAL, "o1") == [message]
    assert post(wechat, "/cgi-bin/message/custom/send", token, {"touser": "o1"})["errcode"] == 40008


@pytest.mark.parametrize(("appid", "permission"), [(DEMO_OFFICIAL, 1), (DEMO_MINI, 19)])
def test_customer_service_message__needs_the_permission_set(wechat: Simulator, appid: str, permission: int) -> None:
    others = tuple(set(wechat.engine.account(appid).permissions) - {permission})
    answer = post(wechat, "/cgi-bin/message/custom/send", authorized(wechat, appid, others), {"touser": "o1"})
    assert answer["errcode"] == 61007


ARTICLE = {"title": "新书", "description": "到店", "url": "https://example.com/", "picurl": ""}


@pytest.mark.parametrize(
    ("appid", "kind", "content"),
    [
        (DEMO_OFFICIAL, "image", {"media_id": "m1"}),
        (DEMO_OFFICIAL, "voice", {"media_id": "m1"}),
        (DEMO_OFFICIAL, "video", {"media_id": "m1", "title": "片子"}),
        (DEMO_OFFICIAL, "music", {"musicurl": "https://a/", "hqmusicurl": "https://a/", "thumb_media_id": "m1"}),
        (DEMO_OFFICIAL, "news", {"articles": [ARTICLE]}),
        (DEMO_OFFICIAL, "mpnewsarticle", {"article_id": "a1"}),
        (DEMO_OFFICIAL, "msgmenu", {"head_content": "满意吗？", "list": [{"id": "1", "content": "满意"}]}),
        (DEMO_MINI, "link", {"title": "新书", "description": "到店", "url": "https://a/", "thumb_url": "https://a/"}),
        (DEMO_MINI, "miniprogrampage", {"title": "书架", "pagepath": "pages/shelf", "thumb_media_id": "m1"}),
    ],
)
def test_customer_service_message__of_each_kind(wechat: Simulator, appid: str, kind: str, content: Any) -> None:
    token = authorized(wechat, appid)
    wechat.engine.message(appid, "o1", {"MsgType": "text"})
    message = {"touser": "o1", "msgtype": kind, kind: content}
    assert post(wechat, "/cgi-bin/message/custom/send", token, message)["errcode"] == 0
    assert wechat.engine.sent_to(appid, "o1") == [message]


@pytest.mark.parametrize(
    ("appid", "message", "errcode"),
    [
        (DEMO_OFFICIAL, {}, 40008),
        (DEMO_OFFICIAL, {"msgtype": "poem", "poem": {"content": "山茶"}}, 40008),
        (DEMO_OFFICIAL, {"msgtype": "text", "text": "山茶"}, 40008),
        (DEMO_OFFICIAL, {"msgtype": "link", "link": {}}, 40008),
        (DEMO_MINI, {"msgtype": "voice", "voice": {"media_id": "m1"}}, 40008),
        (DEMO_OFFICIAL, {"msgtype": "text", "text": {}}, 44004),
        (DEMO_OFFICIAL, {"msgtype": "text", "text": {"content": ""}}, 44004),
        (DEMO_OFFICIAL, {"msgtype": "text", "text": {"content": 7}}, 44004),
        (DEMO_OFFICIAL, {"msgtype": "image", "image": {"id": "m1"}}, 41006),
        (DEMO_OFFICIAL, {"msgtype": "news", "news": {"articles": []}}, 44003),
        (DEMO_OFFICIAL, {"msgtype": "news", "news": {"articles": ARTICLE}}, 44003),
        (DEMO_OFFICIAL, {"msgtype": "news", "news": {"articles": ["新书"]}}, 44003),
        (DEMO_OFFICIAL, {"msgtype": "news", "news": {"articles": [ARTICLE, ARTICLE]}}, 45008),
        (DEMO_OFFICIAL, {"msgtype": "text", "text": {"content": "长" * 683}}, 45002),
        (DEMO_OFFICIAL, {"msgtype": "text", "text": {"content": "a" * 2049}}, 45002),
        (DEMO_OFFICIAL, {"msgtype": "msgmenu", "msgmenu": {"list": [{"id": "1"}]}}, 40097),
        (DEMO_MINI, {"msgtype": "link", "link": {"title": "新书"}}, 40097),
        (DEMO_OFFICIAL, {"touser": "", "msgtype": "text", "text": {"content": "山茶"}}, 40003),
    ],
)
def test_customer_service_message__of_a_wrong_shape(
    wechat: Simulator, appid: str, message: dict[str, Any], errcode: int
) -> None:
    token = authorized(wechat, appid)
    wechat.engine.message(appid, "o1", {"MsgType": "text"})
    assert post(wechat, "/cgi-bin/message/custom/send", token, {"touser": "o1", **message})["errcode"] == errcode
    assert wechat.engine.sent_to(appid, "o1") == []


def test_typing__is_shown_where_a_message_could_be_sent(wechat: Simulator) -> None:
    token, path = authorized(wechat), "/cgi-bin/message/custom/typing"
    assert post(wechat, path, token, {"touser": "o1", "command": "Typing"})["errcode"] == 45015
    wechat.engine.message(DEMO_OFFICIAL, "o1", {"MsgType": "text"})
    assert post(wechat, path, token, {"touser": "o1", "command": "Typing"})["errcode"] == 0
    assert post(wechat, path, token, {"touser": "o1", "command": "CancelTyping"})["errcode"] == 0
    assert post(wechat, path, token, {"touser": "o1", "command": "typing"})["errcode"] == 45072
    assert post(wechat, path, token, {"command": "Typing"})["errcode"] == 40003


def test_template_message__is_followed_by_its_outcome(wechat: Simulator, callback: Callback) -> None:
    token, path, openid = authorized(wechat), "/cgi-bin/message/template/send", demo_openid(DEMO_OFFICIAL, 1)
    answer = post(wechat, path, token, {"touser": openid, "template_id": "t1", "data": {"thing1": {"value": "新书"}}})
    assert answer["errcode"] == 0

    received = callback.wait_for("TEMPLATESENDJOBFINISH")
    fields = dict(received.push.fields)
    assert received.path == f"/wechat/messages/{DEMO_OFFICIAL}/"
    assert int(fields.pop("CreateTime"))
    assert fields == {
        "ToUserName": wechat.engine.account(DEMO_OFFICIAL).user_name,
        "FromUserName": openid,
        "MsgType": "event",
        "Event": "TEMPLATESENDJOBFINISH",
        "MsgID": str(answer["msgid"]),
        "Status": "success",
    }
    message = {"touser": openid, "msgtype": "text", "text": {"content": "你好"}}
    assert post(wechat, "/cgi-bin/message/custom/send", token, message)["errcode"] == 45015


def test_template_message__needs_a_follower(wechat: Simulator) -> None:
    token, path = authorized(wechat), "/cgi-bin/message/template/send"
    body = {"touser": "o1", "template_id": "t1", "data": {}}
    assert post(wechat, path, token, body)["errcode"] == 43004
    wechat.engine.message(DEMO_OFFICIAL, "o1", {"MsgType": "event", "Event": "subscribe"})
    assert post(wechat, path, token, body)["errcode"] == 0
    wechat.engine.message(DEMO_OFFICIAL, "o1", {"MsgType": "event", "Event": "unsubscribe"})
    assert post(wechat, path, token, body)["errcode"] == 43004


TEMPLATES = [
    ("/cgi-bin/message/template/send", DEMO_OFFICIAL, 7),
    ("/cgi-bin/message/subscribe/send", DEMO_MINI, 18),
    ("/cgi-bin/message/subscribe/bizsend", DEMO_OFFICIAL, 89),
]


@pytest.mark.parametrize(("path", "appid", "permission"), TEMPLATES)
def test_message_from_a_template__needs_the_permission_set(
    wechat: Simulator, path: str, appid: str, permission: int
) -> None:
    body = {"touser": "o1", "template_id": "t1", "data": {"thing1": {"value": "新书"}, "number2": {"value": 3}}}
    other = DEMO_MINI if appid == DEMO_OFFICIAL else DEMO_OFFICIAL
    wechat.engine.message(appid, "o1", {"MsgType": "text"})
    assert post(wechat, path, authorized(wechat, appid, (permission,)), body)["errcode"] == 0
    assert post(wechat, path, authorized(wechat, appid, (17,)), body)["errcode"] == 61007
    assert post(wechat, path, authorized(wechat, other, (permission,)), body)["errcode"] == 48001


@pytest.mark.parametrize(("path", "appid", "permission"), TEMPLATES)
@pytest.mark.parametrize(
    ("change", "errcode"),
    [
        ({"touser": ""}, 40003),
        ({"template_id": ""}, 40037),
        ({"data": []}, 47003),
        ({"data": {"thing1": "新书"}}, 47003),
        ({"data": {"thing1": {"color": "#000000"}}}, 47003),
        ({"data": {"thing1": {"value": ""}}}, 47003),
        ({"data": {"thing1": {"value": {}}}}, 47003),
        ({"data": {}}, 0),
    ],
)
def test_message_from_a_template__of_a_wrong_shape(
    wechat: Simulator, path: str, appid: str, permission: int, change: dict[str, Any], errcode: int
) -> None:
    token = authorized(wechat, appid, (permission,))
    wechat.engine.message(appid, "o1", {"MsgType": "text"})
    body = {"touser": "o1", "template_id": "t1", "data": {}, **change}
    assert post(wechat, path, token, body)["errcode"] == errcode


def test_refusal_by_a_follower__can_be_set_as_a_fault(wechat: Simulator) -> None:
    path = "/cgi-bin/message/subscribe/send"
    token = authorized(wechat, DEMO_MINI)
    wechat.control("faults", path=path, errcode=43101)
    answer = post(wechat, path, token, {"touser": "o1", "template_id": "t1", "data": {}})
    assert answer["errcode"] == 43101
    assert answer["errmsg"].startswith("user refuse to accept the msg rid: ")

"""Conversations and their bubbles."""

from __future__ import annotations

from typing import Any

import pytest

from wechat_open.simulator.state.conversation import Bubble, Card, Conversations, Line, Way, bubble, problem_of


def of(way: Way, **fields: Any) -> Bubble:
    return bubble(Line(1, 0.0, way, fields))


def test_text__by_three_ways() -> None:
    assert of("push", MsgType="text", Content="hi") == Bubble("text", text="hi")
    assert of("reply", MsgType="text", Content="hi") == Bubble("text", text="hi")
    assert of("send", msgtype="text", text={"content": "hi"}) == Bubble("text", text="hi")


def test_picture__by_three_ways() -> None:
    assert of("push", MsgType="image", MediaId="m", PicUrl="u") == Bubble(
        "image", media_id="m", cards=(Card("", "", "", "u"),)
    )
    assert of("reply", MsgType="image", Image={"MediaId": "m"}).media_id == "m"
    assert of("send", msgtype="image", image={"media_id": "m"}).media_id == "m"


def test_news__are_a_list_or_the_only_item() -> None:
    card = Card("t", "d", "u", "p")
    item = {"Title": "t", "Description": "d", "Url": "u", "PicUrl": "p"}
    assert of("reply", MsgType="news", Articles={"item": item}).cards == (card,)
    assert of("reply", MsgType="news", Articles={"item": [item, item]}).cards == (card, card)
    article = {"title": "t", "description": "d", "url": "u", "picurl": "p"}
    assert of("send", msgtype="news", news={"articles": [article]}).cards == (card,)


def test_msgmenu__has_choices() -> None:
    menu = {"head_content": "well?", "list": [{"id": 101, "content": "good"}], "tail_content": "thanks"}
    assert of("send", msgtype="msgmenu", msgmenu=menu) == Bubble(
        "msgmenu", text="well?", choices=(("101", "good"),), closing="thanks"
    )


@pytest.mark.parametrize(
    ("fields", "address"),
    [
        ({"msgtype": "music", "music": {"title": "t", "musicurl": "https://a/"}}, "https://a/"),
        ({"msgtype": "link", "link": {"title": "t", "url": "https://a/"}}, "https://a/"),
        ({"msgtype": "miniprogrampage", "miniprogrampage": {"title": "t", "pagepath": "p"}}, "p"),
        ({"msgtype": "video", "video": {"title": "t", "media_id": "m"}}, ""),
    ],
)
def test_cards__have_a_title_and_perhaps_an_address(fields: dict[str, Any], address: str) -> None:
    assert of("send", **fields).cards == (Card("t", "", address, ""),)


@pytest.mark.parametrize(
    "fields",
    [
        {"msgtype": "text", "text": ["content"]},
        {"msgtype": "text", "text": {"content": {"a": "b"}}},
        {"msgtype": "news", "news": {"articles": "none"}},
        {"msgtype": "news", "news": {"articles": {"item": "none"}}},
        {"msgtype": "msgmenu", "msgmenu": {"list": {"id": "1"}}},
        {"msgtype": ["text"]},
        {},
    ],
)
def test_unexpected_shapes__are_empty(fields: dict[str, Any]) -> None:
    found = of("send", **fields)
    assert (found.text, found.cards, found.choices) == ("", (), ())


@pytest.mark.parametrize(
    ("status", "change", "problem"),
    [
        (None, {}, "silent"),
        (404, {}, "status"),
        (200, {}, ""),
        (200, {"ToUserName": "gh_1"}, "addressed"),
        (200, {"FromUserName": "gh_2"}, "addressed"),
        (200, {"MsgType": "event"}, "type"),
    ],
)
def test_reply__is_usable_or_not(status: int | None, change: dict[str, str], problem: str) -> None:
    reply = {"ToUserName": "o1", "FromUserName": "gh_1", "MsgType": "text", **change}
    assert problem_of(status, reply, openid="o1", user_name="gh_1") == problem


@pytest.mark.parametrize(("text", "problem"), [("a" * 2048, ""), ("a" * 2049, "long"), ("长" * 683, "long")])
def test_text_that_is_too_long__is_not_shown(text: str, problem: str) -> None:
    reply = {"ToUserName": "o1", "FromUserName": "gh_1", "MsgType": "text", "Content": text}
    assert problem_of(200, reply, openid="o1", user_name="gh_1") == problem


@pytest.mark.parametrize(
    ("reply", "of_event", "problem"),
    [
        ({"ErrCode": "0"}, True, ""),
        ({"ErrCode": "0"}, False, "addressed"),
        ({"ErrCode": "0", "MsgType": "text"}, True, "addressed"),
        ({}, True, "addressed"),
    ],
)
def test_event_reply__is_accepted_for_an_event_only(reply: dict[str, str], of_event: bool, problem: str) -> None:
    assert problem_of(200, reply, openid="o1", user_name="gh_1", of_event=of_event) == problem


def test_no_reply__is_fine() -> None:
    assert problem_of(200, None, openid="o1", user_name="gh_1") == ""


def test_conversations__are_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wechat_open.simulator.state.conversation.MAX_CONVERSATIONS", 2)
    conversations = Conversations()
    for openid in ("o1", "o2", "o1", "o3"):
        conversations.add("wx1", openid, 0.0, "push", {})
    assert [len(conversations.of("wx1", openid)) for openid in ("o1", "o2", "o3")] == [2, 0, 1]


def test_line_as_json__omits_empty_fields() -> None:
    line = Line(3, 1.5, "send", {"msgtype": "text"}, errcode=45015)
    expected = {"number": 3, "at": 1, "way": "send", "fields": {"msgtype": "text"}, "errcode": 45015}
    assert line.as_json() == expected

"""Each reply is written as WeChat reads it, as a passive reply and as a customer-service message."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given

from tests.protocol.test_xml import carried
from wechat_open.protocol import xml
from wechat_open.protocol.long_texts import MAX_TEXT
from wechat_open.protocol.replies import (
    Article,
    Image,
    Music,
    News,
    Reply,
    Text,
    TransferToCustomerService,
    Video,
    Voice,
    write_reply,
)

SHOP, ANNA = "gh_7f083739789a", "oia2TjuEGTNoeX76QEjQNrcURxG8"


@dataclass(frozen=True)
class Received:
    """What the replies answer."""

    openid: str = ANNA
    original_id: str = SHOP
    kind: str = "text"


# Replies. tests/protocol/test_wechatpy.py has an independent implementation read them.

REPLIES: dict[str, tuple[Reply, dict[str, Any], dict[str, Any]]] = {
    "text": (Text("您好"), {"Content": "您好"}, {"content": "您好"}),
    "image": (Image("m1"), {"Image": {"MediaId": "m1"}}, {"media_id": "m1"}),
    "voice": (Voice("m1"), {"Voice": {"MediaId": "m1"}}, {"media_id": "m1"}),
    "video": (
        Video("m1", title="t", description="d", thumb_media_id="m2"),
        {"Video": {"MediaId": "m1", "Title": "t", "Description": "d"}},
        {"media_id": "m1", "thumb_media_id": "m2", "title": "t", "description": "d"},
    ),
    "music": (
        Music("https://m", title="t", description="d", hq_url="https://hq", thumb_media_id="m2"),
        {
            "Music": {
                "Title": "t",
                "Description": "d",
                "MusicUrl": "https://m",
                "HQMusicUrl": "https://hq",
                "ThumbMediaId": "m2",
            }
        },
        {
            "title": "t",
            "description": "d",
            "musicurl": "https://m",
            "hqmusicurl": "https://hq",
            "thumb_media_id": "m2",
        },
    ),
    "news": (
        News([Article("t1", "d1", "https://p1", "https://u1"), Article("t2")]),
        {
            "ArticleCount": "2",
            "Articles": {
                "item": [
                    {"Title": "t1", "Description": "d1", "PicUrl": "https://p1", "Url": "https://u1"},
                    {"Title": "t2", "Description": "", "PicUrl": "", "Url": ""},
                ]
            },
        },
        {
            "articles": [
                {"title": "t1", "description": "d1", "picurl": "https://p1", "url": "https://u1"},
                {"title": "t2", "description": "", "picurl": "", "url": ""},
            ]
        },
    ),
}
NOW = 1468999300


def written(reply: Reply) -> dict[str, Any]:
    return xml.read(write_reply(reply, Received(), NOW))


@pytest.mark.parametrize("kind", REPLIES)
def test_reply__is_written_from_the_account_to_her(kind: str) -> None:
    reply, passive, _ = REPLIES[kind]

    assert written(reply) == {
        "ToUserName": ANNA,
        "FromUserName": SHOP,
        "CreateTime": str(NOW),
        "MsgType": kind,
        **passive,
    }


@pytest.mark.parametrize("kind", REPLIES)
def test_reply__is_a_customer_service_message_too(kind: str) -> None:
    reply, _, custom = REPLIES[kind]

    assert reply.custom() == {"msgtype": kind, kind: custom}


@pytest.mark.parametrize("forbidden", ["\x00", "\x1f", "\ud83d", "\uffff"])
@pytest.mark.parametrize("reply", [Text, lambda text: News([Article(text)])], ids=["text", "news"])
def test_characters_that_no_message_holds__are_left_out(reply: Any, forbidden: str) -> None:
    said, kept = reply(f"a{forbidden}b"), reply("ab")

    assert said.custom() == kept.custom()
    for format in ("xml", "json"):
        assert write_reply(said, Received(), NOW, format) == write_reply(kept, Received(), NOW, format)


def test_reply_of_no_kind__cannot_be_said() -> None:
    with pytest.raises(NotImplementedError):
        Reply().passive()


def test_handing_over__is_a_passive_reply_alone() -> None:
    assert "TransInfo" not in written(TransferToCustomerService())
    assert written(TransferToCustomerService("lin@shop"))["TransInfo"] == {"KfAccount": "lin@shop"}
    assert written(TransferToCustomerService())["MsgType"] == "transfer_customer_service"
    with pytest.raises(TypeError, match="transfer_customer_service"):
        TransferToCustomerService().custom()


@pytest.mark.parametrize(
    ("reply", "passive", "custom"),
    [
        (Video("m1"), {"Video": {"MediaId": "m1"}}, {"media_id": "m1"}),
        (
            Music("https://m"),
            {"Music": {"MusicUrl": "https://m", "HQMusicUrl": "https://m"}},
            {"musicurl": "https://m", "hqmusicurl": "https://m"},
        ),
    ],
)
def test_what_was_not_given__is_left_out(reply: Reply, passive: dict[str, Any], custom: dict[str, Any]) -> None:
    assert reply.passive() == passive
    assert reply.custom()[reply.kind] == custom


def test_json_reply__says_the_same() -> None:
    reply = json.loads(write_reply(Text("您好"), Received(), NOW, "json"))

    assert reply == {
        "ToUserName": ANNA,
        "FromUserName": SHOP,
        "CreateTime": NOW,
        "MsgType": "text",
        "Content": "您好",
    }
    assert "您好".encode() in write_reply(Text("您好"), Received(), NOW, "json")


@pytest.mark.parametrize("value", [None, 7, b"bytes", ["a"], Text("a")])
@pytest.mark.parametrize(
    "make",
    [
        Text,
        Image,
        Voice,
        Video,
        lambda value: Video("m1", title=value),
        Music,
        lambda value: Music("https://m", hq_url=value),
        Article,
        lambda value: Article("t", url=value),
        TransferToCustomerService,
    ],
)
def test_field_that_is_no_text__is_refused_where_it_was_written(make: Any, value: Any) -> None:
    with pytest.raises(TypeError, match="must be a text"):
        make(value)


@pytest.mark.parametrize("articles", [[], (), None, ["a"], [Article("t"), {"title": "t"}]])
def test_news_without_articles__is_refused_where_it_was_written(articles: Any) -> None:
    with pytest.raises(TypeError, match="Article"):
        News(articles)


@given(carried)
def test_any_text__is_said_to_the_character(said: str) -> None:
    assert written(Text(said))["Content"] == said


@pytest.mark.parametrize(("rest", "parts"), [("", 1), (" \n\u3000", 1), ("b", 2)])
def test_long_text__has_no_part_that_is_blank(rest: str, parts: int) -> None:
    assert len(Text("a" * MAX_TEXT + rest).parts()) == parts


def test_long_text__is_no_passive_reply() -> None:
    assert write_reply(Text("a" * MAX_TEXT), Received(), 1)
    with pytest.raises(ValueError, match="2048 bytes"):
        write_reply(Text("a" * (MAX_TEXT + 1)), Received(), 1)

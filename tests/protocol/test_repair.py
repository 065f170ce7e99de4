"""Pushes are delivered whatever people typed, and no text is taken for another sender's."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from wechat_open.exceptions import InvalidPush
from wechat_open.messaging.messages import TextMessage, parse
from wechat_open.protocol import xml
from wechat_open.protocol.envelope import read_plain, read_strictly

PUSH = (
    "<xml><ToUserName><![CDATA[gh_shop]]></ToUserName><FromUserName><![CDATA[o-anna]]></FromUserName>"
    "<CreateTime>1715943329</CreateTime><MsgType><![CDATA[text]]></MsgType>"
    "<Content><![CDATA[%s]]></Content><MsgId>6054768590064713728</MsgId></xml>"
)
BARE = PUSH.replace("<![CDATA[%s]]>", "%s")


def said(push: str | bytes) -> str:
    """The text of a message, which is anna's to the shop whatever she typed."""
    message = parse(read_plain(push.encode(errors="surrogatepass") if isinstance(push, str) else push))
    assert isinstance(message, TextMessage)
    assert (message.original_id, message.openid, message.msg_id) == ("gh_shop", "o-anna", "6054768590064713728")
    return message.content


def unreadable(push: bytes) -> str:
    with pytest.raises(InvalidPush) as caught:
        read_plain(push)
    return caught.value.reason


# Characters


@pytest.mark.parametrize("character", ["\x00", "\x02", "\x0b", "\x1d", "\x1f", "\ufffe", "\uffff"])
def test_character_that_xml_forbids__is_dropped_alone(character: str) -> None:
    assert said(PUSH % f"往{character}后") == "往后"


@pytest.mark.parametrize("reference", ["&#0;", "&#2;", "&#x1D;", "&#xFFFF;", "&#55357;", "&#x110000;", "&#9999999999;"])
def test_reference_to_what_xml_forbids__is_dropped_alone(reference: str) -> None:
    assert said(BARE % f"往{reference}后") == "往后"
    assert said(PUSH % f"往{reference}后") == f"往{reference}后"  # in CDATA it is what she typed


@pytest.mark.parametrize("allowed", ["\x7f", "\x85", "\u2028", "\u200b", "\ufffd", "😀", "\U0010ffff", "\t", "\n"])
def test_any_other_character__is_kept(allowed: str) -> None:
    assert said(PUSH % f"往{allowed}后") == f"往{allowed}后"
    assert said(PUSH % f"往{allowed}\x01后") == f"往{allowed}后"


def test_half_a_character__is_replaced() -> None:
    assert said((PUSH % "往后余生，@").encode().replace(b"@", "往".encode()[:2])) == "往后余生，�"


def test_pair_of_surrogates_in_utf_8__is_the_character_they_stand_for() -> None:
    assert said((PUSH % "@").encode().replace(b"@", b"\xed\xa0\xbd\xed\xb8\x80")) == "😀"


def test_lone_surrogate__is_replaced() -> None:
    assert said((PUSH % "a@b").encode().replace(b"@", b"\xed\xa0\xbd")) == "a�b"


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_other_encodings_of_unicode__are_read(encoding: str) -> None:
    assert said((PUSH % "你好").encode(encoding)) == "你好"
    assert said((PUSH % "你\x01好").encode(encoding)) == "你好"
    assert said(json.dumps(fields(Content="你好"), ensure_ascii=False).encode(encoding)) == "你好"


def test_declared_gbk__is_believed_when_it_is_no_utf_8() -> None:
    assert said(f'<?xml version="1.0" encoding="GBK"?>{PUSH % "你好"}'.encode("gbk")) == "你好"


# Markup


@pytest.mark.parametrize("typed", ["a]]>b", "]]>", "]]>]]>", "a]]]]>>b", "]]></Content", "<![CDATA[", "<![CDATA[a]]>b"])
def test_end_of_cdata_in_a_text__is_text(typed: str) -> None:
    assert said(PUSH % typed) == typed


@pytest.mark.parametrize(
    "typed",
    [
        "a]]></Content><FromUserName><![CDATA[o-bert]]></FromUserName><Content><![CDATA[b",
        "a]]></Content><ToUserName><![CDATA[gh_bank]]></ToUserName><Content><![CDATA[b",
        "a]]></Content><FromUserName>o-bert</FromUserName><x><![CDATA[b",
        "]]></Content><MsgId>1</MsgId><Content><![CDATA[",
        "]]></Content><MsgType>event</MsgType><Event>subscribe</Event><Content><![CDATA[",
        "]]></Content><bizmsgmenuid>101</bizmsgmenuid><Content><![CDATA[",
        "]]></Content></xml><xml><FromUserName>o-bert</FromUserName><Content><![CDATA[",
        "]]></Content><!--",
        "]]></Content><bizmsgmenuid>1</bizmsgmenuid><!-- ]]>",
        "</Content><FromUserName>o-bert</FromUserName><Content>",
        "a\x00]]></Content><FromUserName><![CDATA[o-bert]]></FromUserName><Content><![CDATA[b",
    ],
)
def test_elements_in_a_text__are_what_the_follower_typed(typed: str) -> None:
    push = PUSH % typed
    message = parse(read_plain(push.encode()))

    assert said(push) == typed.replace("\x00", "")
    assert isinstance(message, TextMessage)
    assert message.menu_id == ""
    assert set(message.fields) == {"ToUserName", "FromUserName", "CreateTime", "MsgType", "Content", "MsgId"}


@pytest.mark.parametrize("name", ["Label", "ScanResult", "EventKey", "Title", "Recognition", "SessionFrom", "nickname"])
def test_elements_in_other_texts__are_text_too(name: str) -> None:
    typed = f"a]]></{name}><FromUserName>o-bert</FromUserName><{name}><![CDATA[b"
    push = (PUSH % "").replace("Content", name).replace("<![CDATA[]]>", f"<![CDATA[{typed}]]>")

    assert read_plain(push.encode())[name] == typed
    assert read_plain(push.encode())["FromUserName"] == "o-anna"


def test_end_of_cdata_that_was_escaped__is_text() -> None:
    assert said(PUSH % "a]]]]><![CDATA[>b") == "a]]>b"
    assert said(PUSH % "a]]]]><![CDATA[>b\x01") == "a]]>b"


def test_elements_in_a_nested_text__are_text_too() -> None:
    typed = "a]]></Label><Poiname>x</Poiname><Label><![CDATA[b"
    place = f"<SendLocationInfo><Label><![CDATA[{typed}]]></Label></SendLocationInfo>"

    assert read_plain(BARE.replace("<Content>%s</Content>", place).encode())["SendLocationInfo"] == {"Label": typed}


@pytest.mark.parametrize(
    ("title", "description"),
    [
        ("a]]></Title><Extra>1</Extra><!--", "--><Description><![CDATA[b"),
        ("a", "b]]></Title>"),
        ("a]]></Title>", "]]></Title>]]></Description>b"),
    ],
)
def test_elements_between_two_texts__are_text(title: str, description: str) -> None:
    link = f"<Title><![CDATA[{title}]]></Title><Description><![CDATA[{description}]]></Description>"
    read = read_plain(BARE.replace("<Content>%s</Content>", link).encode())

    assert (read["Title"], read["Description"]) == (title, description)
    assert "Extra" not in read


def test_end_of_cdata_in_any_element__ends_with_the_element() -> None:
    push = b"<xml><ToUserName>gh_shop</ToUserName><Foo><![CDATA[a]]>b]]></Foo><Foo><![CDATA[c]]></Foo></xml>"

    assert read_plain(push) == {"ToUserName": "gh_shop", "Foo": ["a]]>b", "c"]}


@pytest.mark.parametrize(
    ("typed", "read"),
    [
        ("a&nbsp;b", "a\xa0b"),
        ("&hellip;", "…"),
        ("&unknown;", "&unknown;"),
        ("a & b && c &", "a & b && c &"),
        ("?a=1&b=2&lt=3", "?a=1&b=2&lt=3"),
        ("&lt;b&gt; &amp;lt;", "<b> &lt;"),
        ("&nvlt;", "&nvlt;"),  # of HTML, and it would bring markup along
        ("1 < 2 and <3", "1 < 2 and <3"),
        ("a]]>b", "a]]>b"),
    ],
)
def test_what_only_looks_like_markup__is_text(typed: str, read: str) -> None:
    assert said(BARE % typed) == read


@pytest.mark.parametrize("name", ["ToUserName", "FromUserName", "MsgId", "CreateTime", "MsgType"])
def test_element_that_stands_twice__is_the_first(name: str) -> None:
    second = PUSH.replace("</xml>", f"<{name}>1234567890</{name}></xml>") % "hello"

    assert said(second) == "hello"
    assert parse(read_plain(second.encode())).created == 1715943329


def test_comments_and_attributes__do_no_harm() -> None:
    assert said(PUSH.replace("<Content>", '<!-- x --><Content type="a&b">') % "hi\x01") == "hi"


LAUGHS = '<!DOCTYPE xml [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]>' + BARE % "&b;"


@pytest.mark.parametrize(
    "push",
    [
        b"",
        b" ",
        b"text",
        b"<xml>",
        b"<xml></xml>",
        b"<xml><Content><![CDATA[a",
        LAUGHS.encode(),
        LAUGHS.replace("ha", "h\x01a").encode(),
        LAUGHS.encode("utf-16"),
        b'<!DOCTYPE xml [<!ENTITY a SYSTEM "file:///etc/passwd">]><xml><A>&a;</A></xml>',
        b"<?php evil ?><xml><A>\x011</A></xml>",
        b"<a>" * 5000 + b"</a>" * 5000,
        b"<xml>" + b"<a/>" * (xml.MAX_ELEMENTS + 1) + b"</xml>",
    ],
)
def test_what_cannot_be_read_all_the_same__is_unreadable(push: bytes) -> None:
    assert unreadable(push) == "xml"


@pytest.mark.parametrize("before", ["", " \n", "\ufeff"])
def test_what_stands_around_a_push__does_no_harm(before: str) -> None:
    assert said(f'{before}<?xml version="1.0"?>{PUSH % "hi"}\n\x00') == "hi"
    assert said(before + json.dumps(fields(Content="hi")) + "\n\x00") == "hi"
    assert said(before + json.dumps(fields(Content="hi")).replace(", ", ",\x01 ")) == "hi"


@pytest.mark.parametrize("push", [b"{", b'{"a"', b'{"a": 1}}', b'{"a":' * 5000, b'{"a": [' * 20 + b"]}" * 20])
def test_json_that_is_none__is_unreadable(push: bytes) -> None:
    assert unreadable(push) == "json"


# JSON


def fields(**changes: Any) -> dict[str, Any]:
    return {
        "ToUserName": "gh_shop",
        "FromUserName": "o-anna",
        "CreateTime": 1715943329,
        "MsgType": "text",
        "Content": "hello",
        "MsgId": 6054768590064713728,
        **changes,
    }


@pytest.mark.parametrize("character", ["\x00", "\x02", "\x1f", "\ud83d", "\uffff"])
@pytest.mark.parametrize("escaped", [True, False])
def test_json__loses_the_same_characters(character: str, escaped: bool) -> None:
    push = json.dumps(fields(Content="往@后"), ensure_ascii=False)
    push = push.replace("@", json.dumps(character)[1:-1] if escaped else character)
    expected = "往�后" if character == "\ud83d" and not escaped else "往后"

    assert said(push).replace("��", "�").replace("��", "�") == expected


def test_json_name_that_stands_twice__is_the_first() -> None:
    push = json.dumps(fields())[:-1] + ', "FromUserName": "o-bert", "ToUserName": "gh_bank"}'

    assert said(push) == "hello"


def test_json_numbers_of_any_kind__are_text() -> None:
    push = json.dumps(fields())[:-1] + ', "a": NaN, "b": -Infinity, "c": 1' + "0" * 5000 + ', "d": 1e999}'

    assert {name: read_plain(push.encode())[name][:3] for name in "abcd"} == {
        "a": "NaN",
        "b": "-In",
        "c": "100",
        "d": "1e9",
    }


# A reply of ours is read as WeChat reads it


@pytest.mark.parametrize("reply", [b"<xml><A>\x01</A></xml>", b"<xml><A>&nbsp;</A></xml>", b"\xff"])
def test_reply_that_is_not_well_formed__is_not_repaired(reply: bytes) -> None:
    with pytest.raises(InvalidPush):
        read_strictly(reply)


# Whatever comes

typed = st.text(st.characters(), max_size=30) | st.lists(
    st.sampled_from(
        ["]]>", "<![CDATA[", "<Content>", "</Content>", "<FromUserName>", "</FromUserName>", "o-bert", "&#1;", "&", "<"]
    ),
    max_size=12,
).map("".join)


@given(typed)
@example("]]><![CDATA[")
@example("]]>o-bert<![CDATA[")
@example("]]></Content><!--")
def test_any_text__comes_from_the_follower_and_is_kept(text: str) -> None:
    assume("]]]]><![CDATA[>" not in text)  # the way to write ]]> in a section
    read = said(PUSH % text)

    assert read.replace("\n", "") == xml_text(text).replace("\n", "")


def xml_text(text: str) -> str:
    """What can be left of a text: without what XML forbids, and with the line ends that a parser makes."""
    encoded = text.encode("utf-8", "surrogatepass")
    whole = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    if not _is_utf_8(encoded):
        text = whole
    kept = "".join(c for c in text if c in "\t\n\r" or (c >= " " and c not in "\ufffe\uffff"))
    return kept.replace("\r\n", "\n").replace("\r", "\n")


def _is_utf_8(encoded: bytes) -> bool:
    try:
        encoded.decode()
    except UnicodeDecodeError:
        return False
    return True


@given(st.binary(max_size=300))
def test_any_bytes__are_read_or_unreadable(plain: bytes) -> None:
    try:
        read = read_plain(plain)
    except InvalidPush:
        return
    json.dumps(read, ensure_ascii=False).encode()

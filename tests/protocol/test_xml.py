"""WeChat's XML is read without changes, and any other XML is refused."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wechat_open.exceptions import InvalidPush
from wechat_open.protocol import xml

# What XML 1.0 can carry unchanged: no control characters, no surrogates, and no CR, which every parser turns into LF.
carried = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff") | st.sampled_from("\n\t"),
    max_size=50,
)
names = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,10}", fullmatch=True)


def refused(document: bytes) -> None:
    with pytest.raises(InvalidPush) as caught:
        xml.read(document)
    assert caught.value.reason == "xml"


def test_elements__become_a_dict() -> None:
    assert xml.read(b"<xml><A>1</A><B><![CDATA[two]]></B></xml>") == {"A": "1", "B": "two"}


def test_text_in_cdata__keeps_its_whitespace_and_markup() -> None:
    assert xml.read(b"<xml><Content><![CDATA[  <b>hi</b> &amp;\n ]]></Content></xml>") == {
        "Content": "  <b>hi</b> &amp;\n "
    }


def test_whitespace_alone__is_text_too() -> None:
    assert xml.read(b"<xml><Content> \n </Content></xml>") == {"Content": " \n "}


def test_cdata_and_text_around_it__are_joined() -> None:
    assert xml.read(b"<xml><A>a<![CDATA[b]]>c<!-- d --></A></xml>") == {"A": "abc"}


def test_long_text__is_one_piece() -> None:
    assert xml.read(b"<xml><A>" + b"x\n" * 20_000 + b"</A></xml>") == {"A": "x\n" * 20_000}


def test_characters_by_number__are_decoded() -> None:
    assert xml.read("<xml><A>&#20320;&lt;好</A></xml>".encode()) == {"A": "你<好"}


def test_empty_elements__are_empty_text() -> None:
    assert xml.read(b"<xml><A/><B></B><C><![CDATA[]]></C></xml>") == {"A": "", "B": "", "C": ""}


def test_nested_elements__become_nested_dicts__and_layout_is_dropped() -> None:
    assert xml.read(b"<xml>\n <info>\n  <name>n</name>\n </info>\n</xml>") == {"info": {"name": "n"}}


def test_repeated_elements__become_a_list() -> None:
    assert xml.read(b"<xml><i>1</i><j>x</j><i>2</i><i><k>3</k></i></xml>") == {"i": ["1", "2", {"k": "3"}], "j": "x"}


def test_letter_case__tells_elements_apart() -> None:
    assert xml.read(b"<xml><AppId>platform</AppId><appid>account</appid></xml>") == {
        "AppId": "platform",
        "appid": "account",
    }


def test_declaration_and_byte_order_mark__do_no_harm() -> None:
    document = b'\xef\xbb\xbf<?xml version="1.0" encoding="UTF-8"?><xml a="ignored"><A>1</A></xml>'

    assert xml.read(document) == {"A": "1"}


def test_declared_encoding__is_not_believed() -> None:
    document = '<?xml version="1.0" encoding="gbk"?><xml><A>你好</A></xml>'.encode()

    assert xml.read(document) == {"A": "你好"}


LAUGHS = b'<!DOCTYPE xml [<!ENTITY a "ha"><!ENTITY b "' + b"&a;" * 50 + b'">]><xml><A>' + b"&b;" * 50 + b"</A></xml>"


@pytest.mark.parametrize(
    "document",
    [
        b"<!DOCTYPE xml><xml><A>1</A></xml>",
        b'<!DOCTYPE xml SYSTEM "http://example.com/x.dtd"><xml><A>1</A></xml>',
        b'<!DOCTYPE xml [<!ENTITY a SYSTEM "file:///etc/passwd">]><xml><A>&a;</A></xml>',
        b'<!DOCTYPE xml [<!ENTITY % a SYSTEM "http://example.com/">%a;]><xml><A>1</A></xml>',
        LAUGHS,
        b"<xml><A>&unknown;</A></xml>",
        b"<?php evil ?><xml><A>1</A></xml>",
        b"<xml><?php evil ?><A>1</A></xml>",
    ],
)
def test_document_types_entities_and_processing_instructions__are_refused(document: bytes) -> None:
    refused(document)


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b" ",
        b"text",
        b"<xml>",
        b"<xml><A>1</B></xml>",
        b"<xml/>",
        b"<xml>text alone</xml>",
        b"<xml><A>1</A></xml><xml/>",
        b"<xml><A>\x00</A></xml>",
        b"<xml><A>&#0;</A></xml>",
        b"<xml><A>\xff\xfe</A></xml>",
        b"<xml><A>\xed\xa0\x80</A></xml>",
        "<xml><A>1</A></xml>".encode("utf-16"),
        b'{"A": "1"}',
    ],
)
def test_what_is_no_xml_with_fields__is_refused(document: bytes) -> None:
    refused(document)


def test_depth__has_a_limit() -> None:
    def nested(depth: int) -> bytes:
        return b"<a>" * depth + b"x" + b"</a>" * depth

    assert xml.read(nested(xml.MAX_DEPTH))
    refused(nested(xml.MAX_DEPTH + 1))
    refused(nested(20_000))


def test_number_of_elements__has_a_limit() -> None:
    def crowd(elements: int) -> bytes:
        return b"<xml>" + b"<a/>" * (elements - 1) + b"</xml>"

    assert len(xml.read(crowd(xml.MAX_ELEMENTS))["a"]) == xml.MAX_ELEMENTS - 1
    refused(crowd(xml.MAX_ELEMENTS + 1))


def test_writing__keeps_the_order_and_escapes() -> None:
    written = xml.write({"B": "<&>", "A": 1, "i": ["1", "2"], "n": {"m": "你"}})

    assert written.decode() == "<xml><B>&lt;&amp;&gt;</B><A>1</A><i>1</i><i>2</i><n><m>你</m></n></xml>"


@given(st.dictionaries(names, carried, min_size=1, max_size=5))
def test_written_fields__read_the_same(fields: dict[str, str]) -> None:
    assert xml.read(xml.write(fields)) == fields


@given(st.dictionaries(names, carried, min_size=1, max_size=5))
def test_another_parser__reads_the_same(fields: dict[str, str]) -> None:
    root = ET.fromstring(xml.write(fields))  # noqa: S314  # our own document

    assert {element.tag: element.text or "" for element in root} == fields


def test_writing_in_cdata__is_as_wechats_samples_have_it() -> None:
    written = xml.write_cdata({"A": "<&>", "B": 1, "i": ["1", "2"], "n": {"m": "你", "e": ""}})

    assert written.decode() == (
        "<xml><A><![CDATA[<&>]]></A><B>1</B><i><![CDATA[1]]></i><i><![CDATA[2]]></i>"
        "<n><m><![CDATA[你]]></m><e><![CDATA[]]></e></n></xml>"
    )


@pytest.mark.parametrize("text", ["]]>", "a]]>b", "]]]]>>", "]]>]]>", "<![CDATA[x]]>", "]]&gt;", "]]"])
def test_end_of_cdata_in_a_text__does_not_end_it(text: str) -> None:
    written = xml.write_cdata({"A": text, "B": "b"})

    assert xml.read(written) == {"A": text, "B": "b"}
    assert ET.fromstring(written).findtext("A") == text  # noqa: S314  # our own document


@pytest.mark.parametrize("character", ["\x00", "\x0b", "\x1f", "\ud800", "\ufffe", "\uffff"])
def test_character_that_xml_cannot_hold__is_left_out(character: str) -> None:
    """Or the follower would see a fault in place of the reply."""
    assert xml.read(xml.write_cdata({"A": f"a{character}b"})) == {"A": "ab"}
    assert xml.read(xml.write_cdata({"A": f"]{character}]>"})) == {"A": "]]>"}


@given(st.dictionaries(names, carried | st.text("]>[<!CDAT&;", max_size=20), min_size=1, max_size=5))
def test_fields_written_in_cdata__read_the_same(fields: dict[str, str]) -> None:
    assert xml.read(xml.write_cdata(fields)) == fields


@given(st.text(st.characters()))
def test_any_text_in_cdata__can_be_read(text: str) -> None:
    read = xml.read(xml.write_cdata({"A": text, "B": "b"}))

    assert read["B"] == "b"
    assert ET.fromstring(xml.write_cdata({"A": text})).tag == "xml"  # noqa: S314  # our own document


MARKUP = [
    b"<xml>",
    b"</xml>",
    b"<A>",
    b"</A>",
    b"<![CDATA[",
    b"]]>",
    b"<!DOCTYPE a [",
    b"]>",
    b"&a;",
    b"<?",
    b"\x00",
    b"x",
]


@given(st.binary(max_size=200) | st.lists(st.sampled_from(MARKUP), max_size=20).map(b"".join))
def test_any_bytes__are_read_or_refused(document: bytes) -> None:
    try:
        fields = xml.read(document)
    except InvalidPush:
        return
    assert isinstance(fields, dict)
    assert fields

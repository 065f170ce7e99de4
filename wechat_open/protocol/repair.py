"""Repair of pushes that are not well-formed.

A follower can type, scan or share characters that XML 1.0 forbids, and a text can hold ``]]>``; WeChat passes both on.
This is for pushes whose signature and decryption were right and that a parser refuses. Rules:

* Only what XML cannot hold is dropped, as characters or as references.
* The text of a person never becomes an element: of the elements that hold one (``TEXTS``), the last end counts, so that
  whatever looks like markup inside is text. Two sections side by side are one text that holds ``]]><![CDATA[``, unless
  they are the way to write ``]]>`` in a section.
* The first of each field that names sender, receiver or kind (``ONCE``) counts: WeChat writes them before any text.
* Document types, entity declarations and processing instructions are left as they are, and so are refused afterwards.
"""

from __future__ import annotations

import codecs
import re
from html.entities import html5
from typing import Any

FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
"""What XML 1.0 cannot hold, not even as a reference."""

ONCE = (
    "ToUserName",
    "FromUserName",
    "CreateTime",
    "MsgType",
    "Event",
    "MsgId",
    "MsgID",
    "AppId",
    "InfoType",
    "AuthorizerAppid",
    "AuthorizationCode",
    "AuthorizationCodeExpiredTime",
    "PreAuthCode",
    "ComponentVerifyTicket",
)

TEXTS = (
    "Content",
    "Recognition",
    "Title",
    "Description",
    "Label",
    "Poiname",
    "ScanResult",
    "EventKey",
    "SessionFrom",
    "Url",
    "debug_str",
    "nickname",
)
"""Elements that hold what a person typed, scanned or shared. A push has each at most once."""

_START, _END = "<![CDATA[", "]]>"
_END_AS_TEXT = "]]]]><![CDATA[>"
_NAME_BEFORE = re.compile(r"<([A-Za-z_][\w.-]*)>\s*\Z")
_ENCODING = re.compile(rb"""\s*<\?xml[^>]{0,100}encoding\s*=\s*["']gb""", re.IGNORECASE)
# A reference, or an ampersand that does not begin one.
_REFERENCE = re.compile(r"&(?:#([0-9]{1,10});|#[xX]([0-9a-fA-F]{1,8});|([A-Za-z][A-Za-z0-9]{1,31});)?")
_XMLS_OWN = ("amp", "lt", "gt", "quot", "apos")
_COMMENT_OR_NO_END = re.compile(rb"<!--|\]\]>(?!</)")
_NEXT = re.compile(r"\s{0,64}</?[A-Za-z_]").match
_NO_MARKUP = re.compile(r"<(?![A-Za-z_/!?])")


def decode(plain: bytes) -> str:
    """The text of a push. Bytes that are no character become U+FFFD."""
    try:
        text = plain.decode()
    except UnicodeDecodeError:
        return _decode_other(plain).removeprefix("\ufeff")
    if "\x00" in text[:2]:  # UTF-16 without a mark
        return _decode_other(plain).removeprefix("\ufeff")
    return text.removeprefix("\ufeff")


def _decode_other(plain: bytes) -> str:
    if plain.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return plain.decode("utf-16", "replace")
    if plain[:2] in (b"<\x00", b"{\x00"):
        return plain.decode("utf-16-le", "replace")
    if plain[:2] in (b"\x00<", b"\x00{"):
        return plain.decode("utf-16-be", "replace")
    if _ENCODING.match(plain):
        return plain.decode("gb18030", "replace")
    try:  # each half of a pair encoded by itself
        halves = plain.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return plain.decode("utf-8", "replace")
    return halves.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def repair(text: str) -> str:
    """The document, in which everything that is not markup is escaped."""
    text = FORBIDDEN.sub("", text)
    repaired, at = [], 0
    while (start := text.find(_START, at)) >= 0:
        repaired.append(_outside(text[at:start]))
        begin = start + len(_START)
        end = _end(text, begin, _NAME_BEFORE.search(text, max(at, start - 100), start))
        inner = text[begin:end].replace(_END_AS_TEXT, _END)
        repaired.append(f"{_START}{inner.replace(_END, _END_AS_TEXT)}{_END}")
        at = end + len(_END)
    repaired.append(_outside(text[at:]))
    return "".join(repaired)


def is_doubtful(plain: bytes, fields: dict[str, Any]) -> bool:
    """Whether a text may have been taken for markup, in a document that is well-formed.

    The signs are a repeated field of ``ONCE`` or ``TEXTS``, a comment, or a section that ends before its element:
    WeChat writes none of these.
    """
    return _is_repeated(fields) or _COMMENT_OR_NO_END.search(plain) is not None


def _is_repeated(fields: dict[str, Any]) -> bool:
    if {list, dict}.isdisjoint(map(type, fields.values())):
        return False
    return any(
        (isinstance(value, list) and (name in ONCE or name in TEXTS))
        or (isinstance(value, dict) and _is_repeated(value))
        for name, value in fields.items()
    )


def first_only(fields: dict[str, Any]) -> dict[str, Any]:
    """The fields; the first of each that is repeated and must not be."""
    return {
        name: value[0] if isinstance(value, list) and (name in ONCE or name in TEXTS) else value
        for name, value in fields.items()
    }


def _end(text: str, begin: int, name: re.Match[str] | None) -> int:
    """The end of the section: before the end of its element, and not at the first ``]]>``."""
    if name is not None:
        closing = f"{_END}</{name[1]}>"
        end = text.rfind(closing, begin) if name[1] in TEXTS else text.find(closing, begin)
        while end >= 0 and name[1] in TEXTS and not _NEXT(text, end + len(closing)):
            end = text.rfind(closing, begin, end)  # that one is in the text of a later element
        if end >= 0:
            return end
    end = text.find(_END, begin)
    return end if end >= 0 else len(text)


def _outside(markup: str) -> str:
    """Text outside of CDATA, with its references repaired."""
    return _NO_MARKUP.sub("&lt;", _REFERENCE.sub(_reference, markup)).replace(_END, "]]&gt;")


def _reference(found: re.Match[str]) -> str:
    decimal, hexadecimal, name = found.groups()
    if decimal or hexadecimal:
        number = int(decimal) if decimal else int(hexadecimal, 16)
        character = chr(number) if number <= 0x10FFFF else "\ufffe"
        return "" if FORBIDDEN.match(character) else f"&#{number};"
    if name in _XMLS_OWN:
        return found[0]
    known = html5.get(f"{name};", "") if name else ""
    return known if known and not set(known) & set("<>&") else found[0].replace("&", "&amp;")

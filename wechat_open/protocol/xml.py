"""WeChat's XML as a dict, and back.

Reading is strict: a document type, an entity declaration, a processing instruction, deep nesting or too many elements
are refused. Repeated elements become a list. Text is not changed, because a follower may have typed it. Letter case is
kept: some pushes have both ``AppId`` and ``appid``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn
from xml.parsers import expat

import xmltodict

from ..exceptions import InvalidPush
from .repair import FORBIDDEN

MAX_DEPTH = 12
MAX_ELEMENTS = 10_000
"""A push about many accounts at once has some thousands, and its size bounds them too."""

Fields = dict[str, Any]
"""A decrypted push: WeChat's field names; values are text, a dict of the same kind, or a list of them."""


def read(document: bytes | str) -> Fields:
    """The fields below the root element. Raises InvalidPush for anything but a plain, small document."""
    levels: list[Fields] = [{}]  # the open elements: what is below each so far
    said = ""
    count = 0

    def start(name: str, attributes: Mapping[str, str]) -> None:
        nonlocal count, said
        count += 1
        if count > MAX_ELEMENTS or len(levels) > MAX_DEPTH:
            raise InvalidPush("xml")
        levels.append({})
        said = ""

    def text(data: str) -> None:
        nonlocal said
        said += data

    def end(name: str) -> None:
        nonlocal said
        value: str | Fields = levels.pop() or said  # text beside child elements is layout and is dropped
        said = ""
        siblings = levels[-1]
        if name not in siblings:
            siblings[name] = value
        elif isinstance(siblings[name], list):
            siblings[name].append(value)
        else:
            siblings[name] = [siblings[name], value]

    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = text
    parser.StartDoctypeDeclHandler = _refuse
    parser.EntityDeclHandler = _refuse
    parser.ProcessingInstructionHandler = _refuse
    try:
        parser.Parse(document.decode() if isinstance(document, bytes) else document, True)
    except (expat.ExpatError, ValueError):  # ValueError: bytes that are no UTF-8
        raise InvalidPush("xml") from None
    (fields,) = levels[0].values()
    if not isinstance(fields, dict):
        raise InvalidPush("xml")
    return fields


def write(fields: Mapping[str, Any]) -> bytes:
    """``<xml>…</xml>`` around the fields, in their order; a list repeats its element."""
    text: str = xmltodict.unparse({"xml": fields}, full_document=False)
    return text.encode()


def write_cdata(fields: Mapping[str, Any]) -> bytes:
    """The same with every text in CDATA and numbers bare, as WeChat's own samples of replies have it.

    Characters that XML cannot hold are left out: WeChat shows the follower a fault in place of a reply that it cannot
    read.
    """
    return f"<xml>{_elements(fields)}</xml>".encode()


def cdata(text: str) -> str:
    """A text as ``write_cdata`` has it."""
    return f"<![CDATA[{FORBIDDEN.sub('', text).replace(']]>', ']]]]><![CDATA[>')}]]>"


def _elements(fields: Mapping[str, Any]) -> str:
    written = ""
    for name, value in fields.items():
        for item in value if isinstance(value, (list, tuple)) else (value,):
            written += f"<{name}>{_content(item)}</{name}>"
    return written


def _content(value: Any) -> str:
    if isinstance(value, str):
        return cdata(value)
    if isinstance(value, Mapping):
        return _elements(value)
    if value is None or isinstance(value, bool):
        return {None: "", True: "true", False: "false"}[value]
    return f"{value:d}" if isinstance(value, int) else str(value)  # Python 3.10 writes an IntEnum by its name


def _refuse(*_: Any) -> NoReturn:
    raise InvalidPush("xml")

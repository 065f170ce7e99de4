"""How does WeChat's XML become a dict, and back?

Reading is strict: a document type, an entity declaration, a processing instruction, deep nesting or a crowd of
elements is refused (protocol 1.9). Repeated elements become a list; text is kept to the character, because it may be
what a follower typed. Letter case is kept: ``AppId`` and ``appid`` stand side by side in some pushes (5.3).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn
from xml.parsers import expat

import xmltodict

from ..exceptions import InvalidPush

MAX_DEPTH = 12
MAX_ELEMENTS = 1000

Fields = dict[str, Any]
"""A decrypted push: WeChat's field names; values are text, a dict of the same kind, or a list of them."""


def read(document: bytes) -> Fields:
    """The fields below the root element. Raises InvalidPush for anything but a plain, small document."""
    reader = _Reader()
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text
    parser.StartDoctypeDeclHandler = _refuse
    parser.EntityDeclHandler = _refuse
    parser.ProcessingInstructionHandler = _refuse
    try:
        parser.Parse(document.decode(), True)
    except (expat.ExpatError, ValueError):  # ValueError: bytes that are no UTF-8
        raise InvalidPush("xml") from None
    if not isinstance(reader.root, dict):
        raise InvalidPush("xml")
    return reader.root


def write(fields: Mapping[str, Any]) -> bytes:
    """``<xml>…</xml>`` around the fields, in their order; a list repeats its element."""
    text: str = xmltodict.unparse({"xml": fields}, full_document=False)
    return text.encode()


def _refuse(*_: Any) -> NoReturn:
    raise InvalidPush("xml")


class _Reader:
    """Expat's three callbacks, building nested dicts. Text beside child elements is layout and is dropped."""

    def __init__(self) -> None:
        self.root: str | Fields | None = None
        self._open: list[tuple[str, Fields, list[str]]] = []
        self._elements = 0

    def start(self, name: str, attributes: Mapping[str, str]) -> None:
        self._elements += 1
        if self._elements > MAX_ELEMENTS or len(self._open) >= MAX_DEPTH:
            raise InvalidPush("xml")
        self._open.append((name, {}, []))

    def text(self, data: str) -> None:
        self._open[-1][2].append(data)

    def end(self, name: str) -> None:
        _, children, text = self._open.pop()
        value: str | Fields = children or "".join(text)
        if not self._open:
            self.root = value
            return
        siblings = self._open[-1][1]
        if name not in siblings:
            siblings[name] = value
        elif isinstance(siblings[name], list):
            siblings[name].append(value)
        else:
            siblings[name] = [siblings[name], value]

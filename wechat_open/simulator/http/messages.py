"""An HTTP request and its answer as values, independent of the server or of ``responses``, which carry them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import parse_qsl

# As WeChat labels its answers; "encoding" is not a registered parameter of this type.
JSON = "application/json; encoding=utf-8"
PLAIN = "text/plain"
HTML = "text/html; charset=utf-8"

_BOUNDARY = re.compile(r'multipart/form-data;.*?boundary="?([^";]+)', re.IGNORECASE)
_PART_NAME = re.compile(rb'form-data;.*?\bname="([^"]*)"', re.IGNORECASE)


@dataclass(frozen=True)
class Request:
    """``headers`` have lower-case names."""

    method: str
    path: str
    query_string: str = ""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes = field(default=b"", repr=False)

    @property
    def query(self) -> dict[str, str]:
        """The first value of each parameter."""
        return dict(reversed(parse_qsl(self.query_string, keep_blank_values=True)))

    @property
    def form(self) -> dict[str, list[str]]:
        """A submitted HTML form."""
        if self._boundary:
            pairs = [(name, content.decode("utf-8", "replace")) for name, content in self.parts]
        else:
            pairs = parse_qsl(self.body.decode("utf-8", "replace"), keep_blank_values=True)
        values: dict[str, list[str]] = {}
        for name, value in pairs:
            values.setdefault(name, []).append(value)
        return values

    @property
    def parts(self) -> list[tuple[str, bytes]]:
        """The fields of a multipart form, which may contain a file, as bytes."""
        if not self._boundary:
            return []
        found = []
        for part in (b"\r\n" + self.body).split(b"\r\n--" + self._boundary)[1:]:
            head, _, content = part.partition(b"\r\n\r\n")
            name = _PART_NAME.search(head)
            if name:
                found.append((name.group(1).decode("utf-8", "replace"), content))
        return found

    @property
    def _boundary(self) -> bytes:
        found = _BOUNDARY.match(self.headers.get("content-type", ""))
        return found.group(1).encode() if found else b""


@dataclass
class Answer:
    status: int
    body: bytes = field(default=b"", repr=False)
    content_type: str = JSON
    headers: dict[str, str] = field(default_factory=dict)
    errcode: int | None = None
    """Written to the log."""
    dropped: Literal["", "hang", "lost"] = ""
    """Set when nothing is sent: the caller waited until the fault ended, or the connection is closed at once."""


def json_answer(content: Mapping[str, Any], *, status: int = 200, content_type: str = JSON) -> Answer:
    # Real characters, no escapes: WeChat's answers hold Chinese names.
    body = json.dumps(content, ensure_ascii=False).encode()
    return Answer(status, body, content_type, errcode=content.get("errcode"))

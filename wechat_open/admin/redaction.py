"""The parts of a push that a person may see: what is known to be harmless.

That is the fields that ``protocol.events`` has a name for and does not keep secret, if they hold
what they should, with people's names and numbers shortened. An unknown field is shown when its
name does not look like that of a secret and its value cannot be one. Of anything else only the length is shown: a
fingerprint of a short code would give it away.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import pgettext

from ..protocol import events, wire, xml
from ..protocol.events import Event
from ..protocol.xml import Fields
from .display import date

HIDDEN = "••••"

PERSONAL = {"legal_persona_wechat", "legal_persona_name", "component_phone", "wxuser", "idname", "contact"}
"""About people, in WeChat's spelling: the first character is shown."""

_PERSONAL = {name.replace("_", "") for name in PERSONAL}

_SOUNDS_SECRET = re.compile(
    r"token|ticket|secret|code|key|pass|pwd|pin|otp|sign|auth|verif|captcha|session|credential|cookie|nonce|openid|unionid"
    r"|phone|mobile|idcard",
    re.I,
)
_TOKEN_LIKE = re.compile(r"[A-Za-z0-9_\-@.+/=%]{16,}")
_HARMLESS = re.compile(
    r"wx[0-9a-f]{16}"  # an appid
    r"|gh_[0-9a-f]{12}"  # an original id
    r"|-?[0-9]{1,10}"  # a number, a point in time
    r"|[A-Za-z_]{1,16}"  # a word
)
_LONG_RUN = re.compile(r"[^\s\u4e00-\u9fff，。！？、：；（）“”]{12,}")
_SENTENCE = re.compile(r"\s|[\u4e00-\u9fff]")


@dataclass(frozen=True)
class Line:
    """A field as it is shown: ``path`` in WeChat's spelling, and why it is hidden, if it is."""

    path: str
    text: str
    hidden: str = ""


@dataclass(frozen=True)
class Redacted:
    """A push for a person. ``source`` is the whole of it in its own format, masked in the same way."""

    lines: tuple[Line, ...]
    source: str
    format: str


def show(plain: str, fields: Fields) -> Redacted:
    """``plain`` as WeChat sent it, ``fields`` as they were read from it."""
    info_type = wire.word(fields.get("InfoType"))
    known = _known(events.EVENTS.get(info_type.lower(), events.UnknownEvent))
    lines = tuple(_lines(fields, known, ""))
    masked = _masked(fields, known)
    if plain.lstrip().startswith("<"):
        return Redacted(lines, _as_xml(masked), "XML")
    return Redacted(lines, json.dumps(masked, ensure_ascii=False, indent=2), "JSON")


# -- what is known -----------------------------------------------------------------------------------------------------

Known = Mapping[str, Any]
"""By WeChat's name: how a field is read, or what is known of the fields below it."""


def _known(cls: type) -> Known:
    known: dict[str, Any] = {}
    for one in [*dataclasses.fields(Event), *dataclasses.fields(cls)]:
        if "wire" in one.metadata:
            found = one.metadata["wire"]
            known |= dict.fromkeys(found.names, _below(found.read) or found.read)
    return known


def _below(read: Callable[[Any], Any]) -> Known | None:
    """The table of what ``one(cls)`` and ``several(cls)`` read; None for a plain value."""
    for cell in getattr(read, "__closure__", None) or ():
        if isinstance(cell.cell_contents, type):
            return _known(cell.cell_contents)
    return None


# -- what is shown -----------------------------------------------------------------------------------------------------


def _lines(fields: Mapping[str, Any], known: Known, above: str) -> Iterator[Line]:
    for name, values in fields.items():
        several = isinstance(values, list)
        for number, value in enumerate(values if several else [values], start=1):
            path = f"{above}{name}" + (f"[{number}]" if several else "")
            if isinstance(value, Mapping):
                yield from _lines(value, _table(known.get(name)), f"{path}.")
            else:
                text, why = _decide(name, value, known.get(name))
                read = _in_words(text, known.get(name)) if not why else ""
                yield Line(path, read or text, why)


def _masked(fields: Mapping[str, Any], known: Known) -> dict[str, Any]:
    def one(name: str, value: Any) -> Any:
        if isinstance(value, Mapping):
            return _masked(value, _table(known.get(name)))
        return _decide(name, value, known.get(name))[0]

    return {
        name: [one(name, item) for item in value] if isinstance(value, list) else one(name, value)
        for name, value in fields.items()
    }


def _table(found: Any) -> Known:
    return found if isinstance(found, Mapping) else {}


def _decide(name: str, value: Any, read: Any) -> tuple[str, str]:
    """The text to show, and why it is not the whole one (empty when it is)."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    if not text:
        return "", ""
    if read is wire.secret:
        return _length(text), pgettext("wechat_open", "a secret")
    if name.lower().replace("_", "") in _PERSONAL:  # JSON pushes may spell it in another way
        return f"{text[:1]}{HIDDEN}", _("about a person")
    if read is wire.text:  # what people or WeChat wrote freely
        masked = _TOKEN_LIKE.sub(lambda run: run[0] if _HARMLESS.fullmatch(run[0]) else HIDDEN, text)
        return masked, "" if masked == text else _("a part looks like a token")
    if read in _CHECKED and read(text) is not None:
        return text, ""
    if name == "InfoType" or (_is_harmless(text) and (callable(read) or not _SOUNDS_SECRET.search(name))):
        return text, ""
    if _SOUNDS_SECRET.search(name):
        return _length(text), _("its name sounds like a secret")
    return _length(text), _("not known to be harmless")


_CHECKED = (wire.integer, wire.decimal, wire.time)
"""What these read is a number and nothing else."""


def _is_harmless(text: str) -> bool:
    if _HARMLESS.fullmatch(text):
        return True
    # A sentence: it has spaces or is Chinese, and nothing in it is long enough to be a token.
    return bool(_SENTENCE.search(text)) and not _LONG_RUN.search(text)


def _length(text: str) -> str:
    return pgettext("wechat_open", "%(dots)s (%(count)d characters)") % {"dots": HIDDEN, "count": len(text)}


def _in_words(text: str, read: Any) -> str:
    """A point in time for people."""
    if read is not wire.time or wire.time(text) is None:
        return ""
    return f"{text} ({date(datetime.fromtimestamp(int(text), timezone.utc))})"


def _as_xml(fields: Mapping[str, Any], depth: int = 0) -> str:
    """With a line for each element."""
    indent = "  " * depth
    if not depth:
        return f"<xml>\n{_as_xml(fields, 1)}</xml>"
    text = ""
    for name, values in fields.items():
        for value in values if isinstance(values, list) else [values]:
            if isinstance(value, Mapping):
                text += f"{indent}<{name}>\n{_as_xml(value, depth + 1)}{indent}</{name}>\n"
            else:
                text += f"{indent}<{name}>{xml.cdata(str(value))}</{name}>\n"
    return text

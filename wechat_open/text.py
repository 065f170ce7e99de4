"""Texts that are translated when they are read.

A ``TranslatableText`` is an English string that keeps its template and values. It is raised, logged and stored; when it
is shown to a person, it is translated with a catalogue. It needs no Django. Modules import the class as ``_``, so that
``makemessages`` finds its texts::

    raise TicketMissing(_("WeChat has pushed no verify ticket for %(subject)s yet.", subject=alias))

A text of one or two words needs a context, because Django merges the catalogues of all apps of a site::

    message = pgettext("wechat_open", "%(said)s to %(path)s", said=message, path=path)
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

_MARK = '{"msgid":'

UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
"""Characters that one database or another refuses: NUL, and halves of surrogate pairs."""

LONGEST = 10_000
"""So many characters of a text, or of a value in one, are kept: no page can show more of an error."""


class TranslatableText(str):
    """An English text with its template (``msgid``) and values, which are texts, numbers or translatable texts.

    ``context`` is gettext's; empty for none.
    """

    msgid: str
    context: str
    values: Mapping[str, TranslatableText | str | float]

    def __new__(cls, msgid: str, /, **values: TranslatableText | str | float) -> TranslatableText:
        text = super().__new__(cls, msgid % values if values else msgid)
        text.msgid = msgid
        text.context = ""
        text.values = values
        return text

    def translated(self, translate: Callable[[str, str], str]) -> str:
        """The text, its values included, with the templates that ``translate`` returns for context and msgid."""
        if not self.values:
            return translate(self.context, self.msgid)
        values = {
            name: value.translated(translate) if isinstance(value, TranslatableText) else value
            for name, value in self.values.items()
        }
        return translate(self.context, self.msgid) % values


def pgettext(context: str, msgid: str, /, **values: TranslatableText | str | float) -> TranslatableText:
    """A text with a context. It is named like gettext's function, so that ``makemessages`` finds it."""
    text = TranslatableText(msgid, **values)
    text.context = context
    return text


def dumps(text: str) -> str:
    """The text for a column: a translatable one as JSON, any other unchanged, but for what no database takes."""
    if isinstance(text, TranslatableText):
        return json.dumps(_to_dict(text), separators=(",", ":"))
    return _storable(text)


def loads(stored: str) -> str:
    """The text that ``dumps`` got. One that only looks like its JSON is returned unchanged."""
    if not stored.startswith(_MARK):
        return _cut(stored)
    try:
        return _from_dict(json.loads(stored))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return _cut(stored)


def _to_dict(text: TranslatableText) -> dict[str, Any]:
    values = {name: _to_value(value) for name, value in text.values.items()}
    context = {"context": text.context} if text.context else {}
    return {"msgid": text.msgid, **context, "values": values}


def _to_value(value: TranslatableText | str | float) -> Any:
    if isinstance(value, TranslatableText):
        return _to_dict(value)
    return _storable(value) if isinstance(value, str) else value


def _from_dict(stored: dict[str, Any]) -> TranslatableText:
    """Raises one of many errors for what ``_to_dict`` has not made."""
    msgid, context, values = stored["msgid"], stored.get("context", ""), stored["values"]
    if not isinstance(msgid, str) or not isinstance(context, str):
        raise TypeError("a template and its context are texts")
    return pgettext(context, msgid, **{name: _from_value(value) for name, value in values.items()})


def _from_value(value: Any) -> TranslatableText | str | float:
    if isinstance(value, dict):
        return _from_dict(value)
    if not isinstance(value, (str, int, float)):
        raise TypeError("a value is a text, a number or a translatable text")
    return value


def _storable(text: str) -> str:
    return _cut(UNSTORABLE.sub("\ufffd", text))


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"

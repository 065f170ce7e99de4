"""How does a sentence that is written here get read in somebody else's language?

It keeps what it was made of. Where it is raised, logged or stored it is English; whoever shows it to a person can have
it made again with the words of a catalogue. The heart writes such sentences and knows no Django. Modules call the class
``_``, which is how catalogues find its texts::

    raise TicketMissing(_("WeChat has pushed no verify ticket for %(subject)s yet.", subject=alias))

A text of one or two words needs a context, because Django merges the catalogues of all apps of a site::

    said = pgettext("wechat_open", "%(said)s to %(path)s", said=said, path=path)
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

_MARK = '{"msgid":'


class Sentence(str):
    """An English text, made from a template (``msgid``) and the values that stand in it: texts, numbers, sentences.

    ``context`` is that of gettext; empty for none.
    """

    msgid: str
    context: str
    values: Mapping[str, Sentence | str | float]

    def __new__(cls, msgid: str, /, **values: Sentence | str | float) -> Sentence:
        made = super().__new__(cls, msgid % values if values else msgid)
        made.msgid = msgid
        made.context = ""
        made.values = values
        return made

    def made_with(self, translate: Callable[[str, str], str]) -> str:
        """The same sentence, and those within it, with the templates that ``translate`` has for context and msgid."""
        if not self.values:
            return translate(self.context, self.msgid)
        inner = {
            name: value.made_with(translate) if isinstance(value, Sentence) else value
            for name, value in self.values.items()
        }
        return translate(self.context, self.msgid) % inner


def pgettext(context: str, msgid: str, /, **values: Sentence | str | float) -> Sentence:
    """A sentence whose template is looked up within a context. Called as gettext's, so that catalogues find it."""
    made = Sentence(msgid, **values)
    made.context = context
    return made


def dumps(text: str) -> str:
    """For a column: a sentence as JSON, any other text as it is."""
    return json.dumps(_parts(text), separators=(",", ":")) if isinstance(text, Sentence) else text


def loads(stored: str) -> str:
    """What ``dumps`` was given. A text that only looks like a sentence stays a text."""
    if not stored.startswith(_MARK):
        return stored
    try:
        return _whole(json.loads(stored))
    except (ValueError, KeyError, TypeError, AttributeError):
        return stored


def _parts(sentence: Sentence) -> dict[str, Any]:
    values = {name: _parts(value) if isinstance(value, Sentence) else value for name, value in sentence.values.items()}
    context = {"context": sentence.context} if sentence.context else {}
    return {"msgid": sentence.msgid, **context, "values": values}


def _whole(parts: dict[str, Any]) -> Sentence:
    values = {name: _whole(value) if isinstance(value, dict) else value for name, value in parts["values"].items()}
    return pgettext(parts.get("context", ""), parts["msgid"], **values)

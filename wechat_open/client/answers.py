"""What WeChat answered, and its fields, each read with the type that is expected of it.

A malformed answer to a call that may have changed something is ``Unreachable``: the outcome is unknown. Answers hide
their content, so that an error page which prints variables shows no secret.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from ..exceptions import Unreachable
from ..secret import Secret
from ..text import TranslatableText as _


@dataclass(frozen=True)
class Answer:
    """A successful answer to the call of ``path``: ``data`` when it was JSON, else ``content``.

    ``answered_at`` is WeChat's own time from the ``Date`` header, or None.
    """

    data: dict[str, Any] | None = field(repr=False)
    content: bytes = field(repr=False)
    content_type: str
    answered_at: datetime | None
    path: str

    def json(self) -> dict[str, Any]:
        """The JSON object. Unreachable for anything else, such as a picture."""
        if self.data is None:
            raise Unreachable(self.path, _("an answer that is not JSON"))
        return self.data

    @property
    def fields(self) -> Fields:
        """The JSON object, for reading one field after the other."""
        return Fields(self.json(), self.path)


def whole(answer: Answer) -> Answer:
    """Reads nothing: the caller gets the answer as it is."""
    return answer


def nothing(answer: Answer) -> None:
    """Reads the answer of a call that returns only its success."""
    answer.json()


class Fields(dict[str, Any]):
    """Fields of an answer. Each method returns one that is as it must be, or raises Unreachable.

    Where one raises, no variable holds a value: an error page would show it.
    """

    def __init__(self, data: dict[str, Any], path: str) -> None:
        super().__init__(data)
        self.path = path

    def __repr__(self) -> str:
        return f"<fields {', '.join(map(str, self))}>"

    def unusable(self, name: str) -> Unreachable:
        """The exception for an answer in which this field is not as it must be, or is missing."""
        return Unreachable(self.path, _("an answer without a usable %(name)s", name=name))

    def nested(self, name: str) -> Fields:
        """An object."""
        if not isinstance(self.get(name), dict):
            raise self.unusable(name)
        return Fields(self[name], self.path)

    def objects(self, name: str) -> list[Fields]:
        """A list of objects; an entry that is no object counts as an empty one."""
        if not isinstance(self.get(name), list):
            raise self.unusable(name)
        return [Fields(entry if isinstance(entry, dict) else {}, self.path) for entry in self[name]]

    def text(self, name: str) -> str:
        """A text that is not empty."""
        if not self.get(name):
            raise self.unusable(name)
        return self.optional_text(name)

    def optional_text(self, name: str) -> str:
        """A text; empty when the field is empty or absent."""
        if not isinstance(self.get(name) or "", str):
            raise self.unusable(name)
        return self.get(name) or ""

    def secret(self, name: str) -> Secret:
        """A secret, which may be empty."""
        return Secret(self.optional_text(name))

    def number(self, name: str) -> int:
        """A whole number, also as text."""
        if not isinstance(self.get(name), bool):
            with suppress(KeyError, TypeError, ValueError, OverflowError):
                return int(self[name])
        raise self.unusable(name)

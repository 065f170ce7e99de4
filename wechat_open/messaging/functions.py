"""The site's functions: what they may return, and how logs and tasks name them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Protocol

from ..protocol.replies import Reply

Function = Callable[..., Any]


def name_of(function: Function) -> str:
    """Its dotted path."""
    return f"{getattr(function, '__module__', '?')}.{getattr(function, '__qualname__', type(function).__name__)}"


class _Pass(Enum):
    PASS = "pass"

    def __repr__(self) -> str:
        return "PASS"


PASS = _Pass.PASS
"""What a handler returns to leave the message to the next one that fits."""


@dataclass(frozen=True)
class Later:
    """What ``answer_later`` returns: WeChat is answered ``success`` now, and ``function`` answers later."""

    function: Function
    arguments: dict[str, Any] = field(default_factory=dict)

    @property
    def path(self) -> str:
        return name_of(self.function)


class Translated(Protocol):
    """A lazily translated text. A type checker without Django's stubs takes Django's own class for ``Any``."""

    def __radd__(self, other: str, /) -> str: ...


Result = Reply | str | Translated | Mapping[str, Any] | Later | _Pass | None
"""What a handler returns: a reply, a text, also one to be translated, the fields of an event's own answer,
``answer_later(...)``, ``PASS``, or None for no answer."""

"""How does a secret travel without being seen?

Tokens, tickets, codes and keys are held in a ``Secret`` from the moment they are read until the line that sends
them. Printing, logging, formatting, pickling or serialising one shows a fingerprint or fails; only ``reveal()``
gives the text.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import NoReturn


def fingerprint(text: str) -> str:
    """Eight hex digits that tell two secrets apart and reveal neither; empty for an empty text."""
    return hashlib.sha256(text.encode()).hexdigest()[:8] if text else ""


class Secret:
    """A text that shows itself only to who asks by name."""

    __slots__ = ("_text",)

    def __init__(self, text: str = "") -> None:
        self._text = text

    def reveal(self) -> str:
        """The text itself. Call it as late as possible, and never in a log line or an exception."""
        return self._text

    @property
    def fingerprint(self) -> str:
        return fingerprint(self._text)

    def __bool__(self) -> bool:
        return bool(self._text)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self._text.encode(), other._text.encode())

    def __hash__(self) -> int:
        return hash((Secret, self._text))

    def __repr__(self) -> str:
        return f"<secret {self.fingerprint or 'empty'}>"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return repr(self)

    def __reduce__(self) -> NoReturn:
        raise TypeError("A secret is not pickled: reveal it where it is sent, or store it sealed.")

"""Secrets in memory, and names that are safe to show.

Tokens, tickets, codes and keys are held in a ``Secret`` from the moment they are read until the line that sends
them. Printing, logging, formatting, pickling or serialising one shows a fingerprint or fails; only ``reveal()``
returns the text.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable
from functools import lru_cache, wraps
from typing import NoReturn, ParamSpec, TypeVar

_P = ParamSpec("_P")
_R = TypeVar("_R")

_WORD = re.compile(r"[^\W\d_]{1,15}\d{0,4}|\d{1,6}")
_APPID = re.compile(r"wx[0-9A-Za-z]{1,16}")
_LONGEST_NAME = 64


def fingerprint(text: str) -> str:
    """Eight hex digits that distinguish two secrets and reveal neither; empty for an empty text."""
    return hashlib.sha256(text.encode()).hexdigest()[:8] if text else ""


class Secret:
    """A text that only ``reveal()`` shows."""

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
        raise TypeError("A secret is not pickled: reveal it where it is sent, or store it encrypted.")


def hide_variables(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """Raise errors of the function without its frames, its arguments and their causes.

    For functions whose variables are secrets: error pages, mails and error trackers show the variables of every frame
    that an exception has passed. The message must say what is wrong, because the traceback does not say where.
    """

    @wraps(function)
    def guarded(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        try:
            return function(*args, **kwargs)
        except Exception as error:  # noqa: BLE001 - it is raised again below
            failure = error
        failure.__traceback__ = failure.__context__ = failure.__cause__ = None
        del args, kwargs  # this frame remains in the traceback
        try:
            raise failure
        finally:
            del failure

    return guarded


@lru_cache(maxsize=256)
def is_plain_name(text: str) -> bool:
    """Whether a name consists of words, as people write them; a misplaced secret does not."""
    if _APPID.fullmatch(text):
        return True
    return 0 < len(text) <= _LONGEST_NAME and all(map(_WORD.fullmatch, re.split(r"[-_./ ]+", text)))


def shown_name(name: object) -> str:
    """A name from the settings for a message: asterisks where it could be a secret."""
    if isinstance(name, str) and (not name or is_plain_name(name)):
        return name
    return "*" * min(len(name), 8) if isinstance(name, str) else f"<{type(name).__name__}>"


def shown_value(value: object) -> object:
    """A value from the settings for a message: numbers and words only."""
    if value is None or isinstance(value, (bool, int, float)):
        return value
    return shown_name(value)

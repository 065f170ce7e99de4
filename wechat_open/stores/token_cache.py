"""Tokens in the site's cache, which saves a query and nothing more.

A token has two entries, encrypted like a column: a short one that answers readers, and one until the token's true end
that is used only while the database is down. Lifetimes are relative, so no clock is compared. A cache that is down
costs speed, never service: then the memory of the process has the tokens that went through it (``token_memory``).
"""

from __future__ import annotations

from datetime import timedelta

from ..cache import attempt
from ..db.encryption import decrypt, encrypt
from ..exceptions import EncryptionError
from ..ports import Memory
from ..secret import Secret
from .token_memory import MEMORY


class TokenCache:
    """Keeps tokens in the site's cache, and those that this process reads or writes in its memory."""

    def __init__(self, memory: Memory = MEMORY) -> None:
        self.memory = memory

    def read(self, name: str) -> Secret | None:
        """The token, while its short entry lives."""
        entry = _decrypt(name, attempt(lambda cache: cache.get(_key(name, "short")), None))
        if entry is None:
            return None
        seconds, _colon, text = entry.reveal().partition(":")
        token = Secret(text)
        del text
        if not (seconds.isdecimal() and token):
            return None
        self.memory.write(name, token, timedelta(seconds=int(seconds)))
        return token

    def read_last(self, name: str) -> Secret | None:
        """The token until its true end; only for when the database is down."""
        cached = _decrypt(name, attempt(lambda cache: cache.get(_key(name, "last")), None))
        return self.memory.read(name) if cached is None else cached

    def write(self, name: str, token: Secret, short: timedelta, last: timedelta) -> None:
        """Keep a token that answers readers for ``short``, and ends after ``last``.

        The short entry says how long the token lives after it: that much is left to its reader.
        """
        self.memory.write(name, token, last)
        left = max(0, int((last - short).total_seconds()))
        _set(_key(name, "short"), encrypt(f"{left}:{token.reveal()}", _context(name)), short)
        _set(_key(name, "last"), encrypt(token.reveal(), _context(name)), last)

    def forget(self, name: str) -> None:
        self.memory.forget(name)
        attempt(lambda cache: cache.delete_many([_key(name, "short"), _key(name, "last")]), None)


TOKEN_CACHE = TokenCache()


def _set(key: str, encrypted: str, life: timedelta) -> None:
    seconds = life.total_seconds()
    if seconds > 0:
        attempt(lambda cache: cache.set(key, encrypted, seconds), None)


def _decrypt(name: str, encrypted: object) -> Secret | None:
    if not isinstance(encrypted, str) or not encrypted:
        return None
    try:
        return decrypt(encrypted, _context(name))
    except EncryptionError:  # keys were changed: the database has the token under the right one
        return None


def _key(name: str, kind: str) -> str:
    return f"wechat_open:{name}:{kind}"


def _context(name: str) -> str:
    return f"cache:{name}"

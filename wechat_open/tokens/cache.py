"""How does the cache save a query, and nothing more?

Two entries for a token, sealed like a column: a short one that answers readers, and one until the token's true end
that is used only while the database is down. Lifetimes are relative, so no clock is compared. A cache that is down
costs speed, never service.
"""

from __future__ import annotations

from datetime import timedelta

from ..exceptions import SealError
from ..sealing import seal, unseal
from ..secret import Secret
from ..shared_cache import ask


def read(name: str) -> Secret | None:
    """The token, while its short entry lives."""
    return _open(name, ask(lambda cache: cache.get(_key(name, "short")), None))


def read_last(name: str) -> Secret | None:
    """The token until its true end; only for when the database cannot be asked."""
    return _open(name, ask(lambda cache: cache.get(_key(name, "last")), None))


def write(name: str, token: Secret, short: timedelta, last: timedelta) -> None:
    sealed = seal(token.reveal(), _context(name))
    _keep(_key(name, "short"), sealed, short)
    _keep(_key(name, "last"), sealed, last)


def forget(name: str) -> None:
    ask(lambda cache: cache.delete_many([_key(name, "short"), _key(name, "last")]), None)


def _keep(key: str, sealed: str, life: timedelta) -> None:
    seconds = life.total_seconds()
    if seconds > 0:
        ask(lambda cache: cache.set(key, sealed, seconds), None)


def _open(name: str, sealed: str | None) -> Secret | None:
    if not sealed:
        return None
    try:
        return unseal(sealed, _context(name))
    except SealError:  # keys were changed: the database has it under the right one
        return None


def _key(name: str, kind: str) -> str:
    return f"wechat_open:{name}:{kind}"


def _context(name: str) -> str:
    return f"cache:{name}"

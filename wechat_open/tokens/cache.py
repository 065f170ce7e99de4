"""How does the cache save a query, and nothing more?

Two entries for a token, sealed like a column: a short one that answers readers, and one until the token's true end
that is used only while the database is down. Lifetimes are relative, so no clock is compared. A cache that fails is
left alone for some seconds: it costs speed, never service.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import timedelta
from typing import TypeVar

from django.core.cache import BaseCache, caches

from ..conf import conf
from ..exceptions import SealError
from ..sealing import seal, unseal
from ..secret import Secret

logger = logging.getLogger(__name__)

LEAVE_ALONE = 5.0
"""Seconds without another try after the cache has failed."""

_T = TypeVar("_T")
_failed_at: dict[str, float] = {}


def read(name: str) -> Secret | None:
    """The token, while its short entry lives."""
    return _open(name, _ask(lambda cache: cache.get(_key(name, "short"))))


def read_last(name: str) -> Secret | None:
    """The token until its true end; only for when the database cannot be asked."""
    return _open(name, _ask(lambda cache: cache.get(_key(name, "last"))))


def write(name: str, token: Secret, short: timedelta, last: timedelta) -> None:
    sealed = seal(token.reveal(), _context(name))
    for kind, life in (("short", short), ("last", last)):
        seconds = life.total_seconds()
        if seconds > 0:
            _ask(lambda cache, kind=kind, seconds=seconds: cache.set(_key(name, kind), sealed, seconds))  # type: ignore[misc]


def forget(name: str) -> None:
    _ask(lambda cache: cache.delete_many([_key(name, "short"), _key(name, "last")]))


def _ask(question: Callable[[BaseCache], _T]) -> _T | None:
    alias = conf.cache
    if time.monotonic() - _failed_at.get(alias, float("-inf")) < LEAVE_ALONE:
        return None
    try:
        return question(caches[alias])
    except Exception as error:  # noqa: BLE001  # backends raise what their drivers raise: no common root exists
        _failed_at[alias] = time.monotonic()
        logger.warning("Cache %r failed (%s); going on without it.", alias, type(error).__name__)
        return None


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

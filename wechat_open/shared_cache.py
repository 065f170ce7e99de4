"""How is the site's cache asked, when it may be down?

A cache that fails is left alone for some seconds: it costs speed, never service. Whoever asks says what holds without
an answer.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TypeVar

from django.core.cache import BaseCache, caches

from .conf import conf

logger = logging.getLogger(__name__)

LEAVE_ALONE = 5.0
"""Seconds without another try after the cache has failed."""

_T = TypeVar("_T")
_D = TypeVar("_D")
_failed_at: dict[str, float] = {}


def ask(question: Callable[[BaseCache], _T], otherwise: _D) -> _T | _D:
    """What the cache says, or ``otherwise`` while it is down."""
    alias = conf.cache
    failed_at = _failed_at.get(alias)
    if failed_at is not None and time.monotonic() - failed_at < LEAVE_ALONE:
        return otherwise
    try:
        return question(caches[alias])
    except Exception as error:  # noqa: BLE001  # backends raise what their drivers raise: no common root exists
        _failed_at[alias] = time.monotonic()
        logger.warning("Cache %r failed (%s); going on without it.", alias, type(error).__name__)
        return otherwise

"""Failures in the output of ``wechat_open run``: one line for each kind and minute.

While WeChat has a bad hour, each of thousands of accounts fails every few seconds. The first failure of a kind is
printed at once; what follows is counted, and a minute later one line says how many there were, with one of them as an
example.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from django.utils.translation import ngettext

from .. import translation
from ..conf import conf
from ..exceptions import ConfigurationError

MINUTE = 60.0
"""Seconds for which failures of a kind are counted."""

KINDS = 500
"""The most kinds that are remembered; the package has fewer texts of records."""

LOGGER = "wechat_open"
"""The parent of all loggers of the package."""

ALERTS = f"{LOGGER}.health.alerts"
"""The logger of alerts, which ``run`` prints itself."""


@dataclass
class _Kind:
    printed_at: float
    count: int = 0
    example: str = ""


class Failures(logging.Handler):
    """A log handler that turns records into lines. ``write`` gets each line without a time."""

    def __init__(self, write: Callable[[str], Any], *, monotonic: Callable[[], float] = time.monotonic) -> None:
        super().__init__(logging.WARNING)
        self._write = write
        self._monotonic = monotonic
        self._kinds: dict[Any, _Kind] = {}
        self.attached = False
        """Whether this handler gets the package's records; not if the site has handlers of its own for them."""

    def emit(self, record: logging.LogRecord) -> None:
        if record.name == ALERTS:
            return
        try:
            self.count(_kind(record), _text(record), self.format(record))
        except Exception:  # noqa: BLE001 - as logging's own handlers do
            self.handleError(record)

    def count(self, kind: Any, text: str, first: str = "") -> None:
        """Count a failure. The first of its kind is printed at once, as ``first`` if that is given."""
        now = self._monotonic()
        with self.lock:  # type: ignore[union-attr]  # a handler always has one
            known = self._kinds.get(kind)
            if known is None or (not known.count and now - known.printed_at >= MINUTE):
                if len(self._kinds) >= KINDS:
                    self._forget(now)
                self._kinds[kind] = _Kind(now)
                self._write(first or text)
            else:
                known.count += 1
                known.example = text
        self.flush_due()

    def flush_due(self) -> None:
        """Print the counts of the last minute. Called regularly, also without new failures."""
        self._print(self._monotonic() - MINUTE)

    def close(self) -> None:
        """Print the remaining counts."""
        self._print(self._monotonic())
        super().close()

    def _print(self, until: float) -> None:
        with self.lock:  # type: ignore[union-attr]
            for known in self._kinds.values():
                if known.count and known.printed_at <= until:
                    words = ngettext(
                        "%(count)d more failure of this kind: %(example)s",
                        "%(count)d more failures of this kind, for example: %(example)s",
                        known.count,
                    )
                    self._write(words % {"count": known.count, "example": known.example})
                    known.printed_at, known.count = self._monotonic(), 0

    def _forget(self, now: float) -> None:
        self._kinds = {kind: one for kind, one in self._kinds.items() if one.count or now - one.printed_at < MINUTE}


def _kind(record: logging.LogRecord) -> Any:
    """A key that is equal for failures that differ only in the account."""
    arguments = record.args if isinstance(record.args, tuple) else ()
    return record.levelno, record.name, str(record.msg), tuple(_part(argument) for argument in arguments)


def _part(argument: object) -> object:
    """The part of an argument in the key: an error's class and errcode, a platform's alias; no appids and numbers."""
    if isinstance(argument, BaseException):
        return type(argument).__name__, getattr(argument, "errcode", None)
    return argument if isinstance(argument, str) and argument in _aliases() else ""


def _aliases() -> frozenset[str]:
    try:
        return frozenset(conf.components)
    except ConfigurationError:
        return frozenset()


def _text(record: logging.LogRecord) -> str:
    """The record in one line, errors in the reader's language."""
    if isinstance(record.args, tuple):
        said = tuple(translation.translate_error(one) if isinstance(one, BaseException) else one for one in record.args)
        try:
            return str(record.msg) % said if said else str(record.msg)
        except (TypeError, ValueError):
            return record.getMessage()
    return record.getMessage()


@contextmanager
def counted(write: Callable[[str], Any]) -> Iterator[Failures]:
    """Within the context, ``write`` gets the package's records as lines, unless the site has handlers for them.

    Such a site gets its records unchanged and once.
    """
    handler = Failures(write)
    handler.setFormatter(_Plain())
    logger = logging.getLogger(LOGGER)
    handler.attached = not logger.hasHandlers()
    if handler.attached:
        logger.addHandler(handler)
    try:
        yield handler
    finally:
        if handler.attached:
            logger.removeHandler(handler)
        handler.close()


class _Plain(logging.Formatter):
    """The text, and the traceback if there is one."""

    def format(self, record: logging.LogRecord) -> str:
        text = _text(record)
        return f"{text}\n{self.formatException(record.exc_info)}" if record.exc_info else text

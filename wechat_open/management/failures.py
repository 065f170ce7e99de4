"""What a process that runs for days prints about failures: one line for each kind and minute.

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

from .. import telling
from ..conf import conf
from ..exceptions import ConfigurationError

MINUTE = 60.0
"""Seconds for which failures of a kind are counted."""

KINDS = 500
"""So many kinds are remembered; the texts of our records are fewer."""

LOGGER = "wechat_open"
"""All loggers of the package are below it."""

APART = f"{LOGGER}.alerts"
"""Alerts have lines of their own."""


@dataclass
class _Kind:
    printed_at: float
    count: int = 0
    example: str = ""


class Failures(logging.Handler):
    """Turns records into lines. ``write`` gets each without a time."""

    def __init__(self, write: Callable[[str], Any], *, monotonic: Callable[[], float] = time.monotonic) -> None:
        super().__init__(logging.WARNING)
        self._write = write
        self._monotonic = monotonic
        self._kinds: dict[Any, _Kind] = {}
        self.attached = False
        """Whether the package's records come here. They do not where the site has logging of its own for them."""

    def emit(self, record: logging.LogRecord) -> None:
        if record.name == APART:
            return
        try:
            self.note(_kind(record), _text(record), self.format(record))
        except Exception:  # noqa: BLE001 - as logging's own handlers do
            self.handleError(record)

    def note(self, kind: Any, text: str, first: str = "") -> None:
        """Something failed: printed now, or counted. ``first`` is what is printed the first time, if it is more."""
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
        """Print what was counted for a minute. Called also when nothing fails any more."""
        self._print(self._monotonic() - MINUTE)

    def close(self) -> None:
        """Print what was counted so far."""
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
    """Equal for failures that differ only in the account that they are about."""
    arguments = record.args if isinstance(record.args, tuple) else ()
    return record.levelno, record.name, str(record.msg), tuple(_part(argument) for argument in arguments)


def _part(argument: object) -> object:
    """What tells kinds apart: an error's class and errcode, a platform's alias. Appids and numbers do not."""
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
        said = tuple(telling.told(one) if isinstance(one, BaseException) else one for one in record.args)
        try:
            return str(record.msg) % said if said else str(record.msg)
        except (TypeError, ValueError):
            return record.getMessage()
    return record.getMessage()


@contextmanager
def counted(write: Callable[[str], Any]) -> Iterator[Failures]:
    """While inside, the package's records are lines of ``write`` where the site has no logging of its own for them.

    A site that has gets its records unchanged, and none of them twice.
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
    """The text, and a traceback where there is one."""

    def format(self, record: logging.LogRecord) -> str:
        text = _text(record)
        return f"{text}\n{self.formatException(record.exc_info)}" if record.exc_info else text

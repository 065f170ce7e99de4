"""One round of a background job: item after item, until its time is over.

A round ends by itself, between two items; what is left is done in the next one. An item that fails is logged and keeps
no other from its turn.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

from django.core.exceptions import ObjectDoesNotExist
from django.db import InterfaceError, OperationalError, connections, models

from .db.rows import alone
from .exceptions import EncryptionError, InvalidPush, WeChatOpenError

logger = logging.getLogger(__name__)

_T = TypeVar("_T")

AT_ONCE = 1_000
"""So many old rows are deleted in one transaction."""


def _never() -> bool:
    return False


@dataclass(frozen=True)
class Deadline:
    """When a round ends: at a moment of this process, or as soon as the process is to stop."""

    ends_at: float = float("inf")
    length: float = float("inf")
    monotonic: Callable[[], float] = time.monotonic
    stopped: Callable[[], bool] = _never

    @classmethod
    def after(
        cls, seconds: float, monotonic: Callable[[], float] = time.monotonic, stopped: Callable[[], bool] = _never
    ) -> Deadline:
        return cls(monotonic() + seconds, seconds, monotonic, stopped)

    def share(self, of: int) -> Deadline:
        """The end of one of so many parts of this round, if the part begins now."""
        return Deadline.after(self.length / of, self.monotonic, self.stopped)

    @property
    def left(self) -> float:
        """Seconds until the end; zero when the round is over."""
        return 0.0 if self.stopped() else max(0.0, self.ends_at - self.monotonic())

    @property
    def passed(self) -> bool:
        return not self.left


NO_DEADLINE = Deadline()


def is_expected(error: BaseException) -> bool:
    """Whether the message alone says what to do. Of any other error a developer needs the traceback."""
    if isinstance(error, WeChatOpenError):
        return not isinstance(error, (EncryptionError, InvalidPush))
    return isinstance(error, (OperationalError, InterfaceError))


def log_failure(error: BaseException, what: str, *names: object) -> None:
    """Log ``what`` happened (a format for ``names``), with the traceback unless the message says enough."""
    if is_expected(error):
        logger.warning("%s: %s", what % names, error)
    else:
        logger.error(what, *names, exc_info=error)


def each(items: Iterable[_T], work: Callable[[_T], int | None], deadline: Deadline = NO_DEADLINE, *, what: str) -> int:
    """Do ``work`` for one item after the other; the sum of what it returned, where True counts as one.

    An item that fails is logged: ``what`` happened, with its name. A database that does not answer is raised, because
    the next item would fare no better.
    """
    done = 0
    for number, item in enumerate(items):
        if deadline.stopped() or (number and deadline.passed):  # one at least: no job stands still
            break
        with alone(logger, what, _name(item)):
            try:
                done += int(work(item) or 0)
            except ObjectDoesNotExist as error:
                logger.info("%s is left out, because a row was deleted meanwhile: %s", _name(item), error)
    return done


def delete(rows: models.QuerySet[models.Model], deadline: Deadline = NO_DEADLINE) -> int:
    """Delete these rows, and what depends on them, a thousand at a time; how many rows altogether."""
    deleted = 0
    while not deadline.passed:
        keys = list(rows.order_by().values_list("pk", flat=True)[:AT_ONCE])
        if not keys:
            break
        deleted += rows.filter(pk__in=keys).delete()[0]
        if len(keys) < AT_ONCE:
            break
    return deleted


def close_old_connections() -> None:
    """Django's function of this name, but connections with a transaction are left alone: it belongs to the caller."""
    for connection in connections.all(initialized_only=True):
        if not connection.in_atomic_block:
            connection.close_if_unusable_or_obsolete()


def _name(item: object) -> object:
    """What an item is called in the log. A row's own text may take a query."""
    return f"{item._meta.object_name} {item.pk}" if isinstance(item, models.Model) else item

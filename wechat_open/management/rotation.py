"""How does everything that is sealed come under the newest key?

``manage.py wechat_open rotate-keys``, while the site runs. Each row is sealed anew by an UPDATE of its own, which holds
only as long as the row still has the values that were read: whoever renews a token meanwhile wins, and the row is read
again. No other column changes. Where the database can skip rows that somebody else has locked, a few rows at a time are
locked and committed together; as nothing is ever waited for, there is no deadlock. There is nothing to remember: who
goes on after a stop finds what is left by its key id.

A value that no key opens is left as it is, and reported. When the key is really lost, such values can be emptied:
WeChat pushes new tickets by itself, and tells the refresh token of every account that has authorized the platform.
"""

from __future__ import annotations

import operator
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import reduce
from typing import Any

from django.apps import apps
from django.db import connections, router, transaction
from django.db.models import Count, Q, QuerySet, prefetch_related_objects
from django.db.models.functions import Substr
from django.utils.translation import gettext as _

from .. import clock
from ..conf import conf
from ..exceptions import SealError
from ..fields import SealedField, SealedRow
from ..models import TokenHolder, VerifyTicket
from ..sealing import VERSION, key_ids

BATCH = 50
"""Rows that are committed together: enough to be quick, and so few that nobody waits long for one of them."""

ATTEMPTS = 20
"""How often a row is read again that others keep changing under our hands."""

_ID_LENGTH = 8
_ID_STARTS = len(VERSION) + 2  # databases count from 1


@dataclass(frozen=True)
class Unreadable:
    """A value that no configured key opens: where it is, and what its seal names as its key."""

    model: str
    pk: Any
    column: str
    key_id: str


@dataclass
class Report:
    """What came of a rotation. ``left`` counts, by key id, the values that are not under the newest key."""

    newest: str
    resealed: int = 0
    emptied: int = 0
    unreadable: list[Unreadable] = field(default_factory=list)
    left: dict[str, int] = field(default_factory=dict)
    stopped: bool = False

    @property
    def ok(self) -> bool:
        return not self.left

    @property
    def removable(self) -> list[str]:
        """Older keys of ENCRYPTION_KEYS under which nothing is sealed any more."""
        return [key_id for key_id in configured_ids()[1:] if not self.left.get(key_id)]


def configured_ids() -> list[str]:
    """The ids of ENCRYPTION_KEYS; behind them the ring holds those that come from SECRET_KEY."""
    return list(key_ids()[: len(set(conf.encryption_keys))])


def sealed_rows() -> list[tuple[type[SealedRow], list[str]]]:
    """Every model that has sealed columns, and which."""
    found = []
    for model in apps.get_models():
        if issubclass(model, SealedRow) and not model._meta.proxy:
            columns = [column.name for column in model._meta.local_concrete_fields if isinstance(column, SealedField)]
            found.append((model, columns))
    return found


def sealed_under() -> Counter[str]:
    """How many values are sealed under each key id. Reads every row's seals, in one query for each column."""
    counts: Counter[str] = Counter()
    for model, columns in sealed_rows():
        for column in columns:
            sealed = _rows(model).exclude(**{column: ""}).order_by()
            by_key = sealed.annotate(key_id=Substr(column, _ID_STARTS, _ID_LENGTH)).values_list("key_id")
            counts.update(dict(by_key.annotate(Count("pk"))))
    return counts


def left_under_older_keys() -> dict[str, int]:
    """By key id, how many values are still to be sealed anew."""
    return left(sealed_under(), key_ids()[0])


def left(sealed: Mapping[str, int], newest: str) -> dict[str, int]:
    """What of it is not under the newest key."""
    return {key_id: count for key_id, count in sorted(sealed.items()) if key_id != newest}


def rotate(
    *,
    empty_unreadable: bool = False,
    batch: int = BATCH,
    stopped: Callable[[], bool] = lambda: False,
    progress: Callable[[int], Any] = lambda done: None,
) -> Report:
    """Seal everything under the newest key. ``progress`` hears after each batch how many values that were so far."""
    report = Report(key_ids()[0])
    done = -1
    while not report.stopped and report.resealed > done:  # rows that were skipped wait for another round
        done = report.resealed
        report.unreadable = []
        for model, columns in sealed_rows():
            _walk(
                model,
                columns,
                report,
                empty_unreadable=empty_unreadable,
                batch=batch,
                stopped=stopped,
                progress=progress,
            )
    report.left = left_under_older_keys()
    return report


def _walk(
    model: type[SealedRow],
    columns: Sequence[str],
    report: Report,
    *,
    empty_unreadable: bool,
    batch: int,
    stopped: Callable[[], bool],
    progress: Callable[[int], Any],
) -> None:
    """Once through the rows that hold anything under another key, in the order of their primary keys."""
    under_newest = f"{VERSION}.{report.newest}."
    old = reduce(operator.or_, (~Q(**{name: ""}) & ~Q(**{f"{name}__startswith": under_newest}) for name in columns))
    rows = _rows(model).filter(old).order_by("pk")
    after: Any = None
    while True:
        if stopped():
            report.stopped = True
            return
        with _held(rows if after is None else rows.filter(pk__gt=after), batch) as found:
            for row in found:
                _Row(row, columns, report, empty_unreadable).reseal()
        if not found:
            return
        after = found[-1].pk
        progress(report.resealed)


@contextmanager
def _held(rows: QuerySet[Any], number: int) -> Iterator[list[Any]]:
    """The next rows: locked, without those that somebody else has locked; or as they are, for a compare-and-set."""
    database = connections[rows.db]
    if not database.features.has_select_for_update_skip_locked:
        yield _with_owners(list(rows[:number]))
        return
    with transaction.atomic(using=database.alias):
        yield _with_owners(list(rows.select_for_update(skip_locked=True)[:number]))


def _with_owners(found: list[Any]) -> list[Any]:
    """With the rows that they point at: what a row is called may stand there. Not joined, or those were locked too."""
    if found:
        points = [column.name for column in found[0]._meta.concrete_fields if column.many_to_one and not column.null]
        prefetch_related_objects(found, *points)
    return found


def advice(report: Report) -> Iterator[str]:
    """What is to be done next, and with which keys."""
    if set(report.left) - set(key_ids()):
        yield _(
            "Put the missing key back: into ENCRYPTION_KEYS, or an older SECRET_KEY into SECRET_KEY_FALLBACKS. If it "
            "is lost for good, `manage.py wechat_open rotate-keys --empty-unreadable` empties what it sealed, and "
            "WeChat is asked for the tokens again."
        )
    elif report.left:
        yield _("`manage.py wechat_open rotate-keys` seals them anew while the site runs.")
    elif report.removable:
        yield _("These keys can be removed from ENCRYPTION_KEYS: %s.") % ", ".join(
            _("%(key)s (number %(number)d)") % {"key": key_id, "number": configured_ids().index(key_id) + 1}
            for key_id in report.removable
        )
        yield _(
            "Before that, restart every process that was started while another key was the first, and see that "
            "`manage.py wechat_open rotate-keys --check` still finds nothing: until then they seal under the older one."
        )
    elif not configured_ids():
        yield _("The keys come from SECRET_KEY: its FALLBACKS are no longer needed to open what we have stored.")


def now_and_then(
    tell: Callable[[int], Any], seconds: float = 2.0, clock: Callable[[], float] = time.monotonic
) -> Callable[[int], None]:
    """For a person who watches: told once in a while, and not of every batch."""
    due_at = clock() + seconds

    def maybe(done: int) -> None:
        nonlocal due_at
        now = clock()
        if now >= due_at:
            due_at = now + seconds
            tell(done)

    return maybe


def _rows(model: type[SealedRow]) -> QuerySet[Any]:
    return model._base_manager.using(router.db_for_write(model))


class _Row:
    """One row on its way."""

    def __init__(self, row: SealedRow, columns: Sequence[str], report: Report, empty_unreadable: bool) -> None:
        self.row = row
        self.columns = columns
        self.report = report
        self.empty_unreadable = empty_unreadable

    def reseal(self) -> None:
        row: SealedRow | None = self.row
        for _attempt in range(ATTEMPTS):
            if row is None or not self._old(row):  # deleted, or sealed by somebody else meanwhile
                return
            anew, unreadable = self._opened(row)
            if self._write(row, anew):
                self.report.resealed += len(anew)
                self._leave_or_empty(row, unreadable)
                return
            row = next(iter(_with_owners(list(_rows(type(row)).filter(pk=row.pk)))), None)

    def _old(self, row: SealedRow) -> dict[str, str]:
        sealed = {name: getattr(row, name) for name in self.columns}
        return {name: value for name, value in sealed.items() if value and _key_id(value) != self.report.newest}

    def _opened(self, row: SealedRow) -> tuple[dict[str, str], list[str]]:
        """The columns under the newest key, and those that do not open."""
        anew: dict[str, str] = {}
        unreadable: list[str] = []
        for name in self._old(row):
            try:
                anew[name] = row.seal(name, row.reveal(name).reveal())
            except SealError:
                unreadable.append(name)
        return anew, unreadable

    def _write(self, row: SealedRow, changes: dict[str, Any], **others: Any) -> bool:
        """Whether the row still had what was read, and now has this."""
        before = {name: getattr(row, name) for name in changes}
        return not changes or bool(_rows(type(row)).filter(pk=row.pk, **before).update(**changes, **others))

    def _leave_or_empty(self, row: SealedRow, unreadable: Sequence[str]) -> None:
        if unreadable and self.empty_unreadable:
            self.report.emptied += self._empty(row, unreadable)
            return
        self.report.unreadable += [
            Unreadable(row._meta.label, row.pk, name, _key_id(getattr(row, name))) for name in unreadable
        ]

    def _empty(self, row: SealedRow, unreadable: Sequence[str]) -> int:
        """Without the values that nobody can open, a token is simply missing, and custody gets another one."""
        if isinstance(row, VerifyTicket):
            return _rows(VerifyTicket).filter(pk=row.pk, ticket=row.ticket).delete()[0]
        due = {}
        if isinstance(row, TokenHolder) and row.next_action_at is not None:
            due["next_action_at"] = clock.now()
        return len(unreadable) if self._write(row, dict.fromkeys(unreadable, ""), **due) else 0


def _key_id(sealed: str) -> str:
    return sealed[_ID_STARTS - 1 :][:_ID_LENGTH]

"""How does everything that is sealed come under the newest key?

``manage.py wechat_open rotate-keys``, while the site runs. Rows are read, opened and sealed anew a batch at a time, and
then written in one short transaction. Each has an UPDATE of its own, which holds only as long as the row still has the
values that were read: whoever renews a token meanwhile wins, and the row is read again. No other column changes. Where
the database can, rows that somebody else has locked are skipped until the next round; as nothing is ever waited for,
there is no deadlock. There is nothing to remember: who goes on after a stop finds what is left by its key id.

A value that no key opens is left as it is, and reported. When the key is really lost, such values can be emptied:
WeChat pushes new tickets by itself, and tells the refresh token of every account that has authorized the platform.
"""

from __future__ import annotations

import operator
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from typing import Any

from django.apps import apps
from django.db import connections, router, transaction
from django.db.models import Count, JSONField, Q, QuerySet, TextField, prefetch_related_objects
from django.db.models.functions import Substr
from django.utils.translation import gettext as _
from django.utils.translation import pgettext

from .. import clock
from ..conf import conf
from ..exceptions import SealError
from ..fields import SealedField, SealedRow
from ..health.checks import PUT_BACK
from ..models import TokenHolder, VerifyTicket
from ..sealing import VERSION, key_ids

BATCH = 200
"""Rows that are committed together: enough to be quick, and so few that nobody waits long for one of them."""

ATTEMPTS = 20
"""How often rows are read again that others keep changing under our hands."""

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
    progress: Callable[[int, int], Any] = lambda done, of: None,
) -> Report:
    """Seal everything under the newest key. ``progress`` hears after each batch how many values that were, and of how
    many there were at the beginning.
    """
    report = Report(key_ids()[0])
    to_do = sum(left_under_older_keys().values())
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
                progress=lambda: progress(report.resealed, to_do),
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
    progress: Callable[[], Any],
) -> None:
    """Once through the rows that hold anything under another key, in the order of their primary keys."""
    under_newest = f"{VERSION}.{report.newest}."
    old = reduce(operator.or_, (~Q(**{name: ""}) & ~Q(**{f"{name}__startswith": under_newest}) for name in columns))
    rows = _light(model).filter(old).order_by("pk")
    rotation = _Rotation(model, columns, report, empty_unreadable)
    after: Any = None
    while True:
        if stopped():
            report.stopped = True
            return
        found = _with_owners(list((rows if after is None else rows.filter(pk__gt=after))[:batch]))
        if not found:
            return
        rotation.reseal(found)
        after = found[-1].pk
        progress()


def _with_owners(found: list[Any]) -> list[Any]:
    """With the rows that they point at, few as they are: what a row is called may stand there."""
    if found:
        points = [column.name for column in found[0]._meta.concrete_fields if column.many_to_one and not column.null]
        prefetch_related_objects(found, *points)
    return found


def advice(report: Report) -> Iterator[str]:
    """What is to be done next, and with which keys."""
    if set(report.left) - set(key_ids()):
        yield str(PUT_BACK)
    elif report.left:
        yield _("`manage.py wechat_open rotate-keys` encrypts them again while the site runs.")
    elif report.removable:
        yield _("These keys can be removed from ENCRYPTION_KEYS: %s.") % ", ".join(
            pgettext("wechat_open", "%(key)s (number %(number)d)")
            % {"key": key_id, "number": configured_ids().index(key_id) + 1}
            for key_id in report.removable
        )
        yield _(
            "Before that, restart every process that was started while another key was the first, and "
            "see that `manage.py wechat_open rotate-keys --check` still finds nothing: until then "
            "they encrypt under the older one."
        )
    elif configured_ids() and conf.secret_key_decrypts:
        yield _(
            "Nothing is under SECRET_KEY any more. Set SECRET_KEY_DECRYPTS in WECHAT_OPEN to False: a leaked "
            "SECRET_KEY then decrypts nothing."
        )
    elif not configured_ids():
        yield _("The keys come from SECRET_KEY: SECRET_KEY_FALLBACKS is no longer needed to decrypt what is stored.")


def now_and_then(
    tell: Callable[[int, int], Any], seconds: float = 2.0, clock: Callable[[], float] = time.monotonic
) -> Callable[[int, int], None]:
    """For a person who watches: told once in a while, and not of every batch."""
    due_at = clock() + seconds

    def maybe(done: int, of: int) -> None:
        nonlocal due_at
        now = clock()
        if now >= due_at:
            due_at = now + seconds
            tell(done, of)

    return maybe


def _rows(model: type[SealedRow]) -> QuerySet[Any]:
    return model._base_manager.using(router.db_for_write(model))


def _light(model: type[SealedRow]) -> QuerySet[Any]:
    """Without the long columns that are not sealed; what a row is called hardly stands there."""
    columns = model._meta.local_concrete_fields
    long = [column for column in columns if isinstance(column, (JSONField, TextField))]
    return _rows(model).defer(*(column.name for column in long if not isinstance(column, SealedField)))


@dataclass
class _Opened:
    """A row as it was read: its old seals, the same under the newest key, and the columns that no key opens."""

    row: SealedRow
    before: dict[str, str]
    after: dict[str, str]
    unreadable: list[str]

    @property
    def anew(self) -> int:
        return sum(self.after[name] != sealed for name, sealed in self.before.items())


class _Rotation:
    """The rows of one model on their way."""

    def __init__(self, model: type[SealedRow], names: Sequence[str], report: Report, empty_unreadable: bool) -> None:
        self.model = model
        self.names = names
        self.report = report
        self.empty_unreadable = empty_unreadable
        self.database = connections[router.db_for_write(model)]

    def reseal(self, rows: Sequence[SealedRow]) -> None:
        for _attempt in range(ATTEMPTS):
            opened = {row.pk: self._open(row) for row in rows if self._old(row)}  # others have sealed the rest
            skipped, changed = self._write({pk: each for pk, each in opened.items() if each.anew})
            for pk, each in opened.items():
                if pk not in skipped | changed:
                    self.report.resealed += each.anew
                    self._leave_or_empty(each)
            if not changed:
                return
            rows = _with_owners(list(_light(self.model).filter(pk__in=changed)))

    def _old(self, row: SealedRow) -> list[str]:
        """The columns that are under another key."""
        sealed = {name: getattr(row, name) for name in self.names}
        return [name for name, value in sealed.items() if value and _key_id(value) != self.report.newest]

    def _open(self, row: SealedRow) -> _Opened:
        before = {name: getattr(row, name) for name in self.names}
        opened = _Opened(row, before, dict(before), [])
        for name in self._old(row):
            try:
                opened.after[name] = row.seal(name, row.reveal(name).reveal())
            except SealError:
                opened.unreadable.append(name)
        return opened

    def _write(self, opened: Mapping[Any, _Opened]) -> tuple[set[Any], set[Any]]:
        """The keys of the rows that were skipped, and of those that no longer had what was read."""
        with transaction.atomic(using=self.database.alias):
            free = self._free(opened)
            if self._update([each for pk, each in opened.items() if pk in free]) == len(free):
                return opened.keys() - free, set()
        now = {row.pop("pk"): row for row in _rows(self.model).filter(pk__in=free).values("pk", *self.names)}
        return opened.keys() - free, {pk for pk in free if now.get(pk) != opened[pk].after}

    def _free(self, keys: Collection[Any]) -> set[Any]:
        """Those that nobody else has locked; from now on we have."""
        if not keys or not self.database.features.has_select_for_update_skip_locked:
            return set(keys)
        rows = _rows(self.model).select_for_update(skip_locked=True).filter(pk__in=keys)
        return set(rows.values_list("pk", flat=True))

    def _update(self, opened: Sequence[_Opened]) -> int:
        """A compare-and-set for each row, sent without waiting for the answers where the driver can; how many held."""
        fields = {field.name: field for field in self.model._meta.local_concrete_fields}
        pk = self.model._meta.pk

        def equal(name: str) -> str:
            return f"{self.database.ops.quote_name(str(fields[name].column))} = %s"

        def prepared(values: Mapping[str, Any]) -> list[Any]:
            return [fields[name].get_db_prep_save(value, self.database) for name, value in values.items()]

        table = self.database.ops.quote_name(self.model._meta.db_table)
        values, same = ", ".join(map(equal, self.names)), " AND ".join(map(equal, [pk.name, *self.names]))
        statement = f"UPDATE {table} SET {values} WHERE {same}"  # noqa: S608  # nothing but our own names
        rows = [[*prepared(each.after), *prepared({pk.name: each.row.pk, **each.before})] for each in opened]
        with self.database.cursor() as cursor:
            if rows:
                cursor.executemany(statement, rows)
            return cursor.rowcount if rows else 0

    def _leave_or_empty(self, opened: _Opened) -> None:
        row, unreadable = opened.row, opened.unreadable
        if unreadable and self.empty_unreadable:
            self.report.emptied += self._empty(row, unreadable)
            return
        self.report.unreadable += [
            Unreadable(row._meta.label, row.pk, name, _key_id(getattr(row, name))) for name in unreadable
        ]

    def _empty(self, row: SealedRow, unreadable: Sequence[str]) -> int:
        """Without the values that nobody can open, a token is simply missing, and custody gets another one."""
        unchanged = _rows(self.model).filter(pk=row.pk, **{name: getattr(row, name) for name in unreadable})
        if isinstance(row, VerifyTicket):
            return unchanged.delete()[0]
        changes: dict[str, Any] = dict.fromkeys(unreadable, "")
        if isinstance(row, TokenHolder) and row.next_action_at is not None:
            changes["next_action_at"] = clock.now()
        return len(unreadable) if unchanged.update(**changes) else 0


def _key_id(sealed: str) -> str:
    return sealed[_ID_STARTS - 1 :][:_ID_LENGTH]

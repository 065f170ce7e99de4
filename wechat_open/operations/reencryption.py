"""Re-encryption: brings every encrypted column under the newest key, while the site runs.

``manage.py wechat_open rotate-keys``. Rows are read, decrypted and encrypted again a batch at a time, and then
written in one short transaction. Each row has an UPDATE of its own, which holds only as long as the row still has the
values that were read: if a token is renewed meanwhile, the renewal wins and the row is read again. No other column
changes. Where the database can, rows that are locked are skipped until the next round; as nothing is ever waited for,
there is no deadlock. No progress is stored: after a stop, the next run finds what is left by its key id.

A value that no key decrypts is left as it is, and reported; so is a row that the database refuses to write. When the
key is really lost, such values can be emptied: WeChat pushes new tickets by itself, and returns the refresh token of
every account that has authorized the platform.
"""

from __future__ import annotations

import logging
import operator
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from typing import Any

from django.apps import apps
from django.db import Error as DatabaseError
from django.db import connections, router, transaction
from django.db.models import Count, F, JSONField, Q, QuerySet, TextField, Value, prefetch_related_objects
from django.db.models.functions import Substr
from django.db.models.lookups import Exact
from django.utils.translation import gettext as _
from django.utils.translation import pgettext

from ..conf import conf
from ..db import clock
from ..db.encryption import PREFIX_LENGTH, VERSION, key_id_of, key_ids
from ..db.fields import EncryptedField, EncryptedRow
from ..db.rows import is_of_row
from ..exceptions import EncryptionError
from ..health.checks.storage import EMPTY_DAMAGED, PUT_BACK
from ..models import TokenHolder, VerifyTicket

BATCH = 200
"""Rows that are committed together: enough to be quick, and so few that each is locked only briefly."""

ATTEMPTS = 20
"""How often rows that other processes keep changing are read again."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Unreadable:
    """A value that no configured key decrypts: where it is, and the key id that it names, if it names one."""

    model: str
    pk: Any
    column: str
    key_id: str


@dataclass(frozen=True)
class Unwritable:
    """A row that the database refuses to write, and the class of its error."""

    model: str
    pk: Any
    error: str


@dataclass
class Report:
    """The result of a rotation.

    ``left`` counts, by key id, the values that are not under the newest key; under the empty id those that name no key.
    """

    newest: str
    reencrypted: int = 0
    emptied: int = 0
    unreadable: list[Unreadable] = field(default_factory=list)
    unwritable: list[Unwritable] = field(default_factory=list)
    left: dict[str, int] = field(default_factory=dict)
    stopped: bool = False

    @property
    def ok(self) -> bool:
        return not self.left

    @property
    def removable(self) -> list[str]:
        """Older keys of ENCRYPTION_KEYS under which nothing is encrypted any more."""
        return [key_id for key_id in configured_ids()[1:] if not self.left.get(key_id)]


def configured_ids() -> list[str]:
    """The ids of ENCRYPTION_KEYS; behind them the ring holds those that come from SECRET_KEY."""
    return list(key_ids()[: len(set(conf.encryption_keys))])


def encrypted_models() -> list[tuple[type[EncryptedRow], list[str]]]:
    """Every model that has encrypted columns, and which."""
    found = []
    for model in apps.get_models():
        if issubclass(model, EncryptedRow) and not model._meta.proxy:
            columns = [
                column.name for column in model._meta.local_concrete_fields if isinstance(column, EncryptedField)
            ]
            found.append((model, columns))
    return found


def count_by_key() -> Counter[str]:
    """How many values are encrypted under each key id; under the empty id, those that name none.

    Reads every row, in one query for each column.
    """
    counts: Counter[str] = Counter()
    for model, columns in encrypted_models():
        for column in columns:
            encrypted = _rows(model).exclude(**{column: ""}).order_by()
            by_prefix = encrypted.annotate(prefix=Substr(column, 1, PREFIX_LENGTH)).values_list("prefix")
            for prefix, count in by_prefix.annotate(Count("pk")):
                counts[key_id_of(prefix)] += count
    return counts


def left_under_older_keys() -> dict[str, int]:
    """By key id, how many values are still to be encrypted again."""
    return left(count_by_key(), key_ids()[0])


def left(counts: Mapping[str, int], newest: str) -> dict[str, int]:
    """The counts of all keys but the newest."""
    return {key_id: count for key_id, count in sorted(counts.items()) if key_id != newest}


def rotate(
    *,
    empty_unreadable: bool = False,
    batch: int = BATCH,
    stopped: Callable[[], bool] = lambda: False,
    progress: Callable[[int, int], Any] = lambda done, of: None,
) -> Report:
    """Encrypt everything under the newest key.

    ``progress`` is called after each batch with the number of values done, and the number at the beginning.
    """
    report = Report(key_ids()[0])
    to_do = sum(left_under_older_keys().values())
    done = -1
    while not report.stopped and report.reencrypted > done:  # rows that were skipped wait for another round
        done = report.reencrypted
        report.unreadable, report.unwritable = [], []
        for model, columns in encrypted_models():
            rotation = _Rotation(model, columns, report, empty_unreadable)
            rotation.run(batch, stopped, lambda: progress(report.reencrypted, to_do))
    report.left = left_under_older_keys()
    return report


def _with_related(found: list[Any]) -> list[Any]:
    """With the few rows that they point at: the encryption is bound to their columns, too."""
    if found:
        points = [column.name for column in found[0]._meta.concrete_fields if column.many_to_one and not column.null]
        prefetch_related_objects(found, *points)
    return found


def advice(report: Report) -> Iterator[str]:
    """What to do next, and with which keys."""
    yield from _about_rows(report)
    if not report.ok:
        if set(report.left) <= set(key_ids()) and not report.unreadable and not report.unwritable:
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


def _about_rows(report: Report) -> Iterator[str]:
    """What to do about values that no key decrypts, and about rows that cannot be written."""
    if report.left.keys() - {"", *key_ids()}:
        yield str(PUT_BACK)
    if "" in report.left or any(lost.key_id in key_ids() for lost in report.unreadable):
        yield str(EMPTY_DAMAGED)
    if report.unwritable:
        yield _("The log says why the database refuses to write these rows. Repair them, and run it again.")


def at_intervals(
    report: Callable[[int, int], Any], seconds: float = 2.0, clock: Callable[[], float] = time.monotonic
) -> Callable[[int, int], None]:
    """Progress for a person: ``report`` is called at intervals, and not for every batch."""
    due_at = clock() + seconds

    def maybe(done: int, of: int) -> None:
        nonlocal due_at
        now = clock()
        if now >= due_at:
            due_at = now + seconds
            report(done, of)

    return maybe


def _rows(model: type[EncryptedRow]) -> QuerySet[Any]:
    return model._base_manager.using(router.db_for_write(model))


def _light(model: type[EncryptedRow]) -> QuerySet[Any]:
    """Without the long columns that are not encrypted."""
    columns = model._meta.local_concrete_fields
    long = [column for column in columns if isinstance(column, (JSONField, TextField))]
    return _rows(model).defer(*(column.name for column in long if not isinstance(column, EncryptedField)))


@dataclass
class _Decrypted:
    """A row as it was read: its old values, the same under the newest key, and the columns that no key decrypts."""

    row: EncryptedRow
    before: dict[str, str]
    after: dict[str, str]
    unreadable: list[str]

    @property
    def changed(self) -> int:
        return sum(self.after[name] != value for name, value in self.before.items())


class _Rotation:
    """The rotation of one model."""

    def __init__(self, model: type[EncryptedRow], names: Sequence[str], report: Report, empty_unreadable: bool) -> None:
        self.model = model
        self.names = names
        self.report = report
        self.empty_unreadable = empty_unreadable
        self.database = connections[router.db_for_write(model)]

    def run(self, batch: int, stopped: Callable[[], bool], progress: Callable[[], Any]) -> None:
        """One round through the rows with a value under another key, in the order of their primary keys."""
        newest = f"{VERSION}.{self.report.newest}."
        old = reduce(operator.or_, (~Q(**{name: ""}) & ~Q(**{f"{name}__startswith": newest}) for name in self.names))
        rows = _light(self.model).filter(old).order_by("pk")
        after: Any = None
        while not stopped():
            found = _with_related(list((rows if after is None else rows.filter(pk__gt=after))[:batch]))
            if not found:
                return
            self.reencrypt(found)
            after = found[-1].pk
            progress()
        self.report.stopped = True

    def reencrypt(self, rows: Sequence[EncryptedRow]) -> None:
        for _attempt in range(ATTEMPTS):
            opened = {row.pk: self._decrypt(row) for row in rows if self._old(row)}  # the rest was encrypted meanwhile
            skipped, changed = self._write_all({pk: each for pk, each in opened.items() if each.changed})
            for pk, each in opened.items():
                if pk not in skipped | changed:
                    self.report.reencrypted += each.changed
                    self._leave_or_empty(each)
            if not changed:
                return
            rows = _with_related(list(_light(self.model).filter(pk__in=changed)))

    def _old(self, row: EncryptedRow) -> list[str]:
        """The columns that are under another key."""
        stored = {name: getattr(row, name) for name in self.names}
        return [name for name, value in stored.items() if value and key_id_of(value) != self.report.newest]

    def _decrypt(self, row: EncryptedRow) -> _Decrypted:
        before = {name: getattr(row, name) for name in self.names}
        opened = _Decrypted(row, before, dict(before), [])
        for name in self._old(row):
            try:
                opened.after[name] = row.encrypt(name, row.reveal(name).reveal())
            except EncryptionError:
                opened.unreadable.append(name)
        return opened

    def _write_all(self, opened: Mapping[Any, _Decrypted]) -> tuple[set[Any], set[Any]]:
        """As ``_write``, and one by one when the database refuses a row of the batch; that one counts as skipped."""
        try:
            return self._write(opened)
        except DatabaseError as error:
            if not is_of_row(error):
                raise
        skipped, changed = set(), set()
        for pk, each in opened.items():
            try:
                one_skipped, one_changed = self._write({pk: each})
            except DatabaseError as error:
                if not is_of_row(error):
                    raise
                label = self.model._meta.label
                logger.exception("%s %s cannot be encrypted again: the database refuses it.", label, pk)
                self.report.unwritable.append(Unwritable(label, pk, type(error).__name__))
                one_skipped, one_changed = {pk}, set()
            skipped |= one_skipped
            changed |= one_changed
        return skipped, changed

    def _write(self, opened: Mapping[Any, _Decrypted]) -> tuple[set[Any], set[Any]]:
        """The keys of the rows that were skipped, and of those that no longer had the values that were read."""
        with transaction.atomic(using=self.database.alias):
            free = self._free(opened)
            if self._update([each for pk, each in opened.items() if pk in free]) == len(free):
                return opened.keys() - free, set()
        now = {row.pop("pk"): row for row in _rows(self.model).filter(pk__in=free).values("pk", *self.names)}
        return opened.keys() - free, {pk for pk in free if now.get(pk) != opened[pk].after}

    def _free(self, keys: Collection[Any]) -> set[Any]:
        """Locks those that are not locked, and returns their keys."""
        if not keys or not self.database.features.has_select_for_update_skip_locked:
            return set(keys)
        rows = _rows(self.model).select_for_update(skip_locked=True).filter(pk__in=keys)
        return set(rows.values_list("pk", flat=True))

    def _update(self, opened: Sequence[_Decrypted]) -> int:
        """A compare-and-set for each row, sent in one batch where the driver can; returns how many held."""
        fields = {field.name: field for field in self.model._meta.local_concrete_fields}
        pk = self.model._meta.pk

        def equal(name: str) -> str:
            return f"{self.database.ops.quote_name(str(fields[name].column))} = %s"

        table = self.database.ops.quote_name(self.model._meta.db_table)
        values, same = ", ".join(map(equal, self.names)), " AND ".join(map(equal, [pk.name, *self.names]))
        statement = f"UPDATE {table} SET {values} WHERE {same}"  # noqa: S608  # nothing but our own names
        # The values as they are stored: a field refuses one in clear text, and with it the batch.
        rows = [
            [*each.after.values(), pk.get_db_prep_save(each.row.pk, self.database), *each.before.values()]
            for each in opened
        ]
        with self.database.cursor() as cursor:
            if rows:
                cursor.executemany(statement, rows)
            return cursor.rowcount if rows else 0

    def _leave_or_empty(self, opened: _Decrypted) -> None:
        row, unreadable = opened.row, opened.unreadable
        if unreadable and self.empty_unreadable:
            self.report.emptied += self._empty(row, unreadable)
            return
        self.report.unreadable += [
            Unreadable(row._meta.label, row.pk, name, key_id_of(getattr(row, name))) for name in unreadable
        ]

    def _empty(self, row: EncryptedRow, unreadable: Sequence[str]) -> int:
        """Empty the values that no key decrypts: the token is then missing, and custody gets another one."""
        same = (Exact(F(name), Value(getattr(row, name), TextField())) for name in unreadable)
        unchanged = _rows(self.model).filter(*same, pk=row.pk)
        if isinstance(row, VerifyTicket):
            return unchanged.delete()[0]
        changes: dict[str, Any] = dict.fromkeys(unreadable, "")
        if isinstance(row, TokenHolder) and row.next_action_at is not None:
            changes["next_action_at"] = clock.now()
        return len(unreadable) if unchanged.update(**changes) else 0

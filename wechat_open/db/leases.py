"""A lease is the right to work on a row for a while; it ends by itself when its worker is killed.

A row is free when the lease's column is NULL or in the past. Taking a lease sets that column ahead and increments the
row's fence. Whatever is written under the lease names the fence that it was taken with, so a worker whose lease has
run out and was taken by another changes nothing. All times are the database's.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

from django.db.models import F, Model, Q, QuerySet

from . import clock

_Row = TypeVar("_Row", bound=Model)


def elapsed(column: str, span: timedelta = timedelta()) -> Q:
    """The time in ``column`` is ``span`` or longer ago, or there is none."""
    return Q(**{f"{column}__isnull": True}) | Q(**{f"{column}__lte": clock.now() - span})


def unchanged(row: _Row) -> QuerySet[_Row]:
    """This row, unless its lease was taken or released since it was read.

    In a database that was emptied meanwhile, another row may have its key and fence, but not its columns of
    ``identified_by``.
    """
    same = {column: getattr(row, column) for column in getattr(row, "identified_by", ())}
    return type(row)._default_manager.filter(pk=row.pk, fence=row.fence, **same)  # type: ignore[attr-defined]


@dataclass(frozen=True)
class Lease:
    """One kind of lease: the column that says until when it lasts, and for how long it is taken.

    ``fence`` is the column that grows with each lease. Without one (``fenced=False``) no
    worker can see whose lease runs: it only spares others the work, and what is done under it must be idempotent.
    """

    until: str
    length: timedelta
    fence: str = "fence"
    fenced: bool = True

    def free(self) -> Q:
        """The condition that no lease is running."""
        return elapsed(self.until)

    def take(self, rows: QuerySet[_Row], **changes: Any) -> int:
        """Take the lease on all of these rows that are free, and write ``changes``; how many there were."""
        return rows.filter(self.free()).update(**self._next_fence(), **self._ahead(), **changes)

    def take_one(self, rows: QuerySet[_Row], pk: int, *, fence: int | None = None, **changes: Any) -> _Row | None:
        """Take the lease on one of these rows; the row as it is afterwards, or None when another process was faster.

        The row is taken as it was seen with ``fence``; by default, as it is now. It is read again afterwards, because
        columns that no fence guards may have changed before.
        """
        row = rows.filter(pk=pk)
        if fence is None:
            fence = row.values_list(self.fence, flat=True).first()
        if fence is None or not self.take(row.filter(**{self.fence: fence}), **changes):
            return None
        return row.filter(**{self.fence: fence + 1}).first()

    def extend(self, mine: QuerySet[_Row], **changes: Any) -> bool:
        """Let the lease run for its whole length from now; False when ``mine``, named by its fence, is lost."""
        return bool(mine.update(**self._ahead(), **changes))

    def release(self, mine: QuerySet[_Row], **changes: Any) -> bool:
        """End the lease and write its outcome; False when it is lost. What was read under it is outdated from now on.

        A column that also says when the row is due is among ``changes``.
        """
        return bool(mine.update(**{**self._next_fence(), self.until: None, **changes}))

    def _ahead(self) -> dict[str, Any]:
        return {self.until: clock.now() + self.length}

    def _next_fence(self) -> dict[str, Any]:
        return {self.fence: F(self.fence) + 1} if self.fenced else {}

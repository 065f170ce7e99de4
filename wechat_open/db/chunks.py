"""Reading many rows a chunk at a time, by their keys.

Not with ``iterator()``: on PostgreSQL that reads through a cursor of the server's session, and behind pgbouncer, which
pools transactions, the next statement may meet another session.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, TypeVar

from django.db.models import Model, QuerySet

_Row = TypeVar("_Row", bound=Model)


def in_chunks(rows: QuerySet[_Row], size: int, *, most: int | None = None) -> Iterator[_Row]:
    """The rows in their order, at most ``most``. Their keys are read now, the rows as in ``by_keys``."""
    return by_keys(rows, list(rows.values_list("pk", flat=True)[:most]), size)


def by_keys(rows: QuerySet[_Row], keys: Iterable[Any], size: int) -> Iterator[_Row]:
    """Those of the rows that have these keys, in that order; each chunk is read when its first row is wanted.

    A row that was deleted, or left the query, before its chunk is read is left out.
    """
    remaining = iter(keys)
    while chunk := list(islice(remaining, size)):
        found = rows.order_by().in_bulk(chunk)
        yield from (found[key] for key in chunk if key in found)

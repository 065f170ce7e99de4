"""Rows as a CSV file that a spreadsheet opens.

UTF-8 with the mark by which Excel knows it; no cell is a formula; read from the database while it is sent, in the
language of the reader, which is no longer active then.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator
from io import StringIO
from itertools import islice
from typing import Any

from django.http import StreamingHttpResponse
from django.utils import timezone
from django.utils.translation import get_language, override

PIECE = 200
"""So many rows are read and sent at once."""

MARK = "\ufeff"

FORMULAS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""What a spreadsheet takes for the beginning of a formula, or skips before it looks for one."""


def harmless(cell: str) -> str:
    """No spreadsheet takes it for a formula; numbers stay numbers."""
    if cell.isascii() and cell.removeprefix("-").isdecimal():
        return cell
    return f"'{cell}" if cell.startswith(FORMULAS) or cell.lstrip(" ").startswith(FORMULAS) else cell


def lines(rows: Iterable[Iterable[str]]) -> str:
    text = StringIO()
    csv.writer(text).writerows([harmless(cell) for cell in row] for row in rows)
    return text.getvalue()


def as_file(
    name: str,
    columns: Iterable[object],
    rows: Iterable[Any],
    cells: Callable[[Any, str], Iterable[str]],
    *,
    most: int,
    cut: Callable[[], str],
) -> StreamingHttpResponse:
    """The rows as a file ``name-2026-11-29.csv``.

    ``cells`` makes the cells of a row, in the given language. After ``most`` rows the file ends with the sentence that
    ``cut`` makes. ``rows`` should be one more at most, and a cursor of the database's.
    """
    language = get_language() or "en"
    pieces = _pieces(list(columns), iter(rows), cells, language, most, cut)
    response = StreamingHttpResponse(pieces, content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{name}-{timezone.localdate():%Y-%m-%d}.csv"'
    return response


def _pieces(
    columns: list[object],
    rows: Iterator[Any],
    cells: Callable[[Any, str], Iterable[str]],
    language: str,
    most: int,
    cut: Callable[[], str],
) -> Iterator[str]:
    with override(language):
        heads = lines([[str(column) for column in columns]])
    yield MARK + heads
    left = most
    while piece := list(islice(rows, min(PIECE, left))):
        left -= len(piece)
        with override(language):
            made = lines(cells(row, language) for row in piece)
        yield made
    if next(rows, None) is not None:
        with override(language):
            last = lines([[cut()]])
        yield last

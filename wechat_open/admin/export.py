"""Rows as a CSV file that a spreadsheet opens, or as XLSX.

UTF-8 with the mark by which Excel knows it; no cell is a formula; read from the database while it is sent, in the
language of the reader, which is no longer active then.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterable, Iterator
from importlib.util import find_spec
from io import StringIO
from itertools import islice
from tempfile import TemporaryFile
from typing import Any

from django.http import FileResponse, StreamingHttpResponse
from django.utils.translation import get_language, override

from ..times import site_now

PIECE = 200
"""So many rows are read and sent at once."""

MARK = "\ufeff"

MOST_CHARACTERS = 32_767
"""Of a cell in XLSX."""

_UNSEEN = r"[\s\x00-\x1f\x7f\u00ad\u200b-\u200f\u2028-\u202e\u2060-\u2064\ufeff]*"
_SIGNS = "[=+\\-@＝＋－＠﹦﹢﹣﹫⁺⁻₊₋⁼₌−]"
_FORMULA = re.compile(f"[\\t\\r\\n]|{_UNSEEN}{_SIGNS}")
_AFTER_SEPARATOR = re.compile(f"(?<=[;\\t\\r\\n|])(?={_UNSEEN}[\"']?{_SIGNS})")
"""What a spreadsheet takes for the beginning of a formula, after what it skips; also behind the end of a cell."""


def harmless(cell: str) -> str:
    """No spreadsheet takes it for a formula, nor a part of it; numbers stay numbers."""
    if cell.isascii() and cell.removeprefix("-").isdecimal():
        return cell
    cell = _AFTER_SEPARATOR.sub("'", cell)
    return f"'{cell}" if _FORMULA.match(cell) else cell


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
    response["Content-Disposition"] = f'attachment; filename="{name}-{site_now():%Y-%m-%d}.csv"'
    return response


def has_workbooks() -> bool:
    """Whether the library for XLSX is installed (extra ``xlsx``)."""
    return find_spec("xlsxwriter") is not None


def as_workbook(
    name: str,
    columns: Iterable[object],
    rows: Iterable[Any],
    cells: Callable[[Any, str], Iterable[str]],
    *,
    most: int,
    cut: Callable[[], str],
) -> FileResponse:
    """The same as XLSX. Such a file can be sent only when it is whole: it is written to disk row by row."""
    import xlsxwriter

    language = get_language() or "en"
    file = TemporaryFile()  # noqa: SIM115  # closed by the response
    book = xlsxwriter.Workbook(file, {"constant_memory": True, "strings_to_formulas": False, "strings_to_urls": False})
    sheet = book.add_worksheet()
    sheet.freeze_panes(1, 0)
    bold = book.add_format({"bold": True})
    for place, column in enumerate(columns):
        sheet.write_string(0, place, harmless(str(column)), bold)
    for line, row in enumerate(rows, start=1):
        if line > most:
            sheet.write_string(line, 0, cut())
            break
        for place, cell in enumerate(cells(row, language)):
            sheet.write_string(line, place, harmless(cell)[:MOST_CHARACTERS])
    book.close()
    file.seek(0)
    return FileResponse(file, as_attachment=True, filename=f"{name}-{site_now():%Y-%m-%d}.xlsx")


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

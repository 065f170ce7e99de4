"""Rows as a CSV file that a spreadsheet opens, or as XLSX.

UTF-8 with the mark by which Excel knows it; no cell is a formula; read from the database while it is sent, in the
language of the reader, which is no longer active then.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from io import StringIO
from itertools import islice
from tempfile import TemporaryFile
from typing import Any

from django.http import FileResponse, StreamingHttpResponse
from django.utils.translation import get_language, override, pgettext_lazy
from django.utils.translation import gettext_lazy as _

from ..db.times import site_now
from ..protocol import errcodes
from .changelist import Number

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
    """The cell as text that no spreadsheet takes for a formula, nor a part of it; numbers stay numbers."""
    if cell.isascii() and cell.removeprefix("-").isdecimal():
        return cell
    cell = _AFTER_SEPARATOR.sub("'", cell)
    return f"'{cell}" if _FORMULA.match(cell) else cell


def lines(rows: Iterable[Iterable[str]]) -> str:
    text = StringIO()
    csv.writer(text).writerows([harmless(cell) for cell in row] for row in rows)
    return text.getvalue()


Column = tuple[object, Callable[[Any], str]]
"""The title, and what makes the cell of a row, in the language that is active."""


def _meaning(row: Any) -> str:
    return "" if row.errcode is None else errcodes.meaning(row.errcode, get_language() or "en")


ERROR_COLUMNS: tuple[Column, ...] = (
    (pgettext_lazy("wechat_open", "errcode"), lambda row: "" if row.errcode is None else str(row.errcode)),
    (pgettext_lazy("wechat_open", "meaning"), _meaning),
    (_("request id (rid)"), lambda row: row.rid),
)
"""Of rows that store an error of WeChat's."""


@dataclass(frozen=True)
class Table:
    """What is exported. After ``most`` rows the file ends with ``cut``, which takes the number as ``count``."""

    name: str
    columns: Sequence[Column]
    most: int
    cut: object

    @property
    def titles(self) -> list[str]:
        return [str(title) for title, _cell in self.columns]

    def cells(self, row: Any) -> list[str]:
        return [cell(row) for _title, cell in self.columns]

    @property
    def end(self) -> str:
        """The last line of a file that is cut off."""
        return str(self.cut) % {"count": Number(self.most)}

    def filename(self, ending: str) -> str:
        """``name-2026-11-29.csv``"""
        return f"{self.name}-{site_now():%Y-%m-%d}.{ending}"


def as_file(table: Table, rows: Iterable[Any]) -> StreamingHttpResponse:
    """The rows as CSV. ``rows`` should be one more than ``table.most`` at most, and a cursor of the database."""
    pieces = _pieces(table, iter(rows), get_language() or "en")
    response = StreamingHttpResponse(pieces, content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{table.filename("csv")}"'
    return response


def has_workbooks() -> bool:
    """Whether the library for XLSX is installed (extra ``xlsx``)."""
    return find_spec("xlsxwriter") is not None


def as_workbook(table: Table, rows: Iterable[Any]) -> FileResponse:
    """The same as XLSX. Such a file can be sent only when it is whole: it is written to disk row by row."""
    import xlsxwriter

    file = TemporaryFile()  # noqa: SIM115  # closed by the response
    book = xlsxwriter.Workbook(file, {"constant_memory": True, "strings_to_formulas": False, "strings_to_urls": False})
    sheet = book.add_worksheet()
    sheet.freeze_panes(1, 0)
    bold = book.add_format({"bold": True})
    for place, title in enumerate(table.titles):
        sheet.write_string(0, place, harmless(title), bold)
    for line, row in enumerate(rows, start=1):
        if line > table.most:
            sheet.write_string(line, 0, table.end)
            break
        for place, cell in enumerate(table.cells(row)):
            sheet.write_string(line, place, harmless(cell)[:MOST_CHARACTERS])
    book.close()
    file.seek(0)
    return FileResponse(file, as_attachment=True, filename=table.filename("xlsx"))


def _pieces(table: Table, rows: Iterator[Any], language: str) -> Iterator[str]:
    with override(language):
        heads = lines([table.titles])
    yield MARK + heads
    left = table.most
    while piece := list(islice(rows, min(PIECE, left))):
        left -= len(piece)
        with override(language):
            made = lines(map(table.cells, piece))
        yield made
    if next(rows, None) is not None:
        with override(language):
            last = lines([[table.end]])
        yield last

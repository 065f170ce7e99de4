"""Values that a row of ours cannot have come by in our own code: of a lost key, cut, moved, or of another type.

``write`` puts one into a column, past every field and check. What a database itself refuses to hold is left out there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from django.db import connection
from django.db.models import Model

LOST_KEY = "v1.deadbeef."

Spoil = Callable[[str, str], str]
"""From the value of this row, and that of another one in the same column, to the poisoned one."""

CIPHERTEXTS: Mapping[str, Spoil] = {
    "of a lost key": lambda mine, other: LOST_KEY + mine.removeprefix("v1.").partition(".")[2],
    "cut": lambda mine, other: mine[:-6],
    "cut short": lambda mine, other: mine[:20],
    "of another row": lambda mine, other: other,
    "in clear text": lambda mine, other: "never.written-like-this.at-all",
    "not base64": lambda mine, other: mine[:12] + "\u4e2d\u6587",
}

JSON: Mapping[str, str] = {
    "null": "null",
    "a number": "7",
    "a text": '"word"',
    "a list": "[1]",
    "an object": '{"a": 1}',
    "a list of lists": '[["x"], null, 1e300]',
    "nested deeply": "[" * 30 + "]" * 30,
}
INVALID_JSON = '{"a": '
"""SQLite keeps it once its checks are off."""

TEXTS: Mapping[str, str] = {
    "half of its JSON": '{"msgid":"x',
    "a number for a template": '{"msgid":7,"values":{}}',
    "a number for a context": '{"msgid":"a","context":7,"values":{}}',
    "a template without its value": '{"msgid":"%(x)s","values":{"y":1}}',
    "a list for a value": '{"msgid":"%(a)s","values":{"a":[1]}}',
    "nothing for a value": '{"msgid":"%(a)s","values":{"a":null}}',
    "a number for its values": '{"msgid":"a","values":7}',
    "nested without end": '{"msgid":"%(a)s","values":{"a":' * 2000 + "1" + "}}" * 2000,
    "very long": "long " * 100_000,
}

TIMES: dict[str, str] = {"the first": "0001-01-01 00:00:00", "the last": "9999-12-31 23:59:59.999999"}
NOT_IN_PYTHON = {"sqlite": "2020-13-01 00:00:00", "postgresql": "infinity"}
"""A time that the database keeps, and that Python has no value for. MySQL and MariaDB keep none."""
if connection.vendor in NOT_IN_PYTHON:
    TIMES["not in Python"] = NOT_IN_PYTHON[connection.vendor]

READ_IN = {"2020-13-01 00:00:00": 1, "infinity": 9999}
"""The years in which those are read."""


def write(row: Model, column: str, value: Any) -> None:
    """UPDATE one column of the row with a value as the database keeps it."""
    table, field = row._meta.db_table, row._meta.get_field(column)
    quoted = connection.ops.quote_name
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute("PRAGMA ignore_check_constraints = ON")
        statement = f"UPDATE {quoted(table)} SET {quoted(str(field.column))} = %s WHERE id = %s"  # type: ignore[union-attr]  # noqa: S608
        cursor.execute(statement, [value, row.pk])
        if connection.vendor == "sqlite":
            cursor.execute("PRAGMA ignore_check_constraints = OFF")


def spoil(row: Model, column: str, how: str, other: Model) -> None:
    """Replace the ciphertext in the column with what ``CIPHERTEXTS`` makes of it."""
    write(row, column, CIPHERTEXTS[how](getattr(row, column), getattr(other, column)))

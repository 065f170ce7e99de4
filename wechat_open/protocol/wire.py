"""Dataclasses that are read from the fields of a push.

Each attribute has its names on the wire and a function that turns the text into a value. ``read`` fills an instance
from the fields of a push. A field that a push must have is ``required``; any other that is missing or malformed is
``None`` or empty, because WeChat documents its pushes badly.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timezone
from functools import cache, lru_cache
from typing import Any, TypeVar

from ..exceptions import InvalidPush
from ..secret import Secret
from .xml import Fields

T = TypeVar("T")

LONGEST_NAME = 64
"""Longest name, in characters, that is compared in any spelling."""

_WORD = re.compile(r"[\x21-\x7e]{1,64}")
_INTEGER = re.compile(r"-?[0-9]{1,18}")
# Of any length that a JSON number has: 1.3521000146865845, or 1e-05.
_DECIMAL = re.compile(r"-?[0-9]{1,9}(?:\.[0-9]{1,30})?(?:[eE][-+]?[0-9]{1,2})?")
_UNIX_TIME = re.compile(r"[1-9][0-9]{9}")  # 2001 to 2286; int() alone would accept other digits and underscores


@dataclass(frozen=True)
class _Wire:
    names: tuple[str, ...]
    read: Callable[[Any], Any]
    required: bool


def wire(*names: str, read: Callable[[Any], Any], required: bool = False, shown: bool = True) -> Any:
    """A dataclass field that is read from the first of ``names`` that the push has."""
    metadata = {"wire": _Wire(names, read, required)}
    if required:
        return field(repr=shown, metadata=metadata)
    return field(default=read(""), repr=shown, metadata=metadata)


def read(cls: type[T], push: Fields, /, kind: str = "push", **given: Any) -> T:
    """An instance of ``cls`` from a push. Raises InvalidPush(``kind``) when a required field is missing.

    ``given`` are the attributes that are not read from the push.
    """
    values = given
    others: dict[str, Any] | None = None
    for attribute, names, read_value, required, absent in _plan(cls):  # type: ignore[arg-type]  # every class is hashable
        for name in names:
            if name in push:
                value = read_value(push[name])
                break
        else:
            if others is None:
                others = _other_spellings(cls, push)
            value = absent
            if others:
                value = next((read_value(others[_plainly(name)]) for name in names if _plainly(name) in others), absent)
        if required and not value:
            raise InvalidPush(kind)
        values[attribute] = value
    # A frozen dataclass is slow to construct; none of these has an __init__ of its own.
    made = object.__new__(cls)
    made.__dict__.update(values)
    return made


@cache
def _plan(cls: type) -> tuple[tuple[str, tuple[str, ...], Callable[[Any], Any], bool, Any], ...]:
    """For each wired attribute: its name, how it is read, and its value when the push has no such field."""
    wired = [(one.name, one.metadata["wire"]) for one in dataclasses.fields(cls) if "wire" in one.metadata]
    return tuple((name, wire.names, wire.read, wire.required, wire.read("")) for name, wire in wired)


def _other_spellings(cls: type, push: Fields) -> dict[str, Any]:
    """The fields of the push whose names are no attribute's exact name. JSON pushes spell some names in another way.
    A name that is exactly one attribute's is never taken for another's: ``AppId`` and ``appid`` differ."""
    own = _names(cls)
    if push.keys() <= own:
        return {}
    return {_plainly(name): value for name, value in push.items() if name not in own}


@cache
def _names(cls: type) -> frozenset[str]:
    return frozenset(name for _, names, *_rest in _plan(cls) for name in names)


def _plainly(name: str) -> str:
    return _remembered(name) if len(name) <= LONGEST_NAME else name


@lru_cache(maxsize=4096)
def _remembered(name: str) -> str:
    return name.lower().replace("_", "")


def entry(fields: Fields, name: str) -> Any:
    """One field of a push, in any spelling; an empty text when there is none."""
    found = fields.get(name)
    if found is not None:
        return found
    return next((value for spelt, value in fields.items() if _plainly(spelt) == _plainly(name)), "")


def text(value: Any) -> str:
    return value.strip() if isinstance(value, str) else ""


def exact(value: Any) -> str:
    """Unchanged: text that a person typed."""
    return value if isinstance(value, str) else ""


def word(value: Any) -> str:
    """Appids, openids, kinds: printable ASCII without spaces; letter case is kept."""
    return found if _WORD.fullmatch(found := text(value)) else ""


def secret(value: Any) -> Secret:
    return Secret(text(value))


def integer(value: Any) -> int | None:
    return int(found) if _INTEGER.fullmatch(found := text(value)) else None


def decimal(value: Any) -> float | None:
    return float(found) if _DECIMAL.fullmatch(found := text(value)) else None


def time(value: Any) -> datetime | None:
    """Unix seconds, as an aware point in time."""
    return datetime.fromtimestamp(int(found), timezone.utc) if _UNIX_TIME.fullmatch(found := text(value)) else None


def words(value: Any) -> tuple[str, ...]:
    """Ids joined by ``|``."""
    return tuple(part for part in text(value).split("|") if part)


def one(cls: type[T]) -> Callable[[Any], T]:
    """One object, also where JSON has a list of one."""
    return lambda value: read(cls, next((item for item in _as_list(value) if isinstance(item, dict)), {}))


def several(cls: type[T], *path: str) -> Callable[[Any], tuple[T, ...]]:
    """Objects below ``path``, or in its place; a list of one arrives as a dict, because XML has no lists."""

    def read_all(value: Any) -> tuple[T, ...]:
        items = _as_list(value)
        for name in path:
            below = [entry(item, name) or item if isinstance(item, dict) else item for item in items]
            items = [item for found in below for item in _as_list(found)]
        return tuple(read(cls, item) for item in items if isinstance(item, dict) and _is_one(cls, item))

    return read_all


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _is_one(cls: type, item: Fields) -> bool:
    """Whether the object has any field of the class."""
    wanted = {_plainly(name) for name in _names(cls)}
    return any(_plainly(name) in wanted for name in item)

"""The registry of the control API's calls, and the fields of their bodies."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..errors import ControlError
from ..workbench import Workbench


class Body:
    """The fields of a request. Reading one of a wrong type raises ControlError."""

    def __init__(self, fields: dict[str, Any]) -> None:
        self.fields = fields

    def text(self, name: str, default: str | None = None) -> str:
        value = self.fields.get(name, default)
        if not isinstance(value, str) or (default is None and not value):
            raise ControlError(f"{name!r} must be a text.")
        return value

    def flag(self, name: str, default: bool = False) -> bool:
        value = self.fields.get(name, default)
        if not isinstance(value, bool):
            raise ControlError(f"{name!r} must be true or false.")
        return value

    def number(self, name: str, default: float | None = None) -> float:
        value = self.fields.get(name, default)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or value < 0:
            raise ControlError(f"{name!r} must be a number, not below 0.")
        return value

    def ids(self, name: str) -> tuple[int, ...] | None:
        value = self.fields.get(name)
        if value is None:
            return None
        if not isinstance(value, list) or not all(isinstance(id, int) and not isinstance(id, bool) for id in value):
            raise ControlError(f"{name!r} must be a list of numbers.")
        return tuple(sorted(set(value)))


Function = Callable[[Workbench, Body], dict[str, Any]]
CALLS: dict[tuple[str, str], Function] = {}


def call(method: str, name: str) -> Callable[[Function], Function]:
    """Answer this call with the decorated function."""

    def register(function: Function) -> Function:
        CALLS[method, name] = function
        return function

    return register

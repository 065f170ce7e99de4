"""A finding: one statement about a platform or its site, how bad it is, why that matters and what to do.

Texts are in the language that was active when the finding was made.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Any


class Level(str, Enum):
    """How bad it is, in rising order. Amber needs a look today, red needs an operator now; unknown was not examined."""

    UNKNOWN = "unknown"
    GREEN = "green"
    AMBER = "amber"
    RED = "red"

    def __str__(self) -> str:
        return self.value


UNKNOWN, GREEN, AMBER, RED = Level

SECONDS, COUNT = "seconds", "count"
Unit = str | tuple[Any, Any]
"""What a value is: seconds, a number of something, or the words for False and for True."""


@dataclass(frozen=True)
class Finding:
    """``page`` names where in the admin to look, such as ``accounts:overdue``."""

    code: str
    level: Level
    message: str
    why: str = ""
    hint: str = ""
    title: str = ""
    value: float | int | bool | None = None
    unit: Unit = COUNT
    page: str = ""

    def __post_init__(self) -> None:
        """Django joins numbers and units of spans by no-break spaces, which grep does not find."""
        object.__setattr__(self, "message", self.message.replace("\xa0", " "))

    @property
    def in_order(self) -> bool:
        return in_order(self.code, self.level, self.value)

    def as_data(self) -> dict[str, Any]:
        return {
            "code": self.code,
            "level": self.level.value,
            "value": self.value,
            "message": self.message,
            "why": self.why,
            "hint": self.hint,
        }


def in_order(code: str, level: str, value: object) -> bool:
    """Green, and a tick may say so: something was measured, and no account waits for its owner."""
    return level == GREEN and value is not None and not (code == "needs_reauthorization" and value)


def worst(levels: Iterable[Level]) -> Level:
    """Green, when there is none."""
    return max(levels, key=list(Level).index, default=GREEN)

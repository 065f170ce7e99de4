"""The registry of health checks: a decorated function in one file of ``checks`` is all that a check consists of.

A check of a platform judges its facts, a check of the site takes no argument; neither calls WeChat. Checks are made
and shown in the order in which they are registered.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Generic, ParamSpec

from django.utils.text import capfirst
from django.utils.translation import pgettext_lazy

from .findings import AMBER, COUNT, GREEN, RED, Finding, Level, Unit

P = ParamSpec("P")

ROWS = {
    "platform": "component",
    "tickets": "verifyticket",
    "pushes": "push",
    "accounts": "authorizer",
    "audit": "auditentry",
}
"""The models whose rows the pages of findings show: staff who may not see those read no more than that something is
wrong."""

ANSWERS = (pgettext_lazy("wechat_open", "no answer"), pgettext_lazy("wechat_open", "answers"))
"""The unit of checks that ask whether a server answers."""


@dataclass(frozen=True)
class Result:
    """What a check has found. ``page`` replaces that of the check."""

    level: Level
    value: float | int | bool | None
    message: str
    hint: str = ""
    page: str = ""


@dataclass(frozen=True)
class Check(Generic[P]):
    """A function that judges, and what is always the same about its findings."""

    code: str
    title: Any
    judge: Callable[P, Result]
    why: Any = ""
    unit: Unit = COUNT
    page: str = "platform"
    of_site: bool = False

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Finding:
        return self.finding(self.judge(*args, **kwargs))

    def finding(self, result: Result) -> Finding:
        return Finding(
            code=self.code,
            level=result.level,
            message=result.message,
            why=str(self.why),
            hint=result.hint,
            title=capfirst(str(self.title)),
            value=result.value,
            unit=self.unit,
            page=result.page or self.page,
        )


CHECKS: dict[str, Check[...]] = {}


def check(code: str, **about: Any) -> Callable[[Callable[P, Result]], Check[P]]:
    """Register a function as the check with this code; ``about`` are the other fields of ``Check``."""

    def register(judge: Callable[P, Result]) -> Check[P]:
        registered = Check(code, judge=judge, **about)
        CHECKS[code] = registered
        return registered

    return register


def title(code: str) -> str:
    """What a finding is about, in the reader's language; an unknown code as it is."""
    return capfirst(str(CHECKS[code].title) if code in CHECKS else code.replace("_", " "))


def rows(code: str) -> str:
    """The model whose rows a finding is about."""
    return ROWS[CHECKS[code].page.partition(":")[0]] if code in CHECKS else "component"


# -- from numbers to levels --------------------------------------------------------------------------------------------

A_FEW = 5
"""A share of the accounts is red from so many on, or from half of all: one of ten accounts is no one percent."""


def by_age(seconds: float, amber: timedelta, red: timedelta) -> Level:
    """Amber or red beyond these ages."""
    return RED if seconds > red.total_seconds() else AMBER if seconds > amber.total_seconds() else GREEN


def by_number(number: float, amber: float, red: float) -> Level:
    """Amber or red from these numbers on."""
    return RED if number >= red else AMBER if number >= amber else GREEN


def is_many(count: int, total: int, share: float) -> bool:
    """A share of all accounts, and not just one or two of a handful."""
    return count >= share * total and (count >= A_FEW or 2 * count >= total)

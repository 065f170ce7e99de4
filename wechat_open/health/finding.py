"""What does a check say?

A finding: green, amber or red; a value; a sentence that says what it means, and one that says what to do. Sentences
are in the language that was active when the check was made.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import Any

from django.utils.formats import get_format, number_format
from django.utils.timesince import timesince
from django.utils.translation import npgettext, npgettext_lazy, pgettext

from ..times import utc_now


class Level(str, Enum):
    """How bad it is. Amber wants a look today, red wants somebody now."""

    GREEN = "green"
    AMBER = "amber"
    RED = "red"

    def __str__(self) -> str:
        return self.value


GREEN, AMBER, RED = Level


@dataclass(frozen=True)
class Finding:
    """What one check found. ``page`` is a word for where in the admin to look, such as ``accounts:overdue``."""

    code: str
    level: Level
    value: float | int | bool | None
    said: str
    remedy: str = ""
    page: str = ""

    @property
    def in_order(self) -> bool:
        """Green, and a tick may say so: something was looked at, and no account waits for its owner."""
        known = self.code == "needs_reauthorization" and bool(self.value)
        return self.level is GREEN and self.value is not None and not known

    def as_data(self) -> dict[str, Any]:
        return {
            "code": self.code,
            "level": self.level.value,
            "value": self.value,
            "said": self.said,
            "remedy": self.remedy,
        }


def worst(levels: Iterable[Level]) -> Level:
    """Green, when there is none."""
    return max(levels, key=list(Level).index, default=GREEN)


UNITS: dict[str, Any] = {
    "year": npgettext_lazy("span", "%(num)d year", "%(num)d years", "num"),
    "month": npgettext_lazy("span", "%(num)d month", "%(num)d months", "num"),
    "week": npgettext_lazy("span", "%(num)d week", "%(num)d weeks", "num"),
    "day": npgettext_lazy("span", "%(num)d day", "%(num)d days", "num"),
    "hour": npgettext_lazy("span", "%(num)d hour", "%(num)d hours", "num"),
    "minute": npgettext_lazy("span", "%(num)d minute", "%(num)d minutes", "num"),
}
"""For ``timesince``: in Chinese Django's own months are dates ("2 月 ago" is "before February")."""


def lasting(seconds: float) -> str:
    """A span in words: to the second below two minutes, then by its two largest units."""
    if seconds < 120:
        whole = max(0, round(seconds))
        return npgettext("wechat_open", "%(count)d second", "%(count)d seconds", whole) % {"count": whole}
    return spoken(timedelta(seconds=seconds)).replace("\xa0", " ")


def spoken(span: timedelta, units: int = 2) -> str:
    """Django's ``timesince`` for a span; in Chinese without a comma between the units."""
    now = utc_now()
    words = timesince(now - span, now, time_strings=UNITS, depth=units)
    return words.replace("，", " ")


def duration(span: timedelta, *, units: int = 2) -> str:
    if span < timedelta(minutes=1):
        seconds = int(span.total_seconds())
        return npgettext("wechat_open", "%d second", "%d seconds", seconds) % seconds
    return spoken(span, units)


def ago(at: datetime) -> str:
    """Roughly: the exact time is beside it, or comes up for who points at it."""
    return pgettext("wechat_open", "%(time)s ago") % {"time": duration(utc_now() - at, units=1)}


def sentences(*said: object) -> str:
    """One after the other. After a Chinese full stop there is no space."""
    return " ".join(filter(None, map(str, said))).replace("。 ", "。")


def grouped(number: float) -> str:
    """With the thousands set apart, as the reader's language does it. Django knows no sign for Chinese: a comma."""
    if not get_format("THOUSAND_SEPARATOR"):
        return f"{number:,}"
    return number_format(number, use_l10n=True, force_grouping=True)

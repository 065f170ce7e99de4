"""Spans, numbers and sentences as a reader's language writes them."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

from django.utils.formats import get_format, number_format
from django.utils.timesince import timesince
from django.utils.translation import npgettext, npgettext_lazy, pgettext

UNITS: dict[str, Any] = {
    "year": npgettext_lazy("span", "%(num)d year", "%(num)d years", "num"),
    "month": npgettext_lazy("span", "%(num)d month", "%(num)d months", "num"),
    "week": npgettext_lazy("span", "%(num)d week", "%(num)d weeks", "num"),
    "day": npgettext_lazy("span", "%(num)d day", "%(num)d days", "num"),
    "hour": npgettext_lazy("span", "%(num)d hour", "%(num)d hours", "num"),
    "minute": npgettext_lazy("span", "%(num)d minute", "%(num)d minutes", "num"),
}
"""For ``timesince``: in Chinese Django's own months are dates ("2 月 ago" is "before February")."""


LONGEST = timedelta(days=365_000)
"""No calendar goes much further back: a longer span is that of a broken clock."""


def duration(span: timedelta | float, *, units: int = 2) -> str:
    """A span, or a number of seconds, by its ``units`` largest units; a span below ``units`` minutes in seconds.

    In Chinese there is no comma between the units.
    """
    span = span if isinstance(span, timedelta) else timedelta(seconds=span)
    if span < timedelta(minutes=units):
        seconds = max(0, round(span.total_seconds()))
        return npgettext("span", "%(num)d second", "%(num)d seconds", seconds) % {"num": seconds}
    now = datetime.now(timezone.utc)
    span = min(span, LONGEST)
    return timesince(now - span, now, time_strings=UNITS, depth=units).replace("，", " ")


def ago(at: datetime) -> str:
    """Roughly; the exact time stands beside it or in its tooltip."""
    return pgettext("wechat_open", "%(time)s ago") % {"time": duration(datetime.now(timezone.utc) - at, units=1)}


def sentences(*texts: object) -> str:
    """One after the other. After a Chinese full stop there is no space."""
    return " ".join(filter(None, map(str, texts))).replace("。 ", "。")


def grouped(number: float) -> str:
    """With the thousands set apart, as the reader's language does it. Django knows no sign for Chinese: a comma."""
    if not get_format("THOUSAND_SEPARATOR"):
        return f"{number:,}"
    return number_format(number, use_l10n=True, force_grouping=True)

"""The charts of the dashboard.

Each chart is one or two panels of bars over the same axis, and can be read as a table as well.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any

from django.utils.formats import date_format, time_format
from django.utils.text import capfirst
from django.utils.translation import gettext as _
from django.utils.translation import pgettext

from ...db.times import site_time
from ...formats import grouped
from ...health.statistics import EXPIRED, LONGER, NO_TOKEN, AccountStatistics
from ...models import Component, HourlyCount

HOURS = 48

Counter = HourlyCount.Counter


@dataclass(frozen=True)
class Panel:
    """Bars of one meaning. Those in ``hatched`` (by place) are failures."""

    label: str
    values: list[int]
    hatched: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class Chart:
    """``exact`` names each bar in full where ``labels`` is short. With ``by_hour``, the last bar still grows."""

    name: str
    title: str
    summary: str
    labels: list[str]
    exact: list[str]
    panels: list[Panel]
    head: str
    by_hour: bool = False

    def rows(self) -> Iterator[tuple[str, list[str]]]:
        """The same numbers as a table; hours with the newest first."""
        rows = [
            (label, [grouped(panel.values[place]) for panel in self.panels]) for place, label in enumerate(self.exact)
        ]
        return reversed(rows) if self.by_hour else iter(rows)

    def as_data(self) -> dict[str, Any]:
        data = asdict(self)
        del data["head"]  # of the table
        return data


def time_left(counted: AccountStatistics) -> Chart:
    """How long the tokens of authorized accounts are still valid."""
    # By the time left; the buckets without a token and beyond the usual life only when they are not empty.
    by_key = {bucket.key: bucket for bucket in counted.left}
    odd = [by_key[key] for key in (LONGER, NO_TOKEN) if by_key[key].count]
    buckets = [bucket for bucket in counted.left if bucket.key not in (LONGER, NO_TOKEN)] + odd
    counts = {bucket.key: grouped(bucket.count) for bucket in buckets}
    labels = [bucket.label for bucket in buckets]
    return Chart(
        name="time-left",
        title=_("Tokens by time left"),
        summary=_(
            "Expired: %(expired)s of %(total)s. Tokens are renewed with 20 to 30 %% of their life left, so less should "
            "be rare."
        )
        % {"expired": counts[EXPIRED], "total": grouped(counted.authorized)},
        labels=labels,
        exact=labels,
        panels=[
            Panel(
                label=pgettext("wechat_open", "Authorized accounts"),
                values=[bucket.count for bucket in buckets],
                hatched=[place for place, bucket in enumerate(buckets) if bucket.key == EXPIRED],
            )
        ],
        head=capfirst(pgettext("wechat_open", "time left")),
    )


def hourly(component: Component) -> list[Chart]:
    """Renewals and pushes of the last two days, and how many of them failed."""
    now = datetime.now(timezone.utc).replace(minute=0, second=0, microsecond=0)
    hours = [now - timedelta(hours=back) for back in reversed(range(HOURS))]
    rows = HourlyCount.objects.filter(component=component, hour__gte=hours[0])
    counts = {(hour, what): count for hour, what, count in rows.values_list("hour", "counter", "count")}

    def panel(what: Counter, *, hatched: bool = False) -> Panel:
        values = [counts.get((hour, what.value), 0) for hour in hours]
        return Panel(capfirst(str(what.label)), values, [*range(HOURS)] if hatched else [])

    renewals = [panel(Counter.RENEWED), panel(Counter.FAILED, hatched=True)]
    pushes = [panel(Counter.PUSHES), panel(Counter.PUSHES_FAILED, hatched=True)]
    return [
        _by_hour(
            "renewals",
            _("Renewals per hour"),
            _("In the last 24 hours: %(well)s renewals, and %(failed)s that failed.") % _last_day(renewals),
            hours,
            renewals,
        ),
        _by_hour(
            "pushes",
            _("Pushes per hour"),
            _("In the last 24 hours: %(well)s pushes; processing failed %(failed)s times.") % _last_day(pushes),
            hours,
            pushes,
        ),
    ]


def _last_day(panels: Sequence[Panel]) -> dict[str, str]:
    well, failed = (grouped(sum(panel.values[-24:])) for panel in panels)
    return {"well": well, "failed": failed}


def _by_hour(name: str, title: str, summary: str, hours: Sequence[datetime], panels: list[Panel]) -> Chart:
    local = [site_time(hour) for hour in hours]
    return Chart(
        name=name,
        title=title,
        summary=summary,
        labels=[_tick(hour) for hour in local],
        exact=[f"{date_format(hour, pgettext('wechat_open', 'M j'))} {time_format(hour, 'H:i')}" for hour in local],
        panels=panels,
        by_hour=True,
        head=pgettext("wechat_open", "Hour from"),
    )


def _tick(hour: datetime) -> str:
    """Below every sixth bar its hour, or the date at midnight."""
    if hour.hour % 6:
        return ""
    return time_format(hour, "H:i") if hour.hour else date_format(hour, pgettext("wechat_open", "M j"))

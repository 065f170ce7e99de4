"""The measures for monitors: the findings of ``health`` and the numbers behind them, for each platform.

No label names an account, so a hundred thousand accounts make as many series as one. ``read`` reads all measures in a
few queries; ``prometheus`` and ``opentelemetry`` export them.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from django.db import Error as DatabaseError
from django.db import connections
from django.db.models import Sum

from .. import health
from ..health import AMBER, GREEN, RED, statistics
from ..models import Component, HourlyCount

logger = logging.getLogger(__name__)

Sample = tuple[tuple[str, ...], float]
"""The values of the labels, and the number."""


@dataclass(frozen=True)
class Measure:
    """A measure. One that ``grows`` is a counter; it is reset at midnight (UTC)."""

    name: str
    words: str
    labels: tuple[str, ...] = ("platform",)
    unit: str = ""
    grows: bool = False


CHECK = Measure(
    "check", "1 for the level that a check of health has, with the platform it is about, or none",
    ("platform", "code", "level"),
)  # fmt: skip
ACCOUNTS = Measure("accounts", "Accounts by state", ("platform", "state"))
BY_ERRCODE = Measure(
    "accounts_by_errcode", "Accounts whose last renewal failed, by WeChat's errcode", ("platform", "errcode")
)
LEFT = Measure(
    "access_tokens",
    "Access tokens by the tenth of their life that is left (0 to 9), or longer, expired, none",
    ("platform", "left"),
)
EVENTS = Measure(
    "events",
    "What happened since midnight (UTC): renewals, failed ones, forced ones, pushes, failed pushes",
    ("platform", "what"),
    grows=True,
)
NUMBERS = {
    "ticket_age_seconds": Measure("ticket_age", "Seconds since the newest verify ticket came", unit="s"),
    "component_token_expires_in": Measure(
        "component_token_left", "Seconds that the component access token has left", unit="s"
    ),
    "overdue": Measure("accounts_overdue", "Accounts whose renewal is overdue"),
    "failing": Measure("accounts_failing", "Accounts whose last renewals failed"),
    "restricted": Measure("accounts_restricted", "Accounts that WeChat has frozen or closed, or whose API it bans"),
    "expired": Measure("accounts_expired", "Accounts whose access token has expired"),
    "refused": Measure("accounts_refused", "Accounts whose refresh token WeChat refuses at present"),
    "pushes_waiting": Measure("pushes_waiting", "Pushes that wait to be processed"),
}
"""By their names in the health report."""

MEASURES = (CHECK, ACCOUNTS, *NUMBERS.values(), BY_ERRCODE, LEFT, EVENTS)


def read(since: datetime) -> dict[Measure, list[Sample]]:
    """Read all measures; counters count from ``since``. Measures that cannot be read or are unknown yet are missing."""
    report = health.report()
    platforms = [found for found in report["components"] if "accounts" in found]
    samples = {CHECK: list(_checks(report)), ACCOUNTS: list(_accounts(platforms))}
    for fact, measure in NUMBERS.items():
        samples[measure] = [((one["alias"],), float(one[fact])) for one in platforms if one.get(fact) is not None]
    try:
        samples |= _counted(_rows(platforms), since)
    except DatabaseError:  # the check of the database reports it too
        logger.exception("The counts for monitors could not be read.")
    return samples


def today() -> datetime:
    """Midnight (UTC), for ``read``. The sum of all stored hours would shrink whenever an old one is pruned, which looks
    like a restart at a large number.
    """
    return datetime.now(timezone.utc).replace(hour=0, minute=0, second=0, microsecond=0)


def close_old_connections() -> None:
    """Close connections that are too old, in threads that serve no request."""
    for connection in connections.all(initialized_only=True):
        if not connection.in_atomic_block:
            connection.close_if_unusable_or_obsolete()


def _checks(report: Mapping[str, Any]) -> Iterator[Sample]:
    """One series for each level, so that an alert reads ``wechat_open_check{level="red"} == 1``."""
    site = [("", check) for check in report["checks"]]
    common = {check["code"] for _platform, check in site}
    own = [
        (found["alias"], check)
        for found in report["components"]
        for check in found["checks"]
        if check["code"] not in common or "accounts" not in found
    ]
    for platform, check in [*site, *own]:
        for level in (GREEN, AMBER, RED):
            yield (platform, check["code"], level.value), int(check["level"] == level.value)


def _accounts(platforms: Sequence[Mapping[str, Any]]) -> Iterator[Sample]:
    for found in platforms:
        for state, count in found["accounts"].items():
            yield (found["alias"], state), count


def _rows(platforms: Sequence[Mapping[str, Any]]) -> dict[str, Component]:
    """The platforms' rows by alias."""
    rows = {row.appid: row for row in Component.objects.filter(appid__in=[found["appid"] for found in platforms])}
    return {found["alias"]: rows[found["appid"]] for found in platforms if found["appid"] in rows}


def _counted(rows: Mapping[str, Component], since: datetime) -> dict[Measure, list[Sample]]:
    counts = {alias: statistics.read(row) for alias, row in rows.items()}
    hours = HourlyCount.objects.filter(component__in=list(rows.values()), hour__gte=since).order_by()
    events = {
        (component, what): count
        for component, what, count in hours.values_list("component", "counter").annotate(Sum("count"))
    }
    return {
        BY_ERRCODE: [
            ((alias, str(code)), number) for alias, found in counts.items() for code, number in found.errcodes.items()
        ],
        LEFT: [((alias, bucket.key), bucket.count) for alias, found in counts.items() for bucket in found.left],
        EVENTS: [
            ((alias, what.value), events.get((row.pk, what.value), 0))
            for alias, row in rows.items()
            for what in HourlyCount.Counter
        ],
    }

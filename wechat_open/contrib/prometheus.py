"""What does Prometheus scrape?

The findings of ``health`` and the numbers behind them, for each platform. No label names an account, so a hundred
thousand of them make as many series as one. Include the view, which wants the bearer token of ``HEALTH_TOKEN`` as
``health/`` does::

    from wechat_open.contrib.prometheus import metrics

    path("wechat/metrics/", metrics)

or, in a site that exports metrics already, register the collector in the process that answers the scrape::

    from prometheus_client import REGISTRY
    from wechat_open.contrib.prometheus import Collector

    REGISTRY.register(Collector())

It needs the extra: ``pip install django-wechat-open[prometheus]``. Each scrape reads everything anew, in a few queries.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

from django.db import DatabaseError
from django.db.models import Sum
from django.http import HttpRequest, HttpResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector as BaseCollector

from .. import __version__, census, health
from ..exceptions import ConfigurationError
from ..health import Level
from ..models import Component, HourlyCount
from ..views.doors import without_login
from ..views.health import refusal_of

logger = logging.getLogger(__name__)

NUMBERS = {
    "ticket_age_seconds": "Seconds since the newest verify ticket came",
    "component_token_expires_in": "Seconds that the component access token has left",
    "overdue": "Accounts whose renewal is overdue",
    "expired": "Accounts whose access token has expired",
    "refused": "Accounts whose refresh token WeChat refuses at present",
    "pushes_waiting": "Pushes that wait to be processed",
}
"""Facts of the report, and what Prometheus says about them."""

NAMES = {
    "component_token_expires_in": "component_token_left_seconds",
    "overdue": "accounts_overdue",
    "expired": "accounts_expired",
    "refused": "accounts_refused",
}


@without_login
@require_safe
@never_cache
def metrics(request: HttpRequest) -> HttpResponse:
    """For who shows the bearer token of the settings, or has a staff session."""
    try:
        refusal = refusal_of(request)
    except (DatabaseError, ConfigurationError):
        logger.exception("Who asks for metrics could not be found out.")
        return HttpResponse("unavailable", status=503, content_type="text/plain")
    if refusal:
        headers = {"WWW-Authenticate": 'Bearer realm="wechat_open"'} if refusal == 401 else {}
        return HttpResponse("not allowed", status=refusal, headers=headers, content_type="text/plain")
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Collector())
    encode, content_type = choose_encoder(request.headers.get("Accept", ""))
    return HttpResponse(encode(registry), content_type=content_type)


class Collector(BaseCollector):
    """All metrics, read anew for each scrape."""

    def describe(self) -> Iterable[Metric]:
        """Nothing: a registry that asks at start-up shall not need a database."""
        return []

    def collect(self) -> Iterator[Metric]:
        report = health.report()
        yield _family("wechat_open_info", "The version of wechat_open", ["version"], [([__version__], 1)])
        yield _checks(report)
        platforms = [found for found in report["components"] if "accounts" in found]
        yield _accounts(platforms)
        yield from (_number(name, words, platforms) for name, words in NUMBERS.items())
        try:
            yield from _counted(_rows(platforms))
        except DatabaseError:  # the check of the database says so as well
            logger.exception("The counts for Prometheus could not be read.")


def _checks(report: Mapping[str, Any]) -> Metric:
    """One series for each level, so that an alert reads ``wechat_open_check{level="red"} == 1``."""
    site = [("", check) for check in report["checks"]]
    common = {check["code"] for _platform, check in site}
    own = [
        (found["alias"], check)
        for found in report["components"]
        for check in found["checks"]
        if check["code"] not in common or "accounts" not in found
    ]
    return _family(
        "wechat_open_check",
        "1 for the level that a check of health has, with the platform it is about, or none",
        ["platform", "code", "level"],
        [
            ([platform, check["code"], level.value], int(check["level"] == level.value))
            for platform, check in [*site, *own]
            for level in Level
        ],
    )


def _accounts(platforms: Sequence[Mapping[str, Any]]) -> Metric:
    return _family(
        "wechat_open_accounts",
        "Accounts by state",
        ["platform", "state"],
        [([found["alias"], state], count) for found in platforms for state, count in found["accounts"].items()],
    )


def _number(name: str, words: str, platforms: Sequence[Mapping[str, Any]]) -> Metric:
    """One of the report's numbers; a platform for which nothing is known yet has no sample."""
    known = [([found["alias"]], float(found[name])) for found in platforms if found.get(name) is not None]
    return _family(f"wechat_open_{NAMES.get(name, name)}", words, ["platform"], known)


def _rows(platforms: Sequence[Mapping[str, Any]]) -> dict[str, Component]:
    """The platforms' rows by alias."""
    rows = {row.appid: row for row in Component.objects.filter(appid__in=[found["appid"] for found in platforms])}
    return {found["alias"]: rows[found["appid"]] for found in platforms if found["appid"] in rows}


def _counted(rows: Mapping[str, Component]) -> Iterator[Metric]:
    counts = {alias: census.read(row) for alias, row in rows.items()}
    yield _family(
        "wechat_open_accounts_by_errcode",
        "Accounts whose last renewal failed, by WeChat's errcode",
        ["platform", "errcode"],
        [([alias, str(code)], number) for alias, found in counts.items() for code, number in found.errcodes.items()],
    )
    yield _family(
        "wechat_open_access_tokens",
        "Access tokens by the tenth of their life that is left (0 to 9), or longer, expired, none",
        ["platform", "left"],
        [([alias, bucket.key], bucket.count) for alias, found in counts.items() for bucket in found.left],
    )
    yield _events(rows)


def _events(rows: Mapping[str, Component]) -> Metric:
    """Counters that start anew at midnight (UTC), which Prometheus takes for a restart and counts on.

    The sum of all hours that are kept would shrink whenever an old one is pruned, and that would look like a restart at
    a large number.
    """
    today = datetime.now(timezone.utc).replace(hour=0, minute=0, second=0, microsecond=0)
    hours = HourlyCount.objects.filter(component__in=list(rows.values()), hour__gte=today).order_by()
    counted = {
        (component, what): count
        for component, what, count in hours.values_list("component", "what").annotate(Sum("count"))
    }
    family = CounterMetricFamily(
        "wechat_open_events",
        "What happened since midnight (UTC): renewals, failed ones, forced ones, pushes, failed pushes",
        labels=["platform", "what"],
        created=None,
    )
    for alias, row in rows.items():
        for what in HourlyCount.What:
            family.add_metric([alias, what.value], counted.get((row.pk, what.value), 0), created=today.timestamp())
    return family


def _family(name: str, words: str, labels: Sequence[str], samples: Iterable[tuple[Sequence[str], float]]) -> Metric:
    family = GaugeMetricFamily(name, words, labels=labels)
    for values, number in samples:
        family.add_metric(values, number)
    return family

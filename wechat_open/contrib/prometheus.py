"""The measures for Prometheus: the findings of ``health`` and the numbers behind them, for each platform.

No label names an account, so a hundred thousand accounts make as many series as one. Include the view, which needs the
bearer token of ``HEALTH_TOKEN`` as ``health/`` does::

    from wechat_open.contrib.prometheus import metrics

    path("wechat/metrics/", metrics)

or, in a site that exports metrics already, register the collector in the process that answers the scrape::

    from prometheus_client import REGISTRY
    from wechat_open.contrib.prometheus import Collector

    REGISTRY.register(Collector())

It needs the extra: ``pip install django-wechat-open[prometheus]``. Each scrape reads all measures, in a few queries.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from datetime import datetime

from django.db import Error as DatabaseError
from django.http import HttpRequest, HttpResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector as BaseCollector

from .. import __version__
from ..exceptions import ConfigurationError
from ..views.exemptions import without_login
from ..views.health import may_see_all, refusal_of
from . import measures
from .measures import Measure, Sample

__all__ = ["Collector", "metrics"]

logger = logging.getLogger(__name__)


@without_login
@require_safe
@never_cache
def metrics(request: HttpRequest) -> HttpResponse:
    """All metrics, for requests with the bearer token of the settings, or of staff who may see the full report."""
    try:
        refusal = refusal_of(request)
        if not refusal and not may_see_all(request):
            refusal = 403
    except (DatabaseError, ConfigurationError):
        logger.exception("The permission to read metrics could not be checked.")
        return HttpResponse("unavailable", status=503, content_type="text/plain")
    if refusal:
        headers = {"WWW-Authenticate": 'Bearer realm="wechat_open"'} if refusal == 401 else {}
        return HttpResponse("not allowed", status=refusal, headers=headers, content_type="text/plain")
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Collector())
    encode, content_type = choose_encoder(request.headers.get("Accept", ""))
    return HttpResponse(encode(registry), content_type=content_type)


class Collector(BaseCollector):
    """All metrics, read for each scrape."""

    def describe(self) -> Iterable[Metric]:
        """Describes no metric, so that registering needs no database."""
        return []

    def collect(self) -> Iterator[Metric]:
        info = GaugeMetricFamily("wechat_open_info", "The version of wechat_open", labels=["version"])
        info.add_metric([__version__], 1)
        yield info
        since = measures.today()
        for measure, samples in measures.read(since).items():
            yield _family(measure, samples, since)


def _family(measure: Measure, samples: Iterable[Sample], since: datetime) -> Metric:
    """A metric. Counters are reset at midnight, which Prometheus takes for a restart."""
    name = f"wechat_open_{measure.name}" + ("_seconds" if measure.unit == "s" else "")
    if not measure.grows:
        gauge = GaugeMetricFamily(name, measure.words, labels=measure.labels)
        for labels, number in samples:
            gauge.add_metric(labels, number)
        return gauge
    counter = CounterMetricFamily(name, measure.words, labels=measure.labels, created=None)
    for labels, number in samples:
        counter.add_metric(labels, number, created=since.timestamp())
    return counter

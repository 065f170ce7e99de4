"""The measures for OpenTelemetry, and spans without secrets.

The measures are observable gauges and a counter on the site's own MeterProvider::

    from wechat_open.contrib import opentelemetry

    opentelemetry.observe()          # on the global provider; or observe(provider)

Call it in one process of the site, because each process would report the same numbers. Celery's beat is a good one::

    from celery.signals import beat_init

    @beat_init.connect
    def measure(**_):
        opentelemetry.observe()

Tracing exports the URLs of all calls, and WeChat's API has the access token in the URL. A wrapped exporter gets none::

    provider.add_span_processor(BatchSpanProcessor(opentelemetry.without_secrets(OTLPSpanExporter())))

Spans can be set up before Django, as in ``manage.py`` or ``wsgi.py``; measures need Django's models.
It needs the extra, ``pip install django-wechat-open[opentelemetry]``, and an SDK with an exporter of the site's choice.
All measures are read once for each collection, in a few queries, in the thread that collects.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from opentelemetry.metrics import CallbackOptions, MeterProvider, Observation, get_meter

from .. import __version__
from .scrubbing import scrubbed, scrubbed_text

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

    from .measures import Measure, Sample

__all__ = ["observe", "without_secrets"]

FRESH = 5.0
"""Seconds for which one reading is used: a collection calls back for each measure separately."""


def observe(meter_provider: MeterProvider | None = None) -> None:
    """Observe all measures in this process from now on."""
    from .measures import MEASURES

    meter = get_meter("wechat_open", __version__, meter_provider)
    reading = _Reading(MEASURES)
    for measure in MEASURES:
        create = meter.create_observable_counter if measure.grows else meter.create_observable_gauge
        callback = partial(reading.observations, measure)
        create(f"wechat_open.{measure.name}", [callback], unit=measure.unit, description=measure.words)


class _Reading:
    """The last reading. Collections may overlap."""

    def __init__(self, measures: Sequence[Measure]) -> None:
        self._lock = threading.Lock()
        self._stale_at = float("-inf")
        self._samples: dict[Measure, list[Sample]] = {}
        self._growth = {measure: _Growth() for measure in measures if measure.grows}

    def observations(self, measure: Measure, options: CallbackOptions) -> Iterator[Observation]:
        with self._lock:
            if time.monotonic() >= self._stale_at:
                self._samples = {}
                try:
                    self._samples = self._read()
                finally:  # after a failure, not again for the next measure
                    self._stale_at = time.monotonic() + FRESH
            samples = self._samples.get(measure, [])
        for labels, number in samples:
            yield Observation(number, dict(zip(measure.labels, labels, strict=True)))

    def _read(self) -> dict[Measure, list[Sample]]:
        from . import measures

        since = measures.today()
        measures.close_old_connections()
        try:
            found = measures.read(since)
        finally:
            measures.close_old_connections()
        for measure, growth in self._growth.items():
            found[measure] = [(labels, growth.add(since, labels, count)) for labels, count in found.get(measure, [])]
        return found


class _Growth:
    """A count that never shrinks, from counts that are reset each day: what was added since this process started."""

    def __init__(self) -> None:
        self._last: dict[tuple[str, ...], tuple[datetime, float]] = {}
        self._total: dict[tuple[str, ...], float] = {}

    def add(self, since: datetime, labels: tuple[str, ...], count: float) -> float:
        day, before = self._last.get(labels, (since, count))
        self._last[labels] = since, count
        self._total[labels] = self._total.get(labels, 0) + (count - before if day == since else count)
        return self._total[labels]


def without_secrets(exporter: SpanExporter) -> SpanExporter:
    """An exporter that removes secrets from names, attributes, events, links and status, and calls the given one."""
    return _Scrubbing(exporter)  # type: ignore[return-value]  # only sites with spans import the SDK


class _Scrubbing:
    """An exporter that wraps another one. It makes new spans, because an ended one cannot be changed."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        return self._exporter.export([_scrubbed_span(span) for span in spans])

    def shutdown(self) -> None:
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self._exporter.force_flush(timeout_millis)


def _scrubbed_span(span: ReadableSpan) -> ReadableSpan:
    from opentelemetry.sdk.trace import Event, ReadableSpan
    from opentelemetry.trace import Link
    from opentelemetry.trace.status import Status

    words = span.status.description
    return ReadableSpan(
        name=scrubbed_text(span.name),
        context=span.context,
        parent=span.parent,
        resource=span.resource,
        attributes=_attributes(span.attributes),
        events=[Event(event.name, _attributes(event.attributes), event.timestamp) for event in span.events],
        links=[Link(link.context, _attributes(link.attributes)) for link in span.links],
        kind=span.kind,
        status=Status(span.status.status_code, words and scrubbed_text(words)),
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )


def _attributes(given: Any) -> dict[str, Any]:
    return {name: scrubbed(value, name) for name, value in (given or {}).items()}

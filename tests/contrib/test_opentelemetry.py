"""OpenTelemetry gets the measures of Prometheus, and each collection reads once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from django.db import OperationalError, connection
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader, Sum
from prometheus_client import CollectorRegistry
from pytest_django import DjangoAssertNumQueries

from wechat_open import __version__, audit, health, tokens
from wechat_open.contrib import measures, opentelemetry
from wechat_open.contrib.opentelemetry import FRESH
from wechat_open.contrib.prometheus import Collector
from wechat_open.health import statistics
from wechat_open.health.checks import site as site_checks
from wechat_open.models import Authorizer, Component, HourlyCount
from wechat_open.platforms import Platform

Values = dict[tuple[str, ...], float]


@pytest.fixture
def reader() -> Iterator[InMemoryMetricReader]:
    """What the site's exporter would be, with our measures on its provider."""
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader])
    opentelemetry.observe(provider)
    yield reader
    provider.shutdown()


@pytest.fixture
def site(platform: Platform, account: Authorizer) -> Platform:
    tokens.run_due(platform)
    tokens.reconcile(platform)
    statistics.record_beat(platform)
    return platform


@pytest.fixture
def pause(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """The next collection reads again."""
    really, ahead = time.monotonic, 0.0

    def move() -> None:
        nonlocal ahead
        ahead += FRESH

    monkeypatch.setattr(time, "monotonic", lambda: really() + ahead)
    return move


def collected(reader: InMemoryMetricReader) -> Values:
    """Name and the values of the attributes in the order of their names -> number."""
    found = reader.get_metrics_data()
    assert found is not None
    (scope,) = found.resource_metrics[0].scope_metrics
    assert (scope.scope.name, scope.scope.version) == ("wechat_open", __version__)
    return {
        (metric.name, *(str(value) for _name, value in sorted(dict(point.attributes or {}).items()))): point.value
        for metric in scope.metrics
        for point in metric.data.data_points
    }


def test_state__is_exported(reader: InMemoryMetricReader, site: Platform) -> None:
    measures = collected(reader)
    assert measures["wechat_open.accounts", "default", "authorized"] == 1
    assert measures["wechat_open.check", "renewals", "green", "default"] == 1
    assert measures["wechat_open.check", "database", "red", ""] == 0
    assert 0 <= measures["wechat_open.ticket_age", "default"] < 60


def test_prometheus__gets_the_same(reader: InMemoryMetricReader, site: Platform) -> None:
    """By the name that OpenTelemetry's exporters make of ours. Their counter begins at zero."""
    registry = CollectorRegistry()
    registry.register(Collector())
    there = {
        (sample.name.removesuffix("_seconds"), *(value for _name, value in sorted(sample.labels.items()))): sample.value
        for family in registry.collect()
        for sample in family.samples
        if family.name not in ("wechat_open_info", "wechat_open_events")
    }
    here = {(name.replace(".", "_"), *labels): value for (name, *labels), value in collected(reader).items()}
    counted = {key for key in here if key[0] == "wechat_open_events"}
    assert here.keys() - counted == there.keys()
    for key, value in there.items():
        assert here[key] == pytest.approx(value, abs=10 if key[0].endswith(("age", "left")) else 0)


def test_ages__have_a_unit(reader: InMemoryMetricReader, site: Platform) -> None:
    found = reader.get_metrics_data()
    assert found is not None
    units = {metric.name: metric.unit for metric in found.resource_metrics[0].scope_metrics[0].metrics}
    assert {name for name, unit in units.items() if unit == "s"} == {
        "wechat_open.ticket_age",
        "wechat_open.component_token_left",
    }


def test_what_happens__is_counted_from_the_beginning_of_the_process(
    reader: InMemoryMetricReader, site: Platform, pause: Callable[[], None]
) -> None:
    renewed = "wechat_open.events", "default", "renewed"
    assert collected(reader)[renewed] == 0
    audit.increment(audit.Counter.RENEWED, site.row, 5)
    midnight = measures.today()
    HourlyCount.objects.create(component=site.row, hour=midnight - timedelta(hours=1), counter="renewed", count=1000)
    pause()
    assert collected(reader)[renewed] == 5

    found = reader.get_metrics_data()
    assert found is not None
    (events,) = [metric for metric in found.resource_metrics[0].scope_metrics[0].metrics if metric.name == renewed[0]]
    assert isinstance(events.data, Sum) and events.data.is_monotonic


def test_midnight__takes_nothing_away() -> None:
    growth = opentelemetry._Growth()
    monday = datetime(2026, 11, 23, tzinfo=timezone.utc)
    tuesday = monday + timedelta(days=1)
    counts = [(monday, 100), (monday, 103), (tuesday, 1), (tuesday, 1), (tuesday, 4)]
    assert [growth.add(day, ("default", "renewed"), count) for day, count in counts] == [0, 3, 4, 4, 7]
    assert growth.add(tuesday, ("default", "failed"), 9) == 0


def test_accounts__make_no_series(reader: InMemoryMetricReader, site: Platform, pause: Callable[[], None]) -> None:
    before = collected(reader)
    Authorizer.objects.bulk_create(Authorizer(component=site.row, appid=f"wx{number:016}") for number in range(50))
    pause()
    after = collected(reader)
    assert after.keys() == before.keys()
    assert after["wechat_open.accounts", "default", "authorized"] == 51


def test_no_appid_and_no_secret__is_exported(reader: InMemoryMetricReader, site: Platform) -> None:
    row = Authorizer.objects.select_related("component").get()
    text = str(reader.get_metrics_data())
    for secret in (row.appid, row.component.appid, row.reveal("refresh_token").reveal(), "v1."):
        assert secret not in text


def test_collection__reads_once(
    reader: InMemoryMetricReader, site: Platform, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    with django_assert_max_num_queries(16):
        collected(reader)
    with django_assert_max_num_queries(0):
        collected(reader)


def test_database_that_is_down__is_a_measure(
    reader: InMemoryMetricReader, site: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    down = replace(health.CHECKS["database"], judge=lambda: site_checks.without_database(OperationalError("down")))
    monkeypatch.setitem(health.CHECKS, "database", down)
    measures = collected(reader)
    assert measures["wechat_open.check", "database", "red", ""] == 1
    assert ("wechat_open.accounts", "default", "authorized") not in measures


def test_registration__needs_no_database() -> None:
    """No ``db`` fixture: a query would fail."""
    opentelemetry.observe(MeterProvider())


def test_red__is_exported(reader: InMemoryMetricReader, site: Platform) -> None:
    Component.objects.update(heartbeat_at=datetime.now(timezone.utc) - timedelta(hours=1))
    assert collected(reader)["wechat_open.check", "renewals", "red", "default"] == 1


@pytest.mark.django_db(transaction=True)
def test_thread_that_collects__keeps_no_connection(reader: InMemoryMetricReader, site: Platform) -> None:
    seen: list[Any] = []

    def work() -> None:
        seen.append(collected(reader)["wechat_open.accounts", "default", "authorized"])
        seen.append(connection.connection)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [1, None]

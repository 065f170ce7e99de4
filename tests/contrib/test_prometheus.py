"""Prometheus gets all measures, and nothing that names an account or a secret."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.db import OperationalError
from django.test import Client
from django.urls import include, path
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families
from pytest_django import DjangoAssertNumQueries

from wechat_open import audit, health, tokens
from wechat_open.contrib import measures
from wechat_open.contrib.prometheus import Collector, metrics
from wechat_open.health import statistics
from wechat_open.health.checks import site as site_checks
from wechat_open.models import Authorizer, Component, HourlyCount
from wechat_open.platforms import Platform

TOKEN = "monitors-token-0123456789-abcdef"

urlpatterns = [path("wechat/metrics/", metrics), path("wechat/", include("wechat_open.urls"))]


@pytest.fixture
def site(settings: Any, platform: Platform, account: Authorizer) -> Platform:
    settings.ROOT_URLCONF = __name__
    settings.WECHAT_OPEN = {**settings.WECHAT_OPEN, "HEALTH_TOKEN": TOKEN}
    tokens.run_due(platform)
    tokens.reconcile(platform)
    statistics.record_beat(platform)
    return platform


def scrape(client: Client, **headers: str) -> Any:
    return client.get("/wechat/metrics/", headers={"authorization": f"Bearer {TOKEN}", **headers})


ORDER = ["platform", "code", "level", "state", "errcode", "left", "what", "version"]


def samples(client: Client) -> dict[tuple[str, ...], float]:
    """Name and label values, in our order -> value, read with Prometheus's own parser."""
    answer = scrape(client)
    assert answer.status_code == 200
    return {
        (sample.name, *(sample.labels[label] for label in sorted(sample.labels, key=ORDER.index))): sample.value
        for family in text_string_to_metric_families(answer.content.decode())
        for sample in family.samples
    }


# The measures


def test_state__is_exported(client: Client, site: Platform) -> None:
    metrics = samples(client)
    assert metrics["wechat_open_accounts", "default", "authorized"] == 1
    assert metrics["wechat_open_accounts", "default", "needs_reauthorization"] == 0
    assert metrics["wechat_open_check", "default", "renewals", "green"] == 1
    assert metrics["wechat_open_check", "default", "renewals", "red"] == 0
    assert metrics["wechat_open_check", "", "database", "green"] == 1
    assert 0 <= metrics["wechat_open_ticket_age_seconds", "default"] < 60
    assert 7000 < metrics["wechat_open_component_token_left_seconds", "default"] <= 7200
    assert metrics["wechat_open_accounts_overdue", "default"] == 0
    assert metrics["wechat_open_access_tokens", "default", "9"] == 1
    assert sum(value for key, value in metrics.items() if key[0] == "wechat_open_access_tokens") == 1


def test_each_check__has_exactly_one_level(client: Client, site: Platform) -> None:
    by_check: dict[tuple[str, str], float] = {}
    for (name, *labels), value in samples(client).items():
        if name == "wechat_open_check":
            by_check[labels[0], labels[1]] = by_check.get((labels[0], labels[1]), 0) + value
    assert len(by_check) > 15
    assert set(by_check.values()) == {1}


def test_red__is_exported(client: Client, site: Platform) -> None:
    long_ago = datetime.now(timezone.utc) - timedelta(hours=1)
    Component.objects.update(heartbeat_at=long_ago)
    Authorizer.objects.update(next_action_at=long_ago, access_token_expires_at=long_ago, failures=3, last_errcode=61023)
    metrics = samples(client)
    assert metrics["wechat_open_check", "default", "renewals", "red"] == 1
    assert metrics["wechat_open_check", "default", "overdue", "red"] == 1
    assert metrics["wechat_open_accounts_overdue", "default"] == 1
    assert metrics["wechat_open_accounts_expired", "default"] == 1
    assert metrics["wechat_open_accounts_by_errcode", "default", "61023"] == 1
    assert metrics["wechat_open_access_tokens", "default", "expired"] == 1


def test_platform_without_a_ticket__has_no_age(client: Client, site: Platform) -> None:
    site.row.tickets.all().delete()
    assert ("wechat_open_ticket_age_seconds", "default") not in samples(client)


def test_what_happened__is_counted_up_within_a_day(client: Client, site: Platform) -> None:
    renewed = "wechat_open_events_total", "default", "renewed"
    before = samples(client)[renewed]
    audit.increment(audit.Counter.RENEWED, site.row, 5)
    assert samples(client)[renewed] == before + 5

    midnight = datetime.now(timezone.utc).replace(hour=0, minute=0, second=0, microsecond=0)
    HourlyCount.objects.create(component=site.row, hour=midnight - timedelta(hours=1), counter="renewed", count=1000)
    assert samples(client)[renewed] == before + 5
    assert samples(client)["wechat_open_events_total", "default", "pushes_failed"] == 0


def test_accounts__make_no_series(client: Client, site: Platform) -> None:
    before = set(samples(client))
    Authorizer.objects.bulk_create(Authorizer(component=site.row, appid=f"wx{number:016}") for number in range(50))
    assert set(samples(client)) == before


def test_no_appid_and_no_secret__is_exported(client: Client, site: Platform, account: Authorizer) -> None:
    row = Authorizer.objects.select_related("component").get()
    text = scrape(client).content.decode()
    for secret in (row.appid, row.component.appid, TOKEN, row.reveal("refresh_token").reveal(), "v1."):
        assert secret not in text.replace("# HELP", "")


def test_queries__do_not_grow(
    client: Client, site: Platform, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    with django_assert_max_num_queries(16):
        scrape(client)


def test_database_that_is_down__is_a_metric(client: Client, site: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: Any) -> Any:
        raise OperationalError("down")

    down = replace(health.CHECKS["database"], judge=lambda: site_checks.without_database(OperationalError("down")))
    monkeypatch.setitem(health.CHECKS, "database", down)
    monkeypatch.setattr(measures, "_counted", fail)
    metrics = samples(client)
    assert metrics["wechat_open_check", "", "database", "red"] == 1
    assert ("wechat_open_accounts", "default", "authorized") not in metrics


def test_openmetrics__for_clients_that_prefer_it(client: Client, site: Platform) -> None:
    answer = scrape(client, accept="application/openmetrics-text; version=1.0.0")
    assert answer.headers["Content-Type"].startswith("application/openmetrics-text")
    assert answer.content.endswith(b"# EOF\n")


def test_registry_of_the_site__takes_the_collector_without_a_database() -> None:
    """No ``db`` fixture: a query would fail."""
    registry = CollectorRegistry(auto_describe=True)
    registry.register(Collector())


@pytest.mark.django_db
def test_registry_of_the_site__gets_the_metrics(site: Platform) -> None:
    registry = CollectorRegistry()
    registry.register(Collector())
    assert registry.get_sample_value("wechat_open_accounts", {"platform": "default", "state": "authorized"}) == 1


# Access


def test_without_a_token__nothing(client: Client, site: Platform) -> None:
    answer = client.get("/wechat/metrics/")
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert b"wechat_open_" not in answer.content


def test_wrong_token__nothing(client: Client, site: Platform) -> None:
    assert client.get("/wechat/metrics/", headers={"authorization": "Bearer nope"}).status_code == 403


def test_staff__may_look_with_the_permissions_to_view_what_is_counted(client: Client, site: Platform) -> None:
    staff = User.objects.create_user("staff", is_staff=True)
    client.force_login(staff)
    assert client.get("/wechat/metrics/").status_code == 403

    staff.user_permissions.set(Permission.objects.filter(codename__startswith="view_"))
    assert client.get("/wechat/metrics/").status_code == 200


def test_customer__may_not(client: Client, site: Platform) -> None:
    client.force_login(User.objects.create_user("customer"))
    assert client.get("/wechat/metrics/").status_code == 403


def test_answer__is_not_cached_and_post_is_refused(client: Client, site: Platform) -> None:
    assert "no-cache" in scrape(client).headers["Cache-Control"]
    assert client.post("/wechat/metrics/", headers={"authorization": f"Bearer {TOKEN}"}).status_code == 405

"""django-health-check's view shows the health of a platform."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.test import RequestFactory
from django.utils import timezone
from django.utils.translation import override
from health_check.exceptions import ServiceUnavailable, ServiceWarning
from health_check.views import HealthCheckView

from wechat_open import platforms, tokens
from wechat_open.contrib.health_check import WeChatOpen
from wechat_open.health import statistics
from wechat_open.models import Authorizer, Component
from wechat_open.platforms import Platform

CHECK = "wechat_open.contrib.health_check.WeChatOpen"


@pytest.fixture(autouse=True)
def _english() -> Iterator[None]:
    with override("en"):
        yield


@pytest.fixture
def well(platform: Platform, account: Authorizer) -> Platform:
    """A platform in good order."""
    tokens.run_due(platform)
    tokens.reconcile(platform)
    statistics.record_beat(platform)
    Component.objects.update(reconcile_repairs=0)
    return platform


def late(**columns: float) -> None:
    Component.objects.update(**{name: timezone.now() - timedelta(seconds=age) for name, age in columns.items()})


def test_platform_in_order__passes(well: Platform) -> None:
    WeChatOpen(strict=True).run()


def test_red__fails_with_the_codes_and_nothing_more(well: Platform) -> None:
    late(beat_at=3600, heartbeat_at=3600)
    with pytest.raises(ServiceUnavailable) as caught:
        WeChatOpen().run()
    assert sorted(caught.value.message.split(", ")) == ["beat", "renewals"]


def test_detailed__has_the_messages(well: Platform) -> None:
    late(beat_at=3600, heartbeat_at=3600)
    with pytest.raises(ServiceUnavailable) as caught:
        WeChatOpen(detailed=True).run()
    assert "No worker has checked for due tokens for 1 hour" in caught.value.message
    assert "Start a worker" in caught.value.message


def test_amber__fails_only_when_that_is_wanted(well: Platform) -> None:
    late(heartbeat_at=60)
    WeChatOpen().run()
    with pytest.raises(ServiceWarning) as caught:
        WeChatOpen(strict=True).run()
    assert caught.value.message == "renewals"


def test_settings_that_cannot_be_used__fail(db: None) -> None:
    with pytest.raises(ServiceUnavailable, match="settings of this platform"):
        WeChatOpen(component="nope").run()


def ask(checks: list[Any], format: str) -> Any:
    view = HealthCheckView.as_view(checks=checks)
    return asyncio.run(view(RequestFactory().get("/", {"format": format})))


@pytest.mark.django_db(transaction=True)
def test_view__shows_it_in_its_formats(well: Platform) -> None:
    answer = ask([CHECK], "json")
    assert answer.status_code == 200
    assert json.loads(answer.content) == {"WeChatOpen(component='default')": "OK"}
    metrics = ask([CHECK], "openmetrics").content.decode()
    assert 'django_health_check_status{check="WeChatOpen",component="default"} 1' in metrics

    late(heartbeat_at=3600)
    answer = ask([(CHECK, {"component": "default"})], "json")
    assert answer.status_code == 500
    assert json.loads(answer.content) == {"WeChatOpen(component='default')": "Unavailable: renewals"}


def test_platform__is_the_default_one_unless_named() -> None:
    assert WeChatOpen().labels == {"check": "WeChatOpen", "component": "default"}
    assert WeChatOpen(component="second").labels["component"] == "second"
    assert platforms.get().alias == "default"

"""All lists say what they show, and stand any address."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from tests.admin.staff import rows
from tests.console import pages
from wechat_open.health import statistics
from wechat_open.models import AuditEntry, Authorizer, Component
from wechat_open.platforms import Platform

FIRST_LOOK = "supports_json_field"
"""What Django asks SQLite once for each connection, and believes for as long as that lives."""

FILTERS = [
    "q",
    "appid",
    "state",
    "state__exact",
    "kind__exact",
    "info_type__exact",
    "errcode",
    "holds",
    "actor",
    "o",
    "p",
]

pytestmark = pytest.mark.django_db


def lists() -> list[str]:
    """The address of each of our lists."""
    return [reverse(f"admin:wechat_open_{model._meta.model_name}_changelist") for model in pages.lists()]


@pytest.mark.usefixtures("tea")
def test_list__is_shown_on_a_connection_that_was_locked_when_django_looked_what_it_can_do(
    admin_client: Client,
) -> None:
    """On SQLite; what others can do is known by their version."""

    def locked(*args: Any) -> None:
        raise OperationalError("database is locked")

    vars(connection.features).pop(FIRST_LOOK, None)
    with connection.execute_wrapper(locked):
        assert connection.features.supports_json_field == (connection.vendor != "sqlite")
    try:
        statuses = {path: admin_client.get(path).status_code for path in lists()}
    finally:
        vars(connection.features).pop(FIRST_LOOK, None)
    assert statuses == dict.fromkeys(lists(), 200)


@pytest.mark.parametrize("name", FILTERS)
def test_nul_in_a_filter__is_refused(admin_client: Client, platform: Platform, name: str) -> None:
    statuses = {path: admin_client.get(path, {name: "\x00a"}).status_code for path in lists()}
    assert statuses == dict.fromkeys(lists(), 400)


@pytest.mark.parametrize("name", FILTERS)
def test_nonsense_in_a_filter__is_borne(admin_client: Client, platform: Platform, name: str) -> None:
    statuses = {admin_client.get(path, {name: "\u202e';--"}).status_code for path in lists()}
    assert statuses <= {200, 302, 400}


@pytest.mark.parametrize("number", ["²", "９", "-1", "9" * 20, pytest.param("9" * 5000, id="5000 digits")])
@pytest.mark.parametrize("name", ["holds", "lacks", "errcode", "component__id__exact", "p", "o"])
@pytest.mark.usefixtures("tea")
def test_number_out_of_range__is_borne(
    admin_client: Client, component: Component, monkeypatch: pytest.MonkeyPatch, name: str, number: str
) -> None:
    Component.objects.create(appid="wx00000000000000f2")  # with two, the lists are filtered by platform
    monkeypatch.setattr(statistics, "FEW", 0)
    statistics.update(component)
    statuses = {admin_client.get(path, {name: number}).status_code for path in lists()}
    assert statuses <= {200, 302, 400}


def test_filter__is_named_above_the_list(admin_client: Client, tea: Authorizer) -> None:
    whole = admin_client.get(rows(Authorizer)).content.decode()
    assert "wechat-open-chosen" not in whole
    assert "Show all" not in whole

    part = admin_client.get(rows(Authorizer, "?state__exact=authorized&attention=doubt")).content.decode()
    assert '<span class="wechat-open-chosen">state <b>authorized</b></span>' in part
    assert '<span class="wechat-open-chosen">attention <b>tokens in doubt</b></span>' in part
    assert "Show all" in part


def test_filters__have_one_wording_in_chinese(admin_client: Client, tea: Authorizer) -> None:
    """Django's own says 以, which beside ours, 按, looked like two sorts of filter."""
    Component.objects.create(appid="wx-other")  # with two, there is a filter for them
    for path in lists():
        shown = admin_client.get(path, headers={"Accept-Language": "zh-hans"})
        titles = [line.strip() for line in shown.content.decode().splitlines() if line.strip().startswith(("以", "按"))]
        assert all(title.startswith("按") for title in titles), path
        assert len(titles) == (len(shown.context["cl"].filter_specs) if "cl" in shown.context else 0)


def test_filters__are_drawn_by_a_template_of_the_sites_own(
    admin_client: Client, tea: Authorizer, settings: Any, tmp_path: Path
) -> None:
    """Or of an admin theme's: it finds the number of accounts in what is displayed."""
    (tmp_path / "admin").mkdir()
    (tmp_path / "admin/filter.html").write_text("{% for choice in choices %}[{{ choice.display }}]{% endfor %}")
    settings.TEMPLATES = [{**settings.TEMPLATES[0], "DIRS": [tmp_path]}]
    shown = admin_client.get(rows(Authorizer)).content.decode()
    assert "[authorized (1)]" in shown
    assert "wechat-open-number" not in shown


def test_title_and_number__are_in_plain_words(admin_client: Client, component: Component) -> None:
    for _ in range(2):
        AuditEntry.objects.create(component=component, kind="tickets_requested", at=timezone.now())
    page = admin_client.get(rows(AuditEntry)).content.decode()
    assert "<h1>Audit trail</h1>" in page
    assert "2 audit trail entries" in page


def test_several_platforms__are_distinguished_by_their_names(admin_client: Client, tea: Authorizer) -> None:
    assert "field-platform" not in admin_client.get(rows(Authorizer)).content.decode()
    other = Component.objects.create(appid="wx-forgotten")
    Authorizer.objects.create(component=other, appid="wxb")
    page = admin_client.get(rows(Authorizer)).content.decode()
    assert '<td class="field-platform">default</td>' in page
    assert '<td class="field-platform">wx-forgotten</td>' in page

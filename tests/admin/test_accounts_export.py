"""The list of accounts is exported as it is filtered, whole, without a formula, and recorded."""

from __future__ import annotations

import csv
import importlib.util
import tracemalloc
from io import BytesIO, StringIO
from typing import Any

import openpyxl
import pytest
from django.test import Client
from django.urls import reverse

from tests.admin.staff import person
from wechat_open import authorization
from wechat_open.admin import accounts_export, export
from wechat_open.models import AuditEntry, Authorizer, Component
from wechat_open.platforms import Platform

pytestmark = pytest.mark.django_db

EVIL = [
    "=1+1",
    "+1+1",
    "-2+3",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    "＝1+1",
    "＋1",
    "－1",
    "＠A1",
    " =1+1",
    "\u200b=1",
    "﹦1",
    "\ufeff=1",
]
HIDDEN = ["a;=1+1", "a\t=1+1", "a\n@SUM(A1)", 'a;"=1"']


@pytest.fixture
def exporter(db: None) -> Client:
    return person("exporter", "view_authorizer", "view_authorizationlink", "export_account")


def take(browser: Client, query: str = "", format: str = "csv") -> list[list[str]]:
    answer = browser.post(reverse("admin:wechat_open_authorizer_export") + query, {"format": format})
    assert answer.status_code == 200, answer
    data = b"".join(answer.streaming_content)
    if format == "csv":
        return list(csv.reader(StringIO(data.decode("utf-8-sig"))))
    sheet = openpyxl.load_workbook(BytesIO(data)).active
    assert all(cell.data_type == "s" for row in sheet.iter_rows() for cell in row if cell.value is not None)
    return [[str(cell.value or "") for cell in row] for row in sheet.iter_rows()]


@pytest.mark.parametrize("format", ["csv", "xlsx"])
def test_export__has_what_the_filters_leave(exporter: Client, platform: Platform, tea: Authorizer, format: str) -> None:
    Authorizer.objects.filter(pk=tea.pk).update(
        granted_through=authorization.begin(payload={"shop": "235"}), func_info=[7], kind="official", verify_type=0
    )
    Authorizer.objects.create(component=tea.component, appid="wxb", state="unauthorized")
    heads, *lines = take(exporter, "?state__exact=authorized", format)
    assert heads[:3] == ["platform", "appid", "name"]
    assert len(lines) == 1
    line = dict(zip(heads, lines[0], strict=True))
    assert line["appid"] == tea.appid and line["name"] == "Tea & Co" and line["tenant"] == "235"
    assert line["verified"] == "verified" and line["permission sets"].startswith("7 ")
    assert len(take(exporter, "", format)) == 3
    assert len(take(exporter, "?q=nothing", format)) == 1


@pytest.mark.parametrize("format", ["csv", "xlsx"])
@pytest.mark.parametrize("evil", [*EVIL, *HIDDEN])
def test_export__holds_no_formula(exporter: Client, component: Component, evil: str, format: str) -> None:
    Authorizer.objects.create(component=component, appid="wxevil", nick_name=evil, principal_name=evil)
    heads, line = take(exporter, "", format)
    for name in ("name", "principal"):
        cell = line[heads.index(name)]
        assert cell.replace("'", "").replace("_x000D_", "\r") == evil.replace("'", "")
        assert cell.startswith("'") or evil in HIDDEN
        assert "'=" in cell or "'@" in cell or cell.startswith("'") or "'\"=" in cell


def test_export__keeps_numbers() -> None:
    assert [export.harmless(text) for text in ("-1", "61023", "", "tea", "a-b", "+7 -3")] == [
        "-1",
        "61023",
        "",
        "tea",
        "a-b",
        "'+7 -3",
    ]


def test_export__is_on_record_with_its_filters(exporter: Client, tea: Authorizer) -> None:
    take(exporter, "?state__exact=authorized", "xlsx")
    entry = AuditEntry.objects.get(kind="exported")
    assert (entry.actor, entry.detail) == ("exporter", "XLSX 1 ?state__exact=authorized")


def test_export__takes_its_permission_and_a_post(exporter: Client, tea: Authorizer) -> None:
    address = reverse("admin:wechat_open_authorizer_export")
    assert exporter.get(address).status_code == 405
    assert person("viewer", "view_authorizer").post(address).status_code == 403
    assert person("blind", "export_account").post(address).status_code == 403
    assert "XLSX" not in person("other", "view_authorizer").get(reverse("admin:wechat_open_authorizer_changelist")).text
    assert "XLSX" in exporter.get(reverse("admin:wechat_open_authorizer_changelist")).text
    assert not AuditEntry.objects.exists()


def test_export__by_a_column_that_is_no_filter_is_refused(exporter: Client, tea: Authorizer) -> None:
    answer = exporter.post(reverse("admin:wechat_open_authorizer_export") + "?refresh_token__gt=a")
    assert answer.status_code == 400
    assert not AuditEntry.objects.exists()


def test_workbook__without_its_library_is_refused_in_words(
    exporter: Client, tea: Authorizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(export, "find_spec", lambda name: None if name == "xlsxwriter" else find(name))
    answer = exporter.post(reverse("admin:wechat_open_authorizer_export"), {"format": "xlsx"}, follow=True)
    assert "django-wechat-open[xlsx]" in answer.content.decode()
    assert not AuditEntry.objects.exists()


@pytest.mark.parametrize("format", ["csv", "xlsx"])
def test_export__is_bounded_and_says_so(
    exporter: Client, component: Component, monkeypatch: pytest.MonkeyPatch, format: str
) -> None:
    monkeypatch.setattr(accounts_export, "MOST_EXPORTED", 2)
    for number in range(3):
        Authorizer.objects.create(component=component, appid=f"wx{number}")
    lines = take(exporter, "", format)
    assert len(lines) == 4
    assert lines[-1][0] == "Cut off after 2 accounts: use the filters."


@pytest.mark.slow
@pytest.mark.parametrize("format", ["csv", "xlsx"])
def test_export__holds_a_piece_in_memory(exporter: Client, component: Component, format: str) -> None:
    Authorizer.objects.bulk_create(
        Authorizer(component=component, appid=f"wx{number:016}", principal_name="茶" * 200) for number in range(5000)
    )
    take(exporter, "?state__exact=unauthorized", format)  # what a process reads once
    tracemalloc.start()
    answer: Any = exporter.post(reverse("admin:wechat_open_authorizer_export"), {"format": format})
    for _piece in answer.streaming_content:
        pass
    held = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert held < 4_000_000  # as rows they take more than ten

"""Are rows read where they are written, whatever routers say?"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.db import connections
from django.db.models import Model

import wechat_open
from tests import pushes
from wechat_open.component import Platform
from wechat_open.models import Authorizer, Component, VerifyTicket
from wechat_open.rows import Row

MODELS = [*apps.get_app_config("wechat_open").get_models()]


class Replica:
    def db_for_read(self, model: type[Model], **hints: Any) -> str:
        return "replica"


class Nowhere:
    def db_for_write(self, model: type[Model], **hints: Any) -> str:
        return "nowhere"


@pytest.fixture
def replica(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that nobody may open: pytest-django lets a test use the default database alone."""
    monkeypatch.setitem(connections.settings, "replica", connections.settings["default"])
    settings.DATABASE_ROUTERS = [f"{__name__}.Replica"]


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_every_row_of_ours__is_read_where_it_is_written(replica: None, model: type[Model]) -> None:
    assert issubclass(model, Row)
    for manager in (model._default_manager, model._base_manager):
        assert manager.db == manager.get_queryset().db == manager.all().filter(pk=1).db == "default"
        assert manager.using("replica").db == "replica"


def test_what_django_makes_of_a_manager__reads_there_too(replica: None) -> None:
    row, account = Component(pk=1), Authorizer(pk=1)
    row._state.db = account._state.db = "replica"  # as a site has it that read its own rows there
    related = [row.tickets, row.authorizers, row.pushes, row.links, row.journal, row.hours, row.alerts, account.links]

    assert {manager.all().db for manager in related} == {"default"}
    assert row.tickets.best_first().db == VerifyTicket.objects.best_first().db == "default"


def test_row_that_was_just_written__is_there(replica: None, db: None) -> None:
    row = Component.objects.create(appid="wx1")
    row.refresh_from_db()
    ticket = VerifyTicket.objects.create(
        component=row, digest="1", created_at="2026-03-01T00:00:00Z", received_at="2026-03-01T00:00:00Z"
    )
    found = VerifyTicket.objects.select_related("component").get()

    assert found.component == VerifyTicket.objects.get().component == row
    assert Component.objects.get_or_create(appid="wx1") == (row, False)
    assert [*Component.objects.prefetch_related("tickets")[0].tickets.all()] == [ticket]
    assert Component.objects.filter(tickets__in=row.tickets.all()).exists()
    assert Component.objects.raw("SELECT * FROM wechat_open_component")[0] == row


def calls(name: str) -> Iterator[tuple[str, ast.Call]]:
    for path in Path(wechat_open.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == name:
                yield f"{path.name}:{node.lineno}", node


@pytest.mark.parametrize("name", ["atomic", "on_commit"])
def test_every_transaction__says_in_which_database(name: str) -> None:
    found = dict(calls(name))

    assert found
    assert [place for place, call in found.items() if "using" not in {word.arg for word in call.keywords}] == []


def test_no_read_of_ours__is_routed(replica: None) -> None:
    assert [place for place, _call in calls("db_for_read")] == []


def test_push_without_a_database__is_not_lost(
    platform: Platform, client: Any, settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    sealed = pushes.seal(pushes.xml.write(pushes.ticket()))
    settings.DATABASE_ROUTERS = [f"{__name__}.Nowhere"]
    answer = pushes.post(client, pushes.EVENTS, sealed)

    assert answer.status_code == 503
    assert "Could not record a push" in caplog.text

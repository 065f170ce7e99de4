"""Rows are read from the database that they are written to, whatever the routers answer."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth import get_user_model
from django.db import connections
from django.db.models import Model

import wechat_open
from tests import pushes
from tests.stage import OFFICIAL
from wechat_open import api, audit, authorization, platforms, tokens
from wechat_open.db.managers import Row
from wechat_open.models import AuditEntry, Authorizer, Component, VerifyTicket
from wechat_open.operations import groups
from wechat_open.platforms import Platform
from wechat_open.secret import Secret
from wechat_open.simulator import Simulator

MODELS = [*apps.get_app_config("wechat_open").get_models()]


class Replica:
    def db_for_read(self, model: type[Model], **hints: Any) -> str:
        return "replica"


class Nowhere:
    def db_for_write(self, model: type[Model], **hints: Any) -> str:
        return "nowhere"


@pytest.fixture
def replica(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A database that no test may open: pytest-django allows the default one only."""
    monkeypatch.setitem(connections.settings, "replica", connections.settings["default"])
    settings.DATABASE_ROUTERS = [f"{__name__}.Replica"]


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_every_row_of_ours__is_read_where_it_is_written(replica: None, model: type[Model]) -> None:
    assert issubclass(model, Row)
    for manager in (model._default_manager, model._base_manager):
        assert manager.db == manager.get_queryset().db == manager.all().filter(pk=1).db == "default"
        assert manager.using("replica").db == "replica"


def test_managers_that_django_derives__read_there_too(replica: None) -> None:
    row, account = Component(pk=1), Authorizer(pk=1)
    row._state.db = account._state.db = "replica"  # as a site has it that read its own rows there
    related = [
        row.tickets,
        row.authorizers,
        row.pushes,
        row.links,
        row.audit_entries,
        row.hours,
        row.alerts,
        account.links,
    ]

    assert {manager.all().db for manager in related} == {"default"}


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


def from_replica(row: Any) -> Any:
    """This row, as ``.using("replica")`` gives it to a site."""
    columns = [field.attname for field in row._meta.concrete_fields]
    return type(row).from_db("replica", columns, [getattr(row, name) for name in columns])


def new_user() -> Any:
    """A moment old: the replica does not have it yet."""
    return get_user_model().objects.db_manager("default").create_user("zhang")


@pytest.fixture
def strict_replica(platform: Platform, account: Authorizer, replica: None) -> None:
    """Its router has no ``allow_relation``: Django refuses to relate rows that were read from different databases."""


class TestRowsThatTheSiteReadFromItsReplica:
    def test_account__is_renewed(self, strict_replica: None, account: Authorizer) -> None:
        given = from_replica(account)
        given.component = from_replica(account.component)

        tokens.refresh_now(given)
        assert "total" in api.authorizer(given).get("/cgi-bin/user/get")

    def test_link__brings_its_account(self, strict_replica: None, wechat: Simulator) -> None:
        user = new_user()
        user._state.db = "replica"
        link = from_replica(authorization.begin(user=user, payload={"shop": 7})).with_key()
        offer = authorization.offer(link, browser="browser", base_url="http://testserver", user=user)
        granted = wechat.engine.authorize(OFFICIAL)
        account = authorization.complete_redirect(from_replica(offer.attempt), Secret(granted.code))

        assert account.granted_through == link
        assert authorization.revoke(from_replica(authorization.begin()), user=user)

    def test_row__is_saved_where_it_is_written(self, strict_replica: None, account: Authorizer) -> None:
        given = from_replica(account)
        given.nick_name = "renamed"
        given.save(update_fields=["nick_name"])

        assert Authorizer.objects.get(pk=account.pk).nick_name == "renamed"


def test_misused_code__is_reported_with_a_user_who_is_a_moment_old(strict_replica: None, wechat: Simulator) -> None:
    user = new_user()
    link = authorization.begin(user=user)
    offer = authorization.offer(link, browser="browser", base_url="http://testserver", user=user)
    code = Secret(wechat.engine.authorize(OFFICIAL).code)
    authorization.complete_redirect(offer.attempt, code)
    authorization.complete_push(platforms.get(), code, pre_auth_code=Secret("of another page"))

    assert AuditEntry.objects.get(kind=audit.Kind.CODE_MISUSED).user_id == user.pk


def test_group_of_operators__has_permissions_that_are_a_moment_old(replica: None, db: None) -> None:
    group, lacking = groups.create()

    assert lacking is None
    assert group.permissions.db_manager("default").count() == len(groups.OPERATOR_PERMISSIONS)


def calls(name: str) -> Iterator[tuple[str, ast.Call]]:
    for path in Path(wechat_open.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == name:
                yield f"{path.name}:{node.lineno}", node


@pytest.mark.parametrize("name", ["atomic", "on_commit"])
def test_every_transaction__names_its_database(name: str) -> None:
    found = dict(calls(name))

    assert found
    assert [place for place, call in found.items() if "using" not in {word.arg for word in call.keywords}] == []


def test_no_read_of_ours__is_routed(replica: None) -> None:
    assert [place for place, _call in calls("db_for_read")] == []


@pytest.mark.parametrize("name", ["iterator", "aiterator"])
def test_no_rows_are_read__through_a_cursor_of_a_session(name: str) -> None:
    """Behind pgbouncer the session is another one at the next statement: ``db.chunks`` reads by keys."""
    assert [place for place, _call in calls(name)] == []


def test_push_without_a_database__is_not_lost(
    platform: Platform, client: Any, settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    request = pushes.push_request(pushes.xml.write(pushes.ticket()))
    settings.DATABASE_ROUTERS = [f"{__name__}.Nowhere"]
    answer = pushes.post(client, pushes.EVENTS, request)

    assert answer.status_code == 503
    assert "Could not record a push" in caplog.text

"""The rules that rows keep by themselves."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timezone
from io import StringIO
from typing import Any

import pytest
from django.core.exceptions import PermissionDenied
from django.core.management import call_command
from django.db import IntegrityError, transaction
from django.urls import reverse
from hypothesis import given
from hypothesis import strategies as st

from tests.stage import OFFICIAL
from wechat_open import models
from wechat_open.db.fields import EncryptedField
from wechat_open.exceptions import EncryptionError
from wechat_open.models import (
    AuthorizationAttempt,
    AuthorizationLink,
    Authorizer,
    CodeExchange,
    Component,
    Push,
    VerifyTicket,
    func_ids,
    func_key,
    to_announce,
    update_row,
)
from wechat_open.secret import Secret

AT = datetime(2026, 11, 22, 20, 30, tzinfo=timezone.utc)


@pytest.fixture
def component(db: None) -> Component:
    return Component.objects.create(appid="wxcomponent")


def link(component: Component, **columns: Any) -> AuthorizationLink:
    row = AuthorizationLink(component=component, key_digest="d" * 64, created_at=AT, expires_at=AT, **columns)
    row.key = row.encrypt("key", "the-key")
    row.save()
    return row


def attempt(component: Component) -> AuthorizationAttempt:
    return AuthorizationAttempt.objects.create(
        link=link(component),
        state_digest="s",
        browser_digest="b",
        pre_auth_code_digest="p",
        created_at=AT,
        expires_at=AT,
    )


ROWS: dict[str, Callable[[Component], object]] = {
    "component": lambda component: Component.objects.create(appid=component.appid),
    "ticket": lambda component: VerifyTicket.objects.create(
        component=component, digest="d", created_at=AT, received_at=AT
    ),
    "account": lambda component: Authorizer.objects.create(component=component, appid=OFFICIAL),
    "push": lambda component: Push.objects.create(component=component, digest="d", created_at=AT, received_at=AT),
    "link": link,
    "attempt": attempt,
    "code": lambda component: CodeExchange.objects.create(component=component, digest="d", created_at=AT),
}


@pytest.mark.parametrize("name", ROWS)
def test_second_row_of_the_same_thing__is_refused(component: Component, name: str) -> None:
    if name != "component":
        ROWS[name](component)
    with pytest.raises(IntegrityError), transaction.atomic():
        ROWS[name](component)


@pytest.mark.parametrize("name", ["ticket", "account", "push", "code"])
def test_another_platform__has_its_own(component: Component, name: str) -> None:
    other = Component.objects.create(appid="wxother")
    ROWS[name](component)
    ROWS[name](other)


def test_names__tell_rows_apart(component: Component) -> None:
    pushed = {"component": component, "created_at": AT, "received_at": AT}
    exchange = CodeExchange(component=component, created_at=AT)

    assert str(component) == "wxcomponent"
    assert str(VerifyTicket(**pushed)) == f"{component.pk} 2026-11-22 20:30:00"
    assert str(Authorizer(appid=OFFICIAL)) == OFFICIAL
    assert str(Authorizer(appid=OFFICIAL, nick_name="街角小店")) == f"街角小店 ({OFFICIAL})"
    assert str(Push(**pushed, info_type="authorized", authorizer_appid=OFFICIAL)) == f"authorized {OFFICIAL}"
    assert str(Push(**pushed, info_type="component_verify_ticket")) == "component_verify_ticket"
    assert str(AuthorizationLink(created_at=AT)) == "2026-11-23 04:30:00"  # in the site's time zone
    assert str(AuthorizationLink(created_at=AT, biz_appid=OFFICIAL)) == f"2026-11-23 04:30:00 {OFFICIAL}"
    assert str(attempt(component)).endswith("2026-11-22 20:30:00")
    assert str(exchange) == f"{component.pk} 2026-11-22 20:30:00"


def test_link__has_the_address_of_its_connect_page(component: Component) -> None:
    row = AuthorizationLink.objects.get(pk=link(component).pk)
    with pytest.raises(PermissionDenied):
        row.get_absolute_url()

    assert row.with_key().get_absolute_url() == reverse("wechat_open:authorize_link", kwargs={"key": "the-key"})
    assert "the-key" not in str(AuthorizationLink.objects.values().get())


@pytest.mark.parametrize("name", ["ticket", "account", "push", "link"])
def test_encrypted_column__is_decrypted_in_its_own_row_only(component: Component, name: str) -> None:
    other = Component.objects.create(appid="wxother")
    row: Any = ROWS[name](component)
    column = next(field.attname for field in row._meta.concrete_fields if isinstance(field, EncryptedField))
    setattr(row, column, row.encrypt(column, "a secret"))
    twin: Any = type(row)(**{field.attname: getattr(row, field.attname) for field in row._meta.concrete_fields})
    assert twin.reveal(column) == Secret("a secret")

    if name == "link":
        twin.key_digest = "another"
    else:
        twin.component = other

    with pytest.raises(EncryptionError):
        twin.reveal(column)


def test_update_row__writes_these_columns_only(component: Component) -> None:
    stale = Authorizer.objects.create(component=component, appid=OFFICIAL, nick_name="old")
    Authorizer.objects.update(state=Authorizer.State.UNAUTHORIZED)

    assert update_row(stale, nick_name="new") == 1
    stale.refresh_from_db()
    assert (stale.nick_name, stale.state) == ("new", Authorizer.State.UNAUTHORIZED)


def test_update_of_a_deleted_row__changes_no_row(component: Component) -> None:
    row = Authorizer.objects.create(component=component, appid=OFFICIAL)
    Authorizer.objects.all().delete()

    assert update_row(row, nick_name="new") == 0


def test_announcement__is_counted_in_the_database(component: Component) -> None:
    row = Authorizer.objects.create(component=component, appid=OFFICIAL)
    update_row(row, **to_announce())
    update_row(row, **to_announce())

    row.refresh_from_db()
    assert (row.needs_announcing, row.announcement) == (True, 2)


def test_newest_ticket__is_the_first(component: Component) -> None:
    for number in (2, 3, 1):
        VerifyTicket.objects.create(
            component=component, digest=str(number), created_at=AT.replace(minute=number), received_at=AT
        )

    assert [ticket.digest for ticket in component.tickets.all()] == ["3", "2", "1"]


def test_deleted_platform__takes_its_rows_along(component: Component) -> None:
    for name in ("ticket", "account", "push", "attempt", "code"):
        ROWS[name](component)
    component.delete()

    tables = (VerifyTicket, Authorizer, Push, AuthorizationLink, AuthorizationAttempt, CodeExchange)
    assert not any(table._default_manager.exists() for table in tables)


def test_deleted_account__leaves_the_link_that_brought_it(component: Component) -> None:
    row = link(component, authorizer=Authorizer.objects.create(component=component, appid=OFFICIAL))
    Authorizer.objects.all().delete()

    row.refresh_from_db()
    assert row.authorizer is None


def test_migrations__are_complete(db: None) -> None:
    said = StringIO()
    call_command("makemigrations", "wechat_open", check=True, dry_run=True, stdout=said)

    assert "No changes" in said.getvalue()


def test_every_model__has_a_name_that_can_be_translated() -> None:
    for model in vars(models).values():
        if isinstance(model, type) and issubclass(model, models.models.Model) and not model._meta.abstract:
            assert type(model._meta.verbose_name).__name__ == "__proxy__", model


# Permission sets as an index holds them


@given(st.frozensets(st.integers(1, 1015)))
def test_func_key__has_room_for_all_sets_that_an_account_can_hold(func_info: frozenset[int]) -> None:
    key = func_key(func_info)
    assert len(key) <= 255
    assert func_ids(key) == func_info


def test_func_key__is_made_of_numbers_while_they_fit() -> None:
    assert func_key([7, 1, 2, 2]) == "1,2,7"
    assert func_key(range(1, 80)) == ",".join(map(str, range(1, 80)))
    assert func_key(range(1, 1016)) == "x" + "f" * 253 + "e"


@pytest.mark.parametrize("strange", [range(2000, 2250), range(-5, 250)])
def test_func_key_of_sets_that_no_bits_are_for__tells_them_apart(strange: range) -> None:
    assert func_key(strange) == func_key(reversed(strange))
    assert func_key(strange) != func_key(strange[1:])
    assert len(func_key(strange)) <= 255
    assert func_ids(func_key(strange)) == set()

"""A JSON column always gives a list or an object; what was stored in its place is recognized."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.db import connection
from django.db.models.fields.json import KeyTextTransform
from django.utils import timezone
from django.utils.formats import localize

from tests import poison
from wechat_open.db.fields import is_damaged
from wechat_open.db.times import exact
from wechat_open.exceptions import EncryptionError
from wechat_open.models import AuthorizationLink, Authorizer, Component, VerifyTicket

DAMAGED = {**poison.JSON, **({"cut": poison.INVALID_JSON} if connection.vendor == "sqlite" else {})}


@pytest.fixture
def account(db: None) -> Authorizer:
    return Authorizer.objects.create(component=Component.objects.create(appid="wxp"), appid="wxa", func_info=[1, 2])


def read(account: Authorizer, column: str) -> Any:
    return getattr(Authorizer.objects.get(pk=account.pk), column)


def test_list_and_object__are_those_that_were_stored(account: Authorizer) -> None:
    Authorizer.objects.update(profile={"nick_name": "Tea"})
    for column, value in (("func_info", [1, 2]), ("renewals", []), ("profile", {"nick_name": "Tea"})):
        assert read(account, column) == value
        assert not is_damaged(read(account, column))


@pytest.mark.parametrize("how", [how for how in DAMAGED if how != "a list"])
def test_what_is_no_list_of_numbers__is_an_empty_one(account: Authorizer, how: str) -> None:
    poison.write(account, "func_info", DAMAGED[how])
    assert read(account, "func_info") == []
    assert is_damaged(read(account, "func_info"))


def test_entries_that_can_be_used__are_kept(account: Authorizer) -> None:
    at = timezone.now().isoformat()
    poison.write(account, "func_info", json.dumps([1, "2", None, True, 2**63, -(10**300), 3]))
    poison.write(account, "renewals", json.dumps([at, "yesterday", 7, "2026-11-29T10:00:00"]))

    assert (read(account, "func_info"), read(account, "renewals")) == ([1, 3], [at])
    assert is_damaged(read(account, "func_info")) and is_damaged(read(account, "renewals"))


@pytest.mark.parametrize("how", [how for how in DAMAGED if how != "an object"])
def test_what_is_no_object__is_an_empty_one(account: Authorizer, how: str) -> None:
    poison.write(account, "profile", DAMAGED[how])
    assert read(account, "profile") == {}
    assert is_damaged(read(account, "profile"))


def test_new_value__is_whole_again(account: Authorizer) -> None:
    poison.write(account, "func_info", '"word"')
    row = Authorizer.objects.get(pk=account.pk)
    row.save()
    assert read(account, "func_info") == [] and not is_damaged(read(account, "func_info"))


def test_key_of_an_object__is_not_taken_for_the_column(account: Authorizer) -> None:
    Authorizer.objects.update(profile={"nick_name": "Tea", "ids": [1]})
    rows = Authorizer.objects.annotate(name=KeyTextTransform("nick_name", "profile"))
    assert rows.values_list("name", "profile__ids").get() == ("Tea", [1])


def test_row_whose_platform_was_deleted__cannot_be_decrypted(account: Authorizer) -> None:
    """Between the reading of a row and that of the row that it belongs to."""
    now = timezone.now()
    ticket = VerifyTicket(component=account.component, digest="d", created_at=now, received_at=now)
    ticket.ticket = ticket.encrypt("ticket", "ticket@@@1")
    ticket.save()
    read_before = VerifyTicket.objects.get(pk=ticket.pk)
    Component.objects.all().delete()

    with pytest.raises(EncryptionError, match=f"VerifyTicket #{ticket.pk}: the row that it belongs to was deleted"):
        read_before.reveal("ticket")


@pytest.mark.parametrize("at", poison.TIMES.values())
# Without time zones, psycopg reads a time in the site's zone, and refuses one that has no such time before we see it.
@pytest.mark.parametrize("use_tz", [True] if connection.vendor == "postgresql" else [True, False])
def test_first_and_last_day__can_be_shown_in_every_zone(
    account: Authorizer, settings: Any, at: str, use_tz: bool
) -> None:
    poison.write(account, "authorized_at", at)
    settings.USE_TZ = use_tz
    for zone in ("Asia/Shanghai", "America/Los_Angeles"):
        settings.TIME_ZONE = zone
        found = read(account, "authorized_at")
        assert int(exact(found).split("-")[0]) == (poison.READ_IN.get(at) or int(at[:4]))
        assert localize(found)


def test_link_of_a_broken_payload__has_no_tenant(account: Authorizer) -> None:
    now = timezone.now()
    link = AuthorizationLink.objects.create(component=account.component, created_at=now, expires_at=now)
    poison.write(link, "payload", "[1]")
    link = AuthorizationLink.objects.get(pk=link.pk)
    assert link.payload == {} and is_damaged(link.payload)

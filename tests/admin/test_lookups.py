"""An address reaches only the columns that a list offers as filters."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.admin.views.main import IGNORED_PARAMS
from django.db.models import Model
from django.test import Client, RequestFactory
from django.urls import reverse

from tests.admin.staff import found, rows
from tests.console import pages
from wechat_open import authorization
from wechat_open.admin.reader import may_view
from wechat_open.db.fields import EncryptedField
from wechat_open.models import AuditEntry, AuthorizationLink, Authorizer, Component, Push, VerifyTicket
from wechat_open.platforms import Platform

pytestmark = pytest.mark.django_db

EXPORT = "admin:wechat_open_auditentry_export"
LOOKUPS = ["", "__exact", "__startswith", "__regex", "__iregex", "__contains", "__gt", "__isnull", "__in", "__length"]
SPANS = [
    "component__access_token",
    "authorizer__refresh_token",
    "user__password",
    "user__email",
    "granted_through__key",
]


def undeclared(model: type[Model]) -> list[str]:
    """Every column of a model by every lookup, and what its relations lead to."""
    columns = [field.name for field in model._meta.get_fields()]
    relations = [
        f"{field.name}__{other.name}"
        for field in model._meta.get_fields()
        if field.is_relation and field.related_model
        for other in field.related_model._meta.get_fields()
    ]
    return [name + lookup for name in [*columns, *relations, *SPANS] for lookup in LOOKUPS]


@pytest.mark.parametrize("model", pages.lists(), ids=lambda model: model.__name__)
def test_what_no_filter_offers__is_not_allowed(rf: RequestFactory, admin_user: Any, model: type[Model]) -> None:
    request = rf.get("/")
    request.user = admin_user
    ours = pages.admins()[model]
    offered = {
        name
        for spec in ours.get_changelist_instance(request).filter_specs
        for name in spec.expected_parameters()
        if name
    }
    allowed = {name for name in undeclared(model) if ours.lookup_allowed(name, "a", request)}
    assert all(ours.lookup_allowed(name, "a", request) for name in offered)
    assert allowed <= offered | ours.declared_lookups(request)
    encrypted = {field.name for field in model._meta.fields if isinstance(field, EncryptedField)}
    assert not {name for name in allowed if encrypted & set(name.split("__"))}


@pytest.mark.parametrize(
    ("model", "query"),
    [
        (Authorizer, "refresh_token__startswith=v1"),
        (Authorizer, "refresh_token=a"),
        (Authorizer, "access_token__regex=(a%2B)%2B$"),
        (Authorizer, "nick_name__regex=(a%2B)%2B$"),
        (Authorizer, "profile__a__b=1"),
        (Authorizer, "component__access_token__startswith=v1"),
        (Authorizer, "granted_through__key__startswith=v1"),
        (Authorizer, "granted_through__user__password__startswith=pbkdf2"),
        (Authorizer, "state__regex=a"),
        (Authorizer, "state__exact=authorized&state__exact=unauthorized"),
        (AuthorizationLink, "user__password__startswith=pbkdf2"),
        (AuthorizationLink, "key__startswith=v1"),
        (AuthorizationLink, "payload__shop=7"),
        (Push, "payload__startswith=v1"),
        (Push, "component__tickets__ticket__startswith=v1"),
        (VerifyTicket, "ticket__startswith=v1"),
        (Component, "access_token__startswith=v1"),
        (AuditEntry, "user__password__regex=a"),
        (Push, "pk__gt=0"),
        (Push, "component_id=1"),
        (Authorizer, "_to_field=refresh_token&_popup=1"),
        (Authorizer, "_to_field=component__access_token"),
    ],
)
def test_address_with_another_lookup__is_refused_in_words(
    admin_client: Client, tea: Authorizer, model: type[Model], query: str
) -> None:
    answer = admin_client.get(rows(model, f"?{query}"))
    assert answer.status_code == 400
    text = answer.content.decode()
    assert "cannot be filtered by" in text
    assert re.split("[=&]", query)[1 if query.startswith("_to_field") else 0] in text
    assert f'href="{rows(model)}"' in text  # the way out


def test_what_names_no_column__is_left_out(admin_client: Client, tea: Authorizer) -> None:
    answer = admin_client.get(rows(Authorizer, "?utm_source=mail"), follow=True)
    assert answer.redirect_chain == [(rows(Authorizer, "?e=1"), 302)]
    assert [row.pk for row in answer.context["cl"].result_list] == [tea.pk]


def test_refusal__is_logged_as_suspicious(
    admin_client: Client, tea: Authorizer, caplog: pytest.LogCaptureFixture
) -> None:
    admin_client.get(rows(Authorizer, "?refresh_token__startswith=v1"))
    assert [record.name for record in caplog.records if "refresh_token__startswith" in record.getMessage()] == [
        "django.security.DisallowedModelAdminLookup"
    ]


def test_action_by_another_lookup__is_refused(admin_client: Client, tea: Authorizer) -> None:
    data = {"action": "refresh", "select_across": "1", "index": "0", "_selected_action": [tea.pk]}
    assert admin_client.post(rows(Authorizer, "?refresh_token__gt="), data).status_code == 400


def test_export_by_another_lookup__is_refused(admin_client: Client, platform: Platform) -> None:
    answer = admin_client.get(reverse(EXPORT) + "?user__password__startswith=a")
    assert answer.status_code == 400
    assert "cannot be filtered by" in answer.content.decode()


def test_export_by_wrong_value__is_refused_in_words(admin_client: Client, platform: Platform) -> None:
    answer = admin_client.get(reverse(EXPORT) + "?at__gte=yesterday")
    assert answer.status_code == 400
    assert "is not understood" in answer.content.decode()


def test_order_by_a_column_that_has_no_index__is_not_taken(admin_client: Client, platform: Platform) -> None:
    for model, ours in ((model, pages.admins()[model]) for model in pages.lists()):
        plain = admin_client.get(rows(model)).context["cl"].queryset.query
        for place, column in enumerate(admin_client.get(rows(model)).context["cl"].list_display):
            if ours.sortable_by is None or column in ours.sortable_by:
                continue
            asked = admin_client.get(rows(model, f"?o={place}")).context["cl"].queryset.query
            assert asked.order_by == plain.order_by, (model, column)


def test_encrypted_columns__are_in_no_order_and_no_search(rf: RequestFactory) -> None:
    for model, ours in ((model, pages.admins()[model]) for model in pages.lists()):
        encrypted = {field.name for field in model._meta.fields if isinstance(field, EncryptedField)}
        assert not encrypted & set(ours.search_fields)
        assert not encrypted & set(ours.list_display)
        assert not encrypted & {name for _title, options in ours.fieldsets or [] for name in options["fields"]}


def test_page_of_a_row__is_found_by_its_key_only(admin_client: Client, tea: Authorizer) -> None:
    tea.refresh_token = "v1.encrypted"
    tea.save()
    page = reverse("admin:wechat_open_authorizer_change", args=["v1.encrypted"])
    assert admin_client.get(page + "?_to_field=refresh_token").status_code == 400
    history = reverse("admin:wechat_open_authorizer_history", args=["v1.encrypted"])
    assert admin_client.get(history + "?_to_field=refresh_token").status_code in (302, 400, 404)


def test_parameters_of_djangos_own__are_allowed(admin_client: Client, tea: Authorizer) -> None:
    assert set(IGNORED_PARAMS) >= {"all", "o", "q", "_popup", "_to_field"}
    for query in ("?all=", "?o=0", "?p=1", "?q=tea", "?_popup=1&_to_field=id", "?e=1", "?_facets=True"):
        assert admin_client.get(rows(Authorizer, query)).status_code == 200, query
    assert found(admin_client, Authorizer, "?state__exact=authorized&attention=&kind__exact=") == [tea.pk]


@pytest.mark.filterwarnings("ignore:DateTimeField .* received a naive datetime:RuntimeWarning")
@pytest.mark.parametrize(
    "value",
    ["0001-01-01", "9999-12-31 23:59:59-23:59", "2026-13-01", "", "1e400", "None", "0001-01-01 00:00:00+23:59"],
)
def test_time_out_of_range__is_borne(admin_client: Client, platform: Platform, value: str) -> None:
    for model, ours in ((model, pages.admins()[model]) for model in pages.lists()):
        for name in sorted(ours.declared_lookups(None)):
            answer = admin_client.get(rows(model), {name: value})
            assert answer.status_code in (200, 302, 400), (model, name)


def test_autocomplete__is_for_users_who_may_see_the_accounts(client: Client, tea: Authorizer, admin_user: Any) -> None:
    from tests.admin.staff import person

    asked = reverse("admin:autocomplete") + "?app_label=wechat_open&model_name=authorizationlink&field_name=authorizer"
    assert person("links", "view_authorizationlink").get(asked + "&term=tea").status_code == 403
    answer = person("viewer", "view_authorizer").get(asked + "&term=tea").json()
    assert answer["results"] == [{"id": str(tea.pk), "text": str(tea)}]
    assert "pbkdf2" not in str(answer)


def test_autocomplete__searches_for_its_own_reader(admin_client: Client, tea: Authorizer) -> None:
    """Django's own page calls our search, after a page that this thread has rendered for another reader."""
    from tests.admin.staff import person

    link = authorization.begin(payload={"shop": "seven"})
    Authorizer.objects.update(granted_through=link)
    asked = reverse("admin:autocomplete") + "?app_label=wechat_open&model_name=authorizationlink&field_name=authorizer"
    for allowed in (("view_authorizer",), ("view_authorizer", "view_authorizationlink")):
        admin_client.get(rows(Authorizer))
        answer = person("-".join(allowed), *allowed).get(asked + "&term=seven").json()
        assert bool(answer["results"]) is (len(allowed) == 2)


def test_no_reader__is_left_to_the_next_request(admin_client: Client, tea: Authorizer) -> None:
    admin_client.get(rows(Authorizer))
    admin_client.get(reverse("admin:index"))
    assert not may_view("authorizer")


def test_all_admins__are_ours(db: None) -> None:
    from wechat_open.admin.base import RowAdmin

    assert all(isinstance(pages.admins()[model], RowAdmin) for model in pages.lists())
    assert admin.site.is_registered(Authorizer)

"""Which role may open and do what in the console; no page shows a secret.

Every URL of our part of the admin is walked by five people, by GET and by POST. The URLs come from the registry, and
each must stand in ``ROUTES``: a new page fails here until it is written down who may open it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from datetime import timezone as dt_timezone
from html import unescape
from typing import Any
from urllib.parse import unquote

import pytest
from django.apps import apps
from django.conf import settings as site
from django.contrib.auth.models import Permission, User
from django.contrib.sessions.models import Session
from django.db.models import Model
from django.http import HttpResponse
from django.test import Client, RequestFactory
from django.urls import reverse
from django.utils import timezone

from tests.console import pages
from tests.stage import OFFICIAL
from wechat_open import audit, authorization, tokens
from wechat_open.db.fields import EncryptedField
from wechat_open.models import (
    Alert,
    AuditEntry,
    AuthorizationLink,
    Authorizer,
    CodeExchange,
    Component,
    Push,
    VerifyTicket,
)
from wechat_open.operations import jobs
from wechat_open.operations.accounts import Forget, Refresh
from wechat_open.platforms import Platform
from wechat_open.simulator import Simulator

pytestmark = pytest.mark.slow

GONE = "wx00000000000000ff"
RAW = "raw-profile-marker"

ROLES = ["anonymous", "unprivileged", "viewer", "operator", "administrator"]
"""Not signed in; staff without any permission; staff who may look; who may do the daily work; a superuser."""

NOT_DAILY = {"forget_account"}

LOOK = [302, 403, 200, 200, 200]
ASK = [302, 403, 403, 200, 200]
NEVER = [302, 403, 403, 403, 403]
BY_POST = [302, 405, 405, 405, 405]
MOVED = [302, 302, 302, 302, 302]
"""To the page of the row, which asks for the permission."""

ROUTES = {
    "authorizer_changelist": LOOK,
    "authorizer_add": NEVER,
    "authorizer_export": BY_POST,
    "authorizer_history": LOOK,
    "authorizer_delete": NEVER,
    "authorizer_change": LOOK,
    "authorizer_old": MOVED,
    "bulkjob_progress": [302, 404, 200, 200, 200],
    "bulkjob_stop": BY_POST,
    "bulkjob_resume": BY_POST,
    "bulkjob_retry": BY_POST,
    "bulkjob_export": [302, 404, 200, 200, 200],
    "bulkjob_changelist": LOOK,
    "bulkjob_add": NEVER,
    "bulkjob_history": [302, 302, 200, 200, 200],  # Django: "doesn't exist. Perhaps it was deleted?"
    "bulkjob_delete": NEVER,
    "bulkjob_change": LOOK,
    "bulkjob_old": MOVED,
    "auditentry_export": LOOK,
    "auditentry_changelist": LOOK,
    "auditentry_add": NEVER,
    "auditentry_history": LOOK,
    "auditentry_delete": NEVER,
    "auditentry_change": LOOK,
    "auditentry_old": MOVED,
    "authorizationlink_address": MOVED,
    "authorizationlink_qr": BY_POST,
    "authorizationlink_changelist": LOOK,
    "authorizationlink_add": ASK,
    "authorizationlink_history": LOOK,
    "authorizationlink_delete": NEVER,
    "authorizationlink_change": LOOK,
    "authorizationlink_old": MOVED,
    "alert_changelist": LOOK,
    "alert_add": NEVER,
    "alert_history": LOOK,
    "alert_delete": NEVER,
    "alert_change": LOOK,
    "alert_old": MOVED,
    "dashboard_changelist": LOOK,
    "dashboard": LOOK,
    "dashboard_data": LOOK,
    "dashboard_tickets": [302, 403, 405, 405, 405],
    "dashboard_forget_tickets": ASK,
    "dashboard_compare": ASK,
    "component_changelist": LOOK,
    "component_add": NEVER,
    "component_history": LOOK,
    "component_delete": NEVER,
    "component_change": LOOK,
    "component_old": MOVED,
    "verifyticket_changelist": LOOK,
    "verifyticket_add": NEVER,
    "verifyticket_history": LOOK,
    "verifyticket_delete": NEVER,
    "verifyticket_change": LOOK,
    "verifyticket_old": MOVED,
    "push_payload": [302, 403, 403, 302, 302],
    "push_changelist": LOOK,
    "push_add": NEVER,
    "push_history": LOOK,
    "push_delete": NEVER,
    "push_change": LOOK,
    "push_old": MOVED,
}
"""What a GET answers to each of ROLES."""

CHANGING_VIEWS = {
    "authorizer_export": ("export_account", {"format": "csv"}),
    "authorizationlink_add": ("authorize_account", {"component": "default", "auth_type": "both", "expires": ""}),
    "authorizationlink_address": ("share_link", {}),
    "authorizationlink_qr": ("share_link", {"format": "png"}),
    "bulkjob_stop": ("refresh_account", {}),
    "dashboard_tickets": ("request_tickets", {}),
    "dashboard_forget_tickets": ("forget_tickets", {}),
    "dashboard_compare": ("reconcile_account", {}),
    "push_payload": ("view_push_payload", {}),
}
"""URLs at which a POST does something, and the permission that this takes besides looking."""

ALSO_NEEDS = {"bulkjob_stop": ["change_bulkjob"]}
"""For another one's job."""

ACTIONS = {
    ("authorizer", "refresh"): "refresh_account",
    ("authorizer", "sync"): "sync_account",
    ("authorizer", "reconcile"): "reconcile_account",
    ("authorizer", "ask"): "ask_account",
    ("authorizer", "forget"): "forget_account",
    ("authorizationlink", "revoke"): "revoke_link",
    ("push", "replay"): "replay_push",
    **{
        ("alert", name): "handle_alert" for name in ("acknowledge", "mute_1", "mute_8", "mute_24", "mute_168", "unmute")
    },
}
"""Actions of the lists, and the permission that each takes besides looking."""


@dataclass
class Scene:
    """One row of each sort, with something secret in every column that can hold it."""

    rows: dict[type[Model], Any]
    gone: Authorizer
    """An account whose owner has taken the authorization back."""

    def address(self, route: pages.Route) -> str:
        return route.address(self.rows[route.model] if route.needs_row else None)


@pytest.fixture
def scene(wechat: Simulator, platform: Platform, grant: Callable[..., Authorizer]) -> Scene:
    wechat.engine.add_account("Gone Shop", "mini", appid=GONE)
    tokens.component_token(platform)
    account, gone = grant(), grant(GONE)
    profile = {"nick_name": "Corner Shop", "remark": RAW, "authorizer_refresh_token": "canary-in-profile"}
    previous = account.encrypt("previous_refresh_token", "canary-previous-refresh-token")
    Authorizer.objects.filter(pk=account.pk).update(profile=profile, previous_refresh_token=previous)
    Authorizer.objects.filter(pk=gone.pk).update(state=Authorizer.State.UNAUTHORIZED)
    maker = User.objects.create_user("maker", is_staff=True)
    link = authorization.begin(user=maker, payload={"tenant": "camellia"}, biz_appid=OFFICIAL)
    authorization.offer(link, browser="canary-of-a-browser", base_url="https://shop.example")
    exchange = CodeExchange(component=platform.row, digest="digest", link=link, created_at=timezone.now())
    exchange.code = exchange.encrypt("code", "canary-authorization-code")
    exchange.answer = exchange.encrypt("answer", "canary-answer-of-an-exchange")
    exchange.save()
    rows = [
        account,
        link,
        Push.objects.filter(authorizer_appid=OFFICIAL)[0],
        jobs.start(Refresh(), [account.pk], user=maker),
        AuditEntry.objects.all()[0],
        platform.row,
        VerifyTicket.objects.all()[0],
        Alert.objects.create(
            component=platform.row,
            alias="default",
            code="beat",
            severity="critical",
            first_seen_at=timezone.now(),
            last_seen_at=timezone.now(),
            context={"message": "Nothing has been heard of beat."},
            open_key="beat",
            muted_until=timezone.now() + timedelta(hours=1),
        ),
    ]
    return Scene({type(row): row for row in rows}, gone)


# -- people ------------------------------------------------------------------------------------------------------------


def is_view(codename: str) -> bool:
    return codename.startswith("view_") and codename != "view_push_payload"


def is_operation(codename: str) -> bool:
    """One of our own permissions, and not one of the four that Django makes for every model."""
    return not re.match(r"(add|change|delete|view)_(?!push_payload)", codename)


def person(name: str, *allowed: str) -> Client:
    """Staff who may look at everything, and do what is named."""
    user = User.objects.create_user(name, is_staff=True)
    ours = Permission.objects.filter(content_type__app_label=pages.APP)
    user.user_permissions.set(one for one in ours if is_view(one.codename) or one.codename in allowed)
    client = Client()
    client.force_login(user)
    return client


def all_permissions() -> set[str]:
    ours = Permission.objects.filter(content_type__app_label=pages.APP).values_list("codename", flat=True)
    return {codename for codename in ours if is_operation(codename)}


def sign_in(role: str) -> Client:
    if role == "viewer":
        return person(role)
    if role == "operator":
        return person(role, *(all_permissions() - NOT_DAILY))
    client = Client()
    if role != "anonymous":
        client.force_login(User.objects.create_user(role, is_staff=True, is_superuser=role == "administrator"))
    return client


# -- what is there, and what is said -----------------------------------------------------------------------------------


def everything() -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every table, but for sessions."""
    return {
        model._meta.label: list(model._default_manager.order_by("pk").values_list())
        for model in apps.get_models()
        if model is not Session
    }


def secrets_now() -> dict[str, str]:
    """Every secret that there is, by its place: of the settings, and of every encrypted column of every row."""
    found = {f"settings {key}": value for key, value in site.WECHAT_OPEN["COMPONENTS"]["default"].items()}
    found.pop("settings APPID")
    found |= {"settings SECRET_KEY": site.SECRET_KEY, "profile": "canary-in-profile"}
    for model in apps.get_models():
        for encrypted in (one for one in model._meta.concrete_fields if isinstance(one, EncryptedField)):
            for row in model._default_manager.all():
                if text := row.reveal(encrypted.name).reveal():
                    found |= _in_row(f"{model.__name__}.{encrypted.name} {row.pk}", text, getattr(row, encrypted.name))
    return found


def _in_row(place: str, text: str, encrypted: str) -> dict[str, str]:
    """A push is no secret from end to end; its codes are."""
    if not place.startswith("Push."):
        return {place: text, f"{place} as it is stored": encrypted}
    codes = re.findall(r"<(\w*(?:Code|Ticket))>(?:<!\[CDATA\[)?([^<\]]+)", text)
    return {f"{place} as it is stored": encrypted} | {f"{place} {name}": code for name, code in codes}


def leaks(response: HttpResponse, *, allowed: str = "\0") -> list[str]:
    """Which secrets are in an answer, as text or in an address."""
    body = b"".join(response.streaming_content) if response.streaming else response.content
    said = unescape(body.decode("utf-8", "replace")) + unquote(str(response.headers)) + str(response.cookies)
    return [place for place, secret in secrets_now().items() if secret in said and secret != allowed]


# -- the walk ----------------------------------------------------------------------------------------------------------


def test_every_route_and_every_action__stands_in_the_tables(rf: RequestFactory) -> None:
    assert {route.name for route in pages.routes()} == set(ROUTES)
    request = rf.get("/")
    request.user = User(is_active=True, is_staff=True, is_superuser=True)
    actions = {(ours.opts.model_name, name) for ours in pages.admins().values() for name in ours.get_actions(request)}
    assert actions == set(ACTIONS)


def test_every_permission_of_ours__is_asked_for_somewhere(db: None) -> None:
    assert all_permissions() == {permission for permission, _ in CHANGING_VIEWS.values()} | set(ACTIONS.values())


def test_canaries__are_in_every_encrypted_column(scene: Scene) -> None:
    """Else the walk below would find nothing because there is nothing."""
    places = {place.split()[0] for place in secrets_now()}
    encrypted = {
        f"{model.__name__}.{one.name}"
        for model in apps.get_models()
        for one in model._meta.concrete_fields
        if isinstance(one, EncryptedField)
    }
    assert places >= encrypted
    assert any(place.endswith("AuthorizationCode") for place in secrets_now())


@pytest.mark.parametrize("role", ROLES)
def test_get__answers_as_the_table_says_and_changes_and_reveals_nothing(
    scene: Scene, role: str, caplog: pytest.LogCaptureFixture
) -> None:
    client, place = sign_in(role), ROLES.index(role)
    before, secrets = everything(), secrets_now()
    wrong = []
    for route in pages.routes():
        response = client.get(scene.address(route))
        if response.status_code != ROUTES[route.name][place]:
            wrong.append(f"{route.name} answered {response.status_code} and not {ROUTES[route.name][place]}")
        if response.status_code == 302 and role == "anonymous":
            assert response["Location"].startswith("/admin/login/"), route.name
        wrong += [f"{route.name} reveals {place}" for place in leaks(response)]
        if everything() != before:
            wrong.append(f"{route.name} changed something")
            before = everything()
    wrong += [f"the log reveals {place}" for place, secret in secrets.items() if secret in caplog.text]
    assert wrong == []


@pytest.mark.parametrize("role", ["anonymous", "unprivileged", "viewer"])
def test_post__does_nothing_for_readers(scene: Scene, role: str) -> None:
    client, before = sign_in(role), everything()
    wrong = []
    for route in pages.routes():
        data = CHANGING_VIEWS.get(route.name, ("", {}))[1]
        response = client.post(scene.address(route), {"post": "yes", "confirmed": "1", **data})
        wrong += [f"{route.name} reveals {place}" for place in leaks(response)]
        if route.name in CHANGING_VIEWS and response.status_code not in (302, 403, 404):
            wrong.append(f"{route.name} answered {response.status_code}")
        if everything() != before:
            wrong.append(f"{route.name} changed something")
            before = everything()
    assert wrong == []


def test_post__changes_nothing_where_no_change_is_declared(scene: Scene) -> None:
    """Nor for a superuser: a route that does something stands in CHANGING_VIEWS, with its permission."""
    client, before = sign_in("administrator"), everything()
    wrong = []
    for route in (route for route in pages.routes() if route.name not in CHANGING_VIEWS):
        response = client.post(scene.address(route), {"post": "yes", "confirmed": "1"})
        wrong += [f"{route.name} reveals {place}" for place in leaks(response)]
        if everything() != before:
            wrong.append(f"{route.name} changed something")
            before = everything()
    assert wrong == []


@pytest.mark.parametrize("name", CHANGING_VIEWS)
def test_change__takes_its_permission_and_no_other(scene: Scene, name: str) -> None:
    permission, data = CHANGING_VIEWS[name]
    route = next(route for route in pages.routes() if route.name == name)
    key = scene.rows[AuthorizationLink].reveal("key").reveal()

    others, before = person("others", *(all_permissions() - {permission})), everything()
    refused = others.post(scene.address(route), data)
    assert refused.status_code == 403
    assert everything() == before
    assert leaks(refused) == []

    allowed = person("allowed", permission, *ALSO_NEEDS.get(name, [])).post(scene.address(route), data)
    assert allowed.status_code in (200, 302, 307)
    assert everything() != before
    # The one secret that is shown: the address of a link, to who asks for it and may share it.
    assert leaks(allowed, allowed=key if name == "authorizationlink_address" else "\0") == []


@pytest.mark.parametrize(("model", "action"), ACTIONS)
def test_action__takes_its_permission_and_no_other(scene: Scene, model: str, action: str, wechat: Simulator) -> None:
    permission = ACTIONS[model, action]
    row = scene.gone if action == "forget" else next(row for row in scene.rows.values() if _name(row) == model)
    address = pages.list_address(type(row))
    data = {"action": action, "_selected_action": [row.pk], "index": 0, "confirmed": "1"}

    others, before = person("others", *(all_permissions() - {permission})), everything()
    assert leaks(others.post(address, data, follow=True)) == []
    assert everything() == before
    assert f'value="{action}"' not in others.get(address).content.decode()

    allowed = person("allowed", permission)
    assert f'value="{action}"' in allowed.get(address).content.decode()
    assert allowed.get(address, data).status_code in (200, 302)
    assert everything()[AuditEntry._meta.label] == before[AuditEntry._meta.label]
    assert leaks(allowed.post(address, data, follow=True)) == []
    recorded = AuditEntry.objects.exclude(pk__in=[entry[0] for entry in before[AuditEntry._meta.label]])
    assert [entry.actor for entry in recorded if entry.actor] == ["allowed"]


def _name(row: Any) -> str:
    return str(row._meta.model_name)


def test_account_whose_owner_has_left__is_forgotten_and_never_deleted(scene: Scene) -> None:
    """Not even a superuser goes past the audit trail."""
    route = next(route for route in pages.routes() if route.name == "authorizer_delete")
    administrator = sign_in("administrator")
    assert administrator.post(route.address(scene.gone), {"post": "yes"}).status_code == 403
    assert Authorizer.objects.filter(pk=scene.gone.pk).exists()

    data = {"action": "forget", "_selected_action": [scene.gone.pk], "index": 0, "confirmed": "1"}
    administrator.post(pages.list_address(Authorizer), data)
    assert not Authorizer.objects.filter(pk=scene.gone.pk).exists()
    entry = AuditEntry.objects.get(kind=Forget.audit_kind)
    assert (entry.appid, entry.actor) == (GONE, "administrator")


def test_raw_profile__is_for_users_who_may_read_profiles_and_without_secrets(scene: Scene) -> None:
    address = next(route for route in pages.routes() if route.name == "authorizer_change").address(
        scene.rows[Authorizer]
    )
    assert RAW not in sign_in("viewer").get(address).content.decode()
    response = sign_in("operator").get(address)
    assert RAW in response.content.decode()
    assert leaks(response) == []


def test_link_of_ones_own__is_shown_once_to_its_maker_who_may_not_share(scene: Scene) -> None:
    """The form leads there by POST; the page that can be asked for again has no address."""
    maker = person("inviter", "authorize_account")
    form = reverse("admin:wechat_open_authorizationlink_add")
    sent_on = maker.post(form, CHANGING_VIEWS["authorizationlink_add"][1])
    assert sent_on.status_code == 307
    link = AuthorizationLink.objects.get(user__username="inviter")
    key = link.reveal("key").reveal()
    assert key in maker.post(sent_on["Location"]).content.decode()
    assert key not in maker.get(sent_on["Location"], follow=True).content.decode()
    assert person("another").post(sent_on["Location"]).status_code == 403


def test_csrf_token__is_required_by_every_view(scene: Scene) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(User.objects.create_superuser("administrator"))
    before = everything()
    answers = {route.name: client.post(scene.address(route), {"post": "yes"}).status_code for route in pages.routes()}
    assert set(answers.values()) == {403}
    assert everything() == before


# -- one permission alone ----------------------------------------------------------------------------------------------

MARKS: dict[type[Model], tuple[str, ...]] = {
    Component: ("canary-of-a-platform",),
    Authorizer: ("canary-of-an-account", "Authorized: ", 'class="wod-counts"', "has expired: nothing can be done"),
    AuthorizationLink: ("canary-of-a-link",),
    Push: ("canary-of-a-push", "to be processed, "),
    VerifyTicket: ("2019-02-02", "newest verify ticket"),
    AuditEntry: ("canary-of-the-audit-trail", "presented"),
    jobs.BulkJob: ("canary-of-a-bulk-action",),
    Alert: ("canary-of-an-alert",),
}
"""What rows of a model have written into them, and what findings about them say."""


@pytest.fixture
def marked(scene: Scene) -> Scene:
    """A mark in the rows of each model, and in no other's."""
    account, link, platform = (scene.rows[model] for model in (Authorizer, AuthorizationLink, Component))
    Authorizer.objects.update(nick_name="canary-of-an-account", name_key="canary-of-an-account")
    Authorizer.objects.filter(pk=account.pk).update(granted_through=link, access_token_expires_at=long_ago())
    VerifyTicket.objects.update(created_at=long_ago().replace(year=2019))
    AuthorizationLink.objects.update(payload={"tenant": "canary-of-a-link"}, tenant_key="canary-of-a-link")
    AuthorizationLink.objects.filter(pk=link.pk).update(authorizer=account, completed_at=timezone.now())
    Push.objects.update(info_type="canary-of-a-push", state=Push.State.FAILED, next_attempt_at=long_ago())
    AuditEntry.objects.update(actor="canary-of-the-audit-trail")
    audit.record(audit.Kind.CODE_MISUSED, platform, account=account, detail=f"#{link.pk}")
    AuditEntry.objects.filter(name="canary-of-an-account").update(name="")
    jobs.BulkJob.objects.update(actor="canary-of-a-bulk-action")
    Component.objects.filter(pk=platform.pk).update(failures=1, last_error="canary-of-a-platform")
    Alert.objects.update(
        context={"message": "canary-of-an-alert"}, acknowledged_at=timezone.now(), acknowledged_by="canary-of-an-alert"
    )
    return scene


def long_ago() -> datetime:
    return datetime(2020, 2, 2, 2, 2, 2, tzinfo=dt_timezone.utc)


def ours() -> list[str]:
    return [
        codename
        for model in pages.admins()
        for codename in (
            *(f"{action}_{model._meta.model_name}" for action in model._meta.default_permissions),
            *(codename for codename, _ in model._meta.permissions),
        )
    ]


def with_only(codename: str) -> Client:
    user = User.objects.create_user("only", is_staff=True)
    user.user_permissions.add(Permission.objects.get(content_type__app_label=pages.APP, codename=codename))
    client = Client()
    client.force_login(user)
    return client


@pytest.mark.parametrize("codename", ours())
def test_one_permission__shows_nothing_of_another_models_rows(marked: Scene, codename: str) -> None:
    client = with_only(codename)
    mine = {model for model in MARKS if codename == f"view_{model._meta.model_name}"}
    shown: set[type[Model]] = set()
    wrong = []
    for route in pages.routes():
        response = client.get(marked.address(route))
        body = b"".join(response.streaming_content) if response.streaming else response.content
        said = unescape(body.decode("utf-8", "replace"))
        found = {(model, mark) for model, marks in MARKS.items() for mark in marks if mark in said}
        wrong += [f"{route.name} shows {mark!r}" for model, mark in found if model not in mine]
        shown |= {model for model, _mark in found}
    assert wrong == []
    assert shown == mine


@pytest.mark.parametrize("codename", [f"view_{model._meta.model_name}" for model in pages.lists()])
def test_one_permission__leads_to_no_page_that_would_not_open(marked: Scene, codename: str) -> None:
    jobs.start(Refresh(), [marked.rows[Authorizer].pk], user=User.objects.get(username="maker"))
    client = with_only(codename)
    mine = [route for route in pages.routes() if codename == f"view_{route.model._meta.model_name}"]
    shut = set()
    for route in mine:
        response = client.get(marked.address(route))
        if response.status_code == 200 and not response.streaming and "html" in response["Content-Type"]:
            for address in set(re.findall(r'href="(/admin/wechat_open/[^"#?]+)', response.content.decode())):
                if client.get(address).status_code == 403:
                    shut.add((route.name, address))
    assert shut == set()


@pytest.mark.parametrize("model", [AuthorizationLink, Push, AuditEntry])
def test_search_by_an_accounts_name__finds_nothing_for_users_who_may_see_no_accounts(
    marked: Scene, model: type[Model]
) -> None:
    """Or the rows that remain would reveal the name."""
    for word in ("canary-of-an", OFFICIAL):
        shown = with_only(f"view_{model._meta.model_name}").get(pages.list_address(model, {"q": word}))
        assert bool(shown.context["cl"].result_count) is (word == OFFICIAL)
        User.objects.filter(username="only").delete()


def test_tenant__is_no_filter_and_no_search_for_users_who_may_see_no_links(marked: Scene) -> None:
    client = with_only("view_authorizer")
    plain = client.get(pages.list_address(Authorizer)).context["cl"].result_count
    assert client.get(pages.list_address(Authorizer, {"q": "canary-of-a-link"})).context["cl"].result_count == 0
    for tenant in ("canary-of-a-link", "unknown"):
        shown = client.get(pages.list_address(Authorizer, {"tenant": tenant}), follow=True)
        assert shown.context["cl"].result_count == plain


def test_export__leaves_out_the_tenant_for_users_who_may_see_no_links(marked: Scene) -> None:
    export = reverse("admin:wechat_open_authorizer_export")
    for also, recorded in (("view_authorizationlink", True), ("view_push", False)):
        user = User.objects.create_user(also, is_staff=True)
        names = ["view_authorizer", "export_account", also]
        user.user_permissions.set(Permission.objects.filter(codename__in=names))
        client = Client()
        client.force_login(user)
        table = b"".join(client.post(export, {"format": "csv"}).streaming_content).decode()
        assert ("canary-of-a-link" in table, "enant" in table) == (recorded, recorded)


def test_form_of_a_link__proposes_nothing_of_what_its_reader_may_not_see(marked: Scene) -> None:
    form = reverse("admin:wechat_open_authorizationlink_add") + f"?account={marked.rows[Authorizer].pk}"
    said = with_only("authorize_account").get(form).content.decode()
    assert "canary" not in said
    assert OFFICIAL not in said
    assert "canary-of-a-link" in person("viewer", "authorize_account").get(form).content.decode()


def test_dashboard__says_that_something_is_wrong_though_not_what(marked: Scene) -> None:
    """Else it would say that all is in order to who may see no accounts."""
    said = with_only("view_component").get(reverse("admin:wechat_open_dashboard")).content.decode()
    assert 'id="wod-tile-expired_tokens"' in said
    assert "You may not see" in said


def test_report_for_monitors__counts_nothing_to_readers_who_may_not_view_it(marked: Scene) -> None:
    address = reverse("wechat_open:health")
    whole, summary = person("viewer").get(address), with_only("view_component").get(address)
    assert whole.status_code == summary.status_code
    assert summary.json() == {name: whole.json()[name] for name in ("ok", "level", "problems")}
    assert whole.json().keys() > summary.json().keys()

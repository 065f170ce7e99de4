"""Pages of a second admin site link to pages of that site; pages outside find a site with our models."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.admin import AdminSite
from django.contrib.auth.models import User
from django.test import Client
from django.urls import clear_url_caches, include, path, reverse
from django.utils import timezone

import wechat_open.admin
from tests.console import pages
from wechat_open import authorization
from wechat_open.admin_urls import admin_url_outside
from wechat_open.models import AuditEntry, Authorizer, Component, Push, VerifyTicket
from wechat_open.operations import jobs
from wechat_open.operations.accounts import Refresh
from wechat_open.platforms import Platform

pytestmark = [pytest.mark.django_db, pytest.mark.urls(__name__)]

ops = AdminSite(name="ops")
wechat_open.admin.register(ops)
urlpatterns = [
    path("admin/", admin.site.urls),
    path("ops/", ops.urls),
    path("wechat/", include("wechat_open.urls")),
]


@pytest.fixture
def everything(platform: Platform, tea: Authorizer, admin_user: User) -> dict[Any, Any]:
    now = timezone.now()
    link = authorization.begin(payload={"shop": 1}, user=admin_user)
    Authorizer.objects.filter(pk=tea.pk).update(granted_through=link, failures=1, last_errcode=61023)
    push = Push.objects.create(
        component=tea.component, info_type="authorized", authorizer_appid=tea.appid, created_at=now, received_at=now
    )
    entry = AuditEntry.objects.create(component=tea.component, kind="link_made", appid=tea.appid, at=now, detail="#1")
    rows = [tea, link, push, entry, platform.row, jobs.start(Refresh(), [tea.pk], user=admin_user)]
    rows += list(VerifyTicket.objects.all()[:1])
    return {type(row): row for row in rows}


def lead_to(html: str) -> set[str]:
    return set(re.findall(r'(?:href|action|formaction|data-url)="(/[a-z]+/)', html)) - {"/static/"}


def walked(ours: AdminSite) -> Iterator[pages.Route]:
    yield from (route for route in pages.routes() if not route.name.endswith("_old"))


def test_every_page__leads_to_pages_of_its_own_site(admin_client: Client, everything: dict[Any, Any]) -> None:
    seen = 0
    for route in walked(ops):
        row = everything.get(route.model)
        if route.needs_row and row is None:
            continue
        admin_client.get("/admin/wechat_open/authorizer/")  # the page before may be one of the other site
        address = route.address(row).replace("/admin/", "/ops/", 1)
        answer = admin_client.get(address)
        if answer.status_code == 302:
            assert answer["Location"].startswith(("/ops/", "/wechat/")), address
        elif answer.status_code == 200 and answer["Content-Type"].startswith("text/html"):
            assert lead_to(answer.content.decode()) <= {"/ops/", "/wechat/"}, address
            seen += 1
    assert seen > 20
    for address in ("/ops/", "/ops/wechat_open/"):
        assert lead_to(admin_client.get(address).content.decode()) == {"/ops/"}
    assert lead_to(admin_client.get(reverse("admin:wechat_open_authorizer_changelist")).content.decode()) <= {
        "/admin/",
        "/wechat/",
    }


def test_action__leads_back_to_its_own_site(admin_client: Client, everything: dict[Any, Any]) -> None:
    account = everything[Authorizer]
    data = {"action": "forget", "_selected_action": [account.pk], "index": 0, "confirmed": "1", "back_to": account.pk}
    answer = admin_client.post("/ops/wechat_open/authorizer/", data)
    assert answer["Location"].startswith("/ops/")


def test_every_model_of_ours__is_on_the_second_site() -> None:
    assert {model for model in ops._registry if model._meta.app_label == "wechat_open"} == set(pages.admins())
    wechat_open.admin.register(ops)  # again: nothing to do


def test_what_is_registered_already__stays() -> None:
    class Mine(admin.ModelAdmin):  # type: ignore[type-arg]
        pass

    site = AdminSite(name="mine")
    site.register(Component, Mine)
    wechat_open.admin.register(site)
    assert type(site._registry[Component]) is Mine
    assert site.is_registered(Authorizer)


def test_page_outside__finds_the_default_site_first(tea: Authorizer) -> None:
    assert admin_url_outside("wechat_open_authorizer_change", tea.pk).startswith("/admin/")


def test_page_outside__finds_the_only_site_that_knows_us(tea: Authorizer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"{__name__}.urlpatterns", urlpatterns[1:])
    clear_url_caches()
    assert admin_url_outside("wechat_open_authorizer_change", tea.pk).startswith("/ops/")
    assert admin_url_outside("login") == "/ops/login/"
    clear_url_caches()

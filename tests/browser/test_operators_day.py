"""The daily work of operators in the admin, in Chinese and in English.

They see red, find out why and fix it; connect an account by a link; refresh all tokens; process a failed push again;
find the accounts that lack a permission and ask their owners. WeChat is the simulator; a worker runs beside the site.

``WECHAT_PICTURES=folder`` takes a picture of every step, wide and narrow, light and dark: the documentation's.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone
from playwright.sync_api import Page, expect

from tests.browser.conftest import OpenSite, Site
from tests.console import scene
from wechat_open import audit, platforms, tokens
from wechat_open.health import alerts, statistics
from wechat_open.management.runner import Loop, all_jobs
from wechat_open.models import (
    AuditEntry,
    AuthorizationLink,
    Authorizer,
    BulkJob,
    Component,
    Push,
    VerifyTicket,
)
from wechat_open.operations import jobs
from wechat_open.operations.accounts import Refresh
from wechat_open.rounds import Deadline
from wechat_open.simulator.state.engine import Engine

pytestmark = [pytest.mark.browser, pytest.mark.slow]

OpenPage = Callable[..., Page]

PICTURES = os.environ.get("WECHAT_PICTURES", "")
LOOKS = [(1280, 900, "light"), (1280, 900, "dark"), (390, 844, "light"), (390, 844, "dark")]
PHONE = {
    "viewport": {"width": 390, "height": 844},
    "is_mobile": True,
    "has_touch": True,
    "user_agent": "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) AppleWebKit/605.1.15 MicroMessenger/8.0.40",
}
NEW, CURSED = "wx5d0f3a81e92c46b7", "wx7c1e55aa04d9f3b8"
MENU = 15
"""The permission set of custom menus, which some accounts have not granted."""


@pytest.fixture
def site(open_site: OpenSite, monkeypatch: pytest.MonkeyPatch) -> Site:
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")  # playwright has an event loop, and the test has the database
    return open_site("tests.browser.middleware.only_from_here")


@pytest.fixture
def workers(site: Site, settings: Any) -> Iterator[Callable[[], None]]:
    """Two, as Celery would have them: one runs beat's jobs in turn, one is woken for bulk actions."""
    settings.WECHAT_OPEN = settings.WECHAT_OPEN | {"RENEWALS_PER_SECOND": 1000}  # this WeChat is not ours to spare
    stopped = threading.Event()

    def go_round() -> None:
        loop = Loop(all_jobs(["default"]), say=lambda said: None, complain=lambda said: None)
        while not stopped.wait(1):
            loop.once()
        connection.close()

    def do_what_is_asked() -> None:
        while not stopped.wait(0.2):
            jobs.run_open(Deadline.after(2))
        connection.close()

    threads = [threading.Thread(target=go_round), threading.Thread(target=do_what_is_asked)]

    def start() -> None:
        for thread in threads:
            thread.start()

    yield start
    stopped.set()
    for thread in threads:
        if thread.ident:
            thread.join(30)


def populate(engine: Engine, accounts: int) -> None:
    """So many accounts that WeChat knows, and a platform whose tickets have stayed away for the night."""
    scene.fill(scene.Size(accounts=accounts, pushes=60, links=30, entries=accounts))
    platform = platforms.get()
    Push.objects.exclude(state=Push.State.DONE).delete()  # of accounts that the scene made up
    BulkJob.objects.filter(finished_at=None).delete()
    rows = []
    for row in Authorizer.objects.filter(state=Authorizer.State.AUTHORIZED).select_related("component"):
        engine.add_account(
            row.nick_name, row.kind or "official", appid=row.appid, permissions=tuple(row.func_info) or (1,)
        )
        _, grant, token = engine.query_auth(engine.authorize(row.appid).code)
        row.access_token = row.encrypt("access_token", token.text)
        row.refresh_token = row.encrypt("refresh_token", grant.refresh_token)
        rows.append(row)
    Authorizer.objects.bulk_update(rows, ["access_token", "refresh_token"], batch_size=200)
    Component.objects.update(access_token="", access_token_expires_at=None, next_action_at=None)
    tokens.component_token(platform)

    night = timezone.now() - timedelta(hours=9)
    engine.settings.pushing = False
    VerifyTicket.objects.filter(created_at__gt=night).update(created_at=night, received_at=night)
    asked = timezone.now() - timedelta(minutes=5)  # by the worker, which does not ask again so soon
    Component.objects.update(last_push_at=night, push_started_at=asked, push_answer="ok", reconciled_at=timezone.now())
    statistics.update(Component.objects.get())
    alerts.watch()


class Album:
    """Pictures of what the operator sees, in the four looks."""

    def __init__(self, page: Page, language: str) -> None:
        self.page = page
        self.folder = Path(PICTURES, language) if PICTURES else None

    def take(self, name: str, *, full: bool = False) -> None:
        if self.folder is None:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        for width, height, scheme in LOOKS:
            self.page.set_viewport_size({"width": width, "height": height})
            self.page.emulate_media(color_scheme=scheme)
            self.page.wait_for_timeout(400)
            self.page.screenshot(path=self.folder / f"{name}-{width}-{scheme}.png", full_page=full)
        self.page.set_viewport_size({"width": 1280, "height": 900})
        self.page.emulate_media(color_scheme="light")


def act(page: Page, action: str) -> None:
    """Choose every row that the filters leave, and an action."""
    page.locator("#action-toggle").check()
    across = page.locator(".actions .question a")
    if across.is_visible():
        across.click()
    page.locator("select[name=action]").select_option(action)
    page.locator(".actions button[type=submit]").first.click()


def agree(page: Page) -> None:
    page.locator(".wechat-open-question button.default, .wechat-open-answers button").first.click()


def until(page: Page, happens: Callable[[], bool]) -> None:
    """Look again and again for two minutes."""
    for _ in range(240):
        if happens():
            return
        page.wait_for_timeout(500)
    raise AssertionError("It did not happen.")


@pytest.mark.parametrize(("locale", "accounts"), [("en", 1100), ("zh-CN", 150)])
def test_day(site: Site, open_page: OpenPage, workers: Callable[[], None], locale: str, accounts: int) -> None:
    engine = site.wechat.engine
    populate(engine, accounts)
    workers()
    page = open_page(site, operator=True, locale=locale, viewport={"width": 1280, "height": 900})
    page.set_default_timeout(30_000)
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    album = Album(page, locale)
    admin = f"{site.url}/admin/wechat_open"

    # Nine in the morning: something is red. Which is it, what does it mean, and what is to be done?
    page.goto(f"{admin}/")
    page.locator(".wod-entry a").click()
    ticket = page.locator("#wod-tile-ticket_age")
    expect(ticket).to_have_attribute("data-level", "red")
    expect(page.locator("#wod-urgent")).to_contain_text("9")
    album.take("1-red", full=True)

    # WeChat is asked to push again; it does, and the page that stayed open turns green by itself.
    ticket.locator("button").click()
    expect(page.locator(".messagelist .success")).to_be_visible()
    assert engine.settings.pushing
    assert AuditEntry.objects.filter(kind=audit.Kind.TICKETS_REQUESTED, user__username="admin").exists()
    assert site.wechat.control("push-ticket")["body"] == "success"
    expect(ticket).to_have_attribute("data-level", "green", timeout=60_000)
    album.take("2-fixed", full=True)

    # A new shop wants to be connected: a link for it, sent to its owner, who confirms on a phone.
    engine.add_account("青禾茶室", "official", appid=NEW, principal_name="杭州青禾餐饮管理有限公司")
    page.goto(f"{admin}/authorizationlink/add/")
    page.locator("[name=payload]").fill("shop = 7")
    page.locator("[name=biz_appid]").fill(NEW)
    album.take("3-invite")
    page.locator(".submit-row input").click()
    address = page.locator("#link-address")
    expect(address).to_contain_text(f"{site.url}/wechat/authorize/")
    album.take("4-link")
    phone = open_page(site, locale=locale, **PHONE)
    phone.goto(address.inner_text())
    phone.locator("#phone-link").tap()
    phone.get_by_role("radio", name="青禾茶室").check()
    phone.locator("button[value=confirm]").click()
    phone.wait_for_url(f"{site.url}/wechat/authorized/**")
    link = AuthorizationLink.objects.get(biz_appid=NEW)
    page.goto(f"{admin}/authorizationlink/{link.pk}/change/")
    expect(page.locator("#content")).to_contain_text("青禾茶室")
    album.take("5-connected")
    new = Authorizer.objects.get(appid=NEW)
    page.goto(f"{admin}/authorizer/{new.pk}/change/")
    expect(page.locator(".wechat-open-head")).to_contain_text("青禾茶室")
    expect(page.locator(".wechat-open-need-good")).to_be_visible()

    # Which accounts need a person? One of them is looked at.
    page.goto(f"{admin}/authorizer/")
    album.take("6-accounts")
    page.goto(f"{admin}/authorizer/?state__exact=needs_reauthorization")
    page.locator("#result_list tbody th a, #result_list tbody td.field-named a").first.click()
    expect(page.locator(".wechat-open-need-bad")).to_be_visible()
    album.take("7-account")

    # All tokens are renewed, while the operator sees how far it is.
    page.goto(f"{admin}/authorizer/?state__exact=authorized")
    act(page, "refresh")
    expect(page.locator(".wechat-open-question")).to_be_visible()
    album.take("8-question")
    agree(page)
    progress = page.locator(".wechat-open-job progress")
    expect(progress).to_be_visible()
    until(page, lambda: progress.evaluate("bar => bar.value > bar.max * 0.4"))
    album.take("9-progress")
    job = BulkJob.objects.filter(action=Refresh.name, user__username="admin").order_by("-pk")[0]
    assert job.total > accounts * 0.85
    expect(page.locator("[data-while=open]")).to_be_hidden(timeout=600_000)
    assert progress.evaluate("bar => bar.value === bar.max")
    job.refresh_from_db()
    assert (job.done, job.failed) == (job.total, 0)
    album.take("10-finished")

    # An owner authorized while WeChat was out of order; the push is processed again.
    engine.add_account("松间书店", "official", appid=CURSED)
    site.wechat.control("faults", path="/cgi-bin/component/api_query_auth", errcode=-1, times=50)
    site.wechat.control("authorize", appid=CURSED)
    page.goto(f"{admin}/push/?state__exact=failed")
    failed = page.locator("#result_list tbody tr", has_text=CURSED)
    until(page, lambda: page.reload() and failed.count() > 0)
    album.take("11-failed-push")
    failed.locator("a").first.click()
    album.take("12-push")
    site.wechat.faults.clear()
    page.locator("button[value=replay]").first.click()
    expect(page.locator(".messagelist .success")).to_be_visible()
    assert Authorizer.objects.filter(appid=CURSED, state=Authorizer.State.AUTHORIZED).exists()

    # Menus are to be sold: who has not granted that permission set? Their owners are asked.
    page.goto(f"{admin}/authorizer/?kind__exact=official&state__exact=authorized&lacks={MENU}")
    lacking = Authorizer.objects.filter(kind="official", state="authorized").exclude(func_key__contains=f",{MENU},")
    assert 0 < lacking.count() < accounts / 2
    album.take("13-lacking")
    act(page, "ask")
    expect(page.locator(".wechat-open-question")).to_be_visible()
    album.take("14-ask")
    agree(page)
    made = AuthorizationLink.objects.filter(biz_appid__in=lacking.values("appid"), user__username="admin")
    until(page, lambda: made.count() == lacking.count())
    page.goto(f"{admin}/authorizationlink/")
    album.take("15-links")

    # Who did all that?
    page.goto(f"{admin}/auditentry/?q=admin")
    expect(page.locator("#result_list tbody tr").first).to_contain_text("admin")
    album.take("16-trail")
    assert complaints == []

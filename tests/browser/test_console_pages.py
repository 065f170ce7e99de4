"""Do the console's pages need nothing that a strict CSP forbids, and does axe find nothing serious?

Every page of ours that can be asked for, found in the admin's registry, and a few of Django's beside them; in both
languages, light and dark, wide and narrow.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import django
import pytest
from axe_playwright_python.sync_playwright import Axe
from django.contrib.auth.models import User
from django.test import Client
from playwright.sync_api import ConsoleMessage, Page

from tests.browser.conftest import OpenSite, Site
from tests.console import pages, scene
from wechat_open import authorization
from wechat_open.models import Authorizer, Push

pytestmark = pytest.mark.browser

OpenPage = Callable[..., Page]

WIDE = {"viewport": {"width": 1280, "height": 900}}
NARROW = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}

LISTEN = """
    const violations = (window.violations = []);
    document.addEventListener("securitypolicyviolation", event => {
        violations.push(`${event.violatedDirective} ${event.blockedURI} ${event.sourceFile}:${event.lineNumber}`);
    });
"""

DJANGOS = ["/admin/", "/admin/auth/user/", "/admin/auth/user/add/"]


@pytest.fixture
def site(open_site: OpenSite, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """A platform with some life in it, under the strictest policy that Django knows."""
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")  # playwright has an event loop, and the test has the database
    if django.VERSION >= (6, 0):
        settings.SECURE_CSP = {"default-src": ["'self'"]}
        site = open_site("django.middleware.csp.ContentSecurityPolicyMiddleware")
    else:
        site = open_site("tests.browser.middleware.only_from_here")
    scene.fill(scene.Size(accounts=60, pushes=60, links=20, entries=60))
    return site


def addresses() -> list[str]:
    """One for each page that opens by GET, and those that an action asks with."""
    administrator = Client()
    administrator.force_login(User.objects.get(username="admin"))
    found = [*DJANGOS, "/admin/wechat_open/"]
    for door in pages.doors():
        row = door.model._default_manager.order_by("pk").first() if door.needs_row else None
        response = administrator.get(door.address(row))
        if response.status_code == 200 and response["Content-Type"].startswith("text/html"):
            found.append(door.address(row))
    account = Authorizer.objects.exclude(state=Authorizer.State.AUTHORIZED).order_by("pk")[0]
    found += [
        f"/admin/wechat_open/authorizationlink/add/?account={account.pk}",
        f"/admin/wechat_open/authorizer/{account.pk}/change/",
        "/admin/wechat_open/authorizer/?q=nobody-at-all",
    ]
    assert len(found) > 25
    return found


def ask_by_action(page: Page, site: Site, model: str, action: str) -> None:
    page.goto(f"{site.url}/admin/wechat_open/{model}/")
    page.locator("#action-toggle").check()
    page.locator("select[name=action]").select_option(action)
    page.locator(".actions button[type=submit]").first.click()


BY_DJANGO = [("label-title-only", "#searchbar")]
"""Its label is a picture with a text for who cannot see it, which axe does not count."""


def serious(page: Page) -> list[str]:
    """What axe finds, as far as it keeps somebody from using the page."""
    # Without preloading: it would ask for style sheets at wrong addresses.
    report = Axe().run(page, options={"resultTypes": ["violations"], "preload": False}).response
    where = page.url.partition("/admin")[2]
    return [
        f"{where}: {found['id']} ({found['impact']}) at {node['html'][:200]} {node['failureSummary'][:300]}"
        for found in report["violations"]
        if found["impact"] in ("serious", "critical")
        for node in found["nodes"][:3]
        if (found["id"], node["target"][0]) not in BY_DJANGO
    ]


@pytest.mark.parametrize(
    ("locale", "scheme", "window"),
    [("en", "light", WIDE), ("zh-CN", "dark", NARROW)],
    ids=["english-light-wide", "chinese-dark-narrow"],
)
def test_pages__need_nothing_inline_and_nothing_serious_is_in_the_way(
    site: Site, open_page: OpenPage, locale: str, scheme: str, window: dict[str, Any]
) -> None:
    page = open_page(site, operator=True, locale=locale, color_scheme=scheme, **window)
    page.add_init_script(LISTEN)
    complaints: list[str] = []

    def listen(message: ConsoleMessage) -> None:
        where = message.location.get("url", "")
        if message.type == "error" and not where.endswith("/favicon.ico"):
            complaints.append(f"{message.text} {where}")

    page.on("console", listen)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    wrong = []

    def examine() -> None:
        wrong.extend(f"{page.url}: {violation}" for violation in page.evaluate("window.violations"))
        wrong.extend(f"{page.url}: {said}" for said in complaints)
        if page.url.removeprefix(site.url) not in DJANGOS:  # how those are to be used is Django's affair
            wrong.extend(serious(page))
        if page.evaluate("document.documentElement.scrollWidth > innerWidth + 1"):
            wrong.append(f"{page.url}: wider than the window")
        complaints.clear()

    for address in addresses():
        page.goto(site.url + address)
        examine()
    for model, action in [("authorizer", "refresh_now"), ("authorizationlink", "revoke"), ("push", "process_again")]:
        ask_by_action(page, site, model, action)
        examine()
    page.goto(f"{site.url}/admin/wechat_open/authorizationlink/{authorization.begin().pk}/change/")
    page.locator("form[action$='/address/'] button").click()
    examine()
    page.goto(f"{site.url}/admin/wechat_open/push/{Push.objects.order_by('pk')[0].pk}/change/")
    page.locator("form[action$='/payload/'] button").click()
    examine()
    assert wrong == [], "\n".join(wrong)

"""Our pages obey a strict CSP, fit their window and pass axe.

Every page of ours that can be asked for, found in the admin's registry, those that an owner sees, and a few of Django's
beside them; in both languages, light and dark, wide and narrow.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from axe_playwright_python.base import AXE_SCRIPT
from django.contrib.auth.models import User
from django.db.models import Model
from django.test import Client
from django.utils import timezone
from playwright.sync_api import ConsoleMessage, Page

from tests.browser.conftest import OpenSite, Site
from tests.console import pages, scene
from wechat_open import authorization
from wechat_open.models import Alert, Authorizer, BulkJob, Push, VerifyTicket

pytestmark = pytest.mark.browser

OpenPage = Callable[..., Page]

WINDOWS = {"wide": (1280, 900), "narrow": (390, 844)}

SCHEMES = {"light": [], "dark": ["color-contrast", "link-in-text-block"]}
"""And axe's rules for each: all; and those that look at colours, for nothing else is different."""

BEFORE = """
    const violations = (window.violations = []);
    document.addEventListener("securitypolicyviolation", event => {
        violations.push(`${event.violatedDirective} ${event.blockedURI} ${event.sourceFile}:${event.lineNumber}`);
    });
    const still = new CSSStyleSheet();  // or axe would measure a colour that is on its way to another
    still.replaceSync("* { transition: none !important; }");
    document.adoptedStyleSheets.push(still);
"""

UNFOLD = """() => {
    const sorts = new Set();
    for (const details of document.querySelectorAll("details")) {
        details.open ||= !sorts.has(details.className);
        sorts.add(details.className);
    }
}"""
"""What can be opened: one of each sort, for axe takes its time."""

TOO_WIDE = """() => [document.documentElement, ...document.querySelectorAll(".results")]
    .filter(box => box.scrollWidth > box.clientWidth)
    .map(box => `${box.localName}.${box.className} is ${box.clientWidth} wide, and what it holds ${box.scrollWidth}`)
"""

# Without preloading: it would ask for style sheets at wrong addresses.
AXE = """async rules => {
    const options = { resultTypes: ["violations"], preload: false };
    const report = await axe.run(rules.length ? { ...options, runOnly: rules } : options);
    return report.violations.flatMap(found => found.nodes.map(node => ({
        rule: found.id, impact: found.impact, target: String(node.target[0]),
        said: `${node.html.slice(0, 200)} ${node.failureSummary.slice(0, 300)}`,
    })));
}"""

BY_DJANGO = [("label-title-only", "#searchbar")]
"""Its label is a picture with a text for who cannot see it, which axe does not count."""

ERROR = {"failures": 3, "last_errcode": 61023, "last_error": "refresh_token is invalid", "last_rid": "6a5b-1"}
UNHEALTHY: list[dict[str, Any]] = [
    {"state": Authorizer.State.UNAUTHORIZED, "access_token_expires_at": None},
    {"state": Authorizer.State.NEEDS_REAUTHORIZATION, "access_token_expires_at": None, **ERROR},
    {"state": Authorizer.State.AUTHORIZED, "access_token_expires_at": timezone.now() - timedelta(hours=9), **ERROR},
]

DJANGOS = ["/admin/", "/admin/auth/user/", "/admin/auth/user/add/"]


@pytest.fixture
def site(open_site: OpenSite, strictest: str, monkeypatch: pytest.MonkeyPatch) -> Site:
    """A platform with some life in it, under the strictest policy that Django knows."""
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")  # playwright has an event loop, and the test has the database
    site = open_site(strictest)
    scene.fill(scene.Size(accounts=12, pushes=8, links=8, entries=12))  # short lists: axe takes its time for each row
    VerifyTicket.objects.filter(created_at__lt=timezone.now() - timedelta(hours=3)).delete()
    BulkJob.objects.filter(created_at__lt=timezone.now() - timedelta(days=2)).delete()
    spread(Authorizer, UNHEALTHY)
    spread(Push, [{"state": state} for state in Push.State])
    return site


def spread(model: type[Model], what: list[dict[str, Any]]) -> None:
    """One row for each, among the first that a list shows."""
    for row, values in zip(model._default_manager.order_by("pk"), what, strict=False):
        model._default_manager.filter(pk=row.pk).update(**values)


def addresses() -> list[str]:
    """One for each page that opens by GET: in the admin, and for owners."""
    administrator = Client()
    administrator.force_login(User.objects.get(username="admin"))
    found = [*DJANGOS, "/admin/wechat_open/"]
    for route in pages.routes():
        if (
            route.name == "dashboard" and not route.takes
        ):  # the same page as the one with the platform's name in its address
            continue
        row = route.model._default_manager.order_by("pk").first() if route.needs_row else None
        response = administrator.get(route.address(row))
        if response.status_code == 200 and response["Content-Type"].startswith("text/html"):
            found.append(route.address(row))
    account = Authorizer.objects.exclude(state=Authorizer.State.AUTHORIZED).order_by("pk")[0]
    found += [
        f"/admin/wechat_open/authorizationlink/add/?account={account.pk}",
        f"/admin/wechat_open/authorizer/{account.pk}/change/",
        "/admin/wechat_open/authorizer/?state__exact=authorized&kind__exact=official",
        "/admin/wechat_open/push/?q=no-such-account",
        "/wechat/authorize/",
        "/wechat/authorized/unknown/",
    ]
    assert len(found) > 25
    return found


def visits(page: Page, site: Site) -> Iterator[None]:
    """Open each page: those that have an address, and those that an action or a button leads to."""
    for address in addresses():
        page.goto(site.url + address)
        yield
    for model, action in [("authorizer", "refresh"), ("authorizationlink", "revoke"), ("push", "replay")]:
        page.goto(f"{site.url}/admin/wechat_open/{model}/")
        page.locator("#action-toggle").check()
        page.locator("select[name=action]").select_option(action)
        page.locator(".actions button[type=submit]").first.click()
        yield
    page.goto(f"{site.url}/admin/wechat_open/push/{Push.objects.order_by('pk')[0].pk}/change/")
    page.locator("button[formaction$='/payload/']").click()
    yield
    page.goto(f"{site.url}/admin/wechat_open/authorizationlink/{authorization.begin().pk}/change/")
    page.locator("form[action$='/address/'] button, button[formaction$='/address/']").click()
    yield
    page.goto(page.locator("#link-address").inner_text())
    yield


@pytest.mark.parametrize("locale", ["en", "zh-CN"])
def test_pages__need_nothing_inline_fit_and_nothing_is_in_the_way(site: Site, open_page: OpenPage, locale: str) -> None:
    page = open_page(site, operator=True, locale=locale)
    page.add_init_script(BEFORE)
    wrong: list[str] = []

    def listen(message: ConsoleMessage) -> None:
        where = message.location.get("url", "")
        if message.type == "error" and not where.endswith(("/favicon.ico", page.url)):
            wrong.append(f"{page.url}: {message.text} {where}")

    page.on("console", listen)
    page.on("pageerror", lambda error: wrong.append(f"{page.url}: {error}"))

    for _visit in visits(page, site):
        page.evaluate(AXE_SCRIPT)
        page.evaluate(UNFOLD)
        where = page.url.removeprefix(site.url)
        for window, (width, height) in WINDOWS.items():
            page.set_viewport_size({"width": width, "height": height})
            if where in DJANGOS:  # how those are to be used is Django's affair
                continue
            wrong += [f"{where} {window}: {said}" for said in page.evaluate(TOO_WIDE)]
            for scheme, rules in SCHEMES.items():
                page.emulate_media(color_scheme=scheme)
                wrong += [
                    f"{where} {window} {scheme}: {found['rule']} ({found['impact']}) at {found['said']}"
                    for found in page.evaluate(AXE, rules)
                    if (found["rule"], found["target"]) not in BY_DJANGO
                ]
        wrong += [f"{where}: {violation}" for violation in page.evaluate("window.violations")]
    assert wrong == [], "\n".join(wrong)


@pytest.mark.parametrize("locale", ["en", "zh-CN"])
def test_rows_of_accounts__take_two_lines(site: Site, open_page: OpenPage, locale: str) -> None:
    """So that a screen shows as many of them as it can, in either language."""
    page = open_page(site, operator=True, locale=locale, viewport={"width": 1280, "height": 900})
    page.goto(f"{site.url}/admin/wechat_open/authorizer/?state__exact=unauthorized")
    heights = page.evaluate(
        "() => [...document.querySelectorAll('#result_list tbody tr')].map(row => row.offsetHeight)"
    )
    assert heights
    assert max(heights) < 60


def test_buttons_of_an_alert__look_like_those_of_other_pages(site: Site, open_page: OpenPage) -> None:
    page = open_page(site, operator=True)
    alert = Alert.objects.filter(resolved_at=None)[0]
    page.goto(f"{site.url}/admin/wechat_open/alert/{alert.pk}/change/")
    button = page.locator(".field-actions_here button").first
    assert button.evaluate("button => getComputedStyle(button).borderRadius") == "4px"

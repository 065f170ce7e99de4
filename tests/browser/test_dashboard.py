"""The dashboard in a browser: it is drawn and kept up to date, and nothing moves under the reader."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from playwright.sync_api import ConsoleMessage, Page, expect

from tests.browser.conftest import OpenSite, Site
from wechat_open.admin.dashboard import views
from wechat_open.models import Component, HourlyCount, VerifyTicket

pytestmark = pytest.mark.browser

OpenPage = Callable[..., Page]
PATH = "/admin/wechat_open/dashboard/"

INK = """canvas => {
    const copy = document.createElement("canvas");
    [copy.width, copy.height] = [canvas.width, canvas.height];
    const pen = copy.getContext("2d");
    pen.drawImage(canvas, 0, 0);
    const pixels = pen.getImageData(0, 0, copy.width, copy.height).data;
    const seen = new Map();
    for (let place = 0; place < pixels.length; place += 4) {
        if (pixels[place + 3] === 255) {
            const colour = pixels.slice(place, place + 3).join(",");
            seen.set(colour, (seen.get(colour) || 0) + 1);
        }
    }
    return [...seen.entries()].sort((one, other) => other[1] - one[1])[0];
}"""
"""The colour that covers most of a plot, and how many pixels."""

RENEWALS = "document.querySelector('[data-plot=renewals] canvas')"


@pytest.fixture
def site(open_site: OpenSite, strictest: str, monkeypatch: pytest.MonkeyPatch) -> Site:
    """With a day's numbers, looked at once a second."""
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")  # playwright has an event loop, and the test has the database
    monkeypatch.setattr(views, "SECONDS", 1)
    site = open_site(strictest)
    hour = datetime.now(timezone.utc).replace(minute=0, second=0, microsecond=0)
    for back in range(24):
        for what, count in (("renewed", 900), ("failed", back), ("pushes", 40), ("pushes_failed", back // 9)):
            HourlyCount.objects.create(
                component=Component.objects.get(), hour=hour - timedelta(hours=back), counter=what, count=count
            )
    return site


def complaints_of(page: Page) -> list[str]:
    complaints: list[str] = []

    def listen(message: ConsoleMessage) -> None:
        if "favicon" not in message.location.get("url", ""):
            complaints.append(message.text)

    page.on("console", listen)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    return complaints


def let_tickets_be_old(hours: float) -> None:
    at = datetime.now(timezone.utc) - timedelta(hours=hours)
    VerifyTicket.objects.update(created_at=at, received_at=at)


def test_plots__are_drawn_under_a_strict_csp_in_either_theme(site: Site, open_page: OpenPage) -> None:
    page = open_page(site, operator=True, viewport={"width": 1280, "height": 900}, color_scheme="light")
    complaints = complaints_of(page)
    page.goto(site.url + PATH)

    plot = page.locator('[data-plot="renewals"] canvas')
    expect(plot).to_be_visible()
    expect(plot).to_have_attribute(
        "aria-label", "Renewals per hour. In the last 24 hours: 21,600 renewals, and 276 that failed."
    )
    drawn = f"() => {{ const [colour, pixels] = ({INK})({RENEWALS}) || []; return pixels > 2000 && colour; }}"
    light = page.wait_for_function(drawn).json_value()

    page.emulate_media(color_scheme="dark")
    page.wait_for_function(f"light => ({INK})({RENEWALS})[0] !== light", arg=light)
    page.locator(".theme-toggle:visible").first.click()  # the reader's choice wins: auto, then light when it is dark
    page.wait_for_function(f"light => ({INK})({RENEWALS})[0] === light", arg=light)
    assert complaints == []


def test_refresh__keeps_focus_place_and_what_is_open(site: Site, open_page: OpenPage) -> None:
    page = open_page(site, operator=True, viewport={"width": 1280, "height": 500})
    complaints = complaints_of(page)
    page.goto(site.url + PATH)
    ticket, details = page.locator("#wod-tile-ticket_age"), page.locator("#wod-plot-pushes details")
    expect(ticket).to_have_attribute("data-level", "green")
    details.locator("summary").click()
    table = details.get_by_role("region")
    table.evaluate("element => { element.scrollTop = 300; }")
    page.locator("#wod-accounts").evaluate("element => element.scrollIntoView()")
    ticket.get_by_role("link").evaluate("element => element.focus({ preventScroll: true })")
    top = page.locator("#wod-accounts").evaluate("element => element.getBoundingClientRect().top")

    let_tickets_be_old(hours=7)
    expect(ticket).to_have_attribute("data-level", "red")

    assert page.locator("#wod-urgent #wod-tile-ticket_age").count() == 1
    expect(page.locator("#wod-announcer")).to_contain_text("Verify ticket: act now. The newest verify ticket came")
    assert details.get_attribute("open") is not None
    assert table.evaluate("element => element.scrollTop") == 300
    assert ticket.get_by_role("link").first.evaluate("element => element === document.activeElement")
    moved = page.locator("#wod-accounts").evaluate("element => element.getBoundingClientRect().top") - top
    assert abs(moved) < 2
    assert complaints == []


def test_pause__stops_and_goes_on(site: Site, open_page: OpenPage) -> None:
    page = open_page(site, operator=True)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if request.url.endswith("/data/") else None)
    page.goto(site.url + PATH)
    page.get_by_role("button", name="Pause").click()
    page.wait_for_timeout(1500)  # what was under way
    before = len(asked)
    let_tickets_be_old(hours=7)
    page.wait_for_timeout(2500)
    assert len(asked) == before
    expect(page.locator("#wod-tile-ticket_age")).to_have_attribute("data-level", "green")

    page.get_by_role("button", name="Resume").click()
    expect(page.locator("#wod-tile-ticket_age")).to_have_attribute("data-level", "red")


def test_page_that_cannot_be_refreshed__says_so(site: Site, open_page: OpenPage) -> None:
    page = open_page(site, operator=True)
    page.goto(site.url + PATH)
    expect(page.locator(".wod-update-failed")).to_be_hidden()
    page.route("**/data/", lambda route: route.abort())
    expect(page.locator(".wod-update-failed")).to_be_visible()
    page.unroute("**/data/")
    expect(page.locator(".wod-update-failed")).to_be_hidden()


def test_without_javascript__all_is_there_but_the_plots(site: Site, open_page: OpenPage) -> None:
    page = open_page(site, operator=True, java_script_enabled=False)
    page.goto(site.url + PATH)
    expect(page.locator("#wod-tile-ticket_age")).to_be_visible()
    expect(page.locator("#wod-plot-renewals").get_by_role("cell", name="900").first).to_be_visible()
    expect(page.locator("#wod-plot-renewals canvas")).to_be_hidden()
    expect(page.locator("#wod-pause")).to_be_hidden()


def test_paper__shows_the_numbers_instead_of_the_plots(site: Site, open_page: OpenPage) -> None:
    page = open_page(site, operator=True)
    page.goto(site.url + PATH)
    expect(page.locator("#wod-plot-pushes canvas")).to_be_visible()
    page.emulate_media(media="print")
    expect(page.locator("#wod-plot-pushes canvas")).to_be_hidden()
    expect(page.locator("#wod-plot-pushes").get_by_role("cell", name="40").first).to_be_visible()


@pytest.mark.parametrize("locale", ["en", "zh-CN"])
def test_page__fits_a_phone(site: Site, open_page: OpenPage, locale: str) -> None:
    page = open_page(site, operator=True, locale=locale, viewport={"width": 390, "height": 800})
    page.goto(site.url + PATH)
    expect(page.locator("#wod-plot-renewals canvas")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_action__is_started_by_keyboard(site: Site, open_page: OpenPage, settings: Any) -> None:
    page = open_page(site, operator=True)
    page.goto(site.url + PATH)
    page.get_by_role("link", name="Compare with WeChat's list now").first.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Compare with WeChat's list now")
    page.get_by_role("button", name="Compare now").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_text("A comparison is running, or starts automatically within minutes.")).to_be_visible()

"""The way to WeChat and back in a browser, with its rules about Referer, cookies and CSP."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import ConsoleMessage, Page, expect

from tests.browser.conftest import OpenSite, Site

pytestmark = pytest.mark.browser

OpenPage = Callable[..., Page]
MIDDLEWARE = "tests.browser.middleware."
PHONE = {
    "viewport": {"width": 390, "height": 844},
    "is_mobile": True,
    "has_touch": True,
    "user_agent": "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) AppleWebKit/605.1.15 MicroMessenger/8.0.40",
}


def make_links(page: Page, site: Site) -> None:
    """The operator's connect page, with links."""
    page.goto(f"{site.url}/wechat/authorize/")
    page.locator("#make-links").click()


def confirm(page: Page) -> None:
    """The owner's part on WeChat's page."""
    page.get_by_role("radio", name="Corner Shop").check()
    page.locator("button[value=confirm]").click()


def is_connected(page: Page, site: Site) -> bool:
    """Back on the site, under an address without a code."""
    expect(page.get_by_role("heading", level=1)).to_have_text("Account connected")
    expect(page.get_by_text("Corner Shop")).to_be_visible()
    return page.url.startswith(f"{site.url}/wechat/authorized/") and "auth_code" not in page.url


def test_on_a_computer__the_whole_way(open_site: OpenSite, open_page: OpenPage) -> None:
    site = open_site()
    page = open_page(site, operator=True)

    make_links(page, site)
    page.get_by_role("link", name="Authorize on this computer").click()
    page.wait_for_url(f"{site.wechat.url}/cgi-bin/componentloginpage**")
    confirm(page)
    assert is_connected(page, site)

    page.goto(f"{site.url}/admin/wechat_open/authorizer/")
    expect(page.get_by_text("Corner Shop").first).to_be_visible()


def test_djangos_default_referrer_policy__ends_on_wechats_refusal(open_site: OpenSite, open_page: OpenPage) -> None:
    """The same way as above: what makes the difference is the header that the connect page sends."""
    site = open_site(MIDDLEWARE + "django_default_referrer_policy")
    page = open_page(site, operator=True)

    make_links(page, site)
    with page.expect_navigation() as answer:
        page.get_by_role("link", name="Authorize on this computer").click()

    assert answer.value.status == 403
    assert page.url.startswith(f"{site.wechat.url}/cgi-bin/componentloginpage")
    assert "空" in page.content()
    assert page.locator("button[value=confirm]").count() == 0


def test_pasted_address__ends_on_wechats_refusal(open_site: OpenSite, open_page: OpenPage) -> None:
    """Which is why the QR code leads to our page, and not to WeChat's."""
    site = open_site()
    page = open_page(site, operator=True)
    make_links(page, site)
    address = page.locator("#phone-link").get_attribute("href")
    assert address

    answer = open_page(site).goto(address)
    assert answer and answer.status == 403


def test_on_the_owners_phone__by_the_link_that_the_operator_sends(open_site: OpenSite, open_page: OpenPage) -> None:
    """And by the QR code, which holds the same address."""
    site = open_site()
    computer, phone = open_page(site, operator=True), open_page(site, **PHONE)
    make_links(computer, site)
    invitation = computer.locator("#invitation-url").inner_text()
    computer.get_by_role("button", name="Copy").click()
    expect(computer.get_by_text("Copied")).to_be_visible()

    phone.goto(invitation)
    phone.get_by_role("link", name="Authorize on this phone").tap()
    phone.wait_for_url(f"{site.wechat.url}/wxaopen/safe/bindcomponent**")
    confirm(phone)
    assert is_connected(phone, site)

    computer.goto(invitation)
    expect(computer.get_by_text("This link has been used")).to_be_visible()


def test_return_in_another_browser__is_refused(open_site: OpenSite, open_page: OpenPage) -> None:
    site = open_site()
    page, stranger = open_page(site, operator=True), open_page(site)
    make_links(page, site)
    page.locator("#pc-link").click()
    page.route(f"{site.url}/wechat/authorized/**", lambda route: route.abort())
    with page.expect_request(f"{site.url}/wechat/authorized/**") as back:
        confirm(page)

    answer = stranger.goto(back.value.url)
    assert answer and answer.status == 403
    expect(stranger.get_by_text("did not exchange the code")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages__need_nothing_that_a_strict_csp_forbids(open_site: OpenSite, open_page: OpenPage, scheme: str) -> None:
    site = open_site(MIDDLEWARE + "strict_content_security_policy")
    page = open_page(site, operator=True, color_scheme=scheme)
    complaints: list[str] = []

    def listen(message: ConsoleMessage) -> None:
        complaints.append(message.text)

    page.on("console", listen)
    make_links(page, site)
    page.locator(".choice > summary").click()
    expect(page.locator("#pc-link")).to_be_visible()
    assert page.locator(".qr").bounding_box()
    page.locator("#pc-link").click()
    confirm(page)

    assert is_connected(page, site)
    assert complaints == []


@pytest.mark.parametrize("path", ["/wechat/authorize/?category_ids=18", "/wechat/authorized/unknown/"])
@pytest.mark.parametrize("locale", ["en", "zh-CN"])
def test_pages__fit_a_phone(open_site: OpenSite, open_page: OpenPage, path: str, locale: str) -> None:
    site = open_site()
    page = open_page(site, operator=True, locale=locale, viewport={"width": 320, "height": 640})
    page.goto(site.url + path)
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
    if "authorize/" in path:
        page.locator("#make-links").click()
        expect(page.locator(".qr")).to_be_visible()
        page.wait_for_load_state()  # with its style sheet
        assert page.evaluate("document.documentElement.scrollWidth") <= 320


def test_choice__is_made_without_a_script(open_site: OpenSite, open_page: OpenPage) -> None:
    site = open_site()
    page = open_page(site, operator=True, java_script_enabled=False)
    make_links(page, site)

    page.locator(".choice > summary").click()
    page.get_by_label("Kinds of account").select_option("official")
    page.get_by_text("For official accounts").click()
    page.get_by_role("checkbox", name="Messages 1", exact=True).check()
    page.get_by_role("button", name="Create links with these options").click()

    address = page.locator("#pc-link").get_attribute("href") or ""
    assert "auth_type=1" in address
    assert "category_id_list=1" in address


def test_chinese_reader__reads_chinese(open_site: OpenSite, open_page: OpenPage) -> None:
    site = open_site()
    page = open_page(site, operator=True, locale="zh-CN")
    page.goto(f"{site.url}/wechat/authorize/?category_ids=18")

    assert page.locator("html").get_attribute("lang") == "zh-hans"
    expect(page.get_by_text("小程序开发管理与数据分析")).to_be_visible()

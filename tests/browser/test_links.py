"""An operator copies a link's address, with the script and without, and the owner gets through by it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import OpenSite, Site

pytestmark = pytest.mark.browser

OpenPage = Callable[..., Page]


def make_link(page: Page, site: Site) -> str:
    """Fill in the form by keyboard as far as needed; the address that is shown."""
    page.goto(f"{site.url}/admin/wechat_open/authorizationlink/add/")
    page.get_by_label("Tenant").fill("shop = 7")
    page.get_by_role("button", name="Create link").press("Enter")
    expect(page.get_by_text("The link is ready.")).to_be_visible()
    address = page.locator("#link-address").inner_text()
    assert address.startswith(f"{site.url}/wechat/authorize/link/")
    assert address.rstrip("/").rpartition("/")[2] not in page.url
    return address


def test_address__is_copied_and_leads_to_wechat(open_site: OpenSite, open_page: OpenPage) -> None:
    site = open_site()
    page = open_page(site, operator=True, permissions=["clipboard-read", "clipboard-write"])
    address = make_link(page, site)

    page.get_by_role("button", name="Copy").press("Enter")
    expect(page.get_by_role("status")).to_have_text("Copied")
    assert page.evaluate("navigator.clipboard.readText()") == address

    owner = open_page(site)
    owner.goto(address)
    owner.get_by_role("link", name="Authorize on this computer").click()
    owner.wait_for_url(f"{site.wechat.url}/cgi-bin/componentloginpage**")
    owner.get_by_role("radio", name="Corner Shop").check()
    owner.locator("button[value=confirm]").click()
    expect(owner.get_by_role("heading", level=1)).to_have_text("Account connected")

    page.goto(f"{site.url}/admin/wechat_open/authorizationlink/")
    page.locator("#result_list tbody a").first.click()
    expect(page.get_by_text("An account was connected through it on")).to_be_visible()
    expect(page.get_by_role("cell", name="on a computer")).to_be_visible()
    expect(page.get_by_role("link", name="Corner Shop").first).to_be_visible()


def test_without_script__the_address_is_there_and_no_button_that_does_nothing(
    open_site: OpenSite, open_page: OpenPage
) -> None:
    site = open_site()
    page = open_page(site, operator=True, java_script_enabled=False)
    make_link(page, site)
    assert not page.locator("[data-copy]").is_visible()
    page.goto(f"{site.url}/admin/wechat_open/authorizationlink/add/")
    expect(page.get_by_label("Hours")).to_be_visible()


def test_own_time__is_asked_for_when_it_is_chosen(open_site: OpenSite, open_page: OpenPage) -> None:
    site = open_site()
    page = open_page(site, operator=True)
    page.goto(f"{site.url}/admin/wechat_open/authorizationlink/add/")
    expect(page.get_by_label("Hours")).to_be_hidden()
    page.get_by_label("Can be opened for").select_option("other")
    expect(page.get_by_label("Hours")).to_be_visible()

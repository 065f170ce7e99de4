"""Fixtures of browser tests: a site, a WeChat and a browser.

The site answers as ``localhost``, WeChat as ``127.0.0.1``: two hosts, as in life.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import django
import pytest
from django.conf import settings as site_settings
from django.contrib.staticfiles.handlers import StaticFilesHandler
from django.test import Client
from django.test.testcases import LiveServerThread
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from wechat_open.simulator import Simulator

CHROMIUM_SWITCHES = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

TIMEOUT = 30_000
"""Milliseconds until something that was to happen counts as missing. The machine may be busy with other things."""

expect.set_options(timeout=TIMEOUT)


@dataclass
class Site:
    """A running site, with the session of an operator."""

    url: str
    wechat: Simulator
    session: str


OpenSite = Callable[..., Site]


@pytest.fixture
def open_site(transactional_db: None, wechat: Simulator, settings: Any, admin_client: Client) -> Iterator[OpenSite]:
    """Start the site, with more middleware if a test says so. It has received a ticket."""
    servers = []

    def start(*middleware: str) -> Site:
        settings.MIDDLEWARE = [*middleware, *site_settings.MIDDLEWARE]
        server = LiveServerThread("localhost", StaticFilesHandler)
        server.daemon = True
        server.start()
        server.is_ready.wait()
        if server.error:
            raise server.error
        servers.append(server)
        site = Site(f"http://localhost:{server.port}", wechat, admin_client.cookies["sessionid"].value)
        wechat.callback = f"{site.url}/wechat/"
        assert wechat.control("push-ticket")["body"] == "success"
        return site

    yield start
    for server in servers:
        server.terminate()


@pytest.fixture
def strictest(settings: Any) -> str:
    """Middleware that sends the strictest policy: Django's own, where Django has one. Nothing inline, all from here."""
    if django.VERSION < (6, 0):
        return "tests.browser.middleware.only_from_here"
    settings.SECURE_CSP = {"default-src": ["'self'"]}
    return "django.middleware.csp.ContentSecurityPolicyMiddleware"


@pytest.fixture
def browser(open_site: OpenSite, chromium: str) -> Iterator[Browser]:
    """Chromium; closed before the site, and before the database is emptied."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM_SWITCHES)
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser: Browser) -> Callable[..., Page]:
    """A new browser window: another person, or another device."""

    def start(site: Site, *, operator: bool = False, **context: Any) -> Page:
        window: BrowserContext = browser.new_context(locale=context.pop("locale", "en"), **context)
        window.set_default_timeout(TIMEOUT)
        if operator:
            window.add_cookies([{"name": "sessionid", "value": site.session, "url": site.url}])
        return window.new_page()

    return start

"""A machine can read every number that is meant for one, in every language of the site.

With ``USE_THOUSAND_SEPARATOR`` Django writes 1,234,567 in English; in German 66.67 is 66,67 on any site. People like
that, and a form, a progress bar and a drawing cannot read it. So every page is looked through in both languages: no
attribute holds a comma between digits, but for texts that are read out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from html.parser import HTMLParser
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db.models import Model
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from tests.admin.staff import act, page
from tests.console import pages
from tests.stage import OFFICIAL
from wechat_open import authorization, platforms
from wechat_open.models import (
    Alert,
    AuditEntry,
    AuthorizationLink,
    Authorizer,
    BulkFailure,
    BulkJob,
    Component,
    Push,
    VerifyTicket,
)
from wechat_open.platforms import Platform
from wechat_open.simulator import Simulator

BIG = 1_234_567
"""A key that people would have written with separators."""

READ_OUT = {"title", "aria-label", "alt", "placeholder", "data-news"}
"""Attributes whose text is for people."""


class Attributes(HTMLParser):
    """What a page gives a machine."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, str, str]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.found += [(tag, name, value) for name, value in attributes if value and name not in READ_OUT]


def unreadable(html: str) -> list[tuple[str, str, str]]:
    return [one for one in Attributes(html).found if re.search(r"\d,\d", one[2])]


@pytest.fixture(params=["en", "de"])
def browser(request: pytest.FixtureRequest, settings: Any, db: None) -> Client:
    """A superuser's, who reads this language."""
    settings.USE_THOUSAND_SEPARATOR = True
    settings.LANGUAGES = [("en", "English"), ("de", "Deutsch")]
    client = Client(headers={"Accept-Language": request.param})
    client.force_login(User.objects.create_superuser("administrator", pk=BIG))
    return client


@pytest.fixture
def platform(wechat: Simulator, db: None) -> Platform:
    """With a row that has a long key."""
    platform = platforms.get()
    Component.objects.create(pk=BIG, appid=platform.appid)
    return platform


@pytest.fixture
def scene(platform: Platform) -> dict[type[Model], Any]:
    """A row of each sort with a long key, and whatever draws a button, a bar or a picture."""
    row, now = platform.row, timezone.now()
    tokens = {"access_token_obtained_at": now, "access_token_expires_at": now + timedelta(hours=2)}
    states = ("authorized", "authorized", "unauthorized")  # two of three: 66.67 %
    accounts = [
        Authorizer(pk=BIG + number, component=row, appid=f"wx{number:016}", state=state, func_info=[1, 7], **tokens)
        for number, state in enumerate(states)
    ]
    Authorizer.objects.bulk_create(accounts)
    made = authorization.begin(biz_appid=OFFICIAL, payload={"shop": BIG})
    AuthorizationLink.objects.filter(pk=made.pk).update(id=BIG)
    link = AuthorizationLink.objects.select_related("component").get()
    link.key = link.encrypt("key", made.reveal("key").reveal())
    link.save()
    counts = {"total": BIG, "position": 12_345, "done": 12_344, "failed": 1}
    common = {"component": row, "created_at": now, "received_at": now}
    rows = [
        accounts[0],
        link,
        row,
        BulkJob(pk=BIG, action="refresh", targets=[], created_at=now, **counts),
        Push(pk=BIG, digest="x", info_type="authorized", authorizer_appid=OFFICIAL, state="failed", **common),
        VerifyTicket(pk=BIG, ticket="", **common),
        AuditEntry(pk=BIG, at=now, component=row, kind="link_made", errcode=61023, ok=False, detail=f"#{BIG}"),
        Alert(pk=BIG, component=row, code="overdue", severity="critical", first_seen_at=now, last_seen_at=now, count=1),
    ]
    for new in rows[3:]:
        new.save(force_insert=True)
    BulkFailure.objects.create(job_id=BIG, key=BIG, name="Tea", reason="61023", errcode=61023)
    return {type(one): one for one in rows}


def seen(browser: Client, scene: dict[type[Model], Any]) -> Iterator[tuple[str, HttpResponse]]:
    """Every page: the routes, the lists with their filters, the questions, and what owners see."""
    for route in pages.routes():
        if route.name != "auditentry_export":  # CSV
            address = route.address(scene[route.model] if route.needs_row else None)
            yield address, browser.get(address)
    for model in pages.lists():
        for address in pages.list_addresses(browser, model, [OFFICIAL], most=2):
            yield address, browser.get(address)
    yield "address", browser.post(page(scene[AuthorizationLink], "address"))
    for name, sort in (("forget", Authorizer), ("revoke", AuthorizationLink)):
        yield name, act(browser, name, scene[sort], back_to=BIG)
    yield "connect", browser.get(reverse("wechat_open:authorize"))


def test_number_in_an_attribute__is_distinguished_from_a_text() -> None:
    html = '<progress value="1,234" title="1,234 rows"></progress><a href="?a=1,b">1,234</a>'
    assert unreadable(html) == [("progress", "value", "1,234")]


@pytest.mark.slow
def test_machines__can_read_every_number(browser: Client, scene: dict[type[Model], Any]) -> None:
    shown, wrong = 0, []
    for address, response in seen(browser, scene):
        if response.status_code == 200 and "html" in response["Content-Type"]:
            wrong += [(address, *one) for one in unreadable(response.content.decode())]
            shown += 1
    assert wrong == []
    assert shown > 60


def test_owners__get_pages_that_machines_can_read(browser: Client, scene: dict[type[Model], Any]) -> None:
    link = scene[AuthorizationLink].with_key()
    assert unreadable(browser.get(link.get_absolute_url()).content.decode()) == []


def test_buttons__work_on_the_page_of_a_row_with_a_long_key(browser: Client, scene: dict[type[Model], Any]) -> None:
    for model in (Authorizer, Push, AuthorizationLink):
        html = browser.get(page(scene[model])).content.decode()
        sent = re.findall(r'name="(?:_selected_action|back_to)" value="(.*?)"', html)
        assert sent
        assert set(sent) == {str(BIG)}


def test_error_number__is_shown_as_wechat_writes_it(browser: Client, scene: dict[type[Model], Any]) -> None:
    assert re.search("61[.,]023", browser.get(page(scene[AuditEntry])).content.decode()) is None

"""The tester's start page and its buttons."""

from __future__ import annotations

import re
from typing import Any

import pytest
import requests

from tests.simulator.callback import Callback
from tests.simulator.pages.test_authorization import Form
from wechat_open.simulator import DEMO_OFFICIAL, Simulator


def test_start_page__shows_accounts_and_pushes(wechat: Simulator) -> None:
    assert "还没有推送" in requests.get(wechat.url, timeout=5).text
    wechat.control("authorize", appid=DEMO_OFFICIAL)
    page = requests.get(f"{wechat.url}/?lang=en", timeout=5)
    assert page.headers["Content-Security-Policy"].startswith("default-src 'none'")
    for text in ("山茶书店", "Authorized", "Not authorized", "Cancel the authorization", "<code>authorized</code>"):
        assert text in page.text
    Form(page.text)  # no inline style or script


def test_push__is_shown_with_its_time_account_and_answer(wechat: Simulator, callback: Callback) -> None:
    wechat.control("authorize", appid=DEMO_OFFICIAL)
    row = re.search(r"<tbody>(.*?)</tr>", requests.get(wechat.url, timeout=5).text, re.DOTALL)[1]
    assert re.search(r"<time>\d\d:\d\d:\d\d</time>", row)
    assert ("山茶书店" in row, "200 success" in row) == (True, True)


def test_owner__cancels_the_authorization(wechat: Simulator, callback: Callback) -> None:
    wechat.engine.authorize(DEMO_OFFICIAL)
    for _ in range(2):  # the second time from a page that was left open
        answer = requests.post(
            f"{wechat.url}/_page/unauthorize?lang=en", data={"appid": DEMO_OFFICIAL}, allow_redirects=False, timeout=5
        )
        assert (answer.status_code, answer.headers["Location"]) == (303, "/?lang=en")
    assert wechat.engine.account(DEMO_OFFICIAL).grant is None
    callback.wait_for("unauthorized")


def test_start_page__leads_to_the_phone(wechat: Simulator) -> None:
    page = requests.get(f"{wechat.url}/?lang=en", timeout=5).text
    assert '<a class="button" href="/_page/phone?lang=en">Open the phone</a>' in page


@pytest.mark.parametrize("path", ["/_page/phone", "/_page/unauthorize", "/_page/control"])
def test_pages_of_other_sites__cannot_submit_its_forms(wechat: Simulator, path: str) -> None:
    wechat.engine.authorize(DEMO_OFFICIAL)
    answer = requests.post(
        wechat.url + path, data={"appid": DEMO_OFFICIAL}, headers={"Origin": "https://evil.example"}, timeout=5
    )
    assert answer.status_code == 403
    assert wechat.engine.account(DEMO_OFFICIAL).grant is not None


# Its buttons


def press(wechat: Simulator, do: str, **fields: str) -> requests.Response:
    return requests.post(f"{wechat.url}/_page/control?lang=en", data={"do": do, **fields}, timeout=5)


def test_button__pushes_a_ticket(wechat: Simulator, callback: Callback) -> None:
    page = press(wechat, "ticket")
    assert "Pushed a ticket; the site answered success." in page.text
    assert callback.wait_for("component_verify_ticket").push.fields["ComponentVerifyTicket"] == wechat.engine.ticket


def test_ticket_that_the_site_refuses__is_shown_with_the_answer(wechat: Simulator, callback: Callback) -> None:
    callback.answer = lambda received: (403, b"refused")
    assert "The site did not accept the ticket: 403." in press(wechat, "ticket").text


@pytest.mark.parametrize("kind", ["official", "mini"])
def test_button__adds_an_account(wechat: Simulator, kind: str) -> None:
    page = press(wechat, "account", nick_name=" 新店 <1> ", kind=kind)
    added = next(account for account in wechat.engine.accounts.values() if account.nick_name == "新店 <1>")
    assert added.kind == kind
    assert f"Added 新店 &lt;1&gt; ({added.appid})." in page.text


@pytest.mark.parametrize(
    ("fields", "fault", "line"),
    [
        ({"kind": "errcode", "value": "-1"}, {"errcode": -1, "times": 1}, "user/get: errcode -1, 1 more"),
        ({"kind": "status", "value": "502", "times": "3"}, {"status": 502, "times": 3}, "HTTP status 502, 3 more"),
        ({"kind": "delay", "value": "2"}, {"delay": 2, "times": 1}, "late answer 2"),
        ({"kind": "hang"}, {"hang": 3600.0, "times": 1}, "no answer, 1 more"),
        ({"kind": "lost"}, {"lost": True, "times": 1}, "done, answer lost"),
        ({"kind": "garbage"}, {"times": 1}, "garbage, 1 more"),
    ],
)
def test_button__sets_a_fault(wechat: Simulator, fields: dict[str, str], fault: dict[str, Any], line: str) -> None:
    page = press(wechat, "fault", path="/cgi-bin/user/get", **fields)
    (active,) = wechat.control("faults", "GET")["faults"]
    assert active.items() >= fault.items()
    assert line in page.text
    assert "No fault is set." in press(wechat, "clear").text
    assert wechat.control("faults", "GET")["faults"] == []


@pytest.mark.parametrize(
    ("button", "seconds"), [("advance_minutes", 600), ("advance_hours", 7200), ("advance_day", 86400)]
)
def test_button__moves_the_clock(wechat: Simulator, button: str, seconds: int) -> None:
    assert "ahead of this machine" in press(wechat, button).text
    assert wechat.clock.ahead == seconds


@pytest.mark.parametrize(
    ("do", "fields", "why"),
    [
        ("account", {"nick_name": " ", "kind": "mini"}, "&#x27;nick_name&#x27; must be a text"),
        ("account", {"nick_name": "x", "kind": "shop"}, "must be &#x27;official&#x27; or &#x27;mini&#x27;"),
        ("fault", {"path": "", "kind": "lost"}, "&#x27;path&#x27; must be a text"),
        ("fault", {"path": "/x", "kind": "errcode", "value": "many"}, "must be a whole number"),
        ("fault", {"path": "/x", "kind": "lost", "times": "0"}, "at least 1"),
        ("fault", {"path": "/x", "kind": "lost", "times": "often"}, "must be a number"),
        ("fault", {"path": "/x", "kind": "melt"}, "Exactly one of"),
        ("explode", {}, "There is no button &#x27;explode&#x27;"),
        ("", {}, "There is no button"),
    ],
)
def test_wrong_input__is_explained_and_changes_nothing(
    wechat: Simulator, do: str, fields: dict[str, str], why: str
) -> None:
    before = len(wechat.engine.accounts)
    page = press(wechat, do, **fields)
    assert (page.status_code, why in page.text) == (400, True)
    assert (len(wechat.engine.accounts), wechat.control("faults", "GET")["faults"]) == (before, [])

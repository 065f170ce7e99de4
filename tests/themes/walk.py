"""Opens every page of the console on a site with one of the admin's themes, and prints what is wrong with which.

``python -m tests.themes.walk simpleui`` in a process of its own: a theme is an app of the site.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from datetime import timedelta
from html.parser import HTMLParser
from typing import Any


class Forms(HTMLParser):
    """In which form each button of an action stands, as a browser reads the page: a form in a form is none."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.inside: list[dict[str, Any]] = []
        self.depth = 0
        self.buttons: dict[str, dict[str, Any] | None] = {}
        self.nested = False
        self.feed(html)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = dict(attributes)
        if tag == "form":
            self.nested |= bool(self.inside)
            if not self.inside:
                self.inside.append(
                    {"action": given.get("action", ""), "method": given.get("method", "get"), "names": set()}
                )
        elif tag in ("input", "button", "select") and self.inside:
            self.inside[0]["names"].add(given.get("name"))
        if tag == "button" and given.get("name") == "action":
            self.buttons[str(given.get("value"))] = self.inside[0] if self.inside else None

    def handle_endtag(self, tag: str) -> None:
        if tag == "form" and self.inside:
            self.inside.pop()


def faults(theme: str) -> Iterator[str]:
    from django.contrib.auth.models import User
    from django.core.management import call_command
    from django.test import Client
    from django.test.utils import setup_test_environment
    from django.utils import timezone

    from tests.console import pages
    from wechat_open import authorization, platforms
    from wechat_open.health import advice
    from wechat_open.models import AuditEntry, Authorizer, Push, VerifyTicket
    from wechat_open.operations import jobs
    from wechat_open.operations.accounts import Refresh

    setup_test_environment()
    call_command("migrate", verbosity=0)
    now = timezone.now()
    failed = {"info_type": "authorized", "authorizer_appid": "wxa", "state": "failed"}
    admin_user = User.objects.create_superuser("admin", "admin@example.com", "secret")
    component = platforms.get("default").row
    component.access_token = component.encrypt("access_token", "good")
    component.access_token_expires_at = now + timedelta(hours=1)
    component.save()
    account = Authorizer.objects.create(component=component, appid="wxa", nick_name="山茶书店", needs_reconcile=True)
    kept = {"created_at": now, "received_at": now}
    rows = [
        component,
        account,
        authorization.begin(payload={"shop": 7}, user=admin_user),
        Push.objects.create(component=component, **failed, **kept),
        AuditEntry.objects.create(component=component, kind="refreshed", appid="wxa", at=now),
        jobs.start(Refresh(), [account.pk], user=admin_user),
        VerifyTicket.objects.create(component=component, digest="a", **kept),
    ]
    known = {type(row): row for row in rows}
    browser = Client(raise_request_exception=False)
    browser.force_login(admin_user)
    html: dict[str, str] = {}
    for language in ("en", "zh-hans"):
        for route in pages.routes():
            row = known.get(route.model)
            if route.needs_row and row is None:
                continue
            answer = browser.get(route.address(row), headers={"accept-language": language})
            if answer.status_code >= 500:
                yield f"{language} {route.name}: {answer.status_code}"
            if language == "en" and answer.status_code == 200 and not answer.streaming:
                html[route.name] = answer.content.decode()
        for address in ("/admin/", "/admin/wechat_open/"):
            if browser.get(address, headers={"accept-language": language}).status_code != 200:
                yield f"{language} {address}"

    of_account = Forms(html["authorizer_change"])
    actions = advice.for_account(account).actions
    if actions != ("reconcile",) or "wechat-open-need-busy" not in html["authorizer_change"]:
        yield "the page of an account does not say what it needs"
    for page, action in (("authorizer_change", "reconcile"), ("push_change", "replay")):
        form = Forms(html[page]).buttons.get(action)
        if form is None:
            yield f"{page}: {action} stands in no form"
        elif form["method"].lower() != "post" or not {"csrfmiddlewaretoken", "_selected_action"} <= form["names"]:
            yield f"{page}: {action} is sent with {form}"
    if of_account.nested:
        yield "the page of an account has a form in a form"
    what = html["authorizer_change"]
    if (
        not 0
        < what.find("wechat-open-head")
        < what.find("wechat-open-timeline" if "wechat-open-timeline" in what else "Recent pushes")
    ):
        yield "what an account needs does not come first"

    # As the theme sends it: to the page itself, or to where its form says.
    data = {"action": "forget", "index": "0", "_selected_action": account.pk, "back_to": account.pk}
    answer = browser.post(f"/admin/wechat_open/authorizer/{account.pk}/change/", data)
    if "Forget 1 account?" not in answer.content.decode():
        yield f"an action that is sent to the page itself is answered with {answer.status_code}"

    listed = html["authorizer_changelist"]
    for wanted in ("Needs its owner", "Export", "山茶书店", "tenant"):
        if wanted not in listed:
            yield f"the list lacks {wanted}"
    if re.search(r"name[ _]key", listed):
        yield "the search box names a column of the database"
    found = browser.get("/admin/wechat_open/authorizer/?q=nothing").content.decode()
    if "Searched for" not in found:
        yield "the list does not say what it searched"
    if "Process all failed ones again" not in html["push_changelist"]:
        yield "the inbox does not offer to process again what failed"
    if not html["dashboard"].count("wod-"):
        yield "the dashboard is empty"


def main() -> int:
    theme = sys.argv[1]
    os.environ["ADMIN_THEME"] = theme
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.themes.settings"
    import django

    django.setup()
    wrong = list(faults(theme))
    print("\n".join(wrong) or "everything in order")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

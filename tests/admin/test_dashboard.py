"""The dashboard says whether a platform is healthy, what to do and where; viewing it changes nothing."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from html import unescape
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.http import HttpRequest
from django.test import Client, RequestFactory
from django.test.utils import CaptureQueriesContext
from django.urls import resolve, reverse
from django.utils.translation import override

from wechat_open import audit, health, platforms, tokens
from wechat_open.admin.dashboard.tiles import measured, tiles, where
from wechat_open.admin.display import span
from wechat_open.health import AMBER, CHECKS, GREEN, RED, Finding, statistics
from wechat_open.health.findings import COUNT, SECONDS
from wechat_open.models import Alert, AuditEntry, Authorizer, Component, HourlyCount, Push
from wechat_open.operations.accounts import Reconcile
from wechat_open.platforms import Platform
from wechat_open.simulator import Simulator

INDEX = "/admin/wechat_open/dashboard/"
PAGE = f"{INDEX}default/"
DATA = f"{PAGE}data/"
TICKETS = f"{PAGE}tickets/"
COMPARE = f"{PAGE}compare/"
FORGET = f"{PAGE}forget-tickets/"


def browser(*permissions: str, superuser: bool = False) -> Client:
    user = User.objects.create_user(f"user-{'-'.join(permissions)}", is_staff=True, is_superuser=superuser)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def platform(platform: Platform) -> Platform:
    """It has been here for a while: no worker is so new that the check waits for it."""
    Component.objects.update(created_at=datetime.now(timezone.utc) - timedelta(hours=1))
    return platform


@pytest.fixture
def viewer(platform: Platform) -> Client:
    return browser("view_component")


@pytest.fixture
def operator(platform: Platform) -> Client:
    seen = ("component", "authorizer", "push", "verifyticket", "auditentry")
    return browser(*(f"view_{model}" for model in seen), "request_tickets", "reconcile_account")


def read(client: Client, path: str = PAGE) -> str:
    response = client.get(path)
    assert response.status_code == 200
    return unescape(response.content.decode())


def words(page: str) -> str:
    """What is read, without tags and line ends."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page))


def tile(page: str, code: str) -> str:
    return page.split(f'id="wod-tile-{code}"')[1].split("</li>")[0]


def request_of(*permissions: str) -> HttpRequest:
    request = RequestFactory().get(PAGE)
    request.user = User.objects.create_user("reader", is_staff=True)
    request.user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    return request


def make_accounts(component: Component, number: int, **columns: Any) -> None:
    first = Authorizer.objects.count()
    Authorizer.objects.bulk_create(
        Authorizer(component=component, appid=f"wx{first + place:016x}", **columns) for place in range(number)
    )


# -- what is shown -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("level", "word"), [(GREEN, "in order"), (AMBER, "watch"), (RED, "act now")])
def test_finding__is_shown_with_its_level_message_hint_and_place(
    platform: Platform, operator: Client, monkeypatch: pytest.MonkeyPatch, level: health.Level, word: str
) -> None:
    findings = [
        Finding(code, level, f"It means <{code}>.", hint="Do this & that.", value=7, page="accounts:overdue")
        for code in CHECKS
    ]
    monkeypatch.setattr(health, "examine", lambda platform: findings)

    page = read(operator)

    for code in CHECKS:
        shown = tile(page, code)
        assert f'data-level="{level}"' in shown
        if level is GREEN and code == "needs_reauthorization":
            continue  # see below
        assert f"#wod-sign-{level}" in shown
        assert f'<span class="wod-word">{word}</span>' in shown
        assert f"<p>It means <{code}>.</p>" in shown
        assert "Do this & that." in shown
        assert f"?component__id__exact={platform.row.pk}&attention=overdue" in shown


@pytest.mark.parametrize(
    ("code", "value", "word"),
    [
        ("needs_reauthorization", 3, "known, none new"),
        ("reconciliation", None, "not yet"),
        ("missing_keys", None, "not yet"),
    ],
)
def test_green_that_is_not_in_order__has_no_tick(
    operator: Client, monkeypatch: pytest.MonkeyPatch, code: str, value: int | None, word: str
) -> None:
    monkeypatch.setattr(health, "examine", lambda platform: [Finding(code, GREEN, "It is so.", value=value)])
    shown = tile(read(operator), code)
    assert "#wod-sign-none" in shown
    assert f'<span class="wod-word">{word}</span>' in shown
    assert "in order" not in shown


def test_every_finding_of_health__has_a_title_and_stands_on_the_page(platform: Platform, operator: Client) -> None:
    with override("en"):
        findings = health.examine(platform)
    assert {found.code for found in findings} == set(CHECKS)

    page = read(operator)
    for found in findings:
        shown = words(tile(page, found.code))
        assert found.title in shown
        if not any(character.isdigit() for character in found.message):  # "2 seconds ago" has gone on since
            assert found.message in shown
        assert found.hint in shown


def test_red__comes_first_and_is_counted(operator: Client) -> None:
    """A platform without a worker."""
    page = read(operator)
    assert words(page).index("What needs a person now") < words(page).index("What is in order")
    urgent = page.split('id="wod-urgent"')[1].split("</section>")[0]
    assert 'id="wod-tile-beat"' in urgent
    assert re.search(r"[1-9]\d* things need a person now", words(page))


def test_all_green__reads_calm(platform: Platform, operator: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        health, "examine", lambda platform: [Finding("beat", GREEN, "Beat sent a task 3 seconds ago.", value=3)]
    )
    page = read(operator)
    assert "Everything is in order." in page
    assert "What needs a person now" not in page
    assert "What to keep an eye on" not in page


def test_alert__shows_since_when(platform: Platform, operator: Client) -> None:
    at = datetime.now(timezone.utc) - timedelta(hours=3, minutes=20)
    alert = Alert(component=platform.row, code="beat", severity="critical", first_seen_at=at, last_seen_at=at)
    alert.open_key = "x"
    alert.save()
    Alert.objects.update(acknowledged_at=at, acknowledged_by="li", muted_until=at + timedelta(days=1), muted_by="zhang")
    page = read(operator)
    assert "/alert/" not in page and "noticed" not in words(page) and "zhang" not in page, "without the permission"

    shown = tile(read(browser("view_component", "view_alert")), "beat")
    assert "noticed 3 hours ago" in words(shown).replace("\xa0", " ")
    assert f'href="{reverse("admin:wechat_open_alert_change", args=[alert.pk])}"' in shown
    assert "acknowledged by li; muted until 2" in words(shown) and "by zhang" in words(shown)


def test_accounts__are_counted_by_sort_and_lead_to_their_list(platform: Platform, operator: Client) -> None:
    make_accounts(platform.row, 3, kind="official", verify_type=0)
    make_accounts(platform.row, 1, kind="mini", verify_type=-1, state=Authorizer.State.NEEDS_REAUTHORIZATION)
    page = read(operator)

    assert "4 accounts" in page
    for address in re.findall(r'<th scope="row"><a href="([^"]+)"', page):
        assert operator.get(address).status_code == 200
    row = page.split("state__exact=needs_reauthorization")[-1].split("</tr>")[0]
    assert words(row).split()[-3:] == ["1", "25", "%"]


def test_accounts_of_unknown_verification__lead_to_just_these(platform: Platform, operator: Client) -> None:
    make_accounts(platform.row, 3, kind="official", verify_type=0)
    make_accounts(platform.row, 2, kind="", verify_type=None)
    (address,) = re.findall(r'<a href="([^"]+verified=unknown[^"]*)">Not known yet</a>', read(operator))
    listed = operator.get(address).context["cl"].result_list
    assert [account.verify_type for account in listed] == [None, None]


def test_statistics__say_how_old_it_is(platform: Platform, operator: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statistics, "FEW", 2)
    make_accounts(platform.row, 3)
    statistics.update(platform.row)
    assert "About 3 accounts, as of" in read(operator)


def test_plots__have_the_same_numbers_as_a_table(platform: Platform, operator: Client) -> None:
    hour = datetime.now(timezone.utc).replace(minute=0, second=0, microsecond=0)
    for what, count in (("renewed", 1234), ("failed", 5)):
        HourlyCount.objects.create(component=platform.row, hour=hour - timedelta(hours=2), counter=what, count=count)
    page, data = read(operator), operator.get(DATA).json()

    renewals = next(plot for plot in data["plots"] if plot["name"] == "renewals")
    assert [panel["values"][-3] for panel in renewals["panels"]] == [1234, 5]
    assert [len(panel["values"]) for panel in renewals["panels"]] == [48, 48]
    assert len(renewals["panels"][1]["hatched"]) == 48
    table = page.split('id="wod-plot-renewals"')[1].split("</table>")[0]
    assert words(table.split("<tr>")[4]).split()[-2:] == ["1,234", "5"]
    assert "In the last 24 hours: 1,234 renewals, and 5 that failed." in page


def test_data__has_this_shape(operator: Client) -> None:
    response = operator.get(DATA)
    data = response.json()

    assert set(data) == {"as_of", "level", "levels", "plots", "html"}
    assert data["level"] == "red"
    assert set(data["levels"]) == set(CHECKS)
    assert set(data["levels"].values()) <= {"red", "amber", "green"}
    assert [plot["name"] for plot in data["plots"]] == ["time-left", "renewals", "pushes"]
    for plot in data["plots"]:
        assert set(plot) == {"name", "title", "summary", "labels", "exact", "by_hour", "panels"}
        for panel in plot["panels"]:
            assert len(panel["values"]) == len(plot["labels"]) == len(plot["exact"])
    assert data["html"].count('id="wod-live"') == 1
    assert "no-store" in response.headers["Cache-Control"]


def test_values__are_shown_in_two_units_at_most() -> None:
    with override("en"):
        assert span(4930) == [("1", "h"), ("22", "min")]
        assert span(7200) == [("2", "h")]
        assert span(90061) == [("1", "d"), ("1", "h")]
        assert span(0) == [("0", "s")]
        assert span(-75) == [("-1", "min"), ("15", "s")]
        assert span(-0.4) == [("-0.4", "s")]
        assert measured(None, SECONDS) == [("–", "")]
        assert measured(123456, COUNT) == [("123,456", "")]
        assert measured(False, CHECKS["database"].unit) == [("no answer", "")]
        assert measured(True, CHECKS["paused"].unit) == [("paused", "")]


@pytest.mark.parametrize(
    "page",
    [
        "accounts",
        "accounts:overdue",
        "accounts:expired",
        "accounts:doubt",
        "accounts:needs_reauthorization",
        "pushes:failed",
        "pushes:received",
        "tickets",
        "platform",
    ],
)
def test_place__is_a_page_that_opens(platform: Platform, operator: Client, page: str) -> None:
    request = request_of("view_authorizer", "view_push", "view_verifyticket", "view_component")
    address, text = where(page, platform.row, request)
    assert operator.get(address).status_code == 200
    assert text


def test_place__is_hidden_from_readers_who_may_not_view_it(platform: Platform) -> None:
    request = request_of("view_component")
    assert [where(page, platform.row, request)[0] for page in ("accounts", "pushes:failed", "tickets", "")] == [""] * 4
    assert where("platform", platform.row, request)[0]


def test_unknown_code__is_shown_all_the_same(platform: Platform, operator: Client) -> None:
    read(operator)  # a reader who may view platforms
    findings = [
        Finding("moon", RED, "It is full.", title="Moon", value=2),
        Finding("beat", RED, "It is silent.", title="Beat"),
    ]
    shown = tiles(findings, platform.row, request_of(), {})
    assert [(tile.title, tile.number) for tile in shown] == [("Beat", [("–", "")]), ("Moon", [("2", "")])]


def test_page__has_nothing_inline_and_no_secret(
    platform: Platform, grant: Callable[..., Authorizer], operator: Client, settings: Any
) -> None:
    account = grant()
    tokens.component_token(platform)
    row = Component.objects.get(pk=platform.row.pk)
    secrets = [row.reveal("access_token").reveal(), account.reveal("refresh_token").reveal()]
    secrets += [row.tickets.get().reveal("ticket").reveal()]
    secrets += [platform.appsecret.reveal(), settings.WECHAT_OPEN["COMPONENTS"]["default"]["ENCODING_AES_KEY"]]
    for path in (PAGE, DATA, COMPARE):
        page = operator.get(path).content.decode()
        ours = page.split('id="content"')[-1]
        assert not re.search(r"<script(?![^>]* src=)|<style| style=| on\w+=|javascript:", ours)
        assert [secret for secret in secrets if secret in page] == []


def test_chinese_operator__reads_chinese(operator: Client) -> None:
    page = operator.get(PAGE, headers={"accept-language": "zh-hans"}).content.decode()
    assert "验证票据" in tile(page, "ticket_age")


# -- who, and which platform -----------------------------------------------------------------------------------------


def test_routes__are_for_staff_who_may_see_platforms(platform: Platform, client: Client) -> None:
    for path in (INDEX, PAGE, DATA, COMPARE, TICKETS):
        assert client.get(path).status_code == 302  # to sign in
        assert browser_without_permissions().get(path).status_code == 403


def browser_without_permissions() -> Client:
    client = Client()
    client.force_login(User.objects.get_or_create(username="unprivileged", is_staff=True)[0])
    return client


def test_viewer__sees_all_and_can_set_nothing_going(viewer: Client) -> None:
    page = read(viewer)
    assert "What needs a person now" in page
    assert "<form" not in page.split('id="content"')[1]
    assert COMPARE not in page
    assert viewer.post(TICKETS).status_code == 403
    assert viewer.get(COMPARE).status_code == viewer.post(COMPARE).status_code == 403


def test_without_an_alias__it_is_the_default_platform(operator: Client) -> None:
    assert 'data-url="' + DATA in read(operator, INDEX)


def test_unknown_platform__is_not_found(operator: Client) -> None:
    assert operator.get(f"{INDEX}moon/").status_code == 404


def test_several_platforms__can_be_switched_and_show_their_problems(
    platform: Platform, operator: Client, settings: Any
) -> None:
    assert 'id="wod-platforms"' not in read(operator)
    other = {**settings.WECHAT_OPEN["COMPONENTS"]["default"], "APPID": "wx2222222222222222"}
    settings.WECHAT_OPEN["COMPONENTS"]["second"] = other
    at = datetime.now(timezone.utc)
    row = platforms.get("second").row
    Alert.objects.create(
        component=row, code="beat", severity="critical", first_seen_at=at, last_seen_at=at, open_key="x"
    )

    page = read(operator)
    nav = page.split('id="wod-platforms"')[1].split("</nav>")[0]
    assert f'href="{INDEX}second/"' in nav
    second = read(operator, f"{INDEX}second/")
    assert "wx2222222222222222" in second
    listed = len(re.findall('data-level="(?:red|amber)"', second))
    assert listed > 1, "which is more than its one alert"
    assert words(nav).split()[-3:] == ["second", str(listed), "problems"]
    assert f'<span class="wod-alerts wod-red">{listed} problems' in nav


def test_platform_with_wrong_settings__is_a_problem_of_its_tab(
    platform: Platform, operator: Client, settings: Any
) -> None:
    settings.WECHAT_OPEN["COMPONENTS"]["second"] = {"APPID": "wx2222222222222222"}
    nav = read(operator).split('id="wod-platforms"')[1].split("</nav>")[0]
    assert words(nav).split()[-3:] == ["second", "1", "problem"]


def test_tab_of_the_shown_platform__counts_what_the_page_lists(
    platform: Platform, operator: Client, settings: Any
) -> None:
    """Alerts are only as fresh as the worker that raises and ends them; it may be dead."""
    other = {**settings.WECHAT_OPEN["COMPONENTS"]["default"], "APPID": "wx2222222222222222"}
    settings.WECHAT_OPEN["COMPONENTS"]["second"] = other
    row = platforms.get("second").row
    at = datetime.now(timezone.utc)
    Alert.objects.create(
        component=row, code="beat", severity="critical", first_seen_at=at, last_seen_at=at, open_key="x"
    )

    for page in (read(operator, f"{INDEX}second/"), operator.get(f"{INDEX}second/data/").json()["html"]):
        shown = page.split('id="wod-platforms"')[1].split('aria-current="page"')[1].split("</a>")[0]
        listed = len(re.findall('data-level="(?:red|amber)"', page))
        assert listed > 1
        assert words(f"<a{shown}").strip() == f"second {listed} problems"


def test_platform_that_cannot_be_used__says_what_is_missing(operator: Client, settings: Any) -> None:
    credentials = settings.WECHAT_OPEN["COMPONENTS"]["default"]
    credentials["ENCODING_AES_KEY"] = "short"
    assert "ENCODING_AES_KEY must be exactly 43 characters" in read(operator)
    del credentials["APPSECRET"]
    assert 'WECHAT_OPEN["COMPONENTS"][\'default\']["APPSECRET"] is missing' in read(operator)
    assert operator.get(DATA).status_code == 503
    for path in (TICKETS, COMPARE):
        assert "is missing" in words(unescape(operator.post(path, follow=True).content.decode()))
    assert AuditEntry.objects.count() == 0


def test_way_in__is_on_the_apps_index_and_on_the_platforms_pages(platform: Platform, operator: Client) -> None:
    assert f'href="{INDEX}"' in read(operator, reverse("admin:app_list", args=["wechat_open"]))
    assert f'href="{INDEX}"' in read(operator, reverse("admin:wechat_open_component_changelist"))
    change = reverse("admin:wechat_open_component_change", args=[platform.row.pk])
    assert f'href="{PAGE}"' in read(operator, change)
    for address in ("admin:index", "admin:wechat_open_push_changelist"):
        assert f'<a href="{INDEX}">' in re.sub(
            ' (?:class|title|aria-current)="[^"]*"', "", read(operator, reverse(address))
        )
    assert re.search(r'model-dashboard current-model"', read(operator)), "the sidebar marks it"
    stranger = browser("view_push")
    assert INDEX not in read(stranger, reverse("admin:index"))
    assert f'href="{INDEX}"' not in read(stranger, reverse("admin:app_list", args=["wechat_open"]))


# -- scale -------------------------------------------------------------------------------------------------------------


def test_many_accounts__cost_few_queries(platform: Platform, operator: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """As with 100,000: they were counted in the background."""
    monkeypatch.setattr(statistics, "FEW", 2)
    make_accounts(platform.row, 3)
    statistics.update(platform.row)
    change = reverse("admin:wechat_open_component_change", args=[platform.row.pk])
    for path in (PAGE, DATA, change, reverse("admin:wechat_open_component_changelist")):
        with CaptureQueriesContext(connection) as queries:
            read(operator, path)
        assert len(queries) <= 15
        counting = [query["sql"] for query in queries if "GROUP BY" in query["sql"]]
        assert [sql for sql in counting if "wechat_open_authorizer" in sql.split("GROUP BY")[1]] == []


def test_accounts_that_are_not_counted_yet__cost_few_queries_in_every_state(
    platform: Platform, operator: Client
) -> None:
    """As before the first minute of beat. Whatever is wrong is looked into, which takes its queries."""
    row, now = platform.row, datetime.now(timezone.utc)
    long_ago = now - timedelta(hours=3)
    make_accounts(row, 3)
    Authorizer.objects.update(next_action_at=long_ago, access_token_expires_at=long_ago)
    make_accounts(row, 1, state=Authorizer.State.NEEDS_REAUTHORIZATION)
    Push.objects.create(component=row, digest="d", info_type="x", created_at=long_ago, received_at=long_ago)
    hour = now.replace(minute=0, second=0, microsecond=0)
    HourlyCount.objects.create(component=row, hour=hour, counter=HourlyCount.Counter.FORCED, count=30)
    assert Component.objects.get(pk=row.pk).statistics == {}
    with CaptureQueriesContext(connection) as queries:
        text = read(operator)
    assert "3 accounts of 3 wait for their renewal" in text
    assert "1 push waits to be processed" in text
    assert len(queries) <= 15


def test_looking__changes_nothing(platform: Platform, operator: Client) -> None:
    before = list(Component.objects.values())
    for path in (INDEX, PAGE, DATA, COMPARE):
        read(operator, path)
    assert operator.get(TICKETS).status_code == 405
    assert list(Component.objects.values()) == before
    assert AuditEntry.objects.count() == 0


# -- changes -----------------------------------------------------------------------------------------------------------


def test_tickets__are_asked_for_and_it_is_written_down(wechat: Simulator, operator: Client) -> None:
    page = operator.post(TICKETS, follow=True)

    assert wechat.engine.calls["/cgi-bin/component/api_start_push_ticket"] == 1
    assert "WeChat was asked" in words(page.content.decode())
    entry = AuditEntry.objects.get(kind=audit.Kind.TICKETS_REQUESTED)
    assert entry.ok and entry.user is not None and entry.actor.startswith("user-")
    assert Component.objects.get().push_started_at is not None


def test_tickets_that_wechat_refuses__are_reported_and_recorded(wechat: Simulator, operator: Client) -> None:
    wechat.control("faults", path="/cgi-bin/component/api_start_push_ticket", errcode=61004, times=1)
    page = operator.post(TICKETS, follow=True)

    assert "61004" in words(page.content.decode())
    entry = AuditEntry.objects.get(kind=audit.Kind.TICKETS_REQUESTED)
    assert (entry.ok, entry.errcode) == (False, 61004)


def test_tickets__are_deleted_after_a_confirmation(platform: Platform, wechat: Simulator) -> None:
    operator = browser("view_component", "forget_tickets")
    assert "1 verify ticket of the platform" in words(read(operator, FORGET))
    assert platform.row.tickets.count() == 1

    page = operator.post(FORGET, follow=True)

    assert "1 ticket was deleted." in words(page.content.decode())
    assert platform.row.tickets.count() == 0
    entry = AuditEntry.objects.get(kind=audit.Kind.TICKETS_FORGOTTEN)
    assert entry.ok and entry.user is not None and entry.detail == "1"


def test_tickets__are_not_deleted_without_the_permission(platform: Platform, operator: Client) -> None:
    assert operator.get(FORGET).status_code == operator.post(FORGET).status_code == 403
    assert platform.row.tickets.count() == 1
    assert FORGET not in read(operator)


def test_forged_post__is_refused(platform: Platform) -> None:
    User.objects.create_superuser("root")
    client = Client(enforce_csrf_checks=True)
    client.force_login(User.objects.get(username="root"))
    assert client.post(TICKETS).status_code == 403
    assert client.post(COMPARE).status_code == 403
    assert AuditEntry.objects.count() == 0


def test_changes__are_not_wrapped_in_a_transaction_of_the_site() -> None:
    for path in (TICKETS, COMPARE, FORGET):
        assert "default" in resolve(path).func._non_atomic_requests  # type: ignore[attr-defined]


def test_comparison__is_confirmed_and_left_to_a_worker(
    platform: Platform, grant: Callable[..., Authorizer], operator: Client
) -> None:
    grant()
    tokens.reconcile(platform)
    Authorizer.objects.all().delete()
    AuditEntry.objects.all().delete()
    assert tokens.reconcile_if_due(platform) is None  # not before an hour

    Component.objects.update(heartbeat_at=datetime.now(timezone.utc))
    assert "WeChat will be asked for the whole list" in words(read(operator, COMPARE))
    page = operator.post(COMPARE, follow=True)

    assert "The comparison begins within a minute." in words(page.content.decode())
    assert AuditEntry.objects.get(kind=Reconcile.audit_kind).user is not None
    report = tokens.reconcile_if_due(platform)
    assert report is not None and len(report.created) == 1


def test_comparison_that_cannot_be_made__says_why_and_what_to_do(platform: Platform, operator: Client) -> None:
    tokens.component_token(platform)
    page = words(unescape(operator.post(COMPARE, follow=True).content.decode()))
    assert "begins within a minute" not in page
    assert "fix this first: No worker has ever checked for due tokens." in page
    assert "Start a worker and beat, or “manage.py wechat_open run”" in page.partition("fix this first:")[2][:200]

    platform.row.tickets.all().delete()
    Component.objects.update(
        heartbeat_at=datetime.now(timezone.utc), access_token="", access_token_expires_at=None, reconcile_due_at=None
    )
    page = words(unescape(operator.post(COMPARE, follow=True).content.decode()))
    assert "fix this first: There is no valid component access token" in page
    assert "A verify ticket is missing: see that finding." in page


def test_comparison_that_is_under_way__is_not_doubled(platform: Platform, operator: Client) -> None:
    tokens.component_token(platform)
    soon = datetime.now(timezone.utc) + timedelta(minutes=9)
    Component.objects.update(reconcile_due_at=soon, heartbeat_at=datetime.now(timezone.utc))

    page = operator.post(COMPARE, follow=True)

    assert "A comparison is running" in words(page.content.decode())
    assert Component.objects.get().reconcile_due_at == soon
    assert AuditEntry.objects.count() == 0


def test_trouble__offers_its_action(platform: Platform, operator: Client) -> None:
    platform.row.tickets.all().delete()
    Component.objects.update(reconciled_at=datetime.now(timezone.utc) - timedelta(hours=3))
    page = read(operator)
    assert 'form="wod-tickets"' in tile(page, "ticket_age")
    assert COMPARE in tile(page, "reconciliation")

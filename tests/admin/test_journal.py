"""Does the audit trail say who did what, when, to which account; and is it found, taken along and pruned?"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings as site
from django.contrib.auth.models import Permission, User
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from django.utils import timezone
from django.utils.translation import override

from tests.admin.staff import TEA, found, page, person, rows
from wechat_open import bulk, journal
from wechat_open.admin import journal as pages
from wechat_open.component import Platform
from wechat_open.exceptions import RefreshTokenRefused, WeChatOpenError
from wechat_open.models import Authorizer, BulkJob, Component, HourlyCount, JournalEntry, Push
from wechat_open.simulator import Simulator

pytestmark = pytest.mark.usefixtures("english")

EXPORT = "/admin/wechat_open/journalentry/export/"
Kind = JournalEntry.Kind
Later = Callable[[timedelta], None]


@pytest.fixture
def viewer(db: None) -> Client:
    return person("viewer", "view_journalentry", "view_authorizer")


@pytest.fixture
def zhang(db: None) -> User:
    return User.objects.create_user("zhang")


def read(answer: Any) -> list[dict[str, str]]:
    """The lines of an export, by the names of its columns."""
    assert answer.status_code == 200
    text = b"".join(answer.streaming_content).decode("utf-8-sig")
    return list(csv.DictReader(io.StringIO(text)))


class Numbered:
    """A person of a site whose people sign in by a number."""

    is_authenticated = True

    def get_username(self) -> int:
        return 13800138000


def test_person__is_called_by_what_they_sign_in_with(zhang: User) -> None:
    assert journal.name_of(zhang) == "zhang"
    assert journal.name_of(Numbered()) == "13800138000"
    assert journal.name_of(User(username="张" * 200)) == "张" * 150


# -- saying ------------------------------------------------------------------------------------------------------------


def test_every_kind__has_a_sentence() -> None:
    assert sorted([*pages.SENTENCES, *pages.COUNTED]) == sorted(Kind)


@pytest.mark.parametrize("language", ["en", "zh-hans"])
@pytest.mark.parametrize("kind", Kind)
def test_every_entry__is_a_sentence_with_who_and_what(
    viewer: Client, component: Component, tea: Authorizer, zhang: User, kind: Kind, language: str
) -> None:
    viewer.cookies.load({site.LANGUAGE_COOKIE_NAME: language})
    journal.note(kind, component, account=tea, user=zhang)
    shown = viewer.get(rows(JournalEntry)).content.decode()
    (told,) = re.findall(r'<td class="field-what">(.*?)</td>', shown)
    assert "%" not in told
    said = str(pages.SENTENCES.get(kind, ""))
    if "account" in said:
        assert f'<a href="{page(tea)}">Tea &amp; Co ({TEA})</a>' in told
    if not said or "who" in said:
        assert "<b>zhang</b>" in told


def test_what_nobody_did__is_told_as_such(component: Component, tea: Authorizer) -> None:
    journal.note(Kind.REFRESHED, component, account=tea, actor=journal.COMMAND_LINE)
    journal.note(Kind.LINK_MADE, component)
    journal.note(Kind.RENEWAL_FAILED, component)
    told = [pages.sentence(entry) for entry in JournalEntry.objects.order_by("pk")]
    assert told == [
        f"A user of the command line refreshed the tokens of Tea & Co ({TEA}).",
        "The system created a link for any account.",
        f"A token of the platform {component.appid} could not be renewed.",
    ]


def test_failure__says_what_the_errcode_means(
    viewer: Client, component: Component, tea: Authorizer, zhang: User
) -> None:
    error = RefreshTokenRefused(61023, "refresh_token is invalid", rid="1-2-3")
    journal.note(Kind.REFRESHED, component, account=tea, user=zhang, error=error)
    shown = viewer.get(rows(JournalEntry)).content.decode()
    assert ">failed</span>" in shown
    assert "61023 The refresh token is not the account&#x27;s current one (rid 1-2-3)" in shown


def test_deed_that_failed__is_not_told_as_done(
    viewer: Client, component: Component, tea: Authorizer, zhang: User
) -> None:
    error = WeChatOpenError("no answer")
    journal.note(Kind.REFRESHED, component, account=tea, user=zhang, error=error)
    shown = re.sub("<[^>]+>", "", viewer.get(rows(JournalEntry)).content.decode())
    assert "zhang could not refresh the tokens of Tea &amp; Co" in shown
    (line,) = read(viewer.get(EXPORT))
    assert line["sentence"] == f"zhang could not refresh the tokens of Tea & Co ({TEA})."


def test_renewal_that_failed__says_so_once(component: Component, tea: Authorizer) -> None:
    journal.note(Kind.RENEWAL_FAILED, component, account=tea, error=WeChatOpenError("no answer"))
    assert pages.sentence(JournalEntry.objects.get()) == f"A token of Tea & Co ({TEA}) could not be renewed."


def test_bulk_action_that_stopped_by_itself__was_stopped_by_nobody(component: Component, zhang: User) -> None:
    for error in (None, WeChatOpenError("the quota is used up")):
        journal.note(Kind.BULK_STOPPED, component, user=zhang, error=error)
    told = [pages.sentence(entry) for entry in JournalEntry.objects.order_by("pk")]
    assert told == ["zhang stopped a bulk action.", "A bulk action of zhang stopped automatically."]


def test_changed_permission_sets__are_named(viewer: Client, component: Component, tea: Authorizer) -> None:
    journal.note(Kind.UPDATED, component, account=tea, detail="+7 -1")
    shown = viewer.get(rows(JournalEntry)).content.decode()
    assert "+ 7 Mass sending and notices, - 1 Messages" in shown


def test_entry__outlives_account_and_person(viewer: Client, component: Component, tea: Authorizer, zhang: User) -> None:
    journal.note(Kind.FORGOTTEN, component, account=tea, user=zhang)
    tea.delete()
    zhang.delete()
    shown = viewer.get(rows(JournalEntry)).content.decode()
    assert f"<b>zhang</b> removed the record of Tea &amp; Co ({TEA})." in shown


# -- finding -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def several(component: Component, tea: Authorizer, zhang: User, viewer: Client) -> list[int]:
    journal.note(Kind.AUTHORIZED, component, account=tea)
    journal.note(Kind.REFRESHED, component, account=tea, user=zhang)
    journal.note(Kind.REFRESHED, component, appid="wxother", actor=journal.COMMAND_LINE, error=WeChatOpenError("no"))
    journal.note(Kind.LINK_MADE, component, user=User.objects.get(username="viewer"))
    return list(JournalEntry.objects.order_by("pk").values_list("pk", flat=True))


@pytest.fixture
def bulk_action(component: Component, tea: Authorizer, zhang: User) -> BulkJob:
    """Of two rows; one of them has failed."""
    job = bulk.start(bulk.Action.REFRESH, [tea.pk, tea.pk + 1], user=zhang)
    journal.note(Kind.REFRESHED, component, account=tea, user=zhang, job=job.pk)
    journal.note(Kind.REFRESHED, component, appid="wxother", user=zhang, error=WeChatOpenError("no"), job=job.pk)
    BulkJob.objects.update(position=2, done=1, failed=1, finished_at=timezone.now())
    return job


def kinds(browser: Client, query: str = "") -> list[str]:
    return [entry.kind for entry in browser.get(rows(JournalEntry, query)).context["cl"].result_list]


@pytest.mark.parametrize(
    ("query", "kinds_shown"),
    [
        ("", [Kind.BULK_STARTED]),
        ("?by=people", [Kind.BULK_STARTED]),
        ("?job=all", [Kind.REFRESHED, Kind.REFRESHED, Kind.BULK_STARTED]),
        ("?job={job}", [Kind.REFRESHED, Kind.REFRESHED]),
        ("?job={job}&outcome=failed", [Kind.REFRESHED]),
        ("?job=99999999999999999999", []),
        (f"?appid={TEA}", [Kind.REFRESHED]),
        (f"?q={TEA}", [Kind.REFRESHED]),
    ],
)
def test_bulk_action__is_one_line_that_leads_to_its_rows(
    viewer: Client, bulk_action: BulkJob, query: str, kinds_shown: list[str]
) -> None:
    assert kinds(viewer, query.format(job=bulk_action.pk)) == kinds_shown


def test_line_of_a_bulk_action__says_what_came_of_it_and_links_to_rows_and_job(
    viewer: Client, bulk_action: BulkJob
) -> None:
    assert "1 failed" not in viewer.get(rows(JournalEntry)).content.decode(), "without the permission"
    User.objects.get(username="viewer").user_permissions.add(Permission.objects.get(codename="view_bulkjob"))
    text = viewer.get(rows(JournalEntry)).content.decode()
    assert f'<a href="{page(bulk_action)}">#{bulk_action.pk}</a>' in text
    assert f'<a href="{rows(JournalEntry)}?job={bulk_action.pk}">Show its rows</a>' in text
    assert '<span class="wechat-open-tag wechat-open-bad">1 failed</span>' in text
    details = viewer.get(rows(JournalEntry, f"?job={bulk_action.pk}")).content.decode()
    assert f'<a href="{page(bulk_action)}">bulk action #{bulk_action.pk}</a>' in details


def test_row_that_was_deleted__is_named_without_a_link(
    viewer: Client, bulk_action: BulkJob, component: Component, zhang: User
) -> None:
    """Entries are kept longer than bulk actions, pushes and links: a number led to a page that is not there."""
    journal.note(Kind.REPLAYED, component, user=zhang, detail="authorized #7")
    number, address = bulk_action.pk, page(bulk_action)
    bulk_action.delete()

    text = viewer.get(rows(JournalEntry)).content.decode()
    assert f"#{number} " in text
    assert "authorized #7" in text
    details = viewer.get(rows(JournalEntry, f"?job={number}")).content.decode()
    assert f"bulk action #{number}" in details
    one = viewer.get(page(JournalEntry.objects.get(kind=Kind.REPLAYED))).content.decode()
    assert "authorized #7" in one
    for shown in (text, details, one):
        assert address not in shown
        assert "push/7/change" not in shown


def test_bulk_actions__cost_no_query_each(
    viewer: Client, tea: Authorizer, zhang: User, django_assert_max_num_queries: Any
) -> None:
    for _number in range(12):
        bulk.start(bulk.Action.REFRESH, [tea.pk], user=zhang)
    with django_assert_max_num_queries(10):
        assert viewer.get(rows(JournalEntry)).content.decode().count("Show its rows") == 12


def test_export__has_the_number_of_the_bulk_action(viewer: Client, bulk_action: BulkJob) -> None:
    assert [line["bulk action"] for line in read(viewer.get(EXPORT))] == [str(bulk_action.pk)]
    assert len(read(viewer.get(EXPORT + "?job=all"))) == 3


@pytest.mark.parametrize(
    ("query", "which"),
    [
        ("", [0, 1, 2, 3]),
        ("?by=people", [1, 3]),
        ("?by=me", [3]),
        ("?by=command", [2]),
        ("?by=system", [0]),
        ("?outcome=failed", [2]),
        ("?outcome=done", [0, 1, 3]),
        ("?kind__exact=refreshed", [1, 2]),
        (f"?appid={TEA}", [0, 1]),
        ("?appid=wxnobody", []),
        (f"?q={TEA}", [0, 1]),
        ("?q=zhang", [1]),
        ("?q=tea", [0, 1]),
        ("?q=wxother", [2]),
        ("?q=wxot", []),
        ("?by=nonsense", [0, 1, 2, 3]),
    ],
)
def test_entries__are_found(viewer: Client, several: list[int], query: str, which: list[int]) -> None:
    assert sorted(found(viewer, JournalEntry, query)) == [several[number] for number in which]


def test_list__costs_as_many_queries_for_many_as_for_one(
    viewer: Client, component: Component, django_assert_max_num_queries: Any
) -> None:
    for number in range(30):
        journal.note(Kind.AUTHORIZED, component, appid=f"wx{number}")
    with django_assert_max_num_queries(8):
        assert viewer.get(rows(JournalEntry)).status_code == 200


def test_newest__comes_first_and_by_an_index(viewer: Client, several: list[int]) -> None:
    assert found(viewer, JournalEntry) == several[::-1]
    plan = JournalEntry.objects.order_by("-at", "-pk")[:50].explain()
    assert "SCAN" not in plan or "INDEX" in plan or connection.vendor != "sqlite"


# -- who may -----------------------------------------------------------------------------------------------------------


def test_nobody__changes_it(several: Any) -> None:
    boss = Client()
    boss.force_login(User.objects.create_superuser("boss"))
    entry = JournalEntry.objects.first()
    before = list(JournalEntry.objects.values())
    assert boss.get(page(entry)).status_code == 200
    assert boss.post(page(entry), {"detail": "forged"}).status_code == 403
    assert boss.post(page(entry, "delete"), {"post": "yes"}).status_code == 403
    assert boss.get("/admin/wechat_open/journalentry/add/").status_code == 403
    assert list(JournalEntry.objects.values()) == before


@pytest.fixture
def nobody(db: None) -> Client:
    return person("nobody")


def test_trail_and_export__need_their_permission(nobody: Client, component: Component) -> None:
    assert nobody.get(rows(JournalEntry)).status_code == 403
    assert nobody.get(EXPORT).status_code == 403
    assert Client().get(EXPORT).status_code == 302


# -- taking along ------------------------------------------------------------------------------------------------------


def test_export__has_what_the_filters_leave(viewer: Client, several: list[int]) -> None:
    lines = read(viewer.get(EXPORT + "?by=command"))
    assert [line["account"] for line in lines] == ["wxother"]
    assert lines[0]["what"] == "refreshed"
    assert (lines[0]["who"], lines[0]["succeeded"], lines[0]["detail"]) == ("manage.py", "0", "no")
    assert lines[0]["sentence"] == "A user of the command line could not refresh the tokens of wxother."
    assert len(read(viewer.get(EXPORT))) == 4
    assert (
        'href="/admin/wechat_open/journalentry/export/?by=people"'
        in viewer.get(rows(JournalEntry, "?by=people")).content.decode()
    )


@pytest.mark.parametrize(
    ("evil", "shown"),
    [
        *((evil, f"'{evil}") for evil in ("=1+1", "+cmd|x", "-2+3", "@SUM(A1)", "＝1", " =1+1", "--1")),
        ("\t=1", "'\t'=1"),  # a tab may end a cell
        ("\r=1", "'\r'=1"),
    ],
)
def test_export__holds_no_formula(viewer: Client, component: Component, evil: str, shown: str) -> None:
    account = Authorizer.objects.create(component=component, appid=TEA, nick_name=evil)
    journal.note(Kind.AUTHORIZED, component, account=account, detail=evil)
    (line,) = read(viewer.get(EXPORT))
    assert line["name"] == line["detail"] == shown


def test_export__keeps_numbers(viewer: Client, component: Component) -> None:
    journal.note(Kind.REFRESHED, component, error=RefreshTokenRefused(-1, "busy"))
    (line,) = read(viewer.get(EXPORT))
    assert line["errcode"] == "-1"
    assert line["meaning"]


def test_export__is_bounded_and_says_so(viewer: Client, several: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "MOST_EXPORTED", 2)
    lines = read(viewer.get(EXPORT))
    assert len(lines) == 3
    assert lines[-1]["when"] == "Cut off after 2 entries: choose a shorter time."


def test_export__is_a_file_in_the_readers_language(viewer: Client, several: list[int]) -> None:
    viewer.cookies.load({site.LANGUAGE_COOKIE_NAME: "zh-hans"})
    answer = viewer.get(EXPORT)
    assert answer.streaming
    assert answer["Content-Type"] == "text/csv; charset=utf-8"
    assert answer["Content-Disposition"].startswith('attachment; filename="wechat-journal-')
    assert "no-store" in answer["Cache-Control"]
    with override("en"):
        content = b"".join(answer.streaming_content)
    assert content.startswith(b"\xef\xbb\xbf")


@pytest.mark.parametrize("query", ["?at__gte=nonsense", "?appid=%00", "?kind__exact=%00", "?q=%00"])
def test_export_with_nonsense__does_not_break(viewer: Client, several: list[int], query: str) -> None:
    assert viewer.get(EXPORT + query).status_code == 400


# -- pruning -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "days", "kept"),
    [
        (Kind.REFRESHED, 364, True),
        (Kind.REFRESHED, 366, False),
        (Kind.AUTHORIZED, 364, True),
        (Kind.RENEWAL_FAILED, 89, True),
        (Kind.RENEWAL_FAILED, 91, False),
        (Kind.RECOVERED, 91, False),
    ],
)
def test_entries__are_kept_as_long_as_they_are_of_use(
    component: Component, later: Later, kind: Kind, days: int, kept: bool
) -> None:
    journal.note(kind, component)
    later(timedelta(days=days))
    assert journal.prune() == (0 if kept else 1)
    assert JournalEntry.objects.exists() is kept


def test_setting__says_how_long(component: Component, later: Later, settings: Any) -> None:
    settings.WECHAT_OPEN = settings.WECHAT_OPEN | {"JOURNAL_LIFE": 30 * 24 * 60 * 60}
    for kind in (Kind.REFRESHED, Kind.RENEWAL_FAILED):
        journal.note(kind, component)
    later(timedelta(days=31))
    assert journal.prune() == 2


def test_counts__are_kept_for_two_months(component: Component) -> None:
    for days in (59, 61):
        hour = timezone.now() - timedelta(days=days)
        HourlyCount.objects.create(component=component, hour=hour, what=journal.What.RENEWED, count=1)
    assert journal.prune() == 1


# -- by the command ----------------------------------------------------------------------------------------------------


def noted() -> list[tuple[str, str, str, bool]]:
    entries = JournalEntry.objects.exclude(actor="").order_by("pk")
    return [(entry.actor, entry.kind, entry.appid, entry.ok) for entry in entries]


def test_commands__are_in_the_trail(platform: Platform, grant: Callable[..., Authorizer]) -> None:
    appid = grant().appid
    push = Push.objects.get()
    for command in (
        ["refresh", appid],
        ["replay", str(push.pk)],
        ["link", "--base-url", "https://site.example", "--appid", appid],
        ["reconcile"],
        ["push-ticket"],
    ):
        call_command("wechat_open", *command, stdout=io.StringIO())
    assert noted() == [
        ("manage.py", "refreshed", appid, True),
        ("manage.py", "replayed", appid, True),
        ("manage.py", "link_made", appid, True),
        ("manage.py", "reconciled", "", True),
        ("manage.py", "tickets_requested", "", True),
    ]


def test_command_that_fails__is_in_the_trail_with_its_reason(
    platform: Platform, grant: Callable[..., Authorizer], wechat: Simulator
) -> None:
    appid = grant().appid
    wechat.control("faults", path="/cgi-bin/component/api_authorizer_token", errcode=45009, times=9)
    wechat.control("faults", path="/cgi-bin/component/api_get_authorizer_list", errcode=45009, times=9)
    with pytest.raises(SystemExit):
        call_command("wechat_open", "refresh", appid, stdout=io.StringIO(), stderr=io.StringIO())
    with pytest.raises(CommandError):
        call_command("wechat_open", "reconcile", stdout=io.StringIO())
    assert noted() == [("manage.py", "refreshed", appid, False), ("manage.py", "reconciled", "", False)]
    assert set(JournalEntry.objects.filter(actor="manage.py").values_list("errcode", flat=True)) == {45009}


def test_key_of_a_link__is_in_no_entry(platform: Platform) -> None:
    out = io.StringIO()
    call_command("wechat_open", "link", "--base-url", "https://site.example", stdout=out)
    key = out.getvalue().strip().rstrip("/").rpartition("/")[2]
    assert len(key) > 30
    assert key not in str(list(JournalEntry.objects.values()))

"""The audit trail says who did what, when, to which account; it is searched, exported and pruned."""

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
from wechat_open import audit
from wechat_open.admin import audit as pages
from wechat_open.exceptions import RefreshTokenRefused, WeChatOpenError
from wechat_open.models import AuditEntry, Authorizer, BulkJob, Component, HourlyCount, Push
from wechat_open.operations import jobs
from wechat_open.operations.accounts import Forget, Refresh
from wechat_open.operations.pushes import Replay
from wechat_open.platforms import Platform
from wechat_open.simulator import Simulator

pytestmark = pytest.mark.usefixtures("english")

EXPORT = "/admin/wechat_open/auditentry/export/"
Kind = AuditEntry.Kind
Later = Callable[[timedelta], None]


@pytest.fixture
def viewer(db: None) -> Client:
    return person("viewer", "view_auditentry", "view_authorizer")


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
    assert audit.name_of(zhang) == "zhang"
    assert audit.name_of(Numbered()) == "13800138000"
    assert audit.name_of(User(username="张" * 200)) == "张" * 150


# -- saying ------------------------------------------------------------------------------------------------------------


def test_every_kind__has_a_sentence() -> None:
    assert sorted([*pages.SENTENCES, *pages.COUNTED]) == sorted(Kind)


@pytest.mark.parametrize("language", ["en", "zh-hans"])
@pytest.mark.parametrize("kind", Kind)
def test_every_entry__is_a_sentence_with_actor_and_action(
    viewer: Client, component: Component, tea: Authorizer, zhang: User, kind: Kind, language: str
) -> None:
    viewer.cookies.load({site.LANGUAGE_COOKIE_NAME: language})
    audit.record(kind, component, account=tea, user=zhang)
    shown = viewer.get(rows(AuditEntry)).content.decode()
    (sentences,) = re.findall(r'<td class="field-what">(.*?)</td>', shown)
    assert "%" not in sentences
    template = str(pages.SENTENCES.get(kind, ""))
    if "account" in template:
        assert f'<a href="{page(tea)}">Tea &amp; Co ({TEA})</a>' in sentences
    if not template or "who" in template:
        assert "<b>zhang</b>" in sentences


def test_what_the_system_did__is_called_so(component: Component, tea: Authorizer) -> None:
    audit.record(Refresh.audit_kind, component, account=tea, actor=audit.COMMAND_LINE)
    audit.record(Kind.LINK_MADE, component)
    audit.record(Kind.RENEWAL_FAILED, component)
    sentences = [pages.sentence(entry) for entry in AuditEntry.objects.order_by("pk")]
    assert sentences == [
        f"A user of the command line refreshed the tokens of Tea & Co ({TEA}).",
        "The system created a link for any account.",
        f"A token of the platform {component.appid} could not be renewed.",
    ]


def test_failure__says_what_the_errcode_means(
    viewer: Client, component: Component, tea: Authorizer, zhang: User
) -> None:
    error = RefreshTokenRefused(61023, "refresh_token is invalid", rid="1-2-3")
    audit.record(Refresh.audit_kind, component, account=tea, user=zhang, error=error)
    shown = viewer.get(rows(AuditEntry)).content.decode()
    assert ">failed</span>" in shown
    assert "61023 The refresh token is not the account&#x27;s current one (rid 1-2-3)" in shown


def test_operation_that_failed__is_not_shown_as_done(
    viewer: Client, component: Component, tea: Authorizer, zhang: User
) -> None:
    error = WeChatOpenError("no answer")
    audit.record(Refresh.audit_kind, component, account=tea, user=zhang, error=error)
    shown = re.sub("<[^>]+>", "", viewer.get(rows(AuditEntry)).content.decode())
    assert "zhang could not refresh the tokens of Tea &amp; Co" in shown
    (line,) = read(viewer.get(EXPORT))
    assert line["sentence"] == f"zhang could not refresh the tokens of Tea & Co ({TEA})."


def test_renewal_that_failed__says_so_once(component: Component, tea: Authorizer) -> None:
    audit.record(Kind.RENEWAL_FAILED, component, account=tea, error=WeChatOpenError("no answer"))
    assert pages.sentence(AuditEntry.objects.get()) == f"A token of Tea & Co ({TEA}) could not be renewed."


def test_bulk_action_that_stopped_by_itself__was_stopped_by_no_person(component: Component, zhang: User) -> None:
    for error in (None, WeChatOpenError("the quota is used up")):
        audit.record(Kind.BULK_STOPPED, component, user=zhang, error=error)
    sentences = [pages.sentence(entry) for entry in AuditEntry.objects.order_by("pk")]
    assert sentences == ["zhang stopped a bulk action.", "A bulk action of zhang stopped automatically."]


def test_changed_permission_sets__are_named(viewer: Client, component: Component, tea: Authorizer) -> None:
    audit.record(Kind.UPDATED, component, account=tea, detail="+7 -1")
    shown = viewer.get(rows(AuditEntry)).content.decode()
    assert "+ 7 Mass sending and notices, - 1 Messages" in shown


def test_entry__outlives_account_and_person(viewer: Client, component: Component, tea: Authorizer, zhang: User) -> None:
    audit.record(Forget.audit_kind, component, account=tea, user=zhang)
    tea.delete()
    zhang.delete()
    shown = viewer.get(rows(AuditEntry)).content.decode()
    assert f"<b>zhang</b> removed the record of Tea &amp; Co ({TEA})." in shown


# -- finding -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def several(component: Component, tea: Authorizer, zhang: User, viewer: Client) -> list[int]:
    audit.record(Kind.AUTHORIZED, component, account=tea)
    audit.record(Refresh.audit_kind, component, account=tea, user=zhang)
    audit.record(Refresh.audit_kind, component, appid="wxother", actor=audit.COMMAND_LINE, error=WeChatOpenError("no"))
    audit.record(Kind.LINK_MADE, component, user=User.objects.get(username="viewer"))
    return list(AuditEntry.objects.order_by("pk").values_list("pk", flat=True))


@pytest.fixture
def bulk_action(component: Component, tea: Authorizer, zhang: User) -> BulkJob:
    """Of two rows; one of them has failed."""
    job = jobs.start(Refresh(), [tea.pk, tea.pk + 1], user=zhang)
    audit.record(Refresh.audit_kind, component, account=tea, user=zhang, job=job.pk)
    audit.record(Refresh.audit_kind, component, appid="wxother", user=zhang, error=WeChatOpenError("no"), job=job.pk)
    BulkJob.objects.update(position=2, done=1, failed=1, finished_at=timezone.now())
    return job


def kinds(browser: Client, query: str = "") -> list[str]:
    return [entry.kind for entry in browser.get(rows(AuditEntry, query)).context["cl"].result_list]


@pytest.mark.parametrize(
    ("query", "kinds_shown"),
    [
        ("", [Kind.BULK_STARTED]),
        ("?by=people", [Kind.BULK_STARTED]),
        ("?job=all", [Refresh.audit_kind, Refresh.audit_kind, Kind.BULK_STARTED]),
        ("?job={job}", [Refresh.audit_kind, Refresh.audit_kind]),
        ("?job={job}&outcome=failed", [Refresh.audit_kind]),
        ("?job=99999999999999999999", []),
        (f"?appid={TEA}", [Refresh.audit_kind]),
        (f"?q={TEA}", [Refresh.audit_kind]),
    ],
)
def test_bulk_action__is_one_line_that_leads_to_its_rows(
    viewer: Client, bulk_action: BulkJob, query: str, kinds_shown: list[str]
) -> None:
    assert kinds(viewer, query.format(job=bulk_action.pk)) == kinds_shown


def test_line_of_a_bulk_action__says_what_came_of_it_and_links_to_rows_and_job(
    viewer: Client, bulk_action: BulkJob
) -> None:
    assert "1 failed" not in viewer.get(rows(AuditEntry)).content.decode(), "without the permission"
    User.objects.get(username="viewer").user_permissions.add(Permission.objects.get(codename="view_bulkjob"))
    text = viewer.get(rows(AuditEntry)).content.decode()
    assert f'<a href="{page(bulk_action)}">#{bulk_action.pk}</a>' in text
    assert f'<a href="{rows(AuditEntry)}?job={bulk_action.pk}">Show its rows</a>' in text
    assert '<span class="wechat-open-tag wechat-open-bad">1 failed</span>' in text
    details = viewer.get(rows(AuditEntry, f"?job={bulk_action.pk}")).content.decode()
    assert f'<a href="{page(bulk_action)}">bulk action #{bulk_action.pk}</a>' in details


def test_row_that_was_deleted__is_named_without_a_link(
    viewer: Client, bulk_action: BulkJob, component: Component, zhang: User
) -> None:
    """Entries are kept longer than bulk actions, pushes and links: a number led to a page that is not there."""
    audit.record(Replay.audit_kind, component, user=zhang, detail="authorized #7")
    number, address = bulk_action.pk, page(bulk_action)
    bulk_action.delete()

    text = viewer.get(rows(AuditEntry)).content.decode()
    assert f"#{number} " in text
    assert "authorized #7" in text
    details = viewer.get(rows(AuditEntry, f"?job={number}")).content.decode()
    assert f"bulk action #{number}" in details
    one = viewer.get(page(AuditEntry.objects.get(kind=Replay.audit_kind))).content.decode()
    assert "authorized #7" in one
    for shown in (text, details, one):
        assert address not in shown
        assert "push/7/change" not in shown


def test_bulk_actions__cost_no_query_each(
    viewer: Client, tea: Authorizer, zhang: User, django_assert_max_num_queries: Any
) -> None:
    for _number in range(12):
        jobs.start(Refresh(), [tea.pk], user=zhang)
    with django_assert_max_num_queries(10):
        assert viewer.get(rows(AuditEntry)).content.decode().count("Show its rows") == 12


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
        ("?appid=wxunknown", []),
        (f"?q={TEA}", [0, 1]),
        ("?q=zhang", [1]),
        ("?q=tea", [0, 1]),
        ("?q=wxother", [2]),
        ("?q=wxot", []),
        ("?by=nonsense", [0, 1, 2, 3]),
    ],
)
def test_entries__are_found(viewer: Client, several: list[int], query: str, which: list[int]) -> None:
    assert sorted(found(viewer, AuditEntry, query)) == [several[number] for number in which]


def test_list__costs_as_many_queries_for_many_as_for_one(
    viewer: Client, component: Component, django_assert_max_num_queries: Any
) -> None:
    for number in range(30):
        audit.record(Kind.AUTHORIZED, component, appid=f"wx{number}")
    with django_assert_max_num_queries(8):
        assert viewer.get(rows(AuditEntry)).status_code == 200


def test_newest__comes_first_and_by_an_index(viewer: Client, several: list[int]) -> None:
    assert found(viewer, AuditEntry) == several[::-1]
    plan = AuditEntry.objects.order_by("-at", "-pk")[:50].explain()
    assert "SCAN" not in plan or "INDEX" in plan or connection.vendor != "sqlite"


# -- who may -----------------------------------------------------------------------------------------------------------


def test_no_reader__changes_it(several: Any) -> None:
    boss = Client()
    boss.force_login(User.objects.create_superuser("boss"))
    entry = AuditEntry.objects.first()
    before = list(AuditEntry.objects.values())
    assert boss.get(page(entry)).status_code == 200
    assert boss.post(page(entry), {"detail": "forged"}).status_code == 403
    assert boss.post(page(entry, "delete"), {"post": "yes"}).status_code == 403
    assert boss.get("/admin/wechat_open/auditentry/add/").status_code == 403
    assert list(AuditEntry.objects.values()) == before


@pytest.fixture
def unprivileged(db: None) -> Client:
    return person("unprivileged")


def test_trail_and_export__need_their_permission(unprivileged: Client, component: Component) -> None:
    assert unprivileged.get(rows(AuditEntry)).status_code == 403
    assert unprivileged.get(EXPORT).status_code == 403
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
        'href="/admin/wechat_open/auditentry/export/?by=people"'
        in viewer.get(rows(AuditEntry, "?by=people")).content.decode()
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
    audit.record(Kind.AUTHORIZED, component, account=account, detail=evil)
    (line,) = read(viewer.get(EXPORT))
    assert line["name"] == line["detail"] == shown


def test_export__keeps_numbers(viewer: Client, component: Component) -> None:
    audit.record(Refresh.audit_kind, component, error=RefreshTokenRefused(-1, "busy"))
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
    assert answer["Content-Disposition"].startswith('attachment; filename="wechat-audit-trail-')
    assert "no-store" in answer["Cache-Control"]
    with override("en"):
        content = b"".join(answer.streaming_content)
    assert content.startswith(b"\xef\xbb\xbf")


@pytest.mark.parametrize("query", ["?at__gte=nonsense", "?appid=%00", "?kind__exact=%00", "?q=%00"])
def test_export_with_invalid_input__does_not_break(viewer: Client, several: list[int], query: str) -> None:
    assert viewer.get(EXPORT + query).status_code == 400


# -- pruning -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "days", "kept"),
    [
        (Refresh.audit_kind, 364, True),
        (Refresh.audit_kind, 366, False),
        (Kind.AUTHORIZED, 364, True),
        (Kind.RENEWAL_FAILED, 89, True),
        (Kind.RENEWAL_FAILED, 91, False),
        (Kind.RECOVERED, 91, False),
    ],
)
def test_entries__are_kept_as_long_as_they_are_of_use(
    component: Component, later: Later, kind: Kind, days: int, kept: bool
) -> None:
    audit.record(kind, component)
    later(timedelta(days=days))
    assert audit.prune() == (0 if kept else 1)
    assert AuditEntry.objects.exists() is kept


def test_setting__says_how_long(component: Component, later: Later, settings: Any) -> None:
    settings.WECHAT_OPEN = settings.WECHAT_OPEN | {"AUDIT_LIFE": 30 * 24 * 60 * 60}
    for kind in (Refresh.audit_kind, Kind.RENEWAL_FAILED):
        audit.record(kind, component)
    later(timedelta(days=31))
    assert audit.prune() == 2


def test_counts__are_kept_for_two_months(component: Component) -> None:
    for days in (59, 61):
        hour = timezone.now() - timedelta(days=days)
        HourlyCount.objects.create(component=component, hour=hour, counter=audit.Counter.RENEWED, count=1)
    assert audit.prune() == 1


# -- by the command ----------------------------------------------------------------------------------------------------


def noted() -> list[tuple[str, str, str, bool]]:
    entries = AuditEntry.objects.exclude(actor="").order_by("pk")
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
    assert set(AuditEntry.objects.filter(actor="manage.py").values_list("errcode", flat=True)) == {45009}


def test_key_of_a_link__is_in_no_entry(platform: Platform) -> None:
    out = io.StringIO()
    call_command("wechat_open", "link", "--base-url", "https://site.example", stdout=out)
    key = out.getvalue().strip().rstrip("/").rpartition("/")[2]
    assert len(key) > 30
    assert key not in str(list(AuditEntry.objects.values()))

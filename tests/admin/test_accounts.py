"""The page of an account shows what it needs; the list finds accounts with a problem; actions run."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from django.conf import settings as site
from django.contrib.admin.models import LogEntry
from django.test import Client
from django.utils import timezone
from django.utils.http import urlencode
from django.utils.translation import override

from tests.admin.staff import act, found, page, person, rows
from tests.stage import OFFICIAL
from wechat_open import audit, health, platforms, tokens
from wechat_open.admin import changelist, filters, row_actions
from wechat_open.exceptions import WeChatOpenError
from wechat_open.health import advice, statistics
from wechat_open.models import (
    AuditEntry,
    AuthorizationLink,
    Authorizer,
    BulkJob,
    Component,
    Push,
    VerifyTicket,
    func_key,
    search_key,
)
from wechat_open.operations.accounts import Ask, Refresh, Sync
from wechat_open.protocol import permissions
from wechat_open.simulator import Simulator

Kind = AuditEntry.Kind
State = Authorizer.State
VIEW = "view_authorizer"
PERMISSIONS = ["refresh_account", "sync_account", "reconcile_account", "ask_account", "forget_account"]
REFRESH = "/cgi-bin/component/api_authorizer_token"


@pytest.fixture
def operator(db: None) -> Client:
    seen = ("view_push", "view_auditentry", "view_component", "view_authorizationlink")
    return person("operator", VIEW, *PERMISSIONS, "authorize_account", *seen)


@pytest.fixture
def viewer(db: None) -> Client:
    return person("viewer", VIEW)


@pytest.fixture
def component(db: None) -> Component:
    """A platform that has a token."""
    row = Component(appid=site.WECHAT_OPEN["COMPONENTS"]["default"]["APPID"], access_token_expires_at=ahead(hours=1))
    row.access_token = row.encrypt("access_token", "good")
    row.save()
    return row


def ago(**time: float) -> Any:
    return timezone.now() - timedelta(**time)


def ahead(**time: float) -> Any:
    return timezone.now() + timedelta(**time)


def make(component: Component, appid: str, **columns: Any) -> Authorizer:
    """A healthy account, but for ``columns``."""
    usual = {
        "nick_name": f"Shop {appid}",
        "kind": "official",
        "verify_type": 0,
        "access_token_obtained_at": ago(minutes=30),
        "access_token_expires_at": ahead(minutes=90),
        "next_action_at": ahead(minutes=60, seconds=5),
        "profile_synced_at": ago(days=1),
        "authorized_at": ago(days=3),
        "func_info": [1, 7],
    }
    account = Authorizer(component=component, appid=appid, **{**usual, **columns})
    account.func_key = func_key(account.func_info)
    account.name_key, account.principal_key = search_key(account.nick_name), search_key(account.principal_name)
    account.save()
    return account


def shown(browser: Client, address: str) -> str:
    answer = browser.get(address)
    assert answer.status_code == 200
    return answer.content.decode()


def refreshed(wechat: Simulator) -> int:
    return wechat.engine.calls[REFRESH]


# -- the list ----------------------------------------------------------------------------------------------------------


def test_row__shows_account_state_time_and_error_with_its_meaning(operator: Client, component: Component) -> None:
    make(component, "wxa", nick_name="Tea House", principal_name="Tea Ltd", last_errcode=61023, last_rid="r1")
    text = shown(operator, rows(Authorizer))

    for words in (
        "Tea House",
        "wxa",
        "Tea Ltd",
        "official account",
        "verified",
        "1 h 29 min",
        'value="75"',
    ):
        assert words in text
    assert "61023 The refresh token is not the account&#x27;s current one (rid r1)" in text
    assert ">2 permission sets</span>" in text


def test_avatar__asks_nothing_of_wechat_unless_the_site_says_so(
    operator: Client, component: Component, settings: Any
) -> None:
    account = make(component, "wxa", nick_name="tea house", head_img="http://wx.qlogo.cn/tea")
    for address in (rows(Authorizer), page(account)):
        text = shown(operator, address)
        assert ">T</span>" in text
        assert "<img" not in text.replace('<img src="/static/', "")

    settings.WECHAT_OPEN = {**settings.WECHAT_OPEN, "SHOW_AVATARS": True}
    for address in (rows(Authorizer), page(account)):
        [picture] = re.findall(r"<img [^>]*qlogo[^>]*>", shown(operator, address))
        assert 'src="https://wx.qlogo.cn/tea"' in picture
        assert 'referrerpolicy="no-referrer"' in picture
        assert 'loading="lazy"' in picture


@pytest.mark.parametrize("url", ["javascript:alert(1)", "data:image/svg+xml,x", "//wx.qlogo.cn/x", ""])
def test_avatar__with_a_strange_address_is_not_fetched(
    operator: Client, component: Component, settings: Any, url: str
) -> None:
    settings.WECHAT_OPEN = {**settings.WECHAT_OPEN, "SHOW_AVATARS": True}
    make(component, "wxa", head_img=url)
    assert 'alt="" loading' not in shown(operator, rows(Authorizer))


@pytest.fixture
def many_sorts(component: Component) -> Component:
    """One account of each sort, named by it."""
    second = Component.objects.create(appid="wxsecond")
    make(component, "well")
    make(component, "failing", failures=2, last_errcode=-1)
    make(component, "overdue", next_action_at=ago(minutes=9))
    make(component, "expired", access_token_expires_at=ago(minutes=1))
    make(component, "doubt", needs_reconcile=True)
    make(component, "refused", refused_since=ago(hours=1), last_errcode=61023)
    make(component, "missing", missing_since=ago(hours=1))
    make(component, "gone", state=State.UNAUTHORIZED, func_info=[1, 99], next_action_at=None)
    make(component, "asked", state=State.NEEDS_REAUTHORIZATION)
    make(component, "mini", kind="mini", func_info=[18], verify_type=-1, authorized_at=ago(days=40))
    make(second, "unknown", kind="", func_info=[], verify_type=None)
    return component


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("state__exact=needs_reauthorization", "asked"),
        ("attention=failing", "failing"),
        ("attention=overdue", "overdue"),
        ("attention=expired", "expired"),
        ("attention=doubt", "doubt refused missing"),
        ("errcode=61023", "refused"),
        ("errcode=-1", "failing"),
        ("holds=18", "mini"),
        ("holds=99", ""),
        ("lacks=18", ""),
        ("lacks=17", "mini"),
        ("lacks=7&holds=1", ""),
        ("lacks=17&kind__exact=official", ""),
        ("kind__exact=mini", "mini"),
        ("verified=no", "mini"),
        ("verified=unknown", "unknown"),
        ("component__id__exact=2nd", ""),
        ("attention=nonsense&holds=x&lacks=&errcode=one", None),
        ("q=wel", "well"),
        ("q=shop%20wel", "well"),
        ("q=ＳＨＯＰ%20well", "well"),
        ("q=no%20such", ""),
        ("q=overdue", "overdue"),
        ("q=over", "overdue"),
    ],
)
def test_filters_and_search__find(operator: Client, many_sorts: Component, query: str, expected: str | None) -> None:
    if query.endswith("2nd"):
        query, expected = query.replace("2nd", str(Component.objects.get(appid="wxsecond").pk)), "unknown"
    names = dict(Authorizer.objects.values_list("pk", "appid"))
    wanted = set(names.values()) if expected is None else set(expected.split())
    assert {names[key] for key in found(operator, Authorizer, f"?{query}")} == wanted


@pytest.mark.parametrize(
    ("columns", "sort", "need"),
    [
        ({"next_action_at": {"minutes": 4}}, "overdue", None),
        ({"next_action_at": {"minutes": 6}}, "overdue", "The renewal is overdue by 6"),
        ({"access_token_expires_at": {"seconds": 10}}, "expired", None),
        ({"access_token_expires_at": {"minutes": 1}}, "expired", "The token expired"),
    ],
)
@pytest.mark.parametrize("few", [5000, 0])
def test_late_account__is_so_for_dashboard_list_and_page_alike(
    operator: Client,
    component: Component,
    monkeypatch: pytest.MonkeyPatch,
    columns: dict[str, dict[str, float]],
    sort: str,
    need: str | None,
    few: int,
) -> None:
    """Whether there are few accounts or many."""
    monkeypatch.setattr(statistics, "FEW", few)
    account = make(component, "wxlate", **{name: ago(**time) for name, time in columns.items()})
    statistics.update(component)

    (finding,) = (one for one in health.examine(platforms.for_component(component)) if one.page == f"accounts:{sort}")
    assert finding.value == (1 if need else 0)
    assert found(operator, Authorizer, f"?attention={sort}") == ([account.pk] if need else [])
    assert (need or "Nothing to do.") in advice.for_account(account).message


def test_token_that_expired_a_moment_ago__is_not_shown_as_valid(component: Component) -> None:
    need = advice.for_account(make(component, "wxa", failures=1, access_token_expires_at=ago(seconds=5)))
    assert "The token has expired and cannot be renewed" in need.message


def test_authorized_since__is_offered_by_time_and_finds_the_accounts_of_it(
    operator: Client, component: Component
) -> None:
    midnight = timezone.localtime().replace(hour=0, minute=0, second=0, microsecond=0)
    dates = {f"wx{days}": midnight - timedelta(days=days) for days in (0, 3, 25, 200, 800)}
    since = {
        "Today": midnight,
        "Past 7 days": midnight - timedelta(days=7),
        "This month": midnight.replace(day=1),
        "This year": midnight.replace(day=1, month=1),
    }
    wanted = {label: {name for name, at in dates.items() if at >= begin} for label, begin in since.items()}
    wanted |= {"Any date": {*dates, "wxnever"}, "No date": {"wxnever"}, "Has date": {*dates}}
    names = {make(component, name, authorized_at=at).pk: name for name, at in dates.items()}
    names[make(component, "wxnever", authorized_at=None).pk] = "wxnever"

    shown = operator.get(rows(Authorizer)).context["cl"]
    (spec,) = (one for one in shown.filter_specs if one.title == "authorized at")
    choices = {str(choice["display"]): choice["query_string"] for choice in spec.choices(shown)}
    assert {
        label: {names[key] for key in found(operator, Authorizer, query)} for label, query in choices.items()
    } == wanted


def test_accounts_with_very_many_sets__are_distinguished_by_the_last(operator: Client, component: Component) -> None:
    """Their sets are longer than what an index holds of them as text."""
    all_of_it = make(component, "wxall", func_info=[*range(1, 150), 172])
    but_one = make(component, "wxone", func_info=[*range(1, 150), 1])
    assert found(operator, Authorizer, "?holds=172") == [all_of_it.pk]
    assert found(operator, Authorizer, "?lacks=172") == [but_one.pk]
    assert found(operator, Authorizer, "?holds=149") == [but_one.pk, all_of_it.pk]


def test_missing_set__is_asked_of_authorized_accounts_of_its_kind_only(operator: Client, many_sorts: Component) -> None:
    names = dict(Authorizer.objects.values_list("pk", "appid"))
    lacking = {names[key] for key in found(operator, Authorizer, "?lacks=15")}
    assert lacking == {"well", "failing", "overdue", "expired", "doubt", "refused", "missing"}


def test_filters__offer_what_there_is_in_words(operator: Client, many_sorts: Component) -> None:
    text = shown(operator, rows(Authorizer))
    assert "18 Development management and data analysis" in text
    assert "holds=99" not in text, "only an account that has left held it"
    assert "61023 The refresh token is not the account&#x27;s current one</a>" in text
    assert "wxsecond</a>" in text


HELD, MISSING = "permission set held", "permission set missing"


def offered(browser: Client, title: str) -> list[int]:
    """The sets that a filter offers."""
    (spec,) = (one for one in browser.get(rows(Authorizer)).context["cl"].filter_specs if str(one.title) == title)
    return [int(number) for number, _ in spec.lookup_choices]


@pytest.mark.parametrize("few", [5000, 0])
@pytest.mark.parametrize("kinds", [{"official"}, {"official", "mini"}])
def test_missing_set__is_offered_though_no_account_holds_it(
    operator: Client, component: Component, monkeypatch: pytest.MonkeyPatch, kinds: set[str], few: int
) -> None:
    """One that WeChat has just released; and those without a name, where an account holds them."""
    monkeypatch.setattr(statistics, "FEW", few)
    accounts = [make(component, f"wx{kind}", kind=kind, func_info=[1, 133]) for kind in sorted(kinds)]
    statistics.update(component)

    assert offered(operator, HELD) == [1, 133]
    named = {one.id for one in permissions.NAMES.values() if one.kind in kinds}
    assert offered(operator, MISSING) == sorted(named | {133})
    assert found(operator, Authorizer, "?lacks=5") == [account.pk for account in accounts if account.kind == "official"]


def test_filters__of_one_platform_and_no_error_are_not_offered(operator: Client, component: Component) -> None:
    make(component, "well")
    text = shown(operator, rows(Authorizer))
    assert "By platform" not in text
    assert "By last error" not in text


def test_sorting__is_offered_where_an_index_serves_it(operator: Client, many_sorts: Component) -> None:
    text = shown(operator, rows(Authorizer))
    assert len(re.findall(r'<th scope="col" class="sortable', text)) == 5


def test_list__costs_few_queries_however_many_sorts_there_are(
    operator: Client, many_sorts: Component, django_assert_max_num_queries: Any
) -> None:
    with django_assert_max_num_queries(11):
        shown(operator, rows(Authorizer, "?lacks=15&o=1"))


# -- large tables ------------------------------------------------------------------------------------------------------


@pytest.fixture
def large(many_sorts: Component, monkeypatch: pytest.MonkeyPatch) -> Component:
    """A page counts to 3 and a few is 3: ten accounts are many, and counted a moment ago."""
    monkeypatch.setattr(statistics, "FEW", 3)
    monkeypatch.setattr(changelist, "MOST", 3)
    monkeypatch.setattr(filters, "MOST", 3)
    statistics.update(many_sorts)
    Component.objects.filter(appid="wxsecond").delete()
    return many_sorts


def test_count__is_that_of_the_statistics_and_says_so(operator: Client, large: Component) -> None:
    make(large, "since")  # not yet counted
    text = shown(operator, rows(Authorizer))
    assert "10 accounts" in text
    assert "The number is approximate" in text
    assert "The pages end after 3;" in text


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("state__exact=authorized", 8),
        ("kind__exact=official", 9),
        ("verified=yes", 9),
        ("holds=1", 7),
        ("lacks=15", 7),
        ("holds=1&kind__exact=official", 3),  # the statistics do not have both: that is where counting stops
    ],
)
def test_count__of_one_filter_is_known_too(operator: Client, large: Component, query: str, count: int) -> None:
    answer = operator.get(rows(Authorizer, f"?{query}&o=1"))
    assert answer.context["cl"].result_count == count


def test_count__that_is_unknown_is_at_least(operator: Client, large: Component) -> None:
    text = shown(operator, rows(Authorizer, "?kind__exact=official&verified=yes"))
    assert "There are more than 3." in text


def test_filters__offer_what_the_statistics_have(
    operator: Client, large: Component, django_assert_max_num_queries: Any
) -> None:
    with django_assert_max_num_queries(9):
        assert "18 Development management" in shown(operator, rows(Authorizer))


def test_chosen_across_pages__are_really_all(
    operator: Client, large: Component, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The approximate number is for the eye; what is done is counted."""
    monkeypatch.setattr(row_actions, "DIRECT", 2)
    first = Authorizer.objects.earliest("pk")
    text = act(operator, "refresh", first, select_across="1").content.decode()
    assert "Refresh the tokens of at least 3 accounts?" in text
    assert "The rows are counted when it starts" in text
    assert "and many more" in text

    act(operator, "refresh", first, select_across="1", confirmed="yes")
    assert sorted(BulkJob.objects.get().targets) == sorted(Authorizer.objects.values_list("pk", flat=True))


# -- the page ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("columns", "message", "tone", "action"),
    [
        ({}, "Nothing to do. The token is renewed automatically in 1\xa0hour", "good", None),
        (
            {"state": State.UNAUTHORIZED, "unauthorized_at": timedelta(days=-2)},
            "took the authorization back 2",
            "off",
            "ask",
        ),
        ({"state": State.UNAUTHORIZED}, "has taken the authorization back", "off", "ask"),
        ({"state": State.NEEDS_REAUTHORIZATION}, "Only its owner can fix that", "bad", "ask"),
        (
            {"failures": 1, "last_errcode": 61023},
            "still works, but renewing it fails: 61023 The refresh token is not the account's current one. It is tried",
            "busy",
            "reconcile",
        ),
        (
            {"failures": 1, "last_errcode": 45009, "access_token_expires_at": timedelta(minutes=-1)},
            "The platform is at fault and not this account.",
            "bad",
            None,
        ),
        (
            {"failures": 3, "last_error": "no answer", "next_action_at": timedelta(minutes=-1)},
            "fails: no answer. It is about to be tried again.",
            "busy",
            "refresh",
        ),
        ({"access_token_expires_at": timedelta(minutes=-7)}, "expired 7\xa0minutes ago", "bad", "refresh"),
        ({"next_action_at": timedelta(minutes=-7)}, "overdue by 7\xa0minutes", "busy", "refresh"),
        ({"needs_reconcile": True}, "may be wrong", "busy", "reconcile"),
        ({"profile_synced_at": None}, "The profile has not been read", "busy", "sync"),
        ({"access_token_expires_at": None}, "may own no API", "off", None),
        ({"next_action_at": None}, "Nothing to do.", "good", None),
    ],
)
def test_account__says_what_it_needs(
    component: Component, columns: dict[str, Any], message: str, tone: str, action: str | None
) -> None:
    now = timezone.now()
    when = {name: now + value for name, value in columns.items() if isinstance(value, timedelta)}
    need = advice.for_account(make(component, "wxa", **{**columns, **when}))
    assert message in need.message
    assert need.tone == tone
    assert need.actions[:1] == ((action,) if action else ())


@pytest.mark.parametrize("component_state", [{"access_token": ""}, {"access_token_expires_at": timedelta(minutes=-1)}])
def test_account_of_a_platform_without_token__says_what_the_platform_needs(
    operator: Client, component: Component, component_state: dict[str, Any]
) -> None:
    now = timezone.now()
    Component.objects.update(
        **{name: now + value if isinstance(value, timedelta) else value for name, value in component_state.items()}
    )
    account = make(component, "wxa")
    text = shown(operator, page(account))
    assert "The platform has no component access token" in text
    assert "renewed automatically" not in text
    assert '<a href="/admin/wechat_open/dashboard/default/">Show the state of the platform</a>' in text

    VerifyTicket.objects.create(component=component, created_at=now, received_at=now)  # it buys a token in a moment
    assert "renewed automatically" in shown(operator, page(account))
    Component.objects.update(failures=1)
    assert "The platform has no component access token" in shown(operator, page(account))


def test_page__has_the_fitting_button_once_and_only_for_users_who_may(
    operator: Client, viewer: Client, component: Component
) -> None:
    account = make(component, "wxa", state=State.NEEDS_REAUTHORIZATION)
    text = shown(operator, page(account))
    assert text.count('value="ask"') == 1
    assert 'value="refresh"' not in text, "nothing is to be refreshed"
    assert 'value="forget"' not in text, "its owner has not left"
    assert "<button name=" not in shown(viewer, page(account))


def test_fault_of_the_platform__leads_to_its_page(operator: Client, component: Component) -> None:
    account = make(component, "wxa", failures=1, last_errcode=45009)
    assert "dashboard/default/" in shown(operator, page(account))
    Component.objects.update(appid="wxelse")
    assert "component/dashboard" not in shown(operator, page(account))


@pytest.mark.parametrize(("status", "is_shown"), [(1, False), (16, True)])
def test_standing_at_wechat__is_in_the_head_when_it_is_bad(
    operator: Client, component: Component, status: int, is_shown: bool
) -> None:
    text = shown(operator, page(make(component, "wxa", account_status=status)))
    assert ("<span>banned</span>" in text) is is_shown


def test_permission_sets__are_shown_by_name_and_what_they_allow(operator: Client, component: Component) -> None:
    account = make(component, "wxa", func_info=[4, 24, 999])
    text = shown(operator, page(account))
    assert "4 Web service" in text
    assert "Sign-in of followers on web pages (OAuth), JS-SDK" in text
    assert text.count("one platform at a time") == 2
    assert "999 permission set 999" in text
    operator.cookies.load({site.LANGUAGE_COOKIE_NAME: "zh-hans"})
    assert "网页授权（OAuth）、JS-SDK" in shown(operator, page(account))


def test_every_description__is_in_both_languages() -> None:
    for known in permissions.NAMES.values():
        assert bool(known.allows_en) is bool(known.allows_zh)
        assert permissions.allows(known.id, "zh-hans") == known.allows_zh
    assert permissions.allows(133) == ""


def test_timeline__has_grants_renewals_failures_and_operations_newest_first(
    operator: Client, component: Component
) -> None:
    account = make(component, "wxa", renewals=[ago(minutes=minutes).isoformat() for minutes in (1, 2, 40)])
    audit.record(Kind.AUTHORIZED, component, account=account)
    audit.record(Kind.UPDATED, component, account=account, detail="+7 -99999 +²")
    audit.record(Refresh.audit_kind, component, account=account, actor="lina")
    AuditEntry.objects.filter(kind=Kind.AUTHORIZED).update(at=ago(days=1))
    AuditEntry.objects.filter(kind=Kind.UPDATED).update(at=ago(hours=1))
    AuditEntry.objects.filter(kind=Refresh.audit_kind).update(at=ago(minutes=30))
    audit.record(Sync.audit_kind, component, appid="wxother", actor="another person's")
    text = shown(operator, page(account))

    expected = [
        "token renewed 2 times",
        "tokens refreshed by hand · lina",
        "token renewed<",
        "permission sets changed",
        "+ 7 Mass sending and notices, - 99999 permission set 99999, +²",
        "authorized</span>",
    ]
    history = text[text.index("wechat-open-timeline") :]
    places = [history.find(words) for words in expected]
    assert -1 not in places and places == sorted(places)
    assert "another person" not in text
    assert "/admin/wechat_open/auditentry/?appid=wxa" in text


def test_failure_in_the_timeline__has_its_meaning(operator: Client, component: Component) -> None:
    account = make(component, "wxa")
    AuditEntry.objects.create(component=component, appid="wxa", kind=Sync.audit_kind, at=ago(), ok=False, errcode=61003)
    text = shown(operator, page(account))
    assert "wechat-open-event-bad" in text
    assert "61003 " in text


def test_operation_that_failed__is_not_shown_as_done_in_the_timeline(operator: Client, component: Component) -> None:
    account = make(component, "wxa")
    audit.record(Refresh.audit_kind, component, account=account, error=WeChatOpenError("no answer"))
    assert "Attempt failed: tokens refreshed by hand" in shown(operator, page(account))


def test_columns__are_called_what_they_show(operator: Client, component: Component) -> None:
    """Of an account the time and not the state; of a platform the last error, and not all that is wrong."""
    make(component, "wxa")
    assert re.search(r">Authorized at</a>", shown(operator, rows(Authorizer)))
    assert re.search(
        r"column-problem\b.*?>Last error<", shown(person("boss", "view_component"), rows(Component)), re.DOTALL
    )


def test_long_history__is_cut_where_the_audit_trail_goes_on(
    operator: Client, viewer: Client, component: Component
) -> None:
    account = make(component, "wxa", renewals=[ago(days=30).isoformat(), ago(minutes=1).isoformat()])
    for hours in range(30):
        AuditEntry.objects.create(component=component, appid="wxa", kind=Kind.RECOVERED, at=ago(hours=hours + 1))
    text = shown(operator, page(account))
    assert text.count("wechat-open-event ") == 26
    assert text.count("token renewed") == 1
    assert "auditentry/?appid=wxa" in text
    assert "auditentry/?appid=wxa" not in shown(viewer, page(account))


def test_recent_pushes__lead_to_the_inbox_for_users_who_may_see_it(
    operator: Client, viewer: Client, component: Component
) -> None:
    account = make(component, "wxa")
    push = Push.objects.create(
        component=component, digest="d", info_type="updateauthorized", authorizer_appid="wxa",
        created_at=ago(days=1), received_at=ago(days=1), state=Push.State.FAILED,
    )  # fmt: skip
    text = shown(operator, page(account))
    assert page(push) in text
    assert "failed, will be repeated" in text
    assert "updateauthorized" not in shown(viewer, page(account))


def test_raw_profile__is_for_users_who_may_read_it_from_wechat_and_hides_what_looks_secret(
    operator: Client, viewer: Client, component: Component
) -> None:
    profile = {"nick_name": "Tea", "idc": 1, "list": [{"authorizer_refresh_token": "canary"}], "<b>": "<i>"}
    account = make(component, "wxa", profile=profile)
    text = shown(operator, page(account))
    assert "&quot;idc&quot;: 1" in text
    assert "&quot;authorizer_refresh_token&quot;: &quot;••••&quot;" in text
    assert "canary" not in text
    assert "<i>" not in text
    assert "&quot;idc&quot;" not in shown(viewer, page(account))


def test_page__leaves_out_what_there_is_not(operator: Client, component: Component) -> None:
    text = shown(operator, page(make(component, "wxa")))
    for line in ("field-unauthorized_at", "field-alias", "field-doubts", "field-qr_code", "field-error_text"):
        assert line not in text
    text = shown(operator, page(make(component, "wxb", alias="tea", needs_reconcile=True, last_error="x")))
    for line in ("field-alias", "field-doubts", "field-error_text"):
        assert line in text


def test_token__says_when_it_was_obtained_and_nothing_when_unknown(operator: Client, component: Component) -> None:
    account = make(component, "wxa")
    account.access_token = account.encrypt("access_token", "a-token")
    account.access_token_obtained_at = ago(minutes=5, seconds=1)
    account.save()
    assert re.search(r"obtained <time [^>]+>5\s+minutes ago</time>", shown(operator, page(account)))
    account.access_token_obtained_at = None
    account.save()
    text = shown(operator, page(account))
    assert "••••" in text
    assert "obtained" not in text


def test_page__costs_few_queries(operator: Client, component: Component, django_assert_max_num_queries: Any) -> None:
    account = make(component, "wxa")
    with django_assert_max_num_queries(10):
        shown(operator, page(account))


@pytest.mark.parametrize("language", ["en", "zh-hans"])
def test_pages__have_no_inline_style_or_script(operator: Client, many_sorts: Component, language: str) -> None:
    operator.cookies.load({site.LANGUAGE_COOKIE_NAME: language})
    account = Authorizer.objects.get(appid="failing")
    everything = shown(operator, rows(Authorizer)) + shown(operator, page(account))
    everything += act(operator, "forget", account).content.decode()
    assert ' style="' not in everything
    assert not re.search(r"<script(?![^>]*\bsrc=)", everything)
    assert " onclick" not in everything


# -- doing -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def shops(wechat: Simulator, grant: Callable[..., Authorizer]) -> list[Authorizer]:
    wechat.engine.add_account("Second Shop", "official", appid="wx00000000000000aa")
    accounts = [grant(), grant("wx00000000000000aa")]
    wechat.engine.calls.clear()
    return accounts


def test_one_harmless_row__is_done_without_a_question(operator: Client, wechat: Simulator, account: Authorizer) -> None:
    wechat.engine.calls.clear()
    text = act(operator, "refresh", account, back_to=account.pk).content.decode()
    assert "The tokens were refreshed." in text
    assert refreshed(wechat) == 1
    assert LogEntry.objects.get().change_message == "The tokens were refreshed."
    assert AuditEntry.objects.get(kind=Refresh.audit_kind).actor == "operator"


def test_action_on_a_page__keeps_the_filters_of_the_list_that_led_there(
    operator: Client, wechat: Simulator, account: Authorizer
) -> None:
    def close() -> str:
        (address,) = re.findall(r'href="([^"]+)" class="closelink"', text)
        return unescape(address)

    filters = "kind__exact=official&p=2"
    text = shown(operator, page(account) + "?" + urlencode({"_changelist_filters": filters}))
    before = close()
    assert before == rows(Authorizer, f"?{filters}")
    kept = set(re.findall('name="_changelist_filters" value="(.*?)"', text))
    assert kept == {"kind__exact=official&amp;p=2"}

    back = {"back_to": account.pk, "_changelist_filters": filters}
    text = act(operator, "refresh", account, **back).content.decode()
    assert "The tokens were refreshed." in text
    assert close() == before

    text = act(operator, "forget", account, **back).content.decode()
    assert 'name="_changelist_filters" value="kind__exact=official&amp;p=2"' in text
    (cancel,) = re.findall(r'cancel-link" href="(.*?)"', text)
    text = shown(operator, unescape(cancel))
    assert close() == before

    Authorizer.objects.update(state=State.UNAUTHORIZED)
    answer = operator.post(
        rows(Authorizer),
        {"action": "forget", "index": 0, "_selected_action": account.pk, "confirmed": "yes", **back},
    )
    assert answer["Location"] == before


@pytest.mark.parametrize("given", ["//evil.example/?a=1", "https://evil.example", "\r\nX: 1", "a=%0d%0aX:1", "&&=;"])
def test_filters_to_come_back_to__are_nothing_but_a_query_of_our_list(
    operator: Client, wechat: Simulator, account: Authorizer, given: str
) -> None:
    data = {"action": "refresh", "index": 0, "_selected_action": account.pk, "back_to": account.pk}
    answer = operator.post(rows(Authorizer), {**data, "_changelist_filters": given})
    assert answer["Location"].partition("?")[0] == page(account)
    text = shown(operator, answer["Location"])
    (address,) = re.findall(r'href="([^"]+)" class="closelink"', text)
    assert address.partition("?")[0] == rows(Authorizer)


def test_several_rows__are_asked_about_in_words(operator: Client, wechat: Simulator, shops: list[Authorizer]) -> None:
    Authorizer.objects.filter(pk=shops[1].pk).update(state=State.UNAUTHORIZED)
    text = act(operator, "refresh", *shops).content.decode()
    assert "Refresh the tokens of 2 accounts?" in text
    assert "1 of them holds no authorization at the moment" in text
    assert "while you wait" in text
    assert "Corner Shop" in text
    assert refreshed(wechat) == 0

    answer = act(operator, "refresh", *shops, confirmed="yes")
    assert refreshed(wechat) == 1
    job = BulkJob.objects.get()
    assert (job.done, job.failed, job.finished_at is None) == (1, 1, False)
    assert answer.redirect_chain == [(page(job), 302)]
    assert "has cancelled its authorization" in answer.content.decode()


def test_question__has_numbers_like_other_pages(operator: Client, component: Component) -> None:
    Authorizer.objects.bulk_create(Authorizer(component=component, appid=f"wx{number}") for number in range(1234))
    text = act(operator, "refresh", Authorizer.objects.earliest("pk"), select_across="1").content.decode()
    assert "Refresh the tokens of 1,234 accounts?" in text
    assert "and 1,224 more" in text


def test_several_rows__are_one_line_in_the_trail(operator: Client, wechat: Simulator, shops: list[Authorizer]) -> None:
    answer = act(operator, "refresh", *shops, confirmed="yes")
    assert answer.redirect_chain == [(rows(Authorizer), 302)]
    job = BulkJob.objects.get()
    assert f'2 rows: The tokens were refreshed. <a href="{page(job)}">#{job.pk}</a>' in answer.content.decode()
    started = AuditEntry.objects.get(job=0, actor="operator")
    assert (started.kind, started.detail) == (Kind.BULK_STARTED, f"Refresh tokens (2) #{job.pk}")
    assert AuditEntry.objects.filter(job=job.pk, kind=Refresh.audit_kind).count() == 2


def test_confirmation__carries_the_choice_and_leads_back(operator: Client, component: Component) -> None:
    accounts = [make(component, f"wx{number}") for number in range(12)]
    text = act(operator, "sync", *accounts).content.decode()
    assert text.count('name="_selected_action"') == 12
    assert 'name="action" value="sync"' in text
    assert "and 2 more" in text
    account = make(component, "left", state=State.UNAUTHORIZED)
    assert f'href="{page(account)}"' in act(operator, "forget", account, back_to=account.pk).content.decode()


@pytest.mark.parametrize("back_to", ["", "abc", "²", "9" * 20, pytest.param("9" * 5000, id="5000 digits")])
def test_way_back_to_no_row__leads_to_the_list(operator: Client, component: Component, back_to: str) -> None:
    account = Authorizer.objects.create(component=component, appid="wxleft", state="unauthorized")
    answer = act(operator, "forget", account, confirmed="yes", back_to=back_to)
    assert answer.redirect_chain == [(rows(Authorizer), 302)]
    assert not Authorizer.objects.exists()


def test_many_rows__become_a_job_with_its_page(
    operator: Client, component: Component, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(row_actions, "DIRECT", 2)
    accounts = [make(component, f"wx{number}") for number in range(3)]
    assert "in the background" in act(operator, "reconcile", *accounts).content.decode()
    monkeypatch.setattr(changelist, "MOST", 2)
    assert "at least 2 accounts" in act(operator, "reconcile", *accounts).content.decode()

    answer = act(operator, "reconcile", *accounts, confirmed="yes")
    job = BulkJob.objects.get()
    assert answer.redirect_chain == [(page(job), 302)]
    assert (job.action, job.total, job.actor) == ("reconcile", 3, "operator")
    assert job.targets == [account.pk for account in accounts]


@pytest.mark.parametrize("action", ["refresh", "sync", "reconcile", "ask", "forget"])
def test_each_action__takes_its_own_permission(component: Component, wechat: Simulator, action: str) -> None:
    account = make(component, "wxa", state=State.UNAUTHORIZED)
    needed = PERMISSIONS[["refresh", "sync", "reconcile", "ask", "forget"].index(action)]
    others = person("others", VIEW, *(one for one in PERMISSIONS if one != needed))
    act(others, action, account, confirmed="yes")
    assert Authorizer.objects.exists()
    assert not AuditEntry.objects.exists()

    answer = act(person("one", VIEW, needed), action, account, confirmed="yes")
    assert AuditEntry.objects.exclude(actor="").exists(), answer.content.decode()[-500:]


@pytest.mark.parametrize("action", ["refresh", "ask", "forget"])
def test_nothing__happens_by_get(operator: Client, component: Component, action: str) -> None:
    account = make(component, "wxa", state=State.UNAUTHORIZED)
    query = f"?action={action}&index=0&_selected_action={account.pk}&confirmed=yes"
    operator.get(rows(Authorizer, query))
    operator.get(page(account) + query)
    assert Authorizer.objects.exists()
    assert not AuditEntry.objects.exists()
    assert not AuthorizationLink.objects.exists()


def test_reconcile__takes_back_what_wechat_has_on_record(
    operator: Client, wechat: Simulator, account: Authorizer
) -> None:
    Authorizer.objects.update(state=State.NEEDS_REAUTHORIZATION)
    text = act(operator, "reconcile", account).content.decode()
    assert "It was compared with WeChat&#x27;s records." in text
    assert Authorizer.objects.get().state == State.AUTHORIZED


def test_ask__shows_the_link_of_one_to_its_maker(operator: Client, account: Authorizer) -> None:
    answer = act(operator, "ask", account)
    link = AuthorizationLink.objects.get()
    assert link.biz_appid == OFFICIAL
    assert answer.redirect_chain[-1][0].endswith(f"/authorizationlink/{link.pk}/address/")
    assert link.reveal("key").reveal() in answer.content.decode()
    assert {Ask.audit_kind, Kind.LINK_SHOWN} <= set(
        AuditEntry.objects.filter(actor="operator").values_list("kind", flat=True)
    )


def test_ask__keeps_the_address_from_users_who_may_not_see_it(account: Authorizer) -> None:
    answer = act(person("asker", VIEW, "ask_account"), "ask", account)
    link = AuthorizationLink.objects.get()
    text = answer.content.decode()
    assert "The link was created." in text
    assert link.reveal("key").reveal() not in text
    assert not AuditEntry.objects.filter(kind=Kind.LINK_SHOWN).exists()


def test_ask__of_several_makes_a_link_for_each(shops: list[Authorizer]) -> None:
    asker = person("asker", VIEW, "ask_account", "view_authorizationlink")
    text = act(asker, "ask", *shops, confirmed="yes").content.decode()
    assert set(AuthorizationLink.objects.values_list("biz_appid", flat=True)) == {shop.appid for shop in shops}
    assert '<a href="/admin/wechat_open/authorizationlink/">Authorization links</a>' in text


def test_ask__links_no_reader_to_a_list_that_they_may_not_view(shops: list[Authorizer]) -> None:
    text = act(person("asker", VIEW, "ask_account"), "ask", *shops, confirmed="yes").content.decode()
    assert "It is among the authorization links." in text
    assert "/authorizationlink/" not in text


def test_ask__for_a_platform_that_is_not_configured_is_an_error(operator: Client, component: Component) -> None:
    Component.objects.update(appid="wxelse")
    assert "is stored, but not in WECHAT_OPEN" in act(operator, "ask", make(component, "wxa")).content.decode()


def test_forget__asks_even_before_one_and_leaves_the_history(operator: Client, component: Component) -> None:
    account = make(component, "wxa", state=State.UNAUTHORIZED)
    text = act(operator, "forget", account, back_to=account.pk).content.decode()
    assert "Forget 1 account?" in text
    assert "Yes, forget" in text
    assert Authorizer.objects.exists()

    answer = act(operator, "forget", account, back_to=account.pk, confirmed="yes")
    assert "The account was forgotten." in answer.content.decode()
    assert answer.redirect_chain == [(rows(Authorizer), 302)]
    assert not Authorizer.objects.exists()
    assert AuditEntry.objects.get().appid == "wxa"
    assert LogEntry.objects.get().object_id == str(account.pk)


def test_forget__leaves_an_authorized_account_alone(operator: Client, component: Component) -> None:
    account = make(component, "wxa")
    assert "1 of them is still authorized" in act(operator, "forget", account).content.decode()
    assert "WeChat would list it again" in act(operator, "forget", account, confirmed="yes").content.decode()
    assert Authorizer.objects.exists()


def test_no_page_or_message__holds_a_token(operator: Client, wechat: Simulator, account: Authorizer) -> None:
    secrets = [tokens.authorizer_token(platforms.for_component(account.component), OFFICIAL).reveal()]
    secrets += [account.reveal("refresh_token").reveal()]
    pages = shown(operator, page(account)) + shown(operator, rows(Authorizer))
    for action in ("refresh", "sync", "reconcile"):
        pages += act(operator, action, account).content.decode()
    account.refresh_from_db()
    secrets += [account.reveal("refresh_token").reveal(), account.reveal("access_token").reveal()]
    pages += shown(operator, page(account))
    assert not [secret for secret in secrets if secret in pages]
    assert "v1." not in pages


def test_words__change_with_the_language(component: Component) -> None:
    account = make(component, "wxa", failures=1, last_errcode=61023)
    with override("zh-hans"):
        assert "authorizer_refresh_token 无效" in advice.for_account(account).message

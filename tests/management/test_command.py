"""``manage.py wechat_open`` and its subcommands."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta
from io import StringIO
from typing import Any

import pytest
import responses
from django.conf import settings as site
from django.contrib.auth.models import User
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import InterfaceError, OperationalError, ProgrammingError, connection
from django.utils import timezone
from django.utils.translation import override

from wechat_open import audit, authorization, health, signals
from wechat_open.client import component as endpoints
from wechat_open.client.reachability import IN_A_ROW, REACHABILITY
from wechat_open.models import AuditEntry, AuthorizationLink, Authorizer, Component, Push, VerifyTicket

API = "https://api.weixin.qq.com"
DEFAULT, SECOND = (site.WECHAT_OPEN["COMPONENTS"][alias]["APPID"] for alias in ("default", "second"))
TEA, COFFEE = "wxaaaaaaaaaaaaaaaa", "wxbbbbbbbbbbbbbbbb"


def ago(**time: float) -> datetime:
    return timezone.now() - timedelta(**time)


def make_component(appid: str) -> Component:
    """A platform in good order."""
    now = timezone.now()
    row = Component(appid=appid, heartbeat_at=now, beat_at=now, last_push_at=now)
    row.reconciled_at, row.reconcile_due_at = now, now + timedelta(hours=1)
    row.access_token = row.encrypt("access_token", "component-token")
    row.access_token_obtained_at, row.access_token_expires_at = now, now + timedelta(hours=2)
    row.next_action_at = now + timedelta(hours=1)
    row.save()
    ticket = VerifyTicket(component=row, digest="d", created_at=now, received_at=now)
    ticket.ticket = ticket.encrypt("ticket", "ticket@@@1")
    ticket.save()
    return row


@pytest.fixture(autouse=True)
def _english() -> Iterator[None]:
    """A request leaves its language active in the thread."""
    with override("en"):
        yield


@pytest.fixture
def component(db: None) -> Component:
    make_component(SECOND)
    return make_component(DEFAULT)


def make_account(component: Component, appid: str, **columns: Any) -> Authorizer:
    row = Authorizer(component=component, appid=appid, next_action_at=timezone.now() + timedelta(hours=1))
    row.access_token = row.encrypt("access_token", "old-access-token")
    row.refresh_token = row.encrypt("refresh_token", "refreshtoken@@@old")
    row.access_token_obtained_at = row.profile_synced_at = ago(minutes=10)
    row.access_token_expires_at = timezone.now() + timedelta(minutes=110)
    for name, value in columns.items():
        setattr(row, name, value)
    row.save()
    return row


@pytest.fixture
def tea(component: Component) -> Authorizer:
    return make_account(component, TEA, nick_name="Tea House")


@pytest.fixture
def coffee(component: Component) -> Authorizer:
    return make_account(component, COFFEE)


def make_push(component: Component, appid: str, **columns: Any) -> Push:
    now = timezone.now()
    row = Push(component=component, digest=f"p{appid}", info_type="unauthorized", authorizer_appid=appid)
    row.payload = row.encrypt(
        "payload",
        f"<xml><AppId>{component.appid}</AppId><CreateTime>{int(now.timestamp())}</CreateTime>"
        f"<InfoType>unauthorized</InfoType><AuthorizerAppid>{appid}</AuthorizerAppid></xml>",
    )
    row.created_at = row.received_at = row.next_attempt_at = now
    for name, value in columns.items():
        setattr(row, name, value)
    row.save()
    return row


@pytest.fixture
def wechat() -> Iterator[responses.RequestsMock]:
    with responses.RequestsMock() as mock:
        yield mock


def renewed(wechat: responses.RequestsMock) -> None:
    wechat.post(
        API + endpoints.AUTHORIZER_TOKEN,
        json={
            "authorizer_access_token": "new-access-token",
            "expires_in": 7200,
            "authorizer_refresh_token": "refreshtoken@@@new",
        },
    )


class Result:
    def __init__(self, *arguments: str) -> None:
        out, err = StringIO(), StringIO()
        self.code = 0
        try:
            call_command("wechat_open", *arguments, stdout=out, stderr=err, no_color=True)
        except SystemExit as exit:
            self.code = int(exit.code or 0)
        self.out, self.err = out.getvalue(), err.getvalue()


# -- status ------------------------------------------------------------------------------------------------------------


def test_status__of_platforms_in_order_is_0(component: Component, tea: Authorizer) -> None:
    result = Result("status")
    assert result.code == 0
    assert f"default ({DEFAULT}): in order" in result.out
    assert f"second ({SECOND}): in order" in result.out
    assert "  accounts: authorized 1, unauthorized 0, needs re-authorization 0" in result.out
    assert "  ✓ component_token: The component access token is valid for another 1 hour, 59 minutes." in result.out
    assert "✗" not in result.out


def test_status__of_a_platform_with_a_problem_is_1_and_names_it(component: Component) -> None:
    VerifyTicket.objects.filter(component=component).delete()
    Component.objects.update(heartbeat_at=ago(hours=1), last_error="WeChat answered 61004", failures=2)
    result = Result("status", "--component", "default")
    assert result.code == 1
    assert f"default ({DEFAULT}): needs action right now" in result.out
    assert "  ✗ ticket_age: WeChat has pushed no verify ticket yet" in result.out
    assert "      Enter the authorization event URL (授权事件接收URL)" in result.out
    assert "  ✗ renewals: No worker has checked for due tokens for 1 hour." in result.out
    assert SECOND not in result.out


def test_status__puts_the_worst_first(component: Component) -> None:
    Component.objects.update(beat_at=ago(minutes=3), heartbeat_at=ago(hours=1))
    lines = [line.strip() for line in Result("status", "--component", "default").out.splitlines()]
    signs = [line[0] for line in lines if line[0] in "✗!✓"]
    assert signs == sorted(signs, key="✗!✓".index)
    assert set(signs) == set("✗!✓")


def test_status__of_an_amber_platform_is_1_too(component: Component) -> None:
    Component.objects.update(beat_at=ago(minutes=3))
    result = Result("status", "--component", "default")
    assert result.code == 1
    assert f"default ({DEFAULT}): needs attention" in result.out
    assert "  ! beat: Nothing has been heard of beat" not in result.out
    assert "  ! beat: Beat has sent no task for 3 minutes, but a worker is running" in result.out


@pytest.mark.parametrize("error", [OperationalError, InterfaceError])
def test_status__without_a_database_is_1_and_names_it(
    component: Component, error: type[Exception], caplog: pytest.LogCaptureFixture
) -> None:
    def down(*_: Any) -> Any:
        raise error("no connection")

    with connection.execute_wrapper(down):
        result = Result("status")
    assert result.code == 1
    assert "  ✗ database: The database does not answer" in result.out
    assert "no connection" in caplog.text and "Traceback" not in caplog.text


def test_status__without_a_platform_is_1_and_names_the_settings(db: None, settings: Any) -> None:
    settings.WECHAT_OPEN = {}
    result = Result("status", "--skip-checks")
    assert result.code == 1
    assert "  ✗ settings: The settings have 1 error" in result.out


def test_status__of_one_platform_is_not_spoilt_by_another(component: Component) -> None:
    Component.objects.filter(appid=SECOND).update(reconciled_at=ago(hours=3))
    assert Result("status", "--component", "default").code == 0
    assert Result("status", "--component", "second").code == 1
    assert Result("status").code == 1


def test_status__as_json_is_the_report(component: Component, tea: Authorizer) -> None:
    data = json.loads(Result("status", "--json").out)
    assert data["ok"] is True
    assert [found["alias"] for found in data["components"]] == ["default", "second"]
    assert set(data["components"][0]) == set(health.report()["components"][0])


def test_status__as_json_of_one_platform_names_its_problems_only(component: Component) -> None:
    Component.objects.filter(appid=SECOND).update(reconciled_at=ago(hours=3))
    assert json.loads(Result("status", "--json").out)["problems"] == ["reconciliation"]
    assert json.loads(Result("status", "--json", "--component", "default").out)["problems"] == []
    assert json.loads(Result("status", "--json", "--component", "second").out)["problems"] == ["reconciliation"]


@pytest.mark.parametrize("subcommand", ["status", "run", "reconcile", "push-ticket", "link --base-url=https://a.com"])
def test_unknown_platform__is_named_with_the_known_ones(component: Component, subcommand: str) -> None:
    with pytest.raises(CommandError, match="no platform 'third' \\(configured: default, second\\)"):
        Result(*subcommand.split(), "--component", "third")


# -- refresh -----------------------------------------------------------------------------------------------------------


def test_refresh__renews_the_named_account(tea: Authorizer, coffee: Authorizer, wechat: responses.RequestsMock) -> None:
    renewed(wechat)
    result = Result("refresh", TEA)
    assert (result.code, result.out) == (0, f"Tea House ({TEA}): renewed\n")
    tea.refresh_from_db()
    assert tea.reveal("access_token").reveal() == "new-access-token"
    assert len(wechat.calls) == 1


def test_refresh__of_an_unknown_account_names_it_and_touches_none(
    tea: Authorizer, wechat: responses.RequestsMock
) -> None:
    with pytest.raises(CommandError, match="Account wxunknown is unknown to platform 'default'"):
        Result("refresh", TEA, "wxunknown")
    assert len(wechat.calls) == 0


def test_refresh__looks_into_the_named_platform(tea: Authorizer) -> None:
    with pytest.raises(CommandError, match=f"Account {TEA} is unknown to platform 'second'"):
        Result("refresh", TEA, "--component", "second")


@pytest.mark.parametrize("arguments", [[], ["--due", "--all"], [TEA, "--all"]])
def test_refresh__wants_one_kind_of_choice(component: Component, arguments: list[str]) -> None:
    with pytest.raises(CommandError, match="Name accounts"):
        Result("refresh", *arguments)


def test_refresh_due__renews_only_what_is_due(
    tea: Authorizer, coffee: Authorizer, wechat: responses.RequestsMock
) -> None:
    Authorizer.objects.filter(pk=tea.pk).update(next_action_at=ago(minutes=1))
    renewed(wechat)
    assert Result("refresh", "--due").out == "tokens renewed: 1\n"
    assert Result("refresh", "--due").out == "Nothing is due.\n"


def test_refresh_all__takes_every_authorized_account_and_shows_progress(
    tea: Authorizer, coffee: Authorizer, wechat: responses.RequestsMock
) -> None:
    make_account(tea.component, "wxcccccccccccccccc", state=Authorizer.State.UNAUTHORIZED)
    renewed(wechat)
    assert Result("refresh", "--all").out == "The tokens of 2 accounts were renewed.\n"
    assert len(wechat.calls) == 2


def test_refresh__that_fails_is_1_and_goes_on_with_the_others(
    tea: Authorizer, coffee: Authorizer, wechat: responses.RequestsMock
) -> None:
    Authorizer.objects.filter(pk=tea.pk).update(state=Authorizer.State.UNAUTHORIZED)
    renewed(wechat)
    result = Result("refresh", TEA, COFFEE)
    assert result.code == 1
    assert f"Account {TEA} has cancelled its authorization" in result.err
    assert result.out == f"{COFFEE}: renewed\n"


def test_refresh_all__stops_when_the_platform_is_at_fault(
    tea: Authorizer, coffee: Authorizer, wechat: responses.RequestsMock
) -> None:
    wechat.post(API + endpoints.AUTHORIZER_TOKEN, json={"errcode": 61004, "errmsg": "ip not allowed rid: 6a-1"})
    result = Result("refresh", "--all")
    assert result.code == 1
    assert "61004" in result.err
    assert "[rid 6a-1]" in result.err
    assert len(wechat.calls) == 1


# -- reconcile and tickets ---------------------------------------------------------------------------------------------


def listed(wechat: responses.RequestsMock, *appids: str, total: int | None = None) -> None:
    entries = [{"authorizer_appid": appid, "refresh_token": "refreshtoken@@@x", "auth_time": 1} for appid in appids]
    total = len(appids) if total is None else total
    wechat.post(API + endpoints.GET_AUTHORIZER_LIST, json={"total_count": total, "list": entries})


def test_reconcile__creates_unknown_accounts_and_prints_them(
    component: Component, wechat: responses.RequestsMock
) -> None:
    listed(wechat, TEA)
    result = Result("reconcile")
    assert result.code == 0
    assert result.out.startswith(f"On WeChat's list: 1\n  created: 1 {TEA}\n  repaired: 0\n")
    assert Authorizer.objects.get().appid == TEA


def test_reconcile__as_json(component: Component, wechat: responses.RequestsMock) -> None:
    listed(wechat, TEA)
    data = json.loads(Result("reconcile", "--json").out)
    assert (data["seen"], data["created"], data["complete"]) == (1, [TEA], True)


def test_reconcile__that_was_cut_short_is_an_error(component: Component, wechat: responses.RequestsMock) -> None:
    listed(wechat, TEA, total=3)
    wechat.post(API + endpoints.GET_AUTHORIZER_LIST, json={"total_count": 3, "list": []})
    with pytest.raises(CommandError, match="The list ended early"):
        Result("reconcile")


def test_push_ticket__asks_wechat(component: Component, wechat: responses.RequestsMock) -> None:
    wechat.post(API + endpoints.START_PUSH_TICKET, json={"errcode": 0, "errmsg": "ok"})
    result = Result("push-ticket")
    assert "WeChat says: ok" in result.out
    assert "授权事件接收URL" in result.out
    assert json.loads(wechat.calls[0].request.body or b"")["component_appid"] == DEFAULT


def test_push_ticket__deletes_the_stored_ones_first(component: Component, wechat: responses.RequestsMock) -> None:
    component.tickets.all().delete()
    for number in range(3):
        component.tickets.create(digest=str(number), created_at=timezone.now(), received_at=timezone.now())
    wechat.post(API + endpoints.START_PUSH_TICKET, json={"errcode": 0, "errmsg": "ok"})

    assert "3 tickets were deleted." in Result("push-ticket", "--forget").out
    assert component.tickets.count() == 0
    entry = AuditEntry.objects.get(kind=AuditEntry.Kind.TICKETS_FORGOTTEN)
    assert (entry.actor, entry.detail) == (audit.COMMAND_LINE, "3")


def test_wechats_refusal__is_one_line_with_errcode_and_rid(
    component: Component, wechat: responses.RequestsMock
) -> None:
    wechat.post(API + endpoints.START_PUSH_TICKET, json={"errcode": 40125, "errmsg": "bad secret rid: 6a-2"})
    with pytest.raises(CommandError, match=r"WeChat answered 40125 .*\[rid 6a-2\]") as raised:
        Result("push-ticket")
    assert site.WECHAT_OPEN["COMPONENTS"]["default"]["APPSECRET"] not in str(raised.value)


# -- links and pushes --------------------------------------------------------------------------------------------------


def test_link__prints_an_address_that_opens(component: Component, settings: Any) -> None:
    settings.WECHAT_OPEN = {**settings.WECHAT_OPEN, "SITE_URL": "https://platform.example.com/"}
    [url] = Result("link", "--payload", '{"shop": 7}', "--auth-type", "mini", "--appid", TEA).out.split()
    link = AuthorizationLink.objects.get()
    assert url == "https://platform.example.com" + link.with_key().get_absolute_url()
    assert (link.payload, link.auth_type, link.biz_appid, link.component.appid) == ({"shop": 7}, 2, TEA, DEFAULT)


def test_link__as_json_with_a_life_of_its_own(component: Component) -> None:
    data = json.loads(
        Result("link", "--json", "--hours", "2", "--base-url", "http://127.0.0.1:8000", "--component", "second").out
    )
    link = AuthorizationLink.objects.get()
    assert data["url"] == "http://127.0.0.1:8000" + link.with_key().get_absolute_url()
    assert datetime.fromisoformat(data["expires_at"]) == link.expires_at
    assert timedelta(minutes=119) < link.expires_at - timezone.now() <= timedelta(hours=2)
    assert link.component.appid == SECOND


def test_link__without_an_address_of_the_site_says_what_to_set(component: Component) -> None:
    with pytest.raises(CommandError, match=r'Set WECHAT_OPEN\["SITE_URL"\], or pass --base-url'):
        Result("link")
    assert not AuthorizationLink.objects.exists()


@pytest.mark.parametrize("payload", ["[1]", "shop", "7"])
def test_link__wants_a_json_object(component: Component, payload: str) -> None:
    with pytest.raises(CommandError, match="--payload: A JSON object is expected"):
        Result("link", "--payload", payload)


@pytest.mark.parametrize(
    ("argument", "said"),
    [
        *((f"--hours={hours}", "0.1 to 720 hours") for hours in ("-1", "0", "0.09", "721", "1e9", "nan", "inf", "two")),
        *(
            (f"--base-url={url}", "must be scheme and host, such as https://platform.example.com")
            for url in (
                "nonsense",
                "https://",
                "ftp://a.example",
                "https://a.example/shop",
                "https://a.example?b",
                "https://u:p@a.example",
                "https://:8000",
                "https://a.example:http",
            )
        ),
        ("--appid=garbage!", "An appid is letters and digits"),
        ('--payload={"rate": NaN}', "has to be finite"),
        (r'--payload={"name": "\u0000"}', "NUL"),
        ('--payload={"shop": ' + "[" * 40 + "]" * 40 + "}", "30 levels"),
        ('--payload={"shop": ' + "[" * 99999 + "]" * 99999 + "}", "30 levels"),
    ],
)
def test_link__refuses_invalid_input_and_creates_nothing(component: Component, argument: str, said: str) -> None:
    option = argument.partition("=")[0]
    with pytest.raises(CommandError, match=f"argument {option}: .*{said}"):
        Result("link", "--base-url=https://platform.example.com", argument)
    assert not AuthorizationLink.objects.exists()


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8000", "https://platform.example.com/", "http://[::1]:8000", "HTTPS://shop"]
)
def test_link__takes_any_scheme_and_host(component: Component, url: str) -> None:
    assert Result("link", "--base-url", url).out.startswith(url.rstrip("/") + "/wechat/authorize/link/")


def test_link__takes_an_appid_and_hours_at_their_bounds(component: Component) -> None:
    for hours in ("0.1", "720"):
        Result("link", "--base-url=https://platform.example.com", "--hours", hours, "--appid", f" {TEA} ")
    shortest, longest = AuthorizationLink.objects.order_by("pk")
    assert shortest.expires_at - shortest.created_at == timedelta(minutes=6)
    assert longest.expires_at - longest.created_at == timedelta(days=30)
    assert shortest.biz_appid == TEA


def test_replay__processes_the_named_push(tea: Authorizer) -> None:
    push = make_push(tea.component, TEA, state=Push.State.ABANDONED, next_attempt_at=None)
    result = Result("replay", str(push.pk))
    assert (result.code, result.out) == (0, f"{push.pk} unauthorized {TEA}: processed\n")
    tea.refresh_from_db()
    assert tea.state == Authorizer.State.UNAUTHORIZED


def test_replay_failed__takes_all_that_failed_and_is_1_when_one_fails_again(tea: Authorizer) -> None:
    broken = make_push(tea.component, COFFEE, state=Push.State.FAILED, payload="")
    good = make_push(tea.component, TEA, state=Push.State.FAILED)
    make_push(tea.component, "wxdone", state=Push.State.DONE)
    result = Result("replay", "--failed")
    assert result.code == 1
    assert f"{broken.pk} unauthorized {COFFEE}: It cannot be read" in result.out
    assert f"{good.pk} unauthorized {TEA}: processed" in result.out
    assert "wxdone" not in result.out


def test_replay__of_an_unknown_push_names_it(component: Component) -> None:
    with pytest.raises(CommandError, match="no push 998, 999"):
        Result("replay", "999", "998")


def test_replay__wants_ids_or_failed(component: Component) -> None:
    with pytest.raises(CommandError, match="Name pushes"):
        Result("replay")


# -- run ---------------------------------------------------------------------------------------------------------------


def test_run_once__does_what_is_due_and_says_it_in_a_line(
    tea: Authorizer, coffee: Authorizer, wechat: responses.RequestsMock
) -> None:
    Authorizer.objects.filter(pk=tea.pk).update(next_action_at=ago(minutes=1))
    make_push(tea.component, COFFEE)
    renewed(wechat)
    result = Result("run", "--once")
    assert (result.code, result.err) == (0, "")
    [line] = result.out.splitlines()
    assert line[19:] == " default tokens renewed: 1; * pushes processed: 1"


def test_run_once__with_nothing_to_do_says_nothing(component: Component) -> None:
    result = Result("run", "--once")
    assert (result.code, result.out, result.err) == (0, "", "")


def test_run_once__without_a_ticket_is_1_and_says_what_to_do(component: Component) -> None:
    VerifyTicket.objects.all().delete()
    Component.objects.update(access_token="", access_token_expires_at=None, push_started_at=timezone.now())
    result = Result("run", "--once", "--component", "default")
    assert result.code == 1
    assert "default renew_due_tokens: Renewals are paused: there is no usable component token." in result.err
    assert "second" not in result.err


def test_run_once__while_accounts_agree_does_not_blame_the_component_token(component: Component) -> None:
    soon = timezone.now() + timedelta(minutes=1)
    Component.objects.update(failed_since=timezone.now(), paused_since=timezone.now(), paused_until=soon)
    cause = "Renewals are paused: WeChat refused the platform, or several accounts for one reason."
    result = Result("run", "--once", "--component", "default")
    assert result.code == 1
    assert cause in result.err and "component token" not in result.err
    with pytest.raises(CommandError, match=cause):
        Result("refresh", "--due")


def test_run_once__on_a_host_without_wechat_says_so(component: Component) -> None:
    for _ in range(IN_A_ROW):
        REACHABILITY.unanswered()
    result = Result("run", "--once", "--component", "default")
    assert result.code == 1
    assert (
        "default renew_due_tokens: This host gets no answer from WeChat, and leaves renewals to others." in result.err
    )


def test_failing_platform__does_not_stop_the_others(component: Component, wechat: responses.RequestsMock) -> None:
    make_account(Component.objects.get(appid=SECOND), TEA, next_action_at=ago(minutes=1))
    VerifyTicket.objects.filter(component=component).delete()
    wechat.post(API + endpoints.START_PUSH_TICKET, body=ConnectionError())
    renewed(wechat)
    result = Result("run", "--once")
    assert "default watch_tickets: WeChat gave no usable answer" in result.err
    assert "second tokens renewed: 1" in result.out
    assert result.code == 1


@pytest.mark.slow
def test_run__as_a_process_stops_cleanly_on_sigterm(process_environment: dict[str, str]) -> None:
    make_component(DEFAULT)
    command = [sys.executable, "-u", "-m", "django", "wechat_open", "run", "--component", "default"]
    process = subprocess.Popen(
        command, env=process_environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, encoding="utf-8"
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "Maintaining default. Ctrl-C stops.\n"
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 0, err
    assert out.endswith("Stopped.\n")
    assert "Traceback" not in err


# -- the command itself ------------------------------------------------------------------------------------------------


def test_every_subcommand__has_help(capsys: pytest.CaptureFixture[str]) -> None:
    for subcommand in ["status", "run", "refresh", "reconcile", "push-ticket", "link", "replay", "rehearse-release"]:
        with pytest.raises(SystemExit) as exit:
            call_command("wechat_open", subcommand, "--help")
        assert exit.value.code == 0
        assert "--component ALIAS" in capsys.readouterr().out


def test_help__begins_with_a_capital_and_leaves_the_others(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        call_command("wechat_open", "doctor", "--help")
    assert "\nExamine the site up to WeChat, and say what to do; exit code 1" in capsys.readouterr().out


def test_djangos_options__may_follow_the_subcommand(component: Component) -> None:
    assert Result("status", "--verbosity", "0", "--no-color", "--traceback").code == 0
    assert Result("--verbosity", "2", "status").code == 0


def test_texts__are_in_the_sites_language(component: Component) -> None:
    with override("zh-hans"):
        assert f"default ({DEFAULT})" in Result("status").out


def test_site_without_the_admin__needs_none(component: Component) -> None:
    """Nothing but the admin's own discovery imports our admin."""
    code = (
        "import os, sys; os.environ['DJANGO_SETTINGS_MODULE'] = 'tests.settings'\n"
        "from django.conf import settings\n"
        "settings.INSTALLED_APPS = ['django.contrib.auth', 'django.contrib.contenttypes', 'wechat_open']\n"
        "import django; django.setup()\n"
        "import wechat_open.urls, wechat_open.management.commands.wechat_open\n"
        "assert 'wechat_open.admin' not in sys.modules\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


def test_started_by__is_empty_for_a_link_from_the_shell(component: Component) -> None:
    User.objects.create_user("somebody")
    Result("link", "--base-url", "https://platform.example.com")
    assert AuthorizationLink.objects.get().user is None


# -- words -------------------------------------------------------------------------------------------------------------


def test_status__folds_what_is_in_order_below_what_is_not(component: Component) -> None:
    Component.objects.filter(appid=DEFAULT).update(skew_seconds=500)
    result = Result("status", "--component", "default")
    lines = result.out.splitlines()
    assert [line[:4] for line in lines[2:4]] == ["  ✗ ", "    "]
    assert {line[:4] for line in lines[4:-1]} <= {"  – "}, "what is not known yet"
    assert lines[-1].startswith("  ✓ In order: ticket_age, push_service, component_token, ")
    assert "In order" not in Result("status", "--component", "default", "--problems").out
    assert len(Result("status", "--component", "default", "-v2").out.splitlines()) > 15


def test_status__names_codes_in_chinese(component: Component) -> None:
    Component.objects.filter(appid=DEFAULT).update(skew_seconds=500)
    with override("zh-hans"):
        out = Result("status", "--component", "default").out
    (line,) = [line for line in out.splitlines() if "✗" in line]
    assert line.startswith("  ✗ 时钟偏差 (clock_skew): ") or "(clock_skew)" in line
    assert "forced_renewals" in out and "forced_renewals:" not in out


def test_refresh_all__says_what_came_of_it(
    component: Component, tea: Authorizer, wechat: responses.RequestsMock
) -> None:
    renewed(wechat)
    assert Result("refresh", "--all").out == "The tokens of 1 account were renewed.\n"
    tea.delete()
    assert Result("refresh", "--all").out == "No account has authorized this platform: nothing to renew.\n"


def test_refresh_all__counts_what_failed_and_what_was_not_tried(
    component: Component, tea: Authorizer, coffee: Authorizer, wechat: responses.RequestsMock
) -> None:
    wechat.post(API + endpoints.AUTHORIZER_TOKEN, json={"errcode": 61004, "errmsg": "not registered"})
    result = Result("refresh", "--all")
    assert result.code == 1
    assert result.out.splitlines() == [
        "The tokens of 0 accounts were renewed.",
        "1 account failed.",
        "1 account was not tried.",
    ]


@pytest.mark.parametrize("text", ["{shop:7}", "'x'", "7", '["shop"]'])
def test_payload_that_is_no_object__says_how_to_write_one(component: Component, text: str) -> None:
    with pytest.raises(CommandError, match="A JSON object is expected") as refused:
        Result("link", "--payload", text)
    assert text in str(refused.value) and """--payload '{"shop": 7}'""" in str(refused.value)
    assert not AuthorizationLink.objects.exists()


@pytest.mark.parametrize("appid", ["wx12", "wx4c9e2f70d81b35a", "wx4C9E2F70D81B35A6", "gh_3c884a361561"])
def test_link_for_what_is_no_appid__is_refused(component: Component, appid: str) -> None:
    with pytest.raises(CommandError, match="is not an appid"):
        Result("link", "--base-url", "https://site.example", "--appid", appid)
    assert not AuthorizationLink.objects.exists()


def test_link_for_a_known_account__is_made_whatever_its_appid_looks_like(component: Component) -> None:
    make_account(component, "wx12")
    assert Result("link", "--base-url", "https://site.example", "--appid", "wx12").out.startswith("https://site")


@pytest.mark.parametrize(
    "arguments", [["link", "--base-url", "https://site.example"], ["refresh", "--all"], ["show", TEA]]
)
def test_missing_tables__are_one_line_that_says_what_to_do(db: None, arguments: list[str]) -> None:
    class Missing:
        """Every query fails as it does before the first migration."""

        def __call__(self, execute: Any, *query: Any) -> Any:
            raise ProgrammingError('relation "wechat_open_component" does not exist\nLINE 1: SELECT')

    with connection.execute_wrapper(Missing()), pytest.raises(CommandError) as refused:
        Result(*arguments)
    data = str(refused.value)
    assert 'relation "wechat_open_component" does not exist' in data and "manage.py migrate" in data
    assert "\n" not in data


def test_reconcile_of_a_long_list__shows_its_progress(
    component: Component, wechat: responses.RequestsMock, monkeypatch: pytest.MonkeyPatch
) -> None:
    pages = [[f"wx{page}{number:03}" for number in range(500)] for page in range(2)]
    for page in pages:
        entries = [{"authorizer_appid": appid, "refresh_token": f"r@{appid}", "auth_time": 1} for appid in page]
        wechat.post(API + endpoints.GET_AUTHORIZER_LIST, json={"total_count": 1000, "list": entries})
    monkeypatch.setattr(authorization, "announce_all", lambda platform: 0)
    out = Result("reconcile").out
    assert re.search(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d compared with WeChat's list: 500 of 1000$", out, re.MULTILINE)
    assert "compared with WeChat's list: 1000 of 1000" in out


def test_run__says_alerts_and_recoveries_with_a_time(component: Component, later: Any) -> None:
    Component.objects.filter(appid=DEFAULT).update(reconcile_repairs=1)
    begun = Result("run", "--once", "--component", "default").out
    line = r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d default warning: Repaired by the comparison: The last comparison"
    assert re.search(line, begun, re.MULTILINE)
    assert not signals.alert.receivers

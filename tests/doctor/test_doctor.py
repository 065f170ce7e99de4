"""``doctor`` names whatever is wrong with a site, with a hint, and reports nothing about a healthy one."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from celery import current_app
from django.core.management import call_command
from django.core.management.base import CommandError
from django.core.management.color import no_style
from django.db import OperationalError, connection
from django.db.migrations.recorder import MigrationRecorder
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import path
from django.utils import timezone
from django.utils.translation import get_language, override
from docutils import nodes
from pytest_django.live_server_helper import LiveServer

from tests import failing_cache, readme
from tests.readme import words
from wechat_open import health, inbox, platforms, tokens
from wechat_open.conf import WECHAT_API, conf
from wechat_open.doctor import addresses, examination
from wechat_open.doctor.report import Group, as_json, columns, exit_code, lines, wrapped
from wechat_open.health import AMBER, GREEN, RED, UNKNOWN, Finding, Level, statistics, timeouts
from wechat_open.models import AuditEntry, Authorizer, Component, Push, VerifyTicket
from wechat_open.operations.accounts import Refresh
from wechat_open.platforms import Platform
from wechat_open.schedule import BEAT_SCHEDULE
from wechat_open.simulator import Simulator, errors
from wechat_open.simulator.api import dispatch
from wechat_open.simulator.state.engine import COMPONENT

pytestmark = pytest.mark.slow

OFFICIAL = "wx0a1b2c3d4e5f6071"
CANARY = "canary-password"

urlpatterns: list[Any] = []  # of a site that forgot ours


class Doctor:
    """One examination: as a person and as a script would have it."""

    def __init__(self, *arguments: str) -> None:
        timeouts.forget()
        self.code, self.out = self._call(*arguments, "--json")
        self.report = json.loads(self.out)

    @staticmethod
    def _call(*arguments: str) -> tuple[int, str]:
        out = StringIO()
        try:
            call_command("wechat_open", "doctor", *arguments, stdout=out, no_color=True)
        except SystemExit as exit:
            return int(exit.code or 0), out.getvalue()
        return 0, out.getvalue()

    @property
    def findings(self) -> list[dict[str, Any]]:
        return [finding for group in self.report["groups"] for finding in group["findings"]]

    def of(self, code: str, level: str = "red") -> dict[str, Any]:
        """The one finding with this code and level."""
        found = [finding for finding in self.findings if (finding["code"], finding["level"]) == (code, level)]
        assert len(found) == 1, self.problems
        return found[0]

    @property
    def problems(self) -> list[tuple[str, str, str]]:
        return [(f["level"], f["code"], f["message"]) for f in self.findings if f["level"] in ("red", "amber")]


@pytest.fixture(autouse=True)
def _english() -> Iterator[None]:
    with override("en"):
        yield


def put_in_order(settings: Any, url: str) -> Platform:
    """A developer's site with nothing to complain of: tickets, accounts, and beat and workers that were just there."""
    settings.DEBUG = True
    settings.CELERY_BEAT_SCHEDULE = BEAT_SCHEDULE
    settings.WECHAT_OPEN = {**settings.WECHAT_OPEN, "SITE_URL": url}
    platform = platforms.get()
    for account in Authorizer.objects.all():
        tokens.refresh_now(account)
    tokens.run_due(platform)
    tokens.reconcile(platform)
    statistics.record_beat(platform)
    Component.objects.update(reconcile_repairs=0)
    return platform


@pytest.fixture
def site(platform: Platform, account: Authorizer, settings: Any) -> Platform:
    """A site in good order, whose WeChat is the simulator, over real HTTP."""
    return put_in_order(settings, "http://127.0.0.1:8000")


@pytest.fixture
def served(transactional_db: None, wechat: Simulator, live_server: LiveServer, settings: Any) -> Platform:
    """The same on a port, so that its callbacks answer: its ticket and its account were pushed there."""
    wechat.callback = f"{live_server.url}/wechat/"
    assert wechat.control("push-ticket")["body"] == "success"
    wechat.control("authorize", appid=OFFICIAL)
    inbox.process_due()
    return put_in_order(settings, live_server.url)


@pytest.fixture
def set_option(settings: Any) -> Callable[..., None]:
    """Change WECHAT_OPEN, or with a key of the platform its credentials."""

    def change(**options: Any) -> None:
        given = dict(settings.WECHAT_OPEN)
        for name, value in options.items():
            if name in given["COMPONENTS"]["default"]:
                given["COMPONENTS"] = {"default": {**given["COMPONENTS"]["default"], name: value}}
            else:
                given[name] = value
        settings.WECHAT_OPEN = given

    return change


def ago(**time: float) -> Any:
    return timezone.now() - timedelta(**time)


# In good order


def test_healthy_site__is_all_green(served: Platform) -> None:
    doctor = Doctor("--probe-site")
    assert doctor.problems == []
    assert (doctor.code, doctor.report["ok"], doctor.report["level"]) == (0, True, "green")
    codes = {finding["code"] for finding in doctor.findings}
    assert codes >= {"settings", "database", "old_keys", "cache", "broker", "address", "callback", "ticket_age", "beat"}
    assert codes >= {"appsecret", "push_service", "component_token", "token_parameter", "clock_skew", "callback_ips"}
    assert codes >= {"quota", "records", "records_agree", "records_count", "rotation"}
    assert "unexamined" not in codes


def test_production__is_all_green_too(site: Platform, settings: Any, set_option: Any) -> None:
    """Without DEBUG, where much more is looked at. What only a test has is silenced."""
    settings.DEBUG = False
    settings.SILENCED_SYSTEM_CHECKS = [
        "wechat_open.W003",  # the cache in memory
        "wechat_open.W005",  # the simulator
        "wechat_open.W007",  # http
    ]
    key = "bm5ubm5ubm5ubm5ubm5ubm5ubm5ubm5ubm5ubm5ubm4"
    set_option(ENCRYPTION_KEYS=[key])
    call_command("wechat_open", "rotate-keys", verbosity=0, stdout=StringIO())
    doctor = Doctor("--offline")
    assert doctor.problems == [("amber", "broker", "The broker is in the memory of one process.")]


def test_examination__changes_nothing(served: Platform) -> None:
    """But that WeChat, being asked whether it pushes, pushes a ticket."""

    def rows() -> Any:
        return [
            list(Authorizer.objects.values()),
            list(Push.objects.values()),
            list(AuditEntry.objects.values()),
            list(Component.objects.values("access_token", "fence", "next_action_at", "failures", "paused_until")),
        ]

    before = rows()
    Doctor("--probe-site")
    assert rows() == before


def test_offline__asks_wechat_nothing(site: Platform, wechat: Simulator) -> None:
    before = dict(wechat.engine.calls)
    doctor = Doctor("--offline")
    assert dict(wechat.engine.calls) == before
    assert doctor.code == 0
    assert "WeChat was not asked: --offline." in [finding["message"] for finding in doctor.findings]


# Breakages of the ground


def test_wrong_aes_key__is_named(site: Platform, set_option: Any) -> None:
    set_option(ENCODING_AES_KEY="x" * 42)
    doctor = Doctor()
    found = doctor.of("wechat_open.E009")
    assert "ENCODING_AES_KEY" in found["message"] and "消息加解密Key" in found["hint"]
    assert doctor.code == 1
    assert {group["name"] for group in doctor.report["groups"] if group["component"]} == {
        "address",
        "platform",
        "wechat",
    }
    assert "Not examined, because the settings are wrong" in str(doctor.report["groups"][-1])


def test_settings_that_are_no_dict__are_reported_and_do_not_crash(db: None, settings: Any) -> None:
    settings.WECHAT_OPEN = ["COMPONENTS"]
    doctor = Doctor()
    assert "must be a dict" in doctor.of("wechat_open.E001")["message"]
    assert doctor.code == 1


PLATFORM = {"APPID": "wx1", "APPSECRET": CANARY, "TOKEN": CANARY, "ENCODING_AES_KEY": CANARY}


@pytest.mark.parametrize(
    "wrong",
    [
        {"COMPONENTS": [PLATFORM]},
        {"COMPONENTS": ["default"]},
        {"COMPONENTS": {"default": "wx1"}},
        {"COMPONENTS": None},
        {"ENCRYPTION_KEYS": None},
    ],
    ids=str,
)
def test_settings_of_the_wrong_type__are_reported_and_do_not_crash(
    site: Platform, set_option: Any, wrong: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    set_option(**wrong)
    doctor = Doctor("--offline")
    assert doctor.code == 1
    assert "must be a" in str([said for level, code, said in doctor.problems if code.startswith("wechat_open.E")])
    assert CANARY not in doctor.out + caplog.text and "Traceback" not in caplog.text


def test_site_without_time_zones__is_examined_as_any_other(site: Platform, settings: Any) -> None:
    with_zones = [code for _level, code, _said in Doctor("--offline").problems]
    settings.USE_TZ = False
    assert [code for _level, code, _said in Doctor("--offline").problems] == with_zones


def test_no_migrations__are_named(db: None) -> None:
    MigrationRecorder.Migration.objects.filter(app="wechat_open").delete()
    doctor = Doctor()
    found = doctor.of("migrations")
    assert "wechat_open.0001_initial" in found["message"] and "manage.py migrate" in found["hint"]
    assert doctor.code == 1
    assert doctor.report["groups"][2]["findings"][0]["message"] == "Not examined, because the database is not in order."


def test_standby_server__is_named(transactional_db: None) -> None:
    read_only = {
        "sqlite": "PRAGMA query_only = ON",
        "postgresql": "SET default_transaction_read_only = on",
        "mysql": "SET SESSION TRANSACTION READ ONLY",
    }
    with connection.cursor() as cursor:
        cursor.execute(read_only[connection.vendor])
    try:
        doctor = Doctor()
    finally:
        connection.close()

    assert "primary server" in doctor.of("read_only")["hint"]
    assert doctor.code == 1


def test_dead_database__is_named_and_the_rest_is_examined(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: Any) -> None:
        raise OperationalError("connection to server at 10.0.0.5 failed: refused\n\tIs the server running?")

    with monkeypatch.context() as patch:
        patch.setattr(connection, "ensure_connection", fail)
        doctor = Doctor()
    found = doctor.of("database")
    assert "connection to server at 10.0.0.5 failed: refused" in found["message"] and "\n" not in found["message"]
    assert "DATABASES" in found["hint"]
    assert doctor.code == 1
    assert [group["findings"][0]["code"] for group in doctor.report["groups"]][3] == "wechat_open.W003"


@pytest.fixture
def dead_cache(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.CACHES = failing_cache.CACHES
    monkeypatch.setattr(failing_cache.Failing, "down", True)


def test_dead_cache__is_named(site: Platform, dead_cache: None) -> None:
    """Amber, because it costs speed and nothing else; ``health`` says so in the same words."""
    doctor = Doctor()
    found = doctor.of("cache", "amber")
    assert "does not answer (RuntimeError)" in found["message"]
    assert "CACHES" in found["hint"] and "handled twice" in found["why"]
    [same] = [each.as_data() for each in health.examine_site() if each.code == "cache"]
    assert {name: found[name] for name in ("level", "message", "hint")}.items() <= same.items()
    assert (doctor.code, Doctor("--strict").code) == (0, 1)
    assert CANARY not in doctor.out


def test_cache_that_keeps_nothing__is_named(site: Platform, settings: Any) -> None:
    settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.dummy.DummyCache"}}
    assert "does not keep what is stored in it" in Doctor().of("cache", "amber")["message"]


def test_cache_of_one_process__is_named_in_production(site: Platform, settings: Any) -> None:
    settings.DEBUG = False
    found = Doctor("--offline").of("wechat_open.W003", "amber")
    assert "in the memory of one process" in found["message"] and "RedisCache" in found["hint"]


def test_encrypted_under_a_lost_key__is_named(site: Platform, set_option: Any, settings: Any) -> None:
    settings.SECRET_KEY = "changed, and the tokens were forgotten"
    doctor = Doctor("--offline")
    found = doctor.of("missing_keys")
    assert "encrypted under keys that are not configured" in found["message"]
    assert "SECRET_KEY_FALLBACKS" in found["hint"] and "--empty-unreadable" in found["hint"]
    assert doctor.code == 1
    statistics.update(site.row)
    [same] = [each for each in health.examine(site) if each.code == "missing_keys"]
    assert (same.level.value, same.hint) == ("red", found["hint"])


def test_encrypted_under_an_older_key__is_named(site: Platform, set_option: Any) -> None:
    set_option(ENCRYPTION_KEYS=["bm5ubm5ubm5ubm5ubm5ubm5ubm5ubm5ubm5ubm5ubm4"])
    doctor = Doctor("--offline")
    assert "rotate-keys" in doctor.of("old_keys", "amber")["hint"]
    assert doctor.code == 0  # a look, and no more
    assert Doctor("--offline", "--strict").code == 1


def test_older_key__is_red_after_a_day_as_elsewhere(
    site: Platform, set_option: Any, later: Callable[[timedelta], None]
) -> None:
    set_option(ENCRYPTION_KEYS=["bm5ubm5ubm5ubm5ubm5ubm5ubm5ubm5ubm5ubm5ubm4"])
    statistics.update(site.row)
    later(timedelta(hours=24, minutes=1))
    assert "rotate-keys" in Doctor("--offline").of("old_keys")["hint"]


@pytest.mark.parametrize(("seconds", "doctor"), [(28, False), (32, True), (-32, True)])
def test_clock_of_the_database__is_compared_with_this_servers(
    site: Platform, later: Callable[[timedelta], None], seconds: int, doctor: bool
) -> None:
    later(timedelta(seconds=seconds))  # the database's clock, and not this server's
    found = [finding for finding in Doctor("--offline").findings if finding["code"] == "database_clock"]
    assert [finding["level"] for finding in found] == ["amber"] * doctor
    assert all("differ by 3" in finding["message"] and "NTP" in finding["hint"] for finding in found)


def test_site_that_runs_the_command__needs_no_broker(site: Platform, set_option: Any) -> None:
    set_option(WORKER="run")
    assert "“manage.py wechat_open run” does the work" in Doctor("--offline").of("broker", "green")["message"]


def test_debug_with_the_real_wechat__is_named(site: Platform, set_option: Any) -> None:
    """And what is only asked of a site in production is asked then."""
    set_option(API_BASE_URL=f"{WECHAT_API}/", SITE_URL="https://platform.example.com")
    doctor = Doctor("--offline")
    found = doctor.of("debug", "amber")
    assert "DEBUG is on" in found["message"] and "DEBUG = False" in found["hint"]
    assert "derived from SECRET_KEY" in doctor.of("wechat_open.W004", "amber")["message"]
    assert "memory of one process" in doctor.of("broker", "amber")["message"]
    assert not [finding for finding in doctor.findings if finding["code"] == "settings"]
    assert Doctor("--offline", "--strict").code == 1


@pytest.mark.parametrize("url", ["http://[::1", "http://127.0.0.1:8001", 7])
def test_debug_with_another_wechat__is_in_order(site: Platform, set_option: Any, url: Any) -> None:
    set_option(API_BASE_URL=url)
    assert "debug" not in {finding["code"] for finding in Doctor("--offline").findings}


# Breakages of what works in the background


@pytest.fixture
def broker() -> Iterator[Callable[[str], None]]:
    before = current_app.conf.broker_url
    yield lambda url: current_app.conf.update(broker_url=url)
    current_app.conf.update(broker_url=before)


def test_dead_broker__is_named_without_its_password(site: Platform, broker: Any) -> None:
    broker(f"amqp://guest:{CANARY}@127.0.0.1:1//")
    doctor = Doctor("--offline")
    found = doctor.of("broker")
    assert "amqp://guest:**@127.0.0.1:1//" in found["message"] and "CELERY_BROKER_URL" in found["hint"]
    assert doctor.code == 1
    assert CANARY not in doctor.out


@pytest.mark.parametrize(
    ("registered", "level", "words"),
    [
        (None, "amber", "No worker answers."),
        ({"celery@a": ["other.task"]}, "amber", "lack tasks of wechat_open"),
        ({"celery@a": [entry["task"] for entry in BEAT_SCHEDULE.values()]}, "green", "1 worker answers"),
    ],
)
def test_workers__are_asked_for_their_tasks(
    site: Platform,
    broker: Any,
    tmp_path: Any,
    monkeypatch: pytest.MonkeyPatch,
    registered: Any,
    level: str,
    words: str,
) -> None:
    broker("filesystem://")
    folders = {f"data_folder_{way}": str(tmp_path) for way in ("in", "out")}
    monkeypatch.setitem(current_app.conf.changes, "broker_transport_options", folders)
    asked = SimpleNamespace(registered=lambda: registered)
    monkeypatch.setattr(current_app.control, "inspect", lambda timeout: asked)
    found = Doctor("--offline").of("workers", level)
    assert words in found["message"]
    assert level == "green" or "worker" in found["hint"] or "Restart" in found["hint"]


def test_no_beat_schedule__is_named(site: Platform, settings: Any) -> None:
    settings.CELERY_BEAT_SCHEDULE = {}
    found = Doctor("--offline").of("wechat_open.W011", "amber")
    assert "Celery beat does not start" in found["message"] and "BEAT_SCHEDULE" in found["hint"]


def test_no_heartbeat__is_named(site: Platform) -> None:
    Component.objects.update(beat_at=ago(hours=1), heartbeat_at=ago(hours=1))
    doctor = Doctor("--offline")
    assert "beat" in doctor.of("beat")["message"].lower()
    assert "Start a worker" in doctor.of("renewals")["hint"]
    assert doctor.of("beat")["why"] and doctor.of("renewals")["why"]
    assert doctor.code == 1


def test_overdue_accounts_with_a_dead_worker__are_named(site: Platform) -> None:
    Component.objects.update(heartbeat_at=ago(hours=1))
    Authorizer.objects.update(next_action_at=ago(minutes=50), access_token_expires_at=ago(minutes=20))
    doctor = Doctor("--offline")
    assert "1 account of 1 waits for its renewal" in doctor.of("overdue")["message"]
    assert "expired" in doctor.of("expired_tokens")["message"]
    assert doctor.of("renewals")["level"] == "red"
    assert doctor.code == 1
    [group] = [group for group in doctor.report["groups"] if group["name"] == "platform"]
    levels = [finding["level"] for finding in group["findings"]]
    assert levels == sorted(levels, key=["red", "amber", "green"].index)


def test_stuck_inbox__is_named(site: Platform) -> None:
    for number in range(60):
        push = Push(component=site.row, digest=f"stuck {number}", info_type="authorized")
        push.created_at = push.received_at = ago(minutes=30)
        push.save()
    doctor = Doctor("--offline")
    assert "60 pushes wait" in doctor.of("inbox")["message"] and "worker" in doctor.of("inbox")["hint"]
    assert doctor.code == 1


# Breakages of the addresses


def test_urls_not_included__are_named(site: Platform, settings: Any) -> None:
    settings.ROOT_URLCONF = __name__
    doctor = Doctor("--offline")
    found = doctor.of("urls")
    assert "not included" in found["message"] and 'include("wechat_open.urls")' in found["hint"]
    assert doctor.code == 1


def test_host_that_django_refuses__is_named(site: Platform, settings: Any, set_option: Any) -> None:
    settings.ALLOWED_HOSTS = ["another.example.com"]
    set_option(SITE_URL="https://platform.example.com")
    found = Doctor("--offline").of("allowed_hosts")
    assert found["hint"] == "Add platform.example.com to ALLOWED_HOSTS."


@pytest.mark.parametrize(
    ("url", "level", "words"),
    [
        ("https://10.0.0.5", "red", "inside this network"),
        ("http://localhost:8000", "red", "inside this network"),
        ("https://intranet", "red", "inside this network"),
        ("https://platform.example.com:8443", "amber", "ports 80 and 443 only"),
    ],
)
def test_place_where_wechat_does_not_come__is_named(
    db: None, settings: Any, set_option: Any, url: str, level: str, words: str
) -> None:
    settings.ALLOWED_HOSTS = ["*"]
    set_option(SITE_URL=url)
    found = Doctor("--offline", "--component", "default").of("site_url", level)
    assert words in found["message"] and found["hint"]


def test_callback_that_refuses_a_stranger__is_no_all_clear(
    served: Platform, wechat: Simulator, set_option: Any, caplog: pytest.LogCaptureFixture
) -> None:
    found = [finding["message"] for finding in Doctor("--probe-site").findings if finding["code"] == "callback"]
    assert len(found) == 2
    for said in found:
        assert "ENCODING_AES_KEY" in said and "“Refused a push for platform”" in said

    set_option(TOKEN="another")
    assert wechat.control("push-ticket")["status"] == 403
    assert "Refused a push for platform" in caplog.text, "the very words"


def test_callback_nowhere__is_named(site: Platform, set_option: Any) -> None:
    set_option(SITE_URL="http://127.0.0.1:1")
    doctor = Doctor("--offline", "--probe-site")
    found = [finding for finding in doctor.findings if finding["code"] == "callback"]
    assert [finding["level"] for finding in found] == ["red", "red"]
    assert "no answer (ConnectionError)" in found[0]["message"] and "firewall" in found[0]["hint"]


@pytest.mark.parametrize(
    ("answer", "wrong", "hint"),
    [
        (lambda: HttpResponseRedirect("/login/"), "a redirect (HTTP 302)", "WeChat follows none"),
        (lambda: HttpResponse("<h1>CSRF</h1>", status=403), "HTTP 403", "Something before our callback"),
        (lambda: HttpResponse("success"), "HTTP 200", "Something before our callback"),
        (lambda: HttpResponse(status=404), "HTTP 404", "Another site answers"),
        (lambda: HttpResponse(status=503), "HTTP 503", "no database"),
        (lambda: HttpResponse(status=502), "HTTP 502", "the proxy"),
    ],
)
def test_something_else_at_the_callback__is_named(
    served: Platform, monkeypatch: pytest.MonkeyPatch, answer: Any, wrong: str, hint: str
) -> None:
    """Whatever stands before it: the site's own handler plays that part."""
    from django.core.handlers.wsgi import WSGIHandler

    monkeypatch.setattr(WSGIHandler, "get_response", lambda self, request: answer())
    doctor = Doctor("--offline", "--probe-site")
    found = [finding for finding in doctor.findings if finding["code"] == "callback"]
    assert len(found) == 2
    assert all(wrong in finding["message"] and hint in finding["hint"] for finding in found)
    assert doctor.code == 1


def test_site_url_unknown__is_reported(site: Platform, set_option: Any) -> None:
    set_option(SITE_URL="")
    assert 'WECHAT_OPEN["SITE_URL"] is empty' in str(Doctor("--offline").report)


# Faults that WeChat's answers show


def rested() -> None:
    """WeChat may be asked about pushing again."""
    Component.objects.update(push_started_at=None)


def test_wrong_appsecret__is_named(site: Platform, set_option: Any) -> None:
    set_option(APPSECRET="0" * 32)
    doctor = Doctor()
    found = doctor.of("appsecret")
    assert "40125" in found["message"] and 'WECHAT_OPEN["COMPONENTS"]["default"]["APPSECRET"]' in found["hint"]
    assert doctor.code == 1
    assert "0" * 32 not in doctor.out


def test_wrong_appid__is_named(site: Platform, wechat: Simulator) -> None:
    wechat.faults.add("api_start_push_ticket", "errcode", 40013)
    assert '["APPID"]' in Doctor().of("appid")["hint"]


@pytest.mark.parametrize(
    ("errcode", "errmsg", "address"),
    [
        (61004, "access clientip is not registered requestIP: 203.0.113.7", "203.0.113.7"),
        (40164, "invalid ip 203.0.113.8 ipv6 ::ffff:203.0.113.8, not in whitelist", "203.0.113.8"),
        (61004, "access clientip is not registered 2001:db8:0:1:2:3:4:5", "2001:db8:0:1:2:3:4:5"),
        (61004, "access clientip is not registered", "the public address of this server"),
    ],
)
def test_address_not_on_the_whitelist__is_named_with_the_address(
    site: Platform, wechat: Simulator, monkeypatch: pytest.MonkeyPatch, errcode: int, errmsg: str, address: str
) -> None:
    monkeypatch.setitem(errors.MESSAGES, errcode, errmsg)
    wechat.faults.add("api_start_push_ticket", "errcode", errcode)
    doctor = Doctor()
    assert doctor.of("ip_whitelist")["hint"].startswith(f"Add {address} to 白名单IP地址列表")
    assert doctor.code == 1


def test_tickets_that_do_not_arrive__blame_url_and_keys(served: Platform, wechat: Simulator) -> None:
    """WeChat pushes with another token than ours: the callback refuses, and nothing is stored."""
    VerifyTicket.objects.all().delete()
    wechat.engine.settings.token = "another-token-than-the-site-has"
    assert wechat.control("push-ticket")["status"] == 403
    doctor = Doctor()
    found = doctor.of("push_service")
    assert "none has ever arrived" in found["message"]
    assert all(
        word in found["hint"] for word in ("消息校验Token", "消息加解密Key", "/wechat/events/", "Refused a push")
    )


def test_no_ticket_for_hours__is_named(site: Platform, wechat: Simulator) -> None:
    VerifyTicket.objects.update(received_at=ago(hours=7), created_at=ago(hours=7))
    doctor = Doctor()
    assert "7 hours ago" in doctor.of("ticket_age")["message"].replace("\xa0", " ")
    assert doctor.code == 1
    amber_and_red = {(level, code) for level, code, _said in doctor.problems}
    assert ("red", "push_service") in amber_and_red


def test_pushing_that_had_stopped__is_started_and_reported(served: Platform, wechat: Simulator) -> None:
    wechat.engine.settings.pushing = False
    found = Doctor().of("push_service", "amber")
    assert "had stopped" in found["message"] and "--probe-site" in found["hint"]
    assert wechat.engine.settings.pushing
    assert AuditEntry.objects.filter(kind=AuditEntry.Kind.TICKETS_REQUESTED, actor="manage.py").count() == 1


def test_pushing__is_not_asked_for_twice_in_ten_minutes(site: Platform, wechat: Simulator) -> None:
    path = "/cgi-bin/component/api_start_push_ticket"
    Doctor()
    assert wechat.engine.calls[path] == 1
    said = Doctor().of("push_service", "unknown")["message"]
    assert "It can be asked again in" in said and "in a normal state" in said
    assert wechat.engine.calls[path] == 1


class TestRefusal:
    """It holds as long as WeChat is not asked again."""

    PATH = "/cgi-bin/component/api_start_push_ticket"

    @staticmethod
    def both(code: str) -> tuple[dict[str, Any], dict[str, Any]]:
        """What is doctor at once, and what three minutes later."""
        first = Doctor()
        Component.objects.update(push_started_at=ago(minutes=3))
        second = Doctor()
        assert (first.code, second.code) == (1, 1)
        return first.of(code), second.of(code)

    def test_wrong_appsecret__is_reported_again(self, site: Platform, wechat: Simulator, set_option: Any) -> None:
        set_option(APPSECRET="0" * 32)
        first, second = self.both("appsecret")
        assert first["message"] in second["message"] and first["hint"] == second["hint"]
        assert "asked 3 minutes ago" in second["message"] and "again in 7 minutes" in second["message"]
        assert wechat.engine.calls[self.PATH] == 1

    @pytest.mark.parametrize(
        ("errcode", "errmsg", "code"),
        [
            (61004, "access clientip is not registered requestIP: 203.0.113.7 rid: 5f3c-a1", "ip_whitelist"),
            (61004, "", "ip_whitelist"),
            (98765, "an unknown number rid: 5f3c-a1", "wechat"),
            (98765, "", "wechat"),
        ],
    )
    def test_any_refusal__is_reported_again(
        self,
        site: Platform,
        wechat: Simulator,
        monkeypatch: pytest.MonkeyPatch,
        errcode: int,
        errmsg: str,
        code: str,
    ) -> None:
        monkeypatch.setitem(errors.MESSAGES, errcode, errmsg)
        wechat.faults.add(self.PATH, "errcode", errcode)
        first, second = self.both(code)
        assert first["message"] in second["message"] and first["hint"] == second["hint"]

    def test_refusal__is_reported_in_the_readers_language(self, site: Platform, set_option: Any) -> None:
        set_option(APPSECRET="0" * 32)
        Doctor()
        with override("zh-hans"):
            assert "40125 AppSecret" in Doctor().of("appsecret")["message"]

    def test_other_failure__is_no_refusal(self, site: Platform, wechat: Simulator) -> None:
        """The questions that follow are asked all the same, and show whether it is over."""
        for kind, value in (("status", 502), ("errcode", -1)):
            rested()
            wechat.faults.add(self.PATH, kind, value)
            assert Doctor().code == 1
            again = Doctor()
            assert again.of("push_service", "unknown") and again.of("records_agree", "green")
            assert again.code == 0


@pytest.mark.parametrize(
    ("ahead", "level", "words"),
    [(300, "red", "5 minutes behind"), (-45, "amber", "45 seconds ahead"), (-200, "red", "3 minutes ahead")],
)
def test_wrong_clock__is_named(
    site: Platform, wechat: Simulator, monkeypatch: pytest.MonkeyPatch, ahead: int, level: str, words: str
) -> None:
    clock = wechat.clock.now
    monkeypatch.setattr(wechat.clock, "now", lambda: clock() + ahead)
    [found] = [
        finding
        for group in Doctor().report["groups"]
        if group["name"] == "wechat"
        for finding in group["findings"]
        if finding["code"] == "clock_skew"
    ]
    said = re.sub(r"4[456] seconds", "45 seconds", found["message"])
    assert found["level"] == level and words in said.replace("4 minutes behind", "5 minutes behind")
    assert "NTP" in found["hint"] and "PUSH_WINDOW" in found["why"]


def test_quota_used_up__is_named(site: Platform, wechat: Simulator) -> None:
    wechat.engine.settings.quotas["/cgi-bin/component/api_component_token"] = 1
    doctor = Doctor()
    found = doctor.of("quota")
    assert "api_component_token" in found["message"] and "clear_quota" in found["hint"]
    assert doctor.code == 1


def test_quota_of_the_very_question__is_named(site: Platform, wechat: Simulator) -> None:
    wechat.faults.add("api_get_authorizer_list", "errcode", 45009)
    doctor = Doctor()
    assert "45009" in doctor.of("quota")["message"] and "clear_quota" in doctor.of("quota")["hint"]


def test_quota_that_will_not_last__is_named(site: Platform, wechat: Simulator) -> None:
    Authorizer.objects.bulk_create(Authorizer(component=site.row, appid=f"wx{number:016}") for number in range(200))
    wechat.engine.spend("/cgi-bin/component/api_authorizer_token", COMPONENT)
    found = Doctor().of("quota", "amber")
    assert "need about 3216 calls of api_authorizer_token a day, and WeChat allows 2000" in found["message"]


def test_quota_that_is_nearly_gone__is_named(site: Platform, wechat: Simulator) -> None:
    wechat.engine.settings.quotas["/cgi-bin/component/api_component_token"] = 20
    for _ in range(18):
        wechat.engine.spend("/cgi-bin/component/api_component_token", COMPONENT)
    assert "19 of 20 calls are used today" in Doctor().of("quota", "amber")["message"]


@pytest.mark.parametrize(
    ("configured", "other"),
    [("component_access_token", "access_token"), ("access_token", "component_access_token")],
)
def test_name_of_the_token_that_wechat_does_not_take__is_named(
    site: Platform, set_option: Any, monkeypatch: pytest.MonkeyPatch, configured: str, other: str
) -> None:
    set_option(COMPONENT_TOKEN_PARAMETER=configured)
    monkeypatch.setattr(dispatch, "token_of", lambda query: query.get(other, ""))
    found = Doctor().of("token_parameter")
    assert found["hint"] == f'Set WECHAT_OPEN["COMPONENT_TOKEN_PARAMETER"] = "{other}".'


def test_name_of_the_token_that_only_ours_is__is_no_fault(site: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = conf.component_token_parameter
    real = dispatch.token_of
    listing = "/cgi-bin/component/api_get_authorizer_list"
    monkeypatch.setattr(
        dispatch, "token_of", lambda query: query.get(ours) or ("offset" in query and "") or real(query)
    )
    assert listing and "right as it is" in Doctor().of("token_parameter", "green")["message"]


def test_unreachable_wechat__is_named(site: Platform, wechat: Simulator) -> None:
    wechat.stop()
    doctor = Doctor()
    assert "curl -v http://127.0.0.1:" in doctor.of("unreachable")["hint"]
    assert doctor.code == 1


def test_rival_for_the_component_token__is_named(site: Platform, wechat: Simulator) -> None:
    """It refuses the token, and the one after it."""
    wechat.faults.add("api_get_authorizer_list", "errcode", 40001, times=2)
    assert "another system" in Doctor().of("component_token")["hint"]


# What is unsure about WeChat


def test_neither_list_nor_info_with_refresh_tokens__is_reported(site: Platform, wechat: Simulator) -> None:
    wechat.engine.settings.empty_refresh_in_list = True
    found = Doctor().of("records", "green")
    assert "returns the refresh token of 0, and api_get_authorizer_info of 1" in found["message"]
    wechat.engine.settings.empty_refresh_in_info = True
    rested()
    found = Doctor().of("records", "amber")
    assert "could not be recovered" in found["why"] and "Back the database up" in found["hint"]


def test_refresh_token_that_differs__is_reported(site: Platform) -> None:
    account = Authorizer.objects.select_related("component").get()
    account.refresh_token = account.encrypt("refresh_token", "refreshtoken@@@from-a-backup")
    account.save(update_fields=["refresh_token"])
    doctor = Doctor()
    found = doctor.of("records_differ", "amber")
    assert OFFICIAL in found["message"] and "wechat_open reconcile" in found["hint"]
    assert "from-a-backup" not in doctor.out


def test_unknown_account__is_reported(site: Platform, wechat: Simulator) -> None:
    Authorizer.objects.all().delete()
    doctor = Doctor()
    assert OFFICIAL in doctor.of("records_unknown", "amber")["message"]
    assert "1 accounts, and 0 are stored here" in doctor.of("records_count", "amber")["message"]


def test_renewal_while_records_are_read__is_no_difference(site: Platform, wechat: Simulator) -> None:
    """Custody renews between the list and the info; in strict rotation both then name different tokens."""
    from wechat_open.doctor import probes

    before = probes._stored
    looked = iter([True])

    def renews_first(platform: Platform, appid: str) -> Any:
        row = before(platform, appid)
        if next(looked, False):
            tokens.refresh_now(Authorizer.objects.select_related("component").get())
        return row

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(probes, "_stored", renews_first)
        doctor = Doctor()
    assert doctor.of("records_agree", "green")


@pytest.mark.parametrize(
    ("rotation", "words"),
    [
        ("strict", "Each renewal brings a new refresh token (seen with 1 accounts)"),
        ("stable", "Renewals leave the refresh token as it is (seen with 1 accounts)"),
    ],
)
def test_rotation__is_known_from_the_renewals(site: Platform, wechat: Simulator, rotation: str, words: str) -> None:
    wechat.engine.settings.rotation = rotation  # type: ignore[assignment]
    tokens.refresh_now(Authorizer.objects.select_related("component").get())
    assert words in Doctor().of("rotation", "green")["message"]


def probed(*arguments: str) -> dict[str, list[dict[str, Any]]]:
    doctor = Doctor("--probe-rotation", OFFICIAL, *arguments)
    assert doctor.code == 0, doctor.problems
    found: dict[str, list[dict[str, Any]]] = {}
    for finding in doctor.findings:
        found.setdefault(finding["code"], []).append(finding)
    return found


@pytest.mark.parametrize(
    ("rotation", "words"),
    [
        ("strict", "brought two new refresh tokens"),
        ("grace", "brought two new"),
        ("stable", "left the refresh token as"),
    ],
)
def test_rotation_probe__reports_and_loses_nothing(
    site: Platform, wechat: Simulator, rotation: str, words: str
) -> None:
    wechat.engine.settings.rotation = rotation  # type: ignore[assignment]
    calls = wechat.engine.calls["/cgi-bin/component/api_authorizer_token"]
    found = probed()
    assert words in found["rotation_probe"][0]["message"]
    assert [finding["level"] for finding in found["rotation_records"]] == ["green", "green"]
    assert wechat.engine.calls["/cgi-bin/component/api_authorizer_token"] == calls + 2

    account = Authorizer.objects.select_related("component").get()
    grant = wechat.engine.accounts[OFFICIAL].grant
    assert grant is not None and grant.access is not None
    assert account.reveal("refresh_token").reveal() == grant.refresh_token
    assert account.reveal("access_token").reveal() == grant.access.text
    tokens.refresh_now(account)


def test_rotation_probe__sends_no_refresh_token_twice(site: Platform, wechat: Simulator) -> None:
    """The answer to an old one could be a pair that is not stored."""
    sent: list[str] = []
    refresh = wechat.engine.refresh

    def listening(appid: str, refresh_token: str) -> Any:
        sent.append(refresh_token)
        return refresh(appid, refresh_token)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(wechat.engine, "refresh", listening)
        probed()
    assert len(sent) == len(set(sent)) == 2


@pytest.mark.parametrize(
    ("overlap", "words"), [(0, "was refused right after it"), (300, "still worked right after it")]
)
def test_rotation_probe__reports_whether_the_old_access_token_works(
    site: Platform, wechat: Simulator, overlap: int, words: str
) -> None:
    wechat.engine.settings.access_token_overlap = overlap
    assert words in probed()["overlap"][0]["message"]


def test_rotation_probe__whose_answer_is_lost_is_healed_by_custody(site: Platform, wechat: Simulator) -> None:
    wechat.faults.add("api_authorizer_token", "lost", True)
    doctor = Doctor("--probe-rotation", OFFICIAL)
    assert doctor.code == 1 and doctor.of("rotation")["level"] == "red"
    Authorizer.objects.update(next_action_at=ago(seconds=1), leased_until=ago(seconds=1))
    assert tokens.run_due(site).renewed == 1


def test_rotation_probe__is_in_the_audit_trail(site: Platform) -> None:
    probed()
    entries = AuditEntry.objects.filter(kind=Refresh.audit_kind, appid=OFFICIAL)
    assert list(entries.values_list("actor", "ok")) == [("manage.py", True)] * 2


def refused(*arguments: str) -> str:
    """Why nothing is examined: code 2."""
    with pytest.raises(CommandError) as caught:
        call_command("wechat_open", "doctor", *arguments)
    assert caught.value.returncode == 2
    return str(caught.value)


def test_rotation_probe__of_an_unknown_account_is_refused(site: Platform, settings: Any) -> None:
    said = refused("--probe-rotation", "wx9999999999999999")
    assert "wx9999999999999999" in said and f"Known: {OFFICIAL}." in said
    assert "rid" not in said

    assert "is authorized" in refused("--probe-rotation", OFFICIAL, "--component", with_second(settings))


def test_rotation_probe__of_an_account_that_has_left_is_refused(site: Platform) -> None:
    Authorizer.objects.update(state=Authorizer.State.UNAUTHORIZED)
    assert "Known: none." in refused("--probe-rotation", OFFICIAL)


def test_rotation_probe__names_a_few_of_many_accounts(site: Platform) -> None:
    Authorizer.objects.bulk_create(Authorizer(component=site.row, appid=f"wxmore{place}") for place in range(9))
    said = refused("--probe-rotation", "wx9999999999999999")
    assert f"Known: {OFFICIAL}, wxmore0, wxmore1, wxmore2, wxmore3, …." in said


def test_rotation_probe__asks_only_the_platform_of_the_account(site: Platform, settings: Any) -> None:
    with_second(settings)
    doctor = Doctor("--probe-rotation", OFFICIAL)
    assert "rotation" not in [code for _level, code, _said in doctor.problems]
    assert [finding["code"] for finding in doctor.findings].count("rotation_probe") == 1


def test_rotation_probe__takes_a_call_to_wechat(site: Platform) -> None:
    assert "--offline" in refused("--probe-rotation", OFFICIAL, "--offline")


def test_rotation_probe__without_a_database_is_not_why_nothing_is_examined(
    site: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    def down(*_: Any) -> Any:
        raise OperationalError("no connection")

    with monkeypatch.context() as patch:
        patch.setattr(connection, "ensure_connection", down)
        doctor = Doctor("--probe-rotation", OFFICIAL)
    assert doctor.of("database")


# A second platform


def with_second(settings: Any) -> str:
    """Its alias. It has no ticket and no account."""
    good = settings.WECHAT_OPEN["COMPONENTS"]["default"]
    components = {"default": good, "second": {**good, "APPID": "wx2222222222222222"}}
    settings.WECHAT_OPEN = {**settings.WECHAT_OPEN, "COMPONENTS": components}
    return "second"


def test_second_platform__is_named_in_every_command(site: Platform, settings: Any) -> None:
    doctor = Doctor("--offline", "--component", with_second(settings))
    Component.objects.filter(appid="wx2222222222222222").update(created_at=ago(hours=7))
    doctor = Doctor("--component", "second")
    commands = re.findall(r"manage\.py wechat_open (?:push-ticket|reconcile)[^`”]*", doctor.out)
    assert len(commands) > 2
    assert {command.partition(" --component ")[2] for command in commands} == {"second"}


# How it is doctor


def test_unknown_platform__is_code_2(db: None) -> None:
    with pytest.raises(CommandError, match="no platform 'nope'") as caught:
        call_command("wechat_open", "doctor", "--component", "nope")
    assert caught.value.returncode == 2


def test_unexpected_failure__is_code_2_and_ends_one_group(
    site: Platform, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*args: Any, **options: Any) -> None:
        raise ZeroDivisionError("secret detail")

    monkeypatch.setattr(addresses, "validate_host", fail)
    doctor = Doctor("--offline")
    assert doctor.code == 2 and not doctor.report["ok"]
    assert "This could not be examined: ZeroDivisionError. The log has the traceback." in doctor.out
    assert "secret detail" not in doctor.out and "secret detail" in caplog.text
    assert doctor.of("ticket_age", "green")


def test_one_platform__can_be_named(settings: Any, db: None) -> None:
    doctor = Doctor("--offline", "--component", "second")
    assert {group["component"] for group in doctor.report["groups"]} == {None, "second"}


def test_checks__do_not_keep_the_command_from_running(settings: Any, db: None) -> None:
    """From a shell, Django runs the checks first and stops at errors, which are what doctor is there to explain."""
    from wechat_open.management.commands.wechat_open import Command

    parser = Command().create_parser("manage.py", "wechat_open")
    assert parser.parse_args(["doctor"]).skip_checks is True
    assert parser.parse_args(["status"]).skip_checks is False


def test_terminal__shows_signs_groups_and_remedies(site: Platform, settings: Any) -> None:
    settings.CELERY_BEAT_SCHEDULE = {}
    Component.objects.update(beat_at=ago(hours=1), heartbeat_at=ago(hours=1))
    code, out = Doctor._call("--offline")
    assert code == 1
    shown = out.splitlines()
    assert shown[1] == "Settings"
    assert shown[2].startswith("  ! Celery beat does not start")
    assert shown[3].startswith("      Do: Merge wechat_open.schedule.BEAT_SCHEDULE")
    assert "Cache" in shown and "  ✓ LocMemCache answers, and keeps what is stored in it." in shown
    assert any(line.startswith("  ✗ No worker has checked for due tokens for 1 hour") for line in shown)
    assert "      Why: No process renews tokens before they expire." in shown
    assert shown[-1].startswith("✗ 2 things are wrong · 1 thing needs a look")


def test_quiet__shows_only_what_is_wrong(site: Platform) -> None:
    assert Doctor._call("--offline", "-v0")[1].strip() == "✓ Everything that was examined is in order."
    Component.objects.update(beat_at=ago(hours=1))
    assert "✓" not in Doctor._call("--offline", "-v0")[1]


def test_no_secret__is_ever_shown(served: Platform, wechat: Simulator) -> None:
    account = Authorizer.objects.select_related("component").get()
    [ticket] = VerifyTicket.objects.select_related("component")
    component = Component.objects.get()
    secrets = [
        wechat.engine.settings.appsecret,
        wechat.engine.settings.token,
        wechat.engine.settings.encoding_aes_key,
        account.reveal("refresh_token").reveal(),
        account.reveal("access_token").reveal(),
        component.reveal("access_token").reveal(),
        ticket.reveal("ticket").reveal(),
    ]
    doctor = Doctor("--probe-site", "--probe-rotation", OFFICIAL).out + Doctor._call("--offline")[1]
    assert [secret for secret in secrets if secret in doctor] == []


# The parts


@pytest.mark.parametrize(
    ("levels", "broken", "strict", "code"),
    [
        ([], False, False, 0),
        ([GREEN, UNKNOWN], False, True, 0),
        ([GREEN, AMBER], False, False, 0),
        ([GREEN, AMBER], False, True, 1),
        ([AMBER, RED], False, False, 1),
        ([RED], True, False, 2),
    ],
)
def test_exit_code(levels: list[Level], broken: bool, strict: bool, code: int) -> None:
    groups = [Group("a", "A", findings=[Finding("x", level, "said")], broken=broken) for level in levels]
    assert exit_code(groups, strict=strict) == code
    assert as_json(groups, strict=strict)["ok"] is (code == 0)


@pytest.mark.parametrize(
    ("text", "width", "shown"),
    [
        ("one two three", 8, ["one two", "three"]),
        ("one", 8, ["one"]),
        ("", 8, [""]),
        ("a-word-that-is-too-long to break", 8, ["a-word-that-is-too-long", "to break"]),
        ("没有可用的验证票据。", 10, ["没有可用的", "验证票据。"]),
        ("请检查授权事件接收URL是否正确，", 16, ["请检查授权事件接", "收URL是否正确，"]),
    ],
)
def test_lines__fit_the_terminal(text: str, width: int, shown: list[str]) -> None:
    assert wrapped(text, width) == shown


def test_wide_characters__count_twice() -> None:
    assert columns("票据 ok") == 7


def test_long_finding__is_indented_under_itself() -> None:
    found = Finding("x", RED, "word " * 20, "reason " * 20, "action " * 20)
    shown = list(lines(Group("a", "A", findings=[found]), no_style(), 60))
    assert shown[:2] == ["", "A"]
    assert all(len(line) <= 60 for line in shown)
    assert shown[3].startswith("    word")
    assert [line[:11] for line in shown if ":" in line] == ["      Why: ", "      Do: a"]


def test_lost_key__is_also_the_reason_why_wechat_cannot_be_asked(site: Platform, settings: Any) -> None:
    settings.SECRET_KEY = "changed, and the tokens were forgotten"
    keys, ticket = (one for one in Doctor().findings if one["level"] == "red")
    assert (keys["code"], ticket["code"]) == ("missing_keys", "ticket")
    assert "which is not in ENCRYPTION_KEYS" in ticket["message"] and "within ten minutes" in ticket["hint"]


# The runbook

HARMLESS = {"address", "callback_ips", "rotation_probe", "overlap", "records_agree"}
"""Codes of findings that ask for nothing."""


def all_codes() -> set[str]:
    """Every code that ``health`` and ``doctor`` can give to a finding."""
    folder = Path(examination.__file__).parent
    texts = [file.read_text(encoding="utf-8") for file in folder.glob("*.py")]
    found = {code for text in texts for code in re.findall(r'Finding\(\s*"([a-z_]+)"', text)} | set(health.CHECKS)
    texts = (folder / "remedies.py").read_text(encoding="utf-8")
    return (found | set(re.findall(r'return "([a-z_]+)", ', texts))) - HARMLESS


def test_runbook__has_every_code() -> None:
    codes = all_codes()
    assert len(codes) > 30
    terms = {word for term in readme.read("docs/operations.rst").document.findall(nodes.term) for word in words(term)}
    assert codes - terms == set()
    assert terms - codes == set()


def page(request: HttpRequest) -> HttpResponse:
    return HttpResponse("a page of the site")


urlpatterns += [path("", page)]


def _site_of_its_own(get_response: Any) -> Any:
    """A middleware of a site under maintenance."""
    return lambda request: HttpResponseRedirect("/maintenance/")


def _closed(get_response: Any) -> Any:
    return lambda request: HttpResponse("closed", status=503)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {"MIDDLEWARE": [f"{__name__}._site_of_its_own"]},
            "by the site itself: HTTP 302 to /maintenance/",
        ),
        ({"MIDDLEWARE": [f"{__name__}._closed"]}, "Something before our callback answers 授权事件接收URL: HTTP 503"),
        ({"PREPEND_WWW": True}, "is redirected by the site itself: HTTP 301"),
    ],
    ids=["redirect", "answer", "www"],
)
def test_what_stands_before_the_callbacks__is_found(
    site: Platform, settings: Any, change: dict[str, Any], said: str
) -> None:
    for name, value in change.items():
        setattr(settings, name, value)
    doctor = Doctor("--offline")
    assert said in doctor.of("callback_inside")["message"]
    assert "CallbackMiddleware" in doctor.of("callback_inside")["hint"]


def test_callbacks_that_are_reached__cause_no_warning_of_django(
    site: Platform, caplog: pytest.LogCaptureFixture
) -> None:
    Doctor("--offline")
    assert "Forbidden" not in caplog.text


def test_what_was_not_done_yet__is_not_called_good(site: Platform) -> None:
    Component.objects.update(reconciled_at=None)
    assert "have not been compared" in Doctor("--offline").of("reconciliation", "unknown")["message"]


def test_urls_within_a_namespace__are_reported_without_a_word_of_tickets(site: Platform, settings: Any) -> None:
    settings.ROOT_URLCONF = "tests.checks.urls_in_namespace"
    doctor = Doctor("--offline").of("urls")
    assert "within the namespace 'partners'" in doctor["message"] and doctor["why"] == ""


@pytest.mark.parametrize("language", ["en", "zh-hans"])
def test_callbacks_that_are_reached__are_reported_in_the_language_of_the_command(
    site: Platform, settings: Any, language: str
) -> None:
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    with override(language):
        found = [finding for finding in Doctor("--offline").findings if finding["code"] == "callback_inside"]
        assert get_language() == language
    assert [finding["level"] for finding in found] == ["green"]

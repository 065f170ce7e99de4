"""The rehearsal of the release check finds what WeChat would find, and does no harm to a live site."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Iterator
from io import StringIO
from typing import Any

import pytest
import responses
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connections
from django.test.utils import override_script_prefix
from django.utils.translation import override
from pytest_django.live_server_helper import LiveServer

from wechat_open import audit, authorization, inbox, platforms, tokens
from wechat_open.client import component
from wechat_open.doctor import rehearsal
from wechat_open.doctor.addresses import Addresses, addresses
from wechat_open.exceptions import Unreachable
from wechat_open.models import AuditEntry, Authorizer, CodeExchange, Push, VerifyTicket
from wechat_open.simulator import Simulator
from wechat_open.simulator.release_check.groups import GROUPS

API = "https://api.weixin.qq.com"
SEND = "/cgi-bin/message/custom/send"


class Result:
    def __init__(self, *arguments: str) -> None:
        out = StringIO()
        self.code = 0
        try:
            call_command("wechat_open", "rehearse-release", *arguments, stdout=out, no_color=True)
        except SystemExit as exit:
            self.code = int(exit.code or 0)
        self.out = out.getvalue()

    @property
    def checks(self) -> list[dict[str, Any]]:
        return list(json.loads(self.out)["checks"])

    @property
    def failed(self) -> list[int]:
        return [check["check"] for check in self.checks if not check["ok"]]


@pytest.fixture(autouse=True)
def _english() -> Iterator[None]:
    with override("en"):
        yield


@pytest.fixture
def site(transactional_db: None, wechat: Simulator, live_server: LiveServer, settings: Any) -> LiveServer:
    """This very site, on a port, as the settings know it; its WeChat is the simulator."""
    settings.WECHAT_OPEN = {**settings.WECHAT_OPEN, "SITE_URL": live_server.url}
    wechat.workbench.examiner.settle = 0.05  # no worker looks after pushes here
    wechat.workbench.examiner.tick = 0
    return live_server


@pytest.fixture
def ticket(site: LiveServer, wechat: Simulator) -> str:
    """The site's newest ticket."""
    wechat.engine.settings.callback = f"{site.url}/wechat/"
    answer = wechat.control("push-ticket")
    assert answer["body"] == "success"
    return str(answer["ticket"])


@pytest.fixture
def real(settings: Any, ticket: str) -> Iterator[responses.RequestsMock]:
    """The same site with the real API, as far as a test can have it."""
    settings.WECHAT_OPEN = {**settings.WECHAT_OPEN, "API_BASE_URL": API}
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        mock.add_passthru("http://localhost")
        mock.add_passthru("http://127.0.0.1")
        mock.post(API + component.COMPONENT_TOKEN, json={"component_access_token": "cat", "expires_in": 7200})
        yield mock


def exchanged(mock: responses.RequestsMock, count: int) -> list[str]:
    """The codes that api_query_auth was asked for. The site asks after its answer, in a thread: it is waited for."""
    until = time.monotonic() + 5
    while time.monotonic() < until:
        calls = [call for call in mock.calls if component.QUERY_AUTH in (call.request.url or "")]
        if len(calls) >= count:
            break
        time.sleep(0.02)
    return [json.loads(call.request.body or b"")["authorization_code"] for call in calls]


def refused(mock: responses.RequestsMock, errcode: int, errmsg: str = "no rid: 6a-1") -> None:
    mock.post(API + component.QUERY_AUTH, json={"errcode": errcode, "errmsg": errmsg})


# With a simulator


def test_this_site__passes_with_every_group(site: LiveServer) -> None:
    result = Result()
    assert result.code == 0, result.out
    lines = result.out.splitlines()
    assert len(lines) == 26
    assert lines[0].startswith("✓ 0 verify ticket · group 1 · 0.")
    assert lines[-3].startswith("✓ 3 reply by API, mini program · group 5 · wx5910277cae6fd970 · 0.")
    assert lines[-1] == "All checks passed."


def test_worker_in_the_middle__does_no_harm(site: LiveServer, wechat: Simulator) -> None:
    """It exchanges the codes of the pushes, and that ends the tokens that were given before."""
    wechat.workbench.examiner.settle = 10
    wechat.workbench.examiner.tick = 1
    stopped = threading.Event()

    def work() -> None:
        while not stopped.wait(0.05):
            inbox.process_due()
        connections.close_all()

    worker = threading.Thread(target=work)
    worker.start()
    try:
        assert Result("--group", "1", "--json").failed == []
    finally:
        stopped.set()
        worker.join()
    inbox.process_due()
    assert not Push.objects.exists()
    assert not Authorizer.objects.exists()


def test_json__has_everything(site: LiveServer) -> None:
    answer = json.loads(Result("--group", "3", "--json").out)
    assert (answer["ok"], answer["complete"]) == (True, True)
    assert answer["events_url"] == f"{site.url}/wechat/events/"
    assert answer["messages_url"] == f"{site.url}/wechat/messages/$APPID$/"
    assert [check["check"] for check in answer["checks"]] == [0, 1, 2, 3, 4]
    assert set(answer["checks"][0]) == {"check", "name", "group", "account", "ok", "detail", "took"}
    assert {check["group"] for check in answer["checks"]} == {3}


def test_failure__is_1_and_has_a_hint(site: LiveServer, settings: Any, wechat: Simulator) -> None:
    wechat.control("faults", path=component.QUERY_AUTH, errcode=61004, times=2)
    wechat.workbench.examiner.api_within = 1.0
    result = Result("--group", "1")
    assert result.code == 1
    assert "✗ 2 reply by API, official account · group 1 · wx570bc396a51b8ff8" in result.out
    assert "  ! api_query_auth did not succeed (61004" in result.out
    assert "白名单IP地址列表" in result.out
    assert result.out.splitlines()[-1] == "Checks failed: 2"


def test_wrong_address__fails(site: LiveServer, wechat: Simulator) -> None:
    result = Result("--group", "1", "--json", "--against", f"{site.url}/nowhere")
    assert (result.code, result.failed) == (1, [0, 1, 2, 3, 4])
    assert f"Check the address {site.url}/nowhere/events/" in result.checks[0]["detail"]


def test_simulator_of_another_platform__is_reported(site: LiveServer, settings: Any, wechat: Simulator) -> None:
    wechat.engine.settings.appid = "wxother"
    with pytest.raises(CommandError, match=f"The simulator at {wechat.url} plays for platform wxother, and 'default'"):
        Result()


def test_simulator_that_does_not_play__says_why(site: LiveServer, wechat: Simulator) -> None:
    wechat.engine.add_account("Mine", "mini", appid=GROUPS[1].mini.appid)
    with pytest.raises(CommandError, match=f"There is an account {GROUPS[1].mini.appid} already"):
        Result()


def test_simulator_that_is_gone__is_reported(site: LiveServer, wechat: Simulator) -> None:
    play = rehearsal.prepare(platforms.get())
    wechat.stop()
    with pytest.raises(Unreachable, match="/_simulator/release-check: ConnectionError"):
        list(play.play(1))


# Against the real WeChat


def test_made_up_code__is_answered_and_refused(real: responses.RequestsMock) -> None:
    refused(real, 61009)
    result = Result("--group", "1")
    assert result.code == 0, result.out
    assert "All checks passed." in result.out
    assert "whether the reply by message/custom/send arrives, only WeChat's own check can show" in result.out
    # The site's own two, and one from here; each says what it is.
    codes = exchanged(real, 3)
    assert all(code.startswith("queryauthcode@@@rehearsal-") for code in codes)
    assert len(set(codes)) == 3


def test_json__says_that_it_is_not_all(real: responses.RequestsMock) -> None:
    refused(real, 61010)
    answer = json.loads(Result("--group", "1", "--json").out)
    assert (answer["ok"], answer["complete"]) == (True, False)
    assert answer["checks"][2]["detail"].endswith(
        "From here, WeChat refuses the made-up code and nothing else (61010)."
    )
    exchanged(real, 3)


def test_site_gets_its_own_ticket_again(real: responses.RequestsMock, ticket: str) -> None:
    refused(real, 61009)
    before = VerifyTicket.objects.get()
    assert Result("--group", "1", "--json").failed == []
    after = VerifyTicket.objects.get()
    assert (after.pk, after.reveal("ticket").reveal(), after.received_at) == (before.pk, ticket, before.received_at)
    assert not Push.objects.exists()
    assert not Authorizer.objects.exists()
    exchanged(real, 3)


def test_no_ticket__fails_check_0_with_the_hint(real: responses.RequestsMock) -> None:
    refused(real, 61009)
    VerifyTicket.objects.all().delete()
    result = Result("--group", "1", "--json")
    assert 0 in result.failed
    assert result.checks[0]["detail"].endswith("`manage.py wechat_open push-ticket`")


def test_no_ticket_of_a_second_platform__names_it(real: responses.RequestsMock, settings: Any) -> None:
    refused(real, 61009)
    components = settings.WECHAT_OPEN["COMPONENTS"]
    second = {**components["default"], "APPID": "wx2222222222222222"}
    settings.WECHAT_OPEN = {**settings.WECHAT_OPEN, "COMPONENTS": {**components, "second": second}}
    result = Result("--group", "1", "--json", "--component", "second")
    assert result.checks[0]["detail"].endswith("`manage.py wechat_open push-ticket --component second`")


def test_ip_that_is_not_listed__fails_2_and_3_with_the_hint(real: responses.RequestsMock) -> None:
    refused(real, 61004)
    result = Result("--group", "1", "--json")
    assert (result.code, result.failed) == (1, [2, 3])
    detail = result.checks[2]["detail"]
    assert "api_query_auth cannot be called from here: WeChat answered 61004" in detail
    assert "白名单IP地址列表" in detail
    exchanged(real, 3)


def test_unreachable_wechat__fails_2_and_3(real: responses.RequestsMock) -> None:
    real.post(API + component.QUERY_AUTH, status=502)
    result = Result("--group", "1", "--json")
    assert result.failed == [2, 3]
    assert "cannot be called from here: WeChat gave no usable answer" in result.checks[3]["detail"]
    exchanged(real, 3)


def test_wechat_that_takes_any_code__is_none(real: responses.RequestsMock) -> None:
    info = {"authorizer_appid": "wx1", "authorizer_access_token": "t", "expires_in": 7200, "func_info": []}
    real.post(API + component.QUERY_AUTH, json={"authorization_info": info})
    real.post(API + SEND, json={"errcode": 0, "errmsg": "ok"})
    result = Result("--group", "1", "--json")
    assert result.failed == [2, 3]
    assert "what answers at API_BASE_URL is not WeChat" in result.checks[2]["detail"]
    exchanged(real, 3)


def test_site_that_cannot_be_reached__fails_everything(real: responses.RequestsMock) -> None:
    result = Result("--group", "1", "--json", "--against", "http://127.0.0.1:9/wechat/")
    assert result.failed == [0, 1, 2, 3, 4]
    assert not [call for call in real.calls if component.QUERY_AUTH in (call.request.url or "")]


def test_anything_else_on_the_loopback__is_no_simulator(settings: Any, ticket: str) -> None:
    """Such as a proxy to the real WeChat."""
    settings.WECHAT_OPEN = {**settings.WECHAT_OPEN, "API_BASE_URL": "http://127.0.0.1:9"}
    assert not rehearsal.prepare(platforms.get()).complete
    with responses.RequestsMock() as mock:
        mock.get("http://127.0.0.1:9/_simulator/state", json={"errcode": 0})
        assert not rehearsal.prepare(platforms.get()).complete


# Where the site is


def test_site_without_an_address__says_what_to_set(wechat: Simulator) -> None:
    with pytest.raises(CommandError, match=r'Set WECHAT_OPEN\["SITE_URL"\], or pass --against'):
        Result()


def test_site_without_callbacks__says_what_to_include(site: LiveServer, settings: Any) -> None:
    settings.ROOT_URLCONF = "wechat_open.urls"
    with pytest.raises(CommandError, match="This site has no callbacks"):
        Result()


@pytest.mark.parametrize("against", ["ftp://example.com/wechat/", "example.com/wechat"])
@pytest.mark.parametrize("api", [API, None])
def test_address_that_is_none__is_refused(site: LiveServer, settings: Any, against: str, api: str | None) -> None:
    settings.WECHAT_OPEN = {**settings.WECHAT_OPEN, "API_BASE_URL": api or settings.WECHAT_OPEN["API_BASE_URL"]}
    with pytest.raises(CommandError, match="events_url must be an http:// or https:// address"):
        Result("--against", against)


@pytest.mark.parametrize(
    ("alias", "against", "expected"),
    [
        ("default", "", ("https://a.example/wechat/events/", "https://a.example/wechat/messages/$APPID$/")),
        (
            "second",
            "",
            ("https://a.example/wechat/events/second/", "https://a.example/wechat/messages/second/$APPID$/"),
        ),
        ("default", "https://b.example", ("https://b.example/events/", "https://b.example/messages/$APPID$/")),
        (
            "second",
            "https://b.example/w/",
            ("https://b.example/w/events/second/", "https://b.example/w/messages/second/$APPID$/"),
        ),
    ],
)
def test_addresses__are_those_of_the_console(
    settings: Any, alias: str, against: str, expected: tuple[str, str]
) -> None:
    settings.WECHAT_OPEN = {**settings.WECHAT_OPEN, "SITE_URL": "https://a.example"}
    assert addresses(alias, against) == Addresses(*expected)


def test_site_below_a_prefix__is_found_there_and_another_one_is_not(settings: Any) -> None:
    settings.WECHAT_OPEN = {**settings.WECHAT_OPEN, "SITE_URL": "https://a.example"}
    with override_script_prefix("/shop/"):
        assert addresses("default").events == "https://a.example/shop/wechat/events/"
        assert addresses("default", "https://b.example/w").events == "https://b.example/w/events/"


@pytest.mark.parametrize(("language", "name"), [("zh-hans", "推送票据"), ("en", "verify ticket")])
def test_words__are_in_the_sites_language(site: LiveServer, language: str, name: str) -> None:
    with override(language):
        assert Result("--group", "1", "--json").checks[0]["name"] == name


# What stays behind


@pytest.fixture
def working(ticket: str, wechat: Simulator) -> Iterator[None]:
    """A worker that processes pushes, renews and reads profiles while the check is played."""
    wechat.workbench.examiner.settle = 10
    wechat.workbench.examiner.tick = 1
    stopped = threading.Event()

    def work() -> None:
        try:
            while not stopped.wait(0.05):
                inbox.process_due()
                platform = platforms.get()
                tokens.run_due(platform, seconds=1)
                authorization.sync_missing_profiles(platform)
        finally:
            connections.close_all()

    worker = threading.Thread(target=work)
    worker.start()
    yield
    stopped.set()
    worker.join(10)


def left() -> dict[str, int]:
    models = [Authorizer, Push, AuditEntry, CodeExchange]
    return {model.__name__: model._default_manager.count() for model in models}


def test_rehearsal__leaves_nothing_behind(working: None, ticket: str, caplog: pytest.LogCaptureFixture) -> None:
    before = left()
    result = Result("--group", "1")
    assert result.code == 0, result.out
    assert left() == before
    answer = [f"{record.name} {record.getMessage()}" for record in caplog.records if record.levelno >= logging.WARNING]
    assert answer == []


def test_rehearsal__leaves_alone_what_the_real_check_has_left(site: LiveServer, ticket: str) -> None:
    row = platforms.get().row
    official = GROUPS[1].official.appid
    account = Authorizer.objects.create(component=row, appid=official, state=Authorizer.State.UNAUTHORIZED)
    audit.record(audit.Kind.UNAUTHORIZED, row, account=account)
    Result("--group", "1")
    assert Authorizer.objects.filter(pk=account.pk).exists()
    assert AuditEntry.objects.filter(appid=official).count() >= 1

"""The server, its log lines without secrets, the command line, and the responses adapter."""

from __future__ import annotations

import logging
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest
import requests
import responses

from wechat_open.exceptions import ConfigurationError
from wechat_open.simulator import DEMO_OFFICIAL, Engine, Settings, Simulator
from wechat_open.simulator.__main__ import main
from wechat_open.simulator.application import Application
from wechat_open.simulator.http.messages import Request
from wechat_open.simulator.http.origin import host_of
from wechat_open.simulator.responses_adapter import install
from wechat_open.simulator.workbench import Workbench


def test_address__is_on_the_loopback_only() -> None:
    for host in ("::", "example.com", "10.0.0.1"):
        with pytest.raises(ConfigurationError, match="loopback"):
            Simulator(host=host).start()


def test_no_address_before_the_start() -> None:
    simulator = Simulator()
    simulator.stop()
    with pytest.raises(RuntimeError, match="start"):
        _ = simulator.url


def test_settings__fit_into_wechat_open(wechat: Simulator) -> None:
    settings = wechat.settings()
    assert {settings[name] for name in ("API_BASE_URL", "AUTHORIZE_BASE_URL", "OPEN_BASE_URL")} == {wechat.url}
    assert settings["COMPONENTS"]["default"]["APPID"] == wechat.engine.settings.appid
    assert len(settings["COMPONENTS"]["default"]["ENCODING_AES_KEY"]) == 43
    assert len(settings["COMPONENTS"]["default"]["TOKEN"]) >= 24


def test_stopped_simulator__serves_pooled_connections_no_longer_and_comes_back_on_its_port() -> None:
    wechat = Simulator(ticket_pusher=False).start()
    url = f"{wechat.url}/_simulator/state"
    with requests.Session() as session:
        session.get(url, timeout=5)
        wechat.stop()
        with pytest.raises(requests.ConnectionError):
            session.get(url, timeout=5)
        wechat.start()
        assert session.get(url, timeout=5).status_code == 200
    assert wechat.url in url
    wechat.stop()


def raw(wechat: Simulator, request: bytes) -> bytes:
    host, port = wechat.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=5) as connection:
        connection.sendall(request)
        return connection.makefile("rb").read()


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"Transfer-Encoding: chunked\r\n", b"411"),
        (b"Content-Length: many\r\n", b"411"),
        (b"Content-Length: 99999999\r\n", b"413"),
    ],
)
def test_body_of_unknown_or_excessive_length__is_refused(wechat: Simulator, head: bytes, status: bytes) -> None:
    assert raw(wechat, b"POST /cgi-bin/x HTTP/1.1\r\n" + head + b"\r\n").startswith(b"HTTP/1.1 " + status)


def test_malformed_request_line__is_answered(wechat: Simulator) -> None:
    assert b'"errcode": 40066' in raw(wechat, b"GET //[? HTTP/1.1\r\nConnection: close\r\n\r\n")


HOSTS = {
    "127.0.0.1": True,
    "127.0.0.1:8001": True,
    "localhost": True,
    "LocalHost:8001": True,
    "wechat.localhost": True,
    "[::1]:8001": True,
    "evil.example": False,
    "evil.example:8001": False,
    "127.0.0.1.evil.example": False,
    "localhost.evil.example": False,
    "evil.example@127.0.0.1": True,  # no browser sends a user there
    "10.0.0.1": False,
    "[": False,
    "": False,
}


@pytest.mark.parametrize(("host", "known"), HOSTS.items())
@pytest.mark.parametrize("path", ["/_simulator/state", "/", "/cgi-bin/user/get", "/_page/phone"])
def test_name_that_dns_could_point_here__is_not_answered(wechat: Simulator, host: str, known: bool, path: str) -> None:
    answer = raw(wechat, f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
    assert answer.startswith(b"HTTP/1.1 421") is not known
    assert known or wechat.engine.settings.appid.encode() not in answer


def test_two_names__are_not_answered(wechat: Simulator) -> None:
    head = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n"
    assert raw(wechat, head).startswith(b"HTTP/1.1 421")


REMOTE = "http://0.0.0.0:1/wechat/"  # no loopback address, and without a server


def test_push__stays_on_this_machine_unless_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    with Simulator(callback=REMOTE, ticket_pusher=False) as wechat:
        assert "--remote-callbacks" in wechat.control("push-ticket")["error"]
    with Simulator(callback=REMOTE, ticket_pusher=False, remote_callbacks=True) as wechat:
        assert wechat.control("push-ticket")["error"].startswith("no answer")


def test_callback__cannot_be_moved_to_another_machine_by_the_control_api(wechat: Simulator) -> None:
    before = wechat.callback
    for call, body in (
        ("settings", {"callback": REMOTE}),
        ("settings", {"events_url": REMOTE}),
        ("settings", {"messages_url": "http://evil.example/$APPID$/"}),
        ("settings", {"remote_callbacks": True}),
        ("release-check", {"events_url": REMOTE, "messages_url": REMOTE}),
    ):
        response = requests.post(f"{wechat.url}/_simulator/{call}", json=body, timeout=5)
        assert response.status_code == 400, body
    assert wechat.callback == before
    assert requests.post(f"{wechat.url}/_simulator/settings", json={"callback": "http://localhost:9/"}, timeout=5).ok


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""]
)
def test_control_api__takes_json_only(wechat: Simulator, kind: str) -> None:
    headers = {"Content-Type": kind} if kind else {}
    url = f"{wechat.url}/_simulator/clock"
    assert requests.post(url, data=b'{"advance": 60}', headers=headers, timeout=5).status_code == 400
    assert wechat.clock.ahead == 0
    assert requests.post(url, json={"advance": 60}, timeout=5).ok


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
    ids=str,
)
def test_page_of_another_site__changes_nothing(wechat: Simulator, headers: dict[str, str]) -> None:
    for method, path in (("POST", "_simulator/push-ticket"), ("DELETE", "_simulator/faults"), ("POST", "_page/phone")):
        response = requests.request(method, f"{wechat.url}/{path}", headers=headers, timeout=5)
        assert response.status_code in (403, 405), path
    assert wechat.engine.ticket == ""


def test_main__needs_an_option_to_push_to_another_machine(capsys: pytest.CaptureFixture[str]) -> None:
    until = threading.Event()
    until.set()
    assert main(["--port", "0", "--callback", REMOTE], until=until) == 1
    assert "--remote-callbacks" in capsys.readouterr().err
    assert main(["--port", "0", "--callback", REMOTE, "--remote-callbacks"], until=until) == 0


def test_head__has_no_body(wechat: Simulator) -> None:
    response = requests.head(wechat.url, timeout=5)
    assert (response.status_code, response.content) == (200, b"")


def test_internal_error__is_logged_and_not_answered(
    wechat: Simulator, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wechat._server, "handle", lambda request: 1 / 0)
    with pytest.raises(requests.ConnectionError):
        requests.get(wechat.url, timeout=5)
    until = time.monotonic() + 3
    while "ZeroDivisionError" not in caplog.text and time.monotonic() < until:
        time.sleep(0.01)
    assert "ZeroDivisionError" in caplog.text


def test_closed_connection__is_not_logged_as_an_error(wechat: Simulator, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR, "wechat_open.simulator"):
        try:
            raise ConnectionResetError
        except ConnectionResetError:
            wechat._server.handle_error(None, None)
    assert caplog.records == []


def test_line_per_request__hides_every_secret(caplog: pytest.LogCaptureFixture) -> None:
    application = Application(Workbench.around(Engine()))
    secrets = "component_access_token=canary1&code=canary2&redirect_uri=https://x/?s=canary3&canary4"
    with caplog.at_level(logging.DEBUG):
        application.handle(Request("GET", "/sns/component/jscode2session", f"appid=wx1&{secrets}"))
        application.handle(Request("GET", "/a\nb"))
    assert "canary1" not in caplog.text
    assert "canary2" not in caplog.text
    assert "canary3" not in caplog.text
    line = caplog.records[0].getMessage()
    assert line.startswith(
        "GET /sns/component/jscode2session?appid=wx1&component_access_token=***&code=***&redirect_uri=***"
    )
    assert "200 errcode 40014 invalid access_token" in line
    assert "\n" not in caplog.records[1].getMessage()


def test_counters__are_limited_for_unknown_paths() -> None:
    application = Application(Workbench.around(Engine()))
    for number in range(500):
        application.handle(Request("GET", f"/stranger/{number}"))
    assert len(application.workbench.engine.calls) < 200


def test_thousands_of_accounts__are_listed_quickly() -> None:
    engine = Engine()
    for number in range(10_000):
        engine.authorize(engine.add_account(f"shop {number}", "mini").appid)
    started = time.monotonic()
    for offset in range(0, 10_000, 10):
        engine.listed(offset, 10)
    assert time.monotonic() - started < 1


# Settings


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        ({"encoding_aes_key": "short"}, "43"),
        ({"rotation": "never"}, "strict, grace, stable"),
        ({"token_life": 0.5}, "whole number of seconds"),
        ({"ticket_interval": 0}, "at least 1"),
        ({"callback": "127.0.0.1:8000"}, "http://"),
    ],
)
def test_wrong_setting__is_named(wrong: dict[str, object], expected: str) -> None:
    with pytest.raises(ConfigurationError, match=expected):
        Settings(**wrong)


def test_registered_host__is_the_callbacks_by_default() -> None:
    assert Settings(callback="http://Site.example:8000/wechat").registered_host() == "site.example"
    assert Settings(callback="http://a.example/", domain="b.example:8000").registered_host() == "b.example"
    assert Settings(callback="http://a.example/", domain="https://c.example/").registered_host() == "c.example"
    assert Settings().registered_host() == ""
    assert host_of("http://[") == ""


# Behind `requests`, without a port


@pytest.fixture
def mock() -> Iterator[responses.RequestsMock]:
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        yield mock


API = "https://api.weixin.qq.com/cgi-bin"


def test_engine__answers_for_wechats_hosts(mock: responses.RequestsMock) -> None:
    application = install(mock)
    response = requests.post(f"{API}/component/api_component_token", data='{"component_appid":"wx1"}', timeout=1)
    assert response.json()["errcode"] == 40013
    assert response.headers["Content-Type"] == "application/json; encoding=utf-8"
    assert application.workbench.engine.calls == {"/cgi-bin/component/api_component_token": 1}
    assert requests.get("https://mp.weixin.qq.com/cgi-bin/componentloginpage", timeout=1).status_code == 400


def test_hang_and_loss__are_exceptions_without_delay(mock: responses.RequestsMock) -> None:
    application = install(mock, Application(Workbench.around(Engine())), ["https://wechat.example/"])
    application.workbench.faults.add("/cgi-bin/x", "hang", 3600)
    application.workbench.faults.add("/cgi-bin/x", "delay", 3600)
    application.workbench.faults.add("/cgi-bin/x", "lost", True)
    with pytest.raises(requests.ReadTimeout):
        requests.get("https://wechat.example/cgi-bin/x", timeout=1)
    assert requests.post("https://wechat.example/cgi-bin/x", json={}, timeout=1).json()["errcode"] == 40066
    with pytest.raises(requests.ConnectionError):
        requests.get("https://wechat.example/cgi-bin/x", timeout=1)


def test_push__leaves_through_requests_too(mock: responses.RequestsMock) -> None:
    engine = Engine(Settings(callback="https://site.example/wechat/"))
    mock.post("https://site.example/wechat/events/", body="success")
    install(mock, engine)
    body = {"component_appid": engine.settings.appid, "component_secret": engine.settings.appsecret}
    requests.post(f"{API}/component/api_start_push_ticket", json=body, timeout=1)
    assert "site.example" in mock.calls[0].request.url


# From a shell


def test_main__prints_address_and_settings(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WECHAT_APPID", "wx0123456789abcdef")
    monkeypatch.setenv("WECHAT_APPSECRET", "canary")
    until = threading.Event()
    until.set()
    assert main(["--port", "0", "--callback", "http://127.0.0.1:9/", "--rotation", "grace"], until=until) == 0
    printed = capsys.readouterr().out
    assert "http://127.0.0.1:" in printed
    assert '"APPID": "wx0123456789abcdef"' in printed
    assert "API_BASE_URL" in printed
    assert "canary" not in printed


def test_main__names_a_wrong_option(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--encoding-aes-key", "short"]) == 1
    assert "43 characters" in capsys.readouterr().err


def test_main__ends_on_ctrl_c() -> None:
    class Interrupted(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            raise KeyboardInterrupt

    assert main(["--port", "0", "--callback", "http://127.0.0.1:9/"], until=Interrupted()) == 0


def test_module__runs_without_django() -> None:
    code = (
        "import sys\n"
        "class Refuse:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.split('.')[0] in ('django', 'celery', 'responses'): raise ImportError(name)\n"
        "sys.meta_path.insert(0, Refuse())\n"
        "import runpy; sys.argv = ['simulator', '--help']\n"
        "runpy.run_module('wechat_open.simulator', run_name='__main__')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
    assert "--token-life" in done.stdout
    assert DEMO_OFFICIAL not in done.stdout

"""A call is sent as it must be, ends in time, and shows its token to no one."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import requests
import responses
from urllib3.exceptions import ConnectTimeoutError, MaxRetryError, NewConnectionError, ProxyError

from tests.client.chain import chain, shows
from wechat_open.client import transport
from wechat_open.client.answers import Answer, whole
from wechat_open.client.calls import Call, TokenKind
from wechat_open.client.deadline import _Deadline
from wechat_open.client.transport import Client
from wechat_open.exceptions import Unreachable
from wechat_open.secret import Secret

BASE = "https://api.weixin.qq.com"
PATH = "/cgi-bin/user/get"
TOKEN = Secret("canary-access-token-0123456789abcdef")
LOOK = Call("GET", PATH, TokenKind.AUTHORIZER, whole)
PICTURE = bytes.fromhex("ffd8ffe000104a46494600010100000100010000ffdb0043") + bytes(200)


@pytest.fixture
def wechat() -> Iterator[responses.RequestsMock]:
    with responses.RequestsMock() as mock:
        yield mock


def call(method: str = "GET", path: str = PATH, token: TokenKind = TokenKind.AUTHORIZER, **options: Any) -> Answer:
    return Client(BASE, (1, 1)).run(Call(method, path, token, whole, **options), TOKEN)


def answer(wechat: responses.RequestsMock, body: Any, **more: Any) -> Answer:
    """WeChat answers this to a call."""
    wechat.get(BASE + PATH, body=body, **({"content_type": "application/json"} | more))
    return call()


class TestRequest:
    def test_token__is_in_the_query_under_its_name(self, wechat: responses.RequestsMock) -> None:
        wechat.get(BASE + PATH, json={})

        call(token_parameter="component_access_token", params={"next_openid": "o1"})
        sent = wechat.calls[0].request
        assert sent.params == {"component_access_token": TOKEN.reveal(), "next_openid": "o1"}  # type: ignore[attr-defined]

    def test_no_token__no_parameter(self, wechat: responses.RequestsMock) -> None:
        wechat.get(BASE + PATH, json={})

        Client(BASE, (1, 1)).run(LOOK)
        assert wechat.calls[0].request.url == BASE + PATH

    def test_json__is_utf8_with_real_characters(self, wechat: responses.RequestsMock) -> None:
        wechat.post(BASE + PATH, json={})

        call("POST", json={"content": "你好 😀"})
        sent = wechat.calls[0].request
        assert sent.body == '{"content": "你好 😀"}'.encode()
        assert sent.headers["Content-Type"] == "application/json; charset=utf-8"

    def test_empty_json__is_sent(self, wechat: responses.RequestsMock) -> None:
        wechat.post(BASE + PATH, json={})

        call("POST", json={})
        assert wechat.calls[0].request.body == b"{}"

    def test_files__are_a_form(self, wechat: responses.RequestsMock) -> None:
        wechat.post(BASE + PATH, json={})

        call("POST", files={"media": ("logo.png", b"\x89PNG", "image/png")})
        body = wechat.calls[0].request.body
        assert isinstance(body, bytes) and b'name="media"; filename="logo.png"' in body and b"\x89PNG" in body

    @pytest.mark.parametrize("path", ["cgi-bin/user/get", "/cgi-bin/user/get", "//cgi-bin/user/get"])
    def test_path__never_changes_the_host(self, wechat: responses.RequestsMock, path: str) -> None:
        wechat.get(BASE + PATH, json={})

        assert call(path=path).data == {}

    @pytest.mark.parametrize("path", [".evil.example/x", "@evil.example/x", ":1/x", "http://evil.example/x"])
    def test_strange_path__stays_a_path(self, path: str) -> None:
        with responses.RequestsMock() as mock:
            mock.get(f"{BASE}/{path}", json={})
            call(path=path)

    def test_cookies__are_not_carried_from_one_account_to_the_next(self, wechat: responses.RequestsMock) -> None:
        wechat.get(BASE + PATH, json={}, headers={"Set-Cookie": "account=one; Path=/"})

        call()
        call()
        assert "Cookie" not in wechat.calls[1].request.headers

    def test_session_of_ones_own__is_used(self, wechat: responses.RequestsMock) -> None:
        session = requests.Session()
        session.headers["X-Mine"] = "yes"
        wechat.get(BASE + PATH, json={})

        Client(BASE, (1, 1), session=session).run(LOOK)
        assert wechat.calls[0].request.headers["X-Mine"] == "yes"

    def test_longest_call__is_shorter_than_a_lease(self) -> None:
        assert Client(BASE, (3.05, 10)).longest_call == timedelta(seconds=23.05)


class TestFailure:
    def test_redirect__is_not_followed(self, wechat: responses.RequestsMock) -> None:
        with pytest.raises(Unreachable, match="302"):
            answer(wechat, "", status=302, headers={"Location": "https://evil.example/"})

        assert len(wechat.calls) == 1

    def test_huge_answer__is_not_read_to_its_end(self, wechat: responses.RequestsMock) -> None:
        wechat.get(BASE + PATH, body=b'{"a": "' + b"x" * 2000 + b'"}')

        with pytest.raises(Unreachable, match="more than 1000 bytes"):
            call(max_bytes=1000)

    def test_largest_allowed_answer__is_read(self, wechat: responses.RequestsMock) -> None:
        wechat.get(BASE + PATH, body=b"x" * 1000, content_type="image/png")

        assert len(call(max_bytes=1000).content) == 1000

    @pytest.mark.parametrize(
        "error",
        [
            requests.ConnectionError(f"{BASE}{PATH}?access_token={TOKEN.reveal()}"),
            requests.ReadTimeout(f"{BASE}{PATH}?access_token={TOKEN.reveal()}"),
            requests.exceptions.SSLError(f"/?access_token={TOKEN.reveal()}"),
            OSError(f"access_token={TOKEN.reveal()}"),
        ],
    )
    def test_failed_connection__names_the_error_and_shows_no_token(
        self, wechat: responses.RequestsMock, error: Exception
    ) -> None:
        with pytest.raises(Unreachable, match=type(error).__name__) as failed:
            answer(wechat, error)

        assert list(chain(failed.value)) == [failed.value]
        assert not shows(failed.value, TOKEN.reveal())

    @pytest.mark.parametrize(
        ("error", "in_flight"),
        [
            (requests.ReadTimeout(), True),
            (requests.ConnectionError("Connection aborted."), True),
            (OSError(), True),
            (requests.ConnectTimeout(), False),
            (requests.ConnectionError(MaxRetryError(Any, PATH, NewConnectionError(Any, "refused"))), False),  # type: ignore[arg-type]
            (requests.exceptions.ProxyError(MaxRetryError(Any, PATH, ProxyError("", ConnectTimeoutError()))), False),  # type: ignore[arg-type]
            (requests.exceptions.ProxyError(MaxRetryError(Any, PATH, ProxyError("", OSError("502")))), True),  # type: ignore[arg-type]
        ],
    )
    def test_request_that_was_sent__may_be_in_flight(
        self, wechat: responses.RequestsMock, error: Exception, in_flight: bool
    ) -> None:
        with pytest.raises(Unreachable) as failed:
            answer(wechat, error)

        assert failed.value.in_flight is failed.value.sent is in_flight
        assert not failed.value.answered

    @pytest.mark.parametrize("body", ["<html>", b"\x00"])
    def test_something_that_came_back__is_an_answer(self, wechat: responses.RequestsMock, body: Any) -> None:
        with pytest.raises(Unreachable) as failed:
            answer(wechat, body, status=502)

        assert failed.value.answered

    @pytest.mark.parametrize("where", ["sending", "reading"])
    def test_time_limit_in_the_middle__is_raised_without_our_frames(
        self, wechat: responses.RequestsMock, monkeypatch: pytest.MonkeyPatch, where: str
    ) -> None:
        class SoftTimeLimitExceeded(Exception):
            """Celery's, raised by a signal wherever the task is."""

        def interrupt(*_: Any, **__: Any) -> Any:
            raise SoftTimeLimitExceeded

        if where == "reading":
            monkeypatch.setattr(transport, "_read", interrupt)
            wechat.get(BASE + PATH, json={})
        else:
            wechat.add_callback("GET", BASE + PATH, interrupt)
        with pytest.raises(SoftTimeLimitExceeded) as interrupted:
            call()

        assert [entry.name for entry in interrupted.traceback][-1] == "run"

    def test_what_cannot_be_sent__names_its_type(self) -> None:
        with pytest.raises(TypeError, match="object cannot be sent"):
            call("POST", json={"media": object()})

    def test_secret_in_a_body__is_sent_as_its_text(self, wechat: responses.RequestsMock) -> None:
        wechat.post(BASE + PATH, json={})

        call("POST", json={"refresh_token": Secret("refreshtoken@@@x")})
        assert wechat.calls[0].request.body == b'{"refresh_token": "refreshtoken@@@x"}'

    def test_query_that_is_part_of_the_path__is_not_shown(self, wechat: responses.RequestsMock) -> None:
        wechat.get(BASE + PATH, body="<html>", content_type="text/html")

        with pytest.raises(Unreachable) as failed:
            call(path=PATH + "?js_code=canary")
        assert not shows(failed.value, "canary")
        assert failed.value.path == PATH

    @pytest.mark.parametrize("content_type", ["image/jpeg", "application/json"])
    def test_medium_that_ends_early__is_none(self, wechat: responses.RequestsMock, content_type: str) -> None:
        """urllib3 1.26 takes it for complete."""
        headers = {"Content-Length": str(len(PICTURE) + 1)}
        with pytest.raises(Unreachable):
            answer(wechat, PICTURE, content_type=content_type, headers=headers, auto_calculate_content_length=False)


Serve = Callable[[Callable[[socket.socket], None]], str]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """A server on the loopback that treats each connection with the given function; returns its address."""
    listeners: list[socket.socket] = []
    over = threading.Event()

    def start(behave: Callable[[socket.socket], None]) -> str:
        listener = socket.create_server(("127.0.0.1", 0))
        listeners.append(listener)

        def accept() -> None:
            while not over.is_set():
                with contextlib.suppress(OSError):
                    connection, _ = listener.accept()
                    with connection:
                        behave(connection)

        threading.Thread(target=accept, daemon=True).start()
        return f"http://127.0.0.1:{listener.getsockname()[1]}"

    yield start
    over.set()
    for listener in listeners:
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def request_line(connection: socket.socket) -> bytes:
    return connection.recv(65536)


def drip(connection: socket.socket, text: bytes, pause: float = 0.05) -> None:
    for byte in text:
        connection.sendall(bytes([byte]))
        time.sleep(pause)


class TestRealSockets:
    def fails_within(self, url: str, seconds: float) -> Unreachable:
        """A call that is allowed 0.3 s for its answer."""
        started = time.monotonic()
        with pytest.raises(Unreachable) as failed:
            Client(url, (0.3, 0.3)).run(LOOK, TOKEN)
        assert time.monotonic() - started < seconds
        assert not shows(failed.value, TOKEN.reveal())
        return failed.value

    @pytest.mark.fault("F29")
    def test_silence__ends(self, serve: Serve) -> None:
        def silent(connection: socket.socket) -> None:
            request_line(connection)
            time.sleep(2)

        self.fails_within(serve(silent), 1)

    @pytest.mark.fault("F29")
    def test_body_in_drops__ends(self, serve: Serve) -> None:
        def slow(connection: socket.socket) -> None:
            request_line(connection)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 200\r\n\r\n")
            drip(connection, b"{" + b" " * 199)

        self.fails_within(serve(slow), 1)

    @pytest.mark.fault("F29")
    def test_chunks_in_drops__end(self, serve: Serve) -> None:
        def slow(connection: socket.socket) -> None:
            request_line(connection)
            connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            drip(connection, b"1\r\n \r\n" * 40)

        self.fails_within(serve(slow), 1)

    def test_drops_through_a_proxy__end(self, serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
        def slow(connection: socket.socket) -> None:
            request_line(connection)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 200\r\n\r\n")
            drip(connection, b"{" + b" " * 199)

        monkeypatch.setenv("http_proxy", serve(slow))
        self.fails_within("http://wechat.invalid", 1)

    @pytest.mark.fault("F29")
    def test_headers_in_drops__end(self, serve: Serve) -> None:
        def slow(connection: socket.socket) -> None:
            request_line(connection)
            drip(connection, b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200)

        self.fails_within(serve(slow), 1)

    def test_data_that_lies_there_too_late__is_not_read(self) -> None:
        ours, theirs = socket.socketpair()
        with ours, theirs, ours.makefile("rb", buffering=0) as raw:
            ours.settimeout(0.01)
            late = _Deadline(ours, raw)
            theirs.sendall(b"{}")
            time.sleep(0.02)

            with pytest.raises(TimeoutError):
                late.read(1)

    def test_closed_without_an_answer__is_unreachable(self, serve: Serve) -> None:
        self.fails_within(serve(request_line), 1)  # type: ignore[arg-type]

    @pytest.mark.fault("F29")
    def test_closed_in_the_middle__is_unreachable(self, serve: Serve) -> None:
        def cut(connection: socket.socket) -> None:
            request_line(connection)
            connection.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"a": 1}')

        self.fails_within(serve(cut), 1)

    @pytest.mark.fault("F29")
    def test_something_else_than_http__is_unreachable(self, serve: Serve) -> None:
        def ssh(connection: socket.socket) -> None:
            request_line(connection)
            connection.sendall(b"SSH-2.0-OpenSSH_9.6\r\n")

        self.fails_within(serve(ssh), 1)

    def test_closed_port__is_unreachable(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]

        assert "ConnectionError" in self.fails_within(f"http://127.0.0.1:{port}", 1).reason

    def test_several_calls__share_a_connection(self, serve: Serve) -> None:
        connections = []

        def polite(connection: socket.socket) -> None:
            connections.append(connection)
            while request_line(connection):
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")

        caller = Client(serve(polite), (1, 1))
        for _ in range(3):
            assert caller.run(LOOK).data == {}
        assert len(connections) == 1

    def test_answer_that_ends_with_the_connection__is_read(self, serve: Serve) -> None:
        def close(connection: socket.socket) -> None:
            request_line(connection)
            connection.sendall(b'HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{"a": 1}')

        assert Client(serve(close), (1, 1)).run(LOOK).data == {"a": 1}

    def test_debug_log__shows_no_token(self, serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
        def answering(connection: socket.socket) -> None:
            request_line(connection)
            connection.sendall(b"HTTP/1.1 200 OK\r\nthis is no header\r\nContent-Length: 2\r\n\r\n{}")

        with caplog.at_level(logging.DEBUG):
            Client(serve(answering), (1, 1)).run(replace(LOOK, params={"next_openid": "o1"}), TOKEN)

        assert "next_openid=o1" in caplog.text  # the line was logged
        assert "unparsed" in caplog.text  # so was what is wrong with the header
        assert TOKEN.reveal() not in caplog.text


class TestSession:
    def test_process__has_one_pool(self) -> None:
        assert transport._session(os.getpid()) is transport._session(os.getpid())

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
    def test_fork__gets_a_pool_of_its_own(self) -> None:
        mine = id(transport._session(os.getpid()))
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:  # pragma: no cover - ends without pytest
            os.write(writing, str(id(transport._session(os.getpid())) != mine).encode())
            os._exit(0)
        os.waitpid(child, 0)

        assert os.read(reading, 16) == b"True"
        os.close(reading)
        os.close(writing)

"""Is a call to WeChat judged rightly, whatever comes back, and does its token stay unseen?"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
import requests
import responses

from wechat_open import client as client_module
from wechat_open.client import Answer, Client, redact
from wechat_open.exceptions import APIError, PermissionMissing, SystemBusy, TokenRefused, Unreachable
from wechat_open.secret import Secret

BASE = "https://api.weixin.qq.com"
PATH = "/cgi-bin/user/get"
TOKEN = Secret("canary-access-token-0123456789abcdef")


@pytest.fixture
def wechat() -> Iterator[responses.RequestsMock]:
    with responses.RequestsMock() as mock:
        yield mock


def call(method: str = "GET", path: str = PATH, **options: Any) -> Answer:
    return Client(BASE, (1, 1)).call(method, path, token=TOKEN, **options)


def answer(wechat: responses.RequestsMock, body: Any, **more: Any) -> Answer:
    """WeChat answers this to a call."""
    wechat.get(BASE + PATH, body=body, **({"content_type": "application/json"} | more))
    return call()


def chain(error: BaseException | None) -> Iterator[BaseException]:
    """The exception and all that hangs on it."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def shows(error: BaseException, canary: str) -> bool:
    return any(canary in f"{link} {link!r} {link.args} {vars(link)}" for link in chain(error))


class TestRequest:
    def test_token__rides_in_the_query_under_its_name(self, wechat: responses.RequestsMock) -> None:
        wechat.get(BASE + PATH, json={})

        call(token_parameter="component_access_token", params={"next_openid": "o1"})
        sent = wechat.calls[0].request
        assert sent.params == {"component_access_token": TOKEN.reveal(), "next_openid": "o1"}  # type: ignore[attr-defined]

    def test_no_token__no_parameter(self, wechat: responses.RequestsMock) -> None:
        wechat.get(BASE + PATH, json={})

        Client(BASE, (1, 1)).call("GET", PATH)
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

        Client(BASE, (1, 1), session).call("GET", PATH)
        assert wechat.calls[0].request.headers["X-Mine"] == "yes"

    def test_longest_call__is_shorter_than_a_lease(self) -> None:
        assert Client(BASE, (3.05, 10)).longest_call == timedelta(seconds=23.05)


class TestAnswer:
    def test_json__is_data(self, wechat: responses.RequestsMock) -> None:
        got = answer(wechat, '{"total": 2, "errcode": 0, "errmsg": "ok"}')

        assert got.data == {"total": 2, "errcode": 0, "errmsg": "ok"}
        assert got.content_type == "application/json"

    @pytest.mark.parametrize("content_type", ["text/plain", "text/html; charset=ISO-8859-1", "image/jpeg", ""])
    def test_json_under_another_label__is_data(self, wechat: responses.RequestsMock, content_type: str) -> None:
        got = answer(wechat, ' \n{"name": "街角小店"}'.encode(), content_type=content_type)

        assert got.data == {"name": "街角小店"}

    def test_half_a_character__is_left_out(self, wechat: responses.RequestsMock) -> None:
        assert answer(wechat, b'{"name": "A\xe4\xbd"}').data == {"name": "A"}

    def test_control_characters__are_allowed(self, wechat: responses.RequestsMock) -> None:
        assert answer(wechat, b'{"signature": "a\tb\nc\x01"}').data == {"signature": "a\tb\nc\x01"}

    @pytest.mark.parametrize(
        ("sent", "read"),
        [
            (b'{"a": ["x\\u0000y"]}', {"a": ["xy"]}),
            (b'{"a": "x\x00y"}', {"a": "xy"}),
            (b'{"a\\ud83d": "cut emoji \\ud83d"}', {"a": "cut emoji "}),
            (b'{"a": "\\ud83d\\ude00", "n": 1}', {"a": "😀", "n": 1}),
        ],
    )
    def test_what_no_database_stores__is_left_out(
        self, wechat: responses.RequestsMock, sent: bytes, read: dict[str, Any]
    ) -> None:
        assert answer(wechat, sent).data == read

    def test_picture__is_content(self, wechat: responses.RequestsMock) -> None:
        got = answer(wechat, b"\xff\xd8\xff\xe0picture", content_type="image/jpeg")

        assert (got.data, got.content, got.content_type) == (None, b"\xff\xd8\xff\xe0picture", "image/jpeg")

    def test_date__is_wechats_time(self, wechat: responses.RequestsMock) -> None:
        got = answer(wechat, "{}", headers={"Date": "Sun, 22 Nov 2026 08:00:00 GMT"})

        assert got.answered_at == datetime(2026, 11, 22, 8, tzinfo=timezone.utc)

    @pytest.mark.parametrize("headers", [{}, {"Date": "yesterday"}, {"Date": "Sun, 99 Nov 2026 08:00:00 GMT"}])
    def test_no_usable_date__is_none(self, wechat: responses.RequestsMock, headers: dict[str, str]) -> None:
        assert answer(wechat, "{}", headers=headers).answered_at is None

    def test_repr__shows_nothing_of_the_content(self, wechat: responses.RequestsMock) -> None:
        assert "canary" not in repr(answer(wechat, '{"access_token": "canary"}'))


class TestErrcode:
    @pytest.mark.parametrize("errcode", ["40001", '"40001"'])
    def test_errcode__is_an_exception__also_as_text(self, wechat: responses.RequestsMock, errcode: str) -> None:
        with pytest.raises(TokenRefused) as refused:
            answer(wechat, f'{{"errcode": {errcode}, "errmsg": "invalid credential rid: 5fc60c96-69d846b9"}}')

        assert (refused.value.errcode, refused.value.rid) == (40001, "5fc60c96-69d846b9")
        assert refused.value.path == PATH
        assert "invalid" in refused.value.meaning

    @pytest.mark.parametrize("errcode", ["0", '"0"', "null", '""', "0.0", "false"])
    def test_zero_in_any_form__is_success(self, wechat: responses.RequestsMock, errcode: str) -> None:
        assert answer(wechat, f'{{"errcode": {errcode}}}').data is not None

    @pytest.mark.parametrize("errcode", ['"what"', "[1]", "NaN", "1e999", "99999999999", '"-99999999999"'])
    def test_no_number__is_unusable(self, wechat: responses.RequestsMock, errcode: str) -> None:
        with pytest.raises(Unreachable, match="errcode"):
            answer(wechat, f'{{"errcode": {errcode}}}')

    def test_unlisted_errcode__is_a_plain_error(self, wechat: responses.RequestsMock) -> None:
        with pytest.raises(APIError) as refused:
            answer(wechat, '{"errcode": 7654321, "errmsg": "new trouble"}')

        assert type(refused.value) is APIError
        assert "new trouble" in str(refused.value)

    @pytest.mark.parametrize(("errcode", "kind"), [(-1, SystemBusy), (48001, PermissionMissing)])
    def test_errcode__chooses_the_exception(
        self, wechat: responses.RequestsMock, errcode: int, kind: type[APIError]
    ) -> None:
        with pytest.raises(kind):
            answer(wechat, json.dumps({"errcode": errcode}))

    def test_picture_that_became_an_error__is_raised(self, wechat: responses.RequestsMock) -> None:
        with pytest.raises(APIError, match="40007"):
            answer(wechat, '{"errcode": 40007, "errmsg": "invalid media_id"}', content_type="image/jpeg")


JPEG = bytes.fromhex("ffd8ffe000104a46494600010100000100010000ffdb0043") + bytes(200)
AMR = b"#!AMR\n" + bytes(range(128, 250))
TYPES = ["text/plain", "text/plain; charset=utf-8", "application/json", "text/html", "image/jpeg", "audio/amr", ""]


class TestMedia:
    """WeChat's Content-Type is often wrong: the bytes say what an answer is."""

    @pytest.mark.parametrize("content_type", TYPES)
    @pytest.mark.parametrize(
        "content", [JPEG, AMR, b"ID3\x03\x00" + bytes(100), b"{" + JPEG, b"PK\x03\x04\x00\x00\xff"]
    )
    def test_medium__is_one_under_any_type(
        self, wechat: responses.RequestsMock, content: bytes, content_type: str
    ) -> None:
        assert answer(wechat, content, content_type=content_type).content == content

    @pytest.mark.parametrize("content_type", TYPES)
    def test_error__is_one_under_any_type(self, wechat: responses.RequestsMock, content_type: str) -> None:
        body = b'\xef\xbb\xbf {"errcode": 41030, "errmsg": "invalid page"}'
        with pytest.raises(APIError, match="41030"):
            answer(wechat, body, content_type=content_type)

    @pytest.mark.parametrize("content_type", TYPES)
    @pytest.mark.parametrize(
        "page",
        [
            "<html><body>502",
            "<!DOCTYPE html>\n<title>\u7ef4\u62a4",
            "<center>\u7cfb\u7edf\u7e41\u5fd9</center>",
            "<!-- 502 -->",
        ],
    )
    def test_page_of_a_proxy__is_no_medium(self, wechat: responses.RequestsMock, page: str, content_type: str) -> None:
        with pytest.raises(Unreachable):
            answer(wechat, page.encode("gbk"), content_type=content_type)

    @pytest.mark.parametrize("encoding", ["utf-8", "gbk"])
    @pytest.mark.parametrize("cut", [0, 1])
    def test_words__are_no_medium(self, wechat: responses.RequestsMock, encoding: str, cut: int) -> None:
        words = "\u7cfb\u7edf\u7e41\u5fd9".encode(encoding)
        with pytest.raises(Unreachable):
            answer(wechat, words[: len(words) - cut], content_type="text/plain")

    @pytest.mark.parametrize("content_type", ["image/jpeg", "application/json"])
    def test_medium_that_ends_early__is_none(self, wechat: responses.RequestsMock, content_type: str) -> None:
        """urllib3 1.26 takes it for complete."""
        headers = {"Content-Length": str(len(JPEG) + 1)}
        with pytest.raises(Unreachable):
            answer(wechat, JPEG, content_type=content_type, headers=headers, auto_calculate_content_length=False)


class TestOtherVerdicts:
    """The APIs of advertising name no errcode."""

    @pytest.mark.parametrize(
        ("body", "errcode"),
        [
            ({"ret": 1700, "err_msg": "bad parameter"}, 1700),
            ({"ret": "-202", "err_msg": ""}, -202),
            ({"ret": 1735}, 1735),
            ({"base_resp": {"ret": 2056, "err_msg": "no account"}}, 2056),
            ({"errcode": 0, "errmsg": "ok", "base_resp": {"ret": 1737}}, 1737),
            ({"errcode": 0, "ret": 1701, "err_msg": "x", "list": []}, 1701),
        ],
    )
    def test_ret__is_an_errcode(self, wechat: responses.RequestsMock, body: Any, errcode: int) -> None:
        with pytest.raises(APIError) as failed:
            answer(wechat, json.dumps(body))
        assert failed.value.errcode == errcode

    @pytest.mark.parametrize(
        "body",
        [
            {"ret": 0, "err_msg": "ok"},
            {"base_resp": {"ret": 0, "err_msg": ""}, "list": []},
            {"base_resp": None},
            {"errcode": 0, "ret": 3, "nickname": "a field that is called so"},
        ],
    )
    def test_no_error__is_data(self, wechat: responses.RequestsMock, body: Any) -> None:
        assert answer(wechat, json.dumps(body)).data == body


class TestUnusable:
    @pytest.mark.parametrize(
        "body",
        [
            "",
            " ",
            "<html><body>502</body></html>",
            '{"access_token": "cut of',
            "success",
            "[" * 100_000,
            '{"n": ' + "9" * 5000 + "}",
        ],
    )
    def test_no_json__is_unreachable(self, wechat: responses.RequestsMock, body: str) -> None:
        with pytest.raises(Unreachable, match="not JSON"):
            answer(wechat, body, content_type="text/html")

    @pytest.mark.parametrize("body", ["[]", '["a"]', "null", "1", '"text"'])
    def test_json_that_is_no_object__is_unreachable(self, wechat: responses.RequestsMock, body: str) -> None:
        with pytest.raises(Unreachable, match="not an object"):
            answer(wechat, body)

    @pytest.mark.parametrize("status", [204, 302, 400, 404, 412, 500, 502, 503])
    def test_status__is_named(self, wechat: responses.RequestsMock, status: int) -> None:
        with pytest.raises(Unreachable, match=f"HTTP {status}") as failed:
            answer(wechat, "" if status == 204 else '{"errcode": 0}', status=status)

        assert (failed.value.path, failed.value.reason) == (PATH, f"HTTP {status}")

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
    def test_failed_connection__says_how_and_shows_no_token(
        self, wechat: responses.RequestsMock, error: Exception
    ) -> None:
        with pytest.raises(Unreachable, match=type(error).__name__) as failed:
            answer(wechat, error)

        assert list(chain(failed.value)) == [failed.value]
        assert not shows(failed.value, TOKEN.reveal())

    @pytest.mark.parametrize("where", ["sending", "reading"])
    def test_time_limit_in_the_middle__goes_on_without_our_frames(
        self, wechat: responses.RequestsMock, monkeypatch: pytest.MonkeyPatch, where: str
    ) -> None:
        class SoftTimeLimitExceeded(Exception):
            """Celery's, raised by a signal wherever the task is."""

        def strike(*_: Any, **__: Any) -> Any:
            raise SoftTimeLimitExceeded

        if where == "reading":
            monkeypatch.setattr(client_module, "_read", strike)
            wechat.get(BASE + PATH, json={})
        else:
            wechat.add_callback("GET", BASE + PATH, strike)
        with pytest.raises(SoftTimeLimitExceeded) as struck:
            call()

        assert [entry.name for entry in struck.traceback][-1] == "call"

    def test_what_cannot_be_sent__names_its_type(self) -> None:
        with pytest.raises(TypeError, match="object cannot be sent"):
            call("POST", json={"media": object()})

    def test_secret_in_a_body__is_sent_as_its_text(self, wechat: responses.RequestsMock) -> None:
        wechat.post(BASE + PATH, json={})

        call("POST", json={"refresh_token": Secret("refreshtoken@@@x")})
        assert wechat.calls[0].request.body == b'{"refresh_token": "refreshtoken@@@x"}'

    def test_answer_that_is_cut__keeps_its_token_to_itself(self, wechat: responses.RequestsMock) -> None:
        with pytest.raises(Unreachable) as failed:
            answer(wechat, '{"authorizer_access_token": "canary-in-a-cut-answer')

        assert not shows(failed.value, "canary")

    def test_errmsg_with_a_token__is_redacted(self, wechat: responses.RequestsMock) -> None:
        with pytest.raises(APIError) as refused:
            answer(wechat, json.dumps({"errcode": 40001, "errmsg": f"bad access_token={TOKEN.reveal()}"}))

        assert not shows(refused.value, TOKEN.reveal())

    def test_query_that_is_part_of_the_path__is_not_shown(self, wechat: responses.RequestsMock) -> None:
        wechat.get(BASE + PATH, body="<html>", content_type="text/html")

        with pytest.raises(Unreachable) as failed:
            call(path=PATH + "?js_code=canary")
        assert not shows(failed.value, "canary")
        assert failed.value.path == PATH


Serve = Callable[[Callable[[socket.socket], None]], str]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """A server on the loopback that does to each connection what it is told; returns its address."""
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
            Client(url, (0.3, 0.3)).call("GET", PATH, token=TOKEN)
        assert time.monotonic() - started < seconds
        assert not shows(failed.value, TOKEN.reveal())
        return failed.value

    def test_silence__ends(self, serve: Serve) -> None:
        def silent(connection: socket.socket) -> None:
            request_line(connection)
            time.sleep(2)

        self.fails_within(serve(silent), 1)

    def test_body_in_drops__ends(self, serve: Serve) -> None:
        def slow(connection: socket.socket) -> None:
            request_line(connection)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 200\r\n\r\n")
            drip(connection, b"{" + b" " * 199)

        self.fails_within(serve(slow), 1)

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

    def test_headers_in_drops__end(self, serve: Serve) -> None:
        def slow(connection: socket.socket) -> None:
            request_line(connection)
            drip(connection, b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200)

        self.fails_within(serve(slow), 1)

    def test_data_that_lies_there_too_late__is_not_read(self) -> None:
        ours, theirs = socket.socketpair()
        with ours, theirs, ours.makefile("rb", buffering=0) as raw:
            ours.settimeout(0.01)
            late = client_module._Deadline(ours, raw)
            theirs.sendall(b"{}")
            time.sleep(0.02)

            with pytest.raises(TimeoutError):
                late.read(1)

    def test_closed_without_an_answer__is_unreachable(self, serve: Serve) -> None:
        self.fails_within(serve(request_line), 1)  # type: ignore[arg-type]

    def test_closed_in_the_middle__is_unreachable(self, serve: Serve) -> None:
        def cut(connection: socket.socket) -> None:
            request_line(connection)
            connection.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"a": 1}')

        self.fails_within(serve(cut), 1)

    def test_something_else_than_http__is_unreachable(self, serve: Serve) -> None:
        def ssh(connection: socket.socket) -> None:
            request_line(connection)
            connection.sendall(b"SSH-2.0-OpenSSH_9.6\r\n")

        self.fails_within(serve(ssh), 1)

    def test_nobody_listens__is_unreachable(self) -> None:
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
            assert caller.call("GET", PATH).data == {}
        assert len(connections) == 1

    def test_answer_that_ends_with_the_connection__is_read(self, serve: Serve) -> None:
        def close(connection: socket.socket) -> None:
            request_line(connection)
            connection.sendall(b'HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{"a": 1}')

        assert Client(serve(close), (1, 1)).call("GET", PATH).data == {"a": 1}

    def test_debug_log__shows_no_token(self, serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
        def answering(connection: socket.socket) -> None:
            request_line(connection)
            connection.sendall(b"HTTP/1.1 200 OK\r\nthis is no header\r\nContent-Length: 2\r\n\r\n{}")

        with caplog.at_level(logging.DEBUG):
            Client(serve(answering), (1, 1)).call("GET", PATH, token=TOKEN, params={"next_openid": "o1"})

        assert "next_openid=o1" in caplog.text  # the line was logged
        assert "unparsed" in caplog.text  # so was what is wrong with the header
        assert TOKEN.reveal() not in caplog.text


class TestSession:
    def test_process__has_one_pool(self) -> None:
        assert client_module._session(os.getpid()) is client_module._session(os.getpid())

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
    def test_fork__gets_a_pool_of_its_own(self) -> None:
        mine = id(client_module._session(os.getpid()))
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:  # pragma: no cover - leaves without telling anybody
            os.write(writing, str(id(client_module._session(os.getpid())) != mine).encode())
            os._exit(0)
        os.waitpid(child, 0)

        assert os.read(reading, 16) == b"True"
        os.close(reading)
        os.close(writing)


@pytest.mark.parametrize(
    "name",
    [
        "access_token",
        "component_access_token",
        "authorizer_refresh_token",
        "secret",
        "appsecret",
        "component_appsecret",
        "js_code",
        "code",
        "auth_code",
        "component_verify_ticket",
        "ACCESS_TOKEN",
    ],
)
def test_redact__hides_the_value(name: str) -> None:
    assert redact(f'GET /x?lang=zh&{name}=canary%40-_.~&y=1 "') == f'GET /x?lang=zh&{name}=***&y=1 "'


def test_redact__leaves_the_rest() -> None:
    text = "GET /cgi-bin/user/get?next_openid=o1&lang=zh_CN HTTP/1.1"
    assert redact(text) == text

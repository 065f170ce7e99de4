"""A platform's callback: a server that decrypts every push and returns the answer that a test sets."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl

from wechat_open.protocol.envelope import DecryptedPush, decrypt_push
from wechat_open.simulator import Settings

Reply = tuple[int, bytes]


@dataclass
class Received:
    path: str
    query: dict[str, str]
    push: DecryptedPush


class Callback:
    def __init__(self) -> None:
        self.received: list[Received] = []
        self.answer: Callable[[Received], Reply] = lambda received: (200, b"success")
        self._arrived = threading.Condition()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                path, _, query = self.path.partition("?")
                settings = Settings()
                push = decrypt_push(query, body, [settings.pair()], settings.appid)
                received = Received(path, dict(parse_qsl(query)), push)
                with outer._arrived:
                    outer.received.append(received)
                    outer._arrived.notify_all()
                status, content = outer.answer(received)
                self.send_response(status)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                with suppress(BrokenPipeError):  # WeChat does not wait for ever
                    self.wfile.write(content)

            def log_message(self, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.005,), daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/wechat/"

    @property
    def names(self) -> list[str]:
        return [
            received.push.fields.get("InfoType", received.push.fields.get("Event", "")) for received in self.received
        ]

    def wait_for(self, name: str, timeout: float = 5) -> Received:
        with self._arrived:
            assert self._arrived.wait_for(lambda: name in self.names, timeout), f"{name} was not pushed: {self.names}"
        return self.received[self.names.index(name)]

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

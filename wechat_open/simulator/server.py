"""How does the simulator stand on a port?

The standard library's threading HTTP server, on the loopback only: a WeChat that hands its tokens to everybody who
asks has no business on a network.
"""

from __future__ import annotations

import socket
import socketserver
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from ..exceptions import ConfigurationError
from .application import Application, logger
from .settings import host_of, is_loopback
from .web import PLAIN, Answer, Request

MAX_BODY = 10 * 1024 * 1024


class Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 256

    def __init__(self, application: Application, host: str = "127.0.0.1", port: int = 0) -> None:
        _require_loopback(host)
        self.application = application
        self._connections: set[socket.socket] = set()
        self._lock = threading.Lock()
        super().__init__((host, port), Handler)

    @property
    def url(self) -> str:
        host, port = self.server_address[:2]
        return f"http://{host!s}:{port}"

    def server_bind(self) -> None:
        # As in HTTPServer, without its look-up of the host's name: that can take seconds, and nobody needs the name.
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def opened(self, connection: socket.socket) -> None:
        with self._lock:
            self._connections.add(connection)

    def closed(self, connection: socket.socket) -> None:
        with self._lock:
            self._connections.discard(connection)

    def close_connections(self) -> None:
        """Pooled connections would go on being served by their threads after the server has stopped."""
        with self._lock:
            connections = list(self._connections)
        for connection in connections:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:  # closed by the other side in the meantime
                continue

    def handle_error(self, request: object, client_address: object) -> None:
        """Callers that hang up are part of the play; everything else is a mistake of ours."""
        if not isinstance(sys.exc_info()[1], OSError):
            logger.exception("the simulator failed to answer")


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "WeChatSimulator"
    sys_version = ""
    timeout = 75
    # Head and body leave in one packet: two small ones would wait for each other's acknowledgement.
    wbufsize = -1
    disable_nagle_algorithm = True
    server: Server

    def setup(self) -> None:
        super().setup()
        self.server.opened(self.connection)

    def finish(self) -> None:
        self.server.closed(self.connection)
        super().finish()

    def serve(self) -> None:
        if not self._is_meant_for_us():
            self._send(Answer(421, b"This simulator is called localhost or 127.0.0.1.", PLAIN), close=True)
            return
        body = self._body()
        if body is None:
            return
        path, _, query_string = self.path.partition("?")
        request = Request(
            method=self.command,
            path=path,
            query_string=query_string,
            headers={name.lower(): value for name, value in self.headers.items()},
            body=body,
        )
        answer = self.server.application.handle(request)
        if answer.dropped:
            self.close_connection = True
            return
        self._send(answer)

    do_GET = do_POST = do_DELETE = do_PUT = do_HEAD = serve

    def log_message(self, format: str, *args: object) -> None:
        """The application writes the line; this one would print query strings."""

    def _is_meant_for_us(self) -> bool:
        """A site whose name is pointed to 127.0.0.1 (DNS rebinding) would have its pages read everything here.

        Its requests carry that name as Host. Browsers always send one; a script may leave it out.
        """
        hosts = self.headers.get_all("Host", [])
        return all(is_loopback(host_of(f"//{host}")) for host in hosts) and len(hosts) <= 1

    def _body(self) -> bytes | None:
        """The body, or None when the request was answered because of it."""
        length = self.headers.get("Content-Length", "0")
        if "Transfer-Encoding" in self.headers or not length.isdecimal():
            self._send(Answer(411, b"Content-Length wanted", PLAIN), close=True)
            return None
        if int(length) > MAX_BODY:
            self._send(Answer(413, b"too large", PLAIN), close=True)
            return None
        return self.rfile.read(int(length))

    def _send(self, answer: Answer, *, close: bool = False) -> None:
        self.send_response_only(answer.status)
        headers = {"Content-Type": answer.content_type, "Content-Length": str(len(answer.body)), **answer.headers}
        if close:
            headers["Connection"] = "close"
        for name, value in headers.items():
            self.send_header(name, value)
        self.close_connection = self.close_connection or close
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)


def _require_loopback(host: str) -> None:
    if not is_loopback(host):
        raise ConfigurationError(f"The simulator answers on the loopback only (127.0.0.1), not on {host!r}.")

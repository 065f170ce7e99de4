"""The HTTP server: the standard library's, with a thread for each connection, on the loopback only.

The control API shows every token in clear, so the server must not be reachable from a network.
"""

from __future__ import annotations

import logging
import socket
import socketserver
import sys
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from ...exceptions import ConfigurationError
from .messages import PLAIN, Answer, Request
from .origin import host_of, is_loopback

logger = logging.getLogger("wechat_open.simulator")

MAX_BODY = 10 * 1024 * 1024


class Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 256

    def __init__(self, handle: Callable[[Request], Answer], host: str = "127.0.0.1", port: int = 0) -> None:
        if not is_loopback(host):
            raise ConfigurationError(f"The simulator answers on the loopback only (127.0.0.1), not on {host!r}.")
        self.handle = handle
        self._connections: set[socket.socket] = set()
        self._lock = threading.Lock()
        super().__init__((host, port), Handler)

    @property
    def url(self) -> str:
        host, port = self.server_address[:2]
        return f"http://{host!s}:{port}"

    def server_bind(self) -> None:
        # As in HTTPServer, without the look-up of the host's name: it can take seconds, and the name is not used.
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def opened(self, connection: socket.socket) -> None:
        with self._lock:
            self._connections.add(connection)

    def closed(self, connection: socket.socket) -> None:
        with self._lock:
            self._connections.discard(connection)

    def close_connections(self) -> None:
        """Close open connections: their threads would continue to serve them after the server has stopped."""
        with self._lock:
            connections = list(self._connections)
        for connection in connections:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:  # the other side has closed it
                continue

    def handle_error(self, request: object, client_address: object) -> None:
        """Log errors, except those of callers that close the connection."""
        if not isinstance(sys.exc_info()[1], OSError):
            logger.exception("the simulator failed to answer")  # noqa: LOG004  socketserver calls this in its except


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "WeChatSimulator"
    sys_version = ""
    timeout = 75
    # Head and body are sent in one packet: of two small ones, the second would wait for the first's acknowledgement.
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
        if not self._names_this_machine():
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
        answer = self.server.handle(request)
        if answer.dropped:
            self.close_connection = True
            return
        self._send(answer)

    do_GET = do_POST = do_DELETE = do_PUT = do_HEAD = serve

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing: the application logs each request, without the values of its query."""

    def _names_this_machine(self) -> bool:
        """Whether the Host is this machine's, or missing, as a script may leave it.

        Pages of a site whose name points to 127.0.0.1 (DNS rebinding) could read everything here; a browser sends
        that name as Host.
        """
        hosts = self.headers.get_all("Host", [])
        return all(is_loopback(host_of(f"//{host}")) for host in hosts) and len(hosts) <= 1

    def _body(self) -> bytes | None:
        """The body; None when it was refused and the request has been answered."""
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

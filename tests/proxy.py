"""A proxy before a server, which a test makes slow, silent or unreachable, or leads to another server."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import suppress


class Proxy:
    """On a free port of the loopback. All that it does holds for open connections, too."""

    def __init__(self, host: str, port: int) -> None:
        self.upstream = (host, port)
        self.delay = 0.0
        """Seconds by which what the server says is late."""
        self.silent = False
        """Connections are taken, and nothing that is sent arrives."""
        self._open: list[socket.socket] = []
        self._down = False
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def down(self) -> None:
        """Every connection ends at once, and so does each new one."""
        self._down = True
        self.hang_up()

    def up(self) -> None:
        self._down = False

    def lead_to(self, port: int) -> None:
        """Fail over to another server."""
        self.upstream = (self.upstream[0], port)
        self.hang_up()

    def hang_up(self) -> None:
        while self._open:
            _end(self._open.pop())

    def close(self) -> None:
        _end(self._listening)
        self.hang_up()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            threading.Thread(target=self._connect, args=[client], daemon=True).start()

    def _connect(self, client: socket.socket) -> None:
        if self._down:
            _end(client)
            return
        try:
            server = socket.create_connection(self.upstream, 5)
            server.settimeout(None)
        except OSError:
            _end(client)
            return
        self._open += [client, server]
        threading.Thread(target=self._pump, args=[server, client, True], daemon=True).start()
        self._pump(client, server, False)

    def _pump(self, source: socket.socket, target: socket.socket, answers: bool) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                while self.silent:
                    time.sleep(0.05)
                if answers and self.delay:
                    time.sleep(self.delay)
                target.sendall(data)
        _end(source)
        _end(target)


def _end(connection: socket.socket) -> None:
    with suppress(OSError):  # the other side, or another thread, may have been first
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()

"""A server that answers as Redis does, where there is none.

SET, GET and the greeting, in the wire format of version 2, over real sockets: whatever is done to a connection happens
to a real one. That the real Redis agrees is said by the tests that ``tox -e services`` runs on it.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

_OTHERS = {
    b"HELLO": b"%1\r\n$5\r\nproto\r\n:3\r\n",
    b"PING": b"+PONG\r\n",
    b"LPUSH": b":1\r\n",
    b"SADD": b":1\r\n",
}


def _other(name: bytes, transaction: int | None) -> tuple[int | None, bytes]:
    """How many commands the connection's transaction has afterwards, and the reply."""
    if name == b"MULTI":
        return 0, b"+OK\r\n"
    if name == b"EXEC" and transaction is not None:
        return None, b"*%d\r\n" % transaction + b":1\r\n" * transaction
    if transaction is not None:
        return transaction + 1, b"+QUEUED\r\n"
    return None, _OTHERS.get(name, b"+OK\r\n")


class StandIn:
    """A server on a free port. ``commands`` has no greetings; ``connections`` are the open sockets.

    While it is ``silent`` it takes connections and commands, and answers none.
    """

    def __init__(self) -> None:
        self.commands: list[list[bytes]] = []
        self.connections: list[socket.socket] = []
        self.greeted = 0
        self.silent = False
        self.stored: dict[bytes, bytes] = {}
        self.answer: Callable[[list[bytes]], bytes] = self._answer
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"redis://127.0.0.1:{self._listening.getsockname()[1]}/0?protocol=2"
        threading.Thread(target=self._accept, daemon=True).start()

    def hang_up(self) -> None:
        """As a Redis does that is restarted, or that finds a connection idle for too long."""
        while self.connections:
            with suppress(OSError):  # the other side may have been first
                self.connections.pop().shutdown(socket.SHUT_RDWR)

    def stop(self) -> None:
        with suppress(OSError):  # a second time
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self.hang_up()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            self.greeted += 1
            self.connections.append(connection)
            threading.Thread(target=self._serve, args=[connection], daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        transaction: int | None = None
        with connection, connection.makefile("rb") as said:
            try:
                while line := said.readline():
                    command = [said.read(int(said.readline()[1:]) + 2)[:-2] for _ in range(int(line[1:]))]
                    if self.silent:
                        continue
                    if command[0] in {b"SET", b"GET"}:
                        self.commands.append(command)
                        connection.sendall(self.answer(command))
                    else:  # CLIENT SETINFO, SELECT, and what Celery's transport needs
                        transaction, reply = _other(command[0], transaction)
                        connection.sendall(reply)
            except OSError:
                return

    def _answer(self, command: list[bytes]) -> bytes:
        name, key, *values = command
        known = self.stored.get(key)
        if name == b"GET":
            return b"$-1\r\n" if known is None else b"$%d\r\n%b\r\n" % (len(known), known)
        if b"NX" in values and known is not None:
            return b"$-1\r\n"
        self.stored[key] = values[0]
        return b"+OK\r\n"


def refuse(command: list[bytes]) -> bytes:
    """A Redis that is full."""
    return b"-OOM command not allowed\r\n"


def cache_at(url: str, **options: Any) -> dict[str, Any]:
    """An entry of CACHES."""
    return {"BACKEND": "django_redis.cache.RedisCache", "LOCATION": url, "OPTIONS": options}

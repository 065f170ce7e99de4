"""Connections of requests and urllib3 on which a whole answer has one deadline, however slowly it comes."""

from __future__ import annotations

import http.client
import io
import socket
import time
from typing import Any

import urllib3
from requests.adapters import HTTPAdapter


class _Deadline(io.RawIOBase):
    """The bytes of one answer with its headers, until its deadline: a socket's own timeout starts again with each."""

    def __init__(self, sock: Any, raw: io.RawIOBase) -> None:
        self._sock = sock
        self._raw = raw
        self._ends_at = time.monotonic() + (sock.gettimeout() or 0)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left = self._ends_at - time.monotonic()
        if left <= 0:
            raise TimeoutError("the answer came too slowly")
        self._sock.settimeout(left)
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Response(http.client.HTTPResponse):
    def __init__(self, sock: Any, *args: Any, **options: Any) -> None:
        super().__init__(sock, *args, **options)
        _send_no_longer_than(sock, sock.gettimeout() or 0)
        self.fp = io.BufferedReader(_Deadline(sock, self.fp.detach()))


def _send_no_longer_than(sock: Any, seconds: float) -> None:
    """Make the kernel drop what the other end has not acknowledged for so long, also once the socket is closed.

    Otherwise it goes on sending the request for minutes after we have given up, and when a network comes back, WeChat
    does again what another worker has done meanwhile. Linux has this; elsewhere the kernel's own limit remains.
    """
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        # Within TLS to a proxy, urllib3 has a wrapper around the socket.
        getattr(sock, "socket", sock).setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(seconds * 1000))


class _Connection(urllib3.connection.HTTPConnection):
    response_class = _Response


class _SecureConnection(urllib3.connection.HTTPSConnection):
    response_class = _Response


class _Pool(urllib3.HTTPConnectionPool):
    ConnectionCls = _Connection


class _SecurePool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _SecureConnection


_POOLS = {"http": _Pool, "https": _SecurePool}


class DeadlineAdapter(HTTPAdapter):
    """Pooled connections whose answers have a deadline, through a proxy too."""

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, **options)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, *args: Any, **options: Any) -> Any:
        manager = super().proxy_manager_for(*args, **options)
        manager.pool_classes_by_scheme = _POOLS
        return manager

"""Hosts on one machine: network namespaces behind a router, which can drop what one of them sends and is sent.

::

    services (this namespace) ---- router ---- host "a"
                                      `------- host "b"

A host that is cut off lives on and hears nothing: no packet comes back, no connection is refused or reset. Needs root
and iproute2.
"""

from __future__ import annotations

import os
import re
import secrets
import select
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

RANGE = "198.18.{subnet}.{host}"
"""A range for tests of networks, which is routed nowhere."""


def ip(*arguments: str) -> None:
    result = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
    if result.returncode:
        raise RuntimeError(f"ip {' '.join(arguments)}: {result.stderr.strip()}")


class Network:
    """Use as a context manager: it leaves nothing behind, whatever happens in between."""

    def __init__(self, *hosts: str) -> None:
        self.name = f"wo{secrets.token_hex(2)}"
        self._first = secrets.randbelow(240)  # another run may have a network of its own
        self.services = self._address(0, 1)
        """The address at which the hosts find the services."""
        self.hosts = {host: self._address(number, 2) for number, host in enumerate(hosts, 1)}
        """The addresses of the hosts by their names."""
        self._undo = ExitStack()

    def __enter__(self) -> Network:
        if os.geteuid() != 0:
            raise PermissionError("Network namespaces are made by root.")
        try:
            self._build()
        except BaseException:
            self._undo.close()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        self._undo.close()

    def _address(self, subnet: int, host: int) -> str:
        return RANGE.format(subnet=self._first + subnet, host=host)

    def namespace(self, host: str) -> str:
        return f"{self.name}-{host}"

    def cut(self, host: str) -> None:
        """From now on the router silently drops every packet from and to this host."""
        self._rules("add", host)

    def heal(self, host: str) -> None:
        """Let them pass again."""
        self._rules("del", host)

    def cut_from(self, host: str, port: int) -> None:
        """The same for one service alone, which is known by its port."""
        self._rules("add", host, port)

    def reconnect(self, host: str, port: int) -> None:
        self._rules("del", host, port)

    def inside(self, host: str, *command: str) -> list[str]:
        """The command line that runs a command on a host."""
        return ["ip", "netns", "exec", self.namespace(host), *command]

    def _rules(self, change: str, host: str, port: int = 0) -> None:
        for end, packets in (("dport", ("iif", f"to-{host}")), ("sport", ("to", self.hosts[host]))):
            only = ("ipproto", "tcp", end, str(port)) if port else ()
            ip("-n", self.namespace("router"), "rule", change, "pref", "10", *packets, *only, "blackhole")

    def _build(self) -> None:
        router = self._add_namespace("router")
        subprocess.run(
            ["ip", "netns", "exec", router, "sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward"], check=True
        )
        ip("link", "add", self.name, "type", "veth", "peer", "name", "services", "netns", router)
        self._undo.callback(ip, "link", "del", self.name)
        ip("addr", "add", f"{self.services}/24", "dev", self.name)
        ip("link", "set", self.name, "up")
        gateway = self._address(0, 254)
        self._set_up(router, "services", gateway)
        for number, (host, address) in enumerate(self.hosts.items(), 1):
            namespace = self._add_namespace(host)
            ip("-n", router, "link", "add", f"to-{host}", "type", "veth", "peer", "name", "uplink", "netns", namespace)
            self._set_up(router, f"to-{host}", self._address(number, 254))
            self._set_up(namespace, "uplink", address)
            ip("-n", namespace, "route", "add", "default", "via", self._address(number, 254))
            ip("route", "add", self._address(number, 0) + "/24", "via", gateway)

    def _add_namespace(self, host: str) -> str:
        namespace = self.namespace(host)
        ip("netns", "add", namespace)
        self._undo.callback(ip, "netns", "del", namespace)
        ip("-n", namespace, "link", "set", "lo", "up")
        return namespace

    @staticmethod
    def _set_up(namespace: str, device: str, address: str) -> None:
        ip("-n", namespace, "addr", "add", f"{address}/24", "dev", device)
        ip("-n", namespace, "link", "set", device, "up")


def as_it_is(host: str, data: bytes) -> bytes:
    return data


class Forwarder:
    """Makes a service of this machine's loopback reachable for the hosts.

    ``pass_on`` is called with the address of a host and what it sends, and returns what the service is to get.
    """

    def __init__(self, address: str, port: int, target: int, pass_on: Callable[[str, bytes], bytes] = as_it_is) -> None:
        self._target, self._pass_on = target, pass_on
        self._listener = socket.create_server((address, port))
        self._open: set[socket.socket] = set()
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)  # wakes the thread that accepts
        self._threads[0].join()
        for end in list(self._open):
            with suppress(OSError):  # it has just been closed
                end.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()

    def _accept(self) -> None:
        with self._listener:
            while True:
                try:
                    client, (host, _) = self._listener.accept()
                except OSError:
                    return
                thread = threading.Thread(target=self._carry, args=(client, host))
                self._threads.append(thread)
                self._open.add(client)
                thread.start()

    def _carry(self, client: socket.socket, host: str) -> None:
        with client, socket.create_connection(("127.0.0.1", self._target)) as server, suppress(OSError):
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while True:
                readable, _, _ = select.select([client, server], [], [])
                if client in readable:
                    if not (data := client.recv(65536)):
                        break
                    server.sendall(self._pass_on(host, data))
                if server in readable:
                    if not (data := server.recv(65536)):
                        break
                    client.sendall(data)
        self._open.discard(client)


def to_loopback(data: bytes) -> bytes:
    """A request with a name of the loopback as its host: the simulator answers to no other."""
    return re.sub(rb"\r\nHost: [^\r]*", b"\r\nHost: localhost", data)


@contextmanager
def running(
    command: list[str], log: Path, environment: dict[str, str], place: Path, user: str | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """A process in a session of its own; whatever it has started ends with it."""
    with log.open("a") as out:
        process = subprocess.Popen(
            command,
            env=environment,
            cwd=place,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            user=user,
            group=user,
        )
    try:
        yield process
    finally:
        kill(process)


def kill(process: subprocess.Popen[bytes]) -> None:
    """SIGKILL for a process and all that it has started."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return  # killed before
    finally:
        process.wait(20)


def until(true: Callable[[], bool], seconds: float, what: str, *, every: float = 0.25) -> float:
    """Wait; how many seconds it took."""
    began = time.monotonic()
    while not true():
        assert time.monotonic() - began < seconds, f"Not within {seconds:.0f} s: {what}"
        time.sleep(every)
    return time.monotonic() - began

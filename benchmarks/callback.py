"""The cost of a message, from the socket to the encrypted reply.

``python -m benchmarks.callback`` needs Redis and two minutes. It starts gunicorn with two workers, once for each way to
set our app up, and sends 10,000 messages to each of five callbacks (``site.py``), a round to each in turn. One in
twenty messages comes twice at the same moment.

* an empty view, under the middleware that ``startproject`` writes: the floor;
* a minimal view with wechatpy under the same, which checks neither for repeats nor whose account it is;
* ours, as it is installed, with Redis for a cache: what several hosts need;
* the same with our middleware first in the list;
* ours on one host: with our middleware, and HostCache for the messages.

For each it prints the requests a second, their ratio to the empty view's in the same round (the median of all rounds),
and how long an answer took: the median, and what all but the slowest percent keep to. Senders, workers and Redis share
the machine, so what counts is the ratio. Two marks are set for ours on one host: 0.60 of the empty view, and no slower
than wechatpy.

Then every answer is opened: it exits with 1 when a message was lost, was handled twice, or when a repeat was answered
in another way than its first. ``python -m benchmarks.callback gthread`` takes workers of four threads each.
"""

from __future__ import annotations

import argparse
import os
import platform
import queue
import secrets
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from wechat_open.conf import conf
from wechat_open.protocol import xml
from wechat_open.protocol.crypto import KeyPair, decrypt
from wechat_open.protocol.envelope import encrypt_push, find_encrypt, read_plain

MESSAGES, ROUNDS, REPEATED = 10_000, 20, 20
WORKERS, SENDERS = 2, 8
ACCOUNT, ORIGINAL_ID = "wx4c9e2f70d81b35a6", "gh_97417a04a28d"
MARK = 0.60
"""Of the empty view, for ours on one host; and no slower than wechatpy."""


@dataclass(frozen=True)
class Callback:
    """Where a push is sent: to which site (see ``SET_UPS`` in ``settings.py``), and to which address there."""

    name: str
    set_up: str
    path: str

    @property
    def is_ours(self) -> bool:
        return self.path == OURS


OURS = f"/wechat/messages/{ACCOUNT}/"
EMPTY = Callback("empty view", "redis", "/empty/")
WECHATPY = Callback("wechatpy", "redis", "/wechatpy/")
WITH_REDIS = Callback("ours, Redis", "redis", OURS)
WITH_REDIS_FIRST = Callback("ours, Redis, middleware", "redis-first", OURS)
ON_ONE_HOST = Callback("ours, HostCache, middleware", "host", OURS)
CALLBACKS = (EMPTY, WECHATPY, WITH_REDIS, WITH_REDIS_FIRST, ON_ONE_HOST)


@dataclass
class Seen:
    """What one callback answered."""

    seconds: list[float] = field(default_factory=list)
    """Of each request."""
    rates: list[float] = field(default_factory=list)
    """Requests a second, of each round."""
    answers: list[tuple[str, bytes]] = field(default_factory=list)
    """The MsgId, and everything that came back."""


@dataclass(frozen=True)
class Push:
    msg_id: str
    query: str
    body: bytes

    def request(self, path: str) -> bytes:
        head = (
            f"POST {path}?{self.query} HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: Mozilla/4.0\r\nContent-Type: text/xml"
            f"\r\nContent-Length: {len(self.body)}\r\nConnection: close\r\n\r\n"
        )
        return head.encode() + self.body


def push(msg_id: str, now: str = "") -> Push:
    """A message of a follower who writes once. A repeat is of the same second."""
    configured = conf.component("default")
    now = now or str(int(time.time()))
    plain = {
        "ToUserName": ORIGINAL_ID,
        "FromUserName": f"o{int(msg_id):026x}X",
        "CreateTime": int(now),
        "MsgType": "text",
        "Content": f"请问今天几点关门？ {msg_id}",
        "MsgId": msg_id,
    }
    query, body = encrypt_push(
        xml.write_cdata(plain),
        KeyPair.from_console(configured["TOKEN"], configured["ENCODING_AES_KEY"]),
        configured["APPID"],
        timestamp=now,
        nonce=str(secrets.randbelow(9 * 10**9) + 10**9),
        envelope={"ToUserName": ORIGINAL_ID},
        extra_query={"openid": str(plain["FromUserName"])},
    )
    return Push(msg_id, query, body)


def round_of(first: int, count: int) -> list[Push]:
    """Messages in their order; a repeat, encrypted again, follows its first directly."""
    pushes = []
    for number in range(first, first + count):
        msg_id = str(24_000_000_000_000_000 + number)
        now = str(int(time.time()))
        pushes += [push(msg_id, now) for _ in range(1 if number % REPEATED else 2)]
    return pushes


def send(address: tuple[str, int], requests: Sequence[tuple[str, bytes]], seen: Seen) -> None:
    """Several senders take one request after the other, each on a connection of its own, as WeChat does."""
    waiting: queue.SimpleQueue[tuple[str, bytes]] = queue.SimpleQueue()
    for request in requests:
        waiting.put(request)

    def work() -> None:
        while True:
            try:
                msg_id, request = waiting.get_nowait()
            except queue.Empty:
                return
            started = time.perf_counter()
            answer = b""
            try:
                with socket.create_connection(address, timeout=10) as connection:
                    connection.sendall(request)
                    while part := connection.recv(65536):
                        answer += part
            except OSError as error:  # reported by `check`
                answer = type(error).__name__.encode()
            seen.seconds.append(time.perf_counter() - started)
            seen.answers.append((msg_id, answer))

    senders = [threading.Thread(target=work) for _ in range(SENDERS)]
    started = time.perf_counter()
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()
    seen.rates.append(len(requests) / (time.perf_counter() - started))


def check(callback: Callback, seen: Seen, handled: Counter[str]) -> list[str]:
    """What is wrong with the answers of a callback; ``handled`` says how often it handled which message."""
    configured = conf.component("default")
    key = KeyPair.from_console(configured["TOKEN"], configured["ENCODING_AES_KEY"]).aes_key
    wrong = []
    said: dict[str, bytes] = {}
    for msg_id, answer in seen.answers:
        head, _, body = answer.partition(b"\r\n\r\n")
        if b" 200 " not in head[:20]:
            wrong.append(f"{msg_id} was answered {head[:20]!r}")
        elif callback is EMPTY:
            continue
        else:
            reply = read_plain(decrypt(key, find_encrypt(body)[0], configured["APPID"]))
            if reply["Content"] != f"you said 请问今天几点关门？ {msg_id}":
                wrong.append(f"{msg_id} was answered {reply['Content']!r}")
            if callback.is_ours and said.setdefault(msg_id, body) != body:
                wrong.append(f"{msg_id} was answered in two ways")
    if len(seen.answers) != MESSAGES + MESSAGES // REPEATED:
        wrong.append(f"{len(seen.answers)} answers came")
    if callback.is_ours:
        wrong += [f"{msg_id} was handled {times} times" for msg_id, times in handled.items() if times != 1]
        if len(handled) != MESSAGES:
            wrong.append(f"{len(handled)} messages were handled")
    return [f"{callback.name}: {problem}" for problem in wrong]


@contextmanager
def gunicorn(set_up: str, worker: str) -> Iterator[tuple[str, int]]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address: tuple[str, int] = free.getsockname()
    command = [sys.executable, "-m", "gunicorn", "--bind", f"{address[0]}:{address[1]}", "--workers", str(WORKERS)]
    command += ["--worker-class", worker, "--log-level", "warning", "django.core.wsgi:get_wsgi_application()"]
    if worker == "gthread":
        command += ["--threads", "4"]
    server = subprocess.Popen(command, env={**os.environ, "BENCHMARK_SET_UP": set_up})
    try:
        for _ in range(100):
            try:
                socket.create_connection(address, timeout=1).close()
            except OSError:
                time.sleep(0.1)
            else:
                break
        yield address
    finally:
        server.terminate()
        server.wait(10)


def prepare() -> None:
    import django

    django.setup()
    from django.core.cache import cache
    from django.core.management import call_command

    from wechat_open import platforms
    from wechat_open.models import Authorizer

    call_command("migrate", verbosity=0)
    cache.clear()
    Authorizer.objects.create(
        component=platforms.get().row, appid=ACCOUNT, user_name=ORIGINAL_ID, kind=Authorizer.Kind.OFFICIAL
    )


def main() -> int:
    arguments = argparse.ArgumentParser(prog="python -m benchmarks.callback", description="What a message costs.")
    arguments.add_argument("worker", nargs="?", choices=["sync", "gthread"], default="sync", help="gunicorn's workers")
    worker: str = arguments.parse_args().worker
    memory = "/dev/shm"  # noqa: S108  # the name is random
    with (
        tempfile.TemporaryDirectory(prefix="wechat-benchmark-", dir=memory if Path(memory).is_dir() else None) as name,
        ExitStack() as servers,
    ):
        folder = Path(name)
        os.environ.update(BENCHMARK_FOLDER=name, DJANGO_SETTINGS_MODULE="benchmarks.settings")
        prepare()
        addresses = {
            set_up: servers.enter_context(gunicorn(set_up, worker))
            for set_up in {callback.set_up: None for callback in CALLBACKS}
        }
        seen = {callback: Seen() for callback in CALLBACKS}
        for callback in CALLBACKS:  # every worker has imported everything, and knows the account
            requests = [("", push(f"{number}").request(callback.path)) for number in range(100)]
            send(addresses[callback.set_up], requests, Seen())
        (folder / "handled").write_bytes(b"")
        count = MESSAGES // ROUNDS
        for number in range(ROUNDS):
            pushes = round_of(number * count, count)
            for callback in CALLBACKS:
                requests = [(push.msg_id, push.request(callback.path)) for push in pushes]
                send(addresses[callback.set_up], requests, seen[callback])
        handled = read_handled(folder)
    report(worker, seen)
    wrong = [
        problem
        for callback in CALLBACKS
        for problem in check(callback, seen[callback], handled[callback.set_up if callback.is_ours else callback.name])
    ]
    for problem in wrong[:10]:
        print(f"  {problem}")
    if wrong:
        print(f"  {len(wrong)} things went wrong")
        return 1
    print(f"  All were answered. Ours handled each of {MESSAGES} once in every set-up, and repeats got the same bytes.")
    return 0


def read_handled(folder: Path) -> dict[str, Counter[str]]:
    """How often each message was handled, by the name that the callback has in ``site.py``."""
    handled: dict[str, Counter[str]] = defaultdict(Counter)
    for line in (folder / "handled").read_text().splitlines():
        by, msg_id = line.split()
        handled[by][msg_id] += 1
    return handled


def report(worker: str, seen: dict[Callback, Seen]) -> None:
    print(
        f"{MESSAGES} messages and {MESSAGES // REPEATED} repeats to each callback, {WORKERS} {worker} workers, "
        f"{SENDERS} senders, {os.cpu_count()} processors, Python {platform.python_version()}"
    )
    for callback, found in seen.items():
        slow = sorted(found.seconds)
        print(
            f"  {callback.name:<28} {statistics.median(found.rates):6.0f}/s   "
            f"{ratio(found, seen[EMPTY]):.2f} of the empty view   "
            f"p50 {slow[len(slow) // 2] * 1000:5.1f} ms   p99 {slow[len(slow) * 99 // 100] * 1000:5.1f} ms"
        )
    to_empty, to_wechatpy = (ratio(seen[ON_ONE_HOST], seen[other]) for other in (EMPTY, WECHATPY))
    verdict = "both hold" if to_empty >= MARK and to_wechatpy >= 1 else "MISSED"
    print(
        f"  The marks for one host, {MARK:.2f} of the empty view and 1.00 of wechatpy: {verdict}, with {to_empty:.3f} "
        f"and {to_wechatpy:.3f}."
    )


def ratio(found: Seen, other: Seen) -> float:
    """How quick it is, compared with another one in the same round: the median of all rounds."""
    return statistics.median(one / another for one, another in zip(found.rates, other.rates, strict=True))


if __name__ == "__main__":
    sys.exit(main())

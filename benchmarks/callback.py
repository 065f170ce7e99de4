"""What does a message cost, from the socket to the sealed reply?

``python -m benchmarks.callback`` starts gunicorn with two workers and Redis as the cache, and sends 10,000 messages to
each of three callbacks (``site.py``), a round to each in turn. One in twenty messages comes twice at the same moment.
``python -m benchmarks.callback gthread`` does the same with workers of four threads each.

For each callback it prints the requests a second, their ratio to the empty view's in the same round (the median of all
rounds), and how long an answer took: the median, and what all but the slowest percent keep to. Senders, workers and
Redis share the machine, so what counts is the ratio. Then every answer is opened: it exits with 1 when a message was
lost, was handled twice, or when a repeat was answered in another way than its first.
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
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from wechat_open.conf import conf
from wechat_open.protocol import xml
from wechat_open.protocol.crypto import KeyPair, decrypt
from wechat_open.protocol.envelope import find_encrypt, read_plain, seal_push

MESSAGES, ROUNDS, REPEATED = 10_000, 20, 20
WORKERS, SENDERS = 2, 8
ACCOUNT, ORIGINAL_ID = "wx4c9e2f70d81b35a6", "gh_97417a04a28d"
EMPTY, WECHATPY, OURS = "empty view", "wechatpy", "ours"
PATHS = {EMPTY: "/empty/", WECHATPY: "/wechatpy/", OURS: f"/wechat/messages/{ACCOUNT}/"}


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


def push(msg_id: str) -> Push:
    configured = conf.component("default")
    now = str(int(time.time()))
    plain = {
        "ToUserName": ORIGINAL_ID,
        "FromUserName": f"o{secrets.token_hex(13)}X",
        "CreateTime": int(now),
        "MsgType": "text",
        "Content": f"请问今天几点关门？ {msg_id}",
        "MsgId": msg_id,
    }
    query, body = seal_push(
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
    """Messages in their order; a repeat, sealed anew, follows right behind its first."""
    pushes = []
    for number in range(first, first + count):
        msg_id = str(24_000_000_000_000_000 + number)
        pushes += [push(msg_id) for _ in range(1 if number % REPEATED else 2)]
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
            except OSError as error:  # told by `check`
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


def check(name: str, seen: Seen, handled: Counter[str]) -> list[str]:
    """What is wrong with the answers of a callback; ``handled`` says how often it handled which message."""
    configured = conf.component("default")
    key = KeyPair.from_console(configured["TOKEN"], configured["ENCODING_AES_KEY"]).aes_key
    wrong = []
    said: dict[str, bytes] = {}
    for msg_id, answer in seen.answers:
        head, _, body = answer.partition(b"\r\n\r\n")
        if b" 200 " not in head[:20]:
            wrong.append(f"{msg_id} was answered {head[:20]!r}")
        elif name == EMPTY:
            continue
        else:
            reply = read_plain(decrypt(key, find_encrypt(body)[0], configured["APPID"]))
            if reply["Content"] != f"you said 请问今天几点关门？ {msg_id}":
                wrong.append(f"{msg_id} was answered {reply['Content']!r}")
            if name == OURS and said.setdefault(msg_id, body) != body:
                wrong.append(f"{msg_id} was answered in two ways")
    if len(seen.answers) != MESSAGES + MESSAGES // REPEATED:
        wrong.append(f"{len(seen.answers)} answers came")
    if name == OURS:
        wrong += [f"{msg_id} was handled {times} times" for msg_id, times in handled.items() if times != 1]
        if len(handled) != MESSAGES:
            wrong.append(f"{len(handled)} messages were handled")
    return wrong


@contextmanager
def gunicorn(folder: Path, worker: str) -> Iterator[tuple[str, int]]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address: tuple[str, int] = free.getsockname()
    command = [sys.executable, "-m", "gunicorn", "--bind", f"{address[0]}:{address[1]}", "--workers", str(WORKERS)]
    command += ["--worker-class", worker, "--log-level", "warning", "django.core.wsgi:get_wsgi_application()"]
    if worker == "gthread":
        command += ["--threads", "4"]
    server = subprocess.Popen(command, env=os.environ)
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

    from wechat_open import component
    from wechat_open.models import Authorizer

    call_command("migrate", verbosity=0)
    cache.clear()
    Authorizer.objects.create(
        component=component.platform().row, appid=ACCOUNT, user_name=ORIGINAL_ID, kind=Authorizer.Kind.OFFICIAL
    )


def main() -> int:
    arguments = argparse.ArgumentParser(prog="python -m benchmarks.callback", description="What a message costs.")
    arguments.add_argument("worker", nargs="?", choices=["sync", "gthread"], default="sync", help="gunicorn's workers")
    worker: str = arguments.parse_args().worker
    with tempfile.TemporaryDirectory(prefix="wechat-benchmark-") as name:
        folder = Path(name)
        os.environ.update(BENCHMARK_FOLDER=name, DJANGO_SETTINGS_MODULE="benchmarks.settings")
        prepare()
        seen = {name: Seen() for name in PATHS}
        with gunicorn(folder, worker) as address:
            for path in PATHS.values():  # every worker has imported everything, and knows the account
                send(address, [("", push(f"{number}").request(path)) for number in range(100)], Seen())
            (folder / "handled").write_bytes(b"")
            count = MESSAGES // ROUNDS
            for number in range(ROUNDS):
                pushes = round_of(number * count, count)
                for name, path in PATHS.items():
                    send(address, [(push.msg_id, push.request(path)) for push in pushes], seen[name])
        handled: dict[str, Counter[str]] = {name: Counter() for name in PATHS}
        for line in (folder / "handled").read_text().splitlines():
            by, msg_id = line.split()
            handled[by][msg_id] += 1
    report(worker, seen)
    wrong = [f"{name}: {problem}" for name in PATHS for problem in check(name, seen[name], handled[name])]
    for problem in wrong[:10]:
        print(f"  {problem}")
    if wrong:
        print(f"  {len(wrong)} things went wrong")
        return 1
    print(f"  All were answered. Ours handled each of {len(handled[OURS])} once, and repeats got the same bytes.")
    return 0


def report(worker: str, seen: dict[str, Seen]) -> None:
    print(
        f"{MESSAGES} messages and {MESSAGES // REPEATED} repeats to each callback, {WORKERS} {worker} workers, "
        f"{SENDERS} senders, {os.cpu_count()} processors, Python {platform.python_version()}"
    )
    floor = seen[EMPTY].rates
    for name, found in seen.items():
        ratio = statistics.median(rate / empty for rate, empty in zip(found.rates, floor, strict=True))
        slow = sorted(found.seconds)
        print(
            f"  {name:<12} {statistics.median(found.rates):6.0f}/s   {ratio:.2f} of the empty view   "
            f"p50 {slow[len(slow) // 2] * 1000:5.1f} ms   p99 {slow[len(slow) * 99 // 100] * 1000:5.1f} ms"
        )


if __name__ == "__main__":
    sys.exit(main())

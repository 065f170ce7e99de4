"""What do the other processes of the site do while a test looks on?

``Site`` starts this file as a program, which sets Django up once and then reads orders, one JSON object a line. For
each it forks as many processes as were asked for, as a web server or Celery does, and lets their threads begin at one
moment. A process can be told to kill itself right before its n-th step into the outside world.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

Order = dict[str, Any]


@dataclass(frozen=True)
class Outcome:
    """What became of one thread's deed. ``killed`` stands for all threads of its process."""

    result: Any = None
    error: str = ""
    killed: bool = False


def results(outcomes: list[Outcome]) -> list[Any]:
    """What came of it, when nothing failed."""
    assert [outcome.error for outcome in outcomes if outcome.error] == []
    return [outcome.result for outcome in outcomes]


class Site:
    """The test's end. ``environment`` is that of ``process_environment``; ``wechat_open`` the setting of that name."""

    def __init__(self, environment: dict[str, str], wechat_open: dict[str, Any], folder: Path) -> None:
        self._diary = folder / "diary.jsonl"
        self._program = subprocess.Popen(
            [sys.executable, "-m", __name__],
            env={**environment, "WECHAT_OPEN": json.dumps(wechat_open), "PYTHONPATH": os.pathsep.join(sys.path)},
            cwd=folder,  # `python -m` looks there first, and must not find a checkout
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def do(self, deed: str, /, *, processes: int = 1, threads: int = 1, **order: Any) -> list[Outcome]:
        """Have it done, in all threads of all processes at one moment; one outcome for each thread."""
        return self.do_together([deed] * processes, threads=threads, **order)

    def do_together(self, deeds: list[str], /, *, threads: int = 1, **order: Any) -> list[Outcome]:
        """One process for each deed."""
        assert self._program.stdin is not None
        assert self._program.stdout is not None
        whole = {**order, "deeds": deeds, "threads": threads, "diary": str(self._diary)}
        self._program.stdin.write(json.dumps(whole) + "\n")
        self._program.stdin.flush()
        answer = self._program.stdout.readline()
        assert answer, "the worker program has died"
        return [Outcome(**outcome) for outcome in json.loads(answer)]

    def diary(self, about: str) -> list[Any]:
        """What the processes wrote down, the killed ones too: ``answered`` pushes, ``handled`` messages, and signals by
        their names.
        """
        if not self._diary.exists():
            return []
        entries = [json.loads(line) for line in self._diary.read_text().splitlines()]
        return [entry[1] for entry in entries if entry[0] == about]

    def close(self) -> None:
        assert self._program.stdin is not None
        assert self._program.stdout is not None
        self._program.stdin.close()
        self._program.stdout.close()
        self._program.wait(10)


# The program


def main() -> None:
    import django
    from django.conf import settings

    django.setup()
    settings.WECHAT_OPEN = json.loads(os.environ["WECHAT_OPEN"])
    _keep_diary_of_signals()
    _answer_followers()
    for line in sys.stdin:
        print(json.dumps(_obey(json.loads(line))), flush=True)


def _obey(order: Order) -> list[dict[str, Any]]:
    """Fork, let go at one moment, and collect. No connection is open here, so none is shared by the children."""
    forking = multiprocessing.get_context("fork")
    start = forking.Barrier(len(order["deeds"]) * order["threads"])
    children = []
    for deed in order["deeds"]:
        reader, writer = forking.Pipe(duplex=False)
        process = forking.Process(target=_live, args=({**order, "deed": deed}, start, writer))
        process.start()
        writer.close()
        children.append((process, reader))
    outcomes: list[dict[str, Any]] = []
    for process, reader in children:
        try:
            outcomes += reader.recv()
        except EOFError:
            outcomes.append({"killed": True})
        process.join()
    return outcomes


def _live(order: Order, start: Any, writer: Any) -> None:
    """One process: all its threads do the deed."""
    _the_order.update(order)
    if order.get("ahead"):
        _move_the_databases_clock(timedelta(seconds=order["ahead"]))
    if order.get("kill_at"):
        _die_before_step(order["kill_at"])
    outcomes: list[dict[str, Any]] = []
    threads = [threading.Thread(target=_act, args=(order, start, outcomes)) for _ in range(order["threads"])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    writer.send(outcomes)


def _act(order: Order, start: Any, outcomes: list[dict[str, Any]]) -> None:
    from django.db import connections

    start.wait(60)
    try:
        outcomes.append({"result": DEEDS[order["deed"]](order)})
    except Exception as error:  # noqa: BLE001 - whatever it is, the test wants to see it
        outcomes.append({"error": f"{type(error).__name__}: {error}"})
    finally:
        connections.close_all()


# What can be asked for


def authorizer_token(order: Order) -> str:
    from wechat_open import component, tokens

    return tokens.authorizer_token(component.platform(), order["appid"]).reveal()


def component_token(order: Order) -> str:
    from wechat_open import component, tokens

    return tokens.component_token(component.platform()).reveal()


def pre_auth_code(order: Order) -> bool:
    from wechat_open import api

    return bool(api.component().create_preauthcode().code)


def call(order: Order) -> int:
    from wechat_open import api

    return int(api.authorizer(order["appid"]).get("/cgi-bin/user/get")["total"])


def run_due(order: Order) -> int:
    """What beat has a worker do every two seconds."""
    from wechat_open import component, tokens

    return tokens.run_due(component.platform()).renewed


def renew_claimed(order: Order) -> int:
    """The same without the dispatch slot, which would keep all processes but one away."""
    from wechat_open import component
    from wechat_open.tokens import AuthorizerKeeper
    from wechat_open.tokens.store import AuthorizerStore

    platform, renewed = component.platform(), 0
    while claims := AuthorizerStore(platform.row).claim_due(7):
        for claim in claims:
            AuthorizerKeeper(platform, claim.appid).renew(claim)
            renewed += 1
    return renewed


def complete_return(order: Order) -> str:
    """The owner's browser comes back."""
    from wechat_open import authorization
    from wechat_open.secret import Secret

    attempt = authorization.find_attempt(order["state"], order["browser"])
    return authorization.complete_return(attempt, Secret(order["code"])).appid


def receive(order: Order) -> str:
    """WeChat pushes, and hears an answer."""
    from django.test import Client

    response = Client().generic("POST", "/wechat/events/", order["body"], "text/xml", QUERY_STRING=order["query"])
    answer = response.content.decode()
    note("answered", [order["query"], answer])
    return answer


def receive_and_process(order: Order) -> str:
    """The same, and the worker that is woken by it."""
    from wechat_open import inbox
    from wechat_open.models import Push

    answer = receive(order)
    inbox.process(Push.objects.latest("pk").pk)
    return answer


def receive_messages(order: Order) -> list[Any]:
    """WeChat pushes followers' messages, in an order of this thread's own: status and body for each, as they stand."""
    told: dict[int, Any] = {}
    messages = list(enumerate(order["messages"]))
    random.shuffle(messages)
    for number, message in messages:
        told[number] = _push(message)
    return [told[number] for number in range(len(messages))]


def receive_messages_while_the_cache_dies(order: Order) -> list[Any]:
    """All of them before and after the end of Redis; then ``more``, twice."""
    before = [_push(message) for message in order["messages"]]
    os.kill(order["redis"], signal.SIGKILL)
    after = [_push(message) for message in order["messages"]]
    return [before, after, *([_push(message) for message in order["more"]] for _ in range(2))]


def _push(message: dict[str, str]) -> list[Any]:
    from django.test import Client

    path, query, body = message["path"], message["query"], message["body"]
    response = Client().generic("POST", path, body, "text/xml", QUERY_STRING=query)
    return [response.status_code, response.content.decode()]


def process_inbox(order: Order) -> int:
    from wechat_open import inbox

    return inbox.process_due()


def sweep(order: Order) -> int:
    from wechat_open import component, tokens

    return tokens.sweep(component.platform()).differences


def beat(order: Order) -> None:
    """Everything that beat rings for, twice: one task may leave something to another."""
    from wechat_open import tasks
    from wechat_open.schedule import BEAT_SCHEDULE

    for ring in [*BEAT_SCHEDULE.values()] * 2:
        getattr(tasks, ring["task"].rpartition(".")[2])()


def empty_cache(order: Order) -> None:
    from django.core.cache import cache

    cache.clear()


DEEDS: dict[str, Callable[[Order], Any]] = {
    deed.__name__: deed
    for deed in (
        authorizer_token,
        component_token,
        pre_auth_code,
        call,
        run_due,
        renew_claimed,
        complete_return,
        receive,
        process_inbox,
        receive_and_process,
        receive_messages,
        receive_messages_while_the_cache_dies,
        sweep,
        beat,
        empty_cache,
    )
}


# The site's handler


def _answer_followers() -> None:
    """It takes ``takes`` seconds, and ``dies`` of it when the order says so."""
    from wechat_open.messaging import on_message
    from wechat_open.messaging.messages import TextMessage

    @on_message("text")
    def answer(message: TextMessage) -> str:
        note("handled", message.content)
        time.sleep(_the_order.get("takes", 0))
        if _the_order.get("dies"):
            os.kill(os.getpid(), signal.SIGKILL)
        return f"you said {message.content}"


# The diary, the clock and the knife

_the_order: Order = {}


def note(about: str, what: Any) -> None:
    """Write it down at once: this process may not live long."""
    with Path(_the_order["diary"]).open("a") as diary:
        diary.write(json.dumps([about, what]) + "\n")


def _keep_diary_of_signals() -> None:
    from wechat_open import signals

    for name in ("authorizer_authorized", "authorizer_updated", "authorizer_unauthorized"):

        def hear(sender: Any, signal: Any, authorizer: Any, name: str = name, **facts: Any) -> None:
            note(name, {"appid": authorizer.appid, "payload": facts.get("payload")})

        getattr(signals, name).connect(hear, weak=False)


def _move_the_databases_clock(ahead: timedelta) -> None:
    from django.db.models import Expression, ExpressionWrapper

    from wechat_open import clock
    from wechat_open.times import UTCDateTimeField

    def now() -> Expression:
        return ExpressionWrapper(clock.DatabaseTime() + ahead, output_field=UTCDateTimeField())

    clock.now = now


def _die_before_step(number: int) -> None:
    """SIGKILL before the n-th statement to the database, call to WeChat, or use of the cache.

    Right before a step is also right after the one before it, so all moments between two steps are tried.
    """
    from django.core.cache import caches
    from django.db.backends.signals import connection_created

    from wechat_open.client import Client

    steps = 0

    def step() -> None:
        nonlocal steps
        steps += 1
        if steps == number:
            os.kill(os.getpid(), signal.SIGKILL)

    def statement(execute: Callable[..., Any], *args: Any) -> Any:
        step()
        return execute(*args)

    def connected(connection: Any, **_: Any) -> None:
        connection.execute_wrappers.append(statement)

    connection_created.connect(connected, weak=False)

    def before(deed: Callable[..., Any]) -> Callable[..., Any]:
        def stepped(*args: Any, **kwargs: Any) -> Any:
            step()
            return deed(*args, **kwargs)

        return stepped

    Client.call = before(Client.call)  # type: ignore[method-assign]
    backend: Any = type(caches["default"])
    for name in ("get", "set", "delete_many"):
        setattr(backend, name, before(getattr(backend, name)))


if __name__ == "__main__":
    main()

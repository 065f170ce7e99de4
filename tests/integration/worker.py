"""The other processes of the site, controlled by a test.

``Site`` starts this file as a program, which sets Django up once and then reads orders, one JSON object a line. For
each it forks as many processes as were asked for, as a web server or Celery does, and lets their threads begin at one
moment. An order can make a process kill itself right before its n-th step into the outside world, stand still
there, or have all of them killed at one moment: as soon as the file ``killed_when`` exists.
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
    """The outcome of one thread's task. ``killed`` stands for all threads of its process."""

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

    def do(self, task: str, /, *, processes: int = 1, threads: int = 1, **order: Any) -> list[Outcome]:
        """Have it done, in all threads of all processes at one moment; one outcome for each thread."""
        return self.do_together([task] * processes, threads=threads, **order)

    def do_together(self, tasks: list[str], /, *, threads: int = 1, **order: Any) -> list[Outcome]:
        """One process for each task; ``each`` are orders of their own."""
        assert self._program.stdin is not None
        assert self._program.stdout is not None
        whole = {**order, "tasks": tasks, "threads": threads, "diary": str(self._diary)}
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
    start = forking.Barrier(len(order["tasks"]) * order["threads"])
    children = []
    for task, own in zip(order["tasks"], order.get("each") or [{}] * len(order["tasks"]), strict=True):
        reader, writer = forking.Pipe(duplex=False)
        process = forking.Process(target=_live, args=({**order, **own, "task": task}, start, writer))
        process.start()
        writer.close()
        children.append((process, reader))
    if order.get("killed_when"):
        _wait_for(Path(order["killed_when"]))
        for process, _ in children:
            process.kill()
    outcomes: list[dict[str, Any]] = []
    for process, reader in children:
        try:
            outcomes += reader.recv()
        except EOFError:
            outcomes.append({"killed": True})
        process.join()
    return outcomes


def _wait_for(file: Path) -> None:
    ends_at = time.monotonic() + 60
    while not file.exists() and time.monotonic() < ends_at:
        time.sleep(0.01)


def _live(order: Order, start: Any, writer: Any) -> None:
    """One process: all its threads do the task."""
    _the_order.update(order)
    if order.get("ahead"):
        _move_the_databases_clock(timedelta(seconds=order["ahead"]))
    if order.get("kill_at"):
        _before_step(order["kill_at"], lambda: os.kill(os.getpid(), signal.SIGKILL))
    if order.get("stop_at"):
        _before_step(order["stop_at"], _stand_still)
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
        outcomes.append({"result": TASKS[order["task"]](order)})
    except Exception as error:  # noqa: BLE001 - whatever it is, the test wants to see it
        outcomes.append({"error": f"{type(error).__name__}: {error}"})
    finally:
        connections.close_all()


# What can be asked for


def authorizer_token(order: Order) -> str:
    from wechat_open import platforms, tokens

    return tokens.authorizer_token(platforms.get(), order["appid"]).reveal()


def component_token(order: Order) -> str:
    from wechat_open import platforms, tokens

    return tokens.component_token(platforms.get()).reveal()


def pre_auth_code(order: Order) -> bool:
    from wechat_open import api

    return bool(api.component().create_preauthcode().code)


def call(order: Order) -> int:
    from wechat_open import api

    return int(api.authorizer(order["appid"]).get("/cgi-bin/user/get")["total"])


def run_due(order: Order) -> int:
    """The task of every two seconds."""
    from wechat_open import platforms, tokens

    return tokens.run_due(platforms.get()).renewed


def renew_leased(order: Order) -> int:
    """The same without the platform's lease on renewals, which would keep all processes but one away."""
    from wechat_open import platforms
    from wechat_open.stores.authorizers import AuthorizerStore
    from wechat_open.tokens import AuthorizerKeeper

    platform, renewed = platforms.get(), 0
    while leases := AuthorizerStore(platform.row).take_due(7):
        for lease in leases:
            AuthorizerKeeper(platform, lease.appid).renew(lease)
            renewed += 1
    return renewed


def renew_until_killed(order: Order) -> None:
    while True:
        renew_leased(order)
        time.sleep(0.01)


def reconcile_account(order: Order) -> bool:
    """An operator asks WeChat what it has on record."""
    from wechat_open import tokens
    from wechat_open.models import Authorizer

    return tokens.reconcile_account(Authorizer.objects.select_related("component").get(appid=order["appid"]))


def complete_redirect(order: Order) -> str:
    """The owner's browser comes back."""
    from wechat_open import authorization
    from wechat_open.secret import Secret

    attempt = authorization.find_attempt(order["state"], order["browser"])
    return authorization.complete_redirect(attempt, Secret(order["code"])).appid


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
    answers: dict[int, Any] = {}
    messages = list(enumerate(order["messages"]))
    random.shuffle(messages)
    for number, message in messages:
        answers[number] = _push(message)
    return [answers[number] for number in range(len(messages))]


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


def announce(order: Order) -> int:
    from wechat_open import authorization, platforms

    return authorization.announce_all(platforms.get())


def watch_health(order: Order) -> int:
    from wechat_open.health import alerts

    return alerts.watch()


def process_inbox(order: Order) -> int:
    from wechat_open import inbox

    return inbox.process_due()


def reconcile(order: Order) -> int:
    from wechat_open import platforms, tokens

    return tokens.reconcile(platforms.get()).differences


def beat(order: Order) -> None:
    """Every periodic task, twice: one task may leave work to another."""
    from wechat_open import tasks
    from wechat_open.schedule import BEAT_SCHEDULE

    for entry in [*BEAT_SCHEDULE.values()] * 2:
        getattr(tasks, entry["task"].rpartition(".")[2])()


def empty_cache(order: Order) -> None:
    from django.core.cache import cache

    cache.clear()


TASKS: dict[str, Callable[[Order], Any]] = {
    task.__name__: task
    for task in (
        authorizer_token,
        component_token,
        pre_auth_code,
        call,
        run_due,
        renew_leased,
        renew_until_killed,
        reconcile_account,
        complete_redirect,
        receive,
        announce,
        watch_health,
        process_inbox,
        receive_and_process,
        receive_messages,
        receive_messages_while_the_cache_dies,
        reconcile,
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

    def hear_attention(sender: Any, authorizer: Any, reason: str, link: Any, **facts: Any) -> None:
        note("authorizer_needs_attention", {"appid": authorizer.appid, "reason": reason, "link": bool(link)})

    def hear_push(sender: Any, event: Any, **facts: Any) -> None:
        note("push_received", [event.info_type, int(event.created_at.timestamp())])

    def hear_alert(sender: Any, code: str, severity: str, resolved: bool, **facts: Any) -> None:
        note("alert", [code, severity, resolved])

    signals.authorizer_needs_attention.connect(hear_attention, weak=False)
    signals.push_received.connect(hear_push, weak=False)
    signals.alert.connect(hear_alert, weak=False)


def _move_the_databases_clock(ahead: timedelta) -> None:
    from django.db.models import Expression, ExpressionWrapper

    from wechat_open.db import clock
    from wechat_open.db.times import UTCDateTimeField

    def now() -> Expression:
        return ExpressionWrapper(clock.DatabaseTime() + ahead, output_field=UTCDateTimeField())

    clock.now = now


def _stand_still() -> None:
    """Until the test sends SIGCONT."""
    note("stopped", os.getpid())
    os.kill(os.getpid(), signal.SIGSTOP)


def _before_step(number: int, happens: Callable[[], None]) -> None:
    """It happens before the n-th statement to the database, call to WeChat, or use of the cache.

    Right before a step is also right after the one before it, so all moments between two steps are tried.
    """
    from django.core.cache import caches
    from django.db.backends.signals import connection_created

    from wechat_open.client.transport import Client

    steps = 0

    def step() -> None:
        nonlocal steps
        steps += 1
        if steps == number:
            happens()

    def statement(execute: Callable[..., Any], *args: Any) -> Any:
        step()
        return execute(*args)

    def connected(connection: Any, **_: Any) -> None:
        connection.execute_wrappers.append(statement)

    connection_created.connect(connected, weak=False)

    def before(task: Callable[..., Any]) -> Callable[..., Any]:
        def stepped(*args: Any, **kwargs: Any) -> Any:
            step()
            return task(*args, **kwargs)

        return stepped

    Client.run = before(Client.run)  # type: ignore[method-assign]
    backend: Any = type(caches["default"])
    for name in ("get", "set", "delete_many"):
        setattr(backend, name, before(getattr(backend, name)))


if __name__ == "__main__":
    main()

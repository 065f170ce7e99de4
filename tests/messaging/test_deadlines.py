"""Work that takes too long is cut off, and its result is not lost."""

from __future__ import annotations

import contextvars
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import connection, connections, transaction
from django.utils import translation

from wechat_open.messaging import TooMany, TooSlow, deadlines
from wechat_open.models import Component

Late = list[tuple[Any, BaseException | None]]


@pytest.fixture
def go_on() -> Iterator[threading.Event]:
    """Work that waits for it takes long; none is left waiting."""
    event = threading.Event()
    yield event
    event.set()


@pytest.fixture
def late() -> Late:
    return []


def until(condition: Callable[[], object]) -> None:
    """Another thread is about to do it."""
    ends_at = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < ends_at, "it never came to that"
        time.sleep(0.01)


def here() -> threading.Thread:
    return threading.current_thread()


def at_rest() -> None:
    """Every thread has come back, and waits for work."""
    until(lambda: len(deadlines._idle) == deadlines._threads)


# In time


def test_result__comes_back_from_another_thread() -> None:
    assert deadlines.within(5, lambda: ("result", here() is not threading.main_thread())) == ("result", True)


@pytest.mark.parametrize("error", [ValueError, SystemExit])
def test_error__comes_back_as_it_is(error: type[BaseException]) -> None:
    raised = error("a mistake")

    def fail() -> None:
        raise raised

    with pytest.raises(error) as caught:
        deadlines.within(5, fail)
    assert caught.value is raised


def test_nothing__is_a_result_too() -> None:
    assert deadlines.within(5, lambda: None) is None


def test_zero_seconds__are_no_limit_and_no_thread() -> None:
    assert deadlines.within(0, here) is here()


def test_in_a_transaction__it_is_done_here_and_never_cut_off(db: None) -> None:
    def slow() -> threading.Thread:
        time.sleep(0.1)
        return here()

    assert deadlines.within(0.01, slow) is here()


def test_what_the_request_carries__is_carried_on() -> None:
    carried = contextvars.ContextVar("carried", default="nothing")
    carried.set("the request")
    with translation.override("zh-hans"):
        assert deadlines.within(5, lambda: (carried.get(), translation.get_language())) == ("the request", "zh-hans")


def test_request_without_translation__is_carried_on_too() -> None:
    with translation.override(None):
        assert deadlines.within(5, translation.get_language) is None


def test_what_the_work_sets__is_gone_for_the_next_work() -> None:
    carried = contextvars.ContextVar("carried", default="nothing")

    def leave() -> threading.Thread:
        carried.set("left behind")
        translation.activate("zh-hans")
        return here()

    thread = deadlines.within(5, leave)
    at_rest()
    assert deadlines.within(5, lambda: (here(), carried.get(), translation.get_language())) == (thread, "nothing", "en")


def test_threads__are_used_again() -> None:
    at_rest()
    used = set()
    for _ in range(10):
        used.add(deadlines.within(5, here))
        at_rest()

    assert len(used) == 1


def test_work_at_one_moment__has_a_thread_each() -> None:
    together = threading.Barrier(5)
    callers = [threading.Thread(target=lambda: deadlines.within(5, lambda: together.wait(5))) for _ in range(4)]
    for caller in callers:
        caller.start()
    deadlines.within(5, lambda: together.wait(5))
    for caller in callers:
        caller.join()

    assert not together.broken


# Too slow


def test_time_that_is_over__is_over(go_on: threading.Event) -> None:
    started = time.monotonic()
    with pytest.raises(TooSlow, match="longer than"):
        deadlines.within(0.1, lambda: go_on.wait(10))

    assert 0.1 <= time.monotonic() - started < 2


def test_result_after_the_deadline__is_passed_on(go_on: threading.Event, late: Late) -> None:
    with pytest.raises(TooSlow):
        deadlines.within(0.05, lambda: go_on.wait(10), lambda *outcome: late.append(outcome))
    assert late == []
    go_on.set()

    until(lambda: late)
    assert late == [(True, None)]


def test_error_after_the_deadline__is_passed_on(go_on: threading.Event, late: Late) -> None:
    error = ValueError()

    def fail() -> None:
        go_on.wait(10)
        raise error

    with pytest.raises(TooSlow):
        deadlines.within(0.05, fail, lambda *outcome: late.append(outcome))
    go_on.set()

    until(lambda: late)
    assert late == [(None, error)]


def test_result_in_time__is_only_returned(late: Late) -> None:
    deadlines.within(5, lambda: "result", lambda *outcome: late.append(outcome))
    at_rest()

    assert late == []


def test_result_after_the_deadline__is_dropped_without_a_receiver(go_on: threading.Event) -> None:
    with pytest.raises(TooSlow):
        deadlines.within(0.05, lambda: go_on.wait(10))
    go_on.set()

    at_rest()
    assert deadlines.within(5, lambda: "next") == "next"


def test_error_of_the_late_receiver__is_logged_and_the_thread_lives(
    go_on: threading.Event, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*outcome: Any) -> None:
        raise ValueError("a mistake")

    with pytest.raises(TooSlow):
        deadlines.within(0.05, lambda: go_on.wait(10), fail)
    go_on.set()

    at_rest()
    assert "The work that follows an answer failed." in caplog.text
    assert "a mistake" in caplog.text


# Too many


def test_threads_that_hang__have_a_limit(go_on: threading.Event, monkeypatch: pytest.MonkeyPatch) -> None:
    at_rest()
    monkeypatch.setattr(deadlines, "MAX_THREADS", max(2, deadlines._threads))
    for _ in range(deadlines.MAX_THREADS):
        with pytest.raises(TooSlow):
            deadlines.within(0.01, lambda: go_on.wait(10))
    begun = []

    with pytest.raises(TooMany, match="still running"):
        deadlines.within(0.01, lambda: begun.append(here()))
    assert begun == []

    go_on.set()
    at_rest()
    assert deadlines.within(5, lambda: "free again") == "free again"


def hang(go_on: threading.Event, account: str) -> int:
    """How many handlers of the account can be at work until it is refused a thread."""
    for number in range(deadlines.MAX_THREADS + 1):
        try:
            deadlines.within(0.001, lambda: go_on.wait(30), account=account)
        except TooSlow:
            continue
        except TooMany:
            return number
    raise AssertionError("it was never refused")


def test_account_whose_handlers_hang__leaves_threads_to_the_others(go_on: threading.Event) -> None:
    at_rest()
    assert hang(go_on, "first") == deadlines.MAX_THREADS // deadlines.SHARE
    hanging = [hang(go_on, f"account {number}") for number in range(5)]

    assert all(3 <= number <= 12 for number in hanging)
    assert deadlines.within(10, lambda: "answered", account="another") == "answered"
    with pytest.raises(TooMany, match="account first are still running"):
        deadlines.within(10, lambda: "answered", account="first")

    go_on.set()
    at_rest()
    assert deadlines.within(10, lambda: "answered", account="first") == "answered"
    assert not deadlines._busy


def test_handlers_of_one_account_that_do_not_hang__have_their_threads_again(go_on: threading.Event) -> None:
    go_on.set()
    for _ in range(3 * deadlines.MAX_THREADS):
        assert deadlines.within(10, lambda: "answered", account="first") == "answered"


def test_what_is_started_beyond_the_share__is_done_here(go_on: threading.Event) -> None:
    hang(go_on, "first")
    done: list[threading.Thread] = []
    deadlines.start(lambda: done.append(here()), account="first")

    assert done == [here()]


# After an answer


def test_what_is_started__is_not_waited_for(go_on: threading.Event) -> None:
    done: list[threading.Thread] = []

    def work() -> None:
        go_on.wait(10)
        done.append(here())

    deadlines.start(work)
    assert done == []
    go_on.set()

    until(lambda: done)
    assert done != [here()]


def test_what_is_started_in_a_transaction__is_done_here(db: None) -> None:
    done: list[threading.Thread] = []
    deadlines.start(lambda: done.append(here()))

    assert done == [here()]


def test_what_is_started_when_all_are_busy__is_done_here(monkeypatch: pytest.MonkeyPatch) -> None:
    at_rest()
    monkeypatch.setattr(deadlines, "MAX_THREADS", 0)
    monkeypatch.setattr(deadlines, "_idle", [])
    done: list[threading.Thread] = []
    deadlines.start(lambda: done.append(here()))

    assert done == [here()]


def test_error_of_what_is_started__is_logged(caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> None:
        raise ValueError("a mistake")

    deadlines.start(fail)

    at_rest()
    assert "a mistake" in caplog.text


# The database


def test_thread__closes_its_connections(transactional_db: None) -> None:
    theirs = deadlines.within(5, lambda: (Component.objects.count(), connections["default"])[1])

    until(lambda: theirs.connection is None)
    assert theirs is not connections["default"]


def test_thread_after_its_time__closes_them_too(transactional_db: None, go_on: threading.Event, late: Late) -> None:
    def slow() -> Any:
        go_on.wait(10)
        Component.objects.count()
        return connections["default"]

    def tell(theirs: Any, error: BaseException | None) -> None:
        late.append((theirs, error))
        Component.objects.count()

    with pytest.raises(TooSlow):
        deadlines.within(0.05, slow, tell)
    go_on.set()

    until(lambda: late)
    until(lambda: late[0][0].connection is None)


def test_transaction__is_noticed(transactional_db: None) -> None:
    assert not deadlines.in_transaction()
    with transaction.atomic():
        assert deadlines.in_transaction()
        assert deadlines.within(5, lambda: connection.in_atomic_block)


# Processes

FORKING = """
import os, sys, time
import django
django.setup()
from wechat_open.messaging import deadlines

deadlines.within(5, lambda: None)
time.sleep(0.2)  # its thread is back, and would be used again
child = os.fork()
if child:
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
assert deadlines.within(5, lambda: "hello") == "hello"
"""


def test_forked_process__has_threads_of_its_own() -> None:
    """A web server may fork after the first message; the parent's threads do not come along."""
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "tests.settings",
        "PYTHONPATH": os.pathsep.join(sys.path),
        "PYTHONWARNINGS": "ignore",  # newer Pythons warn of a fork beside threads
    }
    subprocess.run([sys.executable, "-c", FORKING], env=environment, timeout=30, check=True)

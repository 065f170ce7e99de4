"""The loop of ``manage.py wechat_open run``: rounds, their time, and what a failure or something that hangs changes."""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import InterfaceError, OperationalError, connection
from django.utils.translation import get_language, override

from tests.environments import FakeTime
from wechat_open import signals
from wechat_open.exceptions import ConfigurationError, EncryptionError
from wechat_open.management import runner
from wechat_open.management.runner import Job, Loop, all_jobs, stopped_by_signals
from wechat_open.models import Authorizer, Component
from wechat_open.platforms import Platform
from wechat_open.rounds import Deadline
from wechat_open.schedule import PERIODS
from wechat_open.simulator import Simulator

REFRESH = "/cgi-bin/component/api_authorizer_token"
INFO = "/cgi-bin/component/api_get_authorizer_info"

WAIT = 10.0
"""Seconds after which a test that waits for another thread fails."""


def loop_of(*jobs: Job, said: list[str] | None = None, timing: Any = runner.TIMING) -> Loop:
    say = [].append if said is None else said.append
    return Loop(jobs, say=say, complain=say, timing=timing)


@contextmanager
def running(loop: Loop) -> Iterator[None]:
    """The loop, in a thread of its own, until the end of the context."""
    stopped = threading.Event()
    thread = threading.Thread(target=loop.until, args=(stopped,))
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join(runner.STOP_WITHIN + WAIT)
        assert not thread.is_alive()


def becomes_true(condition: Callable[[], object]) -> bool:
    ends_at = time.monotonic() + WAIT
    while not condition():
        if time.monotonic() > ends_at:
            return False
        time.sleep(0.02)
    return True


# -- the jobs ----------------------------------------------------------------------------------------------------------


def test_jobs__are_all_periodic_ones_and_renewals_come_first_for_each_platform() -> None:
    names = [(job.name, job.aliases) for job in all_jobs(["default", "second"])]

    assert names[:2] == [("renew_due_tokens", ["default"]), ("renew_due_tokens", ["second"])]
    assert [name for name, _aliases in names[1:]] == list(PERIODS)


def test_every_periodic_job__has_a_limit() -> None:
    assert all(job.limit == PERIODS[job.name].limit for job in all_jobs(["default"]))


def test_reports__belong_to_periodic_jobs() -> None:
    assert set(runner._REPORTS) < set(PERIODS)


# -- rounds on a clock that only work and waiting move -----------------------------------------------------------------


class FiveMinutes(threading.Event):
    """Is set after five minutes of the clock; waiting moves it."""

    def __init__(self, clock: FakeTime) -> None:
        super().__init__()
        self.clock = clock
        self.ends_at = clock.now + 300

    def is_set(self) -> bool:
        return self.clock.now >= self.ends_at

    def wait(self, timeout: float | None = None) -> bool:
        self.clock.now += max(timeout or 0, 0.01)
        return self.is_set()


@pytest.mark.django_db  # a round closes old connections
class TestRounds:
    def begun(self, name: str, items: list[float], aliases: list[str] | None = None) -> list[float]:
        """When the rounds of a job began. Items, of so many seconds each, are done until the deadline."""
        clock = FakeTime()
        rounds: list[float] = []

        def work(*arguments: Any) -> str:
            rounds.append(clock.now - 1000)
            while items and not arguments[-1].passed:
                clock.now += items.pop(0)
            return ""

        loop = loop_of(Job(name, work, aliases), timing=clock.timing)
        loop.repeat(loop.jobs[0], FiveMinutes(clock))
        return rounds

    @pytest.mark.parametrize("name", list(PERIODS))
    def test_job__comes_at_beats_interval(self, name: str) -> None:
        begun = self.begun(name, [])

        assert len(begun) == max(1, 300 // PERIODS[name].every)
        assert {round(later - earlier, 3) for earlier, later in pairwise(begun)} <= {PERIODS[name].every}

    @pytest.mark.parametrize("name", list(PERIODS))
    def test_round__ends_by_itself_and_the_rest_is_done_at_once(self, name: str) -> None:
        begun = self.begun(name, [0.5] * 10_000)

        assert all(0 <= later - earlier - PERIODS[name].limit < 0.6 for earlier, later in pairwise(begun))
        assert len(begun) >= 300 // (PERIODS[name].limit + 0.6)

    def test_platforms__share_the_time_of_a_round(
        self, wechat: Simulator, platform: Platform, second_platform: None
    ) -> None:
        clock = FakeTime()
        left = []
        job = Job("announce", lambda _platform, deadline: left.append(deadline.left) or "", ["default", "second"])

        assert loop_of(job, timing=clock.timing).once()
        assert left == [PERIODS["announce"].limit / 2] * 2


@pytest.fixture
def second_platform(wechat: Simulator, settings: Any) -> None:
    second = {**settings.WECHAT_OPEN["COMPONENTS"]["default"], "APPID": "wxsecond"}
    components = {**settings.WECHAT_OPEN["COMPONENTS"], "second": second}
    settings.WECHAT_OPEN = {**settings.WECHAT_OPEN, "COMPONENTS": components}


# -- failures ----------------------------------------------------------------------------------------------------------


class SiteError(AttributeError):
    """What a bug in a site's handler raises."""


@pytest.mark.django_db
@pytest.mark.parametrize("error", [OperationalError, InterfaceError, ConfigurationError])
def test_lasting_error__is_printed_once_and_again_after_it_ended(error: type[Exception]) -> None:
    moods = ["down", "down", "", "down", "slow"]

    def work(deadline: Deadline) -> str:
        mood = moods.pop(0)
        if mood:
            raise error(mood)
        return "done"

    said: list[str] = []
    loop = loop_of(Job("reconcile", work), said=said)
    outcomes = [loop.once() for _ in range(5)]

    assert said == ["* reconcile: down", "* done", "* reconcile: down", "* reconcile: slow"]
    assert outcomes == [False, False, True, False, False]


@pytest.mark.django_db
@pytest.mark.parametrize(
    "error",
    [
        SiteError("a site's bug"),
        ImproperlyConfigured("a setting"),
        MemoryError(),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"),
        EncryptionError("the key is lost"),
        ConnectionResetError("a cache"),
        SystemExit(3),
        GeneratorExit("of a site's greenlet"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_any_exception__is_logged_once_with_its_traceback_and_ends_only_this_round(
    error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    rounds = []

    def fail(deadline: Deadline) -> str:
        rounds.append(1)
        raise error

    said: list[str] = []
    loop = loop_of(Job("prune", fail), Job("announce", lambda deadline: "announced"), said=said)
    with caplog.at_level(logging.ERROR, logger="wechat_open"):
        assert not loop.once()
        assert not loop.once()

    assert said == ["* announced"] * 2
    assert len(rounds) == 2
    [record] = [record for record in caplog.records if record.name.startswith("wechat_open")]
    assert record.exc_info is not None and record.exc_info[1] is error


@pytest.mark.django_db
def test_failing_platform__keeps_no_other_from_its_work(
    wechat: Simulator, platform: Platform, second_platform: None, caplog: pytest.LogCaptureFixture
) -> None:
    def work(platform: Platform, deadline: Deadline) -> str:
        if platform.alias == "default":
            raise SiteError("a site's bug")
        return "done"

    said: list[str] = []
    assert not loop_of(Job("announce", work, ["default", "unknown", "second"]), said=said).once()

    assert said[1:] == ["second done"]
    assert said[0].startswith("unknown announce: ")
    assert "default announce failed unexpectedly" in caplog.text


def test_interrupt_that_site_code_raises__ends_only_its_round(caplog: pytest.LogCaptureFixture) -> None:
    """Ctrl-C reaches the main thread only."""
    rounds = []

    def fail(deadline: Deadline) -> str:
        rounds.append(1)
        raise KeyboardInterrupt

    job = Job("announce", fail)
    thread = threading.Thread(target=loop_of(job).once)
    thread.start()
    thread.join(WAIT)
    assert rounds == [1] and "announce failed unexpectedly" in caplog.text
    with pytest.raises(KeyboardInterrupt):
        loop_of(job).once()


def test_error_outside_of_a_job__ends_the_process_instead_of_its_thread() -> None:
    """The reader of standard output has gone, for example: no operator would see that no job runs any more."""

    def say(text: str) -> None:
        raise BrokenPipeError

    loop = Loop([Job("announce", lambda deadline: "announced")], say=say, complain=say)
    with pytest.raises(BrokenPipeError):
        loop.until(threading.Event())


# -- threads -----------------------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_jobs__wait_for_no_other_that_hangs() -> None:
    hangs, done = threading.Event(), threading.Event()

    def hang(deadline: Deadline) -> str:
        hangs.wait(WAIT)
        return ""

    def work(deadline: Deadline) -> str:
        done.set()
        return ""

    with running(loop_of(Job("announce", hang), Job("watch_health", work))):
        finished = done.wait(WAIT)
        hangs.set()
    assert finished


@pytest.mark.django_db(transaction=True)
def test_job_whose_item_does_not_return__goes_on_in_another_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "HANGING", 0.1)
    monkeypatch.setattr(runner, "LOOK_EVERY", 0.02)
    monkeypatch.setattr(runner, "HANGING_AT_MOST", 2)
    hangs, rounds = threading.Event(), []

    def hang(deadline: Deadline) -> str:
        rounds.append(threading.current_thread())
        hangs.wait(WAIT)
        return ""

    said: list[str] = []
    job = Job("announce", hang, limit=0.1)
    with override("en"), running(loop_of(job, said=said)):
        replaced = becomes_true(lambda: len(rounds) == 3)
        time.sleep(0.5)
        left = len(rounds)
        hangs.set()
        assert becomes_true(lambda: [thread for thread in rounds[:2] if thread.is_alive()] == [])
        last_one_goes_on = becomes_true(lambda: len(rounds) > 3)
    assert replaced and left == 3
    assert last_one_goes_on and set(rounds[3:]) == {rounds[2]}
    assert said == ["announce hangs and goes on in another thread. A receiver of a signal may not return."] * 2


@pytest.mark.django_db(transaction=True)
def test_renewals__go_on_while_a_receiver_of_the_site_hangs(wechat: Simulator, account: Authorizer) -> None:
    hangs, entered = threading.Event(), threading.Event()

    def receiver(**facts: Any) -> None:
        entered.set()
        hangs.wait(WAIT * 2)

    Authorizer.objects.update(needs_announcing=True, announced_epoch=0)
    signals.authorizer_authorized.connect(receiver)
    wanted = ("renew_due_tokens", "announce")
    loop = loop_of(*[job for job in all_jobs(["default"]) if job.name in wanted])
    try:
        with running(loop):
            assert entered.wait(WAIT)
            Authorizer.objects.update(next_action_at=account.access_token_obtained_at)
            renewed = becomes_true(lambda: wechat.engine.calls[REFRESH])
            hangs.set()
    finally:
        hangs.set()
        signals.authorizer_authorized.disconnect(receiver)
    assert renewed


@pytest.mark.django_db(transaction=True)
def test_renewals_of_one_platform__go_on_while_another_ones_hang(
    wechat: Simulator, platform: Platform, second_platform: None
) -> None:
    hangs, done = threading.Event(), threading.Event()

    def work(platform: Platform, deadline: Deadline) -> str:
        if platform.alias == "default":
            hangs.wait(WAIT)
        else:
            done.set()
        return ""

    jobs = [job for job in all_jobs(["default", "second"]) if job.name == runner.RENEWALS]
    for job in jobs:
        job.work = work
    with running(loop_of(*jobs)):
        finished = done.wait(WAIT)
        hangs.set()
    assert finished


@pytest.mark.django_db(transaction=True)
def test_thread__speaks_the_language_of_the_command() -> None:
    languages = []
    done = threading.Event()

    def work(deadline: Deadline) -> str:
        languages.append(get_language())
        done.set()
        return ""

    stopped = threading.Event()

    def stop() -> None:
        done.wait(WAIT)
        stopped.set()

    threading.Thread(target=stop).start()
    with override("zh-hans"):
        loop_of(Job("announce", work)).until(stopped)
    assert languages == ["zh-hans"]


@pytest.mark.django_db(transaction=True)
def test_threads__leave_no_connection_open(platform: Platform) -> None:
    used, done = [], threading.Event()

    def work(deadline: Deadline) -> str:
        Component.objects.count()
        used.append(connection.connection)
        done.set()
        return ""

    with running(loop_of(Job("announce", work))):
        assert done.wait(WAIT)
    assert used[0] is not None and used[0] is not connection.connection
    if connection.vendor != "sqlite":
        assert used[0].closed


# -- the end -----------------------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal__stops_the_loop_between_two_items(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    done = []

    def work(deadline: Deadline) -> str:
        for item in range(1000):
            if deadline.passed:
                break
            done.append(item)
            if item == 2:
                os.kill(os.getpid(), number)
                assert becomes_true(lambda: deadline.passed)
        return ""

    with stopped_by_signals() as stopped:
        loop_of(Job("reconcile", work)).until(stopped)
        assert signal.getsignal(number) == before, "a second one ends the process"
    assert done == [0, 1, 2]


@pytest.mark.django_db(transaction=True)
def test_stop__waits_no_longer_than_it_says_and_names_what_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "STOP_WITHIN", 0.2)
    hangs, entered, stopped = threading.Event(), threading.Event(), threading.Event()

    def hang(deadline: Deadline) -> str:
        entered.set()
        stopped.set()
        hangs.wait(WAIT)
        return ""

    said: list[str] = []
    began_at = time.monotonic()
    try:
        with override("en"):
            loop_of(Job("announce", hang), said=said).until(stopped)
    finally:
        hangs.set()
    assert time.monotonic() - began_at < WAIT / 2
    assert said == ["Not waited for any longer, and continued by the next process: announce"]


def test_loop__runs_outside_the_main_thread_too() -> None:
    done: list[bool] = []

    def elsewhere() -> None:
        with stopped_by_signals() as stopped:
            stopped.set()
            loop_of().until(stopped)
            done.append(True)

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join(timeout=10)
    assert done == [True]

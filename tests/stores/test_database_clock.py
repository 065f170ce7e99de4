"""A process knows the database's time, whatever its own clock says."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

import pytest
from django.db import OperationalError, connection

from wechat_open.models import Component
from wechat_open.ports import Timing
from wechat_open.stores.database_clock import READ_EVERY, RETRY_AFTER, DatabaseClock

Later = Callable[[timedelta], None]


@dataclass
class Host:
    """The clocks of a host; that on the wall is ``wrong`` by so many seconds."""

    passed: float = 0.0
    wrong: float = 0.0

    def timing(self) -> Timing:
        began = datetime.now(timezone.utc).timestamp()
        return Timing(monotonic=lambda: 1000 + self.passed, wall=lambda: began + self.passed + self.wrong)


class Queries:
    """Counts the statements, and refuses them while the database is ``down``."""

    def __init__(self) -> None:
        self.count = 0
        self.down = False

    def __call__(self, execute: Callable[..., object], *args: object) -> object:
        self.count += 1
        if self.down:
            raise OperationalError
        return execute(*args)


@pytest.fixture
def host() -> Host:
    return Host()


@pytest.fixture
def clock(host: Host, db: None) -> DatabaseClock:
    Component.objects.create(appid="wx1")
    return DatabaseClock(host.timing())


def error_of(clock: DatabaseClock) -> float:
    return abs((clock.now() - datetime.now(timezone.utc)).total_seconds())


@pytest.mark.parametrize("wrong", [3600, -3600])
@pytest.mark.fault("F39")
def test_host_that_is_wrong_from_the_beginning__gives_the_databases_time(
    clock: DatabaseClock, host: Host, wrong: float
) -> None:
    host.wrong = wrong
    assert error_of(clock) < 30


@pytest.mark.parametrize("jump", [3600, -3600])
@pytest.mark.fault("F39")
def test_host_whose_clock_jumps__gives_the_databases_time(clock: DatabaseClock, host: Host, jump: float) -> None:
    clock.now()
    host.wrong = jump
    assert error_of(clock) < 30


def test_reading__lasts_for_minutes(clock: DatabaseClock, host: Host) -> None:
    queries = Queries()
    with connection.execute_wrapper(queries):
        first = clock.now()
        host.passed = READ_EVERY - 1
        assert clock.now() - first == timedelta(seconds=READ_EVERY - 1)
        assert queries.count == 1
        host.passed = READ_EVERY + 1
        clock.now()
        assert queries.count == 2


def test_database_whose_clock_is_set__is_followed(clock: DatabaseClock, host: Host, later: Later) -> None:
    clock.now()
    later(timedelta(hours=1))
    host.passed = READ_EVERY + 1
    ahead = clock.now() - datetime.now(timezone.utc)
    assert timedelta(minutes=59) < ahead < timedelta(minutes=61)


def test_machine_that_was_suspended__reads_again(clock: DatabaseClock, host: Host, later: Later) -> None:
    """Its monotonic clock did not count, and the one on the wall is right again."""
    clock.now()
    later(timedelta(hours=2))
    host.wrong = 7200
    assert clock.now() - datetime.now(timezone.utc) > timedelta(minutes=119)


def test_database_that_is_down__leaves_what_was_read(clock: DatabaseClock, host: Host) -> None:
    clock.now()
    queries = Queries()
    queries.down = True
    host.wrong, host.passed = -3600, READ_EVERY + 1
    with connection.execute_wrapper(queries):
        for _ in range(3):
            ahead = clock.now() - datetime.now(timezone.utc)
            assert READ_EVERY - 30 < ahead.total_seconds() < READ_EVERY + 30
        assert queries.count == 1  # it is not asked by every message
        host.passed += RETRY_AFTER
        clock.now()
        assert queries.count == 2


def test_database_that_was_never_reached__leaves_the_hosts_clock(clock: DatabaseClock, host: Host) -> None:
    queries = Queries()
    queries.down = True
    host.wrong = 60
    with connection.execute_wrapper(queries):
        assert 30 < (clock.now() - datetime.now(timezone.utc)).total_seconds() < 90

    host.passed = RETRY_AFTER
    host.wrong = 3600
    assert error_of(clock) < 30


def test_estimate__makes_no_query(clock: DatabaseClock) -> None:
    queries = Queries()
    with connection.execute_wrapper(queries):
        assert abs((clock.estimate() - datetime.now(timezone.utc)).total_seconds()) < 30
    assert queries.count == 0


def test_thread_that_reads__does_not_keep_the_others(clock: DatabaseClock, host: Host) -> None:
    """The database may hang."""
    clock.now()
    host.passed = READ_EVERY + 1
    answers: list[datetime] = []

    def hang(execute: Callable[..., object], *args: object) -> object:
        another = threading.Thread(target=lambda: answers.append(clock.now()))
        another.start()
        another.join(5)
        return execute(*args)

    with connection.execute_wrapper(hang):
        clock.now()
    assert len(answers) == 1

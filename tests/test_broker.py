"""Workers are woken, and a failing broker does no harm."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from celery import Celery
from kombu.transport.memory import Transport

from tests.celery_app import app
from tests.redis_stand_in import StandIn
from wechat_open import broker

TASK = "wechat_open.tasks.process_push"


@pytest.fixture(autouse=True)
def _fresh_broker() -> Iterator[None]:
    """No failure of another test is remembered, and its messages are gone."""
    broker.forget()
    app.control.purge()
    yield
    app.control.purge()


@pytest.fixture
def dead_broker() -> Iterator[Celery]:
    """A broker at an address where no server listens."""
    dead = Celery("dead", broker="amqp://guest:canary-password@127.0.0.1:1//")
    dead.set_current()
    yield dead
    app.set_current()


def queued() -> list[Any]:
    """The messages in the queue."""
    messages = []
    with app.connection_for_read() as connection, connection.SimpleQueue("celery") as queue:
        while queue.qsize():
            message = queue.get(timeout=1)
            message.ack()
            messages.append(message)
    return messages


def test_task__is_sent_by_its_name() -> None:
    assert broker.send_task(TASK, 7)

    (message,) = queued()
    assert message.headers["task"] == TASK
    assert message.payload[0] == [7]


def test_site_that_runs_the_command__sends_no_task(settings: Any) -> None:
    settings.WECHAT_OPEN = {**settings.WECHAT_OPEN, "WORKER": "run"}
    assert not broker.send_task(TASK, 7)
    assert broker.connector(1) is None
    assert queued() == []


def test_message__expires_before_many_pile_up() -> None:
    broker.send_task(TASK, 7)

    headers = queued()[0].headers
    assert headers["expires"] is not None
    assert headers["ignore_result"] is True


def test_dead_broker__is_logged_and_not_raised(dead_broker: Celery, caplog: pytest.LogCaptureFixture) -> None:
    started = time.monotonic()

    assert not broker.send_task(TASK, 7)
    assert time.monotonic() - started < 1
    assert "OperationalError" in caplog.text
    assert "canary" not in caplog.text


def test_broker_with_a_second_host__is_reached_there() -> None:
    two_hosts = Celery("two", broker="amqp://guest@127.0.0.1:1//;memory://")
    two_hosts.set_current()
    try:
        assert broker.send_task(TASK, 7)
    finally:
        app.set_current()


def test_eager_tasks__need_no_broker(dead_broker: Celery) -> None:
    done = []
    dead_broker.conf.task_always_eager = True

    @dead_broker.task(name="eager")
    def eager(number: int) -> None:
        done.append(number)

    assert broker.send_task("eager", 7)
    assert done == [7]


def test_dead_broker__is_not_tried_again_for_a_while(dead_broker: Celery) -> None:
    broker.send_task(TASK, 7)
    app.set_current()  # it is back, and not tried yet

    assert not broker.send_task(TASK, 7)
    assert queued() == []


def test_broker_that_is_back__is_used_again(dead_broker: Celery, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(broker, "RETRY_AFTER", 0.0)
    broker.send_task(TASK, 7)
    app.set_current()

    assert broker.send_task(TASK, 7)
    assert len(queued()) == 1


def test_what_cannot_be_sent__is_logged_and_not_raised() -> None:
    assert not broker.send_task(TASK, object())


def url_of(redis: StandIn) -> str:
    return redis.url.partition("?")[0]  # kombu knows no "protocol"


class TestBrokerThatHangs:
    """A caller waits a second at most, and once: a callback has five, and WeChat repeats what is not answered."""

    @pytest.fixture
    def silent(self) -> Iterator[StandIn]:
        """A broker that accepts connections and never answers."""
        redis = StandIn()
        redis.silent = True
        yield redis
        redis.stop()

    @staticmethod
    def use(celery: Celery) -> Celery:
        celery.set_current()
        celery.set_default()  # for other threads
        return celery

    @pytest.fixture(autouse=True)
    def _own_app(self) -> Iterator[None]:
        yield
        app.set_default()
        app.set_current()

    def sent(self) -> tuple[bool, float]:
        """Whether a task was sent, and after how many seconds."""
        began = time.monotonic()
        return broker.send_task(TASK, 7), time.monotonic() - began

    def threads(self) -> int:
        return sum(thread.name == "wechat_open-broker" for thread in threading.enumerate())

    def test_first_task__costs_a_second_and_the_next_nothing(self, silent: StandIn) -> None:
        self.use(Celery("silent", broker=url_of(silent)))

        sent, seconds = self.sent()
        assert not sent
        assert seconds < 1
        sent, seconds = self.sent()
        assert not sent
        assert seconds < 0.05

    def test_eight_at_once__cost_a_second_each(self, silent: StandIn) -> None:
        self.use(Celery("silent", broker=url_of(silent)))

        with ThreadPoolExecutor(8) as callers:
            outcomes = list(callers.map(lambda _: self.sent(), range(8)))

        assert not any(sent for sent, _ in outcomes)
        assert max(seconds for _, seconds in outcomes) < 1.2

    def test_later_tries__are_those_of_one_caller_and_pile_up_no_threads(
        self, silent: StandIn, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(broker, "ANSWER_WITHIN", 0.1)
        self.use(Celery("silent", broker=url_of(silent)))
        self.sent()
        monkeypatch.setattr(broker, "RETRY_AFTER", 0.15)
        for _ in range(8):
            time.sleep(0.16)
            with ThreadPoolExecutor(8) as callers:
                outcomes = list(callers.map(lambda _: self.sent(), range(8)))
            assert sum(seconds > 0.05 for _, seconds in outcomes) <= 1

        assert self.threads() <= broker.MAX_THREADS

    def test_broker_that_answers_again__is_used_though_threads_met_it_silent(
        self, silent: StandIn, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Their connections end by themselves."""
        monkeypatch.setattr(broker, "RETRY_AFTER", 0.0)
        monkeypatch.setattr(broker, "ANSWER_WITHIN", 0.1)
        monkeypatch.setattr(broker, "SOCKET_TIMEOUT", 0.2)
        self.use(Celery("silent", broker=url_of(silent)))
        for _ in range(broker.MAX_THREADS + 1):
            assert not broker.send_task(TASK, 7)

        app.set_default()
        app.set_current()
        monkeypatch.setattr(broker, "ANSWER_WITHIN", 0.9)
        ends_at = time.monotonic() + 20
        while not broker.send_task(TASK, 7) and time.monotonic() < ends_at:
            time.sleep(0.1)
        assert len(queued()) == 1

    def test_broker_that_falls_silent_on_an_open_connection__costs_a_second(self) -> None:
        redis = StandIn()
        self.use(Celery("falls silent", broker=url_of(redis)))
        assert self.sent()[0]

        redis.silent = True
        sent, seconds = self.sent()
        assert not sent
        assert seconds < 1
        redis.stop()

    def test_connection_that_the_broker_has_closed__is_replaced(self) -> None:
        """It restarts, or a firewall ends idle connections."""
        redis = StandIn()
        self.use(Celery("restarted", broker=url_of(redis)))
        assert self.sent()[0]

        redis.hang_up()
        assert self.sent()[0]
        redis.stop()

    def test_whatever_hangs__costs_a_second(self) -> None:
        """A name server, for one."""
        celery = self.use(Celery("hangs", broker_transport=f"{__name__}:Hanging"))
        assert celery.connection_for_write().transport.driver_type == "memory"

        sent, seconds = self.sent()
        Hanging.answers.set()
        assert not sent
        assert seconds < 1

    def test_task_that_was_given_up__is_not_sent_afterwards(self) -> None:
        self.use(Celery("hangs", broker_transport=f"{__name__}:Hanging"))
        Hanging.answers.clear()
        assert not broker.send_task(TASK, 7)

        Hanging.answers.set()
        time.sleep(0.2)
        assert queued() == []

    def test_two_tasks_of_one_callback__have_one_deadline(
        self, silent: StandIn, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(broker, "RETRY_AFTER", 0.0)
        self.use(Celery("silent", broker=url_of(silent)))
        began = time.monotonic()
        ends_at = began + 0.3

        assert not broker.send_task(TASK, 7, ends_at=ends_at)
        assert not broker.send_task(TASK, 8, ends_at=ends_at)
        assert time.monotonic() - began < 0.5

    def test_connector__ends_by_itself(self, silent: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
        """The doctor waits for it, and to the health checks a broker is silent for as long as their thread hangs."""
        monkeypatch.setattr(broker, "SOCKET_TIMEOUT", 0.2)
        self.use(Celery("silent", broker=url_of(silent)))
        connect = broker.connector(0.5)
        assert connect is not None

        began = time.monotonic()
        with pytest.raises(Exception, match="Timeout"):
            connect()
        assert time.monotonic() - began < 10


class Hanging(Transport):
    """Does not connect until it ``answers``."""

    answers = threading.Event()

    def establish_connection(self) -> Any:
        self.answers.wait(10)
        return super().establish_connection()

"""The demo's story with real services, and with web, worker and beat as separate processes.

Each run makes a database of its own, starts the example project as a deployment would, with nothing but environment
variables, tells ``example_project.story`` and puts everything away again.
"""

from __future__ import annotations

import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import pytest

from tests import database_url

pytestmark = [pytest.mark.services, pytest.mark.slow]

CHECKOUT = Path(__file__).resolve().parents[2]
REDIS_CACHE, REDIS_BROKER = 9, 10
"""Redis's databases; tests/services.py empties 0 to 8 for the rest of the suite."""


@pytest.mark.parametrize(
    ("database", "broker"), [("PostgreSQL", "RabbitMQ"), ("MariaDB", "Redis")], ids=["postgresql", "mariadb"]
)
def test_the_story_comes_true_with_separate_processes(
    database: str, broker: str, service_urls: dict[str, str], tmp_path: Path
) -> None:
    with ExitStack() as parts:
        run = f"story_{secrets.token_hex(4)}"
        site, simulator = (f"http://127.0.0.1:{port}" for port in free_ports(2))
        environment = {
            **{name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"},
            "DEBUG": "1",  # the simulator speaks http
            "SECRET_KEY": secrets.token_urlsafe(50),
            "SITE_URL": site,
            "DATABASE_URL": parts.enter_context(a_database(service_urls[database], f"test_{run}")),
            "REDIS_URL": redis_database(service_urls["Redis"], REDIS_CACHE),
            "CELERY_BROKER_URL": parts.enter_context(a_broker(broker, service_urls, run)),
            "WECHAT_APPID": f"wx{secrets.token_hex(8)}",
            "WECHAT_APPSECRET": secrets.token_hex(16),
            "WECHAT_TOKEN": secrets.token_hex(16),
            "WECHAT_ENCODING_AES_KEY": secrets.token_hex(22)[:42] + "A",
            "WECHAT_API_BASE_URL": simulator,
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
            "PYTHONUNBUFFERED": "1",
        }
        place = tmp_path / "elsewhere"
        place.mkdir()

        def start(name: str, *command: str) -> None:
            parts.enter_context(a_process(tmp_path / f"{name}.log", [sys.executable, *command], environment, place))

        manage = str(CHECKOUT / "example_project" / "manage.py")
        done(run_in(environment, place, manage, "migrate", "--verbosity", "0"), tmp_path)
        port = str(urlsplit(simulator).port)
        start("simulator", "-m", "wechat_open.simulator", "--port", port, "--callback", f"{site}/wechat/")
        start("web", manage, "runserver", "--noreload", urlsplit(site).netloc)
        celery = ("-m", "celery", "--app", "example_project")
        start("worker", *celery, "worker", "--concurrency", "2", "--loglevel", "INFO")
        start("beat", *celery, "beat", "--loglevel", "INFO", "--pidfile", "")
        until(lambda: answers(f"{site}/") and answers(f"{simulator}/"), tmp_path)

        process = run_in(
            environment, place, "-m", "example_project.story", "--site", site, "--simulator", simulator, timeout=420
        )
        done(process, tmp_path)


def done(result: subprocess.CompletedProcess[str], logs: Path) -> None:
    assert result.returncode == 0, result.stdout + result.stderr + tails(logs)


def tails(logs: Path) -> str:
    return "".join(
        f"\n--- {log.name}\n" + "\n".join(log.read_text(errors="replace").splitlines()[-40:])
        for log in sorted(logs.glob("*.log"))
    )


def run_in(
    environment: dict[str, str], place: Path, *command: str, timeout: float = 120
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *command],
        env=environment,
        cwd=place,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


@contextmanager
def a_process(log: Path, command: list[str], environment: dict[str, str], place: Path) -> Iterator[None]:
    """Started in a session of its own, so that what it starts ends with it."""
    with log.open("w") as out:
        process = subprocess.Popen(
            command, env=environment, cwd=place, stdout=out, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        yield
    finally:
        for how in (signal.SIGTERM, signal.SIGKILL):
            if process.poll() is None or how is signal.SIGKILL:
                try:
                    os.killpg(process.pid, how)
                except ProcessLookupError:
                    break
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                continue


@contextmanager
def a_database(server: str, name: str) -> Iterator[str]:
    """An empty database on this server, dropped afterwards."""
    entry = database_url.parse(server)
    mysql = entry["ENGINE"].endswith("mysql")
    execute = in_mariadb if mysql else in_postgres
    execute(server, f"CREATE DATABASE {name}{' CHARACTER SET utf8mb4' if mysql else ''}")
    try:
        yield database_url.write({**entry, "NAME": name})
    finally:
        execute(server, f"DROP DATABASE {name}{'' if mysql else ' WITH (FORCE)'}")


def in_postgres(server: str, statement: str) -> None:
    import psycopg

    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(statement)  # type: ignore[arg-type]


def in_mariadb(server: str, statement: str) -> None:
    import MySQLdb

    entry = database_url.parse(server)
    connection = MySQLdb.connect(
        host=entry["HOST"], port=int(entry["PORT"] or 3306), user=entry["USER"], password=entry["PASSWORD"]
    )
    try:
        connection.cursor().execute(statement)
    finally:
        connection.close()


def redis_database(server: str, number: int) -> str:
    return urlunsplit(urlsplit(server)._replace(path=f"/{number}"))


@contextmanager
def a_broker(name: str, service_urls: dict[str, str], run: str) -> Iterator[str]:
    """A broker without messages of other runs."""
    if name == "RabbitMQ":
        yield from a_clean_queue(service_urls["RabbitMQ"])
    else:
        yield from a_clean_redis(redis_database(service_urls["Redis"], REDIS_BROKER))


def a_clean_queue(url: str) -> Iterator[str]:
    import kombu

    def purge() -> None:
        with kombu.Connection(url) as connection:
            try:
                connection.default_channel.queue_delete("celery")
            except connection.channel_errors:
                return

    purge()
    yield url
    purge()


def a_clean_redis(url: str) -> Iterator[str]:
    import redis

    def flush() -> None:
        for address in (url, redis_database(url, REDIS_CACHE)):
            with redis.Redis.from_url(address) as server:
                server.flushdb()

    flush()
    yield url
    flush()


def free_ports(count: int) -> list[int]:
    with ExitStack() as sockets:
        found = [sockets.enter_context(socket.socket()) for _ in range(count)]
        for one in found:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in found]


def until(ready: Callable[[], bool], logs: Path, seconds: float = 60) -> None:
    ends_at = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < ends_at, "The processes did not come up." + tails(logs)
        time.sleep(0.2)


def answers(url: str) -> bool:
    try:
        urllib.request.urlopen(url, timeout=5).close()
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True

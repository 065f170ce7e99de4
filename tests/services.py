"""The same tests on the servers that sites really use.

``python -m tests.services`` (``tox -e services``) asks PostgreSQL, MariaDB, Redis and RabbitMQ whether they answer, and
fails with the name of each that does not and the command that starts it. A test starts pgbouncer itself: here it need
only be installed. Then it runs the tests that are marked ``services``, and once more, on each database server together
with Redis, those that use a database. Nothing is skipped. With ``--chaos`` (``tox -e chaos``) it runs what takes
long: what stops processes for minutes, the slow tests on PostgreSQL, the story in separate processes, 100,000 accounts.

They make databases of their own, whose names begin with ``test_``, and empty Redis's databases 0 to 10.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests import database_url

CHECKOUT = Path(__file__).resolve().parent.parent
PURE = [
    "tests/checks",
    "tests/console",
    "tests/example",
    "tests/integration/test_canary.py",
    "tests/messaging/test_processes.py",
    "tests/protocol",
    "tests/simulator",
    "tests/testing",
    "tests/themes",
    "tests/test_architecture.py",
    "tests/client",
    "tests/test_conf.py",
    "tests/test_docs.py",
    "tests/test_faults.py",
    "tests/doctor/test_doctor.py",
    "tests/contrib/test_host_cache.py",
    "tests/test_middleware.py",
    "tests/test_package.py",
    "tests/doctor/test_rehearsal.py",
    "tests/test_translations.py",
    "tests/test_walk.py",
    "tests/test_wording.py",
    "tests/simulation/test_crashes.py",
    "tests/simulation/test_machine.py",
    "tests/simulation/test_seeds.py",
]
"""They touch no database and no cache, bring their own, or ask nothing of it that others do not ask: SQLite's run has
is enough."""

ORDINARY = [
    "tests/api",
    "tests/contrib",
    "tests/management",
    "tests/messaging",
    "tests/views",
    "tests/test_text.py",
]
"""Their statements are ordinary: PostgreSQL's run is enough."""

QUICK = "not services and not browser and not wheel and not chaos and not slow"
"""What dies where is the same on both servers, and on SQLite: the slow tests meet PostgreSQL with ``--chaos``."""

STORY = "tests/integration/test_story_services.py"
"""Alone on the machine: its tokens live for seconds."""

SCALE = "tests/console/test_scale.py"
"""On PostgreSQL, whose plans it reads; its 100,000 accounts are made once."""


PARALLEL = ["-n", "auto", "--maxprocesses", "8"]


@dataclass(frozen=True)
class Service:
    name: str
    variable: str
    default: str
    ask: Callable[[str], None]
    start: str

    @property
    def url(self) -> str:
        return os.environ.get(self.variable) or self.default

    @property
    def place(self) -> str:
        """The URL without its user and password."""
        return re.sub(r"//[^/@]*@", "//", self.url)


def ask_postgres(url: str) -> None:
    import psycopg

    psycopg.connect(url, connect_timeout=5).close()


def ask_mariadb(url: str) -> None:
    import MySQLdb

    entry = database_url.parse(url)
    MySQLdb.connect(
        host=entry["HOST"],
        port=int(entry["PORT"] or 3306),
        user=entry["USER"],
        password=entry["PASSWORD"],
        connect_timeout=5,
    ).close()


def ask_redis(url: str) -> None:
    import redis

    with redis.Redis.from_url(url, socket_connect_timeout=5) as server:
        server.ping()


def ask_rabbitmq(url: str) -> None:
    import kombu

    with kombu.Connection(url, connect_timeout=5) as connection:
        connection.connect()


SERVICES = [
    Service(
        name="PostgreSQL",
        variable="WECHAT_TEST_POSTGRES_URL",
        default="postgres://postgres@127.0.0.1:5432/postgres",
        ask=ask_postgres,
        start="pg_ctlcluster --skip-systemctl-redirect $(ls /etc/postgresql) main start",
    ),
    Service(
        name="MariaDB",
        variable="WECHAT_TEST_MARIADB_URL",
        default="mysql://root@127.0.0.1:3306/test",
        ask=ask_mariadb,
        start="start-stop-daemon --start --oknodo --background --exec /usr/sbin/mariadbd",
    ),
    Service(
        name="Redis",
        variable="WECHAT_TEST_REDIS_URL",
        default="redis://127.0.0.1:6379/0",
        ask=ask_redis,
        start='redis-server --daemonize yes --bind 127.0.0.1 -::1 --port 6379 --save "" --appendonly no',
    ),
    Service(
        name="RabbitMQ",
        variable="WECHAT_TEST_RABBITMQ_URL",
        default="amqp://guest:guest@127.0.0.1:5672//",
        ask=ask_rabbitmq,
        start="rabbitmq-server -detached",
    ),
]


def pgbouncer() -> str | None:
    """The program, which a test starts on its own in front of PostgreSQL."""
    return shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")


def check() -> bool:
    """Ask each one; say what is missing, where it was looked for and how to start it."""
    complete = pgbouncer() is not None
    if not complete:
        print("pgbouncer is not installed\n    install it: apt-get install pgbouncer")
    for service in SERVICES:
        try:
            service.ask(service.url)
        except Exception as error:  # noqa: BLE001 - whatever a driver raises, the answer is the same
            complete = False
            print(f"{service.name} does not answer at {service.place}: {str(error).strip() or type(error).__name__}")
            print(f"    start it:   {service.start}")
            print(f"    or name another one in {service.variable}")
        else:
            print(f"{service.name} answers at {service.place}")
    return complete


def pytest(title: str, *arguments: str, **environment: str) -> bool:
    """Whether one run of the suite passes."""
    print(f"\n{title}: pytest {' '.join(arguments)}", flush=True)
    started = time.monotonic()
    result = subprocess.run(
        # The script, not `python -m pytest`: that one would put the checkout before the installed package.
        [str(Path(sys.executable).with_name("pytest")), "-o", "pythonpath=", *arguments],
        cwd=CHECKOUT,
        env={**os.environ, **{service.variable: service.url for service in SERVICES}, **environment},
        check=False,
    )
    print(f"{title}: {'passed' if result.returncode == 0 else 'FAILED'} in {time.monotonic() - started:.0f} s")
    return result.returncode == 0


def run(*chosen: str) -> bool:
    postgres, mariadb, redis, _ = (service.url for service in SERVICES)
    anywhere = [*PARALLEL, *(f"--ignore={path}" for path in PURE), *chosen]
    ordinary = [f"--ignore={path}" for path in ORDINARY]
    return (
        pytest(
            "The services themselves", "-m", "services", f"--ignore={STORY}", f"--ignore={SCALE}", *PARALLEL, *chosen
        )
        and pytest("PostgreSQL and Redis", "-m", QUICK, *anywhere, DATABASE_URL=postgres, REDIS_URL=redis)
        and pytest("MariaDB and Redis", "-m", QUICK, *anywhere, *ordinary, DATABASE_URL=mariadb, REDIS_URL=redis)
    )


def run_chaos(*chosen: str) -> bool:
    postgres, _, redis, _ = (service.url for service in SERVICES)
    pure = [f"--ignore={path}" for path in PURE]
    return (
        pytest("Chaos", "-m", "chaos", *PARALLEL, *chosen, DATABASE_URL=postgres)
        and pytest("Slow", "-m", "slow", *PARALLEL, *pure, *chosen, DATABASE_URL=postgres, REDIS_URL=redis)
        and pytest("Separate processes", "-m", "services", STORY, *chosen)
        and pytest("100,000 accounts", "-m", "services", SCALE, *chosen, DATABASE_URL=postgres, REDIS_URL=redis)
    )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--chaos"]:
        sys.exit(not (check() and run_chaos(*sys.argv[2:])))
    if sys.argv[1:] == ["--check"]:
        sys.exit(not check())
    sys.exit(not (check() and run(*sys.argv[1:])))

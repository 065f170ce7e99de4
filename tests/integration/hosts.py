"""A site on several hosts: the services that all of them reach through a network, and the processes on each."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.integration.network import Forwarder, Network, running, to_loopback, until
from wechat_open.simulator import Simulator

CHECKOUT = Path(__file__).resolve().parents[2]
TOKEN_LIFE = 120

POSTGRES, REDIS, RABBITMQ, WECHAT = 5432, 6379, 5672, 8001
"""Ports at the services' address, where nothing else listens."""

NOTICE_LOST_HOSTS = [
    "ALTER ROLE postgres SET tcp_keepalives_idle = 10",
    "ALTER ROLE postgres SET tcp_keepalives_interval = 5",
    "ALTER ROLE postgres SET tcp_keepalives_count = 3",
    "ALTER ROLE postgres SET tcp_user_timeout = 25000",
]
"""As docs/operations.rst says."""

REFRESH = "/cgi-bin/component/api_authorizer_token"

Times = list[tuple[float, str]]
"""When something happened, in this process's time, and the host that did it."""


@dataclass
class Heard:
    """What the services heard from each host, in the order of time."""

    refreshes: Times = field(default_factory=list)
    exchanges: Times = field(default_factory=list)
    """Codes of new grants: work that follows a push, for whichever worker RabbitMQ hands it to."""
    beats: Times = field(default_factory=list)

    def by_wechat(self, host: str, data: bytes) -> None:
        if b"authorizer_refresh_token" in data:
            self.refreshes.append((time.monotonic(), host))
        if b"authorization_code" in data:
            self.exchanges.append((time.monotonic(), host))

    def by_rabbitmq(self, host: str, data: bytes) -> None:
        if b"wechat_open.tasks.renew_due_tokens" in data:
            self.beats.append((time.monotonic(), host))


class Site:
    """The services, WeChat, and the processes of both hosts."""

    def __init__(self, parts: ExitStack, network: Network, rabbitmq: str, place: Path) -> None:
        self.parts, self.network, self.place = parts, network, place
        self.address = network.services
        self.wechat = parts.enter_context(Simulator(rotation="strict", token_life=TOKEN_LIFE))
        self.database = self._postgres()
        self._redis()
        self.heard = Heard()
        self._names = {address: host for host, address in network.hosts.items()}
        broker = urlsplit(rabbitmq)
        self._forward(RABBITMQ, broker.port or 5672, pass_on=self._to_rabbitmq)
        self._forward(WECHAT, urlsplit(self.wechat.url).port or 0, pass_on=self._to_wechat)
        login = broker.netloc.rpartition("@")[0]
        settings = self.wechat.engine.settings
        self.environment = {
            **{name: value for name, value in os.environ.items() if name != "COVERAGE_PROCESS_START"},
            "DJANGO_SETTINGS_MODULE": "tests.integration.host_settings",
            "DEBUG": "1",  # the simulator speaks http
            "DATABASE_URL": self.database,
            "REDIS_URL": f"redis://{self.address}:{REDIS}/0",
            "CELERY_BROKER_URL": f"amqp://{login}@{self.address}:{RABBITMQ}//",
            "QUEUE": network.name,  # RabbitMQ is shared with others
            "WECHAT_APPID": settings.appid,
            "WECHAT_APPSECRET": settings.appsecret,
            "WECHAT_TOKEN": settings.token,
            "WECHAT_ENCODING_AES_KEY": settings.encoding_aes_key,
            "WECHAT_API_BASE_URL": f"http://{self.address}:{WECHAT}",
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
            "PYTHONUNBUFFERED": "1",
        }
        parts.callback(self._delete_queue, rabbitmq)

    def manage(self, *arguments: str) -> str:
        """Run a command beside the services; what it prints."""
        result = self.python(str(CHECKOUT / "example_project" / "manage.py"), *arguments)
        return result.stdout + result.stderr

    def python(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        result = subprocess.run(
            [sys.executable, *arguments],
            env=self.environment,
            cwd=self.place,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert result.returncode == 0, result.stdout + result.stderr
        return result

    def celery(self, host: str, *command: str) -> subprocess.Popen[bytes]:
        """Start Celery's worker or beat on a host."""
        program = self.network.inside(host, sys.executable, "-m", "celery", "--app", "example_project", *command)
        log = self.place / f"{command[0]}-{host}.log"
        return self.parts.enter_context(running(program, log, self.environment, self.place))

    def web(self) -> None:
        """Start the web process, beside the services: WeChat pushes to the loopback only."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            address = f"127.0.0.1:{free.getsockname()[1]}"
        manage = str(CHECKOUT / "example_project" / "manage.py")
        command = [sys.executable, manage, "runserver", "--noreload", address]
        self.parts.enter_context(running(command, self.place / "web.log", self.environment, self.place))
        self.wechat.callback = f"http://{address}/wechat/"

    def _to_wechat(self, address: str, data: bytes) -> bytes:
        self.heard.by_wechat(self._names.get(address, ""), data)
        return to_loopback(data)

    def _to_rabbitmq(self, address: str, data: bytes) -> bytes:
        self.heard.by_rabbitmq(self._names.get(address, ""), data)
        return data

    def _forward(self, port: int, target: int, **more: Any) -> None:
        self.parts.callback(Forwarder(self.address, port, target, **more).close)

    def _postgres(self) -> str:
        """A server that listens at the services' address, and refuses to run as root."""
        places = os.pathsep.join([os.environ["PATH"], *map(str, Path("/usr/lib/postgresql").glob("*/bin"))])
        data = Path(tempfile.mkdtemp(prefix="wechat_open-postgres-"))
        self.parts.callback(shutil.rmtree, data, ignore_errors=True)
        owner = pwd.getpwnam("postgres")
        os.chown(data, owner.pw_uid, owner.pw_gid)
        subprocess.run(
            [str(shutil.which("initdb", path=places)), "-D", str(data), "-A", "trust", "--no-sync"],
            user="postgres",
            group="postgres",
            cwd=data,
            check=True,
            capture_output=True,
        )
        with (data / "pg_hba.conf").open("a") as rules:
            rules.write("host all all 198.18.0.0/15 trust\n")
        options = {"listen_addresses": self.address, "port": POSTGRES, "unix_socket_directories": "", "fsync": "off"}
        command = [str(shutil.which("postgres", path=places)), "-D", str(data)]
        command += [f"--{name}={value}" for name, value in options.items()]
        self.parts.enter_context(running(command, self.place / "postgres.log", dict(os.environ), data, "postgres"))
        url = f"postgres://postgres@{self.address}:{POSTGRES}/postgres"
        until(lambda: _connects(url), 30, "PostgreSQL answers")
        return url

    def notice_lost_hosts(self) -> None:
        import psycopg

        with psycopg.connect(self.database) as connection:
            for statement in NOTICE_LOST_HOSTS:
                connection.execute(statement)

    def _redis(self) -> None:
        command = [str(shutil.which("redis-server")), "--bind", self.address, "--port", str(REDIS)]
        command += ["--save", "", "--appendonly", "no", "--protected-mode", "no"]
        self.parts.enter_context(running(command, self.place / "redis.log", dict(os.environ), self.place))

    def _delete_queue(self, rabbitmq: str) -> None:
        import kombu

        with kombu.Connection(rabbitmq) as connection:
            connection.default_channel.queue_delete(self.environment["QUEUE"])


def _connects(url: str) -> bool:
    import psycopg

    try:
        psycopg.connect(url, connect_timeout=2).close()
    except psycopg.OperationalError:
        return False
    return True

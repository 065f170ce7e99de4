"""Behind pgbouncer in transaction mode, which lends a session for one transaction, nothing is kept in a session.

Asked on PostgreSQL only, with a pgbouncer that the test starts: two connections to the server for everybody.
"""

from __future__ import annotations

import os
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import pytest
from django.db import OperationalError, connection, connections, transaction

from tests.services import pgbouncer
from tests.stage import OFFICIAL
from wechat_open import api, tokens
from wechat_open.db.chunks import in_chunks
from wechat_open.exceptions import TokenUnavailable
from wechat_open.models import Authorizer
from wechat_open.platforms import Platform
from wechat_open.simulator import Simulator

USERS = "/cgi-bin/user/get"
LONG_AGO = "2026-01-01T00:00Z"
MANY = 20

CONFIGURATION = """
[databases]
* = {server}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {own_port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 2
"""

_T = TypeVar("_T")


def in_client(work: Callable[[], _T]) -> _T:
    """Run ``work`` in a thread, whose connection is a new one: through pgbouncer."""

    def run() -> _T:
        try:
            return work()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(1) as thread:
        return thread.submit(run).result(120)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def lock_timeouts() -> list[str]:
    """What the two sessions of the server have: both are in a transaction at the same moment."""
    both = threading.Barrier(2)

    def ask() -> str:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SHOW lock_timeout")
            both.wait(30)
            return str(cursor.fetchone()[0])

    with ThreadPoolExecutor(2) as threads:
        return sorted(future.result(60) for future in [threads.submit(in_client, ask) for _ in range(2)])


if connection.vendor == "postgresql":
    pytestmark = pytest.mark.django_db(transaction=True)

    @pytest.fixture(autouse=True)
    def bouncer(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
        """From now on, new connections go through pgbouncer; this thread has its own already."""
        program = pgbouncer()
        assert program is not None, "There is no pgbouncer here: apt-get install pgbouncer."
        server = connection.settings_dict
        named = {name.lower(): server[name] for name in ("HOST", "PORT", "USER", "PASSWORD") if server[name]}
        own_port = free_port()
        file = tmp_path / "pgbouncer.ini"
        parts = " ".join(f"{name}='{value}'" for name, value in named.items())
        file.write_text(CONFIGURATION.format(server=parts, own_port=own_port))
        user = ["-u", "nobody"] if os.geteuid() == 0 else []  # it refuses to run as root
        process = subprocess.Popen([program, "-q", *user, str(file)])
        try:
            entry = {**server, "HOST": "127.0.0.1", "PORT": str(own_port)}
            monkeypatch.setitem(connections.settings, "default", entry)
            ends_at = time.monotonic() + 20
            while not in_client(answers):
                assert process.poll() is None, "pgbouncer has ended"
                assert time.monotonic() < ends_at, "pgbouncer does not answer"
                time.sleep(0.1)
            yield
        finally:
            process.terminate()
            process.wait(20)

    def answers() -> bool:
        try:
            connection.ensure_connection()
        except OperationalError:
            return False
        return True

    @pytest.fixture
    def expired(wechat: Simulator, platform: Platform, account: Authorizer, settings: Any) -> None:
        settings.WECHAT_OPEN = settings.WECHAT_OPEN | {"TOKEN_WAIT": 10, "RENEWAL_THREADS": 4}
        Authorizer.objects.update(access_token_expires_at=LONG_AGO, next_action_at=LONG_AGO)

    def test_what_a_session_keeps__is_seen_by_strangers() -> None:
        """This is what the other tests rely on, and why nothing may be kept there."""

        def set_it() -> None:
            with connection.cursor() as cursor:
                cursor.execute("SET lock_timeout = '1234ms'")

        in_client(set_it)

        assert lock_timeouts() == ["0", "1234ms"]

    def test_caller_holds_the_account__gets_an_error_and_leaves_nothing(expired: None) -> None:
        def hold_and_call() -> None:
            with transaction.atomic():
                Authorizer.objects.select_for_update().get(appid=OFFICIAL)
                began = time.monotonic()
                with pytest.raises(TokenUnavailable, match="by the caller's own transaction"):
                    api.authorizer(OFFICIAL).get(USERS)
                assert time.monotonic() - began < 10

        in_client(hold_and_call)

        assert lock_timeouts() == ["0", "0"]
        assert "total" in in_client(lambda: api.authorizer(OFFICIAL).get(USERS))

    def test_call_in_a_transaction__renews(expired: None, wechat: Simulator) -> None:
        def call() -> Any:
            with transaction.atomic():
                return api.authorizer(OFFICIAL).get(USERS)

        assert "total" in in_client(call)
        assert wechat.engine.accounts[OFFICIAL].refreshes == 1
        assert lock_timeouts() == ["0", "0"]

    def test_more_workers_than_sessions__renew_each_account_once(
        expired: None, wechat: Simulator, platform: Platform
    ) -> None:
        for number in range(MANY):
            wechat.engine.add_account(f"Shop {number}", "official", appid=f"wx{number:016d}")
            wechat.engine.authorize(f"wx{number:016d}")

        def read_slowly() -> list[str]:
            rows = in_chunks(Authorizer.objects.order_by("pk"), 2)
            return [row.appid for row in rows if time.sleep(0.01) is None]

        in_client(lambda: tokens.reconcile(platform))
        with ThreadPoolExecutor(4) as threads:
            reading = [threads.submit(in_client, read_slowly) for _ in range(3)]
            in_client(lambda: tokens.run_due(platform))
            read = [future.result(120) for future in reading]

        accounts = [account for account in wechat.engine.accounts.values() if account.grant]
        assert [account.refreshes for account in accounts] == [1] * (MANY + 1)
        assert sum(account.overlaps for account in accounts) == 0
        assert [len(set(appids)) for appids in read] == [MANY + 1] * 3

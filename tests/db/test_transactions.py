"""Work of custody is committed by itself, whatever transaction the site is in."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from django.db import IntegrityError, OperationalError, connection, connections, transaction

from tests.stage import OFFICIAL
from wechat_open import api
from wechat_open.db.transactions import outside_atomic
from wechat_open.exceptions import TokenUnavailable
from wechat_open.models import Authorizer, Component
from wechat_open.platforms import Platform
from wechat_open.simulator import Simulator


def here() -> tuple[int, bool]:
    """The thread, and whether its connection is in a transaction."""
    return threading.get_ident(), connection.in_atomic_block


def run(work: Callable[[], tuple[int, bool]]) -> tuple[int, bool]:
    return outside_atomic(work, using=connection.alias)


def test_without_a_transaction__nothing_is_changed(transactional_db: None) -> None:
    assert run(here) == (threading.get_ident(), False)


def test_in_a_transaction__the_work_has_a_connection_of_its_own(
    transactional_db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "vendor", "a server")  # as SQLite behaves, see below

    with transaction.atomic():
        thread, in_transaction = run(here)
    assert thread != threading.get_ident()
    assert not in_transaction


def test_error_elsewhere__is_raised_here(transactional_db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "vendor", "a server")

    with pytest.raises(ZeroDivisionError), transaction.atomic():
        outside_atomic(lambda: 1 // 0, using=connection.alias)


def test_sqlite_in_a_transaction__stays_with_its_only_writer(
    transactional_db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "vendor", "sqlite")

    with transaction.atomic():
        assert run(here) == (threading.get_ident(), True)


def test_test_that_wraps_itself_in_a_transaction__sees_its_rows(db: None) -> None:
    assert run(here) == (threading.get_ident(), True)


def test_transaction_within_such_a_test__runs_here_too(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "vendor", "a server")

    with transaction.atomic():
        assert run(here)[0] == threading.get_ident()


def test_no_second_connection__raises(transactional_db: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = str(tmp_path / "gone" / "db.sqlite3")
    gone = {**connections.settings["default"], "ENGINE": "django.db.backends.sqlite3", "NAME": file, "OPTIONS": {}}
    monkeypatch.setitem(connections.settings, "default", gone)  # for new connections
    monkeypatch.setattr(connection, "vendor", "a server")

    with transaction.atomic(), pytest.raises(TokenUnavailable, match="no second connection") as raised:
        run(here)
    assert isinstance(raised.value.__cause__, OperationalError)


if connection.vendor != "sqlite":  # it has one writer at a time

    @pytest.mark.django_db(transaction=True)
    @pytest.mark.fault("F23")
    def test_deadlock_without_a_transaction_of_the_caller__raises() -> None:
        """Two transactions, each of which has the row that the other one wants."""
        first, second = (Component.objects.create(appid=appid) for appid in ("wx1", "wx2"))
        both = threading.Barrier(2)

        def lock(*rows: Component) -> str:
            def work() -> None:
                with transaction.atomic():
                    for row in rows:
                        Component.objects.select_for_update().get(pk=row.pk)
                        if row is rows[0]:
                            both.wait(10)

            try:
                outside_atomic(work, using="default")
            except TokenUnavailable as error:
                return str(error)
            finally:
                connections.close_all()
            return ""

        with ThreadPoolExecutor(2) as threads:
            waiting = [threads.submit(lock, first, second), threads.submit(lock, second, first)]
            errors = [each.result(60) for each in waiting]

        assert sorted(errors) == ["", "Another transaction holds a row that this needs: try again in a moment."]

    @pytest.mark.django_db(transaction=True)
    def test_second_connection_after_a_failure__waits_no_longer() -> None:
        """As when the write of a rotated token is repeated: the database was away, and there is another session."""
        row = Component.objects.create(appid="wx1")

        def work() -> None:
            Component.objects.filter(pk=row.pk).exists()
            connection.close()
            Component.objects.filter(pk=row.pk).update(fence=1)

        with transaction.atomic():
            Component.objects.select_for_update().get(pk=row.pk)
            with pytest.raises(TokenUnavailable, match="by the caller's own transaction"):
                outside_atomic(work, using="default")

    @pytest.mark.django_db(transaction=True)
    def test_savepoint_on_the_second_connection__keeps_the_timeout() -> None:
        """An IntegrityError is rolled back to a savepoint, and then the lock is waited for in the same transaction."""
        row = Component.objects.create(appid="wx1")

        def work() -> None:
            with transaction.atomic():
                try:
                    with transaction.atomic():
                        Component.objects.create(appid="wx1")
                except IntegrityError:
                    Component.objects.filter(pk=row.pk).update(fence=1)

        with transaction.atomic():
            Component.objects.select_for_update().get(pk=row.pk)
            with pytest.raises(TokenUnavailable, match="by the caller's own transaction"):
                outside_atomic(work, using="default")


if connection.vendor == "postgresql":
    POOL = {"min_size": 4, "max_size": 4, "timeout": 30}

    @pytest.fixture
    def pooled(transactional_db: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
        """The test's database through Django's pool of four connections."""
        entry = {**connections.settings["default"], "OPTIONS": {"pool": POOL}, "CONN_MAX_AGE": 0}
        monkeypatch.setitem(connections.settings, "default", entry)  # for new connections, those of threads
        wrapper: Any = connections.create_connection("default")
        yield wrapper.pool
        wrapper.close_pool()

    def test_pool_whose_connections_all_wait__raises_and_gets_them_back(
        wechat: Simulator, platform: Platform, account: Authorizer, settings: Any, pooled: Any
    ) -> None:
        """Four requests, each in a transaction, have the whole pool, and each needs another connection."""
        Authorizer.objects.update(access_token_expires_at="2026-01-01T00:00Z", next_action_at="2026-01-01T00:00Z")
        all_in = threading.Barrier(4)

        def request() -> tuple[str, float]:
            try:
                with transaction.atomic():
                    Component.objects.count()
                    all_in.wait(30)
                    began = time.monotonic()
                    with pytest.raises(TokenUnavailable) as raised:
                        api.authorizer(OFFICIAL).get("/cgi-bin/user/get")
                    all_in.wait(30)
                    return str(raised.value), time.monotonic() - began
            finally:
                connections.close_all()

        with ThreadPoolExecutor(4) as threads:
            answers = [future.result(60) for future in [threads.submit(request) for _ in range(4)]]

        assert all("no second connection" in error for error, _took in answers)
        assert max(took for _error, took in answers) < settings.WECHAT_OPEN["TOKEN_WAIT"]
        deadline = time.monotonic() + 10
        while pooled.get_stats()["pool_available"] < 4 and time.monotonic() < deadline:
            time.sleep(0.05)
        assert pooled.get_stats()["pool_available"] == 4

    def test_pool_with_a_connection_to_spare__is_enough(
        wechat: Simulator, platform: Platform, account: Authorizer, pooled: Any
    ) -> None:
        Authorizer.objects.update(access_token_expires_at="2026-01-01T00:00Z", next_action_at="2026-01-01T00:00Z")

        with transaction.atomic():
            assert "total" in api.authorizer(OFFICIAL).get("/cgi-bin/user/get")
        assert pooled.get_stats()["requests_num"] == 1
        assert pooled.get_stats()["pool_available"] == 4

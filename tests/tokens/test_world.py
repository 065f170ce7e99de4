"""Does custody keep out of the site's transactions, and of its random numbers?"""

from __future__ import annotations

import random
import threading
from typing import Any

import pytest
from django.db import connection, transaction

from tests.stage import OFFICIAL
from wechat_open.component import Platform
from wechat_open.tokens import AuthorizerKeeper
from wechat_open.tokens.world import WORLD, outside_transactions


def here() -> tuple[int, bool]:
    """The thread, and whether its connection is in a transaction."""
    return threading.get_ident(), connection.in_atomic_block


def test_without_a_transaction__nothing_is_changed(transactional_db: None) -> None:
    assert outside_transactions(here) == (threading.get_ident(), False)


def test_in_a_transaction__a_connection_of_its_own_is_used(
    transactional_db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "vendor", "a server")  # as SQLite behaves, see below

    with transaction.atomic():
        thread, in_transaction = outside_transactions(here)
    assert thread != threading.get_ident()
    assert not in_transaction


def test_error_elsewhere__is_raised_here(transactional_db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "vendor", "a server")

    with pytest.raises(ZeroDivisionError), transaction.atomic():
        outside_transactions(lambda: 1 // 0)


def test_sqlite_in_a_transaction__stays_with_its_only_writer(
    transactional_db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "vendor", "sqlite")

    with transaction.atomic():
        assert outside_transactions(here) == (threading.get_ident(), True)


def test_test_that_wraps_itself_in_a_transaction__sees_its_rows(db: None) -> None:
    assert outside_transactions(here) == (threading.get_ident(), True)


def test_transaction_within_such_a_test__is_not_left_either(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "vendor", "a server")

    with transaction.atomic():
        assert outside_transactions(here)[0] == threading.get_ident()


def test_luck__is_from_0_to_1() -> None:
    assert all(0 <= WORLD.luck() <= 1 for _ in range(100))


def test_grant_and_renewal__leave_the_state_of_random(platform: Platform, grant: Any) -> None:
    """A site may have seeded it. Threads that go on after their test would spoil Hypothesis's, which watches it."""
    before = random.getstate()
    grant()
    AuthorizerKeeper(platform, OFFICIAL).renew_now()

    assert random.getstate() == before

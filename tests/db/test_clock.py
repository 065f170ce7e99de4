"""The time is that of the database."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

from wechat_open.db import clock
from wechat_open.models import Component


def read() -> Any:
    return Component.objects.annotate(read_at=clock.read()).get()


def test_row__has_the_time_at_which_it_was_read(db: None) -> None:
    Component.objects.create(appid="wx1")

    assert read().read_at.utcoffset() == timedelta()


def test_time__is_stored_without_the_clock_of_the_host(db: None) -> None:
    Component.objects.create(appid="wx1")
    before = read().read_at
    Component.objects.update(reconciled_at=clock.now())

    assert before <= read().reconciled_at <= read().read_at


def test_clock_of_a_test__moves_it(db: None, later: Callable[[timedelta], None]) -> None:
    Component.objects.create(appid="wx1")
    before = read().read_at
    later(timedelta(hours=2))

    assert timedelta(hours=2) <= read().read_at - before < timedelta(hours=2, seconds=5)


def test_times_of_the_database__are_those_of_this_machine(db: None) -> None:
    """Whichever time zone the server, its session and the site are in."""
    before = datetime.now(timezone.utc)
    Component.objects.create(appid="wx1")
    Component.objects.update(reconciled_at=clock.now())
    row = read()

    for at in (row.created_at, row.reconciled_at, row.read_at):
        assert timedelta(seconds=-1) < at - before < timedelta(minutes=1)

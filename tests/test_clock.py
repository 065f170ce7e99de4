"""Is the time the database's?"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

from wechat_open import clock
from wechat_open.models import Component


def read() -> Any:
    return Component.objects.annotate(read_at=clock.read()).get()


def test_row__says_when_it_was_read(db: None) -> None:
    Component.objects.create(appid="wx1")

    assert read().read_at.utcoffset() == timedelta()


def test_time__is_stored_without_asking_the_host(db: None) -> None:
    Component.objects.create(appid="wx1")
    before = read().read_at
    Component.objects.update(swept_at=clock.now())

    assert before <= read().swept_at <= read().read_at


def test_test_clock__moves_it(db: None, later: Callable[[timedelta], None]) -> None:
    Component.objects.create(appid="wx1")
    before = read().read_at
    later(timedelta(hours=2))

    assert timedelta(hours=2) <= read().read_at - before < timedelta(hours=2, seconds=5)


def test_times_of_the_database__are_those_of_this_machine(db: None) -> None:
    """Whichever time zone the server, its session and the site are in."""
    before = datetime.now(timezone.utc)
    Component.objects.create(appid="wx1")
    Component.objects.update(swept_at=clock.now())
    row = read()

    for at in (row.created_at, row.swept_at, row.read_at):
        assert timedelta(seconds=-1) < at - before < timedelta(minutes=1)

"""Is the time the database's?"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from django.db import connection

from tests.stage import database_time
from wechat_open import clock
from wechat_open.models import Component


def test_row__says_when_it_was_read(db: None) -> None:
    Component.objects.create(appid="wx1")
    row = Component.objects.annotate(read_at=clock.read()).get()

    assert row.read_at.utcoffset() == timedelta()  # type: ignore[attr-defined]


def test_time__is_stored_without_asking_the_host(db: None, django_assert_num_queries: Callable[..., object]) -> None:
    Component.objects.create(appid="wx1")
    with django_assert_num_queries(1) as queries:  # type: ignore[attr-defined]
        Component.objects.update(swept_at=clock.now())

    assert "20" not in queries[0]["sql"].split("WHERE")[0].replace("2006-01-02", "") or connection.vendor != "sqlite"
    assert abs(Component.objects.get().swept_at - database_time()) < timedelta(seconds=5)  # type: ignore[operator]


def test_test_clock__moves_it(db: None, later: Callable[[timedelta], None]) -> None:
    Component.objects.create(appid="wx1")
    before = database_time()
    later(timedelta(hours=2))

    assert timedelta(hours=2) <= database_time() - before < timedelta(hours=2, seconds=5)

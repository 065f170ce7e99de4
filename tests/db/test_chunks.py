"""Many rows are read a chunk at a time, in their order, without a cursor on the server."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection

from wechat_open.db.chunks import by_keys, in_chunks
from wechat_open.models import Component

pytestmark = pytest.mark.django_db


@pytest.fixture
def seven() -> list[int]:
    return [Component.objects.create(appid=f"wx{number}").pk for number in range(7)]


def test_rows_in_chunks__come_in_their_order(seven: list[int], django_assert_num_queries: Any) -> None:
    rows = Component.objects.order_by("-appid")

    with django_assert_num_queries(1 + 3):
        assert [row.pk for row in in_chunks(rows, 3)] == seven[::-1]
    with django_assert_num_queries(1 + 2):
        assert [row.pk for row in in_chunks(rows, 3, most=4)] == seven[:2:-1]
    assert list(in_chunks(Component.objects.none(), 3)) == []


def test_chunk__is_read_when_it_is_wanted(seven: list[int]) -> None:
    """A row that was deleted meanwhile, or does not match any more, is left out; the others are as they are then."""
    rows = in_chunks(Component.objects.filter(paused_until=None).order_by("pk"), 3)
    first = [next(rows) for _ in range(3)]
    Component.objects.filter(pk=seven[3]).delete()
    Component.objects.filter(pk=seven[4]).update(paused_until="2026-03-01T00:00:00Z")
    Component.objects.filter(pk=seven[5]).update(fence=9)
    rest = list(rows)

    assert [row.pk for row in first + rest] == [*seven[:3], *seven[5:]]
    assert rest[0].fence == 9


def test_chosen_keys__come_in_the_order_that_was_chosen(seven: list[int]) -> None:
    chosen = [seven[4], seven[0], 0, seven[6]]

    assert [row.pk for row in by_keys(Component.objects.all(), chosen, 2)] == [seven[4], seven[0], seven[6]]


if connection.vendor == "postgresql":

    def test_no_cursor__is_opened_on_the_server(transactional_db: None, seven: list[int]) -> None:
        """Django's ``iterator`` would open one here: no transaction is open."""
        rows = in_chunks(Component.objects.order_by("pk"), 2)
        next(rows)

        assert open_cursors() == 0
        rows = Component.objects.order_by("pk").iterator(chunk_size=2)
        next(rows)
        assert open_cursors() == 1


def open_cursors() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_cursors WHERE name LIKE '_django_curs%%'")
        return int(cursor.fetchone()[0])

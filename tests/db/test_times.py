"""Columns hold UTC and return aware datetimes, whatever time zone the site has."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.apps import apps
from django.core import serializers
from django.db import connection, connections, models
from django.db.models import Case, Count, F, Max, Min, OuterRef, Subquery, Value, When
from django.db.models.functions import Coalesce, Greatest
from django.template import Context, Template
from django.utils import timezone as django_timezone

from tests import poison
from wechat_open.db import clock
from wechat_open.db.times import UTCDateTimeField, site_now, site_time, utc_now
from wechat_open.models import AuditEntry, Component, VerifyTicket

SHANGHAI, NEW_YORK = ZoneInfo("Asia/Shanghai"), ZoneInfo("America/New_York")
AT = datetime(2026, 3, 1, 17, 30, 0, 123456, tzinfo=timezone.utc)
"""In Shanghai it is already the next day, half past one."""

SITES = [(True, None), (False, None), (True, "America/New_York")]


@pytest.fixture(params=SITES, ids=["zones", "no zones", "database in New York"])
def site(request: pytest.FixtureRequest, settings: Any, db: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A site in Shanghai with and without time zones, and with a zone of its own for the database."""
    settings.USE_TZ, zone = request.param
    monkeypatch.setitem(connection.settings_dict, "TIME_ZONE", zone)
    _forget_the_zone()
    yield settings
    monkeypatch.undo()
    _forget_the_zone()


def _forget_the_zone() -> None:
    database = connections["default"]
    for name in ("timezone", "timezone_name"):
        database.__dict__.pop(name, None)
    database.ensure_timezone()


@pytest.fixture
def row(site: Any) -> Component:
    return Component.objects.create(appid="wx1", reconciled_at=AT)


def read(**lookup: Any) -> datetime:
    return Component.objects.values_list("reconciled_at", flat=True).get(**lookup)  # type: ignore[return-value]


def test_every_time_of_ours__is_a_point_in_time() -> None:
    fields = [field for model in apps.get_app_config("wechat_open").get_models() for field in model._meta.fields]
    times = [field for field in fields if isinstance(field, models.DateTimeField)]

    assert len(times) > 40 and {type(field) for field in times} == {UTCDateTimeField}


def test_what_is_read__is_what_was_written(row: Component, site: Any) -> None:
    shown = Component.objects.get().reconciled_at

    assert shown == AT
    assert shown is not None and shown.utcoffset() == (timedelta() if site.USE_TZ else timedelta(hours=8))
    assert read() == AT == Component.objects.values("reconciled_at")[0]["reconciled_at"]
    assert Component.objects.raw("SELECT * FROM wechat_open_component")[0].reconciled_at == AT


def test_database__holds_utc(row: Component) -> None:
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(
                "SELECT to_char(reconciled_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US') "
                "FROM wechat_open_component"
            )
        else:
            cursor.execute("SELECT CAST(reconciled_at AS CHAR) FROM wechat_open_component")
        assert cursor.fetchone() == ("2026-03-01 17:30:00.123456",)


@pytest.mark.parametrize("before", [True, False])
def test_site_that_changes_use_tz__reads_the_same(db: None, settings: Any, before: bool) -> None:
    settings.USE_TZ = before
    Component.objects.create(appid="wx1", reconciled_at=AT)
    settings.USE_TZ = not before

    assert read(reconciled_at=AT) == AT


def test_naive_time__is_one_of_the_site(db: None, settings: Any) -> None:
    settings.USE_TZ = False
    Component.objects.create(appid="wx1", reconciled_at=datetime(2026, 3, 2, 1, 30))  # noqa: DTZ001
    assert read(reconciled_at="2026-03-02 01:30:00") == datetime(2026, 3, 1, 17, 30, tzinfo=timezone.utc)


@pytest.mark.parametrize("use_tz", [True, False])
def test_hour_that_comes_twice__is_two_hours(db: None, settings: Any, use_tz: bool) -> None:
    settings.USE_TZ, settings.TIME_ZONE = use_tz, "America/New_York"
    first = datetime(2026, 11, 1, 5, 30, tzinfo=timezone.utc)  # 01:30 of summer time; an hour later it is 01:30 again
    Component.objects.create(appid="wx1", reconciled_at=first, beat_at=first + timedelta(hours=1))
    row = Component.objects.get()

    assert row.reconciled_at is not None and row.beat_at is not None
    assert (row.reconciled_at, row.beat_at - row.reconciled_at) == (first, timedelta(hours=1))
    assert row.reconciled_at < row.beat_at
    assert row.reconciled_at + timedelta(hours=1) == row.beat_at
    assert Component.objects.filter(beat_at=F("reconciled_at") + timedelta(hours=1)).exists()


LOOKUPS: list[dict[str, Any]] = [
    {"reconciled_at": AT},
    {"reconciled_at__in": [AT]},
    {"reconciled_at__range": (AT - timedelta(seconds=1), AT + timedelta(seconds=1))},
    {"reconciled_at__gt": AT - timedelta(microseconds=1)},
    {"reconciled_at__lt": AT.astimezone(NEW_YORK) + timedelta(microseconds=1)},
    {"reconciled_at__date": date(2026, 3, 2)},
    {"reconciled_at__date__gte": date(2026, 3, 2)},
    {"reconciled_at__year": 2026},
    {"reconciled_at__month": 3},
    {"reconciled_at__day": 2},
    {"reconciled_at__hour": 1},
    {"reconciled_at__hour__lt": 2},
    {"reconciled_at__minute": 30},
    {"reconciled_at__week_day": 2},
    {"reconciled_at__iso_week_day": 1},
    {"reconciled_at__week": 10},
    {"reconciled_at__quarter": 1},
    {"reconciled_at__time__lt": "01:30:01"},
]


@pytest.mark.parametrize("lookup", LOOKUPS, ids=lambda lookup: str(*lookup))
def test_lookup__is_in_the_zone_of_the_site(row: Component, lookup: dict[str, Any]) -> None:
    assert Component.objects.filter(**lookup).exists()
    assert not Component.objects.exclude(**lookup).exists()


@pytest.mark.parametrize("name", ["year", "iso_year"])
def test_year__begins_and_ends_in_the_zone_of_the_site(site: Any, name: str) -> None:
    new_year = datetime(2026, 1, 1, tzinfo=SHANGHAI)
    if name == "iso_year":
        new_year -= timedelta(days=3)  # the first Monday's week
    Component.objects.create(appid="old", reconciled_at=new_year - timedelta(seconds=1))
    Component.objects.create(appid="new", reconciled_at=new_year)
    found = {
        lookup: [
            *Component.objects.order_by("pk")
            .filter(**{f"reconciled_at__{lookup}": 2026})
            .values_list("appid", flat=True)
        ]
        for lookup in (name, f"{name}__gt", f"{name}__gte", f"{name}__lt", f"{name}__lte")
    }

    assert [*found.values()] == [["new"], [], ["new"], ["old"], ["old", "new"]]


def test_expressions__are_points_in_time_too(row: Component) -> None:
    VerifyTicket.objects.create(component=row, digest="1", created_at=AT, received_at=AT + timedelta(days=1))
    of_it = VerifyTicket.objects.filter(component=OuterRef("pk")).values("received_at")[:1]
    found = Component.objects.annotate(
        same=F("reconciled_at"),
        later=F("reconciled_at") + timedelta(days=1),
        earlier=F("reconciled_at") - timedelta(days=1),
        ticket=Subquery(of_it),
        first=Min("tickets__created_at"),
        chosen=Case(When(appid="wx1", then=F("reconciled_at")), default=Value(None)),
        greatest=Greatest(F("reconciled_at"), Subquery(of_it)),
        known=Coalesce(F("beat_at"), F("reconciled_at")),
        span=F("tickets__received_at") - F("reconciled_at"),
    ).get()
    day = timedelta(days=1)
    names = ["same", "later", "earlier", "ticket", "first", "chosen", "greatest", "known"]

    assert [getattr(found, name) - AT for name in names] == [
        timedelta(), day, -day, day, timedelta(), timedelta(), day, timedelta()
    ]  # fmt: skip
    assert found.span == day
    assert Component.objects.aggregate(Min("reconciled_at"), Max("reconciled_at"), Count("reconciled_at")) == {
        "reconciled_at__min": AT,
        "reconciled_at__max": AT,
        "reconciled_at__count": 1,
    }
    assert Component.objects.filter(reconciled_at__lt=Subquery(of_it)).exists()
    assert Component.objects.filter(tickets__received_at=F("reconciled_at") + timedelta(days=1)).exists()


def test_union_and_bulk_writes__keep_the_time(row: Component) -> None:
    row.reconciled_at = AT + timedelta(hours=1)
    Component.objects.bulk_update([row], ["reconciled_at"])
    assert read() == AT + timedelta(hours=1)
    Component.objects.bulk_create(
        [Component(appid="wx1", reconciled_at=AT)],
        update_conflicts=True,
        update_fields=["reconciled_at"],
        **({} if connection.vendor == "mysql" else {"unique_fields": ["appid"]}),
    )
    both = Component.objects.values_list("reconciled_at", flat=True)
    assert [*both.union(both)] == [AT]


def test_time_of_the_database__is_that_of_this_machine(site: Any) -> None:
    before = utc_now()
    row = Component.objects.create(appid="wx1")
    row.refresh_from_db()
    Component.objects.update(reconciled_at=clock.now(), beat_at=clock.now() + timedelta(hours=1))
    found = Component.objects.annotate(read_at=clock.read()).get()

    for at in (
        row.created_at,
        found.created_at,
        found.reconciled_at,
        found.read_at,
        found.beat_at - timedelta(hours=1),
    ):  # type: ignore[operator]
        assert timedelta(seconds=-1) < at - before < timedelta(minutes=1)  # type: ignore[operator]
    assert Component.objects.filter(reconciled_at__lte=clock.now(), beat_at__gt=clock.now()).exists()


def test_created_row__has_its_time_at_once(site: Any) -> None:
    """From the default of the database, by RETURNING where there is one."""
    before = utc_now()
    row = Component.objects.create(appid="wx1")

    assert timedelta(seconds=-1) < row.created_at - before < timedelta(minutes=1)


def test_serialized_row__comes_back_the_same(row: Component) -> None:
    serialized = serializers.serialize("json", Component.objects.all())
    Component.objects.all().delete()
    for each in serializers.deserialize("json", serialized):
        each.save()

    assert read() == AT.replace(microsecond=123000)  # Django's JSON has milliseconds


def test_page__shows_the_time_of_the_site(row: Component) -> None:
    row = Component.objects.get()
    shown = Template("{{ row.reconciled_at|date:'Y-m-d H:i' }} {{ row.reconciled_at|time:'H:i' }}").render(
        Context({"row": row})
    )

    assert shown == "2026-03-02 01:30 01:30"
    assert site_time(AT).isoformat() == "2026-03-02T01:30:00.123456+08:00"
    assert site_now().utcoffset() == timedelta(hours=8)


def test_neighbours__are_found(row: Component) -> None:
    entries = [AuditEntry.objects.create(component=row, kind="synced", at=AT + timedelta(hours=n)) for n in range(2)]

    assert AuditEntry.objects.latest("at") == entries[1]
    assert entries[0].get_next_by_at() == entries[1]


def test_migration__names_the_field_without_options() -> None:
    assert UTCDateTimeField(null=True).deconstruct()[1:] == (
        "wechat_open.db.times.UTCDateTimeField",
        [],
        {"null": True},
    )


def knows_zones() -> bool:
    """MariaDB knows zones by their name only when its tables were loaded."""
    if connection.vendor != "mysql":
        return True
    with connection.cursor() as cursor:
        cursor.execute("SELECT CONVERT_TZ('2026-01-01', 'UTC', 'America/New_York')")
        return cursor.fetchone() != (None,)


def test_current_zone__is_that_of_the_request(db: None, settings: Any) -> None:
    Component.objects.create(appid="wx1", reconciled_at=AT)
    with django_timezone.override(NEW_YORK):
        assert site_time(read()).hour == 12
        assert Component.objects.filter(reconciled_at__hour=12).exists() is knows_zones()
        settings.USE_TZ = False
        assert site_time(read()).hour == 1
        assert Component.objects.filter(reconciled_at__hour=1).exists()


@pytest.mark.parametrize("kind", ["year", "month", "week", "day"])
def test_dates__are_in_the_zone_of_the_site(row: Component, kind: str) -> None:
    first = {"year": date(2026, 1, 1), "month": date(2026, 3, 1), "week": date(2026, 3, 2), "day": date(2026, 3, 2)}

    assert [*Component.objects.dates("reconciled_at", kind)] == [first[kind]]  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["day", "hour", "minute"])
def test_datetimes__begin_in_the_zone_of_the_site(row: Component, kind: str) -> None:
    begin = {"day": (2, 0, 0), "hour": (2, 1, 0), "minute": (2, 1, 30)}[kind]

    assert [*Component.objects.datetimes("reconciled_at", kind)] == [datetime(2026, 3, *begin, tzinfo=SHANGHAI)]  # type: ignore[arg-type]


def test_dates_of_an_unknown_kind__are_refused(row: Component) -> None:
    with pytest.raises(ValueError, match="'kind' must be one of"):
        Component.objects.dates("reconciled_at", "hour")  # type: ignore[arg-type]


@pytest.fixture
def unreadable(site: Any) -> VerifyTicket:
    """A row with a time that Python has no value for, between two others."""
    if connection.vendor not in poison.NOT_IN_PYTHON:
        pytest.skip(f"{connection.vendor} stores only what can be read.")
    component = Component.objects.create(appid="wx1")
    rows = [component.tickets.create(digest=str(n), created_at=AT, received_at=AT) for n in range(3)]
    poison.write(rows[1], "received_at", poison.NOT_IN_PYTHON[connection.vendor])
    return rows[1]


class TestTimesThatPythonHasNot:
    """One row keeps no other of the same answer from being read."""

    nearest = {"sqlite": (1, 1, 3), "postgresql": (9999, 12, 29)}.get(connection.vendor)

    def at(self, found: datetime) -> tuple[int, ...]:
        found = found.astimezone(timezone.utc)
        return found.year, found.month, found.day

    def test_each_way_to_read__returns_the_nearest(self, unreadable: VerifyTicket) -> None:
        rows = VerifyTicket.objects.order_by("pk")
        assert [row.received_at == AT for row in rows] == [True, False, True]
        unreadable.refresh_from_db()
        component = Component.objects.get()
        extreme = VerifyTicket.objects.annotate(later=Greatest("received_at", Value(AT, UTCDateTimeField())))
        ways = [
            unreadable.received_at,
            rows[1].received_at,
            list(rows.values_list("received_at", flat=True))[1],
            rows.in_bulk()[unreadable.pk].received_at,
            component.tickets.get(pk=unreadable.pk).received_at,
            VerifyTicket.objects.select_related("component").get(pk=unreadable.pk).received_at,
        ]
        assert {self.at(found) for found in ways} == {self.nearest}
        assert len(list(extreme)) == 3
        if connection.vendor == "postgresql":
            assert self.at(rows.aggregate(at=Max("received_at"))["at"]) == self.nearest

    def test_dates_of_a_column__are_those_of_the_other_rows(self, unreadable: VerifyTicket) -> None:
        rows = VerifyTicket.objects.exclude(pk=unreadable.pk)
        for kind in ("year", "month", "day"):
            assert list(VerifyTicket.objects.dates("received_at", kind)) == list(rows.dates("received_at", kind))
            assert list(VerifyTicket.objects.datetimes("received_at", kind)) == list(
                rows.datetimes("received_at", kind)
            )

    def test_row_that_is_read_so__is_written(self, unreadable: VerifyTicket) -> None:
        VerifyTicket.objects.get(pk=unreadable.pk).save()
        assert VerifyTicket.objects.count() == 3

    def test_another_error__is_raised_as_it_was(self, site: Any) -> None:
        Component.objects.create(appid="wx1")
        with pytest.raises(ValueError, match="from the test"):
            list(Component.objects.annotate(at=Refusing(F("created_at"))))


class Refusing(models.Func):
    """Reads nothing."""

    template = "%(expressions)s"

    def convert_value(self, value: Any, expression: Any, connection: Any) -> Any:
        raise ValueError("from the test")

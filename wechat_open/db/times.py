"""Points in time are kept in UTC and given as aware datetimes, whatever ``USE_TZ`` and ``TIME_ZONE`` of the site are.

``UTCDateTimeField`` is the field of every datetime column of ours. Many sites run with ``USE_TZ = False``, where Django
stores local times without their zone: a lease that ends at 01:30 would end twice in the night when the clocks are put
back, and processes with different settings would not agree. What the field does depends on the database:

* PostgreSQL keeps points in time (``timestamptz``) and is given aware values. Under ``USE_TZ = False`` Django removes
  the zone from what it reads; the field adds that of the session again.
* SQLite, MySQL and MariaDB keep what they are given; the field gives them UTC, also where ``DATABASES`` has a
  ``TIME_ZONE``.

Values are aware in UTC where the site uses time zones, like those of Django's field. Where it does not, neither
templates nor Django's admin convert a value before it is shown, so values carry the offset that the site's zone had at
that time. It is a fixed offset, because Python ignores the zone when both sides of a subtraction have the same one.

``utc_now``, ``site_time`` and ``site_now`` replace those of ``django.utils.timezone``, which depend on ``USE_TZ``.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeVar
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import models
from django.db.models import DateTimeField as LocalTimeField  # noqa: TID251 - what ours is made of
from django.db.models import expressions, lookups
from django.db.models.functions import datetime as functions
from django.utils import timezone as django_timezone

EARLIEST = datetime(1, 1, 3, tzinfo=timezone.utc)
LATEST = datetime(9999, 12, 29, tzinfo=timezone.utc)
"""What is stored beyond is read as one of them: Python cannot convert the first and the last day to every zone."""

_REPRESENTABLE = {
    "postgresql": "CASE WHEN {0} < '0001-01-03 00:00:00+00' THEN timestamptz '0001-01-03 00:00:00+00' "
    "WHEN {0} > '9999-12-29 00:00:00+00' THEN timestamptz '9999-12-29 00:00:00+00' ELSE {0} END",
    "sqlite": "CASE WHEN {0} IS NULL OR datetime({0}) BETWEEN '0001-01-03 00:00:00' AND '9999-12-29 00:00:00' THEN {0} "
    "WHEN datetime({0}) > '9999-12-29 00:00:00' THEN '9999-12-29 00:00:00' ELSE '0001-01-03 00:00:00' END",
}
"""What is selected instead of a column for which Python may have no value. In SQLite that may be any text."""

_representable: ContextVar[bool] = ContextVar("representable", default=False)


@contextmanager
def representable_times() -> Iterator[None]:
    """Have the database itself bring times into range: a driver would fail at them, and at all rows of its answer."""
    before = _representable.set(True)
    try:
        yield
    finally:
        _representable.reset(before)


def utc_now() -> datetime:
    """The time of this host."""
    return datetime.now(timezone.utc)


def site_zone() -> tzinfo:
    """The zone in which the site shows times. Django has no current zone where the site uses none."""
    return django_timezone.get_current_timezone() if settings.USE_TZ else django_timezone.get_default_timezone()


def site_time(at: datetime) -> datetime:
    """The same point in time, as the site shows it."""
    return _within(at).astimezone(site_zone())


def site_now() -> datetime:
    return site_time(utc_now())


def exact(at: datetime) -> str:
    """``2026-11-29 14:59:03`` in the site's zone: on every page, in files and in what commands print."""
    return f"{site_time(at):%Y-%m-%d %H:%M:%S}"


_Given = TypeVar("_Given", contravariant=True)
_Read = TypeVar("_Read", covariant=True)

if TYPE_CHECKING:

    class _Subscriptable(LocalTimeField[_Given, _Read]):
        """Django's field is generic for the type checker only."""
else:

    class _Subscriptable(LocalTimeField):
        def __class_getitem__(cls, _types: object) -> type:
            return cls


class UTCDateTimeField(_Subscriptable[_Given, _Read]):
    """A point in time. Naive values that it is given are local times of the site, as everywhere in Django."""

    def get_prep_value(self, value: Any) -> Any:
        value = super().get_prep_value(value)
        return _in_utc(value) if isinstance(value, datetime) else value

    def get_db_prep_value(self, value: Any, connection: Any, prepared: bool = False) -> Any:
        value = value if prepared else self.get_prep_value(value)
        if isinstance(value, datetime):
            value = _in_utc(value)
            if not connection.features.supports_timezones:
                value = value.replace(tzinfo=None)
        return connection.ops.adapt_datetimefield_value(value)

    def select_format(self, compiler: Any, sql: str, params: Any) -> tuple[str, Any]:
        case = _REPRESENTABLE.get(compiler.connection.vendor) if _representable.get() else None
        return (case.format(sql), tuple(params) * case.count("{0}")) if case else (sql, params)

    def from_db_value(self, value: Any, expression: Any, connection: Any) -> Any:
        if not isinstance(value, datetime):
            return value
        if connection.features.supports_timezones:
            aware = value if value.tzinfo else value.replace(tzinfo=ZoneInfo(connection.timezone_name))
        elif value.tzinfo and (not settings.USE_TZ or isinstance(expression, functions.TruncBase)):
            aware = value  # it has been here already, or Django has truncated it in the site's zone
        else:
            aware = value.replace(tzinfo=timezone.utc)
        aware = _within(aware)
        return aware.astimezone(timezone.utc) if settings.USE_TZ else _with_offset_of_the_site(aware)


def _in_utc(value: datetime) -> datetime:
    if value.tzinfo is None:
        value = django_timezone.make_aware(value, django_timezone.get_default_timezone())
    return _within(value).astimezone(timezone.utc)


def _within(value: datetime) -> datetime:
    return min(max(value, EARLIEST), LATEST)


def _with_offset_of_the_site(value: datetime) -> datetime:
    local = value.astimezone(django_timezone.get_default_timezone())
    offset = local.utcoffset()
    assert offset is not None  # it is aware
    return local.replace(tzinfo=timezone(offset), fold=0)


class _InSiteZone:
    """A transform like ``__date`` or ``__hour`` in the site's zone, although the column is in UTC.

    Django converts from the zone of the connection, and under ``USE_TZ = False`` not at all. Where the connection is in
    UTC, and on PostgreSQL, that is right already; on MySQL it finds nothing while the server does not know "UTC".
    """

    _converted = False

    def as_sql(self, compiler: Any, connection: Any) -> Any:
        this: Any = self
        if not self._converted and not _converts(connection):
            this = this.copy()
            this.set_source_expressions([_Local(this.lhs)])
            this._converted = True
        return super(_InSiteZone, this).as_sql(compiler, connection)  # type: ignore[misc]  # a mixin of transforms

    def get_tzname(self) -> str | None:
        return None if self._converted else super().get_tzname()  # type: ignore[misc]


def _converts(connection: Any) -> bool:
    """Whether Django itself converts our columns on this connection as it should."""
    if connection.features.supports_timezones:
        return True
    return connection.vendor != "mysql" and settings.USE_TZ and connection.timezone_name == "UTC"


class _Local(expressions.Func):
    """A value in UTC as a local time of the site. For SQLite and MySQL."""

    output_field = LocalTimeField()

    def as_sqlite(self, compiler: Any, connection: Any, **_extra: Any) -> Any:
        sql, params = compiler.compile(self.source_expressions[0])
        return f"django_datetime_trunc('second', {sql}, %s, 'UTC')", (
            *params,
            str(site_zone()),
        )

    def as_mysql(self, compiler: Any, connection: Any, **_extra: Any) -> Any:
        sql, params = compiler.compile(self.source_expressions[0])
        return f"CONVERT_TZ({sql}, '+00:00', %s)", (*params, _mysql_zone(site_zone()))


@lru_cache
def _mysql_zone(zone: tzinfo) -> str:
    """An offset, if the zone has had only one since WeChat exists: names need tables that many servers do not have."""
    months = (datetime(year, month, 1, tzinfo=timezone.utc) for year in range(2011, 2038) for month in range(1, 13))
    offsets = {month.astimezone(zone).utcoffset() or timedelta() for month in months}
    if len(offsets) > 1:
        return str(zone)
    minutes = offsets.pop() // timedelta(minutes=1)
    return f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02}:{abs(minutes) % 60:02}"


class _YearBounds(lookups.YearLookup):
    """Django takes the first and the last second of a year as the connection's local times; the column is in UTC."""

    def year_lookup_bounds(self, connection: Any, year: int) -> list[Any]:
        if isinstance(self.lhs, functions.ExtractIsoYear):
            first = datetime.fromisocalendar(year, 1, 1)
            last = datetime.fromisocalendar(year + 1, 1, 1) - timedelta(microseconds=1)
        else:
            first, last = datetime(year, 1, 1), datetime(year, 12, 31, 23, 59, 59, 999999)  # noqa: DTZ001
        field = UTCDateTimeField()
        return [field.get_db_prep_value(at.replace(tzinfo=site_zone()), connection) for at in (first, last)]


def _in_site_zone(transform: Any) -> Any:
    return type(transform.__name__, (_InSiteZone, transform), {"__module__": __name__, "__doc__": _InSiteZone.__doc__})


class SiteTrunc(_InSiteZone, functions.Trunc):  # type: ignore[misc]  # the mixin takes what transforms are given
    """Django's ``Trunc``, for ``dates`` and ``datetimes`` of our columns."""

    def convert_value(self, value: Any, expression: Any, connection: Any) -> Any:
        value = super().convert_value(value, expression, connection)
        if isinstance(value, datetime) and value.tzinfo is None:
            return _with_offset_of_the_site(_in_utc(value))
        return value


for _transform in {
    *models.DateField.get_class_lookups().values(),
    *LocalTimeField.get_class_lookups().values(),
}:
    if issubclass(_transform, functions.TimezoneMixin):
        UTCDateTimeField.register_lookup(_in_site_zone(_transform))

for _year in ("year", "iso_year"):
    for _name, _lookup in functions.ExtractYear.class_lookups.items():
        UTCDateTimeField.get_class_lookups()[_year].register_lookup(type(_lookup.__name__, (_YearBounds, _lookup), {}))

# A sum of our columns and a span is a point in time of ours; Django's own rule, for any DateTimeField, comes after it.
for _connector in (expressions.Combinable.ADD, expressions.Combinable.SUB):
    expressions._connector_combinators[_connector].insert(  # type: ignore[attr-defined]  # no name without underscore
        0, (UTCDateTimeField, models.DurationField, UTCDateTimeField)
    )

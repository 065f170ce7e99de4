"""Our rows are read from the database that they are written to, whatever the site's routers answer for reads.

A router may send reads to a replica, which is a moment behind, or hours. What is read here decides what is done: which
worker has a lease, which token is the newest, whether a link was used. Read from a replica, a row that was just written
does not exist, and a token that was just replaced is renewed again. So the manager of every model of ours, and what
Django derives from it (related managers, ``refresh_from_db``, foreign keys, the admin), uses ``db_for_write``. A site
that wants a report from its replica calls ``.using("replica")``, and may give the rows that it
gets to any function here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import DataError, Error, models, router, transaction
from django.db.models import F, QuerySet
from django.utils.connection import ConnectionDoesNotExist

from .times import EARLIEST, LATEST, SiteTrunc, representable_times, site_zone

_Model = TypeVar("_Model", bound=models.Model, covariant=True)
_T = TypeVar("_T")


DATABASE_ERRORS = (Error, ImproperlyConfigured, ConnectionDoesNotExist)
"""Raised without a database: Error by the driver, the others by Django for an empty or missing entry of DATABASES."""


def refusal_to_write(model: type[models.Model]) -> str:
    """Why the database takes no changes of these rows, in its own words; empty when it does, or cannot be asked.

    A standby server answers everything but that. The statement changes no row.
    """
    rows = model._base_manager.using(database_of(model)).filter(pk=0)
    try:
        rows.exists()
    except DATABASE_ERRORS:
        return ""
    try:
        with transaction.atomic(using=rows.db):
            rows.update(**{model._meta.pk.attname: F("pk")})
    except Error as error:
        return str(error).partition("\n")[0]
    return ""


_UNREADABLE = (DataError, ValueError, TypeError, OverflowError)
"""What drivers and Django raise for a stored time for which Python has no value."""


def _read(read: Callable[[], _T]) -> _T:
    """What ``read`` returns. Where a value cannot be read, it is called again for times that can."""
    try:
        return read()
    except _UNREADABLE as error:
        with representable_times():
            try:
                return read()
            except Exception:  # noqa: BLE001 - what was wrong first is raised
                raise error from None


def database_of(model: type[models.Model]) -> str:
    """The alias of the database that holds these rows. Without hints: a row of the site's may come from a replica."""
    return router.db_for_write(model)


class RowQuerySet(QuerySet[_Model]):
    """Reads follow ``db_for_write``; ``dates`` and ``datetimes`` are in the site's zone.

    A time for which Python has no value, such as PostgreSQL's infinity, is read as the nearest that it has: otherwise
    one row would keep all others of the same answer from being read.
    """

    @property
    def db(self) -> str:
        return self._db or database_of(self.model)  # type: ignore[attr-defined]

    def _fetch_all(self) -> None:
        _read(super()._fetch_all)

    def aggregate(self, *values: Any, **named: Any) -> dict[str, Any]:
        return _read(lambda: super(RowQuerySet, self).aggregate(*values, **named))

    def dates(self, field_name: str, kind: Any, order: Any = "ASC") -> Any:
        super().dates(field_name, kind, order)  # it refuses unknown arguments
        return self._truncated(SiteTrunc(field_name, kind, output_field=models.DateField()), field_name, order)

    def datetimes(self, field_name: str, kind: Any, order: Any = "ASC", tzinfo: Any = None) -> Any:
        super().datetimes(field_name, kind, order, tzinfo)
        zone = (tzinfo or site_zone()) if settings.USE_TZ else None
        as_time = models.DateTimeField()  # noqa: TID251 - what SQL has truncated is no column of ours
        truncated = SiteTrunc(field_name, kind, output_field=as_time, tzinfo=zone)
        return self._truncated(truncated, field_name, order)

    def _truncated(self, truncated: Any, field_name: str, order: str) -> Any:
        return (
            self.annotate(truncated_time=truncated, plain_time=F(field_name))
            .values_list("truncated_time", flat=True)
            .distinct()
            .filter(plain_time__range=(EARLIEST, LATEST), truncated_time__isnull=False)  # what can be truncated
            .order_by(("-" if order == "DESC" else "") + "truncated_time")
        )


if TYPE_CHECKING:
    _Manager = models.Manager
else:
    _Manager = models.Manager.from_queryset(RowQuerySet)


class RowManager(_Manager[_Model]):
    @property
    def db(self) -> str:
        return self._db or database_of(self.model)


class Row(models.Model):
    """The base of every model of ours."""

    identified_by: ClassVar[tuple[str, ...]] = ()
    """Columns that distinguish a row with a lease from one that got its key after the database was emptied."""

    if not TYPE_CHECKING:  # the plugin of mypy types Django's own manager better than an inherited one
        objects = RowManager()

    class Meta:
        abstract = True
        base_manager_name = "objects"

    @classmethod
    def from_db(cls, db: str | None, *columns: Any, **how: Any) -> Any:
        """A row that the site read from a replica belongs to the database that it is written to, like any other.

        Django remembers where a row was read, and saves it there and refuses to relate it to rows from elsewhere
        unless a router says otherwise.
        """
        row = super().from_db(db, *columns, **how)
        row._state.db = database_of(cls)
        return row

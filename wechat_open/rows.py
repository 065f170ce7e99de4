"""Rows of ours are read from the database that they are written to, whatever the site's routers say about reads.

A router may send reads to a replica, which is a moment behind, or hours. What is read here decides what is done: who
holds a lease, which token is the newest, whether a link was used. Read from a replica, a row that was just written does
not exist, and a token that was just replaced is renewed again. So the manager of every model of ours, and what Django
makes of it (related managers, ``refresh_from_db``, foreign keys, the admin), asks ``db_for_write``. A site that wants a
report from its replica says ``.using("replica")``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import Error, models, router
from django.db.models import F, QuerySet
from django.utils.connection import ConnectionDoesNotExist

from .times import SiteTrunc, site_zone

_Model = TypeVar("_Model", bound=models.Model, covariant=True)


DATABASE_TROUBLE = (Error, ImproperlyConfigured, ConnectionDoesNotExist)
"""There is no database: says the driver, or Django, of an empty entry of DATABASES and of one that is missing."""


def database_of(model: type[models.Model]) -> str:
    """The alias of the database that holds these rows. Without hints: a row of the site's may come from a replica."""
    return router.db_for_write(model)


class RowQuerySet(QuerySet[_Model]):
    """Reads follow ``db_for_write``; ``dates`` and ``datetimes`` are in the site's zone."""

    @property
    def db(self) -> str:
        return self._db or database_of(self.model)  # type: ignore[attr-defined]

    def dates(self, field_name: str, kind: Any, order: Any = "ASC") -> Any:
        super().dates(field_name, kind, order)  # it refuses what it does not know
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
            .filter(plain_time__isnull=False)
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
    """What every model of ours is made of."""

    if not TYPE_CHECKING:  # which knows Django's own manager better than one that is inherited
        objects = RowManager()

    class Meta:
        abstract = True
        base_manager_name = "objects"

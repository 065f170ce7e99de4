"""What time is it?

By the database's clock, and no other: leases and due times are compared where they are stored, so hosts whose clocks
differ cannot disagree. Tests that need another time replace ``now``.
"""

from __future__ import annotations

from typing import Any

from django.db.models import Expression, ExpressionWrapper
from django.db.models.functions import Now  # noqa: TID251

from .times import UTCDateTimeField


class DatabaseTime(Now):
    """Django's, but in UTC on MySQL and MariaDB too.

    There Django keeps times in UTC and leaves the session in the server's own time zone, in which CURRENT_TIMESTAMP is:
    at a server in Shanghai it would be eight hours ahead of everything that is stored.
    """

    output_field = UTCDateTimeField()

    def as_mysql(self, compiler: Any, connection: Any, **extra: Any) -> Any:
        return self.as_sql(compiler, connection, template="UTC_TIMESTAMP(6)", **extra)


def now() -> Expression:
    """The database's current time, to use inside a query."""
    return DatabaseTime()


def read() -> Expression:
    """The same as an annotation, so that a row says when it was read."""
    return ExpressionWrapper(now(), output_field=UTCDateTimeField())

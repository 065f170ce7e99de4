"""The time of the database.

Leases and due times are set and compared by the database's clock, where they are stored: hosts whose clocks differ
cannot disagree. Tests that need another time replace ``now``.
"""

from __future__ import annotations

from typing import Any

from django.db.models import Expression, ExpressionWrapper
from django.db.models.functions import Now  # noqa: TID251

from .times import UTCDateTimeField

_TIME = UTCDateTimeField()


class DatabaseTime(Now):
    """Django's ``Now``, but in UTC on MySQL and MariaDB too.

    There Django stores times in UTC and leaves the session in the server's own time zone, which CURRENT_TIMESTAMP
    follows: on a server in Shanghai it would be eight hours ahead of everything that is stored.
    """

    output_field = _TIME

    def as_mysql(self, compiler: Any, connection: Any, **extra: Any) -> Any:
        return self.as_sql(compiler, connection, template="UTC_TIMESTAMP(6)", **extra)


def now() -> Expression:
    """The database's current time, to use inside a query."""
    return DatabaseTime()


def read() -> Expression:
    """The same as an annotation: the time at which a row was read."""
    return ExpressionWrapper(now(), output_field=_TIME)

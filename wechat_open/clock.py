"""What time is it?

By the database's clock, and no other: leases and due times are compared where they are stored, so hosts whose clocks
differ cannot disagree. Tests that need another time replace ``now``.
"""

from __future__ import annotations

from django.db.models import DateTimeField, Expression, ExpressionWrapper
from django.db.models.functions import Now


def now() -> Expression:
    """The database's current time, to use inside a query."""
    return Now()


def read() -> Expression:
    """The same as an annotation, so that a row says when it was read."""
    return ExpressionWrapper(now(), output_field=DateTimeField())

"""One of many rows: when it cannot be read, parsed or written, it is named in the log, and the others are done."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import DataError, IntegrityError, InternalError, NotSupportedError, ProgrammingError

from ..exceptions import WeChatOpenError
from .managers import DATABASE_ERRORS

_OF_VALUES = (DataError, IntegrityError, InternalError, NotSupportedError, ProgrammingError)
"""What a database says of values that it refuses."""


def is_of_row(error: Exception) -> bool:
    """Whether the next row may fare better: False when the database itself is away."""
    return isinstance(error, _OF_VALUES) or not isinstance(error, DATABASE_ERRORS)


@contextmanager
def alone(logger: logging.Logger, doing: str, *values: object) -> Iterator[None]:
    """Log the error of one row, named by the text ``doing % values``, and go on; raises what is not the row's own.

    An error that an operator can understand is a warning; any other is logged with its traceback.
    """
    try:
        yield
    except WeChatOpenError as error:
        logger.warning("%s: %s", doing % values, error)
    except Exception as error:
        if not is_of_row(error):
            raise
        logger.exception(doing, *values)

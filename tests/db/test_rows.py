"""An error of one row is logged with its name; an error of the database is raised."""

from __future__ import annotations

import logging

import pytest
from django.db import DataError, IntegrityError, InterfaceError, OperationalError

from wechat_open.db.rows import alone
from wechat_open.exceptions import EncryptionError

logger = logging.getLogger("wechat_open.test")


@pytest.mark.parametrize("error", [DataError("x"), IntegrityError("x"), ValueError("x"), KeyError("x")])
def test_error_of_the_row__is_logged_with_its_name_and_traceback(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    with alone(logger, "Push #%s could not be processed", 7):
        raise error

    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("ERROR", "Push #7 could not be processed")
    ]
    assert caplog.records[0].exc_info is not None


def test_error_that_says_what_is_wrong__is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    with alone(logger, "Push #%s could not be processed", 7):
        raise EncryptionError("its key is missing")

    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("WARNING", "Push #7 could not be processed: its key is missing")
    ]


@pytest.mark.parametrize("error", [OperationalError("gone"), InterfaceError("gone")])
def test_database_that_is_away__is_no_row_of_its_own(error: Exception) -> None:
    with pytest.raises(type(error)), alone(logger, "Push #%s could not be processed", 7):
        raise error

"""``wechat_open run`` prints one line for each kind of failure and minute."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
from django.utils.translation import override

from wechat_open.exceptions import APIError, RefreshTokenRefused
from wechat_open.management.failures import Failures, counted

NOT_RENEWED = "The token of account %s was not renewed: %s"


@pytest.fixture(autouse=True)
def _english() -> Iterator[None]:
    with override("en"):
        yield


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def lines() -> list[str]:
    return []


@pytest.fixture
def logger(lines: list[str], clock: Clock) -> Iterator[logging.Logger]:
    handler = Failures(lines.append, monotonic=clock)
    logger = logging.getLogger("wechat_open.tests.failures")
    logger.addHandler(handler)
    yield logger
    logger.removeHandler(handler)


def busy() -> APIError:
    return APIError(-1, "system error")


def test_thousands_of_failures__are_a_line_each_minute(logger: logging.Logger, lines: list[str], clock: Clock) -> None:
    """102 accounts of which each fails nine times in 18 minutes, as once seen: 5,300 lines."""
    for second in range(18 * 60):
        clock.now = float(second)
        for account in range(5):
            logger.warning(NOT_RENEWED, f"wx{second}{account}", busy())
    assert len(lines) == 18
    assert lines[0] == "The token of account wx00 was not renewed: " + lines[0].partition(": ")[2]
    assert lines[1].startswith("300 more failures of this kind, for example: The token of account wx6")


def test_kinds__differ_by_errcode_and_text_and_not_by_account(logger: logging.Logger, lines: list[str]) -> None:
    logger.warning(NOT_RENEWED, "wx1", busy())
    logger.warning(NOT_RENEWED, "wx2", busy())
    logger.warning(NOT_RENEWED, "wx3", RefreshTokenRefused(61023, "refresh_token is invalid"))
    logger.warning("The profile of account %s could not be read yet: %s", "wx4", busy())
    assert [line.partition("wx")[2][0] for line in lines] == ["1", "3", "4"]


def test_platforms__are_distinguished(logger: logging.Logger, lines: list[str]) -> None:
    for alias in ("default", "second", "default"):
        logger.warning("The component token of platform %r was not renewed: %s", alias, busy())
    assert len(lines) == 2


def test_last_count__is_printed_though_nothing_fails_any_more(
    logger: logging.Logger, lines: list[str], clock: Clock
) -> None:
    (handler,) = logger.handlers
    assert isinstance(handler, Failures)
    for account in range(3):
        logger.warning(NOT_RENEWED, f"wx{account}", busy())
    clock.now = 59.0
    handler.flush_due()
    assert len(lines) == 1
    clock.now = 60.0
    handler.flush_due()
    assert lines[1].startswith("2 more failures of this kind, for example: The token of account wx2")
    logger.warning(NOT_RENEWED, "wx9", busy())
    handler.close()
    assert lines[2].startswith("1 more failure of this kind: The token of account wx9")


def test_unexpected_error__has_its_traceback_once(logger: logging.Logger, lines: list[str]) -> None:
    for _number in range(2):
        try:
            raise ValueError("unforeseen")
        except ValueError:
            logger.exception("Renewing the token of account %s failed unexpectedly.", "wx1")
    assert len(lines) == 1
    assert "Traceback" in lines[0] and "unforeseen" in lines[0]


def test_site_with_logging_of_its_own__keeps_its_records(lines: list[str], caplog: pytest.LogCaptureFixture) -> None:
    with counted(lines.append) as handler:
        assert not handler.attached  # pytest's handler is at the root
        logging.getLogger("wechat_open.tokens").warning(NOT_RENEWED, "wx1", busy())
    assert lines == []
    assert len(caplog.records) == 1


def test_site_without_logging__gets_lines_but_alerts_have_theirs(
    lines: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("wechat_open"), "propagate", False)
    with counted(lines.append) as handler:
        assert handler.attached
        logging.getLogger("wechat_open.tokens").warning(NOT_RENEWED, "wx1", busy())
        logging.getLogger("wechat_open.health.alerts").warning("Alert %s", "beat")
    assert len(lines) == 1
    assert not logging.getLogger("wechat_open").handlers

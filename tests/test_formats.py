"""Spans, numbers and sentences are written as the reader's language writes them."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone
from django.utils.translation import override

from wechat_open.formats import ago, duration


@pytest.mark.parametrize(
    ("span", "english", "chinese"),
    [
        (timedelta(days=800), "2 years", "2 年"),
        (timedelta(days=64), "2 months", "2 个月"),
        (timedelta(days=15), "2 weeks", "2 周"),
        (timedelta(days=1), "1 day", "1 天"),
        (timedelta(hours=5), "5 hours", "5 小时"),
        (timedelta(minutes=1), "1 minute", "1 分钟"),
        (timedelta(seconds=7), "7 seconds", "7 秒"),
    ],
)
def test_span__is_written_as_a_span_and_not_as_a_date(span: timedelta, english: str, chinese: str) -> None:
    """Django's own Chinese for two months is 2 月, which with 前 behind it is "before February"."""
    for language, words in (("en", english), ("zh-hans", chinese)):
        with override(language):
            assert duration(span, units=1).replace("\xa0", " ") == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-1.0, "0 seconds"),
        (0, "0 seconds"),
        (1, "1 second"),
        (119, "119 seconds"),
        (150, "2 minutes"),
        (7300, "2 hours, 1 minute"),
        (200_000, "2 days, 7 hours"),
    ],
)
def test_duration__has_two_units_and_below_two_minutes_seconds(seconds: float, words: str) -> None:
    with override("en"):
        assert duration(seconds).replace("\xa0", " ") == words


def test_units__stand_without_a_comma_in_chinese() -> None:
    with override("zh-hans"):
        assert duration(timedelta(hours=9, minutes=6)).replace("\xa0", " ") == "9 小时 6 分钟"
        assert ago(timezone.now() - timedelta(days=64)).replace("\xa0", " ") == "2 个月前"

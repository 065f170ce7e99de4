"""Are values told in words that the reader uses?"""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone
from django.utils.translation import override

from wechat_open.admin import shown
from wechat_open.admin.shown import ago, duration
from wechat_open.health.finding import lasting
from wechat_open.times import exact, utc_now


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
def test_span__is_told_as_a_span_and_not_as_a_date(span: timedelta, english: str, chinese: str) -> None:
    """Django's own Chinese for two months is 2 月, which with 前 behind it is "before February"."""
    for language, words in (("en", english), ("zh-hans", chinese)):
        with override(language):
            assert duration(span, units=1).replace("\xa0", " ") == words


def test_spans_of_health_and_of_pages__are_the_same_words() -> None:
    span = timedelta(days=64, hours=1)
    with override("zh-hans"):
        assert lasting(span.total_seconds()) == duration(span).replace("\xa0", " ")
        assert ago(timezone.now() - span).replace("\xa0", " ") == "2 个月前"


@pytest.mark.parametrize(
    ("seconds", "told"), [(-7200.0, "2 hours ago"), (7300.0, "in 2 hours"), (-3.0, "3 seconds ago")]
)
def test_exact_time__says_how_long_ago_or_from_now(seconds: float, told: str) -> None:
    at = utc_now() + timedelta(seconds=seconds)
    with override("en"):
        text = str(shown.exactly(at)).replace("\xa0", " ")
    assert f">{exact(at)}</time>" in text and told in text
    assert shown.exactly(None) == shown.NOTHING

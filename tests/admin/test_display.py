"""Values are shown in words that the reader uses."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils.translation import override

from wechat_open.admin import display
from wechat_open.db.times import exact, utc_now


@pytest.mark.parametrize(
    ("seconds", "expected"), [(-7200.0, "2 hours ago"), (7300.0, "in 2 hours"), (-3.0, "3 seconds ago")]
)
def test_exact_time__says_how_long_ago_or_from_now(seconds: float, expected: str) -> None:
    at = utc_now() + timedelta(seconds=seconds)
    with override("en"):
        text = str(display.exactly(at)).replace("\xa0", " ")
    assert f">{exact(at)}</time>" in text and expected in text
    assert display.exactly(None) == display.NOTHING

"""WeChat is asked to push again when no verify ticket comes, and not too often."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from wechat_open.exceptions import APIError
from wechat_open.platforms import Platform
from wechat_open.simulator import Simulator
from wechat_open.tokens.tickets import ensure_tickets

Later = Callable[[timedelta], None]
START = "/cgi-bin/component/api_start_push_ticket"


def test_recent_ticket__needs_no_request(wechat: Simulator, platform: Platform, later: Later) -> None:
    later(timedelta(minutes=29))

    assert not ensure_tickets(platform)
    assert wechat.engine.calls[START] == 0


def test_late_ticket__is_requested_every_ten_minutes(
    wechat: Simulator, platform: Platform, later: Later, caplog: pytest.LogCaptureFixture
) -> None:
    later(timedelta(minutes=31))
    assert ensure_tickets(platform)
    assert "asked WeChat to push. Its answer" in caplog.text

    later(timedelta(minutes=9))
    assert not ensure_tickets(platform)
    later(timedelta(minutes=1, seconds=1))
    assert ensure_tickets(platform)
    assert wechat.engine.calls[START] == 2


def test_no_ticket_at_all__is_requested_at_once(wechat: Simulator, platform: Platform) -> None:
    platform.row.tickets.all().delete()

    assert ensure_tickets(platform)


def test_refusal__is_raised_and_not_repeated_at_once(wechat: Simulator, platform: Platform, later: Later) -> None:
    later(timedelta(minutes=31))
    wechat.faults.add(START, "errcode", 40013)
    with pytest.raises(APIError, match="40013"):
        ensure_tickets(platform)

    assert not ensure_tickets(platform)

"""An account whose handlers leave no thread free is reported, and each message counted once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.messaging.followers import message, receive
from wechat_open import health
from wechat_open.messaging import TooMany, busy, deadlines, on_message
from wechat_open.models import Authorizer, HourlyCount
from wechat_open.platforms import Platform

Wait = Callable[[float], None]
Failures = list[tuple[str, BaseException]]


@pytest.fixture(autouse=True)
def _nothing_reported() -> None:
    busy.forget()


def counted() -> int:
    return sum(HourlyCount.objects.filter(counter=HourlyCount.Counter.HANDLERS_BUSY).values_list("count", flat=True))


def test_message_without_a_thread__is_counted_and_its_account_named(
    platform: Platform,
    shop: Authorizer,
    failures: Failures,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(deadlines, "MAX_THREADS", 0)
    monkeypatch.setattr(deadlines, "_idle", [])
    monkeypatch.setattr(deadlines, "in_transaction", lambda: False)
    on_message(lambda message: "hello")

    with pytest.raises(TooMany):
        receive(platform)

    assert counted() == 1
    assert f"1 messages for account {shop.appid}" in caplog.text
    assert [(handler, type(error)) for handler, error in failures] == [("", TooMany)]
    [finding] = [found for found in health.examine(platform) if found.code == "handlers"]
    assert (str(finding.level), finding.value) == ("amber", 1)


def test_messages_of_one_account__are_reported_together(
    platform: Platform, failures: Failures, caplog: pytest.LogCaptureFixture, wait: Wait
) -> None:
    for _ in range(50):
        busy.report(message(), TooMany("busy"))
    busy.report(message(appid="wxother"), TooMany("busy"))
    assert (counted(), len(failures), caplog.text.count("were refused")) == (2, 2, 2)

    wait(busy.EVERY)
    busy.report(message(), TooMany("busy"))
    assert (counted(), len(failures)) == (52, 3)
    assert "50 messages for account" in caplog.text


def test_accounts_that_were_reported__are_not_remembered_for_ever(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(busy, "MAX_REMEMBERED", 3)
    for number in range(10):
        busy.report(message(appid=f"wx{number}"), TooMany("busy"))

    assert len(busy._seen) <= 3


@pytest.mark.parametrize(("number", "level"), [(0, "green"), (1, "amber"), (99, "amber"), (100, "red")])
def test_health__is_judged_by_the_number(platform: Platform, number: int, level: str) -> None:
    if number:
        busy.audit.increment(HourlyCount.Counter.HANDLERS_BUSY, platform.row, number)

    [finding] = [found for found in health.examine(platform) if found.code == "handlers"]
    assert (str(finding.level), finding.value) == (level, number)


@pytest.mark.parametrize(("number", "level"), [(0, "green"), (1, "amber"), (500, "amber")])
def test_health__reports_refused_deferred_answers(platform: Platform, number: int, level: str) -> None:
    if number:
        busy.audit.increment(HourlyCount.Counter.DEFERRED_REFUSED, platform.row, number)

    findings: Any = {found.code: found for found in health.examine(platform)}
    assert str(findings["deferred"].level) == level

"""Does the report say what is wrong, and nothing that is secret?"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from tests.stage import OFFICIAL, deliver
from wechat_open import clock, component, health, tokens
from wechat_open.component import Platform
from wechat_open.models import Authorizer, Component, Push
from wechat_open.simulator import Simulator

Later = Callable[[timedelta], None]


@pytest.fixture
def healthy(platform: Platform, account: Authorizer) -> None:
    """A platform with all that it needs."""
    tokens.component_token(platform)
    Component.objects.update(heartbeat_at=clock.now(), swept_at=clock.now())


def only() -> dict[str, Any]:
    report: dict[str, Any] = health.report()["components"][0]
    return report


def problems() -> list[str]:
    return list(only()["problems"])


def test_healthy__has_no_problem(healthy: None) -> None:
    report = health.report()

    assert report["ok"]
    facts = report["components"][0]
    assert (facts["alias"], facts["problems"], facts["last_error"]) == ("default", [], "")
    assert facts["accounts"] == {"authorized": 1, "unauthorized": 0, "needs_reauthorization": 0}
    assert 7000 < facts["component_token_expires_in"] <= 7200
    assert 0 <= facts["ticket_age_seconds"] < 60
    assert facts["last_push_at"]


def test_new_platform__has_everything_to_do(db: None) -> None:
    report = health.report()

    assert not report["ok"]
    assert [facts["alias"] for facts in report["components"]] == ["default", "second"]
    assert report["components"][1]["problems"] == [
        "ticket_late",
        "no_component_token",
        "nobody_dispatches",
        "never_swept",
    ]


def test_one_bad_platform__spoils_the_whole_report(healthy: None, settings: Any) -> None:
    good = settings.WECHAT_OPEN["COMPONENTS"]["default"]
    settings.WECHAT_OPEN = {
        **settings.WECHAT_OPEN,
        "COMPONENTS": {"default": good, "second": {**good, "APPID": "wxsecond"}},
    }
    report = health.report()

    assert not report["ok"]
    assert [bool(facts["problems"]) for facts in report["components"]] == [False, True]


def test_no_platform__is_no_problem(db: None, settings: Any) -> None:
    settings.WECHAT_OPEN = {}
    assert health.report() == {"ok": True, "components": []}


@pytest.mark.parametrize(
    ("after", "problem"),
    [
        (timedelta(minutes=26), "ticket_late"),
        (timedelta(hours=2, minutes=1), "no_component_token"),
        (timedelta(hours=2, minutes=1), "tokens_overdue"),
        (timedelta(minutes=3), "nobody_dispatches"),
        (timedelta(hours=2, minutes=1), "sweep_late"),
    ],
)
def test_time_that_passes_without_work__is_a_problem(
    healthy: None, later: Later, after: timedelta, problem: str
) -> None:
    assert problem not in problems()
    later(after)
    assert problem in problems()


def test_account_that_needs_its_owner__is_a_problem(healthy: None) -> None:
    Authorizer.objects.update(state=Authorizer.State.NEEDS_REAUTHORIZATION)

    assert problems() == ["accounts_need_reauthorization"]
    assert only()["accounts"]["needs_reauthorization"] == 1


def test_cancelled_account__is_none(healthy: None, later: Later) -> None:
    Authorizer.objects.update(state=Authorizer.State.UNAUTHORIZED, next_action_at=None)

    assert problems() == []


@pytest.mark.parametrize("state", [Push.State.RECEIVED, Push.State.FAILED])
def test_push_that_waits__is_a_problem_after_a_while(
    wechat: Simulator, platform: Platform, healthy: None, later: Later, state: str
) -> None:
    deliver(platform, wechat.engine.unauthorize(OFFICIAL))
    Push.objects.update(state=state)
    assert "pushes_waiting" not in problems()

    later(timedelta(minutes=6))
    assert "pushes_waiting" in problems()
    assert only()["pushes_waiting"] == Push.objects.count()


def test_pause__is_a_problem_until_it_ends(healthy: None, later: Later) -> None:
    Component.objects.update(paused_until=clock.now() + timedelta(minutes=1), last_error="WeChat answered 61004")
    assert problems() == ["renewals_paused"]
    assert (only()["last_error"], bool(only()["paused_until"])) == ("WeChat answered 61004", True)

    later(timedelta(seconds=61))
    assert problems() == []
    assert (only()["last_error"], only()["paused_until"]) == ("", None)


def test_refused_account__is_counted(healthy: None) -> None:
    Authorizer.objects.update(refused_since=clock.now())
    assert only()["refused"] == 1


def test_clock_that_went_back__makes_no_negative_age(healthy: None, platform: Platform) -> None:
    platform.row.tickets.update(received_at=clock.now() + timedelta(hours=1))
    assert only()["ticket_age_seconds"] == 0


def test_report__is_json_without_a_secret(wechat: Simulator, platform: Platform, healthy: None) -> None:
    text = json.dumps(health.report())
    account = Authorizer.objects.get()
    secrets = [
        wechat.engine.ticket,
        tokens.component_token(platform).reveal(),
        account.reveal("access_token").reveal(),
        account.reveal("refresh_token").reveal(),
        component.platform().endpoints.appsecret.reveal(),
    ]

    assert not any(secret in text for secret in secrets)


def test_many_accounts__cost_no_more_queries(healthy: None, django_assert_max_num_queries: Any) -> None:
    row = Component.objects.get()
    Authorizer.objects.bulk_create(Authorizer(component=row, appid=f"wx{number}") for number in range(300))

    with django_assert_max_num_queries(10):
        health.report()

"""An alert is sent when a finding begins, hourly while it lasts and once when it is over, by one worker only."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connections

from tests import failing_cache
from tests.failing_cache import Failing
from wechat_open import health, signals, tasks, tokens
from wechat_open.health import alerts, statistics, timeouts
from wechat_open.models import Alert, Authorizer, Component
from wechat_open.platforms import Platform

Later = Callable[[timedelta], None]
Sent = list[dict[str, Any]]


@pytest.fixture
def sent() -> Iterator[Sent]:
    """What receivers of the signal got."""
    received: Sent = []
    lock = threading.Lock()

    def receive(sender: type[Alert], signal: Any, **facts: Any) -> None:
        assert sender is Alert
        with lock:
            received.append(facts)

    signals.alert.connect(receive)
    yield received
    signals.alert.disconnect(receive)


@pytest.fixture
def healthy(platform: Platform, account: Authorizer) -> Platform:
    tokens.run_due(platform)
    tokens.reconcile(platform)
    statistics.record_beat(platform)
    return platform


def skew(seconds: float) -> None:
    """WeChat's clock is that far ahead: amber from 30 on, red from 120."""
    Component.objects.update(skew_seconds=seconds)


def changes(sent: Sent) -> list[tuple[str, str, bool]]:
    news = [(facts["code"], facts["severity"], facts["resolved"]) for facts in sent]
    sent.clear()
    return news


class Watch:
    """Compares findings and alerts, as the task of beat does."""

    def __init__(self, later: Later) -> None:
        self.later = later

    def after(self, **time: float) -> int:
        """Later; what time alone makes worse is sent too."""
        self.later(timedelta(**time))
        return self()

    def __call__(self) -> int:
        timeouts.forget()
        return alerts.watch()


@pytest.fixture
def watch(healthy: Platform, later: Later) -> Watch:
    return Watch(later)


def test_healthy_platform__sends_nothing(watch: Watch, sent: Sent) -> None:
    assert watch() == 0
    assert (sent, Alert.objects.count()) == ([], 0)


def test_finding__is_sent_once_with_all_its_facts(watch: Watch, sent: Sent) -> None:
    skew(40)
    assert (watch(), watch()) == (1, 0)

    (facts,) = sent
    row = Alert.objects.get()
    assert (facts["code"], facts["severity"], facts["platform"]) == ("clock_skew", "warning", "default")
    assert (facts["resolved"], facts["count"], facts["first_seen"]) == (False, 1, row.first_seen_at)
    assert "NTP" in facts["context"].pop("hint")
    assert "40.0 seconds" in facts["context"].pop("message")
    assert facts["context"] == {"value": 40.0, "page": "platform"}
    assert (row.count, row.resolved_at) == (2, None)


def test_worse_and_better__are_sent(watch: Watch, sent: Sent) -> None:
    for seconds in (40, 130, 140, 50):
        skew(seconds)
        watch()

    assert changes(sent) == [
        ("clock_skew", "warning", False),
        ("clock_skew", "critical", False),
        ("clock_skew", "warning", False),
    ]


def only(sent: Sent, code: str) -> list[tuple[str, bool]]:
    news = [(facts["severity"], facts["resolved"]) for facts in sent if facts["code"] == code]
    sent.clear()
    return news


def test_lasting_finding__is_sent_again_after_an_hour(watch: Watch, sent: Sent) -> None:
    Component.objects.update(reconcile_repairs=1)
    watch()
    assert only(sent, "reconciliation_repairs") == [("warning", False)]

    watch.after(minutes=59)
    assert only(sent, "reconciliation_repairs") == []
    watch.after(minutes=2)
    [facts] = [facts for facts in sent if facts["code"] == "reconciliation_repairs"]
    row = Alert.objects.get(code="reconciliation_repairs")
    assert (facts["count"], facts["first_seen"]) == (3, row.first_seen_at)
    assert row.last_seen_at - facts["first_seen"] > timedelta(hours=1)
    assert only(sent, "reconciliation_repairs") == [("warning", False)]
    watch()
    assert only(sent, "reconciliation_repairs") == []


def test_end__is_sent_when_it_has_been_green_for_a_while(watch: Watch, sent: Sent) -> None:
    Component.objects.update(reconcile_repairs=1)
    watch()
    sent.clear()
    Component.objects.update(reconcile_repairs=0)

    watch.after(minutes=1)
    assert only(sent, "reconciliation_repairs") == []
    watch.after(minutes=2)
    assert only(sent, "reconciliation_repairs") == [("warning", True)]
    watch()
    assert only(sent, "reconciliation_repairs") == []
    row = Alert.objects.get(code="reconciliation_repairs")
    assert (row.open_key, row.resolved_at is not None) == (None, True)


def test_finding_that_comes_back__is_a_new_alert(watch: Watch, sent: Sent) -> None:
    for repairs in (1, 0, 1):
        Component.objects.update(reconcile_repairs=repairs)
        watch.after(minutes=3)

    assert only(sent, "reconciliation_repairs") == [("warning", False), ("warning", True), ("warning", False)]
    assert Alert.objects.filter(code="reconciliation_repairs").count() == 2


def test_finding_on_the_brink__is_not_sent_each_time(watch: Watch, sent: Sent) -> None:
    for repairs in (1, 0, 1, 0, 1):
        Component.objects.update(reconcile_repairs=repairs)
        watch.after(seconds=30)

    assert only(sent, "reconciliation_repairs") == [("warning", False)]


def test_finding_of_the_site__belongs_to_no_platform(watch: Watch, sent: Sent, settings: Any) -> None:
    settings.CACHES = failing_cache.CACHES
    Failing.down = True
    try:
        watch()
    finally:
        Failing.down = False

    (facts,) = sent
    assert (facts["code"], facts["platform"]) == ("cache", "")
    assert Alert.objects.get().component is None


@pytest.fixture
def platforms(settings: Any) -> Callable[..., None]:
    """Other platforms in the settings beside "default", by their aliases: what differs, or whatever stands there."""
    good = settings.WECHAT_OPEN["COMPONENTS"]["default"]

    def configure(**others: Any) -> None:
        given = {alias: {**good, **other} if isinstance(other, dict) else other for alias, other in others.items()}
        settings.WECHAT_OPEN = {**settings.WECHAT_OPEN, "COMPONENTS": {**given, "default": good}}

    return configure


def test_platforms__have_alerts_of_their_own(watch: Watch, sent: Sent, platforms: Callable[..., None]) -> None:
    platforms(second={"APPID": "wxsecond"})
    watch()

    assert {facts["platform"] for facts in sent} == {"second"}
    assert "ticket_age" in {facts["code"] for facts in sent}


@pytest.mark.parametrize("broken", [{"APPSECRET": ""}, None])
def test_platform_with_unusable_settings__keeps_no_other_from_being_watched(
    watch: Watch, sent: Sent, platforms: Callable[..., None], broken: Any
) -> None:
    platforms(broken=broken)
    skew(40)
    watch()

    assert {(facts["code"], facts["platform"]) for facts in sent} == {("settings", ""), ("clock_skew", "default")}


def test_platform_that_is_called_otherwise_now__is_sent_with_its_new_name(
    watch: Watch, sent: Sent, platforms: Callable[..., None]
) -> None:
    platforms(second={"APPID": "wxsecond"})
    watch()
    sent.clear()

    platforms(other={"APPID": "wxsecond"})
    watch.after(minutes=61)
    assert {facts["platform"] for facts in sent} >= {"other"}
    assert "second" not in {facts["platform"] for facts in sent}


def test_platform_that_is_removed__is_over_with_what_was_wrong_with_it(
    watch: Watch, sent: Sent, platforms: Callable[..., None]
) -> None:
    platforms(second={"APPID": "wxsecond"})
    watch()
    open_before = {(facts["code"], facts["severity"]) for facts in sent}
    sent.clear()

    platforms()
    watch.after(minutes=1)
    assert [facts for facts in sent if facts["platform"] == "second"] == [], "a process may not know it yet, or still"
    watch.after(minutes=2)
    closed = [facts for facts in sent if facts["platform"] == "second"]
    assert {(facts["code"], facts["severity"]) for facts in closed} == open_before
    assert all(facts["resolved"] for facts in closed)
    assert not Alert.objects.filter(component__appid="wxsecond", open_key__isnull=False).exists()
    assert watch() == 0


def test_platform_that_may_only_have_unusable_settings__is_not_over(
    watch: Watch, sent: Sent, platforms: Callable[..., None]
) -> None:
    platforms(second={"APPID": "wxsecond"})
    watch()
    sent.clear()

    platforms(second={"APPID": ""})
    watch.after(minutes=3)
    assert "second" not in {facts["platform"] for facts in sent}
    assert Alert.objects.filter(component__appid="wxsecond", open_key__isnull=False).exists()


def test_receiver_that_fails__is_no_reason_to_send_again(watch: Watch, sent: Sent) -> None:
    def fail(**_: Any) -> None:
        raise RuntimeError("no mail server")

    signals.alert.connect(fail)
    try:
        skew(40)
        assert (watch(), watch()) == (1, 0)
    finally:
        signals.alert.disconnect(fail)
    assert len(sent) == 1


def test_task__watches(watch: Watch, sent: Sent) -> None:
    skew(40)
    tasks.watch_health()

    assert changes(sent) == [("clock_skew", "warning", False)]


def test_resolved_alerts__are_kept_for_months(watch: Watch, later: Later) -> None:
    Component.objects.update(reconcile_repairs=1)
    watch()
    Component.objects.update(reconcile_repairs=0)
    watch.after(minutes=3)
    assert alerts.prune() == 0

    later(timedelta(days=91))
    assert alerts.prune() == 1


class TestManyAtOnce:
    """Two beats, or a task that comes twice."""

    @pytest.fixture
    def together(self, transactional_db: None, healthy: Platform) -> Callable[[], None]:
        def look() -> None:
            start = threading.Barrier(4)

            def work() -> None:
                try:
                    start.wait()
                    alerts.watch()
                finally:
                    connections.close_all()

            threads = [threading.Thread(target=work) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()

        return look

    def test_four_threads__send_once_that_it_began_got_worse_and_ended(
        self, together: Callable[[], None], sent: Sent
    ) -> None:
        skew(40)
        together()
        assert changes(sent) == [("clock_skew", "warning", False)]

        skew(130)
        together()
        assert changes(sent) == [("clock_skew", "critical", False)]

        skew(0)
        Alert.objects.update(last_seen_at="2026-01-01T00:00:00Z")
        together()
        assert changes(sent) == [("clock_skew", "critical", True)]

    def test_two_processes__send_once(self, process_environment: dict[str, str]) -> None:
        """Of the platforms in the settings, which know no WeChat: there is a lot to tell."""
        code = "import django; django.setup(); from wechat_open.health import alerts; print(alerts.watch())"
        command = [sys.executable, "-c", code]
        processes = [
            subprocess.Popen(command, env=process_environment, stdout=subprocess.PIPE, text=True) for _ in range(2)
        ]
        numbers = [int(process.communicate(timeout=60)[0].splitlines()[-1]) for process in processes]

        assert sum(numbers) == Alert.objects.count() > 0


class TestCrashWhileSending:
    """A receiver may hang, and its worker be killed."""

    CODE = """
import json, os, signal
from datetime import timedelta
import django
django.setup()
from django.conf import settings
from wechat_open import signals
from wechat_open.db import clock
from wechat_open.health import alerts
settings.WECHAT_OPEN = json.loads(os.environ["WECHAT_OPEN"])
now = clock.now
clock.now = lambda: now() + timedelta(minutes=%d)
def die(code, resolved, **facts):
    if code == "reconciliation_repairs" and resolved == %r:
        os.kill(os.getpid(), signal.SIGKILL)
signals.alert.connect(die)
alerts.watch()
"""

    @pytest.fixture
    def dying(self, process_environment: dict[str, str], settings: Any) -> Callable[..., None]:
        """Compare in another process, which crashes while it sends that it began, or is over."""

        def look(*, resolved: bool, after: int = 0) -> None:
            environment = {**process_environment, "WECHAT_OPEN": json.dumps(settings.WECHAT_OPEN)}
            victim = subprocess.run([sys.executable, "-c", self.CODE % (after, resolved)], env=environment, check=False)
            assert victim.returncode == -signal.SIGKILL

        return look

    def test_beginning__is_sent_by_the_next_worker(self, watch: Watch, sent: Sent, dying: Callable[..., None]) -> None:
        Component.objects.update(reconcile_repairs=1)
        dying(resolved=False)
        watch()
        assert only(sent, "reconciliation_repairs") == [], "the other one may still be at it"
        watch.after(minutes=3)
        assert only(sent, "reconciliation_repairs") == [("warning", False)]

    def test_change_for_the_better_of_an_acknowledged_alert__is_sent_by_the_next_worker(
        self, watch: Watch, sent: Sent, dying: Callable[..., None]
    ) -> None:
        """It is not repeated every hour, and has not been sent either. On an old platform a repair is worse."""
        now = datetime.now(timezone.utc)
        Component.objects.update(reconcile_repairs=1, created_at=now - timedelta(days=3))
        watch()
        alerts.acknowledge(Alert.objects.all(), User.objects.create_user("li"))
        sent.clear()
        Component.objects.update(created_at=now)
        dying(resolved=False)
        watch()
        assert only(sent, "reconciliation_repairs") == [], "the other one may still be at it"
        watch.after(minutes=3)
        watch.after(minutes=61)
        assert only(sent, "reconciliation_repairs") == [("warning", False)]

    def test_end__is_sent_by_the_next_worker(self, watch: Watch, sent: Sent, dying: Callable[..., None]) -> None:
        Component.objects.update(reconcile_repairs=1)
        watch()
        sent.clear()
        Component.objects.update(reconcile_repairs=0)
        dying(resolved=True, after=3)
        watch.after(minutes=6)
        assert only(sent, "reconciliation_repairs") == [("warning", True)]
        watch.after(minutes=6)
        assert only(sent, "reconciliation_repairs") == []

    def test_end_that_was_none__is_taken_back(self, watch: Watch, sent: Sent, dying: Callable[..., None]) -> None:
        Component.objects.update(reconcile_repairs=1)
        watch()
        sent.clear()
        Component.objects.update(reconcile_repairs=0)
        dying(resolved=True, after=3)
        Component.objects.update(reconcile_repairs=1)
        watch.after(minutes=3)
        assert only(sent, "reconciliation_repairs") == [("warning", False)]
        assert (
            Alert.objects.filter(code="reconciliation_repairs", open_key__isnull=False, resolved_at=None).count() == 1
        )


# -- acknowledged and muted --------------------------------------------------------------------------------------------


@pytest.fixture
def li(db: None) -> User:
    return User.objects.create_user("li")


def repairs(number: int) -> None:
    """Amber while it is not zero, and nothing else is."""
    Component.objects.update(reconcile_repairs=number)


def test_acknowledged_alert__is_not_repeated_until_it_gets_worse(watch: Watch, sent: Sent, li: User) -> None:
    repairs(1)
    watch()
    assert alerts.acknowledge(Alert.objects.all(), li)
    assert not alerts.acknowledge(Alert.objects.all(), li), "once"
    changes(sent)

    watch.after(minutes=61)
    watch.after(minutes=61)
    assert only(sent, "reconciliation_repairs") == []
    assert Alert.objects.get(code="reconciliation_repairs").count == 3

    repairs(5)
    Component.objects.update(created_at=datetime.now(timezone.utc) - timedelta(days=3))  # no longer a new platform
    watch()
    assert only(sent, "reconciliation_repairs") == [("critical", False)]
    assert Alert.objects.get(code="reconciliation_repairs").acknowledged_at is None
    watch.after(minutes=61)
    assert only(sent, "reconciliation_repairs") == [("critical", False)]


def test_end_of_an_acknowledged_alert__is_sent(watch: Watch, sent: Sent, li: User) -> None:
    repairs(1)
    watch()
    alerts.acknowledge(Alert.objects.filter(code="reconciliation_repairs"), li)
    repairs(0)
    watch.after(minutes=3)
    assert only(sent, "reconciliation_repairs") == [("warning", False), ("warning", True)]


def test_muted_alert__is_counted_and_not_sent_until_the_mute_ends(watch: Watch, sent: Sent, li: User) -> None:
    skew(40)
    watch()
    changes(sent)
    assert alerts.mute(Alert.objects.all(), li, timedelta(hours=8))

    skew(130)
    watch.after(hours=2)
    watch.after(hours=5)
    assert only(sent, "clock_skew") == []
    row = Alert.objects.get(code="clock_skew")
    assert (row.count, row.severity, row.muted_by) == (3, "critical", "li")

    watch.after(minutes=61)
    assert only(sent, "clock_skew") == [("critical", False)]
    watch()
    assert only(sent, "clock_skew") == []
    watch.after(minutes=61)
    assert only(sent, "clock_skew") == [("critical", False)]


def test_short_mute__is_followed_by_a_reminder(watch: Watch, sent: Sent, li: User, later: Later) -> None:
    """The alert was sent 50 minutes before the mute of an hour ends: it is sent when that ends, not later."""
    repairs(1)
    watch()
    alerts.mute(Alert.objects.filter(code="reconciliation_repairs"), li, timedelta(hours=1))
    changes(sent)
    watch.after(minutes=59)
    assert only(sent, "reconciliation_repairs") == []
    watch.after(minutes=2)
    assert only(sent, "reconciliation_repairs") == [("warning", False)]


def test_mute__outlasts_an_alert_that_comes_and_goes(watch: Watch, sent: Sent, li: User) -> None:
    repairs(1)
    watch()
    alerts.mute(Alert.objects.filter(code="reconciliation_repairs"), li, timedelta(hours=8))
    repairs(0)
    watch.after(minutes=3)
    watch()
    assert only(sent, "reconciliation_repairs") == [("warning", False), ("warning", True)], (
        "receivers of its beginning get its end"
    )

    repairs(1)
    watch()
    repairs(0)
    watch.after(minutes=3)
    assert only(sent, "reconciliation_repairs") == []
    assert Alert.objects.filter(code="reconciliation_repairs", open_key=None, resolved_at__isnull=False).count() == 2
    repairs(1)
    watch.after(hours=8)
    assert only(sent, "reconciliation_repairs") == [("warning", False)]


def test_ended_mute__sends_it_again_at_once(watch: Watch, sent: Sent, li: User) -> None:
    repairs(1)
    watch()
    alerts.mute(Alert.objects.filter(code="reconciliation_repairs"), li, timedelta(days=7))
    watch.after(minutes=61)
    changes(sent)
    assert alerts.unmute(Alert.objects.filter(code="reconciliation_repairs"), li)
    assert not alerts.unmute(Alert.objects.filter(code="reconciliation_repairs"), li)
    watch.after(seconds=1)
    assert only(sent, "reconciliation_repairs") == [("warning", False)]


def test_mute__has_one_of_the_given_lengths(watch: Watch, li: User) -> None:
    repairs(1)
    watch()
    with pytest.raises(ValueError, match="MUTES"):
        alerts.mute(Alert.objects.filter(code="reconciliation_repairs"), li, timedelta(days=3650))


def test_muted_and_acknowledged_finding__stays_red_in_health(watch: Watch, healthy: Platform, li: User) -> None:
    skew(130)
    watch()
    alerts.mute(Alert.objects.all(), li, timedelta(days=7))
    alerts.acknowledge(Alert.objects.all(), li)
    assert {found.code: found.level for found in health.examine(healthy)}["clock_skew"] is health.RED
    assert health.report()["ok"] is False

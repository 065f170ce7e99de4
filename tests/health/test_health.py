"""Each check turns red when something breaks and green when it is fixed, and shows no secret."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pytest
from celery import Celery
from django.conf import settings
from django.db import OperationalError, connection
from django.test import override_settings
from django.utils import translation

from tests import failing_cache
from tests.celery_app import app
from tests.failing_cache import Failing
from tests.stage import OFFICIAL, deliver, process
from wechat_open import audit, authorization, health, inbox, messaging, platforms, tokens
from wechat_open.db import clock
from wechat_open.health import AMBER, GREEN, RED, Finding, Level, checks, facts, statistics, timeouts
from wechat_open.models import AuditEntry, Authorizer, Component, HourlyCount, Push
from wechat_open.operations import reencryption
from wechat_open.platforms import Platform
from wechat_open.simulator import Simulator

SECRET_KEY = settings.SECRET_KEY
REFRESH = "/cgi-bin/component/api_authorizer_token"


class Scene:
    """A platform in good order, and the time that passes for it and for WeChat alike."""

    def __init__(self, wechat: Simulator, platform: Platform, settings: Any, move: Callable[[timedelta], None]) -> None:
        self.wechat = wechat
        self.platform = platform
        self.settings = settings
        self.broken = ExitStack()
        self._move = move

    def later(self, **time: float) -> None:
        self._move(timedelta(**time))
        self.wechat.engine.clock.advance(timedelta(**time).total_seconds())

    def configure(self, **changes: Any) -> None:
        self.settings.WECHAT_OPEN = {**self.settings.WECHAT_OPEN, **changes}

    def accounts(self, number: int) -> None:
        """More of them, with nothing to do for hours."""
        far = clock.now() + timedelta(hours=9)
        rows = [Authorizer(component=self.platform.row, appid=f"wxmore{place}") for place in range(number)]
        Authorizer.objects.bulk_create(rows)
        Authorizer.objects.filter(appid__startswith="wxmore").update(next_action_at=far, access_token_expires_at=far)

    def pushes(self, number: int) -> None:
        """That no worker has processed."""
        row = self.platform.row
        now = clock.read()
        at = Component.objects.annotate(now=now).get(pk=row.pk).now  # type: ignore[attr-defined]
        Push.objects.bulk_create(
            Push(component=row, digest=f"d{place}", info_type="unauthorized", created_at=at, received_at=at)
            for place in range(number)
        )

    def found(self, code: str) -> Finding:
        timeouts.forget()
        (found,) = (found for found in health.examine(platforms.get()) if found.code == code)
        return found


@pytest.fixture
def scene(
    wechat: Simulator, platform: Platform, account: Authorizer, settings: Any, later: Callable[[timedelta], None]
) -> Iterator[Scene]:
    tokens.run_due(platform)
    tokens.reconcile(platform)
    statistics.record_beat(platform)
    settings.WECHAT_OPEN = {**settings.WECHAT_OPEN, "TIMEOUT": (1, 2)}
    scene = Scene(wechat, platform, settings, later)
    with scene.broken:
        yield scene


@dataclass(frozen=True)
class Fault:
    """Something that happens, how bad that is, and what fixes it."""

    code: str
    level: Level
    happens: Callable[[Scene], object]
    fixes: Callable[[Scene], object]

    def __str__(self) -> str:
        return f"{self.code}-{self.level}-{self.happens.__name__}"


FAULTS: list[Fault] = []


def fault(code: str, level: Level, fixes: Callable[[Scene], object]) -> Callable[[Any], Any]:
    def add(happens: Callable[[Scene], object]) -> Callable[[Scene], object]:
        FAULTS.append(Fault(code, level, happens, fixes))
        return happens

    return add


# -- what fixes --------------------------------------------------------------------------------------------------------


def ticket_comes(scene: Scene) -> None:
    deliver(scene.platform, scene.wechat.engine.new_ticket())


def worker_comes(scene: Scene) -> None:
    tokens.run_due(scene.platform)


def beat_sends_its_task(scene: Scene) -> None:
    statistics.record_beat(scene.platform)


def reconciles(scene: Scene) -> None:
    tokens.reconcile(scene.platform)


def hour_passes(scene: Scene) -> None:
    scene.later(minutes=61)


def undone(scene: Scene) -> None:
    scene.broken.close()


# -- tickets and the platform's own token ------------------------------------------------------------------------------


@fault("ticket_age", AMBER, ticket_comes)
def no_ticket_for_26_minutes(scene: Scene) -> None:
    scene.later(minutes=26)


@fault("ticket_age", RED, ticket_comes)
def no_ticket_for_6_hours(scene: Scene) -> None:
    scene.later(hours=6, minutes=1)


@fault("ticket_age", RED, ticket_comes)
def never_a_ticket(scene: Scene) -> None:
    scene.platform.row.tickets.all().delete()


@fault("push_service", AMBER, ticket_comes)
def tickets_were_not_requested(scene: Scene) -> None:
    scene.later(minutes=31)


@fault("push_service", AMBER, ticket_comes)
def wechat_was_asked_and_has_a_moment_to_push(scene: Scene) -> None:
    scene.later(minutes=31)
    tokens.ensure_tickets(scene.platform)


@fault("push_service", RED, ticket_comes)
def wechat_was_asked_and_pushes_nothing(scene: Scene) -> None:
    scene.later(minutes=46)
    tokens.ensure_tickets(scene.platform)


@fault("component_token", AMBER, worker_comes)
def component_token_ends_in_19_minutes(scene: Scene) -> None:
    scene.later(minutes=101)


@fault("component_token", RED, worker_comes)
def component_token_ends_in_4_minutes(scene: Scene) -> None:
    scene.later(minutes=116)


@fault("component_token", RED, worker_comes)
def component_token_has_ended(scene: Scene) -> None:
    scene.later(minutes=121)


def an_account_is_tried(scene: Scene) -> None:
    scene.later(seconds=6)
    tokens.run_due(scene.platform)


@fault("paused", AMBER, an_account_is_tried)
def quota_is_used_up(scene: Scene) -> None:
    scene.wechat.faults.add(REFRESH, "errcode", 45009)
    Authorizer.objects.update(next_action_at=clock.now())
    tokens.run_due(scene.platform)


@fault("paused", RED, an_account_is_tried)
def address_is_not_on_the_whitelist(scene: Scene) -> None:
    scene.wechat.faults.add(REFRESH, "errcode", 61004)
    Authorizer.objects.update(next_action_at=clock.now())
    tokens.run_due(scene.platform)


def minutes_pass(scene: Scene) -> None:
    scene.later(minutes=3, seconds=1)


@fault("unanswered", AMBER, minutes_pass)
def host_has_no_way_to_wechat(scene: Scene) -> None:
    scene.configure(API_BASE_URL="http://127.0.0.1:9")
    Authorizer.objects.update(next_action_at=clock.now())
    tokens.run_due(platforms.get())


def hours_pass(scene: Scene) -> None:
    for row in HourlyCount.objects.all():
        HourlyCount.objects.filter(pk=row.pk).update(hour=row.hour - timedelta(hours=2))


@fault("forced_renewals", AMBER, hours_pass)
def wechat_refused_the_component_token_3_times(scene: Scene) -> None:
    for _ in range(3):
        scene.later(seconds=61)
        assert tokens.ComponentKeeper(scene.platform).invalidate(tokens.component_token(scene.platform))


@fault("forced_renewals", RED, hours_pass)
def another_system_takes_the_component_token(scene: Scene) -> None:
    for _ in range(20):
        tokens.ComponentKeeper(scene.platform).invalidate(tokens.component_token(scene.platform))
        Component.objects.update(forced_at=clock.now() - timedelta(minutes=1))


def days_pass(scene: Scene) -> None:
    AuditEntry.objects.update(at=clock.now() - timedelta(days=2))


@fault("misused_codes", AMBER, days_pass)
def a_code_was_presented_through_another_link(scene: Scene) -> None:
    audit.record(audit.Kind.CODE_MISUSED, scene.platform.row, detail="#7")


@fault("misused_codes", RED, days_pass)
def codes_were_presented_through_other_links(scene: Scene) -> None:
    for _ in range(3):
        audit.record(audit.Kind.CODE_MISUSED, scene.platform.row, detail="#7")


@fault("handlers", AMBER, hours_pass)
def handlers_of_an_account_hang(scene: Scene) -> None:
    audit.increment(audit.Counter.HANDLERS_BUSY, scene.platform.row)


@fault("handlers", RED, hours_pass)
def handlers_of_a_busy_account_hang(scene: Scene) -> None:
    audit.increment(audit.Counter.HANDLERS_BUSY, scene.platform.row, 100)


@fault("deferred", AMBER, hours_pass)
def a_task_names_a_function_that_is_not_registered(scene: Scene) -> None:
    messaging.background.take_over("os.system", scene.platform.alias, "wx0", {}, {})


def wechats_clock_is_right_again(scene: Scene) -> None:
    scene.wechat.engine.clock._ahead = 0
    tokens.ComponentKeeper(scene.platform).renew_now()


@fault("clock_skew", AMBER, wechats_clock_is_right_again)
def wechats_clock_is_40_seconds_ahead(scene: Scene) -> None:
    scene.wechat.engine.clock.advance(40)
    tokens.ComponentKeeper(scene.platform).renew_now()


@fault("clock_skew", RED, wechats_clock_is_right_again)
def wechats_clock_is_130_seconds_ahead(scene: Scene) -> None:
    scene.wechat.engine.clock.advance(130)
    tokens.ComponentKeeper(scene.platform).renew_now()


# -- beat and workers --------------------------------------------------------------------------------------------------


@fault("renewals", AMBER, worker_comes)
def no_worker_checks_for_31_seconds(scene: Scene) -> None:
    scene.later(seconds=31)


@fault("renewals", RED, worker_comes)
def no_worker_checks_for_121_seconds(scene: Scene) -> None:
    scene.later(seconds=121)


@fault("renewals", RED, worker_comes)
def no_worker_has_ever_checked(scene: Scene) -> None:
    Component.objects.update(heartbeat_at=None, created_at=clock.now() - timedelta(minutes=3))


@fault("beat", AMBER, beat_sends_its_task)
def beat_is_silent_for_151_seconds(scene: Scene) -> None:
    scene.later(seconds=151)


@fault("beat", RED, beat_sends_its_task)
def beat_is_silent_for_5_minutes(scene: Scene) -> None:
    scene.later(seconds=301)


@fault("beat", RED, beat_sends_its_task)
def beat_has_never_sent_a_task(scene: Scene) -> None:
    Component.objects.update(beat_at=None, created_at=clock.now() - timedelta(minutes=6))


# -- accounts ----------------------------------------------------------------------------------------------------------


@fault("overdue", AMBER, worker_comes)
def one_of_200_accounts_is_overdue(scene: Scene) -> None:
    scene.accounts(200)
    scene.later(hours=1, minutes=36)
    Authorizer.objects.filter(appid=OFFICIAL).update(next_action_at=clock.now() - timedelta(minutes=6))


@fault("overdue", RED, worker_comes)
def every_account_is_overdue(scene: Scene) -> None:
    scene.later(hours=1, minutes=42)


@fault("overdue", RED, worker_comes)
def one_of_200_accounts_is_overdue_for_21_minutes(scene: Scene) -> None:
    scene.accounts(200)
    Authorizer.objects.filter(appid=OFFICIAL).update(next_action_at=clock.now() - timedelta(minutes=21))


@fault("expired_tokens", AMBER, worker_comes)
def one_of_200_tokens_has_expired(scene: Scene) -> None:
    scene.accounts(200)
    scene.later(hours=2, minutes=1)


@fault("expired_tokens", RED, worker_comes)
def every_token_has_expired(scene: Scene) -> None:
    scene.later(hours=2, minutes=1)


def renewed_again(scene: Scene) -> None:
    scene.wechat.faults.clear()
    scene.later(minutes=40)
    tokens.run_due(scene.platform)


def refused(scene: Scene, errcode: int, minutes: int, **which: Any) -> None:
    """WeChat answers so to every renewal, for some minutes."""
    scene.wechat.faults.add(REFRESH, "errcode", errcode, times=10**6, **which)
    Authorizer.objects.filter(appid=OFFICIAL).update(next_action_at=clock.now(), access_token_expires_at=clock.now())
    for _ in range(minutes):
        tokens.run_due(scene.platform)
        scene.later(minutes=1)


@fault("failing_renewals", RED, renewed_again)
def every_renewal_fails_for_twenty_minutes(scene: Scene) -> None:
    refused(scene, -1, 20)


@fault("failing_renewals", AMBER, renewed_again)
def the_renewals_of_one_of_50_accounts_fail(scene: Scene) -> None:
    scene.accounts(49)
    refused(scene, -1, 10)


@fault("restricted", AMBER, renewed_again)
def an_account_is_frozen(scene: Scene) -> None:
    refused(scene, 50002, 1)


@fault("restricted", RED, renewed_again)
def every_account_is_refused_for_its_appid(scene: Scene) -> None:
    """That is the platform's fault."""
    for number in range(5):
        scene.wechat.engine.add_account(f"Shop {number}", "official", appid=f"wxshop{number}")
        process(scene.platform, scene.wechat.engine.authorize(f"wxshop{number}").push)
    scene.wechat.faults.add(REFRESH, "errcode", 40013, times=10**6)
    for _ in range(30):
        Authorizer.objects.update(next_action_at=clock.now(), access_token_expires_at=clock.now())
        tokens.run_due(scene.platform)
        scene.later(minutes=10)


@fault("needs_reauthorization", AMBER, hour_passes)
def an_account_needs_its_owner(scene: Scene) -> None:
    Authorizer.objects.update(state=Authorizer.State.NEEDS_REAUTHORIZATION, needs_announcing=True, announcement=7)
    authorization.announce_all(scene.platform)


def brake_is_on(scene: Scene) -> None:
    """WeChat's list lacks an account, and one is many here."""
    scene.configure(BRAKE_ACCOUNTS=1, BRAKE_SHARE=0)
    scene.wechat.engine.unauthorize(OFFICIAL)
    scene.later(minutes=1)
    tokens.reconcile(scene.platform)


fault("brake", RED, hour_passes)(brake_is_on)
fault("needs_reauthorization", RED, hour_passes)(brake_is_on)


# -- pushes, reconciliation, keys --------------------------------------------------------------------------------------


def replayed(scene: Scene) -> None:
    scene.wechat.faults.clear()
    for push in Push.objects.all():
        assert inbox.replay(push)


@fault("inbox", AMBER, replayed)
def a_push_was_given_up(scene: Scene) -> None:
    push = deliver(scene.platform, scene.wechat.engine.unauthorize(OFFICIAL))
    assert push
    Push.objects.update(state=Push.State.ABANDONED, next_attempt_at=None, attempts=100)
    scene.later(days=3)


@fault("inbox", AMBER, lambda scene: inbox.process_due())
def a_push_waits_for_more_than_a_minute(scene: Scene) -> None:
    deliver(scene.platform, scene.wechat.engine.unauthorize(OFFICIAL))
    scene.later(seconds=61)


@fault("inbox", RED, lambda scene: Push.objects.update(state=Push.State.DONE))
def fifty_pushes_wait(scene: Scene) -> None:
    scene.pushes(50)
    scene.later(seconds=61)


@fault("reconciliation", AMBER, reconciles)
def not_swept_for_2_hours(scene: Scene) -> None:
    scene.later(hours=2, minutes=1)


@fault("reconciliation", RED, reconciles)
def not_swept_for_6_hours(scene: Scene) -> None:
    scene.later(hours=6, minutes=1)


@fault("reconciliation", RED, reconciles)
def never_swept_for_6_hours(scene: Scene) -> None:
    Component.objects.update(reconciled_at=None)
    scene.later(hours=6, minutes=1)


def account_without_a_push(scene: Scene) -> None:
    scene.wechat.engine.add_account("Tea House", "official", appid="wxtea")
    scene.wechat.engine.authorize("wxtea")
    tokens.reconcile(scene.platform)


@fault("reconciliation_repairs", AMBER, reconciles)
def new_platform_takes_in_its_accounts(scene: Scene) -> None:
    account_without_a_push(scene)


@fault("reconciliation_repairs", AMBER, reconciles)
def comparison_repaired_one_of_200(scene: Scene) -> None:
    Component.objects.update(created_at=clock.now() - timedelta(days=9))
    scene.accounts(200)
    account_without_a_push(scene)


@fault("reconciliation_repairs", RED, reconciles)
def comparison_repaired_one_of_two(scene: Scene) -> None:
    Component.objects.update(created_at=clock.now() - timedelta(days=9))
    account_without_a_push(scene)


def keys_are_rotated(scene: Scene) -> None:
    reencryption.rotate()
    statistics.update(scene.platform.row)


def key_is_back(scene: Scene) -> None:
    scene.settings.SECRET_KEY_FALLBACKS = [SECRET_KEY]
    statistics.update(scene.platform.row)


@fault("missing_keys", RED, key_is_back)
def a_key_is_lost(scene: Scene) -> None:
    scene.settings.SECRET_KEY = "changed, and the tokens were forgotten"
    statistics.update(scene.platform.row)


@fault("old_keys", AMBER, keys_are_rotated)
def a_new_key_is_configured(scene: Scene) -> None:
    scene.configure(ENCRYPTION_KEYS=["A" * 43])
    statistics.update(scene.platform.row)


@fault("old_keys", RED, keys_are_rotated)
def rotation_is_forgotten_for_a_day(scene: Scene) -> None:
    a_new_key_is_configured(scene)
    scene.later(hours=24, minutes=1)
    statistics.update(scene.platform.row)


# -- the site ----------------------------------------------------------------------------------------------------------


@fault("database", RED, undone)
def database_is_down(scene: Scene) -> None:
    def down(*_: Any) -> Any:
        raise OperationalError("no connection")

    scene.broken.enter_context(connection.execute_wrapper(down))


@fault("cache", AMBER, undone)
def cache_is_down(scene: Scene) -> None:
    scene.broken.callback(setattr, Failing, "down", Failing.down)
    scene.broken.enter_context(override_settings(CACHES=failing_cache.CACHES))
    Failing.down = True


@fault("cache", AMBER, undone)
def cache_keeps_nothing(scene: Scene) -> None:
    dummy = {"default": {"BACKEND": "django.core.cache.backends.dummy.DummyCache"}}
    scene.broken.enter_context(override_settings(CACHES=dummy))


@fault("broker", RED, undone)
def broker_is_down(scene: Scene) -> None:
    Celery("dead", broker="amqp://guest:canary-password@127.0.0.1:1//").set_current()
    scene.broken.callback(app.set_current)


@fault("settings", RED, lambda scene: scene.configure(TIMEOUT=(1, 2)))
def a_setting_is_wrong(scene: Scene) -> None:
    scene.configure(TIMEOUT="soon")


# -- the checks --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_fault__is_found_and_is_over_when_it_is_fixed(scene: Scene, fault: Fault) -> None:
    assert scene.found(fault.code).level is GREEN

    fault.happens(scene)
    found = scene.found(fault.code)
    assert found.level is fault.level, found
    assert found.hint
    assert found.page

    fault.fixes(scene)
    assert scene.found(fault.code).level is GREEN, scene.found(fault.code)


def test_every_check__has_something_that_turns_it_amber_or_red(scene: Scene) -> None:
    codes = {found.code for found in health.examine(scene.platform)}

    assert codes == {fault.code for fault in FAULTS}
    assert codes == set(health.CHECKS)


def test_everything_in_order__is_green(scene: Scene) -> None:
    findings = health.examine(scene.platform)

    assert {found.level for found in findings} == {GREEN}, [found for found in findings if found.level is not GREEN]
    assert not any(found.hint for found in findings)
    assert all(found.page for found in findings), "each leads somewhere"


def judged(scene: Scene, check: Callable[[facts.Facts], Finding], authorized: int, **known: Any) -> Level:
    """With so many accounts, and what else is known of them."""
    there = facts.read(scene.platform)
    for name in ("created_at", "reconcile_repairs"):
        setattr(there.row, name, known.pop(name, getattr(there.row, name)))
    states = {**there.states, Authorizer.State.AUTHORIZED: authorized}
    return check(replace(there, states=states, **known)).level


@pytest.mark.parametrize("language", ["en", "zh-hans"])
def test_large_numbers__are_grouped_as_they_are_on_tiles(scene: Scene, language: str) -> None:
    there = facts.read(scene.platform)
    states = {**there.states, Authorizer.State.AUTHORIZED: 12_000}
    wrong = replace(there, states=states, failing=1009, failing_codes=((-1, 1009),), waiting=1009)
    with translation.override(language):
        assert "1,009" in (said := checks.accounts.failing_renewals(wrong).message)
        assert "12,000" in said
        assert not re.search(r"\d{4}", said)


def test_sentences__stand_without_a_space_in_chinese(scene: Scene) -> None:
    there = replace(facts.read(scene.platform), waiting=2, abandoned=3)
    there = replace(there, waiting_since=there.now - timedelta(hours=1))
    with translation.override("zh-hans"):
        assert "。有 3 条推送" in checks.pushes.inbox(there).message
    with translation.override("en"):
        assert "for 1 hour. 3 pushes" in checks.pushes.inbox(there).message


@pytest.mark.parametrize(
    ("code", "said", "advice"),
    [
        (61004, "61004 The server's IP address is not on the platform's whitelist (80).", "compare its appid"),
        (-1, "-1 WeChat is busy (80).", "tried again automatically"),
        (None, "no usable answer (80).", "tried again automatically"),
    ],
)
def test_many_failing_renewals__name_the_platform_only_for_its_own_faults(
    scene: Scene, code: int | None, said: str, advice: str
) -> None:
    there = facts.read(scene.platform)
    states = {**there.states, Authorizer.State.AUTHORIZED: 100}
    found = checks.accounts.failing_renewals(replace(there, states=states, failing=80, failing_codes=((code, 80),)))
    assert found.level is RED
    assert found.message.endswith(said)
    assert advice in found.hint


@pytest.mark.parametrize(
    ("wrong", "authorized", "level"), [(5, 500, RED), (5, 501, AMBER), (4, 400, AMBER), (1, 2, RED), (1, 1001, GREEN)]
)
def test_share_that_is_overdue__is_one_percent_and_not_a_few(
    scene: Scene, wrong: int, authorized: int, level: Level
) -> None:
    since = facts.read(scene.platform).now - timedelta(minutes=6)
    assert judged(scene, checks.accounts.overdue, authorized, overdue=wrong, overdue_since=since) is level


@pytest.mark.parametrize(
    ("wrong", "authorized", "level"), [(5, 5000, RED), (5, 5001, AMBER), (4, 4000, AMBER), (1, 2, RED)]
)
def test_share_that_has_expired__is_one_in_a_thousand_and_not_a_few(
    scene: Scene, wrong: int, authorized: int, level: Level
) -> None:
    assert judged(scene, checks.accounts.expired_tokens, authorized, expired=wrong) is level


@pytest.mark.parametrize(
    ("wrong", "authorized", "level"), [(5, 500, RED), (5, 501, AMBER), (4, 400, AMBER), (1, 2, RED)]
)
def test_share_that_was_repaired__is_one_percent_and_not_a_few(
    scene: Scene, wrong: int, authorized: int, level: Level
) -> None:
    long_ago = facts.read(scene.platform).now - timedelta(days=9)
    repaired = {"reconcile_repairs": wrong, "created_at": long_ago}
    assert judged(scene, checks.reconciliation.repairs, authorized, **repaired) is level


def test_new_platform__says_what_to_do(db: None) -> None:
    findings = {found.code: found for found in health.examine(platforms.get("second"))}

    assert {code for code, found in findings.items() if found.level is RED} == {"ticket_age", "component_token"}
    assert "授权事件接收URL" in findings["ticket_age"].hint
    assert findings["component_token"].hint == "A verify ticket is missing: see that finding."
    assert findings["beat"].message == "Beat has not had to send a task yet."


def test_new_platform_after_a_while__has_been_left_alone_for_too_long(db: None, later: Any) -> None:
    health.examine(platforms.get("second"))
    later(timedelta(minutes=6))
    findings = health.examine(platforms.get("second"))

    assert {found.code for found in findings if found.level is RED} >= {"renewals", "beat"}


def test_first_ticket__gives_workers_the_time_to_fetch_a_token(scene: Scene) -> None:
    scene.platform.row.tickets.all().delete()
    Component.objects.update(access_token="", access_token_obtained_at=None, access_token_expires_at=None)
    assert scene.found("component_token").level is RED

    ticket_comes(scene)
    assert scene.found("component_token").level is GREEN
    scene.later(seconds=31)
    assert scene.found("component_token").level is RED


def test_worst__is_red_before_amber_before_green() -> None:
    assert health.worst([]) is GREEN
    assert health.worst([GREEN, AMBER]) is AMBER
    assert health.worst([AMBER, RED, GREEN]) is RED


# -- what the sentences say --------------------------------------------------------------------------------------------


class TestSentences:
    def test_numbers__are_exact(self, scene: Scene) -> None:
        scene.accounts(200)
        scene.later(hours=2, minutes=1)

        assert "The token of 1 account of 201 has expired" in scene.found("expired_tokens").message
        assert "2 hours, 1 minute" in scene.found("ticket_age").message

    def test_ticket_that_stays_away__may_be_refused_for_a_wrong_key(self, scene: Scene) -> None:
        scene.later(minutes=26)
        late = scene.found("ticket_age").hint
        scene.platform.row.tickets.all().delete()
        never = scene.found("ticket_age").hint
        for hint in (late, never):
            assert "TOKEN" in hint and "ENCODING_AES_KEY" in hint and "403" in hint

    def test_site_that_runs_the_command__is_advised_to_start_that_alone(self, scene: Scene) -> None:
        scene.configure(WORKER="run")
        assert "“manage.py wechat_open run” was at work" in scene.found("beat").message
        scene.later(minutes=11)
        assert "“manage.py wechat_open run” has not been seen for 11 minutes" in scene.found("beat").message
        for code in ("beat", "renewals"):
            found = scene.found(code)
            assert found.level is RED
            assert found.hint.startswith("Start “manage.py wechat_open run”")
            assert "eat" not in found.message.replace("been", "")
        Component.objects.update(beat_at=None)
        assert scene.found("beat").message == "“manage.py wechat_open run” has never been seen."

    @pytest.mark.fault("F12")
    def test_dead_beat_beside_a_living_worker__is_recognized(self, scene: Scene) -> None:
        scene.later(minutes=11)
        ticket_comes(scene)
        worker_comes(scene)  # the ticket woke it

        assert "a worker is running: it checked for due tokens 0 seconds ago" in scene.found("beat").message
        scene.later(seconds=130)
        assert scene.found("beat").level is RED
        assert "A worker is running, but beat sends no tasks" in scene.found("renewals").message

    def test_dead_worker__is_recognized_by_a_ticket_that_woke_none(self, scene: Scene) -> None:
        scene.later(minutes=11)
        assert "No worker is running, or beat sends no tasks" in scene.found("renewals").message

        ticket_comes(scene)
        scene.later(minutes=1)
        assert "no worker is running" in scene.found("renewals").message
        assert "a worker is running" not in scene.found("beat").message

    @pytest.mark.parametrize("seconds", [31, 60, 119, 149])
    def test_dead_worker_or_beat__is_no_worker_that_is_busy(self, scene: Scene, seconds: int) -> None:
        """Either leaves the same traces, as long as no ticket comes."""
        scene.later(seconds=seconds)

        assert "No worker is running, or beat sends no tasks" in scene.found("renewals").message
        assert "queue" not in scene.found("renewals").hint

    def test_dead_beat_whose_ticket_rang__leaves_no_worker_that_is_busy(self, scene: Scene) -> None:
        scene.later(seconds=20)
        ticket_comes(scene)
        worker_comes(scene)
        scene.later(seconds=60)

        assert "does not reach it" not in scene.found("renewals").message

    def test_worker_that_died_before_beat_was_recorded_again__does_not_live(self, scene: Scene) -> None:
        scene.later(seconds=62)
        worker_comes(scene)
        scene.later(seconds=100)

        assert "a worker is running" not in scene.found("beat").message

    def test_worker_that_has_never_checked__is_recognized(self, scene: Scene) -> None:
        Component.objects.update(heartbeat_at=None, created_at=clock.now() - timedelta(minutes=3))

        assert "does not reach it" in scene.found("renewals").message

    def test_lost_key__is_no_older_key(self, scene: Scene) -> None:
        a_key_is_lost(scene)

        assert "4 rows are encrypted under a key that is not configured" in scene.found("missing_keys").message
        assert "SECRET_KEY_FALLBACKS" in scene.found("missing_keys").hint
        assert (scene.found("old_keys").level, scene.found("old_keys").value) == (GREEN, 0)

    def test_worker_that_does_other_tasks_only__is_recognized(self, scene: Scene) -> None:
        scene.later(minutes=3)
        beat_sends_its_task(scene)

        assert "does not reach it" in scene.found("renewals").message

    def test_pushing__shows_wechats_answer(self, scene: Scene) -> None:
        wechat_was_asked_and_pushes_nothing(scene)

        row = Component.objects.get(pk=scene.platform.row.pk)
        assert row.push_answer
        assert row.push_answer in scene.found("push_service").message

    def test_refused_pushing__says_why(self, scene: Scene) -> None:
        scene.later(minutes=46)
        scene.wechat.faults.add("/cgi-bin/component/api_start_push_ticket", "errcode", 61004)
        with pytest.raises(Exception, match="61004"):
            tokens.start_push(scene.platform)

        assert "61004" in scene.found("push_service").message

    def test_clock_of_this_host__is_compared_too(self, scene: Scene, later: Callable[[timedelta], None]) -> None:
        later(timedelta(seconds=40))  # the database's clock, and not WeChat's
        tokens.ComponentKeeper(scene.platform).renew_now()

        found = scene.found("clock_skew")
        assert found.level is AMBER
        assert found.value == pytest.approx(-40, abs=2)
        assert "database's differ by" in found.message

    def test_account_that_was_lost_long_ago__is_no_news(self, scene: Scene) -> None:
        an_account_needs_its_owner(scene)
        hour_passes(scene)

        found = scene.found("needs_reauthorization")
        assert (found.level, found.value) == (GREEN, 1)
        assert "1 account needs its owner" in found.message

    def test_pause__shows_wechats_answer_in_the_readers_language(self, scene: Scene) -> None:
        address_is_not_on_the_whitelist(scene)

        with translation.override("zh-hans"):
            assert "61004 调用接口的 IP 不在" in scene.found("paused").message

    def test_no_sentence__has_a_placeholder_that_was_not_filled(self, scene: Scene) -> None:
        scene.later(hours=12)

        for found in health.examine(scene.platform):
            assert "%(" not in found.message + found.hint

    def test_broken_settings__name_the_setting_and_what_to_do(self, scene: Scene) -> None:
        a_setting_is_wrong(scene)

        found = scene.found("settings")
        assert "TIMEOUT" in found.message
        assert found.value == 1


class TestShortLives:
    """The demo's tokens live twenty seconds."""

    @pytest.fixture
    def brief(self, scene: Scene) -> Scene:
        now = clock.now()
        Component.objects.update(
            access_token_obtained_at=now,
            access_token_expires_at=now + timedelta(seconds=20),
            next_action_at=now + timedelta(seconds=15),
        )
        Authorizer.objects.update(
            access_token_expires_at=now + timedelta(seconds=20), next_action_at=now + timedelta(seconds=15)
        )
        return scene

    def test_token_in_its_last_seconds__is_in_order(self, brief: Scene) -> None:
        brief.later(seconds=19)

        assert brief.found("component_token").level is GREEN
        assert brief.found("expired_tokens").level is GREEN

    def test_token_that_is_not_renewed__is_red_within_a_minute(self, brief: Scene) -> None:
        brief.later(seconds=51)

        assert brief.found("component_token").level is RED
        assert brief.found("expired_tokens").level is RED


# -- servers that hang -------------------------------------------------------------------------------------------------


class TestReach:
    @pytest.fixture(autouse=True)
    def _forget(self) -> Iterator[None]:
        timeouts.forget()
        yield
        timeouts.forget()

    def test_server_that_hangs__is_waited_for_once_and_not_asked_again(self) -> None:
        asked = []

        def hang() -> None:
            asked.append(1)
            time.sleep(3)

        started = time.monotonic()
        assert timeouts.failure("x", hang) == timeouts.SILENCE
        assert timeouts.failure("x", hang) == timeouts.SILENCE
        assert time.monotonic() - started < 2.9
        assert asked == [1]

    def test_answer__holds_for_some_seconds(self) -> None:
        asked: list[int] = []

        assert not timeouts.failure("x", lambda: asked.append(1))
        assert not timeouts.failure("x", lambda: asked.append(1))
        assert asked == [1]

    def test_failure__is_named_without_an_address(self) -> None:
        def fail() -> None:
            raise ConnectionError("redis://:canary-password@10.0.0.1")

        assert timeouts.failure("x", fail) == "ConnectionError"


def test_site_without_celery__needs_no_broker(scene: Scene) -> None:
    Celery("default").set_current()
    scene.broken.callback(app.set_current)

    assert scene.found("broker").level is GREEN
    assert "wechat_open run" in scene.found("broker").message


# -- the report --------------------------------------------------------------------------------------------------------


def test_report__has_findings_and_facts(scene: Scene) -> None:
    report = health.report()

    assert (report["ok"], report["level"], report["problems"]) == (True, "green", [])
    (facts,) = report["components"]
    assert (facts["alias"], facts["level"], facts["problems"], facts["last_error"]) == ("default", "green", [], "")
    assert facts["accounts"] == {"authorized": 1, "unauthorized": 0, "needs_reauthorization": 0}
    assert 7000 < facts["component_token_expires_in"] <= 7200
    assert 0 <= facts["ticket_age_seconds"] < 60
    assert set(facts["checks"][0]) == {"code", "level", "value", "message", "why", "hint"}


def test_amber__is_still_ok(scene: Scene) -> None:
    timeouts.forget()
    cache_is_down(scene)
    report = health.report()

    assert (report["ok"], report["level"]) == (True, "amber")


def test_one_bad_platform__spoils_the_whole_report(scene: Scene) -> None:
    good = scene.settings.WECHAT_OPEN["COMPONENTS"]["default"]
    scene.configure(COMPONENTS={"default": good, "second": {**good, "APPID": "wxsecond"}})
    report = health.report()

    assert not report["ok"]
    assert [facts["level"] for facts in report["components"]] == ["green", "red"]


def test_problems__are_those_of_the_site_and_of_every_platform_once(scene: Scene) -> None:
    good = scene.settings.WECHAT_OPEN["COMPONENTS"]["default"]
    scene.configure(COMPONENTS={"default": good, "second": {**good, "APPID": "wxsecond"}})
    Component.objects.update(reconcile_repairs=1)
    cache_is_down(scene)
    report = health.report()

    assert [facts["problems"] for facts in report["components"]] == [
        ["reconciliation_repairs", "cache"],
        ["ticket_age", "push_service", "component_token", "cache"],
    ]
    assert report["problems"] == ["reconciliation_repairs", "cache", "ticket_age", "push_service", "component_token"]


@pytest.mark.parametrize("wrong", [[{"APPSECRET": "canary"}], ["default"], {"default": "wx1"}], ids=str)
def test_platforms_of_the_wrong_type__are_reported_in_our_words(scene: Scene, wrong: Any) -> None:
    scene.configure(COMPONENTS=wrong)
    report = health.report()

    assert (report["ok"], report["problems"]) == (False, ["settings"])
    assert "must be a dict" in str(report) and "canary" not in str(report) and "indices" not in str(report)
    assert "has no attribute" not in str(report)


def test_site_without_time_zones__is_examined_as_any_other(scene: Scene) -> None:
    with_zones = health.report()
    scene.settings.USE_TZ = False
    without = health.report()

    assert [each["problems"] for each in without["components"]] == [
        each["problems"] for each in with_zones["components"]
    ]
    pushed = [report["components"][0]["last_push_at"] for report in (with_zones, without)]
    assert pushed[0] == pushed[1] and pushed[0].endswith("+08:00")


def test_platform_with_unusable_settings__is_a_finding(scene: Scene) -> None:
    good = scene.settings.WECHAT_OPEN["COMPONENTS"]["default"]
    scene.configure(COMPONENTS={"default": good, "second": {**good, "APPSECRET": ""}})
    good, bad = health.report()["components"]

    assert good["ticket_age_seconds"] is not None
    assert (bad["level"], bad["problems"]) == ("red", ["settings"])
    assert "APPSECRET" in bad["checks"][-1]["message"]


@pytest.mark.parametrize("given", [{}, {"COMPONENTS": []}, ["COMPONENTS"]])
def test_no_platform__is_an_error_of_the_settings(db: None, settings: Any, given: Any) -> None:
    settings.WECHAT_OPEN = given
    report = health.report()

    assert (report["ok"], report["problems"], report["components"]) == (False, ["settings"], [])


def test_dead_database__leaves_the_rest_of_the_report(scene: Scene) -> None:
    database_is_down(scene)
    report = health.report()

    assert (report["ok"], report["problems"]) == (False, ["database"])
    assert report["components"][0]["problems"] == ["database"]


def test_clock_that_went_back__makes_no_negative_age(scene: Scene) -> None:
    scene.platform.row.tickets.update(received_at=clock.now() + timedelta(hours=1))
    assert scene.found("ticket_age").value == 0


def test_report__is_json_without_a_secret(scene: Scene) -> None:
    text = json.dumps(health.report())
    account = Authorizer.objects.get()
    secrets = [
        scene.wechat.engine.ticket,
        tokens.component_token(scene.platform).reveal(),
        account.reveal("access_token").reveal(),
        account.reveal("refresh_token").reveal(),
        scene.platform.appsecret.reveal(),
    ]

    assert not any(secret in text for secret in secrets)


def test_many_accounts__cost_no_more_queries(scene: Scene, django_assert_num_queries: Any) -> None:
    scene.accounts(300)

    with django_assert_num_queries(3):  # two, and one to see whether the database answers
        health.examine(platforms.get())


def test_very_many_accounts_in_good_order__cost_one_query(
    scene: Scene, django_assert_num_queries: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    statistics.update(scene.platform.row)
    monkeypatch.setattr(statistics, "FEW", 0)

    with django_assert_num_queries(2):  # that one, and one to see whether the database answers
        found = health.examine(platforms.get())
    assert health.worst(one.level for one in found) is GREEN


def test_two_platforms__have_findings_of_their_own(scene: Scene) -> None:
    """The one that was made just now has none of the other's troubles."""
    wechat_refused_the_component_token_3_times(scene)
    an_account_needs_its_owner(scene)
    scene.pushes(3)
    scene.later(minutes=2)
    good = scene.settings.WECHAT_OPEN["COMPONENTS"]["default"]
    scene.configure(COMPONENTS={"default": good, "second": {**good, "APPID": "wxsecond"}})

    first, second = (health.examine(platforms.get(alias)) for alias in ("default", "second"))
    codes = ["needs_reauthorization", "inbox", "forced_renewals"]
    assert [one.value for one in first if one.code in codes] == [3, 1, 3]
    assert [one.value for one in second if one.code in codes] == [0, 0, 0]
    assert {one.code for one in second if one.level is RED} >= {"ticket_age"}


def test_very_many_accounts__are_judged_alike(
    scene: Scene, django_assert_num_queries: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the stored statistics, and from the beginnings of indexes."""
    scene.accounts(200)
    an_account_needs_its_owner(scene)
    wechat_refused_the_component_token_3_times(scene)
    Authorizer.objects.update(state=Authorizer.State.AUTHORIZED)
    Authorizer.objects.filter(appid="wxmore7").update(state=Authorizer.State.NEEDS_REAUTHORIZATION)
    Authorizer.objects.filter(appid="wxmore8").update(refused_since=clock.now())
    scene.later(hours=2, minutes=1)
    statistics.update(scene.platform.row)
    few = health.examine(platforms.get())

    monkeypatch.setattr(statistics, "FEW", 3)
    with django_assert_num_queries(4):  # one, two that count what is late, and one to see whether the database answers
        many = health.examine(platforms.get())
    judged = {"overdue", "expired_tokens", "needs_reauthorization", "forced_renewals"}
    assert [found for found in many if found.code in judged] == [found for found in few if found.code in judged]
    assert {found.level for found in many if found.code in judged} >= {AMBER}
    assert health.report()["components"][0]["refused"] == 1

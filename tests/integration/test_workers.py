"""Workers that are ended, killed or stopped while they renew: others go on, and no refresh token is lost."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from tests.integration import KILL_ROTATIONS
from tests.integration.worker import Outcome, Site, results
from wechat_open import tokens
from wechat_open.models import Authorizer
from wechat_open.platforms import Platform
from wechat_open.simulator import Simulator

REFRESH = "/cgi-bin/component/api_authorizer_token"
A_LEASE_LATER = 61
"""Seconds after which no lease of a killed process runs."""

Run = Callable[[], "subprocess.Popen[bytes]"]

pytestmark = pytest.mark.slow


@pytest.fixture
def run(process_environment: dict[str, str], platform: Platform, settings: Any, tmp_path: Path) -> Iterator[Run]:
    """Starts ``manage.py wechat_open run``, as a deployment does."""
    environment = {
        **process_environment,
        "DJANGO_SETTINGS_MODULE": "tests.integration.run_settings",
        "WECHAT_OPEN": json.dumps(settings.WECHAT_OPEN),
        "PYTHONPATH": os.pathsep.join(sys.path),
        "REDIS_URL": "",
    }
    command = [sys.executable, "-m", "django", "wechat_open", "run"]
    with ExitStack() as ends:

        def start() -> subprocess.Popen[bytes]:
            log = ends.enter_context((tmp_path / "run.log").open("ab"))
            process = subprocess.Popen(command, env=environment, cwd=tmp_path, stdout=log, stderr=log)
            ends.callback(process.wait)
            ends.callback(process.kill)
            return process

        yield start


def until(condition: Callable[[], object], seconds: float = 30) -> None:
    ends_at = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < ends_at, "It never came to that."
        time.sleep(0.05)


def authorize_many(wechat: Simulator, platform: Platform, number: int) -> list[str]:
    """Accounts whose tokens are due; that is what the reconciliation makes of those that are new to it."""
    appids = [f"wx{each:016d}" for each in range(number)]
    for appid in appids:
        wechat.engine.add_account(f"Shop {appid}", "official", appid=appid)
        wechat.engine.authorize(appid)
    tokens.reconcile(platform)
    return appids


def is_whole(wechat: Simulator, appid: str) -> bool:
    """We hold WeChat's current refresh token, and an access token that lives."""
    account = Authorizer.objects.select_related("component").get(appid=appid)
    grant = wechat.engine.accounts[appid].grant
    assert grant is not None
    return (
        account.state == Authorizer.State.AUTHORIZED
        and account.reveal("refresh_token").reveal() == grant.refresh_token
        and grant.access is not None
        and account.reveal("access_token").reveal() == grant.access.text
    )


def overlaps(wechat: Simulator) -> int:
    return sum(account.overlaps for account in wechat.engine.accounts.values())


@pytest.mark.chaos
@pytest.mark.fault("F9")
@pytest.mark.parametrize("rotation", ["strict", "grace"])
def test_processes_that_stand_still_for_90_seconds_anywhere_in_a_renewal__lose_nothing(
    wechat: Simulator, platform: Platform, site: Site, run: Run, rotation: Any
) -> None:
    """One process for each step, each with an account of its own; in real time, for their own clocks go on too."""
    wechat.engine.settings.rotation = rotation
    tokens.component_token(platform)
    appids = authorize_many(wechat, platform, 20)
    each = [{"appid": appid, "stop_at": step} for step, appid in enumerate(appids, start=1)]
    late: list[Outcome] = []
    callers = Thread(target=lambda: late.extend(site.do_together(["call"] * len(appids), each=each)))
    callers.start()
    until(lambda: len(site.diary("stopped")) > 10)
    stopped_at = time.monotonic()
    run()

    time.sleep(max(0.0, stopped_at + 90 - time.monotonic()))
    meanwhile = sum(is_whole(wechat, appid) for appid in appids)
    for process in site.diary("stopped"):
        os.kill(process, signal.SIGCONT)
    callers.join()

    until(lambda: all(is_whole(wechat, appid) for appid in appids), seconds=75)
    time.sleep(3)
    assert all(is_whole(wechat, appid) for appid in appids)
    assert meanwhile >= len(appids) - 2  # one may stand still with its row locked, and one before the answer is read
    kinds = {outcome.error.partition(":")[0] for outcome in late}
    assert kinds <= {"", "TokenUnavailable", "Unreachable", "TokenRefused"}


@pytest.mark.fault("F10")
def test_deployment_while_tokens_are_renewed__loses_nothing_and_repeats_nothing(
    wechat: Simulator, platform: Platform, run: Run
) -> None:
    appids = authorize_many(wechat, platform, 30)
    wechat.faults.add(REFRESH, "delay", 0.2, times=10**6)
    old = run()
    until(lambda: wechat.engine.calls[REFRESH] >= 5)

    old.send_signal(signal.SIGTERM)
    assert old.wait(15) == 0
    begun = [appid for appid in appids if wechat.engine.accounts[appid].refreshes]
    assert 5 <= len(begun) < 30
    assert [appid for appid in begun if not is_whole(wechat, appid)] == []

    run()
    until(lambda: all(is_whole(wechat, appid) for appid in appids))
    assert [wechat.engine.accounts[appid].refreshes for appid in appids] == [1] * 30
    assert overlaps(wechat) == 0


@pytest.mark.fault("F11")
@pytest.mark.parametrize("rotation", KILL_ROTATIONS)
def test_all_workers_killed_at_one_moment__are_replaced_and_nothing_is_lost(
    wechat: Simulator, platform: Platform, site: Site, tmp_path: Path, rotation: Any
) -> None:
    wechat.engine.settings.rotation = rotation
    appids = authorize_many(wechat, platform, 100)
    wechat.faults.add(REFRESH, "delay", 0.3, times=10**6)
    now = tmp_path / "now"

    def wait_for_the_middle() -> None:
        until(lambda: wechat.engine.calls[REFRESH] >= 12)
        now.touch()

    watcher = Thread(target=wait_for_the_middle)
    watcher.start()
    outcomes = site.do("renew_until_killed", processes=4, threads=2, killed_when=str(now))
    watcher.join()
    assert [outcome for outcome in outcomes if not outcome.killed] == []
    time.sleep(0.4)  # WeChat comes to the end of the calls that it had begun
    wechat.faults.clear()
    assert 0 < sum(is_whole(wechat, appid) for appid in appids) < 100

    [renewed] = results(site.do("run_due", ahead=A_LEASE_LATER))

    assert renewed > 60
    assert [appid for appid in appids if not is_whole(wechat, appid)] == []
    assert overlaps(wechat) == 0

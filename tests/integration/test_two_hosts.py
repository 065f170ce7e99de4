"""Two hosts with a worker and a beat each: one is cut off for minutes, the other takes over, and nothing is lost."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.integration.hosts import REFRESH, WECHAT, Site, Times
from tests.integration.network import Network, until

pytestmark = pytest.mark.chaos

ACCOUNTS = 40
TAKES_OVER_WITHIN = 75
CUT_FOR = 180

WORKS_AGAIN_WITHIN = 60
"""Celery tries its broker every 30 seconds at last, and waits four for an answer."""

SHORT_CUT = 9
"""Seconds after which a worker has lost its connection, and RabbitMQ, with its heartbeat of ten, has not noticed."""

OVERDUE = """
    SELECT
        coalesce(max(extract(epoch FROM now() - least(due_since, next_action_at))), 0),
        count(*) FILTER (WHERE access_token_expires_at < now())
    FROM wechat_open_authorizer WHERE state = 'authorized'
"""

STORED = """
import django, json
django.setup()
from wechat_open.models import Authorizer
accounts = Authorizer.objects.select_related("component").filter(state="authorized")
print(json.dumps({account.appid: account.reveal("refresh_token").reveal() for account in accounts}))
"""

PROBLEMS = "import django; django.setup(); from wechat_open import health; print(health.report()['problems'])"

SITS_OUT_FOR = 75
"""A host that gets no answer from WeChat tries again every minute at last, when its next round comes."""


class Watch:
    """Asks the database twice a second how long the renewal of the most overdue account is overdue."""

    def __init__(self, database: str) -> None:
        self._database = database
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self.longest = 0.0
        self.expired = 0
        """The most accounts whose access token had expired at one moment."""

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        self._thread.join()

    def _look(self) -> None:
        import psycopg

        with psycopg.connect(self._database, autocommit=True) as connection:
            while not self._ended.wait(0.5):
                row = connection.execute(OVERDUE).fetchone()
                assert row is not None
                self.longest = max(self.longest, float(row[0]))
                self.expired = max(self.expired, row[1])


@pytest.fixture
def site(service_urls: dict[str, str], tmp_path: Path) -> Iterator[Site]:
    with ExitStack() as parts:
        network = parts.enter_context(Network("a", "b"))
        yield Site(parts, network, service_urls["RabbitMQ"], tmp_path)


def grant(site: Site, number: int) -> str:
    """An owner grants one more account; WeChat pushes it."""
    account = site.wechat.engine.add_account(f"Shop {number}", "official", appid=f"wx{number:016d}")
    site.wechat.control("authorize", appid=account.appid)
    return account.appid


def has_token(site: Site, appid: str) -> bool:
    """Whether the code of its grant was exchanged."""
    given = site.wechat.engine.accounts[appid].grant
    return given is not None and given.access is not None


def overlaps(site: Site) -> int:
    return sum(account.overlaps for account in site.wechat.engine.accounts.values())


def held(site: Site) -> dict[str, str]:
    """WeChat's refresh tokens."""
    grants = {appid: account.grant for appid, account in site.wechat.engine.accounts.items()}
    return {appid: given.refresh_token for appid, given in grants.items() if given is not None}


def differing(site: Site, appids: list[str]) -> list[str]:
    """The accounts whose stored refresh token is not WeChat's; renewals go on meanwhile."""
    before, stored, after = held(site), json.loads(site.python("-c", STORED).stdout), held(site)
    return [appid for appid in appids if stored.get(appid) not in (before[appid], after[appid])]


def since(times: Times, moment: float) -> Counter[str]:
    """How often each host has done it since then."""
    return Counter(host for at, host in times if at > moment)


def start(site: Site) -> list[subprocess.Popen[bytes]]:
    """A worker and a beat on each host, and a component token."""
    site.notice_lost_hosts()
    site.manage("migrate", "--verbosity", "0")
    site.web()
    processes = []
    for host in site.network.hosts:
        name = f"celery@{site.network.name}-{host}"
        processes.append(site.celery(host, "worker", "--concurrency", "2", "--hostname", name))
        processes.append(site.celery(host, "beat", "--pidfile", ""))
    until(lambda: any(push.succeeded for push in site.wechat.pusher.deliveries), 60, "a ticket was taken")
    site.wechat.faults.add(REFRESH, "delay", 0.4, times=10**6)  # so that two could overlap
    return processes


def test_host_that_is_cut_off__is_replaced_and_comes_back(site: Site) -> None:
    processes = start(site)

    with Watch(site.database) as healthy:
        appids = [grant(site, number) for number in range(ACCOUNTS // 2)]
        time.sleep(20)  # the others are due at another time
        appids += [grant(site, number) for number in range(ACCOUNTS // 2, ACCOUNTS)]
        first = [site.wechat.engine.accounts[appid] for appid in appids[: ACCOUNTS // 2]]
        until(lambda: all(account.refreshes for account in first), 120, "each account is renewed")
    exchanges, renewals = since(site.heard.exchanges, 0), since(site.heard.refreshes, 0)
    print(
        f"\nBoth hosts: codes exchanged {dict(exchanges)}, renewals {dict(renewals)}, {healthy.longest:.1f} s overdue"
    )
    assert min(exchanges["a"], exchanges["b"]) > 0
    assert sum(renewals.values()) >= ACCOUNTS // 2
    assert (healthy.expired, overlaps(site)) == (0, 0)

    known = len(site.heard.refreshes)
    until(lambda: len(site.heard.refreshes) > known, 120, "a host renews an account", every=0.02)
    lost = site.heard.refreshes[-1][1]  # WeChat is working on it
    [other] = {"a", "b"} - {lost}
    with Watch(site.database) as alone:
        site.network.cut(lost)
        cut_at = time.monotonic()
        slowest = 0.0
        while time.monotonic() - cut_at < CUT_FOR:
            appids.append(grant(site, len(appids)))
            new = appids[-1]
            slowest = max(slowest, until(lambda new=new: has_token(site, new), TAKES_OVER_WITHIN, "a grant is taken"))
            time.sleep(15)
    took_over = next(at for at, host in site.heard.refreshes if at > cut_at and host == other) - cut_at
    renewals = since(site.heard.refreshes, cut_at + 1)
    print(
        f"Host {lost} cut off: the other renewed after {took_over:.0f} s, {dict(renewals)}; at most {alone.longest:.0f}"
        f" s overdue, {alone.expired} expired; the slowest grant took {slowest:.0f} s; {overlaps(site)} overlaps"
    )
    assert set(renewals) == {other}
    assert max(took_over, alone.longest) < TAKES_OVER_WITHIN
    assert overlaps(site) == 0

    healed_at = cut_at

    def works() -> bool:
        """Whether its beat has sent a task since it was reconnected, and its worker done one."""
        appids.append(grant(site, len(appids)))
        return bool(since(site.heard.beats, healed_at)[lost] and since(site.heard.exchanges, healed_at)[lost])

    with Watch(site.database) as again:
        for seconds in (CUT_FOR, SHORT_CUT):
            if seconds == SHORT_CUT:
                site.network.cut(lost)
                time.sleep(SHORT_CUT)
            site.network.heal(lost)
            healed_at = time.monotonic()
            back = until(works, WORKS_AGAIN_WITHIN, "the host works again", every=2)
            print(f"Host {lost} was back {back:.0f} s after a cut of {seconds} s")
            assert [process.poll() for process in processes] == [None] * 4
        until(lambda: all(has_token(site, appid) for appid in appids), TAKES_OVER_WITHIN, "every grant is taken")
    print(f"Both hosts: {dict(since(site.heard.refreshes, healed_at))}, at most {again.longest:.0f} s overdue")
    assert again.longest < TAKES_OVER_WITHIN

    until(lambda: not differing(site, appids), TAKES_OVER_WITHIN, "what is stored is what WeChat holds", every=2)
    assert overlaps(site) == 0


@pytest.mark.fault("F41")
def test_host_without_wechat__leaves_renewals_to_the_other(site: Site) -> None:
    """It reaches the database, Redis and RabbitMQ all the time."""
    start(site)
    appids = [grant(site, number) for number in range(ACCOUNTS)]
    accounts = [site.wechat.engine.accounts[appid] for appid in appids]
    until(lambda: all(account.refreshes for account in accounts), 180, "each account is renewed")

    known = len(site.heard.refreshes)
    until(lambda: len(site.heard.refreshes) > known, 120, "a host renews an account", every=0.02)
    lost = site.heard.refreshes[-1][1]  # the one that gets the rounds of renewals
    [other] = {"a", "b"} - {lost}
    with Watch(site.database) as watch:
        site.network.cut_from(lost, WECHAT)
        cut_at = time.monotonic()
        slowest = 0.0
        while time.monotonic() - cut_at < CUT_FOR:
            appids.append(grant(site, len(appids)))
            new = appids[-1]
            slowest = max(slowest, until(lambda new=new: has_token(site, new), TAKES_OVER_WITHIN, "a grant is taken"))
            time.sleep(15)
    renewals = since(site.heard.refreshes, cut_at + 1)
    print(
        f"\nHost {lost} without WeChat: {dict(renewals)} renewals, at most {watch.longest:.1f} s overdue, "
        f"{watch.expired} expired; the slowest grant took {slowest:.0f} s; {overlaps(site)} overlaps"
    )
    assert watch.expired == 0
    assert set(renewals) == {other}
    assert "unanswered" in site.python("-c", PROBLEMS).stdout

    site.network.reconnect(lost, WECHAT)
    healed_at = time.monotonic()
    back = until(lambda: since(site.heard.refreshes, healed_at)[lost] > 0, SITS_OUT_FOR, "the host renews again")
    print(f"Host {lost} renewed again {back:.0f} s after it was reconnected")
    until(lambda: not differing(site, appids), TAKES_OVER_WITHIN, "what is stored is what WeChat holds", every=2)
    assert overlaps(site) == 0

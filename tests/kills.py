"""Hundreds of processes are killed with SIGKILL while they renew: no grant is lost, and others take over.

    python -m tests.kills --kills 500

plays on PostgreSQL and then on MariaDB, with a few sites beside each other, each in a database of its own. A WeChat in
the site's first process replaces a refresh token at each use; beside that the site is a few processes of ``wechat_open
run``. As soon as WeChat is asked for a renewal, one of them is killed within the time that the answer and its commit
take, and another one is started in its place. What an account waits for after a kill is the time until it has newer
tokens, measured for each account whose lease the killed process had.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from tests.services import SERVICES

if TYPE_CHECKING:
    from wechat_open.platforms import Platform
    from wechat_open.simulator import Simulator

REFRESH = "/cgi-bin/component/api_authorizer_token"
SITES = 4
ACCOUNTS = 300
PROCESSES = 3
TOKEN_LIFE = 300
"""Seconds. Tokens are due at 70 to 80 percent of it, so a site has more than one renewal a second."""
LATENCY = 0.2
"""Seconds that WeChat takes for a renewal."""
RECOVERS_WITHIN = 75
SETTLES_WITHIN = 150


@dataclass
class Figures:
    """What the kills came to."""

    kills: int = 0
    recovered_after: list[float] = field(default_factory=list)
    renewals: int = 0
    overlaps: int = 0
    lost: list[str] = field(default_factory=list)
    """Accounts whose stored refresh token is not the one that WeChat takes."""
    false_states: list[str] = field(default_factory=list)

    @property
    def p99(self) -> float:
        after = sorted(self.recovered_after)
        return after[int(len(after) * 0.99)] if after else 0.0

    @property
    def well(self) -> bool:
        return not (self.lost or self.false_states or self.overlaps) and self.p99 < RECOVERS_WITHIN

    def add(self, other: Figures) -> None:
        for name, value in vars(other).items():
            setattr(self, name, getattr(self, name) + value)

    def line(self) -> str:
        return (
            f"{self.kills} kills, {self.renewals} renewals, {len(self.recovered_after)} leases left behind, "
            f"recovery p99 {self.p99:.1f} s (longest {max(self.recovered_after, default=0.0):.1f} s), "
            f"{self.overlaps} overlaps, {len(self.lost)} lost, {len(self.false_states)} false states"
        )


@dataclass
class Orphan:
    """An account whose lease a killed process left behind."""

    killed_at: float
    obtained_at: datetime | None
    fence: int


class Killing:
    """One trial on the database of this process."""

    def __init__(self, wechat: Simulator, platform: Platform, chance: random.Random) -> None:
        self.wechat = wechat
        self.platform = platform
        self.chance = chance
        self.figures = Figures()
        self.orphans: dict[str, Orphan] = {}
        self.asked = Event()
        self.context = multiprocessing.get_context("forkserver")
        self.context.set_forkserver_preload(["tests.integration.site_process"])
        self.processes: list[ForkServerProcess] = []

    def play(self, kills: int) -> Figures:
        self._watch_refreshes()
        self.processes = [self._start() for _ in range(PROCESSES)]
        try:
            while self.figures.kills < kills:
                self._kill_one()
                if self.figures.kills % 25 == 0:
                    words = f"  {self.figures.kills} kills, longest recovery {self._longest():.0f} s"
                    print(words, file=sys.stderr, flush=True)
            self._settle()
            for process in self.processes:
                process.terminate()  # what is in flight is still stored
                process.join(60)
        finally:
            for process in self.processes:
                process.kill()
        return self._judge()

    def _watch_refreshes(self) -> None:
        refreshing = self.wechat.engine.refreshing

        @contextmanager
        def counted(appid: str) -> Iterator[None]:
            self.asked.set()
            with refreshing(appid):
                yield

        self.wechat.engine.refreshing = counted  # type: ignore[method-assign]

    def _start(self) -> ForkServerProcess:
        process = self.context.Process(target=run)
        process.start()
        return process

    def _kill_one(self) -> None:
        self.asked.clear()
        if not self.asked.wait(TOKEN_LIFE):
            raise SystemExit(f"Nothing was renewed for {TOKEN_LIFE} s.")
        time.sleep(self.chance.uniform(0, LATENCY * 1.5))
        victim = self.chance.choice([process for process in self.processes if process.is_alive()])
        leased = self._leased()
        victim.kill()
        victim.join()
        killed_at = time.monotonic()
        self.figures.kills += 1
        self.processes.remove(victim)
        self.processes.append(self._start())
        time.sleep(LATENCY + 0.3)  # what the others had in flight is committed by then
        self._look()
        for appid, row in self._leased().items():
            if row == leased.get(appid) and (appid not in self.orphans or self.orphans[appid].fence != row[1]):
                self.orphans[appid] = Orphan(killed_at, *row)  # perhaps again: its successor was killed too

    def _leased(self) -> dict[str, tuple[datetime | None, int]]:
        from wechat_open.db import clock
        from wechat_open.models import Authorizer

        rows = Authorizer.objects.filter(leased_until__gt=clock.now())
        return {
            appid: (at, fence) for appid, at, fence in rows.values_list("appid", "access_token_obtained_at", "fence")
        }

    def _look(self) -> None:
        """Which of the accounts that were left behind have newer tokens by now."""
        from wechat_open.models import Authorizer

        rows = Authorizer.objects.filter(appid__in=list(self.orphans))
        for appid, obtained_at, fence in rows.values_list("appid", "access_token_obtained_at", "fence"):
            orphan = self.orphans[appid]
            if obtained_at != orphan.obtained_at:
                if fence - orphan.fence > 1:  # the same fence would be its own late commit: it was not left behind
                    self.figures.recovered_after.append(time.monotonic() - orphan.killed_at)
                del self.orphans[appid]

    def _longest(self) -> float:
        waiting = [time.monotonic() - orphan.killed_at for orphan in self.orphans.values()]
        return max([*self.figures.recovered_after, *waiting], default=0.0)

    def _settle(self) -> None:
        ends_at = time.monotonic() + SETTLES_WITHIN
        while self.orphans and time.monotonic() < ends_at:
            time.sleep(0.5)
            self._look()
        now = time.monotonic()
        self.figures.recovered_after += [now - orphan.killed_at for orphan in self.orphans.values()]

    def _judge(self) -> Figures:
        from wechat_open.models import Authorizer

        accounts = self.wechat.engine.accounts
        for row in Authorizer.objects.select_related("component"):
            grant = accounts[row.appid].grant
            assert grant is not None
            if row.state != Authorizer.State.AUTHORIZED:
                self.figures.false_states.append(row.appid)
            elif row.reveal("refresh_token").reveal() != grant.refresh_token:
                self.figures.lost.append(row.appid)
        self.figures.renewals = sum(account.refreshes for account in accounts.values())
        self.figures.overlaps = sum(account.overlaps for account in accounts.values())
        return self.figures


def run() -> None:
    """A process of the site."""
    from django.core.management import call_command

    log = os.environ.get("KILLS_LOG", os.devnull)
    with Path(log).open("a") as out:
        call_command("wechat_open", "run", stdout=out, stderr=out)


def play(kills: int, seed: int) -> Figures:
    """One site, on the database that DATABASE_URL names."""
    import django

    django.setup()
    from django.conf import settings
    from django.db import connection
    from django.test.utils import setup_databases, teardown_databases

    from tests import database_url
    from tests.stage import deliver
    from wechat_open import platforms, tokens
    from wechat_open.simulator import Simulator
    from wechat_open.simulator.state.faults import FaultKind

    config = setup_databases(verbosity=0, interactive=False)
    try:
        with Simulator(ticket_pusher=False, rotation="strict", token_life=TOKEN_LIFE) as wechat:
            # The processes read their settings from the environment.
            own = wechat.settings() | {"TIMEOUT": (2, 3)}
            settings.WECHAT_OPEN = own
            os.environ["WECHAT_OPEN"] = json.dumps(own)
            os.environ["DJANGO_SETTINGS_MODULE"] = "tests.integration.run_settings"
            os.environ["DATABASE_URL"] = database_url.write(connection.settings_dict)
            platform = platforms.get()
            deliver(platform, wechat.engine.new_ticket())
            for number in range(ACCOUNTS):
                appid = f"wx{number:016d}"
                wechat.engine.add_account(f"Shop {number}", "official", appid=appid)
                wechat.engine.authorize(appid)
            tokens.reconcile(platform)
            chance = random.Random(seed)
            spread_renewals(chance)
            kind: FaultKind = "delay"
            wechat.faults.add(REFRESH, kind, LATENCY, times=10**9)
            return Killing(wechat, platform, chance).play(kills)
    finally:
        teardown_databases(config, verbosity=0)


def spread_renewals(chance: random.Random) -> None:
    """All were authorized in one moment: without this, they would be renewed in bursts with a pause between them."""
    from wechat_open.db import clock
    from wechat_open.models import Authorizer

    now = clock.now()
    for row in Authorizer.objects.all():
        row.next_action_at = now + timedelta(seconds=chance.uniform(0, TOKEN_LIFE * 0.7))
        row.save(update_fields=["next_action_at"])


def play_sites(name: str, url: str, kills: int, seed: int) -> bool:
    """Several sites on one database server; prints their figures, and says whether all is well."""
    sites = []
    for number in range(SITES):
        address = urlsplit(url)._replace(path=f"/kills_{number}").geturl()
        share = kills // SITES + (number < kills % SITES)
        sites.append(
            subprocess.Popen(
                [sys.executable, "-m", "tests.kills", "--here", f"--kills={share}", f"--seed={seed * SITES + number}"],
                env={**os.environ, "DATABASE_URL": address, "DJANGO_SETTINGS_MODULE": "tests.settings"},
                stdout=subprocess.PIPE,
                text=True,
            )
        )
    figures = Figures()
    for site in sites:
        said, _ = site.communicate()
        if site.returncode:
            print(f"{name}: a site ended with {site.returncode}", flush=True)
            return False
        figures.add(Figures(**json.loads(said.splitlines()[-1])))
    print(f"{name}: {figures.line()}", flush=True)
    for words, appids in (("lost", figures.lost), ("in a false state", figures.false_states)):
        if appids:
            print(f"  {words}: {', '.join(appids)}")
    return figures.well


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.kills", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kills", type=int, default=500, help="on each database server (default: 500)")
    parser.add_argument("--seed", type=int, default=0, help="of the moments (default: 0)")
    parser.add_argument("--on", choices=("PostgreSQL", "MariaDB"), help="only on this one")
    parser.add_argument("--here", action="store_true", help="one site, on the database that DATABASE_URL names")
    options = parser.parse_args()
    if options.here:
        print(json.dumps(vars(play(options.kills, options.seed))))
        return 0
    servers = [service for service in SERVICES if service.name in (options.on or "PostgreSQL, MariaDB")]
    well = [play_sites(service.name, service.url, options.kills, options.seed) for service in servers]
    return 0 if all(well) else 1


if __name__ == "__main__":
    sys.exit(main())

"""How many of the readers get a token that works, while one thing goes wrong and all else goes well.

    python -m tests.simulation --availability

Each measure is a site whose tokens live two hours, as WeChat's do, whose owners have granted once, and whose readers
ask every few seconds. A token that WeChat refuses is reported and asked for again, as every call does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from django.db import InterfaceError, OperationalError

from wechat_open.exceptions import WeChatOpenError
from wechat_open.tokens import AuthorizerKeeper

from .wechat import Rotation
from .world import (
    CALM,
    Chaos,
    Job,
    SimulatedProcess,
    World,
    gets_token,
    read_token,
    readers_call,
    refused,
    silent,
)

OUTAGE = 1200.0
APART = 5400.0
"""Seconds from the beginning of one outage to the next."""


@dataclass(frozen=True)
class Measure:
    """What goes wrong, and the least share of readers that must get their token."""

    least: float
    chaos: Chaos = CALM
    down: tuple[str, ...] = ()
    """What is down together, for twenty minutes every hour and a half."""
    outage: float = OUTAGE
    token_life: int = 7200
    accounts: int = 3
    remembered: bool = False
    """Only readers count whose process has the account's current token in its memory."""


ONE_HOST: Any = {"outage": 0.7 * APART, "token_life": 600, "accounts": 12}
"""Longer than any token lives: another host has to renew all of them."""

MEASURES: Mapping[str, Measure] = {
    "kills": Measure(0.999, chaos=replace(CALM, kills=0.003)),
    "WeChat down": Measure(1.0, down=("wechat",)),
    "database down": Measure(1.0, down=("database",)),
    "cache down": Measure(1.0, down=("cache",)),
    "broker down": Measure(1.0, down=("broker",)),
    "database and cache down": Measure(1.0, down=("database", "cache"), remembered=True),
    "one host without WeChat": Measure(1.0, down=(refused("a"),), **ONE_HOST),
    "one host without answers": Measure(1.0, down=(silent("a"),), **ONE_HOST),
}


class Site(World):
    """A site that is measured; ``failures`` says when a reader got nothing that works."""

    def __init__(self, seed: int, measure: Measure) -> None:
        super().__init__(
            seed,
            Rotation.STRICT,
            measure.chaos,
            token_life=measure.token_life,
            stormy_hours=8.0,
            calm_hours=0.1,
            accounts=measure.accounts,
        )
        self.measure = measure
        self.failures: list[str] = []

    def plan(self) -> None:
        for role in ("web", "web", "worker", "worker"):
            self.start_process(role)
        self.every(600, self.push_ticket)
        self.every(300, self.wechat.make_list)
        for appid in self.appids:
            self.scheduler.after(self.random.uniform(5, 60), lambda appid=appid: self.owners.authorizes(appid))
        begin = self.random.uniform(900, APART)
        while self.measure.down and begin + self.measure.outage < self.storm_ends:
            for what in self.measure.down:
                self.outages[what].append((begin, begin + self.measure.outage))
            begin += self.random.uniform(0.8, 1.2) * APART

    def jobs(self, role: str) -> list[Job]:
        others = [job for job in super().jobs(role) if job.work is not read_token]
        return [*others, Job(15, self.read, readers_call)]

    def read(self, process: SimulatedProcess) -> None:
        appid = self.random.choice(self.appids)
        grant = self.wechat.account(appid).grant
        if grant is None or self.wechat_time() - grant.auth_time < 120:
            return
        counts = not self.measure.remembered or self._remembers(process, appid)
        self.figures.reads += counts
        why = ""
        try:
            if not gets_token(process, appid):
                why = "a token that WeChat refuses"
        except (WeChatOpenError, OperationalError, InterfaceError) as error:
            why = f"{type(error).__name__}: {error}"
        if why and counts:
            self.figures.unavailable += 1
            self.failures.append(f"{self.scheduler.now:.0f} s, {process.name}, {appid}: {why}")

    def _remembers(self, process: SimulatedProcess, appid: str) -> bool:
        known = process.memory.read(AuthorizerKeeper(process.platform, appid).name)
        return known is not None and self.wechat.accepts(appid, known.reveal())


def measure(name: str, seeds: int) -> tuple[str, int, int, list[str]]:
    """Its name, how many readers there were, and how many got nothing that works, with the first reasons."""
    reads = unavailable = 0
    reasons: list[str] = []
    for seed in range(seeds):
        site = Site(seed, MEASURES[name])
        figures = site.play()
        reads += figures.reads
        unavailable += figures.unavailable
        reasons += [f"seed {seed}, {reason}" for reason in [*site.failures, *figures.violations]]
    return name, reads, unavailable, reasons[:5]

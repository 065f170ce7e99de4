"""One simulated site with its WeChat, and everything that goes wrong around them.

Processes run the production code of custody, the inbox and authorization against rows in memory (``memory``), a WeChat
in virtual time (``wechat``), a cache that several processes share, and a broker that loses messages. Each thing that a
process does outside of itself is one step, before which the process may be killed or paused and others go on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from itertools import count
from typing import Any, TypeVar
from unittest.mock import patch

from django.db import InterfaceError, OperationalError

from wechat_open import inbox, platforms, signals, tokens
from wechat_open.client import component as paths
from wechat_open.client.answers import Answer
from wechat_open.client.calls import Call
from wechat_open.client.reachability import Reachability
from wechat_open.db import fields
from wechat_open.environment import Environment
from wechat_open.exceptions import Unreachable, WeChatOpenError
from wechat_open.models import AuthorizationLink, Authorizer, CodeExchange, Component, Push, VerifyTicket
from wechat_open.platforms import Platform
from wechat_open.ports import Timing
from wechat_open.protocol.envelope import DecryptedPush, Stamp
from wechat_open.protocol.errcodes import error_for
from wechat_open.protocol.events import Authorized, Event
from wechat_open.rounds import Deadline
from wechat_open.schedule import PERIODS
from wechat_open.secret import Secret
from wechat_open.stores.token_memory import TokenMemory
from wechat_open.stores.tokens import TOKEN_LEASE
from wechat_open.tasks import PERIODIC_JOBS
from wechat_open.tokens import AuthorizerKeeper, policy
from wechat_open.tokens.tickets import TICKET_STALE

from .figures import Figures
from .memory import Tables
from .monitor import COMPARED_WITHIN, Monitor
from .owners import Owners
from .scheduler import Process, Scheduler
from .tenants import Tenants
from .vault import Vault
from .wechat import Refused, Rotation, WeChat

_T = TypeVar("_T")

START = datetime(2030, 1, 1, tzinfo=timezone.utc)
STARTED = START.timestamp()
APPID = "wxcomponent"
TIMEOUT = 13.0
"""Seconds after which a sender gives up."""
LONGEST_CALL = 23.0
"""Seconds: that of TIMEOUT as it is by default."""
LONGEST_STEP = 0.004
"""Seconds that a statement, or a look into the cache, takes."""
SAFE_PAUSE = TOKEN_LEASE.length.total_seconds() - LONGEST_CALL
"""A process that is paused for longer, between looking at its lease and sending, may overlap with another one: its
request may be the first that WeChat receives, or the second."""

HOSTS = ("a", "b")


def refused(host: str) -> str:
    """The outage in which this host finds no way to WeChat: no request is sent."""
    return f"the way from {host}"


def silent(host: str) -> str:
    """The outage in which this host can connect to WeChat, and nothing comes back."""
    return f"the answers to {host}"


ALONE_CATCH_UP = policy.REFUSED_RETRIES[-1].total_seconds() + 60
"""The same after refusals of one account: no other account's success says that they are over."""
CATCH_UP = 900.0
"""Seconds after an outage or refusals that do not count either."""
STORMY_HOURS = 1.25
CALM_HOURS = COMPARED_WITHIN / 3600
"""So long after the storm the comparison with WeChat's list has repaired all that nothing else could."""
LAST_ROUNDS = 60.0
"""Seconds at the end in which no round begins: those that have begun come to theirs."""


@dataclass(frozen=True)
class Chaos:
    """How much goes wrong, each as a probability for one step, call or push, or as a number of outages."""

    kills: float = 0.0035
    pauses: float = 0.002
    lost_answers: float = 0.03
    slow_calls: float = 0.05
    failed_statements: float = 0.007
    lost_pushes: float = 0.02
    late_pushes: float = 0.3
    doubled_pushes: float = 0.2
    lost_messages: float = 0.2
    outages: int = 1
    """Of the database, of the cache, of WeChat: so many each."""
    lost_ways: int = 0
    """Times in which one of the two hosts alone gets no answer from WeChat."""
    refusals: int = 1
    """Times in which WeChat refuses every call with an error code."""
    links: float = 0.5
    """The share of authorizations that begin with a link of the site."""
    closed_browsers: float = 0.1
    poisoned: int = 1
    """Rows whose ciphertext is damaged."""
    refused_accounts: int = 1
    """Times in which WeChat refuses one account alone."""
    second_thoughts: float = 0.3
    """The share of authorizations after which the owner soon authorizes once more."""
    shared_links: float = 0.1
    """The share of links that another owner has before him as well."""
    thefts: float = 0.2
    """The share of links whose code a thief presents at a page of another one."""
    cancellations: float = 0.3
    """The share of changes by owners that begin with a cancellation."""


CALM = Chaos(
    kills=0,
    pauses=0,
    lost_answers=0,
    slow_calls=0,
    failed_statements=0,
    lost_pushes=0,
    late_pushes=0,
    doubled_pushes=0,
    lost_messages=0,
    outages=0,
    refusals=0,
    closed_browsers=0,
    second_thoughts=0,
    shared_links=0,
    thefts=0,
    poisoned=0,
    refused_accounts=0,
)
CHAOS = {
    "storm": Chaos(),
    "calm": CALM,
    "kills": replace(CALM, kills=0.001),
    "pauses": replace(CALM, pauses=0.004),
    "answers": replace(CALM, lost_answers=0.05, slow_calls=0.2),
    "pushes": replace(CALM, lost_pushes=0.1, late_pushes=0.5, doubled_pushes=0.5, lost_messages=0.5),
    "database": replace(CALM, failed_statements=0.02, outages=1),
    "accounts": replace(CALM, poisoned=3, refused_accounts=3),
    "hosts": replace(CALM, kills=0.001, lost_answers=0.02, slow_calls=0.1, lost_ways=4),
    "tenants": replace(
        CALM,
        kills=0.003,
        pauses=0.01,
        links=0.8,
        second_thoughts=0.6,
        shared_links=0.2,
        thefts=0.5,
        late_pushes=0.5,
        doubled_pushes=0.3,
        lost_messages=0.3,
    ),
}
"""What may go wrong, by name: all of it, or one kind alone."""


class Violation(AssertionError):
    """An invariant did not hold."""


class World:
    """A run: ``play`` and look at ``figures``."""

    def __init__(
        self,
        seed: int,
        rotation: Rotation,
        chaos: Chaos,
        *,
        accounts: int = 4,
        workers: int | None = None,
        token_life: int = 1800,
        stormy_hours: float = STORMY_HOURS,
        calm_hours: float = CALM_HOURS,
    ) -> None:
        self.scheduler = Scheduler(seed)
        self.random = self.scheduler.random
        self.chaos = chaos
        self.storm_ends = stormy_hours * 3600
        self.ends = self.storm_ends + calm_hours * 3600
        self.skew = self.random.uniform(-20, 20)
        self.wechat = WeChat(APPID, rotation, token_life, self.wechat_time)
        self.wechat.lists_late = self.random.random() < 0.5
        self.tables = Tables(self.database_time)
        self.tables.before = self._before_statement
        self.tables.after = self._after_statement
        self.figures = Figures(runs=1, accounts=accounts)
        self.seed = seed
        self.tenants = Tenants(self.broken)
        self.monitor = Monitor(self.wechat, self.tenants, lambda: self.scheduler.now, self.broken, self.usable_seconds)
        self.tables.written = self.monitor.written
        self.owners = Owners(self)
        self.acknowledged: list[dict[str, str]] = []
        """Pushes that were answered ``success``."""
        self.heard: set[tuple[str, str, str]] = set()
        """Pushes whose signal a receiver has got: InfoType, account, and WeChat's time."""
        self.troubles: list[tuple[float, float]] = []
        """When anything that a repair needs was down, or refused."""
        self.troubles_of: dict[str, list[tuple[float, float]]] = {}
        """The same of one account."""
        self.cache: dict[str, tuple[Secret, float, float]] = {}
        self.outages: dict[str, list[tuple[float, float]]] = {
            "database": [],
            "cache": [],
            "wechat": [],
            "broker": [],
            **{way: [] for host in HOSTS for way in (refused(host), silent(host))},
        }
        self.appids = [f"wx{number:04d}" for number in range(accounts)]
        self._processes: list[SimulatedProcess] = []
        self._workers = workers or (2 if seed % 4 else 3)
        self._names = count(1)
        self._time = 0.0, START
        self.rotation = rotation

    # -- time ----------------------------------------------------------------------------------------------------------

    def database_time(self) -> datetime:
        now = self.scheduler.now
        if self._time[0] != now:
            self._time = now, START + timedelta(seconds=now)
        return self._time[1]

    def wechat_time(self) -> float:
        return STARTED + self.scheduler.now + self.skew

    @property
    def stormy(self) -> bool:
        return self.scheduler.now < self.storm_ends

    def chance(self, probability: float) -> bool:
        return probability > 0 and self.scheduler.now < self.storm_ends and self.random.random() < probability

    # -- steps ---------------------------------------------------------------------------------------------------------

    def step(self, process: SimulatedProcess, seconds: float = 0.0, risk: float = 1.0) -> None:
        """A point at which others may go on, and at which the process may be killed or paused.

        ``risk`` makes that likelier, where it does the most harm.
        """
        process.steps += 1
        draw = self.random.random() / risk
        if process.killed_before == process.steps or (draw < self.chaos.kills and self.stormy):
            self.kill(process)
        elif draw < self.chaos.kills + self.chaos.pauses and self.stormy:
            paused = self.random.uniform(2, 150)
            seconds += paused
            if paused > SAFE_PAUSE:
                self.figures.long_pauses += 1
                process.paused_until = self.scheduler.now + paused + 2 * LONGEST_CALL
        self.scheduler.pause(process, seconds + self.random.random() * LONGEST_STEP)

    def kill(self, process: SimulatedProcess) -> None:
        """Never returns when the caller runs in that process. Another one is started in its place after a while."""
        process.alive = False
        self.figures.kills += 1
        self._processes.remove(process)
        if process.role != "victim":
            self.scheduler.after(self.random.uniform(1, 30), lambda: self.start_process(process.role, process.host))
        if self.scheduler.running is process:
            self.scheduler.stop_here()

    def down(self, what: str) -> bool:
        now = self.scheduler.now
        for begin, end in self.outages[what]:  # noqa: SIM110 - twice as fast
            if begin <= now < end:
                return True
        return False

    @property
    def process(self) -> SimulatedProcess:
        """The one that is running."""
        process = self.scheduler.running
        assert isinstance(process, SimulatedProcess)
        return process

    def _before_statement(self, statement: str) -> None:
        process: Any = self.scheduler.running
        if process is None:
            return
        if not self.tables.in_transaction:
            self.step(process)
        if self.down("database"):
            process.failed_statements += 1
            raise OperationalError("the database is down")
        fails = self.chance(self.chaos.failed_statements)
        process.failed_statements += fails
        process.loses_connection = fails and self.random.random() < 0.5
        if fails and not process.loses_connection:
            raise OperationalError("deadlock detected")

    def _after_statement(self, statement: str) -> None:
        """The statement is committed, and its connection breaks."""
        process: Any = self.scheduler.running
        if process is not None and process.loses_connection:
            raise InterfaceError("connection lost")

    # -- the run -------------------------------------------------------------------------------------------------------

    @contextmanager
    def installed(self) -> Iterator[None]:
        vault = Vault()
        with (
            self.tables.installed(),
            patch.object(platforms, "for_component", self._platform),
            patch.object(platforms, "get", self._platform),
            patch.object(fields, "encrypt", vault.encrypt),
            patch.object(fields, "decrypt", vault.decrypt),
        ):
            signals.push_received.connect(self._hear, weak=False)
            signals.authorizer_authorized.connect(self._hear_grant, weak=False)
            try:
                yield
            finally:
                signals.push_received.disconnect(self._hear)
                signals.authorizer_authorized.disconnect(self._hear_grant)

    def _hear(self, event: Event, **_: object) -> None:
        """The site's receiver: its process may be killed before it has done anything."""
        self.step(self.process, risk=AROUND_CALLS)
        appid = str(getattr(event, "authorizer_appid", ""))
        self.heard.add((event.info_type, appid, str(int(event.created_at.timestamp()))))
        if isinstance(event, Authorized):
            self.tenants.pushed.add(event.authorization_code.reveal())

    def _hear_grant(self, authorizer: Authorizer, link: AuthorizationLink | None, **_: object) -> None:
        """The same of a signal that says whose the account is: the last one counts."""
        self.step(self.process, risk=AROUND_CALLS)
        self.tenants.announced[authorizer.appid] = link.pk if link is not None else None

    def _platform(self, *args: object) -> Platform:
        return self.process.platform

    def play(self) -> Figures:
        """Everything from the first ticket to the last check."""
        with self.installed():
            self.component = Component.objects.create(appid=APPID)
            self.plan()
            self.scheduler.run(self.ends + LAST_ROUNDS)
            self.check_at_rest()
        self.figures.steps = self.scheduler.steps
        self.figures.repaired_after = self.monitor.repaired_after
        self.figures.overlaps = sum(account.overlaps for account in self.wechat.accounts.values())
        self.figures.refreshes = sum(account.refreshes for account in self.wechat.accounts.values())
        return self.figures

    def plan(self) -> None:
        """Processes, tickets, owners, outages."""
        self.start_process("web")
        for _ in range(self._workers):
            self.start_process("worker")
        self.every(600, self.push_ticket)
        self.every(300, self.wechat.make_list)
        for appid in self.appids:
            self.scheduler.after(self.random.uniform(1, 600), lambda appid=appid: self.owners.authorizes(appid))
            self.scheduler.after(self.random.expovariate(1 / 3600), lambda appid=appid: self.owners.changes(appid))
        for what, longest in (("database", 900), ("cache", 900), ("wechat", 1200)):
            for _ in range(self.chaos.outages):
                begin = self.random.uniform(600, max(601, self.storm_ends - longest))
                outage = (begin, begin + self.random.uniform(10, longest))
                self.outages[what].append(outage)
                if what != "cache":
                    self.troubles.append(outage)
        for _ in range(self.chaos.refusals):
            begin = self.random.uniform(600, max(601, self.storm_ends - 1800))
            errcode = self.random.choice([45009, -1, 61004, 50002, 61003, 61023])
            self.scheduler.after(begin, lambda errcode=errcode: self._refuse(errcode))
            end = begin + self.random.uniform(60, 1500)
            self.scheduler.after(end, lambda: self._refuse(0))
            self.troubles.append((begin, end))

        apart = (self.storm_ends - 600) / max(1, self.chaos.lost_ways)
        for number in range(self.chaos.lost_ways):  # the other host goes on
            begin = 600 + apart * (number + self.random.uniform(0, 0.2))
            way = self.random.choice([refused, silent])(self.random.choice(HOSTS))
            self.outages[way].append((begin, begin + self.random.uniform(10, 0.7 * apart)))
        for _ in range(self.chaos.poisoned):
            self.scheduler.after(self.random.uniform(900, self.storm_ends), self._poison)
        for _ in range(self.chaos.refused_accounts):
            self.scheduler.after(self.random.uniform(900, self.storm_ends - 2400), self._refuse_account)

    def _refuse(self, errcode: int) -> None:
        self.wechat.refuses = errcode

    def _refuse_account(self) -> None:
        account = self.wechat.account(self.random.choice(self.appids))
        account.refuses = self.random.choice([45009, 61011, 61004, 40001, 48001])
        seconds = self.random.uniform(600, 2400)
        self.troubles_of.setdefault(account.appid, []).append((self.scheduler.now, self.scheduler.now + seconds))

        def end() -> None:
            account.refuses = 0

        self.scheduler.after(seconds, end)

    def _poison(self) -> None:
        """A disk, or an operator, has damaged a value of one row."""
        row = self.random.choice(list(self.tables.of(Authorizer).values()))
        row[self.random.choice(["access_token", "refresh_token", "previous_refresh_token"])] = "v1.deadbeef.AAAA"
        self.monitor.poisoned(row["appid"])

    def every(self, seconds: float, event: Callable[[], None]) -> None:
        def again() -> None:
            event()
            self.scheduler.after(seconds * self.random.uniform(0.9, 1.1), again)

        self.scheduler.after(self.random.uniform(0, 1), again)

    # -- processes -----------------------------------------------------------------------------------------------------

    def start_process(self, role: str, host: str = "") -> SimulatedProcess:
        """On this host, or on either in turn."""
        process = SimulatedProcess(f"{role}-{next(self._names)}", role, self)
        process.host = host or HOSTS[len(self._processes) % len(HOSTS)]
        self._processes.append(process)
        for job in self.jobs(role):
            self._loop(process, job)
        return process

    def jobs(self, role: str) -> list[Job]:
        return JOBS[role]

    def _loop(self, process: SimulatedProcess, job: Job) -> None:
        """A round now and then, if there is something to do, or to see that nothing is done."""

        def round_() -> None:
            self.guarded(lambda: job.work(process))
            again()

        def begin() -> None:
            if not process.alive or self.scheduler.now > self.ends:
                return
            if job.has_work(self) or self.random.random() < IDLE_ROUNDS:
                self.scheduler.start(process, round_)
            else:
                again()

        def again() -> None:
            self.scheduler.after(job.every * (0.5 + self.random.random()), begin)

        again()

    def guarded(self, work: Callable[[], object]) -> None:
        """An error ends the round, as in a task; it is counted."""
        try:
            work()
        except (WeChatOpenError, OperationalError, InterfaceError):
            self.figures.errors += 1

    def usable_seconds(self, appid: str, begin: float, end: float) -> float:
        """How many of these seconds lie outside of all troubles; after each one, work has to catch up."""
        troubles = [(start, stop + CATCH_UP) for start, stop in self.troubles]
        troubles += [(start, stop + ALONE_CATCH_UP) for start, stop in self.troubles_of.get(appid, [])]
        troubles.sort()
        total, at = 0.0, begin
        for start, stop in troubles:
            total += max(0.0, min(start, end) - at)
            at = max(at, stop)
        return total + max(0.0, end - at)

    def any_process(self, role: str) -> SimulatedProcess | None:
        living = [process for process in self._processes if process.role == role]
        return self.random.choice(living) if living else None

    # -- pushes --------------------------------------------------------------------------------------------------------

    def push_ticket(self) -> None:
        self.push("component_verify_ticket", ComponentVerifyTicket=self.wechat.new_ticket())

    def push(self, info_type: str, **fields: str) -> None:
        """WeChat pushes an event: late, twice, or not at all."""
        if self.chance(self.chaos.lost_pushes):
            return
        event = self.event(info_type, **fields)
        for _ in range(1 + self.chance(self.chaos.doubled_pushes)):
            late = self.random.uniform(1, 600) if self.chance(self.chaos.late_pushes) else self.random.uniform(0.05, 1)
            self.scheduler.after(late, lambda: self._deliver(event, tries=3))

    def event(self, info_type: str, **fields: str) -> dict[str, str]:
        """The fields of a push that WeChat makes now."""
        return {"AppId": APPID, "CreateTime": str(int(self.wechat_time())), "InfoType": info_type, **fields}

    def _deliver(self, event: dict[str, str], tries: int) -> None:
        process = self.any_process("web")
        answered = [False]

        def again() -> None:
            if not answered[0] and tries > 1:
                self._deliver(event, tries - 1)

        self.scheduler.after(5, again)
        if process is None:
            return

        def receive() -> None:
            recorded = inbox.receive(process.platform, self.decrypted(event))
            answered[0] = True
            self.acknowledged.append(event)
            worker = self.any_process("worker")
            lost = self.chance(self.chaos.lost_messages) or self.down("broker")
            if recorded.push is not None and worker is not None and not lost:
                key = recorded.push.pk
                self.scheduler.start(worker, lambda: self.guarded(lambda: process_push(worker, key)), 0.05)

        self.scheduler.start(process, lambda: self.guarded(receive))

    def decrypted(self, event: dict[str, str]) -> DecryptedPush:
        plain = "<xml>" + "".join(f"<{name}>{value}</{name}>" for name, value in event.items()) + "</xml>"
        pair: Any = None
        return DecryptedPush(event, plain.encode(), pair, "xml", Stamp(str(int(self.wechat_time())), "nonce", ""))

    # -- invariants ----------------------------------------------------------------------------------------------------

    def check_at_rest(self) -> None:
        """Long after the last fault: whatever WeChat has granted is held here, and nothing else."""
        abandoned = {  # WeChat has refused the account for good, and an operator decides
            (row["info_type"], row["authorizer_appid"], str(int(row["created_at"].timestamp())))
            for row in self.tables.of(Push).values()
            if row["state"] == Push.State.ABANDONED
        }
        for event in self.acknowledged:
            about = event["InfoType"], event.get("AuthorizerAppid", ""), event["CreateTime"]
            if about not in self.heard and about not in abandoned:
                self.broken(f"I5: no receiver has heard of {about}")
        for appid, damage in self.monitor.damages.items():
            self.monitor.check_damage(appid, damage)
        rows = {row.appid: row for row in Authorizer.objects.select_related("component")}
        authorized = [row for row in rows.values() if row.state == Authorizer.State.AUTHORIZED]
        missing = sum(row.missing_since is not None for row in authorized)
        braked = policy.brake(missing, len(authorized), Limits()) is policy.Brake.ON
        for appid in self.appids:
            grant, row = self.wechat.account(appid).grant, rows.get(appid)
            held = self.monitor.stored(appid, "refresh_token")
            if grant is None:
                if row in authorized and not (braked and row.missing_since):  # so many at once are an operator's
                    self.broken(f"{appid} is authorized here and not at WeChat")
            elif row is None or row.state != Authorizer.State.AUTHORIZED:
                self.broken(f"{appid} is authorized at WeChat, and {row.state if row else 'unknown'} here")
            elif not self.wechat.refreshable(appid, held):
                self.broken(f"the refresh token of {appid} is lost")
            elif not self.wechat.accepts(appid, self.monitor.stored(appid, "access_token")):
                self.broken(f"{appid} has no access token that works")
            else:
                self.tenants.check_at_rest(self.monitor.rows[appid])

    def broken(self, text: str) -> None:
        self.figures.broken.setdefault(self.seed, []).append(f"{self.scheduler.now:.0f} s: {text}")


class SimulatedProcess(Process):
    """A process with its platform: each has memory and a monotonic clock of its own."""

    def __init__(self, name: str, role: str, world: World) -> None:
        super().__init__(name)
        self.role = role
        self.host = HOSTS[0]
        self.world = world
        self.paused_until = 0.0
        self.steps = 0
        self.killed_before = 0
        """It is killed before this step."""
        self.loses_connection = False
        self.failed_statements = 0
        self.clock_wrong_by = world.random.choice([0.0, 3600.0, -3600.0])
        offset = world.random.uniform(0, 10_000)
        timing = Timing(
            monotonic=lambda: world.scheduler.now + offset,
            sleep=lambda seconds: world.scheduler.pause(self, seconds),
            jitter=world.random.random,
            wall=lambda: STARTED + world.scheduler.now + self.clock_wrong_by,
        )
        memory = self.memory = TokenMemory(timing)
        environment = SimulatedEnvironment(
            timing,
            SimulatedCache(self, memory),
            NoAudit(),
            Limits(),
            KnownTime(world),
            Reachability(timing.monotonic, timing.jitter),
            self,
        )
        self.platform = Platform("default", APPID, (), Secret("secret"), environment)
        if hasattr(world, "component"):
            vars(self.platform)["row"] = Component(pk=world.component.pk, appid=APPID)


@dataclass(frozen=True)
class SimulatedEnvironment(Environment):
    process: SimulatedProcess | None = None

    def wechat(self) -> Any:
        return SimulatedClient(self.process)

    def side_by_side(self, work: Callable[[], object], copies: int) -> None:
        process, done = self.process, []
        assert process is not None
        scheduler = process.world.scheduler

        def one() -> None:
            try:
                work()
            except Exception as error:  # noqa: BLE001 - it ends the thread, and leases are left
                process.world.broken(f"a thread of renewals ends with {type(error).__name__}")
            done.append(True)

        for _ in range(copies):
            scheduler.start(process, one)
        while len(done) < copies:
            scheduler.pause(process, 0.5)

    def outside_atomic(self, work: Callable[[], _T]) -> _T:
        return work()


@dataclass(frozen=True)
class KnownTime:
    """The database's time, as a process that has read it knows it."""

    world: World

    def now(self) -> datetime:
        return self.world.database_time()


@dataclass(frozen=True)
class Limits:
    token_wait: timedelta = timedelta(seconds=10)
    renewal_threads: int = 2
    renewals_per_second: float = 50.0
    brake_accounts: int = 20
    brake_share: float = 0.05


class NoAudit:
    """The audit trail has tests of its own; here it would only cost time."""

    def increment(self, *args: object, **kwargs: object) -> None:
        return None

    record = increment


class SimulatedCache:
    """The cache that all processes share, and the memory of one. While it is down it knows nothing, and never fails."""

    def __init__(self, process: SimulatedProcess, memory: TokenMemory) -> None:
        self.process = process
        self.world = process.world
        self.memory = memory

    def read(self, name: str) -> Secret | None:
        return self._read(name, 1)

    def read_last(self, name: str) -> Secret | None:
        return self._read(name, 2) or self.memory.read(name)

    def _read(self, name: str, until: int) -> Secret | None:
        self.world.step(self.process)
        entry: Any = None if self.world.down("cache") else self.world.cache.get(name)
        if not entry or entry[until] <= self.world.scheduler.now:
            return None
        token: Secret = entry[0]
        self.memory.write(name, token, timedelta(seconds=entry[2] - self.world.scheduler.now))
        return token

    def write(self, name: str, token: Secret, short: timedelta, last: timedelta) -> None:
        self.memory.write(name, token, last)
        self.world.step(self.process)
        if not self.world.down("cache"):
            now = self.world.scheduler.now
            self.world.cache[name] = (token, now + short.total_seconds(), now + last.total_seconds())

    def forget(self, name: str) -> None:
        self.memory.forget(name)
        self.world.step(self.process)
        if not self.world.down("cache"):
            self.world.cache.pop(name, None)


AROUND_CALLS = 10.0


class SimulatedClient:
    """Sends calls to the simulated WeChat: they take their time, and their answers may be lost."""

    longest_call = timedelta(seconds=LONGEST_CALL)

    def __init__(self, process: SimulatedProcess | None) -> None:
        assert process is not None
        self.process = process
        self.world = process.world

    def run(self, call: Call[_T], token: Secret | None = None) -> _T:
        world, scheduler = self.world, self.world.scheduler
        world.step(self.process, risk=AROUND_CALLS)
        if world.down("wechat") or world.down(refused(self.process.host)):
            scheduler.pause(self.process, 3.0)
            raise Unreachable(call.name, "ConnectTimeout", answered=False)
        if world.down(silent(self.process.host)):
            scheduler.pause(self.process, TIMEOUT)
            raise Unreachable(call.name, "ReadTimeout", in_flight=True, answered=False)
        there, working, back = (world.random.uniform(0.01, 0.2) for _ in range(3))
        lost = world.chance(world.chaos.lost_answers)
        if lost and world.random.random() < 0.5:
            working = world.random.uniform(TIMEOUT, LONGEST_CALL - 1)  # WeChat is still at it when the sender gives up
        elif world.chance(world.chaos.slow_calls):
            working = world.random.uniform(1, TIMEOUT - 1)
        request = Request(world, self.process, call, token.reveal() if token is not None else "")
        scheduler.after(there, request.arrive)
        scheduler.after(there + working, request.finish)
        if lost:
            scheduler.pause(self.process, min(TIMEOUT, there + working + back))
            raise Unreachable(call.name, "ReadTimeout", in_flight=True, answered=False)
        scheduler.pause(self.process, there + working + back)
        world.step(self.process, risk=AROUND_CALLS)  # only this process has the answer
        if isinstance(request.answer, Refused):
            raise error_for(request.answer.errcode, "refused", path=call.name)
        assert request.answer is not None
        answered_at = datetime.fromtimestamp(int(world.wechat_time()), timezone.utc)
        return call.read(Answer(request.answer, b"", "application/json", answered_at, call.name))


class Request:
    """A request that is under way, or at WeChat; its sender may be dead."""

    def __init__(self, world: World, process: SimulatedProcess, call: Call[Any], token: str) -> None:
        self.world = world
        self.process = process
        self.path = call.name
        self.body = {
            name: value.reveal() if isinstance(value, Secret) else value for name, value in (call.json or {}).items()
        }
        self.token = token
        self.answer: dict[str, Any] | Refused | None = None
        self.account = world.wechat.account(self.body["authorizer_appid"]) if self._refreshes else None

    @property
    def _refreshes(self) -> bool:
        return self.path == paths.AUTHORIZER_TOKEN

    def arrive(self) -> None:
        if self.account is None:
            return
        self.account.in_flight.append(self.process)
        if len(self.account.in_flight) > 1:
            if any(process.paused_until > self.world.scheduler.now for process in self.account.in_flight):
                self.world.figures.excused_overlaps += 1
            else:
                self.account.overlaps += 1
                self.world.broken(f"two refreshes of {self.account.appid} are in flight")

    def finish(self) -> None:
        if self.account is not None:
            self.account.in_flight.remove(self.process)
        try:
            self.answer = self.world.wechat.handle(self.path, self.body, self.token)
        except Refused as refused:
            self.answer = refused
        for appid in self.world.appids:
            self.world.monitor.look(appid)


# -- what processes do -------------------------------------------------------------------------------------------------


IDLE_ROUNDS = 0.01
"""The share of rounds with nothing to do that are played."""


@dataclass(frozen=True)
class Job:
    """What a process does every so many seconds."""

    every: float
    work: Callable[[SimulatedProcess], object]
    has_work: Callable[[World], bool]
    """Most rounds find nothing, and change nothing."""


def periodic(name: str) -> Callable[[SimulatedProcess], object]:
    """A round of one of the app's periodic jobs."""
    job, limit = PERIODIC_JOBS[name], PERIODS[name].limit

    def work(process: SimulatedProcess) -> None:
        deadline = Deadline.after(limit, process.platform.environment.timing.monotonic)
        job.work(*[process.platform][: job.per_platform], deadline)

    return work


def process_push(process: SimulatedProcess, key: int) -> None:
    inbox.process_for(process.platform, key)


def renewal_is_due(world: World) -> bool:
    now = world.database_time()
    for model in (Component, Authorizer):
        for row in world.tables.of(model).values():
            if row["next_action_at"] is not None and row["next_action_at"] <= now:
                return True
    return False


def comparison_is_due(world: World) -> bool:
    now = world.database_time()
    return any(
        row["reconcile_due_at"] is None or row["reconcile_due_at"] <= now for row in world.tables.of(Component).values()
    )


def push_waits(world: World) -> bool:
    return any(row["state"] in WAITING for row in world.tables.of(Push).values())


WAITING = (Push.State.RECEIVED, Push.State.FAILED)


def code_waits(world: World) -> bool:
    return any(row["completed_at"] is None for row in world.tables.of(CodeExchange).values())


def signal_waits(world: World) -> bool:
    return any(
        row["needs_announcing"] for model in (Authorizer, VerifyTicket) for row in world.tables.of(model).values()
    )


def profile_is_missing(world: World) -> bool:
    return any(
        row["profile_synced_at"] is None and row["state"] == Authorizer.State.AUTHORIZED
        for row in world.tables.of(Authorizer).values()
    )


def tickets_stay_away(world: World) -> bool:
    since = world.database_time() - TICKET_STALE
    return not any(row["received_at"] > since for row in world.tables.of(VerifyTicket).values())


def readers_call(world: World) -> bool:
    return world.stormy


def read_token(process: SimulatedProcess) -> None:
    """A reader wants to call WeChat in an account's name."""
    world = process.world
    appid = world.random.choice(world.appids)
    account = world.wechat.account(appid)
    grant = account.grant
    if account.refuses:
        return  # WeChat refuses this account alone: nothing here could help
    if grant is None or world.wechat_time() - grant.auth_time < NEW_GRANT:
        return
    world.figures.reads += 1
    failed = process.failed_statements

    def served(token: Secret) -> None:
        if process.failed_statements == failed:  # else the last token that is known is better than none
            world.monitor.served(appid, token.reveal())

    try:
        works = gets_token(process, appid, served)
    except (WeChatOpenError, OperationalError, InterfaceError):
        works = False
    if world.wechat.account(appid).grant is grant:
        world.figures.unavailable += not works
        world.monitor.read(appid, works)


def gets_token(process: SimulatedProcess, appid: str, served: Callable[[Secret], object] = lambda token: None) -> bool:
    """Whether WeChat takes the account's token. One that is refused is asked for again, as calls do."""
    wechat = process.world.wechat
    token = tokens.authorizer_token(process.platform, appid)
    served(token)
    if not wechat.accepts(appid, token.reveal()):
        AuthorizerKeeper(process.platform, appid).invalidate(token)
        token = tokens.authorizer_token(process.platform, appid)
    return wechat.accepts(appid, token.reveal())


NEW_GRANT = 120.0
"""Seconds after a grant in which no process asks for its tokens: its push may still be under way."""

JOBS: dict[str, list[Job]] = {
    "web": [Job(60, read_token, readers_call)],
    "worker": [
        Job(30, periodic("renew_due_tokens"), renewal_is_due),
        Job(300, periodic("reconcile"), comparison_is_due),
        Job(120, periodic("process_inbox"), push_waits),
        Job(120, periodic("finish_exchanges"), code_waits),
        Job(300, periodic("announce"), signal_waits),
        Job(600, periodic("sync_profiles"), profile_is_missing),
        Job(600, periodic("watch_tickets"), tickets_stay_away),
        Job(120, read_token, readers_call),
    ],
    "victim": [],
}
"""What a process of each role does."""

"""One operation, and the process that runs it killed at a chosen step.

Everything else goes well: what is broken afterwards was broken by that crash. Other processes live on, as on any site,
and must have repaired everything by the end.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from wechat_open import inbox, tokens
from wechat_open.models import Push

from .figures import Figures
from .wechat import Rotation
from .world import CALM, SimulatedProcess, World, process_push

SHOP, OTHER = "wx0000", "wx0001"
AT = 700.0
"""Seconds after the start: the account is authorized, and nothing is due."""
NEXT_VICTIM = 75.0
"""Seconds after a crash: every lease of the dead process has ended."""


class Crash(World):
    """An operation that starts at ``AT`` in a process of its own, the victim.

    ``kills`` are the steps before which the first victim, the second, and so on are killed; one more victim finishes
    the operation, if no other process has.
    """

    def __init__(self, operation: str, rotation: Rotation, kills: Sequence[int] = ()) -> None:
        super().__init__(0, rotation, CALM, accounts=2, workers=1, stormy_hours=0.0, calm_hours=2.6)
        self.prepare, self.operate = OPERATIONS[operation]
        self.kills = list(kills)
        self.first: SimulatedProcess | None = None
        """The first victim."""

    def plan(self) -> None:
        self.start_process("web")
        self.start_process("worker")
        self.every(600, self.push_ticket)
        for appid in self.appids:
            self.scheduler.after(30, lambda appid=appid: self.owners.authorizes(appid))
        self.scheduler.after(AT - 5, lambda: self.prepare(self))
        for number in range(len(self.kills) + 1):
            self.scheduler.after(AT + number * NEXT_VICTIM, self._start_victim)

    def _start_victim(self) -> None:
        victim = self.start_process("victim")
        self.first = self.first or victim
        if self.kills:
            victim.killed_before = self.kills.pop(0)
        self.scheduler.start(victim, lambda: self.guarded(lambda: self.operate(victim)))

    @property
    def steps_of_operation(self) -> int:
        """How many steps the first victim has taken."""
        return self.first.steps if self.first else 0


def play(operation: str, rotation: Rotation, kills: Sequence[int] = ()) -> Figures:
    return Crash(operation, rotation, kills).play()


def steps_of(operation: str, rotation: Rotation) -> int:
    """How many steps the operation has when no process is killed."""
    crash = Crash(operation, rotation)
    figures = crash.play()
    assert not figures.broken, figures.broken
    return crash.steps_of_operation


# -- operations ------------------------------------------------------------------------------------------------------


def _nothing(world: World) -> None:
    """The site as it is."""


def _renew(victim: SimulatedProcess) -> None:
    tokens.AuthorizerKeeper(victim.platform, SHOP).renew_now()


def _renew_component(victim: SimulatedProcess) -> None:
    tokens.ComponentKeeper(victim.platform).renew_now()


def _record(world: World, info_type: str, **fields: str) -> None:
    """A push arrives, and no worker gets a task."""
    process = world.any_process("web")
    assert process is not None
    event = world.event(info_type, AuthorizerAppid=SHOP, **fields)
    world.scheduler.start(process, lambda: inbox.receive(process.platform, world.decrypted(event)))


def _authorized_again(world: World) -> None:
    code = world.owners.grants(SHOP)
    _record(world, "updateauthorized", AuthorizationCode=code, AuthorizationCodeExpiredTime="1900000000")


def _cancelled(world: World) -> None:
    world.wechat.unauthorize(SHOP)
    world.monitor.look(SHOP)
    _record(world, "unauthorized")


def _process(victim: SimulatedProcess) -> None:
    for key, row in list(victim.world.tables.of(Push).items()):
        if row["state"] != Push.State.DONE:
            process_push(victim, key)


def _differs(world: World) -> None:
    """WeChat has a grant that no push announced, and lacks one that is stored here; a third was authorized again."""
    world.appids.append("wx0002")
    for appid in ("wx0002", SHOP):
        world.owners.grants(appid)
    world.wechat.unauthorize(OTHER)
    for appid in world.appids:
        world.monitor.look(appid)


def _compare(victim: SimulatedProcess) -> None:
    tokens.reconcile(victim.platform)


def _receive(victim: SimulatedProcess) -> None:
    world = victim.world
    event = world.event("unauthorized", AuthorizerAppid=SHOP)
    if world.wechat.account(SHOP).grant is not None:
        world.wechat.unauthorize(SHOP)
        world.monitor.look(SHOP)
    inbox.receive(victim.platform, world.decrypted(event))


OPERATIONS: dict[str, tuple[Callable[[World], None], Callable[[SimulatedProcess], None]]] = {
    "renewal": (_nothing, _renew),
    "component token": (_nothing, _renew_component),
    "exchange": (_authorized_again, _process),
    "cancellation": (_cancelled, _process),
    "receiving": (_nothing, _receive),
    "comparison": (_differs, _compare),
}

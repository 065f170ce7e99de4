"""What does a site run that has no Celery?

``manage.py wechat_open run``: the jobs that beat would ring, at beat's intervals, one after the other in this process.
Bulk actions go on without a pause while rows are left, a short turn at a time: before each, whatever else is due comes
first. Several such processes may run at once, also beside Celery; they take turns as workers do.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from django.db import Error as DatabaseTrouble
from django.db import close_old_connections
from django.utils.translation import gettext as _
from django.utils.translation import pgettext

from .. import alerts, authorization, bulk, census, inbox, journal, tokens
from ..component import Platform
from ..exceptions import TokenUnavailable, WeChatOpenError
from ..schedule import BEAT_SCHEDULE
from ..telling import told

ROUND = 5.0
"""Seconds that one round of renewals may take in the loop, so that other jobs and a stop come in time."""

TURN = 2.0
"""Seconds that bulk actions take at a time: as long as renewals wait anyway."""


@dataclass
class Job:
    """One of beat's tasks. ``work`` does it, for each platform or ``for_all``, and says what happened, or nothing.

    One that ``goes_on`` takes its next turn at once, until nothing happens.
    """

    name: str
    work: Callable[..., str]
    for_all: bool = False
    goes_on: bool = False
    due_at: float = 0.0
    troubles: dict[str, str] = field(default_factory=dict)

    def take_turn(self) -> bool:
        """Whether its time has come; then the next one is noted."""
        now = time.monotonic()
        if now < self.due_at:
            return False
        self.due_at = now + BEAT_SCHEDULE[f"wechat_open.{self.name}"]["schedule"]
        return True

    def works(self, owners: Sequence[Platform]) -> list[tuple[str, Callable[[], str]]]:
        """What is to be done, and in whose name."""
        if self.for_all:
            return [("*", self.work)]
        return [(owner.alias, partial(self.work, owner)) for owner in owners]


def all_jobs(renew_for: float = ROUND, bulk_for: float = TURN, *, say_failed: bool = True) -> list[Job]:
    """All that beat rings, in the order in which one helps the next.

    ``say_failed`` is False where failed renewals are counted from the log, see ``failures``.
    """
    return [
        Job("watch_tickets", lambda owner: _("asked WeChat to push tickets") if tokens.ensure_tickets(owner) else ""),
        Job(
            "process_inbox",
            lambda: _count(pgettext("wechat_open", "pushes processed: %d"), inbox.process_due()),
            for_all=True,
        ),
        Job("renew_due_tokens", lambda owner: renew(owner, renew_for, say_failed=say_failed)),
        Job("run_bulk_jobs", lambda: _acted(bulk.run_open(bulk_for)), for_all=True, goes_on=True),
        Job("sweep", lambda owner: _swept(tokens.sweep_if_due(owner))),
        Job(
            "sync_profiles",
            lambda owner: _count(
                pgettext("wechat_open", "profiles read: %d"), authorization.sync_missing_profiles(owner)
            ),
        ),
        Job(
            "announce",
            lambda owner: _count(pgettext("wechat_open", "changes announced: %d"), authorization.announce_all(owner)),
        ),
        Job("count_accounts", _counted),
        Job("watch_health", _watched, for_all=True),
        Job("prune", lambda: _count(_("old rows deleted: %d"), _prune()), for_all=True),
    ]


def renew(owner: Platform, seconds: float, *, say_failed: bool = True) -> str:
    """Renew what is due, and say how many; TokenUnavailable when the platform itself cannot."""
    tally = tokens.run_due(owner, seconds=seconds)
    said = [_count(pgettext("wechat_open", "tokens renewed: %d"), tally.renewed)]
    if say_failed:
        said.append(_count(pgettext("wechat_open", "renewals failed: %d"), tally.failed))
    if tally.stopped and not tally.renewed and not tally.failed:
        raise TokenUnavailable(
            _("Renewals are paused: there is no usable component token. `manage.py wechat_open status` says more.")
        )
    return ", ".join(filter(None, said))


def _prune() -> int:
    return inbox.prune() + authorization.prune() + journal.prune() + alerts.prune() + bulk.prune()


def _acted(rows: int) -> str:
    return _count(_("rows of bulk actions: %d"), rows)


def _counted(owner: Platform) -> str:
    """Nothing to be told, every minute."""
    census.rung(owner)
    return ""


def _watched() -> str:
    """Alerts are logged, and told to who listens."""
    alerts.watch()
    return ""


def _swept(report: tokens.SweepReport | None) -> str:
    return _("accounts compared with WeChat's list: %d") % report.seen if report else ""


def _count(words: str, number: int) -> str:
    return words % number if number else ""


class Loop:
    """Takes the jobs' turns. ``say`` and ``complain`` get a line each, when there is something to say."""

    def __init__(
        self,
        owners: Sequence[Platform],
        jobs: Sequence[Job],
        *,
        say: Callable[[str], Any],
        complain: Callable[[str], Any],
        tick: Callable[[], Any] | None = None,
    ) -> None:
        self.owners = owners
        self.jobs = jobs
        self.say = say
        self.complain = complain
        self.tick = tick
        """Called now and then, also when nothing is due."""

    def once(self) -> bool:
        """Do what is due, and say in one line what happened; False when anything failed."""
        done: list[str] = []
        well = True
        for job in [job for job in self.jobs if job.take_turn()]:
            for whose, work in job.works(self.owners):
                try:
                    said = work()
                except (WeChatOpenError, DatabaseTrouble) as error:
                    well = False
                    self._complain_once(job, whose, told(error))
                else:
                    job.troubles.pop(whose, None)
                    if said:
                        done.append(f"{whose} {said}")
                        job.due_at = 0.0 if job.goes_on else job.due_at
        if done:
            self.say("; ".join(done))
        return well

    def until(self, stopped: threading.Event, tick: float = 1.0) -> None:
        while not stopped.is_set():
            close_old_connections()  # the database may have gone away since
            self.once()
            if self.tick is not None:
                self.tick()
            stopped.wait(min([tick, *(max(0.0, job.due_at - time.monotonic()) for job in self.jobs)]))

    def _complain_once(self, job: Job, whose: str, trouble: str) -> None:
        """A trouble that lasts is told when it begins or changes, and not every second."""
        if job.troubles.get(whose) != trouble:
            self.complain(f"{whose} {job.name}: {trouble}")
        job.troubles[whose] = trouble


@contextmanager
def stopped_by_signals() -> Iterator[threading.Event]:
    """SIGTERM and Ctrl-C let the current job end. A second one ends the process as usual."""
    stopped = threading.Event()
    before: dict[int, Any] = {}

    def stop(number: int, frame: object) -> None:
        stopped.set()
        restore()

    def restore() -> None:
        while before:
            signal.signal(*before.popitem())

    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGINT):
            before[number] = signal.signal(number, stop)
    try:
        yield stopped
    finally:
        restore()

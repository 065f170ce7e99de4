"""The periodic jobs without Celery, in this process: the loop of ``manage.py wechat_open run``.

Each job has a thread of its own, and renewals have one for each platform: nothing that hangs, be it WeChat, a receiver
of a signal or a long list, keeps another job waiting. A round ends by itself (``schedule.PERIODS``), and an exception
ends only its own round. A job whose item does not return goes on in another thread. Several such processes may run at
once, also beside Celery; they take turns as workers do.
"""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from django.db import connections
from django.utils import translation
from django.utils.translation import gettext as _
from django.utils.translation import pgettext

from .. import platforms, tokens
from ..exceptions import TokenUnavailable
from ..platforms import Platform
from ..ports import TIMING, Timing
from ..rounds import Deadline, close_old_connections, is_expected
from ..schedule import HANGING, PERIODS
from ..tasks import PERIODIC_JOBS
from ..translation import translate_error

logger = logging.getLogger(__name__)

ONCE = 50.0
"""Seconds of renewals and bulk actions in ``run --once``, and of ``refresh --due``: cron starts the next after a
minute."""

RENEWALS = "renew_due_tokens"

LOOK_EVERY = 1.0
"""Seconds between two looks of the main thread at what is to be printed."""

STOP_WITHIN = 20.0
"""Seconds that a stop waits for what is being done: longer than a call to WeChat takes."""

HANGING_AT_MOST = 10
"""So many threads of one job may be left behind. Each has a connection to the database, and those are limited."""

KEEP_CONNECTIONS = 30.0
"""A thread that waits longer than these seconds for its next round closes its connections to databases meanwhile."""


@dataclass
class Job:
    """A periodic job, and when its next turn is. ``work`` says in words what happened, or nothing.

    ``work`` takes a platform, one after the other of those with these ``aliases``, and a deadline; without aliases it
    concerns the whole site and takes the deadline only.
    """

    name: str
    work: Callable[..., str]
    aliases: Sequence[str] | None = None
    limit: float = 0.0
    """Seconds of a round; by default, those in ``schedule``."""
    due_at: float = 0.0
    failures: dict[str, object] = field(default_factory=dict)
    """The last failure of each alias, while it lasts."""
    began_at: float | None = None
    """When the round began that is going on."""
    threads: list[threading.Thread] = field(default_factory=list)
    """Those that hang, and last the one that does the rounds."""

    def __post_init__(self) -> None:
        self.limit = self.limit or PERIODS[self.name].limit

    def due_in(self, now: float) -> float:
        return max(0.0, self.due_at - now)

    def works(self) -> list[tuple[str, Callable[[Deadline], str]]]:
        """What is to be done in a round, each with the alias of its platform.

        The platform is made for each round, from the settings and from its row as they are then.
        """
        if self.aliases is None:
            return [("*", self.work)]
        return [(alias, self._for_platform(alias)) for alias in self.aliases]

    def _for_platform(self, alias: str) -> Callable[[Deadline], str]:
        return lambda deadline: self.work(platforms.get(alias), deadline)


_REPORTS: dict[str, Callable[[Any], str]] = {
    "watch_tickets": lambda asked: _("asked WeChat to push tickets") if asked else "",
    "process_inbox": lambda pushes: _count(pgettext("wechat_open", "pushes processed: %d"), pushes),
    "run_bulk_jobs": lambda rows: _count(_("rows of bulk actions: %d"), rows),
    "reconcile": lambda report: _("accounts compared with WeChat's list: %d") % report.seen if report else "",
    "finish_exchanges": lambda codes: _count(pgettext("wechat_open", "returns of owners finished: %d"), codes),
    "sync_profiles": lambda profiles: _count(pgettext("wechat_open", "profiles read: %d"), profiles),
    "announce": lambda changes: _count(pgettext("wechat_open", "changes announced: %d"), changes),
    "prune": lambda rows: _count(_("old rows deleted: %d"), rows),
}
"""A job's result in words. A job without an entry, such as the count of accounts, prints nothing."""


def all_jobs(aliases: Sequence[str], *, once: bool = False, report_failures: bool = True) -> list[Job]:
    """All periodic jobs for these platforms, in the order of ``schedule``; renewals are one job for each platform.

    ``report_failures`` is False where failed renewals are counted from the log, see ``failures``.
    """

    def renew_due(platform: Platform, deadline: Deadline) -> str:
        return renew(platform, deadline, report_failures=report_failures)

    jobs = [Job(RENEWALS, renew_due, [alias]) for alias in aliases]
    for name in PERIODS:
        if name != RENEWALS:
            jobs.append(Job(name, _reporting(name), aliases if PERIODIC_JOBS[name].per_platform else None))
    if once:
        for job in jobs:
            job.limit = ONCE if job.name in (RENEWALS, "run_bulk_jobs") else job.limit
    return jobs


def _reporting(name: str) -> Callable[..., str]:
    def work(*args: Any) -> str:
        result = PERIODIC_JOBS[name].work(*args)
        return _REPORTS[name](result) if name in _REPORTS else ""

    return work


def renew(platform: Platform, deadline: Deadline, *, report_failures: bool = True) -> str:
    """Renew what is due and return the counts in words; TokenUnavailable when the platform itself cannot."""
    tally = tokens.run_due(platform, seconds=deadline.left, stopped=deadline.stopped)
    parts = [_count(pgettext("wechat_open", "tokens renewed: %d"), tally.renewed)]
    if report_failures:
        parts.append(_count(pgettext("wechat_open", "renewals failed: %d"), tally.failed))
    if tally.stopped and not tally.renewed and not tally.failed:
        raise TokenUnavailable(
            _(
                "This host gets no answer from WeChat, and leaves renewals to others. It tries again after a while; "
                "`manage.py wechat_open status` says more."
            )
            if tally.unreached
            else _(
                "Renewals are paused: WeChat refused the platform, or several accounts for one reason. One account is "
                "tried now and then. `manage.py wechat_open status` says more."
            )
            if tally.paused
            else _("Renewals are paused: there is no usable component token. `manage.py wechat_open status` says more.")
        )
    return ", ".join(filter(None, parts))


def _count(words: str, number: int) -> str:
    return words % number if number else ""


class Loop:
    """Runs the jobs that are due. ``say`` and ``complain`` get a line each when there is something to print."""

    def __init__(
        self,
        jobs: Sequence[Job],
        *,
        say: Callable[[str], Any],
        complain: Callable[[str], Any],
        tick: Callable[[], Any] = lambda: None,
        timing: Timing = TIMING,
    ) -> None:
        self.jobs = jobs
        self.say = say
        self.complain = complain
        self.tick = tick
        """Called now and then, also when nothing is due."""
        self.timing = timing
        self._printing = threading.Lock()
        self._broken: BaseException | None = None

    def once(self) -> bool:
        """Do every job, one after the other, and print in one line what happened; False when anything failed."""
        done: list[str] = []
        outcomes = [self._round(job, done, lambda: False) for job in self.jobs]
        self._say(done)
        return all(outcomes)

    def until(self, stopped: threading.Event) -> None:
        """Do each job in a thread of its own, again and again. When stopped, what is being done may end."""
        language = translation.get_language()
        for job in self.jobs:
            self._start(job, stopped, language)
        while not stopped.wait(LOOK_EVERY):
            self.tick()
            for job in self.jobs:
                self._replace_if_hanging(job, stopped, language)
        threads = [thread for job in self.jobs for thread in job.threads]
        ends_at = self.timing.monotonic() + STOP_WITHIN
        for thread in threads:
            thread.join(max(0.0, ends_at - self.timing.monotonic()))
        if hanging := sorted({thread.name for thread in threads if thread.is_alive()}):
            self.complain(_("Not waited for any longer, and continued by the next process: %s") % ", ".join(hanging))
        if self._broken is not None:
            raise self._broken

    def _start(self, job: Job, stopped: threading.Event, language: str | None) -> None:
        thread = threading.Thread(target=self._in_thread, args=(job, stopped, language), name=job.name, daemon=True)
        job.threads = [*filter(threading.Thread.is_alive, job.threads), thread]
        thread.start()

    def _replace_if_hanging(self, job: Job, stopped: threading.Event, language: str | None) -> None:
        """Go on in another thread where one item takes as long as Celery would end it after; none can be ended here."""
        began_at = job.began_at
        if began_at is None or self.timing.monotonic() - began_at < job.limit + HANGING:
            return
        if len(list(filter(threading.Thread.is_alive, job.threads))) > HANGING_AT_MOST:
            return
        job.began_at = None
        job.due_at = self.timing.monotonic()
        self._start(job, stopped, language)
        with self._printing:
            words = _("%(job)s hangs and goes on in another thread. A receiver of a signal may not return.")
            self.complain(words % {"job": job.name})

    def repeat(self, job: Job, stopped: threading.Event) -> None:
        """Round after round of one job. A round whose time was over before its work is followed by the next at once."""
        thread = threading.current_thread()
        while not stopped.is_set():
            close_old_connections()  # the database may have gone away since
            done: list[str] = []
            self._round(job, done, stopped.is_set)
            self._say(done)
            if job.threads and thread is not job.threads[-1]:  # it has hung, and another one goes on
                return
            wait = job.due_in(self.timing.monotonic())
            if wait > KEEP_CONNECTIONS:
                connections.close_all()
            else:
                close_old_connections()
            stopped.wait(wait)

    def _in_thread(self, job: Job, stopped: threading.Event, language: str | None) -> None:
        try:
            with translation.override(language):
                self.repeat(job, stopped)
        except BaseException as error:  # noqa: BLE001 - ``until`` raises it: without this thread the process is no use
            self._broken = error
            stopped.set()
        finally:
            connections.close_all()

    def _round(self, job: Job, done: list[str], stopped: Callable[[], bool]) -> bool:
        """A round of one job; what happened is added to ``done``. False when anything failed."""
        job.began_at = began_at = self.timing.monotonic()
        all_well = True
        works = job.works()
        for alias, work in works:
            deadline = Deadline.after(job.limit / len(works), self.timing.monotonic, stopped)
            try:
                text = work(deadline)
            except BaseException as error:  # logged; site code may raise anything
                if isinstance(error, KeyboardInterrupt) and threading.current_thread() is threading.main_thread():
                    raise  # Ctrl-C
                all_well = False
                self._report(job, alias, error)
                close_old_connections()  # one that is broken would fail for the next platform, too
            else:
                job.failures.pop(alias, None)
                if text:
                    done.append(f"{alias} {text}")
        if job.began_at == began_at:
            job.began_at = None
        over = self.timing.monotonic() - began_at >= job.limit
        job.due_at = self.timing.monotonic() if over else began_at + PERIODS[job.name].every
        return all_well

    def _report(self, job: Job, alias: str, error: BaseException) -> None:
        """Report a failure when it begins or changes; a lasting one is not repeated in every round."""
        expected = is_expected(error)
        failure: object = translate_error(error) if expected else type(error)
        if job.failures.get(alias) == failure:
            return
        job.failures[alias] = failure
        if expected:
            with self._printing:
                self.complain(f"{alias} {job.name}: {failure}")
        else:
            logger.error("%s %s failed unexpectedly.", alias, job.name, exc_info=error)

    def _say(self, done: list[str]) -> None:
        if done:
            with self._printing:
                self.say("; ".join(done))


@contextmanager
def stopped_by_signals() -> Iterator[threading.Event]:
    """SIGTERM and Ctrl-C let what is being done end. A second one ends the process as usual."""
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

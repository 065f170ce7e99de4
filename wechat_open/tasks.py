"""Celery's tasks: each calls the layer below.

No task takes or returns a secret. A lost task does no harm, because its work is still due for the next one; the
exception is ``answer_later``. ``schedule`` says when the periodic ones run.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any

from celery import shared_task
from celery.exceptions import SoftTimeLimitExceeded

from . import audit, authorization, broker, inbox, platforms, tokens
from .conf import conf
from .environment import ENVIRONMENT
from .health import alerts, statistics
from .messaging.background import take_over
from .operations import jobs
from .platforms import Platform
from .rounds import Deadline, close_old_connections, each, log_failure
from .schedule import PERIODS, interrupted_after, killed_after

_RANDOM = random.SystemRandom()

HANDED_ON_AT_MOST = 3
"""So often a task is sent again by processes that get no answer from WeChat. The next one does what can be done."""


def hand_on(task: str, *arguments: Any, times: int) -> bool:
    """Send a task again, if this process gets no answer from WeChat: another host may get some. True when it was sent.

    Otherwise the broker, which hands tasks out in turn, may give all of one kind to the host that can do nothing.
    """
    if times >= HANDED_ON_AT_MOST or not ENVIRONMENT.reachability.sits_out:
        return False
    return broker.send_task(f"{__name__}.{task}", *arguments, times + 1)


@shared_task(ignore_result=True, soft_time_limit=interrupted_after(0), time_limit=killed_after(0))
def process_push(push_id: int, handed_on: int = 0) -> None:
    """Process one push that has just been recorded."""
    if not hand_on("process_push", push_id, times=handed_on):
        inbox.process(push_id)


@shared_task(ignore_result=True, soft_time_limit=interrupted_after(jobs.SLICE), time_limit=killed_after(jobs.SLICE))
def run_bulk_job(job_id: int, handed_on: int = 0) -> None:
    """Do a slice of one bulk job; the next slice is a task of its own."""
    if not hand_on("run_bulk_job", job_id, times=handed_on):
        jobs.run(job_id)


@shared_task(ignore_result=True, bind=True)
def answer_later(
    self: Any, path: str, alias: str, appid: str, fields: dict[str, Any], arguments: dict[str, Any]
) -> None:
    """Send the rest of an answer: the one task that carries data, because messages are not stored."""
    redelivered = bool((self.request.delivery_info or {}).get("redelivered"))
    take_over(path, alias, appid, fields, arguments, task_id=self.request.id, redelivered=redelivered)


# -- periodic jobs -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class PeriodicJob:
    """The work of one entry of ``schedule.PERIODS``: done once, or once for each platform, until its deadline."""

    work: Callable[..., Any]
    per_platform: bool


PERIODIC_JOBS: dict[str, PeriodicJob] = {}
"""By name. ``manage.py wechat_open run`` does the same work without Celery."""


def periodic(work: Callable[[Deadline], Any]) -> Callable[..., None]:
    """Make a task of work that concerns the whole site."""
    name = work.__name__
    PERIODIC_JOBS[name] = PeriodicJob(work, per_platform=False)

    limit = PERIODS[name].limit

    @shared_task(ignore_result=True, soft_time_limit=interrupted_after(limit), time_limit=killed_after(limit))
    @wraps(work)
    def task(handed_on: int = 0) -> None:
        if not hand_on(name, times=handed_on):
            work(Deadline.after(limit))

    return task


def periodic_for_each_platform(work: Callable[[Platform, Deadline], Any]) -> Callable[..., None]:
    """Make a task that does ``work`` for every platform; the failure of one does not keep the others from it.

    In any order: when the task is ended because one of them hangs, it is not always the same ones that come too short.
    """
    name = work.__name__
    PERIODIC_JOBS[name] = PeriodicJob(work, per_platform=True)

    limit = PERIODS[name].limit

    @shared_task(ignore_result=True, soft_time_limit=interrupted_after(limit), time_limit=killed_after(limit))
    @wraps(work)
    def task(handed_on: int = 0) -> None:
        if hand_on(name, times=handed_on):
            return
        aliases = list(conf.components)
        for alias in _RANDOM.sample(aliases, len(aliases)):
            try:
                work(platforms.get(alias), Deadline.after(limit / len(aliases)))
            except SoftTimeLimitExceeded:
                raise
            except Exception as error:  # noqa: BLE001 - logged
                log_failure(error, "Platform %r: the task failed", alias)
                close_old_connections()  # one that is broken would fail for the next platform, too

    return task


@periodic_for_each_platform
def renew_due_tokens(platform: Platform, deadline: Deadline) -> tokens.RenewalReport:
    """Renew the tokens that are due."""
    return tokens.run_due(platform, seconds=deadline.left, stopped=deadline.stopped)


@periodic
def run_bulk_jobs(deadline: Deadline) -> int:
    """Continue bulk jobs whose task the broker or a dead worker lost."""
    return jobs.run_open(deadline)


@periodic
def process_inbox(deadline: Deadline) -> int:
    """Process the pushes that the broker lost, and retry those that are due."""
    return inbox.process_due(deadline=deadline)


@periodic_for_each_platform
def watch_tickets(platform: Platform, deadline: Deadline) -> bool:
    """Request tickets from WeChat when they stay away."""
    return tokens.ensure_tickets(platform)


@periodic_for_each_platform
def finish_exchanges(platform: Platform, deadline: Deadline) -> int:
    """Exchange the codes of owners who came back to a worker that was killed or got no answer."""
    return authorization.finish_exchanges(platform, deadline=deadline)


@periodic_for_each_platform
def sync_profiles(platform: Platform, deadline: Deadline) -> int:
    """Read the profiles that could not be read when the grant came."""
    return authorization.sync_missing_profiles(platform, deadline=deadline)


@periodic_for_each_platform
def announce(platform: Platform, deadline: Deadline) -> int:
    """Send the signals that are still due. Either kind begins: one may have a receiver that does not return."""
    kinds = [authorization.announce_all, inbox.announce_tickets]
    if platform.environment.timing.jitter() < 0.5:
        kinds.reverse()
    return sum(kind(platform, deadline=deadline) for kind in kinds)


@periodic_for_each_platform
def reconcile(platform: Platform, deadline: Deadline) -> tokens.ReconciliationReport | None:
    """Compare with WeChat's list, once an hour."""
    return tokens.reconcile_if_due(platform, deadline)


@periodic_for_each_platform
def count_accounts(platform: Platform, deadline: Deadline) -> None:
    """Count the accounts, and record that beat runs: no other process sends this task."""
    statistics.record_beat(platform)


@periodic
def watch_health(deadline: Deadline) -> None:
    """Send an alert for every problem that has begun or ended."""
    alerts.watch(deadline)


@periodic
def prune(deadline: Deadline) -> int:
    """Delete rows that are no longer needed."""
    kinds = {"pushes": inbox.prune, "links": authorization.prune, "audit entries": audit.prune}
    kinds |= {"refresh tokens": tokens.prune, "alerts": alerts.prune, "bulk actions": jobs.prune}
    return each(kinds, lambda kind: kinds[kind](deadline.share(len(kinds))), what="Old %s could not be deleted")

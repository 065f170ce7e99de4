"""How often each periodic job runs, and for how long, in Celery as in ``manage.py wechat_open run``.

``CELERY_BEAT_SCHEDULE = {**BEAT_SCHEDULE, ...}``. Every entry only wakes a worker, so an entry that is lost, late or
sent twice changes nothing. ``expires`` keeps entries from piling up while no worker runs.
"""

from __future__ import annotations

from typing import Any, NamedTuple

__all__ = ["BEAT_SCHEDULE"]


class Period(NamedTuple):
    """Seconds: a round begins ``every`` so many, and goes on for no more than ``limit``."""

    every: int
    limit: int


PERIODS = {
    "renew_due_tokens": Period(every=2, limit=25),
    "watch_tickets": Period(every=60, limit=10),
    "process_inbox": Period(every=15, limit=8),
    "run_bulk_jobs": Period(every=15, limit=8),
    "finish_exchanges": Period(every=60, limit=8),
    "reconcile": Period(every=60, limit=120),
    "sync_profiles": Period(every=60, limit=8),
    "announce": Period(every=60, limit=8),
    "count_accounts": Period(every=60, limit=60),
    "watch_health": Period(every=30, limit=20),
    "prune": Period(every=6 * 60 * 60, limit=120),
}
"""The periodic jobs. ``tasks`` defines what each does. ``run --once`` does them in this order: renewals first, because
they wait for no other job.

Renewal runs often, so that tokens of any life are kept; a run that finds nothing due is one query. The comparison with
WeChat's list (``reconcile``) is due hourly: the first run after that does it. A round ends by itself between two items,
and the next one continues. Several platforms share its time equally, so that none waits for another one for long.
"""

HANGING = 60
"""Seconds that one item may take beyond the end of its round: a receiver of a signal, or WeChat, may not answer."""


def interrupted_after(seconds: int) -> int:
    """Celery's ``soft_time_limit`` of a task whose work ends by itself after so long. Pools of processes keep to it."""
    return seconds + HANGING


def killed_after(seconds: int) -> int:
    """Celery's ``time_limit``, where an interruption did not help. It does no harm: what was not done is still due."""
    return interrupted_after(seconds) + HANGING // 2


BEAT_SCHEDULE: dict[str, dict[str, Any]] = {
    f"wechat_open.{name}": {
        "task": f"wechat_open.tasks.{name}",
        "schedule": float(period.every),
        "options": {"expires": max(10, period.every), "ignore_result": True},
    }
    for name, period in PERIODS.items()
}

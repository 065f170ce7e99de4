"""How often each periodic job runs, and for how long, in Celery as in ``manage.py wechat_open run``.

``CELERY_BEAT_SCHEDULE = {**BEAT_SCHEDULE, ...}``. Every entry only wakes a worker, so an entry that is lost, late or
sent twice changes nothing. ``expires`` keeps entries from piling up while no worker runs.
"""

from __future__ import annotations

from typing import Any

__all__ = ["BEAT_SCHEDULE"]

INTERVALS = {
    "renew_due_tokens": 2,
    "watch_tickets": 60,
    "process_inbox": 15,
    "run_bulk_jobs": 15,
    "finish_exchanges": 60,
    "reconcile": 60,
    "sync_profiles": 60,
    "announce": 60,
    "count_accounts": 60,
    "watch_health": 30,
    "prune": 6 * 60 * 60,
}
"""The periodic jobs and their seconds. ``tasks`` defines what each does. ``run --once`` does them in this order:
renewals first, because they wait for no other job.

Renewal runs often, so that tokens of any life are kept; a run that finds nothing due is one query. The comparison with
WeChat's list (``reconcile``) is due hourly: the first run after that does it.
"""

LIMITS = {
    "renew_due_tokens": 25,
    "watch_tickets": 10,
    "process_inbox": 8,
    "run_bulk_jobs": 8,
    "finish_exchanges": 8,
    "reconcile": 120,
    "sync_profiles": 8,
    "announce": 8,
    "count_accounts": 60,
    "watch_health": 20,
    "prune": 120,
}
"""For how many seconds a round of each job goes on. It ends by itself between two items, and the next one continues.

Several platforms share the time equally, so that none waits for another one for long.
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
        "schedule": float(seconds),
        "options": {"expires": max(10, seconds), "ignore_result": True},
    }
    for name, seconds in INTERVALS.items()
}

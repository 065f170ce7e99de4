"""What does Celery beat ring?

``CELERY_BEAT_SCHEDULE = {**BEAT_SCHEDULE, ...}``. Every entry is a doorbell: lost, late or doubled rings change
nothing.
``expires`` keeps rings from piling up while no worker listens.
"""

from __future__ import annotations

from typing import Any

_RINGS = {
    "renew_due_tokens": 2,
    "process_inbox": 15,
    "run_bulk_jobs": 15,
    "watch_health": 30,
    "count_accounts": 60,
    "watch_tickets": 60,
    "sync_profiles": 60,
    "announce": 60,
    "sweep": 60,
    "prune": 6 * 60 * 60,
}
"""Task and seconds between rings. Renewal rings often, so that tokens of any life are kept; a ring that finds nothing
due is one query. The sweep itself runs hourly: whoever is rung first after that takes it."""

BEAT_SCHEDULE: dict[str, dict[str, Any]] = {
    f"wechat_open.{name}": {
        "task": f"wechat_open.tasks.{name}",
        "schedule": float(seconds),
        "options": {"expires": max(10, seconds), "ignore_result": True},
    }
    for name, seconds in _RINGS.items()
}

"""What do Celery's workers do?

Each task calls the layer below for every platform. None takes or returns a secret; none but ``answer_later`` matters:
whatever a lost task would have done is still due for the next one.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from celery import shared_task

from . import alerts, authorization, bulk, census, inbox, journal, tokens
from .component import Platform, platform
from .conf import conf
from .exceptions import WeChatOpenError
from .messaging.later import take_over

logger = logging.getLogger(__name__)


@shared_task(ignore_result=True)
def renew_due_tokens() -> None:
    """Renew whatever is due."""
    _for_each_platform(tokens.run_due)


@shared_task(ignore_result=True)
def process_push(push_id: int) -> None:
    """Process one push that has just been recorded."""
    inbox.process(push_id)


@shared_task(ignore_result=True)
def run_bulk_job(job_id: int) -> None:
    """Do a slice of one bulk job; what is left is rung for again."""
    bulk.run(job_id)


@shared_task(ignore_result=True)
def run_bulk_jobs() -> None:
    """Go on with the bulk jobs that the broker or a dead worker lost."""
    bulk.run_open()


@shared_task(ignore_result=True)
def answer_later(path: str, alias: str, appid: str, fields: dict[str, Any], arguments: dict[str, Any]) -> None:
    """Say the rest of an answer: the one task that carries something, because messages are not stored."""
    take_over(path, alias, appid, fields, arguments)


@shared_task(ignore_result=True)
def process_inbox() -> None:
    """Process what the broker lost and what is to be repeated."""
    inbox.process_due()


@shared_task(ignore_result=True)
def watch_tickets() -> None:
    """Have WeChat push again when tickets stay away."""
    _for_each_platform(tokens.ensure_tickets)


@shared_task(ignore_result=True)
def sync_profiles() -> None:
    """Read the profiles that could not be read when the grant came."""
    _for_each_platform(authorization.sync_missing_profiles)


@shared_task(ignore_result=True)
def announce() -> None:
    """Send the signals that are still owed."""
    _for_each_platform(authorization.announce_all)


@shared_task(ignore_result=True)
def sweep() -> None:
    """Compare with WeChat's list, once an hour."""
    _for_each_platform(tokens.sweep_if_due)


@shared_task(ignore_result=True)
def count_accounts() -> None:
    """Count the accounts, and note that beat rings: nobody else rings for this."""
    _for_each_platform(census.rung)


@shared_task(ignore_result=True)
def watch_health() -> None:
    """Tell what has become wrong, and what is well again."""
    alerts.watch()


@shared_task(ignore_result=True)
def prune() -> None:
    """Delete what served its time."""
    inbox.prune()
    authorization.prune()
    journal.prune()
    alerts.prune()
    bulk.prune()


def _for_each_platform(work: Callable[[Platform], object]) -> None:
    """One platform's trouble is no other's."""
    for alias in conf.components:
        try:
            work(platform(alias))
        except WeChatOpenError as error:
            logger.warning("Platform %r: %s", alias, error)
        except Exception:
            logger.exception("Platform %r: the task failed unexpectedly.", alias)

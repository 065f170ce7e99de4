"""Is there somebody who does the work: Celery's beat and workers, and the site's handlers?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from difflib import get_close_matches
from typing import Any

from celery import current_app
from django.conf import settings
from django.core.checks import CheckMessage, Warning, register
from django.utils.translation import gettext as _

from ..messaging import all_handlers
from ..messaging.messages import EVENTS, MESSAGES
from ..schedule import BEAT_SCHEDULE
from .given import value
from .wording import TAG, either

SLOWEST_RING = timedelta(minutes=5)
"""Tokens are due with a quarter of their life left; a ring may be late, but not by most of that."""


# Workers


@register(TAG)
def beat_rings(**kwargs: object) -> Iterator[CheckMessage]:
    if value("WORKER") == "run":
        return
    planned = {str(entry.get("task")) for entry in _beat_schedule().values()}
    missing = sorted({entry["task"] for entry in BEAT_SCHEDULE.values()} - planned)
    if missing:
        yield Warning(
            _("Celery beat does not start %(tasks)s: tokens will run out.") % {"tasks": ", ".join(missing)},
            hint=_(
                "Merge wechat_open.schedule.BEAT_SCHEDULE into CELERY_BEAT_SCHEDULE. A site without Celery runs "
                "`manage.py wechat_open run` and sets %(setting)s."
            )
            % {"setting": 'WECHAT_OPEN["WORKER"] = "run"'},
            id="wechat_open.W011",
        )


@register(TAG)
def beat_rings_often_enough(**kwargs: object) -> Iterator[CheckMessage]:
    for name, entry in _beat_schedule().items() if value("WORKER") != "run" else ():
        every = _seconds(entry.get("schedule"))
        if entry.get("task") == "wechat_open.tasks.renew_due_tokens" and every > SLOWEST_RING.total_seconds():
            yield Warning(
                _("%(entry)s checks for due tokens only every %(seconds)d seconds.")
                % {"entry": f"CELERY_BEAT_SCHEDULE[{name!r}]", "seconds": round(every)},
                hint=_("wechat_open.schedule.BEAT_SCHEDULE has an interval that leaves time for a second attempt."),
                id="wechat_open.W012",
            )


@register(TAG)
def tasks_run_in_workers(**kwargs: object) -> Iterator[CheckMessage]:
    if not settings.DEBUG and (
        getattr(settings, "CELERY_TASK_ALWAYS_EAGER", False) or current_app.conf.task_always_eager
    ):
        yield Warning(
            _(
                "CELERY_TASK_ALWAYS_EAGER is on while DEBUG is off: a push is answered only when all its work is done, "
                "and WeChat waits five seconds."
            ),
            hint=_("Turn it off and start a worker."),
            id="wechat_open.W013",
        )


PICKLE = ("pickle", "application/x-python-serialize")


@register(TAG)
def tasks_carry_no_code(**kwargs: object) -> Iterator[CheckMessage]:
    given = (*(getattr(settings, "CELERY_ACCEPT_CONTENT", None) or ()), *(current_app.conf.accept_content or ()))
    accepted = {str(kind).lower() for kind in given}
    if accepted.intersection(PICKLE):
        yield Warning(
            _("Celery's workers accept pickles: anything that can write to the broker can run any code in them."),
            hint=_('Set CELERY_ACCEPT_CONTENT = ["json"]. The tasks of wechat_open are JSON.'),
            id="wechat_open.W054",
        )


# Handlers


@register(TAG)
def handlers_want_what_comes(**kwargs: object) -> Iterator[CheckMessage]:
    for handler in all_handlers():
        if handler.of_events:
            said = _("%(handler)s waits for events %(name)r, which this version does not know.")
        else:
            said = _("%(handler)s waits for messages of kind %(name)r, which this version does not know.")
        for name in sorted(handler.names - (EVENTS if handler.of_events else MESSAGES).keys()):
            yield Warning(
                said % {"handler": handler.name, "name": name},
                hint=_instead_of_unknown(name, of_events=handler.of_events),
                id="wechat_open.W014",
            )


def _instead_of_unknown(name: str, *, of_events: bool) -> str:
    """What was probably meant. WeChat's next invention may be meant too."""
    if of_events and name in MESSAGES:
        return _("%(name)r comes as a message: use @on_message.") % {"name": name}
    if not of_events and name in EVENTS:
        return _("%(name)r comes as an event: use @on_event.") % {"name": name}
    close = get_close_matches(name, EVENTS if of_events else MESSAGES, n=3)
    if close:
        return _("Did you mean %(words)s? If WeChat has it all the same, add this id to SILENCED_SYSTEM_CHECKS.") % {
            "words": either(close)
        }
    return _("If WeChat has it all the same, add this id to SILENCED_SYSTEM_CHECKS.")


def _beat_schedule() -> dict[str, Mapping[str, Any]]:
    """What Celery's app was given, from whatever namespace, and what the settings say now."""
    given = {**(current_app.conf.beat_schedule or {}), **(getattr(settings, "CELERY_BEAT_SCHEDULE", None) or {})}
    return {str(name): entry for name, entry in given.items() if isinstance(entry, Mapping)}


def _seconds(schedule: object) -> float:
    """The interval of a beat entry; 0 for a crontab, whose author knows what it means."""
    every = getattr(schedule, "run_every", schedule)
    if isinstance(every, timedelta):
        return every.total_seconds()
    return float(every) if isinstance(every, (int, float)) else 0

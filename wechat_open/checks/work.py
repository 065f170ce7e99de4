"""Checks of Celery's beat and workers, and of the site's handlers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import timedelta
from difflib import get_close_matches
from typing import Any
from urllib.parse import urlsplit

from celery import current_app
from django.conf import settings
from django.core.checks import CheckMessage, Warning, register
from django.utils.translation import gettext as _

from ..conf import LOOPBACK
from ..messaging import all_handlers
from ..messaging.messages import EVENTS, MESSAGES
from ..schedule import BEAT_SCHEDULE
from .messages import TAG, either
from .raw_settings import value

SLOWEST_INTERVAL = timedelta(minutes=5)
"""Tokens are due with a quarter of their life left; the task may come late, but not by most of that."""

AMQP = frozenset({"amqp", "amqps", "pyamqp"})


# Workers


@register(TAG)
def beat_sends_tasks(**kwargs: object) -> Iterator[CheckMessage]:
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
def beat_sends_tasks_often_enough(**kwargs: object) -> Iterator[CheckMessage]:
    for name, entry in _beat_schedule().items() if value("WORKER") != "run" else ():
        every = _seconds(entry.get("schedule"))
        if entry.get("task") == "wechat_open.tasks.renew_due_tokens" and every > SLOWEST_INTERVAL.total_seconds():
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


@register(TAG)
def workers_outlast_their_network(**kwargs: object) -> Iterator[CheckMessage]:
    if settings.DEBUG or value("WORKER") == "run" or not (schemes := _schemes_of_brokers_afar()):
        return
    missing = []
    if _celery("broker_connection_max_retries") is not None:
        missing.append("CELERY_BROKER_CONNECTION_MAX_RETRIES = None")
    # The queue for remote control is exclusive: it stays locked until RabbitMQ notices that the old connection is dead.
    exclusive = schemes.intersection(AMQP) and _celery("worker_enable_remote_control")
    if exclusive and not _celery("broker_channel_error_retry"):
        missing.append("CELERY_BROKER_CHANNEL_ERROR_RETRY = True")
    if missing:
        yield Warning(
            _("Celery's workers end when their connection to the broker fails for long, or comes back too soon."),
            hint=_("Set %(settings)s, and let a supervisor start workers again when they end.")
            % {"settings": ", ".join(missing)},
            id="wechat_open.W081",
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
def handlers_are_for_known_messages(**kwargs: object) -> Iterator[CheckMessage]:
    for handler in all_handlers():
        if handler.of_events:
            message = _("%(handler)s is registered for events %(name)r, which this version does not support.")
        else:
            message = _("%(handler)s is registered for messages of kind %(name)r, which this version does not support.")
        for name in sorted(handler.names - (EVENTS if handler.of_events else MESSAGES).keys()):
            yield Warning(
                message % {"handler": handler.name, "name": name},
                hint=_instead_of_unknown(name, of_events=handler.of_events),
                id="wechat_open.W014",
            )


def _instead_of_unknown(name: str, *, of_events: bool) -> str:
    """What was probably meant; it may also be a message that WeChat has added since."""
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
    """The schedule of Celery's app, from whatever namespace, and that of the settings."""
    given = {**(current_app.conf.beat_schedule or {}), **(getattr(settings, "CELERY_BEAT_SCHEDULE", None) or {})}
    return {str(name): entry for name, entry in given.items() if isinstance(entry, Mapping)}


def _celery(name: str) -> Any:
    """A setting of Celery: as the site's settings have it, or as its app has it from elsewhere."""
    return getattr(settings, f"CELERY_{name.upper()}", current_app.conf[name])


def _schemes_of_brokers_afar() -> set[str]:
    """The schemes of the brokers' addresses, without those that are on this host."""
    given = _celery("broker_url") or ()
    urls = given.split(";") if isinstance(given, str) else map(str, given)
    schemes = set()
    for url in urls:
        with suppress(ValueError):  # Celery says so itself when it connects
            parts = urlsplit(url)
            if parts.hostname not in (None, *LOOPBACK):
                schemes.add(parts.scheme)
    return schemes


def _seconds(schedule: object) -> float:
    """The interval of a beat entry; 0 for a crontab, which is not judged."""
    every = getattr(schedule, "run_every", schedule)
    if isinstance(every, timedelta):
        return every.total_seconds()
    return float(every) if isinstance(every, (int, float)) else 0

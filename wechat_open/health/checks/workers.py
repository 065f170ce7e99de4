"""Checks of Celery's beat and workers, or of ``wechat_open run`` in their place, and of the clocks."""

from __future__ import annotations

from datetime import timedelta

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext_lazy

from ...conf import conf
from ...formats import duration
from ..facts import Facts
from ..findings import GREEN, SECONDS, Level
from ..registry import Result, by_age, check
from ..statistics import LATE

RENEWALS_AMBER = timedelta(seconds=30)
RENEWALS_RED = timedelta(seconds=120)

# Beat sends the task that counts accounts once a minute.
BEAT_AMBER = timedelta(seconds=150)
BEAT_RED = timedelta(minutes=5)

OUTLIVED = timedelta(seconds=90)
"""One of worker and beat must have been seen by so much later than the other to prove that it runs without it: a worker
records beat's task once a minute, and that task may wait behind others."""

SKEW_AMBER = timedelta(seconds=30)
SKEW_RED = timedelta(seconds=120)


@check(
    "renewals",
    title=pgettext_lazy("wechat_open", "Worker"),
    unit=SECONDS,
    why=gettext_lazy("No process renews tokens before they expire."),
)
def renewals(facts: Facts) -> Result:
    """Whether a worker checks for due tokens. Each ticket wakes a worker for that too, with or without beat."""
    row = facts.row
    age = facts.age(row.heartbeat_at)
    level = by_age(facts.age_here(row.heartbeat_at), RENEWALS_AMBER, RENEWALS_RED)
    if level is GREEN:
        message = (
            _("No worker has had to check for due tokens yet.")
            if age is None
            else _("A worker checked for due tokens %(age)s ago.") % {"age": duration(age)}
        )
        return Result(level, age, message)
    unchecked = (
        _("No worker has ever checked for due tokens.")
        if age is None
        else _("No worker has checked for due tokens for %(age)s.") % {"age": duration(age)}
    )
    if not conf.has_celery:
        return Result(level, age, unchecked, _start_run())
    if _other_tasks_run(facts):
        message = _(
            "%(unchecked)s A worker runs other tasks of this app, so this task does not reach it, or takes too long."
        )
        hint = _("Check that beat sends renew_due_tokens, which queue it goes to, and the worker's log.")
    elif _ticket_woke_no_worker(facts):
        message = _("%(unchecked)s The last ticket sent this task too, and no worker ran it: no worker is running.")
        hint = _("Start a worker, or “manage.py wechat_open run”. Then check that beat is running.")
    elif _worker_runs(facts):
        message = _("%(unchecked)s A worker is running, but beat sends no tasks.")
        hint = _("Start Celery beat with wechat_open.schedule.BEAT_SCHEDULE merged into its schedule.")
    else:
        message = _("%(unchecked)s No worker is running, or beat sends no tasks.")
        hint = _("Start a worker and beat, or “manage.py wechat_open run”, which needs neither.")
    return Result(level, age, message % {"unchecked": unchecked}, hint)


def _other_tasks_run(facts: Facts) -> bool:
    """Whether a worker has run beat's other task lately, and after the last check for due tokens."""
    checked_at, beat_at = facts.row.heartbeat_at, facts.row.beat_at
    if beat_at is None or facts.now - beat_at > BEAT_AMBER:
        return False
    return checked_at is None or beat_at - checked_at > OUTLIVED


def _worker_runs(facts: Facts) -> bool:
    """Whether a worker has checked for due tokens since beat last sent a task, woken by a ticket or by itself."""
    checked_at, beat_at = facts.row.heartbeat_at, facts.row.beat_at
    outlived = checked_at is not None and (beat_at is None or checked_at - beat_at > OUTLIVED)
    return outlived and not _ticket_woke_no_worker(facts)


def _ticket_woke_no_worker(facts: Facts) -> bool:
    """Whether no worker has checked for due tokens since the last ticket."""
    if facts.ticket_at is None or facts.now - facts.ticket_at < LATE:
        return False
    return facts.row.heartbeat_at is None or facts.row.heartbeat_at < facts.ticket_at


@check(
    "beat",
    title=pgettext_lazy("wechat_open", "Beat"),
    unit=SECONDS,
    why=gettext_lazy("Workers are woken by ticket pushes only: every ten minutes, as long as those arrive."),
)
def beat(facts: Facts) -> Result:
    age = facts.age(facts.row.beat_at)
    level = by_age(facts.age_here(facts.row.beat_at), BEAT_AMBER, BEAT_RED)
    if not conf.has_celery:
        return _run(level, age)
    start_beat = _("Start Celery beat with wechat_open.schedule.BEAT_SCHEDULE merged into its schedule.")
    start_both = _("Start a worker and beat, or “manage.py wechat_open run”, which needs neither.")
    if level is GREEN:
        message = _("Beat has not had to send a task yet.") if age is None else _("Beat sent a task %(age)s ago.")
        message, hint = message % {"age": duration(age or 0.0)}, ""
    elif _worker_runs(facts):
        worked = duration(facts.age(facts.row.heartbeat_at) or 0.0)
        if age is None:
            message = _(
                "Beat has never sent a task, but a worker is running: it checked for due tokens %(worked)s ago."
            )
        else:
            message = _(
                "Beat has sent no task for %(age)s, but a worker is running: it checked for due tokens %(worked)s ago."
            )
        message, hint = message % {"age": duration(age or 0.0), "worked": worked}, start_beat
    elif age is None:
        message, hint = _("Neither beat nor a worker has ever been seen."), start_both
    else:
        message = _("Neither beat nor a worker has been seen for %(age)s.") % {"age": duration(age)}
        hint = start_both
    return Result(level, age, message, hint)


def _run(level: Level, age: float | None) -> Result:
    """The same for ``wechat_open run``, which replaces beat too."""
    if level is GREEN:
        message = (
            _("“manage.py wechat_open run” has not had to do anything yet.")
            if age is None
            else _("“manage.py wechat_open run” was at work %(age)s ago.") % {"age": duration(age)}
        )
        return Result(level, age, message)
    message = (
        _("“manage.py wechat_open run” has never been seen.")
        if age is None
        else _("“manage.py wechat_open run” has not been seen for %(age)s.") % {"age": duration(age)}
    )
    return Result(level, age, message, _start_run())


def _start_run() -> str:
    return _("Start “manage.py wechat_open run”, and let a service manager such as systemd keep it running.")


@check(
    "clock_skew",
    title=pgettext_lazy("wechat_open", "Clock difference"),
    unit=SECONDS,
    why=gettext_lazy("Pushes and messages that seem too old or too new are refused, tickets excepted."),
)
def clock_skew(facts: Facts) -> Result:
    """WeChat's clock against the database's, and against this host's, by which the age of a push is judged."""
    measured = facts.row.skew_seconds
    against_host = (measured or 0.0) - facts.host_ahead
    worst = against_host if measured is None or abs(against_host) > abs(measured) else measured
    level = by_age(abs(worst), SKEW_AMBER, SKEW_RED)
    if measured is None:
        words = _("The database's clock and this host's differ by %(seconds).1f seconds; WeChat's is not known yet.")
    elif worst == measured:
        words = _("WeChat's clock and the database's differ by %(seconds).1f seconds.")
    else:
        words = _("WeChat's clock and this host's differ by %(seconds).1f seconds.")
    hint = _(
        "Set the clock of the host by NTP (chrony, systemd-timesyncd). A push whose time is too far off is refused."
    )
    message = words % {"seconds": abs(worst)}
    return Result(level, round(worst, 1), message, "" if level is GREEN else hint)

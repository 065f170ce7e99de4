"""What happened, who did it, and how often?

One entry for everything that an operator may want to look up later: the timeline of an account, and the audit trail of
the people who look after it. What happens too often to be told one by one is counted by the hour. Telling never stands
in the way of the deed: when the database takes no entry, that is logged, and the deed stands.
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta, timezone
from typing import Any

from django.db import Error as DatabaseTrouble
from django.db import IntegrityError, router, transaction
from django.db.models import F

from . import clock
from .conf import conf
from .exceptions import APIError, WeChatOpenError
from .models import Authorizer, Component, HourlyCount, JournalEntry

logger = logging.getLogger(__name__)

Kind = JournalEntry.Kind
What = HourlyCount.What

COMMAND_LINE = "manage.py"
"""The actor of what was done by hand on a server, where nobody is signed in."""

RENEWALS = (Kind.RENEWAL_FAILED, Kind.RESTRICTED, Kind.RECOVERED)
KEEP_RENEWALS = timedelta(days=90)
"""What happens by itself and often is of no use as long as what people did."""

KEEP_COUNTS = timedelta(days=60)


def note(
    kind: Kind,
    component: Component,
    *,
    account: Authorizer | None = None,
    appid: str = "",
    user: Any = None,
    actor: str = "",
    error: WeChatOpenError | None = None,
    detail: str = "",
    job: int = 0,
) -> None:
    """Write down what happened to an account (or, without one, to the platform), and what came of it.

    ``user`` is who did it, if it was a person; ``actor`` names who has no row. ``error`` makes the entry a failure:
    its text, errcode and rid are kept. ``job`` is the number of the bulk action of which this is one row. Nothing that
    is passed here may hold a secret.
    """
    person = user if getattr(user, "is_authenticated", False) else None
    entry = JournalEntry(
        at=clock.now(),
        component_id=component.pk,
        kind=kind,
        appid=account.appid if account else appid,
        name=account.nick_name if account else "",
        user_id=person.pk if person else None,
        actor=name_of(person) if person else actor[:150],
        ok=error is None,
        errcode=error.errcode if isinstance(error, APIError) else None,
        rid=error.rid[:64] if isinstance(error, APIError) else "",
        detail=detail or ("" if error is None else error.said),
        job=job,
    )
    try:
        with transaction.atomic(using=router.db_for_write(JournalEntry)):
            entry.save(force_insert=True)
    except DatabaseTrouble:
        logger.exception("The journal took no entry: %s of %s", kind.value, entry.appid or component.appid)


def name_of(user: Any) -> str:
    """What a person is called here. A site's own user model may have people sign in by a number."""
    return str(user.get_username())[:150]


def count(what: What, component: Component, number: int = 1) -> None:
    """Add to this hour's count."""
    if not number:
        return
    hour = datetime.now(timezone.utc).replace(minute=0, second=0, microsecond=0)
    row = HourlyCount.objects.filter(component_id=component.pk, hour=hour, what=what)
    try:
        with transaction.atomic(using=router.db_for_write(HourlyCount)):
            if row.update(count=F("count") + number):
                return
            try:
                with transaction.atomic(using=router.db_for_write(HourlyCount)):
                    HourlyCount.objects.create(component_id=component.pk, hour=hour, what=what, count=number)
            except IntegrityError:  # somebody was first
                row.update(count=F("count") + number)
    except DatabaseTrouble:
        logger.exception("%d %s could not be counted.", number, what.value)


def prune() -> int:
    """Delete what is older than the audit trail goes back; how many rows."""
    old = JournalEntry.objects.filter(at__lt=clock.now() - conf.journal_life)
    renewals = JournalEntry.objects.filter(kind__in=RENEWALS, at__lt=clock.now() - KEEP_RENEWALS)
    counts = HourlyCount.objects.filter(hour__lt=clock.now() - KEEP_COUNTS)
    return sum(rows.delete()[0] for rows in (old, renewals, counts))

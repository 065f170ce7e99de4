"""The audit trail, and counts by the hour.

An entry holds what an operator may want to look up later: the timeline of an account, and what operators did. Events
that are too frequent for an entry each are counted by the hour. Recording never stops what is recorded: when the
database takes no entry, that is logged, and the caller goes on.
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta, timezone
from typing import Any

from django.db import Error as AnyDatabaseError
from django.db import IntegrityError, router, transaction
from django.db.models import F

from .conf import conf
from .db import clock
from .exceptions import APIError, WeChatOpenError
from .models import AuditEntry, Authorizer, Component, HourlyCount
from .rounds import NO_DEADLINE, Deadline, delete

logger = logging.getLogger(__name__)

Kind = AuditEntry.Kind
Counter = HourlyCount.Counter

COMMAND_LINE = "manage.py"
"""The actor of what was done by hand on a server, where no user is signed in."""

RENEWALS = (Kind.RENEWAL_FAILED, Kind.RESTRICTED, Kind.RECOVERED)
KEEP_RENEWALS = timedelta(days=90)
"""Entries of automatic work, which are many, are kept for a shorter time than those of operators."""

KEEP_COUNTS = timedelta(days=60)


def record(
    kind: str,
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
    """Write an entry about an account (or, without one, about the platform).

    ``user`` is the operator, if there was one; ``actor`` names an actor that is no user. ``error`` makes the entry a
    failure: its text, errcode and rid are kept. ``job`` is the number of the bulk action of which this is one row.
    No argument may hold a secret.
    """
    person = user if getattr(user, "is_authenticated", False) else None
    entry = AuditEntry(
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
        detail=detail or ("" if error is None else error.text),
        job=job,
    )
    try:
        with transaction.atomic(using=router.db_for_write(AuditEntry)):
            entry.save(force_insert=True)
    except (AnyDatabaseError, ValueError):  # a driver says so of a text that it cannot send
        logger.exception("The audit trail took no entry: %s of %s", kind, entry.appid or component.appid)


def name_of(user: Any) -> str:
    """The name of a user in the audit trail. A site's own user model may have people sign in by a number."""
    return str(user.get_username())[:150]


def increment(counter: Counter, component: Component, number: int = 1) -> None:
    """Add to this hour's count."""
    if not number:
        return
    hour = datetime.now(timezone.utc).replace(minute=0, second=0, microsecond=0)
    row = HourlyCount.objects.filter(component_id=component.pk, hour=hour, counter=counter)
    try:
        with transaction.atomic(using=router.db_for_write(HourlyCount)):
            if row.update(count=F("count") + number):
                return
            try:
                with transaction.atomic(using=router.db_for_write(HourlyCount)):
                    HourlyCount.objects.create(component_id=component.pk, hour=hour, counter=counter, count=number)
            except IntegrityError:  # another process was faster
                row.update(count=F("count") + number)
    except AnyDatabaseError:
        logger.exception("%d %s could not be counted.", number, counter.value)


def prune(deadline: Deadline = NO_DEADLINE) -> int:
    """Delete what is older than the setting AUDIT_LIFE and the constants above say; how many rows."""
    old = AuditEntry.objects.filter(at__lt=clock.now() - conf.audit_life)
    renewals = AuditEntry.objects.filter(kind__in=RENEWALS, at__lt=clock.now() - KEEP_RENEWALS)
    counts = HourlyCount.objects.filter(hour__lt=clock.now() - KEEP_COUNTS)
    return delete(old, deadline) + delete(renewals, deadline) + delete(counts, deadline)

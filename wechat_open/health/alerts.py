"""Alerts: findings that last, kept as rows and sent as the ``alert`` signal.

Every half minute a task compares the findings with the open alerts. A finding that is not green is kept in a row until
it has been green for a while, or its platform has left the settings. The signal is sent when a finding turns bad, gets
worse or better, every hour while it lasts, and once when it is over. Several workers may compare at once: only the
worker whose UPDATE changes the row sends the signal; if it crashes before that, the alert becomes due again.

Operators can acknowledge an alert, which is then not repeated unless it gets worse, and mute it for a while: it is
still counted and shown, and sent again when the mute ends. When a muted finding ends and comes back, its mute goes on.

Workers send the signal, woken by beat or, where beat is dead, by each ticket. Without workers nothing is sent, so a
monitor should read ``health/`` as well.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db import IntegrityError, router, transaction
from django.db.models import F, Q, QuerySet

from .. import audit, health, platforms, signals
from ..conf import conf
from ..db import clock
from ..db.leases import elapsed
from ..exceptions import ConfigurationError
from ..models import Alert, Component
from ..rounds import NO_DEADLINE, Deadline, delete, each
from ..text import pgettext
from . import Finding, Level

logger = logging.getLogger(__name__)

REPEATED = timedelta(hours=1)
"""How often an alert is sent again while its finding lasts."""

CALM_FOR = timedelta(minutes=2)
"""How long a finding must have been green until it is resolved, so that one on the brink is not sent every minute."""

SENDING = timedelta(minutes=2)
"""How long a worker may take to send an alert until another one sends it again."""

KEPT = timedelta(days=90)

MUTES = (timedelta(hours=1), timedelta(hours=8), timedelta(days=1), timedelta(days=7))
"""For how long an alert can be muted; a mute ends by itself."""

AT_ONCE = 1_000
"""So many alerts are changed at once; a site has a few dozen findings."""

_SEVERITY = {Level.AMBER: Alert.Severity.WARNING, Level.RED: Alert.Severity.CRITICAL}


def watch(deadline: Deadline = NO_DEADLINE) -> int:
    """Compare all findings with the open alerts, and send what changed; returns how many alerts were sent."""
    appids = []

    def watch_one(alias: str) -> int:
        if not alias:
            return _Watch("", None).compare(health.examine_site(), deadline)
        try:
            platform = platforms.get(alias)
        except (ConfigurationError, TypeError, AttributeError) as error:  # the finding about the settings says so
            logger.warning("Platform %r: %s", alias, error)
            return 0
        appids.append(platform.appid)
        return _Watch(alias, platform.row).compare(health.examine(platform, common=()), deadline)

    aliases = list(conf.components)
    sent = each(["", *aliases], watch_one, deadline, what="Platform %r could not be examined")
    if len(appids) == len(aliases):
        gone = Alert.objects.filter(open_key__isnull=False, component__isnull=False)
        sent += each(
            list(gone.exclude(component__appid__in=appids)), _resolve, deadline, what="%s could not be resolved"
        )
    return sent


@dataclass(frozen=True)
class _Watch:
    """The open alerts of one platform, or of the site."""

    alias: str
    component: Component | None

    def compare(self, findings: list[Finding], deadline: Deadline) -> int:
        rows = {row.code: row for row in Alert.objects.filter(component=self.component, open_key__isnull=False)}

        by_code = {found.code: found for found in findings}

        def compare_one(code: str) -> bool:
            found, row = by_code[code], rows.get(code)
            if found.level is Level.GREEN:
                return row is not None and _resolve(row)
            return self._open(found) if row is None else self._update(row, found)

        return each(by_code, compare_one, deadline, what="The alert about %s could not be updated")

    def _open(self, found: Finding) -> bool:
        """First seen. The unique key admits one row, whichever worker is first."""
        muted = self._mute(found.code)
        row = Alert(
            component=self.component,
            alias=self.alias,
            code=found.code,
            severity=_SEVERITY[found.level],
            first_seen_at=clock.now(),
            last_seen_at=clock.now(),
            sent_at=None if muted else _sending_at(),
            needs_sending=not muted,
            muted_until=muted.muted_until if muted else None,
            muted_by=muted.muted_by if muted else "",
            context=_context(found),
            open_key=f"{self.component.appid if self.component else ''}:{found.code}",
        )
        try:
            with transaction.atomic(using=router.db_for_write(Alert)):
                row.save(force_insert=True)
        except IntegrityError:
            return False
        return not muted and _send(row)

    def _mute(self, code: str) -> Alert | None:
        """The mute of this finding that has not ended yet, though the alert that it was set for has."""
        ended = Alert.objects.filter(component=self.component, code=code, muted_until__gt=clock.now())
        return ended.order_by("-first_seen_at", "-pk").first()

    def _update(self, row: Alert, found: Finding) -> bool:
        """Still there: sent when it has changed, or when an hour has passed and no operator has acknowledged it."""
        severity = _SEVERITY[found.level]
        mine = Alert.objects.filter(pk=row.pk, open_key=row.open_key)
        mine.update(alias=self.alias, last_seen_at=clock.now(), count=F("count") + 1, context=_context(found))
        if severity == Alert.Severity.CRITICAL:  # worse than what was acknowledged
            mine.filter(severity=Alert.Severity.WARNING).update(acknowledged_at=None, acknowledged_by="")
        if mine.filter(_muted()).update(severity=severity, resolved_at=None):
            return False
        repeated = Q(needs_sending=True) & _is_due() | Q(acknowledged_at__isnull=True) & (_is_due() | _mute_has_ended())
        changed = mine.filter(~Q(severity=severity) | Q(resolved_at__isnull=False) | repeated)
        change = {"severity": severity, "resolved_at": None, "muted_until": None, **_to_send()}
        return bool(changed.update(**change)) and _send(row)


def _context(found: Finding) -> dict[str, Any]:
    """Numbers and names; the texts are in the language of the process that compares, which is the site's."""
    return {"message": found.message, "hint": found.hint, "value": found.value, "page": found.page}


def _resolve(row: Alert) -> bool:
    """Over. It is sent, muted or not, unless its beginning was not sent, so that no receiver keeps it open."""
    over = Alert.objects.filter(pk=row.pk, open_key=row.open_key, last_seen_at__lte=clock.now() - CALM_FOR)
    if over.filter(sent_at__isnull=True).update(resolved_at=clock.now(), open_key=None):
        return False
    changed = over.filter(Q(resolved_at__isnull=True) | _is_due())
    return bool(changed.update(resolved_at=clock.now(), **_to_send())) and _send(row)


def _to_send() -> dict[str, Any]:
    """The columns of an alert that is to be sent by the worker that changes them, or by another if it dies."""
    return {"sent_at": _sending_at(), "needs_sending": True}


def _sending_at() -> Any:
    """For ``sent_at`` while it is being sent: due again soon, and not in an hour."""
    return clock.now() - REPEATED + SENDING


def _is_due() -> Q:
    return elapsed("sent_at", REPEATED)


def _muted() -> Q:
    return Q(muted_until__gt=clock.now())


def _mute_has_ended() -> Q:
    """Since it was last sent."""
    return Q(muted_until__lte=clock.now(), sent_at__lt=F("muted_until"))


# -- what operators do -------------------------------------------------------------------------------------------------


def acknowledge(rows: QuerySet[Alert], user: Any) -> list[Alert]:
    """Acknowledge alerts: they are not repeated unless they get worse.

    Returns those that were neither over nor acknowledged before.
    """
    change = {"acknowledged_at": clock.now(), "acknowledged_by": audit.name_of(user)}
    mine = _open(rows).filter(acknowledged_at__isnull=True)
    return _change(mine, change, audit.Kind.ALERT_ACKNOWLEDGED, user)


def mute(rows: QuerySet[Alert], user: Any, span: timedelta) -> list[Alert]:
    """Mute alerts for this long. Returns those that were not over; ValueError for a time not in MUTES."""
    if span not in MUTES:
        raise ValueError("An alert can be muted for one of the times in MUTES.")
    change = {"muted_until": clock.now() + span, "muted_by": audit.name_of(user)}
    return _change(_open(rows), change, audit.Kind.ALERT_MUTED, user, hours=int(span / timedelta(hours=1)))


def unmute(rows: QuerySet[Alert], user: Any) -> list[Alert]:
    """Sent again from now on. Returns those that were muted."""
    return _change(rows.filter(_muted()), {"muted_until": clock.now()}, audit.Kind.ALERT_UNMUTED, user)


def _open(rows: QuerySet[Alert]) -> QuerySet[Alert]:
    return rows.filter(open_key__isnull=False, resolved_at__isnull=True)


def _change(rows: QuerySet[Alert], change: dict[str, Any], kind: audit.Kind, user: Any, hours: int = 0) -> list[Alert]:
    """One update, and one line in the audit trail of each platform. An alert of the whole site stands in that of the
    first platform."""
    with transaction.atomic(using=router.db_for_write(Alert)):
        found = list(rows.select_related(None).order_by("pk").select_for_update()[:AT_ONCE])
        Alert.objects.filter(pk__in=[row.pk for row in found]).update(**change)
    platforms = {component.pk: component for component in Component.objects.order_by("pk")} if found else {}
    shared = next(iter(platforms), None)
    for key, component in platforms.items():
        theirs = [row for row in found if (row.component_id or shared) == key]
        if theirs:
            named = ", ".join(f"{row.code} #{row.pk}" for row in theirs)
            detail = pgettext("alert", "%(alerts)s for %(hours)d hours", alerts=named, hours=hours) if hours else named
            audit.record(kind, component, user=user, detail=detail)
    return found


def _send(row: Alert) -> bool:
    row.refresh_from_db()
    resolved = row.resolved_at is not None
    logger.log(
        logging.INFO if resolved else logging.WARNING,
        "Alert %s of %s: %s (%s)",
        row.code,
        f"platform {row.alias!r}" if row.alias else "the site",
        "resolved" if resolved else row.severity,
        row.context.get("message", ""),
    )
    signals.announce(
        signals.alert,
        Alert,
        code=row.code,
        severity=row.severity,
        platform=row.alias,
        first_seen=row.first_seen_at,
        count=row.count,
        context=row.context,
        resolved=resolved,
    )
    sent = Alert.objects.filter(pk=row.pk, resolved_at=row.resolved_at)
    sent.update(sent_at=clock.now(), needs_sending=False, open_key=None if resolved else row.open_key)
    return True


def prune(deadline: Deadline = NO_DEADLINE) -> int:
    """Delete what was resolved long ago; returns how many."""
    return delete(Alert.objects.filter(resolved_at__lt=clock.now() - KEPT), deadline)

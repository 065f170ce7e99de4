"""Who is told when something goes wrong?

Whoever listens to the ``alert`` signal. Beat rings every half minute; each finding that is not green is kept in a row
until it has been green for a while, or its platform has left the settings. The signal is sent when a finding turns bad,
gets worse or better, every hour while it lasts, and once when it is over. Several workers may look at once: whoever
changes the row tells, nobody else does, unless that one dies of it.

Operators can acknowledge an alert, which is then not repeated unless it gets worse, and mute it for a while: it is
still counted and shown, and sent again when the mute ends. The mute of a finding that ends and comes back goes on.

Workers tell this; with beat dead, each ticket rings for them. With the workers dead nobody tells, so have a monitor ask
``health/`` too.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db import IntegrityError, router, transaction
from django.db.models import F, Q, QuerySet

from . import clock, health, journal, signals
from .component import platform as configured
from .conf import conf
from .exceptions import WeChatOpenError
from .health import Finding, Level
from .models import Alert, Component
from .sentence import pgettext

logger = logging.getLogger(__name__)

REPEATED = timedelta(hours=1)
"""How often a lasting trouble is told again."""

CALM = timedelta(minutes=2)
"""How long a finding must have been green until it is resolved, so that one on the brink is not told every minute."""

TELLING = timedelta(minutes=2)
"""How long the one who tells may take, before somebody else does it again."""

KEPT = timedelta(days=90)

MUTES = (timedelta(hours=1), timedelta(hours=8), timedelta(days=1), timedelta(days=7))
"""For how long an alert can be muted; a mute ends by itself."""

AT_ONCE = 1_000
"""So many alerts are handled at once; a site has a few dozen findings."""

_SEVERITY = {Level.AMBER: Alert.Severity.WARNING, Level.RED: Alert.Severity.CRITICAL}


def watch() -> int:
    """Look at everything once and tell what changed; how many alerts were told."""
    told = _Watch("", None).compare(health.examine_site())
    appids = []
    for alias in conf.components:
        try:
            platform = configured(alias)
            appids.append(platform.appid)
            told += _Watch(alias, platform.row).compare(health.examine(platform, common=()))
        except (WeChatOpenError, TypeError, AttributeError) as error:  # no other's trouble; the settings have a finding
            logger.warning("Platform %r: %s", alias, error)
    if len(appids) == len(conf.components):
        gone = Alert.objects.filter(open_key__isnull=False, component__isnull=False)
        told += sum(_resolve(row) for row in gone.exclude(component__appid__in=appids))
    return told


@dataclass(frozen=True)
class _Watch:
    """The open alerts of one platform, or of the site."""

    alias: str
    component: Component | None

    def compare(self, findings: list[Finding]) -> int:
        rows = {row.code: row for row in Alert.objects.filter(component=self.component, open_key__isnull=False)}
        told = 0
        for found in findings:
            row = rows.get(found.code)
            if found.level is Level.GREEN:
                told += row is not None and _resolve(row)
            elif row is None:
                told += self._open(found)
            else:
                told += self._go_on(row, found)
        return told

    def _open(self, found: Finding) -> bool:
        """First seen. The unique key makes it known once."""
        muted = self._mute(found.code)
        row = Alert(
            component=self.component,
            alias=self.alias,
            code=found.code,
            severity=_SEVERITY[found.level],
            first_seen_at=clock.now(),
            last_seen_at=clock.now(),
            told_at=None if muted else _being_told(),
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
        return not muted and _tell(row)

    def _mute(self, code: str) -> Alert | None:
        """The mute of this finding that has not ended yet, though the alert that it was set for has."""
        ended = Alert.objects.filter(component=self.component, code=code, muted_until__gt=clock.now())
        return ended.order_by("-first_seen_at", "-pk").first()

    def _go_on(self, row: Alert, found: Finding) -> bool:
        """Still there: sent when it has changed, or when an hour has passed and nobody has acknowledged it."""
        severity = _SEVERITY[found.level]
        mine = Alert.objects.filter(pk=row.pk, open_key=row.open_key)
        mine.update(alias=self.alias, last_seen_at=clock.now(), count=F("count") + 1, context=_context(found))
        if severity == Alert.Severity.CRITICAL:  # worse than what was acknowledged
            mine.filter(severity=Alert.Severity.WARNING).update(acknowledged_at=None, acknowledged_by="")
        if mine.filter(_muted()).update(severity=severity, resolved_at=None):
            return False
        repeated = Q(acknowledged_at__isnull=True) & (_untold() | _mute_has_ended())
        changed = mine.filter(~Q(severity=severity) | Q(resolved_at__isnull=False) | repeated)
        news = {"severity": severity, "resolved_at": None, "told_at": _being_told(), "muted_until": None}
        return bool(changed.update(**news)) and _tell(row)


def _context(found: Finding) -> dict[str, Any]:
    """Numbers and names; the sentences are in the language of the process that looks, which is the site's."""
    return {"said": found.said, "remedy": found.remedy, "value": found.value, "page": found.page}


def _resolve(row: Alert) -> bool:
    """Over: sent to all who heard that it began, muted or not, so that none of them keeps it open."""
    over = Alert.objects.filter(pk=row.pk, open_key=row.open_key, last_seen_at__lte=clock.now() - CALM)
    if over.filter(told_at__isnull=True).update(resolved_at=clock.now(), open_key=None):
        return False
    changed = over.filter(Q(resolved_at__isnull=True) | _untold())
    return bool(changed.update(resolved_at=clock.now(), told_at=_being_told())) and _tell(row)


def _being_told() -> Any:
    """For ``told_at``, while it is being told: due again soon, and not in an hour."""
    return clock.now() - REPEATED + TELLING


def _untold() -> Q:
    return Q(told_at__isnull=True) | Q(told_at__lte=clock.now() - REPEATED)


def _muted() -> Q:
    return Q(muted_until__gt=clock.now())


def _mute_has_ended() -> Q:
    """Since it was last sent."""
    return Q(muted_until__lte=clock.now(), told_at__lt=F("muted_until"))


# -- what operators do -------------------------------------------------------------------------------------------------


def acknowledge(rows: QuerySet[Alert], user: Any) -> list[Alert]:
    """A person looks after these: not repeated unless they get worse. Returns those that were neither over nor
    acknowledged before."""
    change = {"acknowledged_at": clock.now(), "acknowledged_by": journal.name_of(user)}
    mine = _open(rows).filter(acknowledged_at__isnull=True)
    return _change(mine, change, journal.Kind.ALERT_ACKNOWLEDGED, user)


def mute(rows: QuerySet[Alert], user: Any, span: timedelta) -> list[Alert]:
    """Not sent for this long, then again. Returns those that were not over; ValueError for a time not in MUTES."""
    if span not in MUTES:
        raise ValueError("An alert can be muted for one of the times in MUTES.")
    change = {"muted_until": clock.now() + span, "muted_by": journal.name_of(user)}
    return _change(_open(rows), change, journal.Kind.ALERT_MUTED, user, hours=int(span / timedelta(hours=1)))


def unmute(rows: QuerySet[Alert], user: Any) -> list[Alert]:
    """Sent again from now on. Returns those that were muted."""
    return _change(rows.filter(_muted()), {"muted_until": clock.now()}, journal.Kind.ALERT_UNMUTED, user)


def _open(rows: QuerySet[Alert]) -> QuerySet[Alert]:
    return rows.filter(open_key__isnull=False, resolved_at__isnull=True)


def _change(
    rows: QuerySet[Alert], change: dict[str, Any], kind: journal.Kind, user: Any, hours: int = 0
) -> list[Alert]:
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
            said = pgettext("alert", "%(alerts)s for %(hours)d hours", alerts=named, hours=hours) if hours else named
            journal.note(kind, component, user=user, detail=said)
    return found


def _tell(row: Alert) -> bool:
    row.refresh_from_db()
    resolved = row.resolved_at is not None
    logger.log(
        logging.INFO if resolved else logging.WARNING,
        "Alert %s of %s: %s (%s)",
        row.code,
        f"platform {row.alias!r}" if row.alias else "the site",
        "resolved" if resolved else row.severity,
        row.context["said"],
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
    told = Alert.objects.filter(pk=row.pk, resolved_at=row.resolved_at)
    told.update(told_at=clock.now(), open_key=None if resolved else row.open_key)
    return True


def prune() -> int:
    """Delete what was resolved a season ago; how many."""
    return Alert.objects.filter(resolved_at__lt=clock.now() - KEPT).delete()[0]

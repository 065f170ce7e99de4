"""Who is told when something goes wrong?

Whoever listens to the ``alert`` signal. Beat rings every half minute; each finding that is not green is kept in a row
until it has been green for a while, or its platform has left the settings. The signal is sent when a finding turns bad,
gets worse or better, every hour while it lasts, and once when it is over. Several workers may look at once: whoever
changes the row tells, nobody else does, unless that one dies of it.

Workers tell this; with beat dead, each ticket rings for them. With the workers dead nobody tells, so have a monitor ask
``health/`` too.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db import IntegrityError, router, transaction
from django.db.models import F, Q

from . import clock, health, signals
from .component import platform as configured
from .conf import conf
from .exceptions import WeChatOpenError
from .health import Finding, Level
from .models import Alert, Component

logger = logging.getLogger(__name__)

REPEATED = timedelta(hours=1)
"""How often a lasting trouble is told again."""

CALM = timedelta(minutes=2)
"""How long a finding must have been green until it is resolved, so that one on the brink is not told every minute."""

TELLING = timedelta(minutes=2)
"""How long the one who tells may take, before somebody else does it again."""

KEPT = timedelta(days=90)

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
        row = Alert(
            component=self.component,
            alias=self.alias,
            code=found.code,
            severity=_SEVERITY[found.level],
            first_seen_at=clock.now(),
            last_seen_at=clock.now(),
            told_at=_being_told(),
            context=_context(found),
            open_key=f"{self.component.appid if self.component else ''}:{found.code}",
        )
        try:
            with transaction.atomic(using=router.db_for_write(Alert)):
                row.save(force_insert=True)
        except IntegrityError:
            return False
        return _tell(row)

    def _go_on(self, row: Alert, found: Finding) -> bool:
        """Still there: told when it has changed, or when an hour has passed."""
        severity = _SEVERITY[found.level]
        mine = Alert.objects.filter(pk=row.pk, open_key=row.open_key)
        mine.update(alias=self.alias, last_seen_at=clock.now(), count=F("count") + 1, context=_context(found))
        changed = mine.filter(~Q(severity=severity) | Q(resolved_at__isnull=False) | _untold())
        return bool(changed.update(severity=severity, resolved_at=None, told_at=_being_told())) and _tell(row)


def _context(found: Finding) -> dict[str, Any]:
    """Numbers and names; the sentences are in the language of the process that looks, which is the site's."""
    return {"said": found.said, "remedy": found.remedy, "value": found.value, "page": found.page}


def _resolve(row: Alert) -> bool:
    over = Alert.objects.filter(pk=row.pk, open_key=row.open_key, last_seen_at__lte=clock.now() - CALM)
    changed = over.filter(Q(resolved_at__isnull=True) | _untold())
    return bool(changed.update(resolved_at=clock.now(), told_at=_being_told())) and _tell(row)


def _being_told() -> Any:
    """For ``told_at``, while it is being told: due again soon, and not in an hour."""
    return clock.now() - REPEATED + TELLING


def _untold() -> Q:
    return Q(told_at__isnull=True) | Q(told_at__lte=clock.now() - REPEATED)


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

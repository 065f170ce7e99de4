"""Who is told when something goes wrong?

Whoever listens to the ``alert`` signal. Beat rings every half minute; each finding that is not green is kept in a row
until it has been green for a while. The signal is sent when a finding turns bad, gets worse or better, every hour while
it lasts, and once when it is over. Several workers may look at once: whoever changes the row tells, nobody else does.

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

KEPT = timedelta(days=90)

_SEVERITY = {Level.AMBER: Alert.Severity.WARNING, Level.RED: Alert.Severity.CRITICAL}


def watch() -> int:
    """Look at everything once and tell what changed; how many alerts were told."""
    told = _Watch("", None).compare(health.examine_site())
    for alias in conf.components:
        try:
            platform = configured(alias)
            told += _Watch(alias, platform.row).compare(health.examine(platform, common=()))
        except WeChatOpenError as error:  # one platform's settings are no other's trouble; they have a finding
            logger.warning("Platform %r: %s", alias, error)
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
                told += row is not None and self._resolve(row)
            elif row is None:
                told += self._open(found)
            else:
                told += self._go_on(row, found)
        return told

    def _open(self, found: Finding) -> bool:
        """First seen. The unique key makes it known once."""
        row = Alert(
            component=self.component,
            code=found.code,
            severity=_SEVERITY[found.level],
            first_seen_at=clock.now(),
            last_seen_at=clock.now(),
            told_at=clock.now(),
            context=_context(found),
            open_key=f"{self.component.appid if self.component else ''}:{found.code}",
        )
        try:
            with transaction.atomic(using=router.db_for_write(Alert)):
                row.save(force_insert=True)
        except IntegrityError:
            return False
        return self._tell(row)

    def _go_on(self, row: Alert, found: Finding) -> bool:
        """Still there: told when it has changed, or when an hour has passed."""
        severity = _SEVERITY[found.level]
        mine = Alert.objects.filter(pk=row.pk, open_key=row.open_key)
        mine.update(last_seen_at=clock.now(), count=F("count") + 1, context=_context(found))
        untold = Q(told_at__isnull=True) | Q(told_at__lte=clock.now() - REPEATED)
        changed = mine.filter(~Q(severity=severity) | untold)
        return bool(changed.update(severity=severity, told_at=clock.now())) and self._tell(row)

    def _resolve(self, row: Alert) -> bool:
        over = Alert.objects.filter(pk=row.pk, open_key=row.open_key, last_seen_at__lte=clock.now() - CALM)
        return bool(over.update(resolved_at=clock.now(), open_key=None)) and self._tell(row)

    def _tell(self, row: Alert) -> bool:
        row.refresh_from_db()
        resolved = row.resolved_at is not None
        logger.log(
            logging.INFO if resolved else logging.WARNING,
            "Alert %s of %s: %s (%s)",
            row.code,
            f"platform {self.alias!r}" if self.alias else "the site",
            "resolved" if resolved else row.severity,
            row.context.get("said", ""),
        )
        signals.announce(
            signals.alert,
            Alert,
            code=row.code,
            severity=row.severity,
            platform=self.alias,
            first_seen=row.first_seen_at,
            count=row.count,
            context=row.context,
            resolved=resolved,
        )
        return True


def _context(found: Finding) -> dict[str, Any]:
    """Numbers and names; the sentences are in the language of the process that looks, which is the site's."""
    return {"said": found.said, "remedy": found.remedy, "value": found.value, "page": found.page}


def prune() -> int:
    """Delete what was resolved a season ago; how many."""
    return Alert.objects.filter(resolved_at__lt=clock.now() - KEPT).delete()[0]

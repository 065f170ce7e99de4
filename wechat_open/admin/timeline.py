"""The latest events of an account, newest first.

They come from the audit trail, for readers who may view it; successful renewals come from the account's row, where the
last dozen is kept, and each unbroken run of them is one event.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby

from django.utils.translation import ngettext

from ..models import AuditEntry, Authorizer
from .audit import attempted, explanation
from .display import date
from .reader import may_view

SHOWN = 25

_TONES: dict[str, str] = {
    AuditEntry.Kind.AUTHORIZED: "good",
    AuditEntry.Kind.RECOVERED: "good",
    AuditEntry.Kind.UPDATED: "busy",
    AuditEntry.Kind.UNAUTHORIZED: "off",
    AuditEntry.Kind.NEEDS_REAUTHORIZATION: "bad",
    AuditEntry.Kind.CODE_MISUSED: "bad",
    AuditEntry.Kind.RENEWAL_FAILED: "bad",
}


@dataclass(frozen=True)
class Event:
    """One entry: when, what, by whom (if it was a person), and what else there is to say."""

    at: datetime
    what: str
    tone: str = "off"
    who: str = ""
    detail: str = ""


def of(account: Authorizer) -> tuple[list[Event], bool]:
    """The newest events, and whether the audit trail has more. One query."""
    entries = AuditEntry.objects.filter(component_id=account.component_id, appid=account.appid)
    rows = list(entries.order_by("-at", "-pk")[: SHOWN + 1]) if may_view("auditentry") else []
    recorded = [(row.at, row) for row in rows[:SHOWN]]
    events: list[tuple[datetime, AuditEntry | None]] = [*recorded, *((at, None) for at in _renewals(account))]
    if len(rows) > SHOWN:  # older renewals would stand beside a gap
        events = [event for event in events if event[0] >= rows[SHOWN - 1].at]
    events.sort(key=lambda event: event[0], reverse=True)
    return list(_grouped(events)), len(rows) > SHOWN


def _renewals(account: Authorizer) -> list[datetime]:
    return [datetime.fromisoformat(at) for at in account.renewals]


def _grouped(events: Iterable[tuple[datetime, AuditEntry | None]]) -> Iterable[Event]:
    for is_renewal, run in groupby(events, key=lambda event: event[1] is None):
        if not is_renewal:
            yield from (_entry(entry) for at, entry in run if entry is not None)
            continue
        times = [at for at, entry in run]
        what = ngettext("token renewed", "token renewed %(count)s times", len(times)) % {"count": len(times)}
        yield Event(times[0], what, "good", detail=f"{date(times[-1])} – {date(times[0])}" if len(times) > 1 else "")


def _entry(entry: AuditEntry) -> Event:
    return Event(
        entry.at,
        attempted(entry, entry.get_kind_display()),
        _TONES.get(entry.kind, "busy") if entry.ok or entry.kind in _TONES else "bad",
        entry.actor,
        explanation(entry),
    )

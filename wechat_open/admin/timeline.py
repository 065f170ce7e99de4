"""What has happened to an account lately?

From its journal, newest first, for who may see that; renewals that went well come from the account's row, where the
last dozen is kept, and are told as one entry for each unbroken run of them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby

from django.utils.translation import get_language, ngettext

from ..admin_urls import may_view
from ..models import Authorizer, JournalEntry
from ..protocol import permissions
from ..telling import explained, translated
from .journal import attempted
from .shown import date

SHOWN = 25

_TONES = {
    JournalEntry.Kind.AUTHORIZED: "good",
    JournalEntry.Kind.RECOVERED: "good",
    JournalEntry.Kind.UPDATED: "busy",
    JournalEntry.Kind.UNAUTHORIZED: "off",
    JournalEntry.Kind.NEEDS_REAUTHORIZATION: "bad",
    JournalEntry.Kind.CODE_MISUSED: "bad",
    JournalEntry.Kind.RENEWAL_FAILED: "bad",
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
    """The newest events, and whether the journal has more. One query."""
    entries = JournalEntry.objects.filter(component_id=account.component_id, appid=account.appid)
    rows = list(entries.order_by("-at", "-pk")[: SHOWN + 1]) if may_view("journalentry") else []
    told = [(row.at, row) for row in rows[:SHOWN]]
    events: list[tuple[datetime, JournalEntry | None]] = [*told, *((at, None) for at in _renewals(account))]
    if len(rows) > SHOWN:  # older renewals would stand beside a gap
        events = [event for event in events if event[0] >= rows[SHOWN - 1].at]
    events.sort(key=lambda event: event[0], reverse=True)
    return list(_told(events)), len(rows) > SHOWN


def _renewals(account: Authorizer) -> list[datetime]:
    return [datetime.fromisoformat(at) for at in account.renewals]


def _told(events: Iterable[tuple[datetime, JournalEntry | None]]) -> Iterable[Event]:
    for is_renewal, run in groupby(events, key=lambda event: event[1] is None):
        if not is_renewal:
            yield from (_entry(entry) for at, entry in run if entry is not None)
            continue
        times = [at for at, entry in run]
        what = ngettext("token renewed", "token renewed %(count)s times", len(times)) % {"count": len(times)}
        yield Event(times[0], what, "good", detail=f"{date(times[-1])} – {date(times[0])}" if len(times) > 1 else "")


def _entry(entry: JournalEntry) -> Event:
    return Event(
        entry.at,
        attempted(entry, entry.get_kind_display()),
        _TONES.get(JournalEntry.Kind(entry.kind), "busy") if entry.ok or entry.kind in _TONES else "bad",
        entry.actor,
        explained(entry.errcode, entry.rid)
        or (_sets(entry.detail) if entry.kind == JournalEntry.Kind.UPDATED else translated(entry.detail)),
    )


def _sets(changes: str) -> str:
    """``+7 -3`` by name."""
    language = get_language() or "en"
    told = []
    for change in changes.split():
        number = change[1:]
        told.append(f"{change[0]} {permissions.name(int(number), language)}" if number.isdecimal() else change)
    return ", ".join(told)

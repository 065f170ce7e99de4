"""What does WeChat's own list say, and where do we differ?

The hourly read-back that heals whatever nobody noticed: a lost answer, a missed push, a database restored from
yesterday, or an empty one. The list is walked page by page; each page is compared with rows as they were *before* it
was asked for, and every repair is a compare-and-set, so a renewal that happens meanwhile is never overwritten.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from django.db.models import Q

from .. import clock
from ..component import Platform
from ..conf import conf
from ..endpoints import LIST_PAGE, Listed
from ..exceptions import NotAuthorized, Unreachable
from ..models import AHEAD, Authorizer, Component, to_announce
from . import cache
from .custody import as_component
from .store import withdrawn

logger = logging.getLogger(__name__)

EVERY = timedelta(hours=1)
RUNNING = timedelta(minutes=10)
"""How long one sweep keeps others away; moved on with each page."""

SKIPPED_NAMED = 20
"""How many unusable entries of WeChat's list a log line names."""

MISSING_FOR = timedelta(minutes=30)
"""An account must be missing from two complete lists, this far apart, before WeChat is asked about it."""


@dataclass
class SweepReport:
    """What a sweep found. ``complete`` says that the whole list was read.

    ``skipped`` are entries that could not be used: their appids, empty where an entry names none.
    """

    seen: int = 0
    created: list[str] = field(default_factory=list)
    repaired: list[str] = field(default_factory=list)
    restored: list[str] = field(default_factory=list)
    withdrawn: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    complete: bool = False

    @property
    def differences(self) -> int:
        return len(self.created) + len(self.repaired) + len(self.restored) + len(self.withdrawn)


def sweep_if_due(platform: Platform) -> SweepReport | None:
    """The hourly sweep, by whoever comes first."""
    row = platform.row
    due = Q(sweep_due_at__isnull=True) | Q(sweep_due_at__lte=clock.now())
    if not Component.objects.filter(due, pk=row.pk).update(sweep_due_at=clock.now() + RUNNING):
        return None
    return sweep(platform)


def sweep_soon(platform: Platform) -> bool:
    """Let the next ring sweep; False when a sweep is under way, or is due within minutes anyway."""
    resting = Component.objects.filter(pk=platform.row.pk, sweep_due_at__gt=clock.now() + RUNNING)
    return bool(resting.update(sweep_due_at=clock.now()))


def sweep(platform: Platform, progress: Callable[[int, int], object] | None = None) -> SweepReport:
    """Walk the list now and repair every difference.

    ``progress`` is called after each page with how many accounts were compared, and of how many.
    """
    report = SweepReport()
    seen: set[str] = set()
    started_at = _now(platform)
    for listed, asked_at, total in _pages(platform, report):
        Component.objects.filter(pk=platform.row.pk).update(sweep_due_at=clock.now() + RUNNING)
        _compare(platform, listed, asked_at, report)
        seen.update(entry.appid for entry in listed)
        if progress is not None:
            progress(len(seen), total)
    seen.update(appid for appid in report.skipped if appid)
    report.seen = len(seen)
    if report.complete:
        _look_for_missing(platform, seen, started_at, report)
        Component.objects.filter(pk=platform.row.pk).update(
            swept_at=clock.now(), sweep_due_at=clock.now() + EVERY, sweep_repairs=report.differences
        )
    if report.skipped:
        logger.warning(
            "WeChat's list for platform %r has %d entries without a usable appid, auth_time or refresh_token: %s",
            platform.alias,
            len(report.skipped),
            ", ".join(appid or "(no appid)" for appid in report.skipped[:SKIPPED_NAMED]),
        )
    if report.differences:
        logger.warning(
            "The reconciliation of platform %r created %d, repaired %d, restored %d and withdrew %d accounts.",
            platform.alias,
            len(report.created),
            len(report.repaired),
            len(report.restored),
            len(report.withdrawn),
        )
    return report


def _pages(platform: Platform, report: SweepReport) -> Iterator[tuple[list[Listed], datetime, int]]:
    """Page after page, the time before it was asked for, and the length of the list; ``complete`` at its end."""
    offset = 0
    while True:
        asked_at = _now(platform)
        start = offset
        page = as_component(
            platform,
            lambda token, start=start: platform.endpoints.authorizer_list(token, start, LIST_PAGE),  # type: ignore[misc]
        )
        yield list(page.authorizers), asked_at, page.total_count
        offset += page.received
        report.skipped += page.skipped
        if offset >= page.total_count:
            report.complete = True
            return
        if not page.received:  # fewer than promised: do not conclude anything from what is absent
            return


def _now(platform: Platform) -> datetime:
    row = Component.objects.annotate(read_at=clock.read()).values_list("read_at", flat=True)
    now: datetime = row.get(pk=platform.row.pk)
    return now


def _compare(platform: Platform, listed: list[Listed], asked_at: datetime, report: SweepReport) -> None:
    # An account that stands there twice is its newest entry: an older one would bring its old token back.
    newest = {entry.appid: entry for entry in sorted(listed, key=lambda entry: entry.authorized_at)}.values()
    listed = [replace(entry, authorized_at=min(entry.authorized_at, asked_at + AHEAD)) for entry in newest]
    rows = {
        row.appid: row
        for row in Authorizer.objects.filter(
            component=platform.row, appid__in=[entry.appid for entry in listed]
        ).annotate(read_at=clock.read())
    }
    _create(platform, [entry for entry in listed if entry.appid not in rows], report)
    for entry in listed:
        row = rows.get(entry.appid)
        if row is not None:
            row.component = platform.row
            _repair(platform, row, entry, asked_at, report)


def _create(platform: Platform, unknown: list[Listed], report: SweepReport) -> None:
    """Accounts that authorized while nobody listened, or whose rows were lost."""
    rows = []
    for entry in unknown:
        row = Authorizer(component=platform.row, appid=entry.appid)
        row.refresh_token = row.seal("refresh_token", entry.refresh_token.reveal())
        row.grant_changed_at = row.authorized_at = entry.authorized_at
        row.next_action_at = clock.now()  # not since the grant: nobody could have known
        row.grant_epoch = 1
        row.needs_announcing, row.announcement = True, 1
        rows.append(row)
    Authorizer.objects.bulk_create(rows, ignore_conflicts=True)
    report.created += [entry.appid for entry in unknown]


def _repair(platform: Platform, row: Authorizer, entry: Listed, asked_at: datetime, report: SweepReport) -> None:
    """Bring one row to what WeChat has, unless it changed after the list was asked for."""
    untouched = Authorizer.objects.filter(pk=row.pk, fence=row.fence, grant_epoch=row.grant_epoch)
    if row.missing_since is not None:
        untouched.update(missing_since=None)
    if row.state == Authorizer.State.UNAUTHORIZED:
        _restore(platform, row, entry, report)
        return
    touched = row.access_token_obtained_at is not None and row.access_token_obtained_at >= asked_at
    if touched or (row.claimed_until is not None and row.claimed_until > row.read_at):  # type: ignore[attr-defined]
        return
    newer = row.grant_changed_at is None or entry.authorized_at > row.grant_changed_at
    stored = row.reveal("refresh_token")
    differs = bool(entry.refresh_token) and entry.refresh_token != stored
    refused = row.state == Authorizer.State.NEEDS_REAUTHORIZATION
    if not newer and not differs:
        return
    if newer and not differs and not refused:  # the grant is known under its provisional time; only note WeChat's
        untouched.update(grant_changed_at=entry.authorized_at)
        return
    changes = {
        "state": Authorizer.State.AUTHORIZED,
        "fence": row.fence + 1,
        "next_action_at": clock.now(),
        "needs_reconcile": False,
        "refused_since": None,
        "restricted_since": None,
        "due_since": None,
        "failures": 0,
    }
    if differs:
        changes["refresh_token"] = row.seal("refresh_token", entry.refresh_token.reveal())
        changes["previous_refresh_token"] = row.seal("previous_refresh_token", stored.reveal())
    if newer or refused:
        changes |= {
            "grant_changed_at": max(entry.authorized_at, row.grant_changed_at or entry.authorized_at),
            "authorized_at": entry.authorized_at,
            "grant_epoch": row.grant_epoch + 1,
            "access_token_expires_at": clock.now(),  # a re-authorization kills it (protocol 4.1)
            "profile_synced_at": None,
            "profile_due_at": None,
            "granted_through": None,
            **to_announce(),
        }
    if untouched.update(**changes):
        if newer or refused:
            cache.forget(f"{platform.appid}:{row.appid}")
        report.repaired.append(row.appid)


def _restore(platform: Platform, row: Authorizer, entry: Listed, report: SweepReport) -> None:
    """We hold the account for gone, and WeChat lists it: a missed push, or a list that lags. WeChat is asked."""
    newer = row.grant_changed_at is None or entry.authorized_at > row.grant_changed_at
    if not newer and not _still_authorized(platform, row.appid):
        return
    changes = {
        "state": Authorizer.State.AUTHORIZED,
        "refresh_token": row.seal("refresh_token", entry.refresh_token.reveal()),
        "grant_changed_at": max(entry.authorized_at, row.grant_changed_at or entry.authorized_at),
        "authorized_at": entry.authorized_at,
        "grant_epoch": row.grant_epoch + 1,
        "next_action_at": clock.now(),
        "due_since": None,
        "granted_through": None,
        "profile_synced_at": None,
        "profile_due_at": None,
        **to_announce(),
    }
    untouched = Authorizer.objects.filter(pk=row.pk, fence=row.fence, grant_epoch=row.grant_epoch)
    if untouched.update(fence=row.fence + 1, **changes):
        report.restored.append(row.appid)


def _look_for_missing(platform: Platform, seen: set[str], started_at: datetime, report: SweepReport) -> None:
    """Accounts that we hold for authorized and WeChat does not list. One bad reading decides nothing."""
    held = Authorizer.objects.filter(
        Q(grant_changed_at__isnull=True) | Q(grant_changed_at__lt=started_at),
        component=platform.row,
        state=Authorizer.State.AUTHORIZED,
    )
    absent = [pk for pk, appid in held.values_list("pk", "appid").iterator() if appid not in seen]
    braked = len(absent) >= conf.brake_accounts and len(absent) >= conf.brake_share * max(held.count(), 1)
    if braked:
        logger.error("%d accounts are missing from WeChat's list at once; nothing is changed.", len(absent))
        Component.objects.filter(pk=platform.row.pk).update(braked_at=clock.now())
        return
    rows = Authorizer.objects.filter(pk__in=absent)
    rows.filter(missing_since__isnull=True).update(missing_since=clock.now())
    for row in rows.filter(missing_since__lte=clock.now() - MISSING_FOR):
        if _still_authorized(platform, row.appid):
            continue
        changed = Authorizer.objects.filter(pk=row.pk, fence=row.fence, grant_epoch=row.grant_epoch).update(
            **withdrawn(clock.now()),
            state=Authorizer.State.UNAUTHORIZED,
            grant_epoch=row.grant_epoch + 1,
            fence=row.fence + 1,
            claimed_until=None,
            **to_announce(),
        )
        if changed:
            cache.forget(f"{platform.appid}:{row.appid}")
            report.withdrawn.append(row.appid)


def _still_authorized(platform: Platform, appid: str) -> bool:
    try:
        as_component(platform, lambda token: platform.endpoints.authorizer_info(token, appid))
    except NotAuthorized:
        return False
    except Unreachable as error:  # an answer that says nothing: nothing is concluded, and the others are looked at
        logger.warning("Whether account %s is still authorized could not be read: %s", appid, error)
    return True

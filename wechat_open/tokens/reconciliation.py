"""The comparison with WeChat's own list, and the repair of every difference.

Hourly, it corrects whatever went unnoticed: a lost answer, a missed push, a database restored from yesterday's backup,
or an empty one. Each page of the list is compared with rows as they were *before* it was asked for, and every repair is
a compare-and-set, so a renewal that happens meanwhile is never overwritten. ``comparison`` decides what becomes of an
account. An account whose comparison fails costs no other: it is named, and the next list repeats it.

After each page the comparison records how far it is. One that was killed is continued there, and its report has what
was changed before.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from itertools import islice
from typing import Any

from ..client.component import Listed, ListPage, authorizer_info, authorizer_list
from ..db.rows import is_of_row
from ..exceptions import NotAuthorized, RefreshTokenRefused, Unreachable, WeChatOpenError
from ..models import AHEAD, Authorizer, ComparedPage
from ..platforms import Platform
from ..rounds import NO_DEADLINE, Deadline, log_failure
from ..stores.authorizers import decrypted
from . import comparison, policy
from .comparison import Difference
from .component import as_component
from .grants import ask_again
from .policy import Brake, Fault

logger = logging.getLogger(__name__)

EVERY = timedelta(hours=1)

CONTINUED_WITHIN = timedelta(minutes=30)
"""A comparison that has begun longer ago than this is not continued: its first pages are outdated."""

NAMED = 20
"""How many entries of WeChat's list a log line names."""

AT_ONCE = 500
"""So many rows are marked in one statement."""

MISSING_FOR = timedelta(minutes=30)
"""An account must be missing from two complete lists, this far apart, before WeChat is asked about it."""

MISSING_FOR_LONGER = timedelta(days=1)
"""So far apart when nothing shows that WeChat's list is right: many accounts are missing, or it is empty."""


@dataclass
class ReconciliationReport:
    """What a reconciliation found. ``complete`` says that the whole list was read.

    ``skipped`` are entries that could not be used: their appids, empty where an entry names none. ``failed`` are
    accounts that could not be compared; the log says why.
    """

    seen: int = 0
    created: list[str] = field(default_factory=list)
    repaired: list[str] = field(default_factory=list)
    restored: list[str] = field(default_factory=list)
    withdrawn: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    complete: bool = False

    @property
    def differences(self) -> int:
        return len(self.created) + len(self.repaired) + len(self.restored) + len(self.withdrawn)

    def lists(self) -> dict[str, list[str]]:
        return {name: value for name, value in vars(self).items() if isinstance(value, list)}

    def add(self, found: dict[str, list[str]]) -> None:
        """Add what was found on another page."""
        for name, appids in self.lists().items():
            appids += found.get(name, [])


def reconcile_if_due(platform: Platform, deadline: Deadline = NO_DEADLINE) -> ReconciliationReport | None:
    """The hourly reconciliation; None when it is not due, or another worker is at it.

    When its time is over, it stops after a page, and the next worker continues.
    """
    store = platform.environment.reconciliation_store(platform.row)
    if not store.take():
        return None
    try:
        return reconcile(platform, deadline=deadline)
    except WeChatOpenError as error:
        if not policy.was_asked(error):  # it is due again at once
            store.pause()
        raise


def reconcile_soon(platform: Platform) -> bool:
    """Make a reconciliation due; False when one is running, or is due within minutes anyway."""
    return platform.environment.reconciliation_store(platform.row).request()


def reconcile(
    platform: Platform,
    progress: Callable[[int, int], object] | None = None,
    *,
    deadline: Deadline = NO_DEADLINE,
) -> ReconciliationReport:
    """Read the list now and repair every difference. One that was killed within the last half hour is continued.

    ``progress`` is called after each page with how many accounts were compared, and of how many.
    """
    reconciliation = _Reconciliation(platform, deadline)
    reconciliation.run(progress)
    report = reconciliation.report
    if report.skipped:
        logger.warning(
            "WeChat's list for platform %r has %d entries without a usable appid, auth_time or refresh_token: %s",
            platform.alias,
            len(report.skipped),
            ", ".join(appid or "(no appid)" for appid in report.skipped[:NAMED]),
        )
    if report.failed:
        logger.error(
            "%d accounts of platform %r could not be compared with WeChat's list: %s",
            len(report.failed),
            platform.alias,
            ", ".join(report.failed[:NAMED]),
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


class _Reconciliation:
    """One comparison, page by page."""

    def __init__(self, platform: Platform, deadline: Deadline) -> None:
        self.platform = platform
        self.deadline = deadline
        self.environment = platform.environment
        self.store = platform.environment.reconciliation_store(platform.row)
        self.report = ReconciliationReport()
        self.seen: set[str] = set()
        self.offset = 0
        self.started_at: datetime | None = None

    def run(self, progress: Callable[[int, int], object] | None) -> None:
        self._continue()
        for page, asked_at in self._pages():
            self.store.extend()
            found = self._compare(page, asked_at)
            self._record(page, asked_at, found)
            if progress is not None:
                progress(len(self.seen), page.total_count)
            self.report.seen = len(self.seen)
            if self.deadline.passed and self.offset + page.received < page.total_count:
                self.store.pause()
                return
        self.store.forget_pages()
        if self.report.complete:
            assert self.started_at is not None
            self._check_missing(self.started_at)
            self.store.finish(self.report.differences, EVERY)

    # -- page by page --------------------------------------------------------------------------------------------------

    def _continue(self) -> None:
        """Go on where a comparison was killed."""
        for page in self.store.pages(CONTINUED_WITHIN):
            if page.offset != self.offset:
                break
            self.seen.update(page.appids)
            self.report.add(page.found)
            self.offset = page.next_offset
            self.started_at = min(self.started_at or page.started_at, page.started_at)
        if self.offset:
            logger.info("The comparison of platform %r continues at %d.", self.platform.alias, self.offset)
        else:
            self.store.forget_pages()

    def _pages(self) -> Iterator[tuple[ListPage, datetime]]:
        """Page after page, with the time before it was requested; ``complete`` at the end of the list."""
        while True:
            asked_at = self.store.now()
            self.started_at = self.started_at or asked_at
            page = as_component(self.platform, authorizer_list(self.platform, self.offset))
            yield page, asked_at
            self.offset += page.received
            if self.offset >= page.total_count:
                self.report.complete = True
                return
            if not page.received:  # fewer than WeChat said: an absent account proves nothing
                return

    def _record(self, page: ListPage, asked_at: datetime, found: ReconciliationReport) -> None:
        """Keep how far the comparison is, unless this was the last page."""
        appids = [entry.appid for entry in page.authorizers] + [appid for appid in page.skipped if appid]
        self.seen.update(appids)
        self.report.add(found.lists())
        if page.received and self.offset + page.received < page.total_count:
            self.store.record_page(
                ComparedPage(
                    component=self.platform.row,
                    started_at=self.started_at or asked_at,
                    offset=self.offset,
                    next_offset=self.offset + page.received,
                    appids=appids,
                    found=found.lists(),
                )
            )

    def _compare(self, page: ListPage, asked_at: datetime) -> ReconciliationReport:
        # Of an account that is listed twice the newest entry counts: an older one would bring its old token back.
        newest = {entry.appid: entry for entry in sorted(page.authorizers, key=lambda entry: entry.authorized_at)}
        listed = [replace(entry, authorized_at=min(entry.authorized_at, asked_at + AHEAD)) for entry in newest.values()]
        found = ReconciliationReport(skipped=list(page.skipped))
        rows = self.store.rows([entry.appid for entry in listed])
        self._create([entry for entry in listed if entry.appid not in rows], found)
        self.store.mark_listed(list(rows))
        for entry in listed:
            if row := rows.get(entry.appid):
                self._alone(entry.appid, found, partial(self._repair, row, entry, asked_at, found))
        return found

    def _create(self, unknown: Sequence[Listed], found: ReconciliationReport) -> None:
        """All at once; one by one where the database refuses an entry."""
        if not unknown:
            return
        failed = ReconciliationReport()
        self._alone("", failed, partial(self.store.create, unknown))
        if not failed.failed:
            found.created += [entry.appid for entry in unknown]
        elif len(unknown) == 1:
            found.failed.append(unknown[0].appid)
        else:
            for entry in unknown:
                self._create([entry], found)

    def _repair(self, row: Authorizer, entry: Listed, asked_at: datetime, found: ReconciliationReport) -> None:
        """Bring one row to what WeChat has, unless it changed after the list was asked for."""
        difference = comparison.compare(_account(row), entry, asked_at)
        if difference is Difference.TIME:
            self.store.date(row, entry.authorized_at)
        elif difference is Difference.LOST:
            self._try_lost(row, entry, found)
        elif difference is Difference.FALLBACK:
            if self.store.add_fallback(row, entry.refresh_token):
                found.repaired.append(row.appid)
        elif difference in (Difference.GRANT, Difference.GRANT_IN_USE):
            if self.store.take_grant(row, entry, in_use=difference is Difference.GRANT_IN_USE):
                self._forget_token(row)
                found.repaired.append(row.appid)
        elif difference in (Difference.ENDED, Difference.ENDED_SINCE):
            listed_rightly = difference is Difference.ENDED or self._still_authorized(row.appid)
            if listed_rightly and self.store.restore(row, entry):
                found.restored.append(row.appid)

    def _try_lost(self, row: Authorizer, entry: Listed, found: ReconciliationReport) -> None:
        """An account that needs its owner may have been so by mistake: try again whether WeChat takes a token of it."""
        self.store.extend()
        self.store.record_try(row)
        try:
            if ask_again(self.platform, row, entry.refresh_token):
                found.restored.append(row.appid)
        except (RefreshTokenRefused, NotAuthorized) as error:
            logger.info("Account %s is on WeChat's list, and still needs its owner: %s", row.appid, error)

    # -- what is not on the list ---------------------------------------------------------------------------------------

    def _check_missing(self, started_at: datetime) -> None:
        """Withdraw accounts that are authorized here and not listed by WeChat. One list alone proves nothing."""
        absent = [(pk, appid) for pk, appid in self.store.authorized_before(started_at) if appid not in self.seen]
        for some in _batches([pk for pk, _appid in absent], AT_ONCE):
            self.store.mark_missing(some)
        total = self.store.count_authorized()
        brake = policy.brake(len(absent), total, self.environment.limits)
        if brake is Brake.ON:
            logger.error("%d accounts are missing from WeChat's list at once; nothing is changed.", len(absent))
            self.environment.component_store(self.platform.row).record_brake()
            return
        proven = brake is Brake.OFF and len(absent) < total
        for row in self.store.missing_for(MISSING_FOR if proven else MISSING_FOR_LONGER):
            if row.appid not in self.seen:
                self._alone(row.appid, self.report, partial(self._withdraw, row))

    def _withdraw(self, row: Authorizer) -> None:
        if not self._still_authorized(row.appid) and self.store.withdraw(row):
            self._forget_token(row)
            self.report.withdrawn.append(row.appid)

    # ------------------------------------------------------------------------------------------------------------------

    def _alone(self, appid: str, found: ReconciliationReport, work: Callable[[], object]) -> None:
        """Do what concerns one account. What only this account causes is logged, and the others are compared."""
        try:
            work()
        except Exception as error:
            if self.deadline.passed or not is_of_row(error):  # interrupted, or the next would fare no better
                raise
            if isinstance(error, WeChatOpenError) and policy.fault_of(error) is Fault.PLATFORM:
                raise
            log_failure(error, "Account %s could not be compared with WeChat's list", appid)
            found.failed.append(appid)

    def _still_authorized(self, appid: str) -> bool:
        try:
            as_component(self.platform, authorizer_info(self.platform, appid))
        except NotAuthorized:
            return False
        except Unreachable as error:  # no answer proves nothing, and the other accounts are checked
            logger.warning("Whether account %s is still authorized could not be read: %s", appid, error)
        return True

    def _forget_token(self, row: Authorizer) -> None:
        self.environment.cache.forget(f"{self.platform.appid}:{row.appid}")


def _account(row: Authorizer) -> comparison.Account:
    """The row's values; a token that cannot be decrypted is as good as none."""
    return comparison.Account(
        state=row.state,
        granted_at=row.grant_changed_at,
        obtained_at=row.access_token_obtained_at,
        leased=row.leased_until is not None and row.leased_until > row.read_at,  # type: ignore[attr-defined]
        refresh_token=decrypted(row, "refresh_token")[0],
        previous_refresh_token=decrypted(row, "previous_refresh_token")[0],
        refused_since=row.refused_since,
        failed_at=row.last_failed_at,
    )


def _batches(items: Iterable[Any], size: int) -> Iterator[list[Any]]:
    rest = iter(items)
    while batch := list(islice(rest, size)):
        yield batch

"""A bulk job runs one operation on thousands of rows, slice by slice, in the worker that holds its lease.

After each row the job records its position. When a worker dies, its lease ends after a while and the next worker
continues: no row is left out, and at most the row in hand is done twice, so every operation is idempotent.

When a platform itself is at fault, its rows are set aside: moved behind all others, in the one write that also records
how many they are and why. The job stops before them, and can continue with them later.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable
from datetime import timedelta
from hashlib import sha256
from typing import Any

from django.db import Error as AnyDatabaseError
from django.db import router, transaction
from django.db.models import F
from django.utils import translation

from .. import audit, broker
from ..conf import conf
from ..db import clock
from ..db.fields import is_damaged
from ..db.leases import Lease, unchanged
from ..db.rows import is_of_row
from ..exceptions import (
    APIError,
    PlatformFault,
    QuotaExceeded,
    TicketMissing,
    TicketRefused,
    TokenUnavailable,
    Unreachable,
    WeChatOpenError,
)
from ..models import BulkFailure, BulkJob, Component
from ..ports import TIMING, Timing
from ..rounds import NO_DEADLINE, Deadline, delete, each
from ..text import TranslatableText, dumps, pgettext
from ..text import TranslatableText as _
from ..tokens.renewals import Limiter
from . import registry
from .registry import Operation

logger = logging.getLogger(__name__)

SLICE = 10
"""Seconds that a worker spends on a job before it takes other work: renewals must not wait for long."""

LEASE = Lease("leased_until", timedelta(minutes=2))
"""How long a job waits for a worker that died. Extended after each row."""

SHARE = 0.5
"""A job calls WeChat at most this often, as a share of what renewals may."""

SAME_FAULT = 20
"""After so many consecutive rows for which WeChat could not be reached, the rest of the platform is set aside."""

AT_ONCE = 500
"""So many keys are named in one query."""

KEPT = timedelta(days=90)
"""How long a job that has ended can be looked up."""

RETRY_OF = "retry_of"
"""Among a job's arguments: the number of the job whose failures it tries again."""


def start(
    operation: Operation,
    targets: Iterable[int],
    *,
    user: Any,
    arguments: dict[str, Any] | None = None,
    wake: bool = True,
) -> BulkJob:
    """Have workers run it on these rows, given by primary keys.

    With ``wake=False`` the caller continues with ``run`` itself; if it dies, workers find the job all the same.
    """
    keys = list(targets)
    job = BulkJob.objects.create(
        action=operation.name,
        user_id=user.pk if user else None,
        actor=audit.name_of(user) if user else audit.COMMAND_LINE,
        language=translation.get_language() or "",
        targets=keys,
        total=len(keys),
        arguments=arguments or {},
        created_at=clock.now(),
    )
    job.refresh_from_db(fields=["created_at"])
    _record(audit.Kind.BULK_STARTED, job, user)
    if wake:
        _wake(job.pk)
    return job


def stop(job: BulkJob, user: Any) -> bool:
    """Stop it before the next row; False when nothing was left to stop. The row in hand is finished first."""
    if not BulkJob.objects.filter(pk=job.pk, finished_at=None, stopped_at=None).update(stopped_at=clock.now()):
        return False
    BulkJob.objects.filter(LEASE.free(), pk=job.pk, finished_at=None).update(finished_at=clock.now())
    _record(audit.Kind.BULK_STOPPED, job, user)
    return True


def resume(job: BulkJob, user: Any) -> bool:
    """Continue with the rows that a stopped job has left; False when there are none, or it was not stopped."""
    stopped = BulkJob.objects.filter(pk=job.pk, finished_at__isnull=False, stopped_at__isnull=False)
    if not stopped.filter(position__lt=F("total")).update(finished_at=None, stopped_at=None, reason={}):
        return False
    _record(audit.Kind.BULK_STARTED, job, user)
    _wake(job.pk)
    return True


def retry(job: BulkJob, user: Any, reason: str = "") -> BulkJob | None:
    """A new job for all failures of an ended one, or for those with this reason; None when there are none."""
    operation = registry.get(job.action)
    if job.finished_at is None or operation is None:
        return None
    rows = job.failures.filter(reason=reason) if reason else job.failures.all()
    keys = list(rows.order_by("pk").values_list("key", flat=True))
    return start(operation, keys, user=user, arguments={**job.arguments, RETRY_OF: job.pk}) if keys else None


def run(job_pk: int, seconds: float = SLICE, timing: Timing = TIMING) -> bool:
    """Run a slice of a job, unless another worker holds it; True when rows are left for the next slice."""
    return _run(job_pk, Deadline.after(seconds, timing.monotonic), timing)


def run_open(deadline: Deadline | None = None) -> int:
    """Continue the jobs that no worker holds, the oldest first; returns how many rows were done.

    By default, for the time of a slice.
    """
    deadline = deadline or Deadline.after(SLICE)
    free = BulkJob.objects.filter(LEASE.free(), finished_at=None).order_by("created_at")
    positions = dict(free.values_list("pk", "position"))

    def continue_one(job_pk: int) -> int:
        _run(job_pk, deadline, TIMING)
        now: int = BulkJob.objects.values_list("position", flat=True).get(pk=job_pk)
        return now - positions[job_pk]

    return each(positions, continue_one, deadline, what="Bulk action #%s could not go on")


def _run(job_pk: int, deadline: Deadline, timing: Timing) -> bool:
    """A slice, until the deadline.

    A job of an operation that this release does not have is left to the workers of a newer one.
    """
    open_jobs = BulkJob.objects.filter(finished_at=None, action__in=registry.names())
    job = LEASE.take_one(open_jobs.select_related("user"), job_pk)
    operation = registry.get(job.action) if job else None
    if job is None or operation is None:
        return False
    with translation.override(job.language or None):
        left = _Slice(job, operation, deadline, timing).run()
    if left:
        _wake(job.pk)
    return left


def prune(deadline: Deadline = NO_DEADLINE) -> int:
    """Delete the jobs that ended long ago; returns how many."""
    return delete(BulkJob.objects.filter(finished_at__lt=clock.now() - KEPT), deadline)


def rows_set_aside(job: BulkJob) -> int:
    """How many of its rows, the last ones, wait because their platforms are at fault."""
    aside = job.reason.get("aside", 0)
    return min(max(0, aside), job.total) if isinstance(aside, int) else 0


def _wake(job_pk: int) -> None:
    """Wake a worker once the row can be seen. If the message is lost, beat wakes one a little later."""
    database = router.db_for_write(BulkJob)
    transaction.on_commit(lambda: broker.send_task("wechat_open.tasks.run_bulk_job", job_pk), using=database)


def _record(kind: str, job: BulkJob, user: Any) -> None:
    """The job in the audit trail, of the platform that its first row belongs to."""
    operation = registry.get(job.action)
    rows = operation.model.objects.select_related("component").filter(pk__in=job.targets[:1]) if operation else None
    first = rows.first() if rows is not None else None
    component = first.component if first is not None else Component.objects.order_by("pk").first()
    if component is not None:
        audit.record(kind, component, user=user, detail=_summary(job))


def _summary(job: BulkJob) -> str:
    operation = registry.get(job.action)
    action = operation.title if operation else job.action
    return pgettext("wechat_open", "%(action)s (%(total)d) #%(job)d", action=action, total=job.total, job=job.pk)


class _PlatformAtFault(Exception):
    """A row was not done, for a reason that is not its own."""

    def __init__(self, component: Component, error: WeChatOpenError) -> None:
        super().__init__(str(error))
        self.component, self.error = component, error


class _Slice:
    """The part of a job that one worker does under its lease."""

    def __init__(self, job: BulkJob, operation: Operation, deadline: Deadline, timing: Timing) -> None:
        self.job = job
        self.operation = operation
        self.deadline = deadline
        self.timing = timing
        self.unreached: Counter[int] = Counter()
        """Consecutive rows of each platform for which WeChat could not be reached."""

    def run(self) -> bool:
        """Row after row, one at least; True when the time is over and rows are left."""
        job = self.job
        begun_at = job.position
        if is_damaged(job.targets) or len(job.targets) < job.total:
            self._end_without_rows()
            return False
        limiter = Limiter(conf.renewals_per_second * SHARE, self.timing)
        while job.stopped_at is None and job.position < job.total - rows_set_aside(job):
            if self.deadline.passed and job.position > begun_at:
                return LEASE.release(unchanged(job))
            limiter.wait()
            try:
                going = self._keep(self._do(job.targets[job.position]))
            except _PlatformAtFault as fault:  # its next row would fare no better
                going = self._set_aside(fault.component, fault.error)
            if not going:
                return False
        by_itself = {"stopped_at": clock.now()} if job.stopped_at is None and rows_set_aside(job) else {}
        LEASE.release(unchanged(job), **self._ended(), **by_itself)
        return False

    def _do(self, key: int) -> BulkFailure | None:
        """One row; what went wrong with it, or None. Raises _PlatformAtFault."""
        name = f"#{key}"
        try:
            row = self.operation.model.objects.select_related("component").filter(pk=key).first()
            if row is None:
                return None if self.operation.deletes else self._failure(key, name, _("This record no longer exists."))
            name = str(row)
            return self._execute(key, row, name)
        except AnyDatabaseError as error:
            if not is_of_row(error):
                raise  # the database is away: the lease ends, and another worker continues with this row
            logger.exception("The database refused what the operation %s did with %s.", self.job.action, name)
            return self._failure(key, name, _unexpected(error))
        except _PlatformAtFault:
            raise
        except Exception as error:
            logger.exception("The operation %s failed unexpectedly for %s.", self.job.action, name)
            return self._failure(key, name, _unexpected(error))

    def _execute(self, key: int, row: Any, name: str) -> BulkFailure | None:
        try:
            self.operation.execute(row, user=self.job.user, actor=self.job.actor, job=self.job.pk)
        except (PlatformFault, QuotaExceeded, TicketMissing, TicketRefused) as error:
            raise _PlatformAtFault(row.component, error) from error
        except WeChatOpenError as error:
            unreached = isinstance(error, (TokenUnavailable, Unreachable))
            self.unreached[row.component_id] = self.unreached[row.component_id] + 1 if unreached else 0
            if self.unreached[row.component_id] >= SAME_FAULT:
                raise _PlatformAtFault(row.component, error) from error
            return self._failure(key, name, error.text, error)
        del self.unreached[row.component_id]
        return None

    def _end_without_rows(self) -> None:
        """Which rows are left is not known any more, so none can be done, now or later."""
        error = _("The list of its rows was damaged: start the action again for the rows that are not done yet.")
        logger.error("Bulk action #%s was ended: the list of its rows is damaged.", self.job.pk)
        ended = {"finished_at": clock.now(), "stopped_at": clock.now(), "reason": {"message": dumps(error)}}
        LEASE.release(unchanged(self.job), **ended)

    def _failure(self, key: int, name: str, message: str, error: WeChatOpenError | None = None) -> BulkFailure:
        return BulkFailure(
            job=self.job,
            key=key,
            name=name[:400],
            reason=_reason(message, error),
            errcode=error.errcode if isinstance(error, APIError) else None,
            rid=error.rid[:64] if isinstance(error, APIError) else "",
            message=message,
        )

    def _keep(self, failure: BulkFailure | None) -> bool:
        """Record that a row is done, and its failure with it; False when the job is to end."""
        job = self.job
        job.position += 1
        changes: dict[str, Any] = {"position": job.position}
        if failure is None:
            job.done += 1
            changes["done"] = job.done
        else:
            job.failed += 1
            changes["failed"] = job.failed
        return self._write(changes, failure)

    def _set_aside(self, component: Component, error: WeChatOpenError) -> bool:
        """Move the platform's rows that are left behind all others; False when the job is not to go on.

        One write for all of them: a worker that is killed leaves no row out, and the platform is not asked again for
        each.
        """
        job = self.job
        end = job.total - rows_set_aside(job)
        ahead = job.targets[job.position : end]
        theirs = {ahead[0]}
        for place in range(0, len(ahead), AT_ONCE):
            some = self.operation.model.objects.filter(component=component, pk__in=ahead[place : place + AT_ONCE])
            theirs.update(some.values_list("pk", flat=True))
        waiting = [key for key in ahead if key in theirs]
        job.targets[job.position :] = [*(key for key in ahead if key not in theirs), *job.targets[end:], *waiting]
        job.reason = {**_described(error), "aside": job.total - end + len(waiting)}
        if not self._write({"targets": job.targets, "reason": job.reason}):
            return False
        detail = pgettext("wechat_open", "%(what)s: %(error)s", what=_summary(job), error=error.text)
        audit.record(audit.Kind.BULK_STOPPED, component, actor=job.actor, error=error, detail=detail)
        return True

    def _write(self, changes: dict[str, Any], failure: BulkFailure | None = None) -> bool:
        """Under our lease, which is extended; False when the job was stopped, or is no longer ours.

        A failure is written in the same transaction: it is there as soon as the job counts it, and once.
        """
        mine = unchanged(self.job)
        with transaction.atomic(using=router.db_for_write(BulkJob)):
            going = LEASE.extend(mine.filter(stopped_at=None), **changes)
            ours = going or LEASE.release(mine, **{**changes, **self._ended()})  # asked to stop meanwhile
            if ours and failure is not None:
                failure.save(force_insert=True)
        return going

    def _ended(self) -> dict[str, Any]:
        """The columns of a job of which nothing more is done; only one with rows left needs its keys."""
        ended: dict[str, Any] = {"finished_at": clock.now()}
        return ended if self.job.position < self.job.total else {**ended, "targets": []}


def _unexpected(error: Exception) -> TranslatableText:
    """Its class only: the text of an unknown error may hold a secret."""
    return _("%(error)s: see the log", error=type(error).__name__)


def _reason(message: str, error: WeChatOpenError | None) -> str:
    """Equal for failures of one kind: WeChat's errcode, or the text without the names that stand in it."""
    if isinstance(error, APIError):
        return str(error.errcode)
    return sha256(_template(message).encode()).hexdigest()


def _template(text: str) -> str:
    """The template of a text with the templates of the texts within it, and the numbers, which are WeChat's."""
    if not isinstance(text, TranslatableText):
        return text
    inner = [_template(value) for value in text.values.values() if isinstance(value, TranslatableText)]
    numbers = [str(value) for value in text.values.values() if isinstance(value, int)]
    return "\n".join([text.msgid, *numbers, *inner])


def _described(error: WeChatOpenError) -> dict[str, Any]:
    """An error as a job's page shows it, with its meaning in the reader's language."""
    message = {"message": dumps(error.text)}
    return {**message, "errcode": error.errcode, "rid": error.rid} if isinstance(error, APIError) else message

"""How is one thing done to thousands of rows?

An operator's action is a ``Deed``: done to one row by ``act``, which writes down who did it and what came of it, or to
many by a ``BulkJob``. A job is done slice by slice by whoever claims it; after each row it notes how far it came. A
worker that dies loses its claim after a while and the next one goes on: no row is left out, and at most the row in hand
is done twice, which every deed bears.

When a platform itself is at fault, its rows are set aside: moved behind all others, in the one write that also notes
how many they are and why. The job stops before them, and can go on with them later.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from typing import Any

from django.db import DataError, IntegrityError, ProgrammingError, router, transaction
from django.db import Error as DatabaseTrouble
from django.db.models import F, Q
from django.utils import translation

from . import authorization, clock, doorbell, inbox, journal, signals, tokens
from .component import platform_of
from .conf import conf
from .exceptions import (
    APIError,
    PlatformFault,
    QuotaExceeded,
    TicketMissing,
    TicketRefused,
    TokenUnavailable,
    Unreachable,
    WeChatOpenError,
)
from .models import AuthorizationLink, Authorizer, BulkFailure, BulkJob, Component, Push
from .sentence import Sentence, dumps, pgettext
from .sentence import Sentence as _
from .tokens.dispatch import Limiter
from .tokens.world import WORLD, World

logger = logging.getLogger(__name__)

Action = BulkJob.Action

SLICE = 10.0
"""Seconds that a worker spends on a job before it looks for other work: renewals must not wait for long."""

LEASE = timedelta(minutes=2)
"""How long a job waits for a worker that died. Moved on after each row."""

SHARE = 0.5
"""A job calls WeChat at most this often, as a share of what renewals may."""

SAME_TROUBLE = 20
"""After so many rows in a row for which WeChat could not be asked at all, the platform's rest would fare no better."""

AT_ONCE = 500
"""So many keys are named in one query."""

KEPT = timedelta(days=90)
"""How long a job that has ended can be looked up."""

AGAIN = "again"
"""Among a job's arguments: the number of the job whose failures it tries again."""

ASKED_FOR = timedelta(days=7)
"""How long an owner who was asked to authorize again can open the link."""


# -- deeds -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Deed:
    """What is done to one row of ``model``, which permission it takes, and what the journal calls it."""

    model: type[Any]
    permission: str
    kind: journal.Kind
    do: Callable[[Any, Any], Any]


def _refresh(account: Authorizer, user: Any) -> None:
    tokens.refresh_now(account)


def _sync(account: Authorizer, user: Any) -> None:
    authorization.sync_profile(account)


def _reconcile(account: Authorizer, user: Any) -> None:
    if tokens.reconcile_account(account):
        authorization.announce(account)


def _ask(account: Authorizer, user: Any) -> AuthorizationLink:
    """A link for this account only, for the tenant that brought it; the site hears of it and may send it."""
    before = account.granted_through
    link = authorization.begin(
        user=user,
        biz_appid=account.appid,
        auth_type="all",
        payload=before.payload if before else {},
        component=platform_of(account.component).alias,
        expires_in=ASKED_FOR,
    )
    signals.announce(signals.authorizer_needs_attention, Authorizer, authorizer=account, reason="asked", link=link)
    return link


def _forget(account: Authorizer, user: Any) -> None:
    """Only when its owner has left: the next sweep would bring any other one back.

    Locked before it is deleted: Django deletes by the key, whatever has become of the state, and a new grant that is
    written at this moment would go with it.
    """
    with transaction.atomic(using=router.db_for_write(Authorizer)):
        gone = Authorizer.objects.select_for_update().filter(pk=account.pk, state=Authorizer.State.UNAUTHORIZED).first()
        if gone is None:
            raise WeChatOpenError(_("Its owner has not taken the authorization back; WeChat would list it again."))
        gone.delete()


def _replay(push: Push, user: Any) -> None:
    """Its failure as an exception, for the operator."""
    inbox.replay(push)
    push.refresh_from_db()
    if push.error:
        raise WeChatOpenError(_("It failed again: %(error)s", error=push.error))


DEEDS: dict[str, Deed] = {
    Action.REFRESH: Deed(Authorizer, "refresh_account", journal.Kind.REFRESHED, _refresh),
    Action.SYNC: Deed(Authorizer, "sync_account", journal.Kind.SYNCED, _sync),
    Action.RECONCILE: Deed(Authorizer, "reconcile_account", journal.Kind.RECONCILED, _reconcile),
    Action.ASK: Deed(Authorizer, "ask_account", journal.Kind.ASKED, _ask),
    Action.FORGET: Deed(Authorizer, "forget_account", journal.Kind.FORGOTTEN, _forget),
    Action.REPLAY: Deed(Push, "replay_push", journal.Kind.REPLAYED, _replay),
}


def act(action: str, row: Any, *, user: Any = None, actor: str = "", job: int = 0) -> Any:
    """Do it to one row, and write down who did it and what came of it. Returns and raises what the deed does.

    ``job`` is the number of the bulk action that has it done.
    """
    deed = DEEDS[action]
    whose: dict[str, Any] = (
        {"appid": row.authorizer_appid, "detail": row.info_type} if isinstance(row, Push) else {"account": row}
    )
    try:
        result = deed.do(row, user)
    except WeChatOpenError as error:
        said = {**whose, "detail": error.said}
        journal.note(deed.kind, row.component, user=user, actor=actor, error=error, job=job, **said)
        raise
    journal.note(deed.kind, row.component, user=user, actor=actor, job=job, **whose)
    return result


# -- jobs --------------------------------------------------------------------------------------------------------------


def start(
    action: str, targets: Iterable[int], *, user: Any, arguments: dict[str, Any] | None = None, wake: bool = True
) -> BulkJob:
    """Have workers do it to these rows, given by primary keys; the job, which tells how far they are.

    With ``wake=False`` the caller goes on with ``run`` itself; should it die, workers find the job all the same.
    """
    keys = list(targets)
    job = BulkJob.objects.create(
        action=Action(action),
        user_id=user.pk if user else None,
        actor=journal.name_of(user) if user else journal.COMMAND_LINE,
        language=translation.get_language() or "",
        targets=keys,
        total=len(keys),
        arguments=arguments or {},
        created_at=clock.now(),
    )
    job.refresh_from_db(fields=["created_at"])
    _note(journal.Kind.BULK_STARTED, job, user)
    if wake:
        _ring(job.pk)
    return job


def stop(job: BulkJob, user: Any) -> bool:
    """Have no further row done; False when nothing was left to stop. The row in hand is finished first."""
    if not BulkJob.objects.filter(pk=job.pk, finished_at=None, stopped_at=None).update(stopped_at=clock.now()):
        return False
    BulkJob.objects.filter(_free(), pk=job.pk, finished_at=None).update(finished_at=clock.now())
    _note(journal.Kind.BULK_STOPPED, job, user)
    return True


def go_on(job: BulkJob, user: Any) -> bool:
    """Do the rows that a stopped job has left; False when there are none, or it was not stopped."""
    stopped = BulkJob.objects.filter(pk=job.pk, finished_at__isnull=False, stopped_at__isnull=False)
    if not stopped.filter(position__lt=F("total")).update(finished_at=None, stopped_at=None, reason={}):
        return False
    _note(journal.Kind.BULK_STARTED, job, user)
    _ring(job.pk)
    return True


def again(job: BulkJob, user: Any, reason: str = "") -> BulkJob | None:
    """A new job for all failures of an ended one, or for those with this reason; None when there are none."""
    if job.finished_at is None:
        return None
    rows = job.failures.filter(reason=reason) if reason else job.failures.all()
    keys = list(rows.order_by("pk").values_list("key", flat=True))
    return start(job.action, keys, user=user, arguments={**job.arguments, AGAIN: job.pk}) if keys else None


def run(job_pk: int, seconds: float = SLICE, world: World = WORLD) -> bool:
    """Do a slice of a job, unless somebody is at it; True when more is left for the next ring."""
    job = _claim(job_pk)
    if job is None:
        return False
    with translation.override(job.language or None):
        left = _Slice(job, world).until(world.monotonic() + seconds)
    if left:
        _ring(job.pk)
    return left


def run_open(seconds: float = SLICE, world: World = WORLD) -> int:
    """Go on with the jobs that nobody is at, the oldest first; how many rows were done."""
    ends_at = world.monotonic() + seconds
    rows = 0
    for job in BulkJob.objects.filter(_free(), finished_at=None).order_by("created_at").values_list("pk", "position"):
        run(job[0], ends_at - world.monotonic(), world)
        rows += BulkJob.objects.values_list("position", flat=True).get(pk=job[0]) - job[1]
        if world.monotonic() >= ends_at:
            break
    return rows


def prune() -> int:
    """Delete the jobs that ended a season ago; how many."""
    return BulkJob.objects.filter(finished_at__lt=clock.now() - KEPT).delete()[0]


def aside(job: BulkJob) -> int:
    """How many of its rows, the last ones, wait because their platforms are at fault."""
    return int(job.reason.get("aside", 0))


def _free() -> Q:
    return Q(claimed_until__isnull=True) | Q(claimed_until__lte=clock.now())


def _claim(job_pk: int) -> BulkJob | None:
    """The job with its targets, to whoever comes first."""
    fence = BulkJob.objects.filter(pk=job_pk).values_list("fence", flat=True).first()
    if fence is None:
        return None
    mine = BulkJob.objects.filter(_free(), pk=job_pk, fence=fence, finished_at=None)
    if not mine.update(claimed_until=clock.now() + LEASE, fence=fence + 1):
        return None
    return BulkJob.objects.select_related("user").filter(pk=job_pk, fence=fence + 1).first()


def _ring(job_pk: int) -> None:
    """After the row can be seen; a lost ring is made good by the next one of beat."""
    database = router.db_for_write(BulkJob)
    transaction.on_commit(lambda: doorbell.ring("wechat_open.tasks.run_bulk_job", job_pk), using=database)


def _note(kind: journal.Kind, job: BulkJob, user: Any) -> None:
    """The job in the audit trail, of the platform that its first row belongs to."""
    first = DEEDS[job.action].model.objects.select_related("component").filter(pk__in=job.targets[:1]).first()
    component = first.component if first is not None else Component.objects.order_by("pk").first()
    if component is not None:
        journal.note(kind, component, user=user, detail=_told(job))


def _told(job: BulkJob) -> str:
    with translation.override("en"):
        action = Sentence(str(job.get_action_display()))
    action.context = "bulk"  # as in BulkJob.Action, where catalogues find the texts
    return pgettext("wechat_open", "%(action)s (%(total)d) #%(job)d", action=action, total=job.total, job=job.pk)


class _Slice:
    """What one worker does of a job under its claim."""

    def __init__(self, job: BulkJob, world: World) -> None:
        self.job = job
        self.world = world
        self.deed = DEEDS[job.action]
        self.unasked: Counter[int] = Counter()
        """Rows in a row for which WeChat could not be asked, of each platform."""

    def until(self, ends_at: float) -> bool:
        """Row after row, one at least; True when the time is over and rows are left."""
        job = self.job
        begun_at = job.position
        limiter = Limiter(conf.renewals_per_second * SHARE, self.world)
        while job.stopped_at is None and job.position < job.total - aside(job):
            if self.world.monotonic() >= ends_at and job.position > begun_at:
                return self._settle(claimed_until=None)
            limiter.wait()
            key = job.targets[job.position]
            row = self.deed.model.objects.select_related("component").filter(pk=key).first()
            try:
                going = self._keep(self._do(key, row))
            except WeChatOpenError as error:  # not this row's fault, and its platform's next would fare no better
                going = self._set_aside(row.component, error)
            if not going:
                return False
        by_itself = {"stopped_at": clock.now()} if job.stopped_at is None and aside(job) else {}
        self._settle(**self._ended(), **by_itself)
        return False

    def _do(self, key: int, row: Any) -> BulkFailure | None:
        """One row; what went wrong with it, or None. Raises when its platform is at fault."""
        if row is None:
            gone = self.job.action == Action.FORGET  # by us, before we were killed, or by another person
            return None if gone else self._failure(key, f"#{key}", _("This record no longer exists."))
        name = str(row)
        try:
            act(self.job.action, row, user=self.job.user, actor=self.job.actor, job=self.job.pk)
        except (PlatformFault, QuotaExceeded, TicketMissing, TicketRefused):
            raise
        except WeChatOpenError as error:
            unasked = isinstance(error, (TokenUnavailable, Unreachable))
            self.unasked[row.component_id] = self.unasked[row.component_id] + 1 if unasked else 0
            if self.unasked[row.component_id] >= SAME_TROUBLE:
                raise
            return self._failure(key, name, error.said, error)
        except DatabaseTrouble as error:
            if not isinstance(error, (DataError, IntegrityError, ProgrammingError)):
                raise  # the database is away: the claim ends, and another worker goes on with this row
            logger.exception("The database refused what %s did to %s.", self.job.action, name)
            return self._failure(key, name, _unexpected(error))
        except Exception as error:
            logger.exception("%s failed unexpectedly for %s.", self.job.action, name)
            return self._failure(key, name, _unexpected(error))
        del self.unasked[row.component_id]
        return None

    def _failure(self, key: int, name: str, said: str, error: WeChatOpenError | None = None) -> BulkFailure:
        return BulkFailure(
            job=self.job,
            key=key,
            name=name[:400],
            reason=_reason(said, error),
            errcode=error.errcode if isinstance(error, APIError) else None,
            rid=error.rid[:64] if isinstance(error, APIError) else "",
            said=said,
        )

    def _keep(self, failure: BulkFailure | None) -> bool:
        """Record that a row is done, and its failure with it; False when the job is not to go on."""
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
        end = job.total - aside(job)
        ahead = job.targets[job.position : end]
        theirs = {ahead[0]}
        for place in range(0, len(ahead), AT_ONCE):
            some = self.deed.model.objects.filter(component=component, pk__in=ahead[place : place + AT_ONCE])
            theirs.update(some.values_list("pk", flat=True))
        waiting = [key for key in ahead if key in theirs]
        job.targets[job.position :] = [*(key for key in ahead if key not in theirs), *job.targets[end:], *waiting]
        job.reason = {**_described(error), "aside": job.total - end + len(waiting)}
        if not self._write({"targets": job.targets, "reason": job.reason}):
            return False
        told = pgettext("wechat_open", "%(what)s: %(error)s", what=_told(job), error=error.said)
        journal.note(journal.Kind.BULK_STOPPED, component, actor=job.actor, error=error, detail=told)
        return True

    def _write(self, changes: dict[str, Any], failure: BulkFailure | None = None) -> bool:
        """Under our claim, which is moved on; False when the job was stopped, or is no longer ours.

        A failure is written in the same transaction: it is there as soon as the job counts it, and once.
        """
        mine = BulkJob.objects.filter(pk=self.job.pk, fence=self.job.fence)
        with transaction.atomic(using=router.db_for_write(BulkJob)):
            going = bool(mine.filter(stopped_at=None).update(**changes, claimed_until=clock.now() + LEASE))
            ours = going or bool(mine.update(**{**changes, **self._ended()}))  # asked to stop meanwhile
            if ours and failure is not None:
                failure.save(force_insert=True)
        return going

    def _ended(self) -> dict[str, Any]:
        """The columns of a job of which nothing more is done; only one with rows left needs its keys."""
        ended: dict[str, Any] = {"finished_at": clock.now(), "claimed_until": None}
        return ended if self.job.position < self.job.total else {**ended, "targets": []}

    def _settle(self, **changes: Any) -> bool:
        """End the claim; True when it was still ours."""
        mine = BulkJob.objects.filter(pk=self.job.pk, fence=self.job.fence)
        return bool(mine.update(fence=self.job.fence + 1, **changes))


def _unexpected(error: Exception) -> Sentence:
    """No more than its kind: what an unknown error says may hold anything."""
    return _("%(error)s: see the log", error=type(error).__name__)


def _reason(said: str, error: WeChatOpenError | None) -> str:
    """Equal for failures of one kind: WeChat's errcode, or the text without the names that stand in it."""
    if isinstance(error, APIError):
        return str(error.errcode)
    return sha256(_template(said).encode()).hexdigest()


def _template(said: str) -> str:
    """The template of a sentence with those of the sentences within it, and the numbers, which are WeChat's."""
    if not isinstance(said, Sentence):
        return said
    inner = [_template(value) for value in said.values.values() if isinstance(value, Sentence)]
    numbers = [str(value) for value in said.values.values() if isinstance(value, int)]
    return "\n".join([said.msgid, *numbers, *inner])


def _described(error: WeChatOpenError) -> dict[str, Any]:
    """An error as a job's page shows it: what it means is said in the reader's language."""
    said = {"said": dumps(error.said)}
    return {**said, "errcode": error.errcode, "rid": error.rid} if isinstance(error, APIError) else said

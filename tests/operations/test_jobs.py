"""Every row of a bulk job is done once, and a job ends when it should."""

from __future__ import annotations

import json
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import DataError, InterfaceError, OperationalError, connections, transaction
from django.utils import timezone
from django.utils.translation import get_language, override

from tests.stage import OFFICIAL, deliver
from wechat_open import broker, signals, tasks
from wechat_open.audit import Kind
from wechat_open.exceptions import PlatformFault, QuotaExceeded, TokenUnavailable, WeChatOpenError
from wechat_open.management.runner import Loop, all_jobs
from wechat_open.models import AuditEntry, AuthorizationLink, Authorizer, BulkFailure, BulkJob, Component, Push
from wechat_open.operations import jobs, registry
from wechat_open.operations.accounts import Ask, Forget, Reconcile, Refresh, Sync
from wechat_open.operations.pushes import Replay
from wechat_open.platforms import Platform
from wechat_open.rounds import NO_DEADLINE
from wechat_open.simulator import Simulator
from wechat_open.translation import translate

REFRESH = "/cgi-bin/component/api_authorizer_token"
INFO = "/cgi-bin/component/api_get_authorizer_info"

Shops = Callable[[int], list[Authorizer]]


@pytest.fixture
def operator(db: None) -> User:
    return User.objects.create_user("operator")


@pytest.fixture
def shops(wechat: Simulator, grant: Callable[..., Authorizer]) -> Shops:
    """Accounts that have authorized the platform."""

    def open_shops(count: int) -> list[Authorizer]:
        accounts = []
        for number in range(count):
            appid = f"wx{secrets.token_hex(8)}"
            wechat.engine.add_account(f"Shop {number}", "official", appid=appid)
            accounts.append(grant(appid))
        wechat.engine.calls.clear()
        return accounts

    return open_shops


@pytest.fixture
def sent_tasks(transactional_db: None, monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """The tasks that were sent, which happens when a transaction ends."""
    heard: list[tuple[Any, ...]] = []
    monkeypatch.setattr(broker, "send_task", lambda *what, **how: heard.append(what) or True)
    return heard


@pytest.fixture
def stranded(platform: Platform, settings: Any) -> list[Authorizer]:
    """Two accounts of a second platform, which has no ticket."""
    second = {**settings.WECHAT_OPEN["COMPONENTS"]["default"], "APPID": "wxsecond"}
    components = {**settings.WECHAT_OPEN["COMPONENTS"], "second": second}
    settings.WECHAT_OPEN = {**settings.WECHAT_OPEN, "COMPONENTS": components}
    row = Component.objects.create(appid="wxsecond")
    return [Authorizer.objects.create(component=row, appid=f"wxstranded{number}") for number in range(2)]


def keys(rows: list[Any]) -> list[int]:
    return [row.pk for row in rows]


def fresh(job: BulkJob) -> BulkJob:
    return BulkJob.objects.get(pk=job.pk)


def run_to_the_end(job: BulkJob) -> None:
    while jobs.run(job.pk):
        pass


# -- one row -----------------------------------------------------------------------------------------------------------


def test_refresh__renews_and_is_recorded_with_the_user(wechat: Simulator, account: Authorizer, operator: User) -> None:
    Refresh().execute(account, user=operator)

    assert wechat.engine.calls[REFRESH] == 1
    entry = AuditEntry.objects.filter(kind=Refresh.audit_kind).get()
    assert (entry.appid, entry.actor, entry.user, entry.ok) == (OFFICIAL, "operator", operator, True)


def test_failure__is_raised_and_recorded(wechat: Simulator, account: Authorizer, operator: User) -> None:
    wechat.faults.add("api_get_authorizer_info", "errcode", 61003)

    with pytest.raises(WeChatOpenError):
        Sync().execute(account, user=operator)

    entry = AuditEntry.objects.filter(kind=Sync.audit_kind).get()
    assert (entry.ok, entry.errcode, entry.actor) == (False, 61003, "operator")


def test_reconcile__asks_wechat_for_its_record_before_it_trusts_ours(wechat: Simulator, account: Authorizer) -> None:
    account.refresh_token = account.encrypt("refresh_token", "refreshtoken@@@stale")
    account.save()
    calls = wechat.engine.calls[INFO]

    Reconcile().execute(account)

    account.refresh_from_db()
    grant = wechat.engine.accounts[OFFICIAL].grant
    assert wechat.engine.calls[INFO] == calls + 1
    assert grant is not None and account.reveal("refresh_token").reveal() == grant.refresh_token


@pytest.mark.parametrize("state", [Authorizer.State.NEEDS_REAUTHORIZATION, Authorizer.State.UNAUTHORIZED])
def test_reconcile__takes_back_an_account_that_is_authorized_after_all(
    wechat: Simulator, account: Authorizer, state: str
) -> None:
    lost = {"access_token": "", "refresh_token": "", "previous_refresh_token": "", "announced_state": state}
    Authorizer.objects.update(state=state, needs_announcing=False, **lost)
    account.refresh_from_db()

    Reconcile().execute(account)

    account.refresh_from_db()
    grant = wechat.engine.accounts[OFFICIAL].grant
    assert account.state == Authorizer.State.AUTHORIZED
    assert grant is not None and account.reveal("refresh_token").reveal() == grant.refresh_token
    assert account.reveal("access_token")
    assert not account.needs_announcing, "the site has heard of it"


def test_reconcile__leaves_gone_what_wechat_calls_gone(wechat: Simulator, account: Authorizer) -> None:
    wechat.engine.unauthorize(OFFICIAL)
    Authorizer.objects.update(state=Authorizer.State.UNAUTHORIZED)
    account.refresh_from_db()

    Reconcile().execute(account)

    assert Authorizer.objects.get().state == Authorizer.State.UNAUTHORIZED
    assert AuditEntry.objects.filter(kind=Reconcile.audit_kind, ok=True).exists()


def test_reconcile__believes_no_token_that_does_not_work(wechat: Simulator, account: Authorizer) -> None:
    Authorizer.objects.update(state=Authorizer.State.NEEDS_REAUTHORIZATION)
    account.refresh_from_db()
    wechat.faults.add("api_authorizer_token", "errcode", 61023)

    with pytest.raises(WeChatOpenError):
        Reconcile().execute(account)

    assert Authorizer.objects.get().state == Authorizer.State.NEEDS_REAUTHORIZATION


def test_ask__makes_a_link_for_this_account_and_its_tenant_and_sends_the_signal(
    account: Authorizer, platform: Platform, operator: User
) -> None:
    first = AuthorizationLink(component=platform.row, key_digest="k", payload={"shop": 7})
    first.created_at = first.expires_at = timezone.now()
    first.save()
    Authorizer.objects.update(granted_through=first)
    heard: list[Any] = []

    def hear(sender: Any, **facts: Any) -> None:
        heard.append((facts["authorizer"].pk, facts["reason"], facts["link"].pk))

    signals.authorizer_needs_attention.connect(hear)
    try:
        link = Ask().execute(Authorizer.objects.get(), user=operator)
    finally:
        signals.authorizer_needs_attention.disconnect(hear)

    assert (link.biz_appid, link.payload, link.user) == (OFFICIAL, {"shop": 7}, operator)
    assert link.expires_at > timezone.now() + timedelta(days=6)
    assert heard == [(account.pk, "asked", link.pk)]


def test_forget__deletes_only_an_account_whose_owner_has_left(account: Authorizer, operator: User) -> None:
    with pytest.raises(WeChatOpenError, match="would list it again"):
        Forget().execute(account, user=operator)
    assert Authorizer.objects.exists()

    Authorizer.objects.update(state=Authorizer.State.UNAUTHORIZED)
    Forget().execute(Authorizer.objects.get(), user=operator)

    assert not Authorizer.objects.exists()
    assert AuditEntry.objects.get(kind=Forget.audit_kind, ok=True).appid == OFFICIAL


def test_forget__spares_an_account_that_is_authorized_again_at_that_moment(
    transactional_db: None, account: Authorizer, operator: User
) -> None:
    """Another connection has written the new grant, and commits it while we are at it."""
    Authorizer.objects.update(state=Authorizer.State.UNAUTHORIZED)
    account.refresh_from_db()
    written = threading.Event()

    def authorize_again() -> None:
        try:
            with transaction.atomic():
                Authorizer.objects.update(state=Authorizer.State.AUTHORIZED, grant_epoch=7)
                written.set()
                time.sleep(0.5)
        finally:
            connections.close_all()

    owner = threading.Thread(target=authorize_again)
    owner.start()
    try:
        assert written.wait(20)
        with pytest.raises(WeChatOpenError, match="would list it again"):
            Forget().execute(account, user=operator)
    finally:
        owner.join()

    assert Authorizer.objects.get().grant_epoch == 7
    assert not AuditEntry.objects.filter(kind=Forget.audit_kind, ok=True).exists()


def test_replay__processes_a_push_again(wechat: Simulator, platform: Platform, operator: User) -> None:
    push = deliver(platform, wechat.engine.authorize(OFFICIAL).push)  # type: ignore[arg-type]

    Replay().execute(Push.objects.select_related("component").get(pk=push.pk), user=operator)

    assert Push.objects.get().state == Push.State.DONE
    assert AuditEntry.objects.get(kind=Replay.audit_kind).appid == OFFICIAL


# -- a job -------------------------------------------------------------------------------------------------------------


def test_job__does_every_row_and_records_the_user(
    wechat: Simulator, shops: Shops, operator: User, sent_tasks: list[Any]
) -> None:
    accounts = shops(3)
    job = jobs.start(Refresh(), keys(accounts), user=operator)
    assert sent_tasks == [("wechat_open.tasks.run_bulk_job", job.pk)]

    tasks.run_bulk_job(job.pk)

    job = fresh(job)
    assert (job.position, job.done, job.failed, job.total) == (3, 3, 0, 3)
    assert job.finished_at and not job.leased_until
    assert wechat.engine.calls[REFRESH] == 3
    assert set(AuditEntry.objects.filter(kind=Refresh.audit_kind).values_list("actor", flat=True)) == {"operator"}
    assert AuditEntry.objects.get(kind=Kind.BULK_STARTED).user == operator


def test_job__is_started_by_people_who_sign_in_by_a_number(
    account: Authorizer, operator: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(User, "get_username", lambda user: 13800138000)

    assert fresh(jobs.start(Refresh(), [account.pk], user=operator)).actor == "13800138000"


def test_slice__ends_in_time_and_the_next_one_goes_on(
    wechat: Simulator, shops: Shops, operator: User, sent_tasks: list[Any]
) -> None:
    job = jobs.start(Refresh(), keys(shops(3)), user=operator)
    sent_tasks.clear()

    assert jobs.run(job.pk, seconds=0) is True
    assert sent_tasks == [("wechat_open.tasks.run_bulk_job", job.pk)]
    assert not fresh(job).leased_until

    assert jobs.run(job.pk) is False
    assert fresh(job).done == 3
    assert jobs.run(job.pk) is False
    assert wechat.engine.calls[REFRESH] == 3


def test_beat__goes_on_with_what_the_broker_lost(
    wechat: Simulator, shops: Shops, operator: User, sent_tasks: Any
) -> None:
    job = jobs.start(Refresh(), keys(shops(2)), user=operator)

    tasks.run_bulk_jobs()

    assert fresh(job).done == 2


def test_loop_without_celery__does_it_too(shops: Shops, operator: User) -> None:
    jobs.start(Refresh(), keys(shops(2)), user=operator)
    job = next(job for job in all_jobs(["default"]) if job.name == "run_bulk_jobs")

    assert job.work(NO_DEADLINE) == "rows of bulk actions: 2"
    assert job.work(NO_DEADLINE) == ""


def test_loop_without_celery__goes_on_at_once_while_rows_are_left(shops: Shops, operator: User) -> None:
    started = jobs.start(Refresh(), keys(shops(3)), user=operator)
    job = next(job for job in all_jobs(["default"]) if job.name == "run_bulk_jobs")
    job.limit = 0
    loop = Loop([job], say=len, complain=pytest.fail)
    rows = []
    for _turn in range(5):
        assert loop.once()
        assert not job.due_in(time.monotonic())
        rows.append(fresh(started).done)
    assert rows == [1, 2, 3, 3, 3]


@pytest.mark.parametrize("name", registry.names())
def test_started_job__stands_in_the_trail_in_the_readers_language(shops: Shops, operator: User, name: str) -> None:
    operation = registry.get(name)
    assert operation is not None
    job = jobs.start(operation, keys(shops(2)), user=operator)
    detail = AuditEntry.objects.get(kind=Kind.BULK_STARTED).detail
    assert detail == f"{operation.title} (2) #{job.pk}"
    with override("zh-hans"):
        assert translate(detail) == f"{job.get_action_display()}（2）#{job.pk}"
        assert not job.get_action_display().isascii()


def test_job_of_an_operation_that_no_class_has__is_left_alone_and_shown_by_its_stored_name(
    shops: Shops, operator: User
) -> None:
    job = jobs.start(Refresh(), keys(shops(1)), user=operator)
    BulkJob.objects.update(action="renamed")

    assert not jobs.run(job.pk)
    assert jobs.run_open() == 0

    job = fresh(job)
    assert (job.position, job.fence, str(job.get_action_display())) == (0, 0, "renamed")


def test_leased_job__is_left_to_its_worker_until_the_lease_ends(
    shops: Shops, operator: User, later: Callable[[timedelta], None]
) -> None:
    job = jobs.start(Refresh(), keys(shops(2)), user=operator)
    assert jobs.LEASE.take_one(BulkJob.objects.all(), job.pk) is not None

    assert jobs.run(job.pk) is False
    assert fresh(job).position == 0

    later(jobs.LEASE.length + timedelta(seconds=1))
    jobs.run_open()
    assert fresh(job).done == 2


def test_worker_that_was_thought_dead__writes_nothing_more(
    shops: Shops, operator: User, later: Callable[[timedelta], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It sleeps in the first row until its lease has ended and another worker has done everything."""
    job = jobs.start(Refresh(), keys(shops(3)), user=operator)
    execute, slept = Refresh.execute, []

    def execute_late(*what: Any, **how: Any) -> Any:
        if not slept:
            slept.append(True)
            later(jobs.LEASE.length + timedelta(seconds=1))
            jobs.run(job.pk)
        return execute(*what, **how)

    monkeypatch.setattr(Refresh, "execute", execute_late)
    jobs.run(job.pk)

    assert (fresh(job).position, fresh(job).done) == (3, 3)


def test_failures__are_collected_with_errcode_and_name_and_do_not_stop_it(
    wechat: Simulator, shops: Shops, operator: User
) -> None:
    accounts = shops(3)
    wechat.faults.add("api_get_authorizer_info", "errcode", 61003, appid=accounts[1].appid)
    job = jobs.start(Sync(), keys(accounts), user=operator)

    jobs.run(job.pk)

    job = fresh(job)
    assert (job.done, job.failed, job.position) == (2, 1, 3)
    failure = job.failures.get()
    assert failure.name == str(accounts[1])
    assert (failure.key, failure.errcode, failure.reason) == (accounts[1].pk, 61003, "61003")


def test_all_failures__are_kept_and_tried_again(operator: User, platform: Platform) -> None:
    row = platform.row
    accounts = [Authorizer(component=row, appid=f"wx{number}", nick_name=f"Shop {number}") for number in range(130)]
    Authorizer.objects.bulk_create(accounts)
    job = jobs.start(Forget(), keys(list(Authorizer.objects.order_by("pk"))), user=operator)
    run_to_the_end(job)
    assert (fresh(job).failed, fresh(job).failures.count()) == (130, 130)
    assert len(set(fresh(job).failures.values_list("reason", flat=True))) == 1

    again = jobs.retry(fresh(job), operator)

    assert again is not None
    assert again.targets == list(fresh(job).failures.order_by("pk").values_list("key", flat=True))
    assert again.arguments == {jobs.RETRY_OF: job.pk}


def test_failures__are_of_one_kind_whatever_names_stand_in_them(
    wechat: Simulator, shops: Shops, operator: User, platform: Platform
) -> None:
    """WeChat's refusals by their number, ours by their template, and a row that is gone by itself."""
    accounts = shops(4)
    wechat.faults.add("api_get_authorizer_info", "errcode", 61003, appid=accounts[0].appid)
    wechat.faults.add("api_get_authorizer_info", "errcode", 61003, appid=accounts[1].appid)
    wechat.faults.add("api_get_authorizer_info", "errcode", 48001, appid=accounts[2].appid)
    job = jobs.start(Sync(), [*keys(accounts), 10**6, 10**6 + 1], user=operator)

    run_to_the_end(job)

    reasons: dict[str, list[int]] = {}
    for failure in fresh(job).failures.order_by("pk"):
        reasons.setdefault(failure.reason, []).append(failure.key)
    one, two, three, _other = keys(accounts)
    gone = [10**6, 10**6 + 1]
    assert sorted(reasons.values()) == [[one, two], [three], gone]
    again = jobs.retry(fresh(job), operator, reason="61003")
    assert again is not None and again.targets == [one, two]
    assert jobs.retry(fresh(job), operator, reason="no such reason") is None


def test_failure__is_kept_once_when_the_job_is_done_twice_at_a_row(
    shops: Shops, operator: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that dies while it records a row leaves no failure that the next one would repeat."""
    job = jobs.start(Forget(), keys(shops(2)), user=operator)
    write = BulkFailure.save

    def killed(row: BulkFailure, *what: Any, **how: Any) -> None:
        write(row, *what, **how)
        raise SystemExit

    with monkeypatch.context() as patched:
        patched.setattr(BulkFailure, "save", killed)
        with pytest.raises(SystemExit):
            jobs.run(job.pk)
    assert (fresh(job).position, fresh(job).failures.count()) == (0, 0)
    BulkJob.objects.update(leased_until=None)

    jobs.run(job.pk)

    assert (fresh(job).failed, fresh(job).failures.count()) == (2, 2)


def test_rows__carry_the_number_of_their_bulk_action(shops: Shops, operator: User) -> None:
    job = jobs.start(Forget(), keys(shops(2)), user=operator)
    jobs.run(job.pk)
    assert [entry.job for entry in AuditEntry.objects.filter(kind=Forget.audit_kind)] == [job.pk, job.pk]
    assert AuditEntry.objects.get(kind=Kind.BULK_STARTED).job == 0


def test_messages__are_in_the_language_of_the_user_who_started_it(
    account: Authorizer, operator: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoken: list[str | None] = []
    monkeypatch.setattr(Refresh, "execute", lambda *what, **how: spoken.append(get_language()))
    with override("zh-hans"):
        job = jobs.start(Refresh(), [account.pk], user=operator)

    with override("en"):
        jobs.run(job.pk)
        assert get_language() == "en"

    assert spoken == ["zh-hans"]


def test_account_that_is_gone_already__counts_as_forgotten(operator: User, platform: Platform) -> None:
    job = jobs.start(Forget(), [10**6], user=operator)

    jobs.run(job.pk)

    assert (fresh(job).done, fresh(job).failed) == (1, 0)


def test_row_that_is_gone__is_a_failure(operator: User, platform: Platform) -> None:
    job = jobs.start(Refresh(), [10**6], user=operator)

    jobs.run(job.pk)

    failure = fresh(job).failures.get()
    assert (failure.key, failure.name, failure.message) == (10**6, "#1000000", "This record no longer exists.")


@pytest.mark.parametrize("errcode", [45009, 61004, 40164])
def test_fault_of_the_platform__stops_it_with_the_reason_and_it_can_go_on(
    wechat: Simulator, shops: Shops, operator: User, errcode: int, sent_tasks: list[Any]
) -> None:
    accounts = shops(3)
    wechat.faults.add("api_get_authorizer_info", "errcode", errcode, appid=accounts[1].appid)
    job = jobs.start(Sync(), keys(accounts), user=operator)
    jobs.run(job.pk)

    job = fresh(job)
    assert (job.position, job.done, job.failed) == (1, 1, 0)
    assert job.finished_at and job.stopped_at
    assert job.reason["errcode"] == errcode
    assert AuditEntry.objects.get(kind=Kind.BULK_STOPPED).errcode == errcode

    sent_tasks.clear()
    assert jobs.resume(job, operator)
    assert len(sent_tasks) == 1
    jobs.run(job.pk)
    assert (fresh(job).done, fresh(job).reason) == (3, {})


def test_wechat_out_of_reach__stops_it_after_some_rows(
    wechat: Simulator, shops: Shops, operator: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "SAME_FAULT", 3)
    wechat.faults.add("api_get_authorizer_info", "status", 502, times=100)
    job = jobs.start(Sync(), keys(shops(5)), user=operator)

    jobs.run(job.pk)

    job = fresh(job)
    assert (job.position, job.failed) == (2, 2)
    assert "no usable answer" in job.reason["message"]


def test_unexpected_error__is_one_failure_and_reveals_no_secret(
    shops: Shops, operator: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*what: Any, **how: Any) -> None:
        raise ValueError("canary-token")

    monkeypatch.setattr(Refresh, "execute", fail)
    job = jobs.start(Refresh(), keys(shops(1)), user=operator)

    jobs.run(job.pk)

    assert [failure.message for failure in fresh(job).failures.all()] == ["ValueError: see the log"]


@pytest.mark.parametrize(("error", "skipped"), [(OperationalError, False), (InterfaceError, False), (DataError, True)])
def test_database_that_fails__skips_no_row(
    shops: Shops,
    operator: User,
    monkeypatch: pytest.MonkeyPatch,
    later: Callable[[timedelta], None],
    error: type[Exception],
    skipped: bool,
) -> None:
    """A database that is away is waited for; a row that it refuses for what it is, is not tried for ever."""
    execute, failed = Refresh.execute, []

    def fail_once(*what: Any, **how: Any) -> Any:
        if not failed:
            failed.append(True)
            raise error("canary")
        return execute(*what, **how)

    monkeypatch.setattr(Refresh, "execute", fail_once)
    job = jobs.start(Refresh(), keys(shops(2)), user=operator)
    try:
        jobs.run(job.pk)
    except (OperationalError, InterfaceError):
        assert not skipped
    later(jobs.LEASE.length + timedelta(seconds=1))
    jobs.run_open()

    assert (fresh(job).done, fresh(job).failed) == ((1, 1) if skipped else (2, 0))


# -- stopping ----------------------------------------------------------------------------------------------------------


def test_stop__before_a_worker_began_ends_it(shops: Shops, operator: User) -> None:
    job = jobs.start(Refresh(), keys(shops(2)), user=operator)

    assert jobs.stop(job, operator)

    assert fresh(job).finished_at
    assert jobs.run(job.pk) is False
    assert fresh(job).position == 0
    assert not jobs.stop(job, operator)
    assert AuditEntry.objects.get(kind=Kind.BULK_STOPPED).user == operator


def test_stop__lets_the_row_in_hand_end(shops: Shops, operator: User, monkeypatch: pytest.MonkeyPatch) -> None:
    job = jobs.start(Refresh(), keys(shops(3)), user=operator)
    execute = Refresh.execute

    def execute_and_stop(*what: Any, **how: Any) -> Any:
        jobs.stop(job, operator)
        assert fresh(job).finished_at is None
        return execute(*what, **how)

    monkeypatch.setattr(Refresh, "execute", execute_and_stop)
    jobs.run(job.pk)

    job = fresh(job)
    assert (job.position, job.done) == (1, 1)
    assert job.finished_at and not job.leased_until
    assert jobs.resume(job, operator)


def test_finished_job__does_not_go_on(shops: Shops, operator: User) -> None:
    job = jobs.start(Refresh(), keys(shops(1)), user=operator)
    jobs.run(job.pk)

    assert not jobs.resume(job, operator)
    assert not jobs.stop(job, operator)


# -- several platforms -------------------------------------------------------------------------------------------------


class Troubles(dict[int, WeChatOpenError]):
    """What each platform's rows meet with, by its key; nothing where none is named. ``did`` are the rows done."""

    def __init__(self) -> None:
        self.did: list[int] = []

    def perform(self, account: Authorizer, user: Any) -> None:
        if error := self.get(account.component_id):
            raise error
        self.did.append(account.pk)


@pytest.fixture
def troubles(monkeypatch: pytest.MonkeyPatch) -> Troubles:
    troubles = Troubles()
    monkeypatch.setattr(Refresh, "perform", lambda operation, account, user: troubles.perform(account, user))
    return troubles


@pytest.fixture
def of_three(db: None) -> list[list[Authorizer]]:
    """Three accounts of each of three platforms."""
    return [
        [Authorizer.objects.create(component=component, appid=f"wx{component.pk}{number}") for number in range(3)]
        for component in [Component.objects.create(appid=f"wxplatform{number}") for number in range(3)]
    ]


def mixed(accounts: list[list[Authorizer]]) -> list[int]:
    """One of each platform, and again."""
    return [account.pk for row in zip(*accounts, strict=True) for account in row]


BAD_ADDRESS = PlatformFault(40164, "invalid ip")
NO_CALLS = QuotaExceeded(45009, "reach max api daily quota limit")


def test_one_platforms_fault__is_no_others(
    troubles: Troubles, of_three: list[list[Authorizer]], operator: User, sent_tasks: list[Any]
) -> None:
    first = of_three[0]
    troubles[first[0].component_id] = BAD_ADDRESS
    targets = mixed(of_three)
    job = jobs.start(Refresh(), targets, user=operator)

    jobs.run(job.pk)

    job = fresh(job)
    assert troubles.did == [key for key in targets if key not in keys(first)]
    assert (job.position, job.done, job.failed, job.total) == (6, 6, 0, 9)
    assert job.finished_at and job.stopped_at
    assert job.reason["errcode"] == 40164
    entry = AuditEntry.objects.get(kind=Kind.BULK_STOPPED)
    assert (entry.component_id, entry.errcode) == (first[0].component_id, 40164)

    troubles.clear()
    assert jobs.resume(job, operator)
    jobs.run(job.pk)

    job = fresh(job)
    assert troubles.did[6:] == keys(first)
    assert (job.position, job.done, job.failed, job.reason) == (9, 9, 0, {})
    assert not job.stopped_at


def test_every_platform_but_one_at_fault__leaves_that_one_its_rows_however_short_the_slices(
    troubles: Troubles, of_three: list[list[Authorizer]], operator: User, sent_tasks: list[Any]
) -> None:
    """A slice that ends after each row remembers nothing but what is in the database."""
    first, second, third = of_three
    troubles |= {first[0].component_id: BAD_ADDRESS, second[0].component_id: NO_CALLS}
    job = jobs.start(Refresh(), mixed(of_three), user=operator)

    slices = 0
    while jobs.run(job.pk, seconds=0.001):
        slices += 1
        assert slices < 20, "it goes round in circles"

    job = fresh(job)
    assert troubles.did == keys(third)
    assert (job.position, job.done, job.total) == (3, 3, 9)
    assert job.stopped_at
    stops = AuditEntry.objects.filter(kind=Kind.BULK_STOPPED).values_list("component_id", "errcode")
    assert sorted(stops) == [(first[0].component_id, 40164), (second[0].component_id, 45009)]

    del troubles[first[0].component_id]
    jobs.resume(job, operator)
    jobs.run(job.pk)

    assert troubles.did[3:] == keys(first)
    assert (fresh(job).position, fresh(job).reason["errcode"]) == (6, 45009)


def test_platform_without_a_ticket__does_not_stop_the_one_that_has_one(
    shops: Shops, stranded: list[Authorizer], operator: User
) -> None:
    job = jobs.start(Sync(), keys([*stranded, *shops(2)]), user=operator)

    jobs.run(job.pk)

    job = fresh(job)
    assert (job.position, job.done, job.failed) == (2, 2, 0)
    assert "ticket" in job.reason["message"]


def test_platform_that_cannot_be_asked__is_counted_for_itself(
    troubles: Troubles, of_three: list[list[Authorizer]], operator: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "SAME_FAULT", 2)
    troubles[of_three[0][0].component_id] = TokenUnavailable("There is no usable component token.")
    job = jobs.start(Refresh(), mixed(of_three), user=operator)

    jobs.run(job.pk)

    assert len(troubles.did) == 6
    assert (fresh(job).position, fresh(job).failed) == (7, 1), "the second of its rows set the rest aside"


def test_stop__while_rows_are_set_aside_keeps_them_all_for_later(
    troubles: Troubles, of_three: list[list[Authorizer]], operator: User, sent_tasks: list[Any]
) -> None:
    troubles[of_three[0][0].component_id] = BAD_ADDRESS
    job = jobs.start(Refresh(), mixed(of_three), user=operator)
    while fresh(job).position < 2:
        assert jobs.run(job.pk, seconds=0.001)
    jobs.stop(job, operator)

    troubles.clear()
    jobs.resume(job, operator)
    jobs.run(job.pk)

    assert sorted(troubles.did) == sorted(mixed(of_three))
    assert (fresh(job).position, fresh(job).done) == (9, 9)


def test_worker_that_was_thought_dead__sets_nothing_aside(
    troubles: Troubles,
    of_three: list[list[Authorizer]],
    operator: User,
    later: Callable[[timedelta], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its row is at fault only after another worker has done everything."""
    job = jobs.start(Refresh(), mixed(of_three), user=operator)
    slept: list[bool] = []

    def sleep_and_fail(account: Authorizer, user: Any) -> None:
        if slept:
            return troubles.perform(account, user)
        slept.append(True)
        later(jobs.LEASE.length + timedelta(seconds=1))
        jobs.run(job.pk)
        raise BAD_ADDRESS

    monkeypatch.setattr(Refresh, "perform", lambda operation, account, user: sleep_and_fail(account, user))
    jobs.run(job.pk)

    job = fresh(job)
    assert (job.position, job.done, job.reason, job.stopped_at) == (9, 9, {}, None)
    assert not AuditEntry.objects.filter(kind=Kind.BULK_STOPPED).exists()


# -- what is kept ------------------------------------------------------------------------------------------------------


def test_finished_job__keeps_its_numbers_and_no_keys(shops: Shops, operator: User) -> None:
    job = jobs.start(Refresh(), keys(shops(2)), user=operator)

    jobs.run(job.pk)

    assert (fresh(job).targets, fresh(job).total, fresh(job).done) == ([], 2, 2)


def test_stop_in_the_last_row__leaves_no_keys_and_nothing_to_go_on_with(
    shops: Shops, operator: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = jobs.start(Refresh(), keys(shops(1)), user=operator)
    execute = Refresh.execute

    def execute_and_stop(*what: Any, **how: Any) -> Any:
        jobs.stop(job, operator)
        return execute(*what, **how)

    monkeypatch.setattr(Refresh, "execute", execute_and_stop)
    jobs.run(job.pk)

    assert (fresh(job).position, fresh(job).targets) == (1, [])
    assert not jobs.resume(job, operator)


def prune_by_beat() -> None:
    tasks.prune()


def prune_without_celery() -> None:
    assert next(job for job in all_jobs(["default"]) if job.name == "prune").work(NO_DEADLINE)


@pytest.mark.parametrize("prune", [prune_by_beat, prune_without_celery])
def test_prune__deletes_jobs_that_ended_months_ago(
    operator: User, platform: Platform, later: Callable[[timedelta], None], prune: Callable[[], None]
) -> None:
    ended = jobs.start(Forget(), [10**6], user=operator)
    jobs.run(ended.pk)
    stopped = jobs.start(Forget(), [10**6], user=operator)
    jobs.stop(stopped, operator)
    waiting = jobs.start(Forget(), [10**6], user=operator)

    later(jobs.KEPT - timedelta(days=1))
    assert jobs.prune() == 0
    newer = jobs.start(Forget(), [10**6], user=operator)
    jobs.stop(newer, operator)

    later(timedelta(days=2))
    prune()
    assert set(BulkJob.objects.all()) == {waiting, newer}


# -- pace --------------------------------------------------------------------------------------------------------------


def test_job__leaves_half_of_the_pace_to_renewals(
    shops: Shops, operator: User, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.WECHAT_OPEN = settings.WECHAT_OPEN | {"RENEWALS_PER_SECOND": 10}
    asked: list[float] = []

    class Limiter:
        def __init__(self, per_second: float, timing: Any) -> None:
            asked.append(per_second)

        def wait(self) -> None:
            asked.append(0)

    monkeypatch.setattr(jobs, "Limiter", Limiter)
    job = jobs.start(Refresh(), keys(shops(2)), user=operator)

    jobs.run(job.pk)

    assert asked == [5, 0, 0]


# -- dying -------------------------------------------------------------------------------------------------------------

KILLED = """
import json, os, signal, sys
import django
from django.conf import settings
django.setup()
settings.WECHAT_OPEN = json.loads(os.environ["SITE"])
from wechat_open.operations import jobs
from wechat_open.operations.accounts import Refresh
execute, rows = Refresh.execute, []
def execute_and_die(*what, **how):
    rows.append(what)
    dying = len(rows) == 3
    if dying and %(when)r == "before the operation":
        os.kill(os.getpid(), signal.SIGKILL)
    result = execute(*what, **how)
    if dying:
        os.kill(os.getpid(), signal.SIGKILL)
    return result
Refresh.execute = execute_and_die
jobs.run(%(job)d)
"""


@pytest.mark.slow
@pytest.mark.parametrize("when", ["before the operation", "after the operation"])
def test_worker_killed_in_a_row__leaves_out_none_and_does_at_most_that_one_twice(
    transactional_db: None,
    process_environment: dict[str, str],
    wechat: Simulator,
    shops: Shops,
    operator: User,
    settings: Any,
    later: Callable[[timedelta], None],
    when: str,
) -> None:
    accounts = shops(5)
    job = jobs.start(Refresh(), keys(accounts), user=operator)
    environment = {**process_environment, "SITE": json.dumps(settings.WECHAT_OPEN)}
    program = KILLED % {"when": when, "job": job.pk}

    victim = subprocess.run(
        [sys.executable, "-c", program], env=environment, check=False, cwd=Path(__file__).resolve().parent.parent
    )

    assert victim.returncode == -signal.SIGKILL
    job = fresh(job)
    assert (job.position, job.done) == (2, 2)
    assert job.leased_until
    jobs.run_open()
    assert fresh(job).position == 2, "it is free only when the lease of the dead worker has ended"

    later(jobs.LEASE.length + timedelta(seconds=1))
    jobs.run_open()

    job = fresh(job)
    assert (job.position, job.done, job.failed) == (5, 5, 0)
    assert job.finished_at
    assert wechat.engine.calls[REFRESH] == (5 if when == "before the operation" else 6)
    for account in accounts:
        grant = wechat.engine.accounts[account.appid].grant
        account.refresh_from_db()
        assert grant is not None and account.reveal("refresh_token").reveal() == grant.refresh_token


KILLED_SETTING_ASIDE = """
import json, os, signal
import django
from django.conf import settings
django.setup()
settings.WECHAT_OPEN = json.loads(os.environ["SITE"])
from wechat_open.operations import jobs
set_aside = jobs._Slice._set_aside
def set_aside_and_die(*what):
    if %(when)r == "after the write":
        set_aside(*what)
    os.kill(os.getpid(), signal.SIGKILL)
jobs._Slice._set_aside = set_aside_and_die
jobs.run(%(job)d)
"""


@pytest.mark.slow
@pytest.mark.parametrize("when", ["before the write", "after the write"])
def test_worker_killed_while_it_sets_rows_aside__leaves_out_none(
    transactional_db: None,
    process_environment: dict[str, str],
    wechat: Simulator,
    shops: Shops,
    stranded: list[Authorizer],
    operator: User,
    settings: Any,
    later: Callable[[timedelta], None],
    when: str,
) -> None:
    accounts = shops(3)
    targets = [accounts[0].pk, stranded[0].pk, accounts[1].pk, stranded[1].pk, accounts[2].pk]
    job = jobs.start(Sync(), targets, user=operator)
    environment = {**process_environment, "SITE": json.dumps(settings.WECHAT_OPEN)}
    program = KILLED_SETTING_ASIDE % {"when": when, "job": job.pk}

    victim = subprocess.run(
        [sys.executable, "-c", program], env=environment, check=False, cwd=Path(__file__).resolve().parent.parent
    )

    assert victim.returncode == -signal.SIGKILL
    assert (fresh(job).position, fresh(job).done) == (1, 1)
    later(jobs.LEASE.length + timedelta(seconds=1))
    jobs.run_open()

    job = fresh(job)
    assert (job.position, job.done, job.failed) == (3, 3, 0)
    assert job.stopped_at
    assert sorted(job.targets) == sorted(targets)
    assert job.targets[job.position :] == keys(stranded)
    assert wechat.engine.calls[INFO] == 3

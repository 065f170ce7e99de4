"""One worker has the lease on a row, and a worker that has lost it changes nothing."""

from __future__ import annotations

import threading
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from django.db import connection, connections

from wechat_open.db import clock
from wechat_open.db.leases import Lease, elapsed, unchanged
from wechat_open.models import BulkJob, Component

AT = datetime(2026, 11, 22, 20, 30, tzinfo=timezone.utc)
HOUR = timedelta(hours=1)
LEASE = Lease("leased_until", HOUR)


@pytest.fixture
def job(db: None) -> BulkJob:
    return BulkJob.objects.create(action="refresh", created_at=AT)


def take(job: BulkJob) -> BulkJob | None:
    return LEASE.take_one(BulkJob.objects.filter(finished_at=None), job.pk)


def run_out(job: BulkJob) -> None:
    BulkJob.objects.filter(pk=job.pk).update(leased_until=clock.now() - timedelta(seconds=1))


class TestTake:
    def test_free_row__is_taken_for_the_whole_length(self, job: BulkJob) -> None:
        taken = take(job)

        assert taken is not None and taken.fence == job.fence + 1
        rows = BulkJob.objects.annotate(read_at=clock.read())
        left = rows.get().leased_until - rows.get().read_at  # type: ignore[operator]
        assert timedelta(minutes=59) < left <= HOUR

    def test_running_lease__is_not_taken(self, job: BulkJob) -> None:
        taken = take(job)

        assert taken is not None and take(job) is None
        assert unchanged(taken).exists()

    def test_lease_that_has_run_out__is_taken(self, job: BulkJob) -> None:
        first = take(job)
        run_out(job)
        second = take(job)

        assert first is not None and second is not None
        assert second.fence == first.fence + 1

    def test_row_that_does_not_match__is_not_taken(self, job: BulkJob) -> None:
        BulkJob.objects.update(finished_at=AT)

        assert take(job) is None
        assert BulkJob.objects.get().leased_until is None

    def test_deleted_row__is_not_taken(self, job: BulkJob) -> None:
        BulkJob.objects.filter(pk=job.pk).delete()

        assert take(job) is None

    def test_row_that_changed_since_it_was_seen__is_not_taken(self, job: BulkJob) -> None:
        BulkJob.objects.update(fence=job.fence + 1)

        assert LEASE.take_one(BulkJob.objects.all(), job.pk, fence=job.fence) is None

    def test_row_that_another_process_takes_before_it_is_read_again__is_not_ours(
        self, job: BulkJob, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        original = Lease.take

        def interrupted(self: Lease, rows: Any, **changes: Any) -> int:
            taken = original(self, rows, **changes)
            BulkJob.objects.update(fence=job.fence + 2)
            return taken

        monkeypatch.setattr(Lease, "take", interrupted)

        assert take(job) is None

    def test_changes__are_written_with_the_lease(self, job: BulkJob) -> None:
        taken = LEASE.take_one(BulkJob.objects.all(), job.pk, position=7)

        assert taken is not None and taken.position == 7

    def test_many_rows__only_the_free_ones_are_taken(self, job: BulkJob) -> None:
        BulkJob.objects.create(action="sync", created_at=AT)
        take(job)

        assert LEASE.take(BulkJob.objects.all()) == 1
        assert set(BulkJob.objects.values_list("fence", flat=True)) == {1}


class TestHolder:
    def test_holder__extends_its_lease(self, job: BulkJob) -> None:
        taken = take(job)
        run_out(job)

        assert taken is not None and LEASE.extend(unchanged(taken), position=3)
        assert take(job) is None
        assert BulkJob.objects.get().position == 3

    def test_holder__releases_its_lease_with_the_outcome(self, job: BulkJob) -> None:
        taken = take(job)

        assert taken is not None and LEASE.release(unchanged(taken), done=5)
        assert not unchanged(taken).exists()
        job.refresh_from_db()
        assert (job.done, job.leased_until) == (5, None)
        assert take(job) is not None

    def test_outcome__may_say_when_the_row_is_due_again(self, job: BulkJob) -> None:
        taken = take(job)

        assert taken is not None and LEASE.release(unchanged(taken), leased_until=clock.now() + HOUR)
        assert take(job) is None

    def test_worker_whose_lease_was_taken_over__changes_nothing(self, job: BulkJob) -> None:
        slow = take(job)
        run_out(job)
        second = take(job)
        assert slow is not None and second is not None

        assert not LEASE.extend(unchanged(slow), position=1)
        assert not LEASE.release(unchanged(slow), done=1)
        job.refresh_from_db()
        assert (job.position, job.done, job.fence) == (0, 0, second.fence)
        assert LEASE.release(unchanged(second), done=2)


def test_lease_without_a_fence__leaves_the_fence_alone(db: None) -> None:
    component = Component.objects.create(appid="wx1")
    lease = Lease("reconcile_due_at", HOUR, fenced=False)
    row = Component.objects.filter(pk=component.pk)

    assert lease.take(row) and not lease.take(row)
    assert lease.extend(row) and lease.release(row)
    assert lease.take(row)
    assert row.get().fence == component.fence


def test_lease_with_a_fence_of_its_own__leaves_the_other_alone(db: None) -> None:
    component = Component.objects.create(appid="wx1")
    lease = Lease("renewals_leased_until", HOUR, fence="renewals_fence")
    taken = lease.take_one(Component.objects.all(), component.pk)

    assert taken is not None and (taken.fence, taken.renewals_fence) == (0, 1)
    assert lease.take_one(Component.objects.all(), component.pk) is None
    assert lease.release(Component.objects.filter(renewals_fence=1))
    assert not lease.extend(Component.objects.filter(renewals_fence=1))


@pytest.mark.parametrize(("ago", "expected"), [(None, True), (-1, False), (59, False), (61, True)])
def test_elapsed__is_true_without_a_time_or_after_the_span(db: None, ago: int | None, expected: bool) -> None:
    then = None if ago is None else clock.now() - timedelta(minutes=ago)
    Component.objects.create(appid="wx1", forced_at=then)

    assert Component.objects.filter(elapsed("forced_at", HOUR)).exists() is expected


if connection.vendor != "sqlite":  # it has one writer at a time

    @pytest.mark.django_db(transaction=True)
    def test_many_workers_at_once__one_takes_the_lease() -> None:
        job = BulkJob.objects.create(action="refresh", created_at=AT)
        workers, rounds = 8, 20
        barrier = threading.Barrier(workers)
        taken: list[int] = []

        def work() -> None:
            try:
                for number in range(rounds):
                    barrier.wait(30)
                    row = LEASE.take_one(BulkJob.objects.all(), job.pk)
                    if row is not None:
                        taken.append(number)
                    barrier.wait(30)
                    if row is not None:
                        LEASE.release(unchanged(row))
            finally:
                connections.close_all()

        threads = [threading.Thread(target=work) for _ in range(workers)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert taken == list(range(rounds))

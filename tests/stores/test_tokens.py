"""A late writer changes nothing, and a write outlasts failures of the database."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from django.db import DataError, IntegrityError, InterfaceError, OperationalError, connection, transaction
from django.db.models import F

from tests.environments import FakeTime
from wechat_open.client.component import NewToken
from wechat_open.db import clock
from wechat_open.exceptions import APIError, EncryptionError, RefreshTokenRefused, UnknownAuthorizer, Unreachable
from wechat_open.models import Authorizer, Component
from wechat_open.secret import Secret
from wechat_open.stores.authorizers import AuthorizerStore
from wechat_open.stores.component import ComponentStore
from wechat_open.stores.tickets import TicketStore
from wechat_open.stores.tokens import COMMIT_FOR, TOKEN_LEASE, StoredToken, TokenLease, TokenStore

Later = Callable[[timedelta], None]
AT = datetime(2020, 1, 1, tzinfo=timezone.utc)
DUE_IN = timedelta(hours=1.5)
UNREADABLE_VALUE = "v1.deadbeef.AAAA"
NEW = NewToken(Secret("new-access"), timedelta(hours=2))
REFUSED = RefreshTokenRefused(61023, "refresh_token is invalid", rid="5fc60c96-69d846b9-287987c1")


def commit(store: TokenStore[Any], lease: TokenLease, **others: Any) -> bool:
    return store.commit(lease, NEW, lease.taken_at, lease.taken_at + DUE_IN, **others)


@pytest.fixture
def component(db: None) -> Component:
    return Component.objects.create(appid="wxcomponent")


@pytest.fixture
def store(component: Component) -> AuthorizerStore:
    return AuthorizerStore(component)


def add(component: Component, appid: str = "wx1", **columns: Any) -> Authorizer:
    row = Authorizer(component=component, appid=appid, **columns)
    row.access_token = row.encrypt("access_token", "old-access")
    row.refresh_token = row.encrypt("refresh_token", "old-refresh")
    row.save()
    return row


@pytest.fixture
def row(component: Component) -> Authorizer:
    return add(component, next_action_at=AT, access_token_expires_at=AT)


def leased(store: AuthorizerStore, appid: str = "wx1") -> TokenLease:
    lease = store.take(store.read(appid))
    assert lease is not None
    return lease


def stored(row: Authorizer) -> tuple[str, str]:
    row.refresh_from_db()
    return row.reveal("access_token").reveal(), row.reveal("refresh_token").reveal()


def touch(row: Authorizer | Component) -> None:
    """Another process writes the row."""
    type(row)._default_manager.filter(pk=row.pk).update(fence=F("fence") + 1)


class TestReading:
    def test_stored_token__has_the_row_and_the_databases_time(self, store: AuthorizerStore, row: Authorizer) -> None:
        stored = store.read("wx1")

        assert (stored.pk, stored.state, stored.fence) == (row.pk, "authorized", 0)
        assert stored.access_token == Secret("old-access")
        assert (stored.valid, stored.leased) == (False, False)
        assert "old-access" not in repr(stored)

    def test_access_token_that_cannot_be_decrypted__counts_as_none(
        self, store: AuthorizerStore, row: Authorizer, caplog: pytest.LogCaptureFixture
    ) -> None:
        later = clock.now() + timedelta(hours=1)
        Authorizer.objects.update(access_token=UNREADABLE_VALUE, access_token_expires_at=later)

        assert not store.read("wx1").valid
        assert leased(store).refresh_token == Secret("old-refresh")
        assert "An access token cannot be used" in caplog.text

    def test_unknown_account__is_named(self, store: AuthorizerStore, row: Authorizer) -> None:
        with pytest.raises(UnknownAuthorizer, match="wxnobody"):
            store.read("wxnobody")

    def test_account_of_another_platform__is_unknown(self, row: Authorizer) -> None:
        with pytest.raises(UnknownAuthorizer):
            AuthorizerStore(Component.objects.create(appid="wxother")).read("wx1")

    @pytest.mark.parametrize(
        ("token", "expires_in", "valid"), [("a", 1, True), ("a", 0, False), ("a", None, False), ("", 1, False)]
    )
    def test_valid__is_a_token_that_has_not_ended(self, token: str, expires_in: int | None, valid: bool) -> None:
        ends = None if expires_in is None else AT + timedelta(seconds=expires_in)
        assert StoredToken(1, "", Secret(token), None, ends, None, None, 0, 0, "", AT).valid is valid


class TestLease:
    def test_take__leases_the_row_for_a_minute(self, store: AuthorizerStore, row: Authorizer) -> None:
        lease = leased(store)

        row.refresh_from_db()
        assert row.leased_until and row.next_action_at == row.leased_until
        assert timedelta(seconds=55) < row.leased_until - lease.taken_at <= TOKEN_LEASE.length
        assert (lease.fence, row.fence) == (1, 1)
        assert lease.refresh_token == Secret("old-refresh")
        assert "old-refresh" not in repr(lease)

    def test_leased_row__is_not_taken_again(self, store: AuthorizerStore, row: Authorizer) -> None:
        leased(store)

        stored = store.read("wx1")
        assert stored.leased
        assert store.take(stored) is None

    def test_row_that_changed_since_it_was_read__is_not_taken(self, store: AuthorizerStore, row: Authorizer) -> None:
        stored = store.read("wx1")
        touch(row)

        assert store.take(stored) is None

    def test_lease_of_a_killed_worker__ends_by_itself(
        self, store: AuthorizerStore, row: Authorizer, later: Later
    ) -> None:
        dead = leased(store)
        later(TOKEN_LEASE.length + timedelta(seconds=1))

        assert leased(store).fence == dead.fence + 1
        assert not store.release(dead, timedelta())

    def test_row_that_another_worker_takes_right_after__is_not_ours(
        self, store: AuthorizerStore, row: Authorizer
    ) -> None:
        def taken(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
            result = execute(sql, params, many, context)
            if sql.startswith("UPDATE") and not done:
                done.append(sql)
                touch(row)
            return result

        done: list[str] = []
        stored = store.read("wx1")
        with connection.execute_wrapper(taken):
            assert store.take(stored) is None

    def test_lease__has_the_databases_time_later(self, component: Component, row: Authorizer) -> None:
        fake_time = FakeTime()
        lease = leased(AuthorizerStore(component, fake_time.timing))

        assert lease.time_at(fake_time.now + 90) - lease.taken_at == timedelta(seconds=90)

    def test_cancellation_in_the_second_of_the_grant__is_in_the_lease(
        self, store: AuthorizerStore, row: Authorizer
    ) -> None:
        Authorizer.objects.update(unauthorized_at=AT, grant_changed_at=AT)
        assert leased(store).cancelled

    def test_extended_lease__runs_for_its_whole_length(
        self, store: AuthorizerStore, row: Authorizer, later: Later
    ) -> None:
        lease = leased(store)
        later(timedelta(seconds=50))
        extended = store.extend(lease)

        assert extended and extended.fence == lease.fence
        assert extended.taken_at - lease.taken_at >= timedelta(seconds=50)
        row.refresh_from_db()
        assert row.leased_until and row.leased_until > extended.taken_at + timedelta(seconds=55)

    def test_lost_lease__is_not_extended(self, store: AuthorizerStore, row: Authorizer) -> None:
        lease = leased(store)
        touch(row)

        assert store.extend(lease) is None


def test_abstract_store__cannot_be_made(component: Component) -> None:
    with pytest.raises(TypeError, match="abstract"):
        TokenStore(component)  # type: ignore[abstract]


class TestTakeDue:
    def test_most_overdue__come_first(self, component: Component, store: AuthorizerStore) -> None:
        for number in (2, 3, 1):
            add(component, f"wx{number}", next_action_at=AT + timedelta(hours=number))

        assert [lease.appid for lease in store.take_due(2)] == ["wx1", "wx2"]
        assert [lease.appid for lease in store.take_due(2)] == ["wx3"]
        assert store.take_due(2) == []

    def test_what_is_not_due__is_not_taken(self, component: Component, store: AuthorizerStore) -> None:
        other = Component.objects.create(appid="wxother")
        add(other, "wxofanother", next_action_at=AT)
        add(component, "wxlater", next_action_at=datetime(2999, 1, 1, tzinfo=timezone.utc))
        add(component, "wxnever", next_action_at=None)
        add(component, "wxgone", next_action_at=AT, state=Authorizer.State.UNAUTHORIZED)
        add(component, "wxstuck", next_action_at=AT, state=Authorizer.State.NEEDS_REAUTHORIZATION)
        add(component, "wxbusy", next_action_at=AT, leased_until=datetime(2999, 1, 1, tzinfo=timezone.utc))

        assert store.take_due(10) == []

    def test_leases_of_a_batch__are_as_good_as_single_ones(self, store: AuthorizerStore, row: Authorizer) -> None:
        (lease,) = store.take_due(10)

        assert (lease.fence, lease.refresh_token) == (1, Secret("old-refresh"))
        assert commit(store, lease)

    def test_row_that_cannot_be_decrypted__is_leased_with_the_reason(
        self, component: Component, store: AuthorizerStore
    ) -> None:
        add(component, "wx1", next_action_at=AT)
        add(component, "wx2", next_action_at=AT + timedelta(hours=1))
        Authorizer.objects.filter(appid="wx1").update(refresh_token=UNREADABLE_VALUE)

        bad, good = store.take_due(10)
        assert bad.appid == "wx1" and "deadbeef" in str(bad.damage) and not bad.refresh_token
        assert good.refresh_token == Secret("old-refresh") and good.damage is None
        assert store.fail(bad, REFUSED, timedelta(minutes=1)) and commit(store, good)

    def test_component__is_taken_when_due(self, component: Component) -> None:
        components = ComponentStore(component)
        assert components.take_due(1) == []

        Component.objects.update(next_action_at=AT)
        assert [lease.appid for lease in components.take_due(1)] == ["wxcomponent"]


class TestProbes:
    def test_account_that_has_not_failed__is_tried_first_even_if_it_is_not_due(
        self, component: Component, store: AuthorizerStore
    ) -> None:
        add(component, "wx1", next_action_at=AT, failures=3)
        add(component, "wx2", next_action_at=datetime(2999, 1, 1, tzinfo=timezone.utc))
        add(component, "wx3", next_action_at=None)
        add(component, "wx4", next_action_at=AT, state=Authorizer.State.UNAUTHORIZED)

        leases = [store.take_probe() for _ in range(3)]
        assert [lease and lease.appid for lease in leases] == ["wx2", "wx1", None]
        assert store.renewable()
        assert store.working(10) == 2

    def test_platform_without_accounts__has_none(self, store: AuthorizerStore) -> None:
        assert store.take_probe() is None
        assert not store.renewable()

    def test_accounts_that_failed_since__are_tried_sooner(
        self, component: Component, store: AuthorizerStore, later: Later
    ) -> None:
        far = datetime(2999, 1, 1, tzinfo=timezone.utc)
        rows = [add(component, f"wx{number}", next_action_at=far, failures=1) for number in range(4)]
        now = clock.now()
        Authorizer.objects.filter(appid="wx0").update(last_failed_at=AT)
        Authorizer.objects.filter(appid="wx1").update(last_failed_at=now, failures=0)
        Authorizer.objects.filter(appid="wx2").update(last_failed_at=now, leased_until=far)
        Authorizer.objects.filter(appid="wx3").update(last_failed_at=now)

        keys = store.failed_since(AT + timedelta(days=1))
        store.retry(keys, timedelta(seconds=10))
        later(timedelta(seconds=11))
        assert keys == [rows[2].pk, rows[3].pk]
        assert [lease.appid for lease in store.take_due(10)] == ["wx3"]


class TestCommit:
    def test_pair__is_written_with_its_times(self, store: AuthorizerStore, row: Authorizer) -> None:
        Authorizer.objects.update(failures=3, last_errcode=-1, last_error="busy", last_rid="r", refused_since=AT)
        lease = leased(store)

        assert commit(store, lease, refresh_token=Secret("new-refresh"), refused_since=None)
        assert stored(row) == ("new-access", "new-refresh")
        assert row.access_token_expires_at == lease.taken_at + timedelta(hours=2)
        assert row.next_action_at == lease.taken_at + timedelta(hours=1.5)
        assert (row.leased_until, row.refused_since, row.failures) == (None, None, 0)
        assert (row.last_errcode, row.last_error, row.last_rid) == (None, "", "")

    def test_late_writer__changes_nothing(self, store: AuthorizerStore, row: Authorizer) -> None:
        lease = leased(store)
        touch(row)

        assert not commit(store, lease, refresh_token=Secret("new-refresh"))
        assert stored(row) == ("old-access", "old-refresh")

    def test_writer_of_an_older_grant__changes_nothing(self, store: AuthorizerStore, row: Authorizer) -> None:
        lease = leased(store)
        Authorizer.objects.update(grant_epoch=F("grant_epoch") + 1)

        assert not commit(store, lease, refresh_token=Secret("new-refresh"))
        assert not store.fail(lease, REFUSED, timedelta())
        assert stored(row) == ("old-access", "old-refresh")

    def test_second_write_under_one_lease__changes_nothing(self, store: AuthorizerStore, row: Authorizer) -> None:
        lease = leased(store)
        commit(store, lease)

        assert not store.commit(lease, NewToken(Secret("other"), timedelta(1)), lease.taken_at, lease.taken_at + DUE_IN)
        assert stored(row)[0] == "new-access"


class FailingUpdates:
    """The database fails at the first UPDATEs: before they are done, or after, when the outcome is unknown."""

    def __init__(self, times: float, *, after: bool = False, error: type[Exception] = OperationalError) -> None:
        self.times = times
        self.after = after
        self.error = error

    def __call__(self, execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if not sql.startswith("UPDATE") or self.times < 1:
            return execute(sql, params, many, context)
        self.times -= 1
        if self.after:
            execute(sql, params, many, context)
        raise self.error("server closed the connection unexpectedly")


class TestCommitToAFailingDatabase:
    @pytest.fixture
    def fake_time(self) -> FakeTime:
        return FakeTime()

    @pytest.fixture
    def lease(self, transactional_db: None, component: Component, row: Authorizer, fake_time: FakeTime) -> TokenLease:
        self.store = AuthorizerStore(component, fake_time.timing)
        return leased(self.store)

    def commit(self, lease: TokenLease) -> bool:
        return commit(self.store, lease, refresh_token=Secret("new-refresh"))

    @pytest.mark.parametrize("error", [OperationalError, InterfaceError])
    @pytest.mark.fault("F21", "F23")
    def test_some_failures__are_retried(
        self, lease: TokenLease, row: Authorizer, fake_time: FakeTime, error: type[Exception]
    ) -> None:
        with connection.execute_wrapper(FailingUpdates(3, error=error)):
            assert self.commit(lease)

        assert stored(row) == ("new-access", "new-refresh")
        assert fake_time.slept == [0.5] * 3

    @pytest.mark.fault("F22")
    def test_lost_acknowledgement__is_resolved_by_reading(self, lease: TokenLease, row: Authorizer) -> None:
        with connection.execute_wrapper(FailingUpdates(1, after=True)):
            assert self.commit(lease)

        assert stored(row) == ("new-access", "new-refresh")

    def test_another_write_in_between__is_not_ours(
        self, lease: TokenLease, row: Authorizer, fake_time: FakeTime
    ) -> None:
        fake_time.meanwhile = lambda: touch(row)

        with connection.execute_wrapper(FailingUpdates(1)):
            assert not self.commit(lease)
        assert stored(row) == ("old-access", "old-refresh")

    @pytest.mark.fault("F21")
    def test_failure_without_end__is_raised(self, lease: TokenLease, row: Authorizer, fake_time: FakeTime) -> None:
        with pytest.raises(OperationalError), connection.execute_wrapper(FailingUpdates(float("inf"))):
            self.commit(lease)

        assert COMMIT_FOR <= sum(fake_time.slept) <= COMMIT_FOR + 1
        assert stored(row) == ("old-access", "old-refresh")

    @pytest.mark.parametrize("error", [DataError, IntegrityError])
    def test_values_that_are_refused__are_not_written_again(
        self, lease: TokenLease, fake_time: FakeTime, error: type[Exception]
    ) -> None:
        with pytest.raises(error), connection.execute_wrapper(FailingUpdates(1, error=error)):
            self.commit(lease)

        assert fake_time.slept == []

    def test_inside_a_transaction__cannot_be_repeated(self, lease: TokenLease, fake_time: FakeTime) -> None:
        with pytest.raises(OperationalError), transaction.atomic(), connection.execute_wrapper(FailingUpdates(1)):
            self.commit(lease)

        assert fake_time.slept == []


class TestFailures:
    def test_failure__is_stored_and_repeated_later(self, store: AuthorizerStore, row: Authorizer) -> None:
        lease = leased(store)
        assert store.fail(lease, REFUSED, timedelta(seconds=10))

        row.refresh_from_db()
        assert (row.failures, row.last_errcode, row.last_rid) == (1, 61023, "5fc60c96-69d846b9-287987c1")
        assert "61023" in row.last_error
        assert row.leased_until is None
        assert row.next_action_at and row.next_action_at >= lease.taken_at + timedelta(seconds=10)
        assert row.last_failed_at and row.last_failed_at >= lease.taken_at

    def test_failure_without_an_errcode__replaces_the_old_one(self, store: AuthorizerStore, row: Authorizer) -> None:
        store.fail(leased(store), REFUSED, timedelta(seconds=-1))
        store.fail(leased(store), Unreachable("/path", "timeout"), timedelta())

        row.refresh_from_db()
        assert (row.failures, row.last_errcode, row.last_rid) == (2, None, "")
        assert "timeout" in row.last_error

    def test_longest_rid__fits(self, store: AuthorizerStore, row: Authorizer) -> None:
        assert store.fail(leased(store), APIError(1, rid="r" * 500), timedelta())

    def test_release__gives_no_verdict(self, store: AuthorizerStore, row: Authorizer) -> None:
        assert store.release(leased(store), timedelta(seconds=10))

        row.refresh_from_db()
        assert (row.failures, row.last_error, row.leased_until) == (0, "", None)

    def test_refusal__keeps_its_first_time(self, store: AuthorizerStore, row: Authorizer) -> None:
        Authorizer.objects.update(needs_reconcile=True)
        store.refuse(leased(store), REFUSED, timedelta())
        row.refresh_from_db()
        since = row.refused_since
        assert since is not None and not row.needs_reconcile

        store.refuse(leased(store), REFUSED, timedelta())
        row.refresh_from_db()
        assert row.refused_since == since

    def test_late_failure__changes_nothing(self, store: AuthorizerStore, row: Authorizer) -> None:
        lease = leased(store)
        touch(row)

        assert not store.fail(lease, REFUSED, timedelta())
        assert not store.refuse(lease, REFUSED, timedelta())
        assert not store.change_state(lease, Authorizer.State.UNAUTHORIZED, REFUSED)
        row.refresh_from_db()
        assert (row.failures, row.refused_since, row.state) == (0, None, Authorizer.State.AUTHORIZED)


class TestStates:
    def test_cancelled_account__keeps_no_token_for_calls(self, store: AuthorizerStore, row: Authorizer) -> None:
        assert store.change_state(leased(store), Authorizer.State.UNAUTHORIZED, REFUSED)

        assert stored(row) == ("", "old-refresh")
        assert (row.state, row.next_action_at, row.grant_epoch) == (Authorizer.State.UNAUTHORIZED, None, 1)
        assert row.needs_announcing and row.unauthorized_at

    def test_refused_account__keeps_its_tokens(self, store: AuthorizerStore, row: Authorizer) -> None:
        assert store.change_state(leased(store), Authorizer.State.NEEDS_REAUTHORIZATION, REFUSED)

        assert stored(row) == ("old-access", "old-refresh")
        assert (row.state, row.next_action_at) == (Authorizer.State.NEEDS_REAUTHORIZATION, None)
        assert row.last_errcode == 61023

    def test_marked_account__is_due_when_the_lease_ends(self, store: AuthorizerStore, row: Authorizer) -> None:
        store.mark_for_reconciliation(row.pk)
        row.refresh_from_db()
        assert row.needs_reconcile
        assert row.next_action_at and row.next_action_at > AT

        lease = leased(store)
        store.mark_for_reconciliation(row.pk)
        row.refresh_from_db()
        assert row.next_action_at == row.leased_until
        assert lease.needs_reconcile

    def test_accounts_refused_at_about_the_same_time__are_counted(
        self, component: Component, store: AuthorizerStore
    ) -> None:
        for number, since in enumerate([0, 59, 61, None]):
            add(component, f"wx{number}", refused_since=None if since is None else AT + timedelta(minutes=since))

        assert store.refused_together(leased(store, "wx0"), timedelta(hours=1)) == (2, 4)

    def test_account_refused_for_the_first_time__is_counted(self, store: AuthorizerStore, row: Authorizer) -> None:
        assert store.refused_together(leased(store), timedelta(hours=1)) == (1, 1)

    def test_others_renewed__since_this_one_was_refused(self, component: Component, store: AuthorizerStore) -> None:
        add(component, "wx0", refused_since=AT, access_token_obtained_at=AT)
        other = add(component, "wx1", access_token_obtained_at=AT - timedelta(seconds=1))
        lease = leased(store, "wx0")

        assert not store.others_renewed(lease)
        Authorizer.objects.filter(pk=other.pk).update(access_token_obtained_at=AT)
        assert store.others_renewed(lease)


class TestExpiring:
    def test_refused_token__ends_and_is_due(self, store: AuthorizerStore, row: Authorizer) -> None:
        Authorizer.objects.update(access_token_expires_at=clock.now() + timedelta(hours=1), next_action_at=None)
        stored = store.read("wx1")
        assert stored.valid and store.expire(stored)

        after = store.read("wx1")
        assert not after.valid
        assert after.next_action_at and after.next_action_at <= after.read_at

    def test_newer_token__is_not_ended(self, store: AuthorizerStore, row: Authorizer) -> None:
        Authorizer.objects.update(access_token_expires_at=clock.now() + timedelta(hours=1))
        stored = store.read("wx1")
        lease = leased(store)
        commit(store, lease)

        assert not store.expire(stored)
        assert store.read("wx1").valid

    def test_forced_ends_of_the_component_token__are_a_minute_apart(self, component: Component, later: Later) -> None:
        components = ComponentStore(component)

        assert components.force(components.read(), timedelta(minutes=1))
        assert not components.force(components.read(), timedelta(minutes=1))
        later(timedelta(seconds=61))
        assert components.force(components.read(), timedelta(minutes=1))


class TestComponent:
    def test_two_newest_tickets__newest_first(self, component: Component) -> None:
        for number in (1, 3, 2):
            ticket = component.tickets.model(
                component=component, digest=str(number), created_at=AT + timedelta(hours=number), received_at=AT
            )
            ticket.ticket = ticket.encrypt("ticket", f"ticket@@@{number}")
            ticket.save()

        assert TicketStore(component).best() == [Secret("ticket@@@3"), Secret("ticket@@@2")]

        component.tickets.filter(digest="3").update(ticket=UNREADABLE_VALUE)
        assert TicketStore(component).best() == [Secret("ticket@@@2"), Secret("ticket@@@1")]

    def test_tickets_of_which_none_can_be_decrypted__say_so(self, component: Component) -> None:
        component.tickets.create(digest="1", created_at=AT, received_at=AT, ticket=UNREADABLE_VALUE)

        with pytest.raises(EncryptionError, match="deadbeef"):
            TicketStore(component).best()

    def test_pause__lets_one_worker_try_one_account_when_its_time_has_come(
        self, component: Component, later: Later
    ) -> None:
        components = ComponentStore(component)
        assert components.failed_in_a_row() is None

        components.pause(APIError(61004, "not in whitelist"), timedelta(minutes=1))
        failed = components.failed_in_a_row()
        assert failed and failed.paused and failed.probes == 1
        assert timedelta(seconds=50) < failed.probe_in <= timedelta(minutes=1)
        component.refresh_from_db()
        assert component.last_errcode == 61004
        assert not components.take_probe(timedelta(minutes=1))

        later(timedelta(seconds=61))
        failed = components.failed_in_a_row()
        assert failed and failed.paused and failed.probe_in == timedelta()
        assert components.take_probe(timedelta(minutes=1))
        assert not components.take_probe(timedelta(minutes=1))  # another worker

        later(timedelta(seconds=61))  # the worker was killed
        assert components.take_probe(timedelta(minutes=1))

    def test_later_failure__does_not_restart_the_pause(self, component: Component, later: Later) -> None:
        components = ComponentStore(component)
        components.pause(REFUSED, timedelta(minutes=1))
        component.refresh_from_db()
        since = component.paused_since
        later(timedelta(minutes=5))
        components.pause(REFUSED, timedelta(minutes=1))

        component.refresh_from_db()
        assert (component.paused_since, component.failed_since, component.probes) == (since, since, 2)

    def test_resumed__counts_from_zero(self, component: Component) -> None:
        components = ComponentStore(component)
        components.count_failed("45009")
        components.pause(REFUSED, timedelta())
        components.resume()

        assert components.failed_in_a_row() is None
        assert not components.take_probe(timedelta(minutes=1))
        assert components.count_failed("45009") == 1

    def test_failures_for_another_reason__restart_the_count(self, component: Component) -> None:
        components = ComponentStore(component)

        assert [components.count_failed(reason) for reason in ("45009", "45009", "busy", "busy", "45009")] == [
            1,
            2,
            1,
            2,
            1,
        ]
        failed = components.failed_in_a_row()
        assert failed and not failed.paused

    def test_reason_to_hope__has_one_account_tried_at_once(self, component: Component) -> None:
        components = ComponentStore(component)
        components.probe_now()
        assert components.failed_in_a_row() is None

        components.pause(REFUSED, timedelta(minutes=1))
        components.probe_now()
        assert components.take_probe(timedelta(minutes=1))

    def test_token__is_kept_in_the_platforms_row(self, component: Component) -> None:
        components = ComponentStore(component)
        lease = components.take(components.read())
        assert lease and commit(components, lease)

        assert components.read().access_token == Secret("new-access")
        assert components.read().valid

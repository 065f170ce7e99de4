"""Does a late writer lose, and does a write survive a failing database?"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from django.db import InterfaceError, OperationalError, connection, transaction
from django.db.models import F

from tests.tokens.worlds import Hours
from wechat_open import clock
from wechat_open.endpoints import NewToken
from wechat_open.exceptions import APIError, RefreshTokenRefused, UnknownAuthorizer, Unreachable
from wechat_open.models import Authorizer, Component
from wechat_open.secret import Secret
from wechat_open.tokens import policy
from wechat_open.tokens.store import COMMIT_FOR, AuthorizerStore, Claim, ComponentStore, Holding, TokenStore

Later = Callable[[timedelta], None]
AT = datetime(2020, 1, 1, tzinfo=timezone.utc)
NEW = NewToken(Secret("new-access"), timedelta(hours=2))
REFUSED = RefreshTokenRefused(61023, "refresh_token is invalid", rid="5fc60c96-69d846b9-287987c1")


@pytest.fixture
def component(db: None) -> Component:
    return Component.objects.create(appid="wxcomponent")


@pytest.fixture
def store(component: Component) -> AuthorizerStore:
    return AuthorizerStore(component)


def add(component: Component, appid: str = "wx1", **columns: Any) -> Authorizer:
    row = Authorizer(component=component, appid=appid, **columns)
    row.access_token = row.seal("access_token", "old-access")
    row.refresh_token = row.seal("refresh_token", "old-refresh")
    row.save()
    return row


@pytest.fixture
def row(component: Component) -> Authorizer:
    return add(component, next_action_at=AT, access_token_expires_at=AT)


def claimed(store: AuthorizerStore, appid: str = "wx1") -> Claim:
    claim = store.claim(store.read(appid))
    assert claim is not None
    return claim


def stored(row: Authorizer) -> tuple[str, str]:
    row.refresh_from_db()
    return row.reveal("access_token").reveal(), row.reveal("refresh_token").reveal()


def touch(row: Authorizer | Component) -> None:
    """Somebody else writes."""
    type(row)._default_manager.filter(pk=row.pk).update(fence=F("fence") + 1)


class TestReading:
    def test_holding__has_the_row_and_the_databases_time(self, store: AuthorizerStore, row: Authorizer) -> None:
        holding = store.read("wx1")

        assert (holding.pk, holding.state, holding.fence) == (row.pk, "authorized", 0)
        assert holding.access_token == Secret("old-access")
        assert (holding.valid, holding.claimed) == (False, False)
        assert "old-access" not in repr(holding)

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
        assert Holding(1, "", Secret(token), None, ends, None, None, 0, 0, "", AT).valid is valid


class TestClaiming:
    def test_claim__leases_the_row_for_a_minute(self, store: AuthorizerStore, row: Authorizer) -> None:
        claim = claimed(store)

        row.refresh_from_db()
        assert row.claimed_until and row.next_action_at == row.claimed_until
        assert timedelta(seconds=55) < row.claimed_until - claim.claimed_at <= policy.LEASE
        assert (claim.fence, row.fence) == (1, 1)
        assert claim.refresh_token == Secret("old-refresh")
        assert "old-refresh" not in repr(claim)

    def test_claimed_row__is_not_claimed_again(self, store: AuthorizerStore, row: Authorizer) -> None:
        claimed(store)

        holding = store.read("wx1")
        assert holding.claimed
        assert store.claim(holding) is None

    def test_row_that_changed_since_it_was_read__is_not_claimed(self, store: AuthorizerStore, row: Authorizer) -> None:
        holding = store.read("wx1")
        touch(row)

        assert store.claim(holding) is None

    def test_dead_workers_claim__ends_by_itself(self, store: AuthorizerStore, row: Authorizer, later: Later) -> None:
        dead = claimed(store)
        later(policy.LEASE + timedelta(seconds=1))

        assert claimed(store).fence == dead.fence + 1
        assert not store.release(dead, timedelta())

    def test_row_that_somebody_takes_right_after_the_claim__is_theirs(
        self, store: AuthorizerStore, row: Authorizer
    ) -> None:
        def taken(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
            result = execute(sql, params, many, context)
            if sql.startswith("UPDATE") and not done:
                done.append(sql)
                touch(row)
            return result

        done: list[str] = []
        holding = store.read("wx1")
        with connection.execute_wrapper(taken):
            assert store.claim(holding) is None

    def test_claim__knows_its_time_later(self, component: Component, row: Authorizer) -> None:
        hours = Hours()
        claim = claimed(AuthorizerStore(component, hours.world))

        assert claim.time_at(hours.now + 90) - claim.claimed_at == timedelta(seconds=90)

    def test_cancellation_in_the_second_of_the_grant__is_remembered(
        self, store: AuthorizerStore, row: Authorizer
    ) -> None:
        Authorizer.objects.update(unauthorized_at=AT, grant_changed_at=AT)
        assert claimed(store).cancelled

    def test_extended_claim__has_a_fresh_lease(self, store: AuthorizerStore, row: Authorizer, later: Later) -> None:
        claim = claimed(store)
        later(timedelta(seconds=50))
        extended = store.extend(claim)

        assert extended and extended.fence == claim.fence
        assert extended.claimed_at - claim.claimed_at >= timedelta(seconds=50)
        row.refresh_from_db()
        assert row.claimed_until and row.claimed_until > extended.claimed_at + timedelta(seconds=55)

    def test_lost_claim__is_not_extended(self, store: AuthorizerStore, row: Authorizer) -> None:
        claim = claimed(store)
        touch(row)

        assert store.extend(claim) is None


def test_store_of_no_kind__keeps_nothing() -> None:
    store: TokenStore[Any] = TokenStore()
    for question in (store.rows, lambda: store._blank(Claim(1, "", 0, 0, AT, 0.0))):
        with pytest.raises(NotImplementedError):
            question()


class TestClaimDue:
    def test_most_overdue__come_first(self, component: Component, store: AuthorizerStore) -> None:
        for number in (2, 3, 1):
            add(component, f"wx{number}", next_action_at=AT + timedelta(hours=number))

        assert [claim.appid for claim in store.claim_due(2)] == ["wx1", "wx2"]
        assert [claim.appid for claim in store.claim_due(2)] == ["wx3"]
        assert store.claim_due(2) == []

    def test_what_is_not_due__is_left(self, component: Component, store: AuthorizerStore) -> None:
        other = Component.objects.create(appid="wxother")
        add(other, "wxofanother", next_action_at=AT)
        add(component, "wxlater", next_action_at=datetime(2999, 1, 1, tzinfo=timezone.utc))
        add(component, "wxnever", next_action_at=None)
        add(component, "wxgone", next_action_at=AT, state=Authorizer.State.UNAUTHORIZED)
        add(component, "wxstuck", next_action_at=AT, state=Authorizer.State.NEEDS_REAUTHORIZATION)
        add(component, "wxbusy", next_action_at=AT, claimed_until=datetime(2999, 1, 1, tzinfo=timezone.utc))

        assert store.claim_due(10) == []

    def test_claims__are_as_good_as_single_ones(self, store: AuthorizerStore, row: Authorizer) -> None:
        (claim,) = store.claim_due(10)

        assert (claim.fence, claim.refresh_token) == (1, Secret("old-refresh"))
        assert store.commit(claim, NEW, claim.claimed_at, 0.5)

    def test_component__is_due_as_well(self, component: Component) -> None:
        components = ComponentStore(component)
        assert components.claim_due(1) == []

        Component.objects.update(next_action_at=AT)
        assert [claim.appid for claim in components.claim_due(1)] == ["wxcomponent"]


class TestCommit:
    def test_pair__is_written_with_its_times(self, store: AuthorizerStore, row: Authorizer) -> None:
        Authorizer.objects.update(failures=3, last_errcode=-1, last_error="busy", last_rid="r", refused_since=AT)
        claim = claimed(store)

        assert store.commit(claim, NEW, claim.claimed_at, 0.5, refresh_token=Secret("new-refresh"), refused_since=None)
        assert stored(row) == ("new-access", "new-refresh")
        assert row.access_token_expires_at == claim.claimed_at + timedelta(hours=2)
        assert row.next_action_at == claim.claimed_at + timedelta(hours=1.5)
        assert (row.claimed_until, row.refused_since, row.failures) == (None, None, 0)
        assert (row.last_errcode, row.last_error, row.last_rid) == (None, "", "")

    def test_late_writer__changes_nothing(self, store: AuthorizerStore, row: Authorizer) -> None:
        claim = claimed(store)
        touch(row)

        assert not store.commit(claim, NEW, claim.claimed_at, 0.5, refresh_token=Secret("new-refresh"))
        assert stored(row) == ("old-access", "old-refresh")

    def test_writer_of_an_older_grant__changes_nothing(self, store: AuthorizerStore, row: Authorizer) -> None:
        claim = claimed(store)
        Authorizer.objects.update(grant_epoch=F("grant_epoch") + 1)

        assert not store.commit(claim, NEW, claim.claimed_at, 0.5, refresh_token=Secret("new-refresh"))
        assert not store.fail(claim, REFUSED, timedelta())
        assert stored(row) == ("old-access", "old-refresh")

    def test_second_write_with_one_claim__changes_nothing(self, store: AuthorizerStore, row: Authorizer) -> None:
        claim = claimed(store)
        store.commit(claim, NEW, claim.claimed_at, 0.5)

        assert not store.commit(claim, NewToken(Secret("other"), timedelta(1)), claim.claimed_at, 0.5)
        assert stored(row)[0] == "new-access"


class Trouble:
    """The database fails at the first UPDATEs: before they are done, or after (then nobody knows that they are)."""

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
    def hours(self) -> Hours:
        return Hours()

    @pytest.fixture
    def claim(self, transactional_db: None, component: Component, row: Authorizer, hours: Hours) -> Claim:
        self.store = AuthorizerStore(component, hours.world)
        return claimed(self.store)

    def commit(self, claim: Claim) -> bool:
        return self.store.commit(claim, NEW, claim.claimed_at, 0.5, refresh_token=Secret("new-refresh"))

    @pytest.mark.parametrize("error", [OperationalError, InterfaceError])
    def test_some_failures__are_outlasted(
        self, claim: Claim, row: Authorizer, hours: Hours, error: type[Exception]
    ) -> None:
        with connection.execute_wrapper(Trouble(3, error=error)):
            assert self.commit(claim)

        assert stored(row) == ("new-access", "new-refresh")
        assert hours.slept == [0.5] * 3

    def test_lost_acknowledgement__is_settled_by_reading(self, claim: Claim, row: Authorizer) -> None:
        with connection.execute_wrapper(Trouble(1, after=True)):
            assert self.commit(claim)

        assert stored(row) == ("new-access", "new-refresh")

    def test_somebody_elses_write_in_between__is_not_ours(self, claim: Claim, row: Authorizer, hours: Hours) -> None:
        hours.meanwhile = lambda: touch(row)

        with connection.execute_wrapper(Trouble(1)):
            assert not self.commit(claim)
        assert stored(row) == ("old-access", "old-refresh")

    def test_failure_without_end__is_raised(self, claim: Claim, row: Authorizer, hours: Hours) -> None:
        with pytest.raises(OperationalError), connection.execute_wrapper(Trouble(float("inf"))):
            self.commit(claim)

        assert COMMIT_FOR <= sum(hours.slept) <= COMMIT_FOR + 1
        assert stored(row) == ("old-access", "old-refresh")

    def test_inside_a_transaction__cannot_be_repeated(self, claim: Claim, hours: Hours) -> None:
        with pytest.raises(OperationalError), transaction.atomic(), connection.execute_wrapper(Trouble(1)):
            self.commit(claim)

        assert hours.slept == []


class TestFailures:
    def test_failure__is_noted_and_repeated_later(self, store: AuthorizerStore, row: Authorizer) -> None:
        claim = claimed(store)
        assert store.fail(claim, REFUSED, timedelta(seconds=10))

        row.refresh_from_db()
        assert (row.failures, row.last_errcode, row.last_rid) == (1, 61023, "5fc60c96-69d846b9-287987c1")
        assert "61023" in row.last_error
        assert row.claimed_until is None
        assert row.next_action_at and row.next_action_at >= claim.claimed_at + timedelta(seconds=10)
        assert row.last_failed_at and row.last_failed_at >= claim.claimed_at

    def test_failure_without_an_errcode__replaces_the_old_one(self, store: AuthorizerStore, row: Authorizer) -> None:
        store.fail(claimed(store), REFUSED, timedelta(seconds=-1))
        store.fail(claimed(store), Unreachable("/path", "timeout"), timedelta())

        row.refresh_from_db()
        assert (row.failures, row.last_errcode, row.last_rid) == (2, None, "")
        assert "timeout" in row.last_error

    def test_longest_rid__fits(self, store: AuthorizerStore, row: Authorizer) -> None:
        assert store.fail(claimed(store), APIError(1, rid="r" * 500), timedelta())

    def test_release__gives_no_verdict(self, store: AuthorizerStore, row: Authorizer) -> None:
        assert store.release(claimed(store), timedelta(seconds=10))

        row.refresh_from_db()
        assert (row.failures, row.last_error, row.claimed_until) == (0, "", None)

    def test_refusal__is_dated_once(self, store: AuthorizerStore, row: Authorizer) -> None:
        Authorizer.objects.update(needs_reconcile=True)
        store.refuse(claimed(store), REFUSED, timedelta())
        row.refresh_from_db()
        since = row.refused_since
        assert since is not None and not row.needs_reconcile

        store.refuse(claimed(store), REFUSED, timedelta())
        row.refresh_from_db()
        assert row.refused_since == since

    def test_late_failure__changes_nothing(self, store: AuthorizerStore, row: Authorizer) -> None:
        claim = claimed(store)
        touch(row)

        assert not store.fail(claim, REFUSED, timedelta())
        assert not store.refuse(claim, REFUSED, timedelta())
        assert not store.change_state(claim, Authorizer.State.UNAUTHORIZED, REFUSED)
        row.refresh_from_db()
        assert (row.failures, row.refused_since, row.state) == (0, None, Authorizer.State.AUTHORIZED)


class TestStates:
    def test_cancelled_account__keeps_no_token(self, store: AuthorizerStore, row: Authorizer) -> None:
        assert store.change_state(claimed(store), Authorizer.State.UNAUTHORIZED, REFUSED)

        assert stored(row) == ("", "")
        assert (row.state, row.next_action_at, row.grant_epoch) == (Authorizer.State.UNAUTHORIZED, None, 1)
        assert row.needs_announcing and row.unauthorized_at

    def test_refused_account__keeps_them(self, store: AuthorizerStore, row: Authorizer) -> None:
        assert store.change_state(claimed(store), Authorizer.State.NEEDS_REAUTHORIZATION, REFUSED)

        assert stored(row) == ("old-access", "old-refresh")
        assert (row.state, row.next_action_at) == (Authorizer.State.NEEDS_REAUTHORIZATION, None)
        assert row.last_errcode == 61023

    def test_marked_account__is_looked_at_after_whoever_is_at_it(self, store: AuthorizerStore, row: Authorizer) -> None:
        store.mark_for_reconciliation(row.pk)
        row.refresh_from_db()
        assert row.needs_reconcile
        assert row.next_action_at and row.next_action_at > AT

        claim = claimed(store)
        store.mark_for_reconciliation(row.pk)
        row.refresh_from_db()
        assert row.next_action_at == row.claimed_until
        assert claim.needs_reconcile

    @pytest.mark.parametrize(
        ("accounts", "share", "braked"), [(3, 0.1, True), (4, 0.1, False), (3, 0.5, True), (3, 0.9, False)]
    )
    def test_brake__needs_a_number_and_a_share(
        self, component: Component, store: AuthorizerStore, accounts: int, share: float, braked: bool
    ) -> None:
        for number in range(6):
            add(component, f"wx{number}", refused_since=AT + timedelta(minutes=number) if number < 3 else None)

        claim = claimed(store, "wx0")
        assert store.braked(claim, accounts, share, timedelta(hours=1)) is braked

    def test_accounts_refused_at_other_times__do_not_brake(self, component: Component, store: AuthorizerStore) -> None:
        for number in range(3):
            add(component, f"wx{number}", refused_since=AT + timedelta(days=number))

        assert not store.braked(claimed(store, "wx0"), 2, 0.0, timedelta(hours=1))


class TestExpiring:
    def test_refused_token__ends_and_is_due(self, store: AuthorizerStore, row: Authorizer) -> None:
        Authorizer.objects.update(access_token_expires_at=clock.now() + timedelta(hours=1), next_action_at=None)
        holding = store.read("wx1")
        assert holding.valid and store.expire(holding)

        after = store.read("wx1")
        assert not after.valid
        assert after.next_action_at and after.next_action_at <= after.read_at

    def test_newer_token__is_left_alone(self, store: AuthorizerStore, row: Authorizer) -> None:
        Authorizer.objects.update(access_token_expires_at=clock.now() + timedelta(hours=1))
        holding = store.read("wx1")
        claim = claimed(store)
        store.commit(claim, NEW, claim.claimed_at, 0.5)

        assert not store.expire(holding)
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
            ticket.ticket = ticket.seal("ticket", f"ticket@@@{number}")
            ticket.save()

        assert ComponentStore(component).tickets() == [Secret("ticket@@@3"), Secret("ticket@@@2")]

    def test_pause__ends_by_itself(self, component: Component, later: Later) -> None:
        components = ComponentStore(component)
        assert components.paused_for() == timedelta()

        components.pause(APIError(61004, "not in whitelist"), timedelta(minutes=1))
        assert timedelta(seconds=50) < components.paused_for() <= timedelta(minutes=1)
        component.refresh_from_db()
        assert component.last_errcode == 61004

        later(timedelta(seconds=61))
        assert components.paused_for() == timedelta()

    def test_token__is_kept_in_the_platforms_row(self, component: Component) -> None:
        components = ComponentStore(component)
        claim = components.claim(components.read())
        assert claim and components.commit(claim, NEW, claim.claimed_at, 0.5)

        assert components.read().access_token == Secret("new-access")
        assert components.read().valid

"""The newest grant by WeChat's time is kept, in whatever order the changes arrive."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from itertools import permutations

import pytest

from tests.stage import OFFICIAL
from wechat_open import tokens
from wechat_open.client.component import Grant, NewToken
from wechat_open.exceptions import WeChatOpenError
from wechat_open.models import Authorizer
from wechat_open.platforms import Platform
from wechat_open.secret import Secret
from wechat_open.simulator import Simulator
from wechat_open.tokens import grants

T0 = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)
SECOND = timedelta(seconds=1)
OBTAINED_WITH = {"refresh_token": "three", "previous_refresh_token": "two"}


def granted(name: str, *, refresh: str | None = None, access: str | None = None) -> Grant:
    token = f"access-{name}" if access is None else access
    return Grant(
        appid="wxaccount",
        access=NewToken(Secret(token), timedelta(hours=2)) if token else None,
        refresh_token=Secret(f"refresh-{name}" if refresh is None else refresh),
        func_info=(1,),
        answered_at=None,
    )


def refresh_token(row: Authorizer) -> str:
    row.refresh_from_db()
    return row.reveal("refresh_token").reveal()


def test_first_grant__is_stored_and_due_later(platform: Platform) -> None:
    row = grants.keep(platform, granted("one"), granted_at=T0)

    assert row.state == Authorizer.State.AUTHORIZED
    assert row.authorized_at == row.grant_changed_at == T0
    assert refresh_token(row) == "refresh-one"
    assert row.next_action_at and row.access_token_obtained_at
    assert row.next_action_at > row.access_token_obtained_at + timedelta(hours=1)
    assert not row.needs_reconcile


def test_newer_grant__replaces_the_old_and_keeps_its_refresh_token(platform: Platform) -> None:
    grants.keep(platform, granted("one"), granted_at=T0)
    row = grants.keep(platform, granted("two"), granted_at=T0 + SECOND)

    assert refresh_token(row) == "refresh-two"
    assert row.reveal("previous_refresh_token").reveal() == "refresh-one"
    assert row.grant_epoch == 2


def test_new_grant__replaces_a_token_that_cannot_be_decrypted(platform: Platform) -> None:
    grants.keep(platform, granted("one"), granted_at=T0)
    Authorizer.objects.update(refresh_token="v1.deadbeef.AAAA")
    row = grants.keep(platform, granted("two"), granted_at=T0 + SECOND)

    assert refresh_token(row) == "refresh-two"
    assert row.previous_refresh_token == ""


def test_tokens_that_custody_has_asked_for_since__stay(platform: Platform) -> None:
    """The worker that exchanged the code was paused, and another one has stored this grant and renewed its tokens."""
    before = grants.keep(platform, granted("one"), granted_at=T0)
    asked_at = before.read_at - timedelta(minutes=1)
    row = grants.keep(platform, granted("two"), granted_at=T0 + SECOND, asked_at=asked_at)

    assert (refresh_token(row), row.reveal("access_token").reveal()) == ("refresh-one", "access-one")
    assert (row.grant_changed_at, row.grant_epoch, row.needs_reconcile) == (T0 + SECOND, 2, True)
    assert row.next_action_at and row.next_action_at < row.access_token_obtained_at + timedelta(minutes=1)


def test_tokens_that_were_obtained_with_those_of_the_grant__stay(platform: Platform) -> None:
    """A worker notes the time before it sends its request, and may be paused in between: the times do not decide."""
    row = grants.keep(platform, granted("one"), granted_at=T0)
    renewed = {name: row.encrypt(name, f"refresh-{by}") for name, by in OBTAINED_WITH.items()}
    Authorizer.objects.update(**renewed, access_token_obtained_at=T0)
    row = grants.keep(platform, granted("two"), granted_at=T0 + SECOND, asked_at=T0 + SECOND)

    assert refresh_token(row) == "refresh-three"
    assert (row.grant_changed_at, row.needs_reconcile) == (T0 + SECOND, True)


def test_refresh_token_that_wechat_has_shown_since__stays(platform: Platform) -> None:
    """It came without an access token, from WeChat's record, for the push of an older grant."""
    grants.keep(platform, granted("shown", access=""), granted_at=T0, asked_at=T0 + 3 * SECOND)
    row = grants.keep(platform, granted("two"), granted_at=T0 + SECOND, asked_at=T0 + 2 * SECOND)

    assert refresh_token(row) == "refresh-shown"
    assert (row.grant_changed_at, row.needs_reconcile) == (T0 + SECOND, True)


def test_life_of_the_token__counts_from_the_request(platform: Platform) -> None:
    asked_at = datetime.now(timezone.utc) - timedelta(minutes=10)
    row = grants.keep(platform, granted("one"), granted_at=T0, asked_at=asked_at)

    assert (row.access_token_obtained_at, row.access_token_expires_at) == (asked_at, asked_at + timedelta(hours=2))


def test_older_grant__changes_nothing(platform: Platform) -> None:
    grants.keep(platform, granted("two"), granted_at=T0 + SECOND)
    row = grants.keep(platform, granted("one"), granted_at=T0)

    assert refresh_token(row) == "refresh-two"
    assert row.grant_epoch == 1


@pytest.mark.fault("F38")
def test_same_second__marks_the_account_and_keeps_both_tokens(platform: Platform) -> None:
    grants.keep(platform, granted("one"), granted_at=T0)
    row = grants.keep(platform, granted("two"), granted_at=T0)

    assert row.needs_reconcile
    assert {row.reveal("refresh_token").reveal(), row.reveal("previous_refresh_token").reveal()} == {
        "refresh-one",
        "refresh-two",
    }


@pytest.mark.fault("F36")
def test_empty_refresh_token__never_overwrites_a_full_one(platform: Platform) -> None:
    grants.keep(platform, granted("one"), granted_at=T0)
    row = grants.keep(platform, granted("two", refresh="", access=""), granted_at=T0 + SECOND)

    assert refresh_token(row) == "refresh-one"
    assert row.access_token_expires_at is not None


def test_withdrawal__leaves_no_token_for_calls(platform: Platform) -> None:
    grants.keep(platform, granted("one"), granted_at=T0, asked_at=T0)
    row, changed = grants.withdraw(platform, "wxaccount", T0 + SECOND)

    assert changed
    assert row.state == Authorizer.State.UNAUTHORIZED
    assert (row.access_token, row.access_token_expires_at, row.next_action_at) == ("", None, None)
    assert refresh_token(row) == "refresh-one"  # for some days: the withdrawal may be a mistake
    assert row.unauthorized_at == T0 + SECOND


def test_withdrawal_before_the_tokens_were_asked_for__has_wechat_asked(platform: Platform) -> None:
    """The owner has cancelled and authorized again; custody has the new tokens, and no push has announced the grant."""
    grants.keep(platform, granted("one"), granted_at=T0, asked_at=T0 + 2 * SECOND)
    row, changed = grants.withdraw(platform, "wxaccount", T0 + SECOND)

    assert not changed
    assert (row.state, row.needs_reconcile) == (Authorizer.State.AUTHORIZED, True)
    assert row.next_action_at and row.next_action_at <= row.read_at


def test_late_withdrawal_of_an_older_grant__changes_nothing(platform: Platform) -> None:
    grants.keep(platform, granted("two"), granted_at=T0 + SECOND)
    row, changed = grants.withdraw(platform, "wxaccount", T0)

    assert not changed
    assert row.state == Authorizer.State.AUTHORIZED


def test_withdrawal_in_the_second_of_the_grant__asks_wechat(platform: Platform) -> None:
    grants.keep(platform, granted("one"), granted_at=T0)
    row, changed = grants.withdraw(platform, "wxaccount", T0)

    assert not changed
    assert row.state == Authorizer.State.AUTHORIZED
    assert row.needs_reconcile


def test_withdrawal_of_an_unknown_account__leaves_a_row_without_tokens(platform: Platform) -> None:
    row, _ = grants.withdraw(platform, "wxaccount", T0 + SECOND)
    grants.keep(platform, granted("one"), granted_at=T0)

    row.refresh_from_db()
    assert row.state == Authorizer.State.UNAUTHORIZED


def test_provisional_time__is_replaced_by_wechats(platform: Platform) -> None:
    row = grants.keep(platform, granted("one"), granted_at=T0 + 5 * SECOND)
    grants.withdraw(platform, "wxaccount", T0 + 2 * SECOND)  # judged too old against the provisional time
    grants.date(row, row.grant_epoch, T0)

    row.refresh_from_db()
    assert row.grant_changed_at == T0
    assert row.needs_reconcile


@pytest.mark.parametrize("order", list(permutations(range(4))))
@pytest.mark.fault("F37")
def test_any_order_of_changes__ends_in_the_newest_state(platform: Platform, order: tuple[int, ...]) -> None:
    news: list[Callable[[], object]] = [
        lambda: grants.keep(platform, granted("one"), granted_at=T0),
        lambda: grants.withdraw(platform, "wxaccount", T0 + SECOND),
        lambda: grants.keep(platform, granted("two"), granted_at=T0 + 2 * SECOND),
        lambda: grants.keep(platform, granted("three"), granted_at=T0 + 3 * SECOND),
    ]
    for index in order:
        news[index]()

    row = Authorizer.objects.get(appid="wxaccount")
    assert row.state == Authorizer.State.AUTHORIZED
    assert refresh_token(row) == "refresh-three"


@pytest.mark.parametrize("cancelled", [True, False])
@pytest.mark.fault("F38")
def test_tie__is_settled_by_wechats_answer(
    wechat: Simulator, platform: Platform, account: Authorizer, cancelled: bool
) -> None:
    assert account.grant_changed_at is not None
    if cancelled:
        wechat.engine.unauthorize(OFFICIAL)
    grants.withdraw(platform, OFFICIAL, account.grant_changed_at)

    tokens.run_due(platform)

    account.refresh_from_db()
    assert account.state == (Authorizer.State.UNAUTHORIZED if cancelled else Authorizer.State.AUTHORIZED)
    assert not account.needs_reconcile


def test_row_that_keeps_changing__is_an_error_and_nothing_is_half_stored(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(grants, "ATTEMPTS", 0)

    with pytest.raises(WeChatOpenError, match="grant of account wxaccount could not be stored"):
        grants.keep(platform, granted("one"), granted_at=T0)
    with pytest.raises(WeChatOpenError, match="cancellation by account wxaccount could not be stored"):
        grants.withdraw(platform, "wxaccount", T0)

    assert not Authorizer.objects.exclude(refresh_token="").exists()

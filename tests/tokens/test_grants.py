"""Is the newest grant kept, by WeChat's time, in whatever order its news arrive?"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from itertools import permutations

import pytest

from tests.stage import OFFICIAL
from wechat_open import tokens
from wechat_open.component import Platform
from wechat_open.endpoints import Grant, NewToken
from wechat_open.exceptions import WeChatOpenError
from wechat_open.models import Authorizer
from wechat_open.secret import Secret
from wechat_open.simulator import Simulator
from wechat_open.tokens import grants

T0 = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)
SECOND = timedelta(seconds=1)


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


def test_newer_grant__replaces_and_remembers_the_old(platform: Platform) -> None:
    grants.keep(platform, granted("one"), granted_at=T0)
    row = grants.keep(platform, granted("two"), granted_at=T0 + SECOND)

    assert refresh_token(row) == "refresh-two"
    assert row.reveal("previous_refresh_token").reveal() == "refresh-one"
    assert row.grant_epoch == 2


def test_older_grant__changes_nothing(platform: Platform) -> None:
    grants.keep(platform, granted("two"), granted_at=T0 + SECOND)
    row = grants.keep(platform, granted("one"), granted_at=T0)

    assert refresh_token(row) == "refresh-two"
    assert row.grant_epoch == 1


def test_same_second__is_to_be_asked_and_both_tokens_are_kept(platform: Platform) -> None:
    grants.keep(platform, granted("one"), granted_at=T0)
    row = grants.keep(platform, granted("two"), granted_at=T0)

    assert row.needs_reconcile
    assert {row.reveal("refresh_token").reveal(), row.reveal("previous_refresh_token").reveal()} == {
        "refresh-one",
        "refresh-two",
    }


def test_empty_refresh_token__never_overwrites_a_full_one(platform: Platform) -> None:
    grants.keep(platform, granted("one"), granted_at=T0)
    row = grants.keep(platform, granted("two", refresh="", access=""), granted_at=T0 + SECOND)

    assert refresh_token(row) == "refresh-one"
    assert row.access_token_expires_at is not None


def test_withdrawal__blanks_every_token(platform: Platform) -> None:
    grants.keep(platform, granted("one"), granted_at=T0)
    row, changed = grants.withdraw(platform, "wxaccount", T0 + SECOND)

    assert changed
    assert row.state == Authorizer.State.UNAUTHORIZED
    assert (row.access_token, row.refresh_token, row.previous_refresh_token) == ("", "", "")
    assert row.unauthorized_at == T0 + SECOND


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


def test_withdrawal_of_an_unknown_account__leaves_a_tombstone(platform: Platform) -> None:
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
def test_any_order_of_news__ends_in_the_newest_state(platform: Platform, order: tuple[int, ...]) -> None:
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


def test_row_that_never_stands_still__is_said_and_nothing_is_half_stored(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(grants, "ATTEMPTS", 0)

    with pytest.raises(WeChatOpenError, match="grant of account wxaccount could not be stored"):
        grants.keep(platform, granted("one"), granted_at=T0)
    with pytest.raises(WeChatOpenError, match="cancellation by account wxaccount could not be stored"):
        grants.withdraw(platform, "wxaccount", T0)

    assert not Authorizer.objects.exclude(refresh_token="").exists()

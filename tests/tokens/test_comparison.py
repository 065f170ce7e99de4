"""What becomes of an account, given its entry of WeChat's list."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest

from wechat_open.client.component import Listed
from wechat_open.models import Authorizer
from wechat_open.secret import Secret
from wechat_open.tokens.comparison import Account, Difference, compare

GRANTED = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)
SECOND, MINUTE, HOUR, DAY = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
ASKED = GRANTED + 10 * DAY
State = Authorizer.State

ACCOUNT = Account(
    state=State.AUTHORIZED,
    granted_at=GRANTED,
    obtained_at=ASKED - HOUR,
    leased=False,
    refresh_token=Secret("new"),
    previous_refresh_token=Secret("old"),
)
LOST = replace(ACCOUNT, state=State.NEEDS_REAUTHORIZATION, refused_since=ASKED - 2 * DAY, failed_at=ASKED - HOUR)
ENDED = replace(ACCOUNT, state=State.UNAUTHORIZED, refresh_token=Secret(), previous_refresh_token=Secret())


def entry(token: str, granted_at: datetime = GRANTED) -> Listed:
    return Listed("wx1", Secret(token), granted_at)


@pytest.mark.parametrize(
    ("account", "listed", "difference"),
    [
        (ACCOUNT, entry("new"), Difference.NONE),
        (ACCOUNT, entry(""), Difference.NONE),
        # The list lags behind our own rotation, or behind a newer grant.
        (ACCOUNT, entry("old"), Difference.NONE),
        (replace(ACCOUNT, obtained_at=ASKED - 9 * MINUTE), entry("older still"), Difference.NONE),
        (ACCOUNT, entry("of an older grant", GRANTED - DAY), Difference.FALLBACK),
        # Another system has rotated, or our rows are from a backup.
        (ACCOUNT, entry("other"), Difference.FALLBACK),
        (replace(ACCOUNT, obtained_at=None), entry("other"), Difference.FALLBACK),
        # It changed after the list was asked for, or is being changed.
        (replace(ACCOUNT, obtained_at=ASKED), entry("other"), Difference.NONE),
        (replace(ACCOUNT, leased=True), entry("other"), Difference.NONE),
        (replace(ACCOUNT, leased=True), entry("other", GRANTED + SECOND), Difference.NONE),
        # A newer grant, or a better time of the known one.
        (ACCOUNT, entry("new", GRANTED + SECOND), Difference.TIME),
        (ACCOUNT, entry("old", GRANTED + SECOND), Difference.TIME),
        (ACCOUNT, entry("", GRANTED + SECOND), Difference.TIME),
        (replace(ACCOUNT, granted_at=None), entry("new"), Difference.TIME),
        # Too much later to be the known grant: custody has met the newer one's token before its push.
        (ACCOUNT, entry("new", GRANTED + 5 * MINUTE), Difference.TIME),
        (ACCOUNT, entry("new", GRANTED + 6 * MINUTE), Difference.GRANT_IN_USE),
        (ACCOUNT, entry("", GRANTED + 6 * MINUTE), Difference.GRANT_IN_USE),
        (ACCOUNT, entry("new", ASKED - MINUTE), Difference.GRANT),
        (ACCOUNT, entry("other", ASKED - MINUTE), Difference.GRANT),
        (replace(ACCOUNT, obtained_at=None), entry("other", GRANTED + SECOND), Difference.GRANT),
        (ACCOUNT, entry("other", ASKED - 2 * HOUR), Difference.GRANT_IN_USE),
        # It needs its owner.
        (LOST, entry("new"), Difference.LOST),
        (LOST, entry("other"), Difference.LOST),
        (LOST, entry(""), Difference.LOST),
        (replace(LOST, refused_since=None, failed_at=None), entry("new"), Difference.LOST),
        (replace(LOST, refused_since=ASKED - 4 * DAY), entry("new"), Difference.NONE),
        (replace(LOST, refused_since=ASKED - 4 * DAY, failed_at=ASKED - DAY), entry("new"), Difference.LOST),
        (replace(LOST, leased=True), entry("new"), Difference.NONE),
        (LOST, entry("new", ASKED - MINUTE), Difference.GRANT),
        # It has ended here.
        (ENDED, entry("new", GRANTED + SECOND), Difference.ENDED),
        (ENDED, entry("new"), Difference.ENDED_SINCE),
        (ENDED, entry("new", GRANTED - DAY), Difference.ENDED_SINCE),
        (replace(ENDED, granted_at=None), entry("new"), Difference.ENDED),
    ],
)
def test_difference(account: Account, listed: Listed, difference: Difference) -> None:
    assert compare(account, listed, ASKED) is difference

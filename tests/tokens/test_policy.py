"""Are the windows fractions of a life, and is nobody blamed who is not to blame?"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from wechat_open.exceptions import (
    AccountRestricted,
    APIError,
    CodeRefused,
    NotAuthorized,
    PermissionMissing,
    PlatformFault,
    QuotaExceeded,
    RateLimited,
    RefreshTokenRefused,
    SealError,
    SystemBusy,
    TicketMissing,
    TicketRefused,
    TokenRefused,
    TokenUnavailable,
    Unreachable,
    WeChatOpenError,
)
from wechat_open.tokens import policy
from wechat_open.tokens.policy import Blame

AT = datetime(2026, 11, 22, tzinfo=timezone.utc)
LIVES = [timedelta(seconds=1), timedelta(seconds=20), timedelta(hours=2), timedelta(days=7)]


@pytest.mark.parametrize(
    ("error", "blamed"),
    [
        (RefreshTokenRefused(61023), Blame.ACCOUNT),
        (NotAuthorized(61003), Blame.ACCOUNT),
        (policy.NoTokenGiven("none"), Blame.ACCOUNT),
        (AccountRestricted(50002), Blame.RESTRICTED),
        (PlatformFault(61004), Blame.PLATFORM),
        (QuotaExceeded(45009), Blame.PLATFORM),
        (TicketRefused(61006), Blame.PLATFORM),
        (TicketMissing("none yet"), Blame.PLATFORM),
        (TokenRefused(40001), Blame.PLATFORM),
        (TokenUnavailable("later"), Blame.PLATFORM),
        (SystemBusy(-1), Blame.WEATHER),
        (RateLimited(45011), Blame.WEATHER),
        (Unreachable("/path", "timeout"), Blame.WEATHER),
        (PermissionMissing(48001), Blame.WEATHER),
        (CodeRefused(61009), Blame.WEATHER),
        (APIError(999999), Blame.WEATHER),
        (SealError("key"), Blame.WEATHER),
        (WeChatOpenError("new"), Blame.WEATHER),
    ],
)
def test_blame(error: WeChatOpenError, blamed: Blame) -> None:
    assert policy.blame(error) is blamed


@pytest.mark.parametrize("life", LIVES)
@pytest.mark.parametrize("luck", [0.0, 0.37, 1.0])
def test_due__is_at_70_to_80_percent(life: timedelta, luck: float) -> None:
    assert 0.7 <= (policy.due_at(AT, life, luck) - AT) / life <= 0.8 + 1e-6


@pytest.mark.parametrize("life", LIVES)
def test_urgent__is_a_few_minutes_and_never_more_than_a_tenth(life: timedelta) -> None:
    left = AT + life - policy.urgent_at(AT, AT + life)

    assert left == min(life / 10, timedelta(minutes=5))
    assert policy.due_at(AT, life, 1.0) <= policy.urgent_at(AT, AT + life)


def test_token_of_unknown_age__is_urgent_at_its_end() -> None:
    assert policy.urgent_at(None, AT) == AT


@pytest.mark.parametrize(
    ("failures", "ceiling"), [(0, 5), (1, 10), (2, 20), (5, 160), (6, 300), (7, 300), (10**9, 300)]
)
def test_retry__doubles_up_to_five_minutes_with_full_jitter(failures: int, ceiling: int) -> None:
    assert policy.retry_in(failures, 1.0) == timedelta(seconds=ceiling)
    assert policy.retry_in(failures, 0.5) == timedelta(seconds=ceiling / 2)
    assert policy.retry_in(failures, 0.0) == policy.SHORTEST_RETRY


def test_retry_of_a_refused_account__may_rest_longer() -> None:
    assert policy.retry_in(20, 1.0, at_most=policy.REFUSED_RETRY) == timedelta(minutes=30)


def test_pause__is_long_for_a_quota_and_short_for_the_rest() -> None:
    assert policy.pause_for(QuotaExceeded(45009), 1.0) == timedelta(minutes=15)
    assert policy.pause_for(QuotaExceeded(45009), 0.0) == timedelta(minutes=7.5)
    assert policy.pause_for(PlatformFault(61004), 1.0) == timedelta(minutes=1)
    assert policy.pause_for(PlatformFault(61004), 0.0) == timedelta(seconds=30)


class TestCachedFor:
    def test_fresh_token__saves_queries_for_five_minutes_of_two_hours(self) -> None:
        assert policy.cached_for(AT, AT + timedelta(hours=2), AT) == (timedelta(minutes=5), timedelta(hours=2))

    @pytest.mark.parametrize("life", LIVES)
    @pytest.mark.parametrize("age", [0.0, 0.5, 0.8, 0.89])
    def test_short_entry__ends_before_the_token_is_urgent(self, life: timedelta, age: float) -> None:
        now = AT + life * age
        short, last = policy.cached_for(AT, AT + life, now)

        assert timedelta() < short <= policy.urgent_at(AT, AT + life) - now
        assert now + last == AT + life

    @pytest.mark.parametrize("age", [0.97, 1.0, 1.5])
    def test_urgent_or_expired_token__is_not_cached_for_readers(self, age: float) -> None:
        life = timedelta(hours=2)
        short, last = policy.cached_for(AT, AT + life, AT + life * age)

        assert short <= timedelta()
        assert (last > timedelta()) is (age < 1)

    def test_token_of_unknown_age__is_not_cached_for_readers(self) -> None:
        assert policy.cached_for(None, AT + timedelta(hours=1), AT) == (timedelta(), timedelta(hours=1))

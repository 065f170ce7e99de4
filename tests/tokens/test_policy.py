"""The windows are fractions of a life, and a failure is classified by what it is due to."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

import pytest

from wechat_open.client.component import (
    AUTHORIZER_TOKEN,
    COMPONENT_TOKEN,
    GET_AUTHORIZER_INFO,
    GET_AUTHORIZER_LIST,
    START_PUSH_TICKET,
)
from wechat_open.exceptions import (
    AccountRestricted,
    APIError,
    CodeRefused,
    ConfigurationError,
    EncryptionError,
    NotAuthorized,
    PermissionMissing,
    PlatformFault,
    QuotaExceeded,
    RateLimited,
    RefreshTokenRefused,
    SystemBusy,
    TicketMissing,
    TicketRefused,
    TokenRefused,
    TokenUnavailable,
    Unreachable,
    WeChatOpenError,
)
from wechat_open.stores.tokens import UnusableRow
from wechat_open.tokens import policy
from wechat_open.tokens.policy import Brake, Fault

AT = datetime(2026, 11, 22, tzinfo=timezone.utc)
LIVES = [timedelta(seconds=1), timedelta(seconds=20), timedelta(hours=2), timedelta(days=7)]


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        (RefreshTokenRefused(61023), Fault.ACCOUNT),
        (NotAuthorized(61003), Fault.ACCOUNT),
        (policy.NoTokenGiven("none"), Fault.ACCOUNT),
        (AccountRestricted(50002), Fault.RESTRICTED),
        (PlatformFault(61004, path=AUTHORIZER_TOKEN), Fault.UNCLEAR),
        (QuotaExceeded(45009, path=AUTHORIZER_TOKEN), Fault.UNCLEAR),
        (TicketRefused(61006, path=AUTHORIZER_TOKEN), Fault.UNCLEAR),
        (TokenRefused(40001, path=GET_AUTHORIZER_INFO), Fault.UNCLEAR),
        (PlatformFault(61004, path=COMPONENT_TOKEN), Fault.PLATFORM),
        (QuotaExceeded(45009, path=COMPONENT_TOKEN), Fault.PLATFORM),
        (TicketRefused(61006, path=COMPONENT_TOKEN), Fault.PLATFORM),
        (Unreachable(COMPONENT_TOKEN, "timeout"), Fault.PLATFORM),
        (TicketMissing("none yet"), Fault.PLATFORM),
        (TokenUnavailable("later"), Fault.PLATFORM),
        (ConfigurationError("a setting"), Fault.PLATFORM),
        (SystemBusy(-1), Fault.TRANSIENT),
        (RateLimited(45011), Fault.TRANSIENT),
        (Unreachable("/path", "timeout"), Fault.TRANSIENT),
        (PermissionMissing(48001), Fault.TRANSIENT),
        (CodeRefused(61009), Fault.TRANSIENT),
        (APIError(999999), Fault.TRANSIENT),
        (EncryptionError("key"), Fault.ROW),
        (UnusableRow("wx1", ValueError()), Fault.ROW),
        (WeChatOpenError("new"), Fault.TRANSIENT),
    ],
)
def test_fault_of__classifies_the_error(error: WeChatOpenError, fault: Fault) -> None:
    assert policy.fault_of(error) is fault


@pytest.mark.parametrize("life", LIVES)
@pytest.mark.parametrize("jitter", [0.0, 0.37, 1.0])
def test_due__is_at_70_to_80_percent(life: timedelta, jitter: float) -> None:
    assert 0.7 <= (policy.due_at(AT, life, jitter) - AT) / life <= 0.8 + 1e-6


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


@pytest.mark.parametrize("jitter", [0.0, 0.5, 1.0])
def test_refused_account__is_tried_five_times_in_the_first_hour(jitter: float) -> None:
    tried_at = [timedelta()]
    while tried_at[-1] < timedelta(hours=2):
        tried_at.append(tried_at[-1] + policy.refused_retry_in(len(tried_at) - 1, jitter))

    assert sum(at <= timedelta(hours=1) for at in tried_at) == 5
    assert tried_at[-1] - tried_at[-2] <= timedelta(minutes=30)


@pytest.mark.parametrize(("probes", "longest"), [(0, 5), (1, 10), (4, 80), (5, 90), (10**9, 90)])
def test_probe__is_made_within_a_minute_and_a_half(probes: int, longest: int) -> None:
    assert policy.probe_in(probes, 1.0) == timedelta(seconds=longest)
    assert policy.probe_in(probes, 0.0) == timedelta(seconds=longest) * 5 / 6


@pytest.mark.parametrize(
    ("fault", "failed", "working", "agree"),
    [
        (Fault.UNCLEAR, 1, 0, True),  # the only account that worked
        (Fault.UNCLEAR, 1, 1, False),
        (Fault.UNCLEAR, 2, 1, True),
        (Fault.UNCLEAR, 2, 6, True),
        (Fault.UNCLEAR, 2, 8, False),
        (Fault.UNCLEAR, 3, 8, True),
        (Fault.UNCLEAR, 19, 400, False),
        (Fault.UNCLEAR, 20, 400, True),
        (Fault.TRANSIENT, 1, 0, False),
        (Fault.TRANSIENT, 2, 0, False),
        (Fault.TRANSIENT, 3, 0, True),
        (Fault.ACCOUNT, 2, 5, False),
        (Fault.RESTRICTED, 3, 5, True),
    ],
)
def test_accounts_agree__when_enough_of_them_fail_in_a_row(
    fault: Fault, failed: int, working: int, agree: bool
) -> None:
    assert policy.accounts_agree(fault, failed, working) is agree


@pytest.mark.parametrize(
    ("error", "stops"),
    [
        (QuotaExceeded(45009, path=COMPONENT_TOKEN), True),
        (APIError(40013, path=COMPONENT_TOKEN), True),
        (SystemBusy(-1, path=COMPONENT_TOKEN), False),
        (Unreachable(COMPONENT_TOKEN, "timeout"), False),
        (PlatformFault(61004, path=GET_AUTHORIZER_LIST), True),
        (QuotaExceeded(45009, path=GET_AUTHORIZER_LIST), False),  # the list's own quota
        (PlatformFault(40125, path=START_PUSH_TICKET), True),
        (PlatformFault(61004, path=AUTHORIZER_TOKEN), False),
        (TicketMissing("none yet"), False),
    ],
)
def test_stops_the_platform__only_in_answer_to_a_call_of_its_own(error: WeChatOpenError, stops: bool) -> None:
    assert policy.stops_the_platform(error) is stops


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (QuotaExceeded(45009), "45009"),
        (SystemBusy(-1), "busy"),
        (Unreachable("/path", "timeout"), "busy"),
        (policy.NoTokenGiven("none"), "NoTokenGiven"),
    ],
)
def test_reason__is_the_errcode_or_that_there_was_no_answer(error: WeChatOpenError, reason: str) -> None:
    assert policy.reason_of(error) == reason


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


@dataclass(frozen=True)
class Limits:
    """The settings' defaults."""

    token_wait: timedelta = timedelta(seconds=10)
    renewal_threads: int = 16
    renewals_per_second: float = 60
    brake_accounts: int = 20
    brake_share: float = 0.05


@pytest.mark.parametrize(
    ("turned", "total", "brake"),
    [
        (0, 0, Brake.OFF),
        (1, 1, Brake.OFF),  # its number proves nothing: it takes another proof
        (1, 2, Brake.OFF),
        (2, 2, Brake.ON),
        (2, 3, Brake.ON),
        (2, 4, Brake.ON),
        (2, 5, Brake.SLOW),
        (2, 40, Brake.SLOW),
        (2, 41, Brake.OFF),
        (19, 19, Brake.ON),
        (19, 100, Brake.SLOW),
        (20, 100, Brake.ON),
        (20, 401, Brake.OFF),
        (5000, 100_000, Brake.ON),
        (4999, 100_000, Brake.OFF),
    ],
)
def test_brake__is_a_matter_of_the_share(turned: int, total: int, brake: Brake) -> None:
    assert policy.brake(turned, total, Limits()) is brake


def test_brake_of_one_account__can_be_configured() -> None:
    assert policy.brake(1, 50, Limits(brake_accounts=1, brake_share=0)) is Brake.ON

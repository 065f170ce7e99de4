"""When is a token renewed, and what does a failure mean?

Pure decisions: values in, values out. All windows are fractions of the life that WeChat named, so a token that lives
twenty seconds is kept as well as one that lives two hours.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import Enum

from ..exceptions import (
    AccountRestricted,
    NotAuthorized,
    PlatformFault,
    QuotaExceeded,
    RefreshTokenRefused,
    TicketRefused,
    TokenRefused,
    TokenUnavailable,
    WeChatOpenError,
)

LEASE = timedelta(minutes=1)
"""How long a claim holds. A worker that died is replaced after that."""

DUE_FROM, DUE_TO = 0.7, 0.8
URGENT_SHARE = 0.1
URGENT_AT_MOST = timedelta(minutes=5)

FIRST_RETRY = timedelta(seconds=5)
LAST_RETRY = timedelta(minutes=5)
REFUSED_RETRY = timedelta(minutes=30)
SHORTEST_RETRY = timedelta(seconds=1)

REFUSED_FOR = timedelta(days=1)
"""WeChat must refuse every token for this long before an account needs re-authorization."""

GONE_FOR = timedelta(hours=1)
"""WeChat must say for this long, by refusal, info and list, that an account is gone, before we believe it."""

RESTRICTED_FOR = timedelta(hours=1)
"""For so long an account that WeChat has frozen or closed is looked at as if it were a passing fault."""

RESTRICTED_RETRY = timedelta(days=1)
"""After that; an operator, a push and the owner's new authorization look at once."""

FORCED_APART = timedelta(minutes=1)
"""Renewals of the component token that are forced by a refusal are at least this far apart."""


class NoTokenGiven(TokenUnavailable):
    """WeChat has no refresh token for the account, in no answer: it may own no API that would need one (4.1)."""


class Blame(Enum):
    """Whose fault is a failed renewal?"""

    RESTRICTED = "restricted"
    """WeChat has frozen or closed this account, or banned its API: mark it and look rarely."""
    ACCOUNT = "account"
    """WeChat refuses this account's tokens: walk the ladder."""
    PLATFORM = "platform"
    """Secret, whitelist, quota, ticket, component token: stop for all accounts, blame none."""
    WEATHER = "weather"
    """Busy, unreachable, unknown: repeat later."""


def blame(error: WeChatOpenError) -> Blame:
    """Sort a failure. Whatever nobody has seen before is weather: it is repeated and changes no account's state."""
    if isinstance(error, (RefreshTokenRefused, NotAuthorized, NoTokenGiven)):
        return Blame.ACCOUNT
    if isinstance(error, AccountRestricted):
        return Blame.RESTRICTED
    if isinstance(error, (PlatformFault, QuotaExceeded, TicketRefused, TokenRefused, TokenUnavailable)):
        return Blame.PLATFORM
    return Blame.WEATHER


def due_at(obtained_at: datetime, life: timedelta, luck: float) -> datetime:
    """A random moment at 70 to 80 % of the life; ``luck`` is from 0 to 1. The spread is also the jitter."""
    return obtained_at + life * (DUE_FROM + (DUE_TO - DUE_FROM) * luck)


def urgent_at(obtained_at: datetime | None, expires_at: datetime) -> datetime:
    """From when a caller no longer goes on with the old token but renews it in line."""
    life = expires_at - obtained_at if obtained_at else timedelta()
    return expires_at - min(URGENT_AT_MOST, life * URGENT_SHARE)


def retry_in(failures: int, luck: float, *, at_most: timedelta = LAST_RETRY) -> timedelta:
    """Exponential back-off with full jitter; ``failures`` counts the ones before this."""
    ceiling: timedelta = min(at_most, FIRST_RETRY * 2 ** min(failures, 16))
    return max(SHORTEST_RETRY, ceiling * luck)


def restricted_retry_in(restricted_for: timedelta, failures: int, luck: float, *, many: bool) -> timedelta:
    """When to look again at an account that WeChat restricts; ``many`` of them at once are a fault of another kind."""
    if many or restricted_for < RESTRICTED_FOR:
        return retry_in(failures, luck, at_most=REFUSED_RETRY)
    return RESTRICTED_RETRY * (0.9 + luck / 10)


def pause_for(error: WeChatOpenError, luck: float) -> timedelta:
    """How long a platform rests after a fault of its own: a quota comes back slowly, the rest is looked at soon."""
    longest = timedelta(minutes=15) if isinstance(error, QuotaExceeded) else timedelta(minutes=1)
    return longest * (0.5 + luck / 2)


def cached_for(obtained_at: datetime | None, expires_at: datetime, now: datetime) -> tuple[timedelta, timedelta]:
    """How long a cached token saves a query, and how long it may still serve when the database is down.

    The first is short, because another process may have renewed: five minutes of two hours.
    """
    life = expires_at - obtained_at if obtained_at else timedelta()
    return min(urgent_at(obtained_at, expires_at) - now, life / 24), expires_at - now

"""When a token is renewed, and what a failure means.

Pure decisions: values in, values out. All windows are fractions of the life that WeChat named, so a token that lives
twenty seconds is kept as well as one that lives two hours.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import Enum
from math import isqrt

from ..client.component import COMPONENT_TOKEN, GET_AUTHORIZER_LIST, START_PUSH_TICKET
from ..exceptions import (
    AccountRestricted,
    APIError,
    ConfigurationError,
    EncryptionError,
    NotAuthorized,
    PlatformFault,
    QuotaExceeded,
    RateLimited,
    RefreshTokenRefused,
    SystemBusy,
    TicketRefused,
    TokenRefused,
    TokenUnavailable,
    Unreachable,
    WeChatOpenError,
)
from ..ports import Limits
from ..stores.tokens import UnusableRow

DUE_FROM, DUE_TO = 0.7, 0.8
URGENT_SHARE = 0.1
URGENT_AT_MOST = timedelta(minutes=5)

FIRST_RETRY = timedelta(seconds=5)
LAST_RETRY = timedelta(minutes=5)
SHORTEST_RETRY = timedelta(seconds=1)

REFUSED_RETRIES = (timedelta(seconds=5), timedelta(minutes=3), timedelta(minutes=12), timedelta(minutes=30))
"""After how long an account is tried again that WeChat has refused once, twice ...: five times in the first hour."""

FIRST_PROBE = timedelta(seconds=5)
LAST_PROBE = timedelta(seconds=90)
"""How far apart single accounts are tried while renewals are paused, at first and at most."""

ACCOUNTS_AT_MOST = 20
"""So many different accounts that fail in a row prove, on a platform of any size, that no account is the cause."""

AFTER_PAUSE = timedelta(seconds=15)
"""When a pause ends, the accounts that failed in it are due within this time."""

REFUSED_FOR = timedelta(days=1)
"""WeChat must refuse every token for this long before an account needs re-authorization."""

GONE_FOR = timedelta(hours=1)
"""WeChat must say for this long, by refusal, info and list, that an account is gone, before its state changes.

That is enough when WeChat renews others meanwhile. Otherwise it must say so for ``REFUSED_FOR``: an incident that
concerns all accounts looks the same to a platform that has one.
"""

TOGETHER = timedelta(hours=2)
"""Accounts that turn bad so far apart may do so for one reason: each is renewed once in this time."""

RESTRICTED_FOR = timedelta(hours=1)
"""For this long a restriction is treated as a transient fault."""

RESTRICTED_RETRY = timedelta(days=1)
"""The interval after that. An operator, a push and the owner's new authorization renew at once."""

FORCED_APART = timedelta(minutes=1)
"""Renewals of the component token that are forced by a refusal are at least this far apart."""


class NoTokenGiven(TokenUnavailable):
    """WeChat has no refresh token for the account, in no answer: it may own no API that would need one."""


class Fault(Enum):
    """What a failed renewal is due to, and so what is done about it."""

    ACCOUNT = "account"
    """WeChat refuses this account's tokens: try the next one in the recovery order."""
    RESTRICTED = "restricted"
    """WeChat has frozen or closed this account, or banned its API: mark it, and try rarely."""
    ROW = "row"
    """This account's row cannot be decrypted, read or written: it fails alone, and says nothing about WeChat."""
    UNCLEAR = "unclear"
    """Secret, whitelist, quota, component token, in answer to a call about one account. It is this account's failure,
    until different accounts agree."""
    HOST = "host"
    """Nothing came back from WeChat: it is this host's fault, until another host gets no answer either."""
    PLATFORM = "platform"
    """No component token can be had: stop for all accounts, and blame none of them."""
    TRANSIENT = "transient"
    """Busy, an answer that cannot be used, unknown: repeat later."""


def fault_of(error: WeChatOpenError) -> Fault:
    """Classify the failure of an account's renewal.

    An unknown one is transient: it is repeated, and changes no account's state.
    """
    if isinstance(error, (EncryptionError, UnusableRow)):
        return Fault.ROW
    if isinstance(error, (RefreshTokenRefused, NotAuthorized, NoTokenGiven)):
        return Fault.ACCOUNT
    if isinstance(error, AccountRestricted):
        return Fault.RESTRICTED
    if is_hosts_own(error):
        return Fault.HOST
    if isinstance(error, (TokenUnavailable, ConfigurationError)) or _call(error) == COMPONENT_TOKEN:
        return Fault.PLATFORM
    if isinstance(error, (PlatformFault, QuotaExceeded, TicketRefused, TokenRefused)):
        return Fault.UNCLEAR
    return Fault.TRANSIENT


def is_hosts_own(error: WeChatOpenError) -> bool:
    """Whether nothing came back from WeChat: then another host may be answered."""
    return isinstance(error, Unreachable) and not error.answered


def was_asked(error: WeChatOpenError) -> bool:
    """Whether the call that failed so may have reached WeChat: there was a token for it, and a connection."""
    return error.sent if isinstance(error, Unreachable) else not isinstance(error, TokenUnavailable)


HALF = 0.5
"""Such a share of all accounts is an incident, however few they are."""


class Brake(Enum):
    """Whether so many accounts turn bad at once that the cause may be WeChat, and not they."""

    OFF = "off"
    SLOW = "slow"
    """WeChat has to say for a day that an account is gone."""
    ON = "on"
    """No account's state changes: an operator has to look."""


def brake(turned: int, total: int, limits: Limits) -> Brake:
    """The brake when ``turned`` accounts of ``total`` have turned bad around the same time.

    It is on from BRAKE_ACCOUNTS and BRAKE_SHARE, and from half of all accounts. One account alone never is an incident
    by its number: the caller needs another proof that WeChat answers for the rest.
    """
    by_share = turned >= limits.brake_share * total
    if turned >= limits.brake_accounts and by_share:
        return Brake.ON
    if turned < 2 or not by_share:
        return Brake.OFF
    return Brake.ON if turned >= HALF * total else Brake.SLOW


def stops_the_platform(error: WeChatOpenError) -> bool:
    """Whether WeChat says, in answer to a call of the platform's own, that no account's tokens can be renewed."""
    if _call(error) == COMPONENT_TOKEN:
        return isinstance(error, APIError) and not isinstance(error, (SystemBusy, RateLimited))
    return _call(error) in (GET_AUTHORIZER_LIST, START_PUSH_TICKET) and isinstance(error, PlatformFault)


def _call(error: WeChatOpenError) -> str:
    """The call that failed so; empty when it was none."""
    return error.path if isinstance(error, (APIError, Unreachable)) else ""


def reason_of(error: WeChatOpenError) -> str:
    """What different accounts must fail with to agree: the same errcode, or no usable answer."""
    if isinstance(error, (SystemBusy, Unreachable)):
        return "busy"
    return str(error.errcode) if isinstance(error, APIError) else type(error).__name__


def accounts_agree(fault: Fault, failed: int, working: int) -> bool:
    """Whether WeChat or the platform is the cause, and not an account.

    ``failed`` different accounts have newly failed for one reason and none was renewed in between; ``working`` have
    not failed. The more accounts there are, the more must agree: with the square root of them, calls that fail at
    random never look like an incident. Where none is left that works, an answer that is blamed on the platform is.
    """
    if fault is Fault.UNCLEAR and not working:
        return True
    at_least = 2 if fault is Fault.UNCLEAR else 3
    return failed >= max(at_least, min(ACCOUNTS_AT_MOST, isqrt(failed + working)))


def due_at(obtained_at: datetime, life: timedelta, jitter: float) -> datetime:
    """A random moment at 70 to 80 % of the life; ``jitter`` is from 0 to 1."""
    return obtained_at + life * (DUE_FROM + (DUE_TO - DUE_FROM) * jitter)


def urgent_at(obtained_at: datetime | None, expires_at: datetime) -> datetime:
    """From when a caller no longer uses the old token but renews it itself."""
    life = expires_at - obtained_at if obtained_at else timedelta()
    return expires_at - min(URGENT_AT_MOST, life * URGENT_SHARE)


def retry_in(failures: int, jitter: float, *, at_most: timedelta = LAST_RETRY) -> timedelta:
    """Exponential back-off with full jitter; ``failures`` counts the ones before this."""
    ceiling: timedelta = min(at_most, FIRST_RETRY * 2 ** min(failures, 16))
    return max(SHORTEST_RETRY, ceiling * jitter)


def refused_retry_in(failures: int, jitter: float) -> timedelta:
    """When to try an account again that WeChat has refused; ``failures`` counts the ones before this."""
    return REFUSED_RETRIES[min(failures, len(REFUSED_RETRIES) - 1)] * (0.9 + jitter / 10)


def restricted_retry_in(restricted_for: timedelta, failures: int, jitter: float, *, many: bool) -> timedelta:
    """When to try a restricted account again. ``many`` of them at once are the platform's or WeChat's fault."""
    if many or restricted_for < RESTRICTED_FOR:
        return refused_retry_in(failures, jitter)
    return RESTRICTED_RETRY * (0.9 + jitter / 10)


def probe_in(probes: int, jitter: float) -> timedelta:
    """When one account, or the component token, is tried again; ``probes`` counts the attempts that failed before."""
    longest: timedelta = min(LAST_PROBE, FIRST_PROBE * 2 ** min(probes, 16))
    return longest * (5 / 6 + jitter / 6)


def cached_for(obtained_at: datetime | None, expires_at: datetime, now: datetime) -> tuple[timedelta, timedelta]:
    """How long a cached token answers readers, and how long it may be used while the database is down.

    The first is short, because another process may have renewed the token: five minutes of two hours.
    """
    life = expires_at - obtained_at if obtained_at else timedelta()
    return min(urgent_at(obtained_at, expires_at) - now, life / 24), expires_at - now

"""What becomes of a stored account, given its entry of WeChat's list.

Pure decisions: values in, values out. The list may be outdated: its page was sent before the row was read, and WeChat
may list a refresh token for some time after it was replaced. So the stored token is replaced only where WeChat lists a
newer grant; otherwise a listed token is tried when the stored one is refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum

from ..client.component import Listed
from ..models import Authorizer
from ..secret import Secret

State = Authorizer.State

LIST_LAG = timedelta(minutes=10)
"""For so long WeChat may list a refresh token that was replaced."""

LOST_FOR = timedelta(days=4)
"""For so long after its first refusal, which is three days of being lost, an account is tried hourly, then daily."""

CLOCKS_DIFFER = timedelta(minutes=5)
"""A grant's provisional time, the database's when it came, is before WeChat's by no more than the clocks differ."""

A_DAY = timedelta(days=1)


class Difference(Enum):
    """What is to be done about an account."""

    NONE = "none"
    """It is as WeChat has it; or it changed after the list was asked for, and the next list decides."""
    TIME = "time"
    """The grant is known, under a provisional time."""
    FALLBACK = "fallback"
    """WeChat lists another refresh token for the same grant: try it after the stored one."""
    GRANT = "grant"
    """WeChat has a newer grant, whose push was missed."""
    GRANT_IN_USE = "grant in use"
    """WeChat has a newer grant, and the stored refresh token was obtained under it."""
    LOST = "lost"
    """It needs its owner here, and WeChat lists it: try again whether WeChat takes one of its tokens."""
    ENDED = "ended"
    """It has ended here, and WeChat lists a newer grant."""
    ENDED_SINCE = "ended since"
    """It has ended here since, or in the second of, the listed grant: WeChat's record of the account decides."""


@dataclass(frozen=True)
class Account:
    """What is stored about an account, as far as it decides."""

    state: str
    granted_at: datetime | None
    """The time of its grant, or of its end."""
    obtained_at: datetime | None
    leased: bool
    refresh_token: Secret
    previous_refresh_token: Secret
    refused_since: datetime | None = None
    failed_at: datetime | None = None


def compare(account: Account, entry: Listed, asked_at: datetime) -> Difference:
    """``asked_at`` is the database's time before the page with this entry was asked for."""
    newer = account.granted_at is None or entry.authorized_at > account.granted_at
    if account.state == State.UNAUTHORIZED:
        return Difference.ENDED if newer else Difference.ENDED_SINCE
    if account.leased or _obtained_after(account, asked_at):
        return Difference.NONE
    lost = account.state == State.NEEDS_REAUTHORIZATION
    known = not entry.refresh_token or entry.refresh_token in (account.refresh_token, account.previous_refresh_token)
    if _is_another(account, entry) or (newer and (lost or not known)):
        return Difference.GRANT_IN_USE if _obtained_after(account, entry.authorized_at) else Difference.GRANT
    if lost:
        return Difference.LOST if _is_tried_again(account, asked_at) else Difference.NONE
    if newer:
        return Difference.TIME
    if known or _obtained_after(account, asked_at - LIST_LAG):
        return Difference.NONE
    return Difference.FALLBACK


def _is_another(account: Account, entry: Listed) -> bool:
    """Whether the listed grant is too late to be the stored one. A renewal may have met its token before its push."""
    return account.granted_at is not None and entry.authorized_at - account.granted_at > CLOCKS_DIFFER


def _obtained_after(account: Account, at: datetime) -> bool:
    return account.obtained_at is not None and account.obtained_at >= at


def _is_tried_again(account: Account, asked_at: datetime) -> bool:
    if account.refused_since is None or account.failed_at is None:
        return True
    return asked_at - account.refused_since < LOST_FOR or asked_at - account.failed_at >= A_DAY

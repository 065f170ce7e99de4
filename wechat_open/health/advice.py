"""What an account needs next: one sentence and the actions that fit, decided from its row; the most urgent wins."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.utils.translation import gettext as _

from ..db.times import utc_now
from ..formats import ago, duration, sentences
from ..models import Authorizer, Component
from ..protocol import errcodes
from ..protocol.errcodes import Reaction
from ..translation import describe_errcode, translate
from .statistics import LATE, OVERDUE

_OF_PLATFORM = {Reaction.PLATFORM, Reaction.QUOTA, Reaction.TICKET}
_TOKEN_REFUSED = {Reaction.RECOVER, Reaction.REAUTHORIZE}


@dataclass(frozen=True)
class Advice:
    """``actions`` are names of the admin's actions, the fitting one first; ``tone`` is as in ``admin.display.tag``."""

    tone: str
    message: str
    actions: tuple[str, ...] = ()
    of_platform: bool = False
    """The platform's page says more."""


def for_account(account: Authorizer) -> Advice:
    now = utc_now()
    return next(advice for rule in _RULES if (advice := rule(account, now)))


def _unauthorized(account: Authorizer, now: datetime) -> Advice | None:
    if account.state != Authorizer.State.UNAUTHORIZED:
        return None
    if account.unauthorized_at:
        message = _(
            "The owner took the authorization back %(ago)s. Ask the owner to authorize again, or forget the account."
        ) % {"ago": ago(account.unauthorized_at)}
    else:
        message = _(
            "The owner has taken the authorization back. Ask the owner to authorize again, or forget the account."
        )
    return Advice("off", message, ("ask", "forget"))


def _lost(account: Authorizer, now: datetime) -> Advice | None:
    if account.state != Authorizer.State.NEEDS_REAUTHORIZATION:
        return None
    message = _("WeChat has refused every token of this account. Only its owner can fix that, by authorizing again.")
    return Advice("bad", message, ("ask", "reconcile"))


def _restricted(account: Authorizer, now: datetime) -> Advice | None:
    if not account.restricted_since:
        return None
    message = _(
        "WeChat restricted this account %(ago)s: %(why)s. Only its owner can have that lifted, at WeChat. "
        "It is checked once a day; you can also check it now."
    )
    return Advice("bad", message % {"ago": ago(account.restricted_since), "why": _last_error(account)}, ("refresh",))


def _platform_stuck(account: Authorizer, now: datetime) -> Advice | None:
    if not _is_stuck(account.component, now):
        return None
    message = _("The platform has no component access token, and without one no account's token is renewed.")
    return Advice("bad" if _has_expired(account, now) else "busy", message, of_platform=True)


def _is_stuck(platform: Component, now: datetime) -> bool:
    """Whether it has no token, and none is on its way: there is no ticket to get one with, or that fails."""
    ends_at = platform.access_token_expires_at
    if platform.access_token and ends_at is not None and ends_at > now:
        return False
    return platform.failures > 0 or not platform.tickets.exists()


def _failing(account: Authorizer, now: datetime) -> Advice | None:
    if not account.failures:
        return None
    expired, next_at = _has_expired(account, now), account.next_action_at
    again = (
        _("It is tried again in %(time)s.") % {"time": duration(next_at - now)}
        if next_at and next_at > now
        else _("It is about to be tried again.")
    )
    message = (
        _("The token has expired and cannot be renewed: %(why)s. %(again)s")
        if expired
        else _("The token still works, but renewing it fails: %(why)s. %(again)s")
    ) % {"why": _last_error(account), "again": again}
    tone = "bad" if expired else "busy"
    known = errcodes.lookup(account.last_errcode) if account.last_errcode is not None else None
    reaction = known.reaction if known else None
    if reaction in _OF_PLATFORM:
        return Advice(tone, sentences(message, _("The platform is at fault and not this account.")), of_platform=True)
    return Advice(tone, message, ("reconcile",) if reaction in _TOKEN_REFUSED else ("refresh",))


def _late(account: Authorizer, now: datetime) -> Advice | None:
    """By the thresholds of the health checks, so that dashboard, list and page mean the same accounts."""
    expires_at, due_at = account.access_token_expires_at, account.next_action_at
    if expires_at is not None and expires_at < now - LATE:
        message = _(
            "The token expired %(time)s ago and has not been renewed. Check that a worker is running; "
            "you can also refresh the token now."
        )
        return Advice("bad", message % {"time": duration(now - expires_at)}, ("refresh",))
    if due_at is not None and due_at < now - OVERDUE:
        message = _(
            "The renewal is overdue by %(time)s. Check that a worker is running; you can also refresh the token now."
        )
        return Advice("busy", message % {"time": duration(now - due_at)}, ("refresh",))
    return None


def _doubtful(account: Authorizer, now: datetime) -> Advice | None:
    if not (account.refused_since or account.missing_since or account.needs_reconcile):
        return None
    message = _(
        "The stored tokens may be wrong. They are compared with WeChat's records soon; you can also compare them now."
    )
    return Advice("busy", message, ("reconcile",))


def _without_profile(account: Authorizer, now: datetime) -> Advice | None:
    if account.profile_synced_at is not None:
        return None
    return Advice("busy", _("The profile has not been read from WeChat yet."), ("sync",))


def _nothing_to_do(account: Authorizer, now: datetime) -> Advice:
    if account.access_token_expires_at is None:
        return Advice("off", _("WeChat has given no token: the account may own no API. Nothing to do."))
    if account.next_action_at is None:
        return Advice("good", _("Nothing to do."))
    left = duration(max(account.next_action_at - now, timedelta()))
    return Advice("good", _("Nothing to do. The token is renewed automatically in %(time)s.") % {"time": left})


_RULES: tuple[Callable[[Authorizer, datetime], Advice | None], ...] = (
    _unauthorized,
    _lost,
    _restricted,
    _platform_stuck,
    _failing,
    _late,
    _doubtful,
    _without_profile,
    _nothing_to_do,
)
"""The most urgent first; the last one always has an advice."""


def _has_expired(account: Authorizer, now: datetime) -> bool:
    return account.access_token_expires_at is not None and account.access_token_expires_at <= now


def _last_error(account: Authorizer) -> str:
    text = describe_errcode(account.last_errcode, account.last_rid) or translate(account.last_error)
    return text.rstrip(".")

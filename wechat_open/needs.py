"""What does an account need now?

One sentence and at most one thing to do, decided from its row; the most urgent first.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from django.utils.translation import gettext as _

from .health import thresholds
from .health.finding import ago, duration, sentences
from .models import Authorizer, Component
from .protocol import errcodes
from .protocol.errcodes import Reaction
from .telling import explained, translated
from .times import utc_now

_NOT_ITS_FAULT = {Reaction.PLATFORM, Reaction.QUOTA, Reaction.TICKET}
_REFUSED = {Reaction.LADDER, Reaction.REAUTHORIZE}


@dataclass(frozen=True)
class Need:
    """``actions`` are names of the admin's actions, the fitting one first; ``tone`` as in ``shown.tag``."""

    tone: str
    said: str
    actions: tuple[str, ...] = ()
    of_platform: bool = False
    """The platform's page says more."""


def of(account: Authorizer) -> Need:
    """What to tell whoever opens the account's page."""
    now = utc_now()
    if account.state == Authorizer.State.UNAUTHORIZED:
        left = account.unauthorized_at
        said = (
            _("The owner took the authorization back %(ago)s. Ask the owner to authorize again, or forget the account.")
            % {"ago": ago(left)}
            if left
            else _(
                "The owner has taken the authorization back. Ask the owner to authorize again, or forget the account."
            )
        )
        return Need("off", said, ("ask_again", "forget"))
    if account.state == Authorizer.State.NEEDS_REAUTHORIZATION:
        return Need(
            "bad",
            _("WeChat has refused every token of this account. Only its owner can fix that, by authorizing again."),
            ("ask_again", "reconcile"),
        )
    if account.restricted_since:
        why = explained(account.last_errcode, account.last_rid) or translated(account.last_error)
        said = _(
            "WeChat restricted this account %(ago)s: %(why)s. Only its owner can have that lifted, at WeChat. It is "
            "looked at once a day, or now."
        )
        return Need("bad", said % {"ago": ago(account.restricted_since), "why": why.rstrip(".")}, ("refresh_now",))
    expires_at, due_at = account.access_token_expires_at, account.next_action_at
    if _is_stuck(account.component):
        said = _("The platform has no component access token, and without one no account's token is renewed.")
        return Need("bad" if expires_at is not None and expires_at <= now else "busy", said, of_platform=True)
    if account.failures:
        return _failing(account, expired=expires_at is not None and expires_at <= now)
    # Late by the thresholds of health, so that the dashboard, the list and this page speak of the same accounts.
    expired = expires_at is not None and expires_at < now - thresholds.LATE
    if expired or (due_at is not None and due_at < now - thresholds.OVERDUE):
        late = duration(now - (expires_at if expired and expires_at else due_at or now))
        said = (
            _(
                "The token expired %(time)s ago and has not been renewed. Check that a worker is running; "
                "you can also refresh the token now."
            )
            if expired
            else _(
                "The renewal is overdue by %(time)s. Check that a worker is running; you can also refresh "
                "the token now."
            )
        )
        return Need("bad" if expired else "busy", said % {"time": late}, ("refresh_now",))
    if account.refused_since or account.missing_since or account.needs_reconcile:
        return Need(
            "busy",
            _(
                "The stored tokens may be wrong. They are compared with WeChat's records soon; you can "
                "also compare them now."
            ),
            ("reconcile",),
        )
    if account.profile_synced_at is None:
        return Need("busy", _("The profile has not been read from WeChat yet."), ("sync_profile",))
    if expires_at is None:
        return Need("off", _("WeChat has given no token: the account may own no API. Nothing to do."))
    if due_at is None:
        return Need("good", _("Nothing to do."))
    return Need(
        "good",
        _("Nothing to do. The token is renewed automatically in %(time)s.")
        % {"time": duration(max(due_at - now, timedelta()))},
    )


def _is_stuck(platform: Component) -> bool:
    """Whether it has no token, and none is on its way: no ticket could buy one, or buying it fails."""
    ends_at = platform.access_token_expires_at
    if platform.access_token and ends_at is not None and ends_at > utc_now():
        return False
    return platform.failures > 0 or not platform.tickets.exists()


def _failing(account: Authorizer, *, expired: bool) -> Need:
    why = explained(account.last_errcode, account.last_rid) or translated(account.last_error)
    soon = account.next_action_at
    again = (
        _("It is tried again in %(time)s.") % {"time": duration(soon - utc_now())}
        if soon and soon > utc_now()
        else _("It is about to be tried again.")
    )
    said = (
        _("The token has expired and cannot be renewed: %(why)s. %(again)s")
        if expired
        else _("The token still works, but renewing it fails: %(why)s. %(again)s")
    )
    told = said % {"why": why.rstrip("."), "again": again}
    known = errcodes.lookup(account.last_errcode) if account.last_errcode is not None else None
    tone = "bad" if expired else "busy"
    if known is not None and known.reaction in _NOT_ITS_FAULT:
        whose = _("The platform is at fault and not this account.")
        return Need(tone, sentences(told, whose), of_platform=True)
    refused = known is not None and known.reaction in _REFUSED
    return Need(tone, told, ("reconcile",) if refused else ("refresh_now",))

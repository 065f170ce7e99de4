"""How a grant enters and leaves custody.

Grants are ordered by WeChat's time (CreateTime, auth_time, the Date of the exchange), never by ours: a late push
cannot undo a newer grant. When two changes carry the same second, or a cancellation is older than the tokens that are
stored, nothing is guessed: the account is marked, and the next renewal asks WeChat. All writes are compare-and-set on
``fence`` and ``grant_epoch``. They leave the lease as it is: a worker may have a call in flight with the old token, and
the next one begins when that has ended.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

from .. import platforms
from ..client.component import Grant, authorizer_info
from ..exceptions import NotAuthorized, RefreshTokenRefused, WeChatOpenError
from ..models import AHEAD, AuthorizationLink, Authorizer
from ..platforms import Platform
from ..secret import Secret
from ..stores.authorizers import decrypted
from ..stores.grants import GrantStore
from ..text import TranslatableText as _
from .authorizers import AuthorizerKeeper
from .policy import due_at
from .recovery import LeasedCalls

logger = logging.getLogger(__name__)

TOKENS_KEPT = timedelta(days=7)
"""How long the refresh tokens of an account remain, encrypted, after its grant ended: that may have been a mistake."""

ATTEMPTS = 20
"""Rounds of compare-and-set before giving up; in each lost round another process has written."""


def keep(
    platform: Platform,
    grant: Grant,
    *,
    granted_at: datetime | None,
    link: AuthorizationLink | None = None,
    newer: Callable[[Authorizer], bool] | None = None,
    asked_at: datetime | None = None,
    together: Callable[[Authorizer, int], object] | None = None,
) -> Authorizer:
    """Store what an authorization code brought; returns the account's row as it is afterwards.

    ``granted_at`` is WeChat's time, None when unknown. An older grant than the stored one changes nothing; ``newer``
    decides that for a caller that has more than the time to go by. ``asked_at`` is the database's time at which WeChat
    was asked for the tokens, or before, None for now: those that custody has asked for since, or has obtained with
    these, are newer, and stay.
    Tokens that are absent from the grant never overwrite stored ones. ``together`` writes what belongs to the grant of
    this epoch, in the same transaction; what it raises undoes the grant.
    """
    jitter = platform.environment.timing.jitter
    for _attempt in range(ATTEMPTS):
        row = find(platform, grant.appid)
        at = granted_at
        if at and at > row.read_at + AHEAD:  # type: ignore[attr-defined]  # or no later grant would count
            at = None
        if not (newer(row) if newer else _is_newer(row, at)):
            logger.info("An older grant of account %s arrived late; the newer one stands.", grant.appid)
            return row
        obtained_at: datetime = asked_at or row.read_at  # type: ignore[attr-defined]
        renewed = _has_newer_tokens(row, obtained_at) or _was_used(row, grant.refresh_token)
        doubtful = renewed or at is None or bool(row.grant_changed_at and row.grant_changed_at >= at)
        kept = replace(grant, access=None, refresh_token=Secret()) if renewed else grant
        due = due_at(obtained_at, grant.access.expires_in, jitter()) if grant.access and not doubtful else None
        if _store(platform).keep(
            row, kept, at, link, obtained_at=obtained_at, doubtful=doubtful, due_at=due, together=together
        ):
            platform.environment.cache.forget(f"{platform.appid}:{grant.appid}")
            return find(platform, grant.appid)
    raise _keeps_changing(grant.appid)


def date(authorizer: Authorizer, epoch: int, granted_at: datetime, platform: Platform | None = None) -> None:
    """A push has WeChat's time of a grant that the redirect brought first: order by that from now on."""
    _store(platform or platforms.for_component(authorizer.component)).date(authorizer.pk, epoch, granted_at)


def withdraw(platform: Platform, appid: str, at: datetime) -> tuple[Authorizer, bool]:
    """The owner took the grant back at WeChat's time ``at``; the row, and whether this changed it.

    An unknown account leaves a row without tokens, so that its late ``authorized`` push is recognised as older.
    """
    store = _store(platform)
    for _attempt in range(ATTEMPTS):
        row = find(platform, appid)
        if row.state == Authorizer.State.UNAUTHORIZED and row.grant_changed_at and at <= row.grant_changed_at:
            return row, False
        if row.grant_changed_at and at < row.grant_changed_at:
            logger.info("An older unauthorized push of account %s arrived late; the newer grant stands.", appid)
            store.record_cancellation(row, at)
            return row, False
        # WeChat has taken a refresh token since: perhaps one of a newer grant, which custody has met before its push.
        doubtful = at == row.grant_changed_at or _has_newer_tokens(row, at)
        if store.doubt(row, at) if doubtful else store.withdraw(row, at):
            platform.environment.cache.forget(f"{platform.appid}:{appid}")
            return find(platform, appid), not doubtful
    raise WeChatOpenError(
        _("The cancellation by account %(appid)s could not be stored: its row keeps changing.", appid=appid)
    )


def ask_again(platform: Platform, authorizer: Authorizer, listed: Secret | None = None) -> bool:
    """Ask WeChat whether it still, or again, has the grant of an account that is lost here; True when it is kept again.

    Only a token that works proves it. False when WeChat says that there is no grant, or another has stored one first.
    ``listed`` is the refresh token of WeChat's list, for a caller that knows it to be of the very grant that is lost:
    then the account stays with its tenant.
    """
    return platform.environment.outside_atomic(lambda: _ask_again(platform, authorizer.appid, listed))


def _ask_again(platform: Platform, appid: str, listed: Secret | None) -> bool:
    keeper = AuthorizerKeeper(platform, appid)
    lease = keeper.take_lost()
    if lease is None:
        return False
    calls = LeasedCalls(keeper, lease)
    try:
        found = _found(calls, listed)
        return found is not None and _keep_found(calls, *found, same=listed is not None)
    finally:
        if not calls.in_flight:
            keeper.store.give_back(calls.lease)


def _found(calls: LeasedCalls, listed: Secret | None) -> tuple[Grant, Secret] | None:
    """The grant that WeChat has, and the token that it has taken; None when there is none."""
    try:
        info = calls.ask(authorizer_info(calls.platform, calls.appid))
    except NotAuthorized:
        return None
    refused: WeChatOpenError | None = None
    lease = calls.lease
    for used in dict.fromkeys([info.refresh_token, listed, lease.refresh_token, lease.previous_refresh_token]):
        if used:
            try:
                answer = calls.refresh(used)
            except (RefreshTokenRefused, NotAuthorized) as error:
                refused = error
                continue
            fresh = answer.refresh_token or used
            return Grant(calls.appid, answer.access, fresh, info.func_info, None, info.lists_sets), used
    if refused is not None:
        raise refused
    return None


def _keep_found(calls: LeasedCalls, found: Grant, used: Secret, *, same: bool) -> bool:
    """Store it, unless another has stored a grant meanwhile: then the next renewal asks WeChat which one is current.

    An account that is found by its own token, or by one of the ``same`` grant, stays with its tenant.
    """
    epoch, own = calls.lease.grant_epoch, (calls.lease.refresh_token, calls.lease.previous_refresh_token)
    link = find(calls.platform, calls.appid).granted_through if same or used in own else None
    row = keep(calls.platform, found, granted_at=None, link=link, newer=lambda row: row.grant_epoch == epoch)
    if decrypted(row, "refresh_token")[0] == found.refresh_token:
        return True
    calls.store.mark_for_reconciliation(row.pk)
    return False


def _is_newer(row: Authorizer, granted_at: datetime | None) -> bool:
    before = row.grant_changed_at
    return not (before and granted_at and granted_at < before)


def _has_newer_tokens(row: Authorizer, asked_at: datetime) -> bool:
    """Whether the stored tokens were asked for later than ``asked_at``: a worker was paused with the older ones."""
    obtained_at = row.access_token_obtained_at
    return row.state == Authorizer.State.AUTHORIZED and obtained_at is not None and obtained_at > asked_at


def _was_used(row: Authorizer, refresh_token: Secret) -> bool:
    """Whether the stored tokens were obtained with this one, or have replaced it.

    Times alone do not decide: each worker notes one some time before it sends its request.
    """
    used = decrypted(row, "previous_refresh_token")[0]
    return row.state == Authorizer.State.AUTHORIZED and bool(used) and used == refresh_token


def find(platform: Platform, appid: str) -> Authorizer:
    """The account's row, annotated with the database's time; made, without tokens, when there is none."""
    store = _store(platform)
    row = store.read(appid)
    if row is None:
        store.create(appid)
        row = store.read(appid)
    if row is None:
        raise _keeps_changing(appid)
    if row.appid != appid:  # MySQL and MariaDB compare without case; one account's tokens are not another's
        raise WeChatOpenError(
            _("Account %(appid)s cannot be stored beside %(other)s in this database.", appid=appid, other=row.appid)
        )
    return row


def _keeps_changing(appid: str) -> WeChatOpenError:
    return WeChatOpenError(
        _("The grant of account %(appid)s could not be stored: its row keeps changing.", appid=appid)
    )


def _store(platform: Platform) -> GrantStore:
    return platform.environment.grant_store(platform.row)

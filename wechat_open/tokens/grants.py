"""How does a grant enter and leave custody?

Grants are ordered by WeChat's time (CreateTime, auth_time, the Date of the exchange), never by ours: a late push
cannot undo a newer grant. When two changes carry the same second, nothing is guessed: the account is marked, and the
next renewal asks WeChat. All writes are compare-and-set on ``fence`` and ``grant_epoch``.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime
from typing import Any

from django.db.models import F

from .. import clock
from ..component import Platform
from ..endpoints import Grant
from ..exceptions import NotAuthorized, WeChatOpenError
from ..models import AHEAD, AuthorizationLink, Authorizer, func_key, to_announce, update_row
from ..sentence import Sentence as _
from . import cache
from .custody import as_component
from .policy import due_at
from .store import withdrawn
from .world import WORLD

logger = logging.getLogger(__name__)

ATTEMPTS = 20
"""Compare-and-set rounds before giving up; each lost round means that somebody else has written."""


def keep(
    platform: Platform,
    grant: Grant,
    *,
    granted_at: datetime | None,
    link: AuthorizationLink | None = None,
    newer: Callable[[Authorizer], bool] | None = None,
) -> Authorizer:
    """Store what an authorization code brought; returns the account's row as it is afterwards.

    ``granted_at`` is WeChat's time, None when unknown. An older grant than the stored one changes nothing; ``newer``
    decides that for a caller who knows more than the time. Tokens that are absent from the grant (4.1) never overwrite
    stored ones.
    """
    for _attempt in range(ATTEMPTS):
        row = find(platform, grant.appid)
        at = granted_at
        if at and at > row.read_at + AHEAD:  # type: ignore[attr-defined]  # or no later grant would count
            at = None
        if not (newer(row) if newer else _is_newer(row, at)):
            logger.info("An older grant of account %s arrived late; the newer one stands.", grant.appid)
            return row
        if _compare_and_set(row, _granted(row, grant, at, link)):
            cache.forget(f"{platform.appid}:{grant.appid}")
            return find(platform, grant.appid)
    raise WeChatOpenError(
        _("The grant of account %(appid)s could not be stored: its row keeps changing.", appid=grant.appid)
    )


def date(authorizer: Authorizer, epoch: int, granted_at: datetime) -> None:
    """A push tells WeChat's time of a grant that the redirect brought first: order by that from now on."""
    row = Authorizer.objects.filter(pk=authorizer.pk, grant_epoch=epoch)
    row.update(grant_changed_at=granted_at, authorized_at=granted_at)
    # An unauthorized push may have been judged too old against the provisional time: ask WeChat.
    row.filter(unauthorized_at__gte=granted_at).update(
        needs_reconcile=True, next_action_at=clock.now(), claimed_until=None, fence=F("fence") + 1
    )


def withdraw(platform: Platform, appid: str, at: datetime) -> tuple[Authorizer, bool]:
    """The owner took the grant back at WeChat's time ``at``; the row, and whether this changed it.

    An account that nobody knows leaves a tombstone, so that its late ``authorized`` push is recognised as older.
    """
    for _attempt in range(ATTEMPTS):
        row = find(platform, appid)
        if row.state == Authorizer.State.UNAUTHORIZED and row.grant_changed_at and at <= row.grant_changed_at:
            return row, False
        if row.grant_changed_at and at < row.grant_changed_at:
            logger.info("An older unauthorized push of account %s arrived late; the newer grant stands.", appid)
            update_row(row, unauthorized_at=at)
            return row, False
        if row.grant_changed_at and at == row.grant_changed_at:
            changes: dict[str, Any] = {"needs_reconcile": True, "next_action_at": clock.now(), "unauthorized_at": at}
        else:
            changes = {
                **withdrawn(at),
                "state": Authorizer.State.UNAUTHORIZED,
                "grant_changed_at": at,
                "grant_epoch": row.grant_epoch + 1,
                "claimed_until": None,
                "needs_reconcile": False,
                **to_announce(),
            }
        if _compare_and_set(row, changes):
            cache.forget(f"{platform.appid}:{appid}")
            return find(platform, appid), "state" in changes
    raise WeChatOpenError(
        _("The cancellation by account %(appid)s could not be stored: its row keeps changing.", appid=appid)
    )


def look_again(platform: Platform, authorizer: Authorizer) -> bool:
    """An account that we hold for lost: does WeChat still, or again, have its grant? True when it is kept again.

    Only a token that works proves it. False when WeChat says that there is no grant, or another has stored one first.
    """
    appid = authorizer.appid
    try:
        info = as_component(platform, lambda token: platform.endpoints.authorizer_info(token, appid))
    except NotAuthorized:
        return False
    asked = info.refresh_token or authorizer.reveal("refresh_token")
    if not asked:
        return False
    answer = as_component(platform, lambda token: platform.endpoints.authorizer_token(token, appid, asked))
    if not Authorizer.objects.filter(pk=authorizer.pk, grant_epoch=authorizer.grant_epoch).exists():
        return False
    found = Grant(appid, answer.access, answer.refresh_token or asked, info.func_info, None, info.says_sets)
    keep(platform, found, granted_at=None)
    return True


def _is_newer(row: Authorizer, granted_at: datetime | None) -> bool:
    before = row.grant_changed_at
    return not (before and granted_at and granted_at < before)


def _granted(
    row: Authorizer, grant: Grant, granted_at: datetime | None, link: AuthorizationLink | None
) -> dict[str, Any]:
    """The columns that change."""
    before = row.grant_changed_at
    doubtful = granted_at is None or bool(before and before >= granted_at)
    current, fresh = row.reveal("refresh_token"), grant.refresh_token
    changes: dict[str, Any] = {
        "state": Authorizer.State.AUTHORIZED,
        "grant_epoch": row.grant_epoch + 1,
        "claimed_until": None,
        "failures": 0,
        "last_errcode": None,
        "last_error": "",
        "last_rid": "",
        "refused_since": None,
        "restricted_since": None,
        "missing_since": None,
        "due_since": None,
        "needs_reconcile": doubtful,
        "profile_synced_at": None,
        "profile_due_at": None,
        "granted_through": link,
        **to_announce(),
        "next_action_at": row.read_at,  # type: ignore[attr-defined]  # an annotation
    }
    if grant.says_sets:
        changes |= {"func_info": list(grant.func_info), "func_key": func_key(grant.func_info)}
    if granted_at is not None:
        changes |= {"grant_changed_at": granted_at, "authorized_at": granted_at}
    elif not row.authorized_at:
        changes["authorized_at"] = row.read_at  # type: ignore[attr-defined]
    if fresh and fresh != current:
        changes["refresh_token"] = row.seal("refresh_token", fresh.reveal())
        changes["previous_refresh_token"] = row.seal("previous_refresh_token", current.reveal())
    if grant.access is not None:
        obtained_at: datetime = row.read_at  # type: ignore[attr-defined]
        changes |= {
            "access_token": row.seal("access_token", grant.access.token.reveal()),
            "access_token_obtained_at": obtained_at,
            "access_token_expires_at": obtained_at + grant.access.expires_in,
        }
        if not doubtful:
            changes["next_action_at"] = due_at(obtained_at, grant.access.expires_in, WORLD.luck())
    else:  # a re-authorization kills the old access token at once (4.1)
        changes["access_token_expires_at"] = row.read_at  # type: ignore[attr-defined]
    return changes


def find(platform: Platform, appid: str) -> Authorizer:
    """The account's row with the database's time on it, made (as a tombstone) when there is none."""
    Authorizer.objects.get_or_create(
        component=platform.row, appid=appid, defaults={"state": Authorizer.State.UNAUTHORIZED}
    )
    rows = Authorizer.objects.annotate(read_at=clock.read()).select_related("component")
    row = rows.get(component=platform.row, appid=appid)
    if row.appid != appid:  # MySQL and MariaDB compare without case; one account's tokens are not another's
        raise WeChatOpenError(
            _("Account %(appid)s cannot be stored beside %(other)s in this database.", appid=appid, other=row.appid)
        )
    return row


def _compare_and_set(row: Authorizer, changes: dict[str, Any]) -> bool:
    unchanged = Authorizer.objects.filter(pk=row.pk, fence=row.fence, grant_epoch=row.grant_epoch)
    return bool(unchanged.update(fence=row.fence + 1, **changes))

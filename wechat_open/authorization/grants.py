"""The exchange of an authorization code, once, though it comes by redirect and by push; and the end of a grant.

``complete_redirect`` and ``complete_push`` bind the code to its link (``codes``). The first to take the lease exchanges
the code and stores the grant: ``order`` decides whether it is newer than the stored one, ``tenants`` which link the
account belongs to. The second adds WeChat's time of the grant, if it is the push.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

from .. import platforms
from ..client.component import QUERY_AUTH, Grant, authorizer_info, query_auth
from ..db.locks import LockTimedOut
from ..environment import ENVIRONMENT
from ..exceptions import (
    AccountRestricted,
    AuthorizationRefused,
    CodeRefused,
    EncryptionError,
    GrantSuperseded,
    LinkUsed,
    TokenUnavailable,
    Unreachable,
    WeChatOpenError,
)
from ..models import AuthorizationAttempt, AuthorizationLink, Authorizer, CodeExchange
from ..platforms import Platform
from ..protocol.errcodes import error_for
from ..rounds import NO_DEADLINE, Deadline, each
from ..secret import Secret, hide_variables
from ..stores.exchanges import EXCHANGE_LEASE, ExchangeLost
from ..text import TranslatableText as _
from ..tokens import as_component
from ..tokens import grants as custody
from ..tokens import reconcile as reconcile_tokens
from ..tokens.reconciliation import ReconciliationReport
from . import codes, tenants
from .announcements import announce, announce_all
from .links import link_revoked
from .order import GrantOrder
from .pages import RETURN_LIFE
from .profiles import try_sync_profile

logger = logging.getLogger(__name__)

EXCHANGE_WAIT = 15.0
"""Seconds for which the second to bring a code waits for the first."""

CODE_RESTS_FOR = timedelta(seconds=5)
"""For how long a browser does not have a code exchanged again after a failure. A refusal by WeChat is final for it."""


# -- the code arrives --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Arrival:
    """A code, and what came with it."""

    platform: Platform
    code: Secret
    granted_at: datetime | None = None
    """WeChat's time of the grant: only a push carries it."""
    appid: str = ""
    """The account, if a push names it."""
    by_browser: bool = False


def complete_redirect(attempt: AuthorizationAttempt, code: Secret, platform: Platform | None = None) -> Authorizer:
    """The owner came back by redirect. A state is good for one code; the same code may come again (a reload).

    LinkRevoked when the link was revoked in the meantime, LinkUsed when it has connected another account,
    GrantSuperseded when the account was authorized again since: WeChat's grant is kept, but not for the link's tenant.
    CodeOfAnotherLink when the code belongs to another authorization. Never shares a transaction of the caller.
    """
    arrival = _Arrival(platform or platforms.for_component(attempt.link.component), code, by_browser=True)
    environment = arrival.platform.environment

    def complete() -> Authorizer:
        codes.use_state(arrival.platform, attempt, code)
        return _exchange_once(arrival, codes.bind_to_view(arrival.platform, code, attempt))

    try:
        authorizer = environment.outside_atomic(complete)
    except WeChatOpenError as error:
        if not environment.link_store().is_revoked(attempt.link_id):
            raise
        # The owner has nothing to repeat: the push, or else the reconciliation, brings what WeChat has granted.
        raise link_revoked() from error
    _require_connected(environment.link_store().read(attempt.link_id), authorizer)
    return authorizer


def complete_push(
    platform: Platform,
    code: Secret,
    *,
    pre_auth_code: Secret | None = None,
    granted_at: datetime | None = None,
    appid: str = "",
    without_link: bool = False,
) -> Authorizer:
    """WeChat pushed the code; the account with its tokens.

    ``pre_auth_code`` ties it to the link that started it, ``granted_at`` is the push's CreateTime, ``appid`` the
    account that the push names; ``without_link`` says that such a push never comes from a link. Never shares a
    transaction of the caller.
    """
    arrival = _Arrival(platform, code, granted_at, appid)

    def complete() -> Authorizer:
        return _exchange_once(arrival, codes.bind_to_push(platform, code, pre_auth_code, without_link=without_link))

    return platform.environment.outside_atomic(complete)


def account_of(attempt: AuthorizationAttempt) -> Authorizer | None:
    """The account that came back to this view, if its link has connected that account."""
    exchange = ENVIRONMENT.exchange_store(attempt.link.component).returned_to(attempt)
    if exchange is None or exchange.authorizer_id != attempt.link.authorizer_id:
        return None
    return exchange.authorizer


def _require_connected(link: AuthorizationLink | None, authorizer: Authorizer) -> None:
    """Raise when the account is kept, but not for this link. The caller compares biz_appid."""
    if link is None or link.revoked_at:
        raise link_revoked()
    if link.biz_appid not in ("", authorizer.appid):
        return
    if link.completed_at and link.authorizer_id != authorizer.pk:
        raise LinkUsed(_("Another account has been connected through this link before, and a link connects one."))
    if authorizer.granted_through_id != link.pk:
        raise GrantSuperseded(
            _("The account has been authorized in another way since, and that newer authorization stands.")
        )


# -- it is exchanged once ----------------------------------------------------------------------------------------------


def _exchange_once(arrival: _Arrival, exchange: CodeExchange) -> Authorizer:
    """The account of the code, exchanged by this worker or by the one that was quicker."""
    platform, store = arrival.platform, codes.store_of(arrival.platform)
    exchange = _take_lease(arrival, exchange)
    if exchange.completed_at is not None:
        return _add_time_of_push(arrival, exchange)
    try:
        authorizer = _exchange(arrival, exchange)
        if authorizer.profile_synced_at is None:
            authorizer = try_sync_profile(authorizer, platform)
        announce(authorizer, platform)
    except ExchangeLost:
        return _exchange_once(arrival, exchange)
    except (WeChatOpenError, LockTimedOut) as error:
        rest = RETURN_LIFE if isinstance(error, CodeRefused) else CODE_RESTS_FOR
        if isinstance(error, Unreachable) and not error.sent:  # another host may be able to send it
            rest = timedelta()
        store.fail(exchange, rest, getattr(error, "errcode", None))
        raise
    store.complete(exchange.pk)
    return authorizer


def _take_lease(arrival: _Arrival, exchange: CodeExchange) -> CodeExchange:
    """Take the right to exchange this code, or wait until the worker that has it is done.

    A browser may present one code without end. Where WeChat has refused it, or gave no answer a moment ago, the browser
    gets the same answer again, and WeChat is not asked.
    """
    store, timing = codes.store_of(arrival.platform), arrival.platform.environment.timing
    ends_at = timing.monotonic() + EXCHANGE_WAIT
    while True:
        taken = store.take(exchange.pk, rested=arrival.by_browser)
        exchange = taken or store.read(exchange.pk)
        if taken or exchange.completed_at is not None:
            return exchange
        if arrival.by_browser and store.rests(exchange.pk):
            raise _last_error(exchange)
        if timing.monotonic() > ends_at:
            raise TokenUnavailable(_("This authorization code is being exchanged, and that takes unusually long."))
        timing.sleep(0.1)


def _last_error(exchange: CodeExchange) -> WeChatOpenError:
    if exchange.last_errcode is not None:
        return error_for(exchange.last_errcode, "", path=QUERY_AUTH)
    return TokenUnavailable(_("The authorization code could not be exchanged a moment ago. Try again in some seconds."))


def _exchange(arrival: _Arrival, exchange: CodeExchange) -> Authorizer:
    """Ask WeChat, unless a worker that was killed already has."""
    platform = arrival.platform
    if exchange.authorizer is not None:
        return _add_time_of_push(arrival, exchange)
    if kept := _kept_answer(exchange):
        grant, asked_at = kept
        return _store(arrival, exchange, grant, asked_at, of_this_code=True)
    assert exchange.leased_until is not None
    asked_at = exchange.leased_until - EXCHANGE_LEASE.length
    try:
        grant = as_component(platform, query_auth(platform, arrival.code))
    except (CodeRefused, AccountRestricted):
        # Used, perhaps by a worker of this site whose answer was lost: WeChat still has what it granted. Only a push
        # proves whose code it was; a code that comes by redirect could be made up.
        if not arrival.appid:
            raise
        return _store_grant_on_record(arrival, exchange, arrival.appid)
    _keep_answer(platform, exchange, grant, asked_at)
    return _store(arrival, exchange, grant, asked_at, of_this_code=True)


def _keep_answer(platform: Platform, exchange: CodeExchange, grant: Grant, asked_at: datetime) -> None:
    """At once, because WeChat gives it once."""
    codes.store_of(platform).keep_answer(exchange, _as_text(grant, asked_at))


def _as_text(grant: Grant, asked_at: datetime) -> Secret:
    """A grant as it is kept: without the access token, whose life is counted from the request.

    In a function of its own: Django's error page shows the variables of each frame of an error.
    """
    return Secret(
        json.dumps(
            {
                "appid": grant.appid,
                "refresh_token": grant.refresh_token.reveal(),
                "func_info": grant.func_info,
                "lists_sets": grant.lists_sets,
                "answered_at": grant.answered_at.timestamp() if grant.answered_at else None,
                "asked_at": asked_at.timestamp(),
            }
        )
    )


@hide_variables
def _kept_answer(exchange: CodeExchange) -> tuple[Grant, datetime] | None:
    """The grant that a worker received which was killed before it had stored it, and when WeChat was asked for it."""
    try:
        text = exchange.reveal("answer")
    except EncryptionError as error:
        logger.error("What an authorization code was exchanged for cannot be read. %s", error)
        return None
    if not text:
        return None
    answer = json.loads(text.reveal())
    answered_at = answer["answered_at"]
    grant = Grant(
        answer["appid"],
        None,
        Secret(answer["refresh_token"]),
        tuple(answer["func_info"]),
        datetime.fromtimestamp(answered_at, timezone.utc) if answered_at is not None else None,
        answer["lists_sets"],
    )
    return grant, datetime.fromtimestamp(answer["asked_at"], timezone.utc)


def _add_time_of_push(arrival: _Arrival, exchange: CodeExchange) -> Authorizer:
    """The code was exchanged before; a push that comes second adds the time of the grant."""
    authorizer, granted_at = exchange.authorizer, arrival.granted_at
    if authorizer is None:  # its account was deleted since
        raise AuthorizationRefused(_("This authorization was completed, and its account has been removed since."))
    if granted_at is not None and exchange.grant_epoch is not None:
        custody.date(authorizer, exchange.grant_epoch, granted_at, arrival.platform)
    stored = authorizer.grant_changed_at
    if granted_at is not None and exchange.grant_epoch is None and (stored is None or granted_at >= stored):
        # It had been taken for an older grant than the stored one; this push says that it is newer, or the very one.
        authorizer = _store_grant_on_record(arrival, exchange, authorizer.appid)
    else:
        authorizer = tenants.settle(arrival.platform, exchange)
    announce(authorizer, arrival.platform)
    return authorizer


def finish_exchanges(platform: Platform, limit: int = 50, deadline: Deadline = NO_DEADLINE) -> int:
    """Exchange the codes that browsers brought to workers that were killed or got no answer; how many are done now.

    No browser needs to come again, and WeChat pushes nothing when an owner authorizes the same permission sets again.
    """

    def finish(exchange: CodeExchange) -> bool:
        _exchange_once(_Arrival(platform, exchange.reveal("code"), by_browser=True), exchange)
        return True

    waiting = codes.store_of(platform).unfinished(limit, since=RETURN_LIFE)
    return each(waiting, finish, deadline, what="The code of %s could not be exchanged")


# -- and stored --------------------------------------------------------------------------------------------------------


def _store_grant_on_record(arrival: _Arrival, exchange: CodeExchange, appid: str) -> Authorizer:
    """Store the grant that WeChat has on record; NotAuthorized when it has none."""
    asked_at: datetime = custody.find(arrival.platform, appid).read_at  # type: ignore[attr-defined]  # an annotation
    info = as_component(arrival.platform, authorizer_info(arrival.platform, appid))
    grant = Grant(appid, None, info.refresh_token, info.func_info, None, info.lists_sets)
    return _store(arrival, exchange, grant, asked_at, of_this_code=False)


def _store(
    arrival: _Arrival,
    exchange: CodeExchange,
    grant: Grant,
    asked_at: datetime,
    *,
    of_this_code: bool,
) -> Authorizer:
    """Store the grant that WeChat was asked for at ``asked_at``, unless the account has a newer one.

    It is for the tenant of the code's link. That this code has brought it is written in the same transaction: a worker
    whose lease on the code has ended stores nothing, and one that takes over from a dead one does not store it again.
    """
    platform, granted_at = arrival.platform, arrival.granted_at
    store, fence = codes.store_of(platform), exchange.fence

    def stored(account: Authorizer, epoch: int | None) -> None:
        store.grant_stored(exchange.pk, fence, account, epoch)

    exchange = store.read_leased(exchange.pk, fence)  # a push may have named the link meanwhile
    link = tenants.reserve_link(platform, exchange, custody.find(platform, grant.appid))
    order = GrantOrder(platform, exchange, grant, granted_at, link, of_this_code)
    at = granted_at or grant.answered_at
    authorizer = custody.keep(
        platform, grant, granted_at=at, link=link, newer=order, asked_at=asked_at, together=stored
    )
    if order.superseded:
        stored(authorizer, None)
    if link is not None:
        platform.environment.link_store().use(link.pk, authorizer)  # unless it was revoked meanwhile: settle notices
    return tenants.settle(platform, exchange)


# -- it ends -----------------------------------------------------------------------------------------------------------


def end(platform: Platform, appid: str, at: datetime) -> Authorizer:
    """The owner took the grant back at WeChat's time ``at``."""
    authorizer, changed = custody.withdraw(platform, appid, at)
    if changed:
        announce(authorizer, platform)
    return authorizer


def has_ended(platform: Platform, appid: str, *, since: datetime) -> bool:
    """Whether the grant of WeChat's time ``since``, which WeChat denies, is known to have ended.

    A push said so, of a later time or of the same second; or custody has found it out since.
    """
    return platform.environment.authorizer_store(platform.row).ended_since(appid, since)


def reconcile(
    platform: Platform,
    progress: Callable[[int, int], object] | None = None,
    announced: Callable[[int], object] | None = None,
) -> ReconciliationReport:
    """Compare with WeChat's list now, repair, and send the signals about all that changed, now or before.

    For ``progress`` see ``tokens``; ``announced`` is called now and then with how many accounts have been announced.
    """
    report = reconcile_tokens(platform, progress)
    announce_all(platform, progress=announced)
    return report

"""The link that an authorization code belongs to.

A code belongs to one view of one connect page for good. WeChat's push is authoritative: its PreAuthCode names the link,
or says that none of this platform's links was used. Until the push comes, the first browser that returns with the code
(and with a state of its own) has it. Presenting the code in any other place is refused, logged, recorded in the audit
trail and reported by the health check ``misused_codes``.
"""

from __future__ import annotations

import logging
from datetime import timedelta

from .. import audit
from ..db.encryption import digest
from ..exceptions import AuthorizationRefused, CodeOfAnotherLink
from ..models import AuthorizationAttempt, CodeExchange
from ..platforms import Platform
from ..secret import Secret
from ..stores.exchanges import ExchangeStore
from ..text import TranslatableText as _

logger = logging.getLogger(__name__)

RETURN_AFTER_PUSH = timedelta(minutes=10)
"""How long after a code was first seen a browser may still bring it, when no push has named a link for it.

WeChat sends the browser back within seconds. A code that turns up in a log or a history does so later.
"""

RETURNS_TAKEN = 50
"""Views of one link whose codes are taken to WeChat. An owner needs one; the others are made up."""


def store_of(platform: Platform) -> ExchangeStore:
    return platform.environment.exchange_store(platform.row)


def use_state(platform: Platform, attempt: AuthorizationAttempt, code: Secret) -> None:
    """AuthorizationRefused for a second code with the same state, and for ever more states of one link."""
    links = platform.environment.link_store()
    if links.returned_to(attempt.link_id, but=attempt, most=RETURNS_TAKEN) >= RETURNS_TAKEN:
        raise AuthorizationRefused(_("Too many returns from WeChat have come through this link. Ask for a new one."))
    brought = code_digest(code)
    if not links.use_state(attempt, brought) and not store_of(platform).is_of(attempt, brought):
        raise AuthorizationRefused(_("This return from WeChat has been used before."))


def bind_to_view(platform: Platform, code: Secret, attempt: AuthorizationAttempt) -> CodeExchange:
    """A browser has brought the code with the state of ``attempt``; CodeOfAnotherLink when the code is not its own."""
    store = store_of(platform)
    exchange = store.find(code_digest(code))
    if not store.bind_to_view(exchange, attempt, code, after_push=RETURN_AFTER_PUSH):
        _report(platform, exchange, attempt)
        raise CodeOfAnotherLink(
            _("This return from WeChat belongs to another authorization, and was refused. This has been reported.")
        )
    return exchange


def bind_to_push(
    platform: Platform, code: Secret, pre_auth_code: Secret | None, *, without_link: bool = False
) -> CodeExchange:
    """WeChat has pushed the code. The first push decides; without a PreAuthCode it names no link and excludes none.

    ``without_link`` says that this kind of push never comes from one of our links.
    """
    store, links = store_of(platform), platform.environment.link_store()
    exchange = store.find(code_digest(code))
    if not pre_auth_code and not without_link:
        return exchange
    digest_of_page = digest(pre_auth_code.reveal(), "pre-auth code") if pre_auth_code else ""
    view = links.view_of(platform.row, digest_of_page) if digest_of_page else None
    while True:
        exchange = store.read(exchange.pk)
        if exchange.pushed_at is not None:
            if exchange.pre_auth_code_digest != digest_of_page:
                logger.error("One authorization code was pushed with two pre-auth codes; the first one counts.")
            return exchange
        first = exchange.attempt
        agrees = first is not None and first.pre_auth_code_digest == digest_of_page
        if store.bind_to_push(exchange, digest_of_page, view, keeps_view=agrees):
            break
    if first is not None and not agrees:
        _report(platform, exchange, first)
    if view is not None:
        links.stop_sharing(view.link_id)
    return exchange


def code_digest(code: Secret) -> str:
    return digest(code.reveal(), "authorization code")


def _report(platform: Platform, exchange: CodeExchange, attempt: AuthorizationAttempt) -> None:
    """Record that a code was presented where it does not belong: for operators, and for the health check."""
    account = exchange.authorizer
    link = attempt.link
    logger.error(
        "An authorization code was presented through link #%s, to which it does not belong (account %s). It may have "
        "been read in a log or a history.",
        link.pk,
        account.appid if account else "not known yet",
    )
    platform.environment.audit.record(
        audit.Kind.CODE_MISUSED, platform.row, account=account, user=attempt.user, detail=f"#{link.pk}"
    )
    platform.environment.link_store().misused(attempt)  # afterwards, so that it is reported even after a crash

"""To which link does an authorization code belong?

A code belongs to one view of one connect page for good. WeChat's push is authoritative: its PreAuthCode names the link,
or says that none of this platform's links was used. Until the push comes, the first browser that returns with the code
(and with a state of its own) has it. Presenting the code in any other place is refused, logged, recorded in the audit
trail and reported by the health check ``misused_codes``.
"""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any

from django.db.models import F, Q

from . import clock, journal
from .component import Platform
from .exceptions import CodeOfAnotherLink
from .models import AuthorizationAttempt, AuthorizationLink, CodeExchange
from .sealing import digest
from .secret import Secret
from .sentence import Sentence as _

logger = logging.getLogger(__name__)

RETURN_AFTER_PUSH = timedelta(minutes=10)
"""How long after a code was first seen a browser may still bring it, when no push has named a link for it.

WeChat sends the browser back within seconds. A code that turns up in a log or a history does so later.
"""


def find(owner: Platform, code: Secret) -> CodeExchange:
    """The row of this code, created if it has not been seen before."""
    exchange, _created = CodeExchange.objects.get_or_create(
        component=owner.row, digest=code_digest(code), defaults={"created_at": clock.now()}
    )
    return exchange


def is_of(attempt: AuthorizationAttempt, code: Secret) -> bool:
    """Whether this code is known as the one of this view."""
    known = CodeExchange.objects.filter(component=attempt.link.component_id, digest=code_digest(code), attempt=attempt)
    return known.exists()


def returned(owner: Platform, code: Secret, attempt: AuthorizationAttempt) -> CodeExchange:
    """A browser has brought the code back with the state of ``attempt``; CodeOfAnotherLink when it is not its code."""
    exchange = find(owner, code)
    unclaimed = Q(
        pushed_at__isnull=True,
        created_at__gte=attempt.created_at,
        created_at__gt=clock.now() - RETURN_AFTER_PUSH,
    )
    named_by_push = Q(pushed_at__isnull=False, link=attempt.link_id, pre_auth_code_digest=attempt.pre_auth_code_digest)
    row = CodeExchange.objects.filter(pk=exchange.pk)
    bound = row.filter(unclaimed | named_by_push, returned_at__isnull=True).update(
        returned_at=clock.now(), attempt=attempt, link=attempt.link_id
    )
    if not bound and not row.filter(returned_at__isnull=False, attempt=attempt).exists():
        report(exchange, attempt)
        raise CodeOfAnotherLink(
            _("This return from WeChat belongs to another authorization, and was refused. This has been reported.")
        )
    return exchange


def pushed(owner: Platform, code: Secret, pre_auth_code: Secret | None, *, without_link: bool = False) -> CodeExchange:
    """WeChat has pushed the code. The first push decides; without a PreAuthCode it names no link and excludes none.

    ``without_link`` says that this kind of push never comes from one of our links.
    """
    exchange = find(owner, code)
    if not pre_auth_code and not without_link:
        return exchange
    digest_of_page = digest(pre_auth_code.reveal(), "pre-auth code") if pre_auth_code else ""
    view = view_of(owner, digest_of_page) if digest_of_page else None
    while True:
        exchange = CodeExchange.objects.select_related("attempt__link").get(pk=exchange.pk)
        if exchange.pushed_at is not None:
            if exchange.pre_auth_code_digest != digest_of_page:
                logger.error("One authorization code was pushed with two pre-auth codes; the first one counts.")
            return exchange
        agrees = exchange.attempt is not None and exchange.attempt.pre_auth_code_digest == digest_of_page
        changes: dict[str, Any] = {"pushed_at": clock.now(), "pre_auth_code_digest": digest_of_page}
        changes["link_id"] = view.link_id if view else None
        if not agrees:
            changes |= {"attempt": view, "returned_at": None}
        unchanged = CodeExchange.objects.filter(
            pk=exchange.pk, pushed_at__isnull=True, returned_at__isnull=exchange.returned_at is None
        )
        before = {"attempt": exchange.attempt_id} if exchange.attempt_id else {"attempt__isnull": True}
        if unchanged.filter(**before).update(**changes):
            if exchange.attempt is not None and not agrees:
                report(exchange, exchange.attempt)
            if view is not None:
                stop_sharing(view.link_id)
            return exchange


def view_of(owner: Platform, pre_auth_code_digest: str) -> AuthorizationAttempt | None:
    """A view that was given this pre-auth code. Several may share one; the view that was returned to comes first."""
    views = AuthorizationAttempt.objects.filter(
        pre_auth_code_digest=pre_auth_code_digest, link__component=owner.row
    ).select_related("link")
    return views.order_by(F("used_at").desc(nulls_last=True), "-pk").first()


def stop_sharing(link_id: int) -> None:
    """The owner has acted: the next view of this link gets a pre-auth code of its own."""
    AuthorizationLink.objects.filter(pk=link_id).update(pre_auth_code="", pre_auth_code_shared_until=None)


def report(exchange: CodeExchange, attempt: AuthorizationAttempt) -> None:
    """Record that a code was presented where it does not belong: for operators, and for the health check."""
    account = exchange.authorizer
    link = attempt.link
    logger.error(
        "An authorization code was presented through link #%s, to which it does not belong (account %s). It may have "
        "been read in a log or a history.",
        link.pk,
        account.appid if account else "not known yet",
    )
    journal.note(journal.Kind.CODE_MISUSED, link.component, account=account, user=attempt.user, detail=f"#{link.pk}")


def code_digest(code: Secret) -> str:
    return digest(code.reveal(), "authorization code")

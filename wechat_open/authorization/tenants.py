"""Which link, and so which tenant of the site, an account belongs to.

A link connects one account. An account stays with the tenant of its newest grant, in whatever order the grants arrive;
through a revoked link, or a link that another account has used, it is kept for no tenant.
"""

from __future__ import annotations

import logging

from ..db.rows import alone
from ..models import AuthorizationLink, Authorizer, CodeExchange
from ..platforms import Platform
from .announcements import announce
from .links import user_has_left

logger = logging.getLogger(__name__)


def settle(platform: Platform, exchange: CodeExchange) -> Authorizer:
    """Bring the account to the tenant of the link that the code belongs to now; usually it is there already.

    A push can name another link than the one that a browser returned to before. An account with a newer grant stays
    where it is.
    """
    exchanges, links = platform.environment.exchange_store(platform.row), platform.environment.link_store()
    exchange = exchanges.read(exchange.pk)
    authorizer = exchange.authorizer
    assert authorizer is not None
    if exchange.grant_epoch is None or authorizer.grant_epoch != exchange.grant_epoch:
        return authorizer
    link = _link_of(platform, exchange, authorizer)
    if link is not None and not link.completed_at and not links.use(link.pk, authorizer):
        link = None  # it was revoked, or another account was quicker, in this very moment
    before = authorizer.granted_through_id
    if before == (link.pk if link else None):
        return authorizer
    by_mistake = exchange.created_at if before != exchange.link_id else None
    if links.move(authorizer, link, reopen_since=by_mistake) and before is not None:
        for other in exchanges.kept_for_no_tenant(before):
            with alone(logger, "Exchanged code #%s could not be brought to its link", other.pk):
                announce(settle(platform, other), platform)
    return exchanges.read(exchange.pk).authorizer or authorizer


def reserve_link(platform: Platform, exchange: CodeExchange, authorizer: Authorizer) -> AuthorizationLink | None:
    """The link of the code, which from now on connects this account and no other; None when it may not."""
    link = _link_of(platform, exchange, authorizer)
    if link is not None and not platform.environment.link_store().reserve(link.pk, authorizer):
        return _link_of(platform, exchange, authorizer)  # another was quicker, or the link was revoked: logs which
    return link


def _link_of(platform: Platform, exchange: CodeExchange, authorizer: Authorizer) -> AuthorizationLink | None:
    """The link that brings the account to its tenant; None without one, or when it does not connect this account."""
    if exchange.link_id is None:
        return None
    link = platform.environment.link_store().read(exchange.link_id)
    if link is None or (link.completed_at and link.authorizer_id == authorizer.pk):
        return link
    appid = authorizer.appid
    if link.revoked_at:
        logger.warning("Account %s came through a link that had been revoked: it is for no tenant.", appid)
        return None
    if user_has_left(link):
        logger.warning("Account %s came through the link of a user who has left: it is for no tenant.", appid)
        return None
    if link.biz_appid not in ("", appid):
        logger.error(
            "A link for account %s was used to authorize account %s, which is kept for no tenant.",
            link.biz_appid,
            appid,
        )
        return None
    if link.completed_at or link.authorizer_id not in (None, authorizer.pk):
        logger.error("Account %s came through link #%s, which another account has used.", appid, link.pk)
        return None
    return link

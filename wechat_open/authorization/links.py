"""Authorization links: created, opened by their key, revoked, deleted when they are old.

A link connects one account. Its key is in the address of its connect page; the database keeps a digest to find the
link by, and the key encrypted to show the address again.
"""

from __future__ import annotations

import json
import logging
import secrets
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any

from django.shortcuts import resolve_url
from django.urls import NoReverseMatch
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext

from .. import audit, platforms
from ..conf import DEFAULT_ALIAS, conf
from ..db.encryption import digest
from ..environment import ENVIRONMENT, Environment
from ..exceptions import AuthorizationRefused, EncryptionError, LinkRevoked, LinkUsed
from ..models import AuthorizationLink
from ..platforms import Platform
from ..rounds import NO_DEADLINE, Deadline
from ..secret import Secret
from ..stores.exchanges import ExchangeStore
from ..stores.links import LinkStore
from ..text import TranslatableText as _
from .payloads import payload_error

logger = logging.getLogger(__name__)

AUTH_TYPES = {kind.name.lower(): kind.value for kind in AuthorizationLink.AuthType}
"""Kinds of account that the authorization page offers, by the names that ``begin`` takes."""

APPID = r"\A[A-Za-z0-9_-]{1,64}\Z"
"""The shape of an appid in a form."""

SHORTEST_LIFE, LONGEST_LIFE = timedelta(minutes=6), timedelta(days=30)
"""Bounds of the time for which an operator can leave a link open."""

KEEP_EXCHANGES = timedelta(days=2)
KEEP_VIEWS = timedelta(days=30)
"""How long an operator can look up who opened a link."""

KEEP_LINKS = timedelta(days=90)


def begin(
    *,
    user: Any = None,
    payload: Mapping[str, Any] | None = None,
    auth_type: str | int = "both",
    biz_appid: str = "",
    category_ids: Iterable[int] = (),
    next_url: str = "",
    expires_in: timedelta | None = None,
    component: str | Platform = DEFAULT_ALIAS,
) -> AuthorizationLink:
    """Start an authorization; ``link.get_absolute_url()`` is its connect page.

    ``payload`` is the site's own (JSON-able): it reaches ``authorizer_authorized`` with the account. ``auth_type`` is
    a name from AUTH_TYPES or WeChat's number, ``biz_appid`` the only account that may authorize, ``category_ids`` the
    permission sets to ask for (default: all that the platform has). ``next_url`` is a path or URL of the site for
    afterwards, ``component`` a platform or its alias. Raises ConfigurationError for an unknown platform, ValueError
    for an unknown ``auth_type``, ValueError or TypeError for a ``payload`` that cannot be kept.
    """
    number = AUTH_TYPES.get(auth_type, 0) if isinstance(auth_type, str) else auth_type
    if number not in AUTH_TYPES.values():
        raise ValueError(f"auth_type must be one of {', '.join(AUTH_TYPES)}, or WeChat's number; not {auth_type!r}.")
    payload = dict(payload or {})
    if error := payload_error(payload):
        raise ValueError(f"payload cannot be kept. {error}")
    payload = json.loads(json.dumps(payload))  # as the database returns it; TypeError for what is not JSON
    platform = component if isinstance(component, Platform) else platforms.get(component)
    key = Secret(secrets.token_urlsafe(32))
    signed_in = signed_in_user(user)
    link = AuthorizationLink(
        component=platform.row,
        key_digest=digest(key.reveal(), "link"),
        user_id=signed_in.pk if signed_in else None,
        for_user=signed_in is not None,
        payload=payload,
        auth_type=number,
        biz_appid=biz_appid,
        category_ids=sorted({int(number) for number in category_ids}),
        next_url=next_url,
    )
    link.key = link.encrypt("key", key.reveal())
    platform.environment.link_store().create(link, expires_in or conf.link_life)
    return link.with_key()


def open_link(key: str) -> AuthorizationLink:
    """The link of a connect page; AuthorizationRefused when it is unknown, expired, revoked or already used."""
    link = find_link(key)
    if link is None:
        raise AuthorizationRefused(_("This link is not known here. Ask for a new one."))
    if link.completed_at:
        raise LinkUsed(_("This link has been used: the account is connected."))
    if link.revoked_at:
        raise link_revoked()
    if link.expires_at <= link.read_at:  # type: ignore[attr-defined]  # an annotation
        raise AuthorizationRefused(_("This link has expired. Ask for a new one."))
    if user_has_left(link):
        raise user_left()
    return readable(link)


def find_link(key: str) -> AuthorizationLink | None:
    """The link with this key, whatever its state."""
    return ENVIRONMENT.link_store().find(digest(key, "link"))


def revoke(
    link: AuthorizationLink, *, user: Any = None, actor: str = "", environment: Environment = ENVIRONMENT
) -> bool:
    """Let no account be connected through the link any more; False when one has been. Idempotent.

    The audit trail keeps ``user``, or the name ``actor`` of an operator without a row.
    """
    store = environment.link_store()
    if store.revoke(link.pk):
        environment.audit.record(
            audit.Kind.LINK_REVOKED,
            link.component,
            appid=link.biz_appid,
            user=user,
            actor=actor,
            detail=f"#{link.pk}",
        )
        return True
    return store.is_revoked(link.pk)


def destination(wanted: str, *, hosts: Iterable[str], https: bool) -> str:
    """The address of a page of this site, from a URL's name, a path or a URL; ValueError gives the reason for none."""
    try:
        url = resolve_url(wanted)
    except NoReverseMatch:
        raise ValueError(gettext("This site has no page “%s”.") % wanted) from None
    if not url_has_allowed_host_and_scheme(url, allowed_hosts=set(hosts), require_https=https):
        raise ValueError(gettext("“%s” is not a page of this site.") % wanted)
    return url


def prune(deadline: Deadline = NO_DEADLINE) -> int:
    """Delete old links with their views, and exchanged codes; how many rows."""
    codes = ExchangeStore.prune(KEEP_EXCHANGES, deadline)
    return codes + LinkStore.prune(deadline, keep_views=KEEP_VIEWS, keep_links=KEEP_LINKS)


# -- for the modules beside this one -----------------------------------------------------------------------------------


def signed_in_user(user: Any) -> Any:
    """The user if signed in, else None."""
    return user if getattr(user, "is_authenticated", False) else None


def user_has_left(link: AuthorizationLink) -> bool:
    """Whether the user for whom the link was started has been deleted or deactivated."""
    return link.for_user and (link.user is None or not link.user.is_active)


def user_left() -> AuthorizationRefused:
    return AuthorizationRefused(
        _("The user for whom this was started has no access to this site any more. Ask for a new link.")
    )


def link_revoked() -> LinkRevoked:
    return LinkRevoked(_("This link has been revoked. Ask for a new one."))


def readable(link: AuthorizationLink) -> AuthorizationLink:
    """The link with its address; AuthorizationRefused when its key was encrypted under a lost key."""
    try:
        return link.with_key()
    except EncryptionError as error:
        logger.error("Link #%s cannot be opened: %s", link.pk, error)
        raise AuthorizationRefused(_("This link can no longer be read here. Ask for a new one.")) from error

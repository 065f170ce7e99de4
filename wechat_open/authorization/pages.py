"""One view of a link's connect page: a pre-auth code from WeChat, and a state that is bound to one browser.

The code identifies the link, the state identifies the browser. Views within a few minutes share a code, so that
previews, mail scanners and reloads cost WeChat no call each; once an owner has acted, the next view gets another one.
"""

from __future__ import annotations

import base64
import hmac
import logging
import secrets
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

from django.http import HttpRequest
from django.urls import reverse

from .. import platforms
from ..client.component import create_preauthcode
from ..conf import conf
from ..db.encryption import digest
from ..environment import ENVIRONMENT
from ..exceptions import AuthorizationRefused, EncryptionError, TokenUnavailable, WeChatOpenError
from ..models import AuthorizationAttempt, AuthorizationLink
from ..platforms import Platform
from ..secret import Secret
from ..text import TranslatableText as _
from ..tokens import as_component
from .links import readable, signed_in_user, user_has_left, user_left

logger = logging.getLogger(__name__)

RETURN_LIFE = timedelta(hours=1)
"""How long after a view of the connect page the owner may come back: a pre-auth code lives 10 to 30 minutes."""

CODE_SHARED_FOR = timedelta(minutes=5)
"""For how long further views of a connect page get the same pre-auth code, if that lives twice as long."""

CODE_WAIT = 3.0
"""Seconds for which those wait for it before they answer their visitors: WeChat may be far away."""

CODE_REFUSED_FOR = timedelta(seconds=10)
"""For how long a link's page asks for no other code when WeChat gave none, unless an operator opens it."""

VIEWS_KEPT = 100
"""Views of one link that led to nothing; beyond that the oldest are deleted."""


@dataclass(frozen=True)
class Offer:
    """One view of the connect page. The URLs carry a pre-auth code: they are for this reader, now."""

    attempt: AuthorizationAttempt
    pc_url: str = field(repr=False)
    phone_url: str = field(repr=False)
    expires_at: datetime
    valid_for: timedelta


def offer(
    link: AuthorizationLink,
    *,
    browser: str,
    base_url: str,
    user: Any = None,
    device: str = "",
    operator: bool = False,
    platform: Platform | None = None,
) -> Offer:
    """One view of a link's page: a pre-auth code, and a state bound to this browser.

    ``browser`` is a random secret of this browser, ``base_url`` scheme and host of the page; ``user`` (the signed-in
    reader) and ``device`` ("pc", "phone", "wechat") are kept so that operators can see who opened the link. Raises
    TokenUnavailable (TicketMissing), APIError or Unreachable when WeChat gives no code; for some seconds WeChat is not
    asked again then, except by an ``operator``.
    """
    platform = platform or platforms.for_component(link.component)
    links = platform.environment.link_store()
    code, expires_at, valid_for = _pre_auth_code(platform, link, operator=operator)
    user = signed_in_user(user)
    state = _state(link, code, browser, f"{device}:{user.pk if user else ''}")
    view = AuthorizationAttempt(
        link=link,
        state_digest=digest(state.reveal(), "state"),
        browser_digest=digest(browser, "browser"),
        pre_auth_code_digest=digest(code.reveal(), "pre-auth code"),
        user_id=user.pk if user else None,
        device=device,
    )
    attempt, created = links.keep_view(view, RETURN_LIFE)
    if created:
        links.delete_idle_views(link, VIEWS_KEPT)
    callback_url = base_url + reverse("wechat_open:authorized", kwargs={"state": state.reveal()})
    query = _page_query(platform.appid, code, callback_url, link)
    return Offer(
        attempt=attempt,
        pc_url=f"{conf.authorize_base_url}/cgi-bin/componentloginpage?{query}",
        phone_url=(
            f"{conf.open_base_url}/wxaopen/safe/bindcomponent?action=bindcomponent&no_scan=1&{query}#wechat_redirect"
        ),
        expires_at=expires_at,
        valid_for=valid_for,
    )


def base_url(request: HttpRequest) -> str:
    """Scheme and host that WeChat sees as the connect page's and as the return's; both must be the registered ones."""
    return conf.site_url or f"{request.scheme}://{request.get_host()}"


def find_attempt(state: str, browser: str) -> AuthorizationAttempt:
    """The view of a connect page that a return from WeChat belongs to.

    AuthorizationRefused for a state that is unknown, too old, or was given to another browser, and for a user who has
    been deleted or deactivated since.
    """
    attempt = ENVIRONMENT.link_store().find_view(digest(state, "state"))
    if attempt is None:
        raise AuthorizationRefused(_("This return from WeChat is not known here, or it came too late."))
    if not browser or not secrets.compare_digest(attempt.browser_digest, digest(browser, "browser")):
        raise AuthorizationRefused(_("This authorization was started in another browser."))
    if user_has_left(attempt.link) or (attempt.user is not None and not attempt.user.is_active):
        raise user_left()
    readable(attempt.link)
    return attempt


def _state(link: AuthorizationLink, code: Secret, browser: str, reader: str) -> Secret:
    """The same for the same view, so that a reload stores nothing; only the browser's secret makes it."""
    view = f"{link.key_digest}:{digest(code.reveal(), 'state')}:{reader}"
    made = hmac.digest(browser.encode(), view.encode(), "sha256")
    return Secret(base64.urlsafe_b64encode(made).decode().rstrip("="))


def _pre_auth_code(
    platform: Platform, link: AuthorizationLink, *, operator: bool
) -> tuple[Secret, datetime, timedelta]:
    """The link's young code, or a new one from WeChat; until when, and for how long from now.

    Strangers cost WeChat one call at a time: TokenUnavailable while another view waits for WeChat, and for some seconds
    after it gave no code.
    """
    timing, links = platform.environment.timing, platform.environment.link_store()
    ends_at = timing.monotonic() + CODE_WAIT
    while not links.take_code(link.pk, rested=not operator):
        if shared := _shared_code(platform, link):
            return shared
        waited = timing.monotonic() > ends_at
        if operator and waited:
            break
        if not operator and (waited or links.code_rests(link.pk)):
            raise TokenUnavailable(_("WeChat has given no pre-auth code yet, and will be asked again in some seconds."))
        timing.sleep(0.05)
    try:
        new = as_component(platform, create_preauthcode(platform))
    except WeChatOpenError:
        links.code_refused(link.pk, CODE_REFUSED_FOR)
        raise
    expires_at = links.share_code(
        link, new.code, shared_for=min(CODE_SHARED_FOR, new.expires_in / 2), life=new.expires_in
    )
    return new.code, expires_at, new.expires_in


def _shared_code(platform: Platform, link: AuthorizationLink) -> tuple[Secret, datetime, timedelta] | None:
    """The code that the link's last view was given, if there is one."""
    links = platform.environment.link_store()
    row = links.read(link.pk)
    if row is None:
        return None
    try:
        code = row.reveal("pre_auth_code")
    except EncryptionError as error:
        logger.warning("The pre-auth code of link #%s cannot be read; WeChat is asked for another: %s", link.pk, error)
        links.stop_sharing(link.pk)
        return None
    if not code or row.pre_auth_code_expires_at is None:
        return None
    return code, row.pre_auth_code_expires_at, row.pre_auth_code_expires_at - row.read_at  # type: ignore[attr-defined]


def _page_query(appid: str, code: Secret, callback_url: str, link: AuthorizationLink) -> str:
    """The parameters of WeChat's page in the order that it documents (docs/protocol.rst, "Links")."""
    parameters = [
        ("component_appid", appid),
        ("pre_auth_code", code.reveal()),
        ("redirect_uri", callback_url),
        ("auth_type", str(link.auth_type)),
        ("biz_appid", link.biz_appid),
        ("category_id_list", "|".join(str(number) for number in link.category_ids)),
    ]
    return "&".join(f"{name}={quote(value, safe='')}" for name, value in parameters if value)

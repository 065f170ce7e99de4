"""How does a grant live, from the first link to its end?

``begin`` makes a link; each browser that opens its connect page gets an ``offer`` with a state of its own; the grant
comes back by redirect (``complete_return``) and by push (``complete``), in either order, and is exchanged once; ``end``
takes it away. ``codes`` decides to which link a code belongs. A link connects one account: another account that comes
through it, or any account through a link that was taken back (``revoke``), is kept for no tenant. An account stays with
the tenant of its newest grant, in whatever order the grants arrive.
"""

from __future__ import annotations

import base64
import hmac
import json
import logging
import re
import secrets
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from math import isfinite
from typing import Any
from urllib.parse import quote

from django.db.models import Exists, F, OuterRef, Q
from django.db.models.functions import Coalesce
from django.shortcuts import resolve_url
from django.urls import NoReverseMatch, reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext

from . import clock, codes, journal, signals
from .api import ComponentAPI
from .component import Platform, platform, platform_of
from .conf import DEFAULT_ALIAS, conf
from .endpoints import GET_AUTHORIZER_INFO, QUERY_AUTH, AuthorizerInfo, Grant
from .exceptions import (
    AccountRestricted,
    AuthorizationRefused,
    CodeRefused,
    GrantSuperseded,
    LinkRevoked,
    LinkUsed,
    NotAuthorized,
    SealError,
    TokenUnavailable,
    Unreachable,
    WeChatOpenError,
)
from .models import (
    AHEAD,
    AuthorizationAttempt,
    AuthorizationLink,
    Authorizer,
    CodeExchange,
    func_key,
    search_key,
    to_announce,
    update_row,
)
from .protocol.errcodes import error_for
from .sealing import digest
from .secret import Secret
from .sentence import Sentence as _
from .tokens import grants, sweep
from .tokens.sweep import SweepReport
from .tokens.world import outside_transactions

logger = logging.getLogger(__name__)

AUTH_TYPES = {kind.name.lower(): kind.value for kind in AuthorizationLink.AuthType}
"""Kinds of account that the authorization page offers, by the names that ``begin`` takes."""

APPID = r"\A[A-Za-z0-9_-]{1,64}\Z"
"""What is taken for an appid where a person writes one."""

SHORTEST_LIFE, LONGEST_LIFE = timedelta(minutes=6), timedelta(days=30)
"""For how long an operator can have a link open."""

DEEPEST = 30
"""Levels of a tenant's JSON; MariaDB takes 31."""

TOO_DEEP = _("It is nested too deeply: %(count)d levels at most.", count=DEEPEST)

_NO_CHARACTER = re.compile("[\x00\ud800-\udfff]")
"""What PostgreSQL, or MariaDB, takes in no JSON."""

RETURN_LIFE = timedelta(hours=1)
"""How long after a view of the connect page the owner may come back: a pre-auth code lives 10 to 30 minutes."""

EXCHANGE_LEASE = timedelta(minutes=1)
EXCHANGE_WAIT = 15.0
"""Seconds for which the second to bring a code waits for the first."""

CODE_RESTS_FOR = timedelta(seconds=5)
"""For how long a browser does not have a code taken to WeChat again when that failed. A refusal is final for it."""

PROFILE_LEASE = timedelta(minutes=1)
PROFILE_RETRY, PROFILE_LAST_RETRY = timedelta(minutes=5), timedelta(hours=6)
"""After the second failure, and at last, a profile is tried again that much later."""

LARGEST = 2**31 - 1
"""The largest number that each database takes in a column."""

PAGE_OPEN_FOR = timedelta(minutes=5)
"""For how long further views of a connect page are given the same pre-auth code, if that lives twice as long.

Previews, mail scanners and reloads then cost WeChat no code each.
"""

CODE_ASKED_FOR = timedelta(seconds=15)
"""How long one view that asks WeChat for a code keeps the others of its link from asking too."""

CODE_WAIT = 3.0
"""Seconds for which those wait for it, before they say so to their visitors: WeChat may be far away."""

CODE_REFUSED_FOR = timedelta(seconds=10)
"""For how long a link's page asks for no other code when WeChat gave none, unless an operator has it asked."""

VIEWS_KEPT = 100
"""Views of one link that led to nothing; beyond that the oldest are deleted."""

RETURNS_TAKEN = 50
"""Views of one link whose codes are taken to WeChat. An owner needs one; the others are made up."""

CLOCKS_APART = timedelta(minutes=5)
"""By so much WeChat's clock and the database's may differ without a mistake in the order of two grants."""

KEEP_EXCHANGES = timedelta(days=2)
KEEP_VIEWS = timedelta(days=30)
"""How long an operator can look up who opened a link."""

KEEP_LINKS = timedelta(days=90)


@dataclass(frozen=True)
class Offer:
    """One view of the connect page. The URLs carry a pre-auth code: they are for this reader, now."""

    attempt: AuthorizationAttempt
    pc_url: str = field(repr=False)
    phone_url: str = field(repr=False)
    expires_at: datetime
    valid_for: timedelta


# -- starting ----------------------------------------------------------------------------------------------------------


def begin(
    *,
    user: Any = None,
    payload: Mapping[str, Any] | None = None,
    auth_type: str | int = "both",
    biz_appid: str = "",
    category_ids: Iterable[int] = (),
    next_url: str = "",
    expires_in: timedelta | None = None,
    component: str = DEFAULT_ALIAS,
) -> AuthorizationLink:
    """Start an authorization; ``link.get_absolute_url()`` is its connect page.

    ``payload`` is the site's own (JSON-able): it reaches ``authorizer_authorized`` with the account. ``auth_type`` is
    a name from AUTH_TYPES or WeChat's number, ``biz_appid`` the only account that may authorize, ``category_ids`` the
    permission sets to ask for (default: all that the platform has). ``next_url`` is a path or URL of the site for
    afterwards. Raises ConfigurationError for an unknown platform, ValueError for an unknown ``auth_type``, ValueError
    or TypeError for a ``payload`` that cannot be kept.
    """
    number = AUTH_TYPES.get(auth_type, 0) if isinstance(auth_type, str) else auth_type
    if number not in AUTH_TYPES.values():
        raise ValueError(f"auth_type must be one of {', '.join(AUTH_TYPES)}, or WeChat's number; not {auth_type!r}.")
    payload = dict(payload or {})
    if objection := unkeepable(payload):
        raise ValueError(f"payload cannot be kept. {objection}")
    payload = json.loads(json.dumps(payload))  # as it comes back; TypeError for what is no JSON
    key = Secret(secrets.token_urlsafe(32))
    known = _known_user(user)
    link = AuthorizationLink(
        component=platform(component).row,
        key_digest=digest(key.reveal(), "link"),
        user_id=known.pk if known else None,
        for_user=known is not None,
        payload=payload,
        auth_type=number,
        biz_appid=biz_appid,
        category_ids=sorted({int(number) for number in category_ids}),
        next_url=next_url,
        created_at=clock.now(),
        expires_at=clock.now() + (expires_in or conf.link_life),
    )
    link.key = link.seal("key", key.reveal())
    link.save(force_insert=True)
    link.refresh_from_db(fields=["created_at", "expires_at"])
    return link.with_key()


def unkeepable(value: Any, levels: int = DEEPEST) -> str:
    """Why some database does not take what Python writes as JSON; empty when each does."""
    if isinstance(value, float) and not isfinite(value):
        return _("A number has to be finite: NaN, Infinity and what is as large as 1e999 cannot be kept.")
    if isinstance(value, str) and _NO_CHARACTER.search(value):
        return _("A text holds a NUL character or half of a surrogate pair: neither can be kept.")
    if not isinstance(value, (dict, list, tuple)):
        return ""
    if not levels:
        return TOO_DEEP
    inner = [*value, *value.values()] if isinstance(value, dict) else value
    return next(filter(None, (unkeepable(one, levels - 1) for one in inner)), "")


def open_link(key: str) -> AuthorizationLink:
    """The link of a connect page; AuthorizationRefused when it is unknown, expired, revoked or already used."""
    link = find_link(key)
    if link is None:
        raise AuthorizationRefused(_("This link is not known here. Ask for a new one."))
    if link.completed_at:
        raise LinkUsed(_("This link has been used: the account is connected."))
    if link.revoked_at:
        raise _link_revoked()
    if link.expires_at <= link.read_at:  # type: ignore[attr-defined]  # an annotation
        raise AuthorizationRefused(_("This link has expired. Ask for a new one."))
    if _user_has_left(link):
        raise _user_left()
    return _readable(link)


def find_link(key: str) -> AuthorizationLink | None:
    """The link with this key, whatever its state."""
    links = AuthorizationLink.objects.select_related("component", "user").annotate(read_at=clock.read())
    return links.filter(key_digest=digest(key, "link")).first()


def _known_user(user: Any) -> Any:
    return user if getattr(user, "is_authenticated", False) else None


def _user_has_left(link: AuthorizationLink) -> bool:
    """Whether the user for whom the link was started has been deleted or deactivated."""
    return link.for_user and (link.user is None or not link.user.is_active)


def _user_left() -> AuthorizationRefused:
    return AuthorizationRefused(
        _("The user for whom this was started has no access to this site any more. Ask for a new link.")
    )


def _readable(link: AuthorizationLink) -> AuthorizationLink:
    """The link, which knows its address from now on; AuthorizationRefused when its key was sealed under a lost one."""
    try:
        return link.with_key()
    except SealError as error:
        logger.error("Link #%s cannot be opened: %s", link.pk, error)
        raise AuthorizationRefused(_("This link can no longer be read here. Ask for a new one.")) from error


def revoke(link: AuthorizationLink, *, user: Any = None, actor: str = "") -> bool:
    """From now on nobody connects an account through it; False when somebody has.

    ``user`` is who takes it back, or ``actor`` names who has no row; the journal keeps it. Twice is as good as once.
    """
    unused = AuthorizationLink.objects.filter(pk=link.pk, completed_at__isnull=True)
    if unused.filter(revoked_at__isnull=True).update(revoked_at=clock.now()):
        journal.note(
            journal.Kind.LINK_REVOKED,
            link.component,
            appid=link.biz_appid,
            user=user,
            actor=actor,
            detail=f"#{link.pk}",
        )
        return True
    return unused.exists()


def offer(
    link: AuthorizationLink,
    *,
    browser: str,
    base_url: str,
    user: Any = None,
    device: str = "",
    operator: bool = False,
) -> Offer:
    """One view of a link's page: a pre-auth code, and a state bound to this browser.

    ``browser`` is a random text that only this browser knows, ``base_url`` scheme and host of the page; ``user`` (who
    is signed in) and ``device`` ("pc", "phone", "wechat") are kept for operators who ask who opened the link. Views
    within a few minutes share a code until an owner acts: the code tells which link it was, the state which browser.
    Raises TokenUnavailable (TicketMissing), APIError or Unreachable when WeChat gives no code; for some seconds WeChat
    is not asked again then, but by an ``operator``.
    """
    owner = platform_of(link.component)
    code, expires_at, valid_for = _pre_auth_code(owner, link, operator=operator)
    user = _known_user(user)
    state = _state(link, code, browser, f"{device}:{user.pk if user else ''}")
    attempt, created = AuthorizationAttempt.objects.get_or_create(
        state_digest=digest(state.reveal(), "state"),
        defaults={
            "link": link,
            "browser_digest": digest(browser, "browser"),
            "pre_auth_code_digest": digest(code.reveal(), "pre-auth code"),
            "created_at": clock.now(),
            "expires_at": clock.now() + RETURN_LIFE,
            "user_id": user.pk if user else None,
            "device": device,
        },
    )
    attempt.refresh_from_db(fields=["created_at", "expires_at"])
    if created:
        _delete_idle_views(link)
    back = base_url + reverse("wechat_open:authorized", kwargs={"state": state.reveal()})
    query = _page_query(owner.appid, code, back, link)
    return Offer(
        attempt=attempt,
        pc_url=f"{conf.authorize_base_url}/cgi-bin/componentloginpage?{query}",
        phone_url=(
            f"{conf.open_base_url}/wxaopen/safe/bindcomponent?action=bindcomponent&no_scan=1&{query}#wechat_redirect"
        ),
        expires_at=expires_at,
        valid_for=valid_for,
    )


def _state(link: AuthorizationLink, code: Secret, browser: str, reader: str) -> Secret:
    """The same for the same view, so that a reload stores nothing; without the browser's secret nobody can make it."""
    view = f"{link.key_digest}:{digest(code.reveal(), 'state')}:{reader}"
    made = hmac.digest(browser.encode(), view.encode(), "sha256")
    return Secret(base64.urlsafe_b64encode(made).decode().rstrip("="))


def _pre_auth_code(owner: Platform, link: AuthorizationLink, *, operator: bool) -> tuple[Secret, datetime, timedelta]:
    """The link's young code, or a new one from WeChat; until when, and for how long from now.

    Strangers cost WeChat one call at a time: TokenUnavailable while another view waits for WeChat, and for some seconds
    after it gave no code.
    """
    ends_at = time.monotonic() + CODE_WAIT
    row = AuthorizationLink.objects.filter(pk=link.pk)
    free = Q(pre_auth_code_shared_until__isnull=True) | Q(pre_auth_code_shared_until__lte=clock.now())
    rested = Q(pre_auth_code_refused_until__isnull=True) | Q(pre_auth_code_refused_until__lte=clock.now())
    mine = row.filter(free) if operator else row.filter(free, rested)
    while not mine.update(pre_auth_code="", pre_auth_code_shared_until=clock.now() + CODE_ASKED_FOR):
        if shared := _shared_code(link):
            return shared
        waited = time.monotonic() > ends_at
        if operator and waited:
            break
        if not operator and (waited or not row.filter(rested).exists()):
            raise TokenUnavailable(_("WeChat has given no pre-auth code yet, and will be asked again in some seconds."))
        time.sleep(0.05)
    try:
        new = ComponentAPI(owner).create_preauthcode()
    except WeChatOpenError:
        refused_until = clock.now() + CODE_REFUSED_FOR
        row.filter(pre_auth_code="").update(pre_auth_code_shared_until=None, pre_auth_code_refused_until=refused_until)
        raise
    row.update(
        pre_auth_code=link.seal("pre_auth_code", new.code.reveal()),
        pre_auth_code_shared_until=clock.now() + min(PAGE_OPEN_FOR, new.expires_in / 2),
        pre_auth_code_expires_at=clock.now() + new.expires_in,
        pre_auth_code_refused_until=None,
    )
    read = row.annotate(read_at=clock.read()).values_list("read_at", flat=True).get()
    return new.code, read + new.expires_in, new.expires_in


def _shared_code(link: AuthorizationLink) -> tuple[Secret, datetime, timedelta] | None:
    """The code that the link's last view was given, if there is one."""
    row = AuthorizationLink.objects.annotate(read_at=clock.read()).get(pk=link.pk)
    try:
        code = row.reveal("pre_auth_code")
    except SealError as error:
        logger.warning("The pre-auth code of link #%s cannot be read; WeChat is asked for another: %s", link.pk, error)
        codes.stop_sharing(link.pk)
        return None
    if not code or row.pre_auth_code_expires_at is None:
        return None
    return code, row.pre_auth_code_expires_at, row.pre_auth_code_expires_at - row.read_at


def _delete_idle_views(link: AuthorizationLink) -> None:
    """Bound the rows of one link. One view of each pre-auth code stays: by it a push finds the link."""
    idle = AuthorizationAttempt.objects.filter(link=link, used_at__isnull=True)
    surplus = list(idle.order_by("-created_at", "-pk").values_list("pk", flat=True)[VIEWS_KEPT : VIEWS_KEPT + 1000])
    if not surplus:
        return
    older = AuthorizationAttempt.objects.filter(
        link=link, pre_auth_code_digest=OuterRef("pre_auth_code_digest"), pk__lt=OuterRef("pk")
    )
    ended = Q(expires_at__lt=clock.now())
    dispensable = list(idle.filter(Exists(older) | ended, pk__in=surplus).values_list("pk", flat=True))
    AuthorizationAttempt.objects.filter(pk__in=dispensable).delete()


def _page_query(appid: str, code: Secret, back: str, link: AuthorizationLink) -> str:
    """The parameters of WeChat's page in the order that it documents (protocol 3.3)."""
    parameters = [
        ("component_appid", appid),
        ("pre_auth_code", code.reveal()),
        ("redirect_uri", back),
        ("auth_type", str(link.auth_type)),
        ("biz_appid", link.biz_appid),
        ("category_id_list", "|".join(str(number) for number in link.category_ids)),
    ]
    return "&".join(f"{name}={quote(value, safe='')}" for name, value in parameters if value)


def destination(wanted: str, *, hosts: Iterable[str], https: bool) -> str:
    """The address of a page of this site, from a URL's name, a path or a URL; ValueError says why it is none."""
    try:
        url = resolve_url(wanted)
    except NoReverseMatch:
        raise ValueError(gettext("This site has no page “%s”.") % wanted) from None
    if not url_has_allowed_host_and_scheme(url, allowed_hosts=set(hosts), require_https=https):
        raise ValueError(gettext("“%s” is not a page of this site.") % wanted)
    return url


# -- coming back -------------------------------------------------------------------------------------------------------


def find_attempt(state: str, browser: str) -> AuthorizationAttempt:
    """The view of a connect page that this return belongs to.

    AuthorizationRefused for a state that is unknown, too old, or was given to another browser, and for a user who has
    been deleted or deactivated since.
    """
    attempts = AuthorizationAttempt.objects.select_related("link__component", "link__authorizer", "link__user", "user")
    attempt = attempts.filter(state_digest=digest(state, "state"), expires_at__gt=clock.now()).first()
    if attempt is None:
        raise AuthorizationRefused(_("This return from WeChat is not known here, or it came too late."))
    if not browser or not secrets.compare_digest(attempt.browser_digest, digest(browser, "browser")):
        raise AuthorizationRefused(_("This authorization was started in another browser."))
    if _user_has_left(attempt.link) or (attempt.user is not None and not attempt.user.is_active):
        raise _user_left()
    _readable(attempt.link)
    return attempt


def complete_return(attempt: AuthorizationAttempt, code: Secret) -> Authorizer:
    """The owner came back by redirect. A state is good for one code; the same code may come again (a reload).

    LinkRevoked when the link was taken back in the meantime, LinkUsed when it has connected another account,
    GrantSuperseded when the account was authorized again since: WeChat's grant is kept, but not for the link's tenant.
    CodeOfAnotherLink when the code belongs to another authorization.
    """
    owner = platform_of(attempt.link.component)
    used = AuthorizationAttempt.objects.filter(link=attempt.link_id, used_at__isnull=False).exclude(pk=attempt.pk)
    if used[:RETURNS_TAKEN].count() >= RETURNS_TAKEN:
        raise AuthorizationRefused(_("Too many returns from WeChat have come through this link. Ask for a new one."))
    first = AuthorizationAttempt.objects.filter(pk=attempt.pk, used_at__isnull=True).update(used_at=clock.now())
    if first:
        codes.stop_sharing(attempt.link_id)
    elif not codes.is_of(attempt, code):
        raise AuthorizationRefused(_("This return from WeChat has been used before."))
    try:
        authorizer = complete(owner, code, attempt=attempt)
    except WeChatOpenError as error:
        if not _is_revoked(attempt.link):
            raise
        # Nothing to repeat for the owner; the push, or else the comparison, brings what WeChat has granted.
        raise _link_revoked() from error
    _refuse_what_is_not_the_links(attempt.link, authorizer)
    return authorizer


def account_of(attempt: AuthorizationAttempt) -> Authorizer | None:
    """The account that came back to this view, if its link has connected that account."""
    returned = CodeExchange.objects.filter(attempt=attempt, returned_at__isnull=False, authorizer__isnull=False)
    exchange = returned.select_related("authorizer__component").first()
    if exchange is None or exchange.authorizer_id != attempt.link.authorizer_id:
        return None
    return exchange.authorizer


def _refuse_what_is_not_the_links(link: AuthorizationLink, authorizer: Authorizer) -> None:
    """Raise when the account was kept, but not for this link. An unexpected account (biz_appid) is the caller's."""
    if _is_revoked(link):
        raise _link_revoked()
    link.refresh_from_db(fields=["completed_at", "authorizer"])
    if link.biz_appid not in ("", authorizer.appid):
        return
    if link.completed_at and link.authorizer_id != authorizer.pk:
        raise LinkUsed(_("Another account has been connected through this link before, and a link connects one."))
    if authorizer.granted_through_id != link.pk:
        raise GrantSuperseded(
            _("The account has been authorized in another way since, and that newer authorization stands.")
        )


def complete(
    owner: Platform,
    code: Secret,
    *,
    attempt: AuthorizationAttempt | None = None,
    pre_auth_code: Secret | None = None,
    granted_at: datetime | None = None,
    appid: str = "",
    without_link: bool = False,
) -> Authorizer:
    """Exchange an authorization code once, however often and from wherever it comes; the account with its tokens.

    ``attempt`` (redirect) or ``pre_auth_code`` (push) tie it to the link that started it, ``granted_at`` is the push's
    CreateTime, ``appid`` the account that the push names, ``without_link`` says that such a push never comes from a
    link. Never shares a transaction of the caller.
    """
    return outside_transactions(
        lambda: _complete(owner, code, attempt, pre_auth_code, granted_at, appid, without_link=without_link)
    )


def _complete(
    owner: Platform,
    code: Secret,
    attempt: AuthorizationAttempt | None,
    pre_auth_code: Secret | None,
    granted_at: datetime | None,
    appid: str,
    *,
    without_link: bool,
) -> Authorizer:
    if attempt is not None:
        exchange = _claim_exchange(codes.returned(owner, code, attempt), by_browser=True)
    else:
        exchange = _claim_exchange(codes.pushed(owner, code, pre_auth_code, without_link=without_link))
    if exchange.completed_at is not None:
        return _second_to_come(owner, exchange, granted_at)
    try:
        authorizer = _exchange(owner, exchange, code, granted_at, appid)
        if authorizer.profile_synced_at is None:
            authorizer = _sync_or_leave(authorizer)
        announce(authorizer)
    except WeChatOpenError as error:
        rest = RETURN_LIFE if isinstance(error, CodeRefused) else CODE_RESTS_FOR
        CodeExchange.objects.filter(pk=exchange.pk, fence=exchange.fence).update(
            claimed_until=None, rests_until=clock.now() + rest, last_errcode=getattr(error, "errcode", None)
        )
        raise
    CodeExchange.objects.filter(pk=exchange.pk).update(completed_at=clock.now(), claimed_until=None)
    return authorizer


def _claim_exchange(row: CodeExchange, *, by_browser: bool = False) -> CodeExchange:
    """Take the right to exchange this code, or wait until the worker that has it is done.

    A browser may present one code without end. Where WeChat has refused it, or gave no answer a moment ago, the browser
    gets the same answer again, and WeChat is not asked.
    """
    ends_at = time.monotonic() + EXCHANGE_WAIT
    free = Q(claimed_until__isnull=True) | Q(claimed_until__lte=clock.now())
    rested = Q(rests_until__isnull=True) | Q(rests_until__lte=clock.now())
    mine = CodeExchange.objects.filter(free, pk=row.pk, completed_at__isnull=True)
    if by_browser:
        mine = mine.filter(rested)
    while True:
        claimed = mine.update(claimed_until=clock.now() + EXCHANGE_LEASE, fence=F("fence") + 1)
        exchange = _fresh(row)
        if claimed or exchange.completed_at is not None:
            return exchange
        if by_browser and not CodeExchange.objects.filter(rested, pk=row.pk).exists():
            raise _as_before(exchange)
        if time.monotonic() > ends_at:
            raise TokenUnavailable(_("This authorization code is being exchanged, and that takes unusually long."))
        time.sleep(0.1)


def _as_before(exchange: CodeExchange) -> WeChatOpenError:
    if exchange.last_errcode is not None:
        return error_for(exchange.last_errcode, "", path=QUERY_AUTH)
    return TokenUnavailable(_("The authorization code could not be exchanged a moment ago. Try again in some seconds."))


def _fresh(exchange: CodeExchange) -> CodeExchange:
    rows = CodeExchange.objects.select_related("attempt", "link__user", "authorizer__component")
    return rows.get(pk=exchange.pk)


def _exchange(
    owner: Platform, exchange: CodeExchange, code: Secret, granted_at: datetime | None, appid: str
) -> Authorizer:
    """Ask WeChat, unless a worker that died after storing the grant already has."""
    if exchange.authorizer is not None:
        return _settle(exchange)
    try:
        grant = ComponentAPI(owner).query_auth(code)
        answered = True
    except (CodeRefused, AccountRestricted):
        # Used, perhaps by one of us whose answer was lost: WeChat still has what it granted (protocol 4.1). Only a
        # push proves whose code it was; a code that comes by redirect could be made up.
        if not appid:
            raise
        grant = _grant_on_record(owner, appid)
        answered = False
    return _keep(owner, exchange, grant, granted_at, answered=answered)


def _keep(
    owner: Platform, exchange: CodeExchange, grant: Grant, granted_at: datetime | None, *, answered: bool
) -> Authorizer:
    """Store the grant for its link's tenant, unless the account has a newer one."""
    exchange = _fresh(exchange)  # a push may have named the link meanwhile
    authorizer = grants.find(owner, grant.appid)
    link = _link_of(exchange, authorizer)
    if link is not None and not _reserve(link, authorizer):
        link = _link_of(exchange, authorizer)  # another account was quicker, or the link was revoked: says so
    order = _Order(owner, exchange, grant, granted_at, link, answered=answered)
    authorizer = grants.keep(owner, grant, granted_at=granted_at or grant.answered_at, link=link, newer=order)
    if link is not None and not _finish_link(link, authorizer):
        _release(link, authorizer)
    # Last: from here on, a worker that takes over from a dead one finds nothing left to do above.
    update_row(exchange, authorizer=authorizer, grant_epoch=None if order.superseded else authorizer.grant_epoch)
    return _settle(exchange)


@dataclass
class _Order:
    """Is this grant newer than the one that is stored? By WeChat's time; where that decides nothing, WeChat is asked.

    A push tells when its grant was given. Of a grant that came by redirect alone it is only known that it was given
    after the page was opened and before WeChat answered. ``superseded`` keeps the last decision.
    """

    owner: Platform
    exchange: CodeExchange
    grant: Grant
    granted_at: datetime | None
    link: AuthorizationLink | None
    answered: bool
    """Whether WeChat gave the grant for this very code, and not from its record of the account."""
    superseded: bool = False
    _current: bool | None = None

    def __call__(self, row: Authorizer) -> bool:
        newer = row.grant_changed_at is None or self._is_newer(row, row.grant_changed_at)
        self.superseded = not newer
        return newer

    def _is_newer(self, row: Authorizer, stored: datetime) -> bool:
        if self.granted_at is None:
            opened_at = self.exchange.attempt.created_at if self.exchange.attempt else None
            if opened_at is None:
                return self.grant.answered_at is None or self.grant.answered_at >= stored
            return stored < opened_at - CLOCKS_APART or self._is_current()
        if self.granted_at > row.read_at + AHEAD:  # type: ignore[attr-defined]  # an annotation
            return self._is_current()
        if self.granted_at > stored:
            return True
        if self.granted_at == stored:
            same_tenant = row.granted_through_id in (None, self.link.pk if self.link else None)
            return same_tenant or self._is_current()
        return self._may_be_later(row) and self._is_current()

    def _may_be_later(self, row: Authorizer) -> bool:
        """Whether the stored grant came by redirect alone, so that it may have been given before this one."""
        stored = CodeExchange.objects.filter(
            authorizer=row, grant_epoch=row.grant_epoch, pushed_at__isnull=True, attempt__isnull=False
        ).exclude(pk=self.exchange.pk)
        opened_at = stored.values_list("attempt__created_at", flat=True).first()
        return opened_at is not None and self.granted_at is not None and self.granted_at > opened_at - CLOCKS_APART

    def _is_current(self) -> bool:
        """Whether WeChat's record shows the refresh token that came with this grant: a newer grant replaces it."""
        if self._current is None:
            self._current = self.answered and bool(self.grant.refresh_token) and self._is_on_record()
        return self._current

    def _is_on_record(self) -> bool:
        try:
            info = ComponentAPI(self.owner).authorizer_info(self.grant.appid)
        except NotAuthorized:
            return False
        except WeChatOpenError as error:
            # The grant is spent and cannot be asked for again; what is stored stays, and is compared with WeChat later.
            logger.warning("The order of two grants of account %s is not known: %s", self.grant.appid, error)
            return False
        return info.refresh_token == self.grant.refresh_token


def _link_of(exchange: CodeExchange, authorizer: Authorizer) -> AuthorizationLink | None:
    """The link that brings the account to its tenant; None when there is none, or the account is not for that link."""
    if exchange.link_id is None:
        return None
    link = AuthorizationLink.objects.select_related("user").filter(pk=exchange.link_id).first()
    if link is None or (link.completed_at and link.authorizer_id == authorizer.pk):
        return link
    appid = authorizer.appid
    if link.revoked_at:
        logger.warning("Account %s came through a link that had been revoked: it is for no tenant.", appid)
        return None
    if _user_has_left(link):
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


def _grant_on_record(owner: Platform, appid: str) -> Grant:
    """The grant as WeChat has it on record; raises NotAuthorized when that is nothing."""
    info = ComponentAPI(owner).authorizer_info(appid)
    return Grant(appid, None, info.refresh_token, info.func_info, None, info.says_sets)


def _second_to_come(owner: Platform, exchange: CodeExchange, granted_at: datetime | None) -> Authorizer:
    """The other way has brought the code already: add what only this one knows."""
    authorizer = exchange.authorizer
    if authorizer is None:  # its account was deleted since
        raise AuthorizationRefused(_("This authorization was completed, and its account has been removed since."))
    if granted_at is not None and exchange.grant_epoch is not None:
        grants.date(authorizer, exchange.grant_epoch, granted_at)
    stored = authorizer.grant_changed_at
    if granted_at is not None and exchange.grant_epoch is None and (stored is None or granted_at > stored):
        # It had been taken for an older grant than the stored one; now WeChat says when it was given.
        authorizer = _keep(owner, exchange, _grant_on_record(owner, authorizer.appid), granted_at, answered=False)
    else:
        authorizer = _settle(exchange)
    announce(authorizer)
    return authorizer


def _settle(exchange: CodeExchange) -> Authorizer:
    """Bring the account to the tenant of the link that the code belongs to by now; nothing to do, mostly.

    A push can name another link than the one that a browser returned to before. Nothing is done for an account that has
    a newer grant.
    """
    exchange = _fresh(exchange)
    authorizer = exchange.authorizer
    assert authorizer is not None
    if exchange.grant_epoch is None or authorizer.grant_epoch != exchange.grant_epoch:
        return authorizer
    link = _link_of(exchange, authorizer)
    if authorizer.granted_through_id == (link.pk if link else None):
        return authorizer
    before = authorizer.granted_through_id
    reopened = before != exchange.link_id and _reopen(authorizer, exchange)
    if link is not None and not _reserve(link, authorizer):
        link = None
    _move(authorizer, link)
    if link is not None and not _finish_link(link, authorizer):
        _release(link, authorizer)
    if reopened:
        _settle_others(before, exchange)
    authorizer.refresh_from_db()
    return authorizer


def _reopen(authorizer: Authorizer, exchange: CodeExchange) -> bool:
    """The link that the account was given to by mistake is unused again, if this code alone had used it."""
    if authorizer.granted_through_id is None:
        return False
    links = AuthorizationLink.objects.filter(authorizer=authorizer, completed_at__gte=exchange.created_at)
    return bool(links.filter(pk=authorizer.granted_through_id).update(completed_at=None, authorizer=None))


def _settle_others(link_pk: int | None, exchange: CodeExchange) -> None:
    """Another account may have come through a link in the while that this code had used it up: it is the link's now."""
    waiting = CodeExchange.objects.filter(link=link_pk, completed_at__isnull=False, authorizer__granted_through=None)
    for other in waiting.exclude(pk=exchange.pk).order_by("created_at", "pk"):
        announce(_settle(other))


def _move(authorizer: Authorizer, link: AuthorizationLink | None) -> None:
    """Give the account to another tenant, or to none, and have that announced."""
    mine = Authorizer.objects.filter(pk=authorizer.pk, grant_epoch=authorizer.grant_epoch)
    mine.update(granted_through=link, announced_epoch=0, **to_announce())


def _reserve(link: AuthorizationLink, authorizer: Authorizer) -> bool:
    """Let the link connect this account and no other; False when another has it, or it was revoked."""
    mine = Q(authorizer=authorizer) | Q(authorizer__isnull=True, completed_at__isnull=True)
    return bool(
        AuthorizationLink.objects.filter(mine, pk=link.pk, revoked_at__isnull=True).update(authorizer=authorizer)
    )


def _finish_link(link: AuthorizationLink, authorizer: Authorizer) -> bool:
    """Mark it as used by the account that it was reserved for; False when it was revoked in this very moment."""
    reserved = AuthorizationLink.objects.filter(pk=link.pk, authorizer=authorizer, revoked_at__isnull=True)
    return bool(reserved.update(completed_at=Coalesce("completed_at", clock.now())))


def _release(link: AuthorizationLink, authorizer: Authorizer) -> None:
    """It was revoked while the grant was being stored: the account is for no tenant."""
    AuthorizationLink.objects.filter(pk=link.pk, authorizer=authorizer, completed_at__isnull=True).update(
        authorizer=None
    )
    if authorizer.granted_through_id == link.pk:
        _move(authorizer, None)


def _is_revoked(link: AuthorizationLink) -> bool:
    """Asked of the database: the row in hand may be older than that. A link is used or revoked, never both."""
    return AuthorizationLink.objects.filter(pk=link.pk, revoked_at__isnull=False).exists()


def _link_revoked() -> LinkRevoked:
    return LinkRevoked(_("This link has been revoked. Ask for a new one."))


# -- living ------------------------------------------------------------------------------------------------------------


def sync_profile(authorizer: Authorizer) -> Authorizer:
    """Read profile and permission sets from WeChat and store what the answer says; the fresh row.

    Unreachable for an answer that is no profile. A failure is noted, so that the next attempt waits for its time.
    """
    owner = platform_of(authorizer.component)
    try:
        info = ComponentAPI(owner).authorizer_info(authorizer.appid)
        columns = profile_columns(info)
        if not columns:
            raise Unreachable(GET_AUTHORIZER_INFO, _("a profile without user_name"))
    except TokenUnavailable:  # nobody was asked
        raise
    except WeChatOpenError:
        _postpone_profile(authorizer)
        raise
    columns["profile"] = {**authorizer.profile, **columns["profile"]}
    if authorizer.kind == Authorizer.Kind.MINI or "kind" not in columns:  # no account stops being a mini program
        columns["kind"] = authorizer.kind or Authorizer.Kind.OFFICIAL
    columns |= {"profile_synced_at": clock.now(), "profile_failures": 0, "profile_due_at": None}
    if "func_info" in columns and set(info.func_info) != set(authorizer.announced_func_info):
        columns |= to_announce()
    update_row(authorizer, **columns)
    authorizer.refresh_from_db()
    announce(authorizer)
    return authorizer


def take_profile_turn(authorizer: Authorizer) -> bool:
    """Whether the caller may read this profile now: a failed read rests, and two callers do not ask at once."""
    due = Q(profile_due_at__isnull=True) | Q(profile_due_at__lte=clock.now())
    turn = Authorizer.objects.filter(due, pk=authorizer.pk)
    return bool(turn.update(profile_due_at=clock.now() + PROFILE_LEASE))


def _postpone_profile(authorizer: Authorizer) -> None:
    """Try again at once, then ever more rarely; behind those that failed earlier."""
    rows = Authorizer.objects.filter(pk=authorizer.pk)
    rows.update(profile_failures=F("profile_failures") + 1)
    failures = rows.values_list("profile_failures", flat=True).first() or 1
    wait = min(PROFILE_LAST_RETRY, PROFILE_RETRY * 2 ** min(failures - 2, 12)) if failures > 1 else timedelta()
    rows.update(profile_due_at=clock.now() + wait)


def sync_missing_profiles(owner: Platform, limit: int = 50) -> int:
    """Read the profiles that could not be read when the grant came; how many were. Those that failed come last."""
    waiting = Authorizer.objects.filter(
        Q(profile_due_at__isnull=True) | Q(profile_due_at__lte=clock.now()),
        component=owner.row,
        profile_synced_at__isnull=True,
        state=Authorizer.State.AUTHORIZED,
    )
    order = (F("profile_due_at").asc(nulls_first=True), "pk")
    synced = 0
    for authorizer in waiting.select_related("component").order_by(*order)[:limit]:
        if take_profile_turn(authorizer):
            synced += _sync_or_leave(authorizer).profile_synced_at is not None
    return synced


def _sync_or_leave(authorizer: Authorizer) -> Authorizer:
    """A profile that cannot be read now is no reason to lose a grant; ``sync_missing_profiles`` comes by."""
    try:
        return sync_profile(authorizer)
    except WeChatOpenError as error:
        logger.warning("The profile of account %s could not be read yet: %s", authorizer.appid, error)
        return authorizer


def profile_columns(info: AuthorizerInfo) -> dict[str, Any]:
    """What WeChat's answer says, as columns; empty when it is no profile.

    A field that is missing, null or of another type than WeChat documents says nothing, so its column is not among
    them. What is unknown stays in ``profile`` (4.3).
    """
    profile = {
        name: value for name, value in info.profile.items() if value is not None and not unkeepable({name: value})
    }
    user_name = _text(profile, "user_name") or ""
    kind = _kind(info.profile)
    if not user_name and kind not in WITHOUT_MESSAGES:
        return {}
    said: dict[str, Any] = {
        "nick_name": _name(profile, "nick_name", 255),
        "kind": kind,
        "user_name": user_name[:64] or None,
        "alias": _cut(_text(profile, "alias"), 255),
        "principal_name": _name(profile, "principal_name", 255),
        "head_img": _text(profile, "head_img"),
        "qrcode_url": _text(profile, "qrcode_url"),
        "signature": _text(profile, "signature"),
        "service_type": _number(profile.get("service_type_info")),
        "verify_type": _number(profile.get("verify_type_info")),
        "account_status": _number(profile.get("account_status")),
        "profile": profile,
    }
    if info.says_sets:
        said |= {"func_info": list(info.func_info), "func_key": func_key(info.func_info)}
    for column, key in (("nick_name", "name_key"), ("principal_name", "principal_key")):
        if said[column]:
            said[key] = search_key(said[column])
    return {column: value for column, value in said.items() if value is not None}


WITHOUT_MESSAGES = {
    Authorizer.Kind.CHANNELS: "channels_info",
    Authorizer.Kind.SHOP: "store_info",
    Authorizer.Kind.SALES: "talent_info",
    Authorizer.Kind.SUPPLIER: "supplier_info",
}
"""Kinds of account that need no original id (gh_…), and the field that tells each."""


def _kind(profile: Mapping[str, Any]) -> str | None:
    """MiniProgramInfo is the documented way to tell a mini program; type numbers mean different things (4.3)."""
    if profile.get("MiniProgramInfo") is not None:
        return Authorizer.Kind.MINI
    for kind, field_name in WITHOUT_MESSAGES.items():
        if profile.get(field_name):
            return kind
    told = profile.get("service_type_info") or profile.get("verify_type_info") or profile.get("business_info")
    return Authorizer.Kind.OFFICIAL if told else None


def _name(profile: Mapping[str, Any], name: str, length: int) -> str | None:
    """An account has a name and a subject: an empty one says nothing."""
    return _cut(_text(profile, name), length) or None


def _cut(text: str | None, length: int) -> str | None:
    return None if text is None else text[:length]


def _text(profile: Mapping[str, Any], name: str) -> str | None:
    """None when the field says nothing."""
    value = profile.get(name)
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else None


def _number(value: Any) -> int | None:
    """``{"id": 2}`` or plain 2."""
    number = value.get("id") if isinstance(value, Mapping) else value
    return number if isinstance(number, int) and abs(number) <= LARGEST else None


# -- ending ------------------------------------------------------------------------------------------------------------


def end(owner: Platform, appid: str, at: datetime) -> Authorizer:
    """The owner took the grant back at WeChat's time ``at``."""
    authorizer, changed = grants.withdraw(owner, appid, at)
    if changed:
        announce(authorizer)
    return authorizer


def has_ended(owner: Platform, appid: str, *, since: datetime) -> bool:
    """Whether WeChat has told that the owner took the grant back after ``since``, WeChat's time too."""
    ended = Authorizer.objects.filter(component=owner.row, appid=appid, state=Authorizer.State.UNAUTHORIZED)
    return ended.filter(grant_changed_at__gt=since).exists()


def reconcile(owner: Platform, progress: Callable[[int, int], object] | None = None) -> SweepReport:
    """Compare with WeChat's list now, repair, and send the signals of what changed. ``progress`` as in ``sweep``."""
    report = sweep(owner, progress)
    announce_all(owner)
    return report


# -- telling -----------------------------------------------------------------------------------------------------------


def announce_all(owner: Platform, limit: int = 500) -> int:
    """Send the signals that are still owed; how many accounts that concerned."""
    owed = Authorizer.objects.filter(component=owner.row, needs_announcing=True).order_by("pk")[:limit]
    rows = list(owed.select_related("component"))
    for authorizer in rows:
        announce(authorizer)
    return len(rows)


def announce(authorizer: Authorizer) -> None:
    """Send what this account's row says and nobody has been told; at least once, since it is noted afterwards."""
    authorizer.refresh_from_db()
    if not authorizer.needs_announcing:
        return
    state, told = authorizer.state, authorizer.announced_state
    if state == Authorizer.State.AUTHORIZED:
        _announce_grant(authorizer)
    elif state == Authorizer.State.UNAUTHORIZED and told not in ("", state):
        journal.note(journal.Kind.UNAUTHORIZED, authorizer.component, account=authorizer)
        signals.announce(signals.authorizer_unauthorized, Authorizer, authorizer=authorizer)
    elif state == Authorizer.State.NEEDS_REAUTHORIZATION and told != state:
        journal.note(journal.Kind.NEEDS_REAUTHORIZATION, authorizer.component, account=authorizer)
        link = begin(
            biz_appid=authorizer.appid,
            auth_type="all",
            payload=authorizer.granted_through.payload if authorizer.granted_through else {},
            component=platform_of(authorizer.component).alias,
            expires_in=timedelta(days=7),
        )
        signals.announce(
            signals.authorizer_needs_attention,
            Authorizer,
            authorizer=authorizer,
            reason="reauthorization",
            link=link,
        )
    untouched = Authorizer.objects.filter(
        pk=authorizer.pk,
        grant_epoch=authorizer.grant_epoch,
        state=state,
        announcement=authorizer.announcement,
    )
    untouched.update(
        needs_announcing=False,
        announced_state=state,
        announced_epoch=authorizer.grant_epoch,
        announced_func_info=authorizer.func_info,
    )


def _announce_grant(authorizer: Authorizer) -> None:
    if authorizer.announced_epoch != authorizer.grant_epoch:
        link = authorizer.granted_through
        journal.note(journal.Kind.AUTHORIZED, authorizer.component, account=authorizer)
        signals.announce(
            signals.authorizer_authorized,
            Authorizer,
            authorizer=authorizer,
            link=link,
            payload=link.payload if link else {},
        )
    before, after = set(authorizer.announced_func_info), set(authorizer.func_info)
    if authorizer.announced_epoch and before != after:
        changed = [f"+{number}" for number in sorted(after - before)] + [
            f"-{number}" for number in sorted(before - after)
        ]
        journal.note(journal.Kind.UPDATED, authorizer.component, account=authorizer, detail=" ".join(changed))
        signals.announce(
            signals.authorizer_updated,
            Authorizer,
            authorizer=authorizer,
            added=after - before,
            removed=before - after,
        )


# -- tidying -----------------------------------------------------------------------------------------------------------


def prune() -> int:
    """Delete what served its time: old links with their views, exchanged codes; how many rows."""
    old_codes = CodeExchange.objects.filter(created_at__lt=clock.now() - KEEP_EXCHANGES).delete()[0]
    old_views = AuthorizationAttempt.objects.filter(expires_at__lt=clock.now() - KEEP_VIEWS).delete()[0]
    unused = AuthorizationLink.objects.filter(expires_at__lt=clock.now() - KEEP_LINKS, completed_at__isnull=True)
    return old_codes + old_views + unused.delete()[0]

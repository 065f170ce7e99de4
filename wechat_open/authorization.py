"""How does a grant live, from the first link to its end?

``begin`` makes a link; each view of its connect page is an ``offer`` with a pre-auth code and a state of its own; the
grant comes back by redirect (``complete_return``) and by push (``complete``), in either order, and is exchanged once;
``end`` takes it away. A code that arrives without a valid state is exchanged by the push only, for no tenant. A link
that was taken back (``revoke``) brings no account to its tenant; what WeChat grants all the same is kept.
"""

from __future__ import annotations

import json
import logging
import re
import secrets
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from math import isfinite
from typing import Any
from urllib.parse import quote

from django.db.models import F, Q
from django.shortcuts import resolve_url
from django.urls import NoReverseMatch, reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext

from . import clock, journal, signals
from .api import ComponentAPI
from .component import Platform, platform, platform_of
from .conf import DEFAULT_ALIAS, conf
from .endpoints import AuthorizerInfo, Grant
from .exceptions import (
    AuthorizationRefused,
    CodeRefused,
    LinkRevoked,
    SealError,
    TokenUnavailable,
    WeChatOpenError,
)
from .models import (
    AuthorizationAttempt,
    AuthorizationLink,
    Authorizer,
    CodeExchange,
    func_key,
    search_key,
    to_announce,
    update_row,
)
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
    link = AuthorizationLink(
        component=platform(component).row,
        key_digest=digest(key.reveal(), "link"),
        user=user if getattr(user, "is_authenticated", False) else None,
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
    links = AuthorizationLink.objects.select_related("component", "user").annotate(read_at=clock.read())
    link = links.filter(key_digest=digest(key, "link")).first()
    if link is None:
        raise AuthorizationRefused(_("This link is not known here. Ask for a new one."))
    if link.completed_at:
        raise AuthorizationRefused(_("This link has been used: the account is connected."))
    if link.revoked_at:
        raise _link_revoked()
    if link.expires_at <= link.read_at:
        raise AuthorizationRefused(_("This link has expired. Ask for a new one."))
    return _readable(link)


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


def offer(link: AuthorizationLink, *, browser: str, base_url: str, user: Any = None, device: str = "") -> Offer:
    """One view of a link's page: a fresh pre-auth code, and a state bound to this browser.

    ``browser`` is a random text that only this browser knows, ``base_url`` scheme and host of the page; ``user`` (who
    is signed in) and ``device`` ("pc", "phone", "wechat") are kept for whoever asks who opened the link. Raises
    TokenUnavailable (TicketMissing), APIError or Unreachable when WeChat gives no code.
    """
    owner = platform_of(link.component)
    code = ComponentAPI(owner).create_preauthcode()
    state = Secret(secrets.token_urlsafe(32))
    attempt = AuthorizationAttempt.objects.create(
        link=link,
        state_digest=digest(state.reveal(), "state"),
        browser_digest=digest(browser, "browser"),
        pre_auth_code_digest=digest(code.code.reveal(), "pre-auth code"),
        created_at=clock.now(),
        expires_at=clock.now() + RETURN_LIFE,
        user=user if getattr(user, "is_authenticated", False) else None,
        device=device,
    )
    attempt.refresh_from_db(fields=["created_at", "expires_at"])
    back = base_url + reverse("wechat_open:authorized", kwargs={"state": state.reveal()})
    query = _page_query(owner.appid, code.code, back, link)
    return Offer(
        attempt=attempt,
        pc_url=f"{conf.authorize_base_url}/cgi-bin/componentloginpage?{query}",
        phone_url=(
            f"{conf.open_base_url}/wxaopen/safe/bindcomponent?action=bindcomponent&no_scan=1&{query}#wechat_redirect"
        ),
        expires_at=attempt.created_at + code.expires_in,
    )


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

    AuthorizationRefused for a state that is unknown, too old, or was given to another browser.
    """
    attempts = AuthorizationAttempt.objects.select_related("link__component", "link__authorizer")
    attempt = attempts.filter(state_digest=digest(state, "state"), expires_at__gt=clock.now()).first()
    if attempt is None:
        raise AuthorizationRefused(_("This return from WeChat is not known here, or it came too late."))
    if not browser or not secrets.compare_digest(attempt.browser_digest, digest(browser, "browser")):
        raise AuthorizationRefused(_("This authorization was started in another browser."))
    _readable(attempt.link)
    return attempt


def complete_return(attempt: AuthorizationAttempt, code: Secret) -> Authorizer:
    """The owner came back by redirect. A state is good for one code; the same code may come again (a reload).

    LinkRevoked when the link was taken back in the meantime: WeChat's grant is kept, but not for the link's tenant.
    """
    owner = platform_of(attempt.link.component)
    seen = CodeExchange.objects.filter(component=owner.row, digest=_code_digest(code), attempt=attempt)
    first = AuthorizationAttempt.objects.filter(pk=attempt.pk, used_at__isnull=True).update(used_at=clock.now())
    if not first and not seen.exists():
        raise AuthorizationRefused(_("This return from WeChat has been used before."))
    try:
        authorizer = complete(owner, code, attempt=attempt)
    except WeChatOpenError as error:
        if not _is_revoked(attempt.link):
            raise
        # Nothing to repeat for whoever came back; the push, or else the sweep, brings what WeChat has granted.
        raise _link_revoked() from error
    if _is_revoked(attempt.link):
        raise _link_revoked()
    return authorizer


def complete(
    owner: Platform,
    code: Secret,
    *,
    attempt: AuthorizationAttempt | None = None,
    pre_auth_code: Secret | None = None,
    granted_at: datetime | None = None,
    appid: str = "",
) -> Authorizer:
    """Exchange an authorization code once, however often and from wherever it comes; the account with its tokens.

    ``attempt`` (redirect) or ``pre_auth_code`` (push) tie it to the link that started it, ``granted_at`` is the push's
    CreateTime, ``appid`` the account that the push names. Never shares a transaction of the caller.
    """
    if attempt is None and pre_auth_code:
        attempt = (
            AuthorizationAttempt.objects.select_related("link")
            .filter(
                pre_auth_code_digest=digest(pre_auth_code.reveal(), "pre-auth code"),
                link__component=owner.row,
            )
            .first()
        )
    return outside_transactions(lambda: _complete(owner, code, attempt, granted_at, appid))


def _complete(
    owner: Platform, code: Secret, attempt: AuthorizationAttempt | None, granted_at: datetime | None, appid: str
) -> Authorizer:
    exchange = _claim_exchange(owner, code, attempt)
    if exchange.completed_at is not None:
        return _second_to_come(exchange, attempt, granted_at)
    try:
        authorizer = _exchange(owner, exchange, code, granted_at, appid)
        if authorizer.profile_synced_at is None:
            authorizer = _sync_or_leave(authorizer)
        announce(authorizer)
    except WeChatOpenError:
        CodeExchange.objects.filter(pk=exchange.pk, fence=exchange.fence).update(claimed_until=None)
        raise
    CodeExchange.objects.filter(pk=exchange.pk).update(completed_at=clock.now(), claimed_until=None)
    return authorizer


def _claim_exchange(owner: Platform, code: Secret, attempt: AuthorizationAttempt | None) -> CodeExchange:
    """Become the one who exchanges this code, or wait until whoever does has finished."""
    key = {"component": owner.row, "digest": _code_digest(code)}
    CodeExchange.objects.get_or_create(**key, defaults={"attempt": attempt, "created_at": clock.now()})
    ends_at = time.monotonic() + EXCHANGE_WAIT
    while True:
        free = Q(claimed_until__isnull=True) | Q(claimed_until__lte=clock.now())
        claimed = CodeExchange.objects.filter(free, **key, completed_at__isnull=True).update(
            claimed_until=clock.now() + EXCHANGE_LEASE, fence=F("fence") + 1
        )
        exchange = CodeExchange.objects.select_related("attempt__link", "authorizer__component").get(**key)
        if exchange.attempt is None and attempt is not None:
            exchange.attempt = attempt
            update_row(exchange, attempt=attempt)
        if claimed or exchange.completed_at is not None:
            return exchange
        if time.monotonic() > ends_at:
            raise TokenUnavailable(_("This authorization code is being exchanged, and that takes unusually long."))
        time.sleep(0.1)


def _exchange(
    owner: Platform, exchange: CodeExchange, code: Secret, granted_at: datetime | None, appid: str
) -> Authorizer:
    """Ask WeChat, unless somebody who died after storing the grant already has."""
    if exchange.authorizer is not None:
        return exchange.authorizer
    try:
        grant = ComponentAPI(owner).query_auth(code)
    except CodeRefused:
        # Used, perhaps by one of us whose answer was lost: WeChat still has what it granted (protocol 4.1). Only a
        # push proves whose code it was; whoever comes by redirect could have made it up.
        if not appid:
            raise
        grant = _grant_on_record(owner, appid)
    link = _link_for(grant.appid, exchange.attempt)
    authorizer = grants.keep(owner, grant, granted_at=granted_at or grant.answered_at, link=link)
    if link is not None and not _finish_link(link, authorizer):
        Authorizer.objects.filter(pk=authorizer.pk, granted_through=link).update(granted_through=None)
    # Last: from here on, whoever takes over from a dead process finds nothing left to do above.
    update_row(exchange, authorizer=authorizer, grant_epoch=authorizer.grant_epoch)
    return authorizer


def _link_for(appid: str, attempt: AuthorizationAttempt | None) -> AuthorizationLink | None:
    """The link that this account came by; None for a link that was made for another account, or was taken back."""
    if attempt is None:
        return None
    if _is_revoked(attempt.link):
        logger.warning("Account %s came through a link that had been revoked: it is for no tenant.", appid)
        return None
    if attempt.link.biz_appid not in ("", appid):
        logger.error("A link for account %s brought account %s.", attempt.link.biz_appid, appid)
        return None
    return attempt.link


def _grant_on_record(owner: Platform, appid: str) -> Grant:
    """The grant as WeChat has it on record; raises NotAuthorized when that is nothing."""
    info = ComponentAPI(owner).authorizer_info(appid)
    return Grant(appid, None, info.refresh_token, info.func_info, None)


def _second_to_come(
    exchange: CodeExchange, attempt: AuthorizationAttempt | None, granted_at: datetime | None
) -> Authorizer:
    """The other way has brought the code already: add what only this one knows."""
    authorizer = exchange.authorizer
    if authorizer is None:  # its account was deleted since
        raise AuthorizationRefused(_("This authorization was completed, and its account has been removed since."))
    if granted_at is not None and exchange.grant_epoch is not None:
        grants.date(authorizer, exchange.grant_epoch, granted_at)
    epoch = exchange.grant_epoch
    link = _link_for(authorizer.appid, attempt)
    if link is not None and epoch is not None and authorizer.granted_through_id != link.pk:
        mine = Authorizer.objects.filter(pk=authorizer.pk, grant_epoch=epoch)
        if _finish_link(link, authorizer) and mine.update(granted_through=link, announced_epoch=0, **to_announce()):
            announce(authorizer)
    authorizer.refresh_from_db()
    return authorizer


def _finish_link(link: AuthorizationLink, authorizer: Authorizer) -> bool:
    """Mark it as used, unless it was before; False when it was revoked in this very moment."""
    unused = AuthorizationLink.objects.filter(pk=link.pk, completed_at__isnull=True, revoked_at__isnull=True)
    return bool(unused.update(completed_at=clock.now(), authorizer=authorizer)) or not _is_revoked(link)


def _is_revoked(link: AuthorizationLink) -> bool:
    """Asked of the database: the row in hand may be older than that. A link is used or revoked, never both."""
    return AuthorizationLink.objects.filter(pk=link.pk, revoked_at__isnull=False).exists()


def _link_revoked() -> LinkRevoked:
    return LinkRevoked(_("This link has been revoked. Ask for a new one."))


def _code_digest(code: Secret) -> str:
    return digest(code.reveal(), "authorization code")


# -- living ------------------------------------------------------------------------------------------------------------


def sync_profile(authorizer: Authorizer) -> Authorizer:
    """Read profile and permission sets from WeChat and store them; the fresh row."""
    owner = platform_of(authorizer.component)
    info = ComponentAPI(owner).authorizer_info(authorizer.appid)
    columns = {**profile_columns(info), "profile_synced_at": clock.now()}
    if set(info.func_info) != set(authorizer.announced_func_info):
        columns |= to_announce()
    update_row(authorizer, **columns)
    authorizer.refresh_from_db()
    announce(authorizer)
    return authorizer


def sync_missing_profiles(owner: Platform, limit: int = 50) -> int:
    """Read the profiles that could not be read when the grant came; how many were."""
    waiting = Authorizer.objects.filter(
        component=owner.row, profile_synced_at__isnull=True, state=Authorizer.State.AUTHORIZED
    )
    synced = 0
    for authorizer in waiting.select_related("component").order_by("pk")[:limit]:
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
    """WeChat's profile as columns; what is missing gets its default, what is unknown stays in ``profile`` (4.3)."""
    profile = info.profile
    return {
        "nick_name": _text(profile, "nick_name")[:255],
        "kind": _kind(profile),
        "user_name": _text(profile, "user_name")[:64],
        "alias": _text(profile, "alias")[:255],
        "principal_name": _text(profile, "principal_name")[:255],
        "head_img": _text(profile, "head_img"),
        "qrcode_url": _text(profile, "qrcode_url"),
        "signature": _text(profile, "signature"),
        "service_type": _number(profile.get("service_type_info")),
        "verify_type": _number(profile.get("verify_type_info")),
        "account_status": _number(profile.get("account_status")),
        "profile": profile,
        "func_info": list(info.func_info),
        "func_key": func_key(info.func_info),
        "name_key": search_key(_text(profile, "nick_name")),
        "principal_key": search_key(_text(profile, "principal_name")),
    }


def _kind(profile: Mapping[str, Any]) -> str:
    """MiniProgramInfo is the documented way to tell a mini program; type numbers mean different things (4.3)."""
    if "MiniProgramInfo" in profile:
        return Authorizer.Kind.MINI
    return Authorizer.Kind.CHANNELS if profile.get("channels_info") else Authorizer.Kind.OFFICIAL


def _text(profile: Mapping[str, Any], name: str) -> str:
    value = profile.get(name)
    return "" if value is None else str(value)


def _number(value: Any) -> int | None:
    """``{"id": 2}`` or plain 2."""
    number = value.get("id") if isinstance(value, Mapping) else value
    return number if isinstance(number, int) else None


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


def reconcile(owner: Platform) -> SweepReport:
    """Compare with WeChat's list now, repair, and tell other apps what changed."""
    report = sweep(owner)
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

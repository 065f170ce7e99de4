"""The history of a link: when it was opened and on what device, and which account was connected."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db.models import F, OuterRef, Q, QuerySet, Subquery
from django.utils.safestring import SafeString
from django.utils.translation import gettext, ngettext, pgettext_lazy
from django.utils.translation import gettext_lazy as _

from ...db.times import exact, utc_now
from ...formats import duration, sentences
from ...models import AuditEntry, AuthorizationAttempt, AuthorizationLink, Authorizer, CodeExchange
from ..display import NOTHING, account_link, called, moment, tag
from ..reader import may_view

VIEWS_SHOWN = 50

STATES: dict[str, tuple[Any, str]] = {
    "open": (pgettext_lazy("link", "waiting"), "busy"),
    "used": (pgettext_lazy("wechat_open", "used"), "good"),
    "expired": (pgettext_lazy("wechat_open", "expired"), "off"),
    "revoked": (pgettext_lazy("wechat_open", "revoked"), "bad"),
}
"""Each with its word and its tone."""

DEVICES = {
    "pc": _("on a computer"),
    "phone": _("on a phone"),
    "wechat": _("on a phone, in WeChat"),
}


def state_of(link: AuthorizationLink) -> str:
    """One of STATES."""
    if link.completed_at:
        return "used"
    if link.revoked_at:
        return "revoked"
    return "expired" if link.expires_at <= utc_now() else "open"


def tagged_state(link: AuthorizationLink) -> SafeString:
    return tag(*STATES[state_of(link)])


@dataclass(frozen=True)
class View:
    """One view of the connect page. ``account`` was connected by it; ``came_back``: a browser returned from WeChat."""

    at: str | SafeString
    device: Any
    who: Any
    account: str | SafeString
    came_back: bool


@dataclass(frozen=True)
class Timeline:
    """``summary`` is one sentence; ``strays`` has one for each account that came through it and is not the link's."""

    state: str
    tag: SafeString
    summary: str
    account: str | SafeString
    strays: list[str]
    opened: int
    views: list[View]
    """The last VIEWS_SHOWN."""


def of(link: Any) -> Timeline:
    """``link`` as the list reads it: ``opened`` is how often it was."""
    state = state_of(link)
    attempts = list(link.attempts.select_related("user").order_by("-created_at", "-pk")[:VIEWS_SHOWN])
    granted = _granted(attempts)
    strays = [account for account in _came_through(link) if _is_astray(link, account)]
    return Timeline(
        state=state,
        tag=tagged_state(link),
        summary=_summary(link, state, strays),
        account=account_link(link.authorizer) if link.authorizer else "",
        strays=[_stray_text(link, account) for account in strays],
        opened=link.opened,
        views=[_view(attempt, granted.get(attempt.pk)) for attempt in attempts],
    )


def with_stray(links: QuerySet[Any]) -> QuerySet[Any]:
    """Adds what ``stray_of`` needs, in the same query: the last account for which ``_is_astray`` holds."""
    came = CodeExchange.objects.filter(link=OuterRef("pk"), authorizer__isnull=False).order_by("-pk")
    strays = came.filter(Q(link__authorizer__isnull=True) | ~Q(authorizer=F("link__authorizer")))
    annotated: QuerySet[Any] = links.annotate(
        stray_appid=Subquery(strays.values("authorizer__appid")[:1]),
        stray_nick_name=Subquery(strays.values("authorizer__nick_name")[:1]),
    )
    return annotated


def stray_of(link: Any) -> str:
    """The note in the list about an account that came through it and is not the link's; mostly empty."""
    if link.stray_appid is None:
        return ""
    return _stray_text(link, Authorizer(appid=link.stray_appid, nick_name=link.stray_nick_name))


def _is_astray(link: AuthorizationLink, account: Authorizer) -> bool:
    """Whether its grant was kept for no tenant: a link connects one account, and that is not this one."""
    return link.authorizer_id != account.pk


def _stray_text(link: AuthorizationLink, account: Authorizer) -> str:
    if link.revoked_at:
        words = gettext("WeChat granted %(account)s through it all the same. The grant is kept, without a tenant.")
    elif _user_has_left(link):
        words = gettext("Its user had left when %(account)s came through it. The grant is kept, without a tenant.")
    else:
        words = gettext(
            "Another account completed the authorization: %(account)s. The grant is kept, without a tenant."
        )
    return words % {"account": called(account)}


def _user_has_left(link: AuthorizationLink) -> bool:
    """Such a link cannot be opened."""
    return link.for_user and not link.completed_at and (link.user is None or not link.user.is_active)


def _came_through(link: AuthorizationLink) -> list[Authorizer]:
    """Every account that WeChat granted through this link, the first first."""
    exchanges = CodeExchange.objects.filter(link=link, authorizer__isnull=False).select_related("authorizer")
    return list(dict.fromkeys(exchange.authorizer for exchange in exchanges.order_by("pk") if exchange.authorizer))


def _granted(attempts: list[AuthorizationAttempt]) -> dict[int, Authorizer]:
    """The account that each view has connected, by the key of the view."""
    exchanges = CodeExchange.objects.filter(attempt__in=attempts, authorizer__isnull=False).order_by("pk")
    grants = dict(exchanges.values_list("attempt_id", "authorizer_id"))
    accounts = Authorizer.objects.in_bulk(set(grants.values()))
    return {attempt: accounts[account] for attempt, account in grants.items() if account in accounts}


def _view(attempt: AuthorizationAttempt, account: Authorizer | None) -> View:
    return View(
        at=moment(attempt.created_at),
        device=DEVICES.get(attempt.device, NOTHING),
        who=attempt.user or gettext("not signed in"),
        account=account_link(account) if account else "",
        came_back=attempt.used_at is not None,
    )


def _summary(link: Any, state: str, strays: Sequence[Authorizer]) -> str:
    times = ngettext("It was opened once.", "It was opened %(count)d times.", link.opened) % {"count": link.opened}
    opened = times if link.opened else gettext("It has not been opened yet.")
    if state == "used":
        return gettext("An account was connected through it on %(when)s.") % {"when": exact(link.completed_at)}
    if state == "revoked":
        who = _revoked_by(link)
        words = gettext("%(who)s revoked it on %(when)s.") if who else gettext("It was revoked on %(when)s.")
        return sentences(words % {"who": who, "when": exact(link.revoked_at)}, opened)
    if state == "expired":
        words = (
            gettext("It expired on %(when)s; the expected account did not authorize.")
            if strays
            else gettext("It expired on %(when)s, unused.")
        )
        return sentences(words % {"when": exact(link.expires_at)}, opened)
    if _user_has_left(link):
        return sentences(opened, gettext("It cannot be opened: its user has no access to this site any more."))
    words = (
        gettext("The expected account has not authorized yet; the link can be opened for %(time)s.")
        if strays
        else gettext("No account has authorized through it yet; it can be opened for %(time)s.")
    )
    return sentences(opened, words % {"time": duration(link.expires_at - utc_now())})


def _revoked_by(link: AuthorizationLink) -> str:
    """The person who revoked it, if the audit trail goes back so far and the reader may view it."""
    if not may_view("auditentry"):
        return ""
    entries = AuditEntry.objects.filter(
        kind=AuditEntry.Kind.LINK_REVOKED,
        at__gte=link.revoked_at - timedelta(minutes=1) if link.revoked_at else utc_now(),
        component=link.component_id,
        detail=f"#{link.pk}",
    )
    return entries.values_list("actor", flat=True).first() or ""

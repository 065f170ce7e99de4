"""The connect page, from which an owner goes to WeChat.

It has a link for this computer, a link for WeChat on a phone and a QR code, with a state for each browser. A pre-auth
code is good for one authorization; views within minutes share one until an owner acts. Staff with the permission choose
what to ask for and create a link by POST: a browser that prefetches creates no link and uses up no code. Any other
reader needs a link that ``authorization.begin`` created; it is sent by mail and scanned, so opening it is a GET.
"""

from __future__ import annotations

import logging

from django.conf import settings
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import NoReverseMatch, get_script_prefix, reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_protect
from django.views.decorators.http import require_http_methods

from .. import audit, authorization, platforms
from ..admin_urls import admin_url_outside
from ..authorization import qr
from ..authorization.forms import AuthorizationForm
from ..conf import DEFAULT_ALIAS, conf
from ..db.transactions import non_atomic_requests
from ..exceptions import (
    AuthorizationRefused,
    ConfigurationError,
    LinkUsed,
    TicketMissing,
    TokenUnavailable,
    WeChatOpenError,
)
from ..models import AuthorizationLink
from ..translation import translate_error
from . import browser, destinations
from .exemptions import hidden_address, without_login

logger = logging.getLogger(__name__)

REFERRER_POLICY = "strict-origin-when-cross-origin"
"""WeChat's page wants a Referer (docs/protocol.rst, "Referer rule"). Django's default would send none."""

PERMISSION = "wechat_open.authorize_account"


@non_atomic_requests
@never_cache
@csrf_protect
@require_http_methods(["GET", "POST"])
def authorize(request: HttpRequest, alias: str = DEFAULT_ALIAS) -> HttpResponse:
    """For staff: choose what to ask for, and authorize or invite."""
    if refused := _refuse_non_staff(request):
        return refused
    if alias not in conf.components:
        raise Http404
    if elsewhere := browser.redirect_to_site_url(request):
        return elsewhere
    choice = AuthorizationForm(request.POST if request.method == "POST" else request.GET)
    if request.method == "GET" or not choice.is_valid():
        return render(request, "wechat_open/connect.html", {"choice": choice}, status=200 if choice.is_valid() else 400)
    try:
        link = authorization.begin(user=request.user, component=alias, **choice.to_begin())
    except ConfigurationError as error:
        return _unavailable(request, error)
    audit.record(audit.Kind.LINK_MADE, link.component, appid=link.biz_appid, user=request.user, detail=f"#{link.pk}")
    return _connect_page(request, link, choice)


@without_login
@non_atomic_requests
@never_cache
@hidden_address
def authorize_link(request: HttpRequest, key: str) -> HttpResponse:
    """For the reader of a link: its user in this browser, or the owner whom it was sent to."""
    if elsewhere := browser.redirect_to_site_url(request):
        return elsewhere
    if browser.is_prefetch(request):
        return HttpResponse(status=503)
    try:
        link = authorization.open_link(key)
    except LinkUsed:
        response = _link_used(request, key)
    except AuthorizationRefused as refusal:
        response = render(request, "wechat_open/link_refused.html", {"reason": translate_error(refusal)}, status=403)
    else:
        return _connect_page(request, link)
    response["Referrer-Policy"] = "no-referrer"  # the address holds the key
    return response


def _link_used(request: HttpRequest, key: str) -> HttpResponse:
    """The link has connected its account: the page has the way on."""
    link = authorization.find_link(key)
    staff = may_authorize(request)
    context = {
        "next_url": (destinations.next_url(request, link) if link else "") or get_script_prefix(),
        "admin_url": destinations.account_url(link.authorizer_id) if link and staff else "",
        "may_connect": staff,
    }
    return render(request, "wechat_open/link_used.html", context, status=410)


def _connect_page(
    request: HttpRequest, link: AuthorizationLink, choice: AuthorizationForm | None = None
) -> HttpResponse:
    secret = browser.known(request) or browser.new()
    base_url = authorization.base_url(request)
    try:
        offer = authorization.offer(
            link,
            browser=secret,
            base_url=base_url,
            user=getattr(request, "user", None),
            device=browser.device(request),
            operator=may_authorize(request),
        )
    except WeChatOpenError as error:
        return _unavailable(request, error, **_missing_ticket(link, error, base_url))
    own_url = base_url + link.get_absolute_url()
    # The QR code holds this page's address and not WeChat's: the phone then opens this very page, gets a cookie and a
    # state of its own, and its click carries the Referer that WeChat requires. A scanned address carries none.
    context = {
        "link": link,
        "offer": offer,
        "minutes": max(1, round(offer.valid_for.total_seconds() / 60)),
        "own_url": own_url,
        "qr": qr.draw(own_url),
        "phone_in_wechat": browser.is_phone_in_wechat(request),
        "host": base_url.partition("://")[2],
        "choice": choice,
    }
    response = render(request, "wechat_open/connect.html", context)
    response["Referrer-Policy"] = REFERRER_POLICY
    browser.remember(response, request, secret)
    return response


def _unavailable(request: HttpRequest, error: WeChatOpenError, **details: str) -> HttpResponse:
    """WeChat gives no pre-auth code. Staff read why and what to do; an owner reads to come back later."""
    logger.warning("No connect page can be shown: %s", error)
    context = {"error": translate_error(error) if may_authorize(request) else None, **details}
    response = render(request, "wechat_open/connect_unavailable.html", context, status=503)
    response["Retry-After"] = "60"
    response["Referrer-Policy"] = "no-referrer"  # the address may hold a link's key
    return response


def _missing_ticket(link: AuthorizationLink, error: WeChatOpenError, base_url: str) -> dict[str, str]:
    """Where WeChat should push the missing ticket, and how to ask for it; empty for any other error."""
    if not isinstance(error, TokenUnavailable):
        return {}
    if link.component.tickets.exists() and not isinstance(error, TicketMissing):
        return {}
    platform = platforms.for_component(link.component)
    path = reverse("wechat_open:events", kwargs={} if platform.alias == DEFAULT_ALIAS else {"alias": platform.alias})
    return {"awaiting_ticket_at": base_url + path, "push_ticket": platform.command("push-ticket")}


def may_authorize(request: HttpRequest) -> bool:
    """Whether the reader is staff who may connect accounts. A site without user accounts has none."""
    user = getattr(request, "user", None)
    return user is not None and user.is_active and user.is_staff and user.has_perm(PERMISSION)


def _refuse_non_staff(request: HttpRequest) -> HttpResponse | None:
    """The redirect to the login; PermissionDenied for a user who is signed in. None for staff with the permission."""
    if may_authorize(request):
        return None
    user = getattr(request, "user", None)
    if user is not None and user.is_authenticated:
        raise PermissionDenied
    try:
        login_url = admin_url_outside("login")
    except NoReverseMatch:
        login_url = str(settings.LOGIN_URL)
    return redirect_to_login(request.get_full_path(), login_url)

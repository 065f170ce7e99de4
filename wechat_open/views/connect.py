"""What does an owner see before going to WeChat?

The connect page: a link for this computer, a link for WeChat on a phone and a QR code, with a state for each browser. A
pre-auth code is good for one authorization; views within minutes share one until an owner acts. Staff with the
permission choose what to ask for and create a link by POST: a browser that looks ahead creates no link and uses up no
code. Anybody else needs a link that ``authorization.begin`` made; it is sent by mail and scanned, so opening it is a
GET.
"""

from __future__ import annotations

import logging
from typing import Any

from django import forms
from django.conf import settings
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import NoReverseMatch, get_script_prefix, reverse
from django.utils.translation import get_language, pgettext_lazy
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_protect
from django.views.decorators.http import require_http_methods

from .. import authorization, journal, qr
from ..admin_urls import admin_url_outside
from ..component import platform_of
from ..conf import DEFAULT_ALIAS, conf
from ..exceptions import (
    AuthorizationRefused,
    ConfigurationError,
    LinkUsed,
    TicketMissing,
    TokenUnavailable,
    WeChatOpenError,
)
from ..models import AuthorizationLink
from ..protocol import permissions
from ..telling import told
from . import browser, onward
from .doors import own_transactions, secret_address, without_login

logger = logging.getLogger(__name__)

REFERRER_POLICY = "strict-origin-when-cross-origin"
"""WeChat's page compares the Referer's host with the registered one (3.4). Django's default would send none."""

PERMISSION = "wechat_open.authorize_account"

AUTH_TYPES = [(kind.name.lower(), kind.label) for kind in AuthorizationLink.AuthType]

KINDS: tuple[tuple[permissions.Kind, Any], ...] = (
    ("official", _("For official accounts")),
    ("mini", _("For mini programs")),
)


class Choice(forms.Form):
    """What the owner is asked for. A GET with these fields proposes them: staff can keep such an address."""

    auth_type = forms.ChoiceField(label=_("Kinds of account"), choices=AUTH_TYPES, required=False)
    biz_appid = forms.RegexField(
        label=_("Only this account"),
        regex=authorization.APPID,
        strip=True,
        required=False,
        help_text=_("Its appid. Then only this account's administrator can confirm."),
        error_messages={"invalid": _("An appid is letters and digits, such as wx4c9e2f70d81b35a6.")},
        widget=forms.TextInput(attrs={"placeholder": "wx…", "autocomplete": "off", "spellcheck": "false"}),
    )
    category_ids = forms.TypedMultipleChoiceField(
        label=pgettext_lazy("wechat_open", "Permission sets"),
        coerce=int,
        choices=lambda: [(set_.id, set_.id) for set_ in permissions.NAMES.values()],
        required=False,
        help_text=_("None chosen: all that the platform has released."),
    )

    @property
    def is_made(self) -> bool:
        """Whether less is asked for than usual."""
        return self.is_valid() and self.to_begin() != {"auth_type": "both", "biz_appid": "", "category_ids": ()}

    def to_begin(self) -> dict[str, Any]:
        """The arguments of ``authorization.begin``."""
        chosen = self.cleaned_data
        return {
            "auth_type": chosen["auth_type"] or "both",
            "biz_appid": chosen["biz_appid"],
            "category_ids": tuple(chosen["category_ids"]),
        }

    def permission_groups(self) -> list[dict[str, Any]]:
        """The permission sets by kind, for the template: names in the reader's language, and which are chosen."""
        language = get_language() or "en"
        chosen = set(self["category_ids"].value() or ())
        groups = []
        for kind, label in KINDS:
            sets = permissions.offered(kind, chosen, language)
            groups.append({"label": label, "sets": sets, "any_chosen": any(set_["chosen"] for set_ in sets)})
        return groups


@own_transactions
@never_cache
@csrf_protect
@require_http_methods(["GET", "POST"])
def authorize(request: HttpRequest, alias: str = DEFAULT_ALIAS) -> HttpResponse:
    """For staff: choose what to ask for, and authorize or invite."""
    if refused := _staff_only(request):
        return refused
    if alias not in conf.components:
        raise Http404
    if elsewhere := browser.redirect_home(request):
        return elsewhere
    choice = Choice(request.POST if request.method == "POST" else request.GET, label_suffix="")
    if request.method == "GET" or not choice.is_valid():
        return render(request, "wechat_open/connect.html", {"choice": choice}, status=200 if choice.is_valid() else 400)
    try:
        link = authorization.begin(user=request.user, component=alias, **choice.to_begin())
    except ConfigurationError as error:
        return _not_now(request, error)
    journal.note(journal.Kind.LINK_MADE, link.component, appid=link.biz_appid, user=request.user, detail=f"#{link.pk}")
    return _connect_page(request, link, choice)


@without_login
@own_transactions
@never_cache
@secret_address
def authorize_link(request: HttpRequest, key: str) -> HttpResponse:
    """For whoever has the link: its user in this browser, or the owner whom it was sent to."""
    if elsewhere := browser.redirect_home(request):
        return elsewhere
    if browser.fetches_ahead(request):
        return HttpResponse(status=503)
    try:
        link = authorization.open_link(key)
    except LinkUsed:
        response = _used(request, key)
    except AuthorizationRefused as refusal:
        response = render(request, "wechat_open/link_refused.html", {"reason": told(refusal)}, status=403)
    else:
        return _connect_page(request, link)
    response["Referrer-Policy"] = "no-referrer"  # the address holds the key
    return response


def _used(request: HttpRequest, key: str) -> HttpResponse:
    """The link has done its work: that is good news, and there is a way on."""
    link = authorization.find_link(key)
    staff = may_authorize(request)
    context = {
        "next_url": (onward.next_url(request, link) if link else "") or get_script_prefix(),
        "admin_url": onward.account_url(link.authorizer_id) if link and staff else "",
        "may_connect": staff,
    }
    return render(request, "wechat_open/link_used.html", context, status=410)


def _connect_page(request: HttpRequest, link: AuthorizationLink, choice: Choice | None = None) -> HttpResponse:
    secret = browser.known(request) or browser.new()
    base_url = browser.base_url(request)
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
        return _not_now(request, error, **_awaited(link, error, base_url))
    own_url = base_url + link.get_absolute_url()
    # The QR code holds this page's address and not WeChat's: the phone then opens this very page, gets a cookie and a
    # state of its own, and its click carries the Referer that WeChat asks for. What is scanned carries none.
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


def _not_now(request: HttpRequest, error: WeChatOpenError, **awaited: str) -> HttpResponse:
    """No pre-auth code to be had. Staff hear why and what to do; an owner hears to come back."""
    logger.warning("No connect page can be shown: %s", error)
    context = {"error": told(error) if may_authorize(request) else None, **awaited}
    response = render(request, "wechat_open/connect_unavailable.html", context, status=503)
    response["Retry-After"] = "60"
    response["Referrer-Policy"] = "no-referrer"  # the address may hold a link's key
    return response


def _awaited(link: AuthorizationLink, error: WeChatOpenError, base_url: str) -> dict[str, str]:
    """Where WeChat should push the ticket that is missing, and how to ask for it; empty for anything else wrong."""
    if not isinstance(error, TokenUnavailable):
        return {}
    if link.component.tickets.exists() and not isinstance(error, TicketMissing):
        return {}
    owner = platform_of(link.component)
    path = reverse("wechat_open:events", kwargs={} if owner.alias == DEFAULT_ALIAS else {"alias": owner.alias})
    return {"awaiting_ticket_at": base_url + path, "push_ticket": owner.command("push-ticket")}


def may_authorize(request: HttpRequest) -> bool:
    """Staff who may connect accounts. A site without accounts has none."""
    user = getattr(request, "user", None)
    return user is not None and user.is_active and user.is_staff and user.has_perm(PERMISSION)


def _staff_only(request: HttpRequest) -> HttpResponse | None:
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

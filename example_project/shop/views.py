"""The pages of a shop's owner.

The owner sees the shop's accounts, connects one, and makes a call in its name.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.contrib.auth import get_user_model, login
from django.contrib.auth.decorators import login_required
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from wechat_open import api, authorization
from wechat_open.db.times import utc_now
from wechat_open.exceptions import (
    APIError,
    AuthorizerUnauthorized,
    PermissionMissing,
    ReauthorizationNeeded,
    TokenUnavailable,
    Unreachable,
    WeChatOpenError,
)
from wechat_open.models import AuthorizationLink, Authorizer
from wechat_open.protocol import permissions

from .models import Shop

SHOWN_PERMISSIONS = 6


@dataclass(frozen=True)
class Card:
    """An account, as the home page shows it."""

    account: Authorizer
    permissions: list[str]
    more_permissions: list[str]
    seconds_left: int
    life: int

    @property
    def left(self) -> str:
        """How long the token lives, in words."""
        minutes, seconds = divmod(self.seconds_left, 60)
        hours, minutes = divmod(minutes, 60)
        if hours:
            return _("%(hours)d h %(minutes)d min") % {"hours": hours, "minutes": minutes}
        if minutes:
            return _("%(minutes)d min") % {"minutes": minutes}
        return _("%(seconds)d s") % {"seconds": seconds}


@never_cache
@require_safe
def home(request: HttpRequest) -> HttpResponse:
    context: dict[str, Any] = {"demo": settings.DEMO, "simulator": _simulator()}
    if request.user.is_authenticated:
        shops = Shop.objects.for_user(request.user)
        context["shops"] = [(shop, cards(shop.accounts.order_by("pk"))) for shop in shops]
        if request.user.is_staff:
            context["homeless"] = cards(Authorizer.objects.filter(shops=None).order_by("pk"))
    return render(request, "shop/home.html", context)


@login_required
@require_POST
def connect(request: HttpRequest, pk: int) -> HttpResponse:
    """Start an authorization for a shop; ``wechat.give_to_shop`` gets the payload back together with the account."""
    shop = get_object_or_404(Shop.objects.for_user(request.user), pk=pk)
    link = authorization.begin(user=request.user, payload={"shop": shop.pk}, next_url=reverse("connected"))
    request.session["link"] = link.pk
    return redirect(link)


@login_required
@require_safe
def connected(request: HttpRequest) -> HttpResponse:
    """After the return from WeChat: show which account was connected, on the home page."""
    link = AuthorizationLink.objects.filter(pk=request.session.pop("link", None), user=request.user.pk)
    account = Authorizer.objects.filter(pk__in=link.values("authorizer")).first()
    if account is not None:
        messages.success(request, _("%(name)s is connected.") % {"name": account.nick_name or account.appid})
    return redirect("home")


@login_required
@require_POST
def hello(request: HttpRequest, pk: int) -> HttpResponse:
    """A call in an account's name: read its basic information from WeChat."""
    account = get_object_or_404(_accounts(request.user), pk=pk)
    try:
        answer = api.authorizer(account).get("/cgi-bin/account/getaccountbasicinfo")
    except WeChatOpenError as error:
        messages.error(request, f"{explain(error, account)}\n\n{error}")
    else:
        facts = {"name": answer.get("nickname") or account.nick_name, "principal": answer.get("principal_name", "")}
        messages.success(request, _("WeChat answers: “Hello, %(name)s of %(principal)s!”") % facts)
    return redirect("home")


@require_POST
def demo_login(request: HttpRequest) -> HttpResponse:
    """Sign in as the demo's user without a password. It has a URL in the demo only (``urls``)."""
    login(request, get_user_model().objects.get(username="demo"))
    return redirect("home")


def cards(accounts: Iterable[Authorizer]) -> list[Card]:
    """What to show of some accounts, in the reader's language."""
    now, language = utc_now(), get_language() or "en"
    shown = []
    for account in accounts:
        obtained, expires = account.access_token_obtained_at, account.access_token_expires_at
        names = [permissions.name(number, language) for number in account.func_info]
        shown.append(
            Card(
                account=account,
                permissions=names[:SHOWN_PERMISSIONS],
                more_permissions=names[SHOWN_PERMISSIONS:],
                seconds_left=max(0, int((expires - now).total_seconds())) if expires else 0,
                life=int((expires - obtained).total_seconds()) if expires and obtained else 0,
            )
        )
    return shown


def explain(error: WeChatOpenError, account: Authorizer) -> str:
    """What a shop's owner can do about the error; WeChat's own text follows in the next line."""
    name = {"name": account.nick_name or account.appid}
    match error:
        case AuthorizerUnauthorized():
            return _("%(name)s has taken its authorization back. Connect it again to go on.") % name
        case ReauthorizationNeeded():
            return _("WeChat no longer accepts what %(name)s once granted. Connect it again to go on.") % name
        case PermissionMissing():
            return _("%(name)s has not granted what this call needs.") % name
        case TokenUnavailable() | Unreachable():
            return _("WeChat cannot be asked right now. Please try again in a moment.")
        case APIError():
            return _("WeChat refused the call.")
        case _:
            return _("That did not work.")


def _accounts(user: Any) -> QuerySet[Authorizer]:
    accounts = Authorizer.objects.select_related("component")
    if user.is_staff and user.has_perm("wechat_open.authorize_account"):
        return accounts
    return accounts.filter(shops__owner=user).distinct()


def _simulator() -> str:
    """The address of the simulator, if the site uses one."""
    return str(settings.WECHAT_OPEN.get("AUTHORIZE_BASE_URL", ""))

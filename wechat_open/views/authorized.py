"""The redirect with which WeChat sends an owner back.

The state in the path and the cookie of the browser together name the connect page that this answers; only then is the
code exchanged. A return without them exchanges nothing: the push brings the same grant anyway. Where the owner goes
next was stored when the authorization began, and is never read from the query.
"""

from __future__ import annotations

import logging

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.utils.translation import get_language
from django.views.decorators.cache import never_cache

from .. import authorization
from ..db.transactions import non_atomic_requests
from ..exceptions import (
    AccountRestricted,
    AuthorizationRefused,
    CodeRefused,
    GrantSuperseded,
    LinkRevoked,
    LinkUsed,
    WeChatOpenError,
)
from ..models import AuthorizationAttempt, Authorizer
from ..protocol import permissions
from ..secret import Secret
from ..text import TranslatableText as _
from ..translation import translate_error
from . import browser, destinations
from .connect import may_authorize
from .exemptions import hidden_address, without_login

logger = logging.getLogger(__name__)


@without_login
@non_atomic_requests
@never_cache
@hidden_address
def authorized(request: HttpRequest, state: str) -> HttpResponse:
    """With a code: exchange it, and redirect. Without one: show the result, which is also the default destination."""
    response = _answer(request, state)
    response["Referrer-Policy"] = "no-referrer"  # the address holds the code and the state
    return response


def _answer(request: HttpRequest, state: str) -> HttpResponse:
    try:
        attempt = authorization.find_attempt(state, browser.known(request))
    except AuthorizationRefused as refusal:
        return _refused(request, refusal)
    code = Secret(request.GET.get("auth_code", ""))
    if not code:
        return _result(request, attempt)
    try:
        account = authorization.complete_redirect(attempt, code)
    except LinkRevoked:
        return _revoked(request)
    except (LinkUsed, GrantSuperseded) as refusal:
        return render(request, "wechat_open/kept_for_no_link.html", {"reason": translate_error(refusal)}, status=409)
    except AuthorizationRefused as refusal:
        return _refused(request, refusal)
    except CodeRefused:
        return _refused(request, AuthorizationRefused(_("WeChat does not accept the code of this return any more.")))
    except WeChatOpenError as error:
        return _failed(request, attempt, error)
    if attempt.link.biz_appid not in ("", account.appid):
        context = {"link": attempt.link, "account": account}
        return render(request, "wechat_open/other_account.html", context, status=409)
    return HttpResponseRedirect(destinations.next_url(request, attempt.link) or request.path, status=303)


def _refused(request: HttpRequest, refusal: AuthorizationRefused) -> HttpResponse:
    return render(request, "wechat_open/return_refused.html", {"reason": translate_error(refusal)}, status=403)


def _revoked(request: HttpRequest) -> HttpResponse:
    """The page for a link that was revoked: what the owner confirmed at WeChat stands, and the page says so."""
    return render(request, "wechat_open/link_revoked.html", status=403)


def _failed(request: HttpRequest, attempt: AuthorizationAttempt, error: WeChatOpenError) -> HttpResponse:
    logger.warning("A return from WeChat could not be completed: %s", error)
    context = {"link": attempt.link, "error": translate_error(error) if may_authorize(request) else None}
    if isinstance(error, AccountRestricted):  # another attempt would fail in the same way
        return render(request, "wechat_open/account_restricted.html", context, status=403)
    response = render(request, "wechat_open/return_failed.html", context, status=503)
    response["Retry-After"] = "10"
    return response


def _result(request: HttpRequest, attempt: AuthorizationAttempt) -> HttpResponse:
    if attempt.link.revoked_at:
        return _revoked(request)
    account = authorization.account_of(attempt)
    context = {
        "link": attempt.link,
        "account": account,
        "permission_sets": _names(account) if account else [],
        "admin_url": destinations.account_url(account.pk) if account and may_authorize(request) else "",
    }
    return render(request, "wechat_open/authorized.html", context)


def _names(account: Authorizer) -> list[str]:
    language = get_language() or "en"
    return [permissions.name(id, language) for id in account.func_info]

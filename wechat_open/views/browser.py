"""The browser that a request comes from, and the host that it was sent to.

A random cookie ties an authorization to the browser that started it: a return from WeChat in any other browser is
refused, so that no attacker can put an account of their own into another user's return.
"""

from __future__ import annotations

import re
import secrets
from urllib.parse import urlsplit

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse

from ..conf import conf

COOKIE = "wechat_open_browser"
MOVED = "moved"
"""Query parameter of a request that was redirected here from another host."""

_SHAPE = re.compile(r"[A-Za-z0-9_-]{43}")


def known(request: HttpRequest) -> str:
    """The secret of this browser; empty when it has none, or none of ours."""
    secret = request.COOKIES.get(COOKIE, "")
    return secret if _SHAPE.fullmatch(secret) else ""


def new() -> str:
    """256 bits, for a browser that has no secret yet."""
    return secrets.token_urlsafe(32)


def remember(response: HttpResponse, request: HttpRequest, secret: str) -> None:
    """Give the browser its secret, for our own pages and until it is closed.

    ``Lax`` and not ``Strict``: the owner comes back by a link on WeChat's page.
    """
    secure = request.is_secure() or conf.site_url.lower().startswith("https:")  # a proxy may hide that it is https
    response.set_cookie(COOKIE, secret, path=_prefix(), secure=secure, httponly=True, samesite="Lax")


def redirect_to_site_url(request: HttpRequest) -> HttpResponse | None:
    """The redirect to the same page under SITE_URL, if its host is another one, which WeChat would refuse.

    Once only: behind a proxy that does not pass the host on, every request seems to be for another host.
    """
    if not conf.site_url or MOVED in request.GET:
        return None
    if urlsplit(conf.site_url).netloc.lower() == request.get_host().lower():
        return None
    query = request.GET.copy()
    query[MOVED] = "1"
    return HttpResponseRedirect(f"{conf.site_url}{request.path}?{query.urlencode()}")


def is_prefetch(request: HttpRequest) -> bool:
    """Whether the page is loaded only in case a reader opens it: browsers and previews send these headers."""
    values = (request.headers.get(name, "") for name in ("Sec-Purpose", "Purpose", "X-Purpose", "X-Moz"))
    return any(word in value.lower() for value in values for word in ("prefetch", "prerender", "preview"))


def is_phone_in_wechat(request: HttpRequest) -> bool:
    """Whether it is WeChat's own browser on a phone: the phone's link works only there."""
    agent = request.headers.get("User-Agent", "")
    # WeCom names WeChat's browser too, but opens none of WeChat's own pages.
    others = ("WindowsWechat", "MacWechat", "wxwork")
    return "MicroMessenger" in agent and not any(other.lower() in agent.lower() for other in others)


def device(request: HttpRequest) -> str:
    """The kind of device by its User-Agent: ``pc``, ``phone``, ``wechat``; empty without one."""
    agent = request.headers.get("User-Agent", "")
    if is_phone_in_wechat(request):
        return "wechat"
    if any(word in agent for word in ("Mobile", "Android", "iPhone", "iPad")):
        return "phone"
    return "pc" if agent else ""


def _prefix() -> str:
    """The path under which the site includes our URLs, such as ``/wechat/``."""
    return reverse("wechat_open:authorize").removesuffix("authorize/")

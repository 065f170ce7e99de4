"""Whose browser is asking, and under which address of ours?

A random cookie ties what an owner started to the browser that started it: a return from WeChat in any other browser
is refused, so nobody can slip an account of his own into somebody else's return.
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
"""Query parameter: this request was sent here from another host already."""

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


def base_url(request: HttpRequest) -> str:
    """Scheme and host that WeChat sees as the page's and as the return's; both must be the registered ones (3.4)."""
    return conf.site_url or f"{request.scheme}://{request.get_host()}"


def redirect_home(request: HttpRequest) -> HttpResponse | None:
    """To the same page under SITE_URL, if it was opened under another host; WeChat would refuse that one.

    Once only: behind a proxy that does not pass the host on, every request looks as if it had come to another one.
    """
    if not conf.site_url or MOVED in request.GET:
        return None
    if urlsplit(conf.site_url).netloc.lower() == request.get_host().lower():
        return None
    query = request.GET.copy()
    query[MOVED] = "1"
    return HttpResponseRedirect(f"{conf.site_url}{request.path}?{query.urlencode()}")


def fetches_ahead(request: HttpRequest) -> bool:
    """A browser that loads a page in case its reader opens it, as browsers and previews say by these headers."""
    said = (request.headers.get(name, "") for name in ("Sec-Purpose", "Purpose", "X-Purpose", "X-Moz"))
    return any(word in value.lower() for value in said for word in ("prefetch", "prerender", "preview"))


def is_phone_in_wechat(request: HttpRequest) -> bool:
    """WeChat's own browser on a phone: the only place where the phone's link works."""
    agent = request.headers.get("User-Agent", "")
    # WeCom, which names itself too, opens none of WeChat's own pages.
    others = ("WindowsWechat", "MacWechat", "wxwork")
    return "MicroMessenger" in agent and not any(other.lower() in agent.lower() for other in others)


def device(request: HttpRequest) -> str:
    """What the page was opened with, as its User-Agent says: ``pc``, ``phone``, ``wechat``; empty for a silent one."""
    agent = request.headers.get("User-Agent", "")
    if is_phone_in_wechat(request):
        return "wechat"
    if any(word in agent for word in ("Mobile", "Android", "iPhone", "iPad")):
        return "phone"
    return "pc" if agent else ""


def _prefix() -> str:
    """Where the site put us, such as ``/wechat/``."""
    return reverse("wechat_open:authorize").removesuffix("authorize/")

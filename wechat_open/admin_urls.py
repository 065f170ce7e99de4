"""Which admin site is the reader of a page on, and of which models may they see rows?

Addresses of the admin's pages are of that site, or else of one that knows us: Django's ``reverse("admin:…")`` leads to
the default site, also from the pages of another one.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from functools import wraps
from typing import Any

from django.apps import apps
from django.core.signals import request_started
from django.http import HttpRequest
from django.urls import NoReverseMatch, URLPattern, reverse

_current: ContextVar[str] = ContextVar("wechat_open_admin_site", default="")
_reader: ContextVar[Any] = ContextVar("wechat_open_admin_reader", default=None)


def admin_url(name: str, *args: Any) -> str:
    """The page ``name`` (``wechat_open_authorizer_change``) of the site whose page is being made."""
    return reverse(f"admin:{name}", args=args, current_app=_current.get() or None)


def may_view(model: str) -> bool:
    """Whether the reader of the page that is being made may see rows of ``model`` (``authorizer``).

    For what a page tells of other rows than its own: a list of pushes names accounts, an account its tenant.
    """
    user = _reader.get()
    return user is not None and bool(user.has_perm(f"wechat_open.view_{model}"))


def admin_url_outside(name: str, *args: Any) -> str:
    """The same for a page that is none of the admin's: on a site that has our models; NoReverseMatch without one."""
    for site in _sites_with_us():
        try:
            return reverse(f"{site}:{name}", args=args)
        except NoReverseMatch:
            continue
    return reverse(f"admin:{name}", args=args)


def on_site(pattern: URLPattern, site: str) -> URLPattern:
    """A URL of the admin, whose page then leads to others of the same site."""
    pattern.callback = _remembering(pattern.callback, site)
    return pattern


def _forget_reader(**_signal: Any) -> None:
    """A thread makes pages for one reader after another; one that is none of ours is for nobody that we know."""
    _reader.set(None)


request_started.connect(_forget_reader)


def _remembering(view: Callable[..., Any], site: str) -> Callable[..., Any]:
    @wraps(view)
    def page(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        # Not put back afterwards: Django renders the page when the view has returned. The next page sets its own.
        _current.set(site)
        _reader.set(request.user)
        request.current_app = site  # read by {% url %}
        return view(request, *args, **kwargs)

    return page


def _sites_with_us() -> list[str]:
    """The names of the admin sites that show accounts, Django's default one first."""
    if not apps.is_installed("django.contrib.admin"):
        return []
    from django.contrib.admin.sites import all_sites, site

    account = apps.get_model("wechat_open", "Authorizer")
    names = {one.name for one in all_sites if one.is_registered(account)}
    return sorted(names, key=lambda name: (name != site.name, name))

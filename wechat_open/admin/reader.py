"""The reader of the page that is being rendered: which admin site they are on, and which rows they may view."""

from __future__ import annotations

from contextvars import ContextVar
from functools import wraps
from typing import Any

from django.core.signals import request_started
from django.http import HttpRequest
from django.urls import URLPattern

from ..admin_urls import admin_url, current_site

_reader: ContextVar[Any] = ContextVar("wechat_open_admin_reader", default=None)


def may_view(model: str) -> bool:
    """Whether the reader may view rows of ``model`` (``authorizer``).

    For what a page shows of other rows than its own: a list of pushes names accounts, an account its tenant.
    """
    user = _reader.get()
    return user is not None and bool(user.has_perm(f"wechat_open.view_{model}"))


def list_page(model: str, query: str = "") -> str:
    """The address of the list of ``model``; empty when the reader may not view its rows."""
    return admin_url(f"wechat_open_{model}_changelist") + query if may_view(model) else ""


def on_site(pattern: URLPattern, site: str) -> URLPattern:
    """A URL of this admin site, whose page then links to others of the same site."""
    view = pattern.callback

    @wraps(view)
    def page(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        # Not reset afterwards: Django renders the page when the view has returned. The next page sets its own.
        current_site.set(site)
        _reader.set(request.user)
        request.current_app = site  # read by {% url %}
        return view(request, *args, **kwargs)

    pattern.callback = page
    return pattern


def _forget_reader(**_signal: Any) -> None:
    """A thread serves one reader after another; a page that is not ours has none that we know."""
    _reader.set(None)


request_started.connect(_forget_reader)

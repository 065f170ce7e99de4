"""Middleware that answers callbacks before the site's other middleware runs.

Optional, and first in MIDDLEWARE: a callback has no session, no user and no browser, and what the rest of the list does
for those costs more than the answer. Every other request passes unchanged.

For a callback, this does what Django's own middleware would have done: it compares the Host with ALLOWED_HOSTS and sets
Content-Length. Django turns an exception into a response, as in any middleware.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import cast

from asgiref.sync import iscoroutinefunction, markcoroutinefunction, sync_to_async
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.urls import Resolver404, ResolverMatch, URLResolver, get_resolver

from .views import callbacks

CALLBACKS = (callbacks.messages, callbacks.events)

NAMES = ("messages/", "events")
"""Every callback URL contains one of these, wherever the site has included our URLs."""

MAX_REMEMBERED = 10_000

LONGEST = 256
"""Characters of an address that is remembered. Appids have 18; anyone can request longer ones."""

_Next = Callable[[HttpRequest], HttpResponseBase | Awaitable[HttpResponseBase]]


class CallbackMiddleware:
    """Answers what WeChat posts to our callbacks, and passes every other request on."""

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: _Next) -> None:
        self.get_response = get_response
        self._asynchronous = iscoroutinefunction(get_response)
        if self._asynchronous:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        match = _callback(request)
        if self._asynchronous:
            return self._answer_later(request, match)
        return self.get_response(request) if match is None else _answer(request, match)

    async def _answer_later(self, request: HttpRequest, match: ResolverMatch | None) -> HttpResponseBase:
        if match is None:
            return await cast("Awaitable[HttpResponseBase]", self.get_response(request))
        # In the thread in which Django runs synchronous views; it owns the database connections of the request.
        return await sync_to_async(_answer, thread_sensitive=True)(request, match)


def _answer(request: HttpRequest, match: ResolverMatch) -> HttpResponseBase:
    request.get_host()
    request.resolver_match = match
    response: HttpResponse = match.func(request, *match.args, **match.kwargs)
    response.headers["Content-Length"] = str(len(response.content))
    if response.status_code == 200:
        _remember(request, match)
    return response


def _callback(request: HttpRequest) -> ResolverMatch | None:
    """The match of a callback, or None. Other methods than POST are left to Django and the rest of the list."""
    path = request.path_info
    if request.method != "POST" or not any(name in path for name in NAMES):
        return None
    resolver = get_resolver(getattr(request, "urlconf", None))
    return _matches.get((resolver, path)) or _find(resolver, path)


_matches: dict[tuple[URLResolver, str], ResolverMatch] = {}
"""Of callbacks only. Each account has one address, and most requests are for an address that was requested before."""


def _find(resolver: URLResolver, path: str) -> ResolverMatch | None:
    try:
        match = resolver.resolve(path)
    except Resolver404:
        return None
    return match if match.func in CALLBACKS else None


def _remember(request: HttpRequest, match: ResolverMatch) -> None:
    """Remember an address to which WeChat has pushed: only those are answered with 200, so others do not fill it."""
    at = get_resolver(getattr(request, "urlconf", None)), request.path_info
    if at in _matches or len(request.path_info) > LONGEST:
        return
    if len(_matches) >= MAX_REMEMBERED:
        _matches.clear()
    _matches[at] = match

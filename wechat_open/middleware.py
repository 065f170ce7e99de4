"""How does WeChat get its answer before the site's other middleware runs?

Optional, and first in MIDDLEWARE: a callback has no session, no user and no browser, and what the rest of the list does
for those costs more than the answer. Whatever is no callback goes on as if this were not here.

For a callback, Django has checked nothing yet, so what its own middleware would have done is done here: the Host is
compared with ALLOWED_HOSTS, and the answer says its length. An exception becomes a response in Django, as anywhere.
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
"""One of them is in the address of a callback, wherever the site has included our URLs."""

MAX_REMEMBERED = 10_000

LONGEST = 256
"""Characters of an address that is remembered. Appids have 18; anybody can ask for longer ones."""

_Next = Callable[[HttpRequest], HttpResponseBase | Awaitable[HttpResponseBase]]


class CallbackMiddleware:
    """Answer what WeChat posts to our callbacks, and let everything else go on."""

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
        # In the thread in which Django runs views of this kind; the database connections of the request are its.
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
    """Which one it is, if it is one. Whatever is no POST is left to Django, which says so to the rest of the list."""
    path = request.path_info
    if request.method != "POST" or not any(name in path for name in NAMES):
        return None
    resolver = get_resolver(getattr(request, "urlconf", None))
    return _matches.get((resolver, path)) or _find(resolver, path)


_matches: dict[tuple[URLResolver, str], ResolverMatch] = {}
"""Of callbacks only. Each account has one address, and most requests are for one that was asked for before."""


def _find(resolver: URLResolver, path: str) -> ResolverMatch | None:
    try:
        match = resolver.resolve(path)
    except Resolver404:
        return None
    return match if match.func in CALLBACKS else None


def _remember(request: HttpRequest, match: ResolverMatch) -> None:
    """An address to which WeChat has pushed: nothing else is answered with 200, so nobody else fills this memory."""
    at = get_resolver(getattr(request, "urlconf", None)), request.path_info
    if at in _matches or len(request.path_info) > LONGEST:
        return
    if len(_matches) >= MAX_REMEMBERED:
        _matches.clear()
    _matches[at] = match

"""Headers that a site in front of our pages might change."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

GetResponse = Callable[[HttpRequest], HttpResponse]


def django_default_referrer_policy(get_response: GetResponse) -> GetResponse:
    """What SecurityMiddleware says of its own accord, over whatever a view has said."""

    def middleware(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        response["Referrer-Policy"] = "same-origin"
        return response

    return middleware


def strict_content_security_policy(get_response: GetResponse) -> GetResponse:
    """Nothing inline, nothing from elsewhere."""

    def middleware(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        response["Content-Security-Policy"] = (
            "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; form-action 'self'"
        )
        return response

    return middleware


def only_from_here(get_response: GetResponse) -> GetResponse:
    """What Django 6 sends for ``SECURE_CSP = {"default-src": ["'self'"]}``."""

    def middleware(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        response["Content-Security-Policy"] = "default-src 'self'"
        return response

    return middleware

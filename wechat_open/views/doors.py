"""What are our views exempt from, and why?

Said here once, and nowhere else. A view without one of these decorators enjoys whatever the site prescribes.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast

from django.contrib.auth.decorators import login_not_required
from django.db import connections, transaction
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseNotAllowed
from django.template.loader import render_to_string
from django.views.decorators.csrf import csrf_exempt

logger = logging.getLogger(__name__)

View = TypeVar("View", bound=Callable[..., HttpResponseBase])


def own_transactions(view: View) -> View:
    """Not wrapped by ATOMIC_REQUESTS, on any database.

    No transaction is held across a call to WeChat, and WeChat hears ``success`` only after a commit.
    """
    for alias in connections:
        view = transaction.non_atomic_requests(using=alias)(view)
    return view


def without_login(view: View) -> View:
    """Not behind LoginRequiredMiddleware: account owners and monitors have no login here.

    Such a view looks for something better: a link nobody can guess, a state with its browser, a bearer token.
    """
    return login_not_required(view)


def secret_address(view: View) -> View:
    """Its address holds a link's key, or a state and a code. It answers to GET.

    Django writes the address of every 4xx and 5xx to its log, and mails ADMINS that of an exception, with the cookies.
    So no exception leaves, and no method is refused further out; what matters is logged here, without the address.
    """

    @wraps(view)
    def untold(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        response: HttpResponseBase
        if request.method != "GET":
            response = HttpResponseNotAllowed(["GET"])
        else:
            try:
                response = view(request, *args, **kwargs)
            except Exception:  # noqa: BLE001  # it is logged, below
                # As text: who takes an exception along, by mail or to a tracker, takes the variables of its frames.
                logger.error("A page whose address is secret could not be shown. %s", traceback.format_exc())
                response = _trouble(request)
        response._has_been_logged = True  # type: ignore[attr-defined]  # Django's own mark; there is no public one
        return response

    return cast(View, untold)


def _trouble(request: HttpRequest) -> HttpResponse:
    """Made without the site's context processors: they may ask the database, and that may be the trouble."""
    page = render_to_string("wechat_open/trouble.html", {"request": request})
    return HttpResponse(page, status=503, headers={"Retry-After": "60", "Referrer-Policy": "no-referrer"})


def from_wechat(view: View) -> View:
    """A callback. WeChat has neither a login nor a CSRF token; its signature is checked instead, before all else."""
    return csrf_exempt(without_login(own_transactions(view)))

"""What views are exempt from, and why: stated here and nowhere else.

To a view without one of these decorators applies whatever the site prescribes.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast

from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseNotAllowed
from django.template.loader import render_to_string
from django.views.decorators.csrf import csrf_exempt

from ..db.transactions import non_atomic_requests

logger = logging.getLogger(__name__)

View = TypeVar("View", bound=Callable[..., HttpResponseBase])


def without_login(view: View) -> View:
    """Exempt from LoginRequiredMiddleware: account owners and monitors have no login here.

    Such a view checks something else: an unguessable link, a state with its browser, a bearer token.
    """
    return login_not_required(view)


def hidden_address(view: View) -> View:
    """Keep the view's address out of logs and mails: it holds a link's key, or a state and a code. It answers to GET.

    Django writes the address of every 4xx and 5xx to its log, and mails ADMINS that of an exception, with the cookies.
    So no exception leaves, and no method is refused further out; errors are logged here, without the address.
    """

    @wraps(view)
    def answer(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        response: HttpResponseBase
        if request.method != "GET":
            response = HttpResponseNotAllowed(["GET"])
        else:
            try:
                response = view(request, *args, **kwargs)
            except Exception:  # noqa: BLE001  # it is logged, below
                # As text: mails and error trackers add the variables of an exception's frames.
                logger.error("A page whose address is secret could not be shown. %s", traceback.format_exc())
                response = _error_page(request)
        response._has_been_logged = True  # type: ignore[attr-defined]  # Django's own mark; there is no public one
        return response

    return cast(View, answer)


def _error_page(request: HttpRequest) -> HttpResponse:
    """A page without the site's context processors: they may query the database, which may be what failed."""
    page = render_to_string("wechat_open/error.html", {"request": request})
    return HttpResponse(page, status=503, headers={"Retry-After": "60", "Referrer-Policy": "no-referrer"})


def from_wechat(view: View) -> View:
    """A callback. WeChat has neither a login nor a CSRF token; its signature is checked before anything else."""
    return csrf_exempt(without_login(non_atomic_requests(view)))

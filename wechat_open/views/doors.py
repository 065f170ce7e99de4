"""What are our views exempt from, and why?

Said here once, and nowhere else. A view without one of these decorators enjoys whatever the site prescribes.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast

from django.contrib.auth.decorators import login_not_required
from django.db import connections, transaction
from django.http import HttpResponseBase
from django.views.decorators.csrf import csrf_exempt

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
    """Its address holds a link's key, or a state and a code.

    Django writes the address of every 4xx and 5xx to its log, and mails that of a 5xx to ADMINS. What matters about
    ours is logged by the view, without the address.
    """

    @wraps(view)
    def unlogged(*args: Any, **kwargs: Any) -> HttpResponseBase:
        response = view(*args, **kwargs)
        response._has_been_logged = True  # type: ignore[attr-defined]  # Django's own mark; there is no public one
        return response

    return cast(View, unlogged)


def from_wechat(view: View) -> View:
    """A callback. WeChat has neither a login nor a CSRF token; its signature is checked instead, before all else."""
    return csrf_exempt(without_login(own_transactions(view)))

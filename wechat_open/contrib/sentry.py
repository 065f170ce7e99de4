"""Hooks for Sentry that remove tokens, tickets, codes and keys from events, breadcrumbs, logs and spans.

By default Sentry sends the URLs of all calls, in which WeChat's API has the access token, the bodies and queries of our
callbacks, and the variables of each frame::

    import sentry_sdk
    from wechat_open.contrib import sentry

    sentry_sdk.init(dsn="…", **sentry.hooks())

A site with hooks of its own calls ours within: ``before_send=lambda event, hint: mine(sentry.before_send(event, hint),
hint)``. One that streams its spans (``trace_lifecycle="stream"``) names ``before_send_span`` too. It needs sentry-sdk
2, which the site installs.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from django.urls import Resolver404, get_script_prefix, resolve

from .scrubbing import FILTERED, scrubbed

__all__ = [
    "before_breadcrumb",
    "before_send",
    "before_send_log",
    "before_send_span",
    "before_send_transaction",
    "hooks",
]

PACKAGE = "wechat_open"
HOOKS = ("before_send", "before_send_transaction", "before_breadcrumb", "before_send_log")


def hooks() -> dict[str, Any]:
    """The arguments for ``sentry_sdk.init``."""
    return {name: globals()[name] for name in HOOKS}


def before_send(event: Any, hint: Any) -> Any:
    """An error, without secrets."""
    event = scrubbed(event)
    for frame in _frames(event):
        if str(frame.get("module") or "").partition(".")[0] == PACKAGE and frame.get("vars"):
            frame["vars"] = dict.fromkeys(frame["vars"], FILTERED)
    _forget_request(event)
    return event


def before_send_transaction(event: Any, hint: Any) -> Any:
    """A trace, without secrets."""
    return before_send(event, hint)


def before_breadcrumb(crumb: Any, hint: Any) -> Any:
    """A breadcrumb, without secrets; the hooks for logs and for spans do the same."""
    return scrubbed(crumb)


before_send_log = before_send_span = before_breadcrumb


def _frames(event: dict[str, Any]) -> list[dict[str, Any]]:
    stacks = [
        one.get("stacktrace")
        for kind in ("exception", "threads")
        for one in (event.get(kind) or {}).get("values") or ()
    ]
    return [frame for stack in stacks for frame in (stack or {}).get("frames") or ()]


def _forget_request(event: dict[str, Any]) -> None:
    """Remove body, query and cookies of a request to one of our own views."""
    request = event.get("request") or {}
    if _is_ours(str(request.get("url") or "")):
        for name in ("data", "query_string", "cookies"):
            if request.get(name):
                request[name] = FILTERED
        request["url"] = request["url"].partition("?")[0]


def _is_ours(url: str) -> bool:
    """Whether the URL is of our views, or cannot be resolved. A hook must not raise: Sentry would drop the event."""
    try:
        path = urlsplit(url.replace(FILTERED, "filtered")).path
        return PACKAGE in resolve("/" + path.removeprefix(get_script_prefix())).app_names
    except (Resolver404, ValueError):
        return False
    except Exception:  # noqa: BLE001  # whatever a site's urls.py or settings raise
        return True

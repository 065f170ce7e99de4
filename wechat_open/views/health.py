"""The health report as JSON, for monitors with the bearer token of the settings and for staff.

Staff without the permission to see all that it counts get its summary. 503 when a finding is red: a person is needed
now. Amber is answered with 200.
"""

from __future__ import annotations

import logging

from django import db
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from ..conf import conf
from ..exceptions import ConfigurationError
from ..health import ROWS, report
from ..protocol.crypto import same
from .exemptions import without_login

logger = logging.getLogger(__name__)

PERMISSIONS = [f"wechat_open.view_{model}" for model in ROWS.values()]

SUMMARY = ("ok", "level", "problems")
"""The part of the report that has names of findings, and no number."""


@without_login
@require_safe
@never_cache
def health(request: HttpRequest) -> HttpResponse:
    try:
        refusal = refusal_of(request)
    except db.Error:
        logger.exception("The session of a reader of the health report could not be read.")
        return JsonResponse({"ok": False, "level": "red", "problems": ["database"]}, status=503)
    except ConfigurationError as error:
        logger.error("The health report found no usable settings: %s", error)
        return JsonResponse({"ok": False, "level": "red", "problems": ["settings"]}, status=503)
    if refusal:
        headers = {"WWW-Authenticate": 'Bearer realm="wechat_open"'} if refusal == 401 else {}
        return JsonResponse({"ok": False, "error": "not allowed"}, status=refusal, headers=headers)
    shown = report()
    if not may_see_all(request):
        shown = {name: shown[name] for name in SUMMARY}
    return JsonResponse(shown, status=200 if shown["ok"] else 503, json_dumps_params={"ensure_ascii": False})


def refusal_of(request: HttpRequest) -> int:
    """The status of a refusal: 401 without credentials, 403 with wrong ones; 0 when the summary may be read."""
    token = _bearer(request)
    if token is not None:
        return 0 if conf.health_token and same(token, conf.health_token) else 403
    user = getattr(request, "user", None)
    if user is None or not user.is_authenticated:
        return 401
    return 0 if user.is_active and user.is_staff else 403


def may_see_all(request: HttpRequest) -> bool:
    """Whether a reader who is not refused is a monitor, or staff who may view all that the report counts."""
    return _bearer(request) is not None or bool(request.user.has_perms(PERMISSIONS))


def _bearer(request: HttpRequest) -> str | None:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None

"""The entry of the control API: origin and body are verified, then the call is performed."""

from __future__ import annotations

import json
from typing import Any

from ..errors import ControlError, Refused
from ..http.messages import Answer, Request, json_answer
from ..http.origin import FOREIGN, is_foreign
from ..workbench import Workbench
from . import accounts, faults, pushes, settings, state  # noqa: F401  each file registers its calls
from .registry import CALLS, Body

PREFIX = "/_simulator/"


def answer(workbench: Workbench, request: Request) -> Answer:
    name = request.path.removeprefix(PREFIX).strip("/")
    try:
        fields = _fields(request) if (request.method, name) in CALLS else {}
        return json_answer(perform(workbench, request.method, name, fields))
    except ControlError as error:
        return json_answer({"error": str(error)}, status=error.status)


def perform(workbench: Workbench, method: str, name: str, fields: dict[str, Any]) -> dict[str, Any]:
    """Perform a call. Raises ControlError where the API answers a 4xx."""
    function = CALLS.get((method, name))
    if function is None:
        known = ", ".join(f"{method} {known}" for method, known in sorted(CALLS))
        status = 405 if any(name == known for _, known in CALLS) else 404
        raise ControlError(f"There is no {method} {name!r}. There are: {known}.", status)
    try:
        return function(workbench, Body(fields))
    except Refused as error:
        raise ControlError(f"WeChat would refuse: {error}.", 409) from None


def _fields(request: Request) -> dict[str, Any]:
    if is_foreign(request):
        raise ControlError(FOREIGN, 403)
    try:
        fields = json.loads(request.body or b"{}")
    except (ValueError, RecursionError):
        fields = None
    if not isinstance(fields, dict):
        raise ControlError("The body must be a JSON object.")
    # A page of another site can send this type only after a CORS preflight, unlike the types of a form.
    kind = request.headers.get("content-type", "")
    if (request.body or kind) and kind.partition(";")[0].strip().lower() != "application/json":
        raise ControlError("The body must be sent with the header Content-Type: application/json.")
    return fields if request.method == "POST" else {**request.query, **fields}

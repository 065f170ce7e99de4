"""The faults that are set."""

from __future__ import annotations

from typing import Any

from ..errors import ControlError
from ..state.faults import FOREVER, GARBAGE, KINDS, FaultKind
from ..workbench import Workbench
from .registry import Body, call


@call("POST", "faults")
def add_fault(workbench: Workbench, body: Body) -> dict[str, Any]:
    given: list[FaultKind] = [kind for kind in KINDS if body.fields.get(kind) not in (None, False)]
    if len(given) != 1:
        raise ControlError(f"Exactly one of {', '.join(KINDS)} must be given.")
    kind = given[0]
    value: Any
    if kind in ("errcode", "status"):
        value = body.fields[kind]
        if isinstance(value, bool) or not isinstance(value, int):
            raise ControlError(f"{kind!r} must be a whole number.")
        if kind == "status" and not 200 <= value <= 599:
            raise ControlError("'status' must be between 200 and 599.")
    elif kind == "garbage":
        value = body.fields[kind] if body.fields[kind] is not True else GARBAGE
        if not isinstance(value, str):
            raise ControlError("'garbage' must be true, or the text to answer with.")
    elif kind == "lost":
        value = True
    else:
        value = FOREVER if body.fields[kind] is True else body.number(kind)
    times = body.number("times", 1)
    if times < 1 or times != int(times):
        raise ControlError("'times' must be a whole number, at least 1.")
    workbench.faults.add(
        body.text("path"), kind, value, times=int(times), appid=body.text("appid", ""), after=body.flag("after")
    )
    return {"faults": workbench.faults.active()}


@call("GET", "faults")
def list_faults(workbench: Workbench, body: Body) -> dict[str, Any]:
    return {"faults": workbench.faults.active()}


@call("DELETE", "faults")
def clear_faults(workbench: Workbench, body: Body) -> dict[str, Any]:
    workbench.faults.clear()
    return {"faults": []}

"""The clock, and the settings that may change while the simulator runs."""

from __future__ import annotations

import dataclasses
from typing import Any

from ...exceptions import ConfigurationError
from ..errors import ControlError
from ..workbench import Workbench
from .registry import Body, call

# What POST settings may change while the simulator runs.
_TEXTS = ("platform_name", "callback", "events_url", "messages_url", "domain", "rotation")
_LIVES = ("token_life", "ticket_interval", "ticket_life", "pre_auth_code_life", "authorization_code_life")
_SWITCHES = ("empty_refresh_in_info", "empty_refresh_in_list", "phone_needs_referer", "pushing")
CHANGEABLE: dict[str, type] = {
    **dict.fromkeys(_TEXTS, str),
    **dict.fromkeys((*_LIVES, "access_token_overlap"), int),
    **dict.fromkeys(_SWITCHES, bool),
    "quotas": dict,
}


@call("POST", "clock")
def advance_clock(workbench: Workbench, body: Body) -> dict[str, Any]:
    workbench.engine.clock.advance(body.number("advance"))
    return clock_json(workbench)


@call("POST", "settings")
def change_settings(workbench: Workbench, body: Body) -> dict[str, Any]:
    settings = workbench.engine.settings
    for name, value in body.fields.items():
        expected = CHANGEABLE.get(name)
        if expected is None:
            raise ControlError(f"{name!r} cannot be changed. These can: {', '.join(CHANGEABLE)}.")
        if not isinstance(value, expected) or (isinstance(value, bool) and expected is not bool):
            raise ControlError(f"{name!r} must be of type {expected.__name__}.")
    require_local(workbench, body, "callback", "events_url", "messages_url")
    try:
        dataclasses.replace(settings, **body.fields)
    except ConfigurationError as error:
        raise ControlError(str(error)) from None
    with workbench.engine.lock:
        for name, value in body.fields.items():
            setattr(settings, name, value)
    return settings_json(workbench)


def require_local(workbench: Workbench, body: Body, *names: str) -> None:
    """Refuse addresses to which nothing may be pushed."""
    for name in names:
        if refused := workbench.engine.settings.why_not(body.text(name, "")):
            raise ControlError(refused)


def clock_json(workbench: Workbench) -> dict[str, Any]:
    clock = workbench.engine.clock
    return {"clock": clock.now(), "ahead": clock.ahead}


def settings_json(workbench: Workbench) -> dict[str, Any]:
    return {name: getattr(workbench.engine.settings, name) for name in CHANGEABLE}

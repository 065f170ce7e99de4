"""Pushes: tickets, followers' messages and events, and the release check."""

from __future__ import annotations

import secrets
from typing import Any

from ...exceptions import ConfigurationError
from ..errors import ControlError
from ..release_check.examiner import ExaminationRefused
from ..release_check.groups import GROUPS
from ..texts import Language
from ..workbench import Workbench
from .registry import Body, call
from .settings import require_local


@call("POST", "push-ticket")
def push_ticket(workbench: Workbench, body: Body) -> dict[str, Any]:
    push = workbench.engine.new_ticket()
    return {"ticket": push.fields["ComponentVerifyTicket"], **workbench.pusher.deliver(push).as_json()}


@call("POST", "message")
def message(workbench: Workbench, body: Body) -> dict[str, Any]:
    return _say(workbench, body, {"MsgType": "text"})


@call("POST", "event")
def event(workbench: Workbench, body: Body) -> dict[str, Any]:
    body.text("Event")
    return _say(workbench, body, {"MsgType": "event"})


@call("POST", "release-check")
def release_check(workbench: Workbench, body: Body) -> dict[str, Any]:
    """Run the full-network release check for a group, or for one at random, as WeChat does."""
    number = body.fields.get("group", secrets.choice(list(GROUPS)))
    if not isinstance(number, int) or isinstance(number, bool) or number not in GROUPS:
        raise ControlError(f"'group' must be one of {', '.join(map(str, GROUPS))}.")
    require_local(workbench, body, "events_url", "messages_url")
    language: Language = "zh" if body.text("language", "en") == "zh" else "en"
    try:
        outcomes = workbench.examiner.examine(
            GROUPS[number], events_url=body.text("events_url", ""), messages_url=body.text("messages_url", "")
        )
    except ExaminationRefused as error:
        raise ControlError(str(error), 409) from None
    except ConfigurationError as error:
        raise ControlError(str(error)) from None
    return {
        "ok": all(outcome.ok for outcome in outcomes),
        "group": number,
        "checks": [outcome.as_json(language) for outcome in outcomes],
    }


def _say(workbench: Workbench, body: Body, defaults: dict[str, Any]) -> dict[str, Any]:
    fields = {name: value for name, value in body.fields.items() if name not in ("appid", "openid", "force")}
    return workbench.say(body.text("appid"), body.text("openid"), defaults | fields, force=body.flag("force"))

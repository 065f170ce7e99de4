"""Accounts, and what their owners do."""

from __future__ import annotations

from typing import Any, get_args

from ..errors import ControlError
from ..state.accounts import Kind
from ..state.engine import Push
from ..workbench import Workbench
from .registry import Body, call
from .state import account_json


@call("POST", "accounts")
def add_account(workbench: Workbench, body: Body) -> dict[str, Any]:
    kinds: tuple[Kind, ...] = get_args(Kind)
    kind = next((kind for kind in kinds if kind == body.fields.get("kind")), None)
    if kind is None:
        raise ControlError("'kind' must be 'official' or 'mini'.")
    try:
        account = workbench.engine.add_account(
            body.text("nick_name"),
            kind,
            appid=body.text("appid", ""),
            permissions=body.ids("permissions"),
            principal_name=body.text("principal_name", ""),
            lacks=frozenset(body.ids("lacks") or ()),
        )
    except ValueError as error:
        raise ControlError(str(error), 409) from None
    return account_json(account)


@call("POST", "authorize")
def authorize(workbench: Workbench, body: Body) -> dict[str, Any]:
    """Authorize without a browser; the authorization page does the same."""
    redirect_uri = body.text("redirect_uri", "")
    pushes = body.flag("push", True)
    done = workbench.engine.authorize(
        body.text("appid"), pre_auth_code=body.text("pre_auth_code", "") or None, permissions=body.ids("permissions")
    )
    return {
        "auth_code": done.code,
        "expires_in": done.expires_in,
        "redirect_to": done.redirect_to(redirect_uri) if redirect_uri else None,
        **_pushed(workbench, done.push if pushes else None),
    }


@call("POST", "unauthorize")
def unauthorize(workbench: Workbench, body: Body) -> dict[str, Any]:
    pushes = body.flag("push", True)
    push = workbench.engine.unauthorize(body.text("appid"))
    return _pushed(workbench, push if pushes else None)


@call("POST", "kill-token")
def kill_token(workbench: Workbench, body: Body) -> dict[str, Any]:
    """End the component's access token or an account's; with ``refresh``, replace an account's refresh token."""
    appid = body.text("appid", "")
    if body.flag("component") == bool(appid):
        raise ControlError('Either {"component": true} or {"appid": "wx..."} must be given.')
    if not appid:
        workbench.engine.kill_component_token()
    elif body.flag("refresh"):
        workbench.engine.replace_refresh_token(appid)
    else:
        workbench.engine.kill_access_token(appid)
    return {"killed": appid or "component"}


@call("POST", "oauth-code")
def oauth_code(workbench: Workbench, body: Body) -> dict[str, Any]:
    code = workbench.engine.new_oauth_code(body.text("appid"), body.text("openid"), body.text("scope", "snsapi_base"))
    return {"code": code}


def _pushed(workbench: Workbench, push: Push | None) -> dict[str, Any]:
    """The outcome of a push, both as ``push`` and merged into the answer."""
    outcome = workbench.pusher.deliver(push).as_json() if push else None
    return {**(outcome or {"status": None, "body": None}), "push": outcome}

"""The whole state of the simulator, and the conversation of a follower."""

from __future__ import annotations

from itertools import islice
from typing import Any

from ..errors import ControlError
from ..state.accounts import Account, Token
from ..workbench import Workbench
from .registry import Body, call
from .settings import clock_json, settings_json


@call("GET", "state")
def state(workbench: Workbench, body: Body) -> dict[str, Any]:
    """The state. With many accounts, ``?appid=`` selects one and ``?limit=`` the first few."""
    engine = workbench.engine
    appid = body.text("appid", "")
    limit = str(body.fields.get("limit", len(engine.accounts)))
    if not limit.isdecimal():
        raise ControlError("'limit' must be a whole number.")
    with engine.lock:
        if appid:
            accounts = [engine.account(appid)]
        else:
            accounts = list(islice(engine.accounts.values(), int(limit)))
        return {
            **clock_json(workbench),
            "component": {
                "appid": engine.settings.appid,
                "ticket": engine.ticket or None,
                **_token(engine.component_token),
                "pushing": engine.settings.pushing,
            },
            "settings": settings_json(workbench),
            "accounts": [account_json(account) for account in accounts],
            "accounts_total": len(engine.accounts),
            "calls": dict(engine.calls),
            "faults": workbench.faults.active(),
            "pushes": [delivery.summary() for delivery in list(workbench.pusher.deliveries)[:-21:-1]],
        }


@call("GET", "chat")
def chat(workbench: Workbench, body: Body) -> dict[str, Any]:
    """The conversation of a follower and an account."""
    appid, openid = workbench.engine.account(body.text("appid")).appid, body.text("openid")
    return {"messages": [line.as_json() for line in workbench.engine.conversation(appid, openid)]}


def account_json(account: Account) -> dict[str, Any]:
    names = ("appid", "kind", "nick_name", "user_name", "principal_name", "permissions", "refreshes", "overlaps")
    grant = account.grant
    return {
        **{name: getattr(account, name) for name in names},
        "max_concurrent_refreshes": account.max_concurrent_refreshes,
        "authorized": grant is not None,
        "grant": grant
        and {
            "permissions": grant.permissions,
            "auth_time": grant.auth_time,
            "refresh_token": grant.refresh_token,
            **_token(grant.access),
        },
    }


def _token(token: Token | None) -> dict[str, Any]:
    return {"access_token": token and token.text, "expires_at": token and token.expires_at}

"""How does a tester steer the simulator?

``/_simulator/<call>``: JSON in, JSON out. These shapes are a contract; what is asked wrongly is answered with a 4xx and
a sentence that says what was expected. Tokens and tickets are shown in clear here: nothing in a simulator is secret.
"""

from __future__ import annotations

import dataclasses
import json
import secrets
from collections.abc import Callable
from itertools import islice
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit, urlunsplit

from ..exceptions import ConfigurationError, InvalidPush
from .accounts import MESSAGE_PERMISSION, Account, Grant, Kind, Token
from .engine import Push
from .faults import FOREVER, GARBAGE, KINDS, FaultKind
from .refusal import Refused
from .release_check import GROUPS, ExaminationRefused
from .texts import Language
from .web import Answer, Request, json_answer

if TYPE_CHECKING:
    from .application import Application

PREFIX = "/_simulator/"

# What POST settings may change while the simulator runs.
CHANGEABLE = {
    "platform_name": str,
    "callback": str,
    "events_url": str,
    "messages_url": str,
    "domain": str,
    "rotation": str,
    "token_life": int,
    "ticket_interval": int,
    "ticket_life": int,
    "pre_auth_code_life": int,
    "authorization_code_life": int,
    "access_token_overlap": int,
    "empty_refresh_in_info": bool,
    "empty_refresh_in_list": bool,
    "phone_needs_referer": bool,
    "pushing": bool,
    "quotas": dict,
}


class ControlError(Exception):
    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


class Body:
    """What a tester sent, read with expectations."""

    def __init__(self, fields: dict[str, Any]) -> None:
        self.fields = fields

    def text(self, name: str, default: str | None = None) -> str:
        value = self.fields.get(name, default)
        if not isinstance(value, str) or (default is None and not value):
            raise ControlError(f"{name!r} must be a text.")
        return value

    def flag(self, name: str, default: bool = False) -> bool:
        value = self.fields.get(name, default)
        if not isinstance(value, bool):
            raise ControlError(f"{name!r} must be true or false.")
        return value

    def number(self, name: str, default: float | None = None) -> float:
        value = self.fields.get(name, default)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or value < 0:
            raise ControlError(f"{name!r} must be a number, not below 0.")
        return value

    def ids(self, name: str) -> tuple[int, ...] | None:
        value = self.fields.get(name)
        if value is None:
            return None
        if not isinstance(value, list) or not all(isinstance(id, int) and not isinstance(id, bool) for id in value):
            raise ControlError(f"{name!r} must be a list of numbers.")
        return tuple(sorted(set(value)))


Function = Callable[["Application", Body], dict[str, Any]]
CALLS: dict[tuple[str, str], Function] = {}


def call(method: str, name: str) -> Callable[[Function], Function]:
    def register(function: Function) -> Function:
        CALLS[method, name] = function
        return function

    return register


def answer(app: Application, request: Request) -> Answer:
    try:
        return json_answer(perform(app, request, over_http=True))
    except ControlError as error:
        return json_answer({"error": str(error)}, status=error.status)


def perform(app: Application, request: Request, *, over_http: bool = False) -> dict[str, Any]:
    name = request.path.removeprefix(PREFIX).strip("/")
    function = CALLS.get((request.method, name))
    if function is None:
        known = ", ".join(f"{method} {known}" for method, known in CALLS)
        status = 405 if any(name == known for _, known in CALLS) else 404
        raise ControlError(f"There is no {request.method} {name!r}. There are: {known}.", status)
    same_origin(request)
    try:
        fields = json.loads(request.body or b"{}")
    except (ValueError, RecursionError):
        fields = None
    if not isinstance(fields, dict):
        raise ControlError("The body must be a JSON object.")
    if over_http:
        _require_json(request)
    try:
        return function(app, Body({**request.query, **fields} if request.method != "POST" else fields))
    except Refused as error:
        raise ControlError(f"WeChat would refuse: {error}.", 409) from None


def same_origin(request: Request) -> None:
    """A page of the web, open in the tester's browser, must not play with the simulator."""
    if request.method == "GET":
        return
    origin, host = request.headers.get("origin"), request.headers.get("host", "")
    site = request.headers.get("sec-fetch-site", "none")
    if (origin and urlsplit(origin).netloc.lower() != host.lower()) or site not in ("same-origin", "none"):
        raise ControlError("Requests from pages of other sites are refused.", 403)


def _require_json(request: Request) -> None:
    """A form of another site can send anything but this type without asking first."""
    given = request.headers.get("content-type", "")
    if (request.body or given) and given.partition(";")[0].strip().lower() != "application/json":
        raise ControlError("The body must be sent with the header Content-Type: application/json.")


@call("GET", "state")
def state(app: Application, body: Body) -> dict[str, Any]:
    """Everything. With many accounts, ``?appid=`` shows one and ``?limit=`` the first few."""
    engine = app.engine
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
            **_clock(app),
            "component": {
                "appid": engine.settings.appid,
                "ticket": engine.ticket or None,
                **_token(engine.component_token),
                "pushing": engine.settings.pushing,
            },
            "settings": _settings(app),
            "accounts": [_account(account) for account in accounts],
            "accounts_total": len(engine.accounts),
            "calls": dict(engine.calls),
            "faults": app.faults.active(),
            "pushes": [delivery.summary() for delivery in list(app.pusher.deliveries)[:-21:-1]],
        }


@call("GET", "chat")
def chat(app: Application, body: Body) -> dict[str, Any]:
    """What a follower and an account have told each other, as far as it is remembered."""
    appid, openid = app.engine.account(body.text("appid")).appid, body.text("openid")
    return {"messages": [line.as_json() for line in app.engine.conversation(appid, openid)]}


@call("POST", "accounts")
def add_account(app: Application, body: Body) -> dict[str, Any]:
    kind: Kind
    match body.fields.get("kind"):
        case "official":
            kind = "official"
        case "mini":
            kind = "mini"
        case _:
            raise ControlError("'kind' must be 'official' or 'mini'.")
    try:
        account = app.engine.add_account(
            body.text("nick_name"),
            kind,
            appid=body.text("appid", ""),
            permissions=body.ids("permissions"),
            principal_name=body.text("principal_name", ""),
            lacks=frozenset(body.ids("lacks") or ()),
        )
    except ValueError as error:
        raise ControlError(str(error), 409) from None
    return _account(account)


@call("POST", "push-ticket")
def push_ticket(app: Application, body: Body) -> dict[str, Any]:
    push = app.engine.new_ticket()
    return {"ticket": push.fields["ComponentVerifyTicket"], **app.pusher.deliver(push).as_json()}


@call("POST", "authorize")
def authorize(app: Application, body: Body) -> dict[str, Any]:
    """The owner's side without a browser; the page does the same."""
    redirect_uri = body.text("redirect_uri", "")
    pushes = body.flag("push", True)
    done = app.engine.authorize(
        body.text("appid"), pre_auth_code=body.text("pre_auth_code", "") or None, permissions=body.ids("permissions")
    )
    return {
        "auth_code": done.code,
        "expires_in": done.expires_in,
        "redirect_to": redirect_with_code(redirect_uri, done.code, done.expires_in) if redirect_uri else None,
        **_pushed(app, done.push if pushes else None),
    }


@call("POST", "unauthorize")
def unauthorize(app: Application, body: Body) -> dict[str, Any]:
    pushes = body.flag("push", True)
    push = app.engine.unauthorize(body.text("appid"))
    return _pushed(app, push if pushes else None)


@call("POST", "message")
def message(app: Application, body: Body) -> dict[str, Any]:
    return _from_follower(app, body, {"MsgType": "text"})


@call("POST", "event")
def event(app: Application, body: Body) -> dict[str, Any]:
    body.text("Event")
    return _from_follower(app, body, {"MsgType": "event"})


@call("POST", "oauth-code")
def oauth_code(app: Application, body: Body) -> dict[str, Any]:
    code = app.engine.new_oauth_code(body.text("appid"), body.text("openid"), body.text("scope", "snsapi_base"))
    return {"code": code}


@call("POST", "release-check")
def release_check(app: Application, body: Body) -> dict[str, Any]:
    """Play WeChat's full-network release check for a group, or for one picked at random, as WeChat does."""
    number = body.fields.get("group", secrets.choice(list(GROUPS)))
    if not isinstance(number, int) or isinstance(number, bool) or number not in GROUPS:
        raise ControlError(f"'group' must be one of {', '.join(map(str, GROUPS))}.")
    for name in ("events_url", "messages_url"):
        if refused := app.engine.settings.why_not(body.text(name, "")):
            raise ControlError(refused)
    language: Language = "zh" if body.text("language", "en") == "zh" else "en"
    try:
        outcomes = app.examiner.examine(
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


@call("POST", "faults")
def add_fault(app: Application, body: Body) -> dict[str, Any]:
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
    app.faults.add(
        body.text("path"), kind, value, times=int(times), appid=body.text("appid", ""), after=body.flag("after")
    )
    return {"faults": app.faults.active()}


@call("GET", "faults")
def list_faults(app: Application, body: Body) -> dict[str, Any]:
    return {"faults": app.faults.active()}


@call("DELETE", "faults")
def clear_faults(app: Application, body: Body) -> dict[str, Any]:
    app.faults.clear()
    return {"faults": []}


@call("POST", "clock")
def advance_clock(app: Application, body: Body) -> dict[str, Any]:
    app.engine.clock.advance(body.number("advance"))
    return _clock(app)


@call("POST", "kill-token")
def kill_token(app: Application, body: Body) -> dict[str, Any]:
    """The component's access token, an account's, or (``refresh``) an account's refresh token, silently replaced."""
    appid = body.text("appid", "")
    if body.flag("component") == bool(appid):
        raise ControlError('Either {"component": true} or {"appid": "wx..."} must be given.')
    if not appid:
        app.engine.kill_component_token()
    elif body.flag("refresh"):
        app.engine.replace_refresh_token(appid)
    else:
        app.engine.kill_access_token(appid)
    return {"killed": appid or "component"}


@call("POST", "settings")
def change_settings(app: Application, body: Body) -> dict[str, Any]:
    settings = app.engine.settings
    for name, value in body.fields.items():
        expected = CHANGEABLE.get(name)
        if expected is None:
            raise ControlError(f"{name!r} cannot be changed. These can: {', '.join(CHANGEABLE)}.")
        if not isinstance(value, expected) or (isinstance(value, bool) and expected is not bool):
            raise ControlError(f"{name!r} must be of type {expected.__name__}.")
    for name in ("callback", "events_url", "messages_url"):
        if refused := settings.why_not(body.text(name, "")):
            raise ControlError(refused)
    try:
        dataclasses.replace(settings, **body.fields)
    except ConfigurationError as error:
        raise ControlError(str(error)) from None
    with app.engine.lock:
        for name, value in body.fields.items():
            setattr(settings, name, value)
    return _settings(app)


def redirect_with_code(redirect_uri: str, code: str, expires_in: int) -> str:
    """The platform's address with the code in its query, whatever query it had (3.5)."""
    parts = urlsplit(redirect_uri)
    kept = [parts.query] if parts.query else []
    query = "&".join([*kept, urlencode({"auth_code": code, "expires_in": expires_in})])
    return urlunsplit(parts._replace(query=query))


def _from_follower(app: Application, body: Body, defaults: dict[str, Any]) -> dict[str, Any]:
    appid, openid = body.text("appid"), body.text("openid")
    account = app.engine.account(appid)
    if not body.flag("force"):
        # A platform hears of an account only what its owner granted; "force" plays a push that comes too late.
        grant = app.engine.granted(appid)[1]
        needed = MESSAGE_PERMISSION[account.kind]
        if defaults["MsgType"] != "event" and needed not in grant.permissions:
            raise ControlError(f"The owner did not grant permission set {needed}: messages stay with the account.", 409)
    about = ("appid", "openid", "force")
    fields = {**defaults, **{name: value for name, value in body.fields.items() if name not in about}}
    delivery = app.pusher.deliver(app.engine.message(appid, openid, fields))
    result = delivery.as_json() | {"reply": None}
    try:
        result["reply"] = app.pusher.reply_of(delivery)
    except InvalidPush as error:
        result["error"] = f"The reply cannot be opened ({error.reason}): 该公众号暂时无法提供服务，请稍后再试"
    if result["reply"] is not None and account.kind == "mini":
        result["error"] = "A mini program shows no passive reply: answer with message/custom/send."
    return {**result, "messages": app.engine.sent_to(appid, openid)}


def _pushed(app: Application, push: Push | None) -> dict[str, Any]:
    """The push's outcome, under its own name and beside the rest; no push, no outcome."""
    outcome = app.pusher.deliver(push).as_json() if push else None
    return {**(outcome or {"status": None, "body": None}), "push": outcome}


def _clock(app: Application) -> dict[str, Any]:
    clock = app.engine.clock
    return {"clock": clock.now(), "ahead": clock.ahead}


def _settings(app: Application) -> dict[str, Any]:
    return {name: getattr(app.engine.settings, name) for name in CHANGEABLE}


def _token(token: Token | None) -> dict[str, Any]:
    return {"access_token": token and token.text, "expires_at": token and token.expires_at}


def _account(account: Account) -> dict[str, Any]:
    return {
        "appid": account.appid,
        "kind": account.kind,
        "nick_name": account.nick_name,
        "user_name": account.user_name,
        "principal_name": account.principal_name,
        "permissions": list(account.permissions),
        "authorized": account.grant is not None,
        "grant": _grant(account.grant) if account.grant else None,
        "refreshes": account.refreshes,
        "overlaps": account.overlaps,
        "max_concurrent_refreshes": account.max_concurrent_refreshes,
    }


def _grant(grant: Grant) -> dict[str, Any]:
    return {
        "permissions": list(grant.permissions),
        "auth_time": grant.auth_time,
        "refresh_token": grant.refresh_token,
        **_token(grant.access),
    }

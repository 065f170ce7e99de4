"""The component APIs: one function each, under WeChat's names, that returns the call.

The *whole* answer is read before any of it is used; a malformed one is ``Unreachable``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone
from functools import partial
from typing import Any, Protocol

from ..exceptions import Unreachable
from ..protocol.permissions import lists_sets, parse_func_info
from ..protocol.wire import word
from ..secret import Secret
from ..text import TranslatableText as _
from .answers import Answer, Fields, nothing
from .calls import Call, TokenKind

LIST_PAGE = 500
"""The most that api_get_authorizer_list gives at once (40170 above)."""

LONGEST_LIFE = timedelta(days=7)
"""A longer ``expires_in`` makes the answer malformed."""

PATH = "/cgi-bin/component/"
START_PUSH_TICKET = PATH + "api_start_push_ticket"
COMPONENT_TOKEN = PATH + "api_component_token"
CREATE_PREAUTHCODE = PATH + "api_create_preauthcode"
QUERY_AUTH = PATH + "api_query_auth"
AUTHORIZER_TOKEN = PATH + "api_authorizer_token"
GET_AUTHORIZER_INFO = PATH + "api_get_authorizer_info"
GET_AUTHORIZER_LIST = PATH + "api_get_authorizer_list"
CLEAR_QUOTA = PATH + "clear_quota/v2"
OPTION_APIS = {
    "current": (PATH + "get_authorizer_option", PATH + "set_authorizer_option", TokenKind.AUTHORIZER),
    "legacy": (PATH + "api_get_authorizer_option", PATH + "api_set_authorizer_option", TokenKind.COMPONENT),
}
"""Where options are read and set, and with whose token: docs/protocol.rst, "Options"."""


class Platform(Protocol):
    """The platform in whose name a call is made."""

    @property
    def appid(self) -> str: ...

    @property
    def appsecret(self) -> Secret: ...


@dataclass(frozen=True)
class NewToken:
    """An access token and how long it lives, counted from before the request.

    ``answered_at`` is WeChat's time, where the answer's reader keeps it.
    """

    token: Secret
    expires_in: timedelta
    answered_at: datetime | None = None


@dataclass(frozen=True)
class PreAuthCode:
    code: Secret
    expires_in: timedelta


@dataclass(frozen=True)
class Refreshed:
    """The pair that a refresh brings. ``refresh_token`` may be empty: then the old one stands."""

    access: NewToken
    refresh_token: Secret


@dataclass(frozen=True)
class Grant:
    """What an authorization code was exchanged for.

    ``access`` is None and ``refresh_token`` empty for accounts without API permission. ``answered_at`` is
    WeChat's time: at that moment the account was authorized.
    """

    appid: str
    access: NewToken | None
    refresh_token: Secret
    func_info: tuple[int, ...]
    answered_at: datetime | None
    lists_sets: bool = field(default=True, compare=False)
    """Whether the answer had a ``func_info``; without, nothing is known about the permission sets."""


@dataclass(frozen=True)
class AuthorizerInfo:
    """Profile and permission sets. ``refresh_token`` may be empty."""

    profile: dict[str, Any] = field(repr=False)
    refresh_token: Secret
    func_info: tuple[int, ...]
    lists_sets: bool = field(default=True, compare=False)
    """Whether the answer had a ``func_info``; without, nothing is known about the permission sets."""


@dataclass(frozen=True)
class Listed:
    """A row of WeChat's own list of accounts that have authorized the platform. ``refresh_token`` may be empty."""

    appid: str
    refresh_token: Secret
    authorized_at: datetime


@dataclass(frozen=True)
class ListPage:
    """One page. ``skipped`` are entries that cannot be used: their appids, empty where an entry names none."""

    total_count: int
    authorizers: tuple[Listed, ...]
    skipped: tuple[str, ...] = ()

    @property
    def received(self) -> int:
        """How many entries WeChat sent, usable or not."""
        return len(self.authorizers) + len(self.skipped)


def start_push_ticket(platform: Platform) -> Call[str]:
    """api_start_push_ticket: WeChat pushes tickets again. Returns its errmsg, which says whether pushing was on."""
    body = {"component_appid": platform.appid, "component_secret": platform.appsecret}
    return Call("POST", START_PUSH_TICKET, TokenKind.NONE, _errmsg, json=body, repeatable=True)


def component_token(platform: Platform, ticket: Secret) -> Call[NewToken]:
    """api_component_token. The new token ends the one that custody keeps, which notices and renews it."""
    body = {
        "component_appid": platform.appid,
        "component_appsecret": platform.appsecret,
        "component_verify_ticket": ticket,
    }
    return Call("POST", COMPONENT_TOKEN, TokenKind.NONE, _component_token, json=body, repeatable=True)


def create_preauthcode(platform: Platform) -> Call[PreAuthCode]:
    """api_create_preauthcode. The code is good for one authorization, as long as the answer says."""
    body = {"component_appid": platform.appid}
    return Call("POST", CREATE_PREAUTHCODE, TokenKind.COMPONENT, _preauthcode, json=body, repeatable=True)


def query_auth(platform: Platform, code: Secret | str) -> Call[Grant]:
    """api_query_auth: exchange an authorization code. Nothing of the grant is stored."""
    body = {"component_appid": platform.appid, "authorization_code": code}
    return Call("POST", QUERY_AUTH, TokenKind.COMPONENT, _grant, json=body)


def authorizer_token(platform: Platform, appid: str, refresh_token: Secret | str) -> Call[Refreshed]:
    """api_authorizer_token: a new access token, and perhaps a new refresh token, which must be stored."""
    body = {
        "component_appid": platform.appid,
        "authorizer_appid": appid,
        "authorizer_refresh_token": refresh_token,
    }
    return Call("POST", AUTHORIZER_TOKEN, TokenKind.COMPONENT, partial(_refreshed, appid), json=body)


def authorizer_info(platform: Platform, appid: str) -> Call[AuthorizerInfo]:
    """api_get_authorizer_info."""
    body = {"component_appid": platform.appid, "authorizer_appid": appid}
    return Call(
        "POST", GET_AUTHORIZER_INFO, TokenKind.COMPONENT, partial(_authorizer_info, appid), json=body, repeatable=True
    )


def authorizer_list(platform: Platform, offset: int = 0, count: int = LIST_PAGE) -> Call[ListPage]:
    """api_get_authorizer_list: one page, at most 500. An entry that cannot be used costs no other."""
    body = {"component_appid": platform.appid, "offset": offset, "count": count}
    return Call("POST", GET_AUTHORIZER_LIST, TokenKind.COMPONENT, _list_page, json=body, repeatable=True)


def clear_quota(platform: Platform, appid: str = "") -> Call[None]:
    """component/clear_quota/v2: clear the platform's own daily quota, or that of an account. Ten times a month.

    By the AppSecret: it works when the quota is used up and there is no token.
    """
    body = with_secret(platform, {"appid": appid} if appid else {})
    return Call("POST", CLEAR_QUOTA, TokenKind.NONE, nothing, json=body)


def with_secret(platform: Platform, body: Mapping[str, Any]) -> dict[str, Any]:
    """The body of a call that takes the AppSecret and no token; a field that is in ``body`` stands."""
    return {"component_appid": platform.appid, "appsecret": platform.appsecret, **body}


def get_option(platform: Platform, appid: str, name: str, option_api: str = "current") -> Call[str]:
    """get_authorizer_option."""
    path, _set_path, token = OPTION_APIS[option_api]
    return Call("POST", path, token, _option_value, json=_option(platform, appid, name), repeatable=True)


def set_option(platform: Platform, appid: str, name: str, value: str, option_api: str = "current") -> Call[None]:
    """set_authorizer_option."""
    _get_path, path, token = OPTION_APIS[option_api]
    body = _option(platform, appid, name) | {"option_value": value}
    return Call("POST", path, token, nothing, json=body, repeatable=True)


def _option(platform: Platform, appid: str, name: str) -> dict[str, str]:
    """The current page names only option_name; the rest is harmless: docs/protocol.rst, "Options"."""
    return {"component_appid": platform.appid, "authorizer_appid": appid, "option_name": name}


# How their answers are read


def _errmsg(answer: Answer) -> str:
    return str(answer.fields.get("errmsg") or "")


def _component_token(answer: Answer) -> NewToken:
    return replace(_token(answer.fields, "component_access_token"), answered_at=answer.answered_at)


def _preauthcode(answer: Answer) -> PreAuthCode:
    code = _token(answer.fields, "pre_auth_code")
    return PreAuthCode(code.token, code.expires_in)


def _grant(answer: Answer) -> Grant:
    info = answer.fields.nested("authorization_info")
    has_token = bool(info.get("authorizer_access_token"))
    return Grant(
        appid=_appid(info),
        access=_token(info, "authorizer_access_token") if has_token else None,
        refresh_token=info.secret("authorizer_refresh_token"),
        func_info=parse_func_info(info.get("func_info")),
        answered_at=answer.answered_at,
        lists_sets=lists_sets(info.get("func_info")),
    )


def _refreshed(appid: str, answer: Answer) -> Refreshed:
    fields = answer.fields
    _require_appid(fields, appid)
    return Refreshed(_token(fields, "authorizer_access_token"), fields.secret("authorizer_refresh_token"))


def _authorizer_info(appid: str, answer: Answer) -> AuthorizerInfo:
    fields = answer.fields
    authorization = fields.nested("authorization_info")
    _require_appid(authorization, appid)
    return AuthorizerInfo(
        profile=dict(fields.nested("authorizer_info")),
        refresh_token=authorization.secret("authorizer_refresh_token"),
        func_info=parse_func_info(authorization.get("func_info")),
        lists_sets=lists_sets(authorization.get("func_info")),
    )


def _list_page(answer: Answer) -> ListPage:
    fields = answer.fields
    total_count = fields.number("total_count")
    if total_count < 0:
        raise fields.unusable("total_count")
    entries = [(word(entry.get("authorizer_appid")), _listed(entry)) for entry in fields.objects("list")]
    return ListPage(
        total_count,
        authorizers=tuple(listed for _appid, listed in entries if listed is not None),
        skipped=tuple(appid for appid, listed in entries if listed is None),
    )


def _listed(entry: Fields) -> Listed | None:
    """None for an entry whose appid, refresh token or time cannot be read."""
    try:
        authorized_at = datetime.fromtimestamp(entry.number("auth_time"), timezone.utc)
        return Listed(_appid(entry), entry.secret("refresh_token"), authorized_at)
    except (ValueError, OverflowError, OSError, Unreachable):
        return None


def _option_value(answer: Answer) -> str:
    number = answer.fields.get("option_value")
    return str(number) if type(number) is int else answer.fields.text("option_value")


def _require_appid(fields: Fields, appid: str) -> None:
    """The answer names the account of the call, or none."""
    if fields.optional_text("authorizer_appid") not in ("", appid):
        raise Unreachable(fields.path, _("an answer about another account"))


def _appid(fields: Fields) -> str:
    """A text that can be an appid: another would fail in the database, and a whole page of the list with it."""
    appid = fields.text("authorizer_appid")
    if word(appid) != appid:
        raise fields.unusable("authorizer_appid")
    return appid


def _token(fields: Fields, name: str) -> NewToken:
    """A token together with ``expires_in``; both must be usable, or nothing of the answer is used."""
    token, seconds = Secret(fields.text(name)), fields.number("expires_in")
    if not 0 < seconds <= LONGEST_LIFE.total_seconds():
        raise fields.unusable("expires_in")
    return NewToken(token, timedelta(seconds=seconds))

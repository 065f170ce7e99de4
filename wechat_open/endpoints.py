"""What do the component APIs take, and what must they answer?

One method per API of protocol sections 2 to 4, under WeChat's names. Each takes the token it needs as an argument,
checks the *whole* answer before anybody stores any of it, and returns a value. No Django, no storage, no retry.

A malformed answer to a call that may have changed something is ``Unreachable``: the outcome is unknown. Requests and
answers hide what they hold, so that an error page which prints variables shows no secret.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone
from typing import Any

from .client import Answer, Client
from .exceptions import Unreachable
from .protocol.permissions import parse_func_info, says_sets
from .protocol.wire import word
from .secret import Secret
from .sentence import Sentence as _

LIST_PAGE = 500
"""The most that api_get_authorizer_list gives at once (40170 above)."""

LONGEST_LIFE = timedelta(days=7)
"""A token or code said to live longer is a malformed answer."""

PATH = "/cgi-bin/component/"
START_PUSH_TICKET = PATH + "api_start_push_ticket"
COMPONENT_TOKEN = PATH + "api_component_token"
CREATE_PREAUTHCODE = PATH + "api_create_preauthcode"
QUERY_AUTH = PATH + "api_query_auth"
AUTHORIZER_TOKEN = PATH + "api_authorizer_token"
GET_AUTHORIZER_INFO = PATH + "api_get_authorizer_info"
GET_AUTHORIZER_LIST = PATH + "api_get_authorizer_list"
CLEAR_QUOTA = PATH + "clear_quota/v2"
OPTION_PATHS = {
    "current": (PATH + "get_authorizer_option", PATH + "set_authorizer_option"),
    "legacy": (PATH + "api_get_authorizer_option", PATH + "api_set_authorizer_option"),
}


@dataclass(frozen=True)
class NewToken:
    """An access token and how long it lives, counted from before it was asked for.

    ``answered_at`` is WeChat's time, where it was asked for.
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

    ``access`` is None and ``refresh_token`` empty for accounts without API permission (4.1). ``answered_at`` is
    WeChat's time: at that moment the account was authorized.
    """

    appid: str
    access: NewToken | None
    refresh_token: Secret
    func_info: tuple[int, ...]
    answered_at: datetime | None
    says_sets: bool = field(default=True, compare=False)
    """Whether ``func_info`` is what WeChat said; else nothing is known about the permission sets."""


@dataclass(frozen=True)
class AuthorizerInfo:
    """Profile and permission sets. ``refresh_token`` may be empty (4.3)."""

    profile: dict[str, Any] = field(repr=False)
    refresh_token: Secret
    func_info: tuple[int, ...]
    says_sets: bool = field(default=True, compare=False)
    """Whether ``func_info`` is what WeChat said; else nothing is known about the permission sets."""


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


@dataclass(frozen=True)
class Endpoints:
    """The component APIs for one platform."""

    client: Client
    appid: str
    appsecret: Secret
    token_parameter: str = "component_access_token"  # a parameter's name
    option_api: str = "current"

    def start_push_ticket(self) -> str:
        """Have WeChat push tickets again (2.2). Returns its errmsg, which says whether pushing was on."""
        answer = self._post(START_PUSH_TICKET, {"component_appid": self.appid, "component_secret": self.appsecret})
        return str(json_object(answer, START_PUSH_TICKET).get("errmsg") or "")

    def component_token(self, ticket: Secret) -> NewToken:
        """api_component_token (3.1)."""
        answer = self._post(
            COMPONENT_TOKEN,
            {
                "component_appid": self.appid,
                "component_appsecret": self.appsecret,
                "component_verify_ticket": ticket,
            },
        )
        access = _token(json_object(answer, COMPONENT_TOKEN), "component_access_token", COMPONENT_TOKEN)
        return replace(access, answered_at=answer.answered_at)

    def create_preauthcode(self, token: Secret) -> PreAuthCode:
        """api_create_preauthcode (3.2). Good for one authorization; as long as the answer says."""
        data = json_object(
            self._post(CREATE_PREAUTHCODE, {"component_appid": self.appid}, token=token), CREATE_PREAUTHCODE
        )
        code = _token(data, "pre_auth_code", CREATE_PREAUTHCODE)
        return PreAuthCode(code.token, code.expires_in)

    def query_auth(self, token: Secret, code: Secret) -> Grant:
        """api_query_auth (4.1): exchange an authorization code."""
        answer = self._post(QUERY_AUTH, {"component_appid": self.appid, "authorization_code": code}, token=token)
        info = _nested(json_object(answer, QUERY_AUTH), "authorization_info", QUERY_AUTH)
        has_token = bool(info.get("authorizer_access_token"))
        return Grant(
            appid=_appid(info, QUERY_AUTH),
            access=_token(info, "authorizer_access_token", QUERY_AUTH) if has_token else None,
            refresh_token=_secret(info, "authorizer_refresh_token", QUERY_AUTH),
            func_info=parse_func_info(info.get("func_info")),
            answered_at=answer.answered_at,
            says_sets=says_sets(info.get("func_info")),
        )

    def authorizer_token(self, token: Secret, appid: str, refresh_token: Secret) -> Refreshed:
        """api_authorizer_token (4.2): a new access token, and perhaps a new refresh token, which must be stored."""
        answer = self._post(
            AUTHORIZER_TOKEN,
            {
                "component_appid": self.appid,
                "authorizer_appid": appid,
                "authorizer_refresh_token": refresh_token,
            },
            token=token,
        )
        data = json_object(answer, AUTHORIZER_TOKEN)
        _about(data, appid, AUTHORIZER_TOKEN)
        return Refreshed(
            _token(data, "authorizer_access_token", AUTHORIZER_TOKEN),
            _secret(data, "authorizer_refresh_token", AUTHORIZER_TOKEN),
        )

    def authorizer_info(self, token: Secret, appid: str) -> AuthorizerInfo:
        """api_get_authorizer_info (4.3)."""
        answer = self._post(
            GET_AUTHORIZER_INFO, {"component_appid": self.appid, "authorizer_appid": appid}, token=token
        )
        data = json_object(answer, GET_AUTHORIZER_INFO)
        authorization = _nested(data, "authorization_info", GET_AUTHORIZER_INFO)
        _about(authorization, appid, GET_AUTHORIZER_INFO)
        return AuthorizerInfo(
            profile=dict(_nested(data, "authorizer_info", GET_AUTHORIZER_INFO)),
            refresh_token=_secret(authorization, "authorizer_refresh_token", GET_AUTHORIZER_INFO),
            func_info=parse_func_info(authorization.get("func_info")),
            says_sets=says_sets(authorization.get("func_info")),
        )

    def authorizer_list(self, token: Secret, offset: int = 0, count: int = LIST_PAGE) -> ListPage:
        """api_get_authorizer_list (4.6): one page, at most 500. An entry that cannot be used costs no other."""
        answer = self._post(
            GET_AUTHORIZER_LIST, {"component_appid": self.appid, "offset": offset, "count": count}, token=token
        )
        data = json_object(answer, GET_AUTHORIZER_LIST)
        total_count = _number(data.get("total_count"))
        if total_count is None or total_count < 0:
            raise Unreachable(GET_AUTHORIZER_LIST, _("a list without total_count"))
        entries = [(_appid_of(entry), _listed(entry)) for entry in _entries(data)]
        return ListPage(
            total_count,
            authorizers=tuple(listed for _appid, listed in entries if listed is not None),
            skipped=tuple(appid for appid, listed in entries if listed is None),
        )

    def clear_quota(self, appid: str = "") -> None:
        """clear_quota/v2 (7.8): by the AppSecret, because a platform whose quota is used up gets no token."""
        self._post(CLEAR_QUOTA, self.with_secret({}) | ({"appid": appid} if appid else {}))

    def with_secret(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """The body of a call that the AppSecret opens, and no token; what it says itself stands."""
        return {"component_appid": self.appid, "appsecret": self.appsecret, **body}

    def get_option(self, token: Secret, appid: str, name: str) -> str:
        """get_authorizer_option (4.5). ``token`` is the account's for the current API, the component's for legacy."""
        path = OPTION_PATHS[self.option_api][0]
        data = json_object(
            self._post(path, self._option(appid, name), token=token, parameter=self._option_parameter), path
        )
        number = data.get("option_value")
        return str(number) if type(number) is int else _text(data, "option_value", path)

    def set_option(self, token: Secret, appid: str, name: str, value: str) -> None:
        """set_authorizer_option (4.5)."""
        body = self._option(appid, name) | {"option_value": value}
        self._post(OPTION_PATHS[self.option_api][1], body, token=token, parameter=self._option_parameter)

    @property
    def _option_parameter(self) -> str:
        return "access_token" if self.option_api == "current" else self.token_parameter

    def _option(self, appid: str, name: str) -> dict[str, str]:
        """The current page names only option_name; the rest is harmless and identifies the account (4.5)."""
        return {"component_appid": self.appid, "authorizer_appid": appid, "option_name": name}

    def _post(
        self, path: str, body: Mapping[str, Any], *, token: Secret | None = None, parameter: str | None = None
    ) -> Answer:
        return self.client.call("POST", path, token=token, token_parameter=parameter or self.token_parameter, json=body)


class _Fields(dict[str, Any]):
    """Fields of an answer, with the tokens in them."""

    def __repr__(self) -> str:
        return f"<fields {', '.join(map(str, self))}>"


def json_object(answer: Answer, path: str) -> Mapping[str, Any]:
    """The JSON object that WeChat answered. Unreachable for anything else, such as a picture."""
    if answer.data is None:
        raise Unreachable(path.partition("?")[0], _("an answer that is not JSON"))
    return _Fields(answer.data)


def _nested(data: Mapping[str, Any], name: str, path: str) -> Mapping[str, Any]:
    if not isinstance(data.get(name), dict):
        raise Unreachable(path, _("an answer without %(name)s", name=name))
    return _Fields(data[name])


def _about(data: Mapping[str, Any], appid: str, path: str) -> None:
    """The answer names the account that was asked about, or none."""
    if _optional_text(data, "authorizer_appid", path) not in ("", appid):
        raise Unreachable(path, _("an answer about another account"))


def _entries(data: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The list; what is no entry at all is an empty one."""
    if not isinstance(data.get("list"), list):
        raise Unreachable(GET_AUTHORIZER_LIST, _("a malformed list"))
    return [_Fields(entry if isinstance(entry, dict) else {}) for entry in data["list"]]


def _listed(entry: Mapping[str, Any]) -> Listed | None:
    """None for an entry whose appid, refresh token or time cannot be read."""
    try:
        authorized_at = datetime.fromtimestamp(int(entry["auth_time"]), timezone.utc)
        return Listed(
            appid=_appid(entry, GET_AUTHORIZER_LIST),
            refresh_token=_secret(entry, "refresh_token", GET_AUTHORIZER_LIST),
            authorized_at=authorized_at,
        )
    except (KeyError, TypeError, ValueError, OverflowError, OSError, Unreachable):
        return None


def _appid_of(entry: Mapping[str, Any]) -> str:
    return word(entry.get("authorizer_appid"))


def _appid(data: Mapping[str, Any], path: str) -> str:
    """What can be an appid: another text would fail in the database, and a whole page of the list with it."""
    appid = _text(data, "authorizer_appid", path)
    if word(appid) != appid:
        raise Unreachable(path, _("an answer without a usable authorizer_appid"))
    return appid


def _text(data: Mapping[str, Any], name: str, path: str) -> str:
    if not data.get(name):
        raise Unreachable(path, _("an answer without %(name)s", name=name))
    return _optional_text(data, name, path)


def _optional_text(data: Mapping[str, Any], name: str, path: str) -> str:
    if not isinstance(data.get(name) or "", str):
        raise Unreachable(path, _("an answer whose %(name)s is not text", name=name))
    return data.get(name) or ""


def _secret(data: Mapping[str, Any], name: str, path: str) -> Secret:
    """May be empty."""
    return Secret(_optional_text(data, name, path))


def _token(data: Mapping[str, Any], name: str, path: str) -> NewToken:
    """A token together with ``expires_in``; both must make sense, or nothing of the answer is used."""
    token = Secret(_text(data, name, path))
    seconds = _number(data.get("expires_in"))
    if seconds is None or not 0 < seconds <= LONGEST_LIFE.total_seconds():
        raise Unreachable(path, _("an answer without a usable expires_in"))
    return NewToken(token, timedelta(seconds=seconds))


def _number(value: Any) -> int | None:
    """A whole number, also as text."""
    if isinstance(value, bool):
        return None
    try:
        return int(value)
    except (TypeError, ValueError, OverflowError):
        return None

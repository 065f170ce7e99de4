"""Calls in the platform's own name."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

from .. import platforms
from ..client import component as calls
from ..client.calls import Call, TokenKind
from ..conf import DEFAULT_ALIAS
from ..platforms import Platform
from ..tokens import start_push
from .authorizer import AuthorizerAPI
from .runner import JSON, Runner

_P = ParamSpec("_P")
_T = TypeVar("_T")


def component(alias: str = DEFAULT_ALIAS) -> ComponentAPI:
    """Calls in the name of the platform with this alias in ``WECHAT_OPEN["COMPONENTS"]``."""
    return ComponentAPI(platforms.get(alias))


def _run(call: Callable[Concatenate[calls.Platform, _P], Call[_T]]) -> Callable[Concatenate[ComponentAPI, _P], _T]:
    """The method that makes the call which the function returns."""

    @wraps(call)
    def method(self: ComponentAPI, /, *args: _P.args, **kwargs: _P.kwargs) -> _T:
        made = call(self.platform, *args, **kwargs)
        del args, kwargs  # an error page shows the variables of this frame, and a call hides its own
        return self.run(made)

    signature = inspect.signature(call)
    returned = signature.return_annotation.removeprefix("Call[").removesuffix("]")
    vars(method)["__signature__"] = signature.replace(return_annotation=returned)  # what help() shows
    return method


class ComponentAPI(Runner):
    """The component APIs, each under WeChat's name, and any other by ``get``/``post``.

    The component token is fetched, kept and renewed behind the scenes. Raises APIError, Unreachable, and
    TokenUnavailable (TicketMissing when WeChat has not pushed a verify ticket yet).
    """

    kind = TokenKind.COMPONENT

    def __init__(self, platform: Platform) -> None:
        super().__init__(platform)

    def __repr__(self) -> str:
        return f"<ComponentAPI {self.platform.alias}>"

    component_token = _run(calls.component_token)
    create_preauthcode = _run(calls.create_preauthcode)
    query_auth = _run(calls.query_auth)
    authorizer_token = _run(calls.authorizer_token)
    authorizer_info = _run(calls.authorizer_info)
    authorizer_list = _run(calls.authorizer_list)
    clear_quota = _run(calls.clear_quota)

    def start_push_ticket(self) -> str:
        """api_start_push_ticket: WeChat pushes tickets again; returns its errmsg, which says whether pushing was on."""
        return start_push(self.platform)

    def get_option(self, appid: str, name: str) -> str:
        """get_authorizer_option."""
        return AuthorizerAPI(self.platform, appid).get_option(name)

    def set_option(self, appid: str, name: str, value: str) -> None:
        """set_authorizer_option."""
        AuthorizerAPI(self.platform, appid).set_option(name, value)

    def get(self, path: str, /, *, token_parameter: str = "access_token", **params: Any) -> JSON:
        """GET any API that takes the component token, such as ``/wxa/gettemplatelist``."""
        return self.request("GET", path, token_parameter=token_parameter, params=params).json()

    def post(self, path: str, /, *, json: Any = None, token_parameter: str = "access_token") -> JSON:
        """POST any API that takes the component token."""
        return self.request("POST", path, token_parameter=token_parameter, json={} if json is None else json).json()

"""Calls in an account's name."""

from __future__ import annotations

from typing import Any

from .. import platforms
from ..client.calls import TokenKind
from ..client.component import get_option, set_option
from ..conf import DEFAULT_ALIAS, conf
from ..models import Authorizer
from .messages import Messages
from .runner import JSON, Runner


def authorizer(account: str | Authorizer, *, component: str | None = None) -> AuthorizerAPI:
    """Calls in the name of an account.

    ``account`` is an appid or a row; ``component`` the alias of the platform that holds it, for an appid (default:
    ``"default"``). Nothing is looked up before the first call.
    """
    if isinstance(account, Authorizer):
        return AuthorizerAPI(platforms.for_component(account.component), account.appid)
    return AuthorizerAPI(platforms.get(component or DEFAULT_ALIAS), account)


class AuthorizerAPI(Runner):
    """Any WeChat API that takes an account's access token: by path, or by name in a group such as ``messages``.

    Every method raises UnknownAuthorizer, AuthorizerUnauthorized, ReauthorizationNeeded or TokenUnavailable when there
    is no token to call with, APIError (or what is below it) for WeChat's errcodes, and Unreachable when there is no
    usable answer (``get`` and ``post`` want JSON, ``download`` takes anything). A call is repeated once, and only after
    WeChat refused its token, which means that it did nothing.

    A call that brings an ``access_token`` among its parameters is made with that, and one that a secret opens
    (``clear_quota/v2``) with none. ValueError for a path below ``/sns/`` without the visitor's token.
    """

    kind = TokenKind.AUTHORIZER

    def __repr__(self) -> str:
        return f"<AuthorizerAPI {self.appid} of {self.platform.alias}>"

    @property
    def messages(self) -> Messages:
        """Messages to followers."""
        return Messages(self)

    def get(self, path: str, /, **params: Any) -> JSON:
        """GET ``path`` with query parameters; the JSON object that WeChat answers."""
        return self.request("GET", path, params=params).json()

    def post(self, path: str, /, *, json: Any = None, params: JSON | None = None, files: Any = None) -> JSON:
        """POST ``path`` with a JSON body (an empty object when there is none: WeChat wants one) or ``files``."""
        body = {} if json is None and files is None else json
        return self.request("POST", path, json=body, params=params, files=files).json()

    def download(self, path: str, /, *, json: Any = None, **params: Any) -> bytes:
        """The bytes of a picture or another medium; WeChat's errors are raised all the same."""
        return self.request("GET" if json is None else "POST", path, json=json, params=params).content

    def get_option(self, name: str) -> str:
        """get_authorizer_option: location_report, voice_recognize or customer_service."""
        return self.run(get_option(self.platform, self.appid, name, conf.option_api))

    def set_option(self, name: str, value: str) -> None:
        """set_authorizer_option (docs/protocol.rst, "Options")."""
        self.run(set_option(self.platform, self.appid, name, value, conf.option_api))

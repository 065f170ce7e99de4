"""How is a call made in the platform's own name?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from ..client import Answer
from ..component import Platform
from ..component import platform as configured
from ..conf import DEFAULT_ALIAS
from ..endpoints import (
    CLEAR_QUOTA,
    LIST_PAGE,
    AuthorizerInfo,
    Grant,
    ListPage,
    NewToken,
    PreAuthCode,
    Refreshed,
    json_object,
)
from ..secret import Secret
from ..tokens import as_authorizer, as_component, start_push
from . import paths

JSON = dict[str, Any]
_T = TypeVar("_T")


def component(alias: str = DEFAULT_ALIAS) -> ComponentAPI:
    """Calls in the name of the platform with this alias in ``WECHAT_OPEN["COMPONENTS"]``."""
    return ComponentAPI(configured(alias))


class ComponentAPI:
    """The component APIs of protocol sections 2 to 4, each under WeChat's name, and any other by ``get``/``post``.

    The component token is fetched, kept and renewed behind the scenes. Raises APIError, Unreachable, and
    TokenUnavailable (TicketMissing when WeChat has not pushed a verify ticket yet).
    """

    def __init__(self, platform: Platform) -> None:
        self.platform = platform
        self._endpoints = platform.endpoints

    def __repr__(self) -> str:
        return f"<ComponentAPI {self.platform.alias}>"

    def start_push_ticket(self) -> str:
        """api_start_push_ticket: have WeChat push tickets; its errmsg tells whether pushing was on."""
        return start_push(self.platform)

    def component_token(self, ticket: Secret) -> NewToken:
        """api_component_token with a ticket of yours. It ends the kept token; custody notices and renews."""
        return self._endpoints.component_token(ticket)

    def create_preauthcode(self) -> PreAuthCode:
        """api_create_preauthcode."""
        return as_component(self.platform, self._endpoints.create_preauthcode)

    def query_auth(self, code: Secret | str) -> Grant:
        """api_query_auth. The grant is *not* stored; ``authorization.complete`` exchanges and stores."""
        return as_component(self.platform, lambda token: self._endpoints.query_auth(token, _secret(code)))

    def authorizer_token(self, appid: str, refresh_token: Secret | str) -> Refreshed:
        """api_authorizer_token with a refresh token of yours. WeChat may rotate it: store what comes back."""
        return as_component(
            self.platform, lambda token: self._endpoints.authorizer_token(token, appid, _secret(refresh_token))
        )

    def authorizer_info(self, appid: str) -> AuthorizerInfo:
        """api_get_authorizer_info."""
        return as_component(self.platform, lambda token: self._endpoints.authorizer_info(token, appid))

    def authorizer_list(self, offset: int = 0, count: int = LIST_PAGE) -> ListPage:
        """api_get_authorizer_list, one page."""
        return as_component(self.platform, lambda token: self._endpoints.authorizer_list(token, offset, count))

    def clear_quota(self, appid: str = "") -> None:
        """component/clear_quota/v2: clear the platform's own daily quota, or that of an account. Ten times a month.

        By the AppSecret: it works when the quota is used up and there is no token.
        """
        self._endpoints.clear_quota(appid)

    def get_option(self, appid: str, name: str) -> str:
        """get_authorizer_option."""
        return self._with_option_token(appid, lambda token: self._endpoints.get_option(token, appid, name))

    def set_option(self, appid: str, name: str, value: str) -> None:
        """set_authorizer_option."""
        self._with_option_token(appid, lambda token: self._endpoints.set_option(token, appid, name, value))

    def get(self, path: str, /, *, token_parameter: str = "access_token", **params: Any) -> JSON:
        """GET any API that takes the component token, such as ``/wxa/gettemplatelist`` (protocol 7)."""
        return self._call("GET", path, token_parameter, params=params)

    def post(self, path: str, /, *, json: Any = None, token_parameter: str = "access_token") -> JSON:
        """POST any API that takes the component token."""
        return self._call("POST", path, token_parameter, json={} if json is None else json)

    def _call(self, method: str, path: str, token_parameter: str, **options: Any) -> JSON:
        def call(token: Secret | None = None) -> Answer:
            return self._endpoints.client.call(method, path, token=token, token_parameter=token_parameter, **options)

        params = options.get("params")
        paths.require_token_of_its_own(path, params, of_platform=True)
        if paths.clean(path) == CLEAR_QUOTA:
            options["json"] = self._endpoints.with_secret(options.get("json") or {})
        if paths.takes_no_token(path, params):
            return dict(json_object(call(), path))
        return dict(json_object(as_component(self.platform, call), path))

    def _with_option_token(self, appid: str, call: Callable[[Secret], _T]) -> _T:
        """The current option API wants the account's token, the legacy one the component's (protocol 4.5)."""
        if self._endpoints.option_api == "legacy":
            return as_component(self.platform, call)
        return as_authorizer(self.platform, appid, call)


def _secret(value: Secret | str) -> Secret:
    return value if isinstance(value, Secret) else Secret(value)

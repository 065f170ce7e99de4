"""Which of WeChat's paths are called without a token that custody keeps?

Most APIs take the account's or the platform's access token. A few are opened by an appid with its secret, and those
under ``/sns/`` by what a visitor's login brought: our token would be refused there, or replace the right one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs

from ..endpoints import CLEAR_QUOTA, COMPONENT_TOKEN, START_PUSH_TICKET

BY_SECRET = {
    CLEAR_QUOTA,
    COMPONENT_TOKEN,
    START_PUSH_TICKET,
    "/cgi-bin/clear_quota/v2",
    "/cgi-bin/token",
    "/cgi-bin/stable_token",
}
"""Opened by an appid and its secret in the query or the body."""

LOGIN = "/sns/"
"""The web login of visitors and the login of mini programs."""

TOKENS = ("access_token", "component_access_token")
"""The parameters by which a call brings a token of its own."""


def clean(path: str) -> str:
    """The path without its query, as WeChat reads it."""
    return "/" + path.partition("?")[0].strip("/")


def takes_no_token(path: str, params: Mapping[str, Any] | None) -> bool:
    """Whether the call goes out without a token of ours: by a secret, or with a token that the caller brings."""
    return clean(path) in BY_SECRET or _brings_token(path, params)


def require_token_of_its_own(path: str, params: Mapping[str, Any] | None, *, of_platform: bool = False) -> None:
    """ValueError for a call below ``/sns/`` without the token that it takes."""
    place = clean(path) + "/"
    if not place.startswith(LOGIN) or _brings_token(path, params):
        return
    if "/component/" in place:  # oauth2/component/access_token and component/jscode2session: the platform's
        if of_platform:
            return
        raise ValueError(
            f'{clean(path)} takes the platform\'s token: api.component().get("{clean(path)}", '
            'token_parameter="component_access_token", ...).'
        )
    raise ValueError(
        f"{clean(path)} takes the access token that the visitor's login brought, and no account's or platform's: pass "
        "it as access_token=..."
    )


def _brings_token(path: str, params: Mapping[str, Any] | None) -> bool:
    given = {**parse_qs(path.partition("?")[2]), **(params or {})}
    return any(given.get(name) for name in TOKENS)

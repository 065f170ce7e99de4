"""The kind of token that a path of WeChat takes.

Most APIs take the account's or the platform's access token. A few are opened by an appid with its secret, and those
under ``/sns/`` by what a visitor's login brought: our token would be refused there, or replace the right one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs

from ..client.calls import TokenKind
from ..client.component import CLEAR_QUOTA, COMPONENT_TOKEN, START_PUSH_TICKET

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


def token_kind(path: str, params: Mapping[str, Any], kind: TokenKind) -> TokenKind:
    """``kind``, unless the path takes no token of ours. ValueError for one below ``/sns/`` without its token."""
    if clean(path) in BY_SECRET:
        return TokenKind.NONE
    given = {**parse_qs(path.partition("?")[2]), **params}
    if any(given.get(name) for name in TOKENS):
        return TokenKind.USER
    place = clean(path) + "/"
    if not place.startswith(LOGIN):
        return kind
    if "/component/" not in place:
        raise ValueError(
            f"{clean(path)} takes the access token that the visitor's login brought, and no account's or platform's: "
            "pass it as access_token=..."
        )
    if kind is not TokenKind.COMPONENT:  # oauth2/component/access_token and component/jscode2session
        raise ValueError(
            f'{clean(path)} takes the platform\'s token: api.component().get("{clean(path)}", '
            'token_parameter="component_access_token", ...).'
        )
    return kind

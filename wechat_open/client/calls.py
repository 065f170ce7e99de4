"""A call to WeChat as a value: what is sent, which kind of token it takes, and how its answer is read.

Nothing is sent here. A transport sends what ``prepare`` returns, passes what comes back to ``verdict.judge``, and the
answer to ``Call.read``; a call may be kept, and made later or again.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Generic, TypedDict, TypeVar

from ..secret import Secret
from .answers import Answer

MAX_JSON = 1024 * 1024
MAX_MEDIA = 32 * 1024 * 1024

_T = TypeVar("_T")


class TokenKind(Enum):
    """Whose token a call takes."""

    COMPONENT = "component"
    AUTHORIZER = "authorizer"
    USER = "user"
    """The token that the login of a visitor brought; it is among the parameters."""
    NONE = "none"


@dataclass(frozen=True, repr=False)
class Call(Generic[_T]):
    """One call. ``json`` is sent as UTF-8 with real characters; a ``Secret`` in it, or in ``params``, as its text.

    ``repeatable`` says that a call whose outcome is unknown (``Unreachable``) may simply be made again.
    ``token_parameter`` is the token's name in the query, where it is not the usual one of its kind. No ``repr`` shows
    what is sent.
    """

    method: str
    path: str
    token: TokenKind
    read: Callable[[Answer], _T]
    params: Mapping[str, Any] = field(default_factory=dict)
    json: Any = None
    files: Any = None
    data: Any = None
    repeatable: bool = False
    token_parameter: str = ""
    max_bytes: int = MAX_JSON

    def __repr__(self) -> str:
        return f"<Call {self.method} {self.name}>"

    @property
    def name(self) -> str:
        """The path without its query, which may hold a secret: errors name the call so."""
        return self.path.partition("?")[0]


class Request(TypedDict):
    """What a transport sends, under the names of HTTP libraries. It holds secrets: no variable may keep it."""

    method: str
    url: str
    params: dict[str, Any]
    data: Any
    files: Any
    headers: dict[str, str]


def prepare(call: Call[Any], base_url: str, token: Secret | None, component_parameter: str) -> Request:
    """The request of a call; TypeError for a body that cannot be sent as JSON."""
    params = {name: value.reveal() if isinstance(value, Secret) else value for name, value in call.params.items()}
    if token is not None:
        usual = component_parameter if call.token is TokenKind.COMPONENT else "access_token"
        params[call.token_parameter or usual] = token.reveal()
    data, headers = call.data, {}
    if call.json is not None:
        data, headers["Content-Type"] = _encode(call.json), "application/json; charset=utf-8"
    url = f"{base_url}/{call.path.lstrip('/')}"  # whatever the path is, the host stays
    return Request(method=call.method, url=url, params=params, data=data, files=call.files, headers=headers)


def _encode(body: Any) -> bytes:
    """Some APIs refuse escaped characters (40033, 47002)."""
    return json.dumps(body, ensure_ascii=False, default=_reveal).encode()


def _reveal(value: object) -> str:
    if isinstance(value, Secret):
        return value.reveal()
    raise TypeError(f"{type(value).__name__} cannot be sent as JSON.")

"""The registry of endpoints: what each needs of a request stands in its decorator."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from ..errors import Refused
from ..http.messages import JSON, Answer
from ..state.accounts import Kind
from ..state.engine import Engine

OK: dict[str, Any] = {"errcode": 0, "errmsg": "ok"}

TokenKind = Literal["none", "component", "account", "either"]
MethodKind = Literal["GET", "POST", "any"]


@dataclass(frozen=True)
class Call:
    """A verified request: its parameters, and the owner of the access token that came with it."""

    owner: str
    query: Mapping[str, str] = field(repr=False)
    body: Mapping[str, Any] = field(repr=False)

    def text(self, name: str) -> str:
        """A field of the body; empty when it is missing or not a text."""
        value = self.body.get(name)
        return value if isinstance(value, str) else ""

    def required(self, name: str, errcode: int = 41002) -> str:
        """A field of the body; ``errcode`` when it is missing."""
        value = self.text(name)
        if not value:
            raise Refused(errcode)
        return value

    def number(self, name: str) -> int:
        value = self.body.get(name)
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            raise Refused(40097, f"invalid args, {name} must be a number")
        return value


Function = Callable[[Engine, Call], dict[str, Any] | Answer]


@dataclass(frozen=True)
class Endpoint:
    function: Function
    token: TokenKind
    method: MethodKind = "POST"
    permission: Mapping[Kind, tuple[int, ...]] | None = None
    """The permission sets, one of which must be granted, by the kind of account; other kinds do not own the API."""
    component_appid: bool = False
    """Whether the body must name the component."""
    real_characters: bool = False
    """Whether ``\\uXXXX`` escapes are refused."""
    content_type: str = JSON


ENDPOINTS: dict[str, Endpoint] = {}


def endpoint(*paths: str, **needs: Any) -> Callable[[Function], Function]:
    """Answer these paths with the decorated function; ``needs`` are the fields of ``Endpoint``."""

    def register(function: Function) -> Function:
        ENDPOINTS.update(dict.fromkeys(paths, Endpoint(function, **needs)))
        return function

    return register

"""Which of the site's functions answers which message?

Each app's ``wechat_handlers.py`` is imported when Django starts, as its ``admin.py`` is. Handlers are tried in the
order in which they were registered: apps as in ``INSTALLED_APPS``, functions from top to bottom. The first that fits
answers, whatever it returns; only ``PASS`` lets the next one try.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Any, Literal, TypeVar, overload

from ..protocol.messages import EVENT, EventMessage, Message

Function = Callable[..., Any]
F = TypeVar("F", bound=Function)


class _Pass(Enum):
    PASS = "pass"

    def __repr__(self) -> str:
        return "PASS"


PASS = _Pass.PASS
"""What a handler returns that has nothing to say to this message: the next one that fits is tried."""


@dataclass(frozen=True)
class Handler:
    """A function of the site, and the messages that it wants. An empty set of names wants all."""

    function: Function
    of_events: bool
    names: frozenset[str]
    component: str | None
    accounts: frozenset[str] | None

    @property
    def name(self) -> str:
        """Where to find it, for logs."""
        return name_of(self.function)

    def wants(self, message: Message) -> bool:
        if isinstance(message, EventMessage) is not self.of_events:
            return False
        name = message.event if isinstance(message, EventMessage) else message.kind
        return (
            (not self.names or name.lower() in self.names)
            and (self.component is None or message.component == self.component)
            and (self.accounts is None or message.appid in self.accounts)
        )


_handlers: dict[str, Handler] = {}


@overload
def on_message(kind: F, /) -> F: ...
@overload
def on_message(
    *kinds: str, component: str | None = None, accounts: str | Iterable[str] | None = None
) -> Callable[[F], F]: ...
def on_message(*kinds: Any, component: str | None = None, accounts: str | Iterable[str] | None = None) -> Any:
    """Let a function answer messages: of these kinds (``"text"``, ``"image"`` ...; none named: all).

    ``component`` is the alias of the platform, ``accounts`` one appid or several. The function, plain or ``async``,
    gets the message (``protocol.messages``) and returns a reply, a text, None (no answer), ``answer_later(...)`` or
    ``PASS``. ``@on_message`` without parentheses takes every message.
    """
    return _register(False, kinds, component, accounts)


@overload
def on_event(event: F, /) -> F: ...
@overload
def on_event(
    *events: str, component: str | None = None, accounts: str | Iterable[str] | None = None
) -> Callable[[F], F]: ...
def on_event(*events: Any, component: str | None = None, accounts: str | Iterable[str] | None = None) -> Any:
    """Let a function answer events (``"subscribe"``, ``"click"`` ..., in any letter case); else as ``on_message``."""
    return _register(True, events, component, accounts)


def _register(of_events: bool, names: tuple[Any, ...], component: str | None, accounts: Any) -> Any:
    if len(names) == 1 and callable(names[0]):
        return _register(of_events, (), component, accounts)(names[0])
    wrong = [name for name in names if not isinstance(name, str) or not name]
    if wrong:
        raise TypeError(f"Kinds and events are named by texts, such as 'text' or 'subscribe'; not by {wrong[0]!r}.")
    wanted = frozenset(name.lower() for name in names)
    if not of_events and EVENT in wanted:
        raise ValueError("Events are taken by @on_event, not by @on_message('event').")
    appids = frozenset([accounts] if isinstance(accounts, str) else accounts) if accounts is not None else None

    def register(function: F) -> F:
        handler = Handler(function, of_events, wanted, component, appids)
        # Once for each place in the code and each wish: a module that is imported anew replaces what it said before.
        _handlers[f"{_place(function)} {of_events} {sorted(wanted)} {component} {appids and sorted(appids)}"] = handler
        return function

    return register


def _place(function: Function) -> str:
    """Its place in the code; a lambda, an inner function or an object may share one with others, and is itself."""
    name = name_of(function)
    return name if inspect.isfunction(function) and "<" not in name else f"{name} {id(function)}"


def handlers_of(message: Message) -> Iterator[Handler]:
    """Those who want the message, in their order."""
    return (handler for handler in list(_handlers.values()) if handler.wants(message))


def all_handlers() -> list[Handler]:
    """Every handler that was registered, in their order."""
    return list(_handlers.values())


def forget(registered: Iterable[Handler] | Literal["all"] = "all") -> None:
    """Take handlers back, for tests."""
    gone = set(_handlers.values()) if registered == "all" else set(registered)
    for key in [key for key, handler in _handlers.items() if handler in gone]:
        del _handlers[key]


def name_of(function: Function) -> str:
    """Its dotted path."""
    return f"{getattr(function, '__module__', '?')}.{getattr(function, '__qualname__', type(function).__name__)}"

"""The site's handlers, and which of them answers a message.

Each app's ``wechat_handlers.py`` is imported when Django starts, as its ``admin.py`` is. Handlers are tried in the
order in which they were registered: apps as in ``INSTALLED_APPS``, functions from top to bottom. The first that fits
answers, whatever it returns; only ``PASS`` lets the next one try.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, overload

from ..protocol.replies import EVENT
from .functions import Function, Result, name_of
from .messages import (
    EventMessage,
    ImageMessage,
    LinkMessage,
    LocationMessage,
    LocationReported,
    MenuClicked,
    MenuLinkOpened,
    Message,
    MiniProgramPageMessage,
    Scanned,
    SessionEntered,
    Subscribed,
    TextMessage,
    Unsubscribed,
    VideoMessage,
    VoiceMessage,
)

Answers = Result | Awaitable[Result]
"""What a plain function returns, or an ``async`` one."""

AnyHandler = TypeVar("AnyHandler", bound=Callable[[Any], Answers])
MessageHandler = TypeVar("MessageHandler", bound=Callable[[Message], Answers])
TextHandler = TypeVar("TextHandler", bound=Callable[[TextMessage], Answers])
ImageHandler = TypeVar("ImageHandler", bound=Callable[[ImageMessage], Answers])
VoiceHandler = TypeVar("VoiceHandler", bound=Callable[[VoiceMessage], Answers])
VideoHandler = TypeVar("VideoHandler", bound=Callable[[VideoMessage], Answers])
LocationHandler = TypeVar("LocationHandler", bound=Callable[[LocationMessage], Answers])
LinkHandler = TypeVar("LinkHandler", bound=Callable[[LinkMessage], Answers])
PageHandler = TypeVar("PageHandler", bound=Callable[[MiniProgramPageMessage], Answers])
EventHandler = TypeVar("EventHandler", bound=Callable[[EventMessage], Answers])
SubscribedHandler = TypeVar("SubscribedHandler", bound=Callable[[Subscribed], Answers])
UnsubscribedHandler = TypeVar("UnsubscribedHandler", bound=Callable[[Unsubscribed], Answers])
ScannedHandler = TypeVar("ScannedHandler", bound=Callable[[Scanned], Answers])
LocationReportedHandler = TypeVar("LocationReportedHandler", bound=Callable[[LocationReported], Answers])
MenuClickedHandler = TypeVar("MenuClickedHandler", bound=Callable[[MenuClicked], Answers])
MenuLinkHandler = TypeVar("MenuLinkHandler", bound=Callable[[MenuLinkOpened], Answers])
SessionHandler = TypeVar("SessionHandler", bound=Callable[[SessionEntered], Answers])


@dataclass(frozen=True)
class Handler:
    """A function of the site, and the messages that it answers; an empty set of names means all."""

    function: Function
    of_events: bool
    names: frozenset[str]
    component: str | None
    accounts: frozenset[str] | None

    @property
    def name(self) -> str:
        """Its dotted path, for logs."""
        return name_of(self.function)

    def fits(self, message: Message) -> bool:
        if isinstance(message, EventMessage) is not self.of_events:
            return False
        name = message.event if isinstance(message, EventMessage) else message.kind
        return (
            (not self.names or name.lower() in self.names)
            and (self.component is None or message.component == self.component)
            and (self.accounts is None or message.appid in self.accounts)
        )


_handlers: dict[str, Handler] = {}


Accounts = str | Iterable[str] | None


@overload
def on_message(function: MessageHandler, /) -> MessageHandler: ...
@overload
def on_message(
    name: Literal["text"], /, *, component: str | None = ..., accounts: Accounts = ...
) -> Callable[[TextHandler], TextHandler]: ...
@overload
def on_message(
    name: Literal["image"], /, *, component: str | None = ..., accounts: Accounts = ...
) -> Callable[[ImageHandler], ImageHandler]: ...
@overload
def on_message(
    name: Literal["voice"], /, *, component: str | None = ..., accounts: Accounts = ...
) -> Callable[[VoiceHandler], VoiceHandler]: ...
@overload
def on_message(
    name: Literal["video", "shortvideo"], /, *, component: str | None = ..., accounts: Accounts = ...
) -> Callable[[VideoHandler], VideoHandler]: ...
@overload
def on_message(
    name: Literal["location"], /, *, component: str | None = ..., accounts: Accounts = ...
) -> Callable[[LocationHandler], LocationHandler]: ...
@overload
def on_message(
    name: Literal["link"], /, *, component: str | None = ..., accounts: Accounts = ...
) -> Callable[[LinkHandler], LinkHandler]: ...
@overload
def on_message(
    name: Literal["miniprogrampage"], /, *, component: str | None = ..., accounts: Accounts = ...
) -> Callable[[PageHandler], PageHandler]: ...
@overload
def on_message(
    *kinds: str, component: str | None = ..., accounts: Accounts = ...
) -> Callable[[AnyHandler], AnyHandler]: ...
def on_message(*kinds: Any, component: str | None = None, accounts: Accounts = None) -> Any:
    """Let a function answer messages: of these kinds (``"text"``, ``"image"`` ...; none named: all).

    ``component`` is the alias of the platform, ``accounts`` one appid or several. The function, plain or ``async``,
    gets the message and returns a reply, a text, None (no answer), ``answer_later(...)`` or
    ``PASS``. ``@on_message`` without parentheses takes every message.
    """
    return _register(False, kinds, component, accounts)


@overload
def on_event(function: EventHandler, /) -> EventHandler: ...
@overload
def on_event(
    name: Literal["subscribe"], /, *, component: str | None = ..., accounts: Accounts = ...
) -> Callable[[SubscribedHandler], SubscribedHandler]: ...
@overload
def on_event(
    name: Literal["unsubscribe"], /, *, component: str | None = ..., accounts: Accounts = ...
) -> Callable[[UnsubscribedHandler], UnsubscribedHandler]: ...
@overload
def on_event(
    name: Literal["SCAN", "scan"], /, *, component: str | None = ..., accounts: Accounts = ...
) -> Callable[[ScannedHandler], ScannedHandler]: ...
@overload
def on_event(
    name: Literal["LOCATION", "location"], /, *, component: str | None = ..., accounts: Accounts = ...
) -> Callable[[LocationReportedHandler], LocationReportedHandler]: ...
@overload
def on_event(
    name: Literal["CLICK", "click"], /, *, component: str | None = ..., accounts: Accounts = ...
) -> Callable[[MenuClickedHandler], MenuClickedHandler]: ...
@overload
def on_event(
    name: Literal["VIEW", "view", "view_miniprogram"], /, *, component: str | None = ..., accounts: Accounts = ...
) -> Callable[[MenuLinkHandler], MenuLinkHandler]: ...
@overload
def on_event(
    name: Literal["user_enter_tempsession"], /, *, component: str | None = ..., accounts: Accounts = ...
) -> Callable[[SessionHandler], SessionHandler]: ...
@overload
def on_event(
    *events: str, component: str | None = ..., accounts: Accounts = ...
) -> Callable[[AnyHandler], AnyHandler]: ...
def on_event(*events: Any, component: str | None = None, accounts: Accounts = None) -> Any:
    """Let a function answer events (``"subscribe"``, ``"click"`` ..., in any letter case); else as ``on_message``."""
    return _register(True, events, component, accounts)


def _register(of_events: bool, names: tuple[Any, ...], component: str | None, accounts: Accounts) -> Any:
    if len(names) == 1 and callable(names[0]):
        return _register(of_events, (), component, accounts)(names[0])
    wrong = [name for name in names if not isinstance(name, str) or not name]
    if wrong:
        raise TypeError(f"Kinds and events are named by texts, such as 'text' or 'subscribe'; not by {wrong[0]!r}.")
    wanted = frozenset(name.lower() for name in names)
    if not of_events and EVENT in wanted:
        raise ValueError("Events are taken by @on_event, not by @on_message('event').")
    appids = frozenset([accounts] if isinstance(accounts, str) else accounts) if accounts is not None else None

    def register(function: Function) -> Function:
        handler = Handler(function, of_events, wanted, component, appids)
        # One for each place in the code and each choice: a module that is imported again replaces its handlers.
        _handlers[f"{_place(function)} {of_events} {sorted(wanted)} {component} {appids and sorted(appids)}"] = handler
        return function

    return register


def _place(function: Function) -> str:
    """Its place in the code; a lambda, an inner function or an object may share one, so its identity is added."""
    name = name_of(function)
    return name if inspect.isfunction(function) and "<" not in name else f"{name} {id(function)}"


def handlers_of(message: Message) -> Iterator[Handler]:
    """The handlers of the message, in their order."""
    return (handler for handler in list(_handlers.values()) if handler.fits(message))


def all_handlers() -> list[Handler]:
    """Every registered handler, in order."""
    return list(_handlers.values())


def forget(registered: Iterable[Handler] | Literal["all"] = "all") -> None:
    """Unregister handlers, for tests."""
    gone = set(_handlers.values()) if registered == "all" else set(registered)
    for key in [key for key, handler in _handlers.items() if handler in gone]:
        del _handlers[key]

"""How is something said after the answer?

As a customer-service message. ``answer_later`` hands a function to a Celery worker, with the message and what the site
adds to it; what the function returns is sent. Without a broker this process does it, once the answer is out.
"""

from __future__ import annotations

import inspect
import json
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from asgiref.sync import async_to_sync
from django.utils.functional import Promise
from django.utils.module_loading import import_string

from .. import doorbell, signals
from ..api import AuthorizerAPI
from ..component import platform as configured
from ..exceptions import RateLimited, TokenUnavailable, WeChatOpenError
from ..protocol.messages import Message, Reply, Text, parse
from .accounts import row
from .handlers import PASS, Function, name_of

logger = logging.getLogger(__name__)

TASK = "wechat_open.tasks.answer_later"
EXPIRES = 48 * 60 * 60.0
"""Seconds after which WeChat lets nobody answer any more (protocol 7.9)."""

PAUSES = (1.0, 5.0)
"""Seconds before a customer-service message is tried again that certainly was not sent."""


@dataclass(frozen=True)
class Later:
    """A decision of a handler: WeChat is answered ``success`` now, and ``function`` says more later."""

    function: Function
    arguments: dict[str, Any] = field(default_factory=dict)

    @property
    def path(self) -> str:
        return name_of(self.function)


def answer_later(function: Function, **arguments: Any) -> Later:
    """Let a worker call ``function(message, **arguments)`` and send what it returns as a customer-service message.

    ``function``, plain or ``async``, is found by its dotted path, so it stands at the top of a module. ``arguments``
    and the message travel through the broker as JSON: no secrets. Raises ValueError and TypeError for what cannot
    travel.
    """
    decision = Later(function, arguments)
    try:
        found = import_string(decision.path)
    except ImportError:
        found = None
    if found is not function:
        raise ValueError(f"{decision.path} cannot be found by a worker: define it at the top of a module.")
    json.dumps(arguments)
    return decision


def hand_over(message: Message, decision: Later) -> Callable[[], None] | None:
    """Give it to a worker; what is left to do for this process after its answer when there is none."""
    arguments = (decision.path, message.component, message.appid, message.fields, decision.arguments)
    if doorbell.ring(TASK, *arguments, expires=EXPIRES):
        return None
    return lambda: perform(message, decision)


def take_over(path: str, alias: str, appid: str, fields: dict[str, Any], arguments: dict[str, Any]) -> None:
    """The worker's part."""
    platform = configured(alias)
    message = parse(fields, appid=appid, component=alias, authorizer=row(platform, appid))
    perform(message, Later(import_string(path), arguments))


def perform(message: Message, decision: Later) -> None:
    """Call the function and send its answer. What goes wrong is told as for a handler."""
    try:
        reply = as_reply(call(decision.function, message, **decision.arguments))
        if reply is not None:
            send(message, reply)
    except Exception as error:  # noqa: BLE001 - the site's code; whatever it raises is told
        tell(message, decision.path, error)


def send(message: Message, reply: Reply) -> None:
    """Answer by customer-service message. Raises what WeChat says."""
    account = AuthorizerAPI(configured(message.component), message.appid)
    for pause in PAUSES:
        try:
            return account.custom_send(message.openid, reply)
        except (TokenUnavailable, RateLimited):  # nothing was sent
            time.sleep(pause)
    return account.custom_send(message.openid, reply)


def call(function: Function, message: Message, **arguments: Any) -> Any:
    """What the site's function returns, also when it is asynchronous."""
    result = function(message, **arguments)
    if inspect.isawaitable(result):
        return async_to_sync(_wait)(result)
    return result


async def _wait(result: Any) -> Any:
    return await result


def as_reply(result: Any) -> Reply | None:
    """A text becomes a ``Text``; nothing, and an empty one, is no reply. TypeError for anything else."""
    if result is None or result == "" or result is PASS:
        return None
    if isinstance(result, (str, Promise)):  # a Promise is a text to be translated
        return Text(str(result))
    if isinstance(result, Reply):
        return result
    came = type(result).__name__
    raise TypeError(f"A handler returns a reply, a text, None, answer_later(...) or PASS; this one returned {came}.")


def tell(message: Message, handler: str, error: BaseException) -> None:
    """The operator hears of it, with everything but what the follower said; the site's code by a signal."""
    known = isinstance(error, WeChatOpenError)
    logger.error(
        "Handler %s failed for %s of account %s (platform %r, MsgId %s, at %s): %s",
        handler,
        getattr(message, "event", message.kind),
        message.appid,
        message.component,
        message.msg_id or "-",
        message.created_at,
        error if known else type(error).__name__,
        exc_info=None if known else error,
    )
    signals.announce(signals.handler_failed, type(message), message=message, handler=handler, error=error)

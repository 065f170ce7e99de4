"""Answers that are sent after the response, as customer-service messages.

``answer_later`` hands a function to a Celery worker, with the message and the site's arguments; what the function
returns is sent. Without a broker this process calls it, once the response is out. A broker that hangs may still pass
the task on when it comes back, so whichever process begins first says so in the site's cache, and the other does
nothing.
"""

from __future__ import annotations

import inspect
import json
import logging
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from datetime import datetime, timezone
from typing import Any, TypeVar

from asgiref.sync import async_to_sync
from django.utils.functional import Promise

from .. import audit, broker, cache, platforms, signals
from ..api import AuthorizerAPI
from ..conf import conf
from ..exceptions import RateLimited, TokenUnavailable, WeChatOpenError
from ..models import Authorizer
from ..protocol.repair import FORBIDDEN
from ..protocol.replies import EventFields, Reply, Text
from .accounts import lazy_row
from .functions import PASS, Function, Later, Result, name_of
from .messages import EventMessage, Message, parse

logger = logging.getLogger(__name__)

F = TypeVar("F", bound=Callable[..., Result | Awaitable[Result]])

TASK = "wechat_open.tasks.answer_later"
EXPIRES = 48 * 60 * 60.0
"""Seconds after which WeChat refuses an answer (docs/protocol.rst, "Customer-service messages")."""

SENDER, WORKER = b"sender", b"worker"
"""Stand in the cache for the process that began a task."""

PAUSES = (1.0, 5.0)
"""Seconds before a customer-service message that certainly was not sent is tried again."""


_deferred: dict[str, Function] = {}
"""The functions that a task may name, by their dotted paths. A path that came from the broker is looked up here and is
never imported: otherwise, write access to the broker would be enough to run any code in a worker."""


def deferred(function: F) -> F:
    """Let workers call a function for ``answer_later``: a decorator for functions at the top of a module.

    Workers know it once its module was imported: ``wechat_handlers.py`` of every app is, when Django starts. Raises
    ValueError for a function without a dotted path of its own, such as a lambda.
    """
    path = name_of(function)
    if "<" in path or not hasattr(function, "__qualname__"):
        raise ValueError(f"@deferred is for functions at the top of a module; a worker cannot find {path}.")
    _deferred[path] = function
    return function


def answer_later(function: Function, **arguments: Any) -> Later:
    """Let a worker call ``function(message, **arguments)`` and send what it returns as a customer-service message.

    ``function``, plain or ``async``, is decorated with ``@deferred``. ``arguments`` and the message travel through the
    broker as JSON: no secrets. Raises ValueError and TypeError for what cannot travel.
    """
    decision = Later(function, arguments)
    if _deferred.get(decision.path) is not function:
        raise ValueError(
            f"A worker may not call {decision.path}: decorate it with @deferred, above any other decorator, at the top "
            "of a module that is imported when Django starts, such as wechat_handlers.py."
        )
    json.dumps(arguments)
    return decision


def hand_over(message: Message, decision: Later) -> Callable[[], None] | None:
    """Give it to a worker; without one, what this process is to do after its answer."""
    arguments = (decision.path, message.component, message.appid, message.fields, decision.arguments)
    task_id = str(uuid.uuid4())
    if broker.send_task(TASK, *arguments, expires=EXPIRES, task_id=task_id):
        return None
    return lambda: perform(message, decision) if _begin(task_id, SENDER) else None


def take_over(
    path: object,
    alias: str,
    appid: str,
    fields: dict[str, Any],
    arguments: dict[str, Any],
    *,
    task_id: str | None = None,
    redelivered: bool = False,
) -> None:
    """The worker's part. A path that the site did not register is refused, logged and counted.

    ``redelivered`` is what the broker says of a task that another worker was given, and did not finish.
    """
    function = _deferred.get(path) if isinstance(path, str) else None
    if function is None:
        _refuse(path, alias)
        return
    if task_id is not None and not _begin(task_id, WORKER, again=redelivered):
        logger.info("A task of answer_later came twice, or late; its answer has been sent.")
        return
    platform = platforms.get(alias)
    message = parse(
        fields,
        received_at=datetime.now(timezone.utc),
        appid=appid,
        component=alias,
        authorizer=lazy_row(platform, appid),
    )
    perform(message, Later(function, arguments))


def _begin(task_id: str, mine: bytes, *, again: bool = False) -> bool:
    """Whether the caller is the first to begin this task, or the worker that takes over from one that died.

    Without a cache it is: a follower had rather get an answer twice than none.
    """
    key = f"wechat_open:answer_later:{task_id}"
    if cache.add(key, mine, EXPIRES) is not False:
        return True
    return again and cache.attempt(lambda cache: cache.get(key), None) == mine


def _refuse(path: object, alias: str) -> None:
    """Log that a task was refused, and nothing of its message: it may not be from WeChat. Nothing is imported."""
    logger.error(
        "Refused a task of answer_later: this worker has no function %.200r that is decorated with @deferred. "
        "If it is yours, see that its module is imported when Django starts, and that web processes and workers run "
        "the same release; if not, something else writes to your broker.",
        path,
    )
    known = alias if alias in conf.components else next(iter(conf.components), None)
    if known is not None:
        audit.increment(audit.Counter.DEFERRED_REFUSED, platforms.get(known).row)


def perform(message: Message, decision: Later) -> None:
    """Call the function and send its answer. Errors are reported as those of a handler."""
    try:
        reply = as_reply(call(decision.function, message, **decision.arguments), message)
        if reply is not None:
            send(message, reply)
    except Exception as error:  # noqa: BLE001 - the site's code; whatever it raises is reported
        report(message, decision.path, error)


def send(message: Message, reply: Reply) -> None:
    """Answer by customer-service message, in as many parts as it takes. Raises WeChat's error."""
    account = AuthorizerAPI(platforms.get(message.component), message.appid)
    for part in reply.parts():
        _send_part(account, message.openid, part)


def _send_part(account: AuthorizerAPI, openid: str, part: Reply) -> None:
    for pause in PAUSES:
        try:
            return account.messages.custom_send(openid, part)
        except (TokenUnavailable, RateLimited):  # nothing was sent
            time.sleep(pause)
    return account.messages.custom_send(openid, part)


def call(function: Function, message: Message, **arguments: Any) -> Any:
    """What the site's function returns, plain or ``async``."""
    result = function(message, **arguments)
    if inspect.isawaitable(result):
        with suppress(Authorizer.DoesNotExist):
            bool(message.authorizer)  # reads the row: a coroutine, which begins below, may not
        return async_to_sync(_wait)(result)
    return result


async def _wait(result: Any) -> Any:
    return await result


def as_reply(result: Any, message: Message | None = None) -> Reply | None:
    """A text becomes a ``Text``, a mapping the answer to an event. None, PASS and a blank text are no reply: WeChat
    would show the follower a fault for it, or refuse it (44004).

    TypeError for anything else.
    """
    if result is None or result is PASS:
        return None
    if isinstance(result, (str, Promise)):  # a Promise is a text to be translated
        result = Text(str(result))
    if isinstance(result, Text) and not FORBIDDEN.sub("", result.content).strip():
        return None
    if isinstance(result, Reply):
        return result
    if isinstance(result, Mapping) and isinstance(message, EventMessage):
        return EventFields(result)
    returned = type(result).__name__
    raise TypeError(
        "A handler returns a reply, a text, None, answer_later(...) or PASS, and for an event that wants an answer of "
        f"its own a mapping; this one returned {returned}."
    )


def report(message: Message, handler: str, error: BaseException) -> None:
    """Log it for operators, with everything but what the follower wrote, and send ``handler_failed`` to the site."""
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

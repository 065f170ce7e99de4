"""What do we answer when WeChat pushes?

``success`` once the push is recorded, the reply to a message, or a refusal. The order is the point: method, platform,
query, size, signature, time window, and nothing touches database or cache before the signature has proven that WeChat
speaks. Whatever is wrong with a push, the peer learns the same; the reason goes to the log in one word. Once the
signature and the decryption were right, no push is refused for what cannot be read.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable

from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed

from .. import component, doorbell, inbox, messaging
from ..component import Platform
from ..conf import DEFAULT_ALIAS, conf
from ..exceptions import ConfigurationError, InvalidPush
from ..messaging import NOTHING, SUCCESS, Answer, StillRunning, TooMany
from ..protocol.envelope import MAX_BODY, Stamp, Unsealed, open_envelope
from ..rows import DATABASE_TROUBLE
from .doors import from_wechat

logger = logging.getLogger(__name__)

_LENGTH = re.compile(r"[0-9]{1,18}", re.ASCII)

# The background noise of the internet. Any other reason needs our token, or is a mistake in somebody's settings.
_NOISE = frozenset({"length", "interrupted", "query", "envelope"})


class _TooLarge(Exception):
    """More than a push can be."""


@from_wechat
def events(request: HttpRequest, alias: str = DEFAULT_ALIAS) -> HttpResponse:
    """授权事件接收URL: verify tickets and every other InfoType."""
    return _answer(request, alias, _record)


@from_wechat
def messages(request: HttpRequest, authorizer_appid: str, alias: str = DEFAULT_ALIAS) -> HttpResponse:
    """消息与事件接收URL: what followers send. The path is not signed; ``messaging`` compares it with ToUserName."""

    def deliver(platform: Platform, unsealed: Unsealed) -> Answer:
        _require_recent(unsealed.stamp)
        return messaging.receive(platform, authorizer_appid, unsealed)

    return _answer(request, alias, deliver)


def _record(platform: Platform, unsealed: Unsealed) -> Answer:
    """Into the inbox; what follows from it is done by workers."""
    # No window for tickets: with one, a host whose clock is wrong would lose its platform in twelve hours. An old
    # ticket does no harm, because the newest CreateTime wins; one that is dated ahead is refused by the database's
    # clock, like every other push.
    is_ticket = inbox.is_ticket(unsealed)
    if not is_ticket:
        _require_recent(unsealed.stamp)
    push = inbox.receive(platform, unsealed)
    if is_ticket:
        doorbell.ring("wechat_open.tasks.renew_due_tokens")
        doorbell.ring("wechat_open.tasks.watch_health")  # with beat dead, somebody hears of it all the same
    elif push is not None:
        doorbell.ring("wechat_open.tasks.process_push", push.pk)
    return Answer()


def _answer(request: HttpRequest, alias: str, act: Callable[[Platform, Unsealed], Answer]) -> HttpResponse:
    """Authenticate, act, translate what went wrong. Only WeChat gets further than ``open_envelope``."""
    if request.method != "POST":
        return HttpResponseNotAllowed(["POST"])
    if alias not in conf.components:
        return _plain("unknown", status=404)
    try:
        platform = component.platform(alias)
        _require_small(request)
        stamp = Stamp.from_query(request.META.get("QUERY_STRING", ""))  # before the body is read
        unsealed = open_envelope(stamp, _read(request), platform.pairs, platform.appid)
        answer = act(platform, unsealed)
    except _TooLarge:
        return _plain("too large", status=413)
    except InvalidPush as refusal:
        level = logging.INFO if refusal.reason in _NOISE else logging.WARNING
        logger.log(level, "Refused a push for platform %r: %s", alias, refusal.reason)
        return _plain("refused", status=403)
    except ConfigurationError as error:
        logger.error("Cannot take pushes for platform %r: %s", alias, error)
        return _plain("unavailable", status=503)
    except DATABASE_TROUBLE:
        # WeChat repeats what was not answered with success. Said without recording it, the push would be lost.
        logger.exception("Could not record a push for platform %r", alias)
        return _plain("unavailable", status=503)
    except (StillRunning, TooMany) as error:
        logger.warning("A message of platform %r is not answered yet: %s", alias, error)
        return _plain("unavailable", status=503)
    content_type = "text/plain" if answer.body in (SUCCESS, NOTHING) else f"application/{unsealed.format}"
    return _Told(answer, content_type)


class _Told(HttpResponse):
    """An answer, after which something is to be done: the server closes a response when WeChat has it."""

    def __init__(self, answer: Answer, content_type: str) -> None:
        super().__init__(answer.body, content_type=content_type)
        self._afterwards = answer.afterwards

    def close(self) -> None:
        super().close()
        afterwards, self._afterwards = self._afterwards, None
        if afterwards is not None:
            afterwards()


def _require_small(request: HttpRequest) -> None:
    announced = request.META.get("CONTENT_LENGTH") or "0"
    if not _LENGTH.fullmatch(announced):
        raise InvalidPush("length")
    if int(announced) > MAX_BODY:
        raise _TooLarge


def _read(request: HttpRequest) -> bytes:
    """The body, as it came and never more of it than a push can have. ``request.body`` would read it to the end."""
    try:
        body: bytes = request.read(MAX_BODY + 1)
    except OSError:
        raise InvalidPush("interrupted") from None
    if len(body) > MAX_BODY:  # a chunked body announces nothing
        raise _TooLarge
    return body


def _require_recent(stamp: Stamp) -> None:
    """A cheap filter, not the protection against replays: the signature leaves open where the timestamp ends (5)."""
    if abs(int(stamp.timestamp) - time.time()) > conf.push_window.total_seconds():
        raise InvalidPush("stale")


def _plain(text: str, *, status: int) -> HttpResponse:
    return HttpResponse(text, status=status, content_type="text/plain")

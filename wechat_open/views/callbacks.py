"""The two callbacks that WeChat pushes to: events of the platform, and messages of followers.

The answer is ``success`` once the push is recorded, the reply to a message, or a refusal. The order is the point:
method, platform, query, size, signature; nothing touches database or cache before the signature has proven that the
push is WeChat's. Every refusal looks the same to the peer, and the log has the reason in one word. Once signature and
decryption were right, no push is refused because it cannot be read.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable
from functools import wraps
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed

from .. import broker, inbox, messaging, platforms
from ..conf import DEFAULT_ALIAS, conf
from ..db.managers import DATABASE_ERRORS
from ..exceptions import ConfigurationError, InvalidPush
from ..messaging import NOTHING, SUCCESS, Outcome, StillRunning, TooMany
from ..platforms import Platform
from ..protocol.envelope import MAX_BODY, DecryptedPush, Stamp, decrypt_envelope
from .exemptions import from_wechat

logger = logging.getLogger(__name__)

_LENGTH = re.compile(r"[0-9]{1,18}", re.ASCII)

# What scanners send. Any other reason needs our token, or a mistake in the settings of this site or another.
_NOISE = frozenset({"length", "interrupted", "query", "envelope"})


class _TooLarge(Exception):
    """More than a push can be."""


def _with_uniform_refusals(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """Translate errors into responses, the same for all: 403 for what WeChat did not send, 503 for what it is to send
    again."""

    @wraps(view)
    def answer(request: HttpRequest, *args: Any, alias: str = DEFAULT_ALIAS, **kwargs: Any) -> HttpResponse:
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        if alias not in conf.components:
            return _plain("unknown", status=404)
        try:
            return view(request, *args, alias=alias, **kwargs)
        except _TooLarge:
            return _plain("too large", status=413)
        except InvalidPush as refusal:
            level = logging.INFO if refusal.reason in _NOISE else logging.WARNING
            logger.log(level, "Refused a push for platform %r: %s", alias, refusal.reason)
            return _plain("refused", status=403)
        except ConfigurationError as error:
            logger.error("Cannot take pushes for platform %r: %s", alias, error)
        except DATABASE_ERRORS:
            # WeChat repeats what was not answered with success. With success, an unrecorded push would be lost.
            logger.exception("Could not record a push for platform %r", alias)
        except (StillRunning, TooMany) as error:
            logger.warning("A message of platform %r is not answered yet: %s", alias, error)
        return _plain("unavailable", status=503)

    return answer


@from_wechat
@_with_uniform_refusals
def events(request: HttpRequest, *, alias: str) -> HttpResponse:
    """授权事件接收URL: verify tickets and every other InfoType."""
    recorded = inbox.receive(*_decrypt(request, alias))
    ends_at = time.monotonic() + broker.ANSWER_WITHIN  # for all of them together
    for task, *arguments in recorded.wake:
        broker.send_task(task, *arguments, ends_at=ends_at)
    return HttpResponse(SUCCESS, content_type="text/plain")


@from_wechat
@_with_uniform_refusals
def messages(request: HttpRequest, authorizer_appid: str, *, alias: str) -> HttpResponse:
    """消息与事件接收URL: what followers send. The path is not signed; ``messaging`` compares it with ToUserName."""
    platform, decrypted = _decrypt(request, alias)
    outcome = messaging.receive(platform, authorizer_appid, decrypted)
    content_type = "text/plain" if outcome.body in (SUCCESS, NOTHING) else f"application/{decrypted.format}"
    return _OutcomeResponse(outcome, content_type)


class _OutcomeResponse(HttpResponse):
    """Runs the work that follows the answer when the server closes the response: WeChat has it by then."""

    def __init__(self, outcome: Outcome, content_type: str) -> None:
        super().__init__(outcome.body, content_type=content_type)
        self._after = outcome.after

    def close(self) -> None:
        super().close()
        after, self._after = self._after, None
        if after is not None:
            after()


def _decrypt(request: HttpRequest, alias: str) -> tuple[Platform, DecryptedPush]:
    """The push of a request that WeChat made; InvalidPush or _TooLarge for any other."""
    platform = platforms.get(alias)
    _require_small(request)
    stamp = Stamp.from_query(request.META.get("QUERY_STRING", ""))  # before the body is read
    return platform, decrypt_envelope(stamp, _read(request), platform.pairs, platform.appid)


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


def _plain(text: str, *, status: int) -> HttpResponse:
    return HttpResponse(text, status=status, content_type="text/plain")

"""Makes calls with requests: one request, one answer, no repeat.

Every call has a total deadline, a size limit, pooled connections, no redirects and
no cookies. Tokens are in the query, so nothing of requests or urllib3, neither an exception nor a log line, leaves this
file with a URL in it; and where an exception is raised, no variable holds a URL, a body or an answer that an error page
could show.
"""

from __future__ import annotations

import os
from datetime import timedelta
from functools import lru_cache
from http.cookiejar import DefaultCookiePolicy
from typing import Any, TypeVar

import requests
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError

from ..exceptions import APIError, Unreachable
from ..secret import Secret
from ..text import TranslatableText as _
from .answers import Answer
from .calls import Call, prepare
from .deadline import DeadlineAdapter
from .redaction import keep_secrets_out_of_logs
from .verdict import judge

POOL_SIZE = 64
_CHUNK = 64 * 1024

_T = TypeVar("_T")


class Client:
    """Makes calls to one base URL. ``timeout`` is (seconds to connect, seconds for the whole answer).

    ``component_parameter`` is the name of the component's token in the query.
    """

    def __init__(
        self,
        base_url: str,
        timeout: tuple[float, float],
        *,
        component_parameter: str = "component_access_token",
        session: requests.Session | None = None,
    ) -> None:
        self.base_url = base_url
        self.timeout = timeout
        self.component_parameter = component_parameter
        self._session = session

    @property
    def longest_call(self) -> timedelta:
        """The time that no call exceeds; a lease must last as long."""
        connect, answer = self.timeout
        return timedelta(seconds=connect + 2 * answer)

    def run(self, call: Call[_T], token: Secret | None = None) -> _T:
        """Make the call with this token and read its answer. Raises APIError or Unreachable."""
        result: Answer | Exception
        try:
            result = self._exchange(call, token)
        except Exception as error:  # noqa: BLE001 - a time limit strikes anywhere; it goes on, without those frames
            result = error.with_traceback(None)
        if isinstance(result, Answer):
            return call.read(result)
        raise result from None  # here, where no variable holds the URL: what urllib3 raised is not even its context

    def _exchange(self, call: Call[Any], token: Secret | None) -> Answer | APIError | Unreachable:
        """Send the request and judge the answer; a failure is returned."""
        response = None
        try:
            response = (self._session or _session(os.getpid())).request(
                **prepare(call, self.base_url, token, self.component_parameter),
                timeout=self.timeout,
                allow_redirects=False,
                stream=True,
            )
            with response:
                content = _read(response, call.max_bytes)
                cut = content is not None and _is_cut(response)
        except (requests.RequestException, OSError) as error:
            reason, answered = type(error).__name__, response is not None
            return Unreachable(call.name, reason, in_flight=_was_sent(error), answered=answered)
        if cut:
            return Unreachable(call.name, _("an answer that ends early"))
        if content is None:
            return Unreachable(call.name, _("an answer of more than %(bytes)d bytes", bytes=call.max_bytes))
        return judge(response.status_code, response.headers, content, call.name)


def _was_sent(error: Exception) -> bool:
    """Whether the request may have reached WeChat: not when no connection was made for it, be it to a proxy."""
    cause = getattr(error.args[0], "reason", None) if error.args else None
    cause = getattr(cause, "original_error", cause)
    unconnected = isinstance(cause, (NewConnectionError, ConnectTimeoutError))
    return not isinstance(error, requests.ConnectTimeout) and not unconnected


def _read(response: requests.Response, max_bytes: int) -> bytes | None:
    """The content; None when it is too much."""
    content = bytearray()
    for chunk in response.iter_content(_CHUNK):
        content += chunk
        if len(content) > max_bytes:
            return None
    return bytes(content)


def _is_cut(response: requests.Response) -> bool:
    """Whether less came than ``Content-Length`` announced: urllib3 1.26 takes such an answer for complete."""
    announced = response.headers.get("Content-Length", "")
    if not (announced.isascii() and announced.isdigit()):
        return False
    return bool(response.raw.tell() < int(announced))


@lru_cache(maxsize=1)
def _session(pid: int) -> requests.Session:
    """One pool for the process; keyed by its id, because sockets must not be shared across a fork."""
    keep_secrets_out_of_logs()
    session = requests.Session()
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=()))
    adapter = DeadlineAdapter(pool_connections=4, pool_maxsize=POOL_SIZE, max_retries=0)
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    return session

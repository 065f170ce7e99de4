"""How is one HTTP call to WeChat made?

One request, one answer, one errcode. Holds no token and knows no Django. Success is judged by errcode, not by HTTP
status (protocol 0.2); no answer, a timeout or anything that is not WeChat's is ``Unreachable``. Every call has a total
deadline, a size limit, pooled connections and no redirects. Tokens ride in the query, so nothing of requests or
urllib3, neither an exception nor a log line, leaves this file with a URL in it.
"""

from __future__ import annotations

import json
import logging
import os
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Any

import requests
from requests.adapters import HTTPAdapter

from .exceptions import Unreachable
from .protocol.errcodes import error_for
from .secret import Secret

MAX_JSON = 1024 * 1024
MAX_MEDIA = 32 * 1024 * 1024
POOL_SIZE = 64
_CHUNK = 64 * 1024
_SECRET_PARAMETERS = re.compile(r"(?i)\b([a-z_]*(?:access_token|ticket|secret|code|refresh_token))=[^&\s\"']+")


@dataclass(frozen=True)
class Answer:
    """What WeChat answered: ``data`` when it was JSON, else ``content``.

    ``answered_at`` is WeChat's own time from the ``Date`` header, or None.
    """

    data: dict[str, Any] | None = field(repr=False)
    content: bytes = field(repr=False)
    content_type: str
    answered_at: datetime | None


class Client:
    """Calls one base URL. ``timeout`` is (seconds to connect, seconds for the whole answer)."""

    def __init__(self, base_url: str, timeout: tuple[float, float], session: requests.Session | None = None) -> None:
        self.base_url = base_url
        self.timeout = timeout
        self._session = session

    @property
    def longest_call(self) -> timedelta:
        """No call takes longer: what a lease must leave."""
        connect, answer = self.timeout
        return timedelta(seconds=connect + 2 * answer)

    def call(
        self,
        method: str,
        path: str,
        *,
        token: Secret | None = None,
        token_parameter: str = "access_token",
        params: Mapping[str, Any] | None = None,
        json: Any = None,
        files: Any = None,
        data: Any = None,
        max_bytes: int = MAX_JSON,
    ) -> Answer:
        """Make the call. ``json`` is sent as UTF-8 with real characters. Raises APIError or Unreachable."""
        query = dict(params or {})
        if token is not None:
            query[token_parameter] = token.reveal()
        headers = {}
        if json is not None:
            data, headers["Content-Type"] = _encode(json), "application/json; charset=utf-8"
        try:
            response = (self._session or _session(os.getpid())).request(
                method,
                self.base_url + path,
                params=query,
                data=data,
                files=files,
                headers=headers,
                timeout=self.timeout,
                allow_redirects=False,
                stream=True,
            )
            with response:
                content = self._read(response, path, max_bytes)
        except (requests.RequestException, OSError) as error:
            failure = Unreachable(path, type(error).__name__)
        else:
            return _judge(response, content, path)
        raise failure  # outside the except clause: the original, which carries the URL, is not even its context

    def _read(self, response: requests.Response, path: str, max_bytes: int) -> bytes:
        ends_at = time.monotonic() + self.timeout[1]
        content = bytearray()
        for chunk in response.iter_content(_CHUNK):
            content += chunk
            if len(content) > max_bytes:
                raise Unreachable(path, f"an answer of more than {max_bytes} bytes")
            if time.monotonic() > ends_at:
                raise Unreachable(path, "the answer came too slowly")
        return bytes(content)


def _judge(response: requests.Response, content: bytes, path: str) -> Answer:
    """Turn status, type and errcode into an answer or an exception."""
    if response.status_code != 200:
        raise Unreachable(path, f"HTTP {response.status_code}")
    content_type = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    answered_at = _date(response.headers.get("Date", ""))
    looks_like_json = content.lstrip()[:1] in (b"{", b"[")
    if not looks_like_json and content and not content_type.startswith(("text/", "application/json")):
        return Answer(None, content, content_type, answered_at)
    try:
        data = json.loads(content.decode("utf-8", errors="ignore"), strict=False)
    except (ValueError, RecursionError):
        raise Unreachable(path, "an answer that is not JSON") from None
    if not isinstance(data, dict):
        raise Unreachable(path, "JSON that is not an object")
    errcode = _errcode(data, path)
    if errcode:
        raise error_for(errcode, str(data.get("errmsg", "")), path=path)
    return Answer(data, content, content_type, answered_at)


def _errcode(data: Mapping[str, Any], path: str) -> int:
    """0 when absent; WeChat sometimes sends it as text."""
    try:
        return int(data.get("errcode") or 0)
    except (TypeError, ValueError):
        raise Unreachable(path, "an errcode that is not a number") from None


def _encode(body: Any) -> bytes:
    """Some endpoints refuse escaped characters (40033, 47002)."""
    return json.dumps(body, ensure_ascii=False).encode()


def _date(header: str) -> datetime | None:
    try:
        return parsedate_to_datetime(header).astimezone(timezone.utc)
    except (TypeError, ValueError):
        return None


@lru_cache(maxsize=1)
def _session(pid: int) -> requests.Session:
    """One pool for the process; keyed by its id, because sockets must not be shared across a fork."""
    logging.getLogger("urllib3.connectionpool").addFilter(_REDACT)
    session = requests.Session()
    adapter = HTTPAdapter(pool_connections=4, pool_maxsize=POOL_SIZE, max_retries=0)
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    return session


class _Redact(logging.Filter):
    """urllib3 logs every request line at DEBUG, with the tokens in it."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg = redact(record.getMessage())
        record.args = None
        return True


_REDACT = _Redact()


def redact(text: str) -> str:
    """The text with the values of secret query parameters replaced."""
    return _SECRET_PARAMETERS.sub(r"\1=***", text)

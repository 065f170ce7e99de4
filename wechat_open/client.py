"""How is one HTTP call to WeChat made?

One request, one answer, one errcode. Holds no token and knows no Django. Success is judged by errcode, not by HTTP
status (protocol 0.2), and a medium by its bytes, not by its Content-Type; no answer, a timeout or anything that is not
WeChat's is ``Unreachable``. Every call has a total deadline, a size limit, pooled connections, no redirects and no
cookies. Tokens ride in the query, so nothing of requests or urllib3, neither an exception nor a log line, leaves this
file with a URL in it; and where an exception is raised, no variable holds a URL, a body or an answer that an error page
could show.
"""

from __future__ import annotations

import codecs
import http.client
import io
import json
import logging
import os
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from email.utils import parsedate_to_datetime
from functools import lru_cache
from http.cookiejar import DefaultCookiePolicy
from typing import Any

import requests
import urllib3
from requests.adapters import HTTPAdapter

from .exceptions import APIError, Unreachable
from .protocol.errcodes import error_for
from .secret import Secret
from .sentence import Sentence as _
from .sentence import pgettext

MEDIA = ("image/", "audio/", "video/", "application/octet-stream")
MAX_JSON = 1024 * 1024
MAX_MEDIA = 32 * 1024 * 1024
POOL_SIZE = 64
_CHUNK = 64 * 1024
_LARGEST_ERRCODE = 2**31 - 1  # what a database column holds
_CONTROLS = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]")
_SECRET_PARAMETERS = re.compile(r"(?i)\b([a-z_]*(?:access_token|ticket|secret|code|refresh_token|key))=[^&\s\"']+")


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
        """Make the call. ``json`` is sent as UTF-8 with real characters, a ``Secret`` in it as its text.

        Raises APIError or Unreachable.
        """
        named = {} if token is None else {token_parameter: token}
        result: Answer | Exception
        try:
            result = self._exchange(method, path, named, params, json, files, data, max_bytes)
        except Exception as error:  # noqa: BLE001 - a time limit strikes anywhere; it goes on, without those frames
            result = error.with_traceback(None)
        if isinstance(result, Answer):
            return result
        raise result from None  # here, where nobody has seen the URL: what urllib3 raised is not even its context

    def _exchange(
        self,
        method: str,
        path: str,
        token: Mapping[str, Secret],
        params: Mapping[str, Any] | None,
        json: Any,
        files: Any,
        data: Any,
        max_bytes: int,
    ) -> Answer | APIError | Unreachable:
        """Ask, read and judge; a failure is returned."""
        name = path.partition("?")[0]
        headers = {}
        if json is not None:
            data, headers["Content-Type"] = _encode(json), "application/json; charset=utf-8"
        try:
            response = (self._session or _session(os.getpid())).request(
                method,
                f"{self.base_url}/{path.lstrip('/')}",  # whatever the path is, the host stays
                params={**(params or {}), **{parameter: secret.reveal() for parameter, secret in token.items()}},
                data=data,
                files=files,
                headers=headers,
                timeout=self.timeout,
                allow_redirects=False,
                stream=True,
            )
            with response:
                content = _read(response, max_bytes)
                cut = content is not None and _is_cut(response)
        except (requests.RequestException, OSError) as error:
            return Unreachable(name, type(error).__name__)
        if cut:
            return Unreachable(name, _("an answer that ends early"))
        if content is None:
            return Unreachable(name, _("an answer of more than %(bytes)d bytes", bytes=max_bytes))
        return _judge(response, content, name)


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


def _judge(response: requests.Response, content: bytes, path: str) -> Answer | APIError | Unreachable:
    """Turn status, type and errcode into an answer or an exception."""
    if response.status_code != 200:
        return Unreachable(path, pgettext("wechat_open", "HTTP %(status)d", status=response.status_code))
    content_type = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    answered_at = _date(response.headers.get("Date", ""))
    try:
        data = _parse(content)
    except (ValueError, RecursionError):
        if _is_medium(content, content_type):
            return Answer(None, content, content_type, answered_at)
        return Unreachable(path, _("an answer that is not JSON"))
    if not isinstance(data, dict):
        return Unreachable(path, _("JSON that is not an object"))
    for number, message in _verdicts(data):
        errcode = _errcode(number)
        if errcode is None:
            return Unreachable(path, _("an errcode that is not a number"))
        if errcode:
            return error_for(errcode, str(message or ""), path=path)
    return Answer(data, content, content_type, answered_at)


def _is_medium(content: bytes, content_type: str) -> bool:
    """Whether bytes that are no JSON are a picture, a sound or another file.

    The bytes decide: WeChat sends complete media as ``text/plain`` and ``application/json``. Only plain text is what
    its type says, and a page of a proxy is never a medium.
    """
    start = content[:1024].lstrip().lower()
    if not content or start.startswith((b"<!doctype", b"<html", b"<?xml", b"<head", b"<body")):
        return False
    if start[:1] in (b"{", b"["):  # what was JSON once, unless something in it can stand in no text
        return b"\0" in content or (content_type.startswith(MEDIA) and not _is_text(content))
    if not _is_text(content):
        return True
    return start[:1] != b"<" and not content_type.startswith(("text/", "application/json"))


def _is_text(content: bytes) -> bool:
    """Of WeChat, or in the encoding of a Chinese proxy; bytes of a medium may be characters in the latter by chance."""
    if b"\0" in content:
        return False
    return _can_be("utf-8", content) or (not _CONTROLS.search(content) and _can_be("gb18030", content))


def _can_be(encoding: str, content: bytes) -> bool:
    """Whether it can be decoded, but for a last character that was cut."""
    try:
        codecs.getincrementaldecoder(encoding)().decode(content)
    except UnicodeDecodeError:
        return False
    return True


def _verdicts(data: Mapping[str, Any]) -> Iterator[tuple[Any, Any]]:
    """The numbers that say what came of a call, with their messages.

    ``errcode`` nearly everywhere; ``ret`` with ``err_msg``, or within ``base_resp``, in the APIs of advertising.
    """
    yield data.get("errcode"), data.get("errmsg")
    if "errcode" not in data and ("err_msg" in data or "errmsg" in data or set(data) == {"ret"}):
        yield data.get("ret"), data.get("err_msg") or data.get("errmsg")
    elif "err_msg" in data:
        yield data.get("ret"), data.get("err_msg")
    base = data.get("base_resp")
    if isinstance(base, Mapping):
        yield base.get("ret"), base.get("err_msg") or base.get("errmsg")


def _parse(content: bytes) -> Any:
    text = content.decode("utf-8-sig", errors="ignore")
    data = json.loads(text, strict=False)
    return _storable(data) if "\0" in text or "\\u" in text else data


def _storable(value: Any) -> Any:
    """Without NUL and halves of surrogate pairs, which no database takes (an emoji may have been cut)."""
    if isinstance(value, str):
        return value.replace("\0", "").encode(errors="ignore").decode()
    if isinstance(value, list):
        return [_storable(entry) for entry in value]
    if isinstance(value, dict):
        return {_storable(key): _storable(entry) for key, entry in value.items()}
    return value


def _errcode(number: Any) -> int | None:
    """0 when absent; WeChat sometimes sends it as text. None when it is no number, or none that WeChat would send."""
    try:
        errcode = int(number or 0)
    except (TypeError, ValueError, OverflowError):
        return None
    return errcode if abs(errcode) <= _LARGEST_ERRCODE else None


def _encode(body: Any) -> bytes:
    """Some endpoints refuse escaped characters (40033, 47002)."""
    return json.dumps(body, ensure_ascii=False, default=_reveal).encode()


def _reveal(value: object) -> str:
    if isinstance(value, Secret):
        return value.reveal()
    raise TypeError(f"{type(value).__name__} cannot be sent as JSON.")


def _date(header: str) -> datetime | None:
    try:
        return parsedate_to_datetime(header).astimezone(timezone.utc)
    except (TypeError, ValueError):
        return None


class _Deadline(io.RawIOBase):
    """The bytes of one answer, headers and all, while there is time: a socket's own timeout begins anew with each."""

    def __init__(self, sock: Any, raw: io.RawIOBase) -> None:
        self._sock = sock
        self._raw = raw
        self._ends_at = time.monotonic() + (sock.gettimeout() or 0)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left = self._ends_at - time.monotonic()
        if left <= 0:
            raise TimeoutError("the answer came too slowly")
        self._sock.settimeout(left)
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Response(http.client.HTTPResponse):
    def __init__(self, sock: Any, *args: Any, **options: Any) -> None:
        super().__init__(sock, *args, **options)
        self.fp = io.BufferedReader(_Deadline(sock, self.fp.detach()))


class _Connection(urllib3.connection.HTTPConnection):
    response_class = _Response


class _SecureConnection(urllib3.connection.HTTPSConnection):
    response_class = _Response


class _Pool(urllib3.HTTPConnectionPool):
    ConnectionCls = _Connection


class _SecurePool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _SecureConnection


_POOLS = {"http": _Pool, "https": _SecurePool}


class _Adapter(HTTPAdapter):
    """Pooled connections whose answers have a deadline, through a proxy too."""

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, **options)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, *args: Any, **options: Any) -> Any:
        manager = super().proxy_manager_for(*args, **options)
        manager.pool_classes_by_scheme = _POOLS
        return manager


@lru_cache(maxsize=1)
def _session(pid: int) -> requests.Session:
    """One pool for the process; keyed by its id, because sockets must not be shared across a fork."""
    keep_secrets_out_of_logs()
    session = requests.Session()
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=()))
    adapter = _Adapter(pool_connections=4, pool_maxsize=POOL_SIZE, max_retries=0)
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    return session


def keep_secrets_out_of_logs() -> None:
    """Once in each process that sends something with a secret in its address."""
    for name in ("urllib3.connectionpool", "urllib3.connection"):
        logging.getLogger(name).addFilter(_REDACT)


class _Redact(logging.Filter):
    """urllib3 logs every request line at DEBUG, and the address of a strange answer, with the tokens in it."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg = redact(record.getMessage())
        record.args = None
        return True


_REDACT = _Redact()


def redact(text: str) -> str:
    """The text with the values of secret query parameters replaced."""
    return _SECRET_PARAMETERS.sub(r"\1=***", text)

"""The verdict on what came back from WeChat: an answer, or the error that it stands for.

Pure: any transport may use it. Success is judged by errcode, not by HTTP status, and a medium by its bytes, not by its
Content-Type; anything that is not WeChat's is ``Unreachable``. Errors are returned and not raised: the transport raises
them where no variable holds the answer.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator, Mapping
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from typing import Any

from ..exceptions import APIError, Unreachable
from ..protocol.errcodes import error_for
from ..text import TranslatableText as _
from ..text import pgettext
from .answers import Answer

MEDIA = ("image/", "audio/", "video/", "application/octet-stream")
_OF_GATEWAYS = (502, 504)  # which have no answer either
_LARGEST_ERRCODE = 2**31 - 1  # what a database column holds
_CONTROLS = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]")


def judge(status: int, headers: Mapping[str, str], content: bytes, path: str) -> Answer | APIError | Unreachable:
    """Turn status, type and errcode into an answer or an exception. The names of ``headers`` ignore case."""
    if status != 200:
        reason = pgettext("wechat_open", "HTTP %(status)d", status=status)
        return Unreachable(path, reason, in_flight=status in _OF_GATEWAYS)
    content_type = headers.get("Content-Type", "").partition(";")[0].strip().lower()
    answered_at = _date(headers.get("Date", ""))
    try:
        data = _parse(content)
    except (ValueError, RecursionError):
        if _is_medium(content, content_type):
            return Answer(None, content, content_type, answered_at, path)
        return Unreachable(path, _("an answer that is not JSON"))
    if not isinstance(data, dict):
        return Unreachable(path, _("JSON that is not an object"))
    for number, message in _verdicts(data):
        errcode = _errcode(number)
        if errcode is None:
            return Unreachable(path, _("an errcode that is not a number"))
        if errcode:
            return error_for(errcode, str(message or ""), path=path)
    return Answer(data, content, content_type, answered_at, path)


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


def _date(header: str) -> datetime | None:
    try:
        return parsedate_to_datetime(header).astimezone(timezone.utc)
    except (TypeError, ValueError):
        return None

"""Removes secrets from what error trackers and tracers collect.

Secrets are recognized in four ways: by their value, if it is in the settings; by the name beside them, in a query, in
JSON, in XML and in a Python ``repr``; by the form of WeChat's tokens, tickets and codes, and of our keys; and by their
place in URLs. ``sentry`` and ``opentelemetry`` use this; ``LogFilter`` is for any handler of
``logging``.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

from django.conf import settings

from ..conf import NAME
from ..views.browser import COOKIE

__all__ = ["LogFilter", "scrubbed", "scrubbed_text"]

FILTERED = "[Filtered]"
DEEPEST = 50
"""Levels of nested values. Deeper ones are left out."""

LEAST = 6
"""Least length of a setting that is searched for; a shorter one would be found in ordinary words."""

_NAMES = (
    r"[a-z_-]{0,40}(?:access_?token|refresh_?token|ticket|secret)|(?:pre_?)?auth(?:orization)?_?code|"
    r"js_?code|(?:encoding_)?aes_?key|encryption_keys?|previous_keys?|health_token|token|code|(?:msg_?)?signature|encrypt|"
    r"session_key|" + re.escape(COOKIE)
)
_NAME = re.compile(_NAMES, re.IGNORECASE)
_ONLY_IN_ADDRESSES = "state|nonce|key"
_SLASH = r"(?:\\{0,8}/|%(?:25){0,2}2F)"

_FORMS: tuple[tuple[re.Pattern[str], str], ...] = (
    # access_token=…&, as in URLs and forms, escaped or not
    (
        re.compile(
            rf"(?i)(?:(?<![a-z0-9_-])|(?<=%3F)|(?<=%26))({_NAMES}|{_ONLY_IN_ADDRESSES})(=|%3D)(?!\s|['\"\[{{(])(?:(?!%26)[^&\s\"'<>\\#,;)])+"
        ),
        rf"\1\2{FILTERED}",
    ),
    # "access_token": "…", as in JSON and in a repr, also within another text, or cut off at the end
    (
        re.compile(
            rf"(?i)(\\{{0,8}}['\"])({_NAMES})(\\{{0,8}}['\"]\s*[:,]\s*b?)(\\{{0,8}}['\"])(?:(?!\4).)*(\4|$)", re.DOTALL
        ),
        rf"\1\2\3\4{FILTERED}\5",
    ),
    # access_token='…', as in the repr of an object
    (re.compile(rf"(?i)(?<![a-z0-9_-])({_NAMES})(=b?)(['\"])(?:(?!\3).)*(\3|$)", re.DOTALL), rf"\1\2\3{FILTERED}\4"),
    # <ComponentVerifyTicket>…</ComponentVerifyTicket>
    (
        re.compile(
            r"(?i)<(ComponentVerifyTicket|AuthorizationCode|PreAuthCode|Encrypt|MsgSignature)>(?:(?!</).)*(</|$)",
            re.DOTALL,
        ),
        rf"<\1>{FILTERED}\2",
    ),
    # refreshtoken@@@…, and access tokens: a number, an underline and a long text
    (re.compile(r"(?i)\b(refreshtoken|ticket|preauthcode|queryauthcode)(@@@|%40%40%40)[\w%~.-]+"), rf"\1\2{FILTERED}"),
    (re.compile(r"(?<![A-Za-z0-9_-])[0-9]{1,4}_[A-Za-z0-9_-]{40,}"), FILTERED),
    # Authorization: Bearer …
    (re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{8,}"), rf"\1 {FILTERED}"),
    # the URLs of our pages, and of a robot of Feishu; also within another URL, or in JSON
    (
        re.compile(
            rf"(?i)({_SLASH}(?:authorized|authorize{_SLASH}link|open-apis{_SLASH}bot{_SLASH}v2{_SLASH}hook){_SLASH})[a-z0-9_-]+"
        ),
        rf"\1{FILTERED}",
    ),
    # the key of a link, a state, the secret of a browser: 32 bytes in base64, a length that names rarely have
    (
        re.compile(r"(?<![\w-])(?=[\w-]{0,42}[0-9])(?=[\w-]{0,42}[A-Z])(?=[\w-]{0,42}[a-z])[A-Za-z0-9_-]{43}(?![\w-])"),
        FILTERED,
    ),
)


def scrubbed(value: Any, name: object = "", *, depth: int = 0) -> Any:
    """The value without secrets: a text, or dicts and lists of texts. ``name`` is its key."""
    if isinstance(name, str) and _NAME.fullmatch(name) and isinstance(value, (str, bytes, list, tuple, Mapping)):
        return FILTERED if value else value
    if isinstance(value, str):
        return scrubbed_text(value)
    if isinstance(value, bytes):
        return scrubbed_text(value.decode("utf-8", "replace")).encode()
    if depth >= DEEPEST:
        return FILTERED
    if isinstance(value, Mapping):
        return {
            scrubbed_text(key) if isinstance(key, str) else key: scrubbed(one, key, depth=depth + 1)
            for key, one in value.items()
        }
    if isinstance(value, (list, tuple)):
        if len(value) == 2 and isinstance(value[0], str) and _NAME.fullmatch(value[0]):  # a pair of name and value
            found = [value[0], FILTERED]
        else:
            found = [scrubbed(one, depth=depth + 1) for one in value]
        return found if isinstance(value, list) else tuple(found)
    return _scrubbed_object(value)


def _scrubbed_object(value: object) -> object:
    """An object whose ``repr`` shows a secret, such as a request, is replaced by a clean one."""
    if value is None or isinstance(value, (bool, int, float)):
        return value
    try:
        text = repr(value)
    except Exception:  # noqa: BLE001 - a half-initialized object may fail in any way
        return FILTERED
    clean = scrubbed_text(text)
    return value if clean == text else clean


def scrubbed_text(text: str) -> str:
    for secret in _configured():
        text = text.replace(secret, FILTERED)
    for pattern, replacement in _FORMS:
        text = pattern.sub(replacement, text)
    return text


class LogFilter(logging.Filter):
    """A filter for handlers that log other packages: ``"filters": {"no_secrets": {"()": LogFilter}}``."""

    def filter(self, record: logging.LogRecord) -> bool:
        try:
            message = record.getMessage()
        except Exception:  # noqa: BLE001  # the handler reports arguments that do not fit
            return True
        clean = scrubbed_text(message)
        if clean != message:
            record.msg, record.args = clean, None
        if record.exc_info and not record.exc_text:
            # Formatters use this text if it is set. The text of an exception may contain the called URL.
            record.exc_text = logging.Formatter().formatException(record.exc_info)
        record.exc_text = record.exc_text and scrubbed_text(record.exc_text)
        record.stack_info = record.stack_info and scrubbed_text(record.stack_info)
        return True


def _configured() -> list[str]:
    """Every secret in the settings, the longest first, plain and quoted for URLs."""
    try:
        written = getattr(settings, NAME, None)
    except Exception:  # noqa: BLE001  # settings.py fails or is not configured: report that error
        return []
    found: set[str] = set()
    for secret in _secrets(written, inside=False):
        if len(secret) >= LEAST:
            found |= {secret, quote(secret, safe="")}
    return sorted(found, key=len, reverse=True)


def _secrets(written: object, *, inside: bool) -> Iterator[str]:
    if isinstance(written, str):
        if inside:
            yield written
    elif isinstance(written, Mapping):
        for key, value in written.items():
            yield from _secrets(value, inside=inside or (isinstance(key, str) and bool(_NAME.fullmatch(key))))
    elif isinstance(written, (list, tuple)):
        for value in written:
            yield from _secrets(value, inside=inside)

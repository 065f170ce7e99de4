"""Long texts are split into parts that WeChat accepts."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

MAX_TEXT = 2048
"""Bytes of a text, in a passive reply or a customer-service message. WeChat loses or refuses (45002) a longer one."""

# Links and addresses are not split if they fit into a message.
_WHOLE = re.compile(r"<a\s[^>]*>.*?</a>|[a-z][a-z0-9+.-]{1,20}://[!-~]+", re.IGNORECASE | re.DOTALL)
_LINE, _SENTENCE, _WORD = (re.compile(ends) for ends in (r"\n+", r"[。！？；…]+|[.!?;]\s+", r"\s+|[，、：）】》]+"))


def split(text: str, limit: int = MAX_TEXT) -> list[str]:
    """Split the text into parts of at most ``limit`` bytes.

    It is split after a line, else after a sentence, else after a word, and never within a character; a link or an
    address stays whole if it fits.
    """
    parts = []
    while text:
        end = _fits(text, limit)
        if end < len(text):
            end = _cut(text, end)
        parts.append(text[:end])
        text = text[end:]
    return parts


def _fits(text: str, limit: int) -> int:
    """How many characters, at least one, fit into ``limit`` bytes."""
    size = 0
    for number, character in enumerate(text):
        size += 1 if character < "\x80" else 2 if character < "\u0800" else 3 if character <= "\uffff" else 4
        if size > limit:
            return max(1, number)
    return len(text)


def _cut(text: str, end: int) -> int:
    """Where to split, at or before ``end``: in the second half, unless no such place exists."""
    spans = [found.span() for found in _WHOLE.finditer(text[: end * 2])]
    for pattern in (_LINE, _SENTENCE, _WORD):
        cuts = [found.end() for found in pattern.finditer(text, 0, end)]
        cut = next((cut for cut in reversed(cuts) if not _within(cut, spans)), 0)
        if cut > end // 2:
            return cut
    whole = next((start for start, stop in spans if start < end < stop), end)
    if 0 < whole < end:
        return whole
    return next((cut for cut in range(end, max(0, end - LONGEST), -1) if not _is_joined(text, cut)), end)


def _within(cut: int, spans: Sequence[tuple[int, int]]) -> bool:
    return any(start < cut < stop for start, stop in spans)


LONGEST = 64
"""The most characters that are displayed as one: an emoji of a family has eleven."""


def _is_joined(text: str, at: int) -> bool:
    """Whether the character belongs to the one before: an accent, a variant, a skin tone, a joined emoji."""
    here, before = text[at], text[at - 1]
    if _is_half_a_flag(here):
        first = at
        while first and _is_half_a_flag(text[first - 1]):
            first -= 1
        return (at - first) % 2 == 1
    return (
        here in "\u200d\ufe0f\ufe0e\u20e3"
        or before == "\u200d"
        or "\U0001f3fb" <= here <= "\U0001f3ff"
        or unicodedata.category(here).startswith("M")
    )


def _is_half_a_flag(character: str) -> bool:
    return "\U0001f1e6" <= character <= "\U0001f1ff"

"""Conditions that several settings share."""

from __future__ import annotations

import math
import re
from collections import Counter
from typing import TypeGuard

from django.utils.module_loading import import_string

STRONG_LENGTH = 24
STRONG_BITS = 80


def is_list(value: object) -> TypeGuard[list[object] | tuple[object, ...]]:
    return isinstance(value, (list, tuple))


def is_plain_text(value: object) -> bool:
    """Text without spaces, line ends and whatever else comes along when it is copied."""
    return isinstance(value, str) and not re.search(r"[^!-~]", value)


def is_weak(text: str) -> bool:
    """Short, or with few different characters: entropy is estimated from how often each occurs."""
    shares = [times / len(text) for times in Counter(text).values()]
    bits = -sum(share * math.log2(share) for share in shares) * len(text)
    return len(text) < STRONG_LENGTH or bits < STRONG_BITS


def is_subclass(path: str, ancestors: tuple[str, ...]) -> bool:
    """Whether the class at this path is one of these or made from one. A wrong path is Django's to report."""
    try:
        found = import_string(path)
    except ImportError:
        return False
    return isinstance(found, type) and issubclass(found, tuple(import_string(ancestor) for ancestor in ancestors))

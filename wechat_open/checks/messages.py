"""How settings, choices and commands are written in a message.

Texts are translated when a check runs, not when it is imported: ``manage.py check`` uses the project's language, a page
the reader's. Code stands in them as a value, so that no translation can change it.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce

from django.utils.translation import pgettext

from ..conf import NAME
from ..secret import shown_name

TAG = "wechat_open"


def setting_name(*keys: object) -> str:
    """A setting, or a value in it, as it is written in Python."""
    return NAME + "".join(f'["{shown_name(key)}"]' for key in keys)


def either(words: Iterable[object]) -> str:
    return reduce(
        lambda one, other: pgettext("wechat_open", "%(one)s or %(other)s") % {"one": one, "other": other},
        map(repr, words),
    )


def command_for(secret: str) -> str:
    """The command that prints a new secret, made by a function of Python's ``secrets``."""
    return f'python -c "import secrets; print(secrets.{secret})"'

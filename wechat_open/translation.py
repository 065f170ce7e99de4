"""Errors and stored texts in the reader's language.

Texts of this package are translated by the catalogue; WeChat's errcodes are described by their meaning, with the rid
that Tencent's support asks for.
"""

from __future__ import annotations

from django.utils import translation
from django.utils.translation import get_language

from .exceptions import APIError, WeChatOpenError
from .protocol import errcodes
from .text import TranslatableText, loads

__all__ = ["describe_errcode", "summarize_error", "translate", "translate_error"]


def translate_error(error: BaseException) -> str:
    """The message of an error in the reader's language; of an error from elsewhere, its own message."""
    return translate(error.text) if isinstance(error, WeChatOpenError) else str(error)


def describe_errcode(errcode: int | None, rid: str = "") -> str:
    """An errcode with its meaning and the rid; empty for None and for an unknown errcode."""
    meaning = errcodes.meaning(errcode, get_language() or "en") if errcode is not None else ""
    if not meaning:
        return ""
    return f"{errcode} {meaning}" + (f" (rid {rid})" if rid else "")


def summarize_error(error: WeChatOpenError) -> str:
    """An error in one line: of one from WeChat, only the errcode, its meaning and the rid."""
    return (describe_errcode(error.errcode, error.rid) if isinstance(error, APIError) else "") or translate_error(error)


def translate(text: str) -> str:
    """A translatable text, also a stored one, in the reader's language; any other text unchanged."""
    loaded = loads(text)
    return loaded.translated(_look_up) if isinstance(loaded, TranslatableText) else loaded


def _look_up(context: str, msgid: str) -> str:
    """A template in the reader's language. The Chinese meanings of errcodes come from their table.

    An empty text is not looked up: gettext would return the header of the catalogue.
    """
    if context:
        return translation.pgettext(context, msgid)
    chinese = errcodes.chinese_of(msgid) if (get_language() or "en").startswith("zh") else ""
    return chinese or (translation.gettext(msgid) if msgid else "")

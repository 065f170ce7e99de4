"""How is an error told to a person?

In the language of who reads: our sentences by the catalogue, WeChat's numbers by their meaning, with the rid that
Tencent's support asks for. What was stored yesterday is told like what was raised just now.
"""

from __future__ import annotations

from django.utils import translation
from django.utils.translation import get_language

from .exceptions import APIError, WeChatOpenError
from .protocol import errcodes
from .sentence import Sentence, loads


def told(error: BaseException) -> str:
    """An error as a sentence in the reader's language; one that is not ours as it says itself."""
    return translated(error.said) if isinstance(error, WeChatOpenError) else str(error)


def explained(errcode: int | None, rid: str = "") -> str:
    """What WeChat's number means, with the number and the rid; empty for none, or one that nobody knows."""
    meaning = errcodes.meaning(errcode, get_language() or "en") if errcode is not None else ""
    if not meaning:
        return ""
    return f"{errcode} {meaning}" + (f" (rid {rid})" if rid else "")


def briefly(error: WeChatOpenError) -> str:
    """An error in a line of a page: of WeChat's only the number, its meaning and the rid."""
    return (explained(error.errcode, error.rid) if isinstance(error, APIError) else "") or told(error)


def translated(text: str) -> str:
    """A sentence, also one that was stored, in the reader's language; any other text as it is."""
    said = loads(text)
    return said.made_with(_in_catalogue) if isinstance(said, Sentence) else said


def _in_catalogue(context: str, msgid: str) -> str:
    """The meanings of WeChat's numbers are sentences too; their Chinese stands beside the number.

    Of an empty text gettext would tell the head of the catalogue.
    """
    if context:
        return translation.pgettext(context, msgid)
    chinese = errcodes.chinese_of(msgid) if (get_language() or "en").startswith("zh") else ""
    return chinese or (translation.gettext(msgid) if msgid else "")

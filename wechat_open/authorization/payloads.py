"""What a link's payload may hold, JSON that each supported database stores; and what a link's payload is."""

from __future__ import annotations

from math import isfinite
from typing import Any

from ..db.fields import is_damaged
from ..exceptions import WeChatOpenError
from ..models import AuthorizationLink
from ..text import UNSTORABLE
from ..text import TranslatableText as _

DEEPEST = 30
"""Levels of nesting; MariaDB takes 31."""

TOO_DEEP = _("It is nested too deeply: %(count)d levels at most.", count=DEEPEST)


def payload_of(link: AuthorizationLink | None) -> dict[str, Any]:
    """The payload of this link; an empty one for no link.

    Raises WeChatOpenError when it was damaged: an empty one in its place would give the account to no tenant.
    """
    if link is None:
        return {}
    if is_damaged(link.payload):
        raise WeChatOpenError(
            _("The tenant payload of link #%(link)d was damaged: it is no JSON object. Repair it first.", link=link.pk)
        )
    payload: dict[str, Any] = link.payload
    return payload


def payload_error(value: Any, levels: int = DEEPEST) -> str:
    """Why some database refuses what Python writes as JSON; empty when each takes it."""
    if isinstance(value, float) and not isfinite(value):
        return _("A number has to be finite: NaN, Infinity and what is as large as 1e999 cannot be kept.")
    if isinstance(value, str) and UNSTORABLE.search(value):
        return _("A text holds a NUL character or half of a surrogate pair: neither can be kept.")
    if not isinstance(value, (dict, list, tuple)):
        return ""
    if not levels:
        return TOO_DEEP
    inner = [*value, *value.values()] if isinstance(value, dict) else value
    return next(filter(None, (payload_error(one, levels - 1) for one in inner)), "")

"""An account's profile and permission sets, read from WeChat and stored in columns."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from .. import platforms
from ..client.component import GET_AUTHORIZER_INFO, AuthorizerInfo, authorizer_info
from ..environment import ENVIRONMENT
from ..exceptions import Unreachable, WeChatOpenError
from ..models import Authorizer, func_key, search_key
from ..platforms import Platform
from ..rounds import NO_DEADLINE, Deadline, each
from ..text import TranslatableText as _
from ..tokens import as_component, policy
from .announcements import announce
from .payloads import payload_error

logger = logging.getLogger(__name__)

PROFILE_RETRY, PROFILE_LAST_RETRY = timedelta(minutes=5), timedelta(hours=6)
"""After the second failure, and at most, a profile is read again that much later."""

LARGEST = 2**31 - 1
"""The largest number that each database takes in a column."""

WITHOUT_MESSAGES = {
    Authorizer.Kind.CHANNELS: "channels_info",
    Authorizer.Kind.SHOP: "store_info",
    Authorizer.Kind.SALES: "talent_info",
    Authorizer.Kind.SUPPLIER: "supplier_info",
}
"""Kinds of account that need no original id (gh_…), and the field of the profile that marks each."""


def sync_profile(authorizer: Authorizer, platform: Platform | None = None) -> Authorizer:
    """Read profile and permission sets from WeChat and store what the answer says; the fresh row.

    Unreachable for an answer that is no profile. A failure is recorded, so that the next attempt waits for its time.
    """
    platform = platform or platforms.for_component(authorizer.component)
    store = platform.environment.profile_store(platform.row)
    try:
        info = as_component(platform, authorizer_info(platform, authorizer.appid))
        columns = profile_columns(info)
        if not columns:
            raise Unreachable(GET_AUTHORIZER_INFO, _("a profile without user_name"))
    except WeChatOpenError as error:
        if policy.was_asked(error):
            store.postpone(authorizer.pk, PROFILE_RETRY, PROFILE_LAST_RETRY)
        raise
    columns["profile"] = {**authorizer.profile, **columns["profile"]}
    if authorizer.kind == Authorizer.Kind.MINI or "kind" not in columns:  # no account stops being a mini program
        columns["kind"] = authorizer.kind or Authorizer.Kind.OFFICIAL
    changed = "func_info" in columns and set(info.func_info) != set(authorizer.announced_func_info)
    store.write(authorizer, columns, announce=changed)
    announce(authorizer, platform)
    return store.read(authorizer.pk)


def try_sync_profile(authorizer: Authorizer, platform: Platform) -> Authorizer:
    """As ``sync_profile``, but a failure is only logged: ``sync_missing_profiles`` tries again later."""
    try:
        return sync_profile(authorizer, platform)
    except WeChatOpenError as error:
        logger.warning("The profile of account %s could not be read yet: %s", authorizer.appid, error)
        return authorizer


def take_profile_turn(authorizer: Authorizer) -> bool:
    """Whether the caller may read this profile now: a failed read rests, and two callers do not ask at once."""
    return ENVIRONMENT.profile_store(authorizer.component).take(authorizer.pk)


def sync_missing_profiles(platform: Platform, limit: int = 50, deadline: Deadline = NO_DEADLINE) -> int:
    """Read the profiles that could not be read with the grant; how many were. Those that failed come last."""
    store = platform.environment.profile_store(platform.row)

    def sync(authorizer: Authorizer) -> bool:
        return store.take(authorizer.pk) and try_sync_profile(authorizer, platform).profile_synced_at is not None

    return each(store.waiting(limit), sync, deadline, what="The profile of %s could not be read")


def profile_columns(info: AuthorizerInfo) -> dict[str, Any]:
    """What WeChat's answer says, as columns; empty when it is no profile.

    A field that is missing, null or of another type than WeChat documents says nothing, so its column is not among
    them. Unknown fields stay in ``profile``.
    """
    profile = {
        name: value for name, value in info.profile.items() if value is not None and not payload_error({name: value})
    }
    user_name = _text(profile, "user_name") or ""
    kind = _kind(info.profile)
    if not user_name and kind not in WITHOUT_MESSAGES:
        return {}
    columns: dict[str, Any] = {
        "nick_name": _name(profile, "nick_name", 255),
        "kind": kind,
        "user_name": user_name[:64] or None,
        "alias": _cut(_text(profile, "alias"), 255),
        "principal_name": _name(profile, "principal_name", 255),
        "head_img": _text(profile, "head_img"),
        "qrcode_url": _text(profile, "qrcode_url"),
        "signature": _text(profile, "signature"),
        "service_type": _number(profile.get("service_type_info")),
        "verify_type": _number(profile.get("verify_type_info")),
        "account_status": _number(profile.get("account_status")),
        "profile": profile,
    }
    if info.lists_sets:
        columns |= {"func_info": list(info.func_info), "func_key": func_key(info.func_info)}
    for column, key in (("nick_name", "name_key"), ("principal_name", "principal_key")):
        if columns[column]:
            columns[key] = search_key(columns[column])
    return {column: value for column, value in columns.items() if value is not None}


def _kind(profile: Mapping[str, Any]) -> str | None:
    """MiniProgramInfo marks a mini program; type numbers do not: docs/protocol.rst, "Profile"."""
    if profile.get("MiniProgramInfo") is not None:
        return Authorizer.Kind.MINI
    for kind, field_name in WITHOUT_MESSAGES.items():
        if profile.get(field_name):
            return kind
    official = profile.get("service_type_info") or profile.get("verify_type_info") or profile.get("business_info")
    return Authorizer.Kind.OFFICIAL if official else None


def _name(profile: Mapping[str, Any], name: str, length: int) -> str | None:
    """An account has a name and a subject: an empty one says nothing."""
    return _cut(_text(profile, name), length) or None


def _cut(text: str | None, length: int) -> str | None:
    return None if text is None else text[:length]


def _text(profile: Mapping[str, Any], name: str) -> str | None:
    """None when the field says nothing."""
    value = profile.get(name)
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else None


def _number(value: Any) -> int | None:
    """``{"id": 2}`` or plain 2."""
    number = value.get("id") if isinstance(value, Mapping) else value
    return number if isinstance(number, int) and abs(number) <= LARGEST else None

"""What hangs below an account's conversation?

Its buttons, and WeChat's rules for those that menu/create brings. Values only.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeGuard

from .refusal import Refused

# What a button must hold, by its type.
_NEEDS = {
    "click": ("key",),
    "view": ("url",),
    "miniprogram": ("url", "appid", "pagepath"),
    "scancode_push": ("key",),
    "scancode_waitmsg": ("key",),
    "pic_sysphoto": ("key",),
    "pic_photo_or_album": ("key",),
    "pic_weixin": ("key",),
    "location_select": ("key",),
    "media_id": ("media_id",),
    "view_limited": ("media_id",),
    "article_id": ("article_id",),
    "article_view_limited": ("article_id",),
}

# What an account hears when a button is pressed: the Event, and the field that its EventKey repeats. The other types
# want a camera or a place from the follower, or have WeChat itself send something.
_EVENTS = {"click": ("CLICK", "key"), "view": ("VIEW", "url"), "miniprogram": ("view_miniprogram", "pagepath")}

_WEB = re.compile(r"https?://.+")

# Each number about a button has a twin about one in a sub-menu: 40016 and 40023, 40017 and 40024 ...
_TWIN = 7


@dataclass(frozen=True)
class MenuButton:
    """Without an event it opens its sub-menu, or does what only a real phone can do."""

    name: str
    event: str = ""
    event_key: str = ""
    sub_buttons: tuple[MenuButton, ...] = ()


DEFAULT_MENU = (
    MenuButton("今日推荐", "CLICK", "TODAY"),
    MenuButton("官网", "VIEW", "https://example.com/"),
    MenuButton(
        "服务",
        sub_buttons=(
            MenuButton("营业时间", "CLICK", "HOURS"),
            MenuButton("联系我们", "CLICK", "CONTACT"),
            MenuButton("帮助", "VIEW", "https://example.com/help"),
        ),
    ),
)


def read_menu(entries: Any) -> tuple[MenuButton, ...]:
    """The ``button`` of menu/create. Raises Refused for the first thing that is wrong."""
    return _buttons(entries, most=3, longest_name=16)


def _buttons(entries: Any, *, most: int, longest_name: int, twin: int = 0) -> tuple[MenuButton, ...]:
    if not isinstance(entries, list) or not 1 <= len(entries) <= most:
        raise Refused(40016 + twin)
    return tuple(_button(entry if isinstance(entry, dict) else {}, longest_name, twin) for entry in entries)


def _button(fields: Mapping[str, Any], longest_name: int, twin: int) -> MenuButton:
    name = fields.get("name")
    if not _short(name, longest_name):
        raise Refused(40018 + twin)
    if fields.get("sub_button") and not twin:
        return MenuButton(name, sub_buttons=_buttons(fields["sub_button"], most=5, longest_name=60, twin=_TWIN))
    needs = _NEEDS.get(str(fields.get("type")))
    if needs is None:
        raise Refused(40017 + twin)
    for need in needs:
        _require(need, fields.get(need), twin)
    event, key = _EVENTS.get(fields["type"], ("", ""))
    return MenuButton(name, event, fields.get(key, ""))


def _require(name: str, value: Any, twin: int) -> None:
    match name:
        case "key":
            if not _short(value, 128):
                raise Refused(40019 + twin)
        case "url":
            if not _short(value, 1024) or not _WEB.match(value):
                raise Refused(40020 + twin)
        case _:
            if not _short(value, 1024):
                raise Refused(41006) if name == "media_id" else Refused(40097, f"invalid args, {name} missing")


def _short(value: Any, limit: int) -> TypeGuard[str]:
    """Whether it is a text with something in it, and of no more bytes than that."""
    return isinstance(value, str) and 1 <= len(value.encode()) <= limit

"""The menu below an account's conversation, and WeChat's rules for the buttons that menu/create sets."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeGuard

from ..errors import Refused

_SCANS = ("scancode_push", "scancode_waitmsg", "pic_sysphoto", "pic_photo_or_album", "pic_weixin", "location_select")
# The fields that a button must have, by its type.
_NEEDS = {
    **dict.fromkeys(("click", *_SCANS), ("key",)),
    "view": ("url",),
    "miniprogram": ("url", "appid", "pagepath"),
    **dict.fromkeys(("media_id", "view_limited"), ("media_id",)),
    **dict.fromkeys(("article_id", "article_view_limited"), ("article_id",)),
}

# What is pushed when a button is pressed: the Event, and the field that its EventKey repeats. The other types need the
# follower's camera or place, or make WeChat itself send something.
_EVENTS = {"click": ("CLICK", "key"), "view": ("VIEW", "url"), "miniprogram": ("view_miniprogram", "pagepath")}

_WEB = re.compile(r"https?://.+")

# Each errcode about a button has a counterpart for sub-menus: 40016 and 40023, 40017 and 40024 ...
_SUB_MENU = 7


@dataclass(frozen=True)
class MenuButton:
    """A button. One without an event opens its sub-menu, or does what only a real phone can do."""

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
    """Parse the ``button`` list of menu/create; raise Refused for the first fault."""
    return _buttons(entries, most=3, longest_name=16)


def _buttons(entries: Any, *, most: int, longest_name: int, offset: int = 0) -> tuple[MenuButton, ...]:
    if not isinstance(entries, list) or not 1 <= len(entries) <= most:
        raise Refused(40016 + offset)
    return tuple(_button(entry if isinstance(entry, dict) else {}, longest_name, offset) for entry in entries)


def _button(fields: Mapping[str, Any], longest_name: int, offset: int) -> MenuButton:
    name = fields.get("name")
    if not _short(name, longest_name):
        raise Refused(40018 + offset)
    if fields.get("sub_button") and not offset:
        return MenuButton(name, sub_buttons=_buttons(fields["sub_button"], most=5, longest_name=60, offset=_SUB_MENU))
    needs = _NEEDS.get(str(fields.get("type")))
    if needs is None:
        raise Refused(40017 + offset)
    for need in needs:
        _require(need, fields.get(need), offset)
    event, key = _EVENTS.get(fields["type"], ("", ""))
    return MenuButton(name, event, fields.get(key, ""))


def _require(name: str, value: Any, offset: int) -> None:
    match name:
        case "key":
            if not _short(value, 128):
                raise Refused(40019 + offset)
        case "url":
            if not _short(value, 1024) or not _WEB.match(value):
                raise Refused(40020 + offset)
        case _:
            if not _short(value, 1024):
                raise Refused(41006) if name == "media_id" else Refused(40097, f"invalid args, {name} missing")


def _short(value: Any, limit: int) -> TypeGuard[str]:
    """Whether this is a text of 1 to ``limit`` bytes."""
    return isinstance(value, str) and 1 <= len(value.encode()) <= limit

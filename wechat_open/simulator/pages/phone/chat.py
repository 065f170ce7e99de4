"""A chat: a follower and an account, with the parts of HTML that depend on them."""

from __future__ import annotations

import json
from collections.abc import Callable, Container
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any
from urllib.parse import urlencode

from ...state.accounts import Account, demo_openid
from ...texts import Language, in_html, text
from ..html import CHINA, button, form, moment

PHONE = "/_page/phone"
PICTURE = "/_page/phone/picture"
NEWS = "/_page/phone/news"

PEOPLE = (1, 2, 3)
"""The followers to choose from, by the number of their openid. The first two follow every account from the start."""


@dataclass(frozen=True)
class Chat:
    """A follower and an account, and their state when the page is made."""

    account: Account
    openid: str
    language: Language
    now: float
    following: bool
    closed: str
    """Why nothing can be sent: a key of TEXTS; empty when messages can be sent."""
    pictures: Container[str]
    """The media ids of pictures that can be displayed."""

    @property
    def person(self) -> int:
        """The follower's number; 0 for a follower of a script."""
        return next((number for number in PEOPLE if demo_openid(self.account.appid, number) == self.openid), 0)

    @property
    def name(self) -> str:
        return text(f"person_{self.person}", self.language) if self.person else self.openid[-6:]

    @property
    def address(self) -> str:
        return address(self.language, appid=self.account.appid, openid=self.openid)

    @cached_property
    def t(self) -> Callable[[str], str]:
        """The page's texts, escaped."""
        return in_html(self.language)

    def time(self, at: float, clock: str = "%H:%M") -> str:
        iso = datetime.fromtimestamp(at, CHINA).isoformat(timespec="seconds")
        return f'<time datetime="{iso}">{moment(at, self.now, clock)}</time>'

    def form(self, content: str, *, style: str = "", file: bool = False) -> str:
        return form(self.address, content, style=style, file=file)

    def button(self, do: str, *, name: str = "", style: str = "") -> str:
        return button(do, self.t(name or do), style=style)


def address(language: Language, **query: str | int) -> str:
    return f"{PHONE}?" + urlencode({**query, "lang": language})


def pretty_json(content: Any) -> str:
    return json.dumps(content, ensure_ascii=False, indent=2)

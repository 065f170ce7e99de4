"""The HTML that several pages share. ``content`` and ``label`` are HTML; other arguments are escaped here."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from html import escape

from ..http.origin import is_web
from ..state.accounts import Account

CHINA = timezone(timedelta(hours=8))
"""All pages display Beijing time, as WeChat's do, wherever the simulator runs."""

_ICONS = {
    "picture": "M3 5h18v14H3zM3 16l5-5 4 4 3-3 6 5M16 9h.1",
    "voice": "M6 10v4M10 6v12M14 8v8M18 10v4",
    "video": "M4 5h16v14H4zM10 9l5 3-5 3z",
    "music": "M9 17V6l10-2v11M9 17a2 2 0 1 1-.1-1M19 15a2 2 0 1 1-.1-1",
    "mini_page": "M5 5h6v6H5zM13 5h6v6h-6zM5 13h6v6H5zM16 13v6M13 16h6",
    "article": "M5 4h14v16H5zM8 8h8M8 12h8M8 16h5",
    "link": "M10 14a4 4 0 0 0 6 0l3-3a4 4 0 0 0-6-6l-1 1M14 10a4 4 0 0 0-6 0l-3 3a4 4 0 0 0 6 6l1-1",
    "a_place": "M12 21s-7-6-7-11a7 7 0 0 1 14 0c0 5-7 11-7 11zM12 10h.1",
    "unknown_type": "M5 4h14v16H5zM10 10a2 2 0 1 1 2 2v2M12 17h.1",
    "back": "M15 5l-7 7 7 7",
    "plus": "M12 4v16M4 12h16",
}


def form(action: str, content: str, *, style: str = "", file: bool = False) -> str:
    encoding = ' enctype="multipart/form-data"' if file else ""
    return f'<form method="post" action="{escape(action)}"{css(style)}{encoding}>{content}</form>'


def button(do: str, label: str, *, style: str = "") -> str:
    return f'<button name="do" value="{escape(do)}"{css(style)}>{label}</button>'


def css(style: str) -> str:
    return f' class="{style}"' if style else ""


def link(url: str, content: str) -> str:
    """A link to an http or https address in a new tab; for any other address, only the content."""
    if not is_web(url):
        return f"<span>{content}</span>"
    return f'<a href="{escape(url)}" target="_blank" rel="noreferrer">{content}</a>'


def hidden(content: str) -> str:
    """Content for screen readers only."""
    return f'<span class="hidden">{content}</span>'


def avatar(account: Account) -> str:
    return f'<span class="avatar {account.kind}" aria-hidden="true">{escape(account.nick_name[:1])}</span>'


def moment(at: float, now: float, clock: str) -> str:
    """A time of day, with its date when that is not today's."""
    then, today = datetime.fromtimestamp(at, CHINA), datetime.fromtimestamp(now, CHINA)
    return then.strftime(clock if then.date() == today.date() else f"%m-%d {clock}")


def icon(name: str) -> str:
    return f'<svg class="icon-{name}" viewBox="0 0 24 24" aria-hidden="true"><path d="{_ICONS[name]}"/></svg>'

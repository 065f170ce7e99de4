"""The lines of a conversation, as a phone displays them."""

from __future__ import annotations

from html import escape
from urllib.parse import urlencode

from ...http.origin import host_of, is_web
from ...state.conversation import Bubble, Card, Line, bubble
from ..html import avatar, button, hidden, icon, link
from .chat import PICTURE, Chat, pretty_json
from .composer import menu_buttons

PAUSE = 300
"""Seconds without a line after which the time is displayed again, as on a real phone."""

_NAMES = {"shortvideo": "video", "miniprogrampage": "mini_page"}


def lines_html(chat: Chat, lines: list[Line], after: int = 0) -> str:
    """The lines with a higher number. Messages that WeChat refused are not on the phone."""
    shown = [line for line in lines if not line.errcode]
    before = [None, *shown]
    return "".join(_line(chat, line, earlier) for line, earlier in zip(shown, before) if line.number > after)  # noqa: B905


def _line(chat: Chat, line: Line, before: Line | None) -> str:
    pause = before is None or line.at - before.at > PAUSE
    when = f'<p class="when">{chat.time(line.at)}</p>' if pause else ""
    about = bubble(line)
    if line.way == "notice":
        return f'{when}<p class="notice">{chat.t(line.notice)}</p>'
    if about.kind == "event":
        return f'{when}<p class="notice">{_event(chat, about)}</p>'
    content = _content(chat, line, about)
    if line.way == "push":
        face = f'<span class="avatar person-{chat.person}" aria-hidden="true">{escape(chat.name[:1])}</span>'
        return f'{when}<div class="line mine">{hidden(chat.t("you") + ": ")}{content}{face}</div>'
    speaker = hidden(escape(chat.account.nick_name) + ": ")
    return f'{when}<div class="line theirs">{avatar(chat.account)}{speaker}{content}</div>'


def _event(chat: Chat, about: Bubble) -> str:
    match about.event:
        case "subscribe":
            return chat.t("followed")
        case "unsubscribe":
            return chat.t("unfollowed")
        case "user_enter_tempsession":
            return chat.t("entered")
        case "CLICK":
            names = (button.name for _, button in menu_buttons(chat.account) if button.event_key == about.key)
            return f"{chat.t('pressed')} {escape(next(names, about.key))}"
        case "VIEW":
            return f"{chat.t('opened')} {link(about.key, escape(about.key))}"
    return f"{chat.t('happened')} {escape(about.event)} {escape(about.key)}"


def _content(chat: Chat, line: Line, about: Bubble) -> str:
    t = chat.t
    match about.kind:
        case "text":
            return f'<p class="bubble">{escape(about.text)}</p>'
        case "image":
            known = about.media_id in chat.pictures
            source = f"{PICTURE}?{urlencode({'id': about.media_id})}" if known else _loaded(about.cards[0].picture)
            if not source:
                return _unopened("picture", t("a_picture"), escape(about.media_id))
            return f'<img class="photo" src="{escape(source)}" alt="{t("a_picture")}">'
        case "voice":
            return _unopened("voice", t("voice"), escape(about.text or about.media_id))
        case "location":
            return _unopened("a_place", escape(about.text) or t("a_place"), escape(", ".join(about.place)))
        case "video" | "shortvideo" | "music" | "link" | "miniprogrampage":
            card, name = about.cards[0], _NAMES.get(about.kind, about.kind)
            detail = card.description or ("" if is_web(card.url) else card.url) or about.media_id
            title = link(card.url, escape(card.title) or t("untitled"))
            return _unopened(name, title, escape(detail), label=t(name))
        case "news":
            articles = "".join(_article(chat, card, first=card is about.cards[0]) for card in about.cards)
            return f'<ul class="bubble news">{articles}</ul>'
        case "msgmenu":
            return _choices(chat, about)
        case "mpnews" | "mpnewsarticle":
            return _unopened("article", t("article"), escape(pretty_json(line.fields.get(about.kind))))
    fields = line.fields.get(about.kind) if line.way == "send" else dict(line.fields)
    return _unopened("unknown_type", f"[{escape(about.kind)}]", escape(pretty_json(fields)), label=t("unknown_type"))


def _unopened(picture: str, title: str, detail: str, *, label: str = "") -> str:
    """Content that only a real phone can open: its picture and its name."""
    below = f'<p class="detail">{detail}</p>' if detail else ""
    tag = f'<span class="tag">{label}</span>' if label else ""
    return f'<div class="bubble thing">{icon(picture)}<div><p>{title}</p>{below}{tag}</div></div>'


def _article(chat: Chat, card: Card, *, first: bool) -> str:
    source = _loaded(card.picture)
    cover = f'<img src="{escape(source)}" alt="">' if source else f'<span class="cover">{icon("picture")}</span>'
    detail = f"<small>{escape(card.description)}</small>" if card.description else ""
    title = f"<strong>{escape(card.title) or chat.t('untitled')}</strong>{detail}"
    content = f'{cover}<span class="title">{title}</span>'
    return f'<li class="{"first" if first else "next"}">{link(card.url, content)}</li>'


def _choices(chat: Chat, about: Bubble) -> str:
    """A choice sends its text, together with its id."""
    choices = "".join(
        chat.form(
            f'<input type="hidden" name="bizmsgmenuid" value="{escape(id)}"><input type="hidden" name="content" '
            f'value="{escape(content)}">{button("text", escape(content))}'
        )
        for id, content in about.choices
    )
    opening, closing = (f"<p>{escape(part)}</p>" if part else "" for part in (about.text, about.closing))
    return f'<div class="bubble choices">{opening}{choices}{closing}</div>'


def _loaded(url: str) -> str:
    """The address of a picture on this machine; empty for others, which the page does not load."""
    return url if is_web(url) and host_of(url) in ("127.0.0.1", "localhost") else ""

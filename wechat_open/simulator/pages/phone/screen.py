"""The screens of the phone: the list of chats, and one chat with the exchange beside it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from html import escape

from ...state.accounts import demo_openid
from ...state.conversation import Line, bubble
from ...texts import Language, in_html
from ..html import avatar, hidden, icon
from .bubbles import lines_html
from .chat import PEOPLE, Chat, address
from .composer import foot
from .exchange import mark


def contacts(accounts: Iterable[tuple[Chat, Line | None]], person: int, language: Language) -> str:
    """Every account, with the last line of its conversation with this follower."""

    t = in_html(language)
    rows = "".join(_contact(chat, line) for chat, line in accounts)
    people = _people(language, person, lambda number: address(language, person=number))
    return f"""
    <div class="desk">
      <section class="device" aria-label="{t("phone")}">
        <header class="bar"><div class="with"><h1>{t("chats")}</h1>
          <p>{t("as")}{t(f"person_{person}")}</p></div>{people}</header>
        <ul class="contacts">{rows}</ul>
      </section>
      <section class="exchange" id="exchange">
        <h2>{t("exchange")}</h2>
        <p class="hint">{t("home_phone")}</p>
        <p class="choose">{t("choose_chat")}</p>
      </section>
    </div>"""


def _contact(chat: Chat, line: Line | None) -> str:
    last = chat.t("no_lines") if line is None else _preview(chat, line)
    when = chat.time(line.at) if line else ""
    badge = f'<span class="badge">{chat.t("not_granted")}</span>' if chat.account.grant is None else ""
    return (
        f'<li><a href="{escape(chat.address)}">{avatar(chat.account)}<span class="who">'
        f"<strong>{escape(chat.account.nick_name)}</strong><small>{last}</small></span>{badge}{when}</a></li>"
    )


def _preview(chat: Chat, line: Line) -> str:
    about = bubble(line)
    if line.way == "notice":
        return chat.t(line.notice)
    if about.kind == "text":
        return escape(about.text)
    return f"[{escape(about.event or about.kind)}]"


def _people(language: Language, chosen: int, where: Callable[[int], str]) -> str:
    t, links = in_html(language), []
    for number in PEOPLE:
        name = t(f"person_{number}")
        current = ' aria-current="true"' if number == chosen else ""
        links.append(
            f'<li><a class="avatar person-{number}" href="{escape(where(number))}" title="{name}"{current}>'
            f'<span aria-hidden="true">{name[:1]}</span>{hidden(name)}</a></li>'
        )
    return f'<ul class="people" aria-label="{t("people")}">{"".join(links)}</ul>'


def desk(chat: Chat, lines: list[Line], entries: list[str], *, news: str, wrong: str) -> str:
    """The phone, and the exchange beside it."""
    account, t, language = chat.account, chat.t, chat.language
    below, log = foot(chat), "".join(entries)
    back = address(language, person=chat.person or PEOPLE[0])
    people = _people(
        language,
        chat.person,
        lambda number: address(language, appid=account.appid, openid=demo_openid(account.appid, number)),
    )
    return f"""
    <div class="desk">
      <section class="device" aria-label="{t("phone")}" data-news="{escape(news)}"
        data-after="{lines[-1].number if lines else 0}" data-not-sent="{t("not_sent")}">
        <header class="bar">
          <a class="icon" href="{escape(back)}">{icon("back")}{hidden(t("back"))}</a>
          <div class="with"><h1>{escape(account.nick_name)}</h1>
            <p>{t("as")}{escape(chat.name)} · {t(account.kind)}</p></div>
          <a class="jump" href="#exchange">{t("to_exchange")}</a>
          {people}
        </header>
        <div class="chat" role="log" aria-live="polite" aria-label="{t("conversation")}" tabindex="0">
          <div class="lines">{lines_html(chat, lines)}</div>
        </div>
        <p class="wrong" role="alert"{"" if wrong else " hidden"}>{escape(wrong)}</p>
        <div class="foot" data-mark="{mark(below)}">{below}</div>
        <noscript><p class="hint"><a href="{escape(chat.address)}">{t("reload")}</a></p></noscript>
      </section>
      <section class="exchange" id="exchange">
        <h2>{t("exchange")}</h2>
        <p class="hint">{t("exchange_lead")}</p>
        <ol class="entries" data-mark="{mark(log)}" data-empty="{t("no_exchange")}">{log}</ol>
      </section>
    </div>"""

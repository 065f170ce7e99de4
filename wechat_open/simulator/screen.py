"""What does a follower's phone look like, and the exchange that is shown beside it?

HTML from values. Whatever a follower or a site has written is escaped, links lead to http and https only, and pictures
are loaded from this machine only.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Callable, Container, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from html import escape
from typing import Any
from urllib.parse import urlencode, urlsplit

from .accounts import Account, demo_openid
from .conversation import Bubble, Card, Line, bubble
from .frame import CHINA, avatar
from .menu import MenuButton
from .pusher import Attempt, Delivery
from .refusal import MESSAGES
from .settings import host_of
from .texts import Language, text

PHONE = "/_page/phone"
PICTURE = "/_page/phone/picture"

PEOPLE = (1, 2, 3)
"""The followers to choose from, by the number of their openid. The first two follow every account from the start."""

SAMPLES = ("camellia", "books", "tea")

# Latitude, longitude, name; the name travels in the push, whatever the page's language.
PLACES = (
    ("30.250216", "120.155070", "杭州西湖"),
    ("31.239703", "121.499763", "上海外滩"),
    ("39.908722", "116.397499", "北京天安门"),
)


PAUSE = 300
"""Seconds of silence after which the time is shown again, as on a real phone."""

SHOWN = 6000
"""How many characters of a raw text are shown."""

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

_NAMES = {"shortvideo": "video", "miniprogrampage": "mini_page"}


@dataclass(frozen=True)
class Chat:
    """Who talks to whom, and how things stand when the page is made."""

    account: Account
    openid: str
    language: Language
    now: float
    following: bool
    closed: str
    """Why nothing can be written: a key of TEXTS, or nothing."""
    pictures: Container[str]
    """The media ids of pictures that can be shown."""

    @property
    def person(self) -> int:
        """The follower's number; 0 for one whom a script plays."""
        return next((number for number in PEOPLE if demo_openid(self.account.appid, number) == self.openid), 0)

    @property
    def name(self) -> str:
        return text(f"person_{self.person}", self.language) if self.person else self.openid[-6:]

    @property
    def address(self) -> str:
        return address(self.language, appid=self.account.appid, openid=self.openid)

    def say(self, key: str) -> str:
        return escape(text(key, self.language))


def address(language: Language, **query: str | int) -> str:
    return f"{PHONE}?" + urlencode({**query, "lang": language})


def mark(html: str) -> str:
    """Changes when the HTML does."""
    return f"{zlib.crc32(html.encode()):08x}"


# The list of chats


def contacts(accounts: Iterable[tuple[Chat, Line | None]], person: int, language: Language) -> str:
    """Every account, with the last line of its conversation with this person."""

    def say(key: str) -> str:
        return escape(text(key, language))

    rows = "".join(_contact(chat, line) for chat, line in accounts)
    people = _people(language, person, lambda number: address(language, person=number))
    return f"""
    <div class="desk">
      <section class="device" aria-label="{say("phone")}">
        <header class="bar"><div class="with"><h1>{say("chats")}</h1>
          <p>{say("as")}{say(f"person_{person}")}</p></div>{people}</header>
        <ul class="contacts">{rows}</ul>
      </section>
      <section class="exchange" id="exchange">
        <h2>{say("exchange")}</h2>
        <p class="hint">{say("home_phone")}</p>
        <p class="choose">{say("choose_chat")}</p>
      </section>
    </div>"""


def _contact(chat: Chat, line: Line | None) -> str:
    last = chat.say("no_lines") if line is None else _preview(chat, line)
    when = _time(line.at, chat.now) if line else ""
    badge = f'<span class="badge">{chat.say("not_granted")}</span>' if chat.account.grant is None else ""
    return (
        f'<li><a href="{escape(chat.address)}">{avatar(chat.account)}<span class="who">'
        f"<strong>{escape(chat.account.nick_name)}</strong><small>{last}</small></span>{badge}{when}</a></li>"
    )


def _preview(chat: Chat, line: Line) -> str:
    about = bubble(line)
    if line.way == "notice":
        return chat.say(line.notice)
    if about.kind == "text":
        return escape(about.text)
    return f"[{escape(about.event or about.kind)}]"


def _people(language: Language, chosen: int, where: Callable[[int], str]) -> str:
    links = []
    for number in PEOPLE:
        name = escape(text(f"person_{number}", language))
        current = ' aria-current="true"' if number == chosen else ""
        links.append(
            f'<li><a class="avatar person-{number}" href="{escape(where(number))}" title="{name}"{current}>'
            f'<span aria-hidden="true">{name[:1]}</span>{_hidden(name)}</a></li>'
        )
    return f'<ul class="people" aria-label="{escape(text("people", language))}">{"".join(links)}</ul>'


# One chat


def desk(chat: Chat, lines: list[Line], entries: list[str], *, news: str, wrong: str) -> str:
    """The phone, and the exchange beside it."""
    account, say, language = chat.account, chat.say, chat.language
    below, log = foot(chat), "".join(entries)
    back = address(language, person=chat.person or PEOPLE[0])
    people = _people(
        language,
        chat.person,
        lambda number: address(language, appid=account.appid, openid=demo_openid(account.appid, number)),
    )
    return f"""
    <div class="desk">
      <section class="device" aria-label="{say("phone")}" data-news="{escape(news)}"
        data-after="{lines[-1].number if lines else 0}" data-not-sent="{say("not_sent")}">
        <header class="bar">
          <a class="icon" href="{escape(back)}">{_icon("back")}{_hidden(say("back"))}</a>
          <div class="with"><h1>{escape(account.nick_name)}</h1>
            <p>{say("as")}{escape(chat.name)} · {say(account.kind)}</p></div>
          <a class="jump" href="#exchange">{say("to_exchange")}</a>
          {people}
        </header>
        <div class="chat" role="log" aria-live="polite" aria-label="{say("conversation")}" tabindex="0">
          <div class="lines">{said(chat, lines)}</div>
        </div>
        <p class="wrong" role="alert"{"" if wrong else " hidden"}>{escape(wrong)}</p>
        <div class="foot" data-mark="{mark(below)}">{below}</div>
        <noscript><p class="hint"><a href="{escape(chat.address)}">{say("reload")}</a></p></noscript>
      </section>
      <section class="exchange" id="exchange">
        <h2>{say("exchange")}</h2>
        <p class="hint">{say("exchange_lead")}</p>
        <ol class="entries" data-mark="{mark(log)}" data-empty="{say("no_exchange")}">{log}</ol>
      </section>
    </div>"""


def said(chat: Chat, lines: list[Line], after: int = 0) -> str:
    """The lines with a higher number. What WeChat refused to deliver is not on the phone."""
    shown = [line for line in lines if not line.errcode]
    before = [None, *shown]
    return "".join(_line(chat, line, earlier) for line, earlier in zip(shown, before) if line.number > after)  # noqa: B905


def _line(chat: Chat, line: Line, before: Line | None) -> str:
    pause = before is None or line.at - before.at > PAUSE
    when = f'<p class="when">{_time(line.at, chat.now)}</p>' if pause else ""
    about = bubble(line)
    if line.way == "notice":
        return f'{when}<p class="notice">{chat.say(line.notice)}</p>'
    if about.kind == "event":
        return f'{when}<p class="notice">{_event(chat, about)}</p>'
    content = _content(chat, line, about)
    if line.way == "push":
        face = f'<span class="avatar person-{chat.person}" aria-hidden="true">{escape(chat.name[:1])}</span>'
        return f'{when}<div class="line mine">{_hidden(chat.say("you") + ": ")}{content}{face}</div>'
    speaker = _hidden(escape(chat.account.nick_name) + ": ")
    return f'{when}<div class="line theirs">{avatar(chat.account)}{speaker}{content}</div>'


def _time(at: float, now: float, clock: str = "%H:%M") -> str:
    moment, today = datetime.fromtimestamp(at, CHINA), datetime.fromtimestamp(now, CHINA)
    shown = moment.strftime(clock if moment.date() == today.date() else f"%m-%d {clock}")
    return f'<time datetime="{moment.isoformat(timespec="seconds")}">{shown}</time>'


def _event(chat: Chat, about: Bubble) -> str:
    match about.event:
        case "subscribe":
            return chat.say("followed")
        case "unsubscribe":
            return chat.say("unfollowed")
        case "user_enter_tempsession":
            return chat.say("entered")
        case "CLICK":
            names = (button.name for _, button in menu_buttons(chat.account) if button.event_key == about.key)
            return f"{chat.say('pressed')} {escape(next(names, about.key))}"
        case "VIEW":
            return f"{chat.say('opened')} {_link(about.key, escape(about.key))}"
    return f"{chat.say('happened')} {escape(about.event)} {escape(about.key)}"


def _content(chat: Chat, line: Line, about: Bubble) -> str:
    say = chat.say
    match about.kind:
        case "text":
            return f'<p class="bubble">{escape(about.text)}</p>'
        case "image":
            known = about.media_id in chat.pictures
            source = f"{PICTURE}?{urlencode({'id': about.media_id})}" if known else _loaded(about.cards[0].picture)
            if not source:
                return _thing("picture", say("a_picture"), escape(about.media_id))
            return f'<img class="photo" src="{escape(source)}" alt="{say("a_picture")}">'
        case "voice":
            return _thing("voice", say("voice"), escape(about.text or about.media_id))
        case "location":
            return _thing("a_place", escape(about.text) or say("a_place"), escape(", ".join(about.place)))
        case "video" | "shortvideo" | "music" | "link" | "miniprogrampage":
            card, name = about.cards[0], _NAMES.get(about.kind, about.kind)
            detail = card.description or ("" if _is_web(card.url) else card.url) or about.media_id
            title = _link(card.url, escape(card.title) or say("untitled"))
            return _thing(name, title, escape(detail), label=say(name))
        case "news":
            articles = "".join(_article(chat, card, first=card is about.cards[0]) for card in about.cards)
            return f'<ul class="bubble news">{articles}</ul>'
        case "msgmenu":
            return _choices(chat, about)
        case "mpnews" | "mpnewsarticle":
            return _thing("article", say("article"), escape(_json(line.fields.get(about.kind))))
    fields = line.fields.get(about.kind) if line.way == "send" else dict(line.fields)
    return _thing("unknown_type", f"[{escape(about.kind)}]", escape(_json(fields)), label=say("unknown_type"))


def _thing(icon: str, title: str, detail: str, *, label: str = "") -> str:
    """Something that a phone would play or open, and that is named here."""
    below = f'<p class="detail">{detail}</p>' if detail else ""
    tag = f'<span class="tag">{label}</span>' if label else ""
    return f'<div class="bubble thing">{_icon(icon)}<div><p>{title}</p>{below}{tag}</div></div>'


def _article(chat: Chat, card: Card, *, first: bool) -> str:
    source = _loaded(card.picture)
    cover = f'<img src="{escape(source)}" alt="">' if source else f'<span class="cover">{_icon("picture")}</span>'
    detail = f"<small>{escape(card.description)}</small>" if card.description else ""
    title = f"<strong>{escape(card.title) or chat.say('untitled')}</strong>{detail}"
    content = f'{cover}<span class="title">{title}</span>'
    return f'<li class="{"first" if first else "next"}">{_link(card.url, content)}</li>'


def _choices(chat: Chat, about: Bubble) -> str:
    """Whoever chooses writes the text of the choice, with its id beside it."""
    choices = "".join(
        f'<form method="post" action="{escape(chat.address)}"><input type="hidden" name="bizmsgmenuid" '
        f'value="{escape(id)}"><input type="hidden" name="content" value="{escape(content)}">'
        f'<button name="do" value="text">{escape(content)}</button></form>'
        for id, content in about.choices
    )
    opening, closing = (f"<p>{escape(part)}</p>" if part else "" for part in (about.text, about.closing))
    return f'<div class="bubble choices">{opening}{choices}{closing}</div>'


# Below the conversation


def foot(chat: Chat) -> str:
    """Where the follower writes and presses buttons; or why she cannot."""
    if chat.closed == "not_following":
        return f"<p>{chat.say('not_following')}</p>{_form(chat, _button(chat, 'follow', style='primary'))}"
    if chat.closed:
        return f"<p>{chat.say(chat.closed)}</p>"
    write = f"""
      <label class="hidden" for="content">{chat.say("message")}</label>
      <input id="content" name="content" type="text" required maxlength="600" autocomplete="off"
        placeholder="{chat.say("message")}" enterkeyhint="send">
      {_button(chat, "text", name="send", style="primary")}"""
    return f'<div class="write">{_form(chat, write)}{_plus(chat)}</div>{_menu(chat)}'


def menu_buttons(account: Account) -> Iterator[tuple[str, MenuButton]]:
    """Every button that tells the account something, with where it is: ``0``, or ``2.1`` in a sub-menu."""
    for number, button in enumerate(account.menu):
        if button.event:
            yield str(number), button
        for sub_number, sub_button in enumerate(button.sub_buttons):
            if sub_button.event:
                yield f"{number}.{sub_number}", sub_button


def _plus(chat: Chat) -> str:
    say = chat.say
    samples = "".join(
        f'<button name="sample" value="{sample}"><img src="{PICTURE}?sample={sample}" alt="{say(sample)}"></button>'
        for sample in SAMPLES
    )
    own = f"""
        <label for="file">{say("own_picture")}</label>
        <input id="file" name="file" type="file" accept="image/png,image/jpeg,image/gif,image/webp" required>
        {_button(chat, "file", name="send")}"""
    official = chat.account.kind == "official"
    enter = "" if official else _form(chat, _button(chat, "enter"), style="enter")
    return f"""
      <details class="plus"><summary>{_icon("plus")}{_hidden(say("plus" if official else "plus_mini"))}</summary>
        <div class="panel">
          <h2>{say("a_picture")}</h2>
          {_form(chat, f'<input type="hidden" name="do" value="sample">{samples}', style="samples")}
          {_form(chat, own, style="own", file=True)}
          {_places(chat) if official else enter}
        </div>
      </details>"""


def _places(chat: Chat) -> str:
    say = chat.say
    known = "".join(
        f'<button name="place" value="{number}">{escape(name)}</button>' for number, (_, _, name) in enumerate(PLACES)
    )
    fields = "".join(
        f'<label>{say(name)}<input name="{name}" type="text" inputmode="{mode}" {more}></label>'
        for name, mode, more in (
            ("latitude", "decimal", "required"),
            ("longitude", "decimal", "required"),
            ("label", "text", 'maxlength="100"'),
        )
    )
    return f"""
          <h2>{say("a_place")}</h2>
          {_form(chat, f'<input type="hidden" name="do" value="place">{known}', style="places")}
          {_form(chat, fields + _button(chat, "location", name="send_place"), style="typed")}
          {_form(chat, _button(chat, "unfollow"), style="leave")}"""


def _menu(chat: Chat) -> str:
    def press(where: str, button: MenuButton) -> str:
        unplayed = "" if button.event else f' disabled title="{chat.say("unplayed")}"'
        return f'<button name="menu" value="{where}"{unplayed}>{escape(button.name)}</button>'

    entries = []
    for number, button in enumerate(chat.account.menu):
        if button.sub_buttons:
            inside = "".join(press(f"{number}.{sub}", each) for sub, each in enumerate(button.sub_buttons))
            entries.append(
                f'<details><summary>{escape(button.name)}</summary><div class="panel">{inside}</div></details>'
            )
        else:
            entries.append(press(str(number), button))
    if not entries:
        return ""
    content = f'<input type="hidden" name="do" value="menu">{"".join(entries)}'
    return f'<div class="menu" role="group" aria-label="{chat.say("menu")}">{_form(chat, content)}</div>'


def _form(chat: Chat, content: str, *, style: str = "", file: bool = False) -> str:
    kind = f' class="{style}"' if style else ""
    encoding = ' enctype="multipart/form-data"' if file else ""
    return f'<form method="post" action="{escape(chat.address)}"{kind}{encoding}>{content}</form>'


def _button(chat: Chat, do: str, *, name: str = "", style: str = "") -> str:
    kind = f' class="{style}"' if style else ""
    return f'<button name="do" value="{do}"{kind}>{chat.say(name or do)}</button>'


# The exchange


def entry(chat: Chat, about: Delivery | Line, *, open: bool) -> str:
    """One push with its tries, or one call of message/custom/send."""
    html = _push(chat, about) if isinstance(about, Delivery) else _call(chat, about)
    number, state = about.number, " open" if open else ""
    return f'<li id="entry-{number}" data-mark="{mark(html)}"><details{state}>{html}</details></li>'


def _push(chat: Chat, delivery: Delivery) -> str:
    say = chat.say
    took = sum(attempt.took for attempt in delivery.attempts)
    if not delivery.done:
        good, state = "", say("waiting")
    else:
        good = "bad" if delivery.problem else "good"
        state = escape(str(delivery.status or delivery.error))
    tries = len(delivery.attempts)
    several = " · " + say("tries").format(number=tries) if tries > 1 else ""
    problem = f'<p class="wrong">{say("problem_" + delivery.problem)}</p>' if delivery.problem else ""
    reply = f"<h3>{say('plain_reply')}</h3>{_pre(_xml(delivery.reply))}" if delivery.reply else ""
    return f"""<summary><span class="way">{say("push")}</span> <strong>{escape(delivery.push.name)}</strong>
      <span class="state {good}">{state}</span>
      <span class="took">{_time(delivery.at, chat.now, "%H:%M:%S")} · {took} ms{several}</span></summary>
      {problem}
      <h3>{say("plain_push")}</h3>{_pre(_xml(delivery.plain))}
      {"".join(_attempt(chat, number, attempt) for number, attempt in enumerate(list(delivery.attempts), start=1))}
      {reply}"""


def _attempt(chat: Chat, number: int, attempt: Attempt) -> str:
    say = chat.say
    heading = text("attempt", chat.language).format(number=number)
    result = f"{attempt.status or attempt.error} · {attempt.took} ms"
    answer = escape(attempt.body[:SHOWN]) or say("empty_answer")
    raw = f"<h4>{say('raw_answer')}</h4><pre>{answer}</pre>" if attempt.status is not None else ""
    if len(attempt.body) > 200:
        raw = f"<details><summary>{say('raw_answer')}</summary><pre>{answer}</pre></details>"
    request = "POST " + attempt.url.replace("?", "\n  ?", 1).replace("&", "\n  &")
    return f"""<h3>{escape(heading)} <small>{escape(result)}</small></h3>
      {_pre(request)}
      <details><summary>{say("sealed_push")}</summary>{_pre(attempt.sealed)}</details>
      {raw}"""


def _call(chat: Chat, line: Line) -> str:
    if line.errcode:
        refused = f"{line.errcode} {MESSAGES.get(line.errcode, '')}".strip()
        state = f'<span class="state bad">{escape(refused)}</span>'
    else:
        state = f'<span class="state good">{chat.say("accepted")}</span>'
    return f"""<summary><span class="way">{chat.say("called")}</span>
      <strong>message/custom/send</strong> {state}
      <span class="took">{_time(line.at, chat.now, "%H:%M:%S")}</span></summary>
      <h3>{chat.say("json_body")}</h3>{_pre(_json(dict(line.fields)))}"""


def _pre(content: str) -> str:
    return f"<pre>{escape(content[:SHOWN])}</pre>"


def _xml(plain: bytes) -> str:
    """The document with each element on a line of its own, indented; what the elements hold is left as it is."""
    depth, lines = 0, []
    for part in re.split(r"(?<=>)(?<!\]\]>)\s*(?=<(?!!))", plain.decode("utf-8", "replace")):
        depth -= part.startswith("</")
        lines.append("  " * depth + part)
        depth += not part.startswith("</") and not part.endswith("/>") and "</" not in part
    return "\n".join(lines)


def _json(content: Any) -> str:
    return json.dumps(content, ensure_ascii=False, indent=2)


# Small things


def _icon(name: str) -> str:
    return f'<svg class="icon-{name}" viewBox="0 0 24 24" aria-hidden="true"><path d="{_ICONS[name]}"/></svg>'


def _hidden(content: str) -> str:
    return f'<span class="hidden">{content}</span>'


def _is_web(url: str) -> bool:
    try:
        return urlsplit(url).scheme in ("http", "https")
    except ValueError:  # no address at all
        return False


def _link(url: str, content: str) -> str:
    if not _is_web(url):
        return f"<span>{content}</span>"
    return f'<a href="{escape(url)}" target="_blank" rel="noreferrer">{content}</a>'


def _loaded(url: str) -> str:
    """The address of a picture, if this machine serves it: the page loads nothing from anywhere else."""
    return url if _is_web(url) and host_of(url) in ("127.0.0.1", "localhost") else ""

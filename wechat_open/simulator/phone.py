"""How does a person play a follower?

On a phone in a browser: she picks an account, follows it, writes, sends pictures and places, presses the menu, and sees
what comes back, at once or later. Beside the phone stands what went over the wire. Without a script each button posts a
form and the page comes anew; with it (``assets/phone.js``) the same forms are sent, and news fetched, in the page.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from itertools import islice
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from . import control, screen
from .accounts import MESSAGE_PERMISSION, Account, demo_openid
from .conversation import Line
from .frame import SCRIPT_HEADERS, asset, asset_bytes, first, language_of, other, page, refuse_foreign
from .media import MAX_PICTURE, picture_type
from .pusher import Delivery
from .refusal import Refused
from .screen import PEOPLE, PHONE, PICTURE, PLACES, SAMPLES, Chat, address, mark
from .texts import Language, text
from .web import HTML, Answer, Request, json_answer

if TYPE_CHECKING:
    from .application import Application

NEWS = "/_page/phone/news"
STYLE = "/_page/phone.css"
SCRIPT = "/_page/phone.js"

MAX_ACCOUNTS = 50
MAX_ENTRIES = 30

_OPENID = re.compile(r"[\w-]{1,64}", re.ASCII)
_CONTROLS = re.compile(r"[\x00-\x1f\x7f]")


class _Wrong(Exception):
    """What the follower did cannot be done: a key of TEXTS."""


# What the browser asks for


def show(app: Application, request: Request) -> Answer:
    """A chat, or the list of chats when no account is named."""
    chat = _chat(app, request)
    return _contacts(app, request) if chat is None else _desk(app, chat)


def act(app: Application, request: Request) -> Answer:
    """The follower does something. A script learns whether it worked; otherwise the page comes anew."""
    refused = refuse_foreign(request)
    if refused is not None:
        return refused
    chat = _chat(app, request)
    wrong = ""
    try:
        if chat is None:
            raise _Wrong("old_page")
        _perform(app, request, chat)
    except _Wrong as error:
        wrong = text(str(error), language_of(request))
    except (control.ControlError, Refused) as error:
        wrong = str(error)
    if request.headers.get("accept") == "application/json":
        return json_answer({"wrong": wrong}, status=400 if wrong else 200)
    if chat is None:
        return _contacts(app, request)
    if wrong:
        return _desk(app, chat, wrong=wrong)
    return Answer(303, b"", HTML, {"Location": chat.address, **SCRIPT_HEADERS})


def news(app: Application, request: Request) -> Answer:
    """What has changed since the page was made: new lines, the foot, and the exchange, each only if it has."""
    chat, query = _chat(app, request), request.query
    if chat is None:
        return json_answer({}, status=404)
    lines = app.engine.conversation(chat.account.appid, chat.openid)
    after = int(query["after"]) if query.get("after", "").isdecimal() else 0
    content: dict[str, Any] = {
        "after": lines[-1].number if lines else 0,
        "lines": screen.said(chat, lines, after),
    }
    foot = screen.foot(chat)
    if mark(foot) != query.get("foot"):
        content["foot"] = {"mark": mark(foot), "html": foot}
    entries = _entries(app, chat, lines)
    log = "".join(entries)
    if mark(log) != query.get("exchange"):
        content["exchange"] = {"mark": mark(log), "entries": entries}
    return json_answer(content)


def picture(app: Application, request: Request) -> Answer:
    sample, media_id = request.query.get("sample", ""), request.query.get("id", "")
    content = _sample(sample) if sample in SAMPLES else app.engine.media.get(media_id)
    kind = picture_type(content) if content else ""
    if not content or not kind:
        return Answer(404, b"not found", "text/plain")
    return Answer(200, content, kind, {"X-Content-Type-Options": "nosniff"})


def stylesheet(app: Application, request: Request) -> Answer:
    return asset("phone.css", "text/css; charset=utf-8")


def script(app: Application, request: Request) -> Answer:
    return asset("phone.js", "text/javascript; charset=utf-8")


# What is shown


def _chat(app: Application, request: Request) -> Chat | None:
    """The chat that the address names; without an openid the one of the first follower."""
    account = app.engine.accounts.get(request.query.get("appid", ""))
    if account is None:
        return None
    openid = request.query.get("openid", "")
    if not _OPENID.fullmatch(openid):
        openid = demo_openid(account.appid, PEOPLE[0])
    return _chat_of(app, account, openid, language_of(request))


def _chat_of(app: Application, account: Account, openid: str, language: Language) -> Chat:
    engine = app.engine
    with engine.lock:
        following = engine.follows(account.appid, openid)
        if account.grant is None:
            closed = "not_authorized"
        elif MESSAGE_PERMISSION[account.kind] not in account.grant.permissions:
            closed = "no_permission"
        else:
            closed = "" if following else "not_following"
        return Chat(account, openid, language, engine.clock.now(), following, closed, engine.media)


def _desk(app: Application, chat: Chat, *, wrong: str = "") -> Answer:
    account, language = chat.account, chat.language
    lines = app.engine.conversation(account.appid, chat.openid)
    where = {"appid": account.appid, "openid": chat.openid}
    return page(
        language,
        "phone",
        screen.desk(
            chat,
            lines,
            _entries(app, chat, lines),
            news=f"{NEWS}?{urlencode({**where, 'lang': language})}",
            wrong=wrong,
        ),
        about=account.nick_name,
        switch=address(other(language), **where),
        kind="chatting",
        styles=(STYLE,),
        script=SCRIPT,
        status=400 if wrong else 200,
    )


def _contacts(app: Application, request: Request) -> Answer:
    language, engine = language_of(request), app.engine
    chosen = request.query.get("person", "")
    person = int(chosen) if chosen in map(str, PEOPLE) else PEOPLE[0]
    with engine.lock:
        accounts = sorted(islice(engine.accounts.values(), MAX_ACCOUNTS), key=lambda account: account.grant is None)
    rows: list[tuple[Chat, Line | None]] = []
    for account in accounts:
        chat = _chat_of(app, account, demo_openid(account.appid, person), language)
        seen = [line for line in engine.conversation(account.appid, chat.openid) if not line.errcode]
        rows.append((chat, seen[-1] if seen else None))
    return page(
        language,
        "phone",
        screen.contacts(rows, person, language),
        switch=address(other(language), person=person),
        kind="chatting",
        styles=(STYLE,),
        script=SCRIPT,
    )


def _entries(app: Application, chat: Chat, lines: list[Line]) -> list[str]:
    """The exchange of this conversation, the newest first and open."""
    about: list[Delivery | Line] = [line for line in lines if line.way == "send"]
    about += [
        delivery
        for delivery in list(app.pusher.deliveries)
        if (delivery.push.appid, delivery.push.openid) == (chat.account.appid, chat.openid)
    ]
    about.sort(key=lambda each: each.number, reverse=True)
    return [screen.entry(chat, each, open=each is about[0]) for each in about[:MAX_ENTRIES]]


# What the follower does


def _perform(app: Application, request: Request, chat: Chat) -> None:
    form = request.form
    do = first(form, "do")
    if do == "follow" and chat.closed == "not_following":
        return _event(app, chat, "subscribe")
    if chat.closed:
        raise _Wrong(chat.closed)
    match do:
        case "text":
            return _write(app, chat, first(form, "content"), first(form, "bizmsgmenuid"))
        case "sample" if first(form, "sample") in SAMPLES:
            return _send_picture(app, request, chat, _sample(first(form, "sample")))
        case "file":
            return _send_picture(app, request, chat, dict(request.parts).get("file", b""))
        case "place" if first(form, "place") in map(str, range(len(PLACES))):
            return _send_place(app, chat, *PLACES[int(first(form, "place"))])
        case "location":
            return _send_place(app, chat, first(form, "latitude"), first(form, "longitude"), first(form, "label"))
        case "menu":
            return _press(app, chat, first(form, "menu"))
        case "unfollow" if chat.account.kind == "official":
            return _event(app, chat, "unsubscribe")
        case "enter" if chat.account.kind == "mini":
            return _event(app, chat, "user_enter_tempsession", SessionFrom="")
    raise _Wrong("old_page")


def _write(app: Application, chat: Chat, content: str, choice: str) -> None:
    content = _CONTROLS.sub("", content).strip()
    if not content:
        raise _Wrong("empty")
    # The id of a msgmenu's choice comes with the text.
    _message(app, chat, MsgType="text", Content=content, **({"bizmsgmenuid": choice} if choice else {}))


def _send_picture(app: Application, request: Request, chat: Chat, content: bytes) -> None:
    if len(content) > MAX_PICTURE or not picture_type(content):
        raise _Wrong("bad_picture")
    media_id = app.engine.media.add(chat.account.appid, content)
    host = request.headers.get("host", "127.0.0.1")
    _message(app, chat, MsgType="image", PicUrl=f"http://{host}{PICTURE}?id={media_id}", MediaId=media_id)


def _send_place(app: Application, chat: Chat, latitude: str, longitude: str, label: str) -> None:
    if not (_within(latitude, 90) and _within(longitude, 180)):
        raise _Wrong("bad_place")
    where = {"Location_X": latitude.strip(), "Location_Y": longitude.strip()}
    _message(app, chat, MsgType="location", **where, Scale="15", Label=_CONTROLS.sub("", label).strip())


def _press(app: Application, chat: Chat, where: str) -> None:
    button = dict(screen.menu_buttons(chat.account)).get(where)
    if button is None:
        raise _Wrong("old_page")
    _event(app, chat, button.event, EventKey=button.event_key)


def _message(app: Application, chat: Chat, **fields: str) -> None:
    control.message(app, control.Body({"appid": chat.account.appid, "openid": chat.openid, **fields}))


def _event(app: Application, chat: Chat, event: str, **fields: str) -> None:
    fields = {"EventKey": ""} if event in ("subscribe", "unsubscribe") else fields
    control.event(app, control.Body({"appid": chat.account.appid, "openid": chat.openid, "Event": event, **fields}))


def _within(value: str, limit: int) -> bool:
    return re.fullmatch(r"\s*-?\d{1,3}(\.\d{1,10})?\s*", value, re.ASCII) is not None and abs(float(value)) <= limit


@cache
def _sample(name: str) -> bytes:
    return asset_bytes(f"{name}.png")


PAGES: dict[tuple[str, str], Callable[[Application, Request], Answer]] = {
    (PHONE, "GET"): show,
    (PHONE, "POST"): act,
    (NEWS, "GET"): news,
    (PICTURE, "GET"): picture,
    (STYLE, "GET"): stylesheet,
    (SCRIPT, "GET"): script,
}

"""The requests of the phone: its screens, its updates, and what the follower does."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from itertools import islice
from typing import Any
from urllib.parse import urlencode

from ...errors import ControlError, Refused
from ...http.messages import Answer, Request, json_answer
from ...pusher import Delivery
from ...state.accounts import MESSAGE_PERMISSION, Account, demo_openid
from ...state.conversation import Line
from ...state.media import MAX_PICTURE, picture_type
from ...texts import Language, text
from ...workbench import Workbench
from ..layout import SCRIPT_HEADERS, asset_bytes, first, language_of, other, page, redirect
from . import screen
from .bubbles import lines_html
from .chat import NEWS, PEOPLE, PICTURE, Chat, address
from .composer import PLACES, SAMPLES, foot, menu_buttons
from .exchange import entry, mark

STYLE = "/_page/phone.css"
SCRIPT = "/_page/phone.js"

MAX_ACCOUNTS = 50
MAX_ENTRIES = 30

_OPENID = re.compile(r"[\w-]{1,64}", re.ASCII)
_CONTROLS = re.compile(r"[\x00-\x1f\x7f]")


class _Wrong(Exception):
    """The action is not possible: a key of TEXTS."""


def show(workbench: Workbench, request: Request) -> Answer:
    """A chat, or the list of chats when no account is named."""
    chat = _chat(workbench, request)
    return _contacts(workbench, request) if chat is None else _desk(workbench, chat)


def act(workbench: Workbench, request: Request) -> Answer:
    """Perform the follower's action. A script receives the result as JSON; otherwise the page is loaded again."""
    chat = _chat(workbench, request)
    wrong = ""
    try:
        if chat is None:
            raise _Wrong("old_page")
        _perform(workbench, request, chat)
    except _Wrong as error:
        wrong = text(str(error), language_of(request))
    except (ControlError, Refused) as error:
        wrong = str(error)
    if request.headers.get("accept") == "application/json":
        return json_answer({"wrong": wrong}, status=400 if wrong else 200)
    if chat is None:
        return _contacts(workbench, request)
    if wrong:
        return _desk(workbench, chat, wrong=wrong)
    return redirect(chat.address, headers=SCRIPT_HEADERS)


def news(workbench: Workbench, request: Request) -> Answer:
    """The changes since the page was made: new lines, the composer and the exchange, each only if it changed."""
    chat, query = _chat(workbench, request), request.query
    if chat is None:
        return json_answer({}, status=404)
    lines = workbench.engine.conversation(chat.account.appid, chat.openid)
    after = int(query["after"]) if query.get("after", "").isdecimal() else 0
    content: dict[str, Any] = {"after": lines[-1].number if lines else 0, "lines": lines_html(chat, lines, after)}
    below = foot(chat)
    if mark(below) != query.get("foot"):
        content["foot"] = {"mark": mark(below), "html": below}
    entries = _entries(workbench, chat, lines)
    log = "".join(entries)
    if mark(log) != query.get("exchange"):
        content["exchange"] = {"mark": mark(log), "entries": entries}
    return json_answer(content)


def picture(workbench: Workbench, request: Request) -> Answer:
    sample, media_id = request.query.get("sample", ""), request.query.get("id", "")
    content = _sample(sample) if sample in SAMPLES else workbench.engine.media.get(media_id)
    kind = picture_type(content) if content else ""
    if not content or not kind:
        return Answer(404, b"not found", "text/plain")
    return Answer(200, content, kind, {"X-Content-Type-Options": "nosniff"})


# The screens


def _chat(workbench: Workbench, request: Request) -> Chat | None:
    """The chat in the address; without an openid, that of the first follower."""
    account = workbench.engine.accounts.get(request.query.get("appid", ""))
    if account is None:
        return None
    openid = request.query.get("openid", "")
    if not _OPENID.fullmatch(openid):
        openid = demo_openid(account.appid, PEOPLE[0])
    return _chat_of(workbench, account, openid, language_of(request))


def _chat_of(workbench: Workbench, account: Account, openid: str, language: Language) -> Chat:
    engine = workbench.engine
    with engine.lock:
        following = engine.follows(account.appid, openid)
        if account.grant is None:
            closed = "not_authorized"
        elif MESSAGE_PERMISSION[account.kind] not in account.grant.permissions:
            closed = "no_permission"
        else:
            closed = "" if following else "not_following"
        return Chat(account, openid, language, engine.clock.now(), following, closed, engine.media)


def _desk(workbench: Workbench, chat: Chat, *, wrong: str = "") -> Answer:
    lines = workbench.engine.conversation(chat.account.appid, chat.openid)
    where = {"appid": chat.account.appid, "openid": chat.openid}
    news = f"{NEWS}?{urlencode({**where, 'lang': chat.language})}"
    content = screen.desk(chat, lines, _entries(workbench, chat, lines), news=news, wrong=wrong)
    return _page(chat.language, content, where, about=chat.account.nick_name, status=400 if wrong else 200)


def _contacts(workbench: Workbench, request: Request) -> Answer:
    language, engine = language_of(request), workbench.engine
    chosen = request.query.get("person", "")
    person = int(chosen) if chosen in map(str, PEOPLE) else PEOPLE[0]
    with engine.lock:
        accounts = sorted(islice(engine.accounts.values(), MAX_ACCOUNTS), key=lambda account: account.grant is None)
    rows: list[tuple[Chat, Line | None]] = []
    for account in accounts:
        chat = _chat_of(workbench, account, demo_openid(account.appid, person), language)
        lines = [line for line in engine.conversation(account.appid, chat.openid) if not line.errcode]
        rows.append((chat, lines[-1] if lines else None))
    return _page(language, screen.contacts(rows, person, language), {"person": person})


def _page(language: Language, content: str, query: Mapping[str, str | int], **more: Any) -> Answer:
    switch = address(other(language), **query)
    return page(language, "phone", content, switch=switch, kind="chatting", styles=(STYLE,), script=SCRIPT, **more)


def _entries(workbench: Workbench, chat: Chat, lines: list[Line]) -> list[str]:
    """The exchange of this conversation, the newest first and open."""
    about: list[Delivery | Line] = [line for line in lines if line.way == "send"]
    about += [
        delivery
        for delivery in list(workbench.pusher.deliveries)
        if (delivery.push.appid, delivery.push.openid) == (chat.account.appid, chat.openid)
    ]
    about.sort(key=lambda each: each.number, reverse=True)
    return [entry(chat, each, open=each is about[0]) for each in about[:MAX_ENTRIES]]


# Actions of the follower


def _perform(workbench: Workbench, request: Request, chat: Chat) -> None:
    form = request.form
    do = first(form, "do")
    if do == "follow" and chat.closed == "not_following":
        return _event(workbench, chat, "subscribe")
    if chat.closed:
        raise _Wrong(chat.closed)
    match do:
        case "text":
            return _write(workbench, chat, first(form, "content"), first(form, "bizmsgmenuid"))
        case "sample" if first(form, "sample") in SAMPLES:
            return _send_picture(workbench, request, chat, _sample(first(form, "sample")))
        case "file":
            return _send_picture(workbench, request, chat, dict(request.parts).get("file", b""))
        case "place" if first(form, "place") in map(str, range(len(PLACES))):
            return _send_place(workbench, chat, *PLACES[int(first(form, "place"))])
        case "location":
            return _send_place(workbench, chat, first(form, "latitude"), first(form, "longitude"), first(form, "label"))
        case "menu":
            return _press(workbench, chat, first(form, "menu"))
        case "unfollow" if chat.account.kind == "official":
            return _event(workbench, chat, "unsubscribe")
        case "enter" if chat.account.kind == "mini":
            return _event(workbench, chat, "user_enter_tempsession", SessionFrom="")
    raise _Wrong("old_page")


def _write(workbench: Workbench, chat: Chat, content: str, choice: str) -> None:
    content = _CONTROLS.sub("", content).strip()
    if not content:
        raise _Wrong("empty")
    # The id of a msgmenu's choice is sent with its text.
    _message(workbench, chat, MsgType="text", Content=content, **({"bizmsgmenuid": choice} if choice else {}))


def _send_picture(workbench: Workbench, request: Request, chat: Chat, content: bytes) -> None:
    if len(content) > MAX_PICTURE or not picture_type(content):
        raise _Wrong("bad_picture")
    media_id = workbench.engine.media.add(chat.account.appid, content)
    host = request.headers.get("host", "127.0.0.1")
    _message(workbench, chat, MsgType="image", PicUrl=f"http://{host}{PICTURE}?id={media_id}", MediaId=media_id)


def _send_place(workbench: Workbench, chat: Chat, latitude: str, longitude: str, label: str) -> None:
    if not (_within(latitude, 90) and _within(longitude, 180)):
        raise _Wrong("bad_place")
    where = {"Location_X": latitude.strip(), "Location_Y": longitude.strip()}
    _message(workbench, chat, MsgType="location", **where, Scale="15", Label=_CONTROLS.sub("", label).strip())


def _press(workbench: Workbench, chat: Chat, where: str) -> None:
    button = dict(menu_buttons(chat.account)).get(where)
    if button is None:
        raise _Wrong("old_page")
    _event(workbench, chat, button.event, EventKey=button.event_key)


def _message(workbench: Workbench, chat: Chat, **fields: str) -> None:
    workbench.say(chat.account.appid, chat.openid, {"MsgType": "text", **fields})


def _event(workbench: Workbench, chat: Chat, event: str, **fields: str) -> None:
    fields = {"EventKey": ""} if event in ("subscribe", "unsubscribe") else fields
    workbench.say(chat.account.appid, chat.openid, {"MsgType": "event", "Event": event, **fields})


def _within(value: str, limit: int) -> bool:
    return re.fullmatch(r"\s*-?\d{1,3}(\.\d{1,10})?\s*", value, re.ASCII) is not None and abs(float(value)) <= limit


@cache
def _sample(name: str) -> bytes:
    return asset_bytes(f"{name}.png")

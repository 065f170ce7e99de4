"""The tester's start page: accounts, the follower's phone, pushes, faults and the clock, each with its buttons.

The buttons do what the control API does, and call the same functions. Plain HTML and forms: no script is needed.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from html import escape
from itertools import islice
from typing import TYPE_CHECKING, Any

from . import control
from .accounts import Account
from .endpoints import ENDPOINTS
from .faults import KINDS
from .frame import CHINA, SECURITY_HEADERS, avatar, first, language_of, other, page, refuse_foreign
from .refusal import Refused
from .screen import address
from .texts import Language, text
from .web import HTML, Answer, Request

if TYPE_CHECKING:
    from .application import Application
    from .pusher import Delivery

REVOKE = "/_page/unauthorize"
ACT = "/_page/control"

MAX_SHOWN = 50
MAX_PUSHES = 12
ADVANCES = {"advance_minutes": 600, "advance_hours": 2 * 3600, "advance_day": 24 * 3600}
"""Buttons of the clock, and by how many seconds each moves it."""


def show(app: Application, request: Request) -> Answer:
    return _page(app, language_of(request))


def act(app: Application, request: Request) -> Answer:
    """Do what a button says, and show the page with the result; a mistake is explained there too."""
    refused = refuse_foreign(request)
    if refused is not None:
        return refused
    language = language_of(request)
    try:
        notice = _perform(app, {name: values[0] for name, values in request.form.items()}, language)
    except (control.ControlError, Refused) as error:
        return _page(app, language, text("not_done", language).format(why=error), wrong=True)
    return _page(app, language, notice)


def revoke(app: Application, request: Request) -> Answer:
    """The owner takes a grant back, as in the account's own console."""
    refused = refuse_foreign(request)
    if refused is not None:
        return refused
    with suppress(Refused):  # from an old page: the grant has been taken back already
        app.pusher.later(app.engine.unauthorize(first(request.form, "appid")))
    return Answer(303, b"", HTML, {"Location": f"/?lang={language_of(request)}", **SECURITY_HEADERS})


# What the buttons do


def _perform(app: Application, form: dict[str, str], language: Language) -> str:
    """The sentence that says what was done. Raises ControlError for what the control API refuses."""

    def say(key: str, **values: object) -> str:
        return text(key, language).format(**values)

    match form.get("do", ""):
        case "ticket":
            pushed = control.push_ticket(app, control.Body({}))
            taken = (pushed["status"], pushed["body"]) == (200, "success")
            answer = "success" if taken else pushed["status"] or pushed.get("error", "")
            return say("ticket_taken" if taken else "ticket_refused", answer=answer)
        case "account":
            added = control.add_account(
                app, control.Body({"nick_name": form.get("nick_name", "").strip(), "kind": form.get("kind", "")})
            )
            return say("account_added", name=added["nick_name"], appid=added["appid"])
        case "fault":
            control.add_fault(app, control.Body(_fault(form)))
            return say("fault_set")
        case "clear":
            control.clear_faults(app, control.Body({}))
            return say("faults_cleared")
        case moved if moved in ADVANCES:
            control.advance_clock(app, control.Body({"advance": ADVANCES[moved]}))
            return say("clock_moved")
        case unknown:
            raise control.ControlError(f"There is no button {unknown!r}.")


def _fault(form: dict[str, str]) -> dict[str, Any]:
    """The form as the control API takes it: numbers are numbers, a kind without a value is switched on."""
    value, kind = form.get("value", "").strip(), form.get("kind", "")
    number = int(value) if value.lstrip("-").isdecimal() else value or True
    times = form.get("times", "").strip() or "1"
    return {
        "path": form.get("path", "").strip(),
        kind: number if kind in ("errcode", "status", "delay", "hang") else True,
        "times": int(times) if times.isdecimal() else times,
    }


# What is shown


def _page(app: Application, language: Language, notice: str = "", *, wrong: bool = False) -> Answer:
    def say(key: str) -> str:
        return escape(text(key, language))

    settings = app.engine.settings
    style, role = ("wrong", "alert") if wrong else ("done", "status")
    content = f"""
    <header class="ask"><h1>{say("simulator")}</h1><p>{say("home_lead")}</p></header>
    {f'<p class="{style}" role="{role}">{escape(notice)}</p>' if notice else ""}
    <section>
      <h2>{say("home_accounts")}</h2>
      <p class="hint">{say("home_how")}</p>
      {_accounts(app, language)}
    </section>
    <section>
      <h2>{say("home_follower")}</h2>
      <p>{say("home_phone")}</p>
      <p><a class="button" href="{escape(address(language))}">{say("open_phone")}</a></p>
    </section>
    <section>
      <h2>{say("home_pushes")}</h2>
      {_pushes(app, language)}
      {_form(language, f'<button name="do" value="ticket">{say("push_ticket")}</button>')}
    </section>
    <section>
      <h2>{say("home_faults")}</h2>
      <p class="hint">{say("faults_lead")}</p>
      {_faults(app, language)}
    </section>
    <section>
      <h2>{say("home_clock")}</h2>
      <p class="hint">{say("clock_lead")}</p>
      {_clock(app, language)}
    </section>
    <section>
      <h2>{say("home_more")}</h2>
      <dl>
        <div><dt>{say("platform")}</dt><dd><code>{escape(settings.appid)}</code></dd></div>
        <div><dt>{say("callback")}</dt><dd><code>{escape(settings.url_of_events()) or say("none")}</code></dd></div>
      </dl>
      <p><a href="{control.PREFIX}state?limit=50">{say("state_link")}</a></p>
    </section>"""
    return page(
        language,
        "simulator",
        f'<div class="sheet home"><div class="main">{content}</div></div>',
        switch=f"/?lang={other(language)}",
        status=400 if wrong else 200,
    )


def _accounts(app: Application, language: Language) -> str:
    def say(key: str) -> str:
        return escape(text(key, language))

    with app.engine.lock:
        accounts = list(islice(app.engine.accounts.values(), MAX_SHOWN))
        more = len(app.engine.accounts) > MAX_SHOWN
    rows = "".join(_account(account, language) for account in accounts)
    fields = f"""
        <label>{say("nick_name")} <input name="nick_name" required maxlength="64" autocomplete="off"></label>
        <label>{say("kind")} <select name="kind"><option value="official">{say("official")}</option>
          <option value="mini">{say("mini")}</option></select></label>
        <button name="do" value="account">{say("add_account")}</button>"""
    return f"""<ul class="owned">{rows}</ul>
      {f'<p class="hint">{say("more")}</p>' if more else ""}
      {_form(language, fields)}"""


def _account(account: Account, language: Language) -> str:
    badge = '<span class="badge on">{}</span>' if account.grant else '<span class="badge">{}</span>'
    state = badge.format(escape(text("granted" if account.grant else "not_granted", language)))
    button = ""
    if account.grant:
        label = escape(text("revoke", language))
        button = (
            f'<form method="post" action="{REVOKE}?lang={language}"><input type="hidden" name="appid" '
            f'value="{escape(account.appid)}"><button class="small">{label}</button></form>'
        )
    return (
        f'<li>{avatar(account)}<span class="who"><strong>{escape(account.nick_name)}</strong>'
        f'<small>{escape(text(account.kind, language))} · <code class="appid">{escape(account.appid)}</code></small>'
        f"</span>{state}{button}</li>"
    )


def _pushes(app: Application, language: Language) -> str:
    def say(key: str) -> str:
        return escape(text(key, language))

    deliveries = list(app.pusher.deliveries)[-MAX_PUSHES:][::-1]
    if not deliveries:
        return f'<p class="hint">{say("no_pushes")}</p>'
    rows = "".join(_push(app, delivery, language) for delivery in deliveries)
    return f"""<div class="scroll"><table class="pushes">
        <thead><tr><th scope="col">{say("push_time")}</th><th scope="col">{say("push_type")}</th>
          <th scope="col">{say("push_account")}</th><th scope="col">{say("push_answer")}</th></tr></thead>
        <tbody>{rows}</tbody></table></div>"""


def _push(app: Application, delivery: Delivery, language: Language) -> str:
    fields = delivery.push.fields
    appid = delivery.push.appid or str(fields.get("AuthorizerAppid", ""))
    account = app.engine.accounts.get(appid)
    whose = account.nick_name if account else appid
    if delivery.done or delivery.status or delivery.error:
        answer = f"{delivery.status or delivery.error} {delivery.body[:60]}"
    else:
        answer = text("waiting_for", language)
    style = "good" if delivery.succeeded else "bad"
    return (
        f"<tr><td><time>{_moment(delivery.at, app.engine.clock.now())}</time></td>"
        f"<td><code>{escape(delivery.push.name)}</code></td><td>{escape(whose) or '–'}</td>"
        f'<td class="{style}">{escape(answer)}</td></tr>'
    )


def _faults(app: Application, language: Language) -> str:
    def say(key: str) -> str:
        return escape(text(key, language))

    lines = "".join(f"<li>{escape(_fault_line(fault, language))}</li>" for fault in app.faults.active())
    paths = "".join(f'<option value="{escape(path)}">' for path in sorted(ENDPOINTS))
    kinds = "".join(f'<option value="{kind}">{say(f"fault_{kind}")}</option>' for kind in KINDS)
    fields = f"""
        <label class="wide">{say("fault_path")} <input name="path" list="paths" required autocomplete="off"
          placeholder="/cgi-bin/component/api_authorizer_token"></label>
        <datalist id="paths">{paths}</datalist>
        <label>{say("fault_kind")} <select name="kind">{kinds}</select></label>
        <label>{say("fault_value")} <input name="value" inputmode="numeric" size="8" autocomplete="off"></label>
        <label>{say("fault_times")} <input name="times" value="1" inputmode="numeric" size="4"></label>
        <button name="do" value="fault">{say("set_fault")}</button>"""
    clear = _form(language, f'<button class="small" name="do" value="clear">{say("clear_faults")}</button>')
    active = f'<ul class="active">{lines}</ul>{clear}' if lines else f'<p class="hint">{say("no_faults")}</p>'
    return active + _form(language, fields)


def _fault_line(fault: dict[str, Any], language: Language) -> str:
    kind = next(kind for kind in KINDS if kind in fault)
    value = fault[kind]
    shown = f" {value}" if kind in ("errcode", "status", "delay") else ""
    return text("fault_line", language).format(
        path=fault["path"], kind=text(f"fault_{kind}", language), value=shown, times=fault["times"]
    )


def _clock(app: Application, language: Language) -> str:
    clock = app.engine.clock
    now = datetime.fromtimestamp(clock.now(), tz=CHINA)
    ahead = timedelta(seconds=int(clock.ahead))
    note = f" · {text('clock_ahead', language).format(ahead=ahead)}" if clock.ahead else ""
    buttons = "".join(
        f'<button class="small" name="do" value="{name}">{escape(text(name, language))}</button>' for name in ADVANCES
    )
    return (
        f'<p class="now"><time>{now:%Y-%m-%d %H:%M:%S}</time> <span class="hint">{escape(text("clock", language))}'
        f"{escape(note)}</span></p>{_form(language, buttons)}"
    )


def _form(language: Language, fields: str) -> str:
    return f'<form class="line" method="post" action="{ACT}?lang={language}">{fields}</form>'


def _moment(at: float, now: float) -> str:
    """A time of day; with its date when that is another day than now."""
    moment, today = datetime.fromtimestamp(at, CHINA), datetime.fromtimestamp(now, CHINA)
    return moment.strftime("%H:%M:%S" if moment.date() == today.date() else "%m-%d %H:%M:%S")


PAGES: dict[tuple[str, str], Callable[[Application, Request], Answer]] = {
    ("/", "GET"): show,
    (ACT, "GET"): show,
    (ACT, "POST"): act,
    (REVOKE, "POST"): revoke,
}

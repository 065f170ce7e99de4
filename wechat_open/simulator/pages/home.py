"""The tester's start page: accounts, the follower's phone, pushes, faults and the clock.

Its buttons perform calls of the control API. It needs no script.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime, timedelta
from html import escape
from itertools import islice
from typing import Any

from ..api.registry import ENDPOINTS
from ..control.dispatch import PREFIX, perform
from ..errors import ControlError, Refused
from ..http.messages import Answer, Request
from ..pusher import Delivery
from ..state.accounts import Account
from ..state.faults import KINDS
from ..texts import Language, in_html, text
from ..workbench import Workbench
from .html import CHINA, avatar, button, form, moment
from .layout import first, language_of, other, page, redirect, sheet
from .phone.chat import address

REVOKE = "/_page/unauthorize"
ACT = "/_page/control"

MAX_SHOWN = 50
MAX_PUSHES = 12
ADVANCES = {"advance_minutes": 600, "advance_hours": 2 * 3600, "advance_day": 24 * 3600}
"""The buttons of the clock, and the seconds by which each advances it."""


def show(workbench: Workbench, request: Request) -> Answer:
    return _page(workbench, language_of(request))


def act(workbench: Workbench, request: Request) -> Answer:
    """Perform a button's action, and display the page with the result or the error."""
    language = language_of(request)
    try:
        notice = _act(workbench, {name: values[0] for name, values in request.form.items()}, language)
    except (ControlError, Refused) as error:
        return _page(workbench, language, text("not_done", language).format(why=error), wrong=True)
    return _page(workbench, language, notice)


def revoke(workbench: Workbench, request: Request) -> Answer:
    """Cancel an authorization, as the owner does in the account's console."""
    with suppress(Refused):  # from an old page: already cancelled
        workbench.pusher.enqueue(workbench.engine.unauthorize(first(request.form, "appid")))
    return redirect(f"/?lang={language_of(request)}")


# Actions


def _act(workbench: Workbench, fields: dict[str, str], language: Language) -> str:
    """Perform the action and return its message. Raises ControlError for what the control API refuses."""

    def message(key: str, **values: object) -> str:
        return text(key, language).format(**values)

    match fields.get("do", ""):
        case "ticket":
            pushed = perform(workbench, "POST", "push-ticket", {})
            taken = (pushed["status"], pushed["body"]) == (200, "success")
            answer = "success" if taken else pushed["status"] or pushed.get("error", "")
            return message("ticket_taken" if taken else "ticket_refused", answer=answer)
        case "account":
            new = {"nick_name": fields.get("nick_name", "").strip(), "kind": fields.get("kind", "")}
            added = perform(workbench, "POST", "accounts", new)
            return message("account_added", name=added["nick_name"], appid=added["appid"])
        case "fault":
            perform(workbench, "POST", "faults", _fault(fields))
            return message("fault_set")
        case "clear":
            perform(workbench, "DELETE", "faults", {})
            return message("faults_cleared")
        case moved if moved in ADVANCES:
            perform(workbench, "POST", "clock", {"advance": ADVANCES[moved]})
            return message("clock_moved")
        case unknown:
            raise ControlError(f"There is no button {unknown!r}.")


def _fault(fields: dict[str, str]) -> dict[str, Any]:
    """The form as a body of the control API: numbers are converted, a kind without a value is true."""
    value, kind = fields.get("value", "").strip(), fields.get("kind", "")
    number = int(value) if value.lstrip("-").isdecimal() else value or True
    times = fields.get("times", "").strip() or "1"
    return {
        "path": fields.get("path", "").strip(),
        kind: number if kind in ("errcode", "status", "delay", "hang") else True,
        "times": int(times) if times.isdecimal() else times,
    }


# The page


def _page(workbench: Workbench, language: Language, notice: str = "", *, wrong: bool = False) -> Answer:
    t, settings = in_html(language), workbench.engine.settings
    style, role = ("wrong", "alert") if wrong else ("done", "status")
    phone = f'<a class="button" href="{escape(address(language))}">{t("open_phone")}</a>'
    more = f"""<dl>
        <div><dt>{t("platform")}</dt><dd><code>{escape(settings.appid)}</code></dd></div>
        <div><dt>{t("callback")}</dt><dd><code>{escape(settings.url_of_events()) or t("none")}</code></dd></div>
      </dl>
      <p><a href="{PREFIX}state?limit=50">{t("state_link")}</a></p>"""
    sections = {
        "home_accounts": _hint(t("home_how")) + _accounts(workbench, language),
        "home_follower": f"<p>{t('home_phone')}</p><p>{phone}</p>",
        "home_pushes": _pushes(workbench, language) + _line(language, button("ticket", t("push_ticket"))),
        "home_faults": _hint(t("faults_lead")) + _faults(workbench, language),
        "home_clock": _hint(t("clock_lead")) + _clock(workbench, language),
        "home_more": more,
    }
    content = f"""
    <header class="ask"><h1>{t("simulator")}</h1><p>{t("home_lead")}</p></header>
    {f'<p class="{style}" role="{role}">{escape(notice)}</p>' if notice else ""}
    {"".join(f"<section><h2>{t(title)}</h2>{section}</section>" for title, section in sections.items())}"""
    status, switch = 400 if wrong else 200, f"/?lang={other(language)}"
    return page(language, "simulator", sheet(content, style="home"), switch=switch, status=status)


def _hint(content: str) -> str:
    return f'<p class="hint">{content}</p>'


def _accounts(workbench: Workbench, language: Language) -> str:
    t = in_html(language)
    with workbench.engine.lock:
        accounts = list(islice(workbench.engine.accounts.values(), MAX_SHOWN))
        more = len(workbench.engine.accounts) > MAX_SHOWN
    rows = "".join(_account(account, language) for account in accounts)
    fields = f"""
        <label>{t("nick_name")} <input name="nick_name" required maxlength="64" autocomplete="off"></label>
        <label>{t("kind")} <select name="kind"><option value="official">{t("official")}</option>
          <option value="mini">{t("mini")}</option></select></label>
        {button("account", t("add_account"))}"""
    return f"""<ul class="owned">{rows}</ul>
      {_hint(t("more")) if more else ""}
      {_line(language, fields)}"""


def _account(account: Account, language: Language) -> str:
    t = in_html(language)
    state = f'<span class="badge">{t("not_granted")}</span>'
    if account.grant:
        appid = f'<input type="hidden" name="appid" value="{escape(account.appid)}">'
        cancel = form(f"{REVOKE}?lang={language}", f'{appid}<button class="small">{t("revoke")}</button>')
        state = f'<span class="badge on">{t("granted")}</span>{cancel}'
    return (
        f'<li>{avatar(account)}<span class="who"><strong>{escape(account.nick_name)}</strong>'
        f'<small>{t(account.kind)} · <code class="appid">{escape(account.appid)}</code></small></span>{state}</li>'
    )


def _pushes(workbench: Workbench, language: Language) -> str:
    t = in_html(language)
    deliveries = list(workbench.pusher.deliveries)[-MAX_PUSHES:][::-1]
    if not deliveries:
        return _hint(t("no_pushes"))
    rows = "".join(_push(workbench, delivery, language) for delivery in deliveries)
    return f"""<div class="scroll"><table class="pushes">
        <thead><tr><th scope="col">{t("push_time")}</th><th scope="col">{t("push_type")}</th>
          <th scope="col">{t("push_account")}</th><th scope="col">{t("push_answer")}</th></tr></thead>
        <tbody>{rows}</tbody></table></div>"""


def _push(workbench: Workbench, delivery: Delivery, language: Language) -> str:
    fields = delivery.push.fields
    appid = delivery.push.appid or str(fields.get("AuthorizerAppid", ""))
    account = workbench.engine.accounts.get(appid)
    whose = account.nick_name if account else appid
    answer = f"{delivery.status or delivery.error} {delivery.body[:60]}".strip() or text("waiting", language)
    when = moment(delivery.at, workbench.engine.clock.now(), "%H:%M:%S")
    style = "good" if delivery.succeeded else "bad"
    return (
        f"<tr><td><time>{when}</time></td>"
        f"<td><code>{escape(delivery.push.name)}</code></td><td>{escape(whose) or '–'}</td>"
        f'<td class="{style}">{escape(answer)}</td></tr>'
    )


def _faults(workbench: Workbench, language: Language) -> str:
    t = in_html(language)
    lines = "".join(f"<li>{escape(_fault_line(fault, language))}</li>" for fault in workbench.faults.active())
    paths = "".join(f'<option value="{escape(path)}">' for path in sorted(ENDPOINTS))
    kinds = "".join(f'<option value="{kind}">{t(f"fault_{kind}")}</option>' for kind in KINDS)
    fields = f"""
        <label class="wide">{t("fault_path")} <input name="path" list="paths" required autocomplete="off"
          placeholder="/cgi-bin/component/api_authorizer_token"></label>
        <datalist id="paths">{paths}</datalist>
        <label>{t("fault_kind")} <select name="kind">{kinds}</select></label>
        <label>{t("fault_value")} <input name="value" inputmode="numeric" size="8" autocomplete="off"></label>
        <label>{t("fault_times")} <input name="times" value="1" inputmode="numeric" size="4"></label>
        {button("fault", t("set_fault"))}"""
    clear = _line(language, button("clear", t("clear_faults"), style="small"))
    active = f'<ul class="active">{lines}</ul>{clear}' if lines else _hint(t("no_faults"))
    return active + _line(language, fields)


def _fault_line(fault: dict[str, Any], language: Language) -> str:
    kind = next(kind for kind in KINDS if kind in fault)
    value = fault[kind]
    shown = f" {value}" if kind in ("errcode", "status", "delay") else ""
    return text("fault_line", language).format(
        path=fault["path"], kind=text(f"fault_{kind}", language), value=shown, times=fault["times"]
    )


def _clock(workbench: Workbench, language: Language) -> str:
    clock = workbench.engine.clock
    now = datetime.fromtimestamp(clock.now(), tz=CHINA)
    ahead = timedelta(seconds=int(clock.ahead))
    note = f" · {text('clock_ahead', language).format(ahead=ahead)}" if clock.ahead else ""
    t = in_html(language)
    buttons = "".join(button(name, t(name), style="small") for name in ADVANCES)
    return (
        f'<p class="now"><time>{now:%Y-%m-%d %H:%M:%S}</time> <span class="hint">{t("clock")}'
        f"{escape(note)}</span></p>{_line(language, buttons)}"
    )


def _line(language: Language, content: str) -> str:
    return form(f"{ACT}?lang={language}", content, style="line")

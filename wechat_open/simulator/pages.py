"""The owner's side in a browser: WeChat's authorization page, on a PC and on a phone.

It has WeChat's rule about where the visitor comes from. Plain HTML and one stylesheet: nothing here needs a script. The
follower's side is in ``phone``, the tester's start page in ``home``.
"""

from __future__ import annotations

import hashlib
import secrets
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from html import escape
from itertools import islice
from typing import TYPE_CHECKING
from urllib.parse import urlencode, urlsplit

from ..protocol import permissions
from . import control, home, phone
from .accounts import Account, Kind
from .clock import Clock
from .frame import SECURITY_HEADERS, STYLE, asset, avatar, first, language_of, other, page
from .settings import host_of
from .texts import PROBLEMS, Language, text
from .web import HTML, Answer, Request

if TYPE_CHECKING:
    from .application import Application

LOGIN = "/cgi-bin/componentloginpage"
BIND = "/wxaopen/safe/bindcomponent"
OLD_BIND = "/safe/bindcomponent"

MAX_SHOWN = 50
MAX_VISITS = 1000
VISIT_LIFE = 1800

# Which accounts each auth_type lets choose (3.3). The owner has no channels, shops or promoter accounts.
KINDS_OF_TYPE: dict[str, tuple[Kind, ...]] = {
    "1": ("official",),
    "2": ("mini",),
    "3": ("official", "mini"),
    "6": ("official", "mini"),
}


@dataclass(frozen=True)
class Visit:
    """A page that was shown to somebody who came the right way. Its form can be sent once."""

    path: str
    parameters: Mapping[str, str]
    expires_at: float


class Visits:
    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._visits: OrderedDict[str, Visit] = OrderedDict()
        self._lock = threading.Lock()

    def add(self, path: str, parameters: Mapping[str, str]) -> str:
        nonce = secrets.token_urlsafe(24)
        with self._lock:
            self._visits[nonce] = Visit(path, parameters, self._clock.now() + VISIT_LIFE)
            while len(self._visits) > MAX_VISITS:
                self._visits.popitem(last=False)
        return nonce

    def get(self, nonce: str) -> Visit | None:
        visit = self._visits.get(nonce)
        return visit if visit and visit.expires_at > self._clock.now() else None

    def take(self, nonce: str) -> Visit | None:
        with self._lock:
            visit = self.get(nonce)
            self._visits.pop(nonce, None)
            return visit


def answer(app: Application, request: Request) -> Answer:
    method = "GET" if request.method == "HEAD" else request.method
    if (request.path, method) not in PAGES:
        return Answer(405, b"method not allowed", "text/plain")
    return PAGES[request.path, method](app, request)


def stylesheet(app: Application, request: Request) -> Answer:
    return asset("simulator.css", "text/css; charset=utf-8")


# The authorization page


def show(app: Application, request: Request) -> Answer:
    """The page for who clicked a link on the platform's own site, or changed the language on this page."""
    query = request.query
    language = language_of(request)
    visit = app.visits.get(query.get("visit", ""))
    if visit is not None:
        return _form(app, query["visit"], visit, language)
    refused = _refuse_parameters(app, query) or _refuse_origin(app, request) or _refuse_code(app, query)
    if refused is not None:
        return _problem(language, refused)
    nonce = app.visits.add(request.path, query)
    return _form(app, nonce, Visit(request.path, query, 0), language)


def submit(app: Application, request: Request) -> Answer:
    """The owner has decided. A confirmation sends her back to the platform with the code in the address."""
    form = request.form
    language = language_of(request)
    visit = app.visits.take(first(form, "visit"))
    if visit is None:
        return _problem(language, Refusal("visit"))
    if first(form, "action") != "confirm":
        return _cancelled(visit, language)

    account = app.engine.accounts.get(first(form, "appid"))
    if account is None or account not in _offered(app, visit.parameters)[0]:
        return _again(app, visit, language, "pick_account")
    ticked = {int(value) for value in form.get(f"permission-{account.appid}", []) if value.isdecimal()}
    granted = tuple(id for id in _sets(account, visit.parameters) if id in ticked)
    if not granted:
        return _again(app, visit, language, "pick_permission")
    refused = _refuse_code(app, visit.parameters)
    if refused is not None:
        return _problem(language, refused)
    done = app.engine.authorize(account.appid, pre_auth_code=visit.parameters["pre_auth_code"], permissions=granted)
    app.pusher.later(done.push)
    location = control.redirect_with_code(visit.parameters["redirect_uri"], done.code, done.expires_in)
    return Answer(302, b"", HTML, {"Location": location, **SECURITY_HEADERS})


def _cancelled(visit: Visit, language: Language) -> Answer:
    """WeChat's page ends here. What leads on is the simulator's, and says so: its testers would be stuck."""
    parts = urlsplit(visit.parameters["redirect_uri"])
    site = escape(f"{parts.scheme}://{parts.netloc}/")
    onward = (
        f'<p class="hint">{escape(text("cancelled_onward", language))}</p>'
        f'<p><a class="button" href="{site}">{escape(text("to_site", language))}</a></p>'
    )
    return page(language, "cancelled", _notice(language, "cancelled", "cancelled_why", onward))


@dataclass(frozen=True)
class Refusal:
    """Why the page is not shown: a key of PROBLEMS."""

    problem: str
    status: int = 400
    hosts: Mapping[str, str] = field(default_factory=dict)


def _refuse_parameters(app: Application, query: Mapping[str, str]) -> Refusal | None:
    for name, problem in (
        ("component_appid", "no_appid"),
        ("pre_auth_code", "no_code"),
        ("redirect_uri", "no_redirect"),
    ):
        if not query.get(name):
            return Refusal(problem)
    return None if query["component_appid"] == app.engine.settings.appid else Refusal("appid")


def _refuse_origin(app: Application, request: Request) -> Refusal | None:
    """The Referer rule (3.4): link, return address and registered domain share one host."""
    settings, redirect_uri = app.engine.settings, request.query["redirect_uri"]
    referer = host_of(request.headers.get("referer", ""))
    redirect = host_of(redirect_uri) if redirect_uri.startswith(("http://", "https://")) else ""
    registered = settings.registered_host() or redirect
    from_there = referer == registered or (request.path != LOGIN and not settings.phone_needs_referer)
    if redirect and redirect == registered and from_there:
        return None
    hosts = {"referer": referer or "空", "redirect": redirect or "(empty)", "registered": registered or "(empty)"}
    # An empty one is nearly always the policy of the page with the link, and not a wrong address.
    return Refusal("domain" if referer else "no_referer", 403, hosts)


def _refuse_code(app: Application, query: Mapping[str, str]) -> Refusal | None:
    state = app.engine.pre_auth_code_state(query["pre_auth_code"])
    return None if state == "good" else Refusal(state)


def _offered(app: Application, query: Mapping[str, str]) -> tuple[list[Account], bool]:
    """The accounts to choose from, and whether there are more. biz_appid wins over auth_type (3.3)."""
    engine = app.engine
    with engine.lock:
        biz_appid = query.get("biz_appid")
        if biz_appid:
            account = engine.accounts.get(biz_appid)
            return [account] if account else [], False
        kinds = KINDS_OF_TYPE.get(query.get("auth_type") or "3", ())
        fitting = (account for account in engine.accounts.values() if account.kind in kinds)
        shown = list(islice(fitting, MAX_SHOWN))
        return shown, next(fitting, None) is not None


def _sets(account: Account, query: Mapping[str, str]) -> tuple[int, ...]:
    """The permission sets to tick: all that the account has, or those of them that the link asks for."""
    asked = {int(id) for id in query.get("category_id_list", "").split("|") if id.isdecimal()}
    return tuple(id for id in account.permissions if id in asked) if asked else account.permissions


def _again(app: Application, visit: Visit, language: Language, message: str) -> Answer:
    nonce = app.visits.add(visit.path, visit.parameters)
    return _form(app, nonce, visit, language, message=message)


def _form(app: Application, nonce: str, visit: Visit, language: Language, message: str = "") -> Answer:
    accounts, more = _offered(app, visit.parameters)
    switch = f"{visit.path}?" + urlencode({"visit": nonce, "lang": other(language)})
    by_phone = visit.path != LOGIN
    if not accounts:
        content = _notice(language, "nobody", "nobody_why")
        return page(language, "nobody", content, switch=switch, kind="phone" if by_phone else "")

    def say(key: str) -> str:
        return escape(text(key, language))

    settings = app.engine.settings
    name = settings.platform_name or text("platform_name", language)
    chosen = "".join(
        _account_choice(account, _sets(account, visit.parameters), language, checked=account is accounts[0])
        for account in accounts
    )
    content = f"""
    <header class="ask">
      <h1>{say("title")}</h1>
      <p>{say("lead")}</p>
      <p class="asking"><span class="avatar platform" aria-hidden="true">{escape(name[:1])}</span>
        <strong>{escape(name)}</strong></p>
      <dl>
        <div><dt>{say("platform_appid")}</dt><dd><code>{escape(settings.appid)}</code></dd></div>
        <div><dt>{say("returns_to")}</dt><dd>{escape(host_of(visit.parameters["redirect_uri"]))}</dd></div>
      </dl>
    </header>
    <form method="post" action="{visit.path}?lang={language}">
      <input type="hidden" name="visit" value="{escape(nonce)}">
      {f'<p class="wrong" role="alert">{say(message)}</p>' if message else ""}
      <fieldset class="accounts">
        <legend>{say("choose")}</legend>
        {chosen}
        {f'<p class="hint">{say("more")}</p>' if more else ""}
      </fieldset>
      <div class="buttons">
        <button class="primary" name="action" value="confirm">{say("confirm")}</button>
        <button name="action" value="cancel">{say("cancel")}</button>
      </div>
    </form>"""
    if not by_phone:
        aside = f"""
    <aside class="scan">
      {_picture(nonce)}
      <h2>{say("scan_title")}</h2>
      <p>{say("scan")}</p>
    </aside>"""
        content = f'<div class="sheet">{aside}<div class="main">{content}</div></div>'
    else:
        content = f'<div class="sheet"><div class="main">{content}</div></div>'
    return page(language, "title", content, switch=switch, kind="phone" if by_phone else "")


def _account_choice(account: Account, sets: tuple[int, ...], language: Language, *, checked: bool) -> str:
    appid = escape(account.appid)
    boxes = "".join(
        f'<label class="set"><input type="checkbox" name="permission-{appid}" value="{id}" checked>'
        f"<span>{escape(permissions.name(id, language))}{_exclusive(id, language)}</span></label>"
        for id in sets
    )
    state = f'<span class="badge on">{escape(text("granted", language))}</span>' if account.grant else ""
    return f"""
        <div class="account">
          <label class="choice">
            <input type="radio" name="appid" value="{appid}" {"checked" if checked else ""} required>
            {avatar(account)}
            <span class="who"><strong>{escape(account.nick_name)}</strong>
            <small>{escape(text(account.kind, language))} · {escape(account.principal_name)}</small></span>
            {state}
          </label>
          <fieldset class="sets"><legend>{escape(text("permissions", language))}</legend>{boxes}</fieldset>
        </div>"""


def _exclusive(id: int, language: Language) -> str:
    known = permissions.NAMES.get(id)
    return f" <em>{escape(text('exclusive', language))}</em>" if known and known.exclusive else ""


def _picture(seed: str) -> str:
    """Looks like a QR code and says nothing: there is no phone that could scan it."""
    size = 25
    bits = int.from_bytes(hashlib.shake_128(seed.encode()).digest(size * size // 8 + 1), "big")
    corners = ((0, 0), (size - 7, 0), (0, size - 7))
    path = "".join(
        f"M{x} {y}h1v1h-1z"
        for y in range(size)
        for x in range(size)
        if bits >> (y * size + x) & 1 and not any(cx - 1 <= x <= cx + 7 and cy - 1 <= y <= cy + 7 for cx, cy in corners)
    )
    path += "".join(f"M{x} {y}h7v7h-7zm1 1v5h5v-5zm1 1h3v3h-3z" for x, y in corners)
    return (
        f'<svg class="code" viewBox="-2 -2 {size + 4} {size + 4}" aria-hidden="true" shape-rendering="crispEdges">'
        f'<path fill-rule="evenodd" d="{path}"/></svg>'
    )


# Small things


def _notice(language: Language, title: str, why: str, onward: str = "") -> str:
    return (
        f'<div class="sheet notice"><div class="main"><h1>{escape(text(title, language))}</h1>'
        f"<p>{escape(text(why, language))}</p>{onward}</div></div>"
    )


def _problem(language: Language, refusal: Refusal) -> Answer:
    """WeChat's number and words, and beneath them what they mean."""
    number, chinese, english = PROBLEMS[refusal.problem]
    chinese, english = chinese.format(**refusal.hosts), english.format(**refusal.hosts)
    paragraphs = [f'<p lang="zh-CN" class="said">{escape(chinese)}</p>', f'<p lang="en">{escape(english)}</p>']
    code = f'<p class="hint"><code>{escape(number)}</code></p>' if number else ""
    content = (
        f'<div class="sheet notice"><div class="main" role="alert"><h1>{escape(text("refused", language))}</h1>'
        f"{''.join(paragraphs)}{code}</div></div>"
    )
    return page(language, "refused", content, status=refusal.status)


PAGES: dict[tuple[str, str], Callable[[Application, Request], Answer]] = {
    **{(path, "GET"): show for path in (LOGIN, BIND, OLD_BIND)},
    **{(path, "POST"): submit for path in (LOGIN, BIND, OLD_BIND)},
    (STYLE, "GET"): stylesheet,
    **home.PAGES,
    **phone.PAGES,
}
PATHS = frozenset(path for path, _ in PAGES)

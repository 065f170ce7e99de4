"""WeChat's authorization page, for PCs and for phones, with WeChat's Referer rule. It needs no script."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from html import escape
from itertools import islice
from urllib.parse import urlencode, urlsplit

from ...protocol import permissions
from ..http.messages import Answer, Request
from ..http.origin import host_of
from ..state.accounts import Account, Kind
from ..state.engine import Engine
from ..state.visits import Visit
from ..texts import PROBLEMS, Language, in_html, text
from ..workbench import Workbench
from .html import avatar
from .layout import first, language_of, other, page, redirect, sheet

LOGIN = "/cgi-bin/componentloginpage"
BIND = "/wxaopen/safe/bindcomponent"
OLD_BIND = "/safe/bindcomponent"
PATHS = (LOGIN, BIND, OLD_BIND)

MAX_SHOWN = 50

# The kinds of accounts by auth_type. The simulated owner has no channels, shops or promoter accounts.
KINDS_OF_TYPE: dict[str, tuple[Kind, ...]] = {
    "1": ("official",),
    "2": ("mini",),
    "3": ("official", "mini"),
    "6": ("official", "mini"),
}


def show(workbench: Workbench, request: Request) -> Answer:
    """Display the page to a visitor from the platform's own site, or in the other language."""
    query = request.query
    language = language_of(request)
    visit = workbench.visits.get(query.get("visit", ""))
    if visit is not None:
        return _form(workbench, query["visit"], visit, language)
    engine = workbench.engine
    refused = _refuse_parameters(engine, query) or _refuse_origin(engine, request) or _refuse_code(engine, query)
    if refused is not None:
        return _problem(language, refused)
    nonce = workbench.visits.add(request.path, query)
    return _form(workbench, nonce, Visit(request.path, query, 0), language)


def submit(workbench: Workbench, request: Request) -> Answer:
    """Accept the owner's decision. A confirmation redirects to the platform with the code in the address."""
    form = request.form
    language = language_of(request)
    visit = workbench.visits.take(first(form, "visit"))
    if visit is None:
        return _problem(language, Refusal("visit"))
    if first(form, "action") != "confirm":
        return _cancelled(visit, language)

    engine = workbench.engine
    account = engine.accounts.get(first(form, "appid"))
    if account is None or account not in _offered(engine, visit.parameters)[0]:
        return _again(workbench, visit, language, "pick_account")
    ticked = {int(value) for value in form.get(f"permission-{account.appid}", []) if value.isdecimal()}
    granted = tuple(id for id in _sets(account, visit.parameters) if id in ticked)
    if not granted:
        return _again(workbench, visit, language, "pick_permission")
    refused = _refuse_code(engine, visit.parameters)
    if refused is not None:
        return _problem(language, refused)
    done = engine.authorize(account.appid, pre_auth_code=visit.parameters["pre_auth_code"], permissions=granted)
    workbench.pusher.enqueue(done.push)
    return redirect(done.redirect_to(visit.parameters["redirect_uri"]), status=302)


def _cancelled(visit: Visit, language: Language) -> Answer:
    """The end of WeChat's page. The simulator adds a link to the platform, so that testers can continue."""
    parts = urlsplit(visit.parameters["redirect_uri"])
    site, t = escape(f"{parts.scheme}://{parts.netloc}/"), in_html(language)
    onward = f'<p class="hint">{t("cancelled_onward")}</p><p><a class="button" href="{site}">{t("to_site")}</a></p>'
    return page(language, "cancelled", _notice(language, "cancelled", "cancelled_why", onward))


@dataclass(frozen=True)
class Refusal:
    """Why the page is refused: a key of PROBLEMS."""

    problem: str
    status: int = 400
    hosts: Mapping[str, str] = field(default_factory=dict)


def _refuse_parameters(engine: Engine, query: Mapping[str, str]) -> Refusal | None:
    missing = {"component_appid": "no_appid", "pre_auth_code": "no_code", "redirect_uri": "no_redirect"}
    for name, problem in missing.items():
        if not query.get(name):
            return Refusal(problem)
    return None if query["component_appid"] == engine.settings.appid else Refusal("appid")


def _refuse_origin(engine: Engine, request: Request) -> Refusal | None:
    """Link, return address and registered domain have one host: docs/protocol.rst, "Referer rule"."""
    settings, redirect_uri = engine.settings, request.query["redirect_uri"]
    referer = host_of(request.headers.get("referer", ""))
    redirect = host_of(redirect_uri) if redirect_uri.startswith(("http://", "https://")) else ""
    registered = settings.registered_host() or redirect
    from_there = referer == registered or (request.path != LOGIN and not settings.phone_needs_referer)
    if redirect and redirect == registered and from_there:
        return None
    hosts = {"referer": referer or "空", "redirect": redirect or "(empty)", "registered": registered or "(empty)"}
    # An empty Referer is usually caused by the Referrer-Policy of the page with the link, not by a wrong address.
    return Refusal("domain" if referer else "no_referer", 403, hosts)


def _refuse_code(engine: Engine, query: Mapping[str, str]) -> Refusal | None:
    state = engine.pre_auth_code_state(query["pre_auth_code"])
    return None if state == "good" else Refusal(state)


def _offered(engine: Engine, query: Mapping[str, str]) -> tuple[list[Account], bool]:
    """The accounts to choose from, and whether there are more. biz_appid overrides auth_type."""
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
    """The permission sets to offer: all of the account's, or those that the link asks for."""
    asked = {int(id) for id in query.get("category_id_list", "").split("|") if id.isdecimal()}
    return tuple(id for id in account.permissions if id in asked) if asked else account.permissions


def _again(workbench: Workbench, visit: Visit, language: Language, message: str) -> Answer:
    nonce = workbench.visits.add(visit.path, visit.parameters)
    return _form(workbench, nonce, visit, language, message=message)


def _form(workbench: Workbench, nonce: str, visit: Visit, language: Language, message: str = "") -> Answer:
    accounts, more = _offered(workbench.engine, visit.parameters)
    switch = f"{visit.path}?" + urlencode({"visit": nonce, "lang": other(language)})
    by_phone = visit.path != LOGIN
    if not accounts:
        content = _notice(language, "no_account", "no_account_why")
        return page(language, "no_account", content, switch=switch, kind="phone" if by_phone else "")

    t = in_html(language)
    settings = workbench.engine.settings
    name = settings.platform_name or text("platform_name", language)
    chosen = "".join(
        _account_choice(account, _sets(account, visit.parameters), language, checked=account is accounts[0])
        for account in accounts
    )
    content = f"""
    <header class="ask">
      <h1>{t("title")}</h1>
      <p>{t("lead")}</p>
      <p class="asking"><span class="avatar platform" aria-hidden="true">{escape(name[:1])}</span>
        <strong>{escape(name)}</strong></p>
      <dl>
        <div><dt>{t("platform_appid")}</dt><dd><code>{escape(settings.appid)}</code></dd></div>
        <div><dt>{t("returns_to")}</dt><dd>{escape(host_of(visit.parameters["redirect_uri"]))}</dd></div>
      </dl>
    </header>
    <form method="post" action="{visit.path}?lang={language}">
      <input type="hidden" name="visit" value="{escape(nonce)}">
      {f'<p class="wrong" role="alert">{t(message)}</p>' if message else ""}
      <fieldset class="accounts">
        <legend>{t("choose")}</legend>
        {chosen}
        {f'<p class="hint">{t("more")}</p>' if more else ""}
      </fieldset>
      <div class="buttons">
        <button class="primary" name="action" value="confirm">{t("confirm")}</button>
        <button name="action" value="cancel">{t("cancel")}</button>
      </div>
    </form>"""
    aside = ""
    if not by_phone:
        aside = f"""
    <aside class="scan">
      {_picture(nonce)}
      <h2>{t("scan_title")}</h2>
      <p>{t("scan")}</p>
    </aside>"""
    return page(language, "title", sheet(content, aside=aside), switch=switch, kind="phone" if by_phone else "")


def _account_choice(account: Account, sets: tuple[int, ...], language: Language, *, checked: bool) -> str:
    t, appid = in_html(language), escape(account.appid)
    boxes = "".join(
        f'<label class="set"><input type="checkbox" name="permission-{appid}" value="{id}" checked>'
        f"<span>{escape(permissions.name(id, language))}{_exclusive(id, language)}</span></label>"
        for id in sets
    )
    state = f'<span class="badge on">{t("granted")}</span>' if account.grant else ""
    return f"""
        <div class="account">
          <label class="choice">
            <input type="radio" name="appid" value="{appid}" {"checked" if checked else ""} required>
            {avatar(account)}
            <span class="who"><strong>{escape(account.nick_name)}</strong>
            <small>{t(account.kind)} · {escape(account.principal_name)}</small></span>
            {state}
          </label>
          <fieldset class="sets"><legend>{t("permissions")}</legend>{boxes}</fieldset>
        </div>"""


def _exclusive(id: int, language: Language) -> str:
    known = permissions.NAMES.get(id)
    return f" <em>{escape(text('exclusive', language))}</em>" if known and known.exclusive else ""


def _picture(seed: str) -> str:
    """A picture that looks like a QR code and encodes nothing."""
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


def _notice(language: Language, title: str, why: str, onward: str = "") -> str:
    t = in_html(language)
    return sheet(f"<h1>{t(title)}</h1><p>{t(why)}</p>{onward}", style="notice")


def _problem(language: Language, refusal: Refusal) -> Answer:
    """WeChat's number and words, and their meaning in English."""
    number, chinese, english = PROBLEMS[refusal.problem]
    chinese, english = chinese.format(**refusal.hosts), english.format(**refusal.hosts)
    messages = f'<p lang="zh-CN" class="wechat">{escape(chinese)}</p><p lang="en">{escape(english)}</p>'
    code = f'<p class="hint"><code>{escape(number)}</code></p>' if number else ""
    content = f"<h1>{in_html(language)('refused')}</h1>{messages}{code}"
    return page(language, "refused", sheet(content, style="notice", role="alert"), status=refusal.status)

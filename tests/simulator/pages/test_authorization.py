"""The authorization page and its Referer rule, followed as a browser does."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
import requests

from tests.simulator.callback import Callback
from wechat_open.simulator import DEMO_MINI, DEMO_OFFICIAL, Simulator

PC = "/cgi-bin/componentloginpage"
PHONE = "/wxaopen/safe/bindcomponent"
SITE = "http://127.0.0.1:8000/connect/"
RETURN = "http://127.0.0.1:8000/back/?state=s1"


class Form(HTMLParser):
    """The first form of a page: where it goes, and what a browser would send as the page stands."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.action = ""
        self.fields: list[tuple[str, str]] = []
        self.offered: list[tuple[str, str]] = []
        self.texts: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        assert not {"style", "onclick", "onsubmit"} & set(given), "inline style or script"
        assert tag not in ("script", "style")
        if tag == "form" and not self.action:
            self.action = given["action"] or ""
        if tag == "input" and "name" in given:
            field = (given["name"] or "", given.get("value") or "")
            self.offered.append(field)
            if given.get("type") == "hidden" or "checked" in given:
                self.fields.append(field)

    @property
    def accounts(self) -> list[str]:
        return [value for name, value in self.offered if name == "appid"]

    def sets(self, appid: str) -> list[str]:
        return [value for name, value in self.offered if name == f"permission-{appid}"]


def address(wechat: Simulator, path: str = PC, **change: str | None) -> str:
    query = {
        "component_appid": wechat.engine.settings.appid,
        "pre_auth_code": wechat.engine.new_pre_auth_code()[0],
        "redirect_uri": RETURN,
        "auth_type": "3",
        **change,
    }
    return f"{wechat.url}{path}?" + urlencode({name: value for name, value in query.items() if value is not None})


def visit(url: str, referer: str | None = SITE, language: str = "zh-CN,zh;q=0.9") -> requests.Response:
    headers = {"Accept-Language": language} | ({"Referer": referer} if referer else {})
    return requests.get(url, headers=headers, timeout=5)


def submit(wechat: Simulator, form: Form, fields: list[tuple[str, str]], action: str = "confirm") -> requests.Response:
    return requests.post(wechat.url + form.action, data=[*fields, ("action", action)], allow_redirects=False, timeout=5)


# Confirming and cancelling


@pytest.mark.parametrize("path", [PC, PHONE, "/safe/bindcomponent"])
def test_confirm__leads_back_with_a_code_and_is_pushed(wechat: Simulator, callback: Callback, path: str) -> None:
    page = visit(address(wechat, path))
    assert page.status_code == 200
    form = Form(page.text)
    answer = submit(wechat, form, form.fields)
    assert answer.status_code == 302
    location = urlsplit(answer.headers["Location"])
    query = parse_qs(location.query)
    assert answer.headers["Location"].startswith(RETURN + "&auth_code=queryauthcode%40%40%40")
    assert (query["state"], query["expires_in"]) == (["s1"], ["3600"])
    pushed = callback.wait_for("authorized").push.fields
    assert pushed["AuthorizationCode"] == query["auth_code"][0]
    assert wechat.engine.query_auth(query["auth_code"][0])[0].appid == DEMO_OFFICIAL


def test_unticked_permissions__are_not_granted(wechat: Simulator) -> None:
    form = Form(visit(address(wechat)).text)
    nonce = dict(form.fields)["visit"]
    ticked = [
        ("visit", nonce),
        ("appid", DEMO_MINI),
        (f"permission-{DEMO_MINI}", "19"),
        (f"permission-{DEMO_MINI}", "9"),
    ]
    submit(wechat, form, ticked)
    assert wechat.engine.account(DEMO_MINI).grant.permissions == (19,)


def test_cancel__does_not_redirect(wechat: Simulator, callback: Callback) -> None:
    form = Form(visit(address(wechat)).text)
    answer = submit(wechat, form, form.fields, "cancel")
    assert (answer.status_code, "已取消授权" in answer.text) == (200, True)
    assert wechat.engine.account(DEMO_OFFICIAL).grant is None
    assert callback.received == []
    assert '<a class="button" href="http://127.0.0.1:8000/">返回第三方平台</a>' in answer.text


def test_platform__is_shown_by_its_name(wechat: Simulator) -> None:
    wechat.control("settings", platform_name="Camellia & Co.")
    page = visit(address(wechat)).text
    assert "<strong>Camellia &amp; Co.</strong>" in page
    assert f"<code>{wechat.engine.settings.appid}</code>" in page


def test_platform_without_a_name__has_a_default(wechat: Simulator) -> None:
    assert "演示第三方平台" in visit(address(wechat)).text


def test_form__is_sent_once(wechat: Simulator) -> None:
    form = Form(visit(address(wechat)).text)
    submit(wechat, form, form.fields)
    again = submit(wechat, form, form.fields)
    assert (again.status_code, "页面已失效" in again.text) == (400, True)


@pytest.mark.parametrize(
    ("change", "expected"),
    [({"appid": "wxnobody"}, "请选择一个账号"), ({f"permission-{DEMO_OFFICIAL}": ""}, "请至少勾选一个权限集")],
)
def test_incomplete_form__is_shown_again(wechat: Simulator, change: dict[str, str], expected: str) -> None:
    form = Form(visit(address(wechat)).text)
    answer = submit(wechat, form, list({**dict(form.fields), **change}.items()))
    assert expected in answer.text
    again = Form(answer.text)
    assert submit(wechat, again, again.fields).status_code == 302


def test_code_used_in_the_meantime__ends_the_page(wechat: Simulator) -> None:
    url = address(wechat)
    first, second = Form(visit(url).text), Form(visit(url).text)
    assert submit(wechat, first, first.fields).status_code == 302
    assert "不能重复使用" in submit(wechat, second, second.fields).text
    assert "-110" in visit(url).text


# What is offered


@pytest.mark.parametrize(
    ("auth_type", "appids"),
    [
        ("1", [DEMO_OFFICIAL]),
        ("2", [DEMO_MINI]),
        ("3", [DEMO_OFFICIAL, DEMO_MINI]),
        ("6", [DEMO_OFFICIAL, DEMO_MINI]),
        (None, [DEMO_OFFICIAL, DEMO_MINI]),
        ("5", []),
    ],
)
def test_auth_type__filters_the_accounts(wechat: Simulator, auth_type: str | None, appids: list[str]) -> None:
    page = visit(address(wechat, auth_type=auth_type))
    assert Form(page.text).accounts == appids
    assert ("没有符合条件的账号" in page.text) is not bool(appids)


def test_biz_appid__selects_one_account_and_overrides_auth_type(wechat: Simulator) -> None:
    assert Form(visit(address(wechat, auth_type="1", biz_appid=DEMO_MINI)).text).accounts == [DEMO_MINI]
    assert Form(visit(address(wechat, biz_appid="wxnobody")).text).accounts == []


def test_category_id_list__limits_the_boxes(wechat: Simulator) -> None:
    form = Form(visit(address(wechat, category_id_list="1|3|19|x")).text)
    assert (form.sets(DEMO_OFFICIAL), form.sets(DEMO_MINI)) == (["1", "3"], ["19"])


def test_many_accounts__are_not_all_shown(wechat: Simulator) -> None:
    for number in range(60):
        wechat.engine.add_account(f"shop {number}", "mini")
    page = visit(address(wechat)).text
    assert len(Form(page).accounts) == 50
    assert "biz_appid" in page


def test_names_from_outside__are_escaped(wechat: Simulator) -> None:
    wechat.engine.add_account("<b>&\"'", "mini")
    page = visit(address(wechat)).text
    assert "&lt;b&gt;&amp;" in page
    assert "<b>" not in page


# Languages


def test_language__is_the_browsers_and_can_be_changed_without_coming_from_the_site(wechat: Simulator) -> None:
    url = address(wechat)
    chinese = visit(url)
    assert '<html lang="zh-CN">' in chinese.text
    assert "消息管理" in chinese.text
    switch = re.search(r'class="switch" href="([^"]+)"', chinese.text).group(1).replace("&amp;", "&")
    english = visit(wechat.url + switch, referer=None)
    assert '<html lang="en">' in english.text
    assert "Choose the account" in english.text
    form = Form(english.text)
    assert submit(wechat, form, form.fields).status_code == 302
    assert '<html lang="en">' in visit(url, language="fr").text
    assert '<html lang="zh-CN">' in requests.get(wechat.url, headers={"Accept-Language": None}, timeout=5).text


def test_page_left_open_for_hours__is_too_old(wechat: Simulator) -> None:
    nonce = dict(Form(visit(address(wechat)).text).fields)["visit"]
    wechat.clock.advance(3600)
    assert visit(f"{wechat.url}{PC}?visit={nonce}", referer=None).status_code == 400


def test_visits__are_limited(wechat: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wechat_open.simulator.state.visits.MAX_VISITS", 2)
    nonces = [wechat.workbench.visits.add(PC, {}) for _ in range(3)]
    assert [wechat.workbench.visits.get(nonce) is None for nonce in nonces] == [True, False, False]


# The Referer rule, and what else is refused


@pytest.mark.parametrize("path", [PC, PHONE])
@pytest.mark.parametrize(
    ("referer", "redirect", "host"),
    [
        (None, RETURN, "授权入口页所在域名：空"),
        ("https://evil.example/x", RETURN, "授权入口页所在域名：evil.example"),
        (SITE, "https://evil.example/", "授权后回调页所在域名：evil.example"),
        ("https://evil.example/", "https://evil.example/", "授权发起页域名：127.0.0.1"),
        (SITE, "javascript://127.0.0.1/", "授权后回调页所在域名：(empty)"),
        (SITE, "http://[", "授权后回调页所在域名：(empty)"),
    ],
)
def test_missing_or_foreign_host__is_refused_with_wechats_message(
    wechat: Simulator, path: str, referer: str | None, redirect: str, host: str
) -> None:
    page = visit(address(wechat, path, redirect_uri=redirect), referer)
    assert page.status_code == 403
    assert "请确认授权入口页所在域名，与授权后回调页所在域名相同" in page.text
    assert host in page.text
    assert "-302" in page.text


def test_missing_referer__is_explained_in_english(wechat: Simulator) -> None:
    assert "Referrer-Policy" in visit(address(wechat), referer=None).text


def test_phone_without_referer__passes_where_that_is_allowed(wechat: Simulator) -> None:
    wechat.engine.settings.phone_needs_referer = False
    assert visit(address(wechat, PHONE), referer=None).status_code == 200
    assert visit(address(wechat, PC), referer=None).status_code == 403


def test_registered_domain__overrides_the_callbacks(wechat: Simulator) -> None:
    wechat.engine.settings.domain = "site.example"
    good = address(wechat, redirect_uri="https://site.example/back")
    assert visit(good, "https://site.example/").status_code == 200
    assert visit(address(wechat)).status_code == 403


@pytest.mark.parametrize(
    ("change", "number"),
    [
        ({"component_appid": "wxother"}, "-305"),
        ({"component_appid": None}, "-306"),
        ({"pre_auth_code": None}, "-307"),
        ({"redirect_uri": ""}, "-308"),
    ],
)
def test_missing_parameter__has_wechats_errcode(wechat: Simulator, change: dict[str, str | None], number: str) -> None:
    page = visit(address(wechat, **change), referer=None)
    assert page.status_code == 400
    assert f"<code>{number}</code>" in page.text


def test_pre_auth_code__expired_or_unknown(wechat: Simulator) -> None:
    assert "预授权码无效" in visit(address(wechat, pre_auth_code="guessed")).text
    url = address(wechat)
    wechat.clock.advance(600)
    assert "预授权码已过期" in visit(url).text


def test_other_methods__are_refused(wechat: Simulator) -> None:
    assert requests.delete(wechat.url + PC, timeout=5).status_code == 405


def test_stylesheet__is_served(wechat: Simulator) -> None:
    response = requests.get(f"{wechat.url}/_page/simulator.css", timeout=5)
    assert response.headers["Content-Type"] == "text/css; charset=utf-8"
    assert ".account" in response.text


def test_stylesheet__has_dark_colours(wechat: Simulator) -> None:
    sheet = requests.get(f"{wechat.url}/_page/simulator.css", timeout=5).text
    assert "prefers-color-scheme: dark" in sheet

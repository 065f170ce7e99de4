"""The connect page, and who may see it."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import segno
from django.conf import settings as site
from django.contrib.auth.models import Permission, User
from django.http import HttpResponse
from django.template.loader import render_to_string
from django.test import Client, RequestFactory
from django.urls import include, path, reverse

from wechat_open import authorization
from wechat_open.authorization import qr
from wechat_open.db.times import exact
from wechat_open.models import AuditEntry, AuthorizationAttempt, AuthorizationLink, Authorizer
from wechat_open.platforms import Platform
from wechat_open.simulator import Simulator
from wechat_open.views import browser

AUTHORIZE = "/wechat/authorize/"

urlpatterns = [path("wechat/", include("wechat_open.urls"))]
"""Of a site without the admin."""


def links(response: HttpResponse) -> dict[str, Any]:
    """Where the page leads: the PC link's and the phone link's query, and the address in the QR code."""
    page = response.content.decode()
    found = dict(re.findall(r'id="(pc-link|phone-link)" href="([^"]+)"', page))
    return {name: parse_qs(urlsplit(url.replace("&amp;", "&")).query) for name, url in found.items()}


@pytest.fixture
def staff(db: None) -> Client:
    """Staff with the permission and nothing else."""
    user = User.objects.create_user("operator", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="authorize_account"))
    client = Client()
    client.force_login(user)
    return client


# Who may


def test_stranger__is_sent_to_the_login_page(db: None, client: Client) -> None:
    response = client.get(AUTHORIZE)
    assert response.status_code == 302
    assert response["Location"] == f"/admin/login/?next={AUTHORIZE}"


def test_stranger_at_a_site_without_the_admin__is_sent_to_its_login_page(
    db: None, client: Client, settings: Any
) -> None:
    settings.ROOT_URLCONF = __name__
    settings.LOGIN_URL = "/members/login/"
    assert client.get(AUTHORIZE)["Location"] == f"/members/login/?next={AUTHORIZE}"


def test_staff_without_the_permission__may_not(db: None, client: Client) -> None:
    client.force_login(User.objects.create_user("reader", is_staff=True))
    assert client.get(AUTHORIZE).status_code == 403


def test_user_with_the_permission_who_is_not_staff__may_not(db: None, client: Client) -> None:
    user = User.objects.create_user("customer")
    user.user_permissions.add(Permission.objects.get(codename="authorize_account"))
    client.force_login(user)
    assert client.get(AUTHORIZE).status_code == 403


def test_unknown_platform__is_not_found(staff: Client) -> None:
    assert staff.get("/wechat/authorize/unknown/").status_code == 404


def test_link__opens_without_a_login_where_all_else_needs_one(platform: Platform, settings: Any) -> None:
    settings.MIDDLEWARE = [*site.MIDDLEWARE, "django.contrib.auth.middleware.LoginRequiredMiddleware"]
    assert Client().get(authorization.begin().get_absolute_url()).status_code == 200
    assert Client().get(AUTHORIZE).status_code == 302


def test_alias_named_link__does_not_clash() -> None:
    assert reverse("wechat_open:authorize", kwargs={"alias": "link"}) == "/wechat/authorize/link/"
    assert reverse("wechat_open:authorize_link", kwargs={"key": "k"}) == "/wechat/authorize/link/k/"


# What makes a link


def test_get__asks_wechat_for_nothing_and_makes_nothing(wechat: Simulator, platform: Platform, staff: Client) -> None:
    """A browser that fetches a page ahead would burn a pre-auth code each time."""
    before = wechat.state()["calls"]
    response = staff.get(AUTHORIZE, {"auth_type": "mini"})

    assert response.status_code == 200
    assert 'id="make-links"' in response.content.decode()
    assert links(response) == {}
    assert browser.COOKIE not in response.cookies
    assert wechat.state()["calls"] == before
    assert not AuthorizationLink.objects.exists()
    assert not AuditEntry.objects.exists()


def test_post_without_a_token__makes_nothing(platform: Platform, settings: Any) -> None:
    """Not even where the site has left out the middleware that looks for one."""
    settings.MIDDLEWARE = [one for one in site.MIDDLEWARE if "Csrf" not in one]
    client = Client(enforce_csrf_checks=True)
    client.force_login(User.objects.create_superuser("anna"))

    assert client.post(AUTHORIZE).status_code == 403
    assert not AuthorizationLink.objects.exists()
    token = client.get(AUTHORIZE).context["csrf_token"]
    assert links(client.post(AUTHORIZE, {"csrfmiddlewaretoken": token}))


@pytest.mark.parametrize("query", ["", "?auth_type=official&moved=1"])
def test_page_of_a_link__makes_another_one_by_the_same_form(platform: Platform, staff: Client, query: str) -> None:
    """What was sent counts, and not what the address proposed before."""
    page = staff.post(AUTHORIZE + query, {"auth_type": "mini"}).content.decode()

    assert '<button class="link" form="choice">' in page
    assert '<form method="post" id="choice">' in page
    assert AuthorizationLink.objects.get().auth_type == 2


# What is on the page


def test_twenty_views_of_a_link__cost_wechat_one_code(wechat: Simulator, platform: Platform) -> None:
    """Chats show previews, mail scanners follow links, and readers reload."""
    path = authorization.begin().get_absolute_url()
    reader = Client()
    for _ in range(20):
        reader.get(path)
        Client().get(path)

    assert wechat.state()["calls"]["/cgi-bin/component/api_create_preauthcode"] == 1
    assert AuthorizationAttempt.objects.count() == 21


@pytest.mark.parametrize(
    ("header", "value"),
    [("Sec-Purpose", "prefetch;prerender"), ("Purpose", "prefetch"), ("X-Moz", "prefetch"), ("X-Purpose", "preview")],
)
def test_prefetch__gets_nothing(wechat: Simulator, platform: Platform, client: Client, header: str, value: str) -> None:
    before = wechat.state()["calls"]
    response = client.get(authorization.begin().get_absolute_url(), headers={header: value})

    assert (response.status_code, response.content) == (503, b"")
    assert "no-store" in response["Cache-Control"]
    assert wechat.state()["calls"] == before
    assert not AuthorizationAttempt.objects.exists()


def test_page__offers_both_links_with_one_fresh_code(platform: Platform, staff: Client) -> None:
    first, second = links(staff.post(AUTHORIZE)), links(staff.post(AUTHORIZE))

    assert first["pc-link"]["pre_auth_code"] == first["phone-link"]["pre_auth_code"]
    assert first["pc-link"]["pre_auth_code"] != second["pc-link"]["pre_auth_code"]
    assert first["pc-link"]["redirect_uri"] == first["phone-link"]["redirect_uri"]
    assert first["pc-link"]["redirect_uri"][0].startswith("http://testserver/wechat/authorized/")


def test_wechats_page__gets_what_was_chosen(platform: Platform, staff: Client) -> None:
    choice = {"auth_type": "mini", "biz_appid": "wx4c9e2f70d81b35a6", "category_ids": ["30", "18"]}
    asked = links(staff.post(AUTHORIZE, choice))["pc-link"]

    assert asked["auth_type"] == ["2"]
    assert asked["biz_appid"] == ["wx4c9e2f70d81b35a6"]
    assert asked["category_id_list"] == ["18|30"]


def test_pasted_appid__is_taken_without_the_spaces_around_it(platform: Platform, staff: Client) -> None:
    asked = links(staff.post(AUTHORIZE, {"biz_appid": " wx4c9e2f70d81b35a6\t"}))["pc-link"]
    assert asked["biz_appid"] == ["wx4c9e2f70d81b35a6"]


@pytest.mark.parametrize("method", ["get", "post"])
def test_choice__stays_visible(platform: Platform, staff: Client, method: str) -> None:
    page = getattr(staff, method)(AUTHORIZE, {"auth_type": "mini", "category_ids": ["18"]}).content.decode()

    assert '<option value="mini" selected>' in page
    assert 'name="category_ids" value="18" checked' in page
    assert page.count(" checked") == 1
    assert '<details class="card choice" open>' in page


@pytest.mark.parametrize("method", ["get", "post"])
@pytest.mark.parametrize(
    "nonsense", [{"auth_type": "everything"}, {"biz_appid": "wx <script>"}, {"category_ids": ["18", "x"]}]
)
def test_invalid_input__is_explained_and_starts_nothing(
    platform: Platform, staff: Client, nonsense: dict[str, Any], method: str
) -> None:
    response = getattr(staff, method)(AUTHORIZE, nonsense)

    assert response.status_code == 400
    assert b'class="errorlist"' in response.content
    assert b"<script" not in response.content
    assert not AuthorizationLink.objects.exists()


def test_every_auth_type_of_wechat__can_be_chosen(platform: Platform, staff: Client) -> None:
    page = staff.get(AUTHORIZE).content.decode()
    assert set(re.findall(r'<option value="(\w+)"', page)) == set(authorization.AUTH_TYPES)


def test_qr_code__opens_this_links_own_page(platform: Platform, staff: Client) -> None:
    response = staff.post(AUTHORIZE)
    link = AuthorizationLink.objects.get()
    address = f"http://testserver{link.with_key().get_absolute_url()}"

    assert f'<path d="{qr.draw(address).path}"/>' in response.content.decode()
    assert address in response.content.decode()


def test_invitation__can_be_copied_and_says_until_when_in_the_one_format(platform: Platform, staff: Client) -> None:
    shown = staff.post(AUTHORIZE).content.decode()
    assert 'data-copy="invitation-url"' in shown
    assert "wechat_open/links.js" in shown
    assert f"Valid until {exact(AuthorizationLink.objects.get().expires_at)}" in shown


def test_links_page__has_no_choice_and_no_invitation(platform: Platform, client: Client) -> None:
    page = client.get(authorization.begin().get_absolute_url()).content.decode()
    assert "<form" not in page
    assert "/authorize/link/" not in page


def test_phone_in_wechat__gets_its_own_button_first(platform: Platform, client: Client) -> None:
    path = authorization.begin().get_absolute_url()
    phone = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) MicroMessenger/8.0.40"
    computer = "Mozilla/5.0 (Windows NT 10.0) MicroMessenger/7.0.20 WindowsWechat"

    wecom = f"{phone} wxwork/4.1.0 Language/zh"

    assert b"ways-phone-first" in client.get(path, headers={"User-Agent": phone}).content
    for other in (computer, wecom, wecom.replace("wxwork", "WXWork")):
        assert b"ways-phone-first" not in client.get(path, headers={"User-Agent": other}).content


@pytest.mark.parametrize(
    ("agent", "kind"),
    [
        ("Mozilla/5.0 (iPhone) MicroMessenger/8.0.40", "wechat"),
        ("Mozilla/5.0 (iPhone) wxwork/4.1.0 MicroMessenger/7.0.1", "phone"),
        ("Mozilla/5.0 (Linux; Android 13) MicroMessenger/8.0.40 WeCom wxwork/4.1.0", "phone"),
        ("Mozilla/5.0 (Windows NT 10.0) wxwork/4.1.0 MicroMessenger/7.0.1", "pc"),
        ("Mozilla/5.0 (Windows NT 10.0) MicroMessenger/7.0.20 WindowsWechat", "pc"),
        ("", ""),
    ],
)
def test_device__is_what_the_browser_says(agent: str, kind: str) -> None:
    assert browser.device(RequestFactory().get("/", headers={"User-Agent": agent} if agent else {})) == kind


def test_no_page__has_script_or_style_of_its_own(platform: Platform, staff: Client) -> None:
    """A Content-Security-Policy without 'unsafe-inline' lets all of it through."""
    page = staff.get(AUTHORIZE).content.decode() + staff.post(AUTHORIZE).content.decode()
    assert not re.search(r"<script(?! src=)|<style|\sstyle=|\son\w+=|javascript:|data:", page)


@pytest.mark.parametrize("language", ["zh-hans", "en"])
def test_page__is_in_the_readers_language(platform: Platform, staff: Client, language: str) -> None:
    page = staff.get(AUTHORIZE, headers={"Accept-Language": language}).content.decode()

    assert f'<html lang="{language}">' in page
    assert ("小程序开发管理与数据分析" in page) is (language == "zh-hans")
    assert ("Development management and data analysis" in page) is (language == "en")


# Headers and cookie


def test_referrer_policy__lets_wechat_see_the_host(platform: Platform, staff: Client) -> None:
    """SecurityMiddleware would otherwise say same-origin, and WeChat's page would see no Referer."""
    response = staff.post(AUTHORIZE)
    assert response["Referrer-Policy"] == "strict-origin-when-cross-origin"
    assert "no-store" in response["Cache-Control"]
    assert b"noreferrer" not in response.content
    assert "no-store" in staff.get(AUTHORIZE)["Cache-Control"]


def test_browser__gets_a_secret_that_scripts_and_other_sites_cannot_use(platform: Platform, client: Client) -> None:
    path = authorization.begin().get_absolute_url()
    cookie = client.get(path).cookies[browser.COOKIE]

    assert len(cookie.value) == 43
    assert (cookie["httponly"], cookie["samesite"], cookie["secure"]) == (True, "Lax", "")
    assert (cookie["path"], cookie["domain"], cookie["max-age"]) == ("/wechat/", "", "")
    assert client.get(path, secure=True).cookies[browser.COOKIE]["secure"] is True


@pytest.mark.parametrize(("site_url", "secure"), [("https://testserver", True), ("http://testserver", "")])
def test_cookie_behind_a_proxy__is_secure_if_the_sites_address_is(
    platform: Platform, client: Client, settings: Any, site_url: str, secure: Any
) -> None:
    """The proxy speaks https with the browser and http with us."""
    settings.WECHAT_OPEN = settings.WECHAT_OPEN | {"SITE_URL": site_url}
    cookie = client.get(authorization.begin().get_absolute_url()).cookies[browser.COOKIE]

    assert cookie["secure"] == secure


def test_address_of_a_link__is_in_no_referer_of_what_the_page_loads(platform: Platform, client: Client) -> None:
    """Stylesheet and icon come from the same host, so the page's policy alone would send the whole address along."""
    page = client.get(authorization.begin().get_absolute_url()).content.decode()

    loaded = re.findall(r"<(?:link|script|img)\b[^>]*>", page)
    assert len(loaded) >= 2
    assert all('referrerpolicy="no-referrer"' in tag for tag in loaded)


def test_browser__keeps_its_secret_over_several_pages(platform: Platform, client: Client) -> None:
    path = authorization.begin().get_absolute_url()
    first = client.get(path).cookies[browser.COOKIE].value
    assert client.get(path).cookies[browser.COOKIE].value == first
    assert Client().get(path).cookies[browser.COOKIE].value != first


@pytest.mark.parametrize("planted", ["", "a", "é" * 43, "a" * 42 + "!", "a" * 5000])
def test_cookie_that_is_not_ours__is_replaced(platform: Platform, client: Client, planted: str) -> None:
    client.cookies[browser.COOKIE] = planted
    assert client.get(authorization.begin().get_absolute_url()).cookies[browser.COOKIE].value != planted


def test_neither_state_nor_browser__is_stored_in_clear(platform: Platform, client: Client) -> None:
    response = client.get(authorization.begin().get_absolute_url())
    state = links(response)["pc-link"]["redirect_uri"][0].rstrip("/").rpartition("/")[2]
    stored = str(AuthorizationAttempt.objects.values().get())

    assert state not in stored
    assert response.cookies[browser.COOKIE].value not in stored


# Which host


def test_other_host__is_sent_to_the_registered_one_once(
    platform: Platform, staff: Client, client: Client, settings: Any
) -> None:
    settings.WECHAT_OPEN = settings.WECHAT_OPEN | {"SITE_URL": "https://shop.example"}
    path = authorization.begin().get_absolute_url()
    response = client.get(path, {"from": "mail"})

    assert response.status_code == 302
    assert response["Location"] == f"https://shop.example{path}?from=mail&moved=1"
    assert staff.get(AUTHORIZE)["Location"] == f"https://shop.example{AUTHORIZE}?moved=1"


def test_proxy_that_hides_the_host__does_not_send_in_circles(platform: Platform, client: Client, settings: Any) -> None:
    settings.WECHAT_OPEN = settings.WECHAT_OPEN | {"SITE_URL": "https://shop.example"}
    response = client.get(authorization.begin().get_absolute_url(), {"moved": "1"})

    assert response.status_code == 200
    assert links(response)["pc-link"]["redirect_uri"][0].startswith("https://shop.example/wechat/authorized/")


def test_registered_host__stays(platform: Platform, client: Client, settings: Any) -> None:
    settings.ALLOWED_HOSTS = ["shop.example"]
    settings.WECHAT_OPEN = settings.WECHAT_OPEN | {"SITE_URL": "https://Shop.example"}
    path = authorization.begin().get_absolute_url()
    assert client.get(path, headers={"Host": "shop.example"}).status_code == 200


# When it cannot be shown


@pytest.mark.parametrize(("alias", "named"), [("", ""), ("second/", " --component second")])
def test_without_a_ticket__staff_learn_what_to_do(
    wechat: Simulator, staff: Client, settings: Any, alias: str, named: str
) -> None:
    components = settings.WECHAT_OPEN["COMPONENTS"]
    second = components["default"] | {"APPID": "wx2222222222222222"}
    settings.WECHAT_OPEN = settings.WECHAT_OPEN | {"COMPONENTS": components | {"second": second}}

    for _ in range(2):  # the second time custody remembers why it failed
        response = staff.post(AUTHORIZE + alias)
        assert (response.status_code, response["Retry-After"]) == (503, "60")
        assert f"<code>manage.py wechat_open push-ticket{named}</code>".encode() in response.content
        assert f"http://testserver/wechat/events/{alias}</p>".encode() in response.content


def test_busy_wechat__is_not_taken_for_a_missing_ticket(wechat: Simulator, platform: Platform, staff: Client) -> None:
    wechat.control("faults", path="/cgi-bin/component/api_component_token", errcode=-1, times=9)
    for _ in range(2):
        response = staff.post(AUTHORIZE)
        assert response.status_code == 503
        assert b"push-ticket" not in response.content


def test_without_a_ticket__an_owner_is_asked_to_come_back(wechat: Simulator, db: None, client: Client) -> None:
    response = client.get(authorization.begin().get_absolute_url())

    assert response.status_code == 503
    assert b"try again in a few minutes" in response.content
    assert b"push-ticket" not in response.content


def test_refusal_by_wechat__is_shown_with_its_number_to_staff_only(
    wechat: Simulator, platform: Platform, staff: Client, client: Client
) -> None:
    wechat.control("faults", path="/cgi-bin/component/api_create_preauthcode", errcode=61004, times=2)
    detailed, hidden = staff.post(AUTHORIZE), client.get(authorization.begin().get_absolute_url())

    assert (detailed.status_code, hidden.status_code) == (503, 503)
    assert b"61004" in detailed.content
    assert b"61004" not in hidden.content


def test_refusal_by_wechat__is_remembered_for_a_visitor_and_tried_again_for_staff(
    wechat: Simulator, platform: Platform, staff: Client, client: Client
) -> None:
    address = authorization.begin().get_absolute_url()
    wechat.control("faults", path="/cgi-bin/component/api_create_preauthcode", errcode=61004, times=1)
    refused = [client.get(address) for _ in range(5)]

    assert {response.status_code for response in refused} == {503}
    assert all(b"try again" in response.content for response in refused)
    assert wechat.state()["calls"]["/cgi-bin/component/api_create_preauthcode"] == 1
    assert staff.get(address).status_code == 200
    assert client.get(address).status_code == 200


def test_missing_setting__is_named_to_staff(staff: Client, settings: Any) -> None:
    settings.WECHAT_OPEN = {"COMPONENTS": {"default": {"APPID": "wx1"}}}
    response = staff.post(AUTHORIZE)

    assert response.status_code == 503
    assert b"APPSECRET" in response.content


@pytest.mark.parametrize("key", ["unknown", "a" * 500])
def test_unknown_link__is_explained(db: None, client: Client, key: str) -> None:
    response = client.get(f"/wechat/authorize/link/{key}/")
    assert response.status_code == 403
    assert b"This link is not known here" in response.content


def test_expired_link__is_explained(platform: Platform, client: Client, later: Callable[[timedelta], None]) -> None:
    path = authorization.begin(expires_in=timedelta(hours=1)).get_absolute_url()
    later(timedelta(hours=2))
    response = client.get(path)

    assert response.status_code == 403
    assert b"expired" in response.content


def test_used_link__is_good_news_with_a_way_on(platform: Platform, client: Client, account: Authorizer) -> None:
    link = authorization.begin(next_url="/shops/7/")
    AuthorizationLink.objects.update(completed_at=link.created_at, authorizer=account)
    response = client.get(link.get_absolute_url())
    page = response.content.decode()

    assert response.status_code == 410
    assert "The account is connected" in page and "tone-good" in page
    assert "tone-stop" not in page and "icon-alert" not in page
    assert 'href="/shops/7/"' in page
    assert account.appid not in page and "/admin/" not in page
    assert response["Referrer-Policy"] == "no-referrer"


def test_used_link__leads_staff_to_the_account(platform: Platform, admin_client: Client, account: Authorizer) -> None:
    link = authorization.begin()
    AuthorizationLink.objects.update(completed_at=link.created_at, authorizer=account)
    page = admin_client.get(link.get_absolute_url()).content.decode()

    assert f'href="/admin/wechat_open/authorizer/{account.pk}/change/"' in page
    assert f'href="{AUTHORIZE}"' in page and 'href="/"' in page


@pytest.mark.parametrize("deleted", [True, False])
def test_link_of_a_user_who_has_left__is_refused(platform: Platform, client: Client, deleted: bool) -> None:
    user = User.objects.create_user("maker")
    path = authorization.begin(user=user).get_absolute_url()
    if deleted:
        user.delete()
    else:
        User.objects.update(is_active=False)
    response = client.get(path)

    assert response.status_code == 403
    assert b"has no access to this site any more" in response.content
    assert response["Referrer-Policy"] == "no-referrer"


@pytest.mark.parametrize("ending", ["", "/.", "/)", "//"])
@pytest.mark.parametrize("append_slash", [True, False])
def test_key_with_a_sign_too_few_or_too_many__is_in_no_log(
    platform: Platform,
    client: Client,
    settings: Any,
    caplog: pytest.LogCaptureFixture,
    ending: str,
    append_slash: bool,
) -> None:
    """As mail programs cut addresses. Django would log "Not Found" with the key, or redirect for ever."""
    settings.APPEND_SLASH = append_slash
    path = authorization.begin().get_absolute_url().rstrip("/")
    response = client.get(path + ending)

    assert response.status_code == (403 if ending else 200)
    assert path.rpartition("/")[2] not in caplog.text


def test_nothing_but_get__opens_a_link(platform: Platform, staff: Client) -> None:
    path = authorization.begin().get_absolute_url()
    assert staff.put(AUTHORIZE).status_code == 405
    assert staff.post(path).status_code == 405
    assert staff.head(path).status_code == 405


# The picture


@pytest.mark.parametrize("text", ["https://shop.example/wechat/authorize/link/" + "k" * 43 + "/", "x"])
def test_qr_code__is_the_one_that_segno_makes(text: str) -> None:
    drawn = qr.draw(text)
    dark = set()
    for x, y, width in re.findall(r"M(\d+) (\d+)h(\d+)v1h-\d+z", drawn.path):
        dark |= {(int(x) + offset - qr.QUIET_ZONE, int(y) - qr.QUIET_ZONE) for offset in range(int(width))}

    matrix = segno.make_qr(text, error="m").matrix
    assert dark == {(x, y) for y, row in enumerate(matrix) for x, module in enumerate(row) if module}
    assert drawn.size == len(matrix) + 2 * qr.QUIET_ZONE


# Whose page it is


PUBLIC = [f"wechat_open/{name}.html" for name in ("connect", "link_used", "return_refused", "error")]


@pytest.mark.parametrize("name", PUBLIC)
def test_brand__is_on_every_public_page(name: str, settings: Any, rf: RequestFactory) -> None:
    settings.WECHAT_OPEN = {**settings.WECHAT_OPEN, "BRAND": {"NAME": "Camellia & Co", "LOGO": "shop/logo.svg"}}
    page = render_to_string(name, {"link": AuthorizationLink(), "host": "site.example.com"}, rf.get("/"))
    assert '<span class="bar-name">Camellia &amp; Co</span>' in page
    assert ('<img class="bar-logo" src="/static/shop/logo.svg" alt=""' in page) == ("error" not in name)


def test_site_without_a_brand__shows_its_host(rf: RequestFactory) -> None:
    page = render_to_string("wechat_open/connect.html", {"link": AuthorizationLink()}, rf.get("/"))
    assert '<span class="bar-name">testserver</span>' in page
    assert "bar-logo" not in page


def test_site_without_context_processors__shows_its_host_too(rf: RequestFactory, settings: Any) -> None:
    """As a site without the admin may have it."""
    engine = settings.TEMPLATES[0]
    settings.TEMPLATES = [{**engine, "OPTIONS": {**engine["OPTIONS"], "context_processors": []}}]
    page = render_to_string("wechat_open/connect.html", {"link": AuthorizationLink()}, rf.get("/"))
    assert '<span class="bar-name">testserver</span>' in page

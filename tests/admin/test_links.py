"""An operator invites an owner, follows and revokes the link; only permitted readers see its address."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings as site
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from tests.admin.staff import TEA, act, found, page, person, rows
from tests.stage import OFFICIAL, process
from wechat_open import authorization
from wechat_open.admin.links import CREATOR_TIME, read_payload
from wechat_open.admin.links.admin import people_called
from wechat_open.authorization import qr
from wechat_open.exceptions import AuthorizationRefused, LinkRevoked
from wechat_open.models import AuditEntry, AuthorizationAttempt, AuthorizationLink, Authorizer, Component
from wechat_open.platforms import Platform
from wechat_open.protocol import permissions
from wechat_open.secret import Secret
from wechat_open.simulator import Simulator

ADD = "/admin/wechat_open/authorizationlink/add/"
VIEW, MAKE, SHARE, REVOKE = "view_authorizationlink", "authorize_account", "share_link", "revoke_link"
BROWSER = "a browser's own secret"
Later = Callable[[timedelta], None]
Kind = AuditEntry.Kind


@pytest.fixture
def maker(db: None) -> Client:
    return person("maker", VIEW, MAKE, "view_authorizer")


@pytest.fixture
def operator(db: None) -> Client:
    return person("operator", VIEW, MAKE, SHARE, REVOKE, "view_authorizer", "view_auditentry")


@pytest.fixture
def viewer(db: None) -> Client:
    return person("viewer", VIEW, "view_authorizer")


@pytest.fixture
def link(platform: Platform) -> AuthorizationLink:
    return authorization.begin(payload={"shop": "七号店"}, biz_appid=OFFICIAL)


def key_of(link: AuthorizationLink) -> str:
    return link.reveal("key").reveal()


def address_of(link: AuthorizationLink) -> str:
    return f"http://testserver/wechat/authorize/link/{key_of(link)}/"


def make(browser: Client, **fields: Any) -> Any:
    """What the form sends."""
    sent = {"component": "default", "auth_type": "both", "expires": "", **fields}
    return browser.post(ADD, sent, follow=True)


def noted(kind: Kind) -> list[AuditEntry]:
    return list(AuditEntry.objects.filter(kind=kind).order_by("pk"))


def some(like: AuthorizationLink, number: int) -> None:
    """More links such as this one, which cannot be opened."""
    columns = {name: getattr(like, name) for name in ("component_id", "biz_appid", "created_at", "expires_at")}
    first = AuthorizationLink.objects.count()
    AuthorizationLink.objects.bulk_create(
        AuthorizationLink(**columns, key_digest=str(digest)) for digest in range(first, first + number)
    )


def view(link: AuthorizationLink, **who: Any) -> str:
    """A browser opens the link; the address at WeChat that it is sent to."""
    return authorization.offer(link, browser=BROWSER, base_url="https://site.example", **who).pc_url


def code_in(url: str) -> str:
    found = re.search(r"pre_auth_code=([^&]+)", url)
    assert found
    return found[1].replace("%40", "@")


def state_in(url: str) -> str:
    found = re.search(r"authorized%2F([A-Za-z0-9_-]+)%2F", url)
    assert found
    return found[1]


# -- making ------------------------------------------------------------------------------------------------------------


def test_form__makes_the_link_that_was_asked_for(platform: Platform, operator: Client) -> None:
    make(
        operator,
        auth_type="official",
        biz_appid=OFFICIAL,
        category_ids=["7", "1"],
        payload='{"shop": 7}',
        expires="72",
        next_url="/shops/",
    )
    link = AuthorizationLink.objects.get()
    assert (link.auth_type, link.biz_appid, link.category_ids) == (1, OFFICIAL, [1, 7])
    assert (link.payload, link.next_url) == ({"shop": 7}, "/shops/")
    assert link.expires_at - link.created_at == timedelta(days=3)
    assert link.user == User.objects.get(username="operator")


def test_pasted_appid__is_taken_without_the_spaces_around_it(platform: Platform, operator: Client) -> None:
    make(operator, biz_appid=f" {OFFICIAL}\t\n")
    assert AuthorizationLink.objects.get().biz_appid == OFFICIAL


def test_maker__gets_the_address_at_once_and_by_post_only(platform: Platform, maker: Client) -> None:
    answer = make(maker)
    link = AuthorizationLink.objects.get()

    assert [status for _url, status in answer.redirect_chain] == [307]
    assert key_of(link) not in str(answer.redirect_chain)
    shown = answer.content.decode()
    assert address_of(link) in shown
    assert f'<path d="{qr.draw(address_of(link)).path}"/>' in shown
    assert "no-store" in answer["Cache-Control"]
    assert key_of(link) not in maker.get(page(link)).content.decode()


def test_maker_without_the_permission_to_share__has_a_few_minutes(
    platform: Platform, maker: Client, link: AuthorizationLink
) -> None:
    make(maker)
    mine = AuthorizationLink.objects.exclude(pk=link.pk).get()
    assert address_of(mine) in maker.post(page(mine, "address")).content.decode()

    AuthorizationLink.objects.update(created_at=timezone.now() - CREATOR_TIME)
    assert maker.post(page(mine, "address")).status_code == 403
    assert maker.post(page(link, "address")).status_code == 403


def test_making_and_showing__are_recorded(platform: Platform, operator: Client) -> None:
    make(operator, biz_appid=OFFICIAL)
    link = AuthorizationLink.objects.get()
    operator.post(page(link, "address"))
    operator.post(page(link, "qr"))

    (made,) = noted(Kind.LINK_MADE)
    assert (made.actor, made.appid, made.detail) == ("operator", OFFICIAL, f"#{link.pk}")
    assert [entry.actor for entry in noted(Kind.LINK_SHOWN)] == ["operator"] * 3
    assert key_of(link) not in str(list(AuditEntry.objects.values())) + str(list(LogEntry.objects.values()))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"payload": '{"shop": 7'}, "This is not valid JSON: there is an error in line 1, column 11"),
        ({"payload": "[7]"}, 'A JSON object is needed, such as {"shop": 7}; this is a list.'),
        ({"payload": "shop: 7"}, "Line 1 is not “name = value”"),
        ({"biz_appid": "wx <script>"}, "An appid is letters and digits"),
        ({"next_url": "https://evil.example/"}, "is not a page of this site"),
        ({"next_url": "nowhere:to_be_found"}, "This site has no page"),
        ({"expires": "other"}, "Enter the number of hours."),
        ({"expires": "other", "hours": "721"}, "less than or equal to 720"),
        ({"expires": "100000"}, "Select a valid choice"),
        ({"component": "nowhere"}, "Select a valid choice"),
        ({"auth_type": "everything"}, "Select a valid choice"),
        ({"category_ids": ["7", "99999"]}, "Select a valid choice"),
    ],
)
def test_invalid_input__is_explained_and_creates_nothing(
    platform: Platform, operator: Client, fields: dict[str, Any], message: str
) -> None:
    shown = make(operator, **fields).content.decode()
    assert message in shown.replace("&quot;", '"')
    assert "<script>" not in shown.replace("&lt;script&gt;", "")
    assert not AuthorizationLink.objects.exists()


@pytest.mark.parametrize(
    ("text", "payload"),
    [
        ("", {}),
        ("shop = 7\n\n name = 七号店 = 7 ", {"shop": 7, "name": "七号店 = 7"}),
        ('shop = "7"', {"shop": "7"}),
        ("店铺＝7\nnote＝a=b\nsum = 1＝1", {"店铺": 7, "note": "a=b", "sum": "1＝1"}),
        ("open = true", {"open": True}),
        ('{"shop": {"id": 7}}', {"shop": {"id": 7}}),
    ],
)
def test_tenant__is_written_as_lines_or_as_json(text: str, payload: dict[str, Any]) -> None:
    assert read_payload(text) == payload


@pytest.mark.parametrize("text", ["{", "[1]", "7", "= 7", "shop = 7\nx"])
def test_tenant_that_is_no_object__is_refused(text: str) -> None:
    with pytest.raises(ValidationError):
        read_payload(text)


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity", "1e999", "[" * 3900])
def test_value_that_no_database_takes__stays_the_text_that_it_is_in_a_line(
    platform: Platform, operator: Client, value: str
) -> None:
    make(operator, payload=f"shop = {value}")
    assert AuthorizationLink.objects.get().payload == {"shop": value}


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        ('{"shop": NaN}', "NaN"),
        ('{"shop": [-Infinity]}', "Infinity"),
        ('{"shop": 1e999}', "1e999"),
        (r'{"shop": "\u0000"}', "NUL"),
        (r'{"\ud800": 7}', "NUL"),
        (r'shop = "\udfff"', "NUL"),
        ('{"shop":' + "[" * 1900 + "]" * 1900 + "}", "nested"),
        ('{"shop":' + "[" * 40 + "]" * 40 + "}", "nested"),
    ],
)
def test_tenant_that_no_database_takes__is_refused(
    platform: Platform, operator: Client, payload: str, message: str
) -> None:
    assert message in make(operator, payload=payload).context["form"].errors["payload"][0]
    assert not AuthorizationLink.objects.exists()


def test_nested_tenant__is_kept_by_every_database(platform: Platform, operator: Client) -> None:
    deep = '{"shop": ' + "[" * 29 + '"😀"' + "]" * 29 + "}"
    make(operator, payload=deep)
    assert AuthorizationLink.objects.get().payload == json.loads(deep)


def test_own_time__is_taken(platform: Platform, operator: Client) -> None:
    make(operator, expires="other", hours="1.5")
    link = AuthorizationLink.objects.get()
    assert link.expires_at - link.created_at == timedelta(minutes=90)


@pytest.mark.parametrize("asked", ["appid", "account"])
def test_form_for_an_account__knows_its_platform_and_tenant(
    platform: Platform, operator: Client, account: Authorizer, asked: str
) -> None:
    before = authorization.begin(payload={"shop": 7})
    Authorizer.objects.update(granted_through=before)
    query = f"?appid={account.appid}" if asked == "appid" else f"?account={account.pk}"
    shown = operator.get(ADD + query).content.decode()

    assert f'value="{OFFICIAL}"' in shown
    assert "Corner Shop" in shown
    assert "{&quot;shop&quot;: 7}" in shown
    assert '<option value="all" selected>' in shown


def test_form__proposes_the_permission_sets_that_are_asked_for(platform: Platform, operator: Client) -> None:
    shown = operator.get(f"{ADD}?category_ids=18&category_ids=x").content.decode()
    assert re.findall(r'value="(\d+)" checked', shown) == ["18"]
    assert "Development management and data analysis" in shown
    boxes = re.findall(r'type="checkbox" name="category_ids" value="(\d+)"', shown)
    assert {int(box) for box in boxes} == set(permissions.NAMES)


@pytest.mark.parametrize(
    "query",
    [
        "?account=999",
        "?account=x",
        "?account=²",
        "?account=99999999999999999999",
        pytest.param(f"?account={'9' * 5000}", id="5000 digits"),
        "?appid=wxunknown",
        "?appid=%00",
        "?component=x",
        "?component=%00",
        "?category_ids=99999999999999999999",
    ],
)
def test_form_for_an_unknown_account__opens_all_the_same(platform: Platform, operator: Client, query: str) -> None:
    assert operator.get(ADD + query).status_code == 200


@pytest.mark.parametrize("asked", ["appid", "account"])
def test_form_for_an_account_whose_platform_is_gone__says_so(platform: Platform, operator: Client, asked: str) -> None:
    gone = Component.objects.create(appid="wxgone")
    account = Authorizer.objects.create(component=gone, appid=TEA)
    address = ADD + (f"?appid={TEA}" if asked == "appid" else f"?account={account.pk}")
    for answer in (operator.get(address), operator.post(address, {})):
        (text,) = (str(message) for message in answer.context["messages"])
        assert "Platform wxgone is stored" in text
        assert "to another platform" in text
    assert f'value="{TEA}"' in operator.get(address).content.decode()


@pytest.mark.parametrize("language", ["en", "zh-hans"])
def test_form__has_no_script_or_style_of_its_own(platform: Platform, operator: Client, language: str) -> None:
    shown = operator.get(ADD, headers={"Accept-Language": language}).content.decode()
    shown += make(operator).content.decode()
    assert not re.search(r"\sstyle=|\son\w+=|javascript:|<style", shown)
    assert not re.search(r"<script(?![^>]*\bsrc=)", shown)


def test_platform_without_settings__is_reported_in_the_form(db: None, operator: Client, settings: Any) -> None:
    settings.WECHAT_OPEN = {"COMPONENTS": {"default": {"APPID": "wx1"}}}
    shown = make(operator).content.decode()
    assert "APPSECRET" in shown
    assert not AuthorizationLink.objects.exists()


# -- who may -----------------------------------------------------------------------------------------------------------


def test_form__is_for_users_who_may_create_links(platform: Platform, viewer: Client) -> None:
    assert viewer.get(ADD).status_code == 403
    assert make(viewer).status_code == 403
    assert not AuthorizationLink.objects.exists()


def test_address_and_qr_code__are_for_users_who_may_share(viewer: Client, link: AuthorizationLink) -> None:
    for view_name in ("address", "qr"):
        answer = viewer.post(page(link, view_name))
        assert answer.status_code == 403
        assert key_of(link) not in answer.content.decode()
    assert "Show address" not in viewer.get(page(link)).content.decode()
    assert not noted(Kind.LINK_SHOWN)


def test_share_permission_without_view__is_not_enough(platform: Platform, link: AuthorizationLink) -> None:
    assert person("sharer", SHARE).post(page(link, "address")).status_code == 403


def test_key__is_nowhere_but_where_it_was_asked_for(operator: Client, link: AuthorizationLink) -> None:
    revoked = authorization.begin()
    authorization.revoke(revoked)
    pages = [rows(AuthorizationLink), ADD]
    for row in (link, revoked):
        pages += [page(row), page(row, "history"), page(row, "address"), page(row, "qr"), page(row, "delete")]
    for url in pages:
        answer = operator.get(url, follow=True)
        text = f"{answer.content!r} {answer.headers} {answer.redirect_chain}"
        assert key_of(link) not in text and key_of(revoked) not in text, url
        assert "authorize/link" not in text, url
    assert not noted(Kind.LINK_SHOWN), "a GET showed it"


def test_qr_code__is_a_file_for_no_cache(operator: Client, link: AuthorizationLink) -> None:
    png, svg = (operator.post(page(link, "qr"), {"format": kind}) for kind in ("png", "svg"))
    assert png.content == qr.picture(address_of(link), "png") and png.content.startswith(b"\x89PNG")
    assert svg.content == qr.picture(address_of(link), "svg") and b"<svg" in svg.content
    for answer, kind in ((png, "image/png"), (svg, "image/svg+xml")):
        assert answer["Content-Type"] == kind
        assert "no-store" in answer["Cache-Control"]
        assert answer["Content-Disposition"].startswith("attachment;")
    assert operator.get(page(link, "qr")).status_code == 405


@pytest.mark.parametrize("end", [{"completed_at": timezone.now()}, {"revoked_at": timezone.now()}, {"expires_at": 0}])
def test_address_that_cannot_be_opened__is_not_shown(
    operator: Client, link: AuthorizationLink, end: dict[str, Any]
) -> None:
    AuthorizationLink.objects.update(**{name: value or timezone.now() for name, value in end.items()})
    answer = operator.post(page(link, "address"), follow=True)
    assert "can no longer be opened" in answer.content.decode()
    assert key_of(link) not in answer.content.decode()
    assert not noted(Kind.LINK_SHOWN)


def test_key_that_cannot_be_decrypted__is_reported(operator: Client, link: AuthorizationLink) -> None:
    AuthorizationLink.objects.update(key=authorization.begin().key)
    answer = operator.post(page(link, "address"), follow=True)
    assert answer.status_code == 200
    assert "errornote" in answer.content.decode() or 'class="error"' in answer.content.decode()


@pytest.mark.urls("tests.admin.test_admin")
def test_site_without_our_urls__says_so(operator: Client, link: AuthorizationLink) -> None:
    answer = operator.post(page(link, "address"), follow=True)
    assert "does not include the URLs of wechat_open" in answer.content.decode()
    assert not noted(Kind.LINK_SHOWN)


def test_address__begins_with_the_registered_host(operator: Client, link: AuthorizationLink, settings: Any) -> None:
    settings.WECHAT_OPEN = settings.WECHAT_OPEN | {"SITE_URL": "https://shop.example"}
    shown = operator.post(page(link, "address")).content.decode()
    assert f"https://shop.example/wechat/authorize/link/{key_of(link)}/" in shown


def test_unknown_link__is_not_found(platform: Platform, operator: Client) -> None:
    for view_name in ("address", "qr", "change"):
        assert operator.post(reverse(f"admin:wechat_open_authorizationlink_{view_name}", args=[404])).status_code == 404


def test_forged_posts__are_refused(operator: Client, link: AuthorizationLink) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(User.objects.get(username="operator"))
    assert make(strict).status_code == 403
    assert strict.post(page(link, "address")).status_code == 403
    assert strict.post(page(link, "qr")).status_code == 403
    assert act(strict, "revoke", link, confirmed="yes").status_code == 403


# -- what became of it -------------------------------------------------------------------------------------------------


def test_page__names_the_visitor_and_the_device(viewer: Client, link: AuthorizationLink) -> None:
    assert "It has not been opened yet." in viewer.get(page(link)).content.decode()
    view(link, device="wechat")
    view(link, device="pc", user=User.objects.get(username="viewer"))
    shown = viewer.get(page(link)).content.decode()

    assert "It was opened 2 times." in shown
    assert "on a phone, in WeChat" in shown and "on a computer" in shown
    assert "not signed in" in shown and "<td>viewer</td>" in shown
    assert "七号店" in shown
    assert "opened 2 times" in viewer.get(rows(AuthorizationLink)).content.decode()


def test_connect_page__records_the_visitor(link: AuthorizationLink, viewer: Client) -> None:
    phone = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) Version/17.0 Mobile/15E148 Safari/604.1"
    wechat = f"{phone} MicroMessenger/8.0.40"
    for browser, agent in ((Client(), wechat), (Client(), phone), (viewer, "Mozilla/5.0 (Windows NT 10.0)")):
        assert browser.get(link.get_absolute_url(), headers={"User-Agent": agent}).status_code == 200
    Client().get(link.get_absolute_url())
    views = AuthorizationAttempt.objects.order_by("pk").values_list("device", "user__username")
    assert list(views) == [("wechat", None), ("phone", None), ("pc", "viewer"), ("", None)]


def test_page_of_a_used_link__leads_to_the_account(
    wechat: Simulator, platform: Platform, viewer: Client, link: AuthorizationLink
) -> None:
    process(platform, wechat.engine.authorize(OFFICIAL, pre_auth_code=code_in(view(link))).push)
    account = Authorizer.objects.get()
    shown = viewer.get(page(link)).content.decode()

    assert "An account was connected through it on" in shown
    assert f'<a href="{page(account)}">Corner Shop</a>' in shown
    assert ">used</span>" in shown
    assert "Show address" not in shown and "Revoke" not in shown


def test_page_of_an_expired_link__says_so(viewer: Client, link: AuthorizationLink) -> None:
    AuthorizationLink.objects.update(expires_at=timezone.now() - timedelta(hours=1))
    assert "unused. It has not been opened yet." in viewer.get(page(link)).content.decode()


OTHER = "wx0a1b2c3d4e5f6072"


@pytest.fixture
def stray(wechat: Simulator, platform: Platform, link: AuthorizationLink) -> Authorizer:
    """An account that came through the link of another."""
    wechat.engine.add_account("Side Door", "official", appid=OTHER)
    process(platform, wechat.engine.authorize(OTHER, pre_auth_code=code_in(view(link))).push)
    account = Authorizer.objects.get()
    assert (account.appid, account.granted_through) == (OTHER, None)
    return account


STRAYED = f"Another account completed the authorization: Side Door ({OTHER}). The grant is kept, without a tenant."


def test_other_account_than_expected__is_shown_on_the_page_and_in_the_list(
    viewer: Client, link: AuthorizationLink, stray: Authorizer
) -> None:
    shown = viewer.get(page(link)).content.decode()
    assert STRAYED in shown and STRAYED in viewer.get(rows(AuthorizationLink)).content.decode()
    assert "The expected account has not authorized yet; the link can be opened for" in shown
    assert "No account has authorized" not in shown

    AuthorizationLink.objects.update(expires_at=timezone.now())
    shown = viewer.get(page(link)).content.decode()
    assert STRAYED in shown and "; the expected account did not authorize." in shown
    assert "unused" not in shown


def test_second_account_through_a_used_link__is_shown_as_a_stray(
    wechat: Simulator, platform: Platform, viewer: Client
) -> None:
    wechat.engine.add_account("Side Door", "official", appid=OTHER)
    link = authorization.begin()
    codes = []
    for _ in range(2):
        codes.append(code_in(view(link)))
        AuthorizationLink.objects.update(pre_auth_code_shared_until=None)  # as after some minutes
    for appid, code in zip((OFFICIAL, OTHER), codes, strict=True):
        process(platform, wechat.engine.authorize(appid, pre_auth_code=code).push)

    assert Authorizer.objects.get(appid=OTHER).granted_through is None
    assert Authorizer.objects.get(appid=OFFICIAL).granted_through == link
    for address in (page(link), rows(AuthorizationLink)):
        shown = viewer.get(address).content.decode()
        assert shown.count(STRAYED) == 1
        assert "Corner Shop" in shown


def test_link_of_a_user_who_has_left__is_shown_as_such(wechat: Simulator, platform: Platform, viewer: Client) -> None:
    maker = User.objects.create_user("maker")
    link = authorization.begin(user=maker)
    url = view(link)
    maker.delete()
    assert "its user has no access to this site any more" in viewer.get(page(link)).content.decode()
    process(platform, wechat.engine.authorize(OFFICIAL, pre_auth_code=code_in(url)).push)

    text = f"Its user had left when Corner Shop ({OFFICIAL}) came through it. The grant is kept, without a tenant."
    assert text in viewer.get(page(link)).content.decode()


def test_expected_account_after_another__leaves_the_other_shown(
    wechat: Simulator, platform: Platform, viewer: Client, link: AuthorizationLink, stray: Authorizer
) -> None:
    process(platform, wechat.engine.authorize(OFFICIAL, pre_auth_code=code_in(view(link))).push)
    for address in (page(link), rows(AuthorizationLink)):
        shown = viewer.get(address).content.decode()
        assert shown.count(STRAYED) == 1
        assert f'<a href="{page(Authorizer.objects.get(appid=OFFICIAL))}">Corner Shop</a>' in shown


def test_account_that_was_welcome__is_no_stray(wechat: Simulator, platform: Platform, viewer: Client) -> None:
    """The expected one, or any where none is expected."""
    wechat.engine.add_account("Side Door", "official", appid=OTHER)
    for appid, link in {OFFICIAL: authorization.begin(biz_appid=OFFICIAL), OTHER: authorization.begin()}.items():
        process(platform, wechat.engine.authorize(appid, pre_auth_code=code_in(view(link))).push)
        assert "without a tenant" not in viewer.get(page(link)).content.decode()
    assert "without a tenant" not in viewer.get(rows(AuthorizationLink)).content.decode()


def test_list__costs_as_many_queries_for_many_as_for_one(
    viewer: Client, platform: Platform, django_assert_max_num_queries: Any
) -> None:
    for number in range(30):
        Authorizer.objects.create(component=platform.row, appid=f"wx{number}", nick_name=f"Shop {number}")
        view(authorization.begin(biz_appid=f"wx{number}", user=User.objects.get(username="viewer")))
    viewer.get(rows(AuthorizationLink))  # once in a process, Django finds out whether SQLite has JSON
    with django_assert_max_num_queries(8):
        shown = viewer.get(rows(AuthorizationLink)).content.decode()
    assert shown.count('class="wechat-open-avatar') == 30


def test_link_for_an_account__names_it(platform: Platform, viewer: Client, tea: Authorizer) -> None:
    """As those are that an owner is asked with to authorize again."""
    asked = authorization.begin(biz_appid=tea.appid)
    named = f'<a href="{page(tea)}">Tea &amp; Co</a>'
    assert named in viewer.get(rows(AuthorizationLink)).content.decode()
    assert named in viewer.get(page(asked)).content.decode()


def test_link_for_another_platforms_account__does_not_name_it(platform: Platform, viewer: Client) -> None:
    other = Component.objects.create(appid="wxother")
    Authorizer.objects.create(component=other, appid=OFFICIAL, nick_name="Another Shop")
    link = authorization.begin(biz_appid=OFFICIAL)
    for address in (rows(AuthorizationLink), page(link)):
        shown = viewer.get(address).content.decode()
        assert "Another Shop" not in shown and OFFICIAL in shown


# -- finding -----------------------------------------------------------------------------------------------------------


def test_states__are_found(viewer: Client, platform: Platform) -> None:
    links = {state: authorization.begin() for state in ("open", "used", "expired", "revoked")}
    now = timezone.now()
    for state, columns in {
        "used": {"completed_at": now},
        "expired": {"expires_at": now - timedelta(hours=1)},
        "revoked": {"revoked_at": now},
    }.items():
        AuthorizationLink.objects.filter(pk=links[state].pk).update(**columns)
    for state, link in links.items():
        assert found(viewer, AuthorizationLink, f"?state={state}") == [link.pk]
    assert len(found(viewer, AuthorizationLink, "?state=nonsense")) == 4


@pytest.mark.parametrize("word", [OFFICIAL, "maker", "corner", "CORNER SHOP"])
def test_links__are_found_by_account_and_maker(
    platform: Platform, viewer: Client, account: Authorizer, word: str
) -> None:
    user = User.objects.create_user("maker")
    mine = authorization.begin(biz_appid=OFFICIAL, user=user)
    authorization.begin(biz_appid="wxother")
    assert found(viewer, AuthorizationLink, f"?q={word}") == [mine.pk]


@dataclass
class People:
    """A site's own users, who sign in by something that is no text."""

    USERNAME_FIELD: str
    _default_manager: Any = User._default_manager


@pytest.mark.parametrize("name", ["id", "date_joined"])
def test_people_whose_names_are_no_texts__are_not_found_by_one(db: None, name: str) -> None:
    assert people_called("tea", People(name)) == []


def test_people__are_found_by_whatever_they_sign_in_with(db: None) -> None:
    user = User.objects.create_user("maker")
    assert people_called("maker", People("username")) == people_called(str(user.pk), People("id")) == [user.pk]


def test_used_links__are_found_by_the_account_that_came(
    platform: Platform, viewer: Client, account: Authorizer
) -> None:
    mine = authorization.begin()
    AuthorizationLink.objects.update(authorizer=account)
    authorization.begin()
    assert found(viewer, AuthorizationLink, f"?q={OFFICIAL}") == [mine.pk]


# -- taking back -------------------------------------------------------------------------------------------------------


def test_revoking__is_confirmed_done_and_recorded(operator: Client, link: AuthorizationLink) -> None:
    asked = act(operator, "revoke", link, back_to=link.pk).content.decode()
    assert "Revoke this link?" in asked and "without a tenant" in asked
    link.refresh_from_db()
    assert link.revoked_at is None

    answer = act(operator, "revoke", link, confirmed="yes", back_to=link.pk)
    assert answer.redirect_chain == [(page(link), 302)]
    link.refresh_from_db()
    assert link.revoked_at
    assert "operator revoked it on" in answer.content.decode()
    (entry,) = noted(Kind.LINK_REVOKED)
    assert (entry.actor, entry.appid, entry.detail) == ("operator", OFFICIAL, f"#{link.pk}")


def test_question__takes_as_long_for_a_thousand_as_for_sixty(
    operator: Client, platform: Platform, tea: Authorizer, django_assert_num_queries: Any
) -> None:
    """It reads and names the first few, and sends no more than it was sent."""
    link = authorization.begin(biz_appid=TEA)
    some(link, 59)
    across = {"action": "revoke", "index": 0, "_selected_action": [0], "select_across": 1}
    with CaptureQueriesContext(connection) as before:
        few = operator.post(rows(AuthorizationLink), across)
    some(link, 945)
    with django_assert_num_queries(len(before)):
        many = operator.post(rows(AuthorizationLink), across)

    assert "Revoke 60 links?" in few.content.decode() and "Revoke 1000 links?" in many.content.decode()
    assert "and 990 more" in many.content.decode() and "Only 1000 are revoked at once" in many.content.decode()
    assert many.content.decode().count("Tea &amp; Co") == 10
    assert len(many.content) - len(few.content) < 500
    assert AuthorizationLink.objects.filter(revoked_at__isnull=False).count() == 0


def test_all_that_a_filter_leaves__are_revoked_by_the_answer_to_the_question(
    operator: Client, platform: Platform, settings: Any
) -> None:
    """Each as a field of its own would be more fields than Django takes."""
    settings.DATA_UPLOAD_MAX_NUMBER_FIELDS = 50
    some(authorization.begin(), 59)
    used = authorization.begin()
    AuthorizationLink.objects.filter(pk=used.pk).update(completed_at=timezone.now())
    across = {"action": "revoke", "index": 0, "_selected_action": [0], "select_across": 1}
    list_url = rows(AuthorizationLink, "?state=open")
    shown = operator.post(list_url, across).content.decode()
    answer = re.findall(r'<input type="hidden" name="(?!csrf)(\w+)" value="([^"]*)">', shown)

    assert operator.post(list_url, dict(answer)).status_code == 302
    assert AuthorizationLink.objects.filter(revoked_at__isnull=False).count() == 60
    assert not AuthorizationLink.objects.filter(pk=used.pk, revoked_at__isnull=False).exists()


def test_revoking__needs_its_permission(maker: Client, link: AuthorizationLink) -> None:
    act(maker, "revoke", link, confirmed="yes")
    link.refresh_from_db()
    assert link.revoked_at is None
    assert "Revoke" not in maker.get(page(link)).content.decode()


def test_many__are_revoked_and_used_ones_are_left(operator: Client, platform: Platform, account: Authorizer) -> None:
    links = [authorization.begin() for _ in range(3)]
    AuthorizationLink.objects.filter(pk=links[0].pk).update(completed_at=timezone.now(), authorizer=account)
    text = act(operator, "revoke", *links, confirmed="yes").content.decode()

    assert "2 links were revoked." in text and "One link has been used already" in text
    assert AuthorizationLink.objects.filter(revoked_at__isnull=False).count() == 2
    assert len(noted(Kind.LINK_REVOKED)) == 2


def test_revoked_link__opens_no_more(operator: Client, link: AuthorizationLink) -> None:
    act(operator, "revoke", link, confirmed="yes")
    answer = Client().get(link.get_absolute_url())
    assert answer.status_code == 403
    assert b"This link has been revoked. Ask for a new one." in answer.content
    with pytest.raises(LinkRevoked):
        authorization.open_link(key_of(link))


def test_revoking_twice__is_as_good_as_once(platform: Platform, link: AuthorizationLink) -> None:
    assert authorization.revoke(link) and authorization.revoke(link)
    assert len(noted(Kind.LINK_REVOKED)) == 1


def test_used_link__is_revoked_no_more(wechat: Simulator, platform: Platform, link: AuthorizationLink) -> None:
    process(platform, wechat.engine.authorize(OFFICIAL, pre_auth_code=code_in(view(link))).push)
    assert not authorization.revoke(link)
    link.refresh_from_db()
    assert link.revoked_at is None and link.completed_at


@pytest.mark.parametrize("way", ["redirect", "push", "redirect, then push", "push, then redirect"])
def test_grant_through_a_revoked_link__is_kept_for_no_tenant(
    wechat: Simulator, platform: Platform, link: AuthorizationLink, viewer: Client, way: str
) -> None:
    url = view(link)
    authorization.revoke(link)
    granted = wechat.engine.authorize(OFFICIAL, pre_auth_code=code_in(url))
    attempt = authorization.find_attempt(state_in(url), BROWSER)
    for step in way.split(", then "):
        if step == "push":
            assert process(platform, granted.push)
        else:
            with pytest.raises(LinkRevoked):
                authorization.complete_redirect(attempt, Secret(granted.code))

    account = Authorizer.objects.get()
    assert account.state == Authorizer.State.AUTHORIZED
    assert account.reveal("refresh_token")
    assert account.granted_through is None
    link.refresh_from_db()
    assert (link.completed_at, link.authorizer) == (None, None)
    for address in (page(link), rows(AuthorizationLink)):
        assert "through it all the same. The grant is kept, without a tenant." in viewer.get(address).content.decode()


def test_link_revoked_while_the_grant_is_taken__brings_no_tenant(
    wechat: Simulator, platform: Platform, link: AuthorizationLink, monkeypatch: pytest.MonkeyPatch
) -> None:
    granted = wechat.engine.authorize(OFFICIAL, pre_auth_code=code_in(view(link)))
    keep = authorization.grants.custody.keep

    def revoked_meanwhile(*args: Any, **how: Any) -> Authorizer:
        account = keep(*args, **how)
        assert account.granted_through_id == link.pk
        authorization.revoke(link)
        return account

    monkeypatch.setattr(authorization.grants.custody, "keep", revoked_meanwhile)
    process(platform, granted.push)

    account = Authorizer.objects.get()
    assert account.granted_through is None and account.reveal("refresh_token")
    link.refresh_from_db()
    assert link.revoked_at and not link.completed_at


def test_return_through_a_revoked_link_that_cannot_be_exchanged__is_refused_all_the_same(
    platform: Platform, link: AuthorizationLink
) -> None:
    url = view(link)
    authorization.revoke(link)
    with pytest.raises(LinkRevoked):
        authorization.complete_redirect(authorization.find_attempt(state_in(url), BROWSER), Secret("made up"))


def test_owner_who_comes_back_through_a_revoked_link__is_shown(
    wechat: Simulator, platform: Platform, link: AuthorizationLink
) -> None:
    owner = Client()
    shown = owner.get(link.get_absolute_url()).content.decode()
    url = re.findall(r'id="pc-link" href="([^"]+)"', shown)[0]
    authorization.revoke(link)
    granted = wechat.engine.authorize(OFFICIAL, pre_auth_code=code_in(url))
    for query in ({"auth_code": granted.code}, {}):
        answer = owner.get(f"/wechat/authorized/{state_in(url)}/", query)
        assert answer.status_code == 403
        assert b"This link has been revoked" in answer.content
    assert Authorizer.objects.get().granted_through is None


def test_used_link__refuses_as_before(wechat: Simulator, platform: Platform, link: AuthorizationLink) -> None:
    process(platform, wechat.engine.authorize(OFFICIAL, pre_auth_code=code_in(view(link))).push)
    with pytest.raises(AuthorizationRefused, match="has been used"):
        authorization.open_link(key_of(link))


def test_views__are_kept_for_a_month(platform: Platform, link: AuthorizationLink, later: Later) -> None:
    view(link)
    later(timedelta(days=29))
    authorization.prune()
    assert AuthorizationAttempt.objects.exists()
    later(timedelta(days=3))
    authorization.prune()
    assert not AuthorizationAttempt.objects.exists()


def test_staff_connect_page__is_in_the_audit_trail(platform: Platform, maker: Client) -> None:
    maker.get("/wechat/authorize/")
    assert not noted(Kind.LINK_MADE)
    maker.post("/wechat/authorize/")
    (entry,) = noted(Kind.LINK_MADE)
    assert (entry.actor, entry.detail) == ("maker", f"#{AuthorizationLink.objects.get().pk}")


@pytest.mark.parametrize("language", ["en", "zh-hans"])
def test_pages__speak_the_readers_language(operator: Client, link: AuthorizationLink, language: str) -> None:
    operator.cookies.load({site.LANGUAGE_COOKIE_NAME: language})
    shown = operator.get(ADD).content.decode()
    assert ("小程序开发管理与数据分析" in shown) is (language == "zh-hans")
    assert "七号店" in operator.get(page(link)).content.decode()

"""What happens when WeChat sends an owner back, and which returns are refused."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.conf import settings as site
from django.http import HttpResponse
from django.test import Client

from tests.stage import OFFICIAL, process
from tests.views.test_connect import links
from wechat_open import authorization
from wechat_open.models import AuditEntry, AuthorizationLink, Authorizer, CodeExchange
from wechat_open.platforms import Platform
from wechat_open.simulator import Simulator

QUERY_AUTH = "/cgi-bin/component/api_query_auth"


class Owner:
    """The owner of an account: opens a connect page, confirms at WeChat, is sent back."""

    def __init__(self, wechat: Simulator, link: AuthorizationLink | None = None, client: Client | None = None) -> None:
        self.wechat = wechat
        self.link = link or authorization.begin()
        self.client = client or Client()
        self.asked = links(self.client.get(self.link.get_absolute_url()))["pc-link"]
        self.clean_path = urlsplit(self.asked["redirect_uri"][0]).path
        self.code = ""

    def confirm(self, appid: str = OFFICIAL) -> str:
        """Confirm; the path with the query that WeChat sends her to."""
        answer = self.wechat.control(
            "authorize",
            appid=appid,
            pre_auth_code=self.asked["pre_auth_code"][0],
            redirect_uri=self.asked["redirect_uri"][0],
            push=False,
        )
        self.code = answer["auth_code"]
        return str(answer["redirect_to"]).removeprefix("http://testserver")

    def come_back(self, appid: str = OFFICIAL, **extra: Any) -> HttpResponse:
        return self.client.get(self.confirm(appid), **extra)


@pytest.fixture
def owner(wechat: Simulator, platform: Platform) -> Owner:
    return Owner(wechat)


def asked(wechat: Simulator) -> int:
    """How often a code was exchanged."""
    return int(wechat.state()["calls"].get(QUERY_AUTH, 0))


def test_return__stores_the_grant_and_goes_on_to_a_clean_address(owner: Owner) -> None:
    response = owner.come_back()

    assert (response.status_code, response["Location"]) == (303, owner.clean_path)
    assert Authorizer.objects.get().appid == OFFICIAL
    assert AuthorizationLink.objects.get().authorizer == Authorizer.objects.get()


def test_return__leaks_neither_code_nor_state(owner: Owner) -> None:
    response = owner.come_back()

    assert response["Referrer-Policy"] == "no-referrer"
    assert "no-store" in response["Cache-Control"]
    assert owner.code not in str(response.headers)
    assert owner.client.get(owner.clean_path)["Referrer-Policy"] == "no-referrer"


def test_result__names_the_account_and_what_was_granted(owner: Owner) -> None:
    page = owner.client.get(owner.come_back()["Location"]).content.decode()

    assert "Corner Shop" in page
    assert OFFICIAL in page
    assert "<li>Messages</li>" in page
    assert "/admin/" not in page


def test_result__is_in_chinese(owner: Owner) -> None:
    page = owner.client.get(owner.come_back()["Location"], headers={"Accept-Language": "zh-hans"}).content.decode()

    assert '<html lang="zh-hans">' in page
    assert "<li>消息管理</li>" in page


def test_result__leads_staff_to_the_account(wechat: Simulator, platform: Platform, admin_client: Client) -> None:
    owner = Owner(wechat, client=admin_client)
    page = admin_client.get(owner.come_back()["Location"]).content.decode()
    assert f"/admin/wechat_open/authorizer/{Authorizer.objects.get().pk}/change/" in page


def test_result_at_a_site_without_the_admin__does_without_it(
    wechat: Simulator, platform: Platform, admin_client: Client, settings: Any
) -> None:
    settings.ROOT_URLCONF = "tests.views.test_connect"
    owner = Owner(wechat, client=admin_client)
    page = admin_client.get(owner.come_back()["Location"]).content.decode()
    assert "Corner Shop" in page
    assert "/admin/" not in page


def test_reload__changes_nothing_and_asks_wechat_nothing(owner: Owner, wechat: Simulator) -> None:
    address = owner.confirm()
    first, second = owner.client.get(address), owner.client.get(address)

    assert (first.status_code, second.status_code) == (303, 303)
    assert Authorizer.objects.count() == 1
    assert asked(wechat) == 1


def test_push_that_came_first__makes_the_return_no_less_welcome(
    owner: Owner, wechat: Simulator, platform: Platform
) -> None:
    done = wechat.engine.authorize(OFFICIAL, pre_auth_code=owner.asked["pre_auth_code"][0])
    assert done.push is not None
    process(platform, done.push)

    response = owner.client.get(owner.clean_path, {"auth_code": done.code, "expires_in": "3600"})

    assert response.status_code == 303
    assert asked(wechat) == 1


def test_result_page_before_anything_was_confirmed__leads_back(owner: Owner) -> None:
    page = owner.client.get(owner.clean_path).content.decode()
    assert "Not connected yet" in page
    assert owner.link.get_absolute_url() in page


# Refused


def test_other_browser__exchanges_nothing(owner: Owner, wechat: Simulator) -> None:
    """Or an attacker could finish an authorization in another user's browser."""
    stranger = Client()
    stranger.get(owner.link.get_absolute_url())  # with a secret of its own
    response = stranger.get(owner.confirm())

    assert response.status_code == 403
    assert (asked(wechat), CodeExchange.objects.count()) == (0, 0)
    assert owner.link.get_absolute_url().encode() not in response.content


def test_browser_without_a_cookie__exchanges_nothing(owner: Owner, wechat: Simulator) -> None:
    response = Client().get(owner.confirm())

    assert response.status_code == 403
    assert b"did not exchange the code" in response.content
    assert b"the account appears by itself" in response.content
    assert asked(wechat) == 0


def test_unknown_state__exchanges_nothing(owner: Owner, wechat: Simulator) -> None:
    owner.confirm()
    response = owner.client.get("/wechat/authorized/unknown/", {"auth_code": owner.code})

    assert response.status_code == 403
    assert response["Referrer-Policy"] == "no-referrer"
    assert owner.code.encode() not in response.content
    assert asked(wechat) == 0


def test_expired_state__exchanges_nothing(owner: Owner, wechat: Simulator, later: Callable[[timedelta], None]) -> None:
    address = owner.confirm()
    later(timedelta(hours=2))

    assert owner.client.get(address).status_code == 403
    assert asked(wechat) == 0


def test_state__is_good_for_one_code(owner: Owner, wechat: Simulator) -> None:
    owner.come_back()
    other = wechat.control("authorize", appid=OFFICIAL, push=False)["auth_code"]

    assert owner.client.get(owner.clean_path, {"auth_code": other}).status_code == 403
    assert asked(wechat) == 1


def test_code_of_another_authorization__is_refused_and_reported(owner: Owner, wechat: Simulator) -> None:
    owner.come_back()
    stranger = Owner(wechat)
    response = stranger.client.get(stranger.clean_path, {"auth_code": owner.code})

    assert response.status_code == 403
    assert b"belongs to another authorization" in response.content
    assert b"Corner Shop" not in response.content
    assert b"Not connected yet" in stranger.client.get(stranger.clean_path).content
    assert AuditEntry.objects.filter(kind=AuditEntry.Kind.CODE_MISUSED).count() == 1


def test_another_account_through_a_used_link__gets_instructions(wechat: Simulator, platform: Platform) -> None:
    wechat.control("accounts", nick_name="Other Shop", kind="official", appid="wx00000000000000aa")
    first = Owner(wechat)
    AuthorizationLink.objects.update(pre_auth_code_shared_until=None)  # as after some minutes
    second = Owner(wechat, first.link)
    assert first.come_back().status_code == 303
    response = second.come_back("wx00000000000000aa")

    assert response.status_code == 409
    assert b"a link connects one" in response.content
    assert Authorizer.objects.get(appid="wx00000000000000aa").granted_through is None
    assert b"Corner Shop" not in second.client.get(second.clean_path).content


def test_page_of_a_browser_that_brought_no_account__shows_none(owner: Owner, wechat: Simulator) -> None:
    """It holds the link and has presented a made-up code; the account came in another browser."""
    other = Owner(wechat, owner.link)
    other.client.get(other.clean_path, {"auth_code": "queryauthcode@@@made-up"})
    owner.come_back()

    assert b"Corner Shop" not in other.client.get(other.clean_path).content
    assert b"Corner Shop" in owner.client.get(owner.clean_path).content


def test_code_that_wechat_refuses__is_not_to_be_tried_again(owner: Owner) -> None:
    response = owner.client.get(owner.clean_path, {"auth_code": "queryauthcode@@@made-up"})

    assert response.status_code == 403
    assert b"does not accept the code" in response.content
    assert not response.has_header("Retry-After")


def test_code_that_wechat_refuses__costs_wechat_one_call(
    owner: Owner, wechat: Simulator, later: Callable[[timedelta], None]
) -> None:
    """However often a reader of the link presents made-up codes."""
    for _ in range(3):
        response = owner.client.get(owner.clean_path, {"auth_code": "queryauthcode@@@made-up"})
        assert (response.status_code, b"does not accept the code" in response.content) == (403, True)
        later(timedelta(minutes=10))

    assert asked(wechat) == 1


@pytest.mark.parametrize("who", ["the link's user", "the operator who opened it"])
def test_return_of_a_user_who_has_left__is_refused(
    wechat: Simulator, platform: Platform, admin_user: Any, admin_client: Client, who: str
) -> None:
    link = authorization.begin(user=admin_user) if who == "the link's user" else authorization.begin()
    owner = Owner(wechat, link, admin_client)
    address = owner.confirm()
    type(admin_user).objects.update(is_active=False)
    response = owner.client.get(address)

    assert response.status_code == 403
    assert b"has no access to this site any more" in response.content
    assert (asked(wechat), CodeExchange.objects.count()) == (0, 0)


def test_page_of_an_owner__needs_no_login(owner: Owner, settings: Any) -> None:
    settings.MIDDLEWARE = [*site.MIDDLEWARE, "django.contrib.auth.middleware.LoginRequiredMiddleware"]
    assert owner.come_back().status_code == 303


def test_other_account_than_the_link_was_made_for__is_reported(wechat: Simulator, platform: Platform) -> None:
    """And its tenant does not get it, however often the page is loaded."""
    wechat.control("accounts", nick_name="Other Shop", kind="official", appid="wx00000000000000aa")
    owner = Owner(wechat, authorization.begin(biz_appid=OFFICIAL, payload={"shop": 7}))
    address = owner.confirm("wx00000000000000aa")

    for _ in range(2):
        response = owner.client.get(address)
        assert response.status_code == 409
        assert b"wx00000000000000aa" in response.content
        assert not AuthorizationLink.objects.filter(completed_at__isnull=False).exists()
        assert Authorizer.objects.get().granted_through is None


# Failures at WeChat


@pytest.mark.parametrize("fault", [{"errcode": 61004}, {"errcode": -1}, {"status": 502}, {"garbage": True}])
def test_error_at_wechat__can_be_tried_again_after_some_seconds(
    owner: Owner, wechat: Simulator, fault: dict[str, Any], later: Callable[[timedelta], None]
) -> None:
    wechat.control("faults", path=QUERY_AUTH, times=1, **fault)
    address = owner.confirm()
    failed, *at_once = (owner.client.get(address) for _ in range(4))
    assert [response.status_code for response in at_once] == [503] * 3
    assert asked(wechat) == 1
    later(timedelta(seconds=6))
    repeated = owner.client.get(address)

    assert (failed.status_code, failed["Retry-After"]) == (503, "10")
    assert owner.code.encode() not in failed.content
    assert b"61004" not in failed.content
    assert repeated.status_code == 303


def test_error_at_wechat__is_explained_to_staff(wechat: Simulator, platform: Platform, admin_client: Client) -> None:
    owner = Owner(wechat, client=admin_client)
    wechat.control("faults", path=QUERY_AUTH, times=1, errcode=61004)
    assert b"61004" in owner.come_back().content


# Where next


@pytest.mark.parametrize(
    ("next_url", "location"),
    [
        ("/shops/7/", "/shops/7/"),
        ("http://testserver/shops/7/", "http://testserver/shops/7/"),
        ("admin:index", "/admin/"),
    ],
)
def test_owner__goes_where_the_link_says(wechat: Simulator, platform: Platform, next_url: str, location: str) -> None:
    owner = Owner(wechat, authorization.begin(next_url=next_url))
    assert owner.come_back()["Location"] == location


def test_owner__goes_where_the_setting_says(owner: Owner, settings: Any) -> None:
    settings.WECHAT_OPEN = settings.WECHAT_OPEN | {"AFTER_AUTHORIZE": "admin:index"}
    assert owner.come_back()["Location"] == "/admin/"


@pytest.mark.parametrize(
    "next_url", ["https://evil.example/", "//evil.example/", "https:evil", "javascript:alert(1)", "nowhere:to_be_found"]
)
def test_other_sites_and_unknown_pages__are_not_gone_to(wechat: Simulator, platform: Platform, next_url: str) -> None:
    owner = Owner(wechat, authorization.begin(next_url=next_url))
    assert owner.come_back()["Location"] == owner.clean_path


def test_query__has_no_say_in_where_to_go(owner: Owner) -> None:
    address = owner.confirm() + "&next=https://evil.example/&next_url=https://evil.example/"
    assert owner.client.get(address)["Location"] == owner.clean_path


def test_strange_queries__are_harmless(owner: Owner) -> None:
    for query in ("%ff=%fe", "auth_code=%00&auth_code=%00", "auth_code=" + "x" * 5000, "&" * 500, "auth_code=%F0%9F"):
        response = owner.client.get(owner.clean_path, QUERY_STRING=query)
        assert response.status_code < 500 or response.has_header("Retry-After")


def test_the_address_wechat_is_given__is_the_one_that_answers(owner: Owner) -> None:
    assert parse_qs(urlsplit(owner.confirm()).query)["auth_code"] == [owner.code]


def test_restricted_account__gets_the_reason(owner: Owner, wechat: Simulator) -> None:
    """Another attempt would be answered in the same way."""
    wechat.faults.add(QUERY_AUTH, "errcode", 50002, times=100)
    response = owner.come_back()

    assert response.status_code == 403
    assert "Retry-After" not in response
    text = response.content.decode()
    assert "WeChat restricts this account" in text
    assert "frozen or closed" in text
    assert "Try again" not in text

"""The shop's pages, and the receivers of signals."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.core.cache import cache
from django.test import TestCase, TransactionTestCase, override_settings
from django.urls import reverse

from example_project.shop.models import Shop
from wechat_open.db.times import utc_now
from wechat_open.models import AuthorizationLink, Authorizer, Component
from wechat_open.signals import announce, authorizer_authorized
from wechat_open.simulator import DEMO_OFFICIAL, Simulator

User = get_user_model()


def an_account(**columns: Any) -> Authorizer:
    now = utc_now()
    return Authorizer.objects.create(
        **{
            "component": Component.objects.get_or_create(appid="wx0000000000000001")[0],
            "appid": "wx0000000000000002",
            "nick_name": "山茶书店",
            "kind": Authorizer.Kind.OFFICIAL,
            "func_info": [1, 2, 3, 4, 6, 7, 8],
            "access_token_obtained_at": now,
            "access_token_expires_at": now + timedelta(hours=2),
            **columns,
        },
    )


class HomeTests(TestCase):
    def setUp(self) -> None:
        self.owner = User.objects.create_user("owner")
        self.shop = Shop.objects.create(name="Camellia", owner=self.owner)

    def test_a_stranger_sees_what_this_is_and_no_account(self) -> None:
        self.shop.accounts.add(an_account())

        page = self.client.get("/")

        self.assertContains(page, "Your shop, at home in WeChat")
        self.assertNotContains(page, "山茶书店")

    def test_an_owner_sees_accounts_in_words(self) -> None:
        self.shop.accounts.add(an_account())
        self.client.force_login(self.owner)

        page = self.client.get("/")

        for text in ("山茶书店", "official account", "Messages", "1 more", "Token: 1 h 59 min left", "authorized"):
            self.assertContains(page, text)

    def test_a_short_validity_is_shown_in_seconds(self) -> None:
        self.shop.accounts.add(an_account(access_token_expires_at=utc_now() + timedelta(seconds=15.9)))
        self.client.force_login(self.owner)

        self.assertContains(self.client.get("/"), "Token: 15 s left")

    def test_machines_can_read_every_number(self) -> None:
        """Whatever the site's language does to numbers: bars and addresses are not for people."""
        shop = Shop.objects.create(pk=1_234_567, name="Camellia", owner=self.owner)
        shop.accounts.add(an_account(pk=1_234_567))
        self.client.force_login(self.owner)

        with self.settings(USE_THOUSAND_SEPARATOR=True):
            page = self.client.get("/")

        self.assertContains(page, '<progress max="7200" value="71')
        self.assertContains(page, 'aria-labelledby="shop-1234567"')
        self.assertContains(page, 'id="shop-1234567"')
        self.assertNotContains(page, "234,567")

    def test_an_owner_sees_only_their_own_accounts(self) -> None:
        other = Shop.objects.create(name="Other", owner=User.objects.create_user("other"))
        other.accounts.add(an_account())
        self.client.force_login(self.owner)

        self.assertNotContains(self.client.get("/"), "山茶书店")

    def test_staff_see_accounts_of_no_shop(self) -> None:
        an_account()
        self.client.force_login(User.objects.create_superuser("staff"))

        self.assertContains(self.client.get("/"), "Accounts of no shop")

    def test_chinese_for_a_browser_that_asks_for_it(self) -> None:
        self.shop.accounts.add(an_account())
        self.client.force_login(self.owner)

        page = self.client.get("/", headers={"Accept-Language": "zh-CN,zh;q=0.9"})

        for text in ("让您的店，在微信里安家", "接入账号", "消息管理", "还有 1 项", "向微信问声好"):
            self.assertContains(page, text)

    def test_the_switch_changes_the_language(self) -> None:
        self.client.post(reverse("set_language"), {"language": "zh-hans", "next": "/"})

        self.assertContains(self.client.get("/"), "让您的店，在微信里安家")

    def test_a_cancelled_account_can_be_connected_again(self) -> None:
        self.shop.accounts.add(an_account(state=Authorizer.State.UNAUTHORIZED))
        self.client.force_login(self.owner)

        page = self.client.get("/")

        self.assertContains(page, "Connect again")
        self.assertNotContains(page, "Say hello to WeChat")

    def test_nothing_inline_is_allowed_or_needed(self) -> None:
        page = self.client.get("/")

        assert "default-src 'self'" in page["Content-Security-Policy"]
        for inline in ("<script", "<style", "style=", "onclick="):
            self.assertNotContains(page, inline)


class ConnectTests(TestCase):
    def setUp(self) -> None:
        self.owner = User.objects.create_user("owner")
        self.shop = Shop.objects.create(name="Camellia", owner=self.owner)
        self.address = reverse("connect", args=[self.shop.pk])

    def test_the_link_knows_the_shop_and_the_way_back(self) -> None:
        self.client.force_login(self.owner)

        answer = self.client.post(self.address)

        link = AuthorizationLink.objects.get()
        assert answer["Location"].startswith("/wechat/authorize/link/")
        assert (link.user, link.payload, link.next_url) == (self.owner, {"shop": self.shop.pk}, "/connected/")

    def test_what_cannot_be_shown_is_said_under_the_shops_name_and_sign(self) -> None:
        page = self.client.get("/wechat/authorize/link/nobody-made-it/")

        self.assertContains(page, "橱窗 Shopfront", status_code=403)
        self.assertContains(page, "shop/shopfront.svg", status_code=403)

    def test_only_for_ones_own_shop(self) -> None:
        self.client.force_login(User.objects.create_user("other"))

        assert self.client.post(self.address).status_code == 404

    def test_staff_with_the_permission_may_for_every_shop(self) -> None:
        staff = User.objects.create_user("staff", is_staff=True)
        staff.user_permissions.add(Permission.objects.get(codename="authorize_account"))
        self.client.force_login(staff)

        assert self.client.post(self.address).status_code == 302

    def test_a_stranger_signs_in_first(self) -> None:
        self.assertRedirects(self.client.post(self.address), f"/login/?next={self.address}")

    def test_a_link_in_a_mail_cannot_start_it(self) -> None:
        self.client.force_login(self.owner)

        assert self.client.get(self.address).status_code == 405
        assert not AuthorizationLink.objects.exists()

    def back(self, **columns: Any) -> Any:
        """The owner comes back from WeChat through the link that ``connect`` made."""
        self.client.force_login(self.owner)
        self.client.post(self.address)
        AuthorizationLink.objects.update(**columns)
        return self.client.get("/connected/", follow=True)

    def test_the_way_back_says_which_account_is_connected(self) -> None:
        self.assertContains(self.back(authorizer=an_account()), "山茶书店 is connected.")

    def test_the_return_shows_the_account_again_the_second_time(self) -> None:
        account = an_account()
        self.back(authorizer=account)

        self.assertContains(self.back(authorizer=account), "山茶书店 is connected.")

    def test_the_way_back_without_an_account_says_nothing(self) -> None:
        self.assertNotContains(self.back(), "is connected.")

    def test_another_owners_link_is_not_shown(self) -> None:
        page = self.back(authorizer=an_account(), user=User.objects.create_user("another"))

        self.assertNotContains(page, "山茶书店")


class SignalTests(TestCase):
    def setUp(self) -> None:
        self.shop = Shop.objects.create(name="Camellia", owner=User.objects.create_user("owner"))
        self.account = an_account()

    def granted(self, payload: dict[str, Any]) -> None:
        announce(authorizer_authorized, Authorizer, authorizer=self.account, link=None, payload=payload)

    def test_an_account_belongs_to_the_shop_of_the_payload_after_repeated_signals(self) -> None:
        self.granted({"shop": self.shop.pk})
        self.granted({"shop": self.shop.pk})

        assert list(self.shop.accounts.all()) == [self.account]

    def test_a_grant_from_elsewhere_moves_nothing(self) -> None:
        self.shop.accounts.add(self.account)

        self.granted({})

        assert list(self.account.shops.all()) == [self.shop]

    def test_the_shop_that_connects_it_last_has_it(self) -> None:
        new = Shop.objects.create(name="New", owner=self.shop.owner)
        self.shop.accounts.add(self.account)

        self.granted({"shop": new.pk})

        assert list(self.account.shops.all()) == [new]


class HelloTests(TransactionTestCase):
    """With a WeChat on a port."""

    def setUp(self) -> None:
        cache.clear()
        wechat = Simulator(ticket_pusher=False).start()
        self.addCleanup(wechat.stop)
        settings = override_settings(WECHAT_OPEN=wechat.settings())
        settings.enable()
        self.addCleanup(settings.disable)
        self.owner = User.objects.create_user("owner")
        shop = Shop.objects.create(name="Camellia", owner=self.owner)
        self.client.force_login(self.owner)

        code = wechat.control("authorize", appid=DEMO_OFFICIAL, push=False)["auth_code"]
        token = wechat.engine.query_auth(code)[2].text
        platform = Component.objects.create(appid=wechat.engine.settings.appid)
        self.account = an_account(component=platform, appid=DEMO_OFFICIAL)
        self.account.access_token = self.account.encrypt("access_token", token)
        self.account.save()
        shop.accounts.add(self.account)
        self.wechat = wechat

    def say_hello(self) -> Any:
        return self.client.post(reverse("hello", args=[self.account.pk]), follow=True)

    def test_wechats_answer_is_shown(self) -> None:
        self.assertContains(self.say_hello(), "WeChat answers: “Hello, 山茶书店 of 杭州山茶文化有限公司!”")

    def test_a_cancelled_account_is_refused_in_plain_words(self) -> None:
        Authorizer.objects.update(state=Authorizer.State.UNAUTHORIZED)

        page = self.say_hello()

        self.assertContains(page, "山茶书店 has taken its authorization back.")
        self.assertContains(
            page, f"Account {DEMO_OFFICIAL} has cancelled its authorization: its owner must authorize again."
        )

    def test_wechats_refusal_is_shown_with_its_number(self) -> None:
        self.wechat.control("faults", path="getaccountbasicinfo", errcode=48001)

        page = self.say_hello()

        self.assertContains(page, "has not granted what this call needs")
        self.assertContains(page, "48001")

    def test_silence_is_explained(self) -> None:
        self.wechat.control("faults", path="getaccountbasicinfo", status=502)

        self.assertContains(self.say_hello(), "WeChat cannot be asked right now.")

    def test_only_the_owner_of_the_shop_may(self) -> None:
        self.client.force_login(User.objects.create_user("other"))

        assert self.say_hello().status_code == 404


class DemoTests(TestCase):
    def test_there_is_no_way_in_without_a_password(self) -> None:
        assert self.client.post("/demo/").status_code == 404

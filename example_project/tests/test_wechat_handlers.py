"""The handlers' answers, tested with the pytest fixtures of wechat_open."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.contrib.auth import get_user_model
from django.utils import translation

from example_project.shop.models import Order, Shop
from wechat_open.messaging import News, TransferToCustomerService
from wechat_open.models import Authorizer
from wechat_open.testing.follower import Follower
from wechat_open.testing.live import Live


@pytest.fixture
def shop(wechat_account: Authorizer) -> Shop:
    """A shop that has connected the account, and one order."""
    shop = Shop.objects.create(name="Camellia", owner=get_user_model().objects.create_user("owner"))
    shop.accounts.add(wechat_account)
    shop.orders.create(number="20260001", state=Order.State.SENT)
    return shop


def test_new_follower__is_welcomed_by_the_accounts_name(
    make_wechat_account: Callable[..., Authorizer], make_wechat_follower: Callable[..., Follower]
) -> None:
    follower = make_wechat_follower(make_wechat_account(nick_name="山茶书店"))

    assert follower.does("subscribe").text.startswith("Welcome to 山茶书店!")


def test_order__is_looked_up_in_a_worker(wechat_follower: Follower, shop: Shop) -> None:
    answered = wechat_follower.writes("where is 20260001?")

    assert answered.reply is None
    assert answered.text == "Your order 20260001: on its way."


def test_unknown_order__is_answered(wechat_follower: Follower, shop: Shop) -> None:
    assert wechat_follower.writes("20269999").text.startswith("We know no order 20269999.")


def test_order_of_another_shop__is_unknown(wechat_follower: Follower, shop: Shop) -> None:
    shop.accounts.clear()

    assert wechat_follower.writes("20260001").text.startswith("We know no order 20260001.")


@pytest.mark.parametrize("text", ["hello", "room 12", "call 123456789012345678901"])
def test_anything_else__is_met_with_what_can_be_asked(wechat_follower: Follower, text: str) -> None:
    assert wechat_follower.writes(text).text.startswith("Write the number of your order")


def test_menu__answers_by_key(wechat_follower: Follower) -> None:
    assert isinstance(wechat_follower.does("CLICK", "TODAY").reply, News)
    assert "10 to 20" in wechat_follower.does("CLICK", "HOURS").text
    assert isinstance(wechat_follower.does("CLICK", "CONTACT").reply, TransferToCustomerService)
    assert wechat_follower.does("CLICK", "OLD_MENU").reply is None


def test_picture__is_thanked_for(wechat_follower: Follower) -> None:
    assert wechat_follower.sends("image").text.startswith("Thank you for the picture!")


def test_chinese__when_it_is_the_sites_language(wechat_follower: Follower, shop: Shop) -> None:
    with translation.override("zh-hans"):
        assert wechat_follower.writes("您好").text.startswith("发送订单编号")
        assert wechat_follower.writes("20260001").text == "您的订单 20260001：已发货。"


def test_over_http(wechat_live: Live) -> None:
    follower = wechat_live.follower(wechat_live.authorize())

    assert follower.does("CLICK", "HOURS").text == "We are here every day from 10 to 20 o'clock."
    assert follower.writes("20269999").wait_for_custom_messages()

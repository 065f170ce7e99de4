"""The handlers of followers' messages.

wechat_open finds this file as Django finds ``admin.py``. Handlers are tried from top to bottom; ``PASS`` lets the next
one try.
"""

from __future__ import annotations

import re

from django.conf import settings
from django.utils.translation import gettext as _

from wechat_open.messaging import (
    PASS,
    Article,
    ImageMessage,
    MenuClicked,
    Message,
    News,
    Result,
    Subscribed,
    TextMessage,
    TransferToCustomerService,
    answer_later,
    deferred,
    on_event,
    on_message,
)

from .models import Order

ORDER_NUMBER = re.compile(r"(?<!\d)\d{4,20}(?!\d)", re.ASCII)


@on_event("subscribe")
def welcome(message: Subscribed) -> str:
    return _("Welcome to %(name)s! Write the number of your order, and we will tell you where it is.") % {
        "name": message.authorizer.nick_name
    }


@on_event("CLICK")
def press(message: MenuClicked) -> Result:
    """The buttons of the account's menu, by their keys."""
    match message.event_key:
        case "TODAY":
            title, description = _("Today's recommendation"), _("New in the shop, and ready to be read.")
            return News([Article(title, description, url=settings.SITE_URL)])
        case "HOURS":
            return _("We are here every day from 10 to 20 o'clock.")
        case "CONTACT":
            return TransferToCustomerService()
    return PASS


@on_message("text")
def asks_for_order(message: TextMessage) -> Result:
    """A number in a text is that of an order."""
    number = ORDER_NUMBER.search(message.content)
    return answer_later(where_it_is, number=number[0]) if number else PASS


@deferred
def where_it_is(message: Message, number: str) -> str:
    """Called in a worker: a real shop asks its warehouse here, which may take longer than WeChat's five seconds."""
    order = Order.objects.filter(shop__accounts=message.authorizer, number=number).first()
    if order is None:
        return _("We know no order %(number)s. Is the number right?") % {"number": number}
    return _("Your order %(number)s: %(state)s.") % {"number": number, "state": order.get_state_display()}


@on_message("text")
def help(message: TextMessage) -> str:
    """Any other text."""
    return _("Write the number of your order, and we will tell you where it is. For anything else see our menu.")


@on_message("image")
def thanks(message: ImageMessage) -> str:
    return _("Thank you for the picture! We will look at it and write to you.")

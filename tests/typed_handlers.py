"""Handlers as a site writes them, for the type checker (``tox -e types``); pytest does not import them.

What is wrong has a ``type: ignore`` with the error's code. mypy reports an ignore that it does not need, so each of
them is a test that the mistake is found.
"""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext_lazy

from wechat_open.messaging import (
    PASS,
    EventMessage,
    EventReply,
    Image,
    ImageMessage,
    MenuClicked,
    Message,
    Result,
    Subscribed,
    Text,
    TextMessage,
    VoiceMessage,
    answer_later,
    deferred,
    on_event,
    on_message,
)

# Right


@on_message("text")
def echoes(message: TextMessage) -> Text:
    return Text(message.content)


@on_message("text")
def knows_the_account(message: TextMessage) -> str:
    return message.authorizer.nick_name


@on_message("image", component="default", accounts=["wx0000000000000001"])
def thanks(message: ImageMessage) -> str | None:
    return "Thank you!" if message.media_id else None


@on_message("image", "voice")
def takes_both(message: ImageMessage | VoiceMessage) -> Image:
    return Image(message.media_id)


@on_message
def takes_all(message: Message) -> Result:
    return PASS


@on_message()
def is_not_annotated(message):  # type: ignore[no-untyped-def]
    return "Hello!"


@on_message("text")
async def is_asynchronous(message: TextMessage) -> str:
    return message.content


@on_event("subscribe")
def welcomes(message: Subscribed) -> str:
    return message.scene


@on_event("CLICK")
def is_pressed(message: MenuClicked) -> dict[str, Any]:
    return {"ErrCode": 0}


@on_event("xpay_goods_deliver_notify")
def delivers(message: EventMessage) -> EventReply | None:
    return None


@deferred
def looks_it_up(message: Message, number: str) -> str:
    return number


@on_message("text")
def defers(message: TextMessage) -> Result:
    return answer_later(looks_it_up, number=message.content)


@on_message("text")
def translates(message: TextMessage) -> Result:
    return gettext_lazy("Hello!")


# Wrong


@on_message("image")  # type: ignore[type-var]
def takes_texts(message: TextMessage) -> str:
    return message.content


@on_message("text")  # type: ignore[type-var]
def returns_a_number(message: TextMessage) -> int:
    return len(message.content)


@on_message("image", "voice")  # type: ignore[type-var]
def returns_bytes(message: Message) -> bytes:
    return b""


@on_message  # type: ignore[type-var]
def returns_a_number_for_all(message: Message) -> int:
    return 0


@on_event("subscribe")  # type: ignore[type-var]
def takes_clicks(message: MenuClicked) -> None:
    return None


@on_event("unsubscribe")  # type: ignore[type-var]
async def returns_a_number_later(message: EventMessage) -> int:
    return 0


@deferred  # type: ignore[type-var]
def is_deferred_to_a_number(message: Message) -> int:
    return 0


def misspells_a_column(message: Message) -> None:
    print(message.authorizer.nickname)  # type: ignore[attr-defined]

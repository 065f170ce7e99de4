"""What the app answers followers."""

from wechat_open.messaging import Later, Message, answer_later, deferred, on_message


@on_message("text")
def order(message: Message) -> Later:
    return answer_later(look_up, number=1)


@deferred
def look_up(message: Message, number: int) -> str:
    return f"order {number}"

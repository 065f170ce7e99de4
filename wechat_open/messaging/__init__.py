"""How does your code answer followers?

::

    # shop/wechat_handlers.py, found as admin.py is found
    from wechat_open.messaging import Text, on_event, on_message

    @on_message("text")
    def greet(message):
        return Text(f"you said {message.content}")

    @on_event("subscribe")
    def welcome(message):
        return "Welcome!"

A handler gets a ``protocol.messages`` dataclass; ``message.authorizer`` is the account's row. It returns a reply, a
text, None (no answer), ``answer_later(...)``, or ``PASS`` to let the next handler try. For an event that wants an
answer of its own it returns a mapping, or an ``EventReply``: its fields are the answer.

    handlers    which function answers which message
    receiving   what happens to a message
    accounts    for which account it is
    duplicates  how it is answered once
    patience    how a slow handler is cut off, and what share of the threads an account has
    busy        what is reported when it has used up its share
    later       what is said after the answer
"""

from ..protocol.messages import (
    Article,
    EventMessage,
    EventReply,
    Image,
    Message,
    Music,
    News,
    Reply,
    Text,
    TransferToCustomerService,
    Video,
    Voice,
)
from .duplicates import StillRunning
from .handlers import PASS, all_handlers, on_event, on_message
from .later import Later, answer_later, deferred
from .patience import TooMany, TooSlow
from .receiving import NOTHING, SUCCESS, Answer, forget, receive

__all__ = [
    "NOTHING",
    "PASS",
    "SUCCESS",
    "Answer",
    "Article",
    "EventMessage",
    "EventReply",
    "Image",
    "Later",
    "Message",
    "Music",
    "News",
    "Reply",
    "StillRunning",
    "Text",
    "TooMany",
    "TooSlow",
    "TransferToCustomerService",
    "Video",
    "Voice",
    "all_handlers",
    "answer_later",
    "deferred",
    "forget",
    "on_event",
    "on_message",
    "receive",
]

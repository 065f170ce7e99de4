"""Answers to followers: the site's handlers, and what they receive and return.

::

    # shop/wechat_handlers.py, found as admin.py is found
    from wechat_open.messaging import Text, on_event, on_message

    @on_message("text")
    def greet(message):
        return Text(f"you said {message.content}")

    @on_event("subscribe")
    def welcome(message):
        return "Welcome!"

A handler gets a message (``TextMessage``, ``Subscribed`` ...), whose ``authorizer`` is the account's row. It returns a
reply, a text, None (no answer), ``answer_later(...)``, or ``PASS`` to let the next handler try. For an event that wants
an answer of its own it returns a mapping, or an ``EventReply``: its fields are the answer.

    messages       the classes of messages and events
    functions      what a handler may return
    handlers       which function answers which message
    receiving      what happens to a message, step by step
    outcome        what comes of it: the body of the response, and the work that follows
    accounts       the account that a message is for
    deduplication  each message is handled once
    deadlines      slow handlers are cut off, and each account has its share of the threads
    busy           what is reported when an account has used up its share
    background     answers that are sent after the response
    release_check  the exact answers that WeChat's release check wants
"""

from ..protocol.replies import (
    Article,
    EventReply,
    Image,
    Music,
    News,
    Reply,
    Text,
    TransferToCustomerService,
    Video,
    Voice,
)
from . import messages
from .background import answer_later, deferred
from .deadlines import TooMany, TooSlow
from .deduplication import StillRunning
from .functions import PASS, Later, Result
from .handlers import all_handlers, on_event, on_message
from .messages import *  # noqa: F403  # its __all__
from .outcome import NOTHING, SUCCESS, Outcome
from .receiving import forget, receive

__all__ = [
    "NOTHING",
    "PASS",
    "SUCCESS",
    "Article",
    "EventReply",
    "Image",
    "Later",
    "Music",
    "News",
    "Outcome",
    "Reply",
    "Result",
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
__all__ += messages.__all__

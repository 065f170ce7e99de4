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

A handler gets a message (``TextMessage``, ``Subscribed`` ...), whose ``authorizer`` is the account's row. It returns a
reply, a text, None (no answer), ``answer_later(...)``, or ``PASS`` to let the next handler try. For an event that wants
an answer of its own it returns a mapping, or an ``EventReply``: its fields are the answer.

    messages    the classes of messages and events
    functions   what a handler may return
    handlers    which function answers which message
    receiving   what happens to a message
    accounts    for which account it is
    duplicates  how it is answered once
    patience    how a slow handler is cut off, and what share of the threads an account has
    busy        what is reported when it has used up its share
    later       what is said after the answer
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
from .duplicates import StillRunning
from .functions import PASS, Later, Result
from .handlers import all_handlers, on_event, on_message
from .later import answer_later, deferred
from .messages import (
    CardChanged,
    CategoryReviewed,
    CustomerServiceSession,
    DebugPushed,
    EventMessage,
    ImageMessage,
    LinkMessage,
    LocationMessage,
    LocationReported,
    MassMessageSent,
    MenuClicked,
    MenuLinkOpened,
    MenuPicturesSent,
    MenuPlaceChosen,
    MenuScanned,
    Message,
    MiniProgramPageMessage,
    NicknameReviewed,
    Picture,
    Pictures,
    Place,
    PrivacyApplication,
    PrivacyReviewed,
    ReviewDelayed,
    ReviewFailed,
    ReviewPassed,
    Scan,
    Scanned,
    SessionEntered,
    Subscribed,
    Subscription,
    SubscriptionMessageSent,
    SubscriptionsAnswered,
    SubscriptionsChanged,
    TemplateMessageSent,
    TextMessage,
    Unsubscribed,
    VideoMessage,
    VoiceMessage,
)
from .patience import TooMany, TooSlow
from .receiving import NOTHING, SUCCESS, Answer, forget, receive

__all__ = [
    "NOTHING",
    "PASS",
    "SUCCESS",
    "Answer",
    "Article",
    "CardChanged",
    "CategoryReviewed",
    "CustomerServiceSession",
    "DebugPushed",
    "EventMessage",
    "EventReply",
    "Image",
    "ImageMessage",
    "Later",
    "LinkMessage",
    "LocationMessage",
    "LocationReported",
    "MassMessageSent",
    "MenuClicked",
    "MenuLinkOpened",
    "MenuPicturesSent",
    "MenuPlaceChosen",
    "MenuScanned",
    "Message",
    "MiniProgramPageMessage",
    "Music",
    "News",
    "NicknameReviewed",
    "Picture",
    "Pictures",
    "Place",
    "PrivacyApplication",
    "PrivacyReviewed",
    "Reply",
    "Result",
    "ReviewDelayed",
    "ReviewFailed",
    "ReviewPassed",
    "Scan",
    "Scanned",
    "SessionEntered",
    "StillRunning",
    "Subscribed",
    "Subscription",
    "SubscriptionMessageSent",
    "SubscriptionsAnswered",
    "SubscriptionsChanged",
    "TemplateMessageSent",
    "Text",
    "TextMessage",
    "TooMany",
    "TooSlow",
    "TransferToCustomerService",
    "Unsubscribed",
    "Video",
    "VideoMessage",
    "Voice",
    "VoiceMessage",
    "all_handlers",
    "answer_later",
    "deferred",
    "forget",
    "on_event",
    "on_message",
    "receive",
]

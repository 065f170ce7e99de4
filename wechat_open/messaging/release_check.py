"""The exact answers for WeChat's full-network release check (全网发布接入检测): docs/protocol.rst, "Release check".

WeChat lets ten test accounts of its own authorize the platform, writes to them, and compares the answers. They are
given to these accounts alone, which need no row: a follower of any other account cannot make the server exchange codes.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from functools import partial

from ..client.answers import nothing
from ..client.calls import Call, TokenKind
from ..client.component import query_auth
from ..exceptions import SystemBusy, TokenUnavailable, WeChatOpenError
from ..platforms import Platform
from ..protocol.replies import Text
from ..secret import Secret
from ..text import TranslatableText as _
from ..tokens import as_component
from .messages import EventMessage, Message, TextMessage
from .outcome import NOTHING, Answer

logger = logging.getLogger(__name__)

TEXT = "TESTCOMPONENT_MSG_TYPE_TEXT"
QUERY_AUTH_CODE = "QUERY_AUTH_CODE:"
SEND = "/cgi-bin/message/custom/send"

PAUSES = (0.5, 2.0)
"""Seconds before each repetition while WeChat is busy."""


@dataclass(frozen=True)
class CheckAccount:
    """One of WeChat's own. A mini program takes no passive reply."""

    original_id: str
    mini: bool = False


ACCOUNTS = {
    "wx570bc396a51b8ff8": CheckAccount("gh_3c884a361561"),
    "wx9252c5e0bb1836fc": CheckAccount("gh_c0f28a78b318"),
    "wx8e1097c5bc82cde9": CheckAccount("gh_3f222ed8d140"),
    "wx14550af28c71a144": CheckAccount("gh_26128078e9ab"),
    "wxa35b9c23cfe664eb": CheckAccount("gh_2b3713f184a6"),
    "wxd101a85aa106f53e": CheckAccount("gh_8dad206e9538", mini=True),
    "wxc39235c15087f6f3": CheckAccount("gh_905ae9d01059", mini=True),
    "wx7720d01d4b2a4500": CheckAccount("gh_393666f1fdf4", mini=True),
    "wx05d483572dcd5d8b": CheckAccount("gh_39abb5d4e1b7", mini=True),
    "wx5910277cae6fd970": CheckAccount("gh_7818dcb60240", mini=True),
}
"""The five groups, by appid."""


def answer_to(platform: Platform, message: Message) -> Answer | None:
    """The answer that the check wants; None for a message that is no part of it."""
    account = ACCOUNTS.get(message.appid)
    if account is None or account.original_id != message.original_id:
        return None
    if isinstance(message, TextMessage) and message.content.startswith(QUERY_AUTH_CODE):
        code = Secret(message.content.partition(":")[2])
        return Answer(after=partial(answer_by_api, platform, message.appid, message.openid, code), body=NOTHING)
    if account.mini:
        return None
    if isinstance(message, TextMessage) and message.content == TEXT:
        return Answer(Text(f"{TEXT}_callback"))
    if isinstance(message, EventMessage):
        return Answer(Text(f"{message.event}from_callback"))
    return None


def answer_by_api(platform: Platform, appid: str, openid: str, code: Secret) -> None:
    """Exchange the code, and send it back with the token of that very grant. After the answer went out.

    It does not take the message: that has the code in clear, and would show it on an error page.
    """
    try:
        _answer_by_api(platform, openid, code)
    except WeChatOpenError as error:
        logger.error(
            "Release check of platform %r, account %s: the code was not sent back (%s).",
            platform.alias,
            appid,
            error,
        )
    else:
        logger.info("Release check of platform %r: answered for account %s.", platform.alias, appid)


def _answer_by_api(platform: Platform, openid: str, code: Secret) -> None:
    grant = as_component(platform, query_auth(platform, code))
    if grant.access is None:
        raise TokenUnavailable(_("WeChat gave no access token for its test account."))
    text = Secret(f"{code.reveal()}_from_api")
    body = {"touser": openid, "msgtype": "text", "text": {"content": text}}
    call = Call("POST", SEND, TokenKind.AUTHORIZER, nothing, json=body)
    send = partial(platform.client.run, call, grant.access.token)
    for pause in PAUSES:
        try:
            send()
            return
        except SystemBusy:  # WeChat's check has been seen to say so
            time.sleep(pause)
    send()

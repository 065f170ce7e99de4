"""What answers WeChat's full-network release check (全网发布接入检测)? (protocol 6.3)

WeChat lets ten test accounts of its own authorize the platform, writes to them, and wants exact answers. They are given
to these accounts alone, and need no row of theirs: nobody else's follower can make the server exchange codes.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from functools import partial

from ..component import Platform
from ..exceptions import SystemBusy, TokenUnavailable, WeChatOpenError
from ..protocol.replies import Text
from ..secret import Secret
from ..sentence import Sentence as _
from ..tokens import as_component
from .messages import EventMessage, Message, TextMessage

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


@dataclass(frozen=True)
class AnswerByAPI:
    """Nothing is said at once; then the code is exchanged, and ``code`` sent back with what it brought."""

    code: Secret


def answer_to(message: Message) -> Text | AnswerByAPI | None:
    """What the check wants to hear; None for what is no part of it, whoever sent it."""
    account = ACCOUNTS.get(message.appid)
    if account is None or account.original_id != message.original_id:
        return None
    if isinstance(message, TextMessage) and message.content.startswith(QUERY_AUTH_CODE):
        return AnswerByAPI(Secret(message.content.partition(":")[2]))
    if account.mini:
        return None
    if isinstance(message, TextMessage) and message.content == TEXT:
        return Text(f"{TEXT}_callback")
    if isinstance(message, EventMessage):
        return Text(f"{message.event}from_callback")
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
    wechat = platform.endpoints
    grant = as_component(platform, lambda token: wechat.query_auth(token, code))
    if grant.access is None:
        raise TokenUnavailable(_("WeChat gave no access token for its test account."))
    text = Secret(f"{code.reveal()}_from_api")
    body = {"touser": openid, "msgtype": "text", "text": {"content": text}}
    send = partial(wechat.client.call, "POST", SEND, token=grant.access.token, json=body)
    for pause in PAUSES:
        try:
            send()
            return
        except SystemBusy:  # WeChat's check has been seen to say so (6.3)
            time.sleep(pause)
    send()

"""What happens to a follower's message?

It is matched to its account, taken once, and given to the site's handlers; their reply is sealed with the pair that
opened it. Messages are not stored. Whatever a handler does, WeChat gets an answer in time, and the follower sees
nothing odd: a reply, or none.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import partial

from .. import journal
from ..component import Platform
from ..conf import conf
from ..exceptions import InvalidPush
from ..protocol.envelope import Unsealed, seal_reply
from ..protocol.replies import Reply, TransferToCustomerService, is_event_reply, write_reply
from ..protocol.wire import entry, text
from . import accounts, busy, duplicates, later, patience, release_check
from .duplicates import TIME_OF_WECHAT
from .functions import PASS, Later, name_of
from .handlers import handlers_of
from .messages import Message, parse
from .release_check import AnswerByAPI

logger = logging.getLogger(__name__)

SUCCESS = b"success"
"""The answer that asks WeChat for neither a retry nor a notice to the follower (protocol 6.2)."""

NOTHING = b""
"""The same to WeChat; its release check asks for this one, while the code is exchanged (6.3)."""

Work = Callable[[], None]


@dataclass
class Answer:
    """What WeChat is told, and what is to be done once it has been told."""

    body: bytes = SUCCESS
    afterwards: Work | None = None


def receive(platform: Platform, authorizer_appid: str, unsealed: Unsealed) -> Answer:
    """Answer an authenticated message.

    Raises InvalidPush when it is an event of the platform, or was meant for another account than the path says;
    StillRunning and TooMany when WeChat had better ask again. What cannot be read is answered ``success``: WeChat would
    only send the same again, and tell the follower that the account is out of order.
    """
    seconds = conf.reply_within.total_seconds()
    ends_at = time.monotonic() + seconds if seconds else None
    try:
        message = parse(
            unsealed.fields,
            received_at=datetime.fromtimestamp(int(unsealed.stamp.timestamp), timezone.utc),
            appid=authorizer_appid,
            component=platform.alias,
            authorizer=accounts.row(platform, authorizer_appid),
        )
    except InvalidPush as error:
        if text(entry(unsealed.fields, "InfoType")):
            raise
        return _unread(platform, authorizer_appid, unsealed, error)
    for_check = release_check.answer_to(message)
    mini = False
    if for_check is None:
        if _pretends_to_be_wechats(message):
            raise InvalidPush("account")
        account = accounts.find(platform, message, seconds or TIME_OF_WECHAT)
        if account is None:
            return Answer()
        mini = account.mini
    afterwards: list[Work] = []

    def answer() -> bytes:
        said: Reply | AnswerByAPI | Work | None = for_check
        if said is None:
            said = _ask_handlers(message, max(0.001, ends_at - time.monotonic()) if ends_at else 0)
        if isinstance(said, AnswerByAPI):
            afterwards.append(partial(release_check.answer_by_api, platform, message.appid, message.openid, said.code))
            return NOTHING
        if isinstance(said, Reply) and mini and not _is_passive_for_mini_programs(said, message):
            said = partial(_send, message, said)  # a mini program shows no passive reply (6.2)
        if isinstance(said, Reply):
            first, *more = said.parts()
            if more:
                afterwards.append(partial(_send_all, message, more))
            return _seal(platform, unsealed, message, first)
        if said is not None:
            afterwards.append(said)
        return SUCCESS

    body = duplicates.once(message, platform.appid, seconds or TIME_OF_WECHAT, answer)
    return Answer(body, partial(patience.start, afterwards[0], account=_name(message)) if afterwards else None)


def _unread(platform: Platform, appid: str, unsealed: Unsealed, error: InvalidPush) -> Answer:
    """Nothing of it is logged but its size: it may be what a follower typed."""
    logger.error(
        "A push for account %.64s of platform %r was authenticated and could not be read (%s, %s, %d bytes). It was "
        "answered with success.",
        appid,
        platform.alias,
        unsealed.format,
        unsealed.unreadable or error.reason,
        len(unsealed.plain),
    )
    journal.count(journal.What.UNREADABLE, platform.row)
    return Answer()


def _is_passive_for_mini_programs(reply: Reply, message: Message) -> bool:
    return isinstance(reply, TransferToCustomerService) or is_event_reply(reply, message)


def _name(message: Message) -> str:
    """Whose share of the threads a message takes."""
    return f"{message.component}:{message.appid}"


def _pretends_to_be_wechats(message: Message) -> bool:
    """Sent to the path of a test account, and meant for another."""
    account = release_check.ACCOUNTS.get(message.appid)
    return account is not None and account.original_id != message.original_id


def _ask_handlers(message: Message, seconds: float) -> Reply | Work | None:
    """What the site says: a reply, something to do after the answer, or nothing."""
    handlers = list(handlers_of(message))
    if not handlers:
        return None
    asked = handlers[0].name

    def ask() -> Reply | Later | None:
        nonlocal asked
        for handler in handlers:
            asked = handler.name
            result = later.call(handler.function, message)
            if result is not PASS:
                return result if isinstance(result, Later) else later.as_reply(result, message)
        return None

    def too_late(result: Reply | Later | None, error: BaseException | None) -> None:
        """Better late than never: what a handler says after its time is sent as a customer-service message."""
        if error is not None:
            later.tell(message, asked, error)
        elif isinstance(result, Later):
            _do(later.hand_over(message, result))
        elif result is not None:
            _send(message, result)

    try:
        said = patience.within(seconds, ask, too_late, account=_name(message))
    except patience.TooMany as error:
        busy.report(message, error)
        raise
    except Exception as error:  # noqa: BLE001 - the site's code; whatever it raises is told
        later.tell(message, asked, error)
        return None
    return later.hand_over(message, said) if isinstance(said, Later) else said


def _send(message: Message, reply: Reply) -> None:
    try:
        later.send(message, reply)
    except Exception as error:  # noqa: BLE001 - there is nobody left who could catch it
        later.tell(message, "message/custom/send", error)


def _send_all(message: Message, replies: Sequence[Reply]) -> None:
    """The rest of a long answer. When a part fails, those behind it would make no sense."""
    try:
        for reply in replies:
            later.send(message, reply)
    except Exception as error:  # noqa: BLE001 - there is no caller left who could catch it
        later.tell(message, "message/custom/send", error)


def _do(work: Work | None) -> None:
    if work is not None:
        work()


def _seal(platform: Platform, unsealed: Unsealed, message: Message, reply: Reply) -> bytes:
    now = int(time.time())
    try:
        plain = write_reply(reply, message, now, unsealed.format)
    except Exception as error:  # noqa: BLE001 - a kind of reply that the site has made
        later.tell(message, name_of(type(reply)), error)
        return SUCCESS
    return seal_reply(
        plain,
        unsealed.pair,
        platform.appid,
        timestamp=str(now),
        nonce=unsealed.stamp.nonce,
        format=unsealed.format,
    )


def forget() -> None:
    """Remember no account and no message, for tests."""
    accounts.forget()
    busy.forget()
    duplicates.forget()

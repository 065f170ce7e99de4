"""What happens to a follower's message, in five steps.

It is read, matched to its account, taken so that no repeat is handled, given to the site's handlers, and their reply is
encrypted with the key pair that decrypted the message. Messages are not stored. Whatever a handler does, WeChat gets an
answer in time, and the follower sees nothing odd: a reply, or none.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import partial

from .. import audit
from ..conf import conf
from ..exceptions import InvalidPush
from ..platforms import Platform
from ..protocol.envelope import DecryptedPush, encrypt_reply
from ..protocol.replies import Reply, TransferToCustomerService, is_event_reply, write_reply
from ..protocol.wire import entry, text
from ..stores.database_clock import DATABASE_CLOCK
from . import accounts, background, busy, deadlines, deduplication, release_check
from .accounts import Account
from .deduplication import TIME_OF_WECHAT
from .functions import PASS, Later, name_of
from .handlers import Handler, handlers_of
from .messages import Message, parse
from .outcome import SUCCESS, Answer, Outcome
from .release_check import CheckAccount

logger = logging.getLogger(__name__)


def receive(platform: Platform, authorizer_appid: str, decrypted: DecryptedPush) -> Outcome:
    """Answer an authenticated message.

    Raises InvalidPush when it is older than PUSH_WINDOW, is an event of the platform, or was meant for another account
    than the path says; StillRunning and TooMany when WeChat is to send it again.
    """
    decrypted.stamp.require_recent(_now(platform), conf.push_window)
    seconds = conf.reply_within.total_seconds()
    ends_at = time.monotonic() + seconds if seconds else None
    message = _read(platform, authorizer_appid, decrypted)
    if message is None:
        return Outcome()
    account = _match(platform, message, seconds or TIME_OF_WECHAT)
    if account is None:
        return Outcome()
    after = None
    with deduplication.Turn(message, platform.appid, seconds or TIME_OF_WECHAT) as turn:
        if turn.answer is None:
            answer = _answer(platform, message, account, ends_at)
            turn.answer = _encrypt(platform, decrypted, message, answer)
            after = answer.after
    return Outcome(turn.answer, partial(deadlines.start, after, account=_name(message)) if after else None)


def _now(platform: Platform) -> float:
    """Seconds since the epoch, by the database's clock: that of this host may be wrong."""
    return platform.environment.database_clock.now().timestamp()


def _read(platform: Platform, appid: str, decrypted: DecryptedPush) -> Message | None:
    """The message; None when it cannot be read.

    That is answered ``success``: WeChat would only send the same again, and show the follower that the account is out
    of order. Nothing of it is logged but its size: it may be what a follower typed.
    """
    try:
        return parse(
            decrypted.fields,
            received_at=datetime.fromtimestamp(int(decrypted.stamp.timestamp), timezone.utc),
            appid=appid,
            component=platform.alias,
            authorizer=accounts.lazy_row(platform, appid),
        )
    except InvalidPush as error:
        if text(entry(decrypted.fields, "InfoType")):
            raise
        reason = decrypted.unreadable or error.reason
    logger.error(
        "A push for account %.64s of platform %r was authenticated and could not be read (%s, %s, %d bytes). It was "
        "answered with success.",
        appid,
        platform.alias,
        decrypted.format,
        reason,
        len(decrypted.plain),
    )
    audit.increment(audit.Counter.UNREADABLE, platform.row)
    return None


def _match(platform: Platform, message: Message, seconds: float) -> Account | CheckAccount | None:
    """The account that the message is for; None when the site may not answer in its name."""
    check = release_check.ACCOUNTS.get(message.appid)
    if check is not None:
        if check.original_id != message.original_id:
            raise InvalidPush("account")
        if release_check.answer_to(platform, message) is not None:
            return check
    return accounts.find(platform, message, seconds)


def _answer(platform: Platform, message: Message, account: Account | CheckAccount, ends_at: float | None) -> Answer:
    """What the release check wants, or what the site's handlers return."""
    if isinstance(account, CheckAccount):
        return release_check.answer_to(platform, message) or Answer()
    result = _run_handlers(message, max(0.001, ends_at - time.monotonic()) if ends_at else 0)
    if result is None:
        return Answer()
    if isinstance(result, Later):
        return Answer(after=background.hand_over(message, result))
    if account.mini and not _is_passive_for_mini_programs(result, message):
        return Answer(after=partial(_send, message, [result]))  # a mini program shows no passive reply
    first, *more = result.parts()
    return Answer(first, partial(_send, message, more) if more else None)


def _encrypt(platform: Platform, decrypted: DecryptedPush, message: Message, answer: Answer) -> bytes:
    """The body of the response; ``success`` for a reply that cannot be written."""
    if answer.reply is None:
        return answer.body
    now = int(_now(platform))
    try:
        plain = write_reply(answer.reply, message, now, decrypted.format)
    except Exception as error:  # noqa: BLE001 - the site may define kinds of reply
        background.report(message, name_of(type(answer.reply)), error)
        return SUCCESS
    return encrypt_reply(
        plain,
        decrypted.pair,
        platform.appid,
        timestamp=str(now),
        nonce=decrypted.stamp.nonce,
        format=decrypted.format,
    )


# -- handlers ----------------------------------------------------------------------------------------------------------


def _run_handlers(message: Message, seconds: float) -> Reply | Later | None:
    """What the first handler that fits returns within ``seconds``; None when it fails or takes longer."""
    handlers = list(handlers_of(message))
    if not handlers:
        return None
    run = _HandlerRun(message, handlers)
    try:
        return deadlines.within(seconds, run.first_result, run.send_late, account=_name(message))
    except deadlines.TooMany as error:
        busy.report(message, error)
        raise
    except Exception as error:  # noqa: BLE001 - the site's code; whatever it raises is reported
        background.report(message, run.current, error)
        return None


@dataclass
class _HandlerRun:
    """Handlers that are called one after the other, in a thread of their own."""

    message: Message
    handlers: Sequence[Handler]
    current: str = ""
    """The one that is being called, for the log."""

    def first_result(self) -> Reply | Later | None:
        for handler in self.handlers:
            self.current = handler.name
            result = background.call(handler.function, self.message)
            if result is not PASS:
                return result if isinstance(result, Later) else background.as_reply(result, self.message)
        return None

    def send_late(self, result: Reply | Later | None, error: BaseException | None) -> None:
        """Send what a handler returned after its deadline as a customer-service message."""
        if error is not None:
            background.report(self.message, self.current, error)
        elif isinstance(result, Later):
            after = background.hand_over(self.message, result)
            if after is not None:
                after()
        elif result is not None:
            _send(self.message, [result])


def _send(message: Message, replies: Sequence[Reply]) -> None:
    """By customer-service message. When one fails, those behind it would make no sense."""
    try:
        for reply in replies:
            background.send(message, reply)
    except Exception as error:  # noqa: BLE001 - no caller is left who could catch it
        background.report(message, "message/custom/send", error)


def _is_passive_for_mini_programs(reply: Reply, message: Message) -> bool:
    return isinstance(reply, TransferToCustomerService) or is_event_reply(reply, message)


def _name(message: Message) -> str:
    """Whose share of the threads a message takes."""
    return f"{message.component}:{message.appid}"


def forget() -> None:
    """Empty every memory of accounts, messages and the time, for tests."""
    accounts.forget()
    busy.forget()
    deduplication.forget()
    DATABASE_CLOCK.forget()

"""The account that a message is for.

The ``$APPID$`` in the path is not signed, so the account's original id inside the ciphertext (``ToUserName``) has to
agree with it. What each message needs of its account is remembered in the process for some seconds: messages come in
bursts, and an account's original id does not change.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass

from django.utils.functional import SimpleLazyObject

from .. import authorization
from ..exceptions import InvalidPush, WeChatOpenError
from ..models import Authorizer
from ..platforms import Platform
from . import deadlines
from .messages import Message

logger = logging.getLogger(__name__)

REMEMBERED = 10.0
"""Seconds for which messages of a cancelled account may still be answered; WeChat no longer pushes them anyway."""

MAX_REMEMBERED = 10_000


@dataclass(frozen=True)
class Account:
    """What each message needs of its account."""

    original_id: str
    mini: bool
    until: float


_known: dict[tuple[str, str], Account] = {}


def find(platform: Platform, message: Message, seconds: float) -> Account | None:
    """The account that the message is for; None when the site may not answer in its name.

    Raises InvalidPush when the message was meant for another account than the path says. ``seconds`` bounds the call
    to WeChat for an original id that is not known yet.
    """
    account = _remembered(platform, message.appid) or _load(platform, message, seconds)
    if account is not None and account.original_id != message.original_id:
        raise InvalidPush("account")
    return account


def lazy_row(platform: Platform, appid: str) -> Authorizer:
    """The account's row, read from the database when it is first looked at."""

    def load() -> Authorizer:
        return Authorizer.objects.select_related("component").get(component__appid=platform.appid, appid=appid)

    lazy: Authorizer = SimpleLazyObject(load)  # type: ignore[assignment]  # it behaves as one
    return lazy


def forget() -> None:
    """Have every account read from the database again, for tests."""
    _known.clear()


def _remembered(platform: Platform, appid: str) -> Account | None:
    account = _known.get((platform.appid, appid))
    return account if account and account.until > time.monotonic() else None


def _load(platform: Platform, message: Message, seconds: float) -> Account | None:
    accounts = Authorizer.objects.filter(component=platform.row)
    found = accounts.select_related("component").filter(appid=message.appid).first()
    if (found is None or not found.user_name) and accounts.filter(user_name=message.original_id).exists():
        # Anyone can choose the path; ToUserName is WeChat's, and it names another account.
        raise InvalidPush("account")
    if found is not None and found.appid != message.appid:
        # MySQL and MariaDB compare without case. The same push under another spelling of the path would count as
        # another message.
        raise InvalidPush("account")
    if found is None:
        logger.info("A message came for account %s, which is unknown to platform %r.", message.appid, platform.alias)
        return None
    if found.state == Authorizer.State.UNAUTHORIZED:
        logger.info("A message came for account %s, which has cancelled its authorization.", message.appid)
        return None
    if not found.user_name:
        _read_profile(found, seconds)
    # WeChat may not have given the profile: ToUserName is WeChat's own, and no other account has it.
    original_id = found.user_name or message.original_id
    account = Account(original_id, found.kind == Authorizer.Kind.MINI, time.monotonic() + REMEMBERED)
    if len(_known) >= MAX_REMEMBERED:
        _known.clear()
    _known[platform.appid, message.appid] = account
    return account


def _read_profile(found: Authorizer, seconds: float) -> None:
    """Of an account that was just authorized: its first message came before its profile. A failed read rests."""
    if not authorization.take_profile_turn(found):
        return
    try:
        fresh = deadlines.within(seconds, lambda: authorization.sync_profile(found))
    except WeChatOpenError as error:
        logger.warning("The profile of account %s could not be read when a message came: %s", found, error)
    else:
        found.user_name, found.kind = fresh.user_name, fresh.kind

"""For which account is a message?

The ``$APPID$`` in the path is not signed, so the account's original id inside the ciphertext (``ToUserName``) has to
agree with it (protocol 1.3). What is known about an account is remembered in the process for some seconds: messages
come in crowds, and an account's original id does not change.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass

from django.utils.functional import SimpleLazyObject

from .. import authorization
from ..component import Platform
from ..exceptions import InvalidPush, WeChatOpenError
from ..models import Authorizer
from . import patience
from .messages import Message

logger = logging.getLogger(__name__)

REMEMBERED = 10.0
"""Seconds for which a cancelled account may go on being answered here; WeChat no longer pushes for it anyway."""

MAX_REMEMBERED = 10_000


@dataclass(frozen=True)
class Account:
    """What is needed of an account for every message."""

    original_id: str
    mini: bool
    until: float


_known: dict[tuple[str, str], Account] = {}


def find(platform: Platform, message: Message, seconds: float) -> Account | None:
    """The account that the message is for; None when nobody here may answer in its name.

    Raises InvalidPush when the message was meant for another account than the path says. ``seconds`` bounds the
    question to WeChat for an original id that is not known yet.
    """
    account = _remembered(platform, message.appid) or _load(platform, message, seconds)
    if account is not None and account.original_id != message.original_id:
        raise InvalidPush("account")
    return account


def row(platform: Platform, appid: str) -> Authorizer:
    """The account's row, read from the database when it is first looked at."""

    def load() -> Authorizer:
        return Authorizer.objects.select_related("component").get(component__appid=platform.appid, appid=appid)

    lazy: Authorizer = SimpleLazyObject(load)  # type: ignore[assignment]  # it is one to everybody who looks
    return lazy


def forget() -> None:
    """Read every account anew, for tests."""
    _known.clear()


def _remembered(platform: Platform, appid: str) -> Account | None:
    account = _known.get((platform.appid, appid))
    return account if account and account.until > time.monotonic() else None


def _load(platform: Platform, message: Message, seconds: float) -> Account | None:
    accounts = Authorizer.objects.filter(component=platform.row)
    found = accounts.select_related("component").filter(appid=message.appid).first()
    if (found is None or not found.user_name) and accounts.filter(user_name=message.original_id).exists():
        # The path may be anybody's word, ToUserName is WeChat's: it says that another account was meant.
        raise InvalidPush("account")
    if found is not None and found.appid != message.appid:
        # MySQL and MariaDB take capitals for small letters. A push that comes again under another spelling of the path
        # would be another message.
        raise InvalidPush("account")
    if found is None:
        logger.info("A message came for account %s, which platform %r does not know.", message.appid, platform.alias)
        return None
    if found.state == Authorizer.State.UNAUTHORIZED:
        logger.info("A message came for account %s, which has cancelled its authorization.", message.appid)
        return None
    if not found.user_name:
        _read_profile(found, seconds)
    # An account whose profile WeChat does not tell: ToUserName is WeChat's word, and no other account claims it.
    original_id = found.user_name or message.original_id
    account = Account(original_id, found.kind == Authorizer.Kind.MINI, time.monotonic() + REMEMBERED)
    if len(_known) >= MAX_REMEMBERED:
        _known.clear()
    _known[platform.appid, message.appid] = account
    return account


def _read_profile(found: Authorizer, seconds: float) -> None:
    """Just authorized, and its first message was quicker than its profile. A read that failed lately rests."""
    if not authorization.take_profile_turn(found):
        return
    try:
        fresh = patience.within(seconds, lambda: authorization.sync_profile(found))
    except WeChatOpenError as error:
        logger.warning("The profile of account %s could not be read when a message came: %s", found, error)
    else:
        found.user_name, found.kind = fresh.user_name, fresh.kind

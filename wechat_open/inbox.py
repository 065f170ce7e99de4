"""What does a push do, and how is it done once?

``receive`` records an authenticated push durably under a key made of its decrypted fields; only then may WeChat be told
``success``. ``process`` acts on it afterwards: claimed, repeated with back-off, and harmless when done twice, because
every effect is ordered by WeChat's time or keyed by its authorization code. Tickets are not queued: they are stored on
the spot, since everything else waits for them.
"""

from __future__ import annotations

import json
import logging
from datetime import datetime, timedelta, timezone
from functools import singledispatch

from django.db import IntegrityError, router, transaction
from django.db.models import F, Q

from . import authorization, clock, journal, signals, tokens
from .component import Platform, platform_of
from .exceptions import AccountRestricted, AuthorizationRefused, InvalidPush, NotAuthorized, WeChatOpenError
from .models import AHEAD, Component, Push, VerifyTicket, update_row
from .protocol import events
from .protocol.envelope import Unsealed, read_plain
from .protocol.events import Authorized, Event, MiniProgramRegistered, TicketPushed, Unauthorized
from .protocol.repair import decode
from .protocol.wire import entry, word
from .protocol.xml import Fields
from .sealing import digest
from .sentence import Sentence as _

logger = logging.getLogger(__name__)

TICKETS_KEPT = 12
"""Two hours of pushes. Any of them lives twelve hours (protocol 2.1)."""

LEASE = timedelta(minutes=1)
FIRST_RETRY = timedelta(seconds=10)
LAST_RETRY = timedelta(minutes=15)
MAX_ATTEMPTS = 100
"""At the longest interval about a day; a code is worthless by then, and the sweep has seen to the account."""

MAX_REFUSALS = 8
"""While WeChat refuses the account for good (frozen, closed): about twenty minutes."""

KEEP_DONE = timedelta(days=30)

UNREADABLE = "unreadable"
"""The type of a push that does not say of which type it is."""


def is_ticket(unsealed: Unsealed) -> bool:
    """Whether the push is a verify ticket."""
    try:
        return isinstance(events.parse(unsealed.fields), TicketPushed)
    except InvalidPush:
        return False


def receive(platform: Platform, unsealed: Unsealed) -> Push | None:
    """Record an authenticated push; the row to process, or None for a ticket or a repeat.

    What cannot be read is kept as a row to look at, and None is returned. InvalidPush when it is for another platform,
    is a follower's message, or is dated ahead of the database's clock. Database errors are raised: then there is no
    ``success``.
    """
    if not _is_of(platform, unsealed.fields):
        raise InvalidPush("appid")
    pushed_at = datetime.fromtimestamp(int(unsealed.stamp.timestamp), timezone.utc)
    try:
        event = events.parse_any(unsealed.fields, platform.appid, pushed_at)
    except InvalidPush as error:
        if entry(unsealed.fields, "MsgType") and not entry(unsealed.fields, "InfoType"):
            raise  # a follower's message, which is never stored
        _keep_unreadable(platform, unsealed, pushed_at, unsealed.unreadable or error.reason)
        return None
    if isinstance(event, TicketPushed):
        # Also one that is dated ahead: it comes last and evicts none, while a database whose clock is slow would lose
        # its platform in twelve hours if it took no ticket.
        _store_ticket(platform.row, event)
        return None
    _require_no_future(platform, event)
    return _record(platform.row, event, unsealed)


def _is_of(platform: Platform, fields: Fields) -> bool:
    """Whether nothing says that it is another platform's; decrypting it has shown that it is for this one."""
    return word(entry(fields, "AppId")) in ("", platform.appid)


def _keep_unreadable(platform: Platform, unsealed: Unsealed, pushed_at: datetime, reason: str) -> None:
    """WeChat would only send the same again, so it is answered ``success``, and an operator finds it in the inbox."""
    fields = unsealed.fields
    push = Push(
        component=platform.row,
        digest=digest(unsealed.plain.hex(), "unreadable push"),
        info_type=word(entry(fields, "InfoType")) or UNREADABLE,
        authorizer_appid=word(entry(fields, "AuthorizerAppid")),
        created_at=pushed_at,
        received_at=clock.now(),
        state=Push.State.ABANDONED,
        error=_("It cannot be read: no %(format)s with the fields of an event.", format=unsealed.format.upper()),
    )
    push.payload = push.seal("payload", decode(unsealed.plain))
    try:
        with transaction.atomic(using=router.db_for_write(Push)):
            push.save(force_insert=True)
    except IntegrityError:
        logger.info("A push that cannot be read came again.")
        return
    logger.error(
        "A push of type %s for platform %r was authenticated and cannot be read (%s, %d bytes). It was answered with "
        "success and kept in the inbox as #%d.",
        push.info_type,
        platform.alias,
        reason,
        len(unsealed.plain),
        push.pk,
    )
    update_row(platform.row, last_push_at=clock.now())
    journal.count(journal.What.PUSHES, platform.row)
    journal.count(journal.What.UNREADABLE, platform.row)


def _require_no_future(platform: Platform, event: Event) -> None:
    """Grants are ordered by CreateTime: a push that is dated ahead would win over every later one."""
    now = Component.objects.annotate(read_at=clock.read()).values_list("read_at", flat=True).get(pk=platform.row.pk)
    ahead = event.created_at - now
    if ahead > AHEAD:
        logger.error(
            "A push of type %s for platform %r is dated %d seconds ahead of the database's clock and is refused: "
            "compare that clock with an NTP server; if it is right, change TOKEN and ENCODING_AES_KEY in the console.",
            event.info_type,
            platform.alias,
            ahead.total_seconds(),
        )
        raise InvalidPush("ahead")


def _store_ticket(component: Component, event: TicketPushed) -> None:
    """Keep the ticket with WeChat's time; a repeat is the same row, an older one never becomes the newest."""
    ticket = VerifyTicket(
        component=component,
        digest=digest(event.ticket.reveal(), "verify ticket"),
        created_at=event.created_at,
        received_at=clock.now(),
    )
    ticket.ticket = ticket.seal("ticket", event.ticket.reveal())
    try:
        with transaction.atomic(using=router.db_for_write(VerifyTicket)):
            ticket.save(force_insert=True)
    except IntegrityError:
        logger.info("A verify ticket was pushed again.")
    else:
        tokens.ticket_arrived(component)
    update_row(component, last_push_at=clock.now())
    # What was seen to be old, and not "all but the newest": another one may be coming in this moment.
    old = list(component.tickets.best_first().values_list("pk", flat=True)[TICKETS_KEPT:])
    component.tickets.filter(pk__in=old).delete()
    signals.announce(signals.push_received, type(event), component=component, event=event)


def _record(component: Component, event: Event, unsealed: Unsealed) -> Push | None:
    push = Push(
        component=component,
        digest=_identity(event),
        info_type=event.info_type[:64],
        authorizer_appid=event.authorizer_appid[:64],
        created_at=event.created_at,
        received_at=clock.now(),
        next_attempt_at=clock.now(),
    )
    push.payload = push.seal("payload", decode(unsealed.plain))
    try:
        with transaction.atomic(using=router.db_for_write(Push)):
            push.save(force_insert=True)
    except IntegrityError:
        logger.info("A push of type %s came again.", push.info_type)
        return None
    update_row(component, last_push_at=clock.now())
    journal.count(journal.What.PUSHES, component)
    return push


def _identity(event: Event) -> str:
    """No field identifies a push (protocol 5.4): all its fields together do, whatever the ciphertext looked like."""
    return digest(json.dumps(event.fields, sort_keys=True, ensure_ascii=False), "push")


# -- processing --------------------------------------------------------------------------------------------------------


def process(push_id: int) -> bool:
    """Act on one push, unless somebody is at it or has done it; True when it is done now."""
    free = Push.objects.filter(
        pk=push_id, state__in=[Push.State.RECEIVED, Push.State.FAILED], next_attempt_at__lte=clock.now()
    )
    if not free.update(next_attempt_at=clock.now() + LEASE, attempts=F("attempts") + 1):
        return False
    push = Push.objects.select_related("component").filter(pk=push_id).first()
    if push is None:  # deleted meanwhile
        return False
    try:
        event = _event_of(push)
        act(event, platform_of(push.component))
    except InvalidPush:
        text = _("It cannot be read: no %(format)s with the fields of an event.", format="XML")
        update_row(push, state=Push.State.ABANDONED, next_attempt_at=None, error=text)  # another try changes nothing
        logger.warning("A push of type %s cannot be read.", push.info_type)
        return False
    except WeChatOpenError as error:
        _failed(push, error.said, MAX_REFUSALS if isinstance(error, AccountRestricted) else MAX_ATTEMPTS)
        logger.warning("A push of type %s could not be processed: %s", push.info_type, error)
        return False
    except Exception as error:
        _failed(push, _("%(error)s: see the log", error=type(error).__name__))
        logger.exception("A push of type %s failed unexpectedly.", push.info_type)
        return False
    update_row(push, state=Push.State.DONE, processed_at=clock.now(), next_attempt_at=None, error="")
    signals.announce(signals.push_received, type(event), component=push.component, event=event)
    return True


def _event_of(push: Push) -> events.Event:
    """In a function of its own: Django's error page shows the variables of those that an error went through, and the
    fields hold a code."""
    fields = read_plain(push.reveal("payload").reveal().encode())
    return events.parse_any(fields, push.component.appid, push.created_at)


def process_due(limit: int = 100) -> int:
    """Process what the broker lost and what is to be repeated, oldest first; how many are done now."""
    due = Push.objects.filter(
        Q(state=Push.State.RECEIVED) | Q(state=Push.State.FAILED), next_attempt_at__lte=clock.now()
    )
    return sum(process(pk) for pk in due.order_by("next_attempt_at").values_list("pk", flat=True)[:limit])


def replay(push: Push) -> bool:
    """Process again, whatever became of it before."""
    update_row(push, state=Push.State.RECEIVED, next_attempt_at=clock.now(), attempts=0)
    return process(push.pk)


def _failed(push: Push, error: str, most: int = MAX_ATTEMPTS) -> None:
    """Repeat later, ever more rarely, and not for ever."""
    journal.count(journal.What.PUSHES_FAILED, push.component)
    abandoned = push.attempts >= most
    wait = min(LAST_RETRY, FIRST_RETRY * 2 ** min(push.attempts - 1, 12))
    update_row(
        push,
        state=Push.State.ABANDONED if abandoned else Push.State.FAILED,
        next_attempt_at=None if abandoned else clock.now() + wait,
        error=error,
    )


@singledispatch
def act(event: Event, platform: Platform) -> None:
    """What an event does. Those without an action of their own only reach ``push_received``."""


@act.register
def _granted(event: Authorized, platform: Platform) -> None:
    """Authorized, or updated: the owner's change of permission sets kills the old tokens (protocol 4.1)."""
    try:
        authorization.complete(
            platform,
            event.authorization_code,
            pre_auth_code=event.pre_auth_code,
            granted_at=event.created_at,
            appid=event.authorizer_appid,
        )
    except AuthorizationRefused as error:
        logger.info("A push about account %s changes nothing: %s", event.authorizer_appid, error)
    except NotAuthorized:
        if not authorization.has_ended(platform, event.authorizer_appid, since=event.created_at):
            raise
        logger.info("Account %s cancelled its authorization before the code was exchanged.", event.authorizer_appid)


@act.register
def _registered(event: MiniProgramRegistered, platform: Platform) -> None:
    """A mini program that was registered for a customer comes authorized (protocol 5.3)."""
    if event.status == 0 and event.auth_code:
        authorization.complete(
            platform,
            event.auth_code,
            granted_at=event.created_at,
            appid=event.authorizer_appid,
            without_link=True,
        )


@act.register
def _unauthorized(event: Unauthorized, platform: Platform) -> None:
    authorization.end(platform, event.authorizer_appid, event.created_at)


# -- tidying -----------------------------------------------------------------------------------------------------------


def prune() -> int:
    """Delete processed pushes after a month; how many."""
    return Push.objects.filter(state=Push.State.DONE, processed_at__lt=clock.now() - KEEP_DONE).delete()[0]

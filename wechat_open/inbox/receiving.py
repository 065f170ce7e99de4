"""How a push of the event URL is recorded before WeChat gets its answer.

A push is parsed once and kept under a key made of its decrypted fields; only then may WeChat be answered ``success``.
Verify tickets are stored on the spot, since everything else waits for them; any other push waits for ``processing``.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any

from .. import audit, signals, tokens
from ..conf import conf
from ..db.encryption import digest
from ..exceptions import InvalidPush
from ..models import AHEAD, Push, VerifyTicket
from ..platforms import Platform
from ..protocol import events
from ..protocol.envelope import DecryptedPush
from ..protocol.events import Event, TicketPushed
from ..protocol.repair import decode
from ..protocol.wire import entry, word
from ..rounds import NO_DEADLINE, Deadline, each
from ..text import TranslatableText as _

logger = logging.getLogger(__name__)

ANNOUNCED_WITHIN = timedelta(minutes=1)
"""How long the process that stored a ticket may take to send the signal about it."""

UNREADABLE = "unreadable"
"""The type of a push that does not say of which type it is."""


@dataclass(frozen=True)
class Recorded:
    """What became of a push: the row to process, if there is one, and the tasks that wake workers."""

    push: Push | None = None
    wake: tuple[tuple[Any, ...], ...] = ()
    """The name and the arguments of each."""


AFTER_TICKET = Recorded(wake=(("wechat_open.tasks.renew_due_tokens",), ("wechat_open.tasks.watch_health",)))
"""Renewals may have waited for the ticket; and while beat is dead, ticket pushes have alerts sent all the same."""


def receive(platform: Platform, decrypted: DecryptedPush) -> Recorded:
    """Record an authenticated push. What cannot be read is kept for an operator.

    Raises InvalidPush when it is for another platform, is older than PUSH_WINDOW, is a follower's message, or is dated
    ahead; both by the database's clock, because that of this host may be wrong. Database errors are raised: then WeChat
    is not answered ``success``.
    """
    # A push without AppId is for this platform too: its keys decrypted it.
    if word(entry(decrypted.fields, "AppId")) not in ("", platform.appid):
        raise InvalidPush("appid")
    pushed_at = datetime.fromtimestamp(int(decrypted.stamp.timestamp), timezone.utc)
    try:
        event = events.parse_any(decrypted.fields, platform.appid, pushed_at)
    except InvalidPush as error:
        if entry(decrypted.fields, "MsgType") and not entry(decrypted.fields, "InfoType"):
            raise  # a follower's message, which is never stored
        _require_recent(decrypted, _now(platform))
        _keep_unreadable(platform, decrypted, pushed_at, decrypted.unreadable or error.reason)
        return Recorded()
    if isinstance(event, TicketPushed):
        # No window for tickets: with one, a database whose clock is wrong would lose its platform in twelve hours. A
        # wrong or made-up date does no harm: the newest by date and by receipt are tried, and both kinds are kept.
        _store_ticket(platform, event)
        return AFTER_TICKET
    now = _now(platform)
    _require_recent(decrypted, now)
    _require_not_ahead(platform, event, now)
    push = _record(
        platform,
        decrypted,
        digest=_identity(event),
        info_type=event.info_type[:64],
        authorizer_appid=event.authorizer_appid[:64],
        created_at=event.created_at,
    )
    return Recorded(push, (("wechat_open.tasks.process_push", push.pk),)) if push else Recorded()


def announce_tickets(platform: Platform, *, deadline: Deadline = NO_DEADLINE) -> int:
    """Send the signal about tickets whose process died after storing them; how many."""

    def announce_one(ticket: VerifyTicket) -> bool:
        _announce(platform, ticket, _event_of(ticket))
        return True

    tickets = platform.environment.ticket_store(platform.row).unannounced(ANNOUNCED_WITHIN)
    return each(tickets, announce_one, deadline, what="The signal about %s could not be sent")


def _now(platform: Platform) -> datetime:
    return platform.environment.push_store(platform.row).now()


def _require_recent(decrypted: DecryptedPush, now: datetime) -> None:
    decrypted.stamp.require_recent(now.timestamp(), conf.push_window)


def _keep_unreadable(platform: Platform, decrypted: DecryptedPush, pushed_at: datetime, reason: str) -> None:
    """WeChat would only send the same again: it is answered ``success``, and an operator finds it in the inbox."""
    fields = decrypted.fields
    push = _record(
        platform,
        decrypted,
        digest=digest(decrypted.plain.hex(), "unreadable push"),
        info_type=word(entry(fields, "InfoType")) or UNREADABLE,
        authorizer_appid=word(entry(fields, "AuthorizerAppid")),
        created_at=pushed_at,
        state=Push.State.ABANDONED,
        error=_("It cannot be read: no %(format)s with the fields of an event.", format=decrypted.format.upper()),
    )
    if push is None:
        return
    logger.error(
        "A push of type %s for platform %r was authenticated and cannot be read (%s, %d bytes). It was answered with "
        "success and kept in the inbox as #%d.",
        push.info_type,
        platform.alias,
        reason,
        len(decrypted.plain),
        push.pk,
    )
    platform.environment.audit.increment(audit.Counter.UNREADABLE, platform.row)


def _require_not_ahead(platform: Platform, event: Event, now: datetime) -> None:
    """Grants are ordered by CreateTime: a push that is dated ahead would win over every later one."""
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


def _store_ticket(platform: Platform, event: TicketPushed) -> None:
    """Store the ticket with WeChat's time: a repeat is the same row, an older one never becomes the newest.

    The signal comes last, and the row says that it is due until then.
    """
    component, store = platform.row, platform.environment.ticket_store(platform.row)
    ticket = VerifyTicket(
        component=component, digest=digest(event.ticket.reveal(), "verify ticket"), created_at=event.created_at
    )
    ticket.ticket = ticket.encrypt("ticket", event.ticket.reveal())
    if store.add(ticket):
        tokens.ticket_arrived(platform)
    else:
        logger.info("A verify ticket was pushed again.")
    platform.environment.push_store(component).pushed()
    store.evict()
    _announce(platform, ticket, event)


def _announce(platform: Platform, ticket: VerifyTicket, event: TicketPushed) -> None:
    signals.announce(signals.push_received, type(event), component=platform.row, event=event)
    platform.environment.ticket_store(platform.row).announced(ticket)


def _event_of(ticket: VerifyTicket) -> TicketPushed:
    """The event as it was pushed, without fields that no action needs."""
    fields = {
        "AppId": ticket.component.appid,
        "CreateTime": str(int(ticket.created_at.timestamp())),
        "InfoType": "component_verify_ticket",
        "ComponentVerifyTicket": ticket.reveal("ticket").reveal(),
    }
    event = events.parse_any(fields, ticket.component.appid, ticket.created_at)
    assert isinstance(event, TicketPushed)
    return event


def _record(platform: Platform, decrypted: DecryptedPush, **columns: Any) -> Push | None:
    """The new row; None when the push came before."""
    environment, component = platform.environment, platform.row
    store = environment.push_store(component)
    push = Push(component=component, **columns)
    push.payload = push.encrypt("payload", decode(decrypted.plain))
    if not store.record(push):
        logger.info("A push of type %s came again.", push.info_type)
        return None
    store.pushed()
    environment.audit.increment(audit.Counter.PUSHES, component)
    return push


def _identity(event: Event) -> str:
    """All fields of a push together: no single one identifies it, and each repeat has another ciphertext."""
    return digest(json.dumps(event.fields, sort_keys=True, ensure_ascii=False), "push")

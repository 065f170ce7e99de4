"""The verify tickets of one platform, and the requests to push them."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from datetime import timedelta
from itertools import chain, islice

from django.db import IntegrityError, router, transaction
from django.db.models import QuerySet

from ..db import clock
from ..db.leases import elapsed
from ..exceptions import EncryptionError
from ..models import AHEAD, Component, VerifyTicket
from ..secret import Secret

logger = logging.getLogger(__name__)

TRIED = 2
"""Of the newest by WeChat's time and of the newest by receipt: several live at a time."""

KEPT = 12
"""Two hours of pushes. Any of them lives twelve hours (docs/protocol.rst, "Verify ticket")."""

KEPT_BY_RECEIPT = 4


def by_creation(tickets: Iterable[VerifyTicket]) -> list[VerifyTicket]:
    """The newest by WeChat's time first; last those that are dated later than they were received.

    WeChat dates a ticket before it sends it. One that is dated ahead comes from a wrong clock, or from an attacker who
    has a key pair: it is tried only when there is no other, and replaces none.
    """
    dated = sorted(tickets, key=lambda ticket: (ticket.created_at, ticket.received_at, ticket.pk), reverse=True)
    return sorted(dated, key=lambda ticket: ticket.created_at > ticket.received_at + AHEAD)


def by_receipt(tickets: Iterable[VerifyTicket]) -> list[VerifyTicket]:
    """The one that came last first, whatever any clock said at that time."""
    return sorted(tickets, key=lambda ticket: ticket.pk, reverse=True)


class TicketStore:
    """The tickets of one platform."""

    def __init__(self, component: Component) -> None:
        self.component = component

    def rows(self) -> QuerySet[VerifyTicket]:
        return VerifyTicket.objects.filter(component=self.component).select_related("component")

    def best(self) -> list[Secret]:
        """The tickets to try, best first: by WeChat's time, and then by receipt.

        A clock that was wrong for an hour, WeChat's or the database's, may date the dead tickets after the living. One
        that cannot be decrypted is passed over. Raises EncryptionError when there are tickets, and none of them can.
        """
        rows = list(self.rows())
        failures: dict[int, EncryptionError] = {}
        created = islice(_decrypted(by_creation(rows), failures), TRIED)
        received = islice(_decrypted(by_receipt(rows), failures), TRIED)
        tickets = list(dict(chain(created, received)).values())
        if failures and not tickets:
            raise next(iter(failures.values()))
        for error in failures.values():
            logger.error("A verify ticket cannot be used: another one is. %s", error)
        return tickets

    def add(self, ticket: VerifyTicket) -> bool:
        """Insert a ticket with the time of its receipt; False when it came before. The signal about it is due."""
        ticket.received_at = clock.now()
        ticket.needs_announcing = True
        try:
            with transaction.atomic(using=router.db_for_write(VerifyTicket)):
                ticket.save(force_insert=True)
        except IntegrityError:
            return False
        return True

    def evict(self) -> None:
        """Delete all but the newest by WeChat's time and the newest by receipt.

        They are named by their keys, and not as "all but the newest": another process may be adding one right now.
        """
        rows = list(self.rows().defer("ticket"))
        kept = {ticket.pk for ticket in [*by_creation(rows)[:KEPT], *by_receipt(rows)[:KEPT_BY_RECEIPT]]}
        old = [ticket.pk for ticket in rows if ticket.pk not in kept]
        if old:
            self.rows().filter(pk__in=old).delete()

    def forget(self) -> int:
        """Delete all tickets; how many."""
        return self.rows().delete()[0]

    def arrived(self) -> None:
        """A ticket has come: a platform that failed for want of one is renewed at once."""
        self._platform().filter(failures__gt=0).update(failures=0, next_action_at=clock.now())

    # -- the signal ----------------------------------------------------------------------------------------------------

    def unannounced(self, older_than: timedelta) -> list[VerifyTicket]:
        """Tickets whose signal is still due, because the process that stored them has died."""
        due = self.rows().filter(needs_announcing=True, received_at__lt=clock.now() - older_than)
        return list(due.order_by("pk"))

    def announced(self, ticket: VerifyTicket) -> None:
        self.rows().filter(digest=ticket.digest, created_at=ticket.created_at).update(needs_announcing=False)

    # -- requests ------------------------------------------------------------------------------------------------------

    def came_within(self, span: timedelta) -> bool:
        """Whether a ticket has been received so recently."""
        return self.rows().filter(received_at__gt=clock.now() - span).exists()

    def may_start_push(self, apart: timedelta) -> bool:
        """Whether the caller may ask WeChat to push now; True once in the time ``apart``."""
        return bool(self._platform().filter(elapsed("push_started_at", apart)).update(push_started_at=clock.now()))

    def push_started(self, answer: str) -> None:
        """WeChat was asked to push, and this was its answer."""
        self._platform().update(push_started_at=clock.now(), push_answer=answer)

    def _platform(self) -> QuerySet[Component]:
        return Component.objects.filter(pk=self.component.pk)


def _decrypted(tickets: Iterable[VerifyTicket], failures: dict[int, EncryptionError]) -> Iterator[tuple[int, Secret]]:
    for ticket in tickets:
        try:
            yield ticket.pk, ticket.reveal("ticket")
        except EncryptionError as error:
            failures[ticket.pk] = error

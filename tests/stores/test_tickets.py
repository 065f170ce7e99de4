"""Which verify tickets are tried, and which are kept."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from wechat_open.models import Component, VerifyTicket
from wechat_open.secret import Secret
from wechat_open.stores.tickets import KEPT, KEPT_BY_RECEIPT, TicketStore

NOW = datetime(2026, 11, 30, 8, tzinfo=timezone.utc)


@pytest.fixture
def component(db: None) -> Component:
    return Component.objects.create(appid="wx1")


def came(component: Component, name: str, minutes: float, *, received: float | None = None) -> None:
    """A ticket of so many minutes after eight, by WeChat's clock and by the database's."""
    ticket = VerifyTicket(
        component=component,
        digest=name,
        created_at=NOW + timedelta(minutes=minutes),
        received_at=NOW + timedelta(minutes=minutes if received is None else received),
    )
    ticket.ticket = ticket.encrypt("ticket", name)
    ticket.save()


def names(tickets: list[Secret]) -> list[str]:
    return [ticket.reveal() for ticket in tickets]


def test_two_newest__are_tried(component: Component) -> None:
    for number in range(4):
        came(component, str(number), 10 * number)

    assert names(TicketStore(component).best()) == ["3", "2"]


def test_tickets_of_a_wrong_hour__are_tried_with_the_ones_that_came_last(component: Component) -> None:
    """WeChat's clock and the database's were ahead together."""
    came(component, "wrong 1", 600)
    came(component, "wrong 2", 610)
    for number in range(3):
        came(component, f"good {number}", 10 * number)

    assert names(TicketStore(component).best()) == ["wrong 2", "wrong 1", "good 2", "good 1"]


def test_late_old_ticket__is_tried_after_the_newest(component: Component) -> None:
    came(component, "newest", 10)
    came(component, "late", 0, received=11)

    assert names(TicketStore(component).best()) == ["newest", "late"]


def test_ticket_dated_after_its_receipt__comes_last(component: Component) -> None:
    came(component, "good", 0)
    came(component, "ahead", 1440, received=1)

    assert names(TicketStore(component).best()) == ["good", "ahead"]


def test_both_kinds__are_kept(component: Component) -> None:
    for number in range(20):
        came(component, f"wrong {number}", 600 + number)
    for number in range(6):
        came(component, f"good {number}", number)
    TicketStore(component).evict()

    kept = set(VerifyTicket.objects.values_list("digest", flat=True))
    assert kept == {f"wrong {number}" for number in range(20 - KEPT, 20)} | {
        f"good {number}" for number in range(6 - KEPT_BY_RECEIPT, 6)
    }


def test_other_platform__keeps_its_own(component: Component) -> None:
    other = Component.objects.create(appid="wx2")
    came(other, "other", 0)

    assert TicketStore(component).best() == []
    assert TicketStore(component).forget() == 0
    assert names(TicketStore(other).best()) == ["other"]

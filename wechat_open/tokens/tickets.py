"""Verify tickets: asking WeChat to push them, and what their arrival changes.

The pushes themselves are received by ``inbox``; ``stores.tickets`` has the statements.
"""

from __future__ import annotations

import logging
from datetime import timedelta

from ..client.component import start_push_ticket
from ..exceptions import WeChatOpenError
from ..platforms import Platform
from ..stores.tickets import TicketStore
from .component import ComponentKeeper
from .policy import stops_the_platform

logger = logging.getLogger(__name__)

TICKET_STALE = timedelta(minutes=30)
START_PUSH_APART = timedelta(minutes=10)
"""The rate limit of api_start_push_ticket is not documented (docs/protocol.rst, "Starting the pushes")."""


def ensure_tickets(platform: Platform) -> bool:
    """Have WeChat push again when no ticket comes (docs/protocol.rst, "Verify ticket"); True when it was asked."""
    if _store(platform).came_within(TICKET_STALE) or not may_start_push(platform):
        return False
    answer = start_push(platform)
    logger.warning("No verify ticket for a while; asked WeChat to push. Its answer: %s", answer)
    return True


def may_start_push(platform: Platform) -> bool:
    """Whether the caller may ask WeChat now. True once in ``START_PUSH_APART``."""
    return _store(platform).may_start_push(START_PUSH_APART)


def start_push(platform: Platform) -> str:
    """Have WeChat push tickets again. Its answer is returned, and stored for operators."""
    answer = ""
    try:
        answer = platform.client.run(start_push_ticket(platform))
    except WeChatOpenError as error:
        answer = error.text
        if stops_the_platform(error):
            ComponentKeeper(platform).pause(error)
        raise
    finally:
        _store(platform).push_started(answer)
    return answer


def forget_tickets(platform: Platform) -> int:
    """Delete the stored verify tickets; how many. The component token stays, and the next ticket renews it.

    For after a leaked key pair: what others have pushed is gone, and WeChat pushes within ten minutes.
    """
    return _store(platform).forget()


def ticket_arrived(platform: Platform) -> None:
    """Let a platform that failed for want of a valid ticket be renewed at once."""
    _store(platform).arrived()


def _store(platform: Platform) -> TicketStore:
    return platform.environment.ticket_store(platform.row)

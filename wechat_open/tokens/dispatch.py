"""Who renews what is due?

Beat, a ticket push, or ``manage.py wechat_open run`` rings; whoever hears it and gets the platform's dispatch slot
pulls due rows in batches, most overdue first, onto a few threads under a rate limit. Rings that are lost or doubled
change nothing: rows stay due until somebody has renewed them, and a dispatcher that died leaves its slot after a
while.
"""

from __future__ import annotations

import logging
import queue
import threading
from dataclasses import dataclass
from datetime import timedelta

from django.db import connections, router
from django.db.models import Q

from .. import clock
from ..component import Platform
from ..conf import conf
from ..exceptions import TicketMissing, WeChatOpenError
from ..models import Authorizer, Component
from . import policy
from .custody import AuthorizerKeeper, ClaimLost, ComponentKeeper
from .policy import Blame
from .store import AuthorizerStore, Claim, ComponentStore
from .world import WORLD, World

logger = logging.getLogger(__name__)

BATCH = 50
SLOT = timedelta(seconds=30)
"""How long the dispatch slot is held without a sign of life."""

TICKET_STALE = timedelta(minutes=30)
START_PUSH_APART = timedelta(minutes=10)
"""The rate limit of api_start_push_ticket is not documented (protocol 2.2)."""


@dataclass
class Tally:
    """What one run did. ``stopped`` when the platform itself was at fault."""

    renewed: int = 0
    failed: int = 0
    stopped: bool = False


def run_due(platform: Platform, *, seconds: float = 25.0, world: World = WORLD) -> Tally:
    """Renew everything that is due, for at most ``seconds``; at once when somebody else is at it."""
    tally = Tally()
    row = platform.row
    if not _take_slot(row):
        return tally
    try:
        ends_at = world.monotonic() + seconds
        if ComponentStore(row, world).paused_for() or not _component_token(platform, world):
            tally.stopped = True
            return tally
        limiter = Limiter(conf.renewals_per_second, world)
        while world.monotonic() < ends_at and not tally.stopped:
            claims = AuthorizerStore(row, world).claim_due(BATCH)
            if not claims:
                break
            _renew_all(platform, claims, tally, limiter, world)
            _keep_slot(row)
        return tally
    finally:
        Component.objects.filter(pk=row.pk).update(dispatching_until=None)


def ensure_tickets(platform: Platform) -> bool:
    """Have WeChat push again when tickets stay away (protocol 2.1); True when it was asked."""
    row = platform.row
    now = clock.now()
    fresh = row.tickets.filter(received_at__gt=now - TICKET_STALE).exists()
    rested = Q(push_started_at__isnull=True) | Q(push_started_at__lte=now - START_PUSH_APART)
    if fresh or not Component.objects.filter(rested, pk=row.pk).update(push_started_at=now):
        return False
    said = start_push(platform)
    logger.warning("No verify ticket for a while; asked WeChat to push, which says: %s", said)
    return True


def start_push(platform: Platform) -> str:
    """Have WeChat push tickets again; what it says is returned, and noted for who wonders why none comes."""
    said = ""
    try:
        said = platform.endpoints.start_push_ticket()
    except WeChatOpenError as error:
        said = error.said
        raise
    finally:
        Component.objects.filter(pk=platform.row.pk).update(push_started_at=clock.now(), push_said=said)
    return said


def forget_tickets(platform: Platform) -> int:
    """Delete the stored verify tickets; how many. The component token stays, and the next ticket renews it.

    For after a leaked key pair: what others have pushed is gone, and WeChat pushes within ten minutes.
    """
    return platform.row.tickets.all().delete()[0]


def ticket_arrived(component: Component) -> None:
    """A platform that failed for want of a good ticket need not rest any longer."""
    Component.objects.filter(pk=component.pk, failures__gt=0).update(failures=0, next_action_at=clock.now())


def _take_slot(row: Component) -> bool:
    free = Q(dispatching_until__isnull=True) | Q(dispatching_until__lte=clock.now())
    return bool(
        Component.objects.filter(free, pk=row.pk).update(dispatching_until=clock.now() + SLOT, heartbeat_at=clock.now())
    )


def _keep_slot(row: Component) -> None:
    Component.objects.filter(pk=row.pk).update(dispatching_until=clock.now() + SLOT, heartbeat_at=clock.now())


def _component_token(platform: Platform, world: World) -> bool:
    """Renew the component token if it is due. False when there is none to work with."""
    keeper = ComponentKeeper(platform, world)
    try:
        for claim in keeper.store.claim_due(1):
            keeper.renew(claim)
        keeper.token()
    except TicketMissing as error:
        logger.info("%s", error)
        return keeper.read().valid
    except WeChatOpenError as error:
        logger.warning("The component token of platform %r was not renewed: %s", platform.alias, error)
        return keeper.read().valid
    return True


def _renew_all(platform: Platform, claims: list[Claim], tally: Tally, limiter: Limiter, world: World) -> None:
    """Renew a batch on a few threads; each closes its database connection when it has no more work."""
    work: queue.SimpleQueue[Claim] = queue.SimpleQueue()
    for claim in claims:
        work.put(claim)
    threads = min(conf.renewal_threads, len(claims))
    if threads == 1 or connections[router.db_for_write(Authorizer)].in_atomic_block:
        _renew_until_empty(platform, work, tally, limiter, world)
        return
    workers = [
        threading.Thread(target=_in_thread, args=(platform, work, tally, limiter, world), daemon=True)
        for _ in range(threads)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()


def _in_thread(
    platform: Platform, work: queue.SimpleQueue[Claim], tally: Tally, limiter: Limiter, world: World
) -> None:
    try:
        _renew_until_empty(platform, work, tally, limiter, world)
    finally:
        connections.close_all()


def _renew_until_empty(
    platform: Platform, work: queue.SimpleQueue[Claim], tally: Tally, limiter: Limiter, world: World
) -> None:
    while True:
        try:
            claim = work.get_nowait()
        except queue.Empty:
            return
        keeper = AuthorizerKeeper(platform, claim.appid, world)
        if tally.stopped:  # the platform is at fault: give the rest back untried
            keeper.store.release(claim, policy.retry_in(0, world.luck()))
            continue
        limiter.wait()
        try:
            keeper.renew(claim)
        except ClaimLost as error:
            logger.info("%s", error)
        except WeChatOpenError as error:
            logger.warning("The token of account %s was not renewed: %s", claim.appid, error)
            tally.failed += 1
            if policy.blame(error) is Blame.PLATFORM:
                tally.stopped = True
        except Exception:
            logger.exception("Renewing the token of account %s failed unexpectedly.", claim.appid)
            tally.failed += 1
        else:
            tally.renewed += 1


class Limiter:
    """Spaces calls evenly; shared by the threads of one dispatcher."""

    def __init__(self, per_second: float, world: World = WORLD) -> None:
        self._gap = 1 / per_second
        self._world = world
        self._next = world.monotonic()
        self._lock = threading.Lock()

    def wait(self) -> None:
        with self._lock:
            now = self._world.monotonic()
            pause = max(0.0, self._next - now)
            self._next = max(now, self._next) + self._gap
        if pause:
            self._world.sleep(pause)

"""The environment that a platform's work runs in: its stores and its other ports, as this site has them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from django.db import connections

from . import audit, ports
from .client.reachability import REACHABILITY, Reachability
from .client.transport import Client
from .conf import conf
from .db.managers import database_of
from .db.transactions import outside_atomic
from .models import Authorizer, Component
from .stores.announcements import AnnouncementStore
from .stores.authorizers import AuthorizerStore
from .stores.component import ComponentStore
from .stores.database_clock import DATABASE_CLOCK
from .stores.exchanges import ExchangeStore
from .stores.grants import GrantStore
from .stores.links import LinkStore
from .stores.profiles import ProfileStore
from .stores.pushes import PushStore
from .stores.reconciliation import ReconciliationStore
from .stores.tickets import TicketStore
from .stores.token_cache import TOKEN_CACHE

_T = TypeVar("_T")


@dataclass(frozen=True)
class Environment:
    """Tests pass some ports of their own; a simulation overrides the methods too."""

    timing: ports.Timing = ports.TIMING
    cache: ports.Cache = TOKEN_CACHE
    audit: ports.Audit = audit
    limits: ports.Limits = conf
    database_clock: ports.DatabaseClock = DATABASE_CLOCK
    reachability: Reachability = REACHABILITY

    def wechat(self) -> ports.WeChat:
        return Client(conf.api_base_url, conf.timeout, component_parameter=conf.component_token_parameter)

    def component_store(self, component: Component) -> ComponentStore:
        return ComponentStore(component, self.timing)

    def authorizer_store(self, component: Component) -> AuthorizerStore:
        return AuthorizerStore(component, self.timing)

    def exchange_store(self, component: Component) -> ExchangeStore:
        return ExchangeStore(component, self.timing)

    def push_store(self, component: Component) -> PushStore:
        return PushStore(component)

    def ticket_store(self, component: Component) -> TicketStore:
        return TicketStore(component)

    def link_store(self) -> LinkStore:
        return LinkStore()

    def profile_store(self, component: Component) -> ProfileStore:
        return ProfileStore(component)

    def announcement_store(self, component: Component) -> AnnouncementStore:
        return AnnouncementStore(component)

    def grant_store(self, component: Component) -> GrantStore:
        return GrantStore(component)

    def reconciliation_store(self, component: Component) -> ReconciliationStore:
        return ReconciliationStore(component)

    def side_by_side(self, work: Callable[[], object], copies: int) -> None:
        """Run ``work`` in so many threads, and wait for all of them."""
        threads = [threading.Thread(target=_then_disconnect, args=(work,), daemon=True) for _ in range(copies)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def outside_atomic(self, work: Callable[[], _T]) -> _T:
        """Run ``work`` outside the transactions of the site."""
        return outside_atomic(work, using=database_of(Authorizer))


ENVIRONMENT = Environment()


def _then_disconnect(work: Callable[[], object]) -> None:
    try:
        work()
    finally:
        connections.close_all()

"""What custody's safety consists of, each part as something that a test can switch off.

A simulation that finds nothing proves little until it has been seen to find what is there. With any of these switched
off, seeds must fail. Each names the kind of trouble that finds it soonest, and a seed that has found it: such a seed is
played first, and when a change has given it another run, all others are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

from django.db.models import Q

from wechat_open import tokens
from wechat_open.authorization import order, tenants
from wechat_open.db import clock
from wechat_open.db.leases import Lease
from wechat_open.models import AuthorizationAttempt, CodeExchange
from wechat_open.secret import Secret
from wechat_open.stores import announcements, authorizers, component, exchanges, links, pushes
from wechat_open.stores import tokens as token_store
from wechat_open.tokens import comparison, grants, policy, recovery

Switch = Callable[[ExitStack], None]

SEEDS = 100
"""So many are played without a safeguard, if the known one passes, until one fails."""


@dataclass(frozen=True)
class Safeguard:
    """``switch`` patches the code until the stack is closed."""

    switch: Switch
    chaos: str
    known: int
    """A seed that fails without it."""

    @property
    def seeds(self) -> list[int]:
        return [self.known, *(seed for seed in range(SEEDS) if seed != self.known)]


SAFEGUARDS: dict[str, Safeguard] = {}


def safeguard(name: str, known: int, chaos: str = "storm") -> Callable[[Switch], Switch]:
    def register(switch: Switch) -> Switch:
        SAFEGUARDS[name] = Safeguard(switch, chaos, known)
        return switch

    return register


@contextmanager
def switched_off(*names: str) -> Iterator[None]:
    with ExitStack() as stack:
        for name in names:
            SAFEGUARDS[name].switch(stack)
        yield


def _replace(stack: ExitStack, target: Any, name: str, value: Any) -> None:
    stack.enter_context(patch.object(target, name, value))


@safeguard("recovery order", 8)
def _recovery_order(stack: ExitStack) -> None:
    """No recovery order: what is stored is all there is."""
    for source in ("_on_record", "_listed"):
        _replace(stack, recovery.Renewal, source, lambda self: iter(()))


@safeguard("comparison", 3, "pushes")
def _comparison(stack: ExitStack) -> None:
    """No hourly comparison with WeChat's list."""
    _replace(stack, tokens, "reconcile_if_due", lambda *args: None)


@safeguard("lease", 9)
def _lease(stack: ExitStack) -> None:
    """Every token may be taken at any time."""
    _replace(stack, Lease, "free", lambda self: Q())
    _replace(stack, token_store.StoredToken, "leased", property(lambda self: False))
    _replace(stack, token_store.TokenStore, "_due_after_lease", lambda self: {})


@safeguard("single rows", 0)
def _single_rows(stack: ExitStack) -> None:
    """A batch of leases is opened as a whole: one row that cannot be decrypted fails it."""
    _replace(stack, authorizers, "decrypted", lambda row, column: (row.reveal(column), None))
    _replace(stack, token_store.TokenStore, "_opened", _opened_together)


def _opened_together(store: Any, fences: dict[int, int]) -> list[Any]:
    rows: dict[int, Any] = store.rows().annotate(read_at=clock.read()).in_bulk(fences)
    return [store._leased(rows[pk]) for pk in fences]


@safeguard("own refusals", 0)
def _own_refusals(stack: ExitStack) -> None:
    """One account's refusal pauses all, and only time ends the pause."""
    _replace(stack, policy, "accounts_agree", lambda *args: True)
    _replace(stack, component.ComponentStore, "take_probe", lambda store, within: False)


@safeguard("lease while in flight", 43)
def _in_flight(stack: ExitStack) -> None:
    """A call that got no answer gives the lease back at once, though WeChat may still be working on it."""

    def fail(store: Any, lease: Any, error: Any, retry_in: Any, in_flight: Any) -> bool:
        return bool(store.fail(lease, error, retry_in))

    _replace(stack, token_store.TokenStore, "fail_in_flight", fail)


@safeguard("signal first", 0)
def _signal_first(stack: ExitStack) -> None:
    """A push is done before its signal is sent."""
    _replace(stack, pushes.PushStore, "extend", pushes.PushStore.done)


@safeguard("lists may be outdated", 7)
def _lists(stack: ExitStack) -> None:
    """Whatever refresh token WeChat lists replaces the stored one, unless a renewal is under way."""
    known = comparison.compare

    def compare(account: Any, entry: Any, asked_at: Any) -> comparison.Difference:
        found = known(account, entry, asked_at)
        fallback = found is comparison.Difference.FALLBACK
        if (fallback or found is comparison.Difference.NONE) and not account.leased:
            renewed = account.obtained_at is not None and account.obtained_at >= asked_at
            if not renewed and entry.refresh_token != account.refresh_token:
                return comparison.Difference.GRANT
        return found

    _replace(stack, comparison, "compare", compare)


@safeguard("order of grants", 0, "tenants")
def _order(stack: ExitStack) -> None:
    """The grant that arrives last is taken for the newest, and its tenant gets the account."""
    _replace(stack, order.GrantOrder, "__call__", lambda self, row: True)


@safeguard("time of the request", 49, "tenants")
def _time_of_request(stack: ExitStack) -> None:
    """What an exchange brought is written over tokens that were asked for later."""
    _replace(stack, grants, "_has_newer_tokens", lambda row, asked_at: False)


@safeguard("fence", 0, "tenants")
def _fence(stack: ExitStack) -> None:
    """A lease that is lost writes all the same."""
    for store in (token_store.TokenStore, authorizers.AuthorizerStore):
        _replace(stack, store, "_mine", lambda self, lease: self.rows().filter(pk=lease.pk))


# -- whose account it is -----------------------------------------------------------------------------------------------


@safeguard("order of this moment", 104, "tenants")
def _order_of_this_moment(stack: ExitStack) -> None:
    """What WeChat's record has shown once decides, also after another grant was stored."""
    known: dict[int, bool] = {}
    asked = order.GrantOrder._is_current

    def is_current(self: order.GrantOrder, row: Any) -> bool:
        return known.setdefault(id(self), asked(self, row))

    _replace(stack, order.GrantOrder, "_is_current", is_current)


@safeguard("fence of a code", 83, "tenants")
def _fence_of_code(stack: ExitStack) -> None:
    """A worker writes what a code has brought also when another one has taken the code over."""

    def grant_stored(store: Any, pk: int, fence: int, authorizer: Any, epoch: int | None) -> None:
        CodeExchange.objects.filter(pk=pk).update(authorizer=authorizer, grant_epoch=epoch)

    _replace(stack, exchanges.ExchangeStore, "grant_stored", grant_stored)
    _replace(stack, exchanges.ExchangeStore, "read_leased", lambda store, pk, fence: store.read(pk))


@safeguard("epoch of a code", 147, "tenants")
def _epoch_of_code(stack: ExitStack) -> None:
    """The grant that is stored is taken for the one that the code has brought."""
    keep = grants.keep

    def keep_and_look(*args: Any, together: Any = None, **kwargs: Any) -> Any:
        row = keep(*args, **kwargs)
        if together is not None:
            together(row, row.grant_epoch)
        return row

    _replace(stack, grants, "keep", keep_and_look)


@safeguard("a code has one page", 0, "tenants")
def _code_of_one_page(stack: ExitStack) -> None:
    """A code brings the account to any page that presents it, at any time."""

    def bind_to_view(
        store: Any, exchange: CodeExchange, attempt: AuthorizationAttempt, code: Secret, *, after_push: Any
    ) -> bool:
        CodeExchange.objects.filter(pk=exchange.pk).update(
            returned_at=clock.now(), attempt=attempt, link=attempt.link_id, code=exchange.encrypt("code", code.reveal())
        )
        return True

    _replace(stack, exchanges.ExchangeStore, "bind_to_view", bind_to_view)


@safeguard("WeChat's word on a code", 1, "tenants")
def _word_on_code(stack: ExitStack) -> None:
    """A push does not take a code from the page where it was presented first."""
    bind = exchanges.ExchangeStore.bind_to_push

    def bind_to_push(store: Any, seen: CodeExchange, digest: str, view: Any, *, keeps_view: bool) -> bool:
        return bind(store, seen, digest, seen.attempt or view, keeps_view=keeps_view or seen.attempt is not None)

    _replace(stack, exchanges.ExchangeStore, "bind_to_push", bind_to_push)


@safeguard("a link connects one account", 4, "tenants")
def _link_of_one_account(stack: ExitStack) -> None:
    """Each account that comes through a link gets it."""
    _replace(stack, tenants, "_link_of", lambda platform, exchange, authorizer: exchange.link)
    _replace(stack, links.LinkStore, "reserve", lambda store, pk, account: True)
    _replace(stack, links.LinkStore, "use", lambda store, pk, account: True)


@safeguard("the last signal", 161, "tenants")
def _last_signal(stack: ExitStack) -> None:
    """A signal that was overtaken by a newer one is not followed by another."""
    _replace(stack, announcements.AnnouncementStore, "outdated", lambda store, account: None)

"""Custody: the only place where tokens live, the component token and the tokens of every account.

The database is the truth, the cache saves a query, a task that is sent only wakes a worker; and when in doubt, WeChat
is asked again. Whatever reaches outside the process goes through the platform's ``environment``.

    policy          when a token is renewed and what a failure means (pure)
    keeper          how one token is read, and renewed by one worker at a time
    component       the component token, from a verify ticket
    authorizers     one account's tokens, and what a failure means for it and for others
    recovery        where a refresh token that WeChat takes is found
    grants          how a grant enters and leaves, and whether WeChat still has it
    renewals        renewing what is due
    reconciliation  the comparison with WeChat's own list
    comparison      what becomes of an account, given its entry of that list (pure)
    tickets         asking WeChat to push verify tickets
"""

from typing import TypeVar

from .. import platforms
from ..client.calls import Call
from ..models import Authorizer
from ..platforms import Platform
from ..rounds import NO_DEADLINE, Deadline
from ..secret import Secret
from ..stores.authorizers import AuthorizerStore
from . import grants
from .authorizers import AuthorizerKeeper, as_authorizer
from .component import ComponentKeeper, as_component
from .reconciliation import ReconciliationReport, reconcile, reconcile_if_due, reconcile_soon
from .renewals import RenewalReport, run_due
from .tickets import ensure_tickets, forget_tickets, may_start_push, start_push, ticket_arrived

_T = TypeVar("_T")

__all__ = [
    "AuthorizerKeeper",
    "ComponentKeeper",
    "ReconciliationReport",
    "RenewalReport",
    "as_authorizer",
    "as_component",
    "authorizer_token",
    "component_token",
    "ensure_tickets",
    "forget_tickets",
    "may_start_push",
    "prune",
    "reconcile",
    "reconcile_account",
    "reconcile_if_due",
    "reconcile_soon",
    "refresh_now",
    "run_apart",
    "run_due",
    "start_push",
    "ticket_arrived",
]


def component_token(platform: Platform) -> Secret:
    """A component access token that WeChat should accept; TokenUnavailable, APIError or Unreachable otherwise."""
    return ComponentKeeper(platform).token()


def authorizer_token(platform: Platform, appid: str) -> Secret:
    """An account's access token; UnknownAuthorizer, AuthorizerUnavailable and the errors above otherwise."""
    return AuthorizerKeeper(platform, appid).token()


def run_apart(platform: Platform, appid: str, call: Call[_T]) -> _T:
    """Make a site's own call that renews a token, the platform's or that of ``appid``: never beside a renewal.

    What it brings is the site's, and not stored; custody asks WeChat when its own token is refused.
    """
    keeper = AuthorizerKeeper(platform, appid) if appid else ComponentKeeper(platform)
    return keeper.run_apart(call)


def refresh_now(authorizer: Authorizer, *, past_brake: bool = False) -> None:
    """Renew an account's token now, due or not; raises WeChat's error when that fails.

    ``past_brake`` is for an operator who looks at this one account: what WeChat says of it counts, however many fail.
    """
    platform = platforms.for_component(authorizer.component)
    AuthorizerKeeper(platform, authorizer.appid, past_brake=past_brake).renew_now()


def reconcile_account(authorizer: Authorizer, *, past_brake: bool = False) -> bool:
    """Ask WeChat what it has on record for an account and correct the row; True when its state changed.

    Raises WeChat's error when it has a grant and takes none of its tokens. For ``past_brake`` see ``refresh_now``.
    """
    platform = platforms.for_component(authorizer.component)
    if authorizer.state != Authorizer.State.AUTHORIZED:
        return grants.ask_again(platform, authorizer)
    keeper = AuthorizerKeeper(platform, authorizer.appid, past_brake=past_brake)
    keeper.store.mark_for_reconciliation(authorizer.pk)
    keeper.renew_now()
    return False


def prune(deadline: Deadline = NO_DEADLINE) -> int:
    """Delete the refresh tokens of accounts that ended some days ago; of how many."""
    return AuthorizerStore.forget_tokens(grants.TOKENS_KEPT, deadline)

"""Who keeps the tokens?

The only place where tokens live: the component token and the tokens of every account. The database is the truth, the
cache saves a query, a message is a doorbell; and when in doubt, WeChat is asked again.

    policy     when a token is renewed and what a failure means      (pure)
    world      time, luck, and transactions that are not ours
    store      how tokens lie in the database: claims and compare-and-set
    cache      how the cache saves a query
    custody    how one token is read, renewed and healed
    grants     how a grant enters and leaves, and whether WeChat still has it
    dispatch   who renews what is due
    sweep      what WeChat's own list says
"""

from ..component import Platform, platform_of
from ..models import Authorizer
from ..secret import Secret
from . import grants
from .custody import AuthorizerKeeper, ComponentKeeper, as_authorizer, as_component
from .dispatch import Tally, ensure_tickets, forget_tickets, run_due, start_push, ticket_arrived
from .sweep import SweepReport, sweep, sweep_if_due, sweep_soon

__all__ = [
    "AuthorizerKeeper",
    "ComponentKeeper",
    "SweepReport",
    "Tally",
    "as_authorizer",
    "as_component",
    "authorizer_token",
    "component_token",
    "ensure_tickets",
    "forget_tickets",
    "reconcile_account",
    "refresh_now",
    "run_due",
    "start_push",
    "sweep",
    "sweep_if_due",
    "sweep_soon",
    "ticket_arrived",
]


def component_token(platform: Platform) -> Secret:
    """A component access token that WeChat should accept; TokenUnavailable, APIError or Unreachable otherwise."""
    return ComponentKeeper(platform).token()


def authorizer_token(platform: Platform, appid: str) -> Secret:
    """An account's access token; UnknownAuthorizer, AuthorizerUnavailable and the errors above otherwise."""
    return AuthorizerKeeper(platform, appid).token()


def refresh_now(authorizer: Authorizer) -> None:
    """Renew an account's token now, due or not; raises what WeChat says when it does not work."""
    AuthorizerKeeper(platform_of(authorizer.component), authorizer.appid).renew_now()


def reconcile_account(authorizer: Authorizer) -> bool:
    """Ask WeChat what it has on record for an account and bring the row to it; True when its state changed.

    Raises what WeChat says when it has a grant and takes none of its tokens.
    """
    platform = platform_of(authorizer.component)
    if authorizer.state != Authorizer.State.AUTHORIZED:
        return grants.look_again(platform, authorizer)
    keeper = AuthorizerKeeper(platform, authorizer.appid)
    keeper.store.mark_for_reconciliation(authorizer.pk)
    keeper.renew_now()
    return False

"""What is an operator told about an action, before it and after?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.db.models import Model, Q
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext, ngettext_lazy, npgettext_lazy

from ..bulk import Action
from ..models import AuthorizationLink, Authorizer

State = Authorizer.State

# Each state is named, for the index: what is not in one state has none.
_without_grant = Q(state__in=[State.UNAUTHORIZED, State.NEEDS_REAUTHORIZATION])
_not_gone = Q(state__in=[State.AUTHORIZED, State.NEEDS_REAUTHORIZATION])


@dataclass(frozen=True)
class Words:
    """``question`` takes %(count)s. ``unfit`` are rows for which the action makes no sense, ``of_unfit`` says so."""

    question: Any
    happens: Any
    done: Any
    unfit: Q | None = None
    of_unfit: Callable[[int], str] | None = None
    careful: bool = False
    """Asked before a single row, too."""
    made: type[Model] | None = None
    """What it makes, in a list of its own."""


def _unfit_without_grant(count: int) -> str:
    return ngettext(
        "%(count)s of them holds no authorization at the moment: it will be reported as failed.",
        "%(count)s of them hold no authorization at the moment: they will be reported as failed.",
        count,
    ) % {"count": count}


def _unfit_to_forget(count: int) -> str:
    return ngettext(
        "%(count)s of them is still authorized: it will be left alone and reported as failed.",
        "%(count)s of them are still authorized: they will be left alone and reported as failed.",
        count,
    ) % {"count": count}


WORDS: dict[str, Words] = {
    Action.REFRESH: Words(
        question=ngettext_lazy(
            "Refresh the tokens of %(count)s account?", "Refresh the tokens of %(count)s accounts?", "count"
        ),
        happens=_(
            "WeChat is asked for a new access token for each account, due or not. Calls that still "
            "use the old one keep working for a few minutes. This is rarely needed: tokens are "
            "renewed automatically."
        ),
        done=_("The tokens were refreshed."),
        unfit=_without_grant,
        of_unfit=_unfit_without_grant,
    ),
    Action.SYNC: Words(
        question=ngettext_lazy(
            "Read the profile of %(count)s account?", "Read the profiles of %(count)s accounts?", "count"
        ),
        happens=_(
            "Name, avatar, verification and permission sets are read from WeChat and stored. Nothing changes at WeChat."
        ),
        done=_("The profile was read."),
        unfit=_without_grant,
        of_unfit=_unfit_without_grant,
    ),
    Action.RECONCILE: Words(
        question=ngettext_lazy(
            "Compare %(count)s account with WeChat's records?",
            "Compare %(count)s accounts with WeChat's records?",
            "count",
        ),
        happens=_(
            "WeChat is asked which authorization it has on record for each account. The stored tokens "
            "are brought to that and renewed. An account that turns out to be authorized is restored."
        ),
        done=_("It was compared with WeChat's records."),
    ),
    Action.ASK: Words(
        question=ngettext_lazy(
            "Ask the owner of %(count)s account to authorize again?",
            "Ask the owners of %(count)s accounts to authorize again?",
            "count",
        ),
        happens=_(
            "A link is created for each account. It is valid for seven days, for that account only, "
            "and keeps the tenant. Send it to the owner; if this site sends such links automatically, "
            "it is notified. The current authorization stays as it is until the owner confirms."
        ),
        done=_("A link was created. It is among the authorization links."),
        made=AuthorizationLink,
    ),
    Action.FORGET: Words(
        question=npgettext_lazy("wechat_open", "Forget %(count)s account?", "Forget %(count)s accounts?", "count"),
        happens=_(
            "The account is deleted here, with its profile and its list of permission sets. Nothing changes at WeChat. "
            "The audit trail stays. If its owner authorizes again, it comes back as a new account."
        ),
        done=_("The account was forgotten."),
        unfit=_not_gone,
        of_unfit=_unfit_to_forget,
        careful=True,
    ),
    Action.REPLAY: Words(
        question=ngettext_lazy("Process %(count)s push again?", "Process %(count)s pushes again?", "count"),
        happens=_("The push is processed again, as if it had just arrived. That is safe: later events are not undone."),
        done=_("It was processed."),
    ),
}

"""The operations on accounts."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.db import router, transaction
from django.db.models import Q
from django.utils.translation import gettext_lazy as _
from django.utils.translation import gettext_noop, ngettext, ngettext_lazy, npgettext_lazy, pgettext_lazy

from .. import authorization, platforms, signals, tokens
from ..authorization.payloads import payload_of
from ..exceptions import WeChatOpenError
from ..models import AuthorizationLink, Authorizer
from ..text import TranslatableText, pgettext
from .registry import Operation, register

State = Authorizer.State

REAUTHORIZE_WITHIN = timedelta(days=7)
"""How long an owner who was asked to authorize again can open the link."""


class AccountOperation(Operation):
    model = Authorizer
    state: State | None = None
    """The only state of an account for which it makes sense; None for every state."""

    def eligible(self, account: Authorizer) -> bool:
        return self.state in (None, account.state)

    def ineligible_rows(self) -> Q | None:
        # Each state is named, for the index: an exclusion has none.
        return Q(state__in=[state for state in State if state != self.state]) if self.state else None

    def ineligible_notice(self, count: int) -> str:
        return ngettext(
            "%(count)s of them holds no authorization at the moment: it will be reported as failed.",
            "%(count)s of them hold no authorization at the moment: they will be reported as failed.",
            count,
        ) % {"count": count}


@register
class Refresh(AccountOperation):
    name = "refresh"
    permission = "refresh_account"
    state = State.AUTHORIZED
    label = _("Refresh tokens now")
    title = pgettext("bulk", "Refresh tokens")
    question = ngettext_lazy(
        "Refresh the tokens of %(count)s account?", "Refresh the tokens of %(count)s accounts?", "count"
    )
    explanation = _(
        "WeChat is asked for a new access token for each account, due or not. Calls that still "
        "use the old one keep working for a few minutes. This is rarely needed: tokens are "
        "renewed automatically."
    )
    done = _("The tokens were refreshed.")
    audit_kind = "refreshed"
    audit_label = pgettext_lazy("audit", "tokens refreshed by hand")
    audit_sentence = _("%(who)s refreshed the tokens of %(account)s.")
    audit_failure = _("%(who)s could not refresh the tokens of %(account)s.")

    def perform(self, account: Authorizer, user: Any) -> None:
        tokens.refresh_now(account)

    def perform_alone(self, account: Authorizer, user: Any) -> None:
        tokens.refresh_now(account, past_brake=True)


@register
class Sync(AccountOperation):
    name = "sync"
    permission = "sync_account"
    state = State.AUTHORIZED
    label = _("Read profile from WeChat")
    title = pgettext("bulk", "Read profiles from WeChat")
    question = ngettext_lazy(
        "Read the profile of %(count)s account?", "Read the profiles of %(count)s accounts?", "count"
    )
    explanation = _(
        "Name, avatar, verification and permission sets are read from WeChat and stored. Nothing changes at WeChat."
    )
    done = _("The profile was read.")
    audit_kind = "synced"
    audit_label = pgettext_lazy("audit", "profile read by hand")
    audit_sentence = _("%(who)s read the profile of %(account)s from WeChat.")
    audit_failure = _("%(who)s could not read the profile of %(account)s from WeChat.")

    def perform(self, account: Authorizer, user: Any) -> None:
        authorization.sync_profile(account)


@register
class Reconcile(AccountOperation):
    name = "reconcile"
    permission = "reconcile_account"
    label = _("Compare with WeChat's records")
    title = pgettext("bulk", "Compare with WeChat's records")
    question = ngettext_lazy(
        "Compare %(count)s account with WeChat's records?",
        "Compare %(count)s accounts with WeChat's records?",
        "count",
    )
    explanation = _(
        "WeChat is asked which authorization it has on record for each account. The stored tokens "
        "are brought to that and renewed. An account that turns out to be authorized is restored."
    )
    done = _("It was compared with WeChat's records.")
    audit_kind = "reconciled"
    audit_label = pgettext_lazy("audit", "compared with WeChat's records")
    audit_sentence = _("%(who)s compared %(account)s with WeChat's records.")
    audit_failure = _("%(who)s could not compare %(account)s with WeChat's records.")

    def perform(self, account: Authorizer, user: Any) -> None:
        self._compare(account, past_brake=False)

    def perform_alone(self, account: Authorizer, user: Any) -> None:
        self._compare(account, past_brake=True)

    def _compare(self, account: Authorizer, *, past_brake: bool) -> None:
        if tokens.reconcile_account(account, past_brake=past_brake):
            authorization.announce(account)


@register
class Ask(AccountOperation):
    """A link for this account only, for the tenant that brought it. The site receives a signal and may send it."""

    name = "ask"
    permission = "ask_account"
    label = _("Ask to authorize again")
    title = pgettext("bulk", "Ask owners to authorize again")
    question = ngettext_lazy(
        "Ask the owner of %(count)s account to authorize again?",
        "Ask the owners of %(count)s accounts to authorize again?",
        "count",
    )
    explanation = _(
        "A link is created for each account. It is valid for seven days, for that account only, "
        "and keeps the tenant. Send it to the owner; if this site sends such links automatically, "
        "it is notified. The current authorization stays as it is until the owner confirms."
    )
    done = _("A link was created. It is among the authorization links.")
    creates = AuthorizationLink
    audit_kind = "asked"
    audit_label = pgettext_lazy("audit", "asked to authorize again")
    audit_sentence = _("%(who)s asked the owner of %(account)s to authorize again.")
    audit_failure = _("%(who)s could not ask the owner of %(account)s to authorize again.")

    def perform(self, account: Authorizer, user: Any) -> AuthorizationLink:
        link = authorization.begin(
            user=user,
            biz_appid=account.appid,
            auth_type="all",
            payload=payload_of(account.granted_through),
            component=platforms.for_component(account.component).alias,
            expires_in=REAUTHORIZE_WITHIN,
        )
        signals.announce(signals.authorizer_needs_attention, Authorizer, authorizer=account, reason="asked", link=link)
        return link


@register
class Forget(AccountOperation):
    """Deletes an account whose owner has left; the next reconciliation would restore any other one."""

    name = "forget"
    permission = "forget_account"
    state = State.UNAUTHORIZED
    label = pgettext_lazy("wechat_open", "Forget")
    title = pgettext("bulk", "Forget accounts")
    question = npgettext_lazy("wechat_open", "Forget %(count)s account?", "Forget %(count)s accounts?", "count")
    explanation = _(
        "The account is deleted here, with its profile and its list of permission sets. Nothing changes at WeChat. "
        "The audit trail stays. If its owner authorizes again, it comes back as a new account."
    )
    done = _("The account was forgotten.")
    confirm_one = True
    deletes = True
    audit_kind = "forgotten"
    audit_label = pgettext_lazy("audit", "forgotten")
    audit_sentence = pgettext_lazy("wechat_open", "%(who)s removed the record of %(account)s.")
    audit_failure = _("%(who)s could not remove the record of %(account)s.")

    def ineligible_notice(self, count: int) -> str:
        return ngettext(
            "%(count)s of them is still authorized: it will be left alone and reported as failed.",
            "%(count)s of them are still authorized: they will be left alone and reported as failed.",
            count,
        ) % {"count": count}

    def perform(self, account: Authorizer, user: Any) -> None:
        """Lock before deleting: Django deletes by the key, whatever the state is by then.

        A new grant that is written at this moment would be deleted with the row.
        """
        with transaction.atomic(using=router.db_for_write(Authorizer)):
            gone = Authorizer.objects.select_for_update().filter(pk=account.pk, state=State.UNAUTHORIZED).first()
            if gone is None:
                raise WeChatOpenError(
                    TranslatableText(
                        gettext_noop("Its owner has not taken the authorization back; WeChat would list it again.")
                    )
                )
            gone.delete()

"""Checks of the hourly comparison with WeChat's list of accounts."""

from __future__ import annotations

from datetime import timedelta

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext, pgettext_lazy

from ...formats import duration, grouped
from ..facts import Facts
from ..findings import AMBER, GREEN, RED, SECONDS
from ..registry import Result, by_age, check, is_many

COMPARISON_AMBER = timedelta(hours=2)
COMPARISON_RED = timedelta(hours=6)
REPAIRS_RED_SHARE = 0.01

NEW_HERE = timedelta(hours=2)
"""The first comparison of a new platform takes in all the accounts that it brings along; that is no alarm."""


@check(
    "reconciliation",
    title=pgettext_lazy("wechat_open", "Last comparison"),
    unit=SECONDS,
    why=gettext_lazy("Differences to WeChat's list, such as a grant whose push was lost, are not found."),
)
def last_comparison(facts: Facts) -> Result:
    """A new platform has the same time for its first comparison."""
    swept = facts.age(facts.row.reconciled_at)
    age = facts.age_here(facts.row.reconciled_at)
    level = by_age(age, COMPARISON_AMBER, COMPARISON_RED)
    if swept is None:
        message = _("The accounts have not been compared with WeChat's own list yet.")
    else:
        message = _("The accounts were compared with WeChat's own list %(age)s ago.") % {"age": duration(age)}
    hint = _(
        "It runs hourly where workers run; the dashboard's button runs it now, or “%(command)s”, which "
        "shows what is wrong."
    ) % {"command": facts.platform.command("reconcile")}
    return Result(level, swept, message, "" if level is GREEN else hint)


@check(
    "reconciliation_repairs",
    title=gettext_lazy("Repaired by the comparison"),
    why=gettext_lazy("A push, an answer or a part of the database was missing."),
)
def repairs(facts: Facts) -> Result:
    repairs = facts.row.reconcile_repairs
    if not repairs:
        return Result(GREEN, 0, _("The last comparison found no difference."))
    reconciled_at, created_at = facts.row.reconciled_at, facts.row.created_at
    first = reconciled_at is not None and reconciled_at - created_at < NEW_HERE
    many = is_many(repairs, facts.authorized, REPAIRS_RED_SHARE)
    message = ngettext(
        "The last comparison with WeChat's list corrected %(count)s account.",
        "The last comparison with WeChat's list corrected %(count)s accounts.",
        repairs,
    ) % {"count": grouped(repairs)}
    hint = _(
        "They have been corrected. Find out why they differed: pushes that were not received, a "
        "restored database, or another system that refreshes the same tokens."
    )
    return Result(RED if many and not first else AMBER, repairs, message, hint)

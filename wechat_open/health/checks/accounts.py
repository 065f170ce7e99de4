"""Checks of the accounts: renewals, restrictions by WeChat, lost authorizations and misused codes."""

from __future__ import annotations

from datetime import timedelta

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext, pgettext, pgettext_lazy

from ...formats import duration, grouped
from ...protocol import errcodes
from ...translation import describe_errcode
from ..facts import COUNTED, FAILING_RED_SHARE, LATELY, NAMED, Facts
from ..findings import AMBER, GREEN, RED
from ..registry import Result, by_age, check, is_many

OLDEST_OVERDUE_AMBER = timedelta(minutes=10)
OLDEST_OVERDUE_RED = timedelta(minutes=20)
OVERDUE_AMBER_SHARE = 0.001
OVERDUE_RED_SHARE = 0.01

EXPIRED_RED_SHARE = 0.001
FAILING_AMBER_SHARE = 0.01

MISUSED_RED = 3
"""One may be a mistake; several are an attack."""


@check(
    "overdue",
    title=pgettext_lazy("wechat_open", "Overdue renewals"),
    page="accounts:overdue",
    why=gettext_lazy("A token that is not renewed expires after two hours; then calls for the account fail."),
)
def overdue(facts: Facts) -> Result:
    oldest = facts.age(facts.overdue_since)
    if oldest is None:
        return Result(GREEN, 0, _("No renewal is overdue."))
    # Those that were tried and fail have a finding of their own; here they count by their share only.
    untried = facts.age(facts.untried_since) or 0.0
    level = by_age(untried, OLDEST_OVERDUE_AMBER, OLDEST_OVERDUE_RED)
    if level is not RED and is_many(facts.overdue, facts.authorized, OVERDUE_RED_SHARE):
        level = RED
    elif level is GREEN and facts.overdue >= OVERDUE_AMBER_SHARE * facts.authorized:
        level = AMBER
    message = ngettext(
        "%(count)s account of %(total)s waits for its renewal, for %(oldest)s.",
        "%(count)s accounts of %(total)s wait for their renewal, the first for %(oldest)s.",
        facts.overdue,
    ) % {"count": _counted(facts.overdue), "total": grouped(facts.authorized), "oldest": duration(oldest)}
    if facts.untried_since is None:
        hint = _("Workers try them, and the renewals fail: see that finding.")
    else:
        hint = _("Check that beat and enough workers are running; a pause of the platform stops renewals as well.")
    return Result(level, facts.overdue, message, "" if level is GREEN else hint)


@check("failing_renewals", title=pgettext_lazy("wechat_open", "Failing renewals"), page="accounts:failing")
def failing_renewals(facts: Facts) -> Result:
    """Whether renewals fail that were tried. Each is tried again soon, so nothing else shows it for hours."""
    failing, total = facts.failing, facts.authorized
    if not failing:
        return Result(GREEN, 0, _("No account's last renewals have failed."))
    level = GREEN
    if is_many(failing, total, FAILING_RED_SHARE):
        level = RED
    elif failing >= FAILING_AMBER_SHARE * total:
        level = AMBER
    message = ngettext(
        "The last renewals of %(count)s account of %(total)s failed: %(errors)s.",
        "The last renewals of %(count)s accounts of %(total)s failed: %(errors)s.",
        failing,
    ) % {"count": grouped(failing), "total": grouped(total), "errors": _by_errcode(facts.failing_codes)}
    code, most = facts.failing_codes[0]
    if level is RED and most * 10 >= failing * 9 and not _is_transient(code):
        hint = _(
            "When so many accounts get the same answer, the platform is the cause, and not the accounts: "
            "compare its appid, AppSecret, IP whitelist (白名单IP地址列表) and release with WeChat's console. Do "
            "not contact owners."
        )
    else:
        hint = _("Look at the last errors of these accounts. Each is tried again automatically.")
    return Result(level, failing, message, "" if level is GREEN else hint)


def _is_transient(code: int | None) -> bool:
    """Whether it says nothing about the platform's settings: WeChat was busy, or did not answer."""
    known = None if code is None else errcodes.lookup(code)
    return code is None or (known is not None and known.reaction is errcodes.Reaction.WAIT)


def _by_errcode(codes: tuple[tuple[int | None, int], ...]) -> str:
    """The most frequent answers, each with how many accounts got it."""
    no_answer = pgettext("health", "no usable answer")  # gettext finds no text inside an f-string
    named = [f"{describe_errcode(code) or code or no_answer} ({grouped(number)})" for code, number in codes[:NAMED]]
    return "; ".join([*named, "…"] if len(codes) > NAMED else named)


@check(
    "expired_tokens",
    title=pgettext_lazy("wechat_open", "Expired tokens"),
    page="accounts:expired",
    why=gettext_lazy("Calls for these accounts wait for a renewal, or fail."),
)
def expired_tokens(facts: Facts) -> Result:
    if not facts.expired:
        return Result(GREEN, 0, _("No token in use has expired."))
    level = RED if is_many(facts.expired, facts.authorized, EXPIRED_RED_SHARE) else AMBER
    message = ngettext(
        "The token of %(count)s account of %(total)s has expired: nothing can be done in its name.",
        "The tokens of %(count)s accounts of %(total)s have expired: nothing can be done in their names.",
        facts.expired,
    ) % {"count": _counted(facts.expired), "total": grouped(facts.authorized)}
    hint = _(
        "Look at the last error of these accounts. If workers run and WeChat answers, each is "
        "tried again automatically."
    )
    return Result(level, facts.expired, message, hint)


@check("restricted", title=gettext_lazy("Restricted by WeChat"), page="accounts:restricted")
def restricted(facts: Facts) -> Result:
    """Accounts that WeChat has frozen or closed, or whose APIs it has banned: news for an hour, then known."""
    count = facts.restricted
    if not count:
        return Result(GREEN, 0, _("WeChat restricts no account."))
    accounts = ", ".join(f"{appid} ({describe_errcode(code) or code})" for appid, code in facts.restricted_accounts)
    message = ngettext(
        "WeChat restricts %(count)s account of %(total)s: %(accounts)s.",
        "WeChat restricts %(count)s accounts of %(total)s, most recently %(accounts)s.",
        count,
    ) % {"count": _counted(count), "total": grouped(facts.authorized), "accounts": accounts}
    at_once = is_many(facts.newly_restricted, facts.authorized, FAILING_RED_SHARE)
    if count > 2 and (at_once or 2 * count >= facts.authorized):
        hint = _(
            "When WeChat restricts so many accounts at once, the platform is the cause, and not the "
            "accounts: compare its appid and release with WeChat's console. Do not contact owners."
        )
        return Result(RED, count, message, hint)
    hint = _(
        "Only the owner can have that lifted, at WeChat. The account is checked once a day; “Refresh tokens"
        " now” checks it at once."
    )
    return Result(AMBER if facts.newly_restricted else GREEN, count, message, hint)


@check(
    "needs_reauthorization",
    title=gettext_lazy("Needs its owner"),
    page="accounts:needs_reauthorization",
    why=gettext_lazy("Nothing can be done for these accounts until their owners act."),
)
def needs_reauthorization(facts: Facts) -> Result:
    lost, lately = facts.lost, facts.newly_lost
    send = _(
        "Send each owner the link that was created, or a new one. After the owner authorizes again, renewals continue."
    )
    if _braked(facts):
        message = _("The brake is on: too many accounts failed at once, so none has been marked as lost.")
        return Result(RED, lost, message, _("Look at the brake first; do not contact owners yet."))
    if not lost:
        return Result(GREEN, 0, _("No account needs its owner."))
    message = ngettext(
        "%(count)s account needs its owner to authorize again.",
        "%(count)s accounts need their owners to authorize again.",
        lost,
    ) % {"count": grouped(lost)}
    if lately:
        message = _("%(said)s In the last hour: %(count)s.") % {"said": message, "count": grouped(lately)}
    return Result(AMBER if lately else GREEN, lost, message, send)


@check(
    "brake",
    title=pgettext_lazy("wechat_open", "Brake"),
    unit=(pgettext_lazy("wechat_open", "off"), pgettext_lazy("wechat_open", "holds")),
    page="accounts:doubt",
    why=gettext_lazy(
        "Too many accounts failed at once, so the cause is probably WeChat or the platform: their "
        "states are not changed."
    ),
)
def brake(facts: Facts) -> Result:
    if not _braked(facts):
        return Result(GREEN, False, _("The brake is off."))
    age = facts.age(facts.row.braked_at) or 0.0
    return Result(
        RED,
        True,
        _(
            "The brake is on: too many accounts failed at once, last %(age)s ago. None has been "
            "marked as lost: WeChat may be at fault."
        )
        % {"age": duration(age)},
        _(
            "Look at some of these accounts in WeChat's console. If one is really gone, compare it with WeChat's "
            "records: the brake does not apply to an account that is compared by itself. If many are, raise "
            "BRAKE_ACCOUNTS and BRAKE_SHARE for a while. If they are not, wait, and they recover automatically."
        ),
    )


def _braked(facts: Facts) -> bool:
    age = facts.age(facts.row.braked_at)
    return age is not None and age <= LATELY.total_seconds()


@check("misused_codes", title=pgettext_lazy("wechat_open", "Misused codes"), page="audit:code_misused")
def misused_codes(facts: Facts) -> Result:
    """Authorization codes that were presented through links to which they do not belong."""
    misused = facts.misused_codes
    if not misused:
        return Result(GREEN, 0, _("No authorization code has been misused."))
    message = ngettext(
        "%(count)s time in the last day an authorization code was presented through a link that it does not belong to.",
        "%(count)s times in the last day an authorization code was presented through a link that it does not belong "
        "to.",
        misused,
    ) % {"count": grouped(misused)}
    hint = _(
        "The account stays with its tenant. The audit trail names link and account: find out who has the link, revoke "
        "it if it is still open, and look where codes can be read, such as in a proxy's or an analytics service's log."
    )
    level = RED if misused >= MISUSED_RED else AMBER
    return Result(level, misused, message, hint)


def _counted(count: int) -> str:
    if count < COUNTED:
        return grouped(count)
    return pgettext("wechat_open", "at least %(count)s") % {"count": grouped(count)}

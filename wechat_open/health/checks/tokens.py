"""Checks of the platform's own token, and of what stops renewals."""

from __future__ import annotations

from datetime import timedelta

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext, pgettext, pgettext_lazy

from ...exceptions import PlatformFault
from ...formats import duration, grouped
from ...protocol import errcodes
from ...tokens.policy import DUE_TO
from ...translation import describe_errcode, translate
from ..facts import Facts
from ..findings import AMBER, GREEN, RED, SECONDS
from ..registry import ANSWERS, Result, by_number, check
from ..statistics import LATE

# Left of the component token: of two hours, 20 and 5 minutes; of a token that lives shorter, the same shares.
TOKEN_AMBER = timedelta(minutes=20)
TOKEN_AMBER_SHARE = 1 / 6
TOKEN_RED = timedelta(minutes=5)
TOKEN_RED_SHARE = 1 / 24

FORCED_AMBER = 3
FORCED_RED = 20
"""At most sixty an hour are possible. From here on, another system ends the token as soon as it is renewed."""


UNREACHED_FOR = timedelta(minutes=3)
"""A host that gets no answer from WeChat tries at least once a minute, and may wait for the answer for some seconds."""


@check(
    "component_token",
    title=pgettext_lazy("wechat_open", "Component token"),
    unit=SECONDS,
    why=gettext_lazy("Every renewal of an account's tokens needs it."),
)
def component_token(facts: Facts) -> Result:
    left = facts.token_left
    if not left:
        if facts.ticket_at is not None and not _token_is_late(facts):
            return Result(GREEN, 0, _("A component access token is being fetched."))
        message = _("There is no valid component access token, so no account's token can be renewed.")
        hint = (
            _("A verify ticket is missing: see that finding.")
            if facts.ticket_at is None
            else _(
                "Look at the last error; mostly it is APPSECRET or the IP whitelist (白名单IP地址列表) in the console."
            )
        )
        return Result(RED, 0, _with_failure(message, facts), hint)
    level = GREEN
    if _token_is_late(facts):
        life = facts.token_life
        if left < min(TOKEN_RED, life * TOKEN_RED_SHARE).total_seconds():
            level = RED
        elif left < min(TOKEN_AMBER, life * TOKEN_AMBER_SHARE).total_seconds():
            level = AMBER
    if level is GREEN:
        message = _("The component access token is valid for another %(left)s.") % {"left": duration(left)}
        return Result(level, left, message)
    return Result(
        level,
        left,
        _with_failure(
            _("The component access token ends in %(left)s and should have been renewed by now.")
            % {"left": duration(left)},
            facts,
        ),
        _(
            "Check that workers are running, and look at the last error; mostly it is APPSECRET or "
            "the IP whitelist (白名单IP地址列表)."
        ),
    )


def _token_is_late(facts: Facts) -> bool:
    """Whether workers have had the time to renew it: it was due at ``DUE_TO`` of its life at the latest."""
    obtained_at = facts.row.access_token_obtained_at
    if obtained_at is None:
        return facts.ticket_at is not None and facts.now - facts.ticket_at > LATE
    return facts.now > obtained_at + facts.token_life * DUE_TO + LATE


@check(
    "paused",
    title=pgettext_lazy("wechat_open", "Renewals"),
    unit=(pgettext_lazy("wechat_open", "running"), pgettext_lazy("wechat_open", "paused")),
    why=gettext_lazy("No account's tokens are renewed while renewals are paused."),
)
def paused(facts: Facts) -> Result:
    if not facts.paused:
        return Result(GREEN, False, _("Renewals are not paused."))
    age = duration(facts.age(facts.row.paused_since) or 0.0)
    errcode = facts.row.last_errcode
    own = errcode is not None and isinstance(errcodes.error_for(errcode, ""), PlatformFault)
    return Result(
        RED if own else AMBER,
        True,
        _with_failure(
            _("All renewals have been paused for %(age)s: WeChat refuses the platform, or one account after the other.")
            % {"age": age},
            facts,
        ),
        _(
            "Correct the platform's set-up in WeChat's console or in the settings. One account is tried every minute "
            "or so, and the first that is renewed ends the pause."
        )
        if own
        else _(
            "One account is tried every minute or so, and the first that is renewed ends the pause. A daily quota "
            "(45009) can be cleared in WeChat's console."
        ),
    )


@check(
    "unanswered",
    title=pgettext_lazy("wechat_open", "Answers from WeChat"),
    unit=ANSWERS,
    why=gettext_lazy("If no other host gets answers, tokens end."),
)
def unanswered(facts: Facts) -> Result:
    age = facts.age(facts.row.unreached_at)
    if age is None or age > UNREACHED_FOR.total_seconds():
        return Result(GREEN, True, _("WeChat answers every host."))
    message = pgettext("wechat_open", "%(what)s (%(age)s ago)")
    return Result(
        AMBER,
        False,
        message % {"what": translate(facts.row.unreached), "age": duration(age)},
        _(
            "Check that host's DNS, firewall, proxy and way to the internet. It leaves renewals to other hosts, tries "
            "again every minute or so, and goes on with the first answer."
        ),
    )


@check(
    "forced_renewals",
    title=pgettext_lazy("wechat_open", "Forced renewals"),
    why=gettext_lazy("Another system with the same credentials: each new token of one ends that of the other."),
)
def forced_renewals(facts: Facts) -> Result:
    forced = facts.forced
    if not forced:
        return Result(GREEN, 0, _("WeChat has not refused the component token early."))
    level = by_number(forced, FORCED_AMBER, FORCED_RED)
    message = ngettext(
        "WeChat refused the component token early %(count)s time in this hour and the one before.",
        "WeChat refused the component token early %(count)s times in this hour and the one before.",
        forced,
    ) % {"count": grouped(forced)}
    hint = _(
        "Another system seems to fetch tokens for the same platform: a second environment with the same appid, or a "
        "script. Let only one of them do so."
    )
    return Result(level, forced, message, "" if level is GREEN else hint)


def _with_failure(message: str, facts: Facts) -> str:
    """The message and WeChat's last error, in the reader's language where its number is known."""
    row = facts.row
    if not (row.last_error and (row.failures or facts.paused)):
        return message
    error = describe_errcode(row.last_errcode, row.last_rid) or translate(row.last_error)
    return _("%(said)s The last attempt failed: %(error)s") % {"said": message, "error": error}

"""Checks of verify tickets: whether WeChat pushes them, and whether they arrive."""

from __future__ import annotations

from datetime import timedelta

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext_lazy

from ...formats import duration
from ...translation import translate
from ..facts import Facts
from ..findings import AMBER, GREEN, RED, SECONDS
from ..registry import Result, by_age, check

# WeChat pushes a ticket every ten minutes, and each lives twelve hours (docs/protocol.rst, "Verify ticket").
TICKET_AMBER = timedelta(minutes=25)
TICKET_RED = timedelta(hours=6)

PUSHING_RED = timedelta(minutes=45)
"""A worker asks WeChat to push after half an hour without a ticket; by then one should have come."""

WRONG_KEYS = gettext_lazy(
    "With a TOKEN or ENCODING_AES_KEY that is not the console's, pushes are refused with 403, and the log of the site "
    "says “Refused a push for platform”."
)
"""The usual cause when WeChat pushes and no ticket is stored."""


@check(
    "ticket_age",
    title=pgettext_lazy("wechat_open", "Verify ticket"),
    unit=SECONDS,
    page="tickets",
    why=gettext_lazy(
        "Without a ticket that is younger than 12 hours there is no new component token, and two hours later no token "
        "of any account."
    ),
)
def ticket_age(facts: Facts) -> Result:
    age = facts.age(facts.ticket_at)
    if age is None:
        return Result(
            RED,
            None,
            _("WeChat has pushed no verify ticket yet; without one there is no token for any account."),
            _(
                "Enter the authorization event URL (授权事件接收URL) in the platform's console, and start "
                "pushing with the dashboard's button, or “%(command)s”. %(wrong_keys)s"
            )
            % {"command": facts.platform.command("push-ticket"), "wrong_keys": WRONG_KEYS},
        )
    level = by_age(age, TICKET_AMBER, TICKET_RED)
    words = {
        GREEN: _("The newest verify ticket came %(age)s ago."),
        AMBER: _("The newest verify ticket came %(age)s ago; WeChat should push one every ten minutes."),
        RED: _("The newest verify ticket came %(age)s ago; it lives twelve hours, and then every token runs out."),
    }
    hint = _(
        "Check that the authorization event URL (授权事件接收URL) is right and answers “success” within "
        "5 seconds. %(wrong_keys)s"
    ) % {"wrong_keys": WRONG_KEYS}
    return Result(level, age, words[level] % {"age": duration(age)}, "" if level is GREEN else hint)


@check(
    "push_service",
    title=pgettext_lazy("wechat_open", "Push service"),
    unit=SECONDS,
    page="tickets",
    why=gettext_lazy("Without tickets there is no component token after 12 hours."),
)
def push_service(facts: Facts) -> Result:
    """Whether WeChat pushes at all; its answer to the request for tickets is the best clue."""
    row = facts.row
    pushed = facts.age(row.last_push_at)
    silent_for = facts.age_here(facts.ticket_at)
    if facts.ticket_at is not None and silent_for <= TICKET_AMBER.total_seconds():
        message = _("WeChat pushes: the last push came %(age)s ago.") % {
            "age": duration(silent_for if pushed is None else pushed)
        }
        return Result(GREEN, pushed, message)
    asked = facts.age(row.push_started_at)
    if asked is None or (facts.ticket_at and row.push_started_at and facts.ticket_at >= row.push_started_at):
        return Result(
            AMBER,
            pushed,
            _("No verify ticket arrives, and WeChat has not been asked to push since."),
            _("A worker asks automatically after half an hour; the dashboard's button, or “%(command)s”, asks now.")
            % {"command": facts.platform.command("push-ticket")},
        )
    level = RED if silent_for >= PUSHING_RED.total_seconds() else AMBER
    return Result(
        level,
        pushed,
        _("WeChat was asked %(age)s ago to push verify tickets and said “%(said)s”; none has come since.")
        % {"age": duration(asked), "said": translate(row.push_answer) or "ok"},
        _(
            "If it refused, correct APPSECRET or the IP whitelist (白名单IP地址列表). If it says that pushing is on, "
            "they do not get through: look at the authorization event URL, the firewall, and the web server's log."
        ),
    )

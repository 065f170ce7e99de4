"""Checks of the pushes, messages and deferred answers that wait or were refused."""

from __future__ import annotations

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext, pgettext_lazy

from ...formats import duration, grouped, sentences
from ..facts import Facts
from ..findings import AMBER, GREEN
from ..registry import Result, by_number, check

INBOX_RED = 50

HANDLERS_RED = 100
"""Messages of an hour or two that no thread was free for."""


@check(
    "inbox",
    title=pgettext_lazy("wechat_open", "Waiting pushes"),
    page="pushes",
    why=gettext_lazy("Grants, cancellations and other events from WeChat are not processed."),
)
def inbox(facts: Facts) -> Result:
    place = "pushes:failed" if facts.waiting_failed else "pushes:received"
    oldest = facts.age(facts.waiting_since)
    if oldest is None and facts.abandoned:
        return _given_up(facts)
    if oldest is None:
        return Result(GREEN, 0, _("No push waits to be processed."), page=place)
    message = ngettext(
        "%(count)s push waits to be processed, for %(oldest)s.",
        "%(count)s pushes wait to be processed, the oldest for %(oldest)s.",
        facts.waiting,
    ) % {"count": grouped(facts.waiting), "oldest": duration(oldest)}
    hint = (
        _("Look at the errors of the pushes; they are retried automatically, in the admin, or with “%(command)s”.")
        % {"command": facts.platform.command("replay --failed")}
        if facts.waiting_failed
        else _("Check that a worker is running. Nothing is lost: they are processed as soon as one does.")
    )
    if facts.abandoned:
        message = sentences(message, _given_up(facts).message)
    return Result(by_number(facts.waiting, 1, INBOX_RED), facts.waiting, message, hint, page=place)


def _given_up(facts: Facts) -> Result:
    message = ngettext(
        "%(count)s push was given up after many attempts: what it says has not been done.",
        "%(count)s pushes were given up after many attempts: what they say has not been done.",
        facts.abandoned,
    ) % {"count": grouped(facts.abandoned)}
    hint = _("Look at the error, and process it again in the admin, or with “%(command)s”.") % {
        "command": facts.platform.command("replay --failed")
    }
    return Result(AMBER, facts.abandoned, message, hint, page="pushes:abandoned")


@check(
    "handlers",
    title=gettext_lazy("Messages that busy handlers refused"),
    why=gettext_lazy("WeChat shows their followers that the account is out of order, and repeats the message twice."),
)
def handlers(facts: Facts) -> Result:
    """Whether handlers of an account hang: it has a share of the threads, and its further messages are refused."""
    refused = facts.handlers_busy
    if not refused:
        return Result(GREEN, 0, _("No message was refused because handlers were busy."))
    message = ngettext(
        "%(count)s message was refused in this hour and the one before, because its account's handlers were busy.",
        "%(count)s messages were refused in this hour and the one before, because their accounts' handlers were busy.",
        refused,
    ) % {"count": grouped(refused)}
    hint = _(
        "The log of the web processes names the accounts. Give a timeout to whatever their handlers wait for, or let "
        "answer_later do it. Handlers that hang end with their process."
    )
    return Result(by_number(refused, 1, HANDLERS_RED), refused, message, hint)


@check(
    "deferred",
    title=gettext_lazy("Deferred answers that workers refused"),
    why=gettext_lazy("Followers do not get these answers, or something else writes to the broker."),
)
def deferred(facts: Facts) -> Result:
    """Whether tasks come that name a function which the site did not register."""
    refused = facts.deferred_refused
    if not refused:
        return Result(GREEN, 0, _("Workers refused no deferred answer."))
    message = ngettext(
        "Workers refused %(count)s deferred answer in this hour and the one before: its function is not registered.",
        "Workers refused %(count)s deferred answers in this hour and the one before: their functions are not "
        "registered.",
        refused,
    ) % {"count": grouped(refused)}
    hint = _(
        "The workers' log names the functions. Decorate yours with @deferred in a module that is imported when Django "
        "starts, and run the same release in web processes and workers. If a function is not yours, something else "
        "writes to your broker: change its password."
    )
    return Result(AMBER, refused, message, hint)

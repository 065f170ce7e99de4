"""What is asked of a platform?

One function for each thing that can be wrong: from the facts to a finding. None of them asks anybody anything.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext, pgettext

from .. import census
from ..conf import conf
from ..exceptions import PlatformFault
from ..protocol import errcodes
from ..telling import explained, translated
from ..tokens.policy import DUE_TO
from . import thresholds
from .facts import Facts
from .finding import AMBER, GREEN, RED, Finding, Level, grouped, lasting, sentences

PUT_BACK = gettext_lazy(
    "Put the missing key back: into ENCRYPTION_KEYS, or an older SECRET_KEY into "
    "SECRET_KEY_FALLBACKS. If it is lost for good, `manage.py wechat_open rotate-keys "
    "--empty-unreadable` empties the values that it encrypted, and WeChat is asked for the "
    "tokens again."
)
"""What is to be done about what no key decrypts; ``doctor`` and ``rotate-keys`` say so too."""

WRONG_KEYS = gettext_lazy(
    "With a TOKEN or ENCODING_AES_KEY that is not the console's, pushes are refused with 403, and the log of the site "
    "says “Refused a push for platform”."
)
"""The usual cause when WeChat pushes and no ticket is stored."""


def examine(facts: Facts) -> list[Finding]:
    return [check(facts) for check in CHECKS]


# -- tickets and the platform's own token ------------------------------------------------------------------------------


def ticket_age(facts: Facts) -> Finding:
    age = facts.age(facts.ticket_at)
    if age is None:
        return Finding(
            "ticket_age",
            RED,
            None,
            _("WeChat has pushed no verify ticket yet; without one there is no token for any account."),
            _(
                "Enter the authorization event URL (授权事件接收URL) in the platform's console, and start "
                "pushing with the dashboard's button, or “%(command)s”. %(wrong_keys)s"
            )
            % {"command": facts.platform.command("push-ticket"), "wrong_keys": WRONG_KEYS},
            "tickets",
        )
    level = _by(age, thresholds.TICKET_AMBER, thresholds.TICKET_RED)
    words = {
        GREEN: _("The newest verify ticket came %(age)s ago."),
        AMBER: _("The newest verify ticket came %(age)s ago; WeChat should push one every ten minutes."),
        RED: _("The newest verify ticket came %(age)s ago; it lives twelve hours, and then every token runs out."),
    }
    remedy = _(
        "Check that the authorization event URL (授权事件接收URL) is right and answers “success” within "
        "5 seconds. %(wrong_keys)s"
    ) % {"wrong_keys": WRONG_KEYS}
    return Finding(
        "ticket_age", level, age, words[level] % {"age": lasting(age)}, "" if level is GREEN else remedy, "tickets"
    )


def push_service(facts: Facts) -> Finding:
    """Whether WeChat pushes at all; what it says to being asked for tickets is the best clue there is."""
    row = facts.row
    pushed = facts.age(row.last_push_at)
    silent_for = facts.age_here(facts.ticket_at)
    if facts.ticket_at is not None and silent_for <= thresholds.TICKET_AMBER.total_seconds():
        said = _("WeChat pushes: the last push came %(age)s ago.") % {
            "age": lasting(silent_for if pushed is None else pushed)
        }
        return Finding("push_service", GREEN, pushed, said, "", "tickets")
    asked = facts.age(row.push_started_at)
    if asked is None or (facts.ticket_at and row.push_started_at and facts.ticket_at >= row.push_started_at):
        return Finding(
            "push_service",
            AMBER,
            pushed,
            _("No verify ticket arrives, and WeChat has not been asked to push since."),
            _("A worker asks automatically after half an hour; the dashboard's button, or “%(command)s”, asks now.")
            % {"command": facts.platform.command("push-ticket")},
            "tickets",
        )
    level = RED if silent_for >= thresholds.PUSHING_RED.total_seconds() else AMBER
    return Finding(
        "push_service",
        level,
        pushed,
        _("WeChat was asked %(age)s ago to push verify tickets and said “%(said)s”; none has come since.")
        % {"age": lasting(asked), "said": translated(row.push_said) or "ok"},
        _(
            "If it refused, correct APPSECRET or the IP whitelist (白名单IP地址列表). If it says that pushing is on, "
            "they do not get through: look at the authorization event URL, the firewall, and the web server's log."
        ),
        "tickets",
    )


def component_token(facts: Facts) -> Finding:
    left = facts.token_left
    if not left:
        if facts.ticket_at is not None and not _token_is_late(facts):
            return Finding("component_token", GREEN, 0, _("A component access token is being fetched."), "", "platform")
        said = _("There is no valid component access token, so no account's token can be renewed.")
        remedy = (
            _("It takes a verify ticket: see there.")
            if facts.ticket_at is None
            else _(
                "Look at the last error; mostly it is APPSECRET or the IP whitelist (白名单IP地址列表) in the console."
            )
        )
        return Finding("component_token", RED, 0, _with_failure(said, facts), remedy, "platform")
    level = GREEN
    if _token_is_late(facts):
        life = facts.token_life
        if left < min(thresholds.TOKEN_RED, life * thresholds.TOKEN_RED_SHARE).total_seconds():
            level = RED
        elif left < min(thresholds.TOKEN_AMBER, life * thresholds.TOKEN_AMBER_SHARE).total_seconds():
            level = AMBER
    if level is GREEN:
        said = _("The component access token is valid for another %(left)s.") % {"left": lasting(left)}
        return Finding("component_token", level, left, said, "", "platform")
    return Finding(
        "component_token",
        level,
        left,
        _with_failure(
            _("The component access token ends in %(left)s and should have been renewed by now.")
            % {"left": lasting(left)},
            facts,
        ),
        _(
            "Check that workers are running, and look at the last error; mostly it is APPSECRET or "
            "the IP whitelist (白名单IP地址列表)."
        ),
        "platform",
    )


def _token_is_late(facts: Facts) -> bool:
    """Whether the workers have had the time to renew it: they were to do so at the end of ``DUE_TO`` of its life."""
    obtained_at = facts.row.access_token_obtained_at
    if obtained_at is None:
        return facts.ticket_at is not None and facts.now - facts.ticket_at > thresholds.LATE
    return facts.now > obtained_at + facts.token_life * DUE_TO + thresholds.LATE


def paused(facts: Facts) -> Finding:
    if not facts.paused:
        return Finding("paused", GREEN, False, _("Renewals are not paused."), "", "platform")
    assert facts.row.paused_until is not None
    left = lasting((facts.row.paused_until - facts.now).total_seconds())
    errcode = facts.row.last_errcode
    own = errcode is not None and isinstance(errcodes.error_for(errcode, ""), PlatformFault)
    return Finding(
        "paused",
        RED if own else AMBER,
        True,
        _with_failure(
            _("All renewals are paused for %(left)s after a fault of the platform itself.") % {"left": left}, facts
        ),
        _("Correct the platform's set-up in WeChat's console or in the settings; renewals then resume automatically.")
        if own
        else _("They resume automatically. A daily quota (45009) can be cleared in WeChat's console."),
        "platform",
    )


def forced_renewals(facts: Facts) -> Finding:
    forced = facts.forced
    if not forced:
        said = _("WeChat has not refused the component token early.")
        return Finding("forced_renewals", GREEN, 0, said, "", "platform")
    level = _by_number(forced, thresholds.FORCED_AMBER, thresholds.FORCED_RED)
    said = ngettext(
        "WeChat refused the component token early %(count)s time in this hour and the one before.",
        "WeChat refused the component token early %(count)s times in this hour and the one before.",
        forced,
    ) % {"count": grouped(forced)}
    remedy = _(
        "Another system seems to fetch tokens for the same platform: a second environment with the same appid, or a "
        "script. Let only one of them do so."
    )
    return Finding("forced_renewals", level, forced, said, "" if level is GREEN else remedy, "platform")


def handlers(facts: Facts) -> Finding:
    """Whether handlers of an account hang: it has a share of the threads, and its further messages are refused."""
    refused = facts.handlers_busy
    if not refused:
        said = _("No message was refused because handlers were busy.")
        return Finding("handlers", GREEN, 0, said, "", "platform")
    said = ngettext(
        "%(count)s message was refused in this hour and the one before, because its account's handlers were busy.",
        "%(count)s messages were refused in this hour and the one before, because their accounts' handlers were busy.",
        refused,
    ) % {"count": grouped(refused)}
    remedy = _(
        "The log of the web processes names the accounts. Give a timeout to whatever their handlers wait for, or let "
        "answer_later do it. Handlers that hang end with their process."
    )
    return Finding("handlers", _by_number(refused, 1, thresholds.HANDLERS_RED), refused, said, remedy, "platform")


def deferred(facts: Facts) -> Finding:
    """Whether tasks come that name a function which the site did not register."""
    refused = facts.deferred_refused
    if not refused:
        said = _("Workers refused no deferred answer.")
        return Finding("deferred", GREEN, 0, said, "", "platform")
    said = ngettext(
        "Workers refused %(count)s deferred answer in this hour and the one before: its function is not registered.",
        "Workers refused %(count)s deferred answers in this hour and the one before: their functions are not "
        "registered.",
        refused,
    ) % {"count": grouped(refused)}
    remedy = _(
        "The workers' log names the functions. Decorate yours with @deferred in a module that is imported when Django "
        "starts, and run the same release in web processes and workers. If a function is not yours, something else "
        "writes to your broker: change its password."
    )
    return Finding("deferred", AMBER, refused, said, remedy, "platform")


def clock_skew(facts: Facts) -> Finding:
    """WeChat's clock against the database's, and against this host's, by which the age of a push is judged."""
    measured = facts.row.skew_seconds
    against_host = (measured or 0.0) - facts.host_ahead
    worst = against_host if measured is None or abs(against_host) > abs(measured) else measured
    level = _by(abs(worst), thresholds.SKEW_AMBER, thresholds.SKEW_RED)
    if measured is None:
        words = _("The database's clock and this host's differ by %(seconds).1f seconds; WeChat's is not known yet.")
    elif worst == measured:
        words = _("WeChat's clock and the database's differ by %(seconds).1f seconds.")
    else:
        words = _("WeChat's clock and this host's differ by %(seconds).1f seconds.")
    remedy = _(
        "Set the clock of the host by NTP (chrony, systemd-timesyncd). A push whose time is too far off is refused."
    )
    said = words % {"seconds": abs(worst)}
    return Finding("clock_skew", level, round(worst, 1), said, "" if level is GREEN else remedy, "platform")


# -- beat and workers --------------------------------------------------------------------------------------------------


def beat(facts: Facts) -> Finding:
    age = facts.age(facts.row.beat_at)
    level = _by(facts.age_here(facts.row.beat_at), thresholds.BEAT_AMBER, thresholds.BEAT_RED)
    if not conf.has_celery:
        return _run(level, age)
    start_beat = _("Start Celery beat with wechat_open.schedule.BEAT_SCHEDULE merged into its schedule.")
    start_both = _("Start a worker and beat, or “manage.py wechat_open run”, which needs neither.")
    if level is GREEN:
        said = _("Beat has not had to send a task yet.") if age is None else _("Beat sent a task %(age)s ago.")
        said, remedy = said % {"age": lasting(age or 0.0)}, ""
    elif _worker_lives(facts):
        worked = lasting(facts.age(facts.row.heartbeat_at) or 0.0)
        if age is None:
            said = _("Beat has never sent a task, but a worker is running: it checked for due tokens %(worked)s ago.")
        else:
            said = _(
                "Beat has sent no task for %(age)s, but a worker is running: it checked for due tokens %(worked)s ago."
            )
        said, remedy = said % {"age": lasting(age or 0.0), "worked": worked}, start_beat
    elif age is None:
        said, remedy = _("Neither beat nor a worker has ever been seen."), start_both
    else:
        said = _("Neither beat nor a worker has been seen for %(age)s.") % {"age": lasting(age)}
        remedy = start_both
    return Finding("beat", level, age, said, remedy, "platform")


def _run(level: Level, age: float | None) -> Finding:
    """The same for ``wechat_open run``, which does beat's work too."""
    if level is GREEN:
        said = (
            _("“manage.py wechat_open run” has not had to do anything yet.")
            if age is None
            else _("“manage.py wechat_open run” was at work %(age)s ago.") % {"age": lasting(age)}
        )
        return Finding("beat", level, age, said, "", "platform")
    said = (
        _("“manage.py wechat_open run” has never been seen.")
        if age is None
        else _("“manage.py wechat_open run” has not been seen for %(age)s.") % {"age": lasting(age)}
    )
    return Finding("beat", level, age, said, _start_run(), "platform")


def _start_run() -> str:
    return _("Start “manage.py wechat_open run”, and let a service manager such as systemd keep it running.")


def dispatcher(facts: Facts) -> Finding:
    """Whether somebody looks for due tokens. A ticket that came rings for a worker too, beat or no beat."""
    row = facts.row
    age = facts.age(row.heartbeat_at)
    level = _by(facts.age_here(row.heartbeat_at), thresholds.DISPATCHER_AMBER, thresholds.DISPATCHER_RED)
    if level is GREEN:
        said = (
            _("No worker has had to check for due tokens yet.")
            if age is None
            else _("A worker checked for due tokens %(age)s ago.") % {"age": lasting(age)}
        )
        return Finding("dispatcher", level, age, said, "", "platform")
    unchecked = (
        _("No worker has ever checked for due tokens.")
        if age is None
        else _("No worker has checked for due tokens for %(age)s.") % {"age": lasting(age)}
    )
    if not conf.has_celery:
        return Finding("dispatcher", level, age, unchecked, _start_run(), "platform")
    if _other_tasks_are_done(facts):
        said = _(
            "%(unchecked)s A worker runs other tasks of this app, so this task does not reach it, or takes too long."
        )
        remedy = _("Check that beat sends renew_due_tokens, which queue it goes to, and the worker's log.")
    elif _ticket_was_not_heard(facts):
        said = _("%(unchecked)s The last ticket sent this task too, and no worker ran it: no worker is running.")
        remedy = _("Start a worker, or “manage.py wechat_open run”. Then check that beat is running.")
    elif _worker_lives(facts):
        said = _("%(unchecked)s A worker is running, but beat sends no tasks.")
        remedy = _("Start Celery beat with wechat_open.schedule.BEAT_SCHEDULE merged into its schedule.")
    else:
        said = _("%(unchecked)s No worker is running, or beat sends no tasks.")
        remedy = _("Start a worker and beat, or “manage.py wechat_open run”, which needs neither.")
    return Finding("dispatcher", level, age, said % {"unchecked": unchecked}, remedy, "platform")


def _other_tasks_are_done(facts: Facts) -> bool:
    """Whether a worker has noted beat's ring lately, and after anybody looked for due tokens."""
    seen, rang = facts.row.heartbeat_at, facts.row.beat_at
    if rang is None or facts.now - rang > thresholds.BEAT_AMBER:
        return False
    return seen is None or rang - seen > thresholds.OUTLIVED


def _worker_lives(facts: Facts) -> bool:
    """Whether a worker was seen after beat was last heard: by a ticket's ring, or by its own work."""
    seen, rang = facts.row.heartbeat_at, facts.row.beat_at
    return seen is not None and (rang is None or seen - rang > thresholds.OUTLIVED) and not _ticket_was_not_heard(facts)


def _ticket_was_not_heard(facts: Facts) -> bool:
    """Whether a ticket has come that no worker followed."""
    if facts.ticket_at is None or facts.now - facts.ticket_at < thresholds.LATE:
        return False
    return facts.row.heartbeat_at is None or facts.row.heartbeat_at < facts.ticket_at


# -- accounts ----------------------------------------------------------------------------------------------------------


def overdue(facts: Facts) -> Finding:
    oldest = facts.age(facts.overdue_since)
    if oldest is None:
        return Finding("overdue", GREEN, 0, _("No renewal is overdue."), "", "accounts:overdue")
    # Those that were tried and fail have a finding of their own; here they count by their share only.
    untried = facts.age(facts.untried_since) or 0.0
    level = _by(untried, thresholds.OLDEST_OVERDUE_AMBER, thresholds.OLDEST_OVERDUE_RED)
    if level is not RED and _many(facts.overdue, facts.authorized, thresholds.OVERDUE_RED_SHARE):
        level = RED
    elif level is GREEN and facts.overdue >= thresholds.OVERDUE_AMBER_SHARE * facts.authorized:
        level = AMBER
    said = ngettext(
        "%(count)s account of %(total)s waits for its renewal, for %(oldest)s.",
        "%(count)s accounts of %(total)s wait for their renewal, the first for %(oldest)s.",
        facts.overdue,
    ) % {"count": _counted(facts.overdue), "total": grouped(facts.authorized), "oldest": lasting(oldest)}
    if facts.untried_since is None:
        remedy = _("Workers try them, and the renewals fail: see there.")
    else:
        remedy = _("Check that beat and enough workers are running; a pause of the platform stops renewals as well.")
    return Finding("overdue", level, facts.overdue, said, "" if level is GREEN else remedy, "accounts:overdue")


def failing_renewals(facts: Facts) -> Finding:
    """Whether renewals fail that were tried. Each is tried again soon, so nothing else shows it for hours."""
    failing, total, page = facts.failing, facts.authorized, "accounts:failing"
    if not failing:
        return Finding("failing_renewals", GREEN, 0, _("No account's last renewals have failed."), "", page)
    level = GREEN
    if _many(failing, total, thresholds.FAILING_RED_SHARE):
        level = RED
    elif failing >= thresholds.FAILING_AMBER_SHARE * total:
        level = AMBER
    said = ngettext(
        "The last renewals of %(count)s account of %(total)s failed: %(errors)s.",
        "The last renewals of %(count)s accounts of %(total)s failed: %(errors)s.",
        failing,
    ) % {"count": grouped(failing), "total": grouped(total), "errors": _by_errcode(facts.failing_codes)}
    code, most = facts.failing_codes[0]
    if level is RED and most * 10 >= failing * 9 and not _is_transient(code):
        remedy = _(
            "When so many accounts get the same answer, the platform is the cause, and not the accounts: compare its "
            "appid, AppSecret, IP whitelist (白名单IP地址列表) and release with WeChat's console. Ask no owner."
        )
    else:
        remedy = _("Look at the last errors of these accounts. Each is tried again by itself.")
    return Finding("failing_renewals", level, failing, said, "" if level is GREEN else remedy, page)


def _is_transient(code: int | None) -> bool:
    """Whether it says nothing about the platform's settings: WeChat was busy, or did not answer."""
    known = None if code is None else errcodes.lookup(code)
    return code is None or (known is not None and known.reaction is errcodes.Reaction.WAIT)


def _by_errcode(codes: tuple[tuple[int | None, int], ...]) -> str:
    """The most frequent answers, each with how many accounts got it."""
    named = [
        f"{explained(code) or code or pgettext('health', 'no usable answer')} ({grouped(number)})"
        for code, number in codes[: thresholds.NAMED]
    ]
    return "; ".join([*named, "…"] if len(codes) > thresholds.NAMED else named)


def restricted(facts: Facts) -> Finding:
    """Accounts that WeChat has frozen or closed, or whose APIs it has banned: news for an hour, then known."""
    count, page = facts.restricted, "accounts:restricted"
    if not count:
        return Finding("restricted", GREEN, 0, _("WeChat restricts no account."), "", page)
    accounts = ", ".join(f"{appid} ({explained(code) or code})" for appid, code in facts.restricted_accounts)
    said = ngettext(
        "WeChat restricts %(count)s account of %(total)s: %(accounts)s.",
        "WeChat restricts %(count)s accounts of %(total)s, most recently %(accounts)s.",
        count,
    ) % {"count": _counted(count), "total": grouped(facts.authorized), "accounts": accounts}
    at_once = _many(facts.newly_restricted, facts.authorized, thresholds.FAILING_RED_SHARE)
    if count > 2 and (at_once or 2 * count >= facts.authorized):
        remedy = _(
            "When WeChat restricts so many accounts at once, the platform is the cause, and not the accounts: compare "
            "its appid and release with WeChat's console. Ask no owner."
        )
        return Finding("restricted", RED, count, said, remedy, page)
    remedy = _(
        "Only the owner can have that lifted, at WeChat. The account is looked at once a day; “Refresh tokens now” "
        "looks at once."
    )
    return Finding("restricted", AMBER if facts.newly_restricted else GREEN, count, said, remedy, page)


def expired_tokens(facts: Facts) -> Finding:
    if not facts.expired:
        return Finding("expired_tokens", GREEN, 0, _("No token in use has expired."), "", "accounts:expired")
    level = RED if _many(facts.expired, facts.authorized, thresholds.EXPIRED_RED_SHARE) else AMBER
    said = ngettext(
        "The token of %(count)s account of %(total)s has expired: nothing can be done in its name.",
        "The tokens of %(count)s accounts of %(total)s have expired: nothing can be done in their names.",
        facts.expired,
    ) % {"count": _counted(facts.expired), "total": grouped(facts.authorized)}
    remedy = _(
        "Look at the last error of these accounts. If workers run and WeChat answers, each is "
        "tried again automatically."
    )
    return Finding("expired_tokens", level, facts.expired, said, remedy, "accounts:expired")


def needs_reauthorization(facts: Facts) -> Finding:
    lost, lately = facts.lost, facts.newly_lost
    place = "accounts:needs_reauthorization"
    send = _("Send each owner the link that was created, or a new one: they authorize again, and all goes on.")
    if _braked(facts):
        said = _("The brake is on: too many accounts failed at once, so none has been marked as lost.")
        return Finding(
            "needs_reauthorization", RED, lost, said, _("Look at the brake first; do not contact owners yet."), place
        )
    if not lost:
        return Finding("needs_reauthorization", GREEN, 0, _("No account needs its owner."), "", place)
    said = ngettext(
        "%(count)s account needs its owner to authorize again.",
        "%(count)s accounts need their owners to authorize again.",
        lost,
    ) % {"count": grouped(lost)}
    if lately:
        said = _("%(said)s In the last hour: %(count)s.") % {"said": said, "count": grouped(lately)}
    return Finding("needs_reauthorization", AMBER if lately else GREEN, lost, said, send, place)


def brake(facts: Facts) -> Finding:
    if not _braked(facts):
        return Finding("brake", GREEN, False, _("The brake is off."), "", "accounts:doubt")
    age = facts.age(facts.row.braked_at) or 0.0
    return Finding(
        "brake",
        RED,
        True,
        _(
            "The brake is on: too many accounts failed at once, last %(age)s ago. None has been "
            "marked as lost: WeChat may be at fault."
        )
        % {"age": lasting(age)},
        _(
            "Look at some of these accounts in WeChat's console. If they are really gone, raise "
            "BRAKE_ACCOUNTS and BRAKE_SHARE for a while; if not, wait, and they recover "
            "automatically."
        ),
        "accounts:doubt",
    )


def _braked(facts: Facts) -> bool:
    age = facts.age(facts.row.braked_at)
    return age is not None and age <= thresholds.LATELY.total_seconds()


# -- pushes, the sweep, keys -------------------------------------------------------------------------------------------


def inbox(facts: Facts) -> Finding:
    place = "pushes:failed" if facts.waiting_failed else "pushes:received"
    oldest = facts.age(facts.waiting_since)
    if oldest is None and facts.abandoned:
        return _given_up(facts)
    if oldest is None:
        return Finding("inbox", GREEN, 0, _("No push waits to be processed."), "", place)
    said = ngettext(
        "%(count)s push waits to be processed, for %(oldest)s.",
        "%(count)s pushes wait to be processed, the oldest for %(oldest)s.",
        facts.waiting,
    ) % {"count": grouped(facts.waiting), "oldest": lasting(oldest)}
    remedy = (
        _("Look at the errors of the pushes; they are retried automatically, in the admin, or with “%(command)s”.")
        % {"command": facts.platform.command("replay --failed")}
        if facts.waiting_failed
        else _("Check that a worker is running. Nothing is lost: they are processed as soon as one does.")
    )
    if facts.abandoned:
        said = sentences(said, _given_up(facts).said)
    return Finding("inbox", _by_number(facts.waiting, 1, thresholds.INBOX_RED), facts.waiting, said, remedy, place)


def _given_up(facts: Facts) -> Finding:
    said = ngettext(
        "%(count)s push was given up after many attempts: what it says has not been done.",
        "%(count)s pushes were given up after many attempts: what they say has not been done.",
        facts.abandoned,
    ) % {"count": grouped(facts.abandoned)}
    remedy = _("Look at the error, and process it again in the admin, or with “%(command)s”.") % {
        "command": facts.platform.command("replay --failed")
    }
    return Finding("inbox", AMBER, facts.abandoned, said, remedy, "pushes:abandoned")


def sweep(facts: Facts) -> Finding:
    """A platform that is new has as long for its first sweep."""
    swept = facts.age(facts.row.swept_at)
    age = facts.age_here(facts.row.swept_at)
    level = _by(age, thresholds.SWEEP_AMBER, thresholds.SWEEP_RED)
    if swept is None:
        said = _("The accounts have not been compared with WeChat's own list yet.")
    else:
        said = _("The accounts were compared with WeChat's own list %(age)s ago.") % {"age": lasting(age)}
    remedy = _(
        "It happens hourly where workers run; the dashboard's button does it now, or "
        "“%(command)s”, which says what is wrong."
    ) % {"command": facts.platform.command("reconcile")}
    return Finding("sweep", level, swept, said, "" if level is GREEN else remedy, "platform")


def sweep_repairs(facts: Facts) -> Finding:
    repairs = facts.row.sweep_repairs
    if not repairs:
        return Finding("sweep_repairs", GREEN, 0, _("The last comparison found no difference."), "", "platform")
    swept_at, created_at = facts.row.swept_at, facts.row.created_at
    first = swept_at is not None and swept_at - created_at < thresholds.NEW_HERE
    many = _many(repairs, facts.authorized, thresholds.REPAIRS_RED_SHARE)
    said = ngettext(
        "The last comparison with WeChat's list put %(count)s account right.",
        "The last comparison with WeChat's list put %(count)s accounts right.",
        repairs,
    ) % {"count": grouped(repairs)}
    remedy = _(
        "They have been corrected. Find out why they differed: pushes that were not received, a "
        "restored database, or another system that refreshes the same tokens."
    )
    return Finding("sweep_repairs", RED if many and not first else AMBER, repairs, said, remedy, "platform")


def misused_codes(facts: Facts) -> Finding:
    """Authorization codes that were presented through links to which they do not belong."""
    misused = facts.misused_codes
    if not misused:
        said = _("No authorization code has been misused.")
        return Finding("misused_codes", GREEN, 0, said, "", "journal:code_misused")
    said = ngettext(
        "%(count)s time in the last day an authorization code was presented through a link that it does not belong to.",
        "%(count)s times in the last day an authorization code was presented through a link that it does not belong "
        "to.",
        misused,
    ) % {"count": grouped(misused)}
    remedy = _(
        "The account stays with its tenant. The audit trail names link and account: find out who has the link, revoke "
        "it if it is still open, and look where codes can be read, such as in a proxy's or an analytics service's log."
    )
    level = RED if misused >= thresholds.MISUSED_RED else AMBER
    return Finding("misused_codes", level, misused, said, remedy, "journal:code_misused")


def sealed(facts: Facts) -> Finding:
    found = census.old_keys(facts.row)
    if found is None or not found.lost:
        said = (
            _("Everything is encrypted under a key that is configured.")
            if found
            else _("The keys have not been checked yet.")
        )
        return Finding("sealed", GREEN, found.lost if found else None, said, "", "platform")
    said = ngettext(
        "%(count)s row is encrypted under a key that is not configured: it cannot be decrypted.",
        "%(count)s rows are encrypted under a key that is not configured: they cannot be decrypted.",
        found.lost,
    )
    return Finding("sealed", RED, found.lost, said % {"count": grouped(found.lost)}, str(PUT_BACK), "platform")


def old_keys(facts: Facts) -> Finding:
    found = census.old_keys(facts.row)
    if found is None or not found.rows:
        said = _("Nothing is encrypted under an older key.") if found else _("Old keys have not been checked yet.")
        return Finding("old_keys", GREEN, found.rows if found else None, said, "", "platform")
    since = (facts.now - found.since).total_seconds()
    return Finding(
        "old_keys",
        old_keys_level(found, facts.now),
        found.rows,
        ngettext(
            "%(count)s row has been encrypted under an older key for %(age)s.",
            "%(count)s rows have been encrypted under older keys for %(age)s.",
            found.rows,
        )
        % {"count": grouped(found.rows), "age": lasting(since)},
        _("Run “manage.py wechat_open rotate-keys”, and keep the old keys in the settings until it is done."),
        "platform",
    )


def old_keys_level(found: census.OldKeys, now: datetime) -> Level:
    return RED if found.rows and now - found.since > thresholds.OLD_KEYS_RED else AMBER


CHECKS: tuple[Callable[[Facts], Finding], ...] = (
    ticket_age,
    push_service,
    component_token,
    dispatcher,
    beat,
    overdue,
    failing_renewals,
    expired_tokens,
    restricted,
    needs_reauthorization,
    brake,
    paused,
    inbox,
    sweep,
    sweep_repairs,
    forced_renewals,
    handlers,
    deferred,
    clock_skew,
    misused_codes,
    sealed,
    old_keys,
)


# -- judging -----------------------------------------------------------------------------------------------------------


def _by(seconds: float, amber: timedelta, red: timedelta) -> Level:
    return _by_number(seconds, amber.total_seconds(), red.total_seconds(), beyond=True)


def _by_number(number: float, amber: float, red: float, *, beyond: bool = False) -> Level:
    """Amber or red from there on, or beyond it."""
    for level, from_here in ((RED, red), (AMBER, amber)):
        if number > from_here or (number == from_here and not beyond):
            return level
    return GREEN


def _many(count: int, total: int, share: float) -> bool:
    """A share of all accounts, and not just one or two of a handful."""
    return count >= share * total and (count >= thresholds.A_FEW or 2 * count >= total)


def _counted(count: int) -> str:
    if count < thresholds.COUNTED:
        return grouped(count)
    return pgettext("wechat_open", "at least %(count)s") % {"count": grouped(count)}


def _with_failure(said: str, facts: Facts) -> str:
    """The sentence, and what WeChat said last, in the reader's language where its number is known."""
    row = facts.row
    if not (row.last_error and (row.failures or facts.paused)):
        return said
    error = explained(row.last_errcode, row.last_rid) or translated(row.last_error)
    return _("%(said)s The last attempt failed: %(error)s") % {"said": said, "error": error}

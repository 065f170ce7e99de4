"""Signals and audit entries about grants, sent at least once.

A change of an account's row marks it (``needs_announcing``); ``announce`` compares the row with what it announced last,
sends what differs, and removes the mark afterwards. A process that dies in between leaves the mark to ``announce_all``.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from .. import audit, platforms, signals
from ..db.fields import is_damaged
from ..models import Authorizer
from ..platforms import Platform
from ..rounds import NO_DEADLINE, Deadline, each
from .links import begin
from .payloads import payload_of

AT_ONCE = 500
"""So many accounts are read at once."""

ATTEMPTS = 5
"""Rounds of signals in a row about an account that keeps changing; then ``announce_all`` goes on."""

REAUTHORIZATION_LINK_LIFE = timedelta(days=7)


def announce_all(
    platform: Platform, *, deadline: Deadline = NO_DEADLINE, progress: Callable[[int], object] | None = None
) -> int:
    """Send all signals that are still owed, until the deadline; for how many accounts.

    An account about which they cannot be sent is named in the log, and the others follow. Each round begins with
    another account: a receiver that does not return, or ends the process, would keep all behind it from their turn.
    ``progress`` is called now and then with the number so far.
    """
    store = platform.environment.announcement_store(platform.row)

    def announce_one(pk: int) -> bool:
        _announce(platform, pk)
        return True

    announced = last = 0
    while owed := store.owed(AT_ONCE, last):
        last = owed[-1]
        first = int(len(owed) * platform.environment.timing.jitter())
        turns = owed[first:] + owed[:first]
        announced += each(
            turns, announce_one, deadline, what="The signals about account #%s could not be sent; they stay due"
        )
        if progress is not None:
            progress(announced)
        if deadline.passed:
            break
    return announced


def announce(authorizer: Authorizer, platform: Platform | None = None) -> None:
    """Send what this account's row says and no signal has said yet."""
    _announce(platform or platforms.for_component(authorizer.component), authorizer.pk)


def _announce(platform: Platform, pk: int) -> None:
    """Receivers take the last signal for the truth, so one that was overtaken by a change is followed by another."""
    store = platform.environment.announcement_store(platform.row)
    for _attempt in range(ATTEMPTS):
        authorizer = store.read(pk)
        if authorizer is None:
            return
        _send(platform, authorizer)
        if store.announced(authorizer):
            return
        store.outdated(authorizer)


def _send(platform: Platform, authorizer: Authorizer) -> None:
    """The signals about what this row says and the last ones did not."""
    announced = authorizer.announced_state
    if authorizer.state == Authorizer.State.AUTHORIZED:
        _announce_grant(platform, authorizer)
        _announce_permission_sets(platform, authorizer)
    elif authorizer.state == Authorizer.State.UNAUTHORIZED and announced not in ("", authorizer.state):
        platform.environment.audit.record(audit.Kind.UNAUTHORIZED, platform.row, account=authorizer)
        signals.announce(signals.authorizer_unauthorized, Authorizer, authorizer=authorizer)
    elif authorizer.state == Authorizer.State.NEEDS_REAUTHORIZATION and announced != authorizer.state:
        _announce_loss(platform, authorizer)


def _announce_grant(platform: Platform, authorizer: Authorizer) -> None:
    if authorizer.announced_epoch == authorizer.grant_epoch:
        return
    link = authorizer.granted_through
    payload = payload_of(link)
    platform.environment.audit.record(audit.Kind.AUTHORIZED, platform.row, account=authorizer)
    signals.announce(
        signals.authorizer_authorized,
        Authorizer,
        authorizer=authorizer,
        link=link,
        payload=payload,
    )


def _announce_permission_sets(platform: Platform, authorizer: Authorizer) -> None:
    if is_damaged(authorizer.announced_func_info) or is_damaged(authorizer.func_info):
        return  # what has changed cannot be known
    before, after = set(authorizer.announced_func_info), set(authorizer.func_info)
    added, removed = after - before, before - after
    if not authorizer.announced_state or not (added or removed):
        return
    changes = [f"+{number}" for number in sorted(added)] + [f"-{number}" for number in sorted(removed)]
    platform.environment.audit.record(audit.Kind.UPDATED, platform.row, account=authorizer, detail=" ".join(changes))
    signals.announce(signals.authorizer_updated, Authorizer, authorizer=authorizer, added=added, removed=removed)


def _announce_loss(platform: Platform, authorizer: Authorizer) -> None:
    """Its owner has to authorize again; the signal carries a link for that, for the same tenant."""
    payload = payload_of(authorizer.granted_through)
    platform.environment.audit.record(audit.Kind.NEEDS_REAUTHORIZATION, platform.row, account=authorizer)
    link = begin(
        biz_appid=authorizer.appid,
        auth_type="all",
        payload=payload,
        component=platform,
        expires_in=REAUTHORIZATION_LINK_LIFE,
    )
    signals.announce(
        signals.authorizer_needs_attention,
        Authorizer,
        authorizer=authorizer,
        reason="reauthorization",
        link=link,
    )

"""How a recorded push is acted on: under a lease, repeated with back-off, and harmless when done twice.

Every effect is ordered by WeChat's time or keyed by its authorization code. The signal is sent before the push is done:
a worker that is killed in between leaves both to the next one, so the signal is sent at least once.
"""

from __future__ import annotations

import logging
from datetime import timedelta

from .. import audit, platforms, signals
from ..environment import ENVIRONMENT, Environment
from ..exceptions import AccountRestricted, InvalidPush, WeChatOpenError
from ..models import Push
from ..platforms import Platform
from ..protocol import events
from ..protocol.envelope import read_plain
from ..rounds import NO_DEADLINE, Deadline, each
from ..stores.pushes import PushStore
from ..text import TranslatableText as _
from ..tokens import policy
from .actions import act

logger = logging.getLogger(__name__)

FIRST_RETRY = timedelta(seconds=10)
LAST_RETRY = timedelta(minutes=15)
MAX_ATTEMPTS = 100
"""The tries before a push is given up: about a day. By then a code is worthless, and the account was reconciled."""

FOR_EACH_HOST = 4
"""The tries after waits of one length, where another host may get the answer that this one does not."""

MAX_UNFINISHED = 10
"""The tries while each worker that takes it is killed, or does not return from a receiver: about ten minutes."""

MAX_REFUSALS = 8
"""The tries while WeChat refuses the account permanently (frozen, closed): about twenty minutes."""

KEEP_DONE = timedelta(days=30)


def process(push_id: int) -> bool:
    """Act on one push, unless a worker is at it or has done it; True when it is done now."""
    component = PushStore.component_of(push_id)
    if component is None:
        return False
    try:
        platform = platforms.for_component(component)
    except WeChatOpenError as error:  # it has left the settings, or is misconfigured there
        push = ENVIRONMENT.push_store(component).take(push_id)
        if push is not None:
            _fail(ENVIRONMENT, push, error)
        return False
    return process_for(platform, push_id)


def process_for(platform: Platform, push_id: int) -> bool:
    """The same for a push that is known to be of this platform.

    A worker whose lease has run out meanwhile writes nothing: the outcome is that of the one that took over.
    """
    store = platform.environment.push_store(platform.row)
    push = store.take(push_id)
    if push is None:
        return False
    if push.attempts > (MAX_UNFINISHED if push.state == Push.State.RECEIVED else MAX_ATTEMPTS):
        _retry(platform.environment, push, _("No worker has finished it: each was killed, or is still at it."), 0)
        logger.error("A push of type %s is given up: no worker has finished it.", push.info_type)
        return False
    try:
        event = _event_of(push)
        act(event, platform)
    except InvalidPush:
        text = _("It cannot be read: no %(format)s with the fields of an event.", format="XML")
        store.abandon(push, text)  # another try changes nothing
        logger.warning("A push of type %s cannot be read.", push.info_type)
        return False
    except WeChatOpenError as error:
        _fail(platform.environment, push, error)
        return False
    except Exception as error:
        _retry(platform.environment, push, _("%(error)s: see the log", error=type(error).__name__), MAX_ATTEMPTS)
        logger.exception("A push of type %s failed unexpectedly.", push.info_type)
        return False
    if not store.extend(push):  # or two workers would send the signal
        return False
    signals.announce(signals.push_received, type(event), component=push.component, event=event)
    return store.done(push)


def _event_of(push: Push) -> events.Event:
    """In a function of its own: Django's error page shows the variables of each frame of an error, and the fields hold
    a code."""
    fields = read_plain(push.reveal("payload").reveal().encode())
    return events.parse_any(fields, push.component.appid, push.created_at)


def process_due(limit: int = 100, deadline: Deadline = NO_DEADLINE) -> int:
    """Process the pushes that the broker lost and those to repeat, oldest first; how many are done now."""
    return each(PushStore.due_of_all(limit), process, deadline, what="Push #%s could not be processed")


def replay(push: Push) -> bool:
    """Process again, whatever became of it before."""
    ENVIRONMENT.push_store(push.component).restart(push.pk)
    return process(push.pk)


def _fail(environment: Environment, push: Push, error: WeChatOpenError) -> None:
    logger.warning("A push of type %s could not be processed: %s", push.info_type, error)
    most = MAX_REFUSALS if isinstance(error, AccountRestricted) else MAX_ATTEMPTS
    _retry(environment, push, error.text, most, tries=FOR_EACH_HOST if policy.is_hosts_own(error) else 1)


def _retry(environment: Environment, push: Push, error: str, most: int, tries: int = 1) -> None:
    """Repeat later, after ever longer waits, of each length so many ``tries``, ``most`` times altogether."""
    store = environment.push_store(push.component)
    if push.attempts >= most:
        written = store.abandon(push, error)
    else:
        written = store.fail(push, error, min(LAST_RETRY, FIRST_RETRY * 2 ** min((push.attempts - 1) // tries, 12)))
    if written:
        environment.audit.increment(audit.Counter.PUSHES_FAILED, push.component)


def prune(deadline: Deadline = NO_DEADLINE) -> int:
    """Delete processed pushes after a month; how many."""
    return PushStore.prune(KEEP_DONE, deadline)

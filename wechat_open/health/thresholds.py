"""From when on is something amber, and from when on red?

Every threshold of every check. What depends on how long tokens live is a fraction of their life, with the time that it
is for WeChat's two hours as its upper bound, so that tokens of seconds are judged as well.
"""

from __future__ import annotations

from datetime import timedelta

from ..census import LATE, OVERDUE

__all__ = ["LATE", "OVERDUE"]
"""The two that the kept counts go by as well; the others stand below."""

# WeChat pushes a ticket every ten minutes, and each lives twelve hours (protocol 2.1).
TICKET_AMBER = timedelta(minutes=25)
TICKET_RED = timedelta(hours=6)

PUSHING_RED = timedelta(minutes=45)
"""We ask WeChat to push after half an hour without a ticket; this is when it should have answered with one."""

# Left of the component token: of two hours, 20 and 5 minutes.
TOKEN_AMBER = timedelta(minutes=20)
TOKEN_AMBER_SHARE = 1 / 6
TOKEN_RED = timedelta(minutes=5)
TOKEN_RED_SHARE = 1 / 24

OLDEST_OVERDUE_AMBER = timedelta(minutes=10)
OLDEST_OVERDUE_RED = timedelta(minutes=20)
OVERDUE_AMBER_SHARE = 0.001
OVERDUE_RED_SHARE = 0.01

EXPIRED_RED_SHARE = 0.001

FAILED_AGAIN = 2
"""A renewal that failed once is repeated within seconds. So many in a row count as failing."""

FAILING_AMBER_SHARE = 0.01
FAILING_RED_SHARE = 0.2

FAILING_READ = 2000
"""So many failing accounts are read to tell by which errcodes."""

NAMED = 3
"""So many accounts, or errcodes, are named in a sentence."""

ABANDONED_FOR = timedelta(days=30)
"""For so long a push that was given up is reported, unless it is processed again."""

A_FEW = 5
"""A share of the accounts is red from so many on, or from half of all: one of ten accounts is no one percent."""

DISPATCHER_AMBER = timedelta(seconds=30)
DISPATCHER_RED = timedelta(seconds=120)

# Beat rings for the census once a minute.
BEAT_AMBER = timedelta(seconds=150)
BEAT_RED = timedelta(minutes=5)

OUTLIVED = timedelta(seconds=90)
"""By so much must one of worker and beat have been seen later than the other to prove that it lives on its own: beat's
ring is noted once a minute, and may wait behind other work."""

INBOX_WAITING = timedelta(minutes=1)
INBOX_RED = 50

LATELY = timedelta(hours=1)
"""For accounts that newly need their owner, forced renewals, and a brake that held."""

MISUSED_FOR = timedelta(days=1)
"""For how long a misused authorization code is reported."""

MISUSED_RED = 3
"""One may be a mistake of a person; several are an attempt."""

SWEEP_AMBER = timedelta(hours=2)
SWEEP_RED = timedelta(hours=6)
REPAIRS_RED_SHARE = 0.01

NEW_HERE = timedelta(hours=2)
"""The first sweep of a new platform takes in all the accounts that it brings along; that is no alarm."""

SKEW_AMBER = timedelta(seconds=30)
SKEW_RED = timedelta(seconds=120)

FORCED_AMBER = 3
FORCED_RED = 20
"""An hour has room for sixty. From here on, another system takes the token away as soon as it is renewed."""

HANDLERS_RED = 100
"""Messages of an hour or two that no thread was free for."""

OLD_KEYS_RED = timedelta(hours=24)

ANSWER_WITHIN = 1.0
"""Seconds that cache and broker have to answer."""

REMEMBERED = 5.0
"""Seconds for which their answer holds."""

COUNTED = 10_000
"""Overdue and expired accounts are counted up to here: one percent of a million is red already."""

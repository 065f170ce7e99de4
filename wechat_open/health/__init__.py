"""What is wrong right now, as data for the ``health/`` URL, the admin, ``manage.py wechat_open status`` and the alerts.

A handful of indexed queries; no secret, no call to WeChat.

    findings    one statement that something is wrong, or in order
    registry    how a function becomes a check
    facts       what the database holds about a platform
    checks      from the facts to findings: one file for each family
    timeouts    a server that may hang is called, and not waited for
    reports     all findings at once
    statistics  how many accounts there are of each kind
    alerts      findings that last, as rows and as a signal
    advice      what one account needs next
"""

from .checks import examine_site
from .findings import AMBER, GREEN, RED, UNKNOWN, Finding, Level, in_order, worst
from .registry import CHECKS, ROWS, rows, title
from .reports import examine, report

__all__ = [
    "AMBER",
    "CHECKS",
    "GREEN",
    "RED",
    "ROWS",
    "UNKNOWN",
    "Finding",
    "Level",
    "examine",
    "examine_site",
    "in_order",
    "report",
    "rows",
    "title",
    "worst",
]

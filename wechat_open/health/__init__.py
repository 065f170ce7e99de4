"""What is wrong right now?

As data, for the ``health/`` URL, the admin, ``manage.py wechat_open status`` and the alerts. A handful of indexed
queries; no secret, no call to WeChat.

    thresholds  from when on something is amber or red
    finding     what a check says
    facts       what the database knows about a platform
    checks      what is asked of a platform: from the facts to findings    (pure)
    site        what is asked of the site: database, cache, broker, settings
    reach       how a server is asked that may hang
    reporting   all of it at once
    titles      what each finding is about, for people
"""

from .finding import AMBER, GREEN, RED, Finding, Level, worst
from .reporting import examine, report
from .site import examine as examine_site
from .titles import ROWS, SHOWN, TITLES, title

__all__ = [
    "AMBER",
    "GREEN",
    "RED",
    "ROWS",
    "SHOWN",
    "TITLES",
    "Finding",
    "Level",
    "examine",
    "examine_site",
    "report",
    "title",
    "worst",
]

"""What is each finding about?

In a word or two, for the dashboard, lists of alerts and what commands print; and which rows it tells of.
"""

from __future__ import annotations

from typing import Any

from django.utils.text import capfirst
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

TITLES: dict[str, Any] = {
    "ticket_age": pgettext_lazy("wechat_open", "Verify ticket"),
    "component_token": pgettext_lazy("wechat_open", "Component token"),
    "push_service": pgettext_lazy("wechat_open", "Push service"),
    "inbox": pgettext_lazy("wechat_open", "Waiting pushes"),
    "overdue": pgettext_lazy("wechat_open", "Overdue renewals"),
    "failing_renewals": pgettext_lazy("wechat_open", "Failing renewals"),
    "expired_tokens": pgettext_lazy("wechat_open", "Expired tokens"),
    "restricted": _("Restricted by WeChat"),
    "needs_reauthorization": _("Needs its owner"),
    "dispatcher": pgettext_lazy("wechat_open", "Worker"),
    "beat": pgettext_lazy("wechat_open", "Beat"),
    "sweep": pgettext_lazy("wechat_open", "Last comparison"),
    "sweep_repairs": _("Repaired by the comparison"),
    "paused": pgettext_lazy("wechat_open", "Renewals"),
    "brake": pgettext_lazy("wechat_open", "Brake"),
    "forced_renewals": pgettext_lazy("wechat_open", "Forced renewals"),
    "misused_codes": pgettext_lazy("wechat_open", "Misused codes"),
    "handlers": _("Messages that busy handlers refused"),
    "deferred": _("Deferred answers that workers refused"),
    "clock_skew": pgettext_lazy("wechat_open", "Clock difference"),
    "sealed": pgettext_lazy("wechat_open", "Missing keys"),
    "old_keys": pgettext_lazy("wechat_open", "Old keys"),
    "database": pgettext_lazy("wechat_open", "Database"),
    "cache": pgettext_lazy("wechat_open", "Cache"),
    "broker": pgettext_lazy("wechat_open", "Broker"),
    "settings": pgettext_lazy("wechat_open", "Settings"),
}


ROWS = {
    "ticket_age": "verifyticket",
    "push_service": "verifyticket",
    "inbox": "push",
    "overdue": "authorizer",
    "failing_renewals": "authorizer",
    "expired_tokens": "authorizer",
    "restricted": "authorizer",
    "needs_reauthorization": "authorizer",
    "brake": "authorizer",
    "misused_codes": "journalentry",
}
"""The models whose rows findings are about, beside the platform's own row: staff who may not see those read no more
than that something is wrong."""

SHOWN = ("component", *dict.fromkeys(ROWS.values()))
"""All of them."""


def title(code: str) -> str:
    """In the reader's language; an unknown code as it is."""
    return capfirst(str(TITLES[code])) if code in TITLES else capfirst(code.replace("_", " "))

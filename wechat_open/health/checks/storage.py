"""Checks of what is encrypted at rest: keys that are missing, and keys that are old."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext, pgettext_lazy

from ...formats import duration, grouped
from .. import statistics
from ..facts import Facts
from ..findings import AMBER, GREEN, RED, Level
from ..keys import OldKeys
from ..registry import Result, check

OLD_KEYS_RED = timedelta(hours=24)

PUT_BACK = gettext_lazy(
    "Put the missing key back: into ENCRYPTION_KEYS, or an older SECRET_KEY into "
    "SECRET_KEY_FALLBACKS. If it is lost for good, `manage.py wechat_open rotate-keys "
    "--empty-unreadable` empties the values that it encrypted, and WeChat is asked for the "
    "tokens again."
)
"""What to do about what no key decrypts; ``doctor`` and ``rotate-keys`` say so too."""

EMPTY_DAMAGED = gettext_lazy(
    "A value under no key, or under one that is configured, was changed or belongs to another row. "
    "`manage.py wechat_open rotate-keys --empty-unreadable` empties it, and WeChat is asked for the tokens again."
)
"""The same for values that were damaged: no key brings them back."""


@check("missing_keys", title=pgettext_lazy("wechat_open", "Missing keys"))
def missing_keys(facts: Facts) -> Result:
    found = statistics.old_keys(facts.row)
    if found is None or not found.lost:
        message = (
            _("Everything is encrypted under a key that is configured.")
            if found
            else _("The keys have not been checked yet.")
        )
        return Result(GREEN, found.lost if found else None, message)
    message = ngettext(
        "%(count)s row is encrypted under a key that is not configured: it cannot be decrypted.",
        "%(count)s rows are encrypted under a key that is not configured: they cannot be decrypted.",
        found.lost,
    )
    return Result(RED, found.lost, message % {"count": grouped(found.lost)}, str(PUT_BACK))


@check("old_keys", title=pgettext_lazy("wechat_open", "Old keys"))
def old_keys(facts: Facts) -> Result:
    found = statistics.old_keys(facts.row)
    if found is None or not found.rows:
        message = _("Nothing is encrypted under an older key.") if found else _("Old keys have not been checked yet.")
        return Result(GREEN, found.rows if found else None, message)
    since = (facts.now - found.since).total_seconds()
    return Result(
        old_keys_level(found, facts.now),
        found.rows,
        ngettext(
            "%(count)s row has been encrypted under an older key for %(age)s.",
            "%(count)s rows have been encrypted under older keys for %(age)s.",
            found.rows,
        )
        % {"count": grouped(found.rows), "age": duration(since)},
        _("Run “manage.py wechat_open rotate-keys”, and keep the old keys in the settings until it is done."),
    )


def old_keys_level(found: OldKeys, now: datetime) -> Level:
    return RED if found.rows and now - found.since > OLD_KEYS_RED else AMBER

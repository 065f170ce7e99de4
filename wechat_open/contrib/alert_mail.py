"""Who gets a mail when something goes wrong?

Whom the site names, in one line of its AppConfig::

    def ready(self):
        from wechat_open.contrib import alert_mail

        alert_mail.connect()                        # ADMINS; or connect(["ops@example.com"])

Sent by the worker that noticed, in the site's language, through Django's e-mail settings. An example: copy it, and
change what it says.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from datetime import datetime
from typing import Any

from django.conf import settings
from django.core.mail import mail_admins, send_mail
from django.utils.translation import gettext as _
from django.utils.translation import ngettext, override, pgettext

from ..models import Alert
from ..signals import alert
from ..times import exact


def connect(recipients: Sequence[str] = ()) -> None:
    """Mail every alert to these addresses, or to ADMINS; to others as well when called with others."""

    def mail_it(sender: Any, **told: Any) -> None:
        mail(recipients, told)

    alert.connect(mail_it, weak=False, dispatch_uid=_uid(recipients))


def disconnect(recipients: Sequence[str] = ()) -> None:
    """Mail no more to whom ``connect`` was told to."""
    alert.disconnect(dispatch_uid=_uid(recipients))


def _uid(recipients: Sequence[str]) -> Hashable:
    """By which the same addresses, in any order, are told once."""
    return __name__, frozenset(recipients)


def mail(recipients: Sequence[str], told: Mapping[str, Any]) -> None:
    with override(settings.LANGUAGE_CODE):
        title, text = subject(**told), body(**told)
    if recipients:
        send_mail(f"{settings.EMAIL_SUBJECT_PREFIX}{title}", text, None, list(recipients))
    else:
        mail_admins(title, text)


def subject(*, code: str, severity: str, platform: str, resolved: bool, **_others: Any) -> str:
    """One line: how bad, what, whose."""
    word = pgettext("wechat_open", "resolved") if resolved else Alert.Severity(severity).label
    return f"{word}: {code} ({platform})" if platform else f"{word}: {code}"


def body(*, first_seen: datetime, count: int, context: Mapping[str, Any], resolved: bool, **_others: Any) -> str:
    seen = ngettext(
        "Seen first on %(since)s, and %(count)d time so far.",
        "Seen first on %(since)s, and %(count)d times so far.",
        count,
    ) % {"since": exact(first_seen), "count": count}
    if resolved:
        return "\n\n".join([_("This is resolved. The last state that was seen:"), str(context.get("said", "")), seen])
    return "\n\n".join(filter(None, [str(context.get("said", "")), str(context.get("remedy", "")), seen]))

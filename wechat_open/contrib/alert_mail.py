"""Alerts by mail.

The site names the recipients, in one line of its AppConfig::

    def ready(self):
        from wechat_open.contrib import alert_mail

        alert_mail.connect()                        # ADMINS; or connect(["ops@example.com"])

The worker that found the problem sends the mail, in the site's language, through Django's e-mail settings. This is an
example: copy it, and change the texts.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from datetime import datetime
from typing import Any

from django.conf import settings
from django.core.mail import mail_admins, send_mail
from django.utils.translation import gettext as _
from django.utils.translation import ngettext, override, pgettext

from ..db.times import exact
from ..models import Alert
from ..signals import alert

__all__ = ["connect", "disconnect"]


def connect(recipients: Sequence[str] = ()) -> None:
    """Mail every alert to these addresses, or to ADMINS. Each call with other addresses adds them."""

    def mail_it(sender: Any, **facts: Any) -> None:
        mail(recipients, facts)

    alert.connect(mail_it, weak=False, dispatch_uid=_uid(recipients))


def disconnect(recipients: Sequence[str] = ()) -> None:
    """Undo ``connect`` with the same addresses."""
    alert.disconnect(dispatch_uid=_uid(recipients))


def _uid(recipients: Sequence[str]) -> Hashable:
    """Equal for the same addresses in any order, which therefore get one mail."""
    return __name__, frozenset(recipients)


def mail(recipients: Sequence[str], facts: Mapping[str, Any]) -> None:
    with override(settings.LANGUAGE_CODE):
        title, text = subject(**facts), body(**facts)
    if recipients:
        send_mail(f"{settings.EMAIL_SUBJECT_PREFIX}{title}", text, None, list(recipients))
    else:
        mail_admins(title, text)


def subject(*, code: str, severity: str, platform: str, resolved: bool, **_others: Any) -> str:
    """One line: severity, code, platform."""
    word = pgettext("wechat_open", "resolved") if resolved else Alert.Severity(severity).label
    return f"{word}: {code} ({platform})" if platform else f"{word}: {code}"


def body(*, first_seen: datetime, count: int, context: Mapping[str, Any], resolved: bool, **_others: Any) -> str:
    seen = ngettext(
        "Seen first on %(since)s, and %(count)d time so far.",
        "Seen first on %(since)s, and %(count)d times so far.",
        count,
    ) % {"since": exact(first_seen), "count": count}
    message = str(context.get("message", ""))
    if resolved:
        return "\n\n".join([_("This is resolved. The last state that was seen:"), message, seen])
    return "\n\n".join(filter(None, [message, str(context.get("hint", "")), seen]))

"""The mail of an alert: its text and its recipients."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timezone
from typing import Any

import pytest
from django.core import mail

from wechat_open.contrib import alert_mail
from wechat_open.models import Alert
from wechat_open.signals import alert, announce

FACTS = {
    "code": "ticket_age",
    "severity": "critical",
    "platform": "default",
    "first_seen": datetime(2026, 11, 26, 1, 30, tzinfo=timezone.utc),
    "count": 12,
    "context": {"message": "No ticket for 7 hours.", "hint": "Look at the console.", "value": 25200, "page": "tickets"},
    "resolved": False,
}


OPS, NIGHT = ["ops@example.com"], ["night@example.com", "ops@example.com"]


@pytest.fixture(autouse=True)
def _disconnected(settings: Any) -> Iterator[None]:
    settings.ADMINS = [("Ops", "admin@example.com")] if not _addresses_only() else ["admin@example.com"]
    yield
    for recipients in ([], OPS, NIGHT):
        alert_mail.disconnect(recipients)


def _addresses_only() -> bool:
    """ADMINS has been a list of addresses since Django 6."""
    import django

    return django.VERSION >= (6, 0)


def tell(**changes: Any) -> Any:
    announce(alert, Alert, **{**FACTS, **changes})
    (sent,) = mail.outbox
    return sent


def test_admins__get_the_mail_by_default() -> None:
    alert_mail.connect()
    sent = tell()

    assert sent.to == ["admin@example.com"]
    assert sent.subject == "[Django] critical: ticket_age (default)"
    assert sent.body.startswith("No ticket for 7 hours.\n\nLook at the console.\n\nSeen first on 2026-11-26 09:30:00, ")
    assert "12 times" in sent.body


@pytest.mark.parametrize(("count", "said"), [(1, ", and 1 time so far."), (2, ", and 2 times so far.")])
def test_times__are_counted_in_good_english(count: int, said: str) -> None:
    alert_mail.connect()
    assert tell(count=count).body.endswith(said)


def test_recipients__may_be_named() -> None:
    alert_mail.connect(OPS)
    sent = tell(severity="warning", platform="")

    assert (sent.to, sent.subject) == (OPS, "[Django] warning: ticket_age")


def test_end__is_mailed() -> None:
    alert_mail.connect()
    sent = tell(resolved=True)

    assert sent.subject == "[Django] resolved: ticket_age (default)"
    assert sent.body.startswith("This is resolved.")
    assert "Look at the console" not in sent.body


def test_language__is_the_sites(settings: Any) -> None:
    settings.LANGUAGE_CODE = "zh-hans"
    alert_mail.connect()

    assert "ticket_age (default)" in tell().subject
    assert "首次出现于 2026-11-26 09:30:00，" in mail.outbox[0].body


def test_connecting_twice__mails_once() -> None:
    alert_mail.connect()
    alert_mail.connect()

    assert tell()


def test_several_groups__get_each_mail_once() -> None:
    for recipients in ((), OPS, NIGHT, NIGHT[::-1]):
        alert_mail.connect(recipients)
    announce(alert, Alert, **FACTS)

    assert [sent.to for sent in mail.outbox] == [["admin@example.com"], OPS, NIGHT]


def test_disconnecting_one_group__leaves_the_others() -> None:
    for recipients in ((), OPS, NIGHT):
        alert_mail.connect(recipients)
    alert_mail.disconnect()
    alert_mail.disconnect(NIGHT)

    assert tell().to == OPS

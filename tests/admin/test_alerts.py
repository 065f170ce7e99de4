"""All alerts are listed; the open ones can be acknowledged and muted with the permission."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings as site
from django.contrib.admin.models import LogEntry
from django.test import Client
from django.utils import timezone

from tests.admin.staff import act, found, page, person, rows
from wechat_open.models import Alert, AuditEntry, Component

pytestmark = pytest.mark.usefixtures("english")

Kind = AuditEntry.Kind


def raised(component: Component | None, code: str, *, hours: float = 2, lasted: float | None = None) -> Alert:
    """An alert of some hours ago, which is open unless it lasted some hours."""
    at = timezone.now() - timedelta(hours=hours)
    return Alert.objects.create(
        component=component,
        alias="default" if component else "",
        code=code,
        severity="critical",
        first_seen_at=at,
        last_seen_at=at,
        sent_at=at,
        count=1234,
        context={"message": f"About <{code}>.", "hint": "Do this.", "value": 1, "page": ""},
        resolved_at=None if lasted is None else at + timedelta(hours=lasted),
        open_key=f"{component}:{code}" if lasted is None else None,
    )


@pytest.fixture
def ticket(component: Component) -> Alert:
    return raised(component, "ticket_age")


@pytest.fixture
def over(component: Component) -> Alert:
    return raised(component, "beat", hours=9, lasted=1.5)


@pytest.fixture
def broker(component: Component) -> Alert:
    """Of the whole site."""
    return raised(None, "broker", hours=1)


@pytest.fixture
def viewer(db: None) -> Client:
    return person("viewer", "view_alert")


@pytest.fixture
def operator(db: None) -> Client:
    return person("operator", "view_alert", "handle_alert")


def shown(browser: Client, address: str) -> str:
    answer = browser.get(address)
    assert answer.status_code == 200
    return re.sub(r"\s+", " ", re.sub("<[^>]+>", " ", answer.content.decode())).replace("\xa0", " ")


def test_history__has_all_alerts_with_when_and_how_long(
    viewer: Client, ticket: Alert, over: Alert, broker: Alert
) -> None:
    assert found(viewer, Alert) == [broker.pk, ticket.pk, over.pk]
    text = shown(viewer, rows(Alert))
    assert "Verify ticket About &lt;ticket_age&gt;." in text
    local = timezone.localtime(over.first_seen_at)
    assert f"{local:%Y-%m-%d %H:%M:%S} 9 hours ago" in text
    assert "1 hour, 30 minutes" in text
    assert "1,234" in text


@pytest.mark.parametrize(
    ("query", "which"),
    [
        ("?standing=open", ["broker", "ticket_age"]),
        ("?standing=resolved", ["beat"]),
        ("?standing=acknowledged", ["broker"]),
        ("?standing=muted", ["ticket_age"]),
        ("?code=beat", ["beat"]),
        ("?code=nonsense", ["broker", "ticket_age", "beat"]),
    ],
)
def test_alerts__are_found(
    viewer: Client, ticket: Alert, over: Alert, broker: Alert, query: str, which: list[str]
) -> None:
    Alert.objects.filter(pk=broker.pk).update(acknowledged_at=timezone.now(), acknowledged_by="li")
    Alert.objects.filter(pk=ticket.pk).update(muted_until=timezone.now() + timedelta(hours=1), muted_by="li")
    codes = dict(Alert.objects.values_list("pk", "code"))
    assert [codes[pk] for pk in found(viewer, Alert, query)] == which


def test_acknowledging__names_the_user_and_stands_in_the_trail(operator: Client, ticket: Alert, broker: Alert) -> None:
    text = act(operator, "acknowledge", ticket, broker).content.decode()
    assert "2 alerts were acknowledged." in text
    assert set(Alert.objects.values_list("acknowledged_by", flat=True)) == {"operator"}
    entries = AuditEntry.objects.filter(kind=Kind.ALERT_ACKNOWLEDGED)
    both = f"ticket_age #{ticket.pk}, broker #{broker.pk}"
    assert [(entry.actor, entry.detail) for entry in entries] == [("operator", both)]
    assert LogEntry.objects.count() == 2
    assert "acknowledged by operator" in shown(operator, page(ticket))
    trail = person("reader", "view_auditentry", "view_alert").get(rows(AuditEntry)).content.decode()
    assert "<b>operator</b> acknowledged 2 alerts." in trail
    for alert in (ticket, broker):
        assert f'<a href="{page(alert)}">#{alert.pk}</a>' in trail

    assert "Nothing to do" in act(operator, "acknowledge", ticket).content.decode()
    assert entries.count() == 1


def test_many_alerts__are_handled_by_as_many_queries_as_two(
    operator: Client, ticket: Alert, broker: Alert, django_assert_max_num_queries: Any
) -> None:
    for number in range(40):
        raised(ticket.component, f"finding_{number}")
    chosen = list(Alert.objects.values_list("pk", flat=True))
    with django_assert_max_num_queries(20):
        operator.post(rows(Alert), {"action": "mute_8", "index": 0, "_selected_action": chosen})
    assert Alert.objects.filter(muted_by="operator").count() == 42
    (entry,) = AuditEntry.objects.filter(kind=Kind.ALERT_MUTED)
    assert entry.detail.count("#") == 42


@pytest.mark.parametrize(("action", "hours"), [("mute_1", 1), ("mute_8", 8), ("mute_24", 24), ("mute_168", 168)])
def test_mute__has_an_end_and_says_so(operator: Client, ticket: Alert, action: str, hours: int) -> None:
    text = act(operator, action, ticket, back_to=ticket.pk).content.decode()
    ticket.refresh_from_db()
    assert ticket.muted_until is not None
    left = ticket.muted_until - timezone.now()
    assert timedelta(hours=hours) - timedelta(minutes=1) < left <= timedelta(hours=hours)
    assert "1 alert is not sent until 2" in text
    until = timezone.localtime(ticket.muted_until)
    assert f"muted until {until:%Y-%m-%d %H:%M}" in shown(operator, page(ticket))
    assert AuditEntry.objects.get(kind=Kind.ALERT_MUTED).detail == f"ticket_age #{ticket.pk} for {hours} hours"

    act(operator, "unmute", ticket)
    assert "muted until" not in shown(operator, page(ticket))
    assert AuditEntry.objects.filter(kind=Kind.ALERT_UNMUTED).count() == 1


def test_page__offers_what_makes_sense(operator: Client, ticket: Alert, over: Alert) -> None:
    def buttons(alert: Alert) -> list[str]:
        return re.findall(r'name="action" value="(\w+)"', operator.get(page(alert)).content.decode())

    assert buttons(over) == []
    assert buttons(ticket) == ["acknowledge", "mute_1", "mute_8", "mute_24", "mute_168"]
    act(operator, "acknowledge", ticket)
    act(operator, "mute_1", ticket)
    assert buttons(ticket) == ["mute_1", "mute_8", "mute_24", "mute_168", "unmute"]


def test_resolved_alert__is_neither_acknowledged_nor_muted(operator: Client, over: Alert) -> None:
    for action in ("acknowledge", "mute_1", "unmute"):
        assert "Nothing to do" in act(operator, action, over).content.decode()
    over.refresh_from_db()
    assert (over.acknowledged_at, over.muted_until) == (None, None)


def test_viewer__sees_and_changes_nothing(viewer: Client, ticket: Alert) -> None:
    assert 'name="action"' not in viewer.get(page(ticket)).content.decode()
    act(viewer, "mute_1", ticket)
    ticket.refresh_from_db()
    assert ticket.muted_until is None
    assert person("stranger").get(rows(Alert)).status_code == 403


def test_alert__is_shown_in_the_readers_language(operator: Client, ticket: Alert) -> None:
    operator.cookies.load({site.LANGUAGE_COOKIE_NAME: "zh-hans"})
    act(operator, "acknowledge", ticket)
    text = shown(operator, page(ticket))
    assert "operator 已确认" in text


def test_history__costs_few_queries(viewer: Client, component: Component, django_assert_max_num_queries: Any) -> None:
    for number in range(30):
        raised(component, f"code_{number}", lasted=1)
    with django_assert_max_num_queries(9):
        assert len(found(viewer, Alert)) == 30

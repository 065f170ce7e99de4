"""The tiles of the dashboard, one for each finding of ``health``.

A tile has what it is about, a sign and a word for its level, one large number, what it means, what to do, and where.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest
from django.utils.safestring import SafeString
from django.utils.translation import gettext, pgettext, pgettext_lazy

from ... import health
from ...admin_urls import admin_url
from ...db.times import utc_now
from ...formats import grouped
from ...health import AMBER, CHECKS, GREEN, RED, Finding
from ...health.findings import SECONDS, Unit
from ...models import Alert, Authorizer, Component, Push
from ..display import NOTHING, date, moment, span
from ..reader import may_view

LEVELS = (RED, AMBER, GREEN)

WORDS = {
    RED: pgettext_lazy("wechat_open", "act now"),
    AMBER: pgettext_lazy("wechat_open", "watch"),
    GREEN: pgettext_lazy("wechat_open", "in order"),
}

ACTIONS = {"ticket_age": "tickets", "reconciliation": "compare"}


@dataclass(frozen=True)
class Tile:
    """One finding, ready for the template."""

    code: str
    level: str
    title: str
    word: str
    sign: str
    number: list[tuple[str, str]]
    message: str
    hint: str
    link: str
    link_text: str
    since: str | SafeString
    handled: str = ""
    """Who has acknowledged or muted its alert."""
    alert: str = ""
    """The page of its alert."""

    @property
    def is_calm(self) -> bool:
        return self.level == GREEN.value

    @property
    def action(self) -> str:
        """The change that can be started from here."""
        return ACTIONS.get(self.code, "")

    @property
    def news(self) -> str:
        """For a screen reader, when it changed."""
        return f"{self.title}: {self.word}. {self.message}"


def tiles(
    findings: Iterable[Finding], component: Component, request: HttpRequest, alerts: Mapping[str, Alert]
) -> list[Tile]:
    """The worst first, and otherwise in the order of ``CHECKS``, so that each has its place.

    ``alerts`` are the open ones, by code: since when, and who handles it.
    """
    order = list(CHECKS)
    ranked = sorted(
        findings, key=lambda found: (LEVELS.index(found.level), order.index(found.code) if found.code in order else 99)
    )
    return [_tile(found, component, request, alerts.get(found.code)) for found in ranked]


def _tile(found: Finding, component: Component, request: HttpRequest, alert: Alert | None) -> Tile:
    seen = found if may_see(found) else _hidden(found)
    link, link_text = where(seen.page, component, request)
    open_alert = alert if found.level is not GREEN else None
    return Tile(
        code=found.code,
        level=str(found.level.value),
        title=found.title,
        word=_word(seen),
        sign=str(found.level.value) if seen.in_order or seen is not found or found.level is not GREEN else "none",
        number=measured(seen.value, seen.unit),
        message=seen.message,
        hint=seen.hint,
        link=link,
        link_text=link_text,
        since=moment(open_alert.first_seen_at) if open_alert else "",
        handled=handled(open_alert) if open_alert else "",
        alert=admin_url("wechat_open_alert_change", open_alert.pk) if open_alert else "",
    )


def may_see(found: Finding) -> bool:
    """Whether the reader may view the rows that a finding is about."""
    return may_view(health.rows(found.code))


def _hidden(found: Finding) -> Finding:
    """The finding without all but its level: without that, the page would say that everything is in order."""
    words = gettext("You may not see the rows that this is about (permission %(permission)s).")
    message = words % {"permission": f"wechat_open.view_{health.rows(found.code)}"}
    return replace(found, value=None, message=message, hint="", page="")


def is_muted(alert: Alert) -> bool:
    return alert.muted_until is not None and alert.muted_until > utc_now()


def handled(alert: Alert) -> str:
    """Who has acknowledged an alert, or muted it until when; empty for neither."""
    texts = []
    if alert.acknowledged_at is not None:
        texts.append(pgettext("alert", "acknowledged by %s") % alert.acknowledged_by)
    if is_muted(alert):
        assert alert.muted_until is not None
        words = gettext("muted until %(time)s by %(who)s")
        texts.append(words % {"time": date(alert.muted_until), "who": alert.muted_by})
    return "; ".join(texts)


def _word(found: Finding) -> str:
    """A green finding is called in order only when it is."""
    if found.in_order or found.level is not GREEN or not may_see(found):
        return str(WORDS[found.level])
    return pgettext("wechat_open", "not yet") if found.value is None else gettext("known, none new")


def measured(value: float | None, unit: Unit) -> list[tuple[str, str]]:
    """A value as numbers and their units: ``[("1", "h"), ("25", "min")]``."""
    if value is None:
        return [(NOTHING, "")]
    if isinstance(unit, tuple):
        return [(str(unit[bool(value)]), "")]
    if unit == SECONDS:
        return span(value)
    return [(grouped(value), "")]


# -- links to rows -----------------------------------------------------------------------------------------------------


def where(page: str, component: Component, request: HttpRequest) -> tuple[str, str]:
    """Address and label of the page that a finding names; empty when the reader may not view it."""
    place, _colon, which = page.partition(":")
    states = {*Authorizer.State.values, *Push.State.values}
    filters: dict[str, Any] = {"state__exact" if which in states else "attention": which} if which else {}
    if place == "accounts" and request.user.has_perm("wechat_open.view_authorizer"):
        return accounts(component, **filters), gettext("Show these accounts")
    if place == "pushes" and request.user.has_perm("wechat_open.view_push"):
        return _list("push", {"component__id__exact": component.pk, **filters}), gettext("Show these pushes")
    if place == "tickets" and request.user.has_perm("wechat_open.view_verifyticket"):
        return _list("verifyticket", {"component__id__exact": component.pk}), gettext("Show the tickets")
    if place == "audit" and request.user.has_perm("wechat_open.view_auditentry"):
        filters = {"component__id__exact": component.pk, "kind__exact": which}
        return _list("auditentry", filters), gettext("Show the audit trail")
    if place == "platform":
        return admin_url("wechat_open_component_change", component.pk), gettext("Show the platform")
    return "", ""


def accounts(component: Component, **filters: Any) -> str:
    return _list("authorizer", {"component__id__exact": component.pk, **filters})


def _list(model: str, filters: Mapping[str, Any]) -> str:
    return f"{admin_url(f'wechat_open_{model}_changelist')}?{urlencode(filters)}"

"""How is a finding of ``health`` shown to an operator?

As a tile: what it is about, a sign and a word for its level, one large number, what it means, what to do, and where.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest
from django.utils.safestring import SafeString
from django.utils.text import capfirst
from django.utils.translation import gettext, pgettext, pgettext_lazy

from .. import health
from ..admin_urls import admin_url, may_view
from ..health import AMBER, GREEN, RED, Finding
from ..health.finding import grouped
from ..models import Alert, Authorizer, Component, Push
from ..times import utc_now
from .shown import NOTHING, date, moment, span

LEVELS = (RED, AMBER, GREEN)

WORDS = {
    RED: pgettext_lazy("wechat_open", "act now"),
    AMBER: pgettext_lazy("wechat_open", "watch"),
    GREEN: pgettext_lazy("wechat_open", "in order"),
}

SPAN, COUNT = "span", "count"
ANSWERS = (pgettext_lazy("wechat_open", "no answer"), pgettext_lazy("wechat_open", "answers"))
Sort = str | tuple[Any, Any]
"""What a value is: seconds, a number, or which of two words."""

SORTS: dict[str, Sort] = {
    "ticket_age": SPAN,
    "component_token": SPAN,
    "push_service": SPAN,
    "dispatcher": SPAN,
    "beat": SPAN,
    "sweep": SPAN,
    "paused": (pgettext_lazy("wechat_open", "running"), pgettext_lazy("wechat_open", "paused")),
    "brake": (pgettext_lazy("wechat_open", "off"), pgettext_lazy("wechat_open", "holds")),
    "clock_skew": SPAN,
    "database": ANSWERS,
    "cache": ANSWERS,
    "broker": ANSWERS,
}
"""What the value of a code is, unless it is a number."""

TITLES: dict[str, tuple[Any, Sort]] = {code: (words, SORTS.get(code, COUNT)) for code, words in health.TITLES.items()}
"""What each code is about, and what its value is."""

DEEDS = {"ticket_age": "tickets", "sweep": "compare"}


@dataclass(frozen=True)
class Tile:
    """One finding, ready for the template."""

    code: str
    level: str
    title: str
    word: str
    sign: str
    number: list[tuple[str, str]]
    said: str
    remedy: str
    link: str
    link_text: str
    since: str | SafeString
    handled: str = ""
    """Who has acknowledged or muted its alert."""
    alert: str = ""
    """Where its alert is."""

    @property
    def is_calm(self) -> bool:
        return self.level == GREEN.value

    @property
    def deed(self) -> str:
        """What can be set going from here."""
        return DEEDS.get(self.code, "")

    @property
    def news(self) -> str:
        """For who cannot see that it changed."""
        return f"{self.title}: {self.word}. {self.said}"


def tiles(
    findings: Iterable[Finding], component: Component, request: HttpRequest, alerts: Mapping[str, Alert]
) -> list[Tile]:
    """The worst first, and otherwise in the order of ``TITLES``, so that each has its place.

    ``alerts`` are those that are open, by code: since when, and who looks after it.
    """
    order = list(TITLES)
    ranked = sorted(
        findings, key=lambda found: (LEVELS.index(found.level), order.index(found.code) if found.code in order else 99)
    )
    return [_tile(found, component, request, alerts.get(found.code)) for found in ranked]


def _tile(found: Finding, component: Component, request: HttpRequest, alert: Alert | None) -> Tile:
    title, sort = TITLES.get(found.code, (found.code.replace("_", " "), COUNT))
    seen = found if may_see(found) else _hidden(found)
    link, link_text = where(seen.page, component, request)
    open_alert = alert if found.level is not GREEN else None
    return Tile(
        code=found.code,
        level=str(found.level.value),
        title=capfirst(str(title)),
        word=_word(seen),
        sign=str(found.level.value) if seen.in_order or seen is not found or found.level is not GREEN else "none",
        number=measured(seen.value, sort),
        said=str(seen.said),
        remedy=str(seen.remedy),
        link=link,
        link_text=link_text,
        since=moment(open_alert.first_seen_at) if open_alert else "",
        handled=handled(open_alert) if open_alert else "",
        alert=_alert_page(open_alert, request) if open_alert else "",
    )


def may_see(found: Finding) -> bool:
    """Whether the reader may see the rows that a finding tells of."""
    return may_view(health.ROWS.get(found.code, "component"))


def _hidden(found: Finding) -> Finding:
    """No more than how bad it is: without it the page would say that everything is in order."""
    words = gettext("You may not see the rows that this is about (permission %(permission)s).")
    said = words % {"permission": f"wechat_open.view_{health.ROWS[found.code]}"}
    return replace(found, value=None, said=said, remedy="", page="")


def is_muted(alert: Alert) -> bool:
    return alert.muted_until is not None and alert.muted_until > utc_now()


def handled(alert: Alert) -> str:
    """Who has acknowledged an alert, or muted it until when; empty when nobody has."""
    said = []
    if alert.acknowledged_at is not None:
        said.append(pgettext("alert", "acknowledged by %s") % alert.acknowledged_by)
    if is_muted(alert):
        assert alert.muted_until is not None
        words = gettext("muted until %(time)s by %(who)s")
        said.append(words % {"time": date(alert.muted_until), "who": alert.muted_by})
    return "; ".join(said)


def _alert_page(alert: Alert, request: HttpRequest) -> str:
    if not request.user.has_perm("wechat_open.view_alert"):
        return ""
    return admin_url("wechat_open_alert_change", alert.pk)


def _word(found: Finding) -> str:
    """Of what is green only what is in order is called so."""
    if found.in_order or found.level is not GREEN or not may_see(found):
        return str(WORDS[found.level])
    return pgettext("wechat_open", "not yet") if found.value is None else gettext("known, none new")


def measured(value: float | None, sort: Sort) -> list[tuple[str, str]]:
    """A value as numbers and their units: ``[("1", "h"), ("25", "min")]``."""
    if value is None:
        return [(NOTHING, "")]
    if isinstance(sort, tuple):
        return [(str(sort[bool(value)]), "")]
    if sort == SPAN:
        return span(value)
    return [(grouped(value), "")]


# -- where to look -----------------------------------------------------------------------------------------------------


def where(page: str, component: Component, request: HttpRequest) -> tuple[str, str]:
    """Address and words of the page that a finding names; empty when the reader may not see it."""
    place, _colon, which = page.partition(":")
    if place == "accounts" and request.user.has_perm("wechat_open.view_authorizer"):
        return accounts(component, **_accounts_filter(which)), gettext("Show these accounts")
    if place == "pushes" and request.user.has_perm("wechat_open.view_push"):
        return pushes(component, **_pushes_filter(which)), gettext("Show these pushes")
    if place == "tickets" and request.user.has_perm("wechat_open.view_verifyticket"):
        return _list("verifyticket", {"component__id__exact": component.pk}), gettext("Show the tickets")
    if place == "journal" and request.user.has_perm("wechat_open.view_journalentry"):
        filters = {"component__id__exact": component.pk, "kind__exact": which}
        return _list("journalentry", filters), gettext("Show the audit trail")
    if place == "platform":
        return admin_url("wechat_open_component_change", component.pk), gettext("Show the platform")
    return "", ""


def accounts(component: Component, **filters: Any) -> str:
    return _list("authorizer", {"component__id__exact": component.pk, **filters})


def pushes(component: Component, **filters: Any) -> str:
    return _list("push", {"component__id__exact": component.pk, **filters})


def _accounts_filter(which: str) -> dict[str, str]:
    if which in Authorizer.State.values:
        return {"state__exact": which}
    return {"attention": which} if which else {}


def _pushes_filter(which: str) -> dict[str, str]:
    return {"state__exact": which} if which in Push.State.values else {}


def _list(model: str, filters: Mapping[str, Any]) -> str:
    return f"{admin_url(f'wechat_open_{model}_changelist')}?{urlencode(filters)}"

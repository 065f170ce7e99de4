"""All alerts: what was wrong, from when to when, and who handles it.

What is open can be acknowledged, and muted for a while. Both are in the audit trail and change nothing of what the
dashboard and ``health/`` say.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.models import CHANGE, LogEntry
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext, ngettext_lazy, pgettext, pgettext_lazy
from django.utils.translation import gettext_lazy as _

from .. import health
from ..admin_urls import admin_url
from ..conf import conf
from ..db.fields import is_damaged
from ..db.times import utc_now
from ..formats import duration, grouped
from ..health import alerts
from ..models import Alert
from .base import RecordAdmin, column
from .changelist import ConditionFilter, Number, PlatformFilter, as_number
from .dashboard.tiles import handled, is_muted
from .display import DAMAGED, NOTHING, beside, date, exactly, tag
from .reader import may_view
from .row_actions import action


class StandingFilter(ConditionFilter):
    title = pgettext_lazy("alert", "state")
    parameter_name = "standing"

    def conditions(self, request: HttpRequest) -> dict[str, tuple[Any, Q]]:
        is_open = Q(resolved_at__isnull=True)
        return {
            "open": (pgettext_lazy("alert", "open"), is_open),
            "acknowledged": (pgettext_lazy("alert", "acknowledged"), is_open & Q(acknowledged_at__isnull=False)),
            "muted": (pgettext_lazy("alert", "muted"), is_open & Q(muted_until__gt=utc_now())),
            "resolved": (pgettext_lazy("alert", "resolved"), ~is_open),
        }


class CodeFilter(ConditionFilter):
    """By the titles of the dashboard."""

    title = pgettext_lazy("alert", "about")
    parameter_name = "code"

    def conditions(self, request: HttpRequest) -> dict[str, tuple[Any, Q]]:
        return {code: (health.title(code), Q(code=code)) for code in health.CHECKS}


MUTE_LABELS = (_("Mute for 1 hour"), _("Mute for 8 hours"), _("Mute for 24 hours"), _("Mute for 7 days"))


def _said(alert: Alert, part: str) -> str:
    return str(DAMAGED) if is_damaged(alert.context) else str(alert.context.get(part, ""))


def _mute_for(span: timedelta, label: Any) -> Callable[..., HttpResponse | None]:
    """The action ``mute_8`` for eight hours."""

    @action(description=label, permissions=["handle_alert"])
    def mute(model_admin: AlertAdmin, request: HttpRequest, rows: QuerySet[Alert]) -> HttpResponse | None:
        return model_admin.mute(request, rows, span)

    mute.__name__ = f"mute_{span // timedelta(hours=1)}"
    return mute


@admin.register(Alert)
class AlertAdmin(RecordAdmin):
    list_display = ["what", "level", "standing", "opened", "resolved", "lasted", "times"]
    list_filter = [StandingFilter, "severity", CodeFilter, "first_seen_at", PlatformFilter]
    ordering = ["-first_seen_at", "-pk"]
    sortable_by = ["opened"]
    actions = ["acknowledge", *map(_mute_for, alerts.MUTES, MUTE_LABELS), "unmute"]
    fieldsets = [
        (None, {"fields": ["what", "level", "standing", "where"]}),
        (_("What it said last"), {"fields": ["message", "hint"]}),
        (_("From when to when"), {"fields": ["opened", "last_seen", "resolved", "lasted", "times", "last_sent"]}),
    ]

    # -- columns -----------------------------------------------------------------------------------------------------

    @admin.display(description=pgettext_lazy("alert", "what"))
    def what(self, alert: Alert) -> SafeString:
        return beside(health.title(alert.code), _said(alert, "message"))

    @admin.display(description=pgettext_lazy("alert", "severity"))
    def level(self, alert: Alert) -> SafeString:
        return tag(alert.get_severity_display(), "bad" if alert.severity == Alert.Severity.CRITICAL else "warn")

    @admin.display(description=pgettext_lazy("alert", "state"))
    def standing(self, alert: Alert) -> SafeString:
        return standing(alert)

    opened = column(exactly, "first_seen_at", pgettext_lazy("alert", "opened"), ordering="first_seen_at")
    resolved = column(exactly, "resolved_at", pgettext_lazy("alert", "resolved"))
    times = column(grouped, "count", pgettext_lazy("alert", "times seen"))
    last_seen = column(exactly, "last_seen_at", pgettext_lazy("alert", "last seen"))
    last_sent = column(exactly, "sent_at", pgettext_lazy("alert", "last sent"))

    @admin.display(description=pgettext_lazy("alert", "duration"))
    def lasted(self, alert: Alert) -> str:
        return duration((alert.resolved_at or utc_now()) - alert.first_seen_at)

    @admin.display(description=pgettext_lazy("alert", "what it means"))
    def message(self, alert: Alert) -> str:
        return _said(alert, "message") or NOTHING

    @admin.display(description=pgettext_lazy("alert", "what to do"))
    def hint(self, alert: Alert) -> str:
        return _said(alert, "hint") or NOTHING

    @admin.display(description=pgettext_lazy("wechat_open", "platform"))
    def platform(self, alert: Alert) -> str:
        return alert.alias or pgettext("alert", "the whole site")

    @admin.display(description=pgettext_lazy("wechat_open", "platform"))
    def where(self, alert: Alert) -> str | SafeString:
        if alert.alias not in conf.components or not may_view("component"):
            return self.platform(alert)
        page = admin_url("wechat_open_dashboard", alert.alias)
        return format_html('{} <a href="{}">{}</a>', alert.alias, page, pgettext("wechat_open", "Dashboard"))

    def list_context(self, request: HttpRequest) -> dict[str, Any]:
        return {"title": pgettext("wechat_open", "Alerts")}

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        alert: Alert | None = kwargs.get("obj")
        if alert is not None:
            context |= {"title": health.title(alert.code), "subtitle": None}
        return super().render_change_form(request, context, *args, **kwargs)

    # -- actions -----------------------------------------------------------------------------------------------------

    def has_handle_alert_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("wechat_open.handle_alert")

    def buttons(self, request: HttpRequest, object_id: str | None) -> list[tuple[str, str]]:
        """The actions that make sense for this alert."""
        key = as_number(object_id)
        alert = Alert.objects.filter(pk=key).first() if key is not None and abs(key) < 2**63 else None
        return [one for one in super().buttons(request, object_id) if alert is None or _is_useful(one[0], alert)]

    @action(description=_("Acknowledge: do not repeat it unless it gets worse"), permissions=["handle_alert"])
    def acknowledge(self, request: HttpRequest, rows: QuerySet[Alert]) -> HttpResponse | None:
        done = ngettext_lazy("%(count)s alert was acknowledged.", "%(count)s alerts were acknowledged.", "count")
        return self._report(request, alerts.acknowledge(rows, request.user), done)

    @action(description=pgettext_lazy("alert", "End the mute"), permissions=["handle_alert"])
    def unmute(self, request: HttpRequest, rows: QuerySet[Alert]) -> HttpResponse | None:
        done = ngettext_lazy("%(count)s alert is sent again.", "%(count)s alerts are sent again.", "count")
        return self._report(request, alerts.unmute(rows, request.user), done)

    def mute(self, request: HttpRequest, rows: QuerySet[Alert], span: timedelta) -> HttpResponse | None:
        until = date(utc_now() + span)
        done = ngettext_lazy(
            "%(count)s alert is not sent until %(until)s.", "%(count)s alerts are not sent until %(until)s.", "count"
        )
        return self._report(request, alerts.mute(rows, request.user, span), done, until=until)

    def _report(self, request: HttpRequest, changed: list[Alert], done: Any, **words: str) -> HttpResponse | None:
        """A message about how many have changed, and an entry in the history of each; ``done`` takes %(count)s."""
        if changed:
            user: Any = request.user.pk
            LogEntry.objects.log_actions(user, changed, CHANGE, done % {"count": 1, **words})
            self.message_user(request, done % {"count": Number(len(changed)), **words}, messages.SUCCESS)
        else:
            self.message_user(request, gettext("Nothing to do: they are over, or it is so already."), messages.WARNING)
        return self.back_to_row(request)


def _is_useful(action: str, alert: Alert) -> bool:
    if alert.resolved_at is not None:
        return action == "unmute" and is_muted(alert)
    if action == "acknowledge":
        return alert.acknowledged_at is None
    return is_muted(alert) if action == "unmute" else True


def standing(alert: Alert) -> SafeString:
    """Whether it is resolved, and who has acknowledged it, or muted it until when."""
    if alert.resolved_at is not None:
        state = tag(pgettext("alert", "resolved"), "good")
    else:
        state = tag(pgettext("alert", "open"), "bad")
    handling = handled(alert)
    return beside(state, handling) if handling else state

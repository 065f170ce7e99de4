"""All alerts: what was wrong, from when to when, and who looks after it.

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
from django.utils.functional import Promise
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import capfirst
from django.utils.translation import gettext, ngettext, pgettext, pgettext_lazy
from django.utils.translation import gettext_lazy as _

from .. import alerts
from ..admin_urls import admin_url, may_view
from ..conf import conf
from ..health.finding import duration, grouped
from ..models import Alert
from ..times import utc_now
from .base import ReadOnlyAdmin, action, as_number
from .lists import BoundedPaginator, PlatformFilter, several_platforms
from .shown import NOTHING, beside, date, exactly, tag
from .tiles import TITLES, handled, is_muted

OPEN, ACKNOWLEDGED, MUTED, RESOLVED = "open", "acknowledged", "muted", "resolved"


class StandingFilter(admin.SimpleListFilter):
    title = pgettext_lazy("alert", "state")
    parameter_name = "standing"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [
            (OPEN, pgettext_lazy("alert", "open")),
            (ACKNOWLEDGED, pgettext_lazy("alert", "acknowledged")),
            (MUTED, pgettext_lazy("alert", "muted")),
            (RESOLVED, pgettext_lazy("alert", "resolved")),
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Alert]) -> QuerySet[Alert] | None:
        is_open = Q(resolved_at__isnull=True)
        wanted = {
            OPEN: is_open,
            ACKNOWLEDGED: is_open & Q(acknowledged_at__isnull=False),
            MUTED: is_open & Q(muted_until__gt=utc_now()),
            RESOLVED: ~is_open,
        }
        chosen = wanted.get(self.value() or "")
        return queryset.filter(chosen) if chosen else None


class CodeFilter(admin.SimpleListFilter):
    """What it is about, by the words of the dashboard."""

    title = pgettext_lazy("alert", "about")
    parameter_name = "code"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [(code, capfirst(str(words))) for code, (words, _sort) in TITLES.items()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Alert]) -> QuerySet[Alert] | None:
        return queryset.filter(code=self.value()) if self.value() in TITLES else None


@admin.register(Alert)
class AlertAdmin(ReadOnlyAdmin):
    list_display = ["what", "level", "standing", "opened", "resolved", "lasted", "times"]
    list_filter = [StandingFilter, "severity", CodeFilter, "first_seen_at", PlatformFilter]
    list_select_related = ["component"]
    ordering = ["-first_seen_at", "-pk"]
    sortable_by = ["opened"]
    paginator = BoundedPaginator
    show_facets = admin.ShowFacets.NEVER
    actions = ["acknowledge", "mute_1", "mute_8", "mute_24", "mute_168", "unmute"]
    fieldsets = [
        (None, {"fields": ["what", "level", "standing", "where"]}),
        (_("What it said last"), {"fields": ["said", "remedy"]}),
        (_("From when to when"), {"fields": ["opened", "last_seen", "resolved", "lasted", "times", "last_sent"]}),
    ]

    # -- columns -----------------------------------------------------------------------------------------------------

    @admin.display(description=pgettext_lazy("alert", "what"))
    def what(self, alert: Alert) -> SafeString:
        return beside(titled(alert), str(alert.context.get("said", "")))

    @admin.display(description=pgettext_lazy("alert", "severity"))
    def level(self, alert: Alert) -> SafeString:
        return tag(alert.get_severity_display(), "bad" if alert.severity == Alert.Severity.CRITICAL else "warn")

    @admin.display(description=pgettext_lazy("alert", "state"))
    def standing(self, alert: Alert) -> SafeString:
        return standing(alert)

    @admin.display(description=pgettext_lazy("alert", "opened"), ordering="first_seen_at")
    def opened(self, alert: Alert) -> str | SafeString:
        return exactly(alert.first_seen_at)

    @admin.display(description=pgettext_lazy("alert", "resolved"))
    def resolved(self, alert: Alert) -> str | SafeString:
        return exactly(alert.resolved_at)

    @admin.display(description=pgettext_lazy("alert", "duration"))
    def lasted(self, alert: Alert) -> str:
        return duration((alert.resolved_at or utc_now()) - alert.first_seen_at)

    @admin.display(description=pgettext_lazy("alert", "times seen"))
    def times(self, alert: Alert) -> str:
        return grouped(alert.count)

    @admin.display(description=pgettext_lazy("alert", "last seen"))
    def last_seen(self, alert: Alert) -> str | SafeString:
        return exactly(alert.last_seen_at)

    @admin.display(description=pgettext_lazy("alert", "last sent"))
    def last_sent(self, alert: Alert) -> str | SafeString:
        return exactly(alert.told_at)

    @admin.display(description=pgettext_lazy("alert", "what it means"))
    def said(self, alert: Alert) -> str:
        return str(alert.context.get("said", "")) or NOTHING

    @admin.display(description=pgettext_lazy("alert", "what to do"))
    def remedy(self, alert: Alert) -> str:
        return str(alert.context.get("remedy", "")) or NOTHING

    @admin.display(description=pgettext_lazy("wechat_open", "platform"))
    def platform(self, alert: Alert) -> str:
        return alert.alias or pgettext("alert", "the whole site")

    @admin.display(description=pgettext_lazy("wechat_open", "platform"))
    def where(self, alert: Alert) -> str | SafeString:
        if alert.alias not in conf.components or not may_view("component"):
            return self.platform(alert)
        page = admin_url("wechat_open_dashboard", alert.alias)
        return format_html('{} <a href="{}">{}</a>', alert.alias, page, pgettext("wechat_open", "Dashboard"))

    def get_list_display(self, request: HttpRequest) -> list[Any]:
        return [*self.list_display, *several_platforms()]

    def list_context(self, request: HttpRequest) -> dict[str, Any]:
        return {"title": pgettext("wechat_open", "Alerts")}

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        alert: Alert | None = kwargs.get("obj")
        if alert is not None:
            context |= {"title": titled(alert), "subtitle": None}
        return super().render_change_form(request, context, *args, **kwargs)

    # -- what can be done ----------------------------------------------------------------------------------------------

    def has_handle_alert_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("wechat_open.handle_alert")

    def buttons(self, request: HttpRequest, object_id: str | None) -> list[tuple[str, str]]:
        """What makes sense for this alert."""
        key = as_number(object_id)
        alert = Alert.objects.filter(pk=key).first() if key is not None and abs(key) < 2**63 else None
        return [one for one in super().buttons(request, object_id) if alert is None or _makes_sense(one[0], alert)]

    @action(description=_("Acknowledge: do not repeat it unless it gets worse"), permissions=["handle_alert"])
    def acknowledge(self, request: HttpRequest, rows: QuerySet[Alert]) -> HttpResponse | None:
        def done(count: int) -> str:
            return ngettext("%(count)s alert was acknowledged.", "%(count)s alerts were acknowledged.", count)

        return self._say(request, alerts.acknowledge(rows, request.user), done)

    @action(description=_("Mute for 1 hour"), permissions=["handle_alert"])
    def mute_1(self, request: HttpRequest, rows: QuerySet[Alert]) -> HttpResponse | None:
        return self._mute(request, rows, alerts.MUTES[0])

    @action(description=_("Mute for 8 hours"), permissions=["handle_alert"])
    def mute_8(self, request: HttpRequest, rows: QuerySet[Alert]) -> HttpResponse | None:
        return self._mute(request, rows, alerts.MUTES[1])

    @action(description=_("Mute for 24 hours"), permissions=["handle_alert"])
    def mute_24(self, request: HttpRequest, rows: QuerySet[Alert]) -> HttpResponse | None:
        return self._mute(request, rows, alerts.MUTES[2])

    @action(description=_("Mute for 7 days"), permissions=["handle_alert"])
    def mute_168(self, request: HttpRequest, rows: QuerySet[Alert]) -> HttpResponse | None:
        return self._mute(request, rows, alerts.MUTES[3])

    @action(description=pgettext_lazy("alert", "End the mute"), permissions=["handle_alert"])
    def unmute(self, request: HttpRequest, rows: QuerySet[Alert]) -> HttpResponse | None:
        def done(count: int) -> str:
            return ngettext("%(count)s alert is sent again.", "%(count)s alerts are sent again.", count)

        return self._say(request, alerts.unmute(rows, request.user), done)

    def _mute(self, request: HttpRequest, rows: QuerySet[Alert], span: timedelta) -> HttpResponse | None:
        until = date(utc_now() + span)

        def done(count: int) -> str:
            words = ngettext(
                "%(count)s alert is not sent until %(until)s.", "%(count)s alerts are not sent until %(until)s.", count
            )
            return words.replace("%(until)s", until)

        return self._say(request, alerts.mute(rows, request.user, span), done)

    def _say(self, request: HttpRequest, changed: list[Alert], done: Callable[[int], str]) -> HttpResponse | None:
        """For how many it made a difference, here and in the history of each."""
        if changed:
            who: Any = request.user.pk
            LogEntry.objects.log_actions(who, changed, CHANGE, done(1) % {"count": 1})
            message = done(len(changed)) % {"count": grouped(len(changed))}
            self.message_user(request, message, messages.SUCCESS)
        else:
            self.message_user(request, gettext("Nothing to do: they are over, or it is so already."), messages.WARNING)
        back = as_number(request.POST.get("back_to"))
        return None if back is None else self.to_page(request, back)


def _makes_sense(action: str, alert: Alert) -> bool:
    if alert.resolved_at is not None:
        return action == "unmute" and is_muted(alert)
    if action == "acknowledge":
        return alert.acknowledged_at is None
    return is_muted(alert) if action == "unmute" else True


def titled(alert: Alert) -> str:
    """What it is about, as the dashboard calls it."""
    words: str | Promise = TITLES[alert.code][0] if alert.code in TITLES else alert.code.replace("_", " ")
    return capfirst(str(words))


def standing(alert: Alert) -> SafeString:
    """Whether it is over; and who looks after it, or has muted it until when."""
    if alert.resolved_at is not None:
        shown = tag(pgettext("alert", "resolved"), "good")
    else:
        shown = tag(pgettext("alert", "open"), "bad")
    said = handled(alert)
    return beside(shown, said) if said else shown

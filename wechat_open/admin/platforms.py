"""The pages of platforms and their verify tickets."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import capfirst
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from .. import health, platforms
from ..admin_urls import admin_url
from ..exceptions import WeChatOpenError
from ..formats import grouped
from ..health import statistics
from ..models import Authorizer, Component, TokenHolder, VerifyTicket
from ..translation import translate_error
from .base import RowAdmin, TokenHolderAdmin, column
from .changelist import PlatformFilter
from .dashboard.tiles import may_see
from .display import NOTHING, lines, masked, moment, tag
from .reader import may_view


@admin.register(Component)
class ComponentAdmin(TokenHolderAdmin):
    list_display = ["appid", "alias", "dashboard", "ticket", "time_left", "heartbeat", "last_comparison", "problem"]
    ordering = ["pk"]
    fieldsets = [
        (None, {"fields": ["appid", "alias", "dashboard", "problems"]}),
        (pgettext_lazy("wechat_open", "Verify ticket"), {"fields": ["ticket", "last_push", "push_requested"]}),
        (
            _("Component access token"),
            {"fields": ["access_token_masked", "time_left", "next_renewal", "forced", "paused"]},
        ),
        (
            pgettext_lazy("wechat_open", "Accounts"),
            {"fields": ["accounts", "heartbeat", "last_comparison", "reconcile_repairs", "next_comparison"]},
        ),
    ]

    def get_list_display(self, request: HttpRequest) -> list[Any]:
        return _for_reader(self.list_display)

    def get_fieldsets(self, request: HttpRequest, obj: TokenHolder | None = None) -> Any:
        parts = super().get_fieldsets(request, obj)
        return [(title, {**options, "fields": _for_reader(options["fields"])}) for title, options in parts]

    @admin.display(description=_("alias in the settings"))
    def alias(self, component: Component) -> str | SafeString:
        return platforms.alias_of(component) or tag(pgettext_lazy("wechat_open", "not configured"), "off")

    @admin.display(description=pgettext_lazy("wechat_open", "dashboard"))
    def dashboard(self, component: Component) -> str | SafeString:
        alias = platforms.alias_of(component)
        if not alias:
            return NOTHING
        return format_html(
            '<a href="{}">{}</a>',
            admin_url("wechat_open_dashboard", alias),
            pgettext_lazy("wechat_open", "Open"),
        )

    last_push = column(moment, "last_push_at", pgettext_lazy("wechat_open", "last push"))
    push_requested = column(moment, "push_started_at", _("ticket pushing last requested"))
    forced = column(moment, "forced_at", _("last forced renewal"))
    paused = column(moment, "paused_since", _("renewals paused since"))
    heartbeat = column(moment, "heartbeat_at", pgettext_lazy("wechat_open", "due tokens last checked"))
    last_comparison = column(moment, "reconciled_at", pgettext_lazy("wechat_open", "last comparison"))
    next_comparison = column(moment, "reconcile_due_at", pgettext_lazy("wechat_open", "next comparison"))

    @admin.display(description=pgettext_lazy("wechat_open", "newest ticket"))
    def ticket(self, component: Component) -> str | SafeString:
        newest = component.tickets.first()
        return moment(newest.created_at) if newest else tag(pgettext_lazy("wechat_open", "none yet"), "bad")

    @admin.display(description=pgettext_lazy("wechat_open", "last error"))
    def problem(self, holder: TokenHolder) -> str:
        """The last error of a renewal; the whole examination takes too many queries for a list."""
        return super().problem(holder)

    @admin.display(description=_("what is wrong right now"))
    def problems(self, component: Component) -> str | SafeString:
        if not platforms.alias_of(component):
            return NOTHING
        try:
            findings = health.examine(platforms.for_component(component))
        except WeChatOpenError as error:
            return translate_error(error)
        wrong = [found for found in findings if found.level is not health.GREEN]
        words = [found.message if may_see(found) else health.title(found.code) for found in wrong]
        return lines(words) if words else tag(pgettext_lazy("wechat_open", "nothing"), "good")

    @admin.display(description=pgettext_lazy("wechat_open", "accounts"))
    def accounts(self, component: Component) -> str | SafeString:
        counts = statistics.states(component)
        return lines([f"{capfirst(state.label)}: {grouped(counts[state])}" for state in Authorizer.State])


OTHER_ROWS = {"ticket": "verifyticket", "accounts": "authorizer"}
"""The columns about other rows, and the model of those."""


def _for_reader(names: Iterable[Any]) -> list[Any]:
    return [name for name in names if name not in OTHER_ROWS or may_view(OTHER_ROWS[name])]


@admin.register(VerifyTicket)
class VerifyTicketAdmin(RowAdmin):
    list_display = ["created_at_exact", "platform", "received_at_exact", "masked_ticket"]
    list_filter = ["created_at", PlatformFilter]
    list_select_related = ["component"]
    fieldsets = [(None, {"fields": ["platform", "created_at_exact", "received_at_exact", "masked_ticket"]})]

    @admin.display(description=pgettext_lazy("wechat_open", "ticket"))
    def masked_ticket(self, ticket: VerifyTicket) -> str | SafeString:
        return masked(ticket, "ticket")

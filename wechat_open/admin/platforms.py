"""What does an operator see of a platform and its verify tickets?"""

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

from .. import census, health
from ..admin_urls import admin_url, may_view
from ..component import platform_of
from ..conf import conf
from ..exceptions import WeChatOpenError
from ..health.finding import grouped
from ..models import Authorizer, Component, TokenHolder, VerifyTicket
from ..telling import told
from .base import HolderAdmin, ReadOnlyAdmin
from .lists import PlatformFilter
from .shown import NOTHING, lines, masked, moment, tag
from .tiles import may_see


@admin.register(Component)
class ComponentAdmin(HolderAdmin):
    list_display = ["appid", "alias", "dashboard", "ticket", "time_left", "dispatched", "swept", "problem"]
    ordering = ["pk"]
    fieldsets = [
        (None, {"fields": ["appid", "alias", "dashboard", "problems"]}),
        (pgettext_lazy("wechat_open", "Verify ticket"), {"fields": ["ticket", "last_push", "push_requested"]}),
        (
            _("Component access token"),
            {"fields": ["access_token_shown", "time_left", "next_renewal", "forced", "paused"]},
        ),
        (
            pgettext_lazy("wechat_open", "Accounts"),
            {"fields": ["accounts", "dispatched", "swept", "sweep_repairs", "next_sweep"]},
        ),
    ]

    def get_list_display(self, request: HttpRequest) -> list[Any]:
        return _for_reader(self.list_display)

    def get_fieldsets(self, request: HttpRequest, obj: TokenHolder | None = None) -> Any:
        parts = super().get_fieldsets(request, obj)
        return [(title, {**options, "fields": _for_reader(options["fields"])}) for title, options in parts]

    @admin.display(description=_("alias in the settings"))
    def alias(self, component: Component) -> str | SafeString:
        return _alias(component) or tag(pgettext_lazy("wechat_open", "not configured"), "off")

    @admin.display(description=pgettext_lazy("wechat_open", "dashboard"))
    def dashboard(self, component: Component) -> str | SafeString:
        alias = _alias(component)
        if not alias:
            return NOTHING
        return format_html(
            '<a href="{}">{}</a>',
            admin_url("wechat_open_dashboard", alias),
            pgettext_lazy("wechat_open", "Open"),
        )

    last_push = admin.display(description=pgettext_lazy("wechat_open", "last push"))(
        lambda self, row: moment(row.last_push_at)
    )
    push_requested = admin.display(description=_("ticket pushing last requested"))(
        lambda self, row: moment(row.push_started_at)
    )
    forced = admin.display(description=_("last forced renewal"))(lambda self, row: moment(row.forced_at))
    paused = admin.display(description=_("renewals paused until"))(lambda self, row: moment(row.paused_until))
    dispatched = admin.display(description=pgettext_lazy("wechat_open", "last dispatch"))(
        lambda self, row: moment(row.heartbeat_at)
    )
    swept = admin.display(description=pgettext_lazy("wechat_open", "last comparison"))(
        lambda self, row: moment(row.swept_at)
    )
    next_sweep = admin.display(description=pgettext_lazy("wechat_open", "next comparison"))(
        lambda self, row: moment(row.sweep_due_at)
    )

    @admin.display(description=pgettext_lazy("wechat_open", "newest ticket"))
    def ticket(self, component: Component) -> str | SafeString:
        newest = component.tickets.first()
        return moment(newest.created_at) if newest else tag(pgettext_lazy("wechat_open", "none yet"), "bad")

    @admin.display(description=pgettext_lazy("wechat_open", "last error"))
    def problem(self, holder: TokenHolder) -> str:
        """Only what renewing the token has met; all that is wrong takes too many questions for a list."""
        return super().problem(holder)

    @admin.display(description=_("what is wrong right now"))
    def problems(self, component: Component) -> str | SafeString:
        if not _alias(component):
            return NOTHING
        try:
            findings = health.examine(platform_of(component))
        except WeChatOpenError as error:
            return told(error)
        wrong = [found for found in findings if found.level is not health.GREEN]
        words = [found.said if may_see(found) else health.title(found.code) for found in wrong]
        return lines(words) if words else tag(pgettext_lazy("wechat_open", "nothing"), "good")

    @admin.display(description=pgettext_lazy("wechat_open", "accounts"))
    def accounts(self, component: Component) -> str | SafeString:
        counts = census.states(component)
        return lines([f"{capfirst(state.label)}: {grouped(counts[state])}" for state in Authorizer.State])


OF_OTHERS = {"ticket": "verifyticket", "accounts": "authorizer"}
"""What a platform's page tells of other rows, and of which."""


def _for_reader(names: Iterable[Any]) -> list[Any]:
    return [name for name in names if name not in OF_OTHERS or may_view(OF_OTHERS[name])]


def _alias(component: Component) -> str:
    """Its name in the settings; empty when it is there no longer."""
    aliases = [alias for alias, appid in conf.appids.items() if appid == component.appid]
    return aliases[0] if aliases else ""


@admin.register(VerifyTicket)
class VerifyTicketAdmin(ReadOnlyAdmin):
    list_display = ["created_at_exact", "platform", "received_at_exact", "shown"]
    list_filter = ["created_at", PlatformFilter]
    list_select_related = ["component"]
    fieldsets = [(None, {"fields": ["platform", "created_at_exact", "received_at_exact", "shown"]})]

    @admin.display(description=pgettext_lazy("wechat_open", "ticket"))
    def shown(self, ticket: VerifyTicket) -> str | SafeString:
        return masked(ticket, "ticket")

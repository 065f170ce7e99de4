"""What does an operator see of a platform and its verify tickets?"""

from __future__ import annotations

from django.contrib import admin
from django.utils.safestring import SafeString
from django.utils.text import capfirst
from django.utils.translation import gettext_lazy as _

from .. import health
from ..conf import conf
from ..exceptions import WeChatOpenError
from ..models import Authorizer, Component, VerifyTicket
from .base import HolderAdmin, ReadOnlyAdmin
from .shown import NOTHING, lines, masked, moment, tag


@admin.register(Component)
class ComponentAdmin(HolderAdmin):
    list_display = ["appid", "alias", "ticket", "time_left", "dispatched", "swept", "problem"]
    ordering = ["pk"]
    fieldsets = [
        (None, {"fields": ["appid", "alias", "problems"]}),
        (_("Verify ticket"), {"fields": ["ticket", "last_push", "push_started_at"]}),
        (
            _("Component access token"),
            {"fields": ["access_token_shown", "time_left", "next_renewal", "forced_at", "paused_until"]},
        ),
        (_("Accounts"), {"fields": ["accounts", "dispatched", "swept", "sweep_repairs", "sweep_due_at"]}),
    ]

    @admin.display(description=_("alias in the settings"))
    def alias(self, component: Component) -> str | SafeString:
        for alias, credentials in conf.components.items():
            if credentials.get("APPID") == component.appid:
                return alias
        return tag(_("not configured"), "off")

    last_push = admin.display(description=_("last push"))(lambda self, row: moment(row.last_push_at))
    dispatched = admin.display(description=_("last dispatch"))(lambda self, row: moment(row.heartbeat_at))
    swept = admin.display(description=_("last sweep"))(lambda self, row: moment(row.swept_at))

    @admin.display(description=_("newest ticket"))
    def ticket(self, component: Component) -> str | SafeString:
        newest = component.tickets.first()
        return moment(newest.created_at) if newest else tag(_("none yet"), "bad")

    @admin.display(description=_("what is wrong right now"))
    def problems(self, component: Component) -> str | SafeString:
        try:
            reports = health.report()["components"]
        except WeChatOpenError as error:
            return str(error)
        for report in reports:
            if report["appid"] == component.appid:
                words = [health.PROBLEMS[word] for word in report["problems"]]
                return lines(words) if words else tag(_("nothing"), "good")
        return NOTHING

    @admin.display(description=_("accounts"))
    def accounts(self, component: Component) -> str | SafeString:
        counts = [
            (label, component.authorizers.filter(state=state).count()) for state, label in Authorizer.State.choices
        ]
        return lines([f"{capfirst(label)}: {count}" for label, count in counts])


@admin.register(VerifyTicket)
class VerifyTicketAdmin(ReadOnlyAdmin):
    list_display = ["created_at", "component", "age", "received_at", "shown"]
    list_filter = ["created_at", ("component", admin.RelatedOnlyFieldListFilter)]
    list_select_related = ["component"]
    fieldsets = [(None, {"fields": ["component", "created_at", "received_at", "age", "shown"]})]

    @admin.display(description=_("age"))
    def age(self, ticket: VerifyTicket) -> str | SafeString:
        return moment(ticket.created_at)

    @admin.display(description=_("ticket"))
    def shown(self, ticket: VerifyTicket) -> str | SafeString:
        return masked(ticket, "ticket")

"""The dashboard: one page for each platform, at ``admin:wechat_open_dashboard``.

It shows what ``health`` finds, how many accounts there are, and what happened in the last two days. GET changes
nothing; three changes are offered, each by POST.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Q
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.http.response import HttpResponseBase
from django.template.loader import render_to_string
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.decorators import method_decorator
from django.utils.formats import time_format
from django.utils.functional import cached_property
from django.utils.text import capfirst
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, gettext_noop, ngettext, npgettext, pgettext, pgettext_lazy
from django.views import View

from ... import audit, broker, health, platforms, tokens
from ...admin_urls import admin_url
from ...api import ComponentAPI
from ...conf import DEFAULT_ALIAS, conf
from ...db.times import site_now
from ...db.transactions import non_atomic_requests
from ...exceptions import ConfigurationError, WeChatOpenError
from ...formats import grouped, sentences
from ...health import AMBER, GREEN, RED, statistics
from ...health.statistics import AccountStatistics
from ...models import Alert, AuditEntry, Authorizer, Component, Dashboard
from ...operations.accounts import Reconcile
from ...platforms import Platform
from ...text import TranslatableText
from ...translation import summarize_error, translate_error
from ..base import ReadOnly
from ..display import date
from ..reader import list_page, may_view
from . import charts
from .tiles import Tile, accounts, tiles

SECONDS = 30
"""Between two updates of a page that stays open."""


NEEDED = ("component_token", "renewals")
"""Findings that prevent a comparison: it takes a token, and a worker."""


@dataclass(frozen=True)
class Tab:
    """A platform to switch to, and how many problems it has now, those of the site included."""

    alias: str
    problems: int
    level: str


@dataclass(frozen=True)
class Row:
    """How many accounts have one state, kind or verification."""

    label: str
    count: str
    share: str
    width: float
    link: str


@dataclass(frozen=True)
class Group:
    """All accounts, by one property."""

    title: str
    rows: list[Row]


@method_decorator(non_atomic_requests, name="dispatch")
class PlatformView(View):
    """A page of one platform, for operators who may view platforms; ``permission`` is what it takes besides."""

    model_admin: Any = None
    permission = ""

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if not self.model_admin.has_view_permission(request):
            raise PermissionDenied
        self.alias = _known(kwargs.get("alias", ""))
        is_handled = hasattr(self, str(request.method).lower())  # any other method is refused as such
        if is_handled and self.permission and not request.user.has_perm(self.permission):
            raise PermissionDenied
        try:
            return super().dispatch(request, *args, **kwargs)
        except ConfigurationError as error:
            return self.misconfigured(translate_error(error))

    @cached_property
    def platform(self) -> Platform:
        return platforms.get(self.alias)

    def misconfigured(self, error: str) -> HttpResponse:
        self.message(messages.ERROR, error)
        return self.back()

    def page(self, name: str, title: object, **context: Any) -> HttpResponse:
        site = self.model_admin.admin_site
        self.request.current_app = site.name  # so that {% url %} finds this site
        context |= {"alias": self.alias, "title": title, "opts": self.model_admin.opts}
        return TemplateResponse(
            self.request, f"admin/wechat_open/{name}.html", {**site.each_context(self.request), **context}
        )

    def message(self, level: int, text: str) -> None:
        self.model_admin.message_user(self.request, text, level)

    def back(self) -> HttpResponse:
        return HttpResponseRedirect(admin_url("wechat_open_dashboard", self.alias))

    def record(self, kind: str, **facts: Any) -> None:
        audit.record(kind, self.platform.row, user=self.request.user, **facts)


class Show(PlatformView):
    def get(self, request: HttpRequest, **kwargs: str) -> HttpResponse:
        context = _state(request, self.platform)
        return self.page("dashboard", pgettext("wechat_open", "Dashboard"), seconds=SECONDS, **context)

    def misconfigured(self, error: str) -> HttpResponse:
        tabs = _tabs(self.alias, [health.RED])
        return self.page("dashboard", pgettext("wechat_open", "Dashboard"), error=error, platforms=tabs)


class Data(PlatformView):
    """The state now, for the page that is open: its changing part, and the numbers of its charts."""

    def get(self, request: HttpRequest, **kwargs: str) -> HttpResponse:
        state = _state(request, self.platform)
        parts = ("dashboard_platforms", "dashboard_live")
        return JsonResponse(
            {
                "as_of": state["as_of"],
                "level": state["level"],
                "levels": {tile.code: tile.level for tile in state["tiles"]},
                "plots": [plot.as_data() for plot in state["plots"]],
                "html": "".join(render_to_string(f"admin/wechat_open/{part}.html", state, request) for part in parts),
            }
        )

    def misconfigured(self, error: str) -> HttpResponse:
        return JsonResponse({"error": error}, status=503)


class RequestTickets(PlatformView):
    """Ask WeChat to push verify tickets."""

    permission = "wechat_open.request_tickets"

    def post(self, request: HttpRequest, **kwargs: str) -> HttpResponse:
        try:
            answer = ComponentAPI(self.platform).start_push_ticket()
        except ConfigurationError:
            raise
        except WeChatOpenError as error:
            self.record(AuditEntry.Kind.TICKETS_REQUESTED, error=error)
            self.message(messages.ERROR, summarize_error(error))
        else:
            self.record(AuditEntry.Kind.TICKETS_REQUESTED, detail=answer)
            words = _("WeChat was asked, and says “%s”. A ticket should come within ten minutes.") % (answer or "ok")
            self.message(messages.SUCCESS, words)
        return self.back()


class ConfirmedView(PlatformView):
    """A change of the platform: a page explains it by GET, its button makes it by POST."""

    title: Any
    submit: Any

    def get(self, request: HttpRequest, **kwargs: str) -> HttpResponse:
        return self.page("dashboard_confirm", self.title, submit=self.submit, paragraphs=self.explanation())

    def explanation(self) -> list[str]:
        raise NotImplementedError


class ForgetTickets(ConfirmedView):
    """Delete the stored verify tickets: after a key pair has leaked they may be forged."""

    permission = "wechat_open.forget_tickets"
    title = gettext_lazy("Delete the stored verify tickets")
    submit = gettext_lazy("Delete the tickets")

    def explanation(self) -> list[str]:
        count = self.platform.row.tickets.count()
        stored = ngettext(
            "%(number)s verify ticket of the platform “%(alias)s” (%(appid)s) is stored. It will be deleted.",
            "%(number)s verify tickets of the platform “%(alias)s” (%(appid)s) are stored. All of them will be "
            "deleted.",
            count,
        )
        return [
            stored % {"number": grouped(count), "alias": self.alias, "appid": self.platform.appid},
            _(
                "Do this when TOKEN and ENCODING_AES_KEY have leaked, after you changed them in the console and in the "
                "settings: others may have pushed tickets that WeChat does not accept. The component access token "
                "stays valid until its end, and WeChat pushes the next ticket within ten minutes."
            ),
        ]

    def post(self, request: HttpRequest, **kwargs: str) -> HttpResponse:
        count = tokens.forget_tickets(self.platform)
        self.record(AuditEntry.Kind.TICKETS_FORGOTTEN, detail=str(count))
        words = ngettext("%d ticket was deleted.", "%d tickets were deleted.", count) % count
        self.message(messages.SUCCESS, sentences(words, _("WeChat pushes the next one within ten minutes.")))
        return self.back()


class Compare(ConfirmedView):
    """Compare the whole list of accounts with WeChat's. A worker does it: a long list takes minutes."""

    permission = "wechat_open.reconcile_account"
    title = gettext_lazy("Compare with WeChat's list now")
    submit = pgettext_lazy("wechat_open", "Compare now")

    def explanation(self) -> list[str]:
        words = _(
            "WeChat will be asked for the whole list of accounts of the platform “%(alias)s” (%(appid)s), 500 at a "
            "time. Every account that differs here is repaired: missing ones are created, lost tokens are restored, "
            "and accounts that left are marked so."
        )
        return [
            words % {"alias": self.alias, "appid": self.platform.appid},
            _(
                "It happens automatically once an hour. A worker does it now in the background; with many accounts it "
                "takes some minutes, and everything else continues meanwhile."
            ),
        ]

    def post(self, request: HttpRequest, **kwargs: str) -> HttpResponse:
        is_new = tokens.reconcile_soon(self.platform)
        if is_new:
            self.record(Reconcile.audit_kind, detail=TranslatableText(gettext_noop("the whole list")))
        if missing := _missing(self.platform):
            words = _("The comparison is queued; fix this first: %(why)s") % {"why": missing}
            self.message(messages.WARNING, words)
        elif is_new:
            words = _("The comparison begins within a minute. What it repairs is shown here when it is done.")
            self.message(messages.SUCCESS, words)
        else:
            self.message(messages.INFO, _("A comparison is running, or starts automatically within minutes."))
        broker.send_task("wechat_open.tasks.reconcile")
        return self.back()


@admin.register(Dashboard)
class DashboardAdmin(ReadOnly):
    """Registered for a model without a table, so that every admin site and every theme has the dashboard in its index
    and its sidebar."""

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("wechat_open.view_component")

    def get_urls(self) -> list[URLPattern]:
        def url(route: str, view: type[PlatformView], name: str = "") -> URLPattern:
            wrapped = self.admin_site.admin_view(view.as_view(model_admin=self))
            return path(route, wrapped, name=f"wechat_open_dashboard{name}")

        return [
            url("", Show, "_changelist"),  # where the admin's index leads
            url("", Show),
            url("<slug:alias>/", Show),
            url("<slug:alias>/data/", Data, "_data"),
            url("<slug:alias>/tickets/", RequestTickets, "_tickets"),
            url("<slug:alias>/forget-tickets/", ForgetTickets, "_forget_tickets"),
            url("<slug:alias>/compare/", Compare, "_compare"),
        ]


def _known(alias: str) -> str:
    """The alias of a configured platform; the default one for none."""
    known = list(conf.components)
    if not known or (alias and alias not in known):
        raise Http404(_("This platform is not configured."))
    return alias or (DEFAULT_ALIAS if DEFAULT_ALIAS in known else known[0])


def _state(request: HttpRequest, platform: Platform) -> dict[str, Any]:
    component = platform.row
    counted = statistics.read(component) if may_view("authorizer") else None
    findings = health.examine(platform)
    seen = tiles(findings, component, request, _open_alerts(component))
    return {
        "alias": platform.alias,
        "platforms": _tabs(platform.alias, [found.level for found in findings]),
        "alerts": list_page("alert"),
        "component": component,
        "as_of": time_format(site_now(), "H:i:s"),
        "may": {
            "tickets": request.user.has_perm(RequestTickets.permission),
            "forget_tickets": request.user.has_perm(ForgetTickets.permission),
            "compare": request.user.has_perm(Compare.permission),
        },
        "tiles": seen,
        **_verdict(seen),
        "counted": _counted(counted) if counted else "",
        "groups": _groups(counted, component) if counted else [],
        "plots": [*([charts.time_left(counted)] if counted else []), *charts.hourly(component)],
    }


def _missing(platform: Platform) -> str:
    """What has to be fixed before a comparison can begin, and how; empty when it can."""
    found = [finding for finding in health.examine(platform) if finding.level is RED and finding.code in NEEDED]
    return sentences(*(text for finding in found for text in (finding.message, finding.hint)))


def _open_alerts(component: Component) -> dict[str, Alert]:
    """The open alerts of this platform and of the whole site, by code; none for readers who may not view alerts."""
    if not may_view("alert"):
        return {}
    mine = Q(component=component) | Q(component__isnull=True)
    return {alert.code: alert for alert in Alert.objects.filter(mine, open_key__isnull=False).order_by("pk")}


def _tabs(current: str, levels: Iterable[health.Level]) -> list[Tab]:
    """Every platform and its problems now, so that they are seen from the page of another one.

    The alerts would not do: a worker raises them, and all workers may be dead.
    """
    tabs = []
    for alias in conf.components:
        bad = [level for level in (levels if alias == current else _levels(alias)) if level is not GREEN]
        tabs.append(Tab(alias, len(bad), str(health.worst(bad))))
    return tabs


def _levels(alias: str) -> list[health.Level]:
    try:
        return [found.level for found in health.examine(platforms.get(alias))]
    except (WeChatOpenError, TypeError, AttributeError):  # its own page shows the error in its settings
        return [RED]


def _verdict(found: Iterable[Tile]) -> dict[str, Any]:
    """The tiles by level, and the sentence above them."""
    by_level = {level: [tile for tile in found if tile.level == level.value] for level in (RED, AMBER, GREEN)}
    urgent, watched = len(by_level[RED]), len(by_level[AMBER])
    verdict = []
    if urgent:
        verdict.append(ngettext("%d thing needs a person now.", "%d things need a person now.", urgent) % urgent)
    if watched:
        verdict.append(ngettext("%d thing to keep an eye on.", "%d things to keep an eye on.", watched) % watched)
    return {
        "level": str((RED if urgent else AMBER if watched else GREEN).value),
        "verdict": sentences(*verdict) or _("Everything is in order."),
        "urgent": by_level[RED],
        "watched": by_level[AMBER],
        "calm": by_level[GREEN],
    }


def _groups(counted: AccountStatistics, component: Component) -> list[Group]:
    """The accounts by state, kind and verification, each linked to their list."""

    def rows(counts: Iterable[tuple[str, int, dict[str, str]]]) -> list[Row]:
        return [
            Row(
                label=capfirst(label),
                count=grouped(number),
                share=_share(number, counted.total),
                width=round(100 * number / counted.total, 2) if counted.total else 0,
                link=accounts(component, **filters),
            )
            for label, number, filters in counts
        ]

    states = [
        (str(state.label), counted.states[state.value], {"state__exact": state.value}) for state in Authorizer.State
    ]
    kinds = [
        (str(kind.label), counted.kinds.get(kind.value, 0), {"kind__exact": kind.value or "unknown"})
        for kind in Authorizer.Kind
        if counted.kinds.get(kind.value)
    ]
    verified = [
        (pgettext("wechat_open", "verified"), counted.verified["yes"], {"verified": "yes"}),
        (pgettext("wechat_open", "not verified"), counted.verified["no"], {"verified": "no"}),
    ]
    if counted.verified["unknown"]:
        verified.append((_("not known yet"), counted.verified["unknown"], {"verified": "unknown"}))
    return [
        Group(pgettext("wechat_open", "State"), rows(states)),
        Group(pgettext("wechat_open", "Kind"), rows(kinds)),
        Group(pgettext("wechat_open", "Verification"), rows(verified)),
    ]


def _counted(counted: AccountStatistics) -> str:
    """How many in all, and whether that is approximate."""
    words = npgettext("wechat_open", "%(total)s account", "%(total)s accounts", counted.total) % {
        "total": grouped(counted.total)
    }
    if not counted.approximate:
        return words
    return _("About %(accounts)s, as of %(time)s") % {"accounts": words, "time": date(counted.counted_at)}


def _share(number: int, total: int) -> str:
    """In percent; a share that rounds to zero is shown as less than one."""
    if not number or not total:
        return "0 %"
    share = 100 * number / total
    return f"{share:.0f} %" if share >= 1 else "< 1 %"

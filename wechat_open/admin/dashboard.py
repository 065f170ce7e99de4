"""Is the platform healthy, and what needs a person now?

One page for each platform, at ``admin:wechat_open_dashboard``: what ``health`` finds, how many accounts there are, and
what happened in the last two days. Looking changes nothing; three operations are offered, each by POST.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin import ModelAdmin
from django.core.exceptions import PermissionDenied
from django.db.models import Q
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect, JsonResponse
from django.template.loader import render_to_string
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.formats import time_format
from django.utils.text import capfirst
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop, ngettext, npgettext, pgettext

from .. import census, doorbell, health, journal, tokens
from ..admin_urls import admin_url, may_view, on_site
from ..api import ComponentAPI
from ..census import Census
from ..component import Platform
from ..component import platform as configured
from ..conf import DEFAULT_ALIAS, conf
from ..exceptions import ConfigurationError, WeChatOpenError
from ..health import AMBER, GREEN, RED
from ..health.finding import grouped, sentences
from ..models import Alert, Authorizer, Component, Dashboard, JournalEntry
from ..sentence import Sentence
from ..telling import briefly, told
from ..times import site_now
from . import plots
from .base import own_transactions
from .shown import date
from .tiles import Tile, accounts, tiles

SECONDS = 30
"""Between two looks of a page that stays open."""


NEEDED = ("component_token", "dispatcher")
"""What health finds about these stands in the way of a comparison: it takes a token, and a worker."""


@dataclass(frozen=True)
class Tab:
    """A platform to switch to, and how much is wrong with it now, the site's own problems included."""

    alias: str
    problems: int
    level: str


@dataclass(frozen=True)
class Row:
    """How many accounts of one sort."""

    label: str
    count: str
    share: str
    width: float
    link: str


@dataclass(frozen=True)
class Group:
    """The accounts, sorted in one way."""

    title: str
    rows: list[Row]


@admin.register(Dashboard)
class DashboardAdmin(ModelAdmin):  # type: ignore[type-arg]  # not generic at run time
    """The views. The permission to see platforms is asked for.

    Registered for a model without a table, so that every admin site and every theme has the dashboard in its index and
    its sidebar.
    """

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("wechat_open.view_component")

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    @property
    def urls(self) -> list[URLPattern]:
        """Whose pages lead to others of the same admin site."""
        return [on_site(pattern, self.admin_site.name) for pattern in self.get_urls()]

    def get_urls(self) -> list[URLPattern]:
        def door(where: str, view: Callable[..., HttpResponse], name: str = "") -> URLPattern:
            guarded = self.admin_site.admin_view(own_transactions(_function(view)))
            return path(where, guarded, name=f"wechat_open_dashboard{name}")

        return [
            door("", self.show, "_changelist"),  # where the admin's index leads
            door("", self.show),
            door("<slug:alias>/", self.show),
            door("<slug:alias>/data/", self.data, "_data"),
            door("<slug:alias>/tickets/", self.tickets, "_tickets"),
            door("<slug:alias>/forget-tickets/", self.forget_tickets, "_forget_tickets"),
            door("<slug:alias>/compare/", self.compare, "_compare"),
        ]

    # -- looking -----------------------------------------------------------------------------------------------------

    def show(self, request: HttpRequest, alias: str = "") -> HttpResponse:
        alias = self._alias(request, alias)
        context: dict[str, Any] = {"alias": alias, "seconds": SECONDS}
        try:
            context |= self._seen(request, configured(alias))
        except ConfigurationError as error:
            context |= {"error": told(error), "platforms": _tabs(alias, [health.RED])}
        return self._page(request, "dashboard", pgettext("wechat_open", "Dashboard"), context)

    def data(self, request: HttpRequest, alias: str) -> HttpResponse:
        """What is seen now, for the page that is open: its changing part, and the numbers of its plots."""
        alias = self._alias(request, alias)
        try:
            seen = self._seen(request, configured(alias))
        except ConfigurationError as error:
            return JsonResponse({"error": told(error)}, status=503)
        parts = ("dashboard_platforms", "dashboard_live")
        return JsonResponse(
            {
                "as_of": seen["as_of"],
                "level": seen["level"],
                "levels": {tile.code: tile.level for tile in seen["tiles"]},
                "plots": [plot.as_data() for plot in seen["plots"]],
                "html": "".join(render_to_string(f"admin/wechat_open/{part}.html", seen, request) for part in parts),
            }
        )

    def _seen(self, request: HttpRequest, platform: Platform) -> dict[str, Any]:
        component = platform.row
        counted = census.read(component) if may_view("authorizer") else None
        findings = health.examine(platform)
        shown = tiles(findings, component, request, _open_alerts(component))
        return {
            "alias": platform.alias,
            "platforms": _tabs(platform.alias, [found.level for found in findings]),
            "alerts": _history(request, component),
            "component": component,
            "as_of": time_format(site_now(), "H:i:s"),
            "may": {
                "tickets": _may_request_tickets(request),
                "forget_tickets": _may_forget_tickets(request),
                "compare": _may_compare(request),
            },
            "tiles": shown,
            **_verdict(shown),
            "counted": _counted(counted) if counted else "",
            "groups": _groups(counted, component) if counted else [],
            "plots": [*([plots.time_left(counted)] if counted else []), *plots.hourly(component)],
        }

    # -- doing -------------------------------------------------------------------------------------------------------

    def tickets(self, request: HttpRequest, alias: str) -> HttpResponse:
        """Ask WeChat to push verify tickets."""
        alias = self._alias(request, alias)
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        if not _may_request_tickets(request):
            raise PermissionDenied
        try:
            platform = configured(alias)
            said = ComponentAPI(platform).start_push_ticket()
        except ConfigurationError as error:
            self.message_user(request, told(error), messages.ERROR)
        except WeChatOpenError as error:
            self._note(request, platform.row, JournalEntry.Kind.TICKETS_REQUESTED, error=error)
            self.message_user(request, briefly(error), messages.ERROR)
        else:
            self._note(request, platform.row, JournalEntry.Kind.TICKETS_REQUESTED, detail=said)
            words = _("WeChat was asked, and says “%s”. A ticket should come within ten minutes.") % (said or "ok")
            self.message_user(request, words, messages.SUCCESS)
        return _back(alias)

    def forget_tickets(self, request: HttpRequest, alias: str) -> HttpResponse:
        """Delete the stored verify tickets: after a leaked key pair they may be another's."""
        alias = self._alias(request, alias)
        if not _may_forget_tickets(request):
            raise PermissionDenied
        try:
            platform = configured(alias)
        except ConfigurationError as error:
            self.message_user(request, told(error), messages.ERROR)
            return _back(alias)
        if request.method != "POST":
            context = {"alias": alias, "component": platform.row, "count": platform.row.tickets.count()}
            return self._page(request, "dashboard_forget_tickets", _("Delete the stored verify tickets"), context)
        count = tokens.forget_tickets(platform)
        self._note(request, platform.row, JournalEntry.Kind.TICKETS_FORGOTTEN, detail=str(count))
        words = ngettext("%d ticket was deleted.", "%d tickets were deleted.", count) % count
        more = _("WeChat pushes the next one within ten minutes.")
        self.message_user(request, f"{words} {more}", messages.SUCCESS)
        return _back(alias)

    def compare(self, request: HttpRequest, alias: str) -> HttpResponse:
        """Have the whole list of accounts compared. A worker does it: a long list takes minutes."""
        alias = self._alias(request, alias)
        if not _may_compare(request):
            raise PermissionDenied
        try:
            platform = configured(alias)
        except ConfigurationError as error:
            self.message_user(request, told(error), messages.ERROR)
            return _back(alias)
        if request.method != "POST":
            context = {"alias": alias, "component": platform.row}
            return self._page(request, "dashboard_compare", _("Compare with WeChat's list now"), context)
        is_new = tokens.sweep_soon(platform)
        if is_new:
            self._note(
                request, platform.row, JournalEntry.Kind.RECONCILED, detail=Sentence(gettext_noop("the whole list"))
            )
        if missing := _missing(platform):
            words = _("The comparison is queued; fix this first: %(why)s") % {"why": missing}
            self.message_user(request, words, messages.WARNING)
        elif is_new:
            words = _("The comparison begins within a minute. What it repairs is shown here when it is done.")
            self.message_user(request, words, messages.SUCCESS)
        else:
            words = _("A comparison is running, or starts automatically within minutes.")
            self.message_user(request, words, messages.INFO)
        doorbell.ring("wechat_open.tasks.sweep")
        return _back(alias)

    def _note(self, request: HttpRequest, component: Component, kind: JournalEntry.Kind, **what: Any) -> None:
        journal.note(kind, component, user=request.user, **what)

    # -- at the door -------------------------------------------------------------------------------------------------

    def _alias(self, request: HttpRequest, alias: str) -> str:
        """The platform that is asked for, for who may see platforms."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        known = list(conf.components)
        if not known or (alias and alias not in known):
            raise Http404(_("This platform is not configured."))
        return alias or (DEFAULT_ALIAS if DEFAULT_ALIAS in known else known[0])

    def _page(self, request: HttpRequest, name: str, title: str, context: dict[str, Any]) -> HttpResponse:
        site = self.admin_site
        request.current_app = site.name  # so that {% url %} finds this site
        everything = {**site.each_context(request), "title": title, "opts": self.opts, **context}
        return TemplateResponse(request, f"admin/wechat_open/{name}.html", everything)


def _function(method: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """A method cannot be marked by decorators; a function can."""

    def view(request: HttpRequest, **where: str) -> HttpResponse:
        return method(request, **where)

    return view


def _back(alias: str) -> HttpResponse:
    return HttpResponseRedirect(admin_url("wechat_open_dashboard", alias))


def _may_request_tickets(request: HttpRequest) -> bool:
    return request.user.has_perm("wechat_open.request_tickets")


def _may_forget_tickets(request: HttpRequest) -> bool:
    return request.user.has_perm("wechat_open.forget_tickets")


def _may_compare(request: HttpRequest) -> bool:
    return request.user.has_perm("wechat_open.reconcile_account")


def _missing(platform: Platform) -> str:
    """What is wrong, and what to do about it, before a comparison can begin; empty when nothing stands in its way."""
    found = [finding for finding in health.examine(platform) if finding.level is RED and finding.code in NEEDED]
    return sentences(*(text for finding in found for text in (finding.said, finding.remedy)))


def _open_alerts(component: Component) -> dict[str, Alert]:
    """By code: what is wrong now with this platform or the whole site, since when, and who looks after it.

    None for who may see no alerts.
    """
    if not may_view("alert"):
        return {}
    mine = Q(component=component) | Q(component__isnull=True)
    return {alert.code: alert for alert in Alert.objects.filter(mine, open_key__isnull=False).order_by("pk")}


def _history(request: HttpRequest, component: Component) -> str:
    """All alerts, for those who may see them."""
    if not request.user.has_perm("wechat_open.view_alert"):
        return ""
    return admin_url("wechat_open_alert_changelist")


def _tabs(shown: str, levels: Iterable[health.Level]) -> list[Tab]:
    """Every platform and how much is wrong with it now, so that trouble elsewhere is seen from here.

    The alerts would say less: a worker raises them, and all its workers may be dead.
    """
    return [_tab(alias, levels if alias == shown else _levels(alias)) for alias in conf.components]


def _tab(alias: str, levels: Iterable[health.Level]) -> Tab:
    bad = [level for level in levels if level is not GREEN]
    return Tab(alias, len(bad), str(health.worst(bad)))


def _levels(alias: str) -> list[health.Level]:
    try:
        return [found.level for found in health.examine(configured(alias))]
    except (WeChatOpenError, TypeError, AttributeError):  # its own page says what is wrong with its settings
        return [RED]


def _verdict(shown: Iterable[Tile]) -> dict[str, Any]:
    """The tiles by level, and the one sentence above them."""
    by_level = {level: [tile for tile in shown if tile.level == level.value] for level in (RED, AMBER, GREEN)}
    urgent, watched = len(by_level[RED]), len(by_level[AMBER])
    said = []
    if urgent:
        said.append(ngettext("%d thing needs a person now.", "%d things need a person now.", urgent) % urgent)
    if watched:
        said.append(ngettext("%d thing to keep an eye on.", "%d things to keep an eye on.", watched) % watched)
    return {
        "level": str((RED if urgent else AMBER if watched else GREEN).value),
        "verdict": sentences(*said) or _("Everything is in order."),
        "urgent": by_level[RED],
        "watched": by_level[AMBER],
        "calm": by_level[GREEN],
    }


def _groups(counted: Census, component: Component) -> list[Group]:
    """The accounts by state, kind and verification, each with the way to their list."""

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


def _counted(counted: Census) -> str:
    """How many in all, and how sure that is."""
    words = npgettext("wechat_open", "%(total)s account", "%(total)s accounts", counted.total) % {
        "total": grouped(counted.total)
    }
    if not counted.approximate:
        return words
    return _("About %(accounts)s, as of %(time)s") % {"accounts": words, "time": date(counted.counted_at)}


def _share(number: int, total: int) -> str:
    """In percent; what is there but rounds to nothing is not told as nothing."""
    if not number or not total:
        return "0 %"
    share = 100 * number / total
    return f"{share:.0f} %" if share >= 1 else "< 1 %"

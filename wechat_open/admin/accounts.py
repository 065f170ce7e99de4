"""The list of accounts, and the page of one."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.views.main import ChangeList
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.template.loader import render_to_string
from django.urls import NoReverseMatch, URLPattern, path, reverse
from django.utils.html import format_html, format_html_join
from django.utils.http import urlencode
from django.utils.safestring import SafeString
from django.utils.text import Truncator
from django.utils.translation import get_language, gettext, npgettext, pgettext, pgettext_lazy
from django.utils.translation import gettext_lazy as _

from .. import platforms
from ..admin_urls import admin_url
from ..conf import DEFAULT_ALIAS, conf
from ..db.fields import is_damaged
from ..health import advice
from ..models import AuditEntry, AuthorizationLink, Authorizer, Push, tenant_of
from ..operations import registry
from ..operations.accounts import Sync
from ..protocol import permissions
from . import accounts_export, search, timeline
from .base import TokenHolderAdmin, column
from .changelist import PlatformFilter
from .display import (
    DAMAGED,
    NOTHING,
    SERVICE_TYPES,
    STANDINGS,
    address,
    avatar,
    damaged,
    date,
    lines,
    masked,
    moment,
    tag,
    word,
)
from .filters import (
    AccountList,
    AccountPaginator,
    AttentionFilter,
    ErrorFilter,
    HoldsFilter,
    KindFilter,
    LacksFilter,
    StateFilter,
    TenantFilter,
    VerifiedFilter,
    known,
)
from .pushes import tagged_state
from .reader import may_view

NOT_IN_LISTS = [
    "access_token",
    "refresh_token",
    "previous_refresh_token",
    "profile",
    "signature",
    "qrcode_url",
    "renewals",
    "announced_func_info",
]
"""Long columns that no list shows."""

NOT_OF_LINKS = ["granted_through__key", "granted_through__category_ids", "granted_through__next_url"]
"""A row names its tenant, and nothing else of the link that brought the account."""

PUSHES_SHOWN = 8

_SECRET_LIKE = re.compile(r"token|secret|ticket|password|session_key|auth.?code", re.IGNORECASE)


def _part(name: str, title: Any) -> Callable[[Any, Authorizer], SafeString]:
    """A part of the page, rendered for its reader, who may do and see more or less than others."""

    def part(model_admin: Any, account: Authorizer) -> SafeString:
        drawn: SafeString = getattr(account, f"{name}_drawn", SafeString())
        return drawn

    return admin.display(description=title)(part)


@admin.register(Authorizer)
class AuthorizerAdmin(TokenHolderAdmin):
    list_display = ["named", "standing_now", "time_left", "principal", "since"]  # see also get_list_display
    list_filter = [
        StateFilter,
        AttentionFilter,
        ErrorFilter,
        PlatformFilter,
        KindFilter,
        VerifiedFilter,
        TenantFilter,
        "authorized_at",
        HoldsFilter,
        LacksFilter,
    ]
    list_select_related = ["component", "granted_through"]
    sortable_by = ["named", "standing_now", "time_left", "principal", "since"]  # what has an index
    list_max_show_all = 0
    paginator = AccountPaginator
    # For the box, and for themes that name them in it; `get_search_results` looks for the word.
    search_fields = ["nick_name", "principal_name", "appid", "user_name"]
    search_help_text = _(
        "Part of a name or principal, the beginning of an appid or tenant, or a whole original id (gh_…)"
    )
    ordering = ["-pk"]
    buttons_in_fields = False  # they are in the head
    fieldsets = [
        (None, {"classes": ["wechat-open-first"], "fields": ["head", ("happened", "recent_pushes")]}),
        (
            pgettext_lazy("wechat_open", "Tokens"),
            {"fields": ["access_token_masked", "time_left", "refresh_token_masked", "next_renewal", "doubts"]},
        ),
        (
            pgettext_lazy("wechat_open", "Authorization"),
            {"fields": ["authorized_at_exact", "unauthorized_at_exact", "brought_by", "permission_sets"]},
        ),
        (
            pgettext_lazy("wechat_open", "Profile"),
            {
                "fields": [
                    "nick_name",
                    "appid",
                    "original_id",
                    "alias",
                    "principal_name",
                    "signature",
                    "type_of_account",
                    "verified",
                    "standing",
                    "picture",
                    "qr_code",
                    "platform",
                    "profile_synced_at_exact",
                ]
            },
        ),
    ]

    class Media:
        css = {"all": ["wechat_open/accounts.css"]}

    last_failure = (
        pgettext_lazy("wechat_open", "Last failure"),
        {"fields": ["problem", "failures", "last_failed_at_exact", "error_text", "last_rid"]},
    )

    # -- columns -----------------------------------------------------------------------------------------------------

    @admin.display(description=pgettext_lazy("wechat_open", "account"), ordering="name_key")
    def named(self, account: Authorizer) -> SafeString:
        return format_html(
            '{}<span class="wechat-open-name">{}<span class="wechat-open-aside">{}</span></span>',
            avatar(account),
            account.nick_name,
            account.appid,
        )

    @admin.display(description=pgettext_lazy("wechat_open", "state"), ordering="state")
    def standing_now(self, account: Authorizer) -> SafeString:
        """The state, and the problem in the same column: most rows have none."""
        state = tag(account.get_state_display(), _tone(account))
        problem = self.problem(account)
        if problem == NOTHING:
            return state
        return format_html('{}<span class="wechat-open-problem">{}</span>', state, problem)

    @admin.display(description=pgettext_lazy("wechat_open", "principal"), ordering="principal_key")
    def principal(self, account: Authorizer) -> SafeString:
        """Its principal, kind and verification."""
        what = [str(account.get_kind_display()), self._verification(account)]
        return format_html(
            '{}<span class="wechat-open-aside">{}</span>',
            account.principal_name or NOTHING,
            " · ".join(word for word in what if word),
        )

    @admin.display(description=pgettext_lazy("wechat_open", "authorized at"), ordering="authorized_at")
    def since(self, account: Authorizer) -> str | SafeString:
        """Since when, and how many permission sets."""
        if is_damaged(account.func_info):
            return format_html('{}<span class="wechat-open-aside">{}</span>', moment(account.authorized_at), damaged())
        sets = len(account.func_info)
        words = npgettext("wechat_open", "%(count)s permission set", "%(count)s permission sets", sets) % {
            "count": sets
        }
        return format_html('{}<span class="wechat-open-aside">{}</span>', moment(account.authorized_at), words)

    @admin.display(description=pgettext_lazy("wechat_open", "tenant"))
    def tenant(self, account: Authorizer) -> str | SafeString:
        """Linked to the tenant's other accounts."""
        link = account.granted_through
        if link and is_damaged(link.payload):
            return damaged()
        name = tenant_of(link.payload) if link else ""
        if not name:
            return NOTHING
        query = urlencode({TenantFilter.parameter_name: name})
        return format_html('<a href="?{}">{}</a>', query, Truncator(name).chars(40))

    head = _part("head", _("What it needs"))
    happened = _part("happened", pgettext_lazy("wechat_open", "What happened"))
    recent_pushes = _part("recent_pushes", pgettext_lazy("wechat_open", "Recent pushes"))

    @admin.display(description=pgettext_lazy("wechat_open", "refresh token"))
    def refresh_token_masked(self, account: Authorizer) -> str | SafeString:
        current = masked(account, "refresh_token")
        if not account.previous_refresh_token:
            return current
        return format_html(
            "{} ({} {})", current, pgettext_lazy("wechat_open", "before:"), masked(account, "previous_refresh_token")
        )

    @admin.display(description=pgettext_lazy("wechat_open", "in doubt"))
    def doubts(self, account: Authorizer) -> str | SafeString:
        doubts = []
        if account.needs_reconcile:
            doubts.append(gettext("The stored tokens will be compared with WeChat's records"))
        if account.refused_since:
            doubts.append(gettext("WeChat has refused every token since %s") % date(account.refused_since))
        if account.missing_since:
            doubts.append(gettext("Missing from WeChat's list since %s") % date(account.missing_since))
        return lines(doubts)

    @admin.display(description=_("brought by link"))
    def brought_by(self, account: Authorizer) -> str | SafeString:
        link = account.granted_through
        if link is None:
            return NOTHING
        page = admin_url("wechat_open_authorizationlink_change", link.pk)
        return format_html('<a href="{}">{}</a>', page, date(link.created_at))

    @admin.display(description=pgettext_lazy("wechat_open", "permission sets"))
    def permission_sets(self, account: Authorizer) -> str | SafeString:
        language = get_language() or "en"
        rows = [
            (
                number,
                permissions.name(number, language),
                _exclusive(number),
                permissions.allows(number, language),
            )
            for number in account.func_info
        ]
        broken = damaged() if is_damaged(account.func_info) else ""
        if not rows:
            return broken or NOTHING
        return format_html(
            '{}<ul class="wechat-open-sets">{}</ul>',
            broken,
            format_html_join("", "<li><strong>{} {}</strong> {}<span>{}</span></li>", rows),
        )

    @admin.display(description=_("type of account"))
    def type_of_account(self, account: Authorizer) -> object:
        kind = account.get_kind_display()
        number = -1 if account.service_type is None else account.service_type
        special = SERVICE_TYPES.get(account.kind, {}).get(number)
        if not special:  # the number of a type without a name means nothing to a reader
            return kind
        return pgettext("wechat_open", "%(kind)s (%(special)s)") % {"kind": kind, "special": special}

    @admin.display(description=pgettext_lazy("wechat_open", "verified"), boolean=True)
    def verified(self, account: Authorizer) -> bool | None:
        return None if account.verify_type is None else account.verify_type >= 0

    @admin.display(description=pgettext_lazy("wechat_open", "original id"))
    def original_id(self, account: Authorizer) -> str:
        return account.user_name or NOTHING

    @admin.display(description=_("standing at WeChat"))
    def standing(self, account: Authorizer) -> object:
        return word(STANDINGS, account.account_status)

    picture = column(address, "head_img", pgettext_lazy("wechat_open", "avatar"))
    qr_code = column(address, "qrcode_url", pgettext_lazy("wechat_open", "QR code"))

    # -- the list ----------------------------------------------------------------------------------------------------

    def get_list_display(self, request: HttpRequest) -> list[Any]:
        tenant = ["tenant"] if known(request).has_tenants and may_view("authorizationlink") else []
        several = ["platform"] if len(known(request).components) > 1 else []
        return [*self.list_display, *tenant, *several]

    def get_list_filter(self, request: HttpRequest) -> list[Any]:
        """By tenant only for readers who may view links: the rows that remain would reveal the tenant of an account."""
        return [one for one in self.list_filter if one is not TenantFilter or may_view("authorizationlink")]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Authorizer]:
        rows: QuerySet[Authorizer] = super().get_queryset(request)
        match = request.resolver_match
        in_list = match is not None and (match.url_name or "").endswith("_changelist")
        return (
            rows.defer(*NOT_IN_LISTS, *NOT_OF_LINKS) if in_list else rows.select_related("component", "granted_through")
        )

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """The accounts that ``search`` finds; the page says above the list what was searched for."""
        found, searched = search.accounts(queryset, search_term, tenants=_may_see_links(request))
        request.wechat_open_searched = searched  # type: ignore[attr-defined]  # read by the list's page
        return found, False

    def get_paginator(
        self,
        request: HttpRequest,
        queryset: QuerySet[Any],
        per_page: int,
        orphans: int = 0,
        allow_empty_first_page: bool = True,
    ) -> Paginator[Any]:
        paginator = AccountPaginator(queryset, per_page, orphans, allow_empty_first_page)
        paginator.about, paginator.as_of = known(request).count(request.GET.dict())
        if any(name.startswith("authorized_at") for name in request.GET):
            paginator.along = "authorized_at"  # its index ends where the filter does
        return paginator

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return AccountList

    def list_context(self, request: HttpRequest) -> dict[str, Any]:
        return {
            "connect": self._connect_pages(request),
            "export": self._address("export") if request.user.has_perm("wechat_open.export_account") else "",
            "query": request.GET.urlencode(),
        }

    # -- exporting ---------------------------------------------------------------------------------------------------

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view  # for staff, by CSRF token, and in no cache
        return [path("export/", wrap(self.export_view), name="wechat_open_authorizer_export"), *super().get_urls()]

    def export_view(self, request: HttpRequest) -> HttpResponseBase:
        return accounts_export.view(self, request)

    def _connect_pages(self, request: HttpRequest) -> list[tuple[str, str]]:
        """Alias and address of each platform's connect page, for operators who may connect accounts."""
        if not request.user.has_perm("wechat_open.authorize_account"):
            return []
        try:
            default = reverse("wechat_open:authorize")
            return [
                (alias, default if alias == DEFAULT_ALIAS else reverse("wechat_open:authorize", args=[alias]))
                for alias in conf.components
            ]
        except NoReverseMatch:  # the site did not include our URLs; a system check says so
            return []

    # -- the page of one ---------------------------------------------------------------------------------------------

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """The last failure first, when there is one; and no line for an empty value."""
        fieldsets = super().get_fieldsets(request, obj)
        if obj is None:
            return fieldsets
        (_none, head), *others = [part for part in fieldsets if part is not self.last_failure]
        if not request.user.has_perm("wechat_open.view_push"):
            head = {**head, "fields": ["head", "happened"]}
        failure = [part for part in fieldsets if part is self.last_failure]
        rest = [
            (title, {**options, "fields": [name for name in options["fields"] if _has_value(obj, name)]})
            for title, options in [*failure, *others]
        ]
        return [(None, head), *rest]

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        account: Authorizer | None = kwargs.get("obj")
        if account is not None:
            eligible = {one.name for one in registry.for_model(Authorizer) if one.eligible(account)}
            labels = {name: label for name, label in context.get("buttons", []) if name in eligible}
            need = advice.for_account(account)
            offered = [name for name in need.actions if name in labels]
            events, more = timeline.of(account)
            parts = {
                "original": account,
                "list_filters": context.get("list_filters", ""),
                "avatar": avatar(account, "large"),
                "state": tag(account.get_state_display(), _tone(account)),
                "facts": self._facts(account),
                "need": need,
                "dashboard": _dashboard(account) if need.of_platform and may_view("component") else "",
                "need_buttons": [(name, labels[name]) for name in offered],
                "buttons": [(name, label) for name, label in labels.items() if name not in offered],
                "events": events,
                "audit_trail": self._audit_trail(request, account) if more or events else "",
                "pushes": self._pushes(request, account),
                "all_pushes": admin_url("wechat_open_push_changelist") + f"?q={account.appid}",
            }
            for name in ("head", "happened", "recent_pushes"):
                drawn = render_to_string(f"admin/wechat_open/authorizer/{name}.html", parts, request)
                setattr(account, f"{name}_drawn", drawn)
            context |= {
                "raw": _profile(account) if Sync().allowed(request.user) else "",
                "title": pgettext("wechat_open", "Account"),
                "subtitle": None,
            }
        return super().render_change_form(request, context, *args, **kwargs)

    def _facts(self, account: Authorizer) -> list[str]:
        standing = "" if account.account_status in (None, 1) else str(self.standing(account))  # 1: as it should be
        facts = [str(self.type_of_account(account)), standing, self._verification(account), account.principal_name]
        return [fact for fact in facts if fact]

    def _verification(self, account: Authorizer) -> str:
        return {True: pgettext("wechat_open", "verified"), False: pgettext("wechat_open", "not verified"), None: ""}[
            self.verified(account)
        ]

    def _audit_trail(self, request: HttpRequest, account: Authorizer) -> str:
        """The list of all entries, for readers who may view them."""
        if not self.admin_site.is_registered(AuditEntry) or not request.user.has_perm("wechat_open.view_auditentry"):
            return ""
        return admin_url("wechat_open_auditentry_changelist") + f"?appid={account.appid}"

    def _pushes(self, request: HttpRequest, account: Authorizer) -> list[tuple[Push, str, SafeString]] | None:
        """The newest pushes about it with their pages and states; None for readers who may not view pushes."""
        if not request.user.has_perm("wechat_open.view_push"):
            return None
        pushes = Push.objects.filter(authorizer_appid=account.appid, component_id=account.component_id).defer("payload")
        return [
            (push, admin_url("wechat_open_push_change", push.pk), tagged_state(push))
            for push in pushes.order_by("-created_at")[:PUSHES_SHOWN]
        ]

    # -- operations --------------------------------------------------------------------------------------------------

    def show_result(self, request: HttpRequest, row: Authorizer, result: AuthorizationLink) -> HttpResponse:
        """The link that was created for one account, ready to be sent; those of many are in the list of links."""
        links: Any = self.admin_site.get_model_admin(AuthorizationLink)
        if not links.may_see_address(request, result):
            self.message_user(
                request,
                gettext(
                    "The link was created. It is among the authorization links, visible to operators who may "
                    "share links."
                ),
                messages.SUCCESS,
            )
            return self.to_page(request, row.pk)
        self.message_user(request, gettext("The link is ready. Send it to the owner."), messages.SUCCESS)
        # 307: the browser repeats its POST at the link's own view, which shows the address by POST only.
        return HttpResponseRedirect(admin_url("wechat_open_authorizationlink_address", result.pk), status=307)


def _may_see_links(request: HttpRequest) -> bool:
    """Whether the reader may view links; Django's autocomplete, which is no page of ours, depends on it too."""
    return request.user.has_perm("wechat_open.view_authorizationlink")


def _dashboard(account: Authorizer) -> str:
    """The page of its platform, if it is configured."""
    alias = platforms.alias_of(account.component)
    try:
        return admin_url("wechat_open_dashboard", alias) if alias else ""
    except NoReverseMatch:
        return ""


SHOWN_IF_SET = {
    "unauthorized_at_exact": "unauthorized_at",
    "brought_by": "granted_through_id",
    "alias": "alias",
    "signature": "signature",
    "standing": "account_status",
    "picture": "head_img",
    "qr_code": "qrcode_url",
    "last_rid": "last_rid",
}
"""Lines that are on a page only when their column has a value."""


def _has_value(account: Authorizer, line: str) -> bool:
    if line == "doubts":
        return bool(account.needs_reconcile or account.refused_since or account.missing_since)
    if line == "brought_by" and not may_view("authorizationlink"):
        return False
    column = SHOWN_IF_SET.get(line)
    return column is None or getattr(account, column) not in (None, "")


def _tone(account: Authorizer) -> str:
    tones: dict[str, str] = {Authorizer.State.AUTHORIZED: "good", Authorizer.State.NEEDS_REAUTHORIZATION: "bad"}
    return tones.get(account.state, "off")


def _exclusive(number: int) -> SafeString | str:
    known_set = permissions.NAMES.get(number)
    return tag(_("one platform at a time"), "busy") if known_set and known_set.exclusive else ""


def _profile(account: Authorizer) -> str:
    return str(DAMAGED) if is_damaged(account.profile) else _without_secrets(account.profile)


def _without_secrets(profile: Any) -> str:
    """As WeChat sent it. It should hold no secret; a value that is named like one is masked all the same."""

    def masked_in(value: Any) -> Any:
        if isinstance(value, dict):
            return {
                name: "••••" if _SECRET_LIKE.search(str(name)) else masked_in(inner) for name, inner in value.items()
            }
        return [masked_in(inner) for inner in value] if isinstance(value, list) else value

    return json.dumps(masked_in(profile), ensure_ascii=False, indent=2, sort_keys=True) if profile else ""

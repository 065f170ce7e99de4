"""Authorization links: the list, the page of one, and how they are revoked."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

from django.contrib import admin, messages
from django.contrib.auth import get_user_model
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import Count, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import URLPattern, path
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import Truncator
from django.utils.translation import get_language, gettext, ngettext, npgettext, pgettext, pgettext_lazy
from django.utils.translation import gettext_lazy as _

from ... import authorization
from ...db import clock
from ...db.fields import is_damaged
from ...db.managers import database_of
from ...db.times import utc_now
from ...db.transactions import non_atomic_requests
from ...models import AuthorizationAttempt, AuthorizationLink
from ...protocol import permissions
from ..base import RecordAdmin, column
from ..changelist import ConditionFilter, PlatformFilter, accounts_called
from ..display import (
    NOTHING,
    account_cell,
    account_link,
    account_of,
    beside,
    called,
    damaged,
    date,
    lines,
    moment,
    with_account,
)
from ..row_actions import SAMPLE, action
from . import views
from .timeline import STATES, stray_of, tagged_state, with_stray

AT_ONCE = 1000
"""So many links are revoked by one click."""


CREATOR_TIME = timedelta(minutes=10)
"""For so long the creator of a link sees its address without the permission to share links."""


class LinkStateFilter(ConditionFilter):
    title = pgettext_lazy("wechat_open", "state")
    parameter_name = "state"

    def conditions(self, request: HttpRequest) -> dict[str, tuple[Any, Q]]:
        unused = Q(completed_at=None, revoked_at=None)
        wanted = {
            "open": unused & Q(expires_at__gt=clock.now()),
            "used": Q(completed_at__isnull=False),
            "expired": unused & Q(expires_at__lte=clock.now()),
            "revoked": Q(revoked_at__isnull=False),
        }
        return {state: (word, wanted[state]) for state, (word, _tone) in STATES.items()}


@admin.register(AuthorizationLink)
class AuthorizationLinkAdmin(RecordAdmin):
    list_display = ["created", "progress", "account", "tenant", "expires"]
    list_display_links = ["created"]
    list_filter = [LinkStateFilter, "created_at", PlatformFilter]
    list_select_related = ["component", "user", "authorizer"]
    search_fields = ["biz_appid"]  # for the box; ``found`` says what is looked for
    search_help_text = _("Exactly: an appid or who created the link; or the beginning of an account's name")
    sortable_by = ["created"]
    actions = ["revoke"]
    buttons_in_fields = False
    fieldsets = [
        (
            pgettext_lazy("wechat_open", "The link"),
            {"fields": ["platform", "user", "created_at_exact", "expires_at_exact"]},
        ),
        (_("What the owner is asked for"), {"fields": ["expected", "auth_type", "permission_sets"]}),
        (_("For your own code"), {"fields": ["payload_text", "next_url"]}),
    ]

    class Media:
        css = {"all": ["wechat_open/accounts.css", "wechat_open/links.css"]}
        js = ["wechat_open/links.js"]

    # -- columns -----------------------------------------------------------------------------------------------------

    def get_queryset(self, request: HttpRequest) -> QuerySet[AuthorizationLink]:
        views = AuthorizationAttempt.objects.filter(link=OuterRef("pk")).order_by().values("link")
        opened = Subquery(views.annotate(number=Count("pk")).values("number"))
        links: QuerySet[AuthorizationLink] = with_account(super().get_queryset(request), "biz_appid")
        return with_stray(links.annotate(opened=Coalesce(opened, 0)))

    def found(self, rows: QuerySet[AuthorizationLink], word: str) -> QuerySet[AuthorizationLink]:
        accounts = accounts_called(word)
        about = Q(biz_appid__in={word, *(account.appid for account in accounts)}) | Q(authorizer__in=accounts)
        return rows.filter(about | Q(user__in=people_called(word, get_user_model())))

    @admin.display(description=pgettext_lazy("wechat_open", "created"), ordering="created_at")
    def created(self, link: AuthorizationLink) -> SafeString:
        return beside(moment(link.created_at), str(link.user or ""))

    expires = column(moment, "expires_at", pgettext_lazy("wechat_open", "expires"))

    @admin.display(description=pgettext_lazy("wechat_open", "state"))
    def progress(self, link: Any) -> SafeString:
        """The state, and how often it was opened."""
        times = npgettext("wechat_open", "opened once", "opened %(count)d times", link.opened) % {"count": link.opened}
        return beside(tagged_state(link), times if link.opened else pgettext("wechat_open", "not opened"))

    @admin.display(description=pgettext_lazy("wechat_open", "account"))
    def account(self, link: AuthorizationLink) -> SafeString:
        """The account that was connected, or else the expected one; and any other account that came through it."""
        account = link.authorizer or account_of(link, link.biz_appid)
        wanted = account_cell(account) if account else beside(link.get_auth_type_display(), link.biz_appid)
        stray = stray_of(link)
        return format_html('{}<span class="wechat-open-problem">{}</span>', wanted, stray) if stray else wanted

    @admin.display(description=pgettext_lazy("wechat_open", "tenant"))
    def tenant(self, link: AuthorizationLink) -> str | SafeString:
        """As much of it as fits into a list."""
        if is_damaged(link.payload):
            return damaged()
        return lines([Truncator(f"{name}: {_text(value)}").chars(60) for name, value in [*link.payload.items()][:4]])

    # -- fields of the page ------------------------------------------------------------------------------------------

    @admin.display(description=_("only this account"))
    def expected(self, link: AuthorizationLink) -> str | SafeString:
        account = account_of(link, link.biz_appid)
        return account_link(account) if account else link.biz_appid or NOTHING

    @admin.display(description=pgettext_lazy("wechat_open", "tenant"))
    def payload_text(self, link: AuthorizationLink) -> str | SafeString:
        if is_damaged(link.payload):
            return damaged()
        if not link.payload:
            return NOTHING
        text = json.dumps(link.payload, ensure_ascii=False, indent=2)
        return format_html('<pre class="wechat-open-data">{}</pre>', text)

    @admin.display(description=_("permission sets asked for"))
    def permission_sets(self, link: AuthorizationLink) -> str | SafeString:
        if is_damaged(link.category_ids):
            return damaged()
        if not link.category_ids:
            return gettext("all that the platform has released")
        language = get_language() or "en"
        return lines([f"{id} {permissions.name(id, language)}" for id in link.category_ids])

    # -- permissions -------------------------------------------------------------------------------------------------

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("wechat_open.authorize_account")

    def has_revoke_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("wechat_open.revoke_link")

    def may_see_address(self, request: HttpRequest, link: AuthorizationLink) -> bool:
        if request.user.has_perm("wechat_open.share_link") and self.has_view_permission(request, link):
            return True
        mine = link.user_id is not None and link.user_id == request.user.pk
        return mine and self.has_add_permission(request) and link.created_at > utc_now() - CREATOR_TIME

    # -- the pages of one link, see ``views`` --------------------------------------------------------------------------

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view  # for staff, by CSRF token, and in no cache
        return [
            path("<int:pk>/address/", wrap(self.address_view), name="wechat_open_authorizationlink_address"),
            path("<int:pk>/qr/", wrap(self.qr_view), name="wechat_open_authorizationlink_qr"),
            *super().get_urls(),
        ]

    @non_atomic_requests
    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        return views.add(self, request, extra_context or {})

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The page of a link, without its address."""
        link = self.get_object(request, object_id)
        if link is None:
            raise Http404
        if request.method == "POST" or not self.has_view_permission(request, link):
            raise PermissionDenied
        return views.page(self, request, link, extra_context or {})

    @non_atomic_requests
    def address_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        return views.address(self, request, pk)

    @non_atomic_requests
    def qr_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        return views.qr_code(self, request, pk)

    # -- revoking ----------------------------------------------------------------------------------------------------

    @action(permissions=["revoke"], description=pgettext_lazy("wechat_open", "Revoke"))
    def revoke(self, request: HttpRequest, queryset: QuerySet[AuthorizationLink]) -> HttpResponse | None:
        """After a confirmation page, for one link or many."""
        if "confirmed" not in request.POST:
            return self._confirm_revoke(request, queryset)
        links = list(queryset.select_related("component")[:AT_ONCE])
        revoked = [link for link in links if authorization.revoke(link, user=request.user)]
        for link in revoked:
            self.log_change(request, link, gettext("It was revoked."))
        if revoked:
            words = ngettext("The link was revoked.", "%(count)d links were revoked.", len(revoked))
            self.message_user(request, words % {"count": len(revoked)}, messages.SUCCESS)
        if used := len(links) - len(revoked):
            words = ngettext(
                "One link has been used already: its account stays connected.",
                "%(count)d links have been used already: their accounts stay connected.",
                used,
            )
            self.message_user(request, words % {"count": used}, messages.WARNING)
        return self.back_to_row(request)

    def _confirm_revoke(self, request: HttpRequest, links: QuerySet[AuthorizationLink]) -> HttpResponse:
        """The page takes as long for a thousand links as for one: it counts them, and names the first few."""
        found = links.values("pk")[: AT_ONCE + 1].count()  # in the order of the list, which has an index
        count = min(found, AT_ONCE)
        too_many = gettext("There are more. Only %(count)d are revoked at once; the rest stay as they are.")
        context = {
            "title": ngettext("Revoke this link?", "Revoke %(count)d links?", count) % {"count": count},
            "explanation": gettext(
                "The link can no longer be opened, and browsers that have opened it can no longer connect "
                "an account through it. If WeChat grants an account all the same, the grant is kept, "
                "without a tenant. This cannot be undone; you can create a new link at any time."
            ),
            "ineligible": too_many % {"count": AT_ONCE} if found > AT_ONCE else "",
            "sample": [self._label(link) for link in links.select_related("authorizer", "user")[:SAMPLE]],
            "more": max(0, count - SAMPLE),
            "destructive": True,
            "yes": pgettext("wechat_open", "Yes, revoke"),
        }
        return self.confirmation(request, context)

    def _label(self, link: AuthorizationLink) -> SafeString:
        account = link.authorizer or account_of(link, link.biz_appid)
        name = called(account) if account else link.biz_appid or link.get_auth_type_display()
        return format_html("{} {} {}", date(link.created_at), name, tagged_state(link))


def people_called(word: str, users: Any) -> list[Any]:
    """The keys of the users who sign in with it; none where user names are numbers and this is not one."""
    try:
        found = users._default_manager.using(database_of(users)).filter(**{users.USERNAME_FIELD: word})
        return list(found.values_list("pk", flat=True))
    except (ValueError, ValidationError):
        return []


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)

"""Which links are there, and how are they taken back?"""

from __future__ import annotations

import json
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.db.models import Count, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import Truncator
from django.utils.translation import gettext, ngettext, npgettext, pgettext, pgettext_lazy
from django.utils.translation import gettext_lazy as _

from ... import authorization, clock
from ...admin_urls import admin_url
from ...models import AuthorizationAttempt, AuthorizationLink
from ..base import SAMPLE, action
from ..lists import BoundedPaginator, PlatformFilter, accounts_called, several_platforms
from ..named import account_cell, account_of, called, with_account
from ..shown import beside, date, lines, moment
from .page import LinkPages
from .story import STATES, stray_of, tagged_state, with_stray

AT_ONCE = 1000
"""So many links are revoked by one click."""


class LinkStateFilter(admin.SimpleListFilter):
    title = pgettext_lazy("wechat_open", "state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [(state, word) for state, (word, _tone) in STATES.items()]

    def queryset(
        self, request: HttpRequest, queryset: QuerySet[AuthorizationLink]
    ) -> QuerySet[AuthorizationLink] | None:
        unused = Q(completed_at=None, revoked_at=None)
        wanted = {
            "open": unused & Q(expires_at__gt=clock.now()),
            "used": Q(completed_at__isnull=False),
            "expired": unused & Q(expires_at__lte=clock.now()),
            "revoked": Q(revoked_at__isnull=False),
        }
        chosen = wanted.get(self.value() or "")
        return queryset.filter(chosen) if chosen else None


@admin.register(AuthorizationLink)
class AuthorizationLinkAdmin(LinkPages):
    list_display = ["created", "progress", "account", "tenant", "expires"]
    list_display_links = ["created"]
    list_filter = [LinkStateFilter, "created_at", PlatformFilter]
    list_select_related = ["component", "user", "authorizer"]
    search_fields = ["biz_appid"]  # for the box; get_search_results says what is looked for
    search_help_text = _("Exactly: an appid or who created the link; or the beginning of an account's name")
    paginator = BoundedPaginator
    show_facets = admin.ShowFacets.NEVER
    sortable_by = ["created"]
    actions = ["revoke"]

    class Media:
        css = {"all": ["wechat_open/accounts.css", "wechat_open/links.css"]}
        js = ["wechat_open/links.js"]

    # -- columns -----------------------------------------------------------------------------------------------------

    def get_queryset(self, request: HttpRequest) -> QuerySet[AuthorizationLink]:
        views = AuthorizationAttempt.objects.filter(link=OuterRef("pk")).order_by().values("link")
        opened = Subquery(views.annotate(number=Count("pk")).values("number"))
        links: QuerySet[AuthorizationLink] = with_account(super().get_queryset(request), "biz_appid")
        return with_stray(links.annotate(opened=Coalesce(opened, 0)))

    def get_list_display(self, request: HttpRequest) -> list[Any]:
        return [*self.list_display, *several_platforms()]

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[AuthorizationLink], search_term: str
    ) -> tuple[QuerySet[AuthorizationLink], bool]:
        word = search_term.strip()
        if not word:
            return queryset, False
        accounts = accounts_called(word)
        found = Q(biz_appid__in={word, *(account.appid for account in accounts)}) | Q(authorizer__in=accounts)
        found |= Q(user__in=people_called(word, get_user_model()))
        return queryset.filter(found), False

    @admin.display(description=pgettext_lazy("wechat_open", "created"), ordering="created_at")
    def created(self, link: AuthorizationLink) -> SafeString:
        return beside(moment(link.created_at), str(link.user or ""))

    @admin.display(description=pgettext_lazy("wechat_open", "expires"))
    def expires(self, link: AuthorizationLink) -> str | SafeString:
        return moment(link.expires_at)

    @admin.display(description=pgettext_lazy("wechat_open", "state"))
    def progress(self, link: Any) -> SafeString:
        """The state, and how often it was opened."""
        times = npgettext("wechat_open", "opened once", "opened %(count)d times", link.opened) % {"count": link.opened}
        return beside(tagged_state(link), times if link.opened else pgettext("wechat_open", "not opened"))

    @admin.display(description=pgettext_lazy("wechat_open", "account"))
    def account(self, link: AuthorizationLink) -> SafeString:
        """Which came of it, or else which is expected; and one that came and is not the link's."""
        account = link.authorizer or account_of(link, link.biz_appid)
        wanted = account_cell(account) if account else beside(link.get_auth_type_display(), link.biz_appid)
        stray = stray_of(link)
        return format_html('{}<span class="wechat-open-problem">{}</span>', wanted, stray) if stray else wanted

    @admin.display(description=pgettext_lazy("wechat_open", "tenant"))
    def tenant(self, link: AuthorizationLink) -> str | SafeString:
        """As much of it as fits into a list."""
        return lines([Truncator(f"{name}: {_told(value)}").chars(60) for name, value in [*link.payload.items()][:4]])

    # -- taking back -------------------------------------------------------------------------------------------------

    @action(permissions=["revoke"], description=pgettext_lazy("wechat_open", "Revoke"))
    def revoke(self, request: HttpRequest, queryset: QuerySet[AuthorizationLink]) -> HttpResponse | None:
        """Asked about first, one link or many."""
        if "confirmed" not in request.POST:
            return self._ask_whether(request, queryset)
        links = list(queryset.select_related("component")[:AT_ONCE])
        revoked = [link for link in links if authorization.revoke(link, user=request.user)]
        for link in revoked:
            self.log_change(request, link, gettext("It was revoked."))
        if revoked:
            said = ngettext("The link was revoked.", "%(count)d links were revoked.", len(revoked))
            self.message_user(request, said % {"count": len(revoked)}, messages.SUCCESS)
        if used := len(links) - len(revoked):
            said = ngettext(
                "One link has been used already: its account stays connected.",
                "%(count)d links have been used already: their accounts stay connected.",
                used,
            )
            self.message_user(request, said % {"count": used}, messages.WARNING)
        back = request.POST.get("back_to", "")
        if not back.isdecimal():
            return None
        return HttpResponseRedirect(admin_url("wechat_open_authorizationlink_change", back))

    def _ask_whether(self, request: HttpRequest, links: QuerySet[AuthorizationLink]) -> HttpResponse:
        """The page takes as long for a thousand links as for one: it counts them, and names the first few."""
        found = links.values("pk")[: AT_ONCE + 1].count()  # in the order of the list, which has an index
        count = min(found, AT_ONCE)
        across = request.POST.get("select_across") == "1"
        too_many = gettext("There are more. Only %(count)d are revoked at once; the rest stay as they are.")
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "media": self.media,
            "title": ngettext("Revoke this link?", "Revoke %(count)d links?", count) % {"count": count},
            "happens": gettext(
                "The link can no longer be opened, and browsers that have opened it can no longer connect "
                "an account through it. If WeChat grants an account all the same, the grant is kept, "
                "without a tenant. This cannot be undone; you can create a new link at any time."
            ),
            "unfit": too_many % {"count": AT_ONCE} if found > AT_ONCE else "",
            "sample": [self._named(link) for link in links.select_related("authorizer")[:SAMPLE]],
            "more": max(0, count - SAMPLE),
            "careful": True,
            "yes": pgettext("wechat_open", "Yes, revoke"),
            "action": "revoke",
            "across": "1" if across else "0",
            "selected": [] if across else request.POST.getlist(ACTION_CHECKBOX_NAME),
            "back_to": request.POST.get("back_to", ""),
        }
        return TemplateResponse(request, "admin/wechat_open/confirm.html", context)

    def _named(self, link: AuthorizationLink) -> SafeString:
        account = link.authorizer or account_of(link, link.biz_appid)
        named = called(account) if account else link.biz_appid or link.get_auth_type_display()
        return format_html("{} {} {}", date(link.created_at), named, tagged_state(link))


def people_called(word: str, users: Any) -> list[Any]:
    """The keys of those who sign in with it; nobody where people have numbers for names, and this is none."""
    try:
        return list(users._default_manager.filter(**{users.USERNAME_FIELD: word}).values_list("pk", flat=True))
    except (ValueError, ValidationError):
        return []


def _told(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)

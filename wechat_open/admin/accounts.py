"""What does an operator see of an account, and what may they do to it?"""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import NoReverseMatch, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import get_language, gettext
from django.utils.translation import gettext_lazy as _

from .. import authorization, clock, tokens
from ..conf import DEFAULT_ALIAS, conf
from ..models import Authorizer
from ..protocol import permissions
from .base import HolderAdmin
from .shown import SERVICE_TYPES, STANDINGS, address, beside, date, lines, masked, tag, word


class AttentionFilter(admin.SimpleListFilter):
    title = _("attention")
    parameter_name = "attention"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("failing", _("renewal fails")), ("overdue", _("renewal is overdue")), ("expired", _("token expired"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Authorizer]) -> QuerySet[Authorizer] | None:
        authorized = Q(state=Authorizer.State.AUTHORIZED)
        wanted = {
            "failing": authorized & Q(failures__gt=0),
            "overdue": authorized & Q(next_action_at__lt=clock.now()),
            "expired": authorized & Q(access_token_expires_at__lt=clock.now()),
        }
        chosen = wanted.get(self.value() or "")
        return queryset.filter(chosen) if chosen else None


@admin.register(Authorizer)
class AuthorizerAdmin(HolderAdmin):
    list_display = ["named", "tagged_state", "time_left", "problem", "kind", "principal_name", "component"]
    list_filter = ["state", AttentionFilter, "kind", ("component", admin.RelatedOnlyFieldListFilter), "authorized_at"]
    list_select_related = ["component"]
    search_fields = ["nick_name", "appid", "principal_name", "user_name"]
    search_help_text = _("Name, appid, principal or original id (gh_…)")
    ordering = ["-pk"]
    actions = ["refresh_now", "sync_profile"]
    fieldsets = [
        (None, {"fields": ["nick_name", "appid", "component", "kind", "tagged_state", "problem"]}),
        (_("Tokens"), {"fields": ["access_token_shown", "time_left", "refresh_token_shown", "next_renewal", "doubts"]}),
        (_("Authorization"), {"fields": ["authorized_at", "unauthorized_at", "permission_sets"]}),
        (
            _("Profile"),
            {
                "fields": [
                    "user_name",
                    "alias",
                    "principal_name",
                    "signature",
                    "type_of_account",
                    "verified",
                    "standing",
                    "avatar",
                    "qr_code",
                    "profile_synced_at",
                ]
            },
        ),
    ]

    # -- columns -----------------------------------------------------------------------------------------------------

    @admin.display(description=_("name"), ordering="nick_name")
    def named(self, account: Authorizer) -> SafeString:
        return beside(account.nick_name, account.appid)

    @admin.display(description=_("state"), ordering="state")
    def tagged_state(self, account: Authorizer) -> SafeString:
        tone = {Authorizer.State.AUTHORIZED: "good", Authorizer.State.NEEDS_REAUTHORIZATION: "bad"}
        return tag(account.get_state_display(), tone.get(Authorizer.State(account.state), "off"))

    @admin.display(description=_("refresh token"))
    def refresh_token_shown(self, account: Authorizer) -> str | SafeString:
        current = masked(account, "refresh_token")
        if not account.previous_refresh_token:
            return current
        return format_html("{} ({} {})", current, _("before:"), masked(account, "previous_refresh_token"))

    @admin.display(description=_("in doubt"))
    def doubts(self, account: Authorizer) -> str | SafeString:
        doubts = []
        if account.needs_reconcile:
            doubts.append(gettext("The stored tokens will be compared with WeChat's records"))
        if account.refused_since:
            doubts.append(gettext("WeChat refuses every token since %s") % date(account.refused_since))
        if account.missing_since:
            doubts.append(gettext("Missing from WeChat's list since %s") % date(account.missing_since))
        return lines(doubts)

    @admin.display(description=_("permission sets"))
    def permission_sets(self, account: Authorizer) -> str | SafeString:
        language = get_language() or "en"
        return lines([f"{id} {permissions.name(id, language)}" for id in account.func_info])

    @admin.display(description=_("type of account"))
    def type_of_account(self, account: Authorizer) -> object:
        return word(SERVICE_TYPES.get(account.kind, {}), account.service_type)

    @admin.display(description=_("verified"), boolean=True)
    def verified(self, account: Authorizer) -> bool | None:
        return None if account.verify_type is None else account.verify_type >= 0

    @admin.display(description=_("standing at WeChat"))
    def standing(self, account: Authorizer) -> object:
        return word(STANDINGS, account.account_status)

    @admin.display(description=_("avatar"))
    def avatar(self, account: Authorizer) -> str | SafeString:
        return address(account.head_img)

    @admin.display(description=_("QR code"))
    def qr_code(self, account: Authorizer) -> str | SafeString:
        return address(account.qrcode_url)

    # -- doors -------------------------------------------------------------------------------------------------------

    def has_delete_permission(self, request: HttpRequest, obj: Authorizer | None = None) -> bool:
        """One at a time, by a superuser, and only when its owner has taken the authorization back."""
        gone = obj is not None and obj.state == Authorizer.State.UNAUTHORIZED
        return gone and bool(request.user.is_active and request.user.is_superuser)

    def has_refresh_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("wechat_open.refresh_account")

    def has_sync_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("wechat_open.sync_account")

    @admin.action(permissions=["refresh"], description=_("Refresh tokens now"))
    def refresh_now(self, request: HttpRequest, queryset: QuerySet[Authorizer]) -> HttpResponse | None:
        return self.perform(request, queryset, tokens.refresh_now, done=_("The tokens were refreshed."))

    @admin.action(permissions=["sync"], description=_("Read profile from WeChat"))
    def sync_profile(self, request: HttpRequest, queryset: QuerySet[Authorizer]) -> HttpResponse | None:
        return self.perform(request, queryset, authorization.sync_profile, done=_("The profile was read."))

    def list_context(self, request: HttpRequest) -> dict[str, Any]:
        return {"connect": self._connect_pages(request)}

    def _connect_pages(self, request: HttpRequest) -> list[tuple[str, str]]:
        """Alias and address of each platform's connect page, for who may connect accounts."""
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

"""What does an operator see of the links that owners authorize by?"""

from __future__ import annotations

import json
from typing import Any

from django.contrib import admin
from django.contrib.auth import get_user_model
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _

from .. import clock
from ..models import AuthorizationLink
from ..protocol import permissions
from .base import ReadOnlyAdmin
from .shown import NOTHING, lines, moment, tag


class LinkStateFilter(admin.SimpleListFilter):
    title = _("state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("open", _("open")), ("used", _("used")), ("expired", _("expired"))]

    def queryset(
        self, request: HttpRequest, queryset: QuerySet[AuthorizationLink]
    ) -> QuerySet[AuthorizationLink] | None:
        unused = Q(completed_at=None)
        wanted = {
            "open": unused & Q(expires_at__gt=clock.now()),
            "used": ~unused,
            "expired": unused & Q(expires_at__lte=clock.now()),
        }
        chosen = wanted.get(self.value() or "")
        return queryset.filter(chosen) if chosen else None


@admin.register(AuthorizationLink)
class AuthorizationLinkAdmin(ReadOnlyAdmin):
    """The address itself is not shown: who has it may authorize in the tenant's name."""

    list_display = ["created", "tagged_state", "user", "payload_shown", "authorizer", "expires", "component"]
    list_filter = [LinkStateFilter, "created_at", ("component", admin.RelatedOnlyFieldListFilter)]
    list_select_related = ["component", "user", "authorizer"]
    fieldsets = [
        (None, {"fields": ["component", "tagged_state", "user", "created_at", "expires_at", "completed_at"]}),
        (_("What the owner is asked for"), {"fields": ["auth_type", "biz_appid", "permission_sets"]}),
        (_("What came of it"), {"fields": ["payload_shown", "authorizer", "next_url"]}),
    ]

    def get_search_fields(self, request: HttpRequest) -> list[str]:
        return [f"user__{get_user_model().USERNAME_FIELD}", "biz_appid", "authorizer__appid", "authorizer__nick_name"]

    @admin.display(description=_("created"), ordering="created_at")
    def created(self, link: AuthorizationLink) -> str | SafeString:
        return moment(link.created_at)

    @admin.display(description=_("expires"), ordering="expires_at")
    def expires(self, link: AuthorizationLink) -> str | SafeString:
        return moment(link.expires_at)

    @admin.display(description=_("state"))
    def tagged_state(self, link: AuthorizationLink) -> SafeString:
        if link.completed_at:
            return tag(_("used"), "good")
        if link.expires_at <= timezone.now():
            return tag(_("expired"), "off")
        return tag(_("open"), "busy")

    @admin.display(description=_("tenant payload"))
    def payload_shown(self, link: AuthorizationLink) -> str | SafeString:
        return format_html("<code>{}</code>", json.dumps(link.payload, ensure_ascii=False)) if link.payload else NOTHING

    @admin.display(description=_("permission sets asked for"))
    def permission_sets(self, link: AuthorizationLink) -> str | SafeString:
        language = get_language() or "en"
        return lines([f"{id} {permissions.name(id, language)}" for id in link.category_ids])

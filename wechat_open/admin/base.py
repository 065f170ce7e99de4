"""The mixins of our admin pages: ``ReadOnly``, ``Changelist`` and, in ``row_actions``, ``RowActions``.

Rows that WeChat writes are shown and never edited. What an operator can start is an action with a permission of its
own, sent by POST, and recorded in the row's history.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from types import MethodType
from typing import Any, cast

from django.contrib import admin
from django.contrib.admin import ModelAdmin
from django.contrib.admin.options import TO_FIELD_VAR, IncorrectLookupParameters
from django.contrib.admin.utils import flatten_fieldsets
from django.contrib.admin.views.main import ChangeList
from django.db.models import Model, QuerySet
from django.forms import Script
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import Truncator, capfirst
from django.utils.translation import gettext, pgettext, pgettext_lazy
from django.utils.translation import gettext_lazy as _

from ..db.times import UTCDateTimeField
from ..db.transactions import non_atomic_requests
from ..models import Component, TokenHolder
from ..translation import describe_errcode, translate
from . import lookups
from .changelist import BoundedPaginator, Listing
from .display import NOTHING, exactly, masked, moment, platform, time_left
from .reader import on_site
from .row_actions import RowActions

logger = logging.getLogger("django.security.DisallowedModelAdminLookup")
"""Where Django itself writes such requests."""


def column(
    show: Callable[[Any], Any], field: str, description: Any, *, ordering: str | None = None
) -> Callable[[Any, Any], Any]:
    """A method of a ModelAdmin that shows one field of a row."""

    def shown(model_admin: Any, row: Any) -> Any:
        return show(getattr(row, field))

    return admin.display(description=description, ordering=ordering)(shown)


class ReadOnly(ModelAdmin):  # type: ignore[type-arg]  # not generic at run time
    """Rows that no form adds, changes or deletes. Encrypted columns are on no page: ``fieldsets`` names what
    is shown."""

    view_on_site = False  # the page of a link is for the owner
    empty_value_display = NOTHING

    def __init__(self, model: type[Model], admin_site: admin.AdminSite) -> None:
        """Each point in time of the row as ``<name>_exact``: Django would format it by the language of the page."""
        super().__init__(model, admin_site)
        for field in model._meta.concrete_fields:
            if isinstance(field, UTCDateTimeField):
                exact = column(exactly, field.name, field.verbose_name, ordering=field.name)
                setattr(self, f"{field.name}_exact", MethodType(exact, self))

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    @property
    def urls(self) -> list[URLPattern]:
        """The pages link to others of the same admin site."""
        return [on_site(pattern, self.admin_site.name) for pattern in self.get_urls()]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        return flatten_fieldsets(self.get_fieldsets(request, obj))


class Changelist(ModelAdmin):  # type: ignore[type-arg]  # not generic at run time
    """A list that stays fast with hundreds of thousands of rows, and takes only declared filters from an address."""

    list_per_page = 50
    show_full_result_count = False  # counting everything twice takes long in a large table
    show_facets = admin.ShowFacets.NEVER  # each would count a part of the table
    linked_lookups: frozenset[str] = frozenset()
    """Filters that no side bar offers, and that links of ours use."""
    # No date_hierarchy: MariaDB without its time-zone tables raises on it. Date filters serve as well.

    @non_atomic_requests
    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        context = {"title": capfirst(self.opts.verbose_name_plural), **self.list_context(request)}
        try:
            return super().changelist_view(request, {**context, **(extra_context or {})})
        except lookups.RefusedFilter as error:
            return self.refused(request, error)

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return Listing

    def get_changelist_instance(self, request: HttpRequest) -> ChangeList:
        """The list of this address, for a page or a file; RefusedFilter for what is no filter of this list."""
        lookups.refuse_others(request, self.model, self.declared_lookups(request))
        to_field = request.GET.get(TO_FIELD_VAR)
        if to_field and not self.to_field_allowed(request, to_field):
            raise lookups.RefusedFilter(to_field, "No other row refers to this list by the column")
        try:
            return super().get_changelist_instance(request)
        except OverflowError as error:  # the first day of the year 1, east of Greenwich
            raise IncorrectLookupParameters(error) from error

    def declared_lookups(self, request: HttpRequest) -> frozenset[str]:
        """The filters that an address may use: those of ``list_filter``, and ``linked_lookups``."""
        return lookups.declared(self.model, self.get_list_filter(request)) | self.linked_lookups

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        """Only what a filter offers. Django itself allows every lookup on every column of the table."""
        return lookup in self.declared_lookups(cast("HttpRequest", request))

    def refused(self, request: HttpRequest, error: Exception) -> HttpResponse:
        """A page that says which filter was refused, or else that a value is none that a filter can have."""
        title = gettext("The value of a filter is not understood.")
        if isinstance(error, lookups.RefusedFilter):
            logger.warning("%s (%s)", error, request.path)
            title = gettext("This list cannot be filtered by “%(name)s”.") % {"name": Truncator(error.name).chars(80)}
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "media": self.media,
            "title": title,
            "has_view_permission": self.has_view_permission(request),
        }
        return TemplateResponse(request, "admin/wechat_open/refused.html", context, status=400)

    @admin.display(description=pgettext_lazy("wechat_open", "platform"))
    def platform(self, row: Any) -> str:
        """A column of lists, where there are several."""
        return platform(row.component)

    def list_context(self, request: HttpRequest) -> dict[str, Any]:
        """What the template of the list needs besides Django's context."""
        return {}


class RowAdmin(RowActions, Changelist, ReadOnly):
    """The pages of one of our models."""

    class Media:
        css = {"all": ["wechat_open/admin.css", "wechat_open/lists.css"]}
        js = [Script("wechat_open/lists.js", defer=True)]


class RecordAdmin(RowAdmin):
    """Rows that grow in number: counted up to a bound, with the platform where there are several."""

    paginator = BoundedPaginator
    list_select_related = ["component"]

    def get_list_display(self, request: HttpRequest) -> list[Any]:
        return [*self.list_display, *(["platform"] if Component.objects.count() > 1 else [])]

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        word = search_term.strip()
        return (self.found(queryset, word) if word else queryset), False

    def found(self, rows: QuerySet[Any], word: str) -> QuerySet[Any]:
        """Those that the box of the list finds by a word."""
        return rows


class TokenHolderAdmin(RowAdmin):
    """Rows that hold an access token."""

    last_failure = (
        pgettext_lazy("wechat_open", "Last failure"),
        {"fields": ["failures", "last_failed_at_exact", "error_text", "last_rid"]},
    )

    def get_fieldsets(self, request: HttpRequest, obj: TokenHolder | None = None) -> Any:
        """The last failure only when there is one."""
        fieldsets = super().get_fieldsets(request, obj)
        return [*fieldsets, self.last_failure] if obj and obj.last_error else fieldsets

    @admin.display(description=_("token time left"), ordering="access_token_expires_at")
    def time_left(self, holder: TokenHolder) -> str | SafeString:
        return time_left(holder)

    @admin.display(description=pgettext_lazy("wechat_open", "problem"))
    def problem(self, holder: TokenHolder) -> str:
        text = describe_errcode(holder.last_errcode, holder.last_rid) or translate(holder.last_error)
        return Truncator(text).chars(90) or NOTHING

    error_text = column(translate, "last_error", pgettext_lazy("wechat_open", "last error"))
    next_renewal = column(moment, "next_action_at", pgettext_lazy("wechat_open", "next renewal"))

    @admin.display(description=pgettext_lazy("wechat_open", "access token"))
    def access_token_masked(self, holder: TokenHolder) -> str | SafeString:
        current = masked(holder, "access_token")
        at = holder.access_token_obtained_at
        if current == NOTHING or at is None:
            return current
        since = format_html(pgettext("wechat_open", "obtained {}"), moment(at))
        return format_html('{} <span class="wechat-open-aside">{}</span>', current, since)

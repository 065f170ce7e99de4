"""What do all our admin pages share?

Rows that WeChat writes are looked at and not typed in. What an operator can set going is an action with a permission of
its own, sent by POST, and in the account's history.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, TypeVar, cast

from django.contrib import admin, messages
from django.contrib.admin import ModelAdmin
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.options import TO_FIELD_VAR, IncorrectLookupParameters
from django.contrib.admin.templatetags.admin_urls import add_preserved_filters
from django.contrib.admin.utils import flatten_fieldsets
from django.contrib.admin.views.main import ChangeList
from django.db import connections, transaction
from django.db.models import Model, QuerySet
from django.forms import Script
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.template.loader import render_to_string
from django.template.response import TemplateResponse
from django.urls import URLPattern
from django.utils.html import format_html
from django.utils.http import urlencode
from django.utils.safestring import SafeString
from django.utils.text import Truncator, capfirst
from django.utils.translation import gettext, npgettext, pgettext, pgettext_lazy
from django.utils.translation import gettext_lazy as _

from .. import bulk
from ..admin_urls import admin_url, on_site
from ..exceptions import WeChatOpenError
from ..models import BulkJob, TokenHolder
from ..telling import briefly, explained, translated
from ..times import UTCDateTimeField
from . import deeds, lookups
from .lists import AtLeast, Listing, counted
from .shown import NOTHING, exactly, masked, moment, platform, time_left

logger = logging.getLogger("django.security.DisallowedModelAdminLookup")
"""Where Django itself writes such requests."""

_View = TypeVar("_View", bound=Callable[..., HttpResponse])

DIRECT = 20
"""Bulk actions of up to so many rows begin while the operator waits; larger ones are left to workers."""

PATIENCE = 5.0
"""Seconds after which workers go on with the remaining rows: a browser and a web worker are waiting."""

SAMPLE = 10
"""So many rows are named before an action."""


def own_transactions(view: _View) -> _View:
    """Not wrapped by ATOMIC_REQUESTS: actions call WeChat, and no transaction is held across that."""
    for alias in connections:
        view = transaction.non_atomic_requests(using=alias)(view)
    return view


def as_number(text: str | None) -> int | None:
    """What stands in an address or a form where a number should; None for anything else."""
    try:
        return int(text or "")
    except ValueError:  # also thousands of digits
        return None


FILTERS = "_changelist_filters"
"""Django's word for what the list was filtered by from which a row's page was opened."""


def list_filters(request: HttpRequest) -> str:
    """These, from a page's address or from a form of ours; written anew, so that they are a query and no more."""
    given = request.POST if request.method == "POST" else request.GET
    return QueryDict(given.get(FILTERS, "")).urlencode()


def way_back(request: HttpRequest) -> dict[str, str]:
    """What a question before an action has to know, to lead back to the page where the action was chosen."""
    filters = list_filters(request)
    return {
        "back_to": request.POST.get("back_to", ""),
        "list_filters": filters,
        "preserved_filters": urlencode({FILTERS: filters}) if filters else "",
    }


def _exact_column(field: UTCDateTimeField[Any, Any]) -> Callable[[Any], str | SafeString]:
    def exact_time(row: Any) -> str | SafeString:
        return exactly(getattr(row, field.name))

    return admin.display(description=field.verbose_name, ordering=field.name)(exact_time)


_Method = TypeVar("_Method", bound=Callable[..., Any])


def action(*, permissions: list[str], description: object) -> Callable[[_Method], _Method]:
    """Django's ``admin.action`` by the attributes that it sets.

    Since Django 6.1 it sets an enum as well, and simpleui, which writes an action's attributes as JSON, fails on that.
    """

    def mark(method: _Method) -> _Method:
        vars(method).update(allowed_permissions=permissions, short_description=description)
        return method

    return mark


class ReadOnlyAdmin(ModelAdmin):  # type: ignore[type-arg]  # not generic at run time
    """Rows to look at. Sealed columns are on no page: ``fieldsets`` names what is shown."""

    list_per_page = 50
    view_on_site = False  # a link's page is for who was sent there
    empty_value_display = NOTHING
    show_full_result_count = False  # counting everything twice takes long in a large table
    show_facets = admin.ShowFacets.NEVER  # each would count a part of the table
    linked_lookups: frozenset[str] = frozenset()
    """Filters that no side bar offers, and that links of ours use."""
    # No date_hierarchy: MariaDB without its time-zone tables raises on it. Date filters serve as well.

    class Media:
        css = {"all": ["wechat_open/admin.css", "wechat_open/lists.css", "wechat_open/bulk.css"]}
        js = [Script("wechat_open/lists.js", defer=True)]

    def __init__(self, model: type[Model], admin_site: admin.AdminSite) -> None:
        """Each point in time of the row as ``<name>_exact``: Django would format it by the language of the page."""
        super().__init__(model, admin_site)
        for field in model._meta.concrete_fields:
            if isinstance(field, UTCDateTimeField):
                setattr(self, f"{field.name}_exact", _exact_column(field))

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

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        return flatten_fieldsets(self.get_fieldsets(request, obj))

    @own_transactions
    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        context = {"title": capfirst(self.opts.verbose_name_plural), **self.list_context(request)}
        try:
            return super().changelist_view(request, {**context, **(extra_context or {})})
        except lookups.RefusedFilter as error:
            return self.refused(request, error)

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return Listing

    def get_changelist_instance(self, request: HttpRequest) -> ChangeList:
        """What the address asks for, on a page or as a file; RefusedFilter for what is no filter of this list."""
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
        """Only what a filter offers. Django's own answer allows every lookup on every column of the table."""
        return lookup in self.declared_lookups(cast("HttpRequest", request))

    def refused(self, request: HttpRequest, error: lookups.RefusedFilter | None = None) -> HttpResponse:
        """A page that says which filter was not taken; without ``error`` it was a value that cannot be one."""
        if error is not None:
            logger.warning("%s (%s)", error, request.path)
        said = (
            gettext("This list cannot be filtered by “%(name)s”.") % {"name": Truncator(error.name).chars(80)}
            if error is not None
            else gettext("The value of a filter is not understood.")
        )
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "media": self.media,
            "title": said,
            "has_view_permission": self.has_view_permission(request),
        }
        return TemplateResponse(request, "admin/wechat_open/refused.html", context, status=400)

    @admin.display(description=pgettext_lazy("wechat_open", "platform"))
    def platform(self, row: Any) -> str:
        """In a list, where there are several."""
        return platform(row.component)

    def list_context(self, request: HttpRequest) -> dict[str, Any]:
        """What the list's template needs besides Django's own."""
        return {}

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Our actions as buttons of the page's own form, which is sent to the list: it knows permissions and CSRF.

        A theme that sends the form to the page itself is answered in the same way.
        """
        if request.method == "POST" and object_id is not None and "action" in request.POST:
            request.GET = QueryDict()  # the filters of the list stand in the form
            return self.changelist_view(request)
        context = {
            "buttons": self.buttons(request, object_id),
            "list_filters": list_filters(request),
            **(extra_context or {}),
        }
        return super().changeform_view(request, object_id, form_url or self._door("changelist"), context)

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        row = kwargs.get("obj")
        if row is not None and self.buttons_in_fields:
            parts = {**context, "more_buttons": self.more_buttons(request, row)}
            row.actions_drawn = render_to_string("admin/wechat_open/actions_here.html", parts, request)
        return super().render_change_form(request, context, *args, **kwargs)

    buttons_in_fields = True
    """Whether the page of a row begins with what can be done with it, as a field: every theme draws those."""

    def more_buttons(self, request: HttpRequest, row: Any) -> list[tuple[str, str]]:
        """Addresses and labels of other things that can be done with the row, by POST."""
        return []

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        fieldsets = super().get_fieldsets(request, obj)
        if obj is None or not self.buttons_in_fields:
            return fieldsets
        if not self.buttons(request, str(obj.pk)) and not self.more_buttons(request, obj):
            return fieldsets
        return [(None, {"fields": ["actions_here"]}), *fieldsets]

    @admin.display(description=pgettext_lazy("wechat_open", "actions"))
    def actions_here(self, row: Any) -> SafeString:
        return cast("SafeString", getattr(row, "actions_drawn", SafeString()))

    def buttons(self, request: HttpRequest, object_id: str | None) -> list[tuple[str, str]]:
        """The actions that the page of one row offers."""
        choices: list[tuple[str, str]] = self.get_action_choices(request, default_choices=[])
        return choices

    def carry_out(self, request: HttpRequest, rows: QuerySet[Any], action: str) -> HttpResponse | None:
        """An action of ``bulk.DEEDS``: asked about first unless it is one harmless row, and a bulk action if several.

        ``rows`` is what Django's list passes: the chosen rows, or all that the filters leave.
        """
        words = deeds.WORDS[action]
        count = counted(rows)
        if not count:
            return None
        if "confirmed" not in request.POST and (count > 1 or words.careful):
            return self._ask_first(request, rows, action, count)
        keys = list(rows.order_by("pk").values_list("pk", flat=True))
        if len(keys) > 1:
            return self._do_many(request, keys, action)
        for key in keys:
            self._do_one(request, key, action)
        back = as_number(request.POST.get("back_to"))
        if back is None:
            return None
        if self.model._default_manager.filter(pk=back).exists():
            return self.to_page(request, back)
        return HttpResponseRedirect(self._with_filters(request, self._door("changelist")))

    def to_page(self, request: HttpRequest, key: int) -> HttpResponse:
        """From an action back to the row's page, which knows the list that led there."""
        return HttpResponseRedirect(self._with_filters(request, self._door("change", key)))

    def _door(self, name: str, *key: int) -> str:
        return admin_url(f"{self.opts.app_label}_{self.opts.model_name}_{name}", *key)

    def _with_filters(self, request: HttpRequest, address: str) -> str:
        kept = urlencode({FILTERS: list_filters(request)})
        return add_preserved_filters({"opts": self.opts, "preserved_filters": kept}, address)

    def _ask_first(self, request: HttpRequest, rows: QuerySet[Any], action: str, count: int) -> HttpResponse:
        words = deeds.WORDS[action]
        unfit = counted(rows.filter(words.unfit)) if words.unfit else 0
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "media": self.media,
            "title": words.question % {"count": count},
            "happens": words.happens,
            "unfit": capfirst(words.of_unfit(unfit)) if unfit and words.of_unfit else "",
            "in_background": count > DIRECT,
            "uncounted": isinstance(count, AtLeast),
            "sample": rows.order_by("pk")[:SAMPLE],
            "more": 0 if isinstance(count, AtLeast) else max(0, count - SAMPLE),
            "careful": words.careful,
            "action": request.POST.get("action", ""),
            "across": request.POST.get("select_across", "0"),
            "selected": [] if request.POST.get("select_across") == "1" else request.POST.getlist(ACTION_CHECKBOX_NAME),
            **way_back(request),
        }
        return TemplateResponse(request, "admin/wechat_open/confirm.html", context)

    def _do_many(self, request: HttpRequest, keys: list[int], action: str) -> HttpResponse | None:
        """A bulk action, a short one while the operator waits: its page, unless all went well already."""
        short = len(keys) <= DIRECT
        job = bulk.start(action, keys, user=request.user, wake=not short)
        if short:
            bulk.run(job.pk, PATIENCE)
            job.refresh_from_db()
        if job.done < job.total:
            return HttpResponseRedirect(_page_of(job))
        words = deeds.WORDS[action]
        text = npgettext("wechat_open", "%(count)s row: %(done)s", "%(count)s rows: %(done)s", job.done)
        text %= {"count": job.done, "done": words.done}
        message = format_html('{} <a href="{}">#{}</a>', text, _page_of(job), job.pk)
        self.message_user(request, self._and_where(request, message, words.made), messages.SUCCESS)
        return None

    def _do_one(self, request: HttpRequest, key: int, action: str) -> None:
        """While the operator waits; says what came of it."""
        row = self.model._default_manager.select_related("component").filter(pk=key).first()
        if row is None:  # another person has deleted it meanwhile
            return
        name = str(row)
        try:
            bulk.act(action, row, user=request.user)
        except WeChatOpenError as error:
            said, level = briefly(error), messages.ERROR
        else:
            said, level = str(deeds.WORDS[action].done), messages.SUCCESS
        row.pk = key  # a deleted row has lost it, and its history is kept
        self.log_change(request, row, said)
        # In quotation marks, because Django makes the first letter of a row's name a capital.
        message = pgettext("wechat_open", "“%(name)s”: %(said)s") % {"name": name, "said": said}
        if level == messages.SUCCESS:
            message = self._and_where(request, message, deeds.WORDS[action].made)
        self.message_user(request, message, level)

    def _and_where(self, request: HttpRequest, message: str, made: type[Model] | None) -> str:
        """With the way to what was made, for who may look at it."""
        if made is None or not request.user.has_perm(f"{made._meta.app_label}.view_{made._meta.model_name}"):
            return message
        place = admin_url(f"{made._meta.app_label}_{made._meta.model_name}_changelist")
        return format_html('{} <a href="{}">{}</a>', message, place, capfirst(made._meta.verbose_name_plural))


def _page_of(job: BulkJob) -> str:
    return admin_url("wechat_open_bulkjob_change", job.pk)


class HolderAdmin(ReadOnlyAdmin):
    """Rows that hold an access token."""

    last_failure = (
        pgettext_lazy("wechat_open", "Last failure"),
        {"fields": ["failures", "last_failed_at_exact", "error_told", "last_rid"]},
    )

    def get_fieldsets(self, request: HttpRequest, obj: TokenHolder | None = None) -> Any:
        """How it failed only when it did."""
        fieldsets = super().get_fieldsets(request, obj)
        return [*fieldsets, self.last_failure] if obj and obj.last_error else fieldsets

    @admin.display(description=_("token time left"), ordering="access_token_expires_at")
    def time_left(self, holder: TokenHolder) -> str | SafeString:
        return time_left(holder)

    @admin.display(description=pgettext_lazy("wechat_open", "problem"))
    def problem(self, holder: TokenHolder) -> str:
        said = explained(holder.last_errcode, holder.last_rid) or translated(holder.last_error)
        return Truncator(said).chars(90) or NOTHING

    @admin.display(description=pgettext_lazy("wechat_open", "last error"))
    def error_told(self, holder: TokenHolder) -> str:
        return translated(holder.last_error)

    @admin.display(description=pgettext_lazy("wechat_open", "access token"))
    def access_token_shown(self, holder: TokenHolder) -> str | SafeString:
        current = masked(holder, "access_token")
        at = holder.access_token_obtained_at
        if current == NOTHING or at is None:
            return current
        since = format_html(pgettext("wechat_open", "obtained {}"), moment(at))
        return format_html('{} <span class="wechat-open-aside">{}</span>', current, since)

    @admin.display(description=pgettext_lazy("wechat_open", "next renewal"))
    def next_renewal(self, holder: TokenHolder) -> str | SafeString:
        return moment(holder.next_action_at)

"""Actions on rows, in the list and as buttons on the page of one row: the registered operations, and a page's own.

An operation on one row runs at once, several rows become a bulk job. A confirmation page comes first unless it is one
row and the operation is harmless.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar, cast

from django.contrib import admin, messages
from django.contrib.admin import ModelAdmin
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.templatetags.admin_urls import add_preserved_filters
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.template.loader import render_to_string
from django.template.response import TemplateResponse
from django.utils.html import format_html
from django.utils.http import urlencode
from django.utils.safestring import SafeString
from django.utils.text import capfirst
from django.utils.translation import npgettext, pgettext, pgettext_lazy

from ..admin_urls import admin_url
from ..exceptions import WeChatOpenError
from ..models import BulkJob
from ..operations import jobs, registry
from ..operations.registry import Operation
from ..translation import summarize_error
from .changelist import AtLeast, as_number, counted
from .reader import list_page

DIRECT = 20
"""Bulk actions of up to so many rows begin while the operator waits; larger ones are left to workers."""

WAIT = 5.0
"""Seconds after which workers continue with the remaining rows: a browser and a web worker are waiting."""

SAMPLE = 10
"""So many rows are listed on the confirmation page."""

FILTERS = "_changelist_filters"
"""Django's name for the filters of the list from which the page of a row was opened."""


def list_filters(request: HttpRequest) -> str:
    """From the address of a page or from a form of ours; encoded again, so that they are a query and nothing else."""
    given = request.POST if request.method == "POST" else request.GET
    return QueryDict(given.get(FILTERS, "")).urlencode()


_Method = TypeVar("_Method", bound=Callable[..., Any])


def action(*, permissions: list[str], description: object) -> Callable[[_Method], _Method]:
    """Django's ``admin.action`` by the attributes that it sets.

    Since Django 6.1 it sets an enum as well, and simpleui, which writes an action's attributes as JSON, fails on that.
    """

    def mark(method: _Method) -> _Method:
        vars(method).update(allowed_permissions=permissions, short_description=description)
        return method

    return mark


def _as_action(operation: Operation) -> Callable[..., HttpResponse | None]:
    @action(permissions=[operation.permission], description=operation.label)
    def run(model_admin: Any, request: HttpRequest, rows: QuerySet[Any]) -> HttpResponse | None:
        answer: HttpResponse | None = model_admin.run_operation(request, rows, operation)
        return answer

    run.__name__ = operation.name
    return run


def _may_perform(operation: Operation, request: HttpRequest) -> bool:
    return operation.allowed(request.user)


class RowActions(ModelAdmin):  # type: ignore[type-arg]  # not generic at run time
    """The operations that are registered on the model, each with its own permission, beside the page's own actions."""

    def __init__(self, model: type[Model], admin_site: admin.AdminSite) -> None:
        super().__init__(model, admin_site)
        operations = registry.for_model(model)
        self.actions = [*(self.actions or ()), *map(_as_action, operations)]
        for operation in operations:
            setattr(self, f"has_{operation.permission}_permission", partial(_may_perform, operation))

    # -- the page of one row -----------------------------------------------------------------------------------------

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Our actions as buttons of the page's own form, which is sent to the list: that checks permissions and CSRF.

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
        return super().changeform_view(request, object_id, form_url or self._address("changelist"), context)

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        row = kwargs.get("obj")
        if row is not None and self.buttons_in_fields:
            parts = {**context, "more_buttons": self.more_buttons(request, row)}
            row.actions_html = render_to_string("admin/wechat_open/actions_here.html", parts, request)
        return super().render_change_form(request, context, *args, **kwargs)

    buttons_in_fields = True
    """Whether the page of a row begins with its actions, as a field: every theme renders fields."""

    def more_buttons(self, request: HttpRequest, row: Any) -> list[tuple[str, str]]:
        """Addresses and labels of other actions on the row, by POST."""
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
        return cast("SafeString", getattr(row, "actions_html", SafeString()))

    def buttons(self, request: HttpRequest, object_id: str | None) -> list[tuple[str, str]]:
        """The actions that the page of one row offers."""
        choices: list[tuple[str, str]] = self.get_action_choices(request, default_choices=[])
        return choices

    # -- running an operation ----------------------------------------------------------------------------------------

    def run_operation(self, request: HttpRequest, rows: QuerySet[Any], operation: Operation) -> HttpResponse | None:
        """A confirmation page first, unless it is one harmless row; several rows are a bulk job.

        ``rows`` is what Django's list passes: the chosen rows, or all that the filters leave.
        """
        count = counted(rows)
        if "confirmed" not in request.POST and (count > 1 or (count and operation.confirm_one)):
            return self._confirm(request, rows, operation, count)
        keys = list(rows.order_by("pk").values_list("pk", flat=True))
        if not keys:
            return None
        return self._run_job(request, keys, operation) if len(keys) > 1 else self._run_one(request, keys[0], operation)

    def to_page(self, request: HttpRequest, key: int) -> HttpResponse:
        """From an action back to the page of the row, with the filters of the list before it."""
        return HttpResponseRedirect(self._with_filters(request, self._address("change", key)))

    def _address(self, name: str, *key: int) -> str:
        return admin_url(f"{self.opts.app_label}_{self.opts.model_name}_{name}", *key)

    def _with_filters(self, request: HttpRequest, address: str) -> str:
        query = urlencode({FILTERS: list_filters(request)})
        return add_preserved_filters({"opts": self.opts, "preserved_filters": query}, address)

    def _confirm(self, request: HttpRequest, rows: QuerySet[Any], operation: Operation, count: int) -> HttpResponse:
        condition = operation.ineligible_rows()
        ineligible = counted(rows.filter(condition)) if condition else 0
        context = {
            "title": operation.question % {"count": count},
            "explanation": operation.explanation,
            "ineligible": capfirst(operation.ineligible_notice(ineligible)) if ineligible else "",
            "in_background": count > DIRECT,
            "uncounted": isinstance(count, AtLeast),
            "sample": rows.order_by("pk")[:SAMPLE],
            "more": 0 if isinstance(count, AtLeast) else max(0, count - SAMPLE),
            "destructive": operation.deletes,
        }
        return self.confirmation(request, context)

    def confirmation(self, request: HttpRequest, context: dict[str, Any]) -> HttpResponse:
        """The page that repeats the action when it is confirmed, and leads back to where the action was chosen."""
        filters = list_filters(request)
        across = request.POST.get("select_across") == "1"
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "media": self.media,
            "action": request.POST.get("action", ""),
            "across": "1" if across else "0",
            "selected": [] if across else request.POST.getlist(ACTION_CHECKBOX_NAME),
            "back_to": request.POST.get("back_to", ""),
            "list_filters": filters,
            "preserved_filters": urlencode({FILTERS: filters}) if filters else "",
            **context,
        }
        return TemplateResponse(request, "admin/wechat_open/confirm.html", context)

    def _run_job(self, request: HttpRequest, keys: list[int], operation: Operation) -> HttpResponse | None:
        """A bulk job, a short one while the operator waits: its page, unless every row succeeded already."""
        short = len(keys) <= DIRECT
        job = jobs.start(operation, keys, user=request.user, wake=not short)
        if short:
            jobs.run(job.pk, WAIT)
            job.refresh_from_db()
        if job.done < job.total:
            return HttpResponseRedirect(_page_of(job))
        text = npgettext("wechat_open", "%(count)s row: %(done)s", "%(count)s rows: %(done)s", job.done)
        text %= {"count": job.done, "done": operation.done}
        message = format_html('{} <a href="{}">#{}</a>', text, _page_of(job), job.pk)
        self.message_user(request, self._with_link(request, message, operation.creates), messages.SUCCESS)
        return None

    def _run_one(self, request: HttpRequest, key: int, operation: Operation) -> HttpResponse | None:
        """One row, while the operator waits; then a message about the outcome."""
        row = self.model._default_manager.select_related("component").filter(pk=key).first()
        if row is None:  # another person has deleted it meanwhile
            return self.back_to_row(request)
        name, result = str(row), None
        try:
            result = operation.execute(row, user=request.user)
        except WeChatOpenError as error:
            outcome, level = summarize_error(error), messages.ERROR
        else:
            outcome, level = str(operation.done), messages.SUCCESS
        row.pk = key  # a deleted row has lost it, and its history is kept
        self.log_change(request, row, outcome)
        if result is not None:
            return self.show_result(request, row, result)
        # In quotation marks, because Django makes the first letter of a row's name a capital.
        message = pgettext("wechat_open", "“%(name)s”: %(outcome)s") % {"name": name, "outcome": outcome}
        self.message_user(request, message, level)
        return self.back_to_row(request)

    def show_result(self, request: HttpRequest, row: Any, result: Any) -> HttpResponse | None:
        """What an operation on one row has returned."""
        raise NotImplementedError

    def back_to_row(self, request: HttpRequest) -> HttpResponse | None:
        """To the page whose button was pressed, if there is one and its row still exists."""
        back = as_number(request.POST.get("back_to"))
        if back is None:
            return None
        if self.model._default_manager.filter(pk=back).exists():
            return self.to_page(request, back)
        return HttpResponseRedirect(self._with_filters(request, self._address("changelist")))

    def _with_link(self, request: HttpRequest, message: str, created: type[Model] | None) -> str:
        """With a link to the list of what was created, for readers who may view it."""
        if created is None or not (place := list_page(str(created._meta.model_name))):
            return message
        return format_html('{} <a href="{}">{}</a>', message, place, capfirst(created._meta.verbose_name_plural))


def _page_of(job: BulkJob) -> str:
    return admin_url("wechat_open_bulkjob_change", job.pk)

"""The pages of bulk actions: progress, failures, and how to stop, resume and retry them.

Failures are grouped by their reason. All of them, or those of one reason, can be tried again, and be exported.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

from django.contrib import admin, messages
from django.core.exceptions import BadRequest, PermissionDenied
from django.db.models import Count, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect, JsonResponse
from django.http.response import HttpResponseBase
from django.template.loader import render_to_string
from django.urls import URLPattern, path
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext, ngettext, pgettext, pgettext_lazy
from django.utils.translation import gettext_lazy as _

from ..admin_urls import admin_url
from ..db.chunks import in_chunks
from ..db.fields import is_damaged
from ..db.times import utc_now
from ..formats import duration, grouped
from ..models import BulkFailure, BulkJob
from ..operations import jobs, registry
from ..translation import describe_errcode, translate
from . import export
from .base import RowAdmin, column
from .display import DAMAGED, NOTHING, date, moment, tag
from .reader import list_page, may_view

MOST_EXPORTED = 50_000
REASONS = 50
"""So many reasons are shown; the export has all failures."""
SHOWN = 20
"""So many rows of each reason are named on the page."""

FAILURES = "admin/wechat_open/bulkjob/failures.html"

UNSEEN_AFTER = timedelta(seconds=30)
"""After so long without a worker, the page shows a hint."""


ORDERS: dict[str, tuple[Callable[..., Any], Any, Any]] = {
    "stop": (jobs.stop, _("No further rows are processed."), _("This action has already ended.")),
    "resume": (jobs.resume, _("It continues with the remaining rows."), _("There is nothing left to do.")),
    "retry": (jobs.retry, _("The failed rows are tried again."), _("No row has failed.")),
}
"""Each with the message when it was carried out, and when it was not."""


@admin.register(BulkJob)
class BulkJobAdmin(RowAdmin):
    """Operators with the permission to view jobs see all of them; others see those that they started."""

    list_display = ["what", "tagged_state", "progress", "failures", "actor", "started"]
    list_filter = ["action", "created_at"]
    ordering = ["-created_at", "-pk"]
    sortable_by = ["started"]
    fieldsets = [(None, {"fields": ["action", "total", "done", "failed", "actor", "created_at", "finished_at"]})]
    change_form_template = "admin/wechat_open/bulkjob/change_form.html"

    # -- columns -----------------------------------------------------------------------------------------------------

    @admin.display(description=pgettext_lazy("wechat_open", "action"))
    def what(self, job: BulkJob) -> str:
        return job.get_action_display()

    @admin.display(description=pgettext_lazy("wechat_open", "progress"))
    def progress(self, job: BulkJob) -> SafeString:
        return format_html(
            '<progress class="wechat-open-row-progress" value="{}" max="{}" aria-hidden="true"></progress> {} / {}',
            job.position,
            job.total or 1,
            grouped(job.position),
            grouped(job.total),
        )

    failures = column(grouped, "failed", pgettext_lazy("wechat_open", "failed"))
    started = column(moment, "created_at", pgettext_lazy("wechat_open", "started"), ordering="created_at")

    @admin.display(description=pgettext_lazy("wechat_open", "state"))
    def tagged_state(self, job: BulkJob) -> SafeString:
        words, tone = _state(job)
        return tag(words, tone)

    # -- permissions --------------------------------------------------------------------------------------------------

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def has_view_permission(self, request: HttpRequest, obj: BulkJob | None = None) -> bool:
        if request.user.has_perm("wechat_open.view_bulkjob"):
            return True
        if obj is not None:
            return _is_own(request, obj)
        return registry.any_allowed(request.user)

    def may_stop(self, request: HttpRequest, job: BulkJob) -> bool:
        """Whether this person may run its operation, and has started it or may change jobs."""
        operation = registry.get(job.action)
        if operation is None or not operation.allowed(request.user):
            return False
        return _is_own(request, job) or request.user.has_perm("wechat_open.change_bulkjob")

    def may_name(self, request: HttpRequest, job: BulkJob) -> bool:
        """Whether this person may view such rows: the page of a job shows no more than their own list."""
        operation = registry.get(job.action)
        return operation is not None and may_view(operation.model._meta.model_name)

    def get_queryset(self, request: HttpRequest) -> QuerySet[BulkJob]:
        rows: QuerySet[BulkJob] = super().get_queryset(request).defer("targets")
        return rows if request.user.has_perm("wechat_open.view_bulkjob") else rows.filter(user=request.user.pk)

    # -- the page of one ---------------------------------------------------------------------------------------------

    def get_urls(self) -> list[URLPattern]:
        wrap: Callable[..., Any] = self.admin_site.admin_view
        return [
            path("<int:pk>/progress/", wrap(self.progress_view), name="wechat_open_bulkjob_progress"),
            path("<int:pk>/failures/", wrap(self.export_view), name="wechat_open_bulkjob_export"),
            *(
                path(f"<int:pk>/{name}/", wrap(self.order_view), {"name": name}, name=f"wechat_open_bulkjob_{name}")
                for name in ORDERS
            ),
            *super().get_urls(),
        ]

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        job: BulkJob | None = kwargs.get("obj")
        if job is not None:
            context |= {
                "title": job.get_action_display(),
                "subtitle": None,
                "facts": _facts(job),
                "failures": self._failures(request, job),
                **{name: _address(name, job.pk) for name in ("progress", *ORDERS)},
                "retry_of": job.arguments.get(jobs.RETRY_OF),
                "rows": list_page("auditentry", f"?job={job.pk}"),
                "may_stop": self.may_stop(request, job),
            }
        return super().render_change_form(request, context, *args, **kwargs)

    def progress_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """The progress, for the page that is open."""
        job = self._job(request, pk)
        html = render_to_string(FAILURES, {"failures": self._failures(request, job)}, request)
        return JsonResponse({**_facts(job), "failures": html})

    def _failures(self, request: HttpRequest, job: BulkJob) -> dict[str, Any]:
        """The groups, most failures first; which rows they are only for readers who may view such rows."""
        named = self.may_name(request, job)
        return {
            "groups": [_group(job, reason, count, named) for reason, count in _reasons(job)],
            "named": named,
            "finished": job.finished_at is not None,
            "may_stop": self.may_stop(request, job),
            "export": _address("export", job.pk),
        }

    def export_view(self, request: HttpRequest, pk: int) -> HttpResponseBase:
        """All failures, or those of one reason, as CSV; read while it is sent."""
        job = self._job(request, pk)
        if not self.may_name(request, job):
            raise PermissionDenied
        failures = job.failures.order_by("pk")
        if reason := request.GET.get("reason", ""):
            failures = failures.filter(reason=reason) if reason.isprintable() else failures.none()
        rows = in_chunks(failures, export.PIECE, most=MOST_EXPORTED + 1)
        cut = _("Cut off after %(count)s failures: export one reason at a time.")
        return export.as_file(export.Table(f"wechat-failures-{job.pk}", COLUMNS, MOST_EXPORTED, cut), rows)

    def order_view(self, request: HttpRequest, pk: int, name: str) -> HttpResponse:
        """An order to a job, by POST; its result may be another job, whose page is shown next."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        job = self._job(request, pk)
        if not self.may_stop(request, job):
            raise PermissionDenied
        order, done, otherwise = ORDERS[name]
        reason = request.POST.get("reason", "")
        if not reason.isprintable():
            raise BadRequest("A reason is one of those on the page.")
        result = order(job, request.user, reason) if name == "retry" else order(job, request.user)
        if result:
            self.log_change(request, job, str(done))
        self.message_user(request, str(done if result else otherwise), messages.SUCCESS if result else messages.WARNING)
        return HttpResponseRedirect(_address("change", result.pk if isinstance(result, BulkJob) else pk))

    def _job(self, request: HttpRequest, pk: int) -> BulkJob:
        job = self.get_queryset(request).filter(pk=pk).first()
        if job is None:
            raise Http404
        if not self.has_view_permission(request, job):
            raise PermissionDenied
        return job


def _is_own(request: HttpRequest, job: BulkJob) -> bool:
    return job.user_id is not None and job.user_id == request.user.pk


def _state(job: BulkJob) -> tuple[str, str]:
    """The state in a word, and its tone."""
    if job.finished_at is None:
        if job.stopped_at is not None:
            return pgettext("wechat_open", "stopping"), "busy"
        return (
            (pgettext("wechat_open", "working"), "busy")
            if job.position or job.leased_until
            else (pgettext("wechat_open", "waiting"), "off")
        )
    if job.position < job.total:
        return pgettext("wechat_open", "stopped"), "bad" if job.reason else "off"
    return (gettext("finished, with failures"), "bad") if job.failed else (pgettext("wechat_open", "finished"), "good")


def _facts(job: BulkJob) -> dict[str, Any]:
    """The texts and numbers of the page, also for the script that keeps it up to date."""
    state, tone = _state(job)
    rows = f"{grouped(job.position)} / {grouped(job.total)}"
    return {
        "position": job.position,
        "total": job.total,
        "finished": job.finished_at is not None,
        "stopping": job.finished_at is None and job.stopped_at is not None,
        "stopped": job.finished_at is not None and job.position < job.total,
        "state": state,
        "tone": tone,
        "rows": rows,
        "done": grouped(job.done),
        "failed": grouped(job.failed),
        "left": _time_left(job),
        "reason": _why(job),
        "hint": _hint(job),
        "finished_at": date(job.finished_at) if job.finished_at else NOTHING,
        "spoken": pgettext("wechat_open", "%(state)s: %(rows)s, failed: %(failed)s")
        % {"state": state, "rows": rows, "failed": grouped(job.failed)},
    }


def _why(job: BulkJob) -> str:
    """What stopped it; or, while it has other rows left, what has set some aside."""
    if is_damaged(job.reason):
        return str(DAMAGED)
    if not job.reason:
        return ""
    waiting = jobs.rows_set_aside(job)
    if waiting and (job.finished_at is None or job.position + waiting < job.total):
        return ngettext(
            "One row is set aside for later: %(error)s", "%(count)s rows are set aside for later: %(error)s", waiting
        ) % {"count": grouped(waiting), "error": _meaning(job.reason)}
    return gettext("It stopped automatically: %s") % _meaning(job.reason)


def _meaning(failure: dict[str, Any]) -> str:
    """WeChat's errors with their meaning in the reader's language, others by our catalogue."""
    return describe_errcode(failure.get("errcode"), failure.get("rid", "")) or translate(
        str(failure.get("message", ""))
    )


def _reasons(job: BulkJob) -> list[tuple[str, int]]:
    counts = job.failures.order_by().values_list("reason").annotate(count=Count("pk")).order_by("-count", "reason")
    return list(counts[:REASONS])


def _group(job: BulkJob, reason: str, count: int, named: bool) -> dict[str, Any]:
    """Failures with one reason: how many, why, and the first of them."""
    first = list(job.failures.filter(reason=reason).order_by("pk")[: SHOWN if named else 1])
    why = describe_errcode(first[0].errcode) or translate(first[0].message)
    rows = [(failure, describe_errcode(failure.errcode) or translate(failure.message)) for failure in first]
    query = urlencode({"reason": reason})
    return {
        "reason": reason,
        "count": grouped(count),
        "why": why,
        "rows": [
            {
                "row": failure.name,
                "page": _page(job, failure),
                "message": "" if message == why else message,
                "rid": failure.rid,
            }
            for failure, message in rows
            if named
        ],
        "more": count - len(first) if named else 0,
        "export": f"{_address('export', job.pk)}?{query}",
    }


def _page(job: BulkJob, failure: BulkFailure) -> str:
    operation = registry.get(job.action)
    return admin_url(f"wechat_open_{operation.model._meta.model_name}_change", failure.key) if operation else ""


def _address(name: str, pk: int) -> str:
    return admin_url(f"wechat_open_bulkjob_{name}", pk)


COLUMNS: tuple[export.Column, ...] = (
    (pgettext_lazy("bulk", "row"), lambda failure: failure.name),
    (pgettext_lazy("bulk", "key"), lambda failure: str(failure.key)),
    *export.ERROR_COLUMNS,
    (pgettext_lazy("wechat_open", "detail"), lambda failure: translate(failure.message)),
)


def _time_left(job: BulkJob) -> str:
    """Estimated from the pace so far."""
    if job.finished_at is not None or job.stopped_at is not None or not job.position or _hint(job):
        return ""
    pace = (utc_now() - job.created_at) / job.position
    return pgettext("wechat_open", "about %(time)s left") % {
        "time": duration(pace * (job.total - job.position - jobs.rows_set_aside(job)))
    }


def _hint(job: BulkJob) -> str:
    """When nothing moves, the usual reason."""
    if job.finished_at is not None or (job.leased_until and job.leased_until > utc_now()):
        return ""
    if utc_now() - job.created_at < UNSEEN_AFTER:
        return ""
    return gettext(
        "No worker is processing it right now. If this persists, check that a Celery worker or "
        "“manage.py wechat_open run” is running."
    )

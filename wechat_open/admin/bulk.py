"""How far is a bulk action, what failed, and how is it stopped?

Failures are grouped by their reason. All of them, or those of one reason, can be tried again, and be exported.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import partial
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

from .. import bulk
from ..admin_urls import admin_url
from ..health.finding import duration, grouped
from ..models import BulkFailure, BulkJob
from ..protocol import errcodes
from ..telling import explained, translated
from ..times import utc_now
from . import export
from .base import ReadOnlyAdmin
from .shown import NOTHING, date, moment, tag

MOST_EXPORTED = 50_000
REASONS = 50
"""So many reasons are shown; the export has all failures."""
SHOWN = 20
"""So many rows of each reason are named on the page."""

FAILURES = "admin/wechat_open/bulkjob/failures.html"

UNSEEN_AFTER = timedelta(seconds=30)
"""A job that no worker has looked at for so long needs a hint."""


@admin.register(BulkJob)
class BulkJobAdmin(ReadOnlyAdmin):
    """Who may look at all jobs sees all; who may do something sees what they set going."""

    list_display = ["what", "tagged_state", "progress", "failures", "actor", "started"]
    list_filter = ["action", "created_at"]
    ordering = ["-created_at", "-pk"]
    sortable_by = ["started"]
    show_facets = admin.ShowFacets.NEVER
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

    @admin.display(description=pgettext_lazy("wechat_open", "failed"))
    def failures(self, job: BulkJob) -> str:
        return grouped(job.failed)

    @admin.display(description=pgettext_lazy("wechat_open", "state"))
    def tagged_state(self, job: BulkJob) -> SafeString:
        words, tone = _state(job)
        return tag(words, tone)

    @admin.display(description=pgettext_lazy("wechat_open", "started"), ordering="created_at")
    def started(self, job: BulkJob) -> str | SafeString:
        return moment(job.created_at)

    # -- who may ----------------------------------------------------------------------------------------------------

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def has_view_permission(self, request: HttpRequest, obj: BulkJob | None = None) -> bool:
        if request.user.has_perm("wechat_open.view_bulkjob"):
            return True
        if obj is not None:
            return _is_own(request, obj)
        return any(request.user.has_perm(f"wechat_open.{deed.permission}") for deed in bulk.DEEDS.values())

    def may_stop(self, request: HttpRequest, job: BulkJob) -> bool:
        """Who has set it going, or who may change jobs; and may do what it does."""
        if not request.user.has_perm(f"wechat_open.{bulk.DEEDS[job.action].permission}"):
            return False
        return _is_own(request, job) or request.user.has_perm("wechat_open.change_bulkjob")

    def may_name(self, request: HttpRequest, job: BulkJob) -> bool:
        """Whether this person may see which rows they are: a bulk action's page shows no more than their own list."""
        model = bulk.DEEDS[job.action].model._meta
        return request.user.has_perm(f"{model.app_label}.view_{model.model_name}")

    def get_queryset(self, request: HttpRequest) -> QuerySet[BulkJob]:
        rows: QuerySet[BulkJob] = super().get_queryset(request).defer("targets")
        return rows if request.user.has_perm("wechat_open.view_bulkjob") else rows.filter(user=request.user.pk)

    # -- the page of one ---------------------------------------------------------------------------------------------

    def get_urls(self) -> list[URLPattern]:
        wrap: Callable[..., Any] = self.admin_site.admin_view
        return [
            path("<int:pk>/progress/", wrap(self.progress_view), name="wechat_open_bulkjob_progress"),
            path("<int:pk>/stop/", wrap(self.stop_view), name="wechat_open_bulkjob_stop"),
            path("<int:pk>/go-on/", wrap(self.go_on_view), name="wechat_open_bulkjob_go_on"),
            path("<int:pk>/again/", wrap(self.again_view), name="wechat_open_bulkjob_again"),
            path("<int:pk>/failures/", wrap(self.export_view), name="wechat_open_bulkjob_export"),
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
                "door": _door(request, "progress", job.pk),
                "stop": _door(request, "stop", job.pk),
                "go_on": _door(request, "go_on", job.pk),
                "again": _door(request, "again", job.pk),
                "again_of": job.arguments.get(bulk.AGAIN),
                "rows": self._rows(request, job),
                "may_stop": self.may_stop(request, job),
            }
        return super().render_change_form(request, context, *args, **kwargs)

    def progress_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """How far it is, for the page that is open."""
        job = self._job(request, pk)
        html = render_to_string(FAILURES, {"failures": self._failures(request, job)}, request)
        return JsonResponse({**_facts(job), "failures": html})

    def _failures(self, request: HttpRequest, job: BulkJob) -> dict[str, Any]:
        """The groups, most failures first; which rows they are only for those who may look at such rows."""
        named = self.may_name(request, job)
        return {
            "groups": [_group(job, request, reason, count, named) for reason, count in _reasons(job)],
            "named": named,
            "finished": job.finished_at is not None,
            "may_stop": self.may_stop(request, job),
            "export": _door(request, "export", job.pk),
        }

    def _rows(self, request: HttpRequest, job: BulkJob) -> str:
        """Its rows in the audit trail, for those who may read that."""
        if not request.user.has_perm("wechat_open.view_journalentry"):
            return ""
        return f"{admin_url('wechat_open_journalentry_changelist')}?job={job.pk}"

    def export_view(self, request: HttpRequest, pk: int) -> HttpResponseBase:
        """All failures, or those of one reason, as CSV; read while it is sent."""
        job = self._job(request, pk)
        if not self.may_name(request, job):
            raise PermissionDenied
        failures = job.failures.order_by("pk")
        if reason := request.GET.get("reason", ""):
            failures = failures.filter(reason=reason) if reason.isprintable() else failures.none()
        rows = failures[: MOST_EXPORTED + 1].iterator(chunk_size=export.PIECE)
        return export.as_file(f"wechat-failures-{job.pk}", COLUMNS, rows, _cells, most=MOST_EXPORTED, cut=_cut)

    def stop_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        return self._order(
            request, pk, bulk.stop, _("No further rows are processed."), _("This action has already ended.")
        )

    def go_on_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        return self._order(
            request, pk, bulk.go_on, _("It continues with the remaining rows."), _("There is nothing left to do.")
        )

    def again_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        reason = request.POST.get("reason", "")
        if not reason.isprintable():
            raise BadRequest("A reason is one of those on the page.")
        again = partial(bulk.again, reason=reason)
        return self._order(request, pk, again, _("The failed rows are tried again."), _("No row has failed."))

    def _order(
        self,
        request: HttpRequest,
        pk: int,
        order: Callable[[BulkJob, Any], bool | BulkJob | None],
        done: object,
        else_said: object,
    ) -> HttpResponse:
        """Given by POST, to a job, which may answer with another one."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        job = self._job(request, pk)
        if not self.may_stop(request, job):
            raise PermissionDenied
        came = order(job, request.user)
        if came:
            self.log_change(request, job, str(done))
            self.message_user(request, str(done), messages.SUCCESS)
        else:
            self.message_user(request, str(else_said), messages.WARNING)
        next_pk = came.pk if isinstance(came, BulkJob) else pk
        return HttpResponseRedirect(_door(request, "change", next_pk))

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
    """In a word, and its tone."""
    if job.finished_at is None:
        if job.stopped_at is not None:
            return pgettext("wechat_open", "stopping"), "busy"
        return (
            (pgettext("wechat_open", "working"), "busy")
            if job.position or job.claimed_until
            else (pgettext("wechat_open", "waiting"), "off")
        )
    if job.position < job.total:
        return pgettext("wechat_open", "stopped"), "bad" if job.reason else "off"
    return (gettext("finished, with failures"), "bad") if job.failed else (pgettext("wechat_open", "finished"), "good")


def _facts(job: BulkJob) -> dict[str, Any]:
    """What the page shows, and the script that keeps it up to date: texts in the reader's language, and numbers."""
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
    if not job.reason:
        return ""
    waiting = bulk.aside(job)
    if waiting and (job.finished_at is None or job.position + waiting < job.total):
        return ngettext(
            "One row is set aside for later: %(error)s", "%(count)s rows are set aside for later: %(error)s", waiting
        ) % {"count": grouped(waiting), "error": _said(job.reason)}
    return gettext("It stopped automatically: %s") % _said(job.reason)


def _said(failure: dict[str, Any]) -> str:
    """WeChat's errors with their meaning in the reader's language, others by our catalogue."""
    return explained(failure.get("errcode"), failure.get("rid", "")) or translated(str(failure.get("said", "")))


def _reasons(job: BulkJob) -> list[tuple[str, int]]:
    counts = job.failures.order_by().values_list("reason").annotate(count=Count("pk")).order_by("-count", "reason")
    return list(counts[:REASONS])


def _group(job: BulkJob, request: HttpRequest, reason: str, count: int, named: bool) -> dict[str, Any]:
    """Failures with one reason: how many, why, and the first of them."""
    first = list(job.failures.filter(reason=reason).order_by("pk")[: SHOWN if named else 1])
    why = explained(first[0].errcode) or translated(first[0].said)
    rows = [(failure, explained(failure.errcode) or translated(failure.said)) for failure in first]
    query = urlencode({"reason": reason})
    return {
        "reason": reason,
        "count": grouped(count),
        "why": why,
        "rows": [
            {
                "row": failure.name,
                "page": _page(job, request, failure),
                "said": "" if said == why else said,
                "rid": failure.rid,
            }
            for failure, said in rows
            if named
        ],
        "more": count - len(first) if named else 0,
        "export": f"{_door(request, 'export', job.pk)}?{query}",
    }


def _page(job: BulkJob, request: HttpRequest, failure: BulkFailure) -> str:
    model = bulk.DEEDS[job.action].model._meta
    return admin_url(f"{model.app_label}_{model.model_name}_change", failure.key)


def _door(request: HttpRequest, name: str, pk: int) -> str:
    return admin_url(f"wechat_open_bulkjob_{name}", pk)


COLUMNS = (
    pgettext_lazy("bulk", "row"),
    pgettext_lazy("bulk", "key"),
    pgettext_lazy("wechat_open", "errcode"),
    pgettext_lazy("wechat_open", "meaning"),
    _("request id (rid)"),
    pgettext_lazy("wechat_open", "detail"),
)


def _cells(failure: BulkFailure, language: str) -> list[str]:
    errcode = failure.errcode
    return [
        failure.name,
        str(failure.key),
        "" if errcode is None else str(errcode),
        "" if errcode is None else errcodes.meaning(errcode, language),
        failure.rid,
        translated(failure.said),
    ]


def _cut() -> str:
    return gettext("Cut off after %(count)s failures: export one reason at a time.") % {"count": grouped(MOST_EXPORTED)}


def _time_left(job: BulkJob) -> str:
    """Told from the pace so far."""
    if job.finished_at is not None or job.stopped_at is not None or not job.position or _hint(job):
        return ""
    pace = (utc_now() - job.created_at) / job.position
    return pgettext("wechat_open", "about %(time)s left") % {
        "time": duration(pace * (job.total - job.position - bulk.aside(job)))
    }


def _hint(job: BulkJob) -> str:
    """When nothing moves, the usual reason."""
    if job.finished_at is not None or (job.claimed_until and job.claimed_until > utc_now()):
        return ""
    if utc_now() - job.created_at < UNSEEN_AFTER:
        return ""
    return gettext(
        "No worker is processing it right now. If this persists, check that a Celery worker or "
        "“manage.py wechat_open run” is running."
    )

"""The audit trail: everything that happened to accounts and platforms, each entry in one sentence.

It cannot be changed here. What the filters leave can be exported as a table.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from itertools import zip_longest
from typing import Any

from django.apps import apps
from django.contrib import admin
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import SEARCH_VAR, ChangeList
from django.core.exceptions import PermissionDenied
from django.db.models import OuterRef, Q, QuerySet, Subquery
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import URLPattern, path
from django.utils.html import conditional_escape, format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe
from django.utils.text import Truncator
from django.utils.translation import get_language, gettext, ngettext_lazy, npgettext, pgettext, pgettext_lazy
from django.utils.translation import gettext_lazy as _

from .. import audit
from ..admin_urls import admin_url
from ..db.chunks import in_chunks
from ..formats import grouped
from ..models import AuditEntry, Authorizer, BulkJob, Component
from ..operations import registry
from ..protocol import permissions
from ..translation import describe_errcode, translate
from . import export
from .base import RecordAdmin, column
from .changelist import ConditionFilter, Listing, PlatformFilter, appids_called, as_number
from .display import NOTHING, beside, date, exactly, tag
from .lookups import RefusedFilter
from .reader import may_view

Kind = AuditEntry.Kind

MOST_EXPORTED = 50_000
EXPORTED = ("at", "kind", "actor", "component__appid", "appid", "name", "ok", "errcode", "rid", "detail", "job")
SENTENCES: dict[str, Any] = {
    Kind.AUTHORIZED: _("The owner of %(account)s authorized the platform."),
    Kind.UPDATED: _("The owner of %(account)s changed its permission sets."),
    Kind.UNAUTHORIZED: _("The owner of %(account)s took the authorization back."),
    Kind.NEEDS_REAUTHORIZATION: _("WeChat refuses every token of %(account)s: its owner has to authorize again."),
    Kind.CODE_MISUSED: _(
        "An authorization code of %(account)s was presented through a link that it does not belong to."
    ),
    Kind.RENEWAL_FAILED: _("A token of %(account)s could not be renewed."),
    Kind.RESTRICTED: _("WeChat restricts %(account)s: its tokens are not renewed."),
    Kind.RECOVERED: _("The tokens of %(account)s are renewed again."),
    Kind.LINK_MADE: _("%(who)s created a link for %(account)s."),
    Kind.LINK_SHOWN: _("%(who)s viewed the address of a link for %(account)s."),
    Kind.LINK_REVOKED: _("%(who)s revoked a link for %(account)s."),
    Kind.PAYLOAD_SEEN: _("%(who)s viewed a push about %(account)s."),
    Kind.TICKETS_REQUESTED: _("%(who)s asked WeChat to push verify tickets to %(account)s."),
    Kind.TICKETS_FORGOTTEN: _("%(who)s deleted the verify tickets of %(account)s."),
    Kind.BULK_STARTED: _("%(who)s started a bulk action."),
    Kind.BULK_STOPPED: _("%(who)s stopped a bulk action."),
    Kind.EXPORTED: _("%(who)s exported the list of accounts of %(account)s."),
}

FAILED: dict[str, Any] = {
    Kind.TICKETS_REQUESTED: _("%(who)s could not ask WeChat to push verify tickets to %(account)s."),
    Kind.BULK_STOPPED: _("A bulk action of %(who)s stopped automatically."),
}
"""The same for an attempt that failed. Kinds that are about failures have one sentence."""

NUMBERED: dict[str, tuple[Any, Any]] = {
    Kind.LINK_MADE: (
        pgettext_lazy("wechat_open", "%(who)s created link %(link)s."),
        _("%(who)s created link %(link)s for %(account)s."),
    ),
    Kind.LINK_SHOWN: (
        _("%(who)s viewed the address of link %(link)s."),
        _("%(who)s viewed the address of link %(link)s for %(account)s."),
    ),
    Kind.LINK_REVOKED: (
        pgettext_lazy("wechat_open", "%(who)s revoked link %(link)s."),
        _("%(who)s revoked link %(link)s for %(account)s."),
    ),
}
"""About a link whose number is known: one for any account, and one for an expected account."""

ABOUT_ANY_ACCOUNT = (Kind.CODE_MISUSED, Kind.LINK_MADE, Kind.LINK_SHOWN, Kind.LINK_REVOKED)
"""Without an appid these are about whichever account the owner chooses, and not about the platform."""


COUNTED: dict[str, Any] = {
    Kind.ALERT_ACKNOWLEDGED: ngettext_lazy(
        "%(who)s acknowledged an alert.", "%(who)s acknowledged %(count)d alerts.", "count"
    ),
    Kind.ALERT_MUTED: ngettext_lazy("%(who)s muted an alert.", "%(who)s muted %(count)d alerts.", "count"),
    Kind.ALERT_UNMUTED: ngettext_lazy(
        "%(who)s ended the mute of an alert.", "%(who)s ended the mute of %(count)d alerts.", "count"
    ),
}
"""About as many rows as have a number in the detail."""


def sentence(entry: AuditEntry, account: object = None) -> str:
    """The entry as a sentence; ``account`` is the name of the account in it."""
    return _pattern(entry) % {"who": who(entry), "account": account or called(entry), "link": _link(entry)}


def _pattern(entry: AuditEntry) -> str:
    if operation := registry.for_audit_kind(entry.kind):
        return str(operation.audit_sentence if entry.ok else operation.audit_failure)
    if not entry.ok and entry.kind in FAILED:
        return str(FAILED[entry.kind])
    if entry.kind in COUNTED:
        return str(COUNTED[entry.kind] % {"who": "%(who)s", "count": len(_KEY.findall(entry.detail)) or 1})
    if entry.kind in NUMBERED and _link(entry):
        return attempted(entry, str(NUMBERED[entry.kind][bool(entry.appid)]))
    return attempted(entry, str(SENTENCES.get(entry.kind, entry.kind)))


def _link(entry: AuditEntry) -> str:
    """``#7``, the number of the link that an entry is about."""
    found = _KEY.search(entry.detail) if entry.kind in NUMBERED else None
    return found[0] if found else ""


def attempted(entry: AuditEntry, what: str) -> str:
    """Marks an attempt that failed. Kinds that are about failures say so themselves."""
    if entry.ok or entry.kind in audit.RENEWALS:
        return what
    return pgettext("wechat_open", "Attempt failed: %(what)s") % {"what": what}


def who(entry: AuditEntry) -> str:
    if entry.actor == audit.COMMAND_LINE:
        return gettext("A user of the command line")
    return entry.actor or pgettext("wechat_open", "The system")


def called(entry: AuditEntry) -> str:
    """The account with the name that it had then."""
    if entry.name:
        return f"{entry.name} ({entry.appid})"
    if entry.appid:
        return entry.appid
    if entry.kind in ABOUT_ANY_ACCOUNT:
        return pgettext("wechat_open", "any account")
    return pgettext("wechat_open", "the platform %s") % entry.component.appid


ROWS: dict[str, str] = {
    Kind.CODE_MISUSED: "authorizationlink",
    Kind.LINK_MADE: "authorizationlink",
    Kind.LINK_SHOWN: "authorizationlink",
    Kind.LINK_REVOKED: "authorizationlink",
    Kind.PAYLOAD_SEEN: "push",
    Kind.BULK_STARTED: "bulkjob",
    Kind.BULK_STOPPED: "bulkjob",
    Kind.ALERT_ACKNOWLEDGED: "alert",
    Kind.ALERT_MUTED: "alert",
    Kind.ALERT_UNMUTED: "alert",
}
"""The model of the row whose key is in the detail, as ``#7``."""


def explanation(entry: AuditEntry) -> str:
    """An error in the reader's language, permission sets by name, or any other detail."""
    meaning = describe_errcode(entry.errcode, entry.rid)
    if entry.kind == Kind.UPDATED:
        return _sets(entry.detail)
    return meaning or translate(entry.detail)


def rows_there(entries: Iterable[AuditEntry]) -> set[tuple[str, int]]:
    """Which of the rows that they name still exist, as model and key: entries are kept longer than most rows.

    Only those that the reader may view: no other page would open.
    """
    numbers: dict[str, set[int]] = defaultdict(set)
    for entry in entries:
        if model := _model_of(entry):
            numbers[model].update(map(int, _KEY.findall(explanation(entry))))
        if entry.job:
            numbers["bulkjob"].add(entry.job)
    there = set()
    for model, keys in numbers.items():
        if not may_view(model):
            continue
        found = apps.get_model("wechat_open", model)._default_manager.filter(pk__in=keys)
        there |= {(model, key) for key in found.values_list("pk", flat=True)}
    return there


def _to_row(entry: AuditEntry, model: str, key: int, words: str) -> str | SafeString:
    """A link to the row's page, or only the words when the row has been deleted."""
    there = getattr(entry, "rows_there", None)
    if there is None:
        there = entry.rows_there = rows_there([entry])  # type: ignore[attr-defined]  # kept for the rest of the page
    if (model, key) not in there:
        return words
    return format_html('<a href="{}">{}</a>', admin_url(f"wechat_open_{model}_change", key), words)


def _model_of(entry: AuditEntry) -> str | None:
    operation = registry.for_audit_kind(entry.kind)
    if operation is not None and operation.audit_names_row:
        return str(operation.model._meta.model_name)
    return ROWS.get(entry.kind)


def linked(entry: AuditEntry) -> str | SafeString:
    """The same, where each ``#7`` leads to the row's page."""
    text = explanation(entry)
    if entry.kind not in COUNTED:  # those are short, and name rows to the end
        text = Truncator(text).chars(300)
    model = _model_of(entry)
    if model is None:
        return text
    words = _KEY.split(text)  # every second one is a key
    keys = [_to_row(entry, model, int(key), f"#{key}") for key in words[1::2]]
    return format_html_join("", "{}{}", zip_longest(words[::2], keys, fillvalue=""))


_KEY = re.compile(r"#([0-9]{1,18})\b")


def _sets(changes: str) -> str:
    """``+7 -3``, with their names."""
    language = get_language() or "en"
    names = []
    for change in changes.split():
        sign, number = change[:1], change[1:]
        names.append(f"{sign} {number} {permissions.name(int(number), language)}" if number.isdecimal() else change)
    return ", ".join(names)


# -- finding -----------------------------------------------------------------------------------------------------------


class ActorFilter(ConditionFilter):
    title = pgettext_lazy("wechat_open", "who")
    parameter_name = "by"

    def conditions(self, request: HttpRequest) -> dict[str, tuple[Any, Q]]:
        by_command = Q(actor=audit.COMMAND_LINE)
        return {
            "people": (pgettext_lazy("wechat_open", "people"), Q(actor__gt="") & ~by_command),
            "me": (pgettext_lazy("wechat_open", "me"), Q(actor=audit.name_of(request.user))),
            "command": (_("the command line"), by_command),
            "system": (_("owners, WeChat and the system"), Q(actor="")),
        }


class OutcomeFilter(ConditionFilter):
    title = pgettext_lazy("wechat_open", "outcome")
    parameter_name = "outcome"

    def conditions(self, request: HttpRequest) -> dict[str, tuple[Any, Q]]:
        return {
            "done": (pgettext_lazy("wechat_open", "succeeded"), Q(ok=True)),
            "failed": (pgettext_lazy("wechat_open", "failed"), Q(ok=False)),
        }


class AccountFilter(admin.SimpleListFilter):
    """``?appid=``: the link from the page of an account. There are too many accounts to offer them."""

    title = pgettext_lazy("wechat_open", "account")
    parameter_name = "appid"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [(chosen, chosen)] if (chosen := self.value()) else []

    def queryset(self, request: HttpRequest, queryset: QuerySet[AuditEntry]) -> QuerySet[AuditEntry] | None:
        return about(queryset, [chosen]) if (chosen := self.value()) else None


class BulkFilter(admin.SimpleListFilter):
    """Rows of bulk actions: by default each bulk action is the one line that says who started it.

    A list for one account, by the filter or the search, includes its rows of bulk actions.
    """

    title = pgettext_lazy("audit trail", "rows of bulk actions")
    parameter_name = "job"

    ALL = "all"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        chosen = self.value() or ""
        one = [(chosen, gettext("those of bulk action #%s") % chosen)] if as_number(chosen) is not None else []
        return [(self.ALL, _("each on a line of its own")), *one]

    def choices(self, changelist: Any) -> Any:
        first, *others = super().choices(changelist)
        yield {**first, "display": gettext("one line for each bulk action")}
        yield from others

    def queryset(self, request: HttpRequest, queryset: QuerySet[AuditEntry]) -> QuerySet[AuditEntry] | None:
        chosen = self.value() or ""
        number = as_number(chosen)
        if number is not None:
            return queryset.filter(job=number) if 0 < number < 2**63 else queryset.none()
        asked_for_one = request.GET.get(SEARCH_VAR, "").strip() or request.GET.get(AccountFilter.parameter_name)
        return None if chosen == self.ALL or asked_for_one else queryset.filter(job=0)


class Trail(Listing):
    """Adds the progress of each bulk action on the page, and which named rows still exist: a query for each model."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        numbers = {entry.pk: number for entry in self.result_list if (number := bulk_number(entry))}
        jobs = BulkJob.objects.only("total", "position", "done", "failed", "finished_at", "stopped_at")
        found = jobs.in_bulk(set(numbers.values())) if may_view("bulkjob") else {}
        there = rows_there(self.result_list)
        for entry in self.result_list:
            entry.rows_there = there
            entry.bulk = found.get(numbers.get(entry.pk, 0))


def bulk_number(entry: AuditEntry) -> int:
    """The number of the bulk action that this entry started or stopped; 0 for any other entry."""
    if entry.kind not in (Kind.BULK_STARTED, Kind.BULK_STOPPED):
        return 0
    number = _KEY.search(entry.detail)
    return int(number[1]) if number else 0


def about(entries: QuerySet[AuditEntry], appids: Iterable[str]) -> QuerySet[AuditEntry]:
    """The entries about these accounts. The platforms are named, because the index begins with them."""
    platforms = list(Component.objects.values_list("pk", flat=True))
    return entries.filter(component__in=platforms, appid__in=appids)


# -- the pages ---------------------------------------------------------------------------------------------------------


@admin.register(AuditEntry)
class AuditEntryAdmin(RecordAdmin):
    list_display = ["when", "what", "outcome"]
    list_display_links = ["when"]
    list_filter = ["at", ActorFilter, OutcomeFilter, "kind", BulkFilter, AccountFilter, PlatformFilter]
    search_fields = ["appid"]  # for the box; ``found`` says what is looked for
    search_help_text = _("Exactly: an appid or who did it; or the beginning of an account's name")
    sortable_by = ["when"]
    fieldsets = [
        (None, {"fields": ["sentence", "when", "outcome", "more"]}),
        (
            pgettext_lazy("wechat_open", "Recorded"),
            {"fields": ["kind", "platform", "appid", "name", "actor", "number", "rid", "detail_text"]},
        ),
    ]

    # -- columns -----------------------------------------------------------------------------------------------------

    def get_queryset(self, request: HttpRequest) -> QuerySet[AuditEntry]:
        entries: QuerySet[AuditEntry] = super().get_queryset(request)
        account = Authorizer.objects.filter(component=OuterRef("component"), appid=OuterRef("appid"))
        return entries.annotate(account_pk=Subquery(account.values("pk")[:1]))

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return Trail

    def found(self, rows: QuerySet[AuditEntry], word: str) -> QuerySet[AuditEntry]:
        by_actor = rows.filter(actor=word)
        # In its order, by the index; exists() has none.
        return by_actor if by_actor.values("pk")[:1] else about(rows, appids_called(word))

    when = column(exactly, "at", pgettext_lazy("wechat_open", "when"), ordering="at")

    @admin.display(description=pgettext_lazy("wechat_open", "what"))
    def sentence(self, entry: Any) -> SafeString:
        account = format_html("{}", called(entry))
        if entry.account_pk is not None and may_view("authorizer"):
            page = admin_url("wechat_open_authorizer_change", entry.account_pk)
            account = format_html('<a href="{}">{}</a>', page, called(entry))
        pattern = conditional_escape(_pattern(entry))
        # Escaped piece by piece: the sentence is ours, the names come from outside.
        values = {"who": format_html("<b>{}</b>", who(entry)), "account": account, "link": _link(entry)}
        return mark_safe(pattern % values)  # noqa: S308

    @admin.display(description=pgettext_lazy("wechat_open", "what"))
    def what(self, entry: AuditEntry) -> SafeString:
        """The sentence and its explanation."""
        return beside(self.sentence(entry), format_html("{} {}", linked(entry), _bulk_links(entry)))

    @admin.display(description=pgettext_lazy("wechat_open", "outcome"))
    def outcome(self, entry: Any) -> SafeString:
        job = getattr(entry, "bulk", None)
        if job is not None and entry.kind == Kind.BULK_STARTED:
            return _bulk_outcome(job)
        if entry.ok:
            return (
                tag(pgettext_lazy("wechat_open", "succeeded"), "good")
                if entry.kind not in QUIET
                else format_html("{}", NOTHING)
            )
        return tag(pgettext_lazy("wechat_open", "failed"), "bad")

    @admin.display(description=pgettext_lazy("wechat_open", "errcode"))
    def number(self, entry: AuditEntry) -> str:
        """Without separators: it is looked up at WeChat's."""
        return NOTHING if entry.errcode is None else str(entry.errcode)

    @admin.display(description=pgettext_lazy("wechat_open", "detail"))
    def detail_text(self, entry: AuditEntry) -> str:
        return translate(entry.detail) or NOTHING

    @admin.display(description=pgettext_lazy("wechat_open", "more"))
    def more(self, entry: AuditEntry) -> str | SafeString:
        text, links = linked(entry), _bulk_links(entry)
        return format_html("{} {}", text, links) if links else text or NOTHING

    def list_context(self, request: HttpRequest) -> dict[str, Any]:
        return {"title": pgettext("wechat_open", "Audit trail")}

    # -- exporting ---------------------------------------------------------------------------------------------------

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view  # for staff, and in no cache
        return [path("export/", wrap(self.export_view), name="wechat_open_auditentry_export"), *super().get_urls()]

    def export_view(self, request: HttpRequest) -> HttpResponseBase:
        """The list with these filters as CSV; it is read while it is sent."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        try:
            entries = self.get_changelist_instance(request).get_queryset(request)
        except (RefusedFilter, IncorrectLookupParameters) as error:
            return self.refused(request, error)
        rows = in_chunks(entries.only(*EXPORTED), export.PIECE, most=MOST_EXPORTED + 1)
        cut = _("Cut off after %(count)d entries: choose a shorter time.")
        return export.as_file(export.Table("wechat-audit-trail", COLUMNS, MOST_EXPORTED, cut), rows)


def _bulk_links(entry: AuditEntry) -> str | SafeString:
    """A link from a bulk action to its rows, or from a row to its bulk action."""
    if number := bulk_number(entry):
        rows = f"{admin_url('wechat_open_auditentry_changelist')}?{BulkFilter.parameter_name}={number}"
        return format_html('<a href="{}">{}</a>', rows, gettext("Show its rows"))
    if entry.job:
        return _to_row(entry, "bulkjob", entry.job, pgettext("bulk", "bulk action #%d") % entry.job)
    return ""


def _bulk_outcome(job: BulkJob) -> SafeString:
    if job.failed:
        words = npgettext("bulk", "%(count)s failed", "%(count)s failed", job.failed) % {"count": grouped(job.failed)}
        return tag(words, "bad")
    if job.position < job.total:
        return tag(f"{grouped(job.position)} / {grouped(job.total)}", "busy" if job.finished_at is None else "off")
    return tag(pgettext("wechat_open", "succeeded"), "good")


QUIET = (Kind.AUTHORIZED, Kind.UPDATED, Kind.UNAUTHORIZED, Kind.NEEDS_REAUTHORIZATION)
"""Kinds that are no attempt and have no outcome."""


COLUMNS: tuple[export.Column, ...] = (
    (pgettext_lazy("wechat_open", "when"), lambda entry: date(entry.at)),
    (pgettext_lazy("wechat_open", "what"), lambda entry: entry.kind),
    (pgettext_lazy("wechat_open", "who"), lambda entry: entry.actor),
    (pgettext_lazy("wechat_open", "sentence"), sentence),
    (pgettext_lazy("wechat_open", "platform"), lambda entry: entry.component.appid),
    (pgettext_lazy("wechat_open", "account"), lambda entry: entry.appid),
    (pgettext_lazy("wechat_open", "name"), lambda entry: entry.name),
    (pgettext_lazy("wechat_open", "succeeded"), lambda entry: "1" if entry.ok else "0"),
    *export.ERROR_COLUMNS,
    (pgettext_lazy("wechat_open", "detail"), lambda entry: translate(entry.detail)),
    (pgettext_lazy("wechat_open", "bulk action"), lambda entry: str(entry.job or bulk_number(entry) or "")),
)

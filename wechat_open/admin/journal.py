"""Who did what, when, to which account?

The audit trail: everything that happened to accounts and platforms, each entry a sentence. Nobody changes it here. What
the filters leave can be taken along as a table.
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

from .. import journal
from ..admin_urls import admin_url, may_view
from ..health.finding import grouped
from ..models import Authorizer, BulkJob, Component, JournalEntry
from ..protocol import errcodes, permissions
from ..telling import explained, translated
from . import export
from .base import ReadOnlyAdmin, as_number
from .lists import BoundedPaginator, Listing, PlatformFilter, accounts_called, several_platforms
from .lookups import RefusedFilter
from .shown import NOTHING, beside, date, exactly, tag

Kind = JournalEntry.Kind

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
    Kind.REFRESHED: _("%(who)s refreshed the tokens of %(account)s."),
    Kind.SYNCED: _("%(who)s read the profile of %(account)s from WeChat."),
    Kind.RECONCILED: _("%(who)s compared %(account)s with WeChat's records."),
    Kind.ASKED: _("%(who)s asked the owner of %(account)s to authorize again."),
    Kind.FORGOTTEN: pgettext_lazy("wechat_open", "%(who)s removed the record of %(account)s."),
    Kind.LINK_MADE: _("%(who)s created a link for %(account)s."),
    Kind.LINK_SHOWN: _("%(who)s viewed the address of a link for %(account)s."),
    Kind.LINK_REVOKED: _("%(who)s revoked a link for %(account)s."),
    Kind.REPLAYED: _("%(who)s processed a push about %(account)s again."),
    Kind.PAYLOAD_SEEN: _("%(who)s viewed a push about %(account)s."),
    Kind.TICKETS_REQUESTED: _("%(who)s asked WeChat to push verify tickets to %(account)s."),
    Kind.TICKETS_FORGOTTEN: _("%(who)s deleted the verify tickets of %(account)s."),
    Kind.BULK_STARTED: _("%(who)s started a bulk action."),
    Kind.BULK_STOPPED: _("%(who)s stopped a bulk action."),
    Kind.EXPORTED: _("%(who)s exported the list of accounts of %(account)s."),
}

FAILED: dict[str, Any] = {
    Kind.REFRESHED: _("%(who)s could not refresh the tokens of %(account)s."),
    Kind.SYNCED: _("%(who)s could not read the profile of %(account)s from WeChat."),
    Kind.RECONCILED: _("%(who)s could not compare %(account)s with WeChat's records."),
    Kind.ASKED: _("%(who)s could not ask the owner of %(account)s to authorize again."),
    Kind.FORGOTTEN: _("%(who)s could not remove the record of %(account)s."),
    Kind.REPLAYED: _("%(who)s could not process a push about %(account)s again."),
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
"""About as many rows as are numbered in the detail."""


def sentence(entry: JournalEntry, account: object = None) -> str:
    """What happened, as a person would say it; ``account`` is how the account is to be called."""
    return _pattern(entry) % {"who": who(entry), "account": account or called(entry), "link": _link(entry)}


def _pattern(entry: JournalEntry) -> str:
    if not entry.ok and entry.kind in FAILED:
        return str(FAILED[entry.kind])
    if entry.kind in COUNTED:
        return str(COUNTED[entry.kind] % {"who": "%(who)s", "count": len(_KEY.findall(entry.detail)) or 1})
    if entry.kind in NUMBERED and _link(entry):
        return attempted(entry, str(NUMBERED[entry.kind][bool(entry.appid)]))
    return attempted(entry, str(SENTENCES.get(entry.kind, entry.kind)))


def _link(entry: JournalEntry) -> str:
    """``#7``, the number of the link that an entry is about."""
    found = _KEY.search(entry.detail) if entry.kind in NUMBERED else None
    return found[0] if found else ""


def attempted(entry: JournalEntry, what: str) -> str:
    """Marks an attempt that failed. Kinds that are about failures say so themselves."""
    if entry.ok or entry.kind in journal.RENEWALS:
        return what
    return pgettext("wechat_open", "Attempt failed: %(what)s") % {"what": what}


def who(entry: JournalEntry) -> str:
    if entry.actor == journal.COMMAND_LINE:
        return gettext("A user of the command line")
    return entry.actor or pgettext("wechat_open", "The system")


def called(entry: JournalEntry) -> str:
    """The account by the name that it had then."""
    if entry.name:
        return f"{entry.name} ({entry.appid})"
    if entry.appid:
        return entry.appid
    if entry.kind in ABOUT_ANY_ACCOUNT:
        return pgettext("wechat_open", "any account")
    return pgettext("wechat_open", "the platform %s") % entry.component.appid


ROWS = {
    Kind.CODE_MISUSED: "authorizationlink",
    Kind.LINK_MADE: "authorizationlink",
    Kind.LINK_SHOWN: "authorizationlink",
    Kind.LINK_REVOKED: "authorizationlink",
    Kind.REPLAYED: "push",
    Kind.PAYLOAD_SEEN: "push",
    Kind.BULK_STARTED: "bulkjob",
    Kind.BULK_STOPPED: "bulkjob",
    Kind.ALERT_ACKNOWLEDGED: "alert",
    Kind.ALERT_MUTED: "alert",
    Kind.ALERT_UNMUTED: "alert",
}
"""Whose key stands in the detail, as ``#7``."""


def told(entry: JournalEntry) -> str:
    """What else there is to say: an error in the reader's language, permission sets by name."""
    meaning = explained(entry.errcode, entry.rid)
    if entry.kind == Kind.UPDATED:
        return _sets(entry.detail)
    return meaning or translated(entry.detail)


def rows_there(entries: Iterable[JournalEntry]) -> set[tuple[str, int]]:
    """Which of the rows that they name still exist, as model and key: entries are kept longer than most rows.

    Only those that the reader may see: no other page would open.
    """
    named: dict[str, set[int]] = defaultdict(set)
    for entry in entries:
        if model := _model_of(entry):
            named[model].update(map(int, _KEY.findall(told(entry))))
        if entry.job:
            named["bulkjob"].add(entry.job)
    there = set()
    for model, keys in named.items():
        if not may_view(model):
            continue
        found = apps.get_model("wechat_open", model)._default_manager.filter(pk__in=keys)
        there |= {(model, key) for key in found.values_list("pk", flat=True)}
    return there


def _to_row(entry: JournalEntry, model: str, key: int, words: str) -> str | SafeString:
    """A link to the row's page, or only the words when the row has been deleted."""
    there = getattr(entry, "rows_there", None)
    if there is None:
        there = entry.rows_there = rows_there([entry])  # type: ignore[attr-defined]  # kept for the rest of the page
    if (model, key) not in there:
        return words
    return format_html('<a href="{}">{}</a>', admin_url(f"wechat_open_{model}_change", key), words)


def _model_of(entry: JournalEntry) -> str | None:
    return ROWS.get(Kind(entry.kind)) if entry.kind in Kind.values else None


def linked(entry: JournalEntry) -> str | SafeString:
    """The same, where each ``#7`` leads to the row's page."""
    text = told(entry)
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
    named = []
    for change in changes.split():
        sign, number = change[:1], change[1:]
        named.append(f"{sign} {number} {permissions.name(int(number), language)}" if number.isdecimal() else change)
    return ", ".join(named)


# -- finding -----------------------------------------------------------------------------------------------------------


class WhoFilter(admin.SimpleListFilter):
    title = pgettext_lazy("wechat_open", "who")
    parameter_name = "by"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [
            ("people", pgettext_lazy("wechat_open", "people")),
            ("me", pgettext_lazy("wechat_open", "me")),
            ("command", _("the command line")),
            ("system", _("owners, WeChat and the system")),
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[JournalEntry]) -> QuerySet[JournalEntry] | None:
        wanted = {
            "people": Q(actor__gt="") & ~Q(actor=journal.COMMAND_LINE),
            "me": Q(actor=journal.name_of(request.user)),
            "command": Q(actor=journal.COMMAND_LINE),
            "system": Q(actor=""),
        }
        chosen = wanted.get(self.value() or "")
        return queryset.filter(chosen) if chosen else None


class OutcomeFilter(admin.SimpleListFilter):
    title = pgettext_lazy("wechat_open", "outcome")
    parameter_name = "outcome"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("done", pgettext_lazy("wechat_open", "succeeded")), ("failed", pgettext_lazy("wechat_open", "failed"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[JournalEntry]) -> QuerySet[JournalEntry] | None:
        return queryset.filter(ok=self.value() == "done") if self.value() in ("done", "failed") else None


class AccountFilter(admin.SimpleListFilter):
    """``?appid=``: how an account's page leads here. There are too many accounts to offer them."""

    title = pgettext_lazy("wechat_open", "account")
    parameter_name = "appid"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [(chosen, chosen)] if (chosen := self.value()) else []

    def queryset(self, request: HttpRequest, queryset: QuerySet[JournalEntry]) -> QuerySet[JournalEntry] | None:
        return about(queryset, [chosen]) if (chosen := self.value()) else None


class BulkFilter(admin.SimpleListFilter):
    """Rows of bulk actions: by default each bulk action is the one line that says who started it.

    Whoever asks for an account, by the filter or the search, sees what bulk actions did to it as well.
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

    def queryset(self, request: HttpRequest, queryset: QuerySet[JournalEntry]) -> QuerySet[JournalEntry] | None:
        chosen = self.value() or ""
        number = as_number(chosen)
        if number is not None:
            return queryset.filter(job=number) if 0 < number < 2**63 else queryset.none()
        asked_for_one = request.GET.get(SEARCH_VAR, "").strip() or request.GET.get(AccountFilter.parameter_name)
        return None if chosen == self.ALL or asked_for_one else queryset.filter(job=0)


class Trail(Listing):
    """Each bulk action on the page with how far it is, for who may see that, and which named rows still exist: a query
    for each model."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        numbers = {entry.pk: number for entry in self.result_list if (number := bulk_number(entry))}
        jobs = BulkJob.objects.only("total", "position", "done", "failed", "finished_at", "stopped_at")
        found = jobs.in_bulk(set(numbers.values())) if may_view("bulkjob") else {}
        there = rows_there(self.result_list)
        for entry in self.result_list:
            entry.rows_there = there
            entry.bulk = found.get(numbers.get(entry.pk, 0))


def bulk_number(entry: JournalEntry) -> int:
    """The number of the bulk action that this entry started or stopped; 0 for any other entry."""
    if entry.kind not in (Kind.BULK_STARTED, Kind.BULK_STOPPED):
        return 0
    number = _KEY.search(entry.detail)
    return int(number[1]) if number else 0


def about(entries: QuerySet[JournalEntry], appids: Iterable[str]) -> QuerySet[JournalEntry]:
    """Those of these accounts. The platforms are named, because the index begins with them."""
    platforms = list(Component.objects.values_list("pk", flat=True))
    return entries.filter(component__in=platforms, appid__in=appids)


# -- the pages ---------------------------------------------------------------------------------------------------------


@admin.register(JournalEntry)
class JournalEntryAdmin(ReadOnlyAdmin):
    list_display = ["when", "what", "outcome"]
    list_display_links = ["when"]
    list_filter = ["at", WhoFilter, OutcomeFilter, "kind", BulkFilter, AccountFilter, PlatformFilter]
    list_select_related = ["component"]
    search_fields = ["appid"]  # for the box; get_search_results says what is looked for
    search_help_text = _("Exactly: an appid or who did it; or the beginning of an account's name")
    paginator = BoundedPaginator
    show_facets = admin.ShowFacets.NEVER
    sortable_by = ["when"]
    fieldsets = [
        (None, {"fields": ["sentence", "when", "outcome", "more"]}),
        (
            pgettext_lazy("wechat_open", "Recorded"),
            {"fields": ["kind", "platform", "appid", "name", "actor", "number", "rid", "detail_told"]},
        ),
    ]

    class Media:
        css = {"all": ["wechat_open/pushes.css"]}

    # -- columns -----------------------------------------------------------------------------------------------------

    def get_queryset(self, request: HttpRequest) -> QuerySet[JournalEntry]:
        entries: QuerySet[JournalEntry] = super().get_queryset(request)
        account = Authorizer.objects.filter(component=OuterRef("component"), appid=OuterRef("appid"))
        return entries.annotate(account_pk=Subquery(account.values("pk")[:1]))

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return Trail

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[JournalEntry], search_term: str
    ) -> tuple[QuerySet[JournalEntry], bool]:
        word = search_term.strip()
        if not word:
            return queryset, False
        by_actor = queryset.filter(actor=word)
        if by_actor.values("pk")[:1]:  # in its order, by the index; exists() has none
            return by_actor, False
        return about(queryset, {word, *(account.appid for account in accounts_called(word))}), False

    @admin.display(description=pgettext_lazy("wechat_open", "when"), ordering="at")
    def when(self, entry: JournalEntry) -> str | SafeString:
        return exactly(entry.at)

    @admin.display(description=pgettext_lazy("wechat_open", "what"))
    def sentence(self, entry: Any) -> SafeString:
        account = format_html("{}", called(entry))
        if entry.account_pk is not None and may_view("authorizer"):
            page = admin_url("wechat_open_authorizer_change", entry.account_pk)
            account = format_html('<a href="{}">{}</a>', page, called(entry))
        pattern = conditional_escape(_pattern(entry))
        # Escaped piece by piece: the sentence is ours, the names are anybody's.
        values = {"who": format_html("<b>{}</b>", who(entry)), "account": account, "link": _link(entry)}
        return mark_safe(pattern % values)  # noqa: S308

    @admin.display(description=pgettext_lazy("wechat_open", "what"))
    def what(self, entry: JournalEntry) -> SafeString:
        """The sentence, and what else there is to say."""
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
    def number(self, entry: JournalEntry) -> str:
        """Without separators: it is looked up at WeChat's."""
        return NOTHING if entry.errcode is None else str(entry.errcode)

    @admin.display(description=pgettext_lazy("wechat_open", "detail"))
    def detail_told(self, entry: JournalEntry) -> str:
        return translated(entry.detail) or NOTHING

    @admin.display(description=pgettext_lazy("wechat_open", "more"))
    def more(self, entry: JournalEntry) -> str | SafeString:
        said, links = linked(entry), _bulk_links(entry)
        return format_html("{} {}", said, links) if links else said or NOTHING

    def list_context(self, request: HttpRequest) -> dict[str, Any]:
        return {"title": pgettext("wechat_open", "Audit trail")}

    def get_list_display(self, request: HttpRequest) -> list[Any]:
        return [*self.list_display, *several_platforms()]

    # -- taking along ------------------------------------------------------------------------------------------------

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view  # for staff, and in no cache
        return [path("export/", wrap(self.export_view), name="wechat_open_journalentry_export"), *super().get_urls()]

    def export_view(self, request: HttpRequest) -> HttpResponseBase:
        """What the list shows with these filters, as CSV; it is read while it is sent."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        try:
            entries = self.get_changelist_instance(request).get_queryset(request)
        except RefusedFilter as error:
            return self.refused(request, error)
        except IncorrectLookupParameters:
            return self.refused(request)
        # A cursor of the database's hands them over, so that no more than a piece is held here.
        rows = entries.only(*EXPORTED)[: MOST_EXPORTED + 1].iterator(chunk_size=export.PIECE)
        return export.as_file("wechat-journal", COLUMNS, rows, _cells, most=MOST_EXPORTED, cut=_cut)


def _cut() -> str:
    return gettext("Cut off after %(count)d entries: choose a shorter time.") % {"count": MOST_EXPORTED}


def _bulk_links(entry: JournalEntry) -> str | SafeString:
    """The way from a bulk action to its rows, or from a row to its bulk action."""
    if number := bulk_number(entry):
        rows = f"{admin_url('wechat_open_journalentry_changelist')}?{BulkFilter.parameter_name}={number}"
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
"""What is no attempt has no outcome."""


COLUMNS = (
    pgettext_lazy("wechat_open", "when"),
    pgettext_lazy("wechat_open", "what"),
    pgettext_lazy("wechat_open", "who"),
    pgettext_lazy("wechat_open", "sentence"),
    pgettext_lazy("wechat_open", "platform"),
    pgettext_lazy("wechat_open", "account"),
    pgettext_lazy("wechat_open", "name"),
    pgettext_lazy("wechat_open", "succeeded"),
    pgettext_lazy("wechat_open", "errcode"),
    pgettext_lazy("wechat_open", "meaning"),
    _("request id (rid)"),
    pgettext_lazy("wechat_open", "detail"),
    pgettext_lazy("wechat_open", "bulk action"),
)


def _cells(entry: JournalEntry, language: str) -> list[str]:
    errcode = entry.errcode
    return [
        date(entry.at),
        entry.kind,
        entry.actor,
        sentence(entry),
        entry.component.appid,
        entry.appid,
        entry.name,
        "1" if entry.ok else "0",
        "" if errcode is None else str(errcode),
        errcodes.meaning(errcode, language) if errcode is not None else "",
        entry.rid,
        translated(entry.detail),
        str(entry.job or bulk_number(entry) or ""),
    ]

"""What does an operator see of the inbox, and how is a push processed again?

The list shows envelopes. What was pushed stays sealed until somebody who may see it asks by POST; then it is shown
without its secrets, and the journal notes who looked.
"""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.decorators import method_decorator
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import Truncator
from django.utils.translation import gettext, npgettext, pgettext_lazy
from django.utils.translation import gettext_lazy as _
from django.views.decorators.debug import sensitive_variables

from .. import bulk, journal
from ..admin_urls import admin_url
from ..exceptions import SealError, WeChatOpenError
from ..models import Push
from ..protocol.envelope import read_plain
from ..telling import translated
from . import payload
from .base import ReadOnlyAdmin, action, own_transactions
from .lists import BoundedPaginator, PlatformFilter, appids_called, several_platforms
from .named import account_cell, account_of, with_account
from .shown import NOTHING, beside, moment, tag

TYPES = {
    "authorized": _("an owner authorized the platform"),
    "updateauthorized": _("an owner changed the permission sets"),
    "unauthorized": _("an owner took the authorization back"),
    "notify_third_fasteregister": _("result of a mini-program registration"),
    "notify_third_fastregisterbetaapp": _("result of the creation of a trial mini program"),
    "notify_third_fastverifybetaapp": _("result of making a trial mini program permanent"),
    "notify_icpfiling_verify_result": _("ICP filing: the manager's face check"),
    "notify_apply_icpfiling_result": _("ICP filing: passed or rejected"),
    "notify_3rd_wxa_auth": _("a step of a mini program's verification"),
    "notify_3rd_wxa_wxverify": _("a mini program's verification runs out"),
    "notify_3rd_wxa_auth_and_icp": _("a step of a verification with ICP filing"),
    "order_path_apply_result_notify": _("order-centre paths: applied for"),
    "order_path_audit_result_notify": _("order-centre paths: reviewed"),
    "wxa_nickname_audit": _("a mini program's name was reviewed"),
}
"""What each InfoType tells, as a person would say it. Tickets are not kept here."""

UNSOLVED = (Push.State.FAILED, Push.State.ABANDONED)


class TypeFilter(admin.SimpleListFilter):
    """The known types; which ones the table holds is not asked. Any other is found by a search for it."""

    title = pgettext_lazy("wechat_open", "type")
    parameter_name = "info_type"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return list(TYPES.items())

    def queryset(self, request: HttpRequest, queryset: QuerySet[Push]) -> QuerySet[Push] | None:
        return queryset.filter(info_type=self.value()) if self.value() else None


@admin.register(Push)
class PushAdmin(ReadOnlyAdmin):
    list_display = ["received", "progress", "what", "account"]
    list_display_links = ["received"]
    list_filter = ["state", TypeFilter, "received_at", PlatformFilter]
    linked_lookups = frozenset({"state__in"})  # all that failed, to be processed again
    list_select_related = ["component"]
    search_fields = ["authorizer_appid"]  # for the box; get_search_results says what is looked for
    search_help_text = _("Exactly: an appid or a type; or the beginning of an account's name")
    paginator = BoundedPaginator
    show_facets = admin.ShowFacets.NEVER
    sortable_by = ["received"]
    actions = ["process_again"]
    fieldsets = [
        (pgettext_lazy("wechat_open", "The push"), {"fields": ["event", "account", "platform", "tagged_state"]}),
        (
            pgettext_lazy("wechat_open", "When"),
            {"fields": ["created_at_exact", "received_at_exact", "processed_at_exact", "next_attempt_at_exact"]},
        ),
        (pgettext_lazy("wechat_open", "Attempts"), {"fields": ["attempts", "error_told"]}),
    ]

    class Media:
        css = {"all": ["wechat_open/accounts.css", "wechat_open/pushes.css"]}

    # -- columns -----------------------------------------------------------------------------------------------------

    def get_queryset(self, request: HttpRequest) -> QuerySet[Push]:
        return with_account(super().get_queryset(request), "authorizer_appid")

    def get_list_display(self, request: HttpRequest) -> list[Any]:
        return [*self.list_display, *several_platforms()]

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Push], search_term: str
    ) -> tuple[QuerySet[Push], bool]:
        word = search_term.strip()
        if not word:
            return queryset, False
        if word.lower() in TYPES:
            return queryset.filter(info_type=word.lower()), False
        return queryset.filter(Q(authorizer_appid__in=appids_called(word)) | Q(info_type=word)), False

    @admin.display(description=pgettext_lazy("wechat_open", "received"), ordering="received_at")
    def received(self, push: Push) -> str | SafeString:
        return moment(push.received_at)

    @admin.display(description=pgettext_lazy("wechat_open", "type"))
    def event(self, push: Push) -> SafeString:
        known = TYPES.get(push.info_type.lower(), _("a type that is not known here"))
        return beside(str(known), push.info_type)

    @admin.display(description=pgettext_lazy("wechat_open", "account"))
    def account(self, push: Push) -> str | SafeString:
        account = account_of(push, push.authorizer_appid)
        return account_cell(account) if account else push.authorizer_appid or NOTHING

    @admin.display(description=pgettext_lazy("wechat_open", "state"))
    def tagged_state(self, push: Push) -> SafeString:
        tone = {Push.State.DONE: "good", Push.State.RECEIVED: "busy"}
        return tag(push.get_state_display(), tone.get(Push.State(push.state), "bad"))

    @admin.display(description=pgettext_lazy("wechat_open", "state"))
    def progress(self, push: Push) -> SafeString:
        """The state, and how often it was tried."""
        times = npgettext("wechat_open", "%(count)d attempt", "%(count)d attempts", push.attempts) % {
            "count": push.attempts
        }
        return beside(self.tagged_state(push), times)

    @admin.display(description=pgettext_lazy("wechat_open", "type"))
    def what(self, push: Push) -> SafeString:
        """The type, and what stands in the way."""
        if not push.error or push.state == Push.State.DONE:
            return self.event(push)
        error = Truncator(translated(push.error)).chars(120)
        return format_html('{} <span class="wechat-open-error">{}</span>', self.event(push), error)

    @admin.display(description=pgettext_lazy("wechat_open", "error"))
    def error_told(self, push: Push) -> str:
        return translated(push.error)

    # -- again -------------------------------------------------------------------------------------------------------

    def has_replay_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("wechat_open.replay_push")

    @action(permissions=["replay"], description=pgettext_lazy("wechat_open", "Process again"))
    def process_again(self, request: HttpRequest, queryset: QuerySet[Push]) -> HttpResponse | None:
        return self.carry_out(request, queryset, bulk.Action.REPLAY)

    def list_context(self, request: HttpRequest) -> dict[str, Any]:
        """Whether to offer to process again all that failed."""
        offer = self.has_replay_permission(request) and Push.objects.filter(state__in=UNSOLVED).exists()
        return {"unsolved": ",".join(UNSOLVED) if offer else ""}

    # -- looking into one --------------------------------------------------------------------------------------------

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view  # for staff, by CSRF token, and in no cache
        return [
            path("<int:pk>/payload/", wrap(self.payload_view), name="wechat_open_push_payload"),
            *super().get_urls(),
        ]

    def more_buttons(self, request: HttpRequest, row: Push) -> list[tuple[str, str]]:
        if not self.may_see_payload(request, row):
            return []
        return [(admin_url("wechat_open_push_payload", row.pk), gettext("Show what was pushed"))]

    def may_see_payload(self, request: HttpRequest, push: Push) -> bool:
        return request.user.has_perm("wechat_open.view_push_payload") and self.has_view_permission(request, push)

    @method_decorator(sensitive_variables())
    @own_transactions
    def payload_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """What was pushed, without its secrets."""
        push = self.get_queryset(request).select_related("component").filter(pk=pk).first()
        if push is None:
            raise Http404
        if not self.may_see_payload(request, push):
            raise PermissionDenied
        page = admin_url("wechat_open_push_change", pk)
        if request.method != "POST":  # a reload after a new login, or an address that was kept
            return HttpResponseRedirect(page)
        try:
            plain = push.reveal("payload").reveal()
            shown = payload.show(plain, read_plain(plain.encode()))
        except SealError:
            self.message_user(
                request, gettext("It cannot be decrypted: the key that encrypted it is missing."), messages.ERROR
            )
            return HttpResponseRedirect(page)
        except WeChatOpenError:
            self.message_user(request, gettext("It is neither XML nor JSON that can be read."), messages.ERROR)
            return HttpResponseRedirect(page)
        journal.note(
            journal.Kind.PAYLOAD_SEEN,
            push.component,
            appid=push.authorizer_appid,
            user=request.user,
            detail=f"{push.info_type} #{push.pk}",
        )
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "media": self.media,
            "title": gettext("What was pushed"),
            "subtitle": str(push),
            "original": push,
            "event": self.event(push),
            "account": self.account(push),
            "received": self.received(push),
            "lines": shown.lines,
            "source": shown.source,
            "format": shown.format,
            "hidden": sum(bool(line.hidden) for line in shown.lines),
            "has_view_permission": True,
        }
        return TemplateResponse(request, "admin/wechat_open/push/payload.html", context)

"""The list of pushes, and the page of one.

The list shows envelopes. The payload stays encrypted until an operator with the permission asks for it by POST; then it
is shown without its secrets, and the audit trail records who viewed it.
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

from .. import audit
from ..admin_urls import admin_url
from ..db.transactions import non_atomic_requests
from ..exceptions import EncryptionError, WeChatOpenError
from ..models import Push
from ..operations.pushes import Replay
from ..protocol.envelope import read_plain
from ..translation import translate
from . import redaction
from .base import RecordAdmin, column
from .changelist import PlatformFilter, appids_called
from .display import NOTHING, account_cell, account_of, beside, moment, tag, with_account

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
"""What each InfoType means. Tickets are not kept here."""

UNSOLVED = (Push.State.FAILED, Push.State.ABANDONED)


class TypeFilter(admin.SimpleListFilter):
    """The known types, without a query for those in the table. Any other is found by a search for it."""

    title = pgettext_lazy("wechat_open", "type")
    parameter_name = "info_type"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return list(TYPES.items())

    def queryset(self, request: HttpRequest, queryset: QuerySet[Push]) -> QuerySet[Push] | None:
        return queryset.filter(info_type=self.value()) if self.value() else None


def tagged_state(push: Push) -> SafeString:
    tones: dict[str, str] = {Push.State.DONE: "good", Push.State.RECEIVED: "busy"}
    return tag(push.get_state_display(), tones.get(push.state, "bad"))


@admin.register(Push)
class PushAdmin(RecordAdmin):
    list_display = ["received", "progress", "what", "account"]
    list_display_links = ["received"]
    list_filter = ["state", TypeFilter, "received_at", PlatformFilter]
    linked_lookups = frozenset({"state__in"})  # all that failed, to be processed again
    search_fields = ["authorizer_appid"]  # for the box; ``found`` says what is looked for
    search_help_text = _("Exactly: an appid or a type; or the beginning of an account's name")
    sortable_by = ["received"]
    fieldsets = [
        (pgettext_lazy("wechat_open", "The push"), {"fields": ["event", "account", "platform", "tagged_state"]}),
        (
            pgettext_lazy("wechat_open", "When"),
            {"fields": ["created_at_exact", "received_at_exact", "processed_at_exact", "next_attempt_at_exact"]},
        ),
        (pgettext_lazy("wechat_open", "Attempts"), {"fields": ["attempts", "error_text"]}),
    ]

    class Media:
        css = {"all": ["wechat_open/accounts.css"]}

    # -- columns -----------------------------------------------------------------------------------------------------

    def get_queryset(self, request: HttpRequest) -> QuerySet[Push]:
        return with_account(super().get_queryset(request), "authorizer_appid")

    def found(self, rows: QuerySet[Push], word: str) -> QuerySet[Push]:
        if word.lower() in TYPES:
            return rows.filter(info_type=word.lower())
        return rows.filter(Q(authorizer_appid__in=appids_called(word)) | Q(info_type=word))

    received = column(moment, "received_at", pgettext_lazy("wechat_open", "received"), ordering="received_at")
    error_text = column(translate, "error", pgettext_lazy("wechat_open", "error"))

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
        return tagged_state(push)

    @admin.display(description=pgettext_lazy("wechat_open", "state"))
    def progress(self, push: Push) -> SafeString:
        """The state, and how often it was tried."""
        times = npgettext("wechat_open", "%(count)d attempt", "%(count)d attempts", push.attempts) % {
            "count": push.attempts
        }
        return beside(self.tagged_state(push), times)

    @admin.display(description=pgettext_lazy("wechat_open", "type"))
    def what(self, push: Push) -> SafeString:
        """The type, and the error."""
        if not push.error or push.state == Push.State.DONE:
            return self.event(push)
        error = Truncator(translate(push.error)).chars(120)
        return format_html('{} <span class="wechat-open-error">{}</span>', self.event(push), error)

    def list_context(self, request: HttpRequest) -> dict[str, Any]:
        """Whether to offer to process all failed pushes again."""
        offer = Replay().allowed(request.user) and Push.objects.filter(state__in=UNSOLVED).exists()
        return {"unsolved": ",".join(UNSOLVED) if offer else ""}

    # -- the payload of one ------------------------------------------------------------------------------------------

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
    @non_atomic_requests
    def payload_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """What was pushed, without its secrets."""
        push = self.get_queryset(request).select_related("component").filter(pk=pk).first()
        if push is None:
            raise Http404
        if not self.may_see_payload(request, push):
            raise PermissionDenied
        page = admin_url("wechat_open_push_change", pk)
        if request.method != "POST":  # a reload after a new login, or a bookmark
            return HttpResponseRedirect(page)
        try:
            plain = push.reveal("payload").reveal()
            redacted = redaction.show(plain, read_plain(plain.encode()))
        except EncryptionError:
            self.message_user(
                request, gettext("It cannot be decrypted: its key is missing, or it was damaged."), messages.ERROR
            )
            return HttpResponseRedirect(page)
        except WeChatOpenError:
            self.message_user(request, gettext("It is neither XML nor JSON that can be read."), messages.ERROR)
            return HttpResponseRedirect(page)
        audit.record(
            audit.Kind.PAYLOAD_SEEN,
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
            "lines": redacted.lines,
            "source": redacted.source,
            "format": redacted.format,
            "hidden": sum(bool(line.hidden) for line in redacted.lines),
            "has_view_permission": True,
        }
        return TemplateResponse(request, "admin/wechat_open/push/payload.html", context)

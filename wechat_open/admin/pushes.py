"""What does an operator see of the inbox, and how is a push processed again?"""

from __future__ import annotations

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.safestring import SafeString
from django.utils.text import Truncator
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from .. import inbox
from ..exceptions import WeChatOpenError
from ..models import Push
from .base import ReadOnlyAdmin
from .shown import NOTHING, beside, moment, tag


@admin.register(Push)
class PushAdmin(ReadOnlyAdmin):
    """What was pushed stays sealed; only its envelope is shown."""

    list_display = ["received", "tagged_state", "event", "attempts", "error_shown", "component"]
    list_filter = ["state", "info_type", "received_at", ("component", admin.RelatedOnlyFieldListFilter)]
    list_select_related = ["component"]
    search_fields = ["authorizer_appid", "info_type"]
    search_help_text = _("Appid or type")
    actions = ["process_again"]
    fieldsets = [
        (None, {"fields": ["info_type", "authorizer_appid", "component", "tagged_state"]}),
        (_("When"), {"fields": ["created_at", "received_at", "processed_at", "next_attempt_at"]}),
        (_("Attempts"), {"fields": ["attempts", "error"]}),
    ]

    @admin.display(description=_("received"), ordering="received_at")
    def received(self, push: Push) -> str | SafeString:
        return moment(push.received_at)

    @admin.display(description=_("event"), ordering="info_type")
    def event(self, push: Push) -> SafeString:
        return beside(push.info_type, push.authorizer_appid)

    @admin.display(description=_("state"), ordering="state")
    def tagged_state(self, push: Push) -> SafeString:
        tone = {Push.State.DONE: "good", Push.State.RECEIVED: "busy"}
        return tag(push.get_state_display(), tone.get(Push.State(push.state), "bad"))

    @admin.display(description=_("error"))
    def error_shown(self, push: Push) -> str:
        return Truncator(push.error).chars(90) or NOTHING

    def has_replay_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("wechat_open.replay_push")

    @admin.action(permissions=["replay"], description=_("Process again"))
    def process_again(self, request: HttpRequest, queryset: QuerySet[Push]) -> HttpResponse | None:
        return self.perform(request, queryset, _replay, done=_("It was processed."))


def _replay(push: Push) -> None:
    """Its failure as an exception, for the operator."""
    inbox.replay(push)
    push.refresh_from_db()
    if push.error:
        raise WeChatOpenError(gettext("It failed again: %s") % push.error)

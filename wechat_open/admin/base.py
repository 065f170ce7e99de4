"""What do all our admin pages share?

Rows that WeChat writes are looked at and not typed in. What an operator can set going is an action with a permission of
its own, sent by POST, and in the account's history.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeVar

from django.contrib import admin, messages
from django.contrib.admin import ModelAdmin
from django.contrib.admin.utils import flatten_fieldsets
from django.db import connections, transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import Truncator
from django.utils.translation import gettext_lazy as _

from ..exceptions import WeChatOpenError
from ..models import TokenHolder
from .shown import NOTHING, explained, masked, moment, time_left, told

_View = TypeVar("_View", bound=Callable[..., HttpResponse])

PATIENCE = 30.0
"""Seconds after which an action leaves the remaining rows alone: a browser and a proxy are waiting."""


def own_transactions(view: _View) -> _View:
    """Not wrapped by ATOMIC_REQUESTS: actions call WeChat, and no transaction is held across that."""
    for alias in connections:
        view = transaction.non_atomic_requests(using=alias)(view)
    return view


class ReadOnlyAdmin(ModelAdmin):  # type: ignore[type-arg]  # not generic at run time
    """Rows to look at. Sealed columns are on no page: ``fieldsets`` names what is shown."""

    list_per_page = 50
    view_on_site = False  # a link's page is for who was sent there
    show_full_result_count = False  # counting everything twice takes long in a large table
    # No date_hierarchy: MariaDB without its time-zone tables raises on it. Date filters serve as well.

    class Media:
        css = {"all": ["wechat_open/admin.css"]}

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        return flatten_fieldsets(self.get_fieldsets(request, obj))

    @own_transactions
    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        return super().changelist_view(request, {**self.list_context(request), **(extra_context or {})})

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
        """Our actions as buttons. They are sent to the list's own door, which knows permissions and CSRF."""
        buttons = self.get_action_choices(request, default_choices=[])
        return super().changeform_view(request, object_id, form_url, {"buttons": buttons, **(extra_context or {})})

    def perform(
        self, request: HttpRequest, rows: QuerySet[Any], deed: Callable[[Any], object], *, done: object
    ) -> HttpResponse | None:
        """Do it to each row, say what came of it, and note it in the row's history."""
        ends_at = time.monotonic() + PATIENCE
        for row in rows:
            if time.monotonic() > ends_at:
                self.message_user(request, _("That took long; the remaining rows were left alone."), messages.WARNING)
                break
            try:
                deed(row)
            except WeChatOpenError as error:
                said, level = told(error), messages.ERROR
            else:
                said, level = str(done), messages.SUCCESS
            self.log_change(request, row, said)
            self.message_user(request, f"“{row}”: {said}", level)  # Django makes the first letter a capital
        back = request.POST.get("back_to")
        if not back:
            return None
        return HttpResponseRedirect(reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_change", args=[back]))


class HolderAdmin(ReadOnlyAdmin):
    """Rows that hold an access token."""

    last_failure = (_("Last failure"), {"fields": ["failures", "last_failed_at", "last_error", "last_rid"]})

    def get_fieldsets(self, request: HttpRequest, obj: TokenHolder | None = None) -> Any:
        """How it failed only when it did."""
        fieldsets = super().get_fieldsets(request, obj)
        return [*fieldsets, self.last_failure] if obj and obj.last_error else fieldsets

    @admin.display(description=_("token time left"), ordering="access_token_expires_at")
    def time_left(self, holder: TokenHolder) -> str | SafeString:
        return time_left(holder)

    @admin.display(description=_("problem"))
    def problem(self, holder: TokenHolder) -> str:
        said = explained(holder.last_errcode, holder.last_rid) or holder.last_error
        return Truncator(said).chars(90) or NOTHING

    @admin.display(description=_("access token"))
    def access_token_shown(self, holder: TokenHolder) -> str | SafeString:
        current = masked(holder, "access_token")
        return format_html("{} {}", current, moment(holder.access_token_obtained_at)) if current != NOTHING else current

    @admin.display(description=_("next renewal"))
    def next_renewal(self, holder: TokenHolder) -> str | SafeString:
        return moment(holder.next_action_at)

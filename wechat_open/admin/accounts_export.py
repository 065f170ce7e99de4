"""The filtered list of accounts as a file: its columns, and the permission to export it.

By POST, because each export is an entry of the audit trail. Keys are read first and rows in pieces, so that memory is
bounded on every database.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.contrib import messages
from django.contrib.admin.options import IncorrectLookupParameters
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponseNotAllowed, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.utils.translation import get_language, gettext, pgettext, pgettext_lazy
from django.utils.translation import gettext_lazy as _

from .. import audit
from ..admin_urls import admin_url
from ..db.chunks import by_keys
from ..db.fields import is_damaged
from ..db.times import site_time
from ..models import Authorizer, tenant_of
from ..protocol import permissions
from ..translation import describe_errcode, translate
from . import export
from .base import RowAdmin
from .display import DAMAGED, platform
from .filters import known
from .lookups import RefusedFilter
from .reader import may_view

MOST_EXPORTED = 100_000


def view(model_admin: RowAdmin, request: HttpRequest) -> HttpResponseBase:
    """What the list shows with the filters of this address, as CSV or XLSX."""
    if request.method != "POST":
        return HttpResponseNotAllowed(["POST"])
    if not model_admin.has_view_permission(request) or not request.user.has_perm("wechat_open.export_account"):
        raise PermissionDenied
    as_workbook = request.POST.get("format") == "xlsx"
    back = HttpResponseRedirect(f"{admin_url('wechat_open_authorizer_changelist')}?{request.GET.urlencode()}")
    if as_workbook and not export.has_workbooks():
        message = gettext("XLSX needs a library: “pip install django-wechat-open[xlsx]”. CSV works without it.")
        model_admin.message_user(request, message, messages.ERROR)
        return back
    try:
        rows: QuerySet[Authorizer] = model_admin.get_changelist_instance(request).queryset
    except (RefusedFilter, IncorrectLookupParameters) as error:
        return model_admin.refused(request, error)
    keys = list(rows.values_list("pk", flat=True)[: MOST_EXPORTED + 1])
    _record(request, min(len(keys), MOST_EXPORTED), "XLSX" if as_workbook else "CSV")
    make = export.as_workbook if as_workbook else export.as_file
    # The tenant is in the link.
    columns = [column for column in COLUMNS if column[1] is not _tenant or may_view("authorizationlink")]
    cut = _("Cut off after %(count)s accounts: use the filters.")
    return make(export.Table("wechat-accounts", columns, MOST_EXPORTED, cut), _pieces(keys))


def _record(request: HttpRequest, count: int, kind: str) -> None:
    """One entry for each platform whose accounts may be among them."""
    filters = request.GET.urlencode()[:200]
    detail = f"{kind} {count}" + (f" ?{filters}" if filters else "")
    chosen = request.GET.get("component__id__exact", "")
    for component in known(request).components:
        if chosen in ("", str(component.pk)):
            audit.record(audit.Kind.EXPORTED, component, user=request.user, detail=detail)


def _pieces(keys: list[int]) -> Iterator[Authorizer]:
    rows = Authorizer.objects.select_related("component", "granted_through")
    columns = [
        *("component__appid", "appid", "nick_name", "kind", "verify_type", "principal_name", "user_name", "alias"),
        *("granted_through__payload", "state", "last_errcode", "last_error", "last_rid", "access_token_expires_at"),
        *("authorized_at", "unauthorized_at", "func_info"),
    ]
    return by_keys(rows.only(*columns), keys, export.PIECE)


def _time(at: Any) -> str:
    return site_time(at).strftime("%Y-%m-%d %H:%M:%S") if at else ""


def _tenant(account: Authorizer) -> str:
    if account.granted_through is None:
        return ""
    payload = account.granted_through.payload
    return str(DAMAGED) if is_damaged(payload) else tenant_of(payload)


def _verified(account: Authorizer) -> str:
    if account.verify_type is None:
        return ""
    return pgettext("wechat_open", "verified") if account.verify_type >= 0 else pgettext("wechat_open", "not verified")


def _problem(account: Authorizer) -> str:
    return describe_errcode(account.last_errcode, account.last_rid) or translate(account.last_error)


def _sets(account: Authorizer) -> str:
    if is_damaged(account.func_info):
        return str(DAMAGED)
    language = get_language() or "en"
    return "; ".join(f"{number} {permissions.name(number, language)}" for number in account.func_info)


COLUMNS: tuple[export.Column, ...] = (
    (pgettext_lazy("wechat_open", "platform"), lambda account: platform(account.component)),
    (pgettext_lazy("wechat_open", "appid"), lambda account: account.appid),
    (pgettext_lazy("wechat_open", "name"), lambda account: account.nick_name),
    (pgettext_lazy("wechat_open", "kind"), lambda account: str(account.get_kind_display())),
    (pgettext_lazy("wechat_open", "verified"), _verified),
    (pgettext_lazy("wechat_open", "principal"), lambda account: account.principal_name),
    (pgettext_lazy("wechat_open", "original id"), lambda account: account.user_name),
    (pgettext_lazy("wechat_open", "WeChat id"), lambda account: account.alias),
    (pgettext_lazy("wechat_open", "tenant"), _tenant),
    (pgettext_lazy("wechat_open", "state"), lambda account: str(account.get_state_display())),
    (pgettext_lazy("wechat_open", "problem"), _problem),
    (_("token expires at"), lambda account: _time(account.access_token_expires_at)),
    (pgettext_lazy("wechat_open", "authorized at"), lambda account: _time(account.authorized_at)),
    (pgettext_lazy("wechat_open", "unauthorized at"), lambda account: _time(account.unauthorized_at)),
    (pgettext_lazy("wechat_open", "permission sets"), _sets),
)

"""The filtered list of accounts as a file: which cells a row has, and who may take it along.

By POST, because each export is an entry of the audit trail. Keys are read first and rows in pieces, so that memory is
bounded on every database.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from django.contrib import messages
from django.contrib.admin.options import IncorrectLookupParameters
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponseNotAllowed, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.utils.translation import gettext, pgettext, pgettext_lazy
from django.utils.translation import gettext_lazy as _

from .. import journal
from ..admin_urls import may_view
from ..health.finding import grouped
from ..models import Authorizer, tenant_of
from ..protocol import permissions
from ..telling import explained, translated
from ..times import site_time
from . import export
from .lookups import RefusedFilter
from .shown import platform
from .sorts import known

if TYPE_CHECKING:
    from .accounts import AuthorizerAdmin

MOST_EXPORTED = 100_000
COLUMNS = (
    pgettext_lazy("wechat_open", "platform"),
    pgettext_lazy("wechat_open", "appid"),
    pgettext_lazy("wechat_open", "name"),
    pgettext_lazy("wechat_open", "kind"),
    pgettext_lazy("wechat_open", "verified"),
    pgettext_lazy("wechat_open", "principal"),
    pgettext_lazy("wechat_open", "original id"),
    pgettext_lazy("wechat_open", "WeChat id"),
    pgettext_lazy("wechat_open", "tenant"),
    pgettext_lazy("wechat_open", "state"),
    pgettext_lazy("wechat_open", "problem"),
    _("token expires at"),
    pgettext_lazy("wechat_open", "authorized at"),
    pgettext_lazy("wechat_open", "unauthorized at"),
    pgettext_lazy("wechat_open", "permission sets"),
)
TENANT = 8
"""The place of the tenant among them."""


def view(model_admin: AuthorizerAdmin, request: HttpRequest) -> HttpResponseBase:
    """What the list shows with the filters of this address, as CSV or XLSX."""
    if request.method != "POST":
        return HttpResponseNotAllowed(["POST"])
    if not model_admin.has_view_permission(request) or not model_admin.has_export_permission(request):
        raise PermissionDenied
    as_workbook = request.POST.get("format") == "xlsx"
    back = HttpResponseRedirect(f"{model_admin.list_address()}?{request.GET.urlencode()}")
    if as_workbook and not export.has_workbooks():
        said = gettext("XLSX needs a library: “pip install django-wechat-open[xlsx]”. CSV works without it.")
        model_admin.message_user(request, said, messages.ERROR)
        return back
    try:
        rows: QuerySet[Authorizer] = model_admin.get_changelist_instance(request).queryset
    except RefusedFilter as error:
        return model_admin.refused(request, error)
    except IncorrectLookupParameters:
        return model_admin.refused(request)
    keys = list(rows.values_list("pk", flat=True)[: MOST_EXPORTED + 1])
    _record(request, min(len(keys), MOST_EXPORTED), "XLSX" if as_workbook else "CSV")
    make = export.as_workbook if as_workbook else export.as_file
    columns, cells = (COLUMNS, _cells) if may_view("authorizationlink") else (_without(COLUMNS), _without_tenant)
    return make("wechat-accounts", columns, _pieces(keys), cells, most=MOST_EXPORTED, cut=_cut)


def _record(request: HttpRequest, count: int, kind: str) -> None:
    """One entry for each platform whose accounts may be among them."""
    filters = request.GET.urlencode()[:200]
    detail = f"{kind} {count}" + (f" ?{filters}" if filters else "")
    chosen = request.GET.get("component__id__exact", "")
    for component in known(request).components:
        if chosen in ("", str(component.pk)):
            journal.note(journal.Kind.EXPORTED, component, user=request.user, detail=detail)


def _pieces(keys: list[int]) -> Iterator[Authorizer]:
    rows = Authorizer.objects.select_related("component", "granted_through")
    columns = [
        *("component__appid", "appid", "nick_name", "kind", "verify_type", "principal_name", "user_name", "alias"),
        *("granted_through__payload", "state", "last_errcode", "last_error", "last_rid", "access_token_expires_at"),
        *("authorized_at", "unauthorized_at", "func_info"),
    ]
    for start in range(0, len(keys), export.PIECE):
        piece = keys[start : start + export.PIECE]
        found = rows.only(*columns).in_bulk(piece)
        yield from (found[key] for key in piece if key in found)


def _without(row: Sequence[Any]) -> list[Any]:
    return [cell for place, cell in enumerate(row) if place != TENANT]


def _without_tenant(account: Authorizer, language: str) -> list[str]:
    """For who may see no links: a tenant is what a link says."""
    return _without(_cells(account, language))


def _cells(account: Authorizer, language: str) -> list[str]:
    link = account.granted_through
    verified = {True: pgettext("wechat_open", "verified"), False: pgettext("wechat_open", "not verified")}
    return [
        platform(account.component),
        account.appid,
        account.nick_name,
        str(account.get_kind_display()),
        "" if account.verify_type is None else verified[account.verify_type >= 0],
        account.principal_name,
        account.user_name,
        account.alias,
        tenant_of(link.payload) if link else "",
        str(account.get_state_display()),
        explained(account.last_errcode, account.last_rid) or translated(account.last_error),
        _time(account.access_token_expires_at),
        _time(account.authorized_at),
        _time(account.unauthorized_at),
        "; ".join(f"{number} {permissions.name(number, language)}" for number in account.func_info),
    ]


def _time(at: Any) -> str:
    return site_time(at).strftime("%Y-%m-%d %H:%M:%S") if at else ""


def _cut() -> str:
    return gettext("Cut off after %(count)s accounts: use the filters.") % {"count": grouped(MOST_EXPORTED)}

"""The pages of one link: its form, the page itself, its address and its QR code.

Each is a function of the ModelAdmin, which says who may see what.
"""

from __future__ import annotations

from typing import Any, cast

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import NoReverseMatch
from django.utils.translation import gettext, pgettext
from django.views.decorators.debug import sensitive_variables

from ... import audit, authorization
from ...admin_urls import admin_url
from ...authorization import qr
from ...exceptions import WeChatOpenError
from ...models import AuthorizationLink
from ...translation import translate_error
from . import timeline
from .form import LinkForm, account_asked_for, initial, why_elsewhere


def add(model_admin: Any, request: HttpRequest, more: dict[str, Any]) -> HttpResponse:
    """The form. The new link is shown by its own address view, to which this POST is redirected."""
    if not model_admin.has_add_permission(request):
        raise PermissionDenied
    site = {"hosts": {request.get_host(), authorization.base_url(request).partition("://")[2]}}
    account = account_asked_for(request)
    if request.method == "POST":
        form = LinkForm(request.POST, https=request.is_secure(), **site)
    else:
        form = LinkForm(initial=initial(request, account), https=request.is_secure(), **site)
    if request.method == "POST" and form.is_valid():
        try:
            link = authorization.begin(user=request.user, **form.to_begin())
        except WeChatOpenError as error:
            form.add_error(None, translate_error(error))
        else:
            return _created(model_admin, request, link)
    if account is not None and (why := why_elsewhere(account)):
        model_admin.message_user(request, why, messages.WARNING)
    context = {
        **model_admin.admin_site.each_context(request),
        "opts": model_admin.opts,
        "media": model_admin.media,
        "title": gettext("Invite an owner"),
        "form": form,
        "account": account,
        "has_view_permission": model_admin.has_view_permission(request),
        **more,
    }
    return TemplateResponse(request, "admin/wechat_open/authorizationlink/add_form.html", context)


def _created(model_admin: Any, request: HttpRequest, link: AuthorizationLink) -> HttpResponse:
    _record(audit.Kind.LINK_MADE, request, link)
    model_admin.log_addition(request, link, gettext("A link was created."))
    model_admin.message_user(request, gettext("The link is ready. Send its address or its QR code."), messages.SUCCESS)
    # 307: the browser repeats its POST there, so that the address is the answer to a POST and of no GET.
    address = admin_url("wechat_open_authorizationlink_address", link.pk)
    return HttpResponseRedirect(address, status=307)


def page(model_admin: Any, request: HttpRequest, link: AuthorizationLink, more: dict[str, Any]) -> HttpResponse:
    fieldsets = cast(Any, model_admin.get_fieldsets(request, link))
    form = model_admin.get_form(request, link, change=True)(instance=link)
    found = timeline.of(link)
    is_open = found.state == "open"
    context = {
        **model_admin.admin_site.each_context(request),
        "opts": model_admin.opts,
        "media": model_admin.media,
        "title": pgettext("wechat_open", "Authorization link"),
        "subtitle": str(link),
        "original": link,
        "timeline": found,
        "may_show": is_open and model_admin.may_see_address(request, link),
        "may_revoke": is_open and model_admin.has_revoke_permission(request),
        "fieldsets": admin.helpers.AdminForm(
            form, fieldsets, {}, model_admin.get_readonly_fields(request, link), model_admin
        ),
        "has_view_permission": model_admin.has_view_permission(request, link),
        **more,
    }
    return TemplateResponse(request, "admin/wechat_open/authorizationlink/change_form.html", context)


@sensitive_variables()
def address(model_admin: Any, request: HttpRequest, pk: int) -> HttpResponse:
    """The page of the link with its address and QR code."""
    if request.method != "POST":  # a reload after a new login, or an address that was kept
        return _to_page(pk)
    link = _open_link(model_admin, request, pk)
    if isinstance(link, HttpResponse):
        return link
    address = authorization.base_url(request) + link.get_absolute_url()
    return page(model_admin, request, link, {"address": address, "qr": qr.draw(address)})


@sensitive_variables()
def qr_code(model_admin: Any, request: HttpRequest, pk: int) -> HttpResponse:
    """The QR code as a file, to print or to send."""
    if request.method != "POST":
        return HttpResponseNotAllowed(["POST"])
    link = _open_link(model_admin, request, pk)
    if isinstance(link, HttpResponse):
        return link
    kind = "svg" if request.POST.get("format") == "svg" else "png"
    picture = qr.picture(authorization.base_url(request) + link.get_absolute_url(), kind)
    response = HttpResponse(picture, content_type={"svg": "image/svg+xml", "png": "image/png"}[kind])
    response["Content-Disposition"] = f'attachment; filename="wechat-link-{link.pk}.{kind}"'
    return response


def _open_link(model_admin: Any, request: HttpRequest, pk: int) -> AuthorizationLink | HttpResponse:
    """The link with its key, which is recorded; or a redirect to its page with the reason why not."""
    links = model_admin.get_queryset(request).select_related("component", "user", "authorizer")
    link: AuthorizationLink | None = links.filter(pk=pk).first()
    if link is None:
        raise Http404
    if not model_admin.may_see_address(request, link):
        raise PermissionDenied
    if why_not := _why_closed(link):
        model_admin.message_user(request, why_not, messages.ERROR)
        return _to_page(pk)
    _record(audit.Kind.LINK_SHOWN, request, link)
    return link


def _why_closed(link: AuthorizationLink) -> str:
    """Why there is no address to show; empty when ``link`` has one now."""
    if timeline.state_of(link) != "open":
        return gettext("This link can no longer be opened: its address is no longer valid.")
    try:
        link.with_key().get_absolute_url()
    except NoReverseMatch:
        return gettext("This site does not include the URLs of wechat_open: a link leads nowhere.")
    except WeChatOpenError as error:
        return translate_error(error)
    return ""


def _record(kind: audit.Kind, request: HttpRequest, link: AuthorizationLink) -> None:
    audit.record(kind, link.component, appid=link.biz_appid, user=request.user, detail=f"#{link.pk}")


def _to_page(pk: int) -> HttpResponse:
    return HttpResponseRedirect(admin_url("wechat_open_authorizationlink_change", pk))

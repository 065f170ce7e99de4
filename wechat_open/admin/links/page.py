"""Who gets to see the page of a link, and who its address?"""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any, cast

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import NoReverseMatch, URLPattern, path
from django.utils.decorators import method_decorator
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import get_language, gettext, pgettext, pgettext_lazy
from django.utils.translation import gettext_lazy as _
from django.views.decorators.debug import sensitive_variables

from ... import authorization, journal, qr
from ...admin_urls import admin_url
from ...conf import conf
from ...exceptions import WeChatOpenError
from ...models import AuthorizationLink
from ...protocol import permissions
from ...telling import told
from ...times import utc_now
from ..base import ReadOnlyAdmin, own_transactions
from ..named import account_link, account_of
from ..shown import NOTHING, lines
from . import story
from .form import LinkForm, account_asked_for, initial, why_elsewhere

MAKERS_TIME = timedelta(minutes=10)
"""For so long whoever made a link gets its address without the permission to share any link."""


class LinkPages(ReadOnlyAdmin):
    """The form, the page of one link, and the doors to its address."""

    buttons_in_fields = False
    fieldsets = [
        (
            pgettext_lazy("wechat_open", "The link"),
            {"fields": ["platform", "user", "created_at_exact", "expires_at_exact"]},
        ),
        (_("What the owner is asked for"), {"fields": ["expected", "auth_type", "permission_sets"]}),
        (_("For your own code"), {"fields": ["payload_shown", "next_url"]}),
    ]

    # -- fields ------------------------------------------------------------------------------------------------------

    @admin.display(description=_("only this account"))
    def expected(self, link: AuthorizationLink) -> str | SafeString:
        account = account_of(link, link.biz_appid)
        return account_link(account) if account else link.biz_appid or NOTHING

    @admin.display(description=pgettext_lazy("wechat_open", "tenant"))
    def payload_shown(self, link: AuthorizationLink) -> str | SafeString:
        if not link.payload:
            return NOTHING
        text = json.dumps(link.payload, ensure_ascii=False, indent=2)
        return format_html('<pre class="wechat-open-data">{}</pre>', text)

    @admin.display(description=_("permission sets asked for"))
    def permission_sets(self, link: AuthorizationLink) -> str | SafeString:
        if not link.category_ids:
            return gettext("all that the platform has released")
        language = get_language() or "en"
        return lines([f"{id} {permissions.name(id, language)}" for id in link.category_ids])

    # -- who may -----------------------------------------------------------------------------------------------------

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("wechat_open.authorize_account")

    def has_revoke_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("wechat_open.revoke_link")

    def may_see_address(self, request: HttpRequest, link: AuthorizationLink) -> bool:
        if request.user.has_perm("wechat_open.share_link") and self.has_view_permission(request, link):
            return True
        mine = link.user_id is not None and link.user_id == request.user.pk
        return mine and self.has_add_permission(request) and link.created_at > utc_now() - MAKERS_TIME

    # -- the form ----------------------------------------------------------------------------------------------------

    @own_transactions
    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The form; what it makes is shown by the link's own door, to which this POST is sent on."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        surroundings = {"hosts": {request.get_host(), _origin(request).partition("://")[2]}}
        account = account_asked_for(request)
        if request.method == "POST":
            form = LinkForm(request.POST, https=request.is_secure(), **surroundings)
        else:
            form = LinkForm(initial=initial(request, account), https=request.is_secure(), **surroundings)
        if request.method == "POST" and form.is_valid():
            try:
                link = authorization.begin(user=request.user, **form.to_begin())
            except WeChatOpenError as error:
                form.add_error(None, told(error))
            else:
                return self._made(request, link)
        if account is not None and (why := why_elsewhere(account)):
            self.message_user(request, why, messages.WARNING)
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "media": self.media,
            "title": gettext("Invite an owner"),
            "form": form,
            "account": account,
            "has_view_permission": self.has_view_permission(request),
            **(extra_context or {}),
        }
        return TemplateResponse(request, "admin/wechat_open/authorizationlink/add_form.html", context)

    def _made(self, request: HttpRequest, link: AuthorizationLink) -> HttpResponse:
        _note(journal.Kind.LINK_MADE, request, link)
        self.log_addition(request, link, gettext("A link was created."))
        self.message_user(request, gettext("The link is ready. Send its address or its QR code."), messages.SUCCESS)
        # 307: the browser sends its POST on, so that the address is an answer to a POST and to be had by no GET.
        address = admin_url("wechat_open_authorizationlink_address", link.pk)
        return HttpResponseRedirect(address, status=307)

    # -- the page ----------------------------------------------------------------------------------------------------

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The link's page, without its address."""
        link = self.get_object(request, object_id)
        if link is None:
            raise Http404
        if request.method == "POST" or not self.has_view_permission(request, link):
            raise PermissionDenied
        return self._page(request, link, extra_context or {})

    def _page(self, request: HttpRequest, link: AuthorizationLink, more: dict[str, Any]) -> HttpResponse:
        fieldsets = cast(Any, self.get_fieldsets(request, link))
        form = self.get_form(request, link, change=True)(instance=link)
        told_of = story.of(link)
        is_open = told_of.state == "open"
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "media": self.media,
            "title": pgettext("wechat_open", "Authorization link"),
            "subtitle": str(link),
            "original": link,
            "story": told_of,
            "may_show": is_open and self.may_see_address(request, link),
            "may_revoke": is_open and self.has_revoke_permission(request),
            "fieldsets": admin.helpers.AdminForm(form, fieldsets, {}, self.get_readonly_fields(request, link), self),
            "has_view_permission": self.has_view_permission(request, link),
            **more,
        }
        return TemplateResponse(request, "admin/wechat_open/authorizationlink/change_form.html", context)

    # -- the address -------------------------------------------------------------------------------------------------

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view  # for staff, by CSRF token, and in no cache
        return [
            path("<int:pk>/address/", wrap(self.address_view), name="wechat_open_authorizationlink_address"),
            path("<int:pk>/qr/", wrap(self.qr_view), name="wechat_open_authorizationlink_qr"),
            *super().get_urls(),
        ]

    @method_decorator(sensitive_variables())
    @own_transactions
    def address_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """The link's page with its address and QR code."""
        if request.method != "POST":  # a reload after a new login, or an address that was kept
            return _to_page(pk)
        link = self._opened(request, pk)
        if isinstance(link, HttpResponse):
            return link
        address = _origin(request) + link.get_absolute_url()
        return self._page(request, link, {"address": address, "qr": qr.draw(address)})

    @method_decorator(sensitive_variables())
    @own_transactions
    def qr_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """The QR code as a file, to print or to send."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        link = self._opened(request, pk)
        if isinstance(link, HttpResponse):
            return link
        kind = "svg" if request.POST.get("format") == "svg" else "png"
        picture = qr.picture(_origin(request) + link.get_absolute_url(), kind)
        response = HttpResponse(picture, content_type={"svg": "image/svg+xml", "png": "image/png"}[kind])
        response["Content-Disposition"] = f'attachment; filename="wechat-link-{link.pk}.{kind}"'
        return response

    def _opened(self, request: HttpRequest, pk: int) -> AuthorizationLink | HttpResponse:
        """The link, ready to tell its address to who is asking, which is noted; or the way back with the reason."""
        links = self.get_queryset(request).select_related("component", "user", "authorizer")
        link: AuthorizationLink | None = links.filter(pk=pk).first()
        if link is None:
            raise Http404
        if not self.may_see_address(request, link):
            raise PermissionDenied
        if why_not := _shut(link):
            self.message_user(request, why_not, messages.ERROR)
            return _to_page(pk)
        _note(journal.Kind.LINK_SHOWN, request, link)
        return link


def _shut(link: AuthorizationLink) -> str:
    """Why there is no address to show; empty when there is one, which ``link`` then knows."""
    if story.state_of(link) != "open":
        return gettext("This link can no longer be opened: its address is no longer valid.")
    try:
        link.with_key().get_absolute_url()
    except NoReverseMatch:
        return gettext("This site does not include the URLs of wechat_open: a link leads nowhere.")
    except WeChatOpenError as error:
        return told(error)
    return ""


def _note(kind: journal.Kind, request: HttpRequest, link: AuthorizationLink) -> None:
    journal.note(kind, link.component, appid=link.biz_appid, user=request.user, detail=f"#{link.pk}")


def _to_page(pk: int) -> HttpResponse:
    return HttpResponseRedirect(admin_url("wechat_open_authorizationlink_change", pk))


def _origin(request: HttpRequest) -> str:
    """Scheme and host under which owners open the link."""
    return conf.site_url or f"{request.scheme}://{request.get_host()}"

"""How does an operator invite an owner, and what became of it?

A form makes a link; its page says whether anybody has opened it, on what, and which account came of it. The address is
a key: it is shown to who may share links, and to its maker for a few minutes, each time by a POST that the journal
notes. It is in no address of the admin's own.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, cast

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.auth import get_user_model
from django.core.exceptions import PermissionDenied
from django.db.models import Count, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import NoReverseMatch, URLPattern, path, reverse
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import Truncator
from django.utils.translation import get_language, gettext, ngettext, pgettext_lazy
from django.utils.translation import gettext_lazy as _
from django.views.decorators.debug import sensitive_variables

from .. import authorization, clock, journal, qr
from ..component import platform_of
from ..conf import DEFAULT_ALIAS, conf
from ..exceptions import AuthorizationRefused, WeChatOpenError
from ..models import AuthorizationAttempt, AuthorizationLink, Authorizer, CodeExchange, JournalEntry
from ..protocol import permissions
from .base import ReadOnlyAdmin, own_transactions
from .lists import BoundedPaginator, PlatformFilter, accounts_called, accounts_with, several_platforms
from .shown import NOTHING, beside, duration, lines, moment, tag

MAKERS_TIME = timedelta(minutes=10)
"""For so long whoever made a link gets its address without the permission to share any link."""

LONGEST = timedelta(days=30)
AT_ONCE = 1000
"""So many links are revoked by one click."""

VIEWS_SHOWN = 50
SAMPLE = 10

DEVICES = {
    "pc": _("on a computer"),
    "phone": _("on a phone"),
    "wechat": _("on a phone, in WeChat"),
}

KINDS: tuple[tuple[permissions.Kind, Any], ...] = (
    ("official", _("For official accounts")),
    ("mini", _("For mini programs")),
    ("channels", _("For channels accounts")),
)


# -- making ------------------------------------------------------------------------------------------------------------


class LinkForm(forms.Form):
    """Whom to invite, and for what."""

    component = forms.ChoiceField(label=_("Platform"))
    biz_appid = forms.RegexField(
        label=_("Expected account"),
        regex=r"\A[A-Za-z0-9_-]{1,64}\Z",
        required=False,
        help_text=_("Its appid, if only this account may authorize. Empty: whichever the owner chooses."),
        error_messages={"invalid": _("An appid is letters and digits, such as wx4c9e2f70d81b35a6.")},
        widget=forms.TextInput(
            attrs={"class": "vTextField", "placeholder": "wx…", "autocomplete": "off", "spellcheck": "false"}
        ),
    )
    auth_type = forms.ChoiceField(
        label=_("Kinds of account"),
        choices=[(kind.name.lower(), kind.label) for kind in AuthorizationLink.AuthType],
        help_text=_("WeChat lets the owner choose among accounts of these kinds."),
    )
    category_ids = forms.TypedMultipleChoiceField(
        label=_("Permission sets"),
        coerce=int,
        choices=lambda: [(known.id, known.id) for known in permissions.NAMES.values()],
        required=False,
        help_text=_("None chosen: all that the platform has released."),
    )
    payload = forms.CharField(
        label=_("Tenant"),
        required=False,
        max_length=4000,
        help_text=_(
            "Whose account it will be, for your own code: it comes with the signal when the owner has authorized. "
            "One “name = value” a line, such as “shop = 7”, or a JSON object. No passwords: it is shown in the list."
        ),
        widget=forms.Textarea(attrs={"class": "vLargeTextField", "rows": 3, "spellcheck": "false"}),
    )
    expires = forms.ChoiceField(label=_("Can be opened for"), required=False)
    hours = forms.FloatField(
        label=_("Hours"),
        required=False,
        min_value=0.1,
        max_value=LONGEST / timedelta(hours=1),
        help_text=_("If you chose “another time” above: 0.1 to 720."),
        widget=forms.NumberInput(attrs={"class": "vIntegerField", "step": "any"}),
    )
    next_url = forms.CharField(
        label=_("Where the owner goes next"),
        required=False,
        max_length=2000,
        help_text=_("A path of this site, or the name of a URL. Empty: as the settings say, or our own page."),
        widget=forms.TextInput(attrs={"class": "vTextField", "spellcheck": "false"}),
    )

    def __init__(self, *args: Any, hosts: Iterable[str], https: bool, **kwargs: Any) -> None:
        super().__init__(*args, **{"label_suffix": "", **kwargs})
        self.hosts, self.https = hosts, https
        cast(forms.ChoiceField, self.fields["component"]).choices = [
            (alias, _named(alias)) for alias in conf.components
        ]
        cast(forms.ChoiceField, self.fields["expires"]).choices = _lives()

    def clean_payload(self) -> dict[str, Any]:
        return read_payload(self.cleaned_data["payload"])

    def clean_next_url(self) -> str:
        wanted: str = self.cleaned_data["next_url"]
        if wanted:
            try:
                authorization.destination(wanted, hosts=self.hosts, https=self.https)
            except ValueError as error:
                raise forms.ValidationError(str(error), code="elsewhere") from error
        return wanted

    def clean(self) -> dict[str, Any]:
        chosen: dict[str, Any] = super().clean() or self.cleaned_data
        if chosen.get("expires") == "other" and "hours" in chosen and not chosen["hours"]:
            self.add_error("hours", forms.ValidationError(_("Say for how many hours."), code="required"))
        return chosen

    def to_begin(self) -> dict[str, Any]:
        """The arguments of ``authorization.begin``."""
        chosen = self.cleaned_data
        hours = chosen["hours"] if chosen["expires"] == "other" else float(chosen["expires"] or 0)
        return {
            "component": chosen["component"],
            "auth_type": chosen["auth_type"],
            "biz_appid": chosen["biz_appid"],
            "category_ids": tuple(chosen["category_ids"]),
            "payload": chosen["payload"],
            "next_url": chosen["next_url"],
            "expires_in": timedelta(hours=hours) if hours else None,
        }

    def permission_groups(self) -> list[dict[str, Any]]:
        """The permission sets by kind, for the template: names in the reader's language, and which are chosen."""
        language = get_language() or "en"
        chosen = {str(number) for number in self["category_ids"].value() or ()}
        groups = []
        for kind, label in KINDS:
            sets = permissions.offered(kind, chosen, language)
            count = sum(bool(set_["chosen"]) for set_ in sets)
            groups.append({"label": label, "sets": sets, "count": count})
        return groups


def read_payload(text: str) -> dict[str, Any]:
    """A tenant as an operator writes it: a JSON object, or a line for each value. ValidationError says what is wrong.

    ``shop = 7`` is a number, ``shop = "7"`` and ``shop = seven`` are texts.
    """
    text = text.strip()
    if text.startswith(("{", "[")):
        try:
            value = json.loads(text)
        except json.JSONDecodeError as error:
            raise forms.ValidationError(
                _("This is no JSON: in line %(line)d, column %(column)d something else was expected."),
                code="json",
                params={"line": error.lineno, "column": error.colno},
            ) from error
        if not isinstance(value, dict):
            raise forms.ValidationError(
                _("A JSON object is needed, such as {“shop”: 7}; this is a list."), code="object"
            )
        return value
    payload: dict[str, Any] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        name, equals, value = (part.strip() for part in line.partition("="))
        if not line.strip():
            continue
        if not equals or not name:
            raise forms.ValidationError(_("Line %(line)d is not “name = value”."), code="line", params={"line": number})
        payload[name] = _value(value)
    return payload


def _value(text: str) -> Any:
    try:
        value = json.loads(text)
    except json.JSONDecodeError:
        return text
    return value if isinstance(value, (str, int, float)) else text


def _named(alias: str) -> str:
    return f"{alias} ({conf.components[alias].get('APPID', '')})"


def _lives() -> list[tuple[str, Any]]:
    days = [(str(24 * days), ngettext("%d day", "%d days", days) % days) for days in (1, 3, 7, 30)]
    default = gettext("%(time)s (as the settings say)") % {"time": duration(conf.link_life)}
    return [("", default), ("1", gettext("1 hour")), *days, ("other", gettext("another time"))]


# -- finding -----------------------------------------------------------------------------------------------------------


class LinkStateFilter(admin.SimpleListFilter):
    title = _("state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [
            ("open", pgettext_lazy("link", "waiting")),
            ("used", _("used")),
            ("expired", _("expired")),
            ("revoked", _("revoked")),
        ]

    def queryset(
        self, request: HttpRequest, queryset: QuerySet[AuthorizationLink]
    ) -> QuerySet[AuthorizationLink] | None:
        unused = Q(completed_at=None, revoked_at=None)
        wanted = {
            "open": unused & Q(expires_at__gt=clock.now()),
            "used": Q(completed_at__isnull=False),
            "expired": unused & Q(expires_at__lte=clock.now()),
            "revoked": Q(revoked_at__isnull=False),
        }
        chosen = wanted.get(self.value() or "")
        return queryset.filter(chosen) if chosen else None


def state_of(link: AuthorizationLink) -> str:
    """``used``, ``revoked``, ``expired`` or ``open``."""
    if link.completed_at:
        return "used"
    if link.revoked_at:
        return "revoked"
    return "expired" if link.expires_at <= timezone.now() else "open"


# -- the pages ---------------------------------------------------------------------------------------------------------


@admin.register(AuthorizationLink)
class AuthorizationLinkAdmin(ReadOnlyAdmin):
    list_display = ["created", "progress", "account", "tenant", "expires"]
    list_display_links = ["created"]
    list_filter = [LinkStateFilter, "created_at", PlatformFilter]
    list_select_related = ["component", "user", "authorizer"]
    search_fields = ["biz_appid"]  # for the box; get_search_results says what is looked for
    search_help_text = _("Exactly: an appid or who made the link; or the beginning of an account's name")
    paginator = BoundedPaginator
    show_facets = admin.ShowFacets.NEVER
    sortable_by = ["created"]
    actions = ["revoke"]
    fieldsets = [
        (_("The link"), {"fields": ["component", "user", "created_at", "expires_at"]}),
        (_("What the owner is asked for"), {"fields": ["auth_type", "biz_appid", "permission_sets"]}),
        (_("For your own code"), {"fields": ["payload_shown", "next_url"]}),
    ]

    class Media:
        css = {"all": ["wechat_open/links.css"]}
        js = ["wechat_open/links.js"]

    # -- columns -----------------------------------------------------------------------------------------------------

    def get_queryset(self, request: HttpRequest) -> QuerySet[AuthorizationLink]:
        views = AuthorizationAttempt.objects.filter(link=OuterRef("pk")).order_by().values("link")
        opened = Subquery(views.annotate(number=Count("pk")).values("number"))
        links: QuerySet[AuthorizationLink] = super().get_queryset(request)
        return links.annotate(opened=Coalesce(opened, 0))

    def get_list_display(self, request: HttpRequest) -> list[Any]:
        return [*self.list_display, *several_platforms()]

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[AuthorizationLink], search_term: str
    ) -> tuple[QuerySet[AuthorizationLink], bool]:
        word = search_term.strip()
        if not word:
            return queryset, False
        people = get_user_model()._default_manager.filter(**{get_user_model().USERNAME_FIELD: word})
        accounts = accounts_called(word)
        found = Q(biz_appid__in={word, *(account.appid for account in accounts)}) | Q(authorizer__in=accounts)
        found |= Q(user__in=list(people.values_list("pk", flat=True)))
        return queryset.filter(found), False

    @admin.display(description=_("created"), ordering="created_at")
    def created(self, link: AuthorizationLink) -> SafeString:
        return beside(moment(link.created_at), str(link.user or ""))

    @admin.display(description=_("expires"))
    def expires(self, link: AuthorizationLink) -> str | SafeString:
        return moment(link.expires_at)

    @admin.display(description=_("state"))
    def tagged_state(self, link: AuthorizationLink) -> SafeString:
        words = {
            "used": (_("used"), "good"),
            "revoked": (_("revoked"), "bad"),
            "expired": (_("expired"), "off"),
            "open": (pgettext_lazy("link", "waiting"), "busy"),
        }
        return tag(*words[state_of(link)])

    @admin.display(description=_("state"))
    def progress(self, link: Any) -> SafeString:
        """The state, and how often it was opened."""
        times = ngettext("opened once", "opened %(count)d times", link.opened) % {"count": link.opened}
        return beside(self.tagged_state(link), times if link.opened else gettext("not opened"))

    @admin.display(description=_("account"))
    def account(self, link: AuthorizationLink) -> str | SafeString:
        """Which came of it, or else which is expected."""
        if link.authorizer:
            return account_link(link.authorizer)
        return beside(link.get_auth_type_display(), link.biz_appid)

    @admin.display(description=_("tenant"))
    def tenant(self, link: AuthorizationLink) -> str | SafeString:
        """As much of it as fits into a list."""
        return lines([Truncator(f"{name}: {_told(value)}").chars(60) for name, value in [*link.payload.items()][:4]])

    @admin.display(description=_("tenant"))
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

    # -- doors -------------------------------------------------------------------------------------------------------

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view  # for staff, by CSRF token, and in no cache
        return [
            path("<int:pk>/address/", wrap(self.address_view), name="wechat_open_authorizationlink_address"),
            path("<int:pk>/qr/", wrap(self.qr_view), name="wechat_open_authorizationlink_qr"),
            *super().get_urls(),
        ]

    def list_context(self, request: HttpRequest) -> dict[str, Any]:
        return {"title": gettext("Authorization links")}

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("wechat_open.authorize_account")

    def has_revoke_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("wechat_open.revoke_link")

    def may_see_address(self, request: HttpRequest, link: AuthorizationLink) -> bool:
        if request.user.has_perm("wechat_open.share_link") and self.has_view_permission(request, link):
            return True
        mine = link.user_id is not None and link.user_id == request.user.pk
        return mine and self.has_add_permission(request) and link.created_at > timezone.now() - MAKERS_TIME

    @own_transactions
    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The form; what it makes is shown by the link's own door, to which this POST is sent on."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        surroundings = {"hosts": {request.get_host(), _origin(request).partition("://")[2]}}
        account = _account_asked_for(request)
        if request.method == "POST":
            form = LinkForm(request.POST, https=request.is_secure(), **surroundings)
        else:
            form = LinkForm(initial=_initial(request, account), https=request.is_secure(), **surroundings)
        if request.method == "POST" and form.is_valid():
            try:
                link = authorization.begin(user=request.user, **form.to_begin())
            except WeChatOpenError as error:
                form.add_error(None, str(error))
            else:
                return self._made(request, link)
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
        journal.note(
            journal.Kind.LINK_MADE, link.component, appid=link.biz_appid, user=request.user, detail=f"#{link.pk}"
        )
        self.log_addition(request, link, gettext("A link was made."))
        self.message_user(request, gettext("The link is ready. Send its address or its QR code."), messages.SUCCESS)
        # 307: the browser sends its POST on, so that the address is an answer to a POST and to be had by no GET.
        address = reverse("admin:wechat_open_authorizationlink_address", args=[link.pk])
        return HttpResponseRedirect(address, status=307)

    @method_decorator(sensitive_variables())
    @own_transactions
    def address_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """The link's page with its address and QR code."""
        if request.method != "POST":  # a reload after a new login, or an address that was kept
            return HttpResponseRedirect(reverse("admin:wechat_open_authorizationlink_change", args=[pk]))
        link = self._opened(request, pk)
        if isinstance(link, HttpResponse):
            return link
        address = _origin(request) + link.get_absolute_url()
        shown = {"address": address, "qr": qr.draw(address)}
        return self._page(request, link, shown)

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
        link = self.get_queryset(request).select_related("component", "user", "authorizer").filter(pk=pk).first()
        if link is None:
            raise Http404
        if not self.may_see_address(request, link):
            raise PermissionDenied
        try:
            if state_of(link) != "open":
                raise AuthorizationRefused(_("This link cannot be opened any more: its address is of no use."))
            link.with_key().get_absolute_url()
        except (WeChatOpenError, NoReverseMatch) as error:
            said = gettext("This site does not include the URLs of wechat_open: a link leads nowhere.")
            self.message_user(request, said if isinstance(error, NoReverseMatch) else str(error), messages.ERROR)
            return HttpResponseRedirect(reverse("admin:wechat_open_authorizationlink_change", args=[pk]))
        journal.note(
            journal.Kind.LINK_SHOWN, link.component, appid=link.biz_appid, user=request.user, detail=f"#{link.pk}"
        )
        return link

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
        context = {
            **self.admin_site.each_context(request),
            **self._story(request, link),
            "opts": self.opts,
            "media": self.media,
            "title": gettext("Authorization link"),
            "subtitle": str(link),
            "original": link,
            "fieldsets": admin.helpers.AdminForm(form, fieldsets, {}, self.get_readonly_fields(request, link), self),
            "has_view_permission": self.has_view_permission(request, link),
            **more,
        }
        return TemplateResponse(request, "admin/wechat_open/authorizationlink/change_form.html", context)

    # -- what became of it -------------------------------------------------------------------------------------------

    def _story(self, request: HttpRequest, link: AuthorizationLink) -> dict[str, Any]:
        state = state_of(link)
        attempts = list(link.attempts.select_related("user").order_by("-created_at", "-pk")[:VIEWS_SHOWN])
        grants = dict(
            CodeExchange.objects.filter(attempt__in=attempts, authorizer__isnull=False)
            .order_by("pk")
            .values_list("attempt_id", "authorizer_id")
        )
        accounts = Authorizer.objects.in_bulk(set(grants.values()))
        views = [
            {
                "at": moment(attempt.created_at),
                "device": DEVICES.get(attempt.device, NOTHING),
                "who": attempt.user or gettext("not signed in"),
                "account": account_link(accounts[grants[attempt.pk]]) if grants.get(attempt.pk) in accounts else "",
                "came_back": attempt.used_at is not None,
            }
            for attempt in attempts
        ]
        return {
            "state": state,
            "state_tag": self.tagged_state(link),
            "said": self._said(link, state),
            "views": views,
            "opened_times": getattr(link, "opened", len(views)),
            "may_show": state == "open" and self.may_see_address(request, link),
            "may_revoke": state == "open" and self.has_revoke_permission(request),
            "astray": [accounts[pk] for pk in set(grants.values()) if pk in accounts] if state == "revoked" else [],
            "account_shown": account_link(link.authorizer) if link.authorizer else "",
        }

    def _said(self, link: Any, state: str) -> str:
        """What became of it, in a sentence."""
        times = ngettext("It was opened once.", "It was opened %(count)d times.", link.opened) % {"count": link.opened}
        opened = times if link.opened else gettext("Nobody has opened it.")
        if state == "used":
            return gettext("An account was connected through it on %(when)s.") % {"when": _exactly(link.completed_at)}
        if state == "revoked":
            who = _revoked_by(link)
            words = gettext("%(who)s revoked it on %(when)s.") if who else gettext("It was revoked on %(when)s.")
            return " ".join([words % {"who": who, "when": _exactly(link.revoked_at)}, opened])
        if state == "expired":
            words = gettext("It expired on %(when)s, unused.")
            return " ".join([words % {"when": _exactly(link.expires_at)}, opened])
        words = gettext("Nobody has authorized through it yet; it can be opened for %(time)s.")
        return " ".join([opened, words % {"time": duration(link.expires_at - timezone.now())}])

    # -- taking back -------------------------------------------------------------------------------------------------

    @admin.action(permissions=["revoke"], description=_("Revoke"))
    def revoke(self, request: HttpRequest, queryset: QuerySet[AuthorizationLink]) -> HttpResponse | None:
        """Asked about first, one link or many."""
        links = list(queryset.select_related("component")[:AT_ONCE])
        if "confirmed" not in request.POST:
            return self._ask_whether(request, links)
        revoked = [link for link in links if authorization.revoke(link, user=request.user)]
        for link in revoked:
            self.log_change(request, link, gettext("It was revoked."))
        if revoked:
            said = ngettext("The link was revoked.", "%(count)d links were revoked.", len(revoked))
            self.message_user(request, said % {"count": len(revoked)}, messages.SUCCESS)
        if used := len(links) - len(revoked):
            said = ngettext(
                "One link has been used already: its account stays connected.",
                "%(count)d links have been used already: their accounts stay connected.",
                used,
            )
            self.message_user(request, said % {"count": used}, messages.WARNING)
        back = request.POST.get("back_to", "")
        if not back.isdecimal():
            return None
        return HttpResponseRedirect(reverse("admin:wechat_open_authorizationlink_change", args=[back]))

    def _ask_whether(self, request: HttpRequest, links: list[AuthorizationLink]) -> HttpResponse:
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "media": self.media,
            "title": ngettext("Revoke this link?", "Revoke %(count)d links?", len(links)) % {"count": len(links)},
            "links": [(link, self.tagged_state(link)) for link in links[:SAMPLE]],
            "more": max(0, len(links) - SAMPLE),
            "chosen": [link.pk for link in links],
            "checkbox": ACTION_CHECKBOX_NAME,
            "back_to": request.POST.get("back_to", ""),
        }
        return TemplateResponse(request, "admin/wechat_open/authorizationlink/revoke.html", context)


# -- small things ------------------------------------------------------------------------------------------------------


def account_link(account: Authorizer) -> SafeString:
    """An account's name and appid, and the way to its page."""
    page = reverse("admin:wechat_open_authorizer_change", args=[account.pk])
    return format_html(
        '<a href="{}">{}</a> <span class="wechat-open-aside">{}</span>',
        page,
        account.nick_name or account.appid,
        account.appid if account.nick_name else "",
    )


def _exactly(at: datetime) -> str:
    """Within a sentence, whose full stop is not to meet that of "p.m."."""
    return date_format(timezone.localtime(at), "Y-m-d H:i")


def _told(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _origin(request: HttpRequest) -> str:
    """Scheme and host under which owners open the link."""
    return conf.site_url or f"{request.scheme}://{request.get_host()}"


def _account_asked_for(request: HttpRequest) -> Authorizer | None:
    """``?account=`` (a key) or ``?appid=`` as the page of an account sends it."""
    key, appid = request.GET.get("account", ""), request.GET.get("appid", "").strip()
    if key.isdecimal():
        return Authorizer.objects.select_related("component", "granted_through").filter(pk=int(key)).first()
    return accounts_with(appid).select_related("component", "granted_through").first() if appid else None


def _initial(request: HttpRequest, account: Authorizer | None) -> dict[str, Any]:
    """What the form proposes: for a known account its platform, and the tenant that it belongs to."""
    asked = [number for number in request.GET.getlist("category_ids") if number.isdecimal()]
    appid = request.GET.get("appid", "").strip()
    initial: dict[str, Any] = {
        "component": request.GET.get("component", DEFAULT_ALIAS),
        "auth_type": "all" if appid else "both",
        "biz_appid": appid,
        "category_ids": asked,
    }
    if account is not None:
        before = account.granted_through
        payload = json.dumps(before.payload, ensure_ascii=False) if before and before.payload else ""
        alias = platform_of(account.component).alias
        initial |= {"component": alias, "auth_type": "all", "biz_appid": account.appid, "payload": payload}
    return initial


def _revoked_by(link: AuthorizationLink) -> str:
    """Who took it back, if the journal goes back so far."""
    entries = JournalEntry.objects.filter(
        kind=JournalEntry.Kind.LINK_REVOKED,
        at__gte=link.revoked_at - timedelta(minutes=1) if link.revoked_at else timezone.now(),
        component=link.component_id,
        detail=f"#{link.pk}",
    )
    return entries.values_list("actor", flat=True).first() or ""

"""What does an operator see, and what may they do?

Rows that WeChat writes are looked at and not typed in. A secret is shown as a fingerprint and its age, never itself.
What an operator can set going is an action with a permission of its own, sent by POST, and in the account's history.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, TypeVar

from django.contrib import admin, messages
from django.contrib.admin import ModelAdmin
from django.contrib.admin.utils import flatten_fieldsets
from django.contrib.auth import get_user_model
from django.db import connections, transaction
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import NoReverseMatch, reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.text import Truncator, capfirst
from django.utils.timesince import timesince
from django.utils.translation import get_language, gettext
from django.utils.translation import gettext_lazy as _

from . import authorization, clock, health, inbox, tokens
from .conf import DEFAULT_ALIAS, conf
from .exceptions import APIError, SealError, WeChatOpenError
from .fields import SealedRow
from .models import AuthorizationLink, Authorizer, Component, Push, TokenHolder, VerifyTicket
from .protocol import errcodes, permissions

_View = TypeVar("_View", bound=Callable[..., HttpResponse])

PATIENCE = 30.0
"""Seconds after which an action leaves the remaining rows alone: a browser and a proxy are waiting."""

NOTHING = "–"

# What WeChat's numbers in a profile mean (protocol 4.3). The same type means different things for different kinds.
SERVICE_TYPES: dict[str, dict[int, Any]] = {
    Authorizer.Kind.OFFICIAL: {0: _("subscription account"), 1: _("subscription account"), 2: _("service account")},
    Authorizer.Kind.MINI: {
        0: _("ordinary"),
        2: _("store"),
        3: _("store"),
        4: _("mini game"),
        10: _("mini shop"),
        12: _("trial"),
    },
}
STANDINGS = {1: _("normal"), 14: _("closed"), 16: _("banned"), 18: _("warned"), 19: _("frozen")}


# How it is shown


def _tag(text: object, tone: str) -> SafeString:
    """A word in a colour: ``good``, ``busy``, ``bad`` or ``off``."""
    return format_html('<span class="wechat-open-tag wechat-open-{}">{}</span>', tone, text)


def _duration(span: timedelta) -> str:
    now = timezone.now()
    return timesince(now - span, now) if span >= timedelta(minutes=1) else gettext("%d seconds") % span.total_seconds()


def _ago(at: datetime) -> str:
    return gettext("%(time)s ago") % {"time": _duration(timezone.now() - at)}


def _beside(name: str, appid: str) -> SafeString:
    return format_html('{} <span class="wechat-open-aside">{}</span>', name, appid)


def _date(at: datetime) -> str:
    return date_format(timezone.localtime(at), "SHORT_DATETIME_FORMAT")


def _moment(at: datetime | None) -> str | SafeString:
    """How long ago, with the exact time for who points at it."""
    if at is None:
        return NOTHING
    left = at - timezone.now()
    words = gettext("in %(time)s") % {"time": _duration(left)} if left > timedelta() else _ago(at)
    return format_html('<time datetime="{}" title="{}">{}</time>', at.isoformat(), _date(at), words)


def _masked(row: SealedRow, field: str) -> str | SafeString:
    """Enough to tell two secrets apart, and nothing more."""
    try:
        secret = row.reveal(field)
    except SealError:
        return _tag(_("cannot be opened: the key that sealed it is gone"), "bad")
    return format_html("<code>•••• {}</code>", secret.fingerprint) if secret else NOTHING


def _time_left(holder: TokenHolder) -> str | SafeString:
    if holder.access_token_expires_at is None:
        return NOTHING
    left = holder.access_token_expires_at - timezone.now()
    if left > timedelta():
        return _duration(left)
    return _tag(gettext("expired %(time)s ago") % {"time": _duration(-left)}, "bad")


def _told(error: WeChatOpenError) -> str:
    """An error for the operator: WeChat's with its meaning in their language, and the rid to ask Tencent with."""
    if not isinstance(error, APIError):
        return str(error)
    return _explained(error.errcode, error.rid) or str(error)


def _explained(errcode: int | None, rid: str) -> str:
    meaning = errcodes.meaning(errcode, get_language() or "en") if errcode is not None else ""
    if not meaning:
        return ""
    return f"{errcode} {meaning}" + (f" (rid {rid})" if rid else "")


def _lines(texts: Sequence[object]) -> str | SafeString:
    return format_html_join("", "<div>{}</div>", ((text,) for text in texts)) or NOTHING


def _word(words: Mapping[int, object], number: int | None) -> object:
    """The word for one of WeChat's numbers; an unknown number as it is."""
    return NOTHING if number is None else words.get(number, number)


def _address(url: str) -> str | SafeString:
    """A link that does not tell its target where it was clicked. WeChat names the address, so it is checked."""
    if not url.startswith(("https://", "http://")):
        return url or NOTHING
    return format_html('<a href="{}" rel="noreferrer noopener" target="_blank">{}</a>', url, _("Open"))


# What all pages share


def _own_transactions(view: _View) -> _View:
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

    @_own_transactions
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
                said, level = _told(error), messages.ERROR
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
        return _time_left(holder)

    @admin.display(description=_("problem"))
    def problem(self, holder: TokenHolder) -> str:
        said = _explained(holder.last_errcode, holder.last_rid) or holder.last_error
        return Truncator(said).chars(90) or NOTHING

    @admin.display(description=_("access token"))
    def access_token_shown(self, holder: TokenHolder) -> str | SafeString:
        masked = _masked(holder, "access_token")
        return format_html("{} {}", masked, _moment(holder.access_token_obtained_at)) if masked != NOTHING else masked

    @admin.display(description=_("next renewal"))
    def next_renewal(self, holder: TokenHolder) -> str | SafeString:
        return _moment(holder.next_action_at)


# Accounts


class AttentionFilter(admin.SimpleListFilter):
    title = _("attention")
    parameter_name = "attention"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("failing", _("renewal fails")), ("overdue", _("renewal is overdue")), ("expired", _("token expired"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Authorizer]) -> QuerySet[Authorizer] | None:
        authorized = Q(state=Authorizer.State.AUTHORIZED)
        wanted = {
            "failing": authorized & Q(failures__gt=0),
            "overdue": authorized & Q(next_action_at__lt=clock.now()),
            "expired": authorized & Q(access_token_expires_at__lt=clock.now()),
        }
        chosen = wanted.get(self.value() or "")
        return queryset.filter(chosen) if chosen else None


@admin.register(Authorizer)
class AuthorizerAdmin(HolderAdmin):
    list_display = ["named", "tagged_state", "time_left", "problem", "kind", "principal_name", "component"]
    list_filter = ["state", AttentionFilter, "kind", ("component", admin.RelatedOnlyFieldListFilter), "authorized_at"]
    list_select_related = ["component"]
    search_fields = ["nick_name", "appid", "principal_name", "user_name"]
    search_help_text = _("Name, appid, principal or original id (gh_…)")
    ordering = ["-pk"]
    actions = ["refresh_now", "sync_profile"]
    fieldsets = [
        (None, {"fields": ["nick_name", "appid", "component", "kind", "tagged_state", "problem"]}),
        (_("Tokens"), {"fields": ["access_token_shown", "time_left", "refresh_token_shown", "next_renewal", "doubts"]}),
        (_("Authorization"), {"fields": ["authorized_at", "unauthorized_at", "permission_sets"]}),
        (
            _("Profile"),
            {
                "fields": [
                    "user_name",
                    "alias",
                    "principal_name",
                    "signature",
                    "type_of_account",
                    "verified",
                    "standing",
                    "avatar",
                    "qr_code",
                    "profile_synced_at",
                ]
            },
        ),
    ]

    # -- columns -----------------------------------------------------------------------------------------------------

    @admin.display(description=_("name"), ordering="nick_name")
    def named(self, account: Authorizer) -> SafeString:
        return _beside(account.nick_name, account.appid)

    @admin.display(description=_("state"), ordering="state")
    def tagged_state(self, account: Authorizer) -> SafeString:
        tone = {Authorizer.State.AUTHORIZED: "good", Authorizer.State.NEEDS_REAUTHORIZATION: "bad"}
        return _tag(account.get_state_display(), tone.get(Authorizer.State(account.state), "off"))

    @admin.display(description=_("refresh token"))
    def refresh_token_shown(self, account: Authorizer) -> str | SafeString:
        masked = _masked(account, "refresh_token")
        if not account.previous_refresh_token:
            return masked
        return format_html("{} ({} {})", masked, _("before:"), _masked(account, "previous_refresh_token"))

    @admin.display(description=_("in doubt"))
    def doubts(self, account: Authorizer) -> str | SafeString:
        doubts = []
        if account.needs_reconcile:
            doubts.append(gettext("The stored tokens will be compared with WeChat's records"))
        if account.refused_since:
            doubts.append(gettext("WeChat refuses every token since %s") % _date(account.refused_since))
        if account.missing_since:
            doubts.append(gettext("Missing from WeChat's list since %s") % _date(account.missing_since))
        return _lines(doubts)

    @admin.display(description=_("permission sets"))
    def permission_sets(self, account: Authorizer) -> str | SafeString:
        language = get_language() or "en"
        return _lines([f"{id} {permissions.name(id, language)}" for id in account.func_info])

    @admin.display(description=_("type of account"))
    def type_of_account(self, account: Authorizer) -> object:
        return _word(SERVICE_TYPES.get(account.kind, {}), account.service_type)

    @admin.display(description=_("verified"), boolean=True)
    def verified(self, account: Authorizer) -> bool | None:
        return None if account.verify_type is None else account.verify_type >= 0

    @admin.display(description=_("standing at WeChat"))
    def standing(self, account: Authorizer) -> object:
        return _word(STANDINGS, account.account_status)

    @admin.display(description=_("avatar"))
    def avatar(self, account: Authorizer) -> str | SafeString:
        return _address(account.head_img)

    @admin.display(description=_("QR code"))
    def qr_code(self, account: Authorizer) -> str | SafeString:
        return _address(account.qrcode_url)

    # -- doors -------------------------------------------------------------------------------------------------------

    def has_delete_permission(self, request: HttpRequest, obj: Authorizer | None = None) -> bool:
        """One at a time, by a superuser, and only when its owner has taken the authorization back."""
        gone = obj is not None and obj.state == Authorizer.State.UNAUTHORIZED
        return gone and bool(request.user.is_active and request.user.is_superuser)

    def has_refresh_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("wechat_open.refresh_account")

    def has_sync_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("wechat_open.sync_account")

    @admin.action(permissions=["refresh"], description=_("Refresh tokens now"))
    def refresh_now(self, request: HttpRequest, queryset: QuerySet[Authorizer]) -> HttpResponse | None:
        return self.perform(request, queryset, tokens.refresh_now, done=_("The tokens were refreshed."))

    @admin.action(permissions=["sync"], description=_("Read profile from WeChat"))
    def sync_profile(self, request: HttpRequest, queryset: QuerySet[Authorizer]) -> HttpResponse | None:
        return self.perform(request, queryset, authorization.sync_profile, done=_("The profile was read."))

    def list_context(self, request: HttpRequest) -> dict[str, Any]:
        return {"connect": self._connect_pages(request)}

    def _connect_pages(self, request: HttpRequest) -> list[tuple[str, str]]:
        """Alias and address of each platform's connect page, for who may connect accounts."""
        if not request.user.has_perm("wechat_open.authorize_account"):
            return []
        try:
            default = reverse("wechat_open:authorize")
            return [
                (alias, default if alias == DEFAULT_ALIAS else reverse("wechat_open:authorize", args=[alias]))
                for alias in conf.components
            ]
        except NoReverseMatch:  # the site did not include our URLs; a system check says so
            return []


# Platforms


@admin.register(Component)
class ComponentAdmin(HolderAdmin):
    list_display = ["appid", "alias", "ticket", "time_left", "dispatched", "swept", "problem"]
    ordering = ["pk"]
    fieldsets = [
        (None, {"fields": ["appid", "alias", "problems"]}),
        (_("Verify ticket"), {"fields": ["ticket", "last_push", "push_started_at"]}),
        (
            _("Component access token"),
            {"fields": ["access_token_shown", "time_left", "next_renewal", "forced_at", "paused_until"]},
        ),
        (_("Accounts"), {"fields": ["accounts", "dispatched", "swept", "sweep_repairs", "sweep_due_at"]}),
    ]

    @admin.display(description=_("alias in the settings"))
    def alias(self, component: Component) -> str | SafeString:
        for alias, credentials in conf.components.items():
            if credentials.get("APPID") == component.appid:
                return alias
        return _tag(_("not configured"), "off")

    last_push = admin.display(description=_("last push"))(lambda self, row: _moment(row.last_push_at))
    dispatched = admin.display(description=_("last dispatch"))(lambda self, row: _moment(row.heartbeat_at))
    swept = admin.display(description=_("last sweep"))(lambda self, row: _moment(row.swept_at))

    @admin.display(description=_("newest ticket"))
    def ticket(self, component: Component) -> str | SafeString:
        newest = component.tickets.first()
        return _moment(newest.created_at) if newest else _tag(_("none yet"), "bad")

    @admin.display(description=_("what is wrong right now"))
    def problems(self, component: Component) -> str | SafeString:
        try:
            reports = health.report()["components"]
        except WeChatOpenError as error:
            return str(error)
        for report in reports:
            if report["appid"] == component.appid:
                words = [health.PROBLEMS[word] for word in report["problems"]]
                return _lines(words) if words else _tag(_("nothing"), "good")
        return NOTHING

    @admin.display(description=_("accounts"))
    def accounts(self, component: Component) -> str | SafeString:
        counts = [
            (label, component.authorizers.filter(state=state).count()) for state, label in Authorizer.State.choices
        ]
        return _lines([f"{capfirst(label)}: {count}" for label, count in counts])


@admin.register(VerifyTicket)
class VerifyTicketAdmin(ReadOnlyAdmin):
    list_display = ["created_at", "component", "age", "received_at", "shown"]
    list_filter = ["created_at", ("component", admin.RelatedOnlyFieldListFilter)]
    list_select_related = ["component"]
    fieldsets = [(None, {"fields": ["component", "created_at", "received_at", "age", "shown"]})]

    @admin.display(description=_("age"))
    def age(self, ticket: VerifyTicket) -> str | SafeString:
        return _moment(ticket.created_at)

    @admin.display(description=_("ticket"))
    def shown(self, ticket: VerifyTicket) -> str | SafeString:
        return _masked(ticket, "ticket")


# Links and pushes


class LinkStateFilter(admin.SimpleListFilter):
    title = _("state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("open", _("open")), ("used", _("used")), ("expired", _("expired"))]

    def queryset(
        self, request: HttpRequest, queryset: QuerySet[AuthorizationLink]
    ) -> QuerySet[AuthorizationLink] | None:
        unused = Q(completed_at=None)
        wanted = {
            "open": unused & Q(expires_at__gt=clock.now()),
            "used": ~unused,
            "expired": unused & Q(expires_at__lte=clock.now()),
        }
        chosen = wanted.get(self.value() or "")
        return queryset.filter(chosen) if chosen else None


@admin.register(AuthorizationLink)
class AuthorizationLinkAdmin(ReadOnlyAdmin):
    """The address itself is not shown: who has it may authorize in the tenant's name."""

    list_display = ["created", "tagged_state", "user", "payload_shown", "authorizer", "expires", "component"]
    list_filter = [LinkStateFilter, "created_at", ("component", admin.RelatedOnlyFieldListFilter)]
    list_select_related = ["component", "user", "authorizer"]
    fieldsets = [
        (None, {"fields": ["component", "tagged_state", "user", "created_at", "expires_at", "completed_at"]}),
        (_("What the owner is asked for"), {"fields": ["auth_type", "biz_appid", "permission_sets"]}),
        (_("What came of it"), {"fields": ["payload_shown", "authorizer", "next_url"]}),
    ]

    def get_search_fields(self, request: HttpRequest) -> list[str]:
        return [f"user__{get_user_model().USERNAME_FIELD}", "biz_appid", "authorizer__appid", "authorizer__nick_name"]

    @admin.display(description=_("created"), ordering="created_at")
    def created(self, link: AuthorizationLink) -> str | SafeString:
        return _moment(link.created_at)

    @admin.display(description=_("expires"), ordering="expires_at")
    def expires(self, link: AuthorizationLink) -> str | SafeString:
        return _moment(link.expires_at)

    @admin.display(description=_("state"))
    def tagged_state(self, link: AuthorizationLink) -> SafeString:
        if link.completed_at:
            return _tag(_("used"), "good")
        if link.expires_at <= timezone.now():
            return _tag(_("expired"), "off")
        return _tag(_("open"), "busy")

    @admin.display(description=_("tenant payload"))
    def payload_shown(self, link: AuthorizationLink) -> str | SafeString:
        return format_html("<code>{}</code>", json.dumps(link.payload, ensure_ascii=False)) if link.payload else NOTHING

    @admin.display(description=_("permission sets asked for"))
    def permission_sets(self, link: AuthorizationLink) -> str | SafeString:
        language = get_language() or "en"
        return _lines([f"{id} {permissions.name(id, language)}" for id in link.category_ids])


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
        return _moment(push.received_at)

    @admin.display(description=_("event"), ordering="info_type")
    def event(self, push: Push) -> SafeString:
        return _beside(push.info_type, push.authorizer_appid)

    @admin.display(description=_("state"), ordering="state")
    def tagged_state(self, push: Push) -> SafeString:
        tone = {Push.State.DONE: "good", Push.State.RECEIVED: "busy"}
        return _tag(push.get_state_display(), tone.get(Push.State(push.state), "bad"))

    @admin.display(description=_("error"))
    def error_shown(self, push: Push) -> str:
        return Truncator(push.error).chars(90) or NOTHING

    def has_replay_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("wechat_open.change_push")

    @admin.action(permissions=["replay"], description=_("Process again"))
    def process_again(self, request: HttpRequest, queryset: QuerySet[Push]) -> HttpResponse | None:
        return self.perform(request, queryset, _replay, done=_("It was processed."))


def _replay(push: Push) -> None:
    """Its failure as an exception, for the operator."""
    inbox.replay(push)
    push.refresh_from_db()
    if push.error:
        raise WeChatOpenError(gettext("It failed again: %s") % push.error)

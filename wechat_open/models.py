"""What is stored?

Rows, constraints and named queries; nothing here calls WeChat or knows who asks. Secrets are sealed columns. Every
row that holds an access token (a platform or an account) is a ``TokenHolder``: the columns by which ``tokens`` keeps
custody are the same for both.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterable, Mapping
from datetime import timedelta
from hashlib import sha256
from typing import Any

from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.db import models
from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from .clock import DatabaseTime
from .conf import conf
from .fields import SealedField, SealedRow, SentenceField
from .rows import Row, RowManager, RowQuerySet
from .secret import Secret
from .times import UTCDateTimeField, exact

FUNC_KEY_LENGTH = 255

AHEAD = timedelta(minutes=10)
"""How far WeChat's CreateTime may be ahead of the database's clock before nothing is ordered by it."""


class TenantKeyField(models.CharField):  # type: ignore[type-arg]  # not generic at run time
    """The tenant of a link as a search compares it: written with the row, from the row's payload."""

    def pre_save(self, model_instance: models.Model, add: bool) -> str:
        key = search_key(tenant_of(getattr(model_instance, "payload", {})))
        setattr(model_instance, self.attname, key)
        return key

    def deconstruct(self) -> Any:
        """A migration sees an ordinary column."""
        name, _path, args, kwargs = super().deconstruct()
        return name, "django.db.models.CharField", args, kwargs


class TokenHolder(SealedRow):
    """An access token, when it ends, when to look after it next, and who is at it.

    ``fence`` grows with every claim and every write: a compare-and-set on it makes late writers lose.
    ``claimed_until`` is set while somebody renews. A claim also moves ``next_action_at``, so the row of a worker that
    died is due again by itself.
    """

    access_token = SealedField()
    access_token_obtained_at = UTCDateTimeField(_("token obtained at"), null=True, editable=False)
    access_token_expires_at = UTCDateTimeField(_("token expires at"), null=True, editable=False)
    fence = models.PositiveBigIntegerField(default=0, editable=False)
    claimed_until = UTCDateTimeField(null=True, editable=False)
    next_action_at = UTCDateTimeField(_("next action at"), null=True, editable=False)
    due_since = UTCDateTimeField(null=True, editable=False)  # of a renewal that was begun and has not succeeded
    failures = models.PositiveIntegerField(_("failures in a row"), default=0, editable=False)
    last_errcode = models.IntegerField(pgettext_lazy("wechat_open", "last errcode"), null=True, editable=False)
    last_error = SentenceField(pgettext_lazy("wechat_open", "last error"), blank=True, default="", editable=False)
    last_rid = models.CharField(_("last request id (rid)"), max_length=64, blank=True, default="", editable=False)
    last_failed_at = UTCDateTimeField(_("last failed at"), null=True, editable=False)

    class Meta:
        abstract = True


class Component(TokenHolder):
    """One third-party platform (第三方平台), known by its appid."""

    PUBLIC_FIELDS = ("id", "appid", "last_push_at")
    """What a site may publish: no encrypted column, and none of our own bookkeeping."""

    appid = models.CharField(pgettext_lazy("wechat_open", "appid"), max_length=64, unique=True)
    created_at = UTCDateTimeField(db_default=DatabaseTime(), editable=False)
    last_push_at = UTCDateTimeField(_("last push at"), null=True, editable=False)
    heartbeat_at = UTCDateTimeField(_("due tokens last checked at"), null=True, editable=False)
    dispatching_until = UTCDateTimeField(null=True, editable=False)
    paused_until = UTCDateTimeField(_("renewals paused until"), null=True, editable=False)
    forced_at = UTCDateTimeField(_("last forced renewal at"), null=True, editable=False)
    push_started_at = UTCDateTimeField(_("ticket pushing last requested at"), null=True, editable=False)
    push_said = SentenceField(_("what WeChat said to that"), blank=True, default="", editable=False)
    sweep_due_at = UTCDateTimeField(_("next comparison at"), null=True, editable=False)
    swept_at = UTCDateTimeField(_("last complete comparison at"), null=True, editable=False)
    sweep_repairs = models.PositiveIntegerField(_("repairs of the last comparison"), default=0, editable=False)
    beat_at = UTCDateTimeField(_("last task sent by beat at"), null=True, editable=False)
    braked_at = UTCDateTimeField(_("brake last on at"), null=True, editable=False)
    skew_seconds = models.FloatField(_("seconds by which WeChat's clock is ahead of ours"), null=True, editable=False)
    census = models.JSONField(default=dict, blank=True, editable=False)  # how many accounts of each sort, see census.py
    census_at = UTCDateTimeField(_("accounts last counted at"), null=True, editable=False)

    class Meta:
        verbose_name = pgettext_lazy("wechat_open", "platform")
        verbose_name_plural = pgettext_lazy("wechat_open", "platforms")
        default_permissions = ("view",)
        permissions = [
            ("request_tickets", _("Can ask WeChat to push verify tickets")),
            ("forget_tickets", _("Can delete the stored verify tickets of a platform")),
        ]

    def __str__(self) -> str:
        return self.appid

    def sealing_identity(self) -> str:
        return self.appid


class Tickets(RowQuerySet["VerifyTicket"]):
    """Named queries over verify tickets."""

    def best_first(self) -> Tickets:
        """The newest by WeChat's time first; last those that were dated ahead of the time at which they came.

        WeChat dates a ticket before it sends it. One that is dated ahead comes from a wrong clock, or from somebody
        who has a key pair: it is worth a try when there is no other, and evicts none.
        """
        ahead = models.Case(
            models.When(created_at__gt=models.F("received_at") + AHEAD, then=1),
            default=0,
            output_field=models.IntegerField(),
        )
        return self.order_by(ahead, "-created_at", "-received_at", "-pk")


class VerifyTicket(SealedRow):
    """A component_verify_ticket. The newest by WeChat's CreateTime wins; a few older ones are kept for a while."""

    objects = RowManager.from_queryset(Tickets)()  # type: ignore[misc]  # one class variable for another

    component = models.ForeignKey(
        Component,
        on_delete=models.CASCADE,
        related_name="tickets",
        verbose_name=pgettext_lazy("wechat_open", "platform"),
    )
    ticket = SealedField()
    digest = models.CharField(max_length=64, editable=False)
    created_at = UTCDateTimeField(_("created at (WeChat)"), editable=False)
    received_at = UTCDateTimeField(pgettext_lazy("wechat_open", "received at"), editable=False)

    class Meta:
        verbose_name = pgettext_lazy("wechat_open", "verify ticket")
        verbose_name_plural = pgettext_lazy("wechat_open", "verify tickets")
        default_permissions = ("view",)
        ordering = ["-created_at", "-pk"]
        constraints = [
            models.UniqueConstraint(fields=["component", "created_at", "digest"], name="wechat_open_ticket_once"),
        ]

    def __str__(self) -> str:
        return f"{self.component_id} {self.created_at:%Y-%m-%d %H:%M:%S}"

    def sealing_identity(self) -> str:
        return f"{self.component.appid}:{self.digest}"


class Authorizer(TokenHolder):
    """An account (公众号, 小程序 ...) that granted, or once granted, rights to a platform."""

    class State(models.TextChoices):
        AUTHORIZED = "authorized", pgettext_lazy("wechat_open", "authorized")
        UNAUTHORIZED = "unauthorized", pgettext_lazy("wechat_open", "unauthorized")
        NEEDS_REAUTHORIZATION = "needs_reauthorization", pgettext_lazy("wechat_open", "needs re-authorization")

    class Kind(models.TextChoices):
        UNKNOWN = "", _("not known yet")
        OFFICIAL = "official", pgettext_lazy("wechat_open", "official account")
        MINI = "mini", pgettext_lazy("wechat_open", "mini program")
        CHANNELS = "channels", pgettext_lazy("wechat_open", "channels account")
        SHOP = "shop", pgettext_lazy("wechat_open", "WeChat shop")
        SALES = "sales", pgettext_lazy("wechat_open", "sales assistant")
        SUPPLIER = "supplier", pgettext_lazy("wechat_open", "supplier")

    PUBLIC_FIELDS = (
        "id",
        "component",
        "appid",
        "state",
        "nick_name",
        "kind",
        "user_name",
        "alias",
        "principal_name",
        "head_img",
        "qrcode_url",
        "signature",
        "service_type",
        "verify_type",
        "account_status",
        "func_info",
        "authorized_at",
        "unauthorized_at",
    )
    """What a site may publish: no encrypted column, and none of our own bookkeeping."""

    component = models.ForeignKey(
        Component,
        on_delete=models.CASCADE,
        related_name="authorizers",
        verbose_name=pgettext_lazy("wechat_open", "platform"),
    )
    appid = models.CharField(pgettext_lazy("wechat_open", "appid"), max_length=64, db_index=True)
    state = models.CharField(
        pgettext_lazy("wechat_open", "state"), max_length=24, choices=State.choices, default=State.AUTHORIZED
    )

    refresh_token = SealedField()
    previous_refresh_token = SealedField()
    grant_epoch = models.PositiveBigIntegerField(default=0, editable=False)
    grant_changed_at = UTCDateTimeField(null=True, editable=False)
    needs_reconcile = models.BooleanField(_("to be compared with WeChat"), default=False, editable=False)
    refused_since = UTCDateTimeField(pgettext_lazy("wechat_open", "refused since"), null=True, editable=False)
    restricted_since = UTCDateTimeField(_("restricted by WeChat since"), null=True, editable=False)
    missing_since = UTCDateTimeField(_("missing from WeChat's list since"), null=True, editable=False)
    authorized_at = UTCDateTimeField(pgettext_lazy("wechat_open", "authorized at"), null=True, editable=False)
    unauthorized_at = UTCDateTimeField(pgettext_lazy("wechat_open", "unauthorized at"), null=True, editable=False)
    granted_through = models.ForeignKey(
        "AuthorizationLink", on_delete=models.SET_NULL, null=True, related_name="+", editable=False
    )

    # What signals have told other apps so far; whoever sends them can be killed at any moment and is repeated.
    needs_announcing = models.BooleanField(default=False, editable=False)
    announcement = models.PositiveBigIntegerField(default=0, editable=False)
    announced_state = models.CharField(max_length=24, blank=True, default="", editable=False)
    announced_epoch = models.PositiveBigIntegerField(default=0, editable=False)
    announced_func_info = models.JSONField(default=list, blank=True, editable=False)

    nick_name = models.CharField(pgettext_lazy("wechat_open", "name"), max_length=255, blank=True, default="")
    kind = models.CharField(
        pgettext_lazy("wechat_open", "kind"), max_length=16, choices=Kind.choices, blank=True, default=Kind.UNKNOWN
    )
    user_name = models.CharField(
        pgettext_lazy("wechat_open", "original id"),
        max_length=64,
        blank=True,
        default="",
        db_index=True,
        help_text=_("gh_…: to whom messages go"),
    )
    alias = models.CharField(pgettext_lazy("wechat_open", "WeChat id"), max_length=255, blank=True, default="")
    principal_name = models.CharField(pgettext_lazy("wechat_open", "principal"), max_length=255, blank=True, default="")
    head_img = models.TextField(pgettext_lazy("wechat_open", "avatar"), blank=True, default="")
    qrcode_url = models.TextField(pgettext_lazy("wechat_open", "QR code"), blank=True, default="")
    signature = models.TextField(pgettext_lazy("wechat_open", "description"), blank=True, default="")
    service_type = models.IntegerField(pgettext_lazy("wechat_open", "service type"), null=True, blank=True)
    verify_type = models.IntegerField(pgettext_lazy("wechat_open", "verification type"), null=True, blank=True)
    account_status = models.IntegerField(pgettext_lazy("wechat_open", "account status"), null=True, blank=True)
    profile = models.JSONField(_("profile as WeChat sent it"), default=dict, blank=True)
    func_info = models.JSONField(pgettext_lazy("wechat_open", "permission sets"), default=list, blank=True)
    # The same, short enough for an index, see `func_key`: accounts with equal sets have equal keys.
    func_key = models.CharField(max_length=FUNC_KEY_LENGTH, blank=True, default="", editable=False)
    # Name, principal and ids as a search compares them, see `search_key`.
    name_key = models.CharField(max_length=255, blank=True, default="", editable=False, db_index=True)
    principal_key = models.CharField(max_length=255, blank=True, default="", editable=False, db_index=True)
    # When the tokens were renewed lately, newest first; the journal would grow by a million rows a day.
    renewals = models.JSONField(default=list, blank=True, editable=False)
    profile_synced_at = UTCDateTimeField(_("profile read at"), null=True, editable=False)
    profile_failures = models.PositiveIntegerField(default=0, editable=False)  # reads in a row that brought none
    profile_due_at = UTCDateTimeField(null=True, editable=False)  # when to try again; NULL: never failed

    class Meta:
        verbose_name = pgettext_lazy("wechat_open", "account")
        verbose_name_plural = pgettext_lazy("wechat_open", "accounts")
        default_permissions = ("view",)
        constraints = [
            models.UniqueConstraint(fields=["component", "appid"], name="wechat_open_account_once"),
        ]
        indexes = [
            models.Index(fields=["component", "state", "next_action_at"], name="wechat_open_due"),
            models.Index(fields=["component", "profile_synced_at"], name="wechat_open_profile"),
            models.Index(fields=["component", "needs_announcing"], name="wechat_open_announce"),
            # For the operator's list: each filter finds its first page without reading the table.
            models.Index(fields=["component", "id"], name="wechat_open_by_component"),
            models.Index(fields=["state", "id"], name="wechat_open_by_state"),
            models.Index(fields=["kind", "id"], name="wechat_open_by_kind"),
            models.Index(fields=["verify_type", "id"], name="wechat_open_by_verified"),
            models.Index(fields=["last_errcode", "id"], name="wechat_open_by_errcode"),
            models.Index(fields=["func_key", "id"], name="wechat_open_by_sets"),
            models.Index(fields=["authorized_at", "id"], name="wechat_open_by_grant"),
            models.Index(fields=["access_token_expires_at", "id"], name="wechat_open_by_token"),
            models.Index(fields=["component", "state", "access_token_expires_at"], name="wechat_open_by_expiry"),
            models.Index(fields=["component", "state", "failures"], name="wechat_open_by_failures"),
            models.Index(fields=["component", "refused_since"], name="wechat_open_refused"),
            models.Index(fields=["component", "missing_since"], name="wechat_open_missing"),
            models.Index(fields=["component", "restricted_since"], name="wechat_open_restricted"),
            models.Index(fields=["component", "state", "due_since"], name="wechat_open_due_since"),
            models.Index(fields=["component", "needs_reconcile"], name="wechat_open_doubted"),
        ]
        permissions = [
            ("authorize_account", _("Can connect accounts")),
            ("refresh_account", _("Can refresh an account's tokens")),
            ("sync_account", _("Can read an account's profile from WeChat")),
            ("reconcile_account", _("Can compare an account with WeChat's records")),
            ("ask_account", _("Can ask an owner to authorize again")),
            ("forget_account", _("Can forget an account whose owner has left")),
            ("export_account", _("Can export the list of accounts")),
        ]

    def __str__(self) -> str:
        return f"{self.nick_name} ({self.appid})" if self.nick_name else self.appid

    def sealing_identity(self) -> str:
        return f"{self.component.appid}:{self.appid}"


class Push(SealedRow):
    """The inbox: a push that WeChat has our ``success`` for, and what became of it."""

    class State(models.TextChoices):
        RECEIVED = "received", pgettext_lazy("push", "waiting")
        DONE = "done", pgettext_lazy("push", "done")
        FAILED = "failed", pgettext_lazy("push", "failed, will be repeated")
        ABANDONED = "abandoned", pgettext_lazy("push", "given up")

    component = models.ForeignKey(
        Component,
        on_delete=models.CASCADE,
        related_name="pushes",
        verbose_name=pgettext_lazy("wechat_open", "platform"),
    )
    digest = models.CharField(max_length=64, editable=False)
    info_type = models.CharField(pgettext_lazy("wechat_open", "type"), max_length=64)
    authorizer_appid = models.CharField(pgettext_lazy("wechat_open", "account"), max_length=64, blank=True, default="")
    payload = SealedField()
    created_at = UTCDateTimeField(_("created at (WeChat)"), editable=False)
    received_at = UTCDateTimeField(pgettext_lazy("wechat_open", "received at"), editable=False)
    state = models.CharField(
        pgettext_lazy("wechat_open", "state"), max_length=16, choices=State.choices, default=State.RECEIVED
    )
    attempts = models.PositiveIntegerField(pgettext_lazy("wechat_open", "attempts"), default=0, editable=False)
    next_attempt_at = UTCDateTimeField(_("next attempt at"), null=True, editable=False)
    processed_at = UTCDateTimeField(pgettext_lazy("wechat_open", "processed at"), null=True, editable=False)
    error = SentenceField(pgettext_lazy("wechat_open", "error"), blank=True, default="", editable=False)

    class Meta:
        verbose_name = pgettext_lazy("wechat_open", "push")
        verbose_name_plural = pgettext_lazy("wechat_open", "pushes")
        default_permissions = ("view",)
        ordering = ["-received_at", "-pk"]
        constraints = [models.UniqueConstraint(fields=["component", "digest"], name="wechat_open_push_once")]
        indexes = [
            models.Index(fields=["state", "next_attempt_at"], name="wechat_open_push_due"),
            models.Index(fields=["authorizer_appid", "created_at"], name="wechat_open_push_account"),
            models.Index(fields=["received_at", "id"], name="wechat_open_push_newest"),
            models.Index(fields=["state", "received_at"], name="wechat_open_push_by_state"),
            models.Index(fields=["info_type", "received_at"], name="wechat_open_push_by_type"),
            models.Index(fields=["component", "received_at"], name="wechat_open_push_of"),
        ]
        permissions = [
            ("replay_push", _("Can process a push again")),
            ("view_push_payload", _("Can see what was pushed, without its secrets")),
        ]

    def __str__(self) -> str:
        return f"{self.info_type} {self.authorizer_appid}".rstrip()

    def sealing_identity(self) -> str:
        return f"{self.component.appid}:{self.digest}"


class AuthorizationLink(SealedRow):
    """A started authorization: who started it, for which tenant, and what became of it."""

    class AuthType(models.IntegerChoices):
        """WeChat's auth_type (protocol 3.3)."""

        BOTH = 3, _("Official accounts and mini programs")
        OFFICIAL = 1, _("Official accounts only")
        MINI = 2, _("Mini programs only")
        ALL = 6, _("Official accounts, mini programs and channels accounts")
        CHANNELS = 5, _("Channels accounts only")
        PROMOTER = 4, _("Mini-program promoter accounts")
        SALES = 8, pgettext_lazy("wechat_open", "Sales-assistant accounts")

    component = models.ForeignKey(
        Component, on_delete=models.CASCADE, related_name="links", verbose_name=pgettext_lazy("wechat_open", "platform")
    )
    key = SealedField()
    key_digest = models.CharField(max_length=64, unique=True, editable=False)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=pgettext_lazy("wechat_open", "started by"),
    )
    payload = models.JSONField(pgettext_lazy("wechat_open", "tenant payload"), default=dict, blank=True)
    tenant_key = TenantKeyField(max_length=255, blank=True, default="", editable=False, db_index=True)
    auth_type = models.PositiveSmallIntegerField(_("kinds of account"), choices=AuthType.choices, default=AuthType.BOTH)
    # Whether it was started for a user, who may have been deleted since.
    for_user = models.BooleanField(default=False, editable=False)
    biz_appid = models.CharField(_("only this account"), max_length=64, blank=True, default="")
    category_ids = models.JSONField(_("permission sets asked for"), default=list, blank=True)
    next_url = models.TextField(_("where the owner goes next"), blank=True, default="")
    created_at = UTCDateTimeField(pgettext_lazy("wechat_open", "created at"), editable=False)
    expires_at = UTCDateTimeField(pgettext_lazy("wechat_open", "expires at"), editable=False)
    completed_at = UTCDateTimeField(pgettext_lazy("wechat_open", "completed at"), null=True, editable=False)
    revoked_at = UTCDateTimeField(pgettext_lazy("wechat_open", "revoked at"), null=True, editable=False)
    # The newest pre-auth code, and until when further views of the page are given it too; a time without a code says
    # that WeChat is being asked for one.
    pre_auth_code = SealedField()
    pre_auth_code_shared_until = UTCDateTimeField(null=True, editable=False)
    pre_auth_code_expires_at = UTCDateTimeField(null=True, editable=False)
    pre_auth_code_refused_until = UTCDateTimeField(null=True, editable=False)  # WeChat gave none a moment ago
    authorizer = models.ForeignKey(
        Authorizer,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="links",
        verbose_name=pgettext_lazy("wechat_open", "account"),
        editable=False,
    )

    class Meta:
        verbose_name = pgettext_lazy("wechat_open", "authorization link")
        verbose_name_plural = pgettext_lazy("wechat_open", "authorization links")
        default_permissions = ("view",)
        ordering = ["-created_at", "-pk"]
        indexes = [
            models.Index(fields=["created_at", "id"], name="wechat_open_link_newest"),
            models.Index(fields=["expires_at"], name="wechat_open_link_expiry"),
            models.Index(fields=["completed_at"], name="wechat_open_link_used"),
            models.Index(fields=["revoked_at"], name="wechat_open_link_revoked"),
            models.Index(fields=["biz_appid"], name="wechat_open_link_account"),
        ]
        permissions = [
            ("share_link", _("Can see a link's address and QR code")),
            ("revoke_link", _("Can revoke a link")),
        ]

    def __str__(self) -> str:
        return f"{exact(self.created_at)} {self.biz_appid}".rstrip()

    def sealing_identity(self) -> str:
        return self.key_digest

    _open_key: Secret | None = None

    def with_key(self) -> AuthorizationLink:
        """The same row, ready to tell its address. For code that has made sure of whom it tells."""
        self._open_key = self.reveal("key")
        return self

    def get_absolute_url(self) -> str:
        """The connect page of this link, as a path. Whoever has it may open it until it expires or is used.

        Only a link from ``authorization.begin`` or ``open_link`` tells it; a row that was merely loaded raises
        PermissionDenied, because Django's admin would hand the address to every member of staff ("view on site").
        """
        if self._open_key is None:
            raise PermissionDenied("This link does not tell its address; call with_key() first.")
        return reverse("wechat_open:authorize_link", kwargs={"key": self._open_key.reveal()})


class AuthorizationAttempt(Row):
    """One view of a connect page: its pre-auth code, its state, and the browser that it was shown to."""

    link = models.ForeignKey(AuthorizationLink, on_delete=models.CASCADE, related_name="attempts")
    state_digest = models.CharField(max_length=64, unique=True, editable=False)
    browser_digest = models.CharField(max_length=64, editable=False)
    pre_auth_code_digest = models.CharField(max_length=64, db_index=True, editable=False)
    created_at = UTCDateTimeField(editable=False)
    expires_at = UTCDateTimeField(editable=False)
    used_at = UTCDateTimeField(null=True, editable=False)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+", editable=False
    )
    device = models.CharField(max_length=16, blank=True, default="", editable=False)  # "pc", "phone", "wechat" or ""

    class Meta:
        verbose_name = _("opened connect page")
        verbose_name_plural = _("opened connect pages")
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.link_id} {self.created_at:%Y-%m-%d %H:%M:%S}"


class CodeExchange(Row):
    """One authorization code, however often it arrives: the link it belongs to, and the account it brought.

    ``returned_at`` is when a browser first brought it, to ``attempt``; ``pushed_at`` when WeChat's push said which link
    it belongs to (none: no link of ours). ``grant_epoch`` is empty when a newer grant of the account was stored before.
    ``rests_until`` and ``last_errcode`` keep what WeChat answered when it could not be exchanged.
    """

    component = models.ForeignKey(Component, on_delete=models.CASCADE, related_name="+")
    digest = models.CharField(max_length=64, editable=False)
    link = models.ForeignKey(AuthorizationLink, on_delete=models.SET_NULL, null=True, related_name="+")
    attempt = models.ForeignKey(AuthorizationAttempt, on_delete=models.SET_NULL, null=True, related_name="+")
    returned_at = UTCDateTimeField(null=True, editable=False)
    pushed_at = UTCDateTimeField(null=True, editable=False)
    pre_auth_code_digest = models.CharField(max_length=64, blank=True, default="", editable=False)
    authorizer = models.ForeignKey(Authorizer, on_delete=models.SET_NULL, null=True, related_name="+")
    grant_epoch = models.PositiveBigIntegerField(null=True, editable=False)
    fence = models.PositiveBigIntegerField(default=0, editable=False)
    claimed_until = UTCDateTimeField(null=True, editable=False)
    rests_until = UTCDateTimeField(null=True, editable=False)
    last_errcode = models.IntegerField(null=True, editable=False)
    created_at = UTCDateTimeField(editable=False)
    completed_at = UTCDateTimeField(null=True, editable=False)

    class Meta:
        verbose_name = pgettext_lazy("wechat_open", "exchanged code")
        verbose_name_plural = pgettext_lazy("wechat_open", "exchanged codes")
        default_permissions = ()
        constraints = [models.UniqueConstraint(fields=["component", "digest"], name="wechat_open_code_once")]

    def __str__(self) -> str:
        return f"{self.component_id} {self.created_at:%Y-%m-%d %H:%M:%S}"


class JournalEntry(Row):
    """What happened to an account or a platform, and who did it: the timeline, and the audit trail.

    The appid and the actor's name are copied: an entry outlives both.
    """

    class Kind(models.TextChoices):
        # What WeChat and owners did
        AUTHORIZED = "authorized", pgettext_lazy("journal", "authorized")
        UPDATED = "updated", pgettext_lazy("journal", "permission sets changed")
        UNAUTHORIZED = "unauthorized", pgettext_lazy("journal", "authorization ended")
        NEEDS_REAUTHORIZATION = "needs_reauthorization", pgettext_lazy("journal", "needs re-authorization")
        CODE_MISUSED = "code_misused", pgettext_lazy("journal", "authorization code misused")
        # How renewals went: the first failure of several, and the success that ended them
        RENEWAL_FAILED = "renewal_failed", pgettext_lazy("journal", "renewal failed")
        RESTRICTED = "restricted", pgettext_lazy("journal", "restricted by WeChat")
        RECOVERED = "recovered", pgettext_lazy("journal", "renewal works again")
        # What operators did
        REFRESHED = "refreshed", pgettext_lazy("journal", "tokens refreshed by hand")
        SYNCED = "synced", pgettext_lazy("journal", "profile read by hand")
        RECONCILED = "reconciled", pgettext_lazy("journal", "compared with WeChat's records")
        ASKED = "asked", pgettext_lazy("journal", "asked to authorize again")
        FORGOTTEN = "forgotten", pgettext_lazy("journal", "forgotten")
        LINK_MADE = "link_made", pgettext_lazy("journal", "link created")
        LINK_SHOWN = "link_shown", pgettext_lazy("journal", "link's address viewed")
        LINK_REVOKED = "link_revoked", pgettext_lazy("journal", "link revoked")
        REPLAYED = "replayed", pgettext_lazy("journal", "push processed again")
        PAYLOAD_SEEN = "payload_seen", pgettext_lazy("journal", "push viewed")
        TICKETS_REQUESTED = "tickets_requested", pgettext_lazy("journal", "ticket pushing requested")
        TICKETS_FORGOTTEN = "tickets_forgotten", pgettext_lazy("journal", "verify tickets deleted")
        BULK_STARTED = "bulk_started", pgettext_lazy("journal", "bulk action started")
        BULK_STOPPED = "bulk_stopped", pgettext_lazy("journal", "bulk action stopped")
        ALERT_ACKNOWLEDGED = "alert_acknowledged", pgettext_lazy("journal", "alert acknowledged")
        ALERT_MUTED = "alert_muted", pgettext_lazy("journal", "alert muted")
        ALERT_UNMUTED = "alert_unmuted", pgettext_lazy("journal", "mute of an alert ended")
        EXPORTED = "exported", pgettext_lazy("journal", "accounts exported")

    at = UTCDateTimeField(pgettext_lazy("wechat_open", "when"), editable=False)
    component = models.ForeignKey(
        Component,
        on_delete=models.CASCADE,
        related_name="journal",
        verbose_name=pgettext_lazy("wechat_open", "platform"),
    )
    kind = models.CharField(pgettext_lazy("wechat_open", "what"), max_length=24, choices=Kind.choices)
    appid = models.CharField(pgettext_lazy("wechat_open", "account"), max_length=64, blank=True, default="")
    name = models.CharField(pgettext_lazy("wechat_open", "name"), max_length=255, blank=True, default="")
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        related_name="+",
        verbose_name=pgettext_lazy("wechat_open", "who"),
    )
    actor = models.CharField(pgettext_lazy("wechat_open", "who"), max_length=150, blank=True, default="")
    ok = models.BooleanField(pgettext_lazy("wechat_open", "succeeded"), default=True)
    errcode = models.IntegerField(pgettext_lazy("wechat_open", "errcode"), null=True)
    rid = models.CharField(_("request id (rid)"), max_length=64, blank=True, default="")
    detail = SentenceField(pgettext_lazy("wechat_open", "detail"), blank=True, default="")
    # The number of the bulk action of which this is one row, or 0. A number and no key: an entry outlives the job.
    job = models.PositiveBigIntegerField(pgettext_lazy("wechat_open", "bulk action"), default=0)

    class Meta:
        verbose_name = _("audit trail entry")
        verbose_name_plural = _("audit trail entries")
        default_permissions = ("view",)
        ordering = ["-at", "-pk"]
        indexes = [
            models.Index(fields=["at", "id"], name="wechat_open_journal_newest"),
            models.Index(fields=["component", "appid", "at"], name="wechat_open_journal_account"),
            models.Index(fields=["kind", "at"], name="wechat_open_journal_kind"),
            models.Index(fields=["actor", "at"], name="wechat_open_journal_actor"),
            models.Index(fields=["ok", "at"], name="wechat_open_journal_outcome"),
            models.Index(fields=["job", "at", "id"], name="wechat_open_journal_job"),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} {self.appid}".rstrip()


class HourlyCount(Row):
    """How often something happened to a platform in one hour, for plots and monitors."""

    class What(models.TextChoices):
        RENEWED = "renewed", pgettext_lazy("wechat_open", "renewals")
        FAILED = "failed", pgettext_lazy("wechat_open", "failed renewals")
        FORCED = "forced", _("component tokens that WeChat refused early")
        PUSHES = "pushes", pgettext_lazy("wechat_open", "pushes")
        PUSHES_FAILED = "pushes_failed", pgettext_lazy("wechat_open", "failed pushes")
        UNREADABLE = "unreadable", _("pushes that could not be read")
        HANDLERS_BUSY = "handlers_busy", _("messages refused because handlers were busy")
        DEFERRED_REFUSED = "deferred_refused", _("deferred answers that workers refused")

    component = models.ForeignKey(Component, on_delete=models.CASCADE, related_name="hours")
    hour = UTCDateTimeField(editable=False)  # its beginning
    what = models.CharField(max_length=24, choices=What.choices)
    count = models.PositiveBigIntegerField(default=0)

    class Meta:
        verbose_name = pgettext_lazy("wechat_open", "hourly count")
        verbose_name_plural = pgettext_lazy("wechat_open", "hourly counts")
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(fields=["component", "hour", "what"], name="wechat_open_hour_once"),
        ]

    def __str__(self) -> str:
        return f"{self.hour:%Y-%m-%d %H} {self.what} {self.count}"


class BulkJob(Row):
    """One action on many rows, asked for by an operator and done by workers, slice by slice.

    ``position`` is how many of ``targets`` (primary keys) are behind it. A claim ends by itself, so a job whose worker
    died goes on with the next ring.
    """

    class Action(models.TextChoices):
        REFRESH = "refresh", pgettext_lazy("bulk", "Refresh tokens")
        SYNC = "sync", pgettext_lazy("bulk", "Read profiles from WeChat")
        RECONCILE = "reconcile", pgettext_lazy("bulk", "Compare with WeChat's records")
        ASK = "ask", pgettext_lazy("bulk", "Ask owners to authorize again")
        FORGET = "forget", pgettext_lazy("bulk", "Forget accounts")
        REPLAY = "replay", pgettext_lazy("bulk", "Process pushes again")

    action = models.CharField(pgettext_lazy("wechat_open", "action"), max_length=16, choices=Action.choices)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        related_name="+",
        verbose_name=pgettext_lazy("wechat_open", "started by"),
    )
    actor = models.CharField(pgettext_lazy("wechat_open", "started by"), max_length=150, blank=True, default="")
    language = models.CharField(max_length=16, blank=True, default="", editable=False)  # of what it tells
    targets = models.JSONField(default=list, editable=False)
    arguments = models.JSONField(default=dict, blank=True, editable=False)
    total = models.PositiveIntegerField(pgettext_lazy("wechat_open", "rows"), default=0, editable=False)
    position = models.PositiveIntegerField(default=0, editable=False)
    done = models.PositiveIntegerField(pgettext_lazy("wechat_open", "done"), default=0, editable=False)
    failed = models.PositiveIntegerField(pgettext_lazy("wechat_open", "failed"), default=0, editable=False)
    created_at = UTCDateTimeField(pgettext_lazy("wechat_open", "started at"), editable=False)
    finished_at = UTCDateTimeField(pgettext_lazy("wechat_open", "finished at"), null=True, editable=False)
    stopped_at = UTCDateTimeField(pgettext_lazy("wechat_open", "stopped at"), null=True, editable=False)
    reason = models.JSONField(default=dict, blank=True, editable=False)  # the error that stopped it, if one did
    fence = models.PositiveBigIntegerField(default=0, editable=False)
    claimed_until = UTCDateTimeField(null=True, editable=False)

    class Meta:
        verbose_name = pgettext_lazy("wechat_open", "bulk action")
        verbose_name_plural = pgettext_lazy("wechat_open", "bulk actions")
        default_permissions = ("view", "change")
        ordering = ["-created_at", "-pk"]
        indexes = [
            models.Index(fields=["created_at", "id"], name="wechat_open_bulk_newest"),
            models.Index(fields=["finished_at", "claimed_until"], name="wechat_open_bulk_open"),
        ]

    def __str__(self) -> str:
        return f"{self.get_action_display()} ({self.total})"


class BulkFailure(Row):
    """A row of a bulk action that failed, and why. ``reason`` is equal for failures of the same kind."""

    job = models.ForeignKey(BulkJob, on_delete=models.CASCADE, related_name="failures")
    key = models.BigIntegerField(editable=False)
    name = models.CharField(max_length=400, blank=True, default="", editable=False)
    reason = models.CharField(max_length=64, editable=False)
    errcode = models.IntegerField(null=True, editable=False)
    rid = models.CharField(max_length=64, blank=True, default="", editable=False)
    said = SentenceField(blank=True, default="", editable=False)

    class Meta:
        verbose_name = _("failed row of a bulk action")
        verbose_name_plural = _("failed rows of bulk actions")
        default_permissions = ()
        constraints = [models.UniqueConstraint(fields=["job", "key"], name="wechat_open_failure_once")]
        indexes = [models.Index(fields=["job", "reason", "id"], name="wechat_open_failure_reason")]

    def __str__(self) -> str:
        return self.name


class Alert(Row):
    """Something that is wrong, from when it was first seen until it was resolved, and when that was last told."""

    class Severity(models.TextChoices):
        WARNING = "warning", pgettext_lazy("wechat_open", "warning")
        CRITICAL = "critical", pgettext_lazy("wechat_open", "critical")

    component = models.ForeignKey(Component, on_delete=models.CASCADE, null=True, related_name="alerts")
    alias = models.CharField(
        pgettext_lazy("wechat_open", "platform"), max_length=255, blank=True, default="", editable=False
    )  # "": the site
    code = models.CharField(pgettext_lazy("wechat_open", "code"), max_length=48)
    severity = models.CharField(pgettext_lazy("wechat_open", "severity"), max_length=16, choices=Severity.choices)
    first_seen_at = UTCDateTimeField(_("first seen at"), editable=False)
    last_seen_at = UTCDateTimeField(_("last seen at"), editable=False)
    told_at = UTCDateTimeField(_("last sent at"), null=True, editable=False)  # NULL: muted from its beginning on
    acknowledged_at = UTCDateTimeField(pgettext_lazy("wechat_open", "acknowledged at"), null=True, editable=False)
    acknowledged_by = models.CharField(
        pgettext_lazy("wechat_open", "acknowledged by"), max_length=150, blank=True, default="", editable=False
    )
    muted_until = UTCDateTimeField(pgettext_lazy("wechat_open", "muted until"), null=True, editable=False)
    muted_by = models.CharField(
        pgettext_lazy("wechat_open", "muted by"), max_length=150, blank=True, default="", editable=False
    )
    count = models.PositiveIntegerField(pgettext_lazy("wechat_open", "times seen"), default=1, editable=False)
    context = models.JSONField(default=dict, blank=True, editable=False)  # numbers and names, no secret
    resolved_at = UTCDateTimeField(pgettext_lazy("wechat_open", "resolved at"), null=True, editable=False)
    # One open alert for each code of a platform: the key is emptied to NULL when it is resolved.
    open_key = models.CharField(max_length=128, null=True, unique=True, editable=False)  # noqa: DJ001  # NULLs are many

    class Meta:
        verbose_name = pgettext_lazy("wechat_open", "alert")
        verbose_name_plural = pgettext_lazy("wechat_open", "alerts")
        ordering = ["-first_seen_at", "-pk"]
        indexes = [models.Index(fields=["first_seen_at", "id"], name="wechat_open_alert_newest")]
        default_permissions = ("view",)
        permissions = [("handle_alert", _("Can acknowledge and mute alerts"))]

    def __str__(self) -> str:
        return f"{self.get_severity_display()} #{self.pk}"


class Dashboard(Component):
    """The platforms' health as an entry of the admin's index and sidebar. It has no table and no rows of its own."""

    class Meta:
        proxy = True
        default_permissions = ()
        verbose_name = pgettext_lazy("wechat_open", "dashboard")
        verbose_name_plural = pgettext_lazy("wechat_open", "dashboard")


def func_key(func_info: Iterable[int]) -> str:
    """Permission sets as an index holds them: ``1,2,7``, or a bit for each (``x86``) where that would be too long.

    Hexadecimal, because a database may take capitals for small letters. The bits reach to 1015, far beyond what WeChat
    has given out; a long list with a higher number becomes a digest, which is still its own and no other list's.
    """
    numbers = sorted(set(func_info))
    key = ",".join(str(number) for number in numbers)
    if len(key) > FUNC_KEY_LENGTH and numbers[0] >= 0 and numbers[-1] < 4 * (FUNC_KEY_LENGTH - 1):
        key = f"x{sum(1 << number for number in numbers):x}"
    return key if len(key) <= FUNC_KEY_LENGTH else f"#{sha256(key.encode()).hexdigest()}"


def func_ids(key: str) -> frozenset[int]:
    """The permission sets that ``func_key`` has written; none where it could only tell them apart."""
    if key.startswith("#"):
        return frozenset()
    if key.startswith("x"):
        bits = int(key[1:], 16)
        return frozenset(number for number in range(bits.bit_length()) if bits >> number & 1)
    return frozenset(int(number) for number in key.split(",") if number)


def search_key(text: str) -> str:
    """A name as a search compares it: without case and width (全角), the beginning first."""
    return unicodedata.normalize("NFKC", text).casefold().strip()[:255]


def tenant_of(payload: Mapping[str, Any]) -> str:
    """The tenant that a link's payload names, as a text for people.

    It is the value that the setting TENANT_KEY names. Without that setting it is the only value, or all of them with
    their names.
    """
    if conf.tenant_key:
        return _plain(payload.get(conf.tenant_key))
    if len(payload) == 1:
        return _plain(next(iter(payload.values())))
    return ", ".join(f"{name}: {_plain(value)}" for name, value in payload.items())


def _plain(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def to_announce() -> dict[str, Any]:
    """The columns that make an account's change known to other apps, sooner or later."""
    return {"needs_announcing": True, "announcement": models.F("announcement") + 1}


def update_row(row: models.Model, **changes: Any) -> int:
    """UPDATE these columns of this row and no others (never a whole-row save; protocol 13, hole 20)."""
    return type(row)._default_manager.filter(pk=row.pk).update(**changes)

"""The models: rows, constraints and named queries. Nothing here calls WeChat.

Secrets are encrypted columns. A row that holds an access token (a platform or an account) is a ``TokenHolder``: both
have the same columns for ``tokens``.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterable, Mapping
from datetime import timedelta
from hashlib import sha256
from typing import TYPE_CHECKING, Any, ClassVar

from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.db import models
from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from .conf import conf
from .db.clock import DatabaseTime
from .db.fields import (
    EncryptedField,
    EncryptedRow,
    JSONListField,
    JSONObjectField,
    TranslatableTextField,
    is_number,
    is_time,
)
from .db.managers import Row
from .db.times import UTCDateTimeField, exact
from .secret import Secret

if TYPE_CHECKING:
    from django.contrib.auth.base_user import AbstractBaseUser as User

__all__ = ["Alert", "AuditEntry", "AuthorizationLink", "Authorizer", "Component", "Push", "VerifyTicket"]

FUNC_KEY_LENGTH = 255

AHEAD = timedelta(minutes=10)
"""How far WeChat's CreateTime may be ahead of the database's clock; a later one is not used for ordering."""


class TenantKeyField(models.CharField):  # type: ignore[type-arg]  # not generic at run time
    """The search key of a link's tenant, computed from the payload whenever the row is saved."""

    def pre_save(self, model_instance: models.Model, add: bool) -> str:
        key = search_key(tenant_of(getattr(model_instance, "payload", {})))
        setattr(model_instance, self.attname, key)
        return key

    def deconstruct(self) -> Any:
        """In migrations it is an ordinary column."""
        name, _path, args, kwargs = super().deconstruct()
        return name, "django.db.models.CharField", args, kwargs


class TokenHolder(EncryptedRow):
    """An access token, when it ends, when it is renewed next, and until when a worker has the lease to do so.

    ``fence`` grows with every lease and every write: a compare-and-set on it makes late writers lose. A lease also
    moves ``next_action_at``, so the row of a worker that was killed is due again by itself.
    """

    access_token = EncryptedField()
    access_token_obtained_at = UTCDateTimeField(_("token obtained at"), null=True, editable=False)
    access_token_expires_at = UTCDateTimeField(_("token expires at"), null=True, editable=False)
    fence = models.PositiveBigIntegerField(default=0, editable=False)
    leased_until = UTCDateTimeField(null=True, editable=False)
    next_action_at = UTCDateTimeField(_("next action at"), null=True, editable=False)
    due_since = UTCDateTimeField(null=True, editable=False)  # of a renewal that was begun and has not succeeded
    failures = models.PositiveIntegerField(_("failures in a row"), default=0, editable=False)
    last_errcode = models.IntegerField(pgettext_lazy("wechat_open", "last errcode"), null=True, editable=False)
    last_error = TranslatableTextField(
        pgettext_lazy("wechat_open", "last error"), blank=True, default="", editable=False
    )
    last_rid = models.CharField(_("last request id (rid)"), max_length=64, blank=True, default="", editable=False)
    last_failed_at = UTCDateTimeField(_("last failed at"), null=True, editable=False)

    class Meta:
        abstract = True


class Component(TokenHolder):
    """One third-party platform (第三方平台), known by its appid."""

    encrypted_for = ("appid",)
    identified_by = ("appid",)

    PUBLIC_FIELDS = ("id", "appid", "last_push_at")
    """Columns that a site may publish: none that is encrypted or internal."""

    appid = models.CharField(pgettext_lazy("wechat_open", "appid"), max_length=64, unique=True)
    created_at = UTCDateTimeField(db_default=DatabaseTime(), editable=False)
    last_push_at = UTCDateTimeField(_("last push at"), null=True, editable=False)
    heartbeat_at = UTCDateTimeField(_("due tokens last checked at"), null=True, editable=False)
    renewals_leased_until = UTCDateTimeField(null=True, editable=False)
    renewals_fence = models.PositiveBigIntegerField(default=0, editable=False)
    # How many different accounts have newly failed for one reason, one after the other, and since when none succeeded.
    failed_accounts = models.PositiveIntegerField(default=0, editable=False)
    failed_reason = models.CharField(max_length=32, blank=True, default="", editable=False)
    failed_since = UTCDateTimeField(null=True, editable=False)
    # Renewals are paused from then on, until an account is renewed; from paused_until on one may be tried.
    paused_since = UTCDateTimeField(_("renewals paused since"), null=True, editable=False)
    paused_until = UTCDateTimeField(null=True, editable=False)
    probes = models.PositiveIntegerField(default=0, editable=False)
    forced_at = UTCDateTimeField(_("last forced renewal at"), null=True, editable=False)
    push_started_at = UTCDateTimeField(_("ticket pushing last requested at"), null=True, editable=False)
    push_answer = TranslatableTextField(_("what WeChat said to that"), blank=True, default="", editable=False)
    reconcile_due_at = UTCDateTimeField(_("next comparison at"), null=True, editable=False)
    reconciled_at = UTCDateTimeField(_("last complete comparison at"), null=True, editable=False)
    reconcile_repairs = models.PositiveIntegerField(_("repairs of the last comparison"), default=0, editable=False)
    beat_at = UTCDateTimeField(_("last task sent by beat at"), null=True, editable=False)
    braked_at = UTCDateTimeField(_("brake last on at"), null=True, editable=False)
    # When a process last got no answer from WeChat, several times in a row; on which host, and why.
    unreached_at = UTCDateTimeField(null=True, editable=False)
    unreached = TranslatableTextField(blank=True, default="", editable=False)
    skew_seconds = models.FloatField(_("seconds by which WeChat's clock is ahead of ours"), null=True, editable=False)
    statistics = JSONObjectField(default=dict, blank=True, editable=False)  # of accounts: health/statistics.py
    counted_at = UTCDateTimeField(_("accounts last counted at"), null=True, editable=False)

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


def platform_column(related_name: str) -> models.ForeignKey[Component, Component]:
    """The platform to which a row belongs, and with which it is deleted."""
    name = pgettext_lazy("wechat_open", "platform")
    return models.ForeignKey(Component, on_delete=models.CASCADE, related_name=related_name, verbose_name=name)


def user_column(name: Any, *, blank: bool = False) -> models.ForeignKey[User | None, User | None]:
    """The user who did something; the row outlives the user."""
    return models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=blank, related_name="+", verbose_name=name
    )


class VerifyTicket(EncryptedRow):
    """A component_verify_ticket. The newest by WeChat's CreateTime and by receipt are tried, a few are kept."""

    encrypted_for = ("component__appid", "digest")

    component = platform_column("tickets")
    ticket = EncryptedField()
    digest = models.CharField(max_length=64, editable=False)
    created_at = UTCDateTimeField(_("created at (WeChat)"), editable=False)
    received_at = UTCDateTimeField(pgettext_lazy("wechat_open", "received at"), editable=False)
    needs_announcing = models.BooleanField(default=False, editable=False)

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


class Authorizer(TokenHolder):
    """An account (公众号, 小程序 ...) that granted, or once granted, rights to a platform."""

    encrypted_for = ("component__appid", "appid")
    identified_by = ("appid",)

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
    """Columns that a site may publish: none that is encrypted or internal."""

    component = platform_column("authorizers")
    appid = models.CharField(pgettext_lazy("wechat_open", "appid"), max_length=64, db_index=True)
    state = models.CharField(
        pgettext_lazy("wechat_open", "state"), max_length=24, choices=State.choices, default=State.AUTHORIZED
    )

    refresh_token = EncryptedField()
    previous_refresh_token = EncryptedField()
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

    # The state that signals have announced. A process may be killed before it records that, so signals may be repeated.
    needs_announcing = models.BooleanField(default=False, editable=False)
    announcement = models.PositiveBigIntegerField(default=0, editable=False)
    announced_state = models.CharField(max_length=24, blank=True, default="", editable=False)
    announced_epoch = models.PositiveBigIntegerField(default=0, editable=False)
    announced_func_info = JSONListField(default=list, is_entry=is_number, blank=True, editable=False)

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
    profile = JSONObjectField(_("profile as WeChat sent it"), default=dict, blank=True)
    func_info = JSONListField(
        pgettext_lazy("wechat_open", "permission sets"), default=list, is_entry=is_number, blank=True
    )
    # The same, short enough for an index, see `func_key`: accounts with equal sets have equal keys.
    func_key = models.CharField(max_length=FUNC_KEY_LENGTH, blank=True, default="", editable=False)
    # Name, principal and ids as a search compares them, see `search_key`.
    name_key = models.CharField(max_length=255, blank=True, default="", editable=False, db_index=True)
    principal_key = models.CharField(max_length=255, blank=True, default="", editable=False, db_index=True)
    # When the tokens were renewed lately, newest first; the audit trail would grow by a million rows a day.
    renewals = JSONListField(default=list, is_entry=is_time, blank=True, editable=False)
    profile_synced_at = UTCDateTimeField(_("profile read at"), null=True, editable=False)
    profile_failures = models.PositiveIntegerField(default=0, editable=False)  # failed reads in a row
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


class Push(EncryptedRow):
    """A push in the inbox, which was answered with ``success``, and its processing."""

    encrypted_for = ("component__appid", "digest")
    identified_by = ("digest",)

    class State(models.TextChoices):
        RECEIVED = "received", pgettext_lazy("push", "waiting")
        DONE = "done", pgettext_lazy("push", "done")
        FAILED = "failed", pgettext_lazy("push", "failed, will be repeated")
        ABANDONED = "abandoned", pgettext_lazy("push", "given up")

    component = platform_column("pushes")
    digest = models.CharField(max_length=64, editable=False)
    info_type = models.CharField(pgettext_lazy("wechat_open", "type"), max_length=64)
    authorizer_appid = models.CharField(pgettext_lazy("wechat_open", "account"), max_length=64, blank=True, default="")
    payload = EncryptedField()
    created_at = UTCDateTimeField(_("created at (WeChat)"), editable=False)
    received_at = UTCDateTimeField(pgettext_lazy("wechat_open", "received at"), editable=False)
    state = models.CharField(
        pgettext_lazy("wechat_open", "state"), max_length=16, choices=State.choices, default=State.RECEIVED
    )
    attempts = models.PositiveIntegerField(pgettext_lazy("wechat_open", "attempts"), default=0, editable=False)
    next_attempt_at = UTCDateTimeField(_("next attempt at"), null=True, editable=False)
    fence = models.PositiveBigIntegerField(default=0, editable=False)
    processed_at = UTCDateTimeField(pgettext_lazy("wechat_open", "processed at"), null=True, editable=False)
    error = TranslatableTextField(pgettext_lazy("wechat_open", "error"), blank=True, default="", editable=False)

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


class AuthorizationLink(EncryptedRow):
    """A started authorization: by which user, for which tenant, and its outcome."""

    encrypted_for = ("key_digest",)

    class AuthType(models.IntegerChoices):
        """WeChat's auth_type (docs/protocol.rst, "Links")."""

        BOTH = 3, _("Official accounts and mini programs")
        OFFICIAL = 1, _("Official accounts only")
        MINI = 2, _("Mini programs only")
        ALL = 6, _("Official accounts, mini programs and channels accounts")
        CHANNELS = 5, _("Channels accounts only")
        PROMOTER = 4, _("Mini-program promoter accounts")
        SALES = 8, pgettext_lazy("wechat_open", "Sales-assistant accounts")

    component = platform_column("links")
    key = EncryptedField()
    key_digest = models.CharField(max_length=64, unique=True, editable=False)
    user = user_column(pgettext_lazy("wechat_open", "started by"), blank=True)
    payload = JSONObjectField(pgettext_lazy("wechat_open", "tenant payload"), default=dict, blank=True)
    tenant_key = TenantKeyField(max_length=255, blank=True, default="", editable=False, db_index=True)
    auth_type = models.PositiveSmallIntegerField(_("kinds of account"), choices=AuthType.choices, default=AuthType.BOTH)
    # Whether it was started for a user, who may have been deleted since.
    for_user = models.BooleanField(default=False, editable=False)
    biz_appid = models.CharField(_("only this account"), max_length=64, blank=True, default="")
    category_ids = JSONListField(_("permission sets asked for"), default=list, is_entry=is_number, blank=True)
    next_url = models.TextField(_("where the owner goes next"), blank=True, default="")
    created_at = UTCDateTimeField(pgettext_lazy("wechat_open", "created at"), editable=False)
    expires_at = UTCDateTimeField(pgettext_lazy("wechat_open", "expires at"), editable=False)
    completed_at = UTCDateTimeField(pgettext_lazy("wechat_open", "completed at"), null=True, editable=False)
    revoked_at = UTCDateTimeField(pgettext_lazy("wechat_open", "revoked at"), null=True, editable=False)
    # The newest pre-auth code, and until when further views of the page get it too; a time without a code means that
    # one is being requested from WeChat.
    pre_auth_code = EncryptedField()
    pre_auth_code_shared_until = UTCDateTimeField(null=True, editable=False)
    pre_auth_code_expires_at = UTCDateTimeField(null=True, editable=False)
    pre_auth_code_refused_until = UTCDateTimeField(null=True, editable=False)  # WeChat has just refused one
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

    _open_key: Secret | None = None

    def with_key(self) -> AuthorizationLink:
        """The row with its key, so that ``get_absolute_url`` works. Check first that the reader may see the address."""
        self._open_key = self.reveal("key")
        return self

    def get_absolute_url(self) -> str:
        """The connect page of this link, as a path. Everyone who has the path may open it until it expires or is used.

        Only a link from ``authorization.begin`` or ``open_link`` has its key; a row that was merely loaded raises
        PermissionDenied, because Django's admin would hand the address to every member of staff ("view on site").
        """
        if self._open_key is None:
            raise PermissionDenied("The key of this link is not loaded; call with_key() first.")
        return reverse("wechat_open:authorize_link", kwargs={"key": self._open_key.reveal()})


class AuthorizationAttempt(Row):
    """One view of a connect page: its pre-auth code, its state, its browser, and the code that this browser brought."""

    link = models.ForeignKey(AuthorizationLink, on_delete=models.CASCADE, related_name="attempts")
    state_digest = models.CharField(max_length=64, unique=True, editable=False)
    browser_digest = models.CharField(max_length=64, editable=False)
    pre_auth_code_digest = models.CharField(max_length=64, db_index=True, editable=False)
    created_at = UTCDateTimeField(editable=False)
    expires_at = UTCDateTimeField(editable=False)
    used_at = UTCDateTimeField(null=True, editable=False)
    code_digest = models.CharField(max_length=64, blank=True, default="", editable=False)
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


class CodeExchange(EncryptedRow):
    """One authorization code, however often it arrives: its link, and the account that it is for.

    ``returned_at`` is when a browser first brought it, to ``attempt``; ``pushed_at`` when WeChat's push said which link
    it belongs to (none: no link of ours). ``grant_epoch`` is empty when a newer grant of the account was stored before.
    ``rests_until`` and ``last_errcode`` keep what WeChat answered when it could not be exchanged. ``code`` (when a
    browser brought it) and ``answer`` (WeChat's, which it gives once) are for a worker that takes over from one that
    was killed; they are empty when nothing is left to do.
    """

    encrypted_for = ("component__appid", "digest")
    identified_by = ("digest",)

    component = models.ForeignKey(Component, on_delete=models.CASCADE, related_name="+")
    digest = models.CharField(max_length=64, editable=False)
    code = EncryptedField()
    answer = EncryptedField()
    link = models.ForeignKey(AuthorizationLink, on_delete=models.SET_NULL, null=True, related_name="+")
    attempt = models.ForeignKey(AuthorizationAttempt, on_delete=models.SET_NULL, null=True, related_name="+")
    returned_at = UTCDateTimeField(null=True, editable=False)
    pushed_at = UTCDateTimeField(null=True, editable=False)
    pre_auth_code_digest = models.CharField(max_length=64, blank=True, default="", editable=False)
    authorizer = models.ForeignKey(Authorizer, on_delete=models.SET_NULL, null=True, related_name="+")
    grant_epoch = models.PositiveBigIntegerField(null=True, editable=False)
    fence = models.PositiveBigIntegerField(default=0, editable=False)
    leased_until = UTCDateTimeField(null=True, editable=False)
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


def audit_kinds() -> list[tuple[str, Any]]:
    """Read late, so that a new operation changes no column and needs no migration."""
    return [*AuditEntry.Kind.choices, *AuditEntry.OPERATIONS.items()]


class AuditEntry(Row):
    """An entry of the audit trail and of an account's timeline: what happened, and who did it.

    The appid and the actor's name are copied, because an entry outlives both rows.
    """

    class Kind(models.TextChoices):
        # By WeChat and owners
        AUTHORIZED = "authorized", pgettext_lazy("audit", "authorized")
        UPDATED = "updated", pgettext_lazy("audit", "permission sets changed")
        UNAUTHORIZED = "unauthorized", pgettext_lazy("audit", "authorization ended")
        NEEDS_REAUTHORIZATION = "needs_reauthorization", pgettext_lazy("audit", "needs re-authorization")
        CODE_MISUSED = "code_misused", pgettext_lazy("audit", "authorization code misused")
        # How renewals went: the first failure of several, and the success that ended them
        RENEWAL_FAILED = "renewal_failed", pgettext_lazy("audit", "renewal failed")
        RESTRICTED = "restricted", pgettext_lazy("audit", "restricted by WeChat")
        RECOVERED = "recovered", pgettext_lazy("audit", "renewal works again")
        # By operators
        LINK_MADE = "link_made", pgettext_lazy("audit", "link created")
        LINK_SHOWN = "link_shown", pgettext_lazy("audit", "link's address viewed")
        LINK_REVOKED = "link_revoked", pgettext_lazy("audit", "link revoked")
        PAYLOAD_SEEN = "payload_seen", pgettext_lazy("audit", "push viewed")
        TICKETS_REQUESTED = "tickets_requested", pgettext_lazy("audit", "ticket pushing requested")
        TICKETS_FORGOTTEN = "tickets_forgotten", pgettext_lazy("audit", "verify tickets deleted")
        BULK_STARTED = "bulk_started", pgettext_lazy("audit", "bulk action started")
        BULK_STOPPED = "bulk_stopped", pgettext_lazy("audit", "bulk action stopped")
        ALERT_ACKNOWLEDGED = "alert_acknowledged", pgettext_lazy("audit", "alert acknowledged")
        ALERT_MUTED = "alert_muted", pgettext_lazy("audit", "alert muted")
        ALERT_UNMUTED = "alert_unmuted", pgettext_lazy("audit", "mute of an alert ended")
        EXPORTED = "exported", pgettext_lazy("audit", "accounts exported")

    OPERATIONS: ClassVar[dict[str, Any]] = {}
    """The kinds of the registered operations, with their labels: ``operations.registry`` adds them."""

    at = UTCDateTimeField(pgettext_lazy("wechat_open", "when"), editable=False)
    component = platform_column("audit_entries")
    kind = models.CharField(pgettext_lazy("wechat_open", "what"), max_length=24, choices=audit_kinds)
    appid = models.CharField(pgettext_lazy("wechat_open", "account"), max_length=64, blank=True, default="")
    name = models.CharField(pgettext_lazy("wechat_open", "name"), max_length=255, blank=True, default="")
    user = user_column(pgettext_lazy("wechat_open", "who"))
    actor = models.CharField(pgettext_lazy("wechat_open", "who"), max_length=150, blank=True, default="")
    ok = models.BooleanField(pgettext_lazy("wechat_open", "succeeded"), default=True)
    errcode = models.IntegerField(pgettext_lazy("wechat_open", "errcode"), null=True)
    rid = models.CharField(_("request id (rid)"), max_length=64, blank=True, default="")
    detail = TranslatableTextField(pgettext_lazy("wechat_open", "detail"), blank=True, default="")
    # The number of the bulk action of which this is one row, or 0. A number and no key: an entry outlives the job.
    job = models.PositiveBigIntegerField(pgettext_lazy("wechat_open", "bulk action"), default=0)

    class Meta:
        verbose_name = _("audit trail entry")
        verbose_name_plural = _("audit trail entries")
        default_permissions = ("view",)
        ordering = ["-at", "-pk"]
        indexes = [
            models.Index(fields=["at", "id"], name="wechat_open_audit_newest"),
            models.Index(fields=["component", "appid", "at"], name="wechat_open_audit_account"),
            models.Index(fields=["kind", "at"], name="wechat_open_audit_kind"),
            models.Index(fields=["actor", "at"], name="wechat_open_audit_actor"),
            models.Index(fields=["ok", "at"], name="wechat_open_audit_outcome"),
            models.Index(fields=["job", "at", "id"], name="wechat_open_audit_job"),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} {self.appid}".rstrip()


class ComparedPage(Row):
    """One page of WeChat's list that an unfinished comparison has gone through.

    A comparison that was killed is continued after the last one; when it ends, its pages are deleted.
    """

    component = models.ForeignKey(Component, on_delete=models.CASCADE, related_name="+")
    started_at = UTCDateTimeField(editable=False)  # the comparison, not the page
    offset = models.PositiveIntegerField()
    next_offset = models.PositiveIntegerField()
    appids = models.JSONField(default=list)
    found = models.JSONField(default=dict)  # what was changed: lists of appids

    class Meta:
        verbose_name = pgettext_lazy("wechat_open", "compared page")
        verbose_name_plural = pgettext_lazy("wechat_open", "compared pages")
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(fields=["component", "offset"], name="wechat_open_page_once"),
        ]

    def __str__(self) -> str:
        return f"{self.component_id} {self.offset}"


class HourlyCount(Row):
    """The count of one kind of event of a platform in one hour, for charts and monitors."""

    class Counter(models.TextChoices):
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
    counter = models.CharField(max_length=24, choices=Counter.choices)
    count = models.PositiveBigIntegerField(default=0)

    class Meta:
        verbose_name = pgettext_lazy("wechat_open", "hourly count")
        verbose_name_plural = pgettext_lazy("wechat_open", "hourly counts")
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(fields=["component", "hour", "counter"], name="wechat_open_hour_once"),
        ]

    def __str__(self) -> str:
        return f"{self.hour:%Y-%m-%d %H} {self.counter} {self.count}"


def bulk_actions() -> list[tuple[str, Any]]:
    """Read late, as the kinds of audit entries are. A stored name without an operation is shown unchanged."""
    return list(BulkJob.ACTIONS.items())


class BulkJob(Row):
    """One operation on many rows, started by an operator and run by workers, slice by slice.

    ``position`` is how many of ``targets`` (primary keys) are behind it. A lease ends by itself, so another worker
    continues a job whose worker died.
    """

    identified_by = ("action", "total", "actor")

    ACTIONS: ClassVar[dict[str, Any]] = {}
    """The names and titles of the registered operations: ``operations.registry`` adds them."""

    action = models.CharField(pgettext_lazy("wechat_open", "action"), max_length=16, choices=bulk_actions)
    user = user_column(pgettext_lazy("wechat_open", "started by"))
    actor = models.CharField(pgettext_lazy("wechat_open", "started by"), max_length=150, blank=True, default="")
    language = models.CharField(max_length=16, blank=True, default="", editable=False)  # of its messages
    targets = JSONListField(default=list, is_entry=is_number, editable=False)
    arguments = JSONObjectField(default=dict, blank=True, editable=False)
    total = models.PositiveIntegerField(pgettext_lazy("wechat_open", "rows"), default=0, editable=False)
    position = models.PositiveIntegerField(default=0, editable=False)
    done = models.PositiveIntegerField(pgettext_lazy("wechat_open", "done"), default=0, editable=False)
    failed = models.PositiveIntegerField(pgettext_lazy("wechat_open", "failed"), default=0, editable=False)
    created_at = UTCDateTimeField(pgettext_lazy("wechat_open", "started at"), editable=False)
    finished_at = UTCDateTimeField(pgettext_lazy("wechat_open", "finished at"), null=True, editable=False)
    stopped_at = UTCDateTimeField(pgettext_lazy("wechat_open", "stopped at"), null=True, editable=False)
    reason = JSONObjectField(default=dict, blank=True, editable=False)  # the error that stopped it, if one did
    fence = models.PositiveBigIntegerField(default=0, editable=False)
    leased_until = UTCDateTimeField(null=True, editable=False)

    class Meta:
        verbose_name = pgettext_lazy("wechat_open", "bulk action")
        verbose_name_plural = pgettext_lazy("wechat_open", "bulk actions")
        default_permissions = ("view", "change")
        ordering = ["-created_at", "-pk"]
        indexes = [
            models.Index(fields=["created_at", "id"], name="wechat_open_bulk_newest"),
            models.Index(fields=["finished_at", "leased_until"], name="wechat_open_bulk_open"),
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
    message = TranslatableTextField(blank=True, default="", editable=False)

    class Meta:
        verbose_name = _("failed row of a bulk action")
        verbose_name_plural = _("failed rows of bulk actions")
        default_permissions = ()
        constraints = [models.UniqueConstraint(fields=["job", "key"], name="wechat_open_failure_once")]
        indexes = [models.Index(fields=["job", "reason", "id"], name="wechat_open_failure_reason")]

    def __str__(self) -> str:
        return self.name


class Alert(Row):
    """A problem: when it was first seen, last seen, last sent and resolved."""

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
    sent_at = UTCDateTimeField(_("last sent at"), null=True, editable=False)  # NULL: muted from its beginning on
    needs_sending = models.BooleanField(default=False, editable=False)
    acknowledged_at = UTCDateTimeField(pgettext_lazy("wechat_open", "acknowledged at"), null=True, editable=False)
    acknowledged_by = models.CharField(
        pgettext_lazy("wechat_open", "acknowledged by"), max_length=150, blank=True, default="", editable=False
    )
    muted_until = UTCDateTimeField(pgettext_lazy("wechat_open", "muted until"), null=True, editable=False)
    muted_by = models.CharField(
        pgettext_lazy("wechat_open", "muted by"), max_length=150, blank=True, default="", editable=False
    )
    count = models.PositiveIntegerField(pgettext_lazy("wechat_open", "times seen"), default=1, editable=False)
    context = JSONObjectField(default=dict, blank=True, editable=False)  # numbers and names, no secret
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
    """The dashboard as an entry of the admin's index and sidebar. A proxy without rows of its own."""

    class Meta:
        proxy = True
        default_permissions = ()
        verbose_name = pgettext_lazy("wechat_open", "dashboard")
        verbose_name_plural = pgettext_lazy("wechat_open", "dashboard")


def func_key(func_info: Iterable[int]) -> str:
    """Permission sets as a text for an index: ``1,2,7``, or a bit for each (``x86``) where that would be too long.

    Hexadecimal, because a database may take capitals for small letters. The bits reach to 1015, far beyond what WeChat
    has given out; a long list with a higher number becomes a digest, which identifies the list but does not contain it.
    """
    numbers = sorted(set(func_info))
    key = ",".join(str(number) for number in numbers)
    if len(key) > FUNC_KEY_LENGTH and numbers[0] >= 0 and numbers[-1] < 4 * (FUNC_KEY_LENGTH - 1):
        key = f"x{sum(1 << number for number in numbers):x}"
    return key if len(key) <= FUNC_KEY_LENGTH else f"#{sha256(key.encode()).hexdigest()}"


_NUMBERS = re.compile("-?[0-9]{1,20}(,-?[0-9]{1,20})*")
_BITS = re.compile("x[0-9a-f]+")


def func_ids(key: str) -> frozenset[int]:
    """The permission sets in a key of ``func_key``; none for a digest, and for what is no such key."""
    if key.startswith("x") and _BITS.fullmatch(key):
        bits = int(key[1:], 16)
        return frozenset(number for number in range(bits.bit_length()) if bits >> number & 1)
    return frozenset(int(number) for number in key.split(",")) if _NUMBERS.fullmatch(key) else frozenset()


def search_key(text: str) -> str:
    """A name as searches compare it: without case and width (全角), cut to the column's length."""
    return unicodedata.normalize("NFKC", text).casefold().strip()[:255]


def tenant_of(payload: Mapping[str, Any]) -> str:
    """The tenant in a link's payload, as a text for people.

    It is the value under the setting TENANT_KEY. Without that setting it is the only value, or all of them with their
    names.
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
    """Changes of columns that cause signals about an account to be sent."""
    return {"needs_announcing": True, "announcement": models.F("announcement") + 1}


def update_row(row: models.Model, **changes: Any) -> int:
    """UPDATE only these columns of the row: saving the whole row would undo changes of other processes."""
    return type(row)._default_manager.filter(pk=row.pk).update(**changes)

"""A group of users for the daily work in the console.

``manage.py wechat_open create-group`` creates it. A group of that name that exists belongs to the site and is not
changed.
"""

from __future__ import annotations

from django.contrib.auth.models import Group, Permission
from django.db import router, transaction
from django.utils.translation import pgettext_lazy

from ..models import Authorizer

OPERATOR = pgettext_lazy("group", "WeChat operator")
"""Its name, in the site's language."""

OPERATOR_PERMISSIONS = (
    "view_component",
    "view_authorizer",
    "view_authorizationlink",
    "view_push",
    "view_verifyticket",
    "view_auditentry",
    "view_bulkjob",
    "view_alert",
    "authorize_account",
    "refresh_account",
    "sync_account",
    "reconcile_account",
    "ask_account",
    "replay_push",
    "share_link",
    "revoke_link",
    "request_tickets",
    "handle_alert",
)
"""All that is undone easily. Not among them: forgetting accounts or tickets, reading what was pushed, and stopping the
bulk actions of others."""


def create(name: str = "") -> tuple[Group, list[str] | None]:
    """The new group and None; or the one of this name that the site has, and which permissions it lacks."""
    permissions = Permission.objects.using(router.db_for_write(Permission)).filter(
        content_type__app_label=Authorizer._meta.app_label, codename__in=OPERATOR_PERMISSIONS
    )
    with transaction.atomic(using=router.db_for_write(Group)):
        group, is_new = Group.objects.get_or_create(name=name or str(OPERATOR))
        if is_new:
            group.permissions.set(permissions)
            return group, None
    lacking = permissions.exclude(pk__in=group.permissions.all())
    return group, list(lacking.values_list("codename", flat=True))

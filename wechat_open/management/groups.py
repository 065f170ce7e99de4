"""A group for those who do the daily work in the console.

``manage.py wechat_open create-group`` makes it. A group that is there already belongs to the site: it is left as it is.
"""

from __future__ import annotations

from django.contrib.auth.models import Group, Permission
from django.db import router, transaction
from django.utils.translation import pgettext_lazy

from ..models import Authorizer

OPERATOR = pgettext_lazy("group", "WeChat operator")
"""What it is called, in the site's language."""

OPERATOR_PERMISSIONS = (
    "view_component",
    "view_authorizer",
    "view_authorizationlink",
    "view_push",
    "view_verifyticket",
    "view_journalentry",
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


def create(name: str = "") -> tuple[Group, list[str]]:
    """The new group and an empty list; or the one of this name that the site has, and which permissions it lacks."""
    name = name or str(OPERATOR)
    permissions = Permission.objects.filter(
        content_type__app_label=Authorizer._meta.app_label, codename__in=OPERATOR_PERMISSIONS
    )
    with transaction.atomic(using=router.db_for_write(Group)):
        group, is_new = Group.objects.get_or_create(name=name)
        if is_new:
            group.permissions.set(permissions)
            return group, []
    held = set(group.permissions.values_list("pk", flat=True))
    return group, [permission.codename for permission in permissions if permission.pk not in held]

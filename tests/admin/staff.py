"""The people who work in the admin, and how a test requests a page."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse

TEA = "wxaaaaaaaaaaaaaaaa"
"""The appid of the account ``tea``."""


def person(name: str, *permissions: str) -> Client:
    """A browser in which a member of staff with just these permissions is signed in."""
    user = User.objects.create_user(name, is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    assert user.user_permissions.count() == len(permissions)
    browser = Client()
    browser.force_login(user)
    return browser


def page(row: Any, view_name: str = "change") -> str:
    return reverse(f"admin:wechat_open_{row._meta.model_name}_{view_name}", args=[row.pk])


def rows(model: Any, query: str = "") -> str:
    return reverse(f"admin:wechat_open_{model._meta.model_name}_changelist") + query


def found(browser: Client, model: Any, query: str = "") -> list[int]:
    """The keys of what a list shows."""
    return [row.pk for row in browser.get(rows(model, query)).context["cl"].result_list]


def act(browser: Client, action: str, *chosen: Any, **more: Any) -> Any:
    data = {"action": action, "index": 0, "_selected_action": [row.pk for row in chosen], **more}
    return browser.post(rows(type(chosen[0])), data, follow=True)

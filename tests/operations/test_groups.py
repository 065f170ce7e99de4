"""``create-group`` creates a group for the daily work, and does not change an existing one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.auth.models import Group, Permission
from django.utils.translation import override

import wechat_open
from tests.management.test_command import Result
from wechat_open.operations import groups

PACKAGE = Path(wechat_open.__file__).parent


def held(group: Group) -> set[str]:
    return set(group.permissions.values_list("codename", flat=True))


@pytest.mark.parametrize(("language", "name"), [("en", "WeChat operator"), ("zh-hans", "微信运营人员")])
def test_group__is_made_with_what_the_daily_work_takes(db: None, language: str, name: str) -> None:
    with override(language):
        out = Result("create-group").out
    group = Group.objects.get()
    assert group.name == name and name in out
    assert held(group) == set(groups.OPERATOR_PERMISSIONS), "each of them exists"
    assert not held(group) & {"forget_account", "forget_tickets", "view_push_payload", "change_bulkjob"}


def test_group_of_the_site__is_left_as_it_is(db: None) -> None:
    group = Group.objects.create(name="Shops")
    group.permissions.set(Permission.objects.filter(codename="forget_account"))
    with override("en"):
        out = Result("create-group", "--name", "Shops").out
    assert held(group) == {"forget_account"}
    assert "exists already and was left as it is" in out
    assert "It does not have these permissions: " in out and "view_authorizer" in out


def test_every_permission__is_asked_for_by_something(db: None) -> None:
    """Of a page that shows such rows, or by its name in the code. Django's four for each model would do nothing."""
    ours = Permission.objects.filter(content_type__app_label="wechat_open").select_related("content_type")
    shown = {
        f"view_{model._meta.model_name}" for model in admin.site._registry if model._meta.app_label == "wechat_open"
    }
    code = "\n".join(
        path.read_text(encoding="utf-8")
        for path in PACKAGE.rglob("*.py")
        if path.name not in ("models.py", "0001_initial.py", "groups.py")
    )
    asked = set(re.findall(r'"(?:wechat_open\.)?(\w+_\w+)"', code))
    idle = [one.codename for one in ours if one.codename not in shown | asked]
    assert idle == []
    assert ours.count() < 26
    for model in apps.get_app_config("wechat_open").get_models():
        assert set(model._meta.default_permissions) <= {"view", "change"}, model

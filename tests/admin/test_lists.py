"""Do all lists bear whatever stands in the address bar?"""

from __future__ import annotations

import pytest
from django.contrib import admin
from django.test import Client
from django.urls import reverse

from wechat_open.component import Platform
from wechat_open.models import Component

FILTERS = [
    "q",
    "appid",
    "state",
    "state__exact",
    "kind__exact",
    "info_type__exact",
    "errcode",
    "holds",
    "actor",
    "o",
    "p",
]

pytestmark = pytest.mark.django_db


def lists() -> list[str]:
    """The address of each of our lists."""
    models = [model for model in admin.site._registry if model._meta.app_label == Component._meta.app_label]
    return [reverse(f"admin:wechat_open_{model._meta.model_name}_changelist") for model in models]


@pytest.mark.parametrize("name", FILTERS)
def test_nul_in_a_filter__is_refused(admin_client: Client, platform: Platform, name: str) -> None:
    statuses = {path: admin_client.get(path, {name: "\x00a"}).status_code for path in lists()}
    assert statuses == dict.fromkeys(lists(), 400)


@pytest.mark.parametrize("name", FILTERS)
def test_nonsense_in_a_filter__is_borne(admin_client: Client, platform: Platform, name: str) -> None:
    statuses = {admin_client.get(path, {name: "\u202e';--"}).status_code for path in lists()}
    assert statuses <= {200, 302, 400}

"""Fixtures for the tests of the admin."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.conf import settings as site
from django.utils.translation import override

from tests.admin.staff import TEA
from wechat_open.models import Authorizer, Component


@pytest.fixture
def english() -> Iterator[None]:
    with override("en"):
        yield


@pytest.fixture
def component(db: None) -> Component:
    """The row of the platform, which makes no calls unless ``platform`` is asked for as well."""
    return Component.objects.get_or_create(appid=site.WECHAT_OPEN["COMPONENTS"]["default"]["APPID"])[0]


@pytest.fixture
def tea(component: Component) -> Authorizer:
    """An account that is only in our database. Its name is to be escaped."""
    return Authorizer.objects.create(component=component, appid=TEA, nick_name="Tea & Co", name_key="tea & co")

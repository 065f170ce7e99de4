"""Addresses that lead to a stranger or nowhere are found, and those of the simulator are accepted."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.middleware import AuthenticationMiddleware

from tests.checks.mistakes import SOUND, ids, the
from wechat_open.checks.addresses import BASE_URLS


@pytest.mark.parametrize("url", ["http://127.0.0.1:8001", "https://wechat.example.com"])
@pytest.mark.parametrize("name", BASE_URLS)
def test_other_wechat__is_fine_while_debugging(site: Any, name: str, url: str) -> None:
    site.DEBUG = True
    site.WECHAT_OPEN = {**SOUND, name: url}
    assert ids() == []


def test_plain_http__is_fine_while_debugging(site: Any) -> None:
    site.DEBUG = True
    site.WECHAT_OPEN = {**SOUND, "SITE_URL": "http://127.0.0.1:8000"}
    assert ids() == []


def test_urls_left_out__is_found(site: Any) -> None:
    site.ROOT_URLCONF = "django.contrib.auth.urls"
    assert ids() == ["W008"]


def test_urls_in_a_namespace__are_not_reported_as_missing(site: Any) -> None:
    site.ROOT_URLCONF = "tests.checks.urls_in_namespace"
    assert ids() == ["W062"]
    assert "'partners'" in the("W062").msg


@pytest.mark.parametrize(
    "change",
    [
        {"MIDDLEWARE": ["django.contrib.sessions.middleware.SessionMiddleware", "no.such.Middleware"]},
        {"INSTALLED_APPS": ["django.contrib.contenttypes", "wechat_open"]},
    ],
)
def test_site_without_login__is_found(site: Any, change: dict[str, Any]) -> None:
    for name, value in change.items():
        setattr(site, name, value)
    assert "W009" in ids()


class OwnAuthentication(AuthenticationMiddleware):
    """A site's own."""


def test_own_authentication_middleware__will_do(site: Any) -> None:
    site.MIDDLEWARE = [f"{__name__}.OwnAuthentication"]
    assert ids() == []

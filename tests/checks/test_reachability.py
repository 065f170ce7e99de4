"""Whatever answers a push before the callback does is found, and a sound site is accepted."""

from __future__ import annotations

from typing import Any

import pytest
from django.urls import clear_script_prefix, set_script_prefix

from tests.checks.mistakes import SOUND, ids, the

SECURITY = "django.middleware.security.SecurityMiddleware"
COMMON = "django.middleware.common.CommonMiddleware"
OURS = "wechat_open.middleware.CallbackMiddleware"


@pytest.fixture
def redirecting(site: Any) -> Any:
    site.SECURE_SSL_REDIRECT = True
    return site


def test_redirect_to_https__is_found(redirecting: Any) -> None:
    assert ids() == ["W056"]
    assert "SECURE_PROXY_SSL_HEADER" in str(the("W056").hint)


@pytest.mark.parametrize(
    "change",
    [
        {"SECURE_PROXY_SSL_HEADER": ("HTTP_X_FORWARDED_PROTO", "https")},
        {"SECURE_REDIRECT_EXEMPT": [r"^wechat/(events|messages)/"]},
        {"MIDDLEWARE": [COMMON]},
    ],
    ids=str,
)
def test_redirect_to_https_that_spares_callbacks__is_fine(redirecting: Any, change: dict[str, Any]) -> None:
    for name, value in change.items():
        setattr(redirecting, name, value)
    assert "W056" not in ids()


def test_callbacks_that_are_answered_first__meet_no_redirect(redirecting: Any) -> None:
    redirecting.PREPEND_WWW = True
    before = list(redirecting.MIDDLEWARE)
    assert ids() == ["W056", "W059"]
    redirecting.MIDDLEWARE = [*before, OURS]
    assert ids() == ["W056", "W059"]
    redirecting.MIDDLEWARE = [OURS, *before]
    assert ids() == []


def test_redirect_to_www__is_fine_where_the_site_begins_so(site: Any) -> None:
    site.PREPEND_WWW, site.ALLOWED_HOSTS = True, [".example.com"]
    site.WECHAT_OPEN = {**SOUND, "SITE_URL": "https://www.example.com"}
    assert ids() == []


@pytest.mark.parametrize("hosts", [["*"], [".example.com"], ["PLATFORM.example.com"]], ids=str)
def test_host_that_is_allowed__is_fine(site: Any, hosts: list[str]) -> None:
    site.ALLOWED_HOSTS = hosts
    assert ids() == []


def test_host_that_is_not_allowed__is_named(site: Any) -> None:
    site.ALLOWED_HOSTS = ["platform.example.org"]
    assert ids() == ["W058"]
    assert "platform.example.com" in the("W058").msg


def test_language_in_the_address__is_found_wherever_it_stands(site: Any) -> None:
    site.ROOT_URLCONF = "tests.checks.urls_by_language"
    assert "W057" in ids()


def test_urls_at_two_addresses__are_both_named(site: Any) -> None:
    site.ROOT_URLCONF = "tests.checks.urls_twice"
    assert "'/old/', '/wechat/'" in the("W060").msg


def test_pattern_that_takes_the_callbacks__is_named(site: Any) -> None:
    site.ROOT_URLCONF = "tests.checks.urls_behind_all"
    assert "'^(?!static/)' takes '/wechat/events/' before" in the("W061").msg


def test_callbacks_below_a_script_name__are_found(site: Any) -> None:
    set_script_prefix("/shop/")
    try:
        assert ids() == []
    finally:
        clear_script_prefix()

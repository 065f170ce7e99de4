"""pytest finds the fixtures in any site, and other projects are not affected."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from wechat_open.exceptions import ConfigurationError

pytest_plugins = ["pytester"]

SETTINGS = """
SECRET_KEY = "only-for-this-test"
INSTALLED_APPS = ["django.contrib.auth", "django.contrib.contenttypes", "wechat_open", "shop"]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
ROOT_URLCONF = "mysite_urls"
STATIC_URL = "static/"
WECHAT_OPEN = {
    "COMPONENTS": {
        "default": {
            "APPID": "wx1111111111111111",
            "APPSECRET": "secret",
            "TOKEN": "token",
            "ENCODING_AES_KEY": "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG",
        },
    },
}
"""

URLS = """
from django.urls import include, path

urlpatterns = [path("wechat/", include("wechat_open.urls"))]
"""

HANDLERS = """
from wechat_open import api
from wechat_open.messaging import answer_later, deferred, on_event, on_message

@on_message("text")
def greet(message):
    return f"you said {message.content}"

@on_event("CLICK")
def who(message):
    return api.authorizer(message.authorizer).get("/cgi-bin/account/getaccountbasicinfo")["nickname"]

@on_event("subscribe")
def welcome(message):
    return answer_later(more)

@deferred
def more(message):
    return "welcome"
"""

TESTS = """
def test_greets(wechat_follower):
    assert wechat_follower.writes("hello").text == "you said hello"

def test_asks_wechat(wechat_follower, wechat_account):
    assert wechat_follower.does("CLICK", "WHO").text == wechat_account.nick_name

def test_later(wechat_follower):
    assert wechat_follower.does("subscribe").text == "welcome"

def test_over_http(wechat_live):
    follower = wechat_live.follower(wechat_live.authorize())
    assert follower.writes("hello").text == "you said hello"
    assert follower.does("CLICK", "WHO").text == "山茶书店"
    assert follower.does("subscribe").wait_for_custom_messages()
"""


@pytest.fixture
def plain(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A folder without a configuration of pytest."""
    monkeypatch.delenv("DJANGO_SETTINGS_MODULE", raising=False)
    pytester.makeini("[pytest]\nfilterwarnings = error\n")
    return pytester


def test_site__tests_its_handlers(plain: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DJANGO_SETTINGS_MODULE", "mysite_settings")
    plain.makepyfile(mysite_settings=SETTINGS, mysite_urls=URLS, test_handlers=TESTS)
    plain.mkpydir("shop").joinpath("wechat_handlers.py").write_text(HANDLERS, encoding="utf-8")

    plain.runpytest_subprocess().assert_outcomes(passed=4)


def test_project_without_django__is_left_alone(plain: pytest.Pytester) -> None:
    plain.makepyfile("import sys\ndef test_it(): assert 'wechat_open.messaging' not in sys.modules")

    plain.runpytest_subprocess().assert_outcomes(passed=1)


def test_fixture_without_settings__is_skipped_as_pytest_django_does_it(plain: pytest.Pytester) -> None:
    plain.makepyfile("def test_it(wechat_follower): pass")

    plain.runpytest_subprocess().assert_outcomes(skipped=1)


def test_plugin__imports_nothing_but_pytest() -> None:
    code = (
        "import sys, pytest; before = set(sys.modules); import wechat_open.testing.plugin; "
        "print(*sorted(name for name in set(sys.modules) - before if name.partition('.')[0] != 'wechat_open'))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert result.stdout.split() == []


def test_settings_without_a_platform__are_explained(request: pytest.FixtureRequest, settings: Any) -> None:
    settings.WECHAT_OPEN = {}

    with pytest.raises(ConfigurationError, match=r'WECHAT_OPEN\["COMPONENTS"\] .* is empty: add a platform'):
        request.getfixturevalue("wechat_follower")


def test_app_that_is_not_installed__is_explained(request: pytest.FixtureRequest, settings: Any) -> None:
    settings.INSTALLED_APPS = ["django.contrib.contenttypes"]

    with pytest.raises(ConfigurationError, match='Add "wechat_open" to INSTALLED_APPS'):
        request.getfixturevalue("wechat_platform")

"""Is every mistake in the settings found, named and explained?"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from celery.schedules import crontab
from django.contrib.auth.middleware import AuthenticationMiddleware
from django.core.checks import CheckMessage, run_checks
from django.core.management import call_command
from django.core.management.base import SystemCheckError
from django.db import connection

from wechat_open import checks
from wechat_open.conf import COMPONENT_KEYS, DEFAULTS
from wechat_open.messaging import on_event, on_message
from wechat_open.schedule import BEAT_SCHEDULE

AES_KEY = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"
STRONG = "k3JH5sdf9QWe2mNb7vCx1zLp"
PLATFORM = {
    "APPID": "wx1111111111111111",
    "APPSECRET": "0123456789abcdef0123456789abcdef",
    "TOKEN": STRONG,
    "ENCODING_AES_KEY": AES_KEY,
}
SOUND = {
    "COMPONENTS": {"default": PLATFORM},
    "CACHE": "shared",
    "ENCRYPTION_KEYS": ["A" * 43],
    "SITE_URL": "https://platform.example.com",
}
RENEW = "wechat_open.tasks.renew_due_tokens"


def ring(every: Any) -> dict[str, Any]:
    return {**BEAT_SCHEDULE, "ours": {"task": RENEW, "schedule": every}}


def platform(**changes: Any) -> dict[str, Any]:
    return {"COMPONENTS": {"default": {**PLATFORM, **changes}}}


def alias(name: object) -> dict[str, Any]:
    return {"COMPONENTS": {"default": PLATFORM, name: {**PLATFORM, "APPID": "wx2222222222222222"}}}


def without(key: str) -> dict[str, Any]:
    return {"COMPONENTS": {"default": {name: value for name, value in PLATFORM.items() if name != key}}}


RED: list[tuple[str, Any]] = [
    ("E002", {"TIMEOUTS": (3, 10)}),
    ("E002", {"Cache": "default"}),
    ("E002", {"zzz": 1}),
    ("E003", {"COMPONENTS": {}}),
    ("E004", {"COMPONENTS": [PLATFORM]}),
    ("E004", {"COMPONENTS": None}),
    ("E004", {"COMPONENTS": {"default": PLATFORM, "second": "wx2"}}),
    ("E005", alias("link")),
    ("E005", alias("a/b")),
    ("E005", alias("平台")),
    ("E005", alias("")),
    ("E005", alias(1)),
    ("E006", platform(APP_SECRET="x")),
    *[("E007", without(key)) for key in COMPONENT_KEYS],
    *[("E007", platform(**{key: None})) for key in COMPONENT_KEYS],
    ("E008", platform(APPID=1111)),
    ("E008", platform(APPSECRET="0123456789abcdef0123456789abcdef\n")),
    ("E008", platform(TOKEN=STRONG + " ")),
    ("E009", platform(ENCODING_AES_KEY=AES_KEY[:-1])),
    ("E009", platform(ENCODING_AES_KEY=AES_KEY[:-1] + "=")),
    ("E010", platform(PREVIOUS_KEYS={"TOKEN": STRONG, "ENCODING_AES_KEY": AES_KEY})),
    ("E010", platform(PREVIOUS_KEYS=[(STRONG, AES_KEY)])),
    ("E010", platform(PREVIOUS_KEYS=[{"TOKEN": STRONG}])),
    ("E010", platform(PREVIOUS_KEYS=[{"TOKEN": STRONG, "ENCODING_AES_KEY": AES_KEY[:-1]}])),
    ("E010", platform(PREVIOUS_KEYS=[{"TOKEN": STRONG, "ENCODING_AES_KEY": None}])),
    ("E010", platform(PREVIOUS_KEYS=None)),
    ("E011", {"COMPONENTS": {"default": PLATFORM, "second": PLATFORM}}),
    ("E012", {"CACHE": "nowhere"}),
    ("E012", {"CACHE": ["shared"]}),
    ("E013", {"ENCRYPTION_KEYS": ["A" * 42]}),
    ("E013", {"ENCRYPTION_KEYS": [b"A" * 43]}),
    ("E013", {"ENCRYPTION_KEYS": "A" * 43}),
    *[("E015", {name: "ftp://api.weixin.qq.com"}) for name in checks.BASE_URLS],
    ("E015", {"API_BASE_URL": "api.weixin.qq.com"}),
    ("E015", {"API_BASE_URL": None}),
    ("E015", {"API_BASE_URL": ""}),
    ("E015", {"API_BASE_URL": "https://user:password@api.weixin.qq.com"}),
    ("E015", {"API_BASE_URL": "https://api.weixin.qq.com?a=b"}),
    ("E015", {"API_BASE_URL": "https://api.weixin.qq.com:port"}),
    *[("E016", {name: "http://api.weixin.qq.com"}) for name in checks.BASE_URLS],
    ("E017", {"SITE_URL": "https://platform.example.com/wechat/"}),
    ("E017", {"SITE_URL": "platform.example.com"}),
    ("E018", {"AFTER_AUTHORIZE": "no-such-name"}),
    ("E018", {"AFTER_AUTHORIZE": "wechat_open:messages"}),
    ("E018", {"AFTER_AUTHORIZE": "//elsewhere.example.com/"}),
    ("E018", {"AFTER_AUTHORIZE": "https://elsewhere.example.com/"}),
    ("E018", {"AFTER_AUTHORIZE": None}),
    ("E019", {"TIMEOUT": 10}),
    ("E019", {"TIMEOUT": (3, 10, 1)}),
    ("E019", {"TIMEOUT": (3, "10")}),
    ("E019", {"TIMEOUT": (3, 0)}),
    ("E020", {"TIMEOUT": (3, 30)}),
    ("E021", {"TOKEN_WAIT": -1}),
    ("E021", {"TOKEN_WAIT": 600}),
    ("E021", {"TOKEN_WAIT": True}),
    ("E022", {"RENEWAL_THREADS": 0}),
    ("E022", {"RENEWAL_THREADS": 2.5}),
    ("E022", {"RENEWAL_THREADS": 1000}),
    ("E023", {"RENEWALS_PER_SECOND": 0}),
    ("E023", {"RENEWALS_PER_SECOND": float("nan")}),
    ("E024", {"LINK_LIFE": 1}),
    ("E024", {"LINK_LIFE": timedelta(days=1)}),
    ("E032", {"JOURNAL_LIFE": 3600}),
    ("E032", {"JOURNAL_LIFE": "a year"}),
    ("E025", {"PUSH_WINDOW": 0}),
    ("E026", {"BRAKE_ACCOUNTS": 0}),
    ("E027", {"BRAKE_SHARE": 5}),
    ("E028", {"COMPONENT_TOKEN_PARAMETER": "token"}),
    ("E029", {"OPTION_API": "new"}),
    ("E029", {"OPTION_API": ["current"]}),
    ("E030", {"HEALTH_TOKEN": 12345}),
    ("E030", {"HEALTH_TOKEN": STRONG + "\n"}),
    ("E031", {"REPLY_WITHIN": -1}),
    ("E031", {"REPLY_WITHIN": 5}),
    ("E031", {"REPLY_WITHIN": "4"}),
    ("E031", {"REPLY_WITHIN": None}),
    ("E033", {"SHOW_AVATARS": "yes"}),
    ("W001", {"COMPONENTS": {"main": PLATFORM}}),
    ("W002", platform(TOKEN="short")),
    ("W002", platform(TOKEN="wx" * 16)),
    ("W002", platform(PREVIOUS_KEYS=[{"TOKEN": "short", "ENCODING_AES_KEY": AES_KEY}])),
    ("W003", {"CACHE": "local"}),
    ("W003", {"CACHE": "dummy"}),
    ("W004", {"ENCRYPTION_KEYS": []}),
    *[("W005", {name: "https://wechat.example.com"}) for name in checks.BASE_URLS],
    ("W005", {"API_BASE_URL": "https://api.weixin.qq.com.example.com"}),
    ("W006", {"SITE_URL": ""}),
    ("W007", {"SITE_URL": "http://platform.example.com"}),
    ("W010", {"HEALTH_TOKEN": "secret"}),
]

GREEN: list[Any] = [
    {},
    alias("second_platform-2"),
    platform(PREVIOUS_KEYS=[{"TOKEN": STRONG, "ENCODING_AES_KEY": AES_KEY}]),
    platform(PREVIOUS_KEYS=()),
    {"CACHE": "host"},
    {"API_BASE_URL": "https://api2.weixin.qq.com/"},
    {"SITE_URL": "https://platform.example.com/"},
    {"AFTER_AUTHORIZE": "admin:index"},
    {"AFTER_AUTHORIZE": "/shop/accounts/?tab=new"},
    {"TIMEOUT": [1, 20]},
    {"TOKEN_WAIT": 0.5},
    {"RENEWAL_THREADS": 1},
    {"RENEWALS_PER_SECOND": 0.5},
    {"LINK_LIFE": 600},
    {"JOURNAL_LIFE": 90 * 24 * 60 * 60},
    {"PUSH_WINDOW": 60},
    {"REPLY_WITHIN": 0},
    {"REPLY_WITHIN": 4.9},
    {"BRAKE_ACCOUNTS": 1},
    {"BRAKE_SHARE": 1},
    {"COMPONENT_TOKEN_PARAMETER": "access_token"},
    {"OPTION_API": "legacy"},
    {"HEALTH_TOKEN": STRONG},
]

Found = Callable[..., list[str]]


@pytest.fixture
def site(settings: Any) -> Any:
    """A production site without a fault."""
    settings.DEBUG = False
    settings.CACHES = {
        "default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"},
        "shared": {"BACKEND": "django.core.cache.backends.filebased.FileBasedCache", "LOCATION": "/nowhere"},
        "local": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"},
        "dummy": {"BACKEND": "django.core.cache.backends.dummy.DummyCache"},
        "host": {"BACKEND": "wechat_open.host_cache.HostCache", "LOCATION": "/nowhere"},
    }
    settings.CELERY_BEAT_SCHEDULE = BEAT_SCHEDULE
    settings.WECHAT_OPEN = SOUND
    return settings


def messages(*, deploy: bool = True) -> list[CheckMessage]:
    return run_checks(tags=[checks.TAG], include_deployment_checks=deploy)


def ids() -> list[str]:
    """What was found, without the remark about the database, which depends on where the tests run."""
    found = {str(message.id).removeprefix("wechat_open.") for message in messages()}
    return sorted(found - {"I001"})


@pytest.mark.parametrize(("id", "change"), RED)
def test_mistake__is_found_and_nothing_else_is(site: Any, id: str, change: dict[str, Any]) -> None:
    site.WECHAT_OPEN = {**SOUND, **change}
    assert ids() == [id]


@pytest.mark.parametrize("change", GREEN)
def test_sound_settings__are_not_complained_about(site: Any, change: dict[str, Any]) -> None:
    site.WECHAT_OPEN = {**SOUND, **change}
    assert ids() == []


@pytest.mark.parametrize(("id", "change"), [case for case in RED if not case[0].startswith("W")])
def test_message_and_hint__name_setting_and_remedy_but_no_secret(site: Any, id: str, change: dict[str, Any]) -> None:
    site.WECHAT_OPEN = {**SOUND, **change}
    [message] = [message for message in messages() if message.id == f"wechat_open.{id}"]
    assert message.msg.startswith('WECHAT_OPEN["')
    assert message.hint
    for secret in (AES_KEY[:-1], PLATFORM["APPSECRET"], STRONG, "A" * 42, "password"):
        assert secret not in str(message)


def test_every_default__is_clean(site: Any) -> None:
    """A site that gives nothing but its platform is told what production needs, and of no mistake."""
    site.WECHAT_OPEN = {"COMPONENTS": SOUND["COMPONENTS"]}
    assert ids() == ["W003", "W004", "W006"]
    site.DEBUG = True
    assert ids() == ["W004"]


@pytest.mark.parametrize("name", DEFAULTS)
def test_every_setting__is_watched(site: Any, name: str) -> None:
    """An object of no sensible type is refused, whatever the setting."""
    site.WECHAT_OPEN = {**SOUND, name: object()}
    assert any(f'WECHAT_OPEN["{name}"]' in message.msg for message in messages())


@pytest.mark.parametrize("given", [None, "wx1111111111111111", [PLATFORM]])
def test_no_dict__is_one_error(site: Any, given: object) -> None:
    site.WECHAT_OPEN = given
    assert [id for id in ids() if id.startswith("E")] == ["E001"]


@pytest.mark.django_db
def test_no_settings_at_all__stop_manage_check(site: Any) -> None:
    del site.WECHAT_OPEN
    with pytest.raises(SystemCheckError, match=r'WECHAT_OPEN\["COMPONENTS"\] names no .*\n.*HINT: Add one: "default"'):
        call_command("check")


@pytest.mark.django_db
def test_missing_secret__stops_manage_check(site: Any) -> None:
    site.WECHAT_OPEN = {**SOUND, **without("APPSECRET")}
    with pytest.raises(SystemCheckError, match=r'"default"\]\["APPSECRET"\] is missing.*\n.*HINT: Copy it'):
        call_command("check")


@pytest.mark.parametrize(
    ("given", "hint"),
    [("TIMEOUTS", "Did you mean 'TIMEOUT'?"), ("cache", "Did you mean 'CACHE'?"), ("zzz", "Remove it; known are COMP")],
)
def test_unknown_setting__is_told_the_known_one(site: Any, given: str, hint: str) -> None:
    site.WECHAT_OPEN = {**SOUND, given: 1}
    [message] = [message for message in messages() if message.id == "wechat_open.E002"]
    assert str(message.hint).startswith(hint)


@pytest.mark.parametrize("url", ["http://127.0.0.1:8001", "https://wechat.example.com"])
@pytest.mark.parametrize("name", checks.BASE_URLS)
def test_other_wechat__is_fine_while_debugging(site: Any, name: str, url: str) -> None:
    site.DEBUG = True
    site.WECHAT_OPEN = {**SOUND, name: url}
    assert ids() == []


def test_local_cache_and_plain_http__are_fine_while_debugging(site: Any) -> None:
    site.DEBUG = True
    site.CELERY_TASK_ALWAYS_EAGER = True
    site.WECHAT_OPEN = {**SOUND, "CACHE": "local", "SITE_URL": "http://127.0.0.1:8000"}
    assert ids() == []


def test_derived_encryption_key__is_a_matter_of_deployment(site: Any) -> None:
    site.WECHAT_OPEN = {**SOUND, "ENCRYPTION_KEYS": []}
    assert not [message for message in messages(deploy=False) if message.id == "wechat_open.W004"]


def test_times_without_zone__are_refused(site: Any) -> None:
    site.USE_TZ = False
    assert ids() == ["E014"]


def test_urls_left_out__is_found(site: Any) -> None:
    site.ROOT_URLCONF = "django.contrib.auth.urls"
    assert ids() == ["W008"]


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


@pytest.mark.parametrize("schedule", [{}, None, {"other": {"task": "shop.tasks.bill", "schedule": 60}}])
def test_beat_without_our_tasks__is_found(site: Any, schedule: Any) -> None:
    site.CELERY_BEAT_SCHEDULE = schedule
    assert ids() == ["W011"]


def test_beat_without_one_of_our_tasks__names_it(site: Any) -> None:
    site.CELERY_BEAT_SCHEDULE = {name: entry for name, entry in BEAT_SCHEDULE.items() if entry["task"] != RENEW}
    [message] = [message for message in messages() if message.id == "wechat_open.W011"]
    assert f"does not start {RENEW}:" in message.msg


@pytest.mark.parametrize("every", [600, 600.0, timedelta(hours=1)])
def test_beat_that_rings_too_rarely__is_found(site: Any, every: Any) -> None:
    site.CELERY_BEAT_SCHEDULE = ring(every)
    assert ids() == ["W012"]


@pytest.mark.parametrize("every", [10, timedelta(minutes=1), crontab()])
def test_beat_that_rings_often__is_fine(site: Any, every: Any) -> None:
    site.CELERY_BEAT_SCHEDULE = ring(every)
    assert ids() == []


def test_eager_tasks__are_found(site: Any) -> None:
    site.CELERY_TASK_ALWAYS_EAGER = True
    assert ids() == ["W013"]


@pytest.mark.parametrize(
    ("wish", "told", "hint"),
    [
        (on_message("txt"), "messages of kind 'txt'", "Did you mean 'text'? If WeChat has it all the same"),
        (on_message("text", "hologram"), "messages of kind 'hologram'", "If WeChat has it all the same, add this id"),
        (on_message("subscribe"), "messages of kind 'subscribe'", "'subscribe' comes as an event: use @on_event."),
        (on_event("subscribed"), "events 'subscribed'", "Did you mean 'subscribe' or "),
        (on_event("text"), "events 'text'", "'text' comes as a message: use @on_message."),
    ],
)
def test_handler_for_what_nobody_knows__is_found(site: Any, wish: Any, told: str, hint: str) -> None:
    @wish
    def handler(message: Any) -> None: ...

    assert ids() == ["W014"]
    [message] = [message for message in messages() if message.id == "wechat_open.W014"]
    assert f".handler waits for {told}, which" in message.msg
    assert str(message.hint).startswith(hint)


@pytest.mark.parametrize("wish", [on_message, on_event(), on_message("TEXT", "link"), on_event("CLICK", "location")])
def test_handler_for_what_comes__is_fine(site: Any, wish: Any) -> None:
    wish(lambda message: None)
    assert ids() == []


def test_sqlite_in_production__is_remarked(site: Any) -> None:
    expected = ["wechat_open.I001"] if connection.vendor == "sqlite" else []
    assert [message.id for message in messages()] == expected
    site.DEBUG = True
    assert messages() == []


def test_ids__are_used_once_and_without_gaps() -> None:
    source = Path(checks.__file__).read_text(encoding="utf-8")
    used = re.findall(r'id="wechat_open\.([A-Z])(\d{3})"', source)
    for level in "EWI":
        numbers = [int(number) for letter, number in used if letter == level]
        assert sorted(numbers) == list(range(1, len(numbers) + 1))


def test_ids__all_have_been_seen_red() -> None:
    source = Path(checks.__file__).read_text(encoding="utf-8")
    tests = Path(__file__).read_text(encoding="utf-8")
    for id in re.findall(r'id="wechat_open\.([A-Z]\d{3})"', source):
        assert f'"{id}"' in tests or f".{id}" in tests, id

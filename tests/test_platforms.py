"""Settings become a platform that can decrypt pushes."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import pytest

from wechat_open import platforms
from wechat_open.client.transport import Client
from wechat_open.exceptions import ConfigurationError
from wechat_open.models import Component
from wechat_open.secret import Secret

OLD_KEY = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFG"


def changed(settings: Any, alias: str = "default", **credentials: Any) -> None:
    components = settings.WECHAT_OPEN["COMPONENTS"]
    settings.WECHAT_OPEN = {
        **settings.WECHAT_OPEN,
        "COMPONENTS": {**components, alias: {**components[alias], **credentials}},
    }


def test_platform__is_made_of_its_settings(settings: Any) -> None:
    settings.WECHAT_OPEN = {
        **settings.WECHAT_OPEN,
        "API_BASE_URL": "http://127.0.0.1:8001",
        "TIMEOUT": (1, 2),
        "COMPONENT_TOKEN_PARAMETER": "access_token",
    }
    second = platforms.get("second")

    assert (second.alias, second.appid) == ("second", "wx2222222222222222")
    assert second.appsecret == Secret("fedcba9876543210fedcba9876543210")
    assert isinstance(second.client, Client)
    assert (second.client.base_url, second.client.timeout) == ("http://127.0.0.1:8001", (1, 2))
    assert second.client.component_parameter == "access_token"


def test_client__is_made_once() -> None:
    platform = platforms.get()

    assert platform.client is platform.client


def test_default_platform__needs_no_alias() -> None:
    assert platforms.get().alias == "default"


def test_command__names_a_platform_that_is_not_the_default() -> None:
    assert platforms.get().command("push-ticket") == "manage.py wechat_open push-ticket"
    assert platforms.get("second").command("push-ticket") == "manage.py wechat_open push-ticket --component second"


def test_previous_keys__come_after_the_current_pair(settings: Any) -> None:
    changed(settings, PREVIOUS_KEYS=[{"TOKEN": "older-token", "ENCODING_AES_KEY": OLD_KEY}])

    assert [pair.token for pair in platforms.get().pairs] == ["default-platform-token-0001", "older-token"]


TOMORROW, YESTERDAY = (datetime(year, 12, 31, tzinfo=timezone.utc) for year in (2099, 2001))


@pytest.mark.parametrize(
    ("until", "opens"),
    [
        (TOMORROW, True),
        (YESTERDAY, False),
        (TOMORROW.isoformat(), True),
        (YESTERDAY.isoformat(), False),
        (TOMORROW.date().isoformat(), True),
        (YESTERDAY.date(), False),
        (TOMORROW.replace(tzinfo=None).isoformat(" "), True),
        (None, True),
    ],
)
def test_previous_keys__end_at_their_until(settings: Any, until: object, opens: bool) -> None:
    changed(settings, PREVIOUS_KEYS=[{"TOKEN": "older-token", "ENCODING_AES_KEY": OLD_KEY, "UNTIL": until}])

    assert ("older-token" in [pair.token for pair in platforms.get().pairs]) is opens


def test_date__counts_until_the_end_of_its_day(settings: Any) -> None:
    settings.TIME_ZONE = "Asia/Shanghai"

    assert platforms.end_of("2026-12-31") == datetime(2026, 12, 31, 16, tzinfo=timezone.utc)
    assert platforms.end_of("2026-12-31T18:00:00") == datetime(2026, 12, 31, 10, tzinfo=timezone.utc)
    assert platforms.end_of("2026-12-31T18:00:00Z") == datetime(2026, 12, 31, 18, tzinfo=timezone.utc)


@pytest.mark.parametrize("until", ["", "soon", "2026-02-30", 20261231, True, "31.12.2026"])
def test_end_that_is_no_date__is_a_configuration_error(settings: Any, until: object) -> None:
    changed(settings, PREVIOUS_KEYS=[{"TOKEN": "older-token", "ENCODING_AES_KEY": OLD_KEY, "UNTIL": until}])

    with pytest.raises(ConfigurationError, match="ISO date or time") as caught:
        platforms.get()
    assert "older-token" not in str(caught.value)


@pytest.mark.parametrize("wrong", [OLD_KEY[:42], OLD_KEY + "x", "*" * 43])
def test_wrong_key__is_a_configuration_error_that_does_not_show_it(settings: Any, wrong: str) -> None:
    changed(settings, ENCODING_AES_KEY=wrong)

    with pytest.raises(ConfigurationError) as refused:
        platforms.get()
    assert wrong not in str(refused.value)


def test_repr__shows_no_secret() -> None:
    platform = platforms.get()
    shown = f"{platform!r} {platform.client!r} {platform.pairs!r}"

    assert platform.appid in shown
    for secret in ("0123456789abcdef", "default-platform-token", "abcdefghijklmnop"):
        assert secret not in shown


def test_changed_setting__is_seen_at_the_next_use(settings: Any) -> None:
    before = platforms.get()
    changed(settings, APPSECRET="another")

    assert platforms.get().appsecret != before.appsecret


def test_row__is_made_once(db: None) -> None:
    platform = platforms.get()

    assert platform.row is platform.row
    assert platforms.get().row == platform.row
    assert Component.objects.get().appid == platform.appid


def test_platforms__are_all_that_are_configured() -> None:
    assert [platform.alias for platform in platforms.all()] == ["default", "second"]


def test_platform_of_a_row__is_found_by_its_appid(db: None) -> None:
    row = platforms.get("second").row

    assert platforms.for_component(row).alias == "second"


def test_row_of_a_platform_that_is_no_longer_configured__says_what_to_do(db: None) -> None:
    with pytest.raises(ConfigurationError, match=r"wxgone.*add it again"):
        platforms.for_component(Component.objects.create(appid="wxgone"))

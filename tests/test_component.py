"""Do settings become a platform that can open pushes and speak for itself?"""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import pytest

from wechat_open import component
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
        "OPTION_API": "legacy",
    }
    second = component.platform("second")

    assert (second.alias, second.appid) == ("second", "wx2222222222222222")
    assert second.endpoints.appsecret == Secret("fedcba9876543210fedcba9876543210")
    assert (second.endpoints.client.base_url, second.endpoints.client.timeout) == ("http://127.0.0.1:8001", (1, 2))
    assert (second.endpoints.token_parameter, second.endpoints.option_api) == ("access_token", "legacy")


def test_endpoints__are_made_once() -> None:
    platform = component.platform()

    assert platform.endpoints is platform.endpoints


def test_default_platform__needs_no_name() -> None:
    assert component.platform().alias == "default"


def test_command__names_a_platform_that_is_not_the_default() -> None:
    assert component.platform().command("push-ticket") == "manage.py wechat_open push-ticket"
    assert component.platform("second").command("push-ticket") == "manage.py wechat_open push-ticket --component second"


def test_previous_keys__come_after_the_current_pair(settings: Any) -> None:
    changed(settings, PREVIOUS_KEYS=[{"TOKEN": "older-token", "ENCODING_AES_KEY": OLD_KEY}])

    assert [pair.token for pair in component.platform().pairs] == ["default-platform-token-0001", "older-token"]


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
def test_previous_keys__end_when_they_say_so(settings: Any, until: object, opens: bool) -> None:
    changed(settings, PREVIOUS_KEYS=[{"TOKEN": "older-token", "ENCODING_AES_KEY": OLD_KEY, "UNTIL": until}])

    assert ("older-token" in [pair.token for pair in component.platform().pairs]) is opens


def test_date__counts_until_the_end_of_its_day(settings: Any) -> None:
    settings.TIME_ZONE = "Asia/Shanghai"

    assert component.end_of("2026-12-31") == datetime(2026, 12, 31, 16, tzinfo=timezone.utc)
    assert component.end_of("2026-12-31T18:00:00") == datetime(2026, 12, 31, 10, tzinfo=timezone.utc)
    assert component.end_of("2026-12-31T18:00:00Z") == datetime(2026, 12, 31, 18, tzinfo=timezone.utc)


@pytest.mark.parametrize("until", ["", "soon", "2026-02-30", 20261231, True, "31.12.2026"])
def test_end_that_is_no_date__is_a_configuration_error(settings: Any, until: object) -> None:
    changed(settings, PREVIOUS_KEYS=[{"TOKEN": "older-token", "ENCODING_AES_KEY": OLD_KEY, "UNTIL": until}])

    with pytest.raises(ConfigurationError, match="ISO date or time") as caught:
        component.platform()
    assert "older-token" not in str(caught.value)


@pytest.mark.parametrize("wrong", [OLD_KEY[:42], OLD_KEY + "x", "*" * 43])
def test_wrong_key__is_a_configuration_error_that_does_not_show_it(settings: Any, wrong: str) -> None:
    changed(settings, ENCODING_AES_KEY=wrong)

    with pytest.raises(ConfigurationError) as refused:
        component.platform()
    assert wrong not in str(refused.value)


def test_repr__shows_no_secret() -> None:
    platform = component.platform()
    shown = f"{platform!r} {platform.endpoints!r} {platform.endpoints.client!r} {platform.pairs!r}"

    assert platform.appid in shown
    for secret in ("0123456789abcdef", "default-platform-token", "abcdefghijklmnop"):
        assert secret not in shown


def test_changed_setting__is_seen_at_the_next_use(settings: Any) -> None:
    before = component.platform()
    changed(settings, APPSECRET="another")

    assert component.platform().endpoints.appsecret != before.endpoints.appsecret


def test_row__is_made_once(db: None) -> None:
    platform = component.platform()

    assert platform.row is platform.row
    assert component.platform().row == platform.row
    assert Component.objects.get().appid == platform.appid


def test_platforms__are_all_that_are_configured() -> None:
    assert [platform.alias for platform in component.platforms()] == ["default", "second"]


def test_platform_of_a_row__is_found_by_its_appid(db: None) -> None:
    row = component.platform("second").row

    assert component.platform_of(row).alias == "second"


def test_row_of_a_platform_that_is_no_longer_configured__says_what_to_do(db: None) -> None:
    with pytest.raises(ConfigurationError, match=r"wxgone.*add it again"):
        component.platform_of(Component.objects.create(appid="wxgone"))

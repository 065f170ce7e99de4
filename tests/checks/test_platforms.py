"""A setting that is no dict and incomplete platforms are found before Django starts."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import SystemCheckError

from tests.checks.mistakes import AES_KEY, PLATFORM, SOUND, ids, platform, without


@pytest.mark.parametrize("given", [None, "wx1111111111111111", [PLATFORM]])
def test_no_dict__is_one_error(site: Any, given: object) -> None:
    site.WECHAT_OPEN = given
    assert [id for id in ids() if id.startswith("E")] == ["E001"]


@pytest.mark.django_db
def test_no_settings_at_all__stop_manage_check(site: Any) -> None:
    del site.WECHAT_OPEN
    with pytest.raises(SystemCheckError, match=r'WECHAT_OPEN\["COMPONENTS"\] names no .*\n.*HINT: Add one: "default"'):
        call_command("check")


def test_weak_token_among_the_previous_keys__is_found(site: Any) -> None:
    site.WECHAT_OPEN = {**SOUND, **platform(PREVIOUS_KEYS=[{"TOKEN": "short", "ENCODING_AES_KEY": AES_KEY}])}
    assert ids() == ["W002", "W052"]


@pytest.mark.django_db
def test_missing_secret__stops_manage_check(site: Any) -> None:
    site.WECHAT_OPEN = {**SOUND, **without("APPSECRET")}
    with pytest.raises(SystemCheckError, match=r'"default"\]\["APPSECRET"\] is missing.*\n.*HINT: Copy it'):
        call_command("check")

"""Are places found where tokens are not safe, and left alone while somebody develops?"""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection, connections

from tests.checks.mistakes import SOUND, ids, messages


def test_local_cache__is_fine_while_debugging(site: Any) -> None:
    site.DEBUG = True
    site.WECHAT_OPEN = {**SOUND, "CACHE": "local"}
    assert ids() == []


def test_derived_encryption_key__is_a_matter_of_deployment(site: Any) -> None:
    site.WECHAT_OPEN = {**SOUND, "ENCRYPTION_KEYS": []}
    assert not [message for message in messages(deploy=False) if message.id == "wechat_open.W004"]


def test_times_without_zone__are_refused(site: Any) -> None:
    site.USE_TZ = False
    assert ids() == ["E014"]


@pytest.mark.skipif(connection.features.supports_timezones, reason="this database keeps points in time")
@pytest.mark.parametrize(("zone", "found"), [("Asia/Shanghai", ["E034"]), ("UTC", []), (None, [])])
def test_times_of_another_zone_in_the_database__are_refused(
    site: Any, monkeypatch: pytest.MonkeyPatch, zone: str | None, found: list[str]
) -> None:
    database = connections["default"]
    monkeypatch.setitem(database.settings_dict, "TIME_ZONE", zone)
    monkeypatch.setitem(database.__dict__, "timezone_name", None)  # what has been worked out: put back afterwards
    del database.__dict__["timezone_name"]
    assert ids() == found


def test_sqlite_in_production__is_remarked(site: Any) -> None:
    expected = ["wechat_open.I001"] if connection.vendor == "sqlite" else []
    assert [message.id for message in messages()] == expected
    site.DEBUG = True
    assert messages() == []

"""Are places found where tokens are not safe, and left alone while somebody develops?"""

from __future__ import annotations

from typing import Any

from django.db import connection

from tests.checks.mistakes import SOUND, ids, messages


def test_local_cache__is_fine_while_debugging(site: Any) -> None:
    site.DEBUG = True
    site.WECHAT_OPEN = {**SOUND, "CACHE": "local"}
    assert ids() == []


def test_derived_encryption_key__is_a_matter_of_deployment(site: Any) -> None:
    site.WECHAT_OPEN = {**SOUND, "ENCRYPTION_KEYS": []}
    assert not [message for message in messages(deploy=False) if message.id == "wechat_open.W004"]


def test_sqlite_in_production__is_remarked(site: Any) -> None:
    expected = ["wechat_open.I001"] if connection.vendor == "sqlite" else []
    assert [message.id for message in messages()] == expected
    site.DEBUG = True
    assert messages() == []

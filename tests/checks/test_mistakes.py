"""Every mistake in the settings is found, and nothing else is taken for one."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tests.checks.mistakes import ELSEWHERE, GREEN, RED, SOUND, ids, messages
from wechat_open import checks
from wechat_open.conf import DEFAULTS


@pytest.mark.parametrize(("id", "change"), RED)
def test_mistake__is_found_and_nothing_else_is(site: Any, id: str, change: dict[str, Any]) -> None:
    site.WECHAT_OPEN = {**SOUND, **change}
    assert ids() == [id]


@pytest.mark.parametrize(("id", "change"), ELSEWHERE)
def test_mistake_elsewhere__is_found(site: Any, id: str, change: dict[str, Any]) -> None:
    for name, value in change.items():
        setattr(site, name, value)
    assert id in ids()


@pytest.mark.parametrize("change", GREEN)
def test_sound_settings__are_not_complained_about(site: Any, change: dict[str, Any]) -> None:
    site.WECHAT_OPEN = {**SOUND, **change}
    assert ids() == []


def test_every_default__is_clean(site: Any) -> None:
    """A site that gives nothing but its platform gets what production needs, and no mistake."""
    site.WECHAT_OPEN = {"COMPONENTS": SOUND["COMPONENTS"]}
    assert ids() == ["W003", "W004", "W006"]
    site.DEBUG = True
    assert ids() == ["W004"]


@pytest.mark.parametrize("name", DEFAULTS)
def test_every_setting__is_watched(site: Any, name: str) -> None:
    """An object of no sensible type is refused, whatever the setting."""
    site.WECHAT_OPEN = {**SOUND, name: object()}
    assert any(f'WECHAT_OPEN["{name}"]' in message.msg for message in messages())


def ids_of_the_sources() -> list[str]:
    sources = Path(checks.__file__).parent.glob("*.py")
    found = [
        id for path in sources for id in re.findall(r'"wechat_open\.([EWI]\d+)"', path.read_text(encoding="utf-8"))
    ]
    assert len(found) > 40  # else the sources were not found
    return found


GONE = {"E014", "E034", "W005"}
"""Checks of old versions. A site may still silence them."""


def test_ids__are_used_once() -> None:
    used = ids_of_the_sources()
    assert sorted(used) == sorted(set(used))
    assert not GONE & set(used)


def test_ids__are_all_in_the_tables_of_mistakes() -> None:
    """The rest depends on the database (E077, E078, W079, I001) and on handlers (W014): see test_storage, test_work."""
    elsewhere = {"E077", "E078", "W079", "I001", "W014"}
    assert {id for id, _change in RED + ELSEWHERE} == set(ids_of_the_sources()) - elsewhere

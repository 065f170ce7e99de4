"""docs/api.rst lists the public names of the package."""

from __future__ import annotations

import importlib
import pkgutil
from types import ModuleType

import pytest
from docutils import nodes

from tests import readme
from tests.readme import words

PROMISED = ("api", "authorization", "contrib", "exceptions", "messaging", "models", "schedule", "signals", "simulator")
PROMISED += ("testing", "translation")

INTERNAL = {
    # Imported by other parts of the package, and not promised.
    "wechat_open.authorization": {
        *("APPID", "TOO_DEEP", "Offer", "account_of", "announce", "announce_all", "base_url", "complete_push"),
        *("complete_redirect", "destination", "end", "find_attempt", "find_link", "finish_exchanges", "has_ended"),
        *("offer", "open_link", "payload_error", "prune", "sync_missing_profiles", "take_profile_turn"),
    },
    "wechat_open.messaging": {"NOTHING", "SUCCESS", "Outcome", "all_handlers", "forget", "receive"},
}


def documented() -> dict[str, list[str]]:
    """The names in the first column of each module's table."""
    return {
        words(section.next_node(nodes.title))[0]: [
            name for row in section.findall(nodes.row) for name in words(next(iter(row.findall(nodes.entry))))
        ]
        for section in readme.read("docs/api.rst").document.findall(nodes.section)
        if words(section.next_node(nodes.title))
    }


DOCUMENTED = documented()


def public_names(module: ModuleType) -> set[str]:
    """``__all__``, or what the module defines without an underscore."""
    if hasattr(module, "__all__"):
        return set(module.__all__)
    return {
        name
        for name, value in vars(module).items()
        if not name.startswith("_") and getattr(value, "__module__", "") == module.__name__
    }


@pytest.mark.parametrize("name", DOCUMENTED)
def test_module__has_the_documented_names_and_no_others(name: str) -> None:
    names = DOCUMENTED[name]
    assert len(set(names)) == len(names)
    assert public_names(importlib.import_module(name)) == {*names, *INTERNAL.get(name, ())}


@pytest.mark.parametrize("name", DOCUMENTED)
def test_name__can_be_imported(name: str) -> None:
    module = importlib.import_module(name)
    assert [one for one in DOCUMENTED[name] if not hasattr(module, one)] == []


def test_page__has_every_promised_module() -> None:
    assert {name.split(".")[1] for name in DOCUMENTED} == set(PROMISED)


def test_page__has_every_integration() -> None:
    contrib = importlib.import_module("wechat_open.contrib")
    modules = {f"wechat_open.contrib.{module.name}" for module in pkgutil.iter_modules(contrib.__path__)}
    assert modules - set(DOCUMENTED) == {"wechat_open.contrib.measures"}, "used by prometheus and opentelemetry"

"""The README's handlers pass the README's tests, and docs/messages.rst lists every message."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Mapping
from types import ModuleType
from typing import Any

import pytest

from tests import readme
from tests.readme import CHINESE, ENGLISH, words
from tests.testing.test_plugin import SETTINGS, URLS
from wechat_open import signals
from wechat_open.messaging import all_handlers
from wechat_open.messaging.messages import EVENTS, MESSAGES, EventMessage, Message

pytest_plugins = ["pytester"]

MESSAGES_PAGE = "docs/messages.rst"


@pytest.mark.parametrize("name", [ENGLISH, pytest.param(CHINESE, marks=pytest.mark.slow)])
def test_handlers__pass_their_tests(name: str, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = [code.text for code in readme.read(name).code]
    (handlers,) = (text for text in blocks if "@on_event" in text)
    (tests,) = (text for text in blocks if "wechat_follower" in text)
    monkeypatch.setenv("DJANGO_SETTINGS_MODULE", "mysite_settings")
    pytester.makeini("[pytest]\nfilterwarnings = error\n")
    pytester.makepyfile(mysite_settings=SETTINGS, mysite_urls=URLS, test_handlers=tests)
    pytester.mkpydir("shop").joinpath("wechat_handlers.py").write_text(handlers, encoding="utf-8")

    pytester.runpytest_subprocess().assert_outcomes(passed=tests.count("def test_"))


@pytest.mark.parametrize(
    ("literal", "table", "base"),
    [("text", MESSAGES, Message), ("subscribe", EVENTS, EventMessage)],
    ids=["messages", "events"],
)
def test_messages_table__is_the_module(literal: str, table: Mapping[str, type[Message]], base: type[Message]) -> None:
    rows = [[words(entry) for entry in row] for row in readme.read(MESSAGES_PAGE).table_with(literal)]

    assert {name.lower(): cls for names, (cls,), _ in rows for name in names} == {
        name: cls.__name__ for name, cls in table.items()
    }
    for names, _, attributes in rows:
        cls = table[names[0].lower()]
        fields = {field.name for field in dataclasses.fields(cls)} - {field.name for field in dataclasses.fields(base)}
        properties = {name for name, value in vars(cls).items() if isinstance(value, property)}
        assert set(attributes) - {"event_key"} == fields | properties, names


def test_examples_of_messages_page__can_be_run(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("example")  # a dataclass looks its module up
    monkeypatch.setitem(sys.modules, "example", module)
    namespace: dict[str, Any] = module.__dict__
    for code in readme.read(MESSAGES_PAGE).code:
        exec(code.text, namespace)  # noqa: S102 - the page is ours
    assert signals.handler_failed.disconnect(namespace["apologize"])
    assert all_handlers()

"""Which handlers are called, and in which order."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest
from django.conf import settings as site

from tests.messaging.followers import event, message
from tests.stage import OFFICIAL
from wechat_open.messaging import PASS, all_handlers, on_event, on_message
from wechat_open.messaging.functions import Result, name_of
from wechat_open.messaging.handlers import forget, handlers_of


def answer(message: Any) -> None:
    """A function of the site."""


def another(message: Any) -> None:
    """And another one."""


def asked(**said: Any) -> list[Callable[..., Any]]:
    return [handler.function for handler in handlers_of(message(**said))]


# What a handler wants


def test_kinds__are_wanted_and_no_others() -> None:
    on_message("text", "image")(answer)

    assert asked() == asked(MsgType="image") == [answer]
    assert asked(MsgType="voice") == asked(**event("subscribe")) == []


def test_no_kind__means_every_message_and_no_event() -> None:
    on_message()(answer)

    assert asked() == asked(MsgType="something_new") == [answer]
    assert asked(**event("subscribe")) == []


def test_decorator_without_parentheses__means_the_same() -> None:
    assert on_message(answer) is answer
    assert on_event(another) is another

    assert asked() == asked(MsgType="voice") == [answer]
    assert asked(**event("subscribe")) == asked(**event("something_new")) == [another]


@pytest.mark.parametrize("wanted", ["CLICK", "click", "Click"])
def test_event__is_wanted_in_any_letter_case(wanted: str) -> None:
    on_event(wanted)(answer)

    assert asked(**event("CLICK")) == [answer]
    assert asked(**event("VIEW")) == asked() == []


def test_kind_without_a_class__can_be_registered() -> None:
    on_message("sticker")(answer)
    on_event("something_new")(another)

    assert asked(MsgType="sticker") == [answer]
    assert asked(**event("something_new")) == [another]


def test_component__is_the_alias_of_the_platform() -> None:
    on_message(component="second")(answer)

    assert asked(component="second") == [answer]
    assert asked(component="default") == []


@pytest.mark.parametrize("accounts", [OFFICIAL, [OFFICIAL, "wxother"], (appid for appid in [OFFICIAL])])
def test_accounts__are_one_appid_or_several(accounts: Any) -> None:
    on_message(accounts=accounts)(answer)

    assert asked() == [answer]
    assert asked(appid="wxanother") == []


def test_no_account_at_all__is_none_and_not_every() -> None:
    on_message(accounts=[])(answer)

    assert asked() == []


def test_all_filters__have_to_fit() -> None:
    on_event("subscribe", component="second", accounts=OFFICIAL)(answer)

    assert asked(component="second", **event("subscribe")) == [answer]
    assert asked(component="second", **event("unsubscribe")) == []
    assert asked(component="second", appid="wxother", **event("subscribe")) == []


# In which order


def test_order__is_that_of_registration() -> None:
    on_message("text")(another)
    on_message(answer)
    on_event(another)

    assert asked() == [another, answer]
    assert [(each.function, each.of_events) for each in all_handlers()] == [
        (another, False),
        (answer, False),
        (another, True),
    ]


def test_function_with_two_decorators__is_called_for_both() -> None:
    on_message("text")(on_event("CLICK")(answer))

    assert asked() == asked(**event("CLICK")) == [answer]


def test_module_that_is_imported_again__replaces_its_handlers_and_keeps_their_place() -> None:
    source = "from wechat_open.messaging import on_message\n@on_message('text')\ndef greet(message): ..."
    first: dict[str, Any] = {"__name__": "shop.wechat_handlers"}
    again = dict(first)
    exec(source, first)  # noqa: S102
    on_message("text")(another)
    exec(source, again)  # noqa: S102

    assert asked() == [again["greet"], another]


def test_what_has_no_place_of_its_own__is_not_replaced() -> None:
    """Lambdas, inner functions and objects of one class share their dotted path."""

    def greeter(word: str) -> Callable[[Any], str]:
        return lambda message: word

    class Bot:
        def greet(self, message: Any) -> None: ...

    functions = [greeter("a"), greeter("b"), Bot().greet, Bot().greet]
    functions += [functools.partial(answer), functools.partial(answer)]
    for function in functions:
        on_message("text")(function)

    assert asked() == functions


def test_handlers__are_taken_back() -> None:
    on_message(answer)
    [first] = all_handlers()
    on_message(another)
    forget([first])
    assert asked() == [another]

    forget()
    assert all_handlers() == []


# What they are called


def test_name__is_where_the_function_is_found() -> None:
    on_message(answer)

    assert [handler.name for handler in all_handlers()] == [f"{__name__}.answer"]
    assert name_of(functools.partial(answer)) == "functools.partial"


def test_pass__shows_its_name() -> None:
    assert repr(PASS) == "PASS"


# What is no handler


@pytest.mark.parametrize("decorate", [on_message, on_event])
@pytest.mark.parametrize("name", [7, "", None, ["text"], b"text"])
def test_name_that_is_no_text__is_refused_where_it_was_written(decorate: Any, name: Any) -> None:
    with pytest.raises(TypeError, match="named by texts"):
        decorate(name)
    with pytest.raises(TypeError, match="named by texts"):
        decorate("text", name)


def test_function_beside_a_name__is_refused() -> None:
    with pytest.raises(TypeError):
        on_message("text", answer)  # type: ignore[call-overload]


@pytest.mark.parametrize("kind", ["event", "EVENT"])
def test_event_among_messages__is_refused(kind: str) -> None:
    with pytest.raises(ValueError, match="on_event"):
        on_message(kind)


# How they are found


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: Any) -> Callable[..., None]:
    """Apps of the site, with these lines in their ``wechat_handlers.py``."""
    monkeypatch.syspath_prepend(tmp_path)

    def add(**apps: str | None) -> None:
        for name, lines in apps.items():
            (tmp_path / name).mkdir()
            (tmp_path / name / "__init__.py").touch()
            if lines is not None:
                (tmp_path / name / "wechat_handlers.py").write_text(lines)
            for module in (name, f"{name}.wechat_handlers"):
                monkeypatch.setitem(sys.modules, module, None)
                monkeypatch.delitem(sys.modules, module)
        settings.INSTALLED_APPS = [*apps, *site.INSTALLED_APPS]

    return add


ONE_HANDLER = "from wechat_open.messaging import on_message\n@on_message('text')\ndef greet(message): ..."


def test_each_apps_module__is_found_when_django_starts(install: Callable[..., None]) -> None:
    install(zebra_shop=ONE_HANDLER, quiet_shop=None, ant_shop=ONE_HANDLER)

    assert [handler.name for handler in all_handlers()] == [
        "zebra_shop.wechat_handlers.greet",
        "ant_shop.wechat_handlers.greet",
    ]


def test_module_with_a_fault__stops_the_start(install: Callable[..., None]) -> None:
    """A site that runs without its handlers would answer no follower, unnoticed."""
    with pytest.raises(ImportError, match="no_such_thing"):
        install(broken_shop="import no_such_thing")


def test_what_a_handler_may_return__holds_no_class_of_django() -> None:
    """Type checkers without Django's stubs take such a class for anything, and every return type would be right."""
    assert [kind for kind in get_args(Result) if kind.__module__.startswith("django")] == []

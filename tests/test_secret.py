"""A secret stays hidden, whatever is done with the object that holds it."""

from __future__ import annotations

import copy
import json
import logging
import pickle

import pytest

from wechat_open.secret import Secret, fingerprint

CANARY = "refreshtoken@@@canary-1234567890"


def test_reveal__gives_the_text() -> None:
    assert Secret(CANARY).reveal() == CANARY
    assert Secret().reveal() == ""


@pytest.mark.parametrize(
    "shown",
    [
        repr(Secret(CANARY)),
        str(Secret(CANARY)),
        f"{Secret(CANARY)}",
        f"{Secret(CANARY):>60}",
        f"{Secret(CANARY)!r}",
        "%s %r" % (Secret(CANARY), Secret(CANARY)),  # noqa: UP031  # how logging formats
        "{0}".format(Secret(CANARY)),  # noqa: UP030, UP032  # the old way must not leak either
        repr([Secret(CANARY)]),
        repr({"token": Secret(CANARY)}),
    ],
)
def test_every_way_of_printing__shows_a_fingerprint(shown: str) -> None:
    assert CANARY not in shown
    assert Secret(CANARY).fingerprint in shown


def test_logging__shows_a_fingerprint(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        logging.getLogger("test").debug("stored %s", Secret(CANARY))

    assert caplog.messages == [f"stored <secret {fingerprint(CANARY)}>"]


def test_exceptions__show_a_fingerprint() -> None:
    assert CANARY not in repr(ValueError(Secret(CANARY)))
    assert CANARY not in str(ValueError(Secret(CANARY)))


@pytest.mark.parametrize("spread", [pickle.dumps, copy.copy, copy.deepcopy, json.dumps, bytes, len, list, vars])
def test_what_would_spread_it__fails(spread: object) -> None:
    with pytest.raises(TypeError) as caught:
        spread(Secret(CANARY))  # type: ignore[operator]

    assert CANARY not in str(caught.value)


def test_adding_text_to_it__fails() -> None:
    with pytest.raises(TypeError):
        "token=" + Secret(CANARY)  # type: ignore[operator]


def test_empty_secret__is_false_and_named_empty() -> None:
    assert not Secret()
    assert not Secret("")
    assert Secret("x")
    assert repr(Secret()) == "<secret empty>"


def test_equality__is_by_text__and_only_among_secrets() -> None:
    assert Secret("a") == Secret("a")
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"
    assert Secret("é") == Secret("é")
    assert len({Secret("a"), Secret("a"), Secret("b")}) == 2


def test_fingerprint__tells_apart_and_is_short() -> None:
    assert fingerprint("") == Secret().fingerprint == ""
    assert len(fingerprint(CANARY)) == 8
    assert fingerprint(CANARY) != fingerprint(CANARY + "x")

"""Each field of a push is read strictly; malformed values are empty."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, dataclass
from datetime import datetime, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wechat_open.exceptions import InvalidPush
from wechat_open.protocol import wire as wires
from wechat_open.protocol.wire import decimal, exact, integer, one, read, secret, several, text, time, wire, word, words
from wechat_open.secret import Secret

NO_TEXT = [None, 7, 7.5, True, ["a"], {"a": "b"}, b"a"]


# How a value is read


def test_text__loses_the_layout_around_it() -> None:
    assert text(" a b\n") == "a b"


def test_exact__keeps_every_character() -> None:
    assert exact(" a b\n") == " a b\n"


@pytest.mark.parametrize(
    ("sent", "found"),
    [
        ("wxABC_def-1@x", "wxABC_def-1@x"),
        (" wx1\n", "wx1"),
        ("x" * 64, "x" * 64),
        ("x" * 65, ""),
        ("two words", ""),
        ("né", ""),
        ("a\x00", ""),
        ("", ""),
    ],
)
def test_word__is_printable_and_short(sent: str, found: str) -> None:
    assert word(sent) == found


@pytest.mark.parametrize(
    ("sent", "found"),
    [("0", 0), ("-12", -12), (" 7 ", 7), ("9" * 18, int("9" * 18))],
)
def test_integer__is_a_number(sent: str, found: int) -> None:
    assert integer(sent) == found


@pytest.mark.parametrize("sent", ["", "-", "+7", "7.0", "1e3", "1_000", "0x10", "７", "9" * 19, "nan", "1 2"])
def test_what_is_no_integer__is_none(sent: str) -> None:
    assert integer(sent) is None


@pytest.mark.parametrize(
    ("sent", "found"),
    [
        ("23.134521", 23.134521),
        ("-0.5", -0.5),
        ("113", 113.0),
        (" 1.0\n", 1.0),
        ("1.3521000146865845", 1.3521000146865845),  # as JSON has a place near the equator
        ("1e-05", 0.00001),
        ("-2.5E+1", -25.0),
    ],
)
def test_decimal__is_a_number(sent: str, found: float) -> None:
    assert decimal(sent) == found


@pytest.mark.parametrize(
    "sent", ["", ".5", "5.", "e3", "1e", "1e999", "nan", "inf", "1_0.0", "２３.1", "1.2.3", "9999999999"]
)
def test_what_is_no_decimal__is_none(sent: str) -> None:
    assert decimal(sent) is None


def test_time__is_aware() -> None:
    assert time("1413192760") == datetime(2014, 10, 13, 9, 32, 40, tzinfo=timezone.utc)


@pytest.mark.parametrize(
    "sent", ["", "0", "141319276", "14131927600", "0413192760", "-413192760", "１４１３１９２７６０"]
)
def test_what_is_no_time__is_none(sent: str) -> None:
    assert time(sent) is None


@pytest.mark.parametrize(
    ("sent", "found"), [("a|b", ("a", "b")), ("a", ("a",)), ("", ()), ("|", ()), ("a||b|", ("a", "b"))]
)
def test_words__are_joined_by_a_line(sent: str, found: tuple[str, ...]) -> None:
    assert words(sent) == found


def test_secret__is_covered() -> None:
    assert secret(" ticket ") == Secret("ticket")
    assert "ticket" not in repr(secret("ticket"))


@pytest.mark.parametrize(
    ("reader", "nothing"),
    [
        (text, ""),
        (exact, ""),
        (word, ""),
        (secret, Secret("")),
        (integer, None),
        (decimal, None),
        (time, None),
        (words, ()),
    ],
)
@pytest.mark.parametrize("value", NO_TEXT, ids=repr)
def test_what_is_no_text__is_nothing(reader: Any, nothing: Any, value: Any) -> None:
    """Repeated and nested elements come as lists and dicts."""
    assert reader(value) == nothing


json_like = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)


@given(json_like | st.from_regex(r"-?[0-9]{1,20}(\.[0-9]+)?", fullmatch=True))
def test_any_value__is_read_or_nothing(value: Any) -> None:
    for reader in (text, exact, word, secret, integer, decimal, time, words, one(Part), several(Part, "item")):
        reader(value)


# How a whole push is read


@dataclass(frozen=True, kw_only=True)
class Part:
    name: str = wire("Name", read=text)


@dataclass(frozen=True, kw_only=True)
class Whole:
    appid: str = wire("AppId", "appid", read=word, required=True)
    count: int | None = wire("Count", read=integer)
    code: Secret = wire("Code", read=secret, shown=False)  # noqa: RUF009 - dataclasses.field with a name in it
    part: Part = wire("Part", read=one(Part))  # noqa: RUF009
    parts: tuple[Part, ...] = wire("Parts", read=several(Part, "List", "item"))
    alias: str = ""


def test_class__is_filled_from_the_wire() -> None:
    item = {"Name": "a"}
    push = {"AppId": "wx1", "Count": "7", "Code": "c", "Part": item, "Parts": {"List": {"item": [item, item]}}}

    assert read(Whole, push, alias="default") == Whole(
        appid="wx1",
        count=7,
        code=Secret("c"),
        part=Part(name="a"),
        parts=(Part(name="a"), Part(name="a")),
        alias="default",
    )


def test_what_is_missing__is_as_if_it_was_empty() -> None:
    assert read(Whole, {"AppId": "wx1"}, alias="") == Whole(appid="wx1")
    assert Whole(appid="wx1") == Whole(appid="wx1", count=None, code=Secret(""), part=Part(name=""), parts=(), alias="")


def test_first_name_that_the_push_has__is_read() -> None:
    assert read(Whole, {"appid": "wx2"}).appid == "wx2"
    assert read(Whole, {"appid": "wx2", "AppId": "wx1"}).appid == "wx1"
    with pytest.raises(InvalidPush):
        read(Whole, {"appid": "wx2", "AppId": ""})


def test_what_it_cannot_be_without__is_refused_by_the_name_of_the_kind() -> None:
    with pytest.raises(InvalidPush) as caught:
        read(Whole, {"Count": "7"}, "event")
    assert caught.value.reason == "event"


def test_what_is_not_shown__is_not_shown() -> None:
    assert "code" not in repr(read(Whole, {"AppId": "wx1", "Code": "canary"}, alias=""))


def test_what_was_read__cannot_be_changed() -> None:
    whole = read(Whole, {"AppId": "wx1"}, alias="")
    with pytest.raises(FrozenInstanceError):
        whole.appid = "wx2"  # type: ignore[misc]
    assert hash(whole) == hash(Whole(appid="wx1"))


@pytest.mark.parametrize("value", ["text", ["text"], [[{"Name": "a"}]], [], None])
def test_part_that_is_none__is_an_empty_one(value: Any) -> None:
    assert one(Part)(value) == Part(name="")


@pytest.mark.parametrize("value", [[{"Name": "a"}], ["text", {"Name": "a"}, {"Name": "b"}]])
def test_part_in_a_list__is_the_first_that_is_one(value: Any) -> None:
    assert one(Part)(value) == Part(name="a")


@pytest.mark.parametrize(
    ("value", "count"),
    [
        ({"item": {"Name": "a"}}, 1),
        ({"item": [{"Name": "a"}, {"Name": "b"}]}, 2),
        ({"item": [{"Name": "a"}, "text"]}, 1),
        ({"item": "text"}, 0),
        ({"other": {"Name": "a"}}, 0),
        ("text", 0),
        ([{"item": {"Name": "a"}}], 1),
        ([{"item": [{"Name": "a"}, {"Name": "b"}]}, {"Name": "c"}, {"item": "text"}, "text"], 3),
    ],
)
def test_list_of_parts__is_as_long_as_what_was_sent(value: Any, count: int) -> None:
    assert len(several(Part, "item")(value)) == count


def test_list_without_a_path__is_the_value_itself() -> None:
    assert wires.several(Part)([{"Name": "a"}, {"Name": "b"}]) == (Part(name="a"), Part(name="b"))

"""Permission sets have names in both languages, and any func_info can be read."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wechat_open.protocol.permissions import NAMES, allows, name, offered, parse_func_info


def test_known_set__has_a_name_in_both_languages() -> None:
    assert name(1) == "Messages"
    assert name(1, "zh") == name(1, "zh-hans") == name(1, "zh-CN") == "消息管理"


@pytest.mark.parametrize("number", [0, 103, 108, 134, 999_999])
def test_unknown_set__is_shown_by_its_number(number: int) -> None:
    assert name(number) == f"permission set {number}"
    assert name(number, "zh-cn") == f"权限集 {number}"


def test_every_name__is_filled() -> None:
    for number, known in NAMES.items():
        assert number == known.id
        assert known.en
        assert not known.zh.isascii()


ONLY_A_NAME = {
    *(35, 86, 93, 102, 104, 105, 107, 112, 113, 116, *range(117, 122), *range(129, 134), *range(138, 142), 143, 144),
    *(151, 153, 156, *range(157, 162), 164, 167, 169, 175, 176, 177, 180, 182, 185, 186, 189, 190, 198),
}
"""Of these WeChat's tables say nothing that we have read."""


def test_every_set__says_what_it_allows_in_both_languages() -> None:
    for number in NAMES:
        said = [allows(number, "en"), allows(number, "zh-hans")]
        assert all(said) is (number not in ONLY_A_NAME), number
        assert any(said) is all(said), number
        assert name(number) not in said and name(number, "zh") not in said, number


def test_exclusive_sets__are_those_that_one_platform_holds() -> None:
    official = {number for number, known in NAMES.items() if known.exclusive and known.kind == "official"}
    others = {number for number, known in NAMES.items() if known.exclusive and known.kind != "official"}
    assert official == {4, 24, 34, 54}
    assert others == {18, 25, 40, 41, 45, 49, 51, 73, 76, 81, 85, 104, 119, 135, 138, 157, 158, 198}


@pytest.mark.parametrize(
    ("kind", "numbers"),
    [
        ("official", {113}),
        ("channels", {143, 160, 174, 176, 177}),
        ("shop", {129, 130, 131, 132, 138, 164, 167, 175, 186}),
        ("sales", {189, 190}),
    ],
)
def test_kinds__have_their_own_sets(kind: str, numbers: set[int]) -> None:
    assert numbers <= {number for number, known in NAMES.items() if known.kind == kind}
    assert {str(one["id"]) for one in offered(kind, (), "en")} >= {str(number) for number in numbers}


def test_set_of_two_kinds__is_offered_to_both() -> None:
    for kind in ("official", "mini"):
        assert 112 in [one["id"] for one in offered(kind, (), "en")]


def test_kinds__tell_official_accounts_from_mini_programs() -> None:
    assert {number for number in range(1, 17) if NAMES[number].kind == "official"} == set(range(1, 17))
    assert {NAMES[number].kind for number in (17, 18, 25, 30, 31, 40)} == {"mini"}


def test_func_info__is_a_sorted_set_of_ids() -> None:
    granted = [{"funcscope_category": {"id": id}} for id in (15, 3, 1, 3)]

    assert parse_func_info(granted) == (1, 3, 15)


def test_func_info_with_more_than_ids__is_read() -> None:
    entry = {
        "funcscope_category": {"id": 18, "type": 0, "name": "", "desc": ""},
        "confirm_info": {"need_confirm": 0, "already_confirm": 0, "can_confirm": 0},
    }

    assert parse_func_info([entry]) == (18,)


def test_ids_as_text__are_read() -> None:
    assert parse_func_info([{"funcscope_category": {"id": "17"}}]) == (17,)


@pytest.mark.parametrize(
    "entry",
    [
        None,
        1,
        "1",
        [],
        {},
        {"funcscope_category": None},
        {"funcscope_category": 1},
        {"funcscope_category": {}},
        *(
            {"funcscope_category": {"id": id}}
            for id in (None, "", "x", "１", "1_0", -1, 0, 1.5, True, [], "9" * 30, 10**30)
        ),
    ],
)
def test_odd_entries__are_skipped(entry: object) -> None:
    assert parse_func_info([entry, {"funcscope_category": {"id": 1}}]) == (1,)


@pytest.mark.parametrize("func_info", [None, "", {}, 1, "text"])
def test_func_info_that_is_no_list__grants_nothing(func_info: object) -> None:
    assert parse_func_info(func_info) == ()


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["funcscope_category", "id", "x"]), inner, max_size=3)
    ),
    max_leaves=10,
)


@given(json_values)
def test_any_json__is_read(func_info: Any) -> None:
    granted = parse_func_info(func_info)

    assert list(granted) == sorted(set(granted))

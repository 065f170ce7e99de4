"""A long text is split into parts that WeChat accepts, at natural places."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wechat_open.protocol.long_texts import MAX_TEXT, split
from wechat_open.protocol.replies import (
    Image,
    Text,
)

# Long texts


@pytest.mark.parametrize(
    "text",
    [
        "长" * 3000,
        "word " * 2000,
        "line of a text\n" * 500,
        "。".join(["一句话"] * 900),
        "😀" * 2000,
        "👨\u200d👩\u200d👧" * 300,
        "🇨🇳" * 600,
        "e\u0301" * 2000,
        "\ud83d" * 3000,
        "x" * 5000,
    ],
    ids=repr,
)
def test_parts_of_a_text__are_the_text_and_fit(text: str) -> None:
    parts = [part.content for part in Text(text).parts()]

    assert "".join(parts) == text
    assert all(0 < len(part.encode(errors="surrogatepass")) <= MAX_TEXT for part in parts)
    assert len(parts) <= len(text.encode(errors="surrogatepass")) // 1024 + 1


@pytest.mark.parametrize(
    ("text", "ends"),
    [
        ("line of a text\n" * 500, "\n"),
        ("word " * 2000, " "),
        ("这是一句话。" * 500, "。"),
        ("👨\u200d👩\u200d👧" * 300, "👧"),
        ("🇨🇳" * 600, "🇨🇳"),
        ("e\u0301" * 2000, "e\u0301"),
        ("👍🏽" * 600, "👍🏽"),
    ],
    ids=repr,
)
def test_text__is_cut_where_people_would(text: str, ends: str) -> None:
    assert all(part.content.endswith(ends) for part in Text(text).parts())


@pytest.mark.parametrize("link", ['<a href="https://example.com/a b">a link. \n</a>', "https://example.com/a,b?c=d"])
def test_link__stays_whole(link: str) -> None:
    for before in range(1990, 2060):
        parts = [part.content for part in Text("长" * (before // 3) + link + "长" * 300).parts()]
        assert sum(link in part for part in parts) == 1


def test_text_that_fits__is_one_message() -> None:
    assert Text("长" * 682 + "ab").parts() == (Text("长" * 682 + "ab"),)
    assert len(Text("长" * 682 + "abc").parts()) == 2
    assert Image("m").parts() == (Image("m"),)


@given(st.text(max_size=3000), st.integers(4, 200))
def test_any_text__is_its_parts(text: str, limit: int) -> None:
    parts = split(text, limit)

    assert "".join(parts) == text
    assert all(len(part.encode()) <= limit for part in parts)

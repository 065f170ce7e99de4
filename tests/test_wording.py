"""One term for one thing, and none of the sentences that readers misunderstood.

The Chinese terms are those of WeChat's console. The texts are those of the catalogues, the simulator, WeChat's numbers
and the documents.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.test_translations import TERMS, read
from wechat_open.protocol import errcodes
from wechat_open.simulator import texts
from wechat_open.simulator.release_check import results

ROOT = Path(__file__).parent.parent

CODE = re.compile(r"``.*?``|^ +\S.*\n(?=\n|$)|https?://\S+", re.MULTILINE)


def strings(value: Any, language: str) -> Iterator[str]:
    """Texts of one language within the simulator's tables."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key == language and isinstance(inner, str):
                yield inner
            elif key not in ("zh", "en"):
                yield from strings(inner, language)


def simulated(language: str) -> list[str]:
    found = [
        text for module in (texts, results) for value in vars(module).values() for text in strings(value, language)
    ]
    found += [problem[1 if language == "zh" else 2] for problem in texts.PROBLEMS.values()]
    assert len(found) > 150  # else the tables were not found
    return found


def catalogue() -> list[tuple[str, str]]:
    """Each English text with its Chinese."""
    return [(entry.text[2] or entry.text[1], said) for entry in read("zh_Hans").entries for said in entry.said]


def numbers() -> list[str]:
    """What WeChat's numbers mean, in Chinese."""
    known = [number for number in range(-2, 100_000) if errcodes.meaning(number, "en")]
    assert len(known) > 100
    return [errcodes.meaning(number, "zh-hans") for number in known]


def readme() -> list[str]:
    whole = (ROOT / "README.zh-CN.rst").read_text(encoding="utf-8")
    return [CODE.sub("", paragraph) for paragraph in whole.replace("\\\n", "").split("\n\n")]


def ours() -> list[str]:
    """Chinese texts that speak about this site."""
    return [said for _, said in catalogue()] + simulated("zh")


@pytest.mark.parametrize(("say", "instead_of"), TERMS.items(), ids=TERMS)
def test_chinese_term__is_the_same_everywhere(say: str, instead_of: str) -> None:
    found = [text for text in [*ours(), *numbers(), *readme()] if re.search(instead_of, text)]
    assert found == [], f"say {say}"


def test_this_site__is_called_so() -> None:
    other = "Django 站点"
    assert [text for text in ours() if re.search("网站|站点", text.replace(other, ""))] == []


def test_comparison_with_the_whole_list__and_of_one_account_have_their_own_words() -> None:
    for english, chinese in catalogue():
        if re.search(r"comparison|compared? .*WeChat's (?:own )?list", english, re.IGNORECASE):
            assert "核对" not in chinese, english
        if "WeChat's records" in english:
            assert "对账" not in chinese, english


@pytest.mark.parametrize(
    ("english", "chinese"),
    [("broker", "消息队列（broker）"), ("refresh token", "刷新令牌"), ("credentials", "凭证")],
)
def test_english_term__has_its_chinese(english: str, chinese: str) -> None:
    having = [said for text, said in catalogue() if english in text]
    assert having
    assert [said for said in having if chinese not in said] == []


CHINESE_BEFORE = """
它已经结束了 更新的事件 地址没有用处了 来的是另一个账号 没有来授权 后台进程在运行吗 可以现在手动 马上重试
被迫提前 丢失的密钥 它已经不存在了 还活着 从未有过 没有人查看 没有放弃任何一个 谁也打不开 工作由“ 正在照看
未在设置中 微信认可平台 比我们快 已兑换 提前拒绝的平台 谁可以授权 这次授权的结果无法使用 这次带回
许多账号同时异常 未成功： 以谁的身份 自己把整个流程走一遍 加网址 拿起 站点上的谁 由信号告诉 能承受重复 没能如愿
读到这段文字 的函数不再等待 才算数 只是门铃 百分之七十 先认领 全部本领 没有响 终结 认领一分钟 多半在
""".split()  # noqa: SIM905  # a column of strings would fill two screens

ENGLISH_BEFORE = (
    "turned bad",
    "brake holds",
    "nothing to hold",
    "was given up",
    "before an owner is asked",
    "Nobody has",
    "was shown the address",
    "was registered, or not",
    "They are right now",
    "can mend",
    "before it is sealed",
    "That took long",
    "is noted down",
    "they are rung",
    "Make the links",
    "Make new ones",
    "WeChat refuses every token since",
    "Beat rang",
)


@pytest.mark.parametrize("before", CHINESE_BEFORE)
def test_chinese_sentence__is_the_better_one(before: str) -> None:
    assert [text for text in [*ours(), *readme()] if before in text] == []


@pytest.mark.parametrize("before", ENGLISH_BEFORE)
def test_english_sentence__is_the_better_one(before: str) -> None:
    documents = [ROOT / "README.rst", *(ROOT / "docs").glob("*.rst")]
    said = (
        [text for text, _ in catalogue()] + simulated("en") + [path.read_text(encoding="utf-8") for path in documents]
    )
    assert [text for text in said if before in text] == []


VOCABULARY = (
    r"\b(?:deeds?|doorbells?|census|whoever|anew|seal(?:s|ed|ing)?|unseal\w*|somebody|nobody|mend(?:s|ed)?"
    r"|rings?|rung)\b"
)
"""Words of our own that a reader would have to learn."""


def test_english__has_the_words_of_the_field() -> None:
    said = [text for text, _ in catalogue()] + simulated("en")
    assert [text for text in said if re.search(VOCABULARY, text, re.IGNORECASE)] == []


SOURCES = ("wechat_open", "tests", "example_project", "benchmarks", "docs")
RETIRED = re.compile(  # also as a part of a name
    r"(?<![^\W_])(?:deeds?|doorbells?|census|telling|told|whoever|anew|seal(?:s|ed|ing)?|unseal(?:s|ed|ing)?"
    r"|journal(?!_mode)|dispatcher|sweeps?|ladder)(?![^\W_])",
    re.IGNORECASE,
)


def test_sources__have_the_words_of_the_field() -> None:
    paths = [path for name in SOURCES for path in (ROOT / name).rglob("*") if path.suffix in (".py", ".rst", ".html")]
    paths += [*ROOT.glob("*.rst"), *ROOT.glob("*.md")]
    assert len(paths) > 300  # else they were not found
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in paths
        if path != Path(__file__).resolve()  # these are listed here
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if RETIRED.search(line)
    ]
    assert found == []

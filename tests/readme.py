"""The README as data.

Its code blocks, tables, links and steps, read by docutils. A step is a code block under a comment ``.. step: name``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path

from docutils import nodes
from docutils.core import publish_doctree

CHECKOUT = Path(__file__).resolve().parent.parent
ENGLISH, CHINESE = "README.rst", "README.zh-CN.rst"

STRICT = {
    "report_level": 1,
    "halt_level": 1,  # even what docutils only mentions is an error
    "syntax_highlight": "none",
    "file_insertion_enabled": False,  # as on the package index
    "raw_enabled": False,
}


@dataclass(frozen=True)
class Code:
    language: str
    text: str


@dataclass(frozen=True)
class Page:
    name: str
    document: nodes.document = field(repr=False)

    @cached_property
    def code(self) -> list[Code]:
        return [_code(block) for block in self.document.findall(nodes.literal_block)]

    @cached_property
    def steps(self) -> dict[str, Code]:
        """In the order of the page."""
        steps = {}
        for comment in self.document.findall(nodes.comment):
            kind, _, name = comment.astext().partition(": ")
            if kind == "step":
                block = comment.next_node(descend=False, siblings=True)
                assert isinstance(block, nodes.literal_block), f"no code under the step {name!r} of {self.name}"
                steps[name] = _code(block)
        return steps

    @cached_property
    def outline(self) -> list[int]:
        """The depth of each section."""
        return [_depth(section) for section in self.document.findall(nodes.section)]

    @cached_property
    def titles(self) -> set[str]:
        """Those of its sections."""
        return {title.astext() for title in self.document.findall(nodes.title)}

    @cached_property
    def literals(self) -> set[str]:
        return set(words(self.document))

    @cached_property
    def links(self) -> set[str]:
        return {link["refuri"] for link in self.document.findall(nodes.reference) if "refuri" in link}

    def table(self, under: int) -> list[list[nodes.entry]]:
        """The rows, without the header, of the table with this number."""
        table = list(self.document.findall(nodes.table))[under]
        return [
            list(row.findall(nodes.entry)) for body in table.findall(nodes.tbody) for row in body.findall(nodes.row)
        ]

    def table_with(self, literal: str) -> list[list[nodes.entry]]:
        """The table in whose first column this literal stands."""
        for number in range(len(list(self.document.findall(nodes.table)))):
            rows = self.table(number)
            if any(literal in words(row[0]) for row in rows):
                return rows
        raise AssertionError(f"no table of {self.name} has {literal} in its first column")


@cache
def read(name: str) -> Page:
    """The page; raises docutils' SystemMessage for whatever does not render as meant."""
    text = (CHECKOUT / name).read_text(encoding="utf-8")
    return Page(name, publish_doctree(text, source_path=name, settings_overrides=STRICT))


def words(node: nodes.Node) -> list[str]:
    """What stands in ``literals`` below this node, however their lines were broken."""
    return [" ".join(literal.astext().split()) for literal in node.findall(nodes.literal)]


def _code(block: nodes.literal_block) -> Code:
    languages = [name for name in block["classes"] if name != "code"]
    return Code(languages[0] if languages else "", block.astext())


def _depth(node: nodes.Node) -> int:
    depth = 0
    while (node := node.parent) is not None:
        depth += isinstance(node, nodes.section)
    return depth

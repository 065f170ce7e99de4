"""How is what ``doctor`` found told?

Group by group: to a person with signs that can be read without colour, to a script as JSON.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from enum import Enum
from typing import Any

from django.core.management.color import Style
from django.utils.translation import gettext as _
from django.utils.translation import ngettext, pgettext


class Level(str, Enum):
    """How bad it is. ``UNKNOWN`` says that nobody has looked."""

    GREEN = "green"
    AMBER = "amber"
    RED = "red"
    UNKNOWN = "unknown"

    @property
    def sign(self) -> str:
        return _SIGNS[self]


_SIGNS = {Level.GREEN: "✓", Level.AMBER: "!", Level.RED: "✗", Level.UNKNOWN: "–"}
_STYLES = {Level.GREEN: "SUCCESS", Level.AMBER: "WARNING", Level.RED: "ERROR", Level.UNKNOWN: "HTTP_NOT_MODIFIED"}


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at: what is so, why it matters, and what to do."""

    code: str
    level: Level
    said: str
    why: str = ""
    remedy: str = ""

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "level": self.level.value}


@dataclass
class Group:
    """What belongs together. ``component`` is the alias of the platform that it is about, or empty."""

    name: str
    title: str
    component: str = ""
    findings: list[Finding] = field(default_factory=list)
    broken: bool = False
    """Looking itself failed, in a way that nobody has foreseen."""

    def as_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "title": self.title,
            "component": self.component or None,
            "findings": [finding.as_json() for finding in self.findings],
        }


def exit_code(groups: Iterable[Group], *, strict: bool = False) -> int:
    """0 when all is well, 1 when something is wrong (``strict``: or needs a look), 2 when it could not be examined."""
    groups = list(groups)
    if any(group.broken for group in groups):
        return 2
    bad = {Level.RED, Level.AMBER} if strict else {Level.RED}
    return int(any(finding.level in bad for finding in _findings(groups)))


def as_json(groups: Iterable[Group], *, strict: bool = False) -> dict[str, Any]:
    groups = list(groups)
    levels = {finding.level for finding in _findings(groups)}
    worst = next(level for level in (Level.RED, Level.AMBER, Level.GREEN) if level in levels or level is Level.GREEN)
    return {
        "ok": exit_code(groups, strict=strict) == 0,
        "level": worst.value,
        "groups": [group.as_json() for group in groups],
    }


def lines(group: Group, style: Style, width: int, *, quiet: bool = False) -> Iterator[str]:
    """The group as a person reads it; ``quiet`` leaves out what is well."""
    findings = [finding for finding in group.findings if not quiet or finding.level in (Level.AMBER, Level.RED)]
    if not findings:
        return
    yield ""
    yield style.MIGRATE_HEADING(group.title)
    for finding in findings:
        paint = getattr(style, _STYLES[finding.level])
        first, *others = wrapped(finding.said, width - 4)
        yield f"  {paint(finding.level.sign)} {paint(first) if finding.level is Level.RED else first}"
        yield from (f"    {paint(line) if finding.level is Level.RED else line}" for line in others)
        if finding.level in (Level.AMBER, Level.RED):
            yield from _labelled(pgettext("wechat_open", "Why:"), finding.why, width)
            yield from _labelled(pgettext("wechat_open", "Do:"), finding.remedy, width, style.MIGRATE_LABEL)


def verdict(groups: Iterable[Group], style: Style) -> str:
    levels = [finding.level for finding in _findings(groups)]
    red, amber = levels.count(Level.RED), levels.count(Level.AMBER)
    wrong = ngettext("%d thing is wrong", "%d things are wrong", red) % red
    look = ngettext("%d thing needs a look", "%d things need a look", amber) % amber
    if red:
        return style.ERROR(f"✗ {wrong}" + (f" · {look}" if amber else ""))
    if amber:
        return style.WARNING(f"! {look}")
    return style.SUCCESS("✓ " + _("Everything that was examined is in order."))


def wrapped(text: str, width: int) -> list[str]:
    """The text in lines that fit a terminal, where a Chinese character is two columns wide and may end a line."""
    found: list[str] = []
    line, used = "", 0
    for piece in _pieces(text):
        wide = columns(piece)
        if used + columns(piece.rstrip()) > width and line:
            found.append(line.rstrip())
            line, used = "", 0
            piece = piece.lstrip()
            wide = columns(piece)
        line += piece
        used += wide
    return [*found, line.rstrip()]


def columns(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text)


def _pieces(text: str) -> Iterator[str]:
    """What is not broken: a word with the space behind it, or a Chinese character with the punctuation behind it."""
    piece = ""
    for character in text:
        closes = character in "，。；：、！？）》」』,.;:!?)"
        if piece and not closes and (piece[-1] == " " or _wide(piece[-1]) or _wide(character)) and character != " ":
            yield piece
            piece = ""
        piece += character
    if piece:
        yield piece


def _wide(character: str) -> bool:
    return unicodedata.east_asian_width(character) in "WF" and character not in "（《「『"


def _labelled(label: str, text: str, width: int, paint: Any = str) -> Iterator[str]:
    if not text:
        return
    if not _wide(label[-1]):  # a Chinese colon brings its own space
        label += " "
    indent = 6 + columns(label)
    first, *others = wrapped(text, width - indent)
    yield f"      {paint(label)}{first}"
    yield from (" " * indent + line for line in others)


def _findings(groups: Iterable[Group]) -> list[Finding]:
    return [finding for group in groups for finding in group.findings]

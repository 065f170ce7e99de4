"""The findings of ``doctor``, group by group: lines with signs that can be read without colour, or JSON."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from django.core.management.color import Style
from django.utils.translation import gettext as _
from django.utils.translation import ngettext, pgettext

from ..health import Finding, Level, worst

_SIGNS = {Level.GREEN: "✓", Level.AMBER: "!", Level.RED: "✗", Level.UNKNOWN: "–"}
_STYLES = {Level.GREEN: "SUCCESS", Level.AMBER: "WARNING", Level.RED: "ERROR", Level.UNKNOWN: "HTTP_NOT_MODIFIED"}


@dataclass
class Group:
    """Findings with a title. ``component`` is the alias of the platform that they are about, or empty."""

    name: str
    title: str
    component: str = ""
    findings: list[Finding] = field(default_factory=list)
    broken: bool = False
    """The examination of the group itself failed, with an exception that is not expected."""

    def as_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "title": self.title,
            "component": self.component or None,
            "findings": [finding.as_data() for finding in self.findings],
        }


def not_examined(message: str) -> Finding:
    return Finding("unexamined", Level.UNKNOWN, message)


def exit_code(groups: Iterable[Group], *, strict: bool = False) -> int:
    """0 when all is in order, 1 when something is wrong (``strict``: or needs a look), 2 when it was not examined."""
    groups = list(groups)
    if any(group.broken for group in groups):
        return 2
    bad = {Level.RED, Level.AMBER} if strict else {Level.RED}
    return int(any(finding.level in bad for finding in _findings(groups)))


def as_json(groups: Iterable[Group], *, strict: bool = False) -> dict[str, Any]:
    groups = list(groups)
    return {
        "ok": exit_code(groups, strict=strict) == 0,
        "level": worst([Level.GREEN, *(finding.level for finding in _findings(groups))]).value,
        "groups": [group.as_json() for group in groups],
    }


def lines(group: Group, style: Style, width: int, *, quiet: bool = False) -> Iterator[str]:
    """The group as a person reads it; ``quiet`` leaves out what is in order."""
    findings = [finding for finding in group.findings if not quiet or finding.level in (Level.AMBER, Level.RED)]
    if not findings:
        return
    yield ""
    yield style.MIGRATE_HEADING(group.title)
    for finding in findings:
        paint = getattr(style, _STYLES[finding.level])
        first, *others = wrapped(finding.message, width - 4)
        yield f"  {paint(_SIGNS[finding.level])} {paint(first) if finding.level is Level.RED else first}"
        yield from (f"    {paint(line) if finding.level is Level.RED else line}" for line in others)
        if finding.level in (Level.AMBER, Level.RED):
            yield from _labelled(pgettext("wechat_open", "Why:"), finding.why, width)
            yield from _labelled(pgettext("wechat_open", "Do:"), finding.hint, width, style.MIGRATE_LABEL)


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
    """Lines that fit a terminal, where a Chinese character is two columns wide and may end a line."""
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
    """Pieces that are not broken: a word with its space, or a Chinese character with its punctuation."""
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
    if not _wide(label[-1]):  # a Chinese colon has its own space
        label += " "
    indent = 6 + columns(label)
    first, *others = wrapped(text, width - indent)
    yield f"      {paint(label)}{first}"
    yield from (" " * indent + line for line in others)


def _findings(groups: Iterable[Group]) -> list[Finding]:
    return [finding for group in groups for finding in group.findings]

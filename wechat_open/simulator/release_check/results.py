"""The results of the release check: what was expected, what came, and what to check."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..texts import CATALOGUE, Bilingual, Language

SHOWN = 80
"""How many characters of an answer are repeated in a verdict."""

NAMES = {int(check): name for check, name in CATALOGUE["release_check_names"].items()}
VERDICTS = CATALOGUE["verdicts"]

# What to check, by HTTP status; "page" is for an HTML page, which something in front of the callback has answered.
STATUS_HINTS = CATALOGUE["status_hints"]

# What to check, by errcode (docs/protocol.rst, "Errcodes and quotas").
ERRCODE_HINTS = {int(errcode): hint for errcode, hint in CATALOGUE["errcode_hints"].items()}
_SAME_HINT = {-1000: -1, 40014: 40001, 42001: 40001, 48001: 61007, 61005: 61006, 61010: 61009}
_NO_HINT: Bilingual = {"zh": "请按错误码查阅文档。", "en": "See the number in WeChat's documentation."}


@dataclass(frozen=True)
class Verdict:
    """A key of VERDICTS with its values. ``hint`` is its last sentence, where that depends on the case."""

    key: str
    values: Mapping[str, Any] = field(default_factory=dict, repr=False)
    hint: Bilingual | None = None

    @property
    def ok(self) -> bool:
        return self.key.startswith("passed")

    def text(self, language: Language) -> str:
        values = dict(self.values)
        if self.hint is not None:
            values["hint"] = self.hint[language].format(**values)
        return VERDICTS[self.key][language].format(**values)


def status_hint(status: int, *, page: bool) -> Bilingual:
    if 300 <= status < 400:
        return STATUS_HINTS["redirect"]
    if page and status in (401, 403):
        return STATUS_HINTS["page"]
    return STATUS_HINTS.get(str(status)) or STATUS_HINTS["5xx" if status >= 500 else "other"]


def errcode_hint(errcode: int) -> Bilingual:
    return ERRCODE_HINTS.get(_SAME_HINT.get(errcode, errcode), _NO_HINT)


@dataclass(frozen=True)
class Outcome:
    """The result of one check. ``account`` received the push; a ticket has none."""

    check: int
    group: int
    account: str
    verdict: Verdict
    took: float
    """Seconds until the callback had answered."""

    @property
    def ok(self) -> bool:
        return self.verdict.ok

    def as_json(self, language: Language) -> dict[str, Any]:
        return {
            "check": self.check,
            "name": NAMES[self.check][language],
            "account": self.account,
            "ok": self.ok,
            "detail": self.verdict.text(language),
            "took": round(self.took, 3),
        }


def shortened(value: Any) -> str:
    """The beginning of a value, for a verdict."""
    text = "" if value is None else str(value).replace("\r", "\\r").replace("\n", "\\n")
    return text if len(text) <= SHOWN else text[:SHOWN] + "…"

"""What was seen in one simulated run, or in many together."""

from __future__ import annotations

from dataclasses import dataclass, field, fields


@dataclass
class Figures:
    runs: int = 0
    accounts: int = 0
    steps: int = 0
    reads: int = 0
    unavailable: int = 0
    """Reads that got no token that works."""
    kills: int = 0
    long_pauses: int = 0
    overlaps: int = 0
    excused_overlaps: int = 0
    refreshes: int = 0
    errors: int = 0
    """Rounds that ended with an error."""
    processor: float = 0.0
    """Seconds of a processor."""
    repaired_after: list[float] = field(default_factory=list)
    broken: dict[int, list[str]] = field(default_factory=dict)
    """The invariants that did not hold, in words, by the seed of the run."""

    def add(self, other: Figures) -> None:
        for one in fields(self):
            mine, value = getattr(self, one.name), getattr(other, one.name)
            setattr(self, one.name, mine | value if isinstance(value, dict) else mine + value)

    @property
    def violations(self) -> list[str]:
        return [words for found in self.broken.values() for words in found]

    def line(self) -> str:
        repaired = sorted(self.repaired_after)
        slow = f"p99 {repaired[int(len(repaired) * 0.99)]:.0f} s" if repaired else "none"
        available = 1 - self.unavailable / self.reads if self.reads else 1.0
        return (
            f"{self.runs} runs, {len(self.broken)} broken; {self.accounts} accounts, {self.steps / 1e6:.1f} M steps, "
            f"{self.kills} kills, {self.long_pauses} long pauses, {self.refreshes} refreshes, {self.overlaps} overlaps "
            f"(+ {self.excused_overlaps} in long pauses), available {available:.4%}, repairs {slow}"
        )

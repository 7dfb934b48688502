"""Ratios of two ways that run in turn, and their comparison with the ratios of a baseline. It measures nothing.

A ratio is the CPU of our way over that of its reference, each the least of a group of short rounds: another program on
the same core takes caches from both ways, but not equally. What is left of it is in the spread of the groups.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

TOLERANCE = 0.15
"""By how much a ratio may grow."""


@dataclass(frozen=True, slots=True)
class Ratio:
    """One pair of ways: the median, the least and the greatest ratio of the groups of rounds."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, groups: Sequence[Sequence[tuple[float, float]]]) -> Ratio:
        """groups: of each the rounds, a round being the cost of our way and that of the reference, in one unit."""
        ratios = [min(ours for ours, _ in rounds) / min(other for _, other in rounds) for rounds in groups]
        return cls(statistics.median(ratios), min(ratios), max(ratios))

    @property
    def spread(self) -> float:
        """How far the least and the greatest are apart, as a part of the median."""
        return (self.high - self.low) / self.median


@dataclass(frozen=True, slots=True)
class Compared:
    """One pair beside its baseline."""

    name: str
    now: Ratio
    before: Ratio | None
    """None: the baseline does not have the pair."""

    @property
    def growth(self) -> float:
        """By which part the ratio grew; 0 without a baseline."""
        return 0.0 if self.before is None else self.now.median / self.before.median - 1.0

    @property
    def is_worse(self) -> bool:
        """Whether every group of rounds is more than `TOLERANCE` above the baseline."""
        return self.before is not None and self.now.low > self.before.median * (1.0 + TOLERANCE)


def compare(now: Mapping[str, Ratio], baseline: Mapping[str, Ratio]) -> list[Compared]:
    """Each pair that was measured, in this order."""
    return [Compared(name, ratio, baseline.get(name)) for name, ratio in now.items()]


def table_of(compared: Sequence[Compared]) -> str:
    """A line for each pair: its ratio (least to greatest), that of the baseline, the growth, and the verdict."""
    lines = [f"  {'ours over the reference, CPU':42} {'now':>24}  {'baseline':>24}  {'growth':>7}"]
    for each in compared:
        verdict = "WORSE" if each.is_worse else "new" if each.before is None else "ok"
        before = "" if each.before is None else _shown(each.before)
        lines.append(f"  {each.name:42} {_shown(each.now):>24}  {before:>24}  {each.growth:>+7.1%}  {verdict}")
    return "\n".join(lines)


def read_baseline(path: Path) -> dict[str, Ratio]:
    """The ratios of the file."""
    return {name: Ratio(**each) for name, each in json.loads(path.read_text("utf-8")).items()}


def write_baseline(path: Path, ratios: Mapping[str, Ratio]) -> None:
    """Replace the file."""
    rounded = {
        name: {key: float(f"{value:.4g}") for key, value in asdict(each).items()} for name, each in ratios.items()
    }
    path.write_text(json.dumps(rounded, indent=2) + "\n", "utf-8")


def _shown(ratio: Ratio) -> str:
    return f"{ratio.median:.3g} ({ratio.low:.3g} to {ratio.high:.3g})"

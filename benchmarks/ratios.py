"""Ratios of two ways that run in turn, and their comparison with the ratios of a baseline. It measures nothing.

A ratio is the CPU of our way over that of its reference. Load that slows both ways alike cancels out; the rest of the
load's effect is in the spread of the rounds.
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
    """The rounds of one pair of ways: the median and the quartiles of their ratios."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, rounds: Sequence[tuple[float, float]]) -> Ratio:
        """rounds: the cost of our way and that of the reference, in one unit; at least two rounds."""
        low, median, high = statistics.quantiles([ours / other for ours, other in rounds], n=4, method="inclusive")
        return cls(median, low, high)

    @property
    def spread(self) -> float:
        """How far the quartiles are apart, as a part of the median."""
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
        """Whether the ratio grew beyond `TOLERANCE`, and the quartiles of both do not touch."""
        return self.before is not None and self.growth > TOLERANCE and self.now.low > self.before.high


def compare(now: Mapping[str, Ratio], baseline: Mapping[str, Ratio]) -> list[Compared]:
    """Each pair that was measured, in this order."""
    return [Compared(name, ratio, baseline.get(name)) for name, ratio in now.items()]


def table_of(compared: Sequence[Compared]) -> str:
    """A line for each pair: its ratio and quartiles, those of the baseline, the growth, and the verdict."""
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

"""The formulas of the design in plain Python, over lists: the arithmetic of the oracle. It holds no series."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field

US = 1_000_000
A_HUNDRED_YEARS_S = 100 * 365.25 * 86_400


def ewma(mean: float | None, sample: float, step_us: float, total_us: float, half_life_s: float) -> float:
    """Weights halve every half-life and are divided by their sum since the start, so the first sample is the mean."""
    if mean is None:
        return sample
    forgetting = math.log(2.0) / (half_life_s * US)
    weight = math.expm1(-step_us * forgetting) / math.expm1(-total_us * forgetting)
    return mean + (sample - mean) * weight


@dataclass(slots=True)
class Gaps:
    """The gaps of one kind: how many, their mean, and the mean of their squares; None before the first."""

    inspected: float
    """How many inspected gaps are normal."""
    count: int = 0
    mean_s: float | None = None
    square_s2: float | None = None
    limit_s: float | None = None

    def limit(self, width_s: float) -> float:
        """The longest normal gap, ten buckets if none is known."""
        return 10.0 * width_s if self.limit_s is None else self.limit_s

    def add(self, gap_s: float, width_s: float) -> None:
        """Count one more gap; it counts as two limits at most, and no gap weighs less than a 64th."""
        gap_s = min(gap_s, 2.0 * self.limit(width_s))
        self.count += 1
        gain = max(1.0 / self.count, 1.0 / 64.0)
        if self.mean_s is None or self.square_s2 is None:
            self.mean_s, self.square_s2 = gap_s, gap_s * gap_s
        else:
            self.mean_s += gain * (gap_s - self.mean_s)
            self.square_s2 += gain * (gap_s * gap_s - self.square_s2)
        young = self.count * self.mean_s < 10.0 * width_s
        self.limit_s = max(3.0 * width_s if young else width_s, self.inspected * (self.square_s2 / self.mean_s))


@dataclass(frozen=True, slots=True)
class Judged:
    """The trend columns of a row; None where there are too few complete minutes."""

    trend: str = "WARMING"
    change_pct: float | None = None
    slope_pct: float | None = None
    baseline: float | None = None
    """The mean log rate before the fall, of a series that is slow."""
    deviation: float | None = None

    @property
    def slow(self) -> bool:
        return self.baseline is not None


def judge(
    minute_bytes: Sequence[int], width_s: float = 60.0, gaps: Gaps | None = None, held: float | None = None
) -> Judged:
    """The trend of these complete minutes, oldest first. held: the baseline of a series that was slow before."""
    logs = log_rates(minute_bytes)
    spread = deviation(logs[-10:]) if len(logs) >= 3 else None
    if len(logs) < 8:
        return Judged(baseline=held, deviation=spread)
    earlier, recent = logs[:-5], logs[-5:]
    level = mean(earlier)
    change = mean(recent) - level
    found = autocorrelation(earlier, level)
    carry = min(found + (1.0 + 3.0 * found) / len(earlier), 0.97)
    added = [(each - level) - carry * (last - level) for last, each in itertools.pairwise(earlier)]
    noise = max(math.sqrt(total([each * each for each in added]) / max(len(earlier) - 2, 1)), 1e-3)
    wider = widening(gaps, width_s, len(logs))
    steps = [step(logs, begin, level, carry, noise) for begin in range(len(earlier), len(logs) - 1)]
    size, excess = max(steps, key=lambda each: abs(each[1]))
    stepped = abs(excess) > 3.4 * wider and abs(size) > 0.35 and size * change > 0.0
    slope, error = drift(logs)
    drifts = len(logs) >= 15 and abs(slope) > 0.018 and abs(slope) > 4.0 * wider * error
    trend = _word(size) if stepped else _word(slope) if drifts else "STEADY"
    if held is None:
        baseline = level if stepped and change < math.log(0.55) else None
    else:
        baseline = None if mean(recent) > held + math.log(0.7) else held
    return Judged(trend, percent(change), percent(slope), baseline, spread)


def widening(gaps: Gaps | None, width_s: float, minutes: int) -> float:
    """Rare reports make several minutes one measurement, and few minutes are little evidence."""
    measured = 1.0
    if gaps is not None and gaps.mean_s is not None and gaps.square_s2 is not None:
        measured = max(1.0, gaps.square_s2 / gaps.mean_s / width_s)
    return math.sqrt(measured) * (1.0 + 1.5 / (minutes - 7))


def autocorrelation(values: Sequence[float], middle: float) -> float:
    """The lag-one autocorrelation, 0 to 0.95."""
    squares = total([(each - middle) * (each - middle) for each in values])
    neighbours = total([(each - middle) * (last - middle) for last, each in itertools.pairwise(values)])
    return min(max(neighbours / squares, 0.0), 0.95) if squares > 0.0 else 0.0


def step(logs: Sequence[float], begin: int, level: float, carry: float, noise: float) -> tuple[float, float]:
    """The size of a lasting step at this minute, by regression of the whitened series, and its standard errors."""
    weights = [1.0] + [1.0 - carry] * (len(logs) - begin - 1)
    whitened = [(logs[place] - level) - carry * (logs[place - 1] - level) for place in range(begin, len(logs))]
    cross = total([weight * each for weight, each in zip(weights, whitened, strict=True)])
    squares = total([weight * weight for weight in weights])
    return cross / squares, cross / (noise * math.sqrt(squares))


def _word(direction: float) -> str:
    return "ACCELERATING" if direction > 0.0 else "SLOWING"


def percent(log_change: float) -> float:
    return 100.0 * math.expm1(log_change)


def log_rates(minute_bytes: Sequence[int]) -> list[float]:
    """Logarithms; a minute without bytes counts as a hundredth of the median of the minutes with bytes."""
    moving = sorted(float(each) for each in minute_bytes if each > 0)
    if not moving:
        return [0.0 for _ in minute_bytes]
    half = len(moving) // 2
    median = moving[half] if len(moving) % 2 else (moving[half - 1] + moving[half]) / 2.0
    return [math.log(each) if each > 0 else math.log(median / 100.0) for each in minute_bytes]


def mean(values: Sequence[float]) -> float:
    return total(values) / len(values)


def deviation(values: Sequence[float]) -> float:
    """The sample standard deviation: the sum of squares divided by n - 1."""
    middle = mean(values)
    return math.sqrt(total([(value - middle) * (value - middle) for value in values]) / (len(values) - 1))


def drift(logs: Sequence[float]) -> tuple[float, float]:
    """The slope of the series whitened by the autocorrelation about its line, and its standard error."""
    _, about, _ = line(logs)
    found = autocorrelation(about, 0.0)
    carry = min(found + (3.0 + 6.0 * found) / len(logs), 0.98)
    slope, residuals, squared_places = line([each - carry * last for last, each in itertools.pairwise(logs)])
    noise = max(math.sqrt(total([each * each for each in residuals]) / (len(residuals) - 2)), 1e-3)
    return slope / (1.0 - carry), noise / math.sqrt(squared_places) / (1.0 - carry)


def line(values: Sequence[float]) -> tuple[float, list[float], float]:
    """The least-squares line: its slope, the residuals, and the sum of the squared places."""
    places = [place - (len(values) - 1) / 2.0 for place in range(len(values))]
    middle = mean(values)
    squared_places = total([place * place for place in places])
    slope = total([place * (value - middle) for place, value in zip(places, values, strict=True)]) / squared_places
    residuals = [value - middle - slope * place for place, value in zip(places, values, strict=True)]
    return slope, residuals, squared_places


@dataclass(slots=True)
class Mixture:
    """Three means of the rate (half-lives of one and ten buckets, and none), and how well each foretold blocks."""

    counted_s: float = 0.0
    rates: list[float] | None = None
    block_s: list[float] = field(default_factory=lambda: [0.0, 0.0])
    block_bytes: list[float] = field(default_factory=lambda: [0.0, 0.0])
    block_rates: list[list[float] | None] = field(default_factory=lambda: [None, None])
    """The means when the block began."""
    errors: list[list[float]] = field(default_factory=lambda: [[0.0] * 3, [0.0] * 3])
    counts: list[float] = field(default_factory=lambda: [0.0, 0.0])

    def restart(self) -> None:
        """Measure anew; what was learnt about the means remains."""
        self.counted_s, self.rates = 0.0, None
        self.block_s, self.block_bytes, self.block_rates = [0.0, 0.0], [0.0, 0.0], [None, None]

    def add(self, gained: int, step_us: int, paused_us: int, limit_s: float, width_s: float) -> None:
        """One sample. Without bytes, only the time up to the stall limit counts."""
        step_s = step_us / US
        if gained == 0:
            step_s = min(max(limit_s - paused_us / US, 0.0), step_s)
        if step_s == 0.0:
            return
        sample = float(gained) / step_s
        self.counted_s += step_s
        if self.rates is None:
            self.rates = [sample] * 3
        else:
            short, long, plain = self.rates
            step, measured = step_s * US, self.counted_s * US
            self.rates = [
                ewma(short, sample, step, measured, width_s),
                ewma(long, sample, step, measured, 10.0 * width_s),
                plain + (sample - plain) * (step_s / self.counted_s),
            ]
        for block, length in enumerate((4.0, 32.0)):
            self.block_s[block] += step_s
            self.block_bytes[block] += float(gained)
            if self.block_s[block] >= length * width_s:
                self._score(block)

    def _score(self, block: int) -> None:
        came, foretold = self.block_bytes[block] / self.block_s[block], self.block_rates[block]
        if came > 0.0 and foretold is not None and foretold[2] > 0.0:
            misses = [math.log(came / each) if each > 0.0 else 2.0 for each in foretold]
            kept = zip(self.errors[block], misses, strict=True)
            self.errors[block] = [0.85 * error + min(miss * miss, 4.0) for error, miss in kept]
            self.counts[block] = 0.85 * self.counts[block] + 1.0
        assert self.rates is not None
        self.block_rates[block] = list(self.rates)
        self.block_s[block] = self.block_bytes[block] = 0.0

    def log_end(self, remaining: float, spread: float | None, width_s: float) -> tuple[float, float]:
        """The logarithm of the seconds left, and the half-width of its interval."""
        assert self.rates is not None
        own = 0.3 if spread is None else min(10.0 * spread * spread + 0.05 * 0.05, 0.3)
        left, middle, variance = remaining / self.rates[2], 0.0, 0.0
        for _ in range(2):
            buckets = min(max(left / width_s, 0.5), 1e6)
            near = [
                2.0 * (buckets / length) / (1.0 + (buckets / length) * (buckets / length)) for length in (4.0, 32.0)
            ]
            blocks = near[0] * self.counts[0] + near[1] * self.counts[1]
            weighed = []
            for place, rate in enumerate(self.rates):
                if rate > 0.0:
                    reach = min((1.0, 10.0, math.inf)[place], self.counted_s / width_s) / buckets
                    prior = 0.4 - 0.15 * reach / (reach + 0.13)
                    seen = near[0] * self.errors[0][place] + near[1] * self.errors[1][place]
                    expected = (0.5 * prior + seen) / (0.5 + blocks)
                    squared = expected * expected
                    weight = 1.0 / (squared * squared * squared * squared)
                    weighed.append((weight, math.log(rate), (0.5 * own + seen) / (0.5 + blocks)))
            weights = total([weight for weight, _, _ in weighed])
            middle = total([weight * log for weight, log, _ in weighed]) / weights
            square = total([weight * log * log for weight, log, _ in weighed]) / weights
            variance = total([weight * each for weight, _, each in weighed]) / weights
            variance += 3.0 * max(square - middle * middle, 0.0)
            left = math.exp(min(math.log(remaining) - middle, 700.0))
        return math.log(remaining) - middle, math.sqrt(variance)


def total(values: Sequence[float]) -> float:
    """Added from the left. `sum` of newer Python versions compensates rounding errors, and so gives other bits."""
    result = 0.0
    for value in values:
        result += value
    return result

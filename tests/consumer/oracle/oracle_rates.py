"""The formulas of the design in plain Python, over lists: the arithmetic of the oracle. It holds no series."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

US = 1_000_000
A_HUNDRED_YEARS_S = 100 * 365.25 * 86_400


def ewma(mean: float | None, sample: float, step_us: int, total_us: int, half_life_s: float) -> float:
    """Weights halve every half-life and are divided by their sum since the start, so the first sample is the mean."""
    if mean is None:
        return sample
    forgetting = math.log(2.0) / (half_life_s * US)
    weight = math.expm1(-step_us * forgetting) / math.expm1(-total_us * forgetting)
    return mean + (sample - mean) * weight


def quiet_limit(gap_s: float | None, width_s: float) -> float:
    """One bucket, or five typical gaps if that is more."""
    return width_s if gap_s is None else max(width_s, 5.0 * gap_s)


def typical_gap(gap_s: float | None, step_s: float, width_s: float) -> float:
    """The old gap moved by an eighth towards the new one; a gap longer than the quiet limit counts as the limit."""
    step_s = min(step_s, quiet_limit(gap_s, width_s))
    return step_s if gap_s is None else gap_s + (step_s - gap_s) / 8.0


@dataclass(frozen=True, slots=True)
class Judged:
    """The trend columns of a row; None where there are too few complete minutes."""

    trend: str = "WARMING"
    change_pct: float | None = None
    slope_pct: float | None = None
    slow: bool = False
    deviation: float | None = None


def judge(minute_bytes: Sequence[int]) -> Judged:
    """The trend of these complete minutes, oldest first."""
    logs = log_rates(minute_bytes)
    spread = deviation(logs[-10:]) if len(logs) >= 3 else None
    if len(logs) < 8:
        return Judged(deviation=spread)
    slope, error = drift(logs)
    drifts = abs(slope) > 0.01 and abs(slope) > 3.0 * error
    earlier, recent = logs[:-5], logs[-5:]
    if len(earlier) < 5:
        return Judged(_word(slope) if drifts else "STEADY", None, percent(slope), slow=False, deviation=spread)
    change = mean(recent) - mean(earlier)
    noise = 3.0 * deviation(earlier) * math.sqrt(2.0 * (1.0 / len(recent) + 1.0 / len(earlier)))
    changed = abs(change) > noise and abs(change) > 0.15
    trend = _word(change) if changed else _word(slope) if drifts else "STEADY"
    return Judged(trend, percent(change), percent(slope), changed and change < math.log(0.5), spread)


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


def drift(values: Sequence[float]) -> tuple[float, float]:
    """The least-squares slope and its standard error, widened by the residuals' lag-one correlation (0 to 0.99)."""
    places = [place - (len(values) - 1) / 2.0 for place in range(len(values))]
    middle = mean(values)
    squared_places = total([place * place for place in places])
    slope = total([place * (value - middle) for place, value in zip(places, values, strict=True)]) / squared_places
    residuals = [value - middle - slope * place for place, value in zip(places, values, strict=True)]
    squares = total([each * each for each in residuals])
    if squares == 0.0:
        return slope, 0.0
    correlation = total([each * last for last, each in itertools.pairwise(residuals)]) / squares
    correlation = min(max(correlation, 0.0), 0.99)
    error = math.sqrt(squares / (len(values) - 2) / squared_places)
    return slope, error * math.sqrt((1.0 + correlation) / (1.0 - correlation))


def eta_interval(
    eta_s: float, width_s: float, minutes: int, spread: float, fast: float, slow: float
) -> tuple[float, float]:
    """m exp(-w) to m exp(w), w = 1.28 sqrt(2 s^2 (1/n + 1/h) + d^2); never beyond a hundred years."""
    learnt, horizon = float(min(minutes, 10)), max(1.0, eta_s / width_s)
    apart = math.log(fast / slow) if fast / slow > 0.0 else -math.inf
    wide = 1.28 * math.sqrt(2.0 * spread * spread * (1.0 / learnt + 1.0 / horizon) + apart * apart)
    return eta_s * math.exp(-wide), min(eta_s * math.exp(min(wide, 700.0)), A_HUNDRED_YEARS_S)


def total(values: Sequence[float]) -> float:
    """Added from the left. `sum` of newer Python versions compensates rounding errors, and so gives other bits."""
    result = 0.0
    for value in values:
        result += value
    return result

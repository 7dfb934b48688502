"""Decides whether a rate gets better or worse, and whether it is slow, from complete minutes. Pure, compiled.

The minutes of a copy wander: the log rate of one minute resembles that of the minute before. All tests here therefore
model the log rates as a first-order autoregressive process, with a coefficient that is estimated from the series.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from taskstream.consumer.state.rates import US_PER_S
from taskstream.consumer.state.series import MINUTES, Rows, Trend
from taskstream.schemas.compiled import compiled

MIN_MINUTES = 8
"""How many complete minutes a trend needs; with fewer it is WARMING."""
RECENT_MINUTES = 5
"""The last minutes: a step is searched for in them, and their mean is compared with that of those before."""
DRIFT_MINUTES = 15
"""How many complete minutes a drift needs."""
MIN_STEP = 0.35
"""The smallest step of the log rate that is a change."""
MIN_SLOPE = 0.018
"""The smallest slope, in log rate per minute, that is a drift."""
STEP_SIGMAS = 3.4
DRIFT_SIGMAS = 4.0
"""How many standard errors a step or a drift must exceed; `widening` makes it more."""
SLOW_CHANGE = math.log(0.55)
"""A change of the mean log rate below this makes the series slow, if there is a step."""
BACK_CHANGE = math.log(0.7)
"""A slow series is slow until its mean log rate is above its baseline plus this."""
LEAST_DEVIATION = 1e-3
"""The standard deviation of a minute's log rate is at least this: bytes are whole numbers."""

WARMING, STEADY = int(Trend.WARMING), int(Trend.STEADY)
SLOWING, ACCELERATING = int(Trend.SLOWING), int(Trend.ACCELERATING)

Floats = npt.NDArray[np.float64]


@compiled
def update_trend(rows: Rows, slot: int, bucket_us: int) -> None:
    """Set trend, trend_change_pct, trend_slope_pct, slow, slow_baseline and log_rate_sd of one row.

    A step is a lasting change that began in one of the last five minutes, but the very last. A drift is a slope over
    all minutes. Each must exceed a fixed size and a number of standard errors; a step takes precedence over a drift,
    and counts only if the mean of the last five minutes changed in its direction.
    """
    row = rows[slot]
    count = row["complete_minutes"]
    logs = log_rates(row["minute_bytes"], count)
    recent = min(count, 10)
    row["log_rate_sd"] = _deviation(logs, count - recent, count) if recent >= 3 else np.nan
    row["trend_change_pct"] = np.nan
    row["trend_slope_pct"] = np.nan
    if count < MIN_MINUTES:
        row["trend"] = WARMING
        return
    before = count - RECENT_MINUTES
    baseline = mean_of(logs, 0, before)
    recent_mean = mean_of(logs, before, count)
    change = recent_mean - baseline
    wider = widening(row["typical_gap_s"], row["report_gap_square_s2"], bucket_us / US_PER_S, count)
    step, _ = lasting_step(logs, count, baseline, change, STEP_SIGMAS * wider)
    stepped = step != 0.0
    slope, error = drift(logs, count)
    drifted = count >= DRIFT_MINUTES and abs(slope) > MIN_SLOPE and abs(slope) > DRIFT_SIGMAS * wider * error
    row["trend_change_pct"] = 100.0 * math.expm1(change)
    row["trend_slope_pct"] = 100.0 * math.expm1(slope)
    direction = step if stepped else (slope if drifted else 0.0)
    row["trend"] = STEADY if direction == 0.0 else (SLOWING if direction < 0.0 else ACCELERATING)
    row["slow_baseline"] = slow_baseline(row["slow_baseline"], recent_mean, baseline, stepped)
    row["slow"] = not math.isnan(row["slow_baseline"])


@compiled
def lasting_step(logs: Floats, count: int, baseline: float, change: float, least_sigmas: float) -> tuple[float, int]:
    """The step of the log rate in the last five of `count` minutes, and the minute that it begins with; 0: no step.

    baseline: the mean log rate of the minutes before the last five. change: that of the last five, less the baseline.
    least_sigmas: how many standard errors it must exceed.
    """
    before = count - RECENT_MINUTES
    carry = step_carry(autocorrelation(logs, before, baseline), before)
    deviation = innovation_deviation(logs, before, baseline, carry)
    step, sigmas, begin = largest_step(logs, before, count, baseline, carry, deviation)
    stepped = abs(sigmas) > least_sigmas and abs(step) > MIN_STEP and step * change > 0.0
    return step if stepped else 0.0, begin


@compiled
def slow_baseline(held: float, recent_mean: float, mean_before: float, stepped: bool) -> float:
    """The mean log rate that a slow series fell from; NaN if it is not slow.

    held: the baseline so far, NaN if the series was not slow. It is held because slow minutes become part of
    `mean_before` with time, and the series would no longer differ from it.
    """
    if math.isnan(held):
        return mean_before if stepped and recent_mean - mean_before < SLOW_CHANGE else np.nan
    return np.nan if recent_mean > held + BACK_CHANGE else held


@compiled
def widening(gap_s: float, square_s2: float, bucket_s: float, count: int) -> float:
    """By which factor the standard errors count as larger: for rare reports, and for few minutes.

    gap_s, square_s2: mean gap between reports and mean of its square, NaN or 0 if unknown. Reports that are rarer than
    minutes make several minutes one measurement; square / gap is the gap that a minute lies in on average.
    """
    minutes_of_gap = square_s2 / gap_s / bucket_s if gap_s > 0.0 and square_s2 > 0.0 else 1.0
    return math.sqrt(max(1.0, minutes_of_gap)) * (1.0 + 1.5 / (count - MIN_MINUTES + 1))


@compiled
def autocorrelation(values: Floats, count: int, mean: float) -> float:
    """The lag-one autocorrelation of the first `count` values, 0 to 0.95."""
    squares = 0.0
    neighbours = 0.0
    for index in range(count):
        squares += (values[index] - mean) * (values[index] - mean)
        if index > 0:
            neighbours += (values[index] - mean) * (values[index - 1] - mean)
    return min(max(neighbours / squares, 0.0), 0.95) if squares > 0.0 else 0.0


@compiled
def step_carry(r: float, count: int) -> float:
    """The autoregressive coefficient for an autocorrelation `r` about the mean of `count` minutes; 0.97 at most.

    Source: M. Kendall, "Note on bias in the estimation of autocorrelation" (1954): E[r] is phi - (1 + 3 phi) / n.
    """
    return min(r + (1.0 + 3.0 * r) / count, 0.97)


@compiled
def drift_carry(r: float, count: int) -> float:
    """The same for an autocorrelation about a fitted line; 0.98 at most.

    Source: the bias about a line is near -(2 + 4 phi) / n; half as much again gave the fewest false drifts on simulated
    copies, and is not derived.
    """
    return min(r + (3.0 + 6.0 * r) / count, 0.98)


@compiled
def innovation_deviation(logs: Floats, count: int, mean: float, carry: float) -> float:
    """The standard deviation of what each of the first `count` logs adds to `carry` times the one before."""
    squares = 0.0
    for index in range(1, count):
        added = (logs[index] - mean) - carry * (logs[index - 1] - mean)
        squares += added * added
    return max(math.sqrt(squares / max(count - 2, 1)), LEAST_DEVIATION)


@compiled
def largest_step(
    logs: Floats, before: int, count: int, mean: float, carry: float, deviation: float
) -> tuple[float, float, int]:
    """The step of the log rate that stands out most among those that begin at minute `before` to `count - 2`.

    Returns its size, how many standard errors it has, and the minute that it begins with; its sign is the direction.

    Source: the level shift of R. Tsay, "Outliers, level shifts, and variance changes in time series" (1988): the
    regression of the whitened series on (1, 1 - carry, 1 - carry, ...), for an autoregressive process of order one.
    """
    best = 0.0
    best_sigmas = 0.0
    best_begin = before
    for begin in range(before, count - 1):
        cross = 0.0
        squares = 0.0
        for index in range(begin, count):
            weight = 1.0 if index == begin else 1.0 - carry
            cross += weight * ((logs[index] - mean) - carry * (logs[index - 1] - mean))
            squares += weight * weight
        sigmas = cross / (deviation * math.sqrt(squares))
        if abs(sigmas) > abs(best_sigmas):
            best_sigmas = sigmas
            best = cross / squares
            best_begin = begin
    return best, best_sigmas, best_begin


@compiled
def drift(logs: Floats, count: int) -> tuple[float, float]:
    """The slope of the log rate per minute, and its standard error, by generalised least squares.

    Source: D. Cochrane and G. Orcutt (1949): fit a line, whiten the series with the autocorrelation of the residuals,
    and fit again. The whitened line has the slope times 1 - carry.
    """
    slope, mean = _line(logs, count)
    middle = (count - 1) / 2.0
    residuals = np.empty(count, np.float64)
    for index in range(count):
        residuals[index] = logs[index] - mean - slope * (index - middle)
    carry = drift_carry(autocorrelation(residuals, count, 0.0), count)
    size = count - 1
    whitened = np.empty(size, np.float64)
    for index in range(size):
        whitened[index] = logs[index + 1] - carry * logs[index]
    slope, mean = _line(whitened, size)
    middle = (size - 1) / 2.0
    squares = 0.0
    spread = 0.0
    for index in range(size):
        residual = whitened[index] - mean - slope * (index - middle)
        squares += residual * residual
        spread += (index - middle) * (index - middle)
    deviation = max(math.sqrt(squares / (size - 2)), LEAST_DEVIATION)
    return slope / (1.0 - carry), deviation / math.sqrt(spread) / (1.0 - carry)


@compiled
def _line(values: Floats, count: int) -> tuple[float, float]:
    """The slope of the least-squares line through the first `count` values, and their mean."""
    middle = (count - 1) / 2.0
    mean = mean_of(values, 0, count)
    cross = 0.0
    spread = 0.0
    for index in range(count):
        cross += (index - middle) * (values[index] - mean)
        spread += (index - middle) * (index - middle)
    return cross / spread, mean


@compiled
def log_rates(minute_bytes: npt.NDArray[np.int64], count: int) -> Floats:
    """Logarithms of the newest `count` minutes; a minute without bytes counts as a hundredth of the others' median."""
    newest = minute_bytes[MINUTES - count :]
    moving = np.sort(newest[newest > 0])
    substitute = 1.0
    if moving.shape[0] > 0:
        half = moving.shape[0] // 2
        odd = moving.shape[0] % 2 == 1
        median = float(moving[half]) if odd else (float(moving[half - 1]) + float(moving[half])) / 2.0
        substitute = median / 100.0
    logs = np.empty(count, np.float64)
    for index in range(count):
        logs[index] = math.log(float(newest[index]) if newest[index] > 0 else substitute)
    return logs


@compiled
def mean_of(values: Floats, start: int, end: int) -> float:
    """The mean of `values[start:end]`."""
    total = 0.0
    for index in range(start, end):
        total += values[index]
    return total / (end - start)


@compiled
def _deviation(values: Floats, start: int, end: int) -> float:
    """The sample standard deviation (the sum of squares divided by n - 1)."""
    mean = mean_of(values, start, end)
    total = 0.0
    for index in range(start, end):
        total += (values[index] - mean) * (values[index] - mean)
    return math.sqrt(total / (end - start - 1))

"""Is a rate getting better or worse: decided on the logarithms of complete minutes. Pure, compiled."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from taskstream.consumer.state.series import MINUTES, Rows, Trend
from taskstream.schemas.compiled import compiled

LEAST = 8
"""Complete minutes before there is a trend at all."""
RECENT = 5
"""The last minutes, that are held against those before; and the fewest that those before may be."""
CHANGE = 0.15
"""The least difference of log rates that is a change."""
SLOPE = 0.01
"""The least slope, in log rate a minute, that is a drift."""
SIGMAS = 3.0

WARMING, STEADY = int(Trend.WARMING), int(Trend.STEADY)
SLOWING, ACCELERATING = int(Trend.SLOWING), int(Trend.ACCELERATING)


@compiled
def judge_trend(rows: Rows, slot: int) -> None:
    """Set trend, trend_change_pct, trend_slope_pct, slow and log_rate_sd of one row from its complete minutes."""
    row = rows[slot]
    count = row["complete_minutes"]
    logs = _log_rates(row["minute_bytes"], count)
    tail = min(count, 10)
    row["log_rate_sd"] = _deviation(logs, count - tail, count) if tail >= 3 else np.nan
    row["trend_change_pct"] = np.nan
    row["trend_slope_pct"] = np.nan
    row["slow"] = False
    if count < LEAST:
        row["trend"] = WARMING
        return
    direction = 0.0
    if count >= 2 * RECENT:
        before = count - RECENT
        change = _mean(logs, before, count) - _mean(logs, 0, before)
        noise = SIGMAS * _deviation(logs, 0, before) * math.sqrt(2.0 * (1.0 / RECENT + 1.0 / before))
        row["trend_change_pct"] = 100.0 * math.expm1(change)
        if abs(change) > noise and abs(change) > CHANGE:
            direction = change
            row["slow"] = change < math.log(0.5)
    slope, error = _slope(logs, count)
    row["trend_slope_pct"] = 100.0 * math.expm1(slope)
    if direction == 0.0 and abs(slope) > SLOPE and abs(slope) > SIGMAS * error:
        direction = slope
    row["trend"] = STEADY if direction == 0.0 else (SLOWING if direction < 0.0 else ACCELERATING)


@compiled
def _log_rates(minute_bytes: npt.NDArray[np.int64], count: int) -> npt.NDArray[np.float64]:
    """Logarithms of the newest `count` minutes; one without bytes counts as a hundredth of the others' median."""
    newest = minute_bytes[MINUTES - count :]
    moving = np.sort(newest[newest > 0])
    least = 1.0
    if moving.shape[0] > 0:
        half = moving.shape[0] // 2
        odd = moving.shape[0] % 2 == 1
        median = float(moving[half]) if odd else (float(moving[half - 1]) + float(moving[half])) / 2.0
        least = median / 100.0
    logs = np.empty(count, np.float64)
    for place in range(count):
        logs[place] = math.log(float(newest[place]) if newest[place] > 0 else least)
    return logs


@compiled
def _mean(values: npt.NDArray[np.float64], start: int, end: int) -> float:
    total = 0.0
    for place in range(start, end):
        total += values[place]
    return total / (end - start)


@compiled
def _deviation(values: npt.NDArray[np.float64], start: int, end: int) -> float:
    """The sample standard deviation (divided by n - 1)."""
    mean = _mean(values, start, end)
    total = 0.0
    for place in range(start, end):
        total += (values[place] - mean) * (values[place] - mean)
    return math.sqrt(total / (end - start - 1))


@compiled
def _slope(values: npt.NDArray[np.float64], count: int) -> tuple[float, float]:
    """The least-squares slope a minute and its standard error, widened for residuals that depend on their neighbour.

    Source: ordinary least squares; the widening sqrt((1 + r) / (1 - r)), r the residuals' lag-one correlation, is the
    effective sample size of a first-order autoregressive process (G. Bayley and J. Hammersley, 1946). A negative r
    would narrow it, and is taken as 0.
    """
    middle = (count - 1) / 2.0
    mean = _mean(values, 0, count)
    cross = 0.0
    spread = 0.0
    for place in range(count):
        cross += (place - middle) * (values[place] - mean)
        spread += (place - middle) * (place - middle)
    slope = cross / spread
    squares = 0.0
    neighbours = 0.0
    last = 0.0
    for place in range(count):
        residual = values[place] - mean - slope * (place - middle)
        squares += residual * residual
        if place > 0:
            neighbours += residual * last
        last = residual
    if squares <= 0.0:
        return slope, 0.0
    r = min(max(neighbours / squares, 0.0), 0.99)
    return slope, math.sqrt(squares / (count - 2) / spread) * math.sqrt((1.0 + r) / (1.0 - r))

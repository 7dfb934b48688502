"""Decides whether a rate gets better or worse, and whether it is slow, from complete minutes. Pure, compiled."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from taskstream.consumer.state.series import MINUTES, Rows, Trend
from taskstream.schemas.compiled import compiled

MIN_MINUTES = 8
"""How many complete minutes a trend needs; with fewer it is WARMING."""
RECENT_MINUTES = 5
"""The last minutes, which are compared with those before them; there must be as many before them at least."""
MIN_CHANGE = 0.15
"""The smallest difference of mean log rates that is a change."""
MIN_SLOPE = 0.01
"""The smallest slope, in log rate per minute, that is a drift."""
SIGMAS = 3.0
"""How many standard errors a change or a drift must exceed."""
SLOW_CHANGE = math.log(0.5)
"""A change below this, less than half of the rate before, makes the series slow."""

WARMING, STEADY = int(Trend.WARMING), int(Trend.STEADY)
SLOWING, ACCELERATING = int(Trend.SLOWING), int(Trend.ACCELERATING)


@compiled
def update_trend(rows: Rows, slot: int) -> None:
    """Set trend, trend_change_pct, trend_slope_pct, slow and log_rate_sd of one row from its complete minutes.

    A change is a difference between the mean log rate of the last five minutes and that of the minutes before. A drift
    is a least-squares slope over all of them. Each must exceed a fixed size and three standard errors; a change takes
    precedence over a drift.

    Source: the two-sample comparison of means; the factor 2 in its variance is for the autocorrelation of minutes.
    """
    row = rows[slot]
    count = row["complete_minutes"]
    logs = _log_rates(row["minute_bytes"], count)
    recent = min(count, 10)
    row["log_rate_sd"] = _deviation(logs, count - recent, count) if recent >= 3 else np.nan
    row["trend_change_pct"] = np.nan
    row["trend_slope_pct"] = np.nan
    row["slow"] = False
    if count < MIN_MINUTES:
        row["trend"] = WARMING
        return
    direction = 0.0
    if count >= 2 * RECENT_MINUTES:
        before = count - RECENT_MINUTES
        change = _mean(logs, before, count) - _mean(logs, 0, before)
        noise = SIGMAS * _deviation(logs, 0, before) * math.sqrt(2.0 * (1.0 / RECENT_MINUTES + 1.0 / before))
        row["trend_change_pct"] = 100.0 * math.expm1(change)
        if abs(change) > noise and abs(change) > MIN_CHANGE:
            direction = change
            row["slow"] = change < SLOW_CHANGE
    slope, error = _slope(logs, count)
    row["trend_slope_pct"] = 100.0 * math.expm1(slope)
    if direction == 0.0 and abs(slope) > MIN_SLOPE and abs(slope) > SIGMAS * error:
        direction = slope
    row["trend"] = STEADY if direction == 0.0 else (SLOWING if direction < 0.0 else ACCELERATING)


@compiled
def _log_rates(minute_bytes: npt.NDArray[np.int64], count: int) -> npt.NDArray[np.float64]:
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
def _mean(values: npt.NDArray[np.float64], start: int, end: int) -> float:
    total = 0.0
    for index in range(start, end):
        total += values[index]
    return total / (end - start)


@compiled
def _deviation(values: npt.NDArray[np.float64], start: int, end: int) -> float:
    """The sample standard deviation (the sum of squares divided by n - 1)."""
    mean = _mean(values, start, end)
    total = 0.0
    for index in range(start, end):
        total += (values[index] - mean) * (values[index] - mean)
    return math.sqrt(total / (end - start - 1))


@compiled
def _slope(values: npt.NDArray[np.float64], count: int) -> tuple[float, float]:
    """The least-squares slope per minute, and its standard error widened for the autocorrelation of the residuals.

    Source: ordinary least squares; the widening sqrt((1 + r) / (1 - r)), r the residuals' lag-one correlation, is the
    effective sample size of a first-order autoregressive process (G. Bayley and J. Hammersley, 1946). A negative r
    would narrow the error, and is taken as 0.
    """
    middle = (count - 1) / 2.0
    mean = _mean(values, 0, count)
    cross = 0.0
    spread = 0.0
    for index in range(count):
        cross += (index - middle) * (values[index] - mean)
        spread += (index - middle) * (index - middle)
    slope = cross / spread
    squares = 0.0
    neighbours = 0.0
    last = 0.0
    for index in range(count):
        residual = values[index] - mean - slope * (index - middle)
        squares += residual * residual
        if index > 0:
            neighbours += residual * last
        last = residual
    if squares <= 0.0:
        return slope, 0.0
    r = min(max(neighbours / squares, 0.0), 0.99)
    return slope, math.sqrt(squares / (count - 2) / spread) * math.sqrt((1.0 + r) / (1.0 - r))

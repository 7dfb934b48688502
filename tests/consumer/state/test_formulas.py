"""Each formula against its definition, computed another way: this finds errors that the fold and its oracle share."""

from __future__ import annotations

import math
import statistics
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskstream.consumer.state.forecast.mixed_rate import nearness, prior_variance
from taskstream.consumer.state.rates import ewma
from taskstream.consumer.state.series import Trend
from taskstream.consumer.state.series_table import SeriesTable
from taskstream.consumer.state.stall import gap_limit, mean_with
from taskstream.consumer.state.trend import drift, drift_carry, largest_step
from tests.consumer.oracle.comparison import RecordedTable
from tests.consumer.oracle.oracle_series import Event
from tests.consumer.oracle.streams import START, US, series_name
from tests.consumer.oracle.trend_row import trend_row

steps_us = st.integers(1, 3600 * US)
samples = st.lists(st.tuples(steps_us, st.floats(0.0, 1e12)), min_size=1, max_size=30)
minutes = st.lists(st.integers(1, 10**12), min_size=10, max_size=30)


@given(samples, st.floats(1.0, 6000.0))
def test_the_moving_mean_is_the_weighted_mean_of_all_samples(
    measured: list[tuple[int, float]], half_life_s: float
) -> None:
    mean, total_us = 0.0, 0
    for step_us, sample in measured:
        total_us += step_us
        mean = ewma(mean, sample, step_us, total_us, half_life_s) if total_us > step_us else sample
    weights, age_us = [], 0
    for step_us, _ in reversed(measured):
        weights.append(weight_of(age_us, step_us, half_life_s))
        age_us += step_us
    weighted = math.fsum(weight * sample for weight, (_, sample) in zip(weights, reversed(measured), strict=True))
    assert mean == pytest.approx(weighted / math.fsum(weights), rel=1e-9, abs=1e-3)


def weight_of(age_us: int, step_us: int, half_life_s: float) -> float:
    """What is left of the weight of a time `step_us` long that ended `age_us` ago: the integral of 2^(-age / h)."""
    per_us = math.log(2.0) / (half_life_s * US)
    return -math.exp(-age_us * per_us) * math.expm1(-step_us * per_us)


def test_a_half_life_halves_the_distance_once_much_was_seen() -> None:
    assert ewma(100.0, 0.0, 60 * US, 10**6 * US, 60.0) == pytest.approx(50.0)


def test_the_mean_of_gaps_is_plain_for_the_first_64_and_then_moves_by_a_64th() -> None:
    mean = 5.0
    for count in range(2, 65):
        mean = mean_with(mean, float(count), count)
    assert mean == pytest.approx((5.0 + sum(range(2, 65))) / 64)
    assert mean_with(10.0, 74.0, 1_000) == 11.0


@given(st.lists(st.integers(1, 10_000), min_size=1, max_size=40))
def test_the_limit_is_the_multiple_of_the_gap_that_a_random_moment_lies_in(gaps_s: list[int]) -> None:
    mean_s = statistics.fmean(gaps_s)
    square_s2 = statistics.fmean(gap * gap for gap in gaps_s)
    inspected_s = sum(gap * Fraction(gap, sum(gaps_s)) for gap in gaps_s)
    least_s = 180.0 if sum(gaps_s) < 600 else 60.0
    limit_s = gap_limit(len(gaps_s), mean_s, square_s2, 2.5, 60.0)
    if abs(sum(gaps_s) - 600) > 1:
        assert limit_s == pytest.approx(max(least_s, 2.5 * float(inspected_s)))


@given(minutes)
def test_change_and_deviation_are_those_of_the_statistics_books(minute_bytes: list[int]) -> None:
    row = trend_row(minute_bytes)
    logs = np.log(minute_bytes)
    change = statistics.fmean(logs[-5:]) - statistics.fmean(logs[:-5])
    assert row["trend_change_pct"] == pytest.approx(100.0 * math.expm1(change), rel=1e-6, abs=1e-9)
    assert row["log_rate_sd"] == pytest.approx(statistics.stdev(logs[-10:]), rel=1e-6, abs=1e-9)


@given(minutes)
def test_the_slope_is_that_of_generalised_least_squares(minute_bytes: list[int]) -> None:
    """The series is whitened by a matrix here, and in the fold one value after the other."""
    logs = np.log(minute_bytes)
    count = len(logs)
    at = np.arange(count)
    residuals = logs - np.polynomial.polynomial.polyval(at, np.polynomial.polynomial.polyfit(at, logs, 1))
    squares = residuals @ residuals
    found = min(max(residuals[1:] @ residuals[:-1] / squares, 0.0), 0.95) if squares > 1e-18 else 0.0
    carry = drift_carry(found, count)
    white = np.eye(count)[1:] - carry * np.eye(count)[:-1]
    design = white @ np.stack([np.ones(count), at], axis=1)
    coefficients, *_ = np.linalg.lstsq(design, white @ logs, rcond=None)
    left = white @ logs - design @ coefficients
    deviation = max(math.sqrt(left @ left / (count - 3)), 1e-3)
    error = deviation * math.sqrt(np.linalg.inv(design.T @ design)[1, 1])
    if squares > 1e-9:
        assert drift(logs, count) == pytest.approx((coefficients[1], error), rel=1e-5, abs=1e-7)


@given(minutes, st.floats(0.0, 0.97), st.floats(0.01, 1.0))
def test_a_step_is_that_of_the_regression_on_the_whitened_series(
    minute_bytes: list[int], carry: float, deviation: float
) -> None:
    logs = np.log(minute_bytes)
    before, mean = len(logs) - 5, float(np.mean(logs[:-5]))
    steps = []
    for begin in range(before, len(logs) - 1):
        shape = (np.arange(len(logs)) >= begin).astype(float)
        white = shape[1:] - carry * shape[:-1]
        size = white @ ((logs[1:] - mean) - carry * (logs[:-1] - mean)) / (white @ white)
        steps.append((size, size * math.sqrt(white @ white) / deviation))
    size, sigmas, _ = largest_step(logs, before, len(logs), mean, carry, deviation)
    assert abs(sigmas) == pytest.approx(max(abs(each) for _, each in steps), rel=1e-6, abs=1e-6)
    assert any((size, sigmas) == pytest.approx(each, rel=1e-6, abs=1e-6) for each in steps)


def test_a_minute_without_bytes_counts_as_a_hundredth_of_the_others_median() -> None:
    with_gaps = trend_row([100, 300, 0, 200, 500, 0, 400, 300, 200, 300])
    filled = trend_row([100, 300, 3, 200, 500, 3, 400, 300, 200, 300])
    assert with_gaps.tobytes() == filled.tobytes()


def test_no_bytes_at_all_are_steady() -> None:
    assert trend_row([0] * 12)["trend"] == Trend.STEADY


@pytest.mark.parametrize(
    ("recent", "trend", "slow"),
    [
        (100, Trend.STEADY, False),
        (71, Trend.STEADY, False),
        (70, Trend.SLOWING, False),
        (56, Trend.SLOWING, False),
        (54, Trend.SLOWING, True),
        (141, Trend.STEADY, False),
        (143, Trend.ACCELERATING, False),
    ],
)
def test_the_last_five_minutes_against_those_before(recent: int, trend: Trend, slow: bool) -> None:
    row = trend_row([100] * 25 + [recent] * 5)
    assert (row["trend"], row["slow"]) == (trend, slow)


@pytest.mark.parametrize(("count", "trend"), [(7, Trend.WARMING), (8, Trend.STEADY)])
def test_there_is_a_trend_from_eight_minutes_on(count: int, trend: Trend) -> None:
    assert trend_row([100] * count)["trend"] == trend


@pytest.mark.parametrize("part", [0.98, 1.02])
def test_a_smooth_drift_of_two_percent_a_minute_is_found_with_fifteen_minutes(part: float) -> None:
    drifting = [round(1e9 * part**place) for place in range(15)]
    assert trend_row(drifting[:14])["trend"] == Trend.STEADY
    assert trend_row(drifting)["trend"] == (Trend.SLOWING if part < 1.0 else Trend.ACCELERATING)


@given(st.integers(0, 2**63 - 1), st.integers(0, 59 * US), st.integers(1, 20 * 60 * US))
def test_bytes_are_spread_evenly_over_the_time_between_two_reports(gained: int, offset_us: int, gap_us: int) -> None:
    begin = START // (60 * US) * 60 * US + offset_us
    until = begin + gap_us
    key = series_name(0)
    recorded = RecordedTable(SeriesTable()).fold([Event(key, begin, 0, 0, 0, {"process_trace": ""})])
    recorded.fold([Event(key, until, 0, gained, 0, {"process_trace": ""})])
    for window in recorded.windows[key]:
        share = window["window_start"] + 60 * US - max(window["window_start"], begin)
        assert abs(window["bytes"] - Fraction(gained) * share / gap_us) <= 1 + gained * 2.0**-50


def test_the_eta_of_a_steady_copy_is_what_is_left_over_its_rate() -> None:
    row = copied([1_000] * 61, left_bytes=940_000)
    assert row["eta_s"] == pytest.approx((10**6 - 60_000) / 100.0)
    assert row["eta_low_s"] < row["eta_s"] < row["eta_high_s"]
    wide = math.log(row["eta_high_s"] / row["eta_s"])
    assert wide == pytest.approx(math.log(row["eta_s"] / row["eta_low_s"]))
    # Nothing was wrong so far: what is left of the least variance, 0.05^2, among the blocks that were scored.
    assert 0.0 < wide < 0.05


def test_a_mean_that_foretold_well_outweighs_the_others() -> None:
    """The rate alternates each ten minutes: the plain mean foretells 32 minutes best, the short ones say what is now."""
    left_bytes = 200 * 32 * 60
    row = copied([1_000 if place // 60 % 2 else 3_000 for place in range(60 * 13)], left_bytes)
    short, _, plain = row["eta_rates"]
    errors = row["block_errors"][1]
    assert errors[2] < errors[1] < errors[0]
    rate = left_bytes / row["eta_s"]
    assert short == pytest.approx(300.0, rel=0.02)
    assert abs(math.log(rate / plain)) < abs(math.log(rate / short)) / 5


def copied(gains: list[int], left_bytes: int) -> Any:
    """The row of a copy that gains these bytes, 10 s after 10 s, and has so many bytes left."""
    key, done = series_name(0), np.cumsum([0, *gains[1:]]).tolist()
    begin = START // (60 * US) * 60 * US
    reports = [
        Event(key, begin + place * 10 * US, 1, each, done[-1] + left_bytes, {"process_trace": ""})
        for place, each in enumerate(done)
    ]
    table = RecordedTable(SeriesTable()).fold(reports).table
    return table.rows[table.find([key])[0]]


@given(st.floats(1e-3, 1e6), st.floats(1e-3, 1e6))
def test_blocks_say_most_of_a_time_left_of_their_length(length: float, left: float) -> None:
    assert nearness(length, left) == pytest.approx(nearness(left, length))
    assert 0.0 < nearness(length, left) <= nearness(length, length) == 1.0


def test_a_prior_trusts_a_mean_more_the_longer_it_is() -> None:
    assert prior_variance(1.0, 1e6) == pytest.approx(0.4, abs=1e-3)
    assert prior_variance(100.0, 1.0) == pytest.approx(0.25, abs=1e-3)
    assert prior_variance(1.0, 100.0) > prior_variance(10.0, 100.0) > prior_variance(100.0, 100.0)

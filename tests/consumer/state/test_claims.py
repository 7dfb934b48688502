"""The claims of the design about trend, health and ETA, on simulated copies with fixed seeds and wide bounds."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pytest

from taskstream.consumer.state.series import Rows, Trend
from taskstream.consumer.state.series_table import SeriesTable
from tests.consumer.oracle.simulation import RATE_BPS, START, US, Copies, Shape, simulate

COPIES = 150
BEFORE = 30
"""Minutes of steady copying before something happens."""

Bools = npt.NDArray[np.bool_]


def minute_by_minute(copies: Copies, total: float = 1e15) -> Iterator[Rows]:
    """The rows of all copies, after each minute: reports come every ten seconds."""
    table = SeriesTable()
    count, reports = copies.times_s.shape
    for place in range(reports):
        table.fold(copies.batch(place, total), np.zeros(count, np.int32))
        table.commit()
        if place % 6 == 5:
            yield table.rows[:count].copy()


def minutes_until(seen: Bools) -> npt.NDArray[np.float64]:
    """For each copy how many minutes passed until it was seen; infinite when it never was. seen: [minutes, copies]."""
    return np.where(seen.any(axis=0), seen.argmax(axis=0) + 1.0, np.inf)


def falling_to(part: float) -> Shape:
    return lambda minutes: np.where(minutes < BEFORE, 1.0, part)


def test_a_steady_copy_is_rarely_called_changing_and_almost_never_slow() -> None:
    rows = np.stack(list(minute_by_minute(simulate(1, COPIES, 60))))
    judged = rows[rows["complete_minutes"] >= 8]
    changing = np.isin(judged["trend"], (Trend.SLOWING, Trend.ACCELERATING)).mean()
    assert changing < 0.02  # measured: 0.015
    assert judged["slow"].mean() < 0.005  # measured: 0
    assert (rows[rows["complete_minutes"] < 8]["trend"] == Trend.WARMING).all()


def test_a_halved_rate_is_called_slowing_within_some_minutes() -> None:
    rows = list(minute_by_minute(simulate(2, COPIES, 50, falling_to(0.5))))
    waited = minutes_until(np.stack([each["trend"] == Trend.SLOWING for each in rows[BEFORE:]]))
    assert np.median(waited) <= 6  # measured: 4
    assert (waited <= 10).mean() > 0.75  # measured: 0.8


def test_a_rate_of_a_third_is_called_slow_within_some_minutes() -> None:
    rows = list(minute_by_minute(simulate(2, COPIES, 50, falling_to(1 / 3))))
    waited = minutes_until(np.stack([each["slow"] for each in rows[BEFORE:]]))
    assert np.median(waited) <= 7  # measured: 4
    assert (waited <= 10).mean() > 0.8  # measured: 1


def test_a_noisy_drift_of_three_percent_a_minute_is_sometimes_seen() -> None:
    *_, rows = minute_by_minute(simulate(3, COPIES, 30, lambda minutes: np.exp(-0.03 * minutes)))
    assert (rows["trend"] == Trend.SLOWING).mean() > 0.15  # measured: 0.23


def test_a_doubled_rate_is_called_accelerating_within_some_minutes() -> None:
    rows = list(minute_by_minute(simulate(5, COPIES, 50, falling_to(2.0))))
    waited = minutes_until(np.stack([each["trend"] == Trend.ACCELERATING for each in rows[BEFORE:]]))
    assert (waited <= 10).mean() > 0.8  # measured: 0.99


@pytest.mark.slow
def test_the_interval_of_a_steady_copys_eta_holds_about_its_share() -> None:
    share = share_held(np.ones_like)
    assert 0.65 < share < 0.95  # measured: 0.84


@pytest.mark.slow
def test_the_interval_holds_less_after_a_sudden_change_and_with_a_drift_but_not_nothing() -> None:
    assert share_held(lambda minutes: np.where(minutes < 20, 1.0, 0.6)) > 0.45  # measured: 0.65
    assert share_held(lambda minutes: np.exp(-0.01 * minutes)) > 0.40  # measured: 0.65


def share_held(shape: Shape) -> float:
    """How often the time that was really left lay within the interval, each minute from the tenth on."""
    total = RATE_BPS * 60 * 40
    copies = simulate(4, COPIES, 90, shape)
    ends_s = np.array([np.interp(total, *pair) for pair in zip(copies.bytes_done, copies.times_s, strict=True)])
    held, asked = 0, 0
    for rows in minute_by_minute(copies, total):
        heard_s = (rows["last_seen"] - START) / US
        left_s = ends_s - heard_s
        known = ~np.isnan(rows["eta_low_s"]) & (left_s > 0.0) & (heard_s > 600.0)
        within = (rows["eta_low_s"] <= left_s) & (left_s <= rows["eta_high_s"])
        asked += int(known.sum())
        held += int((known & within).sum())
    return held / asked

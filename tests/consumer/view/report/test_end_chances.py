"""The probability that a task has ended by a time, and how many of a group have: by hand, and against the exact sum."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskstream.consumer.view.report.end_chances import QUANTILE_90, count_ranges, end_chances


def chance(within_s: float, middle_s: float, low_s: float, high_s: float) -> float:
    columns = (np.array([each], float) for each in (within_s, middle_s, low_s, high_s))
    return float(end_chances(*columns)[0])


def test_the_median_and_both_bounds_have_their_probabilities() -> None:
    assert chance(600.0, 600.0, 500.0, 720.0) == pytest.approx(0.5)
    assert chance(500.0, 600.0, 500.0, 720.0) == pytest.approx(0.1)
    assert chance(720.0, 600.0, 500.0, 720.0) == pytest.approx(0.9)


def test_an_end_far_within_and_far_beyond_its_interval_is_nearly_sure() -> None:
    """Twice the logarithm is 2 * 1.2816 deviations: a table of the normal distribution has 0.9948 for 2.563."""
    assert chance(600.0 * 1.44, 600.0, 500.0, 720.0) == pytest.approx(0.9948, abs=1e-4)
    assert chance(600.0 / 1.44, 600.0, 500.0, 720.0) == pytest.approx(0.0052, abs=1e-4)


def test_an_end_without_bounds_has_no_probability() -> None:
    assert math.isnan(chance(600.0, math.nan, math.nan, math.nan))
    assert math.isnan(chance(600.0, 500.0, 400.0, math.nan))


def test_an_end_without_a_width_is_a_step() -> None:
    assert [chance(each, 600.0, 600.0, 600.0) for each in (599.0, 600.0, 601.0)] == [0.0, 0.5, 1.0]


@given(
    st.floats(1.0, 1e6),
    st.floats(1.0, 3.0),
    st.floats(1.0, 3.0),
    st.lists(st.floats(1.0, 1e7), min_size=2, max_size=20),
)
def test_a_later_time_is_never_less_probable(middle: float, below: float, above: float, times: list[float]) -> None:
    within = np.sort(np.array(times))
    middles = np.full(within.shape, middle)
    found = end_chances(within, middles, middles / below, middles * above)
    assert np.all((found >= 0.0) & (found <= 1.0))
    assert np.all(np.diff(found) >= -1e-12)


def test_a_count_by_hand() -> None:
    """Four tasks at one half: the mean is 2, the deviation 1: from 2 - 1.28 - 0.5 = 0.22 to 2 + 1.28 + 0.5 = 3.78."""
    chances = np.array([0.5, 0.5, 0.5, 0.5, np.nan, 1.0, 0.0])
    found = count_ranges(chances, np.array([0, 0, 0, 0, 0, 1, 1]), np.array([3, 0, 2]))
    assert found.expected.tolist() == pytest.approx([3 + 2.0, 1.0, 2.0])
    assert (found.low.tolist(), found.high.tolist()) == ([3 + 1, 1, 2], [3 + 3, 1, 2])


def test_what_is_not_known_counts_as_not_ended() -> None:
    found = count_ranges(np.array([np.nan, np.nan]), np.array([0, 0]), np.array([5]))
    assert (found.expected.tolist(), found.low.tolist(), found.high.tolist()) == ([5.0], [5], [5])


def exact(chances: list[float]) -> np.ndarray:
    """[count] its probability, by adding one task after the other (Poisson's binomial distribution)."""
    found = np.array([1.0])
    for p in chances:
        found = np.append(found * (1.0 - p), 0.0) + np.append(0.0, found * p)
    return found


@given(st.lists(st.floats(0.0, 1.0), min_size=1, max_size=60))
def test_the_interval_holds_about_four_fifths_of_the_exact_distribution(chances: list[float]) -> None:
    found = count_ranges(np.array(chances), np.zeros(len(chances), int), np.zeros(1, int))
    low, high = int(found.low[0]), int(found.high[0])
    distribution = exact(chances)
    assert 0 <= low <= round(found.expected[0]) <= high <= len(chances)
    assert distribution[low : high + 1].sum() >= 0.8 - 0.02


def test_a_thousand_tasks_have_the_interval_of_a_normal_distribution() -> None:
    """A thousand at 0.9: mean 900, deviation 9.487, so 1.2816 of them and a half are 12.66."""
    found = count_ranges(np.full(1_000, 0.9), np.zeros(1_000, int), np.zeros(1, int))
    assert (found.low.tolist(), found.high.tolist()) == ([888], [912])
    assert math.erf(QUANTILE_90 / math.sqrt(2.0)) == pytest.approx(0.8)

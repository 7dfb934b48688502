"""The Kaplan-Meier estimate: against its definition, and against durations of which the slow ones still run."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskstream.consumer.state.forecast.survival import survival


@given(st.lists(st.tuples(st.integers(0, 50), st.booleans()), max_size=30))
def test_the_parts_are_those_of_the_definition(spans: list[tuple[int, bool]]) -> None:
    found = survival(np.array([each for each, _ in spans], float), np.array([ended for _, ended in spans], bool))
    expected: dict[float, float] = {}
    part = 1.0
    for time in sorted({each for each, ended in spans if ended}):
        at_risk = sum(each >= time for each, _ in spans)
        part *= 1.0 - sum(each == time and ended for each, ended in spans) / at_risk
        expected[time] = part
    last = dict(zip(found.times_s.tolist(), found.parts.tolist(), strict=True))
    assert last.keys() == expected.keys()
    assert [last[time] for time in expected] == pytest.approx(list(expected.values()), abs=1e-12)


def test_what_still_runs_keeps_the_estimate_from_the_quick_ones() -> None:
    dice = np.random.default_rng(5)
    durations = dice.gamma(4.0, 1_000.0, 400)
    begun = dice.uniform(0.0, 4_000.0, 400)  # the fleet began over an hour, and it is now 4,000 s
    ended = begun + durations <= 4_000.0
    so_far = np.where(ended, durations, 4_000.0 - begun)
    quick = float(np.median(durations[ended]))
    found = survival(so_far, ended).left_s(0.3)
    truth = float(np.quantile(durations, 0.3))
    assert found is not None
    assert abs(found - truth) < abs(float(np.quantile(durations[ended], 0.3)) - truth) / 3
    assert quick < float(np.median(durations)) * 0.8


def test_what_is_left_depends_on_how_long_it_has_lasted() -> None:
    found = survival(np.arange(1.0, 11.0), np.ones(10, bool))
    assert found.left_s(0.5) == 5.0
    assert found.left_s(0.5, lasted_s=6.0) == 2.0
    assert found.left_s(0.5, lasted_s=10.0) is None


def test_it_says_nothing_beyond_what_has_ended() -> None:
    found = survival(np.array([1.0, 2.0, 50.0, 50.0, 50.0]), np.array([True, True, False, False, False]))
    assert found.left_s(0.3) == 2.0
    assert found.left_s(0.5) is None
    assert survival(np.zeros(0), np.zeros(0, bool)).left_s(0.5) is None


@given(
    st.lists(st.tuples(st.integers(0, 50), st.booleans()), max_size=30),
    st.sampled_from([0.1, 0.5, 0.9]),
    st.lists(st.integers(0, 60), min_size=1, max_size=5),
)
def test_many_at_once_are_each_as_one(spans: list[tuple[int, bool]], part: float, lasted: list[int]) -> None:
    found = survival(np.array([each for each, _ in spans], float), np.array([ended for _, ended in spans], bool))
    one_by_one = [found.left_s(part, float(each)) for each in lasted]
    at_once = found.each_left_s(part, np.array(lasted, float)).tolist()
    assert [None if np.isnan(each) else each for each in at_once] == one_by_one


def test_the_part_that_ends_within_a_time_by_hand() -> None:
    """Of four, one ends at 10, 20, 30 and 40: of the three that lasted 15, two end within 15 to 20 more."""
    found = survival(np.array([10.0, 20.0, 30.0, 40.0]), np.ones(4, bool))
    parts = found.ended_within(np.array([15.0, 4.0, 100.0, 5.0]), np.array([15.0, 15.0, 15.0, 40.0]))
    assert parts[:3].tolist() == pytest.approx([2 / 3, 0.0, 1.0])
    assert np.isnan(parts[3])

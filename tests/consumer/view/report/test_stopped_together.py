"""Which tasks stopped within the same minutes: more than is usual in the hours around."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskstream.consumer.view.report.stopped_together import WINDOW_US, stopped_together

MIN = 60_000_000
NOW = 10_000 * MIN


def groups(*minutes_ago: float) -> list[list[float]]:
    """The groups, each by how many minutes ago its tasks stopped."""
    found = stopped_together(np.array([NOW - round(each * MIN) for each in minutes_ago], np.int64), NOW)
    return [[minutes_ago[place] for place in each.members.tolist()] for each in found]


def test_three_that_stop_within_five_minutes_are_a_group_and_two_are_not():
    assert groups(200, 203, 205, 20) == [[205, 203, 200]]
    assert groups(200, 203, 206, 20) == []


def test_the_usual_number_is_that_of_the_hours_around():
    """Two stops lie in the hour before and the hour after: (2 + 1) 5 / 120."""
    since = [NOW - each * MIN for each in (300, 301, 302, 340, 250, 100)]
    (found,) = stopped_together(np.array(since), NOW)
    assert found.expected == pytest.approx(3 * 5 / 120)


def test_the_hour_after_counts_as_far_as_it_has_passed():
    """The window ends 25 minutes ago: (0 + 1) 5 / 85."""
    (found,) = stopped_together(np.array([NOW - each * MIN for each in (30, 29, 28)]), NOW)
    assert found.expected == pytest.approx(5 / 85)


def test_stops_that_come_one_by_one_all_night_are_no_group():
    """One a minute: five or six are in each window, and as many are usual."""
    assert groups(*range(240)) == []


def test_the_largest_group_is_first_and_no_task_is_in_two():
    found = groups(500, 501, 502, 503, 900, 901, 902)
    assert found == [[503, 502, 501, 500], [902, 901, 900]]


def test_none_is_fine():
    assert stopped_together(np.zeros(0, np.int64), NOW) == []


@given(st.lists(st.integers(0, 600 * 60), max_size=60))
def test_a_group_has_three_tasks_within_its_window_and_nobody_twice(seconds_ago: list[int]):
    since = np.array([NOW - each * 1_000_000 for each in seconds_ago], np.int64)
    found = stopped_together(since, NOW)
    members = [place for each in found for place in each.members.tolist()]
    assert len(members) == len(set(members))
    for each in found:
        times = since[each.members]
        assert times.shape[0] >= 3
        assert np.all(np.diff(times) >= 0)
        assert times[-1] - times[0] <= WINDOW_US
        assert times.shape[0] > 3 * each.expected

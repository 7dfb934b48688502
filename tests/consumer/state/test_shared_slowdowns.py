"""Which groups slowed down together, against the definition in plain Python: each group, each window, one by one."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from taskstream.consumer.state.slowdowns.shared_slowdown import Grouping, chance_of, shared_slowdowns

Fall = tuple[int, int, int]
"""Minute, project, subtask."""
LIMIT = 0.5 / 6_000


def groupings(falls: list[Fall], moving: list[list[float]], past: list[list[float]]) -> list[Grouping]:
    """moving: of the fleet, of projects, of subtasks. past: falls; each task was watched for 60 minutes."""
    columns = np.array([(0, *each[1:]) for each in falls], np.int64).reshape(-1, 3)
    return [
        Grouping(columns[:, at], np.array(moving[at]), np.array(past[at]), 60.0 * np.array(moving[at]))
        for at in range(3)
    ]


def tail(falls: int, shape: float, task_minutes: float, watched: float) -> float:
    """The probability of at least so many falls: one minus that of each smaller number."""
    part = watched / (watched + task_minutes)
    below = 0.0
    for count in range(falls):
        below += math.exp(
            math.lgamma(shape + count) - math.lgamma(shape) - math.lgamma(count + 1)
            + count * math.log(part) + shape * math.log(1.0 - part)
        )  # fmt: skip
    return 1.0 - below


def expected_findings(
    falls: list[Fall], moving: list[list[float]], past: list[list[float]]
) -> list[tuple[int, int, int, list[int]]]:
    """(grouping, group, minute, members) of each finding, by the definition."""
    tests = sum(1 for each in moving for tasks in each if tasks >= 3)
    left = list(range(len(falls)))
    found = []

    def group_of(fall: int, grouping: int) -> int:
        return (0, *falls[fall][1:])[grouping]

    def within(grouping: int, group: int, minute: int) -> list[int]:
        return [
            each for each in left if group_of(each, grouping) == group and minute <= falls[each][0] < minute + 3
        ]  # fmt: skip

    def background(grouping: int, group: int, minute: int) -> tuple[float, float]:
        far = [
            each for each in left
            if group_of(each, grouping) == group and not minute - 3 <= falls[each][0] < minute + 6
        ]  # fmt: skip
        watched = max(51.0 * moving[grouping][group], 0.0)
        if grouping == 0:
            return 4.0 + past[0][0] + len(far), 1_000.0 + watched
        fleet = background(0, 0, minute)
        return 2.0 + past[grouping][group] + len(far), 2.0 * fleet[1] / fleet[0] + watched

    while left:
        candidates = []
        for grouping in range(3):
            for group in range(len(moving[grouping])):
                windows = range(min(falls[each][0] for each in left) - 2, max(falls[e][0] for e in left) + 1)
                most = max(windows, key=lambda minute: len(within(grouping, group, minute)))
                for minute in [most]:
                    members = within(grouping, group, minute)
                    if len(members) < 3:
                        continue
                    shape, task_minutes = background(grouping, group, minute)
                    sure = min(1.0, 10.0 / shape)
                    shape, task_minutes = sure * shape, sure * task_minutes
                    watched = 3.0 * max(moving[grouping][group], len(members))
                    chance = tail(len(members), shape, task_minutes, watched)
                    if len(members) > 3.0 * shape * watched / task_minutes and chance <= LIMIT / tests:
                        candidates.append((chance, grouping, group, minute, members))
        if not candidates:
            return found
        _, grouping, group, minute, members = min(candidates, key=lambda each: each[0])
        found.append((grouping, group, minute, members))
        left = [
            each for each in left
            if not (group_of(each, grouping) == group and minute - 3 <= falls[each][0] < minute + 6)
        ]  # fmt: skip
    return found


scattered = st.lists(st.tuples(st.integers(0, 29), st.integers(0, 2), st.integers(0, 1)), max_size=12)
together = st.builds(
    lambda minute, project, subtasks: [(minute, project, each) for each in subtasks],
    st.integers(0, 29), st.integers(0, 2), st.lists(st.integers(0, 1), max_size=12),
)  # fmt: skip


@given(scattered, together, together)
def test_the_findings_are_those_of_the_definition(some: list[Fall], more: list[Fall], others: list[Fall]) -> None:
    falls = some + more + others
    moving, past = [[40.0], [20.0, 15.0, 5.0], [30.0, 10.0]], [[6.0], [5.0, 1.0, 0.0], [2.0, 4.0]]
    found = shared_slowdowns(
        np.array([each[0] for each in falls], np.int64), groupings(falls, moving, past)
    )  # fmt: skip
    expected = expected_findings(falls, moving, past)
    # a tail near the rounding of the definition's "one minus" may order otherwise: only clear cases are compared
    if all(each.chance > 1e-11 for each in found):
        assert [(each.grouping, each.group, each.minute, each.members.tolist()) for each in found] == expected
    else:
        assert len(found) >= min(len(expected), 1)


@example(1, 41.0, 10.0, 4224.0)
@given(st.integers(1, 40), st.floats(0.5, 50.0), st.floats(10.0, 1e5), st.floats(1.0, 1e4))
def test_the_chance_is_one_minus_that_of_all_smaller_numbers(
    more: int, shape: float, task_minutes: float, watched: float
) -> None:
    falls = more + math.ceil(3.0 * shape * watched / task_minutes)
    expected, chance = chance_of(falls, shape, task_minutes, watched)
    assert expected == pytest.approx(shape * watched / task_minutes)
    rounding = 1e-11 + falls * 1e-15  # of the definition's sum, whose terms are as many as falls
    assert chance == pytest.approx(tail(falls, shape, task_minutes, watched), rel=1e-6, abs=rounding)


def test_eleven_of_a_project_and_one_of_another_name_the_project() -> None:
    falls = [(14, 0, 0)] * 11 + [(15, 1, 0)]
    moving = [[60.0], [15.0, 45.0], [40.0, 20.0]]
    (found,) = shared_slowdowns(
        np.array([each[0] for each in falls]), groupings(falls, moving, [[4.0], [1.0, 3.0], [2.0, 2.0]])
    )
    assert (found.grouping, found.group, found.members.tolist()) == (1, 0, list(range(11)))
    assert found.minute <= 14 < found.minute + 3


def test_a_kind_of_subtask_is_named_when_tasks_of_all_projects_slow_down_in_it() -> None:
    falls = [(14, each % 5, 1) for each in range(15)]
    moving = [[100.0], [20.0] * 5, [80.0, 20.0]]
    (found,) = shared_slowdowns(np.full(15, 14), groupings(falls, moving, [[4.0], [1.0] * 5, [2.0, 2.0]]))
    assert (found.grouping, found.group) == (2, 1)


def test_falls_that_come_one_by_one_are_nothing() -> None:
    falls = [(minute, minute % 3, 0) for minute in range(0, 30, 2)]
    moving = [[60.0], [20.0] * 3, [40.0, 20.0]]
    minutes = np.array([each[0] for each in falls])
    assert shared_slowdowns(minutes, groupings(falls, moving, [[4.0], [1.0] * 3, [2.0, 2.0]])) == []
    assert shared_slowdowns(minutes[:0], groupings([], moving, [[4.0], [1.0] * 3, [2.0, 2.0]])) == []

"""Which groups of tasks slowed down together: more rates fell within three minutes than chance gives. Pure.

A group is the fleet, a project, or a kind of subtask. Falls that have no common cause come one by one, at the rate at
which they came before: their number in a window has a known distribution, and a number far above it has a cause.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

WINDOW_MINUTES: Final = 3
"""A minute is one bucket."""
NEAR_MINUTES: Final = 3
"""Falls so close before or after a window may be of the same cause: they are no background."""
LEAST_TASKS: Final = 3
LEAST_RATIO: Final = 3.0
"""How many times the expected number of falls a finding has at least."""
FALSE_PER_MINUTE: Final = 0.5 / 6_000
"""The probability of a false finding per minute of a fleet: one in 200 hours."""
PRIOR_FALLS: Final = 4.0
PRIOR_TASK_MINUTES: Final = 1_000.0
"""What is known of a fleet before it was seen: four falls per 1,000 minutes of a task."""
ALIKE: Final = 2.0
"""How alike the groups of a fleet are before they were seen: the shape of the gamma distribution of their rates."""

MOST_FOUND: Final = 20
"""How many findings a call gives: a bound for its time."""
MOST_SHAPE: Final = 10.0
"""How sure a rate can be: the falls of a whole fleet come a third more or less often from one hour to the next."""


@dataclass(frozen=True, slots=True)
class Grouping:
    """The groups of one kind. Groups are numbered; all arrays but `of_falls` are [group]."""

    of_falls: Ints
    """[falls] the group of the task whose rate fell."""
    moving: Floats
    """How many tasks are watched: those whose rates can be found to fall."""
    past_falls: Floats
    """Falls of former minutes, which are not among the falls that are tested."""
    task_minutes: Floats
    """For how many minutes, times tasks, the falls of both were watched for."""


@dataclass(frozen=True, slots=True)
class SharedSlowdown:
    """One finding."""

    grouping: int
    """The index of the grouping, and in it the number of the group."""
    group: int
    minute: int
    """The first minute of the window."""
    members: Ints
    """The indices of the falls."""
    expected: float
    """How many falls chance gives in the window."""
    chance: float
    """The probability of so many or more by chance."""


def shared_slowdowns(minutes: Ints, groupings: Sequence[Grouping]) -> list[SharedSlowdown]:
    """The findings among these falls, the least probable by chance first.

    minutes: [falls] a number of minutes; a task has at most one fall within ten minutes. groupings: the first has the
    whole fleet as its only group.

    Every group is tested in its window of three minutes with the most falls, the first of these. The number of falls of
    a group has a Poisson distribution whose rate is not known, so that the number is negative binomial (`chance_of`):
    the rate has a gamma distribution with the fleet's mean and the shape `ALIKE` before the group was seen, and is
    learnt from its falls outside of the window, up to the shape `MOST_SHAPE`. Tasks with different rates make the sum
    of their falls vary less than that, not more (W. Hoeffding, "On the distribution of the number of successes in
    independent trials", 1956). The probability of any false finding in a minute is the limit `FALSE_PER_MINUTE`,
    divided by the number of groups
    (Bonferroni); every minute begins a window, and overlapping ones count as if they were apart. The falls of a finding
    are taken out, and the rest is tested again, for at most `MOST_FOUND` findings.
    """
    tests = sum(int(np.count_nonzero(each.moving >= LEAST_TASKS)) for each in groupings)
    left = np.ones(minutes.shape[0], np.bool_)
    found: list[SharedSlowdown] = []
    while tests and len(found) < MOST_FOUND and int(np.count_nonzero(left)) >= LEAST_TASKS:
        best = _least_probable(minutes, groupings, left, FALSE_PER_MINUTE / tests)
        if best is None:
            break
        found.append(best)
        near = (minutes >= best.minute - NEAR_MINUTES) & (minutes < best.minute + WINDOW_MINUTES + NEAR_MINUTES)
        left &= ~(near & (groupings[best.grouping].of_falls == best.group))
    return found


def chance_of(falls: int, shape: float, task_minutes: float, watched: float) -> tuple[float, float]:
    """The expected number of falls in `watched` task-minutes, and the probability of `falls` or more.

    falls: above the expected number, so that the terms of the sum decrease.

    The rate has a gamma distribution: `shape` falls were seen in `task_minutes`. Source: A. Gelman et al., "Bayesian
    Data Analysis" (2013), section 2.6: the predictive distribution is negative binomial.
    """
    part = watched / (watched + task_minutes)
    log_term = math.lgamma(shape + falls) - math.lgamma(shape) - math.lgamma(falls + 1)
    term = math.exp(log_term + falls * math.log(part) + shape * math.log1p(-part))
    chance = 0.0
    while term > chance * 1e-12:
        chance += term
        term *= (shape + falls) / (falls + 1) * part
        falls += 1
    return shape * watched / task_minutes, min(chance, 1.0)


def _least_probable(minutes: Ints, groupings: Sequence[Grouping], left: Flags, limit: float) -> SharedSlowdown | None:
    places = np.flatnonzero(left)
    first = int(minutes[places].min()) - WINDOW_MINUTES + 1
    at = minutes[places] - first
    of_fleet = _counts(np.zeros(places.shape[0], np.int64), at, 1)[0]
    best: SharedSlowdown | None = None
    for number, grouping in enumerate(groupings):
        groups, of_falls = np.unique(grouping.of_falls[places], return_inverse=True)
        counts = _counts(of_falls, at, groups.shape[0])
        windows = np.lib.stride_tricks.sliding_window_view(counts, WINDOW_MINUTES, axis=1).sum(axis=2)
        begins = windows.argmax(axis=1)
        for row in np.flatnonzero(windows.max(axis=1) >= LEAST_TASKS).tolist():
            begin, group = int(begins[row]), int(groups[row])
            falls = int(windows[row, begin])
            shape, task_minutes = _background(groupings[0], 0, of_fleet, begin, PRIOR_FALLS, PRIOR_TASK_MINUTES)
            if number > 0:
                rate = shape / task_minutes
                shape, task_minutes = _background(grouping, group, counts[row], begin, ALIKE, ALIKE / rate)
            sure = min(1.0, MOST_SHAPE / shape)
            shape, task_minutes = sure * shape, sure * task_minutes
            watched = WINDOW_MINUTES * max(float(grouping.moving[group]), float(falls))
            if falls <= LEAST_RATIO * shape * watched / task_minutes:
                continue
            expected, chance = chance_of(falls, shape, task_minutes, watched)
            if chance <= limit and (best is None or chance < best.chance):
                minute = first + begin
                within = (grouping.of_falls == group) & left
                within &= (minutes >= minute) & (minutes < minute + WINDOW_MINUTES)
                best = SharedSlowdown(number, group, minute, np.flatnonzero(within), expected, chance)
    return best


def _counts(groups: Ints, at: Ints, size: int) -> Ints:
    """[group, minute] How many falls, with the room for a window after the last minute."""
    counts = np.zeros((size, int(at.max()) + WINDOW_MINUTES), np.int64)
    np.add.at(counts, (groups, at), 1)
    return counts


def _background(
    grouping: Grouping, group: int, counts: Ints, begin: int, prior_falls: float, prior_task_minutes: float
) -> tuple[float, float]:
    """The falls of a group outside of the minutes near a window, and the task-minutes of these, with those before."""
    near = counts[max(begin - NEAR_MINUTES, 0) : begin + WINDOW_MINUTES + NEAR_MINUTES]
    outside = grouping.past_falls[group] + float(counts.sum() - near.sum())
    near_minutes = (WINDOW_MINUTES + 2 * NEAR_MINUTES) * grouping.moving[group]
    return prior_falls + outside, prior_task_minutes + max(grouping.task_minutes[group] - near_minutes, 0.0)

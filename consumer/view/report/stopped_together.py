"""Which of the tasks that stand still stopped within the same few minutes. Pure.

Tasks whose rates fell together while reports arrive are found by `shared_slowdowns`, with the probability of chance.
An agent that falls silent has no such fall: its minutes are never closed. This finds what stopped at once. It is a
comparison with the minutes around, and no test: the reader judges whether the tasks share a network, storage or host.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]

WINDOW_US: Final = 300_000_000
"""Five minutes."""
AROUND_US: Final = 3_600_000_000
"""An hour before the window and one after it tell how many stops are usual."""
LEAST_TASKS: Final = 3
LEAST_RATIO: Final = 3.0
"""How many times the usual number of stops a group has at least."""
MOST_GROUPS: Final = 5


@dataclass(frozen=True, slots=True)
class SharedStop:
    """Tasks that stopped together."""

    members: Ints
    """The indices of the tasks, in the order of their stops."""
    expected: float
    """How many stops are usual in five minutes of the hours around."""


def stopped_together(since_us: Ints, now_us: int) -> list[SharedStop]:
    """The groups of tasks that stopped together, the largest first, at most `MOST_GROUPS`.

    since_us: [task] since when it stands still, microseconds since 1970, at most `now_us`.

    A group is a window of five minutes with at least three stops, and with more than three times the usual number: that
    is (n + 1) 5 / m, where n stops lie in the m minutes of the hour before the window and of the hour after it, as far
    as that has passed. Tasks that moved on since are not known here. The largest group is taken out, and the rest is
    searched again.
    """
    order: Ints = np.argsort(since_us, kind="stable")
    found: list[SharedStop] = []
    while len(found) < MOST_GROUPS and order.shape[0] >= LEAST_TASKS:
        times = since_us[order]
        places = np.arange(order.shape[0])
        ends = np.searchsorted(times, times + WINDOW_US, side="right")
        before = places - np.searchsorted(times, times - AROUND_US)
        after = np.searchsorted(times, times + WINDOW_US + AROUND_US, side="right") - ends
        around_us = AROUND_US + np.clip(now_us - times - WINDOW_US, 0, AROUND_US)
        expected = (before + after + 1) * WINDOW_US / around_us
        counts = ends - places
        counts[(counts < LEAST_TASKS) | (counts <= LEAST_RATIO * expected)] = 0
        begin = int(np.argmax(counts))
        if counts[begin] == 0:
            break
        group = np.arange(begin, int(ends[begin]))
        found.append(SharedStop(order[group], float(expected[begin])))
        order = np.delete(order, group)
    return found

"""Which reports of new tasks are refused, because their project has as many live tasks in their partition as its limit.

A task is live while the table has a series of it. A decision depends on the rows and on the reports before it alone, so
any split of a stream decides alike. No clock, no I/O.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

import numpy as np
import numpy.typing as npt

Place = tuple[str, int]
"""A project and a partition."""


def tasks_per_partition(per_project: int, partitions: int) -> int:
    """The limit of a project in each of so many partitions, because a worker knows only its own; 0: no limit.

    Keys spread over partitions like a Poisson variable of the mean m = per_project / partitions. The limit is
    m + 6 sqrt(m) + 10, and at most `per_project`: a project within its limit exceeds it in less than one of 10^8
    partitions.
    """
    mean = per_project / partitions
    return min(per_project, math.ceil(mean + 6 * math.sqrt(mean) + 10))


class TaskLimit:
    """Counts the series of each project and partition; the tasks only where there are as many series as `limit`.

    `keys_of` gives the keys of the table's series of a project and a partition.
    """

    def __init__(self, limit: int, keys_of: Callable[[str, int], Iterable[str]]) -> None:
        self.limit = limit
        self._keys_of = keys_of
        self._series: Counter[Place] = Counter()
        self._tasks: dict[Place, Counter[str]] = {}
        """[place] the series of each task, where the place has at least `limit` series."""

    def admit(self, keys: Sequence[str], partitions: Sequence[int]) -> npt.NDArray[np.bool_]:
        """[keys] Whether each of these new series, in the order of their first reports, is admitted, and thus counted.

        An admitted series must be in the table before the next call.
        """
        admitted = np.ones(len(keys), np.bool_)
        for index, (key, partition) in enumerate(zip(keys, partitions, strict=True)):
            place = (_project_of(key), partition)
            if self._series[place] >= self.limit:
                if place not in self._tasks:  # none of the keys before was refused here
                    same = (k for k, p in zip(keys[:index], partitions, strict=False) if (_project_of(k), p) == place)
                    self._count_tasks(place, same)
                if not self._has_room(place, key):
                    admitted[index] = False
                    continue
            self._add(place, key)
        return admitted

    def is_refused(self, key: str, partition: int) -> bool:
        """Whether a new series of this key would be refused."""
        place = (_project_of(key), partition)
        if self._series[place] < self.limit:
            return False
        if place not in self._tasks:
            self._count_tasks(place)
        return not self._has_room(place, key)

    def add(self, key: str, partition: int) -> None:
        """Count a series that the table holds, whatever the limit."""
        self._add((_project_of(key), partition), key)

    def remove(self, key: str, partition: int) -> None:
        """The series leaves the table."""
        place = (_project_of(key), partition)
        self._series[place] -= 1
        if self._series[place] < self.limit:
            self._tasks.pop(place, None)
        if not self._series[place]:
            del self._series[place]
        if place in self._tasks:
            task = _task_of(key)
            self._tasks[place][task] -= 1
            if not self._tasks[place][task]:
                del self._tasks[place][task]

    def _add(self, place: Place, key: str) -> None:
        self._series[place] += 1
        if place in self._tasks:
            self._tasks[place][_task_of(key)] += 1

    def _count_tasks(self, place: Place, more: Iterable[str] = ()) -> None:
        tasks = Counter(map(_task_of, self._keys_of(*place)))
        tasks.update(map(_task_of, more))
        self._tasks[place] = tasks

    def _has_room(self, place: Place, key: str) -> bool:
        tasks = self._tasks[place]
        return len(tasks) < self.limit or _task_of(key) in tasks


def _project_of(key: str) -> str:
    return key.partition("/")[0]


def _task_of(key: str) -> str:
    return key.rpartition("/")[0]

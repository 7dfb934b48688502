"""How many tasks of each project are live, approximately: each process counts those whose reports it has seen.

The workers count exactly, see `consumer/state/tasks/task_limit.py`. It reads no clock.
"""

from __future__ import annotations

from collections import Counter
from typing import Final

GENERATION_S: Final = 3.5 * 86_400.0
REMEMBERED: Final = 1_000_000
"""Tasks of all projects, 46 bytes each (`make bench ARGS=memory`)."""


class LiveTasks:
    """The tasks seen in the current generation of GENERATION_S and in the one before.

    So a task is live until it has sent no report for one to two generations. Beyond REMEMBERED tasks a generation ends
    early. A task is remembered as the hash of its key, which Python seeds at random in each process.
    """

    def __init__(self, per_project: int, generation_s: float = GENERATION_S, remembered: int = REMEMBERED) -> None:
        self._per_project = per_project
        self._generation_s = generation_s
        self._remembered = remembered
        self._current: set[int] = set()
        self._previous: set[int] = set()
        self._current_of: Counter[str] = Counter()
        self._previous_of: Counter[str] = Counter()
        self._began_s: float | None = None

    def is_current(self, key: str) -> bool:
        """Whether this key of project and task was admitted in the current generation, or nothing is limited."""
        return hash(key) in self._current or not self._per_project

    def admit(self, project_id: str, key: str, now_s: float) -> bool:
        """Whether the task may report: it was seen before, or its project has fewer live tasks than its limit."""
        if self.is_current(key):
            return True
        self._end_generation(now_s)
        task = hash(key)
        if task in self._previous:
            self._previous.remove(task)
            self._previous_of[project_id] -= 1
        elif self._current_of[project_id] + self._previous_of[project_id] >= self._per_project:
            return False
        self._current.add(task)
        self._current_of[project_id] += 1
        return True

    def _end_generation(self, now_s: float) -> None:
        """Begin a new generation if this one is old or full."""
        if self._began_s is None:
            self._began_s = now_s
        idle_s = now_s - self._began_s
        if idle_s < self._generation_s and len(self._current) + len(self._previous) < self._remembered:
            return
        outdated = idle_s >= 2 * self._generation_s  # nothing was admitted in the whole generation between
        self._previous, self._previous_of = (set(), Counter()) if outdated else (self._current, self._current_of)
        self._current, self._current_of = set(), Counter()
        self._began_s = now_s

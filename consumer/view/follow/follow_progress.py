"""How far a topic was followed: positions, ends, and the current problem. It knows no Kafka and no records."""

from __future__ import annotations

import time
from collections.abc import Callable


class FollowProgress:
    """How far a topic was followed. Offsets count records and control records alike. `clock`: monotonic seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._current_at_s = clock()
        self.positions: dict[int, int] = {}
        self.goals: dict[int, int] = {}
        """[partition] The end for read_committed when following began."""
        self.ends: dict[int, int] = {}
        """[partition] The latest known end for read_committed."""
        self.caught_up = False
        """Whether the end when following began has been reached once."""
        self.unfit: str | None = None
        """What is wrong with the topic itself; None: nothing."""
        self.restarts = 0
        """How often the topic was another one, which is read from its beginning: nothing read before counts."""
        self._problem: str | None = "not connected to Kafka yet"
        self.unreadable = 0
        """How many records were left out: not decodable, outside of their bounds, or under a foreign key."""

    @property
    def problem(self) -> str | None:
        """Why no records are read or decoded at the moment, or what is wrong with the topic; None: nothing."""
        return self.unfit or self._problem

    @problem.setter
    def problem(self, problem: str | None) -> None:
        self._problem = problem

    @property
    def records_behind(self) -> int:
        """Offsets between the positions and the latest known ends."""
        return sum(max(0, end - self.positions.get(part, 0)) for part, end in self.ends.items())

    @property
    def lag_s(self) -> float:
        """Seconds since everything up to the ends was read last; 0 while it is."""
        return 0.0 if self._is_current() else self._clock() - self._current_at_s

    def begin(self, first: dict[int, int], ends: dict[int, int]) -> None:
        """Set the first positions, and the ends, by partition."""
        self.positions = dict(first)
        self.goals = dict(ends)
        self.ends = dict(ends)
        self.problem = None

    def restart(self, why: str) -> None:
        """The topic is another one: forget how far it was followed, until `begin`."""
        self.positions, self.goals, self.ends = {}, {}, {}
        self.caught_up = False
        self.restarts += 1
        self.problem = why

    def update(self) -> None:
        """Update `caught_up` and `lag_s`; call it after each batch."""
        if not self.caught_up and self.goals:
            self.caught_up = all(self.positions.get(part, 0) >= goal for part, goal in self.goals.items())
        if self._is_current():
            self._current_at_s = self._clock()

    def _is_current(self) -> bool:
        return self.caught_up and self.problem is None and self.records_behind == 0

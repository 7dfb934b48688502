"""How far a topic was followed: positions, ends, what is in the way. It is told, and knows no Kafka and no records."""

from __future__ import annotations

import time
from collections.abc import Callable


class FollowProgress:
    """How far the topic was followed. Offsets count records and Kafka's own marks alike."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._current_at_s = clock()
        self.positions: dict[int, int] = {}
        self.goals: dict[int, int] = {}
        """[partition] The end for read_committed as it was when following began."""
        self.ends: dict[int, int] = {}
        """[partition] The same, as it was told last."""
        self.caught_up = False
        """Whether the end as it was when following began has been reached once."""
        self.problem: str | None = "not connected to Kafka yet"
        self.unreadable = 0
        """Records that could not be read, and were left out."""

    @property
    def records_behind(self) -> int:
        """Offsets between the position and the end that was told last."""
        return sum(max(0, end - self.positions.get(part, 0)) for part, end in self.ends.items())

    @property
    def lag_s(self) -> float:
        """Seconds since what is held was known to be all there is; 0 while it is."""
        return 0.0 if self._is_current() else self._clock() - self._current_at_s

    def begin(self, first: dict[int, int], ends: dict[int, int]) -> None:
        """Take note of where following begins, and of where the topic ends by now."""
        self.positions = dict(first)
        self.goals = dict(ends)
        self.ends = dict(ends)
        self.problem = None

    def look(self) -> None:
        """Take note of whether what is held is all there is."""
        if not self.caught_up and self.goals:
            self.caught_up = all(self.positions.get(part, 0) >= goal for part, goal in self.goals.items())
        if self._is_current():
            self._current_at_s = self._clock()

    def _is_current(self) -> bool:
        return self.caught_up and self.problem is None and self.records_behind == 0

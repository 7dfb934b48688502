"""How many reports a second a project may send: a token bucket each. It has no clock."""

from __future__ import annotations

import math

MAX_PROJECTS = 10_000


class Quotas:
    """Buckets of `burst` reports that fill at `per_s` a second; 0 a second means no limit."""

    def __init__(self, per_s: float, burst: float) -> None:
        self._per_s = per_s
        self._burst = burst
        self._buckets: dict[str, tuple[float, float]] = {}  # what was left, and when

    def take(self, project_id: str, reports: int, now_s: float) -> int:
        """Take so many from the project's bucket: 0, or after how many whole seconds that many will be there.

        More than the bucket holds is let through when it is full, and leaves a debt.
        """
        if self._per_s <= 0:
            return 0
        left, at_s = self._buckets.get(project_id, (self._burst, now_s))
        left = min(self._burst, left + max(0.0, now_s - at_s) * self._per_s)
        wanted = min(float(reports), self._burst)
        if left < wanted:
            return math.ceil((wanted - left) / self._per_s)
        if project_id not in self._buckets and len(self._buckets) >= MAX_PROJECTS:
            self._forget_full(now_s)
        self._buckets[project_id] = (left - reports, now_s)
        return 0

    def _forget_full(self, now_s: float) -> None:
        """Drop the buckets that have filled up again: a new one would be the same."""
        self._buckets = {
            project: (left, at_s)
            for project, (left, at_s) in self._buckets.items()
            if left + (now_s - at_s) * self._per_s < self._burst
        }

"""How many reports per second a project may send: one token bucket per project. It reads no clock."""

from __future__ import annotations

import math

MAX_PROJECTS = 10_000
BYTES_PER_REPORT = 4_096


def quota_cost(reports: int, body_bytes: int) -> int:
    """How many reports a body counts as: those that it has, and at least one per started 4,096 bytes once inflated."""
    return max(reports, -(-body_bytes // BYTES_PER_REPORT))


class Quotas:
    """Buckets that hold `burst` reports and refill at `per_s` reports per second; `per_s` of 0 means no limit."""

    def __init__(self, per_s: float, burst: float) -> None:
        self._per_s = per_s
        self._burst = burst
        self._buckets: dict[str, tuple[float, float]] = {}  # by project: the reports left, and at which time

    def consume(self, project_id: str, reports: int, now_s: float) -> int:
        """Consume this many reports of the project's bucket; 0 on success, else the whole seconds to wait for them.

        A full bucket admits more reports than it holds; the excess delays the project's next reports.
        """
        if self._per_s <= 0:
            return 0
        left, at_s = self._buckets.get(project_id, (self._burst, now_s))
        left = min(self._burst, left + max(0.0, now_s - at_s) * self._per_s)
        wanted = min(float(reports), self._burst)
        if left < wanted:
            return math.ceil((wanted - left) / self._per_s)
        if project_id not in self._buckets and len(self._buckets) >= MAX_PROJECTS:
            self._drop_full(now_s)
        self._buckets[project_id] = (left - reports, now_s)
        return 0

    def _drop_full(self, now_s: float) -> None:
        """Drop the buckets that are full again: a new bucket is equal to them."""
        self._buckets = {
            project: (left, at_s)
            for project, (left, at_s) in self._buckets.items()
            if left + (now_s - at_s) * self._per_s < self._burst
        }

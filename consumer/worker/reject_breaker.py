"""When too many records cannot be read: decides that a worker must stop before the topic drains into the rejects."""

from __future__ import annotations

from collections import deque


class RejectBreaker:
    """Counts over the last `window` records; trips when more than `share` of them, and `least` of them, were bad."""

    def __init__(self, share: float = 0.5, window: int = 10_000, least: int = 100) -> None:
        self._share = share
        self._window = window
        self._least = least
        self._batches: deque[tuple[int, int]] = deque()
        self._read = 0
        self._bad = 0

    def trips(self, read: int, bad: int) -> bool:
        """Whether, with this batch of `read` records of which `bad` were unreadable, it is too many."""
        self._batches.append((read, bad))
        self._read += read
        self._bad += bad
        while self._read - self._batches[0][0] >= self._window:
            old_read, old_bad = self._batches.popleft()
            self._read -= old_read
            self._bad -= old_bad
        return self._bad >= self._least and self._bad > self._share * self._read

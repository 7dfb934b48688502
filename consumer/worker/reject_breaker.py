"""Decides when so many records cannot be read that a worker must stop, rather than reject the whole topic."""

from __future__ import annotations

from collections import deque


class RejectBreaker:
    """Trips when more than `share` of the last `window` records, and at least `least` of them, are unreadable."""

    def __init__(self, share: float = 0.5, window: int = 10_000, least: int = 100) -> None:
        self._share = share
        self._window = window
        self._least = least
        self._batches: deque[tuple[int, int]] = deque()
        self._read = 0
        self._bad = 0

    def trips(self, read: int, bad: int) -> bool:
        """Count a batch of `read` records, `bad` of them unreadable; whether there are too many now."""
        self._batches.append((read, bad))
        self._read += read
        self._bad += bad
        while self._read - self._batches[0][0] >= self._window:
            old_read, old_bad = self._batches.popleft()
            self._read -= old_read
            self._bad -= old_bad
        return self._bad >= self._least and self._bad > self._share * self._read

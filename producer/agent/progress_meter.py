"""The progress of the current subtask: updated by the copy, read by the reporter's thread. It does no I/O."""

import threading
from collections import deque
from dataclasses import dataclass, replace

from taskstream.producer.agent.job import Subtask
from taskstream.producer.clock import Clock

SPEED_WINDOW_S = 10.0
_SAMPLE_EVERY_S = 0.25


@dataclass(frozen=True, slots=True)
class CopyProgress:
    """The progress of a subtask at one moment.

    `bytes_done` are at the destination. `speed_bps` is in bytes per second and counts only bytes that were moved.
    `activity` is one printable line. `ended` marks the end of the subtask, `complete` that every entry succeeded.
    """

    subtask: str
    items_done: int
    items_total: int
    bytes_done: int
    bytes_total: int
    speed_bps: float
    activity: str
    ended: bool = False
    complete: bool = False

    @property
    def percent(self) -> int:
        """0 to 100, by bytes, or by items if there are no bytes to copy; 100 only if `complete`."""
        if self.complete:
            return 100
        done, total = self.bytes_done, self.bytes_total
        if not total:
            done, total = self.items_done, self.items_total
        return max(0, min(99, 100 * done // total)) if total else 0

    @property
    def remaining_s(self) -> float | None:
        """Remaining bytes divided by the speed, in seconds; None if the speed is 0."""
        left = self.bytes_total - self.bytes_done
        if left <= 0:
            return 0.0
        return left / self.speed_bps if self.speed_bps > 0 else None


class ProgressMeter:
    """Measures one subtask after another. It is thread-safe."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._began_s = clock.monotonic()
        self._began = False
        self._samples: deque[tuple[float, int]] = deque()
        self._subtask = ""
        self._items_done = self._items_total = 0
        self._bytes_done = self._bytes_total = self._bytes_moved = 0
        self._moved_before = 0
        self._activity = ""

    @property
    def total_moved(self) -> int:
        """Bytes written by all subtasks so far."""
        with self._lock:
            return self._moved_before + self._bytes_moved

    def begin_subtask(self, subtask: str, *, items: int = 0, bytes_total: int = 0, activity: str = "") -> None:
        """Start measuring a subtask from zero."""
        with self._lock:
            self._subtask, self._activity = subtask, activity
            self._items_done, self._items_total = 0, items
            self._moved_before += self._bytes_moved
            self._bytes_done, self._bytes_total, self._bytes_moved = 0, bytes_total, 0
            self._began_s = self._clock.monotonic()
            self._samples.clear()
            self._samples.append((self._began_s, 0))
            self._began = True

    def add_expected(self, items: int, bytes_: int) -> None:
        """Change the totals of the subtask by these amounts, which may be negative."""
        with self._lock:
            self._items_total += items
            self._bytes_total += bytes_

    def set_activity(self, activity: str) -> None:
        """Set the description of the current step, one printable line."""
        with self._lock:
            self._activity = activity

    def add_moved(self, count: int) -> None:
        """Count bytes that were just written to the destination."""
        with self._lock:
            self._bytes_done += count
            self._bytes_moved += count
            now_s = self._clock.monotonic()
            if now_s - self._samples[-1][0] >= _SAMPLE_EVERY_S:
                self._samples.append((now_s, self._bytes_moved))
                self._drop_samples(now_s)

    def add_present(self, count: int) -> None:
        """Count bytes as done that need not be moved: they are at the destination already, or are a hole."""
        with self._lock:
            self._bytes_done += count

    def savepoint(self) -> tuple[int, int]:
        """Bytes done and bytes in total, for `roll_back`."""
        with self._lock:
            return self._bytes_done, self._bytes_total

    def roll_back(self, savepoint: tuple[int, int]) -> None:
        """Restore bytes done and bytes in total, after a file failed. The bytes moved since still count as moved."""
        with self._lock:
            self._bytes_done, self._bytes_total = savepoint

    def add_item(self) -> None:
        """Count one entry as done."""
        with self._lock:
            self._items_done += 1

    def progress(self) -> CopyProgress | None:
        """The progress now; None before the first subtask."""
        with self._lock:
            return self._progress() if self._began else None

    def end_subtask(self, activity: str, *, complete: bool) -> tuple[CopyProgress, Subtask]:
        """End the subtask: its final progress, whose speed is the average of the subtask, and its figures."""
        with self._lock:
            self._activity = activity
            seconds = self._clock.monotonic() - self._began_s
            self._samples.clear()
            self._samples.append((self._began_s, 0))
            last = replace(self._progress(), ended=True, complete=complete)
        return last, Subtask(last.subtask, last.percent, last.bytes_done, last.bytes_total, seconds)

    def _progress(self) -> CopyProgress:
        now_s = self._clock.monotonic()
        self._drop_samples(now_s)
        since_s, before = self._samples[0]
        span_s = now_s - since_s
        return CopyProgress(
            subtask=self._subtask,
            items_done=self._items_done,
            items_total=self._items_total,
            bytes_done=self._bytes_done,
            bytes_total=self._bytes_total,
            speed_bps=(self._bytes_moved - before) / span_s if span_s > 0 else 0.0,
            activity=self._activity,
        )

    def _drop_samples(self, now_s: float) -> None:
        # The last sample at or before the start of the window stays: the speed is measured from it.
        while len(self._samples) > 1 and self._samples[1][0] <= now_s - SPEED_WINDOW_S:
            self._samples.popleft()

"""How far the current subtask has come, written by the copy and read by whoever reports; it does no I/O."""

import threading
from collections import deque
from dataclasses import dataclass, replace

from taskstream.producer.agent.job import Subtask
from taskstream.producer.clock import Clock

SPEED_WINDOW_S = 10.0
_SAMPLE_EVERY_S = 0.25


@dataclass(frozen=True, slots=True)
class CopyProgress:
    """One moment of a subtask. `bytes_done` are at the destination; `speed_bps` is bytes a second, really moved.

    `doing` is one clean line. `ended` marks the last moment of the subtask, `whole` that nothing is left to do.
    """

    subtask: str
    items_done: int
    items_total: int
    bytes_done: int
    bytes_total: int
    speed_bps: float
    doing: str
    ended: bool = False
    whole: bool = False

    @property
    def percent(self) -> int:
        """0 to 100, by bytes, or by items where there are no bytes; 100 only when whole."""
        if self.whole:
            return 100
        done, total = self.bytes_done, self.bytes_total
        if not total:
            done, total = self.items_done, self.items_total
        return max(0, min(99, 100 * done // total)) if total else 0

    @property
    def remaining_s(self) -> float | None:
        """Seconds to go at this speed; None when nothing moves."""
        left = self.bytes_total - self.bytes_done
        if left <= 0:
            return 0.0
        return left / self.speed_bps if self.speed_bps > 0 else None


class ProgressMeter:
    """The counts of one subtask after the other. Any thread may call any method."""

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
        self._doing = ""

    @property
    def moved_ever(self) -> int:
        """Bytes written in all subtasks together."""
        with self._lock:
            return self._moved_before + self._bytes_moved

    def begin(self, subtask: str, *, items: int = 0, bytes_total: int = 0, doing: str = "") -> None:
        """Start counting a subtask from nothing."""
        with self._lock:
            self._subtask, self._doing = subtask, doing
            self._items_done, self._items_total = 0, items
            self._moved_before += self._bytes_moved
            self._bytes_done, self._bytes_total, self._bytes_moved = 0, bytes_total, 0
            self._began_s = self._clock.monotonic()
            self._samples.clear()
            self._samples.append((self._began_s, 0))
            self._began = True

    def expect(self, items: int, bytes_: int) -> None:
        """There is more to do, or (negative) less, than was said at the beginning."""
        with self._lock:
            self._items_total += items
            self._bytes_total += bytes_

    def at(self, doing: str) -> None:
        """What is being done now, in one clean line."""
        with self._lock:
            self._doing = doing

    def moved(self, count: int) -> None:
        """Bytes were written at the destination just now."""
        with self._lock:
            self._bytes_done += count
            self._bytes_moved += count
            now_s = self._clock.monotonic()
            if now_s - self._samples[-1][0] >= _SAMPLE_EVERY_S:
                self._samples.append((now_s, self._bytes_moved))
                self._forget(now_s)

    def found(self, count: int) -> None:
        """Bytes need not be moved: they are there already, or are a hole."""
        with self._lock:
            self._bytes_done += count

    def mark(self) -> tuple[int, int]:
        """Bytes done and in all, to come `back_to` when what follows turns out not to count."""
        with self._lock:
            return self._bytes_done, self._bytes_total

    def back_to(self, mark: tuple[int, int]) -> None:
        """Count from the mark again; what was moved since stays moved."""
        with self._lock:
            self._bytes_done, self._bytes_total = mark

    def item_done(self) -> None:
        """One more entry is as it should be."""
        with self._lock:
            self._items_done += 1

    def progress(self) -> CopyProgress | None:
        """This moment; None before the first subtask."""
        with self._lock:
            return self._progress() if self._began else None

    def end(self, doing: str, *, whole: bool) -> tuple[CopyProgress, Subtask]:
        """The last moment of the subtask, and the subtask as it ended. Its speed is that of all of it."""
        with self._lock:
            self._doing = doing
            seconds = self._clock.monotonic() - self._began_s
            self._samples.clear()
            self._samples.append((self._began_s, 0))
            last = replace(self._progress(), ended=True, whole=whole)
        ended = Subtask(last.subtask, last.percent, last.bytes_done, last.bytes_total, seconds)
        return last, ended

    def _progress(self) -> CopyProgress:
        now_s = self._clock.monotonic()
        self._forget(now_s)
        since_s, before = self._samples[0]
        span_s = now_s - since_s
        return CopyProgress(
            subtask=self._subtask,
            items_done=self._items_done,
            items_total=self._items_total,
            bytes_done=self._bytes_done,
            bytes_total=self._bytes_total,
            speed_bps=(self._bytes_moved - before) / span_s if span_s > 0 else 0.0,
            doing=self._doing,
        )

    def _forget(self, now_s: float) -> None:
        # The sample at or before the window's beginning stays: the speed is measured from it.
        while len(self._samples) > 1 and self._samples[1][0] <= now_s - SPEED_WINDOW_S:
            self._samples.popleft()

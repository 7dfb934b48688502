"""Up to which time each partition was really read: silence may be judged by that time, and by no later one.

While a worker reads the past (a backfill, or a backlog after a stop), a series that moves has an old last report.
Judged by the wall clock, it would be called silent. No I/O; the clocks come in as arguments.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
QUIET_S: Final = 30.0
"""After so long without a record, everything that was published is read: the clock decides alone."""
_NEVER: Final = np.iinfo(np.int64).max


@dataclass(frozen=True, slots=True)
class PartitionReading:
    """How late the records of one partition were read."""

    lag_us: int
    """How old the oldest of the recent records was when it was read."""
    lag_at_s: float
    """When that record was read, by the monotonic clock."""
    read_at_s: float
    """When a record was read last."""


def after_read(before: PartitionReading | None, oldest_us: int, now_us: int, now_s: float) -> PartitionReading:
    """The reading after a batch whose oldest record was received at `oldest_us`.

    The greatest lag of the last `QUIET_S` counts: where new and old records arrive together, the old ones decide.
    """
    lag_us = max(0, now_us - oldest_us)
    if before is not None and before.lag_us > lag_us and now_s - before.lag_at_s < QUIET_S:
        return PartitionReading(before.lag_us, before.lag_at_s, now_s)
    return PartitionReading(lag_us, now_s, now_s)


def judged_at_us(reading: PartitionReading | None, now_us: int, now_s: float) -> int:
    """The time by which silence is judged: that up to which the partition was read, or now when it is quiet.

    reading: None when nothing was ever read.
    """
    if reading is None or now_s - reading.read_at_s >= QUIET_S:
        return now_us
    return now_us - reading.lag_us


class ReadingLag:
    """The readings of a worker's partitions."""

    def __init__(self) -> None:
        self._readings: dict[int, PartitionReading] = {}

    def add(self, partitions: npt.NDArray[np.int32], received_at_us: Ints, now_us: int, now_s: float) -> None:
        """Records were read: the partition and the time of receipt of each, [records]."""
        if not partitions.size:
            return
        oldest_us = np.full(int(partitions.max()) + 1, _NEVER)
        np.minimum.at(oldest_us, partitions, received_at_us)
        for partition in np.flatnonzero(oldest_us != _NEVER).tolist():
            before = self._readings.get(partition)
            self._readings[partition] = after_read(before, int(oldest_us[partition]), now_us, now_s)

    def restart(self, partitions: npt.NDArray[np.int32], last_seen_us: Ints, now_us: int, now_s: float) -> None:
        """The state of partitions was restored: each was read up to the newest of its series' last reports.

        [series]. What was published since then is read next.
        """
        self.forget(np.unique(partitions).tolist())
        newest_us = {each: last_seen_us[partitions == each].max() for each in np.unique(partitions).tolist()}
        homes = np.fromiter(newest_us, np.int32, len(newest_us))
        self.add(homes, np.fromiter(newest_us.values(), np.int64, len(newest_us)), now_us, now_s)

    def forget(self, partitions: Iterable[int]) -> None:
        """These partitions are no longer read."""
        for partition in partitions:
            self._readings.pop(partition, None)

    def judged_at_us(self, partitions: npt.NDArray[np.int32], now_us: int, now_s: float) -> Ints:
        """`judged_at_us` of each of these partitions."""
        homes, places = np.unique(partitions, return_inverse=True)
        times = [judged_at_us(self._readings.get(each), now_us, now_s) for each in homes.tolist()]
        return np.array(times, np.int64)[places]

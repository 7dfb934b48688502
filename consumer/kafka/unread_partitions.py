"""From which held partitions nothing has arrived for a while. It asks nothing: the reader decides what is stuck."""

from __future__ import annotations

from collections.abc import Iterable

QUIET_S = 10.0
"""A partition from which nothing arrived for this long is looked at."""
SEEKS = 2
"""How often a stuck partition is sought again, `QUIET_S` apart, before it is given up."""


class UnreadPartitions:
    """When something last arrived from each held partition, by a monotonic clock in seconds."""

    def __init__(self) -> None:
        self._heard_s: dict[int, float] = {}
        self._sought: dict[int, int] = {}

    def heard(self, partitions: Iterable[int], now_s: float) -> None:
        """A record or the end arrived from these, or they are held from now on."""
        for each in partitions:
            self._heard_s[each] = now_s
            self._sought.pop(each, None)

    def forget(self, partition: int) -> None:
        """The partition is not held any more."""
        self._heard_s.pop(partition, None)
        self._sought.pop(partition, None)

    def quiet(self, now_s: float) -> list[int]:
        """The partitions from which nothing arrived for `QUIET_S`, nor were they sought."""
        return [each for each, heard_s in self._heard_s.items() if now_s - heard_s >= QUIET_S]

    def seek_again(self, partition: int, now_s: float) -> bool:
        """Whether to seek in this stuck partition; False: that was done `SEEKS` times, and nothing arrived since."""
        times = self._sought.get(partition, 0)
        self._sought[partition] = times + 1
        self._heard_s[partition] = now_s
        return times < SEEKS

"""Which numbers (slots, tasks) changed since a count: the latest changes as a log, the older ones by a scan.

A reader that asks often pays for the changes since it asked last, however many numbers there are. It knows no row.
"""

from __future__ import annotations

from collections import deque
from typing import Any, Final

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
LOGGED: Final = 1 << 15
"""How many changed numbers are logged. To sort more of them takes longer than to scan a million numbers."""


class ChangeLog:
    """Counts changes, each of any number of numbers."""

    def __init__(self, most: int = LOGGED) -> None:
        """most: how many numbers are logged at most."""
        self._most = most
        self.count = 0
        self.at: Ints = np.zeros(0, np.int64)
        """[number] the count of its latest change; 0: none."""
        self._logged: deque[tuple[int, Ints]] = deque()
        """The latest changes, each by its count."""
        self._size = 0
        self._complete_after = 0
        """`_logged` has every change of a count above this one."""

    def grow(self, more: int) -> None:
        """Make room for so many more numbers."""
        at: Ints = np.zeros(self.at.shape[0] + more, np.int64)
        at[: self.at.shape[0]] = self.at
        self.at = at

    def note(self, numbers: Ints | list[int]) -> None:
        """These numbers changed."""
        self.count += 1
        self.at[numbers] = self.count
        self.log(numbers)

    def log(self, numbers: Ints | list[int]) -> None:
        """These numbers changed at `count`, which the caller has raised and written to `at`."""
        numbers = np.array(numbers, np.int64)
        if not numbers.size:
            return
        self._logged.append((self.count, numbers))
        self._size += numbers.shape[0]
        while self._size > self._most:
            self._complete_after, oldest = self._logged.popleft()
            self._size -= oldest.shape[0]

    def since(self, count: int) -> Ints:
        """The numbers that changed after this count, each once, in ascending order."""
        if count < self._complete_after:
            return np.flatnonzero(self.at > count)
        found: list[npt.NDArray[Any]] = []
        for changed_at, numbers in reversed(self._logged):
            if changed_at <= count:
                break
            found.append(numbers)
        return each_once(np.concatenate(found)) if found else np.zeros(0, np.int64)


def each_once(numbers: Ints) -> Ints:
    """These numbers in ascending order, each once. For few numbers, `np.unique` takes ten times as long."""
    ordered = np.sort(numbers)
    differs = np.ones(ordered.shape[0], np.bool_)
    np.not_equal(ordered[1:], ordered[:-1], out=differs[1:])
    return ordered[differs]

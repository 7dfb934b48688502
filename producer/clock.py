"""The clock interface of this room, and a clock for tests on which sleeping takes no time."""

from dataclasses import dataclass, field
from typing import Protocol


class Clock(Protocol):
    """The clock of everything that waits. The standard library's `time` module implements it."""

    def monotonic(self) -> float:
        """Seconds since an arbitrary moment; it never decreases."""

    def time(self) -> float:
        """Seconds since 1970 UTC, by the machine's clock."""

    def sleep(self, seconds: float, /) -> None:
        """Return after `seconds`."""


@dataclass(slots=True)
class SteppedClock:
    """A clock that advances only in `sleep`; `slept_s` records every call."""

    now_s: float = 1_800_000_000.0
    slept_s: list[float] = field(default_factory=list)

    def monotonic(self) -> float:
        """The same as `time`."""
        return self.now_s

    def time(self) -> float:
        """The start time plus all sleeps."""
        return self.now_s

    def sleep(self, seconds: float, /) -> None:
        """Advance the clock and return at once."""
        self.slept_s.append(seconds)
        self.now_s += seconds

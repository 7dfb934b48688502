"""Time as this room is given it: what the waiting parts need of a clock, and one for tests that never waits."""

from dataclasses import dataclass, field
from typing import Protocol


class Clock(Protocol):
    """What waits asks this. The standard library's `time` module is the real one."""

    def monotonic(self) -> float:
        """Seconds since some fixed moment, never going back."""

    def time(self) -> float:
        """Seconds since 1970, as the machine believes."""

    def sleep(self, seconds: float, /) -> None:
        """Return after that many seconds."""


@dataclass(slots=True)
class SteppedClock:
    """A clock that moves only when somebody sleeps, and remembers for how long."""

    now_s: float = 1_800_000_000.0
    slept_s: list[float] = field(default_factory=list)

    def monotonic(self) -> float:
        """The same as `time`."""
        return self.now_s

    def time(self) -> float:
        """Where the sleeps have brought it."""
        return self.now_s

    def sleep(self, seconds: float, /) -> None:
        """Move ahead at once."""
        self.slept_s.append(seconds)
        self.now_s += seconds

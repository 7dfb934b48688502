"""How far the edge's clock is from Kafka's. It reads no clock and does no I/O.

Kafka deletes records by the times that the edge gives them, and refuses times that lie too far ahead. An edge whose
clock is hours away therefore must not accept reports.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

MAX_DIFFERENCE_US: Final = 3_600_000_000
"""One hour: Kafka's default of message.timestamp.after.max.ms, and what the workers accept of a time of receipt."""
COMPARE_EVERY_US: Final = 30_000_000
MAX_STEP_US: Final = 60_000_000
"""A step of the edge's clock by more than this is compared at once."""
_UNITS: Final = ((365.25 * 86_400, "years"), (86_400.0, "days"), (3_600.0, "h"), (60.0, "min"))
_LATEST_US: Final = 253_402_300_799_000_000


class ClockDifference:
    """The difference that was measured last. Times are microseconds; `monotonic_us` is of a clock that nobody sets."""

    def __init__(self) -> None:
        self.problem: str | None = None
        """Why the edge must not accept reports, or None."""
        self.unknown: str | None = None
        """Why the difference is not known although it was to be measured, or None."""
        self._compared_at: tuple[int, int] | None = None

    def is_due(self, edge_us: int, monotonic_us: int) -> bool:
        """Whether Kafka's clock is to be read: regularly, after a step of the edge's clock, and while they differ."""
        if self._compared_at is None or self.problem is not None:
            return True
        edge_before_us, monotonic_before_us = self._compared_at
        passed_us = monotonic_us - monotonic_before_us
        step_us = edge_us - edge_before_us - passed_us
        return passed_us >= COMPARE_EVERY_US or abs(step_us) > MAX_STEP_US

    def compare(self, edge_us: int, kafka_us: int, monotonic_us: int) -> None:
        """Take over one reading of both clocks."""
        self._compared_at = (edge_us, monotonic_us)
        self.problem = clock_problem(edge_us, kafka_us)
        self.unknown = None

    def cannot_compare(self, why: str, edge_us: int, monotonic_us: int) -> None:
        """Kafka does not say its time."""
        self._compared_at = (edge_us, monotonic_us)
        self.problem, self.unknown = None, why


def clock_problem(edge_us: int, kafka_us: int) -> str | None:
    """One sentence with both times when the clocks are more than an hour apart; else None."""
    ahead_us = edge_us - kafka_us
    if abs(ahead_us) <= MAX_DIFFERENCE_US:
        return None
    direction = "ahead of" if ahead_us > 0 else "behind"
    return (
        f"this edge's clock is {_span(abs(ahead_us) / 1e6)} {direction} Kafka's: {_moment(edge_us)} here, "
        f"{_moment(kafka_us)} there; set the clock that is wrong with a time service (chrony, ntpd)"
    )


def _span(seconds: float) -> str:
    size, unit = next((each for each in _UNITS if seconds >= 2 * each[0]), _UNITS[-1])
    return f"{seconds / size:.1f} {unit}"


def _moment(at_us: int) -> str:
    return datetime.fromtimestamp(min(max(at_us, 0), _LATEST_US) / 1e6, UTC).strftime("%Y-%m-%d %H:%M UTC")

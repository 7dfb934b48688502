"""The time that a report is asked about: 06:00, 2026-11-27T06:00 or 8h, as microseconds since 1970. Pure."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Final

from taskstream.consumer.kafka.ranges import ms_of_time
from taskstream.schemas.durations import seconds_of_duration

DEFAULT_BY: Final = "06:00"
"""The next morning."""
FARTHEST_DAYS: Final = 366
WORDS: Final = "a time of day (06:00, UTC), a time (2026-11-27T06:00, UTC unless it has an offset) or a duration (8h)"
_TIME_OF_DAY: Final = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)", re.ASCII)


def by_time_us(text: str, now_us: int) -> int | None:
    """The time in microseconds since 1970; None: the text is no time after now and within `FARTHEST_DAYS`.

    text: a time of day is the next one after now; a duration counts from now. All are UTC, unless they have an offset.
    """
    found_us = _time_us(text, now_us)
    farthest_us = now_us + FARTHEST_DAYS * 86_400_000_000
    return found_us if found_us is not None and now_us < found_us <= farthest_us else None


def _time_us(text: str, now_us: int) -> int | None:
    if (match := _TIME_OF_DAY.fullmatch(text)) is not None:
        now = datetime.fromtimestamp(now_us / 1e6, UTC)
        then = now.replace(hour=int(match[1]), minute=int(match[2]), second=0, microsecond=0)
        then += timedelta(days=then <= now)
        return round(then.timestamp()) * 1_000_000
    length_s = seconds_of_duration(text)
    if length_s is not None:
        return now_us + round(min(length_s, 1e12) * 1e6)
    try:
        return ms_of_time(text) * 1000
    except (ValueError, OverflowError):
        return None

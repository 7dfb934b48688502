"""When nobody wants to be told: a daily span of local time. It decides; time is an argument."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

EVERY_DAY = frozenset(range(7))


@dataclass(frozen=True, slots=True)
class QuietHours:
    """From `begins` to `ends` by the clock of `zone`, over midnight if `ends` is not later; equal: a whole day."""

    begins: time
    ends: time
    zone: ZoneInfo
    days: frozenset[int] = EVERY_DAY
    """The weekdays on which they begin; Monday is 0."""

    def until_s(self, now_s: float) -> float | None:
        """When the quiet hours that hold at `now_s` end, both in seconds since 1970; None: it is not quiet.

        Spans that touch each other are one. A local time that a change of the clocks skips or repeats is its first.
        """
        end_s = None
        for _ in range(len(EVERY_DAY) + 1):  # at most a week of spans that touch
            following_s = self._end_of_span_at(now_s if end_s is None else end_s)
            if following_s is None:
                return end_s
            end_s = following_s
        return end_s

    def _end_of_span_at(self, now_s: float) -> float | None:
        today = datetime.fromtimestamp(now_s, UTC).astimezone(self.zone).date()
        for day in (today, today - timedelta(days=1)):
            if day.weekday() not in self.days:
                continue
            last = day if self.ends > self.begins else day + timedelta(days=1)
            begin_s = datetime.combine(day, self.begins, self.zone).timestamp()
            end_s = datetime.combine(last, self.ends, self.zone).timestamp()
            if begin_s <= now_s < end_s:
                return end_s
        return None

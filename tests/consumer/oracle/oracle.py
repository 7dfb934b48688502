"""The rules of the design in plain Python, one report at a time, written from the design and not from the fold.

It is plain rather than fast, and shares no code with the fold. Its integers are unbounded except where a record's are.
"""

from __future__ import annotations

import math
from collections import defaultdict
from typing import Any

from tests.consumer.oracle.oracle_rates import (
    A_HUNDRED_YEARS_S,
    US,
    ewma,
    judge,
)
from tests.consumer.oracle.oracle_series import Event, Series

LARGEST = 2**63 - 1


class Oracle:
    """All series, and the windows and signals of each, in order."""

    def __init__(self, bucket_us: int = 60 * US, eta_part: float = 0.33) -> None:
        self.width = bucket_us
        self.width_s = bucket_us / US
        self.eta_part = eta_part
        self.series: dict[str, Series] = {}
        self.windows: dict[str, list[dict[str, Any]]] = defaultdict(list)
        self.signals: dict[str, list[dict[str, Any]]] = defaultdict(list)
        self.duplicates = 0

    def fold(self, event: Event) -> None:
        """Apply one report, in offset order."""
        row = self.series.get(event.series)
        if row is None:
            self._first(event)
            self._remember(event)
            return
        if event.event_id in row.event_ids:
            self.duplicates += 1
            return
        self._remember(event)
        row.reports += 1
        fell = event.replicatesize < row.replicatesize
        if fell and not row.held:
            row.held = True
            return
        row.stale += row.held and not fell
        row.held = False
        row.skewed += event.received_at < row.last_seen
        moment = max(event.received_at, row.last_seen)
        step = moment - row.last_seen
        open_before = row.open_minute
        if fell:
            self._reset(event, row, moment)
        else:
            self._advance(event, row, moment)
        if step > 0:
            row.report_gaps.add(step / US, self.width_s)
        row.last_seen = moment
        row.progress, row.replicatesize, row.totalsize = event.progress, event.replicatesize, event.totalsize
        row.other = event.other
        closed = (row.open_minute - open_before) // self.width
        self._judge_rates(row, judge_minutes=fell or closed > 0)
        if fell:
            self._raise(event.series, row, "RESET", since=moment)
        self._judge_health(event.series, row)
        self._compare_eta(event.series, row, closed)

    def silence(self, series: str, now: int) -> None:
        """Mark a series that a clock found silent. The fold takes no part in this."""
        row = self.series[series]
        before, before_since = row.health, row.health_since
        limit_s = row.report_gaps.limit(self.width_s)
        row.silent_since = row.last_seen
        row.eta_s = row.eta_low_s = row.eta_high_s = None
        row.eta_reason = "SILENT"
        self._raise(
            series, row, "SILENT", since=row.last_seen, before=before, before_since=before_since, limit_s=limit_s
        )
        self.signals[series][-1]["raised_at"] = now

    def _first(self, event: Event) -> None:
        now = event.received_at
        row = self.series[event.series] = Series(
            first_seen=now,
            last_seen=now,
            last_advance=now,
            rated_from=now,
            rated_bytes=event.replicatesize,
            open_minute=now - now % self.width,
            health_since=now,
            progress=event.progress,
            replicatesize=event.replicatesize,
            totalsize=event.totalsize,
            other=event.other,
        )
        self._judge_eta(row)
        self._judge_health(event.series, row)

    def _remember(self, event: Event) -> None:
        """Keep the newest 16 ids of the events that were folded, whatever the rules made of them."""
        row = self.series[event.series]
        if event.event_id:
            row.event_ids = [*row.event_ids, event.event_id][-16:]

    def _advance(self, event: Event, row: Series, moment: int) -> None:
        if event.replicatesize > row.replicatesize or event.progress > row.progress:
            if moment > row.last_advance:
                row.advance_gaps.add((moment - row.last_advance) / US, self.width_s)
            row.last_advance = moment
        if event.progress < row.progress:
            row.regressions += 1
        step = moment - row.last_seen
        if step == 0:
            return  # no time has passed, so there is no sample: the bytes count towards the next one
        gained = event.replicatesize - row.rated_bytes
        self._pass_time(event.series, row, moment, gained, measured_to=moment)
        sample, measured = gained / (step / US), moment - row.rated_from
        row.rate_fast_bps = ewma(row.rate_fast_bps, sample, step, measured, self.width_s)
        row.rate_slow_bps = ewma(row.rate_slow_bps, sample, step, measured, 10.0 * self.width_s)
        row.rate_peak_bps = max(row.rate_peak_bps or 0.0, row.rate_fast_bps)
        row.samples += 1
        row.growth_bps = self._growth(event, row, step, measured)
        paused = row.last_seen - row.last_advance
        row.mixture.add(gained, step, paused, row.advance_gaps.limit(self.width_s), self.width_s)
        row.rated_bytes = event.replicatesize

    def _growth(self, event: Event, row: Series, step: int, measured: int) -> float:
        """The mean growth of the total in bytes a second; one growth counts as four buckets of copying at most."""
        grown = 0.0
        if row.totalsize > 0 and row.totalsize >= row.replicatesize:
            assert row.rate_slow_bps is not None
            most = row.rate_slow_bps * (4.0 * self.width_s)
            grown = min(max(float(event.totalsize) - float(row.totalsize), 0.0), most)
        return ewma(row.growth_bps, grown / (step / US), step, measured, 10.0 * self.width_s)

    def _reset(self, event: Event, row: Series, moment: int) -> None:
        came_without_time = row.replicatesize - row.rated_bytes
        row.open_minute_bytes = min(row.open_minute_bytes + came_without_time, LARGEST)
        self._pass_time(event.series, row, moment, 0, measured_to=row.last_seen)
        row.resets += 1
        row.last_advance = row.rated_from = moment
        row.rated_bytes = event.replicatesize
        row.samples = 0
        row.rate_fast_bps = row.rate_slow_bps = row.rate_peak_bps = None
        row.growth_bps = None
        row.mixture.restart()
        row.claims = [None, None]
        row.slow, row.slow_baseline = False, None
        row.eta_told = row.eta_told_at = None
        row.eta_late_minutes = row.eta_early_minutes = 0

    def _pass_time(self, series: str, row: Series, moment: int, gained: int, measured_to: int) -> None:
        """Close the minutes that ended, each with its share of the bytes gained since last_seen."""
        assigned = 0
        for start, minutes in self._ended(row.open_minute, moment):
            end = start + minutes * self.width
            come = gained if end == moment else int(gained * ((end - row.last_seen) / (moment - row.last_seen)))
            in_it = min(come, gained) - assigned + (row.open_minute_bytes if start == row.open_minute else 0)
            assigned = min(come, gained)
            self._close(series, row, start, minutes, min(in_it, LARGEST), moment, end <= measured_to)
        begun = moment - moment % self.width
        kept = row.open_minute_bytes if begun == row.open_minute else 0
        row.open_minute = begun
        row.open_minute_bytes = min(kept + gained - assigned, LARGEST)

    def _ended(self, open_minute: int, moment: int) -> list[tuple[int, int]]:
        """Start and length in minutes of each window to close. In a long gap, the minutes before the last 30 are one."""
        ended = (moment - open_minute) // self.width
        older = max(ended - 1 - 30, 0)
        windows = [(open_minute, 1), (open_minute + self.width, older)]
        windows += [(open_minute + index * self.width, 1) for index in range(1 + older, ended)]
        return [window for window in windows if window[1] > 0] if ended else []

    def _close(
        self, series: str, row: Series, start: int, minutes: int, in_it: int, moment: int, measured: bool
    ) -> None:
        if minutes == 1:
            row.minute_bytes = [*row.minute_bytes, in_it][-30:]
        self.windows[series].append(
            {
                "window_start": start,
                "minutes": minutes,
                "bytes": in_it,
                "complete": measured and start >= row.rated_from,
                "progress": row.progress,
                "replicatesize": row.replicatesize,
                "totalsize": row.totalsize,
                "closed_at": moment,
            }
        )

    def _judge_rates(self, row: Series, *, judge_minutes: bool) -> None:
        if judge_minutes:
            self._judge_minutes(row)
        self._judge_eta(row)

    def _judge_minutes(self, row: Series) -> None:
        starts = [row.open_minute - age * self.width for age in range(len(row.minute_bytes), 0, -1)]
        complete = [held for start, held in zip(starts, row.minute_bytes, strict=True) if start >= row.rated_from]
        judged = judge(complete, self.width_s, row.report_gaps, row.slow_baseline)
        row.complete_minutes = len(complete)
        row.trend, row.slow, row.slow_baseline = judged.trend, judged.slow, judged.baseline
        row.trend_change_pct, row.trend_slope_pct = judged.change_pct, judged.slope_pct
        row.log_rate_sd = judged.deviation

    def _judge_eta(self, row: Series) -> None:
        row.eta_s = row.eta_low_s = row.eta_high_s = None
        row.eta_reason = self._withheld(row)
        if row.eta_reason != "NONE":
            return
        log_eta, wide = row.mixture.log_end(float(row.totalsize - row.replicatesize), row.log_rate_sd, self.width_s)
        if log_eta > math.log(A_HUNDRED_YEARS_S):
            row.eta_reason = "TOO_FAR"
            return
        row.eta_s = math.exp(log_eta)
        row.eta_low_s = row.eta_s * math.exp(-wide)
        row.eta_high_s = min(row.eta_s * math.exp(min(wide, 700.0)), A_HUNDRED_YEARS_S)
        for place, part in enumerate((0.5, 0.75)):
            if row.claims[place] is None and float(row.replicatesize) >= part * float(row.totalsize):
                row.claims[place] = (row.last_seen, row.eta_s, math.log(row.eta_high_s / row.eta_s))

    def _withheld(self, row: Series) -> str:
        """The first reason, in this order, for which no end can be given."""
        measured = row.last_seen - row.rated_from
        slow = row.rate_slow_bps
        if row.progress == 100:
            return "COMPLETE"
        if row.totalsize <= 0 or row.totalsize < row.replicatesize:
            return "TOTAL_UNKNOWN"
        if row.totalsize == row.replicatesize:
            return "CHECKING"
        if row.samples < 3 or row.mixture.counted_s < self.width_s:
            return "TOO_YOUNG"
        if (row.last_seen - row.last_advance) / US > row.advance_gaps.limit(self.width_s):
            return "STALLED"
        if not row.mixture.rates or not row.mixture.rates[2]:
            return "NO_RATE"
        assert slow is not None
        if measured >= 5 * self.width and row.growth_bps is not None and slow - row.growth_bps <= 0.05 * slow:
            return "NOT_CONVERGING"
        return "NONE"

    def _judge_health(self, series: str, row: Series) -> None:
        before, before_since = self._signalled(row)
        limit_s = row.advance_gaps.limit(self.width_s)
        since = row.last_seen
        if row.progress == 100:
            health, says = "COMPLETE", "COMPLETE"
        elif (row.last_seen - row.last_advance) / US > limit_s:
            health, says, since = "NO_PROGRESS", "NO_PROGRESS", row.last_advance
        elif row.slow:
            health, says = "SLOW", "SLOW" if before == "OK" else "RESUMED"
        else:
            health, says = "OK", "RESUMED"
        if health == row.health:
            says = "RESUMED"  # if anything: from a silence that a clock found
        row.silent_since = None
        if health != row.health:
            row.health, row.health_since = health, since
        if health != before:
            self._raise(series, row, says, since=since, before=before, before_since=before_since, limit_s=limit_s)

    def _compare_eta(self, series: str, row: Series, closed: int) -> None:
        """Compare the end with the recorded one when minutes were closed; it must be off for five minutes after one."""
        if row.eta_s is None:
            return
        end = row.last_seen + int(row.eta_s * US)
        if row.eta_told is not None and row.eta_told_at is not None:
            if closed == 0:
                return
            left = max(row.eta_told - row.eta_told_at, 5 * self.width)
            off = abs(end - row.eta_told) > self.eta_part * left
            late, early = off and end > row.eta_told, off and end < row.eta_told
            row.eta_late_minutes = (row.eta_late_minutes + closed if row.eta_late_minutes else 1) if late else 0
            row.eta_early_minutes = (row.eta_early_minutes + closed if row.eta_early_minutes else 1) if early else 0
            if row.eta_late_minutes <= 5 and row.eta_early_minutes <= 5:
                return
            self._raise(series, row, "ETA_MOVED", since=row.eta_told_at)
        row.eta_told, row.eta_told_at = end, row.last_seen
        row.eta_late_minutes = row.eta_early_minutes = 0

    def _signalled(self, row: Series) -> tuple[str, int]:
        """The health of the last signal, and since when it holds."""
        return (row.health, row.health_since) if row.silent_since is None else ("SILENT", row.silent_since)

    def _raise(
        self,
        series: str,
        row: Series,
        says: str,
        *,
        since: int,
        before: str | None = None,
        before_since: int | None = None,
        limit_s: float | None = None,
    ) -> None:
        health, health_since = self._signalled(row)
        self.signals[series].append(
            {
                "signal": says,
                "before": before or health,
                "after": health,
                "progress": row.progress,
                "raised_at": row.last_seen,
                "since": since,
                "before_since": health_since if before_since is None else before_since,
                "last_seen": row.last_seen,
                "last_advance": row.last_advance,
                "replicatesize": row.replicatesize,
                "totalsize": row.totalsize,
                "eta": None if row.eta_s is None else row.last_seen + int(row.eta_s * US),
                "eta_before": row.eta_told,
                "limit_s": limit_s,
                "rate_fast_bps": row.rate_fast_bps,
                "rate_slow_bps": row.rate_slow_bps,
                "trend_change_pct": row.trend_change_pct,
            }
        )

"""The rules by which one report changes its series, in offset order: the law of this room.

- A report's time is its time of receipt, but never before the series' last one (then it is counted as skewed).
- A first fall of replicatesize is held and changes nothing else. If the next report is back at or above the old value,
  the held one was stale; if it is below too, it was a reset: the baseline moves, and the rates warm up anew.
- No rate is negative, and none is measured across a reset or from a stale report.

Pure and compiled: no clock, no I/O. Any split of a stream into batches gives the same rows, bit for bit.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from taskstream.consumer.state.eta import judge_eta
from taskstream.consumer.state.minutes import MOST_WINDOWS, advance, complete_minutes, plus
from taskstream.consumer.state.rates import US_PER_S, ewma, quiet_limit, typical_gap
from taskstream.consumer.state.series import NONE, Health, Rows, Signal, Trend
from taskstream.consumer.state.trend import judge_trend
from taskstream.schemas.compiled import compiled

Ints = npt.NDArray[np.int64]
MOST_SIGNALS = 3
"""How many signals one report can raise."""
ETA_FLOOR_BUCKETS = 5
"""An ETA is told again when it moved by a part of what was left, and of no less than so many buckets."""

OK, SLOW, NO_PROGRESS = int(Health.OK), int(Health.SLOW), int(Health.NO_PROGRESS)
COMPLETE, SILENT = int(Health.COMPLETE), int(Health.SILENT)
SAYS_NO_PROGRESS, SAYS_SLOW, SAYS_RESUMED = int(Signal.NO_PROGRESS), int(Signal.SLOW), int(Signal.RESUMED)
SAYS_RESET, SAYS_COMPLETE, SAYS_ETA_MOVED = int(Signal.RESET), int(Signal.COMPLETE), int(Signal.ETA_MOVED)
WARMING = int(Trend.WARMING)


@compiled
def fold_events(
    rows: Rows,
    slots: Ints,
    received_at: Ints,
    progress: Ints,
    replicatesize: Ints,
    totalsize: Ints,
    width: int,
    eta_part: float,
    begin: int,
    accepted: npt.NDArray[np.bool_],
    windows: npt.NDArray[np.void],
    signals: npt.NDArray[np.void],
) -> tuple[int, int, int]:
    """Fold the events from place `begin` on into their rows; stop early when an output could run full.

    slots, received_at (us), progress, replicatesize, totalsize: [events]. width: the bucket in us. eta_part: the part
    by which an ETA must move to be told. accepted: [events], set where the report is now the series' latest.
    Returns the place of the first event not folded, and how many windows and signals were made.
    """
    made = 0
    raised = 0
    for place in range(begin, slots.shape[0]):
        if made + MOST_WINDOWS > windows.shape[0] or raised + MOST_SIGNALS > signals.shape[0]:
            return place, made, raised
        slot = slots[place]
        row = rows[slot]
        moment = received_at[place]
        now_bytes = replicatesize[place]
        row["reports"] += 1
        if row["reports"] == 1:
            _begin(rows, slot, moment, now_bytes, width)
            row["progress"] = progress[place]
            row["totalsize"] = totalsize[place]
            accepted[place] = True
            raised = _judge_health(rows, slot, width, signals, raised)
            continue
        reset = now_bytes < row["replicatesize"]
        if reset and not row["held"]:
            row["held"] = True
            continue
        if row["held"] and not reset:
            row["stale"] += 1
        row["held"] = False
        accepted[place] = True
        if moment < row["last_seen"]:
            row["skewed"] += 1
            moment = row["last_seen"]
        step = moment - row["last_seen"]
        open_before = row["open_minute"]
        if reset:
            came_without_time = row["replicatesize"] - row["rated_bytes"]
            row["open_minute_bytes"] = plus(row["open_minute_bytes"], came_without_time)
            made = advance(rows, slot, moment, 0, row["last_seen"], width, windows, made)
            _warm_up_anew(rows, slot, moment, now_bytes)
        else:
            if now_bytes > row["replicatesize"] or progress[place] > row["progress"]:
                row["last_advance"] = moment
            if progress[place] < row["progress"]:
                row["regressions"] += 1
            if step > 0:
                gained = now_bytes - row["rated_bytes"]
                made = advance(rows, slot, moment, gained, moment, width, windows, made)
                _rate(rows, slot, gained, step, moment, width)
                row["rated_bytes"] = now_bytes
        if step > 0:
            gap_s = row["typical_gap_s"]
            limit_s = quiet_limit(gap_s, width / US_PER_S)
            row["typical_gap_s"] = typical_gap(gap_s, step / US_PER_S, limit_s)
        row["progress"] = progress[place]
        row["replicatesize"] = now_bytes
        row["totalsize"] = totalsize[place]
        row["last_seen"] = moment
        if reset or row["open_minute"] != open_before:
            row["complete_minutes"] = complete_minutes(row["open_minute"], row["rated_from"], width)
            judge_trend(rows, slot)
        judge_eta(rows, slot, width)
        if reset:
            told = _told(row)
            raised = _raise(rows, slot, SAYS_RESET, told, told, moment, np.nan, signals, raised)
        raised = _judge_health(rows, slot, width, signals, raised)
        raised = _tell_eta(rows, slot, width, eta_part, signals, raised)
    return slots.shape[0], made, raised


@compiled
def _begin(rows: Rows, slot: int, moment: int, now_bytes: int, width: int) -> None:
    row = rows[slot]
    row["first_seen"] = moment
    row["last_seen"] = moment
    row["replicatesize"] = now_bytes
    row["open_minute"] = moment // width * width
    row["health"] = OK
    row["health_since"] = moment
    row["typical_gap_s"] = np.nan
    row["silent_since"] = NONE
    row["trend_change_pct"] = np.nan
    row["trend_slope_pct"] = np.nan
    row["log_rate_sd"] = np.nan
    row["eta_s"] = np.nan
    row["eta_low_s"] = np.nan
    row["eta_high_s"] = np.nan
    _warm_up_anew(rows, slot, moment, now_bytes)


@compiled
def _warm_up_anew(rows: Rows, slot: int, moment: int, now_bytes: int) -> None:
    row = rows[slot]
    row["resets"] += 1 if row["reports"] > 1 else 0
    row["last_advance"] = moment
    row["rated_from"] = moment
    row["rated_bytes"] = now_bytes
    row["samples"] = 0
    row["rate_fast_bps"] = np.nan
    row["rate_slow_bps"] = np.nan
    row["rate_peak_bps"] = np.nan
    row["eta_told"] = NONE
    row["eta_told_at"] = NONE


@compiled
def _rate(rows: Rows, slot: int, gained: int, step: int, moment: int, width: int) -> None:
    row = rows[slot]
    sample = float(gained) / (step / US_PER_S)
    measured = moment - row["rated_from"]
    width_s = width / US_PER_S
    if row["samples"] == 0:
        row["rate_fast_bps"] = sample
        row["rate_slow_bps"] = sample
        row["rate_peak_bps"] = sample
    else:
        row["rate_fast_bps"] = ewma(row["rate_fast_bps"], sample, step, measured, width_s)
        row["rate_slow_bps"] = ewma(row["rate_slow_bps"], sample, step, measured, 10.0 * width_s)
        row["rate_peak_bps"] = max(row["rate_peak_bps"], row["rate_fast_bps"])
    row["samples"] += 1


@compiled
def _judge_health(rows: Rows, slot: int, width: int, signals: npt.NDArray[np.void], raised: int) -> int:
    """Set the row's health by its reports; a change of what was told is one signal."""
    row = rows[slot]
    moment = row["last_seen"]
    before = _told(row)
    before_since = _told_since(row)
    limit_s = quiet_limit(row["typical_gap_s"], width / US_PER_S)
    since = moment
    if row["progress"] == 100:
        after = COMPLETE
    elif (moment - row["last_advance"]) / US_PER_S > limit_s:
        after = NO_PROGRESS
        since = row["last_advance"]
    elif row["slow"]:
        after = SLOW
    else:
        after = OK
    row["silent_since"] = NONE
    if row["health"] != after:
        row["health"] = after
        row["health_since"] = since
    if after == before:
        return raised
    if after == COMPLETE:
        says = SAYS_COMPLETE
    elif after == NO_PROGRESS:
        says = SAYS_NO_PROGRESS
    elif after == SLOW and before == OK:
        says = SAYS_SLOW
    else:
        says = SAYS_RESUMED
    raised = _raise(rows, slot, says, before, after, since, limit_s, signals, raised)
    signals[raised - 1]["before_since"] = before_since
    return raised


@compiled
def _tell_eta(rows: Rows, slot: int, width: int, eta_part: float, signals: npt.NDArray[np.void], raised: int) -> int:
    """Remember the first end time, and raise a signal when a later one lies too far from what was told."""
    row = rows[slot]
    if math.isnan(row["eta_s"]):
        return raised
    moment = row["last_seen"]
    end = moment + np.int64(row["eta_s"] * US_PER_S)
    if row["eta_told"] != NONE:
        left = max(row["eta_told"] - row["eta_told_at"], ETA_FLOOR_BUCKETS * width)
        if abs(end - row["eta_told"]) <= eta_part * left:
            return raised
        raised = _raise(
            rows, slot, SAYS_ETA_MOVED, row["health"], row["health"], row["eta_told_at"], np.nan, signals, raised
        )
    row["eta_told"] = end
    row["eta_told_at"] = moment
    return raised


@compiled
def _told(row: np.void) -> int:
    """The health that was last said: a clock may have found the series silent."""
    return SILENT if row["silent_since"] != NONE else int(row["health"])


@compiled
def _told_since(row: np.void) -> int:
    since: int = row["silent_since"] if row["silent_since"] != NONE else row["health_since"]
    return since


@compiled
def _raise(
    rows: Rows,
    slot: int,
    says: int,
    before: int,
    after: int,
    since: int,
    limit_s: float,
    signals: npt.NDArray[np.void],
    raised: int,
) -> int:
    row = rows[slot]
    signal = signals[raised]
    signal["slot"] = slot
    signal["signal"] = says
    signal["before"] = before
    signal["after"] = after
    signal["progress"] = row["progress"]
    signal["raised_at"] = row["last_seen"]
    signal["since"] = since
    signal["before_since"] = _told_since(row)
    signal["last_seen"] = row["last_seen"]
    signal["last_advance"] = row["last_advance"]
    signal["replicatesize"] = row["replicatesize"]
    signal["totalsize"] = row["totalsize"]
    eta_s = row["eta_s"]
    signal["eta"] = NONE if math.isnan(eta_s) else row["last_seen"] + np.int64(eta_s * US_PER_S)
    signal["eta_before"] = row["eta_told"]
    signal["limit_s"] = limit_s
    signal["rate_fast_bps"] = row["rate_fast_bps"]
    signal["rate_slow_bps"] = row["rate_slow_bps"]
    signal["trend_change_pct"] = row["trend_change_pct"]
    return raised + 1

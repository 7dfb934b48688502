"""The rules by which one report changes its series, in offset order.

- An event whose id is among the newest 16 that its series folded is a duplicate: it is counted, and changes no row.
- A report's time is its time of receipt, but never before the series' last one (then it is counted as skewed).
- A first fall of replicatesize is held and changes nothing else. If the next report is back at or above the old value,
  the held one was stale. If it is below the old value too, the series was reset: measuring starts again from there.
- No rate is negative, and none is measured across a reset or from a stale report.

Each rule's decision has a file: `rates`, `minutes`, `stall`, `trend`, `health`, and those of `forecast`. Pure and
compiled: no clock, no I/O. Any split of a stream into batches gives the same rows, bit for bit.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from taskstream.consumer.state.event_ids import is_duplicate
from taskstream.consumer.state.forecast.eta import signal_moved_eta, update_eta
from taskstream.consumer.state.forecast.eta_claims import note_claims
from taskstream.consumer.state.forecast.mixed_rate import counted_s, update_means
from taskstream.consumer.state.health import update_health
from taskstream.consumer.state.minutes import MAX_WINDOWS, add_saturating, advance_minutes, complete_minutes
from taskstream.consumer.state.rates import US_PER_S, update_growth, update_rates
from taskstream.consumer.state.series import NONE, Health, Rows, Signal
from taskstream.consumer.state.signals import MAX_SIGNALS, append_signal, signalled_health
from taskstream.consumer.state.stall import limit_or_first, update_advance_gaps, update_report_gaps
from taskstream.consumer.state.table.row_steps import ROWS_AHEAD, Latest, Words, copy_latest, copy_row, prefetch_row
from taskstream.consumer.state.trend import update_trend
from taskstream.schemas.compiled import compiled

Ints = npt.NDArray[np.int64]

OK = int(Health.OK)
SIGNAL_RESET = int(Signal.RESET)


@compiled
def fold_events(
    rows: Rows,
    words: Words,
    slots: Ints,
    event_ids: Ints,
    received_at: Ints,
    progress: Ints,
    replicatesize: Ints,
    totalsize: Ints,
    latest: Latest,
    bucket_us: int,
    eta_part: float,
    begin: int,
    unsaved_at: Ints,
    saved: Words,
    saved_count: Ints,
    accepted: npt.NDArray[np.bool_],
    windows: npt.NDArray[np.void],
    signals: npt.NDArray[np.void],
) -> tuple[int, int, int, int]:
    """Fold the events from index `begin` on into their rows; stop early when an output could run full.

    words: the memory of `rows`. slots, event_ids (see `hash_event_ids`), received_at (us), progress, replicatesize,
    totalsize: [events]. latest: see `copy_latest`. eta_part: the part of the remaining time by which an ETA must move
    to be signalled. unsaved_at: the events whose row is copied to `saved`, one after another, before it changes;
    saved_count: [1], how many rows were. accepted: [events], set where the report is now the series' latest.
    windows, signals: [WINDOW] and [SIGNAL], written from their start.
    Returns the index of the first event not folded, and the numbers of windows written, of signals written and of
    duplicates.
    """
    window_count = 0
    signal_count = 0
    duplicates = 0
    for index in range(begin, slots.shape[0]):
        if window_count + MAX_WINDOWS > windows.shape[0] or signal_count + MAX_SIGNALS > signals.shape[0]:
            return index, window_count, signal_count, duplicates
        if index + ROWS_AHEAD < slots.shape[0]:
            prefetch_row(words, slots[index + ROWS_AHEAD])
        slot = slots[index]
        if saved_count[0] < unsaved_at.shape[0] and unsaved_at[saved_count[0]] == index:
            copy_row(words, slot, saved, saved_count[0])
            saved_count[0] += 1
        if is_duplicate(rows[slot]["event_ids"], event_ids[index]):
            duplicates += 1
            continue
        accepted[index], window_count, signal_count = fold_event(
            rows,
            slot,
            received_at[index],
            progress[index],
            replicatesize[index],
            totalsize[index],
            bucket_us,
            eta_part,
            windows,
            window_count,
            signals,
            signal_count,
        )
        if accepted[index]:
            copy_latest(rows, words, slot, index, *latest)
    return slots.shape[0], window_count, signal_count, duplicates


@compiled
def fold_event(
    rows: Rows,
    slot: int,
    received_at: int,
    progress: int,
    replicatesize: int,
    totalsize: int,
    bucket_us: int,
    eta_part: float,
    windows: npt.NDArray[np.void],
    window_count: int,
    signals: npt.NDArray[np.void],
    signal_count: int,
) -> tuple[bool, int, int]:
    """Fold one report into its row; returns whether it is accepted, and the new numbers of windows and signals."""
    row = rows[slot]
    now_us = received_at
    new_bytes = replicatesize
    row["reports"] += 1
    if row["reports"] == 1:
        _start(rows, slot, now_us, new_bytes, bucket_us)
        row["progress"] = progress
        row["totalsize"] = totalsize
        update_eta(rows, slot, bucket_us)
        return True, window_count, update_health(rows, slot, bucket_us, signals, signal_count)
    reset = new_bytes < row["replicatesize"]
    if reset and not row["held"]:
        row["held"] = True
        return False, window_count, signal_count
    if row["held"] and not reset:
        row["stale"] += 1
    row["held"] = False
    if now_us < row["last_seen"]:
        row["skewed"] += 1
        now_us = row["last_seen"]
    step_us = now_us - row["last_seen"]
    open_before = row["open_minute"]
    if reset:
        unmeasured = row["replicatesize"] - row["rated_bytes"]  # came in no time: in no rate, but in the minute
        row["open_minute_bytes"] = add_saturating(row["open_minute_bytes"], unmeasured)
        window_count = advance_minutes(rows, slot, now_us, 0, row["last_seen"], bucket_us, windows, window_count)
        row["resets"] += 1
        _restart_measuring(rows, slot, now_us, new_bytes)
    else:
        if new_bytes > row["replicatesize"] or progress > row["progress"]:
            if now_us > row["last_advance"]:
                update_advance_gaps(rows, slot, now_us - row["last_advance"], bucket_us)
            row["last_advance"] = now_us
        if progress < row["progress"]:
            row["regressions"] += 1
        if step_us > 0:
            gained_bytes = new_bytes - row["rated_bytes"]
            window_count = advance_minutes(rows, slot, now_us, gained_bytes, now_us, bucket_us, windows, window_count)
            update_rates(rows, slot, gained_bytes, step_us, now_us, bucket_us)
            update_growth(rows, slot, totalsize, step_us, now_us, bucket_us)
            limit_s = limit_or_first(row["stall_limit_s"], bucket_us / US_PER_S)
            paused_us = row["last_seen"] - row["last_advance"]
            step_s = counted_s(gained_bytes, step_us, paused_us, limit_s)
            update_means(rows, slot, gained_bytes, step_s, bucket_us / US_PER_S)
            row["rated_bytes"] = new_bytes
    if step_us > 0:
        update_report_gaps(rows, slot, step_us, bucket_us)
    row["progress"] = progress
    row["replicatesize"] = new_bytes
    row["totalsize"] = totalsize
    row["last_seen"] = now_us
    closed_minutes = (row["open_minute"] - open_before) // bucket_us
    if reset or closed_minutes > 0:
        row["complete_minutes"] = complete_minutes(row["open_minute"], row["rated_from"], bucket_us)
        update_trend(rows, slot, bucket_us)
    update_eta(rows, slot, bucket_us)
    note_claims(rows, slot)
    if reset:
        health = signalled_health(row)
        signal_count = append_signal(rows, slot, SIGNAL_RESET, health, health, now_us, np.nan, signals, signal_count)
    signal_count = update_health(rows, slot, bucket_us, signals, signal_count)
    signal_count = signal_moved_eta(rows, slot, closed_minutes, bucket_us, eta_part, signals, signal_count)
    return True, window_count, signal_count


@compiled
def _start(rows: Rows, slot: int, now_us: int, new_bytes: int, bucket_us: int) -> None:
    """Fill the row of a series that reports for the first time."""
    row = rows[slot]
    row["first_seen"] = now_us
    row["last_seen"] = now_us
    row["replicatesize"] = new_bytes
    row["open_minute"] = now_us // bucket_us * bucket_us
    row["health"] = OK
    row["health_since"] = now_us
    row["report_gaps"] = 0
    row["typical_gap_s"] = np.nan
    row["report_gap_square_s2"] = np.nan
    row["quiet_limit_s"] = np.nan
    row["advance_gaps"] = 0
    row["advance_gap_s"] = np.nan
    row["advance_gap_square_s2"] = np.nan
    row["stall_limit_s"] = np.nan
    row["silent_since"] = NONE
    row["trend_change_pct"] = np.nan
    row["trend_slope_pct"] = np.nan
    row["log_rate_sd"] = np.nan
    row["eta_s"] = np.nan
    row["eta_low_s"] = np.nan
    row["eta_high_s"] = np.nan
    row["block_errors"][:] = 0.0
    row["block_counts"][:] = 0.0
    _restart_measuring(rows, slot, now_us, new_bytes)


@compiled
def _restart_measuring(rows: Rows, slot: int, now_us: int, new_bytes: int) -> None:
    """Measure rates from this report on, and compare later ETAs with none from before it."""
    row = rows[slot]
    row["last_advance"] = now_us
    row["rated_from"] = now_us
    row["rated_bytes"] = new_bytes
    row["samples"] = 0
    row["rate_fast_bps"] = np.nan
    row["rate_slow_bps"] = np.nan
    row["rate_peak_bps"] = np.nan
    row["growth_bps"] = np.nan
    row["counted_s"] = 0.0
    row["eta_rates"][:] = np.nan
    row["block_s"][:] = 0.0
    row["block_bytes"][:] = 0.0
    row["block_rates"][:] = np.nan
    row["claim_at"][:] = NONE
    row["claim_eta_s"][:] = np.nan
    row["claim_width"][:] = np.nan
    row["slow"] = False
    row["slow_baseline"] = np.nan
    row["eta_told"] = NONE
    row["eta_told_at"] = NONE
    row["eta_late_minutes"] = 0
    row["eta_early_minutes"] = 0

"""What a decoded record must satisfy beyond its schema: ranges of numbers and times, lengths, identities.

A record that violates a bound must not reach the fold or a read model, whose arithmetic relies on them. Every decision
is a function of the record and its key or timestamp alone, so that a replay repeats it. Whole columns are checked at
once; single records are looked at only when a column violates a bound. It decodes nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from taskstream.consumer.state.forecast.eta import MAX_ETA_S
from taskstream.consumer.state.series import EVENT_IDS, GAUGES, MINUTES

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

YEAR_2000_US: Final = 946_684_800_000_000
YEAR_9000_US: Final = 221_845_392_000_000_000
"""Times lie before it, so that an end of a hundred years later is a time that every reader can show."""
YEAR_9999_US: Final = 253_370_764_800_000_000
AHEAD_US: Final = 3_600_000_000
"""How far the time of receipt may lie after the record's Kafka timestamp: the clocks of an edge and of Kafka differ."""
MAX_COUNT: Final = 1 << 62
MAX_LONG: Final = (1 << 63) - 1
MAX_REMAIN_S: Final = (1 << 31) - 1
MAX_NAME_BYTES: Final = 1_024
MAX_TRACE_BYTES: Final = 4 * 2_048
MAX_AGENT_TIME_BYTES: Final = 4 * 255
"""Bytes of the longest texts that an edge accepts: a longer one can exceed the size of a record of the state topic."""

Range = tuple[float, float]
_ANY: Final[Range] = (-np.finfo(np.float64).max, np.finfo(np.float64).max)
_NOT_NEGATIVE: Final[Range] = (0, np.finfo(np.float64).max)
_SIZE: Final[Range] = (0, MAX_LONG)
_COUNT: Final[Range] = (0, MAX_COUNT)
_PERCENT: Final[Range] = (0, 100)
_TIME: Final[Range] = (0, YEAR_9000_US)
_END: Final[Range] = (0, YEAR_9999_US)
_ETA: Final[Range] = (0, MAX_ETA_S)

_SECONDS: Final[Range] = (0, 1e12)
_MEAN: Final[Range] = (0, 1e30)
"""Bytes, or bytes a second: one report has less than 2^63, in a microsecond at least."""
_ERRORS: Final[Range] = (0, 27)
"""A sum of at most 4 each, of which a part of 0.85 is kept."""
_BLOCK: Final[Mapping[str, Range]] = {
    "s": _SECONDS,
    "bytes": _MEAN,
    "count": (0, 7),
    **dict.fromkeys(("rate_1_bps", "rate_10_bps", "rate_all_bps"), _MEAN),
    **dict.fromkeys(("error_1", "error_10", "error_all"), _ERRORS),
}
_CLAIM: Final[Mapping[str, Range]] = {"at": _TIME, "eta_s": _ETA, "width": _NOT_NEGATIVE}

EVENT_RANGES: Final[Mapping[str, Range]] = {
    "received_at": (YEAR_2000_US, YEAR_9000_US),
    "progress": _PERCENT,
    "replicatesize": _SIZE,
    "totalsize": _SIZE,
    "remain_time": (0, MAX_REMAIN_S),
    **dict.fromkeys(GAUGES, _ANY),
}
"""[column of ProgressReported] The least and the greatest value; both ends are allowed, null is allowed."""

STATE_RANGES: Final[Mapping[str, Range]] = {
    **dict.fromkeys(("first_seen", "last_seen", "last_advance", "rated_from", "open_minute", "health_since"), _TIME),
    **dict.fromkeys(("silent_since", "eta_told_at"), _TIME),
    "eta_told": _END,
    **dict.fromkeys(("reports", "skewed", "stale", "resets", "regressions", "samples"), _COUNT),
    **dict.fromkeys(("replicatesize", "totalsize", "rated_bytes", "open_minute_bytes"), _SIZE),
    "progress": _PERCENT,
    "complete_minutes": (0, MINUTES),
    "remain_time": (0, MAX_REMAIN_S),
    **dict.fromkeys(("rate_fast_bps", "rate_slow_bps", "rate_peak_bps", "typical_gap_s", "log_rate_sd"), _NOT_NEGATIVE),
    **dict.fromkeys(("report_gaps", "advance_gaps", "eta_late_minutes", "eta_early_minutes"), _COUNT),
    **dict.fromkeys(("report_gap_square_s2", "advance_gap_s", "advance_gap_square_s2"), _NOT_NEGATIVE),
    **dict.fromkeys(("quiet_limit_s", "stall_limit_s"), _NOT_NEGATIVE),
    **dict.fromkeys(("trend_change_pct", "trend_slope_pct", "growth_bps", "slow_baseline", *GAUGES), _ANY),
    **dict.fromkeys(("eta_s", "eta_low_s", "eta_high_s"), _ETA),
    "counted_s": _SECONDS,
    **dict.fromkeys(("eta_rate_1_bps", "eta_rate_10_bps", "eta_rate_all_bps"), _MEAN),
    **{f"block_{length}_{name}": limits for length in (4, 32) for name, limits in _BLOCK.items()},
    **{f"claim_{part}_{name}": limits for part in (50, 75) for name, limits in _CLAIM.items()},
}
"""[column of SeriesState] The least and the greatest value."""

SIGNAL_RANGES: Final[Mapping[str, Range]] = {
    **dict.fromkeys(("raised_at", "since", "before_since", "last_seen", "last_advance"), _TIME),
    **dict.fromkeys(("eta", "eta_before"), _END),
    "progress": _PERCENT,
    **dict.fromkeys(("replicatesize", "totalsize"), _SIZE),
    **dict.fromkeys(("limit_s", "rate_fast_bps", "rate_slow_bps"), _NOT_NEGATIVE),
    "trend_change_pct": _ANY,
}
"""[column of SignalRaised] The least and the greatest value."""


def outside_ranges(batch: pa.RecordBatch, ranges: Mapping[str, Range]) -> dict[int, str]:
    """[row] Why it violates its range, for the rows that do; columns that the batch does not have are not checked."""
    found: dict[int, str] = {}
    for name in batch.schema.names:
        if name not in ranges:
            continue
        low, high = ranges[name]
        column = batch.column(name)
        if pa.types.is_timestamp(column.type):
            column = column.cast(pa.int64())
        bad = _outside(column, low, high)
        for row in np.flatnonzero(bad).tolist():
            found.setdefault(row, f"{name} is {column[row].as_py()}, which is not from {low} to {high}")
    return found


def too_long(batch: pa.RecordBatch, limits: Mapping[str, int]) -> dict[int, str]:
    """[row] Which string column has more bytes than its limit, for the rows that have one."""
    found: dict[int, str] = {}
    for name, limit in limits.items():
        column = batch.column(name)
        lengths = pc.binary_length(column)
        if (pc.max(lengths).as_py() or 0) <= limit:
            continue
        for row in np.flatnonzero(np.asarray(pc.fill_null(lengths, 0)) > limit).tolist():
            found.setdefault(row, f"{name} has {lengths[row].as_py()} bytes, and may have {limit}")
    return found


def ambiguous_names(batch: pa.RecordBatch) -> dict[int, str]:
    """[row] project_id or subtask_name holds a slash, so that two series could share one key."""
    found: dict[int, str] = {}
    for name in ("project_id", "subtask_name"):
        column = batch.column(name)
        data = column.buffers()[2]
        if data is None or b"/" not in memoryview(data).tobytes():
            continue
        for row in np.flatnonzero(np.asarray(pc.match_substring(column, "/"))).tolist():
            found.setdefault(row, f"{name} is {column[row].as_py()!r}, and a slash separates the parts of a key")
    return found


def ahead_of_timestamps(received_at_us: Ints, timestamps_ms: Ints) -> dict[int, str]:
    """[row] received_at lies more than an hour after the record's timestamp; a negative timestamp means none.

    received_at_us, timestamps_ms: [rows], any numbers.
    """
    limits_us = np.clip(timestamps_ms, 0, YEAR_9999_US // 1000) * 1000 + AHEAD_US
    bad = (timestamps_ms >= 0) & (received_at_us > limits_us)
    found = {}
    for row in np.flatnonzero(bad).tolist():
        ahead_us = int(received_at_us[row]) - int(timestamps_ms[row]) * 1000
        found[row] = f"received_at is {ahead_us / 3_600_000_000:.1f} h after the record's timestamp"
    return found


def bad_lists(batch: pa.RecordBatch) -> dict[int, str]:
    """[row] minute_bytes has more than 30 items, or a negative one; event_ids more than 16, or one that is 0."""
    minutes = _bad_items(batch, "minute_bytes", MINUTES, lambda items: items < 0, "a negative item")
    return minutes | _bad_items(batch, "event_ids", EVENT_IDS, lambda items: items == 0, "an item that is 0")


def _bad_items(
    batch: pa.RecordBatch, name: str, room: int, is_bad: Callable[[Ints], Bools], what: str
) -> dict[int, str]:
    """[row] This column of lists has more than `room` items, or an item that is bad; `what` describes such an item."""
    column = batch.column(name)
    found: dict[int, str] = {}
    lengths = np.diff(np.asarray(column.offsets))
    for row in np.flatnonzero(lengths > room).tolist():
        found[row] = f"{name} has {lengths[row]} items, and may have {room}"
    bad = is_bad(np.asarray(column.flatten()))
    if bad.any():
        owners = np.repeat(np.arange(len(column)), lengths)
        for row in np.unique(owners[bad]).tolist():
            found.setdefault(row, f"{name} has {what}")
    return found


def _all_inside(column: pa.Array, low: float, high: float) -> bool:
    """Whether all values are certainly inside: a sum is finite only if every value is."""
    total = pc.sum(column).as_py()
    if total is None:  # all are null
        return True
    if not math.isfinite(total):
        return False
    extremes = pc.min_max(column).as_py()
    return bool(low <= extremes["min"] and extremes["max"] <= high)


def _outside(column: pa.Array, low: float, high: float) -> Bools:
    """[rows] Whether the value is outside; null is inside, and NaN is outside."""
    if pa.types.is_floating(column.type):
        if _all_inside(column, low, high):
            return np.zeros(len(column), np.bool_)
        values = column.to_numpy(zero_copy_only=False)  # null is NaN
        outside: Bools = ~((values >= low) & (values <= high))
        return outside & np.asarray(column.is_valid()) if column.null_count else outside
    extremes = pc.min_max(column).as_py()
    if extremes["min"] is None or (low <= extremes["min"] and extremes["max"] <= high):
        return np.zeros(len(column), np.bool_)
    values = np.asarray(pc.fill_null(column, int(low)))
    return (values < int(low)) | (values > int(high))

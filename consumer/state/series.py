"""One row of the series table: its columns, their types, and the values that stand for null. It computes nothing."""

from __future__ import annotations

import enum
from typing import Any, Final

import numpy as np
import numpy.typing as npt

MINUTES: Final = 30
"""How many closed minutes a row keeps; a minute is one bucket, of whatever width."""
EVENT_IDS: Final = 16
"""How many event ids a row keeps, to recognise an event that comes again."""
MEANS: Final = 3
"""How many means of the rate an ETA is mixed of, see `mixed_rate`."""
BLOCKS: Final = 2
"""In blocks of how many lengths they are scored."""
CLAIMS: Final = 2
"""How many of its ETAs a row keeps until its end, see `eta_claims`."""
NONE: Final = -1
"""Stands for null in the integer columns that may be null (times, remain_time, need_migration_test)."""

Rows = npt.NDArray[np.void]
"""[series] of `ROW`."""


class Trend(enum.IntEnum):
    """Whether the rate gets better or worse."""

    WARMING = 0
    STEADY = 1
    SLOWING = 2
    ACCELERATING = 3


class Health(enum.IntEnum):
    """What is wrong with a series, if anything. The fold never writes SILENT into a row: that needs a clock."""

    OK = 0
    SLOW = 1
    NO_PROGRESS = 2
    COMPLETE = 3
    SILENT = 4


class EtaReason(enum.IntEnum):
    """Why a series has no ETA; NONE if it has one.

    The fold never writes SILENT into a row: that needs a clock. NEXT_SUBTASK is of a task, and in no row.
    """

    NONE = 0
    COMPLETE = 1
    TOTAL_UNKNOWN = 2
    """The total is 0, or below the bytes that are done."""
    CHECKING = 3
    """All bytes are there, at less than 100 percent."""
    TOO_YOUNG = 4
    """Not enough is measured."""
    STALLED = 5
    NO_RATE = 6
    NOT_CONVERGING = 7
    """The total grows as fast as the bytes that are done."""
    TOO_FAR = 8
    """The end lies further away than a rate can be trusted for."""
    SILENT = 9
    NEXT_SUBTASK = 10
    """The current subtask is complete, and the next one has not reported yet."""


class Signal(enum.IntEnum):
    """What has changed."""

    NO_PROGRESS = 0
    SILENT = 1
    SLOW = 2
    RESUMED = 3
    RESET = 4
    COMPLETE = 5
    ETA_MOVED = 6


GAUGES: Final = (
    "migrate_speed",
    "compress_rate",
    "total_cpu_usage",
    "agent_cpu_usage",
    "total_mem_usage",
    "agent_mem_usage",
    "total_disk_io",
    "agent_disk_io",
)
"""What an agent reports beside its progress. A row keeps the values of the last accepted report; NaN for null."""

ROW: Final[np.dtype[Any]] = np.dtype(
    [
        ("live", np.bool_),
        ("held", np.bool_),
        ("slow", np.bool_),
        ("trend", np.int8),
        ("health", np.int8),
        ("eta_reason", np.int8),
        ("need_migration_test", np.int8),
        ("partition", np.int32),
        ("progress", np.int32),
        ("complete_minutes", np.int32),
        ("first_seen", np.int64),
        ("last_seen", np.int64),
        ("last_advance", np.int64),
        ("reports", np.int64),
        ("skewed", np.int64),
        ("stale", np.int64),
        ("resets", np.int64),
        ("regressions", np.int64),
        ("replicatesize", np.int64),
        ("totalsize", np.int64),
        ("remain_time", np.int64),
        ("rated_from", np.int64),
        ("rated_bytes", np.int64),
        ("samples", np.int64),
        ("open_minute", np.int64),
        ("open_minute_bytes", np.int64),
        ("health_since", np.int64),
        ("silent_since", np.int64),
        ("eta_told", np.int64),
        ("eta_told_at", np.int64),
        ("eta_late_minutes", np.int64),
        ("eta_early_minutes", np.int64),
        ("report_gaps", np.int64),
        ("advance_gaps", np.int64),
        ("rate_fast_bps", np.float64),
        ("rate_slow_bps", np.float64),
        ("rate_peak_bps", np.float64),
        ("typical_gap_s", np.float64),
        ("report_gap_square_s2", np.float64),
        ("quiet_limit_s", np.float64),
        ("advance_gap_s", np.float64),
        ("advance_gap_square_s2", np.float64),
        ("stall_limit_s", np.float64),
        ("growth_bps", np.float64),
        ("trend_change_pct", np.float64),
        ("trend_slope_pct", np.float64),
        ("log_rate_sd", np.float64),
        ("slow_baseline", np.float64),
        ("eta_s", np.float64),
        ("eta_low_s", np.float64),
        ("eta_high_s", np.float64),
        *((gauge, np.float64) for gauge in GAUGES),
        ("counted_s", np.float64),
        ("eta_rates", np.float64, (MEANS,)),
        ("block_s", np.float64, (BLOCKS,)),
        ("block_bytes", np.float64, (BLOCKS,)),
        ("block_rates", np.float64, (BLOCKS, MEANS)),
        ("block_errors", np.float64, (BLOCKS, MEANS)),
        ("block_counts", np.float64, (BLOCKS,)),
        ("claim_at", np.int64, (CLAIMS,)),
        ("claim_eta_s", np.float64, (CLAIMS,)),
        ("claim_width", np.float64, (CLAIMS,)),
        ("minute_bytes", np.int64, (MINUTES,)),
        ("event_ids", np.int64, (EVENT_IDS,)),
    ],
    align=True,
)
"""Times are microseconds since 1970, rates bytes per second; null is NaN in floats. `minute_bytes` is oldest first.
`event_ids` are hashes, see `event_ids`, the newest last; 0 where there are fewer."""

_FOR_THE_FOLD: Final = frozenset(
    {"counted_s", "eta_rates", "block_s", "block_bytes", "block_rates", "block_errors", "block_counts"}
    | {"claim_at", "claim_eta_s", "claim_width", "event_ids"}
)
SHOWN_ROW: Final[np.dtype[Any]] = np.dtype(
    [(name, ROW[name]) for name in ROW.names or () if name not in _FOR_THE_FOLD], align=True
)
"""A row without what only the next fold of its series needs: what a table holds whose rows are only read."""

WINDOW: Final[np.dtype[Any]] = np.dtype(
    [
        ("slot", np.int64),
        ("window_start", np.int64),
        ("minutes", np.int64),
        ("bytes", np.int64),
        ("complete", np.bool_),
        ("progress", np.int32),
        ("replicatesize", np.int64),
        ("totalsize", np.int64),
        ("closed_at", np.int64),
    ],
    align=True,
)
"""One closed window of the series in `slot`. Times are microseconds since 1970."""

SIGNAL: Final[np.dtype[Any]] = np.dtype(
    [
        ("slot", np.int64),
        ("signal", np.int8),
        ("before", np.int8),
        ("after", np.int8),
        ("progress", np.int32),
        ("raised_at", np.int64),
        ("since", np.int64),
        ("before_since", np.int64),
        ("last_seen", np.int64),
        ("last_advance", np.int64),
        ("replicatesize", np.int64),
        ("totalsize", np.int64),
        ("eta", np.int64),
        ("eta_before", np.int64),
        ("limit_s", np.float64),
        ("rate_fast_bps", np.float64),
        ("rate_slow_bps", np.float64),
        ("trend_change_pct", np.float64),
    ],
    align=True,
)
"""One signal of the series in `slot`, with the numbers that decided it. Times are microseconds since 1970."""

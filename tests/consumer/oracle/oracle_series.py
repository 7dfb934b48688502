"""The input and the state of the oracle: one report, and one series. It knows no rule."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tests.consumer.oracle.oracle_rates import Gaps, Mixture


@dataclass(frozen=True, slots=True)
class Event:
    """One report of one series: the fields that the rules use, and in `other` those that they only store."""

    series: str
    received_at: int
    progress: int
    replicatesize: int
    totalsize: int
    other: dict[str, Any] = field(default_factory=dict)
    event_id: str = ""
    """An event without an id is never a duplicate."""


@dataclass(slots=True)
class Series:
    """One row, with the names of the SeriesState record; None is null."""

    first_seen: int
    last_seen: int
    last_advance: int
    rated_from: int
    rated_bytes: int
    open_minute: int
    health_since: int
    progress: int
    replicatesize: int
    totalsize: int
    other: dict[str, Any]
    held: bool = False
    reports: int = 1
    skewed: int = 0
    stale: int = 0
    resets: int = 0
    regressions: int = 0
    samples: int = 0
    rate_fast_bps: float | None = None
    rate_slow_bps: float | None = None
    rate_peak_bps: float | None = None
    report_gaps: Gaps = field(default_factory=lambda: Gaps(inspected=4.0))
    advance_gaps: Gaps = field(default_factory=lambda: Gaps(inspected=2.5))
    growth_bps: float | None = None
    mixture: Mixture = field(default_factory=Mixture)
    claims: list[tuple[int, float, float] | None] = field(default_factory=lambda: [None, None])
    """At half and at three quarters of the bytes: when, the ETA, and the half-width of its interval."""
    open_minute_bytes: int = 0
    minute_bytes: list[int] = field(default_factory=list)
    """The closed minutes since the first report, 30 at most, oldest first."""
    complete_minutes: int = 0
    trend: str = "WARMING"
    trend_change_pct: float | None = None
    trend_slope_pct: float | None = None
    slow: bool = False
    slow_baseline: float | None = None
    log_rate_sd: float | None = None
    health: str = "OK"
    silent_since: int | None = None
    eta_s: float | None = None
    eta_low_s: float | None = None
    eta_high_s: float | None = None
    eta_told: int | None = None
    eta_told_at: int | None = None
    eta_reason: str = "TOO_YOUNG"
    eta_late_minutes: int = 0
    eta_early_minutes: int = 0
    event_ids: list[str] = field(default_factory=list)
    """The newest event ids that were folded, 16 at most, oldest first."""

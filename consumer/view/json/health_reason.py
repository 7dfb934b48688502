"""Explains the health of a series in a sentence, with the numbers that decided it. Pure."""

from __future__ import annotations

import math

from taskstream.consumer.state.rates import US_PER_S
from taskstream.consumer.state.series import EtaReason, Health, Trend
from taskstream.consumer.state.stall import limit_or_first
from taskstream.consumer.state.trend import MIN_MINUTES, RECENT_MINUTES
from taskstream.consumer.view.json.quantities import duration_text, rate_text, size_text


def health_reason(health: Health, row: dict[str, object], now_us: int, bucket_us: int) -> str:
    """One sentence, without its full stop. row: the columns of one `ROW` by name."""
    bucket_s = bucket_us / US_PER_S
    if health == Health.SILENT:
        limit = duration_text(limit_or_first(_float(row["quiet_limit_s"]), bucket_s))
        return f"no report for {_since(row['last_seen'], now_us)} (limit {limit})"
    if health == Health.NO_PROGRESS:
        limit = duration_text(limit_or_first(_float(row["stall_limit_s"]), bucket_s))
        return f"no bytes for {_since(row['last_advance'], now_us)} (limit {limit}), though reports arrive"
    if health == Health.COMPLETE:
        return f"done in {duration_text((_int(row['health_since']) - _int(row['first_seen'])) / US_PER_S)}"
    if row["eta_reason"] == EtaReason.NOT_CONVERGING:
        growth = rate_text(_float(row["growth_bps"]))
        return f"{_rate_reason(health, row, bucket_s)}; the total grows as fast as the copy, by {growth}"
    return _rate_reason(health, row, bucket_s)


def complete_reason(took_us: int, copied: int) -> str:
    """The reason of a complete task: the time and the bytes of all its subtasks."""
    took = f"done in {duration_text(took_us / US_PER_S)}"
    return f"{took}, {size_text(copied)}" if copied else took


def pause_reason(health: Health, subtask_name: str, quiet_us: int, limit_s: float) -> str:
    """The reason of a task whose current subtask is complete, and which is not: another subtask must follow."""
    quiet = duration_text(quiet_us / US_PER_S)
    if health == Health.SILENT:
        return f"no report for {quiet} after {subtask_name} was complete (limit {duration_text(limit_s)})"
    return f"{subtask_name} is complete, the last report {quiet} ago"


def _rate_reason(health: Health, row: dict[str, object], bucket_s: float) -> str:
    fast_bps = _float(row["rate_fast_bps"])
    if health == Health.SLOW:
        baseline = _float(row["slow_baseline"])
        if not math.isnan(baseline):
            before_bps = math.exp(baseline) / bucket_s
            return f"{rate_text(fast_bps)}, {100 * fast_bps / before_bps:.0f} % of the {rate_text(before_bps)} before"
        part = 100 + _float(row["trend_change_pct"])
        recent = duration_text(RECENT_MINUTES * bucket_s)
        return f"the last {recent} at {part:.0f} % of the rate before, now {rate_text(fast_bps)}"
    if math.isnan(fast_bps):
        return "no rate measured yet"
    if row["trend"] == Trend.WARMING:
        missing = MIN_MINUTES - _int(row["complete_minutes"])
        return f"{rate_text(fast_bps)}, a trend in {duration_text(missing * bucket_s)}"
    return f"{rate_text(fast_bps)} over {duration_text(bucket_s)}"


def _since(moment_us: object, now_us: int) -> str:
    return duration_text((now_us - _int(moment_us)) / US_PER_S)


def _int(value: object) -> int:
    assert isinstance(value, int)
    return value


def _float(value: object) -> float:
    assert isinstance(value, float)
    return value

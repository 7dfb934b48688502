"""Says in a sentence why a series' health is what it is, with the numbers that decided it. Pure."""

from __future__ import annotations

import math

from taskstream.consumer.state.rates import US_PER_S
from taskstream.consumer.state.series import Health, Trend
from taskstream.consumer.state.stall import quiet_limit
from taskstream.consumer.state.trend import MIN_MINUTES, RECENT_MINUTES

_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))


def reason(health: Health, row: dict[str, object], now_us: int, bucket_us: int) -> str:
    """One sentence, without its full stop. `row` holds a row's columns by name."""
    bucket_s = bucket_us / US_PER_S
    limit = quiet_limit(_float(row["typical_gap_s"]), bucket_s)
    if health == Health.SILENT:
        return f"no report for {_since(row['last_seen'], now_us)} (limit {span(limit)})"
    if health == Health.NO_PROGRESS:
        return f"no bytes for {_since(row['last_advance'], now_us)} (limit {span(limit)}), though it reports"
    if health == Health.COMPLETE:
        return f"done in {span((_int(row['health_since']) - _int(row['first_seen'])) / US_PER_S)}"
    fast = _float(row["rate_fast_bps"])
    if health == Health.SLOW:
        change = _float(row["trend_change_pct"])
        return (
            f"the last {span(RECENT_MINUTES * bucket_s)} at {100 + change:.0f} % of the rate before, now {rate(fast)}"
        )
    if math.isnan(fast):
        return "heard, not measured yet"
    if row["trend"] == Trend.WARMING:
        return f"{rate(fast)}, a trend in {span((MIN_MINUTES - _int(row['complete_minutes'])) * bucket_s)}"
    return f"{rate(fast)} over {span(bucket_s)}"


def span(seconds: float) -> str:
    """A span of time in its two largest units: 5 min 12 s."""
    left = round(max(0.0, seconds)) if seconds >= 1 or seconds <= 0 else 0
    if left == 0:
        return "0 s" if seconds <= 0 else f"{seconds:.1g} s"
    parts: list[tuple[int, str]] = []
    for size, unit in _UNITS:
        count, left = divmod(left, size)
        if count or parts:
            parts.append((count, unit))
    return " ".join(f"{count} {unit}" for count, unit in parts[:2] if count)


def rate(bps: float) -> str:
    """Bytes a second with a decimal prefix: 10.2 MB/s."""
    return "no rate" if math.isnan(bps) else f"{size(bps)}/s"


def size(count: float) -> str:
    """Bytes with a decimal prefix: 10.2 MB."""
    for least, unit in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if count >= 0.9995 * least:
            return f"{count / least:.3g} {unit}" if count < 999.5 * least else f"{count / least:.0f} {unit}"
    return f"{count:.0f} B"


def _since(moment_us: object, now_us: int) -> str:
    return span((now_us - _int(moment_us)) / US_PER_S)


def _int(value: object) -> int:
    assert isinstance(value, int)
    return value


def _float(value: object) -> float:
    assert isinstance(value, float)
    return value

"""Numbers as JSON holds them, and durations, sizes and rates as sentences show them. Pure."""

from __future__ import annotations

import math

_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))


def finite_or_none(value: float | None) -> float | None:
    """The value as a float; None, which is null in JSON, for NaN, an infinity or None."""
    return float(value) if value is not None and math.isfinite(value) else None


def duration_text(seconds: float) -> str:
    """A duration in its two largest units: 5 min 12 s."""
    left = round(max(0.0, seconds)) if seconds >= 1 or seconds <= 0 else 0
    if left == 0:
        return "0 s" if seconds <= 0 else f"{seconds:.1g} s"
    parts: list[tuple[int, str]] = []
    for size, unit in _UNITS:
        count, left = divmod(left, size)
        if count or parts:
            parts.append((count, unit))
    return " ".join(f"{count} {unit}" for count, unit in parts[:2] if count)


def coarse_duration_text(seconds: float) -> str:
    """A duration in its largest unit, rounded down: 5 min."""
    for size, unit in _UNITS:
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return "0 s"


def rate_text(bps: float) -> str:
    """Bytes per second with a decimal prefix: 10.2 MB/s."""
    return "no rate" if math.isnan(bps) else f"{size_text(bps)}/s"


def size_text(count: float) -> str:
    """Bytes with a decimal prefix: 10.2 MB."""
    for least, unit in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if count >= 0.9995 * least:
            return f"{count / least:.3g} {unit}" if count < 999.5 * least else f"{count / least:.0f} {unit}"
    return f"{count:.0f} B"

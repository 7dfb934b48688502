"""Says in a sentence what a signal told, with the numbers that decided it; and gives it the form of our API. Pure."""

from __future__ import annotations

import math
from typing import Any

from taskstream.consumer.state.rates import US_PER_S
from taskstream.consumer.state.trend import RECENT_MINUTES
from taskstream.consumer.view.json.health_reason import rate, size, span
from taskstream.consumer.view.read_model.signal_log import RaisedSignal


def signal_line(signal: RaisedSignal, bucket_us: int) -> dict[str, Any]:
    """A signal as a task's page shows it. Times are milliseconds since 1970, null is "not known"."""
    return {
        "signal": signal.signal,
        "text": sentence(signal, bucket_us),
        "subtask_name": signal.subtask_name,
        "raised_at_ms": signal.raised_at // 1000,
        "before": signal.before,
        "after": signal.after,
        "since_ms": signal.since // 1000,
        "before_since_ms": signal.before_since // 1000,
        "last_seen_ms": signal.last_seen // 1000,
        "last_advance_ms": signal.last_advance // 1000,
        "limit_s": _finite(signal.limit_s),
        "progress": signal.progress,
        "replicatesize": signal.replicatesize,
        "totalsize": signal.totalsize,
        "rate_fast_bps": _finite(signal.rate_fast_bps),
        "rate_slow_bps": _finite(signal.rate_slow_bps),
        "trend_change_pct": _finite(signal.trend_change_pct),
        "eta_ms": None if signal.eta is None else signal.eta // 1000,
        "eta_before_ms": None if signal.eta_before is None else signal.eta_before // 1000,
    }


def sentence(signal: RaisedSignal, bucket_us: int) -> str:
    """One sentence, without its full stop; of a signal that only a newer worker knows, its own word."""
    limit = "" if signal.limit_s is None else f" (limit {span(signal.limit_s)})"
    match signal.signal:
        case "SILENT":
            return f"no report for {_between(signal.last_seen, signal.raised_at)}{limit}"
        case "NO_PROGRESS":
            return f"no bytes for {_between(signal.last_advance, signal.raised_at)}{limit}, though it reports"
        case "SLOW":
            change = _finite(signal.trend_change_pct)
            part = "under half" if change is None else f"at {100 + change:.0f} %"
            now = "" if signal.rate_fast_bps is None else f", now {rate(signal.rate_fast_bps)}"
            return f"the last {span(RECENT_MINUTES * bucket_us / US_PER_S)} {part} of the rate before{now}"
        case "RESUMED":
            return f"{_again(signal)} after {_between(signal.before_since, signal.raised_at)}"
        case "RESET":
            return f"the copy began again: {_copied(signal)}"
        case "COMPLETE":
            return f"complete, {_copied(signal)}" if signal.totalsize else "complete"
        case "ETA_MOVED":
            return _moved(signal)
    return signal.signal.lower().replace("_", " ")


def _again(signal: RaisedSignal) -> str:
    if signal.before == "SILENT":
        return "heard again"
    if signal.before == "NO_PROGRESS":
        return "bytes again"
    return "back to its rate" if signal.before == "SLOW" else "at work again"


def _moved(signal: RaisedSignal) -> str:
    if signal.eta is None or signal.eta_before is None:
        return "the end has moved"
    moved_us = signal.eta - signal.eta_before
    return f"the end is now {span(abs(moved_us) / US_PER_S)} {'later' if moved_us > 0 else 'earlier'} than told"


def _copied(signal: RaisedSignal) -> str:
    return f"{size(signal.replicatesize)} of {size(signal.totalsize)}"


def _between(first_us: int, last_us: int) -> str:
    return span((last_us - first_us) / US_PER_S)


def _finite(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else value

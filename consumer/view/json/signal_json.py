"""A signal as the API shows it: its fields, and a sentence with the numbers that decided it. Pure."""

from __future__ import annotations

from typing import Any

from taskstream.consumer.state.rates import US_PER_S
from taskstream.consumer.state.trend import RECENT_MINUTES
from taskstream.consumer.view.json.quantities import duration_text, finite_or_none, rate_text, size_text
from taskstream.consumer.view.read_model.signal_log import RaisedSignal


def signal_json(signal: RaisedSignal, bucket_us: int) -> dict[str, Any]:
    """The fields of a signal. Times are milliseconds since 1970; null means unknown."""
    return {
        "signal": signal.signal,
        "text": signal_text(signal, bucket_us),
        "subtask_name": signal.subtask_name,
        "raised_at_ms": signal.raised_at // 1000,
        "before": signal.before,
        "after": signal.after,
        "since_ms": signal.since // 1000,
        "before_since_ms": signal.before_since // 1000,
        "last_seen_ms": signal.last_seen // 1000,
        "last_advance_ms": signal.last_advance // 1000,
        "limit_s": finite_or_none(signal.limit_s),
        "progress": signal.progress,
        "replicatesize": signal.replicatesize,
        "totalsize": signal.totalsize,
        "rate_fast_bps": finite_or_none(signal.rate_fast_bps),
        "rate_slow_bps": finite_or_none(signal.rate_slow_bps),
        "trend_change_pct": finite_or_none(signal.trend_change_pct),
        "eta_ms": None if signal.eta is None else signal.eta // 1000,
        "eta_before_ms": None if signal.eta_before is None else signal.eta_before // 1000,
    }


def signal_text(signal: RaisedSignal, bucket_us: int) -> str:
    """One sentence, without its full stop; for a signal that only a newer worker knows, its name in lower case."""
    limit = "" if signal.limit_s is None else f" (limit {duration_text(signal.limit_s)})"
    match signal.signal:
        case "SILENT":
            return f"no report for {_between(signal.last_seen, signal.raised_at)}{limit}"
        case "NO_PROGRESS":
            return f"no bytes for {_between(signal.last_advance, signal.raised_at)}{limit}, though reports arrive"
        case "SLOW":
            change = finite_or_none(signal.trend_change_pct)
            part = "under half" if change is None else f"at {100 + change:.0f} %"
            now = "" if signal.rate_fast_bps is None else f", now {rate_text(signal.rate_fast_bps)}"
            return f"the last {duration_text(RECENT_MINUTES * bucket_us / US_PER_S)} {part} of the rate before{now}"
        case "RESUMED":
            return f"{_resumed(signal.before)} after {_between(signal.before_since, signal.raised_at)}"
        case "RESET":
            return f"the copy restarted: {_copied(signal)}"
        case "COMPLETE":
            return "the subtask is complete" + (f", {_copied(signal)}" if signal.totalsize else "")
        case "ETA_MOVED":
            return _moved(signal)
    return signal.signal.lower().replace("_", " ")


def _resumed(before: str) -> str:
    """What the series does again; `before` is its health until then."""
    if before == "SILENT":
        return "reports again"
    if before == "NO_PROGRESS":
        return "progress again"
    return "back at its rate" if before == "SLOW" else "active again"


def _moved(signal: RaisedSignal) -> str:
    if signal.eta is None or signal.eta_before is None:
        return "the expected end has moved"
    moved_us = signal.eta - signal.eta_before
    direction = "later" if moved_us > 0 else "earlier"
    return f"the expected end is now {duration_text(abs(moved_us) / US_PER_S)} {direction}"


def _copied(signal: RaisedSignal) -> str:
    return f"{size_text(signal.replicatesize)} of {size_text(signal.totalsize)}"


def _between(first_us: int, last_us: int) -> str:
    return duration_text((last_us - first_us) / US_PER_S)

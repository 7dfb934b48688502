"""A decoded record as one line: text for people, JSON for programs. No line has control characters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from taskstream.consumer.tail.decoded_record import DecodedRecord
from taskstream.schemas.terminal_text import terminal_json, terminal_text

Record = Mapping[str, Any]
_SHOWN_BYTES = 48
_MOST_CHARACTERS = 200


def json_line(decoded: DecodedRecord) -> str:
    """The record as one JSON object. Times are ISO 8601 in UTC; bytes that cannot be decoded are hexadecimal."""
    document: dict[str, Any] = {
        "topic": decoded.topic,
        "partition": decoded.partition,
        "offset": decoded.offset,
        "timestamp": _iso(decoded.timestamp_ms),
        "key": decoded.key,
        "headers": decoded.headers,
    }
    if decoded.unreadable is not None:
        reason, detail = decoded.unreadable
        document["unreadable"] = {"reason": reason, "detail": detail, "bytes": (decoded.value or b"").hex()}
    elif decoded.rejected is not None:
        document["rejected"] = {**decoded.rejected, "bytes": (decoded.value or b"").hex()}
    elif decoded.tombstone:
        document["tombstone"] = True
    else:
        document["record"] = decoded.record
    return terminal_json(document, default=_exact)


def line(decoded: DecodedRecord) -> str:
    """The main fields of the record, for people."""
    names = [_plain(each) for each in (f"{decoded.project_id}/{decoded.task_id}", decoded.subtask_name) if each]
    where = f"{_iso(decoded.timestamp_ms)} {decoded.partition}:{decoded.offset} {' '.join(names)}"
    if decoded.unreadable is not None:
        reason, detail = decoded.unreadable
        return f"{where} UNREADABLE {reason}: {_plain(detail)}: {_hex(decoded.value)}"
    if decoded.rejected is not None and "note" in decoded.rejected and "reason" not in decoded.rejected:
        return f"{where} NOTE {_plain((decoded.value or b'').decode('utf-8', 'replace'))}"
    if decoded.rejected is not None:
        origin = ":".join(_plain(decoded.rejected.get(name, "?")) for name in ("topic", "partition", "offset"))
        why = f"{_plain(decoded.rejected.get('reason', '?'))} ({_plain(decoded.rejected.get('detail', '?'))})"
        return f"{where} REJECTED {why} from {origin}: {_hex(decoded.value)}"
    if decoded.record is None:
        return f"{where} TOMBSTONE"
    return f"{where} {_WORDS[_kind(decoded.record)](decoded.record)}"


def _kind(record: Record) -> str:
    return next(field for field in _WORDS if field in record)


def _signal(record: Record) -> str:
    limit = "" if record["limit_s"] is None else f", limit {record['limit_s']:.0f} s"
    change = "" if record["trend_change_pct"] is None else f", {record['trend_change_pct']:+.0f} %"
    eta = "" if record["eta"] is None else f", ends {_moment(record['eta'])}"
    return (
        f"{_plain(record['signal'])} ({_plain(record['before'])} to {_plain(record['after'])}) since "
        f"{_moment(record['since'])}{limit}, {_so_far(record)}, {_rate(record['rate_fast_bps'])}{change}{eta}"
    )


def _window(record: Record) -> str:
    part = "" if record["complete"] else ", not all of it measured"
    return (
        f"{_moment(record['window_start'])} and {record['width_s']:g} s: {record['bytes']:,} bytes, "
        f"{_rate(record['rate_bps'])}{part}, {_so_far(record)}"
    )


def _state(record: Record) -> str:
    health = "SILENT" if record["silent_since"] is not None else _plain(record["health"])
    eta = "" if record["eta_s"] is None else f", {record['eta_s']:.0f} s to go"
    if record["eta_s"] is not None and record["eta_low_s"] is not None and record["eta_high_s"] is not None:
        eta += f" ({record['eta_low_s']:.0f} to {record['eta_high_s']:.0f})"
    rates = f"{_rate(record['rate_fast_bps'])} now, {_rate(record['rate_slow_bps'])}"
    return f"{health} {_plain(record['trend'])}, {_so_far(record)}, {rates}{eta}, {record['reports']:,} reports"


def _report(record: Record) -> str:
    speed = "" if record["migrate_speed"] is None else f", {record['migrate_speed']:g} Mbit/s by its own word"
    trace = f": {_plain(record['process_trace'])}" if record["process_trace"] else ""
    return f"{_so_far(record)}{speed}{trace}"


def _note(record: Record) -> str:
    return (
        f"{_plain(record['kind'])} until {_moment(record['until'])} by {_plain(record['by'])}: {_plain(record['note'])}"
    )


_WORDS: dict[str, Callable[[Record], str]] = {
    "signal": _signal,
    "until": _note,
    "window_start": _window,
    "trend": _state,
    "event_id": _report,
}
"""[a field that only this kind of record has]"""


def _so_far(record: Record) -> str:
    return f"{record['progress']} %, {record['replicatesize']:,} of {record['totalsize']:,} bytes"


def _rate(bps: float | None) -> str:
    return "no rate" if bps is None else f"{bps / 1e6:.1f} MB/s"


def _hex(value: bytes | None) -> str:
    if not value:
        return "no bytes"
    more = f" and {len(value) - _SHOWN_BYTES:,} bytes more" if len(value) > _SHOWN_BYTES else ""
    return value[:_SHOWN_BYTES].hex(" ") + more


def _plain(text: str) -> str:
    """Untrusted text, shortened, with control characters escaped."""
    shown = text if len(text) <= _MOST_CHARACTERS else f"{text[:_MOST_CHARACTERS]}..."
    return terminal_text(shown)


def _iso(at_ms: int) -> str:
    try:
        return f"{datetime.fromtimestamp(at_ms / 1000, UTC).replace(tzinfo=None).isoformat('T', 'milliseconds')}Z"
    except (ValueError, OverflowError, OSError):
        return f"{at_ms} ms"


def _exact(moment: object) -> str:
    if not isinstance(moment, datetime):
        raise TypeError(f"{type(moment).__name__} is not JSON")
    return f"{moment.replace(tzinfo=None).isoformat('T', 'microseconds')}Z"


def _moment(value: Any) -> str:
    if isinstance(value, datetime):
        return f"{value.replace(tzinfo=None).isoformat('T', 'milliseconds')}Z"
    return str(value)

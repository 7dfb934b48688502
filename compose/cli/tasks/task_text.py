"""The figures of a task as text for a terminal. It prints nothing.

Text from agents is made printable, because a terminal executes control characters.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from taskstream.schemas.terminal_text import terminal_text

NOT_CONVERGING: Final = "NOT_CONVERGING"
STYLES: Final = {
    "SILENT": "magenta",
    "NO_PROGRESS": "red",
    "SLOW": "yellow",
    NOT_CONVERGING: "yellow",
    "OK": "green",
    "COMPLETE": "dim",
}
_WORDS: Final = {"OK": "moving"}
_ARROWS: Final = {"STEADY": "→", "SLOWING": "↘", "ACCELERATING": "↗", "WARMING": "…"}
_BARS: Final = "▁▂▃▄▅▆▇█"
_UNITS: Final = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))


def row_of(task: Mapping[str, Any], now_ms: int) -> dict[str, str]:
    """The columns of one task, by name."""
    return {
        "health": health_of(condition_of(task)),
        "task": terminal_text(task["task_id"]),
        "project": terminal_text(task["project_id"]),
        "subtask": terminal_text(task["subtask_name"]),
        "done": f"{task['progress']} %",
        "bytes": bytes_of(task),
        "last 30": spark(task["minute_bytes"]),
        "rate": rate_of(task),
        "trend": trend_of(task),
        "ends": ends_of(task, now_ms),
        "why": why_of(task),
    }


def history_row(point: Mapping[str, Any]) -> dict[str, str]:
    """The columns of one step of a task's history, by name."""
    return {
        "from": moment(point["from_ms"]),
        "rate": rate(point["rate_bps"]),
        "bytes": size(point["bytes"]),
        "measured": span(point["measured_s"]),
        "subtask": terminal_text(point["subtask_name"]),
        "copied": f"{size(point['replicatesize'])} of {size(point['totalsize'])}",
    }


def why_of(task: Mapping[str, Any]) -> str:
    """The reason of the health, after an operator's note if there is one."""
    reason = terminal_text(task["health_reason"])
    note = task.get("note")
    return reason if note is None else f"[{note_text(note)}] {reason}"


def note_text(note: Mapping[str, Any]) -> str:
    """An operator's note in one line."""
    words = terminal_text(note["kind"]).lower()
    return f"{words} until {moment(note['until_ms'])} by {terminal_text(note['by'])}: {terminal_text(note['note'])}"


def pipeline_text(document: Mapping[str, Any]) -> str | None:
    """The view's sentence about workers that are behind, from a response or a beat; None when there is none."""
    text = (document.get("pipeline") or {}).get("text")
    return None if text is None else terminal_text(text)


def condition_of(task: Mapping[str, Any]) -> str:
    """The health; NOT_CONVERGING for a task that moves and whose total grows as fast as the copy."""
    endless = task["health"] == "OK" and task.get("eta_reason") == NOT_CONVERGING
    return NOT_CONVERGING if endless else str(task["health"])


def health_of(word: str) -> str:
    """The health as words."""
    return _WORDS.get(word, terminal_text(word).lower().replace("_", " "))


def bytes_of(task: Mapping[str, Any]) -> str:
    """The bytes of the current subtask; of a complete task, those of all its subtasks."""
    whole = "task_" if task["health"] == "COMPLETE" and "task_totalsize" in task else ""
    done, total = task[f"{whole}replicatesize"], task[f"{whole}totalsize"]
    return f"{size(done)} of {size(total)}" if total else "-"


def rate_of(task: Mapping[str, Any]) -> str:
    """The current rate; the last one if the task is silent, none if it is complete."""
    bps = None if task["health"] == "COMPLETE" else task["rate_fast_bps"]
    return f"was {rate(bps)}" if task["health"] == "SILENT" and bps is not None else rate(bps)


def trend_of(task: Mapping[str, Any]) -> str:
    """The trend as an arrow, a word and a change; none if the task makes no progress."""
    if task["health"] in ("COMPLETE", "SILENT", "NO_PROGRESS"):
        return "-"
    change = task["trend_change_pct"]
    word = terminal_text(task["trend"])
    return f"{_ARROWS.get(word, '?')} {word.lower()}" + ("" if change is None else f" {change:+.0f} %")


def ends_of(task: Mapping[str, Any], now_ms: int) -> str:
    """The time left, with its lower and upper bound, or why it is not known."""
    if task["health"] == "COMPLETE":
        return "done"
    if task["ends_at_ms"] is None:
        return terminal_text(task.get("eta_reason_text") or "-")
    text = f"in {span((task['ends_at_ms'] - now_ms) / 1000)}"
    if task["ends_from_ms"] is None or task["ends_to_ms"] is None:
        return text
    return f"{text} ({span((task['ends_from_ms'] - now_ms) / 1000)} to {span((task['ends_to_ms'] - now_ms) / 1000)})"


def whole_end_of(task: Mapping[str, Any], now_ms: int) -> str:
    """The time left of the whole task, with its bounds, and what it is based on."""
    ends = [task.get(f"task_ends_{name}_ms") for name in ("at", "from", "to")]
    if None in ends:
        return "-"
    left, low, high = (span((each - now_ms) / 1000) for each in ends if each is not None)
    return f"in {left} ({low} to {high}), by {terminal_text(task['task_ends_basis'] or '-')}"


def spark(minute_bytes: list[int]) -> str:
    """One bar per rate window; a window without bytes is a space."""
    most = max(minute_bytes, default=0)
    return "".join(" " if each <= 0 else _BARS[min(7, 8 * each // (most + 1))] for each in minute_bytes)


def size(count: float) -> str:
    """Bytes with a decimal prefix."""
    value, unit = float(count), 0
    units = ("B", "kB", "MB", "GB", "TB", "PB", "EB")
    while value >= 999.5 and unit < len(units) - 1:
        value, unit = value / 1000, unit + 1
    return f"{value:.0f} {units[unit]}" if unit == 0 or value >= 99.5 else f"{value:.3g} {units[unit]}"


def rate(bps: float | None) -> str:
    """Bytes per second with a decimal prefix."""
    return "-" if bps is None else f"{size(bps)}/s"


def span(seconds: float) -> str:
    """A duration in its two largest units."""
    left = max(0, round(seconds))
    parts: list[str] = []
    for width, unit in _UNITS:
        count, left = divmod(left, width)
        if count:
            parts.append(f"{count} {unit}")
        elif parts:
            break
    return " ".join(parts[:2]) or "0 s"


def moment(ms: int | None) -> str:
    """A time in UTC, to the second; one that no calendar has, in milliseconds since 1970."""
    if ms is None:
        return "-"
    try:
        return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    except (ValueError, OverflowError, OSError):
        return f"{ms} ms"

"""A task as the view's own API shows it: its current subtask, or all of them. It knows names and units, no HTTP.

Times are milliseconds since 1970 (`_ms`), rates bytes per second (`_bps`), durations seconds (`_s`). Null is unknown.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from taskstream.consumer.state.forecast.eta import MAX_ETA_S
from taskstream.consumer.state.rates import US_PER_S
from taskstream.consumer.state.series import GAUGES, MINUTES, NONE, SHOWN_ROW, EtaReason, Health, Trend
from taskstream.consumer.state.series_table import identity
from taskstream.consumer.state.task_rollup import health_of, state_of
from taskstream.consumer.view.json.eta_reason import eta_reason_text, task_eta_reason
from taskstream.consumer.view.json.health_reason import complete_reason, health_reason, pause_reason
from taskstream.consumer.view.json.health_remedy import health_remedy
from taskstream.consumer.view.json.note_json import note_json
from taskstream.consumer.view.json.pipeline_json import pipeline_json
from taskstream.consumer.view.json.quantities import finite_or_none
from taskstream.consumer.view.json.signal_json import signal_json
from taskstream.consumer.view.read_model.read_model import ReadModel
from taskstream.consumer.view.read_model.signal_log import RaisedSignal
from taskstream.consumer.view.read_model.task_ends import TaskEnd

_NAMES = SHOWN_ROW.names or ()
_ENDLESS = frozenset({Health.COMPLETE, Health.SILENT, Health.NO_PROGRESS})
"""In these, the end of a task is not foretold."""


def task_summary(model: ReadModel, task: int, now_us: int) -> dict[str, Any]:
    """One task as a list and the stream show it: its current subtask, its health, and its sums over all subtasks."""
    now_us = model.judged_at(now_us)
    project_id, task_id = model.tasks.name_of(task)
    slot = int(model.tasks.current[task])
    row = _row(model, slot)
    health, since = Health(int(model.health[task])), int(model.health_since[task])
    return {
        "project_id": project_id,
        "task_id": task_id,
        **_series_summary(model, slot, row, health, since, now_us),
        **_whole(model, task, health, since, now_us),
        **_task_end(model, task, slot, row, health, now_us),
        **_minutes_until_now(model.table.rows[slot], now_us, model.bucket_us),
        "note": note_json(model.notes.of(project_id, task_id)),
        "version": int(model.changed[task]),
    }


def task_detail(model: ReadModel, task: int, signals: Sequence[RaisedSignal], now_us: int) -> dict[str, Any]:
    """One task with all its subtasks, in the order of their first reports. signals: those of the task, oldest first."""
    judged_at_us = model.judged_at(now_us)
    slots = model.tasks.series_of(task)
    healths, sinces = health_of(model.table.rows, slots, judged_at_us, model.bucket_us)
    superseded = slots != model.tasks.current[task]
    rows = model.table.rows[slots[superseded]]
    healths[superseded], sinces[superseded] = rows["health"], rows["health_since"]
    series = []
    for slot, health, since in zip(slots.tolist(), healths.tolist(), sinces.tolist(), strict=True):
        summary = _series_summary(model, slot, _row(model, slot), Health(health), since, judged_at_us)
        series.append(summary | _series_detail(model, slot))
    return task_summary(model, task, now_us) | {
        "bucket_s": model.bucket_us / US_PER_S,
        "now_ms": now_us // 1000,
        "remedy": _remedy(model, task),
        "subtasks": series,
        **_stages_ahead(model, task),
        "signals": [signal_json(each, model.bucket_us) for each in signals],
        "pipeline": pipeline_json(model.pipeline, now_us),
    }


def _remedy(model: ReadModel, task: int) -> str | None:
    row = model.table.rows[model.tasks.current[task]]
    health, progress = Health(int(model.health[task])), int(row["progress"])
    return health_remedy(health, task_eta_reason(health, progress, EtaReason(int(row["eta_reason"]))), progress)


def _stages_ahead(model: ReadModel, task: int) -> dict[str, Any]:
    """The subtasks that are expected to follow the current one, from other tasks; none are known of a complete task."""
    found = None
    if model.health[task] != Health.COMPLETE:
        project_id, _, subtask_name = identity(model.table.keys[model.tasks.current[task]])
        found = model.ends.stages_ahead(project_id, subtask_name)
    if found is None:
        return {"stages_ahead": [], "stages_ahead_basis": None}
    stages = [{"subtask_name": name, "lasts_s": finite_or_none(lasts_s)} for name, lasts_s in found.stages]
    return {"stages_ahead": stages, "stages_ahead_basis": found.basis}


def _row(model: ReadModel, slot: int) -> dict[str, Any]:
    """The columns of a row as Python's own numbers and lists."""
    return dict(zip(_NAMES, model.table.rows[slot].tolist(), strict=True))


def _series_summary(
    model: ReadModel, slot: int, row: dict[str, Any], health: Health, since: int, now_us: int
) -> dict[str, Any]:
    project_id, _, subtask_name = identity(model.table.keys[slot])
    ends = (
        _ends(row, model.calibration.factor(project_id, subtask_name))
        if health != Health.SILENT
        else (None, None, None)
    )
    reason = EtaReason(row["eta_reason"]) if health != Health.SILENT else EtaReason.SILENT
    return {
        "subtask_name": subtask_name,
        "state": state_of(subtask_name, row["progress"]),
        "progress": row["progress"],
        "replicatesize": row["replicatesize"],
        "totalsize": row["totalsize"],
        "rate_fast_bps": finite_or_none(row["rate_fast_bps"]),
        "rate_slow_bps": finite_or_none(row["rate_slow_bps"]),
        "rate_reported_bps": finite_or_none(row["migrate_speed"] * 1e6 / 8),
        "trend": Trend(row["trend"]).name,
        "trend_change_pct": finite_or_none(row["trend_change_pct"]),
        "health": health.name,
        "health_since_ms": since // 1000,
        "health_reason": health_reason(health, row, now_us, model.bucket_us),
        "ends_at_ms": ends[0],
        "ends_from_ms": ends[1],
        "ends_to_ms": ends[2],
        "eta_reason": None if reason == EtaReason.NONE else reason.name,
        "eta_reason_text": eta_reason_text(reason),
        "remain_time_s": None if row["remain_time"] == NONE else row["remain_time"],
        "first_seen_ms": row["first_seen"] // 1000,
        "last_seen_ms": row["last_seen"] // 1000,
        "last_advance_ms": row["last_advance"] // 1000,
        "minute_bytes": np.asarray(row["minute_bytes"]).tolist(),
        "open_minute_ms": row["open_minute"] // 1000,
    }


def _whole(model: ReadModel, task: int, health: Health, since: int, now_us: int) -> dict[str, Any]:
    """What a task has beyond its current subtask: the sums over all subtasks, and the reason of its health."""
    began, done = int(model.began[task]), int(model.done_bytes[task])
    slot = int(model.tasks.current[task])
    row = model.table.rows[slot]
    reason = task_eta_reason(health, int(row["progress"]), EtaReason(int(row["eta_reason"])))
    whole: dict[str, Any] = {
        "eta_reason": None if reason == EtaReason.NONE else reason.name,
        "eta_reason_text": eta_reason_text(reason),
        "task_replicatesize": done,
        "task_totalsize": int(model.total_bytes[task]),
        "task_first_seen_ms": began // 1000,
    }
    if health == Health.COMPLETE:
        whole["health_reason"] = complete_reason(since - began, done)
    elif row["progress"] == 100:
        quiet_us = now_us - int(row["last_seen"])
        name = identity(model.table.keys[slot])[2]
        whole["health_reason"] = pause_reason(health, name, quiet_us, model.pause_limit_s)
        whole |= dict.fromkeys(("ends_at_ms", "ends_from_ms", "ends_to_ms"))
    return whole


def _task_end(
    model: ReadModel, task: int, slot: int, row: dict[str, Any], health: Health, now_us: int
) -> dict[str, Any]:
    """When the whole task ends, by its current subtask and by what follows it in other tasks; null where unknown."""
    end = None if health in _ENDLESS else _end_of(model, task, slot, row, now_us)
    if end is None:
        return dict.fromkeys(("task_ends_at_ms", "task_ends_from_ms", "task_ends_to_ms", "task_ends_basis"))
    now_ms = now_us / 1000
    at, low, high = (int(now_ms + min(each, MAX_ETA_S) * 1000) for each in (end.left_s, end.low_s, end.high_s))
    return {"task_ends_at_ms": at, "task_ends_from_ms": low, "task_ends_to_ms": high, "task_ends_basis": end.basis}


def _end_of(model: ReadModel, task: int, slot: int, row: dict[str, Any], now_us: int) -> TaskEnd | None:
    project_id, _, subtask_name = identity(model.table.keys[slot])
    began_s = (now_us - row["first_seen"]) / US_PER_S
    if row["progress"] == 100:
        took_s = (row["last_advance"] - row["first_seen"]) / US_PER_S
        return model.ends.after_end(project_id, subtask_name, took_s, began_s - took_s, now_us)
    ends = _ends(row, model.calibration.factor(project_id, subtask_name))
    if ends[0] is not None and ends[1] is not None and ends[2] is not None:
        at_s, low_s, high_s = (max(each / 1000 - now_us / US_PER_S, 0.0) for each in ends if each is not None)
        return model.ends.with_eta(project_id, subtask_name, began_s, (at_s, low_s, high_s), now_us)
    if row["eta_reason"] in (EtaReason.STALLED, EtaReason.NOT_CONVERGING, EtaReason.TOO_FAR):
        return None
    return model.ends.from_begin(project_id, subtask_name, _before_s(model, task, slot), began_s, now_us)


def _before_s(model: ReadModel, task: int, slot: int) -> float:
    """How long the subtask before this one took, in seconds; NaN if there is none, or it is not at 100 percent."""
    slots = model.tasks.series_of(task).tolist()
    place = slots.index(slot)
    if place == 0 or model.table.rows["progress"][slots[place - 1]] != 100:
        return math.nan
    before = model.table.rows[slots[place - 1]]
    return float(before["last_advance"] - before["first_seen"]) / US_PER_S


def _series_detail(model: ReadModel, slot: int) -> dict[str, Any]:
    """The fields of a series that only `task_detail` shows."""
    row = model.table.rows[slot]
    counts = ("reports", "skewed", "stale", "resets", "regressions", "samples", "complete_minutes", "open_minute_bytes")
    numbers = (
        "rate_peak_bps",
        "typical_gap_s",
        "quiet_limit_s",
        "stall_limit_s",
        "growth_bps",
        "trend_slope_pct",
        "log_rate_sd",
        "eta_s",
        "eta_low_s",
        "eta_high_s",
    )
    return {
        "process_trace": model.table.traces[slot],
        "agent_time": model.table.agent_times[slot],
        "need_migration_test": None if row["need_migration_test"] == NONE else bool(row["need_migration_test"]),
        **{name: int(row[name]) for name in counts},
        **{name: finite_or_none(row[name]) for name in (*numbers, *GAUGES)},
        "rated_from_ms": int(row["rated_from"]) // 1000,
        "partition": int(row["partition"]),
    }


def _minutes_until_now(row: np.void, now_us: int, bucket_us: int) -> dict[str, Any]:
    """minute_bytes and open_minute_ms of the last 30 minutes before now.

    A row ends at its newest report. The minutes since then are shown as minutes without bytes, so that in a list a
    silent series does not look as if it had moved until now.
    """
    passed = max(0, (now_us - int(row["open_minute"])) // bucket_us)
    known = [*row["minute_bytes"].tolist(), int(row["open_minute_bytes"])] if passed else row["minute_bytes"].tolist()
    return {
        "minute_bytes": [*known, *[0] * min(passed - 1, MINUTES)][-MINUTES:],
        "open_minute_ms": (int(row["open_minute"]) + passed * bucket_us) // 1000,
    }


def _ends(row: dict[str, Any], factor: float) -> tuple[int | None, int | None, int | None]:
    """The expected end and its bounds in milliseconds since 1970; None where withheld. factor: of the half-widths."""
    if math.isnan(row["eta_s"]):
        return None, None, None
    seen_ms, eta_s = row["last_seen"] / 1000, row["eta_s"]
    if math.isnan(row["eta_low_s"]) or not row["eta_low_s"] > 0.0:
        return int(seen_ms + eta_s * 1000), None, None
    ratio = (eta_s / row["eta_low_s"]) ** factor
    low_s, high_s = eta_s / ratio, min(eta_s * ratio, MAX_ETA_S)
    return int(seen_ms + eta_s * 1000), int(seen_ms + low_s * 1000), int(seen_ms + high_s * 1000)
